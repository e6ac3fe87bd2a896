package match

import (
	"encoding/binary"
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
	for i, pc := range pcs {
		x := &n.nodes[i]
		x.next, x.done = p.closure(p.inst[pc].out, id, seen, 0)
	}
	n.begin, _ = p.closure(p.start, id, seen, 0)
	n.origin, n.empty = p.closure(p.start, id, seen, syntax.EmptyBeginText)
	n.classify()
	return n, pcs
}

// closure lists the nodes reachable from pc without taking a byte.
func (p *program) closure(pc uint32, id []int32, seen *set, met syntax.EmptyOp) (nodes []int32, done accept) {
	for _, end := range []bool{false, true} {
		seen.clear()
		stack := []uint32{pc}
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
				if op&syntax.EmptyEndText != 0 && !end || op&syntax.EmptyBeginText&^met != 0 {
					continue
				}
				stack = append(stack, in.out)
			case syntax.InstMatch:
				if end {
					done |= atEnd
				} else {
					done |= anywhere
				}
			default:
				if id[pc] >= 0 && !end {
					nodes = append(nodes, id[pc])
				}
			}
		}
	}
	return nodes, done
}

// reverse returns the automaton that reads backwards. A node's done says that a match can begin with it.
func (n *nfa) reverse() *nfa {
	r := &nfa{nodes: make([]node, len(n.nodes))}
	for i := range n.nodes {
		r.nodes[i].ascii, r.nodes[i].high = n.nodes[i].ascii, n.nodes[i].high
	}
	for i := range n.nodes {
		for _, j := range n.nodes[i].next {
			r.nodes[j].next = append(r.nodes[j].next, int32(i))
		}
	}
	for _, i := range slices.Concat(n.begin, n.origin) {
		r.nodes[i].done = anywhere
	}
	r.classify()
	return r
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
	// Refine one partition by each distinct set of bytes.
	var class [256]uint8
	for c := utf8.RuneSelf; c < 256; c++ {
		class[c] = 1 // continues a rune, so it is a class of its own
	}
	count := 2
	seen := map[[3]uint64]bool{}
	for i := range n.nodes {
		x := &n.nodes[i]
		key := [3]uint64{x.ascii[0], x.ascii[1]}
		if x.high {
			key[2] = 1
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		var to [256]int
		for c := range to {
			to[c] = -1
		}
		var refined [256]uint8
		var pair [2][256]int
		for k := range pair {
			pair[k] = to
		}
		next := 0
		for c := range 256 {
			k := 0
			if x.takes(byte(c)) {
				k = 1
			}
			if pair[k][class[c]] < 0 {
				pair[k][class[c]] = next
				next++
			}
			refined[c] = uint8(pair[k][class[c]])
		}
		class, count = refined, next
	}
	n.class = class
	n.sample = make([]byte, count)
	for c := 255; c >= 0; c-- {
		n.sample[class[c]] = byte(c)
	}
}

// A dfa runs an nfa and remembers the sets of nodes it has met. It belongs to one goroutine.
type dfa struct {
	*nfa
	search bool    // begins anew at every byte
	table  []int32 // state × class → state; 0 unknown
	sets   [][]int32
	done   []accept
	index  map[string]int32
	starts map[int32]int32 // a caller's number for a start set → state
	seen   *set
	resets int
}

// States 1 and 2 are fixed; 0 is unknown.
const dead = 1

// maxStates bounds one dfa's memory: about 1 MB at 60 classes.
const maxStates = 4096

func newDFA(n *nfa, search bool) *dfa {
	d := &dfa{nfa: n, search: search, seen: newSet(len(n.nodes))}
	d.reset()
	return d
}

func (d *dfa) reset() {
	d.table, d.sets, d.done = make([]int32, 2*len(d.sample), 64*len(d.sample)), make([][]int32, 2), make([]accept, 2)
	d.index, d.starts = map[string]int32{"": dead}, map[int32]int32{}
	for c := range d.sample {
		d.table[dead*len(d.sample)+c] = dead
	}
	d.resets++
}

// start returns the state of a start set, which the caller numbers.
func (d *dfa) start(number int32, nodes []int32, done accept) int32 {
	if s, ok := d.starts[number]; ok {
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

// state returns the number of the set in d.seen.
func (d *dfa) state(done accept) int32 {
	nodes := d.seen.members
	slices.Sort(nodes)
	key := make([]byte, 0, 4*len(nodes)+1)
	for _, i := range nodes {
		key = binary.LittleEndian.AppendUint32(key, uint32(i))
	}
	if done != 0 {
		key = append(key, byte(done))
	}
	if s, ok := d.index[string(key)]; ok {
		return s
	}
	if len(d.sets) >= maxStates {
		kept := slices.Clone(nodes)
		d.reset()
		nodes = kept
	}
	s := int32(len(d.sets))
	d.sets = append(d.sets, slices.Clone(nodes))
	d.done = append(d.done, done)
	d.table = append(d.table, make([]int32, len(d.sample))...)
	d.index[string(key)] = s
	return s
}

// step computes a transition that the table does not know yet.
func (d *dfa) step(s int32, class uint8) int32 {
	c := d.sample[class]
	d.seen.clear()
	var done accept
	resets := d.resets
	for _, i := range d.sets[s] {
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
	if d.resets == resets {
		d.table[int(s)*len(d.sample)+int(class)] = to
	}
	return to
}

func (d *dfa) next(s int32, c byte) int32 {
	class := d.class[c]
	if to := d.table[int(s)*len(d.sample)+int(class)]; to != 0 {
		return to
	}
	return d.step(s, class)
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

func (s *set) add(i int32) bool {
	if s.stamp[i] == s.now {
		return false
	}
	s.stamp[i] = s.now
	s.members = append(s.members, i)
	return true
}

// reach tells whether the automaton accepts somewhere after from, when in state s there. It looks at limit bytes and then
// says yes. It returns how many it looked at, too.
func (d *dfa) reach(text []byte, from int, s int32, limit int) (bool, int) {
	if d.done[s]&anywhere != 0 {
		return true, 0
	}
	end := min(len(text), from+limit)
	width := len(d.sample)
	for i := from; i < end; i++ {
		class := d.class[text[i]]
		to := d.table[int(s)*width+int(class)]
		if to == 0 {
			to = d.step(s, class)
		}
		if s = to; s == dead {
			return false, i - from
		}
		if d.done[s]&anywhere != 0 {
			return true, i - from
		}
	}
	return end < len(text) || d.done[s]&atEnd != 0, end - from
}
