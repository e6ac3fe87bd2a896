package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var environmentMissing = rule{
	Rule: audit.Rule{
		ID: "github-environment-missing", Title: "Job names an environment that does not exist", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
GitHub makes an environment that a job names and that is not there, without any rule: no reviewer, no branch policy. Where it was renamed or its name is
misspelt, the wall that the definition counts on is not there.`, `
environment: prodution   # environments: production`, `
environment: production`, `
the name is computed, or environments could not be listed. A workflow that never ran has not made its environment yet.`),
		Fix: []string{"Correct the name, or make the environment with its rules before the job runs"},
	},
	of: audit.KindWorkflow,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" || p.partial || strings.Contains(p.settings()["not_asked"], "environment") || p.leftOut(audit.SourceSettings) || len(p.entries[audit.KindEnvironment]) == 0 {
			return fine // without any, it is as likely that the plan has none
		}
		var names []string
		for _, name := range listed(e, "environments") {
			there := slices.ContainsFunc(p.entries[audit.KindEnvironment], func(env *audit.Entry) bool { return strings.EqualFold(env.Name, name) })
			if name != "*" && name != "…" && !there {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return fine
		}
		return verdict{evidence: "it names " + strings.Join(names[:min(len(names), 10)], ", ") + ", which is no environment of the repository"}
	},
}
