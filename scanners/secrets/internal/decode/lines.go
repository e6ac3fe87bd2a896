package decode

import "bytes"

// findLines looks at the lines of text: for dumps, and for tokens that are broken over lines by a continuation sign, by a soft wrap,
// or by a log that puts its own prefix before each line. Where a private key lies in such a log, the prefixes of its lines are
// removed.
func findLines(dumps, wraps *builder, m *marks, text []byte) {
	dumps.dump(text, 0)
	next := 0 // where to look for wraps again
	for p := m.next(markLines, 0); p < len(text) && !wraps.d.stopped; p = m.next(markLines, p) {
		end := blockEnd(text, p)
		k := bytes.IndexByte(text[p:end], '\n')
		if k < 0 {
			p = end
			continue
		}
		p += k
		if p >= next {
			next = findWrap(wraps, text, p)
		}
		p++
		dumps.dump(text, p)
	}
}

// lineBreak returns the end of the line at i.
func lineBreak(text []byte, i int) int {
	if k := bytes.IndexByte(text[min(i, len(text)):], '\n'); k >= 0 {
		return i + k
	}
	return len(text)
}

// findWrap looks at the line break at p, and returns where to go on.
func findWrap(b *builder, text []byte, p int) int {
	end := p
	if at(text, end-1) == '\r' {
		end--
	}
	c := at(text, end-1)
	switch {
	case isA(c, isToken):
		if c == '-' && bytes.HasSuffix(text[:end], []byte("-----")) {
			return unprefix(b, text, p)
		}
		if wraps(text, p, end) {
			return unwrap(b, text, p, end)
		}
	case c == '\\' || c == '`' || c == '^':
		// Markdown's backticks come in pairs.
		if c == '`' && bytes.Count(text[end-min(column(text, end), end):end], []byte("`"))%2 == 0 {
			break
		}
		next, _ := indent(text, p+1)
		if sign := diffSign(text, p); sign != 0 && at(text, p+1) == sign {
			next, _ = indent(text, p+2)
		}
		if isA(at(text, end-2), isToken) && isA(at(text, next), isToken) && odd(before(text, end-1), after(text, next)) {
			return b.cut(end-1, next)
		}
	}
	return p + 1
}

// unprefix removes what precedes the lines after a PEM header (RFC 7468) that ends at the line break p.
func unprefix(b *builder, text []byte, p int) int {
	const most = 200 // lines: a key of 16384 bits has 196
	header := text[p+1-min(column(text, p)+1, p+1) : p]
	if !bytes.Contains(header, []byte("-----BEGIN")) {
		return p + 1
	}
	b.src.known.Touch(p, p+1)
	for range most {
		next, how := prefix(text, p+1)
		if how > indented {
			if !b.replace(p+1, next, nil, 0, 1) {
				return p
			}
			b.sub(how.String())
		}
		k := bytes.IndexByte(text[min(next, len(text)):], '\n')
		if k < 0 {
			break
		}
		line := text[next : next+k]
		p = next + k
		if bytes.HasPrefix(line, []byte("-----END")) {
			break
		}
	}
	return p + 1
}

const (
	minPart    = 4   // of a run on one side of a break: "ghp_"
	minWhole   = 20  // of both: what has a shape is that long
	maxClosing = 3   // quotes, brackets and the like after a token that ends a line
	longest    = 512 // of a run
	maxAlone   = 60  // characters of a line that is all one run; longer ones are blocks of base64, which are joined as such
)

// wraps reports whether the break at p can lie in a token, from the ends of the two lines alone: finding out where the second begins
// after its prefix costs more than most texts deserve.
func wraps(text []byte, p, end int) bool {
	left := runBefore(text, end, longest)
	if left < minPart || left >= maxAlone && whole(text, end-left, end) {
		return false
	}
	hi := lineBreak(text, p+1)
	if at(text, hi-1) == '\r' {
		hi--
	}
	for k := 0; k < maxClosing && isA(at(text, hi-1), isClosing); k++ {
		hi--
	}
	right := runBefore(text, hi, longest)
	return right >= minPart && left+right >= minWhole && precedes(text[p+1:hi-right]) && tokenish(text[end-left:end], text[hi-right:hi])
}

// whole reports whether text[lo:hi], which ends a line and has no break in it, is all of the line, as far as is looked.
func whole(text []byte, lo, hi int) bool {
	return lo == 0 || text[lo-1] == '\n' || hi-lo >= maxColumn
}

// precedes reports whether a line's beginning can be nothing but what prefix skips.
func precedes(line []byte) bool {
	lo, _ := indent(line, 0)
	if lo == len(line) {
		return true
	}
	switch c := line[lo]; {
	case line[len(line)-1] != ' ' && line[len(line)-1] != '\t':
		return false
	case c >= 'a' && c <= 'z', c == '"', c == '\'': // jobs and services
		return bytes.IndexByte(line, '\t') >= 0 || bytes.IndexByte(line, '|') >= 0
	}
	return true
}

// leads reports whether precedes can be true of the beginning of line, or all of it is a run: most lines of programs are neither.
func leads(line []byte) bool {
	lo, _ := indent(line, 0)
	if lo == len(line) {
		return false
	}
	if c := line[lo]; (c < 'a' || c > 'z') && c != '"' && c != '\'' {
		return true
	}
	return bytes.IndexByte(line[lo:], ' ') < 0 || bytes.IndexByte(line, '\t') >= 0 || bytes.IndexByte(line, '|') >= 0
}

// unwrap joins the lines around the break at p if a token seems to go over it: the second line, without its prefix, is all one run of
// token characters, and so is the end of the first.
func unwrap(b *builder, text []byte, p, end int) int {
	const (
		minAlone = 32 // of a line that is all one run; shorter ones are lists of names
		most     = 8  // lines of one token; longer blocks are no tokens
	)
	cut := 0
	for range most {
		left := runBefore(text, end, longest)
		if left < minPart || cut == 0 && left >= maxAlone && whole(text, end-left, end) {
			break
		}
		next, how := prefix(text, p+1)
		right := run(text, next, longest)
		if right < minPart || left+right < minWhole || right == longest {
			break
		}
		stop := next + right
		for k := 0; k < maxClosing && isA(at(text, stop), isClosing); k++ {
			stop++
		}
		if at(text, stop) == '\r' {
			stop++
		}
		if stop < len(text) && text[stop] != '\n' || cut == 0 && !tokenish(text[end-left:end], text[next:next+right]) {
			break
		}
		// A line that is nothing but the run is as likely an element of a list: then only lines of equal width, the last
		// one shorter, are one text.
		if right > left && (cut > 0 || alone(text, end-left)) || cut == 0 && left < minAlone && alone(text, end-left) {
			break
		}
		if !b.replace(end, next, nil, 0, 1) {
			return p
		}
		b.sub(how.String())
		cut++
		if stop != next+right {
			return stop
		}
		p, end = next+right, next+right
		if p >= len(text) {
			return len(text)
		}
		if text[p] == '\r' {
			p++
		}
	}
	return p + 1
}

// alone reports whether the run that begins at i is the first of its line.
func alone(text []byte, i int) bool {
	lo := i - column(text, i)
	next, _ := prefix(text, lo)
	return next >= i
}

// tokenish reports whether the two parts can be of one random token: letters and digits, or upper and lower case, are mixed more than in
// words, and they are not digests of equal length.
func tokenish(left, right []byte) bool {
	var counts [4]int // of each kind
	var hex, turns int
	last := uint8(0)
	for _, part := range [...][]byte{left, right} {
		for _, c := range part {
			kind := kinds[c]
			counts[kind&3]++
			hex += int(kind >> 2)
			if (kind^last)&3 != 0 {
				turns++
			}
			last = kind
		}
	}
	digits, alpha := counts[1], counts[2]+counts[3]
	const minDigits, minTurns, digest = 2, 8, 32
	n := len(left) + len(right)
	switch {
	case digits == 0 || alpha < minDigits || digits < minDigits && turns < minTurns:
		return false
	case hex == n && len(left) >= len(right) && len(left) >= digest:
		return false
	}
	return !path(left) && !path(right) && !assigns(right)
}

// assigns reports whether a run is a name with its value rather than the rest of one.
func assigns(run []byte) bool {
	k := bytes.IndexByte(run, '=')
	return k > 0 && k+1 < len(run) && isA(run[k+1], isWord)
}

// kinds has 1 for digits, 2 for upper and 3 for lower case, and 4 more for hexadecimal digits.
var kinds = func() (t [256]uint8) {
	for i := range t {
		switch c := byte(i); {
		case isA(c, isDigit):
			t[i] = 1
		case isA(c, isWord):
			t[i] = c>>5&1 + 2
		}
		if isA(byte(i), isHex) {
			t[i] |= 4
		}
	}
	return t
}()

func path(b []byte) bool { return bytes.IndexByte(b, '/') >= 0 && bytes.IndexByte(b, '.') >= 0 }

// A margin is what precedes a line's own text.
type margin uint8

const (
	none margin = iota
	indented
	quoted  // a comment's or quotation's sign
	stamped // a log's time stamp or source
)

func (m margin) String() string {
	if m == stamped {
		return "timestamp"
	}
	return "wrap"
}

func indent(text []byte, i int) (int, margin) {
	const deepest = 200
	j := i
	for j < i+deepest && (at(text, j) == ' ' || at(text, j) == '\t') {
		j++
	}
	if j > i {
		return j, indented
	}
	return j, none
}

// prefix returns where the line that begins at i has its own text: after the time stamps of GitHub, GitLab, Jenkins, Docker, Kubernetes,
// syslog and Go logs, after comment and quotation signs, after indentation.
func prefix(text []byte, i int) (int, margin) {
	if j := logPrefix(text, i); j > i {
		j, _ = indent(text, j)
		return j, stamped
	}
	j, m := indent(text, i)
	for _, sign := range []string{"//", "#", "*", ">", "|", ";", "--"} {
		if bytes.HasPrefix(text[min(j, len(text)):], []byte(sign)) {
			k := j + len(sign)
			if at(text, k) != ' ' && at(text, k) != '\t' {
				break
			}
			if s := logPrefix(text, k+1); s > k+1 { // "web | 2026-…"
				return s, stamped
			}
			k, _ = indent(text, k)
			return k, quoted
		}
	}
	return j, m
}

// logPrefix returns the end of the log prefix at i, or i.
func logPrefix(text []byte, i int) int {
	const longestField = 100
	if c := at(text, i); c == ' ' || c == '\t' {
		return i
	}
	line := text[min(i, len(text)):min(i+3*longestField, len(text))]
	if k := bytes.IndexByte(line, '\n'); k >= 0 {
		line = line[:k]
	}
	if len(line) < 8 {
		return i
	}
	if n := stamp(line); n > 0 {
		return i + n
	}
	// gh run view --log: job, step and time stamp, parted by tabs. docker compose: service and bar.
	rest, at := line, 0
	for range 2 {
		k := bytes.IndexByte(rest, '\t')
		if k <= 0 || k > longestField {
			break
		}
		at += k + 1
		rest = line[at:]
		if n := stamp(rest); n > 0 {
			return i + at + n
		}
	}
	if k := bytes.Index(line, []byte(" | ")); k > 0 && k < longestField/2 && bytes.IndexByte(bytes.TrimRight(line[:k], " "), ' ') < 0 {
		return i + k + 3 + stamp(line[k+3:])
	}
	if line[0] == '#' { // BuildKit: #12 3.456
		if n := shape(line, "#9 9.9 "); n > 0 {
			return i + n
		}
	}
	return i
}

// stamps are the shapes of time stamps: 9 is a run of digits, each other character itself, space any run of blanks. What makers print them: RFC 3339
// (GitHub, GitLab, Docker, Kubernetes, Jenkins in brackets), ISO with a blank (Python, Java), Go's log package, syslog (RFC 3164), bare times.
var stamps = []string{
	"9-9-9T9:9:9", "9-9-9 9:9:9", "9/9/9 9:9:9", "9:9:9", "Aaa 9 9:9:9", "9-9-9T9:9", "Aaa, 9 Aaa 9 9:9:9", "9T9", "9.9",
}

// stamp returns the length of the time stamp that line begins with, brackets, zone, stream names and blanks included, or 0.
func stamp(line []byte) int {
	i := 0
	if at(line, 0) == '[' || at(line, 0) == '(' {
		i++
	}
	n := 0
	for _, s := range stamps {
		if s == "9.9" && i == 0 { // seconds since start, only in brackets: dmesg
			continue
		}
		if n = shape(line[i:], s); n > 0 {
			break
		}
	}
	if n == 0 {
		return 0
	}
	i += n
	if n := shape(line[i:], ".9"); n > 0 {
		i += n
	} else if n := shape(line[i:], ",9"); n > 0 {
		i += n
	}
	for _, zone := range []string{"Z", " UTC", " GMT", "+9:9", "-9:9", "+9", "-9"} {
		if n := shape(line[i:], zone); n > 0 {
			i += n
			break
		}
	}
	if c := at(line, i); c == ']' || c == ')' || c == ':' {
		i++
	}
	if c := at(line, i); c != ' ' && c != '\t' {
		return 0
	}
	i++
	// GitLab's stream ("00O ", "01E+"), Kubernetes' ("stdout F ").
	for _, stream := range []string{"9O", "9E"} {
		if n := shape(line[i:], stream); n == 3 && (at(line, i+3) == ' ' || at(line, i+3) == '+') {
			i += 4
		}
	}
	for _, stream := range []string{"stdout F ", "stdout P ", "stderr F ", "stderr P "} {
		if bytes.HasPrefix(line[i:], []byte(stream)) {
			i += len(stream)
		}
	}
	return i
}

// shape returns how many bytes of line have the shape, or 0.
func shape(line []byte, shape string) int {
	i := 0
	for k := range len(shape) {
		from := i
		switch c := shape[k]; c {
		case '9':
			for isA(at(line, i), isDigit) && i < from+20 {
				i++
			}
		case ' ':
			for at(line, i) == ' ' && i < from+20 {
				i++
			}
		case 'A':
			if c := at(line, i); c >= 'A' && c <= 'Z' {
				i++
			}
		case 'a':
			if c := at(line, i); c >= 'a' && c <= 'z' {
				i++
			}
		default:
			if at(line, i) == c {
				i++
			}
		}
		if i == from {
			return 0
		}
	}
	return i
}
