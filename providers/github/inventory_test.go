package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// A page is a listing of which a request gets as much as it asks for.
type page struct {
	key   string
	items []string // JSON
}

// answer makes a fake answer some paths: with a text, which is JSON, a page, or a status, which is a refusal.
func answer(g *forgetest.GitHub, by map[string]any) {
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		said, ok := by[r.URL.EscapedPath()]
		if !ok {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		switch said := said.(type) {
		case int:
			return forgetest.Fail(w, said, http.StatusText(said))
		case string:
			_, _ = fmt.Fprint(w, said)
		case page:
			size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
			number, _ := strconv.Atoi(r.URL.Query().Get("page"))
			from := min((max(number, 1)-1)*size, len(said.items))
			to := min(from+size, len(said.items))
			if to < len(said.items) {
				w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d>; rel="next"`, r.Host, r.URL.Path, max(number, 1)+1))
			}
			list := "[" + strings.Join(said.items[from:to], ",") + "]"
			if said.key != "" {
				list = fmt.Sprintf(`{"total_count":%d,%q:%s}`, len(said.items), said.key, list)
			}
			_, _ = fmt.Fprint(w, list)
		}
		return true
	}
}

// entries are a target's, a line each: kind, name, scope and facts in order.
func entries(t *testing.T, p *Provider, target audit.Target) (lines, gaps []string) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			t.Fatal(err)
		case it.Entry != nil:
			facts := ""
			for _, name := range slices.Sorted(maps.Keys(it.Entry.Facts)) {
				facts += " " + name + "=" + it.Entry.Facts[name]
			}
			lines = append(lines, fmt.Sprintf("%s %s (%s)%s", it.Kind, it.Entry.Name, it.Entry.Scope, facts))
			if it.At.Kind == audit.InSetting && !json.Valid(it.Content) {
				t.Errorf("%s: content %q", it.Kind, it.Content)
			}
		}
	}
	return lines, gaps
}

const when = `"2026-03-01T10:00:00Z"`

func repeated(n int, format string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i+1))
	}
	return all
}

// inventory has each listing with something in it, as GitHub's description has it, and what is to be made of it.
var inventory = []struct {
	name    string
	path    string // whose refusal is the gap
	answers map[string]any
	want    []string // lines
	gap     string   // of a refusal
	secret  string   // that the answers have, and nothing else may
}{
	{
		name: "version of the server", path: "/meta",
		answers: map[string]any{"/meta": `{"verifiable_password_authentication":true,"installed_version":"3.19.2"}`},
		want: []string{"settings acme (organisation) actions=all allowed_actions=all approve_pull_requests=false forge_version=3.19.2 fork_pr_approval=first_time_contributors fork_pr_require_approval=false " +
			"fork_pr_secrets=false fork_pr_workflows=false fork_pr_write_tokens=false oidc_immutable_subject=false oidc_subject=repo,context repositories=1 repository_runners=all " +
			"retention_days=90 sha_pinning_required=false token_permissions=read"},
		gap: "version of the server: 404 Not Found: no right to read it, or not offered here",
	},
	{
		name: "organisation settings", path: "/orgs/acme/actions/permissions",
		answers: map[string]any{
			"/orgs/acme":                     `{"login":"acme","billing_email":"x@example.com","members_can_create_repositories":true,"default_repository_permission":"write"}`,
			"/orgs/acme/actions/permissions": `{"enabled_repositories":"all","allowed_actions":"selected","sha_pinning_required":true,"selected_actions_url":"x"}`,
			"/orgs/acme/actions/permissions/selected-actions":                `{"github_owned_allowed":true,"verified_allowed":false,"patterns_allowed":["acme/*","a,b","x@v1"]}`,
			"/orgs/acme/actions/permissions/workflow":                        `{"default_workflow_permissions":"write","can_approve_pull_request_reviews":true}`,
			"/orgs/acme/actions/permissions/artifact-and-log-retention":      `{"days":30,"maximum_allowed_days":400}`,
			"/orgs/acme/actions/permissions/fork-pr-contributor-approval":    `{"approval_policy":"first_time_contributors"}`,
			"/orgs/acme/actions/permissions/fork-pr-workflows-private-repos": `{"run_workflows_from_fork_pull_requests":true,"send_write_tokens_to_workflows":false,"send_secrets_and_variables":true,"require_approval_for_fork_pr_workflows":false}`,
			"/orgs/acme/actions/permissions/self-hosted-runners":             `{"enabled_repositories":"none"}`,
			"/orgs/acme/actions/oidc/customization/sub":                      `{"include_claim_keys":["repo","context"],"use_immutable_subject":true}`,
		},
		want: []string{"settings acme (organisation) actions=all allowed_actions=selected allowed_github_owned=true allowed_patterns=acme/*,x@v1 allowed_verified=false " +
			"approve_pull_requests=true fork_pr_approval=first_time_contributors fork_pr_require_approval=false fork_pr_secrets=true fork_pr_workflows=true " +
			"fork_pr_write_tokens=false members_may=write members_may_create=true oidc_immutable_subject=true oidc_subject=repo,context repositories=1 " +
			"repository_runners=none retention_days=30 sha_pinning_required=true token_permissions=write"},
		gap: "organisation settings: Actions permissions: 404 Not Found: no right to read it, or not offered here; needs organization_administration=read", secret: "x@example.com",
	},
	{
		name: "repository settings", path: "/repos/acme/r000/actions/permissions",
		answers: map[string]any{
			"/repos/acme/r000/actions/permissions":                              `{"enabled":true,"allowed_actions":"local_only","sha_pinning_required":false}`,
			"/repos/acme/r000/actions/permissions/workflow":                     `{"default_workflow_permissions":"read","can_approve_pull_request_reviews":false}`,
			"/repos/acme/r000/actions/permissions/fork-pr-contributor-approval": `{"approval_policy":"all_external_contributors"}`,
			"/repos/acme/r000/collaborators": page{"", append(repeated(100, `{"login":"reader%d","permissions":{"pull":true,"push":false,"admin":false}}`), `{"login":"kim","permissions":{"push":true,"maintain":true,"admin":false}}`,
				`{"login":"joe","permissions":{"push":true}}`, `{"login":"jane","permissions":{"admin":true,"maintain":true,"push":true}}`, `{"login":"a,b","permissions":{"push":true}}`)},
			"/repos/acme/r000/actions/oidc/customization/sub": `{"use_default":false,"include_claim_keys":["repository_id"],"use_immutable_subject":false}`,
		},
		want: []string{"settings acme/r000 (repository) actions=true admin=User:jane allowed_actions=local_only approve_pull_requests=false archived=false default_branch=main fork=false " +
			"fork_pr_approval=all_external_contributors id=1 maintain=User:kim oidc_immutable_subject=false oidc_subject=repository_id owner_id=" + strconv.FormatInt(forgetest.AccountID("acme"), 10) + " retention_days=90 sha_pinning_required=false " +
			"token_permissions=read visibility=public workflows=1 write=User:joe"},
		gap: "repository settings: Actions permissions: 404 Not Found: no right to read it, or not offered here; needs administration=read",
	},
	{
		name: "secrets for chosen repositories", path: "/orgs/acme/actions/secrets",
		answers: map[string]any{
			"/orgs/acme/actions/secrets":                  page{"secrets", []string{`{"name":"KEY","created_at":` + when + `,"updated_at":` + when + `,"visibility":"selected"}`}},
			"/orgs/acme/actions/secrets/KEY/repositories": page{"repositories", append(repeated(120, `{"full_name":"acme/r%03d"}`), `{"full_name":"a,b/c"}`, `{"full_name":"a\nb/c"}`)},
		},
		want: []string{"secret KEY (organisation) created_at=2026-03-01T10:00:00Z repositories=" + strings.Join(repeated(120, "acme/r%03d"), ",") +
			" store=actions updated_at=2026-03-01T10:00:00Z visibility=selected"},
		gap: "organisation secrets: 404 Not Found: no right to read it, or not offered here; needs organization_secrets=read",
	},
	{
		name: "a secret whose name is a path", path: "/orgs/acme/dependabot/secrets",
		answers: map[string]any{
			"/orgs/acme/dependabot/secrets":                              page{"secrets", []string{`{"name":"..","visibility":"selected"}`, `{"name":"a/../../b","visibility":"selected"}`}},
			"/orgs/acme/dependabot/secrets/a%2F..%2F..%2Fb/repositories": page{"repositories", nil},
		},
		want: []string{"secret .. (organisation) store=dependabot visibility=selected", "secret a/../../b (organisation) repositories=none store=dependabot visibility=selected"},
		gap:  "organisation Dependabot secrets: 404 Not Found: no right to read it, or not offered here; needs organization_dependabot_secrets=read",
	},
	{
		name: "secrets of a store of its own", path: "/repos/acme/r000/codespaces/secrets",
		answers: map[string]any{"/repos/acme/r000/codespaces/secrets": page{"secrets", []string{`{"name":"DEV"}`}}},
		want:    []string{"secret DEV (repository) store=codespaces"},
		gap:     "repository Codespaces secrets: 404 Not Found: no right to read it, or not offered here; needs codespaces_secrets=write",
	},
	{
		name: "variables of agents", path: "/orgs/acme/agents/variables",
		answers: map[string]any{
			"/orgs/acme/agents/variables":                page{"variables", []string{`{"name":"A","value":"v","visibility":"selected"}`}},
			"/orgs/acme/agents/variables/A/repositories": page{"repositories", []string{`{"full_name":"acme/web"}`}},
		},
		want: []string{"variable A (organisation) repositories=acme/web store=agents visibility=selected"},
		gap:  "organisation agents' variables: 404 Not Found: no right to read it, or not offered here",
	},
	{
		name: "environments", path: "/repos/acme/r000/environments/prod/deployment-branch-policies",
		answers: map[string]any{
			"/repos/acme/r000/environments": page{"environments", []string{`{"id":5,"name":"prod","created_at":` + when + `,"updated_at":` + when + `,"can_admins_bypass":false,
				"deployment_branch_policy":{"protected_branches":false,"custom_branch_policies":true},"protection_rules":[{"id":1,"type":"wait_timer","wait_timer":30},
				{"id":2,"type":"required_reviewers","prevent_self_review":true,"reviewers":[{"type":"User","reviewer":{"login":"jane","url":"x"}},
				{"type":"Team","reviewer":{"slug":"ops","name":"Ops, all"}},{"type":"Team","reviewer":{}}]},{"id":3,"type":"branch_policy"},7]}`}},
			"/repos/acme/r000/environments/prod/deployment-branch-policies": page{"branch_policies", append(repeated(101, `{"id":%d,"name":"release/*"}`), `{"id":900,"name":"v*","type":"tag"}`)},
			"/repos/acme/r000/environments/prod/variables":                  page{"variables", nil}, "/repos/acme/r000/environments/prod/secrets": page{"secrets", []string{`{"name":"KEY"}`}},
			"/repos/acme/r000/environments/prod/deployment_protection_rules": `{"total_count":2,"custom_deployment_protection_rules":[{"id":1,"enabled":true,"app":{"slug":"gate"}},{"id":2,"enabled":false,"app":{"slug":"off"}},null]}`,
		},
		want: []string{"environment prod (repository) branch_policies=" + strings.Repeat("release/*,", 101) + "tag:v* branches=selected can_admins_bypass=false created_at=2026-03-01T10:00:00Z " +
			"custom_rules=gate prevent_self_review=true protection_rules=wait_timer,required_reviewers,branch_policy reviewers=User:jane,Team:ops updated_at=2026-03-01T10:00:00Z wait_minutes=30"},
		gap: "branch policies of environment prod: 404 Not Found: no right to read it, or not offered here; needs actions=read",
	},
	{
		name: "runner groups", path: "/orgs/acme/actions/runner-groups",
		answers: map[string]any{
			"/orgs/acme/actions/runner-groups": page{"runner_groups", []string{
				`{"id":1,"name":"Default","visibility":"all","default":true,"inherited":false,"allows_public_repositories":true,"restricted_to_workflows":false,"selected_workflows":[]}`,
				`{"id":2,"name":"deploy","visibility":"selected","default":false,"inherited":false,"allows_public_repositories":false,"restricted_to_workflows":true,"selected_workflows":["acme/web/.github/workflows/x.yml@main"]}`,
				`{"id":3,"name":"big","visibility":"all","default":false,"inherited":true,"allows_public_repositories":false}`,
			}},
			"/orgs/acme/actions/runner-groups/2/repositories": page{"repositories", []string{`{"full_name":"acme/web"}`}},
		},
		want: []string{
			"runner big (organisation) ephemeral=true group=Default id=1 labels=self-hosted,gpu os=linux status=online version=2.336.0",
			"runner-group Default (organisation) default=true id=1 inherited=false public_repositories=true restricted_to_workflows=false runners=1 visibility=all",
			"runner-group deploy (organisation) default=false id=2 inherited=false public_repositories=false repositories=acme/web restricted_to_workflows=true runners=0 visibility=selected workflows=acme/web/.github/workflows/x.yml@main",
			"runner-group big (organisation) default=false id=3 inherited=true public_repositories=false visibility=all",
		},
		gap: "runner groups: 404 Not Found: no right to read it, or not offered here; needs organization_self_hosted_runners=read",
	},
	{
		name: "deploy keys", path: "/repos/acme/r000/keys",
		answers: map[string]any{"/repos/acme/r000/keys": page{"", []string{
			`{"id":1,"key":"ssh-ed25519 AAAA","title":"ci","read_only":false,"created_at":` + when + `,"last_used":null,"added_by":"jane","enabled":true}`,
			`{"id":2,"key":"none","title":"","read_only":true,"created_at":` + when + `,"last_used":` + when + `}`, `{"id":3,"title":"old"}`,
		}}},
		want: []string{
			"deploy-key ci (repository) added_by=jane created_at=2026-03-01T10:00:00Z expires_at=never fingerprint=SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw id=1 last_used=never read_only=false",
			"deploy-key (no name) (repository) created_at=2026-03-01T10:00:00Z expires_at=never id=2 last_used=2026-03-01T10:00:00Z read_only=true",
			"deploy-key old (repository) expires_at=never id=3",
		},
		gap: "deploy keys: 404 Not Found: no right to read it, or not offered here; needs administration=read",
	},
	{
		name: "webhooks of a repository", path: "/repos/acme/r000/hooks",
		answers: map[string]any{"/repos/acme/r000/hooks": page{"", []string{
			`{"id":1,"name":"web","active":true,"events":["push"],"config":{"url":"https://user:pw@hooks.example.com/T0/hidden-part?x=hidden-part","secret":"********","insecure_ssl":"0","content_type":"json"},"updated_at":` + when + `}`,
			`{"id":2,"name":"web","active":false,"events":["*"],"config":{"url":"http://10.0.0.1/hidden-part","insecure_ssl":1}}`,
			`{"id":3,"config":{"url":"hidden-part"}}`,
		}}},
		want: []string{
			"webhook hooks.example.com (repository) active=true events=push has_secret=true id=1 tls_verified=true updated_at=2026-03-01T10:00:00Z url_scheme=https",
			"webhook 10.0.0.1 (repository) active=false events=* has_secret=false id=2 tls_verified=false url_scheme=http",
			"webhook (no name) (repository) has_secret=false id=3",
		},
		gap: "repository webhooks: 404 Not Found: no right to read it, or not offered here; needs repository_hooks=read", secret: "hidden-part",
	},
	{
		name: "webhooks of an organisation", path: "/orgs/acme/hooks",
		answers: map[string]any{"/orgs/acme/hooks": page{"", []string{`{"id":9,"active":true,"events":["push","a,b"],"config":{"url":"https://ci.example.com/hidden-part","insecure_ssl":"1"}}`}}},
		want:    []string{"webhook ci.example.com (organisation) active=true events=push has_secret=false id=9 tls_verified=false url_scheme=https"},
		gap:     "organisation webhooks: 404 Not Found: no right to read it, or not offered here; needs organization_hooks=read", secret: "hidden-part",
	},
	{
		name: "apps", path: "/orgs/acme/installations",
		answers: map[string]any{"/orgs/acme/installations": page{"installations", []string{`{"id":4,"app_id":7,"app_slug":"bot","repository_selection":"all","permissions":{"secrets":"write","contents":"write"},"events":["push"],"suspended_at":` + when + `}`}}},
		want:    []string{"app bot (organisation) events=push id=4 permissions=contents=write,secrets=write repositories=all suspended_at=2026-03-01T10:00:00Z"},
		gap:     "installed apps: 404 Not Found: no right to read it, or not offered here; needs organization_administration=read",
	},
	{
		name: "fine-grained tokens", path: "/orgs/acme/personal-access-tokens",
		answers: map[string]any{
			"/orgs/acme/personal-access-tokens": page{"", []string{
				`{"id":3,"owner":{"login":"jane"},"repository_selection":"subset","permissions":{"organization":{"members":"read"},"repository":{"contents":"write"}},"access_granted_at":` + when + `,"token_name":"laptop","token_expired":false,"token_expires_at":null,"token_last_used_at":null}`,
			}},
			"/orgs/acme/personal-access-tokens/3/repositories": page{"", []string{`{"full_name":"acme/web"}`}},
		},
		want: []string{"token laptop (organisation) active=true created_at=2026-03-01T10:00:00Z expires_at=never last_used_at=never owner=jane repositories=acme/web scopes=members=read,contents=write type=fine-grained"},
		gap:  "fine-grained tokens: 404 Not Found: no right to read it, or not offered here; needs organization_personal_access_tokens=read of a GitHub App",
	},
	{
		name: "caches", path: "/repos/acme/r000/actions/caches",
		answers: map[string]any{"/repos/acme/r000/actions/caches": page{"actions_caches", []string{`{"id":1,"ref":"refs/heads/main","key":"go-1","size_in_bytes":99,"created_at":` + when + `,"last_accessed_at":` + when + `}`}}},
		want:    []string{"cache go-1 (repository) created_at=2026-03-01T10:00:00Z last_used=2026-03-01T10:00:00Z ref=refs/heads/main size=99"},
		gap:     "caches: 404 Not Found: no right to read it, or not offered here; needs actions=read",
	},
	{
		name: "definitions", path: "/repos/acme/r000/git/trees/HEAD",
		want: []string{"workflow .github/workflows/ci.yml (repository) events=pull_request whole=false"},
		gap:  "definitions of pipelines: 404 Not Found: no right to read it, or not offered here; needs contents=read",
	},
}

// Each listing yields what it has, in full; and where the right is missing, a gap that names it.
func TestInventory(t *testing.T) {
	dir := forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: pull_request\npermissions: {id-token: write}\n"})
	o := everything()
	o.Sources = audit.AllSources &^ (audit.SourceHistory | audit.SourceFiles)
	for _, test := range inventory {
		t.Run(test.name, func(t *testing.T) {
			list := func(by map[string]any) (lines, gaps []string) {
				g := acme(1)
				g.Repos[0].Dir = dir
				answer(g, by)
				ref := "acme"
				if strings.HasPrefix(test.path, "/repos/") {
					ref = "acme/r000"
				}
				g.Token = "ghs_" + token // an App's, as there is something that GitHub tells to Apps alone
				p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": g.Token}), o)
				target := targets(t, p, ref).targets[0]
				target.Part = audit.PartSettings
				for it, err := range p.Items(t.Context(), target) {
					if err == nil && test.secret != "" && strings.Contains(fmt.Sprint(it.Entry, it.At, string(it.Content)), test.secret) {
						t.Errorf("%s has what it must not: %s", it.Kind, it.Content)
					}
				}
				return entries(t, p, target)
			}
			by := map[string]any{"/graphql": http.StatusNotFound, "/orgs/acme/personal-access-tokens": page{"", nil}}
			if strings.HasPrefix(test.path, "/orgs") {
				delete(by, "/graphql")
			}
			maps.Copy(by, test.answers)
			lines, gaps := list(by)
			for _, want := range test.want {
				if !slices.Contains(lines, want) {
					t.Errorf("no\n%s\nin\n%s", want, strings.Join(lines, "\n"))
				}
			}
			if hostile := strings.Contains(test.name, "path"); len(gaps) > 0 != hostile {
				t.Errorf("gaps %q", gaps)
			}
			by[test.path] = http.StatusNotFound
			if _, gaps := list(by); !slices.Contains(gaps, test.gap) {
				t.Errorf("no gap %s in\n%s", test.gap, strings.Join(gaps, "\n"))
			}
			by[test.path] = http.StatusForbidden
			if _, gaps := list(by); !slices.ContainsFunc(gaps, func(s string) bool { return strings.Contains(s, "403 Forbidden") }) {
				t.Errorf("no gap of the refusal in\n%s", strings.Join(gaps, "\n"))
			}
		})
	}
}
