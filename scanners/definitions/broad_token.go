package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var broadToken = rule{
	Rule: audit.Rule{
		ID: "broad-token", Title: "Job token has rights it does not need", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 250, Confidence: audit.MediumConfidence,
		Help: help(`
Each step and each action of a job has its token. With contents: write it can push code, with packages: write it can publish. Rights that stand at the
top are those of all jobs; where none stand, the repository's or the organisation's default holds, which may be to write everything.`, `
permissions: write-all`, `
permissions: {}
jobs:
  release:
    permissions:
      contents: write   # makes the release`, `
rights to write stand at the job that needs them, or there is only one job. It is high under events that outsiders fire, and low where no rights stand
anywhere, as what the default is the definition does not say, and for read-all.`),
		Fix: []string{"Write permissions: {} at the top, and at each job what it needs", "Set the repository's default to read"},
	},
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow {
			return
		}
		open := ""
		if list := f.on(pipeline.HandedEvents); len(list) > 0 {
			open = list[0]
		}
		raise := func(p problem) {
			if open != "" {
				p.severity, p.evidence = audit.High, p.evidence+fmt.Sprintf("; outsiders start it by %s", open)
			}
			say(p)
		}
		own := func(j *job) bool { return j.node.Get("permissions").Is() }
		called := len(f.Events) == 1 && f.Events[0].Name == "workflow_call" // then its rights are at most the caller's
		top := f.root.Get("permissions")
		stated := f.jobPermissions()
		if !allOf(f.jobs, own) { // else nobody gets those at the top
			stated = append(stated, top)
		}
		for _, n := range stated {
			if n.Text() == "write-all" {
				raise(problem{at: n.At(), name: "write-all", evidence: "the token may write everything"})
			}
			if n.Text() == "read-all" {
				say(problem{at: n.At(), name: "read-all", severity: audit.Low, evidence: "the token may read everything, such as packages and security alerts"})
			}
		}
		shared := len(f.jobs) > 1 && !called && !allOf(f.jobs, own)
		if shared {
			without := f.without(own)
			for scope, right := range top.Pairs() {
				if right.Text() == "write" && len(f.jobs) > 1 {
					raise(problem{
						at: scope.At(), name: scope.Text(), evidence: fmt.Sprintf("%s: write is for all jobs that state no rights (%s)", scope.Text(), without),
					})
				}
			}
		}
		if !top.Is() && !called {
			without := f.without(own)
			for _, j := range f.jobs {
				if !own(j) {
					p := problem{at: j.model.At, name: "default", evidence: "no rights are stated for " + without + ", which have the repository's default", severity: audit.Low}
					if open == "pull_request_target" || open == "issue_comment" || open == "workflow_run" || open == "issues" {
						p.severity, p.evidence = audit.Medium, p.evidence+"; outsiders start it by "+open
					}
					say(p)
				}
			}
		}
	},
}

func (f *file) jobPermissions() (list []pipeline.Node) {
	for _, j := range f.jobs {
		list = append(list, j.node.Get("permissions"))
	}
	return list
}

func allOf(jobs []*job, is func(*job) bool) bool {
	return !slices.ContainsFunc(jobs, func(j *job) bool { return !is(j) })
}

// without names the jobs that do not have something.
func (f *file) without(has func(*job) bool) string {
	var names []string
	for _, j := range f.jobs {
		if !has(j) {
			names = append(names, j.model.ID)
		}
	}
	if n := len(names); n > 5 {
		names = append(names[:5], fmt.Sprintf("and %d more", n-5))
	}
	return strings.Join(names, ", ")
}
