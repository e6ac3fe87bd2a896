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
	inSeams           // after a quote that follows a token: what may lead to another literal
	inWraps           // after a token with a digit: a line's end, or the byte after a closing sign
	inBends           // line ends after signs that join lines, or end PEM headers
	inHeads           // the sixth byte of a line that may be one of a dump
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
}

// remains are the planes of the block before that are not in the group.
type remains struct {
	begins  uint64 // where base64 may begin
	magic   uint64 // and be a known format
	groups  uint64 // ends of the first three characters of four in it that can stand for text
	whole   uint64 // bytes of the plane of base64 that are all ones
	pairs   uint64 // two of them in a row
	whole16 uint64 // as whole, of base16 and base32
	signs   uint64 // equals signs after a token
	quotes  uint64 // after a token
	closed  uint64 // closing signs after a token with a digit
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
		groups := f(thirds) & after(follows, 1) & after(leads, 2)
		whole, whole16 := octets(f(inRun)), octets(f(inBase16or32))
		pairs := whole & behind(r.whole, whole, 8)

		token := f(inToken)
		beside := after(inToken, 1)
		signs, quotes := f(equal)&beside, f(quote)&beside

		// A token's digit, added to the token, carries over into what follows it.
		sum, carry := bits.Add64(token, token&f(digit), r.carry)
		ends := sum &^ token
		closed := ends & f(closes)
		heads := after(lineFeed, 1) & f(inBase16or32)

		for kind, places := range [ofPlaces]uint64{
			inGroups:   groups & behind(r.groups, groups, 4) & behind(r.groups, groups, 8) & behind(r.begins, begins, 10),
			inMagics:   f(magics2) & behind(r.magic, magic, 1),
			inLong:     pairs&behind(r.pairs, pairs, 16) | whole16&behind(r.whole16, whole16, 8),
			inTriggers: f(trigger) | f(less)&beside,
			inSigns:    behind(r.signs, signs, 1) & (f(lineBreaks) | f(digit)),
			inSeams:    behind(r.quotes, quotes, 1) &^ f(dead),
			inWraps:    ends&f(lineBreaks) | behind(r.closed, closed, 1)&(f(lineBreaks)|f(closes)),
			inBends:    f(lineBreaks) & after(bends, 1),
			inHeads:    behind(r.heads, heads, minOffset-1) & f(inBase16or32),
		} {
			s.found[kind][b] = places
			if places != 0 {
				s.where[kind] |= 1 << b
			}
		}
		if bits.OnesCount64(g[digit][last])+bits.OnesCount64(f(digit)) >= minDigits {
			s.where[inDigits] |= 1 << b
		}
		if f(planes.High) != 0 {
			s.where[inHigh] |= 1 << b
		}
		if f(odds) != 0 {
			s.where[inOdds] |= 1 << b
		}
		s.last = remains{begins, magic, groups, whole, pairs, whole16, signs, quotes, closed, heads, carry}
	}
}
