package components

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var unpinnableAction = rule{
	Rule: known.UnpinnableAction,
	judge: func(u *use, say func(problem)) {
		if u.Pin != pipeline.Commit && u.Pin != pipeline.Locked {
			return
		}
		var list []string
		trusted := true
		for _, p := range u.parts(true) {
			if p.Pin != pipeline.Named && p.Pin != pipeline.Unnamed {
				continue
			}
			list = append(list, strings.Join(append(slices.Clone(p.Through), p.Text), " > "))
			owner, _, _ := strings.Cut(strings.ToLower(p.Name), "/")
			trusted = trusted && p.Kind != pipeline.Image && (owner == "actions" || owner == "github" || owner == u.owner)
		}
		if len(list) == 0 {
			return
		}
		slices.Sort(list)
		how := "named by its commit"
		if u.Pin == pipeline.Locked {
			how = "held at its commit by the lock file"
		}
		found := problem{evidence: fmt.Sprintf("%s is %s, but of its parts these can change: %s", by(append(slices.Clone(u.through), u.Text)), how, strings.Join(list[:min(len(list), 10)], ", "))}
		if n := len(list) - 10; n > 0 {
			found.evidence += fmt.Sprintf(" and %d more", n)
		}
		if trusted {
			found.severity = audit.Low
		}
		say(found)
	},
}
