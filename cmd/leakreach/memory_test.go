package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// TestBoundGarbage has little in use at first, and then much more than the floor.
func TestBoundGarbage(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	const floor = 1 << 30
	boundGarbage(floor)
	if p := percent(); p < 100 {
		t.Errorf("%d %% with little in use", p)
	}
	const third = 33
	held := make([]byte, 64<<20)
	boundGarbage(1 << 20)
	for range 1000 { // the runtime calls when it has time
		if runtime.GC(); percent() == third {
			break
		}
	}
	if p := percent(); p != third {
		t.Errorf("%d %% with much in use", p)
	}
	runtime.KeepAlive(held)
}
