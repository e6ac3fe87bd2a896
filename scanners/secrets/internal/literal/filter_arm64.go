package literal

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// filters lists the filters that this machine can run, the fastest first.
func filters() []func(*[buckets]bucket) filter {
	list := []func(*[buckets]bucket) filter{newPortable}
	if cpu.ARM64.HasASIMD {
		list = append(list, newNEON)
	}
	slices.Reverse(list)
	return list
}

// neon is the filter for NEON. It looks up the halves of a byte.
type neon [buckets / 8][width]halves

func newNEON(all *[buckets]bucket) filter {
	t := neon(newHalves(all))
	return &t
}

func (t *neon) scan(text []byte, masks []uint64) {
	if len(masks) > 0 && len(text) >= len(masks)*block+beyond {
		scanNEON(t, &text[0], masks)
	}
}

//go:noescape
func scanNEON(t *neon, text *byte, masks []uint64)
