package definitions

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var secretUnmasked = rule{
	Rule: audit.Rule{
		ID: "secret-unmasked", Title: "Part of a secret is not masked", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 532,
		Help: help(`
The runner hides a secret in logs where its whole value is printed. A field that is taken out of a secret of JSON is another value, which the runner does
not know: the first step that prints it shows it to everybody who may read the log.`, `
env:
  PASSWORD: ${{ fromJSON(secrets.DATABASE).password }}`, `
env:
  PASSWORD: ${{ secrets.DATABASE_PASSWORD }}   # a secret of its own`, `
the whole secret is used.`),
		Fix: []string{"Keep each field as a secret of its own", "Or tell the runner of the value with ::add-mask:: before anything else"},
	},
	judge: func(f *file, say func(problem)) {
		if f.Dialect != "github" {
			return
		}
		for e := range expressions(f.root) {
			for n := range e.Root.All {
				if n.Kind == expression.Call && n.Text == "fromjson" && len(n.Args) == 1 && n.Args[0].Under("secrets") {
					say(problem{at: e.in.Place(e.Start), name: e.keys, evidence: fmt.Sprintf("%s in %s makes another value of a secret", e.text(), e.keys)})
					break
				}
			}
		}
	},
}
