package decode

import (
	"bytes"
	"math/bits"
	"slices"

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
	judged  int  // line breaks before this have been judged
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
	inRun        = iota // base64
	alnum               // letters and digits
	opens               // base64 whose group of four begins with an ASCII character, as far as its first,
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
	comma               //
	space               //
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
		set(opens, v >= 0 && v < 32)
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
		set(comma, c == ',')
		set(space, c == ' ')
	}
	return planes.New(&classes)
}()

// mark reads text.
func (m *marks) mark(text []byte, l *level) {
	m.words = len(text)/wordBytes + 1
	if m.words > fewWords {
		n := m.words * finders
		l.words = slices.Grow(l.words[:0], n)[:n]
		clear(l.words)
		m.many = l.words
	}
	const step = planes.Blocks * planes.Size
	var s sieve
	for at := 0; at <= len(text)+planes.Size/2; at += step { // what is marked by what follows has half a block to follow
		byteClasses.Next(&s.group, text[min(at, len(text)):])
		if end := len(text) - at; end >= 0 && end < step { // which may end a line
			s.group[lineFeed][1+end/planes.Size] |= 1 << (end % planes.Size)
			s.group[lineBreaks][1+end/planes.Size] |= 1 << (end % planes.Size)
		}
		s.sift()
		m.look(text, at, &s)
	}
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
		m.run(text, i+p-1)
	}
	for p := range s.left(inLong) {
		if i+p >= m.long {
			m.longRun(text, i, p, &s.group[inRun])
		}
	}
	rows := s.where[inRows] | s.where[inRows]<<1 | s.rows // the row of a place ends in its block or the next
	s.rows = s.where[inRows] >> (planes.Blocks - 1)
	for w := s.where[inDigits] & rows; w != 0; w &= w - 1 {
		b := first(uint64(w))
		m.array(text, i+b*planes.Size, s.group[inList][b], s.group[inList][1+b])
	}
	for p := range s.left(inTriggers) {
		m.trigger(text, i+p)
	}
	for p := range s.left(inSigns) {
		if p += i - 1; signs(text, p) {
			m.set(markQuoted, p)
		}
	}
	for p := range s.left(inSeams) {
		if p += i - 5; seamy(text, p) {
			m.set(markConcat, p)
		}
	}
	for p := range s.left(inWraps) {
		m.wrap(text, i+p)
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

// longRun marks the run around byte p of the group of blocks at i, unless it is in the group and nothing but noise.
func (m *marks) longRun(text []byte, i, p int, plane *[1 + planes.Blocks]uint64) {
	b, bit := 1+p/planes.Size, p%planes.Size
	after := bits.TrailingZeros64(^plane[b] >> bit) // bytes of the run from p on
	for k := b; after >= (k+1-b)*planes.Size-bit; {
		if k++; k > planes.Blocks {
			m.long = i + planes.Blocks*planes.Size
			m.set(markRuns, i+p)
			return
		}
		after = (k-b)*planes.Size - bit + bits.TrailingZeros64(^plane[k])
	}
	m.long = i + p + after
	before := bits.LeadingZeros64(^plane[b] << (planes.Size - 1 - bit)) // bytes up to p
	for k := b; before >= (b-k)*planes.Size+bit+1; {
		if k--; k < 0 {
			m.set(markRuns, i+p)
			return
		}
		before = (b-1-k)*planes.Size + bit + 1 + bits.LeadingZeros64(^plane[k])
	}
	if continues(text, m.long) || hides(text, i+p+1-before, m.long) {
		m.set(markRuns, i+p)
	}
}

// array marks where findArrays can be at a list: at eight bytes that one is made of, in a row that has enough words of them.
func (m *marks) array(text []byte, i int, last, b uint64) {
	const half = planes.Size / 2 // findArrays counts digits on both sides of a place
	ahead := func(lo, hi uint64, k int) uint64 { return lo>>k | hi<<(planes.Size-k) }
	lo, hi := behind(last, b, half), b>>half
	for k := 1; k < probe; k *= 2 {
		lo, hi = lo&ahead(lo, hi, k), hi&(hi>>k)
	}
	for lo != 0 {
		p := first(lo)
		n := first(^(lo >> p)) // more places of the same row
		short := p > 0 && p+n < planes.Size && n+probe-1 < minRow
		if !short && m.numbered(text, i-half+p) {
			if p < half {
				m.set(markArrays, i-half)
			}
			if p+n > half {
				m.set(markArrays, i)
			}
		}
		lo = lo >> p >> n << n << p
	}
}

// A row is one of bytes of lists, as far as it was read: to its end or until it had words enough.
type row struct{ hi, words int }

// numbered reports whether the row of bytes of lists around i has as many words as a list has numbers. It is asked for ascending places, and
// reads a row once.
func (m *marks) numbered(text []byte, i int) bool {
	r := &m.row
	if i = min(i, len(text)); i <= r.hi && r.hi > 0 {
		return r.words >= minValues
	}
	lo := i
	for lo > r.hi && inArray[text[lo-1]] {
		lo--
	}
	if lo > r.hi || r.words < minValues { // another row
		*r = row{hi: lo}
		word := false
		for ; r.words < minValues && r.hi < len(text) && inArray[text[r.hi]]; r.hi++ {
			was := word
			if word = isA(text[r.hi], isWord); word && !was {
				r.words++
			}
		}
	}
	r.hi = max(r.hi, i)
	return r.words >= minValues
}

// trigger marks what begins with a byte of its own.
func (m *marks) trigger(text []byte, i int) {
	switch c := at(text, i+1); text[i] {
	case 0x1b:
		m.set(markControl, i)
	case '^':
		if c == '[' && at(text, i+2) == '[' {
			m.set(markControl, i)
		}
	case '%':
		if isA(at(text, i+2), isHex) && (c >= '2' && c <= '7' || c == 'u') {
			m.set(markPercent, i)
		}
	case '&':
		if reference(text, i) > 0 {
			m.set(markEntity, i)
		}
	case '<':
		if inlineTag(text, i) > 0 {
			m.set(markMarkup, i)
		}
	case '\\':
		if reveals(text, i) {
			m.set(markEscape, i)
		}
		m.run(text, i+2) // the escape's letter is no part of it
	}
}

// wrap marks the line break at i, where a line ends in a token with a digit, and the one before if the token may go over them.
func (m *marks) wrap(text []byte, i int) {
	const widest = 2 << 10 // of a line that is a prefix and a part of a token
	if i < len(text) && text[i] == '\r' {
		i++
	}
	if i < len(text) && text[i] != '\n' {
		return
	}
	if line := text[max(i-widest, m.judged, 0):i]; bytes.IndexByte(line, '\n') >= 0 { // is faster to say no
		m.broken(text, i-len(line)+bytes.LastIndexByte(line, '\n'))
	}
	if i < len(text) {
		m.broken(text, i)
	}
}

// broken marks the line break at p if a token may go over it.
func (m *marks) broken(text []byte, p int) {
	if p < m.judged {
		return
	}
	m.judged = p + 1
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
