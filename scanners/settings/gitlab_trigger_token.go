package settings

import "github.com/leakreach/leakreach/audit"

var gitlabTriggerToken = rule{
	Rule: audit.Rule{
		ID: "gitlab-trigger-token", Title: "Trigger token that nobody uses", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 324,
		Help: help(`
A trigger token starts pipelines in the name of whoever made it, on any branch, with variables that the caller chooses. Such tokens lie in
other systems' configuration, often in an address, and are forgotten there.`, `
trigger token nightly-from-jenkins   last used: 2 years ago`, `
(revoked) and a multi-project pipeline with CI_JOB_TOKEN, or a schedule`, `
it was used in the last 90 days and has an end, or is revoked.`),
		Fix: []string{
			"Revoke it",
			"Start pipelines of other projects with CI_JOB_TOKEN",
		},
	},
	of: audit.KindToken,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || e.Facts["type"] != "trigger" {
			return fine
		}
		return p.tokenLife(e)
	},
}
