package report

import (
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestCompare: a finding is gone only if the later run looked wherever it lay.
func TestCompare(t *testing.T) {
	old := audit.Gap{Target: "a", What: "secrets", Why: "403 Forbidden"}
	for _, c := range []struct {
		name     string
		lay      []string // targets of the finding that is not found again
		coverage []audit.Coverage
		gaps     []audit.Gap // of the later run
		before   []audit.Gap // of the earlier one
		narrower string
		accounts []string // that the later run read
		why      string   // "" for gone
	}{
		{name: "a role of an account that was read", lay: []string{"aws:1"}, accounts: []string{"aws:1"}},
		{name: "of another account", lay: []string{"aws:1"}, accounts: []string{"aws:2"}, why: "aws:1 was not scanned"},
		{name: "of an account that was not read whole", lay: []string{"aws:1"}, accounts: []string{"aws:1"}, gaps: []audit.Gap{{Target: "aws:1", What: "a policy", Why: "not JSON"}}, why: "aws:1 was not seen whole"},
		{name: "scanned whole", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Scanned}}},
		{name: "failed", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Failed, Reason: "403"}}, why: "a failed: 403"},
		{name: "skipped", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Skipped, Reason: "empty"}}, why: "a skipped: empty"},
		{name: "not listed", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "b", Status: audit.Scanned}}, why: "a was not scanned"},
		{
			name: "one of two", lay: []string{"a", "b"},
			coverage: []audit.Coverage{{Target: "a", Status: audit.Scanned}, {Target: "b", Status: audit.Failed, Reason: "gone"}}, why: "b failed: gone",
		},
		{name: "a gap", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Partial}}, gaps: []audit.Gap{old}, why: "a was not seen whole: secrets: 403 Forbidden"},
		{name: "the same gap as then", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Partial}}, gaps: []audit.Gap{old}, before: []audit.Gap{old}},
		{
			name: "another gap as well", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Partial}},
			gaps: []audit.Gap{old, {Target: "a", What: "history", Why: "shallow"}}, before: []audit.Gap{old}, why: "history: shallow",
		},
		{name: "interrupted", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Partial, Reason: "interrupted"}}, why: "a partial: interrupted"},
		{name: "no place", coverage: []audit.Coverage{{Target: "a", Status: audit.Scanned}}, why: "not known"},
		{name: "narrower", lay: []string{"a"}, coverage: []audit.Coverage{{Target: "a", Status: audit.Scanned}}, narrower: "without history", why: "without history"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lost := audit.Finding{ID: "lr1:1"}
			for _, target := range c.lay {
				lost.Locations = append(lost.Locations, audit.Location{Target: target})
			}
			both := audit.Finding{ID: "lr1:2", Severity: audit.High}
			earlier := &audit.Run{Info: audit.RunInfo{ID: "x"}, Gaps: c.before, Findings: []audit.Finding{lost, both, {ID: "lr1:5"}}}
			run := &audit.Run{Coverage: c.coverage, Gaps: c.gaps, Findings: []audit.Finding{
				both, {ID: "lr1:3", Severity: audit.Low}, {ID: "lr1:4", Severity: audit.Low, Suppressed: &audit.Suppression{By: "comment"}},
				{ID: "lr1:5", Severity: audit.Info, Suppressed: &audit.Suppression{By: "comment"}},
			}}
			for _, target := range c.accounts {
				run.Inventory = append(run.Inventory, audit.Entry{Target: target, Kind: audit.KindTrust, Scope: "account"}, audit.Entry{Target: "aws:3", Kind: audit.KindTrust, Scope: "role"})
			}
			Compare(run, earlier, c.narrower)
			why := ""
			if len(run.Unseen) == 1 {
				why = run.Unseen[0].Why
			}
			if len(run.Gone)+len(run.Unseen) != 1 || (c.why == "") != (why == "") || !strings.Contains(why, c.why) {
				t.Errorf("%d gone, unseen: %q, want %q", len(run.Gone), why, c.why)
			}
			if got := [2]audit.Change{run.Findings[0].Change, run.Findings[1].Change}; got != [2]audit.Change{audit.ChangeNone, audit.ChangeNew} {
				t.Errorf("the others are %v", got)
			}
			if n := count(run); n.findings != 2 || n.fresh != 1 {
				t.Errorf("%d findings, %d new", n.findings, n.fresh)
			}
			Known(run)
			if f := run.Findings[1]; f.ID != "lr1:2" || f.Suppressed == nil || f.Suppressed.By != "baseline" {
				t.Errorf("what is known comes before what was silent, as the worse one: %+v", run.Findings)
			}
			if f := run.Findings[3]; f.ID != "lr1:5" || f.Suppressed.By != "comment" {
				t.Errorf("what was silent for another reason keeps it: %+v", f)
			}
			if n := count(run); n.findings != 1 || n.fresh != 1 || n.suppressed != 3 {
				t.Errorf("with a baseline %d findings, %d new, %d suppressed", n.findings, n.fresh, n.suppressed)
			}
		})
	}
}

// TestBaselineState: each result has one of the standard's states, and what is gone is only there when it is asked for.
func TestBaselineState(t *testing.T) {
	states := func(o Options) string {
		var b strings.Builder
		if err := writeSARIF(&b, later(), o); err != nil {
			t.Fatal(err)
		}
		log := decoded[map[string]any](t, []byte(b.String()))
		var out []string
		for _, r := range log["runs"].([]any)[0].(map[string]any)["results"].([]any) {
			state, _ := r.(map[string]any)["baselineState"].(string)
			out = append(out, state)
		}
		return strings.Join(out, " ")
	}
	if got := states(Options{Rules: rules()}); !strings.HasPrefix(got, "new ") || strings.Contains(got, "absent") || strings.Contains(got, "  ") {
		t.Errorf("got %q, want no absent one", got)
	}
	if got := states(Options{Rules: rules(), Absent: true}); !strings.HasSuffix(got, " absent") {
		t.Errorf("got %q, want absent ones at the end", got)
	}
}
