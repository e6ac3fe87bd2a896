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
	Failure   *Failure // what ended it early, or nil
}

// A Failure is an error as it is stored.
type Failure struct {
	Class string `json:"class"` // of the sentinel errors that decide the exit code: usage, nothing, auth, or ""
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
	Whole bool   `json:"whole,omitempty"` // it ended a ref, whatever was scanned of it
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
	failure := ""
	if r.Failure != nil {
		failure = document(r.Failure)
	}
	exec(`UPDATE targets SET status = $1, coverage = $2, failure = $3 WHERE run = $4 AND name = $5`, string(r.Coverage.Status), string(coverage), failure, run, name)
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

// Note stores gaps of a target, or of a ref that is none.
func (s *Store) Note(ctx context.Context, tx *sql.Tx, run string, gaps ...audit.Gap) error {
	for _, g := range gaps {
		if _, err := tx.ExecContext(ctx, `INSERT INTO gaps (run, target, what, why) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, run, g.Target, g.What, g.Why); err != nil {
			return fmt.Errorf("storing a gap: %w", err)
		}
	}
	return nil
}

// A Row is a target as far as it was scanned.
type Row struct {
	Ref      int
	Name     string
	Coverage audit.Coverage // zero if it was not scanned
	Failure  *Failure
}

// Targets lists a run's targets.
func (s *Store) Targets(ctx context.Context, run string) iter.Seq2[Row, error] {
	return each(ctx, s.db, `SELECT ref, name, coverage, failure FROM targets WHERE run = $1 ORDER BY ref, name`, func(rows *sql.Rows) (r Row, err error) {
		var coverage, failure string
		if err := rows.Scan(&r.Ref, &r.Name, &coverage, &failure); err != nil {
			return r, err
		}
		if coverage != "" {
			err = json.Unmarshal([]byte(coverage), &r.Coverage)
		}
		if failure != "" {
			err = errors.Join(err, json.Unmarshal([]byte(failure), &r.Failure))
		}
		return r, err
	}, run)
}

// Holders are the names of the targets in which an identity was found.
func (s *Store) Holders(ctx context.Context, run, identity string) ([]string, error) {
	return query(ctx, s.db, `SELECT target FROM findings WHERE run = $1 AND identity = $2 ORDER BY target`, func(rows *sql.Rows) (name string, err error) {
		return name, rows.Scan(&name)
	}, run, identity)
}

// A Verdict is what was learned of an identity.
type Verdict struct {
	audit.Verdict
	Reach  *audit.Reach  `json:"reach,omitempty"`  // audit.Verdict's, which no report has there
	Secret *audit.Secret `json:"secret,omitempty"` // as it is since then: the question may have settled which of several values is the right one
}

// SetVerdict stores what was learned of an identity.
func (s *Store) SetVerdict(ctx context.Context, tx *sql.Tx, run, identity string, v Verdict) error {
	doc, err := json.Marshal(v)
	if err == nil {
		_, err = tx.ExecContext(ctx, `INSERT INTO verdicts (run, identity, doc) VALUES ($1, $2, $3) ON CONFLICT (run, identity) DO UPDATE SET doc = excluded.doc`, run, identity, string(doc))
	}
	if err != nil {
		return fmt.Errorf("storing a verdict: %w", err)
	}
	return nil
}

// Verdicts returns what was learned, by identity.
func (s *Store) Verdicts(ctx context.Context, run string) (map[string]Verdict, error) {
	type row struct {
		identity string
		Verdict
	}
	rows, err := query(ctx, s.db, `SELECT identity, doc FROM verdicts WHERE run = $1`, func(rows *sql.Rows) (r row, err error) {
		var doc string
		if err := rows.Scan(&r.identity, &doc); err != nil {
			return r, err
		}
		return r, json.Unmarshal([]byte(doc), &r.Verdict)
	}, run)
	if err != nil {
		return nil, fmt.Errorf("reading verdicts: %w", err)
	}
	out := map[string]Verdict{}
	for _, r := range rows {
		out[r.identity] = r.Verdict
	}
	return out, nil
}

// Report returns what a run has of gaps, inventory and silencers.
func (s *Store) Report(ctx context.Context, run string) (gaps []audit.Gap, inventory []audit.Entry, silencers []audit.Silencer, err error) {
	gaps, err = query(ctx, s.db, `SELECT target, what, why FROM gaps WHERE run = $1`, func(rows *sql.Rows) (g audit.Gap, err error) {
		return g, rows.Scan(&g.Target, &g.What, &g.Why)
	}, run)
	if err != nil {
		return nil, nil, nil, err
	}
	for n, err := range each(ctx, s.db, `SELECT kind, doc FROM notes WHERE run = $1`, func(rows *sql.Rows) (n [2]string, err error) {
		return n, rows.Scan(&n[0], &n[1])
	}, run) {
		if err == nil && n[0] == "entry" {
			inventory = append(inventory, audit.Entry{})
			err = json.Unmarshal([]byte(n[1]), &inventory[len(inventory)-1])
		} else if err == nil {
			silencers = append(silencers, audit.Silencer{})
			err = json.Unmarshal([]byte(n[1]), &silencers[len(silencers)-1])
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return gaps, inventory, silencers, nil
}
