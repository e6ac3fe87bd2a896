package graph

import (
	"cmp"
	"slices"
	"strings"
)

// Bounds of a search. A way of more than eight steps convinces nobody, and nobody reads ten thousand.
const (
	maxHops   = 8
	maxPaths  = 10_000    // all goals together, but one for each at least
	maxWork   = 1_000_000 // steps that are tried, likewise, but leastWork for each goal at least
	leastWork = 1000
)

// A Path is edges one after the other. No node is on it twice.
type Path []*Edge

// Unsure is what is not known of a path's steps; "" where all can be taken.
func (p Path) Unsure() string {
	for _, e := range p {
		if e.Unsure != "" {
			return e.Unsure
		}
	}
	return ""
}

// Paths are ways through a graph.
type Paths struct {
	All  []Path // the shortest first
	More bool   // there are more than are listed
}

// Paths lists the ways from any of some nodes to any of others, each of at most eight steps: the sure ones, or all. A way to one may lead by another.
func (g *Graph) Paths(from, to []*Node, sure bool) (found Paths) {
	s := search{from, sure, distances(from, func(n *Node) []*Edge { return n.out }, func(e *Edge) *Node { return e.To }, sure)}
	to = slices.DeleteFunc(slices.Clone(to), func(n *Node) bool { _, ok := s.near[n]; return !ok })
	for _, n := range to {
		ways := s.ways(n, max(maxPaths/len(to), 1), max(maxWork/len(to), leastWork))
		found.All, found.More = append(found.All, ways.All...), found.More || ways.More
	}
	slices.SortStableFunc(found.All, func(a, b Path) int {
		return cmp.Compare(len(a), len(b))
	})
	return found
}

// distances counts the steps, sure ones or all, from any of some nodes to each that at most maxHops lead to.
func distances(from []*Node, next func(*Node) []*Edge, end func(*Edge) *Node, sure bool) map[*Node]int {
	d := map[*Node]int{}
	for _, n := range from {
		d[n] = 0
	}
	now := slices.Clone(from)
	for steps := 0; len(now) > 0; steps++ {
		var later []*Node // to which the step is one more
		for k := 0; k < len(now); k++ {
			n := now[k]
			if d[n] < steps {
				continue // it was come to by fewer
			}
			for _, e := range next(n) {
				to, far := end(e), steps+e.steps()
				if known, ok := d[to]; ok && known <= far || far > maxHops || sure && e.Unsure != "" {
					continue
				}
				if d[to] = far; far == steps {
					now = append(now, to)
				} else {
					later = append(later, to)
				}
			}
		}
		now = later
	}
	return d
}

// steps is how many an edge is: with the one to any of some identities, the one that goes on is one.
func (e *Edge) steps() int {
	if e.From.Kind == Any {
		return 0
	}
	return 1
}

// A trail is a way that may not have come to its end.
type trail struct {
	at    *Node
	by    *Edge // the last step; nil at the start
	prev  *trail
	steps int
}

func (t *trail) passes(n *Node) bool {
	if n.Kind == Any { // it is another identity that somebody chooses each time
		return false
	}
	for ; t != nil; t = t.prev {
		if t.at == n {
			return true
		}
	}
	return false
}

func (t *trail) path() Path {
	p := make(Path, 0, t.steps)
	for ; t.by != nil; t = t.prev {
		e := t.by
		if e.From.Kind == Any && t.prev.by != nil {
			e = t.prev.by.through(e)
			t = t.prev
		}
		p = append(p, e)
	}
	slices.Reverse(p)
	return p
}

// through is the step that an edge to any of some identities and one that goes on from there are together.
func (e *Edge) through(next *Edge) *Edge {
	whole := *e
	whole.To, whole.Close = next.To, next.Close
	whole.Evidence = strings.Trim(e.Evidence+"; "+next.Evidence, "; ")
	return &whole
}

// A search is for ways from some nodes.
type search struct {
	from []*Node
	sure bool
	near map[*Node]int // steps from the start; what is not in it is on no way
}

// ways lists the ways to one goal, the shortest first: it goes on with the trail that promises the shortest way, so that what the bounds leave out is longer.
func (s *search) ways(to *Node, paths, work int) (found Paths) {
	left := distances([]*Node{to}, func(n *Node) []*Edge {
		if _, ok := s.near[n]; !ok {
			return nil
		}
		return n.in
	}, func(e *Edge) *Node { return e.From }, s.sure)
	var trails [maxHops + 1][]*trail // by the fewest steps that their ways have
	push := func(t *trail) {
		rest, ok := left[t.at]
		if ok && t.steps+rest <= maxHops {
			trails[t.steps+rest] = append(trails[t.steps+rest], t)
		}
	}
	for _, n := range slices.Backward(s.from) {
		push(&trail{at: n})
	}
	for length := 0; length <= maxHops; {
		last := len(trails[length]) - 1
		if last < 0 {
			length++
			continue
		}
		t := trails[length][last]
		trails[length] = trails[length][:last]
		if t.at == to {
			if len(found.All) == paths {
				found.More = true
				return found
			}
			found.All = append(found.All, t.path())
			continue
		}
		for _, e := range slices.Backward(t.at.out) {
			if work--; work < 0 {
				found.More = true
				return found
			}
			if (!s.sure || e.Unsure == "") && !t.passes(e.To) {
				push(&trail{e.To, e, t, t.steps + e.steps()})
			}
		}
	}
	return found
}
