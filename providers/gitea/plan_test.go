package gitea

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func TestPlan(t *testing.T) {
	g := acme(60)
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		body := ""
		switch {
		case strings.HasSuffix(r.URL.Path, "/actions/tasks"):
			body = `{"total_count": 120, "workflow_runs": []}`
		case strings.HasSuffix(r.URL.Path, "/issues"):
			w.Header().Set("X-Total-Count", "99")
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
	for source, want := range map[string]int{"history": 180, "variables": 61, "logs": 60 * (3 + 120), "issues": 60 * 3} {
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
