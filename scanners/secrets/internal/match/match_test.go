package match

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/rs/zerolog"
	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"
	"github.com/zricethezav/gitleaks/v8/sources"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// oracle is gitleaks' own detector; its matches are written as "rule start-line secret".
func oracle(t testing.TB) func(text, path string) []string {
	t.Helper()
	return oracleOf(t, config.DefaultConfig, nil)
}

// oracleOf is gitleaks' detector under a configuration, or with the expressions of a set in place of those.
func oracleOf(t testing.TB, toml string, set *rules.Set) func(text, path string) []string {
	t.Helper()
	logging.Logger = zerolog.Nop()
	v := viper.New()
	v.SetConfigType("toml")
	var vc config.ViperConfig
	if err := v.ReadConfig(strings.NewReader(toml)); err != nil {
		t.Fatal(err)
	}
	if err := v.Unmarshal(&vc); err != nil {
		t.Fatal(err)
	}
	vc.Extend = config.Extend{}
	cfg, err := vc.Translate()
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		for _, r := range set.Rules {
			if r.Regex != "" {
				x := cfg.Rules[r.ID]
				x.Regex = regexp.MustCompile(r.Regex)
				cfg.Rules[r.ID] = x
			}
		}
	}
	d := detect.NewDetector(cfg)
	d.IgnoreGitleaksAllow = true
	return func(text, path string) (all []string) {
		path, commit, _ := strings.Cut(path, "@")
		for _, f := range d.Detect(detect.Fragment{Raw: text, FilePath: path, CommitSHA: commit, CommitInfo: &sources.CommitInfo{Remote: &sources.RemoteInfo{}}}) {
			all = append(all, fmt.Sprintf("%s %d:%d %q", f.RuleID, f.StartLine, f.StartColumn, f.Secret))
		}
		slices.Sort(all)
		return all
	}
}

// matcher runs the rules as gitleaks has them: the expressions in a file of one's own are not widened.
func matcher(t testing.TB) *Matcher {
	t.Helper()
	set, _, err := rules.Load(rules.Source{Data: []byte("[extend]\nuseDefault=false\n" + config.DefaultConfig)})
	if err != nil {
		t.Fatal(err)
	}
	return New(set)
}

// ours writes our matches likewise. A path may have "@commit" behind it.
func ours(m *Matcher, text, path string) (all []string) {
	path, commit, _ := strings.Cut(path, "@")
	found, _ := m.Find([]byte(text), nil, nil)
	for _, r := range m.Paths(path, commit) {
		all = append(all, fmt.Sprintf("%s 0:0 \"\"", r.ID))
	}
	for i := range found {
		if x := &found[i]; x.Keep(path, commit) {
			all = append(all, written(x, text))
		}
	}
	slices.Sort(all)
	return all
}

func written(x *Match, text string) string {
	return fmt.Sprintf("%s %d:%d %q", x.Rule.ID, x.line, x.column, text[x.SecretStart:x.SecretEnd])
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
	m := matcher(t)
	generated(t, m, m.rules, oracle(t))
}

// TestGeneratedWidened does it with the widened expressions, in our hands and in gitleaks'.
func TestGeneratedWidened(t *testing.T) {
	set := rules.Default()
	m := New(set)
	generated(t, m, changed(t, m), oracleOf(t, config.DefaultConfig, set))
}

// changed are the rules of m that gitleaks has otherwise.
func changed(t testing.TB, m *Matcher) (other []*rule) {
	for i, r := range matcher(t).rules {
		if r.Regex != m.rules[i].Regex {
			other = append(other, m.rules[i])
		}
	}
	if len(other) < 40 {
		t.Fatalf("only %d rules are widened", len(other))
	}
	return other
}

func generated(t *testing.T, m *Matcher, from []*rule, want func(text, path string) []string) {
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	total, failed := 0, 0
	for _, r := range from {
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

// TestWidened holds the widened rules against those of gitleaks: they find all that those find, the same secret at the same place, and
// more only where none of gitleaks' ends follows, nor anything that could continue the secret.
func TestWidened(t *testing.T) {
	plain, m := matcher(t), New(rules.Default())
	ends := regexp.MustCompile("^(?:[\\w\\x60'\"\\s;]|\\\\[nr]|$)")
	rounds := 400
	if testing.Short() {
		rounds = 20
	}
	common, more := 0, 0
	for _, r := range changed(t, m) {
		rnd := rand.New(rand.NewPCG(3, uint64(r.id)))
		for i := range rounds {
			pattern := r.Regex
			if i%2 == 0 {
				pattern = plain.rules[r.id].Regex
			}
			re, err := syntax.Parse(pattern, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			text := surround(rnd, re, r.Keywords)
			was, is := ours(plain, text, ""), ours(m, text, "")
			common += len(was)
			for _, w := range was {
				if !slices.Contains(is, w) {
					t.Errorf("lost %s in %.1000q", w, text)
				}
			}
			found, _ := m.Find([]byte(text), nil, nil)
			for i := range found {
				x := &found[i]
				if !x.Keep("", "") || slices.Contains(was, written(x, text)) {
					continue
				}
				more++
				// Taken alone, a match that begins with one of these begins no word, and is its own secret, as in gitleaks.
				if ends.MatchString(text[x.SecretEnd:]) && !strings.ContainsAny(text[:x.SecretEnd], "ſ\u212a") {
					t.Errorf("new %s in %.1000q", written(x, text), text)
				}
			}
		}
	}
	t.Logf("%d as gitleaks finds them, %d more", common, more)
	if common == 0 || more == 0 {
		t.Error("nothing was compared")
	}
}

// TestConfigurations compares with gitleaks on every feature of the configuration that the default one does not use.
func TestConfigurations(t *testing.T) {
	const token = "[[rules]]\nid='t'\nregex='''tok_([a-z0-9]{8})'''\n"
	texts := []string{
		"tok_abcd1234\n", "a\nx tok_abcd1234 y\ntok_zzzz9999 # test\n", "tok_example1\nuser_bob1\n\n\nuser_eve2 tok_abcd1234\n", "TOK_ABCD1234 tok_ab\n",
		"line one\n\ntok_abcd1234\nuser_bob1 end\n", "пароль tok_abcd1234\nuser_bob1 pw_1\n", "ПАРОЛЬ\nuser_a", "tok_mock0000 mock\n", "\u212aey tok_abcd1234 \u212aEY:x\n",
		"b64 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x\n", "étok_éabcd1234 é\nabcd\n", "ky1 xky2 _ky3\nKY4 ékyabc -ky5x sky6\n", "id 0123456789 key\n", "ky1 xky2 ſky6 \u212ay7\n",
		"id 0123456789 key\nkey12345678901234567890x 999999999\n123456789 tok_\n", "begin x end: one\nend: two \n begin\nkey begin\n",
		"abcdefghijklmnopqrstuvwxyz key_abcdefghijklmnopqrstuvwxyz\n", "KEY \n\nbegin\nend: yes\nEND:\tno begin key end: x\n",
		"xx xaxbxc ab aab abb\n", "\n\n\ntok_abcd1234\n\n", "key=val1\nKEY = val22\n", "q\n", "\n",
	}
	paths := []string{"", "a.txt", "src/test/a.go", "vendor/x", "a.txt@abc123", "src/test/a.go@ABC123", "@abc123", "x.p12", "cfg/.toml"}
	for _, toml := range []string{
		token,
		token + "keywords=['tok_']\n",
		token + "keywords=['TOK_','zz']\n",
		token + "keywords=['пароль']\n",
		token + "keywords=['пароль','user_']\n",
		token + "keywords=['t']\n",
		token + "keywords=['key']\n",
		token + "keywords=['unrelated','example']\n",
		token + "keywords=['']\n",
		token + "keywords=['','tok']\n",
		token + "path='''test/'''\n",
		token + "entropy=2.9\n",
		token + "secretGroup=1\nentropy=2\n",
		token + "[[rules.allowlists]]\nregexes=['''^abcd''']\n",
		token + "[[rules.allowlists]]\nregexTarget='match'\nregexes=['''^tok_abcd''']\n",
		token + "[[rules.allowlists]]\nregexTarget='line'\nregexes=['''test$''','''^\\nuser''']\n",
		token + "[[rules.allowlists]]\nstopwords=['MOCK','exam','']\n",
		token + "[[rules.allowlists]]\npaths=['''vendor''']\ncommits=[' ABC123 ']\n",
		token + "[[rules.allowlists]]\ncondition='AND'\npaths=['''test/''']\ncommits=['abc123']\n",
		token + "[[rules.allowlists]]\ncondition='AND'\npaths=['''\\.txt$''']\nregexes=['''abcd''']\n",
		token + "[[rules.allowlists]]\ncondition='&&'\nstopwords=['abcd']\nregexes=['''1234''']\n",
		token + "[[rules.allowlists]]\ncondition='AND'\nstopwords=['abcd']\ncommits=['abc123']\n",
		token + "[[allowlists]]\npaths=['''vendor''']\n[[allowlists]]\ncondition='AND'\npaths=['''txt''']\nstopwords=['mock','1234']\n",
		token + "[allowlist]\nregexes=['''(?i)ABCD''', '''ZZZZ''']\n",
		token + "[[allowlists]]\ntargetRules=['t']\nregexes=['''abcd''']\n",
		token + "[[rules.required]]\nid='u'\n[[rules]]\nid='u'\nregex='''user_\\w+'''\nkeywords=['nothere']\n",
		token + "[[rules.required]]\nid='u'\nwithinLines=1\n[[rules]]\nid='u'\nregex='''user_\\w+'''\nskipReport=true\n",
		token + "[[rules.required]]\nid='u'\nwithinColumns=4\n[[rules]]\nid='u'\nregex='''user_\\w+'''\npath='txt'\n",
		token + "[[rules.required]]\nid='u'\n[[rules.required]]\nid='p'\n[[rules]]\nid='u'\nregex='''user_\\w+'''\n[[rules]]\nid='p'\nregex='''pw_1'''\n[[rules.required]]\nid='u'\n",
		token + "[[rules]]\nid='my-generic'\nregex='''[a-z]+_[a-z0-9]+'''\n",
		token + "[[rules]]\nid='generic-a'\nregex='''abcd1234'''\n[[rules.allowlists]]\npaths=['''vendor''']\n",
		"[[rules]]\nid='p'\npath='''\\.p12$'''\n",
		"[[rules]]\nid='p'\npath='''txt'''\nkeywords=['user_']\n",
		"[[rules]]\nid='e'\nregex='''a*'''\n",
		"[[rules]]\nid='e'\nregex='''(a|ab)(c|bcd)?b*'''\n",
		"[[rules]]\nid='e'\nregex='''(?m)^tok.*$'''\n",
		"[[rules]]\nid='e'\nregex='''\\Atok_[^x]+'''\nkeywords=['tok']\n",
		"[[rules]]\nid='e'\nregex='''(?i)(\\w{0,9}key\\s*[:=]\\s*(val\\d+|x))'''\nkeywords=['key','ey']\n",
		"[[rules]]\nid='e'\nregex='''(x*)*(tok)?_'''\nkeywords=['tok']\n",
		"[[rules]]\nid='e'\nregex='''[^\\n]*tok_[^\\n]*'''\nkeywords=['tok_']\n",
		// More groups than gitleaks' prefilter or a small array would have; which one is the secret depends on the text.
		"[[rules]]\nid='e'\nregex='''\\b" + strings.Repeat("(a|b|c)?", 2) + strings.Repeat("([a-z])", 18) + "(x|[a-z])'''\nsecretGroup=20\nkeywords=['key']\n",
		"[[rules]]\nid='e'\nregex='''" + strings.Repeat("([0-9])?", 19) + "_([a-z]+)'''\nkeywords=['_']\n",
		// ^ holds at the start of the secret, whatever is in front of it.
		"[[rules]]\nid='e'\nregex='''tok_(\\S+)'''\n[[rules.allowlists]]\nregexes=['''^abcd''', '''^éabcd9''']\n",
		"[[rules]]\nid='e'\nregex='''.tok_(?:é)?([a-z0-9]+)'''\n[[rules.allowlists]]\nregexTarget='match'\nregexes=['''^tok''', '''^.tok_é?zz''']\n",
		"[[rules]]\nid='e'\nregex='''tok_\\S+'''\n[[rules.allowlists]]\nregexTarget='line'\nregexes=['''(?m)^abcd''', '''\\bé$''']\n",
		// Keywords of two bytes, which the bytes next to them tell apart.
		"[[rules]]\nid='e'\nregex='''(?i)\\bky[0-9]+'''\nkeywords=['ky']\n",
		"[[rules]]\nid='e'\nregex='''(?i)(?:\\b|_)ky[0-9a-z]+'''\nkeywords=['ky']\n",
		"[[rules]]\nid='e'\nregex='''(?i)(?:^|[^x])ky(?:[0-9]|$|abc)'''\nkeywords=['ky']\n[[rules]]\nid='f'\nregex='''xky\\d'''\nkeywords=['ky']\n",
		"[[rules]]\nid='e'\nregex='''\\Bky[0-9]+'''\nkeywords=['ky']\n",
		"[[rules]]\nid='e'\nregex='''(?i)\\by7\\b|s\\.?ky\\d|ky'''\nkeywords=['ky', 'y7']\n",
		// What a match has in a row.
		"[[rules]]\nid='e'\nregex='''\\b[0-9]{9,12}\\b'''\nkeywords=['key', 'tok_']\n",
		"[[rules]]\nid='e'\nregex='''(?:[a-z]+_)?(?:[a-z]{10}|[0-9]{9})x?'''\n",
		"[[rules]]\nid='e'\nregex='''(?i)[a-z_]{20,26}'''\nkeywords=['key']\n",
		"[[rules]]\nid='e'\nregex='''[0-9]{9,10}[ x]k?e?y?\\s'''\nkeywords=['id', 'tok_']\n",
		// What a match needs.
		"[[rules]]\nid='e'\nregex='''(?s)(?:begin.{0,9}end:\\s+\\w+|end:\\s+\\w+.{0,9}begin)'''\nkeywords=['key', 'one', 'two']\n",
		"[[rules]]\nid='e'\nregex='''(?i)\\bend:[ \\t]*\\bno\\b.*'''\nkeywords=['key']\n",
	} {
		set, _, err := rules.Load(rules.Source{Data: []byte("[extend]\nuseDefault=false\n" + toml)})
		if err != nil {
			t.Fatal(err)
		}
		m, want := New(set), oracleOf(t, toml, nil)
		for _, text := range texts {
			for _, path := range paths {
				if !compare(t, want(text, path), ours(m, text, path), text) {
					t.Errorf("at %q with\n%s", path, toml)
				}
			}
		}
	}
}

// TestWords compares the hits of words of the caller's own with a pass for them alone.
func TestWords(t *testing.T) {
	set := rules.Default()
	words := []literal.Word{{Text: "key"}, {Text: "zz"}, {Text: "sk"}, {Text: "ey"}, {Text: "KEY", Exact: true}, {Text: "key"}, {Text: "s.", After: literal.Set{1: 2}}, {Text: "ſ", Exact: true}}
	m, bare, alone := New(set, words...), New(set), literal.New(words)
	rnd := rand.New(rand.NewPCG(15, 16))
	for i := range 200 {
		r := m.rules[rnd.IntN(len(m.rules))]
		re, err := syntax.Parse(r.Regex, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for range 1 + rnd.IntN(60) {
			w := words[rnd.IntN(len(words))].Text
			fmt.Fprintf(&b, "%s%.*s%s ", surround(rnd, re, r.Keywords), rnd.IntN(3), "aſA", w)
		}
		text := []byte(b.String())
		if i == 0 {
			text = bytes.Repeat([]byte("sky key s.Az KEY zzz ey\n"), chunk/10)
		}
		var got []literal.Hit
		found, _ := m.Find(text, nil, func(h literal.Hit) bool { got = append(got, h); return true })
		if want, _ := bare.Find(text, nil, nil); len(found) != len(want) {
			t.Errorf("%d matches, without words %d in %q", len(found), len(want), text)
		}
		if !slices.IsSortedFunc(got, func(a, b literal.Hit) int { return a.End - b.End }) {
			t.Errorf("hits out of order in %q", text)
		}
		want := alone.Scan(text, 0, len(text), nil)
		for _, hits := range [][]literal.Hit{got, want} {
			slices.SortFunc(hits, func(a, b literal.Hit) int { return cmp.Or(a.End-b.End, a.Start-b.Start, int(a.Word-b.Word)) })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v in %q", got, want, text)
		}
	}
}

// surround embeds matches in noise: glued words, other lines, keywords, runes beyond ASCII, bytes that are no text.
func surround(rnd *rand.Rand, re *syntax.Regexp, keywords []string) string {
	noise := []string{"", " ", "\n", "\n\n", "x", "key = ", "\"", "'", "= ", "token: ", "-", "_", ";", "\r\n", "\t", "api_key=\"", "// ",
		"export A=", "</a>", "0", "password", "AKIA", "ghp_", "&b=", ",", ")", ".", "/x", "\\u0022", "\\n", "\x00", "%22", "+"}
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
	for _, dir := range []string{"../../../..", filepath.Join(goroot(), "src", "crypto")} {
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

// goroot is where the standard library's source lies, or "" without a go command.
func goroot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
