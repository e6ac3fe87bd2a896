package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
)

// trustingRoles tell which roles of accounts the jobs of a run can become by their own identity.
type trustingRoles struct {
	world *iam.World
	gaps  []audit.Gap // what is not known of the accounts
}

var _ audit.Resolver = (*trustingRoles)(nil)

// Resolve implements [audit.Resolver].
func (r *trustingRoles) Resolve(_ context.Context, holdings iter.Seq[audit.Holding]) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, g := range r.gaps {
			if !yield(audit.Entry{}, &g) {
				return
			}
		}
		run := &audit.Run{}
		for h := range holdings {
			run.Coverage, run.Gaps = append(run.Coverage, h.Coverage), append(run.Gaps, h.Gaps...)
			for _, e := range h.Inventory {
				switch e.Kind {
				case audit.KindJob, audit.KindSettings, audit.KindEnvironment, audit.KindProtection: // what decides which tokens a job has, and who starts it
					run.Inventory = append(run.Inventory, e)
				}
			}
		}
		access, err := graph.NewAccess(run)
		if err != nil {
			yield(audit.Entry{}, err)
			return
		}
		entries, whole := access.Roles(r.world)
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
		if !whole {
			last := entries[len(entries)-1]
			yield(audit.Entry{}, &audit.Gap{Target: last.Target, What: "roles that jobs can become", Why: fmt.Sprintf("of more than %d, those that come after %s are left out", len(entries), last.Name)})
		}
	}
}
