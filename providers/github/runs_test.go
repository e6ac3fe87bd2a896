package github

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// recorder reads records of one repository of a fake, whose clock is day's.
type recorder struct {
	*forgetest.GitHub
	provider *Provider
	target   audit.Target
}

func recorderOf(t *testing.T, g *forgetest.GitHub, o Options) *recorder {
	t.Helper()
	g.Now = func() time.Time { return day }
	e := env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": token})
	e.Now = g.Now
	o.sleep = everything().sleep
	p := New(e, o)
	found := targets(t, p, g.Repos[0].FullName)
	if len(found.targets) == 0 {
		t.Fatal(found.gaps, found.err)
	}
	return &recorder{g, p, found.targets[0]}
}

// A yielded is what a target yielded.
type yielded struct {
	found    []string // where the word SECRET lies, as "kind path:line name url"
	items    []string // paths
	last     []string // runs of workflows, as "path time event conclusion"
	gaps     []string
	kept     bool
	state    string
	failures []error
}

func (r *recorder) read(t *testing.T, past string) (out yielded) {
	t.Helper()
	target := r.target
	target.Past = past
	for it, err := range r.provider.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			out.gaps = append(out.gaps, gap.What+": "+gap.Why)
			continue
		case err != nil:
			out.failures = append(out.failures, err)
			continue
		}
		switch it.Kind {
		case audit.KindKept:
			out.kept = true
			continue
		case audit.KindState:
			out.state = it.State
			continue
		case audit.KindLastRun:
			f := it.Entry.Facts
			out.last = append(out.last, strings.Join([]string{it.Entry.Name, f["at"], f["event"], f["conclusion"]}, " "))
			continue
		}
		content := it.Content
		if it.Open != nil {
			rc, err := it.Open(t.Context())
			if err == nil {
				content, err = io.ReadAll(rc)
				_ = rc.Close()
			}
			if err != nil {
				out.gaps = append(out.gaps, it.At.Path+": "+err.Error())
				continue
			}
		}
		out.items = append(out.items, it.At.Path)
		at := it.At
		if archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
			for _, f := range archive.File {
				out.found = append(out.found, fmt.Sprintf("%s %s!%s %s %s", at.Kind, at.Path, f.Name, at.Name, at.URL))
			}
			continue
		}
		for n, line := range strings.Split(string(content), "\n") {
			if strings.Contains(line, "SECRET") {
				l := at
				l.Line, l.EndLine = n+1, n+1
				if it.Origin != nil {
					l = it.Origin(l)
				}
				_, url, _ := strings.Cut(strings.TrimPrefix(l.URL, "http://"), "/")
				out.found = append(out.found, fmt.Sprintf("%s %s:%d %s %s", l.Kind, l.Path, l.Line, l.Name, url))
			}
		}
	}
	return out
}

func withRuns(runs ...forgetest.Run) *forgetest.GitHub {
	g := acme(1)
	for i := range runs {
		x := &runs[i]
		if x.Number = int64(i + 1); x.Created.IsZero() {
			x.Created = day.Add(-time.Duration(i+1) * time.Hour)
		}
		x.Path = ".github/workflows/ci.yml"
		for j := range x.Attempts {
			if x.Attempts[j].Started.IsZero() {
				x.Attempts[j].Started = x.Created.Add(time.Duration(j) * time.Minute)
			}
		}
	}
	g.Repos[0].Runs = runs
	return g
}

func attemptOf(id int64, name string, logs ...string) forgetest.Attempt {
	j := forgetest.Job{ID: id, Name: name}
	for i, log := range logs {
		j.Steps = append(j.Steps, forgetest.Step{Name: fmt.Sprintf("step %d", i+1), Log: log})
	}
	return forgetest.Attempt{Jobs: []forgetest.Job{j}}
}

var logsOnly = Options{Sources: audit.SourceLogs}

// A secret in any attempt is found, in the step and on the line that GitHub shows it on.
func TestLogsOfEveryAttempt(t *testing.T) {
	r := recorderOf(t, withRuns(
		forgetest.Run{ID: 90, Attempts: []forgetest.Attempt{attemptOf(1, "build", "", "a\nSECRET\n", "b\n"), attemptOf(2, "build", "", "a\n", "b\n", "c\nd\nSECRET\n")}},
		forgetest.Run{ID: 80, Attempts: []forgetest.Attempt{attemptOf(3, "test (a/b, 1)", "", "SECRET\n")}},
	), logsOnly)
	got := r.read(t, "")
	want := []string{
		"log runs/90/2/0_build.txt:7 build / step 4 (attempt 2) acme/r000/actions/runs/90/job/2#step:4:7",
		"log runs/90/1/0_build.txt:6 build / step 2 (attempt 1) acme/r000/actions/runs/90/job/1#step:2:6",
		"log runs/80/1/0_test (ab, 1).txt:5 test (a/b, 1) / step 2 (attempt 1) acme/r000/actions/runs/80/job/3#step:2:5",
	}
	if !slices.Equal(got.found, want) || len(got.gaps) > 0 || len(got.failures) > 0 {
		t.Errorf("found\n%s\nwant\n%s\ngaps %q %v", strings.Join(got.found, "\n"), strings.Join(want, "\n"), got.gaps, got.failures)
	}
	if !strings.Contains(strings.Join(got.items, " "), "build/system.txt") {
		t.Errorf("what the runner itself printed is not read: %q", got.items)
	}
	for _, q := range r.Requests() {
		if strings.Contains(q.Path, "/jobs/") {
			t.Error("a job's log was asked for although the archive has it:", q.Path)
		}
	}
	for _, q := range r.Blobs.Requests() {
		if q.Header.Get("Authorization") != "" || q.Header.Get("Accept") != "" && strings.Contains(q.Header.Get("Accept"), "github") {
			t.Error("the storage got", q.Header)
		}
	}
	// Without a finding nobody asks for the jobs.
	quiet := recorderOf(t, withRuns(forgetest.Run{ID: 90, Attempts: []forgetest.Attempt{attemptOf(1, "build", "nothing\n")}}), logsOnly)
	if got := quiet.read(t, ""); len(got.found) > 0 || quiet.Count("/jobs") > 0 {
		t.Errorf("%q, and %d requests for jobs", got.found, quiet.Count("/jobs"))
	}
}

// What cannot be read of one run is a gap, and the others are read.
func TestLogsInTrouble(t *testing.T) {
	const logs = "/actions/runs/90/attempts/1/logs"
	archive := func(change func([]byte) []byte) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "workflow-run-90") || !strings.HasSuffix(r.URL.Path, ".zip") {
				return false
			}
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for i, name := range []string{"a", "b"} {
				f, _ := z.Create(fmt.Sprintf("%d_%s.txt", i, name))
				_, _ = io.WriteString(f, "2026-03-01T00:00:00.0000000Z SECRET in "+name+"\n")
			}
			_ = z.Close()
			_, _ = w.Write(change(b.Bytes()))
			return true
		}
	}
	api := func(path string, status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, path) && forgetest.Fail(w, status, "trouble")
		}
	}
	for _, test := range []struct {
		name     string
		api      func(http.ResponseWriter, *http.Request) bool
		storage  func([]byte) []byte
		gone     bool
		found    []string // of run 90
		gaps     []string
		mark     time.Time // all before is read
		noOthers bool
	}{
		{name: "expired", gone: true, gaps: []string{"run logs of 90: 410 Gone: expired"}},
		{name: "deleted", api: api(logs, 404), gaps: []string{"run logs of 90: 404 Not Found: no right to read it, or not offered here"}},
		{name: "refused", api: api(logs, 403), gaps: []string{"run logs: 403 Forbidden: trouble"}, noOthers: true},
		{name: "the archive cannot be made", api: api(logs, 500), found: []string{"a.txt:5", "b.txt:5"}},
		{name: "nor a job's log", api: func(w http.ResponseWriter, r *http.Request) bool {
			return (strings.HasSuffix(r.URL.Path, logs) || strings.HasSuffix(r.URL.Path, "/jobs/2/logs")) && forgetest.Fail(w, 502, "trouble")
		}, found: []string{"a.txt:5"}, gaps: []string{"run logs of 90: job b: 502 Bad Gateway: trouble"}, mark: day.Add(-time.Hour)},
		{name: "the storage is away", storage: func([]byte) []byte { return nil }, found: []string{"a.txt:5", "b.txt:5"}},
		{name: "the archive breaks off", storage: func(b []byte) []byte { return b[:bytes.Index(b, []byte("1_b.txt"))+12] }, found: []string{"0_a.txt:1", "b.txt:5"}},
		{name: "no archive", storage: func([]byte) []byte { return []byte("<Error>no</Error>") }, found: []string{"a.txt:5", "b.txt:5"}},
		{name: "hostile names", storage: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("1_b.txt"), []byte("../.txt")) },
			found: []string{"0_a.txt:1", ".txt:1"}},
	} {
		g := withRuns(
			forgetest.Run{ID: 90, Gone: test.gone, Attempts: []forgetest.Attempt{{Jobs: []forgetest.Job{
				{ID: 1, Name: "a", Steps: []forgetest.Step{{Name: "x"}, {Name: "y", Log: "SECRET\n"}}}, {ID: 2, Name: "b", Steps: []forgetest.Step{{Name: "x"}, {Name: "y", Log: "SECRET\n"}}},
			}}}},
			forgetest.Run{ID: 80, Attempts: []forgetest.Attempt{attemptOf(3, "other", "", "SECRET\n")}},
		)
		g.Fault = test.api
		r := recorderOf(t, g, logsOnly)
		if test.storage != nil {
			r.Blobs.Fault = archive(test.storage)
		}
		got := r.read(t, "")
		var found []string
		others := 0
		for _, f := range got.found {
			path, ok := strings.CutPrefix(f, "log runs/90/1/")
			if !ok {
				others++
				continue
			}
			found = append(found, strings.Fields(path)[0])
		}
		if !slices.Equal(found, test.found) || !slices.Equal(got.gaps, test.gaps) || len(got.failures) > 0 || (others != 1) != test.noOthers {
			t.Errorf("%s: found %q and %d others, want %q; gaps %q, want %q; %v", test.name, found, others, test.found, got.gaps, test.gaps, got.failures)
		}
		want := `1 logs "" ` + day.Add(-lag).Format(time.RFC3339)
		switch {
		case test.noOthers: // a right that is missing hides all
			want = ""
		case !test.mark.IsZero():
			want = `1 logs "" ` + test.mark.Format(time.RFC3339)
		}
		if got.state != want {
			t.Errorf("%s: state %q, want %q", test.name, got.state, want)
		}
	}
}

// When one log after the other has expired, older ones are not asked for.
func TestExpiredLogs(t *testing.T) {
	var runs []forgetest.Run
	for i := range 3 * manyExpired {
		runs = append(runs, forgetest.Run{ID: int64(1000 - i), Gone: i > 0, Attempts: []forgetest.Attempt{attemptOf(int64(i), "build", "SECRET\n")}})
	}
	r := recorderOf(t, withRuns(runs...), logsOnly)
	got := r.read(t, "")
	if len(got.found) != 1 || r.Count("/logs") != 1+manyExpired || len(got.gaps) != manyExpired+1 || !strings.HasSuffix(got.gaps[manyExpired], "not asked for: those of the last 20 attempts had expired") {
		t.Errorf("%d found, %d requests, gaps %q", len(got.found), r.Count("/logs"), got.gaps[max(0, len(got.gaps)-2):])
	}
}

// A search finds a thousand runs, so that of more windows are asked for.
func TestManyRuns(t *testing.T) {
	var made []time.Time // the newest first; their ids are places in here
	for i := range 1500 {
		made = append(made, day.Add(-time.Duration(i)*time.Second))
	}
	for range 1100 { // all at once
		made = append(made, day.AddDate(0, 0, -30))
	}
	g := withRuns()
	g.Fault = func(w http.ResponseWriter, q *http.Request) bool {
		from, to, ok := strings.Cut(q.URL.Query().Get("created"), "..")
		if !ok {
			return false
		}
		var found []string
		for i, at := range made {
			if stamp := at.Format(time.RFC3339); stamp >= from && stamp <= to && len(found) < mostResults {
				found = append(found, fmt.Sprintf(`{"id":%d,"created_at":%q}`, i+1, stamp))
			}
		}
		page, _ := strconv.Atoi(q.URL.Query().Get("page"))
		page = max(page, 1)
		if end := page * 100; end < len(found) {
			w.Header().Set("Link", fmt.Sprintf(`<http://x/?page=%d>; rel="next"`, page+1))
		}
		_, _ = fmt.Fprintf(w, `{"total_count":%d,"workflow_runs":[%s]}`, len(found), strings.Join(found[min((page-1)*100, len(found)):min(page*100, len(found))], ","))
		return true
	}
	r := recorderOf(t, g, logsOnly)
	c, err := r.provider.connect()
	if err != nil {
		t.Fatal(err)
	}
	list := &records{place: &place{c, r.target, "acme", "r000"}, provider: r.provider, ctx: t.Context()}
	seen := map[int64]bool{}
	last := day.AddDate(1, 0, 0)
	var problems []string
	for x, err := range list.listRuns(day.AddDate(-1, 0, 0), day) {
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if seen[x.ID] || x.CreatedAt.After(last) {
			t.Fatalf("run %d of %s comes after one of %s", x.ID, x.CreatedAt, last)
		}
		seen[x.ID], last = true, x.CreatedAt
	}
	if len(seen) != 2500 || !slices.Equal(problems, []string{"more than a search finds were made at " + day.AddDate(0, 0, -30).Format(time.RFC3339)}) {
		t.Errorf("%d runs, problems %q", len(seen), problems)
	}
	if n := r.Count("/actions/runs"); n > 100 {
		t.Errorf("%d requests", n)
	}
}

// The second listing has what is new: runs, and attempts at old ones.
func TestNewRuns(t *testing.T) {
	old := forgetest.Run{ID: 70, Created: day.AddDate(0, 0, -3), Attempts: []forgetest.Attempt{attemptOf(1, "build", "SECRET\n")}}
	again := forgetest.Run{ID: 80, Created: day.AddDate(0, 0, -20), Attempts: []forgetest.Attempt{attemptOf(2, "build", "SECRET\n")}}
	r := recorderOf(t, withRuns(old, again), Options{Sources: audit.SourceLogs | audit.SourceArtifacts})
	first := r.read(t, "")
	if first.kept || len(first.found) != 2 || first.state == "" {
		t.Fatalf("%+v", first)
	}
	before := len(r.Requests())
	second := r.read(t, first.state)
	if want := []string{".github/workflows/ci.yml 2026-02-26T12:00:00Z push success"}; !slices.Equal(first.last, want) {
		t.Errorf("last runs: %q, want %q", first.last, want)
	}
	if !second.kept || len(second.items)+len(second.last) > 0 || second.state != first.state || len(r.Requests())-before != 2 {
		t.Errorf("nothing is new: %+v, %d requests", second, len(r.Requests())-before)
	}
	rerun := attemptOf(3, "build", "SECRET\n")
	rerun.Started = day.Add(time.Minute)
	fresh := forgetest.Run{ID: 90, Created: day.Add(2 * time.Minute), Path: "x", Attempts: []forgetest.Attempt{attemptOf(4, "build", "SECRET\n")},
		Artifacts: []forgetest.Artifact{{ID: 1, Name: "report", Files: map[string]string{"a": "x"}}}}
	fresh.Attempts[0].Started = fresh.Created
	again.Attempts = append(again.Attempts, rerun)
	r.Change(func() { r.Repos[0].Runs = append([]forgetest.Run{fresh}, old, again) })
	day := day.Add(time.Hour)
	r.Now = func() time.Time { return day }
	third := r.read(t, first.state)
	var at []string
	for _, f := range third.found {
		at = append(at, strings.Fields(f)[1])
	}
	if want := []string{"runs/90/1/0_build.txt:7", "runs/80/2/0_build.txt:7", "runs/80/1/0_build.txt:7", "runs/90/report!a"}; !third.kept || !slices.Equal(at, want) {
		t.Errorf("%q, want %q; gaps %q", at, want, third.gaps)
	}
	if want := []string{"x 2026-03-01T12:02:00Z push success"}; !slices.Equal(third.last, want) { // the old run that was tried again is not the last of its workflow
		t.Errorf("last runs: %q, want %q", third.last, want)
	}
	if third.state <= first.state {
		t.Errorf("state %q after %q", third.state, first.state)
	}
	if got := recorderOf(t, withRuns(old, again), Options{Sources: audit.SourceLogs, Since: day.AddDate(0, 0, -10).Format(time.DateOnly)}).read(t, first.state); got.kept || len(got.items) != 2 {
		t.Errorf("since a date: %+v", got)
	}
}

// Runs that go on are not read yet, and neither are those in which no job ran.
func TestRunsWithoutLogs(t *testing.T) {
	r := recorderOf(t, withRuns(
		forgetest.Run{ID: 90, Attempts: []forgetest.Attempt{attemptOf(1, "build", "SECRET\n")}},
		forgetest.Run{ID: 80, Conclusion: "action_required", Attempts: []forgetest.Attempt{attemptOf(2, "build")}},
	), logsOnly)
	r.Fault = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.HasSuffix(q.URL.Path, "/actions/runs") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", day.Format(http.TimeFormat))
		_, _ = fmt.Fprintf(w, `{"total_count":1,"workflow_runs":[null,{"id":90,"run_attempt":1,"status":"waiting","created_at":%[1]q,"updated_at":%[1]q}]}`, day.Add(-time.Hour).Format(time.RFC3339))
		return true
	}
	first := r.read(t, "")
	waiting := []string{"logs of 1 runs: they had not ended; the next scan reads them"}
	if len(first.items) > 0 || !slices.Equal(first.gaps, waiting) || first.state == "" {
		t.Errorf("%+v", first)
	}
	// One that waits for somebody's approval is not touched meanwhile, and is missing all the same.
	if got := r.read(t, first.state); !got.kept || len(got.items) > 0 || !slices.Equal(got.gaps, waiting) {
		t.Errorf("while it waits: %+v", got)
	}
	r.Fault = func(http.ResponseWriter, *http.Request) bool { return false }
	if got := r.read(t, ""); len(got.found) != 1 || len(got.gaps) > 0 {
		t.Errorf("%+v", got)
	}
	none := recorderOf(t, withRuns(), Options{Sources: audit.SourceLogs | audit.SourceArtifacts})
	none.Fault = func(w http.ResponseWriter, q *http.Request) bool {
		return strings.Contains(q.URL.Path, "/actions/") && forgetest.Fail(w, http.StatusForbidden, "Resource not accessible")
	}
	if got := none.read(t, ""); len(got.gaps) != 2 || got.state != "" {
		t.Errorf("without the right: %+v", got)
	}
}

// A log of any length is read in windows, and memory does not grow with it.
func TestAnEndlessLog(t *testing.T) {
	r := recorderOf(t, withRuns(forgetest.Run{ID: 90, Attempts: []forgetest.Attempt{attemptOf(1, "build", "x\n")}}), logsOnly)
	r.provider.env.Memory = 64 << 20
	const size = 64 << 20
	line := "2026-03-01T00:00:00.0000000Z " + strings.Repeat("x", 1000) + "\n"
	r.Blobs.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		z := zip.NewWriter(w)
		f, _ := z.Create("0_build.txt")
		for n := 0; n < size; n += len(line) {
			_, _ = io.WriteString(f, line)
		}
		_, _ = io.WriteString(f, "2026-03-01T00:00:00.0000000Z SECRET\n")
		_ = z.Close()
		return true
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	found := ""
	for it, err := range r.provider.Items(t.Context(), r.target) {
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
		if i := bytes.Index(it.Content, []byte("SECRET")); i >= 0 {
			l := it.At
			l.Line = 1 + bytes.Count(it.Content[:i], []byte("\n"))
			found = fmt.Sprint(it.Origin(l).Line)
		}
	}
	if want := fmt.Sprint(size/len(line) + 2); found != want {
		t.Errorf("on line %s, want %s", found, want)
	}
	if most > 24<<20 {
		t.Errorf("took %d MiB", most>>20)
	}
}
