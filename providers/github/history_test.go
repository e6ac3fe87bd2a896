package github

import (
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
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
