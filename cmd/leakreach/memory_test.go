package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// TestBoundGarbage has little in use at first, then less than three sixteenths of the memory, more, and as much with pointers.
func TestBoundGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	boundGarbage(1 << 30)
	within := func(what string, held any, least, most uint64) {
		t.Helper()
		var p uint64
		for range 100 { // the runtime calls when it has time
			runtime.GC()
			if p = percent(); least <= p && p <= most {
				break
			}
		}
		if p < least || p > most {
			t.Errorf("%d %% with %s in use, not %d to %d", p, what, least, most)
		}
		runtime.KeepAlive(held)
	}
	within("little", nil, 100, 1000)
	within("128 MiB", make([]byte, 128<<20), 20, 25)
	within("256 MiB", make([]byte, 256<<20), 9, 10)
	within("256 MiB of pointers", make([]*byte, 32<<20), 30, 34)
}
