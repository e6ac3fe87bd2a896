package forge

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func TestCount(t *testing.T) {
	for _, n := range []int{0, 1, 10, 11, 12, 999} {
		c, err := Count(func(yield func(audit.Target, error) bool) {
			_ = yield(audit.Target{Kind: audit.TargetOrganisation}, nil) && yield(audit.Target{}, &audit.Gap{What: "x"})
			for i := range n {
				size := int64(10)
				if i == 3 {
					size = math.MaxInt64
				}
				if !yield(audit.Target{Kind: audit.TargetRepository, Name: fmt.Sprint(i), Size: size, Attrs: map[string]string{"private": strconv.FormatBool(i%2 == 0)}}, nil) {
					return
				}
			}
		})
		if err != nil || c.Repositories != n || c.Private != (n+1)/2 || c.Gaps != 1 || len(c.Owners) != 1 {
			t.Errorf("%d: %+v, %v", n, c, err)
		}
		if len(c.Sample) > mostCounted || len(c.Sample) < min(n, mostCounted/2) {
			t.Errorf("%d: a sample of %d", n, len(c.Sample))
		}
		if last := len(c.Sample) - 1; n == 999 && c.Sample[last].Name < "8" {
			t.Errorf("the sample ends with %s", c.Sample[last].Name)
		}
		if got := c.All(int64(2 * len(c.Sample))); got != int64(2*n) {
			t.Errorf("%d: two of each are %d", n, got)
		}
	}
}

// Repositories that refuse to tell are taken to be as the others; where all refuse, that is said.
func TestReckon(t *testing.T) {
	c := Census{Repositories: 100}
	for i := range 10 {
		c.Sample = append(c.Sample, audit.Target{Name: strconv.Itoa(i)})
	}
	refusing := func(n int) Reckoning {
		t.Helper()
		r, err := c.Reckon(t.Context(), 2, func(x audit.Target) ([]int64, error) {
			if i, _ := strconv.Atoi(x.Name); i < n {
				return nil, &Error{API: "x", Status: 403}
			}
			return []int64{3, -1}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for n, want := range map[int]string{
		0:  "3 things, reckoned from 10 repositories",
		9:  "3 things, reckoned from 1 repository; 9 more refused, and are taken to be as those: 403 Forbidden",
		10: "how much there is cannot be told: all of 10 repositories refused: 403 Forbidden",
	} {
		r := refusing(n)
		calls := 300
		if n == 10 {
			calls = 200
		}
		if got := r.Note("%d things", 3); got != want || r.Calls(0, 200) != calls || r.All[1] != 0 {
			t.Errorf("%d: %q, %d calls, %v", n, got, r.Calls(0, 200), r.All)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Reckon(ctx, 1, func(audit.Target) ([]int64, error) { return nil, ctx.Err() }); err == nil {
		t.Error("it was broken off, and is no error")
	}
}
