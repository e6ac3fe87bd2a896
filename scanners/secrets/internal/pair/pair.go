// Package pair puts the halves of AWS access keys together: an access key id, its secret access key, and where they are given the
// session token and the region are one credential, however far apart they were written.
//
// A [Search] does so inside one content, by its structure. [Join] does so over all contents of a scan, by the places they lie at. Both
// prefer an honest half to a wrong pair: what they are unsure of becomes a candidate, which a verifier can settle.
package pair

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// A Span is a range of bytes in a content. The zero Span is absent.
type Span struct{ Start, End int }

func (s Span) empty() bool { return s.End == 0 }

// Found is one credential in a content, or a half of one.
type Found struct {
	ID, Secret, Token, Region Span
	// Candidates are other values that may be ID's secret, best first, at most 4. They may belong to another ID, too.
	Candidates []Span
	// Named tells of a half without ID that the name beside it says what it is.
	Named bool
}

// Bounds per content. A file with more ids than that is a list of ids, and one with more halves is data.
const (
	maxIDs        = 10000
	maxSecrets    = 20000
	maxHalves     = 64
	maxUnnamed    = 16 // of the halves: more of them are some other data
	maxCandidates = 4
)

// A Search finds the credentials of one content, over which somebody else passes for words: tell [Search.At] where [Words] stand,
// in order, between [Search.Begin] and [Search.Find].
type Search struct {
	text []byte
	ids  []mark
}

// Words are what access key ids begin with; a hit's Word is of no further interest.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids.
func Words() []literal.Word {
	var words []literal.Word
	for _, prefix := range []string{"AKIA", "ASIA", "ABIA", "ACCA", "A3T"} {
		words = append(words, literal.Word{Text: prefix, Exact: true})
	}
	return words
}

// Begin makes s ready for a content.
func (s *Search) Begin(text []byte) { s.text, s.ids = text, s.ids[:0] }

// At takes notice of a word in the content.
func (s *Search) At(h literal.Hit) {
	if m, ok := id(s.text, h.Start); ok && len(s.ids) < maxIDs {
		s.ids = append(s.ids, m)
	}
}

// Find returns the credentials in the content in the order of their first byte; an id that stands there twice is found twice, and
// paired where its secret stands. Ids of Amazon's documentation are found like any other. Secrets without an id follow as halves
// with an empty ID, the best named first, and so do session tokens.
//
// of, if not nil, is what is known of the content.
func (s *Search) Find(of *fresh.Text) []Found {
	text := s.text
	marks := s.ids
	for _, part := range of.Spans(len(text)) {
		marks = secrets(text, part, of, marks)
	}
	if len(marks) == 0 {
		return nil
	}
	if !slices.ContainsFunc(marks, func(m mark) bool { return m.what == isID }) {
		return halves(nil, marks)
	}
	marks = append(marks, regions(text)...)
	slices.SortStableFunc(marks, func(a, b mark) int { return a.Start - b.Start })
	locate(text, marks)
	m := matcher{text: text, marks: marks, secretOf: map[int]int{}, tokenOf: map[int]int{}, doneID: map[string]bool{}, doneSecret: map[string]bool{}}
	m.run()
	return halves(m.found(), m.rest())
}

// Value returns what a span stands for: text[s.Start:s.End] with the escapes of JSON ("\/", "\u002b") and of URLs ("%2F") undone, in
// which the alphabet of secrets is often written.
func Value(text []byte, s Span) string {
	raw := text[s.Start:s.End]
	if bytes.IndexByte(raw, '\\') < 0 && bytes.IndexByte(raw, '%') < 0 {
		return string(raw)
	}
	var b strings.Builder
	for i := 0; i < len(raw); {
		c, n := unit(raw, i)
		if n == 0 {
			c, n = raw[i], 1
		}
		b.WriteByte(c)
		i += n
	}
	return b.String()
}

// halves appends what was left without an id, the best first.
func halves(found []Found, rest []mark) []Found {
	rest = slices.DeleteFunc(slices.Clone(rest), func(m mark) bool { return m.what != isSecret && m.what != isToken })
	slices.SortStableFunc(rest, func(a, b mark) int { return cmp.Or(b.rank-a.rank, a.Start-b.Start) })
	without := 0
	for _, m := range rest[:min(len(rest), maxHalves)] {
		f := Found{Named: m.rank >= named}
		if !f.Named {
			if without++; without > maxUnnamed {
				break
			}
		}
		if m.what == isToken {
			f.Token = m.Span
		} else {
			f.Secret = m.Span
		}
		found = append(found, f)
	}
	return found
}
