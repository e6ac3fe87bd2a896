package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/leakreach/leakreach/audit"
)

func TestJSONSchema(t *testing.T)  { holds(t, "json", "../../docs/run.schema.json") }
func TestSARIFSchema(t *testing.T) { holds(t, "sarif", "testdata/schemas/sarif-2.1.0.json") }
func TestGitLabSchema(t *testing.T) {
	holds(t, "gitlab", "testdata/schemas/gitlab-secret-detection.json")
}

// TestGitLabOwnSchema asks GitLab's own file, which is not part of this repository.
func TestGitLabOwnSchema(t *testing.T) {
	path := os.Getenv("LEAKREACH_GITLAB_SCHEMA")
	if path == "" {
		t.Skip("needs GitLab's schema file in LEAKREACH_GITLAB_SCHEMA; testdata/schemas/README.md says how to get it")
	}
	holds(t, "gitlab", path)
}

// holds checks every fixture's report against a schema, and that the schema refuses something.
func holds(t *testing.T, format, path string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(map[string]any{"version": 7}) == nil {
		t.Fatalf("%s accepts anything", path)
	}
	for name, f := range fixtures() {
		object, err := jsonschema.UnmarshalJSON(bytes.NewReader(rendered(t, format, f.run)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rendered(t *testing.T, format string, run *audit.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, run, Options{Rules: rules(), FailOn: "any", ExitCode: 10}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestJSONLines puts the object together again from its lines.
func TestJSONLines(t *testing.T) {
	lists := map[string]string{
		"coverage": "coverage", "gap": "gaps", "finding": "findings", "identity": "identities", "inventory": "inventory", "silencer": "silencers",
		"gone": "gone", "unseen": "unseen",
	}
	for name, f := range fixtures() {
		whole := map[string]any{}
		for _, list := range lists {
			if compared(f.run) || list != "gone" && list != "unseen" {
				whole[list] = []any{}
			}
		}
		lines := bytes.Split(bytes.TrimSpace(rendered(t, "jsonl", f.run)), []byte("\n"))
		for i, line := range lines {
			object, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			m := object.(map[string]any)
			kind := m["type"].(string)
			delete(m, "type")
			if v, ok := m["identity_type"]; ok {
				delete(m, "identity_type")
				m["type"] = v
			}
			switch list, ok := lists[kind]; {
			case ok:
				whole[list] = append(whole[list].([]any), m)
			case kind == "run" && i == 0, kind == "calls" && i == len(lines)-1:
				for k, v := range m {
					whole[k] = v
				}
			default:
				t.Errorf("%s: line %d has type %q", name, i+1, kind)
			}
		}
		want, err := jsonschema.UnmarshalJSON(bytes.NewReader(rendered(t, "json", f.run)))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(whole), fmt.Sprint(want); got != want {
			t.Errorf("%s: the lines make another object than JSON", name)
		}
	}
}

func decoded[T any](t *testing.T, b []byte) T {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v.(T)
}

// TestSARIFLimits holds what GitHub would drop or refuse.
func TestSARIFLimits(t *testing.T) {
	run := many(sarifResults + 7)
	loc := run.Findings[0].Locations[0]
	for i := range 200 {
		loc.Line = i + 2
		run.Findings[0].Locations = append(run.Findings[0].Locations, loc)
	}
	step := audit.Step{From: "a", To: "b", Edge: "assumes"}
	long := audit.Path{Level: audit.LevelAdmin, Steps: []audit.Step{step, step, step, step, step, step, step, step, step, step, step, step}}
	run.Findings[0].Reach = &audit.Reach{Level: audit.LevelAdmin, Paths: []audit.Path{long, long, long}}
	log := decoded[map[string]any](t, rendered(t, "sarif", run))
	only := log["runs"].([]any)[0].(map[string]any)
	results := only["results"].([]any)
	if len(results) != sarifResults {
		t.Errorf("%d results, want %d", len(results), sarifResults)
	}
	first := results[0].(map[string]any)
	if n := len(first["locations"].([]any)); n != sarifLocations {
		t.Errorf("%d locations, want %d", n, sarifLocations)
	}
	flows := 0
	for _, c := range first["codeFlows"].([]any) {
		flows += len(c.(map[string]any)["threadFlows"].([]any)[0].(map[string]any)["locations"].([]any))
	}
	if flows > 20 {
		t.Errorf("%d thread-flow locations", flows)
	}
	text := fmt.Sprint(only["invocations"], first["message"])
	for _, want := range []string{"7 less severe findings cut", "151 places not shown"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in %s", want, text)
		}
	}
	for _, key := range []string{"snippet", "contextRegion", "partialFingerprints", "commandLine", "arguments"} {
		if bytes.Contains(rendered(t, "sarif", run), []byte(`"`+key+`"`)) {
			t.Errorf("SARIF has %s", key)
		}
	}
}

// TestSARIFScores holds the classes GitHub derives from security-severity, and that no score is 9.0.
func TestSARIFScores(t *testing.T) {
	key := audit.NewSecret(audit.KindAWSKey, "AKIA"+"IOSFODNN7EXAMPLE", "")
	token := audit.NewSecret("github-pat", "", value(36, 1))
	active, unchecked := &audit.Verdict{Validity: audit.Active}, &audit.Verdict{Validity: audit.Unchecked}
	reach := func(l audit.Level) *audit.Reach { return &audit.Reach{Level: l} }
	for _, c := range []struct {
		f               audit.Finding
		id, score, lvel string
	}{
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: active, Reach: reach(audit.LevelAdmin)}, "aws-access-key-admin", "9.8", "error"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: active, Reach: reach(audit.LevelEscalation)}, "aws-access-key-escalation", "9.3", "error"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: active, Reach: reach(audit.LevelWrite)}, "aws-access-key-write", "8.2", "error"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: active, Reach: reach(audit.LevelRead)}, "aws-access-key-read", "5.5", "warning"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: active, Reach: reach(audit.LevelUnknown)}, "aws-access-key-live", "8.0", "error"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: unchecked, Severity: audit.High}, "aws-access-key-unchecked", "4.0", "warning"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: &audit.Verdict{Validity: audit.Inactive}, Reach: reach(audit.LevelAdmin)}, "aws-access-key-inactive", "2.0", "note"},
		{audit.Finding{Rule: "aws-access-key", Secret: key, Verdict: &audit.Verdict{Validity: audit.Canary}}, "aws-access-key-canary", "", "note"},
		{audit.Finding{Rule: "github-pat", Secret: token, Verdict: unchecked, Severity: audit.High}, "github-pat", "8.0", "error"},
		{audit.Finding{Rule: "x", Severity: audit.Critical}, "x", "9.1", "error"},
		{audit.Finding{Rule: "x", Severity: audit.Medium}, "x", "5.0", "warning"},
		{audit.Finding{Rule: "x", Severity: audit.Low}, "x", "2.0", "note"},
		{audit.Finding{Rule: "x", Severity: audit.Info}, "x", "", "note"},
	} {
		got := descriptor(&c.f, rules()[c.f.Rule])
		if got.ID != c.id || got.Properties.Score != c.score || got.Configuration.Level != c.lvel {
			t.Errorf("%s %s %s, want %s %s %s", got.ID, got.Properties.Score, got.Configuration.Level, c.id, c.score, c.lvel)
		}
		if len(got.Properties.Tags) > 5 || got.Properties.Tags[0] != "security" {
			t.Errorf("%s has tags %v", c.id, got.Properties.Tags)
		}
	}
}

func TestRelativeURI(t *testing.T) {
	for path, want := range map[string]string{
		"deploy/env": "deploy/env", "a b/ü%.env": "a%20b/%C3%BC%25.env", "c:x/?#[": "c%3Ax/%3F%23%5B", "x\n::error::": "x%0A%3A%3Aerror%3A%3A", "\xff": "%FF",
	} {
		if got := relativeURI(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}

func TestAnchors(t *testing.T) {
	for path, want := range map[string]bool{
		"a/b": true, "..a": true, "/etc/passwd": false, "a/../../b": false, "./a": false, "a//b": false, "": false, "..": false,
	} {
		f := audit.Finding{Locations: []audit.Location{{Path: path, Kind: audit.InFile}}}
		if _, ok := anchor(&f); ok != want {
			t.Errorf("%q: %v, want %v", path, ok, want)
		}
	}
	for path, want := range map[string][2]string{
		"app.jar!conf/x.yml": {"app.jar", "conf/x.yml"}, "a/wow!": {"a/wow!", ""}, "a/wow!x.txt": {"a/wow!x.txt", ""}, "x.zip!y.zip!z": {"x.zip", "y.zip!z"},
	} {
		if file, member := outside(path); file != want[0] || member != want[1] {
			t.Errorf("%q is %q and %q", path, file, member)
		}
	}
	history := audit.Finding{Locations: []audit.Location{{Path: "x", Kind: audit.InCommit, Commit: "ab"}}}
	if _, ok := anchor(&history); ok {
		t.Error("what is only in history would be shown as fixed at the next upload")
	}
	if at, ok := gitlabPlace(&history); !ok || at.Commit != "ab" {
		t.Error("GitLab shows history by its commit")
	}
}

// TestMany holds the sizes of what a runner or a person can take.
func TestMany(t *testing.T) {
	run := many(8000)
	summary := rendered(t, "markdown", run)
	if len(summary) > maxSummary || len(summary) < maxSummary*9/10 {
		t.Errorf("the summary has %d bytes", len(summary))
	}
	if !bytes.Contains(summary, []byte("more: see the JSON report")) || !bytes.Contains(summary, []byte("Coverage: ")) {
		t.Error("the summary does not say what it leaves out")
	}
	if rows := bytes.Count(rendered(t, "csv", run), []byte("\r\n")); rows != 8001 {
		t.Errorf("the table has %d rows", rows)
	}
	if n := bytes.Count(rendered(t, "jsonl", run), []byte(`"type":"finding"`)); n != 8000 {
		t.Errorf("%d findings", n)
	}
	if n := bytes.Count(rendered(t, "text", run), []byte("\n")); n > 500 {
		t.Errorf("the text has %d lines", n)
	}
}

func TestUnknownFormat(t *testing.T) {
	err := Write(io.Discard, "yaml", none(), Options{})
	if err == nil || !strings.Contains(audit.HintOf(err), "sarif") {
		t.Errorf("got %v, hint %q", err, audit.HintOf(err))
	}
}

func TestOnly(t *testing.T) {
	run := many(60)
	run.Gaps = []audit.Gap{{Target: run.Coverage[0].Target}, {Target: run.Coverage[1].Target}}
	one := Only(run, run.Coverage[1].Target)
	if len(one.Findings) != 2 || len(one.Coverage) != 1 || len(one.Gaps) != 1 || len(run.Findings) != 60 {
		t.Errorf("%d findings, %d targets, %d gaps", len(one.Findings), len(one.Coverage), len(one.Gaps))
	}
}

// TestPlaceHasAName holds that a place is named whatever little is known of it: GitLab refuses a report with an empty one.
func TestPlaceHasAName(t *testing.T) {
	for _, l := range []audit.Location{
		{Target: "acme/web", Kind: audit.InCommit, Name: "ref names"},
		{Target: "acme/web", Kind: audit.InFile, Name: "stdin"},
		{Target: "acme/web", Kind: audit.InCommit, Object: "0123456789"},
		{Target: "acme/web", Kind: audit.InCommit},
		{Target: "acme/web", Kind: audit.InVariable},
	} {
		if got := place(l, false); got == "" || l.Name != "" && !strings.Contains(got, l.Name) {
			t.Errorf("%+v is called %q", l, got)
		}
	}
}
