package settings

import "github.com/leakreach/leakreach/audit"

var actionsApprove = rule{
	Rule: audit.Rule{
		ID: "github-actions-approve", Title: "Workflows may approve pull requests", Category: audit.CategorySetting, Severity: audit.High, CWE: 284,
		Help: help(`
A review that is required before merging is meant to be a second person's. A workflow that may approve gives one itself, so that whoever can
push a branch can merge it.`, `
Allow GitHub Actions to create and approve pull requests: on`, `
Allow GitHub Actions to create and approve pull requests: off
where a bot opens pull requests: a GitHub App of its own, without the right to approve`, `
the setting is off. Of a repository nothing is said where its organisation has it on, which is to be changed first.`),
		Fix: []string{
			"Switch it off, for the organisation first",
			"Let bots that open pull requests use an app of their own",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["approve_pull_requests"] != "true" || p.inherits("approve_pull_requests", "true") {
			return fine
		}
		return verdict{evidence: "workflows may approve pull requests (approve_pull_requests=true)"}
	},
}
