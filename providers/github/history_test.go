package github

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestAllRefs: the refs of pull requests are read when they are asked for, and not otherwise.
func TestAllRefs(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "on main")
	source.Commit("m")
	source.Git("update-ref", "refs/pull/1/head", source.Git("commit-tree", "-m", "of a pull request", "HEAD^{tree}"))
	g := acme(1)
	g.Repos[0].Dir = source.Dir + "/.git"
	for _, all := range []bool{false, true} {
		o := everything()
		o.Sources, o.AllRefs = o.Sources|audit.SourceHistory, all
		p := provider(t, g, o)
		r := targets(t, p, "acme/r000")
		if r.err != nil || len(r.targets) != 1 {
			t.Fatalf("err %v, targets %q", r.err, r.names())
		}
		var text strings.Builder
		for it, err := range p.Items(t.Context(), r.targets[0]) {
			if err != nil {
				t.Error(err)
			}
			text.Write(it.Content)
			if it.Done != nil {
				it.Done()
			}
		}
		if got := text.String(); !strings.Contains(got, "on main") || strings.Contains(got, "of a pull request") != all {
			t.Errorf("all refs %v: %q", all, got)
		}
	}
}

// What a push or a deletion put aside is read with all refs, as the repository's activities have it or else its events.
func TestFormerCommits(t *testing.T) {
	source := gittest.New(t)
	source.Write("f", "on main")
	source.Commit("m")
	over := source.Git("commit-tree", "-m", "pushed over", "HEAD^{tree}")
	deleted := source.Git("commit-tree", "-m", "of a branch that was deleted", "HEAD^{tree}")
	g := acme(1)
	g.Repos[0].Dir = source.Dir + "/.git"
	none := strings.Repeat("0", 40)
	g.Repos[0].Activities = []forgetest.Activity{
		{ID: 3, Type: "branch_deletion", Before: deleted, After: none, Ref: "refs/heads/x"}, {ID: 2, Type: "force_push", Before: over, After: source.Git("rev-parse", "HEAD"), Ref: "refs/heads/main"},
		{ID: 1, Type: "branch_creation", Before: none, After: over, Ref: "refs/heads/main"},
	}
	for _, test := range []struct {
		all    bool
		refuse string // the path
		status int
		want   string
		gaps   []string
	}{
		{false, "", 0, "", nil},
		{true, "", 0, "pushed over, of a branch that was deleted", nil},
		{true, "/activity", http.StatusNotFound, "pushed over", nil}, // events tell of pushes alone
		{true, "/activity", http.StatusBadGateway, "", []string{"commits that refs once named: 502 Bad Gateway: no"}},
	} {
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			return test.refuse != "" && strings.HasSuffix(r.URL.Path, test.refuse) && forgetest.Fail(w, test.status, "no")
		}
		r := recorderOf(t, g, Options{Sources: audit.SourceHistory, AllRefs: test.all})
		var text []string
		var gaps []string
		for it, err := range r.provider.Items(t.Context(), r.target) {
			if err != nil {
				gaps = append(gaps, err.Error())
			}
			text = append(text, string(it.Content))
			if it.Done != nil {
				it.Done()
			}
		}
		all := strings.Join(text, "\n")
		for _, words := range []string{"pushed over", "of a branch that was deleted"} {
			if strings.Contains(all, words) != strings.Contains(test.want, words) {
				t.Errorf("%+v: %q", test, all)
			}
		}
		if !slices.Equal(gaps, test.gaps) {
			t.Errorf("%+v: gaps %q", test, gaps)
		}
	}
}
