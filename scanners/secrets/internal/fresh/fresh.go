// Package fresh tells which parts of a text were not looked at before. A history holds many versions of a file, which differ in a few lines; where there was
// nothing in one, there is nothing in the next.
//
// A text is cut into blocks of whole lines, in places that its contents choose, so that a change moves no cut but those near it. Whoever looks at the text
// looks at its [Text.Spans], and says with [Text.Touch] where there is something: what was found, and all that might be something if the text were another one
// farther away than [Behind] or [Ahead]. A block that nobody has touched is remembered by a digest of it and its neighbours. Where it lies between the
// same neighbours again, in whatever text, it is left out.
package fresh

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sort"
	"sync/atomic"
)

const (
	// Worth is how long a text is that is worth the trouble, in bytes.
	Worth = 4 * Behind
	// Behind and Ahead are how many bytes at least before and behind a block are digested with it: the block before and the two behind it.
	Behind = 640
	Ahead  = 2 * Behind
	// longBlock bounds a block's bytes, but for long lines. It has at least Behind, but for the last one of a text.
	longBlock = 4 << 10
	// maxKept is how many blocks there is room for in what a Text keeps: those of some megabytes.
	maxKept = 1 << 12
	// unit is of which touched places are told apart, in bytes.
	unit = 64
)

// A Memory remembers blocks. It is safe for concurrent use.
type Memory struct {
	seed  maphash.Seed // which nobody outside knows: a digest cannot be met on purpose
	known []atomic.Uint64
}

// New returns a memory that knows nothing, and will know the last n blocks at most, in 8 bytes each.
func New(n int) *Memory { return &Memory{maphash.MakeSeed(), make([]atomic.Uint64, n)} }

// at is where a block is remembered, or one that has taken its place: in the upper seven bytes its key, in the low one what it holds. Two blocks of one
// place have the same upper bytes with a probability of 2⁻⁵⁶, as the place hangs on all of them.
func (m *Memory) at(key uint64) *atomic.Uint64 { return &m.known[mix(key, 0)%uint64(len(m.known))] }

// A Span is a range of bytes.
type Span struct{ Lo, Hi int }

// A Text is one that is being looked at. It keeps its memory for the next.
type Text struct {
	memory  *Memory
	blocks  []block
	spans   []Span
	touched []uint64 // a bit for each unit
	held    uint8
	lost    bool
}

type block struct {
	Span
	digest uint64
	key    uint64 // of the block between its neighbours
	held   uint8
	fresh  bool
}

// Begin cuts text into blocks and finds out which of them are new.
func (t *Text) Begin(m *Memory, text []byte) {
	t.memory, t.held, t.lost, t.spans = m, 0, false, t.spans[:0]
	t.cut(text)
	n := (len(text)+unit-1)/unit/64 + 1
	if cap(t.touched) < n {
		t.touched = make([]uint64, n)
	}
	t.touched = t.touched[:n]
	clear(t.touched)
	for i := range t.blocks {
		b := &t.blocks[i]
		b.key = mix(mix(mix(t.digest(i-1), b.digest), t.digest(i+1)), t.digest(i+2))
		known := m.at(b.key).Load()
		if b.fresh = known>>8 != b.key>>8; !b.fresh {
			t.held |= uint8(known)
			continue
		}
		if n := len(t.spans); n > 0 && t.spans[n-1].Hi == b.Lo {
			t.spans[n-1].Hi = b.Hi
		} else {
			t.spans = append(t.spans, b.Span)
		}
	}
}

// digest is that of a block, or stands for one of the ends of the text.
func (t *Text) digest(i int) uint64 {
	switch {
	case i < 0:
		return 1
	case i < len(t.blocks):
		return t.blocks[i].digest
	}
	return 2
}

// cut makes the blocks.
func (t *Text) cut(text []byte) {
	t.blocks = t.blocks[:0]
	add := func(lo, hi int) {
		t.blocks = append(t.blocks, block{Span: Span{lo, hi}, digest: maphash.Bytes(t.memory.seed, text[lo:hi])})
	}
	lo := 0
	for i := Behind; i < len(text)-8; {
		k := bytes.IndexByte(text[i:], '\n')
		if i += k + 1; k < 0 || i > len(text)-8 {
			break
		}
		// One line of four, by what stands at its break, begins a block.
		if around := binary.LittleEndian.Uint64(text[i-8:]) ^ binary.LittleEndian.Uint64(text[i:])*3; around*0x9e3779b97f4a7c15>>62 == 0 || i-lo > longBlock {
			add(lo, i)
			lo = i
			i += Behind
		}
	}
	add(lo, len(text))
}

func mix(a, b uint64) uint64 {
	a = (a ^ b) * 0x9e3779b97f4a7c15
	return (a ^ a>>32) * 0xbf58476d1ce4e5b9
}

// Spans are the parts of the text, which has n bytes, to be looked at, in order: of a nil Text, all of it. Each begins and ends with a line.
func (t *Text) Spans(n int) []Span {
	if t == nil {
		return []Span{{0, n}}
	}
	return t.spans
}

// Touch says that there is something at [lo, hi), or that what is there hangs on text that is far away.
func (t *Text) Touch(lo, hi int) {
	if t == nil {
		return
	}
	for u := lo / unit; u <= max(hi-1, lo)/unit; u++ {
		t.touched[u/64] |= 1 << (u % 64)
	}
}

// Hold says that one of eight things is at a place that matters to the text as a whole, however far away.
func (t *Text) Hold(at int, thing uint8) {
	if t != nil {
		i := sort.Search(len(t.blocks), func(i int) bool { return t.blocks[i].Hi > at })
		t.blocks[i].held |= 1 << thing
	}
}

// Held has a bit set for each of the things that are in known blocks.
func (t *Text) Held() uint8 {
	if t == nil {
		return 0
	}
	return t.held
}

// Lose says that nothing of the text may be remembered.
func (t *Text) Lose() {
	if t != nil {
		t.lost = true
	}
}

// End remembers what nobody has touched. The text is let go.
func (t *Text) End() {
	if t == nil {
		return
	}
	for i := range t.blocks {
		if b := &t.blocks[i]; b.fresh && !t.lost && !t.isTouched(b.Span) {
			t.memory.at(b.key).Store(b.key&^0xff | uint64(b.held))
		}
	}
	if cap(t.blocks) > maxKept {
		*t = Text{}
	}
}

func (t *Text) isTouched(s Span) bool {
	for u := s.Lo / unit; u <= (s.Hi-1)/unit; u++ {
		if t.touched[u/64]>>(u%64)&1 != 0 {
			return true
		}
	}
	return false
}
