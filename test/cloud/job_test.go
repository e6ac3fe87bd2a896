package cloud

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// jobs has real runners run the program in a job that holds keys, and the gateway say whose they are: a key and a session in the environment, a key in
// the file that an earlier step left.
func jobs(t *testing.T, endpoint string, keys map[string]credential) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "leakreach")
	run(t, "../..", nil, "go", "build", "-o", bin, "./cmd/leakreach")
	t.Run("act", func(t *testing.T) {
		installed(t, "act")
		repo, home := checkout(t), t.TempDir()
		flow := filepath.Join(t.TempDir(), "job.yml")
		session, left := keys["session"], keys["active"]
		put(t, flow, strings.NewReplacer("{program}", bin, "{id}", session.id, "{secret}", session.secret, "{token}", session.token, "{endpoint}", endpoint,
			"{left id}", left.id, "{left secret}", left.secret).Replace(`on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    env:
      AWS_ACCESS_KEY_ID: "{id}"
      AWS_SECRET_ACCESS_KEY: "{secret}"
      AWS_SESSION_TOKEN: "{token}"
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: mkdir -p "$HOME/.aws"; printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$ID" "$SECRET" >"$HOME/.aws/credentials"
        env:
          ID: "{left id}"
          SECRET: "{left secret}"
      - run: '"{program}" scan job: --verify live --fail-on none --format json >"$HOME/report.json"'
        env:
          AWS_ENDPOINT_URL: "{endpoint}"
          AWS_EC2_METADATA_DISABLED: true
`))
		log := run(t, repo, []string{"HOME=" + home}, "act", "push", "-W", flow, "-P", "ubuntu-latest=-self-hosted")
		held(t, filepath.Join(home, "report.json"), log, map[string]credential{"role/session": session, "user/active": left}, session)
	})
	t.Run("gitlab-ci-local", func(t *testing.T) {
		installed(t, "gitlab-ci-local")
		installed(t, "rsync")
		repo, home := checkout(t), t.TempDir()
		admin, reader := keys["active"], keys["reader"]
		put(t, filepath.Join(repo, ".gitlab-ci.yml"), "deploy:\n  script:\n    - '\""+bin+"\" scan job: --verify live --fail-on none --format json >\"$HOME/report.json\"'\n")
		put(t, filepath.Join(home, ".aws/credentials"), "[default]\naws_access_key_id = "+reader.id+"\naws_secret_access_key = "+reader.secret+"\n")
		args := []string{"--force-shell-executor"}
		for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": admin.id, "AWS_SECRET_ACCESS_KEY": admin.secret, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"} {
			args = append(args, "--variable", name+"="+value)
		}
		log := run(t, repo, []string{"HOME=" + home}, "gitlab-ci-local", args...)
		held(t, filepath.Join(home, "report.json"), log, map[string]credential{"user/active": admin, "user/reader": reader}, credential{})
	})
}

// held checks what the report says of the keys that a job had, by whose they are. One of them ends by itself and does not count.
func held(t *testing.T, path, log string, want map[string]credential, known credential) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var r audit.Run
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for owner, c := range want {
		var of []audit.Finding
		for _, f := range r.Findings {
			if f.Secret != nil && f.Secret.ID == c.id {
				of = append(of, f)
			}
		}
		if len(of) != 1 {
			t.Errorf("%s: %d findings of %+v, gaps %+v", owner, len(of), r.Findings, r.Gaps)
			continue
		}
		f := of[0]
		if v := f.Verdict; v == nil || v.Validity != audit.Active || v.How != "live" || v.Identity == nil || !strings.Contains(v.Identity.ARN, strings.TrimPrefix(owner, "role/")) {
			t.Errorf("%s: verdict %+v, identity %+v", owner, v, v.Identity)
		}
		if f.Reach == nil || f.Reach.Level != c.level {
			t.Errorf("%s: reach %+v, want %s", owner, f.Reach, c.level)
		}
		if (f.Suppressed != nil) != (c.id == known.id) {
			t.Errorf("%s: suppressed: %+v", owner, f.Suppressed)
		}
		for _, l := range f.Locations {
			if l.Target != "job:" {
				t.Errorf("%s lies in %s", owner, l.Target)
			}
		}
		for _, value := range []string{c.secret, c.token} {
			if value != "" && strings.Contains(string(b), value) {
				t.Errorf("%s: the report shows the secret", owner)
			}
		}
	}
}

// installed skips the test if a program is not installed; in CI that is a failure.
func installed(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed; make tools installs it", program)
	}
	t.Skipf("%s is not installed; make tools installs it", program)
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a command that must succeed, with some variables of ours and none of a user's AWS.
func run(t *testing.T, dir string, env []string, name string, args ...string) (log string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AWS_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// checkout is a repository with nothing in it, and an address that runners read names from.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "main.go"), "package main\n")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "state"},
		{"remote", "add", "origin", "git@gitlab.example.com:acme/web.git"},
	} {
		run(t, dir, nil, "git", args...)
	}
	return dir
}
