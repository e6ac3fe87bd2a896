package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// asked runs a command line in a world with these variables.
func asked(t *testing.T, vars map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	w := testWorld(&out, &err, t.TempDir())
	outer := w.getenv
	w.getenv = func(k string) string {
		if v, ok := vars[k]; ok {
			return v
		}
		return outer(k)
	}
	code = run(t.Context(), args, w)
	return code, out.String(), err.String()
}

// TestDoctor: the exit code says what a scan would be missing, and no token is shown.
func TestDoctor(t *testing.T) {
	const token = "a-token-that-nobody-may-see"
	g := &forgetest.GitHub{Token: token, Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	g.Repos = []*forgetest.GitHubRepo{{FullName: "acme/web", ID: 1, Private: true}}
	denied := ""
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if denied != "" && strings.HasSuffix(r.URL.Path, denied) {
			w.Header().Set("X-Accepted-GitHub-Permissions", "issues=read")
			return forgetest.Fail(w, http.StatusForbidden, "Resource not accessible by personal access token, such as "+token)
		}
		return false
	}
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": token}
	code := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := asked(t, vars, args...)
		if got != want {
			t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, want, stdout, stderr)
		}
		if strings.Contains(stdout+stderr, token) {
			t.Errorf("%q shows the token\n%s%s", args, stdout, stderr)
		}
		return stdout, stderr
	}
	denied = "/issues"
	out, _ := code(exitIncomplete, "doctor", "github:acme/web", "--sources", "issues", "--format", "json")
	var d diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Refs) != 1 || d.Refs[0].Ref != "github:acme/web" {
		t.Fatalf("%v: %s", err, out)
	}
	found := false
	for _, c := range d.Refs[0].Checks {
		if c.For == "issues and their comments" {
			found = c.State == audit.Missing && len(c.Sources) == 1 && c.Sources[0] == "issues" && strings.Contains(c.Evidence, "needs issues=read") && c.Fix != ""
		}
	}
	if !found {
		t.Errorf("no word of what is missing: %s", out)
	}
	code(exitOK, "doctor", "github:acme/web", "--sources", "issues", "--allow-gaps")
	denied = ""
	vars["GH_TOKEN"] = "another-one"
	out, _ = code(exitAuth, "doctor", "github:acme")
	if !strings.Contains(out, "it is not accepted") || !strings.Contains(out, "ended") {
		t.Errorf("refused: %s", out)
	}
}
