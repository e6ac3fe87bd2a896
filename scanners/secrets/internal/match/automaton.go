package match

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// An nfa is an expression over bytes that accepts at least what the expression accepts: word boundaries and line ends are taken
// as met, and runes beyond ASCII are taken for any run of bytes from 0x80. It serves to rule matches out.
type nfa struct {
	nodes  []node
	begin  []int32 // nodes a match can begin with anywhere
	origin []int32 // nodes a match can begin with at the start of the text
	empty  accept  // whether nothing at all is accepted
	class  [256]uint8
	sample []byte // one byte of each class
}

// A node takes one byte; then any of next may go on.
type node struct {
	ascii [2]uint64
	high  bool // takes bytes from 0x80
	done  accept
	next  []int32
}

type accept uint8

const (
	anywhere accept = 1 << iota
	atEnd           // of the text
)

func (n *node) takes(c byte) bool {
	if c >= utf8.RuneSelf {
		return n.high
	}
	return n.ascii[c>>6]>>(c&63)&1 != 0
}

// newNFA returns the forward automaton of p; node i is the i-th rune instruction, whose number in p is pcs[i].
func newNFA(p *program) (n *nfa, pcs []uint32) {
	n = &nfa{}
	id := make([]int32, len(p.inst))
	for pc := range p.inst {
		id[pc] = -1
		if in := &p.inst[pc]; isRune(in.op) {
			id[pc] = int32(len(pcs))
			pcs = append(pcs, uint32(pc))
			n.nodes = append(n.nodes, node{ascii: in.ascii, high: beyondASCII(in.src)})
		}
	}
	seen := newSet(len(p.inst))
	var all []int32 // one list that the nodes share costs less than one for each
	for i, pc := range pcs {
		x, from := &n.nodes[i], len(all)
		all, x.done = p.closure(p.inst[pc].out, id, seen, 0, all)
		x.next = all[from:len(all):len(all)]
	}
	n.begin, _ = p.closure(p.start, id, seen, 0, nil)
	n.origin, n.empty = p.closure(p.start, id, seen, syntax.EmptyBeginText, nil)
	n.classify()
	return n, pcs
}

// exact tells whether the automaton accepts no more than the expression does in ASCII: no condition is taken as met that may not be.
func (p *program) exact() bool {
	for i := range p.inst {
		const known = syntax.EmptyBeginText | syntax.EmptyEndText
		if in := &p.inst[i]; in.op == syntax.InstEmptyWidth && syntax.EmptyOp(in.arg)&^known != 0 {
			return false
		}
	}
	return true
}

// begins tells of each node whether a match can begin with it at a place where the conditions barred are not met.
func (p *program) begins(barred syntax.EmptyOp) map[int32]bool {
	id := make([]int32, len(p.inst))
	n := int32(0)
	for pc := range p.inst {
		id[pc] = -1
		if isRune(p.inst[pc].op) {
			id[pc] = n
			n++
		}
	}
	begins := map[int32]bool{}
	seen := newSet(len(p.inst))
	for stack := []uint32{p.start}; len(stack) > 0; {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen.add(int32(pc)) {
			continue
		}
		switch in := &p.inst[pc]; in.op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.arg, in.out)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.arg)&barred == 0 {
				stack = append(stack, in.out)
			}
		default:
			if id[pc] >= 0 {
				begins[id[pc]] = true
			}
		}
	}
	return begins
}

// closure appends the nodes reachable from pc without taking a byte.
func (p *program) closure(pc uint32, id []int32, seen *set, met syntax.EmptyOp, nodes []int32) ([]int32, accept) {
	var done accept
	stack := make([]uint32, 0, 64) // most need no more
	for _, end := range []bool{false, true} {
		seen.clear()
		ends := false // it matters whether the text does
		stack = append(stack[:0], pc)
		for len(stack) > 0 {
			pc := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !seen.add(int32(pc)) {
				continue
			}
			switch in := &p.inst[pc]; in.op {
			case syntax.InstAlt, syntax.InstAltMatch:
				stack = append(stack, in.arg, in.out)
			case syntax.InstCapture, syntax.InstNop:
				stack = append(stack, in.out)
			case syntax.InstEmptyWidth:
				op := syntax.EmptyOp(in.arg)
				if op&syntax.EmptyEndText != 0 && !end {
					ends = true
					continue
				}
				if op&syntax.EmptyBeginText&^met == 0 {
					stack = append(stack, in.out)
				}
			case syntax.InstMatch:
				done |= atEnd
				if !end {
					done |= anywhere
				}
			default:
				if id[pc] >= 0 && !end {
					nodes = append(nodes, id[pc])
				}
			}
		}
		if !ends {
			break
		}
	}
	return nodes, done
}

// reverse returns the automaton that reads backwards. A node's done says that a match can begin with it.
func (n *nfa) reverse() *nfa {
	r := &nfa{nodes: make([]node, len(n.nodes)), class: n.class, sample: n.sample}
	edges := make([]int, len(n.nodes))
	total := 0
	for i := range n.nodes {
		r.nodes[i].ascii, r.nodes[i].high = n.nodes[i].ascii, n.nodes[i].high
		total += len(n.nodes[i].next)
		for _, j := range n.nodes[i].next {
			edges[j]++
		}
	}
	all := make([]int32, 0, total)
	for i, k := range edges {
		r.nodes[i].next = all[len(all) : len(all) : len(all)+k]
		all = all[:len(all)+k]
	}
	for i := range n.nodes {
		for _, j := range n.nodes[i].next {
			r.nodes[j].next = append(r.nodes[j].next, int32(i))
		}
	}
	for _, i := range slices.Concat(n.begin, n.origin) {
		r.nodes[i].done = anywhere
	}
	return r
}

// rough returns an automaton that counts no optional repetitions, x{3,20} being x{3,}, and the node in it of each node of n. It accepts more, and has
// so few states that they stay in the cache. If there is nothing to leave out it is n itself.
func (n *nfa) rough() (r *nfa, of []int32) {
	of = make([]int32, len(n.nodes))
	first := make([]int32, len(n.nodes)) // of the copies
	for i := range first {
		first[i] = int32(i)
	}
	merged := false
	for i := range n.nodes {
		for _, j := range n.nodes[i].next {
			if int(j) > i && n.optional(i, int(j)) {
				first[j], merged = first[i], true
			}
		}
	}
	if !merged {
		for i := range of {
			of[i] = int32(i)
		}
		return n, of
	}
	r = &nfa{class: n.class, sample: n.sample, empty: n.empty}
	for i := range n.nodes {
		if f := first[i]; f != int32(i) {
			of[i] = of[f]
			continue
		}
		of[i] = int32(len(r.nodes))
		r.nodes = append(r.nodes, node{ascii: n.nodes[i].ascii, high: n.nodes[i].high})
	}
	for i := range n.nodes {
		x := &r.nodes[of[i]]
		x.done |= n.nodes[i].done
		for _, j := range n.nodes[i].next {
			x.next = append(x.next, of[j])
		}
	}
	for i := range r.nodes {
		slices.Sort(r.nodes[i].next)
		r.nodes[i].next = slices.Compact(r.nodes[i].next)
	}
	r.begin, r.origin = through(of, n.begin), through(of, n.origin)
	return r, of
}

// optional tells whether node j repeats node i, and the repetition can be left out: both can be left for the same nodes that take other bytes,
// or for the end.
func (n *nfa) optional(i, j int) bool {
	x, y := &n.nodes[i], &n.nodes[j]
	key := x.key()
	if y.key() != key || x.done != y.done {
		return false
	}
	others := func(list []int32) []int32 { // without the repetitions in front
		for len(list) > 0 && n.nodes[list[0]].key() == key {
			list = list[1:]
		}
		return list
	}
	a, b := others(x.next), others(y.next)
	leaves := len(a) > 0 || x.done != 0
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = others(a[1:]), others(b[1:])
	}
	return leaves && len(a) == 0 && len(b) == 0
}

// through returns what nodes are in another automaton.
func through(of, nodes []int32) []int32 {
	list := make([]int32, len(nodes))
	for i, j := range nodes {
		list[i] = of[j]
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// key is the same for nodes that take the same bytes.
func (n *node) key() [3]uint64 {
	k := [3]uint64{n.ascii[0], n.ascii[1]}
	if n.high {
		k[2] = 1
	}
	return k
}

// beyondASCII tells whether a rune instruction takes any rune from U+0080.
func beyondASCII(in *syntax.Inst) bool {
	switch in.Op {
	case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	if in.MatchRune('ſ') || in.MatchRune('\u212a') { // what s and k fold to
		return true
	}
	for _, r := range in.Rune {
		if r >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// classify numbers the bytes so that no two of one class can be told apart.
func (n *nfa) classify() {
	// Split the bytes of ASCII by each distinct set. Bytes beyond continue a rune, so they are a class of their own.
	classes := [][2]uint64{{^uint64(0), ^uint64(0)}}
	seen := map[[2]uint64]bool{}
	for i := range n.nodes {
		by := n.nodes[i].ascii
		if seen[by] {
			continue
		}
		seen[by] = true
		for k, c := range classes {
			in, out := [2]uint64{c[0] & by[0], c[1] & by[1]}, [2]uint64{c[0] &^ by[0], c[1] &^ by[1]}
			if in != [2]uint64{} && out != [2]uint64{} {
				classes[k] = in
				classes = append(classes, out)
			}
		}
	}
	n.sample = make([]byte, len(classes)+1)
	for k, c := range classes {
		for b := byte(utf8.RuneSelf); b > 0; {
			if b--; c[b>>6]>>(b&63)&1 != 0 {
				n.class[b], n.sample[k] = uint8(k), b
			}
		}
	}
	for b := utf8.RuneSelf; b < 256; b++ {
		n.class[b] = uint8(len(classes))
	}
	n.sample[len(classes)] = utf8.RuneSelf
}

// A dfa runs an nfa and remembers the sets of nodes it has met. It belongs to one goroutine.
//
// A state is the place in the table from which on it has for each class the state that follows: 0 if that is not known yet, and
// the complement of a state at which there is something to say, the dead one or one that accepts. In front of that is whether it does.
type dfa struct {
	*nfa
	search  bool // begins anew at every byte
	table   []int32
	width   int32   // of a row: the classes, and one in front
	members []int32 // of the states' sets, in the order of their rows
	ends    []int32 // of each row: where its set ends in members
	index   []int32 // of the states, at a hash of their set or behind it; 0 for none
	starts  []int32 // states of start sets, by a caller's number; 0 unknown
	seen    *set
	resets  int
}

// maxTable bounds one dfa's memory: half a MiB for the table, and up to four times as much for the sets. What is in a scratch is kept, and each
// rule has up to four.
const maxTable = 1 << 17

func newDFA(n *nfa, search bool) *dfa {
	d := &dfa{nfa: n, search: search, width: int32(len(n.sample)) + 1, seen: newSet(len(n.nodes))}
	d.reset()
	return d
}

// dead is the state without a way on. It has the second row; the first is nobody's.
func (d *dfa) dead() int32 { return d.width + 1 }

func (d *dfa) reset() {
	const rows = 16 // most automata meet no more
	if d.table == nil {
		d.table, d.ends, d.index = make([]int32, 2*d.width, rows*d.width), make([]int32, 2, rows), make([]int32, 2*rows)
	}
	d.table, d.ends, d.members = d.table[:2*d.width], d.ends[:2], d.members[:0]
	clear(d.index)
	clear(d.starts)
	for c := range d.table[d.dead():] {
		d.table[d.dead()+int32(c)] = ^d.dead()
	}
	d.resets++
}

// start returns the state of a start set, which the caller numbers.
func (d *dfa) start(number int32, nodes []int32, done accept) int32 {
	for int(number) >= len(d.starts) {
		d.starts = append(d.starts, 0)
	}
	if s := d.starts[number]; s != 0 {
		return s
	}
	d.seen.clear()
	for _, i := range nodes {
		d.seen.add(i)
	}
	s := d.state(done)
	d.starts[number] = s
	return s
}

// accepts tells whether the automaton accepts in state s.
func (d *dfa) accepts(s int32) accept { return accept(d.table[s-1]) }

// state returns the state of the set in d.seen.
func (d *dfa) state(done accept) int32 {
	nodes := d.seen.members
	if len(nodes) == 0 && done == 0 {
		return d.dead()
	}
	at := d.slot(nodes, done)
	for ; d.index[at] != 0; at = (at + 1) & (len(d.index) - 1) {
		if s := d.index[at]; d.accepts(s) == done && d.seen.is(d.set(s)) {
			return s
		}
	}
	switch {
	case len(d.table) >= maxTable || len(d.members) >= 4*maxTable:
		d.reset()
		at = d.slot(nodes, done)
	case 2*len(d.ends) > len(d.index):
		d.index = make([]int32, 2*len(d.index))
		for row := int32(2); row < int32(len(d.ends)); row++ {
			s := row*d.width + 1
			d.index[d.free(d.slot(d.set(s), d.accepts(s)))] = s
		}
		at = d.free(d.slot(nodes, done))
	}
	s := int32(len(d.table)) + 1
	d.members = append(d.members, nodes...)
	d.ends = append(d.ends, int32(len(d.members)))
	d.table = slices.Grow(d.table, int(d.width))[:len(d.table)+int(d.width)]
	clear(d.table[s:])
	d.table[s-1] = int32(done)
	d.index[at] = s
	return s
}

// set returns the nodes of a state.
func (d *dfa) set(s int32) []int32 {
	row := s / d.width
	return d.members[d.ends[row-1]:d.ends[row]]
}

// slot returns where in the index a set belongs, in whatever order its nodes are.
func (d *dfa) slot(nodes []int32, done accept) int {
	h := uint32(done)
	for _, i := range nodes {
		x := uint32(i) * 0x9e3779b1
		h += (x ^ x>>15) * 0x85ebca6b
	}
	return int(h^h>>16) & (len(d.index) - 1)
}

// free returns the first place in the index from one on that has no state.
func (d *dfa) free(at int) int {
	for d.index[at] != 0 {
		at = (at + 1) & (len(d.index) - 1)
	}
	return at
}

// step computes an entry that the table does not know yet.
func (d *dfa) step(s int32, class uint8) int32 {
	c := d.sample[class]
	d.seen.clear()
	var done accept
	resets := d.resets
	for _, i := range d.set(s) {
		if x := &d.nodes[i]; x.takes(c) {
			done |= x.done
			for _, j := range x.next {
				d.seen.add(j)
			}
			if c >= utf8.RuneSelf {
				d.seen.add(i) // the rune may have more bytes
			}
		}
	}
	if d.search {
		for _, j := range d.begin {
			d.seen.add(j)
		}
	}
	to := d.state(done)
	if done != 0 || to == d.dead() {
		to = ^to
	}
	if d.resets == resets {
		d.table[s+int32(class)] = to
	}
	return to
}

// A set is a set of small numbers that is cheap to clear.
type set struct {
	stamp   []uint32
	now     uint32
	members []int32
}

func newSet(n int) *set { return &set{stamp: make([]uint32, n), now: 1} }

func (s *set) clear() {
	s.now++
	s.members = s.members[:0]
	if s.now == 0 {
		clear(s.stamp)
		s.now = 1
	}
}

// is tells whether the set has just the given members, which are distinct.
func (s *set) is(members []int32) bool {
	if len(members) != len(s.members) {
		return false
	}
	for _, i := range members {
		if s.stamp[i] != s.now {
			return false
		}
	}
	return true
}

func (s *set) add(i int32) bool {
	if s.stamp[i] == s.now {
		return false
	}
	s.stamp[i] = s.now
	s.members = append(s.members, i)
	return true
}

// reach tells whether the automaton accepts somewhere after from, when in state s there. It tells how many bytes it looked at,
// too. t, which may be nil, keeps runs over the same text from going the same way twice.
func (d *dfa) reach(text []byte, from int, s int32, t *trail) (bool, int) {
	if d.accepts(s)&anywhere != 0 {
		return true, 0
	}
	at := from
	for at < len(text) {
		stop := len(text)
		if t != nil {
			stop = min(stop, (at/stride+1)*stride)
		}
		to, looked := d.run(text[at:stop], s)
		if at += looked; at < stop { // it was decided on the way
			if to == d.dead() {
				return false, at - from
			}
			t.forget(from, at)
			return true, at - from
		}
		if s = to; t != nil && at < len(text) && t.passed(d, at, s) {
			return false, at - from
		}
	}
	if d.accepts(s)&atEnd != 0 {
		t.forget(from, at)
		return true, at - from
	}
	return false, at - from
}

// run goes over text from state s. It ends early, with fewer bytes looked at than there are, where the automaton dies or accepts.
func (d *dfa) run(text []byte, s int32) (end int32, looked int) {
	table, classes := d.table, &d.class
	for i, c := range text {
		class := classes[c]
		to := table[int(s)+int(class)]
		if to <= 0 {
			if to == 0 {
				to = d.step(s, class)
				table = d.table
			}
			if to < 0 {
				if to = ^to; to == d.dead() || d.accepts(to)&anywhere != 0 {
					return to, i
				}
			}
		}
		s = to
	}
	return s, len(text)
}

// A trail keeps in which states runs over a text were that did not come to accept. A run that gets into the same state at the same place
// ends as they did. Without it, each of many keywords in a large text could cost a run to the end of the text.
type trail struct {
	at     []int32 // at each stride of the text; 0 for none
	resets int     // of the automaton: its states have new numbers after each
}

// stride is how far apart the places are: far enough to cost nothing, near enough to be met soon.
const stride = 1 << 10

// passed tells whether a run in state s at a place, a multiple of stride, ends without accepting. If that is not known, the run counts
// as one of those that do, until forget says otherwise.
func (t *trail) passed(d *dfa, at int, s int32) bool {
	if t.resets != d.resets {
		t.at, t.resets = t.at[:0], d.resets
	}
	k := at / stride
	if k < len(t.at) && t.at[k] == s {
		return true
	}
	for len(t.at) <= k {
		t.at = append(t.at, 0)
	}
	t.at[k] = s
	return false
}

// forget takes back what a run from one place to another left: it came to accept.
func (t *trail) forget(from, to int) {
	if t == nil {
		return
	}
	for k := from/stride + 1; k <= to/stride && k < len(t.at); k++ {
		t.at[k] = 0
	}
}

// may tells whether the automaton may accept somewhere after from, when in state s there. It does not look far, and tells how far.
func (d *dfa) may(text []byte, from int, s int32) (bool, int) {
	const far = 64 // most text is told from a match by less
	near := min(len(text), from+far)
	can, looked := d.reach(text[:near], from, s, nil)
	return can || from+looked == near && near < len(text), looked
}
