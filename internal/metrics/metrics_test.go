package metrics_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/metrics"
	"github.com/leakreach/leakreach/internal/store"
)

func TestListen(t *testing.T) {
	for addr, want := range map[string]string{
		"0": "127.0.0.1:", ":0": "127.0.0.1:", "127.0.0.1:0": "127.0.0.1:", "localhost:0": "", "0.0.0.0:0": "[::]:",
	} {
		l, err := metrics.Listen(t.Context(), addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if got := l.Addr().String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, addr := range []string{"", "host", "127.0.0.1:http-is-no-port", "1:2:3", "203.0.113.1:1"} {
		if l, err := metrics.Listen(t.Context(), addr); !errors.Is(err, audit.ErrUsage) {
			t.Errorf("%q: %v, %v", addr, l, err)
		}
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

// opened is a store in memory with a run that has a target done and one to do.
func opened(t *testing.T) *store.Store {
	t.Helper()
	ctx := t.Context()
	s, err := store.Open(ctx, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	id, _, err := s.Begin(ctx, store.Plan{Refs: []string{"github:acme"}}, time.Unix(1_800_000_000, 0))
	if err == nil {
		err = s.Tx(ctx, func(tx *sql.Tx) error {
			_, err := s.AddTargets(ctx, tx, id, 0, []audit.Target{{Name: "github:acme/web"}, {Name: "github:acme/old"}})
			return errors.Join(err, s.Settle(ctx, tx, id, store.Result{
				Coverage: audit.Coverage{Target: "github:acme/web", Status: audit.Partial},
				Gaps:     []audit.Gap{{Target: "github:acme/web", What: "logs", Why: "expired"}},
				Findings: []store.Finding{{Identity: "i", Finding: audit.Finding{ID: "lr1:1", Title: "found"}}},
			}))
		})
	}
	if err == nil {
		quota := audit.Quota{API: "github", Host: "api.github.test", Credential: "0123456789abcdef", Resource: "core"}
		err = s.Counter(func() time.Time { return time.Unix(1_800_000_100, 0) }).Told(ctx, quota, 5000, 4321, time.Unix(1_800_003_600, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMetrics(t *testing.T) {
	s, work, now := opened(t), metrics.NewWork("1.2.3", time.Unix(1_800_000_000, 0)), time.Unix(1_800_000_100, 0)
	h := metrics.Handler(work, s, func() time.Time { return now })
	work.Target("github:acme/web", audit.TargetRepository)
	work.Target("github:acme/old", audit.TargetRepository)
	work.Items(3, 1000)
	work.Finished("github:acme/web", audit.Partial)
	for range 2 { // runs that the process works on
		calls := &audit.Calls{}
		calls.Add("github", 21)
		work.Count(calls)
	}
	code, text := get(t, h, "/metrics")
	if code != http.StatusOK {
		t.Fatal(code, text)
	}
	for _, want := range []string{
		`leakreach_build_info{version="1.2.3"} 1`,
		`leakreach_targets_in_progress 1`, `leakreach_targets_total{status="partial"} 1`, `leakreach_targets_total{status="failed"} 0`,
		`leakreach_items_total 3`, `leakreach_bytes_total 1000`, `leakreach_api_requests_total{api="github"} 42`,
		`leakreach_store_up 1`, `leakreach_runs_open 1`, `leakreach_run_oldest_start_timestamp_seconds 1800000000`,
		`leakreach_run_targets{status="left"} 1`, `leakreach_run_targets{status="partial"} 1`, `leakreach_run_findings 1`, `leakreach_run_gaps 1`,
		`leakreach_workers 0`,
		`leakreach_quota_limit{api="github",credential="01234567",host="api.github.test",resource="core"} 5000`,
		`leakreach_quota_remaining{api="github",credential="01234567",host="api.github.test",resource="core"} 4321`,
		`leakreach_quota_reset_timestamp_seconds{api="github",credential="01234567",host="api.github.test",resource="core"} 1800003600`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("nothing says %s", want)
		}
	}
	for _, want := range []string{"go_goroutines", "go_memstats_heap_alloc_bytes", "process_resident_memory_bytes", "process_open_fds"} {
		if !strings.Contains(text, "\n"+want+" ") {
			t.Errorf("nothing says %s", want)
		}
	}
	if strings.Contains(text, "acme") {
		t.Error("a label names what is scanned")
	}
	format(t, text)
	// However many look, the store is asked every few seconds; and when it does not answer, nothing old is told.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, text := get(t, h, "/metrics"); !strings.Contains(text, "\nleakreach_store_up 1\n") {
		t.Error("the store was asked again at once")
	}
	now = now.Add(time.Minute)
	_, text = get(t, h, "/metrics")
	if !strings.Contains(text, "\nleakreach_store_up 0\n") || strings.Contains(text, "\nleakreach_runs_open") || !strings.Contains(text, "\nleakreach_items_total 3\n") {
		t.Error("a store that does not answer:\n", text)
	}
}

// format holds a page to the text format: families in one piece, each with its help and type, no sample twice, and names by the conventions.
func format(t *testing.T, page string) {
	t.Helper()
	comment := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	line := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? (-?[0-9.]+)$`)
	seen, current, kind := map[string]bool{}, "", ""
	for l := range strings.SplitSeq(strings.TrimSuffix(page, "\n"), "\n") {
		if m := comment.FindStringSubmatch(l); m != nil {
			if seen[m[1]+m[2]] {
				t.Errorf("a second %s of %s", m[1], m[2])
			}
			seen[m[1]+m[2]] = true
			current, kind = m[2], m[3]
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil || m[1] != current || !seen["HELP"+current] || !seen["TYPE"+current] {
			t.Errorf("not a sample of %s: %q", current, l)
			continue
		}
		if seen[m[1]+m[2]] {
			t.Errorf("a second sample %q", l)
		}
		seen[m[1]+m[2]] = true
		if counter := strings.HasSuffix(current, "_total"); counter != (kind == "counter") || !counter && kind != "gauge" {
			t.Errorf("%s is a %s", current, kind)
		}
	}
}

// TestProfiles: they are there, but for the one that shows the arguments.
func TestProfiles(t *testing.T) {
	h := metrics.Handler(metrics.NewWork("", time.Now()), opened(t), time.Now)
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/cmdline": 404, "/": 404, "/debug/vars": 404,
	} {
		if got, _ := get(t, h, path); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
}

func TestServeEnds(t *testing.T) {
	l, err := metrics.Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		metrics.Serve(ctx, l, metrics.NewWork("", time.Now()), opened(t), slog.New(slog.DiscardHandler))
		close(ended)
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Error(answer, err)
	}
	_ = answer.Body.Close()
	cancel()
	<-ended
}
