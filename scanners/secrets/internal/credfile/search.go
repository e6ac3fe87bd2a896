package credfile

import (
	"bytes"
	"slices"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// A Search finds the credentials of one content without passing over it. Whoever does pass over it, looking for words of its own,
// looks for [Words] too: it calls [Search.Begin], tells [Search.At] where each of them stands, those of a kind in order, and asks for
// [Search.Credentials] in the end. A content without any costs no memory.
type Search struct {
	text    []byte
	parts   [partCount]part
	keyEnd  int   // where the last key block ends, so that it is looked for once
	private int   // the same for the private lines of PuTTY's keys
	list    list  // around the last password of a connection string
	marks   []int // 1 + where the first of each mark stands; nil for none
}

// A part is what one reader has found and where in the text it goes on.
type part struct {
	next  int
	tried int
	found []Credential
}

// The parts of a search.
const (
	keyPart = iota
	puttyPart
	urlPart
	pairPart
	authPart
	authUpperPart
	dsnPart
	oraclePart
	machinePart
	hubPart
	callPart  // and two more, by the number of arguments before the user
	partCount = callPart + 3
	markPart  = partCount // the marks of formats lead to no part of their own
)

// A lead is a word and the part that it leads to.
type lead struct {
	part int
	literal.Word
}

// leads lists all of them; those of a format's marks come last, in their order.
func leads(marks []string) []lead {
	blank := those(isSpace)
	header := those(func(c byte) bool { return isFiller(c) || isMethod(c) })
	list := []lead{
		{keyPart, literal.Word{Text: keyBegin, Exact: true}},
		{puttyPart, literal.Word{Text: puttyBegin, Exact: true}},
		{urlPart, literal.Word{Text: "://", Before: those(isScheme)}},
		{authPart, literal.Word{Text: "uthorization", Exact: true, After: header}},
		{authUpperPart, literal.Word{Text: "UTHORIZATION", Exact: true, After: header}},
		{dsnPart, literal.Word{Text: "@tcp(", Exact: true}},
		{oraclePart, literal.Word{Text: "jdbc:oracle:thin:"}},
		{machinePart, literal.Word{Text: "machine", Exact: true, After: blank}},
		{hubPart, literal.Word{Text: "dckr_pat_", Exact: true}},
		{hubPart, literal.Word{Text: "dckr_oat_", Exact: true}},
	}
	for _, name := range pairNames {
		list = append(list, lead{pairPart, literal.Word{Text: name, After: those(func(c byte) bool { return c == ' ' || c == '=' })}})
	}
	for _, c := range calls {
		list = append(list, lead{callPart + c.before, literal.Word{Text: c.name}})
	}
	for _, m := range marks {
		list = append(list, lead{markPart, literal.Word{Text: m, Exact: true}})
	}
	return list
}

// Words are what leads to the credentials that can be recognised in any content. A hit's Word is an index into them.
func Words() []literal.Word {
	var words []literal.Word
	for _, l := range compiled().leads {
		words = append(words, l.Word)
	}
	return words
}

func those(holds func(byte) bool) (s literal.Set) {
	for c := range 256 {
		if holds(byte(c)) {
			s.Add(byte(c))
		}
	}
	return s
}

// Begin makes s ready for a content.
func (s *Search) Begin(content []byte) { *s = Search{text: content} }

// maxTried bounds the places of a kind that are looked at more closely, each for some microseconds: an honest content has a few.
const maxTried = 4 * maxFound

// At takes notice of a word in the content. It tells whether there is anything to it, or there might be if the text were another one farther
// away than [fresh.Ahead].
func (s *Search) At(h literal.Hit) (matters bool) {
	x := compiled()
	word := int(h.Word)
	part := x.leads[word].part
	if part == markPart {
		s.mark(word-(len(x.leads)-len(x.marks)), h)
		return true
	}
	p := &s.parts[part]
	if h.Start < p.next && part != pairPart || len(p.found) >= maxFound {
		return true
	}
	if part >= dsnPart {
		if p.tried++; p.tried > maxTried {
			return true
		}
	}
	before := len(p.found)
	switch part {
	case keyPart:
		s.keyBlock(p, h)
	case puttyPart:
		s.puttyKey(p, h)
	case urlPart:
		s.url(p, h)
	case pairPart:
		s.connection(p, h)
	case authPart, authUpperPart:
		s.authorization(p, h)
	case dsnPart:
		s.dsn(p, h)
	case oraclePart:
		s.oracle(p, h)
	case machinePart:
		s.machine(p, h)
	case hubPart:
		s.hubToken(p, h)
	default:
		s.call(p, h, part-callPart)
	}
	return !near[part] || len(p.found) > before
}

// near are the parts that look no farther than [fresh.Ahead], or not beyond the line.
var near = [partCount]bool{urlPart: true, pairPart: true, authPart: true, authUpperPart: true, machinePart: true, hubPart: true, callPart: true, callPart + 1: true, callPart + 2: true}

// maxHead bounds how deep in a content the marks of its format are looked for, in bytes.
const maxHead = 64 << 10

func (s *Search) mark(i int, h literal.Hit) {
	if s.marks == nil {
		s.marks = make([]int, len(compiled().marks))
	}
	if s.marks[i] == 0 && h.End <= maxHead {
		s.marks[i] = 1 + h.Start
	}
}

// Credentials returns what [Parse] does.
func (s *Search) Credentials(path string) []Credential { return s.read(lookup(path)) }

// read returns what can be recognised anywhere, what rows say of the content, and the rows that it calls for itself.
func (s *Search) read(rows []*format) []Credential {
	found := s.anywhere()
	if len(s.text) <= maxFile {
		for _, f := range rows {
			found = append(found, f.read(s.text)...)
		}
		for _, f := range compiled().sniffed {
			if s.sniffs(f) && !slices.Contains(rows, f) {
				found = append(found, f.read(s.text)...)
			}
		}
	}
	return distinct(found)
}

// anywhere is what the parts have found.
func (s *Search) anywhere() []Credential {
	var found []Credential
	for i := range s.parts {
		found = append(found, s.parts[i].found...)
	}
	return keystores(s.text, found[:min(len(found), maxFound)])
}

// sniffs tells whether the content holds all that a row is recognised by, near its beginning. The first of the marks has been looked
// for with the words, but for what has to stand at the very beginning.
func (s *Search) sniffs(f *format) bool {
	head := s.text[:min(len(s.text), maxHead)]
	if f.mark < 0 {
		return bytes.HasPrefix(head, f.marks[0]) && shellScript(head)
	}
	if s.marks == nil || s.marks[f.mark] == 0 {
		return false
	}
	if first := s.marks[f.mark] - 1; bytes.HasPrefix(f.marks[0], []byte("kind")) &&
		len(bytes.TrimRight(head[lineStart(head, first):first], " -")) > 0 {
		return false
	}
	for i, mark := range f.marks {
		if mark[0] == '"' || mark[0] == '<' {
			if t := bytes.TrimLeft(head, "\ufeff \t\r\n"); len(t) == 0 || t[0] != '{' && t[0] != '[' && t[0] != '<' {
				return false
			}
		}
		if i > 0 && !bytes.Contains(head, mark) {
			return false
		}
	}
	return true
}
