package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var orgSecretWide = rule{
	Rule: audit.Rule{
		ID: "github-org-secret-wide", Title: "Organisation secret visible everywhere", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 732,
		Help: help(`
Whoever can push a branch to any repository that sees the secret can read it: a workflow on that branch takes it. A secret of all
repositories is as safe as the least guarded one of them, and as every action that any of them runs.`, `
NPM_TOKEN   visible to: all repositories (412), used by 3`, `
NPM_TOKEN   visible to: selected repositories (3)
better: in an environment of each, with a branch policy`, `
more than half of the repositories that can see it take it. It is low where it is not known how many do.`),
		Fix: []string{
			"Set its visibility to the selected repositories that use it",
			"Better, move it into an environment with reviewers or a branch policy",
		},
	},
	of:    audit.KindSecret,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		visibility := map[string]string{"all": "all repositories", "private": "all private and internal repositories"}[e.Facts["visibility"]]
		if visibility == "" || !p.isHolder() || p.forge == "gitlab" {
			return fine
		}
		of := p.below.secrets[e]
		if of == nil {
			of = &readers{}
		}
		switch {
		case of.reading*2 > of.seen:
			return fine
		case of.unknown > 0 || !p.seenBy(e, of) || e.Facts["store"] != "actions":
			return verdict{evidence: fmt.Sprintf("visible to %s; how many need it is not known", visibility), severity: audit.Low}
		case of.reading == 0:
			return verdict{evidence: fmt.Sprintf("visible to %s (%d), and taken by no workflow on a default branch", visibility, of.seen)}
		}
		return verdict{evidence: fmt.Sprintf("visible to %s (%d), and taken by workflows of %d, such as %s", visibility, of.seen, of.reading, of.one)}
	},
}
