package graph

import (
	"cmp"
	"slices"
)

// levels from the highest, as rights have them.
var levels = []string{"admin", "write", "read"}

// An Account is what a start opens in one.
type Account struct {
	Rights *Node
	Sure   bool // there is a way that depends on nothing unknown
	Paths  int  // how many of these were counted, or, where there are none, of the others
	near   int  // steps
}

// An Explanation is what some nodes lead to.
type Explanation struct {
	Opens []Account // the highest rights in each account: what is sure first, of that the highest, of those the nearest
	Paths Paths     // to all of them that are sure
	// Possible are ways to all of them that depend on what is not known.
	Possible Paths
	// Changes are what removes ways to the highest Level, by how many of the Highest ways it removes.
	Changes []Change
	Highest int
	Level   string
	Cut     []string // the fewest changes that leave no way to that level, sure or not; nil where nothing does
	Who     Paths    // from everybody who can get there to the start
	Before  []Change // what removes ways of Who
}

// Explain follows all ways from some nodes, which are one secret or identity, to what is at their ends. Where the ways to the highest rights in an account are not
// sure, those to the highest sure ones there are followed too.
func (g *Graph) Explain(from ...*Node) (x Explanation) {
	x.Who = g.Paths(g.Origins(from...), from, false)
	x.Before = x.Who.Changes()
	x.Opens = g.opens(from)
	if len(x.Opens) == 0 {
		return x
	}
	var ends []*Node
	for _, o := range x.Opens {
		ends = append(ends, o.Rights)
	}
	x.Paths, x.Possible = g.Paths(from, ends, true), g.Paths(from, ends, false)
	x.Possible.All = slices.DeleteFunc(x.Possible.All, func(p Path) bool { return p.Unsure() == "" })
	sure, possible := x.Paths.to(), x.Possible.to()
	top, highest := Paths{More: x.Paths.More}, []*Node{}
	x.Level = x.Opens[0].Rights.Level
	for k := range x.Opens {
		o := &x.Opens[k]
		ways := sure[o.Rights]
		if !o.Sure {
			ways = possible[o.Rights]
		}
		o.Paths = len(ways)
		if o.Sure == x.Opens[0].Sure && o.Rights.Level == x.Level {
			highest = append(highest, o.Rights)
			top.All = append(top.All, ways...)
		}
	}
	x.Changes, x.Highest = top.Changes(), len(top.All)
	x.Cut, _ = g.Cut(from, highest)
	return x
}

// to sorts paths by where they end.
func (p Paths) to() map[*Node][]Path {
	all := map[*Node][]Path{}
	for _, path := range p.All {
		end := path[len(path)-1].To
		all[end] = append(all[end], path)
	}
	return all
}

func (a Account) rank() int { return slices.Index(levels, a.Rights.Level) }

// opens are the rights that some nodes lead to: in each account the highest that is sure, and those above it that are not.
func (g *Graph) opens(from []*Node) (all []Account) {
	out, to := func(n *Node) []*Edge { return n.out }, func(e *Edge) *Node { return e.To }
	sure, perhaps := distances(from, out, to, true), distances(from, out, to, false)
	best := map[string]int{} // account → the highest level that is sure, by its place among levels
	for n := range g.Nodes() {
		if _, ok := perhaps[n]; !ok || n.Kind != Rights {
			continue
		}
		near, certain := sure[n]
		if !certain {
			near = perhaps[n]
		}
		a := Account{Rights: n, Sure: certain, near: near}
		if known, ok := best[n.In]; certain && (!ok || a.rank() < known) {
			best[n.In] = a.rank()
		}
		all = append(all, a)
	}
	all = slices.DeleteFunc(all, func(a Account) bool {
		known, ok := best[a.Rights.In]
		return ok && a.rank() > known
	})
	slices.SortStableFunc(all, func(a, b Account) int {
		if a.Sure != b.Sure {
			return map[bool]int{true: -1, false: 1}[a.Sure]
		}
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.near, b.near), cmp.Compare(a.Rights.In, b.Rights.In))
	})
	return all
}

// Around is the part of a graph that some nodes lead to, and that leads to them, in eight steps.
func (g *Graph) Around(nodes ...*Node) *Graph {
	down := distances(nodes, func(n *Node) []*Edge { return n.out }, func(e *Edge) *Node { return e.To }, false)
	up := distances(nodes, func(n *Node) []*Edge { return n.in }, func(e *Edge) *Node { return e.From }, false)
	part := &Graph{full: g.full}
	both := func(side map[*Node]int, e *Edge) bool {
		_, from := side[e.From]
		_, to := side[e.To]
		return from && to
	}
	for n := range g.Nodes() {
		_, below := down[n]
		if _, above := up[n]; above || below {
			part.Node(*n)
		}
	}
	for e := range g.Edges() {
		if both(down, e) || both(up, e) {
			copied := *e
			copied.From, copied.To = part.Find(e.From.ID), part.Find(e.To.ID)
			part.Edge(copied)
		}
	}
	return part
}

// Origins are the nodes from which others are come to, and that nothing leads to.
func (g *Graph) Origins(of ...*Node) (all []*Node) {
	up := distances(of, func(n *Node) []*Edge { return n.in }, func(e *Edge) *Node { return e.From }, false)
	for n := range g.Nodes() {
		if _, ok := up[n]; ok && len(n.in) == 0 && !slices.Contains(of, n) {
			all = append(all, n)
		}
	}
	return all
}
