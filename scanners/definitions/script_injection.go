package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var scriptInjection = rule{
	Rule: audit.Rule{
		ID: "script-injection", Title: "Untrusted text is expanded into a script", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 94,
		Help: help(`
The runner puts the value of an expression into the script before a shell sees it. A title, a branch name or an input that holds a quote and a command
is then run as one, with all that the job holds. Anybody can open an issue or a pull request of any title.`, `
on: issue_comment
jobs:
  answer:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.comment.body }}"`, `
on: issue_comment
jobs:
  answer:
    runs-on: ubuntu-latest
    steps:
      - run: echo "$BODY"
        env:
          BODY: ${{ github.event.comment.body }}   # a variable's value is never read as a command`, `
the value is a number, a hash or a name that the forge makes up, a choice, a number or a truth, or text that stands in the definition itself. It is
critical where a secret of the job's may administer an account, low where the job holds nothing or where only those can choose the text who may start or change the
pipeline anyway.`),
		Fix: []string{
			"Hand the value to the script through env, and name the variable there in quotes",
			"Limit the job's permissions, and move what needs secrets to a job that sees no outsider's text",
		},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for _, s := range j.steps {
				for _, script := range s.scripts() {
					s.injections(script, say)
				}
			}
		}
	},
}

// Inputs of actions that are run as code, or read as a template that runs code.
var scriptInputs = map[string][]string{
	"actions/github-script":                  {"script"},
	"addnab/docker-run-action":               {"run", "options"},
	"amadevus/pwsh-script":                   {"script"},
	"appleboy/ssh-action":                    {"script"},
	"azure/cli":                              {"inlineScript"},
	"azure/powershell":                       {"inlineScript"},
	"cardinalby/js-eval-action":              {"expression"},
	"devorbitus/yq-action-output":            {"cmd"},
	"garygrossgarten/github-action-ssh":      {"command"},
	"jannekem/run-python-script-action":      {"script"},
	"mikefarah/yq":                           {"cmd"},
	"nick-fields/retry":                      {"command", "on_retry_command"},
	"nick-invision/retry":                    {"command", "on_retry_command"},
	"reactivecircus/android-emulator-runner": {"script", "pre-emulator-launch-script"},
	"satackey/action-js-inline":              {"script"},
	"sergeysova/jq-action":                   {"cmd"},
	"8398a7/action-slack":                    {"custom_payload"},
	"gautamkrishnar/blog-post-workflow":      {"item_exec"},
	"imjohnbo/issue-bot":                     {"body", "linked-comments-previous-issue-text", "linked-comments-new-issue-text"},
	"lucasbento/auto-close-issues":           {"issue-close-message"},
	"roots/issue-closer-action":              {"issue-close-message", "pr-close-message"},
	"skitionek/notify-microsoft-teams":       {"overwrite"},
	"tibdex/backport":                        {"body_template", "head_template", "labels_template", "title_template"},
	"wandalen/wretry.action":                 {"command"},
}

// scripts are the texts of a step that are run as code.
func (s *step) scripts() (list []pipeline.Node) {
	if s.run.IsText() {
		return []pipeline.Node{s.run}
	}
	if s.uses != nil {
		for _, input := range scriptInputs[strings.ToLower(s.uses.Name)] {
			if n := s.with(input); n.IsText() {
				list = append(list, n)
			}
		}
	}
	return list
}

func (s *step) injections(script pipeline.Node, say func(problem)) {
	for _, e := range expression.In(script.Text()) {
		for n := range e.Root.Flows {
			o := s.origin(n, maxHops)
			if o == fixed || o == unknown && !strings.HasPrefix(n.Text, "env.") && !strings.HasPrefix(n.Text, "matrix.") {
				continue // of what other steps say, nothing is known, and mostly there is nothing to it
			}
			severity, why := s.injectable(o)
			p := problem{
				at: script.Place(n.Offset), name: s.label() + ", " + n.Text, severity: severity,
				evidence: fmt.Sprintf("%s is expanded into the script of %s, %s", n.Text, s.label(), why),
			}
			if (o == merged || o == outsiders) && s.kind != isAction && len(s.on(pipeline.HandedEvents)) > 0 {
				p.stakes = &audit.Stakes{None: audit.Low, Some: audit.High}
			}
			say(p)
		}
	}
}

// injectable says what a text of some origin is worth in a script of the step.
func (s *step) injectable(o origin) (audit.Severity, string) {
	open := s.on(pipeline.HandedEvents)
	switch {
	case o == unknown:
		return audit.Low, "and it is computed outside of what the definition shows"
	case o == starters && s.kind == isAction:
		return audit.Low, "and it is whatever the action's caller gives it"
	case o == starters:
		return audit.Low, "and whoever starts or calls the workflow chooses it"
	case o == writers:
		return audit.Low, "and those choose it who may push to the repository"
	case s.kind == isAction:
		return audit.Medium, "and outsiders choose it, if a workflow that they can start uses the action"
	case o == merged && len(open) == 0:
		return audit.Low, "and it is a commit's, of those that come in with merged pull requests"
	case len(open) > 0 && s.stake.holds():
		return audit.High, fmt.Sprintf("outsiders choose it, %s starts the job for them, and it holds %s", open[0], s.stake)
	case len(open) > 0:
		return audit.Low, fmt.Sprintf("outsiders choose it, and %s starts the job for them; it holds %s", open[0], s.stake)
	case s.selfHosted() && len(s.on(pipeline.BareEvents)) > 0:
		return audit.Medium, "outsiders choose it, and the job runs on a machine of the owner's"
	case len(s.on(pipeline.BareEvents)) > 0:
		return audit.Low, "outsiders choose it; started by a fork, the job holds nothing"
	}
	return audit.Low, "and outsiders choose it; none of the events that start the workflow is theirs"
}
