package match

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// A program is a compiled expression, run from one given start by backtracking in the order of preference that Go's regexp has
// (leftmost-first). It keeps no memory of where it has been: expressions of rules hardly ever need one, and a step budget
// ends the run of those that do. Then the standard library, whose time is linear, takes over.
type program struct {
	inst  []inst
	start uint32
	first [256]bool // bytes a match can begin with; all of them if it can be empty
}

type inst struct {
	op       syntax.InstOp
	out, arg uint32
	ascii    [2]uint64 // runes below 0x80 that a rune instruction takes
	src      *syntax.Inst
}

func (in *inst) takes(c byte) bool { return in.ascii[c>>6&1]>>(c&63)&1 != 0 }

func isRune(op syntax.InstOp) bool {
	return op == syntax.InstRune || op == syntax.InstRune1 || op == syntax.InstRuneAny || op == syntax.InstRuneAnyNotNL
}

func newProgram(p *syntax.Prog) *program {
	q := &program{inst: make([]inst, len(p.Inst)), start: uint32(p.Start)}
	known := map[*rune][2]uint64{}
	for i := range p.Inst {
		src := &p.Inst[i]
		in := inst{op: src.Op, out: src.Out, arg: src.Arg, src: src}
		if isRune(src.Op) {
			class := classOf(src)
			ascii, ok := known[class]
			if !ok || class == nil {
				ascii = takesASCII(src)
				known[class] = ascii
			}
			in.ascii = ascii
		}
		q.inst[i] = in
	}
	return q
}

// classOf returns what is the same for all instructions of one class, which are as many as its repetitions; nil if it is none.
func classOf(in *syntax.Inst) *rune {
	if len(in.Rune) > 1 {
		return &in.Rune[0]
	}
	return nil
}

// takesASCII is what MatchRune says of each rune of ASCII.
func takesASCII(in *syntax.Inst) (set [2]uint64) {
	add := func(lo, hi rune) {
		for c := lo; c <= min(hi, unicode.MaxASCII); c++ {
			set[c>>6] |= 1 << (c & 63)
		}
	}
	switch in.Op {
	case syntax.InstRuneAny:
		add(0, unicode.MaxASCII)
		return set
	case syntax.InstRuneAnyNotNL:
		add(0, '\n'-1)
		add('\n'+1, unicode.MaxASCII)
		return set
	}
	if len(in.Rune) == 1 {
		r := in.Rune[0]
		add(r, r)
		if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				add(f, f)
			}
		}
		return set
	}
	for i := 0; i+1 < len(in.Rune); i += 2 {
		add(in.Rune[i], in.Rune[i+1])
	}
	return set
}

// frame is a choice not yet taken.
type frame struct {
	pc  uint32
	pos int
}

// matchAt returns the end of the match that starts at s, or -1. It stops when *steps has run out.
func (p *program) matchAt(text []byte, s int, stack []frame, steps *int) (end int, grown []frame) {
	stack = append(stack[:0], frame{p.start, s})
	left := *steps
	for len(stack) > 0 {
		f := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		pc, pos := f.pc, f.pos
	thread:
		for {
			if left--; left < 0 {
				*steps = left
				return -1, stack
			}
			in := &p.inst[pc]
			switch in.op {
			case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
				if pos >= len(text) {
					break thread
				}
				if c := text[pos]; c < utf8.RuneSelf {
					if !in.takes(c) {
						break thread
					}
					pos++
				} else {
					r, w := utf8.DecodeRune(text[pos:])
					if !in.src.MatchRune(r) {
						break thread
					}
					pos += w
				}
				pc = in.out
			case syntax.InstAlt, syntax.InstAltMatch:
				stack = append(stack, frame{in.arg, pos})
				pc = in.out
			case syntax.InstCapture, syntax.InstNop:
				pc = in.out
			case syntax.InstEmptyWidth:
				if !holds(syntax.EmptyOp(in.arg), text, pos) {
					break thread
				}
				pc = in.out
			case syntax.InstMatch:
				*steps = left
				return pos, stack
			default:
				break thread
			}
		}
	}
	*steps = left
	return -1, stack
}

// A choice is one not yet taken, or what undoes a capture: the slot it is in, and what was there.
type choice struct {
	frame
	slot, old int // slot is -1 for a choice not taken
}

// groups sets caps to what FindSubmatchIndex returns, the bounds of the leftmost match in text and of its groups, and tells whether there
// is one. It stops when *steps has run out.
func (p *program) groups(text []byte, caps []int, stack []choice, steps *int) (found bool, grown []choice) {
	for s := range len(text) + 1 {
		if !boundary(text, s) {
			continue
		}
		for i := range caps {
			caps[i] = -1
		}
		stack = append(stack[:0], choice{frame{p.start, s}, -1, 0})
		for len(stack) > 0 {
			f := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if f.slot >= 0 {
				caps[f.slot] = f.old
				continue
			}
			pc, pos := f.pc, f.pos
		thread:
			for {
				if *steps--; *steps < 0 {
					return false, stack
				}
				in := &p.inst[pc]
				switch in.op {
				case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
					if pos >= len(text) {
						break thread
					}
					if c := text[pos]; c < utf8.RuneSelf {
						if !in.takes(c) {
							break thread
						}
						pos++
					} else {
						r, w := utf8.DecodeRune(text[pos:])
						if !in.src.MatchRune(r) {
							break thread
						}
						pos += w
					}
					pc = in.out
				case syntax.InstAlt, syntax.InstAltMatch:
					stack = append(stack, choice{frame{in.arg, pos}, -1, 0})
					pc = in.out
				case syntax.InstCapture:
					if int(in.arg) < len(caps) {
						stack = append(stack, choice{slot: int(in.arg), old: caps[in.arg]})
						caps[in.arg] = pos
					}
					pc = in.out
				case syntax.InstNop:
					pc = in.out
				case syntax.InstEmptyWidth:
					if !holds(syntax.EmptyOp(in.arg), text, pos) {
						break thread
					}
					pc = in.out
				case syntax.InstMatch:
					caps[0], caps[1] = s, pos
					return true, stack
				default:
					break thread
				}
			}
		}
	}
	return false, stack
}

// holds tells whether the empty-width condition op is met at pos. Word characters are ASCII, so bytes suffice.
func holds(op syntax.EmptyOp, text []byte, pos int) bool {
	if op&syntax.EmptyBeginText != 0 && pos != 0 ||
		op&syntax.EmptyEndText != 0 && pos != len(text) ||
		op&syntax.EmptyBeginLine != 0 && pos != 0 && text[pos-1] != '\n' ||
		op&syntax.EmptyEndLine != 0 && pos != len(text) && text[pos] != '\n' {
		return false
	}
	if op&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0 {
		at := (pos > 0 && isWord(text[pos-1])) != (pos < len(text) && isWord(text[pos]))
		if at && op&syntax.EmptyNoWordBoundary != 0 || !at && op&syntax.EmptyWordBoundary != 0 {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// boundary tells whether a left-to-right decoding of text has a rune begin at i; a match can start only there.
func boundary(text []byte, i int) bool {
	if i >= len(text) || utf8.RuneStart(text[i]) {
		return true
	}
	for j := i - 1; j >= 0 && j >= i-3; j-- {
		if utf8.RuneStart(text[j]) {
			_, w := utf8.DecodeRune(text[j:])
			return j+w <= i
		}
	}
	return true
}
