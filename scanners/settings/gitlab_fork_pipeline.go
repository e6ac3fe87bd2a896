package settings

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabForkPipeline = rule{
	Rule: audit.Rule{
		ID: "gitlab-fork-pipeline", Title: "Fork code can run with the parent's variables", Category: audit.CategorySetting, Severity: audit.Medium, CWE: 284,
		Help: help(`
A Developer can run the pipeline of a merge request from a fork in this project: with this project's variables and runners, and the fork's
code and definition. One click on a change that looks harmless is enough.`, `
Run pipelines in the parent project for merge requests from forks: on
DEPLOY_TOKEN   protected: no`, `
Run pipelines in the parent project for merge requests from forks: off
DEPLOY_TOKEN   protected: yes`, `
it is switched off, the project is private, or no secret variable that is not protected is known.`),
		Fix: []string{
			"Switch it off, or run such pipelines only after reading the change",
			"Protect the variables that hold secrets",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || e.Facts["fork_pipelines_in_parent"] != "true" || e.Facts["visibility"] == "private" {
			return fine
		}
		for _, o := range append([]*place{p}, p.above...) {
			for _, v := range o.entries[audit.KindVariable] {
				if v.Facts["protected"] == "false" && o.holdsSecret(v) != "" && !strings.HasPrefix(v.Scope, "schedule ") {
					return verdict{evidence: fmt.Sprintf("pipelines of forks may run here, with variables that are not protected, such as %s of %s", v.Name, o.name)}
				}
			}
		}
		return fine
	},
}
