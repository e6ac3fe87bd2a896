package git

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/leakreach/leakreach/audit"
)

// A place is where a content lies in a commit, or without one in HEAD.
type place struct {
	change
	commit uint32 // its index, or none
}

// places is the state of listing where contents lie: first the names of files and refs, then the places that the consumer chose,
// oldest first. Of all other places it is only seen to that what lies there was read.
type places struct {
	*scan
	choice  *audit.Choice // nil: all places
	head    []uint32      // by path: the object that HEAD has there, or none
	facts   []pathFacts   // by path
	found   []place
	left    int // places above maxPlaces
	unread  int // places whose content was not read
	example uint32
	names   names
}

type pathFacts uint8

const (
	isNamed  pathFacts = 1 << iota // its name was listed
	isChosen                       // the consumer wants to see what lies there
	isShown                        // a commit brought what HEAD has there
)

// maxPlaces bounds the places kept at once, 16 bytes each.
const maxPlaces = 4 << 20

// list lists names and places. extra are places that no commit holds.
func (p *places) list(extra []audit.Item) error {
	if err := p.ask(); err != nil {
		return err
	}
	if err := p.readHead(); err != nil {
		return err
	}
	p.names = names{scan: p.scan, of: "file names"}
	if err := p.compareAll(p.see); err != nil {
		return err
	}
	for _, it := range extra {
		if it.At.Path != "" {
			if _, err := p.name(p.trees.pathTo(it.At.Path)); err != nil {
				return err
			}
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
	return p.giveAll(extra)
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
func (p *places) readHead() error {
	tree := none
	if p.refs.head != "" {
		if i := p.graph.find(p.trees.objectOf(p.refs.head)); i != none {
			tree = p.commits[i].tree
		}
		if tree == none {
			p.gap("tree of HEAD", "the commit is missing or damaged: whether contents are still there is not known")
		}
	}
	if tree == none {
		return nil
	}
	w := &walk{trees: p.trees, ctx: p.ctx, do: func(c change) error {
		for len(p.head) < len(p.trees.path) {
			p.head = append(p.head, none)
		}
		p.head[c.path] = c.new
		return nil
	}}
	lost, err := w.compare(tree)
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	if err = cmpErr(err, lost); err != nil {
		p.gap("tree of HEAD", err.Error()+": whether contents are still there is not known for all")
	}
	return nil
}

func (p *places) inHead(c change) bool {
	return c.path < uint32(len(p.head)) && p.head[c.path] == c.new
}

// compareAll calls do for all that the commits put somewhere, in their order. What it cannot compare is a gap.
func (s *scan) compareAll(do func(place) error) error {
	var at uint32
	w := &walk{trees: s.trees, ctx: s.ctx, below: s.Below, do: func(c change) error { return do(place{c, at}) }}
	var parents []uint32
	malformed, lost := 0, 0
	for i, c := range s.commits {
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

// see looks at one place: it is kept if the consumer wants it, and its path is named.
func (p *places) see(at place) error {
	facts, err := p.name(at.path)
	if err != nil {
		return err
	}
	if p.inHead(at.change) {
		p.facts[at.path] |= isShown
	}
	content := p.content(at.new)
	switch {
	case content&hasContent == 0:
		p.miss(at.path)
	case content&isTooLarge != 0:
		p.tooLarge(p.trees.hex(at.new), safeText(p.trees.pathOf(at.path)), p.trees.hex(p.commits[at.commit].object))
	case p.choice != nil && content&isOfInterest == 0 && facts&isChosen == 0:
	case len(p.found) == maxPlaces:
		p.left++
	default:
		p.found = append(p.found, at)
	}
	return nil
}

// name lists a path's name, and asks once whether the consumer wants to see what lies there.
func (p *places) name(path uint32) (pathFacts, error) {
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

// miss notes a place whose content was not read.
func (p *places) miss(path uint32) {
	if p.unread++; p.unread == 1 {
		p.example = path
	}
}

// tooLarge says once of a content that it was not read.
func (s *scan) tooLarge(object, path, commit string) {
	if size := s.large[object]; size >= 0 {
		s.gap(strconv.Quote(path)+" at "+commit, fmt.Sprintf("not read: %d MiB, larger than %d MiB", size>>20, MaxContent>>20))
		s.large[object] = -1
	}
}

// giveAll lists the places: those in commits, those outside, and those that HEAD has although no readable commit brought it there.
func (p *places) giveAll(extra []audit.Item) error {
	if p.left > 0 {
		p.gap("places in the history", fmt.Sprintf("more than %d of contents that are of interest: %d left out", maxPlaces, p.left))
	}
	var named []*label
	if len(p.found) > 0 {
		named = p.labels()
	}
	for _, f := range p.found {
		from := p.commits[f.commit]
		at := audit.Location{
			Kind: audit.InCommit, Path: p.trees.pathOf(f.path), Commit: p.trees.hex(from.object), At: from.at.time(), InHead: p.inHead(f.change),
		}
		if l := named[f.commit]; l != nil {
			at.Ref, at.Name = l.ref, l.name
		} else {
			at.Name = "unreachable commit"
		}
		it := audit.Item{Kind: audit.KindPlace, Object: p.trees.hex(f.new), At: at}
		if f.prev != none {
			it.Prev = p.trees.hex(f.prev)
		}
		if err := p.place(it); err != nil {
			return err
		}
	}
	for _, it := range extra {
		if err := p.outside(it); err != nil {
			return err
		}
	}
	if p.Since == "" {
		for path, object := range p.head {
			if object == none || uint(path) < uint(len(p.facts)) && p.facts[path]&isShown != 0 {
				continue
			}
			at := audit.Location{Kind: audit.InFile, Path: p.trees.pathOf(uint32(path)), InHead: true}
			if p.Below != "" && !within(at.Path, p.Below) {
				continue
			}
			if err := p.outside(audit.Item{Kind: audit.KindPlace, Object: p.trees.hex(object), At: at}); err != nil {
				return err
			}
		}
	}
	if p.unread > 0 {
		p.problem("blob", "missing or damaged", safeText(p.trees.pathOf(p.example)), p.unread)
	}
	return nil
}

// outside lists a place that was not seen in a commit, if the consumer wants it.
func (p *places) outside(it audit.Item) error {
	path := p.trees.pathTo(it.At.Path)
	object := p.trees.objectOf(it.Object)
	content := p.content(object)
	switch {
	case content&hasContent == 0:
		p.miss(path)
	case content&isTooLarge != 0:
		p.tooLarge(it.Object, safeText(it.At.Path), it.At.Commit)
	case p.choice == nil || content&isOfInterest != 0 || p.choice.Path(safeText(it.At.Path)):
		return p.place(it)
	}
	return p.ctx.Err()
}

// place gives one place.
func (p *places) place(it audit.Item) error {
	it.At.Path, it.At.Ref, it.At.Name = safeText(it.At.Path), safeText(it.At.Ref), safeText(it.At.Name)
	it.Open = func(ctx context.Context) (io.ReadCloser, error) {
		_, content, err := p.objects.read(ctx, it.Object)
		return io.NopCloser(bytes.NewReader(content)), err
	}
	return p.give(it)
}

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
