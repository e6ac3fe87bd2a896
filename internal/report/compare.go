package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
)

// Compare notes in run what is new in it, unchanged and gone since an earlier one. Findings are the same if their ids are, wherever they
// lie. One that run does not have is gone only if run looked at all the targets it lay in, as well as the earlier run did: whole,
// or with no gap but those that it was found in spite of. Otherwise it is unseen. narrower says why run, as a whole, was looking for less
// than the earlier one; it is "" if it was not.
func Compare(run, earlier *audit.Run, narrower string) {
	c := comparison{narrower: narrower, coverage: map[string]audit.Coverage{}, gaps: map[string][]audit.Gap{}, known: map[audit.Gap]bool{}}
	for _, v := range run.Coverage {
		c.coverage[v.Target] = v
	}
	for _, e := range run.Inventory {
		if e.Kind == audit.KindTrust && e.Scope == "account" { // that was read beside the targets, as far as its gaps tell
			c.coverage[e.Target] = audit.Coverage{Target: e.Target, Status: audit.Partial}
		}
	}
	for _, g := range run.Gaps {
		c.gaps[g.Target] = append(c.gaps[g.Target], g)
	}
	for _, g := range earlier.Gaps {
		c.known[g] = g.What != "git history" // which may have broken off earlier than it did then
	}
	before := map[string]bool{}
	for i := range earlier.Findings {
		before[earlier.Findings[i].ID] = true
	}
	now := map[string]bool{}
	for i := range run.Findings {
		f := &run.Findings[i]
		now[f.ID] = true
		f.Change = audit.ChangeNew
		if before[f.ID] {
			f.Change = audit.ChangeNone
		}
	}
	run.Info.Since = cmp.Or(earlier.Info.ID, "unknown")
	run.Gone, run.Unseen = []audit.Finding{}, []audit.Unseen{}
	for _, f := range earlier.Findings {
		if now[f.ID] {
			continue
		}
		if why := c.unseen(&f); why != "" {
			f.Change = audit.ChangeUnseen
			run.Unseen = append(run.Unseen, audit.Unseen{Finding: f, Why: why})
		} else {
			f.Change = audit.ChangeGone
			run.Gone = append(run.Gone, f)
		}
	}
}

// A comparison is what of two runs decides whether a finding is gone.
type comparison struct {
	narrower string
	coverage map[string]audit.Coverage // of the later one, by target
	gaps     map[string][]audit.Gap    // of the later one, by target
	known    map[audit.Gap]bool        // of the earlier one
}

// unseen says why a finding could not be looked for again; it is "" if it was.
func (c *comparison) unseen(f *audit.Finding) string {
	if c.narrower != "" {
		return c.narrower
	}
	if len(f.Locations) == 0 {
		return "where it lay is not known"
	}
	for _, l := range f.Locations {
		v, ok := c.coverage[l.Target]
		switch {
		case !ok:
			return l.Target + " was not scanned"
		case v.Status == audit.Scanned:
		case v.Status != audit.Partial || v.Reason != "":
			return l.Target + " " + string(v.Status) + ": " + v.Reason
		default:
			if i := slices.IndexFunc(c.gaps[l.Target], func(g audit.Gap) bool { return !c.known[g] }); i >= 0 {
				g := c.gaps[l.Target][i]
				return l.Target + " was not seen whole: " + g.What + ": " + g.Why
			}
		}
	}
	return ""
}

// Known marks as suppressed what a run has in common with the earlier one that it was compared with: a baseline's findings do not count.
func Known(run *audit.Run) {
	for i := range run.Findings {
		if f := &run.Findings[i]; f.Change == audit.ChangeNone && f.Suppressed == nil {
			f.Suppressed = &audit.Suppression{By: "baseline", Reason: "known before this run"}
		}
	}
	slices.SortStableFunc(run.Findings, func(a, b audit.Finding) int { // suppressed ones last, and worst first among them as well
		if (a.Suppressed == nil) != (b.Suppressed == nil) {
			if a.Suppressed == nil {
				return -1
			}
			return 1
		}
		return b.Severity.Rank() - a.Severity.Rank()
	})
}

// compared tells whether a run was compared with an earlier one.
func compared(run *audit.Run) bool { return run.Info.Since != "" }

// newest puts what is new before what is known.
func newest(fs []audit.Finding) []audit.Finding {
	known := func(f audit.Finding) bool { return f.Change == audit.ChangeNone }
	fresh := func(f audit.Finding) bool { return !known(f) }
	return append(keep(fs, fresh), keep(fs, known)...)
}

// unseenClasses groups findings that could not be looked for again by the reason, the most frequent first.
func unseenClasses(run *audit.Run) []gapClass {
	gaps := make([]audit.Gap, len(run.Unseen))
	for i := range run.Unseen {
		gaps[i].Why = run.Unseen[i].Why
	}
	return gapClasses(gaps)
}

// since tells in a sentence how a run stands to the one that it was compared with.
func since(run *audit.Run) string {
	s := fmt.Sprintf("since run %s: %s new, %s gone", run.Info.Since, number(count(run).fresh), number(len(run.Gone)))
	if n := len(run.Unseen); n > 0 {
		s += ", " + number(n) + " not looked for again"
	}
	return s
}
