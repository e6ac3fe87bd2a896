package decode

import (
	"bytes"
	"iter"
)

// Column is the encoding of the views of [Decoder.Columns].
const Column = "column"

const (
	widest   = 12 // of a column's lines: over the breaks of wider ones the pieces of a token are known by themselves
	minLines = 3
)

// Columns yields views of text in which what was printed in a narrow column is whole: at least three lines of equal width, the last one may be
// shorter, as fold -w 8 makes them. Chance makes such columns, too, of numbers and short words, so only what has a shape of its own can be looked for there.
func (d *Decoder) Columns(text []byte) iter.Seq[View] {
	return func(yield func(View) bool) {
		one := d.take(text, yield)
		b := one.builder(&source{text: text}, 0, Column)
		for i := 0; i < len(text) && !one.stopped; {
			i = b.column(text, i)
		}
		b.done()
		d.give(one)
	}
}

// column joins the lines of the column that begins with the line at i, if it is one, and returns where the next line is.
func (b *builder) column(text []byte, i int) int {
	width := lineWidth(text, i)
	next := i + width + 1
	if width == 0 || width > widest {
		return lineBreak(text, i) + 1
	}
	lines, end := 1, next-1
	for p := next; p < len(text); p += width + 1 {
		n := lineWidth(text, p)
		if n == 0 || n > width {
			break
		}
		lines++
		if end = p + n; n < width {
			break
		}
	}
	if lines < minLines || end-i-(lines-1) < minWhole {
		return next
	}
	for p := i + width; p < end; p += 1 + width {
		if !b.replace(p, p+1, nil, 0, 1) {
			break
		}
	}
	return end + 1
}

// lineWidth is how long the line at i is, or more than widest.
func lineWidth(text []byte, i int) int {
	line := text[i:min(i+widest+1, len(text))]
	if k := bytes.IndexByte(line, '\n'); k >= 0 {
		return k
	}
	return len(line)
}
