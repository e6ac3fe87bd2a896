package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabPipelineVariables = rule{
	Rule: audit.Rule{
		ID: "gitlab-pipeline-variables", Title: "Developers may override variables at start", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
Variables that are given when a pipeline starts win over those of the definition and the settings. So a Developer can start a job on a
protected branch with another image, another path, another address to deploy to.`, `
Minimum role to use pipeline variables: Developer`, `
Minimum role to use pipeline variables: no one allowed
and typed inputs (spec:inputs) where a start needs a choice`, `
the role is Maintainer or above, or nobody may.`),
		Fix: []string{
			"Raise the minimum role to use pipeline variables",
			"Use inputs with options instead",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || !strings.EqualFold(e.Facts["pipeline_variables_role"], "developer") {
			return fine
		}
		return verdict{evidence: "Developers may set variables when they start a pipeline (pipeline_variables_role=developer)"}
	},
}
