package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// highestFirst is the order of levels in a report.
var highestFirst = []audit.Level{audit.LevelAdmin, audit.LevelEscalation, audit.LevelWrite, audit.LevelRead, audit.LevelUnknown, audit.LevelNone}

// writeReachText writes for people: the highest levels first, each way step by step with what proves it, what is not known, and what closes most of it.
func writeReachText(w io.Writer, r *Reach, _ Options) error {
	type entry struct {
		name string
		Reached
		trusts []Trust
	}
	var all []entry
	for _, s := range r.Secrets {
		name := s.Name
		if s.ID != name {
			name += "  " + s.ID
		}
		all = append(all, entry{name, s.Reached, nil})
	}
	for _, i := range r.Identities {
		all = append(all, entry{i.ARN, i.Reached, i.Trusts})
	}
	slices.SortStableFunc(all, func(a, b entry) int { return slices.Index(highestFirst, a.Level) - slices.Index(highestFirst, b.Level) })
	var b strings.Builder
	count := map[audit.Level]int{}
	for _, e := range all {
		count[e.Level]++
		fmt.Fprintf(&b, "%-10s  %s\n", e.Level, Clean(e.name))
		e.text(&b)
		for _, t := range e.trusts {
			b.WriteString(t.Text())
		}
	}
	r.readersText(&b)
	for _, g := range r.Gaps {
		fmt.Fprintf(&b, "not seen    %s: %s: %s\n", Clean(g.Target), Clean(g.What), Clean(g.Why))
	}
	var parts []string
	for _, level := range highestFirst {
		if count[level] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[level], level))
		}
	}
	if len(all) == 0 && len(r.Readers)+len(r.Components) > 0 {
		_, err := io.WriteString(w, b.String())
		return err
	}
	accounts := 0
	for _, c := range r.Coverage {
		if c.Kind == "account" {
			accounts++
		}
	}
	what := fmt.Sprintf("%d identities in %d accounts", len(r.Identities), accounts)
	switch {
	case len(r.Secrets) > 0:
		what = fmt.Sprintf("%d secrets, %d identities", len(r.Secrets), len(r.Identities))
	case len(all) == 0 && accounts == 0:
		what, parts = "nothing is known of what secrets open", []string{"leakreach scan --verify owner asks for each key that it finds, and accounts are read with --from DIR or aws:PROFILE; " +
			"leakreach reach secrets tells who can read what forges keep"}
	case len(all) == 0:
		parts = []string{"there is no user and no role"}
	}
	fmt.Fprintf(&b, "%s: %s\n", what, strings.Join(parts, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}

// text writes the rows below a name. Each is a label and a text; what belongs to a step is further in.
func (r *Reached) text(b *strings.Builder) {
	row := func(label, format string, args ...any) {
		fmt.Fprintf(b, "            %s  %s\n", label, Clean(fmt.Sprintf(format, args...)))
	}
	way := func(steps []audit.Step) {
		for _, s := range steps {
			fmt.Fprintf(b, "            %s %s\n", Clean(s.Edge), Clean(s.To))
			if s.Evidence != "" {
				fmt.Fprintf(b, "              by %s\n", Clean(s.Evidence))
			}
		}
	}
	if r.Ways == nil {
		for _, p := range r.Paths {
			way(p.Steps)
		}
		for _, limit := range r.Limits {
			row("limit", "%s", limit)
		}
		return
	}
	for _, o := range r.Ways.Opens {
		perhaps := ""
		if !o.Sure {
			perhaps = "perhaps "
		}
		row("opens", "%s%s in %s: %s", perhaps, o.Level, o.account(), ways(o.Ways, false))
		if len(o.Services) > 0 {
			row("  changes", "%s", strings.Join(o.Services, ", "))
		}
		if len(o.Reads) > 0 {
			row("  reads", "%s", strings.Join(o.Reads, ", "))
		}
	}
	for k, steps := range r.Ways.From {
		if k == maxPaths {
			row("from", "%s more", number(r.Ways.FromCount-k))
			break
		}
		row("from", "%s", steps[0].From)
		way(steps)
	}
	for k, p := range r.Paths {
		if k == maxWaysTold {
			break
		}
		row(fmt.Sprintf("way %d of %s", k+1, counted(r.Ways.Count, r.Ways.More)), "%s", r.Ways.end(p))
		way(p.Steps)
	}
	for k, p := range r.Ways.Possible {
		if k == maxPaths {
			row("possible", "%s more", number(r.Ways.PossibleCount-k))
			break
		}
		row("possible", "%s", r.Ways.end(p))
		way(p.Steps)
	}
	for _, limit := range r.Limits {
		row("limit", "%s", limit)
	}
	r.Ways.fixes(func(what string) { row("fix", "%s", what) })
}

// maxWaysTold is how many ways a text tells step by step. The other formats have more.
const maxWaysTold = 10

func (o *Opened) account() string {
	if o.Name == "" {
		return o.Account
	}
	return o.Name + " (" + o.Account + ")"
}

// end says where a path ends: its level, and the account that its last step is in.
func (w *Ways) end(p audit.Path) string {
	parts := strings.SplitN(p.Steps[len(p.Steps)-1].To, ":", 6)
	for _, o := range w.Opens {
		if len(parts) == 6 && parts[4] == o.Account {
			return string(p.Level) + " in " + o.account()
		}
	}
	return string(p.Level)
}

func ways(n int, more bool) string { return counted(n, more) + " " + plural("way", n) }

func counted(n int, more bool) string {
	if more {
		return "more than " + number(n)
	}
	return number(n)
}

// fixes tells what closes most, and what closes all.
func (w *Ways) fixes(tell func(string)) {
	highest := string(w.Level)
	best := func(fixes []Fix, of, to string) {
		for _, f := range fixes {
			if f.Removes == fixes[0].Removes {
				tell(fmt.Sprintf("%s: removes %s of %s to %s", f.What, number(f.Removes), of, to))
			}
		}
	}
	best(w.Fixes, ways(w.Of, w.More), highest)
	best(w.FromFixes, ways(w.FromCount, false), "it")
	switch {
	case len(w.Cut) > 1:
		tell(fmt.Sprintf("these %s together leave no way to %s: %s", number(len(w.Cut)), highest, strings.Join(w.Cut, "; ")))
	case len(w.Cut) == 1 && w.Fixes[0].What != w.Cut[0]:
		tell(w.Cut[0] + ": leaves no way to " + highest)
	}
}
