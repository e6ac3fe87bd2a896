package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/leakreach/leakreach/audit"
)

// A Census is what a listing of targets tells of what a scan of them takes.
type Census struct {
	Owners       []audit.Target // organisations, groups, users, the instance
	Repositories int
	Wikis        int // that there may be
	Gists        int
	Private      int
	Bytes        int64          // of repositories, as the forge has it
	Sample       []audit.Target // of repositories, from all over the listing
	Gaps         int
}

// mostCounted is how many repositories are looked at to reckon what all have of something: more tell hardly more, and each costs requests.
const mostCounted = 10

// Count makes a census.
func Count(targets iter.Seq2[audit.Target, error]) (c Census, err error) {
	stride := 1
	for t, err := range targets {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			c.Gaps++
		case err != nil:
			return c, err
		case t.Kind == audit.TargetWiki:
			c.Wikis++
		case t.Kind == audit.TargetGist:
			c.Gists++
		case t.Kind != audit.TargetRepository:
			c.Owners = append(c.Owners, t)
		default:
			if c.Repositories%stride == 0 {
				c.Sample = append(c.Sample, t)
			}
			if len(c.Sample) > mostCounted { // half of them are as far apart as all are to be from now on
				stride *= 2
				kept := c.Sample[:0]
				for i := 0; i < len(c.Sample); i += 2 {
					kept = append(kept, c.Sample[i])
				}
				c.Sample = kept
			}
			c.Repositories++
			c.Bytes = addSizes(c.Bytes, t.Size)
			if !IsPublic(t) {
				c.Private++
			}
		}
	}
	return c, nil
}

// addSizes adds sizes that a forge told, which may be anything.
func addSizes(a, b int64) int64 {
	if b < 0 || a > math.MaxInt64-b {
		return a
	}
	return a + b
}

// String says what was listed.
func (c Census) String() string {
	text := fmt.Sprintf("%s, %d private", Number(int64(c.Repositories), "repository", "repositories"), c.Private)
	if n := len(c.Owners); n > 0 {
		text += ", and what hands down to them: " + Number(int64(n), "target", "targets")
	}
	if c.Wikis > 0 {
		text += ", up to " + Number(int64(c.Wikis), "wiki", "wikis")
	}
	if c.Gists > 0 {
		text += ", " + Number(int64(c.Gists), "gist", "gists")
	}
	if c.Gaps > 0 {
		text += ", " + Number(int64(c.Gaps), "gap", "gaps")
	}
	return text
}

// Number is how many there are of something.
func Number(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// All reckons from what the sample has what all repositories have.
func (c Census) All(ofSample int64) int64 { return c.all(ofSample, len(c.Sample)) }

// all is All where only some of the sample have told.
func (c Census) all(ofSample int64, told int) int64 {
	if told == 0 || ofSample <= 0 {
		return 0
	}
	all := float64(ofSample) / float64(told) * float64(c.Repositories)
	return int64(min(math.Ceil(all), 1<<53))
}

// mostTold is more than any repository has of something, bytes included: numbers come from outside.
const mostTold = 1 << 40

// A Reckoning is what a sample tells of all repositories.
type Reckoning struct {
	All     []int64 // of each thing that was counted
	asked   int
	told    int
	refusal error // why others did not
}

// Reckon counts things of each repository of the sample, and reckons what all have of each. Repositories that refuse to tell are taken to be as the
// others: a token that may read them later finds as much.
func (c Census) Reckon(ctx context.Context, things int, count func(audit.Target) ([]int64, error)) (r Reckoning, err error) {
	r.All, r.asked = make([]int64, things), len(c.Sample)
	for _, t := range c.Sample {
		counts, err := count(t)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil {
			r.refusal = cmp.Or(r.refusal, err)
			continue
		}
		r.told++
		for i, n := range counts {
			r.All[i] += min(max(n, 0), mostTold)
		}
	}
	for i, sum := range r.All {
		r.All[i] = c.all(sum, r.told)
	}
	return r, nil
}

// Calls are requests, the n-th thing that was counted. Where nobody tells, a scan is refused as often.
func (r Reckoning) Calls(n int, refused int) int {
	if r.told == 0 && r.refusal != nil {
		return refused
	}
	return int(r.All[n])
}

// Note says what figures of so many of something rest on.
func (r Reckoning) Note(format string, numbers ...any) string {
	why := ""
	if r.refusal != nil {
		why = Gap("", "", Plain(r.refusal)).Why
	}
	if r.told == 0 && r.refusal != nil {
		return fmt.Sprintf("how much there is cannot be told: all of %s refused: %s", Number(int64(r.asked), "repository", "repositories"), why)
	}
	note := fmt.Sprintf(format, numbers...) + ", reckoned from " + Number(int64(r.told), "repository", "repositories")
	if r.refusal != nil {
		note += fmt.Sprintf("; %d more refused, and are taken to be as those: %s", r.asked-r.told, why)
	}
	return note
}

// Clones is what git takes of the repositories.
func (c Census) Clones(source audit.Sources, host string) audit.Cost {
	cost := audit.Cost{Source: source, Host: host, Calls: 3 * c.Repositories, Bytes: c.Bytes, Note: "two to learn a repository's refs, one for what is new; the bytes are those of the first scan"}
	if c.Bytes == 0 {
		cost.Note += "; the listing does not tell sizes"
	}
	return cost
}
