package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var shadowedSecret = rule{
	Rule: audit.Rule{
		ID: "shadowed-secret", Title: "Name resolves to several secrets", Category: audit.CategorySetting, Severity: audit.Low, CWE: 694,
		Help: help(`
An environment's secret hides one of the repository of the same name, and that one the organisation's. Whoever renews one of them may believe that they
have renewed what the job takes, and the old value stays where it is.`, `
repository secret AWS_KEY, environment production secret AWS_KEY`, `
environment production secret AWS_KEY`, `
there is one of the name, or they lie in different stores, such as that of Dependabot. Two environments that have one each are meant to.`),
		Fix: []string{"Keep the one that jobs take, and delete the other", "Where both are meant, give them names of their own"},
	},
	of: audit.KindSecret,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" || p.isHolder() || e.Facts["store"] != "" && e.Facts["store"] != "actions" || e.Scope == "organisation" {
			return fine
		}
		for _, o := range append([]*place{p}, p.above...) {
			for _, other := range o.entries[audit.KindSecret] {
				hides := other.Scope == "organisation" || other.Scope == "repository" && strings.HasPrefix(e.Scope, "environment ")
				if hides && other.Name == e.Name && other.Facts["store"] == e.Facts["store"] && (o == p || o.shows(other, p)) {
					return verdict{evidence: "it hides the secret of the " + other.Scope + " that has its name"}
				}
			}
		}
		return fine
	},
}
