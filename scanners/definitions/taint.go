package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

// An origin says who writes a text, from those that matter least.
type origin int

const (
	fixed     origin = iota // the forge, or the definition itself; or its form leaves no room for a command
	unknown                 // something that an earlier step, a job or a caller has computed
	starters                // who starts the pipeline by hand or calls it
	writers                 // who may push to the repository
	merged                  // commits that come in with merged pull requests
	outsiders               // anybody
)

// What of an event's description the forge makes up itself, by the last part of its path. All else is a text of somebody's.
var fixedFields = strings.Fields(`id node_id number sha type state state_reason status conclusion event action draft merged mergeable rebaseable locked size additions
	deletions changed_files commits_count created_at updated_at closed_at merged_at pushed_at published_at submitted_at started_at completed_at run_started_at
	login user_view_type site_admin gravatar_id default_branch_id private fork archived disabled is_template has_issues has_wiki visibility
	author_association active_lock_reason after before base_sha head_sha commit_id original_commit_id merge_commit_sha before_sha tree_id
	run_number run_attempt workflow_id check_suite_id check_run_id comments review_comments forced created deleted distinct prerelease tarball_url zipball_url
	position original_position line original_line side start_line start_side subject_type language license schedule`)

// fixedBelow are parts of an event that are the repository's own, or the forge's.
var fixedBelow = []string{
	"github.event.repository", "github.event.organization", "github.event.enterprise", "github.event.installation", "github.event.sender",
	"github.event.pull_request.base.repo", "github.event.pull_request.user", "github.event.issue.user", "github.event.comment.user", "github.event.review.user",
	"github.event.workflow", "github.event.workflow_run.repository", "github.event.workflow_run.actor", "github.event.workflow_run.triggering_actor",
	"github.event.workflow_run.name", "github.event.workflow_run.path", "github.event.workflow_run.head_repository.owner", "github.event.workflow_run.head_repository.name",
	"github.event.workflow_run.head_repository.full_name", "github.event.issue.author_association", "github.event.member", "github.event.schedule",
	"github.event.pull_request.head.user", "github.event.pull_request.head.repo.full_name", "github.event.pull_request.head.repo.name",
	"github.event.pull_request.head.repo.owner", "github.event.pull_request.assignee", "github.event.issue.assignee", "github.event.pull_request.merged_by",
	"github.event.requested_reviewer", "github.event.assignee", "github.event.discussion.user", "github.event.discussion.category", "github.event.release.author",
}

// writtenBelow are parts of an event that only those write who may push, or who may label.
var writtenBelow = []string{
	"github.event.release", "github.event.label", "github.event.milestone", "github.event.project", "github.event.project_card", "github.event.deployment",
	"github.event.deployment_status", "github.event.client_payload", "github.event.ref", "github.event.base_ref", "github.event.ref_type", "github.event.merge_group",
	"github.event.pull_request.base", "github.event.pusher", "github.event.registry_package", "github.event.package", "github.event.branch",
	"github.event.workflow_run.referenced_workflows", "github.event.pull_request.labels", "github.event.issue.labels", "github.event.pull_request.milestone",
	"github.event.issue.milestone", "github.event.check_run", "github.event.check_suite",
}

// Contexts of github beside the event that a person has a say in.
var namedContexts = map[string]origin{"github.head_ref": outsiders, "github.ref": writers, "github.ref_name": writers, "github.base_ref": writers}

// maxHops is how often a value is followed from name to name: no definition passes one on more often, and those that are made to would have no end.
const maxHops = 8

// maxFollowed is how many names are followed in one file. A large one of people's has some thousand expressions.
const maxFollowed = 50_000

// origin tells who writes what an expression's context stands for, as seen in a step.
func (s *step) origin(n *expression.Node, hops int) origin {
	if s.followed++; hops <= 0 || s.followed > maxFollowed {
		return unknown
	}
	first, rest, _ := strings.Cut(n.Text, ".")
	name, more, _ := strings.Cut(rest, ".")
	switch first {
	case "github":
		if below, ok := strings.CutPrefix(n.Text, "github.event.inputs"); ok {
			return s.input(strings.TrimPrefix(below, "."))
		}
		return eventText(n.Text)
	case "inputs":
		return s.input(name)
	case "env":
		return s.variable(name, hops)
	case "matrix":
		return s.matrix(name, hops)
	case "steps":
		return s.output(name, more, hops)
	case "needs":
		return s.job.needed(name, more, hops)
	}
	return fixed
}

// eventText tells who writes a part of the context github.
func eventText(path string) origin {
	if path == "github" || path == "github.event" {
		return outsiders
	}
	if o, ok := namedContexts[path]; ok {
		return o
	}
	if !strings.HasPrefix(path, "github.event.") {
		return fixed
	}
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case slices.Contains(fixedFields, last), strings.HasSuffix(last, "_id"), strings.HasSuffix(last, "_at"), strings.HasSuffix(last, "_count"):
		return fixed
	case strings.HasSuffix(last, "url") && !strings.Contains(path, "pull_request.head.repo") && last != "target_url":
		return fixed // a number or a hash within an address of the forge's
	case below(path, fixedBelow...):
		return fixed
	case below(path, writtenBelow...):
		return writers
	case below(path, "github.event.commits", "github.event.head_commit"):
		return merged
	}
	return outsiders
}

func below(path string, of ...string) bool {
	return slices.ContainsFunc(of, func(top string) bool { return path == top || strings.HasPrefix(path, top+".") })
}

// input tells who chooses an input of the workflow or action. One that has a form is no text.
func (s *step) input(name string) origin {
	name = strings.ToLower(name)
	if s.kind == isAction {
		if _, ok := s.fold("inputs", func() pipeline.Node { return s.root.Get("inputs") })[name]; ok {
			return starters
		}
		return fixed // empty
	}
	for _, event := range []string{"workflow_call", "workflow_dispatch"} {
		inputs := s.fold(event, func() pipeline.Node { return s.root.Get("on", event, "inputs") })
		if name == "" || name == "*" {
			for _, in := range inputs {
				if isFree(in.value) {
					return starters
				}
			}
		} else if in, ok := inputs[name]; ok && isFree(in.value) {
			return starters
		}
	}
	return fixed
}

// isFree tells whether an input can be any text.
func isFree(input pipeline.Node) bool {
	return !slices.Contains([]string{"boolean", "number", "choice", "environment"}, input.Get("type").Text())
}

// variable tells who writes an environment variable, from where the definition sets it. One that it does not set comes from an earlier step.
func (s *step) variable(name string, hops int) origin {
	for _, env := range s.envs() {
		if e, ok := env[strings.ToLower(name)]; ok {
			return s.text(e.value.Text(), hops-1)
		}
	}
	if s.runnerSets(name) {
		return fixed
	}
	return unknown
}

// envs are the variables of a step, its job and the file, the nearest first.
func (s *step) envs() []map[string]entry {
	id := "action"
	if s.model != nil {
		id = s.model.ID
	}
	return []map[string]entry{
		s.fold(fmt.Sprintf("step %d of %s", s.index, id), func() pipeline.Node { return s.node.Get("env") }),
		s.fold("job "+id, s.job.envOf),
		s.fold("env", func() pipeline.Node { return s.root.Get("env") }),
	}
}

// runnerSets tells whether the runner sets a variable for every job, or its system.
func (s *step) runnerSets(name string) bool {
	upper := strings.ToUpper(name)
	return slices.Contains([]string{"CI", "HOME", "PATH", "PWD", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "TMPDIR", "TEMP", "TMP"}, upper) ||
		strings.HasPrefix(upper, "RUNNER_") || strings.HasPrefix(upper, "GITHUB_")
}

func (j *job) envOf() pipeline.Node {
	if j.model == nil {
		return pipeline.Node{}
	}
	return j.node.Get("env")
}

// text tells who writes what the expressions in a text stand for.
func (s *step) text(text string, hops int) origin {
	worst := fixed
	for _, e := range expression.In(text) {
		for n := range e.Root.Flows {
			worst = max(worst, s.origin(n, hops))
		}
	}
	return worst
}

// matrix tells who writes a key of the job's matrix: the definition, unless it is computed.
func (s *step) matrix(key string, hops int) origin {
	if o, ok := s.rows[key]; ok {
		return o
	}
	if s.rows == nil {
		s.rows = map[string]origin{}
	}
	s.rows[key] = unknown // if it is made of itself
	s.rows[key] = s.row(key, hops)
	return s.rows[key]
}

func (s *step) row(key string, hops int) origin {
	m := s.job.node.Get("strategy", "matrix")
	if m.IsText() {
		return max(unknown, s.text(m.Text(), hops-1))
	}
	worst := fixed
	look := func(n pipeline.Node) {
		for _, scalar := range n.Scalars() {
			if computed(scalar.Text()) {
				worst = max(worst, unknown, s.text(scalar.Text(), hops-1))
			}
		}
	}
	for name, values := range m.Pairs() {
		switch {
		case strings.EqualFold(name.Text(), key) || key == "*" || key == "":
			look(values)
		case name.Text() == "include":
			if values.IsText() {
				look(values)
			}
			for entry := range values.Items() {
				for name, value := range entry.Pairs() {
					if strings.EqualFold(name.Text(), key) {
						look(value)
					}
				}
			}
		}
	}
	return worst
}

// Outputs of actions that are what somebody outside has written: names of changed files and of branches, titles, comments.
var tellingOutputs = map[string][]string{
	"tj-actions/changed-files":                  {"*"},
	"tj-actions/branch-names":                   {"*"},
	"dorny/paths-filter":                        {"*_files"},
	"jitterbit/get-changed-files":               {"*"},
	"trilom/file-changes-action":                {"*"},
	"lots0logs/gh-action-get-changed-files":     {"*"},
	"xt0rted/pull-request-comment-branch":       {"head_ref"},
	"alessbell/pull-request-comment-branch":     {"head_ref"},
	"eficode/resolve-pr-refs":                   {"head_ref"},
	"potiuk/get-workflow-origin":                {"sourceHeadBranch"},
	"peter-murray/issue-body-parser-action":     {"*"},
	"stefanbuck/github-issue-parser":            {"*"},
	"octokit/request-action":                    {"data"},
	"peter-evans/find-comment":                  {"comment-body"},
	"khan/pull-request-comment-trigger":         {"comment_body"},
	"jwalton/gh-find-current-pr":                {"title", "body"},
	"the-coding-turtle/ga-file-changes":         {"*"},
	"gotson/pull-request-comment-branch":        {"head_ref"},
	"ahmadnassri/action-changed-files":          {"*"},
	"masesgroup/retrieve-changed-files":         {"*"},
	"yumemi-inc/changed-files":                  {"*"},
	"franzdiebold/github-env-vars-action":       {"CI_HEAD_REF", "CI_PR_TITLE", "CI_PR_DESCRIPTION", "CI_REF_NAME"},
	"8bitjonny/gh-get-current-pr":               {"pr_title", "pr_body"},
	"mikepenz/release-changelog-builder-action": {"changelog"},
}

// output tells who writes an output of an earlier step of the job.
func (s *step) output(id, rest string, hops int) origin {
	kind, name, _ := strings.Cut(rest, ".")
	if kind != "outputs" {
		return fixed
	}
	if before := s.job.byName(id); before != nil && before != s {
		if before.uses != nil {
			for _, pattern := range tellingOutputs[strings.ToLower(before.uses.Name)] {
				suffix, any := strings.CutPrefix(pattern, "*")
				if any && strings.HasSuffix(name, suffix) || strings.EqualFold(pattern, name) {
					return outsiders
				}
			}
			return unknown
		}
		return max(unknown, before.writes(name, hops-1))
	}
	return unknown
}

// writes tells who writes what a step's script puts into an output, as far as a single line shows it: name=$VARIABLE or name=${{ … }}.
func (s *step) writes(output string, hops int) origin {
	worst := fixed
	for line := range strings.SplitSeq(s.run.Text(), "\n") {
		if _, value, ok := strings.Cut(strings.ToLower(line), strings.ToLower(output)+"="); ok && strings.Contains(strings.ToUpper(line), "OUTPUT") {
			worst = max(worst, s.shellText(line[len(line)-len(value):], hops))
		}
	}
	return worst
}

// shellText tells who writes what a piece of a script expands to: by expressions, and by variables that hold such text.
func (s *step) shellText(text string, hops int) origin {
	worst := s.text(text, hops)
	for _, name := range shellVariables(text) {
		if o := s.variable(name, hops); o != unknown {
			worst = max(worst, o)
		}
	}
	return worst
}

// needed tells who writes what a job before this one hands over.
func (j *job) needed(id, rest string, hops int) origin {
	kind, name, _ := strings.Cut(rest, ".")
	if kind != "outputs" {
		return fixed
	}
	if other := j.byID[strings.ToLower(id)]; other != nil {
		outputs := j.fold("outputs of "+other.model.ID, func() pipeline.Node { return other.node.Get("outputs") })
		if e, ok := outputs[strings.ToLower(name)]; ok {
			end := &step{job: other, index: len(other.steps)}
			return max(unknown, end.text(e.value.Text(), hops-1))
		}
	}
	return unknown
}

// byName is the step of an id, or nil.
func (j *job) byName(id string) *step {
	if j.ids == nil {
		j.ids = map[string]*step{}
		for _, s := range j.steps {
			if id := strings.ToLower(s.node.Get("id").Text()); id != "" && j.ids[id] == nil {
				j.ids[id] = s
			}
		}
	}
	return j.ids[strings.ToLower(id)]
}
