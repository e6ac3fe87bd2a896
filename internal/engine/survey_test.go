package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
)

// surveyor counts the inventory of each target that has no gap.
type surveyor struct {
	words
	survey func(time.Time, iter.Seq[audit.Holding]) []audit.Finding
}

func (s surveyor) Rules() []audit.Rule {
	return append(s.words.Rules(), audit.Rule{ID: "count", Severity: audit.Low, Category: audit.CategorySetting})
}

func (s surveyor) Survey(now time.Time, holdings iter.Seq[audit.Holding]) []audit.Finding {
	return s.survey(now, holdings)
}

func count(_ time.Time, holdings iter.Seq[audit.Holding]) (out []audit.Finding) {
	for h := range holdings {
		if len(h.Gaps) > 0 || h.Coverage.Status != audit.Scanned {
			continue
		}
		out = append(out, audit.Finding{
			Rule: "count", Severity: audit.Low, Category: audit.CategorySetting, Title: "count", Message: fmt.Sprintf("%d entries, %d findings", len(h.Inventory), len(h.Findings)),
			Locations: []audit.Location{{Target: h.Coverage.Target, Kind: audit.InSetting, Name: "all"}},
		})
	}
	return append(out, audit.Finding{Rule: "count"}) // nowhere: left out
}

func surveyed(out *audit.Run) (found []string) {
	for _, f := range out.Findings {
		if f.Rule == "count" {
			found = append(found, f.Locations[0].Target+": "+f.Message)
		}
	}
	return found
}

// Scanners judge what was found in all targets, carried over or not, each time anew.
func TestSurvey(t *testing.T) {
	sweep, f := under(t), web()
	f.parts["fake:x/api settings"] = []any{variable("A", "x"), variable("B", "secret:three")}
	with := func(survey func(time.Time, iter.Seq[audit.Holding]) []audit.Finding) func(*engine.Engine) {
		return func(e *engine.Engine) { e.Scanners = []audit.Scanner{surveyor{survey: survey}} }
	}
	want := []string{"fake:x/api: 2 entries, 2 findings"} // web has gaps
	for range 2 {
		if got := surveyed(sweep(f, with(count))); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f.parts["fake:x/api settings"], f.states["fake:x/api settings"] = []any{variable("A", "nothing")}, "s2"
	out := sweep(f, with(count))
	if got := surveyed(out); !slices.Equal(got, []string{"fake:x/api: 1 entries, 1 findings"}) {
		t.Errorf("after a change: %q", got)
	}
	for _, f := range out.Findings {
		if f.Rule == "count" && (!strings.HasPrefix(f.ID, "lr1:") || f.Verdict != nil) {
			t.Errorf("%+v", f)
		}
	}
	out = sweep(f, with(func(time.Time, iter.Seq[audit.Holding]) []audit.Finding { panic("defect") }))
	if got := surveyed(out); len(got) > 0 || out.Info.Complete || !slices.ContainsFunc(out.Gaps, func(g audit.Gap) bool { return g.What == "inventory" }) {
		t.Errorf("a defect: %q %v", got, out.Gaps)
	}
}

// A log is only ever added to. Its state is how much of it was read.
type log struct {
	lines  []any // items or gaps
	listed int
}

func (l *log) Name() string                       { return "fake" }
func (l *log) LeftOut(audit.Target) audit.Sources { return audit.SourceArtifacts | audit.SourceWikis }
func (l *log) Targets(context.Context, string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		yield(audit.Target{Name: "fake:x", Kind: audit.TargetRepository, Parts: []audit.Part{audit.PartSettings, audit.PartRuns}}, nil)
	}
}

func (l *log) Items(_ context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if t.Part != audit.PartRuns {
			return
		}
		from, _ := strconv.Atoi(t.Past)
		if t.Past != "" && !yield(audit.Item{Kind: audit.KindKept}, nil) {
			return
		}
		for _, x := range l.lines[from:] {
			l.listed++
			it, _ := x.(audit.Item)
			err, _ := x.(error)
			if !yield(it, err) {
				return
			}
		}
		yield(audit.Item{Kind: audit.KindState, State: strconv.Itoa(len(l.lines))}, nil)
	}
}

func logged(name, content string) audit.Item {
	return audit.Item{
		Kind: audit.KindLog, Content: []byte(content), At: audit.Location{Kind: audit.InLog, Name: name},
		Entry: &audit.Entry{Kind: audit.KindRun, Name: name},
	}
}

// Of what is only ever added to, what was found before holds, and only what is new is listed.
func TestWhatIsAddedToIsKept(t *testing.T) {
	kept := inMemory(t)
	sweep := func(l *log, s func(*engine.Engine)) *audit.Run {
		t.Helper()
		out, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
			e.Store, e.Rules, ref.Provider = kept, "rules", l
			s(e)
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := func(*engine.Engine) {}
	l := &log{lines: []any{logged("1", "secret:one"), logged("2", "secret:two\ngap"), &audit.Gap{What: "run 3", Why: "gone"}}}
	first := sweep(l, same)
	if first.Coverage[0].LeftOut != "artifacts,wikis" {
		t.Errorf("%+v", first.Coverage)
	}
	sameReport(t, first, sweep(l, same))
	l.lines = append(l.lines, logged("4", "secret:two"), logged("5", "secret:five"), &audit.Gap{What: "run 6", Why: "gone"})
	l.listed = 0
	got := sweep(l, same)
	if l.listed != 3 {
		t.Errorf("listed %d, want the 3 that are new", l.listed)
	}
	whole := sweep(l, func(e *engine.Engine) { e.Rules, e.Store = "others", inMemory(t) })
	sameReport(t, whole, got)
	// What was missing in passing is missing no more once it was asked for again; what is missing for good stays missing.
	l.lines = append(l.lines, &audit.Gap{What: "run 8", Why: "it had not ended", Again: true}, &audit.Gap{What: "run 9", Why: "gone"})
	for range 2 { // a scan that lists nothing new asks for it, too
		if got := gapsOf(sweep(l, same)); !slices.Equal(got, []string{"\"2\"", "run 3", "run 6", "run 8", "run 9"}) {
			t.Errorf("while one run goes on: gaps %q", got)
		}
		l.lines = append(l.lines, &audit.Gap{What: "run 8", Why: "it had not ended", Again: true})
	}
	l.lines = append(l.lines[:len(l.lines)-1], logged("8", "secret:eight"))
	got = sweep(l, same)
	if gaps := gapsOf(got); !slices.Equal(gaps, []string{"\"2\"", "run 3", "run 6", "run 9"}) || len(got.Findings) != 4 {
		t.Errorf("once it has ended: gaps %q, %d findings", gaps, len(got.Findings))
	}
	l.lines = append(l.lines, logged("7", "panic"))
	sweep(l, same)
	l.listed = 0
	if sweep(l, same); l.listed != 1 {
		t.Errorf("after a failure %d are listed, want what is new since the last scan without one", l.listed)
	}
	if out := sweep(l, func(e *engine.Engine) { e.Rules = "others" }); len(out.Findings) != 4 {
		t.Errorf("by other rules: %v", out.Findings)
	}
}

// gapsOf are what a run has no answer to, in order.
func gapsOf(r *audit.Run) (what []string) {
	for _, g := range r.Gaps {
		what = append(what, g.What)
	}
	slices.Sort(what)
	return what
}

// resolver learns one thing of each target.
type resolver struct {
	asked   *int
	planted string // in a file of somebody else's
}

func (r resolver) Resolve(_ context.Context, holdings iter.Seq[audit.Holding]) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		*r.asked++
		for h := range holdings {
			if !yield(audit.Entry{Target: "elsewhere", Kind: audit.KindComponent, Name: "of " + h.Coverage.Target}, nil) {
				return
			}
		}
		if yield(audit.Entry{Target: "elsewhere", Kind: audit.KindComponent, Name: "of others", Facts: map[string]string{"parts": "a/b " + r.planted}}, nil) {
			yield(audit.Entry{}, &audit.Gap{Target: "fake:x/api", What: "component", Why: "not there"})
		}
	}
}

// What is learned of components is in the report, each time anew, and surveyors see it before all else.
func TestResolve(t *testing.T) {
	sweep, f := under(t), web()
	asked := 0
	var first []string
	survey := func(_ time.Time, holdings iter.Seq[audit.Holding]) []audit.Finding {
		first = nil
		for h := range holdings {
			if h.Coverage.Target != "" {
				break
			}
			for _, e := range h.Inventory {
				first = append(first, e.Name)
			}
		}
		return nil
	}
	for n := range 2 {
		out := sweep(f, func(e *engine.Engine) {
			e.Scanners, e.Resolvers = []audit.Scanner{surveyor{survey: survey}}, []audit.Resolver{resolver{&asked, "secret:foreign-and-long"}}
		})
		var names []string
		for _, e := range out.Inventory {
			if e.Kind == audit.KindComponent && e.Target == "elsewhere" {
				names = append(names, e.Name)
			}
		}
		if doc, err := json.Marshal(out); err != nil || strings.Contains(string(doc), "foreign") {
			t.Errorf("what somebody else has planted is shown: %v", err)
		}
		if len(names) == 0 || !slices.Equal(names, slices.Sorted(slices.Values(first))) || asked != n+1 {
			t.Errorf("asked %d times: reported %q, surveyed %q", asked, names, first)
		}
		if !slices.ContainsFunc(out.Gaps, func(g audit.Gap) bool { return g.Target == "fake:x/api" && g.What == "component" }) {
			t.Errorf("gaps: %v", out.Gaps)
		}
	}
}
