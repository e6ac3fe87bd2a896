package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var hardcodedCredential = rule{
	Rule: audit.Rule{
		ID: "hardcoded-credential", Title: "Password is written into the definition", Category: audit.CategoryPipeline, Severity: audit.High, CWE: 798, Confidence: audit.MediumConfidence,
		Help: help(`
Everybody who can read the repository, its forks and its copies has the password, and its history keeps it after the line is gone.`, `
container:
  image: registry.example.com/acme/build
  credentials:
    username: ci
    password: correct-horse`, `
container:
  image: registry.example.com/acme/build
  credentials:
    username: ci
    password: ${{ secrets.REGISTRY_PASSWORD }}`, `
the value is an expression or a variable, or is empty.`),
		Fix: []string{"Renew the password", "Keep the new one as a secret, and name it here"},
	},
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			j.passwords(func(name string, value pipeline.Node) {
				text := strings.TrimSpace(value.Text())
				if text == "" || computed(text) || strings.Contains(text, "$") || slices.Contains(placeholders, strings.ToLower(text)) {
					return
				}
				say(problem{at: value.At(), name: name, evidence: fmt.Sprintf("%s has the password in it as text", name)})
			})
		}
	},
}

// placeholders are what examples have in the place of a password, and "x", which some registries want beside a token.
var placeholders = []string{"x", "xxx", "***", "<password>", "your-password", "your_password", "changeme"}

// passwordInputs are the inputs of actions that log in somewhere.
var passwordInputs = map[string]string{
	"appleboy/ssh-action":                     "password",
	"appleboy/scp-action":                     "password",
	"azure/docker-login":                      "password",
	"docker/login-action":                     "password",
	"elgohr/publish-docker-github-action":     "password",
	"mr-smithers-excellent/docker-build-push": "password",
	"pypa/gh-action-pypi-publish":             "password",
	"redhat-actions/podman-login":             "password",
	"samkirkland/ftp-deploy-action":           "password",
}

func (j *job) passwords(tell func(name string, value pipeline.Node)) {
	if j.kind == isGitLab {
		for key, value := range j.node.Get("variables").Pairs() {
			if slices.Contains([]string{"CI_REGISTRY_PASSWORD", "CI_DEPLOY_PASSWORD", "DOCKER_PASSWORD", "DOCKER_AUTH_CONFIG", "AWS_SECRET_ACCESS_KEY"}, key.Text()) {
				tell(j.label()+", "+key.Text(), value)
			}
		}
		return
	}
	if j.model != nil {
		tell(j.label()+", container", j.node.Get("container", "credentials", "password"))
		for name, service := range j.node.Get("services").Pairs() {
			tell(j.label()+", service "+name.Text(), service.Get("credentials", "password"))
		}
	}
	for _, s := range j.steps {
		if s.uses == nil {
			continue
		}
		if input := passwordInputs[strings.ToLower(s.uses.Name)]; input != "" {
			tell(s.label(), s.with(input))
		}
	}
}
