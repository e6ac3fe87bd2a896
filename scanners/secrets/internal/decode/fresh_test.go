package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// viewsOf lists the views of a text of which some may be known.
func viewsOf(text []byte, of *fresh.Text) (views []string) {
	for v := range new(Decoder).Views(text, of) {
		views = append(views, fmt.Sprintf("%s %d-%d %q", strings.Join(v.Encoding, "+"), v.At(0), v.At(len(v.Text)), v.Text))
	}
	return views
}

// Views are the same whatever is known of a text, and when it is a version of one that was seen.
func TestViewsOfVersions(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var pieces [][]byte
	for _, h := range hidings {
		if text := h.hide(newToken(r)); bytes.IndexByte([]byte(text), 0) < 0 { // with one, nothing is remembered
			pieces = append(pieces, []byte(text))
			for range 4 {
				lo := r.IntN(len(text))
				pieces = append(pieces, []byte(text[lo:lo+r.IntN(len(text)-lo+1)]))
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var lines [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.SplitAfter(text, []byte("\n"))...)
	}
	for _, f := range fragments {
		lines = append(lines, []byte(f))
	}
	some := func() []byte {
		switch n := r.IntN(12); {
		case n == 0:
			return append(pieces[r.IntN(len(pieces))][:], '\n')
		case n == 1:
			return pieces[r.IntN(len(pieces))]
		case n == 2: // of the same kind, over many lines
			return bytes.Repeat(append(bytes.Clone(lines[r.IntN(len(lines))]), '\n'), 1+r.IntN(30))
		}
		at := r.IntN(len(lines) - 20)
		return bytes.Join(lines[at:at+r.IntN(20)], nil)
	}
	// long is what hides a token over many lines, whose meaning may hang on one that is far away.
	long := func() (list [][]byte) {
		token := newToken(r)
		add := func(format string, values ...any) { list = append(list, fmt.Appendf(nil, format, values...)) }
		noise := func(n int) string {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(0x80 + r.IntN(0x80))
			}
			return string(b)
		}
		switch n := 20 + r.IntN(60); r.IntN(5) {
		case 0: // numbers, text all of them but for one line
			bad := r.IntN(n)
			for i := range n {
				if i == bad {
					add("%s\n", each(noise(8), []string{"%d, ", "0x%02x, "}[r.IntN(2)]))
				}
				add("%s\n", each((token + token)[:16], "%d, "))
			}
		case 1: // a block of base64
			for _, line := range strings.SplitAfter(folded(b64(noise(48*n)+token+noise(48*n)), []int{64, 76, 61}[r.IntN(3)], "\n"), "\n") {
				add("%s", line)
			}
		case 2: // literals that are joined in the end
			for i := range n {
				add("  '%s',\n", token[i%len(token):][:1+r.IntN(3)%(len(token)-i%len(token))])
			}
			add("].join('')\n")
		case 3: // literals that an operator joins, with much blank between
			for i := range n {
				add("  %q +%s\n", token[i%30:i%30+5], strings.Repeat(" ", r.IntN(90)))
			}
			add("  %q\n", token)
		default: // a key in a log
			add("2026-01-02T03:04:05Z -----BEGIN RSA PRIVATE KEY-----\n")
			for range n {
				add("2026-01-02T03:04:05Z %s\n", b64(noise(45)))
			}
			add("2026-01-02T03:04:05Z -----END RSA PRIVATE KEY-----\n")
		}
		return list
	}
	rounds, pads := 8, 6
	if testing.Short() {
		rounds, pads = 2, 1
	}
	memory := fresh.New(1 << 16)
	var known fresh.Text
	left := 0
	check := func(text []byte) {
		t.Helper()
		known.Begin(memory, text)
		for _, s := range known.Spans(len(text)) {
			left += s.Hi - s.Lo
		}
		left -= len(text)
		got, want := viewsOf(text, &known), viewsOf(text, nil)
		known.End()
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("view %d of %d, of %d otherwise, in\n%q\n got %.300s\nwant %.300s", i, len(got), len(want), text, append(got, "")[min(i, len(got))], append(want, "")[min(i, len(want))])
			}
		}
	}

	// One line changes of what hides something, wherever it lies in a block.
	for range pads {
		for n := range len(hidings) + 40 {
			parts := [][]byte{some(), some(), some(), some(), some()}
			first := len(parts)
			if n < len(hidings) {
				text := hidings[n].hide(newToken(r))
				if strings.Contains(text, "\x00") {
					continue
				}
				parts = append(parts, bytes.SplitAfter([]byte(text), []byte("\n"))...)
			} else {
				parts = append(parts, long()...)
			}
			last := len(parts)
			parts = append(parts, some(), some(), some(), some())
			for i := first; i < last; i++ {
				if i == first+4 {
					i = max(i, last-4)
				}
				was := parts[i]
				for _, line := range [][]byte{nil, append(some(), '\n'), bytes.Repeat([]byte("\n"), r.IntN(200))} {
					parts[i] = line
					check(bytes.Join(parts, nil))
					parts[i] = was
					check(bytes.Join(parts, nil))
				}
			}
		}
	}

	// Much changes.
	for range rounds {
		var parts [][]byte
		for range 10 + r.IntN(60) {
			if r.IntN(8) == 0 {
				parts = append(parts, long()...)
			} else {
				parts = append(parts, some())
			}
		}
		for range 20 {
			check(bytes.Join(parts, nil))
			for range 1 + r.IntN(3) {
				switch i := r.IntN(len(parts)); r.IntN(4) {
				case 0:
					parts[i] = some()
				case 1:
					parts[i] = nil
				case 2:
					parts[i] = append(some(), parts[i]...)
				default: // a byte
					if p := bytes.Clone(parts[i]); len(p) > 0 {
						p[r.IntN(len(p))] = "\nA0 =\"'\\%+,"[r.IntN(11)]
						parts[i] = p
					}
				}
			}
		}
	}
	if left >= 0 {
		t.Error("all was looked at again")
	}
}
