package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// scanOnline scans a directory with one workflow, beside a fake of GitHub.
func scanOnline(t *testing.T, g *forgetest.GitHub, workflow string, env map[string]string, args ...string) (report audit.Run, out string, code int) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, ".github/workflows/ci.yml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(workflow), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "LEAKREACH_PROGRESS": "off", "LEAKREACH_CACHE_DIR": t.TempDir()}
	maps.Copy(all, env)
	var stdout, log bytes.Buffer
	code = run(t.Context(), append([]string{"scan", "dir:" + dir, "--verify", "off", "--format", "json"}, args...), world{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &log, getenv: func(k string) string { return all[k] },
		terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
	})
	if strings.Contains(stdout.String(), audit.Schema) {
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("%v\n%s", err, stdout.String())
		}
	}
	return report, stdout.String() + log.String(), code
}

// tagged gives a bare repository a tag, and returns the commit.
func tagged(t *testing.T, dir, tag, at string) string {
	t.Helper()
	if tag != "" {
		gitOf(t, dir, "tag", "-f", tag, at)
	}
	return strings.TrimSpace(gitOf(t, dir, "rev-parse", at))
}

// Of other people's code nobody is asked unless the user says so.
func TestOnline(t *testing.T) {
	build := forgetest.Repository(t, forgetest.Commit{"action.yml": "runs: {using: node24, main: a.js}\n"})
	commit := tagged(t, build, "v1", "main")
	workflow := "on: push\njobs:\n  build:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: acme/build@v1\n      - uses: acme/none@v1\n"
	g := &forgetest.GitHub{Repos: []*forgetest.GitHubRepo{{FullName: "acme/build", Dir: build}}}
	report, out, code := scanOnline(t, g, workflow, nil, "--fail-on", "none")
	if n := len(g.Requests()); n > 0 || code != exitOK || len(report.Gaps) > 0 {
		t.Errorf("without --online: %d requests, exit code %d, gaps %v\n%s", n, code, report.Gaps, out)
	}
	report, out, code = scanOnline(t, g, workflow, nil, "--fail-on", "none", "--online")
	entry := func(name string) audit.Entry {
		i := slices.IndexFunc(report.Inventory, func(e audit.Entry) bool { return e.Kind == audit.KindComponent && e.Name == name })
		if i < 0 {
			return audit.Entry{}
		}
		return report.Inventory[i]
	}
	if e := entry("acme/build@v1"); code != exitOK || e.Facts["commit"] != commit || e.Facts["is"] != "tag" {
		t.Errorf("exit code %d, %+v\n%s", code, e, out)
	}
	if !slices.ContainsFunc(report.Gaps, func(g audit.Gap) bool {
		return g.What == "component acme/none@v1" && strings.Contains(g.Why, "does not exist")
	}) || report.Info.Complete {
		t.Errorf("gaps: %v", report.Gaps)
	}
	report, _, _ = scanOnline(t, g, workflow, map[string]string{"LEAKREACH_ONLINE_BUDGET": "1"}, "--fail-on", "none", "--online")
	if !slices.ContainsFunc(report.Gaps, func(g audit.Gap) bool { return strings.Contains(g.Why, "1 requests were sent") }) || report.Calls["git"] > 1 {
		t.Errorf("with a budget of one: %v, calls %v", report.Gaps, report.Calls)
	}
	with, err := (&recipe{Online: true}).rules(defaultMemory)
	if without, werr := (&recipe{}).rules(defaultMemory); err != nil || werr != nil || with != without {
		t.Errorf("what has not changed is scanned again with --online: %v, %v", err, werr)
	}
	before := len(g.Requests())
	if _, out, code = scanOnline(t, g, workflow, map[string]string{"LEAKREACH_ONLINE_BUDGET": "300"}, "--online", "--dry-run"); code != exitOK || !strings.Contains(out, `"online": 300`) || len(g.Requests()) > before {
		t.Errorf("a plan: exit code %d, %d requests\n%s", code, len(g.Requests())-before, out)
	}
	if _, _, code = scanOnline(t, g, workflow, map[string]string{"LEAKREACH_ONLINE_BUDGET": "none"}, "--online"); code != exitUsage {
		t.Errorf("a budget that is no number: exit code %d", code)
	}
}

// What a tag stands for, what a pinned action pulls in, and whose a commit is, is judged where the definition names it.
func TestOnlineFindings(t *testing.T) {
	inner := forgetest.Repository(t, forgetest.Commit{"action.yml": "runs: {using: node24, main: a.js}\n"})
	tagged(t, inner, "v1", "main")
	outer := forgetest.Repository(t, forgetest.Commit{"action.yml": "runs: {using: composite, steps: [{uses: acme/inner@v1}]}\n"}, forgetest.Commit{"README.md": "two\n"})
	pinned := tagged(t, outer, "", "main~1")
	fork := strings.TrimSpace(gitOf(t, outer, "commit-tree", "-m", "of a fork", "-p", pinned, pinned+"^{tree}"))
	gitOf(t, outer, "update-ref", "refs/pull/1/head", fork)
	workflow := "on: push\npermissions: {}\njobs:\n  build:\n    runs-on: ubuntu-24.04\n    steps:\n" +
		"      - uses: acme/outer@" + pinned + "\n      - uses: acme/outer@" + fork + "\n      - uses: acme/outer@0123456789abcdef0123456789abcdef01234567\n"
	tagged(t, outer, "v2.0.0", "main")
	workflow += "      - uses: acme/outer@v2.0.0\n"
	g := &forgetest.GitHub{
		Repos: []*forgetest.GitHubRepo{{FullName: "acme/inner", Dir: inner}, {FullName: "acme/outer", Dir: outer}},
		Advisories: []forgetest.Advisory{
			{ID: "GHSA-2222-3333-1111", Severity: "low", Summary: "of old ones", Package: "acme/outer", Range: "< 2.0.0", Fixed: "2.0.0"},
			{ID: "GHSA-2222-3333-2222", Severity: "high", Summary: "taken back", Package: "acme/outer", Range: "< 3", Withdrawn: true},
			{ID: "GHSA-2222-3333-3333", Severity: "high", Summary: "of another registry", Package: "acme/outer", Range: "< 3", Ecosystem: "npm"},
			{ID: "GHSA-2222-3333-4444", Severity: "medium", Summary: "leaks", Package: "Acme/Outer", Range: ">= 2.0, < 2.0.1", Fixed: "2.0.1"},
			{ID: "GHSA-2222-3333-5555", Severity: "critical", Summary: "steals", Package: "acme/outer", Range: "= 2.0.0", Malware: true},
		},
	}
	report, out, code := scanOnline(t, g, workflow, nil, "--online")
	var got []string
	for _, f := range report.Findings {
		for _, l := range f.Locations {
			got = append(got, fmt.Sprintf("%s %s:%d", f.Rule, l.Path, l.Line))
		}
	}
	slices.Sort(got)
	want := []string{
		"impostor-commit .github/workflows/ci.yml:8", "impostor-commit .github/workflows/ci.yml:9",
		"unpinnable-action .github/workflows/ci.yml:7", "unpinnable-action .github/workflows/ci.yml:8",
		"unpinned-action .github/workflows/ci.yml:10", "vulnerable-action .github/workflows/ci.yml:10", "vulnerable-action .github/workflows/ci.yml:10",
	}
	if !slices.Equal(got, want) || code != exitFindings || len(report.Gaps) != 3 || !strings.Contains(report.Gaps[0].Why, "no tag of its commit tells which version it is") {
		t.Errorf("exit code %d, %q, want %q; gaps %v\n%s", code, got, want, report.Gaps, out)
	}
}

func gitOf(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"--git-dir", dir, "-c", "user.name=A", "-c", "user.email=a@example.com"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}
