package rules

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/leakreach/leakreach/audit"
)

// normal is what a configuration amounts to, for comparison with gitleaks' own reading: lists without an order are sorted.
func normal(rules []Rule, allow []Allowlist) map[string]any {
	lists := func(in []Allowlist) (out []Allowlist) {
		for _, a := range in {
			a.Commits, a.StopWords = sortedUnique(a.Commits), sortedUnique(a.StopWords)
			out = append(out, a)
		}
		return out
	}
	out := map[string]any{"": lists(allow)}
	for _, r := range rules {
		r.Allow = lists(r.Allow)
		r.Keywords, r.Tags = sortedUnique(r.Keywords), sortedUnique(r.Tags)
		out[r.ID] = r
	}
	return out
}

func sortedUnique(s []string) []string {
	s = slices.Sorted(slices.Values(s))
	return slices.Compact(s)
}

func fromGitleaks(c config.Config) ([]Rule, []Allowlist) {
	lists := func(in []*config.Allowlist) (out []Allowlist) {
		for _, a := range in {
			x := Allowlist{All: a.MatchCondition == config.AllowlistMatchAnd, Commits: a.Commits, StopWords: a.StopWords}
			x.Target = map[string]Target{"": OnSecret, "match": OnMatch, "line": OnLine}[a.RegexTarget]
			for _, p := range a.Paths {
				x.Paths = append(x.Paths, p.String())
			}
			for _, p := range a.Regexes {
				x.Regexes = append(x.Regexes, p.String())
			}
			out = append(out, x)
		}
		return out
	}
	var rules []Rule
	for _, r := range c.Rules {
		x := Rule{ID: r.RuleID, Description: r.Description, SecretGroup: r.SecretGroup, Entropy: r.Entropy, Keywords: r.Keywords, Tags: r.Tags,
			SkipReport: r.SkipReport, Allow: lists(r.Allowlists)}
		if r.Regex != nil {
			x.Regex = widen(r.Regex.String()) // which leaves those of the files below alone
		}
		if r.Path != nil {
			x.Path = r.Path.String()
		}
		for _, q := range r.RequiredRules {
			x.Required = append(x.Required, Required{q.RuleID, q.WithinLines, q.WithinColumns})
		}
		rules = append(rules, x)
	}
	return rules, lists(c.Allowlists)
}

// TestMain lets the test binary be gitleaks' loader for one file: it counts extended files in a global that never goes back.
func TestMain(m *testing.M) {
	if path := os.Getenv("LOAD_LIKE_GITLEAKS"); path != "" {
		logging.Logger = zerolog.Nop()
		viper.SetConfigFile(path)
		var vc config.ViperConfig
		if viper.ReadInConfig() != nil || viper.Unmarshal(&vc) != nil {
			os.Exit(1)
		}
		c, err := vc.Translate()
		if err != nil {
			os.Exit(1)
		}
		b, err := json.Marshal(normal(fromGitleaks(c)))
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.Write(b)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	b, ok := v.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLikeGitleaks holds what is read against what gitleaks reads.
func TestLikeGitleaks(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"default":         {"c": "[extend]\nuseDefault=true\n"},
		"disabled":        {"c": "[extend]\nuseDefault=true\ndisabledRules=['jwt','nonsense']\n"},
		"own":             {"c": "[extend]\nuseDefault=false\n[[rules]]\nid='a'\nregex='x'\nkeywords=['X','y']\ntags=['t']\n"},
		"override":        {"c": "[extend]\nuseDefault=true\n[[rules]]\nid='github-pat'\nentropy=1.5\nkeywords=['new']\ndescription='d'\n[[rules.allowlists]]\nstopwords=['Q']\n"},
		"override regex":  {"c": "[extend]\nuseDefault=true\n[[rules]]\nid='generic-api-key'\nregex='a(b)(c)'\nsecretGroup=2\npath='p'\ntags=['q']\n[rules.allowlist]\npaths=['z']\n"},
		"target rules":    {"c": "[extend]\nuseDefault=true\n[[allowlists]]\ntargetRules=['jwt','github-pat']\nregexes=['x']\ncondition='AND'\npaths=['y']\n"},
		"global":          {"c": "[extend]\nuseDefault=true\n[allowlist]\nregexTarget='line'\nregexes=['x']\ncommits=['ABC ']\n"},
		"path":            {"c": "[extend]\npath='DIR/b'\ndisabledRules=['gone']\n[[rules]]\nid='a'\nregex='x'\n", "b": "[extend]\npath='DIR/d'\n[[rules]]\nid='gone'\nregex='g'\n[[rules]]\nid='a'\nregex='y'\nentropy=2\nkeywords=['K']\n[[allowlists]]\ntargetRules=['a']\npaths=['lost']\n", "d": "[extend]\npath='DIR/e'\n[[rules]]\nid='deep'\nregex='d'\n", "e": "[[rules]]\nid='deeper'\nregex='d'\n"},
		"path to default": {"c": "[extend]\npath='DIR/b'\n", "b": "[extend]\nuseDefault=true\n[[rules]]\nid='jwt'\nentropy=4.5\n"},
		"required":        {"c": "[extend]\nuseDefault=false\n[[rules]]\nid='a'\nregex='x'\n[[rules.required]]\nid='b'\nwithinLines=3\n[[rules]]\nid='b'\nregex='y'\nskipReport=true\n"},
		"twice":           {"c": "[extend]\nuseDefault=false\n[[rules]]\nid='a'\nregex='x'\n[[rules]]\nid='a'\nregex='y'\n"},
		"case":            {"c": "[Extend]\nUSEDEFAULT=false\n[[Rules]]\nID='a'\nRegex='x'\nSecretGroup=0\n[[Rules.Allowlists]]\nStopWords=['x']\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for f, text := range files {
				if err := os.WriteFile(filepath.Join(dir, f+".toml"), []byte(strings.ReplaceAll(strings.ReplaceAll(text, "DIR/", dir+"/"), "'\n[[rules", "'\n[[rules")), 0o600); err != nil {
					t.Fatal(err)
				}
				// paths in the files carry no extension
				b, err := os.ReadFile(filepath.Join(dir, f+".toml"))
				if err != nil {
					t.Fatal(err)
				}
				for g := range files {
					b = []byte(strings.ReplaceAll(string(b), dir+"/"+g+"'", dir+"/"+g+".toml'"))
				}
				if err := os.WriteFile(filepath.Join(dir, f+".toml"), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "c.toml")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "LOAD_LIKE_GITLEAKS="+path)
			want, err := cmd.Output()
			if err != nil {
				t.Fatal("gitleaks does not read it: ", err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set, _, err := Load(Source{Data: data, Name: path, Open: os.ReadFile})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asJSON(t, want), asJSON(t, normal(set.Rules, set.Allow))); diff != "" {
				t.Errorf("(-gitleaks +ours)\n%.3000s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[[rules]]\nid='a'\nregex='('\n":                            "a: regex: ",
		"[[rules]]\nregex='('\n":                                    "rule number 1: regex: ",
		"[[rules]]\nid='a'\nregex='x'\npath='(?<=x)'\n":             "a: path: ",
		"[[rules]]\nid='a'\nregex='x'\n[[rules.allowlists]]\n":      "a: allowlist: has none",
		"[[rules]]\nid='a'\n[[rules.allowlists]]\npaths=['[']\n":    "a: allowlist: paths: ",
		"[[rules]]\nid='new'\n":                                     "new: has neither regex nor path",
		"[[rules]]\nregex='x'\n":                                    "has no id",
		"[[rules]]\nid='a'\nregex='(x)'\nsecretGroup=2\n":           "a: secretGroup 2",
		"[[allowlists]]\nregexTarget='file'\nregexes=['x']\n":       "regexTarget",
		"[[allowlists]]\ncondition='xor'\nregexes=['x']\n":          "condition",
		"[[allowlists]]\ntargetRules=['no']\nregexes=['x']\n":       `"no"`,
		"[allowlist]\nregexes=['x']\n[[allowlists]]\npaths=['y']\n": "deprecated",
		"[extend]\nuseDefault=true\npath='x'\n":                     "both path and useDefault",
		"[extend]\npath='/etc/passwd'\n":                            "cannot be followed",
		"[[rules]]\nid='a'\nregex='x'\n[[rules.required]]\nid='no'": `"no"`,
		"rules = 3":                           "c: ",
		"x = [" + strings.Repeat("[", 100000): "nested",
		"= nonsense":                          "c: ",
		strings.Repeat("#\n", maxBytes):       "bytes",
		"[[rules]]\nid='a'\nregex='((a{100}){100}){100}'\n": "a: regex: ",
	} {
		set, _, err := Load(Source{Data: []byte(text), Name: "c"})
		if err == nil || set != nil || !strings.Contains(err.Error(), want) || !errors.Is(err, audit.ErrUsage) || audit.HintOf(err) == "" {
			t.Errorf("%.60q: error %v, want %q", text, err, want)
		}
	}
}

func TestExtendLoop(t *testing.T) {
	opened := 0
	open := func(string) ([]byte, error) {
		opened++
		return []byte("[extend]\npath='c'\n"), nil
	}
	_, notes, err := Load(Source{Data: []byte("[extend]\npath='c'\n"), Name: "c", Open: open})
	if err != nil || opened != maxExtend || len(notes) == 0 {
		t.Errorf("opened %d times, notes %q, error %v", opened, notes, err)
	}
	_, _, err = Load(Source{Data: []byte("[extend]\npath='c'\n"), Name: "c", Open: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestBetterleaks reads the expressions that betterleaks has in place of allowlists.
func TestBetterleaks(t *testing.T) {
	const text = "prefilter = '''matchesAny(get(attributes, \"path\", \"\"), [`\\.png$`, `\\.jpg$`])'''\n" +
		"filter = '''(matchesAny(finding[\"secret\"], [`^x$`]) || containsAny(finding[\"secret\"], [\"ABC\", \"d\\\"e\"]))'''\n" +
		"betterleaksMinVersion = 'v1.6.0'\n[extend]\nuseDefault=false\n" +
		"[[rules]]\nid='a'\nregex='x'\nspecificity=50\nvalidate='''http.get(\"x\")'''\ntokenEfficiency=true\n" +
		"filter = '''// why\nfilter.entropy(finding[\"secret\"]) <= 3.5\n|| (matchesAny(attributes[\"path\"], [`^t/`]) && filter.matchesAny(finding[\"line\"], ['q']))\n" +
		"|| failsTokenEfficiency(finding[\"secret\"]) || !matchesAny(finding[\"secret\"], [`y`])'''\n"
	set, notes, err := Load(Source{Data: []byte(text), Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Set{Path: "c", Rules: []Rule{{ID: "a", Regex: "x", Entropy: 3.5, Allow: []Allowlist{{All: true, Paths: []string{"(?:^t/)"}, Regexes: []string{"(?:q)"}, Target: OnLine}}}},
		Allow: []Allowlist{{All: true, Paths: []string{`(?:\.png$)`, `(?:\.jpg$)`}}, {All: true, Regexes: []string{"(?:^x$)"}}, {All: true, StopWords: []string{"abc", `d"e`}}}}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Error(diff)
	}
	if len(notes) != 4 {
		t.Errorf("notes %q", notes)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("[extend]\nuseDefault=false\n[[rules]]\nid='a'\nregex='x'\nfilter='''a || (b && c)'''\n"))
	f.Add([]byte("[[allowlists]]\nstopwords='a,b'\n"))
	f.Add([]byte("x = \"\\\" # [[\"\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, _, err := Load(Source{Data: data, Name: "c"})
		if (set == nil) == (err == nil) {
			t.Error("neither a set nor an error, or both")
		}
	})
}
