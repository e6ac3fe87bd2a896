package match

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"testing"
)

func TestX(t *testing.T) {
	if os.Getenv("BENCH_REPO") == "" {
		t.Skip()
	}
	_ = exec.Command
	var b testing.B
	all, size := texts(&b)
	m := matcher(t)
	cnt := map[string]int{}
	cand := 0
	fp := map[string]int{}
	for _, tx := range all {
		for _, h := range m.finder.scan(tx, 0, len(tx), nil) {
			cnt[m.lits[h.lit]]++
		}
		for i := 0; i+3 <= len(tx); i++ {
			w := uint64(tx[i]) | uint64(tx[i+1])<<8 | uint64(tx[i+2])<<16 | 0x202020
			if m.finder.flag[triple(w)] != 0 {
				cand++
				if cand%7 == 0 {
					fp[fmt.Sprintf("%q", string([]byte{byte(w), byte(w >> 8), byte(w >> 16)}))]++
				}
			}
		}
	}
	fmt.Println(size, cand)
	for _, c := range []map[string]int{cnt, fp} {
		var k []string
		for x := range c {
			k = append(k, x)
		}
		sort.Slice(k, func(i, j int) bool { return c[k[i]] > c[k[j]] })
		for _, x := range k[:min(45, len(k))] {
			fmt.Print(x, " ", c[x], "; ")
		}
		fmt.Println()
	}
}
