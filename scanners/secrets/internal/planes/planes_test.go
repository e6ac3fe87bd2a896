package planes

import (
	"math/rand/v2"
	"testing"
)

// random returns classes that have nothing to do with each other, so that a mix-up shows.
func random(r *rand.Rand) (classes [128]uint32) {
	for c := range classes {
		classes[c] = r.Uint32() & (1<<High - 1)
	}
	return classes
}

func want(classes *[128]uint32, text []byte, b, class int) (word uint64) {
	for j := range Size {
		c := byte(' ')
		if i := b*Size + j; i < len(text) {
			c = text[i]
		}
		if class == High && c >= 0x80 || c < 0x80 && classes[c]>>class&1 != 0 {
			word |= 1 << j
		}
	}
	return word
}

func TestSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	classes := random(r)
	table := New(&classes)
	for name, split := range implementations(table) {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				var text [Size * Blocks]byte
				for i := range text {
					text[i] = byte(r.Uint32())
				}
				var g Group
				for k := range g {
					for b := range g[k] {
						g[k][b] = 42
					}
				}
				split(&g, &text)
				for k := range g {
					if g[k][First-1] != 42 {
						t.Fatalf("class %d: the word before the first is %d now", k, g[k][First-1])
					}
					for b := range Blocks {
						if got, want := g[k][First+b], want(&classes, text[:], b, k); got != want {
							t.Fatalf("block %d, class %d: %064b, want %064b", b, k, got, want)
						}
					}
				}
			}
		})
	}
}

func TestNext(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	classes := random(r)
	table := New(&classes)
	for n := range 1100 {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		var g Group
		for at := 0; at < n+Size; at += Size * Blocks {
			var last [len(g)]uint64
			for k := range g {
				last[k] = g[k][First+Blocks-1]
			}
			rest := text[min(at, n):]
			table.Next(&g, rest)
			for k := range g {
				if g[k][First-1] != last[k] {
					t.Fatalf("%d bytes, at %d, class %d: the block before is lost", n, at, k)
				}
				for b := range Blocks {
					if got, want := g[k][First+b], want(&classes, rest, b, k); got != want {
						t.Fatalf("%d bytes, at %d, block %d, class %d: %064b, want %064b", n, at, b, k, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	classes := random(r)
	table := New(&classes)
	var text [Size * Blocks]byte
	var g Group
	for name, split := range implementations(table) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				split(&g, &text)
			}
		})
	}
}
