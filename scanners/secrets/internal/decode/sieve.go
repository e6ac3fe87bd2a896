package decode

import (
	"bytes"
	"math/bits"

	"github.com/leakreach/leakreach/scanners/secrets/internal/planes"
)

// What is left in the sieve: places,
const (
	inGroups   = iota // 10 bytes after the beginning of base64 whose first three groups look like text
	inMagics          // the last of 16 bytes of base64 that may begin as a known format
	inTexts           // in base64 where four groups look like text, or base16 where 12 bytes do, or in base32 of 16 bytes and more
	inHexes           // the 24th byte of base16
	inEnds            // after base64 or base16 that is long enough to be joined with the lines or literals that follow
	inControls        // after ESC or ^
	inPercents        // the second digit after a percent sign
	inEntities        // after what follows an ampersand
	inTags            // < after a token
	inEscapes         // 17 bytes after a backslash
	inSigns           // 2 bytes after an equals sign that follows a token: the next line, and what may be a digit
	inSeams           // 3 bytes after what stands behind a quote that follows a token, and may lead to another literal
	inWraps           // line feeds of lines that may go on with a token of the line before
	inBends           // line ends after signs that join lines, or end PEM headers
	inHeads           // the sixth digit of a line that may be one of a dump
	ofPlaces

	// or whole blocks.
	inRows   = iota - 1 // the 23rd byte of a row of those that lists are made of
	inDigits            // there are enough for a list, here and in the block before
	inHigh              // bytes above 0x7f
	inOdds              // control characters that text does not have
	ofAny
)

// toToken is how far behind a backslash a token of 16 bytes ends that follows the escape.
const toToken = 17

// A sieve takes the planes of a group of blocks and leaves the places that are worth a look. All bytes pass through it: it sorts out
// where nothing can be by operations on planes, which cost the same whatever the text, so that what looks closer, at bytes, seldom has to
// say no.
type sieve struct {
	group planes.Group
	found [ofPlaces][planes.Blocks]uint64
	last  remains
	where [ofAny]uint8 // the blocks in which there is something
	rows  uint8        // 1 if a row ended in the last block of the group before
}

// remains are the planes of the block before that are not in the group. A number says how many bytes of a kind in a row end at a place.
type remains struct {
	begins, magic, magic2             past // where base64 may begin, and be a known format, as far as the first and the second byte tell
	groups, groups2                   past // ends of the first three characters of four in it that can stand for text, and of two such groups
	run2, run4, run8, run16, run40    past // base64
	hex2, hex4, hex8, hex24           past // base16
	high2, high4                      past // every other byte is the first digit of a byte of text
	whole                             past // bytes of the plane of base32 that are all ones
	token2, token4, token8, token10   past // tokens
	row2, row4, row8, row16           past // lists
	control, back, ampersand, percent past // signs by themselves
	signs                             past // equals signs after a token
	letters, texts, ones, escapes     past // of escapes that are no text
	quotes, commas                    past // quotes after a token, commas that follow
	others, quoted, prefixes, calls   past // what stands behind quotes
	digits                            past // after tokens with digits
	left, leftDigits, leftLong        past // line feeds after tokens; that have digits; that are long
	carry                             carries
}

// carries are 1 if what passes through a plane goes on in the next block.
type carries struct {
	ampersand, seams, arguments, names, called, digits, right, ends, endsDigits, endsLong, next, nextDigits, nextLong uint64
}

// A past is a plane of the group before, up to the block that is looked at.
type past [planes.Blocks]uint64

// behind has the plane of block b be the past of the next, and returns what stands k bytes behind it.
func (p *past) behind(b int, plane uint64, k int) uint64 {
	p[b] = plane
	return behind(p[(b+planes.Blocks-1)%planes.Blocks], plane, k)
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

// left yields the places of a kind in ascending order.
func (s *sieve) left(kind int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for w := s.where[kind]; w != 0; w &= w - 1 {
			b := bits.TrailingZeros8(w)
			for places := s.found[kind][b]; places != 0; places &= places - 1 {
				if !yield(b*planes.Size + first(places)) {
					return
				}
			}
		}
	}
}

// feedBefore returns the place of the line feed before byte p of the group of blocks that begins at i.
func (s *sieve) feedBefore(text []byte, i, p int) int {
	plane := &s.group[lineFeed]
	b := planes.First + p/planes.Size
	word := plane[b] & (1<<(p%planes.Size) - 1)
	for word == 0 {
		if b--; b < planes.First-1 {
			return bytes.LastIndexByte(text[:i], '\n')
		}
		word = plane[b]
	}
	return i + (b-planes.First)*planes.Size + bits.Len64(word) - 1
}

// through has bits of starts pass through the bits of the plane in a row that they are among, and come out behind them: added to these, they
// carry over.
func through(plane, starts uint64, carry *uint64) uint64 {
	var sum uint64
	sum, *carry = bits.Add64(plane, starts, *carry)
	return sum &^ plane
}

// siftGo is what sift does, in plain Go.
func (s *sieve) siftGo() {
	s.where = [ofAny]uint8{}
	for b := range planes.Blocks {
		s.runs(b)
		s.signs(b)
		s.seams(b)
		s.tokens(b)
	}
}

// runs looks at block b for binary encodings and lists.
func (s *sieve) runs(b int) {
	g, r := &s.group, &s.last
	f := func(class int) uint64 { return g[class][planes.First+b] }
	after := func(class, k int) uint64 { return behind(g[class][planes.First+b-1], g[class][planes.First+b], k) }

	begins := f(inRun) &^ after(alnum, 1)
	magic := begins & f(magics)
	magic2 := f(magics2) & r.magic.behind(b, magic, 1)
	groups := f(thirds) & after(follows, 1) & after(opens, 2)
	groups2 := groups & r.groups.behind(b, groups, 4)
	run2 := f(inRun) & after(inRun, 1)
	run4 := run2 & r.run2.behind(b, run2, 2)
	run8 := run4 & r.run4.behind(b, run4, 4)
	run16 := run8 & r.run8.behind(b, run8, 8)
	run40 := run16 & r.run16.behind(b, run16, 16) & r.run8.behind(b, run8, 32)
	s.put(inGroups, b, groups2&r.groups.behind(b, groups, 8)&r.begins.behind(b, begins, 10))
	s.put(inMagics, b, run16&r.magic2.behind(b, magic2, minRun-2))

	hex2 := f(inHex) & after(inHex, 1)
	hex4 := hex2 & r.hex2.behind(b, hex2, 2)
	hex8 := hex4 & r.hex4.behind(b, hex4, 4)
	hex24 := hex8 & r.hex8.behind(b, hex8, 8) & r.hex8.behind(b, hex8, 16)
	high2 := after(highDigit, 1) & after(highDigit, 3)
	high4 := high2 & r.high2.behind(b, high2, 4)
	high12 := high4 & r.high4.behind(b, high4, 8) & r.high4.behind(b, high4, 16)
	whole := octets(f(inBase32))
	s.put(inTexts, b, groups2&r.groups2.behind(b, groups2, 8)&run8&r.run8.behind(b, run8, 7)|hex24&high12|whole&r.whole.behind(b, whole, 8))
	s.put(inHexes, b, hex24&^r.hex24.behind(b, hex24, 1))
	s.put(inEnds, b, (r.run40.behind(b, run40, 1)|r.hex24.behind(b, hex24, 1))&(f(lineBreaks)|f(quote)|f(trigger)&f(bends)&f(closes)))
	s.put(inHeads, b, hex4&r.hex2.behind(b, hex2, 4)&after(lineFeed, minOffset))

	row2 := f(inList) & after(inList, 1)
	row4 := row2 & r.row2.behind(b, row2, 2)
	row8 := row4 & r.row4.behind(b, row4, 4)
	row16 := row8 & r.row8.behind(b, row8, 8)
	s.note(inRows, b, row16&r.row16.behind(b, row16, minRow-16))
	if bits.OnesCount64(g[digit][planes.First+b-1])+bits.OnesCount64(f(digit)) >= minDigits {
		s.where[inDigits] |= 1 << b
	}
	s.note(inHigh, b, f(planes.High))
	s.note(inOdds, b, f(odds))
}

// signs looks at block b for bytes that mean something by themselves, and for seams.
func (s *sieve) signs(b int) {
	g, r := &s.group, &s.last
	f := func(class int) uint64 { return g[class][planes.First+b] }
	after := func(class int) uint64 { return behind(g[class][planes.First+b-1], g[class][planes.First+b], 1) }
	beside := after(inToken)

	// What the signs are is told by what else they are.
	control := f(trigger) & f(bends) &^ f(closes)
	rest := f(trigger) &^ f(bends)
	ampersand := rest & f(inList) &^ f(closes)
	percent := rest &^ f(inList) &^ f(closes)
	s.put(inControls, b, r.control.behind(b, control, 1)&f(inList)&^f(inToken))
	s.put(inPercents, b, r.percent.behind(b, percent, 2)&after(highDigit)&f(inHex))
	s.put(inTags, b, rest&f(closes)&beside)

	// A name or a number, after a # perhaps, and then a semicolon; a closing parenthesis is not told from it.
	named := f(inToken) & (r.ampersand.behind(b, ampersand, 1) | r.ampersand.behind(b, ampersand, 2)&^beside&^after(inList))
	s.put(inEntities, b, through(f(inToken), named, &r.carry.ampersand)&f(closes)&^f(quote)&^f(comma)&^f(dead)&^f(trigger))

	signs := f(dead) & f(inToken) &^ f(inRun) &^ f(inList) & beside
	s.put(inSigns, b, r.signs.behind(b, signs, 2)&(after(digit)&f(inHex)|after(lineBreaks)&(f(inToken)|f(lineFeed))))
}

// seams looks at block b for quotes that may be joined to another literal, by what stands behind them.
func (s *sieve) seams(b int) {
	g, r := &s.group, &s.last
	f := func(class int) uint64 { return g[class][planes.First+b] }
	after := func(class, k int) uint64 { return behind(g[class][planes.First+b-1], g[class][planes.First+b], k) }
	near := after(quote, 1)

	quotes := f(quote) & after(inToken, 1)
	seams := r.quotes.behind(b, quotes, 1) &^ f(dead) &^ (near & after(bends, 1) & f(quote)) // two ` begin or end code
	semicolon := f(closes) &^ f(quote) &^ f(comma) &^ f(dead) &^ f(trigger)                  // and closing parenthesis
	blank := f(blanks) | f(lineBreaks)
	found := through(blank|semicolon, seams, &r.carry.seams)

	// It may be a comma, and then an argument; or a name, which ends at a blank or at what literal wants to see.
	commas := found & f(comma)
	name := f(alnum) | f(inToken)&f(inList)&^f(inRun)&^f(dead) | f(inToken)&f(bends) | f(magics)&f(inList) // . - _
	names := through(name, found&f(alnum), &r.carry.names)
	called := through(f(blanks), names, &r.carry.called)
	found |= through(blank, r.commas.behind(b, commas, 1), &r.carry.arguments)

	shut := f(dead) & (f(closes) | f(inList) | f(inToken)) // ] } : = /, after which there is none
	prefixes := found & f(alnum)
	others := found &^ f(alnum) &^ f(comma) &^ semicolon &^ (shut &^ f(inRun)) // but a comment may begin with /
	quoted := others & f(quote)
	others &^= f(quote)
	called &^= shut | f(alnum) | semicolon | f(comma) | f(quote) | f(lineBreaks)
	calls := called & f(inList) &^ f(inToken) &^ f(trigger) // ( which { [ | are not told from
	others |= called &^ calls

	// What begins a literal is followed by a token, a prefix and the parenthesis of a call by a quote.
	s.put(inSeams, b, r.others.behind(b, others, 3)|
		r.quoted.behind(b, quoted, 3)&after(inToken, 2)|
		r.prefixes.behind(b, prefixes, 3)&(after(quote, 2)|near)|
		r.calls.behind(b, calls, 3)&^(after(alnum, 2)&^near&^f(quote)))
}

// tokens looks at block b for tokens that are parted from what is before by an escape, and for those that end lines.
func (s *sieve) tokens(b int) {
	g, r := &s.group, &s.last
	f := func(class int) uint64 { return g[class][planes.First+b] }
	after := func(class, k int) uint64 { return behind(g[class][planes.First+b-1], g[class][planes.First+b], k) }
	s.put(inBends, b, f(lineBreaks)&after(bends, 1))

	token := f(inToken)
	token2 := token & after(inToken, 1)
	token4 := token2 & r.token2.behind(b, token2, 2)
	token8 := token4 & r.token4.behind(b, token4, 4)
	token10 := token8 & r.token2.behind(b, token2, 8)
	token16 := token8 & r.token8.behind(b, token8, 8)

	// Letters that no list has, such as n, make an escape that does nothing but that. \x, from which \h and \r are not told, means
	// something where a byte of text follows, or 1b; 1 is not told from 8 and 9.
	back := f(trigger) & f(bends) & f(closes)
	letters := f(inList) & f(alnum) &^ f(inHex) &^ f(highDigit) &^ f(opens)
	texts, ones := f(digit)&f(inBase32), f(digit)&^f(inBase32)&^f(highDigit)
	others := r.letters.behind(b, letters, 2) & after(inHex, 1) &^ (r.texts.behind(b, texts, 1) | r.ones.behind(b, ones, 1)&f(inHex)&^f(digit))
	s.put(inEscapes, b, r.back.behind(b, back, toToken)&(token16|after(dead, toToken-1)|after(inList, toToken-1)&^r.escapes.behind(b, others, toToken-3)))

	// A line ends in a token, which may have a digit, or be half as long as both ends must be together.
	digits := through(token, token&f(digit), &r.carry.digits)
	returned := after(lineBreaks, 1) &^ after(lineFeed, 1)
	left := f(lineFeed) & (r.token4.behind(b, token4, 1) | r.token4.behind(b, token4, 2)&returned)
	leftDigits := left & (digits | r.digits.behind(b, digits, 1)&returned)
	leftLong := left & (r.token10.behind(b, token10, 1) | r.token10.behind(b, token10, 2)&returned)

	// So does the next, and before that token is a blank or nothing; behind it, closing signs.
	lines := ^f(lineFeed)
	right := through(token, token&(after(blanks, 1)|after(lineFeed, 1)), &r.carry.right) & r.token4.behind(b, token4, 1)
	closing := f(closes) | f(lineBreaks)&lines
	ends := through(closing, right, &r.carry.ends)
	endsDigits := through(closing, right&digits, &r.carry.endsDigits)
	endsLong := through(closing, right&r.token10.behind(b, token10, 1), &r.carry.endsLong)

	next := through(lines, r.left.behind(b, left, 1), &r.carry.next)
	nextDigits := through(lines, r.leftDigits.behind(b, leftDigits, 1), &r.carry.nextDigits)
	nextLong := through(lines, r.leftLong.behind(b, leftLong, 1), &r.carry.nextLong)
	s.put(inWraps, b, next&ends&(nextDigits|endsDigits)&(nextLong|endsLong))
}

// put keeps a plane of places of block b.
func (s *sieve) put(kind, b int, places uint64) {
	s.found[kind][b] = places
	s.note(kind, b, places)
}

// note tells where a plane of block b has something. Which it does is hard to foresee, so this is no branch.
func (s *sieve) note(kind, b int, places uint64) {
	s.where[kind] |= uint8((places|-places)>>63) << b
}
