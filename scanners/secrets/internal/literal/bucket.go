package literal

import (
	"cmp"
	"math"
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

// choices is how many windows of a word are tried: one that is not quite the rarest may have better company.
const choices = 3

// windows returns the rarest windows of a word, the rarest first. What is behind a word that is shorter counts as far as it is known; the
// end of the text reads as zeros.
func (w *Word) windows(e *estimate) (list []window) {
	for off := 0; off == 0 || off+width <= len(w.Text); off++ {
		win := window{off: off}
		for k := range win.sets {
			win.sets[k] = w.place(off + k)
			win.places[k] = placeOf(&win.sets[k])
		}
		win.passes = e.passes(&win.places)
		list = append(list, win)
	}
	slices.SortStableFunc(list, func(v, w window) int { return cmp.Compare(v.passes, w.passes) })
	return list[:min(len(list), choices)]
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

// cluster puts one of the windows of each word into a bucket, where it lets least pass that did not, the words that are most frequent
// first. It returns the windows it has chosen, too.
func cluster(words [][]window, e *estimate) (all *[buckets]bucket, chosen []*window) {
	all, chosen = &[buckets]bucket{}, make([]*window, len(words))
	order := make([]int, len(words))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(words[j][0].passes, words[i][0].passes) })
	var now [buckets]float32 // what passes each, byte by byte
	for _, i := range order {
		var to int
		var least, passes, roughly float32
		for n := range words[i] {
			w := &words[i][n]
			var unions [buckets][width]place
			var then, more [buckets]float32
			for j := range all {
				then[j] = 1
				for k := range width {
					unions[j][k] = all[j].places[k].or(w.places[k])
					then[j] *= e.share(unions[j][k])
				}
				more[j] = then[j] - now[j]
			}
			for range candidates {
				j := 0
				for k := range more {
					if more[k] < more[j] {
						j = k
					}
				}
				more[j] = math.MaxFloat32
				if p := e.passes(&unions[j]); chosen[i] == nil || p-all[j].passes < least {
					to, chosen[i], least, passes, roughly = j, w, p-all[j].passes, p, then[j]
				}
			}
		}
		now[to] = roughly
		all[to].add(chosen[i], passes)
	}
	return all, chosen
}

func (b *bucket) add(w *window, passes float32) {
	b.passes, b.wins = passes, append(b.wins, w)
	for k := range width {
		b.places[k] = b.places[k].or(w.places[k])
		for i := range b.sets[k] {
			b.sets[k][i] |= w.sets[k][i]
		}
	}
}
