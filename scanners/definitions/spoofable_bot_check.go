package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var spoofableBotCheck = rule{
	Rule: audit.Rule{
		ID: "spoofable-bot-check", Title: "Bot check that others can satisfy", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 290, Confidence: audit.MediumConfidence,
		Help: help(`
github.actor is who set off this run, not whose pull request it is. Anybody can have a bot be the last to touch their pull request, such as by asking Dependabot to
rebase it in a fork; the check then says yes to their code.`, `
if: github.actor == 'dependabot[bot]'`, `
if: github.event.pull_request.user.login == 'dependabot[bot]'`, `
it asks who opened the pull request or wrote the comment, or that the head is of the same repository. It is high where the step behind it merges or approves, and low
where no event starts it that hands others' pull requests more than a token that reads.`),
		Fix: []string{"Ask for github.event.pull_request.user.login, and that the head is of the same repository"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow {
			return
		}
		for _, j := range f.jobs {
			for name, condition := range j.conditions {
				whole := expression.Of(condition.Text())
				if n, actor := loneBotCheck(whole); n != nil {
					p := problem{at: condition.Place(n.Offset), name: name, evidence: fmt.Sprintf("%s runs if %s, which others can bring about", name, actor)}
					switch {
					case len(f.on(pipeline.HandedEvents)) == 0: // others' pull requests have a token that reads
						p.severity = audit.Low
					case j.merges():
						p.severity = audit.High
					}
					say(p)
				}
			}
		}
	},
}

// loneBotCheck is the first bot check of a condition that does not also ask, at once, for a head of the same repository, or who opened the pull request or wrote
// the comment; nil if there is none.
func loneBotCheck(condition *expression.Node) (n *expression.Node, actor string) {
	if condition == nil {
		return nil, ""
	}
	if actor, ok := botCheck(condition); ok {
		return condition, actor
	}
	if condition.Kind == expression.And && slices.ContainsFunc(condition.Args, func(n *expression.Node) bool {
		return requires(n, func(n *expression.Node) bool { return isOwn(n) || isAuthor(n) })
	}) {
		return nil, ""
	}
	for _, arg := range condition.Args {
		if n, actor := loneBotCheck(arg); n != nil {
			return n, actor
		}
	}
	return nil, ""
}

var (
	spoofable = []string{"github.actor", "github.triggering_actor", "github.event.pull_request.sender.login", "github.event.sender.login"}
	// Numbers by which GitHub knows Dependabot and Renovate: their users, and the former's app.
	botIDs       = []string{"29110", "49699333", "27856297", "29139614"}
	spoofableIDs = []string{"github.actor_id", "github.event.pull_request.sender.id", "github.event.sender.id"}
)

// botCheck tells whether a part of a condition takes whoever set off the run for a bot.
func botCheck(n *expression.Node) (text string, ok bool) {
	if n.Kind != expression.Compare || n.Text != "==" {
		return "", false
	}
	context, value := n.Args[0], n.Args[1]
	if context.Kind != expression.Context {
		context, value = value, context
	}
	switch {
	case context.Kind != expression.Context || value.Kind != expression.Literal:
		return "", false
	case slices.Contains(spoofable, context.Text) && strings.HasSuffix(strings.ToLower(value.Text), "[bot]"),
		slices.Contains(spoofableIDs, context.Text) && slices.Contains(botIDs, value.Text):
		return fmt.Sprintf("%s is %s", context.Text, value.Text), true
	}
	return "", false
}

// isAuthor tells whether a part of a condition asks who opened the pull request or wrote the comment.
func isAuthor(n *expression.Node) bool {
	if n.Kind != expression.Compare || n.Text != "==" {
		return false
	}
	for i, side := range n.Args {
		if strings.HasSuffix(side.Text, ".user.login") && side.Under("github.event") && n.Args[1-i].Kind == expression.Literal {
			return true
		}
	}
	return false
}

var mergeCommand = lazyregexp.New(`\bgh\s+pr\s+(?:merge|review\s[^\n]*(?:-a|--approve))\b`)

// merges tells whether a job merges or approves pull requests.
func (j *job) merges() bool {
	return slices.ContainsFunc(j.steps, func(s *step) bool {
		return mergeCommand().MatchString(s.run.Text()) || s.is("hmarr/auto-approve-action", "pascalgn/automerge-action", "ahmadnassri/action-dependabot-auto-merge",
			"fastify/github-action-merge-dependabot", "peter-evans/enable-pull-request-automerge", "alexwilson/enable-github-automerge-action")
	})
}

var unsoundCondition = rule{
	Rule: audit.Rule{
		ID: "unsound-condition", Title: "Condition does not test what it says", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 570,
		Help: help(`
Text around the braces of a condition, a line break at its end among it, makes a text of the whole, and a text is true. A
contains whose first argument is a text looks for a part of it: 'refs/heads/main refs/heads/release' contains refs/heads/m, too.`, `
if: |
  ${{ github.event.pull_request.head.repo.full_name == github.repository }}`, `
if: github.event.pull_request.head.repo.full_name == github.repository`, `
nothing stands around the braces, or there are none; or the first argument of contains is a list. Where what is looked for is not chosen by anybody the
latter is info.`),
		Fix: []string{"Leave out the braces, or write |- instead of |", "Look in a list: contains(fromJSON('[\"refs/heads/main\"]'), github.ref)"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.Dialect != "github" {
			return
		}
		for _, j := range f.jobs {
			for name, condition := range j.conditions {
				say := func(p problem) { p.name = name; say(p) }
				alwaysTrue(name, condition, say)
				for n := range expression.Of(condition.Text()).All {
					containsText(name, condition, n, say)
				}
			}
		}
	},
}

func alwaysTrue(name string, condition pipeline.Node, say func(problem)) {
	text := condition.Text()
	for _, e := range expression.In(text) {
		if e.Start > 0 || e.End < len(text) {
			say(problem{at: condition.At(), evidence: fmt.Sprintf("the condition of %s has text around its braces, and is true whatever they say", name)})
			return
		}
	}
}

// chosen are what somebody who pushes, calls or opens a pull request has a say in.
var chosen = []string{"env", "github.actor", "github.base_ref", "github.head_ref", "github.ref", "github.ref_name", "github.sha", "github.triggering_actor", "inputs", "github.event"}

func containsText(name string, condition pipeline.Node, n *expression.Node, say func(problem)) {
	if n.Kind != expression.Call || n.Text != "contains" || len(n.Args) != 2 || n.Args[0].Kind != expression.Literal || n.Args[1].Kind != expression.Context {
		return
	}
	if _, ok := association(n.Args[1]); ok && !slices.ContainsFunc(slices.Concat(members, strangers), func(a string) bool {
		return strings.Contains(n.Args[0].Text, a) && !slices.Contains(strings.FieldsFunc(n.Args[0].Text, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }), a)
	}) {
		return // none of the few that there are is a part of what it lists
	}
	p := problem{at: condition.Place(n.Offset), evidence: fmt.Sprintf("the condition of %s is true for each part of %q, not only for those that it lists", name, n.Args[0].Text)}
	if !slices.ContainsFunc(chosen, n.Args[1].Under) {
		p.severity = audit.Info
	}
	say(p)
}
