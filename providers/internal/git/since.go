package git

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// someCommits lists the commits that refs, reflogs and working trees lead to, and tags of them, without what Since leaves out.
// What is left out is known all the same: it is what the first commits of the rest are compared with. A tag is left out with
// its commit, unless it was made later than a date.
func (s *scan) someCommits() error {
	s.silent = s.Below != "" // their messages lie nowhere below it
	s.trees.load = s.loadTree(s.ctx)
	date, isDate := Date(s.Since)
	if s.Since != "" && !isDate {
		id, err := s.resolve(s.Since)
		if err != nil {
			return err
		}
		s.only = func(commit) bool { return false }
		if err := s.load(id); err != nil {
			return err
		}
	}
	s.only = nil
	from := seconds(math.MaxInt64)
	if isDate {
		from = seconds(date.Unix())
		s.only = func(c commit) bool { return c.made >= from }
	}
	seen := map[string]bool{}
	for _, t := range s.refs.tips {
		if !seen[t.id] {
			seen[t.id] = true
			if err := s.load(t.id); err != nil {
				return err
			}
		}
	}
	if s.Since == "" || s.silent {
		return nil
	}
	listed := map[string]bool{}
	for _, c := range s.commits {
		listed[s.trees.hex(c.object)] = !c.left
	}
	for _, t := range slices.Clone(s.tags) {
		if !listed[t.target] && t.at < from || !strings.HasPrefix(s.refs.refOf(t.id), "refs/tags/") {
			continue
		}
		if _, content, err := s.objects.read(s.ctx, t.id); err == nil {
			if err := s.giveTag(t, content, func() {}); err != nil {
				return err
			}
		}
	}
	return s.ctx.Err()
}

// load reads the commits and tags that an object leads to, those that were not read before. What is neither is noted for otherPlaces.
func (s *scan) load(id string) error {
	for todo := []uint32{s.trees.objectOf(id)}; len(todo) > 0; {
		object := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.trees.about[object].facts&(isTried|isCommit) != 0 {
			continue
		}
		s.trees.about[object].facts |= isTried
		id := s.trees.hex(object)
		kind, content, err := s.objects.read(s.ctx, id)
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err != nil {
			continue // graph.missing counts it, or otherPlaces
		}
		switch kind {
		case "commit":
			if err := s.giveCommit(id, content, func() {}); err != nil {
				return err
			}
			todo = append(todo, s.commits[len(s.commits)-1].parents...)
		case "tag":
			t := parseTag(id, content)
			s.tags = append(s.tags, t)
			if s.isID(t.target) {
				todo = append(todo, s.trees.objectOf(t.target))
			}
		case "tree":
			s.trees.add(id, content)
		case "blob":
			s.trees.about[object].facts |= isBlob
		}
	}
	return nil
}

// resolve finds the commit that a name stands for: an id or the start of one, a branch, tag or other ref, HEAD; each with any
// number of "~N", "^N" and "^{commit}" behind it, as gitrevisions(7) has them.
func (s *scan) resolve(name string) (string, error) {
	base, steps := name, ""
	if i := strings.IndexAny(name, "~^"); i >= 0 {
		base, steps = name[:i], name[i:]
	}
	id, err := s.peel(s.lookUp(base))
	for err == nil && steps != "" {
		id, steps, err = s.ancestor(id, steps)
	}
	if s.ctx.Err() != nil {
		return "", s.ctx.Err()
	}
	if err != nil {
		return "", audit.Hint(fmt.Errorf("%w: %q is neither a commit of the repository nor a date", audit.ErrUsage, printable(name)),
			"give a commit, branch or tag that exists, or a date such as 2026-03-19")
	}
	return id, nil
}

// leastID is how many digits git takes for the start of an id.
const leastID = 4

// lookUp returns the id that a name without steps stands for, or "".
func (s *scan) lookUp(name string) string {
	for _, form := range []string{"%s", "refs/%s", "refs/tags/%s", "refs/heads/%s", "refs/remotes/%s", "refs/remotes/%s/HEAD"} {
		if id, ok := s.refs.refs[fmt.Sprintf(form, name)]; ok {
			return id
		}
	}
	if name == "HEAD" || name == "@" {
		return s.refs.head
	}
	name = strings.ToLower(name)
	if s.isID(name) || len(name) < leastID || strings.Trim(name, "0123456789abcdef") != "" {
		return name
	}
	found := ""
	for _, id := range s.objects.store.Prefixed(name) {
		if id, err := s.peel(id.Text(s.width / 2)); err == nil {
			if found != "" && found != id {
				return "" // of more than one commit
			}
			found = id
		}
	}
	return found
}

var errNoCommit = errors.New("no such commit")

// peel follows tags to the commit behind them.
func (s *scan) peel(id string) (string, error) {
	for range maxTagDepth {
		kind, content, err := s.objects.read(s.ctx, id)
		switch {
		case err != nil:
			return "", err
		case kind == "commit":
			return id, nil
		case kind != "tag":
			return "", errNoCommit
		}
		id = parseTag(id, content).target
	}
	return "", errNoCommit
}

// ancestor does the first of steps.
func (s *scan) ancestor(id, steps string) (next, rest string, err error) {
	if rest, ok := strings.CutPrefix(steps, "^{commit}"); ok {
		return id, rest, nil
	}
	if rest, ok := strings.CutPrefix(steps, "^{}"); ok {
		return id, rest, nil
	}
	digits := len(steps) - 1 - len(strings.TrimLeft(steps[1:], "0123456789"))
	n := 1
	if digits > 0 {
		if n, err = strconv.Atoi(steps[1 : 1+digits]); err != nil {
			return "", "", errNoCommit
		}
	}
	kind, parent, times := steps[0], n, min(n, 1)
	switch kind {
	case '~':
		parent, times = 1, n
	case '^':
	default:
		return "", "", errNoCommit
	}
	for range times {
		_, content, err := s.objects.read(s.ctx, id)
		if err != nil {
			return "", "", err
		}
		c := s.parseCommit(id, content)
		if parent > len(c.parents) {
			return "", "", errNoCommit
		}
		id = s.trees.hex(c.parents[parent-1])
	}
	return id, steps[1+digits:], nil
}

// Date reads a date as [Options].Since has it; ok is false for a commit.
func Date(s string) (at time.Time, ok bool) {
	for _, form := range []string{time.DateOnly, time.RFC3339, time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
