package engine

import (
	"reflect"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// TestWaiting: what waited is what it was, but for its object, whatever else has the same form or secret.
func TestWaiting(t *testing.T) {
	key := audit.Key{}
	secret := func(kind, id, value string) *audit.Secret {
		s := audit.NewSecret(kind, id, value)
		key.Sign(s)
		return s
	}
	token := secret("token", "", "a token that is long enough")
	with := func(change func(*scanned)) scanned {
		f := scanned{audit.Finding{
			Rule: "r", Category: audit.CategorySecret, Severity: audit.High, Title: "T", Message: "M", Fix: []string{"Change it."}, Secret: token,
			Locations: []audit.Location{{
				Target: "t", Kind: audit.InCommit, Line: 1, EndLine: 2, Column: 3, EndColumn: 4, Lines: 5, Rules: []string{"a", "b"}, Encoding: []string{"hex"},
			}},
		}, 1}
		change(&f)
		return f
	}
	loc := func(change func(*audit.Location)) scanned { return with(func(f *scanned) { change(&f.Locations[0]) }) }
	all := []scanned{
		with(func(*scanned) {}), with(func(*scanned) {}),
		with(func(f *scanned) { f.Secret = secret("token", "", "a token that is long enough") }),
		with(func(f *scanned) { f.Secret = secret("token", "", "another that is long enough") }),
		with(func(f *scanned) { f.Secret = secret("other", "", "a token that is long enough") }),
		with(func(f *scanned) {
			f.Secret = secret("token", "", "a token that is long enough")
			f.Secret.SetPart("p", "q")
		}),
		with(func(f *scanned) { f.Secret = nil }),
		with(func(f *scanned) { f.Suppressed = &audit.Suppression{By: "comment", Reason: "x"} }),
		with(func(f *scanned) { f.Severity = audit.Low }),
		with(func(f *scanned) { f.Title = "U" }),
		with(func(f *scanned) { f.Fix = nil }),
		with(func(f *scanned) { f.scanner = 2 }),
		with(func(f *scanned) { f.Candidate = true }),
		with(func(f *scanned) { f.Verdict = &audit.Verdict{} }),
		with(func(f *scanned) { f.Locations = append(f.Locations, audit.Location{Line: 9}) }),
		loc(func(l *audit.Location) { l.Line, l.EndLine, l.Column, l.EndColumn, l.Lines = 10, 20, 30, 40, 50 }),
		loc(func(l *audit.Location) { l.Path = "!member" }),
		loc(func(l *audit.Location) { l.Rules = []string{"a b"} }),
		loc(func(l *audit.Location) { l.Encoding = nil }),
		loc(func(l *audit.Location) { l.At = time.Unix(1, 0) }),
	}
	kept := forms{map[formKey]*scanned{}, map[string]*audit.Secret{}}
	var waits []waiting
	for _, f := range all {
		f.Locations = append([]audit.Location{}, f.Locations...)
		f.Locations[0].Object = "o"
		waits = append(waits, kept.wait(f))
	}
	for i, want := range all {
		if got := waits[i].finding(); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	if waits[0].form != waits[1].form || waits[0].form != waits[3].form || waits[0].secret != waits[2].secret {
		t.Error("what is the same is kept twice")
	}
	asked := false
	w := kept.wait(with(func(f *scanned) { f.Keep = func(audit.Location) bool { asked = true; return true } }))
	if f := w.finding(); !f.Keep(audit.Location{}) || !asked {
		t.Error("it is not asked whether it stands")
	}
	key1, key2 := secret(audit.KindAWSKey, "AKIA", ""), secret(audit.KindAWSKey, "AKIA", "")
	if kept.secret(&audit.Finding{Secret: key1}) == kept.secret(&audit.Finding{Secret: key2}) {
		t.Error("one key that is joined completes another")
	}
}
