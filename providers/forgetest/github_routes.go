package forgetest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A call is a request with what its path names.
type call struct {
	g     *GitHub
	r     *http.Request
	owner *Owner
	repo  *GitHubRepo
	env   *Environment

	missing bool // set by what serves it: there is no such thing
}

// A route is what can be asked of an organisation, a repository or an environment. It has a list, which goes in pages, or one, or both where paths
// alone do not tell.
type route struct {
	path  string // below that of the organisation, repository or environment
	needs string // the permission of fine-grained tokens and Apps; "" is what anybody has who sees it
	scope string // the scope of classic tokens
	hides bool   // to those who lack it, it does not exist
	open  bool   // of what is public, everybody may

	list   func(*call) []any
	key    string // what the list is called; "" for a bare one
	most   int    // on a page; 0 is 100
	cursor bool   // pages have no numbers

	one func(*call) any // nil is none; it may be a redirect or a refusal
}

// A redirect sends those who ask elsewhere.
type redirect string

// Scopes of classic tokens.
const (
	repoScope  = "repo"
	adminScope = "admin:org"
)

// ofOrganisations are the routes below /orgs/{owner}/. Every store has its secrets and, but for two of them, variables, so they are made rather than written.
func ofOrganisations() []route {
	all := []route{
		{path: "actions/permissions", needs: "organization_administration=read", scope: adminScope, one: organisationActions},
		{path: "actions/permissions/self-hosted-runners", needs: "organization_administration=read", scope: adminScope, one: runnerPolicy},
		{path: "actions/oidc/customization/sub", needs: "organization_administration=read", scope: "read:org", one: organisationSubject},
		{path: "actions/oidc/customization/properties/repo", needs: "organization_administration=read", scope: "read:org", one: subjectProperties},
		{path: "actions/runners", needs: "organization_self_hosted_runners=read", scope: adminScope, list: organisationRunners, key: "runners"},
		{path: "actions/runner-groups", needs: "organization_self_hosted_runners=read", scope: adminScope, list: runnerGroups, key: "runner_groups"},
		{path: "actions/runner-groups/{group}/repositories", needs: "organization_self_hosted_runners=read", scope: adminScope, list: groupRepositories, key: "repositories"},
		{path: "actions/runner-groups/{group}/runners", needs: "organization_self_hosted_runners=read", scope: adminScope, list: groupRunners, key: "runners"},
		{path: "hooks", needs: "organization_hooks=read", scope: "admin:org_hook", hides: true, list: func(c *call) []any { return each(c, c.owner.Hooks, describeHook) }},
		{path: "installations", needs: "organization_administration=read", scope: adminScope, list: func(c *call) []any { return each(c, c.owner.Apps, describeApp) }, key: "installations"},
		{path: "personal-access-tokens", needs: "organization_personal_access_tokens=read", scope: "no scope opens it", list: func(c *call) []any { return each(c, c.owner.Grants, describeGrant) }},
		{path: "rulesets", needs: "organization_administration=write", scope: adminScope, list: func(c *call) []any { return each(c, c.owner.Rulesets, summariseRuleset) }},
		{path: "packages", needs: "no permission opens it", scope: "read:packages", list: packages},
		{path: "members", needs: "members=read", scope: "read:org", list: func(c *call) []any { return users(c, c.owner.Members) }},
		{path: "teams", needs: "members=read", scope: "read:org", list: func(c *call) []any { return each(c, c.owner.Teams, describeTeam) }},
		{path: "teams/{team}/members", needs: "members=read", scope: "read:org", list: teamMembers},
		{path: "audit-log", needs: "organization_administration=read", scope: "read:audit_log", list: func(*call) []any { return nil }, cursor: true},
	}
	for _, p := range policies {
		all = append(all, route{path: "actions/permissions/" + p.path, needs: "organization_administration=read", scope: adminScope, one: func(c *call) any { return p.one(c.policy()) }})
	}
	for _, s := range stores {
		if s.secretsRight != "" {
			right := "organization_" + s.secretsRight + "=read"
			all = append(all,
				route{path: s.name + "/secrets", needs: right, scope: adminScope, list: secretsIn(s.name, ownStore), key: "secrets"},
				route{path: s.name + "/secrets/{name}/repositories", needs: right, scope: adminScope, list: secretRepositories(s.name), key: "repositories"})
		}
		if s.variablesRight != "" {
			right := "organization_" + s.variablesRight + "=read"
			all = append(all,
				route{path: s.name + "/variables", needs: right, scope: adminScope, list: variablesIn(s.name, ownStore), key: "variables", most: 30},
				route{path: s.name + "/variables/{name}/repositories", needs: right, scope: adminScope, list: variableRepositories(s.name), key: "repositories"})
		}
	}
	return all
}

// ofRepositories are the routes below /repos/{owner}/{repo}/.
func ofRepositories() []route {
	all := []route{
		{path: "actions/permissions", needs: "administration=read", scope: repoScope, one: repositoryActions},
		{path: "actions/permissions/access", needs: "administration=read", scope: repoScope, one: workflowAccess},
		{path: "actions/oidc/customization/sub", needs: "actions=read", scope: repoScope, one: repositorySubject},
		{path: "actions/runners", needs: "administration=read", scope: repoScope, list: func(c *call) []any { return runners(c.repo.Runners) }, key: "runners"},
		{path: "environments", needs: "actions=read", scope: repoScope, open: true, list: environments, key: "environments"},
		{path: "keys", needs: "administration=read", scope: repoScope, hides: true, list: func(c *call) []any { return each(c, c.repo.Keys, describeKey) }},
		{path: "hooks", needs: "repository_hooks=read", scope: "read:repo_hook", hides: true, list: func(c *call) []any { return each(c, c.repo.Hooks, describeHook) }},
		{path: "rulesets", open: true, list: repositoryRulesets},
		{path: "rulesets/{id}", open: true, one: oneRuleset},
		{path: "branches", needs: "contents=read", scope: repoScope, open: true, list: branches},
		{path: "branches/{branch}/protection", needs: "administration=read", scope: repoScope, one: branchProtection},
		{path: "git/trees/{sha}", needs: "contents=read", scope: repoScope, open: true, one: gitTree},
		{path: "git/blobs/{sha}", needs: "contents=read", scope: repoScope, open: true, one: gitBlob},
		{path: "contents/{path...}", needs: "contents=read", scope: repoScope, open: true, one: gitContents},
		{path: "collaborators", needs: "members=read", scope: repoScope, list: collaborators},
		{path: "teams", needs: "administration=read", scope: repoScope, list: repositoryTeams},

		{path: "actions/workflows", needs: "actions=read", scope: repoScope, open: true, list: workflows, key: "workflows"},
		{path: "actions/runs", needs: "actions=read", scope: repoScope, open: true, list: runs, key: "workflow_runs"},
		{path: "actions/runs/{run}", needs: "actions=read", scope: repoScope, open: true, one: oneRun},
		{path: "actions/runs/{run}/attempts/{attempt}", needs: "actions=read", scope: repoScope, open: true, one: oneRun},
		{path: "actions/runs/{run}/jobs", needs: "actions=read", scope: repoScope, open: true, list: jobs, key: "jobs"},
		{path: "actions/runs/{run}/attempts/{attempt}/jobs", needs: "actions=read", scope: repoScope, open: true, list: jobs, key: "jobs"},
		{path: "actions/runs/{run}/artifacts", needs: "actions=read", scope: repoScope, open: true, list: artifacts, key: "artifacts"},
		{path: "actions/runs/{run}/logs", needs: "actions=read", scope: repoScope, one: runLogs},
		{path: "actions/runs/{run}/attempts/{attempt}/logs", needs: "actions=read", scope: repoScope, one: runLogs},
		{path: "actions/jobs/{job}/logs", needs: "actions=read", scope: repoScope, one: jobLog},
		{path: "actions/artifacts", needs: "actions=read", scope: repoScope, open: true, list: artifacts, key: "artifacts"},
		{path: "actions/artifacts/{artifact}/zip", needs: "actions=read", scope: repoScope, one: artifactArchive},
		{path: "actions/caches", needs: "actions=read", scope: repoScope, open: true, list: func(c *call) []any { return each(c, c.repo.Caches, describeCache) }, key: "actions_caches"},
		{path: "activity", needs: "contents=read", scope: repoScope, open: true, list: activity, cursor: true},
		{path: "events", open: true, list: events},

		{path: "issues", needs: "issues=read", scope: repoScope, open: true, list: issues},
		{path: "issues/comments", needs: "issues=read", scope: repoScope, open: true, list: issueComments},
		{path: "issues/{number}/comments", needs: "issues=read", scope: repoScope, open: true, list: issueComments},
		{path: "pulls", needs: "pull_requests=read", scope: repoScope, open: true, list: pulls},
		{path: "pulls/comments", needs: "pull_requests=read", scope: repoScope, open: true, list: reviewComments},
		{path: "pulls/{number}/comments", needs: "pull_requests=read", scope: repoScope, open: true, list: reviewComments},
		{path: "pulls/{number}/reviews", needs: "pull_requests=read", scope: repoScope, open: true, list: reviews},
		{path: "comments", needs: "contents=read", scope: repoScope, open: true, list: func(c *call) []any { return each(c, c.repo.CommitComments, describeCommitComment) }},
		{path: "releases", needs: "contents=read", scope: repoScope, open: true, list: releases},
		{path: "releases/{release}/{asset}", needs: "contents=read", scope: repoScope, open: true, one: oneAsset, list: releaseAssets},
	}
	for _, p := range policies {
		all = append(all, route{path: "actions/permissions/" + p.path, needs: "administration=read", scope: repoScope, one: func(c *call) any { return p.one(c.policy()) }})
	}
	for _, s := range stores {
		if s.secretsRight != "" {
			right := s.secretsRight + "=read"
			all = append(all, route{path: s.name + "/secrets", needs: right, scope: repoScope, list: secretsIn(s.name, ownStore), key: "secrets"})
			if s.inherits {
				all = append(all, route{path: s.name + "/organization-secrets", needs: right, scope: repoScope, list: secretsIn(s.name, organisationStore), key: "secrets"})
			}
		}
		if s.variablesRight != "" {
			right := s.variablesRight + "=read"
			all = append(all, route{path: s.name + "/variables", needs: right, scope: repoScope, list: variablesIn(s.name, ownStore), key: "variables", most: 30})
			if s.inherits {
				all = append(all, route{path: s.name + "/organization-variables", needs: right, scope: repoScope, list: variablesIn(s.name, organisationStore), key: "variables", most: 30})
			}
		}
	}
	return all
}

// ofEnvironments are the routes below /repos/{owner}/{repo}/environments/{env}/.
func ofEnvironments() []route {
	return []route{
		{path: "secrets", needs: "environments=read", scope: repoScope, list: func(c *call) []any { return secrets(c, "", c.env.Secrets) }, key: "secrets"},
		{path: "variables", needs: "environments=read", scope: repoScope, list: func(c *call) []any { return variables(c, "", c.env.Variables) }, key: "variables", most: 30},
		{path: "deployment-branch-policies", needs: "actions=read", scope: repoScope, open: true, list: branchPolicies, key: "branch_policies"},
		{path: "deployment_protection_rules", needs: "actions=read", scope: repoScope, open: true, one: customRules},
	}
}

// onlyHosted are paths that Enterprise Server 3.19 does not have.
var onlyHosted = []string{"agents/", "codespaces/", "actions/oidc/customization/properties/"}

// handle serves routes below a path.
func (g *GitHub) handle(mux *http.ServeMux, prefix string, routes []route) {
	for _, rt := range routes {
		if g.Version != "" && slices.ContainsFunc(onlyHosted, func(p string) bool { return strings.HasPrefix(rt.path, p) }) {
			continue
		}
		mux.HandleFunc("GET "+prefix+rt.path, func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, rt) })
	}
}

func (g *GitHub) serve(w http.ResponseWriter, r *http.Request, rt route) {
	c := g.resolve(r)
	if c == nil && r.PathValue("repo") != "" && g.moved(w, r) {
		return
	}
	sees := g.trusted(r)
	if c == nil || !sees && (!rt.open || c.repo == nil || c.repo.Private) {
		Fail(w, http.StatusNotFound, "Not Found")
		return
	}
	if sees && !g.permits(w, r, rt) {
		return
	}
	if rt.one != nil {
		switch v := rt.one(c).(type) {
		case nil:
		case refusal:
			Fail(w, v.status, v.message)
			return
		case redirect:
			w.Header().Set("Location", string(v))
			w.WriteHeader(http.StatusFound)
			return
		default:
			writeJSON(w, http.StatusOK, v)
			return
		}
	}
	var items []any
	if c.missing = rt.list == nil; !c.missing {
		items = rt.list(c)
	}
	switch {
	case c.missing:
		Fail(w, http.StatusNotFound, "Not Found")
	case rt.cursor:
		g.pageAfter(w, r, items)
	default:
		g.page(w, r, rt.key, items, or(rt.most, 100))
	}
}

// A refusal is another failure than that there is no such thing.
type refusal struct {
	status  int
	message string
}

// resolve finds what a path names; nil if something of it does not exist.
func (g *GitHub) resolve(r *http.Request) *call {
	c := &call{g: g, r: r, owner: g.owner(r.PathValue("owner"))}
	if name := r.PathValue("repo"); name != "" {
		if c.repo = g.find(r.PathValue("owner") + "/" + name); c.repo == nil || c.repo.Gone {
			return nil
		}
	} else if c.owner.User {
		return nil
	}
	if name := r.PathValue("env"); name != "" {
		i := slices.IndexFunc(c.repo.Environments, func(e Environment) bool { return e.Name == name })
		if i < 0 {
			return nil
		}
		c.env = &c.repo.Environments[i]
	}
	return c
}

// permits tells whether the one who asks may, and answers if not.
func (g *GitHub) permits(w http.ResponseWriter, r *http.Request, rt route) bool {
	rights, scopes, app := g.granted(bearer(r))
	if scopes != nil {
		w.Header().Set("X-OAuth-Scopes", strings.Join(scopes, ", "))
		w.Header().Set("X-Accepted-OAuth-Scopes", rt.scope)
		if rt.scope == "" || covers(scopes, rt.scope) {
			return true
		}
		if rt.hides || rt.scope == repoScope {
			return !Fail(w, http.StatusNotFound, "Not Found")
		}
		return !Fail(w, http.StatusForbidden, "You must be an org admin or have the fine-grained permission.")
	}
	forApps := rt.needs == "organization_personal_access_tokens=read" // and the one token that may everything
	if rt.needs == "" || has(rights, rt.needs) && (!forApps || app || bearer(r) == g.Token) {
		return true
	}
	if rt.hides {
		return !Fail(w, http.StatusNotFound, "Not Found")
	}
	w.Header().Set("X-Accepted-GitHub-Permissions", rt.needs)
	who := "personal access token"
	if app {
		who = "integration"
	}
	return !Fail(w, http.StatusForbidden, "Resource not accessible by "+who)
}

// has tells whether a right is among those granted, or a stronger one of its kind. nil are all.
func has(rights []string, right string) bool {
	kind, _ := strings.CutSuffix(right, "=read")
	return rights == nil || slices.Contains(rights, right) || slices.Contains(rights, kind+"=write")
}

// covers tells whether a scope is among those granted, or one that includes it (docs.github.com: "Scopes for OAuth apps").
func covers(scopes []string, scope string) bool {
	for _, wider := range []string{scope, strings.Replace(scope, "read:", "write:", 1), strings.Replace(scope, "read:", "admin:", 1)} {
		if slices.Contains(scopes, wider) {
			return true
		}
	}
	return scope == "read:audit_log" && slices.Contains(scopes, "admin:org")
}

// each describes things one by one.
func each[T any](c *call, all []T, describe func(*call, *T) map[string]any) (out []any) {
	for i := range all {
		out = append(out, describe(c, &all[i]))
	}
	return out
}

// number is one that the path names; 0 if it is none.
func (c *call) number(name string) int64 {
	n, _ := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	return n
}

// none says that there is no such thing.
func (c *call) none() []any {
	c.missing = true
	return nil
}

// url is an address below the API's.
func (c *call) url(path ...string) string {
	escaped := make([]string, len(path))
	for i, p := range path {
		escaped[i] = strings.ReplaceAll(url.PathEscape(p), "%2F", "/")
	}
	return "http://" + c.r.Host + "/" + strings.Join(escaped, "/")
}

// here is the address of what the call is about, and of what is below it.
func (c *call) here(path ...string) string {
	if c.repo != nil {
		return c.url(append([]string{"repos", c.repo.FullName}, path...)...)
	}
	return c.url(append([]string{"orgs", c.owner.Login}, path...)...)
}
