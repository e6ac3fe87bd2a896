package forgetest

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// GitHub is a fake of GitHub's REST and GraphQL APIs and of its git server, on one host. The APIs are served at the root, and below /api as an
// Enterprise Server has them. Contents of logs and artifacts lie on another host.
type GitHub struct {
	server
	Token  string        // the one accepted token, besides Tokens; without it only public repositories are seen
	Login  string        // the user the token belongs to; "" for one that belongs to no user, such as an App's
	Owners []*Owner      // organisations and users
	Repos  []*GitHubRepo // in the order they are listed

	Tokens map[string]GitHubToken // further ones; one that is Token says what that may

	Enterprises map[string][]string // their organisations, by slug
	Advisories  []Advisory          // in the order in which they are listed

	// Version is that of a GitHub Enterprise Server, which lacks some of what GitHub itself has, whose version is "".
	Version string
	Blobs   *Blobs // where contents lie that are not git's: see StartBlobs

	// App, if set, checks who asks as the App, for an installation or for a list of them (""). An installation's token is Token, or for one of
	// Installations its id behind InstallationToken.
	App           func(jwt, installation string) error
	Installations []Installation

	once  sync.Once
	api   *http.ServeMux
	state sync.RWMutex // of all above
	known sync.Map     // what git said: see read
}

// A GitHubToken is one besides GitHub.Token.
type GitHubToken struct {
	Login string // as GitHub.Login
	Owner string // whose repositories it sees; "" for all

	Rights []string // of a fine-grained one, such as secrets=read; nil are all
	Scopes []string // if not nil it is a classic one with these
}

// An Installation is a GitHub App in an account.
type Installation struct {
	ID     int64
	Owner  string
	Rights []string // as GitHubToken.Rights
}

// InstallationToken begins the tokens of installations.
const InstallationToken = "token-of-installation-"

// QuotaOfGraphQL is, behind a token, what Used tells of its requests to GraphQL, which have a quota of their own.
const QuotaOfGraphQL = " for GraphQL"

// Change changes the fake while nothing is being answered. A Fault may call it.
func (g *GitHub) Change(change func()) {
	g.state.Lock()
	defer g.state.Unlock()
	change()
}

func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.before(w, r) {
		return
	}
	g.state.RLock()
	defer g.state.RUnlock()
	if owner, repo, call, ok := gitPath(r.URL.Path); ok {
		g.git(w, r, owner+"/"+repo, call)
		return
	}
	g.once.Do(g.routes)
	api := http.Handler(g.api)
	if strings.HasPrefix(r.URL.Path, "/api/v3/") {
		api = http.StripPrefix("/api/v3", api)
	} else if r.URL.Path == "/api/graphql" { // where an Enterprise Server has it
		api = http.StripPrefix("/api", api)
	}
	if strings.HasPrefix(strings.TrimPrefix(r.URL.Path, "/api/v3"), "/app/") {
		api.ServeHTTP(w, r)
		return
	}
	token := bearer(r)
	if _, known := g.login(token); token != "" && !known {
		Fail(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	w.Header().Set("X-GitHub-Request-Id", "F0RG:"+strconv.Itoa(len(g.Requests())))
	if g.Version != "" {
		w.Header().Set("X-GitHub-Enterprise-Version", g.Version)
	}
	resource, payer := "core", token
	if strings.HasSuffix(r.URL.Path, "/graphql") {
		resource, payer = "graphql", token+QuotaOfGraphQL
	}
	if g.Limit > 0 {
		w.Header().Set("X-RateLimit-Resource", resource)
	}
	g.answer(w, r, payer, "X-RateLimit-", true, api.ServeHTTP)
}

func (g *GitHub) routes() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", g.user)
	mux.HandleFunc("GET /user/repos", g.userRepos)
	mux.HandleFunc("GET /users/{owner}/repos", g.ownerRepos(true))
	mux.HandleFunc("GET /users/{owner}/gists", g.userGists)
	mux.HandleFunc("GET /gists", g.ownGists)
	mux.HandleFunc("GET /gists/{gist}", g.gist(false))
	mux.HandleFunc("GET /gists/{gist}/comments", g.gist(true))
	mux.HandleFunc("GET /orgs/{owner}", g.org)
	mux.HandleFunc("GET /orgs/{owner}/repos", g.ownerRepos(false))
	mux.HandleFunc("GET /repos/{owner}/{repo}", g.repo)
	mux.HandleFunc("GET /rate_limit", g.rateLimit)
	mux.HandleFunc("GET /meta", g.meta)
	mux.HandleFunc("POST /graphql", g.graphQL)
	mux.HandleFunc("GET /advisories", g.advisories)
	g.handle(mux, "/orgs/{owner}/", ofOrganisations())
	g.handle(mux, "/repos/{owner}/{repo}/", ofRepositories())
	g.handle(mux, "/repos/{owner}/{repo}/environments/{env}/", ofEnvironments())
	mux.HandleFunc("GET /repositories/{id}/{rest...}", g.byID)
	mux.HandleFunc("GET /repositories/{id}", g.byID)
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
	g.api = mux
}

// byID serves what a repository's former name redirects to.
func (g *GitHub) byID(w http.ResponseWriter, r *http.Request) {
	for _, x := range g.Repos {
		if strconv.FormatInt(x.ID, 10) == r.PathValue("id") {
			again := r.Clone(r.Context())
			again.URL.Path = strings.TrimSuffix("/repos/"+x.FullName+"/"+r.PathValue("rest"), "/")
			again.URL.RawPath = ""
			g.api.ServeHTTP(w, again)
			return
		}
	}
	Fail(w, http.StatusNotFound, "Not Found")
}

// moved redirects from a repository's former name, and tells whether it did.
func (g *GitHub) moved(w http.ResponseWriter, r *http.Request) bool {
	name := r.PathValue("owner") + "/" + r.PathValue("repo")
	for _, x := range g.Repos {
		if slices.Contains(x.Was, name) && g.sees(bearer(r), name) {
			to := strings.Replace(at(r, nil), "/repos/"+name, "/repositories/"+strconv.FormatInt(x.ID, 10), 1)
			w.Header().Set("Location", to)
			writeJSON(w, http.StatusMovedPermanently, map[string]any{"message": "Moved Permanently", "url": to, "documentation_url": "https://docs.example.com/rest"})
			return true
		}
	}
	return false
}

func (g *GitHub) rateLimit(w http.ResponseWriter, r *http.Request) {
	limit, token := g.Limit, bearer(r)
	if limit == 0 {
		limit = 5000 // GitHub's
	}
	reset := g.Reset
	if reset.IsZero() {
		reset = time.Now().Add(time.Hour)
	}
	of := func(payer string) map[string]any {
		used := g.Used(payer)
		return map[string]any{"limit": limit, "remaining": max(0, limit-used), "reset": reset.Unix(), "used": used}
	}
	core := of(token)
	writeJSON(w, http.StatusOK, map[string]any{
		"resources": map[string]any{"core": core, "graphql": of(token + QuotaOfGraphQL), "search": of(token + " for searches")}, "rate": core,
	})
}

// meta is what the service says of itself; a server of somebody's own, its version.
func (g *GitHub) meta(w http.ResponseWriter, _ *http.Request) {
	about := map[string]any{"verifiable_password_authentication": false}
	if g.Version != "" {
		about["installed_version"] = g.Version
	}
	writeJSON(w, http.StatusOK, about)
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

// granted is what a token may: the rights of a fine-grained one or an App's, nil for all of them, or the scopes of a classic one.
func (g *GitHub) granted(token string) (rights, scopes []string, app bool) {
	if id, ok := strings.CutPrefix(token, InstallationToken); ok {
		if i := g.installation(id); i != nil {
			return i.Rights, nil, true
		}
	}
	login, _ := g.login(token)
	t := g.Tokens[token]
	return t.Rights, t.Scopes, login == ""
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
	_, password, _ := r.BasicAuth()
	owner, repo, _ := strings.Cut(name, "/")
	if gist, _ := g.findGist(repo); owner == "gist" && gist != nil && gist.Dir != "" { // whoever knows its name may read
		serveGit(w, r, gist.Dir, call)
		return
	}
	for _, x := range g.Repos {
		if slices.Contains(x.Was, name) {
			http.Redirect(w, r, strings.Replace(at(r, nil), "/"+name+".git", "/"+x.FullName+".git", 1), http.StatusMovedPermanently)
			return
		}
	}
	name, isWiki := strings.CutSuffix(name, ".wiki")
	x := g.find(name)
	sees := g.sees(password, owner)
	if x == nil || x.Gone || isWiki && x.Wiki == "" || !sees && (x.Private || password != "") {
		if sees {
			http.Error(w, "Repository not found.", http.StatusNotFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Authentication required", http.StatusUnauthorized)
		return
	}
	dir := x.Dir
	if isWiki {
		dir = x.Wiki
	}
	serveGit(w, r, dir, call)
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

// pageAfter answers one page of a listing that goes by cursors instead of numbers.
func (g *GitHub) pageAfter(w http.ResponseWriter, r *http.Request, items []any) {
	from, _ := strconv.Atoi(r.URL.Query().Get("after"))
	_, per, _, _, _ := window(r, 100, 30, 100)
	from = min(max(from, 0), len(items))
	to := min(from+per, len(items))
	if to < len(items) {
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", at(r, map[string]string{"after": strconv.Itoa(to)})))
	}
	writeJSON(w, http.StatusOK, append([]any{}, items[from:to]...))
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
	if x == nil && g.moved(w, r) {
		return
	}
	if x == nil || x.Gone || x.Private && !g.trusted(r) {
		Fail(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, g.describe(r, x))
}

// AccountID is the number of a user or an organisation.
func AccountID(login string) int64 { return int64(crc32.ChecksumIEEE([]byte(login))) }

func account(r *http.Request, login, kind string) map[string]any {
	api := "http://" + r.Host + "/users/" + login
	m := map[string]any{
		"login": login, "id": AccountID(login), "node_id": base64.StdEncoding.EncodeToString([]byte(login)), "avatar_url": api + "/avatar", "gravatar_id": "",
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
	switch {
	case x.Internal:
		visibility = "internal"
	case x.Private:
		visibility = "private"
	}
	m := map[string]any{
		"id": x.ID, "node_id": nodeID(x), "name": name, "full_name": x.FullName, "owner": account(r, o.Login, kind),
		"private": x.Private, "html_url": host + "/" + x.FullName, "description": nil, "fork": x.Fork, "url": api, "archived": x.Archived,
		"disabled": false, "visibility": visibility, "clone_url": host + "/" + x.FullName + ".git", "git_url": "git://" + r.Host + "/" + x.FullName + ".git",
		"ssh_url": "git@" + r.Host + ":" + x.FullName + ".git", "svn_url": host + "/" + x.FullName, "mirror_url": nil, "homepage": nil,
		"language": nil, "license": nil, "default_branch": "main", "size": 1, "created_at": Created, "updated_at": Updated,
		"pushed_at": when(x.Pushed, Updated),
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
	if _, ok := g.login(bearer(r)); ok {
		admin := g.administers(r, x)
		m["permissions"] = map[string]bool{"admin": admin, "maintain": admin, "push": admin, "triage": admin, "pull": true}
	}
	m["has_issues"], m["has_wiki"] = len(x.Issues) > 0, x.Wiki != "" || x.NoPages
	return m
}
