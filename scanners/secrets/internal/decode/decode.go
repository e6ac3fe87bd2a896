// Package decode finds the texts that hide in a text: base64 in YAML, JSON in JSON, UTF-16, escapes, string concatenation,
// colour codes and time stamps of logs.
//
// A decoded span never stands alone: a [View] is the span's neighbourhood with the span replaced by what it means, so that a
// rule which wants `api_key = "` before the value still finds it there. [View.At] leads back to the original.
//
// A [Decoder] finds them. All of it is pure and linear in the text. One pass over the text marks where a finder may find something (marks.go, sieve.go), and
// the finders look only there; text without anything hidden costs less than a nanosecond per byte and no memory.
package decode

import (
	"bytes"
	"iter"
	"sort"
	"sync"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// A View is a piece of a text in decoded form, with what surrounds it.
type View struct {
	// Text is lent until the consumer asks for the next view.
	Text []byte
	// Encoding says what was undone, outermost first: "base64", "gzip", "hex", "percent", "escape", "utf-16", "ansi", "concat",
	// "timestamp", "wrap", "record", "variable" and so on.
	Encoding []string
	// At maps an offset in Text (0 to len(Text)) to the offset in the original text it stems from. Like Text it is lent.
	// What was not decoded maps byte for byte: where Text[i:j] equals the original at At(i), the view shows nothing new.
	At func(i int) int
}

// Limits of the work done per text. All are far above what people write by hand or tools emit, and keep the cost linear.
const (
	// maxDepth is how many encodings may lie inside each other: base64 twice, gzip, JSON and an escape are five.
	maxDepth = 5
	// context is kept on each side of a decoded span: a keyword and its value lie within gitleaks' 100 or so bytes, AWS pairs
	// in one YAML map within 250.
	context = 256
	// window bounds a view: a longer stretch of encoded text is shown in several views that overlap, so that memory does
	// not grow with the text. No line a rule looks at is longer.
	window = 64 << 10
	// overlap between two views of one stretch: longer than any token, and than a 4096-bit key in PEM (3.3 KB).
	overlap = 4 << 10
	// maxBlob bounds what one base64 or hex span with compressed or binary content is decoded to: more is an archive.
	maxBlob = 8 << 20
	// nestedShare and nestedFloor bound all that is decoded below the first level, in bytes: floor + share × len(text).
	// Honest text has far less than itself in nested encodings; text made of encodings is cut off there.
	nestedShare = 4
	nestedFloor = 4 << 20
)

// A Decoder finds the texts that hide in others. It keeps the memory it took for the next text. Goroutines may share it.
type Decoder struct{ free sync.Pool } // of *decoder

// Views yields the texts hidden in text, in the order of their encodings, not of their places. Views of nested encodings follow the view they lie in.
//
// of, if not nil, is what is known of text.
func (d *Decoder) Views(text []byte, of *fresh.Text) iter.Seq[View] {
	return func(yield func(View) bool) {
		one := d.take(text, yield)
		one.views(text, of)
		d.give(one)
	}
}

// take lends a decoder for a text; give takes it back.
func (d *Decoder) take(text []byte, yield func(View) bool) *decoder {
	one, _ := d.free.Get().(*decoder)
	if one == nil {
		one = new(decoder)
	}
	one.yield, one.stopped, one.budget = yield, false, nestedFloor+nestedShare*len(text)
	return one
}

func (d *Decoder) give(one *decoder) {
	one.yield = nil
	d.free.Put(one)
}

// A source is a text to decode: the original one, or a view of it.
type source struct {
	text     []byte
	encoding []string
	at       func(int) int // nil: identity
	known    *fresh.Text   // nil for a view
	changed  []span        // what its own decoding touched; only there can nested encodings be news. nil: everywhere
}

type span struct{ lo, hi int }

// reach is how far from a decoded span an encoding may begin that became readable only now: a quote, an operator, a blank or two.
const reach = 8

// touches reports whether [lo, hi) is news.
func (s *source) touches(lo, hi int) bool {
	if s.at == nil {
		return true
	}
	i := sort.Search(len(s.changed), func(i int) bool { return s.changed[i].hi+reach >= lo })
	return i < len(s.changed) && s.changed[i].lo-reach <= hi
}

// A decoder is at work on one text, and on what is nested in it.
type decoder struct {
	yield   func(View) bool
	stopped bool
	budget  int  // bytes of nested views still allowed
	all     bool // finders look everywhere, as a test of the marks

	levels [maxDepth]level
	spare  []buffers // of builders that are done
}

// A level is the memory of the finders at one depth. They take turns, and nested ones have the next.
type level struct {
	words   []uint64 // of marks
	sieve   *sieve   // where its vectors are aligned
	pieces  []span   // of a blob
	cuts    []span   // where pieces are joined
	joined  []byte   // pieces of a blob
	decoded []byte   // a chunk of it
	dec     []byte   // numbers of a list
	hex     []byte   // the same, read as hexadecimal
}

// buffers are the memory of a builder.
type buffers struct {
	out  []byte
	segs []seg
	news []span
}

func (d *decoder) views(text []byte, of *fresh.Text) {
	d.decode(source{text: text, known: of}, 0)
	for i := range d.levels {
		if l := &d.levels[i]; max(cap(l.joined), 8*cap(l.words), 8*cap(l.pieces)) > window {
			*l = level{} // as it was needed for a text that is longer than most
		}
	}
}

// decode runs every finder over src whose trigger bytes it holds. The finders are called by name so that their builders stay on the stack.
func (d *decoder) decode(src source, depth int) {
	text := src.text
	var m marks
	m.mark(text, src.known, &d.levels[depth])
	if d.all {
		m.setAll()
	}
	if m.control && bytes.IndexByte(text, 0) >= 0 || m.any[markHigh] && hasBOM(text) {
		b := d.builder(&src, depth, "utf-16")
		if w, ok := wholeWidth(text); ok {
			decodeWide(&b, text, w)
			b.done()
			return
		}
		findWide(&b, text)
		b.done()
	}
	if m.any[markRuns] {
		b64, hex, b32 := d.builder(&src, depth, "base64"), d.builder(&src, depth, "hex"), d.builder(&src, depth, "base32")
		findRuns(&b64, &hex, &b32, &m, text)
		b64.done()
		hex.done()
		b32.done()
	}
	if m.control && isBinary(text) { // what follows undoes what people and programs write in text
		return
	}
	if m.any[markArrays] {
		b := d.builder(&src, depth, "array")
		findArrays(&b, &m, text)
		b.done()
	}
	if m.any[markControl] {
		b := d.builder(&src, depth, "ansi")
		findANSI(&b, &m, text)
		b.done()
	}
	if m.any[markHigh] {
		b := d.builder(&src, depth, "zero-width")
		findZeroWidth(&b, &m, text)
		b.done()
	}
	if m.any[markPercent] {
		b := d.builder(&src, depth, "percent")
		findPercent(&b, &m, text)
		b.done()
	}
	if m.any[markEntity] {
		b := d.builder(&src, depth, "entity")
		findEntities(&b, &m, text)
		b.done()
	}
	if m.any[markMarkup] && bytes.Contains(text, []byte("</")) {
		b := d.builder(&src, depth, "markup")
		findMarkup(&b, &m, text)
		b.done()
	}
	if m.any[markEscape] {
		b := d.builder(&src, depth, "escape")
		findEscapes(&b, &m, text)
		b.done()
	}
	if m.any[markQuoted] {
		b := d.builder(&src, depth, "quoted-printable")
		findQuotedPrintable(&b, &m, text)
		b.done()
	}
	if m.any[markConcat] {
		b := d.builder(&src, depth, "concat")
		findConcat(&b, &m, text)
		b.done()
	}
	records := d.builder(&src, depth, "record")
	findRecords(&records, text)
	records.done()
	dumps, wraps := d.builder(&src, depth, "hexdump"), d.builder(&src, depth, "wrap")
	findLines(&dumps, &wraps, &m, text)
	dumps.done()
	wraps.done()
	if d.stopped {
		src.known.Lose()
	}
}

// hasBOM reports whether text begins with the byte order mark of UTF-16.
func hasBOM(text []byte) bool {
	return len(text) >= 2 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff)
}

// isBinary reports whether more of text is control characters than text ever has.
func isBinary(text []byte) bool {
	const sample = 512
	n, control := 0, 0
	count := func(b []byte) {
		n += len(b)
		for _, c := range b {
			if isControl(c) {
				control++
			}
		}
	}
	if len(text) < 2*sample {
		count(text)
	} else {
		count(text[:sample])
		count(text[len(text)/2:][:sample])
	}
	return control > n/20 // random bytes have one in nine
}

// isControl reports whether c is a control character that text does not have.
func isControl(c byte) bool {
	return c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\b' && c != 0x1b
}

func (d *decoder) builder(src *source, depth int, name string) builder {
	return builder{d: d, src: *src, depth: depth, name: name}
}

// A builder gathers the decoded spans of one kind into views.
type builder struct {
	d     *decoder
	src   source
	depth int
	name  string   // of the encoding
	extra []string // what more was undone in this view: "gzip", "timestamp"

	open bool
	cur  int // the source is copied or replaced up to here
	buffers
}

// begin opens a view.
func (b *builder) begin() {
	b.open = true
	if n := len(b.d.spare) - 1; b.out == nil && n >= 0 {
		b.buffers, b.d.spare = b.d.spare[n], b.d.spare[:n]
	}
}

// done hands out the open view and gives the builder's memory to the next.
func (b *builder) done() {
	b.flush()
	if cap(b.out) > 0 && max(cap(b.out), 8*cap(b.segs)) <= 2*window { // larger ones are rare
		b.d.spare = append(b.d.spare, b.buffers)
	}
}

func (b *builder) level() *level { return &b.d.levels[b.depth] }

// A seg maps out offsets from out on to in + (offset-out)*num/den.
type seg struct{ out, in, num, den int }

// replace puts text in the place of src.text[lo:hi]; each byte of it stands for num/den bytes there (0, 1: all stem from lo). Spans must come in
// ascending order; one that begins before the end of the last is ignored. It reports false when the consumer has stopped.
func (b *builder) replace(lo, hi int, text []byte, num, den int) bool {
	if b.d.stopped {
		return false
	}
	if !b.src.touches(lo, hi) || b.open && lo < b.cur {
		return true
	}
	b.src.known.Touch(lo, hi)
	b.reachTo(lo)
	if last := len(b.segs) - 1; b.segs[last].out == len(b.out) { // nothing of the source since the last span
		b.segs = b.segs[:last]
	}
	b.segs = append(b.segs, seg{len(b.out), lo, num, den})
	b.mark(len(b.out), len(b.out)+len(text))
	b.out = append(b.out, text...)
	b.cur = hi
	b.segs = append(b.segs, seg{len(b.out), hi, 1, 1})
	return !b.d.stopped
}

// reachTo copies the source up to lo, in a view of its own if the last span is far or the view full.
func (b *builder) reachTo(lo int) {
	if b.open && lo-b.cur > 2*context {
		b.flush()
	}
	if b.open && len(b.out) > window {
		b.roll()
	}
	if !b.open {
		b.begin()
		b.cur = lineStart(b.src.text, lo)
		b.segs = append(b.segs, seg{0, b.cur, 1, 1})
	}
	b.out = append(b.out, b.src.text[b.cur:lo]...)
}

func (b *builder) mark(lo, hi int) {
	if n := len(b.news); n > 0 && lo-b.news[n-1].hi <= reach {
		b.news[n-1].hi = hi
		return
	}
	b.news = append(b.news, span{lo, hi})
}

// also adds the name of what more was undone in the open view.
func (b *builder) also(name string) {
	for _, e := range b.extra {
		if e == name {
			return
		}
	}
	b.extra = append(b.extra, name)
}

// sub says what was undone in the open view, for a finder that undoes more than one thing.
func (b *builder) sub(name string) {
	if len(b.news) <= 1 && len(b.extra) == 0 {
		b.name = name
	} else if name != b.name {
		b.also(name)
	}
}

// flush ends the open view and hands it out.
func (b *builder) flush() {
	if b.open {
		end := lineEnd(b.src.text, b.cur)
		b.out = append(b.out, b.src.text[b.cur:end]...)
		b.emit()
		b.open, b.out, b.segs, b.news, b.extra = false, b.out[:0], b.segs[:0], b.news[:0], b.extra[:0]
	}
}

// roll hands the open view out and keeps its end as the beginning of the next.
func (b *builder) roll() {
	b.emit()
	from := len(b.out) - overlap
	i := sort.Search(len(b.segs), func(i int) bool { return b.segs[i].out > from }) - 1
	segs := b.segs[:0]
	segs = append(segs, seg{0, b.segs[i].at(from), b.segs[i].num, b.segs[i].den})
	for _, s := range b.segs[i+1:] {
		segs = append(segs, seg{s.out - from, s.in, s.num, s.den})
	}
	b.segs = segs
	b.out = b.out[:copy(b.out, b.out[from:])]
	b.news = append(b.news[:0], span{0, len(b.out)})
}

func (s seg) at(i int) int { return s.in + (i-s.out)*s.num/s.den }

func (b *builder) emit() {
	d := b.d
	if d.stopped || len(b.news) == 0 {
		return
	}
	if b.depth > 0 {
		if d.budget -= len(b.out); d.budget < 0 {
			d.stopped = d.budget < -nestedFloor // let siblings of a large one have their turn
			return
		}
	}
	segs, end, outer := b.segs, b.cur, b.src.at
	at := func(i int) int {
		k := max(sort.Search(len(segs), func(k int) bool { return segs[k].out > i })-1, 0)
		at := segs[k].at(i)
		if k+1 < len(segs) {
			at = min(at, segs[k+1].in)
		} else {
			at = min(at, end+context*2)
		}
		if outer != nil {
			return outer(at)
		}
		return at
	}
	encoding := make([]string, 0, len(b.src.encoding)+1+len(b.extra))
	encoding = append(append(encoding, b.src.encoding...), b.name)
	encoding = append(encoding, b.extra...)
	if !d.yield(View{Text: b.out, Encoding: encoding, At: at}) {
		d.stopped = true
		return
	}
	if b.depth+1 < maxDepth {
		d.decode(source{text: b.out, encoding: encoding, at: at, changed: b.news}, b.depth+1)
	}
}

// lineStart returns where the context before i begins: never inside of what may be a value, as its half would be taken for one.
func lineStart(text []byte, i int) int {
	lo := max(i-context, 0)
	for limit := max(lo-context, 0); lo > limit && !isA(text[lo-1], isEnd); lo-- {
	}
	return lo
}

// lineEnd returns where the context after i ends.
func lineEnd(text []byte, i int) int {
	hi := min(i+context, len(text))
	for limit := min(hi+context, len(text)); hi < limit && !isA(text[hi], isEnd); hi++ {
	}
	return hi
}
