package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var oidcSubjectMutable = rule{
	Rule: audit.Rule{
		ID: "oidc-subject-mutable", Title: "Renamed repository keeps its subject", Category: audit.CategorySetting, Severity: audit.Low, CWE: 284,
		Help: help(`
A cloud lets a job in by the subject of its token, which has the names of organisation and repository. When one is renamed or deleted,
somebody else can take the name, and then has the subject that the cloud still trusts. Immutable subjects have numbers that nobody else can
get.`, `
sub: repo:acme/web:ref:refs/heads/main`, `
sub: repo:acme@1234/web@5678:ref:refs/heads/main   (use_immutable_subject), and the cloud's trust policy with the same`, `
no workflow has its identity confirmed (id-token: write), or subjects are immutable. Of a repository nothing is said where its organisation
has the same setting.`),
		Fix: []string{
			"Add the new subjects to the clouds' trust policies",
			"Switch immutable subjects on, then take the old ones out",
		},
	},
	of: audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		if e.Facts["oidc_immutable_subject"] != "false" || p.inherits("oidc_immutable_subject", "false") {
			return fine
		}
		who := p.reading().mints
		if p.below.minting > 0 {
			who = fmt.Sprintf("jobs of repositories such as %s (%d in all)", p.below.mints, p.below.minting)
		}
		if who == "" {
			return fine
		}
		return verdict{evidence: "subjects are made of names (oidc_immutable_subject=false), and a cloud can be asked to trust " + who}
	},
}
