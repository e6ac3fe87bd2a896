package decode

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// findRuns looks at runs of base64 characters, of which hexadecimal and base32 are a part. It reads backwards from where a run that
// begins at i must still go on, so that it sees two bytes of five.
func findRuns(b64, hex, b32 *builder, m *marks, text []byte) {
	at := block{level: b64.level()}
	after := 0 // the end of a blob: even in the midst of a run another may follow
	for i := 0; i+minRun <= len(text) && !b64.d.stopped; {
		if to := m.next(markRuns, i); to > i && i != after {
			if to >= len(text) {
				return
			}
			for to > i && class[text[to-1]]&isBase64 != 0 { // the run began before the block
				to--
			}
			if to > i {
				i = to
				continue
			}
		}
		p := i + minRun - 1
		for p >= i && class[text[p]]&isBase64 != 0 {
			p--
		}
		if p >= i {
			i = p + 1
			continue
		}
		lo, hi := i, i+minRun
		for hi < len(text) && class[text[hi]]&isBase64 != 0 {
			hi++
		}
		i = hi + 1
		if lo > 0 && text[lo-1] == '\\' { // the letter of an escape: \n, or \x before PostgreSQL's bytes
			if lo++; hi-lo < minRun {
				continue
			}
		}
		end := max(tryHex(hex, &at, text, lo, hi), tryBase32(b32, &at, text, lo, hi))
		if end == 0 {
			end = tryBase64(b64, &at, text, lo, hi)
		}
		i = max(i, end)
		after = end
	}
}

// An alphabet turns characters into bits.
type alphabet struct {
	bits  int // per character
	value *[256]int8
}

func table(alphabets ...string) *[256]int8 {
	var t [256]int8
	for i := range t {
		t[i] = -1
	}
	for _, a := range alphabets {
		for v := range len(a) {
			t[a[v]] = int8(v)
		}
	}
	return &t
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// RFC 4648 sections 4, 5, 6 and 8. Both base64 alphabets at once: they differ in characters that mean nothing in the other.
var (
	base64s = alphabet{6, table(letters+"abcdefghijklmnopqrstuvwxyz0123456789+/", letters+"abcdefghijklmnopqrstuvwxyz0123456789-_")}
	base32s = alphabet{5, table(letters + "234567")}
	base16s = alphabet{4, table("0123456789ABCDEF", "0123456789abcdef")}
)

// A blob is encoded text in one or more pieces: lines of a wrapped block.
type blob struct {
	alphabet
	pieces []span
	end    int // of padding after the last piece
}

// A block is where the runs are being looked at.
type block struct {
	*level
	noise int      // up to here lie lines that mean nothing together
	tries int      // to begin in their midst
	last  int      // end of a run that no line continues
	below struct { // the lines that were found last: those after a run that ends at hi, wherever it begins
		hi, pieces, end int
		alphabet        uint8
	}
}

// begin makes the run [lo, hi) the first piece of a blob.
func (b *block) begin(lo, hi int) []span {
	b.pieces = append(b.pieces[:0], span{lo, hi})
	return b.pieces
}

// wrapped extends bl, which is of one piece, by the lines that continue it, and reports whether there are any.
func (b *block) wrapped(bl *blob, text []byte, alphabet uint8) bool {
	first := bl.pieces[0]
	if b.below.hi == first.hi && b.below.alphabet == alphabet {
		bl.pieces, bl.end = b.pieces[:b.below.pieces], b.below.end
		return true
	}
	b.below.hi = 0
	if !bl.wrapped(text, alphabet) {
		return false
	}
	b.pieces = bl.pieces
	if second := bl.pieces[1]; second.hi-second.lo >= first.hi-first.lo { // or a shorter first line might have more to follow
		b.below.hi, b.below.pieces, b.below.end, b.below.alphabet = first.hi, len(bl.pieces), bl.end, alphabet
	}
	return true
}

// worth reports whether the lines that follow the run at lo should be looked at as one with it. Among lines that mean nothing it is true for
// the first few, as the blob may have begun there; from each line on it would take time by the square of their number.
func (b *block) worth(lo int) bool {
	const most = 6
	if lo >= b.noise {
		b.tries = 0
		return true
	}
	b.tries++
	return b.tries < most
}

// chunk is how many characters are decoded at a time; a whole number of groups in every alphabet.
const chunk = 32 << 10

// each decodes the blob. f gets some bytes and the stretch of the text they stand for, line breaks included. The slice is reused.
func (bl *blob) each(l *level, text []byte, f func(lo, hi int, decoded []byte) bool) {
	var acc uint32
	var n int
	group := bl.quantum().chars
	buf := l.decoded
	defer func() { l.decoded = buf }()
	for k, p := range bl.pieces {
		for p.lo < p.hi {
			buf = buf[:0]
			hi := min(p.lo+chunk, p.hi)
			chars := text[p.lo:hi]
			if n == 0 {
				whole := len(chars) / group * group
				buf = bl.decode(buf, chars[:whole])
				chars = chars[whole:]
			}
			for _, c := range chars {
				acc = acc<<bl.bits | uint32(bl.value[c])
				if n += bl.bits; n >= 8 {
					n -= 8
					buf = append(buf, byte(acc>>n))
				}
			}
			lo := p.lo
			p.lo = hi
			if hi == p.hi {
				hi = bl.end
				if k+1 < len(bl.pieces) {
					hi = bl.pieces[k+1].lo
				}
			}
			if !f(lo, hi, buf) {
				return
			}
		}
	}
}

// decode appends the bytes that chars stand for as far as they are whole.
func (a alphabet) decode(to, chars []byte) []byte {
	v := a.value
	for ; a.bits == 6 && len(chars) >= 4; chars = chars[4:] {
		acc := uint32(v[chars[0]])<<18 | uint32(v[chars[1]])<<12 | uint32(v[chars[2]])<<6 | uint32(v[chars[3]])
		to = append(to, byte(acc>>16), byte(acc>>8), byte(acc))
	}
	for ; a.bits == 4 && len(chars) >= 2; chars = chars[2:] {
		to = append(to, byte(v[chars[0]])<<4|byte(v[chars[1]]))
	}
	var acc uint32
	n := 0
	for _, c := range chars {
		acc = acc<<a.bits | uint32(v[c])
		if n += a.bits; n >= 8 {
			n -= 8
			to = append(to, byte(acc>>n))
		}
	}
	return to
}

// A verdict says what decoded bytes look like.
type verdict uint8

const (
	noise verdict = iota
	textual
	packed   // gzip or zlib
	document // another container or document that is known by its first bytes
)

// minText is how many printable bytes in a row make decoded bytes worth a view. In random bytes so many follow each other once in
// 10⁷ places; the shortest token shapes are 16 long.
const minText = 16

// A quantum is the shortest group of characters that stands for whole bytes (RFC 4648).
type quantum struct {
	chars, bytes int
	row          int // whole groups that any minText bytes in a row hold at least
}

func (a alphabet) quantum() quantum {
	switch a.bits {
	case 4:
		return quantum{2, 1, 16}
	case 5:
		return quantum{8, 5, 2}
	}
	return quantum{4, 3, 4}
}

// clear reports whether a group of characters stands for nothing but bytes of text.
func (a alphabet) clear(group []byte) bool {
	v := a.value
	switch a.bits {
	case 4:
		return legible[byte(v[group[0]]<<4|v[group[1]])]
	case 6:
		acc := uint32(v[group[0]])<<18 | uint32(v[group[1]])<<12 | uint32(v[group[2]])<<6 | uint32(v[group[3]])
		return legible[byte(acc>>16)] && legible[byte(acc>>8)] && legible[byte(acc)]
	}
	var acc uint64
	for _, c := range group {
		acc = acc<<a.bits | uint64(v[c])
	}
	for n := len(group) * a.bits; n >= 8; n -= 8 {
		if !legible[byte(acc>>(n-8))] {
			return false
		}
	}
	return true
}

// judge says what the blob holds.
func (bl *blob) judge(at *block, text []byte) verdict {
	if p := bl.pieces[0]; len(bl.pieces) == 1 {
		return bl.alphabet.judge(text[p.lo:p.hi])
	}
	at.joined = at.joined[:0]
	for _, p := range bl.pieces {
		at.joined = append(at.joined, text[p.lo:p.hi]...)
	}
	return bl.alphabet.judge(at.joined)
}

// judge says what characters stand for, decoding no more of them than it must.
func (a alphabet) judge(chars []byte) verdict {
	var head [8]byte
	if len(chars)*a.bits/8 < len(head) {
		return noise
	}
	a.decode(head[:0], chars[:(len(head)*8+a.bits-1)/a.bits])
	if magical[head[0]] {
		if v := magic(head[:]); v != noise {
			return v
		}
	}
	if a.holdsText(chars) {
		return textual
	}
	return noise
}

// holdsText reports whether characters stand for minText bytes of text in a row, be it UTF-16, or for fewer that are text and nothing else.
// It looks at the last of as many groups as such a row has at least, and goes back while they are text. Hardly any of what is random
// has to be looked at for more than that.
func (a alphabet) holdsText(chars []byte) bool {
	of := a.quantum()
	n := len(chars) / of.chars
	for g := 0; g+of.row <= n || g == 0; { // the group before g has other bytes
		k := min(g+of.row, n) - 1
		for k >= g && a.clear(chars[k*of.chars:][:of.chars]) {
			k--
		}
		if k >= g {
			g = k + 1
			continue
		}
		from := max(g-1, 0)
		found, stop := a.textFrom(chars[from*of.chars:], (g-from)*of.bytes, g == 0)
		if found || stop < 0 {
			return found
		}
		g = from + stop/of.bytes + 1
	}
	return false
}

// textFrom looks for text in the bytes that chars stand for, until one of those from the byte min on is none. Its place is returned, or
// -1 if there is none. Those before belong to the text as far as they do without a gap. If they are all, fewer are enough.
func (a alphabet) textFrom(chars []byte, min int, all bool) (found bool, stop int) {
	const fewest, fewestWide = 8, 6 // bytes, and pairs of them, that are the whole text
	var acc uint32
	var n, size, row, longest, wide int
	last := byte(0)
	if !all {
		last = ' '
	}
	for _, c := range chars {
		acc = acc<<a.bits | uint32(a.value[c])
		if n += a.bits; n < 8 {
			continue
		}
		n -= 8
		c := byte(acc >> n)
		switch {
		case c == 0:
			longest, row = max(longest, row), 0
		case legible[c]:
			row++
			if last == 0 {
				wide++
			}
		case size >= min:
			return false, size
		default:
			row, wide = 0, 0
		}
		size++
		if row >= minText || wide >= minText {
			return true, 0
		}
		last = c
	}
	return all && size >= fewest && (max(longest, row) == size || wide >= fewestWide), -1
}

// magic knows formats by their first bytes.
func magic(head []byte) verdict {
	is := func(m string, v verdict) verdict {
		if string(head[:min(len(m), len(head))]) == m[:min(len(m), len(head))] {
			return v
		}
		return noise
	}
	switch head[0] {
	case 0x1f: // RFC 1952
		return is("\x1f\x8b\x08", packed)
	case 0x78: // RFC 1950
		if c := head[1]; c == 0x01 || c == 0x5e || c == 0x9c || c == 0xda {
			return packed
		}
	case 'P':
		return is("PK\x03\x04", document)
	case 'B':
		return is("BZh91AY&", document)
	case 0xfd:
		return is("\xfd7zXZ\x00", document)
	case 0x28:
		return is("\x28\xb5\x2f\xfd", document)
	case '7':
		return is("7z\xbc\xaf\x27\x1c", document)
	case '%':
		return is("%PDF-", document)
	case 'S':
		return is("SQLite f", document)
	case 0x04:
		return is("\x04\x22\x4d\x18", document)
	case 0xed:
		return is("\xed\xab\xee\xdb", document)
	case '!':
		return is("!<arch>\n", document)
	}
	return noise
}

// put shows the decoded blob in the builder's view. It reports whether there was something to show.
func (b *builder) put(text []byte, bl *blob, v verdict) bool {
	switch v {
	case textual:
		bl.each(b.level(), text, func(lo, hi int, decoded []byte) bool { return b.replace(lo, hi, decoded, 8, bl.bits) })
	case packed:
		return b.inflate(text, bl)
	case document:
		b.alone(text, bl)
	case noise:
		return false
	}
	return true
}

// collect returns the decoded blob, cut at maxBlob.
func (bl *blob) collect(l *level, text []byte) []byte {
	size := 0
	for _, p := range bl.pieces {
		size += p.hi - p.lo
	}
	out := make([]byte, 0, min(size*bl.bits/8, maxBlob))
	bl.each(l, text, func(_, _ int, decoded []byte) bool {
		out = append(out, decoded[:min(len(decoded), maxBlob-len(out))]...)
		return len(out) < maxBlob
	})
	return out
}

// inflate shows what a gzip or zlib blob holds. All of it is said to stem from the blob's beginning.
func (b *builder) inflate(text []byte, bl *blob) bool {
	raw := bl.collect(b.level(), text)
	if len(raw) < 8 {
		return false
	}
	var r io.Reader
	var err error
	name := "gzip"
	if raw[0] == 0x1f {
		r, err = gzip.NewReader(bytes.NewReader(raw))
	} else {
		name = "zlib"
		r, err = zlib.NewReader(bytes.NewReader(raw))
	}
	if err != nil {
		return false
	}
	// As with everything nested the budget is the bound; a truncated stream still shows what came before.
	buf := make([]byte, window/2)
	lo, shown := bl.pieces[0].lo, false
	for left := min(maxBlob, max(b.d.budget, 0)); left > 0; {
		n, err := io.ReadFull(r, buf[:min(len(buf), left)])
		left -= n
		b.d.budget -= n
		if n > 0 {
			shown = true
			hi := lo
			if err != nil || left == 0 {
				hi = bl.end
			}
			if !b.replace(lo, hi, buf[:n], 0, 1) {
				return true
			}
			b.also(name)
		}
		if err != nil {
			if n == 0 && shown && b.open { // the stream ended on a full buffer
				b.cur = bl.end
			}
			break
		}
	}
	return shown
}

// alone shows binary content without context, so that it begins with its magic number.
func (b *builder) alone(text []byte, bl *blob) {
	if !b.src.touches(bl.pieces[0].lo, bl.end) {
		return
	}
	b.src.known.Touch(bl.pieces[0].lo, bl.end)
	raw := bl.collect(b.level(), text)
	if b.d.budget -= len(raw); b.d.budget < 0 {
		return
	}
	b.flush()
	b.begin()
	b.cur = bl.end
	b.segs = append(b.segs, seg{0, bl.pieces[0].lo, 8, bl.bits})
	b.out = append(b.out, raw...)
	b.mark(0, len(raw))
	b.emit()
	b.open, b.out, b.segs, b.news = false, b.out[:0], b.segs[:0], b.news[:0]
}

// hides reports whether one of the finders of runs would show something of the run text[lo:hi] by itself.
func hides(text []byte, lo, hi int) bool {
	if isLetter := lo > 0 && text[lo-1] == '\\'; isLetter {
		lo++
	}
	for h := nextHex(text, span{lo, lo}, hi); h.hi > h.lo; h = nextHex(text, h, hi) {
		if base16s.judge(text[h.lo:h.hi]) != noise {
			return true
		}
	}
	if isBase32(text[lo:hi]) && base32s.judge(text[lo:hi]) != noise {
		return true
	}
	for try := 0; try < starts && hi-lo >= minRun; try++ {
		if (hi-lo >= plainRun || promising(text[lo:])) && base64s.judge(text[lo:hi]) != noise {
			return true
		}
		lo = nextStart(text, lo, hi)
	}
	return false
}

// plainRun: shorter runs hold text from their first byte on, or none; in longer ones it may lie among other bytes.
const plainRun = 40

// starts is how many words of a run are taken for the beginning of the encoded part.
const starts = 6

// tryBase64 decodes the run text[lo:hi], with the lines that continue it, and returns where it ended, or 0.
func tryBase64(b *builder, at *block, text []byte, lo, hi int) int {
	if diffed(text, lo, hi) { // the sign is a character of base64, too
		if end := b.base64(at, text, lo+1, hi); end > 0 {
			return end
		}
	}
	for try := 0; try < starts && hi-lo >= minRun; try++ {
		if hi-lo >= plainRun || promising(text[lo:]) {
			if end := b.base64(at, text, lo, hi); end > 0 {
				return end
			}
		}
		lo = nextStart(text, lo, hi)
	}
	return 0
}

// nextStart returns where to begin again in a run: a word before the encoded part, as in "auth/Z2hw", is of the same characters.
func nextStart(text []byte, lo, hi int) int {
	for lo++; lo < hi && isA(text[lo-1], isWord) && text[lo-1] != '_'; lo++ {
	}
	return lo
}

// promising reports whether the first twelve characters decode to text or to the beginning of a known format.
func promising(text []byte) bool {
	var head [9]byte
	bad := false
	for k := range 3 {
		g := text[4*k : 4*k+4]
		acc := uint32(base64s.value[g[0]])<<18 | uint32(base64s.value[g[1]])<<12 | uint32(base64s.value[g[2]])<<6 | uint32(base64s.value[g[3]])
		head[3*k], head[3*k+1], head[3*k+2] = byte(acc>>16), byte(acc>>8), byte(acc)
		bad = bad || !legible[head[3*k]] || !legible[head[3*k+1]] || !legible[head[3*k+2]]
		if bad && !magical[head[0]] {
			return false
		}
	}
	return !bad || magic(head[:8]) != noise
}

// legible are the bytes of text, be it UTF-16.
var legible = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c < 0x7f || c == '\n' || c == '\r' || c == '\t' || c == 0
	}
	return t
}()

// magical are the bytes that known formats begin with.
var magical = func() (t [256]bool) {
	for _, c := range []byte("\x1f\x78PB\xfd\x28\x37%S\x04\xed!") {
		t[c] = true
	}
	return t
}()

func (b *builder) base64(at *block, text []byte, lo, hi int) int {
	bl := blob{alphabet: base64s, pieces: at.begin(lo, hi)}
	if hi != at.last && continues(text, hi) && at.worth(lo) {
		if !at.wrapped(&bl, text, isBase64) {
			at.last = hi
		} else {
			b.src.known.Touch(lo, bl.end)
			if v := bl.judge(at, text); v != noise && b.put(text, &bl, v) {
				b.named(text, &bl)
				return bl.end
			}
			at.noise = max(at.noise, bl.end)
			bl.pieces = bl.pieces[:1]
		}
	}
	if v := bl.judge(at, text); v != noise {
		if bl.end = padding(text, hi); b.put(text, &bl, v) {
			return bl.end
		}
	}
	return 0
}

// named adds "timestamp" where one lay between the lines.
func (b *builder) named(text []byte, bl *blob) {
	for k := 1; k < len(bl.pieces); k++ {
		if bytes.IndexByte(text[bl.pieces[k-1].hi:bl.pieces[k].lo], ':') >= 0 {
			b.also("timestamp")
			return
		}
	}
}

// wrapped extends the first piece by the lines that go on in the same alphabet, and reports whether there are any.
func (bl *blob) wrapped(text []byte, alphabet uint8) bool {
	width := bl.pieces[0].hi - bl.pieces[0].lo
	hi := bl.pieces[0].hi
	sign := diffSign(text, bl.pieces[0].lo)
	for {
		lo, kind := joint(text, hi)
		if kind == apart {
			break
		}
		if sign != 0 && kind == lined && diffSign(text, lo+1) == sign && text[lo] == sign {
			lo, _ = indent(text, lo+1)
		}
		end := lo
		for end < len(text) && class[text[end]]&alphabet != 0 {
			end++
		}
		n := end - lo
		// Lines of a block are equally wide but for the last, and the first where a key precedes it. A comma also parts the
		// elements of a list, so there only the widths that encoders use are lines: 60 and more.
		if n == 0 || n > width && n > column(text, hi) || kind == listed && width < 60 {
			break
		}
		if next := padding(text, end); next == end && end < len(text) && class[text[end]]&isToken != 0 {
			break // goes on in other characters: not a line of the block
		}
		bl.pieces = append(bl.pieces, span{lo, end})
		hi = end
		if padding(text, end) > end || n < width && kind != spliced {
			break
		}
		width = max(width, n)
	}
	if len(bl.pieces) == 1 {
		return false
	}
	bl.end = padding(text, hi)
	return true
}

// maxColumn is how far back the beginning of a line is looked for.
const maxColumn = 256

// column returns how many bytes of its line precede i.
func column(text []byte, i int) int {
	lo := max(i-maxColumn, 0)
	return i - lo - 1 - bytes.LastIndexByte(text[lo:i], '\n')
}

// padding returns the end of the equals signs at i, percent-encoded or not.
func padding(text []byte, i int) int {
	for n := 0; n < 6 && i < len(text); n++ {
		switch {
		case text[i] == '=':
			i++
		case bytes.HasPrefix(text[i:], []byte("%3D")) || bytes.HasPrefix(text[i:], []byte("%3d")):
			i += 3
		case bytes.HasPrefix(text[i:], []byte(`\u003d`)):
			i += 6
		default:
			return i
		}
	}
	return i
}

// minHex is the shortest hexadecimal run decoded: 12 bytes, as with base64.
const minHex = 24

// tryHex decodes the parts of the run text[lo:hi] that are hexadecimal, and returns where the last ended, or 0.
func tryHex(b *builder, at *block, text []byte, lo, hi int) int {
	done := 0
	for h := nextHex(text, span{lo, lo}, hi); h.hi > h.lo; h = nextHex(text, h, hi) {
		bl := blob{alphabet: base16s, pieces: at.begin(h.lo, h.hi), end: h.hi}
		joined := h.hi == hi && continues(text, hi) && at.worth(h.lo) && at.wrapped(&bl, text, isHex)
		if joined {
			b.src.known.Touch(h.lo, bl.end)
		}
		v := bl.judge(at, text)
		if v == noise && joined {
			at.noise = max(at.noise, bl.end)
			bl.pieces, bl.end = bl.pieces[:1], h.hi
			v = bl.judge(at, text)
		}
		if v == textual && hexSign(text, h.lo) {
			b.cut(h.lo-len("0x"), h.lo) // or what is decoded would begin in the midst of a word
		}
		if v != noise && b.put(text, &bl, v) {
			done, h.hi = bl.end, bl.end
		}
	}
	return done
}

// hexSign reports whether the hexadecimal digits at i have their sign in front, and no other word.
func hexSign(text []byte, i int) bool {
	return i >= 2 && text[i-2] == '0' && text[i-1]|0x20 == 'x' && !isA(at(text, i-3), isWord)
}

// nextHex returns the next stretch of minHex and more hexadecimal characters after the last one, or none, in a run that ends at hi.
func nextHex(text []byte, last span, hi int) span {
	lo := last.hi
	for hi-lo >= minHex {
		if !isA(text[lo+minHex-1], isHex) { // no stretch that is long enough goes over this byte
			lo += minHex
			continue
		}
		for !isA(text[lo], isHex) {
			lo++
		}
		end := lo
		for end < hi && class[text[end]]&isHex != 0 {
			end++
		}
		if end-lo >= minHex {
			return span{lo, end}
		}
		lo = end
	}
	return span{}
}

// tryBase32 decodes the run text[lo:hi] if it is all of RFC 4648's base32 alphabet.
func tryBase32(b *builder, at *block, text []byte, lo, hi int) int {
	if !isBase32(text[lo:hi]) {
		return 0
	}
	bl := blob{alphabet: base32s, pieces: at.begin(lo, hi), end: padding(text, hi)}
	if v := bl.judge(at, text); v != noise && b.put(text, &bl, v) {
		return bl.end
	}
	return 0
}

func isBase32(run []byte) bool {
	for _, c := range run {
		if base32s.value[c] < 0 {
			return false
		}
	}
	return len(run) >= minHex
}
