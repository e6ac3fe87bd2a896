package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// start is when the clock of a test's world begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func left(limit, remaining int, in time.Duration) string {
	return fmt.Sprintf("X-RateLimit-Limit: %d\nX-RateLimit-Remaining: %d\nX-RateLimit-Reset: %d", limit, remaining, start.Add(in).Unix())
}

func several(n int) (all []*Credential) {
	for i := range n {
		all = append(all, &Credential{Name: fmt.Sprintf("token %d", i+1), Token: Static(fmt.Sprintf("%s-%d", secret, i+1))})
	}
	return all
}

func tokenOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "+secret+"-")
}

func TestReserveIsLeft(t *testing.T) {
	for _, test := range []struct {
		name       string
		budget     int
		unsigned   bool
		in         time.Duration
		sent, then int // requests before the wait is too long, and after it
	}{
		{"default", 0, false, time.Hour, 60, 1},
		{"all", 100, false, time.Hour, 100, 1},
		{"a little", 5, false, time.Hour, 5, 1},
		{"without a credential", 0, true, time.Hour, 100, 1},
	} {
		used := 0
		w := forge(t, func(c *Config) {
			c.Budget = test.budget
			if test.unsigned {
				c.Token = nil
			}
		}, func(_ int, w http.ResponseWriter, _ *http.Request) {
			used++
			send(w, 200, left(100, 100-used, test.in), "{}")
		})
		var err error
		for n := 0; n < 1000 && err == nil; n++ {
			_, err = w.get(t)
		}
		if e := (*Error)(nil); !errors.As(err, &e) || !e.Until.Equal(start.Add(test.in)) || used != test.sent {
			t.Errorf("%s: %d requests, then %v", test.name, used, err)
		}
		_ = w.clock.Sleep(t.Context(), test.in)
		used = 0
		if _, err := w.get(t); err != nil {
			t.Errorf("%s: after the reset: %v", test.name, err)
		}
	}
}

// Requests go with the token that has most left, and while another waits.
func TestTokensSideBySide(t *testing.T) {
	used := map[string]int{}
	limit := map[string]int{"1": 50, "2": 100, "3": 100}
	tokens := several(3)
	w := forge(t, func(c *Config) { c.Credentials = Any(tokens) }, func(_ int, w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		used[token]++
		send(w, 200, left(limit[token], limit[token]-used[token], time.Hour), "{}")
	})
	for range 60 {
		if _, err := w.get(t); err != nil {
			t.Fatal(err)
		}
	}
	if used["2"] < 25 || used["3"] < 25 || used["1"] > 5 {
		t.Errorf("used %v: not by what is left", used)
	}
	var err error
	for n := 0; n < 1000 && err == nil; n++ {
		_, err = w.get(t)
	}
	if used["1"] != 30 || used["2"] != 60 || used["3"] != 60 || w.clock.total() > 0 {
		t.Errorf("used %v, slept %s", used, w.clock.total())
	}
}

// One listing goes with one token, however much is left of others, and the next is asked for what that may not see.
func TestInOrder(t *testing.T) {
	const many = 60
	used, denies := map[string]int{}, ""
	tokens := several(3)
	w := forge(t, func(c *Config) { c.Credentials = Any(tokens) }, func(_ int, w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		used[token]++
		if token == denies {
			send(w, 404, "", "{}")
			return
		}
		send(w, 200, left(1000, 1000-used[token], time.Hour), "{}")
	})
	ask := func(key string) {
		t.Helper()
		req, err := http.NewRequestWithContext(InOrder(t.Context(), key), http.MethodGet, w.url+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	for range many {
		ask("")
	}
	if used["1"] != many || len(used) != 1 {
		t.Errorf("used %v, want the first", used)
	}
	denies = "1"
	ask("")
	if used["1"] != many+1 || used["2"] != 1 {
		t.Errorf("used %v, want the second where the first is denied", used)
	}
	denies = ""
	clear(used)
	for i := range many {
		ask(fmt.Sprint("target ", i))
	}
	if used["1"] < many/6 || used["2"] < many/6 || used["3"] < many/6 {
		t.Errorf("used %v: targets are not spread", used)
	}
	clear(used)
	for range many {
		ask("target 1")
	}
	if len(used) != 1 {
		t.Errorf("used %v for one target: answers of each have other tags", used)
	}
}

func TestTokenThatIsRefused(t *testing.T) {
	tokens := several(3)
	asked := map[string]int{}
	w := forge(t, func(c *Config) { c.Credentials = Any(tokens) }, func(_ int, w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		asked[token]++
		switch token {
		case "1":
			send(w, 401, "", `{"message":"Bad credentials"}`)
		case "2":
			send(w, 404, "", `{"message":"Not Found"}`)
		default:
			send(w, 200, "", "{}")
		}
	})
	for range 3 {
		if _, err := w.get(t); err != nil {
			t.Fatal(err)
		}
	}
	if asked["1"] != 1 || asked["2"] != 3 || asked["3"] != 3 {
		t.Errorf("asked %v", asked)
	}
	if log := w.log.String(); strings.Count(log, "not accepted") != 1 || !strings.Contains(log, "token 1") || strings.Contains(log, secret) {
		t.Errorf("log:\n%s", log)
	}
	token, err := TokenThatSees(t.Context(), tokens, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/x", nil)
		if err != nil {
			return err
		}
		resp, err := w.Do(req)
		if resp != nil {
			_ = resp.Body.Close()
		}
		return err
	})
	if token != secret+"-3" || err != nil {
		t.Errorf("cloned with %q, %v", token, err)
	}
}

func TestEveryTokenIsRefused(t *testing.T) {
	w := forge(t, func(c *Config) { c.Credentials = Any(several(2)) }, func(_ int, w http.ResponseWriter, _ *http.Request) {
		send(w, 401, "", `{"message":"Bad credentials"}`)
	})
	for range 2 {
		if _, err := w.get(t); StatusOf(err) != 401 {
			t.Error(err)
		}
	}
	w = forge(t, func(c *Config) { c.Credentials = func(*http.Request) ([]*Credential, error) { return nil, nil } }, func(int, http.ResponseWriter, *http.Request) {})
	if _, err := w.get(t); err == nil || !strings.Contains(err.Error(), "no credential") || w.calls() > 0 {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	for value, want := range map[string]string{"": "", " , ": "", "a": "X", "a,b": "token 1 of X+token 2 of X", " a ,, b\n": "token 1 of X+token 3 of X", "a,b c": "!"} {
		all, err := Tokens("X", value)
		var names []string
		for _, c := range all {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, "+"); got != want && want != "!" || (want == "!") != errors.Is(err, audit.ErrUsage) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

// After a refusal for its number, half as many requests are under way at once, and slowly more again.
func TestFlight(t *testing.T) {
	const many = 16
	f := flight{most: 20, limit: 20}
	sent := start
	for range many {
		if err := f.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // refused, all of one go
		f.halve(sent, start.Add(time.Second))
	}
	for range many {
		f.land()
	}
	fly := func() (n int) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for f.start(ctx) == nil {
			n++
		}
		for range n {
			f.land()
		}
		return n
	}
	if n := fly(); n != many/2 {
		t.Errorf("%d at once, want half of %d", n, many)
	}
	f.halve(start.Add(2*time.Second), start.Add(3*time.Second)) // one, alone
	if n := fly(); n != 1 {
		t.Errorf("%d at once, want 1", n)
	}
	for range calmAnswers * 3 {
		_ = f.start(t.Context())
		f.land()
	}
	if n := fly(); n != 4 {
		t.Errorf("%d at once after a while, want 4", n)
	}
	for range calmAnswers * 100 {
		_ = f.start(t.Context())
		f.land()
	}
	if n := fly(); n != 20 {
		t.Errorf("%d at once, want no more than 20", n)
	}
	for range 20 {
		_ = f.start(t.Context())
	}
	var wait sync.WaitGroup
	wait.Go(func() { _ = f.start(t.Context()) })
	f.land()
	wait.Wait()
}

func TestSecondaryLimitHalves(t *testing.T) {
	var mu sync.Mutex
	flying, most, refused := 0, 0, 0
	w := forge(t, nil, func(n int, w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		flying++
		if refused > 0 {
			most = max(most, flying)
		}
		tooMany := flying > 8 && n <= 20
		if tooMany {
			refused++
		}
		mu.Unlock()
		time.Sleep(5 * time.Millisecond) // so that some are under way together
		mu.Lock()
		flying--
		mu.Unlock()
		if tooMany {
			send(w, 403, "X-RateLimit-Remaining: 70", `{"message":"You have exceeded a secondary rate limit"}`)
			return
		}
		send(w, 200, "", "{}")
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := w.get(t); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	mu.Lock()
	most = 0
	mu.Unlock()
	for range 20 {
		all.Go(func() { _, _ = w.get(t) })
	}
	all.Wait()
	if refused == 0 || most > 12 {
		t.Errorf("%d refused, then up to %d at once", refused, most)
	}
}

// ledger is a store of quotas that does what a test says.
type ledger struct {
	mu      sync.Mutex
	until   time.Time // Take's answer
	err     error
	taken   []audit.Quota
	told    []string
	refused []time.Time
}

func (l *ledger) Take(_ context.Context, q audit.Quota) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, q)
	return l.until, l.err
}

func (l *ledger) Told(_ context.Context, q audit.Quota, limit, remaining int, reset time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprint(q.Resource, " ", remaining, "/", limit, " ", reset.Sub(start).Truncate(time.Second)))
	return l.err
}

func (l *ledger) Refused(_ context.Context, _ audit.Quota, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, until)
	return l.err
}

func TestSharedQuotas(t *testing.T) {
	l := &ledger{}
	w := forge(t, nil, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 2 {
			send(w, 429, "Retry-After: 30", "{}")
			return
		}
		send(w, 200, left(5000, 4000-n, time.Minute)+"\nX-RateLimit-Resource: core", "{}")
	})
	w.env.Quotas = l
	base := w.base(t)
	w.Client = New(w.env, Config{
		API: "forge", Base: base, Header: "Authorization", Prefix: "Bearer ", Token: Static(secret), Resource: "core", Budget: 30, Sleep: w.clock.Sleep,
	})
	for range 2 {
		if _, err := w.get(t); err != nil {
			t.Fatal(err)
		}
	}
	want := audit.Quota{API: "forge", Host: base.Host, Credential: l.taken[0].Credential, Resource: "core", Budget: 30}
	if len(l.taken) != 3 || l.taken[0] != want || len(want.Credential) != 32 || strings.Contains(want.Credential, secret) {
		t.Errorf("taken %+v", l.taken)
	}
	if fmt.Sprint(l.told) != "[core 3999/5000 1m0s core 3997/5000 1m0s]" {
		t.Errorf("told %q", l.told)
	}
	if len(l.refused) != 1 || !l.refused[0].Equal(start.Add(30*time.Second)) {
		t.Errorf("refused until %v", l.refused)
	}

	// What counts elsewhere says nothing of this quota.
	elsewhere := true
	w = forge(t, func(c *Config) { c.Resource = "core" }, func(_ int, w http.ResponseWriter, _ *http.Request) {
		resource := "core"
		if elsewhere {
			resource = "search"
		}
		send(w, 200, left(30, 0, time.Hour)+"\nX-RateLimit-Resource: "+resource, "{}")
	})
	for range 2 {
		if _, err := w.get(t); err != nil {
			t.Error(err)
		}
	}
	elsewhere = false
	if _, err := w.get(t); err != nil {
		t.Error(err)
	}
	if _, err := w.get(t); err == nil {
		t.Error("a quota that is used up was not noticed")
	}
}

// crowd is a store of quotas that waits for so many who take.
type crowd struct {
	ledger
	all sync.WaitGroup
}

func (c *crowd) Take(ctx context.Context, q audit.Quota) (time.Time, error) {
	defer c.all.Done()
	return c.ledger.Take(ctx, q)
}

// Of many that wait for a place, none is sent after the first was told to wait.
func TestQueueHearsOfRefusal(t *testing.T) {
	const many = 10
	l := &crowd{}
	l.all.Add(many)
	w := forge(t, nil, func(_ int, w http.ResponseWriter, _ *http.Request) {
		l.all.Wait()
		send(w, 429, "Retry-After: 600", "{}")
	})
	w.env.Quotas = l
	w.Client = New(w.env, Config{
		API: "forge", Base: w.base(t), Header: "Authorization", Prefix: "Bearer ", Token: Static(secret), AtOnce: 1, MaxWait: time.Second, Sleep: w.clock.Sleep,
	})
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if _, err := w.get(t); StatusOf(err) != 429 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if w.calls() != 1 {
		t.Errorf("%d requests sent", w.calls())
	}
}

// tardy is a store of quotas that takes as long to answer as one would have had to wait.
type tardy struct {
	ledger
	clock *clock
}

func (s *tardy) Take(ctx context.Context, q audit.Quota) (until time.Time, err error) {
	if _, err = s.ledger.Take(ctx, q); len(s.taken) > 2 {
		return time.Time{}, err
	}
	until = s.clock.Now().Add(time.Second)
	if len(s.taken) == 2 { // the first one's wait is over by the time the second one's is known
		err = s.clock.Sleep(ctx, 2*time.Second)
		until = s.clock.Now().Add(time.Minute)
	}
	return until, err
}

func TestWaitIsOverByNow(t *testing.T) {
	w := forge(t, nil, func(_ int, w http.ResponseWriter, _ *http.Request) { send(w, 200, "", "{}") })
	w.env.Quotas = &tardy{clock: w.clock}
	w.Client = New(w.env, Config{API: "forge", Base: w.base(t), Header: "Authorization", Prefix: "Bearer ", Credentials: Any(several(2)), Sleep: w.clock.Sleep})
	if _, err := w.get(t); err != nil || w.clock.total() > 3*time.Second {
		t.Errorf("%v after %s", err, w.clock.total())
	}
}

func TestRunThatIsKeptWaits(t *testing.T) {
	l := &ledger{}
	w := forge(t, nil, func(_ int, w http.ResponseWriter, _ *http.Request) { send(w, 200, "", "{}") })
	w.env.Quotas = l
	w.Client = New(w.env, Config{API: "forge", Base: w.base(t), Header: "Authorization", Prefix: "Bearer ", Token: Static(secret), Sleep: w.clock.Sleep})

	// Others have used it up: a run that is kept waits for the next window, but not for ever.
	before := w.clock.total()
	l.until = w.clock.Now().Add(time.Hour)
	if _, err := w.get(t); err != nil || w.clock.total()-before < time.Hour || w.clock.total()-before > time.Hour+2*time.Minute {
		t.Errorf("waited %s, %v", w.clock.total()-before, err)
	}
	l.until = w.clock.Now().Add(3 * time.Hour)
	calls := w.calls()
	if _, err := w.get(t); err == nil || w.calls() != calls {
		t.Errorf("waited for three hours: %v", err)
	}
}

func TestStoreOfQuotasIsAway(t *testing.T) {
	l := &ledger{err: errors.New("the database is away")}
	w := forge(t, nil, func(n int, w http.ResponseWriter, _ *http.Request) { send(w, 200, left(100, 100-n, time.Hour), "{}") })
	w.env.Quotas = l
	w.Client = New(w.env, Config{API: "forge", Base: w.base(t), Header: "Authorization", Prefix: "Bearer ", Token: Static(secret), Sleep: w.clock.Sleep})
	get := func(n int) {
		for range n {
			if _, err := w.get(t); err != nil {
				t.Fatal(err)
			}
		}
	}
	get(10)
	_ = w.clock.Sleep(t.Context(), away)
	get(10)
	if n := strings.Count(w.log.String(), "the database is away"); n != 1 || len(l.taken) != 2 {
		t.Errorf("said %d times, asked %d times:\n%s", n, len(l.taken), w.log)
	}
	l.err = nil
	_ = w.clock.Sleep(t.Context(), away)
	get(10)
	if len(l.taken) != 12 || len(l.told) != 10 {
		t.Errorf("when it was back: %d taken, %d told", len(l.taken), len(l.told))
	}
	get(30)
	if waited := w.clock.total(); waited > 2*time.Minute {
		t.Errorf("waited %s", waited)
	}
	get(1)
	if waited := w.clock.total(); waited < 55*time.Minute {
		t.Errorf("the reserve was touched after %s", waited)
	}
}

// A forge that refuses for ever is left alone in a run that has time, too.
func TestPatienceEnds(t *testing.T) {
	for _, header := range []string{"", "Retry-After: 3000"} {
		w := forge(t, func(c *Config) { c.MaxWait = longWait }, func(_ int, w http.ResponseWriter, _ *http.Request) { send(w, 429, header, "{}") })
		if _, err := w.get(t); err == nil || w.calls() != manyStrikes+1 {
			t.Errorf("%q: %d calls, %v", header, w.calls(), err)
		}
	}
}

// GraphQL refuses for a limit in an answer that is otherwise a success. What only speaks of one is none.
func TestLimitOfGraphQL(t *testing.T) {
	const other = `{"data":{"text":"RATE_LIMITED: a secondary rate limit"}}`
	for _, test := range []struct {
		name, headers, refusal string
		waits                  time.Duration // 0 for a wait that is too long: until then nothing more is sent
	}{
		{"secondary", "Retry-After: 7", `{"errors":[{"message":"You have exceeded a secondary rate limit."}]}`, 7 * time.Second},
		{"secondary, without a time", "", `{"data":null,"errors":[{"type":"RATE_LIMITED","message":"You have exceeded a secondary rate limit."}]}`, time.Minute},
		{"primary", "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: " + fmt.Sprint(start.Add(3*time.Minute).Unix()), `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, 3 * time.Minute},
		{"primary, without a time", "", `{"data":{"nodes":[null]},"errors":[{"type":"RATE_LIMIT","path":["nodes",0],"message":"API rate limit already exceeded"}]}`, 0},
	} {
		w := forge(t, nil, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				send(w, 200, test.headers, test.refusal)
				return
			}
			send(w, 200, "", other)
		})
		if test.waits == 0 {
			for range 3 {
				if _, err := w.get(t); err == nil || !strings.Contains(err.Error(), "rate limit until") {
					t.Errorf("%s: %v", test.name, err)
				}
			}
			if w.calls() != 1 || w.clock.total() > 0 {
				t.Errorf("%s: %d calls, waited %s", test.name, w.calls(), w.clock.total())
			}
			continue
		}
		if got, err := w.get(t); err != nil || got != other {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
		if waited := w.clock.total(); waited < test.waits || waited >= 2*test.waits {
			t.Errorf("%s: waited %s, want once %s", test.name, waited, test.waits)
		}
	}
}
