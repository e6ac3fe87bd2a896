package forgetest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A GiteaRun is a run of Actions. Runs are numbered by their place, from 1.
type GiteaRun struct {
	Jobs      []*GiteaJob
	Artifacts []GiteaFile
}

// A GiteaJob is a job of a run.
type GiteaJob struct {
	Name    string
	Tasks   []int  // the numbers of its attempts, over all repositories; none if no runner took it
	Running bool   // the last attempt
	Log     string // of the last attempt; "" if it is gone
}

// A GiteaFile is an artifact, or is attached to a text.
type GiteaFile struct {
	Name, Content string
	ID            int // over all
	Expired       bool
}

// A GiteaIssue is an issue or a pull request. Issues are numbered by their place, from 1.
type GiteaIssue struct {
	Title, Body string
	Pull        bool
	Updated     time.Time // zero is [Updated]
	Comments    []GiteaComment
	Reviews     []GiteaReview // of a pull request
	Files       []GiteaFile
}

// A GiteaReview is one of a pull request's, with its comments on lines of code.
type GiteaReview struct {
	Body     string
	Comments []string
}

// A GiteaComment is one on an issue.
type GiteaComment struct {
	Body    string
	Updated time.Time
}

// A GiteaRelease is a release.
type GiteaRelease struct {
	Tag, Title, Body string
	Files            []GiteaFile
}

// A GiteaPage is one of a wiki.
type GiteaPage struct{ Title, Content, Commit string }

// recordsRoutes are those of what runs left behind and people wrote.
func (g *Gitea) recordsRoutes(mux *http.ServeMux) {
	read := func(scope, path string, signed bool, answer func(http.ResponseWriter, *http.Request, *GiteaRepo)) {
		mux.HandleFunc("GET /repos/{owner}/{repo}/"+path, g.scoped(scope, func(w http.ResponseWriter, r *http.Request) {
			if x := g.repo(w, r); x != nil && (!signed || g.signedIn(w, r)) {
				answer(w, r, x)
			}
		}))
	}
	read("repository", "actions/tasks", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		if g.Older {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		g.counted(w, r, "workflow_runs", giteaTasks(x), true)
	})
	read("repository", "actions/runs", true, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for i := range slices.Backward(x.Runs) {
			all = append(all, g.describeRun(i))
		}
		g.counted(w, r, "workflow_runs", all, true)
	})
	read("repository", "actions/runs/{run}/jobs", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		run, ok := giteaAt(x.Runs, r.PathValue("run"))
		if !ok || g.Forgejo {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		var all []any
		for i, j := range run.Jobs {
			all = append(all, j.describe(r.PathValue("run"), i))
		}
		g.counted(w, r, "jobs", all, true)
	})
	read("repository", "actions/jobs/{job}/logs", true, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		number, _ := strconv.Atoi(r.PathValue("job"))
		run, ok := giteaAt(x.Runs, strconv.Itoa(number/giteaJobsApart))
		if !ok || number%giteaJobsApart >= len(run.Jobs) || run.Jobs[number%giteaJobsApart].Log == "" {
			giteaFail(w, http.StatusNotFound, "logs have been cleaned up")
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for line := range strings.Lines(run.Jobs[number%giteaJobsApart].Log) {
			_, _ = fmt.Fprintf(w, "%s %s\n", Created.Format("2006-01-02T15:04:05.0000000Z"), strings.TrimSuffix(line, "\n"))
		}
	})
	read("repository", "actions/runs/{run}/artifacts", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		run, ok := giteaAt(x.Runs, r.PathValue("run"))
		if !ok {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		g.counted(w, r, "artifacts", giteaArtifacts(run.Artifacts), false)
	})
	read("repository", "actions/artifacts", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for _, run := range x.Runs {
			all = append(all, giteaArtifacts(run.Artifacts)...)
		}
		g.counted(w, r, "artifacts", all, false)
	})
	read("repository", "actions/artifacts/{id}/zip", false, func(w http.ResponseWriter, r *http.Request, _ *GiteaRepo) {
		http.Redirect(w, r, "http://"+r.Host+"/api/v1"+r.URL.Path+"/raw?sig=of-the-test", http.StatusFound)
	})
	mux.HandleFunc("GET /repos/{owner}/{repo}/actions/artifacts/{id}/zip/raw", func(w http.ResponseWriter, r *http.Request) {
		x := g.find(r.PathValue("owner") + "/" + r.PathValue("repo"))
		if x == nil || r.URL.Query().Get("sig") != "of-the-test" {
			giteaFail(w, http.StatusUnauthorized, "Error unauthorized")
			return
		}
		for _, run := range x.Runs {
			for _, a := range run.Artifacts {
				if strconv.Itoa(a.ID) == r.PathValue("id") {
					w.Header().Set("Content-Type", "application/zip")
					_, _ = w.Write(a.zipped())
					return
				}
			}
		}
		giteaFail(w, http.StatusNotFound, "not found")
	})

	read("issue", "issues", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for i, issue := range slices.Backward(x.Issues) {
			if q := r.URL.Query(); q.Get("state") == "all" && giteaSince(r, issue.Updated) && (q.Get("type") != "pulls" || issue.Pull) {
				all = append(all, issue.describe(i+1))
			}
		}
		g.page(w, r, all)
	})
	read("issue", "issues/comments", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for i, issue := range x.Issues {
			for k, c := range issue.Comments {
				if giteaSince(r, c.Updated) {
					all = append(all, g.describeComment(r, x, i+1, k, issue.Pull, c))
				}
			}
		}
		from, to := g.header(w, r, len(all), true)
		w.Header().Del("Link") // there is none
		writeJSON(w, http.StatusOK, append([]any{}, all[from:to]...))
	})
	read("repository", "pulls/{pull}/reviews", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		issue, ok := giteaAt(x.Issues, r.PathValue("pull"))
		if !ok || !issue.Pull {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		var all []any
		for i, review := range issue.Reviews {
			all = append(all, map[string]any{
				"id": i + 1, "body": review.Body, "state": "COMMENT", "commit_id": giteaCommit, "stale": false, "official": false, "dismissed": false,
				"comments_count": len(review.Comments), "submitted_at": Created, "updated_at": Updated, "html_url": "http://evil.example.com/", "pull_request_url": "",
			})
		}
		g.page(w, r, all)
	})
	read("repository", "pulls/{pull}/reviews/{review}/comments", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		issue, _ := giteaAt(x.Issues, r.PathValue("pull"))
		review, ok := giteaAt(issue.Reviews, r.PathValue("review"))
		if !ok {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		all := []any{}
		for i, body := range review.Comments {
			all = append(all, map[string]any{
				"id": giteaJobsApart + i, "body": body, "pull_request_review_id": i + 1, "created_at": Created, "updated_at": Updated, "path": "README", "commit_id": giteaCommit,
				"original_commit_id": "", "diff_hunk": "", "position": 1, "original_position": 0, "html_url": "http://evil.example.com/", "pull_request_url": "",
			})
		}
		writeJSON(w, http.StatusOK, all)
	})
	read("repository", "releases", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		var all []any
		for i, release := range x.Releases {
			all = append(all, map[string]any{
				"id": i + 1, "tag_name": release.Tag, "name": release.Title, "body": release.Body, "created_at": Created, "published_at": Created,
				"assets": giteaFiles(release.Files),
			})
		}
		g.page(w, r, all)
	})
	read("repository", "wiki/pages", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		if len(x.Wiki) == 0 {
			giteaFail(w, http.StatusNotFound, "not found")
			return
		}
		var all []any
		for _, p := range x.Wiki {
			all = append(all, p.describe())
		}
		g.page(w, r, all)
	})
	read("repository", "wiki/page/{page}", false, func(w http.ResponseWriter, r *http.Request, x *GiteaRepo) {
		for _, p := range x.Wiki {
			if sub, err := url.PathUnescape(p.sub()); err == nil && sub == r.PathValue("page") {
				page := p.describe()
				page["content_base64"] = base64.StdEncoding.EncodeToString([]byte(p.Content))
				writeJSON(w, http.StatusOK, page)
				return
			}
		}
		giteaFail(w, http.StatusNotFound, "not found")
	})
}

// attachment answers what lies at a text, outside the API.
func (g *Gitea) attachment(w http.ResponseWriter, r *http.Request) {
	for _, x := range g.Repos {
		var all []GiteaFile
		for _, issue := range x.Issues {
			all = append(all, issue.Files...)
		}
		for _, release := range x.Releases {
			all = append(all, release.Files...)
		}
		for _, f := range all {
			if r.URL.Path == "/attachments/"+f.uuid() && g.sees(r, x) {
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = w.Write([]byte(f.Content))
				return
			}
		}
	}
	http.NotFound(w, r)
}

func giteaArtifacts(files []GiteaFile) (all []any) {
	for _, a := range files {
		all = append(all, map[string]any{
			"id": a.ID, "name": a.Name, "size_in_bytes": len(a.zipped()), "url": "", "archive_download_url": "http://evil.example.com/", "expired": a.Expired,
			"created_at": Created, "updated_at": Updated, "expires_at": Updated,
		})
	}
	return all
}

// giteaAt finds what is numbered from 1.
func giteaAt[T any](all []T, number string) (found T, ok bool) {
	if i, err := strconv.Atoi(number); err == nil && i > 0 && i <= len(all) {
		return all[i-1], true
	}
	return found, false
}

// counted answers a list in an object that says how much there is.
func (g *Gitea) counted(w http.ResponseWriter, r *http.Request, name string, all []any, links bool) {
	from, to := g.header(w, r, len(all), links)
	writeJSON(w, http.StatusOK, map[string]any{name: append([]any{}, all[from:to]...), "total_count": len(all)})
}

// giteaTasks are all attempts of a repository's jobs, the last one first.
func giteaTasks(x *GiteaRepo) (all []any) {
	for i, run := range x.Runs {
		for _, j := range run.Jobs {
			for k, id := range j.Tasks {
				status := "success"
				if j.Running && k == len(j.Tasks)-1 {
					status = "running"
				}
				all = append(all, map[string]any{
					"id": id, "name": j.Name, "head_branch": "main", "head_sha": giteaCommit, "run_number": i + 1, "event": "push", "display_title": "", "status": status,
					"workflow_id": "ci.yml", "url": "", "created_at": Created, "updated_at": Updated, "run_started_at": Created,
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b any) int { return b.(map[string]any)["id"].(int) - a.(map[string]any)["id"].(int) })
	return all
}

const giteaCommit = "0123456789abcdef0123456789abcdef01234567"

func (g *Gitea) describeRun(i int) map[string]any {
	if g.Forgejo {
		return map[string]any{"id": i + 1, "title": "", "workflow_id": "ci.yml", "index_in_repo": i + 1, "commit_sha": giteaCommit, "status": "success"}
	}
	return map[string]any{
		"id": i + 1, "url": "", "html_url": "http://evil.example.com/", "display_title": "", "path": "ci.yml@refs/heads/main", "event": "push", "run_attempt": 0, "run_number": i + 1,
		"head_sha": giteaCommit, "head_branch": "main", "status": "completed", "conclusion": "success", "started_at": Created, "completed_at": Updated,
	}
}

// giteaJobsApart is by how much the numbers of jobs of two runs differ at least.
const giteaJobsApart = 1000

func (j *GiteaJob) describe(run string, i int) map[string]any {
	number, _ := strconv.Atoi(run)
	m := map[string]any{
		"id": number*giteaJobsApart + i, "url": "", "html_url": "http://evil.example.com/", "run_id": number, "run_url": "", "name": j.Name, "labels": []string{"host"},
		"run_attempt": len(j.Tasks), "head_sha": giteaCommit, "head_branch": "main", "status": "completed", "conclusion": "success",
		"steps":      []any{map[string]any{"name": "Run make", "number": 0, "status": "completed", "conclusion": "success", "started_at": Created, "completed_at": Created}},
		"created_at": Created, "started_at": Created, "completed_at": Created,
	}
	switch {
	case len(j.Tasks) == 0:
		m["conclusion"] = "skipped"
	case j.Running:
		m["status"], m["conclusion"], m["runner_id"] = "in_progress", "", 1
	default:
		m["runner_id"], m["runner_name"] = 1, "big"
	}
	return m
}

// zipped is an artifact as it is kept.
func (a GiteaFile) zipped() []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if w, err := z.Create(a.Name + ".txt"); err == nil {
		_, _ = w.Write([]byte(a.Content))
	}
	_ = z.Close()
	return b.Bytes()
}

// giteaSince tells whether something was changed since the time that is asked for.
func giteaSince(r *http.Request, updated time.Time) bool {
	if updated.IsZero() {
		updated = Updated
	}
	from, err := time.Parse(time.RFC3339, r.URL.Query().Get("since"))
	return err != nil || !updated.Before(from)
}

func (issue GiteaIssue) describe(number int) map[string]any {
	m := map[string]any{
		"id": number, "url": "", "html_url": "http://evil.example.com/", "number": number, "original_author": "", "original_author_id": 0, "title": issue.Title, "body": issue.Body, "ref": "",
		"assets": giteaFiles(issue.Files), "labels": []any{}, "state": "open", "is_locked": false, "comments": len(issue.Comments), "created_at": Created, "updated_at": Updated, "pin_order": 0,
	}
	if issue.Pull {
		m["pull_request"] = map[string]any{"merged": false, "draft": false, "html_url": "http://evil.example.com/"}
	}
	return m
}

func (g *Gitea) describeComment(r *http.Request, x *GiteaRepo, number, k int, pull bool, c GiteaComment) map[string]any {
	m := map[string]any{
		"id": number*giteaJobsApart + k, "html_url": "http://evil.example.com/", "pull_request_url": "", "issue_url": "", "original_author": "", "original_author_id": 0, "body": c.Body,
		"assets": []any{}, "created_at": Created, "updated_at": Updated,
	}
	what := "issue_url"
	if pull {
		what = "pull_request_url"
	}
	m[what] = fmt.Sprintf("http://%s/%s/issues/%d", r.Host, x.FullName, number)
	return m
}

func giteaFiles(files []GiteaFile) []any {
	all := []any{}
	for _, f := range files {
		all = append(all, map[string]any{
			"id": f.ID, "name": f.Name, "size": len(f.Content), "download_count": 0, "created_at": Created, "uuid": f.uuid(), "browser_download_url": "http://evil.example.com/" + f.Name,
		})
	}
	return all
}

func (a GiteaFile) uuid() string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", a.ID) }

// sub is the page's name in addresses.
func (p GiteaPage) sub() string {
	return strings.NewReplacer(" ", "-", "/", "%2F").Replace(p.Title)
}

func (p GiteaPage) describe() map[string]any {
	who := map[string]any{"name": "A", "email": "a@example.com", "date": Created}
	return map[string]any{
		"title": p.Title, "html_url": "http://evil.example.com/", "sub_url": p.sub(),
		"last_commit": map[string]any{"sha": p.Commit, "author": who, "commiter": who, "message": ""},
	}
}
