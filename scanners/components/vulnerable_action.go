package components

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var vulnerableAction = rule{
	Rule: audit.Rule{
		ID: "vulnerable-action", Title: "Action with a published vulnerability", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 1395,
		Help: known.Help(`
An advisory of GitHub's database says what is wrong with this version of the action: mostly that it runs what a stranger has written into a branch's name or an artifact, beside the job's
secrets.`, `
- uses: actions/download-artifact@v4.1.2`, `
- uses: actions/download-artifact@v4.1.3`, `
the commit is of a version without it, by the tags that the repository has for that commit, or no tag tells the version, which is a gap. Its severity is the one that was published. What
is known of compromised components is judged by compromised-component: versions say nothing of those. It is only looked for with --online.`),
		Fix: []string{"Move to the first version without it, by its commit"},
	},
	judge: func(u *use, say func(problem)) {
		version := u.meaning.Version()
		for _, a := range u.meaning.Advisories {
			if affected, _ := a.Affects(version); !affected {
				continue
			}
			fixed := "no version without it is published"
			if a.Fixed != "" {
				fixed = "the first version without it is " + a.Fixed
			}
			say(problem{name: a.ID, severity: a.Severity, evidence: fmt.Sprintf("%s is version %s: %s (%s, %s); %s", by(append(slices.Clone(u.through), u.Text)), version, a.Summary, a.ID, a.Range, fixed)})
		}
	},
}
