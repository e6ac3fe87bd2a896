package gitea

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// checks lists what a check tells, one line each.
func checks(t *testing.T, p *Provider, ref string) (lines []string, err error) {
	t.Helper()
	if ref == "" {
		return audittest.Checks(t, p.Environment(), token)
	}
	return audittest.Checks(t, p.Check(t.Context(), ref), token)
}

func TestCheck(t *testing.T) {
	version := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/version" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"version": "1.26.0"}`))
		return true
	}
	for _, test := range []struct {
		name string
		set  func(*forgetest.Gitea)
		ref  string
		vars map[string]string
		want [][]string
		err  error
	}{
		{"an owner", func(g *forgetest.Gitea) {
			g.Repos[3].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
		}, "acme", nil, [][]string{
			{"granted host:", "version 1.26.0"}, {"granted credential:", "GITEA_TOKEN of jane"}, {"granted organisation variables:", "tried on Acme"},
			{"granted repository secrets: scope read:repository, of an owner", "tried on Acme/r.001"}, {"granted git:", "r.001.git"},
		}, nil},
		{"no owner", func(g *forgetest.Gitea) { g.Owners[0].Denied = true }, "acme", nil, [][]string{
			{"missing organisation secrets:", "403 Forbidden: needs scope read:organization, of an owner", "on Acme"}, {"granted repository variables:"},
		}, nil},
		{"no scope for repositories", func(g *forgetest.Gitea) { g.Scopes = []string{"organization"} }, "acme", nil, [][]string{
			{"granted credential:", "whose it is takes scope read:user"}, {"missing repository variables:", "a token with scope read:repository"},
		}, nil},
		{"no token", nil, "acme", map[string]string{"GITEA_TOKEN": ""}, [][]string{
			{"missing credential:", "it is not set"}, {"missing organisation variables:", "needs a token"}, {"unproven repositories, git, workflows:", "is public"},
		}, nil},
		{"another token", nil, "acme", map[string]string{"GITEA_TOKEN": "other"}, [][]string{{"missing credential:", "it is not accepted"}}, audit.ErrAuth},
		{"nobody", nil, "xyz", nil, nil, audit.ErrAuth},
		{"no ref", nil, "a/b/c", nil, nil, audit.ErrUsage},
		{"the environment", nil, "", nil, [][]string{{"granted credential: GITEA_TOKEN", "is used"}, {"unproven host:", "/api/v1"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := acme(2)
			g.Fault = version
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
			if test.ref == "" && len(g.Requests()) > 0 {
				t.Errorf("%d requests", len(g.Requests()))
			}
			if t.Failed() {
				t.Log(strings.Join(lines, "\n"))
			}
		})
	}
}
