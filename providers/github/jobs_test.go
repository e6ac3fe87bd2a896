package github

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
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
