package match

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// A rule is a rule ready to run. What is costly to make is made when the rule is first needed.
type rule struct {
	*rules.Rule
	id       int
	always   bool     // tried whatever the content: no keywords
	odd      []string // keywords that the finder does not take
	lits     []int32  // keywords in the finder
	generic  bool
	path     *pattern
	allow    []*allowlist
	required []required
	keeper   Keeper // of a match whose content leaves nothing open

	once sync.Once
	*expr
}

type required struct {
	rule          *rule
	lines, column *int
}

// An expr is a rule's expression and what is known about it.
type expr struct {
	re      func() *regexp.Regexp // compiled when it is first needed
	groups  int                   // how many it has
	prog    *program
	forward *nfa
	back    func() *nfa // made when it is first needed
	rough   *nfa
	plain   bool // can match the empty text, so only regexp will do

	// anchored: every match contains a keyword that ends at most reach bytes behind the match's start (wide in text with
	// runes that fold into ASCII). anchor has one entry a keyword, in the order of rule.lits.
	anchored    bool
	own         *literal.Finder // of other literals than the keywords, in whose order anchor is then; mostly nil
	needs       []*nfa          // that all find something in a match, each at a literal that needed finds
	needed      *literal.Finder // nil if there are none
	run         run             // that is in each match
	length      int             // of the longest match in bytes, -1 for unbounded
	anchor      []anchor
	reach, wide int
	why         string // the keywords anchor no match; "" if they do

	heldOnce sync.Once
	held     [2]*regexp.Regexp // held fast at the start of the text, and one byte behind it
}

func (r *rule) compile(words []literal.Word) *expr {
	r.once.Do(func() {
		prog := mustProgram(r.Regex)
		x := &expr{prog: newProgram(prog), groups: prog.NumCap/2 - 1}
		x.re = lazyregexp.New(r.Regex)
		n, pcs := newNFA(x.prog)
		x.forward, x.back = n, sync.OnceValue(n.reverse)
		x.plain = n.empty != 0
		for c := range x.prog.first {
			for _, i := range append(n.begin, n.origin...) {
				x.prog.first[c] = x.prog.first[c] || n.nodes[i].takes(byte(c))
			}
		}
		if !r.always && len(r.odd) == 0 {
			keywords := make([]string, len(r.lits))
			for i, l := range r.lits {
				keywords[i] = words[l].Text
			}
			x.anchor, x.reach, x.wide, x.why = x.prog.anchors(n, pcs, keywords)
			x.anchored = x.why == ""
			for _, least := range []int{4, 3, 2} {
				if x.anchored {
					break
				}
				if own := literals(r.Regex, least); len(own) > 0 && len(own) <= 64 {
					var why string
					x.anchor, x.reach, x.wide, why = x.prog.anchors(n, pcs, own)
					if x.anchored = why == ""; x.anchored {
						x.own = finder(own)
					}
				}
			}
		}
		var of []int32
		x.rough, of = x.forward.rough()
		for i := range x.anchor {
			x.anchor[i].roughly = through(of, x.anchor[i].after)
		}
		if !x.anchored || x.own != nil {
			x.length = x.prog.length(n, pcs)
			x.oblige(r.Regex)
		}
		r.expr = x
	})
	return r.expr
}

// maxNeeds: more parts rule hardly more texts out.
const maxNeeds = 8

// oblige learns what each match contains, for a rule that is looked for in all of a text.
func (x *expr) oblige(pattern string) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return
	}
	var literals []string
	for _, n := range needs(re) {
		if len(literals) < maxNeeds && !slices.Contains(literals, n.literal) {
			part, _ := newNFA(newProgram(mustProgram(n.all)))
			literals, x.needs = append(literals, n.literal), append(x.needs, part)
		}
	}
	if len(literals) > 0 {
		x.needed = finder(literals)
	}
	x.run = rarestRun(re)
}

// finder looks for plain words.
func finder(texts []string) *literal.Finder {
	words := make([]literal.Word, len(texts))
	for i, t := range texts {
		words[i].Text = t
	}
	return literal.New(words)
}

// maxSteps is what one try may cost: some 50 µs. Ordinary tries take a few hundred steps.
const maxSteps = 20_000

// at returns the end of the match that starts at start, or -1, and what it cost.
func (x *expr) at(text []byte, start int, s *scratch) (end, cost int) {
	if !x.prog.first[text[start]] || !boundary(text, start) {
		return -1, 1
	}
	steps := maxSteps
	end, s.stack = x.prog.matchAt(text, start, s.stack, &steps)
	if steps >= 0 {
		return end, maxSteps - steps
	}
	x.heldOnce.Do(func() {
		x.held[0] = regexp.MustCompile(`\A(?:` + x.re().String() + `)`)
		x.held[1] = regexp.MustCompile(`\A(?s:.)(?:` + x.re().String() + `)`)
	})
	before := min(start, 1)
	loc := x.held[before].FindIndex(text[start-before:])
	cost = maxSteps + 32*(len(text)-start) // regexp takes that many times longer for a byte than we for a step
	if loc == nil {
		return -1, cost
	}
	return start - before + loc[1], cost
}

// captures returns the bounds of the groups when the expression is matched again, against its match alone; nil if it no longer
// matches. They are good until the next call.
func (x *expr) captures(match []byte, s *scratch) []int {
	s.caps = slices.Grow(s.caps[:0], 2*(x.groups+1))[:2*(x.groups+1)]
	steps := maxSteps
	var found bool
	if found, s.choices = x.prog.groups(match, s.caps, s.choices, &steps); steps < 0 {
		return x.re().FindSubmatchIndex(match)
	}
	if !found {
		return nil
	}
	return s.caps
}

func (m *Matcher) newRule(id int, r *rules.Rule) *rule {
	x := &rule{Rule: r, id: id, generic: strings.Contains(strings.ToLower(r.ID), "generic")}
	x.keeper = Keeper{rule: x, m: m}
	if r.Path != "" {
		x.path = m.newPattern(r.Path)
	}
	for i := range r.Allow {
		x.allow = append(x.allow, m.newAllowlist(&r.Allow[i]))
	}
	x.always = len(r.Keywords) == 0
	for _, k := range r.Keywords {
		if k != "" && (len(k) < 2 || !isASCII(k)) { // gitleaks finds the empty keyword nowhere
			x.odd = append(x.odd, k)
		}
	}
	return x
}
