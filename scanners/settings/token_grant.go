package settings

import "github.com/leakreach/leakreach/audit"

var tokenGrant = rule{
	Rule: audit.Rule{
		ID: "github-token-grant", Title: "Standing grant to a personal token", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 324,
		Help: help(`
A fine-grained token with access to the organisation is a person's password for a program. Without an end it outlives the program and the
person's time there; unused, nobody would notice its theft.`, `
token ci-of-alice   expires: never   contents=write`, `
a GitHub App with the rights that the program needs, or the job's own token
else a token that ends within 90 days, for chosen repositories`, `
it ends, and was used in the last 90 days, or is no longer active.`),
		Fix: []string{
			"Revoke the grant if nobody knows what it is for",
			"Set a longest lifetime for tokens in the organisation's policy",
		},
	},
	of: audit.KindToken,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" {
			return fine
		}
		return p.tokenLife(e)
	},
}
