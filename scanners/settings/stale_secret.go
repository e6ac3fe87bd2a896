package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var staleSecret = rule{
	Rule: audit.Rule{
		ID: "stale-secret", Title: "Secret not renewed for long", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 324,
		Help: help(`
A credential that never changes stays good for whoever copied it once: from a log, a backup, a laptop of somebody who left. Each leak of the
past is open until it is replaced.`, `
DEPLOY_TOKEN   updated 2 years ago`, `
DEPLOY_TOKEN   updated 3 weeks ago, by a rotation that runs every 60 days
or no secret at all: the job's identity is exchanged for a credential of an hour (OIDC)`, `
it was written within 90 days; from 90 to 365 days it is low. What is no credential may be a variable instead of a secret. GitLab keeps no
dates of its variables, so nothing is said of them.`),
		Fix: []string{
			"Replace the credential at its issuer, write the new one, and revoke the old one",
			"Have it rotated by a schedule, or use the job's OIDC identity instead",
		},
	},
	of:    audit.KindSecret,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		age, known := p.days(e, "updated_at")
		v := verdict{evidence: fmt.Sprintf("last written on %s, %d days before this run", day(e, "updated_at"), age)}
		switch {
		case !known || age <= 90: // what most rules on rotation ask for
			return fine
		case age <= 365:
			v.severity = audit.Low
		}
		return v
	},
}
