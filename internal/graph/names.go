package graph

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// A Missing is a repository that a role lets in by its name, and that the forge does not seem to have under that name.
type Missing struct {
	Name   string // OWNER/NAME
	Why    string
	Unsure string // what is not known that decides whether it is so
}

// Seen tells whether the run has read a repository of a name on the forge that a federation is with, or one of an owner's.
func (a *Access) Seen(f *iam.Federation, name string) bool {
	return signer(f) == "" && a.seen[strings.ToLower(string(f.Forge)+":"+name)]
}

// Missing are those of the repositories that a federation lets in by name which the run would have, if there were any of that name: it has listed their owner, or was told
// to look at them. Of owners that it did not look at nothing is said.
func (a *Access) Missing(f *iam.Federation) (all []Missing) {
	forge := string(f.Forge) + ":"
	for _, name := range f.Names {
		target := strings.ToLower(forge + name)
		if _, covered := a.seen[target]; covered {
			continue
		}
		m := Missing{Name: name, Unsure: signer(f)}
		if slices.Contains(a.refs, target) {
			m.Why = "asked for " + name + ", the forge answered with " + strings.TrimPrefix(a.instead, forge) + ": it was renamed or moved"
			if a.instead == "" {
				continue
			}
		} else if owner := a.lister(target); owner == "" {
			continue
		} else {
			m.Why = name + " is not among the repositories of " + owner
			m.Unsure = "whether the credential sees all of them"
		}
		all = append(all, m)
	}
	return all
}

// lister is the owner, or group, of a target that the run has listed whole; "" for none.
func (a *Access) lister(target string) string {
	for i := strings.LastIndexByte(target, '/'); i > 0; i = strings.LastIndexByte(target[:i], '/') {
		owner := target[:i]
		if p := a.places[owner]; slices.Contains(a.refs, owner) && !(p != nil && slices.ContainsFunc(p.gaps, func(g audit.Gap) bool { return about(g.What, "repositories", "projects", "forks") })) {
			return owner
		}
	}
	return ""
}

// look notes which targets the run has, and what it was told to look at.
func (a *Access) look(run *audit.Run) {
	a.seen = map[string]bool{}
	for _, ref := range run.Info.Refs {
		a.refs = append(a.refs, strings.ToLower(ref))
	}
	var others []string
	for _, c := range run.Coverage {
		name := strings.ToLower(c.Target)
		read := c.Status != audit.Failed
		for owner := name; read && strings.Contains(owner, "/"); { // who has it is there, too
			owner = owner[:strings.LastIndexByte(owner, '/')]
			a.seen[owner] = true
		}
		if a.seen[name] = a.seen[name] || read; c.Kind == audit.TargetRepository && !slices.Contains(a.refs, name) {
			others = append(others, c.Target)
		}
	}
	if len(a.refs) == 1 && len(others) == 1 { // what it was told to look at has another name
		a.instead = others[0]
	}
}
