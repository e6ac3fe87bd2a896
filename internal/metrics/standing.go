package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// What is asked of the store.
const (
	fresh   = 5 * time.Second // what it said a moment ago is said again: however many look, the store is asked no more often
	patient = 5 * time.Second // it has to answer, below the ten seconds that Prometheus waits by default
)

// A standing is what the store has. Counts are over all runs that are open.
type standing struct {
	store *store.Store
	now   func() time.Time

	mu    sync.Mutex // held while the store is asked
	asked time.Time
	last  []family
}

func (s *standing) families(ctx context.Context) []family {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.now().Sub(s.asked) < fresh {
		return s.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient) // others may wait for it who are still there
	defer cancel()
	all, err := s.ask(ctx)
	up := 1
	if err != nil {
		all, up = nil, 0
	}
	s.last = append(all, one("leakreach_store_up", "Whether the store answered. If it did not, nothing else is told of it.", up))
	s.asked = s.now()
	return s.last
}

func (s *standing) ask(ctx context.Context) ([]family, error) {
	runs, err := s.store.Open(ctx)
	if err != nil {
		return nil, err
	}
	targets := map[string]int{"left": 0, string(audit.Scanned): 0, string(audit.Partial): 0, string(audit.Failed): 0, string(audit.Skipped): 0}
	findings, gaps := 0, 0
	for _, r := range runs {
		has, err := s.store.Standing(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for status, n := range has.Targets {
			if status == "" {
				status = "left"
			}
			targets[status] += n
		}
		findings, gaps = findings+has.Findings, gaps+has.Gaps
	}
	depths, err := s.store.Depths(ctx)
	if err != nil {
		return nil, err
	}
	jobs := family{name: "leakreach_jobs", help: "Jobs that are not done: available ones wait for a worker, scheduled ones for their time, such as the reset of a quota."}
	for _, d := range depths {
		jobs.samples = append(jobs.samples, sample{map[string]string{"kind": d.Kind, "state": d.State}, float64(d.Jobs)})
	}
	workers, err := s.store.Workers(ctx)
	if err != nil {
		return nil, err
	}
	quotas, err := s.store.Quotas(ctx, s.now())
	if err != nil {
		return nil, err
	}
	started := family{name: "leakreach_run_oldest_start_timestamp_seconds", help: "When the oldest open run was begun."}
	if len(runs) > 0 {
		started.samples = []sample{{nil, seconds(runs[0].StartedAt)}}
	}
	return append([]family{
		one("leakreach_runs_open", "Runs that are not done.", len(runs)),
		started,
		by("leakreach_run_targets", "Targets of open runs, by status; left is what is still to be scanned.", "status", targets),
		one("leakreach_run_findings", "Findings of open runs so far.", findings),
		one("leakreach_run_gaps", "Gaps of open runs so far.", gaps),
		jobs,
		one("leakreach_workers", "Processes that were alive within the last seconds, counted once for each run that they work on.", workers),
	}, ofQuotas(quotas)...), nil
}

// ofQuotas are what APIs grant, and what is left of it.
func ofQuotas(quotas []store.Quota) []family {
	limit := family{name: "leakreach_quota_limit", help: "Requests that an API grants to a credential until the reset."}
	left := family{name: "leakreach_quota_remaining", help: "Of them, those that are left."}
	reserve := family{name: "leakreach_quota_reserve", help: "Of them, those that are left to people: below it, no request is sent."}
	reset := family{name: "leakreach_quota_reset_timestamp_seconds", help: "When the quota is filled again."}
	pause := family{name: "leakreach_quota_paused_until_timestamp_seconds", help: "No request is sent before; 0 if some are."}
	for _, q := range quotas {
		labels := map[string]string{"api": q.API, "host": q.Host, "resource": q.Resource, "credential": q.Credential[:min(len(q.Credential), shown)]}
		for f, v := range map[*family]float64{&limit: float64(q.Limit), &left: float64(q.Remaining), &reserve: float64(q.Reserve), &reset: seconds(q.Reset), &pause: seconds(q.Until)} {
			f.samples = append(f.samples, sample{labels, v})
		}
	}
	return []family{limit, left, reserve, reset, pause}
}

// shown is how much of a credential's digest tells it from the few others that are used.
const shown = 8
