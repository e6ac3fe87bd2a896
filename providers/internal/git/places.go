package git

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"sync"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// A place is where a content lies.
type place struct {
	change
	commit  uint32          // index of the one that put it there, or none
	outside *audit.Location // what is known of it without a commit; shared by many
}

// places is the state of listing where contents lie: first the names of files and refs, then the places that the consumer chose,
// oldest first. Of all other places it is only seen to that what lies there was read.
type places struct {
	*scan
	choice *audit.Choice // nil: all places
	head   []uint32      // by path: the object that HEAD has there, or none
	facts  []pathFacts   // by path
	names  names
	found  []place
	left   int // places above maxPlaces

	unread  int    // places whose content was not read
	example uint32 // path of the first of them
}

type pathFacts uint8

const (
	isNamed  pathFacts = 1 << iota // its name was listed
	isChosen                       // the consumer wants to see what lies there
	isShown                        // a commit brought what HEAD has there
)

// maxPlaces bounds the places kept at once, 24 bytes each.
const maxPlaces = 4 << 20

// list lists names and places. files are files of the working tree whose content the history has, too.
func (p *places) list(files []audit.Item) error {
	if err := p.ask(); err != nil {
		return err
	}
	if err := p.readHead(); err != nil {
		return err
	}
	p.names = names{scan: p.scan, of: "file names"}
	if err := p.compareAll(p.see, p.renumber); err != nil {
		return err
	}
	if err := p.outside(p.see); err != nil {
		return err
	}
	if err := p.seeHead(); err != nil {
		return err
	}
	for i := range files {
		at := &files[i]
		if err := p.see(place{change{p.trees.pathTo(at.At.Path), p.trees.objectOf(at.Object), none}, none, &at.At}); err != nil {
			return err
		}
	}
	if err := p.names.flush(); err != nil {
		return err
	}
	if p.Below == "" {
		if err := p.refNames(); err != nil {
			return err
		}
	}
	if p.left > 0 {
		p.gap("places in the history", fmt.Sprintf("more than %d of contents that are of interest: %d left out", maxPlaces, p.left))
	}
	if p.unread > 0 {
		p.problem("blob", "missing or damaged", safeText(p.trees.pathOf(p.example)), p.unread)
	}
	return p.giveAll()
}

// ask lets the consumer choose among the places.
func (p *places) ask() error {
	err := p.give(audit.Item{Kind: audit.KindChoice, Choose: func(c audit.Choice) { p.choice = &c }})
	if err != nil || p.choice == nil {
		return err
	}
	for _, id := range p.choice.Objects {
		if p.isID(id) {
			p.trees.about[p.trees.objectOf(id)].facts |= isOfInterest
		}
	}
	return nil
}

// readHead notes what the checked-out commit has at which path.
func (p *places) readHead() (err error) {
	if p.refs.head == "" {
		return nil
	}
	if p.head, err = p.filesOf(p.refs.head); err != nil {
		p.gap("tree of HEAD", err.Error()+": whether contents are still there is not known for all")
	}
	return p.ctx.Err()
}

// filesOf lists the objects that a commit has, by path: as far as they can be read, also if there is an error.
func (s *scan) filesOf(commit string) (files []uint32, err error) {
	i := s.graph.find(s.trees.objectOf(commit))
	if i == none || s.commits[i].tree == none {
		return nil, errors.New("the commit is missing or malformed")
	}
	w := &walk{trees: s.trees, ctx: s.ctx, do: func(c change) error {
		for uint32(len(files)) <= c.path {
			files = append(files, none)
		}
		files[c.path] = c.new
		return nil
	}}
	lost, err := w.compare(s.commits[i].tree)
	return files, cmpErr(err, lost)
}

func (p *places) inHead(c change) bool { return isIn(p.head, c.path, c.new) }

func isIn(files []uint32, path, object uint32) bool {
	return path < uint32(len(files)) && files[path] == object
}

// renumber gives the objects new numbers that are still needed.
func (p *places) renumber(moved func(object uint32) uint32) {
	for i := range p.head {
		p.head[i] = moved(p.head[i])
	}
	for i := range p.found {
		at := &p.found[i].change
		at.new, at.prev = moved(at.new), moved(at.prev)
	}
}

// compareAll calls do for all that the commits put somewhere, in their order. What it cannot compare is a gap. Where the trees of the
// whole history are more than there is room for, those read so far are forgotten now and then; renumber is called for objects that the
// caller holds by their numbers.
func (s *scan) compareAll(do func(place) error, renumber ...func(moved func(object uint32) uint32)) error {
	var at uint32
	w := &walk{trees: s.trees, ctx: s.ctx, below: s.Below, do: func(c change) error { return do(place{c, at, nil}) }}
	var parents []uint32
	malformed, lost := 0, 0
	for i := range s.commits {
		if s.trees.isFull() {
			s.makeRoom(renumber...)
		}
		c := s.commits[i]
		if c.left {
			continue
		}
		if c.tree == none {
			malformed++
			continue
		}
		at, parents = uint32(i), parents[:0]
		for _, parent := range c.parents {
			if i := s.graph.find(parent); i != none && s.commits[i].tree != none {
				parents = append(parents, s.commits[i].tree)
			}
		}
		incomplete, err := w.compare(c.tree, parents...)
		if errors.Is(err, errTooManySteps) {
			s.gap("places in the history", err.Error())
			break
		}
		if err != nil {
			return err
		}
		if incomplete != nil {
			lost++
		}
	}
	if malformed > 0 {
		s.gap(plural(malformed, "commit"), "malformed: what they changed is unknown")
	}
	if lost > 0 {
		s.gap(plural(lost, "commit"), "trees are missing, damaged or excessive: some places of contents are unknown")
	}
	return nil
}

// makeRoom forgets the trees. The objects that commits name get new numbers, and so do those that renumber asks for.
func (s *scan) makeRoom(renumber ...func(moved func(object uint32) uint32)) {
	moved := s.trees.renew()
	for i := range s.commits {
		c := &s.commits[i]
		c.object, c.tree = moved(c.object), moved(c.tree)
		for j := range c.parents {
			c.parents[j] = moved(c.parents[j])
		}
	}
	for _, do := range renumber {
		do(moved)
	}
	s.graph = s.trees.graph(s.commits)
	s.trees.needed = s.trees.size()
}

// see looks at one place: it is kept if the consumer wants it, and its path is named.
func (p *places) see(at place) error {
	facts, err := p.name(at.path)
	if err != nil {
		return err
	}
	if at.commit != none && p.inHead(at.change) {
		p.facts[at.path] |= isShown
	}
	switch content := p.content(at.new); {
	case content&hasContent == 0:
		if p.unread++; p.unread == 1 {
			p.example = at.path
		}
	case content&isTooLarge != 0:
		p.seeLarge(at)
	case p.choice != nil && content&isOfInterest == 0 && facts&isChosen == 0:
	case len(p.found) == maxPlaces:
		p.left++
	default:
		p.found = append(p.found, at)
	}
	return nil
}

// seeHead looks at what HEAD has although no readable commit brought it there.
func (p *places) seeHead() error {
	if p.Since != "" {
		return nil
	}
	at := &audit.Location{Kind: audit.InFile, InHead: true}
	for i, object := range p.head {
		path := uint32(i)
		if object == none || i < len(p.facts) && p.facts[i]&isShown != 0 || p.Below != "" && !within(p.trees.pathOf(path), p.Below) {
			continue
		}
		if err := p.see(place{change{path, object, none}, none, at}); err != nil {
			return err
		}
	}
	return nil
}

// name lists a path's name, and asks once whether the consumer wants to see what lies there.
func (p *places) name(path uint32) (pathFacts, error) {
	if path == 0 { // a blob that a ref names
		return 0, nil
	}
	for path >= uint32(len(p.facts)) {
		p.facts = append(p.facts, 0)
	}
	facts := &p.facts[path]
	if *facts&isNamed != 0 {
		return *facts, nil
	}
	*facts |= isNamed
	name := p.trees.appendPath(p.names.line[:0], path)
	p.names.line = name
	if p.choice != nil && p.choice.Path(safeText(string(name))) {
		*facts |= isChosen
	}
	return *facts, p.names.add(name)
}

// content tells what is known of a blob.
func (p *places) content(object uint32) facts {
	f := &p.trees.about[object].facts
	if *f&isLooked == 0 {
		*f |= isLooked
		if _, ok := slices.BinarySearch(p.blobs, binary.BigEndian.Uint64(p.trees.id(object))); ok {
			*f |= hasContent
		}
		if len(p.large) > 0 {
			if _, ok := p.large[p.trees.hex(object)]; ok {
				*f |= isTooLarge
			}
		}
	}
	return *f
}

// seeLarge says once of a content that it was not read.
func (p *places) seeLarge(at place) {
	id := p.trees.hex(at.new)
	if size := p.large[id]; size >= 0 {
		p.tooLarge++
		l := p.location(at)
		p.gap(strconv.Quote(l.Path)+" at "+l.Commit, fmt.Sprintf("not read: %d MiB, larger than %d MiB", size>>20, p.MaxContent()>>20))
		p.large[id] = -1
	}
}

// location says where a place is, without what its commit is called.
func (p *places) location(at place) (l audit.Location) {
	if at.commit == none {
		l = *at.outside
	} else {
		c := p.commits[at.commit]
		l = audit.Location{Kind: audit.InCommit, Commit: p.trees.hex(c.object), At: c.at.time(), InHead: p.inHead(at.change)}
	}
	l.Path = safeText(p.trees.pathOf(at.path))
	return l
}

// giveAll lists the places that were kept.
func (p *places) giveAll() error {
	var named []*label
	if len(p.found) > 0 {
		named = p.labels()
	}
	lock := sync.OnceValue(p.lock)
	for _, f := range p.found {
		it := audit.Item{Kind: audit.KindPlace, Object: p.trees.hex(f.new), At: p.location(f)}
		if f.commit != none {
			it.At.Name = "unreachable commit"
			if l := named[f.commit]; l != nil {
				it.At.Ref, it.At.Name = safeText(l.ref), safeText(l.name)
			}
		}
		if f.prev != none {
			it.Prev = p.trees.hex(f.prev)
		}
		if it.At.InHead && path.Dir(it.At.Path) == path.Dir(pipeline.LockPath) {
			it.Lock = lock()
		}
		it.Open = func(ctx context.Context) (io.ReadCloser, error) {
			_, content, err := p.objects.read(ctx, it.Object)
			return opened{bytes.NewReader(content), content}, err
		}
		if err := p.give(it); err != nil {
			return err
		}
	}
	return nil
}

// maxLock is the size of the largest lock file that GitHub takes, in bytes. Of a larger one as much is read as shows that it is.
const maxLock = 1 << 20

// lock is the content of the lock file that HEAD has, or nil.
func (p *places) lock() []byte {
	if !p.Locks {
		return nil
	}
	at := p.trees.pathTo(pipeline.LockPath)
	if at >= uint32(len(p.head)) || p.head[at] == none {
		return nil
	}
	_, content, err := p.objects.read(p.ctx, p.trees.hex(p.head[at]))
	if err != nil {
		p.gap(pipeline.LockPath+" at HEAD", err.Error()+": actions that it holds are taken to be named by tags and branches")
	}
	return bytes.Clone(content[:min(len(content), maxLock+1)])
}

// opened is a content in memory.
type opened struct {
	*bytes.Reader
	content []byte
}

func (o opened) Bytes() []byte { return o.content }
func (o opened) Close() error  { return nil }

// refNames lists what refs are called.
func (p *places) refNames() error {
	list := names{scan: p.scan, of: "ref names"}
	for _, ref := range p.refs.names() {
		if err := list.add([]byte(ref)); err != nil {
			return err
		}
	}
	return list.flush()
}

// names lists names in batches.
type names struct {
	*scan
	of    string
	batch bytes.Buffer
	line  []byte // scratch
}

// namesPerItem is the size of one batch of names, in bytes.
const namesPerItem = 256 << 10

func (n *names) add(name []byte) error {
	n.batch.Write(name)
	n.batch.WriteByte('\n')
	if n.batch.Len() < namesPerItem {
		return nil
	}
	return n.flush()
}

func (n *names) flush() error {
	if n.batch.Len() == 0 {
		return nil
	}
	content := bytes.Clone(n.batch.Bytes())
	n.batch.Reset()
	return n.give(audit.Item{
		Kind: audit.KindPaths, At: audit.Location{Kind: audit.InCommit, Name: n.of}, Size: int64(len(content)), Content: content,
	})
}
