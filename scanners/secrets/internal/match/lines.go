package match

import (
	"bytes"
	"slices"
)

// Lines finds the lines of a text by byte offset in time that does not grow with the text, however long its lines are.
// It is built when it is first asked.
type Lines struct {
	text   []byte
	blocks []block
}

// blockSize balances the index (24 bytes a block) against the bytes looked at for an answer.
const blockSize = 4096

type block struct {
	count      int // newlines before the block
	last, next int // the last newline before it, -1 for none; the first from its start on, len(text) for none
}

// NewLines returns the lines of text.
func NewLines(text []byte) *Lines { return &Lines{text: text} }

// maxKept bounds the index that is kept for the next text: that of 4 MiB.
const maxKept = 1 << 10

// Begin makes l ready for another text.
func (l *Lines) Begin(text []byte) {
	l.text, l.blocks = text, l.blocks[:0]
	if cap(l.blocks) > maxKept {
		l.blocks = nil
	}
}

func (l *Lines) build() {
	n := len(l.text)/blockSize + 1
	l.blocks = slices.Grow(l.blocks, n)[:n]
	count, last := 0, -1
	for b := range l.blocks {
		l.blocks[b].count, l.blocks[b].last = count, last
		part := l.text[b*blockSize : min((b+1)*blockSize, len(l.text))]
		count += bytes.Count(part, []byte{'\n'})
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			last = b*blockSize + i
		}
	}
	next := len(l.text)
	for b := n - 1; b >= 0; b-- {
		part := l.text[b*blockSize : min((b+1)*blockSize, len(l.text))]
		if i := bytes.IndexByte(part, '\n'); i >= 0 {
			next = b*blockSize + i
		}
		l.blocks[b].next = next
	}
}

// Before returns how many newlines lie before offset i, and where the last of them is; -1 if there is none.
func (l *Lines) Before(i int) (count, last int) {
	if len(l.blocks) == 0 {
		l.build()
	}
	b := l.blocks[i/blockSize]
	part := l.text[i/blockSize*blockSize : i]
	if j := bytes.LastIndexByte(part, '\n'); j >= 0 {
		return b.count + bytes.Count(part, []byte{'\n'}), i - len(part) + j
	}
	return b.count, b.last
}

// From returns the first newline at or after offset i; the length of the text if there is none.
func (l *Lines) From(i int) int {
	if len(l.blocks) == 0 {
		l.build()
	}
	b := i / blockSize
	end := min((b+1)*blockSize, len(l.text))
	if j := bytes.IndexByte(l.text[i:end], '\n'); j >= 0 {
		return i + j
	}
	if b+1 < len(l.blocks) {
		return l.blocks[b+1].next
	}
	return len(l.text)
}

// Position returns the 1-based line and column, in bytes, of offset i.
func (l *Lines) Position(i int) (line, column int) {
	count, last := l.Before(i)
	return count + 1, i - last
}
