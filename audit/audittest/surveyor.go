package audittest

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// Surveyor checks a scanner that judges a whole inventory, on samples: the targets of a run each, sorted by name.
func Surveyor(t *testing.T, s audit.Surveyor, samples [][]audit.Holding) {
	t.Helper()
	rules := map[string]bool{}
	for _, r := range s.Rules() {
		rules[r.ID] = true
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 1)) // the same for every run: a failure can be repeated
	if found := s.Survey(now, slices.Values([]audit.Holding(nil))); len(found) > 0 {
		t.Errorf("found in nothing: %v", found)
	}
	for i, sample := range samples {
		given := cloned(sample)
		found := s.Survey(now, slices.Values(given))
		if !reflect.DeepEqual(given, sample) {
			t.Errorf("sample %d: Survey changed what it was given", i)
		}
		checkSurvey(t, i, sample, found, rules)
		want := sorted(t, found)
		for range 4 {
			shuffled := cloned(sample)
			for _, h := range shuffled {
				random.Shuffle(len(h.Inventory), func(a, b int) { h.Inventory[a], h.Inventory[b] = h.Inventory[b], h.Inventory[a] })
				random.Shuffle(len(h.Findings), func(a, b int) { h.Findings[a], h.Findings[b] = h.Findings[b], h.Findings[a] })
				random.Shuffle(len(h.Gaps), func(a, b int) { h.Gaps[a], h.Gaps[b] = h.Gaps[b], h.Gaps[a] })
			}
			if got := sorted(t, s.Survey(now, slices.Values(shuffled))); !slices.Equal(got, want) {
				t.Errorf("sample %d: Survey goes by the order of entries:\n%q\nthen\n%q", i, want, got)
			}
		}
		for _, at := range []time.Time{{}, time.Unix(1<<40, 0)} {
			s.Survey(at, slices.Values(cloned(sample)))
		}
		for range 20 {
			s.Survey(now, slices.Values(spoilt(sample, random)))
		}
	}
}

func checkSurvey(t *testing.T, i int, sample []audit.Holding, found []audit.Finding, rules map[string]bool) {
	t.Helper()
	for _, f := range found {
		if !rules[f.Rule] || f.Title == "" || f.Message == "" || f.Category == "" || f.Severity.Rank() < 0 || len(f.Fix) == 0 {
			t.Errorf("sample %d: finding of an unlisted rule, or without text, category, severity or fix: %+v", i, f)
		}
		if len(f.Locations) == 0 {
			t.Errorf("sample %d: %s nowhere", i, f.Rule)
		}
		for _, l := range f.Locations {
			if l.Kind == "" || !slices.ContainsFunc(sample, func(h audit.Holding) bool {
				return h.Coverage.Target == l.Target || slices.ContainsFunc(h.Inventory, func(e audit.Entry) bool { return e.Target == l.Target })
			}) {
				t.Errorf("sample %d: %s in a target that was not given, or in nothing that is known: %+v", i, f.Rule, l)
			}
		}
	}
}

// sorted is what a report would show of findings, in an order of its own.
func sorted(t *testing.T, found []audit.Finding) (out []string) {
	t.Helper()
	for _, f := range found {
		out = append(out, public(t, []audit.Finding{f}))
	}
	slices.Sort(out)
	return out
}

func cloned(sample []audit.Holding) (out []audit.Holding) {
	for _, h := range sample {
		h.Inventory, h.Findings, h.Gaps = slices.Clone(h.Inventory), slices.Clone(h.Findings), slices.Clone(h.Gaps)
		for i := range h.Inventory {
			h.Inventory[i].Facts = maps.Clone(h.Inventory[i].Facts)
		}
		out = append(out, h)
	}
	return out
}

// spoilt is a sample with facts, names and kinds that nobody promised.
func spoilt(sample []audit.Holding, random *rand.Rand) []audit.Holding {
	strange := []string{
		"", ",", ",,,", "*", "…", "true", "false", "never", "-1", "0", "99999999999999999999", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "\x00", "\xff", "a\nb",
		":", "::", "/", "//", "environment ", strings.Repeat("x,", 5000), "https://[::1", "\u202e", "group:", "+", "++",
	}
	any := func(list []string) string { return list[random.IntN(len(list))] }
	kinds := []string{"", "settings", "secret", "variable", "runner", "runner-group", "environment", "workflow", "protection", "token", "schedule", "webhook", "deploy-key", "app", "new"}
	out := cloned(sample)
	for i := range out {
		h := &out[i]
		if random.IntN(4) == 0 {
			h.Coverage.Kind, h.Coverage.URL = audit.TargetKind(any([]string{"", "organisation", "group", "instance", "repository", "new"})), any(strange)
		}
		for j := range h.Inventory {
			e := &h.Inventory[j]
			for fact := range e.Facts {
				if random.IntN(3) == 0 {
					e.Facts[fact] = any(strange)
				}
			}
			switch random.IntN(8) {
			case 0:
				e.Facts = nil
			case 1:
				e.Name = any(strange)
			case 2:
				e.Scope = any(strange)
			case 3:
				e.Kind = audit.ItemKind(any(kinds))
			}
		}
		for range random.IntN(3) {
			facts := map[string]string{"protected": "false", "ephemeral": "false", "static_keys": "aws:,x", "secrets": "*", "visibility": "selected"}
			h.Inventory = append(h.Inventory, audit.Entry{Kind: audit.ItemKind(any(kinds)), Name: any(strange), Scope: any(strange), Facts: facts})
		}
	}
	return out
}
