package forgetest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Blobs is the host on which GitHub keeps logs, artifacts and files of releases. It knows no tokens: whoever has an address that GitHub signed
// may read, and a request with an Authorization header is refused, as Azure's storage does.
type Blobs struct {
	server
	URL  string
	held map[string]blob // by path and query
}

type blob struct {
	kind    string
	content func() []byte
}

// StartBlobs starts the host until the test ends. [Start] does so for a fake that is given to it as it is.
func (g *GitHub) StartBlobs(t testing.TB) {
	t.Helper()
	g.Blobs = &Blobs{held: map[string]blob{}}
	srv := httptest.NewServer(g.Blobs)
	t.Cleanup(srv.Close)
	g.Blobs.URL = srv.URL
}

func (b *Blobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.before(w, r) {
		return
	}
	b.mu.Lock()
	held, ok := b.held[r.URL.RequestURI()]
	b.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "<Error><Code>InvalidAuthenticationInfo</Code></Error>", http.StatusBadRequest)
	case !ok:
		http.Error(w, "<Error><Code>AuthenticationFailed</Code></Error>", http.StatusForbidden)
	default:
		w.Header().Set("Content-Type", held.kind)
		_, _ = w.Write(held.content())
	}
}

// content is what lies at an address, for a Fault that sends it otherwise.
func (b *Blobs) content(r *http.Request) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[r.URL.RequestURI()].content()
}

// keep keeps a content and signs an address for it.
func (b *Blobs) keep(path, kind string, content func() []byte) redirect {
	b.mu.Lock()
	defer b.mu.Unlock()
	uri := path + "?sig=" + strconv.Itoa(len(b.held)+1) + "&sp=r"
	b.held[uri] = blob{kind, content}
	return redirect(b.URL + uri)
}

// workflows lists those that are on the default branch.
func workflows(c *call) (out []any) {
	const folder = ".github/workflows/"
	for _, path := range slices.Sorted(maps.Keys(c.g.tree(c.repo.Dir, "HEAD", true))) {
		if !strings.HasPrefix(path, folder) {
			continue
		}
		id := strconv.Itoa(len(out) + 1)
		address := c.here("actions/workflows", id)
		out = append(out, map[string]any{
			"id": len(out) + 1, "node_id": "W_" + id, "name": path, "path": path, "state": "active", "created_at": Created, "updated_at": Updated,
			"url": address, "html_url": c.url(c.repo.FullName, "blob/main", path), "badge_url": c.url(c.repo.FullName, "workflows", path, "badge.svg"),
		})
	}
	return out
}

// runs lists those that a search finds. A search has a thousand results at most, whatever it counts (docs.github.com: "List workflow runs for a repository").
func runs(c *call) []any {
	q := c.r.URL.Query()
	searched := false
	found := slices.DeleteFunc(slices.Clone(c.repo.Runs), func(x Run) bool {
		for name, value := range map[string]string{"event": x.Event, "branch": x.Branch, "head_sha": x.SHA, "status": or(x.Conclusion, "success"), "actor": x.Actor} {
			if want := q.Get(name); want != "" {
				searched = true
				if want != value && (name != "status" || want != "completed") {
					return true
				}
			}
		}
		if want := q.Get("created"); want != "" {
			searched = true
			return !within(x.Created, want)
		}
		return false
	})
	const results = 1000
	if searched && len(found) > results {
		found = found[:results]
	}
	return each(c, found, func(c *call, x *Run) map[string]any { return describeRun(c, x, len(x.Attempts)) })
}

// within tells whether a time is in a range as GitHub's searches have them: A..B, >=A, <=A and so on, with times or days.
func within(t time.Time, span string) bool {
	parse := func(s string, end bool) time.Time {
		if at, err := time.Parse(time.RFC3339, s); err == nil {
			return at
		}
		at, err := time.Parse(time.DateOnly, s)
		if err == nil && end {
			at = at.Add(24*time.Hour - time.Nanosecond)
		}
		return at
	}
	if from, to, ok := strings.Cut(span, ".."); ok {
		return (from == "*" || !t.Before(parse(from, false))) && (to == "*" || !t.After(parse(to, true)))
	}
	for _, op := range []struct {
		sign string
		is   func() bool
	}{
		{">=", func() bool { return !t.Before(parse(span[2:], false)) }}, {"<=", func() bool { return !t.After(parse(span[2:], true)) }},
		{">", func() bool { return t.After(parse(span[1:], true)) }}, {"<", func() bool { return t.Before(parse(span[1:], false)) }},
	} {
		if strings.HasPrefix(span, op.sign) {
			return op.is()
		}
	}
	return !t.Before(parse(span, false)) && !t.After(parse(span, true))
}

// run is the one that the path names; nil if there is none.
func (c *call) run() *Run {
	for i := range c.repo.Runs {
		if c.repo.Runs[i].ID == c.number("run") {
			return &c.repo.Runs[i]
		}
	}
	return nil
}

// attempt is the number of the one that the path names, or the last one's; 0 if there is none.
func (c *call) attempt(x *Run) int {
	if c.r.PathValue("attempt") == "" {
		return len(x.Attempts)
	}
	if n := int(c.number("attempt")); n >= 1 && n <= len(x.Attempts) {
		return n
	}
	return 0
}

func oneRun(c *call) any {
	x := c.run()
	if x == nil || c.attempt(x) == 0 {
		return nil
	}
	return describeRun(c, x, c.attempt(x))
}

func describeRun(c *call, x *Run, attempt int) map[string]any {
	id := strconv.FormatInt(x.ID, 10)
	address := c.here("actions/runs", id)
	here := c.g.describe(c.r, c.repo)
	head := here
	if x.Fork { // by somebody else: all that it has in common is the name
		_, name, _ := strings.Cut(c.repo.FullName, "/")
		head = c.g.describe(c.r, &GitHubRepo{FullName: or(x.Actor, "stranger") + "/" + name, ID: c.repo.ID + 1<<32, Fork: true})
	}
	started := x.Created
	if at := x.Attempts[attempt-1].Started; !at.IsZero() {
		started = at
	}
	actor := account(c.r, or(x.Actor, "octocat"), "User")
	var previous any
	if attempt > 1 {
		previous = address + "/attempts/" + strconv.Itoa(attempt-1)
	}
	return map[string]any{
		"id": x.ID, "node_id": "WFR_" + id, "name": or(x.Workflow, x.Path), "head_branch": or(x.Branch, "main"), "head_sha": x.sha(), "path": x.Path,
		"run_number": x.Number, "run_attempt": attempt, "event": or(x.Event, "push"), "status": "completed", "conclusion": or(x.Conclusion, "success"),
		"workflow_id": 1, "check_suite_id": x.ID, "check_suite_node_id": "CS_" + id, "url": address, "html_url": c.url(c.repo.FullName, "actions/runs", id),
		"pull_requests": []any{}, "created_at": x.Created, "updated_at": started, "run_started_at": started, "actor": actor, "triggering_actor": actor,
		"jobs_url": address + "/jobs", "logs_url": address + "/logs", "check_suite_url": c.here("check-suites", id), "artifacts_url": address + "/artifacts",
		"cancel_url": address + "/cancel", "rerun_url": address + "/rerun", "previous_attempt_url": previous, "workflow_url": c.here("actions/workflows/1"),
		"display_title": or(x.For, "run "+id), "referenced_workflows": []any{}, "repository": here, "head_repository": head,
		"head_commit": map[string]any{
			"id": x.sha(), "tree_id": x.sha(), "message": "change", "timestamp": x.Created,
			"author": map[string]any{"name": "A", "email": "a@example.com"}, "committer": map[string]any{"name": "A", "email": "a@example.com"},
		},
	}
}

func (x *Run) sha() string { return or(x.SHA, fmt.Sprintf("%040x", x.ID)) }

// jobs lists those of an attempt; without one in the path those of the last, or with filter=all those of all.
func jobs(c *call) (out []any) {
	x := c.run()
	if x == nil || c.attempt(x) == 0 {
		return c.none()
	}
	for i, a := range x.Attempts {
		if i+1 != c.attempt(x) && (c.r.PathValue("attempt") != "" || c.r.URL.Query().Get("filter") != "all") {
			continue
		}
		for _, j := range a.Jobs {
			out = append(out, describeJob(c, x, i+1, &j))
		}
	}
	return out
}

func describeJob(c *call, x *Run, attempt int, j *Job) map[string]any {
	id, run := strconv.FormatInt(j.ID, 10), strconv.FormatInt(x.ID, 10)
	started := when(x.Attempts[attempt-1].Started, x.Created)
	steps := []any{}
	for i, s := range j.Steps {
		steps = append(steps, map[string]any{
			"name": s.Name, "number": i + 1, "status": "completed", "conclusion": or(j.Conclusion, "success"),
			"started_at": started.Add(time.Duration(i) * time.Second), "completed_at": started.Add(time.Duration(i+1) * time.Second),
		})
	}
	labels := j.Labels
	if labels == nil {
		labels = []string{"ubuntu-latest"}
	}
	m := map[string]any{
		"id": j.ID, "run_id": x.ID, "run_url": c.here("actions/runs", run), "run_attempt": attempt, "node_id": "CR_" + id, "head_sha": x.sha(), "url": c.here("actions/jobs", id),
		"html_url": c.url(c.repo.FullName, "actions/runs", run, "job", id), "status": "completed", "conclusion": or(j.Conclusion, "success"), "created_at": started,
		"started_at": started, "completed_at": started.Add(time.Minute), "name": j.Name, "steps": steps, "check_run_url": c.here("check-runs", id), "labels": labels,
		"runner_id": 1, "runner_name": or(j.Runner, "GitHub Actions 1"), "runner_group_id": 1, "runner_group_name": "Default", "workflow_name": or(x.Workflow, x.Path), "head_branch": or(x.Branch, "main"),
	}
	return m
}

// expired is what GitHub says of logs and artifacts that are no longer kept.
var expired = refusal{http.StatusGone, "Gone"}

func runLogs(c *call) any {
	x := c.run()
	if x == nil || c.attempt(x) == 0 {
		return nil
	}
	if x.Gone {
		return expired
	}
	attempt := c.attempt(x)
	path := fmt.Sprintf("/actions-results/%d/workflow-run-%d/attempt-%d/logs.zip", c.repo.ID, x.ID, attempt)
	return c.g.Blobs.keep(path, "application/zip", x.Attempts[attempt-1].archive)
}

func jobLog(c *call) any {
	for i := range c.repo.Runs {
		for a, attempt := range c.repo.Runs[i].Attempts {
			for _, j := range attempt.Jobs {
				switch {
				case j.ID != c.number("job"):
				case c.repo.Runs[i].Gone:
					return expired
				default:
					path := fmt.Sprintf("/actions-results/%d/workflow-run-%d/attempt-%d/job-%d.txt", c.repo.ID, c.repo.Runs[i].ID, a+1, j.ID)
					at := when(attempt.Started, c.repo.Runs[i].Created)
					return c.g.Blobs.keep(path, "text/plain", func() []byte { return []byte(j.text(at)) })
				}
			}
		}
	}
	return nil
}

// archive is what GitHub makes of an attempt's logs: each job in one file, and each step in one of the job's folder.
func (a Attempt) archive() []byte {
	var files []file
	for i, j := range a.Jobs {
		name := strings.ReplaceAll(j.Name, "/", "") // GitHub leaves out what a file's name may not have
		files = append(files, file{fmt.Sprintf("%d_%s.txt", i, name), j.text(a.Started)})
		for n := range j.Steps {
			files = append(files, file{fmt.Sprintf("%s/%d_%s.txt", name, n+1, strings.ReplaceAll(j.Steps[n].Name, "/", "")), j.step(n, a.Started)})
		}
		files = append(files, file{name + "/system.txt", stamped(a.Started, "Evaluating "+name+".if\nResult: true\n")})
	}
	return archive(files)
}

type file struct{ name, content string }

func archive(files []file) []byte {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		part, err := w.Create(f.name)
		if err == nil {
			_, err = part.Write([]byte(f.content))
		}
		if err != nil {
			panic(err) // a buffer takes all
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func (j *Job) text(at time.Time) string {
	var b strings.Builder
	b.WriteString("\ufeff") // as GitHub's begin
	for n := range j.Steps {
		b.WriteString(j.step(n, at))
	}
	return b.String()
}

// step is what a step printed, as the runner keeps it.
func (j *Job) step(n int, at time.Time) string {
	at = at.Add(time.Duration(n) * time.Second)
	s := j.Steps[n]
	if n == 0 {
		return stamped(at, "Current runner version: '2.336.0'\n##[group]GITHUB_TOKEN Permissions\nContents: read\n##[endgroup]\nSecret source: Actions\n"+
			"Complete job name: "+j.Name+"\n"+s.Log)
	}
	return stamped(at, "##[group]Run "+s.Name+"\n\x1b[36;1m"+s.Name+"\x1b[0m\nshell: /usr/bin/bash -e {0}\n##[endgroup]\n"+s.Log)
}

func stamped(at time.Time, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(at.UTC().Format("2006-01-02T15:04:05.0000000Z ") + strings.TrimSuffix(line, "\n") + "\r\n")
	}
	return b.String()
}

// artifacts lists those of a run, or of all.
func artifacts(c *call) (out []any) {
	all := c.repo.Runs
	if c.r.PathValue("run") != "" {
		x := c.run()
		if x == nil {
			return c.none()
		}
		all = []Run{*x}
	}
	for i := range all {
		for _, a := range all[i].Artifacts {
			if name := c.r.URL.Query().Get("name"); name == "" || name == a.Name {
				out = append(out, describeArtifact(c, &all[i], &a))
			}
		}
	}
	return out
}

func describeArtifact(c *call, x *Run, a *Artifact) map[string]any {
	id := strconv.FormatInt(a.ID, 10)
	made := when(a.Created, x.Created)
	return map[string]any{
		"id": a.ID, "node_id": "AR_" + id, "name": a.Name, "size_in_bytes": len(a.archive()), "url": c.here("actions/artifacts", id),
		"archive_download_url": c.here("actions/artifacts", id, "zip"), "expired": a.Expired, "created_at": made, "updated_at": made, "expires_at": made.AddDate(0, 0, 90),
		"workflow_run": map[string]any{
			"id": x.ID, "repository_id": c.repo.ID, "head_repository_id": c.repo.ID, "head_branch": or(x.Branch, "main"), "head_sha": x.sha(),
		},
	}
}

func (a *Artifact) archive() []byte {
	var files []file
	for _, name := range slices.Sorted(maps.Keys(a.Files)) {
		files = append(files, file{name, a.Files[name]})
	}
	return archive(files)
}

func artifactArchive(c *call) any {
	for _, x := range c.repo.Runs {
		for _, a := range x.Artifacts {
			if a.ID != c.number("artifact") {
				continue
			}
			if a.Expired {
				return refusal{http.StatusGone, "Artifact has expired"}
			}
			return c.g.Blobs.keep(fmt.Sprintf("/actions-results/%d/workflow-run-%d/artifacts/%d.zip", c.repo.ID, x.ID, a.ID), "application/zip", a.archive)
		}
	}
	return nil
}

func describeCache(_ *call, x *Cache) map[string]any {
	return map[string]any{
		"id": x.ID, "ref": or(x.Ref, "refs/heads/main"), "key": x.Key, "version": fmt.Sprintf("%064x", x.ID), "size_in_bytes": x.Size,
		"created_at": when(x.Created, Created), "last_accessed_at": when(x.Used, Updated),
	}
}

func activity(c *call) []any {
	found := slices.DeleteFunc(slices.Clone(c.repo.Activities), func(a Activity) bool {
		want := c.r.URL.Query().Get("activity_type")
		return want != "" && want != a.Type
	})
	return each(c, found, func(c *call, a *Activity) map[string]any {
		return map[string]any{
			"id": a.ID, "node_id": "PSH_" + strconv.FormatInt(a.ID, 10), "before": a.Before, "after": a.After, "ref": a.Ref, "timestamp": when(a.At, Updated),
			"activity_type": a.Type, "actor": account(c.r, or(a.Actor, "octocat"), "User"),
		}
	})
}

// events are what GitHub tells everybody of an activity: that something was pushed.
func events(c *call) (out []any) {
	for _, a := range c.repo.Activities {
		if a.Type != "push" && a.Type != "force_push" {
			continue
		}
		login := or(a.Actor, "octocat")
		out = append(out, map[string]any{
			"id": strconv.FormatInt(a.ID, 10), "type": "PushEvent", "public": !c.repo.Private, "created_at": when(a.At, Updated),
			"actor":   map[string]any{"id": 1, "login": login, "display_login": login, "gravatar_id": "", "url": c.url("users", login), "avatar_url": c.url("users", login, "avatar")},
			"repo":    map[string]any{"id": c.repo.ID, "name": c.repo.FullName, "url": c.here()},
			"payload": map[string]any{"repository_id": c.repo.ID, "push_id": a.ID, "ref": a.Ref, "head": a.After, "before": a.Before},
		})
	}
	return out
}
