package gitea

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// records lists a part of a target: each content in a line with its place, and what the listing says of itself.
func records(t *testing.T, p *Provider, target audit.Target, part audit.Part, past string) (lines, gaps []string, state string) {
	t.Helper()
	target.Part, target.Past = part, past
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
			continue
		case err != nil:
			t.Fatal(err)
		}
		content := it.Content
		if it.Open != nil {
			in, err := it.Open(t.Context())
			if err != nil {
				lines = append(lines, fmt.Sprintf("%s %s: %v", it.At.Path, it.At.Name, err))
				continue
			}
			content, err = io.ReadAll(in)
			if err = errors.Join(err, in.Close()); err != nil {
				t.Error(err)
			}
		}
		switch it.Kind {
		case audit.KindState, audit.KindUnchanged:
			state = it.State
			if it.Kind == audit.KindUnchanged {
				lines = append(lines, "unchanged")
			}
		case audit.KindKept:
			lines = append(lines, "kept")
		case audit.KindArtifact:
			if strings.HasPrefix(string(content), "PK") {
				content = []byte("a zip archive")
			}
			fallthrough
		default:
			at := it.At
			at.Line = 1
			if it.Origin != nil {
				at = it.Origin(at)
			}
			if !strings.HasPrefix(at.URL, target.URL) {
				t.Errorf("%s is elsewhere", at.URL)
			}
			lines = append(lines, fmt.Sprintf("%s, %s, %s: %q", at.Path, at.Name, strings.TrimPrefix(at.URL, target.URL), content))
		}
	}
	return lines, gaps, state
}

// one is a provider and the target of a repository, of which everything is read.
func one(t *testing.T, g *forgetest.Gitea) (*Provider, audit.Target) {
	t.Helper()
	p := provider(t, g, nil)
	p.opts.Sources = audit.AllSources
	r := targets(t, p, "acme/r.000", "")
	if r.err != nil || len(r.targets) != 2 {
		t.Fatal(r.err, r.names())
	}
	return p, r.targets[1]
}

func ran() *forgetest.Gitea {
	g := acme(1)
	g.Repos[2].Runs = []*forgetest.GiteaRun{
		{Jobs: []*forgetest.GiteaJob{
			{Name: "build", Tasks: []int{11}, Log: "hello\n"}, {Name: "skipped"}, {Name: "again", Tasks: []int{12, 14}, Log: "the second time\n"},
		}, Artifacts: []forgetest.GiteaFile{{ID: 1, Name: "dist", Content: "x"}, {ID: 2, Name: "old", Expired: true}}},
		{Jobs: []*forgetest.GiteaJob{{Name: "build", Tasks: []int{13}}}},
	}
	return g
}

func TestRuns(t *testing.T) {
	g := ran()
	p, target := one(t, g)
	lines, gaps, state := records(t, p, target, audit.PartRuns, "")
	if diff := cmp.Diff([]string{
		`runs/1/jobs/1000, run 1, build / Run make, /actions/runs/1/jobs/1000#jobstep-1-1: "hello"`,
		`runs/1/jobs/1002, run 1, again / Run make, /actions/runs/1/jobs/1002#jobstep-1-1: "the second time"`,
		`runs/1/artifacts/dist.zip, run 1, /actions/runs/1: "a zip archive"`,
	}, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"log of run 2, build: 404 Not Found: deleted, or older than the server keeps logs",
		"logs of 1 earlier attempts in run 1: the API has only that of a job's last attempt",
	}, gaps); diff != "" || state != "1 logs,artifacts 14" {
		t.Errorf("state %q, gaps (-want +got):\n%s", state, diff)
	}

	t.Run("nothing new", func(t *testing.T) {
		before := len(g.Requests())
		lines, gaps, again := records(t, p, target, audit.PartRuns, state)
		if !slices.Equal(lines, []string{"unchanged"}) || len(gaps) > 0 || again != state || len(g.Requests()) != before+1 {
			t.Errorf("%q, gaps %q, state %q, %d requests", lines, gaps, again, len(g.Requests())-before)
		}
	})
	t.Run("a rerun, and a run that goes on", func(t *testing.T) {
		x := g.Repos[2]
		x.Runs[1].Jobs[0].Tasks, x.Runs[1].Jobs[0].Log = []int{13, 16}, "the log of a rerun\n"
		x.Runs = append(x.Runs, &forgetest.GiteaRun{Jobs: []*forgetest.GiteaJob{{Name: "long", Tasks: []int{15}, Running: true}}})
		lines, gaps, next := records(t, p, target, audit.PartRuns, state)
		want := []string{"kept", `runs/2/jobs/2000, run 2, build / Run make, /actions/runs/2/jobs/2000#jobstep-1-1: "the log of a rerun"`}
		if !slices.Equal(lines, want) || len(gaps) > 0 || next != state {
			t.Errorf("%q, gaps %q, state %q", lines, gaps, next)
		}
		x.Runs[2].Jobs[0].Running, x.Runs[2].Jobs[0].Log = false, "at last\n"
		lines, gaps, next = records(t, p, target, audit.PartRuns, next)
		if want = append(want, `runs/3/jobs/3000, run 3, long / Run make, /actions/runs/3/jobs/3000#jobstep-1-1: "at last"`); len(gaps) > 0 || next != "1 logs,artifacts 16" || len(lines) != 3 || !slices.Contains(lines, want[2]) {
			t.Errorf("%q, gaps %q, state %q", lines, gaps, next)
		}
	})
	t.Run("other sources", func(t *testing.T) {
		p.opts.Sources = audit.SourceArtifacts
		defer func() { p.opts.Sources = audit.AllSources }()
		lines, gaps, next := records(t, p, target, audit.PartRuns, state)
		if len(lines) != 1 || len(gaps) > 0 || next != "1 artifacts 16" {
			t.Errorf("%q, gaps %q, state %q", lines, gaps, next)
		}
	})
}

// TestRunsTrouble: what may be better the next time leaves no state.
func TestRunsTrouble(t *testing.T) {
	for _, test := range []struct {
		name, fails string // the end of the path
		status      int
		forge       func(*forgetest.Gitea)
		lines       int
		gaps        []string
		state       string
	}{
		{"a log that is gone", "/jobs/1000/logs", http.StatusNotFound, nil, 2, []string{"log of run 2", "log of run 1, build: 404 Not Found", "logs of 1 earlier"}, "1 logs,artifacts 14"},
		{"a log that cannot be had now", "/jobs/1000/logs", http.StatusBadGateway, nil, 2, []string{"log of run 2", "log of run 1, build: 502 Bad Gateway", "logs of 1 earlier"}, ""},
		{"no tasks", "/actions/tasks", http.StatusInternalServerError, nil, 0, []string{"runs: 500"}, ""},
		{"no runs", "/actions/runs", http.StatusInternalServerError, nil, 0, []string{"runs: 500"}, ""},
		{"no jobs", "/runs/1/jobs", http.StatusInternalServerError, nil, 1, []string{"log of run 2", "jobs of run 1: 500", "logs of 3 earlier"}, ""},
		{"no artifacts", "/runs/1/artifacts", http.StatusInternalServerError, nil, 2, []string{"log of run 2", "logs of 1 earlier", "artifacts of run 1: 500"}, ""},
		{"Forgejo", "", 0, func(g *forgetest.Gitea) { g.Forgejo = true }, 0, []string{"logs and artifacts of runs: 404 Not Found: no right to read it, or not offered here (version 12.0.1+gitea-1.22.0)"}, ""},
		{"an old version", "", 0, func(g *forgetest.Gitea) { g.Older = true }, 0, []string{"runs: 404 Not Found: no right to read it, or not offered here (version 1.17.4)"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := ran()
			p, target := one(t, g)
			if test.forge != nil {
				test.forge(g)
			}
			g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				return test.fails != "" && strings.HasSuffix(r.URL.Path, test.fails) && forgetest.Fail(w, test.status, "")
			}
			lines, gaps, state := records(t, p, target, audit.PartRuns, "")
			if len(lines) != test.lines || !slices.EqualFunc(gaps, test.gaps, strings.HasPrefix) || state != test.state {
				t.Errorf("%q, gaps %q, state %q", lines, gaps, state)
			}
		})
	}
	t.Run("without a token", func(t *testing.T) {
		g := ran()
		_, target := one(t, g)
		p := provider(t, g, map[string]string{"GITEA_TOKEN": ""})
		p.opts.Sources = audit.AllSources
		if lines, gaps, state := records(t, p, target, audit.PartRuns, ""); len(lines) > 0 || state != "" || !slices.Equal(gaps, []string{"logs and artifacts of runs: needs a token: GITEA_TOKEN is not set"}) {
			t.Errorf("%q, gaps %q, state %q", lines, gaps, state)
		}
	})
	t.Run("turned off", func(t *testing.T) {
		g := ran()
		g.Repos[2].Off = []string{"has_actions", "has_issues", "has_pull_requests", "has_releases", "has_wiki"}
		p, target := one(t, g)
		before := len(g.Requests())
		for _, part := range []audit.Part{audit.PartRuns, audit.PartTexts} {
			if lines, gaps, _ := records(t, p, target, part, ""); len(lines)+len(gaps) > 0 || len(g.Requests()) > before {
				t.Errorf("%q, gaps %q, %d requests", lines, gaps, len(g.Requests())-before)
			}
		}
	})
}

func wrote() *forgetest.Gitea {
	g := acme(1)
	x := g.Repos[2]
	x.Issues = []forgetest.GiteaIssue{
		{Title: "broken", Body: "why?", Comments: []forgetest.GiteaComment{{Body: "so"}}, Files: []forgetest.GiteaFile{{ID: 5, Name: "log.txt", Content: "attached"}}},
		{
			Title: "mended", Body: "so", Pull: true, Comments: []forgetest.GiteaComment{{Body: "good"}},
			Reviews: []forgetest.GiteaReview{{Body: "nearly", Comments: []string{"not here", "nor here"}}, {Comments: []string{"here"}}, {Body: "well done"}},
		},
	}
	x.Releases = []forgetest.GiteaRelease{{Tag: "v1/x", Title: "one", Body: "new", Files: []forgetest.GiteaFile{{ID: 6, Name: "app.bin", Content: "binary"}}}}
	x.Wiki = []forgetest.GiteaPage{{Title: "Home", Content: "welcome", Commit: "1"}, {Title: "How to / run", Content: "so", Commit: "2"}}
	return g
}

func TestTexts(t *testing.T) {
	g := wrote()
	p, target := one(t, g)
	lines, gaps, state := records(t, p, target, audit.PartTexts, "")
	if diff := cmp.Diff([]string{
		`issues/2, pull request 2, /issues/2: "mended\n\nso"`,
		`pulls/2/reviews/1, review of pull request 2, /pulls/2: "nearly"`,
		`pulls/2/comments/1000, review comment on pull request 2, /pulls/2#issuecomment-1000: "not here"`,
		`pulls/2/comments/1001, review comment on pull request 2, /pulls/2#issuecomment-1001: "nor here"`,
		`pulls/2/comments/1000, review comment on pull request 2, /pulls/2#issuecomment-1000: "here"`,
		`pulls/2/reviews/3, review of pull request 2, /pulls/2: "well done"`,
		`issues/1, issue 1, /issues/1: "broken\n\nwhy?"`,
		`attachments/5/log.txt, issue 1, /issues/1: "attached"`,
		`issues/1/comments/1000, comment on issue 1, /issues/1#issuecomment-1000: "so"`,
		`issues/2/comments/2000, comment on pull request 2, /issues/2#issuecomment-2000: "good"`,
		`releases/1, release v1/x, /releases/tag/v1%2Fx: "one\n\nnew"`,
		`attachments/6/app.bin, release v1/x, /releases/tag/v1%2Fx: "binary"`,
		`wiki/Home.md, wiki page Home, /wiki/Home: "welcome"`,
		`wiki/How-to-%2F-run.md, wiki page How to / run, /wiki/How-to-%2F-run: "so"`,
	}, lines); diff != "" || len(gaps) > 0 {
		t.Errorf("gaps %q (-want +got):\n%s", gaps, diff)
	}
	fields := strings.Fields(state)
	if len(fields) != 5 || fields[1] != "issues,wikis,releases,packages" || fields[3] != "6" {
		t.Fatalf("state %q", state)
	}
	if since, err := time.Parse(time.RFC3339, fields[2]); err != nil || time.Since(since) < slack || time.Since(since) > time.Hour {
		t.Errorf("state %q", state)
	}

	x := g.Repos[2]
	x.Issues[0].Comments = append(x.Issues[0].Comments, forgetest.GiteaComment{Body: "later", Updated: time.Now()})
	x.Wiki[0].Commit, x.Wiki[0].Content = "3", "welcome again"
	before := len(g.Requests())
	lines, gaps, _ = records(t, p, target, audit.PartTexts, state)
	if diff := cmp.Diff([]string{
		"kept", `issues/1/comments/1001, comment on issue 1, /issues/1#issuecomment-1001: "later"`, `releases/1, release v1/x, /releases/tag/v1%2Fx: "one\n\nnew"`,
		`wiki/Home.md, wiki page Home, /wiki/Home: "welcome again"`, `wiki/How-to-%2F-run.md, wiki page How to / run, /wiki/How-to-%2F-run: "so"`,
	}, lines); diff != "" || len(gaps) > 0 || len(g.Requests()) != before+6 {
		t.Errorf("later: gaps %q, %d requests (-want +got):\n%s", gaps, len(g.Requests())-before, diff)
	}
	for _, nonsense := range []string{"x", "2 issues,wikis,releases,packages", "2 issues,wikis,releases,packages then 6 x", "2 issues 2026-01-01T00:00:00Z 6 x"} {
		if lines, _, _ := records(t, p, target, audit.PartTexts, nonsense); len(lines) != 15 {
			t.Errorf("after %q: %q", nonsense, lines)
		}
	}
}

func TestTextsTrouble(t *testing.T) {
	for _, test := range []struct {
		name, fails string
		status      int
		gaps        []string
		state       bool
	}{
		{"issues", "/issues", http.StatusInternalServerError, []string{"issues and pull requests: 500"}, false},
		{"comments", "/issues/comments", http.StatusForbidden, []string{"comments: 403 Forbidden: needs to read issues"}, false},
		{"reviews", "/reviews", http.StatusForbidden, []string{"reviews of pull requests: 403 Forbidden: needs to read pull requests"}, false},
		{"comments in reviews", "/reviews/2/comments", http.StatusInternalServerError, []string{"comments in reviews: 500"}, false},
		{"releases", "/releases", http.StatusNotFound, []string{"releases: 404 Not Found"}, false},
		{"a page of the wiki", "/wiki/page/Home", http.StatusInternalServerError, []string{"wiki page Home: 500"}, false},
		{"no wiki", "/wiki/pages", http.StatusNotFound, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := wrote()
			p, target := one(t, g)
			g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, test.fails) && forgetest.Fail(w, test.status, "")
			}
			if _, gaps, state := records(t, p, target, audit.PartTexts, ""); !slices.EqualFunc(gaps, test.gaps, strings.HasPrefix) || state != "" != test.state {
				t.Errorf("gaps %q, state %q", gaps, state)
			}
		})
	}
	t.Run("no wiki, or no right", func(t *testing.T) {
		g := wrote()
		g.Repos[2].Denied, g.Repos[2].Wiki = true, nil
		p, target := one(t, g)
		if _, gaps, _ := records(t, p, target, audit.PartTexts, ""); !slices.EqualFunc(gaps, []string{"wiki: 404 Not Found"}, strings.HasPrefix) {
			t.Errorf("gaps %q", gaps)
		}
	})
}
