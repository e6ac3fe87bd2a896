package components

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// A world is a server with repositories, as git's own program serves them.
type world struct {
	testing.TB
	dir     string
	origin  *url.URL
	backend http.Handler
	fault   func(http.ResponseWriter, *http.Request) bool // answers in the server's place
	cache   string
	now     time.Time

	advisories func(context.Context, func() error) (map[string][]resolve.Advisory, error) // or nil

	mu    sync.Mutex
	asked []string // METHOD PATH
}

func newWorld(t *testing.T) *world {
	w := &world{TB: t, dir: t.TempDir(), now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	w.backend = gittest.Server(t, w.dir)
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		if w.fault == nil || !w.fault(out, r) {
			w.backend.ServeHTTP(out, r)
		}
	}))
	t.Cleanup(s.Close)
	w.origin, _ = url.Parse(s.URL)
	return w
}

// repo makes an empty repository that the server has.
func (w *world) repo(name string) *gittest.Repo {
	w.Helper()
	dir := filepath.Join(w.dir, name+".git")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	r := &gittest.Repo{TB: w.TB, Dir: dir}
	r.Git("init", "-q", "-b", "main")
	r.Git("config", "uploadpack.allowFilter", "true")
	r.Write("action.yml", "runs: {using: node24, main: index.js}\n")
	return r
}

func (w *world) server() (forge.Server, error) {
	return forge.Server{Origin: w.origin, Username: "x"}, nil
}

// resolver is one that starts anew, but for the cache.
func (w *world) resolver(budget int) *Resolver {
	env := audit.Env{
		HTTP: &http.Client{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Calls: &audit.Calls{}, Now: func() time.Time { return w.now },
		Cache: audit.Cache{Dir: w.cache},
	}
	r, err := New(env, Options{Budget: budget, Servers: map[string]func() (forge.Server, error){"github": w.server}, Advisories: w.advisories})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// using is a target whose one job has some actions.
func using(target string, uses ...string) audit.Holding {
	workflow := "on: push\njobs:\n  build:\n    runs-on: ubuntu-24.04\n    steps:\n"
	for _, u := range uses {
		workflow += "      - uses: " + u + "\n"
	}
	return holding(target, map[string]string{".github/workflows/ci.yml": workflow})
}

// holding is a target with some files, whose jobs are those of one workflow.
func holding(target string, files map[string]string) audit.Holding {
	r := resolve.GitHub(func(p pipeline.Place) ([]byte, bool) {
		text, ok := files[p.Path]
		return []byte(text), ok && p.Repository == ""
	}, []string{".github/workflows/ci.yml"})
	h := audit.Holding{Coverage: audit.Coverage{Target: target}}
	for it, err := range r.Items(target, "repository") {
		if err == nil {
			h.Inventory = append(h.Inventory, *it.Entry)
		}
	}
	return h
}

// resolved is what a resolver learns of targets, by name.
func (w *world) resolved(r *Resolver, holdings ...audit.Holding) (all map[string]resolve.Meaning, gaps []audit.Gap) {
	w.Helper()
	w.asked = nil
	all = map[string]resolve.Meaning{}
	for e, err := range r.Resolve(w.Context(), slices.Values(holdings)) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, *gap)
			continue
		}
		if err != nil {
			w.Fatal(err)
		}
		m := resolve.MeaningFrom(e)
		if _, twice := all[m.String()]; twice {
			w.Errorf("%s was resolved twice", m.String())
		}
		all[m.String()] = m
	}
	return all, gaps
}

func (w *world) noGaps(gaps []audit.Gap) {
	w.Helper()
	for _, g := range gaps {
		w.Errorf("gap: %s: %s", g.Target, g.Error())
	}
}

// A tag, light or annotated, a branch, and a commit each stand for a commit; one that several targets name is asked about once.
func TestCommits(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("acme/build")
	first := repo.Commit("one")
	repo.Git("tag", "v1.0.0")
	second := repo.Commit("two")
	repo.Git("tag", "-a", "-m", "two", "v2.0.0")
	repo.Git("tag", "v2")
	third := repo.Commit("three")
	tag := repo.Git("rev-parse", "v2.0.0")
	all, gaps := w.resolved(w.resolver(0),
		using("github:a/a", "acme/build@v1.0.0", "acme/build@v2.0.0", "Acme/Build@v2", "acme/build@main", "acme/build@"+first, "acme/build@"+tag),
		using("github:a/b", "acme/build@v1.0.0", "ACME/build@v1.0.0", "./local", "docker://alpine:3"))
	w.noGaps(gaps)
	for name, want := range map[string]struct{ is, commit, tags string }{
		"acme/build@v1.0.0": {"tag", first, "v1.0.0"}, "acme/build@v2.0.0": {"tag", second, "v2,v2.0.0"}, "Acme/Build@v2": {"tag", second, "v2,v2.0.0"},
		"acme/build@main": {"branch", third, ""}, "acme/build@" + first: {"commit", first, "v1.0.0"}, "acme/build@" + tag: {"commit", second, "v2,v2.0.0"},
	} {
		got := all[name]
		if got.Is != want.is || got.Commit != want.commit || strings.Join(got.Tags, ",") != want.tags {
			t.Errorf("%s: %+v, want %v", name, got, want)
		}
		delete(all, name)
	}
	if len(all) > 0 {
		t.Errorf("too much: %v", all)
	}
	if n := w.count("/info/refs"); n != 1 {
		t.Errorf("asked %d times: %q", n, w.asked)
	}
}

// count is how many requests had a path with that end.
func (w *world) count(suffix string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if strings.HasSuffix(a, suffix) {
			n++
		}
	}
	return n
}

// What could not be resolved is a gap that says why, and keeps nothing else from being resolved.
func TestGaps(t *testing.T) {
	w := newWorld(t)
	good, both := w.repo("acme/good"), w.repo("acme/both")
	good.Commit("one")
	good.Git("tag", "v1")
	both.Commit("one")
	both.Git("tag", "v1")
	both.Commit("two")
	both.Git("branch", "v1")
	w.fault = func(out http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/acme/broken"):
			http.Error(out, "no", http.StatusBadGateway)
		case strings.HasPrefix(r.URL.Path, "/acme/private"):
			http.Error(out, "no", http.StatusUnauthorized)
		default:
			return false
		}
		return true
	}
	all, gaps := w.resolved(w.resolver(0), using("github:a/a", "acme/good@v1", "acme/good@v9", "acme/both@v1", "acme/gone@v1", "acme/broken@v1", "acme/private@v1", "acme/..@v1"),
		using("gitea:a/b", "https://10.0.0.1/x/y@v1", "acme/good@v1"))
	if len(all) != 1 || all["acme/good@v1"].Commit == "" {
		t.Errorf("%v", all)
	}
	var said []string
	for _, g := range gaps {
		said = append(said, g.Target+": "+g.Error())
	}
	for _, want := range []string{
		"github:a/a: component acme/..@v1: .*no name", "github:a/a: component acme/both@v1: it is the name of a tag and of a branch", "github:a/a: component acme/broken@v1: .*502",
		"github:a/a: component acme/gone@v1: its repository does not exist, or may not be read", "github:a/a: component acme/good@v9: its repository has no branch or tag of this name",
		"github:a/a: component acme/private@v1: its repository does not exist, or may not be read", "gitea:a/b: component acme/good@v1: which server has it is not known", "gitea:a/b: component x/y@v1: .*10.0.0.1",
	} {
		if !slices.ContainsFunc(said, func(line string) bool { return matches(want, line) }) {
			t.Errorf("want %q in\n%s", want, strings.Join(said, "\n"))
		}
	}
	if len(said) != 8 {
		t.Errorf("%d gaps:\n%s", len(said), strings.Join(said, "\n"))
	}
	for _, a := range w.asked {
		if strings.Contains(a, "..") {
			t.Errorf("asked %s", a)
		}
	}
}

func matches(pattern, text string) bool {
	before, after, _ := strings.Cut(pattern, ".*")
	return strings.HasPrefix(text, before) && strings.Contains(text[len(before):], after)
}

// However many components are named, and however bad they are, no more requests are sent than there may be, which the report says.
func TestBudget(t *testing.T) {
	for _, budget := range []int{1, 7, 20} {
		w := newWorld(t)
		var uses []string
		for i := range 100 {
			uses = append(uses, fmt.Sprintf("acme/no%d@v1", i))
		}
		w.repo("acme/yes").Commit("one")
		all, gaps := w.resolved(w.resolver(budget), using("github:a/a", append(uses, "acme/yes@main")...))
		if len(w.asked) > budget || len(w.asked) < budget-1 {
			t.Errorf("%d requests, %d are allowed", len(w.asked), budget)
		}
		last := gaps[len(gaps)-1]
		if !strings.Contains(last.Why, fmt.Sprintf("%d requests were sent, and no more are allowed", budget)) || len(all) > 0 {
			t.Errorf("%v, %v", all, last)
		}
	}
}

// With a cache nothing is asked again for a while, and then what may have changed.
func TestCache(t *testing.T) {
	w := newWorld(t)
	w.cache = t.TempDir()
	repo := w.repo("acme/build")
	repo.Commit("one")
	repo.Git("tag", "v1")
	h := using("github:a/a", "acme/build@v1")
	before, gaps := w.resolved(w.resolver(0), h)
	w.noGaps(gaps)
	again, gaps := w.resolved(w.resolver(0), h)
	w.noGaps(gaps)
	if len(w.asked) > 0 || again["acme/build@v1"].Commit != before["acme/build@v1"].Commit {
		t.Errorf("asked %q; %v", w.asked, again)
	}
	w.now = w.now.Add(-time.Minute)
	if w.resolved(w.resolver(0), h); len(w.asked) == 0 {
		t.Error("a listing of the future counts")
	}
	w.now = w.now.Add(time.Minute)
	moved := repo.Commit("two")
	repo.Git("tag", "-f", "v1")
	w.now = w.now.Add(freshness)
	after, gaps := w.resolved(w.resolver(0), h)
	w.noGaps(gaps)
	if after["acme/build@v1"].Commit != moved {
		t.Errorf("%v, want %s", after, moved)
	}
	files, err := filepath.Glob(w.cache + "/components/*")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte(`{"Refs": 1`), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, gaps = w.resolved(w.resolver(0), h); after["acme/build@v1"].Commit != moved {
		t.Errorf("a damaged cache: %v, %v", after, gaps)
	}
	old := w.now.Add(-unused - time.Hour)
	if err := os.Chtimes(files[0], old, old); err != nil {
		t.Fatal(err)
	}
	w.resolver(0)
	if left, err := filepath.Glob(w.cache + "/components/*"); err != nil || len(left) > 0 {
		t.Errorf("what was not used for long: %q, %v", left, err)
	}
}

// A credential is tried where there is one, and what it may not see is asked for without it.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("acme/build")
	repo.Commit("one")
	var sent []string
	w.fault = func(out http.ResponseWriter, r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		sent = append(sent, password)
		if password == "refused" {
			http.Error(out, "no", http.StatusForbidden)
		}
		return password == "refused"
	}
	r := w.resolver(0)
	r.opts.Servers["github"] = func() (forge.Server, error) {
		s, err := w.server()
		s.Credentials = func(_ context.Context, owner string) []*forge.Credential {
			if owner != "acme" {
				t.Errorf("asked about %q", owner)
			}
			return []*forge.Credential{{Token: forge.Static("refused")}}
		}
		return s, err
	}
	all, gaps := w.resolved(r, using("github:a/a", "acme/build@main"))
	w.noGaps(gaps)
	if len(all) != 1 || sent[0] != "refused" || sent[len(sent)-1] != "" {
		t.Errorf("%v, with %q", all, sent)
	}
}

// deaf takes out of a request what the client says that it has.
func deaf(w *world, r *http.Request) {
	w.Helper()
	if r.Method != http.MethodPost {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.Error(err)
	}
	body = haves.ReplaceAll(body, nil)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

var haves = regexp.MustCompile(`0032have [0-9a-f]{40}\n`)

// Advisories are listed once in a run, and again when an hour has passed. Each component has those of its repository, but for those that there is a record of; which hold
// for a commit of no version cannot be told.
func TestAdvisories(t *testing.T) {
	w := newWorld(t)
	w.cache = t.TempDir()
	repo, changed := w.repo("acme/build"), w.repo("tj-actions/changed-files")
	repo.Write("sub/action.yml", "runs: {using: node24}\n")
	repo.Commit("one")
	repo.Git("tag", "v1.2.3")
	main := repo.Commit("two")
	changed.Commit("one")
	changed.Git("tag", "v45")
	listed := 0
	w.advisories = func(_ context.Context, ask func() error) (map[string][]resolve.Advisory, error) {
		listed++
		return map[string][]resolve.Advisory{
			"acme/build": {{ID: "GHSA-1", Range: "< 2"}}, "acme/build/sub": {{ID: "GHSA-2", Range: "< 1"}}, "tj-actions/changed-files": {{ID: "GHSA-mrrh-fwg8-r2c3", Range: "<= 45.0.7"}},
		}, ask()
	}
	h := using("github:a/a", "acme/build@v1.2.3", "acme/build/sub@v1.2.3", "acme/build@"+main, "tj-actions/changed-files@v45")
	for range 2 {
		all, gaps := w.resolved(w.resolver(0), h)
		for name, want := range map[string]string{"acme/build@v1.2.3": "GHSA-1", "acme/build/sub@v1.2.3": "GHSA-1 GHSA-2", "acme/build@" + main: "GHSA-1", "tj-actions/changed-files@v45": ""} {
			var got []string
			for _, a := range all[name].Advisories {
				got = append(got, a.ID)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if len(gaps) != 1 || gaps[0].What != "component acme/build@"+main || !strings.Contains(gaps[0].Why, "no tag of its commit tells which version it is, and there are advisories of some: GHSA-1") {
			t.Errorf("gaps: %v", gaps)
		}
	}
	w.now = w.now.Add(listingFreshness)
	w.advisories = func(context.Context, func() error) (map[string][]resolve.Advisory, error) {
		listed++
		return nil, &forge.Error{Status: http.StatusForbidden, Message: "no"}
	}
	_, gaps := w.resolved(w.resolver(0), h)
	if listed != 2 || len(gaps) != 1 || gaps[0].What != "advisories of actions" || !strings.Contains(gaps[0].Why, "403 Forbidden: no") {
		t.Errorf("listed %d times, gaps %v", listed, gaps)
	}
}

// A component of GitLab is one of the instance, or of the host that is named, and its files are none that are asked for. An address of a server that we have credentials for is
// asked like that.
func TestSources(t *testing.T) {
	w := newWorld(t)
	w.repo("acme/tools/ci").Commit("one")
	at := w.repo("acme/build").Commit("one")
	r := w.resolver(0)
	r.opts.Servers["gitlab"] = w.server
	r.servers["https://forge.example.com"] = forge.Server{Origin: w.origin}
	j := resolve.Job{Workflow: ".gitlab-ci.yml", ID: "all"}
	for _, c := range []pipeline.Component{
		pipeline.Included("component", "$CI_SERVER_FQDN/acme/tools/ci/lint@main", "", ""), pipeline.Included("file", "/x.yml", "acme/tools/ci", "main"),
		pipeline.Included("component", "internal.example.com/acme/ci/lint@main", "", ""), pipeline.Included("component", "$CI_SERVER_FQDN/acme/tools/ci/lint@~latest", "", ""),
	} {
		j.Includes = append(j.Includes, resolve.Component{Component: c})
	}
	h := audit.Holding{Coverage: audit.Coverage{Target: "gitlab:a/a"}}
	for it, err := range (&resolve.Result{Jobs: []resolve.Job{j}}).Items("gitlab:a/a", "project") {
		if err != nil {
			t.Fatal(err)
		}
		h.Inventory = append(h.Inventory, *it.Entry)
	}
	flow := w.repo("acme/flow")
	flow.Write(".gitea/workflows/x.yml", "on: workflow_call\n")
	flow.Commit("one")
	r.opts.Servers[GiteasOwn] = w.server // which server has actions of Gitea is not known
	all, gaps := w.resolved(r, h, using("gitea:a/b", "https://forge.example.com/acme/build@main"),
		holding("gitea:a/c", map[string]string{".github/workflows/ci.yml": "on: push\njobs: {a: {uses: acme/flow/.gitea/workflows/x.yml@main}}\n"}))
	if all["acme/flow/.gitea/workflows/x.yml@main"].Commit == "" {
		t.Errorf("a reusable workflow of Gitea's own: %v", gaps)
	}
	if len(all) != 4 || all["acme/tools/ci/lint@main"].Commit == "" || all["acme/tools/ci/x.yml@main"].Commit == "" || all["acme/build@main"].Commit != at || all["acme/build@main"].Opaque {
		t.Errorf("%+v", all)
	}
	if len(gaps) != 2 || !strings.Contains(gaps[0].Why, `"https://internal.example.com" is no server`) || !strings.Contains(gaps[1].Why, "no branch or tag of this name") {
		t.Errorf("%v", gaps)
	}
}
