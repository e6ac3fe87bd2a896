package joblog

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math"
	"slices"
	"sort"
	"time"
)

// A Text is a log as it can be searched, or a window of a long one.
type Text struct {
	Content []byte

	first int // line of the text of the whole log that Content begins with, from 0
	trace     // as far as it was read
}

// Windows overlap by more than a key or token is long, beginning with a line where there is one. A window is no smaller than a few times that.
const (
	overlap   = 64 << 10
	minWindow = 4 * overlap
)

// Texts reads a log in windows of at most so many bytes; most logs are one. An error of r is yielded last, after all that came before it.
func Texts(r io.Reader, most int) iter.Seq2[*Text, error] {
	return func(yield func(*Text, error) bool) {
		most = max(most, minWindow)
		var log trace
		t := &Text{}
		lines, fresh := 0, 0 // of the whole log; bytes that the window before did not have
		give := func() bool {
			t.trace = log
			return yield(t, nil)
		}
		for l, err := range Lines(r) {
			if err != nil {
				if fresh > 0 && !give() {
					return
				}
				yield(nil, err)
				return
			}
			if lines > 0 && !l.More {
				t.Content = append(t.Content, '\n')
			}
			if len(t.Content)+len(l.Text) >= most {
				if !give() {
					return
				}
				t, fresh = t.next(), 0
			}
			if lines == 0 || !l.More {
				lines++
			}
			log.note(lines-1, l)
			t.Content = append(t.Content, l.Text...)
			fresh += len(l.Text)
		}
		if fresh > 0 {
			give()
		}
	}
}

// next begins the window after t.
func (t *Text) next() *Text {
	at := len(t.Content) - overlap
	if k := bytes.LastIndexByte(t.Content[at-overlap:at], '\n'); k >= 0 {
		at -= overlap - k - 1
	}
	return &Text{Content: slices.Clone(t.Content[at:]), first: t.first + bytes.Count(t.Content[:at], []byte{'\n'})}
}

// A trace is what is kept of a log to lead back to it. It is only ever added to, so that a copy stays true.
type trace struct {
	jumps    []mapped // where lines of the text and the log fall out of step: the text's line, and the log's
	seconds  []mapped // lines that were printed in another second than the one before
	heads    []head
	sections []named
}

type (
	mapped struct {
		line int
		to   int64
	}
	head struct { // of a step, or of an action inside it
		line  int
		title uint64 // a digest of it
	}
	named struct {
		line int
		name string
	}
)

// maxMarks bounds each list of a trace. A job of six hours, the longest on the forges' own runners, has 21,600 seconds. Behind the last mark places are
// not so exact.
const maxMarks = 1 << 18

func (t *trace) note(line int, l Line) {
	if expect, _ := at(t.jumps, line, 1); l.Number != int(expect.to)+line-expect.line && !l.More {
		add(&t.jumps, mapped{line, int64(l.Number)})
	}
	if !l.At.IsZero() {
		if last, ok := at(t.seconds, line, 0); !ok || last.to != l.At.Unix() {
			add(&t.seconds, mapped{line, l.At.Unix()})
		}
	}
	if title, ok := opens(l); ok {
		add(&t.heads, head{line, digest(title)})
	}
	if n := len(t.sections); n == 0 && l.Section != "" || n > 0 && t.sections[n-1].name != l.Section {
		add(&t.sections, named{line, l.Section})
	}
}

func add[T any](list *[]T, v T) {
	if len(*list) < maxMarks {
		*list = append(*list, v)
	}
}

// at returns the last mark that is not behind line, or one that maps line 0 to otherwise.
func at(list []mapped, line int, otherwise int64) (mapped, bool) {
	n := sort.Search(len(list), func(i int) bool { return list[i].line > line })
	if n == 0 {
		return mapped{0, otherwise}, false
	}
	return list[n-1], true
}

// opens tells whether a step begins with a line, as GitHub's runner prints them, and its title.
func opens(l Line) (title []byte, ok bool) {
	switch {
	case l.More:
	case l.Kind == Group:
		return l.Text, bytes.HasPrefix(l.Text, []byte("Run "))
	case l.Kind == Plain && (string(l.Text) == "Post job cleanup." || string(l.Text) == "Cleaning up orphan processes"):
		return l.Text, true
	}
	return nil, false
}

func digest(title []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(title)
	return h.Sum64()
}

// A Place is where in a log a line of a text lies.
type Place struct {
	Line    int       // of the log, from 1
	At      time.Time // when it was printed, to the second; zero if the log does not say
	Section string    // see [Line]
	Step    Step      // that printed it; zero if it is not known
}

// Place is where line n of Content lies, from 1.
func (t *Text) Place(n int) Place {
	line := t.first + n - 1
	p := Place{Line: t.number(line)}
	if s, ok := at(t.seconds, line, 0); ok {
		p.At = time.Unix(s.to, 0).UTC()
	}
	if k := sort.Search(len(t.sections), func(i int) bool { return t.sections[i].line > line }); k > 0 {
		p.Section = t.sections[k-1].name
	}
	return p
}

func (t *trace) number(line int) int {
	j, _ := at(t.jumps, line, 1)
	return int(j.to) + line - j.line
}

// A Job is one attempt at a job, as its forge describes it.
type Job struct {
	Name    string
	Attempt int // 0 if it is not known
	Steps   []Step
}

// A Step is one of a job's.
type Step struct {
	Number  int // as its forge counts
	Name    string
	Started time.Time // to the second; zero if it never was
}

// Place is where line n of the text of the job's whole log lies: the line is that of the step's own log, if the step is known.
//
// Forges tell to the second when a step began. Within that second it is taken to begin with the line that has its name, or else with the next
// one that steps begin with.
func (j Job) Place(t *Text, n int) Place {
	p := t.Place(n)
	line, begin := t.first+n-1, 0
	for _, s := range j.Steps {
		if s.Started.IsZero() {
			continue
		}
		from := 0
		if p.Step.Number != 0 {
			from = t.begin(s, begin+1)
		}
		if from > line {
			break
		}
		p.Step, begin = s, from
	}
	if p.Step.Number != 0 {
		p.Line = t.number(line) - t.number(begin) + 1
	}
	return p
}

// maxHeads bounds how many lines of one second are looked at: more than steps and the actions inside them begin in that time.
const maxHeads = 100

// begin is the line that a step begins with, at least the given one.
func (t *trace) begin(s Step, least int) int {
	k := sort.Search(len(t.seconds), func(i int) bool { return t.seconds[i].to >= s.Started.Unix() && t.seconds[i].line >= least })
	if len(t.seconds) > 0 && t.seconds[max(k-1, 0)].to == s.Started.Unix() {
		k = max(k-1, 0) // an earlier step began in the same second
	}
	if k == len(t.seconds) {
		return math.MaxInt
	}
	first, end := max(t.seconds[k].line, least), math.MaxInt
	if k+1 < len(t.seconds) {
		end = t.seconds[k+1].line
	}
	heads := t.heads[sort.Search(len(t.heads), func(i int) bool { return t.heads[i].line >= first }):]
	heads = heads[:min(sort.Search(len(heads), func(i int) bool { return heads[i].line >= end }), maxHeads)]
	for _, h := range heads {
		if h.title == digest([]byte(s.Name)) {
			return h.line
		}
	}
	if len(heads) > 0 {
		return heads[0].line
	}
	return first
}

// Where names a place for people: "build / Deploy (attempt 2)".
func (j Job) Where(p Place) string {
	name := j.Name
	switch {
	case p.Step.Name != "":
		name += " / " + p.Step.Name
	case p.Section != "":
		name += " / " + p.Section
	}
	if j.Attempt > 0 {
		name += fmt.Sprintf(" (attempt %d)", j.Attempt)
	}
	return name
}
