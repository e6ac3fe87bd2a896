package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/store"
)

// scanned is a finding on its way, with who made it.
type scanned struct {
	audit.Finding
	scanner int // index into the target's scanners
}

// target is the state of scanning one target.
type target struct {
	*run
	audit.Target
	ref      Ref
	scanners []audit.Scanner
	seed     maphash.Seed
	pending  sync.WaitGroup // items handed to the workers
	called   looked         // at names

	state     string // that the provider named
	unchanged bool   // since the target's past
	grown     bool   // what is listed is only what the target's past did not have

	mu        sync.Mutex // guards all below
	closed    bool       // the target's result is made: what comes later is dropped
	found     []scanned
	unplaced  map[string][]waiting // findings in contents whose places are not known yet, by object
	forms     forms                // of those
	placed    map[string]bool      // objects that a place was listed for
	lines     map[seen]bool        // which secret lies on which lines of which object
	texts     texts                // of objects that hold a secret
	pair      comparison           // the last one
	again     map[string]bool      // objects that scanning said anything about
	flawed    bool                 // something went wrong that need not the next time
	gaps      []audit.Gap
	entries   []audit.Entry
	silencers map[audit.Silencer]int
	items     int
	bytes     int64
	held      int // findings in found and unplaced
	dropped   int // findings above maxPerTarget
}

// What a report holds of one content and of one target, in findings. Thousands of credentials in one file are planted or a list
// for tests: the first ones tell as much as all of them, and what is scanned must not decide how much memory that takes.
const (
	maxPerItem   = 10_000
	maxPerTarget = 200_000
)

// maxPlaces bounds the places on their way: enough for workers that finish one of them late.
const maxPlaces = 64

// seen says that a secret lies in an object on lines with that digest.
type seen struct {
	object, fingerprint string
	lines               uint64
}

// A comparison of two contents: which lines of the object are not those of the one before.
type comparison struct {
	before, object string
	front          int    // lines in front that both have
	added          []bool // of the others; nil if unknown
}

func (r *run) newTarget(ref Ref, at audit.Target) *target {
	t := &target{
		run: r, Target: at, ref: ref, scanners: ref.Scanners, seed: maphash.MakeSeed(),
		unplaced: map[string][]waiting{}, placed: map[string]bool{}, lines: map[seen]bool{}, again: map[string]bool{},
		forms:  forms{map[formKey]*scanned{}, map[string]*audit.Secret{}},
		called: looked{}, texts: texts{known: map[uint64]uint32{}, parts: map[string][]uint32{}}, silencers: map[audit.Silencer]int{},
	}
	if t.scanners == nil {
		t.scanners = r.Scanners
	}
	return t
}

// target scans one target, or a part of it, and joins what it finds with the halves in other parts. unchanged says that nothing of it was listed:
// what its past has holds; grown, that only what is new to it was. The error is one of the store's; what else went wrong is in the result.
func (r *run) target(ctx context.Context, ref Ref, at audit.Target, beside []store.Row) (_ store.Result, unchanged, grown bool, _ error) {
	r.Progress.Target(at.Name, at.Kind)
	t := r.newTarget(ref, at)
	err := t.scan(ctx)
	t.wait(ctx)
	t.settleDangling(err == nil && ctx.Err() == nil)
	if t.dropped > 0 {
		t.gap("further findings", fmt.Sprintf("more than %d places of findings in one target: %d left out", maxPerTarget, t.dropped))
	}
	status, reason := audit.Scanned, ""
	switch {
	case ctx.Err() != nil:
		status, reason = audit.Partial, interrupted
	case errors.Is(err, audit.ErrNothing):
		status, reason = audit.Skipped, err.Error()
	case err != nil:
		status, reason = audit.Failed, err.Error()
	case len(t.gaps) > 0:
		status = audit.Partial
	}
	if err != nil || ctx.Err() != nil || t.flawed {
		t.state = ""
	}
	var near []scanned
	var read string
	if !t.unchanged && ctx.Err() == nil {
		err := r.patiently(ctx, func() (err error) {
			near, read, err = r.near(ctx, beside)
			return err
		})
		if err != nil {
			return store.Result{}, false, false, err
		}
	}
	out := t.result(near)
	out.Beside = read
	out.Coverage = audit.Coverage{Target: at.Name, Kind: at.Kind, Status: status, Items: t.items, Bytes: t.bytes, Reason: reason, URL: at.URL, LeftOut: leftOut(ref, at)}
	if err != nil && ctx.Err() == nil {
		out.Failure = failed(fmt.Errorf("scanning %s: %w", at.Name, err))
	}
	r.Progress.Finished(at.Name, status)
	return out, t.unchanged, t.grown, nil
}

// leftOut names the sources that a target may have and that were not asked for.
func leftOut(ref Ref, t audit.Target) string {
	if p, ok := ref.Provider.(audit.Selective); ok {
		return p.LeftOut(t).String()
	}
	return ""
}

// interrupted is the reason of a target that is scanned again when the run is resumed.
const interrupted = "interrupted"

// scan lists the target's items and hands them to the workers. Contents come first; with the first place all of them must
// be done, because a place is matched with what its content was found to hold.
func (t *target) scan(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // a defect of the provider's; the other targets go on
			t.Log.Error("provider panicked", "target", t.Name, "stack", string(debug.Stack()))
			err = errors.New("listing stopped by an internal error")
		}
	}()
	var places []*placed // on their way
	defer func() { t.settle(ctx, places, 0) }()
	for it, err := range t.ref.Provider.Items(ctx, t.Target) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			t.addGap(*gap)
			continue
		}
		if err != nil {
			return err
		}
		if it.At.Target == "" {
			it.At.Target = t.Name
		}
		if it.Entry != nil && !counts(it) {
			t.enter(it)
		}
		if it.Choose == nil {
			t.names(it)
		}
		if s := it.Silencer; s != nil {
			t.addSilencer(s.What, s.Count, s.Obeyed)
		}
		if it.Kind == audit.KindState {
			t.state = it.State
			continue
		}
		if it.Kind == audit.KindUnchanged {
			if t.Past == "" {
				return errors.New("it is said to be unchanged, and nothing is known of it")
			}
			t.state, t.unchanged = it.State, true
			return nil
		}
		if it.Kind == audit.KindKept {
			if t.Past == "" {
				return errors.New("what was found before is said to hold, and nothing is known of it")
			}
			t.grown = true
			continue
		}
		if it.Choose != nil {
			t.wait(ctx)
			it.Choose(t.choice())
			continue
		}
		if it.Kind == audit.KindPlace {
			if places == nil {
				t.wait(ctx)
			}
			p, err := t.look(ctx, it)
			if err != nil {
				return err
			}
			places = t.settle(ctx, append(places, p), maxPlaces)
			continue
		}
		if it.Content == nil && it.Open == nil {
			continue
		}
		t.pending.Add(1)
		do := func() {
			defer t.pending.Done()
			t.item(ctx, it)
		}
		if err := t.hand(ctx, do); err != nil {
			t.pending.Done()
			if it.Done != nil {
				it.Done()
			}
			return err
		}
	}
	return nil
}

// counts tells whether an item is in the inventory only if it has something to tell.
func counts(it audit.Item) bool {
	return (it.Kind == audit.KindLog || it.Kind == audit.KindArtifact) && (it.Content != nil || it.Open != nil)
}

// enter puts an item into the inventory. Several logs are of one run.
func (t *target) enter(it audit.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || it.Entry == nil || counts(it) && slices.ContainsFunc(t.entries, func(e audit.Entry) bool {
		return e.Kind == it.Entry.Kind && e.Name == it.Entry.Name && e.Facts["run"] == it.Entry.Facts["run"]
	}) {
		return
	}
	t.entries = append(t.entries, *it.Entry)
}

// names scans what an item is called and what its facts say: people put secrets there, too. Each text is looked at once. Names in git are contents
// of their own.
func (t *target) names(it audit.Item) {
	switch it.Kind {
	case audit.KindFile, audit.KindPlace, audit.KindCommit, audit.KindPaths, audit.KindStream:
		return
	}
	all := []string{it.At.Name, it.At.Path, it.At.Ref}
	if e := it.Entry; e != nil {
		facts := maps.Clone(e.Facts)
		delete(facts, "id") // nobody chose it: a forge's number, or an access key id that was found by its variable
		all = append(append(all, e.Name, e.Scope), slices.Sorted(maps.Values(facts))...)
	}
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	if !t.called.first(maphash.String(t.seed, b.String())) {
		return
	}
	found := t.scanContent(audit.Item{Kind: audit.KindNames, At: it.At, Known: it.Known}, []byte(b.String()))
	if len(found) > 0 && counts(it) {
		t.enter(it)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range found {
		if !t.closed && t.hold() {
			t.found = append(t.found, f)
		}
	}
}

// looked has the digests of texts that were scanned. Of more than maxDigests all are forgotten, and some texts are scanned again.
type looked map[uint64]bool

// maxDigests of eight bytes take some 2 MiB. A project's jobs, artifacts and variables have a few thousand different names.
const maxDigests = 1 << 16

// first tells whether a text's digest is not there, and adds it.
func (d looked) first(digest uint64) bool {
	if d[digest] {
		return false
	}
	if len(d) == maxDigests {
		clear(d)
	}
	d[digest] = true
	return true
}

// hand gives work to whoever is free.
func (t *target) hand(ctx context.Context, do func()) error {
	select {
	case t.work <- do:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// choice asks for the places of what was found, and for those that are looked at for their path: a history has millions of others.
func (t *target) choice() audit.Choice {
	t.mu.Lock()
	defer t.mu.Unlock()
	return audit.Choice{Objects: slices.Collect(maps.Keys(t.unplaced)), Again: slices.AppendSeq([]string{}, maps.Keys(t.again)), Path: func(path string) bool {
		return t.SilencerFiles[path] != nil || t.wants(audit.Item{Kind: audit.KindPlace, At: audit.Location{Path: path}})
	}}
}

func (t *target) wants(it audit.Item) bool {
	return slices.ContainsFunc(t.scanners, func(s audit.Scanner) bool { return s.Wants(it) })
}

// wait waits until all items are scanned.
func (t *target) wait(ctx context.Context) {
	t.await(ctx, ended(&t.pending))
}

// ended is closed when wg is done.
func ended(wg *sync.WaitGroup) <-chan struct{} {
	all := make(chan struct{})
	go func() {
		wg.Wait()
		close(all)
	}()
	return all
}

// await waits for what was handed to the workers. Once the run was interrupted it leaves behind what is not done shortly, and says so:
// a scan cannot be broken off, and of a large content it takes its time.
func (t *target) await(ctx context.Context, scans <-chan struct{}) bool {
	if done(ctx, scans) {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return false
}

// grace is how long an interrupted run waits for scans that have begun: people take what ends within a tenth of a second for prompt.
const grace = 50 * time.Millisecond

// done waits for scans, and once ctx ends for grace at most. It tells whether they were done.
func done(ctx context.Context, scans <-chan struct{}) bool {
	select {
	case <-scans:
		return true
	case <-ctx.Done():
	}
	select {
	case <-scans:
		return true
	case <-time.After(grace):
		return false
	}
}

func (t *target) gap(what, why string) { t.addGap(audit.Gap{What: what, Why: why}) }

func (t *target) addGap(g audit.Gap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	g.Target = t.Name
	t.gaps = append(t.gaps, g)
}

// item reads an item's content, if some scanner wants it, and scans it.
func (t *target) item(ctx context.Context, it audit.Item) {
	if it.Done != nil {
		defer it.Done()
	}
	if !t.wants(it) || ctx.Err() != nil {
		return
	}
	content := it.Content
	if content == nil {
		var release func()
		var err error
		content, release, err = t.read(ctx, it)
		if err != nil {
			t.unread(ctx, it, err)
			t.enter(it)
			return
		}
		defer release()
	}
	t.countSilencer(it, content)
	fs := t.scanContent(it, content)
	if len(fs) > 0 && counts(it) {
		t.enter(it)
	}
	lines := t.digests(it.Object, content, fs)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.items++
	t.bytes += int64(len(content))
	t.Progress.Items(1, int64(len(content)))
	for _, f := range fs {
		if !t.hold() {
			continue
		}
		if it.Object != "" && it.At.Path == "" && it.Kind == audit.KindFile {
			w := t.forms.wait(f)
			f.Secret = w.secret
			t.unplaced[it.Object] = append(t.unplaced[it.Object], w)
		} else {
			t.found = append(t.found, f)
		}
		t.note(it.Object, f)
	}
	if lines != nil {
		t.texts.add(it.Object, lines)
	}
}

// hold tells whether there is room for one more finding. t.mu is held.
func (t *target) hold() bool {
	if t.held == maxPerTarget {
		t.dropped++
		return false
	}
	t.held++
	return true
}

// note remembers on which lines of which object a secret lies.
func (t *target) note(object string, f scanned) {
	if object != "" && f.Secret != nil {
		t.lines[seen{object, f.Secret.Fingerprint(), f.Locations[0].Lines}] = true
	}
}

// digests are those of the lines of an object that holds a secret, to compare it with others; nil for another one.
func (t *target) digests(object string, content []byte, fs []scanned) []uint32 {
	if object == "" || !slices.ContainsFunc(fs, func(f scanned) bool { return f.Secret != nil }) {
		return nil
	}
	return lineDigests(t.seed, content)
}

// read opens an item within the limits of size and of bytes held at once.
func (t *target) read(ctx context.Context, it audit.Item) (content []byte, release func(), err error) {
	hold, limit := min(max(it.Size, 1), t.Memory.Share(16, maxReading)), t.Memory.Share(8, MaxContent)
	if it.Size > limit {
		return nil, nil, tooLarge(it.Size, limit)
	}
	if err := t.reading.Acquire(ctx, hold); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			t.reading.Release(hold)
		}
	}()
	rc, err := it.Open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("opening: %w", err)
	}
	defer rc.Close()
	if in, ok := rc.(interface{ Bytes() []byte }); ok {
		content = in.Bytes()
		if int64(len(content)) > limit {
			return nil, nil, tooLarge(-1, limit)
		}
		return content, func() { t.reading.Release(hold) }, nil
	}
	content = make([]byte, 0, min(max(it.Size, 0), limit)+1)
	for {
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
		n, err := rc.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if int64(len(content)) > limit {
			return nil, nil, tooLarge(-1, limit)
		}
		if err == io.EOF {
			return content, func() { t.reading.Release(hold) }, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading: %w", err)
		}
	}
}

// unread makes a gap of an item that could not be read.
func (t *target) unread(ctx context.Context, it audit.Item, err error) {
	if ctx.Err() != nil {
		return
	}
	t.gap(placeName(it.At), err.Error())
	if !errors.Is(err, errTooLarge) {
		t.flaw()
	}
}

// flaw notes that something went wrong that need not the next time.
func (t *target) flaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flawed = true
}

var errTooLarge = errors.New("not read")

func tooLarge(size, limit int64) error {
	if size < 0 {
		return fmt.Errorf("%w: larger than %d MiB", errTooLarge, limit>>20)
	}
	return fmt.Errorf("%w: %d MiB, larger than %d MiB", errTooLarge, size>>20, limit>>20)
}

// scanContent runs every scanner that wants the item over its content. A scanner that panics has a defect; the item becomes a
// gap and the run goes on.
func (t *target) scanContent(it audit.Item, content []byte) (out []scanned) {
	for i, s := range t.scanners {
		if !s.Wants(it) {
			continue
		}
		fs, gaps := func() (fs []audit.Finding, gaps []audit.Gap) {
			defer func() {
				if p := recover(); p != nil {
					t.Log.Error("scanner panicked", "target", t.Name, "item", placeName(it.At), "stack", string(debug.Stack()))
					t.flaw()
					fs, gaps = nil, []audit.Gap{{What: placeName(it.At), Why: "scanning stopped by an internal error"}}
				}
			}()
			return s.Scan(it, content)
		}()
		if it.Object != "" && len(fs)+len(gaps) > 0 {
			t.mu.Lock()
			t.again[it.Object] = true
			t.mu.Unlock()
		}
		for _, g := range gaps {
			if g.What == "" {
				g.What = placeName(it.At)
			}
			t.gap(g.What, g.Why)
		}
		if n := len(fs) - maxPerItem; n > 0 {
			t.gap(placeName(it.At), fmt.Sprintf("more than %d findings in one content: %d left out", maxPerItem, n))
			fs = fs[:maxPerItem]
		}
		for _, f := range fs {
			if f.Secret != nil {
				t.Key.Sign(f.Secret)
			}
			for j, l := range f.Locations {
				f.Locations[j] = inherit(l, it.At)
				if it.Origin != nil {
					f.Locations[j] = it.Origin(f.Locations[j])
				}
			}
			if len(f.Locations) == 0 {
				f.Locations = []audit.Location{it.At}
			}
			f.Locations[0].Object = it.Object
			if it.Known != nil {
				f.Suppressed = it.Known
			}
			out = append(out, scanned{f, i})
		}
	}
	return out
}

// inherit fills what a finding's location leaves open from its item's place. A path inside a container ("!member") is appended.
func inherit(l, at audit.Location) audit.Location {
	in := l
	l = at
	l.Line, l.EndLine, l.Column, l.EndColumn = in.Line, in.EndLine, in.Column, in.EndColumn
	l.Rules, l.Encoding, l.Lines = in.Rules, in.Encoding, in.Lines
	switch {
	case strings.HasPrefix(in.Path, "!"):
		l.Path = at.Path + in.Path
	case in.Path != "":
		l.Path = in.Path
	}
	if in.Kind != "" {
		l.Kind = in.Kind
	}
	if in.Name != "" {
		l.Name = in.Name
	}
	return l
}

// placed is a place on its way. What lies at those that are looked at for their path is scanned by several workers, but what
// all of them show is taken in order.
type placed struct {
	audit.Item
	done  chan struct{} // closed when found is complete; nil if nobody looks at it for its path
	found []scanned
	lines []uint32 // see digests
}

// look has the scanners that go by paths look at a place. It is read at once: it cannot be opened when the listing has ended.
func (t *target) look(ctx context.Context, it audit.Item) (*placed, error) {
	p := &placed{Item: it}
	counts := it.At.InHead && t.SilencerFiles[it.At.Path] != nil
	wanted := t.wants(it)
	if it.Open == nil || !counts && !wanted {
		return p, nil
	}
	content, release, err := t.read(ctx, it)
	if err != nil {
		t.unread(ctx, it, err)
		return p, nil
	}
	if counts { // the entries of an ignore file in the current tree of a repository
		t.countSilencer(it, content)
	}
	if !wanted {
		release()
		return p, nil
	}
	p.done = make(chan struct{})
	err = t.hand(ctx, func() {
		defer close(p.done)
		defer release()
		p.found = t.scanContent(it, content)
		p.lines = t.digests(it.Object, content, p.found)
	})
	if err != nil {
		release()
		return nil, err
	}
	return p, nil
}

// settle takes places in order until no more than left are on their way.
//
// A content that holds a secret on the same lines as the content it replaced was changed elsewhere: the place is no new
// appearance of the secret, unless the change moved those lines. Where it is the current one it is still listed, without a commit,
// as the place to mend.
func (t *target) settle(ctx context.Context, places []*placed, left int) []*placed {
	for len(places) > left {
		p := places[0]
		places = places[1:]
		if p.done != nil && !t.await(ctx, p.done) {
			return nil
		}
		t.place(p)
	}
	return places
}

// place matches a place with what its content was found to hold, there and without a path.
func (t *target) place(p *placed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.placed[p.Object] = true
	for _, w := range t.unplaced[p.Object] {
		f := w.finding()
		own := f.Locations[0]
		loc := inherit(own, p.At)
		loc.Object = p.Object
		if strings.HasPrefix(own.Path, "!") {
			loc.Path = p.At.Path + own.Path
		}
		t.add(f, loc, p.Item)
	}
	if p.lines != nil {
		t.texts.add(p.Object, p.lines)
	}
	for _, f := range p.found {
		t.note(p.Object, f)
		t.add(f, f.Locations[0], p.Item)
	}
}

// add records that f stands at loc, unless the place shows nothing new. t.mu is held.
func (t *target) add(f scanned, loc audit.Location, it audit.Item) {
	if f.Keep != nil && !f.Keep(loc) {
		return
	}
	if it.Prev != "" && f.Secret != nil && t.lines[seen{it.Prev, f.Secret.Fingerprint(), loc.Lines}] && !t.moved(it, loc) {
		if !loc.InHead {
			return
		}
		loc.Commit, loc.At = "", audit.Location{}.At
	}
	if loc.InHead && loc.Kind != audit.InWorkflow { // which a definition is wherever it is read
		loc.Kind = audit.InFile
	}
	if loc.URL != "" && loc.Line > 0 && !strings.Contains(loc.Path, "!") {
		loc.URL += "#L" + strconv.Itoa(loc.Line) // as GitHub, GitLab and Gitea name lines
	}
	if !t.hold() {
		return
	}
	f.Locations = []audit.Location{loc}
	t.found = append(t.found, f)
}

// moved tells whether the lines of loc, which stood in the content before too, were moved or stand there once more. t.mu is held.
func (t *target) moved(it audit.Item, loc audit.Location) bool {
	if loc.Path != it.At.Path { // lines of a member are not lines of its container
		return false
	}
	if p := &t.pair; p.before != it.Prev || p.object != it.Object {
		*p = comparison{before: it.Prev, object: it.Object}
		p.front, p.added = t.texts.added(it.Prev, it.Object)
	}
	return allAdded(t.pair.added, loc.Line-t.pair.front, max(loc.Line, loc.EndLine)-t.pair.front)
}

// settleDangling places findings in contents that no commit, tag, index or note names: they lie in the repository all the
// same, and anyone who has the object id can read them. Where not all places were listed, those of a content may be among them.
func (t *target) settleDangling(listed bool) {
	name := "dangling object"
	if !listed {
		name = "object of unknown place"
	}
	for object, fs := range t.unplaced {
		if t.placed[object] {
			continue
		}
		for _, w := range fs {
			f := w.finding()
			f.Locations[0].Name = name
			f.Locations[0].Object = object
			if f.Keep == nil || f.Keep(f.Locations[0]) {
				t.found = append(t.found, f)
			}
		}
	}
}

func (t *target) countSilencer(it audit.Item, content []byte) {
	count := t.SilencerFiles[it.At.Path]
	if count == nil || t.ref.Ignore != nil && t.ref.Ignore.What == it.At.Path {
		return
	}
	if n := count(content); n > 0 {
		t.addSilencer(it.At.Path, n, t.ref.Scanners != nil)
	}
}

func (t *target) addSilencer(what string, n int, obeyed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.silencers[audit.Silencer{Target: t.Name, What: what, Obeyed: obeyed}] += n
	}
}

// placeName says in words where an item lies, for gaps and logs.
func placeName(l audit.Location) string {
	var parts []string
	if l.Path != "" {
		parts = append(parts, strconv.Quote(l.Path))
	}
	if l.Name != "" {
		parts = append(parts, strconv.Quote(l.Name))
	}
	if l.Commit != "" {
		parts = append(parts, "at "+l.Commit)
	}
	if len(parts) == 0 && l.Object != "" {
		parts = append(parts, "object "+l.Object)
	}
	if len(parts) == 0 {
		return "content"
	}
	return strings.Join(parts, " ")
}
