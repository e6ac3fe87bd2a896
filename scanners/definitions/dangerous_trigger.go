package definitions

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var dangerousTrigger = rule{
	Rule: audit.Rule{
		ID: "dangerous-trigger", Title: "Trigger runs with full rights for outsiders", Category: audit.CategoryPipeline, Severity: audit.Low, CWE: 749, Confidence: audit.LowConfidence,
		Help: help(`
Jobs that pull_request_target and workflow_run start have the repository's secrets and token although somebody else's pull request set them off. One step
that takes code, a file or a text from that pull request hands them over.`, `
on: pull_request_target`, `
on: pull_request   # and what has to write does so in a workflow of its own, from checked data`, `
the only step is actions/labeler, or a rule for what is done with the pull request says more: untrusted-checkout, script-injection, env-file-injection or
artifact-from-outsider, from high on. Where no job holds anything it is info.`),
		Fix: []string{"Use pull_request where no secret and no right to write is needed", "Give each job only the rights and secrets that it needs"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow || f.onlyLabels() {
			return
		}
		events := f.on([]string{"pull_request_target", "workflow_run"})
		if len(events) == 0 || f.doesWorse() {
			return
		}
		for _, event := range events {
			p := problem{at: f.eventAt(event), name: event, severity: audit.Info, evidence: event + " starts the workflow, in which no job holds more than a token that reads", stakes: &audit.Stakes{None: audit.Info, Some: audit.Low}}
			for _, j := range f.jobs {
				if j.stake.holds() {
					p.severity, p.evidence = audit.Low, fmt.Sprintf("%s starts %s, which holds %s", event, j.label(), j.stake)
					break
				}
			}
			say(p)
		}
	},
}

// doesWorse tells whether another rule says what comes of such a trigger.
func (f *file) doesWorse() (worse bool) {
	for _, r := range []*rule{&artifactFromOutsider, &envFileInjection, &scriptInjection, &untrustedCheckout} {
		r.judge(f, func(p problem) { worse = worse || p.severity == "" || p.severity.Rank() >= audit.High.Rank() })
	}
	return worse
}

// onlyLabels tells whether all that a workflow does is to set labels, which is what pull_request_target was made for.
func (f *file) onlyLabels() bool {
	return len(f.jobs) == 1 && len(f.jobs[0].steps) == 1 && f.jobs[0].steps[0].is("actions/labeler")
}
