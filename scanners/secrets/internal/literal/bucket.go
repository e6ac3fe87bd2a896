package literal

import (
	"cmp"
	"slices"
)

// A window is the part of a word that filters look for: the bytes that may stand at each of its places.
type window struct {
	sets   [width]Set
	places [width]place
	off    int     // in the word
	passes float32 // share of ordinary text
}

// width is the length of a window: the loads and look-ups of a filter grow with it, and what passes falls.
const width = 4

// window returns the rarest window of a word. What is behind a word that is shorter counts as far as it is known; the end of the
// text reads as zeros.
func (w *Word) window(e *estimate) (best window) {
	for off := 0; off == 0 || off+width <= len(w.Text); off++ {
		win := window{off: off}
		for k := range win.sets {
			win.sets[k] = w.place(off + k)
			win.places[k] = placeOf(&win.sets[k])
		}
		win.passes = e.passes(&win.places)
		if off == 0 || win.passes < best.passes {
			best = win
		}
	}
	return best
}

// place returns the bytes that may stand at place i of a word or behind it.
func (w *Word) place(i int) (s Set) {
	switch {
	case i < len(w.Text):
		c := w.Text[i]
		s.Add(c)
		if 'a' <= c && c <= 'z' && !w.Exact {
			s.Add(c ^ 0x20)
		}
	case i == len(w.Text) && w.After != (Set{}):
		s = w.After
		s.Add(0)
	default:
		s = Set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	}
	return s
}

// buckets is how many windows' sets filters can tell apart: the bits of four look-ups of a byte each.
const buckets = 32

// A bucket is the union of some windows, place by place.
type bucket struct {
	sets   [width]Set
	places [width]place
	passes float32 // of ordinary text
	wins   []*window
}

// candidates is how many buckets are looked at closely for a window: those that look best byte by byte.
const candidates = 6

// cluster puts each window where it lets least pass that did not, the most frequent first.
func cluster(wins []window, e *estimate) *[buckets]bucket {
	order := make([]*window, len(wins))
	for i := range wins {
		order[i] = &wins[i]
	}
	slices.SortStableFunc(order, func(v, w *window) int { return cmp.Compare(w.passes, v.passes) })
	all := &[buckets]bucket{}
	var unions [buckets][width]place
	var now, roughly [buckets]float32
	var near [buckets]int
	for _, w := range order {
		for j := range all {
			then := float32(1)
			for k := range width {
				unions[j][k] = all[j].places[k].or(w.places[k])
				then *= e.share(unions[j][k])
			}
			roughly[j], near[j] = then-now[j], j
		}
		slices.SortFunc(near[:], func(i, j int) int { return cmp.Compare(roughly[i], roughly[j]) })
		best := near[0]
		var least, passes float32
		for _, j := range near[:candidates] {
			if p := e.passes(&unions[j]); j == near[0] || p-all[j].passes < least {
				best, least, passes = j, p-all[j].passes, p
			}
		}
		now[best] += roughly[best]
		b := &all[best]
		b.places, b.passes, b.wins = unions[best], passes, append(b.wins, w)
		for k := range width {
			for i := range b.sets[k] {
				b.sets[k][i] |= w.sets[k][i]
			}
		}
	}
	return all
}
