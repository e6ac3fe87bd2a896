package decode

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// A width is how a text of wide characters is stored.
type width struct {
	bytes int // 2 or 4
	order binary.ByteOrder
	bom   int
}

// wholeWidth returns how text is stored if it is UTF-16 or UTF-32 from its first byte on, with or without a byte order mark.
func wholeWidth(text []byte) (w width, ok bool) {
	le, be := binary.ByteOrder(binary.LittleEndian), binary.ByteOrder(binary.BigEndian)
	switch {
	case len(text) < 8:
		return w, false
	case bytes.HasPrefix(text, []byte{0xff, 0xfe, 0, 0}):
		return width{4, le, 4}, true
	case bytes.HasPrefix(text, []byte{0, 0, 0xfe, 0xff}):
		return width{4, be, 4}, true
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		return width{2, le, 2}, true
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return width{2, be, 2}, true
	}
	// Without a mark: where the zeros of ASCII characters lie in the first 256 bytes.
	var zeros [4]int
	sample := text[:min(len(text), 256)&^3]
	for i, c := range sample {
		if c == 0 {
			zeros[i%4]++
		}
	}
	most := len(sample) / 4 * 3 / 4
	switch full := func(i int) bool { return zeros[i] > most }; {
	case full(1) && full(2) && full(3) && !full(0):
		return width{4, le, 0}, true
	case full(0) && full(1) && full(2) && !full(3):
		return width{4, be, 0}, true
	case full(1) && full(3) && zeros[0]+zeros[2] == 0 && text[1]|text[3]|text[5] == 0:
		return width{2, le, 0}, true
	case full(0) && full(2) && zeros[1]+zeros[3] == 0 && text[0]|text[2]|text[4] == 0:
		return width{2, be, 0}, true
	}
	return w, false
}

// decodeWide shows all of text, which is stored as w says, in UTF-8.
func decodeWide(b *builder, text []byte, w width) {
	if w.bytes == 4 {
		b.name = "utf-32"
	}
	var buf []byte
	from := 0 // of the characters in buf, which all are ASCII
	put := func(lo, hi, num int) bool {
		ok := b.replace(lo, hi, buf, num, 1)
		buf = buf[:0]
		from = hi
		return ok
	}
	i := w.bom
	if !put(0, i, 0) {
		return
	}
	for i+w.bytes <= len(text) {
		r, n := rune(w.order.Uint16(text[i:])), 2
		if w.bytes == 4 {
			r, n = rune(w.order.Uint32(text[i:])), 4
		} else if utf16.IsSurrogate(r) && i+4 <= len(text) {
			r, n = utf16.DecodeRune(r, rune(w.order.Uint16(text[i+2:]))), 4
		}
		if r >= utf8.RuneSelf {
			if !put(from, i, w.bytes) {
				return
			}
			buf = utf8.AppendRune(buf, r)
			if !put(i, i+n, 0) {
				return
			}
		} else {
			buf = append(buf, byte(r))
			if len(buf) >= window/4 && !put(from, i+n, w.bytes) {
				return
			}
		}
		i += n
	}
	put(from, i, w.bytes)
}

// minWide is how many wide ASCII characters in a row are taken for text inside other bytes, such as a resource of a program. Two of
// three bytes of small binary numbers look like that too, for shorter stretches.
const minWide = 8

// findWide shows stretches of UTF-16 ASCII inside a text.
func findWide(b *builder, text []byte) {
	printable := func(i int) bool {
		return text[i] >= ' ' && text[i] < 0x7f || text[i] == '\n' || text[i] == '\r' || text[i] == '\t'
	}
	var buf []byte
	for i := 1; i+1 < len(text); {
		k := bytes.IndexByte(text[i:], 0)
		if k < 0 {
			return
		}
		i += k
		if i+1 >= len(text) || !printable(i-1) || !printable(i+1) {
			i++
			continue
		}
		lo, hi := i-1, i-1 // printable characters at lo, lo+2, …; zeros between them
		buf = buf[:0]
		for hi < len(text) && printable(hi) && len(buf) < window/4 {
			buf = append(buf, text[hi])
			hi += 2
			if hi-1 >= len(text) || text[hi-1] != 0 {
				break
			}
		}
		hi = min(hi, len(text))
		if len(buf) >= minWide && !b.replace(lo, hi, buf, 2, 1) {
			return
		}
		i = max(hi-1, i+1)
	}
}
