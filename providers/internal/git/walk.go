package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Small trees that contain each other many times over ("git bombs") have 10¹⁰ paths and more. These bounds are far above those of
// honest repositories, and end the work on others.
const (
	maxSteps     = 1 << 31  // in one walk, some nanoseconds each: eighty times what a history of 50,000 commits takes
	maxTreeFiles = 1 << 20  // files and directories listed of one commit or tree
	maxTreeDepth = 2048     // of directories
	maxPath      = 64 << 10 // of one path, in bytes: sixteen times what a file system takes
	maxPaths     = 4 << 20  // different ones, 20 bytes each
	maxOpen      = 4 << 20  // entries of the directories that lead to one, 4 bytes each
)

var (
	errTooManyFiles = errors.New("it has too many files, or too deep directories")
	errTooManySteps = errors.New("there are too many to list; contents are scanned all the same")
)

// stepsEach are the steps that a directory or a file takes beside one for each entry passed over and each byte of a path.
const stepsEach = 16

// A change puts a content at a path.
type change struct {
	path, new, prev uint32 // prev is the object that the path held before, or none
}

// A walk compares trees.
type walk struct {
	*trees
	ctx   context.Context
	top   uint32 // the path where the trees lie
	below string // limits the paths; "" for all
	do    func(change) error

	steps int    // in all comparisons
	files int    // and directories listed in this one
	err   error  // what this one could not list
	sides []side // scratch, used as a stack
	olds  []uint32
	open  []uint32 // entries of the directories that are being compared
	bytes []byte
}

// A side is a directory of a parent, and how far it has been passed.
type side struct {
	entries []uint32
	next    int
}

// compare calls do for each content that tree new holds at a path where none of the old ones does. A merge has several old trees, and
// a first commit none. What cannot be compared is passed over, with an error. An error of do's, of the context's or
// errTooManySteps ends the walk.
func (w *walk) compare(new uint32, olds ...uint32) (lost, err error) {
	w.files, w.err = 0, nil
	w.sides, w.olds, w.open = w.sides[:0], w.olds[:0], w.open[:0]
	if err = w.directory(new, olds, w.top, 0, 0); errors.Is(err, errTooManyFiles) {
		return err, nil
	}
	return w.err, err
}

// directory compares one directory. Of olds, those that are none have no such directory. length is that of its path.
func (w *walk) directory(new uint32, olds []uint32, dir uint32, depth, length int) error {
	for _, old := range olds {
		if old == new {
			return nil
		}
	}
	if depth > maxTreeDepth || length > maxPath || len(w.open) > maxOpen {
		w.err = errTooManyFiles
		return nil
	}
	first, start := len(w.sides), len(w.open)
	defer func() { w.sides, w.open = w.sides[:first], w.open[:start] }()
	entries := w.read(new)
	for _, old := range olds {
		s := side{}
		if len(w.open) > maxOpen {
			w.err = errTooManyFiles
			return nil
		}
		if old != none {
			s.entries = w.read(old)
		}
		w.sides = append(w.sides, s)
	}
	if err := w.step(stepsEach + len(olds) + len(w.open) - start); err != nil {
		return err
	}
	sides := w.sides[first:]
	for _, e := range entries {
		if err := w.compareEntry(e, sides, dir, depth, length); err != nil {
			return err
		}
	}
	return nil
}

// read returns a tree's entries, as far as they are known. They are open until the stack is taken back.
func (w *walk) read(tree uint32) []uint32 {
	start, whole := len(w.open), false
	if w.open, whole = w.list(w.open, tree); !whole {
		w.err = errors.New("a tree is missing or damaged")
	}
	return w.open[start:]
}

// compareEntry compares one entry with those of its name on the other sides.
func (w *walk) compareEntry(number uint32, sides []side, dir uint32, depth, length int) error {
	first := len(w.olds)
	defer func() { w.olds = w.olds[:first] }()
	e, prev := w.entry[number], none
	for i := range sides {
		was := sides[i].find(w.trees, number)
		if was == number {
			return nil
		}
		old := none
		if was != none && w.entry[was].kind == e.kind {
			old = w.entry[was].object
		}
		if prev == none {
			prev = old
		}
		w.olds = append(w.olds, old)
	}
	if e.kind == submodule {
		return nil
	}
	if len(w.path) > maxPaths {
		return errTooManySteps
	}
	length += 1 + len(w.nameOf(e.name))
	path := w.in(dir, e.name)
	if w.below != "" {
		w.bytes = w.appendPath(w.bytes[:0], path)
		if p := string(w.bytes); !within(p, w.below) && (e.kind != directory || !within(w.below, p)) {
			return nil
		}
	}
	if w.files++; w.files > maxTreeFiles {
		return errTooManyFiles
	}
	if e.kind == directory {
		return w.directory(e.object, w.olds[first:], path, depth+1, length)
	}
	if length > maxPath {
		w.err = errTooManyFiles
		return nil
	}
	if err := w.step(stepsEach + length); err != nil {
		return err
	}
	return w.do(change{path, e.object, prev})
}

// find passes over the entries before one, and returns it if it is there, else one of the same name, else none.
func (s *side) find(t *trees, number uint32) uint32 {
	for ; s.next < len(s.entries); s.next++ {
		have := s.entries[s.next]
		if have == number {
			return number
		}
		order := t.order(have, number)
		if order > 0 {
			return none
		}
		if order == 0 { // a broken tree may hold the name again
			for _, more := range s.entries[s.next+1:] {
				if more == number {
					return number
				}
				if t.order(more, number) != 0 {
					break
				}
			}
			return have
		}
	}
	return none
}

// step counts work, and now and then looks whether it is still wanted.
func (w *walk) step(n int) error {
	before := w.steps
	if w.steps += n; w.steps > maxSteps {
		return errTooManySteps
	}
	if before>>16 != w.steps>>16 {
		return w.ctx.Err()
	}
	return nil
}

// Tree lists the contents of a commit's tree: object ids by path as stored. What cannot be read is left out, with an error.
func (r *Repository) Tree(ctx context.Context, commitID string) (map[string]string, error) {
	t := newTrees(r.width/2, r.treeMemory())
	t.load = r.loadTree(ctx)
	s := &scan{Repository: r, trees: t}
	kind, content, err := r.objects.read(ctx, commitID)
	if err != nil || kind != "commit" {
		return nil, fmt.Errorf("reading commit: %w", cmpErr(err, errors.New("it is a "+kind)))
	}
	files := map[string]string{}
	c := s.parseCommit(commitID, content)
	if c.tree == none {
		return files, errors.New("reading commit: it is malformed")
	}
	w := &walk{trees: t, ctx: ctx, do: func(c change) error {
		files[t.pathOf(c.path)] = t.hex(c.new)
		return nil
	}}
	lost, err := w.compare(c.tree)
	return files, cmpErr(err, lost)
}

// loadTree reads trees one by one.
func (r *Repository) loadTree(ctx context.Context) func(id string) ([]byte, error) {
	return func(id string) ([]byte, error) {
		kind, content, err := r.objects.read(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("reading tree: %w", err)
		}
		if kind != "tree" {
			return nil, errors.New("reading tree: it is a " + kind)
		}
		return content, nil
	}
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
