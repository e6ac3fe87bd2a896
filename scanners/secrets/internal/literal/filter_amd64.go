package literal

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// filters lists the filters that this machine can run, the fastest first.
func filters() []func(*[buckets]bucket) filter {
	list := []func(*[buckets]bucket) filter{newPortable}
	if cpu.X86.HasAVX2 {
		list = append(list, newAVX2)
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI {
		list = append(list, newVBMI)
	}
	slices.Reverse(list)
	return list
}

// vbmi is the filter for AVX-512 with VBMI, which looks up 64 bytes at once: first each byte's class, then, for each place of a
// window, the buckets that have the class there.
type vbmi struct {
	class  [128]byte                     // of a byte's low seven bits
	groups [buckets / 8][width][64]uint8 // of each class, eight buckets a group
}

func newVBMI(all *[buckets]bucket) filter {
	t := &vbmi{}
	classes := map[[width]uint32]byte{}
	for c := range byte(0x80) {
		// The eighth bit is not looked at.
		var in [width]uint32
		for j := range all {
			for k := range width {
				if s := &all[j].sets[k]; s.Has(c) || s.Has(c|0x80) {
					in[k] |= 1 << j
				}
			}
		}
		class, ok := classes[in]
		if !ok {
			class = byte(min(len(classes), 63)) // those that are left share the last one
			classes[in] = class
		}
		t.class[c] = class
		for k := range width {
			for g := range t.groups {
				t.groups[g][k][class] |= uint8(in[k] >> (8 * g))
			}
		}
	}
	return t
}

func (t *vbmi) scan(text []byte, masks []uint64) {
	if len(masks) > 0 && len(text) >= len(masks)*block+beyond {
		scanVBMI(t, &text[0], masks)
	}
}

//go:noescape
func scanVBMI(t *vbmi, text *byte, masks []uint64)

// avx2 is the filter for AVX2. It looks up the halves of a byte.
type avx2 [buckets / 8][width]halves

func newAVX2(all *[buckets]bucket) filter {
	t := avx2(newHalves(all))
	return &t
}

func (t *avx2) scan(text []byte, masks []uint64) {
	if len(masks) > 0 && len(text) >= len(masks)*block+beyond {
		scanAVX2(t, &text[0], masks)
	}
}

//go:noescape
func scanAVX2(t *avx2, text *byte, masks []uint64)
