// Package report renders a run for people, scripts and the pages that forges show: one file per format, all of them in
// [Formats]. A run comes sorted, worst first, and with known secret values masked; everything else in it was written by
// whoever owns what was scanned, so each format neutralises every string for the place it goes to.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// Options are what a format needs beyond the run. The zero value gives plain, uncut output.
type Options struct {
	Color bool // SGR colours, for text
	Width int  // columns of the terminal; 0 means that lines are neither cut nor wrapped
	Links bool // places are hyperlinks (OSC 8); otherwise their addresses are written out
	CI    bool // the text goes to a job's log, which no terminal's width or links apply to
	Fold  bool // that log is read by GitHub's runner: the text folds its sections

	Rules    map[string]audit.Rule // by id: what a finding's rule says about itself
	FailOn   string                // the threshold ExitCode was decided by; "" leaves the exit line out
	ExitCode int
	Absent   bool     // SARIF has what is gone as well. GitHub, which does not read that it is, would show it as open
	Notes    []string // lines of the command's own below a text report, such as where another report was written
}

// A Format is one way to write a run.
type Format struct {
	Name  string
	Write func(w io.Writer, run *audit.Run, o Options) error
}

// Formats lists them in the order they are documented in.
var Formats = []Format{
	{"text", writeText},
	{"json", writeJSON},
	{"jsonl", writeJSONL},
	{"sarif", writeSARIF},
	{"gitlab", writeGitLab},
	{"csv", writeCSV},
	{"markdown", writeMarkdown},
}

// Write renders run in the named format. An unknown name is an error that wraps [audit.ErrUsage].
func Write(w io.Writer, format string, run *audit.Run, o Options) error {
	var names []string
	for _, f := range Formats {
		if f.Name == format {
			return f.Write(w, run, o)
		}
		names = append(names, f.Name)
	}
	return audit.Hint(fmt.Errorf("%w: no report format %q", audit.ErrUsage, Clean(format)), "formats: "+strings.Join(names, ", "))
}

// Only narrows a run to one target. SARIF and GitLab reports belong to one repository: a sweep writes one for each.
func Only(run *audit.Run, target string) *audit.Run {
	out := *run
	out.Coverage = keep(run.Coverage, func(c audit.Coverage) bool { return c.Target == target })
	out.Gaps = keep(run.Gaps, func(g audit.Gap) bool { return g.Target == target })
	out.Inventory = keep(run.Inventory, func(e audit.Entry) bool { return e.Target == target })
	out.Silencers = keep(run.Silencers, func(s audit.Silencer) bool { return s.Target == target })
	there := func(f *audit.Finding) bool {
		f.Locations = keep(f.Locations, func(l audit.Location) bool { return l.Target == target })
		return len(f.Locations) > 0
	}
	out.Findings = []audit.Finding{}
	for _, f := range run.Findings {
		if there(&f) {
			out.Findings = append(out.Findings, f)
		}
	}
	if compared(run) {
		out.Gone, out.Unseen = []audit.Finding{}, []audit.Unseen{}
	}
	for _, f := range run.Gone {
		if there(&f) {
			out.Gone = append(out.Gone, f)
		}
	}
	for _, u := range run.Unseen {
		if there(&u.Finding) {
			out.Unseen = append(out.Unseen, u)
		}
	}
	return &out
}

func keep[T any](xs []T, want func(T) bool) []T {
	out := []T{}
	for _, x := range xs {
		if want(x) {
			out = append(out, x)
		}
	}
	return out
}

// tally counts what the verdict of a report is made of. Suppressed findings count as nothing else.
type tally struct {
	findings, live, unverified, admin, escalation, suppressed      int
	fresh, freshLive, freshUnverified, freshAdmin, freshEscalation int // of them, new since the run that it was compared with
}

func count(run *audit.Run) tally {
	var t tally
	for i := range run.Findings {
		f := &run.Findings[i]
		if f.Suppressed != nil {
			t.suppressed++
			continue
		}
		t.findings++
		fresh := 0
		if f.Change == audit.ChangeNew {
			fresh = 1
		}
		t.fresh += fresh
		switch validity(f) {
		case audit.Active:
			t.live++
			t.freshLive += fresh
		case audit.Unknown, audit.Unchecked:
			t.unverified++
			t.freshUnverified += fresh
		}
		switch level(f) {
		case audit.LevelAdmin:
			t.admin++
			t.freshAdmin += fresh
		case audit.LevelEscalation:
			t.escalation++
			t.freshEscalation += fresh
		}
	}
	return t
}

// validity of the finding's secret; "" for a finding without one.
func validity(f *audit.Finding) audit.Validity {
	switch {
	case f.Verdict != nil:
		return f.Verdict.Validity
	case f.Secret != nil:
		return audit.Unchecked
	}
	return ""
}

// level of the finding's reach; "" where nothing is known, and for a secret that no longer opens anything.
func level(f *audit.Finding) audit.Level {
	if f.Reach == nil || validity(f) == audit.Inactive || validity(f) == audit.Canary {
		return ""
	}
	return f.Reach.Level
}

// accounts are those in which a finding's secret has its level, in one phrase of at most five of them; "" where none is known.
func accounts(f *audit.Finding) string {
	if level(f) == "" {
		return ""
	}
	list, more := f.Reach.Accounts, ""
	if len(list) > 5 {
		more, list = fmt.Sprintf(" and %s more", number(len(list)-5)), list[:5]
	}
	return strings.Join(list, ", ") + more
}

// places puts a finding's locations in the order people need them: where it came in, where it still is, the rest.
func places(f *audit.Finding) []audit.Location {
	rank := func(l audit.Location) int {
		switch {
		case l.Introduced:
			return 0
		case l.InHead || l.Kind == audit.InFile:
			return 1
		}
		return 2
	}
	locs := slices.Clone(f.Locations)
	slices.SortStableFunc(locs, func(a, b audit.Location) int { return cmp.Compare(rank(a), rank(b)) })
	return locs
}

// inTree tells whether a location is a line that a reader of the repository can open now.
func inTree(l audit.Location) bool {
	return l.Path != "" && (l.InHead || l.Kind == audit.InFile || l.Kind == audit.InWorkflow)
}

// place names a location in one phrase. The target is part of it where a report speaks of several.
func place(l audit.Location, withTarget bool) string {
	var b strings.Builder
	if withTarget || l.Path == "" && l.Name == "" && l.Commit == "" {
		b.WriteString(l.Target + " ")
	}
	switch l.Kind {
	case audit.InFile, audit.InCommit, audit.InWorkflow:
		switch {
		case l.Path != "":
			b.WriteString(l.Path)
			if l.Line > 0 {
				fmt.Fprintf(&b, ":%d", l.Line)
			}
			if l.Commit != "" {
				b.WriteString(" @ " + shortCommit(l.Commit))
			}
			if l.Name != "" {
				b.WriteString(" (" + l.Name + ")")
			}
		case l.Commit != "":
			b.WriteString("commit " + shortCommit(l.Commit))
			if l.Name != "" {
				b.WriteString(" " + l.Name)
			}
		case l.Object != "":
			b.WriteString("object " + shortCommit(l.Object))
			if l.Line > 0 {
				fmt.Fprintf(&b, ":%d", l.Line)
			}
		default:
			b.WriteString(l.Name) // such as "ref names"
		}
	case audit.InSetting:
		if l.Name == "" {
			b.WriteString("settings") // the target's own
			break
		}
		fallthrough
	default:
		b.WriteString(string(l.Kind))
		for _, part := range []string{l.Name, l.Path} {
			if part != "" {
				b.WriteString(" " + part)
			}
		}
		if l.Environment != "" {
			b.WriteString(" of environment " + l.Environment)
		}
		if l.Line > 0 {
			fmt.Fprintf(&b, ":%d", l.Line)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

func shortCommit(id string) string {
	if len(id) > 7 {
		return id[:7]
	}
	return id
}

// shortID shows enough of a public key id to recognise it by.
func shortID(id string) string {
	if r := []rune(id); len(r) > 12 {
		return string(r[:4]) + "…" + string(r[len(r)-4:])
	}
	return id
}

// named is what a report calls a secret: its public id or else its mask.
func named(s *audit.Secret) string {
	if s == nil {
		return ""
	}
	if s.ID != "" {
		return shortID(s.ID)
	}
	return s.Masked()
}

// shortIDs returns the function that cuts finding ids to the shortest length, at least six digits, that tells them apart.
func shortIDs(run *audit.Run) func(string) string {
	const prefix = len("lr1:")
	ids := make([]string, 0, len(run.Findings)+len(run.Gone))
	for i := range run.Findings {
		ids = append(ids, run.Findings[i].ID)
	}
	for i := range run.Gone {
		ids = append(ids, run.Gone[i].ID)
	}
	slices.Sort(ids)
	n := prefix + 6
	for i := 1; i < len(ids); i++ {
		same := 0
		for same < len(ids[i]) && same < len(ids[i-1]) && ids[i][same] == ids[i-1][same] {
			same++
		}
		if ids[i] != ids[i-1] {
			n = max(n, same+1)
		}
	}
	return func(id string) string { return id[:min(n, len(id))] }
}

// A gapClass is all gaps with one reason.
type gapClass struct {
	First audit.Gap
	Count int
}

// text names the class by its first gap.
func (g gapClass) text(withTarget bool) string {
	target, more := "", ""
	if withTarget && g.First.Target != "" {
		target = g.First.Target + " · "
	}
	if g.Count > 1 {
		more = fmt.Sprintf(" (and %s more like it)", number(g.Count-1))
	}
	return target + g.First.What + ": " + g.First.Why + more
}

// gapClasses groups gaps whose reasons differ in numbers only, the most frequent first.
func gapClasses(gaps []audit.Gap) []gapClass {
	var out []gapClass
	at := map[string]int{}
	for _, g := range gaps {
		key := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, g.Why)
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, gapClass{First: g})
		}
		out[i].Count++
	}
	slices.SortStableFunc(out, func(a, b gapClass) int { return b.Count - a.Count })
	return out
}

// covered says in one phrase how many targets were looked at: "39 of 42 repositories (2 partly)".
func covered(run *audit.Run) string {
	type sum struct{ all, seen, partly int }
	kinds := map[audit.TargetKind]*sum{}
	var order []audit.TargetKind
	var items int
	var bytes int64
	for _, c := range run.Coverage {
		s := kinds[c.Kind]
		if s == nil {
			s = &sum{}
			kinds[c.Kind] = s
			order = append(order, c.Kind)
		}
		s.all++
		switch c.Status {
		case audit.Partial:
			s.partly++
			s.seen++
		case audit.Scanned:
			s.seen++
		}
		items += c.Items
		bytes += c.Bytes
	}
	slices.Sort(order)
	var parts []string
	for _, k := range order {
		s := kinds[k]
		part := number(s.all) + " " + plural(kindWord(k), s.all)
		if s.seen != s.all || s.all > 1 {
			part = number(s.seen) + " of " + part
		}
		if s.partly > 0 && s.all == 1 {
			part += ", partly"
		} else if s.partly > 0 {
			part += " (" + number(s.partly) + " partly)"
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(append(parts, number(items)+" "+plural("item", items), size(bytes)), " · ")
}

func kindWord(k audit.TargetKind) string {
	switch k {
	case audit.TargetStream:
		return "stream"
	case "":
		return "ref"
	}
	return Clean(string(k))
}

func plural(word string, n int) string {
	switch {
	case n == 1:
		return word
	case strings.HasSuffix(word, "ory"):
		return strings.TrimSuffix(word, "y") + "ies"
	}
	return word + "s"
}

// number groups digits by three: 18,204.
func number[N int | int64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size in units of 1000, as disks are sold and as performance figures are given.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, units := float64(n)/1000, "kMGTPE"
	for x >= 999.5 && len(units) > 1 {
		x, units = x/1000, units[1:]
	}
	if x < 10 {
		return fmt.Sprintf("%.1f %cB", x, units[0])
	}
	return fmt.Sprintf("%.0f %cB", x, units[0])
}

// calls says how many requests were sent, per API.
func calls(run *audit.Run) string {
	total := 0
	var parts []string
	for _, api := range sortedKeys(run.Calls) {
		total += run.Calls[api]
		parts = append(parts, Clean(api)+" "+number(run.Calls[api]))
	}
	s := number(total) + " API " + plural("call", total)
	if len(parts) > 0 {
		s += " (" + strings.Join(parts, ", ") + ")"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fixes are the steps that mend a finding: its own, or else its rule's. A canary lies where it was meant to lie.
func fixes(f *audit.Finding, rules map[string]audit.Rule) []string {
	if validity(f) == audit.Canary {
		return nil
	}
	if len(f.Fix) > 0 {
		return f.Fix
	}
	return rules[f.Rule].Fix
}
