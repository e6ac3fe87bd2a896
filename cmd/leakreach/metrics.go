package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/metrics"
	"github.com/leakreach/leakreach/internal/progress"
	"github.com/leakreach/leakreach/internal/store"
)

func (o *scanOptions) metricsFlag(f *pflag.FlagSet) {
	f.StringVar(&o.metrics, "metrics", "", "serve Prometheus metrics and pprof at `ADDR`, [HOST]:PORT; without a host for this machine alone")
}

// serveMetrics serves them, if they are wanted, until stop is called.
func (o *scanOptions) serveMetrics(ctx context.Context, counts *metrics.Work, kept *store.Store, log *slog.Logger) (stop func(), err error) {
	if o.metrics == "" {
		return func() {}, nil
	}
	l, err := metrics.Listen(ctx, o.metrics)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var served sync.WaitGroup
	served.Go(func() { metrics.Serve(ctx, l, counts, kept, log) })
	return func() {
		cancel()
		served.Wait()
	}, nil
}

// told are all who are told how the work goes on.
type told []engine.Progress

func (t told) Begun(run string) {
	for _, p := range t {
		p.Begun(run)
	}
}

func (t told) Target(name string, kind audit.TargetKind) {
	for _, p := range t {
		p.Target(name, kind)
	}
}

func (t told) Items(n int, bytes int64) {
	for _, p := range t {
		p.Items(n, bytes)
	}
}

func (t told) Finished(name string, status audit.Status) {
	for _, p := range t {
		p.Finished(name, status)
	}
}

// standing asks a store how far a run has come.
func standing(kept *store.Store) func(ctx context.Context, run string) (progress.State, error) {
	return func(ctx context.Context, run string) (progress.State, error) {
		has, err := kept.Standing(ctx, run)
		if err != nil {
			return progress.State{}, err
		}
		s := progress.State{Listing: has.Listing, Failed: has.Targets[string(audit.Failed)], Findings: has.Findings}
		for status, n := range has.Targets {
			s.Known += n
			if status != "" {
				s.Done += n
			}
		}
		quotas, err := kept.Quotas(ctx, time.Now())
		s.Quotas = together(quotas)
		return s, err
	}
}

// together are the quotas of an API, or of a resource of it, as one: several credentials are used side by side.
func together(quotas []store.Quota) (sums []progress.Quota) {
	type resource struct{ api, host, name string }
	at := map[resource]int{}
	for _, q := range quotas {
		r := resource{q.API, q.Host, q.Resource}
		i, ok := at[r]
		if !ok {
			at[r] = len(sums)
			sums = append(sums, progress.Quota{API: q.API, Limit: q.Limit, Remaining: q.Remaining, Reset: q.Reset, Until: q.Until})
			continue
		}
		sum := &sums[i]
		sum.Limit, sum.Remaining = sum.Limit+q.Limit, sum.Remaining+q.Remaining
		if q.Reset.Before(sum.Reset) {
			sum.Reset = q.Reset
		}
		if q.Until.IsZero() || !sum.Until.IsZero() && q.Until.Before(sum.Until) {
			sum.Until = q.Until // requests are sent as long as one credential is good for them
		}
	}
	return sums
}
