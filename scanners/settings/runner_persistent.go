package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var runnerPersistent = rule{
	Rule: audit.Rule{
		ID: "runner-persistent", Title: "Runner survives its jobs", Category: audit.CategoryRunner, Severity: audit.Medium, CWE: 668,
		Help: help(`
What one job leaves on a runner, the next one finds: files, processes, caches, a changed tool on the path. One bad job can so read the
secrets of all that follow. An ephemeral runner takes one job and is thrown away.`, `
./config.sh --url https://github.com/acme --token …`, `
./config.sh --url https://github.com/acme --token … --ephemeral
or Actions Runner Controller, which starts one for each job`, `
the runner is ephemeral, or that is not known. For a single private repository it is low, as only its own people meet there; for jobs of
several repositories it is high.`),
		Fix: []string{
			"Register runners with --ephemeral, in a machine or container that is new for each job",
			"Until then give each trust level runners and a group of its own",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["ephemeral"] != "false" {
			return fine
		}
		v := verdict{evidence: "it is not ephemeral"}
		of := p.below.runners[e]
		switch {
		case of != nil && of.repositories > 1:
			v.evidence += fmt.Sprintf(", and jobs of %d repositories ask for it", of.repositories)
			v.severity = audit.High
		case !p.isHolder() && p.private() && p.forge != jobForge: // whose runner may be anybody's
			v.evidence += "; only this repository's jobs run on it, which is not public"
			v.severity = audit.Low
		}
		return v
	},
}
