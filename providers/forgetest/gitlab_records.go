package forgetest

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CIRecords are what pipelines of a project of the fake GitLab left, and what people wrote in it.
type CIRecords struct {
	Pipelines     []CIPipeline
	Issues        []CIThread
	MergeRequests []CIThread
	Wiki          map[string]string // by slug
	Releases      map[string]string // what is said of them, by tag
	Snippets      []CISnippet
	Images        map[string][]string // tags by name
	Packages      []CIPackage
}

// A CIPackage is one version of a package.
type CIPackage struct {
	Name, Type string
	Created    time.Time
}

// A CIPipeline is one run of a project's definition.
type CIPipeline struct {
	ID        int
	Source    string // "" is push
	Updated   time.Time
	Variables []CIVariable
	Jobs      []CIJob
}

// A CIJob is one attempt at a job.
type CIJob struct {
	ID       int
	Name     string
	Retried  bool // hidden unless asked for
	Running  bool
	Erased   bool
	Expired  bool // its artifacts
	Finished time.Time
	Trace    string
	Files    map[string]string // in the archive of its artifacts
	Dotenv   string
	Runner   CIRunner
}

// A CIThread is an issue or a merge request.
type CIThread struct {
	IID                int
	Title, Description string
	Notes              []string
	Updated            time.Time
}

// A CISnippet is a snippet of a project.
type CISnippet struct {
	ID                 int
	Title, Description string
	Files              map[string]string
	Updated            time.Time
}

// touched tells whether something is asked for by a request that may be limited to what was touched since.
func touched(r *http.Request, at time.Time) bool {
	after, err := time.Parse(time.RFC3339, r.URL.Query().Get("updated_after"))
	return err != nil || !or(at, Updated).Before(after)
}

func (g *GitLab) recordsRoutes(mux *http.ServeMux) {
	g.ofProject(mux, "pipelines", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, p := range x.Pipelines {
			if child := p.Source == "parent_pipeline"; child == (r.URL.Query().Get("source") == "parent_pipeline") && touched(r, p.Updated) {
				out = append(out, p.describe(r, x))
			}
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "jobs", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, p := range x.Pipelines {
			for _, j := range p.Jobs { // retried ones, too
				out = append(out, j.describe(r, x, p))
			}
		}
		slices.SortFunc(out, func(a, b any) int { return b.(map[string]any)["id"].(int) - a.(map[string]any)["id"].(int) })
		g.uncounted(w, r, out)
	})
	g.ofProject(mux, "pipelines/{pipeline}/jobs", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, p := range x.Pipelines {
			for _, j := range p.Jobs {
				if strconv.Itoa(p.ID) == r.PathValue("pipeline") && (!j.Retried || r.URL.Query().Get("include_retried") == "true") {
					out = append(out, j.describe(r, x, p))
				}
			}
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "pipelines/{pipeline}/variables", 40, func(w http.ResponseWriter, r *http.Request, x *Project) {
		out := []any{}
		for _, p := range x.Pipelines {
			for _, v := range p.Variables {
				if strconv.Itoa(p.ID) == r.PathValue("pipeline") {
					out = append(out, map[string]any{"key": v.Key, "variable_type": "env_var", "value": v.Value, "raw": v.Plain})
				}
			}
		}
		writeJSON(w, http.StatusOK, out)
	})
	g.ofProject(mux, "jobs/{job}/trace", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		j := x.job(r.PathValue("job"))
		if j == nil || j.Erased {
			gitlabFail(w, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, j.Trace)
	})
	g.ofProject(mux, "jobs/{job}/artifacts", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		j := x.job(r.PathValue("job"))
		switch {
		case j == nil || j.Files == nil || j.Erased || j.Expired:
			gitlabFail(w, http.StatusNotFound)
		case g.Storage != "":
			http.Redirect(w, r, fmt.Sprintf("%s/artifacts/%d?signature=%d", g.Storage, j.ID, j.ID*7), http.StatusFound)
		default:
			w.Header().Set("Content-Type", "application/zip")
			_, _ = w.Write(zipped(j.Files))
		}
	})
	g.ofProject(mux, "terraform/state/{name}", 30, func(w http.ResponseWriter, r *http.Request, x *Project) {
		state, ok := x.States[r.PathValue("name")]
		if !ok {
			gitlabFail(w, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, state)
	})
	g.threads(mux, "issues", func(x *Project) []CIThread { return x.Issues })
	g.threads(mux, "merge_requests", func(x *Project) []CIThread { return x.MergeRequests })
	g.ofProject(mux, "wikis", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, slug := range sortedNames(x.Wiki) {
			m := map[string]any{"format": "markdown", "slug": slug, "title": slug, "wiki_page_meta_id": 1}
			if r.URL.Query().Get("with_content") == "1" {
				m["content"], m["encoding"] = x.Wiki[slug], "UTF-8"
			}
			out = append(out, m)
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "releases", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, tag := range sortedNames(x.Releases) {
			out = append(out, map[string]any{
				"tag_name": tag, "name": tag, "description": x.Releases[tag], "created_at": Created, "released_at": Created, "upcoming_release": false, "author": person(1, false),
				"commit": nil, "assets": map[string]any{"count": 1, "sources": []any{}, "links": []any{map[string]any{"id": 1, "name": "binary", "url": "https://example.com/" + tag, "direct_asset_url": "https://example.com/" + tag, "link_type": "other"}}},
				"evidences": []any{}, "_links": map[string]any{"self": "https://gitlab.example.com/" + x.Path + "/-/releases/" + tag},
			})
		}
		g.page(w, r, out)
	})
	g.snippetRoutes(mux)
	g.ofProject(mux, "registry/repositories", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for i, name := range imageNames(x) {
			out = append(out, map[string]any{
				"id": i + 1, "name": name, "path": x.Path + "/" + name, "project_id": x.ID, "location": "registry.example.com/" + x.Path + "/" + name, "created_at": Created,
				"cleanup_policy_started_at": nil, "status": nil,
			})
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "packages", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		all := slices.Clone(x.Packages)
		if r.URL.Query().Get("order_by") == "name" {
			slices.SortStableFunc(all, func(a, b CIPackage) int { return strings.Compare(a.Name, b.Name) })
		}
		for i, p := range all {
			out = append(out, map[string]any{
				"id": i + 1, "name": p.Name, "version": "1.0." + strconv.Itoa(i), "package_type": p.Type, "status": "default", "created_at": or(p.Created, Created), "last_downloaded_at": nil, "tags": []any{},
				"_links": map[string]any{"web_path": "/" + x.Path + "/-/packages/" + strconv.Itoa(i+1), "delete_api_path": "http://" + r.Host + "/api/v4/projects/" + strconv.Itoa(x.ID) + "/packages/" + strconv.Itoa(i+1)},
			})
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, "registry/repositories/{image}/tags", 20, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		n, _ := strconv.Atoi(r.PathValue("image"))
		if names := imageNames(x); n > 0 && n <= len(names) {
			for _, tag := range x.Images[names[n-1]] {
				out = append(out, map[string]any{"name": tag, "path": x.Path + "/" + names[n-1] + ":" + tag, "location": "registry.example.com/" + x.Path + "/" + names[n-1] + ":" + tag})
			}
		}
		g.page(w, r, out)
	})
}

func imageNames(x *Project) (names []string) {
	for name := range x.Images {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (x *Project) job(id string) *CIJob {
	for _, p := range x.Pipelines {
		for i := range p.Jobs {
			if strconv.Itoa(p.Jobs[i].ID) == id {
				return &p.Jobs[i]
			}
		}
	}
	return nil
}

func (p CIPipeline) describe(r *http.Request, x *Project) map[string]any {
	return map[string]any{
		"id": p.ID, "iid": p.ID, "project_id": x.ID, "sha": sha(p.ID), "ref": "main", "status": "success", "source": p.source(), "name": nil,
		"created_at": Created, "updated_at": or(p.Updated, Updated), "web_url": "http://" + r.Host + "/" + x.Path + "/-/pipelines/" + strconv.Itoa(p.ID),
	}
}

func (p CIPipeline) source() string { return cmp.Or(p.Source, "push") }

// sha is a commit's id made of a number.
func sha(n int) string { return fmt.Sprintf("%040x", n) }

func (j CIJob) describe(r *http.Request, x *Project, p CIPipeline) map[string]any {
	m := map[string]any{
		"id": j.ID, "name": j.Name, "stage": "test", "status": "success", "ref": "main", "tag": false, "coverage": nil, "allow_failure": false, "created_at": Created,
		"started_at": Created, "finished_at": or(j.Finished, Updated), "erased_at": nil, "duration": 1.5, "queued_duration": 0.1, "user": nil, "commit": nil,
		"pipeline": map[string]any{"id": p.ID, "iid": p.ID, "project_id": x.ID, "sha": sha(p.ID), "ref": "main", "status": "success", "source": p.source()},
		"web_url":  "http://" + r.Host + "/" + x.Path + "/-/jobs/" + strconv.Itoa(j.ID), "project": map[string]any{"ci_job_token_scope_enabled": false},
		"artifacts": []any{}, "runner": nil, "runner_manager": nil, "artifacts_expire_at": nil, "archived": false, "tag_list": []any{}, "failure_reason": "",
	}
	var artifacts []any
	if j.Files != nil && !j.Erased && !j.Expired {
		size := len(zipped(j.Files))
		m["artifacts_file"] = map[string]any{"filename": "artifacts.zip", "size": size}
		artifacts = append(artifacts, map[string]any{"file_type": "archive", "size": size, "filename": "artifacts.zip", "file_format": "zip"})
	}
	if j.Dotenv != "" {
		artifacts = append(artifacts, map[string]any{"file_type": "dotenv", "size": len(j.Dotenv), "filename": ".env.gz", "file_format": "gzip"})
	}
	if artifacts != nil {
		m["artifacts"] = artifacts
	}
	switch {
	case j.Running:
		m["status"], m["finished_at"] = "running", nil
	case j.Erased:
		m["erased_at"] = Updated
	case j.Expired:
		m["artifacts_expire_at"] = Created
	}
	if j.Runner.ID != 0 {
		kind := "instance_type"
		if slices.ContainsFunc(x.Runners, func(own CIRunner) bool { return own.ID == j.Runner.ID }) {
			kind = "project_type"
		}
		m["runner"] = map[string]any{"id": j.Runner.ID, "description": j.Runner.Description, "ip_address": nil, "active": true, "paused": false, "is_shared": kind == "instance_type", "runner_type": kind, "name": nil, "online": true, "created_at": Created, "status": "online"}
	}
	return m
}

// zipped is an archive of files.
func zipped(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedNames(files) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, files[name])
		}
		if err != nil {
			panic(err) // a buffer takes all
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// ServeStorage is the storage that artifacts lie in where Storage is its address. Whoever sends it a credential is refused.
func (g *GitLab) ServeStorage(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"Private-Token", "Job-Token", "Authorization", "Cookie"} {
		if r.Header.Get(name) != "" {
			http.Error(w, "a credential was sent", http.StatusBadRequest)
			return
		}
	}
	id := strings.TrimPrefix(r.URL.Path, "/artifacts/")
	n, _ := strconv.Atoi(id)
	for _, x := range g.Projects {
		if j := x.job(id); j != nil && r.URL.Query().Get("signature") == strconv.Itoa(n*7) {
			_, _ = w.Write(zipped(j.Files))
			return
		}
	}
	http.Error(w, "AccessDenied", http.StatusForbidden)
}

// reportPage is the page of a job that hands out its dotenv report: to those who have signed in, or where jobs are public to all.
func (g *GitLab) reportPage(w http.ResponseWriter, r *http.Request) bool {
	path, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/-/jobs/")
	id, download := strings.CutSuffix(rest, "/artifacts/download")
	if !found || !download {
		return false
	}
	i := slices.IndexFunc(g.Projects, func(x *Project) bool { return x.Path == path })
	if i < 0 || g.Projects[i].Private {
		http.Redirect(w, r, "/users/sign_in", http.StatusFound)
		return true
	}
	j := g.Projects[i].job(id)
	if j == nil || r.URL.Query().Get("file_type") != "dotenv" || j.Dotenv == "" {
		gitlabFail(w, http.StatusNotFound)
		return true
	}
	w.Header().Set("Content-Type", "application/gzip")
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, j.Dotenv)
	_ = z.Close()
	return true
}

func (g *GitLab) threads(mux *http.ServeMux, kind string, of func(*Project) []CIThread) {
	g.ofProject(mux, kind, 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, t := range of(x) {
			if touched(r, t.Updated) {
				out = append(out, map[string]any{
					"id": 1000 + t.IID, "iid": t.IID, "project_id": x.ID, "title": t.Title, "description": t.Description, "state": "opened", "created_at": Created, "updated_at": or(t.Updated, Updated),
					"author": person(1, false), "user_notes_count": len(t.Notes), "labels": []any{}, "web_url": "http://" + r.Host + "/" + x.Path + "/-/" + kind + "/" + strconv.Itoa(t.IID),
				})
			}
		}
		g.page(w, r, out)
	})
	g.ofProject(mux, kind+"/{iid}/notes", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, t := range of(x) {
			for i, body := range t.Notes {
				if strconv.Itoa(t.IID) == r.PathValue("iid") {
					out = append(out, map[string]any{
						"id": t.IID*100 + i, "type": nil, "body": body, "author": person(1, false), "created_at": Created, "updated_at": or(t.Updated, Updated), "system": false,
						"project_id": x.ID, "noteable_type": "Issue", "noteable_id": 1000 + t.IID, "resolvable": false, "confidential": false, "internal": false, "noteable_iid": t.IID, //nolint:misspell // GitLab spells it so
					})
				}
			}
		}
		g.page(w, r, out)
	})
}

func (g *GitLab) snippetRoutes(mux *http.ServeMux) {
	g.ofProject(mux, "snippets", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		var out []any
		for _, s := range x.Snippets {
			page := "http://" + r.Host + "/" + x.Path + "/-/snippets/" + strconv.Itoa(s.ID)
			files, names := []any{}, sortedNames(s.Files)
			for _, name := range names {
				files = append(files, map[string]any{"path": name, "raw_url": page + "/raw/main/" + name})
			}
			out = append(out, map[string]any{
				"id": s.ID, "title": s.Title, "description": s.Description, "visibility": "private", "author": person(1, false), "created_at": Created, "updated_at": or(s.Updated, Updated),
				"project_id": x.ID, "web_url": page, "raw_url": page + "/raw", "file_name": names[0], "files": files, "repository_storage": "default", "imported": false,
			})
		}
		g.page(w, r, out)
	})
	raw := func(w http.ResponseWriter, s *CISnippet, name string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, s.Files[name])
	}
	find := func(w http.ResponseWriter, r *http.Request, x *Project) *CISnippet {
		for i := range x.Snippets {
			if strconv.Itoa(x.Snippets[i].ID) == r.PathValue("snippet") {
				return &x.Snippets[i]
			}
		}
		gitlabFail(w, http.StatusNotFound)
		return nil
	}
	g.ofProject(mux, "snippets/{snippet}/raw", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		if s := find(w, r, x); s != nil {
			raw(w, s, sortedNames(s.Files)[0])
		}
	})
	g.ofProject(mux, "snippets/{snippet}/files/{ref}/{file}/raw", 10, func(w http.ResponseWriter, r *http.Request, x *Project) {
		if s := find(w, r, x); s != nil && r.PathValue("ref") == "main" && s.Files[r.PathValue("file")] != "" {
			raw(w, s, r.PathValue("file"))
		} else if s != nil {
			gitlabFail(w, http.StatusNotFound)
		}
	})
}
