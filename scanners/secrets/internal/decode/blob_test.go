package decode

import (
	"math/rand/v2"
	"testing"
)

// byEveryByte is what judge answers, found by decoding everything.
func byEveryByte(a alphabet, chars []byte) verdict {
	decoded := a.decode(nil, chars)
	if len(decoded) < 8 {
		return noise
	}
	if v := magic(decoded[:8]); v != noise {
		return v
	}
	var row, longest, pairs, most int // since the last byte that is not text
	all, last := true, byte(0)
	for _, c := range decoded {
		switch {
		case c == 0:
			row = 0
		case legible[c]:
			row++
			if last == 0 {
				pairs++
			}
		default:
			all, row, pairs = false, 0, 0
		}
		longest, most, last = max(longest, row), max(most, pairs), c
	}
	if longest >= minText || most >= minText || all && (longest == len(decoded) || most >= 6) {
		return textual
	}
	return noise
}

// Judging by every few groups misses nothing and finds no more: in runs of every length whose bytes are text here and there, be it
// UTF-16, for about as long as it takes.
func TestJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 7))
	alphabets := []struct {
		alphabet
		chars string
	}{
		{base64s, letters + "abcdefghijklmnopqrstuvwxyz0123456789+/"},
		{base32s, letters + "234567"},
		{base16s, "0123456789abcdef"},
	}
	counts := map[verdict]int{}
	for range 200_000 {
		a := alphabets[r.IntN(len(alphabets))]
		var raw []byte
		for range 1 + r.IntN(4) {
			kind, n := r.IntN(4), r.IntN(2*minText+4)
			for range n {
				switch kind {
				case 0:
					raw = append(raw, byte(r.IntN(256)))
				case 1:
					raw = append(raw, byte(' '+r.IntN(95)))
				case 2:
					raw = append(raw, byte(' '+r.IntN(95)), 0)
				case 3:
					raw = append(raw, 0x80, "a\x00\n"[r.IntN(3)])
				}
			}
		}
		if r.IntN(20) == 0 {
			raw = append([]byte("\x1f\x8b\x08"), raw...)
		}
		var chars []byte
		acc, n := uint32(0), 0
		for _, c := range raw {
			acc, n = acc<<8|uint32(c), n+8
			for ; n >= a.bits; n -= a.bits {
				chars = append(chars, a.chars[acc>>(n-a.bits)&(1<<a.bits-1)])
			}
		}
		chars = chars[min(r.IntN(4), len(chars)):] // text that does not begin with a group
		want := byEveryByte(a.alphabet, chars)
		if got := a.judge(chars); got != want {
			t.Fatalf("%d bits, %q: %v, want %v", a.bits, chars, got, want)
		}
		counts[want]++
	}
	if counts[noise] < 1000 || counts[textual] < 1000 || counts[packed] < 1000 {
		t.Error("not much of a test:", counts)
	}
}
