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
	inRun      = iota // base64
	leads             // base64 whose group of four begins with an ASCII character, as far as its first,
	follows           // second
	thirds            // and third character tell
	magics            // first characters of the formats that function magic knows
	alnum             // letters and digits
	capital           // hexadecimal and base32
	inList            // see inArray
	digit             //
	inToken           //
	trigger           // ESC ^ % & \
	less              //
	equal             //
	quote             //
	dead              // what follows a quote that is no seam
	lineFeed          //
	lineBreaks        // line feed or carriage return
	closes            // see isClosing
	continues         // \ ` ^
	dash              //
	odds              // control characters that text does not have
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
		set(leads, v >= 0 && v < 32)
		set(follows, v >= 0 && v&8 == 0)
		set(thirds, v >= 0 && v&2 == 0)
		set(magics, among("HeUQ/_KNJB7I"))
		set(alnum, isA(c, isWord) && c != '_')
		set(capital, isA(c, isHex) || base32s.value[c] >= 0)
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
		set(continues, among("\\`^"))
		set(dash, c == '-')
		set(odds, isControl(c))
	}
	return planes.New(&classes)
}()

// mark reads text.
func (m *marks) mark(text []byte) {
	m.words = (len(text) + wordBytes - 1) / wordBytes
	if m.words > fewWords {
		m.many = make([]uint64, m.words*finders)
	}
	const step = atOnce * planes.Size
	r := reader{marks: m, text: text, feed: -1}
	var blocks [atOnce + 2]planes.Block // with the one before and the one after
	byteClasses.Split(blocks[1:2], text[:min(planes.Size, len(text))])
	for at := 0; at < len(text); at += step {
		from := min(at+planes.Size, len(text))
		n := byteClasses.Split(blocks[2:], text[from:min(from+step, len(text))])
		if n < atOnce { // blanks follow, the first of which may end a line
			blocks[2+n] = planes.Block{}
			blocks[2+n][inList] = ^uint64(0)
			end := &blocks[1+len(text)/planes.Size-at/planes.Size]
			end[lineFeed] |= 1 << (len(text) % planes.Size)
			end[lineBreaks] |= 1 << (len(text) % planes.Size)
		}
		for k := 1; k <= atOnce && at+(k-1)*planes.Size < len(text); k++ {
			r.block(at+(k-1)*planes.Size, &blocks[k-1], &blocks[k], &blocks[k+1])
		}
		blocks[0], blocks[1] = blocks[atOnce], blocks[atOnce+1]
	}
}

// A reader goes over the blocks of a text.
type reader struct {
	*marks
	text   []byte
	digits int    // in the block before
	carry  uint64 // a run of token characters with a digit goes on
	feed   int    // the last line feed; -1 before there is one
}

// ahead has bit j set if bit j+k of the plane is, which goes on in next.
func ahead(plane, next uint64, k int) uint64 { return plane>>k | next<<(planes.Size-k) }

// behind has bit j set if bit j-k of the plane is, which begins in last.
func behind(last, plane uint64, k int) uint64 { return plane<<k | last>>(planes.Size-k) }

// longer tells, from where a run of some length begins, where one begins that is longer by k at most so much.
func longer(plane, next uint64, k int) (uint64, uint64) {
	return plane & ahead(plane, next, k), next & (next >> k)
}

// block sets the marks of the 64 bytes at i. Of the three blocks the second is theirs.
func (r *reader) block(i int, last, b, next *planes.Block) {
	if b[planes.High] != 0 {
		r.set(markHigh, i)
	}
	r.control = r.control || b[odds] != 0
	if filled(b[inRun]) || filled(next[inRun]&0xffff) {
		r.run(i, last, b, next)
	}
	if digits := bits.OnesCount64(b[digit]); digits+r.digits+bits.OnesCount64(next[digit]) >= minDigits {
		r.array(i, b, next)
		r.digits = digits
	} else {
		r.digits = digits
	}
	beside := behind(last[inToken], b[inToken], 1)
	for places := b[trigger] | b[less]&beside; places != 0; places &= places - 1 {
		r.trigger(i + bits.TrailingZeros64(places))
	}
	for places := b[equal] & beside & ahead(b[lineBreaks]|b[digit], next[lineBreaks]|next[digit], 1); places != 0; places &= places - 1 {
		if p := i + bits.TrailingZeros64(places); signs(r.text, p) {
			r.set(markQuoted, p)
		}
	}
	if places := b[quote] & beside &^ ahead(b[dead], next[dead], 1); places != 0 {
		places &^= ahead(b[alnum], next[alnum], 1) & ahead(b[alnum], next[alnum], 2) & ahead(b[alnum], next[alnum], 3)
		for ; places != 0; places &= places - 1 {
			p := i + bits.TrailingZeros64(places)
			if to, how := literal(r.text, p); how != apart && isA(at(r.text, to), isToken) {
				r.set(markConcat, p)
			}
		}
	}
	r.lines(i, last, b, next)
}

// filled reports whether the plane has a byte of ones, as each does in which a run of 15 begins, or ends.
func filled(plane uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (^plane-ones)&plane&high != 0
}

// run marks what findRuns decodes: it takes 40 characters of base64, 24 of hexadecimal or base32, or 16 where a word begins whose
// first groups of four look like text.
func (r *reader) run(i int, last, b, next *planes.Block) {
	lo, hi := b[inRun], next[inRun]
	for k := 1; k < minRun; k *= 2 {
		lo, hi = longer(lo, hi, k)
	}
	if lo == 0 {
		return
	}
	begins := ^behind(last[inRun], b[inRun], 1) | behind(last[inRun]&^last[alnum], b[inRun]&^b[alnum], 1) | behind(last[trigger], b[trigger], 2)
	if places := lo & begins; places != 0 {
		group := b[leads] & ahead(b[follows], next[follows], 1) & ahead(b[thirds], next[thirds], 2)
		after := next[leads] & (next[follows] >> 1) & (next[thirds] >> 2)
		places &= group&ahead(group, after, 4)&ahead(group, after, 8) | b[magics]
		for ; places != 0; places &= places - 1 {
			if p := i + bits.TrailingZeros64(places); promising(r.text[p:]) {
				r.set(markRuns, i)
				return
			}
		}
	}
	lo, hi = longer(lo, hi, 16)
	if lo, _ = longer(lo, hi, plainRun-32); lo != 0 {
		r.set(markRuns, i)
		return
	}
	lo, hi = b[capital], next[capital]
	for k := 1; k < 16; k *= 2 {
		lo, hi = longer(lo, hi, k)
	}
	if lo, _ = longer(lo, hi, minHex-16); lo != 0 {
		r.set(markRuns, i)
	}
}

// array marks what findArrays reads.
func (r *reader) array(i int, b, next *planes.Block) {
	lo, hi := b[inList], next[inList]
	for k := 1; k < probe; k *= 2 {
		lo, hi = longer(lo, hi, k)
	}
	if lo != 0 {
		r.set(markArrays, i)
	}
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
		if c == 'u' && isA(at(text, i+2), isHex) || c >= '2' && c <= '7' && isA(at(text, i+2), isHex) {
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
	}
}

// lines marks the line breaks that findLines does something at.
func (r *reader) lines(i int, last, b, next *planes.Block) {
	token, before := b[inToken], last[inToken]
	sum, carry := bits.Add64(token, token&b[digit], r.carry) // a run with a digit carries over into what follows it
	r.carry = carry
	breaks := b[lineBreaks]
	if breaks == 0 && next[lineBreaks]&0xf == 0 {
		return
	}
	four, fourBefore := token&behind(before, token, 1), before&(before<<1)
	four &= behind(fourBefore, four, 2)
	fourBefore &= fourBefore << 2
	long := behind(fourBefore, four, 1) &^ token // what follows a run of minPart
	// Where the run before a line's last closing signs has a digit.
	c, cNext := b[closes], next[closes]
	end := breaks | c&(ahead(breaks, next[lineBreaks], 1)|ahead(c, cNext, 1)&(ahead(breaks, next[lineBreaks], 2)|ahead(c, cNext, 2)&ahead(breaks, next[lineBreaks], 3)))
	withDigit := sum & long & end
	feeds := b[lineFeed]
	for places := withDigit; places != 0; places &= places - 1 {
		k := bits.TrailingZeros64(places)
		if before := feeds & (1<<k - 1); before != 0 {
			p := 63 - bits.LeadingZeros64(before)
			r.set(markLines, i+p)
		} else if r.feed >= 0 {
			r.set(markLines, r.feed)
		}
		if breaks>>k&1 != 0 { // a carriage return may come before the line feed
			r.set(markLines, i+k)
			r.set(markLines, i+k+1)
		}
	}
	places := breaks & (behind(last[continues], b[continues], 1)&behind(before, token, 2) | behind(last[dash], b[dash], 1)&behind(last[dash], b[dash], 2)&behind(last[dash], b[dash], 3))
	for ; places != 0; places &= places - 1 {
		p := i + bits.TrailingZeros64(places)
		r.set(markLines, p)
		r.set(markLines, p+1)
	}
	// A dump's line begins with an offset.
	for places := feeds & ahead(b[capital], next[capital], 1) & ahead(b[capital], next[capital], minOffset); places != 0; places &= places - 1 {
		if p := i + bits.TrailingZeros64(places); offset(r.text[p+1 : min(p+1+maxOffset+1, len(r.text))]) {
			r.set(markLines, p)
		}
	}
	if feeds != 0 {
		r.feed = i + 63 - bits.LeadingZeros64(feeds)
	}
}
