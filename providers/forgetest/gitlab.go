package forgetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// GitLab is a fake of GitLab's REST API v4, below /api/v4, and of its git server.
type GitLab struct {
	server
	Token     string   // the accepted access token; without it only public groups and projects are seen
	Tokens    []string // further ones
	JobToken  string   // accepted for cloning projects with JobMayRead, and for what [GitLab.jobReads] names
	Admin     bool     // Token is an administrator's
	AdminMode bool     // an administrator's token that lacks scope admin_mode: 403 for what administrators may
	NoKeyset  bool     // answers 405 to keyset paging, as for listings without it
	Users     []string
	Groups    []*Group
	Projects  []*Project
	Variables []CIVariable // of the instance
	Runners   []CIRunner   // of the instance
	Free      bool         // without a licence: what takes one is 404
	NoGraphQL bool         // refuses GraphQL
	Storage   string       // where artifacts lie: the address of [GitLab.ServeStorage]; "" for in the API
	CIAccess               // of the instance
}

// A Group is a group or subgroup.
type Group struct {
	ID        int
	Path      string
	Private   bool
	Denied    bool // the token's role is too low for settings
	Variables []CIVariable
	Runners   []CIRunner
	CIAccess
}

// A Project is a project.
type Project struct {
	ID           int
	Path         string
	Private      bool
	Archived     bool
	Dir          string // bare git repository; "" is an empty one
	CloneURL     string // what the API says instead of the truth
	Gone         bool   // listed, and 404 everywhere else
	Denied       bool   // the token's role is too low for settings
	JobMayRead   bool
	Variables    []CIVariable
	Runners      []CIRunner
	Environments []string
	CIAccess

	SharedWith    []string // paths of groups
	PushProtected bool     // pushes are checked for secrets
	JobTokenOpen  bool     // any project's jobs may enter
	JobTokenFrom  []string // paths of projects and groups whose jobs may
	Schedules     []CISchedule
	Members       map[int]int // role by id of a user
	Blocked       []int       // of them
	SecureFiles   []string
	Definition    string // as GitLab puts it together
	Includes      []CIInclude
	States        map[string]string // of Terraform, by name
	CIRecords
}

// A CIVariable is a CI variable of any level.
type CIVariable struct {
	Key, Value, Scope, Type          string // Scope "" is "*", Type "" is env_var
	Protected, Masked, Hidden, Plain bool   // Plain is raw
}

// A CIRunner is a runner.
type CIRunner struct {
	ID          int
	Description string
	Note        string
	Tags        []string
	Locked      bool
	Untagged    bool // takes jobs without tags
	Protected   bool // takes jobs of protected refs only
	Paused      bool
}

func (g *GitLab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.before(w, r) {
		return
	}
	if owner, repo, call, ok := gitPath(r.URL.Path); ok {
		g.git(w, r, owner+"/"+repo, call)
		return
	}
	if g.reportPage(w, r) {
		return
	}
	token := r.Header.Get("Private-Token")
	if token != "" && !g.knows(token) {
		gitlabFail(w, http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/api/graphql" {
		g.answer(w, r, token, "RateLimit-", false, g.graphQL)
		return
	}
	mux := http.NewServeMux()
	g.settingsRoutes(mux)
	g.recordsRoutes(mux)
	mux.HandleFunc("GET /user", g.user)
	mux.HandleFunc("GET /users/{id}/projects", g.userProjects)
	mux.HandleFunc("GET /groups/{id}", func(w http.ResponseWriter, r *http.Request) {
		if x := g.group(w, r); x != nil {
			writeJSON(w, http.StatusOK, describeGroup(r, x, g))
		}
	})
	mux.HandleFunc("GET /groups/{id}/descendant_groups", g.descendants)
	mux.HandleFunc("GET /groups/{id}/projects", g.groupProjects)
	mux.HandleFunc("GET /groups/{id}/variables", func(w http.ResponseWriter, r *http.Request) {
		if x := g.group(w, r); x != nil && g.may(w, r, x.Denied || x.role() < 50) {
			g.page(w, r, ciVariables(x.Variables, true))
		}
	})
	mux.HandleFunc("GET /groups/{id}/runners", func(w http.ResponseWriter, r *http.Request) {
		if x := g.group(w, r); x != nil && g.may(w, r, x.Denied || x.role() < 40) {
			g.page(w, r, append(ciRunners(r, x.Runners, "group_type"), ciRunners(r, g.Runners, "instance_type")...))
		}
	})
	mux.HandleFunc("GET /projects/{id}", func(w http.ResponseWriter, r *http.Request) {
		if x := g.project(w, r); x != nil {
			writeJSON(w, http.StatusOK, g.describe(r, x))
		}
	})
	mux.HandleFunc("GET /projects/{id}/variables", func(w http.ResponseWriter, r *http.Request) {
		if x := g.project(w, r); x != nil && g.may(w, r, x.Denied || x.role() < 40) {
			g.page(w, r, ciVariables(x.Variables, true))
		}
	})
	mux.HandleFunc("GET /projects/{id}/runners", func(w http.ResponseWriter, r *http.Request) {
		if x := g.project(w, r); x != nil && g.may(w, r, x.Denied || x.role() < 40) {
			g.page(w, r, append(ciRunners(r, x.Runners, "project_type"), ciRunners(r, g.Runners, "instance_type")...))
		}
	})
	g.ofProject(mux, "environments", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for i, name := range x.Environments {
			out = append(out, map[string]any{
				"id": i + 1, "name": name, "slug": "e" + strconv.Itoa(i), "description": nil, "state": "available", "tier": "production",
				"external_url": nil, "created_at": Created, "updated_at": Updated,
			})
		}
		g.page(w, r, out)
	})
	mux.HandleFunc("GET /admin/ci/variables", func(w http.ResponseWriter, r *http.Request) {
		if g.may(w, r, !g.Admin || g.AdminMode) {
			g.page(w, r, ciVariables(g.Variables, false))
		}
	})
	mux.HandleFunc("GET /runners/all", func(w http.ResponseWriter, r *http.Request) {
		if g.may(w, r, !g.Admin || g.AdminMode) {
			g.page(w, r, ciRunners(r, g.Runners, "instance_type"))
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { gitlabFail(w, http.StatusNotFound) })
	g.answer(w, r, token, "RateLimit-", false, http.StripPrefix("/api/v4", mux).ServeHTTP)
}

// gitlabFail answers as GitLab does: the status is in the message.
func gitlabFail(w http.ResponseWriter, status int) {
	writeJSON(w, status, map[string]string{"message": fmt.Sprintf("%d %s", status, http.StatusText(status))})
}

func (g *GitLab) trusted(r *http.Request) bool {
	return g.knows(r.Header.Get("Private-Token"))
}

func (g *GitLab) knows(token string) bool {
	return token != "" && (token == g.Token || slices.Contains(g.Tokens, token))
}

// may answers for a caller who may not read a setting.
func (g *GitLab) may(w http.ResponseWriter, r *http.Request, denied bool) bool {
	switch {
	case !g.trusted(r):
		gitlabFail(w, http.StatusUnauthorized)
	case denied:
		gitlabFail(w, http.StatusForbidden)
	default:
		return true
	}
	return false
}

func (g *GitLab) git(w http.ResponseWriter, r *http.Request, path, call string) {
	user, password, _ := r.BasicAuth()
	i := slices.IndexFunc(g.Projects, func(x *Project) bool { return x.Path == path })
	allowed := i >= 0 && !g.Projects[i].Gone && (!g.Projects[i].Private && password == "" || g.knows(password) ||
		user == "gitlab-ci-token" && password == g.JobToken && g.JobToken != "" && g.Projects[i].JobMayRead)
	if !allowed {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied.", http.StatusUnauthorized)
		return
	}
	serveGit(w, r, g.Projects[i].Dir, call)
}

// group finds the group a request names, by id or path; it answers if there is none.
func (g *GitLab) group(w http.ResponseWriter, r *http.Request) *Group {
	for _, x := range g.Groups {
		if (x.Path == r.PathValue("id") || strconv.Itoa(x.ID) == r.PathValue("id")) && (!x.Private || g.trusted(r)) {
			return x
		}
	}
	gitlabFail(w, http.StatusNotFound)
	return nil
}

func (g *GitLab) project(w http.ResponseWriter, r *http.Request) *Project {
	for _, x := range g.Projects {
		job := r.Header.Get("Job-Token") == g.JobToken && g.JobToken != "" && x.JobMayRead && r.Pattern != "GET /projects/{id}" // not the description
		if (x.Path == r.PathValue("id") || strconv.Itoa(x.ID) == r.PathValue("id")) && !x.Gone && (!x.Private || g.trusted(r) || job) {
			return x
		}
	}
	gitlabFail(w, http.StatusNotFound)
	return nil
}

func (g *GitLab) user(w http.ResponseWriter, r *http.Request) {
	if !g.trusted(r) {
		gitlabFail(w, http.StatusUnauthorized)
		return
	}
	u := map[string]any{"id": 1, "username": "root", "name": "Root", "state": "active"}
	if g.Admin {
		u["is_admin"] = true
	}
	writeJSON(w, http.StatusOK, u)
}

func (g *GitLab) descendants(w http.ResponseWriter, r *http.Request) {
	top := g.group(w, r)
	if top == nil {
		return
	}
	var out []any
	for _, x := range g.Groups {
		if strings.HasPrefix(x.Path, top.Path+"/") && (!x.Private || g.trusted(r)) {
			out = append(out, describeGroup(r, x, g))
		}
	}
	g.page(w, r, out)
}

func (g *GitLab) groupProjects(w http.ResponseWriter, r *http.Request) {
	if top := g.group(w, r); top != nil {
		g.projectPage(w, r, top.Path+"/")
	}
}

func (g *GitLab) userProjects(w http.ResponseWriter, r *http.Request) {
	if name := r.PathValue("id"); slices.Contains(g.Users, name) {
		g.projectPage(w, r, name+"/")
		return
	}
	writeJSON(w, http.StatusNotFound, map[string]string{"message": "404 User Not Found"})
}

func (g *GitLab) projectPage(w http.ResponseWriter, r *http.Request, below string) {
	keyset := r.URL.Query().Get("pagination") == "keyset"
	if keyset && g.NoKeyset {
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": "Keyset pagination is not yet available for this type of request"})
		return
	}
	after, _ := strconv.Atoi(r.URL.Query().Get("id_after"))
	var out []any
	q := r.URL.Query()
	for _, x := range g.Projects {
		shared := q.Get("with_shared") == "true" && slices.ContainsFunc(x.SharedWith, func(path string) bool { return strings.HasPrefix(path+"/", below) })
		if (strings.HasPrefix(x.Path, below) || shared) && (!x.Private || g.trusted(r)) && (!keyset || x.ID > after) && (q.Get("archived") == "" || q.Get("archived") == strconv.FormatBool(x.Archived)) {
			out = append(out, g.describe(r, x))
		}
	}
	if !keyset {
		g.page(w, r, out)
		return
	}
	_, to, _, _, per := window(r, len(out), 20, 100)
	if per < len(out) {
		last := out[per-1].(map[string]any)["id"].(int)
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, at(r, map[string]string{"id_after": strconv.Itoa(last)})))
	}
	writeJSON(w, http.StatusOK, append([]any{}, out[:to]...))
}

// page answers one page with GitLab's headers.
func (g *GitLab) page(w http.ResponseWriter, r *http.Request, items []any) {
	g.pageOf(w, r, items, true)
}

// uncounted answers one page of a listing of which GitLab does not tell how many there are.
func (g *GitLab) uncounted(w http.ResponseWriter, r *http.Request, items []any) {
	g.pageOf(w, r, items, false)
}

func (g *GitLab) pageOf(w http.ResponseWriter, r *http.Request, items []any, counted bool) {
	from, to, page, last, per := window(r, len(items), 20, 100)
	h := w.Header()
	h.Set("X-Page", strconv.Itoa(page))
	h.Set("X-Per-Page", strconv.Itoa(per))
	h.Set("X-Next-Page", "")
	link := func(n int, rel string) string {
		return fmt.Sprintf("<%s>; rel=%q", at(r, map[string]string{"page": strconv.Itoa(n)}), rel)
	}
	links := []string{link(1, "first")}
	if counted {
		h.Set("X-Total", strconv.Itoa(len(items)))
		h.Set("X-Total-Pages", strconv.Itoa(last))
		links = append(links, link(last, "last"))
	}
	if page < last {
		h.Set("X-Next-Page", strconv.Itoa(page+1))
		links = append([]string{link(page+1, "next")}, links...)
	}
	h.Set("Link", strings.Join(links, ", "))
	writeJSON(w, http.StatusOK, append([]any{}, items[from:to]...))
}

func ciVariables(all []CIVariable, scoped bool) (out []any) {
	for _, v := range all {
		m := map[string]any{
			"key": v.Key, "value": v.Value, "variable_type": "env_var", "protected": v.Protected, "masked": v.Masked || v.Hidden, "hidden": v.Hidden,
			"raw": v.Plain, "description": nil,
		}
		if v.Type != "" {
			m["variable_type"] = v.Type
		}
		if v.Hidden {
			m["value"] = nil
		}
		if scoped {
			m["environment_scope"] = "*"
			if v.Scope != "" {
				m["environment_scope"] = v.Scope
			}
		}
		out = append(out, m)
	}
	return out
}

func ciRunners(r *http.Request, all []CIRunner, kind string) (out []any) {
	if want := r.URL.Query().Get("type"); want != "" && want != kind {
		return nil
	}
	for _, x := range all {
		out = append(out, map[string]any{
			"id": x.ID, "description": x.Description, "ip_address": nil, "active": true, "paused": false, "is_shared": kind == "instance_type",
			"runner_type": kind, "name": nil, "online": true, "status": "online", "created_at": Created, "job_execution_status": "idle",
		})
	}
	return out
}

func describeGroup(r *http.Request, x *Group, g *GitLab) map[string]any {
	name := x.Path[strings.LastIndexByte(x.Path, '/')+1:]
	m := map[string]any{
		"id": x.ID, "web_url": "http://" + r.Host + "/groups/" + x.Path, "name": name, "path": name, "description": "", "visibility": visibility(x.Private),
		"full_name": strings.ReplaceAll(x.Path, "/", " / "), "full_path": x.Path, "created_at": Created, "parent_id": nil, "runners_token": "not-for-reports",
		"shared_runners_setting": "enabled", "auto_devops_enabled": nil,
	}
	if x.Description != "" {
		m["description"] = x.Description
	}
	maps.Copy(m, x.Settings)
	for _, up := range g.Groups {
		if i := strings.LastIndexByte(x.Path, '/'); i > 0 && up.Path == x.Path[:i] {
			m["parent_id"] = up.ID
		}
	}
	return m
}

func visibility(private bool) string {
	if private {
		return "private"
	}
	return "public"
}

func (g *GitLab) describe(r *http.Request, x *Project) map[string]any {
	i := strings.LastIndexByte(x.Path, '/')
	host := "http://" + r.Host
	kind := "group"
	if slices.Contains(g.Users, x.Path[:i]) {
		kind = "user"
	}
	m := map[string]any{
		"id": x.ID, "description": nil, "name": x.Path[i+1:], "name_with_namespace": strings.ReplaceAll(x.Path, "/", " / "), "path": x.Path[i+1:],
		"path_with_namespace": x.Path, "created_at": Created, "default_branch": "main", "tag_list": []any{}, "topics": []any{},
		"ssh_url_to_repo": "git@" + r.Host + ":" + x.Path + ".git", "http_url_to_repo": host + "/" + x.Path + ".git", "web_url": host + "/" + x.Path,
		"readme_url": nil, "forks_count": 0, "avatar_url": nil, "star_count": 0, "last_activity_at": Updated,
		"namespace": map[string]any{"id": 1, "name": x.Path[:i], "path": x.Path[:i], "kind": kind, "full_path": x.Path[:i], "parent_id": nil, "avatar_url": nil, "web_url": host + "/" + x.Path[:i]},
		"archived":  x.Archived, "visibility": visibility(x.Private), "empty_repo": x.Dir == "", "repository_access_level": "enabled",
		"runners_token": "not-for-reports", "ci_config_path": "",
	}
	if x.Description != "" {
		m["description"] = x.Description
	}
	if x.role() >= 40 && !x.Denied && g.trusted(r) {
		maps.Copy(m, map[string]any{
			"public_jobs": true, "shared_runners_enabled": true, "group_runners_enabled": true, "ci_allow_fork_pipelines_to_run_in_parent_project": true,
			"ci_pipeline_variables_minimum_override_role": "developer", "restrict_user_defined_variables": true, "protect_merge_request_pipelines": true,
			"ci_push_repository_for_job_token_allowed": false, "ci_separated_caches": true, "mirror": false, "mirror_trigger_builds": false,
			"ci_id_token_sub_claim_components": []string{"project_path", "ref_type", "ref"},
			"auto_devops_enabled":              false, "ci_job_token_scope_enabled": false, "import_url": nil, "import_type": nil, "import_status": "none",
		})
	}
	maps.Copy(m, x.Settings)
	if x.CloneURL != "" {
		m["http_url_to_repo"] = x.CloneURL
	}
	return m
}
