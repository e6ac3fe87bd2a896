package gitea

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/joblog"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// What Gitea keeps of a run: the run; its jobs, each with the log of its last attempt; its artifacts. Each attempt of a job is a task. Tasks are numbered
// in the order in which they began, so that the first number that was not seen yet says what is new, reruns of old runs among it.

// A task is one attempt of a job. Its answer does not name the job but by name.
type task struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
	Run    int64  `json:"run_number"`
}

// over tells whether the attempt writes no more.
func (t *task) over() bool {
	return slices.Contains([]string{"success", "failure", "cancelled", "skipped"}, t.Status)
}

// run is what is needed of Gitea's description of one.
type run struct {
	ID         int64     `json:"id"`
	Number     int64     `json:"run_number"`
	InRepo     int64     `json:"index_in_repo"` // the same in Forgejo
	Workflow   string    `json:"path"`          // deploy.yml@refs/heads/main
	Event      string    `json:"event"`
	Commit     string    `json:"head_sha"`
	Conclusion string    `json:"conclusion"`
	Started    time.Time `json:"started_at"`
}

// entry is the run's line in the inventory.
func (l *runList) entry(r *run) *audit.Entry {
	workflow, _, _ := strings.Cut(r.Workflow, "@")
	return l.place.entry(audit.KindRun, strconv.FormatInt(r.Number, 10), map[string]string{
		"workflow": workflow, "event": r.Event, "created_at": stamp(r.Started), "head_sha": commitOf(r), "conclusion": r.Conclusion,
	})
}

type job struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Conclusion string    `json:"conclusion"`
	Runner     int64     `json:"runner_id"` // 0 until a runner takes it
	Completed  time.Time `json:"completed_at"`
	Steps      []*struct {
		Number    int       `json:"number"`
		Name      string    `json:"name"`
		Started   time.Time `json:"started_at"`
		Completed time.Time `json:"completed_at"`
	} `json:"steps"`
}

type artifact struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Size    int64     `json:"size_in_bytes"`
	Expired bool      `json:"expired"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at"`
}

// counted is the page of a listing that says in its body how much there is.
type counted[T any] struct {
	items []*T
	total int
}

// around makes the header of what the body says.
func (c counted[T]) around(h http.Header, number, before int) around {
	at := aroundOf(h)
	if c.total > 0 {
		at.total = c.total
		if n := len(c.items); n > 0 && before+n < c.total {
			at.next = number + 1
		}
	}
	return at
}

// runs yields what runs left behind: logs of jobs and artifacts.
func (h *place) runs(ctx context.Context, past string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if h.target.Attrs["actions"] == "false" {
			return
		}
		if !h.signed() {
			yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: "logs and artifacts of runs", Why: "needs a token: " + tokenVar + " is not set"})
			return
		}
		l := &runList{place: h, ctx: ctx, yield: yield, head: "1 " + (h.opts.Sources & forge.Runs).String()}
		if mark, ok := strings.CutPrefix(past, l.head+" "); ok {
			l.mark, _ = strconv.ParseInt(mark, 10, 64)
		}
		l.list(past)
	}
}

// A runList is a listing of what runs left behind.
type runList struct {
	*place
	ctx    context.Context
	yield  func(audit.Item, error) bool
	head   string // of the state
	mark   int64  // all tasks up to it were read in the past
	broken bool   // something went wrong that need not the next time
	ended  bool   // the consumer has had enough
}

func (l *runList) send(it audit.Item, err error) bool {
	l.ended = l.ended || !l.yield(it, err)
	return !l.ended
}

// fail sends a gap.
func (l *runList) fail(what string, err error) bool {
	if l.ctx.Err() != nil {
		l.send(audit.Item{}, l.ctx.Err())
		l.ended = true
		return false
	}
	l.broken = true
	return l.send(audit.Item{}, l.gap(l.ctx, what, "to read the repository's Actions", err))
}

func (l *runList) list(past string) {
	next, attempts, err := l.newTasks()
	switch {
	case err != nil:
		l.fail("runs", err)
		return
	case l.mark > 0 && len(attempts) == 0:
		l.send(audit.Item{Kind: audit.KindUnchanged, State: past}, nil)
		return
	case l.mark > 0 && !l.send(audit.Item{Kind: audit.KindKept}, nil):
		return
	}
	for r, err := range l.find(attempts) {
		if err != nil {
			l.fail("runs", err)
		} else {
			l.read(r, attempts[r.Number])
		}
		if l.ended {
			return
		}
	}
	if !l.broken && next > 0 {
		l.send(audit.Item{Kind: audit.KindState, State: l.head + " " + strconv.FormatInt(next, 10)}, nil)
	}
}

// newTasks lists those that are over and were not read: the names of the jobs by the number of the run. next is the mark that then holds.
func (l *runList) newTasks() (next int64, attempts map[int64][]string, err error) {
	attempts, next = map[int64][]string{}, l.mark
	oldest := int64(0) // of those that go on
	for t, err := range paged(l.ctx, func(t *task) string { return strconv.FormatInt(t.ID, 10) }, func(number, before int) ([]*task, around, error) {
		var list struct {
			Tasks []*task `json:"workflow_runs"`
			Total int     `json:"total_count"`
		}
		header, err := l.get(l.ctx, l.path+"/actions/tasks", pageQuery(number), &list)
		c := counted[task]{present(list.Tasks), list.Total}
		return c.items, c.around(header, number, before), err
	}) {
		switch {
		case err != nil:
			return 0, nil, err
		case t.ID <= l.mark:
			return l.before(oldest, next), attempts, nil
		case !t.over():
			oldest = t.ID
		default:
			attempts[t.Run] = append(attempts[t.Run], t.Name)
			next = max(next, t.ID)
		}
	}
	return l.before(oldest, next), attempts, nil
}

// before is the mark that stands before an attempt that goes on, so that it is read once it is over.
func (l *runList) before(oldest, next int64) int64 {
	if oldest > 0 {
		return min(oldest-1, next)
	}
	return next
}

// find yields the runs with these numbers, newest first, and an error if there are not all. The list goes on until all are found: a rerun may be
// of an old one.
func (l *runList) find(numbers map[int64][]string) iter.Seq2[*run, error] {
	return func(yield func(*run, error) bool) {
		left, whole := len(numbers), true
		if left == 0 {
			return
		}
		for r, err := range paged(l.ctx, func(r *run) string { return strconv.FormatInt(r.ID, 10) }, func(number, before int) ([]*run, around, error) {
			var list struct {
				Runs  []*run `json:"workflow_runs"`
				Total int    `json:"total_count"`
			}
			header, err := l.get(l.ctx, l.path+"/actions/runs", pageQuery(number), &list)
			c := counted[run]{present(list.Runs), list.Total}
			return c.items, c.around(header, number, before), err
		}) {
			if err == nil {
				r.Number = max(r.Number, r.InRepo)
				if numbers[r.Number] == nil {
					continue
				}
				left--
			}
			whole = whole && err == nil
			if !yield(r, err) || left == 0 {
				return
			}
		}
		if !whole {
			return // which was said
		}
		yield(nil, fmt.Errorf("%d of %d are not listed", left, len(numbers)))
	}
}

// read sends the logs and artifacts of a run, and says which logs cannot be had. attempts are the names of jobs, one for each attempt that is new.
func (l *runList) read(r *run, attempts []string) {
	path := l.path + "/actions/runs/" + strconv.FormatInt(r.ID, 10)
	for j, err := range paged(l.ctx, func(j *job) string { return strconv.FormatInt(j.ID, 10) }, func(number, before int) ([]*job, around, error) {
		var list struct {
			Jobs  []*job `json:"jobs"`
			Total int    `json:"total_count"`
		}
		header, err := l.get(l.ctx, path+"/jobs", pageQuery(number), &list)
		c := counted[job]{present(list.Jobs), list.Total}
		return c.items, c.around(header, number, before), err
	}) {
		if forge.StatusOf(err) == http.StatusNotFound { // of a run that is listed: the server has no list of jobs
			l.fail("logs and artifacts of runs", err)
			l.ended = true
			return
		}
		if err != nil {
			if !l.fail(fmt.Sprintf("jobs of run %d", r.Number), err) {
				return
			}
			continue
		}
		if i := slices.Index(attempts, j.Name); i >= 0 {
			attempts = slices.Delete(attempts, i, i+1)
		}
		if l.opts.Sources.Has(audit.SourceLogs) && j.Runner != 0 && j.Status == "completed" && !l.log(r, j) {
			return
		}
	}
	if n := len(attempts); n > 0 && l.opts.Sources.Has(audit.SourceLogs) && !l.send(audit.Item{}, &audit.Gap{
		Target: l.target.Name, What: fmt.Sprintf("logs of %d earlier attempts in run %d", n, r.Number), Why: "the API has only that of a job's last attempt",
	}) {
		return
	}
	if l.opts.Sources.Has(audit.SourceArtifacts) {
		l.artifacts(r, path)
	}
}

// log sends what a job printed. It is read at once: whether it is still there decides the state of the listing.
func (l *runList) log(r *run, j *job) bool {
	name := fmt.Sprintf("run %d, %s", r.Number, j.Name)
	in, err := l.download(l.ctx, l.apiPage(l.path+"/actions/jobs/"+strconv.FormatInt(j.ID, 10)+"/logs"), mostLog)
	if forge.StatusOf(err) == http.StatusNotFound { // the job is there
		return l.send(audit.Item{}, &audit.Gap{Target: l.target.Name, What: "log of " + name, Why: "404 Not Found: deleted, or older than the server keeps logs"})
	}
	if err != nil {
		return l.fail("log of "+name, err)
	}
	defer func() { _ = in.Close() }()
	where := audit.Location{
		Target: l.target.Name, Kind: audit.InLog, Path: fmt.Sprintf("runs/%d/jobs/%d", r.Number, j.ID), Name: name, Commit: commitOf(r),
		URL: l.runPage(r) + "/jobs/" + strconv.FormatInt(j.ID, 10), At: j.Completed,
	}
	whole := j.whole()
	for text, err := range joblog.Texts(in, int(l.env.Memory.Share(64, window))) {
		if err != nil {
			return l.fail("log of "+name, err)
		}
		origin := func(at audit.Location) audit.Location {
			p := whole.Place(text, at.Line)
			at.EndLine += p.Line - at.Line
			at.Line, at.Name = p.Line, fmt.Sprintf("run %d, %s", r.Number, whole.Where(p))
			if !p.At.IsZero() {
				at.At = p.At
			}
			if p.Step.Number > 0 {
				at.URL += fmt.Sprintf("#jobstep-%d-%d", p.Step.Number, p.Line)
			}
			return at
		}
		if !l.send(audit.Item{Kind: audit.KindLog, Content: text.Content, Size: int64(len(text.Content)), At: where, Origin: origin, Entry: l.entry(r)}, nil) {
			return false
		}
	}
	return true
}

// whole is the job as package joblog knows it. Gitea counts steps from 0 there, and from 1 on its pages, after the one that sets up the job. It
// does not say which steps were skipped. Those that follow a failed one take no time, and must not be taken for what printed its last lines.
func (j *job) whole() joblog.Job {
	whole := joblog.Job{Name: j.Name}
	for _, s := range j.Steps {
		if s == nil || s.Started.Unix() <= 0 || j.Conclusion != "success" && !s.Completed.After(s.Started) {
			continue
		}
		whole.Steps = append(whole.Steps, joblog.Step{Number: s.Number + 1, Name: s.Name, Started: s.Started})
	}
	return whole
}

// artifacts sends what a run left that has not expired.
func (l *runList) artifacts(r *run, path string) {
	for a, err := range paged(l.ctx, func(a *artifact) string { return strconv.FormatInt(a.ID, 10) }, func(number, before int) ([]*artifact, around, error) {
		var list struct {
			Artifacts []*artifact `json:"artifacts"`
			Total     int         `json:"total_count"`
		}
		header, err := l.get(l.ctx, path+"/artifacts", pageQuery(number), &list)
		c := counted[artifact]{present(list.Artifacts), list.Total}
		return c.items, c.around(header, number, before), err
	}) {
		name := fmt.Sprintf("run %d", r.Number)
		switch {
		case err != nil:
			if !l.fail("artifacts of "+name, err) {
				return
			}
		case !a.Expired:
			address := l.apiPage(l.path + "/actions/artifacts/" + strconv.FormatInt(a.ID, 10) + "/zip")
			if !l.send(audit.Item{
				Kind: audit.KindArtifact, Size: max(a.Size, 0), Open: l.opener(address),
				At: audit.Location{Target: l.target.Name, Kind: audit.InArtifact, Path: fmt.Sprintf("runs/%d/artifacts/%s.zip", r.Number, a.Name), Name: name, Commit: commitOf(r), URL: l.runPage(r), At: a.Created},
				Entry: l.place.entry(audit.KindArtifact, a.Name, map[string]string{
					"run": strconv.FormatInt(r.Number, 10), "size": strconv.FormatInt(max(a.Size, 0), 10), "created_at": stamp(a.Created), "expires_at": stamp(a.Expires),
				}),
			}, nil) {
				return
			}
		}
	}
}

// commitOf is the commit that a run was of, if it is one.
func commitOf(r *run) string {
	if objectName().MatchString(r.Commit) {
		return r.Commit
	}
	return ""
}

// runPage is where people see a run.
func (l *runList) runPage(r *run) string {
	return l.target.URL + "/actions/runs/" + strconv.FormatInt(r.ID, 10)
}

const (
	// mostLog bounds the log of one job. It is scanned in windows; what would take longer to read than a run to come is a flood.
	mostLog = 1 << 30
	// window is as much of a log as is scanned at once: nearly all logs are one.
	window = 4 << 20
	// mostContent bounds what is read of one artifact: the engine takes none that is larger.
	mostContent = 100 << 20
)

// download reads a file of the server's as it comes.
func (c *client) download(ctx context.Context, address string, most int64) (io.ReadCloser, error) {
	return forge.Download(ctx, c.env, c.http, address, nil, most)
}

// opener reads a file when it is wanted.
func (h *place) opener(address string) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		in, err := h.download(ctx, address, mostContent)
		if err != nil {
			return nil, errors.New(forge.Gap("", "", err).Why)
		}
		return in, nil
	}
}
