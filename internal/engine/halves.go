package engine

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/riverqueue/river"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// A key's id may lie in a CI variable and its secret in a file, or in a variable of the organisation. The store has no value, so who joins
// halves that another process found, or that an earlier run did, reads once more where they lie. It knows from the store whether there are any.

// at names a part of a target.
type at struct {
	target string
	part   audit.Part
}

// halvesOf says which halves of credentials lie in CI variables, and has a keyed digest of them: what the store keeps. It is "" for none.
func (r *run) halvesOf(loose []scanned) string {
	if len(loose) == 0 {
		return ""
	}
	sorts, ids := map[string]bool{}, map[string]bool{}
	for _, f := range loose {
		sorts[sortOf(f.Finding)] = true
		ids[identity(r.Key, &f.Finding)] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(sorts)), "+") + ":" + r.Key.Digest(slices.Sorted(maps.Keys(ids))...)
}

// The two sorts of halves.
const (
	idHalf    = "id"
	valueHalf = "value"
)

func sortOf(f audit.Finding) string {
	if f.Secret != nil && f.Secret.ID != "" {
		return idHalf
	}
	return valueHalf
}

// beside lists the parts of a target beside one that have halves, as far as they are scanned, and what the store says of those.
func (r *run) beside(ctx context.Context, t audit.Target) (rows []store.Row, halves string, err error) {
	if t.Part == "" {
		return nil, "", nil
	}
	all, err := r.Store.WithHalves(ctx, r.id, t.Name)
	for _, row := range all {
		if row.Part != t.Part {
			rows, halves = append(rows, row), halves+row.Halves
		}
	}
	return rows, halves, err
}

// near returns the halves in some parts of targets. read is what the store says of those that could be read.
func (r *run) near(ctx context.Context, rows []store.Row) (found []scanned, read string, err error) {
	for _, row := range rows {
		some, err := r.looseOf(ctx, row)
		if errors.Is(err, errUnread) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		found, read = append(found, some...), read+row.Halves
	}
	return found, read, nil
}

// errUnread says that halves that were found before could not be read again.
var errUnread = errors.New("halves of credentials could not be read again")

// looseOf returns the halves in a part of a target, and reads it once more if this process has not. Who joins them may complete them.
func (r *run) looseOf(ctx context.Context, row store.Row) ([]scanned, error) {
	known := func() (found []scanned) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return copied(r.loose[at{row.Name, row.Part}])
	}
	if found := known(); found != nil {
		return found, nil
	}
	result, err := r.again(ctx, row, nil)
	if err != nil {
		return nil, err
	}
	if result.Halves != row.Halves {
		return nil, errUnread
	}
	return known(), nil
}

// copied are findings whose secrets can be completed apart from those that they are copies of.
func copied(fs []scanned) (out []scanned) {
	for _, f := range fs {
		if f.Secret != nil {
			f.Secret = f.Secret.Copy()
		}
		out = append(out, f)
	}
	return out
}

// again scans a part of a target that has been scanned before, whole, beside others or alone.
func (r *run) again(ctx context.Context, row store.Row, beside []store.Row) (store.Result, error) {
	t, ref, err := r.Store.Target(ctx, r.id, row.Name, row.Part)
	if err != nil {
		return store.Result{}, err
	}
	result, _, _, err := r.target(ctx, r.refs[ref], t, beside)
	return result, err
}

// againBeside is again beside all other parts of the target.
func (r *run) againBeside(ctx context.Context, row store.Row) (store.Result, error) {
	beside, _, err := r.beside(ctx, audit.Target{Name: row.Name, Part: row.Part})
	if err != nil {
		return store.Result{}, err
	}
	return r.again(ctx, row, beside)
}

// rejoin scans once more what was scanned before the halves beside it were known.
func (r *run) rejoin(ctx context.Context) error {
	rows, err := r.Store.Apart(ctx, r.id)
	if err != nil {
		return err
	}
	for _, row := range rows {
		result, err := r.againBeside(ctx, row)
		if err != nil || ctx.Err() != nil {
			return err
		}
		worse := result.Failure != nil || result.Coverage.Status != audit.Scanned && row.Coverage.Status == audit.Scanned
		if result.Beside == "" || worse { // what there is, is better
			if err := r.unjoined(ctx, row.Name); err != nil {
				return err
			}
			continue
		}
		err = r.add(ctx, river.ClientFromContext[*sql.Tx](ctx), 0, func(tx *sql.Tx) ([]river.InsertManyParams, error) {
			return r.questions(result.Findings), r.Store.Settle(ctx, tx, r.id, result)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unjoined notes that halves of a target were not joined with others.
func (r *run) unjoined(ctx context.Context, target string) error {
	return r.Store.Tx(ctx, func(tx *sql.Tx) error {
		return r.Store.Note(ctx, tx, r.id, audit.Gap{Target: target, What: "halves of credentials in CI variables", Why: "could not be read once more, to be joined with others"})
	})
}

// gatherHalves reads those halves that other processes have found, if there are two that could belong together.
func (r *run) gatherHalves(ctx context.Context) error {
	rows, err := r.Store.WithHalves(ctx, r.id, "")
	if err != nil {
		return err
	}
	sorts := map[string]bool{}
	for _, row := range rows {
		text, _, _ := strings.Cut(row.Halves, ":")
		for sort := range strings.SplitSeq(text, "+") {
			sorts[sort] = true
		}
	}
	if !sorts[idHalf] || !sorts[valueHalf] {
		return nil
	}
	for _, row := range rows {
		_, err := r.looseOf(ctx, row)
		if errors.Is(err, errUnread) && ctx.Err() == nil {
			err = r.unjoined(ctx, row.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
