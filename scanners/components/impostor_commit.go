package components

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var impostorCommit = rule{
	Rule: audit.Rule{
		ID: "impostor-commit", Title: "Commit is on no branch or tag of that repository", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 345,
		Help: known.Help(`
GitHub keeps the objects of a repository and all of its forks together, and hands out a fork's commit under the repository's name. Whoever has you name such a commit, in a
pull request that seems to update an action, runs their own code in your job, and the name before the @ is somebody's whom you trust. Gitea hands out commits of pull requests like that.`, `
- uses: acme/build@89abcdef0123456789abcdef0123456789abcdef # v2.1.0, of a fork of acme/build`, `
- uses: acme/build@0123456789abcdef0123456789abcdef01234567 # v2.1.0, of acme/build itself`, `
a branch or tag of the repository leads to the commit, or that could not be found out, which is a gap. A commit of a branch that was deleted without being merged is one, too:
nobody can tell any more whose it was. It is only looked for with --online.`),
		Fix: []string{
			"Look at the commit: whose it is, and what it changes",
			"Name the commit of a release that the repository has, and treat what jobs held that ran this one as stolen if it was not the owner's",
		},
	},
	judge: func(u *use, say func(problem)) {
		if what := impostor(u.meaning); what != "" {
			say(problem{evidence: by(append(slices.Clone(u.through), u.Told())) + ": " + what})
		}
		for _, p := range u.parts(false) {
			if p.Meaning == nil {
				continue
			}
			if what := impostor(p.Meaning); what != "" {
				chain := append(append(append(slices.Clone(u.through), u.Text), p.Through...), p.Told())
				say(problem{name: p.Text, evidence: by(chain) + ": " + what})
			}
		}
	},
}

func impostor(m *resolve.Meaning) string {
	switch m.Reachable {
	case resolve.Unreachable:
		return fmt.Sprintf("no branch or tag of %s leads to this commit, although its server hands it out: it is of a fork, or of a branch that is gone", m.Repository)
	case resolve.Missing:
		return fmt.Sprintf("%s does not have this commit", m.Repository)
	}
	return ""
}
