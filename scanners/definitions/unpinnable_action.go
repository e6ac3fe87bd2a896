package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var unpinnableAction = rule{
	Rule:  known.UnpinnableAction,
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
			trusted = trusted && c.Kind != pipeline.Image && f.isTrusted(c)
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
