package git

import (
	"cmp"
	"errors"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// outside calls do for what lies outside commits: what is staged in an index, and blobs and trees that a tag or ref names.
func (s *scan) outside(do func(place) error) error {
	w := &walk{trees: s.trees, ctx: s.ctx, below: s.Below}
	for _, dir := range s.worktrees() {
		if err := s.staged(dir, w, do); err != nil {
			return err
		}
	}
	if s.Since != "" {
		return nil
	}
	known := map[string]bool{}
	for _, t := range s.tags {
		known[t.id] = true
		if s.isID(t.target) {
			if err := s.named(t.target, t.kind, cmp.Or(s.refs.refOf(t.id), "tag "+t.id), w, do); err != nil {
				return err
			}
		}
	}
	for _, t := range s.refs.tips {
		if known[t.id] {
			continue
		}
		known[t.id] = true
		kind := s.kindOf(t.id)
		if kind == "" && t.name == "" {
			s.problem("ref", "the object it names is missing or damaged", t.ref, 1)
		}
		if err := s.named(t.id, kind, t.ref, w, do); err != nil {
			return err
		}
	}
	return nil
}

// kindOf tells what an object is that a ref names, tags aside; "" if it is not there.
func (s *scan) kindOf(id string) string {
	object := s.trees.objectOf(id)
	switch facts := s.trees.about[object].facts; {
	case facts&isCommit != 0:
		return "commit"
	case facts&isBlob != 0 || s.listed(id):
		return "blob"
	case s.trees.has(object):
		return "tree"
	}
	return ""
}

// staged finds what the index of a working tree holds and its HEAD does not.
func (s *scan) staged(dir string, w *walk, do func(place) error) error {
	entries, err := s.index(dir)
	if err != nil {
		s.gap("index", err.Error())
	}
	if len(entries) == 0 {
		return nil
	}
	var head []uint32
	if id, _ := s.headOf(dir, s.refs.refs); id != "" {
		head, _ = s.filesOf(id) // what it lacks is listed as staged
	}
	at := &audit.Location{Kind: audit.InFile, Name: "staged"}
	w.do = func(c change) error {
		if isIn(head, c.path, c.new) {
			return nil
		}
		return do(place{c, none, at})
	}
	for _, e := range entries {
		if len(s.trees.path) > maxPaths {
			s.gap("index", errTooManySteps.Error())
			break
		}
		path, object := s.trees.pathTo(e.path), s.trees.objectOf(e.id)
		switch {
		case e.tree:
			err = s.listTree(w, object, path, "index")
		case s.Below == "" || within(e.path, s.Below):
			err = w.do(change{path, object, none})
		}
		if err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// named finds the places of a blob or of the files in a tree that ref names.
func (s *scan) named(id, kind, ref string, w *walk, do func(place) error) error {
	at := &audit.Location{Kind: audit.InCommit, Ref: safeText(ref)}
	switch {
	case kind == "blob" && s.Below == "":
		return do(place{change{0, s.trees.objectOf(id), none}, none, at})
	case kind == "tree":
		w.do = func(c change) error { return do(place{c, none, at}) }
		return s.listTree(w, s.trees.objectOf(id), 0, "a tree that "+printable(ref)+" names")
	}
	return nil
}

// listTree walks over all files of a tree that lies at a path. What cannot be listed is a gap in what.
func (s *scan) listTree(w *walk, tree, at uint32, what string) error {
	w.top = at
	lost, err := w.compare(tree)
	if errors.Is(err, errTooManySteps) {
		lost, err = err, nil
	}
	if lost != nil {
		s.gap(what, lost.Error())
	}
	return err
}

// contentsOf lists the blobs that the commits put somewhere, and those outside.
func (s *scan) contentsOf() error {
	seen := map[string]bool{}
	var ids []string
	add := func(at place) error {
		if !seen[string(s.trees.id(at.new))] {
			seen[string(s.trees.id(at.new))] = true
			ids = append(ids, s.trees.hex(at.new))
		}
		return nil
	}
	gaps := len(s.gaps)
	if err := cmpErr(s.compareAll(add), s.outside(add)); err != nil {
		return err
	}
	s.gaps = s.gaps[:gaps] // the same are met again when places are listed
	clear(s.problems)
	s.silent = true // a commit or tag that a broken tree names as a file was listed or left out on purpose
	var left []string
	for _, id := range ids {
		binary, _ := pack.ParseID(id, s.width/2)
		kind, content, err := s.objects.store.Read(s.ctx, binary)
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err != nil {
			left = append(left, id)
			continue
		}
		if err := s.object(object{id, kind.String(), int64(len(content)), content, func() {}}); err != nil {
			return err
		}
	}
	return s.each(left)
}
