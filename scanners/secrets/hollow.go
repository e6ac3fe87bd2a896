package secrets

import (
	"hash/maphash"
	"sync"
)

// hollow remembers the containers, and their members, in which there was nothing to report: a history holds many versions of a file in which the
// same container lies, and many versions of an archive with the same members. To look at them again would come to the same. It is safe for
// concurrent use.
type hollow struct {
	seeds [2]maphash.Seed

	mu    sync.Mutex
	whole map[hollowKey]bool // whether all of the container could be read
}

// A hollowKey is a digest of a content and of all that its scan depends on, under seeds that nobody outside knows. By chance two of
// 2³² contents share one with a probability of 2⁻⁶⁴.
type hollowKey [2]uint64

// A look is one way to look at a content.
type look uint8

// The looks.
const (
	lookInside   look = iota // for members, as into a container
	lookMember               // as at a member
	lookDocument             // as at text taken out of a document
)

const (
	// maxHollow bounds what is remembered: 4 MiB. Beyond it, memory of all is dropped; what recurs is soon there again.
	maxHollow = 1 << 16
	// minHollow is how long a member is that is remembered: to scan a shorter one costs no more than to look it up.
	minHollow = 1 << 10
)

func newHollow() *hollow {
	return &hollow{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, whole: map[hollowKey]bool{}}
}

func (h *hollow) key(p *pass, how look, path string, content []byte) (key hollowKey) {
	place := [...]string{path, p.item.At.Path, p.item.At.Commit}
	for i, seed := range h.seeds {
		var d maphash.Hash
		d.SetSeed(seed)
		maphash.WriteComparable(&d, how)
		maphash.WriteComparable(&d, place)
		maphash.WriteComparable(&d, p.later)
		maphash.WriteComparable(&d, p.depth)
		_, _ = d.Write(content) // never fails, see maphash
		key[i] = d.Sum64()
	}
	return key
}

func (h *hollow) get(key hollowKey) (whole, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	whole, known = h.whole[key]
	return whole, known
}

func (h *hollow) put(key hollowKey, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.whole) >= maxHollow {
		clear(h.whole)
	}
	h.whole[key] = whole
}
