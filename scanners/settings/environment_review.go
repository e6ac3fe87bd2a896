package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var environmentReview = rule{
	Rule: audit.Rule{
		ID: "github-environment-review", Title: "Approval can be had alone", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
Reviewers are there so that one stolen account is not enough. If whoever starts a deployment may approve it, or an administrator may pass
by, it is.`, `
environment production: reviewers: team release; self-review allowed`, `
environment production: reviewers: team release; prevent self-review; administrators cannot bypass`, `
it holds no secrets or has no reviewers (of that github-environment-open speaks), or self-review is prevented. That administrators may pass
alone is low.`),
		Fix: []string{
			`Switch on "Prevent self-review"`,
			"Do not let administrators bypass the rules",
		},
	},
	of: audit.KindEnvironment,
	judge: func(p *place, e *audit.Entry) verdict {
		held := p.heldBy(e)
		if !isReviewed(e) || len(held) == 0 {
			return fine
		}
		self, bypass := e.Facts["prevent_self_review"] == "false", e.Facts["can_admins_bypass"] == "true"
		secrets := "; it holds " + strings.Join(held, ", ")
		switch {
		case self && bypass:
			return verdict{evidence: "reviewers may approve what they started, and administrators may pass without approval" + secrets}
		case self:
			return verdict{evidence: "reviewers may approve what they started" + secrets}
		case bypass:
			return verdict{evidence: "administrators may pass without approval" + secrets, severity: audit.Low}
		}
		return fine
	},
}
