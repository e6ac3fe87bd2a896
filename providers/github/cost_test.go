package github

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// thousand is an organisation of a thousand repositories, of which 300 are archived. Of the others 210 have a workflow: 75 leave the rights of its token to
// the default, 63 are public and run it for pull requests, and have Dependabot set up, 21 ask for an identity; 70 have an environment, half of them two. The organisation has 40
// secrets for chosen repositories and six groups of runners, three of them for chosen repositories, and decides nothing for its repositories. Fifty people
// may push to each; in one of a hundred 250 have some role.
func thousand(t testing.TB) *forgetest.GitHub {
	t.Helper()
	ci := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\npermissions: {}\n"})
	pulls := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: pull_request\npermissions: {}\n", ".github/dependabot.yml": "version: 2\n"})
	open := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	deploys := forgetest.Repository(t, forgetest.Commit{".github/workflows/deploy.yml": "on: push\npermissions: {id-token: write}\n"})
	readme := forgetest.Repository(t, forgetest.Commit{"README.md": "hello\n"})
	g := &forgetest.GitHub{Token: token, Login: "octocat"}
	g.Limit = 100_000
	o := &forgetest.Owner{Login: "acme"}
	g.Owners = []*forgetest.Owner{o}
	for i := range 40 {
		o.Secrets = append(o.Secrets, forgetest.Secret{Name: fmt.Sprintf("S%d", i), Visibility: "selected"})
	}
	some, many := crowd(50, "write"), crowd(250, "read")
	for i := range 1000 {
		r := &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Private: i%3 != 0, Dir: readme, Archived: i >= 700}
		switch {
		case i < 210 && i%10 == 1:
			r.Dir = deploys
		case i < 210 && i%3 == 0:
			r.Dir = pulls
		case i < 126:
			r.Dir = open
		case i < 210:
			r.Dir = ci
		}
		if i < 210 && i%3 == 1 {
			r.Environments = append(r.Environments, forgetest.Environment{Name: "prod"})
			if i%2 == 1 {
				r.Environments = append(r.Environments, forgetest.Environment{Name: "test"})
			}
		}
		if r.Collaborators = some; i%100 == 0 {
			r.Collaborators = many
		}
		g.Repos = append(g.Repos, r)
	}
	for i := range 6 {
		o.Groups = append(o.Groups, forgetest.RunnerGroup{ID: int64(i + 1), Name: fmt.Sprintf("g%d", i), Visibility: []string{"all", "selected"}[i%2]})
	}
	o.Policy = forgetest.Policy{WriteToken: true, ApprovePulls: true, ForkWorkflows: true}
	return g
}

// What docs/github.md says of costs.
func TestCostOfAThousandRepositories(t *testing.T) {
	if testing.Short() {
		t.Skip("it lists a thousand repositories twice")
	}
	for name, test := range map[string]struct {
		sources audit.Sources
		most    int
	}{
		"all that is read by default": {audit.DefaultSources, 4000},
		"settings alone":              {audit.SourceSettings, 600},
	} {
		g := thousand(t)
		o := everything()
		o.Sources = test.sources
		p := provider(t, g, o)
		for _, target := range targets(t, p, "acme").targets {
			if target.Parts != nil {
				target.Part = audit.PartSettings
			}
			if _, gaps, err := items(t, p, target); err != nil || len(gaps) > 0 {
				t.Fatalf("%s: %v, gaps %q", target.Name, err, gaps)
			}
		}
		rest, graph, kinds := 0, 0, map[string]int{}
		for _, r := range g.Requests() {
			switch path := strings.Split(strings.Trim(r.Path, "/"), "/"); {
			case r.Method == http.MethodPost:
				graph++
			case path[0] == "repos":
				rest++
				kinds[strings.Join(path[3:], "/")]++
			default:
				rest++
				kinds[path[0]]++
			}
		}
		t.Logf("%s: %d requests of REST, %d of GraphQL: %v", name, rest, graph, kinds)
		if rest > test.most {
			t.Errorf("%s: %d requests of REST, want at most %d: %v", name, rest, test.most, kinds)
		}
		const most = 1000/batchSize + 1 + 3*2 // two for each of three repositories with a workflow and many people
		if graph > most || graph != g.Used(token+forgetest.QuotaOfGraphQL) {
			t.Errorf("%s: %d queries of GraphQL, want %d", name, graph, most)
		}
	}
}
