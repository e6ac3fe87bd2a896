package git

import (
	"errors"
	"maps"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// fewWanted is the part of all objects below which those that are wanted are read one by one: for each, that costs some ten times of
// what listing it with all others does.
const fewWanted = 16

// whatIsNew lists, of a repository that is kept, what refs lead to and was not scanned before, or was and something was said of it. Of the
// rest it reads what the places need: commits, tags and trees. Anything that is not as it was promised ends with [cache.ErrDamaged].
func (s *scan) whatIsNew() error {
	s.silent = true
	for o := range s.objects.store.Structure(s.ctx) {
		switch {
		case o.Err != nil || o.Content == nil && o.Kind != pack.Blob:
			return s.damaged()
		case o.Kind != pack.Blob:
			if err := s.object(object{o.ID.Text(s.width / 2), o.Kind.String(), o.Size, o.Content, o.Done}); err != nil {
				return err
			}
		case o.Done != nil:
			o.Done()
		}
	}
	s.silent = false
	if s.ctx.Err() != nil || s.trees.dropped > 0 || s.cutsParents() || len(s.objects.store.Problems()) > 0 {
		return s.damaged()
	}
	return s.listWanted(s.choose())
}

// cutsParents tells whether some commit may have more parents than are kept: what those lead to would be taken for what nothing leads to.
func (s *scan) cutsParents() bool {
	return slices.ContainsFunc(s.commits, func(c commit) bool { return len(c.parents) == maxParents })
}

// damaged has all be fetched anew.
func (s *scan) damaged() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.entry.Drop()
}

// choose finds out which objects are to be listed. Commits and tags that no ref leads to are as if they were not there.
func (s *scan) choose() (wanted []uint32) {
	s.graph = s.trees.graph(s.commits)
	tips, again := s.entry.Scanned(s.rules)
	s.reach(isScanned, tips)
	files, texts := s.reach(isReached, s.tips())
	for _, n := range files {
		s.blobs = append(s.blobs, short(s.trees.hex(n)))
	}
	for _, n := range append(files, texts...) {
		if s.trees.about[n].facts&isScanned == 0 {
			wanted = append(wanted, n)
		}
	}
	for _, id := range again {
		switch n := s.trees.objectOf(id); s.trees.about[n].facts & (isReached | isScanned) {
		case isReached | isScanned:
			wanted = append(wanted, n)
		case isScanned:
			s.elsewhere = append(s.elsewhere, id)
		}
	}
	isLeft := func(object uint32) bool { return s.trees.about[object].facts&isReached == 0 }
	s.commits = slices.DeleteFunc(s.commits, func(c commit) bool { return isLeft(c.object) })
	s.tags = slices.DeleteFunc(s.tags, func(t tag) bool { return isLeft(s.trees.objectOf(t.id)) })
	return wanted
}

func (s *scan) tips() (ids []string) {
	for _, t := range s.refs.tips {
		ids = append(ids, t.id)
	}
	return ids
}

// reach notes a fact of all objects that some lead to, and returns those of which it was not known yet: contents of files, and
// commits and tags. What is not there counts as a content.
func (s *scan) reach(fact facts, from []string) (files, texts []uint32) {
	var todo, entries []uint32
	for _, id := range from {
		todo = append(todo, s.trees.objectOf(id))
	}
	behind := make(map[uint32]uint32, len(s.tags))
	for _, t := range s.tags {
		if s.isID(t.target) {
			behind[s.trees.objectOf(t.id)] = s.trees.objectOf(t.target)
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.trees.about[n].facts&fact != 0 {
			continue
		}
		s.trees.about[n].facts |= fact
		target, isTag := behind[n]
		switch i := s.graph.find(n); {
		case i != none:
			texts, todo = append(texts, n), append(todo, s.commits[i].parents...)
			if tree := s.commits[i].tree; tree != none {
				todo = append(todo, tree)
			}
		case isTag:
			texts, todo = append(texts, n), append(todo, target)
		case s.trees.has(n):
			entries, _ = s.trees.list(entries[:0], n)
			for _, e := range entries {
				if at := s.trees.entry[e]; at.kind != submodule {
					todo = append(todo, at.object)
				}
			}
		case !s.trees.isEmptyTree(n):
			files = append(files, n)
		}
	}
	return files, texts
}

// listWanted lists objects.
func (s *scan) listWanted(wanted []uint32) error {
	commits, tags, blobs := s.commits, s.tags, s.blobs // are known already
	list := s.listAmongAll
	if len(wanted) < (len(blobs)+len(commits))/fewWanted {
		list = s.listEach
	}
	if err := list(wanted); err != nil {
		return err
	}
	s.commits, s.tags, s.blobs = commits, tags, blobs
	return nil
}

func (s *scan) listEach(wanted []uint32) error {
	for _, n := range wanted {
		id := s.trees.hex(n)
		binary, _ := pack.ParseID(id, s.width/2)
		kind, content, err := s.objects.store.Read(s.ctx, binary)
		size := int64(len(content))
		if errors.Is(err, pack.ErrTooLarge) {
			kind, content = pack.Blob, nil // of other kinds, none was kept
			size, err = s.objects.store.Size(binary)
		}
		if err != nil {
			return s.damaged()
		}
		if err := s.object(object{id, kind.String(), size, content, func() {}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) listAmongAll(wanted []uint32) error {
	left := len(wanted)
	for _, n := range wanted {
		s.trees.about[n].facts |= isWanted
	}
	for o := range s.objects.store.Objects(s.ctx) {
		if o.Err != nil {
			return s.damaged()
		}
		id := o.ID.Text(s.width / 2)
		about := &s.trees.about[s.trees.objectOf(id)]
		if about.facts&isWanted == 0 {
			if o.Done != nil {
				o.Done()
			}
			continue
		}
		about.facts &^= isWanted
		left--
		if err := s.object(object{id, o.Kind.String(), o.Size, o.Content, o.Done}); err != nil {
			return err
		}
	}
	if left > 0 || s.ctx.Err() != nil {
		return s.damaged()
	}
	return nil
}

// keep remembers what was fetched and listed, if all of it is sound and the consumer says what came of it. What cannot be kept
// is fetched again.
func (s *scan) keep(choice *audit.Choice) {
	if s.entry == nil || s.rules == "" || choice == nil || choice.Again == nil || !s.isSound || s.trees.load != nil || s.cutsParents() || s.ctx.Err() != nil {
		return
	}
	again := slices.Concat(slices.Collect(maps.Keys(s.large)), s.elsewhere)
	for _, id := range choice.Again {
		if s.isID(id) {
			again = append(again, id)
		}
	}
	_ = s.entry.Save(s.rules, s.tips(), again, s.objects.store.Keep)
}
