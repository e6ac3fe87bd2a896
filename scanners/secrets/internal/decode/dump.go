package decode

import "bytes"

// findDumps undoes the output of hexdump -C, xxd and od -tx1: an offset, hexadecimal bytes in groups, and often the same as text.
func findDumps(b *builder, text []byte) {
	var buf [64]byte
	scan(text, "\n", func(p int) int {
		if p > 0 && b.cur != p { // the first line of a dump follows a break, or begins the text
			if first := bytes.LastIndexByte(text[:p], '\n') + 1; first == 0 {
				if n := dumpLine(text[:p], buf[:0]); len(n) > 0 && !b.replace(0, p, n, 0, 1) {
					return p
				}
			}
		}
		hi := p + 1
		if k := bytes.IndexByte(text[hi:min(hi+120, len(text))], '\n'); k >= 0 {
			hi += k
		} else {
			hi = min(hi+120, len(text))
		}
		found := dumpLine(text[p+1:hi], buf[:0])
		if len(found) == 0 {
			return p + 1
		}
		lo := p + 1
		if b.open && b.cur == p { // the line before was one, too: the break is not part of the bytes
			lo = p
		}
		if !b.replace(lo, hi, found, 0, 1) {
			return p
		}
		return hi
	})
}

// dumpLine returns the bytes that a line of a dump shows, or none.
func dumpLine(line, buf []byte) []byte {
	const minOffset, maxOffset = 6, 16
	n := 0
	for n < len(line) && isA(line[n], isHex) {
		n++
	}
	if n < minOffset || n > maxOffset || n == len(line) {
		return nil
	}
	line = line[n:]
	if line[0] == ':' {
		line = line[1:]
	}
	for len(line) > 1 && line[0] == ' ' && len(buf) < cap(buf) {
		blanks := 0
		for blanks < len(line) && line[blanks] == ' ' {
			blanks++
		}
		k := blanks
		for k < len(line) && isA(line[k], isHex) {
			k++
		}
		// Two blanks part the halves of a line in one dump and bytes from text in the other: there what follows is no pair.
		if k-blanks == 0 || (k-blanks)%2 == 1 || k-blanks > 32 || k < len(line) && line[k] != ' ' {
			break
		}
		for i := blanks; i < k && len(buf) < cap(buf); i += 2 {
			r, _ := unhex(line, i, 2)
			buf = append(buf, byte(r))
		}
		line = line[k:]
		if len(buf) == 16 {
			break
		}
	}
	if len(buf) == 0 || !isASCII(buf) {
		return nil
	}
	return buf
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}
