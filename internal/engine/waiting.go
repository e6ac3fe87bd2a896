package engine

import (
	"reflect"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A waiting finding is one in a content whose places are not known yet, in an eighth of the memory. A history has tens of thousands of them,
// mostly those of one version after the other of the same content, and few of them are reported.
type waiting struct {
	form       *scanned // all but what follows; many share it
	secret     *audit.Secret
	keep       func(audit.Location) bool
	suppressed *audit.Suppression
	lines      uint64

	line, endLine, column, endColumn int
}

// finding is what waits.
func (w *waiting) finding() scanned {
	f := *w.form
	f.Secret, f.Keep, f.Suppressed = w.secret, w.keep, w.suppressed
	l := f.Locations[0]
	l.Line, l.EndLine, l.Column, l.EndColumn, l.Lines = w.line, w.endLine, w.column, w.endColumn, w.lines
	f.Locations = append([]audit.Location{l}, f.Locations[1:]...)
	return f
}

// forms are what the findings of a target have in common.
type forms struct {
	known   map[formKey]*scanned
	secrets map[string]*audit.Secret // by fingerprint
}

// A formKey tells most forms apart.
type formKey struct {
	scanner              int
	rule, message, rules string
	path                 string // in a container
}

// wait takes a finding, but for the object that its first location names: it waits by that.
func (s *forms) wait(f scanned) waiting {
	l := f.Locations[0]
	w := waiting{
		secret: s.secret(&f.Finding), keep: f.Keep, suppressed: f.Suppressed,
		line: l.Line, endLine: l.EndLine, column: l.Column, endColumn: l.EndColumn, lines: l.Lines,
	}
	l.Line, l.EndLine, l.Column, l.EndColumn, l.Lines, l.Object = 0, 0, 0, 0, 0, ""
	f.Secret, f.Keep, f.Suppressed, f.Locations = nil, nil, nil, append([]audit.Location{l}, f.Locations[1:]...)
	key := formKey{f.scanner, f.Rule, f.Message, strings.Join(l.Rules, " "), l.Path}
	switch have := s.known[key]; {
	case have == nil:
		s.known[key] = &f
		w.form = &f
	case reflect.DeepEqual(*have, f):
		w.form = have
	default:
		w.form = &f
	}
	return w
}

// secret is one that stands for a finding's, the same for all that are the same. A half of a key is left alone: joining may complete it.
func (s *forms) secret(f *audit.Finding) *audit.Secret {
	if f.Secret == nil || f.Candidate || f.Secret.Kind == audit.KindAWSKey {
		return f.Secret
	}
	have := s.secrets[f.Secret.Fingerprint()]
	if have == nil {
		s.secrets[f.Secret.Fingerprint()] = f.Secret
		return f.Secret
	}
	if have.Same(f.Secret) {
		return have
	}
	return f.Secret
}
