// Package delivery_test runs what carries the program into pipelines: the GitHub Action (by act), the GitLab component (by
// gitlab-ci-local), the pre-commit hook, and every command the README shows.
package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// need skips the test if a program is not installed; in CI that is a failure.
func need(t *testing.T, program, how string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed; %s", program, how)
	}
	t.Skipf("%s is not installed; %s", program, how)
}

// root is the top of the checkout.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sources copies what the checkout's next commit would hold, as a runner gets it that checks the action out.
func sources(t *testing.T) string {
	t.Helper()
	need(t, "git", "install git")
	dir := t.TempDir()
	list := output(t, root(t), nil, "git", "ls-files", "-co", "--exclude-standard", "-z")
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(root(t), name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(b))
	}
	return dir
}

// built is where TestMain has room for the program; the first test that asks has it built.
var built struct {
	dir  string
	once sync.Once
	err  error
}

func TestMain(m *testing.M) {
	var err error
	if built.dir, err = os.MkdirTemp("", "leakreach-delivery-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// program returns the path of the built program.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(built.dir, "leakreach")
	built.once.Do(func() {
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../../cmd/leakreach").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// result of a finished command.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) all() string { return r.stdout + r.stderr }

// try runs a command in dir with env beside PATH and what Go needs, whatever its exit code.
func try(t *testing.T, dir string, env []string, name string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOMODCACHE=" + goEnv(t, "GOMODCACHE"), "GOCACHE=" + goEnv(t, "GOCACHE")}, env...)
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", name, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// output runs a command that must succeed.
func output(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	r := try(t, dir, env, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), r.code, r.all())
	}
	return r.stdout
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// awsKey makes a credential that exists nowhere: the same on each run, and in no file.
func awsKey() (id, secret string) {
	r := rand.New(rand.NewPCG(7, 11))
	pick := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	return "AKIA" + pick(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), pick(40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+")
}

// repository makes a git repository of the files, with one commit.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	need(t, "git", "install git")
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	output(t, dir, nil, "git", "init", "-q", "-b", "main")
	commit(t, dir)
	return dir
}

func commit(t *testing.T, dir string) {
	t.Helper()
	output(t, dir, nil, "git", "add", "-A")
	output(t, dir, nil, "git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "state")
}

// leaky is a repository with one AWS key in a file.
func leaky(t *testing.T, more map[string]string) (dir, id, secret string) {
	t.Helper()
	id, secret = awsKey()
	files := map[string]string{"deploy/env": "AWS_ACCESS_KEY_ID=" + id + "\nAWS_SECRET_ACCESS_KEY=" + secret + "\n"}
	for name, content := range more {
		files[name] = content
	}
	return repository(t, files), id, secret
}

// shows tells whether text names a key id, whole or as people see it.
func shows(text, id string) bool {
	return strings.Contains(text, id) || strings.Contains(text, id[:4]+"…"+id[len(id)-4:])
}
