package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestDryRun: a plan says what a run takes, how long the quota makes it wait, and asks for no more than the listing of repositories and the quota.
func TestDryRun(t *testing.T) {
	const token = "a-token-that-nobody-may-see"
	g := &forgetest.GitHub{Token: token, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	for i := range 120 {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Private: true})
	}
	remaining := 5000
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/rate_limit" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"resources": {"core": {"limit": 100, "remaining": %d, "reset": %d}}}`, remaining, time.Now().Add(time.Hour).Unix())
		return true
	}
	store := filepath.Join(t.TempDir(), "runs.db")
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": token}
	code, out, errs := asked(t, vars, "scan", "--dry-run", "--sources", "history,variables", "--format", "json", "--store", store, "github:acme")
	var p plan
	if err := json.Unmarshal([]byte(out), &p); code != exitOK || err != nil || p.Schema != planSchema || len(p.Refs) != 1 || len(p.Quotas) != 2 || p.Quotas[0].Quota != "core" {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	if q := p.Quotas[0]; q.Limit != 60 || q.WaitSeconds != 0 || q.Calls < 120 {
		t.Errorf("%+v", q)
	}
	for _, r := range g.Requests() {
		if strings.Contains(r.Path, ".git/") || strings.HasSuffix(r.Path, "/variables") {
			t.Errorf("asked for %s", r.Path)
		}
	}
	if _, err := os.Stat(store); err == nil {
		t.Error("a store was made")
	}
	remaining = 40 // of which all are people's
	_, out, _ = asked(t, vars, "scan", "--dry-run", "--sources", "variables", "github:acme")
	for _, want := range []string{
		"120 repositories, 120 private", "variables", "0 are ours and left, 60 an hour: about 2 h", "use --store", "verification: owner", "api.request",
		"iam.amazonaws.com GetAccessKeyLastUsed in us-east-1 as leakreach/", "the auditor's account, by the auditor, for each key",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no word of %q in\n%s", want, out)
		}
	}
	if code, out, errs = asked(t, vars, "scan", "--dry-run", "github:nobody"); code != exitAuth || !strings.Contains(out, "ended: ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out+errs, token) {
		t.Error("shows the token")
	}
}

func TestPlanForPeople(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[int64]string{12: "12 B", 1 << 10: "1.0 KiB", 3 << 29: "1.5 GiB", 1<<63 - 1: "8.0 EiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "a minute", 61 * time.Second: "2 min", 80 * time.Minute: "1 h 20 min"} {
		if got := roughly(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

// A plan goes where --out says, in a form that has one.
func TestPlanInFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "plan.json")
	code, out, errs := asked(t, nil, "scan", "dir:"+dir, "--dry-run", "--out", "json="+file)
	text, err := os.ReadFile(file)
	var p plan
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if code != exitOK || err != nil || p.Schema != planSchema || len(p.Refs) != 1 || !strings.Contains(out, "no network") {
		t.Errorf("exit code %d, %v: %s%s%s", code, err, out, errs, text)
	}
	sarif := filepath.Join(dir, "x.sarif")
	code, _, errs = asked(t, nil, "scan", "dir:"+dir, "--dry-run", "--out", "sarif="+sarif)
	if _, err := os.Stat(sarif); code != exitOK || err == nil || !strings.Contains(errs, "a plan has no sarif form: "+sarif+" is not written") {
		t.Errorf("exit code %d, %v: %s", code, err, errs)
	}
}
