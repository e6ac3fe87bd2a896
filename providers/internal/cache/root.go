package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A root is the directory of all entries:
//
//	repositories/KEY  an entry, or a link to the one that a repository has joined
//	tips/HOST-ID      a link to the entry that has this tip of a repository on that host
//	incoming/KEY      what is being fetched for an entry
//	gone              entries that are being removed
//	size              what all packs take, in bytes
//	lock              held while that is changed
type root struct {
	dir   string
	limit int64
}

// rootOf is a directory of our own in the one that the user named, which may have other things in it that others read.
func rootOf(c audit.Cache, dir string) root { return root{filepath.Join(dir, "git"), c.Size} }

func (r root) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

// maxLinks is how many of its tips a repository can be found by: HEAD, and the least of the others. Two that have most of their
// tips in common have some of the least in common, too.
const maxLinks = 8

// links names the tips that a repository is found by.
func (r root) links(address *url.URL, tips []string) []string {
	host := sha256.Sum256([]byte(address.Scheme + "://" + address.Host))
	head := min(1, len(tips))
	least := distinct(tips[head:])
	names := slices.Concat(tips[:head], least[:min(maxLinks-1, len(least))])
	for i, id := range names {
		names[i] = hex.EncodeToString(host[:8]) + "-" + id
	}
	return names
}

// announce lets others find an entry by some tips of a repository, and no more by those that it had before.
func (r root) announce(entry string, before, now []string) {
	for _, name := range before {
		if !slices.Contains(now, name) {
			_ = os.Remove(r.path("tips", name))
		}
	}
	for _, name := range now {
		if _, err := os.Stat(r.path("tips", name)); err != nil {
			_ = os.Remove(r.path("tips", name)) // to an entry that is gone
			_ = os.Symlink(filepath.Join("..", "repositories", entry), r.path("tips", name))
		}
	}
}

// join takes the entry that has a tip of a repository without one.
func (r root) join(key string, address *url.URL, format string, tips []string) *Entry {
	if _, err := os.Stat(r.path("repositories", key)); err == nil {
		return nil
	}
	for _, name := range r.links(address, tips) {
		to, err := os.Readlink(r.path("tips", name))
		if err != nil {
			continue
		}
		e := r.take(filepath.Base(to))
		if e == nil {
			continue
		}
		_, id, _ := strings.Cut(name, "-")
		if e.Format == format && len(e.Members) < maxMembers && e.has(id) {
			_ = os.Remove(r.path("repositories", key)) // a link to an entry that is gone
			if os.Symlink(filepath.Base(e.dir), r.path("repositories", key)) == nil {
				return e
			}
		}
		e.Close()
	}
	return nil
}

func (s *state) has(tip string) bool {
	for _, m := range s.Members {
		if slices.Contains(m.Tips, tip) {
			return true
		}
	}
	return false
}

// account notes that packs were added or removed. When all are too many, the entries that were not used for longest are evicted. That
// takes looking at each of them, so an eighth is cleared at once.
func (r root) account(added int64) error {
	l, err := lock(r.path("lock"), true)
	if err != nil {
		return err
	}
	defer l.Close()
	b, err := os.ReadFile(r.path("size"))
	total, err2 := strconv.ParseInt(string(b), 10, 64)
	if total += added; err != nil && !errors.Is(err, os.ErrNotExist) || err == nil && err2 != nil || total < 0 || total > r.limit {
		total = r.evict(r.limit - r.limit/8)
	}
	return replace(r.path("size"), strconv.AppendInt(nil, total, 10))
}

// sweep removes what processes left that were killed: no other run may ever ask for the same repository. All but what is under way is gone by
// then, so there is little to look at.
func (r root) sweep() {
	gone, _ := os.ReadDir(r.path("gone"))
	for _, n := range gone {
		_ = os.RemoveAll(r.path("gone", n.Name()))
	}
	incoming, _ := os.ReadDir(r.path("incoming"))
	for _, n := range incoming {
		if e := r.take(n.Name()); e != nil { // else somebody is at it
			e.Close()
		}
	}
}

// remove removes an entry of which the caller has the lock. It is out of sight first: the lock goes with the other files, and another process could
// make one anew and fill what is being removed.
func (r root) remove(dir string) {
	if gone := r.path("gone", rand.Text()); os.Rename(dir, gone) == nil { // not on Windows, where an open file keeps its directory
		dir = gone
	}
	_ = os.RemoveAll(dir)
}

// A candidate may be evicted.
type candidate struct {
	Entry
	size int64
	used time.Time
}

// evict removes entries until no more than limit is left, and returns how much that is.
func (r root) evict(limit int64) (total int64) {
	names, _ := os.ReadDir(r.path("repositories"))
	var list []candidate
	for _, n := range names {
		if !n.IsDir() {
			continue
		}
		c := candidate{Entry: Entry{dir: r.path("repositories", n.Name())}}
		files, _ := os.ReadDir(c.packs())
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				c.size += info.Size()
			}
		}
		if info, err := os.Stat(filepath.Join(c.dir, stateFile)); err == nil {
			c.used = info.ModTime()
		}
		total += c.size
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int { return a.used.Compare(b.used) })
	for _, c := range list {
		if total <= limit {
			break
		}
		held, err := lock(filepath.Join(c.dir, "lock"), false)
		if err != nil {
			continue // it is in use
		}
		if !isAt(held, filepath.Join(c.dir, "lock")) { // it was removed meanwhile, and there may be a new one
			_ = held.Close()
			continue
		}
		_ = os.Remove(filepath.Join(c.dir, stateFile)) // first: what is left of an entry is not believed
		r.remove(c.dir)
		_ = held.Close()
		total -= c.size
	}
	for _, dir := range []string{"repositories", "tips"} {
		names, _ := os.ReadDir(r.path(dir))
		for _, n := range names {
			if _, err := os.Stat(r.path(dir, n.Name())); err != nil && n.Type()&os.ModeSymlink != 0 {
				_ = os.Remove(r.path(dir, n.Name())) // to an entry that is gone
			}
		}
	}
	return total
}
