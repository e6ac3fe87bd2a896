package decode

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
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
	long    int  // long runs that end before this have been judged
	row     row  // of bytes of lists, that numbered has read last
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

// has reports whether the block of byte i is marked already.
func (m *marks) has(finder, i int) bool {
	w := i / wordBytes
	return w < m.words && m.of(finder)[w]>>(i>>blockBits&(1<<wordBits-1))&1 != 0
}

// setAll marks all blocks for all finders.
func (m *marks) setAll() {
	for f := range finders {
		for w := range m.of(f) {
			m.of(f)[w] = ^uint64(0)
		}
		m.any[f] = true
	}
	m.control = true
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
	inRun      = iota // base64
	alnum             // letters and digits
	opens             // base64 whose group of four begins with a byte of text, as far as its first,
	follows           // second
	thirds            // and third character tell
	magics            // first
	magics2           // and second characters of the formats that function magic knows, in base64
	inBase32          //
	inHex             // base16
	highDigit         // the first digit of a byte of text in base16; u, as in %u0041
	inList            // see inArray
	digit             //
	inToken           //
	trigger           // ESC ^ % & < \
	quote             //
	dead              // what makes a quote before it no seam
	lineFeed          //
	lineBreaks        // line feed and carriage return
	closes            // see isClosing
	bends             // what may follow a token that goes on in the next line, or end a PEM header: \ ` ^ -; and ESC
	odds              // control characters that text does not have
	comma             //
	blanks            // space and tab
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
		set(opens, v >= 8 && v < 32 || v == 0 || v == 2 || v == 3) // the first bytes of text are ' ' to '~' and "\x00\t\n\r"
		set(follows, v >= 0 && v&8 == 0 && v&15 != 1)              // and so are the second
		set(thirds, v >= 0 && v&2 == 0)
		set(magics, among("HeUQ/_KNJB7I"))
		set(magics2, among("4AFJNElTL3V1CaT"))
		set(inBase32, base32s.value[c] >= 0)
		set(inHex, isA(c, isHex))
		set(highDigit, among("0234567u"))
		set(inList, inArray[c])
		set(digit, isA(c, isDigit))
		set(inToken, isA(c, isToken))
		set(trigger, among("\x1b^%&<\\"))
		set(quote, isQuote(c))
		set(dead, among(":]}>=/?"))
		set(lineFeed, c == '\n')
		set(lineBreaks, c == '\n' || c == '\r')
		set(closes, isA(c, isClosing))
		set(bends, among("\\`^-\x1b"))
		set(odds, isControl(c))
		set(comma, c == ',')
		set(blanks, c == ' ' || c == '\t')
	}
	return planes.New(&classes)
}()

// mark reads text.
func (m *marks) mark(text []byte, of *fresh.Text, l *level) {
	m.words = len(text)/wordBytes + 1
	if m.words > fewWords {
		n := m.words * finders
		l.words = slices.Grow(l.words[:0], n)[:n]
		clear(l.words)
		m.many = l.words
	}
	if l.sieve == nil {
		l.sieve = new(sieve)
	}
	next := 0
	for _, part := range of.Spans(len(text)) {
		lo := max(next, (part.Lo-warm)/step*step)
		if lo > next || next == 0 {
			*l.sieve = sieve{}
		}
		next = m.sift(text, lo, part.Hi, l.sieve)
	}
	if m.control {
		of.Lose()
	}
}

const (
	// step is what the sieve takes at once, in bytes.
	step = planes.Blocks * planes.Size
	// warm is how much text before a part passes through the sieve: a line, and more than a token.
	warm = fresh.Behind
)

// sift reads text from lo, which is a multiple of step, to hi. It returns where it has come to.
func (m *marks) sift(text []byte, lo, hi int, s *sieve) int {
	at := lo
	for ; at <= hi+planes.Size/2; at += step { // what is marked by what follows has half a block to follow
		byteClasses.Next(&s.group, text[min(at, len(text)):])
		if end := len(text) - at; end >= 0 && end < step { // which may end a line
			s.group[lineFeed][planes.First+end/planes.Size] |= 1 << (end % planes.Size)
			s.group[lineBreaks][planes.First+end/planes.Size] |= 1 << (end % planes.Size)
		}
		s.sift()
		m.look(text, at, s)
	}
	return at
}

// look looks closer at what is left in the sieve of the text from i on. Some places are behind what they speak of: there the sieve has
// seen enough of it.
func (m *marks) look(text []byte, i int, s *sieve) {
	m.control = m.control || s.where[inOdds] != 0
	for w := s.where[inHigh]; w != 0; w &= w - 1 {
		m.set(markHigh, i+first(uint64(w))*planes.Size)
	}
	for p := range s.left(inGroups) {
		m.run(text, i+p-10)
	}
	for p := range s.left(inMagics) {
		m.run(text, i+p-(minRun-1))
	}
	for p := range s.left(inTexts) {
		if i+p >= m.long {
			m.longRun(text, i, p, &s.group[inRun])
		}
	}
	for p := range s.left(inHexes) {
		m.hexRun(text, i+p-(minHex-1))
	}
	for p := range s.left(inEnds) {
		m.set(markRuns, i+p-1)
	}
	rows := s.where[inRows] | s.where[inRows]<<1 | s.rows // the row of a place ends in its block or the next
	s.rows = s.where[inRows] >> (planes.Blocks - 1)
	for w := s.where[inDigits] & rows; w != 0; w &= w - 1 {
		b := first(uint64(w))
		m.array(text, i+b*planes.Size, &s.group, b)
	}
	for p := range s.left(inControls) {
		if p += i - 1; text[p] == 0x1b || at(text, p+1) == '[' && at(text, p+2) == '[' {
			m.set(markControl, p)
		}
	}
	for p := range s.left(inPercents) {
		m.set(markPercent, i+p-2)
	}
	for p := range s.left(inEntities) {
		p += i
		lo := max(p-longestReference, 0)
		if k := bytes.LastIndexByte(text[lo:min(p, len(text))], '&'); k >= 0 && reference(text, lo+k) > 0 {
			m.set(markEntity, lo+k)
		}
	}
	for p := range s.left(inTags) {
		if inlineTag(text, i+p) > 0 {
			m.set(markMarkup, i+p)
		}
	}
	for p := range s.left(inEscapes) {
		m.escape(text, i+p-toToken)
	}
	for p := range s.left(inSigns) {
		if p += i - 2; signs(text, p) {
			m.set(markQuoted, p)
		}
	}
	for p := range s.left(inSeams) {
		if p = lastQuote(text, i+p-3); p >= 0 && !m.has(markConcat, p) && seamy(text, p) {
			m.set(markConcat, p)
		}
	}
	for p := range s.left(inWraps) {
		m.wrap(text, s.feedBefore(text, i, p), i+p)
	}
	for p := range s.left(inBends) {
		m.bend(text, i+p)
	}
	for p := range s.left(inHeads) {
		if p += i - (minOffset - 1); offset(text, p) {
			m.set(markLines, p-1)
		}
	}
}

// run marks base64 at i that is worth decoding, even if it is short.
func (m *marks) run(text []byte, i int) {
	for k := range minRun {
		if !isA(at(text, i+k), isBase64) {
			return
		}
	}
	if promising(text[i:]) {
		m.set(markRuns, i)
	}
}

// lastQuote returns the place of the last quote before i, or -1.
func lastQuote(text []byte, i int) int {
	for i = min(i, len(text)) - 1; i >= 0 && !isQuote(text[i]); i-- {
	}
	return i
}

// longRun marks the run around byte p of the group of blocks at i, unless it is in the group and nothing but noise.
func (m *marks) longRun(text []byte, i, p int, plane *[planes.First + planes.Blocks]uint64) {
	b, bit := planes.First+p/planes.Size, p%planes.Size
	after := bits.TrailingZeros64(^plane[b] >> bit) // bytes of the run from p on
	for k := b; after >= (k+1-b)*planes.Size-bit; {
		if k++; k == len(plane) {
			m.long = i + planes.Blocks*planes.Size
			m.set(markRuns, i+p)
			return
		}
		after = (k-b)*planes.Size - bit + bits.TrailingZeros64(^plane[k])
	}
	m.long = i + p + after
	before := bits.LeadingZeros64(^plane[b] << (planes.Size - 1 - bit)) // bytes up to p
	for k := b; before >= (b-k)*planes.Size+bit+1; {
		if k--; k < planes.First-1 {
			m.set(markRuns, i+p)
			return
		}
		before = (b-1-k)*planes.Size + bit + 1 + bits.LeadingZeros64(^plane[k])
	}
	if hides(text, i+p+1-before, m.long) {
		m.set(markRuns, i+p)
	}
}

// hexRun marks base16 at i if it is of a known format.
func (m *marks) hexRun(text []byte, i int) {
	var head [8]byte
	for k := range head {
		r, ok := unhex(text, i+2*k, 2)
		if !ok || k == 0 && !magical[r] {
			return
		}
		head[k] = byte(r)
	}
	if magic(head[:]) != noise {
		m.set(markRuns, i)
	}
}

// array marks where findArrays finds a list when it comes by: it takes a step of half a block and looks on both sides of a place.
func (m *marks) array(text []byte, i int, g *planes.Group, b int) {
	for _, p := range [...]int{i - stride/2, i + stride/2} {
		around := func(class int) uint64 { // from p-stride to p+stride
			last, this := g[class][planes.First+b-1], g[class][planes.First+b]
			if p < i {
				return ahead(last, this, planes.Size-stride/2-stride)
			}
			return ahead(last, this, planes.Size+stride/2-stride)
		}
		list, digits := around(inList), around(digit)
		if list>>stride&(1<<probe-1) != 1<<probe-1 || bits.OnesCount64(digits) < minDigits {
			continue
		}
		ahead := digits >> stride
		if p+2*probe <= len(text) && (ahead&(1<<probe-1) == 0 || ahead>>probe&(1<<probe-1) == 0) {
			continue
		}
		words := around(alnum)
		if min(bits.LeadingZeros64(^(words<<stride)), maxDigits)+min(first(^(words>>stride)), maxDigits) > maxDigits {
			continue
		}
		begin, end := stride-bits.LeadingZeros64(^(list<<stride)), stride+first(^(list>>stride))
		words &= list
		words &^= words << 1 // their first bytes
		enough := bits.OnesCount64(words>>begin<<begin&(1<<end-1)) >= minValues
		if enough || (begin == 0 || end == planes.Size) && m.numbered(text, p) { // not all of the row is here
			m.set(markArrays, p)
		}
	}
}

// ahead has bit j set if bit j+k of the plane is, which begins in last.
func ahead(last, plane uint64, k int) uint64 { return last>>k | plane<<(planes.Size-k) }

// A row is one of bytes of lists, as far as it was read: to its end or until it had words enough.
type row struct{ lo, hi, words int }

// long reports whether the row may be a list, or is so long that only the finder can tell.
func (r *row) long() bool { return r.words >= minValues || r.hi-r.lo > fresh.Behind }

// numbered reports whether the row of bytes of lists around i has as many words as a list has numbers. It is asked for ascending places, and
// reads a row once.
func (m *marks) numbered(text []byte, i int) bool {
	r := &m.row
	if i = min(i, len(text)); i <= r.hi && r.hi > 0 {
		return r.long()
	}
	lo := i
	for lo > r.hi && inArray[text[lo-1]] {
		lo--
	}
	if lo > r.hi || r.words < minValues { // another row
		*r = row{lo: lo, hi: lo}
		word := false
		for ; r.words < minValues && r.hi < len(text) && inArray[text[r.hi]]; r.hi++ {
			was := word
			if word = isA(text[r.hi], isWord); word && !was {
				r.words++
			}
		}
	}
	r.hi = max(r.hi, i)
	return r.long()
}

// escape marks the backslash at i.
func (m *marks) escape(text []byte, i int) {
	if !m.has(markEscape, i) && reveals(text, i) {
		m.set(markEscape, i)
	}
	m.run(text, i+2) // the escape's letter is no part of it
	if isA(at(text, i+1), isHex) {
		m.hexRun(text, i+2)
	}
}

// wrap marks the line break at p if a token may go over it, and on in the line that ends at i.
func (m *marks) wrap(text []byte, p, i int) {
	if !leads(text[p+1 : i]) {
		return
	}
	end := p
	if at(text, end-1) == '\r' {
		end--
	}
	if wraps(text, p, end) {
		m.set(markLines, p)
	}
}

// bend marks the line break at i if the byte before it joins the lines, or if a PEM header ends there.
func (m *marks) bend(text []byte, i int) {
	if text[i-1] == '-' && !bytes.HasSuffix(text[:i], []byte("-----")) || text[i-1] != '-' && !isA(at(text, i-2), isToken) {
		return
	}
	m.set(markLines, i)
	m.set(markLines, i+1) // if this is a carriage return
}
