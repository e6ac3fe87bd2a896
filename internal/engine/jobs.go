package engine

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// A run is jobs in the store's queue: one lists the targets of each ref, one scans each target, one settles what goes over all targets
// when they are scanned, and one asks about each secret. What a job found, that it is done, and the jobs that follow from it are one
// transaction, so that a process may end at any moment. The run is done with its last job.
type (
	listJob struct {
		Run string `json:"run" river:"unique"`
		Ref int    `json:"ref" river:"unique"` // index into the run's refs
	}
	scanJob struct {
		Run    string     `json:"run" river:"unique"`
		Target string     `json:"target" river:"unique"`
		Part   audit.Part `json:"part,omitempty" river:"unique"`
	}
	settleJob struct {
		Run string `json:"run" river:"unique"`
	}
	verifyJob struct {
		Run      string `json:"run" river:"unique"`
		Identity string `json:"identity" river:"unique"`
	}
)

func (listJob) Kind() string   { return "list" }
func (scanJob) Kind() string   { return "scan" }
func (settleJob) Kind() string { return "settle" }
func (verifyJob) Kind() string { return "verify" }

// settingsAtOnce is how many targets' settings are asked for at once: a forge answers one request in a tenth of a second, and allows some hundred
// at a time for all processes.
const settingsAtOnce = 8

// recordsAtOnce is how many targets' logs, artifacts and texts are read at once. They take most of the requests, which settings come before.
const recordsAtOnce = 2

func (j listJob) InsertOpts() river.InsertOpts { return options(store.Lists.Of(j.Run)) }
func (j scanJob) InsertOpts() river.InsertOpts {
	switch j.Part {
	case audit.PartSettings:
		return options(store.Settings.Of(j.Run))
	case audit.PartRuns, audit.PartTexts:
		return options(store.Records.Of(j.Run))
	}
	return options(store.Scans.Of(j.Run))
}
func (j settleJob) InsertOpts() river.InsertOpts { return options(store.Lists.Of(j.Run)) }
func (j verifyJob) InsertOpts() river.InsertOpts { return options(store.Verifications.Of(j.Run)) }

// options are those of a job that a run has once, and that is tried until it is done: what fails it is the store, or the end of its process.
func options(queue string) river.InsertOpts {
	return river.InsertOpts{Queue: queue, MaxAttempts: 30_000, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// Priorities in the queue of scans, of the four that River has.
const (
	usual = 3
	late  = 4 // what is large, or has not been touched for long
)

// What makes a target late. Most repositories of an organisation are smaller, and what was not pushed to for a quarter of a year is seldom
// where a key of today lies.
const (
	large = 64 << 20 // bytes
	stale = 90 * 24 * time.Hour
)

// insert is the job of scanning a target.
func (r *run) insert(t audit.Target) river.InsertManyParams {
	priority := usual
	if t.Size > large || !t.Pushed.IsZero() && r.Now().Sub(t.Pushed) > stale {
		priority = late
	}
	return river.InsertManyParams{Args: scanJob{r.id, t.Name, t.Part}, InsertOpts: &river.InsertOpts{Priority: priority}}
}

// workOff works on the run until it is done or ctx ends.
func (r *run) workOff(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var scans sync.WaitGroup
	for range r.jobs(scanMemory) {
		scans.Go(func() {
			for do := range r.work {
				do()
			}
		})
	}
	defer func() {
		close(r.work)
		done(working, ended(&scans))
	}()
	client, err := r.client()
	if err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	if err := r.beat(ctx); err != nil {
		return err
	}
	err = r.add(ctx, client, 0, func(*sql.Tx) (jobs []river.InsertManyParams, err error) { // a run that is resumed or joined may have ended before it had any
		for i := range r.refs {
			jobs = append(jobs, river.InsertManyParams{Args: listJob{r.id, i}})
		}
		return jobs, nil
	})
	if err != nil {
		return err
	}
	err = client.Start(working)
	close(r.started)
	if err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	err = r.await(ctx)
	stop() // what is still being done, another process has done or the store cannot take
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if serr := client.Stop(stopping); serr != nil { // the run is as it is in the store
		r.Log.Debug("some jobs did not end", "error", serr)
	}
	return err
}

// drain is how long a run that ends waits for what its jobs have begun.
const drain = 5 * time.Second

// beat says that this process is alive, takes over from those that are not, and gives back what it was given without knowing.
func (r *run) beat(ctx context.Context) error {
	late, err := r.Store.Alive(ctx, r.worker)
	if err != nil {
		return err
	}
	if !late { // else the others, too, have yet to say that they are alive
		n, err := r.Store.Free(ctx, r.worker)
		if err != nil {
			return err
		}
		if n > 0 {
			r.Log.Info("took over from processes that ended", "jobs", n)
		}
	}
	held, err := r.Store.Held(ctx, r.worker)
	if err != nil {
		return err
	}
	strange := map[int64]bool{}
	for _, id := range held {
		switch {
		case r.working(id):
		case r.strange[id]: // at the last beat, too, so that it is not one on its way
			r.Log.Debug("gave back a job", "id", id)
			if err := r.Store.Return(ctx, r.worker, id); err != nil {
				return err
			}
		default:
			strange[id] = true
		}
	}
	r.strange = strange
	return nil
}

// patience is how long a run waits for a store that is away. Then it ends, to be resumed.
const patience = 15 * time.Minute

// await waits until the run is done.
func (r *run) await(ctx context.Context) error {
	beat := time.NewTicker(store.Beat)
	defer beat.Stop()
	var away time.Time // since when the store is
	for {
		done, err := r.Store.Finished(ctx, r.id)
		switch {
		case done || ctx.Err() != nil:
			return nil
		case err == nil && !away.IsZero():
			r.Log.Info("the store is back")
			away = time.Time{}
		case err != nil && away.IsZero():
			away = time.Now()
		}
		if why, passes := store.Away(err); err != nil && (!passes || time.Since(away) > patience) {
			return audit.Hint(fmt.Errorf("asking the store whether the run is done: %w", err), cmp.Or(why, "it failed")+"; once it works again, the same command goes on where this one ended")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.finished:
		case <-beat.C:
			if err := r.beat(ctx); err != nil && away.IsZero() && ctx.Err() == nil {
				r.Log.Warn("the store does not answer", "error", err)
			}
		case <-time.After(time.Second): // another process may have finished it
		}
	}
}

// patiently does something in the store, and while that is away waits for it and does it again.
func (r *run) patiently(ctx context.Context, do func() error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, store.Beat) {
		err := do()
		why, away := store.Away(err)
		if !away || ctx.Err() != nil {
			return err
		}
		r.Log.Warn("waiting for the store: "+why, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// maxTries is how often a job is tried that fails for a reason that does not pass: the last time is some minutes after the first.
const maxTries = 5

// steady makes a worker of what does a job. While the store is away the job waits, and then is begun anew. One that fails again and again is
// left, which says so in the report: a run shall end.
//
// It also waits for queues that start after its own: River looks at one of them without a lock when it is told of new jobs.
func steady[T river.JobArgs](r *run, do func(context.Context, *river.Job[T]) error, leave func(context.Context, *river.Job[T], error) error) river.Worker[T] {
	return river.WorkFunc(func(ctx context.Context, job *river.Job[T]) error {
		<-r.started
		defer r.hold(job.ID)()
		err := r.patiently(ctx, func() error { return do(ctx, job) })
		var snooze *river.JobSnoozeError
		if err == nil || ctx.Err() != nil || errors.As(err, &snooze) || store.IsDone(err) {
			return err
		}
		r.Log.Error("a job failed", "kind", job.Kind, "attempt", job.Attempt, "error", err)
		if leave == nil || job.Attempt < maxTries {
			return err
		}
		return leave(ctx, job, err)
	})
}

func (r *run) leaveList(ctx context.Context, job *river.Job[listJob], why error) error {
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		return nil, r.ended(ctx, tx, job.Args.Ref, why)
	})
}

func (r *run) leaveTarget(ctx context.Context, job *river.Job[scanJob], why error) error {
	t, _, err := r.Store.Target(ctx, r.id, job.Args.Target, job.Args.Part)
	if err != nil {
		return err
	}
	result := store.Result{Part: t.Part, Failure: failed(why)}
	result.Coverage = audit.Coverage{Target: t.Name, Kind: t.Kind, Status: audit.Failed, Reason: why.Error(), URL: t.URL}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		return nil, r.Store.Settle(ctx, tx, r.id, result)
	})
}

func (r *run) leaveQuestion(ctx context.Context, job *river.Job[verifyJob], why error) error {
	v := store.Verdict{Verdict: audit.Verdict{Validity: audit.Unknown, How: r.Verify, Error: why.Error(), CheckedAt: r.Now().UTC()}}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		return nil, r.Store.SetVerdict(ctx, tx, r.id, job.Args.Identity, v)
	})
}

// hold notes that this process works on a job until release is called.
func (r *run) hold(job int64) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[job] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.held, job)
	}
}

func (r *run) working(job int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[job]
}

// client makes the one that works on the run.
func (r *run) client() (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, steady(r, r.list, r.leaveList))
	river.AddWorker(workers, steady(r, r.scanTarget, r.leaveTarget))
	river.AddWorker(workers, steady(r, r.settle, nil))
	river.AddWorker(workers, steady(r, r.ask, r.leaveQuestion))
	queue := func(n int) river.QueueConfig {
		return river.QueueConfig{MaxWorkers: n}
	}
	return river.NewClient(r.Store.Driver(), &river.Config{
		ID: r.worker, Logger: r.Log, Workers: workers,
		FetchCooldown: time.Millisecond,                               // within one, a second job is not told of, and waits for the next poll
		JobTimeout:    -1, RescueStuckJobsAfter: 365 * 24 * time.Hour, // a scan takes as long as its target is large; see beat for those that died
		Queues: map[string]river.QueueConfig{
			store.Lists.Of(r.id): queue(len(r.refs)), store.Settings.Of(r.id): queue(settingsAtOnce), store.Records.Of(r.id): queue(recordsAtOnce), store.Scans.Of(r.id): queue(r.jobs(targetMemory)), store.Verifications.Of(r.id): queue(verifyAtOnce),
		},
	})
}

// add does something in a transaction that ends so many jobs, and adds the jobs that it returns. With the last job on targets comes the one
// that settles; with the last of all the run is done.
func (r *run) add(ctx context.Context, client *river.Client[*sql.Tx], ends int, do func(*sql.Tx) ([]river.InsertManyParams, error)) error {
	var jobs []river.InsertManyParams
	finished := false
	err := r.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if jobs, err = do(tx); err != nil {
			return err
		}
		left, err := r.follow(ctx, client, tx, jobs, ends)
		if err != nil || left > 0 {
			return err
		}
		first, err := r.Store.Settling(ctx, tx, r.id)
		if err != nil {
			return err
		}
		if first {
			jobs = []river.InsertManyParams{{Args: settleJob{r.id}}}
			_, err = r.follow(ctx, client, tx, jobs, 0)
			return err
		}
		finished = true
		return r.Store.Finish(ctx, tx, r.id, r.Now())
	})
	if err != nil {
		return err
	}
	if finished {
		r.done()
	}
	if len(jobs) == 0 || r.Store.Tells() {
		return nil
	}
	// The queue is told by one of them that is added once more, outside a transaction, and left out because it is there already.
	if _, err := client.Insert(ctx, jobs[0].Args, nil); err != nil {
		return fmt.Errorf("telling the queue of new jobs: %w", err)
	}
	return nil
}

// follow adds jobs to the run, but for those that it has already, and takes off those that end. It returns how many are left.
func (r *run) follow(ctx context.Context, client *river.Client[*sql.Tx], tx *sql.Tx, jobs []river.InsertManyParams, ends int) (left int, err error) {
	n := -ends
	if len(jobs) > 0 {
		added, err := client.InsertManyTx(ctx, tx, jobs)
		if err != nil {
			return 0, fmt.Errorf("adding jobs: %w", err)
		}
		for _, a := range added {
			if !a.UniqueSkippedAsDuplicate {
				n++
			}
		}
	}
	return r.Store.Expect(ctx, tx, r.id, n)
}

// complete ends a job in a transaction with what it did and the jobs that follow from that.
func complete[T river.JobArgs](ctx context.Context, r *run, job *river.Job[T], do func(context.Context, *sql.Tx) ([]river.InsertManyParams, error)) error {
	client := river.ClientFromContext[*sql.Tx](ctx)
	whole := ctx
	ctx, cancel := outlive(ctx) // what was found is kept, also when the run is interrupted
	defer cancel()
	return r.patiently(whole, func() error { return end(ctx, r, client, job, do) })
}

// outlive returns a context that ends a little after ctx does.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drain, cancel) })
	return longer, func() { stop(); cancel() }
}

// end is one try of complete.
func end[T river.JobArgs](ctx context.Context, r *run, client *river.Client[*sql.Tx], job *river.Job[T], do func(context.Context, *sql.Tx) ([]river.InsertManyParams, error)) error {
	return r.add(ctx, client, 1, func(tx *sql.Tx) ([]river.InsertManyParams, error) {
		if err := r.Store.Hold(ctx, tx, job.ID); err != nil {
			return nil, err
		}
		jobs, err := do(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := r.Store.Called(ctx, tx, r.id, r.worker, r.Calls.Snapshot()); err != nil {
			return nil, err
		}
		if _, err := river.JobCompleteTx[riverdriver.Driver[*sql.Tx]](ctx, tx, job); err != nil {
			return nil, fmt.Errorf("completing a job: %w", err)
		}
		return jobs, nil
	})
}

// maxPage is how many targets are added in one transaction: a few pages of a forge's listing.
const maxPage = 500

// A page is what is listed and not stored yet.
type page struct {
	ref     int
	targets []audit.Target
	gaps    []audit.Gap
	cursor  string // where the listing goes on behind it; "" if that is not known
}

// store adds a page to the run.
func (r *run) store(ctx context.Context, tx *sql.Tx, p page) (jobs []river.InsertManyParams, err error) {
	if err := r.Store.Note(ctx, tx, r.id, p.gaps...); err != nil {
		return nil, err
	}
	added, err := r.Store.AddTargets(ctx, tx, r.id, p.ref, p.targets)
	if err == nil && p.cursor != "" {
		err = r.Store.SetCursor(ctx, tx, r.id, p.ref, p.cursor)
	}
	for _, t := range added {
		jobs = append(jobs, r.insert(t))
	}
	return jobs, err
}

// list lists a ref's targets, from where an earlier attempt came to.
func (r *run) list(ctx context.Context, job *river.Job[listJob]) error {
	ref := r.refs[job.Args.Ref]
	client := river.ClientFromContext[*sql.Tx](ctx)
	if err := r.quota(ctx, ref); err != nil {
		return err
	}
	cursor, err := r.Store.Cursor(ctx, r.id, job.Args.Ref)
	if err != nil {
		return err
	}
	listed := ref.Provider.Targets(ctx, ref.Rest)
	if p, ok := ref.Provider.(audit.Resumer); ok && cursor != "" {
		listed = p.TargetsAfter(ctx, ref.Rest, cursor)
	}
	next := page{ref: job.Args.Ref}
	last := "" // cursor of the last target
	flush := func() error {
		err := r.patiently(ctx, func() error {
			return r.add(ctx, client, 0, func(tx *sql.Tx) ([]river.InsertManyParams, error) { return r.store(ctx, tx, next) })
		})
		next = page{ref: next.ref}
		return err
	}
	var failure error
	for t, err := range listed {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			g := *gap
			if g.Target == "" {
				g.Target = ref.Text
			}
			next.gaps = append(next.gaps, g)
			continue
		}
		if err != nil {
			failure = err
			break
		}
		if t.Cursor != last { // the first one of the next page
			next.cursor, last = last, t.Cursor
		}
		if next.cursor != "" || len(next.targets) == maxPage {
			if err := flush(); err != nil {
				return err
			}
		}
		next.targets = append(next.targets, t)
	}
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		if failure != nil {
			if err := r.ended(ctx, tx, job.Args.Ref, failure); err != nil {
				return nil, err
			}
		}
		return r.store(ctx, tx, next)
	})
}

// ended stores what ended the listing of a ref: a row of the coverage in its own name.
func (r *run) ended(ctx context.Context, tx *sql.Tx, ref int, err error) error {
	name := r.refs[ref].Text
	status := audit.Failed
	if errors.Is(err, audit.ErrNothing) {
		status = audit.Skipped
	}
	why := failed(fmt.Errorf("listing %s: %w", name, err))
	why.Whole = true
	if _, err := r.Store.AddTargets(ctx, tx, r.id, ref, []audit.Target{{Name: name}}); err != nil {
		return err
	}
	return r.Store.Settle(ctx, tx, r.id, store.Result{Coverage: audit.Coverage{Target: name, Status: status, Reason: err.Error()}, Failure: why})
}

// quota puts a job off while the API of a ref's provider takes no requests, so that others, which need none, can go on. They come back one
// after the other.
func (r *run) quota(ctx context.Context, ref Ref) error {
	until, err := r.Store.QuotaUntil(ctx, ref.Provider.Name(), r.Now())
	wait := until.Sub(r.Now())
	if err != nil || wait <= 0 {
		return err
	}
	r.Log.Debug("put off until the quota is filled", "api", ref.Provider.Name(), "until", until)
	return river.JobSnooze(wait + rand.N(min(wait, time.Minute))) //nolint:gosec // spreads load, hides nothing
}

// scanTarget scans a target, or a part of it.
func (r *run) scanTarget(ctx context.Context, job *river.Job[scanJob]) error {
	t, ref, err := r.Store.Target(ctx, r.id, job.Args.Target, job.Args.Part)
	if err != nil {
		return err
	}
	if t.Part != audit.PartContents { // those come without requests to the API
		if err := r.quota(ctx, r.refs[ref]); err != nil {
			return err
		}
	}
	beside, halves, err := r.beside(ctx, t)
	if err != nil {
		return err
	}
	past, err := r.Store.Past(ctx, r.id, t.Name, t.Part, r.Rules, halves)
	if err != nil {
		return err
	}
	t.Past = past.State
	result, unchanged, grown, err := r.target(ctx, r.refs[ref], t, beside)
	if err != nil {
		return err
	}
	if result.Coverage.Reason == interrupted {
		ctx, cancel := outlive(ctx)
		defer cancel()
		err := r.Store.Tx(ctx, func(tx *sql.Tx) error {
			if err := r.Store.Hold(ctx, tx, job.ID); err != nil {
				return err
			}
			return r.Store.Settle(ctx, tx, r.id, result)
		})
		return errors.Join(err, river.JobSnooze(0))
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		if !unchanged {
			whole := result
			if grown {
				before, err := r.Store.Result(ctx, tx, t.Name, t.Part, past)
				if err != nil {
					return nil, err
				}
				whole = r.with(before, result)
			}
			return r.questions(whole.Findings), r.Store.Settle(ctx, tx, r.id, whole)
		}
		carried, err := r.Store.Carry(ctx, tx, r.id, t.Name, t.Part, past, result.State)
		return r.questions(carried), err
	})
}

// questions are the jobs of asking about whole secrets. About what may be a half of something, and about what can be asked only with what another target may
// have beside it, is asked when all targets are scanned.
func (r *run) questions(found []store.Finding) (jobs []river.InsertManyParams) {
	for _, f := range found {
		if f.Whole && r.asks(&f) && f.Secret.Addressed() {
			jobs = append(jobs, river.InsertManyParams{Args: verifyJob{r.id, f.Identity}})
		}
	}
	return jobs
}

// settle does what takes all targets: it asks about the components that they name, joins halves of different ones, and sees that every secret that a verifier knows is asked about.
func (r *run) settle(ctx context.Context, job *river.Job[settleJob]) error {
	err := r.rejoin(ctx)
	if err == nil {
		err = r.gatherHalves(ctx)
	}
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	if err != nil {
		return err
	}
	m := r.merger()
	for _, f := range r.joined() {
		m.add(r.kept(f.Finding))
	}
	result := store.Result{Findings: m.list()} // of no target
	resolved, gaps, err := r.resolve(ctx)
	var surveyed []store.Finding
	var unjudged []audit.Gap
	if err == nil {
		surveyed, unjudged, err = r.survey(ctx, resolved)
	}
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	if err != nil {
		return err
	}
	gaps, result.Inventory = append(gaps, unjudged...), resolved
	result.Findings = append(result.Findings, surveyed...)
	if len(r.byKind) > 0 {
		for f, err := range r.Store.Findings(ctx, r.id, slices.Sorted(maps.Keys(r.byKind))...) {
			if err != nil {
				return err
			}
			m.add(f)
		}
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) (jobs []river.InsertManyParams, err error) {
		for identity, f := range m.findings {
			if r.asks(f) {
				jobs = append(jobs, river.InsertManyParams{Args: verifyJob{r.id, identity}})
			}
		}
		return jobs, errors.Join(r.Store.Note(ctx, tx, r.id, gaps...), r.Store.Settle(ctx, tx, r.id, result))
	})
}

// ask asks about a secret, once: River forgets jobs a day after they were done, and a run that waits for its quotas may find the same secret again later.
func (r *run) ask(ctx context.Context, job *river.Job[verifyJob]) error {
	asked, err := r.Store.Judged(ctx, r.id, job.Args.Identity)
	if err != nil {
		return err
	}
	if asked {
		return complete(ctx, r, job, func(context.Context, *sql.Tx) ([]river.InsertManyParams, error) { return nil, nil })
	}
	secret, err := r.secret(ctx, job.Args.Identity)
	if err != nil {
		return err
	}
	if secret != nil {
		secret = secret.Copy() // which is masked below
	}
	v := store.Verdict{Secret: secret}
	v.Verdict = audit.Verdict{Validity: audit.Unknown, How: r.Verify, Error: "its value is not kept, and was not found again where it lay", CheckedAt: r.Now().UTC()}
	if secret != nil {
		v.Verdict = r.verdict(ctx, secret)
		v.Reach = v.Verdict.Reach
		redact(&audit.Run{Findings: []audit.Finding{{Secret: secret, Verdict: &v.Verdict, Reach: v.Reach}}}, []*audit.Secret{secret})
	}
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) ([]river.InsertManyParams, error) {
		return nil, r.Store.SetVerdict(ctx, tx, r.id, job.Args.Identity, v)
	})
}

// live is the mode of verification that uses the found secret itself: it alone needs the value.
const live = "live"

// secret returns a secret with its value, where that is needed: from what this process found, or else from where it was found before. It is
// nil where it is no longer there.
func (r *run) secret(ctx context.Context, identity string) (*audit.Secret, error) {
	stored, whole, err := r.Store.Secret(ctx, r.id, identity, r.tells)
	if err != nil {
		return nil, err
	}
	known := func() *audit.Secret { // all that was found of it, by this process or another
		r.mu.Lock()
		defer r.mu.Unlock()
		s := r.vault[identity]
		if s == nil || whole && !s.HasValue() || stored != nil && (r.byKind[s.Kind] == nil && r.byKind[stored.Kind] != nil || stored.Addressed() && !s.Addressed()) {
			return nil
		}
		return s
	}
	if s := known(); s != nil || r.Verify != live {
		return cmp.Or(s, stored), nil
	}
	defer r.want(identity)()
	holders, err := r.Store.Holders(ctx, r.id, identity)
	if err != nil {
		return nil, fmt.Errorf("looking for a secret again: %w", err)
	}
	all := func(ctx context.Context, in store.Row, _ string) error {
		_, err := r.againBeside(ctx, in)
		return err
	}
	for _, read := range []func(context.Context, store.Row, string) error{r.reread, all} {
		for _, h := range holders {
			if err := read(ctx, h, identity); err != nil {
				return nil, err
			}
			if s := known(); s != nil {
				return s, nil
			}
		}
	}
	if err := r.gatherHalves(ctx); err != nil { // halves of different targets
		return nil, err
	}
	for _, f := range r.joined() {
		r.kept(f.Finding)
	}
	return known(), nil
}

// want makes room for a secret's value, also where no more are kept, until release is called: then it is dropped if it was not found.
func (r *run) want(identity string) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.vault[identity]; !ok {
		r.vault[identity] = nil
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.vault[identity] == nil {
			delete(r.vault, identity)
		}
	}
}

// fewObjects is how many contents are read again for one secret: a key that lies in more has its two halves in each, most likely.
const fewObjects = 32

// reread scans those contents again in which a part of a target has a secret.
func (r *run) reread(ctx context.Context, in store.Row, identity string) error {
	at, ref, err := r.Store.Target(ctx, r.id, in.Name, in.Part)
	if err != nil {
		return err
	}
	ids, err := r.Store.Objects(ctx, r.id, in, identity)
	reader, ok := r.refs[ref].Provider.(audit.Reader)
	if err != nil || !ok || len(ids) == 0 {
		return err
	}
	t := r.newTarget(r.refs[ref], at)
	for it, err := range reader.Objects(ctx, at, ids[:min(len(ids), fewObjects)]) {
		if err != nil {
			r.Log.Debug("not read again", "target", at.Name, "error", err) // the whole target will be
			continue
		}
		t.item(ctx, it)
	}
	for _, waits := range t.unplaced {
		for i := range waits {
			t.found = append(t.found, waits[i].finding())
		}
	}
	for f := range t.joined(nil) {
		if !f.Candidate {
			r.kept(f.Finding)
		}
	}
	return nil
}

// failed is an error in the form that is stored.
func failed(err error) *store.Failure {
	f := &store.Failure{Text: err.Error(), Hint: audit.HintOf(err)}
	for class, sentinel := range classes {
		if errors.Is(err, sentinel) {
			f.Class = class
		}
	}
	return f
}

// classes are the errors that decide the exit code, by the names under which they are stored.
var classes = map[string]error{"usage": audit.ErrUsage, "nothing": audit.ErrNothing, "auth": audit.ErrAuth}

// failure is a stored error.
type failure store.Failure

func (f *failure) Error() string { return f.Text }
func (f *failure) Unwrap() error { return classes[f.Class] }

// restored is the error that was stored.
func restored(f *store.Failure) error {
	if f.Hint != "" {
		return audit.Hint((*failure)(f), f.Hint)
	}
	return (*failure)(f)
}
