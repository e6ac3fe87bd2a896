package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var gitlabPublicJobs = rule{
	Rule: audit.Rule{
		ID: "gitlab-public-jobs", Title: "Job logs readable by too many", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 532,
		Help: help(`
Logs and artifacts of jobs tell more than the code: addresses, versions, what a tool printed by mistake. With this setting, everybody who
can see the project reads them, Guests too, and in an internal one every user.`, `
Project-based pipeline visibility: on   (internal project)`, `
Project-based pipeline visibility: off
and in jobs: artifacts: {access: developer}`, `
the project is public, where logs are meant to be (what is found in them is reported by itself), or the setting is off.`),
		Fix: []string{
			"Switch project-based pipeline visibility off",
			"Limit access to artifacts in the definition",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || e.Facts["public_jobs"] != "true" || !p.private() {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("everybody who sees the project reads logs and artifacts of its jobs (public_jobs=true, visibility=%s)", e.Facts["visibility"])}
	},
}
