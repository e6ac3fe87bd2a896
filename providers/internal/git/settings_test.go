package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestSettings holds the parser against git's own.
func TestSettings(t *testing.T) {
	r := gittest.New(t)
	for name, text := range map[string]string{
		"plain":        "[core]\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n",
		"case":         "[CORE]\nBare = True\n[Remote \"Ab\"]\nPROMISOR\n",
		"subsections":  "[remote \"o\\\"ri\\\\g.in\"]\n\turl = x\n[branch.old]\n\tmerge=y\n",
		"comments":     "# c\n; d\n[a] ; e\nb = c # d\nc = \"d # e\" ; f\n",
		"same line":    "[a] b = c\n[d] e\n",
		"escapes":      "[a]\nb = \"c\\\\d\\te\\\"f\"\nc = d\\ne\n",
		"continued":    "[a]\nb = c \\\n  d\\\n e\nf = g\n",
		"blanks":       "[a]\n  b   =   c d   e   \nf = \" g \"  \nh =\n",
		"carriage":     "[a]\r\nb = c\r\nd = \"e\"\r\n",
		"mark":         "\ufeff[a]\nb = c\n",
		"empty":        "",
		"no line feed": "[a]\nb = c",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			want := []setting{}
			for entry := range strings.SplitSeq(strings.TrimSuffix(r.Git("config", "--no-includes", "--file", file, "--null", "--list"), "\x00"), "\x00") {
				if key, value, ok := strings.Cut(entry, "\n"); key != "" {
					if !ok {
						value = "true"
					}
					want = append(want, setting{key, value})
				}
			}
			got, err := parseSettings([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, append([]setting{}, got...), cmp.AllowUnexported(setting{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettingsMalformed(t *testing.T) {
	for _, text := range []string{"[a\n", "[a \"b]\n", "[a \"b\"\n", "[]\n", "[a]\n1b = c\n", "[a]\nb c = d\n", "[a]\nb = \"c\n", "[a]\nb = \\q\n", "[a]\n= c\n"} {
		if list, err := parseSettings([]byte("[ok]\nx = y\n" + text)); err == nil || len(list) == 0 || list[0] != (setting{"ok.x", "y"}) {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("[a \"b\\\"\"]\nc = \"d\" # e\nf = g \\\nh\n"))
	f.Add([]byte("[a]b[c]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseSettings(b)
		size := 0
		for _, s := range list {
			size += len(s.value)
		}
		if size > len(b)+len("true")*len(list) {
			t.Fatalf("%d bytes of values in %d, %v", size, len(b), err)
		}
	})
}
