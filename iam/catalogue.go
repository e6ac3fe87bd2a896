package iam

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// A catalogued way to more rights, see iam/paths. It is data of pathfinding.cloud, its labs and Prowler, under the Apache License; NOTICE has the names. Those
// that begin with LX are ours and not proven.
type catalogued struct {
	ID        string     `json:"id"`
	Category  string     `json:"category"`
	Required  []string   `json:"required"`        // actions, all of them
	AnyOf     [][]string `json:"any_of"`          // of an unproven one: sets of actions, each of which is enough
	MustTrust []string   `json:"role_must_trust"` // services, one of which takes the role
	Resource  string     `json:"target_resource"` // what there has to be and runs as the role, in words
	Type      string     `json:"target_type"`     // its name among the resource types of the actions
	Gives     string     `json:"gives"`           // of an unproven one: see the table in iam/paths/README.md

	sets []set
}

// A set of actions that go together.
type set struct {
	actions []string // without iam:PassRole
	passes  bool     // it begins with handing a role over, which is iam:PassRole
	same    []string // those of them that are about one resource
	on      ResourceType
}

//go:embed paths/*.json
var pathFiles embed.FS

// catalogue is read once: it is part of the program.
var catalogue = sync.OnceValue(func() (all []*catalogued) {
	files, err := fs.Glob(pathFiles, "paths/*.json")
	if err != nil {
		panic(err)
	}
	for _, name := range files {
		doc, err := pathFiles.ReadFile(name)
		p := &catalogued{}
		if err == nil {
			err = json.Unmarshal(doc, p)
		}
		if err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
		lists := p.AnyOf
		if p.Required != nil {
			lists = [][]string{p.Required}
		}
		for _, actions := range lists {
			p.sets = append(p.sets, newSet(actions, p.Type))
		}
		all = append(all, p)
	}
	return all
})

const passRole = "iam:PassRole"

// unproven tells whether no lab has shown the way.
func (p *catalogued) unproven() bool { return strings.HasPrefix(p.ID, "LX") }

// newSet finds what actions have in common: of ways over what exists, the type of resource that is named, or what an action is about and nothing else; of others, what is
// made by one action and used by another.
func newSet(actions []string, named string) set {
	s := set{passes: slices.Contains(actions, passRole)}
	seen := map[string]bool{}
	for _, action := range actions {
		if action == passRole {
			continue
		}
		s.actions = append(s.actions, action)
		o, _ := Describe(action)
		required := slices.DeleteFunc(slices.Clone(o.Resources), func(t ResourceType) bool { return !t.Required })
		switch i := slices.IndexFunc(o.Resources, func(t ResourceType) bool { return t.Name == named }); {
		case s.on.Name != "":
		case named != "" && i >= 0:
			s.on = o.Resources[i]
		case named == "" && len(required) == 1 && (seen[required[0].ARN] || !s.passes):
			s.on = required[0]
		case len(required) == 1:
			seen[required[0].ARN] = true
		}
	}
	for _, action := range s.actions {
		if o, _ := Describe(action); slices.ContainsFunc(o.Resources, func(t ResourceType) bool { return t.ARN == s.on.ARN }) {
			s.same = append(s.same, action)
		}
	}
	return s
}
