package decode

import (
	"bytes"
	"math/bits"

	"github.com/leakreach/leakreach/scanners/secrets/internal/planes"
)

// A finder costs time for each byte it looks at, and hardly any text hides something. So the text is read once, by vector instructions
// where there are any, for what each finder needs to see before it would do anything; it then looks only at the blocks of 64 bytes
// that hold such a place. A mark too many costs a little time, one that is missing is a bug.

// Finders, as far as marks lead them.
const (
	markRuns = iota
	markArrays
	markControl
	markHigh
	markPercent
	markEntity
	markMarkup
	markEscape
	markQuoted // printable
	markConcat
	markLines // at the line's break, or at the one before it
	finders
)

const (
	blockBits = 6                           // of planes.Size
	wordBits  = 6                           // of the blocks a word of marks speaks of
	atOnce    = 16                          // blocks: their planes are 3 KB, a tenth of the first-level cache
	never     = int(^uint(0) >> 1)          // is beyond every text
	fewWords  = 8                           // of marks: enough for 32 KB, and so for most sources
	wordBytes = 1 << (blockBits + wordBits) // a word of marks speaks of
)

// marks has a bit for each block of a text and finder.
type marks struct {
	few     [finders][fewWords]uint64
	many    []uint64 // of a long text, finder by finder
	words   int      // of each finder
	any     [finders]bool
	control bool // there are control characters that text does not have
}

func (m *marks) of(finder int) []uint64 {
	if m.many == nil {
		return m.few[finder][:m.words]
	}
	return m.many[finder*m.words:][:m.words]
}

// set marks the block of byte i.
func (m *marks) set(finder, i int) {
	if w := i / wordBytes; w < m.words {
		m.of(finder)[w] |= 1 << (i >> blockBits & (1<<wordBits - 1))
		m.any[finder] = true
	}
}

// has reports whether the block of byte i is marked.
func (m *marks) has(finder, i int) bool {
	return m.any[finder] && m.of(finder)[i/wordBytes]>>(i>>blockBits&(1<<wordBits-1))&1 != 0
}

// next returns i if its block is marked, or else the beginning of the first marked one after it.
func (m *marks) next(finder, i int) int {
	if !m.any[finder] {
		return never
	}
	words := m.of(finder)
	w, bit := i/wordBytes, i>>blockBits&(1<<wordBits-1)
	if w >= len(words) {
		return never
	}
	word := words[w] >> bit << bit
	for word == 0 {
		if w++; w == len(words) {
			return never
		}
		word = words[w]
	}
	return max(i, w*wordBytes+bits.TrailingZeros64(word)<<blockBits)
}

// blockEnd returns where the block of byte i ends.
func blockEnd(text []byte, i int) int { return min(i|(planes.Size-1)+1, len(text)) }

// Classes of bytes that marks are found by.
const (
	inRun        = iota // base64
	alnum               // letters and digits
	leads               // base64 whose group of four begins with an ASCII character, as far as its first,
	follows             // second
	thirds              // and third character tell
	magics              // first
	magics2             // and second characters of the formats that function magic knows, in base64
	inBase16or32        //
	inList              // see inArray
	digit               //
	inToken             //
	trigger             // ESC ^ % & \
	less                // <
	equal               // =
	quote               //
	dead                // what makes a quote before it no seam
	lineFeed            //
	lineBreaks          // line feed and carriage return
	closes              // see isClosing
	bends               // what may follow a token that goes on in the next line, or end a PEM header: \ ` ^ -
	odds                // control characters that text does not have
)

var byteClasses = func() *planes.Table {
	var classes [128]uint32
	for i := range classes {
		c := byte(i)
		set := func(class int, is bool) {
			if is {
				classes[i] |= 1 << class
			}
		}
		among := func(s string) bool { return bytes.IndexByte([]byte(s), c) >= 0 }
		v := base64s.value[c]
		set(inRun, isA(c, isBase64))
		set(alnum, isA(c, isWord) && c != '_')
		set(leads, v >= 0 && v < 32)
		set(follows, v >= 0 && v&8 == 0)
		set(thirds, v >= 0 && v&2 == 0)
		set(magics, among("HeUQ/_KNJB7I"))
		set(magics2, among("4AFJNElTL3V1CaT"))
		set(inBase16or32, isA(c, isHex) || base32s.value[c] >= 0)
		set(inList, inArray[c])
		set(digit, isA(c, isDigit))
		set(inToken, isA(c, isToken))
		set(trigger, among("\x1b^%&\\"))
		set(less, c == '<')
		set(equal, c == '=')
		set(quote, isQuote(c))
		set(dead, among(":]}>=/?"))
		set(lineFeed, c == '\n')
		set(lineBreaks, c == '\n' || c == '\r')
		set(closes, isA(c, isClosing))
		set(bends, among("\\`^-"))
		set(odds, isControl(c))
	}
	return planes.New(&classes)
}()

// mark reads text.
func (m *marks) mark(text []byte) {
	m.words = len(text)/wordBytes + 1
	if m.words > fewWords {
		m.many = make([]uint64, m.words*finders)
	}
	r := reader{marks: m, text: text}
	var blocks [1 + atOnce]planes.Block // the one before is looked at, too
	for at := 0; at < len(text)+planes.Size; at += atOnce * planes.Size {
		n := byteClasses.Split(blocks[1:], text[min(at, len(text)):min(at+atOnce*planes.Size, len(text))])
		if n < atOnce { // blanks follow, the first of which may end a line
			for k := n + 1; k <= atOnce; k++ {
				blocks[k] = planes.Block{inList: ^uint64(0)}
			}
			if k := 1 + len(text)/planes.Size - at/planes.Size; k > 0 {
				blocks[k][lineFeed] |= 1 << (len(text) % planes.Size)
				blocks[k][lineBreaks] |= 1 << (len(text) % planes.Size)
			}
			n = min(n+2, atOnce)
		}
		for k := range n {
			r.block(at+k*planes.Size, &blocks[k], &blocks[k+1])
		}
		blocks[0] = blocks[atOnce]
	}
}

// A reader goes over the blocks of a text. What it remembers of the block before are planes, but for the last two.
type reader struct {
	*marks
	text     []byte
	begins   uint64 // where base64 may begin
	groups   uint64 // ends of the first three characters of four in it that can stand for text
	octets   uint64 // whole bytes of the plane of base64
	pairs    uint64 // and two of them in a row
	octets16 uint64 // as octets, of base16 and base32
	signs    uint64 // equals signs after a token
	quotes   uint64 // after a token
	heads    uint64 // first characters of lines that can be those of an offset
	closed   uint64 // closing signs after a token with a digit
	carry    uint64 // a token with a digit goes on
	digits   int    // how many there were
}

// behind has bit j set if bit j-k of the plane is, which begins in last.
func behind(last, plane uint64, k int) uint64 { return plane<<k | last>>(planes.Size-k) }

// octets has the high bit of each byte set that is all ones. The bit above one that is not may be wrong.
func octets(plane uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (^plane - ones) & plane & high
}

// first returns the place of the lowest bit of a plane.
func first(plane uint64) int { return bits.TrailingZeros64(plane) }

// block sets the marks of the 64 bytes at i, whose planes are b. Here all bytes pass by, so this only sorts out where nothing can be;
// the methods below look closer.
func (r *reader) block(i int, last, b *planes.Block) {
	if b[planes.High]|b[odds] != 0 {
		r.control = r.control || b[odds] != 0
		if b[planes.High] != 0 {
			r.set(markHigh, i)
		}
	}

	// Base64 that begins a word, with three groups that look like text or the beginning of a known format; long runs of any; and
	// of hexadecimal or base32.
	begins := b[inRun] &^ behind(last[alnum], b[alnum], 1)
	groups := b[thirds] & behind(last[follows], b[follows], 1) & behind(last[leads], b[leads], 2)
	for hope := groups & behind(r.groups, groups, 4) & behind(r.groups, groups, 8) & behind(r.begins, begins, 10); hope != 0; hope &= hope - 1 {
		r.run(i + first(hope) - 10)
	}
	for hope := b[magics2] & behind(last[magics]&r.begins, b[magics]&begins, 1); hope != 0; hope &= hope - 1 {
		r.run(i + first(hope) - 1)
	}
	r.begins, r.groups = begins, groups
	whole, whole16 := octets(b[inRun]), octets(b[inBase16or32])
	pairs := whole & behind(r.octets, whole, 8)
	if long := pairs&behind(r.pairs, pairs, 16) | whole16&behind(r.octets16, whole16, 8); long != 0 {
		r.set(markRuns, i+first(long))
	}
	r.octets, r.pairs, r.octets16 = whole, pairs, whole16

	digits := bits.OnesCount64(b[digit])
	if digits+r.digits >= minDigits {
		r.array(i, last, b)
	}
	r.digits = digits

	token := b[inToken]
	after := behind(last[inToken], token, 1)
	for places := b[trigger] | b[less]&after; places != 0; places &= places - 1 {
		r.trigger(i + first(places))
	}

	equals, quotes := b[equal]&after, b[quote]&after
	for places := behind(r.signs, equals, 1) & (b[lineBreaks] | b[digit]); places != 0; places &= places - 1 {
		if p := i + first(places) - 1; signs(r.text, p) {
			r.set(markQuoted, p)
		}
	}
	for places := behind(r.quotes, quotes, 1) &^ b[dead]; places != 0; places &= places - 1 {
		if p := i + first(places) - 1; seamy(r.text, p) {
			r.set(markConcat, p)
		}
	}
	r.signs, r.quotes = equals, quotes

	// Where a line's last token has a digit: added to itself from there on, it carries over into what follows.
	breaks := b[lineBreaks]
	sum, carry := bits.Add64(token, token&b[digit], r.carry)
	ends := sum &^ token
	closed := ends & b[closes]
	for places := ends&breaks | behind(r.closed, closed, 1)&(breaks|b[closes]); places != 0; places &= places - 1 {
		r.wrap(i + first(places))
	}
	r.carry, r.closed = carry, closed
	for places := breaks & behind(last[bends], b[bends], 1); places != 0; places &= places - 1 {
		r.bend(i + first(places))
	}
	heads := behind(last[lineFeed], b[lineFeed], 1) & b[inBase16or32]
	for places := behind(r.heads, heads, minOffset-1) & b[inBase16or32]; places != 0; places &= places - 1 {
		if p := i + first(places) - (minOffset - 1); offset(r.text, p) {
			r.set(markLines, p-1)
		}
	}
	r.heads = heads
}

// run marks base64 at i that is worth decoding, even if it is short.
func (r *reader) run(i int) {
	for k := range minRun {
		if !isA(at(r.text, i+k), isBase64) {
			return
		}
	}
	if promising(r.text[i:]) {
		r.set(markRuns, i)
	}
}

// array marks where findArrays can be at a list: at eight bytes that one is made of, in a row that has enough words of them.
func (r *reader) array(i int, last, b *planes.Block) {
	const half = planes.Size / 2 // findArrays counts digits on both sides of a place
	ahead := func(lo, hi uint64, k int) uint64 { return lo>>k | hi<<(planes.Size-k) }
	lo, hi := behind(last[inList], b[inList], half), b[inList]>>half
	for k := 1; k < probe; k *= 2 {
		lo, hi = lo&ahead(lo, hi, k), hi&(hi>>k)
	}
	for lo != 0 {
		p := first(lo)
		n := first(^(lo >> p)) // more places of the same row
		if numbered(r.text, i-half+p) {
			if p < half {
				r.set(markArrays, i-half)
			}
			if p+n > half {
				r.set(markArrays, i)
			}
		}
		lo = lo >> p >> n << n << p
	}
}

// numbered reports whether the row of bytes of lists around i has as many words as a list has numbers.
func numbered(text []byte, i int) bool {
	const far = 512 // bytes on each side: what goes on that long is looked at
	n, word := 0, false
	lo := min(i, len(text))
	for lo > 0 && lo > i-far && inArray[text[lo-1]] {
		lo--
	}
	if lo <= i-far {
		return true
	}
	for ; lo < len(text) && inArray[text[lo]]; lo++ {
		was := word
		if word = isA(text[lo], isWord); word && !was {
			n++
		}
		if n >= minValues || lo > i+far {
			return true
		}
	}
	return false
}

// trigger marks what begins with a byte of its own.
func (r *reader) trigger(i int) {
	text := r.text
	switch c := at(text, i+1); text[i] {
	case 0x1b:
		r.set(markControl, i)
	case '^':
		if c == '[' && at(text, i+2) == '[' {
			r.set(markControl, i)
		}
	case '%':
		if isA(at(text, i+2), isHex) && (c >= '2' && c <= '7' || c == 'u') {
			r.set(markPercent, i)
		}
	case '&':
		if reference(text, i) > 0 {
			r.set(markEntity, i)
		}
	case '<':
		if inlineTag(text, i) > 0 {
			r.set(markMarkup, i)
		}
	case '\\':
		if unescape(text, i).strong {
			r.set(markEscape, i)
		}
		r.run(i + 2) // the escape's letter is no part of it
	}
}

// wrap marks the line breaks around a token that may be broken off there. The byte at i is what ends the token, or follows that.
func (r *reader) wrap(i int) {
	const widest = 2 << 10 // of a line that is a prefix and a part of a token
	text := r.text
	if !isA(at(text, i-1), isToken) {
		i--
	}
	if runBefore(text, i, minPart) < minPart {
		return
	}
	end := i
	for end < i+maxClosing && isA(at(text, end), isClosing) {
		end++
	}
	if at(text, end) == '\r' {
		end++
	}
	if end < len(text) && text[end] != '\n' {
		return
	}
	lo := max(i-widest, 0)
	if k := bytes.LastIndexByte(text[lo:i], '\n'); k >= 0 {
		r.broken(lo + k)
	}
	if end < len(text) {
		r.broken(end)
	}
}

// broken marks the line break at p if a token may go over it.
func (r *reader) broken(p int) {
	end := p
	if at(r.text, end-1) == '\r' {
		end--
	}
	if wraps(r.text, p, end) {
		r.set(markLines, p)
	}
}

// bend marks the line break at i if the byte before it joins the lines, or if a PEM header ends there.
func (r *reader) bend(i int) {
	text := r.text
	if text[i-1] == '-' && !bytes.HasSuffix(text[:i], []byte("-----")) || text[i-1] != '-' && !isA(at(text, i-2), isToken) {
		return
	}
	r.set(markLines, i)
	r.set(markLines, i+1) // if this is a carriage return
}
