package decode

import (
	"math/rand/v2"
	"testing"
)

// All ways to sift leave the same, on text of random planes: dense ones, so that runs, carries and what goes over blocks occur.
func TestSift(t *testing.T) {
	for _, way := range []struct {
		name string
		has  bool
		sift func(*sieve)
	}{{"AVX-512", hasAVX512, siftAVX512}, {"AVX2", hasAVX2, siftAVX2}} {
		t.Run(way.name, func(t *testing.T) {
			if !way.has {
				t.Skip("not on this processor")
			}
			r := rand.New(rand.NewPCG(1, 2))
			var a, b sieve
			for n := range 20_000 {
				for k := range a.group {
					for w := range a.group[k] {
						x := r.Uint64()
						switch n % 3 {
						case 0:
							x |= r.Uint64() | r.Uint64()
						case 1:
							x &= r.Uint64()
						}
						if r.IntN(8) == 0 {
							x = ^uint64(0)
						}
						a.group[k][w] = x
					}
				}
				b.group = a.group
				a.siftGo()
				way.sift(&b)
				if a != b {
					t.Fatalf("round %d:\n%x %x %x, want\n%x %x %x", n, b.found, b.where, b.last, a.found, a.where, a.last)
				}
			}
		})
	}
}
