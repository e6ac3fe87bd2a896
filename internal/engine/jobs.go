package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
		Run    string `json:"run" river:"unique"`
		Target string `json:"target" river:"unique"`
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

// Each run has queues of its own, so that a process takes jobs of those runs only that it knows the refs of. A target takes much memory and
// verifying hardly any: they have numbers of their own.
func listQueue(run string) string   { return "list_" + run }
func scanQueue(run string) string   { return "scan_" + run }
func verifyQueue(run string) string { return "verify_" + run }

func (j listJob) InsertOpts() river.InsertOpts   { return options(listQueue(j.Run)) }
func (j scanJob) InsertOpts() river.InsertOpts   { return options(scanQueue(j.Run)) }
func (j settleJob) InsertOpts() river.InsertOpts { return options(listQueue(j.Run)) }
func (j verifyJob) InsertOpts() river.InsertOpts { return options(verifyQueue(j.Run)) }

// options are those of a job that a run has once, and that is tried until it is done: what fails it is the store, or the end of its process.
func options(queue string) river.InsertOpts {
	return river.InsertOpts{Queue: queue, MaxAttempts: 30_000, UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// workOff works on the run until it is done or ctx ends.
func (r *run) workOff(ctx context.Context) error {
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
		done(ctx, ended(&scans))
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
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	err = r.await(ctx)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(err, client.Stop(stopping))
}

// drain is how long a run that ends waits for what its jobs have begun.
const drain = 5 * time.Second

// beat says that this process is alive, and takes over from those that are not.
func (r *run) beat(ctx context.Context) error {
	if err := r.Store.Alive(ctx, r.worker, r.Now()); err != nil {
		return err
	}
	n, err := r.Store.Free(ctx, r.worker, r.Now())
	if n > 0 {
		r.Log.Info("took over from processes that ended", "jobs", n)
	}
	return err
}

// await waits until the run is done.
func (r *run) await(ctx context.Context) error {
	beat := time.NewTicker(store.Beat)
	defer beat.Stop()
	for {
		done, err := r.Store.Finished(ctx, r.id)
		if done || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("asking whether the run is done: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.finished:
		case <-beat.C:
			if err := r.beat(ctx); err != nil {
				r.Log.Warn("the store does not answer", "error", err)
			}
		case <-time.After(time.Second): // another process may have finished it
		}
	}
}

// client makes the one that works on the run.
func (r *run) client() (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(r.list))
	river.AddWorker(workers, river.WorkFunc(r.scanTarget))
	river.AddWorker(workers, river.WorkFunc(r.settle))
	river.AddWorker(workers, river.WorkFunc(r.ask))
	queue := func(n int) river.QueueConfig {
		return river.QueueConfig{MaxWorkers: n}
	}
	return river.NewClient(r.Store.Driver(), &river.Config{
		ID: r.worker, Logger: r.Log, Workers: workers,
		FetchCooldown: time.Millisecond,                               // within one, a second job is not told of, and waits for the next poll
		JobTimeout:    -1, RescueStuckJobsAfter: 365 * 24 * time.Hour, // a scan takes as long as its target is large; see beat for those that died
		Queues: map[string]river.QueueConfig{
			listQueue(r.id): queue(len(r.refs)), scanQueue(r.id): queue(r.jobs(targetMemory)), verifyQueue(r.id): queue(verifyAtOnce),
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain) // what was found is kept, also when the run is interrupted
	defer cancel()
	return r.add(ctx, client, 1, func(tx *sql.Tx) ([]river.InsertManyParams, error) {
		if err := r.Store.Hold(ctx, tx, job.ID, job.Attempt); err != nil {
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

// page is how many targets are added in one transaction.
const page = 100

// list lists a ref's targets.
func (r *run) list(ctx context.Context, job *river.Job[listJob]) error {
	ref := r.refs[job.Args.Ref]
	client := river.ClientFromContext[*sql.Tx](ctx)
	var targets []audit.Target
	var gaps []audit.Gap
	add := func(ctx context.Context, tx *sql.Tx) (jobs []river.InsertManyParams, err error) {
		if err := r.Store.Note(ctx, tx, r.id, gaps...); err != nil {
			return nil, err
		}
		added, err := r.Store.AddTargets(ctx, tx, r.id, job.Args.Ref, targets)
		for _, t := range added {
			jobs = append(jobs, river.InsertManyParams{Args: scanJob{r.id, t.Name}})
		}
		targets, gaps = targets[:0], gaps[:0]
		return jobs, err
	}
	var failure error
	for t, err := range ref.Provider.Targets(ctx, ref.Rest) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			g := *gap
			if g.Target == "" {
				g.Target = ref.Text
			}
			gaps = append(gaps, g)
			continue
		}
		if err != nil {
			failure = err
			break
		}
		if targets = append(targets, t); len(targets) == page {
			if err := r.add(ctx, client, 0, func(tx *sql.Tx) ([]river.InsertManyParams, error) { return add(ctx, tx) }); err != nil {
				return err
			}
		}
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
		return add(ctx, tx)
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

// scanTarget scans a target.
func (r *run) scanTarget(ctx context.Context, job *river.Job[scanJob]) error {
	t, ref, err := r.Store.Target(ctx, r.id, job.Args.Target)
	if err != nil {
		return err
	}
	result := r.target(ctx, r.refs[ref], t)
	if result.Coverage.Reason == interrupted {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		err := r.Store.Tx(ctx, func(tx *sql.Tx) error { return r.Store.Settle(ctx, tx, r.id, result) })
		return errors.Join(err, river.JobSnooze(0))
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) (jobs []river.InsertManyParams, err error) {
		for _, f := range result.Findings { // about what may be a half of something is asked when all targets are scanned
			if f.Whole && r.asks(&f) {
				jobs = append(jobs, river.InsertManyParams{Args: verifyJob{r.id, f.Identity}})
			}
		}
		return jobs, r.Store.Settle(ctx, tx, r.id, result)
	})
}

// settle does what takes all targets: it joins halves of different ones, and sees that every secret that a verifier knows is asked about.
func (r *run) settle(ctx context.Context, job *river.Job[settleJob]) error {
	m := r.merger()
	for _, f := range r.joined() {
		m.add(r.kept(f.Finding))
	}
	result := store.Result{Findings: m.list()} // of no target
	if len(r.byKind) > 0 {
		for f, err := range r.Store.Findings(ctx, r.id) {
			if err != nil {
				return err
			}
			m.add(f)
		}
		m.adoptHalves()
	}
	return complete(ctx, r, job, func(ctx context.Context, tx *sql.Tx) (jobs []river.InsertManyParams, err error) {
		for identity, f := range m.findings {
			if r.asks(f) {
				jobs = append(jobs, river.InsertManyParams{Args: verifyJob{r.id, identity}})
			}
		}
		return jobs, r.Store.Settle(ctx, tx, r.id, result)
	})
}

// ask asks about a secret.
func (r *run) ask(ctx context.Context, job *river.Job[verifyJob]) error {
	secret, err := r.secret(ctx, job.Args.Identity)
	if err != nil {
		return err
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

// secret returns a secret with its value: from what this process found, or else from where it was found before. It is nil where it is no
// longer there.
func (r *run) secret(ctx context.Context, identity string) (*audit.Secret, error) {
	known := func() *audit.Secret {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.vault[identity]
	}
	if s := known(); s != nil {
		return s, nil
	}
	targets, err := r.Store.Holders(ctx, r.id, identity)
	if err != nil {
		return nil, fmt.Errorf("looking for a secret again: %w", err)
	}
	for _, name := range targets {
		t, ref, err := r.Store.Target(ctx, r.id, name)
		if err != nil {
			return nil, err
		}
		r.target(ctx, r.refs[ref], t)
		if s := known(); s != nil {
			return s, nil
		}
	}
	return nil, nil
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
