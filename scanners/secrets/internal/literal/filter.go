package literal

import "encoding/binary"

// A filter marks where in a text windows may start: bit j of masks[i] stands for offset 64*i + j. It marks too many rather than
// too few. text holds exactly the offsets of all masks and the bytes beyond them that the last windows need.
type filter interface {
	scan(text []byte, masks []uint64)
}

const (
	block  = 64        // offsets in a mask
	beyond = width - 1 // bytes that the window at the last of them has behind it
)

// portable is the filter for every machine. It looks up pairs of bytes, of which it sees the low five bits: in the lower half of
// an element are the buckets that have the pair in front, in the upper half those that have it at the end.
type portable [1 << 10]uint64

func newPortable(all *[buckets]bucket) filter {
	t := &portable{}
	for j := range all {
		for _, w := range all[j].wins {
			for half := range 2 {
				front, back := low5(&w.sets[2*half]), low5(&w.sets[2*half+1])
				for pair := range t {
					if front>>(pair&31)&1 != 0 && back>>(pair>>5)&1 != 0 {
						t[pair] |= 1 << (32*half + j)
					}
				}
			}
		}
	}
	return t
}

// low5 is the set of the low five bits of the bytes in s.
func low5(s *Set) uint32 {
	all := s[0] | s[1] | s[2] | s[3]
	return uint32(all) | uint32(all>>32)
}

// pairs numbers the pairs in w that start at bytes 0, 2, 4 and 6, in lanes of 16 bits.
func pairs(w uint64) uint64 {
	const lanes = 0x001f001f001f001f
	return w&lanes | w>>8&lanes<<5
}

func (t *portable) scan(text []byte, masks []uint64) {
	const number = 1<<10 - 1
	for i := range masks {
		// A window passes if the pair at its start and the one two bytes on share a bucket. a and b are the pairs in front of
		// the eight looked at.
		s := text[i*block : (i+1)*block+beyond]
		head := binary.LittleEndian.Uint32(s)
		a, b := t[head&31|head>>8&31<<5], t[head>>8&31|head>>16&31<<5]
		mask := uint64(0)
		for j := 0; j < block; j += 8 {
			w := s[j+2:]
			even, odd := pairs(binary.LittleEndian.Uint64(w)), pairs(binary.LittleEndian.Uint64(w[1:]))
			p0, p1 := t[even&number], t[odd&number]
			p2, p3 := t[even>>16&number], t[odd>>16&number]
			p4, p5 := t[even>>32&number], t[odd>>32&number]
			p6, p7 := t[even>>48&number], t[odd>>48&number]
			if a&(p0>>32)|b&(p1>>32)|p0&(p2>>32)|p1&(p3>>32)|p2&(p4>>32)|p3&(p5>>32)|p4&(p6>>32)|p5&(p7>>32) != 0 {
				for k, p := range [8]uint64{a & (p0 >> 32), b & (p1 >> 32), p0 & (p2 >> 32), p1 & (p3 >> 32), p2 & (p4 >> 32), p3 & (p5 >> 32), p4 & (p6 >> 32), p5 & (p7 >> 32)} {
					if p != 0 {
						mask |= 1 << (j + k)
					}
				}
			}
			a, b = p6, p7
		}
		masks[i] = mask
	}
}

// halves are, for the low and the high four bits of a byte, the buckets of a group of eight that it may belong to at one place.
type halves struct{ low, high [16]uint8 }

func newHalves(all *[buckets]bucket) (t [buckets / 8][width]halves) {
	for j := range all {
		for k := range width {
			h, p := &t[j/8][k], all[j].places[k]
			for half := range 16 {
				h.low[half] |= uint8(p.low >> half & 1 << (j % 8))
				h.high[half] |= uint8(p.high >> half & 1 << (j % 8))
			}
		}
	}
	return t
}
