package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
)

var oidcAnyBranch = rule{
	Rule: audit.Rule{
		ID: "oidc-any-branch", Title: "Cloud identity can be had from any branch", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 284, Confidence: audit.MediumConfidence,
		Help: help(`
The job may have its identity confirmed, and runs for any branch: whoever may push one changes the job and logs in to what trusts the repository, without a
review. Only the trust policy over there can still tell the branch: with the accounts, leakreach scan github:OWNER aws:PROFILE and leakreach reach judge by it.`, `
on: push
jobs:
  deploy:
    permissions: {id-token: write}
    steps:
      - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502`, `
on: {push: {branches: [main]}}
jobs:
  deploy:
    environment: production   # which the trust policy asks for
    permissions: {id-token: write}
    steps:
      - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502`, `
the job names an environment, or a filter, condition or rule asks for a branch, a tag or a protected ref. Where no step is known to log in to a cloud it is medium.`),
		Fix: []string{"Give the job an environment, and have the trust policy ask for it", "Limit the event to the branches that need it"},
	},
	judge: func(f *file, say func(problem)) {
		if f.kind == isGitLab {
			if f.pipelineAsksForProtected() {
				return
			}
			for _, j := range f.jobs {
				if !j.model.Template && j.stake.oidc && j.model.Environment.Value == "" && !j.asksForProtected() {
					say(problem{at: j.model.At, name: j.label(), evidence: fmt.Sprintf("%s has id_tokens, and no rule of it asks for a branch, a tag or a protected ref", j.label())})
				}
			}
			return
		}
		event, _ := f.anyBranch()
		if f.kind != isWorkflow || event == "" {
			return
		}
		for _, j := range f.jobs {
			if !j.stake.oidc || j.node.Get("environment").Is() || asksForRef(j.node.Get("if").Text()) {
				continue
			}
			p := problem{at: j.model.At, name: j.label(), evidence: fmt.Sprintf("%s starts %s on any branch, and it may have its identity confirmed", event, j.label())}
			if !slices.ContainsFunc(j.steps, (*step).logsIn) {
				p.severity = audit.Medium
			}
			say(p)
		}
	},
}

// logsIn tells whether a step logs in to a cloud or a vault with the job's identity.
func (s *step) logsIn() bool {
	return s.is("aws-actions/configure-aws-credentials", "google-github-actions/auth", "azure/login", "hashicorp/vault-action", "alibabacloud/configure-alibaba-credentials-action",
		"jfrog/setup-jfrog-cli", "depot/setup-action", "pypa/gh-action-pypi-publish", "rubygems/release-gem", "octo-sts/action")
}

// pipelineAsksForProtected tells whether the rules of a whole GitLab pipeline ask for a ref.
func (f *file) pipelineAsksForProtected() bool {
	for rule := range f.root.Get("workflow", "rules").Items() {
		if refRule().MatchString(rule.Get("if").Text()) {
			return true
		}
	}
	return false
}

// asksForProtected tells whether a GitLab job's own rules do.
func (j *job) asksForProtected() bool {
	all := slices.Clone(j.model.Rules)
	for _, only := range j.node.Get("only").Scalars() {
		all = append(all, "only "+only.Text())
	}
	return len(j.model.Extends) > 0 || slices.ContainsFunc(all, refRule().MatchString)
}

var refRule = lazyregexp.New(`CI_COMMIT_REF_PROTECTED|CI_DEFAULT_BRANCH|CI_COMMIT_(?:BRANCH|REF_NAME|TAG)\b|CI_PIPELINE_SOURCE\s*==\s*["']schedule|^only (?:main|master|tags|schedules|/|[\w./-]+@)`)

var oidcInUnpinnedCode = rule{
	Rule: audit.Rule{
		ID: "oidc-in-unpinned-code", Title: "Identity is made inside mutable foreign code", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 829,
		Help: help(`
All that runs in the job can have its identity confirmed, and log in to whatever trusts it. An action, image or workflow by a name that can move is
somebody else's choice of what that is.`, `
permissions: {id-token: write}
steps:
  - uses: acme/deploy@v1`, `
permissions: {id-token: write}
steps:
  - uses: acme/deploy@0123456789abcdef0123456789abcdef01234567 # v1.4.2`, `
the components are named by commit or digest, or are GitHub's or the repository owner's own.`),
		Fix: []string{"Name the component by its commit or digest", "Or log in and deploy in a job that has no foreign code"},
	},
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			if !j.stake.oidc || j.model == nil || j.model.Template {
				continue
			}
			list, _ := j.foreign()
			if f.kind == isGitLab {
				list = append(list, f.foreignIncludes()...)
			}
			if len(list) > 0 {
				say(problem{at: list[0].At, name: j.label(), evidence: fmt.Sprintf("%s may have its identity confirmed, and runs %s", j.label(), texts(list))})
			}
		}
	},
}

// foreignIncludes are what a GitLab definition takes in by a name that can move.
func (f *file) foreignIncludes() (list []use) {
	for _, c := range f.Includes {
		if (c.Pin == pipeline.Named || c.Pin == pipeline.Unnamed) && c.Kind != pipeline.Template {
			list = append(list, use{Component: c, name: "include"})
		}
	}
	return list
}

// isTag tells whether a ref is called as versions are.
func isTag(ref string) bool {
	s := strings.TrimPrefix(ref, "v")
	return s != "" && '0' <= s[0] && s[0] <= '9'
}
