package engine

import (
	"context"
	"database/sql"
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
		ids[r.identity(&f.Finding)] = true
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

// beside returns the halves that other parts of a target have, as far as those are scanned, and what the store says of them.
func (r *run) beside(ctx context.Context, t audit.Target) (near []scanned, halves string, err error) {
	if t.Part == "" {
		return nil, "", nil
	}
	rows, err := r.Store.WithHalves(ctx, r.id, t.Name)
	for _, row := range rows {
		if err != nil || row.Part == t.Part {
			continue
		}
		halves += row.Halves
		var found []scanned
		found, err = r.looseOf(ctx, row)
		near = append(near, found...)
	}
	return near, halves, err
}

// looseOf returns the halves in a part of a target, and reads it once more if this process has not.
func (r *run) looseOf(ctx context.Context, row store.Row) ([]scanned, error) {
	known := func() ([]scanned, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		found, ok := r.loose[at{row.Name, row.Part}]
		return found, ok
	}
	if found, ok := known(); ok {
		return found, nil
	}
	if _, err := r.again(ctx, row); err != nil {
		return nil, err
	}
	found, _ := known()
	return found, nil
}

// again scans a part of a target that has been scanned before, whole.
func (r *run) again(ctx context.Context, row store.Row) (store.Result, error) {
	t, ref, err := r.Store.Target(ctx, r.id, row.Name, row.Part)
	if err != nil {
		return store.Result{}, err
	}
	near, beside, err := r.beside(ctx, t)
	if err != nil {
		return store.Result{}, err
	}
	result, _ := r.target(ctx, r.refs[ref], t, near)
	result.Beside = beside
	return result, nil
}

// rejoin scans once more what was scanned before the halves beside it were known.
func (r *run) rejoin(ctx context.Context) error {
	rows, err := r.Store.Apart(ctx, r.id)
	if err != nil {
		return err
	}
	for _, row := range rows {
		result, err := r.again(ctx, row)
		if err != nil || ctx.Err() != nil {
			return err
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
		if _, err := r.looseOf(ctx, row); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}
