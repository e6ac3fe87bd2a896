package progress

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// display is a progress whose clock and ticks the test holds.
func display(t *testing.T, mode string, bar bool) (p *Progress, tick func(after time.Duration) string, out *buffer) {
	t.Helper()
	out = &buffer{}
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000, clock.Load()) }
	ticks := make(chan time.Time)
	p = start(out, mode, bar, 0, ticks, now)
	return p, func(after time.Duration) string {
		before := len(out.String())
		clock.Add(int64(after))
		ticks <- now()
		ticks <- now() // taken once the first has been shown
		return out.String()[before:]
	}, out
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestPlain(t *testing.T) {
	p, tick, _ := display(t, "auto", false)
	p.Target("github:acme/web", audit.TargetRepository)
	p.Target("github:acme/old", audit.TargetRepository)
	p.Items(500, 30_000_000)
	p.Finished("github:acme/old", audit.Failed)
	line, _, _ := strings.Cut(tick(30*time.Second), "\n")
	if want := "leakreach: 1/2 targets · 500 items · 30 MB · 1 MB/s · 1 failed · 30 s"; line != want {
		t.Errorf("line is %q, want %q", line, want)
	}
	p.Expect(2000)
	line, _, _ = strings.Cut(tick(30*time.Second), "\n")
	if want := "3 min left"; !strings.HasSuffix(line, want) {
		t.Errorf("line is %q, want it to end in %q", line, want)
	}
	p.Close()
	p.Close()
}

func TestBar(t *testing.T) {
	p, tick, out := display(t, "auto", true)
	p.Target("github:acme/\x1b[2J\u202eevil-日本-"+strings.Repeat("long", 40), audit.TargetRepository)
	p.Items(10, 1<<20)
	p.Expect(20)
	shown := tick(time.Second)
	if !strings.Contains(shown, "▕█████─────▏") || !strings.Contains(shown, "github") {
		t.Errorf("bar is %q", shown)
	}
	for line := range strings.SplitSeq(shown, "\r\x1b[K") {
		if strings.ContainsAny(line, "\x1b\u202e\n") || len([]rune(line)) > columns {
			t.Errorf("line %q would move the cursor or wrap", line)
		}
	}
	if _, err := p.Write([]byte("level=WARN\n")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "\r\x1b[Klevel=WARN\n") {
		t.Errorf("a log line stands behind the bar: %q", out.String())
	}
	tick(time.Second)
	p.Close()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("bar is left behind: %q", out.String())
	}
}

func TestOff(t *testing.T) {
	var out bytes.Buffer
	p := New(&out, "off", true, 80)
	p.Target("x", audit.TargetDirectory)
	p.Items(1, 1)
	p.Finished("x", audit.Scanned)
	p.Close()
	if out.Len() != 0 {
		t.Errorf("off prints %q", out.String())
	}
}

func TestConcurrent(t *testing.T) {
	p, tick, _ := display(t, "plain", false)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 1000 {
				p.Target("x", audit.TargetDirectory)
				p.Items(1, 10)
				p.Finished("x", audit.Scanned)
			}
		})
	}
	work.Wait()
	if line := tick(time.Second); !strings.Contains(line, "8000/8000 targets · 8000 items · 80 kB") {
		t.Errorf("counted %q", line)
	}
	p.Close()
}
