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
	d.views(text)
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
	f.Fuzz(func(t *testing.T, text []byte) { sameViews(t, "fuzz", text) })
}
