package delivery_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const image = "registry.example.com/leakreach@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// component is a pipeline that includes the component with inputs.
func component(t *testing.T, inputs ...string) string {
	t.Helper()
	return "include:\n  - local: templates/scan.yml\n    inputs:\n      " + strings.Join(inputs, "\n      ") + "\n"
}

func gitlabProject(t *testing.T, inputs ...string) (dir, id, secret string) {
	t.Helper()
	need(t, "gitlab-ci-local", "make tools installs it")
	need(t, "rsync", "apt-get install rsync")
	dir, id, secret = leaky(t, map[string]string{
		".gitlab-ci.yml":     component(t, inputs...),
		"templates/scan.yml": read(t, filepath.Join(root(t), "templates/scan.yml")),
	})
	output(t, dir, nil, "git", "remote", "add", "origin", "git@gitlab.example.com:acme/web.git")
	return dir, id, secret
}

func runGitlab(t *testing.T, dir string, env []string, args ...string) result {
	t.Helper()
	path := filepath.Dir(program(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	return try(t, dir, append([]string{"PATH=" + path, "HOME=" + t.TempDir()}, env...), "gitlab-ci-local", append([]string{"--force-shell-executor"}, args...)...)
}

// TestGitlabComponent runs the component's job for real on a repository with a planted key.
func TestGitlabComponent(t *testing.T) {
	dir, id, secret := gitlabProject(t, "image: "+image, "verify: offline")
	run := runGitlab(t, dir, nil)
	if run.code == 0 || !strings.Contains(run.all(), "FAIL") {
		t.Fatalf("exit code %d, want the job to fail\n%s", run.code, run.all())
	}
	if strings.Contains(run.all(), secret) {
		t.Error("the log shows the secret")
	}
	var report struct {
		Version         string `json:"version"`
		Vulnerabilities []struct {
			Location struct{ File string } `json:"location"`
		} `json:"vulnerabilities"`
	}
	text := read(t, filepath.Join(dir, "gl-secret-detection-report.json"))
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Vulnerabilities) != 1 || report.Vulnerabilities[0].Location.File != "deploy/env" {
		t.Errorf("the GitLab report holds %+v, want the key in deploy/env", report.Vulnerabilities)
	}
	full := read(t, filepath.Join(dir, "leakreach.json"))
	if !shows(full, id) || strings.Contains(full+text, secret) {
		t.Errorf("leakreach.json: key id there: %t; a report shows the secret: %t", shows(full, id), strings.Contains(full+text, secret))
	}
}

// TestGitlabComponentPasses: with a threshold above what is there, the job succeeds and writes its reports all the same.
func TestGitlabComponentPasses(t *testing.T) {
	dir, _, _ := gitlabProject(t, "image: "+image, "verify: offline", "fail_on: live", "stage: build")
	if run := runGitlab(t, dir, nil); run.code != 0 {
		t.Fatalf("exit code %d\n%s", run.code, run.all())
	}
	if _, err := os.Stat(filepath.Join(dir, "leakreach.json")); err != nil {
		t.Error(err)
	}
}

// TestGitlabComponentFork: what a fork brings along does not silence the scan, and no key is used.
func TestGitlabComponentFork(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		code   bool
	}{"own": {"1", false}, "fork": {"2", true}} {
		t.Run(name, func(t *testing.T) {
			dir, id, _ := gitlabProject(t, "image: "+image, "verify: owner") // one each: the reports of a job are files of the next
			path := filepath.Join(dir, "deploy/env")
			write(t, path, strings.ReplaceAll(read(t, path), "\n", " # gitleaks:allow\n"))
			output(t, dir, nil, "git", "add", "-A")
			output(t, dir, nil, "git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "--amend", "-m", "state")
			output(t, dir, nil, "git", "reflog", "expire", "--expire=now", "--all")
			output(t, dir, nil, "git", "prune", "--expire=now") // the file was never without the comment
			run := runGitlab(t, dir, nil, "--variable", "CI_MERGE_REQUEST_PROJECT_ID=1", "--variable", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID="+c.source)
			if failed := run.code != 0; failed != c.code {
				t.Errorf("job failed: %t, want %t\n%s", failed, c.code, run.all())
			}
			var report struct {
				Run struct {
					Verify string `json:"verify"`
				} `json:"run"`
			}
			text := read(t, filepath.Join(dir, "leakreach.json"))
			if err := json.Unmarshal([]byte(text), &report); err != nil {
				t.Fatal(err)
			}
			if want := map[string]string{"own": "owner", "fork": "offline"}[name]; report.Run.Verify != want {
				t.Errorf("verification was %q, want %q", report.Run.Verify, want)
			}
			if !shows(text, id) {
				t.Error("the key is not even listed")
			}
		})
	}
}

// TestGitlabComponentInputs: an input is pasted as text, so only what cannot be anything else is taken.
func TestGitlabComponentInputs(t *testing.T) {
	for name, inputs := range map[string][]string{
		"no image":              {"verify: off"},
		"an image by tag":       {"image: registry.example.com/leakreach:latest"},
		"an image and a line":   {"image: \"" + image + "\\nscript: id\""},
		"a verify of one's own": {"image: " + image, "verify: \"live; id\""},
		"a stage with a quote":  {"image: " + image, "stage: \"a'b\""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := gitlabProject(t, inputs...)
			run := try(t, dir, []string{"HOME=" + t.TempDir()}, "gitlab-ci-local", "--preview")
			if run.code == 0 {
				t.Errorf("accepted:\n%s", run.stdout)
			}
		})
	}
}

// TestGitlabComponentPlain: servers without the catalogue include the file itself; what it expands to is a plain job.
func TestGitlabComponentPlain(t *testing.T) {
	dir, _, _ := gitlabProject(t, "image: "+image)
	run := try(t, dir, []string{"HOME=" + t.TempDir()}, "gitlab-ci-local", "--preview")
	if run.code != 0 {
		t.Fatalf("exit code %d\n%s", run.code, run.all())
	}
	for _, want := range []string{"name: " + image, "interruptible: true", "when: always", "secret_detection: gl-secret-detection-report.json", "access: developer"} {
		if !strings.Contains(run.stdout, want) {
			t.Errorf("the job lacks %q:\n%s", want, run.stdout)
		}
	}
	if strings.Contains(run.stdout, "$[[") {
		t.Error("an input was not filled in")
	}
}

// TestImage holds the Dockerfile to its rules; no engine is needed to read it.
func TestImage(t *testing.T) {
	text := read(t, filepath.Join(root(t), "Dockerfile"))
	user := ""
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "FROM":
			if i := slices.IndexFunc(fields, func(f string) bool { return strings.Contains(f, "@sha256:") }); i < 0 {
				t.Errorf("not pinned by digest: %s", line)
			}
		case "USER":
			user = fields[1]
		}
	}
	if uid, _, _ := strings.Cut(user, ":"); uid == "" || uid == "0" || uid == "root" {
		t.Errorf("the program runs as %q", user)
	}
	if _, err := exec.LookPath("hadolint"); err == nil {
		output(t, root(t), nil, "hadolint", "Dockerfile")
	}
}
