package secrets

import (
	"hash/maphash"
	"sync"
)

// hollow remembers the containers in which there was nothing to report: a history holds many versions of a file in which the same
// container lies, and unpacking it again would come to the same. It is safe for concurrent use.
type hollow struct {
	seeds [2]maphash.Seed

	mu    sync.Mutex
	whole map[containerKey]bool // whether all of the container could be read
}

// A containerKey is a digest of a container and of all that its scan depends on, under seeds that nobody outside knows. By chance two of
// 2³² containers share one with a probability of 2⁻⁶⁴.
type containerKey [2]uint64

// maxHollow bounds what is remembered: 2 MiB. Beyond it, memory of all is dropped; what recurs is soon there again.
const maxHollow = 1 << 15

func newHollow() *hollow {
	return &hollow{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, whole: map[containerKey]bool{}}
}

func (h *hollow) key(p *pass, prefix string, content []byte) (key containerKey) {
	place := [...]string{prefix, p.item.At.Path, p.item.At.Commit}
	for i, seed := range h.seeds {
		var d maphash.Hash
		d.SetSeed(seed)
		maphash.WriteComparable(&d, place)
		maphash.WriteComparable(&d, p.later)
		maphash.WriteComparable(&d, p.depth)
		_, _ = d.Write(content) // never fails, see maphash
		key[i] = d.Sum64()
	}
	return key
}

func (h *hollow) get(key containerKey) (whole, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	whole, known = h.whole[key]
	return whole, known
}

func (h *hollow) put(key containerKey, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.whole) >= maxHollow {
		clear(h.whole)
	}
	h.whole[key] = whole
}
