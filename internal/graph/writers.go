package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/pipeline"
)

// Writers are those who have one role in a repository that lets them push, and so run a workflow of their own.
type Writers struct {
	Target string   `json:"target"`
	Role   string   `json:"role"`   // as the forge calls it: admin, maintain, write; owner, maintainer, developer
	People int      `json:"people"` // how many are known
	More   bool     `json:"more"`   // there may be others
	Names  []string `json:"names"`  // the first of them
}

// Bounds of what is told of people: of how many repositories, and names of how many in one role.
const (
	maxPeopled = 20
	maxNamed   = 20
)

// writingRoles are those that may push, the highest first.
func writingRoles(d pipeline.Dialect) []string {
	if d == pipeline.GitLab {
		return []string{"owner", "maintainer", "developer"}
	}
	return []string{"admin", "maintain", "write"}
}

// writers fills in who may push to some places by name, and why that is not known of others.
func (s *Readers) writers(where []*place) {
	s.Writers = []Writers{}
	named := map[string]bool{} // in what was said
	for _, said := range slices.Concat(s.People, s.Approve) {
		for word := range strings.FieldsFuncSeq(said, func(r rune) bool { return strings.ContainsRune(" ,;=", r) }) {
			named[word] = true
		}
	}
	unknown := map[string][]string{} // places, by the reason
	for _, p := range first(where, maxPeopled) {
		if p.forge == "" {
			continue
		}
		known := false
		for _, role := range writingRoles(s.dialect) {
			names, more, ok := p.list(role)
			if known = known || ok; len(names) == 0 && !more {
				continue
			}
			for i := range names {
				names[i] = strings.TrimPrefix(names[i], "User:")
			}
			s.Writers = append(s.Writers, Writers{Target: p.name, Role: role, People: len(names), More: more, Names: slices.Clone(first(names, maxNamed))})
		}
		if !known {
			unknown[p.unnamed()] = append(unknown[p.unnamed()], p.name)
		}
		members, _, _ := p.list("team_members")
		for _, m := range members {
			team, login, _ := strings.Cut(m, "/")
			if named["Team:"+team] && len(s.Teams[team]) < maxNamed {
				if s.Teams == nil {
					s.Teams = map[string][]string{}
				}
				s.Teams[team] = appendOnce(s.Teams[team], login)
			}
		}
	}
	if n := len(where); n > maxPeopled {
		s.Limits = appendOnce(s.Limits, fmt.Sprintf("who may push is told of %d places of %d", maxPeopled, n))
	}
	for _, why := range sorted(unknown) {
		places := unknown[why][0]
		if n := len(unknown[why]); n > 1 {
			places += fmt.Sprintf(" and %d more", n-1)
		}
		s.Limits = appendOnce(s.Limits, "who may push to "+places+" cannot be resolved by name because "+why)
	}
}

// list is a list in the facts of a place's settings; more of one that may lack some, ok of one that was read.
func (p *place) list(fact string) (names []string, more, ok bool) {
	switch f := p.settings[fact]; f {
	case "":
		return nil, false, false
	case "none":
		return nil, false, true
	default:
		names = strings.Split(f, ",")
		if more = names[len(names)-1] == "…"; more {
			names = names[:len(names)-1]
		}
		return names, more, true
	}
}

// unnamed says why it is not known who has a role.
func (p *place) unnamed() string {
	for _, g := range p.gaps {
		if about(g.What, "people who may push") || len(p.settings) == 0 && about(g.What, "settings") {
			return g.What + ": " + g.Why
		}
	}
	if p.forge == "gitea" {
		return "its forge's API tells the role of one collaborator at a time, which is not asked for"
	}
	if strings.Contains(","+p.settings["not_asked"]+",", ",people who may push,") {
		return "it was not asked for: GraphQL was not to be had, and by REST it takes a request for each repository; name the repository, or ask for --sources all"
	}
	return "it was not read"
}

// String is who they are, as reports print it.
func (w *Writers) String() string {
	text := strings.Join(w.Names, ", ")
	if n := w.People - len(w.Names); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	if w.More {
		text = strings.TrimPrefix(text+", and perhaps others", ", and ")
	}
	return text
}
