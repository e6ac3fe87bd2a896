package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/planes"
)

// shown lists the views of a text, whether the finders look where it is marked or everywhere.
func shown(text []byte, all bool) (views []string) {
	d := decoder{all: all, budget: nestedFloor + nestedShare*len(text), yield: func(v View) bool {
		views = append(views, fmt.Sprintf("%s %d-%d-%d %q", strings.Join(v.Encoding, "+"), v.At(0), v.At(len(v.Text)/2), v.At(len(v.Text)), v.Text))
		return true
	}}
	d.views(text, nil)
	return views
}

func sameViews(t *testing.T, name string, text []byte) {
	t.Helper()
	marked, all := shown(text, false), shown(text, true)
	for i := range max(len(marked), len(all)) {
		if i >= len(marked) || i >= len(all) || marked[i] != all[i] {
			t.Fatalf("%s: view %d of %d differs from that of %d when looked for everywhere:\n%.2000q", name, i, len(marked), len(all), text)
		}
	}
}

// Nothing is missed that the finders would show if they looked everywhere: in what hides a token, wherever it lies in a block and
// whatever is around it, and when parts of such texts are thrown together.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var texts []string
	for _, h := range hidings {
		text := h.hide(newToken(r))
		texts = append(texts, text)
		for n := range 140 {
			sameViews(t, h.name, []byte(strings.Repeat(" ", n)+text+strings.Repeat("\n", n%70)))
		}
	}
	split := folded(b64(strings.Repeat("\x93\xe1", 19)+newToken(r)[:20]+strings.Repeat("\xb7", 38)), 64, "\n") // too little on each line
	if len(shown([]byte(split), false)) == 0 {
		t.Error("nothing seen over two lines of noise")
	}
	for _, text := range []string{split, `"first\n` + b64("hunter2-hunt") + `\n"`, "'\\x" + b64("hunter2-hunt") + "'", "`a=1b2c3d4e5`.\n `f6g7h8i9`", `a1b2c3 x\n"$(A"00000000000000"`, "be 16, 11, 12, 14, 12, 10, 16, 14, 19T" + each("a b c d e f", "%d,")} {
		texts = append(texts, text)
		for n := range planes.Size * (planes.Blocks + 1) {
			sameViews(t, text, []byte(strings.Repeat(" ", n)+text))
		}
	}
	glue := []string{"\n", "\r\n", " ", "\"", "'", ",", "\\", "=", "-", "(", ") + ", "\t", "x", "7", ""}
	rounds := 20_000
	if testing.Short() {
		rounds = 1000
	}
	for range rounds {
		var b bytes.Buffer
		for range 1 + r.IntN(6) {
			text := texts[r.IntN(len(texts))]
			lo := r.IntN(len(text))
			b.WriteString(text[lo : lo+r.IntN(len(text)-lo+1)])
			b.WriteString(glue[r.IntN(len(glue))])
		}
		sameViews(t, "parts", b.Bytes())
	}
}

// The same in source, which holds what decoders only seem to find.
func TestMarksOfSource(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sameViews(t, f, text)
		for at := 0; at+700 < len(text); at += 331 { // with other bytes at blocks' ends
			sameViews(t, f, text[at:at+700])
		}
	}
}

func FuzzMarks(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, h := range hidings {
		f.Add([]byte(h.hide(newToken(r))))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sameViews(t, "fuzz", text)
		markedPlaces(t, text)
	})
}

// fragments are what the sieve looks for, and what makes it look away.
var fragments = []string{
	"\n", "\r\n", "\r", " ", "\t", "\"", "'", "`", ",", ";", ")", "(", "}", "{", "]", "[", "+", "..", "||", "<<", "&", "=", "=\n", "=3D", "//", "/*", "--", "|", "\\", "\\\n",
	"\\n", "\\x4", "\\x1b", "\\u00", "\\r", "\\\"", "\\/", "\x1b[", "^[[", "%7", "%u", "&lt", "&#x4", "<b>", "</b>", "é", "$x", ">", "@", "f\"",
	"a", "B2", "xY", "7", "f6", "0", "_", "-", ".", ":", "append(", "foo", "name1", "aB3dE6gH", "GhIjKlMnOpQr", "0123456789", "deadbeef", "ABCDEFGH", "4142434445464748",
	"-----", "1f8b08", "H4sIAAAA", "QUJDREVG", "    ", "12, 34, 56, ", "0x41, ",
}

// The marks speak of each place at which what looks closer would say yes, of random texts of what it looks at.
func TestMarkedPlaces(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	rounds := 30_000
	if testing.Short() {
		rounds = 2000
	}
	for range rounds {
		text := []byte(strings.Repeat(" ", r.IntN(2*planes.Size)))
		some := fragments
		if n := 3 + r.IntN(8); r.IntN(2) == 0 { // repeated more often
			some = nil
			for range n {
				some = append(some, fragments[r.IntN(len(fragments))])
			}
		}
		for n := r.IntN(1200); len(text) < n; {
			text = append(text, some[r.IntN(len(some))]...)
		}
		markedPlaces(t, text)
	}
}

func markedPlaces(t *testing.T, text []byte) {
	t.Helper()
	var m marks
	m.mark(text, nil, new(level))
	for i := range text {
		want := func(finder int, is bool) {
			t.Helper()
			if is && !m.has(finder, i) {
				t.Fatalf("finder %d is not led to byte %d of %q, in %q", finder, i, text[max(i-40, 0):min(i+60, len(text))], text)
			}
		}
		after := isA(at(text, i-1), isToken)
		switch c := text[i]; {
		case isQuote(c) && after:
			next, how := literal(text, i)
			want(markConcat, how != apart && isA(at(text, next), isToken))
		case c == '\\':
			want(markEscape, reveals(text, i))
		case c == '&':
			want(markEntity, reference(text, i) > 0)
		case c == '=':
			want(markQuoted, signs(text, i))
		case c == '<' && after:
			want(markMarkup, inlineTag(text, i) > 0)
		case c == '%':
			_, ok := unhex(text, i+1, 2)
			want(markPercent, ok && text[i+1] >= '2' && text[i+1] <= '7')
			_, ok = unhex(text, i+2, 4)
			want(markPercent, ok && text[i+1] == 'u')
		case c == 0x1b:
			want(markControl, strings.IndexByte("[]()", at(text, i+1)) >= 0 && i+1 < len(text))
		case c == '^':
			want(markControl, at(text, i+1) == '[' && at(text, i+2) == '[')
		case c == '\n':
			end := i
			if at(text, end-1) == '\r' {
				end--
			}
			want(markLines, wraps(text, i, end) || offset(text, i+1))
			want(markLines, bytes.HasSuffix(text[:end], []byte("-----")))
			want(markLines, strings.IndexByte("\\`^", at(text, end-1)) >= 0 && end > 0 && isA(at(text, end-2), isToken))
		}
	}
	for lo := 0; lo < len(text); lo++ {
		hi := lo
		for hi < len(text) && isA(text[hi], isBase64) {
			hi++
		}
		if hi-lo >= minRun && (hides(text, lo, hi) || hi-lo > plainRun && continues(text, hi)) {
			marked := false
			for i := lo; i < hi; i++ {
				marked = marked || m.has(markRuns, i)
			}
			if !marked {
				t.Fatalf("finders are not led to the run %q, in %q", text[lo:hi], text)
			}
		}
		lo = hi
	}
}
