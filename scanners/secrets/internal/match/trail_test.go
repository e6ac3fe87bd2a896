package match

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// TestTrail: what runs over a text leave for later ones changes no answer, whether earlier runs came to accept or not.
func TestTrail(t *testing.T) {
	const pattern = `\bkey=[ab]{2,}[^!]*(?:end|stop)` // automata take the boundary for met: runs accept where nothing matches
	re := regexp.MustCompile(pattern)
	set, _, err := rules.Load(rules.Source{Data: []byte("[extend]\nuseDefault=false\n[[rules]]\nid='x'\nregex='''" + pattern + "'''\nkeywords=['key']\n")})
	if err != nil {
		t.Fatal(err)
	}
	m := New(set)
	rnd := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"key=ab", "_key=ba ", " key=ba ", "!", "end", "stop", strings.Repeat("x", 700), strings.Repeat("ab ", 400), "\n"}
	weights := []int{0, 0, 1, 2, 3, 0, 4, 6, 6, 7, 7, 8, 5} // few ends, so that most runs go far
	for range 3000 {
		var b strings.Builder
		for range 2 + rnd.IntN(24) {
			b.WriteString(pieces[weights[rnd.IntN(len(weights))]])
		}
		text := b.String()
		var got [][]int
		found, _ := m.Find([]byte(text), nil, nil)
		for _, x := range found {
			got = append(got, []int{x.Start, x.End})
		}
		want := re.FindAllStringIndex(text, -1)
		if !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Fatalf("got %v, want %v in %q", got, want, text)
		}
	}
}
