package settings

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var branchUnprotected = rule{
	Rule: audit.Rule{
		ID: "github-branch-unprotected", Title: "Default branch takes direct pushes", Category: audit.CategorySetting, Severity: audit.High, CWE: 862,
		Help: help(`
Whoever may write pushes to it, alone: a stolen token or laptop of any member changes what releases are built from and what the workflows of that
branch do with their secrets. Nobody else looks at it, and history can be rewritten so that nothing is seen afterwards.`, `
main   no branch protection rule, no ruleset of the repository, its organisation or its enterprise`, `
ruleset for ~DEFAULT_BRANCH, active
  require a pull request before merging: 1 approval
  block force pushes, restrict deletions`, `
an active rule demands a pull request, checks or a merge queue, or names who may push; the repository is archived; or protections could not be read, which
a gap says. It is medium where a rule protects the branch from something else alone, such as its deletion, or where no job holds anything.`),
		Fix: []string{
			"Demand pull requests with a review for the default branch, best by one ruleset for all repositories",
			"Block force pushes and deletions in the same rule",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		branch := e.Facts["default_branch"]
		if p.isHolder() || branch == "" || e.Facts["archived"] != "false" || !p.protectionKnown() {
			return fine
		}
		other := "" // a rule for the branch, which lets pushes pass
		for _, r := range p.entries[audit.KindProtection] {
			switch {
			case !protects(r, branch):
			case stopsPushes(r):
				return fine
			default:
				other = r.Name + " (" + r.Facts["rules"] + ")"
			}
		}
		if other != "" {
			return verdict{evidence: "whoever may write pushes to " + branch + " without review: " + other + " forbids something else alone", severity: audit.Medium}
		}
		v := verdict{evidence: "whoever may write pushes to " + branch + " without review: no ruleset and no branch protection covers it"}
		if r := p.reading(); r.known && !r.any && len(r.names) == 0 && r.mints == "" {
			v.evidence, v.severity = v.evidence+"; no job holds a secret or an identity", audit.Medium
		}
		return v
	},
}

// protectionKnown tells whether all rules for a repository's branches were listed.
func (p *place) protectionKnown() bool {
	facts := p.settings()
	return p.forge == "github" && facts != nil && p.coverage.Status != audit.Failed && !p.leftOut(audit.SourceSettings) &&
		!strings.Contains(facts["not_asked"], "protection of branches") &&
		!slices.ContainsFunc(p.gaps, func(g audit.Gap) bool {
			return slices.ContainsFunc([]string{"protect", "ruleset"}, func(word string) bool { return strings.Contains(g.What, word) })
		})
}

// protects tells whether a rule is in force for a repository's default branch. One whose patterns are not all known is taken to be.
func protects(r *audit.Entry, branch string) bool {
	if r.Facts["of"] == "tag" || cmp.Or(r.Facts["target"], "branch") != "branch" || cmp.Or(r.Facts["enforcement"], "active") != "active" {
		return false
	}
	refs := listed(r, "refs")
	return (len(refs) == 0 || slices.Contains(refs, "…") || pipeline.Covers(refs, branch, true)) && !pipeline.Covers(listed(r, "excluded"), branch, true)
}

// stopsPushes tells whether a rule lets nobody push whom it does not name, or nothing that was not checked before.
func stopsPushes(r *audit.Entry) bool {
	return r.Facts["push"] != "" || slices.ContainsFunc(listed(r, "rules"), func(kind string) bool {
		return slices.Contains([]string{"pull_request", "update", "lock_branch", "required_status_checks", "merge_queue", "required_deployments", "workflows", "code_scanning", "…"}, kind)
	})
}
