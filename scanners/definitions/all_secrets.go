package definitions

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var allSecrets = rule{
	Rule: audit.Rule{
		ID: "all-secrets", Title: "Job keeps all secrets in memory", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 522,
		Help: help(`
Where an expression takes the secrets as a whole, or one whose name is only known when it runs, the runner hands the job every secret that the repository
can read, those of the organisation too. Any step and any action in the job can then read all of them from the runner's memory.`, `
env:
  SETTINGS: ${{ toJSON(secrets) }}`, `
env:
  DATABASE_PASSWORD: ${{ secrets.DATABASE_PASSWORD }}`, `
the secret is named, by a dot or by a text in brackets.`),
		Fix: []string{
			"Name each secret that the job needs",
			"Where the name depends on a matrix, give each kind of job an environment of its own with the secret under one name",
		},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if !f.names {
			return
		}
		for e := range expressions(f.root) {
			for n := range e.Root.All {
				if n.Kind == expression.Context && (n.Text == "secrets" || n.Text == "secrets.*") {
					what := "takes the secrets as a whole"
					if len(n.Args) > 0 {
						what = "takes a secret whose name is computed"
					}
					say(problem{at: e.in.Place(e.Start), name: e.keys, evidence: e.text() + " in " + e.keys + " " + what})
					break
				}
			}
		}
	},
}
