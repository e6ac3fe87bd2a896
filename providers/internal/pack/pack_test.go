package pack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// limit is the one of package git.
const limit = 100 << 20

func options(idSize int) Options { return Options{IDSize: idSize, Limit: limit, Lend: 32 << 20} }

// A summary is what a listing gave: of each object, its kind, size and the digest of its content.
type summary map[ID]string

var seed = maphash.MakeSeed()

func line(kind string, content []byte) string {
	return fmt.Sprintf("%s %d %x", kind, len(content), maphash.Bytes(seed, content))
}

// summarize lists a store. No object may come twice or with an error.
func summarize(tb testing.TB, s *Store) summary {
	tb.Helper()
	out := summary{}
	for o := range s.Objects(tb.Context()) {
		if o.Err != nil {
			tb.Errorf("%s: %v", o.ID.Text(s.IDSize), o.Err)
			continue
		}
		if _, ok := out[o.ID]; ok {
			tb.Errorf("%s is given twice", o.ID.Text(s.IDSize))
		}
		if o.Content == nil {
			out[o.ID] = fmt.Sprint(o.Kind, " ", o.Size, " too large")
			continue
		}
		out[o.ID] = line(o.Kind.String(), o.Content)
		o.Done()
	}
	for _, p := range s.Problems() {
		tb.Errorf("%s: %v", p.File, p.Err)
	}
	return out
}

// byGit lists a repository with git.
func byGit(tb testing.TB, dir string, idSize int) summary {
	tb.Helper()
	cmd := exec.Command("git", "-C", dir, "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
	cmd.Env = append(os.Environ(), "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1")
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	out := summary{}
	in := bufio.NewReaderSize(pipe, 1<<20)
	var content []byte
	for {
		head, err := in.ReadString('\n')
		if err == io.EOF {
			break
		}
		var text, kind string
		var size int
		if _, err := fmt.Sscanf(head, "%s %s %d", &text, &kind, &size); err != nil {
			tb.Fatalf("%q: %v", head, err)
		}
		content = slices.Grow(content[:0], size+1)[:size+1]
		if _, err := io.ReadFull(in, content); err != nil {
			tb.Fatal(err)
		}
		id, _ := ParseID(text, idSize)
		out[id] = line(kind, content[:size])
	}
	if err := cmd.Wait(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// same compares two listings.
func same(tb testing.TB, got, want summary, idSize int) {
	tb.Helper()
	for id, w := range want {
		if got[id] != w {
			tb.Errorf("%s is %q, want %q", id.Text(idSize), got[id], w)
		}
	}
	if len(got) != len(want) {
		tb.Errorf("%d objects, want %d", len(got), len(want))
	}
}

// text is n lines, some of which change with version.
func text(seed, version uint64, n int) string {
	fixed, changing := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, version))
	var b strings.Builder
	for i := range n {
		from := fixed
		if changing.IntN(20) == 0 {
			from = changing
		}
		fmt.Fprintf(&b, "line %d: %016x\n", i, from.Uint64())
	}
	return b.String()
}

// repository has all there can be: versions of files that become deltas, big and empty files, tags of all sorts, and a commit of its
// own for the mess.
func repository(tb testing.TB, args ...string) *gittest.Repo {
	r := gittest.New(tb, args...)
	r.Write("empty", "")
	r.Write("big", strings.Repeat(text(1, 1, 1000), 30))
	for v := range uint64(12) {
		r.Write("small", text(2, v, 20))
		r.Write("dir/deep/medium", text(3, v, 700))
		r.Write(fmt.Sprint("other/", v), text(4, v, 100))
		r.Commit(fmt.Sprint("version ", v))
	}
	r.Git("tag", "-a", "-m", "annotated", "v1")
	r.Git("tag", "-a", "-m", "a tag of a tag", "v2", "v1")
	r.Git("tag", "-a", "-m", "a tag of a blob", "v3", r.Git("rev-parse", "HEAD:small"))
	return r
}

func objects(r *gittest.Repo) string { return filepath.Join(r.Dir, ".git/objects") }

func idSizeOf(args []string) int {
	if len(args) > 0 {
		return 32
	}
	return 20
}

// TestLikeGit lists repositories that store their objects in different ways, and reads each object by itself.
func TestLikeGit(t *testing.T) {
	for _, args := range [][]string{nil, {"--object-format=sha256"}} {
		size := idSizeOf(args)
		made := repository(t, args...)
		arrange := map[string]func(r *gittest.Repo){
			"loose":         func(*gittest.Repo) {},
			"offset deltas": func(r *gittest.Repo) { r.Git("repack", "-adfq", "--depth=50", "--window=20") },
			"id deltas": func(r *gittest.Repo) {
				r.Git("-c", "repack.useDeltaBaseOffset=false", "repack", "-adfq", "--depth=50", "--window=20")
			},
			"index version 1": func(r *gittest.Repo) { r.Git("-c", "pack.indexVersion=1", "repack", "-adfq") },
			"packed and loose": func(r *gittest.Repo) {
				r.Git("repack", "-aq") // leaves the loose objects
				r.Write("later", "later")
				r.Commit("later")
			},
			"several packs": func(r *gittest.Repo) {
				r.Git("repack", "-adq")
				for v := range uint64(3) {
					r.Write("small", text(2, 100+v, 20))
					r.Commit("more")
					r.Git("repack", "-dq")
				}
				r.Git("repack", "-aq") // and all of it again
				r.Git("multi-pack-index", "write")
			},
			"uncompressed": func(r *gittest.Repo) { r.Git("-c", "pack.compression=0", "repack", "-adFq") },
		}
		for name, do := range arrange {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				r := made.At(t.TempDir())
				r.TB = t
				if err := os.CopyFS(r.Dir, os.DirFS(made.Dir)); err != nil {
					t.Fatal(err)
				}
				do(r)
				s, err := Open(t.Context(), []string{objects(r)}, options(size))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				want := byGit(t, r.Dir, size)
				same(t, summarize(t, s), want, size)
				for id, w := range want {
					kind, content, err := s.Read(t.Context(), id)
					if got := line(kind.String(), content); err != nil || got != w {
						t.Errorf("%s reads as %q, %v; want %q", id.Text(size), got, err, w)
					}
				}
			})
		}
	}
}

// TestAlternates reads what lies in several object directories once.
func TestAlternates(t *testing.T) {
	r := repository(t)
	r.Git("repack", "-adq")
	other := r.At(filepath.Join(r.TempDir(), "other"))
	r.Git("clone", "-q", "--shared", r.Dir, other.Dir)
	other.Write("own", "own")
	other.Commit("own")
	s, err := Open(t.Context(), []string{objects(other), objects(r), objects(r)}, options(20))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	same(t, summarize(t, s), byGit(t, other.Dir, 20), 20)
}

// TestWithoutIndex makes the ids of a pack's objects.
func TestWithoutIndex(t *testing.T) {
	for _, args := range [][]string{nil, {"--object-format=sha256"}} {
		for _, offsets := range []string{"true", "false"} {
			size := idSizeOf(args)
			r := repository(t, args...)
			r.Git("-c", "repack.useDeltaBaseOffset="+offsets, "repack", "-adfq")
			want := byGit(t, r.Dir, size)
			file := onlyPack(r)
			if err := os.Remove(strings.TrimSuffix(file, ".pack") + ".idx"); err != nil {
				t.Fatal(err)
			}
			all, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for name, open := range map[string]func() (*Store, error){
				"received":    func() (*Store, error) { return received(t, all, options(size)), nil },
				"a directory": func() (*Store, error) { return Open(t.Context(), []string{objects(r)}, options(size)) },
			} {
				s, err := open()
				if err != nil {
					t.Fatal(name, err)
				}
				same(t, summarize(t, s), want, size)
				for id, w := range want {
					kind, content, err := s.Read(t.Context(), id)
					if got := line(kind.String(), content); err != nil || got != w {
						t.Errorf("%s: %s reads as %q, %v; want %q", name, id.Text(size), got, err, w)
					}
				}
				s.Close()
			}
		}
	}
}

func onlyPack(r *gittest.Repo) string {
	r.Helper()
	files, _ := filepath.Glob(filepath.Join(objects(r), "pack/*.pack"))
	if len(files) != 1 {
		r.Fatalf("packs: %v", files)
	}
	return files[0]
}

// TestBreakOff stops early: nothing is left running, and nothing is lent.
func TestBreakOff(t *testing.T) {
	r := repository(t)
	r.Git("repack", "-adq")
	s, err := Open(t.Context(), []string{objects(r)}, options(20))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := runtime.NumGoroutine()
	for o := range s.Objects(t.Context()) {
		if o.Done != nil {
			o.Done()
		}
		break
	}
	for range 1000 { // one that closed its channel may not have been run to its end
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for o := range s.Objects(ctx) {
		if o.Err == nil && o.Done != nil {
			o.Done()
		}
	}
}

func TestIndexWithoutMapping(t *testing.T) {
	r := repository(t)
	r.Git("repack", "-adq")
	want := byGit(t, r.Dir, 20)
	s, err := Open(t.Context(), []string{objects(r)}, options(20))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, p := range s.packs {
		x := p.index.Load()
		mapping := x.b
		x.b, x.mapped = bytes.Clone(mapping), false
		unmap(mapping)
	}
	same(t, summarize(t, s), want, 20)
}

// TestBenchRepository compares the repository that BENCH_REPOSITORY names with what git makes of it.
func TestBenchRepository(t *testing.T) {
	dir := os.Getenv("BENCH_REPOSITORY")
	if dir == "" {
		t.Skip("BENCH_REPOSITORY is not set")
	}
	s, err := Open(t.Context(), []string{filepath.Join(dir, "objects")}, options(20))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	same(t, summarize(t, s), byGit(t, dir, 20), 20)
}

func BenchmarkObjects(b *testing.B) {
	dir := os.Getenv("BENCH_REPOSITORY")
	if dir == "" {
		r := repository(b)
		r.Git("repack", "-adq")
		dir = filepath.Join(r.Dir, ".git")
	}
	for b.Loop() {
		s, err := Open(b.Context(), []string{filepath.Join(dir, "objects")}, options(20))
		if err != nil {
			b.Fatal(err)
		}
		var blobs, all, n int64
		for o := range s.Objects(b.Context()) {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
			if n++; o.Kind == Blob {
				blobs += o.Size
			}
			all += o.Size
			if o.Done != nil {
				o.Done()
			}
		}
		s.Close()
		b.SetBytes(blobs)
		b.ReportMetric(float64(n), "objects")
		b.ReportMetric(float64(all)/1e6, "MB")
	}
}
