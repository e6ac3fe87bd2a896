package forge

import (
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
