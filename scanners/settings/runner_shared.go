package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var runnerSharedAcrossTrust = rule{
	Rule: audit.Rule{
		ID: "runner-shared-across-trust", Title: "Secrets and outsiders meet on one runner", Category: audit.CategoryRunner, Severity: audit.High, CWE: 668,
		Help: help(`
A stranger's pull request and a job that holds secrets run on the same machine, one after the other. What the first one leaves there (a
process, a hook, a changed tool) reads the secrets of the second.`, `
runner build-1: pull requests of acme/site (public) and the deployment of acme/api`, `
runner group public: ephemeral runners, acme/site
runner group deploy: acme/api`, `
the runner is ephemeral, or its group keeps it from one of the two.`),
		Fix: []string{
			"Take public repositories out of the runner's group",
			"Use ephemeral runners for whatever strangers can start",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		of := p.below.runners[e]
		if e.Facts["ephemeral"] != "false" || of == nil || of.outsiders == "" || of.secrets == "" {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("not ephemeral; strangers can start jobs on it (%s), and jobs with secrets run on it (%s)", of.outsiders, of.secrets)}
	},
}
