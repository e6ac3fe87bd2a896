package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

// A worker is one of several on a shared store.
type worker struct {
	*engine.Engine
	refs []engine.Ref
}

// newWorker makes one over a forge; reading is called with each part before it is listed.
func newWorker(t *testing.T, url string, repositories []string, parts map[string][]any, reading func(audit.Target)) *worker {
	t.Helper()
	s, err := store.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e := &engine.Engine{
		Version: "test", Scanners: []audit.Scanner{words{}}, Verify: "off", Key: audit.KeyFrom([]byte("test")), Jobs: 3,
		Progress: quiet{}, Calls: &audit.Calls{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Store: s,
	}
	f := &forge{repositories: repositories, parts: parts, reading: reading}
	return &worker{e, []engine.Ref{{Text: "fake:x", Rest: "x", Provider: f}}}
}

// join works on the run that another worker has begun.
func (w *worker) join(t *testing.T) {
	t.Helper()
	runs, err := w.Store.Open(t.Context())
	if err == nil && len(runs) == 1 {
		err = w.Join(t.Context(), runs[0].ID, w.refs)
	}
	if err != nil || len(runs) != 1 {
		t.Error(runs, err)
	}
}

// kill has all workers be taken for dead, as if their machines had slept.
func kill(t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "UPDATE workers SET seen = 0")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A worker whose job another one has done meanwhile is interrupted: what the other found stays.
func TestInterruptedAfterAnotherWasDone(t *testing.T) {
	url := storetest.Postgres(t)
	names, parts := []string{"fake:x/a", "fake:x/b"}, map[string][]any{"fake:x/a contents": {file("a", "secret:precious")}}
	ctx, interrupt := context.WithCancel(t.Context())
	begun, done, free := make(chan struct{}), make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(begun) })
	first := newWorker(t, url, names, parts, func(at audit.Target) {
		if at.Part == audit.PartContents {
			once()
			<-ctx.Done()
		}
	})
	second := newWorker(t, url, names, parts, func(at audit.Target) {
		if at.Name == "fake:x/b" && at.Part == audit.PartContents {
			close(done) // it comes after the other, as there is one place
			<-free
		}
	})
	second.Jobs = 1
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = first.Run(ctx, first.refs)
	}()
	<-begun
	kill(t, url)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		second.join(t)
	}()
	<-done
	interrupt()
	<-ended
	close(free)
	<-joined
	runs, err := second.Store.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := engine.Load(t.Context(), second.Store, runs[0].ID, nil)
	if err != nil || len(out.Findings) != 1 || !out.Info.Complete {
		t.Error(err, out.Coverage, show(out))
	}
}

// Of two that do one job, since the first was taken for dead, the first to be done completes it, and nobody does it a third time. The other
// one's run ends with it.
func TestAJobIsCompletedOnce(t *testing.T) {
	url := storetest.Postgres(t)
	names, parts := []string{"fake:x/a"}, map[string][]any{"fake:x/a contents": {file("a", "secret:precious")}}
	var scans atomic.Int32
	begun := make(chan struct{})
	once := sync.OnceFunc(func() { close(begun) })
	reading := func(at audit.Target) {
		if at.Part == audit.PartContents {
			scans.Add(1)
			once()
			time.Sleep(2 * time.Second)
		}
	}
	first, second := newWorker(t, url, names, parts, reading), newWorker(t, url, names, parts, reading)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if out, err := first.Run(t.Context(), first.refs); err != nil || len(out.Findings) != 1 || !out.Info.Complete {
			t.Error(err, out)
		}
	}()
	<-begun
	time.Sleep(500 * time.Millisecond)
	kill(t, url)
	second.join(t)
	<-ended
	if n := scans.Load(); n > 2 {
		t.Errorf("scanned %d times", n)
	}
}

// A run that was removed is not waited for.
func TestARemovedRunEnds(t *testing.T) {
	url := storetest.Postgres(t)
	begun := make(chan struct{})
	w := newWorker(t, url, []string{"fake:x/a"}, nil, func(at audit.Target) {
		if at.Part == audit.PartContents {
			close(begun)
			time.Sleep(time.Second)
		}
	})
	go func() {
		<-begun
		kill(t, url)
		runs, err := w.Store.Open(t.Context())
		if err == nil {
			err = w.Store.Remove(t.Context(), runs[0].ID)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := w.Run(ctx, w.refs); !errors.Is(err, store.ErrNoRun) || ctx.Err() != nil {
		t.Error(err)
	}
}

// Text that PostgreSQL does not take for text ends no run.
func TestTextThatIsNone(t *testing.T) {
	broken := audit.Item{Kind: audit.KindFile, At: audit.Location{Kind: audit.InFile, Path: "a"}, Open: func(context.Context) (io.ReadCloser, error) {
		return nil, errors.New("open /x/\xff\x00: permission denied")
	}}
	w := newWorker(t, storetest.Postgres(t), []string{"fake:x/a"}, map[string][]any{"fake:x/a contents": {broken}}, nil)
	out, err := w.Run(t.Context(), w.refs)
	if err != nil || len(out.Gaps) != 1 || !strings.Contains(out.Gaps[0].Why, "permission denied") {
		t.Error(err, out.Gaps)
	}
}

// A process that found one half of a key, of which another has both, asks about the whole.
func TestWhoAsksHasTheWholeKey(t *testing.T) {
	url := storetest.Postgres(t)
	value := strings.Repeat("0123456789", 4)
	names, parts := []string{"fake:x/0"}, map[string][]any{}
	for _, n := range strings.Split("abcdef", "") {
		names = append(names, "fake:x/"+n)
		parts["fake:x/"+n+" settings"] = []any{variable("ID", "id:AKIA"+n)}
		parts["fake:x/"+n+" contents"] = []any{file("a", "half:"+n+value)}
	}
	var settings atomic.Int32
	var asked sync.Map
	free := make(chan struct{})
	worker := func(blocks bool) *worker {
		w := newWorker(t, url, names, parts, func(at audit.Target) {
			if at.Part == audit.PartSettings {
				settings.Add(1)
			} else if blocks {
				<-free
			}
		})
		w.Verify, w.Jobs = "live", 1
		w.Verifiers = []audit.Verifier{keys(func(s *audit.Secret) {
			if asked.Store(s.ID, true); !s.HasValue() {
				t.Error(s.ID, "is asked about without its value")
			}
		})}
		return w
	}
	first, second := worker(true), worker(false)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, err := first.Run(t.Context(), first.refs)
		if err != nil {
			t.Error(err)
		}
		for _, f := range out.Findings {
			if f.Secret.Masked() == "" {
				t.Error(f.Secret.ID, "is reported without its other half")
			}
		}
	}()
	for int(settings.Load()) < len(names) {
		time.Sleep(10 * time.Millisecond)
	}
	time.AfterFunc(3*time.Second, func() { close(free) })
	second.join(t)
	<-ended
	for _, n := range strings.Split("abcdef", "") {
		if _, ok := asked.Load("AKIA" + n); !ok {
			t.Error("nobody asked about", n)
		}
	}
}

// failing fails to list a part from the nth time on that it is listed anew.
type failing struct {
	*forge
	name string
	part audit.Part
	left *atomic.Int32
	err  error
}

func (w failing) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Name == w.name && t.Part == w.part && t.Past == "" && w.left.Add(-1) < 0 {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, w.err) }
	}
	return w.forge.Items(ctx, t)
}

// Halves that cannot be read once more are a gap, and cost nothing of what was found before.
func TestHalvesThatCannotBeReadAgain(t *testing.T) {
	value := strings.Repeat("0123456789", 4)
	f := &forge{repositories: []string{"fake:x/org", "fake:x/web"}, states: map[string]string{}, parts: map[string][]any{
		"fake:x/org settings": {variable("ID", "id:AKIA")}, "fake:x/web settings": {variable("VALUE", "half:"+value)},
	}}
	for _, name := range f.repositories {
		f.states[name+" settings"], f.states[name+" contents"] = "1", "1"
	}
	left := &atomic.Int32{}
	p := failing{f, "fake:x/web", audit.PartSettings, left, errors.New("the forge is down")}
	kept := inMemory(t)
	for i, want := range []bool{true, false} {
		left.Store(int32(1 - i))
		out, err := start(t, world{}, func(e *engine.Engine, ref *engine.Ref) { e.Store, e.Rules, ref.Provider = kept, "rules", p })
		if err != nil || len(out.Findings) != 1 || out.Info.Complete != want || len(out.Gaps) == 0 != want {
			t.Error(i, err, out.Gaps, out.Info.Complete, show(out))
		}
	}
	for _, broken := range []error{errors.New("clone failed"), &audit.Gap{What: "git history", Why: "clone failed"}} {
		f := &forge{repositories: []string{"fake:x/web"}, parts: map[string][]any{
			"fake:x/web settings": {variable("ID", "id:AKIA")}, "fake:x/web contents": {file("a", "half:"+value), file("b", "secret:precious")},
		}}
		left := &atomic.Int32{}
		left.Store(1)
		p := lateSettings{failing{f, "fake:x/web", audit.PartContents, left, broken}, make(chan struct{}), &sync.Once{}}
		out, err := start(t, world{}, func(_ *engine.Engine, ref *engine.Ref) { ref.Provider = p })
		if err != nil || len(out.Findings) != 2 || out.Info.Complete || len(out.Gaps) != 1 {
			t.Error(broken, err, out.Coverage, out.Gaps, show(out))
		}
	}
}

// lateSettings lists settings when contents were scanned once.
type lateSettings struct {
	failing
	contents chan struct{}
	once     *sync.Once
}

func (w lateSettings) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Part == audit.PartSettings {
		<-w.contents
		time.Sleep(100 * time.Millisecond)
		return w.failing.Items(ctx, t)
	}
	return func(yield func(audit.Item, error) bool) {
		w.failing.Items(ctx, t)(yield)
		w.once.Do(func() { close(w.contents) })
	}
}

// Halves beside what has not changed are not read for nothing.
func TestHalvesBesideWhatHasNotChanged(t *testing.T) {
	f := &forge{states: map[string]string{}, parts: map[string][]any{}}
	for _, n := range strings.Split("0abcdef", "") {
		f.repositories = append(f.repositories, "fake:x/"+n)
		f.states["fake:x/"+n+" settings"], f.states["fake:x/"+n+" contents"] = "1", "1"
		if n != "0" {
			f.parts["fake:x/"+n+" settings"] = []any{variable("V", "half:"+strings.Repeat(n, 40))}
		}
	}
	sweep := under(t)
	settled := make(chan struct{}, len(f.repositories))
	f.reading = func(at audit.Target) { // contents wait for all settings: those that came first would be scanned again
		if at.Part == audit.PartSettings {
			settled <- struct{}{}
		} else if at.Name == "fake:x/0" {
			for range f.repositories {
				<-settled
			}
			time.Sleep(time.Second)
		}
	}
	alone := func(e *engine.Engine) { e.Jobs = 1 }
	sweep(f, alone)
	f.asked()
	sweep(f, alone)
	if again := f.asked(); again != nil {
		t.Error("listed again:", again)
	}
}

// A target of which an interrupted run has scanned one part only is not one that was scanned.
func TestAPartIsNotTheWhole(t *testing.T) {
	f := web()
	f.states = nil
	ctx, interrupt := context.WithCancel(t.Context())
	f.reading = func(at audit.Target) {
		if at.Part == audit.PartContents {
			time.Sleep(300 * time.Millisecond) // for all settings
			interrupt()
		}
	}
	var out *audit.Run
	_, _ = start(t, world{}, func(e *engine.Engine, ref *engine.Ref) {
		e.Jobs, e.Store, ref.Provider = 1, inMemory(t), f
		out, _ = e.Run(ctx, []engine.Ref{*ref})
		ref.Provider, e.Store = world{}, inMemory(t)
	})
	for _, c := range out.Coverage {
		if c.Status != audit.Partial || c.Reason == "" {
			t.Error("covered, though its contents are still to be scanned:", c)
		}
	}
}
