package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var compromisedComponent = rule{
	Rule: known.CompromisedComponent,
	judge: func(f *file, say func(problem)) {
		seen := map[string]bool{} // of what the lock file tells
		for _, j := range f.jobs {
			for _, u := range append(j.used(), j.images()...) {
				var with []pipeline.Setting
				if u.step != nil {
					for key, value := range u.step.node.Get("with").Pairs() {
						with = append(with, pipeline.Setting{Name: key.Text(), Value: value.Text()})
					}
				}
				for _, hit := range f.feed.Look(&u.Component, with) {
					if hit.Through == "" || !f.holds(&u, hit.Component) {
						say(f.compromised(&u, &hit))
					}
				}
				if !f.lock.Lists(f.item.At.Path) {
					continue
				}
				for _, c := range f.lock.Pulled(&u.Component, seen) {
					for _, hit := range f.feed.Look(&c, nil) {
						if hit.Through == "" {
							p := f.compromised(&use{c, u.Text + " of " + u.name, u.step}, &hit)
							p.name = u.Text + ", " + p.name // as who asks about components calls it
							say(p)
						}
					}
				}
			}
		}
		for i := range f.Includes {
			for _, hit := range f.feed.Look(&f.Includes[i], nil) {
				say(f.compromised(&use{Component: f.Includes[i], name: "include"}, &hit))
			}
		}
	},
}

// holds tells whether the lock file holds the component of a name that another one pulls in, which then is judged by itself.
func (f *file) holds(outer *use, name string) bool {
	if !f.lock.Lists(f.item.At.Path) {
		return false
	}
	for c := range f.lock.Parts(&outer.Component) {
		if c.Pin != pipeline.Named && strings.EqualFold(c.Name, name) {
			return true
		}
	}
	return false
}

func (f *file) compromised(u *use, hit *advisory.Hit) problem {
	p := problem{at: u.At, name: u.Text + ", " + hit.Advisory.ID}
	if hit.Through != "" {
		p.name += ", " + hit.Component
	}
	if hit.Malicious {
		p.evidence = fmt.Sprintf("%s in %s is malicious: %s (%s)", u.Told(), u.name, hit.Advisory.Summary, hit.Advisory.ID)
		return p
	}
	var times []string
	inUse, later := false, true
	for _, w := range hit.Windows {
		times = append(times, w.String())
		since := f.item.At.At
		inUse = inUse || !since.IsZero() && since.Before(w.End)
		later = later && !since.IsZero() && !since.Before(w.End)
	}
	what := "it"
	if hit.Through != "" {
		what = hit.Through + ","
	}
	p.evidence = fmt.Sprintf("%s in %s: %s stood for malicious content (%s)", u.Text, u.name, what, hit.Advisory.ID)
	if len(times) > 0 {
		p.evidence += " from " + strings.Join(times, ", and from ")
	}
	switch {
	case hit.Advisory.Open:
	case inUse && hit.Certain && u.Ref != "latest":
		p.severity = audit.High
		p.evidence += "; the definition is older than that"
	case later, !hit.Certain, u.Ref == "latest", u.Pin == pipeline.Unnamed:
		p.severity = audit.Info
	default:
		p.severity = audit.Medium
	}
	return p
}
