package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var jobLeftovers = rule{
	Rule: audit.Rule{
		ID: "job-leftovers", Title: "Job finds what others left", Category: audit.CategoryRunner, Severity: audit.Medium, CWE: 668,
		Help: help(`
Checkouts of other repositories lie on the job's disk: their code, whatever credential a checkout left in its git configuration, and what
their builds made. This job can also change them, and they are used again.`, `
/opt/runner/_work/web    this job
/opt/runner/_work/shop   another repository's`, `
./config.sh --url https://github.com/acme --token … --ephemeral
or a runner of its own for each repository`, `
the machine is the forge's own, or there are no other checkouts.`),
		Fix: []string{
			"Use runners that take one job and are thrown away",
			"Until then remove the checkouts, and set persist-credentials: false where they are made",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		left := listed(e, "other_repositories")
		if p.forge != jobForge || e.Facts["hosted"] != "false" || len(left) == 0 {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("checkouts of others lie beside the job's, %s first", left[0])}
	},
}
