package settings

import "github.com/leakreach/leakreach/audit"

var actionsUnrestricted = rule{
	Rule: audit.Rule{
		ID: "github-actions-unrestricted", Title: "Any action may run", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 829,
		Help: help(`
Each action is somebody's code beside your secrets. Without a list, or the demand for full commit hashes, any workflow can bring in any of
them, and a tag that was moved runs at once.`, `
Actions permissions: Allow all actions and reusable workflows`, `
Actions permissions: Allow acme, and select non-acme, actions; require actions to be pinned to a full-length commit SHA`, `
only chosen actions are allowed, full hashes are required, or Actions are switched off. Of a repository nothing is said where its
organisation allows all, which is to be changed first.`),
		Fix: []string{
			"Allow only the actions that you know",
			"Require full-length commit hashes",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		pinned := e.Facts["sha_pinning_required"]
		off := e.Facts["actions"] == "none" || e.Facts["actions"] == "false"
		if e.Facts["allowed_actions"] != "all" || pinned == "true" || off || p.inherits("allowed_actions", "all") {
			return fine
		}
		if pinned == "" {
			return verdict{evidence: "all actions are allowed (allowed_actions=all); whether full hashes are required is not known"}
		}
		return verdict{evidence: "all actions are allowed, and no full hashes required (allowed_actions=all, sha_pinning_required=false)"}
	},
}
