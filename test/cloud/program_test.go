package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// program puts every key into the history of a repository, one file each, and has the built program find, verify and report it.
func program(t *testing.T, endpoint string, keys map[string]credential) {
	dir := t.TempDir()
	bin := built(t)
	repo := filepath.Join(dir, "repo")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	if err := os.MkdirAll(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	byID := map[string]string{}
	for name, c := range keys {
		byID[c.id] = name
		text := fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, c.id, c.secret)
		if c.token != "" {
			text += "aws_session_token = " + c.token + "\n"
		}
		if err := os.MkdirAll(filepath.Join(repo, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, name, "credentials"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "-q", "-m", "add "+name)
	}
	git("rm", "-q", "-r", "active") // in history only

	run, code := scan(t, bin, endpoint, repo)
	if code != 10 {
		t.Errorf("exit code %d, want 10", code)
	}
	for name, c := range keys {
		for _, value := range []string{c.secret, c.token} {
			if value != "" && strings.Contains(run.shown, value) {
				t.Errorf("the output shows the secret of %s", name)
			}
		}
	}
	seen := map[string]int{}
	for _, f := range run.Findings {
		name := byID[f.Secret.ID]
		if name == "" {
			t.Errorf("unexpected finding of rule %s, %s %s", f.Rule, f.Secret.Kind, f.Secret.ID)
			continue
		}
		seen[name]++
		c := keys[name]
		if f.Verdict.Validity != c.validity || f.Verdict.How != "live" || f.Verdict.Facts["state"] != c.state {
			t.Errorf("%s: rule %s, %s: verdict %+v", name, f.Rule, f.Secret.Kind, f.Verdict)
		}
		if c.validity == audit.Active && (f.Reach == nil || f.Reach.Level != c.level) {
			t.Errorf("%s: reach %+v, want %s", name, f.Reach, c.level)
		}
	}
	for name := range keys {
		if seen[name] != 1 {
			t.Errorf("%s was reported %d times", name, seen[name])
		}
	}
	if run.Calls["sts"] < len(keys) {
		t.Errorf("calls %v for %d keys", run.Calls, len(keys))
	}
	t.Run("settled", func(t *testing.T) { settled(t, bin, endpoint, keys["active"]) })
}

// A report is what the tests read of a run.
type report struct {
	Findings []struct {
		Rule    string
		Secret  struct{ Kind, ID, Masked string }
		Verdict struct {
			Validity audit.Validity
			How      string
			Facts    map[string]string
		}
		Reach *struct{ Level audit.Level }
	}
	Calls map[string]int

	shown string // all that was printed
}

func scan(t *testing.T, bin, endpoint, ref string) (r report, code int) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), bin, "scan", "--verify", "live", "--format", "json", ref)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+endpoint, "HOME="+home, "XDG_CONFIG_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		code = exit.ExitCode()
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("scan: exit code %d, %v\n%s", code, err, stderr.String())
	}
	r.shown = stdout.String() + stderr.String()
	return r, code
}

// settled has a key id in one file and two secrets in two others, and STS say which is its own.
func settled(t *testing.T, bin, endpoint string, right credential) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"id.env":  "AWS_ACCESS_KEY_ID=" + right.id + "\n",
		"new.env": "AWS_SECRET_ACCESS_KEY=" + secretKey() + "\n",
		"old.env": "AWS_SECRET_ACCESS_KEY=" + right.secret + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, code := scan(t, bin, endpoint, "dir:"+dir)
	if code != 10 {
		t.Errorf("exit code %d", code)
	}
	for _, f := range out.Findings {
		if f.Secret.ID == right.id {
			masked := right.secret[:4] + "…" + right.secret[36:]
			if f.Verdict.Validity != audit.Active || f.Secret.Masked != masked || f.Verdict.Facts["secret_chosen"] == "" {
				t.Errorf("got %s %+v, want %s", f.Secret.Masked, f.Verdict, masked)
			}
			return
		}
	}
	t.Errorf("the key was not found: %+v", out.Findings)
}

// built is the program, made from these sources.
func built(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "leakreach")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/leakreach")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building leakreach: %v\n%s", err, out)
	}
	return bin
}
