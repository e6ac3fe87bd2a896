package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// A second run over settings that have not changed spends of the quota what the listing of the repositories takes.
func TestSecondSweepOfSettingsCostsTheListing(t *testing.T) {
	const repositories, token = 150, "a-token-of-the-test"
	g := &forgetest.GitHub{Token: token, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	g.Limit = 5000
	planted := newMaker(7).token()
	for i := range repositories {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{
			FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Variables: []forgetest.Variable{{Name: "A", Value: fmt.Sprint("token = ", planted)}},
		})
	}
	env := map[string]string{
		"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": token, "LEAKREACH_STORE": filepath.Join(t.TempDir(), "store.db"),
		"LEAKREACH_SOURCES": "variables,secrets,settings,runners", "LEAKREACH_VERIFY": "off", "LEAKREACH_PROGRESS": "off",
		"LEAKREACH_FINGERPRINT_KEY": strings.Repeat("a key ", 10), "LEAKREACH_GITHUB_BUDGET": "90", // the reserve would be touched by the default
	}
	sweep := func() (cost int, report string) {
		t.Helper()
		before := g.Used(token)
		var out, log bytes.Buffer
		code := run(t.Context(), []string{"scan", "github:acme", "--format", "csv"}, world{
			stdin: strings.NewReader(""), stdout: &out, stderr: &log, getenv: func(k string) string { return env[k] },
			terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
		})
		if code != exitFindings {
			t.Fatalf("exit code %d\n%s", code, log.String())
		}
		return g.Used(token) - before, out.String()
	}
	first, report := sweep()
	second, again := sweep()
	if n := strings.Count(report, "acme/r"); n < repositories || again != report {
		t.Errorf("the reports differ, or lack some of the %d places:\n%s\n%s", n, report[:min(len(report), 2000)], again[:min(len(again), 2000)])
	}
	// Each repository's part is two requests, the listing of 150 two pages; one request asks for the organisation's count, and four for what it has decided
	// for all of them.
	if first < 2*repositories || second > 7 {
		t.Errorf("the first run cost %d, the second %d", first, second)
	}
}
