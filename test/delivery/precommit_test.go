package delivery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPreCommit installs the hook as a user would and lets it judge a commit.
func TestPreCommit(t *testing.T) {
	need(t, "pre-commit", "make tools installs it")
	hook := sources(t)
	output(t, hook, nil, "git", "init", "-q", "-b", "main")
	commit(t, hook)
	revision := strings.TrimSpace(output(t, hook, nil, "git", "rev-parse", "HEAD"))

	dir, id, secret := leaky(t, map[string]string{
		".pre-commit-config.yaml": "repos:\n  - repo: " + hook + "\n    rev: " + revision + "\n    hooks:\n      - id: leakreach\n        args: [--verify=offline]\n",
	})
	// The hook is installed with Go's own caches: a module cache of its own would be read-only to the clean-up, and cold.
	env := []string{"HOME=" + t.TempDir(), "PRE_COMMIT_HOME=" + t.TempDir(), "GOFLAGS=-modcacherw"}
	run := try(t, dir, env, "pre-commit", "run", "--all-files")
	if run.code != 1 || !strings.Contains(run.all(), "exit code: 10") {
		t.Fatalf("exit code %d, want the hook to fail with 10\n%s", run.code, run.all())
	}
	if !shows(run.all(), id) || strings.Contains(run.all(), secret) {
		t.Errorf("key id shown: %t, secret shown: %t", shows(run.all(), id), strings.Contains(run.all(), secret))
	}
	if err := os.Remove(filepath.Join(dir, "deploy/env")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir)
	if run := try(t, dir, env, "pre-commit", "run", "--all-files"); run.code != 0 {
		t.Errorf("exit code %d once the key is gone from the files\n%s", run.code, run.all())
	}
}
