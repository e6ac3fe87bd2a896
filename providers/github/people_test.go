package github

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// crowd is people with a role.
func crowd(n int, role string) (all []forgetest.Collaborator) {
	for i := range n {
		all = append(all, forgetest.Collaborator{Login: fmt.Sprintf("p%04d", i+1), Role: role})
	}
	return all
}

// Who may push to a repository is told with all else by GraphQL, up to a hundred people for nothing, and further where a workflow can run.
func TestPeople(t *testing.T) {
	alive := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	still := forgetest.Repository(t, forgetest.Commit{"README.md": "hello\n"})
	few := []forgetest.Collaborator{{Login: "jane", Role: "admin"}, {Login: "kim", Role: "maintain"}, {Login: "joe", Role: "write"}, {Login: "tim", Role: "triage"}, {Login: "eve", Role: "read"}, {Login: "a,b", Role: "write"}}
	ted := []string{"ted"}
	late := forgetest.Collaborator{Login: "zoe", Role: "write"}
	for _, c := range []struct {
		name    string
		dir     string
		people  []forgetest.Collaborator
		team    []string // which may push
		hidden  bool
		want    string
		gap     string
		queries int
	}{
		{"few", alive, few, []string{"ted", "joe"}, false, "admin=User:jane maintain=User:kim team_members=ops/joe,ops/ted write=User:joe,User:ted", "", 1},
		{"nobody but the team", alive, nil, ted, false, "admin=none maintain=none team_members=ops/ted write=User:ted", "", 1},
		{"a hundred who read", alive, append(crowd(97, "read"), late), ted, false, "admin=none maintain=none team_members=ops/ted write=User:ted,User:zoe", "", 1},
		{"more than a page", alive, append(crowd(250, "read"), late), ted, false, "admin=none maintain=none team_members=ops/ted write=User:ted,User:zoe", "", 3},
		{"more than a page, and no workflow", still, append(crowd(250, "admin"), late), ted, false, "admin=" + strings.Join(repeated(99, "User:p%04d"), ",") + ",… maintain=… team_members=… write=…", "", 1},
		{"more than are read", alive, append(crowd(1100, "read"), late), ted, false, "admin=… maintain=… team_members=… write=…", "people who may push: after 1000 with some role the others are left out", 10},
		{"not shown", alive, few, ted, true, "", "people who may push: GraphQL does not show collaborators to this credential; needs members=read, or the right to push", 1},
		{"not shown, and no workflow", still, few, ted, true, "", "", 1},
	} {
		g := acme(1)
		g.Owners[0].Teams = []forgetest.Team{{Slug: "ops", Members: c.team, Repositories: map[string]string{"acme/r000": "push"}}, {Slug: "all", Members: []string{"eve"}, Repositories: map[string]string{"acme/r000": "pull"}}}
		g.Repos[0].Dir, g.Repos[0].Collaborators = c.dir, c.people
		var h http.Handler = g
		if c.hidden {
			h = graphed(g, map[string]string{"collaborators": "null"})
		}
		o := everything()
		o.Sources = audit.SourceSettings
		p := provider(t, h, o)
		target := targets(t, p, "acme").targets[1]
		target.Part = audit.PartSettings
		before := len(g.Requests())
		lines, gaps := entries(t, p, target)
		var got []string
		for _, line := range lines {
			for word := range strings.FieldsSeq(strings.TrimPrefix(line, "settings ")) {
				if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(line, "settings ") && slices.Contains([]string{"admin", "maintain", "team_members", "write"}, name) {
					got = append(got, word)
				}
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
		if c.gap != "" && !slices.Contains(gaps, c.gap) || c.gap == "" && len(gaps) > 0 {
			t.Errorf("%s: gaps %q, want %q", c.name, gaps, c.gap)
		}
		queries := 0
		for _, r := range g.Requests()[before:] {
			if r.Method == http.MethodPost {
				queries++
			}
		}
		if queries != c.queries {
			t.Errorf("%s: %d queries of GraphQL, want %d", c.name, queries, c.queries)
		}
	}
}

// Who only reads comes and goes, and a repository is as it was.
func TestPeopleInState(t *testing.T) {
	answer := func(id, people string) string {
		o := readOverview([]byte(`{"id":"`+id+`","nameWithOwner":"acme/web","collaborators":{"pageInfo":{},"edges":[`+people+`]}}`), nil)
		return view{overview: o, people: o.people}.state(audit.Target{})
	}
	edge := func(login, permission string) string {
		return `{"permission":"` + permission + `","node":{"login":"` + login + `"},"permissionSources":null}`
	}
	before := answer("R_1", edge("jane", "ADMIN")+","+edge("joe", "READ"))
	if after := answer("R_1", edge("eve", "TRIAGE")+","+edge("jane", "ADMIN")); after != before {
		t.Error("another one reads, and it is another state")
	}
	for _, after := range []string{answer("R_1", edge("jane", "ADMIN")+","+edge("joe", "WRITE")), answer("R_1", edge("jane", "MAINTAIN")), answer("R_1", ""), answer("R_2", edge("jane", "ADMIN"))} {
		if after == before {
			t.Error("who may push has changed, or the repository, and it is the same state")
		}
	}
}
