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
	Paths  int  // ways to it, as far as they were counted
	Sure   bool // one of them at least depends on nothing unknown
}

// An Explanation is what some nodes lead to.
type Explanation struct {
	Opens []Account // the highest rights in each account, the highest first, of those the nearest
	Paths Paths     // to all of them
	// Changes are what removes ways to the highest level, by how many of the Highest ways it removes.
	Changes []Change
	Highest int
	Cut     []string // the fewest changes that leave no way to that level; nil where nothing does
	Who     Paths    // from everybody who can get there to the start
	Before  []Change // what removes ways of Who
}

// Explain follows all ways from some nodes, which are one secret or identity, to what is at their ends. Where the ways to the highest rights in an account are not
// sure, those to the highest sure ones there are followed too.
func (g *Graph) Explain(from ...*Node) (x Explanation) {
	sure := distances(from, func(n *Node) []*Edge {
		return slices.DeleteFunc(slices.Clone(n.out), func(e *Edge) bool { return e.Unsure != "" })
	}, func(e *Edge) *Node { return e.To })
	perhaps := distances(from, func(n *Node) []*Edge { return n.out }, func(e *Edge) *Node { return e.To })
	best := map[string]int{} // account → the highest level that is sure, by its place among levels
	rank := func(n *Node) int { return slices.Index(levels, n.Level) }
	for n := range g.Nodes() {
		if _, ok := sure[n]; ok && n.Kind == Rights {
			if old, ok := best[n.In]; !ok || rank(n) < old {
				best[n.In] = rank(n)
			}
		}
	}
	for n := range g.Nodes() {
		if _, ok := perhaps[n]; ok && n.Kind == Rights {
			if known, ok := best[n.In]; !ok || rank(n) <= known {
				_, certain := sure[n]
				x.Opens = append(x.Opens, Account{Rights: n, Sure: certain})
			}
		}
	}
	slices.SortStableFunc(x.Opens, func(a, b Account) int {
		return cmp.Or(cmp.Compare(rank(a.Rights), rank(b.Rights)), cmp.Compare(a.Rights.In, b.Rights.In))
	})
	x.Who = g.Paths(g.Origins(from...), from)
	x.Before = x.Who.Changes()
	if len(x.Opens) == 0 {
		return x
	}
	var ends, highest []*Node
	for _, o := range x.Opens {
		ends = append(ends, o.Rights)
		if o.Rights.Level == x.Opens[0].Rights.Level {
			highest = append(highest, o.Rights)
		}
	}
	x.Paths = g.Paths(from, ends)
	count := map[*Node]int{}
	top := Paths{More: x.Paths.More}
	for _, p := range x.Paths.All {
		end := p[len(p)-1].To
		count[end]++
		if slices.Contains(highest, end) {
			top.All = append(top.All, p)
		}
	}
	short := map[*Node]int{}
	for _, p := range slices.Backward(x.Paths.All) {
		short[p[len(p)-1].To] = len(p)
	}
	for k := range x.Opens {
		x.Opens[k].Paths = count[x.Opens[k].Rights]
	}
	slices.SortStableFunc(x.Opens, func(a, b Account) int {
		return cmp.Or(cmp.Compare(rank(a.Rights), rank(b.Rights)), cmp.Compare(short[a.Rights], short[b.Rights]))
	})
	x.Changes, x.Highest = top.Changes(), len(top.All)
	x.Cut, _ = g.Cut(from, highest)
	return x
}

// Around is the part of a graph that some nodes lead to, and that leads to them, in eight steps.
func (g *Graph) Around(nodes ...*Node) *Graph {
	down := distances(nodes, func(n *Node) []*Edge { return n.out }, func(e *Edge) *Node { return e.To })
	up := distances(nodes, func(n *Node) []*Edge { return n.in }, func(e *Edge) *Node { return e.From })
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
	up := distances(of, func(n *Node) []*Edge { return n.in }, func(e *Edge) *Node { return e.From })
	for n := range g.Nodes() {
		if _, ok := up[n]; ok && len(n.in) == 0 && !slices.Contains(of, n) {
			all = append(all, n)
		}
	}
	return all
}
