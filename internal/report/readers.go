package report

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/leakreach/leakreach/internal/graph"
)

// readers writes who can read one secret: each job with what starts it and whose code it runs, then who else.
func readers(b *strings.Builder, s *graph.Readers) {
	row := func(label, format string, args ...any) {
		fmt.Fprintf(b, "  %-9s %s\n", label, Clean(fmt.Sprintf(format, args...)))
	}
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
	fmt.Fprintf(b, "%s %s  %s\n", s.Kind, Clean(s.Name), Clean(strings.Join(where, ", ")))
	if set := cmp.Or(s.Facts["updated_at"], s.Facts["created_at"]); set != "" {
		row("set", "%s, made %s", set, cmp.Or(s.Facts["created_at"], "at a time that is not known"))
	}
	for _, fact := range []string{"visibility", "repositories", "protected", "masked", "hidden"} {
		if v := s.Facts[fact]; v != "" {
			row(fact, "%s", v)
		}
	}
	if s.Finding != "" {
		row("found", "%s %s, opens %s", s.Finding, cmp.Or(string(s.Validity), "unchecked"), cmp.Or(string(s.Level), "what is not known"))
	}
	for i := range s.Jobs {
		reader(b, &s.Jobs[i])
	}
	if len(s.Hides) > 0 {
		row("hides", "%s", strings.Join(s.Hides, "; "))
	}
	if len(s.HiddenBy) > 0 {
		row("hidden by", "%s", strings.Join(s.HiddenBy, "; "))
	}
	for _, who := range s.People {
		row("people", "%s", who)
	}
	if len(s.Approve) > 0 {
		row("approve", "%s", strings.Join(s.Approve, ", "))
	}
	row("used", "%s", s.Used)
	row("outsiders", "%s", s.Outsider)
	if s.OIDC != "" {
		row("oidc", "%s takes the identity of a job in its place", s.OIDC)
	}
	for _, limit := range s.Limits {
		row("limit", "%s", limit)
	}
	if s.Fix != nil {
		row("fix", "%s%s", s.Fix.What, removes(s))
	}
}

func removes(s *graph.Readers) string {
	if s.Fix.Removes == 0 {
		return ""
	}
	return fmt.Sprintf(": removes %d of %d holders", s.Fix.Removes, s.Holders)
}

// reader writes one job.
func reader(b *strings.Builder, r *graph.Reader) {
	row := func(label, format string, args ...any) {
		fmt.Fprintf(b, "    %-9s %s\n", label, Clean(fmt.Sprintf(format, args...)))
	}
	at := r.Path
	if r.Repository != "" {
		at = r.Repository + "/" + r.Path + "@" + r.Ref
	}
	head := fmt.Sprintf("%s  %s  %s:%d", r.Target, r.Name, at, r.Line)
	if r.Certainty != "certain" {
		head += ", possibly: " + r.Why
	}
	fmt.Fprintf(b, "  %-9s %s\n", "job", Clean(head))
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
	if c.Mutable {
		said = []string{"mutable"}
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

// readersTable lists secrets with a line each.
func readersTable(b *strings.Builder, all []*graph.Readers) {
	t := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKEPT BY\tJOBS\tCOMPONENTS\tOUTSIDERS\tUSED\tOPENS")
	for _, s := range all {
		components := map[string]bool{}
		for i := range s.Jobs {
			for _, c := range s.Jobs[i].Components {
				components[c.Name] = true
			}
		}
		kept := s.Target + ", " + cmp.Or(s.Scope, "in no listing")
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", Clean(s.Name), Clean(kept), len(s.Jobs), len(components), s.Outsider, s.Used, cmp.Or(string(s.Level), "-"))
	}
	_ = t.Flush() // into memory
}

// lossesTable ranks components with a line each; one alone with all its credentials.
func lossesTable(b *strings.Builder, all []graph.Loss, alone bool) {
	t := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tLOST AT ONCE\tWITH ITS NEXT VERSION\tOPENS\tJOBS\tTARGETS\tREFS")
	for _, l := range all {
		var refs []string
		for _, r := range l.Refs[:min(len(l.Refs), 5)] {
			refs = append(refs, cmp.Or(r.Ref, "(newest)"))
		}
		if len(l.Refs) > 5 {
			refs = append(refs, "…")
		}
		name := l.Component
		if len(l.Advisories) > 0 {
			name += " (ADVISORY " + strings.Join(l.Advisories, ", ") + ")"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%s\n", Clean(name), len(l.Credentials), len(l.Pinned), cmp.Or(string(l.Level), "-"), l.Jobs, l.Targets, Clean(strings.Join(refs, " ")))
	}
	_ = t.Flush() // into memory
	if !alone {
		return
	}
	for _, l := range all {
		for _, c := range l.Credentials {
			fmt.Fprintf(b, "  at once   %s\n", Clean(c))
		}
		for _, c := range l.Pinned {
			fmt.Fprintf(b, "  later     %s\n", Clean(c))
		}
	}
}

// readersText writes what was asked of readers and components.
func (r *Reach) readersText(b *strings.Builder) {
	switch {
	case r.Listing && len(r.Readers) > 0:
		readersTable(b, r.Readers)
	default:
		for _, s := range r.Readers {
			readers(b, s)
		}
	}
	if len(r.Components) > 0 {
		lossesTable(b, r.Components, !r.Listing)
	}
}
