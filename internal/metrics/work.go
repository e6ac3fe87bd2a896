package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// Work counts what this process does, as the engine tells it. It is safe for concurrent use.
type Work struct {
	version string
	started time.Time
	inWork  atomic.Int64
	items   atomic.Int64
	bytes   atomic.Int64

	mu      sync.Mutex // guards all below
	targets map[string]int
	calls   []*audit.Calls
}

// NewWork makes the counters of a process of the program of some version.
func NewWork(version string, now time.Time) *Work {
	return &Work{version: version, started: now, targets: map[string]int{ // a rate is known from the first one on
		string(audit.Scanned): 0, string(audit.Partial): 0, string(audit.Failed): 0, string(audit.Skipped): 0,
	}}
}

// Count has the requests that are counted there counted.
func (w *Work) Count(calls *audit.Calls) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, calls)
}

// Begun is of no interest: a process works on many runs.
func (w *Work) Begun(string) {}

// Target counts one that is begun.
func (w *Work) Target(string, audit.TargetKind) { w.inWork.Add(1) }

// Items counts what was scanned.
func (w *Work) Items(n int, bytes int64) {
	w.items.Add(int64(n))
	w.bytes.Add(bytes)
}

// Finished counts a target that is done.
func (w *Work) Finished(_ string, status audit.Status) {
	w.inWork.Add(-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[string(status)]++
}

func (w *Work) families() []family {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := map[string]int{}
	for _, c := range w.calls {
		for api, n := range c.Snapshot() {
			calls[api] += n
		}
	}
	return []family{
		by("leakreach_build_info", "Always 1; the label is the program's version.", "version", map[string]int{w.version: 1}),
		one("leakreach_targets_in_progress", "Targets that this process is scanning.", w.inWork.Load()),
		by("leakreach_targets_total", "Targets, or parts of them, that this process is done with, by how that ended.", "status", w.targets),
		one("leakreach_items_total", "Items that this process has scanned.", w.items.Load()),
		one("leakreach_bytes_total", "Bytes that this process has scanned.", w.bytes.Load()),
		by("leakreach_api_requests_total", "Requests that this process has sent, by API.", "api", calls),
		one("process_start_time_seconds", "When the process was started.", seconds(w.started)),
	}
}
