package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var missingSecret = rule{
	Rule: audit.Rule{
		ID: "missing-secret", Title: "Name resolves to no secret", Category: audit.CategorySetting, Severity: audit.Info, CWE: 684, Confidence: audit.MediumConfidence,
		Help: help(`
The workflow takes a secret that no store has: its value is empty, and the job goes on with it. Often it was renamed or deleted, and what it was for
(a signature, an upload, a check) silently does not happen.`, `
.github/workflows/deploy.yml takes DEPLOY_TOKEN; secrets: DEPLOY_KEY`, `
.github/workflows/deploy.yml takes DEPLOY_KEY; secrets: DEPLOY_KEY`, `
any store of the repository, its environments or its organisation could not be read, the workflow is one that others call and hand secrets to, or the name is
computed.`),
		Fix: []string{"Correct the name, or remove what uses it"},
	},
	of: audit.KindWorkflow,
	judge: func(p *place, e *audit.Entry) verdict {
		if !p.storesKnown() || e.Facts["whole"] != "true" || slices.Contains(listed(e, "events"), "workflow_call") {
			return fine
		}
		var names []string
		for _, name := range listed(e, "secrets") {
			if name != "*" && name != "…" && !p.stores(name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return fine
		}
		return verdict{evidence: "it takes " + strings.Join(names[:min(len(names), 10)], ", ") + ", which no store has"}
	},
}

// leftOut tells whether the run was not asked to look at something.
func (p *place) leftOut(source audit.Sources) bool {
	return slices.Contains(strings.Split(p.coverage.LeftOut, ","), source.String())
}

// storesKnown tells whether all secrets that a repository's jobs can have were listed, its environments' among them.
func (p *place) storesKnown() bool {
	known := p.forge == "github" && !p.isHolder() && p.settings() != nil && !strings.Contains(p.settings()["not_asked"], "secret") && !strings.Contains(p.settings()["not_asked"], "environment")
	for _, o := range append([]*place{p}, p.above...) {
		known = known && !o.partial && !o.leftOut(audit.SourceSecrets) && !o.leftOut(audit.SourceSettings)
	}
	return known
}

// stores tells whether a secret of a name is in any store that a repository's jobs can have it from.
func (p *place) stores(name string) bool {
	for _, o := range append([]*place{p}, p.above...) {
		if slices.ContainsFunc(o.entries[audit.KindSecret], func(e *audit.Entry) bool { return strings.EqualFold(e.Name, name) && (o == p || o.shows(e, p)) }) {
			return true
		}
	}
	return false
}
