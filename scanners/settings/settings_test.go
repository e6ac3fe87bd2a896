package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
)

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// A fixture is a report's lines, and what a rule says of them: "TARGET KIND NAME: SEVERITY".
type fixture struct {
	Name      string
	Why       string // it is not a finding, or not a worse one
	Want      []string
	Coverage  []audit.Coverage
	Inventory []audit.Entry
	Gaps      []audit.Gap
	Findings  []audit.Finding
}

func fixtures(t testing.TB) map[string][]fixture {
	t.Helper()
	all := map[string][]fixture{}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(content))
		d.DisallowUnknownFields()
		var list []fixture
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = list
	}
	return all
}

// holdings are what an engine would make of a report's lines.
func (f *fixture) holdings() []audit.Holding {
	byName := map[string]*audit.Holding{}
	get := func(target string) *audit.Holding {
		if byName[target] == nil {
			kind := audit.TargetRepository
			switch {
			case target == "job:":
				kind = audit.TargetJob
			case !strings.Contains(target, "/"):
				kind = audit.TargetOrganisation
			}
			byName[target] = &audit.Holding{Coverage: audit.Coverage{Target: target, Kind: kind, Status: audit.Scanned, URL: "https://forge.example.com/" + strings.SplitN(target, ":", 2)[1]}}
		}
		return byName[target]
	}
	for _, c := range f.Coverage {
		get(c.Target).Coverage = c
	}
	for _, e := range f.Inventory {
		if strings.HasPrefix(e.Target, "github:acme/") {
			get("github:acme")
		}
		h := get(e.Target)
		h.Inventory = append(h.Inventory, e)
	}
	for _, g := range f.Gaps {
		h := get(g.Target)
		h.Gaps = append(h.Gaps, g)
		h.Coverage.Status = audit.Partial
	}
	for _, x := range f.Findings {
		h := get(x.Locations[0].Target)
		h.Findings = append(h.Findings, x)
	}
	var all []audit.Holding
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[name])
	}
	return all
}

func said(found []audit.Finding) []string {
	out := []string{}
	for _, f := range found {
		l := f.Locations[0]
		name := l.Name
		if l.Path != "" {
			name = l.Path
		}
		out = append(out, fmt.Sprintf("%s %s %s: %s", l.Target, l.Kind, name, f.Severity))
	}
	slices.Sort(out)
	return out
}

func TestRules(t *testing.T) {
	all := fixtures(t)
	for _, r := range New(nil).Rules() {
		if all[r.ID] == nil {
			t.Errorf("rule %s has no fixture", r.ID)
		}
	}
	for id, list := range all {
		s := New([]string{id})
		if len(s.rules) == 0 {
			t.Errorf("no rule %s", id)
		}
		hits, misses := 0, 0
		for _, f := range list {
			found := s.Survey(now, slices.Values(f.holdings()))
			if diff := cmp.Diff(f.Want, said(found)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", id, f.Name, diff)
			}
			for _, x := range found {
				if x.Rule != id || x.Message == "" || strings.Contains(x.Message, "  ") || strings.HasSuffix(x.Message, ".") {
					t.Errorf("%s, %s: %+v", id, f.Name, x)
				}
			}
			if len(f.Want) > 0 {
				hits++
			} else {
				misses++
			}
		}
		if hits == 0 || misses == 0 {
			t.Errorf("%s: %d hits and %d misses", id, hits, misses)
		}
	}
}

// TestEvidence holds some messages whole: they are all that a person has to decide by.
func TestEvidence(t *testing.T) {
	want := map[string]string{
		"stale-secret":                "secret DEPLOY_TOKEN: last written on 2025-05-01, 396 days before this run",
		"github-org-secret-wide":      "secret NPM: visible to all repositories (3), and taken by workflows of 1, such as github:acme/web",
		"runner-shared-across-trust":  "runner build-1: not ephemeral; strangers can start jobs on it (github:acme/site, .github/workflows/ci.yml), and jobs with secrets run on it (github:acme/api, .github/workflows/ci.yml)",
		"self-hosted-on-pull-request": "workflow .github/workflows/ci.yml: pull_request starts it, in a repository that is public, on runner build-1 of github:acme, which is not ephemeral",
		"github-environment-open":     "environment prod: any branch may deploy to it, nobody reviews, and it holds AWS_ROLE",
		"gitlab-token-lifetime":       "token bot: it never expires; type: project; role: Maintainer; scopes: api",
		"webhook-insecure":            "webhook ci.example.com (3): it has no secret, and the receiver's certificate is not checked",
	}
	all := fixtures(t)
	for id, message := range want {
		found := New([]string{id}).Survey(now, slices.Values(all[id][0].holdings()))
		if len(found) != 1 || found[0].Message != message {
			t.Errorf("%s: %+v, want %q", id, found, message)
		}
	}
	keys := all["static-cloud-key"][1]
	found := New([]string{"static-cloud-key"}).Survey(now, slices.Values(keys.holdings()))
	message := "secret AWS_SECRET_ACCESS_KEY: its name is one of a key of AWS, although pipelines of github:acme/api (1 in all) already use OIDC"
	if len(found) != 1 || found[0].Message != message {
		t.Errorf("%+v", found)
	}
	at := found[0].Locations[0]
	if at.URL != "https://forge.example.com/acme/web/settings/secrets/actions" || !at.At.Equal(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("location %+v", at)
	}
}

func TestSurveyor(t *testing.T) {
	var samples [][]audit.Holding
	for _, list := range fixtures(t) {
		for _, f := range list {
			samples = append(samples, f.holdings())
		}
	}
	audittest.Scanner(t, New(nil), nil)
	audittest.Surveyor(t, New(nil), samples)
}

// TestNeighbours shows that an organisation is judged with all of its repositories, though others come between them and it.
func TestNeighbours(t *testing.T) {
	f := fixture{Inventory: []audit.Entry{
		{Target: "github:acme", Kind: audit.KindSettings, Name: "acme", Scope: "organisation", Facts: map[string]string{"repositories": "1"}},
		{Target: "github:acme", Kind: audit.KindSecret, Name: "X", Scope: "organisation", Facts: map[string]string{"store": "actions", "visibility": "all"}},
		{Target: "github:acme", Kind: audit.KindSecret, Name: "Y", Scope: "organisation", Facts: map[string]string{"store": "actions", "visibility": "all"}},
		{Target: "github:acme-corp", Kind: audit.KindSettings, Name: "acme-corp", Scope: "organisation", Facts: map[string]string{"repositories": "1"}},
		{Target: "github:acme-corp", Kind: audit.KindSecret, Name: "X", Scope: "organisation", Facts: map[string]string{"store": "actions", "visibility": "all"}},
		{Target: "github:acme-corp/web", Kind: audit.KindSettings, Name: "acme-corp/web", Scope: "repository", Facts: map[string]string{"workflows": "0"}},
		{Target: "github:acme/web", Kind: audit.KindSettings, Name: "acme/web", Scope: "repository", Facts: map[string]string{"workflows": "1"}},
		{Target: "github:acme/web", Kind: audit.KindWorkflow, Name: "w", Scope: "repository", Facts: map[string]string{"whole": "true", "secrets": "X"}},
	}}
	got := said(New([]string{"unused-secret"}).Survey(now, slices.Values(f.holdings())))
	if diff := cmp.Diff([]string{"github:acme secret Y: low", "github:acme-corp secret X: low"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestNothingIsMissedByNotLooking takes entries and targets away from inventories, as if they could not be read, and notes gaps: no rule may then
// say for the first time that something is not there or not used.
func TestNothingIsMissedByNotLooking(t *testing.T) {
	absent := []string{"unused-secret", "github-branch-unprotected"}
	random := rand.New(rand.NewPCG(1, 2))
	s := New(absent)
	tried, found := 0, 0
	for _, list := range fixtures(t) {
		for _, f := range list {
			before := said(s.Survey(now, slices.Values(f.holdings())))
			for range 100 {
				less := f.holdings()
				for i := range less {
					n := len(less[i].Inventory)
					less[i].Inventory = slices.DeleteFunc(slices.Clone(less[i].Inventory), func(audit.Entry) bool { return random.IntN(3) == 0 })
					if len(less[i].Inventory) < n {
						less[i].Gaps = append(less[i].Gaps, audit.Gap{Target: less[i].Coverage.Target, What: "rulesets and more", Why: "403"})
						if random.IntN(2) == 0 {
							less[i].Coverage.Status = audit.Partial
						}
					}
				}
				less = slices.DeleteFunc(less, func(h audit.Holding) bool { return strings.Contains(h.Coverage.Target, "/") && random.IntN(6) == 0 })
				tried++
				for _, x := range said(s.Survey(now, slices.Values(less))) {
					found++
					if !slices.Contains(before, x) {
						t.Fatalf("%s: %s, only because something was not read", f.Name, x)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Errorf("nothing was found in %d tries", tried)
	}
}

// organisation yields a large one, a repository at a time, as an engine does.
func organisation(repositories int) func(yield func(audit.Holding) bool) {
	return func(yield func(audit.Holding) bool) {
		top := audit.Holding{Coverage: audit.Coverage{Target: "github:acme", Kind: audit.TargetOrganisation, Status: audit.Scanned}}
		top.Inventory = append(top.Inventory, audit.Entry{Target: "github:acme", Kind: audit.KindSettings, Facts: map[string]string{"repositories": strconv.Itoa(repositories)}})
		for i := range 200 {
			top.Inventory = append(top.Inventory,
				audit.Entry{Target: "github:acme", Kind: audit.KindSecret, Name: fmt.Sprintf("SECRET_%d", i), Facts: map[string]string{"store": "actions", "visibility": "all", "updated_at": "2026-05-01T00:00:00Z"}},
				audit.Entry{Target: "github:acme", Kind: audit.KindRunner, Name: fmt.Sprintf("runner-%d", i), Facts: map[string]string{"ephemeral": "true", "labels": "self-hosted,linux"}})
		}
		if !yield(top) {
			return
		}
		for i := range repositories {
			name := fmt.Sprintf("github:acme/repository-%06d", i)
			h := audit.Holding{Coverage: audit.Coverage{Target: name, Kind: audit.TargetRepository, Status: audit.Scanned}}
			add := func(kind audit.ItemKind, name string, facts map[string]string) {
				h.Inventory = append(h.Inventory, audit.Entry{Target: name, Kind: kind, Name: name, Scope: "repository", Facts: facts})
			}
			add(audit.KindSettings, "s", map[string]string{"visibility": "private", "workflows": "3"})
			for j := range 3 {
				add(audit.KindWorkflow, fmt.Sprintf(".github/workflows/w%d.yml", j), map[string]string{
					"whole": "true", "events": "push,pull_request", "secrets": fmt.Sprintf("SECRET_%d,SECRET_%d,OWN", i%200, j), "runs_on": "ubuntu-latest,self-hosted+linux",
				})
			}
			add(audit.KindSecret, "OWN", map[string]string{"store": "actions", "updated_at": "2026-05-01T00:00:00Z"})
			if !yield(h) {
				return
			}
		}
	}
}

// BenchmarkSurvey shows that what is held does not grow with the number of targets: compare live-bytes of both.
func BenchmarkSurvey(b *testing.B) {
	for _, n := range []int{5_000, 50_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := New(nil)
			b.ReportAllocs()
			for b.Loop() {
				var live uint64
				seen := 0
				s.Survey(now, func(yield func(audit.Holding) bool) {
					organisation(n)(func(h audit.Holding) bool {
						if seen++; seen == n { // nearly all
							var m runtime.MemStats
							runtime.GC()
							runtime.ReadMemStats(&m)
							live = m.HeapAlloc
						}
						return yield(h)
					})
				})
				b.ReportMetric(float64(live), "live-bytes")
			}
		})
	}
}
