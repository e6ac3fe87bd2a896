// Package progress shows on stderr how far a run has come: a bar on a terminal, a line every half minute elsewhere.
//
// What this process does is counted as it is told. Of a run with several targets, other processes may do a part: how far it has come as a
// whole is asked for, see [Progress.Follow].
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/leakreach/leakreach/audit"
)

// The display's rhythm.
const (
	redraw = 200 * time.Millisecond // five a second: smooth to the eye, nothing to the work
	every  = 30 * time.Second       // a CI log is read afterwards; a job that says nothing for minutes is killed
	asking = 3 * time.Second        // how often the state is asked for: several processes may, and targets take seconds
)

// Progress counts the work and shows it. Its methods are safe for concurrent use and cheap: items only add to counters.
type Progress struct {
	w      io.Writer
	bar    bool
	now    func() time.Time
	start  time.Time
	stop   chan struct{}
	closed sync.WaitGroup
	once   sync.Once

	items, bytes            atomic.Int64
	expected                atomic.Int64
	targets, done, failures atomic.Int64

	mu     sync.Mutex // guards the terminal's line and all below
	drawn  bool
	names  []string // targets in work, in the order they began
	run    string   // its id, once it has begun
	follow func(run string) (State, error)
	cancel context.CancelFunc // ends what follow asks
	sweep  sweep
}

// New starts showing progress on w. The mode is "off", "plain" (lines) or "auto": a bar if w is a terminal, lines otherwise. Width is that of
// the terminal, or 0 if it is not known.
func New(w io.Writer, mode string, terminal bool, width int) *Progress {
	bar := mode == "auto" && terminal
	interval := every
	if bar {
		interval = redraw
	}
	return start(w, mode, bar, width, time.Tick(interval), time.Now)
}

func start(w io.Writer, mode string, bar bool, width int, ticks <-chan time.Time, now func() time.Time) *Progress {
	p := &Progress{w: w, bar: bar, now: now, start: now(), stop: make(chan struct{}), cancel: func() {}}
	p.sweep.columns = columns
	if width > columns {
		p.sweep.columns = min(width-1, maxColumns)
	}
	if mode == "off" {
		return p
	}
	p.closed.Go(func() {
		for {
			select {
			case <-p.stop:
				return
			case <-ticks:
				p.ask()
				p.show()
			}
		}
	})
	return p
}

// Follow has the display ask for the state of the run, by its id, every few seconds until ctx ends.
func (p *Progress) Follow(ctx context.Context, look func(ctx context.Context, run string) (State, error)) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel, p.follow = cancel, func(run string) (State, error) { return look(ctx, run) }
}

// Begun says under which id the run is stored.
func (p *Progress) Begun(run string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = run
}

// ask asks for the state of the run, if it is time. A store that does not answer shows: the display stands still.
func (p *Progress) ask() {
	p.mu.Lock()
	run, follow, due := p.run, p.follow, p.now().Sub(p.sweep.asked) >= asking
	p.mu.Unlock()
	if run == "" || follow == nil || !due {
		return
	}
	s, err := follow(run)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep.asked = p.now()
	if err == nil {
		p.sweep.add(s, p.now())
	}
}

// Target says that work on a target begins.
func (p *Progress) Target(name string, _ audit.TargetKind) {
	p.targets.Add(1)
	p.mu.Lock()
	p.names = append(p.names, name)
	p.mu.Unlock()
}

// Expect says that n more items are to come than was known before. Without it there is neither a share nor a time left to show.
func (p *Progress) Expect(n int64) { p.expected.Add(n) }

// Items adds n items of bytes in all.
func (p *Progress) Items(n int, bytes int64) {
	p.items.Add(int64(n))
	p.bytes.Add(bytes)
}

// Finished says that work on a target ended.
func (p *Progress) Finished(name string, status audit.Status) {
	p.done.Add(1)
	if status == audit.Failed {
		p.failures.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, n := range p.names {
		if n == name {
			p.names = append(p.names[:i], p.names[i+1:]...)
			break
		}
	}
}

// Write passes b on to the writer without a bar in its way, for what else goes to stderr in the meantime.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.w.Write(b)
}

// Close ends the display and clears the bar. It may be called more than once.
func (p *Progress) Close() {
	p.mu.Lock()
	p.cancel()
	p.mu.Unlock()
	p.once.Do(func() { close(p.stop) })
	p.closed.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.drawn {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *Progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := max(p.now().Sub(p.start), time.Millisecond)
	line := ""
	if p.sweep.Known > 1 {
		line = p.sweep.line(p.bar, p.now(), elapsed)
	} else {
		line = p.line(elapsed)
	}
	if !p.bar {
		_, _ = fmt.Fprintln(p.w, "leakreach: "+line)
		return
	}
	_, _ = io.WriteString(p.w, "\r\x1b[K"+line)
	p.drawn = true
}

// line is the state in at most 79 columns, so that it never wraps and can be cleared.
func (p *Progress) line(elapsed time.Duration) string {
	items, bytes := p.items.Load(), p.bytes.Load()
	parts := []string{
		fmt.Sprintf("%d/%d targets", p.done.Load(), p.targets.Load()),
		fmt.Sprintf("%d items", items), size(bytes), size(int64(float64(bytes)/elapsed.Seconds())) + "/s",
	}
	if n := p.failures.Load(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	share := float64(items) / float64(max(p.expected.Load(), 1))
	if p.expected.Load() > 0 && items > 0 && share < 1 {
		left := time.Duration(float64(elapsed) * (1 - share) / share)
		parts = append(parts, short(left)+" left")
	} else {
		parts = append(parts, short(elapsed))
	}
	text := strings.Join(parts, " · ")
	if !p.bar {
		return text
	}
	text = gauge(share, p.expected.Load() > 0, elapsed) + " " + text
	if room := columns - len([]rune(text)) - 3; room >= 8 && len(p.names) > 0 {
		text += " · " + name(p.names[0], room)
	}
	if r := []rune(text); len(r) > columns {
		text = string(r[:columns])
	}
	return text
}

const columns = 79

// gauge is a bar of ten cells: filled to the share, or with a cell that wanders where the whole is not known.
func gauge(share float64, known bool, elapsed time.Duration) string {
	const cells = 10
	bar := []rune(strings.Repeat("─", cells))
	if !known {
		step := int(elapsed/redraw) % (2*cells - 2)
		bar[min(step, 2*cells-2-step)] = '█'
		return "▕" + string(bar) + "▏"
	}
	for i := range int(min(share, 1) * cells) {
		bar[i] = '█'
	}
	return "▕" + string(bar) + "▏"
}

// name shows a target in room columns. It comes from outside: what a terminal could obey or cannot show in one column
// becomes a question mark.
func name(s string, room int) string {
	r := []rune(s)
	for i, c := range r {
		if c > 0x2ff || !unicode.IsPrint(c) {
			r[i] = '?'
		}
	}
	if len(r) > room {
		r = append(append(r[:room/2:room/2], '…'), r[len(r)-(room-room/2-1):]...)
	}
	return string(r)
}

func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

func size(n int64) string {
	switch {
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	case n < 1_000_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
