package components

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var compromisedComponent = rule{
	Rule: known.CompromisedComponent,
	judge: func(u *use, say func(problem)) {
		chain := append(slices.Clone(u.through), u.Text)
		if hit := u.today(&u.Component, u.meaning); hit != nil {
			say(problem{name: hit.Advisory.ID, evidence: by(chain) + stands(u.meaning, hit)})
		}
		var own []string // advisories that the definition itself tells of
		for _, hit := range u.feed.Look(&u.Component, nil) {
			own = append(own, hit.Advisory.ID)
		}
		for _, p := range u.parts(false) {
			through := by(append(append(slices.Clone(chain), p.Through...), p.Told()))
			if hit := u.today(&p.Component, p.Meaning); hit != nil {
				say(problem{name: p.Text + ", " + hit.Advisory.ID, evidence: through + stands(p.Meaning, hit)})
				continue
			}
			for _, hit := range u.feed.Look(&p.Component, nil) {
				if hit.Through == "" && !slices.Contains(own, hit.Advisory.ID) { // what it calls is a part, too, and its inputs are not known
					say(moved(through, &p, &hit))
				}
			}
		}
	},
}

// today is the advisory of the content that a name stands for today; nil if there is none, or if it is named by that content.
func (s *survey) today(c *pipeline.Component, m *resolve.Meaning) *advisory.Hit {
	if c.Pin != pipeline.Named || m == nil {
		return nil
	}
	exact := *c
	exact.Ref, exact.Pin = m.Commit, pipeline.Commit
	for _, hit := range s.feed.Look(&exact, nil) {
		if hit.Malicious {
			return &hit
		}
	}
	return nil
}

func stands(m *resolve.Meaning, hit *advisory.Hit) string {
	return fmt.Sprintf(": it stands for %s today, which is malicious: %s (%s)", m.Commit, hit.Advisory.Summary, hit.Advisory.ID)
}

// moved is what is said of a part that an advisory names.
func moved(through string, p *resolve.Part, hit *advisory.Hit) problem {
	out := problem{name: p.Text + ", " + hit.Advisory.ID}
	if hit.Malicious {
		out.evidence = fmt.Sprintf("%s, which is malicious: %s (%s)", through, hit.Advisory.Summary, hit.Advisory.ID)
		return out
	}
	out.evidence = fmt.Sprintf("%s, which stood for malicious content (%s)", through, hit.Advisory.ID)
	var times []string
	for _, w := range hit.Windows {
		times = append(times, w.String())
	}
	if len(times) > 0 {
		out.evidence += " from " + strings.Join(times, ", and from ")
	}
	switch {
	case hit.Advisory.Open:
	case p.Meaning != nil:
		out.evidence += "; today it stands for " + p.Meaning.Commit
		out.severity = audit.Info
	case !hit.Certain:
		out.severity = audit.Info
	default:
		out.severity = audit.Medium
	}
	return out
}
