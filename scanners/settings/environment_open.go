package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var environmentOpen = rule{
	Rule: audit.Rule{
		ID: "github-environment-open", Title: "Environment holds secrets without a wall", Category: audit.CategorySetting, Severity: audit.High, CWE: 284,
		Help: help(`
An environment keeps its secrets from jobs that do not name it, and that is all it does without a rule: a workflow on any branch can name
it. With a branch policy or reviewers, only the branches and people that you chose release them.`, `
environment production: no rules, secrets AWS_ROLE, DB_PASSWORD`, `
environment production: deployment branches: main; required reviewers: team release`, `
it holds no secrets, allows only protected or selected branches, or has reviewers. With a rule of an app alone it is medium: what the app
checks is not known.`),
		Fix: []string{
			"Limit its deployment branches to those that are protected",
			"Require reviewers who did not start the deployment",
		},
	},
	of: audit.KindEnvironment,
	judge: func(p *place, e *audit.Entry) verdict {
		held := p.heldBy(e)
		if e.Facts["branches"] != "all" || isReviewed(e) || len(held) == 0 {
			return fine
		}
		v := verdict{evidence: "any branch may deploy to it, nobody reviews, and it holds " + strings.Join(held, ", ")}
		if apps := e.Facts["custom_rules"]; apps != "" {
			v.evidence, v.severity = v.evidence+"; "+apps+" decides", audit.Medium
		}
		return v
	},
}

func isReviewed(env *audit.Entry) bool {
	return env.Facts["reviewers"] != "" || slices.Contains(listed(env, "protection_rules"), "required_reviewers")
}

// heldBy are the names of an environment's secrets, a few of them.
func (p *place) heldBy(env *audit.Entry) (names []string) {
	for _, e := range p.entries[audit.KindSecret] {
		if e.Scope == "environment "+env.Name {
			if len(names) == 5 {
				return append(names, "…")
			}
			names = append(names, e.Name)
		}
	}
	return names
}
