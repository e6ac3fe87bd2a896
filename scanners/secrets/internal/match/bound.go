package match

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// An anchor says what the text around a keyword must be if a match contains it.
type anchor struct {
	after     []int32 // nodes that can follow the keyword
	afterDone accept
	before    []int32 // nodes that take the keyword's last byte
}

// anchors proves, if it can, that every match contains one of the keywords, which are ASCII in lower case, and how far behind the
// start of a match the first of them ends at most: reach in ordinary text, wide in text with the two runes beyond ASCII
// that fold into it. The proof is a walk over the product of the expression with the automaton of the keywords.
func (p *program) anchors(n *nfa, pcs []uint32, keywords []string) (each []anchor, reach, wide int, ok bool) {
	w := walk{p: p, n: n, pcs: pcs, trie: newTrie(keywords), each: make([]anchor, len(keywords))}
	if n.empty != 0 || len(keywords) == 0 {
		return nil, 0, 0, false
	}
	if wide, ok = w.longest(true); !ok {
		return nil, 0, 0, false
	}
	if reach, ok = w.longest(false); !ok {
		return nil, 0, 0, false
	}
	for i := range w.each {
		a := &w.each[i]
		slices.Sort(a.after)
		slices.Sort(a.before)
		a.after, a.before = slices.Compact(a.after), slices.Compact(a.before)
	}
	return w.each, reach, wide, true
}

// length returns the greatest number of bytes a match has, or -1.
func (p *program) length(n *nfa, pcs []uint32) int {
	w := walk{p: p, n: n, pcs: pcs, trie: newTrie(nil), whole: true}
	if l, ok := w.longest(true); ok {
		return l
	}
	return -1
}

type walk struct {
	p     *program
	n     *nfa
	pcs   []uint32
	trie  *trie
	each  []anchor
	whole bool // to the end of the match rather than to the first keyword

	folding bool
	dist    map[int]int // node × trie state → longest way on; -1 while being walked
	failed  bool
}

// maxProduct bounds the time one expression's analysis takes to a few hundred milliseconds.
const maxProduct = 400_000

func (w *walk) longest(folding bool) (int, bool) {
	w.folding, w.failed, w.dist = folding, false, map[int]int{}
	most := 0
	for _, i := range slices.Concat(w.n.begin, w.n.origin) {
		most = max(most, w.from(i, 0))
	}
	return most, !w.failed
}

func (w *walk) from(i int32, q int) int {
	key := int(i)*len(w.trie.next) + q
	if d, ok := w.dist[key]; ok {
		if d < 0 {
			w.failed = true // a cycle
		}
		return d
	}
	if w.failed || len(w.dist) > maxProduct {
		w.failed = true
		return 0
	}
	w.dist[key] = -1
	x := &w.n.nodes[i]
	most := 0
	w.inputs(i, func(c byte, width int) {
		to := q
		if !w.whole {
			to = w.trie.step(q, c)
			if ends := w.trie.ends[to]; len(ends) > 0 {
				for _, k := range ends {
					a := &w.each[k]
					a.after = append(a.after, x.next...)
					a.before = append(a.before, i)
					a.afterDone |= x.done
				}
				most = max(most, width)
				return
			}
			if x.done != 0 {
				w.failed = true // a match without a keyword
				return
			}
		}
		if x.done != 0 {
			most = max(most, width)
		}
		for _, j := range x.next {
			most = max(most, width+w.from(j, to))
		}
	})
	w.dist[key] = most
	return most
}

// inputs calls f for each byte that node i takes and some keyword has, for one other byte if it takes any, and with the
// widest rune that amounts to it.
func (w *walk) inputs(i int32, f func(c byte, width int)) {
	x, in := &w.n.nodes[i], w.p.inst[w.pcs[i]].src
	other := 0
	for c := range byte(utf8.RuneSelf) {
		if !x.takes(c) {
			continue
		}
		low := c
		if 'A' <= c && c <= 'Z' {
			low |= 0x20
			if x.takes(low) {
				continue
			}
		}
		if w.trie.letter[low] {
			f(low, 1)
		} else {
			other = 1
		}
	}
	if x.high {
		other = max(other, widest(in))
		if w.folding {
			for r, to := range map[rune]byte{'ſ': 's', '\u212a': 'k'} {
				if in.MatchRune(r) {
					f(to, utf8.RuneLen(r))
				}
			}
		}
	}
	if other > 0 {
		f(0, other)
	}
}

// widest is the length of the longest rune from U+0080 that in takes, without the two that fold to ASCII; 0 for none.
func widest(in *syntax.Inst) int {
	if in.Op == syntax.InstRuneAny || in.Op == syntax.InstRuneAnyNotNL {
		return utf8.UTFMax
	}
	if len(in.Rune) == 1 {
		if in.Rune[0] < utf8.RuneSelf {
			return 0
		}
		return utf8.UTFMax
	}
	most := 0
	for k := 0; k+1 < len(in.Rune); k += 2 {
		lo, hi := in.Rune[k], in.Rune[k+1]
		if hi < utf8.RuneSelf || lo == hi && (lo == 'ſ' || lo == '\u212a') {
			continue
		}
		most = max(most, utf8.RuneLen(min(hi, utf8.MaxRune)))
	}
	return most
}

// A trie is an Aho-Corasick automaton over few literals.
type trie struct {
	next   []map[byte]int
	fail   []int
	ends   [][]int // literals that end in a state
	letter [256]bool
}

func newTrie(lits []string) *trie {
	t := &trie{next: []map[byte]int{{}}, fail: []int{0}, ends: [][]int{nil}}
	for k, l := range lits {
		q := 0
		for i := range len(l) {
			c := l[i]
			t.letter[c] = true
			to, ok := t.next[q][c]
			if !ok {
				to = len(t.next)
				t.next[q][c] = to
				t.next, t.fail, t.ends = append(t.next, map[byte]int{}), append(t.fail, 0), append(t.ends, nil)
			}
			q = to
		}
		t.ends[q] = append(t.ends[q], k)
	}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		q := queue[0]
		for c, to := range t.next[q] {
			if q != 0 {
				t.fail[to] = t.step(t.fail[q], c)
				t.ends[to] = append(t.ends[to], t.ends[t.fail[to]]...)
			}
			queue = append(queue, to)
		}
	}
	return t
}

func (t *trie) step(q int, c byte) int {
	for {
		if to, ok := t.next[q][c]; ok {
			return to
		}
		if q == 0 {
			return 0
		}
		q = t.fail[q]
	}
}

// literals returns literals in lower case, of least bytes or more, one of which every match of the expression contains; those
// that come first in it. It returns nil if there are none.
func literals(pattern string, least int) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	found := firstLiterals(re.Simplify(), least)
	slices.Sort(found)
	return slices.Compact(found)
}

func firstLiterals(re *syntax.Regexp, least int) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if l := strings.ToLower(string(re.Rune)); len(l) >= least && isASCII(l) {
			return []string{l}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return firstLiterals(re.Sub[0], least)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return firstLiterals(re.Sub[0], least)
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if found := firstLiterals(sub, least); found != nil {
				return found
			}
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			found := firstLiterals(sub, least)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		return all
	}
	return nil
}
