package forgetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// since tells whether something was changed after the time that a listing asks about.
func (c *call) since(t time.Time) bool {
	from, err := time.Parse(time.RFC3339, c.r.URL.Query().Get("since"))
	return err != nil || !when(t, Updated).Before(from)
}

func issues(c *call) []any {
	state := or(c.r.URL.Query().Get("state"), "open")
	found := slices.DeleteFunc(slices.Clone(c.repo.Issues), func(x Issue) bool {
		return !c.since(x.Updated) || state != "all" && x.Closed != (state == "closed")
	})
	return each(c, found, describeIssue)
}

func describeIssue(c *call, x *Issue) map[string]any {
	n := strconv.FormatInt(x.Number, 10)
	address := c.here("issues", n)
	state, kind := "open", "issues"
	var closed any
	if x.Closed {
		state, closed = "closed", when(x.Updated, Updated)
	}
	if x.Pull {
		kind = "pull"
	}
	m := map[string]any{
		"id": x.Number + 5000, "node_id": "I_" + n, "url": address, "repository_url": c.here(), "labels_url": address + "/labels{/name}", "comments_url": address + "/comments",
		"events_url": address + "/events", "html_url": c.url(c.repo.FullName, kind, n), "number": x.Number, "state": state, "title": x.Title, "body": x.Body,
		"user": account(c.r, or(x.User, "octocat"), "User"), "labels": []any{}, "assignee": nil, "assignees": []any{}, "milestone": nil, "locked": false,
		"comments": len(x.Comments), "closed_at": closed, "created_at": Created, "updated_at": when(x.Updated, Updated), "author_association": "MEMBER",
	}
	if x.Pull {
		pull := c.here("pulls", n)
		m["pull_request"] = map[string]any{"url": pull, "html_url": m["html_url"], "diff_url": pull + ".diff", "patch_url": pull + ".patch", "merged_at": nil}
	}
	return m
}

// issue is the one that the path names, if it names one and there is one.
func (c *call) issue() (x *Issue, ok bool) {
	if c.r.PathValue("number") == "" {
		return nil, true
	}
	for i := range c.repo.Issues {
		if c.repo.Issues[i].Number == c.number("number") {
			return &c.repo.Issues[i], true
		}
	}
	return nil, false
}

// comments describes those of the issue that the path names, or of all.
func comments(c *call, of func(*Issue) []Comment, describe func(*call, *Issue, *Comment) map[string]any) (out []any) {
	one, ok := c.issue()
	if !ok {
		return c.none()
	}
	for i := range c.repo.Issues {
		if x := &c.repo.Issues[i]; one == nil || x == one {
			for j := range of(x) {
				if y := &of(x)[j]; c.since(y.Updated) {
					out = append(out, describe(c, x, y))
				}
			}
		}
	}
	return out
}

// say is what all comments have.
func (y *Comment) say(c *call, kind, address string) map[string]any {
	id := strconv.FormatInt(y.ID, 10)
	return map[string]any{
		"id": y.ID, "node_id": kind + "_" + id, "body": y.Body, "user": account(c.r, or(y.User, "octocat"), "User"), "created_at": Created,
		"updated_at": when(y.Updated, Updated), "author_association": "MEMBER", "url": address,
	}
}

func issueComments(c *call) []any {
	return comments(c, func(x *Issue) []Comment { return x.Comments }, func(c *call, x *Issue, y *Comment) map[string]any {
		n, id := strconv.FormatInt(x.Number, 10), strconv.FormatInt(y.ID, 10)
		m := y.say(c, "IC", c.here("issues/comments", id))
		m["html_url"], m["issue_url"] = c.url(c.repo.FullName, "issues", n)+"#issuecomment-"+id, c.here("issues", n)
		return m
	})
}

func reviewComments(c *call) []any {
	return comments(c, func(x *Issue) []Comment { return x.ReviewComments }, func(c *call, x *Issue, y *Comment) map[string]any {
		n, id := strconv.FormatInt(x.Number, 10), strconv.FormatInt(y.ID, 10)
		m := y.say(c, "PRRC", c.here("pulls/comments", id))
		page, pull := c.url(c.repo.FullName, "pull", n)+"#discussion_r"+id, c.here("pulls", n)
		m["html_url"], m["pull_request_url"], m["pull_request_review_id"] = page, pull, nil
		m["diff_hunk"], m["path"], m["commit_id"], m["original_commit_id"] = "@@ -1 +1 @@", or(y.Path, "README.md"), y.sha(), y.sha()
		m["_links"] = links("self", m["url"], "html", page, "pull_request", pull)
		return m
	})
}

func reviews(c *call) []any {
	if one, ok := c.issue(); !ok || !one.Pull {
		return c.none()
	}
	return comments(c, func(x *Issue) []Comment { return x.Reviews }, func(c *call, x *Issue, y *Comment) map[string]any {
		n, id := strconv.FormatInt(x.Number, 10), strconv.FormatInt(y.ID, 10)
		m := y.say(c, "PRR", c.here("pulls", n, "reviews", id))
		page, pull := c.url(c.repo.FullName, "pull", n)+"#pullrequestreview-"+id, c.here("pulls", n)
		delete(m, "url")
		delete(m, "created_at")
		delete(m, "updated_at")
		m["html_url"], m["pull_request_url"], m["state"], m["commit_id"], m["submitted_at"] = page, pull, "COMMENTED", y.sha(), when(y.Updated, Updated)
		m["_links"] = links("html", page, "pull_request", pull)
		return m
	})
}

func describeCommitComment(c *call, y *Comment) map[string]any {
	id := strconv.FormatInt(y.ID, 10)
	m := y.say(c, "CC", c.here("comments", id))
	m["html_url"], m["commit_id"] = c.url(c.repo.FullName, "commit", y.sha())+"#commitcomment-"+id, y.sha()
	m["path"], m["position"], m["line"] = nil, nil, nil
	if y.Path != "" {
		m["path"], m["position"], m["line"] = y.Path, 1, 1
	}
	return m
}

func (y *Comment) sha() string { return or(y.Commit, strings.Repeat("0", 39)+"1") }

// links are those that GitHub's descriptions have beside the usual addresses.
func links(nameAndAddress ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(nameAndAddress); i += 2 {
		m[nameAndAddress[i].(string)] = map[string]any{"href": nameAndAddress[i+1]}
	}
	return m
}

func pulls(c *call) []any {
	state := or(c.r.URL.Query().Get("state"), "open")
	found := slices.DeleteFunc(slices.Clone(c.repo.Issues), func(x Issue) bool {
		return !x.Pull || state != "all" && x.Closed != (state == "closed")
	})
	return each(c, found, func(c *call, x *Issue) map[string]any {
		n := strconv.FormatInt(x.Number, 10)
		m := describeIssue(c, x)
		pull, issue := c.here("pulls", n), c.here("issues", n)
		for _, only := range []string{"repository_url", "labels_url", "events_url", "comments", "pull_request"} {
			delete(m, only)
		}
		page := m["html_url"].(string)
		m["url"], m["diff_url"], m["patch_url"], m["issue_url"], m["commits_url"] = pull, page+".diff", page+".patch", issue, pull+"/commits"
		m["review_comments_url"], m["review_comment_url"], m["comments_url"] = pull+"/comments", c.here("pulls/comments{/number}"), issue+"/comments"
		m["statuses_url"], m["merged_at"], m["merge_commit_sha"], m["auto_merge"], m["draft"] = c.here("statuses/1"), nil, nil, nil, false
		end := map[string]any{
			"label": "octocat:main", "ref": "main", "sha": strings.Repeat("1", 40), "repo": c.g.describe(c.r, c.repo), "user": account(c.r, "octocat", "User"),
		}
		m["head"], m["base"] = end, end
		m["_links"] = links("comments", m["comments_url"], "commits", m["commits_url"], "statuses", m["statuses_url"], "html", page, "issue", issue,
			"review_comments", m["review_comments_url"], "review_comment", m["review_comment_url"], "self", pull)
		return m
	})
}

// releases are those that were published, and for those who may write the drafts, too.
func releases(c *call) []any {
	rights, scopes, _ := c.g.granted(bearer(c.r))
	mayWrite := c.g.trusted(c.r) && (scopes == nil && has(rights, "contents=write") || covers(scopes, repoScope))
	found := slices.DeleteFunc(slices.Clone(c.repo.Releases), func(x Release) bool { return x.Draft && !mayWrite })
	return each(c, found, func(c *call, x *Release) map[string]any {
		id := strconv.FormatInt(x.ID, 10)
		address := c.here("releases", id)
		var published any = Updated
		if x.Draft {
			published = nil
		}
		assets := each(c, x.Assets, describeAsset)
		return map[string]any{
			"id": x.ID, "node_id": "RE_" + id, "url": address, "html_url": c.url(c.repo.FullName, "releases/tag", x.Tag), "assets_url": address + "/assets",
			"upload_url": address + "/assets{?name,label}", "tarball_url": c.here("tarball", x.Tag), "zipball_url": c.here("zipball", x.Tag), "tag_name": x.Tag,
			"target_commitish": "main", "name": or(x.Name, x.Tag), "body": x.Body, "draft": x.Draft, "prerelease": false, "immutable": false, "created_at": Created,
			"updated_at": Updated, "published_at": published, "author": account(c.r, "octocat", "User"), "assets": append([]any{}, assets...),
		}
	})
}

func describeAsset(c *call, a *Asset) map[string]any {
	id := strconv.FormatInt(a.ID, 10)
	return map[string]any{
		"id": a.ID, "node_id": "RA_" + id, "url": c.here("releases/assets", id), "browser_download_url": c.url(c.repo.FullName, "releases/download", a.Name), "name": a.Name,
		"label": nil, "state": "uploaded", "content_type": "application/octet-stream", "size": len(a.Content), "digest": nil, "download_count": 0, "created_at": Created,
		"updated_at": Updated, "uploader": account(c.r, "octocat", "User"),
	}
}

func releaseAssets(c *call) []any {
	for _, x := range c.repo.Releases {
		if x.ID == c.number("release") && c.r.PathValue("asset") == "assets" {
			return each(c, x.Assets, describeAsset)
		}
	}
	return c.none()
}

// oneAsset describes a file, or for those who ask for bytes sends them where they are.
func oneAsset(c *call) any {
	for _, x := range c.repo.Releases {
		for i := range x.Assets {
			a := &x.Assets[i]
			switch {
			case a.ID != c.number("asset") || c.r.PathValue("release") != "assets":
			case c.r.Header.Get("Accept") == "application/octet-stream":
				return c.g.Blobs.keep("/github-production-release-asset/"+strconv.FormatInt(c.repo.ID, 10)+"/"+strconv.FormatInt(a.ID, 10), "application/octet-stream",
					func() []byte { return a.Content })
			default:
				return describeAsset(c, a)
			}
		}
	}
	return nil
}

// userGists lists a user's public gists.
func (g *GitHub) userGists(w http.ResponseWriter, r *http.Request) {
	g.listGists(w, r, r.PathValue("owner"), false)
}

// ownGists lists all gists of the user that a token is of.
func (g *GitHub) ownGists(w http.ResponseWriter, r *http.Request) {
	login, ok := g.login(bearer(r))
	if !ok || login == "" {
		Fail(w, http.StatusUnauthorized, "Requires authentication")
		return
	}
	g.listGists(w, r, login, true)
}

func (g *GitHub) listGists(w http.ResponseWriter, r *http.Request, login string, secret bool) {
	c := &call{g: g, r: r, owner: g.owner(login)}
	found := slices.DeleteFunc(slices.Clone(c.owner.Gists), func(x Gist) bool { return !c.since(x.Updated) || x.Secret && !secret })
	g.page(w, r, "", each(c, found, func(c *call, x *Gist) map[string]any { return describeGist(c, x, false) }), 100)
}

// gist serves one, which whoever knows its id may read, or its comments.
func (g *GitHub) gist(comments bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, owner := g.findGist(r.PathValue("gist"))
		if x == nil {
			Fail(w, http.StatusNotFound, "Not Found")
			return
		}
		c := &call{g: g, r: r, owner: owner}
		if !comments {
			writeJSON(w, http.StatusOK, describeGist(c, x, true))
			return
		}
		g.page(w, r, "", each(c, x.Comments, func(c *call, y *Comment) map[string]any {
			return y.say(c, "GC", c.url("gists", x.ID, "comments", strconv.FormatInt(y.ID, 10)))
		}), 100)
	}
}

func (g *GitHub) findGist(id string) (*Gist, *Owner) {
	for _, o := range g.Owners {
		for i := range o.Gists {
			if o.Gists[i].ID == id {
				return &o.Gists[i], o
			}
		}
	}
	return nil, nil
}

func describeGist(c *call, x *Gist, whole bool) map[string]any {
	address := c.url("gists", x.ID)
	files := map[string]any{}
	for name, content := range x.Files {
		f := map[string]any{"filename": name, "type": "text/plain", "language": "Text", "raw_url": c.url("gist", c.owner.Login, x.ID, "raw", name), "size": len(content)}
		if whole {
			f["content"], f["truncated"], f["encoding"] = content, false, "utf-8"
		}
		files[name] = f
	}
	remote := c.url("gist", x.ID) + ".git"
	owner := account(c.r, c.owner.Login, "User")
	return map[string]any{
		"id": x.ID, "node_id": "G_" + x.ID, "url": address, "forks_url": address + "/forks", "commits_url": address + "/commits", "comments_url": address + "/comments",
		"git_pull_url": remote, "git_push_url": remote, "html_url": c.url("gist", x.ID), "files": files, "public": !x.Secret, "created_at": Created,
		"updated_at": when(x.Updated, Updated), "description": x.Description, "comments": len(x.Comments), "user": nil, "owner": owner, "truncated": false,
	}
}

// packages are those of one type.
func packages(c *call) []any {
	kind := c.r.URL.Query().Get("package_type")
	return each(c, slices.DeleteFunc(slices.Clone(c.owner.Packages), func(x Package) bool { return x.Type != kind }), func(c *call, x *Package) map[string]any {
		address := c.url("orgs", c.owner.Login, "packages", x.Type, x.Name)
		m := map[string]any{
			"id": x.ID, "name": x.Name, "package_type": x.Type, "url": address, "html_url": address, "version_count": x.Versions, "visibility": x.Visibility,
			"owner": account(c.r, c.owner.Login, "Organization"), "created_at": Created, "updated_at": Updated,
		}
		if repo := c.g.find(x.Repository); repo != nil {
			m["repository"] = c.g.describe(c.r, repo)
		}
		return m
	})
}
