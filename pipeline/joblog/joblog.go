// Package joblog reads what CI jobs print: logs of GitHub and Gitea Actions, and traces of GitLab.
//
// Forges write a log line by line, each behind the time at which it was printed, between marks that fold it and with the colours of a terminal.
// [Lines] takes all that away and tells what it was. [Texts] makes of the rest what can be searched, as a person would read it: a key that is printed in
// colours, or over several lines, is whole again. A [Text] leads back from its lines to those of the log, and a [Job] to the step that printed them.
//
// A log is whatever a program wrote that somebody else may have chosen. Any bytes are a log; none make it panic, and memory does not grow with their number.
package joblog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// A Line is one line of a log, or a piece of a long one.
type Line struct {
	Number int    // in the log, from 1, as line feeds divide it
	More   bool   // it goes on with the line before, without a break: a piece of a long line, or what GitLab says belongs to it
	Text   []byte // without time, marks and colours; lent until the next line
	Kind   Kind
	At     time.Time // when it was printed; zero if the log does not say
	// Section is the innermost section of a GitLab trace that the line lies in, such as "step_script"; "" outside any.
	Section string
}

// Kind says by which mark a line began.
type Kind string

// The kinds of lines. The marks are those of the runners of GitHub and Gitea ("##[group]Run make").
const (
	Plain    Kind = ""
	Group    Kind = "group" // folds what follows, until an EndGroup
	EndGroup Kind = "endgroup"
	Command  Kind = "command" // a program that an action runs
	Section  Kind = "section"
	Error    Kind = "error"
	Warning  Kind = "warning"
	Notice   Kind = "notice"
	Debug    Kind = "debug"
)

const (
	maxPiece   = 64 << 10 // of a line; longer ones come in several
	maxEscape  = 64       // bytes of a terminal's control sequence: colours take 20
	maxSection = 200      // bytes of a section's name; its mark is at most twice as long
	maxOpen    = 32       // sections inside each other; GitLab shows two
)

// Lines reads a log. An error of r is yielded last, after all that came before it.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		p := parser{in: bufio.NewReaderSize(r, maxPiece), begins: true, number: 1}
		for {
			piece, whole, err := p.next()
			if len(piece) > 0 || whole {
				if !yield(p.line(piece), nil) {
					return
				}
				if p.begins = whole; whole {
					p.number++
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(Line{}, err)
				}
				return
			}
		}
	}
}

// A parser is at work on one log.
type parser struct {
	in     *bufio.Reader
	begins bool // the next piece begins a line
	number int
	at     time.Time // of the line
	open   []string  // sections, the innermost last
	carry  []byte    // the end of a piece that may be the beginning of a control sequence
	joined []byte    // a piece behind what was carried over
	text   []byte    // of a piece that had marks in it
}

// next takes the next piece: a line, or as much of it as fits into the buffer. whole tells whether the line ends with it.
func (p *parser) next() (piece []byte, whole bool, err error) {
	piece, err = p.in.ReadSlice('\n')
	if len(p.carry) > 0 {
		p.joined = append(append(p.joined[:0], p.carry...), piece...)
		piece, p.carry = p.joined, p.carry[:0]
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		tail := piece[len(piece)-maxEscape:]
		if k := bytes.LastIndexAny(tail, "\x1b\r"); k >= 0 {
			p.carry = append(p.carry, tail[k:]...)
			piece = piece[:len(piece)-len(tail)+k]
		}
		return piece, false, nil
	}
	piece, whole = bytes.CutSuffix(piece, []byte{'\n'})
	return bytes.TrimRight(piece, "\r"), whole, err
}

// line makes a line of a piece.
func (p *parser) line(piece []byte) Line {
	l := Line{Number: p.number, More: !p.begins}
	if p.begins {
		piece = bytes.TrimPrefix(piece, []byte("\ufeff"))
		var n int
		if p.at, n = stamp(piece); n > 0 {
			piece = piece[n:]
			if n := stream(piece); n > 0 {
				l.More = piece[n-1] == '+'
				piece = piece[n:]
			}
		}
	}
	l.Text = p.plain(piece)
	if !l.More {
		l.Kind, l.Text = mark(l.Text)
	}
	if l.At = p.at; len(p.open) > 0 {
		l.Section = p.open[len(p.open)-1]
	}
	return l
}

// stamp reads the time that a line begins with, as runners write it (RFC 3339, in UTC, with a fraction), and returns its length with the blank behind it.
func stamp(line []byte) (at time.Time, n int) {
	const shape, longest = "0000-00-00T00:00:00.", len("2006-01-02T15:04:05.999999999Z ")
	if len(line) <= len(shape) || line[len(shape)-1] != '.' {
		return at, 0
	}
	n = bytes.IndexByte(line[:min(longest, len(line))], ' ') + 1
	if n < len(shape) || line[n-2] != 'Z' {
		return at, 0
	}
	at, err := time.Parse(time.RFC3339, string(line[:n-1]))
	if err != nil {
		return time.Time{}, 0
	}
	return at, n
}

// stream returns the length of what GitLab's runner writes behind the time: the number of the stream, whether it is that of output or of errors, and
// whether the line goes on with the one before ("00O ", "01E+").
func stream(line []byte) int {
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	if len(line) >= 4 && hex(line[0]) && hex(line[1]) && (line[2] == 'O' || line[2] == 'E') && (line[3] == ' ' || line[3] == '+') {
		return 4
	}
	return 0
}

// mark takes off the mark that a line begins with.
func mark(text []byte) (Kind, []byte) {
	for _, open := range []struct{ before, after string }{{"##[", "]"}, {"::", "::"}} {
		rest, ok := bytes.CutPrefix(text, []byte(open.before))
		if !ok {
			continue
		}
		name, _, ok := bytes.Cut(rest[:min(len(rest), len(EndGroup)+len(open.after))], []byte(open.after))
		if !ok {
			continue
		}
		switch kind := Kind(name); kind {
		case Group, EndGroup, Command, Section, Error, Warning, Notice, Debug:
			return kind, rest[len(name)+len(open.after):]
		}
	}
	return Plain, text
}

// plain is a piece without what a terminal would not show. Words stay apart, and what stood together stays together.
func (p *parser) plain(piece []byte) []byte {
	i := bytes.IndexAny(piece, "\x1b\r\a\x00")
	if i < 0 {
		return piece
	}
	out := p.text[:0]
	from := 0
	put := func(end, next int, instead ...byte) {
		out = append(append(out, piece[from:end]...), instead...)
		from, i = next, next
	}
	for i < len(piece) {
		switch c := piece[i]; c {
		case 0x1b:
			n, instead := escape(piece[i:])
			put(i, i+n, instead...)
		case '\r':
			if start := p.section(piece[from:i], piece[i:]); start >= 0 {
				put(from+start, i+1)
			} else {
				put(i, i+1, ' ') // a terminal writes over what stands there: it was printed all the same
			}
		case '\a':
			put(i, i+1, ' ') // ends a title or the address of a link
		case 0:
			if i+2 < len(piece) && piece[i+2] == 0 || i >= 2 && piece[i-2] == 0 { // UTF-16
				put(i, i+1)
			} else { // the environment of a process has these between variables
				put(i, i+1, ' ')
			}
		default:
			i++
		}
	}
	put(len(piece), len(piece))
	p.text = out
	return out
}

// escape returns the length of a terminal's control sequence (ECMA-48), and what stands in its place. Addresses of links and titles are text
// that can hold anything, and are kept.
func escape(b []byte) (n int, instead []byte) {
	if len(b) < 2 {
		return 1, nil
	}
	switch c := b[1]; {
	case c == '[':
		for n = 2; n < min(len(b), maxEscape); n++ {
			if b[n] >= 0x40 && b[n] <= 0x7e {
				return n + 1, nil
			}
			if b[n] < 0x20 || b[n] > 0x7e {
				break
			}
		}
		return 1, nil
	case c == ']', c == 'P', c == '^', c == '_', c == 'X', c == '\\':
		return 2, []byte{' '}
	case c == '(', c == ')':
		return min(3, len(b)), nil
	case bytes.IndexByte([]byte("78=>cDEHM"), c) >= 0:
		return 2, nil
	}
	return 1, nil
}

// section takes note of a section of a GitLab trace: text ends with its mark, which goes on with rest. It returns where in text the mark starts, or -1.
func (p *parser) section(text, rest []byte) int {
	if !bytes.HasPrefix(rest, []byte("\r\x1b[0K")) {
		return -1
	}
	lo := max(0, len(text)-2*maxSection)
	m := sectionMark().FindSubmatchIndex(text[lo:])
	switch {
	case m == nil:
		return -1
	case m[2] < 0: // its end
		p.open = p.open[:max(0, len(p.open)-1)]
	case len(p.open) < maxOpen:
		p.open = append(p.open, string(text[lo+m[2]:lo+m[3]]))
	}
	return lo + m[0]
}

// sectionMark is what docs.gitlab.com says of collapsible sections. What is not a mark to the letter is text.
var sectionMark = lazyregexp.New(`section_(?:start:\d{1,19}:([\w.-]{1,200})(?:\[[\w=,]{0,100}\])?|end:\d{1,19}:[\w.-]{1,200})$`)

// Entry says whose log a member of the archive of a run's logs is, as GitHub names them: that of a job ("0_build.txt"), or of a step
// of it ("build/2_Run make.txt", "build/system.txt"). Names of jobs are cut there, and without what a file's name may not have.
func Entry(name string) (job string, step Step, ok bool) {
	name, ok = strings.CutSuffix(name, ".txt")
	if !ok {
		return "", Step{}, false
	}
	job, file, of := strings.Cut(name, "/")
	if !of {
		file = job
	}
	number, title, numbered := strings.Cut(file, "_")
	n, err := strconv.Atoi(number)
	switch numbered = numbered && err == nil; {
	case of && numbered && n >= 0:
		return job, Step{Number: n, Name: title}, true
	case of:
		return job, Step{Name: file}, true
	case numbered:
		return title, Step{}, true
	}
	return file, Step{}, true
}
