package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
)

// world is a provider over literal items; an item may be an error, or a function: a defect.
type world struct {
	targets []audit.Target
	items   map[string][]any // audit.Item or error, by target
	fail    error            // ends Targets
}

func (w world) Name() string { return "fake" }

func (w world) Targets(context.Context, string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		for _, t := range w.targets {
			if !yield(t, nil) {
				return
			}
		}
		if w.fail != nil {
			yield(audit.Target{}, w.fail)
		}
	}
}

func (w world) Items(_ context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for _, x := range w.items[t.Name] {
			if do, ok := x.(func()); ok && do != nil {
				panic("defect")
			}
			it, _ := x.(audit.Item)
			err, _ := x.(error)
			if !yield(it, err) {
				return
			}
		}
	}
}

// words finds every "secret:VALUE" word; "allow" on the line suppresses it. "half:" and "id:" are the halves of a key. Files
// named credentials are its path-dependent ones: there every word is a secret.
type words struct{}

func (words) Rules() []audit.Rule {
	return []audit.Rule{{ID: "word", Severity: audit.High}, {ID: "generic", Severity: audit.Medium, Generic: true}}
}

func (words) Wants(it audit.Item) bool {
	return it.Kind != audit.KindPlace || strings.HasSuffix(it.At.Path, "credentials")
}

func (words) Scan(it audit.Item, content []byte) (out []audit.Finding, gaps []audit.Gap) {
	for i, line := range strings.Split(string(content), "\n") {
		if line == "panic" {
			panic("defect")
		}
		if line == "gap" {
			gaps = append(gaps, audit.Gap{Why: "encrypted"})
		}
		for _, word := range strings.Fields(line) {
			kind, value, _ := strings.Cut(word, ":")
			f := audit.Finding{Rule: "word", Severity: audit.High, Locations: []audit.Location{{
				Line: i + 1, Rules: []string{"word"}, Lines: uint64(len(line))*1000 + uint64(line[0]),
			}}}
			switch {
			case kind == "secret" || kind == "generic":
				f.Secret = audit.NewSecret("word", "", value)
				if kind == "generic" {
					f.Rule, f.Severity, f.Secret = "generic", audit.Medium, audit.NewSecret("generic", "", value)
				}
			case kind == "half":
				f.Secret, f.Candidate = audit.NewSecret(audit.KindAWSKey, "", value), true
			case kind == "id":
				f.Secret = audit.NewSecret(audit.KindAWSKey, value, "")
			case it.Kind == audit.KindPlace:
				f.Secret = audit.NewSecret("word", "", word)
			default:
				continue
			}
			if strings.Contains(line, "allow") {
				f.Suppressed = &audit.Suppression{By: "comment", Reason: "allow"}
			}
			f.Keep = func(l audit.Location) bool { return !strings.HasPrefix(l.Path, "vendor/") }
			out = append(out, f)
		}
	}
	return out, gaps
}

func (words) Join(fs []audit.Finding) (out []audit.Finding) {
	var halves []audit.Finding
	for _, f := range fs {
		if f.Candidate {
			halves = append(halves, f)
		}
	}
	for _, f := range fs {
		for _, half := range halves {
			if f.Secret != nil && f.Secret.ID != "" {
				f.Secret.Complete(half.Secret)
				f.Locations = append(f.Locations, half.Locations...)
			}
		}
		out = append(out, f)
	}
	return out
}

type quiet struct{}

func (quiet) Target(string, audit.TargetKind) {}
func (quiet) Items(int, int64)                {}
func (quiet) Finished(string, audit.Status)   {}
func (quiet) Begun(string)                    {}

type verdicts func(*audit.Secret) (audit.Verdict, error)

func (verdicts) Kinds() []string { return []string{"word"} }
func (v verdicts) Verify(_ context.Context, s *audit.Secret) (audit.Verdict, error) {
	return v(s)
}

// inMemory is a store of the test's own.
func inMemory(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func start(t *testing.T, w world, change ...func(*engine.Engine, *engine.Ref)) (*audit.Run, error) {
	t.Helper()
	e := &engine.Engine{
		Version: "test", Scanners: []audit.Scanner{words{}}, Verify: "off", Key: audit.KeyFrom([]byte("test")), Jobs: 3,
		SilencerFiles: map[string]func([]byte) int{".ignore": func(b []byte) int { return bytes.Count(b, []byte("\n")) }},
		Progress:      quiet{}, Calls: &audit.Calls{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Store: inMemory(t),
	}
	ref := engine.Ref{Text: "fake:x", Rest: "x", Provider: w}
	for _, c := range change {
		c(e, &ref)
	}
	return e.Run(t.Context(), []engine.Ref{ref})
}

func one(items ...any) world {
	return world{targets: []audit.Target{{Name: "fake:x/one", Kind: audit.TargetRepository}}, items: map[string][]any{"fake:x/one": items}}
}

func file(path, content string) audit.Item {
	return audit.Item{Kind: audit.KindFile, Content: []byte(content), At: audit.Location{Kind: audit.InFile, Path: path}}
}

func object(id, content string) audit.Item {
	return audit.Item{Kind: audit.KindFile, Object: id, Content: []byte(content), At: audit.Location{Kind: audit.InCommit}}
}

func place(id, prev, path, commit string, day int, head bool, content string) audit.Item {
	return audit.Item{Kind: audit.KindPlace, Object: id, Prev: prev, At: audit.Location{
		Kind: audit.InCommit, Path: path, Commit: commit, At: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC), InHead: head,
	}, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// show prints findings in a form to compare.
func show(r *audit.Run) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s", f.Rule, f.Severity)
		if f.Suppressed != nil {
			b.WriteString(" suppressed by " + f.Suppressed.By)
		}
		for _, l := range f.Locations {
			fmt.Fprintf(&b, " [%s %s:%d %s%s", l.Kind, l.Path, l.Line, l.Commit, l.Name)
			if l.InHead {
				b.WriteString(" head")
			}
			if l.Introduced {
				b.WriteString(" introduced")
			}
			b.WriteString("]")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestPlaces(t *testing.T) {
	value := "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	v1, v2, v3 := "secret:"+value+"\n", "secret:"+value+"\nmore", "x\nkey secret:"+value
	tests := []struct {
		name  string
		items []any
		want  string
	}{
		{"a content that was changed elsewhere is the same appearance, listed again where it is now",
			[]any{object("o1", v1), object("o2", v2), place("o1", "", "a", "c1", 1, false, v1), place("o2", "o1", "a", "c2", 2, true, v2)},
			"word high [file a:1  head] [commit a:1 c1 introduced]\n"},
		{"a changed line is a new appearance",
			[]any{object("o1", v1), object("o3", v3), place("o1", "", "a", "c1", 1, false, v1), place("o3", "o1", "a", "c2", 2, true, v3)},
			"word high [commit a:1 c1 introduced] [file a:2 c2 head]\n"},
		{"the earliest place introduced it, whatever the order",
			[]any{object("o1", v1), place("o1", "", "b", "c2", 2, false, v1), place("o1", "", "a", "c1", 1, false, v1)},
			"word high [commit a:1 c1 introduced] [commit b:1 c2]\n"},
		{"a path the rule lets go of is no place", []any{object("o1", v1), place("o1", "", "vendor/a", "c1", 1, true, v1)}, ""},
		{"an object that nothing names is reported as such", []any{object("o1", v1)}, "word high [commit :1 dangling object]\n"},
		{"scanners that go by paths see the content at its place", []any{object("o1", "plain"), place("o1", "", "d/credentials", "c1", 1, true, "plain")},
			"word high [file d/credentials:1 c1 head introduced]\n"},
		{"the rule that knows the shape names a secret", []any{file("a", "generic:"+value), file("b", "secret:"+value), file("c", "generic:"+value)},
			"word high [file a:1 ] [file b:1 ] [file c:1 ]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := start(t, one(tt.items...))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// TestPlacesAreTakenInOrder although several workers look at them: each content holds the secret where the one before it held it.
func TestPlacesAreTakenInOrder(t *testing.T) {
	var items []any
	for i := range 500 {
		prev := ""
		if i > 0 {
			prev = fmt.Sprint("o", i-1)
		}
		content := "plain\n" + strings.Repeat("x \n", (i*7)%50)
		items = append(items, place(fmt.Sprint("o", i), prev, "d/credentials", fmt.Sprint("c", i), 1+i%28, i == 499, content))
	}
	r, err := start(t, one(items...), func(e *engine.Engine, _ *engine.Ref) { e.Jobs = 8 })
	if err != nil {
		t.Fatal(err)
	}
	if want := "word high [file d/credentials:1  head] [commit d/credentials:1 c0 introduced]\n"; !strings.Contains(show(r), want) {
		t.Errorf("got\n%.2000swant\n%s", show(r), want)
	}
}

// TestIntroducedByEitherOfTwoMessages is the same whichever of them is scanned first.
func TestIntroducedByEitherOfTwoMessages(t *testing.T) {
	message := func(commit string) audit.Item {
		return audit.Item{Kind: audit.KindCommit, Object: commit, Content: []byte("secret:aaaaaaaaaaaaaaaaaaaaaaaaaa"), At: audit.Location{Kind: audit.InCommit, Commit: commit}}
	}
	for _, order := range [][2]string{{"c1", "c2"}, {"c2", "c1"}} {
		r, err := start(t, one(message(order[0]), message(order[1])), func(e *engine.Engine, _ *engine.Ref) { e.Jobs = 1 })
		if want := "word high [commit :1 c1 introduced] [commit :1 c2]\n"; err != nil || show(r) != want {
			t.Errorf("%v: got\n%swant\n%s", err, show(r), want)
		}
	}
}

// TestChoice asks for the places of what was found, and for paths that somebody goes by.
func TestChoice(t *testing.T) {
	var got audit.Choice
	choice := audit.Item{Kind: audit.KindChoice, Choose: func(c audit.Choice) { got = c }}
	content := "secret:aaaaaaaaaaaaaaaaaaaaaaaaaa"
	r, err := start(t, one(object("o1", "plain"), object("o2", content), choice,
		audit.Item{Kind: audit.KindPaths, Content: []byte("a\nb")}, place("o2", "", "a", "c1", 1, true, content)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "word high [file a:1 c1 head introduced]\n"; show(r) != want {
		t.Errorf("got\n%swant\n%s", show(r), want)
	}
	if len(got.Objects) != 1 || got.Objects[0] != "o2" {
		t.Errorf("chose the objects %v", got.Objects)
	}
	for path, want := range map[string]bool{"a": false, "d/credentials": true, ".ignore": true, "d/.ignore": false} {
		if got.Path(path) != want {
			t.Errorf("chose %s: %v", path, !want)
		}
	}
}

func TestGapsAndFailuresAreNamedAndTheRestIsDone(t *testing.T) {
	released := false
	lent := file("lent", "secret:bbbbbbbbbbbb")
	lent.Done = func() { released = true }
	w := one(
		&audit.Gap{What: "logs", Why: "403"}, lent, file("p", "panic"), file("g", "gap"),
		audit.Item{Kind: audit.KindFile, Size: engine.MaxContent + 1, At: audit.Location{Path: "big"}, Open: func(context.Context) (io.ReadCloser, error) { panic("opened") }},
		audit.Item{Kind: audit.KindFile, At: audit.Location{Path: "endless"}, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(endless{}), nil }},
		audit.Item{Kind: audit.KindFile, At: audit.Location{Path: "gone"}, Open: func(context.Context) (io.ReadCloser, error) { return nil, errors.New("no such file") }},
		errors.New("pack is corrupt"),
	)
	w.targets = append(w.targets, audit.Target{Name: "fake:x/two", Kind: audit.TargetRepository})
	w.items["fake:x/two"] = []any{file("a", "secret:cccccccccc")}
	w.fail = fmt.Errorf("listing page 3: %w", audit.ErrAuth)
	r, err := start(t, w)
	if !errors.Is(err, audit.ErrAuth) {
		t.Errorf("error is %v, want the one that ended the ref", err)
	}
	var gaps, cover []string
	for _, g := range r.Gaps {
		gaps = append(gaps, g.What+": "+g.Why)
	}
	for _, c := range r.Coverage {
		cover = append(cover, fmt.Sprintf("%s %s %s", c.Target, c.Status, c.Reason))
	}
	wantGaps := []string{`"big": not read: 100 MiB, larger than 100 MiB`, `"endless": not read: larger than 100 MiB`, `"g": encrypted`, `"gone": opening: no such file`,
		`"p": scanning stopped by an internal error`, "logs: 403"}
	if got, want := strings.Join(gaps, "\n"), strings.Join(wantGaps, "\n"); got != want {
		t.Errorf("gaps:\n%s\nwant\n%s", got, want)
	}
	wantCover := []string{"fake:x failed listing page 3: not authenticated", "fake:x/one failed pack is corrupt", "fake:x/two scanned "}
	if got, want := strings.Join(cover, "\n"), strings.Join(wantCover, "\n"); got != want {
		t.Errorf("coverage:\n%s\nwant\n%s", got, want)
	}
	if len(r.Findings) != 2 || r.Info.Complete || !released {
		t.Errorf("%d findings, complete %v, content given back %v", len(r.Findings), r.Info.Complete, released)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestSilence(t *testing.T) {
	items := []any{file("a", "secret:dddddddddd # allow"), file(".ignore", "x\ny\n"), file("b", "secret:eeeeeeeeee"), file("c", "secret:ffffffffff # allow\nsecret:ffffffffff")}
	own := one(items...)
	own.targets[0].Own = true
	ignore := func(_ *engine.Engine, ref *engine.Ref) {
		ref.Ignore = &engine.Ignore{What: ".ignore", Count: 2, Match: func(rule string, l audit.Location) (string, bool) {
			return ".ignore:1", rule == "word" && l.Path == "b"
		}}
	}
	tests := []struct {
		name      string
		world     world
		change    func(*engine.Engine, *engine.Ref)
		counted   int
		silencers string
	}{
		{"the user's own working tree is obeyed", own, ignore, 1, "{fake:x/one .ignore 1 true} {fake:x/one allow 2 true}"},
		{"what is swept is counted, not obeyed", one(items...), func(*engine.Engine, *engine.Ref) {}, 3, "{fake:x/one .ignore 2 false} {fake:x/one allow 2 false}"},
		{"nothing is obeyed when the user says so", own, func(e *engine.Engine, _ *engine.Ref) { e.NoIgnores = true }, 3, "{fake:x/one .ignore 2 false} {fake:x/one allow 2 false}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := start(t, tt.world, tt.change)
			if err != nil {
				t.Fatal(err)
			}
			counted := 0
			for _, f := range r.Findings {
				if f.Suppressed == nil {
					counted++
				}
			}
			if got := strings.Trim(fmt.Sprint(r.Silencers), "[]"); counted != tt.counted || got != tt.silencers {
				t.Errorf("%d findings count, silencers %s; want %d, %s\n%s", counted, got, tt.counted, tt.silencers, show(r))
			}
		})
	}
}

func TestStableIDs(t *testing.T) {
	first, err := start(t, one(file("a", "secret:gggggggggg")))
	if err != nil {
		t.Fatal(err)
	}
	second, err := start(t, one(file("b", "\n\nsecret:gggggggggg"), file("c", "secret:hhhhhhhhhh")))
	if err != nil {
		t.Fatal(err)
	}
	id, moved, other := first.Findings[0].ID, second.Findings[0], second.Findings[1]
	if moved.ID != id || moved.Locations[0].Path != "b" || other.ID == id {
		t.Errorf("the secret of %s has the id %s at another place, and another one %s", id, moved.ID, other.ID)
	}
}

func TestHalvesInVariablesOfTwoTargetsAreOneKey(t *testing.T) {
	variable := func(name, content string) audit.Item {
		return audit.Item{Kind: audit.KindVariable, Content: []byte(content), At: audit.Location{Kind: audit.InVariable, Name: name}}
	}
	w := one(variable("ID", "id:AKIAX"))
	w.targets = append(w.targets, audit.Target{Name: "fake:x/two", Kind: audit.TargetOrganisation})
	w.items["fake:x/two"] = []any{variable("SECRET", "half:iiiiiiiiii"), file("other", "generic:iiiiiiiiii")}
	r, err := start(t, w)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 1 || r.Findings[0].Secret.Masked() == "" || len(r.Findings[0].Locations) != 3 {
		t.Errorf("want one whole key with three places, got\n%s", show(r))
	}
}

// TestASecretOfTwoKeys holds that chance does not decide which of two keys a secret that both have is given to.
func TestASecretOfTwoKeys(t *testing.T) {
	for range 16 {
		r, err := start(t, one(file("a", "id:AKIAB half:iiiiiiiiii"), file("b", "id:AKIAA"), file("c", "generic:iiiiiiiiii")))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			has := slices.ContainsFunc(f.Locations, func(l audit.Location) bool { return l.Path == "c" })
			if has != (f.Secret.ID == "AKIAA") {
				t.Fatalf("want c among the places of AKIAA, got\n%s", show(r))
			}
		}
	}
}

func TestVerdictDecidesSeverity(t *testing.T) {
	r, err := start(t, one(file("a", "secret:admin secret:dead secret:limited")), func(e *engine.Engine, _ *engine.Ref) {
		var asked sync.Map
		e.Jobs = 1
		e.Verifiers = []audit.Verifier{verdicts(func(s *audit.Secret) (audit.Verdict, error) {
			value := s.Reveal()
			if _, before := asked.LoadOrStore(value, true); before {
				t.Errorf("asked twice about one secret")
			}
			switch value {
			case "admin":
				id := &audit.Identity{ARN: "arn:aws:iam::111122223333:user/x", Account: "111122223333", Type: "user"}
				return audit.Verdict{Validity: audit.Active, How: "live", Identity: id, Reach: &audit.Reach{Level: audit.LevelAdmin}}, nil
			case "dead":
				return audit.Verdict{Validity: audit.Inactive, How: "live"}, nil
			}
			return audit.Verdict{}, errors.New("throttled")
		})}
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprint(f.Severity, " ", f.Verdict.Validity, " ", f.Verdict.Error))
	}
	if want := "critical active |high unknown throttled|low inactive "; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
	if len(r.Identities) != 1 || r.Identities[0].Level != audit.LevelAdmin {
		t.Errorf("identities: %v", r.Identities)
	}
}

// Which of two findings of one value comes first does not decide what is asked about it: the one that says more does.
func TestAskedAboutWhatSaysMore(t *testing.T) {
	for _, text := range []string{"generic:admin secret:admin", "secret:admin generic:admin"} {
		r, err := start(t, one(file("a", text)), func(e *engine.Engine, _ *engine.Ref) {
			e.Verify = "live"
			e.Verifiers = []audit.Verifier{verdicts(func(s *audit.Secret) (audit.Verdict, error) {
				return audit.Verdict{Validity: audit.Active, How: "live", Facts: map[string]string{"kind": s.Kind}}, nil
			})}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 1 || r.Findings[0].Secret.Kind != "word" || r.Findings[0].Verdict.Facts["kind"] != "word" {
			t.Errorf("%s: got\n%s", text, show(r))
		}
	}
}

// An identity has the highest level that one of its keys shows, and those without a name are in the order of their accounts.
func TestIdentities(t *testing.T) {
	var text []string
	for _, letter := range "abcdefgh" {
		text = append(text, "secret:"+strings.Repeat(string(letter), 10))
	}
	r, err := start(t, one(file("a", strings.Join(text, " "))), func(e *engine.Engine, _ *engine.Ref) {
		e.Verify = "live"
		e.Verifiers = []audit.Verifier{verdicts(func(s *audit.Secret) (audit.Verdict, error) {
			letter := s.Reveal()[:1]
			v := audit.Verdict{Validity: audit.Active, How: "live", Identity: &audit.Identity{Account: "of " + letter}}
			if letter >= "d" {
				v.Identity = &audit.Identity{ARN: "user"}
			}
			if letter == "e" {
				v.Reach = &audit.Reach{Level: audit.LevelWrite}
			}
			return v, nil
		})}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Identity{
		{Account: "of a", Level: audit.LevelUnknown}, {Account: "of b", Level: audit.LevelUnknown}, {Account: "of c", Level: audit.LevelUnknown},
		{ARN: "user", Level: audit.LevelWrite},
	}
	if !slices.Equal(r.Identities, want) {
		t.Errorf("got %v", r.Identities)
	}
}

func TestInterruptKeepsWhatWasDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := one(file("a", "secret:jjjjjjjjjj"), audit.Item{Kind: audit.KindFile, At: audit.Location{Path: "slow"}, Open: func(ctx context.Context) (io.ReadCloser, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	e := &engine.Engine{Scanners: []audit.Scanner{words{}}, Jobs: 1, Progress: quiet{}, Calls: &audit.Calls{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Store: inMemory(t)}
	r, err := e.Run(ctx, []engine.Ref{{Text: "fake:x", Provider: w}})
	if !errors.Is(err, context.Canceled) || r.Info.Complete || len(r.Findings) != 1 || r.Coverage[0].Reason != "interrupted" {
		t.Errorf("err %v, complete %v, %d findings, coverage %v", err, r.Info.Complete, len(r.Findings), r.Coverage)
	}
}

func TestValuesInNamesAreMasked(t *testing.T) {
	value := strings.Repeat("k", 10) + strings.Repeat("l", 15)
	r, err := start(t, one(file("dir/"+value+".txt", "secret:"+value)))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Findings[0].Locations[0].Path; got != "dir/kkkk…llll.txt" {
		t.Errorf("path is %q", got)
	}
}

// What was scanned in another form is reported where it lies for people.
func TestOriginOfALine(t *testing.T) {
	log := audit.Item{Kind: audit.KindLog, Content: []byte("x\nsecret:" + strings.Repeat("k", 20)), At: audit.Location{Kind: audit.InLog, Path: "build"}}
	log.Origin = func(l audit.Location) audit.Location {
		l.Line, l.Name = l.Line+10, "build / step"
		return l
	}
	r, err := start(t, one(log))
	if err != nil {
		t.Fatal(err)
	}
	if got := show(r); got != "word high [log build:12 build / step]\n" {
		t.Error(got)
	}
}

// Of logs and artifacts only those are in the inventory that tell something.
func TestInventoryOfLogs(t *testing.T) {
	item := func(name string, open func(context.Context) (io.ReadCloser, error)) audit.Item {
		return audit.Item{Kind: audit.KindArtifact, Open: open, At: audit.Location{Kind: audit.InArtifact, Path: name}, Entry: &audit.Entry{Kind: audit.KindArtifact, Name: name, Scope: "repository"}}
	}
	text := func(s string) func(context.Context) (io.ReadCloser, error) {
		return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
	}
	w := one(
		item("found", text("secret:"+strings.Repeat("k", 20))), item("found", text("secret:"+strings.Repeat("l", 20))), item("nothing", text("x")),
		item("broken", func(context.Context) (io.ReadCloser, error) { return nil, errors.New("expired") }), item("listed", nil),
	)
	later := item("found", text("secret:"+strings.Repeat("m", 20)))
	later.Entry.Facts = map[string]string{"run": "2"} // artifacts of several runs have one name
	w.items["fake:x/one"] = append(w.items["fake:x/one"], later)
	r, err := start(t, w)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range r.Inventory {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	if want := []string{"broken", "found", "found", "listed"}; !slices.Equal(names, want) {
		t.Errorf("the inventory has %q, want %q", names, want)
	}
}

// No file of a store has a value in it, wherever it stood and whatever a verifier says.
func TestNoValueInTheStore(t *testing.T) {
	value := strings.Repeat("k", 10) + strings.Repeat("l", 15)
	dir := t.TempDir()
	kept, err := store.Open(t.Context(), filepath.Join(dir, "store.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	r, err := start(t, one(file("dir/"+value+".txt", "secret:"+value), &audit.Gap{What: value, Why: "lost"}), func(e *engine.Engine, _ *engine.Ref) {
		e.Store = kept
		e.Verifiers = []audit.Verifier{verdicts(func(*audit.Secret) (audit.Verdict, error) {
			return audit.Verdict{Facts: map[string]string{"url": "https://example.org/" + value}}, errors.New("refused " + value)
		})}
	})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Verdict.Error == "" {
		t.Fatal(err, show(r))
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name.Name()))
		if err != nil || bytes.Contains(content, []byte(value)) {
			t.Errorf("%s: the value is in it; %v", name.Name(), err)
		}
	}
}

// TestOneValueInManyPlaces ends at once, or, where each place costs as much as all before it, not within the test's time limit.
func TestOneValueInManyPlaces(t *testing.T) {
	var items []any
	for i := range 150_000 {
		items = append(items, file(fmt.Sprintf("f%d", i), "secret:aaaaaaaaaaaaaaaaaaaaaaaaaa"))
	}
	r, err := start(t, one(items...))
	if err != nil || len(r.Findings) != 1 || len(r.Findings[0].Locations) != len(items) {
		t.Errorf("%d findings, %v", len(r.Findings), err)
	}
}

func TestWhatIsScannedDoesNotDecideHowMuchIsHeld(t *testing.T) {
	var words strings.Builder
	for i := range 10_003 {
		fmt.Fprintf(&words, "secret:value-number-%d\n", i)
	}
	r, err := start(t, one(file("list", words.String()), file("other", "secret:value-of-another")))
	if err != nil || len(r.Findings) != 10_001 {
		t.Errorf("one content: %d findings, %v", len(r.Findings), err)
	}
	if len(r.Gaps) != 1 || !strings.HasSuffix(r.Gaps[0].Why, ": 3 left out") || r.Info.Complete {
		t.Errorf("one content: gaps %v", r.Gaps)
	}
	var items []any
	for i := range 22 {
		items = append(items, file(fmt.Sprintf("f%d", i), words.String()))
	}
	r, err = start(t, one(items...))
	held := 0
	for _, f := range r.Findings {
		held += len(f.Locations)
	}
	if err != nil || held != 200_000 || !strings.Contains(fmt.Sprint(r.Gaps), "20000 left out") {
		t.Errorf("one target: %d places, gaps %v, %v", held, r.Gaps[max(0, len(r.Gaps)-1):], err)
	}
}

func TestAProviderThatPanicsEndsItsTargetOnly(t *testing.T) {
	w := one(file("a", "secret:aaaaaaaaaaaaaaaaaaaaaaaaaa"), func() {})
	w.targets = append(w.targets, audit.Target{Name: "fake:x/two"})
	w.items["fake:x/two"] = []any{file("b", "secret:bbbbbbbbbbbbbbbbbbbbbbbbbb")}
	r, err := start(t, w)
	if err != nil || len(r.Findings) != 2 || r.Coverage[0].Status != audit.Failed || r.Coverage[1].Status != audit.Scanned {
		t.Errorf("%v: %s%v", err, show(r), r.Coverage)
	}
}

// TestARuleOfTheTreesOwnConfiguration names a value before a generic one does.
func TestARuleOfTheTreesOwnConfiguration(t *testing.T) {
	for _, order := range [][2]string{{"generic", "secret"}, {"secret", "generic"}} {
		r, err := start(t, one(file("a", order[0]+":aaaaaaaaaaaaaaaaaaaaaaaaaa\n"+order[1]+":aaaaaaaaaaaaaaaaaaaaaaaaaa")), func(e *engine.Engine, ref *engine.Ref) {
			ref.Scanners, e.Scanners = e.Scanners, nil
		})
		if err != nil || len(r.Findings) != 1 || r.Findings[0].Rule != "word" {
			t.Errorf("%v: %v %s", order, err, show(r))
		}
	}
}

// stuck is a scanner that does not come back from the file "endless" before free is closed.
type stuck struct {
	words
	others      *sync.WaitGroup // scans of all else
	begun, free chan struct{}
}

func (e stuck) Scan(it audit.Item, content []byte) ([]audit.Finding, []audit.Gap) {
	if it.At.Path == "endless" {
		e.others.Wait()
		close(e.begun)
		<-e.free
	} else {
		defer e.others.Done()
	}
	return e.words.Scan(it, content)
}

func TestInterruptDoesNotWaitForALongScan(t *testing.T) {
	slow := stuck{others: &sync.WaitGroup{}, begun: make(chan struct{}), free: make(chan struct{})}
	slow.others.Add(2)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-slow.begun
		cancel()
	}()
	e := engine.Engine{
		Scanners: []audit.Scanner{slow}, Jobs: 2, Progress: quiet{}, Calls: &audit.Calls{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Store: inMemory(t),
	}
	w := one(file("a", "secret:aaaaaaaaaaaaaaaaaaaaaaaaaa"), object("o", "secret:cccccccccccccccccccccccccc"), file("endless", "secret:bbbbbbbbbbbbbbbbbbbbbbbbbb\ngap"))
	r, err := e.Run(ctx, []engine.Ref{{Text: "x", Provider: w}})
	close(slow.free)
	if !errors.Is(err, context.Canceled) || r.Info.Complete || r.Coverage[0].Reason != "interrupted" {
		t.Errorf("%v: %v", err, r.Coverage)
	}
	if got, want := show(r), "word high [commit :1 object of unknown place]\nword high [file a:1 ]\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
