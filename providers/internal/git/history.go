package git

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// short is enough of an id to tell whether an object was seen: of 10⁷ objects, two share it once in 10⁵ repositories.
func short(s string) uint64 {
	n, _ := strconv.ParseUint(s[:16], 16, 64)
	return n
}

// A commit is what is kept of one, by the numbers of its objects.
type commit struct {
	object, tree uint32 // tree is none if the commit is malformed
	parents      []uint32
	at, made     seconds // author date, committer date
	left         bool    // out: others are compared with it
}

// A tag is what is kept of an annotated tag.
type tag struct {
	id, target, kind string
	at               seconds
}

// seconds is a time since 1970, noTime for none.
type seconds int64

const noTime seconds = math.MinInt64

func (s seconds) time() time.Time {
	if s == noTime {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// headers walks over the header lines of a commit or tag; continuation lines are left out.
func headers(content []byte, do func(key, value []byte)) {
	for line := range bytes.Lines(content) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			return
		}
		if key, value, ok := bytes.Cut(line, []byte(" ")); ok && len(key) > 0 {
			do(key, value)
		}
	}
}

// maxParents bounds the parents of a commit: those beyond are not compared with. The widest merge of the Linux kernel has 66.
const maxParents = 1000

// parseCommit reads a commit. One at the border of a shallow clone has no parents.
func (s *scan) parseCommit(id string, content []byte) commit {
	c := commit{object: s.trees.objectOf(id), tree: none, at: noTime, made: noTime}
	headers(content, func(key, value []byte) {
		switch string(key) {
		case "tree":
			if s.isID(string(value)) {
				c.tree = s.trees.objectOf(string(value))
			}
		case "parent":
			if len(c.parents) < maxParents && !s.border[id] && s.isID(string(value)) {
				c.parents = append(c.parents, s.trees.objectOf(string(value)))
			}
		case "author":
			c.at = when(value)
		case "committer":
			c.made = when(value)
		}
	})
	return c
}

func parseTag(id string, content []byte) tag {
	t := tag{id: id, at: noTime}
	headers(content, func(key, value []byte) {
		switch string(key) {
		case "object":
			t.target = string(value[:min(len(value), 64)])
		case "type":
			t.kind = string(value[:min(len(value), len("commit"))])
		case "tagger":
			t.at = when(value)
		}
	})
	return t
}

// when reads the time of an author line, "NAME <MAIL> SECONDS ZONE". The zone is left out: reports are in UTC. noTime is
// returned for one that cannot be read or lies outside the years that a report can show.
func when(line []byte) seconds {
	i := bytes.LastIndex(line, []byte("> "))
	if i < 0 {
		return noTime
	}
	digits, _, _ := bytes.Cut(line[i+2:], []byte(" "))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 || n > 253402300799 {
		return noTime
	}
	return seconds(n)
}

// byAge sorts commits oldest first.
func (t *trees) byAge(commits []commit) {
	slices.SortFunc(commits, func(a, b commit) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.made, b.made), bytes.Compare(t.id(a.object), t.id(b.object)))
	})
}

// A graph finds commits by their objects.
type graph struct {
	commits []commit
	at      []uint32 // by object, its index in commits; none for what is no commit, and short of objects met later
}

func (t *trees) graph(commits []commit) *graph {
	g := &graph{commits, slices.Repeat([]uint32{none}, len(t.about))}
	for i, c := range commits {
		g.at[c.object] = uint32(i)
	}
	return g
}

// find returns the index of a commit, or none.
func (g *graph) find(object uint32) uint32 {
	if object >= uint32(len(g.at)) {
		return none
	}
	return g.at[object]
}

// missing counts the parents that commits name and that are not there.
func (g *graph) missing() (n int) {
	counted := map[uint32]bool{}
	for _, c := range g.commits {
		for _, p := range c.parents {
			if g.find(p) == none && !counted[p] {
				counted[p] = true
				n++
			}
		}
	}
	return n
}

// reach calls do for each commit that start leads to, and goes on behind those for which do returns true.
func (g *graph) reach(start uint32, do func(commit uint32) bool) {
	for todo := []uint32{start}; len(todo) > 0; {
		i := g.find(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		if i != none && do(i) {
			todo = append(todo, g.commits[i].parents...)
		}
	}
}

// A label names what a commit is reachable from.
type label struct{ ref, name string }

// labels names each commit by the best of the tips it is reachable from; nil is for one that nothing names.
func (s *scan) labels() []*label {
	behind := make(map[string]string, len(s.tags))
	for _, t := range s.tags {
		behind[t.id] = t.target
	}
	out := make([]*label, len(s.commits))
	for _, t := range s.refs.tips {
		target := t.id
		for range maxTagDepth {
			if next, ok := behind[target]; ok {
				target = next
			}
		}
		if !s.isID(target) {
			continue
		}
		l := &label{t.ref, t.name}
		if strings.HasPrefix(t.ref, "refs/notes/") && t.name == "" {
			l.name = "note"
		}
		s.graph.reach(s.trees.objectOf(target), func(c uint32) bool {
			isNew := out[c] == nil
			if isNew {
				out[c] = l
			}
			return isNew
		})
	}
	return out
}

// maxTagDepth bounds how many tags of tags are followed.
const maxTagDepth = 16
