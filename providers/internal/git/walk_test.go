package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestWalkAgainstGit compares what each commit of a history puts somewhere with what git diff-tree says: of a history made at
// random, and of the repository that BENCH_REPOSITORY names.
func TestWalkAgainstGit(t *testing.T) {
	r := gittest.New(t)
	r.GitIn(randomHistory(2000), "fast-import", "--quiet", "--force")
	dirs := []string{r.Dir}
	if dir := os.Getenv("BENCH_REPOSITORY"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		l, err := Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		repo, err := Open(t.Context(), l, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = repo.Close() }()
		s := readAllTrees(t, repo)
		got := map[string]bool{}
		err = s.compareAll(func(at place) error {
			prev := strings.Repeat("0", repo.width)
			if at.prev != none {
				prev = s.trees.hex(at.prev)
			}
			got[fmt.Sprint(s.trees.hex(s.commits[at.commit].object), s.trees.hex(at.new), prev, s.trees.pathOf(at.path))] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := gitChanges(t, repo, s)
		t.Logf("%d commits, %d changes", len(s.commits), len(want))
		problems := 0
		for c := range want {
			if !got[c] {
				problems++
				t.Errorf("missing: %q", c)
			}
			delete(got, c)
			if problems > 20 {
				t.FailNow()
			}
		}
		for c := range got {
			if problems++; problems < 20 {
				t.Errorf("git does not say %q", c)
			}
		}
	}
}

// TestLittleRoomForTrees lists a history within a part of the memory that its trees take: what is listed is the same.
func TestLittleRoomForTrees(t *testing.T) {
	r := gittest.New(t)
	r.GitIn(randomHistory(2000), "fast-import", "--quiet", "--force")
	r.Git("symbolic-ref", "HEAD", "refs/heads/b1")
	r.Git("tag", "tree", "b2^{tree}")
	dirs := []string{r.Dir}
	if dir := os.Getenv("BENCH_REPOSITORY"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		l, err := Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		repo, err := Open(t.Context(), l, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = repo.Close() }()
		list := func(limit int, opts Options) (items map[string]int, s *scan) {
			items = map[string]int{}
			var some []string // contents of interest
			s = &scan{
				Repository: repo, ctx: t.Context(), Options: opts, lend: newLender(maxLent), trees: newTrees(repo.width/2, limit),
				problems: map[string]*problem{}, yield: func(it audit.Item, err error) bool {
					if it.Kind != audit.KindPaths { // the order of names follows that of reading
						items[fmt.Sprint(err, it.Kind, it.Object, it.Prev, it.At)]++
					}
					if it.Done != nil {
						it.Done()
					}
					if it.Kind == audit.KindFile && strings.Contains("012", it.Object[:1]) {
						some = append(some, it.Object)
					}
					if it.Choose != nil {
						it.Choose(audit.Choice{Objects: some, Path: func(path string) bool { return strings.HasSuffix(path, "a0") }})
					}
					return true
				},
			}
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			return items, s
		}
		for _, opts := range []Options{{}, {Below: "lib"}} {
			want, all := list(maxTrees, opts)
			little := all.trees.size()
			all.makeRoom()
			little = all.trees.needed + (little-all.trees.needed)/4
			got, some := list(little, opts)
			if some.trees.needed == 0 || some.trees.dropped > 0 {
				t.Errorf("%d bytes needed anyway, %d trees dropped: not what is to be tested", some.trees.needed, some.trees.dropped)
			}
			t.Logf("%d bytes of %d, %d items", little, all.trees.size(), len(want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v: %.2000s", opts, diff)
			}
		}
	}
}

// readAllTrees keeps all trees and commits of a repository.
func readAllTrees(tb testing.TB, r *Repository) *scan {
	tb.Helper()
	s := &scan{Repository: r, ctx: tb.Context(), trees: newTrees(r.width/2, maxTrees)}
	eachTreeAndCommit(tb, r, func(o object, content []byte) {
		if o.kind == "tree" {
			s.trees.add(o.id, content)
		} else {
			s.commits = append(s.commits, s.parseCommit(o.id, content))
		}
	})
	s.trees.byAge(s.commits)
	s.graph = s.trees.graph(s.commits)
	return s
}

func eachTreeAndCommit(tb testing.TB, r *Repository, do func(o object, content []byte)) {
	tb.Helper()
	p, err := r.start(context.Background(), nil, "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
	if err != nil {
		tb.Fatal(err)
	}
	defer p.stop()
	for {
		o, err := readHeader(p.out)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && o.kind != "tree" && o.kind != "commit" {
			err = skipContent(p.out, o.size)
		} else if err == nil {
			content := make([]byte, o.size+1)
			if _, err = io.ReadFull(p.out, content); err == nil {
				do(o, content[:o.size])
			}
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// gitChanges has git compare the commits.
func gitChanges(t *testing.T, r *Repository, s *scan) map[string]bool {
	t.Helper()
	var in strings.Builder
	for _, c := range s.commits {
		in.WriteString(s.trees.hex(c.object) + "\n")
	}
	cmd := exec.Command("git", "--git-dir="+r.GitDir, "diff-tree", "--stdin", "-r", "-c", "--root", "--raw", "-z", "--no-renames", "--no-abbrev", "--always")
	cmd.Env = append(os.Environ(), "GIT_NO_REPLACE_OBJECTS=1")
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	changes, commit := map[string]bool{}, ""
	for fields := bytes.Split(out, []byte{0}); len(fields) > 1; fields = fields[1:] {
		head := string(fields[0])
		if !strings.HasPrefix(head, ":") {
			commit = head
			continue
		}
		path := string(fields[1])
		fields = fields[1:]
		parents := strings.Count(head, ":")
		f := strings.Fields(strings.TrimLeft(head, ":"))
		modes, ids := f[:parents+1], f[parents+1:2*parents+2]
		prev, same := strings.Repeat("0", r.width), false
		for i := range parents {
			if modes[i] == "160000" || modes[i] == "000000" {
				continue
			}
			same = same || ids[i] == ids[parents]
			if strings.Trim(prev, "0") == "" {
				prev = ids[i]
			}
		}
		if m := modes[parents]; m != "160000" && m != "000000" && !same {
			changes[fmt.Sprint(commit, ids[parents], prev, path)] = true
		}
	}
	return changes
}

// randomHistory makes a history for git fast-import with all that a tree can hold and all that can become of it.
func randomHistory(commits int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "blob\nmark :%d\ndata 3\n%03d\n", i+1, i)
	}
	path := func() string {
		parts := []string{"a", "a-b", "a.b", "a0", "b", "lib"}
		p := parts[rnd.IntN(len(parts))]
		for rnd.IntN(3) > 0 && strings.Count(p, "/") < 4 {
			p += "/" + parts[rnd.IntN(len(parts))]
		}
		return p
	}
	for i := range commits {
		fmt.Fprintf(&b, "commit refs/heads/b%d\nmark :%d\ncommitter C <c@example.com> %d +0000\ndata 1\nm\n", rnd.IntN(4), 1000+i, 1767323045+rnd.IntN(500))
		if i > 0 && rnd.IntN(50) > 0 {
			fmt.Fprintf(&b, "from :%d\n", 1000+max(0, i-1-rnd.IntN(4)))
			for range rnd.IntN(8) - 4 {
				fmt.Fprintf(&b, "merge :%d\n", 1000+rnd.IntN(i))
			}
		} else {
			b.WriteString("from 0000000000000000000000000000000000000000\n")
		}
		for range 1 + rnd.IntN(5) {
			mode := []string{"100644", "100644", "100755", "120000"}[rnd.IntN(4)]
			switch rnd.IntN(8) {
			case 0:
				fmt.Fprintf(&b, "D %s\n", path())
			case 1:
				fmt.Fprintf(&b, "M 160000 %040x %s\n", 1+rnd.IntN(5), path())
			default:
				fmt.Fprintf(&b, "M %s :%d %s\n", mode, 1+rnd.IntN(40), path())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
