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

var untrustedCheckout = rule{
	Rule: audit.Rule{
		ID: "untrusted-checkout", Title: "A privileged trigger runs outsiders' code", Category: audit.CategoryPipeline, Severity: audit.Critical, CWE: 829, Confidence: audit.MediumConfidence,
		Help: help(`
The event gives the job the repository's secrets and token, and then the job fetches what somebody has proposed and runs it: a build, a test, an install, a
local action. Whoever opens the pull request has all that the job holds.`, `
on: pull_request_target
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: npm ci && npm test`, `
on: pull_request
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683
      - run: npm ci && npm test`, `
pull_request starts the job, its condition asks for another event, the base is checked out, or a condition asks that the head is of the same repository. Where nothing is run of what was fetched, or the job
holds nothing, it is medium; where neither is so, low.`),
		Fix: []string{
			"Use pull_request for what builds and tests, and a second workflow for what needs rights",
			"Where the code is only read, check it out below a path of its own, and run nothing of it",
		},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow {
			return
		}
		for _, j := range f.jobs {
			open := j.on(pipeline.HandedEvents)
			if len(open) == 0 || asksForOwn(expression.Of(j.node.Get("if").Text()), open) {
				continue
			}
			for i, s := range j.steps {
				if s.fetchesProposal() && !asksForOwn(expression.Of(s.node.Get("if").Text()), open) {
					say(j.fetched(s, j.steps[i:], open[0]))
					break
				}
			}
		}
	},
}

func (j *job) fetched(s *step, rest []*step, event string) problem {
	p := problem{at: s.node.At(), name: j.label()}
	path := s.with("path").Text()
	what := fmt.Sprintf("%s starts %s for outsiders, and %s fetches what they propose", event, j.label(), s.label())
	run, how := (*step)(nil), ""
	for _, later := range rest {
		if how = later.executes(path, later == s); how != "" {
			run = later
			break
		}
	}
	if p.stakes = (&audit.Stakes{None: audit.Low, Some: audit.Medium}); run != nil {
		p.stakes = &audit.Stakes{None: audit.Medium, Some: audit.Critical}
	}
	if run != nil && j.selfHosted() { // which is something to hold, too
		p.stakes.None = audit.Critical
	}
	switch {
	case run == nil && j.stake.holds():
		p.severity, p.evidence = audit.Medium, what+"; nothing is known to run it. The job holds "+j.stake.String()
	case run == nil:
		p.severity, p.evidence = audit.Low, what+"; nothing is known to run it"
	case !j.stake.holds() && !j.selfHosted():
		p.severity, p.evidence = audit.Medium, fmt.Sprintf("%s; %s runs it (%s). The job holds %s", what, run.label(), how, j.stake)
	default:
		p.evidence = fmt.Sprintf("%s; %s runs it (%s). The job holds %s", what, run.label(), how, j.stake)
	}
	return p
}

// proposal are the names of a pull request's head, or of what it was merged to, among the parts of an expression.
var proposal = []string{
	"github.head_ref", "github.event.pull_request.head.sha", "github.event.pull_request.head.ref", "github.event.pull_request.merge_commit_sha",
	"github.event.workflow_run.head_sha", "github.event.workflow_run.head_branch", "github.event.workflow_run.head_commit.id",
	"github.event.pull_request.head.repo.full_name", "github.event.workflow_run.head_repository.full_name", "github.event.pull_request.head.label",
}

var (
	pullRef = lazyregexp.New(`refs/pull/|\bpull/\$?\{?`)
	// headOutput is what actions call the head of the pull request that they have looked up.
	headOutput = lazyregexp.New(`^(?:steps|needs)\..*outputs\.(?:.*(?:head|pr|pull)[-_]?(?:request[-_]?)?(?:sha|ref|branch|commit|repo).*|sha|ref|branch|commit)$`)
	// fetchCommand gets a pull request's code without an action.
	fetchCommand = lazyregexp.New(`\bgh\s+pr\s+checkout\b|\bgit\s+(?:-\S+\s+)*(?:fetch|pull|clone|checkout|worktree\s+add)\b[^\n]*(?:pull/|head_ref|head\.ref|head\.sha|HEAD_REF|HEAD_SHA|PR_HEAD|PR_SHA|pr_head)`)
)

// fetchesProposal tells whether a step checks out the head of a pull request.
func (s *step) fetchesProposal() bool {
	if s.run.IsText() {
		return fetchCommand().MatchString(s.run.Text())
	}
	if !s.is("actions/checkout") {
		return false
	}
	for _, input := range []string{"ref", "repository"} {
		text := s.with(input).Text()
		if pullRef().MatchString(text) {
			return true
		}
		if s.proposes(text, maxHops) {
			return true
		}
	}
	return false
}

func (s *step) proposes(text string, hops int) bool {
	if hops == 0 {
		return false
	}
	for _, e := range expression.In(text) {
		for n := range e.Root.Flows {
			for _, name := range proposal {
				if n.Is(name) {
					return true
				}
			}
			if headOutput().MatchString(n.Text) && !s.baseOnly() {
				return true
			}
			if name, ok := strings.CutPrefix(n.Text, "env."); ok {
				if value := s.setTo(name); value != "" && (pullRef().MatchString(value) || s.proposes(value, hops-1)) {
					return true
				}
			}
		}
	}
	return false
}

// baseOnly tells whether outputs that are called sha or ref can hardly be a pull request's: no event of the workflow is about one.
func (s *step) baseOnly() bool {
	return len(s.on([]string{"pull_request_target", "issue_comment", "workflow_run"})) == 0
}

// setTo is what the definition sets an environment variable to, for a step.
func (s *step) setTo(name string) string {
	for _, env := range []string{s.node.Get("env", name).Text(), s.job.envOf().Get(name).Text(), s.root.Get("env", name).Text()} {
		if env != "" {
			return env
		}
	}
	return ""
}

// requires tells whether a condition is true only where one of what is looked for is.
func requires(condition *expression.Node, one func(*expression.Node) bool) bool {
	inside := func(n *expression.Node) bool { return requires(n, one) }
	switch {
	case condition == nil:
		return false
	case one(condition):
		return true
	case condition.Kind == expression.And:
		return slices.ContainsFunc(condition.Args, inside)
	case condition.Kind == expression.Or:
		return !slices.ContainsFunc(condition.Args, func(n *expression.Node) bool { return !inside(n) })
	}
	return false
}

// asksForOwn tells whether a condition lets of some events only those through that are of the repository's own branches, or nobody else's.
func asksForOwn(condition *expression.Node, events []string) bool {
	return requires(condition, func(n *expression.Node) bool {
		return isOwn(n) || !slices.ContainsFunc(events, func(event string) bool { return !excludes(n, event) })
	})
}

// isOwn tells whether a part of a condition is true for the repository's own branches alone.
func isOwn(n *expression.Node) bool {
	if n.Kind == expression.Not {
		return n.Args[0].Is("github.event.pull_request.head.repo.fork")
	}
	if n.Kind != expression.Compare {
		return false
	}
	for i, side := range n.Args {
		other := n.Args[1-i]
		switch {
		case n.Text == "==" && side.Under("github.event.pull_request.head.repo") && (other.Under("github.repository") || other.Under("github.event.pull_request.base.repo") || other.Under("github.event.repository") || other.Kind == expression.Literal && other.Text == "false"):
			return true
		case n.Text == "==" && (side.Is("github.event.pull_request.head.repo.full_name") || side.Is("github.event.pull_request.head.repo.owner.login")) && other.Kind == expression.Literal:
			return true
		case n.Text == "==" && side.Under("github.event.workflow_run.head_repository") && (other.Under("github.repository") || other.Under("github.event.repository") || other.Under("github.repository_owner")):
			return true
		case n.Text == "==" && side.Is("github.event.workflow_run.event") && other.Kind == expression.Literal && other.Text != "pull_request" && other.Text != "pull_request_target":
			return true
		case n.Text == "!=" && side.Is("github.event.workflow_run.event") && other.Kind == expression.Literal && other.Text == "pull_request":
			return true
		}
	}
	return false
}

// executed are commands that run what lies in the directory: its scripts, or those that its configuration names.
var executed = lazyregexp.New(`(?m)(?:^|[\s;&|(])(?:` +
	`\./\S+|(?:ba|z|da)?sh\s+(?:-\w+\s+)*[\w./-]+\.sh|source\s+\S+|\.\s+\./?\S+|python[0-9.]*\s+(?:-\w\s+)*[\w./-]+\.py|python[0-9.]*\s+-m\s+(?:pytest|pip\s+install|build|tox|nox|unittest)|node\s+[\w./-]+|deno\s+(?:run|task|test)|ruby\s+[\w./-]+|perl\s+[\w./-]+|` +
	`(?:npm|pnpm|yarn|bun)(?:\s+(?:-\S+\s+)*(?:i|ci|install|run|test|t|start|exec|build|rebuild|pack|publish|lint|dlx|add)\b|\s*$|\s*&&)|npx\s+\S+|lerna\s+\S+|nx\s+\S+|turbo\s+\S+|` +
	`pip[0-9.]*\s+install\s+[^\n]*(?:-r|-e|\.)|pipenv\s+(?:install|run)|poetry\s+(?:install|run|build)|uv\s+(?:sync|run|build|pip\s+install)|tox\b|nox\b|pytest\b|pre-commit\s+run|mkdocs\s+build|sphinx-build|hatch\s+\S+|` +
	`make\b|cmake\b|ninja\b|just\s+\S+|task\s+\S+|bazel(?:isk)?\s+\S+|mvnw?\s+\S+|gradle\s+\S+|ant\b|sbt\s+\S+|lein\s+\S+|` +
	`go\s+(?:generate|test|run|build|install|vet)|cargo\s+\S+|dotnet\s+(?:build|test|run|restore|publish|pack)|msbuild\s+\S+|swift\s+(?:build|test|run)|xcodebuild\b|flutter\s+\S+|dart\s+run|mix\s+\S+|rebar3\s+\S+|stack\s+\S+|cabal\s+\S+|nix(?:-build|-shell|\s+(?:build|develop|run|flake))\b|` +
	`bundle\s+(?:install|exec)|rake\b|rails\s+\S+|gem\s+build|composer\s+(?:install|update|run)|phpunit\b|` +
	`docker\s+(?:build|buildx|compose)\b|docker-compose\b|podman\s+build|buildah\b|terraform\s+(?:init|plan|apply)|tofu\s+(?:init|plan|apply)|terragrunt\s+\S+|ansible-playbook\b|pulumi\s+\S+|helm\s+(?:template|install|upgrade|dependency)|kustomize\s+build|` +
	`eslint\b|stylelint\b|rubocop\b|golangci-lint\s+run|goreleaser\s+\S+|hugo\b|jekyll\b|vitest\b|jest\b|webpack\b|vite\s+build|next\s+build)`)

// buildActions run what lies in the directory.
var buildActions = map[string]bool{
	"docker/build-push-action": true, "docker/bake-action": true, "golangci/golangci-lint-action": true, "goreleaser/goreleaser-action": true, "gradle/gradle-build-action": true,
	"pre-commit/action": true, "ruby/setup-ruby": true, "cypress-io/github-action": true, "actions-rs/cargo": true, "oxsecurity/megalinter": true,
	"bridgecrewio/checkov-action": true, "sonarsource/sonarqube-scan-action": true, "sonarsource/sonarcloud-github-action": true, "nick-fields/retry": true,
	"borales/actions-yarn": true, "bahmutov/npm-install": true, "andresz1/size-limit-action": true, "preactjs/compressed-size-action": true, "wagoid/commitlint-github-action": true,
	"reviewdog/action-eslint": true, "pypa/cibuildwheel": true, "hynek/build-and-inspect-python-package": true, "dflook/terraform-plan": true, "helm/chart-testing-action": true,
	"cloudflare/wrangler-action": true, "amondnet/vercel-action": true, "firebaseextended/action-hosting-deploy": true, "chromaui/action": true, "percy/exec-action": true,
}

// executes says how a step runs what was fetched into a path, or "". Of a script that fetches it counts what comes after.
func (s *step) executes(path string, same bool) string {
	if s.uses != nil {
		switch name := strings.ToLower(s.uses.Name); {
		case same:
			return ""
		case strings.HasPrefix(s.uses.Text, "./"):
			if path == "" || strings.HasPrefix(strings.TrimPrefix(s.uses.Text, "./"), strings.TrimPrefix(path, "./")) {
				return s.uses.Text
			}
			return ""
		case buildActions[name] && path == "":
			return s.uses.Text
		}
	}
	for _, script := range s.scripts() {
		text := script.Text()
		if same {
			at := fetchCommand().FindStringIndex(text)
			if at == nil {
				return ""
			}
			text = text[at[1]:]
		}
		if path != "" && !strings.Contains(text, path) && !strings.Contains(s.node.Get("working-directory").Text(), path) {
			continue
		}
		for l := range commandLines(text) {
			if m := executed().FindString(l.text); m != "" && (s.run.IsText() || s.uses != nil && buildActions[strings.ToLower(s.uses.Name)]) {
				return strings.Trim(m, " \t;&|(")
			}
		}
	}
	return ""
}
