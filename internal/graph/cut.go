package graph

import (
	"cmp"
	"slices"
)

// maxCut is the most changes that are looked for to leave no way: a longer list is no smallest fix.
const maxCut = 20

// A Change is something that can be done, and how many of some paths it removes.
type Change struct {
	What  string
	Paths int
}

// A fix is a change as the graph has it: what is done about a node, or about edges that leave it or lead to it.
type fix struct {
	at   *Node
	what string
}

func (p Path) fixes() (all []fix) {
	add := func(n *Node, what string) {
		if f := (fix{n, what}); what != "" && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	for _, e := range p {
		add(e.From, e.From.Fix)
		add(e.From, e.Fix)
		add(e.To, e.Close)
		add(e.To, e.To.Fix)
	}
	return all
}

// Changes are all things that remove at least one of the listed paths, what removes most first.
func (p Paths) Changes() (all []Change) {
	count := map[fix]int{}
	var order []fix
	for _, path := range p.All {
		for _, f := range path.fixes() {
			if count[f] == 0 {
				order = append(order, f)
			}
			count[f]++
		}
	}
	for _, f := range order {
		all = append(all, Change{f.what, count[f]})
	}
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(b.Paths, a.Paths) })
	return all
}

// Cut is the fewest changes that leave no way, of whatever length, from any of some nodes to any of others, and whether there are such: some ways nothing
// removes, and of more than 20 changes there is no list. Neither the first nodes nor the last are changed themselves. Steps that are not sure count as ways.
//
// It is a minimum cut, found by a maximum flow (L. R. Ford and D. R. Fulkerson, Maximal flow through a network, 1956): what can be changed lets one way
// through, all else any number.
func (g *Graph) Cut(from, to []*Node) (changes []string, ok bool) {
	f := flow{source: map[point]bool{}, sink: map[point]bool{}, used: map[arc]int{}, edges: map[point][]*Edge{}}
	for _, n := range from {
		f.source[point{n, leave, ""}] = true
	}
	for _, n := range to {
		f.sink[point{n, enter, ""}] = true
	}
	for range maxCut + 1 {
		seen, end := f.search()
		if end == nil {
			return f.cut(seen), true
		}
		if !f.send(seen, *end) {
			return nil, false
		}
	}
	return nil, false
}

// A side is where at a node a point of the network is. Ways go enterBy, enter, leave, leaveBy, and on to the next node.
type side byte

const (
	enterBy side = iota // by edges with one Close
	enter
	leave
	leaveBy // by edges with one Fix
)

// A point is a place in the network. Edges without a Fix or Close have points of their kind too, which let everything through.
type point struct {
	node *Node
	side side
	fix  string
}

func (e *Edge) leaves() point { return point{e.From, leaveBy, e.Fix} }
func (e *Edge) enters() point { return point{e.To, enterBy, e.Close} }

// An arc joins two points. One that is a change has room for one way.
type arc struct{ from, to point }

// change is what an arc stands for; "" for what nothing removes.
func (a arc) change() string {
	switch {
	case a.from.node != a.to.node || a.from.side == leaveBy: // an edge, also to the node itself
		return ""
	case a.from.side == enter:
		return a.to.node.Fix
	}
	return a.from.fix + a.to.fix // of which one is empty
}

type flow struct {
	source, sink map[point]bool
	used         map[arc]int       // how many ways go through it
	edges        map[point][]*Edge // those that leave or enter by a point; of nodes that were come to
}

// next are the points that one more way can go on to, also by sending one that was found elsewhere.
func (f *flow) next(p point, yield func(point)) {
	forward := func(to point) {
		a := arc{p, to}
		if a.change() == "" || f.used[a] == 0 {
			yield(to)
		}
	}
	back := func(from point) {
		if f.used[arc{from, p}] > 0 {
			yield(from)
		}
	}
	in, out := point{p.node, enter, ""}, point{p.node, leave, ""}
	f.sort(p.node)
	switch p.side {
	case enterBy:
		forward(in)
		for _, e := range f.edges[p] {
			back(e.leaves())
		}
	case enter:
		forward(out)
		for _, e := range p.node.in {
			back(e.enters())
		}
	case leave:
		for _, e := range p.node.out {
			forward(e.leaves())
		}
		back(in)
	case leaveBy:
		for _, e := range f.edges[p] {
			forward(e.enters())
		}
		back(out)
	}
}

// sort tells which of a node's edges go by which point, once.
func (f *flow) sort(n *Node) {
	known := point{n, enter, ""}
	if _, ok := f.edges[known]; ok {
		return
	}
	f.edges[known] = nil
	for _, e := range n.out {
		f.edges[e.leaves()] = append(f.edges[e.leaves()], e)
	}
	for _, e := range n.in {
		f.edges[e.enters()] = append(f.edges[e.enters()], e)
	}
}

// search goes wherever one more way can, and tells how it came to each point, and to an end if it did.
func (f *flow) search() (seen map[point]point, end *point) {
	seen = map[point]point{}
	var queue []point
	for p := range f.source {
		seen[p] = p
		queue = append(queue, p)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		if f.sink[here] {
			return seen, &here
		}
		f.next(here, func(p point) {
			if _, ok := seen[p]; !ok {
				seen[p] = here
				queue = append(queue, p)
			}
		})
	}
	return seen, nil
}

// send adds the way that search found. It is false if nothing can remove that way.
func (f *flow) send(seen map[point]point, end point) bool {
	bounded := false
	for p := end; seen[p] != p; p = seen[p] {
		a := arc{seen[p], p}
		if f.used[arc{p, seen[p]}] > 0 {
			f.used[arc{p, seen[p]}]--
			bounded = true
			continue
		}
		f.used[a]++
		bounded = bounded || a.change() != ""
	}
	return bounded
}

// cut are the changes between what can still be reached and what can not.
func (f *flow) cut(seen map[point]point) (changes []string) {
	for a, n := range f.used {
		_, here := seen[a.from]
		if _, there := seen[a.to]; n > 0 && here && !there {
			changes = append(changes, a.change())
		}
	}
	slices.Sort(changes)
	return changes
}
