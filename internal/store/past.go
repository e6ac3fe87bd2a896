package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

// A Past is the youngest scan of a target, or of a part of it, whose rows hold as long as the provider knows it by the same state.
type Past struct {
	Run   string
	State string
}

// Past looks among earlier runs for what a run may carry over; rules and beside are those that the result would have.
func (s *Store) Past(ctx context.Context, run, target string, part audit.Part, rules, beside string) (p Past, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT t.run, t.state FROM targets t JOIN runs r ON r.id = t.run
		WHERE t.name = $1 AND t.part = $2 AND t.run <> $3 AND t.state <> '' AND t.beside = $4 AND t.rules = $5
		ORDER BY r.started_at DESC LIMIT 1`, target, string(part), run, beside, rules).Scan(&p.Run, &p.State)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Past{}, fmt.Errorf("looking for an earlier scan of %s: %w", target, err)
	}
	return p, nil
}

// Carry settles a target, or a part of it, with all that its past has, and returns the findings among that.
func (s *Store) Carry(ctx context.Context, tx *sql.Tx, run, target string, part audit.Part, past Past, state string) ([]Finding, error) {
	_, err := tx.ExecContext(ctx, `UPDATE targets SET status = p.status, coverage = p.coverage, failure = p.failure, halves = p.halves, beside = p.beside, rules = p.rules, state = $1
		FROM (SELECT * FROM targets WHERE run = $2 AND name = $3 AND part = $4) AS p WHERE targets.run = $5 AND targets.name = $3 AND targets.part = $4`,
		state, past.Run, target, string(part), run)
	for table, columns := range map[string]string{"gaps": "what, why, again", "findings": "identity, kind, doc", "notes": "kind, doc"} {
		for _, text := range []string{
			`DELETE FROM ` + table + ` WHERE run = $1 AND target = $2 AND part = $3 AND run <> $4`,
			`INSERT INTO ` + table + ` (run, target, part, ` + columns + `) SELECT $1, target, part, ` + columns + ` FROM ` + table + ` WHERE run = $4 AND target = $2 AND part = $3`,
		} {
			if err == nil {
				_, err = tx.ExecContext(ctx, text, run, target, string(part), past.Run)
			}
		}
	}
	if err == nil { // Last, as each statement may see another state of the database: what is there now was there all along.
		var n int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM targets WHERE run = $1 AND name = $2 AND part = $3 AND state = $4`, past.Run, target, string(part), past.State).Scan(&n)
		if err == nil && n == 0 {
			err = fmt.Errorf("run %s: %w", past.Run, ErrNoRun) // it was removed since
		}
	}
	var found []Finding
	if err == nil {
		found, err = within(ctx, tx, `SELECT identity, doc FROM findings WHERE run = $1 AND target = $2 AND part = $3`, scanFinding, run, target, string(part))
	}
	if err != nil {
		return nil, fmt.Errorf("carrying over what was found in %s: %w", target, err)
	}
	return found, nil
}
