package pack

import (
	"cmp"
	"context"
	"slices"
)

// A plan is a pack's entries as the families that deltas make of them: whole objects with, below each, what builds on it. Entries
// are numbered by offset. Walking a family from its root, every object is made from a base that is at hand.
type plan struct {
	p       *packFile
	offsets []int64  // of each entry, ascending, and where the last one ends
	index   *index   // or nil
	rows    []uint32 // of each entry in the index; nil without one
	first   []int32  // of each entry, the first of those that build on it, or none
	next    []int32  // of each entry, the next that builds on the same base
	weight  []uint32 // of each entry, how many objects that are wanted lie in the family below it, itself included; nil if all are wanted
	roots   []int32  // of families with something wanted, large families first
	skip    []bool   // entries that are no more than bases; nil for none
	bad     []failed // entries that cannot be reached

	// pending are deltas on objects that are not known to be in the pack, by their base. Without an index, they are not known before
	// they are made.
	pending map[ID][]int32
}

const none = -1

// A failed entry.
type failed struct {
	entry int32
	err   error
}

// newPlan reads the headers of all entries: those of an index, or those that came. wanted tells whether an object of a pack that has an
// index is to be given; nil is for all.
func newPlan(ctx context.Context, p *packFile, come table, wanted func(ID) bool) (*plan, error) {
	pl := &plan{p: p, offsets: come.offsets, skip: come.given, pending: map[ID][]int32{}}
	if pl.offsets == nil {
		pl.fromIndex(p.index.Load())
	}
	n := len(pl.offsets) - 1
	pl.first, pl.next, pl.weight = make([]int32, n), make([]int32, n), make([]uint32, n)
	if wanted != nil {
		pl.skip = make([]bool, n)
	}
	base := make([]int32, n)
	var w window
	for i := range int32(n) {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pl.first[i], pl.next[i], base[i] = none, none, none
		pl.weight[i] = 1
		if wanted != nil && !wanted(pl.id(i)) {
			pl.skip[i] = true
		}
		if pl.skip != nil && pl.skip[i] {
			pl.weight[i] = 0
		}
		h, err := p.header(pl.offsets[i], &w)
		switch {
		case err != nil:
		case h.kind == offsetDelta:
			if base[i] = pl.at(h.base, i); base[i] == none {
				err = errBase
			}
		case h.kind == idDelta:
			if at, ok := p.find(h.ref); !ok {
				pl.pending[h.ref] = append(pl.pending[h.ref], i)
				base[i] = i
			} else if base[i] = pl.at(at, i); base[i] == none {
				err = errBase
			}
		}
		if err != nil {
			pl.bad = append(pl.bad, failed{i, err})
			base[i] = i
		}
	}
	pl.grow(base)
	if wanted == nil {
		pl.weight = nil
	}
	return pl, nil
}

// unwanted tells whether neither an entry nor anything in the family below it is to be given.
func (pl *plan) unwanted(entry int32) bool { return pl.weight != nil && pl.weight[entry] == 0 }

// fromIndex takes entries from an index, sorted by offset. Those outside the pack stay in front: their headers cannot be read.
func (pl *plan) fromIndex(x *index) {
	type entry struct {
		offset int64
		row    uint32
	}
	list := make([]entry, x.n)
	for row := range list {
		list[row] = entry{x.offset(row), uint32(row)}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	pl.offsets, pl.rows = make([]int64, x.n+1), make([]uint32, x.n)
	for i, e := range list {
		pl.offsets[i], pl.rows[i] = e.offset, e.row
	}
	pl.offsets[x.n] = pl.p.end()
	pl.index = x
}

// id is what the index says that an entry is.
func (pl *plan) id(entry int32) ID { return pl.index.id(int(pl.rows[entry])) }

// at finds the entry at an offset, or none. Bases mostly lie close before what builds on them, so the search starts there.
func (pl *plan) at(offset int64, near int32) int32 {
	lo, hi := 0, len(pl.offsets)-1
	if offset < pl.offsets[near] {
		hi = int(near)
		for step := 1; hi-step > 0; step *= 2 {
			if pl.offsets[hi-step] <= offset {
				lo = hi - step
				break
			}
			hi -= step
		}
	}
	i, ok := slices.BinarySearch(pl.offsets[lo:hi], offset)
	if !ok {
		return none
	}
	return int32(lo + i)
}

// grow links entries with their bases. base[i] is none for a root, and i for an entry that is no part of a family yet.
func (pl *plan) grow(base []int32) {
	n := int32(len(base))
	for i := n - 1; i >= 0; i-- {
		if b := base[i]; b != none && b != i {
			pl.next[i], pl.first[b] = pl.first[b], i
		}
	}
	// order lists bases before what builds on them; what it lacks lies in a circle or below something bad.
	order := make([]int32, 0, n)
	for i := range n {
		if base[i] == none {
			order = append(order, i)
		}
	}
	roots := len(order)
	for _, list := range pl.pending {
		order = append(order, list...)
	}
	seen := make([]bool, n)
	for at := 0; at < len(order); at++ {
		seen[order[at]] = true
		for c := pl.first[order[at]]; c != none; c = pl.next[c] {
			order = append(order, c)
		}
	}
	for at := len(order) - 1; at >= 0; at-- {
		i := order[at]
		if b := base[i]; b != none && b != i {
			pl.weight[b] += pl.weight[i]
		}
		pl.heaviestLast(i)
	}
	for _, f := range pl.bad {
		seen[f.entry] = true
	}
	for i := range n {
		if !seen[i] {
			pl.bad = append(pl.bad, failed{i, errBase})
		}
	}
	for _, i := range order[:roots] {
		if pl.weight[i] > 0 {
			pl.roots = append(pl.roots, i)
		}
	}
	// A large family that is begun last is walked by one while the others have nothing left to do.
	large := func(i int32) uint32 {
		if w := pl.weight[i]; w > uint32(n)/largeFamilies {
			return w
		}
		return 0
	}
	slices.SortStableFunc(pl.roots, func(a, b int32) int { return cmp.Compare(large(b), large(a)) })
}

// largeFamilies bounds how many families can count as large: enough to keep many cores busy, few enough to leave the rest in the
// order in which they lie in the file.
const largeFamilies = 256

// heaviestLast moves the child with the largest family to the end of the list. Its base is not needed any more by then: whatever is
// held while another family is walked, that family is no more than half of what is below the base. So no more bases are held at
// once than a family's size can be halved, however long its chains are.
func (pl *plan) heaviestLast(i int32) {
	last, heaviest, before := int32(none), int32(none), int32(none)
	for c := pl.first[i]; c != none; c = pl.next[c] {
		if heaviest == none || pl.weight[c] >= pl.weight[heaviest] {
			heaviest, before = c, last
		}
		last = c
	}
	if heaviest == last {
		return
	}
	if before == none {
		pl.first[i] = pl.next[heaviest]
	} else {
		pl.next[before] = pl.next[heaviest]
	}
	pl.next[last], pl.next[heaviest] = heaviest, none
}
