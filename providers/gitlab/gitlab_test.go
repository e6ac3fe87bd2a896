package gitlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

const token = "a-token-of-the-test"

func everything() Options {
	return Options{Sources: audit.SourceVariables | audit.SourceSettings | audit.SourceRunners, sleep: func(ctx context.Context, d time.Duration) error {
		time.Sleep(min(d, 2*time.Millisecond)) // pauses after faults; rate limits are tested with a clock of their own in package forge
		return ctx.Err()
	}}
}

func provider(t *testing.T, fake http.Handler, vars map[string]string) *Provider {
	t.Helper()
	url := forgetest.Start(t, fake)
	all := map[string]string{"GITLAB_URL": url, "GITLAB_TOKEN": token}
	for k, v := range vars {
		all[k] = strings.ReplaceAll(v, "URL", url)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return New(audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return all[k] }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}, everything())
}

func acme(projects int) *forgetest.GitLab {
	g := &forgetest.GitLab{
		Token: token, Users: []string{"jane", "nobody"},
		Variables: []forgetest.CIVariable{{Key: "EVERYWHERE", Value: "i", Protected: true}},
		Runners:   []forgetest.CIRunner{{ID: 1, Description: "shared"}},
		Groups: []*forgetest.Group{
			{ID: 10, Path: "acme", Variables: []forgetest.CIVariable{{Key: "TOP", Value: "t"}}},
			{ID: 11, Path: "acme/platform", Variables: []forgetest.CIVariable{{Key: "MID", Value: "m"}}, Runners: []forgetest.CIRunner{{ID: 2, Description: "group's"}}},
			{ID: 12, Path: "acme/platform/deep.er", Private: true},
			{ID: 13, Path: "other"},
		},
	}
	for i := range projects {
		path := fmt.Sprintf("acme/platform/p%03d", i)
		if i%3 == 2 {
			path = fmt.Sprintf("acme/platform/deep.er/p%03d", i)
		}
		g.Projects = append(g.Projects, &forgetest.Project{ID: 100 + i, Path: path, Private: i%2 == 1})
	}
	g.Projects = append(g.Projects, &forgetest.Project{ID: 9000, Path: "jane/dotfiles"}, &forgetest.Project{ID: 9001, Path: "other/x"})
	return g
}

type result struct {
	targets []audit.Target
	gaps    []string
	err     error
}

func targets(t *testing.T, p *Provider, ref string) (r result) {
	t.Helper()
	for target, err := range p.Targets(t.Context(), ref) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			r.gaps = append(r.gaps, gap.Error())
		case err != nil:
			r.err = err
		default:
			r.targets = append(r.targets, target)
		}
	}
	return r
}

func (r result) names() (out []string) {
	for _, t := range r.targets {
		out = append(out, string(t.Kind)+" "+t.Name)
	}
	return out
}

func (r result) named(name string) audit.Target {
	return r.targets[slices.IndexFunc(r.targets, func(t audit.Target) bool { return t.Name == name })]
}

func items(t *testing.T, p *Provider, target audit.Target) (lines, gaps []string, failure error) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			failure = err
		case it.Entry != nil:
			content := string(it.Content)
			if it.Kind != audit.KindVariable {
				content = ""
			}
			lines = append(lines, fmt.Sprintf("%s %s %q %s", it.Kind, it.Entry.Name, content, it.Entry.Scope))
		}
	}
	return lines, gaps, failure
}

func TestConformance(t *testing.T) {
	g := acme(3)
	g.Admin = true
	g.Projects[0].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	p := provider(t, g, nil)
	p.opts.Sources |= audit.SourceHistory
	audittest.Provider(t, p, "acme/platform")
}

func TestGroup(t *testing.T) {
	for _, noKeyset := range []bool{false, true} {
		g := acme(250)
		g.NoKeyset = noKeyset
		p := provider(t, g, nil)
		r := targets(t, p, "acme/platform")
		if r.err != nil || len(r.gaps) > 0 {
			t.Fatalf("err %v, gaps %q", r.err, r.gaps)
		}
		names := r.names()
		want := []string{"group gitlab:acme", "group gitlab:acme/platform", "group gitlab:acme/platform/deep.er", "repository gitlab:acme/platform/p000"}
		if len(names) != 253 || !slices.Equal(names[:4], want) {
			t.Fatalf("%d targets, first %q", len(names), names[:4])
		}
		lines, gaps, err := items(t, p, r.named("gitlab:acme/platform"))
		if want := []string{`variable MID "m" group`, `settings acme/platform "" group`, `runner group's "" group`, `runner shared "" group`}; err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
			t.Errorf("err %v, gaps %q, items %q", err, gaps, lines)
		}
		if calls := p.env.Calls.Snapshot()["gitlab"]; calls != len(g.Requests()) {
			t.Errorf("%d calls counted, %d made", calls, len(g.Requests()))
		}
	}
}

func TestAdministrator(t *testing.T) {
	g := acme(1)
	g.Admin = true
	p := provider(t, g, nil)
	r := targets(t, p, "acme")
	if r.err != nil || r.names()[0] != "instance gitlab:" {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	lines, gaps, err := items(t, p, r.targets[0])
	if want := []string{`variable EVERYWHERE "i" instance`, "settings " + strings.TrimPrefix(p.env.Getenv("GITLAB_URL"), "http://") + ` "" instance`, `runner shared "" instance`}; err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
		t.Errorf("err %v, gaps %q, items %q", err, gaps, lines)
	}
	g.AdminMode = true
	if r := targets(t, p, "acme"); len(r.gaps) != 1 || !strings.HasPrefix(r.gaps[0], "instance variables: 403") {
		t.Errorf("an administrator who is refused: gaps %q", r.gaps)
	}
	g.Admin = false
	if r := targets(t, p, "acme"); len(r.gaps) > 0 {
		t.Errorf("not an administrator: gaps %q", r.gaps)
	}
}

func TestProject(t *testing.T) {
	g := acme(1)
	x := g.Projects[0]
	x.Environments = []string{"production", "review/1"}
	x.Runners = []forgetest.CIRunner{{ID: 3, Description: "own"}}
	x.Variables = []forgetest.CIVariable{
		{Key: "KEY", Value: "one", Scope: "production"}, {Key: "KEY", Value: "two", Scope: "review/*"}, {Key: "HIDDEN", Hidden: true}, {Key: "FILE", Value: "a\nb", Type: "file", Protected: true},
	}
	for i := range 150 {
		x.Variables = append(x.Variables, forgetest.CIVariable{Key: fmt.Sprint("V", i), Value: fmt.Sprint(i)})
	}
	p := provider(t, g, nil)
	r := targets(t, p, "acme/platform/p000")
	if want := []string{"group gitlab:acme", "group gitlab:acme/platform", "repository gitlab:acme/platform/p000"}; r.err != nil || !slices.Equal(r.names(), want) {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	lines, gaps, err := items(t, p, r.targets[2])
	if err != nil || len(gaps) > 0 || len(lines) != 154+2+1+2 {
		t.Fatalf("err %v, gaps %q, %d items", err, gaps, len(lines))
	}
	for _, want := range []string{`variable KEY "one" project`, `variable KEY "two" project`, `variable HIDDEN "" project`, `variable FILE "a\nb" project`, `variable V149 "149" project`, `environment review/1 "" project`} {
		if !slices.Contains(lines, want) {
			t.Errorf("no item %s", want)
		}
	}
	for it, err := range p.Items(t.Context(), r.targets[2]) {
		if err != nil {
			t.Fatal(err)
		}
		if it.Entry == nil { // the state
			continue
		}
		switch it.Entry.Name {
		case "HIDDEN":
			if it.Content != nil || it.Entry.Facts["hidden"] != "true" {
				t.Errorf("hidden variable: %+v", it)
			}
		case "FILE":
			if it.Entry.Facts["type"] != "file" || it.Entry.Facts["protected"] != "true" {
				t.Errorf("file variable: %v", it.Entry.Facts)
			}
		}
	}
}

func TestUser(t *testing.T) {
	r := targets(t, provider(t, acme(1), nil), "jane")
	if want := []string{"repository gitlab:jane/dotfiles"}; r.err != nil || !slices.Equal(r.names(), want) {
		t.Errorf("err %v, targets %q", r.err, r.names())
	}
	r = targets(t, provider(t, acme(1), nil), "jane/dotfiles")
	if want := []string{"repository gitlab:jane/dotfiles"}; r.err != nil || len(r.gaps) > 0 || !slices.Equal(r.names(), want) {
		t.Errorf("err %v, gaps %q, targets %q", r.err, r.gaps, r.names())
	}
}

func TestTrouble(t *testing.T) {
	g := acme(250)
	g.Groups[0].Private, g.Groups[1].Denied = true, true
	g.Projects[3].Denied, g.Projects[4].Gone = true, true
	var limited atomic.Int32
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/api/v4/groups/acme":
			return forgetest.Fail(w, http.StatusNotFound, "404 Group Not Found")
		case strings.HasSuffix(r.URL.Path, "/projects") && limited.Add(1) == 2:
			w.Header().Set("Retry-After", "1")
			return forgetest.Fail(w, http.StatusTooManyRequests, "This endpoint has been requested too many times. Try again later.")
		case strings.HasSuffix(r.URL.Path, "/projects/105/runners"):
			return forgetest.Fail(w, http.StatusBadGateway, "502")
		}
		return false
	}
	p := provider(t, g, nil)
	r := targets(t, p, "acme/platform")
	if r.err != nil || len(r.targets) != 252 || len(r.gaps) != 1 || !strings.HasPrefix(r.gaps[0], "variables inherited from group acme: 404") {
		t.Fatalf("err %v, %d targets, gaps %q", r.err, len(r.targets), r.gaps)
	}
	for _, test := range []struct {
		target string
		gaps   []string
		err    string
	}{
		{"gitlab:acme/platform", []string{
			"group variables, access tokens, webhooks, protected branches, push rules: 403 Forbidden: needs role Owner",
			"group deploy tokens, protected environments, runners: 403 Forbidden: needs role Maintainer",
		}, ""},
		{"gitlab:acme/platform/p003", []string{
			"project variables, inherited variables, deploy keys, webhooks, access tokens, deploy tokens, trigger tokens, protected branches, protected tags, " +
				"protected environments, job token scope, push rules, runners: 403 Forbidden: needs role Maintainer",
			"project pipeline schedules, security settings: 403 Forbidden: needs role Developer",
		}, ""},
		{"gitlab:acme/platform/p004", nil, "the project is gone"},
		{"gitlab:acme/platform/deep.er/p005", []string{"project runners: 502 Bad Gateway: 502"}, ""},
		{"gitlab:acme/platform/p006", nil, ""},
	} {
		_, gaps, err := items(t, p, r.named(test.target))
		if !slices.Equal(gaps, test.gaps) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: err %v, gaps %q", test.target, err, gaps)
		}
	}
}

func TestNoRights(t *testing.T) {
	for _, test := range []struct {
		name, ref string
		vars      map[string]string
		want      error
		hint      string
	}{
		{"bad token", "acme", map[string]string{"GITLAB_TOKEN": "another"}, audit.ErrAuth, "check GITLAB_TOKEN"},
		{"blank token", "acme", map[string]string{"GITLAB_TOKEN": " " + token + "\n"}, nil, ""},
		{"split token", "acme", map[string]string{"GITLAB_TOKEN": "half\x00half"}, audit.ErrUsage, "one token"},
		{"nobody", "none/such", nil, audit.ErrAuth, "check the path"},
		{"nobody at all", "none", nil, audit.ErrAuth, "check the path"},
		{"no token, private", "acme/platform/p001", map[string]string{"GITLAB_TOKEN": ""}, audit.ErrAuth, "set GITLAB_TOKEN"},
		{"no token, public", "acme/platform/p000", map[string]string{"GITLAB_TOKEN": ""}, nil, ""},
		{"empty user", "nobody", nil, audit.ErrNothing, ""},
		{"bad ref", "acme/../etc", nil, audit.ErrUsage, ""},
		{"instance, no administrator", "", nil, audit.ErrAuth, "administrator's"},
		{"instance, no token", "", map[string]string{"GITLAB_TOKEN": ""}, audit.ErrAuth, "set GITLAB_TOKEN"},
		{"job token, group", "acme", map[string]string{"GITLAB_TOKEN": "", "CI_JOB_TOKEN": "job", "CI_API_V4_URL": "URL/api/v4"}, nil, ""},
	} {
		r := targets(t, provider(t, acme(2), test.vars), test.ref)
		if test.want == nil && r.err != nil || !errors.Is(r.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, r.err, test.want)
		}
		if !strings.Contains(audit.HintOf(r.err), test.hint) {
			t.Errorf("%s: hint %q, want %q", test.name, audit.HintOf(r.err), test.hint)
		}
	}
}

// A job's token may clone what its project may, and read no settings.
func TestJobToken(t *testing.T) {
	g := acme(2)
	g.JobToken = "job"
	p := provider(t, g, map[string]string{"GITLAB_TOKEN": "", "GITLAB_URL": "", "CI_API_V4_URL": "URL/api/v4", "CI_JOB_TOKEN": "job"})
	r := targets(t, p, "acme/platform/p001")
	if want := []string{"repository gitlab:acme/platform/p001"}; r.err != nil || !slices.Equal(r.names(), want) {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	_, gaps, err := items(t, p, r.targets[0])
	if err != nil || len(gaps) != 3 || !strings.Contains(gaps[0], "a job's own token may not read it: needs role Maintainer, with GITLAB_TOKEN") {
		t.Errorf("err %v, gaps %q", err, gaps)
	}
	for _, r := range g.Requests() {
		if r.Header.Get("Job-Token") != "job" || r.Header.Get("Private-Token") != "" {
			t.Errorf("%s: headers %v", r.Path, r.Header)
		}
	}
	// Not the instance that the job runs on: its token stays here.
	p = provider(t, g, map[string]string{"GITLAB_TOKEN": "", "CI_API_V4_URL": "https://gitlab.example.com/api/v4", "CI_JOB_TOKEN": "job"})
	if r := targets(t, p, "acme/platform/p001"); !errors.Is(r.err, audit.ErrAuth) {
		t.Errorf("%v", r.err)
	}
	for _, r := range g.Requests()[len(g.Requests())-1:] {
		if r.Header.Get("Job-Token") != "" {
			t.Error("the job's token went to another instance")
		}
	}
}

func TestHostileAnswers(t *testing.T) {
	var stolen atomic.Int32
	thief := forgetest.Start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), token) {
				stolen.Add(1)
			}
		}
	}))
	for _, test := range []struct {
		name, want string
		answer     func(w http.ResponseWriter, r *http.Request)
	}{
		{"html", "answered HTML, not the API: check GITLAB_URL", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "\n<!DOCTYPE html>")
		}},
		{"redirect elsewhere", "redirects to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief+"/users/sign_in", http.StatusFound)
		}},
		{"endless keys", "repeats itself", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, "/groups/acme") {
				_, _ = io.WriteString(w, `{"id": 1, "full_path": "acme"}`)
				return
			}
			w.Header().Set("Link", "<"+thief+"/x?id_after="+r.URL.Query().Get("id_after")+`1>; rel="next"`)
			_, _ = io.WriteString(w, `[null, {"id": 1, "full_path": "a/../b", "path_with_namespace": "a\u0000b/c", "http_url_to_repo": "`+thief+`/a.git"}]`)
		}},
		{"odd link", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `;, <x; rel, <>; rel="next"`)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{}`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := targets(t, provider(t, http.HandlerFunc(test.answer), nil), "acme")
			said := fmt.Sprint(r.err, r.gaps)
			if !strings.Contains(said, test.want) || strings.Contains(said, token) {
				t.Errorf("%s, want %s", said, test.want)
			}
		})
	}
	if stolen.Load() > 0 {
		t.Error("the token reached another host")
	}
}

func TestInstance(t *testing.T) {
	for _, test := range []struct{ gitlab, api, server, clone, wantAPI, wantClone string }{
		{"", "", "", "", "https://gitlab.com/api/v4/", "https://gitlab.com/a/b.git"},
		{"", "https://git.example.com/gitlab/api/v4", "https://git.example.com/gitlab", "https://git.example.com/gitlab/a/b.git", "https://git.example.com/gitlab/api/v4/", "https://git.example.com/gitlab/a/b.git"},
		{"https://one.example.com/", "https://two.example.com/api/v4", "", "https://two.example.com/a/b.git", "https://one.example.com/api/v4/", "https://one.example.com/a/b.git"},
		{"http://127.0.0.1:80", "", "", "http://127.0.0.1/x/a/b.git", "http://127.0.0.1:80/api/v4/", "http://127.0.0.1/x/a/b.git"},
		{"https://one.example.com/api/v4/", "", "http://one.example.com", "http://one.example.com/a/b.git", "https://one.example.com/api/v4/", "https://one.example.com/a/b.git"},
	} {
		vars := map[string]string{"GITLAB_URL": test.gitlab, "CI_API_V4_URL": test.api, "CI_SERVER_URL": test.server}
		p := provider(t, http.NotFoundHandler(), vars)
		c, err := p.connect()
		if err != nil {
			t.Fatal(err)
		}
		target, err := c.projectTarget(&project{Path: "a/b", CloneURL: test.clone})
		if err != nil || c.BaseURL().String() != test.wantAPI || target.Attrs["clone_url"] != test.wantClone {
			t.Errorf("%+v: API %s, clone %s, %v", test, c.BaseURL(), target.Attrs["clone_url"], err)
		}
	}
}

// A variable of some environments says so where it is, and one of all says nothing.
func TestVariablesOfEnvironments(t *testing.T) {
	g := acme(1)
	g.Projects[0].Variables = []forgetest.CIVariable{{Key: "A", Value: "1", Scope: "review/*"}, {Key: "A", Value: "2", Scope: "production"}, {Key: "A", Value: "3"}}
	p := provider(t, g, nil)
	items, _ := all(t, p, targets(t, p, g.Projects[0].Path).named("gitlab:"+g.Projects[0].Path))
	got := map[string]string{}
	for _, it := range items {
		if it.Kind == audit.KindVariable {
			got[it.At.Environment] = string(it.Content)
		}
	}
	if want := map[string]string{"review/*": "1", "production": "2", "": "3"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
