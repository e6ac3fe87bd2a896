package settings

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
)

var forkApproval = rule{
	Rule: audit.Rule{
		ID: "github-fork-approval", Title: "Strangers' pull requests run unasked", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
A pull request of a stranger runs code of theirs in your workflows. Unless an approval is required of all outside contributors, one accepted
correction of a typing error is enough to run anything ever after.`, `
Approval for running fork pull request workflows: first-time contributors`, `
Approval for running fork pull request workflows: all external contributors`, `
the repository is not public, all outside contributors need approval, or no workflow runs for pull requests. It is info where those only run
on GitHub's own machines.`),
		Fix: []string{
			"Require approval for all external contributors",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		policy := e.Facts["fork_pr_approval"]
		if !p.public() || policy == "" || policy == "all_external_contributors" {
			return fine
		}
		started, own := "", ""
		for _, w := range p.entries[audit.KindWorkflow] {
			if !slices.ContainsFunc(listed(w, "events"), isHeldBack) {
				continue
			}
			started = cmp.Or(started, w.Name)
			if p.persistentFor(w) != "" {
				own = cmp.Or(own, w.Name)
			}
		}
		said := fmt.Sprintf("public, and approval is needed by policy %s only, while", policy)
		switch {
		case own != "":
			return verdict{evidence: fmt.Sprintf("%s %s runs for pull requests on a runner of your own", said, own)}
		case started != "":
			return verdict{evidence: fmt.Sprintf("%s %s runs for pull requests", said, started), severity: audit.Info}
		}
		return fine
	},
}

// isHeldBack tells whether workflows that an event starts wait for the approval. Those of issues and comments, and of pull_request_target, never do
// (docs.github.com, "Approving workflow runs from public forks").
func isHeldBack(event string) bool {
	return event == "pull_request" || event == "pull_request_review" || event == "pull_request_review_comment"
}
