package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var gitlabEnvironmentScope = rule{
	Rule: audit.Rule{
		ID: "gitlab-environment-scope", Title: "Environment scope is no wall", Category: audit.CategorySetting, Severity: audit.High, CWE: 284,
		Help: help(`
A variable with an environment scope goes to every job that names the environment. On any branch where the variable goes, whoever edits the
definition can name it, unless the environment itself is protected.`, `
PROD_TOKEN   scope: production, protected: no; environment production: not protected`, `
PROD_TOKEN   scope: production, protected: yes; protected environment production: Maintainers may deploy`, `
the variable is protected, the environments that its scope names are protected or not known, or neither its name nor its value is one of a
secret.`),
		Fix: []string{
			"Protect the environment, and choose who may deploy to it",
			"Mark the variable as protected",
		},
	},
	of:    audit.KindVariable,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		why := p.holdsSecret(e)
		if p.forge != "gitlab" || e.Facts["protected"] != "false" || why == "" || p.judgedAbove(e) {
			return fine
		}
		open, _ := p.environmentsOf(e)
		if open == "" {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("%s; its scope is %s, and a job of any branch may name environment %s, which is not protected", why, e.Facts["environment_scope"], open)}
	},
}
