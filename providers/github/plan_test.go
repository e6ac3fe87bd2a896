package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

func costs(t *testing.T, p *Provider, ref string) (all map[string]audit.Cost, err error) {
	t.Helper()
	all = map[string]audit.Cost{}
	for c, e := range p.Plan(t.Context(), ref) {
		if e != nil {
			return all, e
		}
		if strings.Contains(fmt.Sprintf("%+v", c), token) {
			t.Errorf("shows the token: %+v", c)
		}
		all[c.Source.String()] = c
	}
	return all, nil
}

// busy answers what a plan asks of repositories beside their listing.
func busy(w http.ResponseWriter, r *http.Request) bool {
	body := ""
	switch {
	case r.URL.Path == "/rate_limit":
		body = fmt.Sprintf(`{"resources": {"core": {"limit": 5000, "remaining": 2500, "reset": %d}}}`, time.Now().Add(time.Hour).Unix())
	case strings.HasSuffix(r.URL.Path, "/actions/runs"):
		body = `{"total_count": 200, "workflow_runs": []}`
	case strings.HasSuffix(r.URL.Path, "/actions/workflows"), strings.HasSuffix(r.URL.Path, "/environments"):
		body = `{"total_count": 2}`
	case strings.HasSuffix(r.URL.Path, "/releases"):
		body = `[{"assets": [{"size": 500}]}]`
	case strings.HasSuffix(r.URL.Path, "/actions/artifacts"):
		body = `{"total_count": 4, "artifacts": [{"size_in_bytes": 1000}, {"size_in_bytes": 3000}]}`
	case strings.HasSuffix(r.URL.Path, "/issues"):
		w.Header().Set("Link", `<http://`+r.Host+`/x?page=2>; rel="next", <http://`+r.Host+`/x?page=950>; rel="last"`)
		body = `[]`
	case strings.HasSuffix(r.URL.Path, "/comments"):
		body = `[]`
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
	return true
}

func TestPlan(t *testing.T) {
	g := acme(250)
	g.Fault, g.Repos[7].NoPages, g.Repos[9].NoPages = busy, true, true
	all, err := costs(t, provider(t, g, withSources(audit.AllSources)), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if c := all[""]; c.Calls != 6 || c.Quota != "core" || c.Limit != 3000 || c.Left != 500 || !strings.Contains(c.Note, "250 repositories, 125 private, and what hands down to them: 1 target, up to 2 wikis") {
		t.Errorf("listing: %+v", c)
	}
	if c := all["history,files"]; c.Calls != 750 || c.Quota != "" || c.Bytes != 250<<10 || !strings.Contains(c.Logged, "git.clone") {
		t.Errorf("history: %+v", c)
	}
	if c := all["logs"]; c.Calls != 50_000+500+250 {
		t.Errorf("logs: %+v", c)
	}
	if c := all["artifacts"]; c.Calls != 1000+10+250 || c.Bytes != 250*8000 {
		t.Errorf("artifacts: %+v", c)
	}
	if c := all["issues"]; c.Calls != 250*(10+3) {
		t.Errorf("issues: %+v", c)
	}
	for source, want := range map[string]int{
		"workflows,variables,secrets,settings,runners,caches": 110, "variables": 2 + 250 + 500, "secrets": 4 + 250 + 500, "settings": 12 + 2*250 + 2*500, "runners": 2 + 250, "caches": 250, "releases": 500, "wikis": 6,
	} {
		if c := all[source]; c.Calls != want {
			t.Errorf("%s: %+v, want %d requests", source, c, want)
		}
	}
	if n := len(g.Requests()); n > 120 {
		t.Errorf("%d requests to plan", n)
	}

	// What some repositories refuse is reckoned from the others.
	some, refused := acme(250), 0
	some.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/actions/runs") {
			if refused++; refused%2 == 0 {
				return forgetest.Fail(w, http.StatusForbidden, "no")
			}
		}
		return busy(w, r)
	}
	all, err = costs(t, provider(t, some, withSources(audit.SourceLogs)), "acme")
	if c := all["logs"]; err != nil || c.Calls != 50_000+500+250 || !strings.Contains(c.Note, "4 more refused, and are taken to be as those: 403 Forbidden") {
		t.Errorf("refused: %v, %+v", err, c)
	}

	lean := acme(250)
	lean.Fault = busy
	all, err = costs(t, provider(t, lean, withSources(audit.SourceSettings)), "acme")
	if c := all["settings"]; err != nil || c.Calls != 12+250+2*500 {
		t.Errorf("settings alone: %v, %+v", err, c)
	}

	few := acme(250)
	few.Fault = busy
	all, err = costs(t, provider(t, few, withSources(audit.SourceHistory)), "acme")
	if err != nil || len(all) != 2 || len(few.Requests()) != 5 {
		t.Errorf("%v: %v, %d requests", err, all, len(few.Requests()))
	}
	if _, err := costs(t, provider(t, acme(1), withSources(audit.AllSources)), "nobody"); !errors.Is(err, audit.ErrAuth) {
		t.Errorf("nobody: %v", err)
	}
}

func withSources(s audit.Sources) Options {
	o := everything()
	o.Sources = s
	return o
}
