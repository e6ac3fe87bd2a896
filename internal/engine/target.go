package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
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

	mu       sync.Mutex // guards all below
	closed   bool       // the target's result is made: what comes later is dropped
	found    []scanned
	unplaced map[string][]scanned // findings in contents whose places are not known yet, by object
	placed   map[string]bool      // objects that a place was listed for
	lines    map[seen]bool        // which secret lies on which lines of which object
	texts    map[string][]uint32  // digests of the lines of objects that hold a secret
	textSize int                  // lines in texts
	pair     comparison           // the last one
	gaps     []audit.Gap
	entries  []audit.Entry
	items    int
	bytes    int64
	held     int // findings in found and unplaced
	dropped  int // findings above maxPerTarget
}

// What a report holds of one content and of one target, in findings. Thousands of credentials in one file are planted or a list
// for tests: the first ones tell as much as all of them, and what is scanned must not decide how much memory that takes.
const (
	maxPerItem   = 10_000
	maxPerTarget = 200_000
)

// seen says that a secret lies in an object on lines with that digest.
type seen struct {
	object, fingerprint string
	lines               uint64
}

// maxTexts bounds the lines whose digests are kept, 4 bytes each: enough for some thousand versions of a file of 2000 lines.
const maxTexts = 8 << 20

// A comparison of two contents: which lines of the object are not those of the one before.
type comparison struct {
	before, object string
	added          []bool // nil if unknown
}

// target scans one target and adds what it holds to the run. An error says that it ended early.
func (r *run) target(ctx context.Context, ref Ref, at audit.Target) error {
	r.Progress.Target(at.Name, at.Kind)
	t := &target{
		run: r, Target: at, ref: ref, scanners: ref.Scanners, seed: maphash.MakeSeed(),
		unplaced: map[string][]scanned{}, placed: map[string]bool{}, lines: map[seen]bool{}, texts: map[string][]uint32{},
	}
	if t.scanners == nil {
		t.scanners = r.Scanners
	}
	err := t.scan(ctx)
	t.wait(ctx)
	t.settleDangling(err == nil && ctx.Err() == nil)
	if t.dropped > 0 {
		t.gap("further findings", fmt.Sprintf("more than %d places of findings in one target: %d left out", maxPerTarget, t.dropped))
	}
	status, reason := audit.Scanned, ""
	switch {
	case ctx.Err() != nil:
		status, reason = audit.Partial, "interrupted"
	case errors.Is(err, audit.ErrNothing):
		status, reason = audit.Skipped, err.Error()
	case err != nil:
		status, reason = audit.Failed, err.Error()
	case len(t.gaps) > 0:
		status = audit.Partial
	}
	r.addGaps(at.Name, t.gaps...)
	r.cover(audit.Coverage{Target: at.Name, Kind: at.Kind, Status: status, Items: t.items, Bytes: t.bytes, Reason: reason, URL: at.URL})
	r.take(t)
	r.Progress.Finished(at.Name, status)
	return err
}

// scan lists the target's items and hands them to the workers. Contents come first; with the first place all of them must
// be done, because a place is matched with what its content was found to hold.
func (t *target) scan(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil { // a defect of the provider's; the other targets go on
			t.Log.Error("provider panicked", "target", t.Name, "stack", string(debug.Stack()))
			err = errors.New("listing stopped by an internal error")
		}
	}()
	places := false
	for it, err := range t.ref.Provider.Items(ctx, t.Target) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			t.gap(gap.What, gap.Why)
			continue
		}
		if err != nil {
			return err
		}
		if it.At.Target == "" {
			it.At.Target = t.Name
		}
		if it.Entry != nil {
			t.mu.Lock()
			t.entries = append(t.entries, *it.Entry)
			t.mu.Unlock()
		}
		if s := it.Silencer; s != nil {
			t.addSilencer(t.Name, s.What, s.Count, s.Obeyed)
		}
		if it.Kind == audit.KindPlace {
			if !places {
				t.wait(ctx)
				places = true
			}
			t.place(ctx, it)
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
		select {
		case t.work <- do:
		case <-ctx.Done():
			t.pending.Done()
			if it.Done != nil {
				it.Done()
			}
			return ctx.Err()
		}
	}
	return nil
}

// wait waits until all items are scanned. Once the run was interrupted it leaves behind what is not done shortly: a scan cannot be
// broken off, and of a large content it takes its time.
func (t *target) wait(ctx context.Context) {
	if done(ctx, &t.pending) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// grace is how long an interrupted run waits for scans that have begun. People press ctrl-C once more after a second.
const grace = 200 * time.Millisecond

// done waits for wg, and once ctx ends for grace at most. It tells whether wg was done.
func done(ctx context.Context, wg *sync.WaitGroup) bool {
	all := make(chan struct{})
	go func() {
		wg.Wait()
		close(all)
	}()
	select {
	case <-all:
		return true
	case <-ctx.Done():
	}
	select {
	case <-all:
		return true
	case <-time.After(grace):
		return false
	}
}

func (t *target) gap(what, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.gaps = append(t.gaps, audit.Gap{Target: t.Name, What: what, Why: why})
}

// item reads an item's content, if some scanner wants it, and scans it.
func (t *target) item(ctx context.Context, it audit.Item) {
	if it.Done != nil {
		defer it.Done()
	}
	if !slices.ContainsFunc(t.scanners, func(s audit.Scanner) bool { return s.Wants(it) }) || ctx.Err() != nil {
		return
	}
	content := it.Content
	if content == nil {
		var release func()
		var err error
		content, release, err = t.read(ctx, it)
		if err != nil {
			if ctx.Err() == nil {
				t.gap(placeName(it.At), err.Error())
			}
			return
		}
		defer release()
	}
	t.countSilencer(it, content)
	fs := t.scanContent(it, content)
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
			t.unplaced[it.Object] = append(t.unplaced[it.Object], f)
		} else {
			t.found = append(t.found, f)
		}
		t.note(it.Object, f)
	}
	t.remember(it.Object, content, fs)
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

// remember keeps the lines of an object that holds a secret, to compare it with the one before it. t.mu is held.
func (t *target) remember(object string, content []byte, fs []scanned) {
	if object == "" || t.texts[object] != nil || !slices.ContainsFunc(fs, func(f scanned) bool { return f.Secret != nil }) {
		return
	}
	if n := bytes.Count(content, []byte{'\n'}) + 1; t.textSize+n <= maxTexts {
		t.textSize += n
		t.texts[object] = lineDigests(t.seed, content)
	}
}

// read opens an item within the limits of size and of bytes held at once.
func (t *target) read(ctx context.Context, it audit.Item) (content []byte, release func(), err error) {
	hold := min(max(it.Size, 1), maxReading)
	if it.Size > MaxContent {
		return nil, nil, tooLarge(it.Size)
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
	content = make([]byte, 0, min(max(it.Size, 0), MaxContent)+1)
	for {
		if len(content) == cap(content) {
			content = append(content, 0)[:len(content)]
		}
		n, err := rc.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if len(content) > MaxContent {
			return nil, nil, tooLarge(-1)
		}
		if err == io.EOF {
			return content, func() { t.reading.Release(hold) }, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading: %w", err)
		}
	}
}

func tooLarge(size int64) error {
	if size < 0 {
		return fmt.Errorf("not read: larger than %d MiB", MaxContent>>20)
	}
	return fmt.Errorf("not read: %d MiB, larger than %d MiB", size>>20, MaxContent>>20)
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
					fs, gaps = nil, []audit.Gap{{What: placeName(it.At), Why: "scanning stopped by an internal error"}}
				}
			}()
			return s.Scan(it, content)
		}()
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
			for j := range f.Locations {
				f.Locations[j] = inherit(f.Locations[j], it.At)
			}
			if len(f.Locations) == 0 {
				f.Locations = []audit.Location{it.At}
			}
			f.Locations[0].Object = it.Object
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

// place matches a place with what its content was found to hold, and has the scanners that go by paths look at it.
//
// A content that holds a secret on the same lines as the content it replaced was changed elsewhere: the place is no new
// appearance of the secret, unless the change moved those lines. Where it is the current one it is still listed, without a commit,
// as the place to mend.
func (t *target) place(ctx context.Context, it audit.Item) {
	t.countSilencerPlace(ctx, it)
	t.mu.Lock()
	t.placed[it.Object] = true
	for _, f := range t.unplaced[it.Object] {
		own := f.Locations[0]
		loc := inherit(own, it.At)
		loc.Object = it.Object
		if strings.HasPrefix(own.Path, "!") {
			loc.Path = it.At.Path + own.Path
		}
		t.add(f, loc, it)
	}
	t.mu.Unlock()
	if it.Open == nil || !slices.ContainsFunc(t.scanners, func(s audit.Scanner) bool { return s.Wants(it) }) {
		return
	}
	content, release, err := t.read(ctx, it)
	if err != nil {
		if ctx.Err() == nil {
			t.gap(placeName(it.At), err.Error())
		}
		return
	}
	defer release()
	fs := t.scanContent(it, content)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remember(it.Object, content, fs)
	for _, f := range fs {
		t.note(it.Object, f)
		t.add(f, f.Locations[0], it)
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
	if loc.InHead {
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
		before, after := t.texts[it.Prev], t.texts[it.Object]
		if before != nil && after != nil {
			p.added = addedLines(before, after)
		}
	}
	return allAdded(t.pair.added, loc.Line, max(loc.Line, loc.EndLine))
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
		for _, f := range fs {
			f.Locations[0].Name = name
			f.Locations[0].Object = object
			if f.Keep == nil || f.Keep(f.Locations[0]) {
				t.found = append(t.found, f)
			}
		}
	}
}

// countSilencerPlace counts the entries of an ignore file in the current tree of a repository.
func (t *target) countSilencerPlace(ctx context.Context, it audit.Item) {
	if it.Open == nil || !it.At.InHead || t.SilencerFiles[it.At.Path] == nil {
		return
	}
	content, release, err := t.read(ctx, it)
	if err != nil {
		t.gap(placeName(it.At), err.Error())
		return
	}
	defer release()
	t.countSilencer(it, content)
}

func (t *target) countSilencer(it audit.Item, content []byte) {
	count := t.SilencerFiles[it.At.Path]
	if count == nil || t.ref.Ignore != nil && t.ref.Ignore.What == it.At.Path {
		return
	}
	if n := count(content); n > 0 {
		t.addSilencer(t.Name, it.At.Path, n, t.ref.Scanners != nil)
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
