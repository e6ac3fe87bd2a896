package gitea

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

func TestPlan(t *testing.T) {
	g := acme(60)
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		body := ""
		switch {
		case strings.HasSuffix(r.URL.Path, "/actions/tasks"):
			body = `{"total_count": 120, "workflow_runs": []}`
		case strings.HasSuffix(r.URL.Path, "/issues"):
			w.Header().Set("X-Total-Count", map[string]string{"": "99", "pulls": "9"}[r.URL.Query().Get("type")])
			body = `[]`
		case strings.HasSuffix(r.URL.Path, "/issues/comments"):
			body = `[]`
		default:
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
		return true
	}
	p := provider(t, g, nil)
	p.opts.Sources = audit.SourceHistory | audit.SourceVariables | audit.SourceLogs | audit.SourceIssues
	all := map[string]audit.Cost{}
	for c, err := range p.Plan(t.Context(), "acme") {
		if err != nil {
			t.Fatal(err)
		}
		all[c.Source.String()] = c
	}
	for source, want := range map[string]int{"history": 180, "variables": 61, "logs": 60 * (4 + 120), "issues": 60 * (3 + 2*9)} {
		if c := all[source]; c.Calls != want || c.Host == "" {
			t.Errorf("%s: %+v, want %d requests", source, c, want)
		}
	}
	if c := all[""]; c.Calls < 2 || !strings.Contains(c.Note, "60 repositories, 30 private") {
		t.Errorf("listing: %+v", c)
	}
	if n := g.Count("/actions/variables"); n > 0 {
		t.Errorf("%d requests for variables", n)
	}
	for _, err := range p.Plan(t.Context(), "xyz") {
		if err != nil && !errors.Is(err, audit.ErrAuth) {
			t.Error(err)
		}
	}
}

// A scan asks for what was planned.
func TestPlanHolds(t *testing.T) {
	g := acme(60)
	dir := forgetest.Repository(t, forgetest.Commit{".gitea/workflows/ci.yml": "on: push\n"})
	for i, x := range g.Repos {
		x.Dir = dir
		x.Issues = []forgetest.GiteaIssue{
			{Title: "a", Comments: []forgetest.GiteaComment{{Body: "b"}}}, {Title: "p", Pull: true, Reviews: []forgetest.GiteaReview{{Body: "x", Comments: []string{"y"}}}},
		}
		x.Wiki = []forgetest.GiteaPage{{Title: "Home"}}
		x.Runs = []*forgetest.GiteaRun{{
			Jobs: []*forgetest.GiteaJob{{Name: "print", Tasks: []int{i + 1}, Log: "this was printed\n"}}, Artifacts: []forgetest.GiteaFile{{ID: i + 1, Name: "left"}},
		}}
	}
	p := provider(t, g, nil)
	p.opts.Sources = audit.AllSources
	planned := 0
	for c, err := range p.Plan(t.Context(), "acme") {
		if err != nil {
			t.Fatal(err)
		}
		planned += c.Calls
	}
	before := len(g.Requests())
	for _, target := range targets(t, p, "acme", "").targets {
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Error(err)
			} else if it.Open != nil {
				in, err := it.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_ = in.Close()
			}
			if it.Done != nil {
				it.Done()
			}
		}
	}
	made := len(g.Requests()) - before
	if t.Logf("%d requests were planned, and %d made", planned, made); planned < made*95/100 || planned > made*110/100 {
		t.Error("the plan is off")
	}
}
