package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// A user scans a group of 300 projects with all it has, and is told of all that lies open in it, or is not sound, and of nothing else.
func TestGitLabWorld(t *testing.T) {
	w := forgetest.NewGitLabWorld(t, time.Now())
	vars := map[string]string{"GITLAB_URL": forgetest.Start(t, w), "GITLAB_TOKEN": forgetest.WorldToken}
	if code, out, errs := asked(t, vars, "doctor", "--sources", "all", "gitlab:acme"); code != exitOK {
		t.Errorf("doctor: exit code %d\n%s%s", code, out, errs)
	}
	var planned plan
	_, out, _ := asked(t, vars, "scan", "--dry-run", "--sources", "all", "--format", "json", "gitlab:acme")
	if err := json.Unmarshal([]byte(out), &planned); err != nil {
		t.Fatal(err)
	}
	before := len(w.Requests())
	report, code := scanGitLab(t, w, "all")
	if code != exitFindings {
		t.Errorf("exit code %d", code)
	}
	// Ten projects stand for all; what only some of them have is not met exactly.
	made := len(w.Requests()) - before
	if t.Logf("%d requests were planned, and %d made", planned.Calls, made); planned.Calls < made*95/100 || planned.Calls > made*110/100 {
		t.Error("the plan is off")
	}
	compareGitLab(t, w, report)
	if got := worldGaps(report); !slices.Equal(got, knownGaps) {
		t.Errorf("gaps:\n%s", strings.Join(got, "\n"))
	}
	if n := len(report.Coverage); n != 1+40+300 {
		t.Errorf("%d targets", n)
	}
}

// knownGaps are those that the world has by itself.
var knownGaps = []string{
	"service-041: dotenv reports of 1 jobs: GitLab hands them to browsers of members only",
	"service-044: traces and artifacts of 1 jobs: somebody has erased them",
}

func worldGaps(report audit.Run) (gaps []string) {
	for _, g := range report.Gaps {
		gaps = append(gaps, g.Target[strings.LastIndexByte(g.Target, '/')+1:]+": "+g.Error())
	}
	slices.Sort(gaps)
	return gaps
}

// A GitLab that stumbles, limits its rate, numbers its pages and keeps artifacts elsewhere tells as much; and where the token may little or nothing, the
// report says what is missing, and which role would have been enough.
func TestGitLabWorldInTrouble(t *testing.T) {
	w := forgetest.NewGitLabWorld(t, time.Now())
	w.NoKeyset, w.Free, w.Storage = true, true, forgetest.Start(t, http.HandlerFunc(w.ServeStorage))
	// Without a licence no environment is protected, and what is meant for one is open.
	w.Planted = append(w.Planted, forgetest.Planted{What: "a scope that is no wall", Target: "gitlab:" + w.Projects[72].Path, Rule: "gitlab-environment-scope", Name: "DATABASE_PASSWORD"})
	guest, rep, dev, gone, shut := w.Projects[201], w.Projects[202], w.Projects[203], w.Projects[204], w.Projects[205]
	guest.Role, rep.Role, dev.Role, gone.Gone = 10, 20, 30, true
	var asked, limited atomic.Int32
	var once sync.Map
	w.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		n := asked.Add(1)
		_, again := once.LoadOrStore(r.URL.String(), true)
		switch {
		case strings.HasSuffix(r.URL.Path, fmt.Sprintf("/projects/%d/pipelines", shut.ID)):
			return forgetest.Fail(rw, http.StatusInternalServerError, "500 Internal Server Error")
		case strings.HasSuffix(r.URL.Path, fmt.Sprintf("/projects/%d/variables", shut.ID)):
			return forgetest.Fail(rw, http.StatusUnauthorized, "401 Unauthorized")
		case n == 500 && limited.Add(1) == 1:
			h := rw.Header()
			h.Set("RateLimit-Limit", "2000")
			h.Set("RateLimit-Remaining", "0")
			h.Set("RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10))
			h.Set("Retry-After", "1")
			return forgetest.Fail(rw, http.StatusTooManyRequests, "Retry later")
		case n%300 == 299 && !again && strings.HasPrefix(r.URL.Path, "/api/v4/projects/"):
			return forgetest.Fail(rw, http.StatusBadGateway, "502 Bad Gateway")
		}
		return false
	}
	report, code := scanGitLab(t, w, "all")
	if code != exitFindings {
		t.Errorf("exit code %d", code)
	}
	compareGitLab(t, w, report)
	if limited.Load() != 1 {
		t.Error("no limit was met")
	}
	const few = "variables, deploy keys, webhooks, access tokens, deploy tokens, trigger tokens, protected branches, protected tags, protected environments, " +
		"job token scope, push rules, runners: 403 Forbidden: needs role Maintainer"
	const fewer = "secure files, pipeline schedules, pipeline definition, security settings: 403 Forbidden: needs role Developer"
	want := append(slices.Clone(knownGaps),
		"service-201: project Terraform states: 403 Forbidden: needs role Developer", "service-201: project container registry, package registry: 403 Forbidden: needs role Reporter",
		"service-201: project environments: 403 Forbidden: needs role Reporter",
		"service-201: project pipelines: 403 Forbidden: needs role Developer", "service-201: project "+fewer, "service-201: project "+few,
		"service-202: project Terraform states: 403 Forbidden: needs role Developer", "service-202: project "+fewer, "service-202: project "+few, "service-203: project "+few,
		"service-204: git history: cloning", "service-204: project Terraform states: 403 Forbidden: needs role Developer",
		"service-204: project issues, merge requests, wiki, releases, snippets: 404 Not Found: no right to read it, or not offered here",
		"service-204: project pipelines: 404 Not Found: no right to read it, or not offered here",
		"service-205: project pipelines: 500 Internal Server Error", "service-205: project variables: 401 Unauthorized: the token is not accepted",
	)
	got := worldGaps(report)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("gaps:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for _, c := range report.Coverage {
		if (c.Status == audit.Failed) != (c.Target == "gitlab:"+gone.Path) {
			t.Errorf("%s: %s, %s", c.Target, c.Status, c.Reason)
		}
	}
}

func scanGitLab(t *testing.T, w *forgetest.GitLabWorld, sources string, args ...string) (report audit.Run, code int) {
	t.Helper()
	report, code, all := scanAcme(t, "gitlab", map[string]string{"GITLAB_URL": forgetest.Start(t, w), "GITLAB_TOKEN": forgetest.WorldToken}, sources, args...)
	showsNone(t, w.Planted, all)
	if strings.Contains(all, "not-for-reports") {
		t.Error("a token of GitLab's is shown")
	}
	return report, code
}

// compareGitLab holds what was found against what is planted.
func compareGitLab(t *testing.T, w *forgetest.GitLabWorld, report audit.Run) {
	t.Helper()
	comparePlanted(t, w.Planted, report, func(p forgetest.Planted, f *audit.Finding, l audit.Location) bool {
		return (f.Secret == nil || string(l.Kind) == p.In) && strings.Contains(l.Path+" "+l.Name+" "+f.Message, p.Name)
	})
}
