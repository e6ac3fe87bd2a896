package forgetest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A GitHubFault is something that goes wrong with one repository of [Faulty], acme/web, while all else is as it should be.
type GitHubFault struct {
	Name  string
	Break func(g *GitHub)
	Gaps  []string // what is said of acme/web: the beginning of each gap
	Fails string   // what the whole of it fails with; "" if only parts do
}

// Faulty is a GitHub with three repositories: acme/web, with which something may be wrong, acme/api and acme/tools. leak lies in a
// variable of acme/tools, the last one.
func Faulty(t testing.TB, leak string) *GitHub {
	t.Helper()
	g := &GitHub{Token: WorldToken, Login: "auditor", Owners: []*Owner{{Login: "acme"}, {Login: "auditor", User: true}}}
	dir := Repository(t, buildFiles)
	for i, name := range []string{"api", "tools", "web"} {
		g.Repos = append(g.Repos, &GitHubRepo{FullName: "acme/" + name, ID: int64(i + 1), Private: true, Dir: dir})
	}
	g.Repos[1].Variables = []Variable{{Name: "SETTINGS", Value: "token=" + leak}}
	web := g.Repos[2]
	for _, name := range strings.Split(strings.Repeat("A", 45), "") {
		web.Variables = append(web.Variables, Variable{Name: name + string(rune('A'+len(web.Variables)%26)) + string(rune('A'+len(web.Variables)/26)), Value: "1"})
	}
	web.Secrets = []Secret{{Name: "S"}}
	web.Environments = []Environment{guarded("production", Secret{Name: "E"})}
	web.Runs = []Run{{
		ID: 10, Number: 1, Path: ".github/workflows/build.yml", Created: Updated, Attempts: []Attempt{{Started: Updated, Jobs: []Job{{
			ID: 11, Name: "job", Steps: []Step{{Name: "Set up job"}, {Name: "make", Log: "done\n"}},
		}}}}, Artifacts: []Artifact{{ID: 12, Name: "dist", Files: map[string]string{"a.txt": strings.Repeat("nothing\n", 1000)}}},
	}}
	web.Issues = []Issue{{Number: 1, Title: "It does not work", Body: "It stops."}}
	return g
}

// GitHubFaults lists them.
func GitHubFaults() []GitHubFault {
	const variables, secrets, logs = "/repos/acme/web/actions/variables", "/repos/acme/web/actions/secrets", "/repos/acme/web/actions/runs/10/attempts/1/logs"
	answers := func(path string, status int, header http.Header) func(*GitHub) {
		return func(g *GitHub) {
			g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				for k, v := range header {
					w.Header()[k] = v
				}
				return Fail(w, status, http.StatusText(status))
			}
		}
	}
	once := func(path string, fault func(w http.ResponseWriter, r *http.Request) bool) func(*GitHub) {
		return func(g *GitHub) {
			var seen atomic.Bool
			g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == path && !seen.Swap(true) && fault(w, r)
			}
		}
	}
	status := func(code int, header http.Header) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for k, v := range header {
				w.Header()[k] = v
			}
			return Fail(w, code, http.StatusText(code))
		}
	}
	stored := func(part string, fault http.HandlerFunc) func(*GitHub) {
		return func(g *GitHub) {
			g.Blobs.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, part) {
					return false
				}
				fault(w, r)
				return true
			}
		}
	}
	// cut sends the first half of what lies in the storage.
	cut := func(g *GitHub) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			content := g.Blobs.content(r)
			_, _ = w.Write(content[:len(content)/2])
		}
	}
	// truncated ends before all came that was announced, and before the end of the archive's first file.
	truncated := func(g *GitHub) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			content := g.Blobs.content(r)
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			_, _ = w.Write(content[:40])
		}
	}
	html := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
	}
	return []GitHubFault{
		{Name: "nothing", Break: func(*GitHub) {}},
		{Name: "401 midway", Break: answers(secrets, http.StatusUnauthorized, nil), Gaps: []string{"repository secrets: 401 Unauthorized"}},
		{
			Name: "403 that says why", Break: answers(secrets, http.StatusForbidden, http.Header{"X-Accepted-Github-Permissions": {"secrets=read"}}),
			Gaps: []string{"repository secrets: 403 Forbidden: needs secrets=read"},
		},
		{Name: "403 that does not", Break: answers(secrets, http.StatusForbidden, nil), Gaps: []string{"repository secrets: 403 Forbidden"}},
		{Name: "404", Break: answers(secrets, http.StatusNotFound, nil), Gaps: []string{"repository secrets: 404 Not Found: no right to read it, or not offered here"}},
		{Name: "410 on logs", Break: answers(logs, http.StatusGone, nil), Gaps: []string{"run logs of 10: 410 Gone: expired"}},
		{Name: "422", Break: answers(variables, http.StatusUnprocessableEntity, nil), Gaps: []string{"repository variables: 422 Unprocessable Entity"}},
		{Name: "429", Break: once(variables, status(http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}}))},
		{Name: "500 once", Break: once(variables, status(http.StatusInternalServerError, nil))},
		{Name: "502 for ever", Break: answers(variables, http.StatusBadGateway, nil), Gaps: []string{"repository variables: 502 Bad Gateway"}},
		{Name: "artifact cut off", Break: func(g *GitHub) { stored("/artifacts/", cut(g))(g) }, Gaps: []string{"runs/10/dist: reading zip"}},
		{Name: "an attempt's logs cut off", Break: func(g *GitHub) { stored("/logs.zip", cut(g))(g) }}, // its jobs' are read one by one
		{Name: "logs cut off", Break: func(g *GitHub) { stored("/attempt-1/", truncated(g))(g) }, Gaps: []string{"run logs of 10: job job: unexpected EOF"}},
		{Name: "storage refuses", Break: stored("/attempt-1/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), Gaps: []string{"run logs of 10: job job: 403 Forbidden"}},
		{Name: "a page instead of logs", Break: stored("/attempt-1/", html), Gaps: []string{"run logs of 10: job job: answered HTML"}},
		{Name: "a page instead of the API", Break: once(secrets, func(w http.ResponseWriter, r *http.Request) bool { html(w, r); return true }), Gaps: []string{"repository secrets: answered HTML"}},
		{Name: "slow", Break: func(g *GitHub) {
			stored("/logs.zip", func(w http.ResponseWriter, r *http.Request) {
				content := g.Blobs.content(r)
				for len(content) > 0 {
					n := min(len(content), 200)
					_, _ = w.Write(content[:n])
					w.(http.Flusher).Flush()
					content = content[n:]
					time.Sleep(20 * time.Millisecond) // a connection that is slow
				}
			})(g)
		}},
		{Name: "fewer between pages", Break: func(g *GitHub) {
			g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == variables && r.URL.Query().Get("page") == "2" {
					g.Change(func() { g.Repos[2].Variables = g.Repos[2].Variables[:40] })
				}
				return false
			}
		}, Gaps: []string{"repository variables: 5 of 45 are missing"}},
		{Name: "renamed midway", Break: func(g *GitHub) {
			g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/repos/acme/web") && g.Repos[2].FullName == "acme/web" {
					g.Change(func() { g.Repos[2].FullName, g.Repos[2].Was = "acme/site", []string{"acme/web"} })
				}
				return false
			}
		}},
		{Name: "deleted midway", Break: func(g *GitHub) {
			g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/repos/acme/web") {
					g.Change(func() { g.Repos[2].Gone = true })
				}
				return false
			}
		}, Fails: "gone"},
	}
}
