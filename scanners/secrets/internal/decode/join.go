package decode

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// A seam says how two pieces of text hang together.
type seam uint8

const (
	apart   seam = iota // they do not
	spliced             // by an operator or a continuation: whatever their size
	lined               // lines of a block
	listed              // elements of a list: maybe
)

// continues reports whether joint can find anything at i.
func continues(text []byte, i int) bool {
	c := at(text, i)
	return c == '\n' || c == '\r' || c == '\\' || isQuote(c)
}

// joint returns where the text broken off at i goes on: after a line break with what precedes the next line in logs, comments and
// indented blocks; after an escaped one; in the next string literal.
func joint(text []byte, i int) (int, seam) {
	j := i
	for at(text, j) == '\\' && j < i+2 { // \n, \\n, \r\n as two or three characters each
		j++
	}
	escaped := false
	if j > i {
		switch {
		case at(text, j) == 'n':
			j, escaped = j+1, true
		case at(text, j) == 'r' && at(text, j+1) == '\\' && at(text, j+2) == 'n':
			j, escaped = j+3, true
		case at(text, j) == '\n' || at(text, j) == '\r':
		default:
			return 0, apart
		}
	}
	switch c := at(text, j); {
	case isQuote(c):
		next, how := literal(text, j)
		if how == listed && escaped {
			how = lined
		}
		return next, how
	case c == '\r' || c == '\n':
		if c == '\r' {
			j++
		}
		if at(text, j) != '\n' {
			return 0, apart
		}
		next, _ := prefix(text, j+1)
		return next, lined
	case escaped:
		return j, lined
	}
	return 0, apart
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// blank skips white space, comments and opening parentheses, for 200 bytes at most.
func blank(text []byte, i int) int {
	const most = 200
	for limit := min(i+most, len(text)); i < limit; {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '(':
			i++
		case c == '\\' && (at(text, i+1) == '\n' || at(text, i+1) == '\r'), c == '_' && (at(text, i+1) == '\n' || at(text, i+1) == '\r'):
			i += 2
		case c == '/' && at(text, i+1) == '/', c == '-' && at(text, i+1) == '-':
			k := bytes.IndexByte(text[i:limit], '\n')
			if k < 0 {
				return i
			}
			i += k
		case c == '/' && at(text, i+1) == '*':
			k := bytes.Index(text[i:limit], []byte("*/"))
			if k < 0 {
				return i
			}
			i += k + 2
		default:
			return i
		}
	}
	return i
}

// operator returns the length of the operator at i that concatenates strings, in one language or another, or 0.
func operator(text []byte, i int) int {
	switch c, next := at(text, i), at(text, i+1); c {
	case '+', '.':
		if next == c {
			return 2
		}
		return 1
	case '&', '^', '~', '$':
		return 1
	case '|':
		if next == '|' {
			return 2
		}
	case '<':
		if next == '<' || next == '>' {
			return 2
		}
	}
	return 0
}

// appenders are the ends of calls that add to a string.
var appenders = []string{"append", "concat", "add", "push", "push_str", "write", "writestring", "plus", "prepend"}

// maxName bounds the name of what is added to.
const maxName = 64

var inName = func() (t [256]bool) {
	for c := range t {
		t[c] = isA(byte(c), isWord) || c == '.' || c == '$' || c == '>' || c == '-'
	}
	return t
}()

// literal returns where the next string literal's text begins, if it is joined to the one whose closing quote is at i.
func literal(text []byte, i int) (int, seam) {
	open := func(j int) (int, bool) { // an opening quote at j, with a prefix such as f or L
		for k := j; k < j+3; k++ {
			if c := at(text, k); isQuote(c) {
				return k + 1, true
			} else if c|0x20 < 'a' || c|0x20 > 'z' {
				if c != '@' && c != '$' {
					return 0, false
				}
			}
		}
		return 0, false
	}
	switch c := at(text, i+1); {
	case isA(c, isWord) && isA(at(text, i+2), isWord) && isA(at(text, i+3), isWord), strings.IndexByte(":]}>=/?", c) >= 0:
		return 0, apart // most quotes are no seams, and half of them open a literal
	}
	j := blank(text, i+1)
	if k, ok := open(j); ok { // adjacent, as are rows of a table at the beginning of a line, lists of imports, and words in Markdown
		const least = 16
		l, r := before(text, i), after(text, k)
		if at(text, j-1) == '\n' || text[i] == '`' || len(l)+len(r) < least || path(l) || path(r) || !odd(l) && !odd(r) {
			return 0, apart
		}
		return k, spliced
	}
	if at(text, j) == ',' {
		if k, ok := open(blank(text, j+1)); ok {
			return k, listed
		}
		return 0, apart
	}
	if n := operator(text, j); n > 0 {
		if k, ok := open(blank(text, j+n)); ok {
			return k, spliced
		}
	}
	// s += "…" on the next line, .append("…")
	for k := j; k < j+3 && (at(text, k) == ')' || at(text, k) == ';'); {
		k++
		j = blank(text, k)
		k = j
	}
	name := j
	for j < len(text) && j < name+maxName && inName[text[j]] {
		j++
	}
	if j == name {
		return 0, apart
	}
	k := j
	for at(text, k) == ' ' && k < j+4 {
		k++
	}
	if n := operator(text, k); n > 0 {
		if at(text, k+n) == '=' {
			n++
		} else if text[k] != '<' {
			return 0, apart
		}
		if k, ok := open(blank(text, k+n)); ok {
			return k, spliced
		}
		return 0, apart
	}
	if at(text, k) == '(' {
		if first, ok := open(blank(text, k)); ok {
			for _, a := range appenders {
				if n := j - len(a); n >= name && bytes.EqualFold(text[n:j], []byte(a)) {
					return first, spliced
				}
			}
		}
	}
	return 0, apart
}

// seamy reports whether the quote at i is joined to another literal that begins with a token character. It is literal for the many
// quotes that are not, and so looks first for what follows most of them: another argument, the end of a call, the next line.
func seamy(text []byte, i int) bool {
	j := i + 1
	if at(text, j) == ',' {
		for j++; ends[at(text, j)]; j++ {
		}
		switch c := at(text, j); {
		case isQuote(c):
			return isA(at(text, j+1), isToken)
		case !joins[c] && (!isA(c, isWord) || c != '_' && !isQuote(at(text, j+1)) && !isQuote(at(text, j+2))) && c != '-' && c != '$':
			return false
		}
	} else {
		switch c := at(text, j); { // something else than a literal, or one with a letter and nothing of a token
		case c == '~' || c == '^' || c == '&':
			if isA(at(text, j+1), isWord) && !isQuote(at(text, j+2)) && !isQuote(at(text, j+3)) {
				return false
			}
		case isA(c, isWord) && isQuote(at(text, j+1)) && !isA(at(text, j+2), isToken):
			return false
		}
		for j < len(text) && ends[text[j]] {
			j++
		}
		name := j
		for j < len(text) && j < name+maxName && inName[text[j]] {
			j++
		}
		for at(text, j) == ' ' {
			j++
		}
		switch c := at(text, j); {
		case j == name:
			if !joins[c] {
				return false
			}
		case !isA(text[name], isWord) || text[name] == '_' || isQuote(c) || c == '@': // operators, comments, continuations, literals
		case c == '(' && !called[text[j-1]] && text[j-1] != ' ', c != '(' && operator(text, j) == 0:
			return false
		}
	}
	next, how := literal(text, i)
	return how != apart && isA(at(text, next), isToken)
}

// ends are the bytes that end a call or a line, joins those that literal goes on at, names aside; called those that the names of
// appenders end with.
var ends, joins, called = func() (e, j, c [256]bool) {
	for _, b := range []byte(" \t\r\n);") {
		e[b] = true
	}
	for _, b := range []byte("\"'`,+&^~|<(\\/@") {
		j[b] = true
	}
	for _, a := range appenders {
		last := a[len(a)-1]
		c[last], c[last-'a'+'A'] = true, true
	}
	return e, j, c
}()

// findConcat joins string literals that are concatenated. Only a seam with token characters on both sides can break a token.
func findConcat(b *builder, m *marks, text []byte) {
	var without stretch
	for i := m.next(markConcat, 0); i < len(text) && !b.d.stopped; i = m.next(markConcat, i) {
		end := blockEnd(text, i)
		if i = nextQuote(text[:end], i); i == end {
			continue
		}
		to := i + 1
		if isA(at(text, i-1), isToken) {
			if next, how := literal(text, i); how != apart && isA(at(text, next), isToken) {
				if how == spliced {
					to = b.splice(text, i, next)
				} else {
					to = b.list(text, i, next, &without)
				}
			}
		}
		if to-i > fresh.Behind {
			b.src.known.Touch(i, to)
		}
		i = max(to, i+1)
	}
}

// nextQuote returns the place of the first quote from i on, or len(text). It looks at eight bytes at once.
func nextQuote(text []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(text); i += 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		double, single, back := w^'"'*ones, w^'\''*ones, w^'`'*ones
		// The lowest byte whose high bit is set is zero; those above it may be wrong.
		if m := ((double-ones)&^double | (single-ones)&^single | (back-ones)&^back) & high; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(text) && !isQuote(text[i]) {
		i++
	}
	return min(i, len(text))
}

// splice joins the literals that hang together from the quote at i on, if what comes of it can be a secret. It returns where to go on.
func (b *builder) splice(text []byte, i, next int) int {
	const most = 256 // literals; what follows is looked at by itself
	l := b.level()
	l.cuts = append(l.cuts[:0], span{i, next})
	var o oddity
	o.add(before(text, i))
	stop := next
	for {
		piece := after(text, next)
		o.add(piece)
		stop = next + len(piece)
		if !isQuote(at(text, stop)) || text[stop] != text[next-1] || len(l.cuts) == most {
			break
		}
		var how seam
		if next, how = literal(text, stop); how != spliced || !isA(at(text, next), isToken) {
			break
		}
		l.cuts = append(l.cuts, span{stop, next})
	}
	const header = 40 // bytes that the beginning of a PEM block has at most
	if !o.settle() && !bytes.Contains(text[max(i-header, 0):i], []byte("-----BEGIN")) {
		return stop
	}
	for _, c := range l.cuts {
		if b.cut(c.lo, c.hi) == c.lo {
			return i
		}
	}
	return stop
}

// joinWords are the words of calls that join strings, and formats of strings and nothing else. They are minJoin to maxJoin bytes long.
var joinWords = [8]string{"join", "concat", "implode", "strcat", "paste0", "%s%s", "{}{}", "{0}{1}"}

const minJoin, maxJoin = 4, 7

// joinPairs tells which of joinWords have two bytes in a row: the lowest bits of an element stand for the words that begin with them, a byte
// further those that have them one place later, and so on. As all are minJoin long, every third place of a text tells whether one is around.
var joinPairs = func() (t [1 << 10]uint32) {
	for w, word := range joinWords {
		for k := range minJoin - 1 {
			t[joinPair(word[k], word[k+1])] |= 1 << (k*len(joinWords) + w)
		}
	}
	return t
}()

// joinPair takes the five bits of each that tell letters apart and are the same in upper and lower case.
func joinPair(a, b byte) int { return int(a&31)<<5 | int(b&31) }

// nextJoin returns where the first of joinWords in text[i:] begins, or -1.
func nextJoin(text []byte, i int) int {
	for p := i; p+1 < len(text); p += minJoin - 1 {
		words := joinPairs[joinPair(text[p], text[p+1])]
		if words == 0 {
			continue
		}
		for k := minJoin - 2; k >= 0; k-- {
			lo := p - k
			if words>>(k*len(joinWords))&(1<<len(joinWords)-1) == 0 || lo < i || lo+minJoin > len(text) {
				continue
			}
			begin, rest := joinPairs[joinPair(text[lo], text[lo+1])], joinPairs[joinPair(text[lo+2], text[lo+3])]
			for set := uint8(begin & (rest >> (2 * len(joinWords)))); set != 0; set &= set - 1 {
				word := joinWords[bits.TrailingZeros8(set)]
				if hi := lo + len(word); hi <= len(text) && bytes.EqualFold(text[lo:hi], []byte(word)) {
					return lo
				}
			}
		}
	}
	return -1
}

// A stretch of a text is one in which none of joinWords begins. The lists of a text lie so close that what surrounds them is asked for again
// and again.
type stretch struct{ lo, hi int }

// joined reports whether text[lo:hi] has one of joinWords.
func (s *stretch) joined(text []byte, lo, hi int) bool {
	const far = 256 // from where the stretch ends: to read on from there costs more than to begin anew
	if lo < s.lo || lo > s.hi+far {
		*s = stretch{lo, lo}
	}
	for {
		at := nextJoin(text[:hi], s.hi)
		switch {
		case at < 0:
			s.hi = max(s.hi, hi-(maxJoin-1)) // one that begins later may be cut off
			return false
		case at >= lo:
			s.hi = at
			return true
		}
		*s = stretch{at + 1, at + 1}
	}
}

// list joins the elements of a list whose first comma follows the quote at i, if they are single characters or something
// nearby joins them. It returns where the list ends.
func (b *builder) list(text []byte, i, next int, without *stretch) int {
	const (
		longest = 512 // of an element
		most    = 256 // elements; what follows is looked at as a list of its own
		enough  = 8   // characters of an array
		ahead   = 80  // bytes in which a call such as strings.Join([]string{ begins
		behind  = 24  // and in which .join("") follows
	)
	cuts := b.level().cuts[:0]
	single := true
	quote := text[next-1]
	end := i
	for len(cuts) < most {
		cuts = append(cuts, span{end, next})
		n := bytes.IndexByte(text[next:min(next+longest, len(text))], quote)
		if n < 0 {
			break
		}
		single = single && n == 1
		end = next + n
		var how seam
		if next, how = literal(text, end); how != listed || !isA(at(text, next), isToken) || n == 0 {
			break
		}
		quote = text[next-1]
	}
	b.level().cuts = cuts
	stop := max(end, i+1)
	from := 0 // the first of the cuts to make
	if !single || len(cuts) < enough {
		first := max(i-longest, 0)
		first += max(bytes.LastIndexByte(text[first:i], text[i]), 0)
		if !without.joined(text, max(first-ahead, 0), i) && !without.joined(text, end, min(end+behind, len(text))) {
			return stop
		}
		if bytes.ContainsAny(text[first:i], "%{") { // a format string is no part of the result
			from = 1
		}
	}
	var o oddity
	o.add(before(text, i))
	for k, c := range cuts {
		hi := end
		if k+1 < len(cuts) {
			hi = cuts[k+1].lo
		}
		o.add(text[c.hi:max(hi, c.hi)])
	}
	if !o.settle() {
		return stop
	}
	for _, c := range cuts[from:] {
		if b.cut(c.lo, c.hi) == c.lo {
			return i
		}
	}
	return stop
}
