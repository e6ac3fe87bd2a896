package settings

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var gitlabVariableWide = rule{
	Rule: audit.Rule{
		ID: "gitlab-variable-wide", Title: "Variable reaches far more than it needs", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 732, Confidence: audit.MediumConfidence,
		Help: help(`
GitLab hands a variable to every job that it is for, whether or not the job names it. One of a group goes to all its projects, and so to the least
guarded one of them; one for all environments goes to builds and tests, too, and to each image and package that those run.`, `
group acme:      NPM_TOKEN    named by 1 of 40 projects
project web:     DEPLOY_KEY   scope: all environments`, `
project acme/js: NPM_TOKEN
project web:     DEPLOY_KEY   scope: production, which is a protected environment`, `
more than half of the group's projects name it, none does, as tools also take variables that nobody names, or a definition could not be read. Of a
project's own variables it speaks of those that are named after deploying, where there are environments. One that is not protected
is for gitlab-variable-unprotected.`),
		Fix: []string{
			"Move it to the projects that need it",
			"Give it the environment that needs it as its scope, and protect that environment",
		},
	},
	of:    audit.KindVariable,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		why := p.holdsSecret(e)
		if p.forge != "gitlab" || e.Facts["protected"] != "true" || e.Facts["store"] != "variable" || why == "" || p.judgedAbove(e) {
			return fine
		}
		if p.isHolder() {
			of := p.below.secrets[e]
			if of == nil || !p.seenWhole() || of.unknown > 0 || of.reading == 0 || of.reading*2 > of.seen {
				return fine
			}
			return verdict{evidence: fmt.Sprintf("%s; jobs of all %d projects get it, and definitions of %d name it, such as %s", why, of.seen, of.reading, of.one)}
		}
		envs := p.entries[audit.KindEnvironment]
		if e.Facts["environment_scope"] != "*" || len(envs) == 0 || !isForDeploying(e.Name) || e.Facts["inherited_from"] != "" {
			return fine
		}
		return verdict{evidence: fmt.Sprintf("%s; its scope is all environments, so that jobs that deploy nowhere get it, although there are environments, such as %s", why, envs[0].Name)}
	},
}

// isForDeploying tells whether a name says that it is for putting something into service.
func isForDeploying(name string) bool {
	return slices.ContainsFunc(known.Words(name), func(word string) bool {
		return slices.Contains([]string{"DEPLOY", "DEPLOYMENT", "PROD", "PRODUCTION"}, word)
	})
}
