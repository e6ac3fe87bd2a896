package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// Bounds of what one finding adds: who finds more places or paths is told enough by these.
const (
	maxPlaces = 100
	maxGrants = 100
)

// Run adds the secrets that a run found: where they lie, whom they act as and what those may, as far as the run knows it, and better is not: known tells by its ARN
// whether what an identity may is told by others.
func (g *Graph) Run(run *audit.Run, known func(arn string) bool) {
	public := map[string]bool{}
	for i := range run.Inventory {
		if e := &run.Inventory[i]; e.Kind == audit.KindSettings && e.Facts["visibility"] == "public" {
			public[e.Target] = true
		}
	}
	for i := range run.Findings {
		if f := &run.Findings[i]; f.Secret != nil && f.Suppressed == nil {
			g.secret(f, public, known)
		}
	}
}

// NamedID is the id of a secret or variable that a forge keeps for jobs, by its target and name. What was found in one has an id of its own: the finding's.
func NamedID(target, name string) string { return "secret:" + target + "/" + name }

// OutsiderID is the id of anybody.
const OutsiderID = "anybody"

// Anybody is the node of those who have no rights on a forge.
func (g *Graph) Anybody() *Node {
	return g.Node(Node{ID: OutsiderID, Kind: Outsider, Name: "anybody"})
}

func (g *Graph) secret(f *audit.Finding, public map[string]bool, known func(string) bool) {
	name := cmp.Or(f.Secret.ID, f.Secret.Masked(), f.Title)
	s := g.Node(Node{ID: f.ID, Kind: Secret, Name: name, Fix: "rotate " + name, Facts: map[string]string{"kind": f.Secret.Kind, "rule": f.Rule}})
	for _, l := range f.Locations[:min(len(f.Locations), maxPlaces)] {
		if l.Kind == audit.InVariable || l.Kind == audit.InSecret {
			kept := g.Node(Node{ID: NamedID(l.Target, l.Name), Kind: Secret, Name: l.Name, In: l.Target})
			g.Edge(Edge{From: kept, To: s, Kind: IsIn, Evidence: "its value was found in the " + string(l.Kind)})
		}
		if public[l.Target] && l.Path != "" {
			at := l.Path
			if l.Line > 0 {
				at += fmt.Sprint(":", l.Line)
			}
			g.Edge(Edge{From: g.Anybody(), To: s, Kind: Reads, At: at, Evidence: l.Target + " is public, and it lies in " + at})
		}
	}
	if f.Verdict == nil || f.Verdict.Identity == nil || f.Verdict.Validity == audit.Inactive || f.Verdict.Validity == audit.Canary {
		return
	}
	for k, v := range f.Verdict.Facts {
		if s.Facts[k] == "" {
			s.Facts[k] = v
		}
	}
	who := f.Verdict.Identity
	id := cmp.Or(who.ARN, who.Account, name)
	acts := g.Node(Node{ID: id, Kind: Identity, Name: short(id), In: who.Account, Facts: map[string]string{"type": who.Type}})
	e := Edge{From: s, To: acts, Kind: ActsAs, Evidence: "verified: " + string(f.Verdict.Validity) + ", " + f.Verdict.How}
	if f.Verdict.Validity != audit.Active {
		e.Unsure = "whether it still works"
	}
	g.Edge(e)
	if f.Reach != nil && !known(id) {
		g.reach(acts, f.Reach)
	}
}

// reach adds what a verifier learned of an identity: paths, each to one level, and the accounts in which it has the highest.
func (g *Graph) reach(who *Node, r *audit.Reach) {
	told := map[string]bool{}
	for _, p := range r.Paths[:min(len(r.Paths), maxGrants)] {
		level, ok := ends(p.Level)
		if !ok {
			continue
		}
		e := Edge{From: who, Kind: May, Evidence: "judged by the verifier"}
		for k, s := range p.Steps {
			if k == len(p.Steps)-1 && (s.Edge == string(May) || s.Edge == string(EditSelf)) { // what may be done, and not who by
				e.Kind, e.At, e.Evidence = EdgeKind(s.Edge), s.To, s.Evidence
			} else if s.To != who.ID { // to which the secret has led already
				e.From = g.step(e.From, s)
			}
		}
		e.To = g.may(e.From.In, level)
		told[e.From.In] = true
		g.Edge(e)
	}
	if level, ok := ends(r.Level); ok {
		for _, account := range r.Accounts[:min(len(r.Accounts), maxGrants)] {
			if !told[account] {
				g.Edge(Edge{From: who, To: g.may(account, level), Kind: May, Evidence: "judged by the verifier"})
			}
		}
	}
}

// ends is the level at the end of a path to a level, if it is one of [levels].
func ends(l audit.Level) (audit.Level, bool) {
	if l == audit.LevelEscalation {
		l = audit.LevelAdmin
	}
	return l, slices.Contains(levels, string(l))
}

// step adds the step of a path, and is the node that it leads to: another identity, or a group or policy.
func (g *Graph) step(from *Node, s audit.Step) *Node {
	to := Node{ID: s.To, Kind: Grant, Name: short(s.To), In: from.In}
	if parts := strings.SplitN(s.To, ":", 6); len(parts) == 6 && !strings.HasPrefix(parts[5], "policy/") && !strings.HasPrefix(parts[5], "group/") {
		to.Kind, to.In = Identity, cmp.Or(parts[4], from.In)
	}
	e := Edge{From: from, To: g.Node(to), Kind: EdgeKind(s.Edge), Evidence: s.Evidence}
	e.Fix, e.Close = fixes(&e)
	g.Edge(e)
	return e.To
}

func (g *Graph) may(account string, level audit.Level) *Node {
	return g.Node(Node{ID: RightsID(account, string(level)), Kind: Rights, Name: string(level) + " in " + account, In: account, Level: string(level)})
}
