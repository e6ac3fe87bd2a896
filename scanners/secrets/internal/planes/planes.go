// Package planes splits a text into bit planes: for every 64 bytes of it, and for each of up to 23 classes of bytes, a word that
// says which of the bytes are of that class. Questions about neighbours ("a quote after a letter", "sixteen digits in a row") then
// are shifts and ands that answer for 64 places at once.
//
// What reads the bytes is written three times: for AVX-512 (with VBMI and GFNI), for AVX2, and in plain Go.
package planes

// Size is how many bytes a word of a plane speaks of.
const Size = 64

// Blocks is how many words of each plane a [Group] has.
const Blocks = 8

// High is the plane of the bytes above 0x7f. They are of no other class.
const High = 23

// A Group has the planes of eight blocks of 64 bytes: bit j of g[class][1+b] is set if byte j of block b is of the class. Word 0 is the
// last one of the group before.
type Group [24][1 + Blocks]uint64

// A Table says which bytes are of which class.
type Table struct {
	lookup  [3][128]byte   // for AVX-512: of eight classes each, a bit a class
	nibbles [24][16]byte   // for AVX2: by class and low nibble, a bit for each high nibble
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
		g[k][0] = g[k][Blocks]
	}
	if len(text) >= Size*Blocks {
		t.split(g, (*[Size * Blocks]byte)(text))
		return
	}
	var last [Size * Blocks]byte
	for i := copy(last[:], text); i < len(last); i++ {
		last[i] = ' '
	}
	t.split(g, &last)
}

// splitGo does eight bytes at a time: each adds its column to the eight rows of a square of bits, whose rows are then parts of planes.
func (t *Table) splitGo(g *Group, text *[Size * Blocks]byte) {
	for b := range Blocks {
		for k := range t.spread {
			v := &t.spread[k]
			var w [8]uint64
			for j := range w {
				s := text[b*Size+8*j:][:8]
				w[j] = v[s[0]] | v[s[1]]<<1 | v[s[2]]<<2 | v[s[3]]<<3 | v[s[4]]<<4 | v[s[5]]<<5 | v[s[6]]<<6 | v[s[7]]<<7
			}
			transpose(&w)
			for j := range w {
				g[8*k+j][1+b] = w[j]
			}
		}
	}
}

// transpose swaps the bytes of a square of eight by eight along its diagonal, in squares of four, two and one.
func transpose(w *[8]uint64) {
	swap := func(i, j int, shift uint, mask uint64) {
		x := (w[i]>>shift ^ w[j]) & mask
		w[j] ^= x
		w[i] ^= x << shift
	}
	for i := range 4 {
		swap(i, i+4, 32, 0x00000000ffffffff)
	}
	for _, i := range [4]int{0, 1, 4, 5} {
		swap(i, i+2, 16, 0x0000ffff0000ffff)
	}
	for i := 0; i < 8; i += 2 {
		swap(i, i+1, 8, 0x00ff00ff00ff00ff)
	}
}
