package main

import (
	"bytes"
	"encoding/json"
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
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("%v\n%s", err, stdout.String())
		}
	}
	return report, stdout.String() + log.String(), code
}

// tagged gives a bare repository a tag, and returns the commit.
func tagged(t *testing.T, dir, tag, at string) string {
	t.Helper()
	out, err := exec.Command("git", "--git-dir", dir, "rev-parse", at).CombinedOutput()
	if err == nil && tag != "" {
		err = exec.Command("git", "--git-dir", dir, "tag", "-f", tag, at).Run()
	}
	if err != nil {
		t.Fatal(err, string(out))
	}
	return strings.TrimSpace(string(out))
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
	if _, _, code = scanOnline(t, g, workflow, map[string]string{"LEAKREACH_ONLINE_BUDGET": "none"}, "--online"); code != exitUsage {
		t.Errorf("a budget that is no number: exit code %d", code)
	}
}
