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

var unpinnedImage = rule{
	Rule: audit.Rule{
		ID: "unpinned-image", Title: "Image by a tag that can move", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 829,
		Help: help(`
A tag of an image is what its registry says at that minute. In March 2026 images of Trivy were replaced under their tags for some hours, and took the
credentials of the jobs that ran in them. A digest is the content itself.`, `
container: ghcr.io/acme/build:latest`, `
container: ghcr.io/acme/build:1.4@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`, `
a digest stands in it, it is computed from what the same pipeline builds, or its name is not known before it runs. With a tag of a version it is low, with none or
"latest" medium.`),
		Fix: []string{"Add the digest behind the tag, and let a bot move both"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for _, image := range j.images() {
				c := image.Component
				if !image.mutable() {
					continue
				}
				p := problem{at: c.At, name: j.label() + ", " + c.Text, evidence: fmt.Sprintf("the image %s in %s has no digest", c.Text, j.label())}
				if c.Pin == pipeline.Named && c.Ref != "latest" {
					p.severity = audit.Low
				}
				say(p)
			}
		}
	},
}

// images are all that a job runs in or beside, and steps that are one. Of those whose name is computed it has what the definition shows: the values of a
// matrix, and texts that a condition chooses from.
func (j *job) images() (list []use) {
	add := func(c pipeline.Component) {
		if c.Name != "" {
			list = append(list, use{Component: c, name: j.label()})
		}
	}
	switch {
	case j.kind == isGitLab:
		for _, c := range j.model.Code {
			if c.Kind == pipeline.Image && !strings.Contains(c.Text, "$") {
				add(c)
			}
		}
		return list
	case j.kind == isAction:
		if c, ok := j.actionImage(); ok {
			add(c)
		}
	default:
		of := func(container pipeline.Node) {
			image := container
			if container.IsMap() {
				image = container.Get("image")
			}
			values, _ := pipeline.Values(image.Text(), j.node)
			for _, text := range values {
				c := image.Component(pipeline.Image)
				if text != image.Text() {
					c = literalImage(text, image.At())
				}
				add(c)
			}
		}
		of(j.node.Get("container"))
		for _, service := range j.node.Get("services").Pairs() {
			of(service)
		}
	}
	for _, s := range j.steps {
		if s.uses != nil && s.uses.Kind == pipeline.Image {
			add(*s.uses)
		}
	}
	return list
}

// literalImage reads the name of an image that an expression has in it.
func literalImage(text string, at pipeline.Position) pipeline.Component {
	text = strings.TrimPrefix(text, "docker://")
	c := pipeline.Component{Kind: pipeline.Image, Text: text, Name: text, Pin: pipeline.Unnamed, At: at}
	if name, digest, ok := strings.Cut(text, "@"); ok {
		c.Name, c.Ref, c.Pin = name, digest, pipeline.Digest
	} else if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		c.Name, c.Ref, c.Pin = text[:i], text[i+1:], pipeline.Named
	}
	return c
}

var unpinnedTool = rule{
	Rule: audit.Rule{
		ID: "unpinned-tool", Title: "A pinned step fetches the newest tool", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 829, Confidence: audit.MediumConfidence,
		Help: help(`
The action is named by its commit, and then installs whatever version of its tool is newest at that minute. It was Trivy's binary that was replaced in March
2026: those who had pinned the action, and not the version, ran it.`, `
- uses: aquasecurity/setup-trivy@3fb12ec12f41e471780db15c232d5dd185dcb514 # v0.2.6`, `
- uses: aquasecurity/setup-trivy@3fb12ec12f41e471780db15c232d5dd185dcb514 # v0.2.6
  with:
    version: v0.70.0`, `
a version is given. Without secrets, rights to write and OIDC in the job it is low, as it is where the version is computed.`),
		Fix: []string{"Give the version, and let a bot move it"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		for _, j := range f.jobs {
			for _, s := range j.steps {
				if p, ok := s.tool(); ok {
					say(p)
				}
			}
		}
	},
}

// toolInputs are the inputs that choose the version of what an action installs, which is the newest one if nothing is said, or the newest of a major version:
// so say their action.yml. Actions are left out that look into a file of the repository first, and those that check a signature of their maker's.
var toolInputs = map[string]string{
	"1password/load-secrets-action":        "version",
	"aquasecurity/setup-trivy":             "version",
	"arduino/setup-task":                   "version",
	"azure/setup-helm":                     "version",
	"azure/setup-kubectl":                  "version",
	"crazy-max/ghaction-upx":               "version",
	"denoland/setup-deno":                  "deno-version",
	"fluxcd/flux2/action":                  "version",
	"golangci/golangci-lint-action":        "version",
	"google-github-actions/setup-gcloud":   "version",
	"goreleaser/goreleaser-action":         "version",
	"hashicorp/setup-packer":               "version",
	"hashicorp/setup-terraform":            "terraform_version",
	"imjasonh/setup-crane":                 "version",
	"imranismail/setup-kustomize":          "kustomize-version",
	"jdx/mise-action":                      "version",
	"ko-build/setup-ko":                    "version",
	"opentofu/setup-opentofu":              "tofu_version",
	"reviewdog/action-setup":               "reviewdog_version",
	"snyk/actions/setup":                   "snyk-version",
	"superfly/flyctl-actions/setup-flyctl": "version",
	"terraform-linters/setup-tflint":       "tflint_version",
}

// newest are the words by which those inputs ask for whatever is newest.
var newest = []string{"latest", "latest-release", "tip", "nightly", "canary", "*"}

// versionFiles are inputs that name a file with the version in it.
var versionFile = lazyregexp.New(`(?i)version[-_]?file|^version_file$`)

func (s *step) tool() (problem, bool) {
	if s.uses == nil {
		return problem{}, false
	}
	input, known := toolInputs[strings.ToLower(s.uses.Name)]
	if strings.EqualFold(s.uses.Name, "aquasecurity/trivy-action") && s.with("version").Text() == "latest" {
		input, known = "version", true
	}
	if condition := expression.Of(s.node.Get("if").Text()); !known || condition != nil && condition.Kind == expression.Literal && condition.Text == "false" {
		return problem{}, false
	}
	p := problem{at: s.uses.At, name: s.label()}
	version := s.with(input)
	switch {
	case !version.Is():
		for key := range s.node.Get("with").Pairs() {
			if versionFile().MatchString(key.Text()) {
				return problem{}, false
			}
		}
		p.evidence = fmt.Sprintf("%s installs the newest version: it says no %s", s.label(), input)
	case slices.Contains(newest, version.Text()):
		p.at, p.evidence = version.At(), fmt.Sprintf("%s installs the newest version, as %s: %s asks for", s.label(), input, version.Text())
	case computed(version.Text()) && !s.settled(version.Text()):
		p.at, p.severity, p.evidence = version.At(), audit.Low, fmt.Sprintf("%s installs a version that is computed: %s", s.label(), version.Text())
	default:
		return problem{}, false
	}
	if p.severity == "" {
		p.stakes = &audit.Stakes{None: audit.Low, Some: audit.Medium}
	}
	if !s.stake.holds() {
		p.severity = audit.Low
	}
	return p, true
}

// settled tells whether what a text becomes stands in the definition.
func (s *step) settled(text string) bool {
	for _, e := range expression.In(text) {
		for n := range e.Root.Flows {
			if !n.Under("env") && !n.Under("matrix") || s.origin(n, maxHops) != fixed {
				return false
			}
		}
	}
	return true
}
