package forgetest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CIAccess is how a project or group of the fake GitLab can be entered and what guards it.
type CIAccess struct {
	Role        int // of the token's owner here; 0 is an owner's (50)
	Tokens      []CIToken
	Deploys     []CIToken // deploy tokens
	Triggers    []CIToken
	DeployKeys  []CIKey
	Hooks       []CIHook
	Branches    []CIRule
	Tags        []CIRule
	Walls       []CIWall       // protected environments
	Settings    map[string]any // over what a description says by default, by GitLab's names
	PushRules   map[string]any
	Description string
}

// A CIToken is an access, deploy or trigger token. Its value is in answers, as the original has it in some.
type CIToken struct {
	Name, Value string
	Scopes      []string
	Level       int
	Expires     string // a date
	Used        bool   // at [Updated], or at:
	LastUsed    time.Time
	Revoked     bool
}

// A CIKey is a deploy key.
type CIKey struct {
	Title   string
	Push    bool
	Expires string // a date
	Used    bool
}

// A CIHook is a webhook.
type CIHook struct {
	URL      string
	Insecure bool // certificates are not checked
}

// A CIRule protects branches or tags: for roles and those above them, 0 for nobody.
type CIRule struct {
	Name                string
	Push, Merge, Create []int
	ForcePush           bool
}

// A CIWall protects an environment.
type CIWall struct {
	Name      string
	Deploy    []int
	Approvals int
}

// A CISchedule starts pipelines.
type CISchedule struct {
	ID               int
	Description      string
	Ref              string
	Inactive         bool
	Owner            int  // id of a user
	Blocked          bool // the owner
	Variables        []CIVariable
	VariablesRefused bool
}

// A CIInclude is a file that a definition takes in.
type CIInclude struct{ Type, Location, Project, Ref string }

// settingsRoutes are what is told of groups, projects and the instance but for what pipelines left.
func (g *GitLab) settingsRoutes(mux *http.ServeMux) {
	for path, list := range map[string]func(a *CIAccess) []any{
		"access_tokens": accessTokens, "deploy_tokens": deployTokens, "hooks": hooks,
	} {
		g.ofProject(mux, path, 40, func(w http.ResponseWriter, r *http.Request, x *Project) { g.page(w, r, list(&x.CIAccess)) })
		g.ofGroup(mux, path, 50, path == "hooks", func(w http.ResponseWriter, r *http.Request, x *Group) { g.page(w, r, list(&x.CIAccess)) })
	}
	g.ofProject(mux, "deploy_keys", 40, func(w http.ResponseWriter, r *http.Request, x *Project) { g.page(w, r, deployKeys(x.DeployKeys, true)) })
	g.ofProject(mux, "triggers", 40, func(w http.ResponseWriter, r *http.Request, x *Project) { g.page(w, r, triggers(&x.CIAccess)) })
	g.ofProject(mux, "protected_branches", 40, func(w http.ResponseWriter, r *http.Request, x *Project) { g.page(w, r, rules(x.Branches)) })
	g.ofProject(mux, "protected_tags", 40, func(w http.ResponseWriter, r *http.Request, x *Project) { g.page(w, r, rules(x.CIAccess.Tags)) })
	g.ofGroup(mux, "protected_branches", 50, true, func(w http.ResponseWriter, r *http.Request, x *Group) { g.page(w, r, rules(x.Branches)) })
	g.ofProject(mux, "secure_files", 30, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for i, name := range x.SecureFiles {
			out = append(out, map[string]any{
				"id": i + 1, "name": name, "checksum": strings.Repeat("a", 64), "checksum_algorithm": "sha256", "created_at": Created, "expires_at": nil, "metadata": nil,
			})
		}
		g.page(w, r, out)
	})
	paid := func(path string, serve func(w http.ResponseWriter, r *http.Request, a *CIAccess)) {
		g.ofProject(mux, path, 40, func(w http.ResponseWriter, r *http.Request, x *Project) {
			if g.Free {
				gitlabFail(w, http.StatusNotFound)
				return
			}
			serve(w, r, &x.CIAccess)
		})
		g.ofGroup(mux, path, 40, true, func(w http.ResponseWriter, r *http.Request, x *Group) { serve(w, r, &x.CIAccess) })
	}
	paid("protected_environments", func(w http.ResponseWriter, r *http.Request, a *CIAccess) { g.page(w, r, walls(a.Walls)) })
	paid("push_rule", func(w http.ResponseWriter, _ *http.Request, a *CIAccess) {
		writeJSON(w, http.StatusOK, pushRule(a.PushRules))
	})
	g.ofProject(mux, "security_settings", 30, func(w http.ResponseWriter, _ *http.Request, x *Project) {
		if g.Free {
			gitlabFail(w, http.StatusNotFound)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"project_id": x.ID, "created_at": Created, "updated_at": Updated, "auto_fix_container_scanning": true, "auto_fix_dast": true,
			"auto_fix_dependency_scanning": true, "auto_fix_sast": true, "continuous_vulnerability_scans_enabled": false,
			"container_scanning_for_registry_enabled": false, "secret_push_protection_enabled": x.PushProtected,
		})
	})
	g.ofProject(mux, "job_token_scope", 40, func(w http.ResponseWriter, _ *http.Request, x *Project) {
		writeJSON(w, http.StatusOK, map[string]any{"inbound_enabled": !x.JobTokenOpen, "outbound_enabled": false})
	})
	g.ofProject(mux, "job_token_scope/allowlist", 40, func(w http.ResponseWriter, r *http.Request, x *Project) {
		out := []any{g.describe(r, x)} // itself
		for _, other := range g.Projects {
			if slices.Contains(x.JobTokenFrom, other.Path) {
				out = append(out, g.describe(r, other))
			}
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "job_token_scope/groups_allowlist", 40, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, other := range g.Groups {
			if slices.Contains(x.JobTokenFrom, other.Path) {
				out = append(out, describeGroup(r, other, g))
			}
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "pipeline_schedules", 30, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, s := range x.Schedules {
			out = append(out, s.describe(false))
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "pipeline_schedules/{schedule}", 30, func(w http.ResponseWriter, r *http.Request, x *Project) {
		for _, s := range x.Schedules {
			switch {
			case strconv.Itoa(s.ID) != r.PathValue("schedule"):
			case s.VariablesRefused:
				gitlabFail(w, http.StatusForbidden)
				return
			default:
				writeJSON(w, http.StatusOK, s.describe(true))
				return
			}
		}
		gitlabFail(w, http.StatusNotFound)
	})
	member := func(x *Project, id int) map[string]any {
		m := person(id, slices.Contains(x.Blocked, id))
		m["access_level"], m["expires_at"], m["created_at"] = x.Members[id], nil, Created
		return m
	}
	g.ofProject(mux, "members/all", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, id := range slices.Sorted(maps.Keys(x.Members)) {
			out = append(out, member(x, id))
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "members/all/{user}", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		id, _ := strconv.Atoi(r.PathValue("user"))
		if x.Members[id] == 0 {
			gitlabFail(w, http.StatusNotFound)
			return
		}
		writeJSON(w, http.StatusOK, member(x, id))
	})
	g.ofProject(mux, "ci/lint", 30, func(w http.ResponseWriter, _ *http.Request, x *Project) { writeJSON(w, http.StatusOK, x.lint()) })
	g.ofProject(mux, "repository/files/{path}", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		content, err := inRepository(x.Dir, "cat-file", "blob", r.URL.Query().Get("ref")+":"+r.PathValue("path"))
		if err != nil {
			gitlabFail(w, http.StatusNotFound)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"file_name": path.Base(r.PathValue("path")), "file_path": r.PathValue("path"), "size": len(content), "encoding": "base64", "ref": r.URL.Query().Get("ref"),
			"content": base64.StdEncoding.EncodeToString(content),
		})
	})
	mux.HandleFunc("GET /runners/{id}", func(w http.ResponseWriter, r *http.Request) { g.runner(w, r) })
	admin := func(path string, serve func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc("GET /"+path, func(w http.ResponseWriter, r *http.Request) {
			if g.may(w, r, !g.Admin || g.AdminMode) {
				serve(w, r)
			}
		})
	}
	admin("application/settings", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"id": 1, "shared_runners_enabled": true, "auto_devops_enabled": false, "secret_push_protection_available": false,
			"enforce_ci_inbound_job_token_scope_enabled": false, "akismet_api_key": "not-for-reports", "runners_registration_token": "not-for-reports",
		})
	})
	admin("hooks", func(w http.ResponseWriter, r *http.Request) { g.page(w, r, hooks(&g.CIAccess)) })
	admin("deploy_keys", func(w http.ResponseWriter, r *http.Request) { g.page(w, r, deployKeys(g.DeployKeys, false)) })
	admin("deploy_tokens", func(w http.ResponseWriter, r *http.Request) { g.page(w, r, deployTokens(&g.CIAccess)) })
	mux.HandleFunc("GET /groups", func(w http.ResponseWriter, r *http.Request) {
		var out []any
		for _, x := range g.Groups {
			if !x.Private || g.trusted(r) {
				out = append(out, describeGroup(r, x, g))
			}
		}
		g.page(w, r, out)
	})
	mux.HandleFunc("GET /projects", func(w http.ResponseWriter, r *http.Request) { g.projectPage(w, r, "") })
	mux.HandleFunc("GET /personal_access_tokens/self", func(w http.ResponseWriter, r *http.Request) {
		if g.may(w, r, false) {
			writeJSON(w, http.StatusOK, map[string]any{
				"id": 1, "name": "audit", "description": nil, "revoked": false, "created_at": Created, "scopes": []string{"read_api", "read_repository"}, "user_id": 1,
				"last_used_at": Updated, "active": true, "expires_at": "2027-01-01",
			})
		}
	})
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, r *http.Request) {
		if g.may(w, r, false) {
			writeJSON(w, http.StatusOK, map[string]any{"version": "18.5.0-ee", "revision": "0123abcd", "enterprise": !g.Free, "kas": map[string]any{"enabled": false}})
		}
	})
}

// ofProject serves what a project has at a path to whose role is high enough.
func (g *GitLab) ofProject(mux *http.ServeMux, path string, role int, serve func(w http.ResponseWriter, r *http.Request, x *Project)) {
	mux.HandleFunc("GET /projects/{id}/"+path, func(w http.ResponseWriter, r *http.Request) {
		if x := g.project(w, r); x != nil && (g.jobReads(r, x, path) || g.may(w, r, x.Denied && role > 20 || x.role() < role)) {
			serve(w, r, x)
		}
	})
}

func (g *GitLab) ofGroup(mux *http.ServeMux, path string, role int, paid bool, serve func(w http.ResponseWriter, r *http.Request, x *Group)) {
	mux.HandleFunc("GET /groups/{id}/"+path, func(w http.ResponseWriter, r *http.Request) {
		x := g.group(w, r)
		switch {
		case x == nil:
		case paid && g.Free:
			gitlabFail(w, http.StatusNotFound)
		case g.may(w, r, x.Denied && role > 20 || x.role() < role):
			serve(w, r, x)
		}
	})
}

// jobReads tells whether a request is a job's, for what GitLab lets jobs read of projects that admit them (docs.gitlab.com/ci/jobs: "Job token access" and
// "Fine-grained permissions", as far as the fake has it).
func (g *GitLab) jobReads(r *http.Request, x *Project, path string) bool {
	return r.Header.Get("Job-Token") == g.JobToken && g.JobToken != "" && x.JobMayRead && slices.Contains([]string{
		"jobs", "pipelines/{pipeline}/jobs", "jobs/{job}/artifacts", "environments", "secure_files", "terraform/state/{name}", "releases", "merge_requests",
		"merge_requests/{iid}/notes", "packages", "registry/repositories", "registry/repositories/{image}/tags",
	}, path)
}

func (a *CIAccess) role() int {
	if a.Role == 0 {
		return 50
	}
	return a.Role
}

func until(date string) any {
	if date == "" {
		return nil
	}
	return date
}

func used(u bool) any {
	if u {
		return Updated
	}
	return nil
}

func lastUse(t CIToken) any {
	if t.LastUsed.IsZero() {
		return used(t.Used)
	}
	return t.LastUsed
}

func accessTokens(a *CIAccess) (out []any) {
	for i, t := range a.Tokens {
		out = append(out, map[string]any{
			"id": i + 1, "user_id": 900 + i, "name": t.Name, "description": nil, "scopes": t.Scopes, "created_at": Created, "expires_at": until(t.Expires),
			"last_used_at": lastUse(t), "active": !t.Revoked, "revoked": t.Revoked, "access_level": t.Level,
		})
	}
	return out
}

func deployTokens(a *CIAccess) (out []any) {
	for i, t := range a.Deploys {
		m := map[string]any{
			"id": i + 1, "name": t.Name, "username": "gitlab+deploy-token-" + strconv.Itoa(i+1), "expires_at": nil, "revoked": t.Revoked, "expired": false, "scopes": t.Scopes,
		}
		if t.Expires != "" {
			m["expires_at"] = t.Expires + "T00:00:00.000Z"
		}
		out = append(out, m)
	}
	return out
}

func triggers(a *CIAccess) (out []any) {
	for i, t := range a.Triggers {
		out = append(out, map[string]any{
			"id": i + 1, "description": t.Name, "created_at": Created, "last_used": used(t.Used), "token": t.Value, "updated_at": Updated, "expires_at": nil, "owner": person(1, false),
		})
	}
	return out
}

func person(id int, blocked bool) map[string]any {
	state := "active"
	if blocked {
		state = "blocked"
	}
	return map[string]any{"id": id, "username": "user" + strconv.Itoa(id), "name": "User", "state": state, "locked": false, "avatar_url": nil, "web_url": "https://gitlab.example.com/user" + strconv.Itoa(id)}
}

func deployKeys(all []CIKey, ofProject bool) (out []any) {
	for i, k := range all {
		m := map[string]any{
			"id": i + 1, "title": k.Title, "created_at": Created, "expires_at": nil, "last_used_at": used(k.Used), "key": "ssh-ed25519 AAAA",
			"fingerprint": "f9:24:" + strconv.Itoa(10+i), "fingerprint_sha256": "SHA256:" + strings.Repeat("x", 43),
		}
		if k.Expires != "" {
			m["expires_at"] = k.Expires + "T00:00:00.000Z"
		}
		if ofProject {
			m["can_push"] = k.Push
		}
		out = append(out, m)
	}
	return out
}

func hooks(a *CIAccess) (out []any) {
	for i, h := range a.Hooks {
		out = append(out, map[string]any{
			"id": i + 1, "url": h.URL, "name": "", "description": "", "created_at": Created, "push_events": true, "tag_push_events": false, "merge_requests_events": true,
			"repository_update_events": false, "enable_ssl_verification": !h.Insecure, "alert_status": "executable", "disabled_until": nil, "url_variables": []any{},
			"push_events_branch_filter": "", "branch_filter_strategy": "wildcard", "custom_webhook_template": "", "custom_headers": []any{}, "project_id": 1,
			"issues_events": false, "confidential_issues_events": false, "note_events": false, "confidential_note_events": false, "pipeline_events": true,
			"wiki_page_events": false, "deployment_events": false, "feature_flag_events": false, "job_events": false, "releases_events": false, "milestone_events": false,
			"emoji_events": false, "resource_access_token_events": false, "vulnerability_events": false,
		})
	}
	return out
}

// levels are those of a rule, as GitLab describes them.
func levels(all []int) []any {
	out := []any{}
	for i, level := range all {
		out = append(out, map[string]any{
			"id": i + 1, "access_level": level, "access_level_description": map[int]string{0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Instance admins"}[level],
			"user_id": nil, "group_id": nil, "deploy_key_id": nil,
		})
	}
	return out
}

func rules(all []CIRule) (out []any) {
	for i, x := range all {
		m := map[string]any{"id": i + 1, "name": x.Name}
		if x.Create != nil {
			m["create_access_levels"] = levels(x.Create)
		} else {
			m["push_access_levels"], m["merge_access_levels"], m["unprotect_access_levels"] = levels(x.Push), levels(x.Merge), levels([]int{40})
			m["allow_force_push"], m["code_owner_approval_required"] = x.ForcePush, false
		}
		out = append(out, m)
	}
	return out
}

func walls(all []CIWall) (out []any) {
	for _, x := range all {
		out = append(out, map[string]any{"name": x.Name, "deploy_access_levels": levels(x.Deploy), "required_approval_count": x.Approvals, "approval_rules": []any{}})
	}
	return out
}

func pushRule(set map[string]any) any {
	if set == nil {
		return nil
	}
	m := map[string]any{
		"id": 1, "created_at": Created, "commit_message_regex": "", "commit_message_negative_regex": "", "branch_name_regex": "", "deny_delete_tag": false, "member_check": false,
		"prevent_secrets": false, "author_email_regex": "", "file_name_regex": "", "max_file_size": 0, "commit_committer_check": false, "commit_committer_name_check": false,
		"reject_unsigned_commits": false, "reject_non_dco_commits": false,
	}
	for k, v := range set {
		m[k] = v
	}
	return m
}

func (s CISchedule) describe(whole bool) map[string]any {
	m := map[string]any{
		"id": s.ID, "description": s.Description, "ref": s.Ref, "cron": "0 1 * * *", "cron_timezone": "UTC", "next_run_at": Updated, "active": !s.Inactive,
		"created_at": Created, "updated_at": Updated, "owner": person(s.Owner, s.Blocked),
	}
	if whole {
		m["last_pipeline"] = nil
		vars := []any{}
		for _, v := range s.Variables {
			kind := v.Type
			if kind == "" {
				kind = "env_var"
			}
			vars = append(vars, map[string]any{"key": v.Key, "variable_type": kind, "value": v.Value, "raw": v.Plain})
		}
		m["variables"] = vars
	}
	return m
}

// lint is what GitLab makes of the project's definition.
func (x *Project) lint() map[string]any {
	if x.Definition == "" {
		return map[string]any{"valid": false, "errors": []any{"Please provide content of .gitlab-ci.yml"}, "warnings": []any{}, "merged_yaml": nil, "includes": nil}
	}
	includes := []any{}
	for _, i := range x.Includes {
		extra := map[string]any{}
		if i.Project != "" {
			extra["project"], extra["ref"] = i.Project, i.Ref
		}
		includes = append(includes, map[string]any{
			"type": i.Type, "location": i.Location, "blob": nil, "raw": nil, "extra": extra, "context_project": x.Path, "context_sha": strings.Repeat("0", 40),
		})
	}
	return map[string]any{"valid": true, "errors": []any{}, "warnings": []any{}, "merged_yaml": x.Definition, "includes": includes}
}

// runner describes one by its id, wherever it is.
func (g *GitLab) runner(w http.ResponseWriter, r *http.Request) {
	found := func(all []CIRunner, kind string, denied bool) bool {
		for _, x := range all {
			if strconv.Itoa(x.ID) == r.PathValue("id") {
				if g.may(w, r, denied) {
					writeJSON(w, http.StatusOK, x.describe(kind))
				}
				return true
			}
		}
		return false
	}
	if found(g.Runners, "instance_type", false) {
		return
	}
	for _, x := range g.Groups {
		if found(x.Runners, "group_type", x.Denied || x.role() < 40) {
			return
		}
	}
	for _, x := range g.Projects {
		if found(x.Runners, "project_type", x.Denied || x.role() < 40) {
			return
		}
	}
	gitlabFail(w, http.StatusNotFound)
}

func (x CIRunner) describe(kind string) map[string]any {
	access := "not_protected"
	if x.Protected {
		access = "ref_protected"
	}
	tags := x.Tags
	if tags == nil {
		tags = []string{}
	}
	return map[string]any{
		"id": x.ID, "description": x.Description, "ip_address": "", "active": true, "paused": x.Paused, "is_shared": kind == "instance_type", "runner_type": kind,
		"name": nil, "online": true, "status": "online", "created_at": Created, "created_by": person(1, false), "job_execution_status": "idle", "tag_list": tags, "run_untagged": x.Untagged,
		"locked": x.Locked, "maximum_timeout": nil, "access_level": access, "version": "18.5.0", "revision": "abcdef01", "platform": "linux", "architecture": "amd64",
		"contacted_at": Updated, "maintenance_note": x.Note, "projects": []any{}, "groups": []any{}, "token": "not-for-reports",
	}
}

// graphQL answers the queries that the provider sends, and nothing else.
func (g *GitLab) graphQL(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Query     string
		Variables map[string]any
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&ask) != nil {
		gitlabFail(w, http.StatusBadRequest)
		return
	}
	if g.NoGraphQL {
		gitlabFail(w, http.StatusForbidden)
		return
	}
	path, _ := ask.Variables["path"].(string)
	i := slices.IndexFunc(g.Projects, func(x *Project) bool { return x.Path == path && !x.Gone && (!x.Private || g.trusted(r)) })
	var project any
	if i >= 0 {
		project = g.graphProject(g.Projects[i], ask.Query, ask.Variables)
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"project": project}})
}

func (g *GitLab) graphProject(x *Project, query string, variables map[string]any) any {
	after, _ := variables["after"].(string)
	start, _ := strconv.Atoi(strings.TrimPrefix(after, "c"))
	page := func(nodes []any) any {
		end := min(start+100, len(nodes))
		return map[string]any{"nodes": nodes[min(start, end):end], "pageInfo": map[string]any{"hasNextPage": end < len(nodes), "endCursor": "c" + strconv.Itoa(end)}}
	}
	m := map[string]any{}
	if strings.Contains(query, "inheritedCiVariables") {
		m["inheritedCiVariables"] = nil
		if x.role() >= 40 && !x.Denied {
			nodes := []any{}
			for _, up := range g.Groups {
				if !strings.HasPrefix(x.Path, up.Path+"/") {
					continue
				}
				for _, v := range up.Variables {
					scope, kind := v.Scope, strings.ToUpper(v.Type)
					if scope == "" {
						scope = "*"
					}
					if kind == "" {
						kind = "ENV_VAR"
					}
					nodes = append(nodes, map[string]any{
						"key": v.Key, "groupName": up.Path[strings.LastIndexByte(up.Path, '/')+1:], "groupCiCdSettingsPath": "/groups/" + up.Path + "/-/settings/ci_cd",
						"environmentScope": scope, "variableType": kind, "protected": v.Protected, "masked": v.Masked || v.Hidden, "hidden": v.Hidden, "raw": v.Plain,
					})
				}
			}
			m["inheritedCiVariables"] = page(nodes)
		}
	}
	if strings.Contains(query, "terraformStates") {
		m["terraformStates"] = nil
	}
	if strings.Contains(query, "terraformStates") && x.role() >= 30 {
		nodes := []any{}
		for _, name := range sortedNames(x.States) {
			nodes = append(nodes, map[string]any{"name": name})
		}
		m["terraformStates"] = page(nodes)
	}
	return m
}

func sortedNames(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
