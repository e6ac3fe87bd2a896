package gitlab

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// checks lists what a check tells, one line each.
func checks(t *testing.T, p *Provider, ref string) (lines []string, err error) {
	t.Helper()
	return audittest.Checks(t, p.Check(t.Context(), ref), token)
}

// about answers what a fake does not know of tokens and itself.
func about(self string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		body := map[string]string{"/api/v4/version": `{"version": "18.3.1-ee"}`, "/api/v4/metadata": `{"version": "18.3.1-ee"}`, "/api/v4/personal_access_tokens/self": self}[r.URL.Path]
		if body == "" || r.Header.Get("Private-Token") != token {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
		return true
	}
}

func TestCheck(t *testing.T) {
	const enough = `{"scopes": ["read_api", "read_repository"], "expires_at": "2026-12-31"}`
	for _, test := range []struct {
		name, ref string
		set       func(*forgetest.GitLab)
		vars      map[string]string
		want      [][]string
		err       error
	}{
		{"an owner", "acme", func(g *forgetest.GitLab) {
			g.Projects[0].Dir, g.Projects[0].Private = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"}), true
			g.Limit = 2000
		}, nil, [][]string{
			{"granted host:", "GitLab 18.3.1-ee"}, {"granted credential:", "GITLAB_TOKEN", "ends 2026-12-31"}, {"granted scope: scope read_repository"},
			{"granted requests:", "of 2000 left", "leaves 800 to people"}, {"granted group variables: role Owner", "tried on acme"},
			{"granted project variables, inherited ones: role Maintainer", "tried on acme/platform/p000"}, {"granted git:", "p000.git"},
		}, nil},
		{"a reporter", "acme", func(g *forgetest.GitLab) {
			g.Projects[0].Private, g.Projects[0].Denied, g.Groups[0].Denied = true, true, true
		}, nil, [][]string{
			{"missing group variables:", "403 Forbidden: needs role Owner", "on acme", "use a token with role Owner"}, {"missing project variables, inherited ones:", "needs role Maintainer"},
		}, nil},
		{"an administrator", "acme", func(g *forgetest.GitLab) { g.Admin = true }, nil, [][]string{{"granted instance variables:"}, {"excess excess: a user who administers the instance"}}, nil},
		{"too many scopes, and too few", "acme", func(g *forgetest.GitLab) { g.Fault = about(`{"scopes": ["read_api", "sudo", "api"]}`) }, nil, [][]string{
			{"excess excess: scope sudo", "no scan needs it"}, {"excess excess: scope api", "read_api is enough"}, {"granted credential:", "never ends"},
		}, nil},
		{"no git", "acme", func(g *forgetest.GitLab) { g.Fault = about(`{"scopes": ["read_api"]}`) }, nil, [][]string{{"missing scope: scope read_repository", "git is closed"}}, nil},
		{"no token", "acme", nil, map[string]string{"GITLAB_TOKEN": ""}, [][]string{
			{"missing credential:", "it is not set"}, {"missing group variables:", "there is no token"}, {"unproven project:", "is not private"},
		}, nil},
		{"another token", "acme", nil, map[string]string{"GITLAB_TOKEN": "other"}, [][]string{{"missing credential:", "it is not accepted"}}, audit.ErrAuth},
		{"nobody", "xyz", nil, nil, nil, audit.ErrAuth},
		{"no ref", "a b", nil, nil, nil, audit.ErrUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := acme(2)
			g.Fault = about(enough)
			if test.set != nil {
				test.set(g)
			}
			p := provider(t, g, test.vars)
			p.opts.Sources = audit.AllSources
			lines, err := checks(t, p, test.ref)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			for _, want := range test.want {
				if !audittest.HasLine(lines, want...) {
					t.Errorf("no line has %q", want)
				}
			}
			if t.Failed() {
				t.Log(strings.Join(lines, "\n"))
			}
		})
	}
	g := acme(1)
	for c, err := range provider(t, g, nil).Environment() {
		if err != nil || c.For == "credential" && (c.State != audit.Granted || !strings.Contains(c.Evidence, "GITLAB_TOKEN is used")) {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if n := len(g.Requests()); n > 0 {
		t.Errorf("the environment takes %d requests", n)
	}
}

func TestPlan(t *testing.T) {
	g := acme(30)
	g.Limit = 100
	for _, x := range g.Projects {
		for i := range 50 { // of which the last hundred jobs show twenty
			p := forgetest.CIPipeline{ID: x.ID*1000 + i, Source: "api"}
			for j := range 5 {
				p.Jobs = append(p.Jobs, forgetest.CIJob{ID: p.ID*10 + j, Name: "build", Files: map[string]string{"a": "b"}})
			}
			x.Pipelines = append(x.Pipelines, p)
		}
	}
	p := provider(t, g, nil)
	p.opts.Sources = audit.SourceHistory | audit.SourceVariables | audit.SourceSettings | audit.SourceRunners | forge.Runs
	plan := func() map[string]audit.Cost {
		t.Helper()
		all := map[string]audit.Cost{}
		for c, err := range p.Plan(t.Context(), "acme") {
			if err != nil {
				t.Fatal(err)
			}
			all[c.Source.String()] = c
		}
		return all
	}
	all := plan()
	if c := all[""]; c.Calls == 0 || c.Limit != 3600 || c.Left == 0 || c.Left > 60 {
		t.Errorf("listing: %+v", c)
	}
	const groups = 3
	const listings, pipelines, jobs = 2, 50, 250
	for source, calls := range map[string]int{
		"history": 30 * 3, "variables": 30*3 + groups, "settings": 30*16 + 8*groups, // schedules are among the variables
		"logs": 30 * (listings + pipelines + pipelines + jobs), "artifacts": 30 * (jobs + 1), // a pipeline's jobs and variables; the states
	} {
		if c := all[source]; c.Calls != calls || (c.Quota == "") != (source == "history") {
			t.Errorf("%s: %+v, want %d calls", source, c, calls)
		}
	}
	if n := g.Count("/variables"); n > 1 { // whether the instance's can be read is part of the listing
		t.Errorf("%d requests for variables", n)
	}

	// Some refuse to tell, and are taken to be as the others.
	told := all["logs"].Calls
	for i, x := range g.Projects {
		if i%8 == 0 { // every other one of the sample
			x.Role = 10
		}
	}
	g.Projects[4].Settings = map[string]any{"builds_access_level": "disabled"}
	if c := plan()["logs"]; c.Calls > told || c.Calls < told/2 || !strings.Contains(c.Note, "from 4 repositories; 4 more refused, and are taken to be as those: 403 Forbidden") {
		t.Errorf("%+v, and %d calls where all tell", c, told)
	}
	for _, x := range g.Projects {
		x.Role, x.Settings = 10, nil
	}
	if c := plan()["logs"]; c.Calls != 30*2 || !strings.Contains(c.Note, "cannot be told: all of 8 repositories refused: 403 Forbidden") {
		t.Errorf("%+v", c)
	}
	for _, err := range p.Plan(t.Context(), "xyz") {
		if err != nil && !errors.Is(err, audit.ErrAuth) {
			t.Error(err)
		}
	}
}
