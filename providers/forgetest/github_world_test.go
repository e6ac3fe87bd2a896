package forgetest

import (
	"testing"
	"time"
)

// The world is as large as it is said to be, and the same each time.
func TestWorld(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	w := NewWorld(t, now)
	acme := w.Owners[0]
	got := map[string]int{"repositories": len(w.Repos), "runners": len(acme.Runners), "groups": len(acme.Groups), "secrets": len(acme.Secrets), "variables": len(acme.Variables)}
	for _, s := range acme.Stores {
		got["secrets"] += len(s.Secrets)
	}
	ids := map[int64]bool{}
	for _, x := range w.Repos {
		if ids[x.ID] {
			t.Errorf("%s has the id of another", x.FullName)
		}
		ids[x.ID] = true
		got["secrets"] += len(x.Secrets)
		got["variables"] += len(x.Variables)
		got["environments"] += len(x.Environments)
		for _, e := range x.Environments {
			got["secrets"] += len(e.Secrets)
			got["variables"] += len(e.Variables)
		}
		got["runs"] += len(x.Runs)
		for _, r := range x.Runs {
			got["attempts"] += len(r.Attempts)
		}
	}
	for what, want := range map[string]int{
		"repositories": 300, "environments": 41, "secrets": 126, "variables": 30, "runners": 25, "groups": 6, "runs": 500, "attempts": 700,
	} {
		if got[what] != want {
			t.Errorf("%d %s, want %d", got[what], what, want)
		}
	}
	again := NewWorld(t, now)
	if len(again.Planted) != len(w.Planted) {
		t.Fatalf("%d things are planted, then %d", len(w.Planted), len(again.Planted))
	}
	hits, near := map[string]bool{}, map[string]bool{}
	for i, p := range w.Planted {
		if again.Planted[i] != p {
			t.Errorf("%+v, then %+v", p, again.Planted[i])
		}
		if p.Near {
			near[p.Rule] = true
		} else {
			hits[p.Rule] = true
		}
	}
	for rule := range hits {
		if rule != "" && !near[rule] {
			t.Errorf("%s is nowhere nearly met", rule)
		}
	}
}
