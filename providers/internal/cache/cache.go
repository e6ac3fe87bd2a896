// Package cache keeps what was fetched from git servers, and what is known of it, so that the next run fetches and scans only what is new.
//
// An [Entry] is a directory with the packs of one repository, or of several that share objects, and a file that says what they are good
// for: the tips of each repository, all that they lead to being there, and whether that was scanned. [Open] takes it for this process
// alone, and [Entry.Save] adds to it. Only what the file names is believed, and it is replaced as a whole: a process may be killed at
// any moment, and what it left half done is removed by the next one.
//
// A repository without an entry joins one that has one of its tips, as forks do. It shares the other's objects, and still sees none that
// its own server would not send: that a tip is its own, the server has said to the credential at hand, and it is the server, too, that the
// other repository is on; an id stands for all that it leads to; and only what a repository's own refs lead to is listed of an entry.
package cache

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // see isSound
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// ErrDamaged says that an entry was not what it promised to be. It is gone, so that what it was of can be fetched anew.
var ErrDamaged = errors.New("what was kept of the repository is damaged")

const (
	// maxPacks is how many packs an entry has before all is fetched anew as one: that is a fiftieth more to fetch, and an object is looked for in
	// so many.
	maxPacks = 50
	// maxMembers bounds the repositories that share an entry: all that is known of them is written each time.
	maxMembers = 64
	// maxShare is which part of the cache one entry may take: a large repository shall not push out all others.
	maxShare = 4
	// maxHaves bounds the ids that a server is told, 50 bytes each.
	maxHaves = 10_000
)

// An Entry is this process's alone until it is closed.
type Entry struct {
	root root
	dir  string
	key  string // of the repository
	lock *os.File
	state
}

// Open takes the entry of a repository with object ids of a format, whose server lists the given tips, HEAD first. It is empty if the
// repository was not there before, and nil if none can be had, as while another process has it: then nothing is kept.
func Open(c audit.Cache, address *url.URL, format string, tips []string) *Entry {
	dir, err := filepath.Abs(c.Dir)
	if c.Dir == "" || c.Size <= 0 || err != nil || strings.ContainsAny(dir, "\r\n") { // git cannot be told of such a path
		return nil
	}
	r := rootOf(c, dir)
	for _, name := range []string{"repositories", "tips", "incoming", "gone"} {
		if os.MkdirAll(r.path(name), 0o700) != nil {
			return nil
		}
	}
	if os.Chmod(r.dir, 0o700) != nil {
		return nil
	}
	r.sweep()
	key := keyOf(address)
	e := r.join(key, address, format, tips)
	if e == nil {
		e = r.take(key)
	}
	if e == nil {
		return nil
	}
	e.key, e.announced = key, r.links(address, tips)
	if e.Format != format || len(e.Packs) >= maxPacks {
		e.forget()
		e.Format = format
	}
	return e
}

// Touch notes that the entry of a repository is still of use.
func Touch(c audit.Cache, address string) {
	if u, err := url.Parse(address); err == nil && c.Dir != "" {
		touch(rootOf(c, c.Dir).path("repositories", keyOf(u)))
	}
}

func touch(entry string) {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(entry, stateFile), now, now)
}

func keyOf(address *url.URL) string {
	sum := sha256.Sum256([]byte(address.Scheme + "://" + address.Host + address.Path))
	return hex.EncodeToString(sum[:16])
}

// take takes the entry of a key, a new one if there is none.
func (r root) take(key string) *Entry {
	dir := r.path("repositories", key)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	} else {
		_ = os.Remove(dir) // a link to an entry that is gone
	}
	e := &Entry{root: r, dir: dir}
	if os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	var err error
	if e.lock, err = lock(filepath.Join(dir, "lock"), false); err != nil {
		return nil
	}
	// It may have been evicted meanwhile; what is made from here on, nobody else removes.
	if !isAt(e.lock, filepath.Join(dir, "lock")) || os.MkdirAll(e.packs(), 0o700) != nil {
		_ = e.lock.Close()
		return nil
	}
	_ = os.RemoveAll(e.Incoming())
	if e.state, err = readState(filepath.Join(dir, stateFile)); err != nil || !e.tidy() {
		e.forget()
	}
	touch(dir)
	return e
}

// isAt tells whether an open file is the one at a path.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	there, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(open, there)
}

// tidy removes what an earlier process left, and tells whether all is there that the state names, with sound indexes: an object that an index
// does not have would not be missed, one that is damaged is.
func (e *Entry) tidy() bool {
	files, err := os.ReadDir(e.packs())
	missing := map[string]bool{}
	for _, name := range e.Packs {
		missing[name+".pack"], missing[name+".idx"] = true, true
	}
	for _, f := range files {
		if missing[f.Name()] {
			delete(missing, f.Name())
		} else {
			_ = os.Remove(filepath.Join(e.packs(), f.Name()))
		}
	}
	return err == nil && len(missing) == 0 && all(e.Packs, func(name string) bool { return isSound(filepath.Join(e.packs(), name+".idx"), e.Format) })
}

// isSound holds a file against the checksum at its end, as git writes it.
func isSound(file, format string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha1.New() //nolint:gosec // git's checksum, which is no promise of safety
	if format == "sha256" {
		h = sha256.New()
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	if _, err := io.CopyN(h, f, info.Size()-int64(h.Size())); err != nil {
		return false
	}
	sum, err := io.ReadAll(f)
	return err == nil && bytes.Equal(sum, h.Sum(nil))
}

// forget empties the entry. What is known of it goes first.
func (e *Entry) forget() {
	_ = os.Remove(filepath.Join(e.dir, stateFile))
	size := e.size(e.Packs)
	e.state = state{Format: e.Format, Members: map[string]member{}, announced: e.announced}
	e.tidy()
	if size > 0 {
		_ = e.root.account(-size)
	}
}

// Drop is for an entry that is damaged.
func (e *Entry) Drop() error {
	e.forget()
	return ErrDamaged
}

// Close gives the entry back to all. One that nothing was ever saved in is gone.
func (e *Entry) Close() {
	_ = os.RemoveAll(e.Incoming())
	if _, err := os.Lstat(filepath.Join(e.dir, stateFile)); err != nil {
		e.root.remove(e.dir)
	}
	_ = e.lock.Close()
}

// Incoming is where to put what is being fetched. It is removed by Close.
func (e *Entry) Incoming() string { return e.root.path("incoming", filepath.Base(e.dir)) }

// Objects is what git calls an object directory.
func (e *Entry) Objects() string { return filepath.Join(e.dir, "objects") }

func (e *Entry) packs() string { return filepath.Join(e.Objects(), "pack") }

// Empty tells whether nothing is there yet.
func (e *Entry) Empty() bool { return len(e.Packs) == 0 }

// Ask says which of the listed tips are to be asked for, and what the server is to be told that is there already: what the repository had
// before, and of what others had only the tips that it lists itself.
func (e *Entry) Ask(listed []string) (wants, haves []string) {
	there := map[string]bool{}
	for _, m := range e.Members {
		for _, id := range m.Tips {
			there[id] = true
		}
	}
	is := map[string]bool{}
	var shared []string
	for _, id := range listed {
		switch {
		case is[id]:
		case there[id]:
			shared = append(shared, id)
		default:
			wants = append(wants, id)
		}
		is[id] = true
	}
	for _, id := range e.Members[e.key].Tips {
		if !is[id] { // a branch that moved: it tells the most
			haves = append(haves, id)
		}
	}
	haves = append(haves, shared...)
	return wants, haves[:min(len(haves), maxHaves)]
}

// Scanned returns tips: all that they lead to was scanned by the given rules, and of that scanning said something of the objects in again.
func (e *Entry) Scanned(rules string) (tips, again []string) {
	if rules == "" || rules != e.Rules {
		return nil, nil
	}
	for _, m := range e.Members {
		if m.Scanned {
			tips = append(tips, m.Tips...)
		}
	}
	return tips, e.Again
}

// Save notes that all is there that the tips lead to, and was scanned by the given rules, which said something of the objects in again.
// keep puts the packs that are new into a directory and names them. An entry that has become too large is emptied.
func (e *Entry) Save(rules string, tips, again []string, keep func(dir string) ([]string, error)) error {
	added, err := keep(e.packs())
	if err != nil {
		return err
	}
	next := e.state
	next.Packs = append(slices.Clone(e.Packs), added...)
	next.Members = maps.Clone(e.Members)
	if rules != e.Rules {
		for key, m := range next.Members {
			m.Scanned = false
			next.Members[key] = m
		}
	}
	next.Rules, next.Again = rules, distinct(again)
	next.Members[e.key] = member{distinct(tips), e.announced, true}
	before, after := e.size(e.Packs), e.size(next.Packs)
	if after > e.root.limit/maxShare {
		e.forget()
		return nil
	}
	// Counted first: a process that is killed in between leaves a count that is too high, and that is put right when it matters.
	if err := e.root.account(after - before); err != nil {
		return err
	}
	if err := next.write(filepath.Join(e.dir, stateFile)); err != nil {
		return err
	}
	e.root.announce(filepath.Base(e.dir), e.Members[e.key].Links, e.announced)
	e.state = next
	return nil
}

func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// size is that of packs with their indexes.
func (e *Entry) size(packs []string) (n int64) {
	for _, name := range packs {
		for _, ext := range []string{".pack", ".idx"} {
			if info, err := os.Stat(filepath.Join(e.packs(), name+ext)); err == nil {
				n += info.Size()
			}
		}
	}
	return n
}
