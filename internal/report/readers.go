package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/graph"
)

// A row is a label with what it says. What is of a job is one deeper.
type row struct {
	Of          int
	Label, Says string
}

// rows are of text that can be printed.
type rows []row

func (to *rows) add(of int, label, format string, args ...any) {
	*to = append(*to, row{of, label, Clean(fmt.Sprintf(format, args...))})
}

// kept is where a secret is kept, and for whom.
func kept(s *graph.Readers) string {
	where := []string{s.Target}
	for _, fact := range []string{s.Scope, s.Facts["store"]} {
		if fact != "" {
			where = append(where, fact)
		}
	}
	if scope := s.Facts["environment_scope"]; scope != "" {
		where = append(where, "for environments "+scope)
	}
	if !s.Listed {
		where = append(where, "in no listing")
	}
	return strings.Join(where, ", ")
}

// readers are who can read one secret: each job with what starts it and whose code it runs, then who else.
func readers(s *graph.Readers) (r rows) {
	if set := cmp.Or(s.Facts["updated_at"], s.Facts["created_at"]); set != "" {
		r.add(0, "set", "%s, made %s", set, cmp.Or(s.Facts["created_at"], "at a time that is not known"))
	}
	for _, fact := range []string{"visibility", "repositories", "protected", "masked", "hidden"} {
		if v := s.Facts[fact]; v != "" {
			r.add(0, fact, "%s", v)
		}
	}
	switch {
	case s.Finding != "":
		r.add(0, "found", "%s %s, opens %s", s.Finding, cmp.Or(string(s.Validity), "unchecked"), cmp.Or(string(s.Level), "what is not known"))
	case s.Listed && s.Kind == audit.KindSecret:
		r.add(0, "opens", "what is not known: the forge keeps its value to itself")
	}
	for i := range s.Jobs {
		r.job(&s.Jobs[i])
	}
	if len(s.Hides) > 0 {
		r.add(0, "hides", "%s", strings.Join(s.Hides, "; "))
	}
	if len(s.HiddenBy) > 0 {
		r.add(0, "hidden by", "%s", strings.Join(s.HiddenBy, "; "))
	}
	for _, who := range s.People {
		r.add(0, "people", "%s", who)
	}
	for _, w := range s.Writers {
		r.add(0, w.Role, "%s: %s", w.Target, &w)
	}
	for _, team := range slices.Sorted(maps.Keys(s.Teams)) {
		r.add(0, "team", "%s: %s", team, strings.Join(s.Teams[team], ", "))
	}
	if len(s.Approve) > 0 {
		r.add(0, "approve", "%s", strings.Join(s.Approve, ", "))
	}
	r.add(0, "used", "%s", s.Used)
	r.add(0, "outsiders", "%s", s.Outsider)
	if s.OIDC != "" {
		r.add(0, "oidc", "%s takes the identity of a job in its place", s.OIDC)
	}
	for _, limit := range s.Limits {
		r.add(0, "limit", "%s", limit)
	}
	if s.Fix != nil {
		r.add(0, "fix", "%s%s", s.Fix.What, removes(s))
	}
	return r
}

func removes(s *graph.Readers) string {
	if s.Fix.Removes == 0 {
		return ""
	}
	return fmt.Sprintf(": removes %d of %d holders", s.Fix.Removes, s.Holders)
}

// job adds one job.
func (to *rows) job(r *graph.Reader) {
	row := func(label, format string, args ...any) { to.add(1, label, format, args...) }
	at := r.Path
	if r.Repository != "" {
		at = r.Repository + "/" + r.Path + "@" + r.Ref
	}
	head := fmt.Sprintf("%s  %s  %s:%d", r.Target, r.Name, at, r.Line)
	if r.Certainty != "certain" {
		head += ", possibly: " + r.Why
	}
	to.add(0, "job", "%s", head)
	var takes []string
	for _, t := range r.Takes {
		takes = append(takes, fmt.Sprintf("%s as %s, line %d", t.In, t.As, t.Line))
	}
	if !r.Named && len(takes) == 0 {
		takes = append(takes, "it is handed to the job though nothing names it")
	}
	row("takes", "%s", strings.Join(takes, " · "))
	for _, c := range r.Calls {
		row("called by", "%s  %s:%d", c.Job, c.Path, c.Line)
	}
	for _, e := range r.Events {
		text := e.Name
		if len(e.Filters) > 0 {
			text += " (" + strings.Join(e.Filters, ", ") + ")"
		}
		if e.Outsiders != "no" {
			text += " · outsiders: " + e.Outsiders
		}
		if e.Note != "" {
			text += ": " + e.Note
		}
		row("on", "%s", text)
	}
	if x := r.LastRun; x != nil {
		row("ran", "%s (%s, %s), as a run of the %s", x.At, x.Event, x.Conclusion, x.Of)
	}
	for _, c := range r.Conditions {
		row("if", "%s", c)
	}
	if e := r.Environment; e != nil {
		text := e.Name
		if e.Exists != "yes" {
			text += " (exists: " + e.Exists + ")"
		}
		row("in", "%s", strings.Join(append([]string{text}, e.Gates...), " · "))
		for _, hole := range e.Holes {
			row("hole", "%s", hole)
		}
	}
	runner := strings.Join(r.Runner.Labels, "+")
	if r.Runner.Group != "" {
		runner += " group " + r.Runner.Group
	}
	row("runner", "%s (hosted: %s)%s", cmp.Or(runner, "any"), r.Runner.Hosted, strings.TrimRight(" "+strings.Join(r.Runner.Runners, ", "), " "))
	for _, hole := range r.Runner.Holes {
		row("hole", "%s", hole)
	}
	for _, c := range r.Components {
		row("beside", "%s", besideText(&c))
	}
	for _, u := range r.Unknown {
		row("unknown", "%s", u)
	}
}

func besideText(c *graph.Beside) string {
	text := c.Name
	if c.Ref != "" {
		text += "@" + c.Ref
	}
	said := []string{"pinned"}
	switch {
	case c.Mutable:
		said = []string{"mutable"}
	case c.Commit != "":
		said = []string{"held at " + c.Commit + " by the lock file"}
	}
	if c.Opaque {
		said = append(said, "what it pulls in is not known")
	}
	if len(c.Through) > 0 {
		said = append(said, "through "+strings.Join(c.Through, " > "))
	}
	if len(c.Advisories) > 0 {
		said = append(said, "ADVISORY "+strings.Join(c.Advisories, ", "))
	}
	return text + " (" + strings.Join(said, ", ") + ")"
}

// A table is cells that can be printed, the head first.
type table [][]string

func (t *table) add(cells ...any) {
	var line []string
	for _, c := range cells {
		line = append(line, Clean(fmt.Sprint(c)))
	}
	*t = append(*t, line)
}

// text writes a table with its columns below each other.
func (t table) text(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, line := range t {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	_ = w.Flush() // into memory
}

// readersTable lists secrets with a line each.
func readersTable(all []*graph.Readers) (t table) {
	t.add("NAME", "KEPT BY", "JOBS", "COMPONENTS", "OUTSIDERS", "USED", "OPENS")
	for _, s := range all {
		components := map[string]bool{}
		for i := range s.Jobs {
			for _, c := range s.Jobs[i].Components {
				components[c.Name] = true
			}
		}
		t.add(s.Name, s.Target+", "+cmp.Or(s.Scope, "in no listing"), len(s.Jobs)+s.More, len(components), s.Outsider, s.Used, cmp.Or(string(s.Level), "-"))
	}
	return t
}

// lossesTable ranks components with a line each.
func lossesTable(all []graph.Loss) (t table) {
	t.add("COMPONENT", "LOST AT ONCE", "WITH ITS NEXT VERSION", "OPENS", "JOBS", "TARGETS", "REFS")
	for _, l := range all {
		var refs []string
		for _, r := range l.Refs[:min(len(l.Refs), 5)] {
			text := cmp.Or(r.Ref, "(newest)")
			if r.Commit != "" {
				text += " (" + r.Commit[:min(len(r.Commit), 7)] + ")"
			}
			refs = append(refs, text)
		}
		if len(l.Refs) > 5 {
			refs = append(refs, "…")
		}
		name := l.Component
		if len(l.Advisories) > 0 {
			name += " (ADVISORY " + strings.Join(l.Advisories, ", ") + ")"
		}
		t.add(name, len(l.Credentials), len(l.Pinned), cmp.Or(string(l.Level), "-"), l.Jobs, l.Targets, strings.Join(refs, " "))
	}
	return t
}

// losses are the credentials that components would be lost with.
func losses(all []graph.Loss) (r rows) {
	for _, l := range all {
		for _, c := range l.Credentials {
			r.add(0, "at once", "%s", c)
		}
		for _, c := range l.Pinned {
			r.add(0, "later", "%s", c)
		}
	}
	return r
}

func (to rows) text(b *strings.Builder) {
	for _, x := range to {
		fmt.Fprintf(b, "  %s%-9s %s\n", strings.Repeat("  ", x.Of), x.Label, x.Says)
	}
}

// readersText writes what was asked of readers and components.
func (r *Reach) readersText(b *strings.Builder) {
	switch {
	case r.Listing && len(r.Readers) > 0:
		readersTable(r.Readers).text(b)
	default:
		for _, s := range r.Readers {
			fmt.Fprintf(b, "%s %s  %s\n", s.Kind, Clean(s.Name), Clean(kept(s)))
			readers(s).text(b)
		}
	}
	if len(r.Components) == 0 {
		return
	}
	lossesTable(r.Components).text(b)
	if !r.Listing {
		losses(r.Components).text(b)
	}
}
