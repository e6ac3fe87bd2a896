package decode

import (
	"bytes"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// hunt calls f at each position of one of the bytes in any that may mean something: in a marked block, or near what has been undone.
// Positions ascend, until f returns no more than its argument. f returns where to go on.
func (b *builder) hunt(m *marks, finder int, text []byte, any string, f func(i int) int) {
	for i := 0; i < len(text); {
		end := blockEnd(text, i)
		if b.near(i) {
			end = min(max(b.cur+context+1, i+1), len(text))
		} else if to := m.next(finder, i); to > i {
			i = to
			continue
		}
		k := end - i
		for j := range len(any) {
			if n := bytes.IndexByte(text[i:i+k], any[j]); n >= 0 {
				k = n
			}
		}
		if i += k; i == end {
			continue
		}
		to := f(i)
		if to <= i {
			return
		}
		i = to
	}
}

// cut removes text[lo:hi] and returns hi, or lo when the consumer has stopped.
func (b *builder) cut(lo, hi int) int { return b.put1(lo, hi, nil) }

func (b *builder) put1(lo, hi int, text []byte) int {
	if !b.replace(lo, hi, text, 0, 1) {
		return lo
	}
	return hi
}

// near reports whether i lies in the open view, so that an encoding too weak to open one is undone along with the rest.
func (b *builder) near(i int) bool { return b.open && i-b.cur <= context }

func at(text []byte, i int) byte {
	if i < 0 || i >= len(text) {
		return 0
	}
	return text[i]
}

func isA(c byte, bit uint8) bool { return class[c]&bit != 0 }

// findANSI removes terminal control sequences (ECMA-48), also where ESC is written as ^[.
func findANSI(b *builder, m *marks, text []byte) {
	const longest = 2 << 10 // of an operating system command, such as a hyperlink
	b.hunt(m, markControl, text, "\x1b^", func(i int) int {
		j := i + 1
		if text[i] == '^' {
			if at(text, j) != '[' || at(text, j+1) != '[' {
				return j
			}
			j++
		}
		switch at(text, j) {
		case '[':
			for j++; j < len(text) && text[j] >= 0x20 && text[j] < 0x40; j++ {
			}
			if c := at(text, j); c < 0x40 || c > 0x7e {
				return i + 1
			}
			j++
		case ']':
			for limit := j + longest; j < len(text) && j < limit && text[j] != '\a' && text[j] != 0x1b && text[j] != '\n'; j++ {
			}
			if j++; at(text, j-1) == 0x1b {
				j++
			}
		case '(', ')':
			j += 2
		default:
			return i + 1
		}
		j = min(j, len(text))
		// Colours are everywhere in logs. Only inside a word, or right before or after a long one, do they hide it.
		const long = 16
		l, r := runBefore(text, i, long), run(text, j, long)
		if at(text, j) == 0x1b && l > 0 || at(text, i-1) < ' ' && b.near(i) && b.cur == i { // one after another
			r += long
		}
		if !(l > 0 && r > 0 || max(l, r) >= long || b.near(i)) {
			return j
		}
		return b.cut(i, j)
	})
}

// findZeroWidth removes characters that nobody sees from tokens, and makes ASCII of the full-width letters and digits of East Asian
// typesetting.
func findZeroWidth(b *builder, m *marks, text []byte) {
	b.hunt(m, markHigh, text, "\xe2\xef\xc2\xe1", func(i int) int {
		r, n := utf8.DecodeRune(text[i:])
		const full = 0xfee0 // between a full-width form and its ASCII
		switch {
		case r > full && r < full+0x7f && (isA(byte(r-full), isWord) || r == full+'-'):
			i = b.put1(i, i+n, []byte{byte(r - full)})
			b.sub("full-width")
			return i
		case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x2069, r == 0xfeff, r == 0xad, r == 0x180e:
		default:
			return i + n
		}
		if !isA(at(text, i-1), isToken) && !isA(at(text, i+n), isToken) || i == 0 {
			return i + n
		}
		i = b.cut(i, i+n)
		b.sub("zero-width")
		return i
	})
}

// inline are the elements that colour or break words of HTML without ending them.
var inline = []string{"span", "b", "i", "u", "em", "strong", "wbr", "font", "code", "mark", "s", "small", "tt", "a"}

// findMarkup removes inline elements of HTML from inside of tokens, as syntax highlighting puts them there.
func findMarkup(b *builder, m *marks, text []byte) {
	const (
		most  = 64 // tags of one token
		least = 16 // characters of it
	)
	cuts := make([]span, 0, most)
	b.hunt(m, markMarkup, text, "<", func(i int) int {
		if !isA(at(text, i-1), isToken) {
			return i + 1
		}
		cuts = cuts[:0]
		var o oddity
		left := before(text, i)
		o.add(left)
		size, hi := len(left), i
		for len(cuts) < most {
			end := inlineTag(text, hi)
			if end == 0 {
				break
			}
			piece := after(text, end)
			o.add(piece)
			size += len(piece)
			cuts = append(cuts, span{hi, end})
			hi = end + len(piece)
		}
		if hi-i > fresh.Behind {
			b.src.known.Touch(i, hi)
		}
		if size == len(left) || size < least || !o.settle() {
			return max(hi, i+1)
		}
		for _, c := range cuts {
			if b.cut(c.lo, c.hi) == c.lo {
				return i
			}
		}
		return hi
	})
}

// inlineTag returns the end of the tag of an inline element at i, or 0.
func inlineTag(text []byte, i int) int {
	const longest = 200
	if at(text, i) != '<' {
		return 0
	}
	lo := i + 1
	if at(text, lo) == '/' {
		lo++
	}
	hi := lo
	for isA(at(text, hi), isWord) && hi < lo+8 {
		hi++
	}
	for _, e := range inline {
		if string(text[lo:hi]) == e {
			if end := bytes.IndexByte(text[i:min(i+longest, len(text))], '>'); end > 0 {
				return i + end + 1
			}
		}
	}
	return 0
}

func unhex(text []byte, i, n int) (r rune, ok bool) {
	if i+n > len(text) {
		return 0, false
	}
	for _, c := range text[i : i+n] {
		v := base16s.value[c]
		if v < 0 {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}

func plain(r rune) bool { return r >= ' ' && r < 0x7f }

// findPercent undoes percent-encoding (RFC 3986 section 2.1) and its JavaScript form %uXXXX.
func findPercent(b *builder, m *marks, text []byte) {
	b.hunt(m, markPercent, text, "%", func(i int) int {
		if at(text, i+1) == 'u' {
			if r, ok := unhex(text, i+2, 4); ok && plain(r) {
				return b.put1(i, i+6, []byte{byte(r)})
			}
		}
		r, ok := unhex(text, i+1, 2)
		if !ok || r == 0 || !(plain(r) && (r != ' ' || beside(text, i, i+3))) && !b.near(i) {
			return i + 1
		}
		return b.put1(i, i+3, []byte{byte(r)})
	})
}

// findEntities undoes character references of HTML and XML.
func findEntities(b *builder, m *marks, text []byte) {
	b.hunt(m, markEntity, text, "&", func(i int) int {
		n := reference(text, i)
		if n == 0 {
			return i + 1
		}
		hi := i + n
		s := html.UnescapeString(string(text[i:hi]))
		if r, n := utf8.DecodeRuneInString(s); n != len(s) || r == 0 || !(plain(r) && (isA(byte(r), isToken) || isQuote(byte(r)) || beside(text, i, hi))) && !b.near(i) {
			return i + 1
		}
		if s == "\u00a0" {
			s = " "
		}
		return b.put1(i, hi, []byte(s))
	})
}

// longestReference is that of those that stand for ASCII: &NewLine; &#x0000067;
const longestReference = 12

// reference returns the length of what is a character reference by its looks, or 0.
func reference(text []byte, i int) int {
	const shortest = 4 // of those that stand for ASCII: &lt;
	for j := i + 1; j < len(text) && j < i+longestReference; j++ {
		switch c := text[j]; {
		case c == ';' && j+1-i >= shortest:
			return j + 1 - i
		case !isA(c, isWord) && (c != '#' || j > i+1):
			return 0
		}
	}
	return 0
}

// findQuotedPrintable undoes RFC 2045 section 6.7. An equals sign at the end of a line is common elsewhere, so it must end a line as long as
// encoders make them, 76 at most.
func findQuotedPrintable(b *builder, m *marks, text []byte) {
	b.hunt(m, markQuoted, text, "=", func(i int) int {
		eol := i + 1
		if at(text, eol) == '\r' {
			eol++
		}
		if at(text, eol) == '\n' {
			if signs(text, i) {
				left, right := before(text, i), after(text, eol+1)
				if odd(left, right) && !(padded(left) && (bytes.IndexByte(right, '.') >= 0 || bytes.HasPrefix(right, []byte("--")))) { // as in go.sum and in PEM
					return b.cut(i, eol+1)
				}
			}
			return eol
		}
		r, ok := unhex(text, i+1, 2)
		if !ok || !signs(text, i) && !b.near(i) || r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return i + 1
		}
		return b.put1(i, i+3, []byte{byte(r)})
	})
}

// signs reports whether the equals sign at i is one of quoted-printable for sure: =3D, or the end of a line as long as encoders make them.
func signs(text []byte, i int) bool {
	const shortest, longest = 40, 76
	if !isA(at(text, i-1), isToken) {
		return false
	}
	eol := i + 1
	if at(text, eol) == '\r' {
		eol++
	}
	if at(text, eol) != '\n' {
		return at(text, i+1) == '3' && at(text, i+2) == 'D'
	}
	if text[i-1] == '=' { // which would be written =3D: padding of base64
		return false
	}
	col := column(text, i)
	return col >= shortest && col <= longest && isA(at(text, eol+1), isToken)
}

// padded reports whether run ends in base64 that wants a single sign of padding.
func padded(run []byte) bool {
	n := 0
	for n < len(run) && isA(run[len(run)-1-n], isBase64) {
		n++
	}
	return n%4 == 3
}

// findEscapes undoes backslash escapes of C, JSON, JavaScript, Java, Python, Rust and shells. Where an escape stands for a
// character that tokens are made of, or hides a token's beginning or end, all of its neighbourhood is undone; a mere "\n" is
// no reason to look.
func findEscapes(b *builder, m *marks, text []byte) {
	b.hunt(m, markEscape, text, "\\", func(i int) int {
		e := unescape(text, i)
		if e.n == 0 {
			return i + 1
		}
		if !b.near(i) && !e.hides(text, i) {
			return i + e.n
		}
		if e.raw && text[i+1] == 'x' && b.src.at == nil { // else each is asked by itself whether it is news
			return b.octets(text, i)
		}
		var buf [utf8.UTFMax]byte
		if e.raw {
			return b.put1(i, i+e.n, append(buf[:0], byte(e.r)))
		}
		return b.put1(i, i+e.n, utf8.AppendRune(buf[:0], e.r))
	})
}

// octets undoes the row of \xNN that begins at i, as far as one view shows it: files are embedded in programs that way, a megabyte in one
// literal. It returns where to go on.
func (b *builder) octets(text []byte, i int) int {
	const width = 4
	var buf [1 << 10]byte
	most := len(buf)
	if b.open {
		most = min(most, max(window+1-len(b.out), 1))
	}
	row, n := text[i:], 0
	for n < most && len(row) >= width && row[0] == '\\' && row[1] == 'x' {
		hi, lo := base16s.value[row[2]], base16s.value[row[3]]
		if hi|lo < 0 {
			break
		}
		buf[n] = byte(hi)<<4 | byte(lo)
		n++
		row = row[width:]
	}
	if !b.replace(i, i+n*width, buf[:n], width, 1) {
		return i
	}
	return i + n*width
}

type escape struct {
	r   rune
	n   int  // bytes of text; 0: no escape
	raw bool // r is a byte, not a character
}

// beside reports whether a run of token characters that is long enough for a password or its name ends at lo or begins at hi.
func beside(text []byte, lo, hi int) bool {
	const least = 6
	return run(text, hi, least) >= least || runBefore(text, lo, least) >= least
}

// unescape reads the escape that begins with the backslash at i.
func unescape(text []byte, i int) escape {
	switch c := at(text, i+1); c {
	case 'x':
		if at(text, i+2) == '{' {
			return braced(text, i)
		}
		if r, ok := unhex(text, i+2, 2); ok {
			return escape{r, 4, true}
		}
	case 'u':
		j := i + 2
		for at(text, j) == 'u' && j < i+8 { // Java allows several
			j++
		}
		if at(text, j) == '{' {
			return braced(text, j-2)
		}
		if r, ok := unhex(text, j, 4); ok {
			return escape{r, j + 4 - i, false}
		}
	case 'U':
		if r, ok := unhex(text, i+2, 8); ok {
			return escape{r, 10, false}
		}
	case '0', '1', '2', '3', '4', '5', '6', '7':
		j := i + 1
		if c == '0' && at(text, j+3) >= '0' && at(text, j+3) <= '7' { // echo -e writes \0nnn
			j++
		}
		var r rune
		digits := 0
		for ; digits < 3 && at(text, j+digits) >= '0' && at(text, j+digits) <= '7'; digits++ {
			r = r<<3 | rune(text[j+digits]-'0')
		}
		switch {
		case digits == 3 && r < 0x100:
			return escape{r, j + 3 - i, true}
		case digits == 2 && plain(r): // C needs no leading zero; other texts mean a group of an expression, see hides
			return escape{r, j + 2 - i, true}
		}
	case 'e':
		if at(text, i+2) == '[' {
			return escape{0x1b, 2, false}
		}
	case 'n':
		return escape{'\n', 2, false}
	case 't':
		return escape{'\t', 2, false}
	case 'r':
		return escape{'\r', 2, false}
	case '"', '\'', '/', '\\', '_':
		return escape{rune(c), 2, false}
	}
	return escape{}
}

// reveals reports whether there is an escape at i that is a reason to look.
func reveals(text []byte, i int) bool {
	e := unescape(text, i)
	return e.n > 0 && e.hides(text, i)
}

// hides reports whether the escape, which is at i, stands for a character that tokens are made of, or hides a token's beginning or end.
func (e escape) hides(text []byte, i int) bool {
	const minTail, minWord = 16, 8 // what makes "\n" and "\"" worth it: a token's run after it, a value's run beside it
	switch c := text[i+1]; c {
	case 'e':
		return true
	case 'n', 't', 'r':
		return run(text, i+2, minTail) >= minTail
	case '"', '\'':
		return jsonSign(at(text, i-1), at(text, i+2)) || run(text, i+2, minWord) >= minWord || runBefore(text, i, minWord) >= minWord
	case '_': // Markdown, LaTeX
		const most = 4 // of them in one token
		l, r, j := runBefore(text, i, minTail), 1, i+2
		for k := 0; k < most && r < minTail; k++ {
			n := run(text, j, minTail)
			if r, j = r+n, j+n; n == 0 || at(text, j) != '\\' || at(text, j+1) != '_' {
				break
			}
			j += 2
		}
		return l > 0 && l+r >= minTail
	case '0', '1', '2', '3', '4', '5', '6', '7':
		if e.n == len(`\77`) {
			return false
		}
	case '/':
		l, r := runBefore(text, i, minTail), run(text, i+2, minTail)
		return l > 0 && r > 0 && l+r >= minTail
	case '\\':
		// What the last of several backslashes escapes decides: \\u0067, or a quote of JSON in JSON in JSON.
		const deepest = 16
		last := i + 1
		for last < i+deepest && at(text, last+1) == '\\' {
			last++
		}
		if last == i+deepest {
			return false
		}
		return reveals(text, last) || isQuote(at(text, last+1)) && jsonSign(at(text, i-1), 0)
	}
	switch r := e.r; {
	case !plain(r):
		return r == 0x1b || r >= 0x200b && r <= 0x2064
	case isA(byte(r), isToken):
		return true
	case r != '`' && isQuote(byte(r)) && jsonSign(at(text, i-1), at(text, i+e.n)):
		return true
	}
	return beside(text, i, i+e.n)
}

// jsonSign reports whether a quote between the two bytes is one of JSON, in a string.
func jsonSign(before, after byte) bool {
	return strings.IndexByte("{[,:", before) >= 0 || strings.IndexByte(":,}]", after) >= 0
}

// braced reads \u{…} or \x{…} at i.
func braced(text []byte, i int) escape {
	const most = 6 // digits
	var r rune
	for j := i + 3; j < len(text) && j <= i+3+most; j++ {
		if text[j] == '}' && j > i+3 {
			return escape{r, j + 1 - i, false}
		}
		v := base16s.value[text[j]]
		if v < 0 {
			break
		}
		r = r<<4 | rune(v)
	}
	return escape{}
}

// run counts token characters from i on, up to most.
func run(text []byte, i, most int) int {
	if i < 0 || i >= len(text) {
		return 0
	}
	text = text[i:min(i+most, len(text))]
	for n, c := range text {
		if class[c]&isToken == 0 {
			return n
		}
	}
	return len(text)
}

// runBefore counts token characters before i, up to most.
func runBefore(text []byte, i, most int) int {
	if i <= 0 || i > len(text) {
		return 0
	}
	lo := i
	for least := max(i-most, 0); lo > least && class[text[lo-1]]&isToken != 0; {
		lo--
	}
	return i - lo
}
