package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/graph"
)

// A Reach is the report of what secrets and identities open: the envelope of a run, leakreach.run/v1, with an entry for each of them.
type Reach struct {
	Schema     string            `json:"schema"`
	Run        audit.RunInfo     `json:"run"`
	Coverage   []audit.Coverage  `json:"coverage"`
	Gaps       []audit.Gap       `json:"gaps"`
	Findings   []audit.Finding   `json:"findings"`
	Identities []ReachedIdentity `json:"identities"`
	Secrets    []ReachedSecret   `json:"secrets,omitempty"`
	Readers    []*graph.Readers  `json:"readers,omitempty"`    // who can read what forges keep for jobs
	Components []graph.Loss      `json:"components,omitempty"` // other people's code in jobs, by what is lost with it
	Inventory  []audit.Entry     `json:"inventory"`
	Silencers  []audit.Silencer  `json:"silencers"`
	Calls      map[string]int    `json:"calls"`

	Graph   *graph.Graph `json:"-"` // of what was asked for by name
	Listing bool         `json:"-"` // readers and components are all that there are: a text has a line for each
}

// A ReachedIdentity is an identity with what it opens.
type ReachedIdentity struct {
	ARN     string `json:"arn"`
	Account string `json:"account"`
	Type    string `json:"type"`
	Reached
	Trusts []Trust `json:"trusts,omitempty"` // of a role: which tokens of pipelines it lets in
}

// A ReachedSecret is a secret with what it opens: one that was found, or one that a forge keeps for jobs.
type ReachedSecret struct {
	ID       string `json:"id"` // the finding's, or secret:TARGET/NAME
	Name     string `json:"name"`
	Identity string `json:"identity,omitempty"` // that it is a credential of
	Reached
}

// Reached is what one of them opens. Without Ways, Paths is the shortest alone.
type Reached struct {
	Level    audit.Level  `json:"level"`
	Accounts []string     `json:"accounts"`
	Paths    []audit.Path `json:"paths"`
	Limits   []string     `json:"limits"`
	Ways     *Ways        `json:"ways,omitempty"`
}

// Ways are all that lead on from what was asked for by name, and what closes them.
type Ways struct {
	Opens []Opened `json:"opens"`
	Count int      `json:"count"` // of ways to all of Opens that are sure
	More  bool     `json:"more"`  // there are more than were counted
	// Possible are ways that depend on what is not known, of PossibleCount.
	Possible      []audit.Path `json:"possible"`
	PossibleCount int          `json:"possible_count"`
	// Fixes are what removes most of the ways to a level, the highest, of which there are Of. Cut are the fewest that together leave none, not even a possible one; none
	// where there are no such.
	Level audit.Level `json:"level,omitempty"`
	Fixes []Fix       `json:"fixes"`
	Of    int         `json:"of"`
	Cut   []string    `json:"cut"`
	// From are ways by which somebody can come to what was asked for, of FromCount, and FromFixes what removes most of those.
	From      [][]audit.Step `json:"from"`
	FromCount int            `json:"from_count"`
	FromFixes []Fix          `json:"from_fixes"`
}

// Opened is what may be done in one account.
type Opened struct {
	Account string      `json:"account"`
	Name    string      `json:"name,omitempty"` // of the account
	Level   audit.Level `json:"level"`
	Ways    int         `json:"ways"`
	Sure    bool        `json:"sure"` // not all of the ways depend on what is not known
	// Services are those that may be changed, and Reads those that may only be read, of which statements speak; of an administrator none are named.
	Services []string `json:"services,omitempty"`
	Reads    []string `json:"reads,omitempty"`
}

// A Fix is something that can be done, and how many ways it removes.
type Fix struct {
	What    string `json:"what"`
	Removes int    `json:"removes"`
}

// What is told one by one of many.
const (
	maxWaysEach = 3 // to one account
	maxWays     = 100
	maxFixes    = 5
)

// NewWays is an explanation as reports have it, with the ways that are told one by one: the shortest to each account, those to the highest level first.
func NewWays(x graph.Explanation) (w *Ways, paths []audit.Path) {
	w = &Ways{
		Opens: []Opened{}, Count: len(x.Paths.All), More: x.Paths.More, PossibleCount: len(x.Possible.All), Level: audit.Level(x.Level), Fixes: fixesOf(x.Changes), Of: x.Highest,
		Cut: append([]string{}, x.Cut...), From: [][]audit.Step{}, FromCount: len(x.Who.All), FromFixes: fixesOf(x.Before),
	}
	for _, o := range x.Opens {
		w.Opens = append(w.Opens, Opened{Account: o.Rights.In, Name: o.Rights.Facts["account_name"], Level: audit.Level(o.Rights.Level), Ways: o.Paths, Sure: o.Sure})
	}
	for _, p := range x.Who.All[:min(len(x.Who.All), maxWays)] {
		w.From = append(w.From, steps(p))
	}
	w.Possible = told(x, x.Possible)
	return w, told(x, x.Paths)
}

// told are the shortest of some paths to each account.
func told(x graph.Explanation, all graph.Paths) []audit.Path {
	to, paths := map[*graph.Node][]graph.Path{}, []audit.Path{}
	for _, p := range all.All {
		if end := p[len(p)-1].To; len(to[end]) < maxWaysEach {
			to[end] = append(to[end], p)
		}
	}
	for _, o := range x.Opens {
		for _, p := range to[o.Rights][:min(len(to[o.Rights]), maxWays-len(paths))] {
			paths = append(paths, audit.Path{Level: endsIn(p), Steps: steps(p)})
		}
	}
	return paths
}

func fixesOf(changes []graph.Change) []Fix {
	fixes := []Fix{}
	for _, c := range changes[:min(len(changes), maxFixes)] {
		fixes = append(fixes, Fix{c.What, c.Paths})
	}
	return fixes
}

// endsIn is the level that a path leads to: escalation where it takes moves to become an administrator.
func endsIn(p graph.Path) audit.Level {
	l := audit.Level(p[len(p)-1].To.Level)
	if l == audit.LevelAdmin && slices.ContainsFunc(p, func(e *graph.Edge) bool {
		return e.From.Kind == graph.Identity && e.Kind != graph.May && e.To.Kind != graph.Grant
	}) {
		return audit.LevelEscalation
	}
	return l
}

// steps are a path's. That an identity which was come to has the rights of an administrator is what the path's level says.
func steps(p graph.Path) (out []audit.Step) {
	for k, e := range p {
		if k > 0 && k == len(p)-1 && e.Kind == graph.May && e.To.Level == string(audit.LevelAdmin) && e.Unsure == "" && p[k-1].To.Kind == graph.Identity {
			break
		}
		s := audit.Step{From: called(e.From), To: called(e.To), Edge: string(e.Kind), Evidence: e.Evidence}
		if e.At != "" {
			s.To = e.At
		}
		if e.Way != "" {
			s.Evidence = e.Way + ": " + s.Evidence
		}
		if e.Unsure != "" {
			s.Evidence = strings.TrimSpace(s.Evidence + " (perhaps: " + e.Unsure + ")")
		}
		out = append(out, s)
	}
	return out
}

// called is what a node is called in a step: rights by the account that they are in.
func called(n *graph.Node) string {
	switch {
	case n.Kind == graph.Rights && len(n.In) == 12:
		return "arn:aws:iam::" + n.In + ":root"
	case n.Kind == graph.Identity || n.Kind == graph.Secret && strings.HasPrefix(n.ID, "secret:"):
		return n.ID
	}
	return n.Name
}

// ReachFormats lists the formats of a Reach, as [Formats] does those of a run.
var ReachFormats = []struct {
	Name  string
	Write func(w io.Writer, r *Reach, o Options) error
}{
	{"text", writeReachText},
	{"json", func(w io.Writer, r *Reach, _ Options) error { return encode(w, r, "  ") }},
	{"html", writeReachHTML},
	{"dot", writeReachDOT},
	{"opengraph", writeReachOpenGraph},
}

// WriteReach renders a Reach in the named format. An unknown name is an error that wraps [audit.ErrUsage].
func WriteReach(w io.Writer, format string, r *Reach, o Options) error {
	for _, f := range ReachFormats {
		if f.Name == format {
			return f.Write(w, r, o)
		}
	}
	return fmt.Errorf("%w: no format %q", audit.ErrUsage, Clean(format))
}
