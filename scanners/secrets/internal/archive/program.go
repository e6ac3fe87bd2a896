package archive

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Strings of compiled programs stand side by side with lengths and tags that are letters by chance: "z(" before a token makes
// it one word with what is no part of it. Here each is taken out on a line of its own.

// isPyc knows Python's compiled modules (since 3.7): a version that ends in a line break, then flags of which three exist.
func isPyc(b []byte) bool {
	return len(b) > 20 && b[2] == '\r' && b[3] == '\n' && b[4] <= 3 && b[5]|b[6]|b[7] == 0
}

// walkPyc visits the strings of a module's marshalled code. What is between them (lengths, byte code) is not interpreted, so that every version is read.
func walkPyc(w *walker, at place, in *input) error {
	b := in.whole
	n := notes{w: w, at: at}
	defer n.flush()
	for i := 16; i < len(b); {
		size, start := 0, 0
		switch b[i] &^ 0x80 { // the highest bit says that others refer to it
		case 'z', 'Z': // short ASCII
			if i+1 < len(b) {
				size, start = int(b[i+1]), i+2
			}
		case 'a', 'A', 'u', 't', 's': // ASCII, Unicode, interned, bytes
			if i+5 <= len(b) {
				size, start = int(min(binary.LittleEndian.Uint32(b[i+1:]), 1<<30)), i+5
			}
		}
		const shortest = 4
		if size < shortest || start+size > len(b) || !isText(b[start:start+size]) {
			i++
			continue
		}
		n.add(string(b[start : start+size]))
		i = start + size
	}
	return nil
}

// isText reports whether a string has no bytes that text has not.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b || c == 0x7f {
			return false
		}
	}
	return true
}

// walkClass visits the strings of a Java class (JVM specification, 4.4).
func walkClass(w *walker, at place, in *input) error {
	b := in.whole
	count := int(binary.BigEndian.Uint16(b[8:]))
	n := notes{w: w, at: at}
	defer n.flush()
	for i, off := 1, 10; i < count && off < len(b); i++ {
		size := 0
		switch b[off] {
		case 1: // Utf8
			if off+3 > len(b) {
				return io.ErrUnexpectedEOF
			}
			size = 2 + int(binary.BigEndian.Uint16(b[off+1:]))
			n.add(string(b[off+3 : min(off+1+size, len(b))]))
		case 3, 4, 9, 10, 11, 12, 17, 18:
			size = 4
		case 5, 6: // long and double take two places
			size = 8
			i++
		case 7, 8, 16, 19, 20:
			size = 2
		case 15:
			size = 3
		default:
			return errCorrupt
		}
		off += 1 + size
	}
	return nil
}

// walkDex visits the strings of an Android program (https://source.android.com/docs/core/runtime/dex-format).
func walkDex(w *walker, at place, in *input) error {
	b := in.whole
	if len(b) < 0x70 {
		return errCorrupt
	}
	count, off := binary.LittleEndian.Uint32(b[56:]), binary.LittleEndian.Uint32(b[60:])
	n := notes{w: w, at: at}
	defer n.flush()
	total := 0
	for i := range uint64(count) {
		id := uint64(off) + 4*i
		if id+4 > uint64(len(b)) || total > 2*len(b) { // the latter: offsets that overlap
			break
		}
		s := b[min(uint64(binary.LittleEndian.Uint32(b[id:])), uint64(len(b))):]
		for len(s) > 0 && s[0]&0x80 != 0 {
			s = s[1:]
		}
		if len(s) == 0 {
			continue
		}
		if end := bytes.IndexByte(s[1:], 0); end > 0 {
			n.add(string(s[1 : 1+end]))
			total += end
		}
	}
	return nil
}

// walkPng visits the compressed texts of a picture (PNG specification, 11.3.3); the others stand in it as they are.
func walkPng(w *walker, at place, in *input) error {
	b := in.whole[8:]
	for len(b) >= 12 {
		size := int(min(binary.BigEndian.Uint32(b), 1<<30))
		if size > len(b)-12 {
			break
		}
		body := b[8 : 8+size]
		kind := string(b[4:8])
		if kind == "zTXt" || kind == "iTXt" {
			// A keyword, zero, and before the text some flags and names: the compressed part is where zlib begins.
			if i := bytes.Index(body, []byte("\x00")); i >= 0 {
				if k := bytes.IndexByte(body[i:], 0x78); k >= 0 && i+k+8 < len(body) && sniff(body[i+k:]) == kindZlib {
					if err := w.member(at, "text", &input{whole: body[i+k:]}); err != nil {
						return err
					}
				}
			}
		}
		b = b[12+size:]
	}
	return nil
}
