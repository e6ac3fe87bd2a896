package inflate

import "math/bits"

// A table maps the next bits of a stream to what they mean, in one or two steps: the main part is indexed by as many bits as it
// is wide, and longer codes lead to a second part behind it. The layout of an entry follows libdeflate's, of which this package
// borrows the ideas:
//
//	literal    bit 31 set; bits 16–23 the byte; bits 0–7 the length of its code
//	length,    bits 16–30 the base value; bits 8–11 the length of the code; bits 0–7 that and the number of extra bits
//	distance   together, which is what is consumed
//	exception  bit 15 set; with bit 14 a second part: bits 16–30 its index, bits 8–11 its width, bits 0–7 the width of the
//	           main part; with bit 13 the end of the block; else no code at all
const (
	literal    = 1 << 31
	exception  = 1 << 15
	secondPart = 1 << 14
	endOfBlock = 1 << 13
	invalid    = exception
)

// Widths of the main parts, and the largest number of entries that a complete code of that many symbols can need with them, as
// zlib's examples/enough.c computes.
const (
	literalBits  = 10 // 288 symbols: 1334 entries
	distanceBits = 8  // 32 symbols: 402 entries
	lengthBits   = 7  // 19 symbols of at most 7 bits: no second part
)

type table [1334]uint32

// maxCode is the longest code in bits, RFC 1951 section 3.2.7.
const maxCode = 15

// What a symbol means, but for the length of its code: base value in bits 16–30, extra bits in bits 0–7. RFC 1951, section 3.2.5.
var (
	literalMeaning  = literals()
	distanceMeaning = distances()
	lengthMeaning   = codeLengths()
)

// lengthOrder is the order in which the lengths of the codes for lengths are stored. RFC 1951, section 3.2.7.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func literals() (m [288]uint32) {
	for i := range 256 {
		m[i] = literal | uint32(i)<<16
	}
	m[256] = exception | endOfBlock
	base := uint32(3)
	for i := range uint32(28) {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		m[257+i] = base<<16 | extra
		base += 1 << extra
	}
	m[285] = 258 << 16
	m[286], m[287] = invalid, invalid
	return m
}

func distances() (m [32]uint32) {
	base := uint32(1)
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		m[i] = base<<16 | extra
		base += 1 << extra
	}
	m[30], m[31] = invalid, invalid
	return m
}

func codeLengths() (m [19]uint32) {
	for i := range uint32(19) {
		m[i] = i << 16
	}
	return m
}

// build fills the table, with a main part of the given width, for the code that the lengths describe. It returns false for lengths that
// describe no code: over-subscribed, or incomplete other than by what zlib lets pass, a single code of one bit or none at all.
func (t *table) build(lengths []uint8, meaning []uint32, width int) bool {
	var count, next [maxCode + 1]uint16
	for _, n := range lengths {
		count[n&maxCode]++
	}
	var sorted [288]uint16 // those without a code in front: leaving them out would cost more
	for n := range maxCode {
		next[n+1] = next[n] + count[n]
	}
	for s, n := range lengths {
		sorted[next[n&maxCode]] = uint16(s)
		next[n&maxCode]++
	}
	longest, used := 0, 0 // used of the 1<<maxCode values that maxCode bits have
	for n := 1; n <= maxCode; n++ {
		if count[n] != 0 {
			longest = n
			used += int(count[n]) << (maxCode - n)
		}
	}
	switch {
	case used > 1<<maxCode:
		return false
	case used < 1<<maxCode && longest > 1:
		return false
	case used < 1<<maxCode:
		only := uint32(invalid)
		if longest == 1 {
			only = entry(meaning[sorted[count[0]]], 1)
		}
		for i := 0; i < 1<<width; i += 2 {
			t[i], t[i+1] = only, invalid
		}
		return true
	}

	// Codes are stored with their first bit lowest, so the next code is the one before it plus one, counted from the other end.
	// A code shorter than the main part's width stands in it many times: the part that is filled is doubled whenever codes get
	// longer.
	code, i, filled := 0, int(count[0]), 1
	for n := 1; n <= width; n++ {
		copy(t[filled:2*filled], t[:filled])
		filled *= 2
		for range count[n] {
			t[code] = entry(meaning[sorted[i]], uint32(n))
			i++
			code = after(code, filled)
		}
	}
	// What is left is longer than the main part is wide: each prefix of that width leads to a second part, which is as wide as it
	// takes to hold all codes with the prefix.
	prefix, start, more := -1, 0, 0
	for n := width + 1; n <= longest; n++ {
		for ; count[n] > 0; count[n]-- {
			if code&(1<<width-1) != prefix {
				prefix, start, more = code&(1<<width-1), filled, n-width
				for room := int(count[n]); room < 1<<more; {
					more++
					room = room<<1 + int(count[width+more])
				}
				filled += 1 << more
				t[prefix] = exception | secondPart | uint32(start)<<16 | uint32(more)<<8 | uint32(width)
			}
			e := entry(meaning[sorted[i]], uint32(n-width))
			for at := start + code>>width; at < filled; at += 1 << (n - width) {
				t[at] = e
			}
			i++
			code = after(code, 1<<n)
		}
	}
	return true
}

// after is the code that follows one, in bits that are stored lowest first; end is 1<<length.
func after(code, end int) int {
	free := (end - 1) &^ code
	if free == 0 {
		return 0
	}
	bit := 1 << (bits.Len(uint(free)) - 1)
	return code&(bit-1) | bit
}

// entry adds the length of a symbol's code to its meaning.
func entry(meaning, n uint32) uint32 {
	if meaning&literal != 0 || meaning&exception != 0 {
		return meaning + n
	}
	return meaning + n<<8 + n
}
