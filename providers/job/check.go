package job

import (
	"context"
	"fmt"
	"iter"

	"github.com/leakreach/leakreach/audit"
)

// Check implements [audit.Checker]. It asks nobody: what a job may is what a scan of it reports.
func (p *Provider) Check(_ context.Context, _ string) iter.Seq2[audit.Check, error] {
	return func(yield func(audit.Check, error) bool) {
		for _, c := range p.job().checks() {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (j *job) checks() []audit.Check {
	all := []audit.Check{{For: "environment and files", Needs: "nothing", State: audit.Granted, Evidence: fmt.Sprintf("%d variables, %d homes", len(j.vars), len(j.homes))}}
	token := audit.Check{For: rightsOfToken, Needs: "the token in the environment", State: audit.Granted, Evidence: j.mainToken()}
	if token.Evidence == "" {
		token.State, token.Evidence = audit.Missing, "it is in no variable that is known"
		switch j.system {
		case systemGitHub, systemGitea:
			token.Fix = "set GITHUB_TOKEN to ${{ github.token }} in the step's env"
		case systemGitLab:
			token.Fix = "run it in the job's own script: GitLab sets " + varJobToken
		default:
			token.State, token.Evidence = audit.Unproven, "this is no job of a forge that is known"
		}
	}
	return append(all, token)
}
