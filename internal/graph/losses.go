package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// A Loss is what is lost if a component of other people's is taken over: what the jobs that run it are handed.
type Loss struct {
	Component  string                 `json:"component"` // without the ref
	Kind       pipeline.ComponentKind `json:"kind"`
	Mutable    bool                   `json:"mutable"` // a job runs it by a name that can move: then the loss is at once
	Refs       []LossRef              `json:"refs"`
	Advisories []string               `json:"advisories"`
	Level      audit.Level            `json:"level"` // the highest that what is lost at once opens; "" if no value of it was found
	// Credentials are what jobs hold that run it by a name that can move, as TARGET/NAME; Pinned are those that are lost only once somebody takes the next version.
	Credentials []string `json:"credentials"`
	Pinned      []string `json:"pinned"`
	Jobs        int      `json:"jobs"`
	Targets     int      `json:"targets"`
}

// A LossRef is a ref by which jobs run a component.
type LossRef struct {
	Ref     string       `json:"ref"` // "" for whatever is newest
	Pin     pipeline.Pin `json:"pin"`
	Commit  string       `json:"commit,omitempty"` // that a lock file holds it at
	Mutable bool         `json:"mutable"`
	Jobs    int          `json:"jobs"`
}

// Losses ranks other people's components by what is lost with them: those that can change at once first, then by what the credentials open, then by how many
// there are.
func (a *Access) Losses() (all []Loss) {
	type loss struct {
		Loss
		now, later map[*Readers]bool
		targets    map[string]bool
		refs       map[string]*LossRef
	}
	of := map[string]*loss{}
	var order []*loss
	for _, p := range a.order {
		for _, j := range p.jobs {
			d := a.detail(j)
			var credentials []*Readers
			for _, h := range j.holds {
				if h.secret.credential() {
					credentials = append(credentials, h.secret)
				}
			}
			counted := map[string]bool{}
			for _, c := range d.Components {
				key := string(c.Kind) + "\x00" + c.Name
				l := of[key]
				if l == nil {
					l = &loss{Loss: Loss{Component: c.Name, Kind: c.Kind, Advisories: []string{}}, now: map[*Readers]bool{}, later: map[*Readers]bool{}, targets: map[string]bool{}, refs: map[string]*LossRef{}}
					of[key] = l
					order = append(order, l)
				}
				if !counted[key] {
					counted[key] = true
					l.Jobs++
				}
				l.targets[d.Target] = true
				l.Mutable = l.Mutable || c.Mutable
				for _, x := range c.Advisories {
					l.Advisories = appendOnce(l.Advisories, x)
				}
				ref := c.Ref + "\x00" + c.Commit
				r := l.refs[ref]
				if r == nil {
					r = &LossRef{Ref: c.Ref, Pin: c.Pin, Commit: c.Commit, Mutable: c.Mutable}
					l.refs[ref] = r
				}
				if !counted[key+"\x00"+ref] {
					counted[key+"\x00"+ref] = true
					r.Jobs++
				}
				for _, s := range credentials {
					if c.Mutable {
						l.now[s] = true
					} else {
						l.later[s] = true
					}
				}
			}
		}
	}
	for _, l := range order {
		l.Refs, l.Credentials, l.Pinned, l.Targets = []LossRef{}, []string{}, []string{}, len(l.targets)
		for _, ref := range sorted(l.refs) {
			l.Refs = append(l.Refs, *l.refs[ref])
		}
		for s := range l.now {
			l.Credentials = append(l.Credentials, s.Target+"/"+s.Name)
			if opens(s.Level) > opens(l.Level) {
				l.Level = s.Level
			}
		}
		for s := range l.later {
			if !l.now[s] {
				l.Pinned = append(l.Pinned, s.Target+"/"+s.Name)
			}
		}
		slices.Sort(l.Credentials)
		slices.Sort(l.Pinned)
		l.Credentials, l.Pinned = slices.Compact(l.Credentials), slices.Compact(l.Pinned)
		all = append(all, l.Loss)
	}
	slices.SortStableFunc(all, func(x, y Loss) int {
		return cmp.Or(b2i(y.Mutable)-b2i(x.Mutable), opens(y.Level)-opens(x.Level), len(y.Credentials)-len(x.Credentials), len(y.Pinned)-len(x.Pinned), y.Jobs-x.Jobs, strings.Compare(x.Component, y.Component))
	})
	return all
}

// opens orders levels, the highest last.
func opens(l audit.Level) int {
	return slices.Index([]audit.Level{audit.LevelNone, audit.LevelUnknown, audit.LevelRead, audit.LevelWrite, audit.LevelEscalation, audit.LevelAdmin}, l)
}

// credential tells whether losing it is a loss: it is a secret, or a variable that somebody hides or that a secret was found in.
func (s *Readers) credential() bool {
	return s.Kind == audit.KindSecret || s.Finding != "" || s.Facts["masked"] == "true" || s.Facts["hidden"] == "true"
}
