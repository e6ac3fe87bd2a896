package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

const secret = "a-token-of-the-test"

// clock is a time that only passes while somebody sleeps.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *clock) total() (sum time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.slept {
		sum += d
	}
	return sum
}

type world struct {
	*http.Client
	clock *clock
	env   audit.Env
	url   string
	log   *strings.Builder
}

// forge makes a client of a server whose n-th answer (from 1) is answer's; change may alter the configuration.
func forge(t *testing.T, change func(*Config), answer func(n int, w http.ResponseWriter, r *http.Request)) *world {
	t.Helper()
	var mu sync.Mutex
	n := 0
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		count := n
		mu.Unlock()
		w.Header().Set("Date", c.Now().Format(http.TimeFormat))
		answer(count, w, r)
	}))
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	env := audit.Env{
		HTTP: &http.Client{Transport: &http.Transport{}}, UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: c.Now,
		Log: slog.New(slog.NewTextHandler(&log, nil)), Getenv: func(string) string { return "" },
	}
	config := Config{API: "forge", Base: base, BaseVar: "FORGE_URL", Header: "Authorization", Prefix: "Bearer ", Token: Static(secret), Sleep: c.Sleep}
	if change != nil {
		change(&config)
	}
	return &world{New(env, config), c, env, srv.URL, &log}
}

func (w *world) get(t *testing.T) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/x?per_page=3", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.Do(req)
	if err != nil {
		return "", Plain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (w *world) calls() int { return w.env.Calls.Snapshot()["forge"] }

func send(w http.ResponseWriter, status int, headers, body string) {
	for line := range strings.SplitSeq(headers, "\n") {
		if k, v, ok := strings.Cut(line, ": "); ok {
			w.Header().Set(k, v)
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestWaits(t *testing.T) {
	reset := func(in time.Duration) string {
		return fmt.Sprint(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(in).Unix())
	}
	type answer struct {
		status        int
		headers, body string
	}
	ok := answer{200, "", "{}"}
	for _, test := range []struct {
		name     string
		answers  []answer // the last one is repeated
		calls    int
		min, max time.Duration // slept
		want     string        // in the error
	}{
		{"success", []answer{ok}, 1, 0, 0, ""},
		{"passing fault", []answer{{502, "", ""}, {503, "", "<html>"}, ok}, 3, time.Second, 3 * time.Second, ""},
		{"lasting fault", []answer{{500, "", `{"message":"Server Error"}`}}, 3, time.Second, 3 * time.Second, "500 Internal Server Error: Server Error"},
		{"fault that says when", []answer{{503, "Retry-After: 30", ""}, ok}, 2, 30 * time.Second, 30 * time.Second, ""},
		{"fault until tomorrow", []answer{{503, "Retry-After: 80000", ""}, ok}, 1, 0, 0, "503"},
		{"not implemented", []answer{{501, "", ""}}, 1, 0, 0, "501"},
		{"gone", []answer{{410, "", `{"message":"Gone"}`}}, 1, 0, 0, "410 Gone"},
		{"not found", []answer{{404, "", `{"message":"Not Found"}`}}, 1, 0, 0, "404 Not Found: no right to read it, or not offered here"},
		{"unauthorized", []answer{{401, "", `{"message":"Bad credentials"}`}}, 1, 0, 0, "401 Unauthorized: the token is not accepted: Bad credentials"},
		{"forbidden", []answer{{403, "X-Accepted-GitHub-Permissions: secrets=read", `{"message":"Resource not accessible by integration"}`}}, 1, 0, 0, "403 Forbidden: needs secrets=read: Resource not"},
		{"single sign-on", []answer{{403, "X-GitHub-SSO: required; url=https://evil.example/x", `{"message":"Resource protected"}`}}, 1, 0, 0, "single sign-on"},
		{"429 with seconds", []answer{{429, "Retry-After: 7", ""}, ok}, 2, 7 * time.Second, 9 * time.Second, ""},
		{"429 with a date", []answer{{429, "Retry-After: Sun, 01 Mar 2026 12:00:20 GMT", ""}, ok}, 2, 20 * time.Second, 22 * time.Second, ""},
		{"429 with GitLab's reset", []answer{{429, "RateLimit-Remaining: 0\nRateLimit-Reset: " + reset(40*time.Second), ""}, ok}, 2, 40 * time.Second, 42 * time.Second, ""},
		{"429 without a word", []answer{{429, "", ""}, {429, "", ""}, ok}, 3, 3 * time.Minute, 190 * time.Second, ""},
		{"403 of the primary limit", []answer{{403, "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: " + reset(5*time.Minute), `{}`}, ok}, 2, 5 * time.Minute, 305 * time.Second, ""},
		{"403 of a secondary limit", []answer{{403, "X-RateLimit-Remaining: 88", `{"message":"You have exceeded a secondary rate limit. Please wait"}`}, ok}, 2, time.Minute, 62 * time.Second, ""},
		{"403 with Retry-After", []answer{{403, "Retry-After: 3", `{}`}, ok}, 2, 3 * time.Second, 5 * time.Second, ""},
		{"reset too far away", []answer{{403, "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: " + reset(time.Hour), `{}`}}, 1, 0, 0, "rate limit until 2026-03-01T13:00:00Z"},
		{"reset beyond all time", []answer{{429, "Retry-After: 99999999999999999999", ""}}, 1, 0, 0, "rate limit until 2026-03-02T12:00:00Z"},
		{"refused for ever", []answer{{429, "Retry-After: 1", ""}}, 10, 10 * time.Minute, 20 * time.Minute, "rate limit until"},
		{"reset in the past", []answer{{429, "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 5", ""}, ok}, 2, time.Second, 3 * time.Second, ""},
		{"huge", []answer{{200, "", `"` + strings.Repeat("x", 2<<20) + `"`}}, 1, 0, 0, "larger than 1 MiB"},
		{"empty", []answer{{200, "", ""}}, 1, 0, 0, ""},
		{"text", []answer{{200, "", "Welcome"}}, 1, 0, 0, "something else than JSON: check FORGE_URL"},
		{"page", []answer{{200, "", "\ufeff \n<html>"}}, 1, 0, 0, "answered HTML, not the API: check FORGE_URL"},
		{"hostile message", []answer{{400, "X-Request-Id: a\tb", `{"message":"\u001b[31m` + secret + `\n::error::\u202e"}`}}, 1, 0, 0, "400 Bad Request: [31m… ::error:: (request a b)"},
		{"nested message", []answer{{400, "", `{"message":{"base":["no"]}}`}}, 1, 0, 0, `{"base":["no"]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := forge(t, func(c *Config) { c.MaxBody = 1 << 20 }, func(n int, w http.ResponseWriter, _ *http.Request) {
				a := test.answers[min(n, len(test.answers))-1]
				send(w, a.status, a.headers, a.body)
			})
			_, err := w.get(t)
			said := fmt.Sprint(err)
			if (err == nil) != (test.want == "") || !strings.Contains(said, test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if strings.Contains(said+w.log.String(), secret) || strings.Contains(said, "per_page") || strings.ContainsAny(said, "\x1b\n") {
				t.Errorf("unfit to print: %q", said)
			}
			if w.calls() != test.calls {
				t.Errorf("%d calls, want %d", w.calls(), test.calls)
			}
			if slept := w.clock.total(); slept < test.min || slept > test.max {
				t.Errorf("slept %s, want %s to %s", slept, test.min, test.max)
			}
		})
	}
}

// One refusal makes everybody wait, and once: what was under way together does not count as refused again and again.
func TestGateIsShared(t *testing.T) {
	const many = 20
	var start sync.WaitGroup
	start.Add(many)
	w := forge(t, nil, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= many {
			start.Done()
			start.Wait()
			send(w, 429, "", "")
			return
		}
		send(w, 200, "", "{}")
	})
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if _, err := w.get(t); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// One that is slow to read its refusal finds the others' wait over, and begins another.
	if w.calls() != 2*many || strings.Count(w.log.String(), "waiting for the rate limit") > many/2 {
		t.Errorf("%d calls, log:\n%s", w.calls(), w.log)
	}
}

// A budget known to be used up is not asked of again before it is filled, and a wait too long costs no request.
func TestBudget(t *testing.T) {
	for _, test := range []struct {
		in    time.Duration
		calls int
	}{{10 * time.Minute, 2}, {20 * time.Minute, 1}} {
		w := forge(t, nil, func(_ int, w http.ResponseWriter, _ *http.Request) {
			send(w, 200, "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: "+fmt.Sprint(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(test.in).Unix()), "{}")
		})
		if _, err := w.get(t); err != nil {
			t.Error(err)
		}
		_, err := w.get(t)
		if e := (*Error)(nil); (err == nil) != (test.calls == 2) || err != nil && (!errors.As(err, &e) || e.Until.IsZero()) {
			t.Errorf("in %s: %v", test.in, err)
		}
		if w.calls() != test.calls {
			t.Errorf("in %s: %d calls, want %d", test.in, w.calls(), test.calls)
		}
	}
}

func TestSlow(t *testing.T) {
	release := make(chan struct{})
	w := forge(t, func(c *Config) { c.Timeout = 50 * time.Millisecond }, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 2 {
			send(w, 200, "", "{}")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	_, err := w.get(t)
	if e := (*Error)(nil); !errors.As(err, &e) || !e.Slow() || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("%v", err)
	}
}

func TestUnreachable(t *testing.T) {
	w := forge(t, nil, func(int, http.ResponseWriter, *http.Request) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := &url.URL{Scheme: "http", Host: l.Addr().String()}
	_ = l.Close()
	w.Client = New(w.env, Config{API: "forge", Base: base, Token: Static(secret), Header: "Authorization", Sleep: w.clock.Sleep})
	w.url = base.String()
	if _, err := w.get(t); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
	if w.calls() != 3 {
		t.Errorf("%d calls", w.calls())
	}
}

func TestCredentialStaysHome(t *testing.T) {
	var thief *httptest.Server
	stolen := 0
	thief = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen++ }))
	t.Cleanup(thief.Close)
	w := forge(t, func(c *Config) { c.Header, c.Prefix = "Private-Token", "" }, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			if r.Header.Get("Private-Token") != secret || r.Header.Get("User-Agent") != "leakreach/test" || r.Header.Get("Authorization") != "" || r.Header.Get("Job-Token") != "" {
				t.Errorf("headers %v", r.Header)
			}
			send(w, 200, "Link: <http://evil.example/a,b?page=2>; title=\"x\"; rel=\"next\", <y>, ;;", "{}")
			return
		}
		to := "/moved"
		if r.URL.Path == "/away" {
			to = strings.Replace(thief.URL, "127.0.0.1", "localhost", 1) + "/"
		}
		http.Redirect(w, r, to, http.StatusMovedPermanently)
	})
	get := func(address string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer of the library's own")
		req.Header.Set("Job-Token", "")
		resp, err := w.Do(req)
		if resp != nil {
			_ = resp.Body.Close()
		}
		return resp, err
	}
	resp, err := get(w.url + "/renamed")
	if err != nil || resp.Header.Get("Link") != `<http://evil.example/a%2Cb?page=2>; rel="next"` {
		t.Errorf("redirect within the host: %v, %v", err, resp)
	}
	if _, err := get(w.url + "/away"); err == nil || !strings.Contains(err.Error(), "redirects to another host, localhost") {
		t.Errorf("redirect elsewhere: %v", err)
	}
	if _, err := get(thief.URL); err == nil || !strings.Contains(err.Error(), "not sent") {
		t.Errorf("another host asked for: %v", err)
	}
	if stolen > 0 {
		t.Error("another host was reached")
	}
}

func TestTokenFunctionFails(t *testing.T) {
	limited := &Error{Status: 429, Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	w := forge(t, func(c *Config) { c.Token = func(context.Context) (string, error) { return "", limited } }, func(int, http.ResponseWriter, *http.Request) {})
	if _, err := w.get(t); !errors.Is(err, limited) || w.calls() != 0 {
		t.Errorf("%v after %d calls", err, w.calls())
	}
}

func TestCancelledWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := forge(t, func(c *Config) {
		c.Sleep = func(ctx context.Context, _ time.Duration) error {
			cancel()
			return sleep(ctx, time.Hour)
		}
	}, func(_ int, w http.ResponseWriter, _ *http.Request) { send(w, 429, "Retry-After: 600", "") })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := w.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestToken(t *testing.T) {
	for value, want := range map[string]string{
		"": "", " \r\n": "", "abc": "abc", "\n abc\r\n": "abc", "a b": "!", "a\nb": "!", "a\x00b": "!", "a\x7fb": "!", "tökén": "!", "a\u200bb": "!",
	} {
		got, err := Token("X_TOKEN", value)
		if want == "!" {
			if !errors.Is(err, audit.ErrUsage) || got != "" || strings.Contains(err.Error(), value) {
				t.Errorf("%q: %q, %v", value, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://api.github.com": "https://api.github.com", "https://x.example/api/v3/": "https://x.example/api/v3", " http://127.0.0.1:80/\n": "http://127.0.0.1:80",
		"https://x.example/a/../b?q=1#f": "https://x.example/b",
		"":                               "!", "github.com": "!", "ftp://x.example": "!", "https://": "!", "https://user:hunter2@x.example": "!", "http://[::1": "!", "javascript:alert(1)": "!",
	} {
		got, err := BaseURL("X_URL", value)
		if want == "!" {
			if !errors.Is(err, audit.ErrUsage) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v, %v", value, got, err)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
}

func TestPages(t *testing.T) {
	number := func(i int) string { return fmt.Sprint(i) }
	page := func(next string, items ...int) Page[int] { return Page[int]{Items: items, Next: next} }
	broken := &Error{Status: 502}
	for _, test := range []struct {
		name  string
		fetch func(cursor string) (Page[int], error)
		want  string
	}{
		{"one", func(string) (Page[int], error) { return page("", 1, 2), nil }, "1 2"},
		{"none", func(string) (Page[int], error) { return page(""), nil }, ""},
		{"shifted", func(c string) (Page[int], error) {
			return map[string]Page[int]{"": page("2", 1, 2), "2": page("", 2, 3)}[c], nil
		}, "1 2 3"},
		{"short", func(string) (Page[int], error) { return Page[int]{Items: []int{1}, Total: 3}, nil }, "1 !2 of 3 are missing in the forge's answers"},
		{"circle", func(string) (Page[int], error) { return page("2", 1), nil }, "1 !the listing repeats itself at page 2"},
		{"first broken", func(string) (Page[int], error) { return Page[int]{}, broken }, "!502"},
		{"middle broken", func(c string) (Page[int], error) {
			if c == "2" {
				return Page[int]{}, broken
			}
			p := map[string]Page[int]{"": page("2", 1), "3": page("", 3)}[c]
			p.Last, p.Total = 3, 3
			return p, nil
		}, "1 !page 2: 502 3"},
		{"last broken", func(c string) (Page[int], error) {
			if c == "3" {
				return Page[int]{}, broken
			}
			p := map[string]Page[int]{"": page("2", 1), "2": page("3", 2)}[c]
			p.Last = 3
			return p, nil
		}, "1 2 !page 3: 502"},
		{"keys broken", func(c string) (Page[int], error) {
			if c != "" {
				return Page[int]{}, broken
			}
			return Page[int]{Items: []int{1}, Next: "https://x/?id_after=1", Last: 9}, nil
		}, "1 !page 2: 502"},
		{"forbidden in the middle", func(c string) (Page[int], error) {
			if c != "" {
				return Page[int]{}, &Error{Status: 403}
			}
			return Page[int]{Items: []int{1}, Next: "2", Last: 9}, nil
		}, "1 !page 2: 403"},
	} {
		var got []string
		for i, err := range Pages(t.Context(), number, func(_ context.Context, c string) (Page[int], error) { return test.fetch(c) }) {
			if err != nil {
				why, _, _ := strings.Cut(Gap("", "", err).Why, " Bad")
				got = append(got, "!"+strings.TrimSuffix(why, " Forbidden"))
				continue
			}
			got = append(got, number(i))
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: %s, want %s", test.name, s, test.want)
		}
	}
}

func TestPagesEnd(t *testing.T) {
	n, yielded, last := 0, 0, ""
	for _, err := range Pages(t.Context(), func(i int) string { return fmt.Sprint(i) }, func(_ context.Context, _ string) (Page[int], error) {
		n++
		return Page[int]{Items: []int{n}, Next: fmt.Sprint(n + 1), Last: 1 << 60}, nil
	}) {
		if err != nil {
			last = err.Error()
			continue
		}
		yielded++
	}
	if yielded != maxPages || !strings.Contains(last, "does not end") {
		t.Errorf("%d items, then %q", yielded, last)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, "Link", `<https://x/?page=2>; rel="next", <;`, []byte(`[{}]`))
	f.Add(403, "Retry-After", "-1", []byte(`{"message":"secondary rate limit"}`))
	f.Add(429, "X-RateLimit-Reset", "99999999999999999", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, name, value string, body []byte) {
		h := http.Header{}
		h.Set(name, value)
		resp := &http.Response{StatusCode: status, Header: h}
		if wait, _ := rateLimit(resp, body); wait < 0 || wait > longest {
			t.Errorf("waits %s", wait)
		}
		if b, ok := budgetOf(resp, start, 60); ok && (b.wait < 0 || b.wait > longest || b.remaining < 0 || b.reserve < 0 || b.reserve > b.limit) {
			t.Errorf("budget %+v", b)
		}
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "x.example"}}
		e := newError("forge", req, resp, append(body, secret...), secret)
		if s := e.Error(); strings.Contains(s, secret) || strings.ContainsAny(s, "\x1b\n\r") || len(e.Message) > 4*301 {
			t.Errorf("unfit to print: %q", s)
		}
		tidyLinks(h)
		for link := range strings.SplitSeq(h.Get("Link"), ",") {
			if link != "" && (strings.Count(link, ";") != 1 || !strings.Contains(link, "; rel=\"")) {
				t.Errorf("link %q", link)
			}
		}
	})
}

// base is the address of the server.
func (w *world) base(t *testing.T) *url.URL {
	t.Helper()
	base, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	return base
}
