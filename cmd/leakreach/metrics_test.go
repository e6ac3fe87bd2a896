package main

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/progress"
	"github.com/leakreach/leakreach/internal/store"
)

// seen is what a program has written so far.
type seen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *seen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestScanMetrics looks at a scan that waits for its input.
func TestScanMetrics(t *testing.T) {
	in, out := io.Pipe()
	var stdout bytes.Buffer
	stderr := &seen{}
	w := testWorld(&stdout, io.Discard, t.TempDir())
	w.stdin, w.stderr = in, stderr
	code := make(chan int)
	go func() {
		code <- run(t.Context(), []string{"scan", "-", "--metrics", ":0", "--log-level", "info", "--progress", "off"}, w)
	}()
	url := ""
	for range 600 {
		if m := regexp.MustCompile(`url=(http://127\.0\.0\.1:\d+/metrics)`).FindStringSubmatch(stderr.String()); m != nil {
			url = m[1]
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%v; stderr:\n%s", err, stderr)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !strings.Contains(string(body), "\nleakreach_store_up 1\n") {
		t.Error(err, string(body))
	}
	_ = out.Close()
	if got := <-code; got != exitOK && got != exitNothing {
		t.Errorf("exit code %d; stderr:\n%s", got, stderr)
	}
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Error("it is served after the scan has ended")
	}
}

// TestTogether: several credentials are one quota, which pauses when none of them is good for a request.
func TestTogether(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Unix(1_800_000_000, 0).Add(time.Duration(minutes) * time.Minute)
	}
	quota := func(resource string, left int, reset, until time.Time) store.Quota {
		return store.Quota{Quota: audit.Quota{API: "github", Host: "h", Resource: resource}, Limit: 5000, Remaining: left, Reset: reset, Until: until}
	}
	none := time.Time{}
	got := together([]store.Quota{
		quota("core", 10, at(9), at(9)), quota("core", 3000, at(5), none), quota("core", 20, at(7), at(7)),
		quota("graphql", 0, at(3), at(3)), quota("graphql", 0, at(2), at(2)),
	})
	want := []progress.Quota{
		{API: "github", Limit: 15000, Remaining: 3030, Reset: at(5)}, {API: "github", Limit: 10000, Reset: at(2), Until: at(2)},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
