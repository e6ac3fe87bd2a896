package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// perKind is how many annotations of a kind GitHub shows for a step; it drops the rest without a word.
const perKind = 10

// Annotations writes the worst findings as workflow commands, which GitHub shows beside the changed lines: ten errors (critical and
// high), ten warnings (medium) and ten notices. They belong on stderr, which the runner reads too.
// The syntax is that of https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
func Annotations(w io.Writer, run *audit.Run) error {
	var b strings.Builder
	used := map[string]int{}
	id := shortIDs(run)
	for i := range run.Findings {
		f := &run.Findings[i]
		if f.Suppressed != nil || f.Change == audit.ChangeNone {
			continue
		}
		kind := "notice"
		switch f.Severity {
		case audit.Critical, audit.High:
			kind = "error"
		case audit.Medium:
			kind = "warning"
		}
		if used[kind]++; used[kind] > perKind {
			continue
		}
		locs := places(f)
		message := f.Title
		if name := named(f.Secret); name != "" {
			message += " " + name
		}
		if len(locs) > 0 {
			message += " in " + place(locs[0], true)
		}
		if len(locs) > 1 {
			message += fmt.Sprintf(" and %s more %s", number(len(locs)-1), plural("place", len(locs)-1))
		}
		properties := []string{"title=" + property(Clean("leakreach: "+f.Rule))}
		if l, ok := anchor(f); ok && Clean(l.Path) == l.Path {
			properties = append(properties, "file="+property(l.Path), fmt.Sprintf("line=%d", max(1, l.Line)))
		}
		fmt.Fprintf(&b, "::%s %s::%s (%s)\n", kind, strings.Join(properties, ","), data(Clean(message)), data(Clean(id(f.ID))))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// data escapes the text of a workflow command.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes a property's value in a workflow command.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
