// Package planes splits a text into bit planes: for every 64 bytes of it, and for each of up to 23 classes of bytes, a word that
// says which of the bytes are of that class. Questions about neighbours ("a quote after a letter", "sixteen digits in a row") then
// are shifts and ands that answer for 64 places at once.
//
// What reads the bytes is written three times: for AVX-512 (with VBMI and GFNI), for AVX2, and in plain Go.
package planes

// Size is how many bytes a [Block] speaks of.
const Size = 64

// High is the plane of the bytes above 0x7f. They are of no other class.
const High = 23

// A Block has a plane for each class: bit j of Block[c] is set if byte j of its text is of class c.
type Block [24]uint64

// A Table says which bytes are of which class.
type Table struct {
	lookup  [3][128]byte  // for AVX-512: of eight classes each, a bit a class
	nibbles [24][16]byte  // for AVX2: by class and low nibble, a bit for each high nibble
	spread  [3][256]int64 // for plain Go: of eight classes each, a byte a class
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

// Split fills dst with the planes of text, Size bytes each. Where text ends within a block, that block reads as if blanks followed.
// dst must have room for them; Split returns how many it has filled.
func (t *Table) Split(dst []Block, text []byte) int {
	n := len(text) / Size
	if n > 0 {
		t.split(dst[:n], text[:n*Size])
	}
	if rest := text[n*Size:]; len(rest) > 0 {
		var last [Size]byte
		for i := copy(last[:], rest); i < Size; i++ {
			last[i] = ' '
		}
		t.split(dst[n:n+1], last[:])
		n++
	}
	return n
}

// splitGo does eight bytes at a time: each adds its column to the eight rows of a square of bits, whose rows are then parts of planes.
func (t *Table) splitGo(dst []Block, text []byte) {
	for b := range dst {
		d := &dst[b]
		*d = Block{}
		for j := 0; j < Size; j += 8 {
			s := text[b*Size+j:][:8]
			for g := range t.spread {
				v := &t.spread[g]
				w := uint64(v[s[0]] | v[s[1]]<<1 | v[s[2]]<<2 | v[s[3]]<<3 | v[s[4]]<<4 | v[s[5]]<<5 | v[s[6]]<<6 | v[s[7]]<<7)
				r := (*[8]uint64)(d[8*g:])
				r[0] |= w & 0xff << j
				r[1] |= w >> 8 & 0xff << j
				r[2] |= w >> 16 & 0xff << j
				r[3] |= w >> 24 & 0xff << j
				r[4] |= w >> 32 & 0xff << j
				r[5] |= w >> 40 & 0xff << j
				r[6] |= w >> 48 & 0xff << j
				r[7] |= w >> 56 << j
			}
		}
	}
}
