package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/metrics"
	"github.com/leakreach/leakreach/internal/store"
)

// newWorker joins the runs of a shared store.
func newWorker(w world) *cobra.Command {
	var o scanOptions
	var once bool
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Join the runs of a shared store",
		Long: `Join the runs that scan has begun in a shared store, on this machine too, until interrupted.

Credentials come from this process's environment: a worker needs the same rights on the forge as scan. LEAKREACH_STORE_KEY is the same in
all processes, or not set in any. Refs that are paths are left to the process that was given them.`,
		Example: "  leakreach scan github:acme --store postgres://db.corp.test/leakreach\n  leakreach worker --store postgres://db.corp.test/leakreach   # on other machines",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.jobs < 1 {
				return fmt.Errorf("%w: --jobs is %d, less than 1", audit.ErrUsage, o.jobs)
			}
			file, _, err := readSettings(cmd, w.getenv, &o.config)
			if err != nil {
				return err
			}
			o.limits = file.Leakreach.Limits
			kept, err := openStored(cmd, w, &o.store, &o.config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, kept.Close()) }()
			if !store.IsShared(o.store) {
				return audit.Hint(fmt.Errorf("%w: one process works with a file", audit.ErrUsage), "share a store as postgres://…")
			}
			w.limit(o.memory)
			log := slog.New(slog.NewTextHandler(w.stderr, &slog.HandlerOptions{Level: o.level()}))
			counts := metrics.NewWork(versionString(), time.Now())
			stop, err := o.serveMetrics(cmd.Context(), counts, kept, log)
			if err != nil {
				return err
			}
			defer stop()
			return work(cmd.Context(), w, &o, kept, counts, log, once)
		},
	}
	f := cmd.Flags()
	o.logLevel, o.memory = "info", defaultMemory
	storeFlags(f, &o.store, &o.config)
	f.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "how many to scan at once")
	f.Var(size{&o.memory}, "memory", "how much to take, at least 256MiB")
	cacheFlag(f, &o.cacheSize)
	o.metricsFlag(f)
	f.BoolVar(&once, "once", false, "end when no run is open")
	f.Var(choice{&o.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "what to log on stderr")
	return cmd
}

// look is how often a worker looks for runs that were begun.
const look = 2 * time.Second

// work joins each open run once, until ctx ends, or with once until no run is open.
func work(ctx context.Context, w world, o *scanOptions, kept *store.Store, counts *metrics.Work, log *slog.Logger, once bool) error {
	key, err := storeKey(ctx, w.getenv, kept)
	if err != nil {
		return err
	}
	var joined sync.WaitGroup
	defer joined.Wait()
	var known sync.Map // runs that this process works on, or cannot
	quotas := kept.Counter(time.Now)
	for {
		runs, err := kept.Open(ctx)
		switch {
		case ctx.Err() != nil:
			return &exitError{exitInterrupted, nil}
		case err != nil:
			log.Warn("the store does not answer", "error", err)
		case len(runs) == 0 && once:
			return nil
		}
		for _, run := range runs {
			if _, ok := known.LoadOrStore(run.ID, true); ok {
				continue
			}
			e, list, err := o.join(w, log, key, run, quotas)
			if err != nil {
				log.Warn("not joined", "run", run.ID, "reason", err)
				continue
			}
			e.Store, e.Progress = kept, counts
			counts.Count(e.Calls)
			log.Info("joined", "run", run.ID, "refs", run.Refs)
			joined.Go(func() {
				if err := e.Join(ctx, run.ID, list); err != nil && ctx.Err() == nil {
					log.Error("left", "run", run.ID, "error", err)
					known.Delete(run.ID) // it is joined again if it is still open
				}
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(look):
		}
	}
}

// join makes what works on a run, by its own recipe.
func (o *scanOptions) join(w world, log *slog.Logger, key audit.Key, run store.Run, quotas audit.Quotas) (*engine.Engine, []engine.Ref, error) {
	r, err := recipeOf(run)
	if err != nil {
		return nil, nil, err
	}
	switch build := buildString(); {
	case r.Version != build:
		return nil, nil, fmt.Errorf("it is a run of version %s, this is %s", r.Version, build)
	case r.Key != key.Digest("recipe"):
		return nil, nil, errors.New("its findings are under another key: set LEAKREACH_STORE_KEY to that of the process that began it")
	}
	e, list, err := r.engine(o.env(w, log, quotas), run.Refs, o.limits)
	if err != nil {
		return nil, nil, err
	}
	for _, ref := range list {
		if ref.Rest == ref.Text { // no scheme
			return nil, nil, fmt.Errorf("%s is a path on another machine", ref.Text)
		}
		if ref.Text == "job:" {
			return nil, nil, errors.New("job: is a job on another machine")
		}
	}
	e.Key, e.Jobs = key, o.jobs
	return e, list, nil
}
