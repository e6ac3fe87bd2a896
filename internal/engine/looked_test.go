package engine

import "testing"

// What is remembered of names is bounded, and of as many as that all are known.
func TestLooked(t *testing.T) {
	d := looked{}
	for n := range uint64(maxDigests) {
		if !d.first(n) || d.first(n) {
			t.Fatal(n, "is not looked at once")
		}
	}
	if d.first(0) {
		t.Error("forgotten before there are too many")
	}
	for n := range uint64(3 * maxDigests) {
		d.first(n << 32)
		if len(d) > maxDigests {
			t.Fatal("remembers", len(d))
		}
	}
}
