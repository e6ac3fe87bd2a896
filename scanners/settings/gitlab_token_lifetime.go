package settings

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabTokenLifetime = rule{
	Rule: audit.Rule{
		ID: "gitlab-token-lifetime", Title: "Token without end or use", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 324,
		Help: help(`
A token without an end is good for whoever finds it, whenever that is. One that nobody uses would not be missed if it were revoked, and its
theft would not be noticed.`, `
deploy token old-deploy   expires: never   scopes: write_registry`, `
deploy token release   expires in 60 days   scopes: read_registry
or the job's own token (CI_JOB_TOKEN), which ends with the job`, `
it ends, and was used in the last 90 days, or is revoked. Where GitLab does not say whether it was used, nothing is said of that.`),
		Fix: []string{
			"Revoke it if nobody knows what it is for",
			"Give it an end, and renew it by a schedule",
			"Use CI_JOB_TOKEN where a job reads from other projects",
		},
	},
	of: audit.KindToken,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || e.Facts["type"] == "trigger" {
			return fine
		}
		return p.tokenLife(e)
	},
}

// tokenLife says that a token has no end, or is not used.
func (p *place) tokenLife(e *audit.Entry) verdict {
	if e.Facts["active"] == "false" {
		return fine
	}
	var wrong []string
	if e.Facts["expires_at"] == "never" {
		wrong = append(wrong, "it never expires")
	}
	if idle := p.idle(e, "last_used_at"); idle != "" {
		wrong = append(wrong, "it "+idle)
	}
	if len(wrong) == 0 {
		return fine
	}
	said := strings.Join(wrong, ", and ")
	for _, fact := range []string{"type", "role", "scopes", "owner"} {
		if e.Facts[fact] != "" {
			said += fmt.Sprintf("; %s: %s", fact, e.Facts[fact])
		}
	}
	return verdict{evidence: said}
}
