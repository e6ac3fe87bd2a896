package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A State is how far a run has come, whoever works on it.
type State struct {
	Known    int  // targets so far
	Listing  bool // more of them may become known
	Done     int  // of them, those that failed too
	Failed   int
	Findings int
	Quotas   []Quota
}

// A Quota is what an API still grants.
type Quota struct {
	API              string
	Limit, Remaining int       // requests; a Limit of 0 is not known
	Reset            time.Time // when it is filled again
	Until            time.Time // no request is sent before; zero if some are
}

// window is the time that the rate is taken over: what has come of the last minutes tells more of the next ones than the start does, and one
// large target does not stop the clock.
const window = 5 * time.Minute

// maxColumns is the widest that the line of a sweep becomes: all that it has fits.
const maxColumns = 139

// A sweep is the display of a run with several targets.
type sweep struct {
	State
	columns int
	asked   time.Time
	samples []sample // of the last window, the oldest first
}

// A sample says how many targets were done at some time.
type sample struct {
	at   time.Time
	done int
}

func (s *sweep) add(state State, now time.Time) {
	s.State = state
	s.samples = append(s.samples, sample{now, state.Done})
	for len(s.samples) > 2 && now.Sub(s.samples[1].at) >= window {
		s.samples = s.samples[1:]
	}
}

// rate is how many targets a second are done; 0 while none was.
func (s *sweep) rate() float64 {
	if len(s.samples) == 0 {
		return 0
	}
	first, last := s.samples[0], s.samples[len(s.samples)-1]
	if last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / last.at.Sub(first.at).Seconds()
}

// A part is a piece of the line. Where the line is short, those that matter least are left out.
type part struct {
	text   string
	matter int
}

func (s *sweep) line(bar bool, now time.Time, elapsed time.Duration) string {
	known := fmt.Sprint(s.Known)
	if s.Listing {
		known += "+"
	}
	parts := []part{{fmt.Sprintf("%d/%s targets", s.Done, known), 9}}
	if s.Failed > 0 {
		parts = append(parts, part{fmt.Sprintf("%d failed", s.Failed), 7})
	}
	rate := s.rate()
	if rate > 0 {
		parts = append(parts, part{speed(rate), 4})
	}
	parts = append(parts, part{fmt.Sprintf("%d findings", s.Findings), 5})
	if q, ok := tightest(s.Quotas, now); ok {
		matter := 3
		if q.waits(now) {
			matter = 6
		}
		parts = append(parts, part{q.text(now), matter})
	}
	// While targets are still being listed nobody knows how many there are, and no time that is left would be true.
	if rate > 0 && !s.Listing && s.Done < s.Known {
		parts = append(parts, part{short(time.Duration(float64(s.Known-s.Done)/rate*float64(time.Second))) + " left", 8})
	} else {
		parts = append(parts, part{short(elapsed), 8})
	}
	if !bar {
		return joined(parts)
	}
	front := gauge(float64(s.Done)/float64(s.Known), !s.Listing, elapsed) + " "
	for len(parts) > 1 && len([]rune(front+joined(parts))) > s.columns {
		least := slices.MinFunc(parts, func(a, b part) int { return a.matter - b.matter })
		parts = slices.DeleteFunc(parts, func(p part) bool { return p == least })
	}
	r := []rune(front + joined(parts))
	return string(r[:min(len(r), s.columns)])
}

func joined(parts []part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
	}
	return strings.Join(texts, " · ")
}

// speed is a rate in the unit in which it is not a fraction.
func speed(rate float64) string {
	switch {
	case rate >= 1:
		return fmt.Sprintf("%.1f/s", rate)
	case rate*60 >= 1:
		return fmt.Sprintf("%.1f/min", rate*60)
	}
	return fmt.Sprintf("%.1f/h", rate*3600)
}

// tightest is the quota that will stop the run first, or has.
func tightest(qs []Quota, now time.Time) (Quota, bool) {
	qs = slices.DeleteFunc(slices.Clone(qs), func(q Quota) bool { return q.Limit == 0 && !q.waits(now) })
	if len(qs) == 0 {
		return Quota{}, false
	}
	return slices.MinFunc(qs, func(a, b Quota) int {
		switch {
		case a.waits(now) != b.waits(now):
			if a.waits(now) {
				return -1
			}
			return 1
		case a.waits(now):
			return b.Until.Compare(a.Until)
		}
		return a.Remaining*b.Limit - b.Remaining*a.Limit // by the share that is left
	}), true
}

func (q Quota) waits(now time.Time) bool { return q.Until.After(now) }

func (q Quota) text(now time.Time) string {
	if q.waits(now) {
		return name(q.API, 20) + " pauses " + short(q.Until.Sub(now))
	}
	text := fmt.Sprintf("%s %d/%d", name(q.API, 20), q.Remaining, q.Limit)
	if q.Reset.After(now) {
		text += ", resets in " + short(q.Reset.Sub(now))
	}
	return text
}
