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

func want(classes *[128]uint32, text []byte, b, class int) (plane uint64) {
	for j := range Size {
		c := byte(' ')
		if i := b*Size + j; i < len(text) {
			c = text[i]
		}
		if class == High && c >= 0x80 || c < 0x80 && classes[c]>>class&1 != 0 {
			plane |= 1 << j
		}
	}
	return plane
}

func TestSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	classes := random(r)
	table := New(&classes)
	for name, split := range implementations(table) {
		t.Run(name, func(t *testing.T) {
			for n := range 300 {
				text := make([]byte, n)
				for i := range text {
					text[i] = byte(r.Uint32())
				}
				blocks := make([]Block, n/Size+2)
				blocks[0][3] = 42 // is overwritten
				done := len(text) / Size
				if done > 0 {
					split(blocks[:done], text[:done*Size])
				}
				for b := range done {
					for k := range blocks[b] {
						if got, want := blocks[b][k], want(&classes, text, b, k); got != want {
							t.Fatalf("%d bytes, block %d, class %d: %064b, want %064b", n, b, k, got, want)
						}
					}
				}
			}
		})
	}
}

func TestSplitRest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	classes := random(r)
	table := New(&classes)
	for n := range 200 {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		blocks := make([]Block, n/Size+1)
		got := table.Split(blocks, text)
		if got != (n+Size-1)/Size {
			t.Fatalf("%d bytes: %d blocks", n, got)
		}
		for b := range got {
			for k := range blocks[b] {
				if got, want := blocks[b][k], want(&classes, text, b, k); got != want {
					t.Fatalf("%d bytes, block %d, class %d: %064b, want %064b", n, b, k, got, want)
				}
			}
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	classes := random(r)
	table := New(&classes)
	text := make([]byte, 4096)
	blocks := make([]Block, len(text)/Size)
	for name, split := range implementations(table) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				split(blocks, text)
			}
		})
	}
}
