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
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
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
	uses     [][]use                // of each word
	others   [][]int32              // the caller's words that are this one, by their index
	folding  int32                  // the words from here on fold into ASCII
	plain    func() *literal.Finder // of the words whatever stands next to them
	always   []*rule                // those without keywords
	paths    []*rule                // those that look at nothing but the path
	odd      []*rule                // those with keywords that the finder does not take
	patterns int                    // how many there are
	states   int                    // how many rules need one

	mu     sync.Mutex
	free   []*scratch
	things []*rule // see thing
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

	Keeper
	line, column int // of Start, as gitleaks counts
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
			switch {
			case r.SkipReport:
			case r.Regex == "":
				m.paths = append(m.paths, r)
			default:
				m.always = append(m.always, r)
			}
			continue
		}
		if len(r.odd) > 0 && !r.SkipReport {
			m.odd = append(m.odd, r)
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
		if w := &m.words[i]; len(w.Text) == 2 { // too short to be told from other text
			delete(number, *w)
			w.Before, w.After = m.around(w.Text, uses)
		}
	}
	for i, w := range words {
		n := add(w)
		m.others[n] = append(m.others[n], int32(i))
	}
	m.folding = int32(len(m.words))
	for _, r := range []string{"ſ", "\u212a", "İ"} {
		add(literal.Word{Text: r, Exact: true})
	}
	m.finder = literal.New(m.words)
	m.plain = sync.OnceValue(func() *literal.Finder {
		texts := make([]string, m.folding)
		for i := range texts {
			texts[i] = m.words[i].Text
		}
		return finder(texts)
	})
	return m
}

// around lists the bytes next to a keyword that are of interest to any of its uses; none means all.
func (m *Matcher) around(keyword string, uses []use) (before, after literal.Set) {
	for _, u := range uses {
		if u.rule.Regex == "" || u.rule.SkipReport || len(u.rule.odd) > 0 {
			return literal.Set{}, literal.Set{}
		}
		x := u.rule.compile(m.words)
		if !x.anchored || x.own != nil {
			return literal.Set{}, literal.Set{}
		}
		b, a := x.prog.around(x.forward, x.back(), &x.anchor[u.local], keyword[0])
		for i := range before {
			before[i] |= b[i]
			after[i] |= a[i]
		}
	}
	return before, after
}

// Find returns all matches in text that do not depend on where it lies, or may: ask each [Match.Keep]. whole is false if there
// were too many. visit, if not nil, is called for each of the words that New was given where it stands in text, in the order of
// their ends; a hit's Word is its index there.
//
// Only the parts of text that are new to of, which may be nil, are looked at, and what may matter in them is touched.
func (m *Matcher) Find(text []byte, of *fresh.Text, visit func(literal.Hit) (matters bool)) (matches []Match, whole bool) {
	s := m.take()
	defer m.give(s)
	s.begin(text)
	s.known = of
	folding := m.scan(s, visit)
	if folding {
		of.Lose()
		s.begin(text)
		m.scanFolding(s)
	}
	m.finish(s, folding)
	if len(s.found) == 0 {
		return nil, true
	}
	return m.settle(s)
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
	s.content, s.lines, s.known = nil, nil, nil
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
	content   []byte
	lines     *Lines
	known     *fresh.Text
	text      uint32 // number of the text, so that states need no clearing
	state     []state
	searches  []*dfa // of patterns
	hits      []literal.Hit
	found     []found
	later     []*rule // that are looked at when all keywords are known
	starts    []int
	stack     []frame
	choices   []choice
	caps      []int
	onLines   map[*allowlist]lineAnswer
	path      []byte
	surprises [maxKnown][]float64 // by length and number, as far as they are known
	low       string
	lowered   bool
}

// found is one match of an expression, as regexp would report it.
type found struct {
	rule       *rule
	start, end int
}

// state is a rule's progress through a text.
type state struct {
	text    uint32
	skip    bool // nothing is to be done at its keywords
	thing   uint8
	pos     int // end of the last match
	tried   int // no match starts before
	work    int
	rough   *dfa // nil if it is no other than forward
	forward *dfa
	trail   trail // of forward
	back    *dfa  // nil until it is needed
	search  *dfa
	needs   []*dfa
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
	s.found, s.later = s.found[:0], s.later[:0]
}

func (s *scratch) of(r *rule) *state {
	st := &s.state[r.id]
	if st.text != s.text {
		st.text, st.skip, st.thing, st.pos, st.tried, st.work = s.text, false, 0, 0, 0, 0
		st.trail.at = st.trail.at[:0]
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
