package match

import (
	"math"
	"math/bits"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// A pattern answers whether an expression matches somewhere in a text: an automaton says no fast, regexp confirms a yes.
type pattern struct {
	source string
	once   sync.Once
	re     *regexp.Regexp
	nfa    *nfa // nil if it can match the empty text
	exact  bool // it accepts just what re does, in ASCII
	id     int  // of its dfa in a scratch
}

func (p *pattern) compile() {
	p.once.Do(func() {
		p.re = regexp.MustCompile(p.source)
		prog := newProgram(mustProgram(p.source))
		n, _ := newNFA(prog)
		if n.empty == 0 {
			p.nfa, p.exact = n, prog.exact()
		}
	})
}

func (p *pattern) match(b []byte, s *scratch) bool {
	p.compile()
	if p.nfa == nil {
		return p.re.Match(b)
	}
	d := s.searches[p.id]
	if d == nil {
		d = newDFA(p.nfa, true)
		s.searches[p.id] = d
	}
	maybe, _ := d.reach(b, 0, d.start(0, p.nfa.origin, 0), nil)
	return maybe && (p.exact && isASCII(b) || p.re.Match(b))
}

// mustProgram compiles an expression that has been compiled before, by package rules.
func mustProgram(source string) *syntax.Prog {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		panic(err)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic(err)
	}
	return prog
}

// An allowlist is gitleaks' allowlist, cut into what the content decides and what the place decides.
type allowlist struct {
	*rules.Allowlist
	regexes *pattern // nil for none
	paths   *pattern
	commits map[string]bool
	once    sync.Once
	stop    *literal.Lookup // of the stop words that are plain
	odd     []string        // the others
}

func (m *Matcher) newAllowlist(a *rules.Allowlist) *allowlist {
	x := &allowlist{Allowlist: a}
	if len(a.Regexes) > 0 {
		x.regexes = m.newPattern(rules.Join(a.Regexes))
	}
	if len(a.Paths) > 0 {
		x.paths = m.newPattern(rules.Join(a.Paths))
	}
	if len(a.Commits) > 0 {
		x.commits = map[string]bool{}
		for _, c := range a.Commits {
			x.commits[c] = true
		}
	}
	return x
}

func (m *Matcher) newPattern(source string) *pattern {
	p := &pattern{source: source, id: m.patterns}
	m.patterns++
	return p
}

// content judges the parts of the list that look at the content. drops: the finding is none. holds: all those parts are true, so
// that with All the place decides.
func (a *allowlist) content(s *scratch, secret, match []byte, line span) (drops, holds bool) {
	if a.regexes == nil && len(a.StopWords) == 0 {
		return false, true
	}
	regex, stop := false, false
	if a.regexes != nil {
		switch a.Target {
		case rules.OnSecret:
			regex = len(secret) > 0 && a.regexes.match(secret, s)
		case rules.OnMatch:
			regex = len(match) > 0 && a.regexes.match(match, s)
		case rules.OnLine:
			regex = s.onLine(a, line)
		}
	}
	if len(a.StopWords) > 0 && (!regex || a.All) {
		stop = a.stops(secret)
	}
	if !a.All {
		return regex || stop, false
	}
	holds = (a.regexes == nil || regex) && (len(a.StopWords) == 0 || stop)
	return holds && a.paths == nil && a.commits == nil, holds
}

// place judges the parts that look at the place. For a list of All kinds it is asked only if the content holds.
func (a *allowlist) place(at place) bool {
	byCommit := a.commits != nil && at.commit != "" && a.commits[strings.ToLower(at.commit)]
	byPath := a.paths != nil && len(at.path) > 0 && a.paths.match(at.path, at.scratch)
	if !a.All {
		return byCommit || byPath
	}
	return (a.commits == nil || byCommit) && (a.paths == nil || byPath)
}

// local tells whether the place has a say.
func (a *allowlist) local() bool { return a.paths != nil || a.commits != nil }

func (a *allowlist) stops(secret []byte) bool {
	if len(secret) == 0 {
		return false
	}
	a.once.Do(func() {
		var plain []literal.Word
		for _, w := range a.StopWords {
			if len(w) >= 2 && isASCII(w) {
				plain = append(plain, literal.Word{Text: w})
			} else if w != "" { // which gitleaks finds nowhere
				a.odd = append(a.odd, w)
			}
		}
		a.stop = literal.NewLookup(plain)
	})
	if len(a.odd) > 0 || !isASCII(secret) { // letters beyond ASCII can fold into it
		low := strings.ToLower(string(secret))
		for _, w := range a.odd {
			if strings.Contains(low, w) {
				return true
			}
		}
		secret = []byte(low)
	}
	return a.stop.Contains(secret)
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// entropy is Shannon's, in bits per rune, over the length in bytes as gitleaks has it.
func (s *scratch) entropy(b []byte) float64 {
	if len(b) == 0 {
		return 0
	}
	sum := 0.0
	if isASCII(b) {
		var count [utf8.RuneSelf]int
		var present [2]uint64
		for _, c := range b {
			count[c]++
			present[c>>6] |= 1 << (c & 63)
		}
		for half, set := range present {
			for ; set != 0; set &= set - 1 {
				sum += s.surprise(count[64*half+bits.TrailingZeros64(set)], len(b))
			}
		}
		return sum
	}
	count := map[rune]int{}
	for _, r := range string(b) {
		count[r]++
	}
	for _, n := range count {
		sum += s.surprise(n, len(b))
	}
	return sum
}

// maxKnown bounds the lengths for which logarithms are kept: most secrets are shorter.
const maxKnown = 128

// surprise is the part of entropy of a rune that stands n times among so many bytes.
func (s *scratch) surprise(n, of int) float64 {
	if of > maxKnown {
		return surprise(n, of)
	}
	known := s.surprises[of-1]
	if known == nil {
		known = make([]float64, of)
		for i := range known {
			known[i] = surprise(i+1, of)
		}
		s.surprises[of-1] = known
	}
	return known[n-1]
}

func surprise(n, of int) float64 {
	f := float64(n) * (1 / float64(of))
	return -f * math.Log2(f)
}
