package inflate

import "encoding/binary"

const (
	// adlerBase is the largest prime below 2¹⁶, RFC 1950 section 8.2.
	adlerBase = 65521
	// adlerWords is how many words are summed up before lanes of 16 bits could overflow: the weighted sum of one lane's bytes, with
	// weights that add up to 20, is 12·255·20 < 2¹⁶.
	adlerWords = 12
	// adlerRun is how many rounds of so many words are done before the sums are reduced: 64 bits would hold far more.
	adlerRun = 64
)

// adler32 is the checksum behind a zlib stream: the sum of all bytes, and the sum of that sum after each of them. It takes eight
// bytes in one step, as four lanes of 16 bits for the even ones and four for the odd ones. That is several times as fast as
// hash/adler32, and makes checking cost little.
func adler32(b []byte) uint32 {
	const (
		lanes = 0x00ff00ff00ff00ff
		wide  = 0x0000ffff0000ffff
		ones  = 0x0001000100010001
		// How often the bytes of a word count in the second sum: the first of eight 8 times. A product's top lane sums up all
		// four lanes, so the weights stand in reverse order.
		evenWeights = 0x0008000600040002
		oddWeights  = 0x0007000500030001
	)
	s1, s2 := uint64(1), uint64(0)
	for len(b) > 0 {
		for range adlerRun {
			if len(b) < 8*adlerWords {
				break
			}
			var even, odd, before uint64 // before: the sums of the words so far, after each word
			for i := 0; i < 8*adlerWords; i += 8 {
				w := binary.LittleEndian.Uint64(b[i : i+8])
				before += even + odd
				even += w & lanes
				odd += w >> 8 & lanes
			}
			b = b[8*adlerWords:]
			before = before&wide + before>>16&wide
			s2 += 8*adlerWords*s1 + 8*(before&0xffffffff+before>>32) + even*evenWeights>>48 + odd*oddWeights>>48
			s1 += (even + odd) * ones >> 48
		}
		if len(b) < 8*adlerWords {
			for _, c := range b {
				s1 += uint64(c)
				s2 += s1
			}
			b = nil
		}
		s1 %= adlerBase
		s2 %= adlerBase
	}
	return uint32(s2<<16 | s1)
}
