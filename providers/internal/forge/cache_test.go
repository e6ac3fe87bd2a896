package forge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// A gitServer has repositories, and is asked by us.
type gitServer struct {
	*httptest.Server
	env     audit.Env
	asked   atomic.Int64 // requests
	fetches atomic.Int64 // packs
	bytes   atomic.Int64 // of answers
	refuses string       // requests that contain it, unless it is ""
}

func serveGit(t testing.TB, dir string) *gitServer {
	w := &gitServer{}
	backend := gittest.Server(t, dir)
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		if w.refuses != "" && strings.Contains(string(body), w.refuses) {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		backend.ServeHTTP(&counting{rw, w, false}, r)
	}))
	t.Cleanup(w.Close)
	w.env = audit.Env{HTTP: w.Client(), Getenv: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler), Rules: "a"}
	return w
}

type counting struct {
	http.ResponseWriter
	w      *gitServer
	isPack bool
}

func (c *counting) Write(b []byte) (int, error) {
	if !c.isPack && strings.Contains(string(b), "packfile") {
		c.isPack = true
		c.w.fetches.Add(1)
	}
	c.w.bytes.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// A sweep is what a consumer makes of one listing.
type sweep struct {
	found    []string // findings and gaps, with all that is said of their places
	contents int      // that were listed, and their size
	size     int
	state    string
	isSame   bool
}

var rules = map[string]*regexp.Regexp{"a": regexp.MustCompile(`KEY-\d+`), "b": regexp.MustCompile(`(KEY|WORD)-\d+`)}

// run lists a repository and scans it. With most > 0 it breaks off after so many items; silent does not choose.
func (w *gitServer) run(t testing.TB, c Clone, most int, silent bool) *sweep {
	t.Helper()
	s := &sweep{}
	rule := rules[w.env.Rules]
	hits := map[string][]string{} // by object
	again := []string{}
	c.Blobs, c.Commits = "https://example.com/blob/", "https://example.com/commit/"
	c.Sleep = func(context.Context, time.Duration) error { return nil }
	n := 0
	for it, err := range History(t.Context(), w.env, "target", c) {
		if n++; n == most {
			if it.Done != nil {
				it.Done()
			}
			return nil
		}
		content := string(it.Content)
		if it.Done != nil {
			it.Done()
		}
		found := rule.FindAllString(content, -1)
		switch {
		case err != nil:
			s.found = append(s.found, err.Error())
		case it.Kind == audit.KindState || it.Kind == audit.KindUnchanged:
			s.state, s.isSame = it.State, it.Kind == audit.KindUnchanged
		case it.Kind == audit.KindFile:
			s.contents++
			s.size += len(content)
			if len(found) > 0 {
				hits[it.Object] = found
				again = append(again, it.Object)
			}
		case it.Kind == audit.KindCommit:
			if len(found) > 0 {
				again = append(again, it.Object)
			}
			s.found = append(s.found, w.places(it, found)...)
		case it.Kind == audit.KindPaths:
			s.found = append(s.found, w.places(it, found)...)
		case it.Kind == audit.KindChoice && !silent:
			it.Choose(audit.Choice{Objects: slices.Collect(maps.Keys(hits)), Again: again, Path: func(path string) bool { return strings.HasSuffix(path, ".env") }})
		case it.Kind == audit.KindPlace:
			found = slices.Clone(hits[it.Object])
			if strings.HasSuffix(it.At.Path, ".env") {
				r, err := it.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(r)
				found = append(found, "file "+string(b))
			}
			for i := range found { // what held it before matters only if that was a finding, too
				found[i] += fmt.Sprint(" before: ", hits[it.Prev])
			}
			s.found = append(s.found, w.places(it, found)...)
		}
	}
	slices.Sort(s.found)
	return s
}

func (w *gitServer) places(it audit.Item, found []string) (list []string) {
	for _, f := range found {
		list = append(list, fmt.Sprintf("%s %s %s: %+v", it.Kind, it.Object, f, it.At))
	}
	return list
}

// A scribe changes a repository at random.
type scribe struct {
	*gittest.Repo
	*rand.Rand
	others []string // directories of repositories to merge from
}

func (s *scribe) text() string {
	var b strings.Builder
	for range 1 + s.IntN(20) {
		switch n := s.IntN(1000); {
		case n < 15:
			fmt.Fprintf(&b, "KEY-%d\n", n%4)
		case n < 30:
			fmt.Fprintf(&b, "WORD-%d\n", n%4)
		default:
			fmt.Fprintf(&b, "line %d\n", n)
		}
	}
	return b.String()
}

func (s *scribe) name() string {
	return fmt.Sprintf("d%d/f%d%s", s.IntN(3), s.IntN(4), []string{"", ".env", "-KEY-1"}[s.IntN(3)])
}

func (s *scribe) step() {
	branch := fmt.Sprint("b", s.IntN(3))
	files := strings.Fields(s.Git("ls-files"))
	file := files[s.IntN(len(files))]
	what := []string{"HEAD", "HEAD:" + file, "HEAD^{tree}"}[s.IntN(3)]
	switch s.IntN(14) {
	case 0, 1, 2, 3:
		for range 1 + s.IntN(4) {
			s.Write(s.name(), s.text())
		}
		s.Commit("write " + s.text())
	case 4:
		s.Git("mv", "-f", file, "moved"+fmt.Sprint(s.IntN(100)))
		s.Commit("rename")
	case 5:
		s.Git("branch", "-f", "other"+fmt.Sprint(s.IntN(3)), "HEAD")
	case 6:
		if list := strings.Fields(s.Git("for-each-ref", "--format=%(refname:short)", "refs/heads/other*")); len(list) > 0 {
			s.Git("branch", "-D", list[s.IntN(len(list))])
		}
	case 7: // a force push
		if s.Git("rev-list", "--count", "--first-parent", "HEAD") > "1" {
			s.Git("reset", "-q", "--hard", "HEAD~1")
		}
	case 8:
		s.Git("checkout", "-q", "-B", branch)
	case 9:
		if list := strings.Fields(s.Git("for-each-ref", "--format=%(refname:short)", "refs/heads/")); len(list) > 0 {
			s.Git("merge", "-q", "-s", "ours", "--allow-unrelated-histories", "-m", "merge KEY-5", list[s.IntN(len(list))])
		}
	case 10:
		s.Git("tag", "-f", "-a", "-m", s.text(), fmt.Sprint("v", s.IntN(3)), what)
	case 11:
		s.Git("tag", "-f", fmt.Sprint("light", s.IntN(2)), what)
	case 12:
		if list := strings.Fields(s.Git("tag")); len(list) > 0 {
			s.Git("tag", "-d", list[s.IntN(len(list))])
		}
	case 13:
		if len(s.others) > 0 {
			s.Git("fetch", "-q", s.others[s.IntN(len(s.others))], "HEAD")
			s.Git("merge", "-q", "-s", "ours", "--allow-unrelated-histories", "-m", "from another", "FETCH_HEAD")
			s.Git("read-tree", "-u", "--reset", "FETCH_HEAD")
			s.Commit("take over")
		}
	}
}

// TestCacheIsExact changes repositories at random, some of them forks of others, and holds each listing with the cache against one without.
func TestCacheIsExact(t *testing.T) {
	seeds := 2
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			top := t.TempDir()
			first := gittest.New(t)
			var all []*scribe
			for i := range 3 {
				dir := filepath.Join(top, fmt.Sprint("r", i))
				from := first.Dir
				if i > 0 {
					from = all[0].Dir
				}
				first.Git("clone", "-q", from, dir)
				s := &scribe{Repo: first.At(dir), Rand: random}
				for _, other := range all {
					s.others = append(s.others, other.Dir)
				}
				all = append(all, s)
				for range 20 {
					s.step()
				}
			}
			all[0].others = []string{all[1].Dir}
			w := serveGit(t, top)
			cache := audit.Cache{Dir: filepath.Join(t.TempDir(), "cache"), Size: 1 << 30}
			cached, whole, past := 0, 0, map[string]string{}
			for range 25 {
				s := all[random.IntN(len(all))]
				for range random.IntN(4) {
					s.step()
				}
				w.env.Rules = "a"
				if random.IntN(10) == 0 {
					w.env.Rules = "b"
				}
				c := Clone{Address: w.URL + "/" + filepath.Base(s.Dir) + "/.git", AllRefs: random.IntN(5) == 0}
				w.env.Cache = audit.Cache{}
				want := w.run(t, c, 0, false)
				whole += want.contents
				w.env.Cache = cache
				switch random.IntN(6) {
				case 0:
					w.run(t, c, 1+random.IntN(40), false)
				case 1:
					w.run(t, c, 0, true)
				}
				got := w.run(t, c, 0, false)
				cached += got.contents
				if !slices.Equal(got.found, want.found) {
					t.Fatalf("%s\nextra %s\nmissing %s", c.Address, strings.Join(without(got.found, want.found), "\n"), strings.Join(without(want.found, got.found), "\n"))
				}
				if got.state != want.state || got.state == "" {
					t.Errorf("state %q, want %q", got.state, want.state)
				}
				key := c.Address + " " + fmt.Sprint(c.AllRefs)
				c.Past = past[key]
				if again := w.run(t, c, 0, false); again.isSame != (c.Past == got.state) {
					t.Errorf("unchanged: %v, past %q, state %q", again.isSame, c.Past, got.state)
				}
				past[key] = got.state
			}
			if 4*cached > 3*whole {
				t.Errorf("%d contents listed, %d without cache", cached, whole)
			}
		})
	}
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

// same holds a listing with the cache against one without.
func (w *gitServer) same(t *testing.T, c Clone) *sweep {
	t.Helper()
	cache := w.env.Cache
	w.env.Cache = audit.Cache{}
	want := w.run(t, c, 0, false)
	w.env.Cache = cache
	got := w.run(t, c, 0, false)
	if !slices.Equal(got.found, want.found) {
		t.Errorf("%s\nextra %s\nmissing %s", c.Address, strings.Join(without(got.found, want.found), "\n"), strings.Join(without(want.found, got.found), "\n"))
	}
	return got
}

// one serves a repository with a few secrets, and gives it a cache.
func one(t *testing.T) (*gittest.Repo, *gitServer, Clone) {
	t.Helper()
	top := t.TempDir()
	r := gittest.New(t).At(filepath.Join(top, "r"))
	r.At(top).Git("init", "-q", "-b", "main", "r")
	for i := range 20 {
		r.Write(fmt.Sprint("f", i), fmt.Sprintf("text %d\n", i))
	}
	r.Write("secret", "KEY-1\n")
	r.Commit("start KEY-2")
	w := serveGit(t, top)
	w.env.Cache = audit.Cache{Dir: filepath.Join(t.TempDir(), "cache"), Size: 1 << 30}
	return r, w, Clone{Address: w.URL + "/r/.git"}
}

// TestUnchanged counts what is asked of a server about a repository that is as it was, and sees that nothing else is taken for that.
func TestUnchanged(t *testing.T) {
	r, w, c := one(t)
	c.Listed = "as listed, in words"
	first := w.run(t, c, 0, false)
	ask := func(c Clone, isSame bool, asked int64) {
		t.Helper()
		before := w.asked.Load()
		got := w.run(t, c, 0, false)
		if n := w.asked.Load() - before; got.isSame != isSame || asked >= 0 && n != asked || isSame && (len(got.found) > 0 || got.contents > 0) {
			t.Errorf("unchanged: %v, want %v; %d requests, want %d", got.isSame, isSame, n, asked)
		}
	}
	c.Past = first.state
	ask(c, true, 0)
	for _, listed := range []string{"", "other words"} {
		o := c
		o.Listed = listed
		got := w.run(t, o, 0, false)
		if !got.isSame || !strings.HasSuffix(got.state, " "+listed) {
			t.Errorf("listed as %q: %+v", listed, got)
		}
	}
	for name, change := range map[string]func(*Clone){
		"all refs": func(c *Clone) { c.AllRefs = true },
		"newest":   func(c *Clone) { c.Newest = true },
		"since":    func(c *Clone) { c.Since = "2020-01-01" },
		"another":  func(c *Clone) { c.Past = "nonsense" },
		"none":     func(c *Clone) { c.Past = "" },
	} {
		o := c
		change(&o)
		if got := w.run(t, o, 0, false); got.isSame || (got.state == "") != (name == "since") || got.state == c.Past != (name == "another" || name == "none") {
			t.Errorf("%s: %+v, past %q", name, got, o.Past)
		}
	}
	c.Listed = ""
	for _, change := range [][]string{{"branch", "b"}, {"tag", "v"}, {"symbolic-ref", "HEAD", "refs/heads/b"}, {"branch", "-D", "main"}, {"notes", "add", "-m", "n"}} {
		r.Git(change...)
		got := w.run(t, c, 0, false)
		if got.isSame || got.state == c.Past {
			t.Errorf("%v: taken for unchanged", change)
		}
		c.Past = got.state
		ask(c, true, 2)
	}
	r.Git("symbolic-ref", "HEAD", "refs/heads/nowhere") // the default branch is not there: a gap, and no state
	if got := w.run(t, c, 0, false); got.isSame || got.state == c.Past {
		t.Errorf("without HEAD: %+v", got)
	}
}

// TestUnsound has a repository of which a part is missing: it may be there the next time.
func TestUnsound(t *testing.T) {
	r, w, c := one(t)
	for i := range 3 {
		r.Write("more", fmt.Sprint("KEY-", 3+i))
		r.Commit("more")
	}
	r.At(filepath.Dir(r.Dir)).Git("clone", "-q", "--depth", "2", "file://"+r.Dir, "part")
	c.Address = w.URL + "/part/.git"
	for range 2 {
		if got := w.same(t, c); got.state != "" || len(glob(w.env.Cache.Dir, "state")) > 0 {
			t.Errorf("state %q, kept %q, found %q", got.state, glob(w.env.Cache.Dir, "state"), got.found)
		}
	}
}

// TestLittleMemory has more directories than fit, so that listing what is kept would find it damaged each time.
func TestLittleMemory(t *testing.T) {
	r, w, c := one(t)
	for i := range 40 {
		for k := range 35 {
			r.Write(fmt.Sprintf("d%d/e%d/f%d", k%7, k%5, i), fmt.Sprint(i*k))
		}
		r.Commit("more")
	}
	w.env.Memory = 220 << 10
	for i := range 3 {
		before := w.fetches.Load()
		r.Write("new", fmt.Sprint(i))
		r.Commit("new")
		if w.run(t, c, 0, false); w.fetches.Load()-before != 1 {
			t.Errorf("fetched %d times", w.fetches.Load()-before)
		}
	}
}

// TestLeftOut has objects that only the cache still has.
func TestLeftOut(t *testing.T) {
	r, w, c := one(t)
	r.Git("checkout", "-q", "-b", "gone")
	r.Write("gone", "KEY-3\n")
	r.Commit("KEY-4")
	r.Git("tag", "-a", "-m", "KEY-5", "v", "HEAD:secret")
	r.Git("checkout", "-q", "main")
	if got := w.same(t, c); len(got.found) != 6 {
		t.Errorf("found %q", got.found)
	}
	r.Git("tag", "-d", "v")
	if got := w.same(t, c); len(got.found) != 4 || got.contents != 2 {
		t.Errorf("without the tag: %d contents, found %q", got.contents, got.found)
	}
	r.Git("branch", "-D", "gone")
	if got := w.same(t, c); len(got.found) != 2 || got.contents != 1 {
		t.Errorf("without the branch: %d contents, found %q", got.contents, got.found)
	}
}

// TestManyParents has a commit with more parents than are read, of which the last leads to what nothing else does.
func TestManyParents(t *testing.T) {
	r, w, c := one(t)
	head := r.Git("rev-parse", "HEAD")
	r.Git("checkout", "-q", "-b", "side")
	r.Write("late", "KEY-9\n")
	last := r.Commit("late KEY-9")
	r.Git("checkout", "-q", "main")
	r.Git("branch", "-D", "side")
	var roots, merge strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&roots, "commit refs/tmp/%d\ncommitter a <a@b> %d +0000\ndata 1\nx\n\n", i, 1700000000+i)
	}
	r.GitIn(roots.String(), "fast-import", "--quiet")
	fmt.Fprintf(&merge, "tree %s\nparent %s\n", r.Git("rev-parse", "HEAD^{tree}"), head)
	for id := range strings.FieldsSeq(r.Git("for-each-ref", "--format=%(objectname)", "refs/tmp")) {
		fmt.Fprintf(&merge, "parent %s\n", id)
	}
	fmt.Fprintf(&merge, "parent %s\nauthor a <a@b> 1700009999 +0000\ncommitter a <a@b> 1700009999 +0000\n\nm\n", last)
	r.Git("update-ref", "refs/heads/main", r.Object("commit", merge.String()))
	w.same(t, c)
	r.Git("branch", "next", head)
	w.same(t, c)
}

// TestFork has a repository that shares most of its objects with another.
func TestFork(t *testing.T) {
	r, w, c := one(t)
	r.Git("tag", "v1")
	w.same(t, c)
	fork := r.At(r.Dir + "-fork")
	r.Git("clone", "-q", ".", fork.Dir)
	of := Clone{Address: w.URL + "/r-fork/.git"}
	before := w.fetches.Load()
	if got := w.same(t, of); got.contents != 1 || w.fetches.Load()-before != 1 {
		t.Errorf("%d contents listed, %d fetches with and without the cache", got.contents, w.fetches.Load()-before)
	}
	fork.Write("own", "KEY-6\n")
	fork.Commit("of the fork")
	r.Write("more", "KEY-7\n")
	r.Commit("of the other")
	for range 2 {
		for _, c := range []Clone{of, c} {
			if got := w.same(t, c); got.contents != 2 || len(got.found) != 3 {
				t.Errorf("%s: %d contents listed, found %q", c.Address, got.contents, got.found)
			}
		}
	}
	r.Git("fetch", "-q", fork.Dir, "main:taken")
	before = w.fetches.Load()
	if got := w.same(t, c); got.contents != 3 || w.fetches.Load()-before != 1 {
		t.Errorf("%d contents listed, %d fetches", got.contents, w.fetches.Load()-before)
	}
	entries, _ := os.ReadDir(filepath.Join(w.env.Cache.Dir, "git", "repositories"))
	if len(entries) != 2 || entries[0].IsDir() == entries[1].IsDir() {
		t.Errorf("entries %v: want one and a link to it", entries)
	}
}

// TestDamage damages each file of the cache in turn. It is fetched anew then, and nothing is said of it.
func TestDamage(t *testing.T) {
	r, w, c := one(t)
	w.same(t, c)
	r.Write("more", "KEY-3\n")
	r.Commit("more")
	w.same(t, c)
	damage := map[string]func(b []byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b },
		"header":    func(b []byte) []byte { b[5] ^= 0x40; return b },
		"zeros":     func(b []byte) []byte { clear(b[len(b)/3:]); return b },
	}
	n := 0
	for how, do := range damage {
		for _, what := range []string{"state", "objects/pack/*.pack", "objects/pack/*.idx"} {
			files := glob(w.env.Cache.Dir, what)
			file := files[n%len(files)]
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, do(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.same(t, c)
			if t.Failed() {
				t.Fatal(how, file)
			}
			n++
			r.Write("more", fmt.Sprint("KEY-3\n", n))
			r.Commit("more") // so that there are several packs each time
			w.same(t, c)
		}
	}
	if got := w.same(t, c); n < 15 || got.contents > n+2 {
		t.Errorf("%d damages, then %d contents", n, got.contents)
	}
}

// TestRefused has a server that fails when it is told what is there already.
func TestRefused(t *testing.T) {
	r, w, c := one(t)
	w.same(t, c)
	r.Write("more", "KEY-3\n")
	r.Commit("more")
	w.refuses = "have "
	if got := w.same(t, c); got.contents != 22 {
		t.Errorf("%d contents listed", got.contents)
	}
	w.refuses = ""
	if got := w.same(t, c); got.contents != 2 {
		t.Errorf("%d contents listed", got.contents)
	}
}

// TestShared has several listings at once in one cache: who finds an entry in use goes without.
func TestShared(t *testing.T) {
	r, w, c := one(t)
	want := w.same(t, c).found
	for i := range 3 {
		r.Write("more", fmt.Sprint("KEY-3\n", i))
		r.Commit("more")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if got := w.run(t, c, 0, false); len(got.found) != len(want)+1+i {
					t.Errorf("found %q", got.found)
				}
			})
		}
		group.Wait()
	}
}

// TestPrivate looks at who may read the cache, and whether git can.
func TestPrivate(t *testing.T) {
	r, w, c := one(t)
	w.same(t, c)
	r.Write("more", "KEY-3\n")
	r.Commit("more")
	w.same(t, c)
	err := filepath.WalkDir(filepath.Join(w.env.Cache.Dir, "git"), func(path string, d fs.DirEntry, _ error) error {
		info, err := d.Info()
		if err == nil && d.Type()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	packs := glob(w.env.Cache.Dir, "objects/pack/*.idx")
	if len(packs) != 2 {
		t.Errorf("packs %q", packs)
	}
	for _, p := range packs {
		r.Git("verify-pack", p)
	}
}

// TestKilled kills processes at random moments while they fill and use a cache.
func TestKilled(t *testing.T) {
	if at := os.Getenv("LEAKREACH_TEST_LISTS"); at != "" { // one of those
		address, dir, _ := strings.Cut(at, " ")
		w := &gitServer{env: audit.Env{HTTP: http.DefaultClient, Getenv: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler), Rules: "a"}}
		w.env.Cache = audit.Cache{Dir: dir, Size: 1 << 30}
		for {
			w.run(t, Clone{Address: address}, 0, false)
			for _, state := range glob(dir, "state") { // now and then all has to be fetched
				if rand.IntN(4) == 0 {
					_ = os.Remove(state)
				}
			}
		}
	}
	r, w, c := one(t)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 15 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), "LEAKREACH_TEST_LISTS="+c.Address+" "+w.env.Cache.Dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		r.Write("more", fmt.Sprint("KEY-3\n", i))
		r.Commit("more")
		w.same(t, c)
	}
	w.run(t, c, 0, false)
	for _, left := range glob(w.env.Cache.Dir, "*") {
		if base := filepath.Base(left); base != "state" && base != "lock" && base != "objects" {
			t.Errorf("left behind: %s", left)
		}
	}
}

// glob finds files of entries.
func glob(cache, name string) []string {
	list, _ := filepath.Glob(filepath.Join(cache, "git", "repositories", "*", name))
	return list
}

// TestObjects reads single objects again: from the cache, and from servers that can and cannot leave out what they lead to.
func TestObjects(t *testing.T) {
	r, w, c := one(t)
	file, commit := r.Git("rev-parse", "HEAD:secret"), r.Git("rev-parse", "HEAD")
	r.Git("tag", "-a", "-m", "KEY-9", "v")
	tag := r.Git("rev-parse", "v")
	ids := []string{file, commit, tag}
	look := func(fetches int64, ids ...string) string {
		t.Helper()
		before, text := w.fetches.Load(), ""
		for it, err := range Objects(t.Context(), w.env, c, ids) {
			text += fmt.Sprintln(it.Kind, it.Object, it.At.Commit, it.At.Name, string(it.Content), err)
		}
		if n := w.fetches.Load() - before; n != fetches {
			t.Errorf("%d fetches, want %d", n, fetches)
		}
		return text
	}
	w.same(t, c)
	want := look(0, ids...)
	for _, part := range []string{"file " + file + "   KEY-1", "commit " + commit + " " + commit + " commit tree ", "KEY-2", "tag object ", "KEY-9"} {
		if !strings.Contains(want, part) {
			t.Errorf("%q is not in %s", part, want)
		}
	}
	w.env.Cache = audit.Cache{}
	for _, filter := range []string{"true", "false"} {
		r.Git("config", "uploadpack.allowFilter", filter)
		if got := look(1, ids...); got != want {
			t.Errorf("fetched with filters %s:\n%s\nwant\n%s", filter, got, want)
		}
	}
	if got := look(0, strings.Repeat("1", 40)); !strings.Contains(got, "fetching objects of ") {
		t.Errorf("what the server does not have: %s", got)
	}
}
