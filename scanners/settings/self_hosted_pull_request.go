package settings

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
)

var selfHostedOnPullRequest = rule{
	Rule: audit.Rule{
		ID: "self-hosted-on-pull-request", Title: "Outsiders reach a self-hosted runner", Category: audit.CategoryRunner, Severity: audit.Critical, CWE: 668,
		Help: help(`
Anybody can fork a public repository and open a pull request whose code the workflow then runs, on a machine of yours that stays as it is
afterwards. It is how runners are taken over.`, `
on: pull_request
jobs:
  test:
    runs-on: [self-hosted, linux]`, `
on: pull_request
jobs:
  test:
    runs-on: ubuntu-latest   # or ephemeral runners, in a network that leads nowhere`, `
all runners that take the job are known to be ephemeral, the labels are those of GitHub's own machines, or the repository is private and
forks start no workflows. In a private repository whose forks do, it is medium.`),
		Fix: []string{
			"Run what strangers can start on GitHub's own machines, or on ephemeral runners",
			"Require approval for workflows of all outside contributors",
			"Keep public repositories out of the runner group",
		},
	},
	of: audit.KindWorkflow,
	judge: func(p *place, e *audit.Entry) verdict {
		event := outsider(e)
		if p.forge != "github" || event == "" {
			return fine
		}
		v := verdict{}
		switch {
		case p.public():
		case p.private() && p.settings()["fork_pr_workflows"] == "true":
			v.severity = audit.Medium
		default:
			return fine
		}
		where := p.persistentFor(e)
		if where == "" {
			return fine
		}
		v.evidence = fmt.Sprintf("%s starts it, in a repository that is %s, on %s", event, p.settings()["visibility"], where)
		return v
	},
}

// persistentFor names a runner that takes jobs of a workflow and is not ephemeral. One that could not be looked at counts as such, as runners are
// unless they are told otherwise.
func (p *place) persistentFor(workflow *audit.Entry) string {
	matches := p.runnersFor(workflow)
	for _, m := range matches {
		if m.runner.Facts["ephemeral"] == "false" {
			return fmt.Sprintf("runner %s of %s, which is not ephemeral", label(m.runner), m.of.name)
		}
	}
	selfHosted := slices.ContainsFunc(requests(workflow), func(labels []string) bool { return slices.Contains(labels, "self-hosted") })
	if len(matches) == 0 && selfHosted {
		return "a self-hosted runner that could not be looked at"
	}
	return ""
}
