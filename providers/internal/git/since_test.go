package git

import (
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// history is a repository with branches, merges, tags and commits that only a reflog or nothing reaches.
func history(t *testing.T) *gittest.Repo {
	t.Helper()
	r := gittest.New(t)
	r.GitIn(randomHistory(60), "fast-import", "--quiet", "--force")
	r.Git("tag", "light", "b0~3")
	r.Git("tag", "-a", "-m", "m", "noted", "b1~2")
	r.Git("tag", "-a", "-m", "m", "twice", "noted")
	r.Git("update-ref", "refs/remotes/origin/HEAD", "b2")
	r.Git("update-ref", "refs/heads/logged", "b3")
	r.Git("tag", "blob", r.Object("blob", "tagged"))
	r.Git("commit-tree", "-m", "dangling", "HEAD^{tree}")
	return r
}

func open(t *testing.T, r *gittest.Repo) *Repository {
	t.Helper()
	l, err := Find(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := Open(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repo.Close() })
	return repo
}

// TestResolve finds the commit that git finds.
func TestResolve(t *testing.T) {
	r := history(t)
	repo := open(t, r)
	repo.references()
	s := &scan{Repository: repo, ctx: t.Context(), trees: newTrees(20, maxTrees)}
	dangling := r.Git("commit-tree", "-m", "dangling", "HEAD^{tree}")
	for _, name := range []string{
		"HEAD", "@", "main", "heads/main", "refs/heads/main", "light", "noted", "twice", "tags/noted", "origin", "b0", "b1~1", "b1~7", "b1^", "b1^0",
		"b1~0", "noted~2", "twice^{commit}", "twice^{}", "b2^^~1", "b2~1^{commit}~1", dangling, dangling[:8], strings.ToUpper(dangling[:12]),
		r.Git("rev-parse", "twice")[:10],
		"", "none", "HEAD~9999", "b1^9", "blob", "HEAD^{tree}", "HEAD^{commit", "HEAD~x", "~1", "^", "0", "0000", strings.Repeat("0", 40), "b1..b2", "HEAD@{9}", "b1~99999999999999999999",
	} {
		want := ""
		if out, err := exec.CommandContext(t.Context(), "git", "--git-dir="+repo.GitDir, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}").Output(); err == nil {
			want = strings.TrimSpace(string(out))
		}
		got, err := s.resolve(name)
		if got != want || err != nil && !errors.Is(err, audit.ErrUsage) || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; git says %q", name, got, err, want)
		}
	}
}

// TestSince lists the commits that git rev-list lists.
func TestSince(t *testing.T) {
	r := history(t)
	made, err := strconv.ParseInt(r.Git("show", "-s", "--format=%ct", "b0~2"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, since := range []string{time.Unix(made, 0).UTC().Format(time.RFC3339), "b0", "b1~3", "HEAD", "twice", "2026-01-02T03:05", "2026-01-02T03:05:00", "2100-01-01", "1990-01-01"} {
		var got []string
		tags := 0
		for it, err := range open(t, r).Items(t.Context(), Options{Since: since}) {
			if err != nil {
				t.Fatal(err)
			}
			if it.Kind == audit.KindCommit && it.At.Name == "commit" {
				got = append(got, it.Object)
			}
			if it.Kind == audit.KindCommit && it.At.Name == "tag" {
				tags++
			}
		}
		var want []string
		if date, ok := Date(since); ok {
			for line := range strings.Lines(r.Git("log", "--all", "--format=%H %ct")) {
				id, made, _ := strings.Cut(strings.TrimSpace(line), " ")
				if n, _ := strconv.ParseInt(made, 10, 64); n >= date.Unix() {
					want = append(want, id)
				}
			}
		} else {
			want = strings.Fields(r.Git("rev-list", "--all", "^"+since))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("since %s: %d commits, git lists %d", since, len(got), len(want))
		}
		if want, ok := map[string]int{"2100-01-01": 0, "1990-01-01": 2, "b1~3": 1, "twice": 0}[since]; ok && tags != want {
			t.Errorf("since %s: %d tags, want %d", since, tags, want)
		}
	}
}
