package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestVerifyToken: a token that lies in a file is asked about where it would be used, if that is wanted, and is shown nowhere.
func TestVerifyToken(t *testing.T) {
	const letters = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17" // with their checksum
	token := "ghp_" + letters
	server := &forgetest.GitHub{Token: token, Login: "ci-bot", Owners: []*forgetest.Owner{{Login: "acme"}}}
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, server)}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deploy.sh"), []byte("export GH_TOKEN="+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]audit.Validity{"live": audit.Active, "owner": audit.Unchecked} {
		code, stdout, stderr := asked(t, vars, "scan", "dir:"+dir, "--verify", mode, "--format", "json")
		if code != exitFindings || strings.Contains(stdout+stderr, letters) {
			t.Fatalf("%s: exit code %d, or it shows the token\n%s", mode, code, stderr)
		}
		var r struct{ Findings []audit.Finding }
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 1 || r.Findings[0].Verdict.Validity != want || r.Findings[0].Verdict.Facts["checksum"] != "fits" {
			t.Errorf("%s: %s", mode, stdout)
		}
		if mode == "live" && (r.Findings[0].Verdict.Facts["login"] != "ci-bot" || r.Findings[0].Reach == nil) {
			t.Errorf("live: %s", stdout)
		}
	}
	if _, out, _ := asked(t, vars, "scan", "dir:"+dir, "--verify", "live", "--dry-run"); !strings.Contains(out, "GitHub: last use of the token") {
		t.Errorf("the plan does not say what is left behind: %s", out)
	}
}
