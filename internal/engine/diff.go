package engine

import (
	"bytes"
	"hash/maphash"
	"math"
	"slices"
)

// maxDiffSteps bounds the comparison of two contents. Versions of a file that people or programs wrote take some thousands of
// steps; two files of a million lines that have nothing but blank lines in common would take forever.
const maxDiffSteps = 1 << 24

// lineDigests are the lines of content as numbers, which is all that a comparison needs. To git, a last line that gains its line
// break is a new one.
func lineDigests(seed maphash.Seed, content []byte) []uint32 {
	digests := make([]uint32, 0, bytes.Count(content, []byte{'\n'})+1)
	for line := range bytes.SplitAfterSeq(content, []byte{'\n'}) {
		digests = append(digests, uint32(maphash.Bytes(seed, line)))
	}
	return digests
}

// addedLines tells for each line of a content whether it is new in it or was moved there, as `git log -p` shows it: by the shortest
// script that makes the one content of the other. It returns nil if the comparison is not worth its price.
//
// See Myers, An O(ND) Difference Algorithm and Its Variations, Algorithmica 1 (1986), section 4b.
func addedLines(before, after []uint32) []bool {
	added := make([]bool, len(after))
	lo := 0
	for lo < len(before) && lo < len(after) && before[lo] == after[lo] {
		lo++
	}
	hi := 0
	for hi < len(before)-lo && hi < len(after)-lo && before[len(before)-1-hi] == after[len(after)-1-hi] {
		hi++
	}
	before, after = before[lo:len(before)-hi], after[lo:len(after)-hi]
	// A line that the other side does not have is no part of what they have in common.
	there, here := map[uint32]bool{}, map[uint32]bool{}
	for _, d := range before {
		there[d] = true
	}
	d := differ{steps: maxDiffSteps, added: added}
	for i, digest := range after {
		if there[digest] {
			here[digest] = true
			d.new, d.at = append(d.new, digest), append(d.at, lo+i)
		} else {
			added[lo+i] = true
		}
	}
	for _, digest := range before {
		if here[digest] {
			d.old = append(d.old, digest)
		}
	}
	size := len(d.old) + len(d.new) + 3
	d.forward, d.back = make([]int, size), make([]int, size)
	d.compare(0, len(d.old), 0, len(d.new))
	if d.steps <= 0 {
		return nil
	}
	return added
}

// A differ is the state of one comparison.
type differ struct {
	old, new      []uint32
	at            []int // of each line of new, its number
	added         []bool
	forward, back []int // how far the paths on each diagonal have come
	steps         int
}

// compare marks the lines that are added between old[x0:x1] and new[y0:y1].
func (d *differ) compare(x0, x1, y0, y1 int) {
	for x0 < x1 && y0 < y1 && d.old[x0] == d.new[y0] {
		x0, y0 = x0+1, y0+1
	}
	for x0 < x1 && y0 < y1 && d.old[x1-1] == d.new[y1-1] {
		x1, y1 = x1-1, y1-1
	}
	if x0 == x1 || y0 == y1 {
		for ; y0 < y1; y0++ {
			d.added[d.at[y0]] = true
		}
		return
	}
	x, y := d.middle(x0, x1, y0, y1)
	if d.steps <= 0 {
		return
	}
	d.compare(x0, x, y0, y)
	d.compare(x, x1, y, y1)
}

// middle finds a point on a shortest path, where paths from both corners meet. Diagonals are numbered x-y.
func (d *differ) middle(x0, x1, y0, y1 int) (x, y int) {
	shift := len(d.new) + 1
	forward := func(k int) *int { return &d.forward[k+shift] }
	back := func(k int) *int { return &d.back[k+shift] }
	first, last := x0-y1, x1-y0 // diagonals of the other two corners
	from, to := x0-y0, x1-y1
	fmin, fmax, bmin, bmax := from, from, to, to
	odd := (from-to)&1 != 0
	*forward(from), *back(to) = x0, x1
	for d.steps > 0 {
		if fmin > first {
			fmin--
			*forward(fmin - 1) = -1
		} else {
			fmin++
		}
		if fmax < last {
			fmax++
			*forward(fmax + 1) = -1
		} else {
			fmax--
		}
		for k := fmax; k >= fmin; k -= 2 {
			x = max(*forward(k - 1)+1, *forward(k + 1))
			for y = x - k; x < x1 && y < y1 && d.old[x] == d.new[y]; x, y = x+1, y+1 {
				d.steps--
			}
			*forward(k) = x
			if odd && bmin <= k && k <= bmax && *back(k) <= x {
				return x, y
			}
		}
		if bmin > first {
			bmin--
			*back(bmin - 1) = math.MaxInt
		} else {
			bmin++
		}
		if bmax < last {
			bmax++
			*back(bmax + 1) = math.MaxInt
		} else {
			bmax--
		}
		for k := bmax; k >= bmin; k -= 2 {
			x = min(*back(k - 1), *back(k + 1)-1)
			for y = x - k; x > x0 && y > y0 && d.old[x-1] == d.new[y-1]; x, y = x-1, y-1 {
				d.steps--
			}
			*back(k) = x
			if !odd && fmin <= k && k <= fmax && x <= *forward(k) {
				return x, y
			}
		}
		d.steps -= fmax - fmin + bmax - bmin + 4
	}
	return x0, y0
}

// allAdded tells whether lines from to to, counted from 1, are all among the added ones.
func allAdded(added []bool, from, to int) bool {
	return from >= 1 && from <= to && to <= len(added) && !slices.Contains(added[from-1:to], false)
}
