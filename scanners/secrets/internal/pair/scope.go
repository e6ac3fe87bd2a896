package pair

import "bytes"

// maxScopes bounds how deep scopes are told apart; deeper ones count as one.
const maxScopes = 24

// An open scope: a bracket, a block of equal indentation, or the line itself.
type open struct {
	id     int
	kind   byte // '{' for any bracket, ' ' for indentation, '\n' for the line
	indent int
}

// locate tells each mark its line and the scopes it stands in. Scopes are what structure a format has, seen without knowing
// the format: sections of INI files, brackets of all kinds, indentation, paragraphs, lines. Marks are in order.
func locate(t []byte, marks []mark) {
	l := locator{next: 2}
	next := 0
	for start := 0; start <= len(t) && next < len(marks); {
		end := len(t)
		if i := bytes.IndexByte(t[start:], '\n'); i >= 0 {
			end = start + i
		}
		l.begin(t[start:end])
		for i := start; next < len(marks); next++ {
			stop := min(end, marks[next].Start)
			for ; i < stop; i++ {
				if i+8 <= stop && !anyBracket((*[8]byte)(t[i:])) {
					i += 7
					continue
				}
				switch t[i] {
				case '{', '(', '[':
					l.push('{', 0)
				case '}', ')', ']':
					l.close()
				}
			}
			if stop == end {
				break
			}
			l.tell(&marks[next])
		}
		l.end()
		start = end + 1
	}
}

func anyBracket(b *[8]byte) bool {
	return (class[b[0]]|class[b[1]]|class[b[2]]|class[b[3]]|class[b[4]]|class[b[5]]|class[b[6]]|class[b[7]])&bracket != 0
}

type locator struct {
	stack []open
	next  int // scope id
	line  int
	sect  int
	para  int
}

func (l *locator) push(kind byte, indent int) {
	if len(l.stack) < maxScopes {
		l.stack = append(l.stack, open{l.next, kind, indent})
		l.next++
	}
}

// close ends the innermost bracket and what was opened in it.
func (l *locator) close() {
	for i := len(l.stack) - 1; i >= 0; i-- {
		if l.stack[i].kind == '{' {
			line := i
			for line < len(l.stack) && l.stack[line].kind != '\n' {
				line++
			}
			rest := l.stack[:i]
			if line < len(l.stack) {
				rest = append(rest, l.stack[line]) // the line goes on behind the bracket
			}
			l.stack = rest
			return
		}
	}
}

// begin opens a line: its section, its block of equal indentation and itself.
func (l *locator) begin(line []byte) {
	l.line++
	text := bytes.TrimSpace(line)
	if len(text) == 0 {
		l.para = l.next
		l.next++
		l.push('\n', 0)
		return
	}
	if text[0] == '[' && text[len(text)-1] == ']' && !bytes.ContainsAny(text, "{,\"'(") && len(text) < 200 {
		l.sect++
		l.para = l.next
		l.next++
		l.stack = l.stack[:0]
	}
	indent := 0
	for indent < len(line) && (line[indent] == ' ' || line[indent] == '\t') {
		indent++
	}
	item := bytes.HasPrefix(text, []byte("- ")) // each element of a YAML sequence is a block
	for n := len(l.stack); n > 0 && l.stack[n-1].kind == ' ' && (l.stack[n-1].indent > indent || item && l.stack[n-1].indent == indent+2); n-- {
		l.stack = l.stack[:n-1]
	}
	top := open{indent: -1}
	if n := len(l.stack); n > 0 && l.stack[n-1].kind == ' ' {
		top = l.stack[n-1]
	}
	if top.indent < indent {
		l.push(' ', indent)
	}
	if item {
		l.push(' ', indent+2)
	}
	l.push('\n', 0)
}

// end takes the line out of the stack; brackets opened on it stay.
func (l *locator) end() {
	for i, o := range l.stack {
		if o.kind == '\n' {
			l.stack = append(l.stack[:i], l.stack[i+1:]...)
			return
		}
	}
}

// tell notes where a mark stands: file, section, blocks and brackets, the paragraph just outside the line, the line, brackets on
// the line.
func (l *locator) tell(m *mark) {
	m.line, m.sect = l.line, l.sect
	m.scope = append(make([]int, 0, len(l.stack)+3), 0, -1-l.sect)
	for _, o := range l.stack {
		if o.kind == '\n' {
			m.scope = append(m.scope, l.para)
		}
		m.scope = append(m.scope, o.id)
	}
}
