// Package gittest makes repositories for tests with the git program.
package gittest

import (
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Need skips a test on a machine without git, and fails it in CI.
func Need(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("git is missing")
		}
		tb.Skip("git is missing: apt-get install git")
	}
}

// A Repo is a repository with a working tree. Its methods end the test when git fails.
type Repo struct {
	testing.TB
	Dir string
}

// New makes a repository with one commit on main; args are further arguments of git init.
func New(tb testing.TB, args ...string) *Repo {
	tb.Helper()
	Need(tb)
	r := &Repo{tb, tb.TempDir()}
	r.Git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	r.Write("README", "hello\n")
	r.Commit("start")
	return r
}

// At is a repository in another directory, for the same test.
func (r *Repo) At(dir string) *Repo { return &Repo{r.TB, dir} }

// Git runs git without the configuration of the machine and returns what it printed.
func (r *Repo) Git(args ...string) string { r.Helper(); return r.GitIn("", args...) }

// GitIn is Git with standard input.
func (r *Repo) GitIn(stdin string, args ...string) string {
	r.Helper()
	return strings.TrimSpace(string(r.GitRaw(stdin, args...)))
}

// GitRaw is GitIn for what is not text: a pack may end in a byte that looks like white space.
func (r *Repo) GitRaw(stdin string, args ...string) []byte {
	r.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.Dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ALLOW_PROTOCOL=file",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "LC_ALL=C",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Write writes a file of the working tree, with its directories.
func (r *Repo) Write(name, content string) {
	r.Helper()
	file := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

// Symlink makes a symbolic link in the working tree.
func (r *Repo) Symlink(to, name string) {
	r.Helper()
	if err := os.Symlink(to, filepath.Join(r.Dir, name)); err != nil {
		r.Fatal(err)
	}
}

// Remove removes a file or directory of the working tree.
func (r *Repo) Remove(name string) {
	r.Helper()
	if err := os.RemoveAll(filepath.Join(r.Dir, name)); err != nil {
		r.Fatal(err)
	}
}

// Commit commits all there is, and returns the commit's id.
func (r *Repo) Commit(message string) string {
	r.Helper()
	r.Git("add", "-A")
	r.GitIn(message, "commit", "-q", "--allow-empty", "-F", "-")
	return r.Git("rev-parse", "HEAD")
}

// Object stores an object as it is given, sound or not.
func (r *Repo) Object(kind, content string) string {
	r.Helper()
	return r.GitIn(content, "hash-object", "-t", kind, "-w", "--stdin", "--literally")
}

// Server answers git's requests over HTTP for the repositories in a directory, by git's own program for that.
func Server(tb testing.TB, dir string) http.Handler {
	tb.Helper()
	Need(tb)
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend := &cgi.Handler{
			Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Root: "/",
			Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
				"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
				"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol")}, // which git before 2.34 wants to be told by the web server
			InheritEnv: []string{"PATH"}, Stderr: io.Discard, // it tells the client what is wrong, too
		}
		backend.ServeHTTP(w, r)
	})
}
