package decode

// Digits of an offset that a line of a dump begins with.
const minOffset, maxOffset = 6, 16

// dump undoes the output of hexdump -C, xxd and od -tx1: an offset, hexadecimal bytes in groups, and often the same as text. The line
// that begins at lo may be one of them.
func (b *builder) dump(text []byte, lo int) {
	const widest = 120
	if !offset(text, lo) {
		return
	}
	hi := lineBreak(text, lo)
	var buf [64]byte
	found := dumpLine(text[lo:min(hi, lo+widest)], buf[:0])
	if len(found) == 0 {
		return
	}
	if b.open && b.cur == lo-1 { // the line before was one, too: the break is not part of the bytes
		lo--
	}
	b.replace(lo, hi, found, 0, 1)
}

// offset reports whether the line that begins at i does so with one, and goes on.
func offset(text []byte, i int) bool {
	n := 0
	for n <= maxOffset && isA(at(text, i+n), isHex) {
		n++
	}
	return n >= minOffset && n <= maxOffset && i+n < len(text) && text[i+n] != '\n'
}

// dumpLine returns the bytes that a line of a dump shows, or none.
func dumpLine(line, buf []byte) []byte {
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
