package github

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/joblog"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/unzip"
)

// A run is what "List workflow runs for a repository" tells of one.
type run struct {
	ID         int64     `json:"id"`
	Number     int64     `json:"run_number"`
	Attempt    int       `json:"run_attempt"` // the last one
	Name       string    `json:"name"`
	Path       string    `json:"path"`
	Event      string    `json:"event"`
	Status     string    `json:"status"`
	Conclusion string    `json:"conclusion"`
	HeadSHA    string    `json:"head_sha"`
	CreatedAt  time.Time `json:"created_at"` // of the first attempt
	UpdatedAt  time.Time `json:"updated_at"`
}

// printed tells whether there was a job that could print something.
func (x *run) printed() bool {
	return !slices.Contains([]string{"action_required", "skipped", "stale", "startup_failure"}, x.Conclusion)
}

const (
	// mostAttempts is how many logs are asked for unless --since says how far to go back. Each costs a request: two thirds of what a token has left to
	// spend in an hour.
	mostAttempts = 2000
	// mostReruns is more than GitHub allows.
	mostReruns = 100
	// manyExpired in a row, from the newest run on, say that those before them have expired, too: logs are kept for so many days.
	manyExpired = 20
	// mostResults is what a search for runs finds at most, whatever it counts.
	mostResults = 1000

	keptFor    = 400 * 24 * time.Hour // the longest that GitHub keeps logs
	rerunUntil = 65 * 24 * time.Hour  // after a run was made, it may be run again for 30 days, and a run lasts 35 at most
)

func (r *records) runs() {
	if r.sources.Has(audit.SourceLogs) {
		r.logs()
	}
	if r.sources.Has(audit.SourceArtifacts) && !r.ended {
		r.artifacts()
	}
}

// logs sends those of every attempt of every run that is new, the newest first.
func (r *records) logs() {
	l := &logs{records: r}
	from := r.from
	if !r.past.IsZero() {
		if again := r.past.Add(-rerunUntil); again.After(from) {
			from = again
		}
	}
	last := map[string]*run{} // of each workflow
	now := r.provider.env.Now()
	if oldest := now.Add(-keptFor - rerunUntil); oldest.After(from) {
		from = oldest
	}
	for x, err := range r.listRuns(from, now.Add(24*time.Hour)) { // whatever our clock says
		if err == nil && x.Status == "completed" && x.printed() && x.Path != "" && last[x.Path] == nil && len(last) < mostDefinitions {
			last[x.Path] = x
		}
		switch {
		case err != nil:
			if !r.fail("runs", err, time.Time{}) {
				return
			}
		case x.Status != "completed": // a run may wait for weeks without being touched, and all that while it is not read
			l.unfinished++
		case !r.past.IsZero() && x.UpdatedAt.Before(r.past):
		case x.printed() && !l.run(x):
			return
		}
		if l.full {
			break
		}
	}
	for _, workflow := range slices.Sorted(maps.Keys(last)) {
		x := last[workflow]
		if !r.past.IsZero() && x.UpdatedAt.Before(r.past) {
			continue // that was told then
		}
		if !r.send(audit.Item{Kind: audit.KindLastRun, Entry: r.entry(audit.KindLastRun, workflow, "repository", map[string]string{
			"at": stamp(&x.CreatedAt), "event": x.Event, "conclusion": x.Conclusion,
		})}, nil) {
			return
		}
	}
	if l.unfinished > 0 {
		r.send(audit.Item{}, &audit.Gap{
			Target: r.target.Name, What: fmt.Sprintf("logs of %d runs", l.unfinished), Why: "they had not ended; the next scan reads them", Again: true,
		})
	}
}

// listRuns yields the runs that were made between two times, the newest first. A window with more than a search finds is halved.
func (r *records) listRuns(from, to time.Time) iter.Seq2[*run, error] {
	from, to = from.UTC().Truncate(time.Second), to.UTC().Truncate(time.Second)
	errCrowded, crowded := errors.New("crowded"), false
	span := from.Format(time.RFC3339) + ".." + to.Format(time.RFC3339)
	all := paged(r.ctx, otherPage, func(x *run) string { return strconv.FormatInt(x.ID, 10) }, func(o github.ListOptions) ([]*run, int, *github.Response, error) {
		var out struct {
			TotalCount int    `json:"total_count"`
			Runs       []*run `json:"workflow_runs"`
		}
		q := pageQuery(o)
		q.Set("created", span)
		resp, err := r.get(r.ctx, r.path()+"/actions/runs", q, &out)
		if err == nil {
			r.asked(resp.Response)
			if crowded = crowded || out.TotalCount >= mostResults; crowded && o.Page <= 1 && to.After(from) {
				err = errCrowded
			}
		}
		return out.Runs, out.TotalCount, resp, err
	})
	return func(yield func(*run, error) bool) {
		for x, err := range all {
			if !errors.Is(err, errCrowded) {
				if !yield(x, err) {
					return
				}
				continue
			}
			middle := from.Add(to.Sub(from) / 2).Truncate(time.Second)
			goOn := true
			for _, half := range []iter.Seq2[*run, error]{r.listRuns(middle.Add(time.Second), to), r.listRuns(from, middle)} {
				half(func(x *run, err error) bool { goOn = goOn && yield(x, err); return goOn })
			}
			return
		}
		if crowded {
			yield(nil, fmt.Errorf("more than a search finds were made at %s", from.Format(time.RFC3339)))
		}
	}
}

// logs are those of a repository being read.
type logs struct {
	*records
	attempts   int // that were asked for
	expired    int // in a row
	unfinished int
	full       bool // no more are asked for
}

// run sends the logs of a run's attempts, and tells whether to go on.
func (l *logs) run(x *run) bool {
	first := max(1, x.Attempt-mostReruns+1)
	if first > 1 && !l.gap(fmt.Sprintf("run logs of %d", x.ID), fmt.Sprintf("it says that it has %d attempts; those before the last %d are left out", x.Attempt, mostReruns)) {
		return false
	}
	for n := max(x.Attempt, 1); n >= first; n-- {
		if l.attempts++; l.attempts > mostAttempts && l.from.IsZero() {
			l.full = true
			return l.gap(fmt.Sprintf("logs of runs before %s", x.CreatedAt.UTC().Format(time.DateOnly)), fmt.Sprintf("those of %d attempts were read; --since DATE reads all since then", mostAttempts))
		}
		if !l.attempt(&attempt{logs: l, run: x, n: n, whole: map[string]bool{}}) {
			return false
		}
		if l.full {
			return true
		}
	}
	return true
}

// attempt sends the logs of one attempt, and tells whether to go on.
func (l *logs) attempt(a *attempt) bool {
	what := fmt.Sprintf("run logs of %d", a.run.ID)
	if a.run.Attempt > 1 {
		what += fmt.Sprintf(" (attempt %d)", a.n)
	}
	a.list = sync.OnceValues(a.jobs)
	err := a.archive()
	switch status := refusal(err); {
	case l.ended || err == nil:
		l.expired = 0
	case l.ctx.Err() != nil:
		l.send(audit.Item{}, err)
	case status == http.StatusNotFound || status == http.StatusGone:
		if status == http.StatusGone {
			l.expired++
		}
		if !l.fail(what, expired(err), a.run.UpdatedAt) {
			return false
		}
		if l.expired == manyExpired {
			l.full = true
			return l.gap(fmt.Sprintf("logs of runs before %s", a.run.CreatedAt.UTC().Format(time.DateOnly)), fmt.Sprintf("not asked for: those of the last %d attempts had expired", manyExpired))
		}
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		l.full = true // nor does it read others
		l.fail("run logs", err, a.run.UpdatedAt)
	default:
		a.oneByOne(what, err)
	}
	return !l.ended
}

// expired says what it means that logs or artifacts are gone.
func expired(err error) error {
	e := (*forge.Error)(nil)
	if errors.As(err, &e) && e.Status == http.StatusGone {
		said := *e
		said.Message = "expired"
		return &said
	}
	return err
}

// An attempt is one try of a run.
type attempt struct {
	*logs
	run   *run
	n     int
	whole map[string]bool // jobs whose log was read, by the names that files have
	list  func() ([]*job, error)
}

// job is what GitHub tells of one.
type job struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Conclusion string    `json:"conclusion"`
	StartedAt  time.Time `json:"started_at"`
	Steps      []struct {
		Number     int        `json:"number"`
		Name       string     `json:"name"`
		Conclusion string     `json:"conclusion"`
		StartedAt  *time.Time `json:"started_at"`
	} `json:"steps"`
}

func (a *attempt) at(path ...string) string {
	return strings.Join(append([]string{a.path(), "actions/runs", strconv.FormatInt(a.run.ID, 10), "attempts", strconv.Itoa(a.n)}, path...), "/")
}

// jobs asks for the attempt's jobs. Of most attempts nobody needs to know.
func (a *attempt) jobs() (all []*job, err error) {
	for j, e := range paged(a.ctx, otherPage, func(j *job) string { return strconv.FormatInt(j.ID, 10) }, func(o github.ListOptions) ([]*job, int, *github.Response, error) {
		var out struct {
			TotalCount int    `json:"total_count"`
			Jobs       []*job `json:"jobs"`
		}
		resp, err := a.get(a.ctx, a.at("jobs"), pageQuery(o), &out)
		return out.Jobs, out.TotalCount, resp, err
	}) {
		if e != nil {
			err = e
		} else {
			all = append(all, j)
		}
	}
	return all, err
}

// Limits of the archive of an attempt's logs: a matrix makes 256 jobs at most, and jobs have a thousand steps at most; that much text nobody prints.
var logLimits = unzip.Limits{Members: 300_000, Bytes: 16 << 30}

// archive sends the logs in the attempt's archive. In it are those of jobs, and of steps, which are the same again; or one of the two.
func (a *attempt) archive() error {
	body, err := a.download(a.ctx, a.at("logs"), "application/vnd.github+json", mostDownload)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read
	for m, err := range unzip.Members(body, logLimits) {
		if one := (*unzip.MemberError)(nil); errors.As(err, &one) {
			if !a.gap(fmt.Sprintf("run logs of %d: %s", a.run.ID, one.Name), one.Why) {
				return nil
			}
			continue
		}
		if err != nil {
			return err
		}
		name, step, ok := joblog.Entry(m.Name)
		ofStep := strings.Contains(m.Name, "/")
		if !ok || ofStep && step.Number > 0 && a.whole[name] {
			continue
		}
		for text, err := range joblog.Texts(m, a.window()) {
			if err != nil {
				return err
			}
			if !a.send(a.item(text, m.Name, name, step, nil), nil) {
				return nil
			}
		}
		a.whole[name] = a.whole[name] || !ofStep
	}
	return nil
}

// window is how much of a log is scanned at once: few print more, and there are as many at work as scans.
func (r *records) window() int { return int(r.provider.env.Memory.Share(64, 16<<20)) }

// oneByOne sends the logs of jobs where the archive cannot be had, or broke. why says what is wrong with it.
func (a *attempt) oneByOne(what string, why error) {
	jobs, err := a.list()
	if err != nil {
		a.fail(what, why, a.run.UpdatedAt)
		return
	}
	for _, j := range jobs {
		if j.Conclusion == "skipped" || a.whole[fileName(j.Name)] {
			continue
		}
		err := a.oneLog(j)
		if err != nil && !a.fail(fmt.Sprintf("%s: job %s", what, j.Name), expired(err), a.run.UpdatedAt) || a.ended {
			return
		}
	}
}

func (a *attempt) oneLog(j *job) error {
	body, err := a.download(a.ctx, a.path()+"/actions/jobs/"+strconv.FormatInt(j.ID, 10)+"/logs", "application/vnd.github+json", mostDownload)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read
	for text, err := range joblog.Texts(body, a.window()) {
		if err != nil {
			return err
		}
		if !a.send(a.item(text, fileName(j.Name)+".txt", j.Name, joblog.Step{}, j), nil) {
			return nil
		}
	}
	return nil
}

// fileName is what GitHub makes of a job's name for its file, as far as it matters to know it again.
func fileName(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '/' || c == ':' {
			return -1
		}
		return c
	}, name)
}

// item is a log, or a window of one: of a job, or of one of its steps.
func (a *attempt) item(text *joblog.Text, file, name string, step joblog.Step, known *job) audit.Item {
	x := a.run
	at := joblog.Job{Name: name, Attempt: a.n}
	page := a.page(a.owner, a.repo, "actions/runs", strconv.FormatInt(x.ID, 10), "attempts", strconv.Itoa(a.n))
	it := audit.Item{
		Kind: audit.KindLog, Size: int64(len(text.Content)), Content: text.Content,
		At: audit.Location{
			Target: a.target.Name, Kind: audit.InLog, Path: path.Join("runs", strconv.FormatInt(x.ID, 10), strconv.Itoa(a.n), plainName(file)),
			Name: at.Where(joblog.Place{Step: step}), URL: page, At: x.CreatedAt,
		},
		Entry: a.runEntry(x),
	}
	it.Origin = func(l audit.Location) audit.Location { return a.origin(l, it.At.Path, text, at, step, known) }
	return it
}

// origin leads from a line of a text to the step that printed it. That takes the attempt's jobs, which are asked for when something was found.
func (a *attempt) origin(l audit.Location, file string, text *joblog.Text, at joblog.Job, step joblog.Step, known *job) audit.Location {
	if known == nil {
		known = a.named(at.Name)
	}
	if known != nil {
		at.Name = known.Name
		l.URL = a.page(a.owner, a.repo, "actions/runs", strconv.FormatInt(a.run.ID, 10), "job", strconv.FormatInt(known.ID, 10))
		if step == (joblog.Step{}) {
			at.Steps = known.steps()
		}
	}
	line := l.Line
	if l.Path != file { // a container's member has lines of its own
		line = 1
	}
	place := at.Place(text, max(line, 1))
	if step != (joblog.Step{}) {
		place.Step = step
	}
	l.Name = at.Where(place)
	if !place.At.IsZero() {
		l.At = place.At
	}
	if l.Path == file && l.Line > 0 {
		l.EndLine += place.Line - l.Line
		l.Line = place.Line
		if known != nil && place.Step.Number > 0 {
			l.URL += fmt.Sprintf("#step:%d:%d", place.Step.Number, l.Line)
		}
	}
	return l
}

// named is the job of the attempt whose file has this name; nil if that is not known. Names of files are cut, and lack what files' names may not have.
func (a *attempt) named(name string) (found *job) {
	jobs, err := a.list()
	if err != nil {
		return nil
	}
	plain := func(s string) string {
		return strings.Map(func(c rune) rune {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				return c
			}
			return -1
		}, s)
	}
	name = plain(name)
	for _, j := range jobs {
		switch n := plain(j.Name); {
		case n == name:
			return j
		case strings.HasPrefix(n, name) && found == nil:
			found = j
		}
	}
	return found
}

// steps are those that ran.
func (j *job) steps() (all []joblog.Step) {
	for _, s := range j.Steps {
		step := joblog.Step{Number: s.Number, Name: s.Name}
		if s.StartedAt != nil && s.Conclusion != "skipped" {
			step.Started = *s.StartedAt
		}
		all = append(all, step)
	}
	return all
}

func (r *records) runEntry(x *run) *audit.Entry {
	workflow := x.Path
	if workflow == "" {
		workflow = x.Name
	}
	return r.entry(audit.KindRun, strconv.FormatInt(x.ID, 10), "repository", map[string]string{
		"number": strconv.FormatInt(x.Number, 10), "workflow": workflow, "event": x.Event, "attempts": strconv.Itoa(x.Attempt), "created_at": stamp(&x.CreatedAt),
		"head_sha": x.HeadSHA, "conclusion": x.Conclusion,
	})
}

// plainName is a name out of an archive as part of a path.
func plainName(name string) string {
	return strings.ToValidUTF8(strings.TrimPrefix(path.Clean("/"+name), "/"), "\ufffd")
}
