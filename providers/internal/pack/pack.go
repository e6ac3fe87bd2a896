// Package pack reads what git stores: packs, with or without an index, and loose objects, in SHA-1 and in SHA-256 repositories.
//
// [Open] takes the object directories of a repository, and [Receive] a pack that is still coming; [Store.Objects] then lists every
// object once, each made from a base that is at hand, by several goroutines, and [Store.Read] reads a single one.
//
// What is stored is taken for hostile. Sizes are checked before memory is taken for them, chains of deltas may be as long as they
// like or lead in circles, and an object that cannot be read is an error of that object alone.
//
// Contents are checked by what is stored beside them, zlib's checksum, and in packs not by their ids: hashing would double the
// time of reading. An id that a pack's index gives to another content is something only who can write to the repository's files
// can make; git reads it in the same way.
package pack

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// An ID is an object id in binary; the end is zero where ids are SHA-1.
type ID [32]byte

// ParseID reads an id of size bytes in hexadecimal.
func ParseID(s string, size int) (id ID, ok bool) {
	if len(s) != 2*size || strings.Trim(s, "0123456789abcdef") != "" {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// Text writes the first size bytes of an id in hexadecimal.
func (id ID) Text(size int) string { return hex.EncodeToString(id[:size]) }

// An Object is one stored object, or the error that reading it ended in.
type Object struct {
	ID      ID // zero if Err is not nil and the pack has no index that tells it
	Kind    Kind
	Size    int64
	Content []byte // lent until Done is called; nil for one that is larger than the limit or has an error
	Done    func() // nil without a content
	Err     error
}

// ErrExcessive says that objects expand to so much that the rest of them is not made.
var ErrExcessive = errors.New("the objects expand to far more than honest ones")

// ErrWrongID says that a content is not the one that its id stands for. It is given all the same.
var ErrWrongID = errors.New("the content does not have its id")

// errFault says that a file was truncated while it was mapped, or that its disk failed.
var errFault = errors.New("it changed or became unreadable while it was read")

// ErrTooLarge says that a content is above the limit.
var ErrTooLarge = errors.New("larger than the limit")

// errLargeBase says that what a content is made of is above the limit.
var errLargeBase = errors.New("the object that a delta builds on is larger than the limit")

// Options tell how to read.
type Options struct {
	// IDSize is the size of an id in bytes: 20 for SHA-1, 32 for SHA-256.
	IDSize int
	// Limit is the size above which an object is listed without its content.
	Limit int64
	// Lend bounds the bytes of contents that are lent at once; a larger content is lent alone.
	Lend int64
	// Held bounds the bytes of bases that all walkers hold besides those they are building on; one that is dropped for it is made again.
	// 0 means MaxHeld.
	Held int64
}

// A Store is a set of stored objects, open for reading. Its methods may be called from several goroutines.
type Store struct {
	Options
	dirs     []string
	packs    []*packFile
	cache    cache
	decoders sync.Pool // of *decoder
	growth   int64     // growthOfAny, less in tests

	mu       sync.Mutex // guards problems
	problems []Problem

	open   sync.RWMutex // held for writing by Close: what is mapped must not be looked at any more
	closed bool
}

// A Problem is a pack that is damaged as a whole.
type Problem struct {
	File string
	Err  error
}

// A packFile is a pack.
type packFile struct {
	*file
	idSize  int
	index   atomic.Pointer[index] // nil if there is none yet
	learnt  learnt                // what is known until then
	arrival *Arrival              // nil if there was an index from the start
}

// packHeader is the size of a pack's own header: "PACK", the version and the number of objects.
const packHeader = 12

// Open opens all packs in object directories. A pack that cannot be used at all is a problem, not an error.
func Open(ctx context.Context, dirs []string, o Options) (*Store, error) {
	s := newStore(o)
	s.dirs = dirs
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(dir, "pack"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.note(Problem{filepath.Join(dir, "pack"), err})
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".pack") {
				s.add(filepath.Join(dir, "pack", e.Name()))
			}
		}
	}
	slices.SortStableFunc(s.packs, func(a, b *packFile) int { return cmp.Compare(b.size, a.size) }) // most is found in the largest
	// Several packs, or loose objects beside one, can hold the same object. It takes an index to know.
	for _, p := range s.packs {
		if err := s.needIndex(ctx, p); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func newStore(o Options) *Store {
	if o.Held == 0 {
		o.Held = MaxHeld
	}
	return &Store{Options: o, cache: cache{has: map[place]cached{}}, growth: growthOfAny}
}

// add opens a pack and its index.
func (s *Store) add(name string) {
	f, err := openFile(name)
	if err != nil {
		s.note(Problem{name, err})
		return
	}
	p := &packFile{file: f, idSize: s.IDSize}
	head, err := f.view(0, packHeader, new(window))
	if err == nil && (len(head) < packHeader || string(head[:4]) != "PACK") {
		err = errors.New("not a pack")
	}
	if err == nil {
		if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
			err = fmt.Errorf("pack of unknown version %d", v)
		}
	}
	if err != nil {
		f.close()
		s.note(Problem{name, err})
		return
	}
	x, err := readIndex(strings.TrimSuffix(name, ".pack")+".idx", f, s.IDSize)
	if err == nil {
		p.index.Store(x)
	} else {
		p.arrival = arrived(f)
		if !errors.Is(err, os.ErrNotExist) {
			s.note(Problem{name, err})
		}
	}
	s.packs = append(s.packs, p)
}

// Close closes all files. Nothing can be read any more.
func (s *Store) Close() {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, p := range s.packs {
		p.close()
		if x := p.index.Load(); x != nil {
			x.close()
		}
	}
}

// enter makes sure that the store stays open until leave is called.
func (s *Store) enter() (leave func(), err error) {
	s.open.RLock()
	if s.closed {
		s.open.RUnlock()
		return nil, errors.New("the repository is closed")
	}
	return s.open.RUnlock, nil
}

// Problems lists the packs found to be damaged as a whole so far. What could be read of them was listed.
func (s *Store) Problems() []Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

func (s *Store) note(p ...Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, p...)
}

// find returns where an object lies in a pack whose index is there.
func (p *packFile) find(id ID) (offset int64, ok bool) {
	x := p.index.Load()
	if x == nil {
		return p.learnt.find(id)
	}
	row, ok := x.find(id)
	if !ok {
		return 0, false
	}
	return x.offset(row), true
}

// end is where the entries of a pack end and its checksum starts.
func (p *packFile) end() int64 { return p.size - int64(p.idSize) }

// header reads the header of the entry at an offset.
func (p *packFile) header(at int64, w *window) (header, error) {
	if at < packHeader || at >= p.end() {
		return header{}, errEntry
	}
	b, err := p.view(at, at+maxHeader, w)
	if err != nil && !(errors.Is(err, io.EOF) && len(b) > 0) {
		return header{}, err
	}
	return parseHeader(b, at, p.idSize)
}

// guarded turns a fault on a mapped file, one that was truncated or whose disk fails, into an error. It must be deferred, in a goroutine
// that has called debug.SetPanicOnFault.
func guarded(err *error) {
	if r := recover(); r != nil {
		if _, ok := r.(interface{ Addr() uintptr }); !ok { // see debug.SetPanicOnFault
			panic(r)
		}
		*err = errFault
	}
}
