package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// Of what workflows call, the repository's own actions, workflows anywhere and actions of the same owner are read, once each. What cannot be read is a gap; what is
// in no repository, or of other people, is not asked for.
func TestJobs(t *testing.T) {
	step := func(uses string) string { return "      - uses: " + uses + "\n" }
	g := acme(2)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{
		".github/workflows/ci.yml": "on: push\njobs:\n  build:\n    runs-on: x\n    steps:\n" + step("./.github/actions/own") + step("./.github/actions/own") + step("./.github/actions/none") +
			step("acme/r001/shared@main") + step("others/action@v1") + step("./../../../user") + step("acme/../../user@v1") + "      - run: ${{ secrets.A }}\n" +
			"  call:\n    uses: acme/r001/.github/workflows/called.yml@main\n    secrets: { token: '${{ secrets.B }}' }\n  gone:\n    uses: others/gone/.github/workflows/x.yml@v1\n    secrets: inherit\n",
		".github/actions/own/action.yml": "runs:\n  using: composite\n  steps:\n    - uses: others/inner@v2\n",
	})
	g.Repos[1].Dir = forgetest.Repository(t, forgetest.Commit{
		".github/workflows/called.yml": "on: workflow_call\njobs:\n  in:\n    runs-on: x\n    steps: [{run: '${{ secrets.token }}'}]\n", "shared/action.yaml": "runs: {using: composite, steps: [{uses: others/shared@v3}]}\n",
	})
	o := everything()
	o.Sources = audit.SourceWorkflows
	p := provider(t, g, o)
	target := targets(t, p, "acme/r000").targets[0]
	lines, gaps := entries(t, p, target)
	jobs := strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "job ") }), "\n")
	for _, want := range []string{
		"ci.yml: build", "ci.yml: call / in", "ci.yml: gone", "secrets\tA\tA\trun", "secrets\tB\tTOKEN\t", "secrets\t*\t*\t",
		"others/inner@v2\tothers/inner\tv2\tname\t4:13\topaque\t./.github/actions/own", "others/shared@v3\tothers/shared\tv3\tname\t", "cannot be read",
	} {
		if !strings.Contains(jobs, want) {
			t.Errorf("no %s in\n%s", want, jobs)
		}
	}
	if want := []string{"called file others/gone/.github/workflows/x.yml@v1: 404 Not Found: no right to read it, or not offered here"}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %q", gaps)
	}
	var asked []string
	for _, r := range g.Requests() {
		if _, path, ok := strings.Cut(r.Path, "/contents/"); ok {
			asked = append(asked, path)
		} else if strings.HasSuffix(r.Path, "/user") && strings.Contains(r.Path, "repos") {
			t.Errorf("asked for %s", r.Path)
		}
	}
	slices.Sort(asked)
	if want := []string{
		".github/actions/none/action.yaml", ".github/actions/none/action.yml", ".github/actions/own/action.yml", ".github/workflows/called.yml", ".github/workflows/x.yml", "shared/action.yaml", "shared/action.yml",
	}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q", asked)
	}
}

// However many files a repository's workflows call, a hundred are asked for, and that there are more is said.
func TestJobsBounded(t *testing.T) {
	flow := "on: push\njobs:\n"
	for i := range 300 {
		flow += fmt.Sprintf("  j%d: { uses: acme/r001/.github/workflows/%d.yml@v1 }\n", i, i)
	}
	g := acme(1)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": flow})
	n := 0
	g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/contents/") {
			n++
		}
		return false
	}
	o := everything()
	o.Sources = audit.SourceWorkflows
	p := provider(t, g, o)
	_, gaps := entries(t, p, targets(t, p, "acme/r000").targets[0])
	if n != mostCallees || !slices.ContainsFunc(gaps, func(s string) bool { return strings.Contains(s, "after 100 files") }) {
		t.Errorf("%d requests, %d gaps, the last %q", n, len(gaps), gaps[len(gaps)-1])
	}
}

// Workflows go by the lock file beside them, here and where they are called; on a server of one's own they do not, and it is not asked for.
func TestLocks(t *testing.T) {
	const first, second = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
	lock := func(workflow, commit string) string {
		return "workflows: {.github/workflows/" + workflow + ": ['others/build@v1']}\ndependencies: {'others/build@v1': {ref: v1, commit: sha1-" + commit + "}}\n"
	}
	flow := func(on, more string) string {
		return "on: " + on + "\njobs:\n  a:\n    runs-on: x\n    steps: [{uses: others/build@v1}]\n" + more
	}
	for _, c := range []struct {
		name, base string
		rest       bool // GraphQL is refused
		lock       string
		jobs       []string // what the components stand for, of the repository's own workflow and of the called one
		locked     bool     // the workflow is listed with its lock file
		gaps       int
		asked      int // for lock files elsewhere
	}{
		{name: "GraphQL", lock: lock("ci.yml", first), jobs: []string{"locked " + first, "locked " + second}, locked: true, asked: 1},
		{name: "REST", rest: true, lock: lock("ci.yml", first), jobs: []string{"locked " + first, "locked " + second}, locked: true, asked: 1},
		{name: "own server", base: "/api/v3", lock: lock("ci.yml", first), jobs: []string{"name", "name"}},
		{name: "own server by REST", base: "/api/v3", rest: true, lock: lock("ci.yml", first), jobs: []string{"name", "name"}},
		{name: "too large", lock: "#" + strings.Repeat("x", largestDefinition), jobs: []string{"name", "locked " + second}, gaps: 1, asked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := acme(3)
			g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{
				".github/workflows/ci.yml":       flow("push", "  b: { uses: acme/r001/.github/workflows/called.yml@main }\n  c: { uses: acme/r002/.github/workflows/free.yml@main }\n"),
				".github/workflows/actions.lock": c.lock,
			})
			g.Repos[1].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/called.yml": flow("workflow_call", ""), ".github/workflows/actions.lock": lock("called.yml", second)})
			// This one has no action, and so no lock file is looked for.
			g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/free.yml": "on: workflow_call\njobs: {c: {runs-on: x, steps: [{run: make}]}}\n"})
			g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if refuse := c.rest && strings.HasSuffix(r.URL.Path, "/graphql"); refuse {
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				return false
			}
			o := everything()
			o.Sources = audit.SourceWorkflows | audit.SourceHistory
			p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g) + c.base, "GH_TOKEN": token}), o)
			target := targets(t, p, "acme/r000").targets[0]
			var jobs, gaps []string
			places := 0
			for it, err := range p.Items(t.Context(), target) {
				switch gap := (*audit.Gap)(nil); {
				case errors.As(err, &gap):
					gaps = append(gaps, gap.Error())
				case err != nil:
					t.Fatal(err)
				case it.Kind == audit.KindJob:
					cells := strings.Split(it.Entry.Facts["beside"], "\t")
					jobs = append(jobs, cells[min(4, len(cells)-1)])
				case it.At.Path == ".github/workflows/ci.yml":
					places++
					if wanted := c.locked || it.Kind == audit.KindPlace && c.base == ""; (string(it.Lock) == c.lock) != wanted || !wanted && it.Lock != nil {
						t.Errorf("%s with the lock file %.40q", it.Kind, it.Lock)
					}
				case it.Lock != nil && it.At.Path != pipeline.LockPath:
					t.Errorf("%s %s with a lock file", it.Kind, it.At.Path)
				}
			}
			if want := append(c.jobs, ""); !slices.Equal(jobs, want) || places != 2 || len(gaps) != c.gaps {
				t.Errorf("components %q, want %q; %d places, gaps %q", jobs, want, places, gaps)
			}
			asked := 0
			for _, r := range g.Requests() {
				if strings.HasSuffix(r.Path, "/contents/.github/workflows/actions.lock") {
					asked++
				}
			}
			if asked != c.asked {
				t.Errorf("%d lock files were asked for", asked)
			}
		})
	}
}
