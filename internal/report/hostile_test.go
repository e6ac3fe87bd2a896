package report

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// TestNoValues runs every format over runs in which known values also stand in paths, names, messages, addresses, errors and
// facts, redacted as the engine does, and looks for the values in all spellings that would give them away.
func TestNoValues(t *testing.T) {
	var secrets []*audit.Secret
	var values []string
	for i := range 6 {
		v := value(24+i*7, uint64(i)+500)
		values = append(values, v)
		secrets = append(secrets, audit.NewSecret("generic-api-key", "", v))
	}
	session := value(60, 600)
	values = append(values, session)
	secrets[0].SetPart(audit.PartSessionToken, session)
	clean := audit.Redactor(secrets)
	run := hostile()
	run.Findings = nil
	for i, s := range secrets {
		v := clean("x/" + values[i] + " " + session + "/y")
		run.Findings = append(run.Findings, signed(audit.Finding{
			Rule: "generic-api-key", Category: audit.CategorySecret, Severity: audit.High, Title: v, Message: v, Secret: s, Fix: []string{v},
			Locations: []audit.Location{
				{Target: v, Kind: audit.InFile, Path: v, Name: v, Ref: v, URL: "https://example.com/" + v, InHead: true, Line: 3},
				{Target: v, Kind: audit.InCommit, Path: v, Commit: "5be1c0d"},
				{Target: v, Kind: audit.InVariable, Name: v, URL: v},
			},
			Verdict: &audit.Verdict{Validity: audit.Active, Error: v, Facts: map[string]string{"reason": v, "x": v}, Identity: &audit.Identity{ARN: v}},
			Reach:   &audit.Reach{Level: audit.LevelAdmin, Limits: []string{v}, Paths: []audit.Path{{Steps: []audit.Step{{From: v, To: v, Evidence: v}}}}},
		}))
		run.Gaps = append(run.Gaps, audit.Gap{Target: v, What: v, Why: v})
		run.Coverage = append(run.Coverage, audit.Coverage{Target: v, Status: audit.Failed, Reason: v})
	}
	run.Gone, run.Unseen = slices.Clone(run.Findings), []audit.Unseen{{Finding: run.Findings[0], Why: clean(values[0])}}
	var out bytes.Buffer
	for _, f := range Formats {
		out.Write(rendered(t, f.Name, run))
	}
	if err := Annotations(&out, run); err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(out.String())
	for _, v := range values {
		for _, spelled := range []string{
			v, base64.StdEncoding.EncodeToString([]byte(v))[:20], base64.RawURLEncoding.EncodeToString([]byte("x/" + v))[4:24],
			hex.EncodeToString([]byte(v)), url.QueryEscape(v), reversed(v), v[4 : len(v)-4],
		} {
			if strings.Contains(text, strings.ToLower(spelled)) {
				t.Errorf("a value of %d characters stands in a report as %d characters", len(v), len(spelled))
			}
		}
	}
}

func reversed(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// TestHostileStrings looks at every line of every format as a terminal and as the runners of GitHub and GitLab do.
func TestHostileStrings(t *testing.T) {
	for _, f := range Formats {
		harmless(t, f.Name, string(rendered(t, f.Name, hostile())))
	}
	for columns := 60; columns < 80; columns++ { // a line may break before any word
		var b bytes.Buffer
		if err := writeText(&b, hostile(), Options{Width: columns}); err != nil {
			t.Fatal(err)
		}
		harmless(t, "wrapped text", b.String())
	}
	var b bytes.Buffer
	if err := writeText(&b, hostile(), Options{Color: true, Links: true, Width: 60}); err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile("\x1b\\[[0-9;]*m|\x1b]8;;(https?://[^\x1b]*)?\x1b\\\\")
	harmless(t, "text in colour", own.ReplaceAllString(b.String(), ""))
	if strings.Contains(b.String(), "evil.example\x1b") {
		t.Error("links to an address that is not one of a place")
	}
}

func harmless(t *testing.T, format, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8", format)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::") || strings.Contains(line, "##[") ||
			strings.Contains(line, "section_start:") || strings.Contains(line, "section_end:") {
			t.Errorf("%s: a runner obeys %.200q", format, line)
		}
		if strings.ContainsFunc(line, hidden) {
			t.Errorf("%s: invisible characters in %.200q", format, line)
		}
	}
}

// TestAnnotations holds GitHub's count of ten a kind and the escapes of the commands' syntax.
func TestAnnotations(t *testing.T) {
	var b bytes.Buffer
	if err := Annotations(&b, many(3000)); err != nil {
		t.Fatal(err)
	}
	if e, w := strings.Count(b.String(), "::error "), strings.Count(b.String(), "::warning "); e != 10 || w != 10 {
		t.Errorf("%d errors, %d warnings", e, w)
	}
	run := hostile()
	run.Findings[0].Locations[0].Path = "a:b,c%.env"
	run.Findings = run.Findings[:2]
	b.Reset()
	if err := Annotations(&b, run); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != 2 {
		t.Errorf("%d lines for two findings:\n%s", lines, b.String())
	}
	if !strings.Contains(b.String(), ",file=a%3Ab%2Cc%25.env,line=1::") {
		t.Errorf("properties are not escaped:\n%s", b.String())
	}
	none := many(1)
	none.Findings[0].Suppressed = &audit.Suppression{By: "baseline"}
	b.Reset()
	if err := Annotations(&b, none); err != nil || b.Len() > 0 {
		t.Errorf("a suppressed finding is annotated: %v %s", err, b.String())
	}
}

// TestWidth holds that no line is wider than the terminal, whatever is in it. What does not fit in 40 columns is the headline's
// state, rule and id.
func TestWidth(t *testing.T) {
	for name, f := range fixtures() {
		for _, columns := range []int{60, 80, 100, 132} {
			var b bytes.Buffer
			if err := writeText(&b, f.run, Options{Width: columns, Rules: rules(), Links: true, Color: true}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if n := width(strings.TrimSuffix(line, "\n")); n > columns {
					t.Errorf("%s: %d columns of %d: %q", name, n, columns, line)
				}
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range evil() {
		f.Add(s)
	}
	f.Add("###[[ section_section_start:start:")
	f.Fuzz(func(t *testing.T, s string) {
		out := Clean(s)
		harmless(t, "Clean", out)
		if strings.Contains(out, "\n") {
			t.Error("more than one line")
		}
		if again := Clean(out); len(out) <= maxField && again != out {
			t.Errorf("cleaning twice differs: %q", again)
		}
		for _, w := range []int{3, 10, 40} {
			if n := width(cutMiddle(out, w)); n > w {
				t.Errorf("%d columns of %d", n, w)
			}
		}
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range evil() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		run := none()
		run.Gaps = []audit.Gap{{Target: s, What: s, Why: s}}
		out := rendered(t, "csv", run)
		harmless(t, "csv", string(out))
		rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, c := range rows[1] {
			if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
				t.Errorf("a formula: %q", c)
			}
		}
	})
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range evil() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{code(s), prose(s), element(s), linked(code(s), "https://example.com/"+s)} {
			harmless(t, "markdown", out)
			out = strings.NewReplacer("<code>", "", "</code>", "").Replace(out)
			if strings.ContainsAny(out, "|<>@\\") || strings.Contains(out, "![") {
				t.Errorf("%q keeps Markdown: %q", s, out)
			}
		}
		if c := code(s); strings.HasPrefix(c, "`") && strings.Count(c, "`") != 2 {
			t.Errorf("%q is not one code span", c)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range evil() {
		f.Add(s)
	}
	f.Add(strings.Repeat("\u202e", 20000))
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		if err := encode(&b, map[string]string{"k": s}, "  "); err != nil {
			t.Fatal(err)
		}
		harmless(t, "json", b.String())
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatalf("%v in %q", err, b.String())
		}
		want := strings.ToValidUTF8(s, "\ufffd")
		if got := back["k"]; got != want && utf8.ValidString(s) && len(s) < maxString/12 {
			t.Errorf("%q comes back as %q", want, got)
		}
	})
}
