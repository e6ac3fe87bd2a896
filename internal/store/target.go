package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A Result is all that came of scanning one target, or one part of it.
type Result struct {
	Coverage  audit.Coverage // names the target
	Part      audit.Part
	Rules     string // a digest of all that decided what was found
	State     string // that the provider named, if all was listed; "" where none can be told
	Halves    string // see Halves
	Beside    string // Halves of the target's other parts, which its own findings were joined with
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

	Public map[string]string `json:"public,omitempty"` // parts of the secret that are none
}

func toStore(f Finding) stored {
	s := stored{Finding: f.Finding, Whole: f.Whole, ValueDigest: f.ValueDigest, TokenDigest: f.TokenDigest}
	if f.Secret != nil {
		s.Public = f.Secret.Public()
	}
	return s
}

// parts are those that a target is read in.
func parts(t audit.Target) []audit.Part {
	if len(t.Parts) == 0 {
		return []audit.Part{""}
	}
	return t.Parts
}

// AddTargets notes targets that are to be scanned, and returns those that the run did not have, each once for every part.
func (s *Store) AddTargets(ctx context.Context, tx *sql.Tx, run string, ref int, targets []audit.Target) (added []audit.Target, err error) {
	var all []audit.Target
	for _, t := range targets {
		for _, t.Part = range parts(t) {
			all = append(all, t)
		}
	}
	const at = 100 // once: a round trip to a database far away takes as long as adding so many
	for some := range slices.Chunk(all, at) {
		text := `INSERT INTO targets (run, name, part, ref, doc) VALUES `
		var args []any
		for _, t := range some {
			doc, err := json.Marshal(t)
			if err != nil {
				return nil, err
			}
			n := len(args)
			text += fmt.Sprintf("($%d, $%d, $%d, $%d, $%d), ", n+1, n+2, n+3, n+4, n+5)
			args = append(args, run, t.Name, string(t.Part), ref, string(doc))
		}
		type key struct{ name, part string }
		fresh := map[key]bool{}
		found, err := tx.QueryContext(ctx, strings.TrimSuffix(text, ", ")+` ON CONFLICT DO NOTHING RETURNING name, part`, args...)
		var keys []key
		if err == nil {
			keys, err = collect(found, func(rows *sql.Rows) (k key, err error) { return k, rows.Scan(&k.name, &k.part) })
		}
		if err != nil {
			return nil, fmt.Errorf("adding targets: %w", err)
		}
		for _, k := range keys {
			fresh[k] = true
		}
		for _, t := range some {
			if k := (key{t.Name, string(t.Part)}); fresh[k] {
				added = append(added, t)
				delete(fresh, k) // a listing may have one twice
			}
		}
	}
	return added, nil
}

// Target returns a target of a run, as its part is listed, and the index of the ref it belongs to.
func (s *Store) Target(ctx context.Context, run, name string, part audit.Part) (t audit.Target, ref int, err error) {
	var doc string
	if err := s.db.QueryRowContext(ctx, `SELECT ref, doc FROM targets WHERE run = $1 AND name = $2 AND part = $3`, run, name, string(part)).Scan(&ref, &doc); err != nil {
		return t, 0, fmt.Errorf("looking for %s: %w", name, err)
	}
	return t, ref, json.Unmarshal([]byte(doc), &t)
}

// Cursor is where the listing of a ref's targets goes on; "" at its start.
func (s *Store) Cursor(ctx context.Context, run string, ref int) (cursor string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT cursor FROM cursors WHERE run = $1 AND ref = $2`, run, ref).Scan(&cursor)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("looking for the place in a listing: %w", err)
	}
	return cursor, nil
}

// SetCursor notes where the listing of a ref's targets goes on.
func (s *Store) SetCursor(ctx context.Context, tx *sql.Tx, run string, ref int, cursor string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO cursors (run, ref, cursor) VALUES ($1, $2, $3) ON CONFLICT (run, ref) DO UPDATE SET cursor = excluded.cursor`, run, ref, cursor)
	if err != nil {
		return fmt.Errorf("noting the place in a listing: %w", err)
	}
	return nil
}

// Settle stores what came of scanning a target, or a part of it, in place of what an earlier attempt left.
func (s *Store) Settle(ctx context.Context, tx *sql.Tx, run string, r Result) error {
	name, part := r.Coverage.Target, string(r.Part)
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
	failure := ""
	if r.Failure != nil {
		failure = document(r.Failure)
	}
	exec(`UPDATE targets SET status = $1, coverage = $2, failure = $3, rules = $4, state = $5, halves = $6, beside = $7 WHERE run = $8 AND name = $9 AND part = $10`,
		string(r.Coverage.Status), string(coverage), failure, r.Rules, r.State, r.Halves, r.Beside, run, name, part)
	for _, table := range []string{"gaps", "findings", "notes"} {
		exec(`DELETE FROM `+table+` WHERE run = $1 AND target = $2 AND part = $3`, run, name, part)
	}
	for _, g := range r.Gaps {
		exec(`INSERT INTO gaps (run, target, part, what, why, again) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, run, name, part, plain(g.What), plain(g.Why), g.Again)
	}
	for _, f := range r.Findings {
		kind := ""
		if f.Secret != nil {
			kind = f.Secret.Kind
		}
		exec(`INSERT INTO findings (run, identity, target, part, kind, doc) VALUES ($1, $2, $3, $4, $5, $6)`, run, f.Identity, name, part, kind,
			document(toStore(f)))
	}
	for _, e := range r.Inventory {
		exec(`INSERT INTO notes (run, target, part, kind, doc) VALUES ($1, $2, $3, 'entry', $4)`, run, name, part, document(e))
	}
	for _, x := range r.Silencers {
		exec(`INSERT INTO notes (run, target, part, kind, doc) VALUES ($1, $2, $3, 'silencer', $4)`, run, name, part, document(x))
	}
	if err != nil {
		return fmt.Errorf("storing what was found in %s: %w", name, err)
	}
	return nil
}

// Findings yields a run's findings, those of one identity together: all, or those of secrets of these kinds.
func (s *Store) Findings(ctx context.Context, run string, kinds ...string) iter.Seq2[Finding, error] {
	text, args := `SELECT identity, doc FROM findings WHERE run = $1`, []any{run}
	if len(kinds) > 0 {
		var list []string
		for _, k := range kinds {
			args = append(args, k)
			list = append(list, "$"+strconv.Itoa(len(args)))
		}
		text += ` AND kind IN (` + strings.Join(list, ", ") + `)`
	}
	return each(ctx, s.db, text+` ORDER BY identity, target, part`, scanFinding, args...)
}

func scanFinding(rows *sql.Rows) (Finding, error) { return scanFindingAfter(rows) }

// scanFindingAfter reads a row of which a finding's columns are the last.
func scanFindingAfter(rows *sql.Rows, first ...any) (f Finding, err error) {
	var doc string
	if err := rows.Scan(append(first, &f.Identity, &doc)...); err != nil {
		return f, err
	}
	var x stored
	err = json.Unmarshal([]byte(doc), &x)
	f.Finding, f.Whole, f.ValueDigest, f.TokenDigest = x.Finding, x.Whole, x.ValueDigest, x.TokenDigest
	if f.Secret != nil {
		for name, value := range x.Public {
			f.Secret.SetPart(name, value)
		}
	}
	return f, err
}

// plain is what both databases take for text: PostgreSQL wants UTF-8, without NUL.
func plain(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

// listing stands in place of a part for gaps that a listing of targets showed: scanning a target does not replace them.
const listing = "listing"

// Note stores gaps that the listing of targets showed.
func (s *Store) Note(ctx context.Context, tx *sql.Tx, run string, gaps ...audit.Gap) error {
	for _, g := range gaps {
		if _, err := tx.ExecContext(ctx, `INSERT INTO gaps (run, target, part, what, why) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, run, plain(g.Target), listing, plain(g.What), plain(g.Why)); err != nil {
			return fmt.Errorf("storing a gap: %w", err)
		}
	}
	return nil
}

// A Row is a part of a target as far as it was scanned.
type Row struct {
	Ref      int
	Name     string
	Part     audit.Part
	Coverage audit.Coverage // zero if it was not scanned
	Failure  *Failure
	Halves   string
}

// Targets lists a run's targets, the parts of one together.
func (s *Store) Targets(ctx context.Context, run string) iter.Seq2[Row, error] {
	return each(ctx, s.db, `SELECT ref, name, part, coverage, failure, halves FROM targets WHERE run = $1 ORDER BY ref, name, part`, scanRow, run)
}

// WithHalves lists those parts of a run's targets, or of one of them, that have halves of credentials in CI variables.
func (s *Store) WithHalves(ctx context.Context, run, target string) ([]Row, error) {
	text, args := `SELECT ref, name, part, coverage, failure, halves FROM targets WHERE run = $1 AND halves <> ''`, []any{run}
	if target != "" { // apart, so that the key finds it: it is asked for each target, and must not look at all
		text, args = text+` AND name = $2`, append(args, target)
	}
	return query(ctx, s.db, text+` ORDER BY name, part`, scanRow, args...)
}

// Apart lists the parts of a run's targets that were scanned before the halves of credentials in another part of the target were known. Those that have
// halves of their own are joined with all others' when the run is settled.
func (s *Store) Apart(ctx context.Context, run string) ([]Row, error) {
	return query(ctx, s.db, `SELECT t.ref, t.name, t.part, t.coverage, t.failure, t.halves FROM targets t JOIN targets o ON o.run = t.run AND o.name = t.name AND o.part <> t.part
		WHERE t.run = $1 AND o.halves <> '' AND t.beside <> o.halves AND t.halves = '' ORDER BY t.name, t.part`, scanRow, run)
}

func scanRow(rows *sql.Rows) (r Row, err error) {
	var coverage, failure string
	if err := rows.Scan(&r.Ref, &r.Name, &r.Part, &coverage, &failure, &r.Halves); err != nil {
		return r, err
	}
	if coverage != "" {
		err = json.Unmarshal([]byte(coverage), &r.Coverage)
	}
	if failure != "" {
		err = errors.Join(err, json.Unmarshal([]byte(failure), &r.Failure))
	}
	return r, err
}

// Holders name the parts of targets in which a secret was found, those first that tell most of it.
func (s *Store) Holders(ctx context.Context, run, identity string) (holders []Row, err error) {
	type found struct {
		in      Row
		details int
	}
	all, err := query(ctx, s.db, `SELECT target, part, identity, doc FROM findings WHERE run = $1 AND identity = $2 AND target <> '' ORDER BY target, part`, func(rows *sql.Rows) (x found, err error) {
		f, err := scanFindingAfter(rows, &x.in.Name, &x.in.Part)
		if f.Secret != nil {
			x.details = f.Secret.Details()
		}
		return x, err
	}, run, identity)
	slices.SortStableFunc(all, func(a, b found) int { return b.details - a.details })
	for _, x := range all {
		holders = append(holders, x.in)
	}
	return holders, err
}

// Secret is a secret of a run without its value, as the finding that knows most of it has it, or nil. tells says which of two secrets says more.
func (s *Store) Secret(ctx context.Context, run, identity string, tells func(s, than *audit.Secret) bool) (secret *audit.Secret, whole bool, err error) {
	for f, err := range each(ctx, s.db, `SELECT identity, doc FROM findings WHERE run = $1 AND identity = $2 ORDER BY target, part`, scanFinding, run, identity) {
		if err != nil {
			return nil, false, fmt.Errorf("reading a secret: %w", err)
		}
		if f.Secret != nil && (secret == nil || f.Whole && !whole || f.Whole == whole && tells(f.Secret, secret)) {
			secret, whole = f.Secret, f.Whole
		}
	}
	return secret, whole, nil
}

// Objects are those in which a part of a target has an identity.
func (s *Store) Objects(ctx context.Context, run string, in Row, identity string) (ids []string, err error) {
	for f, err := range each(ctx, s.db, `SELECT identity, doc FROM findings WHERE run = $1 AND identity = $2 AND target = $3 AND part = $4`, scanFinding, run, identity, in.Name, string(in.Part)) {
		if err != nil {
			return nil, fmt.Errorf("looking where a secret lies: %w", err)
		}
		for _, l := range f.Locations {
			if l.Object != "" && !slices.Contains(ids, l.Object) {
				ids = append(ids, l.Object)
			}
		}
	}
	return ids, nil
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

// Judged tells whether anything was learned of an identity.
func (s *Store) Judged(ctx context.Context, run, identity string) (bool, error) {
	var n int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM verdicts WHERE run = $1 AND identity = $2`, run, identity).Scan(&n); err != nil {
		return false, fmt.Errorf("looking for a verdict: %w", err)
	}
	return n > 0, nil
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
	gaps, err = query(ctx, s.db, `SELECT target, what, why, again FROM gaps WHERE run = $1`, scanGap, run)
	if err != nil {
		return nil, nil, nil, err
	}
	for n, err := range each(ctx, s.db, `SELECT kind, doc FROM notes WHERE run = $1`, func(rows *sql.Rows) (n [2]string, err error) {
		return n, rows.Scan(&n[0], &n[1])
	}, run) {
		if err == nil && n[0] == "entry" {
			err = decode(n[1], &inventory)
		} else if err == nil {
			err = decode(n[1], &silencers)
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return gaps, inventory, silencers, nil
}

func scanGap(rows *sql.Rows) (g audit.Gap, err error) {
	return g, rows.Scan(&g.Target, &g.What, &g.Why, &g.Again)
}
