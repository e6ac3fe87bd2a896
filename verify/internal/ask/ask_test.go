package ask

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// A service that is busy or broken is asked again, as late as it wishes within reason, and then it has not answered.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []int
		after   string // Retry-After of answers that are not 200
		asked   int
		slept   time.Duration
		err     string
	}{
		{"at once", []int{200}, "", 1, 0, ""},
		{"broken once", []int{502, 200}, "", 2, time.Second, ""},
		{"busy", []int{429, 429, 200}, "5", 3, 10 * time.Second, ""},
		{"too busy", []int{429}, "600", 1, 0, "it answered 429"},
		{"broken", []int{500, 500, 500, 200}, "", 3, 3 * time.Second, "it answered 500"},
		{"a limit that is a 403", []int{403, 200}, "2", 2, 2 * time.Second, ""},
		{"refused", []int{403}, "", 1, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status := c.answers[asked]
				asked++
				if c.after != "" && status != 200 {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(status)
			}))
			defer server.Close()
			issuer, err := NewIssuer(audit.Env{Calls: &audit.Calls{}, Now: time.Now}, "test", server.URL)
			if err != nil {
				t.Fatal(err)
			}
			var slept time.Duration
			issuer.sleep = func(_ context.Context, d time.Duration) error { slept += d; return nil }
			_, err = issuer.ask(t.Context(), question{http.MethodGet, "/", http.Header{"Authorization": {"x"}}, nil})
			if asked != c.asked || slept != c.slept || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("asked %d times, slept %s, error %v", asked, slept, err)
			}
		})
	}
}

// An answer without end is left, and one that is cut off is no answer.
func TestAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "10")
			return
		}
		for {
			if _, err := fmt.Fprint(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	issuer, err := NewIssuer(audit.Env{Calls: &audit.Calls{}, Now: time.Now}, "test", server.URL)
	if err != nil {
		t.Fatal(err)
	}
	issuer.sleep = func(context.Context, time.Duration) error { return nil }
	for path, want := range map[string]string{"/long": "longer than 4 MiB", "/short": "unexpected EOF"} {
		if _, err := issuer.ask(t.Context(), question{http.MethodGet, path, http.Header{}, nil}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", path, err, want)
		}
	}
}

// Whoever plants a credential writes its answers, too: they make no report without end. The level is that of all of them.
func TestBounds(t *testing.T) {
	q := &Inquiry{Verdict: Offline(audit.Env{Now: time.Now}), Reach: &audit.Reach{Level: audit.LevelUnknown}}
	long := strings.Repeat("é", maxText)
	q.Fact("name", long)
	for n := range most + 10 {
		q.Raise(audit.LevelRead, "x", fmt.Sprint(n, long), long)
		q.Limit("%d %s", n, long)
	}
	q.Raise(audit.LevelWrite, "x", "y", "z")
	if q.Reach.Level != audit.LevelWrite || len(q.Reach.Paths) != most || len(q.Reach.Limits) != most || !strings.Contains(q.Reach.Limits[most-1], "more") {
		t.Errorf("level %s, %d paths, %d limits", q.Reach.Level, len(q.Reach.Paths), len(q.Reach.Limits))
	}
	step := q.Reach.Paths[0].Steps[0]
	for _, text := range []string{step.To, step.Evidence, q.Reach.Limits[0], q.Verdict.Facts["name"]} {
		if len(text) > maxText+len("…") || !utf8.ValidString(text) {
			t.Errorf("%d bytes of text", len(text))
		}
	}
}
