package store

import (
	"context"
	"database/sql"
	"fmt"
)

// A Standing is how far a run has come, whoever works on it.
type Standing struct {
	Targets  map[string]int // how many have each status; "" for those that are still to be scanned
	Listing  bool           // more targets may become known
	Findings int            // so far: halves of one credential may be several until all targets are scanned
	Gaps     int
}

// Standing counts. It is cheap enough to be asked for every few seconds.
func (s *Store) Standing(ctx context.Context, run string) (Standing, error) {
	r := Run{ID: run}
	if err := s.count(ctx, &r); err != nil {
		return Standing{}, err
	}
	out, lists := Standing{Targets: r.Targets}, 0
	for _, q := range []struct {
		n    *int
		text string
		arg  string
	}{
		{&out.Findings, `SELECT count(DISTINCT identity) FROM findings WHERE run = $1`, run},
		{&out.Gaps, `SELECT count(*) FROM gaps WHERE run = $1`, run},
		{&lists, `SELECT count(*) FROM river_job WHERE kind = 'list' AND queue = $1 AND state NOT IN ('completed', 'cancelled', 'discarded')`, Lists.Of(run)},
	} {
		if err := s.db.QueryRowContext(ctx, q.text, q.arg).Scan(q.n); err != nil {
			return Standing{}, fmt.Errorf("counting what run %s has: %w", run, err)
		}
	}
	out.Listing = lists > 0
	return out, nil
}

// A Depth is how many jobs of a kind are in a state, as River calls it: available (waiting), running, scheduled (put off until later).
type Depth struct {
	Kind, State string
	Jobs        int
}

// Depths counts the jobs of all runs that are not done.
func (s *Store) Depths(ctx context.Context) ([]Depth, error) {
	depths, err := query(ctx, s.db, `SELECT kind, CAST(state AS TEXT), count(*) FROM river_job WHERE state <> 'completed' GROUP BY kind, state ORDER BY kind, state`,
		func(rows *sql.Rows) (d Depth, err error) { return d, rows.Scan(&d.Kind, &d.State, &d.Jobs) })
	if err != nil {
		return nil, fmt.Errorf("counting jobs: %w", err)
	}
	return depths, nil
}

// Workers counts the processes that work on runs: one for each run that a process works on.
func (s *Store) Workers(ctx context.Context) (n int, err error) {
	if err := s.db.QueryRowContext(ctx, s.sql(`SELECT count(*) FROM workers WHERE seen > {now} - $1`), silent.Milliseconds()).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting workers: %w", err)
	}
	return n, nil
}
