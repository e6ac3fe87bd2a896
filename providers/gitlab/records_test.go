package gitlab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// trace is what a runner writes around what a job prints.
func trace(text string) string {
	return "\x1b[0KRunning with gitlab-runner 18.5.0 (bda84871)\x1b[0;m\n\x1b[0K  on shared-1 abcdefgh, system ID: s_0123456789ab\x1b[0;m\n" +
		"section_start:1772355600:prepare_executor\r\x1b[0K\x1b[0K\x1b[36;1mPreparing the \"docker\" executor\x1b[0;m\x1b[0;m\n" +
		"\x1b[0KStarting service docker:27-dind ...\x1b[0;m\nsection_end:1772355601:prepare_executor\r\x1b[0K" +
		"section_start:1772355601:step_script\r\x1b[0K\x1b[0K\x1b[36;1mExecuting \"step_script\" stage of the job script\x1b[0;m\x1b[0;m\n\x1b[32;1m$ make\x1b[0;m\n" + text +
		"\nsection_end:1772355602:step_script\r\x1b[0K\x1b[32;1mJob succeeded\x1b[0;m\n"
}

// busy is a project whose pipelines left something, and where people wrote.
func busy(g *forgetest.GitLab) *forgetest.Project {
	x := g.Projects[0]
	runner := forgetest.CIRunner{ID: 5, Description: "shared-1"}
	x.Pipelines = []forgetest.CIPipeline{
		{ID: 1, Jobs: []forgetest.CIJob{
			{ID: 11, Name: "build", Trace: trace("first \x1b[31mtry\x1b[0m"), Retried: true, Runner: runner},
			{ID: 12, Name: "build", Trace: trace("second try"), Files: map[string]string{"out/app.env": "KEY=1", "empty": ""}, Dotenv: "DOT=env", Runner: runner},
			{ID: 13, Name: "erased", Erased: true}, {ID: 14, Name: "running", Running: true, Trace: "not yet"}, {ID: 15, Name: "old", Files: map[string]string{"gone": "x"}, Expired: true, Trace: "old"},
		}},
		{ID: 2, Source: "trigger", Variables: []forgetest.CIVariable{{Key: "FROM", Value: "crm"}}},
		{ID: 3, Source: "parent_pipeline", Jobs: []forgetest.CIJob{{ID: 31, Name: "child", Trace: "of a child"}}},
	}
	x.Issues = []forgetest.CIThread{{IID: 1, Title: "It fails", Description: "with this", Notes: []string{"me too", "not me"}}, {IID: 2, Title: "Empty"}}
	x.MergeRequests = []forgetest.CIThread{{IID: 1, Title: "Mend it", Notes: []string{"looks good"}}}
	x.Wiki = map[string]string{"home": "welcome", "ops/deploy": "how to"}
	x.Releases = map[string]string{"v1": "the first"}
	x.Snippets = []forgetest.CISnippet{{ID: 1, Title: "one", Files: map[string]string{"a.sh": "echo a"}}, {ID: 2, Title: "two", Files: map[string]string{"b.sh": "echo b", "dir/c.env": "C=1"}}}
	x.Images = map[string][]string{"web": {"latest", "v1"}}
	x.Packages = []forgetest.CIPackage{{Name: "@acme/web", Type: "npm"}, {Name: "files", Type: "generic"}, {Name: "@acme/web", Type: "npm", Created: forgetest.Updated}, {Name: "@acme/web", Type: "generic"}}
	x.States = map[string]string{"production": `{"version":4}`}
	return x
}

// lines are what items say, without addresses.
func lines(t *testing.T, items []audit.Item) (out []string) {
	t.Helper()
	for _, it := range items {
		content := it.Content
		if it.Open != nil {
			rc, err := it.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			content, _ = io.ReadAll(rc)
			_ = rc.Close()
		}
		switch it.Kind {
		case audit.KindState, audit.KindKept:
			out = append(out, string(it.Kind))
		case audit.KindLog:
			text := string(content)
			if _, rest, found := strings.Cut(text, "$ make\n"); found {
				text, _, _ = strings.Cut(rest, "\nJob succeeded")
			}
			out = append(out, fmt.Sprintf("log %s %s: %s", it.At.Path, it.At.Name, strings.TrimSpace(text)))
		case audit.KindLastRun:
			f := it.Entry.Facts
			out = append(out, fmt.Sprintf("last-run %s %s %s %s", it.Entry.Name, f["at"], f["event"], f["conclusion"]))
		case audit.KindPackage, audit.KindRunner:
			out = append(out, fmt.Sprintf("%s %s: %s", it.Kind, it.Entry.Name, it.Entry.Facts["tags"]+it.Entry.Facts["executor"]+it.Entry.Facts["versions"]))
		default:
			out = append(out, fmt.Sprintf("%s %s %s: %s", it.Kind, it.At.Path, it.At.Name, strings.ReplaceAll(string(content), "\n", "|")))
		}
	}
	return out
}

// part lists a part of a target after what was known of it.
func part(t *testing.T, p *Provider, target audit.Target, name audit.Part, past string) (items []audit.Item, gaps []string, state string) {
	t.Helper()
	target.Part, target.Past = name, past
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			t.Fatal(err)
		default:
			items = append(items, it)
			if it.Kind == audit.KindState {
				state = it.State
			}
			if it.Done != nil {
				it.Done()
			}
		}
	}
	return items, gaps, state
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func recorded(t *testing.T, change func(*forgetest.GitLab, *forgetest.Project)) (*forgetest.GitLab, *forgetest.Project, *Provider, audit.Target) {
	g := acme(1)
	x := busy(g)
	if change != nil {
		change(g, x)
	}
	p := provider(t, g, nil)
	p.opts.Sources = audit.AllSources
	p = New(p.env, p.opts)
	return g, x, p, targets(t, p, x.Path).named("gitlab:" + x.Path)
}

func TestRuns(t *testing.T) {
	for _, stored := range []bool{false, true} {
		g, _, p, target := recorded(t, nil)
		if stored {
			g.Storage = forgetest.Start(t, http.HandlerFunc(g.ServeStorage))
		}
		items, gaps, state := part(t, p, target, audit.PartRuns, "")
		equal(t, "gaps", gaps, []string{"traces and artifacts of 1 jobs: somebody has erased them"})
		equal(t, "items", lines(t, items), []string{
			"log pipelines/1/jobs/11 test / build: first try", "log pipelines/1/jobs/12 test / build: second try",
			"artifact pipelines/1/jobs/12/.env.gz test / build: " + gzipOf(t, items), "artifact pipelines/1/jobs/12/artifacts.zip!empty test / build: ",
			"artifact pipelines/1/jobs/12/artifacts.zip!out/app.env test / build: KEY=1", "log pipelines/1/jobs/15 test / old: old", "variable  FROM: crm",
			"log pipelines/3/jobs/31 test / child: of a child", `artifact terraform/production.tfstate Terraform state production: {"version":4}`,
			"last-run build 2026-02-01T09:30:00Z push success", "last-run child 2026-02-01T09:30:00Z parent_pipeline success", "last-run erased 2026-02-01T09:30:00Z push success",
			"last-run old 2026-02-01T09:30:00Z push success", "runner shared-1: docker", "state",
		})
		if got, want := facts(t, items, audit.KindRunner, "shared-1", "project"), "executor=docker id=5 privileged=true type=instance_type version=18.5.0"; got != want {
			t.Errorf("runner: %s, want %s", got, want)
		}
		if got := facts(t, items, audit.KindVariable, "FROM", "project"); !strings.Contains(got, "store=trigger") {
			t.Errorf("variable: %s", got)
		}
		if got := facts(t, items, audit.KindRun, "1", "project"); !strings.Contains(got, "event=push head_sha=0000000000000000000000000000000000000001") {
			t.Errorf("run: %s", got)
		}
		if state == "" {
			t.Error("no state")
		}
	}
}

// gzipOf is the content of the report in items, which is packed as the storage has it.
func gzipOf(t *testing.T, items []audit.Item) string {
	t.Helper()
	for _, it := range items {
		if strings.HasSuffix(it.At.Path, ".env.gz") {
			if len(it.Content) < 2 || it.Content[0] != 0x1f || it.Content[1] != 0x8b {
				t.Errorf("report: %q", it.Content)
			}
			return strings.ReplaceAll(string(it.Content), "\n", "|")
		}
	}
	return ""
}

// A finding in a trace leads to the line that people see.
func TestOrigin(t *testing.T) {
	_, _, p, target := recorded(t, nil)
	items, _, _ := part(t, p, target, audit.PartRuns, "")
	for _, it := range items {
		if it.Kind != audit.KindLog || !strings.HasSuffix(it.At.Path, "/12") {
			continue
		}
		line := strings.Count(strings.SplitN(string(it.Content), "second try", 2)[0], "\n") + 1
		l := it.At
		l.Line, l.EndLine = line, line
		l = it.Origin(l)
		if !strings.HasSuffix(l.URL, "/acme/platform/p000/-/jobs/12#L"+fmt.Sprint(l.Line)) || l.EndLine != l.Line || !strings.Contains(l.Name, "test / build") || !strings.Contains(l.Name, "step_script") {
			t.Errorf("%+v", l)
		}
		return
	}
	t.Error("no log")
}

// The second time only what pipelines left that were touched since is read.
func TestRunsGrow(t *testing.T) {
	g, x, p, target := recorded(t, nil)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	g.Now = func() time.Time { return now }
	_, _, state := part(t, p, target, audit.PartRuns, "")
	if !strings.HasSuffix(state, " 2026-11-01T12:00:00Z") {
		t.Fatalf("state %q", state)
	}
	items, gaps, again := part(t, p, target, audit.PartRuns, state)
	equal(t, "nothing new", lines(t, items), []string{"kept", `artifact terraform/production.tfstate Terraform state production: {"version":4}`, "state"})
	equal(t, "gaps", gaps, nil)
	if again != state {
		t.Errorf("state %q, then %q", state, again)
	}
	later := now.Add(time.Hour)
	x.Pipelines[0].Updated = later
	x.Pipelines[0].Jobs = append(x.Pipelines[0].Jobs, forgetest.CIJob{ID: 16, Name: "retry: [linux, 3]", Trace: "third try", Finished: later})
	now = later
	items, _, _ = part(t, p, target, audit.PartRuns, state)
	equal(t, "a retried job", lines(t, items), []string{
		"kept", "log pipelines/1/jobs/16 test / retry: [linux, 3]: third try", `artifact terraform/production.tfstate Terraform state production: {"version":4}`, "last-run retry 2026-11-01T13:00:00Z push success", "state",
	})
	// Other sources, or a state of somebody else's making: all.
	p.opts.Sources = audit.SourceLogs
	items, _, _ = part(t, p, target, audit.PartRuns, state)
	if n := len(lines(t, items)); n != 12 || items[0].Kind == audit.KindKept {
		t.Errorf("%d items, first %s", n, items[0].Kind)
	}
}

// --since with a date leaves out what was touched before it, and a state does not take that back; a commit limits the history alone. What has no
// time of its change is read as it is now.
func TestSince(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 10, n, 12, 0, 0, 0, time.UTC) }
	g, x, p, target := recorded(t, nil)
	g.Now = func() time.Time { return day(20) }
	x.Pipelines[0].Updated = day(12)
	x.Pipelines[0].Jobs = append(x.Pipelines[0].Jobs,
		forgetest.CIJob{ID: 16, Name: "retry", Trace: "in time", Finished: day(12)}, forgetest.CIJob{ID: 17, Name: "retry", Trace: "on the day", Finished: day(10)},
		forgetest.CIJob{ID: 18, Name: "retry", Trace: "too early", Finished: day(9)})
	x.Issues[1].Updated, x.Issues[1].Notes, x.Snippets[0].Updated = day(12), []string{"done"}, day(12)
	const terraform = `artifact terraform/production.tfstate Terraform state production: {"version":4}`
	runs := []string{"log pipelines/1/jobs/16 test / retry: in time", "log pipelines/1/jobs/17 test / retry: on the day", terraform, "last-run retry 2026-10-12T12:00:00Z push success", "state"}
	texts := []string{
		"text  issue #2: Empty||", "text  issue #2, note: done", "text  wiki page home: home||welcome", "text  wiki page ops/deploy: ops/deploy||how to",
		"text  release v1: v1||the first|binary https://example.com/v1", "text  snippet $1: one||", "text a.sh snippet $1: echo a", "package acme/platform/p000/web: latest,v1",
		"package @acme/web: 1", "package @acme/web: 2", "package files: 1", "state",
	}
	p.opts.Since = "2026-10-10"
	items, _, state := part(t, p, target, audit.PartRuns, "")
	equal(t, "runs", lines(t, items), runs)
	items, _, _ = part(t, p, target, audit.PartRuns, strings.Replace(state, "2026-10-20", "2026-10-01", 1))
	equal(t, "runs after an old state", lines(t, items), append([]string{"kept"}, runs...))
	items, _, _ = part(t, p, target, audit.PartRuns, state)
	equal(t, "runs after a new one", lines(t, items), []string{"kept", terraform, "state"})
	items, _, _ = part(t, p, target, audit.PartTexts, "")
	equal(t, "texts", lines(t, items), texts)
	p.opts.Since = "v1.0"
	items, _, _ = part(t, p, target, audit.PartRuns, "")
	if n := len(lines(t, items)); n <= len(runs) {
		t.Errorf("%d items since a commit", n)
	}
}

// What breaks is a gap; what may be readable the next time leaves no state.
func TestRunsInTrouble(t *testing.T) {
	for _, test := range []struct {
		name, suffix string
		status       int
		gap          string
		state        bool
	}{
		{"a trace that is refused", "/jobs/11/trace", http.StatusForbidden, "project job traces: 403 Forbidden: needs role Developer, or Reporter where jobs are public", false},
		{"a trace that is gone", "/jobs/11/trace", http.StatusNotFound, "project job traces: 404 Not Found: no right to read it, or not offered here", true},
		{"a server that stumbles", "/jobs/11/trace", http.StatusBadGateway, "project job traces: 502 Bad Gateway", false},
		{"artifacts", "/jobs/12/artifacts", http.StatusInternalServerError, "project job artifacts: 500 Internal Server Error", false},
		{"variables", "/pipelines/2/variables", http.StatusForbidden, "project pipeline variables: 403 Forbidden: needs role Maintainer", true},
		{"a listing", "/pipelines/1/jobs", http.StatusInternalServerError, "project jobs of pipelines: 500 Internal Server Error", false},
		{"a state of Terraform", "/terraform/state/production", http.StatusForbidden, "project Terraform states: 403 Forbidden: needs role Developer", true},
		{"no page for a report", "/artifacts/download", http.StatusNotFound, "dotenv reports of 1 jobs: GitLab hands them to browsers of members only", true},
	} {
		g, _, p, target := recorded(t, nil)
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, test.suffix) && forgetest.Fail(w, test.status, http.StatusText(test.status))
		}
		_, gaps, state := part(t, p, target, audit.PartRuns, "")
		if !slices.ContainsFunc(gaps, func(gap string) bool { return strings.HasPrefix(gap, test.gap) }) || (state != "") != test.state {
			t.Errorf("%s: gaps %q, state %q", test.name, gaps, state)
		}
	}
	// A member of a private project sees no report; a Reporter no Terraform state.
	_, _, p, target := recorded(t, func(_ *forgetest.GitLab, x *forgetest.Project) { x.Private, x.Role = true, 20 })
	_, gaps, _ := part(t, p, target, audit.PartRuns, "")
	equal(t, "a Reporter", gaps, []string{
		"traces and artifacts of 1 jobs: somebody has erased them", "dotenv reports of 1 jobs: GitLab hands them to browsers of members only",
		"project pipeline variables: 403 Forbidden: needs role Maintainer", "project Terraform states: 403 Forbidden: needs role Developer",
	})
}

// An archive that is none, or that is cut off, is a gap, and what came of it is read.
func TestBrokenArchives(t *testing.T) {
	g, _, p, target := recorded(t, nil)
	for _, test := range []struct {
		body, gap string
		state     bool
	}{
		{"no zip", "pipelines/1/jobs/12/artifacts.zip: no zip archive", true},
		{"PK\x03\x04\x14\x00", "pipelines/1/jobs/12/artifacts.zip: ", false},
	} {
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/jobs/12/artifacts") {
				return false
			}
			_, _ = io.WriteString(w, test.body)
			return true
		}
		_, gaps, state := part(t, p, target, audit.PartRuns, "")
		if !slices.ContainsFunc(gaps, func(gap string) bool { return strings.HasPrefix(gap, test.gap) }) || (state != "") != test.state {
			t.Errorf("%q: gaps %q, state %q", test.body, gaps, state)
		}
	}
}

func TestTexts(t *testing.T) {
	g, x, p, target := recorded(t, nil)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	g.Now = func() time.Time { return now }
	items, gaps, state := part(t, p, target, audit.PartTexts, "")
	equal(t, "gaps", gaps, nil)
	standing := []string{"text  wiki page home: home||welcome", "text  wiki page ops/deploy: ops/deploy||how to", "text  release v1: v1||the first|binary https://example.com/v1"}
	equal(t, "items", lines(t, items), slices.Concat([]string{
		"text  issue #1: It fails||with this", "text  issue #1, note: me too", "text  issue #1, note: not me", "text  issue #2: Empty||",
		"text  merge request !1: Mend it||", "text  merge request !1, note: looks good",
	}, standing, []string{
		"text  snippet $1: one||", "text a.sh snippet $1: echo a", "text  snippet $2: two||", "text b.sh snippet $2: echo b", "text dir/c.env snippet $2: C=1", "package acme/platform/p000/web: latest,v1",
		"package @acme/web: 1", "package @acme/web: 2", "package files: 1", "state",
	}))
	now = now.Add(time.Hour)
	x.Issues[1].Updated, x.Issues[1].Notes = now, []string{"done"}
	x.Snippets[0].Updated = now
	items, _, _ = part(t, p, target, audit.PartTexts, state)
	equal(t, "what was touched", lines(t, items), slices.Concat([]string{"kept", "text  issue #2: Empty||", "text  issue #2, note: done"}, standing, []string{
		"text  snippet $1: one||", "text a.sh snippet $1: echo a", "package acme/platform/p000/web: latest,v1",
		"package @acme/web: 1", "package @acme/web: 2", "package files: 1", "state",
	}))
	for _, it := range items {
		if it.At.Name == "issue #2, note" && !strings.HasSuffix(it.At.URL, "/acme/platform/p000/-/issues/2#note_200") {
			t.Errorf("address %s", it.At.URL)
		}
	}
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/wikis") && forgetest.Fail(w, http.StatusForbidden, "403 Forbidden") ||
			strings.HasSuffix(r.URL.Path, "/issues/1/notes") && forgetest.Fail(w, http.StatusBadGateway, "502")
	}
	_, gaps, state = part(t, p, target, audit.PartTexts, "")
	equal(t, "gaps", gaps, []string{"project notes of issues: 502 Bad Gateway: 502", "project wiki: 403 Forbidden: needs role Guest"})
	if state != "" {
		t.Errorf("state %q", state)
	}
}

// What a project has switched off is not asked for.
func TestFeaturesSwitchedOff(t *testing.T) {
	g, _, p, _ := recorded(t, func(_ *forgetest.GitLab, x *forgetest.Project) {
		x.CIAccess.Settings = map[string]any{}
		for _, f := range []string{"issues", "merge_requests", "wiki", "releases", "snippets", "container_registry", "package_registry", "builds"} {
			x.CIAccess.Settings[f+"_access_level"] = "disabled"
		}
	})
	target := targets(t, p, "acme/platform/p000").named("gitlab:acme/platform/p000")
	before := len(g.Requests())
	for _, name := range []audit.Part{audit.PartRuns, audit.PartTexts} {
		items, gaps, _ := part(t, p, target, name, "")
		if len(items) > 0 || len(gaps) > 0 {
			t.Errorf("%s: %d items, gaps %q", name, len(items), gaps)
		}
	}
	if n := len(g.Requests()) - before; n > 0 {
		t.Errorf("%d requests", n)
	}
}

// A job's own token reads what GitLab lets it read, and what it may not is a gap that names the role.
func TestRecordsOfAJob(t *testing.T) {
	g, x, p, _ := recorded(t, func(g *forgetest.GitLab, x *forgetest.Project) {
		g.JobToken, x.JobMayRead, x.Private, x.Environments, x.SecureFiles = "job", true, true, []string{"production"}, []string{"a.jks"}
		g.Storage = forgetest.Start(t, http.HandlerFunc(g.ServeStorage)) // which refuses whoever sends it a credential
	})
	vars := map[string]string{"GITLAB_URL": p.env.Getenv("GITLAB_URL"), "CI_JOB_TOKEN": "job"}
	p.env.Getenv = func(name string) string { return vars[name] }
	p = New(p.env, p.opts)
	target := targets(t, p, x.Path).named("gitlab:" + x.Path)
	before := len(g.Requests())
	has := func(of audit.Part, wantItems, wantGaps []string) (state string) {
		t.Helper()
		items, gaps, state := part(t, p, target, of, "")
		if got := lines(t, items); !slices.Equal(got, wantItems) {
			t.Errorf("%s: %q, want %q", of, got, wantItems)
		}
		if !slices.Equal(gaps, wantGaps) {
			t.Errorf("%s: gaps %q, want %q", of, gaps, wantGaps)
		}
		return state
	}
	const why = ": a job's own token may not read it: needs role "
	has(audit.PartTexts, []string{
		"text  merge request !1: Mend it||", "text  merge request !1, note: looks good", "text  release v1: v1||the first|binary https://example.com/v1",
		"package acme/platform/p000/web: latest,v1", "package @acme/web: 1", "package @acme/web: 2", "package files: 1",
	}, []string{"project issues, wiki" + why + "Guest, with GITLAB_TOKEN", "project snippets" + why + "Reporter, with GITLAB_TOKEN"})
	state := has(audit.PartRuns, []string{
		"artifact pipelines/1/jobs/12/artifacts.zip!empty test / build: ", "artifact pipelines/1/jobs/12/artifacts.zip!out/app.env test / build: KEY=1",
	}, []string{
		"traces and artifacts of 1 jobs: somebody has erased them", "dotenv reports of 1 jobs: GitLab hands them to browsers of members only",
		"project job traces" + why + "Developer, with GITLAB_TOKEN", "project Terraform states" + why + "Developer, with GITLAB_TOKEN",
	})
	if state != "" {
		t.Errorf("state %q, although no trace was read", state)
	}
	has(audit.PartSettings, []string{
		"secret  a.jks: ", `environment  production: {"id":1,"name":"production","state":"available","tier":"production","created_at":"2025-03-01T08:00:00Z","updated_at":"2026-02-01T09:30:00Z"}`,
	}, []string{
		"project variables, inherited variables, deploy keys, webhooks, access tokens, deploy tokens, trigger tokens, protected branches, protected tags, " +
			"protected environments, runners" + why + "Maintainer, with GITLAB_TOKEN",
		"project pipeline schedules, pipeline definition" + why + "Developer, with GITLAB_TOKEN", "project settings" + why + "Reporter, with GITLAB_TOKEN",
	})
	for _, r := range g.Requests()[before:] {
		if r.Header.Get("Job-Token") != "job" && strings.HasPrefix(r.Path, "/api/") {
			t.Errorf("%s: headers %v", r.Path, r.Header)
		}
	}
	// Another project's token is let see nothing.
	x.JobMayRead = false
	if items, gaps, _ := part(t, p, target, audit.PartRuns, ""); len(items) > 0 || len(gaps) == 0 {
		t.Errorf("%d items, gaps %q", len(items), gaps)
	}
}
