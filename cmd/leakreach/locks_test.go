package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestLocksOfForges: a lock file holds on GitHub what it says, for the definitions that the forge hands out and for those in git. A server of one's own
// does not go by it. Testdata's locks.txtar has the same for directories.
func TestLocksOfForges(t *testing.T) {
	const malicious = "0e58ed8671d6b60d0890c21b07f8835ace038e67" // of tj-actions/changed-files
	files := forgetest.Commit{
		".github/workflows/ci.yml": "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: other/build@v1\n      - uses: tj-actions/changed-files@v45\n      - uses: tj-actions/changed-files@v44\n",
		".github/workflows/actions.lock": "version: v0.0.2\nworkflows:\n  .github/workflows/ci.yml: ['other/build@v1', 'tj-actions/changed-files@v45', 'tj-actions/changed-files@v44']\ndependencies:\n" +
			"  'other/build@v1': {ref: v1, commit: sha1-0123456789abcdef0123456789abcdef01234567}\n" +
			"  'tj-actions/changed-files@v44': {ref: v44, commit: sha1-" + malicious + "}\n" +
			"  'tj-actions/changed-files@v45': {ref: v45, commit: sha1-48d8f15b2aaa3d255ca5af3eba4870f807ce6b3c}\n",
	}
	loose := []string{
		"compromised-component medium tj-actions/changed-files@v44, GHSA-mrrh-fwg8-r2c3", "compromised-component medium tj-actions/changed-files@v45, GHSA-mrrh-fwg8-r2c3",
		"unpinned-action medium other/build@v1", "unpinned-action medium tj-actions/changed-files@v44", "unpinned-action medium tj-actions/changed-files@v45",
	}
	dir := forgetest.Repository(t, files)
	github := &forgetest.GitHub{Token: forgetest.WorldToken, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}, Repos: []*forgetest.GitHubRepo{{FullName: "acme/web", ID: 1, Dir: dir}}}
	for _, c := range []struct {
		name, base string
		sources    string
		want       []string
	}{
		{"definitions", "", "workflows", []string{"compromised-component critical tj-actions/changed-files@v44, GHSA-mrrh-fwg8-r2c3"}},
		{"git", "", "files,history", []string{"compromised-component critical tj-actions/changed-files@v44, GHSA-mrrh-fwg8-r2c3"}},
		{"own server", "/api/v3", "workflows,files,history", loose},
	} {
		t.Run(c.name, func(t *testing.T) {
			vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, github) + c.base, "GH_TOKEN": forgetest.WorldToken, "LEAKREACH_STORE": filepath.Join(t.TempDir(), "runs.db")}
			code, stdout, stderr := asked(t, vars, "scan", "github:acme/web", "--verify", "off", "--format", "json", "--sources", c.sources, "--rules", "unpinned-action,compromised-component,actions-lock-outdated")
			var run audit.Run
			if err := json.Unmarshal([]byte(stdout), &run); err != nil || code != exitFindings {
				t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
			}
			var got []string
			for _, f := range run.Findings {
				got = append(got, f.Rule+" "+string(f.Severity)+" "+f.Locations[0].Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s\n%v", diff, run.Gaps)
			}
		})
	}
}
