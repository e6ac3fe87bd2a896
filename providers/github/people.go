package github

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/leakreach/leakreach/audit"
)

// people are those who may push to a repository, as GraphQL tells of its collaborators. Who only reads is not kept: in an organisation that lets its members read that is everybody.
type people struct {
	roles  map[string][]string // User:LOGIN, by role: admin, maintain, write
	teams  []string            // SLUG/LOGIN of those of them who are in a team of the repository
	teamed bool                // teams are known
	next   string              // where the listing goes on; "" if it has ended
	hidden bool                // they are not shown to the credential
	failed error               // why it did not go on
}

// collaborators are a page of those in GraphQL.
type collaborators struct {
	connection[struct{}]
	Edges []struct {
		Permission string `json:"permission"`
		Node       struct {
			Login string `json:"login"`
		} `json:"node"`
		Sources []struct {
			Source struct {
				Type string `json:"__typename"`
				Slug string `json:"slug"`
			} `json:"source"`
		} `json:"permissionSources"`
	} `json:"edges"`
}

// pushing are the roles that may push, by the permissions of GraphQL. Those of roles that an organisation has made itself are told as the one that they extend.
var pushing = map[string]string{"ADMIN": "admin", "MAINTAIN": "maintain", "WRITE": "write"}

// add takes in a page.
func (p *people) add(page *collaborators) {
	for _, e := range page.Edges {
		role := pushing[e.Permission]
		if role == "" || !ownerName().MatchString(e.Node.Login) {
			continue
		}
		p.roles[role] = append(p.roles[role], "User:"+e.Node.Login)
		for _, s := range e.Sources {
			if s.Source.Type == "Team" {
				p.teams = append(p.teams, s.Source.Slug+"/"+e.Node.Login)
			}
		}
	}
	if p.next = ""; page.PageInfo.HasNextPage {
		p.next = page.PageInfo.EndCursor
	}
}

// facts are those of a repository's settings; none where nobody was shown. A list that may lack some ends in "…".
func (p *people) facts() map[string]string {
	if p == nil || p.hidden {
		return nil
	}
	facts := map[string]string{}
	named := func(names []string) string {
		slices.Sort(names)
		if p.next != "" {
			return audit.SomeNames(slices.Compact(names))
		}
		return cmp.Or(audit.NameList(slices.Compact(names)), "none")
	}
	for _, role := range pushing {
		facts[role] = named(p.roles[role])
	}
	if p.teamed {
		facts["team_members"] = named(p.teams)
	}
	return facts
}

// mostPeople is how many collaborators are read of one repository.
const mostPeople = 1000

// person tells of those who may push. GraphQL tells of a hundred at once with all else; what is more takes a point of its quota, and REST a request, for each repository.
func (v *view) person() wanted {
	switch {
	case v.people != nil && v.people.next == "" && !v.people.hidden:
		return none
	case v.people == nil:
		return askedIf(v.thorough)
	}
	return askedIf(v.isAlive())
}

const whoPush = "people who may push"

// pushers says what is in the way of knowing those who may push. Where GraphQL had nothing to say, REST is asked.
func (h *place) pushers(ctx context.Context, v *view) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		p, err := v.people, error(nil)
		switch {
		case p != nil && !p.hidden:
			err = p.failed
		case !v.thorough:
			err = errHidden
		default:
			p, err = h.pushersByREST(ctx)
			v.people = p
		}
		if err == nil && p.next != "" {
			err = fmt.Errorf("after %d with some role the others are left out", mostPeople)
		}
		if err != nil {
			yield(audit.Item{}, err)
		}
	}
}

var errHidden = errors.New("GraphQL does not show collaborators to this credential; needs members=read, or the right to push")

// complete reads the pages that come after what the overview has, as long as there are not too many. What stands in the way of it is in failed.
func (p *people) complete(ctx context.Context, g *graph, id string) {
	const query = `query ($id: ID!, $after: String!) {
  node(id: $id) { ... on Repository { collaborators(first: 100, after: $after) { ...roles } } }
}
` + rolesFragment
	for read := 100; p.next != "" && read < mostPeople; read += 100 {
		var out struct {
			Node struct {
				Collaborators *collaborators `json:"collaborators"`
			} `json:"node"`
		}
		if _, p.failed = g.query(ctx, query, map[string]any{"id": id, "after": p.next}, &out); p.failed == nil && out.Node.Collaborators == nil {
			p.failed = errHidden
		}
		if p.failed != nil {
			return
		}
		p.add(out.Node.Collaborators)
	}
}

// pushersByREST reads all. It has nothing to say of teams.
func (h *place) pushersByREST(ctx context.Context) (*people, error) {
	type collaborator struct {
		Login string          `json:"login"`
		May   map[string]bool `json:"permissions"`
	}
	p := &people{roles: map[string][]string{}}
	read := 0
	for c, err := range listed(ctx, h, h.path()+"/collaborators", "", otherPage, func(c *collaborator) string { return c.Login }) {
		if err != nil {
			return nil, err
		}
		if read++; read > mostPeople {
			p.next = c.Login
			break
		}
		switch {
		case !ownerName().MatchString(c.Login):
		case c.May["admin"]:
			p.roles["admin"] = append(p.roles["admin"], "User:"+c.Login)
		case c.May["maintain"]:
			p.roles["maintain"] = append(p.roles["maintain"], "User:"+c.Login)
		case c.May["push"]:
			p.roles["write"] = append(p.roles["write"], "User:"+c.Login)
		}
	}
	return p, nil
}

// rolesFragment is what is asked of collaborators.
const rolesFragment = `fragment roles on RepositoryCollaboratorConnection {
  pageInfo { hasNextPage endCursor }
  edges { permission node { login } permissionSources { source { __typename ... on Team { slug } } } }
}`

// readPeople reads what the overview says of collaborators, and returns the answer without them: who only reads comes and goes, and a change of that is none of the repository's settings.
func readPeople(said json.RawMessage, failed bool) (*people, []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(said, &fields) != nil {
		return nil, said
	}
	p := &people{roles: map[string][]string{}, teamed: true}
	var page *collaborators
	if err := json.Unmarshal(fields["collaborators"], &page); err != nil || page == nil || failed {
		p.hidden = true
	} else {
		p.add(page)
	}
	delete(fields, "collaborators")
	rest, _ := json.Marshal(fields)
	return p, rest
}
