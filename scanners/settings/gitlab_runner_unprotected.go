package settings

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var gitlabRunnerUnprotected = rule{
	Rule: audit.Rule{
		ID: "gitlab-runner-unprotected", Title: "Deploy runner takes jobs of any ref", Category: audit.CategoryRunner, Severity: audit.High, CWE: 284,
		Help: help(`
A runner that deploys holds what it takes to deploy: a role of its machine, a way into the network, caches. If it also takes jobs of
unprotected branches, every Developer can run code on it.`, `
runner deploy   tags: prod   protected: no`, `
runner deploy   tags: prod   protected: yes, runs untagged jobs: no`, `
it takes jobs of protected refs only, is paused, or neither takes untagged jobs beside others nor is asked for by jobs that deploy to an
environment.`),
		Fix: []string{
			"Set it to run on protected branches only",
			"Have it take tagged jobs only",
		},
	},
	of: audit.KindRunner,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "gitlab" || e.Facts["access_level"] != "not_protected" || e.Facts["paused"] == "true" || len(listed(e, "labels")) == 0 {
			return fine // one without tags is there for anybody's jobs
		}
		for _, w := range p.entries[audit.KindWorkflow] {
			if w.Facts["environments"] == "" {
				continue
			}
			for _, tags := range requests(w) {
				if p.takes(e, tags) {
					return verdict{evidence: fmt.Sprintf("jobs of any ref may run on it (access_level=not_protected), and %s, which deploys, asks for %s", w.Name, strings.Join(tags, ", "))}
				}
			}
		}
		if e.Facts["run_untagged"] == "true" {
			return verdict{evidence: "jobs of any ref may run on it (access_level=not_protected), untagged ones too, though it has tags of its own"}
		}
		return fine
	},
}
