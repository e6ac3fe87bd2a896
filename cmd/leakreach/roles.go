package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
)

// maxRoles bounds what the jobs of a run can become: of each role that lets an organisation in, there are as many ways as it has jobs.
const maxRoles = 100_000

// trustingRoles tell which roles of accounts the jobs of a run can become by their own identity.
type trustingRoles struct {
	world *iam.World
	gaps  []audit.Gap // what is not known of the accounts
}

var _ audit.Resolver = (*trustingRoles)(nil)

// Resolve implements [audit.Resolver].
func (r *trustingRoles) Resolve(ctx context.Context, holdings iter.Seq[audit.Holding]) iter.Seq2[audit.Entry, error] {
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
		mints, told := access.Mints(), 0
		for _, role := range r.world.Identities() {
			if ctx.Err() != nil {
				yield(audit.Entry{}, ctx.Err())
				return
			}
			var g graph.Graph // which nobody asks for
			var jobs []graph.Federated
			for _, f := range r.world.Federations(role) {
				in, _ := g.Federate(r.world, &f, mints)
				jobs = append(jobs, in...)
			}
			for _, e := range graph.Roles(role, r.world.Reach(role), jobs) {
				if told++; told > maxRoles {
					yield(audit.Entry{}, &audit.Gap{Target: e.Target, What: "roles that jobs can become", Why: fmt.Sprintf("after %d of the run's, those from %s on are left out", maxRoles, role.ARN)})
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
