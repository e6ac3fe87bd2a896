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
it holds no secrets, has reviewers, or allows only protected branches, of which there are some, or selected ones, by patterns with more in
them than wildcards. With a rule of an app alone it is medium: what the app
checks is not known.`),
		Fix: []string{
			"Limit its deployment branches to those that are protected",
			"Require reviewers who did not start the deployment",
		},
	},
	of: audit.KindEnvironment,
	judge: func(p *place, e *audit.Entry) verdict {
		held := p.heldBy(e)
		branches := ""
		switch {
		case e.Facts["branches"] == "all":
			branches = "any branch may deploy to it"
		case e.Facts["branches"] == "selected" && slices.ContainsFunc(listed(e, "branch_policies"), isForAll):
			branches = "any branch may deploy to it that is named to fit (branch_policies=" + e.Facts["branch_policies"] + ")"
		case e.Facts["branches"] == "protected" && p.protectsNone():
			branches = "only protected branches may deploy to it, but as none is protected, any may"
		}
		if branches == "" || isReviewed(e) || len(held) == 0 {
			return fine
		}
		v := verdict{evidence: branches + ", nobody reviews, and it holds " + strings.Join(held, ", ")}
		if apps := e.Facts["custom_rules"]; apps != "" {
			v.evidence, v.severity = v.evidence+"; "+apps+" decides", audit.Medium
		}
		return v
	},
}

// isForAll tells whether a pattern for branches keeps nobody out, as it has nothing but wildcards.
func isForAll(pattern string) bool { return pattern != "" && strings.Trim(pattern, "*/") == "" }

// protectsNone tells whether surely no branch of a repository is protected. Then GitHub takes all of them for those that an environment lets in
// (docs.github.com, "Deployment branches and tags").
func (p *place) protectsNone() bool {
	return p.protectionKnown() && !slices.ContainsFunc(p.entries[audit.KindProtection], func(e *audit.Entry) bool { return e.Facts["target"] == "branch" && e.Facts["enforcement"] == "active" })
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
