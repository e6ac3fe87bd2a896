package settings

import (
	"cmp"

	"github.com/leakreach/leakreach/audit"
)

var runnerGroupOpen = rule{
	Rule: audit.Rule{
		ID: "runner-group-open", Title: "Runner group offered too widely", Category: audit.CategoryRunner, Severity: audit.High, CWE: 668,
		Help: help(`
Jobs run what is in the repository, and with pull requests what strangers put there. A self-hosted runner stands in your network, with your
credentials and what the last job left behind. A group decides which repositories' jobs it takes.`, `
group default: all repositories, public repositories allowed`, `
group deploy: selected repositories (2), no public ones, workflow acme/ci/.github/workflows/deploy.yml@refs/heads/main only`, `
the group has no runners, is for selected repositories without public ones, or takes the jobs of named workflows only. Open to all private
repositories it is medium.`),
		Fix: []string{
			"Do not allow public repositories",
			"Choose the repositories that may use the group, and the workflows where possible",
			"Use ephemeral runners",
		},
	},
	of: audit.KindRunnerGroup,
	judge: func(p *place, e *audit.Entry) verdict {
		runners := ""
		if n := e.Facts["runners"]; n != "" {
			runners = ", runners: " + n
		}
		switch {
		case e.Facts["runners"] == "0" || e.Facts["restricted_to_workflows"] == "true":
			return fine
		case e.Facts["public_repositories"] == "true":
			return verdict{evidence: "public repositories may use it (visibility " + cmp.Or(e.Facts["visibility"], "not known") + runners + ")"}
		case e.Facts["visibility"] == "all":
			return verdict{evidence: "all repositories may use it, and any workflow" + runners, severity: audit.Medium}
		case e.Facts["visibility"] == "private":
			return verdict{evidence: "all private repositories may use it, and any workflow" + runners, severity: audit.Medium}
		}
		return fine
	},
}
