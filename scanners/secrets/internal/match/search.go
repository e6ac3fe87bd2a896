package match

import (
	"bytes"
	"slices"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// chunk is how much text is searched for keywords before the hits are looked at, while it is still in the first-level cache.
const chunk = 8 << 10

// scan looks at every keyword. It stops to do so, and returns true, when text turns up that folds into ASCII.
func (m *Matcher) scan(s *scratch, visit func(literal.Hit) (matters bool)) (folding bool) {
	look := func(h literal.Hit) {
		matters := false
		if h.Word >= m.folding {
			folding = true
		}
		if !folding {
			for _, u := range m.uses[h.Word] {
				matters = m.look(s, u, h, false) || matters
			}
		}
		if visit != nil {
			for _, i := range m.others[h.Word] {
				matters = visit(literal.Hit{Start: h.Start, End: h.End, Word: i}) || matters
			}
		}
		if matters {
			s.known.Touch(h.Start, h.End)
		}
	}
	if held := s.known.Held(); held != 0 {
		for i, r := range m.whole() {
			if held>>i&1 != 0 {
				m.meet(s, r)
			}
		}
	}
	for _, part := range s.known.Spans(len(s.content)) {
		m.hits(s, m.finder, s.content, part, look)
	}
	return folding
}

// hits calls visit for the hits of f in the order of their ends.
func (m *Matcher) hits(s *scratch, f *literal.Finder, text []byte, in fresh.Span, visit func(literal.Hit)) {
	hits := s.hits[:0]
	for from := in.Lo; from < in.Hi; from += chunk {
		to := min(from+chunk, in.Hi)
		hits = f.Scan(text, from, to, hits)
		byEnd(hits)
		n := 0
		for ; n < len(hits) && (hits[n].End <= to || to == in.Hi); n++ {
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
	present := make([]bool, m.folding)
	low := unfold(s.content, map[rune]byte{'\u212a': 'k', 'İ': 'i'})
	m.hits(s, m.plain(), low.text, fresh.Span{Hi: len(low.text)}, func(h literal.Hit) { present[h.Word] = true })
	for word, yes := range present {
		for _, u := range m.uses[word] {
			if yes {
				m.meet(s, u.rule)
			}
		}
	}
	like := unfold(s.content, map[rune]byte{'\u212a': 'k', 'ſ': 's'})
	m.hits(s, m.plain(), like.text, fresh.Span{Hi: len(like.text)}, func(h literal.Hit) {
		for _, u := range m.uses[h.Word] {
			if s.state[u.rule.id].text == s.text {
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

// look decides what a keyword at h means to a rule. It tells whether that is more than nothing, or may depend on text that is farther away than
// fresh.Behind or fresh.Ahead.
func (m *Matcher) look(s *scratch, u use, h literal.Hit, folding bool) (matters bool) {
	st := &s.state[u.rule.id]
	if st.text != s.text {
		m.meet(s, u.rule)
	}
	if !st.skip && h.Start >= st.pos {
		return m.try(s, u.rule, u.local, h, folding)
	}
	if st.skip && st.thing != 0 {
		s.known.Hold(h.Start, st.thing-1)
		return false
	}
	return !u.rule.SkipReport
}

// thing is the number from 1 on by which a rule is known that goes by a keyword anywhere in a text, or 0.
func (m *Matcher) thing(r *rule) uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.things, r)
	if i < 0 && len(m.things) < 8 {
		i, m.things = len(m.things), append(m.things, r)
	}
	return uint8(i + 1)
}

// whole lists the rules that have such a number.
func (m *Matcher) whole() []*rule {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.things
}

// meet prepares a rule for a text that has a keyword of it.
func (m *Matcher) meet(s *scratch, r *rule) {
	st := s.of(r)
	switch {
	case r.SkipReport:
		st.skip = true
	case r.Regex == "" || len(r.odd) > 0 || !r.compile(m.words).anchored || r.own != nil:
		if !st.skip {
			s.later = append(s.later, r)
			st.thing = m.thing(r)
		}
		st.skip = true
	case st.forward == nil:
		st.automata(r.expr)
	}
}

// automata makes what try needs.
func (st *state) automata(x *expr) {
	st.forward = newDFA(x.forward, false)
	if x.rough != x.forward {
		st.rough = newDFA(x.rough, false)
	}
}

// finish looks at the rules that need more than a look at their keywords, in their order.
func (m *Matcher) finish(s *scratch, folding bool) {
	for _, r := range m.odd {
		if !slices.Contains(s.later, r) && s.hasOdd(r.odd) {
			s.later = append(s.later, r)
		}
	}
	s.later = append(s.later, m.always...)
	slices.SortFunc(s.later, func(a, b *rule) int { return a.id - b.id })
	for _, r := range s.later {
		switch {
		case r.Regex == "": // keywords that make a path matter
			s.found = append(s.found, found{r, 0, 0})
		case folding:
			m.findAll(s, r)
		case !s.has(r.compile(m.words), s.of(r)):
		case r.own != nil:
			m.findOwn(s, r)
		default:
			m.findAll(s, r)
		}
	}
}

// has tells whether the text may have all that a match needs.
func (s *scratch) has(x *expr, st *state) bool {
	if x.needed == nil {
		return true
	}
	for len(st.needs) < len(x.needs) {
		st.needs = append(st.needs, newDFA(x.needs[len(st.needs)], false))
	}
	const step = 4096 // to be done soon where all is in front
	missing := uint(1)<<len(x.needs) - 1
	for from := 0; from < len(s.content); from += step {
		s.hits = x.needed.Scan(s.content, from, min(from+step, len(s.content)), s.hits[:0])
		for _, h := range s.hits {
			if d := st.needs[h.Word]; missing>>h.Word&1 != 0 {
				if may, _ := d.may(s.content, h.Start, d.start(0, d.origin, 0)); may {
					missing &^= 1 << h.Word
				}
			}
		}
		if missing == 0 {
			return true
		}
	}
	return false
}

// try finds the matches of a rule that contain its anchor's literal at h.
func (m *Matcher) try(s *scratch, r *rule, local int32, h literal.Hit, folding bool) (matters bool) {
	st, x := s.of(r), r.expr
	a := &x.anchor[local]
	if st.rough != nil {
		may, cost := st.rough.may(s.content, h.End, st.rough.start(local, a.roughly, a.afterDone))
		if st.work += cost; !may {
			return false
		}
	}
	can, cost := st.forward.reach(s.content, h.End, st.forward.start(local, a.after, a.afterDone), &st.trail)
	if st.work += cost; st.work > s.allowance() {
		m.giveUp(s, r)
		return true
	}
	if !can {
		return cost > fresh.Ahead || h.End/stride != (h.End+cost)/stride // or it came upon the trail of one that went farther
	}
	if st.back == nil {
		st.back = newDFA(x.back(), false)
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
				return true
			}
		}
		if st.pos == begin {
			st.tried = max(st.tried, h.Start+1)
		}
		if st.pos == begin || st.pos > h.Start {
			s.known.Touch(max(0, h.Start-reach), max(st.pos, h.End))
			return true
		}
	}
}

// starts lists, in descending order, where in [low, h.Start] a match through keyword h can start.
func (st *state) starts(text []byte, low int, h literal.Hit, local int32, before []int32, list []int) []int {
	d := st.back
	q := d.start(local, before, 0)
	for i := h.End - 1; i >= low; i-- {
		class := d.class[text[i]]
		to := d.table[int(q)+int(class)]
		if to <= 0 {
			if to == 0 {
				to = d.step(q, class)
			}
			if to < 0 {
				if to = ^to; to == d.dead() {
					break
				}
				if i <= h.Start && d.accepts(to) != 0 {
					list = append(list, i)
				}
			}
		}
		q = to
	}
	return list
}

// findOwn finds the matches of a rule by literals of its own, its keywords being present somewhere.
func (m *Matcher) findOwn(s *scratch, r *rule) {
	st := s.of(r)
	st.skip = false
	if st.forward == nil {
		st.automata(r.expr)
	}
	m.hits(s, r.own, s.content, fresh.Span{Hi: len(s.content)}, func(h literal.Hit) {
		if !st.skip && h.Start >= st.pos {
			m.try(s, r, h.Word, h, false)
		}
	})
}

// giveUp lets regexp find the rest of a rule's matches, in linear time.
func (m *Matcher) giveUp(s *scratch, r *rule) {
	st := s.of(r)
	st.skip = true
	s.known.Lose()
	x := r.compile(m.words)
	if !x.plain {
		if st.search == nil {
			st.search = newDFA(x.forward, true)
		}
		if can, _ := st.search.reach(s.content, st.pos, st.search.start(0, x.forward.origin, 0), nil); !can {
			return
		}
	}
	for _, loc := range r.re().FindAllIndex(s.content, maxMatches) {
		if loc[0] >= st.pos {
			s.found = append(s.found, found{r, loc[0], loc[1]})
		}
	}
	st.pos = len(s.content) + 1
}

// findAll finds the matches of a rule that has no anchor.
func (m *Matcher) findAll(s *scratch, r *rule) {
	x, st := r.compile(m.words), s.of(r)
	if x.plain {
		m.giveUp(s, r)
		return
	}
	if st.search == nil {
		st.search = newDFA(x.forward, true)
	}
	st.search.resets = 0
	for lo, hi := range x.run.around(s.content, x.length) {
		if !m.findIn(s, r, lo, hi) {
			m.giveUp(s, r)
			return
		}
	}
}

// findIn finds the matches of a rule in [lo, hi), outside of which none ends or starts that is not known. It returns false if that would
// cost too much.
func (m *Matcher) findIn(s *scratch, r *rule, lo, hi int) bool {
	x, st, text := r.expr, s.of(r), s.content
	d := st.search
	q := d.start(0, x.forward.origin, 0)
	if lo > 0 {
		q = d.start(1, x.forward.begin, 0)
	}
	for i := lo; i < hi; i++ {
		class := d.class[text[i]]
		to := d.table[int(q)+int(class)]
		if to > 0 {
			q = to
			continue
		}
		if to == 0 {
			to = d.step(q, class)
		}
		if to > 0 {
			q = to
			continue
		}
		if q = ^to; d.accepts(q) == 0 || d.accepts(q) == atEnd && i+1 < len(text) {
			continue
		}
		if x.length < 0 || d.resets > 16+len(text)/4096 {
			return false
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
				return false
			}
		}
		if st.pos <= i {
			st.tried = max(st.tried, end)
		}
	}
	return true
}
