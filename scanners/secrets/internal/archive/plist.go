package archive

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// plistMagic begins Apple's binary property lists. CFBinaryPList.c of CoreFoundation describes the format: objects, a table of where they
// are, and a trailer that says where the table is.
const plistMagic = "bplist00"

// walkPlist visits a property list's strings, before which the length stands that can be taken for a letter of theirs, and its data.
func walkPlist(w *walker, at place, in *input) error {
	const trailer = 32
	b := in.whole
	if len(b) < len(plistMagic)+trailer {
		return errCorrupt
	}
	end := b[len(b)-trailer:]
	width := int(end[6]) // of an offset
	count, table := binary.BigEndian.Uint64(end[8:]), binary.BigEndian.Uint64(end[24:])
	if width < 1 || width > 8 || table > uint64(len(b)-trailer) || count > (uint64(len(b)-trailer)-table)/uint64(width) {
		return errCorrupt
	}
	n := notes{w: w, at: at}
	defer n.flush()
	for i := range int(count) {
		offset := number(b[int(table)+i*width:][:width])
		if offset >= table {
			return errCorrupt
		}
		kind, content := plistObject(b[offset:table])
		switch kind {
		case 5:
			n.add(string(content))
		case 6:
			units := make([]uint16, len(content)/2)
			for k := range units {
				units[k] = binary.BigEndian.Uint16(content[2*k:])
			}
			n.add(string(utf16.Decode(units)))
		case 4:
			if err := w.member(at, fmt.Sprintf("data %d", i), &input{whole: content}); err != nil {
				return err
			}
		}
	}
	return nil
}

// plistObject returns the kind of the object that b begins with, and the content of a string or of data.
func plistObject(b []byte) (kind byte, content []byte) {
	kind = b[0] >> 4
	size, b := int(b[0]&0xf), b[1:]
	if size == 0xf { // an integer of 2ⁿ bytes follows
		if len(b) == 0 || b[0]>>4 != 1 || b[0]&0xf > 3 || len(b) <= 1<<(b[0]&0xf) {
			return 0, nil
		}
		bytes := 1 << (b[0] & 0xf)
		n := number(b[1:][:bytes])
		if n > uint64(len(b)) {
			return 0, nil
		}
		size, b = int(n), b[1+bytes:]
	}
	if kind == 6 {
		size *= 2
	}
	return kind, b[:min(size, len(b))]
}

// number reads a big-endian integer of up to eight bytes.
func number(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
