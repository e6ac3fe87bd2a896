package definitions

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var secretsInherit = rule{
	Rule: audit.Rule{
		ID: "secrets-inherit", Title: "Reusable workflow gets every secret", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 250,
		Help: help(`
The called workflow can read every secret that the caller can, and so can all actions in it, now and after its next change. What it needs stands nowhere.`, `
jobs:
  deploy:
    uses: acme/workflows/.github/workflows/deploy.yml@main
    secrets: inherit`, `
jobs:
  deploy:
    uses: acme/workflows/.github/workflows/deploy.yml@0123456789abcdef0123456789abcdef01234567
    secrets:
      DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}`, `
the secrets are named one by one. It is high where the called workflow is named by a branch or tag of another repository: whoever can move that gets all of
them. Secrets of an environment reach a called workflow only by this way or by name.`),
		Fix: []string{"Name the secrets that the called workflow needs", "Name the workflow by its commit"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			if j.model == nil || j.model.Call == nil || !j.model.Call.Inherit {
				continue
			}
			callee := j.model.Call.Workflow
			p := problem{at: callee.At, name: j.label(), evidence: fmt.Sprintf("%s hands all secrets to %s", j.label(), callee.Text)}
			if callee.Pin == pipeline.Named || callee.Pin == pipeline.Unnamed {
				p.severity, p.evidence = audit.High, p.evidence+", which is not named by its commit"
			}
			say(p)
		}
	},
}
