// Package engine does the main job: it turns refs into targets, reads each target's items once, hands them to the scanners,
// joins what belongs together, has secrets verified and returns the whole as an [audit.Run]. It knows the contracts of
// package audit and no plug-in by name.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/store"
)

// MaxContent is the size above which a content is not read but reported as a gap, in bytes. Above it memory could not stay
// bounded, and no text a person wrote or a tool left a credential in has been seen that large. Where memory is set, it is at most an
// eighth of that: a scan makes copies of a content, and a delta is applied to another one.
const MaxContent = 100 << 20

// maxReading bounds the bytes of opened contents held at once, with a sixteenth of the memory; one larger content passes alone.
const maxReading = 64 << 20

// What there must be memory for to have one more at once, in bytes.
const (
	scanMemory   = 64 << 20  // a scan: its tables, which grow with what they meet, and what is made of its content
	targetMemory = 256 << 20 // a target: the directories of its history, and contents on their way
)

// Progress is told how the work goes on. Its methods are called from several goroutines at once.
type Progress interface {
	Begun(run string) // under this id: what other processes do of it is in the store alone
	Target(name string, kind audit.TargetKind)
	Items(n int, bytes int64)
	Finished(name string, status audit.Status)
}

// A Ref is one thing the user asked to have scanned, and who reads it.
type Ref struct {
	Text     string // as typed, with its scheme
	Rest     string // what Provider.Targets takes
	Provider audit.Provider
	Scanners []audit.Scanner // replaces Engine.Scanners, for a working tree with a configuration of its own; may be nil
	Ignore   *Ignore         // ignore file of the user's own working tree; may be nil
}

// An Ignore says which places the user wants silent.
type Ignore struct {
	What  string // the file's name
	Count int    // entries
	Match func(rule string, loc audit.Location) (reason string, ok bool)
}

// An Engine holds what does not change from run to run. Every field without a remark is required.
type Engine struct {
	Version   string
	Scanners  []audit.Scanner
	Resolvers []audit.Resolver // of what pipelines name and no target has
	Verifiers []audit.Verifier
	Verify    string    // the mode, for the report
	Key       audit.Key // makes ids and fingerprints
	Jobs      int       // scans at once, and targets at once; ≥ 1. Memory may not be enough for all of them
	Memory    audit.Memory
	NoIgnores bool // what is scanned cannot silence its scanner, not even in the user's own working tree
	// SilencerFiles count the entries of the files by which a scanned tree asks for silence, by path.
	SilencerFiles map[string]func(content []byte) int
	Progress      Progress
	Store         *store.Store // of runs and of the work on them
	Recipe        string       // all besides refs that decides what is scanned and what is found
	Rules         string       // a digest of all that decides what is found in a target: what was found by the same is not looked for again
	Calls         *audit.Calls
	Log           *slog.Logger
	Now           func() time.Time
}

// Run works off the refs. The run it returns is whole as far as the work came, also when the error is not nil: the error joins
// what ended a ref as a whole (where nothing of a ref was scanned, also what ended its targets), and ctx's error if the run was
// interrupted. One that was interrupted goes on where it ended when the same refs are asked for under the same recipe.
func (e *Engine) Run(ctx context.Context, refs []Ref) (*audit.Run, error) {
	plan := store.Plan{Version: e.Version, Verify: e.Verify, Recipe: e.Recipe}
	for _, ref := range refs {
		plan.Refs = append(plan.Refs, ref.Text)
	}
	id, resumed, err := e.Store.Begin(ctx, plan, e.Now())
	if err != nil {
		return nil, err
	}
	if resumed {
		e.Log.Info("going on with a run that was not finished", "run", id)
	}
	e.Progress.Begun(id)
	r := e.newRun(id, refs)
	err = r.workOff(ctx)
	reporting, cancel := outlive(ctx)
	defer cancel()
	out, failed, rerr := r.report(reporting)
	return out, errors.Join(err, failed, rerr, ctx.Err())
}

// Join works on a run that another process has begun, until it is done or ctx ends.
func (e *Engine) Join(ctx context.Context, id string, refs []Ref) error {
	return e.newRun(id, refs).workOff(ctx)
}

func (e *Engine) newRun(id string, refs []Ref) *run {
	r := &run{
		Engine: e, id: id, worker: store.NewID(), refs: refs, reading: semaphore.NewWeighted(e.Memory.Share(16, maxReading)), work: make(chan func()),
		known: known{map[string]audit.Rule{}, map[string]audit.Verifier{}}, vault: map[string]*audit.Secret{}, loose: map[at][]scanned{}, held: map[int64]bool{}, started: make(chan struct{}), finished: make(chan struct{}),
	}
	r.done = sync.OnceFunc(func() { close(r.finished) })
	scanners := slices.Clone(e.Scanners)
	for _, ref := range refs {
		scanners = append(scanners, ref.Scanners...)
	}
	for _, s := range scanners {
		for _, rule := range s.Rules() {
			r.rules[rule.ID] = rule
		}
	}
	for _, v := range e.Verifiers {
		for _, k := range v.Kinds() {
			r.byKind[k] = v
		}
	}
	return r
}

// jobs is how many there are at once of something that takes so much memory.
func (e *Engine) jobs(each int64) int { return int(max(1, e.Memory.Share(each, int64(e.Jobs)))) }

// run is the part that this process has in a run.
type run struct {
	*Engine
	id      string
	worker  string // this process, among those that work on the run
	refs    []Ref
	reading *semaphore.Weighted
	work    chan func()
	known

	started  chan struct{}  // is closed when all queues have started, or will not
	finished chan struct{}  // is closed when the run is done
	done     func()         // closes it, once
	strange  map[int64]bool // jobs that this process is said to have, and has not

	mu    sync.Mutex               // guards all below
	vault map[string]*audit.Secret // what this process has found, with values, by identity
	loose map[at][]scanned         // halves from CI variables, joined over all targets at the end
	held  map[int64]bool           // jobs that this process works on
}

// report makes the report of what is stored. failed joins what ended refs of which nothing was scanned.
func (r *run) report(ctx context.Context) (out *audit.Run, failed, err error) {
	out, failed, err = Load(ctx, r.Store, r.id, r.rules)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	redact(out, slices.DeleteFunc(slices.Collect(maps.Values(r.vault)), func(s *audit.Secret) bool { return s == nil })) // what was found in one target may stand in a path of another
	sortRun(out)
	return out, failed, nil
}

// Load reads a stored run. failed joins what ended refs of which nothing was scanned; rules are those that its findings are of.
func Load(ctx context.Context, s *store.Store, id string, rules map[string]audit.Rule) (out *audit.Run, failed, err error) {
	stored, err := s.Find(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	out = &audit.Run{Schema: audit.Schema, Info: audit.RunInfo{
		ID: stored.ID, Version: stored.Version, StartedAt: stored.StartedAt.Truncate(time.Second), Refs: stored.Refs, Verify: stored.Verify,
		FinishedAt: stored.FinishedAt.Truncate(time.Second),
	}}
	m := known{rules: rules}.merger() // of secrets, which go together in other ways, too
	texts := common{}
	var last *store.Finding // of none
	add := func(f *store.Finding) {
		if f != nil {
			f.Locations = dedupe(f.Locations)
			markIntroduced(f.Locations)
			out.Findings = append(out.Findings, f.Finding)
		}
	}
	for f, err := range s.Findings(ctx, id) {
		if err != nil {
			return nil, nil, err
		}
		texts.share(&f.Finding)
		switch {
		case f.Secret != nil:
			m.add(f)
		case last != nil && last.Identity == f.Identity:
			m.unite(last, f)
		default:
			add(last)
			last = &f
		}
	}
	add(last)
	m.adoptHalves()
	verdicts, err := s.Verdicts(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	out.Identities = m.judge(verdicts)
	for _, f := range m.findings {
		add(f)
	}
	complete := !stored.FinishedAt.IsZero()
	left := map[string][]string{} // parts that are still to be scanned
	var errs []error              // of all refs
	var early []error             // of this one
	at, scanned := -1, false      // the ref, and whether something of it was
	end := func() {
		if !scanned {
			errs = append(errs, early...)
		}
		early, scanned = nil, false
	}
	for t, err := range s.Targets(ctx, id) {
		if err != nil {
			return nil, nil, err
		}
		if t.Ref != at {
			end()
			at = t.Ref
		}
		if t.Coverage.Target == "" { // not scanned yet
			complete = false
			left[t.Name] = append(left[t.Name], string(t.Part))
			continue
		}
		switch {
		case t.Failure == nil:
			scanned = true
		case t.Failure.Whole:
			errs = append(errs, restored(t.Failure))
		default:
			early = append(early, restored(t.Failure))
		}
		if n := len(out.Coverage); n > 0 && out.Coverage[n-1].Target == t.Coverage.Target { // of another part
			out.Coverage[n-1] = covered(out.Coverage[n-1], t.Coverage)
		} else {
			out.Coverage = append(out.Coverage, t.Coverage)
		}
		complete = complete && t.Coverage.Status != audit.Failed
	}
	end()
	for i := range out.Coverage { // a target is no better looked at than the part that was not
		if c := &out.Coverage[i]; left[c.Target] != nil {
			*c = covered(*c, audit.Coverage{Status: audit.Partial, Reason: strings.Join(left[c.Target], " and ") + " still to be scanned"})
		}
	}
	if out.Gaps, out.Inventory, out.Silencers, err = s.Report(ctx, id); err != nil {
		return nil, nil, err
	}
	if out.Calls, err = s.Calls(ctx, id); err != nil {
		return nil, nil, err
	}
	if err := graph.Weigh(out); err != nil {
		return nil, nil, err
	}
	out.Info.Complete = complete && len(out.Gaps) == 0
	sortRun(out)
	fillEmpty(out)
	return out, errors.Join(errs...), nil
}

// common are texts that findings have in common, each held once: what they say of their rule, and where they are.
type common map[string]string

// share replaces texts of a finding by those that were met before.
func (c common) share(f *audit.Finding) {
	text := func(p *string) {
		have, ok := c[*p]
		if !ok {
			have, c[*p] = *p, *p
		}
		*p = have
	}
	text(&f.Rule)
	text(&f.Title)
	for i := range f.Fix {
		text(&f.Fix[i])
	}
	for i := range f.Locations {
		l := &f.Locations[i]
		text(&l.Target)
		text(&l.Path)
		text(&l.Name)
	}
}

// covered is the coverage of a target that two parts of it make.
func covered(a, b audit.Coverage) audit.Coverage {
	order := []audit.Status{audit.Skipped, audit.Scanned, audit.Partial, audit.Failed}
	a.Status = order[max(slices.Index(order, a.Status), slices.Index(order, b.Status))]
	a.Items, a.Bytes = a.Items+b.Items, a.Bytes+b.Bytes
	if a.Reason != b.Reason {
		a.Reason = strings.Trim(a.Reason+"; "+b.Reason, "; ")
	}
	return a
}

// markIntroduced marks, per target, the earliest place a value was seen at. Of places with the same date the first one listed
// is it, but messages of commits, which are scanned in any order, go by their ids.
func markIntroduced(locs []audit.Location) {
	first := map[string]int{}
	for i, l := range locs {
		if l.Commit == "" {
			continue
		}
		j, ok := first[l.Target]
		if !ok || l.At.Before(locs[j].At) || l.At.Equal(locs[j].At) && l.Path == "" && locs[j].Path == "" && l.Commit < locs[j].Commit {
			first[l.Target] = i
		}
	}
	for _, i := range first {
		locs[i].Introduced = true
	}
}

// sortRun puts the worst first and makes the order independent of scheduling.
func sortRun(out *audit.Run) {
	for i := range out.Findings {
		slices.SortStableFunc(out.Findings[i].Locations, func(a, b audit.Location) int {
			return firstNonZero(strings.Compare(a.Target, b.Target), a.At.Compare(b.At), strings.Compare(a.Path, b.Path),
				strings.Compare(a.Commit, b.Commit), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Name, b.Name))
		})
	}
	slices.SortFunc(out.Findings, func(a, b audit.Finding) int {
		return firstNonZero(boolRank(a.Suppressed != nil)-boolRank(b.Suppressed != nil), b.Severity.Rank()-a.Severity.Rank(),
			strings.Compare(a.Rule, b.Rule), comparePlaces(a, b), strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(out.Coverage, func(a, b audit.Coverage) int { return strings.Compare(a.Target, b.Target) })
	slices.SortFunc(out.Gaps, func(a, b audit.Gap) int {
		return firstNonZero(strings.Compare(a.Target, b.Target), strings.Compare(a.What, b.What), strings.Compare(a.Why, b.Why))
	})
	out.Gaps = slices.Compact(out.Gaps)
	slices.SortFunc(out.Identities, func(a, b audit.Identity) int {
		return firstNonZero(strings.Compare(a.ARN, b.ARN), strings.Compare(a.Account, b.Account), strings.Compare(a.Type, b.Type))
	})
	slices.SortFunc(out.Inventory, func(a, b audit.Entry) int {
		if order := firstNonZero(strings.Compare(a.Target, b.Target), strings.Compare(string(a.Kind), string(b.Kind)),
			strings.Compare(a.Scope, b.Scope), strings.Compare(a.Name, b.Name)); order != 0 {
			return order
		}
		return strings.Compare(fmt.Sprint(a.Facts), fmt.Sprint(b.Facts)) // artifacts of two runs have one name
	})
	slices.SortFunc(out.Silencers, func(a, b audit.Silencer) int {
		return firstNonZero(strings.Compare(a.Target, b.Target), strings.Compare(a.What, b.What), boolRank(a.Obeyed)-boolRank(b.Obeyed))
	})
}

func comparePlaces(a, b audit.Finding) int {
	if len(a.Locations) == 0 || len(b.Locations) == 0 {
		return len(a.Locations) - len(b.Locations)
	}
	x, y := a.Locations[0], b.Locations[0]
	return firstNonZero(strings.Compare(x.Target, y.Target), strings.Compare(x.Path, y.Path), x.Line-y.Line)
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func firstNonZero(xs ...int) int {
	for _, x := range xs {
		if x != 0 {
			return x
		}
	}
	return 0
}

// redact is the last net: a value that also occurs in a path, a name or a message is masked there.
func redact(out *audit.Run, secrets []*audit.Secret) {
	mask := masking(secrets)
	for i := range out.Findings {
		mask.finding(&out.Findings[i])
	}
	mask.run(out)
}

// A mask masks values in texts; nil, where there are none.
type mask func(text string) string

func masking(secrets []*audit.Secret) mask {
	if len(secrets) == 0 {
		return nil
	}
	return audit.Redactor(secrets)
}

func (m mask) texts(fields ...*string) {
	for _, p := range fields {
		*p = m(*p)
	}
}

func (m mask) facts(facts map[string]string) {
	for k, v := range facts {
		facts[k] = m(v)
	}
}

func (m mask) finding(f *audit.Finding) {
	if m == nil {
		return
	}
	m.texts(&f.Title, &f.Message)
	if f.Secret != nil && f.Secret.Kind != audit.KindAWSKey {
		m.texts(&f.Secret.ID) // a user name may hold another secret
	}
	for j := range f.Fix {
		m.texts(&f.Fix[j])
	}
	for j := range f.Locations {
		l := &f.Locations[j]
		m.texts(&l.Path, &l.Name, &l.Ref, &l.URL, &l.Environment, &l.Target)
	}
	if v := f.Verdict; v != nil {
		m.texts(&v.Error)
		m.facts(v.Facts)
		if v.Identity != nil {
			m.texts(&v.Identity.ARN)
		}
	}
	if f.Reach != nil {
		for j := range f.Reach.Limits {
			m.texts(&f.Reach.Limits[j])
		}
		for _, p := range f.Reach.Paths {
			for j := range p.Steps {
				m.texts(&p.Steps[j].From, &p.Steps[j].To, &p.Steps[j].Evidence)
			}
		}
	}
}

// run masks all of a run but its findings.
func (m mask) run(out *audit.Run) {
	if m == nil {
		return
	}
	for i := range out.Gaps {
		m.texts(&out.Gaps[i].Target, &out.Gaps[i].What, &out.Gaps[i].Why)
	}
	for i := range out.Coverage {
		m.texts(&out.Coverage[i].Target, &out.Coverage[i].Reason, &out.Coverage[i].URL)
	}
	for i := range out.Silencers {
		m.texts(&out.Silencers[i].Target, &out.Silencers[i].What)
	}
	for i := range out.Inventory {
		m.texts(&out.Inventory[i].Target, &out.Inventory[i].Name, &out.Inventory[i].Scope)
		m.facts(out.Inventory[i].Facts)
	}
}

// fillEmpty turns nil lists into empty ones: a script that reads the JSON finds every list.
func fillEmpty(out *audit.Run) {
	if out.Coverage == nil {
		out.Coverage = []audit.Coverage{}
	}
	if out.Gaps == nil {
		out.Gaps = []audit.Gap{}
	}
	if out.Findings == nil {
		out.Findings = []audit.Finding{}
	}
	if out.Identities == nil {
		out.Identities = []audit.Identity{}
	}
	if out.Inventory == nil {
		out.Inventory = []audit.Entry{}
	}
	if out.Silencers == nil {
		out.Silencers = []audit.Silencer{}
	}
	if out.Info.Refs == nil {
		out.Info.Refs = []string{}
	}
	for i := range out.Findings {
		f := &out.Findings[i]
		if f.Fix == nil {
			f.Fix = []string{}
		}
		if f.Reach != nil {
			if f.Reach.Accounts == nil {
				f.Reach.Accounts = []string{}
			}
			if f.Reach.Paths == nil {
				f.Reach.Paths = []audit.Path{}
			}
			if f.Reach.Limits == nil {
				f.Reach.Limits = []string{}
			}
		}
	}
}
