package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var gitlabRunnerShell = rule{
	Rule: audit.Rule{
		ID: "gitlab-runner-shell", Title: "Jobs share the host account", Category: audit.CategoryRunner, Severity: audit.Medium, CWE: 653,
		Help: help(`
With the shell or ssh executor, jobs run as one user of one machine. Each can read the files and processes of those beside it and before it,
tokens and all, and change what those after it find.`, `
executor = shell   on a group's runner`, `
executor = docker or kubernetes, with a fresh container for each job`, `
the runner serves a single project, or its executor is another one or not known: no API tells it, only job logs do. Of a runner that many
projects of a group use it is said once.`),
		Fix: []string{
			"Use an executor that isolates jobs",
			"Lock the runner to one project until then",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		executor := e.Facts["executor"]
		if executor != "shell" && executor != "ssh" || !sharedRunner(e) {
			return fine
		}
		return p.once("executor", e, fmt.Sprintf("executor %s, and jobs of several projects run on it (%s)", executor, e.Facts["type"]))
	},
}

// sharedRunner tells whether jobs of several projects run on a runner.
func sharedRunner(e *audit.Entry) bool {
	return e.Facts["type"] == "instance_type" || e.Facts["type"] == "group_type" || e.Facts["type"] == "project_type" && e.Facts["locked"] == "false"
}

// once says something of a runner at the first of the projects that show it: it is one thing to mend, however many jobs it serves.
func (p *place) once(what string, e *audit.Entry, evidence string) verdict {
	top := p.top()
	if id := e.Facts["id"]; id != "" {
		key := what + " " + id
		if top.told[key] {
			return fine
		}
		if top.told == nil {
			top.told = map[string]bool{}
		}
		top.told[key] = true
	}
	return verdict{evidence: evidence}
}
