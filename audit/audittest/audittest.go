// Package audittest holds the conformance suites that every provider, scanner and verifier runs: what the contracts of package
// audit promise, as tests. A plug-in's test calls the suite of its kind once, with input that makes it work.
package audittest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// Provider checks a provider on a ref that it can read. The ref must hold at least one item.
func Provider(t *testing.T, p audit.Provider, ref string) {
	t.Helper()
	if p.Name() == "" || p.Name() != strings.ToLower(p.Name()) || strings.ContainsAny(p.Name(), ": /") {
		t.Errorf("Name() = %q, want a lower-case scheme", p.Name())
	}
	first := targets(t, p, ref)
	if len(first) == 0 {
		t.Fatalf("no targets for %q", ref)
	}
	names := map[string]bool{}
	for _, at := range first {
		if at.Name == "" || at.Kind == "" {
			t.Errorf("target without name or kind: %+v", at)
		}
		if names[at.Name] {
			t.Errorf("target %q is listed twice", at.Name)
		}
		names[at.Name] = true
	}
	if second := targets(t, p, ref); !reflect.DeepEqual(first, second) {
		t.Errorf("Targets is not stable: %v, then %v", first, second)
	}
	items := 0
	for _, at := range first {
		n, all := checkItems(t, p, at, nil)
		items += n
		choosesPlaces(t, p, at, all)
	}
	if items == 0 {
		t.Errorf("no items in any target of %q", ref)
	}
	breaksOff(t, p, first)
	obeysCancel(t, p, ref, first)
}

func targets(t *testing.T, p audit.Provider, ref string) (out []audit.Target) {
	t.Helper()
	for at, err := range p.Targets(t.Context(), ref) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			continue
		}
		if err != nil {
			t.Fatalf("listing targets of %q: %v", ref, err)
		}
		out = append(out, at)
	}
	return out
}

// checkItems reads every item of a target as the engine does, and counts them and each place. choice is nil or what it chooses.
func checkItems(t *testing.T, p audit.Provider, at audit.Target, choice *audit.Choice) (n int, all map[spot]int) {
	t.Helper()
	all = map[spot]int{}
	listed := map[string]bool{}
	chosen, places := false, false
	for it, err := range p.Items(t.Context(), at) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			if gap.What == "" || gap.Why == "" {
				t.Errorf("%s: gap that does not say what and why: %+v", at.Name, gap)
			}
			continue
		}
		if err != nil {
			t.Fatalf("listing items of %s: %v", at.Name, err)
		}
		n++
		if it.Kind == "" && it.Silencer == nil {
			t.Errorf("%s: item without a kind: %+v", at.Name, it.At)
		}
		if s := it.Silencer; s != nil && (s.What == "" || s.Count < 1) {
			t.Errorf("%s: silencer that does not say what and how many: %+v", at.Name, *s)
		}
		if it.Content != nil && it.Open != nil {
			t.Errorf("%s: item with both Content and Open: %+v", at.Name, it.At)
		}
		for _, s := range []string{it.At.Path, it.At.Name, it.At.Ref} {
			if !utf8.ValidString(s) {
				t.Errorf("%s: place that is not UTF-8: %q", at.Name, s)
			}
		}
		switch {
		case it.Kind == audit.KindChoice:
			if it.Choose == nil || it.Content != nil || it.Open != nil {
				t.Errorf("%s: choice that is none: %+v", at.Name, it)
			}
			if chosen || places {
				t.Errorf("%s: choice that comes too late", at.Name)
			}
			if chosen = true; choice != nil {
				it.Choose(*choice)
			}
		case it.Kind == audit.KindState || it.Kind == audit.KindUnchanged: // wherever it is known
			if it.State == "" || it.Content != nil || it.Open != nil {
				t.Errorf("%s: state that is none: %+v", at.Name, it)
			}
		case it.Kind == audit.KindPlace:
			places = true
			all[spot{it.Object, it.At.Path, it.At.Commit}]++
			if it.Object == "" {
				t.Errorf("%s: place of no object: %+v", at.Name, it.At)
			}
		case places:
			t.Errorf("%s: content listed after the first place: %+v", at.Name, it.At)
		case chosen && it.Object != "":
			t.Errorf("%s: content of %s listed after the choice", at.Name, it.Object)
		case it.Object != "":
			listed[it.Object] = true
		}
		if it.Entry != nil && (it.Entry.Name == "" || it.Entry.Kind == "" || it.Entry.Target != at.Name) {
			t.Errorf("%s: incomplete inventory entry %+v", at.Name, it.Entry)
		}
		if it.Open != nil && it.Kind != audit.KindPlace {
			rc, err := it.Open(t.Context())
			if err != nil {
				continue // the engine makes it a gap
			}
			if _, err := io.Copy(io.Discard, rc); err != nil {
				t.Logf("reading %+v: %v", it.At, err)
			}
			if err := rc.Close(); err != nil {
				t.Errorf("closing %+v: %v", it.At, err)
			}
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return n, all
}

// A spot is a place of an object.
type spot struct{ object, path, commit string }

// choosesPlaces chooses every other object, then every other path: their places must be listed as before.
func choosesPlaces(t *testing.T, p audit.Provider, at audit.Target, all map[spot]int) {
	t.Helper()
	objects, paths := map[string]bool{}, map[string]bool{}
	for s := range all {
		objects[s.object] = objects[s.object] || len(objects)%2 == 0
		paths[s.path] = paths[s.path] || len(paths)%2 == 0
	}
	choices := []audit.Choice{{Path: func(path string) bool { return paths[path] }}, {Path: func(string) bool { return false }}}
	for object, wanted := range objects {
		if wanted {
			choices[1].Objects = append(choices[1].Objects, object)
		}
	}
	for i, choice := range choices {
		_, got := checkItems(t, p, at, &choice)
		for s, n := range all {
			if wanted := i == 0 && paths[s.path] || i == 1 && objects[s.object]; wanted && got[s] != n {
				t.Errorf("%s: place %+v was chosen and is listed %d times, not %d", at.Name, s, got[s], n)
			}
		}
	}
}

// breaksOff stops at the first item of each target and expects no goroutine to be left.
func breaksOff(t *testing.T, p audit.Provider, all []audit.Target) {
	t.Helper()
	before := runtime.NumGoroutine()
	for _, at := range all {
		for it, err := range p.Items(t.Context(), at) {
			if err == nil && it.Done != nil {
				it.Done()
			}
			break
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+2 { // idle HTTP connections keep two
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines before breaking off, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

func obeysCancel(t *testing.T, p audit.Provider, ref string, all []audit.Target) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range p.Targets(ctx, ref) {
			_ = err // that it ends is what counts
		}
		for it, err := range p.Items(ctx, all[0]) {
			if err == nil && it.Done != nil {
				it.Done()
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("still listing ten seconds after the context was cancelled")
	}
}

// Sample is an item with content for the scanner suite.
type Sample struct {
	Item    audit.Item
	Content []byte
	Values  []string // secret values in it, which no output may show
	Rules   []string // rules that must be found in it; nil: not checked
}

// Scanner checks a scanner on samples.
func Scanner(t *testing.T, s audit.Scanner, samples []Sample) {
	t.Helper()
	rules := map[string]bool{}
	for _, r := range s.Rules() {
		if rules[r.ID] {
			t.Errorf("rule %q is listed twice", r.ID)
		}
		rules[r.ID] = true
		if r.ID == "" || r.Title == "" || r.Help == "" || r.Category == "" || r.Severity.Rank() < 0 || len(r.Fix) == 0 {
			t.Errorf("rule %q lacks text, category, severity or fix", r.ID)
		}
	}
	for i, sample := range samples {
		content := bytes.Clone(sample.Content)
		found, gaps := s.Scan(sample.Item, content)
		if !bytes.Equal(content, sample.Content) {
			t.Errorf("sample %d: Scan changed the content", i)
		}
		checkFindings(t, i, sample, found, rules)
		for _, g := range gaps {
			if g.Why == "" {
				t.Errorf("sample %d: gap without a reason: %+v", i, g)
			}
		}
		want := public(t, found)
		var again sync.WaitGroup
		for range 4 {
			again.Go(func() {
				found, _ := s.Scan(sample.Item, bytes.Clone(sample.Content))
				if got := public(t, found); got != want {
					t.Errorf("sample %d: Scan is not a pure function:\n%s\nthen\n%s", i, want, got)
				}
			})
		}
		again.Wait()
	}
	for _, junk := range [][]byte{nil, {0}, []byte("\xff\xfe"), bytes.Repeat([]byte{0xff}, 5000), bytes.Repeat([]byte("A"), 100_000), []byte("PK\x03\x04"), []byte("\x1f\x8b\x08")} {
		s.Scan(audit.Item{Kind: audit.KindFile}, junk)
		s.Scan(audit.Item{Kind: audit.KindFile, At: audit.Location{Path: strings.Repeat("../", 2000)}}, junk)
	}
}

func checkFindings(t *testing.T, i int, sample Sample, found []audit.Finding, rules map[string]bool) {
	t.Helper()
	lines := bytes.Count(sample.Content, []byte("\n")) + 1
	for _, f := range found {
		if !f.Candidate && !rules[f.Rule] {
			t.Errorf("sample %d: finding of unlisted rule %q", i, f.Rule)
		}
		for _, l := range f.Locations {
			if l.Line < 0 || !strings.Contains(l.Path, "!") && l.Line > lines || l.EndLine < l.Line {
				t.Errorf("sample %d: %s at line %d to %d of %d", i, f.Rule, l.Line, l.EndLine, lines)
			}
		}
	}
	for _, rule := range sample.Rules {
		if !slices.ContainsFunc(found, func(f audit.Finding) bool { return f.Rule == rule && !f.Candidate }) {
			t.Errorf("sample %d: %s not found", i, rule)
		}
	}
	var secrets []*audit.Secret
	for _, f := range found {
		if f.Secret != nil {
			secrets = append(secrets, f.Secret)
		}
	}
	// The engine masks values in names of files and the like; nothing else may show them.
	shown := audit.Redactor(secrets)(public(t, found) + fmt.Sprintf("%v %+v %#v", found, found, found))
	for _, v := range sample.Values {
		if strings.Contains(shown, v) {
			t.Errorf("sample %d: a secret value is shown", i)
		}
	}
}

// public is what a report would show of findings.
func public(t *testing.T, found []audit.Finding) string {
	t.Helper()
	b, err := json.Marshal(found)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// Verifier checks a verifier on secrets that it can judge, made by the test, with all their private values.
func Verifier(t *testing.T, v audit.Verifier, secrets []*audit.Secret) {
	t.Helper()
	if len(v.Kinds()) == 0 {
		t.Error("no kinds")
	}
	for _, s := range secrets {
		if !slices.Contains(v.Kinds(), s.Kind) {
			t.Errorf("kind %q is not one of %v", s.Kind, v.Kinds())
		}
		verdict, err := v.Verify(t.Context(), s)
		shown := fmt.Sprintf("%+v %v", verdict, err)
		if b, err := json.Marshal(verdict); err == nil {
			shown += string(b)
		}
		if s.HasValue() && strings.Contains(shown, s.Reveal()) {
			t.Error("a verdict or error shows the secret's value")
		}
		if token := s.RevealPart(audit.PartSessionToken); token != "" && strings.Contains(shown, token) {
			t.Error("a verdict or error shows the session token")
		}
		if err != nil {
			continue
		}
		valid := []audit.Validity{audit.Active, audit.Inactive, audit.Unknown, audit.Unchecked, audit.Canary}
		if !slices.Contains(valid, verdict.Validity) || verdict.How == "" {
			t.Errorf("verdict without validity or way: %+v", verdict)
		}
		if verdict.Validity == audit.Unknown && verdict.Error == "" && verdict.Facts["reason"] == "" {
			t.Errorf("unknown without a reason: %+v", verdict)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range secrets {
			if verdict, err := v.Verify(ctx, s); err == nil && (verdict.Validity == audit.Active || verdict.Validity == audit.Inactive) {
				t.Errorf("verdict %s although the context was cancelled", verdict.Validity)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("still verifying ten seconds after the context was cancelled")
	}
}
