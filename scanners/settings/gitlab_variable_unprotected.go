package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var gitlabVariableUnprotected = rule{
	Rule: audit.Rule{
		ID: "gitlab-variable-unprotected", Title: "Secret variable on every ref", Category: audit.CategorySetting, Severity: audit.High, CWE: 732,
		Help: help(`
A variable that is not protected goes to the jobs of every branch. Whoever may push one, which is every Developer, adds a job that prints or
sends it.`, `
DEPLOY_TOKEN   protected: no   scope: all environments`, `
DEPLOY_TOKEN   protected: yes, for jobs of protected branches and tags only
better: id_tokens, and a short-lived credential from the cloud or a vault`, `
it is protected, neither its name nor its value is one of a secret, its environment is protected, or gitlab-environment-scope speaks of it.
An inherited variable is judged in the group that it comes from, if that was read.`),
		Fix: []string{
			"Mark it as protected, and protect the branches that need it",
			"Replace it by id_tokens where its issuer takes them",
		},
	},
	of:    audit.KindVariable,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		why := p.holdsSecret(e)
		if p.forge != "gitlab" || e.Facts["protected"] != "false" || why == "" || p.judgedAbove(e) || strings.HasPrefix(e.Scope, "schedule ") {
			return fine
		}
		if open, walled := p.environmentsOf(e); open != "" || walled != "" {
			return fine
		}
		return verdict{evidence: why + ", and jobs of every branch get it (protected=false)"}
	},
}

// judgedAbove tells whether a variable comes from a group that is part of the run.
func (p *place) judgedAbove(e *audit.Entry) bool {
	return e.Facts["inherited_from"] != "" && slices.ContainsFunc(p.above, func(o *place) bool {
		return slices.ContainsFunc(o.entries[audit.KindVariable], func(v *audit.Entry) bool { return v.Name == e.Name })
	})
}

// environmentsOf are environments that a variable's scope names: one that anybody can deploy to, or else one that is protected. A scope of all
// environments names none.
func (p *place) environmentsOf(variable *audit.Entry) (open, walled string) {
	scope := variable.Facts["environment_scope"]
	if scope == "" || scope == "*" {
		return "", ""
	}
	for _, env := range p.entries[audit.KindEnvironment] {
		switch {
		case !pipeline.Glob(scope, env.Name):
		case env.Facts["protected"] == "false" && open == "":
			open = env.Name
		case env.Facts["protected"] == "true" && walled == "":
			walled = env.Name
		}
	}
	return open, walled
}
