package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/internal/store/storetest"
)

var core = audit.Quota{API: "github", Host: "api.github.test", Credential: "c", Resource: "core", Budget: 60}

// tick is a time that tests move on.
type tick struct {
	mu  sync.Mutex
	now time.Time
}

func (c *tick) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *tick) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// take takes requests until it may not, at most n, and returns how many and until when.
func take(t *testing.T, c audit.Quotas, q audit.Quota, n int) (taken int, until time.Time) {
	t.Helper()
	for taken < n {
		until, err := c.Take(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if !until.IsZero() {
			return taken, until
		}
		taken++
	}
	return taken, time.Time{}
}

func told(t *testing.T, c audit.Quotas, limit, remaining int, reset time.Time) {
	t.Helper()
	if err := c.Told(t.Context(), core, limit, remaining, reset); err != nil {
		t.Fatal(err)
	}
}

func TestQuotaLeavesTheReserve(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		clock := &tick{now: now}
		s := open()
		c, reset := s.Counter(clock.Now), now.Add(time.Hour)
		if n, _ := take(t, c, core, 1); n != 1 {
			t.Fatal("the first request, of which nobody knows what is granted, was not let through")
		}
		told(t, c, 100, 99, reset)
		n, until := take(t, c, core, 1000)
		if n != 59 || !until.Before(reset) || until.Before(now) {
			t.Errorf("%d requests, then wait until %v: want 59, and to ask again soon for those that are under way", n, until)
		}
		if until, err := s.QuotaUntil(t.Context(), "github", now); err != nil || !until.IsZero() {
			t.Error("all is lent, none is spent, and jobs are put off until", until, err)
		}
		for i := range 59 {
			told(t, c, 100, 98-i, reset)
		}
		if n, until := take(t, c, core, 1); n != 0 || !until.Equal(reset) {
			t.Error(n, "were taken of what is left to people, until", until)
		}
		if until, err := s.QuotaUntil(t.Context(), "github", now); err != nil || !until.Equal(reset) {
			t.Error("jobs are put off until", until, err)
		}
		if until, err := s.QuotaUntil(t.Context(), "gitlab", now); err != nil || !until.IsZero() {
			t.Error("jobs of another API are put off until", until, err)
		}
		want := []store.Quota{{Quota: core, Limit: 100, Remaining: 40, Reserve: 40, Reset: reset, Until: reset}}
		want[0].Budget = 0
		got, err := s.Quotas(t.Context(), now)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}

		clock.pass(time.Hour)
		if until, err := s.QuotaUntil(t.Context(), "github", clock.Now()); err != nil || !until.IsZero() {
			t.Error("after the reset, jobs are put off until", until, err)
		}
		if n, _ := take(t, c, core, 1000); n != 60 {
			t.Error(n, "requests after the reset")
		}
		told(t, c, 100, 99, reset.Add(time.Hour))
		told(t, c, 100, 3, reset) // of a request that was answered late
		if got, err := s.Quotas(t.Context(), clock.Now()); err != nil || got[0].Remaining != 99 {
			t.Error(got, err)
		}
	})
}

func TestQuotaOnlyShrinksInOneWindow(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		clock := &tick{now: now}
		s := open()
		one, two, reset := s.Counter(clock.Now), s.Counter(clock.Now), now.Add(time.Hour)
		q := core
		q.Budget = 100
		take(t, one, q, 3)
		take(t, two, q, 2)
		for i, remaining := range []int{4, 5, 3} { // out of order, and from clocks that differ
			if err := []audit.Quotas{one, two, one}[i].Told(t.Context(), q, 60, remaining, reset.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if n, _ := take(t, one, q, 100); n != 1 {
			t.Error(n, "requests: 3 are left and 2 others under way")
		}
		for _, c := range []audit.Quotas{one, two, one} { // they cost nothing: 304
			if err := c.Told(t.Context(), q, 60, 3, reset); err != nil {
				t.Fatal(err)
			}
		}
		take(t, one, q, 1)
		if n, _ := take(t, two, q, 100); n != 2 {
			t.Error(n, "requests: 3 are left and 1 other under way")
		}
	})
}

// A token was replaced when its quota was used up: jobs that go with the new one are not put off.
func TestQuotaOfAnotherToken(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		c := s.Counter((&tick{now: now}).Now)
		take(t, c, core, 1)
		told(t, c, 5000, 100, now.Add(time.Hour))
		if until, err := s.QuotaUntil(t.Context(), "github", now); err != nil || !until.Equal(now.Add(time.Hour)) {
			t.Error("jobs are put off until", until, err)
		}
		other := open()
		if other == s { // in memory there is one process
			return
		}
		if until, err := other.QuotaUntil(t.Context(), "github", now); err != nil || !until.IsZero() {
			t.Error("jobs of a process that has not counted in it are put off until", until, err)
		}
	})
}

// A process whose clock is a year ahead notes what it is told; nobody waits a year for that.
func TestWrongClock(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		s, reset := open(), now.Add(time.Hour)
		ahead, clock := &tick{now: now.Add(365 * 24 * time.Hour)}, &tick{now: now}
		a, b := s.Counter(ahead.Now), s.Counter(clock.Now)
		for what, wrong := range map[string]func() error{
			"reset": func() error { return a.Told(t.Context(), core, 100, 30, ahead.Now().Add(time.Hour)) },
			"more":  func() error { return a.Told(t.Context(), core, 5000, 4999, ahead.Now().Add(2*time.Hour)) },
			"pause": func() error { return a.Refused(t.Context(), core, ahead.Now().Add(time.Minute)) },
		} {
			take(t, a, core, 1)
			if err := wrong(); err != nil {
				t.Fatal(err)
			}
			if all, err := s.Quotas(t.Context(), clock.Now()); err != nil || len(all) != 1 || !all[0].Until.IsZero() {
				t.Errorf("%s: %+v, %v", what, all, err)
			}
			if n, until := take(t, b, core, 1); n != 1 {
				t.Errorf("%s: nothing until %v", what, until)
			}
			told(t, b, 100, 50, reset)
			if n, _ := take(t, b, core, 100); n != 10 {
				t.Errorf("%s: %d requests of the 10 that are not left to people", what, n)
			}
			clock.pass(time.Hour)
			ahead.pass(time.Hour)
			reset = reset.Add(time.Hour)
		}
	})
}

func TestPauseIsEverybodys(t *testing.T) {
	stores(t, func(t *testing.T, open func() *store.Store) {
		clock := &tick{now: now}
		s := open()
		one, two, until := s.Counter(clock.Now), s.Counter(clock.Now), now.Add(time.Minute)
		for _, u := range []time.Time{until, until.Add(-30 * time.Second)} { // the longer one counts
			if err := one.Refused(t.Context(), core, u); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []audit.Quotas{one, two} {
			if n, got := take(t, c, core, 1); n != 0 || !got.Equal(until) {
				t.Error(n, "taken, until", got)
			}
		}
		if got, err := s.QuotaUntil(t.Context(), "github", now); err != nil || !got.Equal(until) {
			t.Error("jobs are put off until", got, err)
		}
		other := core
		other.Credential = "other"
		if n, _ := take(t, two, other, 1); n != 1 {
			t.Error("another credential is paused too")
		}
		clock.pass(time.Minute)
		if n, _ := take(t, two, core, 5); n != 5 {
			t.Error(n, "taken after the pause")
		}
		if got, err := s.QuotaUntil(t.Context(), "github", clock.Now()); err != nil || !got.IsZero() {
			t.Error("jobs are put off until", got, err)
		}
		told(t, one, 5000, 4000, clock.Now().Add(time.Hour)) // there is enough, and yet a pause
		if err := one.Refused(t.Context(), core, clock.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		clock.pass(10 * time.Second) // what was lent before is used up or given back
		if n, _ := take(t, two, core, 1); n != 0 {
			t.Error("taken in a pause")
		}
	})
}

func TestQuotaWithAStoreThatIsAway(t *testing.T) {
	s := open(t, "")
	c := s.Counter((&tick{now: now}).Now)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Take(t.Context(), core); err == nil {
		t.Error("Take has no error")
	}
	if err := c.Refused(t.Context(), core, now); err == nil {
		t.Error("Refused has no error")
	}
	if err := c.Told(t.Context(), core, 10, 0, now.Add(time.Hour)); err == nil {
		t.Error("Told has no error")
	}
}

// api grants some requests in each window, as forges do, and does not mind in which order its answers arrive.
type api struct {
	mu                    sync.Mutex
	limit, used, overdone int
	reset                 time.Time
}

func (a *api) call(at time.Time, free bool) (remaining int, reset time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !at.Before(a.reset) {
		a.used, a.reset = 0, at.Add(time.Hour)
	}
	if !free {
		a.used++
	}
	if a.used > a.limit*60/100 {
		a.overdone++
	}
	return max(a.limit-a.used, 0), a.reset
}

// Three processes spend all that is theirs of a quota and not one request more, although a third of them cost nothing and answers come in any order.
func TestQuotaOfManyProcesses(t *testing.T) {
	for name, where := range map[string]func() [3]*store.Store{
		"file": func() [3]*store.Store {
			s := open(t, filepath.Join(t.TempDir(), "store.db"))
			return [3]*store.Store{s, s, s}
		},
		"postgres": func() [3]*store.Store {
			url := storetest.Postgres(t)
			return [3]*store.Store{open(t, url), open(t, url), open(t, url)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &tick{now: now}
			forge := &api{limit: 500}
			all := where()
			for range 3 { // windows
				var processes sync.WaitGroup
				for _, s := range all {
					c := s.Counter(clock.Now)
					processes.Go(func() { spend(t, c, clock, forge) })
				}
				processes.Wait()
				if forge.overdone > 0 || forge.used != 300 {
					t.Errorf("%d requests were sent that cost, want 300; %d too many", forge.used, forge.overdone)
				}
				clock.pass(forge.reset.Sub(clock.Now()))
			}
		})
	}
}

// spend sends requests, eight at a time, until all is spent.
func spend(t *testing.T, c audit.Quotas, clock *tick, forge *api) {
	var requests sync.WaitGroup
	for worker := range 8 {
		requests.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for waits := 0; ; {
				until, err := c.Take(context.Background(), core)
				if err != nil {
					t.Error(err)
					return
				}
				if until.Sub(clock.Now()) > time.Minute {
					return
				}
				if !until.IsZero() {
					if waits++; waits > 10_000 {
						t.Error("what was lent does not come back")
						return
					}
					time.Sleep(time.Millisecond) // what others have borrowed comes back when they are answered
					continue
				}
				remaining, reset := forge.call(clock.Now(), random.IntN(3) == 0)
				time.Sleep(time.Duration(random.IntN(500)) * time.Microsecond)
				if err := c.Told(context.Background(), core, forge.limit, remaining, reset); err != nil {
					t.Error(err)
				}
			}
		})
	}
	requests.Wait()
}

func BenchmarkQuota(b *testing.B) {
	for name, where := range map[string]func() string{
		"file":     func() string { return filepath.Join(b.TempDir(), "store.db") },
		"postgres": func() string { return storetest.Postgres(b) },
	} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), where(), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			c, reset := s.Counter(time.Now), time.Now().Add(time.Hour)
			remaining := 1 << 30
			for b.Loop() {
				if until, err := c.Take(b.Context(), core); err != nil || !until.IsZero() {
					b.Fatal(fmt.Sprint(until, err))
				}
				remaining--
				if err := c.Told(b.Context(), core, 1<<30, remaining, reset); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
