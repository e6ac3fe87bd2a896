package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

var secretOutsideEnvironment = rule{
	Rule: audit.Rule{
		ID: "secret-outside-environment", Title: "Secret is not bound to an environment", Category: audit.CategoryPipeline, Severity: audit.Low, CWE: 284,
		Help: help(`
A secret of the repository or the organisation is for every workflow on every branch. One of an environment is for jobs that name the environment, and
the forge lets those run only from the branches, and after the reviews, that the environment asks for.`, `
jobs:
  deploy:
    steps:
      - run: ./deploy
        env:
          DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}`, `
jobs:
  deploy:
    environment: production   # which has the secret, and takes jobs of main alone
    steps:
      - run: ./deploy
        env:
          DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}`, `
the job names an environment, it is a reusable workflow's, or the secret is GITHUB_TOKEN.`),
		Fix: []string{"Make an environment with a branch policy, and move the secret there"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isWorkflow || len(f.on([]string{"workflow_call"})) > 0 {
			return
		}
		for _, j := range f.jobs {
			if j.node.Get("environment").Is() || j.model.Call != nil {
				continue
			}
			var names []string
			var places []pipeline.Position
			for e := range expressions(j.node) {
				for n := range e.Root.All {
					if !n.Under("secrets") || n.Text == "secrets" || isToken(n.Text) {
						continue
					}
					places = append(places, e.in.Place(n.Offset))
					if name := strings.ToUpper(strings.TrimPrefix(n.Text, "secrets.")); !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
			for _, at := range places {
				say(problem{at: at, name: j.label(), evidence: fmt.Sprintf("%s takes %s, and names no environment", j.label(), strings.Join(names, ", "))})
			}
		}
	},
}

func isToken(path string) bool {
	return path == "secrets.github_token" || path == "secrets.gitea_token"
}

var secretAnyBranch = rule{
	Rule: audit.Rule{
		ID: "secret-any-branch", Title: "Any writer's branch can read the secret", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 284,
		Help: help(`
The job runs for any branch, and takes the definition and the code of that branch: whoever may push one changes the job and reads the secret, without
a review. Pull requests from branches of the same repository have the secrets too, and who starts a workflow by hand (workflow_dispatch) chooses the branch.`, `
on: push
jobs:
  test:
    steps:
      - run: make test
        env:
          TOKEN: ${{ secrets.TOKEN }}`, `
on: {push: {branches: [main]}}
jobs:
  test:
    environment: test   # whose branch policy lets only main in
    steps:
      - run: make test
        env:
          TOKEN: ${{ secrets.TOKEN }}`, `
the job names an environment, a filter or a condition asks for branches or tags, or the secret is GITHUB_TOKEN.`),
		Fix: []string{"Put the secret into an environment with a branch policy", "Limit the event to the branches that need it"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		event, at := f.anyBranch()
		if f.kind != isWorkflow || event == "" {
			return
		}
		for _, j := range f.jobs {
			if len(j.stake.secrets) == 0 || j.node.Get("environment").Is() || asksForRef(j.node.Get("if").Text()) || j.stepsAskForRef() {
				continue
			}
			say(problem{at: at, name: j.label(), evidence: fmt.Sprintf("%s starts %s on any branch, with %s", event, j.label(), j.stake)})
		}
	},
}

// anyBranch is an event that starts the file's jobs for a branch of whoever may push one, or for any branch that somebody chooses who may.
func (f *file) anyBranch() (name string, at pipeline.Position) {
	for _, e := range f.Events {
		limited := slices.ContainsFunc(e.Filters, func(x pipeline.Filter) bool {
			return (x.Name == "branches" || x.Name == "tags") && !slices.Contains(x.Values, "**") && !slices.Contains(x.Values, "*")
		})
		switch {
		case e.Name == "push" && !limited, e.Name == "pull_request":
			return e.Name, e.At
		case e.Name == "workflow_dispatch":
			name, at = e.Name, e.At
		}
	}
	return name, at
}

// asksForRef tells whether a condition asks for a branch, a tag or an event.
func asksForRef(condition string) bool {
	for n := range expression.Of(condition).All {
		if n.Kind == expression.Context && slices.Contains([]string{"github.ref", "github.ref_name", "github.ref_type", "github.ref_protected", "github.event_name", "github.base_ref", "github.event.ref", "github.event.pull_request.merged"}, n.Text) {
			return true
		}
	}
	return false
}

// stepsAskForRef tells whether each step that takes a secret asks for a branch, a tag or an event.
func (j *job) stepsAskForRef() bool {
	for e := range expressions(j.node.Get("env")) {
		if takesSecret(e.Root) {
			return false
		}
	}
	asked := false
	for _, s := range j.steps {
		for e := range expressions(s.node) {
			if !takesSecret(e.Root) {
				continue
			}
			if !asksForRef(s.node.Get("if").Text()) {
				return false
			}
			asked = true
		}
	}
	return asked
}

func takesSecret(root *expression.Node) bool {
	for n := range root.All {
		if n.Under("secrets") && !isToken(n.Text) {
			return true
		}
	}
	return false
}

var secretBesideMutableCode = rule{
	Rule: audit.Rule{
		ID: "secret-beside-mutable-code", Title: "Mutable foreign code runs next to a secret", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829,
		Help: help(`
All that runs in a job can read what any part of it was given: from the environment, from disk, from the runner's memory. Whoever moves the tag of the action or
image, or who takes over its owner's account, has the secret with the next run. So the secrets of tj-actions' and Trivy's users were taken.`, `
steps:
  - uses: acme/changed-files@v1
  - run: ./deploy
    env:
      DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}`, `
steps:
  - uses: acme/changed-files@0123456789abcdef0123456789abcdef01234567 # v1.4.2
  - run: ./deploy
    env:
      DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}`, `
the components are named by commit or digest, or are GitHub's or the repository owner's own; those of the owner are medium. Tools that a script fetches are
curl-pipe-shell's.`),
		Fix: []string{"Name the component by its commit or digest", "Or give it a job of its own, without the secret"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			if len(j.stake.secrets) == 0 || j.model == nil || j.model.Call != nil {
				continue
			}
			foreign, own := j.foreign()
			p := problem{name: j.label()}
			switch {
			case len(foreign) > 0:
				p.at = foreign[0].At
				p.evidence = fmt.Sprintf("%s holds %s, and runs %s", j.label(), j.stake, texts(foreign))
			case len(own) > 0:
				p.at, p.severity = own[0].At, audit.Medium
				p.evidence = fmt.Sprintf("%s holds %s, and runs %s of the same owner", j.label(), j.stake, texts(own))
			default:
				continue
			}
			say(p)
		}
	},
}

// foreign are the components of a job that can change, and those of them that are of the repository's owner. GitHub's own are neither.
func (j *job) foreign() (foreign, own []use) {
	for _, u := range append(j.used(), j.images()...) {
		owner, _, _ := strings.Cut(strings.ToLower(u.Name), "/")
		switch {
		case !u.mutable():
		case u.Kind == pipeline.Image && j.owner() != "" && strings.Contains(strings.ToLower(u.Name), "/"+j.owner()+"/"):
			own = append(own, u) // quay.io/acme/build
		case u.Kind == pipeline.Image:
			foreign = append(foreign, u)
		case owner == "actions" || owner == "github":
		case owner == j.owner():
			own = append(own, u)
		default:
			foreign = append(foreign, u)
		}
	}
	return foreign, own
}

func texts(list []use) string {
	var all []string
	for _, u := range list {
		if !slices.Contains(all, u.Text) {
			all = append(all, u.Text)
		}
	}
	if n := len(all); n > 5 {
		all = append(all[:5], fmt.Sprintf("%d more", n-5))
	}
	return strings.Join(all, ", ")
}

var secretInScript = rule{
	Rule: audit.Rule{
		ID: "secret-in-script", Title: "Secret is expanded into script text", Category: audit.CategoryPipeline, Severity: audit.Low, CWE: 214,
		Help: help(`
The secret becomes a part of the script's text: the shell splits and expands what is in it, the script lies on disk with it, and
other processes of the machine see it among the arguments.`, `
- run: curl -H "Authorization: Bearer ${{ secrets.TOKEN }}" https://api.example.com/`, `
- run: curl -H "Authorization: Bearer $TOKEN" https://api.example.com/
  env:
    TOKEN: ${{ secrets.TOKEN }}`, `
it is handed over through env or an input other than the arguments of a container's program, or it is only compared with something.`),
		Fix: []string{"Hand the secret over through env, and name the variable in the script"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for _, s := range j.steps {
				for _, script := range append(s.scripts(), s.with("args"), s.with("entrypoint")) {
					for _, e := range expression.In(script.Text()) {
						for n := range e.Root.Flows {
							if n.Under("secrets") && !isToken(n.Text) {
								say(problem{at: script.Place(n.Offset), name: s.label() + ", " + n.Text, evidence: fmt.Sprintf("%s is expanded into the script of %s", strings.ToUpper(strings.TrimPrefix(n.Text, "secrets.")), s.label())})
							}
						}
					}
				}
			}
		}
	},
}
