package cache

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

func id(n int) string { return fmt.Sprintf("%040x", n) }

func at(t testing.TB, path string) *url.URL {
	u, err := url.Parse("https://git.example.com/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// save makes an entry of a repository with some tips and a pack of a size.
func save(t testing.TB, c audit.Cache, path string, size int, tips ...string) {
	t.Helper()
	e := Open(c, at(t, path), "sha1", tips)
	if e == nil {
		t.Fatal("no entry")
	}
	defer e.Close()
	err := e.Save("rules", tips, []string{}, func(dir string) ([]string, error) {
		name := "pack-" + id(len(e.Packs)+1)
		index := sha1.Sum(nil)
		if err := os.WriteFile(filepath.Join(dir, name+".idx"), index[:], 0o600); err != nil {
			return nil, err
		}
		return []string{name}, os.WriteFile(filepath.Join(dir, name+".pack"), make([]byte, size), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// packs counts the packs of a repository's entry.
func packs(t testing.TB, c audit.Cache, path string, tips ...string) int {
	t.Helper()
	e := Open(c, at(t, path), "sha1", tips)
	if e == nil {
		t.Fatal("no entry")
	}
	defer e.Close()
	return len(e.Packs)
}

func newCache(t testing.TB, size int64) audit.Cache {
	return audit.Cache{Dir: filepath.Join(t.TempDir(), "cache"), Size: size}
}

func TestAsk(t *testing.T) {
	e := &Entry{key: "own", state: state{Members: map[string]member{
		"own":   {Tips: []string{id(1), id(2)}},
		"other": {Tips: []string{id(2), id(3), id(4)}},
	}}}
	wants, haves := e.Ask([]string{id(2), id(3), id(5), id(5)})
	if !slices.Equal(wants, []string{id(5)}) || !slices.Equal(haves, []string{id(1), id(2), id(3)}) {
		t.Errorf("wants %q, haves %q: another's tip that is not listed is nobody's business", wants, haves)
	}
}

// TestHosts has the same tip on two hosts.
func TestHosts(t *testing.T) {
	c := newCache(t, 1<<20)
	save(t, c, "a", 100, id(1))
	if n := packs(t, c, "b", id(1)); n != 1 {
		t.Errorf("the fork has %d packs", n)
	}
	elsewhere := at(t, "b")
	elsewhere.Host = "elsewhere.example.com"
	e := Open(c, elsewhere, "sha1", []string{id(1)})
	if e == nil || !e.Empty() {
		t.Fatalf("a repository of another host has joined: %+v", e)
	}
	e.Close()
	if e = Open(c, at(t, "c"), "sha256", []string{id(1)}); e == nil || !e.Empty() {
		t.Fatalf("a repository of another format has joined: %+v", e)
	}
	e.Close()
}

// TestOwnDirectory has a directory in which there are other things that others read.
func TestOwnDirectory(t *testing.T) {
	c := newCache(t, 1<<20)
	for _, dir := range []string{c.Dir, filepath.Join(c.Dir, "repositories")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	save(t, c, "a", 100, id(1))
	for dir, want := range map[string]os.FileMode{c.Dir: 0o755, filepath.Join(c.Dir, "git"): 0o700} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if names, _ := os.ReadDir(filepath.Join(c.Dir, "repositories")); len(names) > 0 {
		t.Errorf("in a directory of others: %v", names)
	}
}

func TestLinks(t *testing.T) {
	var tips []string
	for i := range 100 {
		tips = append(tips, id(1000-i))
	}
	links := root{}.links(at(t, "a"), tips)
	if len(links) != maxLinks || !strings.HasSuffix(links[0], tips[0]) || !strings.HasSuffix(links[1], id(901)) {
		t.Errorf("links %q", links)
	}
	c := newCache(t, 1<<20)
	save(t, c, "a", 100, tips...)
	save(t, c, "a", 100, tips[1:]...)
	if names, _ := os.ReadDir(filepath.Join(c.Dir, "git", "tips")); len(names) != maxLinks {
		t.Errorf("%d links, want those of the last time: %v", len(names), names)
	}
	if n := packs(t, c, "fork", append([]string{id(5000)}, tips[50:]...)...); n != 2 {
		t.Errorf("the fork has %d packs", n)
	}
}

func TestSize(t *testing.T) {
	c := newCache(t, 10_000)
	save(t, c, "large", 3000, id(1))
	if n := packs(t, c, "large"); n != 0 {
		t.Error("an entry takes more than its share")
	}
	old := time.Now().Add(-time.Hour)
	for i := range 9 {
		path := fmt.Sprint("r", i)
		save(t, c, path, 1000, id(100+i))
		then := old.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(c.Dir, "git", "repositories", keyOf(at(t, path)), stateFile), then, then); err != nil {
			t.Fatal(err)
		}
	}
	Touch(c, at(t, "r0").String())
	held := Open(c, at(t, "r1"), "sha1", nil)
	defer held.Close()
	save(t, c, "r9", 1000, id(109)) // together they are too large now
	for i, want := range []int{1, 1, 0, 0, 1, 1, 1, 1, 1, 1} {
		path := fmt.Sprint("r", i)
		_, err := os.Stat(filepath.Join(c.Dir, "git", "repositories", keyOf(at(t, path)), stateFile))
		if (err == nil) != (want == 1) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(c.Dir, "git", "tips", root{}.links(at(t, ""), []string{id(102)})[0])); err == nil {
		t.Error("a link to an evicted entry is left")
	}
	b, err := os.ReadFile(filepath.Join(c.Dir, "git", "size"))
	if err != nil || string(b) != fmt.Sprint(8*1020) {
		t.Errorf("size %q, %v", b, err)
	}
}

// TestCountedFirst cannot count an entry, which is not saved then: what is not counted would never be evicted.
func TestCountedFirst(t *testing.T) {
	c := newCache(t, 1<<20)
	e := Open(c, at(t, "a"), "sha1", nil)
	if e == nil {
		t.Fatal("no entry")
	}
	defer e.Close()
	if err := os.Mkdir(e.root.path("lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := e.Save("rules", []string{id(1)}, nil, func(string) ([]string, error) { return nil, nil })
	if _, lost := os.Stat(filepath.Join(e.dir, stateFile)); err == nil || lost == nil {
		t.Errorf("saved: %v", err)
	}
}

// TestHeld has an entry that is in use, and one that is left as it was made.
func TestHeld(t *testing.T) {
	c := newCache(t, 1<<20)
	e := Open(c, at(t, "a"), "sha1", nil)
	if Open(c, at(t, "a"), "sha1", nil) != nil {
		t.Error("two have one entry")
	}
	e.Close()
	if left, _ := os.ReadDir(filepath.Join(c.Dir, "git", "repositories")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	for _, c := range []audit.Cache{{}, {Dir: c.Dir}, {Dir: "/dev/null/x", Size: 1}, {Dir: "a\nb", Size: 1}} {
		if Open(c, at(t, "a"), "sha1", nil) != nil {
			t.Errorf("an entry in %+v", c)
		}
	}
}

// TestKilled has what processes left that were killed while they fetched and removed, and what is under way.
func TestKilled(t *testing.T) {
	c := newCache(t, 1<<20)
	save(t, c, "saved", 100, id(1))
	held := Open(c, at(t, "held"), "sha1", nil)
	if held == nil {
		t.Fatal("no entry")
	}
	defer held.Close()
	killed := &Entry{root: held.root, dir: held.root.path("repositories", keyOf(at(t, "killed")))}
	saved := &Entry{root: held.root, dir: held.root.path("repositories", keyOf(at(t, "saved")))}
	for _, dir := range []string{held.Incoming(), killed.Incoming(), killed.packs(), saved.Incoming(), held.root.path("gone", "x", "objects")} {
		if err := os.MkdirAll(filepath.Join(dir, "something"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	other := Open(c, at(t, "other"), "sha1", nil)
	if other == nil {
		t.Fatal("no entry")
	}
	defer other.Close()
	for _, dir := range []string{killed.Incoming(), killed.dir, saved.Incoming(), held.root.path("gone", "x")} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("left: %s", dir)
		}
	}
	if _, err := os.Stat(held.Incoming()); err != nil || packs(t, c, "saved") != 1 {
		t.Errorf("gone with that: %v", err)
	}
}

// TestRemoved has many take an entry that is removed each time, since nothing is saved in it: none loses what it has to another's removal.
func TestRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its directory")
	}
	c := newCache(t, 1<<20)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				e := Open(c, at(t, "a"), "sha1", nil)
				if e == nil {
					continue
				}
				taken.Add(1)
				for i := range 5 {
					if err := os.WriteFile(filepath.Join(e.packs(), fmt.Sprint(i)), nil, 0o600); err != nil {
						t.Error(err)
					}
				}
				e.Close()
			}
		})
	}
	all.Wait()
	left, _ := filepath.Glob(filepath.Join(c.Dir, "git", "[rg]*", "*"))
	if taken.Load() == 0 || len(left) > 0 {
		t.Errorf("taken %d times, left %q", taken.Load(), left)
	}
}

// TestManyPacks has more packs than one looks into.
func TestManyPacks(t *testing.T) {
	c := newCache(t, 1<<20)
	for range maxPacks {
		save(t, c, "a", 100, id(1))
	}
	if n := packs(t, c, "a", id(1)); n != 0 {
		t.Errorf("%d packs", n)
	}
	if files, _ := filepath.Glob(filepath.Join(c.Dir, "git", "repositories", "*", "objects", "pack", "*")); len(files) > 0 {
		t.Errorf("left %q", files)
	}
}

func FuzzState(f *testing.F) {
	s := state{Format: "sha1", Packs: []string{"pack-" + id(1)}, Members: map[string]member{"a": {Tips: []string{id(2)}, Links: []string{"x"}, Scanned: true}}, Again: []string{id(3)}}
	text, _ := json.Marshal(s)
	f.Add(text)
	f.Add([]byte(`{"format":"sha1","members":{"a":{"links":["../x"]}}}`))
	f.Add([]byte(`{"format":"sha256","members":{},"packs":["pack-../x"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parseState(text); err == nil && !strings.Contains(string(text), "\n") {
			t.Error("it has no checksum")
		}
		s, err := parseState(append([]byte(checksum(text)+"\n"), text...))
		if err != nil {
			return
		}
		for _, name := range s.Packs {
			if filepath.Base(name) != name || !strings.HasPrefix(name, "pack-") {
				t.Errorf("a pack %q", name)
			}
		}
		for _, m := range s.Members {
			for _, name := range m.Links {
				if !filepath.IsLocal(name) || filepath.Base(name) != name {
					t.Errorf("a link %q", name)
				}
			}
		}
		file := filepath.Join(t.TempDir(), "state")
		if err := s.write(file); err != nil {
			t.Fatal(err)
		}
		if again, err := readState(file); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%+v, then %+v, %v", s, again, err)
		}
	})
}
