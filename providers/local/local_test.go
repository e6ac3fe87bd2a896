package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

func TestConformance(t *testing.T) {
	r := gittest.New(t)
	r.Write("d/f", "x")
	r.Commit("m")
	r.Write("d/new", "y")
	audittest.Provider(t, newProvider(Options{}), r.Dir)
	audittest.Provider(t, newProvider(Options{}), filepath.Join(r.Dir, "d"))
	audittest.Provider(t, newProvider(Options{}), "dir:"+r.Dir)
	audittest.Provider(t, newProvider(Options{Since: "HEAD~"}), r.Dir)
	audittest.Provider(t, newProvider(Options{NoHistory: true}), r.Dir)
}

// paths lists where files, and places without a commit, are said to lie; a place in history is left out.
func paths(items []listed) []string {
	var out []string
	for _, it := range items {
		if it.At.Path != "" && it.At.Commit == "" && !strings.HasPrefix(it.At.Path, ".git/") {
			out = append(out, it.At.Path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestFilesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	r := &gittest.Repo{TB: t, Dir: dir}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("OUTSIDE"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Write("a", "1")
	r.Write(".env", "2")
	r.Write("b/c/d", "3")
	r.Write("b/caf\xe9\n\x1b", "4")
	r.Write(strings.Repeat("deep/", 60)+strings.Repeat("n", 200), "5")
	r.Symlink(outside, "out")
	r.Symlink(filepath.Dir(outside), "outdir")
	r.Symlink("b", "in")
	r.Symlink("loop", "loop")
	r.Symlink("/etc/token-in-a-target", "gone")
	if l, err := net.Listen("unix", filepath.Join(dir, "s")); err == nil {
		defer func() { _ = l.Close() }()
	}
	items, gaps := list(t, Options{}, dir)
	if len(gaps) > 0 {
		t.Errorf("gaps: %v", gaps)
	}
	want := []string{".env", "a", "b/c/d", "b/caf\\xe9\n\x1b", strings.Repeat("deep/", 60) + strings.Repeat("n", 200), "gone", "in", "loop", "out", "outdir"}
	if got := paths(items); !slices.Equal(got, want) {
		t.Errorf("listed %q\nwant   %q", got, want)
	}
	if holds(items, "OUTSIDE") {
		t.Error("a link was followed")
	}
	for _, text := range []string{"/etc/token-in-a-target", "b/caf\xe9"} {
		if !holds(items, text) {
			t.Errorf("%q is not listed", text)
		}
	}
	items, _ = list(t, Options{}, filepath.Join(dir, "a"))
	if got := paths(items); !slices.Equal(got, []string{"a"}) || !holds(items, "1") {
		t.Errorf("of a single file %q is listed", got)
	}
	if items, _ = list(t, Options{}, filepath.Join(dir, "out")); !holds(items, "OUTSIDE") {
		t.Error("a link that the user names is not followed")
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	r := &gittest.Repo{TB: t, Dir: dir}
	r.Write("a", "1")
	r.Write("closed/f", "2")
	r.Write("f", "3")
	for _, name := range []string{"closed", "f"} {
		file := filepath.Join(dir, name)
		if err := os.Chmod(file, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(file, 0o755) })
	}
	if _, err := os.ReadDir(filepath.Join(dir, "closed")); err == nil {
		if os.Getenv("CI") == "true" && os.Getuid() != 0 {
			t.Fatal("permissions are not enforced")
		}
		t.Skip("permissions are not enforced: run as another user than root")
	}
	items, gaps := list(t, Options{}, dir)
	if !holds(items, "1") || !saysGap(gaps, "closed: permission denied") || !saysGap(gaps, "f: permission denied") {
		t.Errorf("gaps %v", gaps)
	}
}

func TestWorkingTree(t *testing.T) {
	r := gittest.New(t)
	r.Write(".gitignore", "*.log\nbuild/\n")
	r.Write("clean", "CLEAN")
	r.Write("sub/clean", "CLEAN2")
	r.Commit("m")
	r.Write("x.log", "IGNORED")
	r.Write("build/y", "IGNORED2")
	r.Write("new", "NEW")
	r.Write("sub/new", "NEW2")
	tests := []struct {
		name string
		opts Options
		ref  string
		want []string
		not  []string
		left int // files and directories that .gitignore names
	}{
		{"history", Options{}, r.Dir, []string{"new", "sub/new"}, []string{"IGNORED"}, 2},
		{"no history", Options{NoHistory: true}, r.Dir, []string{".gitignore", "README", "clean", "new", "sub/clean", "sub/new"}, []string{"IGNORED"}, 2},
		{"no ignores", Options{NoIgnores: true}, r.Dir, []string{"build/y", "new", "sub/new", "x.log"}, nil, 0},
		{"files only", Options{}, "dir:" + r.Dir, []string{".gitignore", "README", "build/y", "clean", "new", "sub/clean", "sub/new", "x.log"}, nil, 0},
		{"part", Options{}, filepath.Join(r.Dir, "sub"), []string{"sub/new"}, []string{"CLEAN\n", "NEW\n", "hello"}, 0},
		{"part without history", Options{NoHistory: true}, filepath.Join(r.Dir, "sub"), []string{"sub/clean", "sub/new"}, nil, 0},
		{"ignored part", Options{}, filepath.Join(r.Dir, "build"), []string{"y"}, []string{"CLEAN"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			items, gaps := list(t, tt.opts, tt.ref)
			if got := paths(items); !slices.Equal(got, tt.want) || len(gaps) > 0 {
				t.Errorf("listed %q, want %q; gaps %v", got, tt.want, gaps)
			}
			for _, text := range tt.not {
				if holds(items, text) {
					t.Errorf("%q is listed", text)
				}
			}
			left := 0
			for _, it := range items {
				if it.Silencer != nil {
					left += it.Silencer.Count
				}
			}
			if left != tt.left {
				t.Errorf("%d left out, want %d", left, tt.left)
			}
		})
	}
}

func TestSince(t *testing.T) {
	r := gittest.New(t)
	r.Write("f", "OLD")
	r.Commit("old message")
	r.Git("branch", "base")
	r.Git("tag", "-a", "-m", "old tag", "v1")
	r.Write("g", "FRESH")
	r.Commit("fresh message")
	r.Git("tag", "-a", "-m", "fresh tag", "v2")
	r.Remove("g")
	r.Commit("gone")
	r.Write("untracked", "UNTRACKED")
	for _, since := range []string{"base", "HEAD~2", "v1", r.Git("rev-parse", "base"), r.Git("rev-parse", "--short", "base"), "v2~1"} {
		items, gaps := list(t, Options{Since: since}, r.Dir)
		for text, want := range map[string]bool{
			"OLD": false, "old message\n": false, "old tag": false, "FRESH": true, "fresh message\n": true, "fresh tag": true, "UNTRACKED": true,
		} {
			items := slices.DeleteFunc(slices.Clone(items), func(it listed) bool { return strings.HasPrefix(it.At.Path, ".git/") })
			if holds(items, text) != want {
				t.Errorf("since %s: %q listed: %v, want %v", since, text, !want, want)
			}
		}
		if len(gaps) > 0 {
			t.Errorf("since %s: gaps %v", since, gaps)
		}
	}
	for since, want := range map[string]bool{"2001-01-01": true, "2001-01-01T00:00:00Z": true, "2999-12-31": false} {
		if items, _ := list(t, Options{Since: since}, r.Dir); holds(items, "FRESH") != want {
			t.Errorf("since %s: listed: %v, want %v", since, !want, want)
		}
	}
	p := newProvider(Options{Since: "--output=/tmp/x"})
	for at, err := range p.Targets(t.Context(), r.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for _, last = range p.Items(t.Context(), at) {
		}
		if !errors.Is(last, audit.ErrUsage) || audit.HintOf(last) == "" {
			t.Errorf("error %v, want a usage error with advice", last)
		}
	}
}

func TestTargets(t *testing.T) {
	r := gittest.New(t)
	sweep := t.TempDir()
	for _, name := range []string{"one", "group/two"} {
		r.Git("clone", "-q", ".", filepath.Join(sweep, name))
	}
	r.Git("clone", "-q", "--bare", ".", filepath.Join(sweep, "three.git"))
	(&gittest.Repo{TB: t, Dir: sweep}).Write("file", "x")
	empty := t.TempDir()
	noCommits := t.TempDir()
	r.At(noCommits).Git("init", "-q")
	ignored := t.TempDir()
	pipe := filepath.Join(t.TempDir(), "s")
	if l, err := net.Listen("unix", pipe); err == nil {
		defer func() { _ = l.Close() }()
	}
	t.Chdir(sweep)
	tests := []struct {
		ref  string
		want []string
		err  error
	}{
		{"-", []string{"-"}, nil},
		{".", []string{".", "group/two", "one", "three.git"}, nil},
		{"", nil, audit.ErrUsage},
		{"./one/", []string{"one"}, nil},
		{"one/.git", []string{"one/.git"}, nil},
		{"group", []string{"group", "group/two"}, nil},
		{"dir:one", []string{"dir:one"}, nil},
		{"three.git", []string{"three.git"}, nil},
		{"none", nil, audit.ErrUsage},
		{"file/none", nil, audit.ErrNothing},
		{empty, nil, audit.ErrNothing},
		{"dir:" + empty, nil, audit.ErrNothing},
		{noCommits, nil, audit.ErrNothing},
		{ignored, nil, audit.ErrNothing},
		{pipe, nil, audit.ErrNothing},
	}
	for _, tt := range tests {
		var names []string
		var last error
		for at, err := range newProvider(Options{}).Targets(t.Context(), tt.ref) {
			if last = err; err == nil {
				names = append(names, at.Name)
			}
		}
		if tt.ref == "group" {
			tt.want = []string{"group/two"} // it holds no file of its own
		}
		if !reflect.DeepEqual(names, tt.want) || !errors.Is(last, tt.err) {
			t.Errorf("%q: targets %q, error %v; want %q, %v", tt.ref, names, last, tt.want, tt.err)
		}
	}
}

func TestSHA256(t *testing.T) {
	r := gittest.New(t, "--object-format=sha256")
	r.Write("f", "FIRST")
	r.Commit("m")
	r.Write("f", "SECOND")
	r.Commit("m")
	r.Write("g", "STAGED")
	r.Git("add", "g")
	r.Git("gc", "-q")
	r.Write("h", "NEW")
	items, gaps := list(t, Options{}, r.Dir)
	for _, token := range []string{"FIRST", "SECOND", "STAGED", "NEW"} {
		n := 0
		for _, it := range items {
			if it.Kind == audit.KindFile && it.content == token {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is listed %d times", token, n)
		}
	}
	if len(gaps) > 0 {
		t.Errorf("gaps: %v", gaps)
	}
}

func TestLargeContent(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 202 MB: run without -short")
	}
	r := gittest.New(t)
	r.Write("big", strings.Repeat("x", 101<<20))
	r.Commit("m")
	items, gaps := list(t, Options{}, r.Dir)
	if len(gaps) != 1 || gaps[0].What != `"big" at `+r.Git("rev-parse", "HEAD") || !strings.Contains(gaps[0].Why, "larger than 100 MiB") {
		t.Errorf("gaps %v", gaps)
	}
	if !holds(items, "hello") {
		t.Error("the rest is not listed")
	}
}

func TestStandardInput(t *testing.T) {
	read := func(in io.Reader) (names []string, total int, all []byte, last error) {
		p := New(audit.Env{Log: slog.New(slog.DiscardHandler), Stdin: in}, Options{})
		for at, err := range p.Targets(t.Context(), "-") {
			if err != nil {
				t.Fatal(err)
			}
			for it, err := range p.Items(t.Context(), at) {
				if last = err; err != nil {
					continue
				}
				names, total = append(names, it.At.Name), total+len(it.Content)
				if len(it.Content) < 1000 {
					all = append(all, it.Content...)
				}
				it.Done()
			}
		}
		return names, total, all, last
	}
	if names, _, all, err := read(strings.NewReader("a secret\n")); string(all) != "a secret\n" || !slices.Equal(names, []string{"stdin"}) || err != nil {
		t.Errorf("%q %q %v", names, all, err)
	}
	if _, _, _, err := read(strings.NewReader("")); !errors.Is(err, audit.ErrNothing) {
		t.Errorf("of nothing: %v", err)
	}
	long := int64(window + window/2)
	names, total, _, err := read(io.LimitReader(zeros{}, long))
	want := []string{"stdin", fmt.Sprintf("stdin from byte %d", window-overlap)}
	if !slices.Equal(names, want) || int64(total) != long+overlap || err != nil {
		t.Errorf("%q, %d bytes, %v; want %q, %d bytes", names, total, err, want, long+overlap)
	}
	if names, _, _, err := read(io.MultiReader(strings.NewReader("x"), broken{})); len(names) != 1 || err != nil && !isGap(err) {
		t.Errorf("%q %v", names, err)
	}
}

func isGap(err error) bool {
	var gap *audit.Gap
	return errors.As(err, &gap)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWithoutGit(t *testing.T) {
	r := gittest.New(t)
	r.Write("f", "CONTENT")
	r.Commit("m")
	r.Remove("f")
	r.Write("g", "NOW")
	r.Commit("m")
	r.Git("gc", "-q")
	t.Setenv("PATH", t.TempDir())
	items, gaps := list(t, Options{}, r.Dir)
	if !holds(items, "CONTENT") || !holds(items, "NOW") || len(gaps) != 1 || !saysGap(gaps, "git is not installed") {
		t.Errorf("gaps %v, want one, of what git would leave out", gaps)
	}
}
