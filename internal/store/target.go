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

// A Result is all that came of scanning one target.
type Result struct {
	Coverage  audit.Coverage // names the target
	Gaps      []audit.Gap
	Findings  []Finding
	Inventory []audit.Entry
	Silencers []audit.Silencer
}

// A Finding is what was found of one identity in one target, or in none where it was put together of several.
type Finding struct {
	Identity string // of the secret, or of the rule and the place
	audit.Finding
	Whole       bool   // the secret has both its halves
	ValueDigest string // keyed, of the private half; "" if it is not known
	TokenDigest string // keyed, of the session token
}

// stored is the form of a finding in the store.
type stored struct {
	Finding     audit.Finding `json:"finding"`
	Whole       bool          `json:"whole,omitempty"`
	ValueDigest string        `json:"value_digest,omitempty"`
	TokenDigest string        `json:"token_digest,omitempty"`
}

// AddTargets notes targets that are to be scanned, and returns those that the run did not have.
func (s *Store) AddTargets(ctx context.Context, tx *sql.Tx, run string, ref int, targets []audit.Target) (added []audit.Target, err error) {
	for _, t := range targets {
		doc, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		done, err := tx.ExecContext(ctx, `INSERT INTO targets (run, name, ref, doc) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, run, t.Name, ref, string(doc))
		if err != nil {
			return nil, fmt.Errorf("adding %s: %w", t.Name, err)
		}
		if n, err := done.RowsAffected(); err != nil {
			return nil, err
		} else if n > 0 {
			added = append(added, t)
		}
	}
	return added, nil
}

// Target returns a target of a run and the index of the ref it belongs to.
func (s *Store) Target(ctx context.Context, run, name string) (t audit.Target, ref int, err error) {
	var doc string
	if err := s.db.QueryRowContext(ctx, `SELECT ref, doc FROM targets WHERE run = $1 AND name = $2`, run, name).Scan(&ref, &doc); err != nil {
		return t, 0, fmt.Errorf("looking for %s: %w", name, err)
	}
	return t, ref, json.Unmarshal([]byte(doc), &t)
}

// Settle stores what came of scanning a target, in place of what an earlier attempt left.
func (s *Store) Settle(ctx context.Context, tx *sql.Tx, run string, r Result) error {
	name := r.Coverage.Target
	coverage, err := json.Marshal(r.Coverage)
	if err != nil {
		return err
	}
	exec := func(text string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, text, args...)
		}
	}
	document := func(v any) string {
		doc, merr := json.Marshal(v)
		err = errors.Join(err, merr)
		return string(doc)
	}
	for _, table := range []string{"gaps", "findings", "notes"} {
		exec(`DELETE FROM `+table+` WHERE run = $1 AND target = $2`, run, name)
	}
	exec(`UPDATE targets SET status = $1, coverage = $2 WHERE run = $3 AND name = $4`, string(r.Coverage.Status), string(coverage), run, name)
	for _, g := range r.Gaps {
		exec(`INSERT INTO gaps (run, target, what, why) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, run, name, g.What, g.Why)
	}
	for _, f := range r.Findings {
		exec(`INSERT INTO findings (run, identity, target, doc) VALUES ($1, $2, $3, $4)`, run, f.Identity, name,
			document(stored{f.Finding, f.Whole, f.ValueDigest, f.TokenDigest}))
	}
	for _, e := range r.Inventory {
		exec(`INSERT INTO notes (run, target, kind, doc) VALUES ($1, $2, 'entry', $3)`, run, name, document(e))
	}
	for _, x := range r.Silencers {
		exec(`INSERT INTO notes (run, target, kind, doc) VALUES ($1, $2, 'silencer', $3)`, run, name, document(x))
	}
	if err != nil {
		return fmt.Errorf("storing what was found in %s: %w", name, err)
	}
	return nil
}

// Findings yields a run's findings, those of one identity together.
func (s *Store) Findings(ctx context.Context, run string) iter.Seq2[Finding, error] {
	return each(ctx, s.db, `SELECT identity, doc FROM findings WHERE run = $1 ORDER BY identity, target`, func(rows *sql.Rows) (f Finding, err error) {
		var doc string
		if err := rows.Scan(&f.Identity, &doc); err != nil {
			return f, err
		}
		var x stored
		err = json.Unmarshal([]byte(doc), &x)
		f.Finding, f.Whole, f.ValueDigest, f.TokenDigest = x.Finding, x.Whole, x.ValueDigest, x.TokenDigest
		return f, err
	}, run)
}
