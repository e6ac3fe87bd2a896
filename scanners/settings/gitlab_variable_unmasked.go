package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabVariableUnmasked = rule{
	Rule: audit.Rule{
		ID: "gitlab-variable-unmasked", Title: "Secret variable can be printed", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 532,
		Help: help(`
A masked value is replaced in job logs. One that is not stands there in full as soon as a tool prints its settings, for everybody who may
read logs, for as long as they are kept. A hidden one cannot be read in the settings either, by whoever takes over a Maintainer's session.`, `
DEPLOY_TOKEN   masked: no`, `
DEPLOY_TOKEN   masked and hidden`, `
it is masked and hidden, or neither its name nor its value is one of a secret. Masked, but not hidden, is low, and so is a file, which
cannot be masked.`),
		Fix: []string{
			"Create it anew as masked and hidden: that cannot be changed afterwards",
			"Renew the value if logs may have it",
		},
	},
	of:    audit.KindVariable,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		why := p.holdsSecret(e)
		if p.forge != "gitlab" || why == "" || p.judgedAbove(e) || strings.HasPrefix(e.Scope, "schedule ") {
			return fine
		}
		switch {
		case e.Facts["masked"] == "false" && e.Facts["type"] == "file":
			return verdict{evidence: why + "; it is a file, whose content GitLab does not mask", severity: audit.Low}
		case e.Facts["masked"] == "false":
			return verdict{evidence: why + ", and logs show it (masked=false)"}
		case e.Facts["masked"] == "true" && e.Facts["hidden"] == "false":
			return verdict{evidence: why + ", and Maintainers can read it in the settings (hidden=false)", severity: audit.Low}
		}
		return fine
	},
}
