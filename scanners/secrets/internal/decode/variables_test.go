package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// joinedIn returns the texts of the views in which variables are joined.
func joinedIn(text string) (views []string) {
	var places []int
	for i := range text {
		for _, s := range Starts() {
			if strings.HasPrefix(text[i:], s) {
				places = append(places, i)
			}
		}
	}
	for v := range new(Decoder).Joined([]byte(text), places) {
		views = append(views, string(v.Text))
	}
	return views
}

func TestVariables(t *testing.T) {
	token := newToken(rand.New(rand.NewPCG(5, 5)))
	a, b, c := token[:12], token[12:30], token[30:]
	for _, text := range []string{
		fmt.Sprintf("A=%s\nB=%s\nC=%s\ncurl -H \"token: $A$B$C\"\n", a, b, c),
		fmt.Sprintf("A='%s'\nB='%s'\nexport TOKEN=${A}${B}\n", a, b+c),
		fmt.Sprintf("B='%s'\nA='%s'\nexport TOKEN=${A}${B}\n", b+c, a),
		fmt.Sprintf("T=%s\nT=\"${T}%s\"\n", a, b+c),
		fmt.Sprintf("a = \"%s\"\nb = \"%s\"\ntoken = a + b\n", a, b+c),
		fmt.Sprintf("a = \"%s\"\nb = \"%s\"\ntoken = f\"{a}{b}\"\n", a, b+c),
		fmt.Sprintf("const a = '%s', b = '%s';\nconst t = `${a}${b}`;\n", a, b+c),
		fmt.Sprintf("const a string = \"%s\"\n\nvar b = \"%s\"\n\nvar t = a + b\n", a, b+c),
		fmt.Sprintf("$a = '%s';\n$b = '%s';\n$t = $a.$b;\n", a, b+c),
		fmt.Sprintf("set A=%s\r\nset B=%s\r\nset T=%%A%%%%B%%\r\n", a, b+c),
		fmt.Sprintf("#define A \"%s\"\nconst char *t = A \"%s\";\n", a, b+c),
		fmt.Sprintf("env:\n  A: %s\n  B: %s\nrun: echo $A$B\n", a, b+c),
	} {
		if views := joinedIn(text); len(views) != 1 || !strings.Contains(views[0], token) {
			t.Errorf("%q:\n%q", text, views)
		}
	}
	for _, text := range []string{
		fmt.Sprintf("A=%s\nB=%s\necho $A $B\n", a, b),
		fmt.Sprintf("a = \"%s\"\nb = \"%s\"\nif a && b {\n", a, b),
		fmt.Sprintf("a = \"%s\"\nb = \"%s\"\nf(a, b)\n", a, b),
		fmt.Sprintf("a = \"%s\"\nb = \"%s\"\na.b()\n", a, b),
		fmt.Sprintf("a == \"%s\"\nb = \"%s\"\nt = a + b\n", a, b),
		fmt.Sprintf("A=\"%s and more\"\nB=%s\n$A$B\n", a, b),
		fmt.Sprintf("A=%s\n%s\nB=%s\n$A$B\n", a, strings.Repeat("# far away\n", 2*nearby/10), b),
	} {
		if views := joinedIn(text); len(views) > 0 {
			t.Errorf("%q:\n%q", text, views)
		}
	}
}

func FuzzVariables(f *testing.F) {
	f.Add([]byte("A=gh"+"p_0123456789\nB=abc\n$A$B\n#define C \"npm"+"_1\"\nC \"x\" {C}x a + b %A%%B%"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		var places []int
		for i := 0; i < len(text); i += int(step) + 1 {
			places = append(places, i)
		}
		kept := bytes.Clone(text)
		for v := range new(Decoder).Joined(text, places) {
			for _, i := range []int{0, len(v.Text) / 2, len(v.Text)} {
				if at := v.At(i); at < 0 || at > len(text) {
					t.Fatalf("offset %d of %d leads to %d of %d", i, len(v.Text), at, len(text))
				}
			}
		}
		if !bytes.Equal(kept, text) {
			t.Fatal("the text was changed")
		}
	})
}
