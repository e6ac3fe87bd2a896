package decode

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What is remembered of a text, and that only every third byte is looked at, changes no answer: in texts of words, parts of words and what
// resembles them, for stretches that ascend, overlap and now and then begin anew.
func TestJoined(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	const glue = "abjoinct\x00\n[]%{}01 "
	counts := map[bool]int{}
	for range 100_000 {
		var text []byte
		for range 5 + r.IntN(30) {
			part := []byte{glue[r.IntN(len(glue))]}
			if r.IntN(3) == 0 {
				part = []byte(joinWords[r.IntN(len(joinWords))])
			}
			if r.IntN(4) == 0 {
				part = bytes.ToUpper(part)
			}
			lo := r.IntN(2) * r.IntN(len(part))
			text = append(text, part[lo:lo+max(1, r.IntN(len(part)-lo+1))]...)
		}
		var s stretch
		lo := 0
		for range 12 {
			if lo = min(lo+r.IntN(4), len(text)); r.IntN(5) == 0 {
				lo = r.IntN(len(text) + 1)
			}
			hi := lo + r.IntN(len(text)-lo+1)
			want := false
			for _, w := range joinWords {
				want = want || bytes.Contains(bytes.ToLower(text[lo:hi]), []byte(w))
			}
			if got := s.joined(text, lo, hi); got != want {
				t.Fatalf("%q from %d to %d: %v", text, lo, hi, got)
			}
			counts[want]++
		}
	}
	if counts[true] < 1000 || counts[false] < 1000 {
		t.Error("not much of a test:", counts)
	}
}
