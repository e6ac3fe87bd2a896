// Package match finds in a text what gitleaks' rules match, with the semantics of gitleaks 8.30 and a fraction of its work.
//
// One pass over the text finds keywords. For all but a few rules it is provable from the expression that each match contains
// a keyword at a bounded distance from its start; there, automata decide at each keyword whether the text around it can match
// at all, and the few that remain are tried exactly, from each possible start, in the order in which regexp finds them.
// What cannot be treated so, or costs too much, is done by regexp over the whole text.
//
// It differs from gitleaks in one point: a finding on a last line without a newline has that line as its line, where gitleaks
// takes all the text up to there, so that a remark anywhere in a file silences its last line.
package match

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// A Matcher runs one set of rules. It is safe for concurrent use.
type Matcher struct {
	rules    []*rule
	allow    []*allowlist // global
	exempt   string       // path of the configuration
	words    []literal.Word
	finder   *literal.Finder
	uses     [][]use   // of each word
	others   [][]int32 // the caller's words that are this one, by their index
	patterns int       // how many there are
	states   int       // how many rules need one

	mu   sync.Mutex
	free []*scratch
}

// use says that a word is a rule's local-th keyword.
type use struct {
	rule  *rule
	local int32
}

// A Match is one match of one rule. Offsets are in bytes of the text.
type Match struct {
	Rule                   *rules.Rule
	Start, End             int // newlines at the end are cut off, as gitleaks does
	SecretStart, SecretEnd int // may be empty
	LineStart, LineEnd     int // the text of the lines it lies on, with the newline before the first

	line, column int // of Start, as gitleaks counts
	rule         *rule
	m            *Matcher
	pending      []*allowlist // lists of all kinds whose content parts hold
	better       []*Match     // matches that displace this one where they stand
	need         [][]*Match   // one of each must stand
}

// maxMatches bounds the memory that one text can take: a text of nothing but keys.
const maxMatches = 100_000

// New prepares a set of rules. It does little; rules are compiled when they are first needed. Words are looked for in the same pass,
// for [Matcher.Find] to hand out.
func New(set *rules.Set, words ...literal.Word) *Matcher {
	m := &Matcher{exempt: set.Path}
	for i := range set.Allow {
		m.allow = append(m.allow, m.newAllowlist(&set.Allow[i]))
	}
	byID := map[string]*rule{}
	number := map[literal.Word]int32{}
	add := func(w literal.Word) int32 {
		n, ok := number[w]
		if !ok {
			n = int32(len(m.words))
			number[w] = n
			m.words, m.uses, m.others = append(m.words, w), append(m.uses, nil), append(m.others, nil)
		}
		return n
	}
	for i := range set.Rules {
		r := m.newRule(i, &set.Rules[i])
		m.rules = append(m.rules, r)
		byID[r.ID] = r
		if r.always {
			continue
		}
		for _, k := range r.Keywords {
			if k == "" || slices.Contains(r.odd, k) {
				continue
			}
			if n := add(literal.Word{Text: k}); !slices.Contains(r.lits, n) {
				m.uses[n] = append(m.uses[n], use{r, int32(len(r.lits))})
				r.lits = append(r.lits, n)
			}
		}
	}
	m.states = len(m.rules)
	for _, r := range m.rules {
		for _, q := range r.Required {
			other := *byID[q.ID].Rule
			other.Keywords, other.Required = nil, nil // runs whatever the content, and one level deep
			x := m.newRule(m.states, &other)
			m.states++
			r.required = append(r.required, required{x, q.WithinLines, q.WithinColumns})
		}
	}
	for i, uses := range m.uses {
		if len(m.words[i].Text) == 2 {
			m.words[i].After = m.after(uses)
		}
	}
	for i, w := range words {
		n := add(w)
		m.others[n] = append(m.others[n], int32(i))
	}
	m.finder = literal.New(m.words)
	return m
}

// after lists the bytes behind a keyword that are of interest to any of its uses; none means all.
func (m *Matcher) after(uses []use) (set literal.Set) {
	for _, u := range uses {
		if u.rule.Regex == "" || u.rule.SkipReport || len(u.rule.odd) > 0 {
			return literal.Set{}
		}
		x := u.rule.compile(m.words)
		if !x.anchored || x.own != nil || x.anchor[u.local].afterDone != 0 {
			return literal.Set{}
		}
		for _, i := range x.anchor[u.local].after {
			for b := range 256 {
				if x.forward.nodes[i].takes(byte(b)) {
					set.Add(byte(b))
				}
			}
		}
	}
	return set
}

// Find returns all matches in text that do not depend on where it lies, or may: ask each [Match.Keep]. whole is false if there
// were too many. visit, if not nil, is called for each of the words that New was given where it stands in text, in the order of
// their ends; a hit's Word is its index there.
func (m *Matcher) Find(text []byte, visit func(literal.Hit)) (matches []Match, whole bool) {
	s := m.take()
	defer m.give(s)
	s.begin(text)
	folding := bytes.Contains(text, []byte("ſ")) || bytes.Contains(text, []byte("\u212a")) || bytes.Contains(text, []byte("İ"))
	if folding {
		m.scanFolding(s)
		m.hits(s, m.finder, text, func(h literal.Hit) { m.hand(h, visit) })
	} else {
		m.hits(s, m.finder, text, func(h literal.Hit) {
			for _, u := range m.uses[h.Word] {
				m.look(s, u, h, false)
			}
			m.hand(h, visit)
		})
	}
	for _, r := range m.rules {
		st := &s.state[r.id]
		fresh := st.text == s.text
		switch {
		case r.SkipReport:
		case r.always && r.Regex != "":
			m.findAll(s, r)
		case r.always:
		case len(r.odd) > 0 && s.hasOdd(r.odd), fresh && st.present && (r.Regex == "" || !r.compile(m.words).anchored):
			m.findAll(s, r)
		case fresh && st.present && r.own != nil && folding:
			m.findAll(s, r)
		case fresh && st.present && r.own != nil:
			m.findOwn(s, r)
		}
	}
	if len(s.found) == 0 {
		return nil, true
	}
	return m.settle(s)
}

// chunk is how much text is searched for keywords before the hits are looked at, while it is still in the cache.
const chunk = 64 << 10

// hand gives a hit to visit as often as the caller has asked for the word.
func (m *Matcher) hand(h literal.Hit, visit func(literal.Hit)) {
	for _, i := range m.others[h.Word] {
		if visit != nil {
			visit(literal.Hit{Start: h.Start, End: h.End, Word: i})
		}
	}
}

// hits calls visit for the hits of f in the order of their ends.
func (m *Matcher) hits(s *scratch, f *literal.Finder, text []byte, visit func(literal.Hit)) {
	hits := s.hits[:0]
	for from := 0; from < len(text); from += chunk {
		to := min(from+chunk, len(text))
		hits = f.Scan(text, from, to, hits)
		byEnd(hits)
		n := 0
		for ; n < len(hits) && (hits[n].End <= to || to == len(text)); n++ {
			visit(hits[n])
		}
		hits = append(hits[:0], hits[n:]...) // a later one may end before these
	}
	s.hits = hits
}

// byEnd sorts hits, which are almost in order.
func byEnd(hits []literal.Hit) {
	for i := 1; i < len(hits); i++ {
		for j := i; j > 0 && hits[j].End < hits[j-1].End; j-- {
			hits[j], hits[j-1] = hits[j-1], hits[j]
		}
	}
}

// scanFolding does the work of scan for text with ſ, the Kelvin sign or İ. gitleaks asks for keywords in the lower case of the text, which
// folds the latter two; expressions fold the former two.
func (m *Matcher) scanFolding(s *scratch) {
	present := make([]bool, len(m.words))
	low := unfold(s.content, map[rune]byte{'\u212a': 'k', 'İ': 'i'})
	m.hits(s, m.finder, low.text, func(h literal.Hit) { present[h.Word] = true })
	for word, yes := range present {
		for _, u := range m.uses[word] {
			if yes {
				s.of(u.rule).present = true
			}
		}
	}
	like := unfold(s.content, map[rune]byte{'\u212a': 'k', 'ſ': 's'})
	m.hits(s, m.finder, like.text, func(h literal.Hit) {
		for _, u := range m.uses[h.Word] {
			if s.of(u.rule).present {
				m.look(s, u, literal.Hit{Start: like.original(h.Start), End: like.original(h.End), Word: h.Word}, true)
			}
		}
	})
}

// unfolded is a text with some runes replaced by bytes, and the way back.
type unfolded struct {
	text  []byte
	at    []int // offsets in text behind a replaced rune
	shift []int // what to add from there on
}

func unfold(b []byte, to map[rune]byte) *unfolded {
	u := &unfolded{text: make([]byte, 0, len(b))}
	for i := 0; i < len(b); {
		replaced := false
		if c := b[i]; c == 0xe2 || c == 0xc5 || c == 0xc4 {
			for r, by := range to {
				if seq := string(r); bytes.HasPrefix(b[i:], []byte(seq)) {
					u.text = append(u.text, by)
					i += len(seq)
					u.at, u.shift = append(u.at, len(u.text)), append(u.shift, i-len(u.text))
					replaced = true
					break
				}
			}
		}
		if !replaced {
			u.text = append(u.text, b[i])
			i++
		}
	}
	return u
}

func (u *unfolded) original(i int) int {
	n, _ := slices.BinarySearch(u.at, i+1)
	if n == 0 {
		return i
	}
	return i + u.shift[n-1]
}

// look decides what a keyword at h means to a rule.
func (m *Matcher) look(s *scratch, u use, h literal.Hit, folding bool) {
	st := s.of(u.rule)
	st.present = true
	if st.skip || h.Start < st.pos {
		return
	}
	if st.forward == nil {
		if u.rule.SkipReport || u.rule.Regex == "" || len(u.rule.odd) > 0 || !u.rule.compile(m.words).anchored {
			st.skip = true // at the end, if at all
			return
		}
		st.forward, st.back = newDFA(u.rule.forward, false), newDFA(u.rule.back, false)
	}
	if u.rule.own != nil {
		st.skip = true // in findOwn
		return
	}
	m.try(s, u.rule, u.local, h, folding)
}

// try finds the matches of a rule that contain its anchor's literal at h.
func (m *Matcher) try(s *scratch, r *rule, local int32, h literal.Hit, folding bool) {
	st, x := s.of(r), r.expr
	a := &x.anchor[local]
	can, cost := st.forward.reach(s.content, h.End, st.forward.start(local, a.after, a.afterDone), len(s.content))
	if st.work += cost; st.work > s.allowance() {
		m.giveUp(s, r)
		return
	}
	if !can {
		return
	}
	reach := x.reach
	if folding {
		reach = x.wide
	}
	for {
		low := max(st.pos, st.tried, h.End-reach)
		s.starts = st.starts(s.content, low, h, local, a.before, s.starts[:0])
		st.work += h.End - low
		begin := st.pos
		for _, start := range slices.Backward(s.starts) {
			end, cost := x.at(s.content, start, s)
			st.work += cost
			if end >= 0 {
				s.found = append(s.found, found{r, start, end})
				st.pos = end
				break
			}
			if st.work > s.allowance() {
				m.giveUp(s, r)
				return
			}
		}
		if st.pos == begin {
			st.tried = max(st.tried, h.Start+1)
		}
		if st.pos == begin || st.pos > h.Start {
			return
		}
	}
}

// starts lists, in descending order, where in [low, h.Start] a match through keyword h can start.
func (st *state) starts(text []byte, low int, h literal.Hit, local int32, before []int32, list []int) []int {
	d := st.back
	q := d.start(local, before, 0)
	for i := h.End - 1; i >= low; i-- {
		if q = d.next(q, text[i]); q == dead {
			break
		}
		if i <= h.Start && d.done[q] != 0 {
			list = append(list, i)
		}
	}
	return list
}

// findOwn finds the matches of a rule by literals of its own, its keywords being present somewhere.
func (m *Matcher) findOwn(s *scratch, r *rule) {
	st := s.of(r)
	st.skip = false
	if st.forward == nil {
		st.forward, st.back = newDFA(r.forward, false), newDFA(r.back, false)
	}
	m.hits(s, r.own, s.content, func(h literal.Hit) {
		if !st.skip && h.Start >= st.pos {
			m.try(s, r, h.Word, h, false)
		}
	})
}

// giveUp lets regexp find the rest of a rule's matches, in linear time.
func (m *Matcher) giveUp(s *scratch, r *rule) {
	st := s.of(r)
	st.skip = true
	x := r.compile(m.words)
	if !x.plain {
		if st.search == nil {
			st.search = newDFA(x.forward, true)
		}
		const all = 1 << 62
		if can, _ := st.search.reach(s.content, st.pos, st.search.start(0, x.forward.origin, 0), all-st.pos); !can {
			return
		}
	}
	for _, loc := range r.re.FindAllIndex(s.content, maxMatches) {
		if loc[0] >= st.pos {
			s.found = append(s.found, found{r, loc[0], loc[1]})
		}
	}
	st.pos = len(s.content) + 1
}

// findAll finds the matches of a rule that has no anchor.
func (m *Matcher) findAll(s *scratch, r *rule) {
	if r.Regex == "" { // keywords that make a path matter
		s.found = append(s.found, found{r, 0, 0})
		return
	}
	x, st := r.compile(m.words), s.of(r)
	if x.plain {
		m.giveUp(s, r)
		return
	}
	if st.search == nil {
		st.search = newDFA(x.forward, true)
	}
	d, text := st.search, s.content
	d.resets = 0
	q := d.start(0, x.forward.origin, 0)
	width := len(d.sample)
	for i, c := range text {
		class := d.class[c]
		to := d.table[int(q)*width+int(class)]
		if to == 0 {
			to = d.step(q, class)
		}
		if q = to; d.done[q] == 0 || d.done[q] == atEnd && i+1 < len(text) {
			continue
		}
		if x.length < 0 || d.resets > 16+len(text)/4096 {
			m.giveUp(s, r)
			return
		}
		end := i + 1
		for start := max(st.pos, st.tried, end-x.length); start < end; start++ {
			to, cost := x.at(text, start, s)
			st.work += cost
			if to >= 0 {
				s.found = append(s.found, found{r, start, to})
				st.pos = to
				break
			}
			if st.work > s.allowance() {
				m.giveUp(s, r)
				return
			}
		}
		if st.pos <= i {
			st.tried = max(st.tried, end)
		}
	}
}

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
		return Match{Rule: f.rule.Rule, rule: f.rule, m: m}, true
	}
	raw := s.content[f.start:f.end]
	lead := len(raw) - len(bytes.TrimLeft(raw, "\n"))
	match := bytes.Trim(raw, "\n")
	if len(match) == 0 {
		lead = 0
	}
	// gitleaks shortens the match by what it cut off, but leaves it where it began.
	x = Match{Rule: f.rule.Rule, Start: f.start, End: f.start + len(match), rule: f.rule, m: m}
	secret, at := match, 0
	if f.rule.re.NumSubexp() > 0 {
		if loc := f.rule.groups(match); loc != nil {
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
	if f.rule.Entropy != 0 && entropy(secret) <= f.rule.Entropy {
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
		for _, loc := range r.re.FindAllIndex(s.content, maxMatches) {
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

// Keep tells whether the match stands in a file at path, in a commit; either may be "" for none.
func (x *Match) Keep(path, commit string) bool {
	if x.m.silent(x.rule, path, commit) {
		return false
	}
	for _, a := range x.pending {
		if a.place(path, commit) {
			return false
		}
	}
	for _, y := range x.better {
		if y.Keep(path, commit) {
			return false
		}
	}
	for _, near := range x.need {
		if !slices.ContainsFunc(near, func(y *Match) bool { return y.Keep(path, commit) }) {
			return false
		}
	}
	return true
}

// silent tells whether the place alone keeps a rule from reporting.
func (m *Matcher) silent(r *rule, path, commit string) bool {
	if path != "" && path == m.exempt {
		return true
	}
	if r.path != nil && !r.path.String(path) {
		return true
	}
	for _, list := range [...][]*allowlist{m.allow, r.allow} {
		for _, a := range list {
			if !a.local() || a.All && (a.regexes != nil || len(a.StopWords) > 0) {
				continue
			}
			if a.place(path, commit) {
				return true
			}
		}
	}
	return false
}

// Paths returns the rules that a path breaks whatever lies there.
func (m *Matcher) Paths(path, commit string) (broken []*rules.Rule) {
	for _, r := range m.rules {
		if r.Regex == "" && r.always && !r.SkipReport && !m.silent(r, path, commit) {
			broken = append(broken, r.Rule)
		}
	}
	return broken
}

// take lends a scratch; give takes it back. Scratches are kept, not pooled by the runtime, because the automata in them are
// costly to make again.
func (m *Matcher) take() *scratch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.free); n > 0 {
		s := m.free[n-1]
		m.free = m.free[:n-1]
		return s
	}
	return &scratch{state: make([]state, m.states), searches: make([]*dfa, m.patterns)}
}

func (m *Matcher) give(s *scratch) {
	s.content, s.lines = nil, nil
	s.onLines = nil
	s.low = ""
	s.lowered = false
	if cap(s.found) > 4096 {
		s.found = nil
	}
	if cap(s.hits) > 1<<16 {
		s.hits = nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, s)
}

// scratch is what one call of Find works with.
type scratch struct {
	content  []byte
	lines    *Lines
	text     uint32 // number of the text, so that states need no clearing
	state    []state
	searches []*dfa // of patterns
	hits     []literal.Hit
	found    []found
	starts   []int
	stack    []frame
	onLines  map[*allowlist]lineAnswer
	low      string
	lowered  bool
}

// found is one match of an expression, as regexp would report it.
type found struct {
	rule       *rule
	start, end int
}

// state is a rule's progress through a text.
type state struct {
	text    uint32
	present bool // a keyword was seen
	skip    bool // nothing is to be done at its keywords
	pos     int  // end of the last match
	tried   int  // no match starts before
	work    int
	forward *dfa
	back    *dfa
	search  *dfa
}

type span struct{ start, end int }

type lineAnswer struct {
	span
	yes bool
}

func (s *scratch) begin(text []byte) {
	s.content = text
	s.text++
	if s.text == 0 {
		for i := range s.state {
			s.state[i].text = 0
		}
		s.text = 1
	}
	s.found = s.found[:0]
}

func (s *scratch) of(r *rule) *state {
	st := &s.state[r.id]
	if st.text != s.text {
		st.text, st.present, st.skip, st.pos, st.tried, st.work = s.text, false, false, 0, 0, 0
	}
	return st
}

// allowance is the work a rule may do in this text before regexp takes over: generous against ordinary text, which needs less than
// one step a byte.
func (s *scratch) allowance() int { return 32*len(s.content) + 1<<20 }

// onLine judges a list that looks at the line. Matches of one line, which may be all of the text, share the answer.
func (s *scratch) onLine(a *allowlist, line span) bool {
	if line.start == line.end {
		return false
	}
	if known, ok := s.onLines[a]; ok && known.span == line {
		return known.yes
	}
	if s.onLines == nil {
		s.onLines = map[*allowlist]lineAnswer{}
	}
	yes := a.regexes.match(s.content[line.start:line.end], s)
	s.onLines[a] = lineAnswer{line, yes}
	return yes
}

// hasOdd looks for keywords that the finder does not take, in the lower case of the text.
func (s *scratch) hasOdd(words []string) bool {
	if !s.lowered {
		s.low, s.lowered = strings.ToLower(string(s.content)), true
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s.low, w) })
}
