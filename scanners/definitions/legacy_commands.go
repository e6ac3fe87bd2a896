package definitions

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var legacyCommands = rule{
	Rule: audit.Rule{
		ID: "legacy-commands", Title: "Disabled workflow commands are switched on again", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 77,
		Help: help(`
GitHub took away the commands ::set-env and ::add-path in 2020: whatever a step prints, such as a test's output or a title, could set variables and so
run code in the steps after it. With this variable they work again.`, `
env:
  ACTIONS_ALLOW_UNSECURE_COMMANDS: true
steps:
  - run: echo "::set-env name=VERSION::1.2"`, `
steps:
  - run: echo "VERSION=1.2" >> "$GITHUB_ENV"`, `
the variable is not "true".`),
		Fix: []string{"Remove the variable, and write to GITHUB_ENV and GITHUB_PATH instead of printing the commands"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		f.variables(func(name string, at pipeline.Position, key, value pipeline.Node) {
			if strings.EqualFold(key.Text(), "ACTIONS_ALLOW_UNSECURE_COMMANDS") && strings.EqualFold(strings.TrimSpace(value.Text()), "true") {
				say(problem{at: at, name: name, evidence: key.Text() + " is set for " + name})
			}
		})
	},
}

// variables tells of each environment variable that the file sets, with the name of what it is set for. Of those that the job's matrix has together it tells
// where they are taken.
func (f *file) variables(tell func(name string, at pipeline.Position, key, value pipeline.Node)) {
	of := func(name string, env, job pipeline.Node) {
		for key, value := range env.Pairs() {
			tell(name, key.At(), key, value)
		}
		if !computed(env.Text()) {
			return
		}
		parts, _ := pipeline.Parts(env.Text(), job)
		for _, part := range parts {
			for key, value := range part.Pairs() {
				tell(name, env.At(), key, value)
			}
		}
	}
	if f.kind == isGitLab {
		for _, j := range f.jobs {
			of(j.label(), j.node.Get("variables"), j.node)
		}
		return
	}
	if f.kind == isWorkflow {
		of("all jobs", f.root.Get("env"), f.root)
	}
	for _, j := range f.jobs {
		of(j.label(), j.envOf(), j.node)
		for _, s := range j.steps {
			of(s.label(), s.node.Get("env"), j.node)
		}
	}
}
