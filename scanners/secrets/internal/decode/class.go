package decode

import (
	"bytes"
	"math/bits"
)

// Byte classes. A tally of the first group decides which finders run at all.
const (
	isBase64 = 1 << iota // either alphabet, no padding
	isDigit
	isHex
	isToken // what tokens and their glue are made of
	isWord  // letters, digits, _
)

var class = func() (t [256]uint8) {
	set := func(bit uint8, s string) {
		for i := range len(s) {
			t[s[i]] |= bit
		}
	}
	const upper, lower, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
	set(isBase64, upper+lower+digits+"+/-_")
	set(isDigit, digits)
	set(isHex, digits+"abcdefABCDEF")
	set(isToken, upper+lower+digits+"+/-_=.~:@")
	set(isWord, upper+lower+digits+"_")
	return t
}()

// A tally says which bytes a text holds that can belong to an encoding.
type tally struct {
	runs       bool // base64 characters, minRun or more in a row
	digits     bool // somewhere so many digits as a list of byte values has
	nul, bom   bool
	control    bool // ESC or ^
	high       bool // bytes above 0x7f
	percentAmp bool
	backslash  bool
	equals     bool
	quote      bool
	newline    bool
	markup     bool // <
}

func (t *tally) any() bool { return *t != tally{} }

// Counters of a block of 64 bytes, eight bits each, added up per byte from the table weight.
const (
	digitShift = 8 * iota
	nulShift
	controlShift // ESC and ^
	highShift
	percentAmpShift
	backslashShift
	equalsShift
	quoteShift
)

// base64Bit shares a counter's field with the quotes, of which there are at most 64: it is no sum, but read byte by byte.
const base64Bit = 1 << 63

var weight = func() (t [256]uint64) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = 1 << digitShift
		case c == 0:
			t[c] = 1 << nulShift
		case c == 0x1b || c == '^':
			t[c] = 1 << controlShift
		case c >= 0x80:
			t[c] = 1 << highShift
		case c == '%' || c == '&':
			t[c] = 1 << percentAmpShift
		case c == '\\':
			t[c] = 1 << backslashShift
		case c == '=':
			t[c] = 1 << equalsShift
		case c == '"' || c == '\'' || c == '`':
			t[c] = 1 << quoteShift
		}
		if class[c]&isBase64 != 0 {
			t[c] |= base64Bit
		}
	}
	return t
}()

// minRun is the shortest base64 worth decoding: 16 characters hold 12 bytes, and shorter secrets are found nowhere.
const minRun = 16

// minDigits of a block's 64 bytes must be digits before it can hold a list of byte values: "[char]68 + ", the widest way to
// write one, has two in eleven.
const minDigits = 10

// classify looks at every byte of text once.
func classify(text []byte) (t tally) {
	var all, carry uint64
	for i := 0; i < len(text); i += 64 {
		block := text[i:min(i+64, len(text))]
		var sum, mask uint64
		for _, c := range block {
			w := weight[c]
			sum += w
			mask = mask>>1 | w&base64Bit
		}
		if len(block) < 64 {
			mask >>= 64 - len(block)
		}
		all |= sum
		if !t.digits && sum>>digitShift&0xff >= minDigits*uint64(len(block))/64 && len(block) >= 32 {
			t.digits = true
		}
		if !t.runs {
			lead := uint64(bits.TrailingZeros64(^mask))
			m := mask & (mask >> 1)
			m &= m >> 2
			m &= m >> 4
			m &= m >> 8
			t.runs = m != 0 || carry+lead >= minRun
			carry = uint64(bits.LeadingZeros64(^mask))
			if mask == ^uint64(0) {
				carry = 64
			}
		}
	}
	has := func(shift int) bool { return all>>shift&0x7f != 0 }
	t.nul = has(nulShift)
	t.control = has(controlShift)
	t.high = has(highShift)
	t.bom = t.high && len(text) >= 2 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff)
	t.percentAmp = has(percentAmpShift)
	t.backslash = has(backslashShift)
	t.equals = has(equalsShift)
	t.quote = has(quoteShift)
	t.markup = bytes.Contains(text, []byte("</"))
	t.newline = bytes.IndexByte(text, '\n') >= 0
	return t
}
