package match

import (
	"bytes"
	"slices"

	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// settle turns what was found into matches: secret, entropy, allowlists, other rules.
func (m *Matcher) settle(s *scratch) (matches []Match, whole bool) {
	whole = true
	s.lines = NewLines(s.content)
	for _, f := range s.found {
		if len(matches) == maxMatches {
			whole = false
			break
		}
		if x, ok := m.judge(s, f); ok {
			matches = append(matches, x)
		}
	}
	matches = m.combine(s, matches)
	m.displace(s.content, matches)
	return matches, whole
}

// judge does what gitleaks does to one match of an expression.
func (m *Matcher) judge(s *scratch, f found) (x Match, ok bool) {
	if f.rule.Regex == "" {
		return Match{Rule: f.rule.Rule, Keeper: f.rule.keeper}, true
	}
	raw := s.content[f.start:f.end]
	lead := len(raw) - len(bytes.TrimLeft(raw, "\n"))
	match := bytes.Trim(raw, "\n")
	if len(match) == 0 {
		lead = 0
	}
	// gitleaks shortens the match by what it cut off, but leaves it where it began.
	x = Match{Rule: f.rule.Rule, Start: f.start, End: f.start + len(match), Keeper: f.rule.keeper}
	secret, at := match, 0
	if f.rule.groups > 0 {
		if loc := f.rule.captures(match, s); loc != nil {
			if g := f.rule.SecretGroup; g > 0 {
				secret, at = nil, 0
				if loc[2*g] >= 0 {
					secret, at = match[loc[2*g]:loc[2*g+1]], loc[2*g]
				}
			} else {
				for g := 1; g < len(loc)/2; g++ {
					if loc[2*g+1] > loc[2*g] {
						secret, at = match[loc[2*g]:loc[2*g+1]], loc[2*g]
						break
					}
				}
			}
		}
	}
	x.SecretStart = f.start + lead + at
	x.SecretEnd = x.SecretStart + len(secret)
	if f.rule.Entropy != 0 && s.entropy(secret) <= f.rule.Entropy {
		return x, false
	}
	x.locate(s.lines)
	for _, list := range [...][]*allowlist{m.allow, f.rule.allow} {
		for _, a := range list {
			drops, holds := a.content(s, secret, match, span{x.LineStart, x.LineEnd})
			if drops {
				return x, false
			}
			if a.All && holds && a.local() {
				x.pending = append(x.pending, a)
			}
		}
	}
	return x, true
}

// locate finds the lines of a match by gitleaks' reckoning: a newline belongs to the line it ends and to the one it begins.
func (x *Match) locate(l *Lines) {
	if x.Start >= len(l.text) {
		x.Start = len(l.text)
	}
	end := min(x.Start+1, len(l.text))
	count, last := l.Before(end)
	x.line, x.LineStart = count, max(last, 0)
	x.column = x.Start - x.LineStart + 1
	if x.LineEnd = l.From(min(x.End, len(l.text))); x.LineEnd < len(l.text) || last < 0 && l.From(end) == len(l.text) {
		return
	}
	if first := l.From(end); first < len(l.text) {
		x.LineEnd = max(first, x.End)
	} else if i := bytes.IndexByte(l.text[x.End:], '\r'); i >= 0 {
		x.LineEnd = x.End + i
	}
}

// combine keeps, of the matches of a rule that requires others, those that have them.
func (m *Matcher) combine(s *scratch, matches []Match) []Match {
	var out []Match
	for i := range matches {
		if len(matches[i].rule.required) > 0 {
			out = make([]Match, 0, len(matches))
			break
		}
	}
	if out == nil {
		return matches
	}
	aside := map[*rule][]*Match{}
	for _, x := range matches {
		for _, q := range x.rule.required {
			others, ok := aside[q.rule]
			if !ok {
				others = m.aside(s, q.rule)
				aside[q.rule] = others
			}
			var near []*Match
			for _, o := range others {
				if (q.lines == nil || abs(x.line-o.line) <= *q.lines) && (q.column == nil || abs(x.column-o.column) <= *q.column) {
					near = append(near, o)
				}
			}
			x.need = append(x.need, near)
		}
		if !slices.ContainsFunc(x.need, func(near []*Match) bool { return len(near) == 0 }) {
			out = append(out, x)
		}
	}
	return out
}

// aside runs a required rule over the same text.
func (m *Matcher) aside(s *scratch, r *rule) (matches []*Match) {
	s.found = s.found[:0]
	if r.Regex != "" {
		r.compile(m.words)
		for _, loc := range r.re().FindAllIndex(s.content, maxMatches) {
			s.found = append(s.found, found{r, loc[0], loc[1]})
		}
	} else {
		s.found = append(s.found, found{r, 0, 0})
	}
	for _, f := range s.found {
		if x, ok := m.judge(s, f); ok {
			matches = append(matches, &x)
		}
	}
	return matches
}

func abs(n int) int { return max(n, -n) }

// displace notes for matches of generic rules which others on their line hold the same secret.
func (m *Matcher) displace(text []byte, matches []Match) {
	if !slices.ContainsFunc(matches, func(x Match) bool { return x.rule.generic }) {
		return
	}
	specific := map[int][]*Match{}
	for i := range matches {
		if x := &matches[i]; !x.rule.generic && x.rule.Regex != "" {
			specific[x.line] = append(specific[x.line], x)
		}
	}
	const most = 64 // on one line; more are no better
	for i := range matches {
		x := &matches[i]
		if !x.rule.generic {
			continue
		}
		for _, y := range specific[x.line] {
			if len(x.better) < most && bytes.Contains(text[y.SecretStart:y.SecretEnd], text[x.SecretStart:x.SecretEnd]) {
				x.better = append(x.better, y)
			}
		}
	}
}

// A place is where a match may stand, with what it takes to judge that. A history has millions.
type place struct {
	*scratch
	path   []byte
	commit string
}

// at returns the place in a file at path, in a commit. The scratch that it has is to be given back.
func (m *Matcher) at(path, commit string) place {
	s := m.take()
	s.path = append(s.path[:0], path...)
	return place{s, s.path, commit}
}

// A Keeper is what of a match decides where it stands.
type Keeper struct {
	rule    *rule
	m       *Matcher
	pending []*allowlist // lists of all kinds whose content parts hold
	better  []*Match     // matches that displace this one where they stand
	need    [][]*Match   // one of each must stand
}

// Lasting returns the match's keeper, which does not hold the match: a history has tens of thousands that wait for their places.
func (x *Match) Lasting() *Keeper {
	if len(x.pending)+len(x.better)+len(x.need) == 0 {
		return &x.rule.keeper
	}
	return new(x.Keeper)
}

// Keep tells whether the match stands in a file at path, in a commit; either may be "" for none.
func (x *Keeper) Keep(path, commit string) bool {
	at := x.m.at(path, commit)
	defer x.m.give(at.scratch)
	return x.keep(at)
}

func (x *Keeper) keep(at place) bool {
	if x.m.silent(x.rule, at) {
		return false
	}
	for _, a := range x.pending {
		if a.place(at) {
			return false
		}
	}
	for _, y := range x.better {
		if y.keep(at) {
			return false
		}
	}
	for _, near := range x.need {
		if !slices.ContainsFunc(near, func(y *Match) bool { return y.keep(at) }) {
			return false
		}
	}
	return true
}

// silent tells whether the place alone keeps a rule from reporting.
func (m *Matcher) silent(r *rule, at place) bool {
	if len(at.path) > 0 && string(at.path) == m.exempt {
		return true
	}
	if r.path != nil && !r.path.match(at.path, at.scratch) {
		return true
	}
	for _, list := range [...][]*allowlist{m.allow, r.allow} {
		for _, a := range list {
			if !a.local() || a.All && (a.regexes != nil || len(a.StopWords) > 0) {
				continue
			}
			if a.place(at) {
				return true
			}
		}
	}
	return false
}

// Paths returns the rules that a path breaks whatever lies there.
func (m *Matcher) Paths(path, commit string) (broken []*rules.Rule) {
	at := m.at(path, commit)
	defer m.give(at.scratch)
	for _, r := range m.paths {
		if !m.silent(r, at) {
			broken = append(broken, r.Rule)
		}
	}
	return broken
}
