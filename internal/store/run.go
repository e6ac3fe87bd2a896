package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Plan is what a run was asked to do.
type Plan struct {
	Version string
	Verify  string
	Refs    []string
	Recipe  string // all besides the refs that decides what is scanned and what is found: a run is resumed only under the same
}

// A Run is a stored run, as far as it came.
type Run struct {
	ID string
	Plan
	StartedAt  time.Time
	FinishedAt time.Time      // zero while it is open
	Targets    map[string]int // how many have each status; "" for those that are still to be scanned
}

// A Queue is a sort of work. Each run has queues of its own, so that a process takes jobs of those runs only that it knows the refs of.
type Queue string

// Contents take much memory, settings, records and verifying hardly any, but time to wait for answers: a process works on other numbers of them at once.
const (
	Lists         Queue = "list"
	Settings      Queue = "settings"
	Records       Queue = "records" // what pipelines and people left behind
	Scans         Queue = "scan"
	Verifications Queue = "verify"
)

// Of is the name that the queue of a run has.
func (q Queue) Of(run string) string { return string(q) + "_" + run }

// ErrNoRun says that there is no such run.
var ErrNoRun = errors.New("no such run")

// Begin opens a run, or resumes the youngest open one under the same plan.
func (s *Store) Begin(ctx context.Context, p Plan, now time.Time) (id string, resumed bool, err error) {
	refs, err := json.Marshal(p.Refs)
	if err != nil {
		return "", false, err
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		if s.postgres { // else two that begin at once would not see each other's run
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
				return err
			}
		}
		row := tx.QueryRowContext(ctx, `SELECT id FROM runs WHERE recipe = $1 AND refs = $2 AND finished_at IS NULL ORDER BY started_at DESC LIMIT 1`, p.Recipe, string(refs))
		if err := row.Scan(&id); err == nil || !errors.Is(err, sql.ErrNoRows) {
			resumed = err == nil
			return err
		}
		id = NewID()
		_, err := tx.ExecContext(ctx, `INSERT INTO runs (id, recipe, version, verify, refs, started_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			id, p.Recipe, p.Version, p.Verify, string(refs), now.UnixMilli())
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("beginning a run: %w", err)
	}
	return id, resumed, nil
}

// NewID makes an id for a run, or for a process that works on one.
func NewID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// Expect says that a run has so many more jobs before it is done, or fewer, and returns how many there are now.
func (s *Store) Expect(ctx context.Context, tx *sql.Tx, id string, more int) (left int, err error) {
	if err := tx.QueryRowContext(ctx, `UPDATE runs SET jobs = jobs + $1 WHERE id = $2 RETURNING jobs`, more, id).Scan(&left); err != nil {
		return 0, fmt.Errorf("counting the jobs of run %s: %w", id, err)
	}
	return left, nil
}

// Settling says that all targets of a run are scanned. It is true the first time.
func (s *Store) Settling(ctx context.Context, tx *sql.Tx, id string) (first bool, err error) {
	done, err := tx.ExecContext(ctx, `UPDATE runs SET settling = 1 WHERE id = $1 AND settling = 0`, id)
	if err != nil {
		return false, fmt.Errorf("settling run %s: %w", id, err)
	}
	n, err := done.RowsAffected()
	return n > 0, err
}

// Finish closes a run: it is whole, and never resumed.
func (s *Store) Finish(ctx context.Context, tx *sql.Tx, id string, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE runs SET finished_at = $1 WHERE id = $2 AND finished_at IS NULL`, now.UnixMilli(), id); err != nil {
		return fmt.Errorf("finishing run %s: %w", id, err)
	}
	return nil
}

// Finished tells whether a run is closed, or was removed.
func (s *Store) Finished(ctx context.Context, id string) (bool, error) {
	var n int
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE id = $1 AND finished_at IS NULL`, id).Scan(&n)
	return err == nil && n == 0, err
}

// Called stores how often a process has called each API in a run, in place of what it said before.
func (s *Store) Called(ctx context.Context, tx *sql.Tx, id, worker string, calls map[string]int) error {
	for api, n := range calls {
		if _, err := tx.ExecContext(ctx, `INSERT INTO calls (run, worker, api, n) VALUES ($1, $2, $3, $4) ON CONFLICT (run, worker, api) DO UPDATE SET n = excluded.n`,
			id, worker, api, n); err != nil {
			return fmt.Errorf("counting calls: %w", err)
		}
	}
	return nil
}

// Calls are those of all processes in a run.
func (s *Store) Calls(ctx context.Context, id string) (map[string]int, error) {
	out := map[string]int{}
	rows, err := query(ctx, s.db, `SELECT api, sum(n) FROM calls WHERE run = $1 GROUP BY api`, func(rows *sql.Rows) (x struct {
		api string
		n   int
	}, err error) {
		return x, rows.Scan(&x.api, &x.n)
	}, id)
	for _, x := range rows {
		out[x.api] = x.n
	}
	return out, err
}

// Runs lists the stored runs, the youngest first.
func (s *Store) Runs(ctx context.Context) ([]Run, error) {
	runs, err := query(ctx, s.db, `SELECT id, recipe, version, verify, refs, started_at, finished_at FROM runs ORDER BY started_at DESC, id`, scanRun)
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	for i := range runs {
		if err := s.count(ctx, &runs[i]); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// Open lists the runs that are not finished, the oldest first.
func (s *Store) Open(ctx context.Context) ([]Run, error) {
	runs, err := query(ctx, s.db, `SELECT id, recipe, version, verify, refs, started_at, finished_at FROM runs WHERE finished_at IS NULL ORDER BY started_at, id`, scanRun)
	if err != nil {
		return nil, fmt.Errorf("looking for open runs: %w", err)
	}
	return runs, nil
}

// Find returns the run of an id or of its beginning, or the youngest one for "".
func (s *Store) Find(ctx context.Context, id string) (Run, error) {
	runs, err := query(ctx, s.db, `SELECT id, recipe, version, verify, refs, started_at, finished_at FROM runs
		WHERE substr(id, 1, length($1)) = $1 ORDER BY started_at DESC, id LIMIT 2`, scanRun, id)
	switch {
	case err != nil:
		return Run{}, fmt.Errorf("looking for run %q: %w", id, err)
	case len(runs) == 0:
		return Run{}, fmt.Errorf("run %q: %w", id, ErrNoRun)
	case len(runs) > 1 && id != "" && runs[0].ID != id && runs[1].ID != id:
		return Run{}, fmt.Errorf("run %q: several begin so", id)
	}
	return runs[0], s.count(ctx, &runs[0])
}

func scanRun(rows *sql.Rows) (r Run, err error) {
	var refs string
	var started int64
	var finished sql.NullInt64
	if err = rows.Scan(&r.ID, &r.Recipe, &r.Version, &r.Verify, &refs, &started, &finished); err != nil {
		return r, err
	}
	r.StartedAt = time.UnixMilli(started).UTC()
	if finished.Valid {
		r.FinishedAt = time.UnixMilli(finished.Int64).UTC()
	}
	return r, json.Unmarshal([]byte(refs), &r.Refs)
}

// count fills in how many targets a run has of each status. One in parts has the worst of theirs, as in the report.
func (s *Store) count(ctx context.Context, r *Run) error {
	type row struct {
		status string
		n      int
	}
	rows, err := query(ctx, s.db, `SELECT status, count(*) FROM (SELECT CASE
			WHEN min(status) = '' THEN '' WHEN sum(CASE status WHEN 'failed' THEN 1 ELSE 0 END) > 0 THEN 'failed' WHEN sum(CASE status WHEN 'partial' THEN 1 ELSE 0 END) > 0 THEN 'partial'
			WHEN sum(CASE status WHEN 'scanned' THEN 1 ELSE 0 END) > 0 THEN 'scanned' ELSE min(status) END AS status FROM targets WHERE run = $1 GROUP BY name) AS t GROUP BY status`,
		func(rows *sql.Rows) (x row, err error) { return x, rows.Scan(&x.status, &x.n) }, r.ID)
	if err != nil {
		return fmt.Errorf("counting the targets of run %s: %w", r.ID, err)
	}
	r.Targets = map[string]int{}
	for _, x := range rows {
		r.Targets[x.status] = x.n
	}
	return nil
}

// query collects rows.
func query[T any](ctx context.Context, db *sql.DB, text string, scan func(*sql.Rows) (T, error), args ...any) (out []T, err error) {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

func collect[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) (out []T, err error) {
	for x, err := range walk(rows, scan) {
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// each yields rows as they come.
func each[T any](ctx context.Context, db *sql.DB, text string, scan func(*sql.Rows) (T, error), args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		rows, err := db.QueryContext(ctx, text, args...)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		walk(rows, scan)(yield)
	}
}

// walk yields rows, and closes them.
func walk[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
		for rows.Next() {
			x, err := scan(rows)
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(x, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(none, err)
		}
	}
}
