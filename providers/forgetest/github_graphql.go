package forgetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// graphQL answers queries about repositories.
func (g *GitHub) graphQL(w http.ResponseWriter, r *http.Request) {
	if _, ok := g.login(bearer(r)); !ok {
		Fail(w, http.StatusUnauthorized, "This endpoint requires you to be authenticated.")
		return
	}
	var in struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		Fail(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	repository := func(x *GitHubRepo) object {
		if x == nil || x.Gone || x.Private && !g.sees(bearer(r), x.FullName[:strings.IndexByte(x.FullName, '/')]) {
			return nil
		}
		return g.graphOf(r, x)
	}
	owner := func(a args) any {
		for _, o := range g.Owners {
			if strings.EqualFold(o.Login, fmt.Sprint(a["login"])) {
				return g.graphOfOwner(o, repository)
			}
		}
		return notFound{}
	}
	nodes := func(ids ...any) []object {
		all := make([]object, len(ids))
		for i, id := range ids {
			for _, x := range g.Repos {
				if id == nodeID(x) {
					all[i] = repository(x)
				}
			}
		}
		return all
	}
	login, _ := g.login(bearer(r))
	writeJSON(w, http.StatusOK, answer(in.Query, in.Variables, object{
		"__typename": "Query",
		"viewer":     object{"__typename": "User", "login": login},
		"rateLimit": object{
			"__typename": "RateLimit", "cost": 1, "limit": 5000, "remaining": 5000 - g.Used(bearer(r)+QuotaOfGraphQL), "used": g.Used(bearer(r) + QuotaOfGraphQL),
			"resetAt": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "nodeCount": 0,
		},
		"node": func(a args) any { return nodes(a["id"])[0] },
		"nodes": func(a args) any {
			ids, _ := a["ids"].([]any)
			return nodes(ids...)
		},
		"repository": func(a args) any {
			if x := repository(g.find(fmt.Sprintf("%s/%s", a["owner"], a["name"]))); x != nil {
				return x
			}
			return notFound{}
		},
		"repositoryOwner": owner,
		"enterprise": func(a args) any {
			logins, ok := g.Enterprises[fmt.Sprint(a["slug"])]
			if !ok {
				return notFound{}
			}
			var all []object
			for _, login := range logins {
				all = append(all, g.graphOfOwner(&Owner{Login: login}, repository))
			}
			return object{"__typename": "Enterprise", "slug": a["slug"], "organizations": connection(all)}
		},
		"organization": owner,
	}))
}

func nodeID(x *GitHubRepo) string { return "R_" + strconv.FormatInt(x.ID, 10) }

func (g *GitHub) graphOfOwner(o *Owner, repository func(*GitHubRepo) object) object {
	kind := "Organization"
	if o.User {
		kind = "User"
	}
	return object{"__typename": kind, "login": o.Login, "repositories": func(a args) any {
		var all []object
		for _, x := range g.Repos {
			archived, asked := a["isArchived"].(bool)
			if seen := repository(x); strings.EqualFold(g.owner(x.FullName).Login, o.Login) && seen != nil && (!asked || archived == x.Archived) {
				all = append(all, seen)
			}
		}
		return connection(all)(a)
	}}
}

// may tells whether a token has a right to a repository.
func (g *GitHub) may(r *http.Request, x *GitHubRepo, right string) bool {
	rights, scopes, _ := g.granted(bearer(r))
	return g.sees(bearer(r), g.owner(x.FullName).Login) && (scopes == nil && has(rights, right) || covers(scopes, repoScope))
}

func (g *GitHub) administers(r *http.Request, x *GitHubRepo) bool {
	return g.may(r, x, "administration=read")
}

// graphOf is a repository with as much as a token may see of it.
func (g *GitHub) graphOf(r *http.Request, x *GitHubRepo) object {
	may := func(right string) bool { return g.may(r, x, right) }
	visible := func(right string, field any) any {
		if x.Private && !may(right) {
			return forbidden{}
		}
		return field
	}
	o := g.owner(x.FullName)
	c := &call{g: g, r: r, owner: o, repo: x}
	_, name, _ := strings.Cut(x.FullName, "/")
	admin := g.administers(r, x)
	var environments, keys, rules, rulesets []object
	for i, e := range x.Environments {
		environments = append(environments, object{"__typename": "Environment", "name": e.Name, "databaseId": 1000 + i})
	}
	if admin { // who does not administer it is told that there are none
		for _, k := range x.Keys {
			keys = append(keys, object{"__typename": "DeployKey", "title": k.Title, "readOnly": !k.Write})
		}
		for _, branch := range slices.Sorted(maps.Keys(x.Protected)) {
			rules = append(rules, graphOfProtection(branch, x.Protected[branch]))
		}
	}
	for _, s := range c.rulesets() {
		rulesets = append(rulesets, graphOfRuleset(c, &s, may("administration=write")))
	}
	visibility := "PUBLIC"
	switch {
	case x.Internal:
		visibility = "INTERNAL"
	case x.Private:
		visibility = "PRIVATE"
	}
	return object{
		"__typename": "Repository", "id": nodeID(x), "databaseId": x.ID, "nameWithOwner": x.FullName, "name": name, "isPrivate": x.Private, "isArchived": x.Archived,
		"isFork": x.Fork, "isEmpty": x.Dir == "", "visibility": visibility, "viewerCanAdminister": admin, "pushedAt": when(x.Pushed, Updated), "diskUsage": 1,
		"owner": object{"__typename": "RepositoryOwner", "login": o.Login},
		"object": func(a args) any {
			return visible("contents=read", g.graphOfObject(x, fmt.Sprint(a["expression"])))
		},
		"collaborators": g.graphOfPeople(r, x), "environments": visible("actions=read", connection(environments)), "deployKeys": connection(keys), "branchProtectionRules": connection(rules), "rulesets": connection(rulesets),
	}
}

// graphOfPeople are those with a role in a repository, each with the teams that it comes by. GitHub shows them to whoever may push, and to Apps that may read members.
func (g *GitHub) graphOfPeople(r *http.Request, x *GitHubRepo) any {
	if !g.may(r, x, "members=read") {
		return forbidden{}
	}
	roles, teams := g.people(x)
	var edges []object
	for _, login := range slices.Sorted(maps.Keys(roles)) {
		sources := []object{{"__typename": "PermissionSource", "source": object{"__typename": "Organization", "login": g.owner(x.FullName).Login}}}
		for _, slug := range teams[login] {
			sources = append(sources, object{"__typename": "PermissionSource", "source": object{"__typename": "Team", "slug": slug}})
		}
		edges = append(edges, object{
			"__typename": "RepositoryCollaboratorEdge", "permission": strings.ToUpper(roles[login]), "node": object{"__typename": "User", "login": login}, "permissionSources": sources,
		})
	}
	return func(a args) any {
		page := connection(edges)(a).(object) //nolint:forcetypeassert // that is what it makes
		page["__typename"], page["edges"] = "RepositoryCollaboratorConnection", page["nodes"]
		return page
	}
}

// graphOfObject is a file or folder of the default branch, as HEAD:PATH.
func (g *GitHub) graphOfObject(x *GitHubRepo, expression string) object {
	path, ok := strings.CutPrefix(expression, "HEAD:")
	at, there := g.tree(x.Dir, "HEAD", true)[path]
	if !ok || !there {
		return nil
	}
	if at.kind == "blob" {
		content := g.read(x.Dir, "cat-file", "blob", at.sha)
		var text any
		if utf8.ValidString(content) && !strings.Contains(content, "\x00") {
			text = content
		}
		return object{"__typename": "Blob", "oid": at.sha, "byteSize": len(content), "isTruncated": false, "isBinary": text == nil, "text": text}
	}
	entries := []object{}
	below := g.tree(x.Dir, at.sha, false)
	for _, name := range slices.Sorted(maps.Keys(below)) {
		mode, _ := strconv.ParseInt(below[name].mode, 8, 32)
		entries = append(entries, object{
			"__typename": "TreeEntry", "mode": mode, "name": name, "type": below[name].kind, "oid": below[name].sha, "path": path + "/" + name,
			"object": func(args) any { return g.graphOfObject(x, expression+"/"+name) },
		})
	}
	return object{"__typename": "Tree", "oid": at.sha, "entries": entries}
}

func graphOfProtection(branch string, p Protection) object {
	var push []object
	for _, login := range p.Push {
		push = append(push, object{"__typename": "PushAllowance", "actor": object{"__typename": "User", "login": login}})
	}
	return object{
		"__typename": "BranchProtectionRule", "pattern": branch, "isAdminEnforced": p.Admins, "allowsDeletions": false, "allowsForcePushes": p.ForcePushes,
		"blocksCreations": false, "lockBranch": false, "restrictsPushes": p.Push != nil, "requiresApprovingReviews": p.Reviews > 0,
		"requiredApprovingReviewCount": p.Reviews, "requiresCommitSignatures": false, "requiresConversationResolution": false, "requiresLinearHistory": false,
		"requiresStatusChecks": false, "pushAllowances": connection(push), "bypassPullRequestAllowances": connection(nil),
	}
}

func graphOfRuleset(c *call, x *Ruleset, mayWrite bool) object {
	source := object{"__typename": "Repository", "nameWithOwner": c.repo.FullName}
	if summariseRuleset(c, x)["source_type"] == "Organization" {
		source = object{"__typename": "Organization", "login": c.owner.Login}
	}
	var rules []object
	for _, kind := range x.Rules {
		rules = append(rules, object{"__typename": "RepositoryRule", "type": strings.ToUpper(kind), "parameters": object(nil)})
	}
	if x.Reviews > 0 {
		rules = append(rules, object{
			"__typename": "RepositoryRule", "type": "PULL_REQUEST", "parameters": object{"__typename": "PullRequestParameters", "requiredApprovingReviewCount": x.Reviews},
		})
	}
	var bypass any = object(nil)
	if mayWrite {
		var all []object
		for _, b := range x.Bypass {
			actor, role := object(nil), any(nil)
			switch b.Type {
			case "Team":
				actor = object{"__typename": "Team", "databaseId": b.ID}
			case "Integration":
				actor = object{"__typename": "App", "databaseId": b.ID}
			case "RepositoryRole":
				role = b.ID
			}
			all = append(all, object{
				"__typename": "RepositoryRulesetBypassActor", "bypassMode": strings.ToUpper(b.Mode), "deployKey": b.Type == "DeployKey",
				"enterpriseOwner": b.Type == "EnterpriseOwner", "organizationAdmin": b.Type == "OrganizationAdmin", "repositoryRoleDatabaseId": role, "actor": actor,
			})
		}
		bypass = connection(all)
	}
	return object{
		"__typename": "RepositoryRuleset", "databaseId": x.ID, "name": x.Name, "target": strings.ToUpper(or(x.Target, "branch")),
		"enforcement": strings.ToUpper(or(x.Enforcement, "active")), "source": source, "rules": connection(rules), "bypassActors": bypass,
		"conditions": object{"__typename": "RepositoryRuleConditions", "refName": object{
			"__typename": "RefNameConditionTarget", "include": append([]string{}, x.Include...), "exclude": append([]string{}, x.Exclude...),
		}},
	}
}
