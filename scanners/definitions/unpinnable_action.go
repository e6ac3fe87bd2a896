package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

var unpinnableAction = rule{
	Rule: audit.Rule{
		ID: "unpinnable-action", Title: "Naming the action's commit does not hold its parts", Category: audit.CategoryPipeline, Severity: audit.Medium, CWE: 829,
		Help: help(`
Whoever names this action by its commit still gets what its parts are on that day: actions and images that it names by a tag, a branch or not at all. So
reviewdog's setup action reached all that called the actions around it.`, `
# action.yml
runs:
  using: composite
  steps:
    - uses: acme/setup@v1`, `
# action.yml
runs:
  using: composite
  steps:
    - uses: acme/setup@0123456789abcdef0123456789abcdef01234567 # v1.4.2`, `
each part is named by its commit or digest, or lies in the same repository. With parts of GitHub's own only it is low.`),
		Fix: []string{"Name each action by its commit and each image by its digest"},
	},
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind != isAction {
			return
		}
		var parts []string
		var at pipeline.Position
		trusted := true
		add := func(c *pipeline.Component) {
			if len(parts) == 0 {
				at = c.At
			}
			parts = append(parts, c.Text)
			trusted = trusted && c.Kind != pipeline.Image && f.isTrusted(c.Name)
		}
		for _, u := range f.jobs[0].used() {
			if u.mutable() {
				add(&u.Component)
			}
		}
		if c, ok := f.actionImage(); ok && (c.Pin == pipeline.Named || c.Pin == pipeline.Unnamed) {
			add(&c)
		}
		if len(parts) == 0 {
			return
		}
		p := problem{at: at, name: "parts", evidence: "of its parts these can change: " + strings.Join(parts[:min(len(parts), 10)], ", ")}
		if trusted {
			p.severity = audit.Low
		}
		if n := len(parts) - 10; n > 0 {
			p.evidence += fmt.Sprintf(" and %d more", n)
		}
		say(p)
	},
}

// actionImage is the image that an action runs in, if it fetches one.
func (f *file) actionImage() (pipeline.Component, bool) {
	image := f.root.Get("runs", "image")
	if f.kind != isAction || !strings.HasPrefix(image.Text(), "docker://") {
		return pipeline.Component{}, false
	}
	return image.Component(pipeline.Action), true // which knows the prefix
}
