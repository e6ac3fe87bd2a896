package definitions

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var actionsLockOutdated = rule{
	Rule: audit.Rule{
		ID: "actions-lock-outdated", Title: "Lock file of actions does not fit the workflow", Category: audit.CategoryPipeline, Severity: audit.Low, CWE: 829,
		Help: help(`
GitHub refuses to run a workflow that .github/workflows/actions.lock lists when something of it is missing there, and who is in a hurry then takes the workflow out of the file. What
no step names any more is reviewed with each change, and hides what is.`, `
# .github/workflows/ci.yml
- uses: acme/build@v2

# .github/workflows/actions.lock
workflows:
  '.github/workflows/ci.yml':
    - 'acme/build@v1'`, `
# .github/workflows/ci.yml
- uses: acme/build@v2

# .github/workflows/actions.lock
workflows:
  '.github/workflows/ci.yml':
    - 'acme/build@v2'`, `
the file does not list the workflow at all: then GitHub does not go by it, and unpinned-action tells what can move. That only something more is in it is an info, and none where
the workflow uses an action of its own repository by $/, which names others.`),
		Fix: []string{"Run gh actions-lock, and review what changes in the file", "Let Dependabot or Renovate write it anew with each update"},
	},
	judge: func(f *file, say func(problem)) {
		if !f.lock.Lists(f.item.At.Path) {
			return
		}
		p := problem{at: f.root.At(), name: pipeline.LockPath, severity: audit.Info, evidence: "the lock file lists the workflow"}
		var lacks []use
		named, own := map[string]bool{}, false // what the steps and what they pull in are called in the file
		for _, j := range f.jobs {
			for _, u := range j.used() {
				if u.step == nil {
					continue
				}
				if u.step.loose != "" {
					lacks = append(lacks, u)
				}
				own = own || strings.HasPrefix(u.Name, "$/")
				f.lock.Pulled(&u.Component, named)
			}
		}
		var more []use
		for _, pin := range f.lock.Pins(f.item.At.Path) {
			if !named[pin] && !own {
				more = append(more, use{Component: pipeline.Component{Text: pin}})
			}
		}
		if len(lacks) > 0 {
			p.at, p.severity, p.evidence = lacks[0].At, "", p.evidence+", and does not hold "+texts(lacks)
		}
		if len(more) > 0 {
			p.evidence += ", and has what no step names: " + texts(more)
		}
		if len(lacks)+len(more) > 0 {
			say(p)
		}
	},
}
