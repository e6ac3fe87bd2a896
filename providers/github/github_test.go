package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gh "github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

const token = "a-token-of-the-test"

func everything() Options {
	return Options{Sources: audit.SourceVariables | audit.SourceSecrets | audit.SourceSettings | audit.SourceRunners, sleep: func(ctx context.Context, d time.Duration) error {
		time.Sleep(min(d, 2*time.Millisecond)) // pauses after faults; rate limits are tested with a clock of their own in package forge
		return ctx.Err()
	}}
}

// env is an environment with these variables; what is logged goes to log.
func env(t *testing.T, log io.Writer, vars map[string]string) audit.Env {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	if log == nil {
		log = io.Discard
	}
	return audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return vars[k] }, Log: slog.New(slog.NewTextHandler(log, nil)),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}
}

// provider reads a fake with the token.
func provider(t *testing.T, fake http.Handler, o Options) *Provider {
	t.Helper()
	return New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, fake), "GH_TOKEN": token}), o)
}

func acme(repos int) *forgetest.GitHub {
	g := &forgetest.GitHub{Token: token, Login: "octocat", Owners: []*forgetest.Owner{{
		Login:     "acme",
		Variables: []forgetest.Variable{{Name: "REGION", Value: "eu-central-1"}, {Name: "NOTE", Value: "three\nlines\n", Visibility: "selected"}},
		Secrets:   []forgetest.Secret{{Name: "AWS_SECRET_ACCESS_KEY", Visibility: "private"}},
		Runners:   []forgetest.Runner{{Name: "big", OS: "linux", Labels: []string{"self-hosted", "gpu"}, Ephemeral: true}},
	}, {Login: "octocat", User: true}}}
	for i := range repos {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Private: i%2 == 1})
	}
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
		out = append(out, t.Name)
	}
	return out
}

// items describes what a target yields, one line each.
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
			lines = append(lines, fmt.Sprintf("%s %s %q %s", it.Kind, it.Entry.Name, it.Content, it.Entry.Scope))
		}
	}
	return lines, gaps, failure
}

func TestConformance(t *testing.T) {
	g := acme(3)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	g.Repos[0].Variables = []forgetest.Variable{{Name: "A", Value: "1"}}
	o := everything()
	o.Sources |= audit.SourceHistory
	audittest.Provider(t, provider(t, g, o), "acme")
}

func TestOrganisation(t *testing.T) {
	g := acme(250)
	p := provider(t, g, everything())
	r := targets(t, p, "acme")
	if r.err != nil || len(r.gaps) > 0 {
		t.Fatalf("err %v, gaps %q", r.err, r.gaps)
	}
	names := r.names()
	if len(names) != 251 || names[0] != "github:acme" || names[250] != "github:acme/r249" {
		t.Fatalf("%d targets, from %s to %s", len(names), names[0], names[len(names)-1])
	}
	if got := g.Count("/orgs/acme/repos"); got != 3 {
		t.Errorf("%d requests for three pages", got)
	}
	lines, gaps, err := items(t, p, r.targets[0])
	if !strings.HasPrefix(lines[0], "settings acme ") {
		t.Errorf("first is %s", lines[0])
	}
	lines = lines[1:]
	want := []string{
		`variable REGION "eu-central-1" organisation`, `variable NOTE "three\nlines\n" organisation`, `secret AWS_SECRET_ACCESS_KEY "" organisation`,
		`runner big "{\"id\":1,\"name\":\"big\",\"os\":\"linux\",\"status\":\"online\",\"labels\":[{\"name\":\"self-hosted\",\"type\":\"custom\"},{\"name\":\"gpu\",\"type\":\"custom\"}],\"runner_group_id\":1,\"ephemeral\":true,\"version\":\"2.336.0\"}" organisation`,
	}
	if err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
		t.Errorf("err %v, gaps %q, items\n%s", err, gaps, strings.Join(lines, "\n"))
	}
	if calls := p.env.Calls.Snapshot()["github"]; calls != len(g.Requests()) {
		t.Errorf("%d calls counted, %d made", calls, len(g.Requests()))
	}
}

func TestRepository(t *testing.T) {
	g := acme(1)
	repo := g.Repos[0]
	repo.Private = true // the organisation's secret is private repositories' alone
	repo.Environments = []forgetest.Environment{
		{Name: "prod/eu west", Variables: []forgetest.Variable{{Name: "KEY", Value: "v"}}, Secrets: []forgetest.Secret{{Name: "TOKEN"}}, Reviewers: true},
		{Name: ".."},
	}
	for i := range 75 {
		repo.Variables = append(repo.Variables, forgetest.Variable{Name: fmt.Sprint("V", i), Value: fmt.Sprint(i)})
	}
	p := provider(t, g, everything())
	r := targets(t, p, "Acme/R000")
	if r.err != nil || !slices.Equal(r.names(), []string{"github:acme/r000"}) {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	lines, gaps, err := items(t, p, r.targets[0])
	if err != nil || len(gaps) != 1 || !strings.Contains(gaps[0], `environment ".."`) {
		t.Fatalf("err %v, gaps %q", err, gaps)
	}
	for _, want := range []string{
		`variable REGION "eu-central-1" organisation`, `secret AWS_SECRET_ACCESS_KEY "" organisation`, `variable V74 "74" repository`,
		`variable KEY "v" environment prod/eu west`, `secret TOKEN "" environment prod/eu west`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no item %s in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if n := slices.IndexFunc(g.Requests(), func(r forgetest.Request) bool {
		return strings.HasSuffix(r.Path, "/environments/prod%2Feu%20west/variables")
	}); n < 0 {
		t.Error("the environment's name is not escaped")
	}
	if got := g.Count("/repos/acme/r000/actions/variables"); got != 3 {
		t.Errorf("%d requests for 75 variables in pages of 30", got)
	}
}

func TestUser(t *testing.T) {
	for _, test := range []struct {
		login string
		want  int
	}{{"octocat", 4}, {"somebody", 2}, {"", 2}} { // only the user's own token shows private repositories
		g := acme(0)
		g.Login = test.login
		for i := range 4 {
			g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("octocat/r%d", i), ID: int64(i + 1), Private: i%2 == 1})
		}
		r := targets(t, provider(t, g, everything()), "octocat")
		if r.err != nil || len(r.targets) != test.want {
			t.Errorf("as %q: err %v, targets %q", test.login, r.err, r.names())
		}
	}
}

func TestTrouble(t *testing.T) {
	g := acme(250)
	g.Owners[0].Hidden = 3
	g.Repos[7].Gone = true
	for _, r := range g.Repos[:12] {
		r.Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	}
	var stumbled, secondary atomic.Int32
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.Contains(r.URL.Path, "/r003/"):
			w.Header().Set("X-Accepted-GitHub-Permissions", "secrets=read")
			return forgetest.Fail(w, http.StatusForbidden, "Resource not accessible by personal access token")
		case strings.Contains(r.URL.Path, "/r004/actions/runners"):
			return forgetest.Fail(w, http.StatusBadGateway, "Server Error")
		case r.URL.Query().Get("page") == "2" && stumbled.Add(1) == 1:
			return forgetest.Fail(w, http.StatusInternalServerError, "Server Error")
		case r.URL.Query().Get("page") == "3" && secondary.Add(1) == 1:
			w.Header().Set("Retry-After", "1")
			return forgetest.Fail(w, http.StatusForbidden, "You have exceeded a secondary rate limit.")
		}
		return false
	}
	p := provider(t, g, everything())
	r := targets(t, p, "acme")
	if r.err != nil || len(r.targets) != 251 {
		t.Fatalf("err %v, %d targets", r.err, len(r.targets))
	}
	if len(r.gaps) != 1 || !strings.Contains(r.gaps[0], "253 repositories, 250 were listed") {
		t.Errorf("gaps %q", r.gaps)
	}
	failed := 0
	for _, target := range r.targets[1:12] {
		_, gaps, err := items(t, p, target)
		switch target.Name {
		case "github:acme/r003":
			if len(gaps) != 4 || gaps[1] != "repository secrets: 403 Forbidden: needs secrets=read: Resource not accessible by personal access token" {
				t.Errorf("r003: %q", gaps)
			}
		case "github:acme/r004":
			if len(gaps) != 1 || gaps[0] != "repository runners: 502 Bad Gateway: Server Error" {
				t.Errorf("r004: %q", gaps)
			}
		case "github:acme/r007":
			if err == nil || !strings.Contains(err.Error(), "gone") {
				t.Errorf("r007: %v, gaps %q", err, gaps)
			}
			failed++
			continue
		default:
			if len(gaps) > 0 {
				t.Errorf("%s: %q", target.Name, gaps)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
	if failed != 1 {
		t.Error("the deleted repository did not fail")
	}
}

// A page that stays unreadable costs its own repositories, not those after it.
func TestBrokenPage(t *testing.T) {
	g := acme(250)
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("page") == "2" && forgetest.Fail(w, http.StatusInternalServerError, "Server Error")
	}
	r := targets(t, provider(t, g, everything()), "acme")
	if r.err != nil || len(r.targets) != 151 {
		t.Errorf("err %v, %d targets", r.err, len(r.targets))
	}
	if !slices.ContainsFunc(r.gaps, func(s string) bool { return strings.Contains(s, "after the first 100: page 2: 500") }) {
		t.Errorf("gaps %q", r.gaps)
	}
}

func TestNoRights(t *testing.T) {
	g := acme(2)
	url := forgetest.Start(t, g)
	for _, test := range []struct {
		name, ref string
		vars      map[string]string
		want      error
		hint      string
	}{
		{"bad token", "acme", map[string]string{"GH_TOKEN": "another"}, audit.ErrAuth, "check GH_TOKEN"},
		{"blank token", "acme", map[string]string{"GH_TOKEN": " \n" + token + "\r\n"}, nil, ""},
		{"split token", "acme", map[string]string{"GH_TOKEN": "half\nhalf"}, audit.ErrUsage, "one token"},
		{"second variable", "acme", map[string]string{"GITHUB_TOKEN": token}, nil, ""},
		{"nobody", "nobody", map[string]string{"GH_TOKEN": token}, audit.ErrAuth, "granted access"},
		{"no token, private", "acme/r001", nil, audit.ErrAuth, "set GH_TOKEN"},
		{"no token, public", "acme/r000", nil, nil, ""},
		{"empty user", "octocat", map[string]string{"GH_TOKEN": token}, audit.ErrNothing, ""},
		{"bad ref", "acme/../etc", nil, audit.ErrUsage, ""},
		{"dots", "acme/..", nil, audit.ErrUsage, ""},
		{"no ref", "", nil, audit.ErrUsage, ""},
		{"blank", "ac me", nil, audit.ErrUsage, ""},
	} {
		vars := map[string]string{"GITHUB_API_URL": url}
		for k, v := range test.vars {
			vars[k] = v
		}
		r := targets(t, New(env(t, nil, vars), everything()), test.ref)
		if test.want == nil && r.err != nil || !errors.Is(r.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, r.err, test.want)
		}
		if !strings.Contains(audit.HintOf(r.err), test.hint) {
			t.Errorf("%s: hint %q, want %q", test.name, audit.HintOf(r.err), test.hint)
		}
		for _, v := range test.vars {
			if r.err != nil && strings.Contains(r.err.Error()+audit.HintOf(r.err), v) {
				t.Errorf("%s: the error shows the token: %v", test.name, r.err)
			}
		}
	}
}

// Without a token the listings that need one are not asked for: sixty requests an hour are too few to waste.
func TestWithoutToken(t *testing.T) {
	g := acme(2)
	p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g)}), everything())
	r := targets(t, p, "acme/r000")
	lines, gaps, err := items(t, p, r.targets[0])
	if err != nil || len(lines) > 0 || !slices.Equal(gaps, []string{"variables,secrets,settings,runners: needs a token: GH_TOKEN is not set"}) || len(g.Requests()) != 1 {
		t.Errorf("err %v, items %q, gaps %q, %d requests", err, lines, gaps, len(g.Requests()))
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
		{"html", "answered HTML, not the API: check GITHUB_API_URL", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title>")
		}},
		{"html error", "answered HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<html>no</html>")
		}},
		{"redirect elsewhere", "redirects to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief+"/orgs/acme/repos", http.StatusMovedPermanently)
		}},
		{"redirect in circles", "more than 5 redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}},
		{"cut JSON", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `[{"id": 1,`)
		}},
		{"nulls", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, "/repos") {
				_, _ = io.WriteString(w, `[null, {}, {"id": 4, "full_name": "../../etc"}]`)
				return
			}
			_, _ = io.WriteString(w, `{"total_count": 1, "variables": [null], "secrets": [null], "runners": [null]}`)
		}},
		{"echoed token", "…", func(w http.ResponseWriter, r *http.Request) {
			forgetest.Fail(w, http.StatusBadRequest, "bad header "+r.Header.Get("Authorization"))
		}},
		{"same page for ever", "repeats itself", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<"+thief+`/x?page=99>; rel="next"`)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `[{"id": 1, "full_name": "acme/a"}]`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := provider(t, http.HandlerFunc(test.answer), everything())
			r := targets(t, p, "acme")
			said := fmt.Sprint(r.err, r.gaps)
			if !strings.Contains(said, test.want) || strings.Contains(said, token) {
				t.Errorf("%s, want %s", said, test.want)
			}
			for _, target := range r.targets {
				_, _, _ = items(t, p, target)
			}
		})
	}
	if stolen.Load() > 0 {
		t.Error("the token reached another host")
	}
}

func TestRateLimitTooLong(t *testing.T) {
	g := acme(250)
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "" {
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
		}
		return false
	}
	p := provider(t, g, everything())
	r := targets(t, p, "acme")
	if r.err != nil || len(r.targets) != 101 || len(r.gaps) != 1 || !strings.Contains(r.gaps[0], "repositories after the first 100: page 2: 429 Too Many Requests: rate limit until 2") {
		t.Errorf("err %v, %d targets, gaps %q", r.err, len(r.targets), r.gaps)
	}
	if n := len(g.Requests()); n != 1 {
		t.Errorf("%d requests although the budget was used up", n)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	for _, err := range provider(t, hang, everything()).Targets(ctx, "acme") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	}
}

func TestWebOrigins(t *testing.T) {
	for _, test := range []struct{ api, server, clone, want string }{
		{"https://api.github.com", "", "https://github.com/acme/web.git", "https://github.com/acme/web.git"},
		{"https://api.github.com", "", "https://evil.example/acme/web.git", "https://github.com/acme/web.git"},
		{"https://api.github.com", "https://ghe.example.com", "https://ghe.example.com/acme/web.git", "https://github.com/acme/web.git"},
		{"https://api.acme.ghe.com", "", "", "https://acme.ghe.com/acme/web.git"},
		{"https://ghe.example.com/api/v3", "", "https://user:pass@ghe.example.com/acme/web.git?x=1", "https://ghe.example.com/acme/web.git"},
		{"https://ghe.example.com/api/v3", "", "http://ghe.example.com/acme/web.git", "https://ghe.example.com/acme/web.git"},
		{"https://ghe.example.com/api/v3", "http://ghe.example.com", "http://ghe.example.com/acme/web.git", "https://ghe.example.com/acme/web.git"},
		{"http://127.0.0.1:8000", "http://127.0.0.1:9000", "http://127.0.0.1:9000/git/acme/web.git", "http://127.0.0.1:9000/git/acme/web.git"},
		{"http://127.0.0.1:8000", "", "http://127.0.0.1:9000/acme/web.git", "http://127.0.0.1:8000/acme/web.git"},
	} {
		c, err := newClient(env(t, nil, map[string]string{"GITHUB_API_URL": test.api, "GITHUB_SERVER_URL": test.server}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		full := "acme/web"
		r, err := c.target(&gh.Repository{FullName: &full, CloneURL: &test.clone})
		if err != nil || r.Attrs["clone_url"] != test.want {
			t.Errorf("%+v: %s, %v", test, r.Attrs["clone_url"], err)
		}
	}
}

func TestLogsHoldNoToken(t *testing.T) {
	g := acme(3)
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/orgs/acme/repos") && g.Count("/orgs/acme/repos") < 3 && forgetest.Fail(w, http.StatusInternalServerError, r.Header.Get("Authorization"))
	}
	var log bytes.Buffer
	e := env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": token})
	e.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if r := targets(t, New(e, everything()), "acme"); r.err != nil {
		t.Fatal(r.err)
	}
	if !strings.Contains(log.String(), "asking again") || strings.Contains(log.String(), token) {
		t.Errorf("log: %s", log.String())
	}
}

// A success without a list is a gap, and never "none".
func TestNoList(t *testing.T) {
	for _, body := range []string{"", "null", "{}", `{"secrets": null}`} {
		g := acme(1)
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/secrets") && !strings.HasSuffix(r.URL.Path, "/actions/permissions") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
			return true
		}
		p := provider(t, g, everything())
		for _, target := range targets(t, p, "acme").targets {
			_, gaps := entries(t, p, target)
			wanted := []string{"secrets: answered without a list"}
			if target.Kind == audit.TargetOrganisation && !strings.HasSuffix(body, "}") { // else it is settings, if none that we know
				wanted = append(wanted, "Actions permissions: answered something else")
			}
			for _, want := range wanted {
				if !slices.ContainsFunc(gaps, func(g string) bool { return strings.Contains(g, want) }) {
					t.Errorf("%q: %s: no gap %q in %q", body, target.Name, want, gaps)
				}
			}
		}
	}
}
