package match

import (
	"iter"
	"math"
	"math/bits"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// An anchor says what the text around a keyword must be if a match contains it.
type anchor struct {
	after     []int32 // nodes that can follow the keyword
	roughly   []int32 // the same, in the rough automaton
	afterDone accept
	before    []int32 // nodes that take the keyword's last byte
}

// anchors proves, if it can, that every match contains one of the keywords, which are ASCII in lower case, and how far behind the
// start of a match the first of them ends at most: reach in ordinary text, wide in text with the two runes beyond ASCII
// that fold into it. The proof is a walk over the product of the expression with the automaton of the keywords. why is what
// stands against it; "" if nothing does.
func (p *program) anchors(n *nfa, pcs []uint32, keywords []string) (each []anchor, reach, wide int, why string) {
	w := walk{p: p, n: n, pcs: pcs, trie: newTrie(keywords), each: make([]anchor, len(keywords))}
	if n.empty != 0 || len(keywords) == 0 {
		return nil, 0, 0, mayLack
	}
	if reach, wide, why = w.longest(); why != "" {
		return nil, 0, 0, why
	}
	for i := range w.each {
		a := &w.each[i]
		slices.Sort(a.after)
		slices.Sort(a.before)
		a.after, a.before = slices.Compact(a.after), slices.Compact(a.before)
	}
	return w.each, reach, wide, ""
}

// What stands against a proof.
const (
	mayLack  = "a match can be without the keywords"
	mayStray = "a keyword can be any distance behind the start of a match"
	tooLarge = "the expression is too large to be analysed"
)

// length returns the greatest number of bytes a match has, or -1.
func (p *program) length(n *nfa, pcs []uint32) int {
	w := walk{p: p, n: n, pcs: pcs, trie: newTrie(nil), whole: true}
	if _, l, why := w.longest(); why == "" {
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

	dist    []ways            // node × trie state
	takes   [][]input         // of each node, as far as they are known
	classes map[*rune][]input // of classes
	failed  string            // what stands against the proof
}

// ways are 1 + the longest ways on in ordinary text and in text with the two runes that fold into ASCII; 0 for not walked, -1 while being
// walked.
type ways struct{ reach, wide int32 }

// An input is a byte that a node takes, with the widest rune that amounts to it.
type input struct {
	c     byte
	folds bool // the rune is beyond ASCII
	width int32
}

// maxProduct bounds the time one expression's analysis takes to a few hundred milliseconds.
const maxProduct = 400_000

func (w *walk) longest() (reach, wide int, why string) {
	w.takes, w.classes = make([][]input, len(w.n.nodes)), map[*rune][]input{}
	if len(w.n.nodes)*len(w.trie.next) > maxProduct {
		return 0, 0, tooLarge
	}
	w.dist = make([]ways, len(w.n.nodes)*len(w.trie.next))
	most := ways{}
	for _, i := range slices.Concat(w.n.begin, w.n.origin) {
		on := w.from(i, 0)
		most = ways{max(most.reach, on.reach), max(most.wide, on.wide)}
	}
	return int(most.reach), int(most.wide), w.failed
}

func (w *walk) from(i int32, q int) ways {
	key := int(i)*len(w.trie.next) + q
	if d := w.dist[key]; d.wide != 0 || w.failed != "" {
		if d.wide < 0 && w.failed == "" { // a cycle
			w.failed = mayStray
		}
		return ways{d.reach - 1, d.wide - 1}
	}
	w.dist[key] = ways{-1, -1}
	x := &w.n.nodes[i]
	most := ways{}
	for _, in := range w.inputs(i) {
		on := ways{}
		to := q
		if !w.whole {
			to = int(w.trie.next[q][in.c])
		}
		if ends := w.trie.ends[to]; len(ends) > 0 {
			for _, k := range ends {
				a := &w.each[k]
				a.after = append(a.after, x.next...)
				a.before = append(a.before, i)
				a.afterDone |= x.done
			}
		} else {
			if x.done != 0 && !w.whole {
				w.failed = mayLack
				return ways{}
			}
			for _, j := range x.next {
				next := w.from(j, to)
				on = ways{max(on.reach, next.reach), max(on.wide, next.wide)}
			}
		}
		if most.wide = max(most.wide, in.width+on.wide); !in.folds {
			most.reach = max(most.reach, in.width+on.reach)
		}
	}
	w.dist[key] = ways{most.reach + 1, most.wide + 1}
	return most
}

// inputs lists each byte that node i takes and some keyword has, and one other byte if it takes any.
func (w *walk) inputs(i int32) []input {
	if w.takes[i] != nil {
		return w.takes[i]
	}
	x, in := &w.n.nodes[i], w.p.inst[w.pcs[i]].src
	class := classOf(in)
	if list, ok := w.classes[class]; ok && class != nil {
		w.takes[i] = list
		return list
	}
	list := []input{}
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
			list = append(list, input{c: low, width: 1})
		} else {
			other = 1
		}
	}
	if x.high {
		other = max(other, widest(in))
		for r, to := range map[rune]byte{'ſ': 's', '\u212a': 'k'} {
			if in.MatchRune(r) {
				list = append(list, input{to, true, int32(utf8.RuneLen(r))})
			}
		}
	}
	if other > 0 {
		list = append(list, input{width: int32(other)})
	}
	w.takes[i], w.classes[class] = list, list
	return list
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
	next   [][utf8.RuneSelf]int32
	ends   [][]int // literals that end in a state
	letter [utf8.RuneSelf]bool
}

func newTrie(lits []string) *trie {
	t := &trie{next: make([][utf8.RuneSelf]int32, 1), ends: make([][]int, 1)}
	for k, l := range lits {
		q := int32(0)
		for i := range len(l) {
			t.letter[l[i]] = true
			if t.next[q][l[i]] == 0 {
				t.next[q][l[i]] = int32(len(t.next))
				t.next, t.ends = append(t.next, [utf8.RuneSelf]int32{}), append(t.ends, nil)
			}
			q = t.next[q][l[i]]
		}
		t.ends[q] = append(t.ends[q], k)
	}
	fail := make([]int32, len(t.next))
	for queue := []int32{0}; len(queue) > 0; queue = queue[1:] {
		q := queue[0]
		for c := range t.next[q] {
			to := t.next[q][c]
			switch {
			case to == 0:
				t.next[q][c] = t.next[fail[q]][c]
				continue
			case q != 0:
				fail[to] = t.next[fail[q]][c]
				t.ends[to] = append(t.ends[to], t.ends[fail[to]]...)
			}
			queue = append(queue, to)
		}
	}
	return t
}

// around lists the bytes that can stand before and behind the keyword of an anchor, whose first byte is first, in a match or next to it; none
// means all.
func (p *program) around(forward, back *nfa, a *anchor, first byte) (before, after literal.Set) {
	anything := literal.Set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	add := func(s *literal.Set, x *node) {
		for c := range 256 {
			if x.takes(byte(c)) {
				s.Add(byte(c))
			}
		}
	}
	if a.afterDone != 0 {
		after = anything
	}
	for _, i := range a.after {
		add(&after, &forward.nodes[i])
	}
	free := p.begins(syntax.EmptyWordBoundary)
	for _, i := range a.before {
		for _, j := range back.nodes[i].next { // takes the first byte, if the keyword has two
			x := &back.nodes[j]
			if !x.takes(first) && !x.takes(first&^0x20) {
				continue
			}
			for _, k := range x.next {
				add(&before, &back.nodes[k])
			}
			switch {
			case x.done == 0:
			case free[j] || !isWord(first):
				before = anything
			default:
				for c := range 256 {
					if !isWord(byte(c)) {
						before.Add(byte(c))
					}
				}
			}
		}
	}
	return before, after
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

// A need is something that every match of an expression contains: a literal and what follows it.
type need struct {
	literal string // in lower case
	all     string // expression of both
}

// needs lists what every match of the expression contains where no rune beyond ASCII folds into it.
func needs(re *syntax.Regexp) (all []need) {
	switch re.Op {
	case syntax.OpLiteral:
		return needs(&syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{re}})
	case syntax.OpCapture, syntax.OpPlus:
		return needs(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needs(re.Sub[0])
		}
	case syntax.OpConcat:
		for i, sub := range re.Sub {
			if sub.Op != syntax.OpLiteral {
				all = append(all, needs(sub)...)
				continue
			}
			l := strings.ToLower(string(sub.Rune))
			if len(l) < 3 || !isASCII(l) { // too short to be rare
				continue
			}
			end := i + 1
			for end < len(re.Sub) && isNarrow(re.Sub[end]) {
				end++
			}
			all = append(all, need{l, (&syntax.Regexp{Op: syntax.OpConcat, Sub: re.Sub[i:end]}).String()})
		}
	case syntax.OpAlternate:
		all = needs(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			others := needs(sub)
			all = slices.DeleteFunc(all, func(n need) bool { return !slices.Contains(others, n) })
		}
	}
	return all
}

// isNarrow tells whether a part of an expression leaves most text behind a literal out.
func isNarrow(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return isNarrow(re.Sub[0])
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpWordBoundary:
		return true
	}
	return false
}

// A run is what every match of an expression contains: least bytes of a set in a row. With least 0 nothing is known.
type run struct {
	set   literal.Set
	least int
}

// minRun: shorter runs are in all text.
const minRun = 8

func rarestRun(re *syntax.Regexp) (r run) {
	switch re.Op {
	case syntax.OpCharClass:
		r.least = 1
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= min(re.Rune[i+1], utf8.RuneSelf-1); c++ {
				r.set.Add(byte(c))
			}
			if re.Rune[i+1] >= utf8.RuneSelf { // a rune is at least one of these bytes
				r.set[2], r.set[3] = ^uint64(0), ^uint64(0)
			}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return rarestRun(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min == 0 {
			return run{}
		}
		r = rarestRun(re.Sub[0])
		if re.Sub[0].Op == syntax.OpCharClass {
			r.least = re.Min
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if other := rarestRun(sub); other.rarity() > r.rarity() {
				r = other
			}
		}
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			other := rarestRun(sub)
			if i == 0 {
				r = other
				continue
			}
			for j := range r.set {
				r.set[j] |= other.set[j]
			}
			r.least = min(r.least, other.least)
		}
	}
	return r
}

// rarity grows as fewer texts have the run by chance.
func (r *run) rarity() float64 {
	n := 0
	for _, s := range r.set {
		n += bits.OnesCount64(s)
	}
	return float64(r.least) * math.Log2(256/float64(max(n, 1)))
}

// around yields the parts of text that can contain matches, which are at most length bytes long.
func (r *run) around(text []byte, length int) iter.Seq2[int, int] {
	return func(yield func(lo, hi int) bool) {
		if r.least < minRun || length < 0 {
			yield(0, len(text))
			return
		}
		lo, hi := 0, 0
		for i := r.least - 1; i < len(text); {
			first := i + 1 - r.least
			from, to := i, i+1
			for from >= first && r.set.Has(text[from]) {
				from--
			}
			if from >= first { // no run holds this byte
				i = from + r.least
				continue
			}
			for from >= 0 && r.set.Has(text[from]) {
				from--
			}
			from++
			for to < len(text) && r.set.Has(text[to]) {
				to++
			}
			i = to + r.least
			if from-length > hi {
				if hi > 0 && !yield(lo, hi) {
					return
				}
				lo = from - length
			}
			hi = min(to+length, len(text))
		}
		if hi > 0 {
			yield(lo, hi)
		}
	}
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
