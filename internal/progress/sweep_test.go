package progress

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestSweep: a run with several targets is shown as the store knows it, not as this process does.
func TestSweep(t *testing.T) {
	p, tick, _ := display(t, "plain", false)
	start := p.start
	state, failing := State{Known: 40, Listing: true}, false
	p.Follow(t.Context(), func(_ context.Context, run string) (State, error) {
		if run != "r1" {
			t.Errorf("asked for run %q", run)
		}
		if failing {
			return State{}, errors.New("away")
		}
		return state, nil
	})
	line := func(after time.Duration) string {
		text, _, _ := strings.Cut(tick(after), "\n")
		return strings.TrimPrefix(text, "leakreach: ")
	}
	if got := line(time.Second); !strings.HasPrefix(got, "0/0 targets") {
		t.Errorf("before the run has begun: %q", got)
	}
	p.Begun("r1")
	for _, c := range []struct {
		after time.Duration
		state State
		want  string
	}{
		{9 * time.Second, State{Known: 40, Listing: true}, "0/40+ targets · 0 findings · 10 s"},
		{30 * time.Second, State{Known: 200, Done: 60, Failed: 2, Findings: 7, Listing: true}, "60/200+ targets · 2 failed · 2.0/s · 7 findings · 40 s"},
		{
			30 * time.Second, State{Known: 240, Done: 120, Findings: 7, Quotas: []Quota{
				{API: "gitlab", Limit: 1000, Remaining: 900},
				{API: "github", Limit: 5000, Remaining: 3120, Reset: start.Add(70*time.Second + 12*time.Minute)},
				{API: "new"},
			}},
			"120/240 targets · 2.0/s · 7 findings · github 3120/5000, resets in 12 min · 1 min left",
		},
		{
			30 * time.Second, State{Known: 240, Done: 120, Quotas: []Quota{
				{API: "gitlab", Limit: 1000, Remaining: 1}, {API: "github", Until: start.Add(100*time.Second + 8*time.Minute)},
			}},
			"120/240 targets · 1.3/s · 0 findings · github pauses 8 min · 1 min left",
		},
		{10 * time.Minute, State{Known: 240, Done: 121}, "121/240 targets · 6.0/h · 0 findings · 19 h 50 min left"},
		{time.Second, State{Known: 240, Done: 240}, "121/240 targets"}, // it is not asked again so soon
	} {
		state = c.state
		if got := line(c.after); !strings.HasPrefix(got, c.want) {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
	}
	failing = true
	if got := line(time.Minute); !strings.HasPrefix(got, "121/240") {
		t.Errorf("while the store is away: %q", got)
	}
	p.Close()
}

// TestSweepIsOneLine: whatever the width, the line never wraps, and what matters most stays.
func TestSweepIsOneLine(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	state := State{Known: 48912, Done: 21306, Failed: 17, Findings: 1204, Quotas: []Quota{{API: "gith\x1bub", Limit: 15000, Remaining: 3120, Reset: now.Add(time.Hour)}}}
	whole := "▕████──────▏ 21306/48912 targets · 17 failed · 355.1/s · 1204 findings · gith?ub 3120/15000, resets in 1 h 0 min · 1 min left"
	for width := range 200 {
		p := start(nil, "off", true, width, nil, func() time.Time { return now })
		p.sweep.add(State{}, now.Add(-time.Minute))
		p.sweep.add(state, now)
		line := p.sweep.line(true, now, time.Minute)
		if n := len([]rune(line)); n > 79 && n >= width || n > maxColumns || strings.ContainsRune(line, '\x1b') {
			t.Errorf("width %d: %d columns: %q", width, n, line)
		}
		if !strings.HasPrefix(line, "▕████──────▏ 21306/48912 targets · 17 failed") || !strings.HasSuffix(line, "left") {
			t.Errorf("width %d: %q", width, line)
		}
		if (line == whole) != (width > len([]rune(whole))) {
			t.Errorf("width %d: %q", width, line)
		}
	}
}

// TestFollowEnds: closing the display ends what it asks for.
func TestFollowEnds(t *testing.T) {
	ticks := make(chan time.Time)
	p := start(&buffer{}, "plain", false, 0, ticks, time.Now)
	asked := make(chan struct{})
	p.Follow(t.Context(), func(ctx context.Context, _ string) (State, error) {
		close(asked)
		<-ctx.Done()
		return State{}, ctx.Err()
	})
	p.Begun("r1")
	ticks <- time.Now()
	<-asked
	p.Close()
}
