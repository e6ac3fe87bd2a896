package graph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// draw makes a graph of lines such as "a -edits-> b": an edge that is fixed where it leaves; "a -edits=> b", one that is closed where it ends; "a -edits!-> b", one
// that nothing removes; "a -edits?-> b", one that is not sure. Nodes in capitals can be removed.
func draw(t testing.TB, lines ...string) *Graph {
	t.Helper()
	g := &Graph{}
	node := func(id string) *Node {
		n := Node{ID: id}
		if strings.ToUpper(id) == id {
			n.Fix = "rotate " + id
		}
		return g.Node(n)
	}
	for _, line := range lines {
		var from, by, to string
		if _, err := fmt.Sscanf(line, "%s %s %s", &from, &by, &to); err != nil {
			t.Fatal(line, err)
		}
		kind, closes := strings.CutSuffix(strings.TrimSuffix(strings.TrimPrefix(by, "-"), ">"), "=")
		kind, lasting := strings.CutSuffix(strings.TrimSuffix(kind, "-"), "!")
		kind, unsure := strings.CutSuffix(kind, "?")
		e := Edge{From: node(from), To: node(to), Kind: EdgeKind(kind)}
		switch {
		case closes:
			e.Close = kind + " into " + to
		case !lasting:
			e.Fix = kind + " of " + from
		}
		if unsure {
			e.Unsure = "the weather"
		}
		g.Edge(e)
	}
	return g
}

func (p Path) String() string {
	text := p[0].From.ID
	for _, e := range p {
		text += " " + e.To.ID
	}
	return text
}

func all(g *Graph, ids ...string) (nodes []*Node) {
	for _, id := range ids {
		nodes = append(nodes, g.Find(id))
	}
	return nodes
}

func TestPathsAndCut(t *testing.T) {
	tests := []struct {
		name     string
		lines    []string
		from, to []string
		paths    []string
		changes  []Change // the first of them
		cut      []string
		lasting  bool // nothing cuts
	}{
		{
			name:  "two of three",
			lines: []string{"user -assumes-> org", "user -passes-> org", "org -may!-> admin", "user -edits-self-> admin"},
			from:  []string{"user"}, to: []string{"admin"},
			paths:   []string{"user admin", "user org admin", "user org admin"},
			changes: []Change{{"edits-self of user", 1}},
			cut:     []string{"assumes of user", "edits-self of user", "passes of user"},
		},
		{
			name:  "one statement for many targets is one change",
			lines: []string{"KEY -acts-as!-> user", "user -reads-> u1", "user -reads-> u2", "user -reads-> u3", "u1 -may!-> admin", "u2 -may!-> admin", "u3 -may!-> admin"},
			from:  []string{"KEY"}, to: []string{"admin"},
			paths:   []string{"KEY user u1 admin", "KEY user u2 admin", "KEY user u3 admin"},
			changes: []Change{{"rotate KEY", 3}, {"reads of user", 3}},
			cut:     []string{"reads of user"},
		},
		{
			name:  "a neck",
			lines: []string{"out -starts-> j1", "out -starts-> j2", "j1 -holds-> S", "j2 -holds-> S", "S -acts-as!-> u", "u -may!-> admin"},
			from:  []string{"out"}, to: []string{"admin"},
			paths:   []string{"out j1 S u admin", "out j2 S u admin"},
			changes: []Change{{"starts of out", 2}, {"rotate S", 2}, {"holds of j1", 1}},
			cut:     []string{"starts of out"}, // of several that are as small, the one next to the start
		},
		{
			name:  "cycles end",
			lines: []string{"a -edits-> b", "b -edits-> a", "b -edits-> b", "b -assumes-> c", "c -edits-> b", "c -may-> admin"},
			from:  []string{"a"}, to: []string{"admin"},
			paths: []string{"a b c admin"},
			cut:   []string{"edits of a"},
		},
		{
			name:  "a flow that has to turn back", // the shortest way takes the arcs that two others need
			lines: []string{"s -x1!-> a", "s -x2!-> b", "a -y-> B", "B -v-> t", "b -w!-> A", "a -z!-> A", "A -u-> t", "b -q!-> B"},
			from:  []string{"s"}, to: []string{"t"},
			paths: []string{"s a B t", "s b A t", "s a A t", "s b B t"},
			cut:   []string{"rotate A", "rotate B"},
		},
		{
			name:  "what is closed at the end",
			lines: []string{"s -x!-> a", "s -x!-> b", "a -assumes=> r", "b -assumes=> r", "r -may!-> admin"},
			from:  []string{"s"}, to: []string{"admin"},
			paths:   []string{"s a r admin", "s b r admin"},
			changes: []Change{{"assumes into r", 2}},
			cut:     []string{"assumes into r"},
		},
		{
			name:  "those that are not sure count too",
			lines: []string{"a -assumes?-> admin", "a -edits-> b", "b -edits-> admin"},
			from:  []string{"a"}, to: []string{"admin"},
			paths: []string{"a admin", "a b admin"},
			cut:   []string{"assumes of a", "edits of a"},
		},
		{
			name:  "nothing removes what may be done already",
			lines: []string{"user -may!-> admin", "user -assumes-> r", "r -may!-> admin"},
			from:  []string{"user"}, to: []string{"admin"},
			paths:   []string{"user admin", "user r admin"},
			lasting: true,
		},
		{
			name:  "eight steps and no more",
			lines: []string{"a -e-> b", "b -e-> c", "c -e-> d", "d -e-> e", "e -e-> f", "f -e-> g", "g -e-> h", "h -e-> near", "h -e-> i", "i -e-> far"},
			from:  []string{"a"}, to: []string{"near", "far"},
			paths: []string{"a b c d e f g h near"},
			cut:   []string{"e of a"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := draw(t, tt.lines...)
			from, to := all(g, tt.from...), all(g, tt.to...)
			paths := g.Paths(from, to, false)
			var got []string
			for _, p := range paths.All {
				got = append(got, p.String())
			}
			slices.Sort(got[min(1, len(got)):])
			want := slices.Clone(tt.paths)
			slices.Sort(want[1:])
			if tt.name == "a flow that has to turn back" {
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) || paths.More {
				t.Errorf("paths %q, want %q", got, want)
			}
			changes := paths.Changes()
			if len(changes) < len(tt.changes) || !slices.Equal(changes[:len(tt.changes)], tt.changes) {
				t.Errorf("changes %v, want %v first", changes, tt.changes)
			}
			cut, ok := g.Cut(from, to)
			if ok == tt.lasting || !slices.Equal(cut, tt.cut) {
				t.Errorf("cut %q %v, want %q", cut, ok, tt.cut)
			}
		})
	}
}

// TestAgainstBruteForce: of small graphs all ways and all sets of changes can be tried.
func TestAgainstBruteForce(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var lines []string
		for range 4 + r.IntN(9) {
			to := []string{"b", "C", "d", "E", "t"}[r.IntN(5)]
			lines = append(lines, fmt.Sprintf("%s -%s%s %s", []string{"s", "b", "C", "d", "E"}[r.IntN(5)], []string{"x", "y"}[r.IntN(2)], []string{"->", "=>", "!->"}[r.IntN(3)], to))
		}
		g := draw(t, lines...)
		from, to := g.Node(Node{ID: "s"}), g.Node(Node{ID: "t"})
		want := brute(from, to, nil, nil)
		paths := g.Paths([]*Node{from}, []*Node{to}, false)
		var got []string
		for _, p := range paths.All {
			got = append(got, p.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: paths %q, want %q", lines, got, want)
		}
		fixes := map[fix]bool{}
		for e := range g.Edges() {
			for _, f := range (Path{e}).fixes() {
				if f.at != from || f.what != from.Fix {
					fixes[f] = true
				}
			}
		}
		var list []fix
		for f := range fixes {
			list = append(list, f)
		}
		least := -1
		for set := range 1 << len(list) {
			without := map[fix]bool{}
			for k, f := range list {
				if set>>k&1 == 1 {
					without[f] = true
				}
			}
			if (least < 0 || len(without) < least) && len(brute(from, to, without, nil)) == 0 {
				least = len(without)
			}
		}
		cut, ok := g.Cut([]*Node{from}, []*Node{to})
		if ok != (least >= 0) || ok && len(cut) != least {
			t.Fatalf("%q: cut %q %v, and %d are enough", lines, cut, ok, least)
		}
	}
}

// TestAny: an edge to any of some identities is as one to each of them.
func TestAny(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		short, long := &Graph{}, &Graph{}
		node := func(g *Graph, id string) *Node { return g.Node(Node{ID: id, Kind: Identity}) }
		edge := func(from, to string, e Edge) {
			for _, g := range []*Graph{short, long} {
				e.From, e.To = node(g, from), node(g, to)
				g.Edge(e)
			}
		}
		names := []string{"a", "b", "c", "d", "e", "f"}
		for k := range 1 + r.IntN(2) {
			any, fix := short.Node(Node{ID: fmt.Sprint("any ", k), Kind: Any}), fmt.Sprint("assumes-", k)
			var members []string
			for _, n := range names {
				if r.IntN(2) == 0 {
					members = append(members, n)
					short.Edge(Edge{From: any, To: node(short, n), Kind: Assumes, Evidence: n, Close: fix + " into " + n})
				}
			}
			for _, from := range append(names[:3:3], "s") {
				unsure := []string{"", "", "the weather"}[r.IntN(3)]
				short.Edge(Edge{From: node(short, from), To: any, Kind: Assumes, Evidence: from, Fix: fix + " of " + from, Unsure: unsure})
				for _, to := range members {
					long.Edge(Edge{From: node(long, from), To: node(long, to), Kind: Assumes, At: any.ID, Evidence: from + "; " + to, Fix: fix + " of " + from, Close: fix + " into " + to, Unsure: unsure})
				}
			}
		}
		for range 3 {
			from := names[r.IntN(len(names))]
			edge(from, "t", Edge{Kind: May, Fix: "right of " + from})
			edge(from, names[r.IntN(len(names))], Edge{Kind: Edits})
		}
		for _, sure := range []bool{true, false} {
			ways := func(g *Graph) (all []string) {
				for _, p := range g.Paths([]*Node{node(g, "s")}, []*Node{node(g, "t")}, sure).All {
					text := fmt.Sprint(len(p))
					for _, e := range p {
						text += fmt.Sprintf(" %s %s %q %s %s;", e.Kind, e.To.ID, e.Evidence, e.Fix, e.Close)
					}
					all = append(all, text)
				}
				slices.Sort(all)
				return slices.Compact(all)
			}
			if got, want := ways(short), ways(long); !slices.Equal(got, want) {
				t.Fatalf("seed %d: ways\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		got, ok := short.Cut([]*Node{node(short, "s")}, []*Node{node(short, "t")})
		want, can := long.Cut([]*Node{node(long, "s")}, []*Node{node(long, "t")})
		if ok != can || !slices.Equal(got, want) {
			t.Fatalf("seed %d: cut %q %v, want %q %v", seed, got, ok, want, can)
		}
	}
}

// brute lists ways by trying all, without what some changes remove.
func brute(at, to *Node, without map[fix]bool, on []*Node) (ways []string) {
	if at == to {
		text := ""
		for _, n := range on {
			text += n.ID + " "
		}
		return []string{text + at.ID}
	}
	if slices.Contains(on, at) || len(on) > 0 && without[fix{at, at.Fix}] {
		return nil
	}
	for e := range at.Out() {
		if !without[fix{at, e.Fix}] && !without[fix{e.To, e.Close}] {
			ways = append(ways, brute(e.To, to, without, append(slices.Clone(on), at))...)
		}
	}
	return ways
}

// TestDense: where everybody can become everybody, the shortest ways are found, and that there are more is said.
func TestDense(t *testing.T) {
	g := &Graph{}
	var nodes []*Node
	for k := range 100 {
		nodes = append(nodes, g.Node(Node{ID: fmt.Sprint(k), Kind: Identity}))
	}
	var goals []*Node
	for k := range 20 {
		goals = append(goals, g.Node(Node{ID: fmt.Sprint("admin of ", k), Kind: Rights}))
		g.Edge(Edge{From: nodes[k*5+4], To: goals[k], Kind: May, Fix: "narrow"})
	}
	for _, a := range nodes {
		for _, b := range nodes {
			g.Edge(Edge{From: a, To: b, Kind: Assumes, Fix: "trust " + b.ID})
		}
	}
	paths := g.Paths(nodes[:1], goals, false)
	if !paths.More || len(paths.All) < len(goals) {
		t.Fatalf("%d paths, more %v", len(paths.All), paths.More)
	}
	for _, p := range paths.All[:len(goals)] {
		if len(p) != 2 {
			t.Errorf("%s is not among the shortest", p)
		}
	}
	if cut, ok := g.Cut(nodes[:1], goals[:1]); !ok || !slices.Equal(cut, []string{"narrow"}) {
		t.Errorf("cut %q %v", cut, ok)
	}
	if cut, ok := g.Cut(nodes[:1], nodes[1:2]); ok {
		t.Errorf("it takes 99 changes, and a list of %d was made", len(cut))
	}
}

// TestAdding: what is told twice is one node, and one edge, which is sure if any says so.
func TestAdding(t *testing.T) {
	g := &Graph{}
	a := g.Node(Node{ID: "a", Name: "first"})
	if g.Node(Node{ID: "a", Name: "second", In: "111122223333", Facts: map[string]string{"age": "812 days"}}) != a || a.Name != "first" || a.In != "111122223333" || a.Facts["age"] == "" {
		t.Errorf("%+v", a)
	}
	b := g.Node(Node{ID: "b"})
	g.Edge(Edge{From: a, To: b, Kind: Assumes, Unsure: "a key"})
	g.Edge(Edge{From: a, To: b, Kind: Assumes, Evidence: "a statement"})
	g.Edge(Edge{From: a, To: b, Kind: Assumes, Unsure: "another"})
	if edges := slices.Collect(g.Edges()); len(edges) != 1 || edges[0].Unsure != "" || edges[0].Evidence == "" {
		t.Errorf("%+v", edges)
	}
}

// TestForgeAndCloud: anybody starts two jobs that are handed one key, a component runs in one of them, a second key lies open; both open the same role.
func TestForgeAndCloud(t *testing.T) {
	run := &audit.Run{
		Inventory: []audit.Entry{{Target: "github:acme/open", Kind: audit.KindSettings, Facts: map[string]string{"visibility": "public"}}},
		Findings: []audit.Finding{
			found("lr1:aaaa", "AKIAIOSFODNN7EXAMPLE", "arn:aws:iam::111122223333:user/a", audit.Location{Target: "github:acme/web", Kind: audit.InVariable, Name: "DEPLOY_KEY"}),
			found("lr1:bbbb", "AKIAI44QH8DHBEXAMPLE", "arn:aws:iam::111122223333:user/b", audit.Location{Target: "github:acme/open", Kind: audit.InFile, Path: "deploy/env", Line: 3}),
		},
	}
	g := &Graph{}
	g.Run(run, func(string) bool { return false })
	name := g.Find(NamedID("github:acme/web", "DEPLOY_KEY"))
	for _, job := range []string{"build", "test"} {
		j := g.Node(Node{ID: "job:" + job, Kind: Job, Name: job})
		g.Edge(Edge{From: g.Anybody(), To: j, Kind: Starts})
		g.Edge(Edge{From: j, To: name, Kind: Holds})
	}
	g.Edge(Edge{From: g.Node(Node{ID: "component:x@v1", Kind: Component, Fix: "pin x"}), To: g.Find("job:build"), Kind: RunsIn})

	x := g.Explain(g.Find("arn:aws:iam::444455556666:role/admin"))
	var ways []string
	for _, p := range x.Who.All {
		ways = append(ways, p.String())
	}
	slices.Sort(ways)
	const role = "arn:aws:iam::444455556666:role/admin"
	want := []string{
		"anybody job:build secret:github:acme/web/DEPLOY_KEY lr1:aaaa arn:aws:iam::111122223333:user/a " + role,
		"anybody job:test secret:github:acme/web/DEPLOY_KEY lr1:aaaa arn:aws:iam::111122223333:user/a " + role,
		"anybody lr1:bbbb arn:aws:iam::111122223333:user/b " + role,
		"component:x@v1 job:build secret:github:acme/web/DEPLOY_KEY lr1:aaaa arn:aws:iam::111122223333:user/a " + role,
	}
	if !slices.Equal(ways, want) {
		t.Errorf("ways\n%s\nwant\n%s", strings.Join(ways, "\n"), strings.Join(want, "\n"))
	}
	if want := (Change{"rotate AKIAIOSFODNN7EXAMPLE", 3}); len(x.Before) == 0 || x.Before[0] != want {
		t.Errorf("changes %v, want %v first", x.Before, want)
	}
	if cut, ok := g.Cut(g.Origins(g.Find(role)), []*Node{g.Find(role)}); !ok || !slices.Equal(cut, []string{"rotate AKIAI44QH8DHBEXAMPLE", "rotate AKIAIOSFODNN7EXAMPLE"}) {
		t.Errorf("cut %q", cut)
	}
	part := g.Around(g.Find("lr1:bbbb"))
	ids := []string{}
	for n := range part.Nodes() {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	if want := []string{RightsID("444455556666", "admin"), "anybody", "arn:aws:iam::111122223333:user/b", role, "lr1:bbbb"}; !slices.Equal(ids, want) || len(slices.Collect(part.Edges())) != 4 {
		t.Errorf("around it are %q, want %q", ids, want)
	}
	if len(x.Opens) != 1 || x.Opens[0].Rights.ID != RightsID("444455556666", "admin") {
		t.Errorf("opens %+v", x.Opens)
	}
}

// found is a key that a verifier has followed to a role of another account.
func found(id, key, user string, at audit.Location) audit.Finding {
	return audit.Finding{
		ID: id, Secret: &audit.Secret{Kind: audit.KindAWSKey, ID: key}, Locations: []audit.Location{at},
		Verdict: &audit.Verdict{Validity: audit.Active, How: "live", Identity: &audit.Identity{ARN: user, Account: "111122223333", Type: "user"}},
		Reach: &audit.Reach{Level: audit.LevelEscalation, Accounts: []string{"444455556666"}, Paths: []audit.Path{{Level: audit.LevelEscalation, Steps: []audit.Step{
			{From: key, To: user, Edge: "is"}, {From: user, To: "arn:aws:iam::444455556666:role/admin", Edge: "assumes", Evidence: "a statement"},
		}}}},
	}
}
