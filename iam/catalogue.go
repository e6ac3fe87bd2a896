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
	on      string   // the type of the resource that those of them which have it are about: the same one for all; "" for none
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
			s := set{slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a == passRole }), slices.Contains(actions, passRole), p.Type}
			if s.on == "" {
				s.on = shared(s.actions, s.passes)
			}
			p.sets = append(p.sets, s)
		}
		all = append(all, p)
	}
	return all
})

const passRole = "iam:PassRole"

// unproven tells whether no lab has shown the way.
func (p *catalogued) unproven() bool { return strings.HasPrefix(p.ID, "LX") }

// shared is the type of the resource that several actions are about, and about nothing else: what is made by one and used by another is the same. Of ways over what
// exists, one action is enough.
func shared(actions []string, makes bool) string {
	seen := map[string]bool{}
	for _, action := range actions {
		o, _ := Describe(action)
		required := slices.DeleteFunc(o.Resources, func(t ResourceType) bool { return !t.Required })
		if len(required) == 1 && (seen[required[0].ARN] || !makes) {
			return required[0].Name
		}
		if len(required) == 1 {
			seen[required[0].ARN] = true
		}
	}
	return ""
}
