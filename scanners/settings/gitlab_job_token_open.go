package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabJobTokenOpen = rule{
	Rule: audit.Rule{
		ID: "gitlab-job-token-open", Title: "Any project's jobs may enter", Category: audit.CategorySetting, Severity: audit.High, CWE: 668,
		Help: help(`
A job's token acts for whoever started the job. With the limit off, a job of any project can read this one with it, whenever somebody with
access starts it: a merge request into some other project is enough. With push allowed it can also write.`, `
Job token permissions: all groups and projects`, `
Job token permissions: only this project and the groups and projects of the allowlist: acme/deploy`, `
access is limited to an allowlist, and jobs may not push.`),
		Fix: []string{
			"Limit access to the projects that need it",
			"Do not allow pushes with job tokens",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		var wrong []string
		if e.Facts["job_token_inbound_limited"] == "false" && !p.inherits("job_token_inbound_limited", "false") {
			wrong = append(wrong, "jobs of all projects may read it with their tokens (job_token_inbound_limited=false)")
		}
		if e.Facts["job_token_push"] == "true" {
			wrong = append(wrong, "jobs may push with their tokens (job_token_push=true)")
		}
		if p.forge != "gitlab" || len(wrong) == 0 {
			return fine
		}
		return verdict{evidence: strings.Join(wrong, ", and ")}
	},
}
