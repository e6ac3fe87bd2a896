package settings

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var selfHostedOnPullRequest = rule{
	Rule: known.SelfHostedOnPullRequest,
	of:   audit.KindWorkflow,
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
