package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/leakreach/leakreach/audit"
)

// A Holding is what a run has of one target.
type Holding struct {
	Target    string
	Parts     []audit.Coverage
	Inventory []audit.Entry
	Findings  []audit.Finding // those of secrets
	Gaps      []audit.Gap
}

// Holdings yields what a run has of each target, in the order of their names' bytes. What it holds in memory is one of them.
func (s *Store) Holdings(ctx context.Context, run string) iter.Seq2[Holding, error] {
	type row struct {
		target    string
		sort      int // which of the four
		key, text string
	}
	// One query, as a database in a file has one connection.
	rows := each(ctx, s.db, s.sql(`SELECT target, sort, key, text FROM (
			SELECT name AS target, 0 AS sort, part AS key, coverage AS text FROM targets WHERE run = $1 AND coverage <> ''
			UNION ALL SELECT target, 1, '', doc FROM notes WHERE run = $1 AND kind = 'entry'
			UNION ALL SELECT target, 2, identity, doc FROM findings WHERE run = $1 AND kind <> ''
			UNION ALL SELECT target, 3, what, why FROM gaps WHERE run = $1
		) AS all_of_it ORDER BY target {bytes}, sort, key {bytes}, text {bytes}`),
		func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.target, &r.sort, &r.key, &r.text) }, run)
	return func(yield func(Holding, error) bool) {
		var h Holding
		have := false
		for r, err := range rows {
			if err == nil && have && r.target != h.Target {
				if !yield(h, nil) {
					return
				}
				have = false
			}
			if !have {
				h, have = Holding{Target: r.target}, true
			}
			if err == nil {
				switch r.sort {
				case 0:
					err = decode(r.text, &h.Parts)
				case 1:
					err = decode(r.text, &h.Inventory)
				case 2:
					var x stored
					err = json.Unmarshal([]byte(r.text), &x)
					h.Findings = append(h.Findings, x.Finding)
				case 3:
					h.Gaps = append(h.Gaps, audit.Gap{Target: r.target, What: r.key, Why: r.text})
				}
			}
			if err != nil {
				yield(Holding{}, fmt.Errorf("reading what was found: %w", err))
				return
			}
		}
		if have {
			yield(h, nil)
		}
	}
}

// decode adds what a document has to a list.
func decode[T any](doc string, list *[]T) error {
	*list = append(*list, *new(T))
	return json.Unmarshal([]byte(doc), &(*list)[len(*list)-1])
}

// Result reads again what came of scanning a part of a target in an earlier run. It fails if that is no longer there in the same state.
func (s *Store) Result(ctx context.Context, tx *sql.Tx, target string, part audit.Part, past Past) (r Result, err error) {
	var coverage string
	err = tx.QueryRowContext(ctx, `SELECT coverage, halves, beside FROM targets WHERE run = $1 AND name = $2 AND part = $3 AND state = $4`, past.Run, target, string(part), past.State).
		Scan(&coverage, &r.Halves, &r.Beside)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoRun // it was removed since
	}
	if err == nil {
		err = json.Unmarshal([]byte(coverage), &r.Coverage)
	}
	of := []any{past.Run, target, string(part)}
	if err == nil {
		r.Findings, err = within(ctx, tx, `SELECT identity, doc FROM findings WHERE run = $1 AND target = $2 AND part = $3`, scanFinding, of...)
	}
	if err == nil {
		r.Gaps, err = within(ctx, tx, `SELECT target, what, why, again FROM gaps WHERE run = $1 AND target = $2 AND part = $3`, scanGap, of...)
	}
	if err == nil {
		_, err = within(ctx, tx, `SELECT kind, doc FROM notes WHERE run = $1 AND target = $2 AND part = $3`, func(rows *sql.Rows) (_ struct{}, err error) {
			var kind, doc string
			if err = rows.Scan(&kind, &doc); err != nil {
				return
			}
			if kind == "entry" {
				return struct{}{}, decode(doc, &r.Inventory)
			}
			return struct{}{}, decode(doc, &r.Silencers)
		}, of...)
	}
	if err != nil {
		return Result{}, fmt.Errorf("reading what was found in %s in run %s: %w", target, past.Run, err)
	}
	r.Part = part
	return r, nil
}

// within collects rows as a transaction sees them.
func within[T any](ctx context.Context, tx *sql.Tx, text string, scan func(*sql.Rows) (T, error), args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}
