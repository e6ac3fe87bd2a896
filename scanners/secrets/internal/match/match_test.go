package match

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp/syntax"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// oracle is gitleaks' own detector; its matches are written as "rule start-line secret".
func oracle(t testing.TB) func(text, path string) []string {
	t.Helper()
	logging.Logger = zerolog.Nop()
	d, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	d.IgnoreGitleaksAllow = true
	return func(text, path string) (all []string) {
		for _, f := range d.Detect(detect.Fragment{Raw: text, FilePath: path}) {
			all = append(all, fmt.Sprintf("%s %d:%d %q", f.RuleID, f.StartLine, f.StartColumn, f.Secret))
		}
		slices.Sort(all)
		return all
	}
}

func matcher(t testing.TB) *Matcher {
	t.Helper()
	set, err := rules.Default()
	if err != nil {
		t.Fatal(err)
	}
	return New(set)
}

func ours(m *Matcher, text, path string) (all []string) {
	found, _ := m.Find([]byte(text))
	for i := range found {
		if x := &found[i]; x.Keep(path, "") {
			all = append(all, fmt.Sprintf("%s %d:%d %q", x.Rule.ID, x.line, x.column, text[x.SecretStart:x.SecretEnd]))
		}
	}
	slices.Sort(all)
	return all
}

func compare(t testing.TB, want, got []string, text string) bool {
	t.Helper()
	if slices.Equal(want, got) {
		return true
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing %s in %.1000q", w, text)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("extra %s in %.1000q", g, text)
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d matches, want %d", len(got), len(want))
	}
	return false
}

// TestGenerated compares with gitleaks on text made from each rule's own expression, in various surroundings.
func TestGenerated(t *testing.T) {
	m, want := matcher(t), oracle(t)
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	total, failed := 0, 0
	for _, r := range m.rules {
		if r.Regex == "" {
			continue
		}
		re, err := syntax.Parse(r.Regex, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(1, uint64(r.id)))
		for range rounds {
			text := surround(rnd, re, r.Keywords)
			for _, path := range []string{"", "a/b.yaml", "src/x.php", "main.tf", "nuget.config"} {
				total++
				if !compare(t, want(text, path), ours(m, text, path), text) {
					if failed++; failed > 20 {
						t.Fatal("too many")
					}
				}
			}
		}
	}
	t.Logf("%d texts", total)
}

// surround embeds matches in noise: glued words, other lines, keywords, runes beyond ASCII, bytes that are no text.
func surround(rnd *rand.Rand, re *syntax.Regexp, keywords []string) string {
	noise := []string{"", " ", "\n", "\n\n", "x", "key = ", "\"", "'", "= ", "token: ", "-", "_", ";", "\r\n", "\t", "api_key=\"", "// ",
		"export A=", "</a>", "0", "password", "AKIA", "ghp_"}
	switch rnd.IntN(4) {
	case 0:
		noise = append(noise, "é", "\xff", "日本", "\xe2\x84", "\xc5")
	case 1:
		noise = append(noise, "ſ", "\u212a", "İ", "é", "\xff", "日本", "\xe2\x84", "\xc5")
	}
	var b strings.Builder
	for range 1 + rnd.IntN(3) {
		for range rnd.IntN(4) {
			b.WriteString(noise[rnd.IntN(len(noise))])
		}
		if rnd.IntN(3) == 0 && len(keywords) > 0 {
			b.WriteString(keywords[rnd.IntN(len(keywords))])
		}
		generate(rnd, re, &b)
		for range rnd.IntN(4) {
			b.WriteString(noise[rnd.IntN(len(noise))])
		}
	}
	b.WriteByte('\n') // see the package comment for what gitleaks does without
	return b.String()
}

// generate writes a text that re matches, as far as its assertions allow.
func generate(rnd *rand.Rand, re *syntax.Regexp, b *strings.Builder) {
	repeat := func(lo, hi int) {
		if hi < 0 || hi > lo+60 {
			hi = lo + 60
		}
		n := lo
		switch rnd.IntN(4) {
		case 0:
		case 1:
			n = hi
		default:
			n += rnd.IntN(hi - lo + 1)
		}
		for range n {
			generate(rnd, re.Sub[0], b)
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				for range rnd.IntN(3) {
					r = unicode.SimpleFold(r)
				}
				if r > 0x7f && rnd.IntN(50) > 0 {
					r = unicode.SimpleFold(r)
				}
			}
			b.WriteRune(r)
		}
	case syntax.OpCharClass:
		for range 8 {
			k := rnd.IntN(len(re.Rune)/2) * 2
			lo, hi := re.Rune[k], min(re.Rune[k+1], re.Rune[k]+300)
			r := lo + rune(rnd.IntN(int(hi-lo)+1))
			if r < 0x7f || rnd.IntN(200) == 0 {
				b.WriteRune(r)
				return
			}
		}
		b.WriteRune(re.Rune[0])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(byte(' ' + rnd.IntN(95)))
	case syntax.OpCapture, syntax.OpConcat:
		for _, s := range re.Sub {
			generate(rnd, s, b)
		}
	case syntax.OpAlternate:
		generate(rnd, re.Sub[rnd.IntN(len(re.Sub))], b)
	case syntax.OpStar:
		repeat(0, -1)
	case syntax.OpPlus:
		repeat(1, -1)
	case syntax.OpQuest:
		repeat(0, 1)
	case syntax.OpRepeat:
		repeat(re.Min, re.Max)
	}
}

// TestSource compares with gitleaks on the module's own source and that of the standard library's crypto packages.
func TestSource(t *testing.T) {
	m, want := matcher(t), oracle(t)
	n, found := 0, 0
	for _, dir := range []string{"../../../..", filepath.Join(runtime.GOROOT(), "src", "crypto")} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !d.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil || len(b) > 100_000 || testing.Short() && n > 200 {
				return err
			}
			n++
			text := string(b) + "\n"
			w := want(text, "x.go")
			found += len(w)
			compare(t, w, ours(m, text, "x.go"), path)
			return nil
		})
		if err != nil {
			t.Skip("no source to read: ", err)
		}
	}
	t.Logf("%d files, %d findings", n, found)
}

func FuzzFind(f *testing.F) {
	m, want := matcher(f), oracle(f)
	rnd := rand.New(rand.NewPCG(2, 2))
	for _, r := range m.rules {
		if r.Regex != "" && rnd.IntN(4) == 0 {
			re, err := syntax.Parse(r.Regex, syntax.Perl)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(surround(rnd, re, r.Keywords))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		text += "\n"
		for _, path := range []string{"", "a.yaml"} {
			compare(t, want(text, path), ours(m, text, path), text)
		}
	})
}
