package engine_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
)

// forge is a provider whose targets have parts and states.
type forge struct {
	repositories []string
	parts        map[string][]any // items, by "NAME PART"
	states       map[string]string
	pages        int // repositories a page; 0: one page of all

	mu      sync.Mutex
	listed  []string           // parts whose items were asked for, in order
	cursors []string           // from which Targets was asked for
	ending  func(string)       // is called with each repository before it is listed
	reading func(audit.Target) // is called with each part before its items are listed
}

func (f *forge) Name() string { return "fake" }

func (f *forge) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return f.TargetsAfter(ctx, ref, "")
}

func (f *forge) TargetsAfter(ctx context.Context, _, cursor string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		f.cursors = append(f.cursors, cursor)
		for i, name := range f.repositories {
			if name < cursor {
				continue
			}
			if f.ending != nil {
				f.ending(name)
			}
			if ctx.Err() != nil {
				yield(audit.Target{}, ctx.Err())
				return
			}
			t := audit.Target{Name: name, Kind: audit.TargetRepository, Parts: []audit.Part{audit.PartSettings, audit.PartContents}}
			if next := (i/max(f.pages, 1) + 1) * f.pages; f.pages > 0 && next < len(f.repositories) {
				t.Cursor = f.repositories[next]
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (f *forge) Items(_ context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		key := t.Name + " " + string(t.Part)
		f.mu.Lock()
		state := f.states[key]
		if state == "" || state != t.Past {
			f.listed = append(f.listed, key)
		}
		f.mu.Unlock()
		if f.reading != nil {
			f.reading(t)
		}
		if state != "" && state == t.Past {
			yield(audit.Item{Kind: audit.KindUnchanged, State: state}, nil)
			return
		}
		for _, x := range f.parts[key] {
			it, _ := x.(audit.Item)
			err, _ := x.(error)
			if !yield(it, err) {
				return
			}
		}
		yield(audit.Item{Kind: audit.KindState, State: state}, nil)
	}
}

// asked returns what was listed since the last call, sorted.
func (f *forge) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.listed
	f.listed = nil
	slices.Sort(out)
	return out
}

func variable(name, content string) audit.Item {
	return audit.Item{
		Kind: audit.KindVariable, Content: []byte(content), At: audit.Location{Kind: audit.InVariable, Name: name},
		Entry: &audit.Entry{Kind: audit.KindVariable, Name: name},
	}
}

// under runs a sweep in a store that is kept from one to the next.
func under(t *testing.T) (sweep func(*forge, ...func(*engine.Engine)) *audit.Run) {
	t.Helper()
	kept := inMemory(t)
	return func(f *forge, change ...func(*engine.Engine)) *audit.Run {
		t.Helper()
		out, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
			e.Store, e.Rules, ref.Provider = kept, "rules", f
			for _, c := range change {
				c(e)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// sameReport compares two reports but for the run they are of.
func sameReport(t *testing.T, want, got *audit.Run) {
	t.Helper()
	for _, r := range []*audit.Run{want, got} {
		r.Info = audit.RunInfo{Complete: r.Info.Complete}
		for i := range r.Findings {
			if v := r.Findings[i].Verdict; v != nil {
				v.CheckedAt = time.Time{}
			}
		}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *audit.Secret) bool {
		return a == b || a != nil && b != nil && a.Kind == b.Kind && a.ID == b.ID && a.Masked() == b.Masked() && a.Fingerprint() == b.Fingerprint()
	})); diff != "" {
		t.Errorf("another report (-want +got):\n%s", diff)
	}
}

func web() *forge {
	return &forge{
		repositories: []string{"fake:x/api", "fake:x/web"},
		parts: map[string][]any{
			"fake:x/web settings": {variable("URL", "secret:one"), &audit.Gap{What: "runners", Why: "needs admin"}},
			"fake:x/web contents": {file("a", "secret:two\ngap"), file("b", "secret:one allow")},
			"fake:x/api contents": {file("c", "generic:one")},
		},
		states: map[string]string{"fake:x/web settings": "s1", "fake:x/web contents": "c1", "fake:x/api settings": "s1", "fake:x/api contents": "c1"},
	}
}

func TestWhatHasNotChangedIsCarriedOver(t *testing.T) {
	sweep, f := under(t), web()
	want := sweep(f)
	if n := len(f.asked()); n != 4 || len(want.Findings) != 2 || len(want.Gaps) != 2 || len(want.Inventory) != 1 {
		t.Fatal(n, want)
	}
	for range 2 { // what was carried over can be carried over again
		sameReport(t, want, sweep(f))
		if again := f.asked(); again != nil {
			t.Error("listed again:", again)
		}
	}
	f.parts["fake:x/web contents"], f.states["fake:x/web contents"] = []any{file("a", "secret:three")}, "c2"
	got := sweep(f)
	if again := f.asked(); !slices.Equal(again, []string{"fake:x/web contents"}) {
		t.Error("listed again:", again)
	}
	sameReport(t, under(t)(f), got)
	f.asked()
	sweep(f, func(e *engine.Engine) { e.Rules = "others" })
	if again := f.asked(); len(again) != 4 {
		t.Error("under other rules only these are scanned:", again)
	}
}

// What failed, or was not looked at for a reason that passes, is not taken for what it was.
func TestWhatFailedIsNotCarriedOver(t *testing.T) {
	sweep, f := under(t), web()
	f.parts["fake:x/web contents"] = []any{file("a", "panic")}
	f.parts["fake:x/api contents"] = []any{file("a", "secret:one"), errors.New("the forge is down")}
	sweep(f)
	f.asked()
	sweep(f)
	if again := f.asked(); !slices.Equal(again, []string{"fake:x/api contents", "fake:x/web contents"}) {
		t.Error("listed again:", again)
	}
}

// Contents, of which some take hours, keep no settings waiting.
func TestSettingsDoNotWaitForContents(t *testing.T) {
	f := &forge{}
	for _, name := range strings.Split("abcdefghijklmnop", "") {
		f.repositories = append(f.repositories, "fake:x/"+name)
	}
	all := make(chan struct{})
	f.reading = func(t audit.Target) {
		if t.Part == audit.PartContents {
			<-all
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(slices.DeleteFunc(slices.Clone(f.listed), func(key string) bool { return !strings.HasSuffix(key, "settings") })) == len(f.repositories) {
			close(all)
		}
	}
	under(t)(f, func(e *engine.Engine) { e.Jobs = 1 })
}

// A key's id in a variable and its secret in a file are one key, whichever of the two parts is new.
func TestHalvesInTwoPartsAreOneKey(t *testing.T) {
	keys := func(r *audit.Run) (out []string) {
		for _, f := range r.Findings {
			where := ""
			for _, l := range f.Locations {
				where += " " + l.Path + l.Name
			}
			out = append(out, f.Secret.ID+" "+f.Secret.Masked()+where)
		}
		return out
	}
	value := strings.Repeat("0123456789", 4)
	f := &forge{repositories: []string{"fake:x/web"}, states: map[string]string{"fake:x/web settings": "1", "fake:x/web contents": "1"}, parts: map[string][]any{
		"fake:x/web settings": {variable("ID", "id:AKIA")}, "fake:x/web contents": {file("a", "half:"+value)},
	}}
	both, alone := []string{"AKIA 0123…6789 ID a"}, []string{"AKIA  ID"}
	sweep := under(t)
	for _, step := range []struct {
		what   string
		change func()
		want   []string
	}{
		{"at first", func() {}, both},
		{"nothing is new", func() {}, both},
		{"contents are new", func() { f.states["fake:x/web contents"] = "2" }, both},
		{"the secret is gone", func() { f.parts["fake:x/web contents"], f.states["fake:x/web contents"] = nil, "3" }, alone},
		{"the secret is back", func() {
			f.parts["fake:x/web contents"], f.states["fake:x/web contents"] = []any{file("a", "half:"+value)}, "4"
		}, both},
		{"the id is gone", func() { f.parts["fake:x/web settings"], f.states["fake:x/web settings"] = nil, "2" }, nil},
		{"the id is back, in a state that was there", func() {
			f.parts["fake:x/web settings"], f.states["fake:x/web settings"] = []any{variable("ID", "id:AKIA")}, "1"
		}, both},
		{"both are new", func() { f.states["fake:x/web settings"], f.states["fake:x/web contents"] = "3", "5" }, both},
	} {
		step.change()
		if diff := cmp.Diff(step.want, keys(sweep(f))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}

// Contents that were scanned before the settings beside them are scanned again.
func TestHalvesInPartsOfAnyOrder(t *testing.T) {
	value := strings.Repeat("0123456789", 4)
	settings := make(chan struct{})
	f := &forge{repositories: []string{"fake:x/web"}, parts: map[string][]any{
		"fake:x/web settings": {variable("ID", "id:AKIA")}, "fake:x/web contents": {file("a", "half:"+value)},
	}}
	waits := waiting{f, settings}
	out, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) { ref.Provider = waits })
	if err != nil || len(out.Findings) != 1 || len(out.Findings[0].Locations) != 2 {
		t.Error(err, show(out))
	}
}

// waiting lists settings when contents were scanned.
type waiting struct {
	*forge
	contents chan struct{}
}

func (w waiting) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Part == audit.PartSettings {
		select {
		case <-w.contents:
			time.Sleep(50 * time.Millisecond) // for the end of the other job: if that comes later, the test shows less
		case <-time.After(5 * time.Second):
		}
		return w.forge.Items(ctx, t)
	}
	return func(yield func(audit.Item, error) bool) {
		w.forge.Items(ctx, t)(yield)
		select {
		case <-w.contents:
		default:
			close(w.contents)
		}
	}
}

// A listing that was broken off goes on at the page it had come to.
func TestListingGoesOnAtItsPage(t *testing.T) {
	f := &forge{pages: 2, parts: map[string][]any{}}
	for _, name := range strings.Split("abcdefgh", "") {
		f.repositories = append(f.repositories, "fake:x/"+name)
		f.parts["fake:x/"+name+" contents"] = []any{file("a", "secret:"+name)}
	}
	kept := inMemory(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.ending = func(name string) {
		if name == "fake:x/f" {
			cancel()
		}
	}
	run := func(ctx context.Context) (*audit.Run, error) {
		var out *audit.Run
		_, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
			e.Store, ref.Provider = kept, f
			var err error
			if out, err = e.Run(ctx, []engine.Ref{*ref}); err != nil {
				ref.Provider = world{fail: err}
			}
			e.Store = inMemory(t)
		})
		return out, err
	}
	if _, err := run(ctx); err == nil {
		t.Fatal("not interrupted")
	}
	f.ending = nil
	out, err := run(t.Context())
	if err != nil || len(out.Coverage) != 8 || len(out.Findings) != 8 {
		t.Error(err, len(out.Coverage), show(out))
	}
	if diff := cmp.Diff([]string{"", "fake:x/e", ""}, f.cursors); diff != "" {
		t.Errorf("listed from (-want +got):\n%s", diff)
	}
}

// While an API takes no requests, contents are scanned, which take none; settings follow when it does again.
func TestSettingsWaitForTheQuota(t *testing.T) {
	f, kept := web(), inMemory(t)
	f.repositories = append(f.repositories, "fake:x/zoo")
	quotas := kept.Counter(time.Now)
	reset := time.Now().Add(2 * time.Second)
	f.ending = func(name string) {
		if name == "fake:x/zoo" { // the last one is listed: now nothing is left
			err := quotas.Told(t.Context(), audit.Quota{API: "fake", Host: "example.org", Budget: 60}, 100, 40, reset)
			if err != nil {
				t.Error(err)
			}
		}
	}
	out, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) { e.Store, ref.Provider = kept, f })
	if err != nil || len(out.Coverage) != 3 || !out.Info.Complete && len(out.Gaps) != 2 {
		t.Error(err, out)
	}
	for i, key := range f.listed {
		if want := i >= 3; strings.HasSuffix(key, "settings") != want {
			t.Fatal("listed in this order:", f.listed)
		}
	}
	if time.Now().Before(reset) {
		t.Error("settings were asked for before the quota was filled")
	}
}

// Objects lists contents again.
func (f *forge) Objects(_ context.Context, t audit.Target, ids []string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		f.mu.Lock()
		f.listed = append(f.listed, t.Name+" "+strings.Join(ids, " "))
		f.mu.Unlock()
		for _, x := range f.parts[t.Name+" "+string(t.Part)] {
			if it, ok := x.(audit.Item); ok && slices.Contains(ids, it.Object) && it.Kind == audit.KindFile && !yield(it, nil) {
				return
			}
		}
	}
}

// To verify a secret that was carried over, the contents it lies in are read again, and not all of the target.
func TestContentsOfASecretAreReadAgain(t *testing.T) {
	value := strings.Repeat("0123456789", 4)
	f := &forge{repositories: []string{"fake:x/web"}, states: map[string]string{"fake:x/web contents": "1"}, parts: map[string][]any{
		"fake:x/web contents": {
			object("one", "id:AKIA"), object("two", "half:"+value), object("three", "nothing"), object("four", "secret:other"),
			place("one", "", "a", "c1", 1, true, "id:AKIA"), place("two", "", "b", "c1", 1, true, "half:"+value), place("four", "", "d", "c1", 1, true, "secret:other"),
		},
	}}
	asked := 0
	verify := func(e *engine.Engine) {
		e.Verify = "live"
		e.Verifiers = []audit.Verifier{keys(func(s *audit.Secret) {
			if asked++; !s.HasValue() || s.ID != "AKIA" {
				t.Error("without its value:", s)
			}
		})}
	}
	sweep := under(t)
	first := sweep(f, verify)
	f.asked()
	sameReport(t, first, sweep(f, verify))
	if again := f.asked(); asked != 2 || !slices.Equal(again, []string{"fake:x/web one two", "fake:x/web settings"}) {
		t.Error("asked about", asked, "and listed again", again)
	}
}

// keys verifies AWS keys.
type keys func(*audit.Secret)

func (keys) Kinds() []string { return []string{audit.KindAWSKey} }
func (k keys) Verify(_ context.Context, s *audit.Secret) (audit.Verdict, error) {
	k(s)
	return audit.Verdict{Validity: audit.Inactive, How: "live"}, nil
}

// A verifier that does not use the secret is asked about those that are carried over without their values; for one that does, they are read again.
func TestVerifiedAgainWithOrWithoutTheValue(t *testing.T) {
	for mode, want := range map[string]bool{"offline": false, "live": true} {
		sweep, f := under(t), web()
		had := map[string]bool{}
		verify := func(e *engine.Engine) {
			e.Verify = mode
			e.Verifiers = []audit.Verifier{verdicts(func(s *audit.Secret) (audit.Verdict, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				had[s.Fingerprint()] = s.HasValue()
				return audit.Verdict{Validity: audit.Inactive, How: mode}, nil
			})}
		}
		first := sweep(f, verify)
		if len(had) != 2 {
			t.Fatal(mode, had)
		}
		clear(had)
		sameReport(t, first, sweep(f, verify))
		if len(had) != 2 {
			t.Error(mode, "asked about", had)
		}
		for _, value := range had {
			if value != want {
				t.Errorf("%s: with the value: %v", mode, value)
			}
		}
	}
}
