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
	width, second := shortLine(text, i)
	if width == 0 || width > widest {
		return lineBreak(text, i) + 1
	}
	lines, length, end := 1, width, i+width
	for p := second; p < len(text); {
		n, next := shortLine(text, p)
		if n == 0 || n > width {
			break
		}
		lines++
		length += n
		if end = p + n; n < width {
			break
		}
		p = next
	}
	if lines < minLines || length < minWhole {
		return second
	}
	for p := i; ; {
		n, next := shortLine(text, p)
		if p+n >= end || !b.replace(p+n, next, nil, 0, 1) {
			return next
		}
		p = next
	}
}

// shortLine is how long the line at i is, without its break, or more than widest, and where the next one is.
func shortLine(text []byte, i int) (width, next int) {
	line := text[i:min(i+widest+len("\r\n"), len(text))]
	k := bytes.IndexByte(line, '\n')
	switch {
	case k < 0:
		return len(line), i + len(line)
	case k > 0 && line[k-1] == '\r':
		return k - 1, i + k + 1
	}
	return k, i + k + 1
}
