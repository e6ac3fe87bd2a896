package forgetest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// GitHub is a fake of GitHub's REST API and of its git server, on one host. The API is served at the root and below /api/v3.
type GitHub struct {
	server
	Token  string        // the one accepted token, besides Tokens; without it only public repositories are seen
	Login  string        // the user the token belongs to; "" for one that belongs to no user, such as an App's
	Owners []*Owner      // organisations and users
	Repos  []*GitHubRepo // in the order they are listed

	Tokens map[string]GitHubToken // further ones

	// App, if set, checks who asks as the App, for an installation or for a list of them (""). An installation's token is Token, or for one of
	// Installations its id behind InstallationToken.
	App           func(jwt, installation string) error
	Installations []Installation
}

// A GitHubToken is one besides GitHub.Token.
type GitHubToken struct {
	Login string // as GitHub.Login
	Owner string // whose repositories it sees; "" for all
}

// An Installation is a GitHub App in an account.
type Installation struct {
	ID    int64
	Owner string
}

// InstallationToken begins the tokens of installations.
const InstallationToken = "token-of-installation-"

// An Owner is an organisation or a user.
type Owner struct {
	Login     string
	User      bool
	Variables []Variable
	Secrets   []Secret
	Runners   []Runner
	Hidden    int // private repositories that exist beyond those listed
}

// A GitHubRepo is a repository.
type GitHubRepo struct {
	FullName     string
	ID           int64
	Private      bool
	Archived     bool
	Fork         bool
	Dir          string // bare git repository; "" is an empty one
	CloneURL     string // what the API says instead of the truth
	Gone         bool   // listed, and 404 everywhere else
	Variables    []Variable
	Secrets      []Secret
	Environments []Environment
	Runners      []Runner
}

// A Variable is a CI variable.
type Variable struct {
	Name, Value, Visibility string
}

// A Secret is a CI secret; its value is nobody's business.
type Secret struct {
	Name, Visibility string
}

// An Environment is a deployment environment.
type Environment struct {
	Name      string
	Variables []Variable
	Secrets   []Secret
	Reviewers bool // asks for a review
}

// A Runner is a self-hosted runner.
type Runner struct {
	Name, OS  string
	Labels    []string
	Ephemeral bool
}

// When everything in a fake was made and last changed.
var (
	Created = time.Date(2025, 3, 1, 8, 0, 0, 0, time.UTC)
	Updated = time.Date(2026, 2, 1, 9, 30, 0, 0, time.UTC)
)

func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.before(w, r) {
		return
	}
	if owner, repo, call, ok := gitPath(r.URL.Path); ok {
		g.git(w, r, owner+"/"+repo, call)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", g.user)
	mux.HandleFunc("GET /user/repos", g.userRepos)
	mux.HandleFunc("GET /users/{owner}/repos", g.ownerRepos(true))
	mux.HandleFunc("GET /orgs/{owner}", g.org)
	mux.HandleFunc("GET /orgs/{owner}/repos", g.ownerRepos(false))
	g.handleOrg(mux, "variables", func(o *Owner) ([]any, int) { return variables(o.Variables), 30 })
	g.handleOrg(mux, "secrets", func(o *Owner) ([]any, int) { return secrets(o.Secrets), 100 })
	g.handleOrg(mux, "runners", func(o *Owner) ([]any, int) { return runners(o.Runners), 100 })
	mux.HandleFunc("GET /repos/{owner}/{repo}", g.repo)
	g.handleRepo(mux, "actions/variables", "variables", func(_ *http.Request, x *GitHubRepo) ([]any, int) { return variables(x.Variables), 30 })
	g.handleRepo(mux, "actions/secrets", "secrets", func(_ *http.Request, x *GitHubRepo) ([]any, int) { return secrets(x.Secrets), 100 })
	g.handleRepo(mux, "actions/organization-variables", "variables", func(_ *http.Request, x *GitHubRepo) ([]any, int) {
		return variables(g.owner(x.FullName).Variables), 30
	})
	g.handleRepo(mux, "actions/organization-secrets", "secrets", func(_ *http.Request, x *GitHubRepo) ([]any, int) {
		return secrets(g.owner(x.FullName).Secrets), 100
	})
	g.handleRepo(mux, "actions/runners", "runners", func(_ *http.Request, x *GitHubRepo) ([]any, int) { return runners(x.Runners), 100 })
	g.handleRepo(mux, "environments", "environments", func(r *http.Request, x *GitHubRepo) ([]any, int) { return environments(r, x), 100 })
	g.handleRepo(mux, "environments/{env}/variables", "variables", func(r *http.Request, x *GitHubRepo) ([]any, int) {
		if e := x.environment(r); e != nil {
			return variables(e.Variables), 30
		}
		return nil, 0
	})
	g.handleRepo(mux, "environments/{env}/secrets", "secrets", func(r *http.Request, x *GitHubRepo) ([]any, int) {
		if e := x.environment(r); e != nil {
			return secrets(e.Secrets), 100
		}
		return nil, 0
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { Fail(w, http.StatusNotFound, "Not Found") })
	mux.HandleFunc("POST /app/installations/{id}/access_tokens", g.asApp(func(w http.ResponseWriter, r *http.Request) {
		token := g.Token
		if i := g.installation(r.PathValue("id")); i != nil {
			token = InstallationToken + r.PathValue("id")
		}
		writeJSON(w, http.StatusCreated, map[string]any{"token": token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	}))
	mux.HandleFunc("GET /app/installations/{id}", g.asApp(func(w http.ResponseWriter, r *http.Request) {
		if i := g.installation(r.PathValue("id")); i != nil {
			writeJSON(w, http.StatusOK, describeInstallation(r, *i))
			return
		}
		Fail(w, http.StatusNotFound, "Not Found")
	}))
	mux.HandleFunc("GET /app/installations", g.asApp(func(w http.ResponseWriter, r *http.Request) {
		var all []any
		for _, i := range g.Installations {
			all = append(all, describeInstallation(r, i))
		}
		g.page(w, r, "", all, 100)
	}))
	path, api := r.URL.Path, http.Handler(mux)
	if below, ok := strings.CutPrefix(path, "/api/v3"); ok {
		path, api = below, http.StripPrefix("/api/v3", mux)
	}
	if strings.HasPrefix(path, "/app/") {
		api.ServeHTTP(w, r)
		return
	}
	token := bearer(r)
	if _, known := g.login(token); token != "" && !known {
		Fail(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	w.Header().Set("X-GitHub-Request-Id", "F0RG:"+strconv.Itoa(len(g.Requests())))
	if g.Limit > 0 {
		w.Header().Set("X-RateLimit-Resource", "core")
	}
	g.answer(w, r, token, "X-RateLimit-", true, api.ServeHTTP)
}

// asApp serves those who ask as the App.
func (g *GitHub) asApp(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.App == nil {
			Fail(w, http.StatusNotFound, "Not Found")
		} else if err := g.App(bearer(r), r.PathValue("id")); err != nil {
			Fail(w, http.StatusUnauthorized, err.Error())
		} else {
			serve(w, r)
		}
	}
}

func (g *GitHub) installation(id string) *Installation {
	for i := range g.Installations {
		if strconv.FormatInt(g.Installations[i].ID, 10) == id {
			return &g.Installations[i]
		}
	}
	return nil
}

func describeInstallation(r *http.Request, i Installation) map[string]any {
	api := "http://" + r.Host + "/app/installations/" + strconv.FormatInt(i.ID, 10)
	in := account(r, i.Owner, "Organization")
	in["name"], in["slug"], in["created_at"], in["updated_at"] = i.Owner, i.Owner, Created, Updated // of a list, the description wants what enterprises have, too
	return map[string]any{
		"id": i.ID, "account": in, "repository_selection": "all", "access_tokens_url": api + "/access_tokens",
		"repositories_url": "http://" + r.Host + "/installation/repositories", "html_url": "http://" + r.Host + "/settings/installations/1", "app_id": 1,
		"target_id": 1, "target_type": "Organization", "permissions": map[string]string{"contents": "read"}, "events": []string{}, "created_at": Created,
		"updated_at": Updated, "single_file_name": nil, "app_slug": "leakreach", "suspended_by": nil, "suspended_at": nil,
	}
}

// login is the user a token belongs to, if it is one.
func (g *GitHub) login(token string) (login string, ok bool) {
	if token == "" {
		return "", false
	}
	if token == g.Token {
		return g.Login, true
	}
	if id, ok := strings.CutPrefix(token, InstallationToken); ok && g.installation(id) != nil {
		return "", true
	}
	t, ok := g.Tokens[token]
	return t.Login, ok
}

// sees tells whether a token may see the private side of an owner.
func (g *GitHub) sees(token, owner string) bool {
	if _, ok := g.login(token); !ok {
		return false
	}
	if id, ok := strings.CutPrefix(token, InstallationToken); ok {
		return strings.EqualFold(g.installation(id).Owner, owner)
	}
	t := g.Tokens[token]
	return t.Owner == "" || strings.EqualFold(t.Owner, owner)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return token
	}
	return ""
}

// trusted tells whether a request comes from somebody who sees all of its owner's.
func (g *GitHub) trusted(r *http.Request) bool { return g.sees(bearer(r), r.PathValue("owner")) }

// gitPath takes apart /OWNER/REPO.git/CALL.
func gitPath(path string) (owner, repo, call string, ok bool) {
	before, call, ok := strings.Cut(strings.TrimPrefix(path, "/"), ".git/")
	i := strings.LastIndexByte(before, '/')
	if !ok || i < 0 {
		return "", "", "", false
	}
	return before[:i], before[i+1:], call, true
}

func (g *GitHub) git(w http.ResponseWriter, r *http.Request, name, call string) {
	x := g.find(name)
	_, password, _ := r.BasicAuth()
	owner, _, _ := strings.Cut(name, "/")
	sees := g.sees(password, owner)
	if x == nil || x.Gone || !sees && (x.Private || password != "") {
		if sees {
			http.Error(w, "Repository not found.", http.StatusNotFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Authentication required", http.StatusUnauthorized)
		return
	}
	serveGit(w, r, x.Dir, call)
}

func (g *GitHub) find(name string) *GitHubRepo {
	for _, x := range g.Repos {
		if strings.EqualFold(x.FullName, name) {
			return x
		}
	}
	return nil
}

func (g *GitHub) owner(name string) *Owner {
	name, _, _ = strings.Cut(name, "/")
	for _, o := range g.Owners {
		if strings.EqualFold(o.Login, name) {
			return o
		}
	}
	return &Owner{Login: name, User: true}
}

// page answers one page with GitHub's links.
func (g *GitHub) page(w http.ResponseWriter, r *http.Request, key string, items []any, most int) {
	size := 30
	if most == 30 {
		size = 10
	}
	from, to, page, last, _ := window(r, len(items), size, most)
	link := func(n int, rel string) string {
		return fmt.Sprintf("<%s>; rel=%q", at(r, map[string]string{"page": strconv.Itoa(n)}), rel)
	}
	var links []string
	if page > 1 {
		links = append(links, link(page-1, "prev"), link(1, "first"))
	}
	if page < last {
		links = append(links, link(page+1, "next"), link(last, "last"))
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	shown := append([]any{}, items[from:to]...)
	if key == "" {
		writeJSON(w, http.StatusOK, shown)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"total_count": len(items), key: shown})
}

func (g *GitHub) user(w http.ResponseWriter, r *http.Request) {
	login, ok := g.login(bearer(r))
	switch {
	case !ok:
		Fail(w, http.StatusUnauthorized, "Requires authentication")
	case login == "":
		Fail(w, http.StatusForbidden, "Resource not accessible by integration")
	default:
		u := account(r, login, "User")
		for _, k := range []string{"bio", "blog", "company", "email", "hireable", "location", "name"} {
			u[k] = nil
		}
		for _, k := range []string{"followers", "following", "public_gists", "public_repos"} {
			u[k] = 0
		}
		u["created_at"], u["updated_at"] = Created, Updated
		u["user_view_type"] = "public"
		writeJSON(w, http.StatusOK, u)
	}
}

func (g *GitHub) userRepos(w http.ResponseWriter, r *http.Request) {
	login, ok := g.login(bearer(r))
	if !ok {
		Fail(w, http.StatusUnauthorized, "Requires authentication")
		return
	}
	var items []any
	for _, x := range g.Repos {
		if strings.EqualFold(g.owner(x.FullName).Login, login) {
			items = append(items, g.describe(r, x))
		}
	}
	g.page(w, r, "", items, 100)
}

func (g *GitHub) org(w http.ResponseWriter, r *http.Request) {
	o := g.owner(r.PathValue("owner"))
	if o.User {
		Fail(w, http.StatusNotFound, "Not Found")
		return
	}
	public, private := 0, o.Hidden
	for _, x := range g.Repos {
		if g.owner(x.FullName) == o && x.Private {
			private++
		} else if g.owner(x.FullName) == o {
			public++
		}
	}
	api := "http://" + r.Host + "/orgs/" + o.Login
	m := map[string]any{
		"login": o.Login, "url": api, "id": 1, "node_id": "O_1", "avatar_url": "", "description": nil, "html_url": "http://" + r.Host + "/" + o.Login,
		"has_organization_projects": true, "has_repository_projects": true, "public_repos": public, "public_gists": 0, "followers": 0,
		"following": 0, "type": "Organization", "created_at": Created, "updated_at": Updated, "archived_at": nil,
	}
	for _, k := range []string{"repos", "events", "hooks", "issues", "members", "public_members"} {
		m[k+"_url"] = api + "/" + k
	}
	if g.trusted(r) {
		m["total_private_repos"] = private
	}
	writeJSON(w, http.StatusOK, m)
}

func (g *GitHub) ownerRepos(user bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var o *Owner
		for _, x := range g.Owners {
			if strings.EqualFold(x.Login, r.PathValue("owner")) && (user || !x.User) {
				o = x
			}
		}
		if o == nil {
			Fail(w, http.StatusNotFound, "Not Found")
			return
		}
		var items []any
		for _, x := range g.Repos {
			if g.owner(x.FullName) == o && (!x.Private || g.trusted(r) && !user) {
				items = append(items, g.describe(r, x))
			}
		}
		g.page(w, r, "", items, 100)
	}
}

func (g *GitHub) repo(w http.ResponseWriter, r *http.Request) {
	x := g.find(r.PathValue("owner") + "/" + r.PathValue("repo"))
	if x == nil || x.Gone || x.Private && !g.trusted(r) {
		Fail(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, g.describe(r, x))
}

func (g *GitHub) handleOrg(mux *http.ServeMux, what string, list func(*Owner) (items []any, most int)) {
	mux.HandleFunc("GET /orgs/{owner}/actions/"+what, func(w http.ResponseWriter, r *http.Request) {
		o := g.owner(r.PathValue("owner"))
		if o.User || !g.trusted(r) {
			Fail(w, http.StatusNotFound, "Not Found")
			return
		}
		items, most := list(o)
		for _, it := range items {
			if m := it.(map[string]any); what != "runners" && m["visibility"] == nil {
				m["visibility"] = "all"
			}
		}
		g.page(w, r, what, items, most)
	})
}

// handleRepo serves a listing of a repository; most is 0 for one that does not exist.
func (g *GitHub) handleRepo(mux *http.ServeMux, path, key string, list func(*http.Request, *GitHubRepo) (items []any, most int)) {
	mux.HandleFunc("GET /repos/{owner}/{repo}/"+path, func(w http.ResponseWriter, r *http.Request) {
		x := g.find(r.PathValue("owner") + "/" + r.PathValue("repo"))
		if x == nil || x.Gone || !g.trusted(r) {
			Fail(w, http.StatusNotFound, "Not Found")
			return
		}
		items, most := list(r, x)
		if most == 0 {
			Fail(w, http.StatusNotFound, "Not Found")
			return
		}
		g.page(w, r, key, items, most)
	})
}

func (x *GitHubRepo) environment(r *http.Request) *Environment {
	for i := range x.Environments {
		if x.Environments[i].Name == r.PathValue("env") {
			return &x.Environments[i]
		}
	}
	return nil
}

func variables(all []Variable) (out []any) {
	for _, v := range all {
		m := map[string]any{"name": v.Name, "value": v.Value, "created_at": Created, "updated_at": Updated}
		if v.Visibility != "" {
			m["visibility"] = v.Visibility
		}
		out = append(out, m)
	}
	return out
}

func secrets(all []Secret) (out []any) {
	for _, s := range all {
		m := map[string]any{"name": s.Name, "created_at": Created, "updated_at": Updated}
		if s.Visibility != "" {
			m["visibility"] = s.Visibility
		}
		out = append(out, m)
	}
	return out
}

func runners(all []Runner) (out []any) {
	for i, x := range all {
		labels := []any{}
		for j, l := range x.Labels {
			labels = append(labels, map[string]any{"id": j + 1, "name": l, "type": "custom"})
		}
		out = append(out, map[string]any{
			"id": i + 1, "name": x.Name, "os": x.OS, "status": "online", "busy": false, "labels": labels, "ephemeral": x.Ephemeral,
			"runner_group_id": 1, "version": "2.336.0",
		})
	}
	return out
}

func environments(r *http.Request, x *GitHubRepo) (out []any) {
	for i, e := range x.Environments {
		rules := []any{}
		if e.Reviewers {
			rules = append(rules, map[string]any{"id": 7, "node_id": "GA_7", "type": "required_reviewers", "prevent_self_review": false, "reviewers": []any{}})
		}
		out = append(out, map[string]any{
			"id": 1000 + i, "node_id": "EN_" + strconv.Itoa(i), "name": e.Name, "url": "http://" + r.Host + "/repos/" + x.FullName + "/environments/" + strconv.Itoa(i),
			"html_url": "http://" + r.Host + "/" + x.FullName, "created_at": Created, "updated_at": Updated, "can_admins_bypass": true,
			"protection_rules": rules, "deployment_branch_policy": nil,
		})
	}
	return out
}

func account(r *http.Request, login, kind string) map[string]any {
	api := "http://" + r.Host + "/users/" + login
	m := map[string]any{
		"login": login, "id": 1, "node_id": base64.StdEncoding.EncodeToString([]byte(login)), "avatar_url": api + "/avatar", "gravatar_id": "",
		"url": api, "html_url": "http://" + r.Host + "/" + login, "type": kind, "site_admin": false,
	}
	for _, k := range []string{"events", "followers", "following", "gists", "organizations", "received_events", "repos", "starred", "subscriptions"} {
		m[k+"_url"] = api + "/" + k
	}
	return m
}

// describe is a repository with all that any of GitHub's descriptions of one requires.
func (g *GitHub) describe(r *http.Request, x *GitHubRepo) map[string]any {
	o := g.owner(x.FullName)
	kind := "Organization"
	if o.User {
		kind = "User"
	}
	_, name, _ := strings.Cut(x.FullName, "/")
	host := "http://" + r.Host
	api := host + "/repos/" + x.FullName
	visibility := "public"
	if x.Private {
		visibility = "private"
	}
	m := map[string]any{
		"id": x.ID, "node_id": "R_" + strconv.FormatInt(x.ID, 10), "name": name, "full_name": x.FullName, "owner": account(r, o.Login, kind),
		"private": x.Private, "html_url": host + "/" + x.FullName, "description": nil, "fork": x.Fork, "url": api, "archived": x.Archived,
		"disabled": false, "visibility": visibility, "clone_url": host + "/" + x.FullName + ".git", "git_url": "git://" + r.Host + "/" + x.FullName + ".git",
		"ssh_url": "git@" + r.Host + ":" + x.FullName + ".git", "svn_url": host + "/" + x.FullName, "mirror_url": nil, "homepage": nil,
		"language": nil, "license": nil, "default_branch": "main", "size": 1, "created_at": Created, "updated_at": Updated, "pushed_at": Updated,
	}
	if x.CloneURL != "" {
		m["clone_url"] = x.CloneURL
	}
	for _, k := range []string{
		"archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents", "contributors",
		"deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks", "issue_comment", "issue_events",
		"issues", "keys", "labels", "languages", "merges", "milestones", "notifications", "pulls", "releases", "stargazers", "statuses",
		"subscribers", "subscription", "tags", "teams", "trees",
	} {
		m[k+"_url"] = api + "/" + k
	}
	for _, k := range []string{"forks", "forks_count", "open_issues", "open_issues_count", "stargazers_count", "watchers", "watchers_count", "network_count", "subscribers_count"} {
		m[k] = 0
	}
	for _, k := range []string{"downloads", "issues", "projects", "wiki", "pages", "discussions"} {
		m["has_"+k] = false
	}
	return m
}
