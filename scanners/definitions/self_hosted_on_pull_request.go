package definitions

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/expression"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

// selfHostedOnPullRequest judges files that come without an inventory, which would tell who sees the repository and what its runners are.
var selfHostedOnPullRequest = rule{
	Rule:  known.SelfHostedOnPullRequest,
	alone: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow {
			return
		}
		for _, j := range f.jobs {
			events := j.on([]string{"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"})
			if len(events) == 0 || !j.selfHosted() || asksForOwn(expression.Of(j.node.Get("if").Text()), events) {
				continue
			}
			p := problem{at: j.keyAt("runs-on"), name: j.label(), severity: audit.High}
			where, own := "a self-hosted runner", j.machine() == ownMachine
			if !own {
				where = fmt.Sprintf("the runners of group %s", j.model.Runner.Group)
			}
			p.evidence = fmt.Sprintf("%s starts %s on %s; if the repository is public, for everybody. The job holds %s", events[0], j.label(), where, j.stake)
			switch {
			case asksForName(j.node.Get("runs-on").Text()):
				p.severity, p.evidence = audit.Low, p.evidence+"; which repositories it does so in goes by their names"
			case own && j.stake.much():
				p.severity = audit.Critical
			case !own && !j.stake.much():
				p.severity = audit.Medium
			}
			say(p)
		}
	},
}

// asksForName tells whether a text is computed from a part of the repository's name: one definition serves a public repository and its private copies.
func asksForName(text string) bool {
	for _, e := range expression.In(text) {
		for n := range e.Root.All {
			if n.Kind == expression.Call && slices.Contains([]string{"startswith", "endswith", "contains"}, n.Text) && slices.ContainsFunc(n.Args, func(a *expression.Node) bool { return a.Is("github.repository") }) {
				return true
			}
		}
	}
	return false
}
