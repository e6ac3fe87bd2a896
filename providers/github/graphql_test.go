package github

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// The same rules as either API has them.
const (
	rulesByREST = `{"id":7,"name":"main","target":"branch","source_type":"Organization","source":"acme","enforcement":"active",
		"conditions":{"ref_name":{"include":["~DEFAULT_BRANCH"],"exclude":["refs/heads/x"]}},
		"rules":[{"type":"deletion"},{"type":"pull_request","parameters":{"required_approving_review_count":2}}],
		"bypass_actors":[{"actor_id":5,"actor_type":"RepositoryRole","bypass_mode":"always"},{"actor_id":null,"actor_type":"DeployKey","bypass_mode":"always"},
		{"actor_id":1,"actor_type":"OrganizationAdmin","bypass_mode":"pull_request"},{"actor_id":8,"actor_type":"Team","bypass_mode":"always"},
		{"actor_id":9,"actor_type":"Integration","bypass_mode":"always"}]}`
	branchByREST = `{"required_status_checks":{"strict":true},"enforce_admins":{"enabled":false},"required_pull_request_reviews":{"required_approving_review_count":1,
		"bypass_pull_request_allowances":{"users":[{"login":"jane"}],"teams":[],"apps":[{"slug":"bot"}]}},"restrictions":{"users":[],"teams":[{"slug":"ops"}],"apps":[]},
		"required_linear_history":{"enabled":true},"allow_force_pushes":{"enabled":false},"allow_deletions":{"enabled":true},"block_creations":{"enabled":false},
		"required_conversation_resolution":{"enabled":true},"required_signatures":{"enabled":false},"lock_branch":{"enabled":false}}`
	rulesByGraphQL = `{"pageInfo":{"hasNextPage":false},"nodes":[{"databaseId":7,"name":"main","target":"BRANCH","enforcement":"ACTIVE",
		"source":{"__typename":"Organization","login":"acme"},"conditions":{"refName":{"include":["~DEFAULT_BRANCH"],"exclude":["refs/heads/x"]}},
		"rules":{"pageInfo":{"hasNextPage":false},"nodes":[{"type":"DELETION","parameters":null},{"type":"PULL_REQUEST","parameters":{"requiredApprovingReviewCount":2}}]},
		"bypassActors":{"pageInfo":{"hasNextPage":false},"nodes":[{"bypassMode":"ALWAYS","repositoryRoleDatabaseId":5,"actor":null},{"bypassMode":"ALWAYS","deployKey":true,"actor":null},
		{"bypassMode":"PULL_REQUEST","organizationAdmin":true,"actor":null},{"bypassMode":"ALWAYS","actor":{"__typename":"Team","databaseId":8}},
		{"bypassMode":"ALWAYS","actor":{"__typename":"App","databaseId":9}}]}}]}`
	branchByGraphQL = `{"pageInfo":{"hasNextPage":false},"nodes":[{"pattern":"main","isAdminEnforced":false,"allowsDeletions":true,"allowsForcePushes":false,"blocksCreations":false,
		"lockBranch":false,"restrictsPushes":true,"requiresApprovingReviews":true,"requiredApprovingReviewCount":1,"requiresCommitSignatures":false,
		"requiresConversationResolution":true,"requiresLinearHistory":true,"requiresStatusChecks":true,
		"pushAllowances":{"pageInfo":{"hasNextPage":false},"nodes":[{"actor":{"__typename":"Team","slug":"ops"}}]},
		"bypassPullRequestAllowances":{"pageInfo":{"hasNextPage":false},"nodes":[{"actor":{"__typename":"User","login":"jane"}},{"actor":{"__typename":"App","slug":"bot"}}]}}]}`
)

// graphed changes what a fake says by GraphQL of each repository.
func graphed(g *forgetest.GitHub, set map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if strings.HasSuffix(r.URL.Path, "/graphql") && rec.Code == http.StatusOK {
			var said struct {
				Data struct {
					Nodes []map[string]json.RawMessage `json:"nodes"`
				} `json:"data"`
			}
			if json.Unmarshal(body, &said) == nil && len(said.Data.Nodes) > 0 {
				for _, node := range said.Data.Nodes {
					for k, v := range set {
						node[k] = json.RawMessage(v)
					}
				}
				body, _ = json.Marshal(said)
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
	})
}

// What GraphQL tells is what REST tells.
func TestGraphQLTellsTheSame(t *testing.T) {
	dir := forgetest.Repository(t, forgetest.Commit{
		".github/workflows/ci.yml": "on: [push, pull_request]\npermissions: {id-token: write}\n# ä\n", ".github/workflows/b.yaml": "on: workflow_call\n",
		".github/workflows/README.md": "no\n", ".github/workflows/bin.yml": "a\x00b", ".github/workflows/deep/x.yml": "no\n", ".github/workflows/copilot-setup-steps.yml": "on: push\n",
		".github/dependabot.yml": "version: 2\n", ".devcontainer/devcontainer.json": "{}\n", "action.yaml": "runs: {using: composite}\n",
	})
	linked(t, dir, ".github/workflows/link.yml")
	plain := forgetest.Repository(t, forgetest.Commit{"README.md": "no\n", ".github/CODEOWNERS": "* @acme/all\n"})
	g := acme(4)
	g.Repos[0].Dir, g.Repos[0].Environments = dir, []forgetest.Environment{{Name: "prod"}}
	g.Repos[1].Dir = plain
	g.Repos[3].Dir, g.Repos[3].Archived = dir, true
	g.Repos[0].Collaborators = []forgetest.Collaborator{{Login: "jane", Role: "admin"}, {Login: "joe", Role: "write"}, {Login: "eve", Role: "read"}}
	list := func(refused bool, sources audit.Sources) (lines []string) {
		by := map[string]any{}
		for i := range g.Repos {
			repo := fmt.Sprintf("/repos/acme/r%03d", i)
			by[repo+"/rulesets"], by[repo+"/rulesets/7"] = page{"", []string{`{"id":7,"name":"main"}`}}, rulesByREST
			by[repo+"/branches"], by[repo+"/branches/main/protection"] = page{"", []string{`{"name":"main","protected":true}`}}, branchByREST
			by[repo+"/dependabot/secrets"] = page{"secrets", []string{`{"name":"REGISTRY"}`}}
		}
		if refused {
			by["/graphql"] = http.StatusForbidden
		}
		answer(g, by)
		o := everything()
		o.Sources = sources
		full := func(name string) string { return strings.ReplaceAll(branchByGraphQL, "@", name) }
		p := provider(t, graphed(g, map[string]string{"rulesets": rulesByGraphQL, "branchProtectionRules": full("")}), o)
		for _, target := range targets(t, p, "acme").targets[1:] {
			target.Part = audit.PartSettings
			for it, err := range p.Items(t.Context(), target) {
				if it.Kind != audit.KindState {
					if it.Kind == audit.KindSettings {
						delete(it.Entry.Facts, "team_members") // of which REST tells nothing
						if sources != audit.AllSources {       // else REST is not asked who has a role
							maps.DeleteFunc(it.Entry.Facts, func(name, _ string) bool { return slices.Contains([]string{"admin", "maintain", "write"}, name) })
							it.Entry.Facts["not_asked"] = strings.ReplaceAll(","+it.Entry.Facts["not_asked"], ","+whoPush, "")
						}
					}
					entry, _ := json.Marshal(it.Entry)
					it.At.URL = it.At.URL[strings.Index(it.At.URL, "/acme")+1:] // the server has another port each time
					lines = append(lines, fmt.Sprintf("%s %+v %s %s %v", it.Kind, it.At, it.Content, entry, err))
				}
			}
		}
		return lines
	}
	for _, sources := range []audit.Sources{audit.DefaultSources &^ audit.SourceHistory, audit.SourceSettings, audit.SourceVariables, audit.SourceWorkflows, audit.AllSources} {
		graph, rest := list(false, sources), list(true, sources)
		if alive := strings.Contains(sources.String(), "settings"); alive && !slices.ContainsFunc(graph, func(s string) bool { return strings.Contains(s, "RepositoryRole:admin=always") }) {
			t.Errorf("%s: no protection in\n%s", sources, strings.Join(graph, "\n"))
		}
		if !slices.Equal(graph, rest) {
			t.Errorf("%s: by GraphQL\n%s\nby REST\n%s", sources, strings.Join(graph, "\n"), strings.Join(rest, "\n"))
		}
	}
}

// linked adds a symbolic link to a bare repository's main.
func linked(t *testing.T, dir, path string) {
	t.Helper()
	work := t.TempDir()
	script := `set -e; git clone -q "$0" .; mkdir -p "$(dirname "$1")"; ln -s /etc/passwd "$1"; git add -A; git -c user.name=A -c user.email=a@example.com commit -qm link; git push -q origin HEAD:main`
	cmd := exec.Command("sh", "-c", script, dir, path)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Repositories are asked about in batches, each once; what GraphQL stumbles over, in halves.
func TestBatches(t *testing.T) {
	g := acme(60)
	g.Repos[30].Gone = true
	var mu sync.Mutex
	var sizes []int
	stumbles := true
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/graphql") {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		mu.Lock()
		defer mu.Unlock()
		if n := strings.Count(string(body), `"R_`); n > 0 {
			sizes = append(sizes, n)
			if n > 20 && stumbles {
				return forgetest.Fail(w, http.StatusBadGateway, "We couldn't respond to your request in time.")
			}
		}
		return false
	}
	p := provider(t, g, everything())
	walk := func(p *Provider) {
		for i, target := range targets(t, p, "acme").targets {
			if _, gaps, err := items(t, p, target); (err != nil) != (i == 31) || len(gaps) > 0 {
				t.Errorf("%s: %v, gaps %q", target.Name, err, gaps)
			}
		}
	}
	walk(p)
	if want := []int{25, 12, 13, 25, 12, 13, 1, 10}; !slices.Equal(sizes, want) { // the deleted one is asked about once more, alone
		t.Errorf("asked about %d, want %d", sizes, want)
	}
	stumbles, sizes = false, nil
	walk(provider(t, g, everything()))
	if want := []int{25, 25, 1, 10}; !slices.Equal(sizes, want) {
		t.Errorf("asked about %d, want %d", sizes, want)
	}
}

// What one credential may not ask is not asked for again and again, and nothing is lost.
func TestGraphQLRefused(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"forbidden": func(w http.ResponseWriter) {
			forgetest.Fail(w, http.StatusForbidden, "Resource not accessible by integration")
		},
		"not there": func(w http.ResponseWriter) { forgetest.Fail(w, http.StatusNotFound, "Not Found") },
		"old instance": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"errors":[{"path":["query","nodes"],"extensions":{"code":"undefinedField"},"message":"Field 'rulesets' doesn't exist"}]}`)
		},
		"no data": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"data":null,"errors":[{"type":"FORBIDDEN","message":"no"}]}`)
		},
	} {
		g := acme(30)
		g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
		asked := 0
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			asked++
			w.Header().Set("Content-Type", "application/json")
			answer(w)
			return true
		}
		o := everything()
		o.Sources |= audit.SourceWorkflows
		p := provider(t, g, o)
		for i, target := range targets(t, p, "acme").targets[1:] {
			lines, gaps, err := items(t, p, target)
			if err != nil || len(gaps) > 0 || (i == 0) != slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "workflow ") }) {
				t.Errorf("%s: %s: %v, gaps %q, %q", name, target.Name, err, gaps, lines)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// A field that GraphQL refuses is asked of REST; who may not administer a repository is not believed that nothing is there.
func TestGraphQLTellsPart(t *testing.T) {
	dir := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	for name, set := range map[string]map[string]string{
		"no administrator": {"viewerCanAdminister": "false"},
		"more pages":       {"rulesets": `{"pageInfo":{"hasNextPage":true},"nodes":[]}`, "deployKeys": "null"},
		"no field":         {"branchProtectionRules": "null", "deployKeys": `{"totalCount":1}`},
	} {
		g := acme(1)
		g.Repos[0].Dir = dir
		answer(g, map[string]any{
			"/repos/acme/r000/keys":     page{"", []string{`{"id":1,"title":"ci","read_only":false}`}},
			"/repos/acme/r000/rulesets": page{"", []string{`{"id":7}`}}, "/repos/acme/r000/rulesets/7": rulesByREST,
		})
		p := provider(t, graphed(g, set), everything())
		lines, gaps := entries(t, p, targets(t, p, "acme").targets[1])
		for _, kind := range []string{"deploy-key ci ", "protection main "} {
			if len(gaps) > 0 || !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, kind) }) {
				t.Errorf("%s: no %s in %q, gaps %q", name, kind, lines, gaps)
			}
		}
	}
}

// A change that only GraphQL tells of is a change of the target.
func TestGraphQLIsPartOfTheState(t *testing.T) {
	g := acme(1)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	state := func(past string) (kind, state string) {
		p := provider(t, g, everything())
		target := targets(t, p, "acme").targets[1]
		target.Past = past
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Fatal(err)
			}
			kind, state = string(it.Kind), it.State
		}
		return kind, state
	}
	_, first := state("")
	if kind, _ := state(first); first == "" || kind != "unchanged" {
		t.Errorf("%q is not known again: %s", first, kind)
	}
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: pull_request_target\n"})
	if kind, second := state(first); kind != "state" || second == first {
		t.Errorf("another workflow goes unseen: %s", kind)
	}
	g.Repos[0].Archived = true
	if kind, _ := state(first); kind != "state" {
		t.Errorf("an archived repository is as it was: %s", kind)
	}
}

func TestGraphAddress(t *testing.T) {
	for rest, want := range map[string]string{
		"https://api.github.com": "https://api.github.com/graphql", "https://api.acme.ghe.com": "https://api.acme.ghe.com/graphql",
		"https://ghe.example.com/api/v3": "https://ghe.example.com/api/graphql", "http://127.0.0.1:80/x": "http://127.0.0.1:80/x/graphql",
	} {
		base, err := url.Parse(rest)
		if err != nil {
			t.Fatal(err)
		}
		if got := graphAddress(base); got != want {
			t.Errorf("%s: %s, want %s", rest, got, want)
		}
	}
}

// What GraphQL always stumbles over is not asked in ever smaller halves for each batch, and while its quota is used up in none at all.
func TestGraphQLFails(t *testing.T) {
	for name, fault := range map[string]struct {
		answer string
		most   int
	}{
		"no answer":                 {`{"data":null}`, 2 * batchSize},
		"no quota":                  {`{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, 1},
		"no quota, said of a field": {`{"data":{"nodes":[null]},"errors":[{"type":"RATE_LIMIT","path":["nodes",0],"message":"API rate limit already exceeded"}]}`, 1},
		"no other shape":            {`[]`, 2 * batchSize},
	} {
		g := acme(4 * batchSize)
		asked := 0
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			asked++
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, fault.answer)
			return true
		}
		p := provider(t, g, everything())
		for _, target := range targets(t, p, "acme").targets[1:] {
			if _, gaps, err := items(t, p, target); err != nil || len(gaps) > 0 {
				t.Errorf("%s: %s: %v, gaps %q", name, target.Name, err, gaps)
			}
		}
		if asked > fault.most {
			t.Errorf("%s: asked %d times about %d repositories", name, asked, len(g.Repos))
		}
	}
}

// How many repositories an organisation has decides what is said of its secrets, whichever API tells it.
func TestRepositoriesAreCounted(t *testing.T) {
	for _, refused := range []bool{false, true} {
		g := acme(5)
		g.Repos[1].Archived, g.Repos[3].Archived = true, true
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			return refused && r.Method == http.MethodPost && forgetest.Fail(w, http.StatusForbidden, "Resource not accessible by integration")
		}
		p := provider(t, g, everything())
		lines, _ := entries(t, p, targets(t, p, "acme").targets[0])
		if !slices.ContainsFunc(lines, func(s string) bool {
			return strings.HasPrefix(s, "settings acme ") && strings.Contains(s, " repositories=3 ")
		}) {
			t.Errorf("GraphQL refused %t: %q", refused, lines)
		}
	}
}
