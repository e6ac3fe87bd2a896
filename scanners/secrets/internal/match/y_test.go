package match

import (
	"fmt"
	"testing"
	"time"
)

func TestY(t *testing.T) {
	m := matcher(t)
	t0 := time.Now()
	for _, r := range m.rules {
		if r.Regex == "" {
			continue
		}
		t1 := time.Now()
		r.compile(m.lits)
		if d := time.Since(t1); d > 3*time.Millisecond {
			fmt.Print(r.ID, " ", d, "; ")
		}
		if !r.anchored || r.own != nil || r.reach > 70 {
			fmt.Println(r.ID, r.anchored, r.own != nil, r.reach, r.wide, r.length)
		}
	}
	fmt.Println(time.Since(t0))
}
