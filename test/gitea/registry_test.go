//go:build unix

package gitea

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/docker"
)

// TestRegistryLogins asks a real registry, Gitea's own, about logins that work and do not.
func TestRegistryLogins(t *testing.T) {
	s := start(t)
	const password = "of-the-test-only"
	s.must(t, "POST", "admin/users", map[string]any{"username": "rita", "email": "rita@example.com", "password": password, "must_change_password": false})
	token := func(scopes ...string) string {
		return s.must(t, "POST", "users/rita/tokens", map[string]any{"name": fmt.Sprint(scopes), "scopes": scopes}, "rita", password)["sha1"].(string)
	}
	s.image(t, "rita", token("write:package"), "web")
	host, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user, password string
		validity             audit.Validity
		level                audit.Level
		limit                string
	}{
		{"a password", "rita", password, audit.Active, audit.LevelRead, "not told by the registry's tokens"},
		{"a token", "rita", token("read:package"), audit.Active, audit.LevelRead, "not told by the registry's tokens"},
		{"a token of something else", "rita", token("read:user"), audit.Unknown, "", ""}, // it works, and is refused as what follows is
		{"a wrong password", "rita", "of-another-test", audit.Unknown, "", ""},
		{"nobody's", "nobody", password, audit.Unknown, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			login := audit.NewSecret(audit.KindRegistryLogin, c.user, c.password)
			login.SetPart(audit.PartHost, host.Host)
			verdict, err := docker.New(verifierEnv(s.url), true, nil).Verify(t.Context(), login)
			if err != nil || verdict.Validity != c.validity {
				t.Fatalf("got %+v, %v; want %s", verdict, err, c.validity)
			}
			if (verdict.Reach == nil) != (c.level == "") || verdict.Reach != nil && (verdict.Reach.Level != c.level || !strings.Contains(fmt.Sprint(verdict.Reach.Limits), c.limit)) {
				t.Errorf("reach %+v, facts %v; want %s, %s", verdict.Reach, verdict.Facts, c.level, c.limit)
			}
		})
	}
}

// A login in a script is found with the registry and the user that it names, and works at a registry that may be asked.
func TestRegistryLoginsOfScripts(t *testing.T) {
	s := start(t)
	const password = "of-the-test-only"
	s.must(t, "POST", "admin/users", map[string]any{"username": "rita", "email": "rita@example.com", "password": password, "must_change_password": false})
	token := s.must(t, "POST", "users/rita/tokens", map[string]any{"name": "t", "scopes": []string{"write:package"}}, "rita", password)["sha1"].(string)
	s.image(t, "rita", token, "web")
	program := buildProgram(t)
	host, dir := strings.TrimPrefix(s.url, "http://"), t.TempDir()
	for path, script := range map[string]string{
		"ci.sh":          "docker login -u rita -p " + token + " " + host + "\n",
		"deploy.sh":      "REGISTRY=" + host + "\nREGISTRY_USER=rita\nexport REGISTRY_PASSWORD=" + token + "\necho \"$REGISTRY_PASSWORD\" | docker login -u $REGISTRY_USER --password-stdin $REGISTRY\n",
		".gitlab-ci.yml": "variables:\n  REGISTRY_PASSWORD: " + token + "\nbuild:\n  script:\n    - docker login -u rita -p \"$REGISTRY_PASSWORD\" http://" + host + "/v2/\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		for named, want := range map[string]string{s.url: "active", "": "unchecked"} {
			cmd := exec.CommandContext(t.Context(), program, "scan", "dir:"+dir, "--verify", "live", "--format", "json", "--fail-on", "none", "--quiet")
			cmd.Env = append(os.Environ(), "GITEA_URL="+named)
			out, err := cmd.Output()
			var report audit.Run
			if err == nil {
				err = json.Unmarshal(out, &report)
			}
			if err != nil || len(report.Findings) != 1 || report.Findings[0].Verdict == nil || string(report.Findings[0].Verdict.Validity) != want {
				t.Errorf("%s, where %q is named: %v, %+v; want %s", path, named, err, report.Findings, want)
			}
		}
		if err := os.Remove(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
}

// verifierEnv is what verifiers get from outside, with the address of a Gitea.
func verifierEnv(address string) audit.Env {
	return audit.Env{
		HTTP: http.DefaultClient, Getenv: func(name string) string { return map[string]string{"GITEA_URL": address}[name] }, Log: slog.New(slog.DiscardHandler),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}
}

// image pushes an image of no layers, as clients do: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push
func (s *server) image(t *testing.T, owner, token, name string) {
	t.Helper()
	const config = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(config)))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`,
		digest, len(config))
	base := s.url + "/v2/" + owner + "/" + name
	for _, step := range []struct{ method, address, kind, body string }{
		{http.MethodPost, base + "/blobs/uploads/?digest=" + url.QueryEscape(digest), "application/octet-stream", config},
		{http.MethodPut, base + "/manifests/latest", "application/vnd.oci.image.manifest.v1+json", manifest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), step.method, step.address, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(owner, token)
		req.Header.Set("Content-Type", step.kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusCreated || err != nil {
			t.Fatalf("%s %s: %s %s %v", step.method, step.address, resp.Status, said, err)
		}
	}
}
