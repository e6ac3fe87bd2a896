package decode

import (
	"math/bits"

	"github.com/leakreach/leakreach/scanners/secrets/internal/planes"
)

// What is left in the sieve: places,
const (
	inGroups   = iota // 10 bytes after the beginning of base64 whose first three groups look like text
	inMagics          // the byte after the beginning of base64 that looks like a known format
	inLong            // in base64 of 32 bytes and more, or base16 or base32 of 16
	inTriggers        // bytes that mean something by themselves
	inSigns           // after an equals sign that follows a token: line breaks and digits
	inSeams           // 5 bytes after a quote that follows a token, and may lead to another literal
	inWraps           // line ends after a token with a digit
	inBends           // line ends after signs that join lines, or end PEM headers
	inHeads           // the sixth byte of a line that may be one of a dump
	inRows            // the 23rd byte of a row of those that lists are made of
	ofPlaces

	// or whole blocks.
	inDigits = iota - 1 // there are enough for a list, here and in the block before
	inHigh              // bytes above 0x7f
	inOdds              // control characters that text does not have
	ofAny
)

// A sieve takes the planes of a group of blocks and leaves the places that are worth a look. All bytes pass through it, so it only
// sorts out where nothing can be, by a few operations on planes.
type sieve struct {
	group planes.Group
	found [ofPlaces][planes.Blocks]uint64
	where [ofAny]uint8 // the blocks in which there is something
	last  remains
	rows  uint8 // 1 if a row ended in the last block of the group before
}

// remains are the planes of the block before that are not in the group.
type remains struct {
	begins  uint64 // where base64 may begin
	magic   uint64 // and be a known format
	groups  uint64 // ends of the first three characters of four in it that can stand for text
	whole   uint64 // bytes of the plane of base64 that are all ones
	pairs   uint64 // two of them in a row
	whole16 uint64 // as whole, of base16 and base32
	rows2   uint64 // ends of two bytes of lists,
	rows4   uint64 // four,
	rows8   uint64 // eight
	rows16  uint64 // and sixteen
	signs   uint64 // equals signs after a token
	quotes  uint64 // after a token
	seams   uint64 // what follows them
	commas  uint64 // as far as they are commas
	closed1 uint64 // the first closing sign after a token with a digit,
	closed2 uint64 // the second
	closed3 uint64 // and third
	heads   uint64 // first characters of lines that can be those of an offset
	carry   uint64 // 1 if a token with a digit goes on
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

// siftGo is what sift does, in plain Go.
func (s *sieve) siftGo() {
	s.where = [ofAny]uint8{}
	g := &s.group
	for b := range planes.Blocks {
		last, this := b, b+1
		f := func(class int) uint64 { return g[class][this] }
		after := func(class, k int) uint64 { return behind(g[class][last], g[class][this], k) }
		r := &s.last

		begins := f(inRun) &^ after(alnum, 1)
		magic := begins & f(magics)
		groups := f(thirds) & after(follows, 1) & after(opens, 2)
		whole, whole16 := octets(f(inRun)), octets(f(inBase16or32))
		pairs := whole & behind(r.whole, whole, 8)

		token := f(inToken)
		beside := after(inToken, 1)
		signs, quotes := f(equal)&beside, f(quote)&beside

		seams := behind(r.quotes, quotes, 1) &^ f(dead) &^ (after(quote, 1) & after(bends, 1) & f(quote)) // two ` begin or end code
		commas := seams & f(comma)
		// A literal begins; or an apostrophe is in a word, as in "don't know"; or an argument follows that is no literal, not even one
		// with two letters before its quote.
		words := behind(r.seams, seams, 4) & after(alnum, 4) & (after(alnum, 3) | after(space, 3)) & after(alnum, 2)
		others := behind(r.commas, commas, 4) & (after(alnum, 3)&^after(quote, 2)&^after(quote, 1) | after(space, 3)&after(alnum, 2)&^after(quote, 1)&^f(quote))

		// A token's digit, added to the token, carries over into what follows it.
		sum, carry := bits.Add64(token, token&f(digit), r.carry)
		ends := sum &^ token & after(inToken, 2) & after(inToken, 3) & after(inToken, minPart)
		closed1 := ends & f(closes)
		closed2 := behind(r.closed1, closed1, 1) & f(closes)
		closed3 := behind(r.closed2, closed2, 1) & f(closes)
		heads := after(lineFeed, 1) & f(inBase16or32)

		rows2 := f(inList) & after(inList, 1)
		rows4 := rows2 & behind(r.rows2, rows2, 2)
		rows8 := rows4 & behind(r.rows4, rows4, 4)
		rows16 := rows8 & behind(r.rows8, rows8, 8)

		s.put(inGroups, b, groups&behind(r.groups, groups, 4)&behind(r.groups, groups, 8)&behind(r.begins, begins, 10))
		s.put(inMagics, b, f(magics2)&behind(r.magic, magic, 1))
		s.put(inLong, b, pairs&behind(r.pairs, pairs, 16)|whole16&behind(r.whole16, whole16, 8))
		s.put(inTriggers, b, f(trigger)|f(less)&beside)
		s.put(inSigns, b, behind(r.signs, signs, 1)&(f(lineBreaks)|f(digit)))
		s.put(inSeams, b, behind(r.seams, seams, 4)&^words&^others)
		s.put(inWraps, b, (ends|behind(r.closed1|r.closed2|r.closed3, closed1|closed2|closed3, 1))&f(lineBreaks))
		s.put(inBends, b, f(lineBreaks)&after(bends, 1))
		s.put(inHeads, b, behind(r.heads, heads, minOffset-1)&f(inBase16or32))
		s.put(inRows, b, rows16&behind(r.rows16, rows16, minRow-16))
		if bits.OnesCount64(g[digit][last])+bits.OnesCount64(f(digit)) >= minDigits {
			s.where[inDigits] |= 1 << b
		}
		s.note(inHigh, b, f(planes.High))
		s.note(inOdds, b, f(odds))
		s.last = remains{
			begins, magic, groups, whole, pairs, whole16, rows2, rows4, rows8, rows16,
			signs, quotes, seams, commas, closed1, closed2, closed3, heads, carry,
		}
	}
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
