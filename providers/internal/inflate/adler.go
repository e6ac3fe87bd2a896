package inflate

import "encoding/binary"

const (
	// adlerBase is the largest prime below 2¹⁶, RFC 1950 section 8.2.
	adlerBase = 65521
	// adlerRun is how many bytes can be summed up before the sums must be reduced: 64 bits hold far more, 4 KiB cost nothing.
	adlerRun = 4 << 10
)

// adler32 is the checksum behind a zlib stream. It takes eight bytes in one step: four products of small numbers fit into a
// word side by side. That is several times as fast as hash/adler32, and makes checking cost next to nothing.
func adler32(b []byte) uint32 {
	const (
		lanes = 0x00ff00ff00ff00ff
		ones  = 0x0001000100010001
		// How often the bytes of a word count in the second sum: the first of eight 8 times. A product's top lane sums up all
		// four, so the weights stand in reverse order.
		even = 0x0008000600040002
		odd  = 0x0007000500030001
	)
	s1, s2 := uint64(1), uint64(0)
	for len(b) > 0 {
		run := b[:min(len(b), adlerRun)]
		b = b[len(run):]
		for len(run) >= 8 {
			w := binary.LittleEndian.Uint64(run)
			run = run[8:]
			x, y := w&lanes, w>>8&lanes
			s2 += 8*s1 + x*even>>48 + y*odd>>48
			s1 += (x + y) * ones >> 48
		}
		for _, c := range run {
			s1 += uint64(c)
			s2 += s1
		}
		s1 %= adlerBase
		s2 %= adlerBase
	}
	return uint32(s2<<16 | s1)
}
