package gitea

import (
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

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

const token = "a-token-of-the-test"

func everything() Options {
	return Options{Sources: audit.SourceVariables | audit.SourceSecrets | audit.SourceRunners, sleep: func(ctx context.Context, d time.Duration) error {
		time.Sleep(min(d, 2*time.Millisecond)) // pauses after faults; rate limits are tested with a clock of their own in package forge
		return ctx.Err()
	}}
}

func provider(t *testing.T, fake http.Handler, vars map[string]string) *Provider {
	t.Helper()
	all := map[string]string{"GITEA_URL": forgetest.Start(t, fake), "GITEA_TOKEN": token}
	for k, v := range vars {
		all[k] = v
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return New(audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return all[k] }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}, everything())
}

func acme(repositories int) *forgetest.Gitea {
	g := &forgetest.Gitea{
		Token: token, Login: "jane",
		Owners: []*forgetest.GiteaOwner{
			{
				Name: "Acme", Variables: []forgetest.Variable{{Name: "TOP", Value: "t"}}, Secrets: []forgetest.Secret{{Name: "DEPLOY"}},
				Runners: []forgetest.Runner{{Name: "big", Labels: []string{"linux", "gpu"}, Ephemeral: true}},
			},
			{Name: "jane", User: true, Variables: []forgetest.Variable{{Name: "MINE", Value: "m"}}},
			{Name: "john", User: true}, {Name: "nobody", User: true}, {Name: "empty"},
		},
		Repos: []*forgetest.GiteaRepo{{FullName: "jane/dotfiles", ID: 9000}, {FullName: "john/x", ID: 9001}},
	}
	for i := range repositories {
		g.Repos = append(g.Repos, &forgetest.GiteaRepo{FullName: fmt.Sprintf("Acme/r.%03d", i), ID: int64(i + 1), Private: i%2 == 1, Fork: i%5 == 0})
	}
	return g
}

type result struct {
	targets []audit.Target
	gaps    []string
	err     error
}

func targets(t *testing.T, p *Provider, ref, cursor string) (r result) {
	t.Helper()
	for target, err := range p.TargetsAfter(t.Context(), ref, cursor) {
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
				content = it.Entry.Facts["labels"]
			}
			lines = append(lines, fmt.Sprintf("%s %s %q %s", it.Kind, it.Entry.Name, content, it.Entry.Scope))
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return lines, gaps, failure
}

func TestConformance(t *testing.T) {
	g := acme(3)
	g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	p := provider(t, g, nil)
	p.opts.Sources |= audit.SourceHistory
	audittest.Provider(t, p, "acme")
}

func TestOrganisation(t *testing.T) {
	for _, forgejo := range []bool{false, true} {
		g := acme(250)
		g.Forgejo = forgejo
		p := provider(t, g, nil)
		r := targets(t, p, "acme", "")
		if r.err != nil || len(r.gaps) > 0 {
			t.Fatalf("err %v, gaps %q", r.err, r.gaps)
		}
		names := r.names()
		if want := []string{"organisation gitea:Acme", "repository gitea:Acme/r.000"}; len(names) != 251 || !slices.Equal(names[:2], want) {
			t.Fatalf("%d targets, first %q", len(names), names[:2])
		}
		lines, gaps, err := items(t, p, r.targets[0])
		if want := []string{`variable TOP "t" organisation`, `secret DEPLOY "" organisation`, `runner big "linux,gpu" organisation`}; err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
			t.Errorf("err %v, gaps %q, items %q", err, gaps, lines)
		}
		if calls := p.env.Calls.Snapshot()["gitea"]; calls != len(g.Requests()) {
			t.Errorf("%d calls counted, %d made", calls, len(g.Requests()))
		}
		one := r.targets[1]
		if one.Size != 22<<10 || !one.Pushed.Equal(forgetest.Updated) || one.State != "" || one.Attrs["fork"] != "true" {
			t.Errorf("%+v", one)
		}
	}
}

func TestRepository(t *testing.T) {
	g := acme(1)
	x := g.Repos[2]
	for i := range 130 {
		x.Variables = append(x.Variables, forgetest.Variable{Name: fmt.Sprint("V", i), Value: fmt.Sprint(i)})
		x.Secrets = append(x.Secrets, forgetest.Secret{Name: fmt.Sprint("S", i)})
		x.Runners = append(x.Runners, forgetest.Runner{Name: fmt.Sprint("R", i)})
	}
	for _, kind := range []string{"", "Forgejo", "older"} {
		g.Forgejo, g.Older = kind == "Forgejo", kind == "older"
		p := provider(t, g, nil)
		r := targets(t, p, "acme/R.000", "")
		if want := []string{"organisation gitea:Acme", "repository gitea:Acme/r.000"}; r.err != nil || !slices.Equal(r.names(), want) {
			t.Fatalf("err %v, targets %q", r.err, r.names())
		}
		lines, gaps, err := items(t, p, r.targets[1])
		if err != nil || len(gaps) > 0 || len(lines) != 390 {
			t.Fatalf("err %v, gaps %q, %d items", err, gaps, len(lines))
		}
		for _, want := range []string{`variable V129 "129" repository`, `secret S129 "" repository`, `runner R129 "" repository`} {
			if !slices.Contains(lines, want) {
				t.Errorf("no item %s", want)
			}
		}
	}
}

func TestUser(t *testing.T) {
	for _, test := range []struct {
		ref  string
		want []string
	}{
		{"JANE", []string{"user gitea:jane", "repository gitea:jane/dotfiles"}},
		{"jane/dotfiles", []string{"user gitea:jane", "repository gitea:jane/dotfiles"}},
		{"john", []string{"repository gitea:john/x"}},
		{"john/x", []string{"repository gitea:john/x"}},
	} {
		p := provider(t, acme(1), nil)
		r := targets(t, p, test.ref, "")
		if r.err != nil || len(r.gaps) > 0 || !slices.Equal(r.names(), test.want) {
			t.Errorf("%s: err %v, gaps %q, targets %q", test.ref, r.err, r.gaps, r.names())
		}
		if r.targets[0].Kind == audit.TargetUser {
			lines, gaps, err := items(t, p, r.targets[0])
			if want := []string{`variable MINE "m" user`}; err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
				t.Errorf("err %v, gaps %q, items %q", err, gaps, lines)
			}
		}
	}
}

// TestSeveralTokens has two: what one of them may not see the other does, and a user's settings are read with that user's.
func TestSeveralTokens(t *testing.T) {
	g := acme(1)
	g.Repos[2].Private = true
	g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	other := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Header.Get("Authorization"), "another") {
			return false
		}
		switch r.URL.Path {
		case "/api/v1/user":
			_, _ = io.WriteString(w, `{"login": "john"}`)
		case "/api/v1/user/actions/variables", "/api/v1/user/actions/runners":
			_, _ = io.WriteString(w, `[]`)
		default:
			return forgetest.Fail(w, http.StatusNotFound, "not found")
		}
		return true
	}
	g.Fault = other
	p := provider(t, g, map[string]string{"GITEA_TOKEN": "another, " + token})
	p.opts.Sources |= audit.SourceHistory
	r := targets(t, p, "jane", "")
	if want := []string{"user gitea:jane", "repository gitea:jane/dotfiles"}; r.err != nil || !slices.Equal(r.names(), want) {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	lines, gaps, err := items(t, p, r.targets[0])
	if want := []string{`variable MINE "m" user`}; err != nil || len(gaps) > 0 || !slices.Equal(lines, want) {
		t.Errorf("err %v, gaps %q, items %q", err, gaps, lines)
	}
	r = targets(t, p, "acme/r.000", "")
	if r.err != nil || len(r.targets) != 2 {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	if _, gaps, err := items(t, p, r.targets[1]); err != nil || len(gaps) > 0 {
		t.Errorf("err %v, gaps %q", err, gaps)
	}
	p = provider(t, g, map[string]string{"GITEA_TOKEN": "another"}) // on another machine
	_, gaps, err = items(t, p, audit.Target{Name: "gitea:jane", Kind: audit.TargetUser, Attrs: map[string]string{"owner": "jane"}})
	if want := []string{"user variables: needs the user's own token", "user runners: needs the user's own token"}; err != nil || !slices.Equal(gaps, want) {
		t.Errorf("err %v, gaps %q", err, gaps)
	}
}

// TestParts has each item of a repository come with one of the parts.
func TestParts(t *testing.T) {
	g := acme(1)
	g.Repos[2].Variables = []forgetest.Variable{{Name: "V", Value: "v"}}
	g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	p := provider(t, g, nil)
	p.opts.Sources |= audit.SourceHistory
	read := func(target audit.Target) (n int, variables bool) {
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Fatal(err)
			}
			if it.Done != nil {
				it.Done()
			}
			if it.Kind == audit.KindState { // of a part: the whole has none
				continue
			}
			n++
			variables = variables || it.Kind == audit.KindVariable
		}
		return n, variables
	}
	p.env.Calls = &audit.Calls{}
	target := targets(t, p, "acme/r.000", "").named("gitea:Acme/r.000")
	if want := []audit.Part{audit.PartSettings, audit.PartContents}; !slices.Equal(target.Parts, want) {
		t.Fatalf("parts %q", target.Parts)
	}
	all, _ := read(target)
	target.Part = audit.PartSettings
	for it, err := range p.Items(t.Context(), target) {
		if err != nil || it.Kind == audit.KindState {
			t.Errorf("a state of settings with values: %q, %v", it.State, err)
		}
	}
	settings, first := read(target)
	target.Part = audit.PartContents
	contents, second := read(target)
	if settings != 1 || !first || second || settings+contents != all {
		t.Errorf("%d items, of which %d are settings and %d contents", all, settings, contents)
	}
}

// TestResume goes on at the cursor of each target: what follows its page comes, and nothing else.
func TestResume(t *testing.T) {
	g := acme(130)
	g.Repos[2+125].Hidden = true
	p := provider(t, g, nil)
	whole := targets(t, p, "acme", "")
	hidden := []string{"repositories the token cannot see: Acme has 130 repositories, 129 were listed"}
	if whole.err != nil || len(whole.targets) != 130 || !slices.Equal(whole.gaps, hidden) {
		t.Fatalf("err %v, %d targets, gaps %q", whole.err, len(whole.targets), whole.gaps)
	}
	for i, target := range whole.targets[1:] {
		next := i/50 + 1 // of pages of 50
		if (target.Cursor == "") != (next == 3) {
			t.Fatalf("%s has the cursor %q", target.Name, target.Cursor)
		}
		if next == 3 {
			continue
		}
		rest := targets(t, p, "acme", target.Cursor)
		if rest.err != nil || !slices.Equal(rest.gaps, hidden) || !slices.Equal(rest.names(), whole.names()[1+50*next:]) {
			t.Fatalf("after %s, at %q: err %v, gaps %q, targets %q", target.Name, target.Cursor, rest.err, rest.gaps, rest.names())
		}
	}
	for _, cursor := range []string{"nonsense", "orgs/1/2", "orgs/x/1/1", "pages/1/1/1", "orgs/-1/1/1"} {
		if r := targets(t, p, "acme", cursor); r.err != nil || len(r.targets) != 130 {
			t.Errorf("%q: err %v, %d targets", cursor, r.err, len(r.targets))
		}
	}
}

// TestDeletedMeanwhile has repositories vanish while the list is read: those that move up onto pages read already are still found.
func TestDeletedMeanwhile(t *testing.T) {
	g := acme(250)
	furthest, gone := "1", 0
	g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if page := r.URL.Query().Get("page"); strings.HasSuffix(r.URL.Path, "/repos") && page > furthest {
			furthest = page
			n := []int{1, 2, 60}[gone] // of those that are listed already
			gone++
			g.Repos = slices.Delete(g.Repos, 2, 2+n)
		}
		return false
	}
	r := targets(t, provider(t, g, nil), "acme", "")
	if names := r.names(); r.err != nil || len(r.gaps) > 0 || len(names) != 251 || gone != 3 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != 251 {
		t.Errorf("err %v, gaps %q, %d targets, deleted %d times", r.err, r.gaps, len(names), gone)
	}
}

// TestDeletedBetween has repositories vanish between two processes.
func TestDeletedBetween(t *testing.T) {
	g := acme(130)
	p := provider(t, g, nil)
	cursor := targets(t, p, "acme", "").targets[1].Cursor
	g.Repos = slices.Delete(g.Repos, 2, 2+3)
	r := targets(t, p, "acme", cursor)
	if names := r.names(); r.err != nil || len(r.gaps) > 0 || len(names) != 127 || !slices.Contains(names, "repository gitea:Acme/r.050") || names[126] != "repository gitea:Acme/r.129" {
		t.Errorf("err %v, gaps %q, %d targets", r.err, r.gaps, len(names))
	}
}

// TestFewVisible has a token that sees nothing of the first pages.
func TestFewVisible(t *testing.T) {
	g := acme(250)
	for _, x := range g.Repos[2:200] {
		x.Hidden = true
	}
	r := targets(t, provider(t, g, nil), "acme", "")
	if want := []string{"repositories the token cannot see: Acme has 250 repositories, 52 were listed"}; r.err != nil || len(r.targets) != 53 || !slices.Equal(r.gaps, want) {
		t.Errorf("err %v, gaps %q, %d targets", r.err, r.gaps, len(r.targets))
	}
}

func TestTrouble(t *testing.T) {
	g := acme(250)
	g.Owners[0].Denied = true
	g.Repos[2+3].Denied, g.Repos[2+4].Gone = true, true
	var limited atomic.Int32
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/repos") && limited.Add(1) == 2:
			w.Header().Set("Retry-After", "1")
			return forgetest.Fail(w, http.StatusTooManyRequests, "Too Many Requests")
		case strings.HasSuffix(r.URL.Path, "/r.005/actions/runners"):
			return forgetest.Fail(w, http.StatusBadGateway, "502")
		case strings.HasSuffix(r.URL.Path, "/r.006/actions/runners"):
			return forgetest.Fail(w, http.StatusNotFound, "not found") // as an older version has it
		case strings.HasSuffix(r.URL.Path, "/repos") && r.URL.Query().Get("page") == "4":
			return forgetest.Fail(w, http.StatusInternalServerError, "")
		}
		return false
	}
	p := provider(t, g, nil)
	r := targets(t, p, "acme", "")
	if want := []string{"repositories after the first 150: page 4: 500 Internal Server Error"}; r.err != nil || len(r.targets) != 201 || !slices.Equal(r.gaps, want) {
		t.Fatalf("err %v, %d targets, gaps %q", r.err, len(r.targets), r.gaps)
	}
	owner := ": 403 Forbidden: needs an owner of the organisation: Must be an organization owner"
	repo := ": 403 Forbidden: needs an owner of the repository: user should be the owner of the repo"
	for _, test := range []struct {
		target string
		gaps   []string
		err    string
	}{
		{"gitea:Acme", []string{"organisation variables" + owner, "organisation secrets" + owner, "organisation runners" + owner}, ""},
		{"gitea:Acme/r.003", []string{"repository variables" + repo, "repository secrets" + repo, "repository runners" + repo}, ""},
		{"gitea:Acme/r.004", nil, "the repository is gone"},
		{"gitea:Acme/r.005", []string{"repository runners: 502 Bad Gateway: 502"}, ""},
		{"gitea:Acme/r.006", []string{"repository runners: 404 Not Found: no right to read it, or not offered here (version 1.26.0)"}, ""},
		{"gitea:Acme/r.007", nil, ""},
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
		scopes    []string
		want      error
		said      string // in the error or its hint
	}{
		{"bad token", "acme", map[string]string{"GITEA_TOKEN": "another"}, nil, audit.ErrAuth, "check GITEA_TOKEN"},
		{"blank token", "acme", map[string]string{"GITEA_TOKEN": " " + token + "\n"}, nil, nil, ""},
		{"split token", "acme", map[string]string{"GITEA_TOKEN": "half\x00half"}, nil, audit.ErrUsage, "one token"},
		{"no organisations", "acme", nil, []string{"repository"}, audit.ErrAuth, "needs a token with scope read:organization"},
		{"no users", "jane", nil, []string{"repository", "organization"}, audit.ErrAuth, "needs a token with scope read:user"},
		{"no repositories", "acme/r.000", nil, []string{"organization"}, audit.ErrAuth, "needs a token with scope read:repository"},
		{"nobody", "none/such", nil, nil, audit.ErrAuth, "check the name"},
		{"nobody at all", "none", nil, nil, audit.ErrAuth, "check the name"},
		{"no token, private", "acme/r.001", map[string]string{"GITEA_TOKEN": ""}, nil, audit.ErrAuth, "set GITEA_TOKEN"},
		{"no token, public", "acme/r.000", map[string]string{"GITEA_TOKEN": ""}, nil, nil, ""},
		{"empty user", "nobody", nil, nil, audit.ErrNothing, ""},
		{"empty organisation", "empty", nil, nil, nil, ""},
		{"bad ref", "acme/../etc", nil, nil, audit.ErrUsage, ""},
		{"bad name", "acme/..", nil, nil, audit.ErrUsage, ""},
		{"no ref", "", nil, nil, audit.ErrUsage, ""},
		{"bad address", "acme", map[string]string{"GITEA_URL": "gitea.example.com"}, nil, audit.ErrUsage, ""},
	} {
		g := acme(2)
		g.Scopes = test.scopes
		r := targets(t, provider(t, g, test.vars), test.ref, "")
		if test.want == nil && r.err != nil || !errors.Is(r.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, r.err, test.want)
		}
		if said := fmt.Sprint(r.err, audit.HintOf(r.err)); !strings.Contains(said, test.said) {
			t.Errorf("%s: said %q, want %q", test.name, said, test.said)
		}
	}
}

// TestScopes has a token that may read repositories and not what their owner hands down to them.
func TestScopes(t *testing.T) {
	g := acme(1)
	g.Scopes = []string{"repository"}
	r := targets(t, provider(t, g, nil), "acme/r.000", "")
	want := "variables, secrets and runners that the repository's owner hands down: 403 Forbidden: needs a token with scope read:organization"
	if r.err != nil || len(r.targets) != 1 || !slices.Equal(r.gaps, []string{want}) {
		t.Errorf("err %v, targets %q, gaps %q", r.err, r.names(), r.gaps)
	}
	g.Scopes = []string{"repository", "organization"}
	r = targets(t, provider(t, g, nil), "jane/dotfiles", "")
	want = "variables and runners of the user, if the token is theirs: 403 Forbidden: needs a token with scope read:user"
	if r.err != nil || len(r.targets) != 1 || !slices.Equal(r.gaps, []string{want}) {
		t.Errorf("err %v, targets %q, gaps %q", r.err, r.names(), r.gaps)
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
	answer := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
	for _, test := range []struct {
		name, want string
		answer     func(w http.ResponseWriter, r *http.Request)
	}{
		{"html", "answered HTML, not the API: check GITEA_URL", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "\n<!DOCTYPE html>")
		}},
		{"redirect elsewhere", "redirects to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief+"/user/login", http.StatusFound)
		}},
		{"another form", "is not what Gitea describes", func(w http.ResponseWriter, _ *http.Request) { answer(w, `[[[`) }},
		{"endless empty pages", "does not end", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/repos") {
				w.Header().Set("Link", "<"+thief+"/x?page=9"+r.URL.Query().Get("page")+`>; rel="next"`)
				answer(w, `[]`)
				return
			}
			answer(w, `{}`)
		}},
		{"endless pages", "repeats itself", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/repos") {
				w.Header().Set("Link", "<"+thief+"/x?page=9"+r.URL.Query().Get("page")+`>; rel="next"`)
				answer(w, `[null, {"id": 1, "full_name": "a/../b", "size": 9223372036854775807, "clone_url": "`+thief+`/a.git"}]`)
				return
			}
			answer(w, `{"name": "\u0000"}`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := targets(t, provider(t, http.HandlerFunc(test.answer), nil), "acme", "")
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
	for _, test := range []struct{ address, clone, api, wantClone string }{
		{"", "", "https://gitea.com/api/v1", "https://gitea.com/a/b.git"},
		{"https://git.example.com/gitea/", "https://git.example.com/gitea/a/b.git", "https://git.example.com/gitea/api/v1", "https://git.example.com/gitea/a/b.git"},
		{"https://git.example.com/api/v1", "https://other.example.com/a/b.git", "https://git.example.com/api/v1", "https://git.example.com/a/b.git"},
		{"http://127.0.0.1:80", "http://127.0.0.1/x/a/b.git", "http://127.0.0.1:80/api/v1", "http://127.0.0.1/x/a/b.git"},
	} {
		p := provider(t, http.NotFoundHandler(), map[string]string{"GITEA_URL": test.address})
		c, err := p.connect()
		if err != nil {
			t.Fatal(err)
		}
		target, err := c.target(&repository{FullName: "a/b", CloneURL: test.clone})
		if err != nil || c.api.String() != test.api || target.Attrs["clone_url"] != test.wantClone {
			t.Errorf("%+v: API %s, clone %s, %v", test, c.api, target.Attrs["clone_url"], err)
		}
	}
}

func TestHistory(t *testing.T) {
	dir := forgetest.Repository(t, forgetest.Commit{"deploy/env": "the first content\n"}, forgetest.Commit{"deploy/env": "the second content\n"})
	g := acme(2)
	x := g.Repos[3]
	x.Dir, x.CloneURL = dir, "http://127.0.0.1:1/elsewhere.git"
	p := provider(t, g, nil)
	p.opts = Options{Sources: audit.SourceHistory, sleep: p.opts.sleep}
	r := targets(t, p, x.FullName, "")
	if r.err != nil || len(r.targets) != 1 {
		t.Fatalf("err %v, targets %q", r.err, r.names())
	}
	var contents, urls strings.Builder
	target := r.targets[0]
	for it, err := range p.Items(t.Context(), target) {
		if err != nil {
			t.Fatal(err)
		}
		contents.Write(it.Content)
		urls.WriteString(it.At.URL + "\n")
		if it.Done != nil {
			it.Done()
		}
	}
	if !strings.Contains(contents.String(), "the first content") || !strings.Contains(urls.String(), target.URL+"/src/commit/") || !strings.Contains(urls.String(), target.URL+"/commit/") {
		t.Errorf("contents %q, addresses %s", contents.String(), urls.String())
	}
	x.Dir = "" // nothing was pushed yet
	for it, err := range p.Items(t.Context(), target) {
		if err != nil || it.Kind != audit.KindChoice && it.Kind != audit.KindState {
			t.Errorf("an empty repository: %+v, %v", it, err)
		}
	}
	x.Gone = true
	if _, gaps, err := items(t, p, target); err != nil || len(gaps) != 1 || !strings.HasPrefix(gaps[0], "git history: ") {
		t.Errorf("a deleted repository: gaps %q, %v", gaps, err)
	}
}

// Neither Gitea nor Forgejo goes by a lock file of GitHub's.
func TestNoLocks(t *testing.T) {
	g := acme(1)
	g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{
		".github/workflows/ci.yml":       "on: push\njobs: {a: {runs-on: x, steps: [{uses: others/build@v1}]}}\n",
		".github/workflows/actions.lock": "workflows: {.github/workflows/ci.yml: ['others/build@v1']}\ndependencies: {'others/build@v1': {ref: v1, commit: sha1-0123456789abcdef0123456789abcdef01234567}}\n",
	})
	p := provider(t, g, nil)
	p.opts.Sources = audit.SourceWorkflows | audit.SourceHistory
	jobs := 0
	for _, target := range targets(t, p, "acme/R.000", "").targets {
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				continue
			}
			if it.Lock != nil {
				t.Errorf("%s %s has a lock file", it.Kind, it.At.Path)
			}
			if it.Kind == audit.KindJob {
				jobs++
				if beside := it.Entry.Facts["beside"]; !strings.Contains(beside, "\tname\t") {
					t.Errorf("beside %q", beside)
				}
			}
			if it.Done != nil {
				it.Done()
			}
		}
	}
	if jobs != 1 {
		t.Errorf("%d jobs", jobs)
	}
	for _, r := range g.Requests() {
		if strings.Contains(r.Path, "actions.lock") {
			t.Errorf("asked for %s", r.Path)
		}
	}
}
