package settings

import "github.com/leakreach/leakreach/audit"

var jobRunnerRegistration = rule{
	Rule: audit.Rule{
		ID: "job-runner-registration", Title: "Job can take its runner's place", Category: audit.CategoryRunner, Severity: audit.High, CWE: 522,
		Help: help(`
The key with which a runner proves itself to its forge can be read by jobs. Whoever has it runs a runner of that name elsewhere and is given
jobs of all that use it, with their secrets, until the runner is removed.`, `
/opt/runner/.credentials_rsaparams   readable by the user that jobs run as`, `
jobs run in containers that do not see the runner's directory
or ./config.sh --url https://github.com/acme --token … --ephemeral, whose key ends with the job`, `
the machine is the forge's own, the runner takes one job, or the job cannot read the key.`),
		Fix: []string{
			"Remove the runner and register it anew, for one job each (--ephemeral)",
			"Or have jobs run in containers, apart from the runner's own files",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != jobForge || e.Facts["hosted"] != "false" || e.Facts["ephemeral"] == "true" || e.Facts["registration_readable"] != "true" {
			return fine
		}
		return verdict{evidence: "the job may read the key by which its forge knows the runner"}
	},
}
