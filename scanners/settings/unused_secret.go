package settings

import (
	"fmt"
	"strconv"

	"github.com/leakreach/leakreach/audit"
)

var unusedSecret = rule{
	Rule: audit.Rule{
		ID: "unused-secret", Title: "No job reads this secret", Category: audit.CategorySetting, Severity: audit.Low, CWE: 1104,
		Help: help(`
A secret that nobody needs can only be lost. It is also the one whose rotation everybody forgets, and the one that nobody would miss in a
log.`, `
OLD_DEPLOY_KEY   visible to 412 repositories, named in no workflow`, `
(deleted, and revoked at its issuer)`, `
a workflow takes all secrets (toJSON(secrets), or secrets: inherit), or a workflow of any repository that can see it could not be read.
Workflows are those of default branches: look for others before deleting it. Secrets of Dependabot, Codespaces and agents are read
elsewhere, and GitLab hands every variable to every job: of those nothing is said.`),
		Fix: []string{
			"Search the other branches for its name",
			"Revoke the credential at its issuer, then delete the secret",
		},
	},
	of: audit.KindSecret,
	judge: func(p *place, e *audit.Entry) verdict {
		if store := e.Facts["store"]; p.forge == "gitlab" || store != "actions" && !(store == "" && p.forge == "gitea") {
			return fine
		}
		if p.isHolder() {
			return p.unusedByAll(e)
		}
		r := p.reading()
		if !r.known || r.any || r.names[e.Name] || e.Scope == "organisation" {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("none of the %d workflows on the default branch takes it", len(p.entries[audit.KindWorkflow]))}
	},
}

// unusedByAll judges a secret of an organisation, once all repositories that can see it were seen.
func (p *place) unusedByAll(e *audit.Entry) verdict {
	of := p.below.secrets[e]
	if of == nil || !p.seenBy(e, of) || of.unknown > 0 || of.reading > 0 {
		return fine
	}
	return verdict{evidence: fmt.Sprintf("no workflow on the default branches of the %d repositories that can see it takes it", of.seen)}
}

// seenBy tells whether all repositories that can see a secret were part of the run.
func (p *place) seenBy(e *audit.Entry, of *readers) bool {
	switch e.Facts["visibility"] {
	case "selected":
		names := listed(e, "repositories")
		return len(names) > 0 && names[len(names)-1] != "…" && of.seen == len(names)
	case "all", "private":
		return p.seenWhole()
	}
	return false
}

// seenWhole tells whether all that lies in it was part of the run.
func (p *place) seenWhole() bool {
	all, err := strconv.Atoi(p.settings()["repositories"])
	return err == nil && all > 0 && p.below.repositories >= all
}
