// Package planes splits a text into bit planes: for every 64 bytes of it, and for each of up to 23 classes of bytes, a word that
// says which of the bytes are of that class. Questions about neighbours ("a quote after a letter", "sixteen digits in a row") then
// are shifts and ands that answer for 64 places at once.
//
// What reads the bytes is written four times: for AVX-512 (with VBMI and GFNI), for AVX2, for NEON, and in plain Go.
package planes

import "bytes"

// Size is how many bytes a word of a plane speaks of.
const Size = 64

// Blocks is how many blocks a [Group] speaks of.
const Blocks = 8

// High is the plane of the bytes above 0x7f. They are of no other class.
const High = 23

// First is the word of a plane of a [Group] that speaks of its first block. The one before is the last of the group before. What is left
// of the words before keeps those of the blocks together in a line of the cache, if the group begins with one.
const First = Blocks

// A Group has the planes of eight blocks of 64 bytes: bit j of g[class][First+b] is set if byte j of block b is of the class.
type Group [24][First + Blocks]uint64

// A Table says which bytes are of which class.
type Table struct {
	lookup  [3][128]byte   // for AVX-512: of eight classes each, a bit a class
	nibbles [24][16]byte   // for AVX2 and NEON: by class and low nibble, a bit for each high nibble
	spread  [3][256]uint64 // for plain Go: of eight classes each, a byte a class
	classes int
}

// New returns the table in which byte c below 0x80 is of the classes whose bits classes[c] has set. Class 23, [High], is not the
// caller's.
func New(classes *[128]uint32) *Table {
	t := new(Table)
	for c, set := range classes {
		for k := range High {
			if set>>k&1 == 0 {
				continue
			}
			t.lookup[k/8][c] |= 1 << (k % 8)
			t.nibbles[k][c&15] |= 1 << (c >> 4)
			t.spread[k/8][c] |= 1 << (k % 8 * 8)
			t.classes = max(t.classes, k+1)
		}
	}
	for c := 0x80; c < 0x100; c++ {
		t.spread[High/8][c] = 1 << (High % 8 * 8)
	}
	return t
}

// Next moves g on by the Size*Blocks bytes that text begins with. Where text ends before, it reads as if blanks followed.
func (t *Table) Next(g *Group, text []byte) {
	for k := range g {
		g[k][First-1] = g[k][First+Blocks-1]
	}
	if len(text) >= Size*Blocks {
		t.split(g, (*[Size * Blocks]byte)(text))
		return
	}
	last := blanks
	copy(last[:], text)
	t.split(g, &last)
}

var blanks = [Size * Blocks]byte(bytes.Repeat([]byte{' '}, Size*Blocks))

// splitGo does eight bytes at a time: each adds its column to the eight rows of a square of bits. Of eight such squares, side by
// side, the rows are put together.
func (t *Table) splitGo(g *Group, text *[Size * Blocks]byte) {
	for k := range t.spread {
		v := &t.spread[k]
		for b := range Blocks {
			s := (*[Size]byte)(text[b*Size:])
			square := func(s *[8]byte) uint64 {
				return v[s[0]] | v[s[1]]<<1 | v[s[2]]<<2 | v[s[3]]<<3 | v[s[4]]<<4 | v[s[5]]<<5 | v[s[6]]<<6 | v[s[7]]<<7
			}
			w0, w4 := swap(square((*[8]byte)(s[0:])), square((*[8]byte)(s[32:])), 32, 0x00000000ffffffff)
			w1, w5 := swap(square((*[8]byte)(s[8:])), square((*[8]byte)(s[40:])), 32, 0x00000000ffffffff)
			w2, w6 := swap(square((*[8]byte)(s[16:])), square((*[8]byte)(s[48:])), 32, 0x00000000ffffffff)
			w3, w7 := swap(square((*[8]byte)(s[24:])), square((*[8]byte)(s[56:])), 32, 0x00000000ffffffff)
			w0, w2 = swap(w0, w2, 16, 0x0000ffff0000ffff)
			w1, w3 = swap(w1, w3, 16, 0x0000ffff0000ffff)
			w4, w6 = swap(w4, w6, 16, 0x0000ffff0000ffff)
			w5, w7 = swap(w5, w7, 16, 0x0000ffff0000ffff)
			row := g[8*k : 8*k+8]
			row[0][First+b], row[1][First+b] = swap(w0, w1, 8, 0x00ff00ff00ff00ff)
			row[2][First+b], row[3][First+b] = swap(w2, w3, 8, 0x00ff00ff00ff00ff)
			row[4][First+b], row[5][First+b] = swap(w4, w5, 8, 0x00ff00ff00ff00ff)
			row[6][First+b], row[7][First+b] = swap(w6, w7, 8, 0x00ff00ff00ff00ff)
		}
	}
}

// swap exchanges the upper parts of a, as mask and shift tell, with the lower ones of b.
func swap(a, b uint64, shift uint, mask uint64) (uint64, uint64) {
	x := (a>>shift ^ b) & mask
	return a ^ x<<shift, b ^ x
}
