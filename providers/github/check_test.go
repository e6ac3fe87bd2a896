package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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

// limited answers as GitHub does with a token that may do some things: what it may not is refused with the right that is missing.
type limited struct {
	*forgetest.GitHub
	header map[string]string
	denied map[string]string // by what the path ends in: the rights that GitHub names, or "" for a 404
}

func (f *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for k, v := range f.header {
		w.Header().Set(k, v)
	}
	for suffix, needs := range f.denied {
		if strings.HasSuffix(r.URL.Path, suffix) {
			if needs == "" {
				forgetest.Fail(w, http.StatusNotFound, "Not Found")
				return
			}
			w.Header().Set("X-Accepted-GitHub-Permissions", needs)
			forgetest.Fail(w, http.StatusForbidden, "Resource not accessible by personal access token")
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	switch path := r.URL.Path; {
	case path == "/rate_limit":
		fmt.Fprintf(w, `{"resources": {"core": {"limit": 5000, "remaining": 4000, "reset": %d}, "graphql": {"limit": 5000, "remaining": 100, "reset": %[1]d}}}`,
			time.Now().Add(time.Hour).Unix())
	case path == "/meta":
		_, _ = w.Write([]byte(`{"installed_version": "3.19.2"}`))
	case strings.HasSuffix(path, "/environments"):
		_, _ = w.Write([]byte(`{"total_count": 1, "environments": [{"id": 1, "name": "prod/eu"}]}`))
	case strings.HasSuffix(path, "/runs"), strings.HasSuffix(path, "/HEAD"), strings.HasSuffix(path, "/secrets"), strings.HasSuffix(path, "/variables"), strings.HasSuffix(path, "/permissions"):
		_, _ = w.Write([]byte(`{}`))
	case strings.HasSuffix(path, "/hooks"), strings.HasSuffix(path, "/keys"), strings.HasSuffix(path, "/issues"), strings.HasSuffix(path, "/comments"), strings.HasSuffix(path, "/releases"):
		_, _ = w.Write([]byte(`[]`))
	default:
		w.Header().Del("Content-Type")
		f.GitHub.ServeHTTP(w, r)
	}
}

func all() Options {
	o := everything()
	o.Sources = audit.AllSources
	return o
}

func TestCheck(t *testing.T) {
	g := acme(4)
	g.Repos[1].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	f := &limited{
		GitHub: g,
		header: map[string]string{"X-OAuth-Scopes": "repo, read:org, delete_repo", "GitHub-Authentication-Token-Expiration": "2026-12-31 10:00:00 UTC"},
		denied: map[string]string{"orgs/acme/actions/secrets": "", "/actions/runners": "administration=read"},
	}
	lines, err := checks(t, provider(t, f, all()), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"granted host:", "GitHub Enterprise Server 3.19.2"},
		{"granted credential:", "GH_TOKEN: token of octocat, ends 2026-12-31T10:00:00Z"},
		{"granted requests: some left of the quota core of GH_TOKEN", "4000 of 5000 left", "leaves 2000 to people"},
		{"missing requests: some left of the quota graphql of GH_TOKEN", "100 of 5000 left"},
		{"granted organisation variables: Variables: read (organisation), or scope admin:org", "tried on acme"},
		{"missing organisation secrets:", "404 Not Found", "on acme", "add scope admin:org to the token"},
		{"missing repository runners: Administration: read, or scope repo", "needs administration=read", "on acme/r001", "use a token of an administrator"},
		{"granted secrets of environments: Environments: read, or scope repo", "tried on acme/r001"},
		{"granted git:", "acme/r001.git"},
		{"excess excess: scope delete_repo", "take it away"},
		{"excess excess: rights to write", "fine-grained token"},
	} {
		if !audittest.HasLine(lines, want...) {
			t.Errorf("no line has %q", want)
		}
	}
	if audittest.HasLine(lines, "excess excess: scope read:org") {
		t.Error("what admin:org has is no excess")
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
	if n := len(f.Requests()); n > 45 {
		t.Errorf("%d requests", n)
	}
}

func TestCheckFineGrained(t *testing.T) {
	g := acme(1) // public
	lines, err := checks(t, provider(t, &limited{GitHub: g, denied: map[string]string{"/actions/variables": "actions_variables=read; secrets=write"}}, all()), "acme/r000")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"missing repository variables: Variables: read, or scope repo", "add Variables: read to the token"},
		{"unproven git history, files, definitions of pipelines, wikis:", "acme/r000 is public"},
		{"unproven excess: nothing beyond what a scan needs", "GH_TOKEN"},
	} {
		if !audittest.HasLine(lines, want...) {
			t.Errorf("no line has %q\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if audittest.HasLine(lines, " organisation ") {
		t.Errorf("a repository has no organisation's settings to be read\n%s", strings.Join(lines, "\n"))
	}
}

func TestCheckRefused(t *testing.T) {
	g := acme(1)
	address := forgetest.Start(t, g)
	for _, test := range []struct {
		name, ref string
		vars      map[string]string
		last      []string
		hint      string
	}{
		{"another token", "acme", map[string]string{"GH_TOKEN": "ghp_" + "other"}, []string{"missing credential", "classic token; it is not accepted"}, "expired"},
		{"no such organisation", "nobody", map[string]string{"GH_TOKEN": token}, []string{"requests"}, "check the name"},
		{"nothing private without a token", "acme/r001", nil, []string{"requests"}, "set GH_TOKEN"},
	} {
		vars := map[string]string{"GITHUB_API_URL": address}
		for k, v := range test.vars {
			vars[k] = v
		}
		lines, err := checks(t, New(env(t, nil, vars), all()), test.ref)
		if !errors.Is(err, audit.ErrAuth) || !strings.Contains(audit.HintOf(err), test.hint) || !audittest.HasLine(lines[len(lines)-1:], test.last...) {
			t.Errorf("%s: %v (%s)\n%s", test.name, err, audit.HintOf(err), strings.Join(lines, "\n"))
		}
	}
	_, err := checks(t, New(env(t, nil, map[string]string{"GITHUB_API_URL": "http://127.0.0.1:1"}), all()), "acme")
	if err == nil || errors.Is(err, audit.ErrAuth) {
		t.Errorf("no server: %v", err)
	}
	if _, err := checks(t, provider(t, g, all()), "acme/a/b"); !errors.Is(err, audit.ErrUsage) {
		t.Errorf("no ref: %v", err)
	}
}

func TestCheckApp(t *testing.T) {
	g := acme(2)
	g.Installations, g.App = []forgetest.Installation{{ID: 77, Owner: "acme"}}, fresh
	f := &limited{GitHub: g}
	p := appOf(t, forgetest.Start(t, f), nil)
	p.opts.Sources = audit.AllSources
	lines, err := checks(t, p, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"granted credential:", "GitHub App 12, installation 77 in acme"},
		{"granted requests: some left of the quota core of GitHub App 12, installation 77 in acme"},
		{"granted repository secrets:"},
	} {
		if !audittest.HasLine(lines, want...) {
			t.Errorf("no line has %q\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for granted, want := range map[string]string{"contents=write": "a scan needs read", "deployments=read": "no scan needs it", "secrets=read": "", "metadata=read": ""} {
		right, level, _ := strings.Cut(granted, "=")
		got := excessive(map[string]string{right: level})
		if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0].Evidence, want)) {
			t.Errorf("%s: %+v", granted, got)
		}
	}
}

// TestCheckWorkflow: what a workflow's own token may, is what its job says, and never secrets.
func TestCheckWorkflow(t *testing.T) {
	g := acme(2)
	own := "ghs_" + "own"
	g.Tokens = map[string]forgetest.GitHubToken{own: {}}
	f := &limited{GitHub: g, denied: map[string]string{"/actions/secrets": "secrets=read", "/issues": "issues=read"}}
	p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, f), "GITHUB_TOKEN": own, "GITHUB_ACTIONS": "true"}), all())
	lines, err := checks(t, p, "acme/r001")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"granted credential:", "GITHUB_TOKEN: the workflow's own token", "1,000 requests an hour"},
		{"missing repository secrets:", "a workflow's own token cannot have it"},
		{"missing issues and their comments:", "add it to the permissions of the workflow's job"},
	} {
		if !audittest.HasLine(lines, want...) {
			t.Errorf("no line has %q\n%s", want, strings.Join(lines, "\n"))
		}
	}
}

func TestCheckEnvironment(t *testing.T) {
	g := acme(1)
	address := forgetest.Start(t, g)
	lines, err := checks(t, New(env(t, nil, map[string]string{"GITHUB_API_URL": address, "GH_TOKEN": token, "GITHUB_TOKEN": "x"}), all()), "")
	if err != nil || !audittest.HasLine(lines, "granted credential:", "GH_TOKEN is used, of GH_TOKEN, GITHUB_TOKEN") || !audittest.HasLine(lines, "host: "+address) {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if lines, err = checks(t, New(env(t, nil, nil), all()), ""); err != nil || !audittest.HasLine(lines, "missing credential:", "none is set") || !audittest.HasLine(lines, "GitHub.com") {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if n := len(g.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestKindOf(t *testing.T) {
	for text, want := range map[string]tokenKind{
		"ghp_" + "x": kindClassic, "github_pat_" + "x": kindFineGrained, "ghs_" + "x": kindInstallation, "gho_" + "x": kindOAuth, "ghu_" + "x": kindUser,
		strings.Repeat("0a", 20): kindClassic, "anything": kindOther,
	} {
		if got := kindOf(text, func(string) string { return "" }); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := kindOf("ghs_"+"x", func(string) string { return "true" }); got != kindJob {
		t.Errorf("in a workflow: %s", got)
	}
}
