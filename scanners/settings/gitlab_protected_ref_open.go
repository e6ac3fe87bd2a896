package settings

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabProtectedRefOpen = rule{
	Rule: audit.Rule{
		ID: "gitlab-protected-ref-open", Title: "Developers write protected refs", Category: audit.CategorySetting, Severity: audit.High, CWE: 284,
		Help: help(`
Protected variables and runners go to protected refs. If Developers may push to one, merge into it without a review, or create a tag that
matches, the protection keeps nobody out: they write a job there and read the variables.`, `
protected branch release/*   allowed to push: Developers + Maintainers`, `
protected branch release/*   allowed to push: No one; to merge: Maintainers
protected tag v*   allowed to create: Maintainers`, `
only Maintainers or chosen people may push, or create tags. It is low where no protected variable and no protected runner is known.`),
		Fix: []string{
			"Let Maintainers alone push, and have changes come by merge requests with approval",
			"Let Maintainers alone create protected tags",
		},
	},
	of: audit.KindProtection,
	judge: func(p *place, e *audit.Entry) verdict {
		may := func(fact string) bool { return strings.Contains(strings.ToLower(e.Facts[fact]), "developer") }
		how := ""
		switch {
		case p.forge != "gitlab":
		case may("push"):
			how = "Developers may push to it (push: " + e.Facts["push"] + ")"
		case may("create"):
			how = "Developers may create it (create: " + e.Facts["create"] + ")"
		}
		if how == "" {
			return fine
		}
		for _, o := range append([]*place{p}, p.above...) {
			for _, kind := range []audit.ItemKind{audit.KindVariable, audit.KindRunner} {
				for _, x := range o.entries[kind] {
					if x.Facts["protected"] == "true" || x.Facts["access_level"] == "ref_protected" {
						return verdict{evidence: fmt.Sprintf("%s, and so get %s", how, subject(x))}
					}
				}
			}
		}
		return verdict{evidence: how, severity: audit.Low}
	},
}
