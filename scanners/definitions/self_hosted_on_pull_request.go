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
		events := f.on([]string{"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"})
		if f.kind != isWorkflow {
			return
		}
		for _, j := range f.jobs {
			condition := expression.Of(j.node.Get("if").Text())
			i := slices.IndexFunc(events, func(event string) bool { return !excludes(condition, event) })
			if i < 0 || !j.selfHosted() || asksForOwn(j.node.Get("if").Text()) {
				continue
			}
			p := problem{at: j.keyAt("runs-on"), name: j.label(), severity: audit.High}
			where, own := "a self-hosted runner", j.machine() == ownMachine
			if !own {
				where = fmt.Sprintf("the runners of group %s", j.model.Runner.Group)
			}
			p.evidence = fmt.Sprintf("%s starts %s on %s; if the repository is public, for everybody. The job holds %s", events[i], j.label(), where, j.stake)
			switch {
			case own && j.stake.much():
				p.severity = audit.Critical
			case !own && !j.stake.much():
				p.severity = audit.Medium
			}
			say(p)
		}
	},
}

// excludes tells whether a condition is surely false for an event: it asks for another one, beside whatever else.
func excludes(condition *expression.Node, event string) bool {
	if condition == nil {
		return false
	}
	switch condition.Kind {
	case expression.And:
		return excludes(condition.Args[0], event) || excludes(condition.Args[1], event)
	case expression.Or:
		return excludes(condition.Args[0], event) && excludes(condition.Args[1], event)
	case expression.Compare:
		for i, side := range condition.Args {
			if other := condition.Args[1-i]; side.Is("github.event_name") && other.Kind == expression.Literal {
				return condition.Text == "==" && other.Text != event || condition.Text == "!=" && other.Text == event
			}
		}
	}
	return false
}
