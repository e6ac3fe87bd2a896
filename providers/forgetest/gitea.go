package forgetest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Gitea is a fake of Gitea's REST API v1, below /api/v1, and of its git server.
type Gitea struct {
	server
	Token   string   // the one accepted token; without it only public repositories are seen
	Login   string   // whose it is
	Scopes  []string // what it may read: organization, repository, user, issue, package; nil for everything
	Most    int      // largest page; 0 is 50, as Gitea has it
	Forgejo bool     // lists runners as Forgejo does
	Older   bool     // lists variables without values, which are told one by one, and pages without links, and has neither runs nor rules for tags
	Admin   bool     // the token is an administrator's
	Runners []Runner // of the instance
	Hooks   []GiteaHook
	Owners  []*GiteaOwner
	Repos   []*GiteaRepo
}

// A GiteaOwner is an organisation or a user.
type GiteaOwner struct {
	Name      string
	User      bool
	Denied    bool // the token is no owner's
	Variables []Variable
	Secrets   []Secret
	Runners   []Runner
	Hooks     []GiteaHook
	Packages  []GiteaPackage
}

// A GiteaPackage is one version of a package.
type GiteaPackage struct {
	Name, Type, Version string
	Repository          string // that it is linked to
}

// A GiteaRepo is a repository.
type GiteaRepo struct {
	FullName  string
	ID        int64
	Private   bool
	Archived  bool
	Fork      bool
	Hidden    bool   // counted, and not shown to the token
	Dir       string // bare git repository; "" is an empty one
	CloneURL  string // what the API says instead of the truth
	Gone      bool   // listed, and 404 everywhere else
	Denied    bool   // the token is no owner's
	Variables []Variable
	Secrets   []Secret
	Runners   []Runner
	Hooks     []GiteaHook
	Keys      []GiteaKey
	Rules     []GiteaRule
	TagRules  []GiteaTagRule
	Runs      []*GiteaRun
	Issues    []GiteaIssue
	Releases  []GiteaRelease
	Wiki      []GiteaPage
	Off       []string // units that are turned off, as the API names them: has_actions
}

func (g *Gitea) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.before(w, r) {
		return
	}
	if owner, repo, call, ok := gitPath(r.URL.Path); ok {
		g.git(w, r, owner+"/"+repo, call)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/attachments/") {
		g.attachment(w, r)
		return
	}
	if token := bearer(r); token != "" && token != g.Token {
		giteaFail(w, http.StatusUnauthorized, "invalid username, password or token")
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", g.scoped("user", func(w http.ResponseWriter, r *http.Request) {
		if g.signedIn(w, r) {
			writeJSON(w, http.StatusOK, giteaUser(r, g.Login))
		}
	}))
	mux.HandleFunc("GET /user/actions/{what}", g.scoped("user", func(w http.ResponseWriter, r *http.Request) {
		if o := g.owner(g.Login); r.PathValue("what") == "secrets" {
			giteaFail(w, http.StatusNotFound, "not found") // there is no list of them
		} else if g.signedIn(w, r) && o != nil {
			g.settings(w, r, o.Variables, nil, o.Runners)
		}
	}))
	mux.HandleFunc("GET /users/{owner}/repos", g.scoped("user", g.scoped("repository", g.repos)))
	mux.HandleFunc("GET /orgs/{owner}", g.scoped("organization", func(w http.ResponseWriter, r *http.Request) {
		if o := g.org(w, r); o != nil {
			writeJSON(w, http.StatusOK, g.describeOrg(r, o))
		}
	}))
	mux.HandleFunc("GET /orgs/{owner}/repos", g.scoped("organization", func(w http.ResponseWriter, r *http.Request) {
		if g.org(w, r) != nil {
			g.repos(w, r)
		}
	}))
	mux.HandleFunc("GET /orgs/{owner}/actions/{what}", g.scoped("organization", func(w http.ResponseWriter, r *http.Request) {
		if o := g.org(w, r); o != nil && g.signedIn(w, r) && g.may(w, o.Denied, "Must be an organization owner") {
			g.settings(w, r, o.Variables, o.Secrets, o.Runners)
		}
	}))
	mux.HandleFunc("GET /repos/{owner}/{repo}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		if x := g.repo(w, r); x != nil {
			writeJSON(w, http.StatusOK, g.describe(r, x))
		}
	}))
	mux.HandleFunc("GET /repos/{owner}/{repo}/actions/{what}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		if x := g.repo(w, r); x != nil && g.signedIn(w, r) && g.may(w, x.Denied, "user should be the owner of the repo") {
			g.settings(w, r, x.Variables, x.Secrets, x.Runners)
		}
	}))
	mux.HandleFunc("GET /repos/{owner}/{repo}/actions/variables/{name}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		if x := g.repo(w, r); x != nil && g.signedIn(w, r) && g.may(w, x.Denied, "user should be the owner of the repo") {
			g.variable(w, r, x.Variables)
		}
	}))
	g.settingsRoutes(mux)
	g.recordsRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { giteaFail(w, http.StatusNotFound, "not found") })
	http.StripPrefix("/api/v1", mux).ServeHTTP(w, r)
}

func giteaFail(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"message": message, "url": "https://docs.example.com/api/swagger"})
}

func (g *Gitea) trusted(r *http.Request) bool { return g.Token != "" && bearer(r) == g.Token }

func (g *Gitea) signedIn(w http.ResponseWriter, r *http.Request) bool {
	return g.trusted(r) || !g.refuse(w, http.StatusUnauthorized, "token is required")
}

func (g *Gitea) may(w http.ResponseWriter, denied bool, message string) bool {
	return !denied || !g.refuse(w, http.StatusForbidden, message)
}

func (g *Gitea) refuse(w http.ResponseWriter, status int, message string) bool {
	giteaFail(w, status, message)
	return true
}

// scoped answers a token that may not read a category, whoever's it is.
func (g *Gitea) scoped(category string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.trusted(r) && g.Scopes != nil && !slices.Contains(g.Scopes, category) {
			has := "read:" + strings.Join(g.Scopes, ",read:")
			giteaFail(w, http.StatusForbidden, "token does not have at least one of required scope(s), required=[read:"+category+"], token scope="+has)
			return
		}
		next(w, r)
	}
}

func (g *Gitea) owner(name string) *GiteaOwner {
	for _, o := range g.Owners {
		if strings.EqualFold(o.Name, name) {
			return o
		}
	}
	return nil
}

func (g *Gitea) org(w http.ResponseWriter, r *http.Request) *GiteaOwner {
	if o := g.owner(r.PathValue("owner")); o != nil && !o.User {
		return o
	}
	giteaFail(w, http.StatusNotFound, "not found")
	return nil
}

func (g *Gitea) find(name string) *GiteaRepo {
	for _, x := range g.Repos {
		if strings.EqualFold(x.FullName, name) {
			return x
		}
	}
	return nil
}

func (g *Gitea) sees(r *http.Request, x *GiteaRepo) bool {
	return !x.Hidden && (!x.Private || g.trusted(r))
}

func (g *Gitea) repo(w http.ResponseWriter, r *http.Request) *GiteaRepo {
	if x := g.find(r.PathValue("owner") + "/" + r.PathValue("repo")); x != nil && !x.Gone && g.sees(r, x) {
		return x
	}
	giteaFail(w, http.StatusNotFound, "not found")
	return nil
}

func (g *Gitea) git(w http.ResponseWriter, r *http.Request, name, call string) {
	x := g.find(name)
	_, password, _ := r.BasicAuth()
	switch {
	case password != "" && password != g.Token:
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "", http.StatusUnauthorized)
	case x != nil && !x.Gone && !x.Hidden && (!x.Private || password == g.Token && g.Token != ""):
		serveGit(w, r, x.Dir, call)
	case password == "":
		w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
		http.Error(w, "", http.StatusUnauthorized)
	default:
		http.Error(w, "Repository not found", http.StatusNotFound)
	}
}

// repos lists an owner's, and counts those that it does not show.
func (g *Gitea) repos(w http.ResponseWriter, r *http.Request) {
	o := g.owner(r.PathValue("owner"))
	if o == nil {
		giteaFail(w, http.StatusNotFound, "not found")
		return
	}
	var all []*GiteaRepo
	for _, x := range g.Repos {
		if owner, _, _ := strings.Cut(x.FullName, "/"); owner == o.Name && (!x.Private || g.trusted(r)) {
			all = append(all, x)
		}
	}
	from, to := g.header(w, r, len(all), true)
	shown := []any{}
	for _, x := range all[from:to] {
		if g.sees(r, x) {
			shown = append(shown, g.describe(r, x))
		}
	}
	writeJSON(w, http.StatusOK, shown)
}

// header sets what tells of other pages, and returns the bounds of this one.
func (g *Gitea) header(w http.ResponseWriter, r *http.Request, n int, links bool) (from, to int) {
	most := g.Most
	if most == 0 {
		most = 50
	}
	q := r.URL.Query()
	q.Set("per_page", q.Get("limit"))
	paged := r.Clone(r.Context())
	paged.URL.RawQuery = q.Encode()
	from, to, page, last, _ := window(paged, n, 30, most)
	if !links {
		return from, to
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(n))
	var all []string
	link := func(number int, rel string) {
		all = append(all, fmt.Sprintf("<%s>; rel=%q", at(r, map[string]string{"page": strconv.Itoa(number)}), rel))
	}
	if page < last {
		link(page+1, "next")
		link(last, "last")
	}
	if page > 1 {
		link(1, "first")
		link(page-1, "prev")
	}
	if len(all) > 0 && !g.Older {
		w.Header().Set("Link", strings.Join(all, ","))
	}
	return from, to
}

// settings answers the list that the path names last.
func (g *Gitea) settings(w http.ResponseWriter, r *http.Request, vs []Variable, ss []Secret, rs []Runner) {
	what := r.PathValue("what")
	items := []any{}
	switch what {
	case "variables":
		for _, v := range vs {
			if g.Older {
				v.Value = ""
			}
			items = append(items, giteaVariable(v))
		}
	case "secrets":
		for _, s := range ss {
			items = append(items, map[string]any{"name": s.Name, "description": "", "created_at": Created})
		}
	case "runners":
		for i, x := range rs {
			items = append(items, g.runner(i+1, x))
		}
	default:
		giteaFail(w, http.StatusNotFound, "not found")
		return
	}
	object := what == "runners" && !g.Forgejo
	from, to := g.header(w, r, len(items), !object)
	if object {
		writeJSON(w, http.StatusOK, map[string]any{"runners": items[from:to], "total_count": len(items)})
		return
	}
	writeJSON(w, http.StatusOK, items[from:to])
}

func giteaVariable(v Variable) map[string]any {
	return map[string]any{"owner_id": 0, "repo_id": 0, "name": v.Name, "data": v.Value, "description": ""}
}

// variable answers the one that the path names last.
func (g *Gitea) variable(w http.ResponseWriter, r *http.Request, all []Variable) {
	i := slices.IndexFunc(all, func(v Variable) bool { return v.Name == r.PathValue("name") })
	if i < 0 {
		giteaFail(w, http.StatusNotFound, "variable not found")
		return
	}
	writeJSON(w, http.StatusOK, giteaVariable(all[i]))
}

func (g *Gitea) runner(id int, x Runner) map[string]any {
	if g.Forgejo {
		return map[string]any{
			"id": id, "uuid": "0", "owner_id": 0, "repo_id": 0, "name": x.Name, "status": "idle", "version": "v12.0.0", "labels": x.Labels,
			"description": "", "ephemeral": x.Ephemeral,
		}
	}
	labels := []any{}
	for i, name := range x.Labels {
		labels = append(labels, map[string]any{"id": i, "name": name, "type": "custom"})
	}
	return map[string]any{
		"id": id, "name": x.Name, "status": "online", "busy": false, "disabled": false, "ephemeral": x.Ephemeral, "labels": labels,
	}
}

func giteaUser(r *http.Request, name string) map[string]any {
	return map[string]any{
		"id": 1, "login": name, "login_name": "", "source_id": 0, "full_name": "", "email": name + "@noreply.example.com", "avatar_url": "",
		"html_url": "http://" + r.Host + "/" + name, "language": "", "is_admin": false, "last_login": Updated, "created": Created, "restricted": false,
		"active": true, "prohibit_login": false, "location": "", "website": "", "description": "", "visibility": "public", "followers_count": 0,
		"following_count": 0, "starred_repos_count": 0,
	}
}

func (g *Gitea) describeOrg(r *http.Request, o *GiteaOwner) map[string]any {
	name := o.Name
	return map[string]any{
		"id": g.id(name), "name": name, "full_name": "", "email": "", "avatar_url": "http://" + r.Host + "/avatars/1", "description": "", "website": "", "location": "",
		"visibility": "public", "repo_admin_change_team_access": true, "username": name,
	}
}

func (g *Gitea) describe(r *http.Request, x *GiteaRepo) map[string]any {
	owner, name, _ := strings.Cut(x.FullName, "/")
	host := "http://" + r.Host
	m := map[string]any{
		"id": x.ID, "owner": giteaUser(r, owner), "name": name, "full_name": x.FullName, "description": "", "empty": x.Dir == "", "private": x.Private,
		"fork": x.Fork, "template": false, "mirror": false, "size": 22, "language": "", "html_url": host + "/" + x.FullName,
		"url": host + "/api/v1/repos/" + x.FullName, "ssh_url": "git@" + r.Host + ":" + x.FullName + ".git", "clone_url": host + "/" + x.FullName + ".git",
		"default_branch": "main", "archived": x.Archived, "created_at": Created, "updated_at": Updated, "internal": false,
		"has_actions": true, "has_issues": true, "has_pull_requests": true, "has_releases": true, "has_wiki": true, "object_format_name": "sha1", "permissions": map[string]any{"admin": !x.Denied, "push": !x.Denied, "pull": true},
	}
	for _, unit := range x.Off {
		m[unit] = false
	}
	if x.CloneURL != "" {
		m["clone_url"] = x.CloneURL
	}
	return m
}
