package decode

import (
	"bytes"
	"encoding/binary"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

const (
	stride    = 32 // a list of minValues is at least as long, so each step falls into it
	probe     = 8  // bytes that must look like a list before more is tried
	minDigits = 5  // of the 32 bytes at least that are part of the list
	maxDigits = 8  // of a number: it is binary
)

// findArrays undoes lists of byte values: {0x67, 0x68}, [103, 104], "67 68", "67:68", 01100111 01101000.
func findArrays(b *builder, m *marks, text []byte) {
	l := list{text: text, level: b.level()}
	done := 0
	for p := stride / 2; p < len(text); p += stride {
		if to := m.next(markArrays, p); to >= len(text) {
			return
		} else if to > p { // the beginning of a block, and so of a step
			p = to + stride/2
		}
		if p < done || p >= len(text) || p+16 <= len(text) && !hasDigit(text[p:p+8]) && !hasDigit(text[p+8:p+16]) { // "[char]68 + " is the widest way to write a value
			continue
		}
		i := p
		for i < len(text) && i < p+probe && inArray[text[i]] {
			i++
		}
		if i < p+probe && i < len(text) || wordy(text, p) || !numeric(text[max(p-stride, 0):min(p+stride, len(text))]) {
			continue
		}
		lo := p
		for lo > done && inArray[text[lo-1]] {
			lo--
		}
		if done = l.read(b, lo); done-lo > fresh.Behind {
			b.src.known.Touch(lo, done)
		}
		if b.d.stopped {
			return
		}
	}
}

// hasDigit reports whether one of eight bytes is a digit.
func hasDigit(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	w := binary.LittleEndian.Uint64(b) ^ '0'*ones // digits become 0 to 9
	return (w&^high+(0x80-10)*ones|w)&high != high
}

// wordy reports whether a word around p is longer than any number of a list.
func wordy(text []byte, p int) bool {
	lo, hi := p, p
	for lo > 0 && lo > p-maxDigits && isA(text[lo-1], isWord) {
		lo--
	}
	for hi < len(text) && hi < p+maxDigits && isA(text[hi], isWord) {
		hi++
	}
	return hi-lo > maxDigits
}

// numeric reports whether text has as many digits as a list of byte values.
func numeric(text []byte) bool {
	n := 0
	for _, c := range text {
		if c-'0' < 10 {
			n++
		}
	}
	return n >= minDigits
}

var inArray = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEFxXuUhHrR ,;:-_{}[]()'\"\n\r\t\\+.&|") {
		t[c] = true
	}
	return t
}()

// inNumber are those of them that numbers and calls are made of.
var inNumber = func() (t [256]bool) {
	for c := range t {
		t[c] = inArray[c] && isA(byte(c), isWord)
	}
	return t
}()

// minValues is how many byte values make a list: 12, as the shortest base64 run holds.
const minValues = 12

// minRow is how many bytes they take at least, digits and what parts them.
const minRow = 2*minValues - 1

// Bases that a number can be written in.
const (
	decimal = 1 << iota
	pairs   // two hexadecimal digits
	prefixed
	bits8
)

// A list gathers numbers that follow each other.
type list struct {
	text   []byte
	bases  uint8 // that all of its numbers allow
	comma  bool
	lo, hi int
	*level // has its values, by base
}

// read goes over the numbers from i on and returns where something else stands.
func (l *list) read(b *builder, i int) int {
	const most = window / 8 // values per view
	text := l.text
	l.hi = i
	for i < len(text) {
		if !inNumber[text[i]] {
			if !inArray[text[i]] {
				break
			}
			if text[i] == ',' {
				l.comma = true
			}
			if i-l.hi > 64 || l.text[i] == ')' && at(l.text, i+1) == ':' { // blank bytes, or a type in front of the list: hex(1):67,00
				l.finish(b)
			}
			i++
			continue
		}
		end := i + 1
		for end < len(text) && inNumber[text[end]] {
			end++
		}
		if text[i]|0x20 == 'c' && isCall(text[i:end]) {
			i = end
			continue
		}
		dec, hex, bases := number(text[i:end])
		if len(l.dec) > 0 && (l.bases&bases == 0 || len(l.dec) >= most) {
			l.finish(b)
		}
		if bases != 0 {
			if len(l.dec) == 0 {
				l.lo, l.bases = i, bases
			}
			l.bases &= bases
			l.dec, l.hex, l.hi = append(l.dec, dec), append(l.hex, hex), end
		} else {
			l.comma = false
		}
		i = end
	}
	l.finish(b)
	return i
}

// isCall reports whether word makes a character of a number, as in chr(103)+chr(104).
func isCall(word []byte) bool {
	return bytes.EqualFold(word, []byte("chr")) || bytes.EqualFold(word, []byte("char"))
}

// number reads a byte value in every base its digits allow.
func number(word []byte) (dec, hex byte, bases uint8) {
	if n := len(word); n > 2 {
		if last := word[n-1] | 0x20; last == 'u' || last == 'h' {
			word = word[:n-1]
		} else if n > 3 && word[n-2] == 'u' && word[n-1] == '8' {
			word = word[:n-2]
		}
	}
	switch n := len(word); n {
	case 1:
		if d := word[0] - '0'; d < 10 {
			return d, 0, decimal
		}
		return 0, 0, 0
	case 2:
		if a, b := word[0]-'0', word[1]-'0'; a < 10 && b < 10 {
			return a*10 + b, a<<4 | b, decimal | pairs
		}
		if a, b := base16s.value[word[0]], base16s.value[word[1]]; a|b >= 0 {
			return 0, byte(a)<<4 | byte(b), pairs
		}
		return 0, 0, 0
	case 3, 4:
		if word[0] == '0' && word[1]|0x20 == 'x' {
			v, ok := unhex(word, 2, n-2)
			if !ok {
				return 0, 0, 0
			}
			return byte(v), byte(v), prefixed
		}
		if n == 4 {
			return 0, 0, 0
		}
		a, b, c := word[0]-'0', word[1]-'0', word[2]-'0'
		if v := int(a)*100 + int(b)*10 + int(c); a < 10 && b < 10 && c < 10 && v <= 0xff {
			return byte(v), 0, decimal
		}
		return 0, 0, 0
	case 8:
		var v byte
		for _, c := range word {
			if c != '0' && c != '1' {
				return 0, 0, 0
			}
			v = v<<1 | c&1
		}
		return v, v, bits8
	}
	return 0, 0, 0
}

// finish shows the list if it spells text.
func (l *list) finish(b *builder) {
	if len(l.dec) >= minValues {
		l.dec, l.hex = narrow(l.dec), narrow(l.hex)
		values := l.dec
		if l.bases&pairs != 0 && (l.bases&decimal == 0 || (!l.comma || !printable(l.dec)) && printable(l.hex)) {
			values = l.hex
		}
		if printable(values) {
			b.replace(l.lo, l.hi, values, l.hi-l.lo, len(values))
		}
	}
	l.dec, l.hex, l.comma = l.dec[:0], l.hex[:0], false
}

// narrow returns the characters of UTF-16 whose every other byte is zero, in place, or values as they are.
func narrow(values []byte) []byte {
	n := len(values) / 2
	for _, zero := range []int{1, 0} { // little endian, as in exports of the Windows registry, and big endian
		k := 0
		for k < n && values[2*k+zero] == 0 {
			k++
		}
		if k < n {
			continue
		}
		for k = range n {
			values[k] = values[2*k+1-zero]
		}
		for n > 0 && values[n-1] == 0 { // which ends a string
			n--
		}
		return values[:n]
	}
	return values
}

// printable reports whether values are all text, or hold as much of it in a row as decoded bytes must.
func printable(values []byte) bool {
	row := 0
	for _, c := range values {
		if row++; c < ' ' && c != '\n' && c != '\r' && c != '\t' || c >= 0x7f {
			row = 0
		}
		if row >= minText {
			return true
		}
	}
	return row == len(values) && row > 0
}
