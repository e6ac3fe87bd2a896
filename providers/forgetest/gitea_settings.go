package forgetest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
)

// A GiteaRule protects branches.
type GiteaRule struct {
	Name      string
	Push      bool     // somebody may push
	Users     []string // only these; nil for all who may write
	Signed    bool
	Approvals int
}

// A GiteaTagRule protects tags.
type GiteaTagRule struct {
	Pattern string
	Users   []string // who may make them
}

// A GiteaKey is a deploy key.
type GiteaKey struct {
	Title, Key string
	ReadOnly   bool
}

// A GiteaHook is a webhook. Its address and header are in the API's answers as they are.
type GiteaHook struct {
	URL, Header string
	Events      []string
	Off         bool
}

// settingsRoutes are those of settings that are not of Actions.
func (g *Gitea) settingsRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		version := "1.26.0"
		switch {
		case g.Forgejo:
			version = "12.0.1+gitea-1.22.0"
		case g.Older:
			version = "1.17.4"
		}
		writeJSON(w, http.StatusOK, map[string]any{"version": version})
	})
	mux.HandleFunc("GET /packages/{owner}", g.scoped("package", func(w http.ResponseWriter, r *http.Request) {
		o := g.owner(r.PathValue("owner"))
		if o == nil || g.Older {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		var all []any
		for i, p := range o.Packages {
			m := map[string]any{
				"id": i + 1, "owner": giteaUser(r, o.Name), "repository": nil, "creator": giteaUser(r, g.Login), "type": p.Type, "name": p.Name, "version": p.Version,
				"html_url": "http://evil.example.com/", "created_at": Created,
			}
			if x := g.find(p.Repository); x != nil {
				m["repository"] = g.describe(r, x)
			}
			all = append(all, m)
		}
		g.page(w, r, all)
	}))
	mux.HandleFunc("GET /repos/search", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		var all []*GiteaRepo
		owner, _ := strconv.Atoi(r.URL.Query().Get("uid"))
		for _, x := range g.Repos {
			name, _, _ := strings.Cut(x.FullName, "/")
			if g.sees(r, x) && (owner == 0 || g.id(name) == owner) && (r.URL.Query().Get("archived") != "false" || !x.Archived) {
				all = append(all, x)
			}
		}
		from, to := g.header(w, r, len(all), true)
		shown := []any{}
		for _, x := range all[from:to] {
			shown = append(shown, g.describe(r, x))
		}
		writeJSON(w, http.StatusOK, map[string]any{"ok": true, "data": shown})
	}))
	mux.HandleFunc("GET /admin/orgs", g.admin(func(w http.ResponseWriter, r *http.Request) {
		var all []any
		for _, o := range g.Owners {
			if !o.User {
				all = append(all, g.describeOrg(r, o))
			}
		}
		g.page(w, r, all)
	}))
	mux.HandleFunc("GET /admin/hooks", g.admin(func(w http.ResponseWriter, r *http.Request) { g.page(w, r, giteaHooks(g.Hooks)) }))
	mux.HandleFunc("GET /admin/actions/{what}", g.admin(func(w http.ResponseWriter, r *http.Request) { g.settings(w, r, nil, nil, g.Runners) }))
	mux.HandleFunc("GET /user/hooks", g.scoped("user", func(w http.ResponseWriter, r *http.Request) {
		if o := g.owner(g.Login); g.signedIn(w, r) && o != nil {
			g.page(w, r, giteaHooks(o.Hooks))
		}
	}))
	mux.HandleFunc("GET /orgs/{owner}/hooks", g.scoped("organization", func(w http.ResponseWriter, r *http.Request) {
		if o := g.org(w, r); o != nil && g.signedIn(w, r) && g.may(w, o.Denied, "Must be an organization owner") {
			g.page(w, r, giteaHooks(o.Hooks))
		}
	}))
	kept := func(path string, answer func(http.ResponseWriter, *http.Request, *GiteaRepo)) {
		mux.HandleFunc("GET /repos/{owner}/{repo}/"+path, g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
			if x := g.repo(w, r); x != nil && g.signedIn(w, r) && g.may(w, x.Denied, "user should be an owner or a collaborator with admin write of a repository") {
				answer(w, r, x)
			}
		}))
	}
	kept("hooks", func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) { g.page(w, r, giteaHooks(x.Hooks)) })
	kept("keys", func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for i, k := range x.Keys {
			all = append(all, map[string]any{
				"id": i + 1, "key_id": i + 1, "key": k.Key, "url": "http://" + r.Host, "title": k.Title, "fingerprint": Fingerprint(k.Key), "created_at": Created, "read_only": k.ReadOnly,
			})
		}
		g.page(w, r, all)
	})
	kept("branch_protections", func(w http.ResponseWriter, _ *http.Request, x *GiteaRepo) {
		all := []any{}
		for _, rule := range x.Rules {
			all = append(all, map[string]any{
				"rule_name": rule.Name, "branch_name": rule.Name, "priority": 1, "enable_push": rule.Push, "enable_push_whitelist": rule.Users != nil, "push_whitelist_usernames": rule.Users,
				"push_whitelist_teams": []string{}, "required_approvals": rule.Approvals, "require_signed_commits": rule.Signed, "created_at": Created, "updated_at": Updated,
				"enable_force_push": false, "enable_merge_whitelist": false, "block_admin_merge_override": false,
			})
		}
		writeJSON(w, http.StatusOK, all)
	})
	kept("tag_protections", func(w http.ResponseWriter, _ *http.Request, x *GiteaRepo) {
		if g.Older {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		all := []any{}
		for i, rule := range x.TagRules {
			all = append(all, map[string]any{
				"id": i + 1, "name_pattern": rule.Pattern, "whitelist_usernames": rule.Users, "whitelist_teams": []string{}, "created_at": Created, "updated_at": Updated,
			})
		}
		writeJSON(w, http.StatusOK, all)
	})
	mux.HandleFunc("GET /repos/{owner}/{repo}/git/trees/{sha}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		if x := g.repo(w, r); x != nil {
			g.tree(w, r, x.Dir)
		}
	}))
	mux.HandleFunc("GET /repos/{owner}/{repo}/contents/{path...}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		x := g.repo(w, r)
		if x == nil {
			return
		}
		content, err := inRepository(x.Dir, "cat-file", "blob", r.URL.Query().Get("ref")+":"+r.PathValue("path"))
		if err != nil {
			giteaFail(w, http.StatusNotFound, "object does not exist")
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"content": base64.StdEncoding.EncodeToString(content), "encoding": "base64", "url": "http://" + r.Host, "path": r.PathValue("path"), "type": "file", "size": len(content),
		})
	}))
	mux.HandleFunc("GET /repos/{owner}/{repo}/git/blobs/{sha}", g.scoped("repository", func(w http.ResponseWriter, r *http.Request) {
		x := g.repo(w, r)
		if x == nil {
			return
		}
		content, err := inRepository(x.Dir, "cat-file", "blob", r.PathValue("sha"))
		if err != nil {
			giteaFail(w, http.StatusBadRequest, "object does not exist")
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"content": base64.StdEncoding.EncodeToString(content), "encoding": "base64", "url": "http://" + r.Host, "sha": r.PathValue("sha"), "size": len(content),
		})
	}))
}

// admin answers an administrator whose token says so.
func (g *Gitea) admin(next http.HandlerFunc) http.HandlerFunc {
	return g.scoped("admin", func(w http.ResponseWriter, r *http.Request) {
		if g.signedIn(w, r) && g.may(w, !g.Admin, "user should be the site admin") {
			next(w, r)
		}
	})
}

// page answers a list with links to its other pages.
func (g *Gitea) page(w http.ResponseWriter, r *http.Request, all []any) {
	from, to := g.header(w, r, len(all), true)
	writeJSON(w, http.StatusOK, append([]any{}, all[from:to]...))
}

// id is an owner's number, from 1.
func (g *Gitea) id(owner string) int {
	for i, o := range g.Owners {
		if strings.EqualFold(o.Name, owner) {
			return i + 1
		}
	}
	return 0
}

func giteaHooks(hooks []GiteaHook) (all []any) {
	for i, h := range hooks {
		all = append(all, map[string]any{
			"id": i + 1, "type": "gitea", "branch_filter": "*", "config": map[string]string{"url": h.URL, "content_type": "json"}, "events": h.Events,
			"authorization_header": h.Header, "active": !h.Off, "created_at": Created, "updated_at": Updated,
		})
	}
	return all
}

// Fingerprint is that of a public key as ssh-keygen shows it.
func Fingerprint(key string) string {
	fields := strings.Fields(key + " -")
	blob, _ := base64.StdEncoding.DecodeString(fields[min(1, len(fields)-1)])
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// tree lists a folder of a repository.
func (g *Gitea) tree(w http.ResponseWriter, r *http.Request, dir string) {
	listed, err := inRepository(dir, "ls-tree", "-z", "-l", r.PathValue("sha"))
	if err != nil {
		giteaFail(w, http.StatusBadRequest, fmt.Sprintf("sha not found [%s]", r.PathValue("sha")))
		return
	}
	all := []any{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		if f := strings.Fields(about); ok && len(f) == 4 {
			size, _ := strconv.Atoi(f[3])
			all = append(all, map[string]any{"path": name, "mode": f[0], "type": f[1], "size": size, "sha": f[2], "url": "http://" + r.Host})
		}
	}
	paged := r.Clone(r.Context())
	q := r.URL.Query()
	q.Set("limit", q.Get("per_page"))
	paged.URL.RawQuery = q.Encode()
	from, to := g.header(w, paged, len(all), true)
	w.Header().Del("Link") // there is none
	writeJSON(w, http.StatusOK, map[string]any{"sha": "", "url": "", "tree": all[from:to], "truncated": to < len(all), "page": 1, "total_count": len(all)})
}

func inRepository(dir string, args ...string) ([]byte, error) {
	if dir == "" {
		return nil, fmt.Errorf("nothing was pushed")
	}
	cmd := exec.Command("git", append([]string{"--git-dir", dir}, args...)...)
	cmd.Env = gitEnv()
	return cmd.Output()
}
