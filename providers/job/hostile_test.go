//go:build unix

package job

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestHostileFiles: nothing that lies at a spot keeps the listing waiting, or makes it long.
func TestHostileFiles(t *testing.T) {
	w := newWorld(t, map[string]string{"RUNNER_TEMP": "/temp", "GITHUB_WORKSPACE": "/ws", "KUBECONFIG": "/\x00a:/kube/*/../x", "DOCKER_CONFIG": strings.Repeat("/a", 5000)})
	at := func(path string) string {
		full := filepath.Join(w.root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		return full
	}
	for _, pipe := range []string{"/home/runner/.aws/credentials", "/home/runner/.gitconfig", "/home/runner/.ssh/pipe", "/proc/self/status", "/run/.containerenv"} {
		if err := syscall.Mkfifo(at(pipe), 0o600); err != nil {
			lacking(t, "named pipes", err)
		}
	}
	for link, to := range map[string]string{"/home/runner/.npmrc": ".npmrc", "/home/runner/.netrc": "/dev/zero", "/home/runner/.kube": "../runner", "/home/runner/.pypirc": at("/linked")} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	w.file("/linked", "x")
	if err := os.Mkdir(at("/home/runner/.pgpass"), 0o755); err != nil {
		t.Fatal(err)
	}
	huge, err := os.Create(at("/home/runner/.my.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := huge.Truncate(1 << 40); err != nil {
		t.Log(err)
	}
	_ = huge.Close()
	for i := range maxEntries + 10 {
		w.file(fmt.Sprintf("/temp/%d", i), "x")
	}
	w.file("/ws/.git/config", strings.Repeat("[include]\npath = config\npath = /ws/.git/other\n", 1000))
	w.file("/ws/.git/other", "[include]\npath = config\n"+strings.Repeat("path = other\n", 1000))
	l := w.list()
	got := l.names(audit.KindFile)
	for _, want := range []string{"/home/runner/.pypirc", "/home/runner/.my.cnf", "/ws/.git/config", "/ws/.git/other"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, never := range []string{"/home/runner/.aws/credentials", "/home/runner/.netrc", "/home/runner/.npmrc", "/home/runner/.pgpass", "/home/runner/.ssh/pipe"} {
		if slices.Contains(got, never) {
			t.Errorf("%s is listed", never)
		}
	}
	if n := len(slices.DeleteFunc(got, func(p string) bool { return !strings.HasPrefix(p, "/temp/") })); n != maxEntries {
		t.Errorf("%d files of one directory", n)
	}
	gaps := strings.Join(l.gaps, "\n")
	for _, want := range []string{"/temp/: more than", "/home/runner/.npmrc: too many levels of symbolic links"} {
		if !strings.Contains(gaps, want) {
			t.Errorf("no gap %q in\n%s", want, gaps)
		}
	}
}

// TestPutInPlace: what was a file when it was listed may be a pipe when it is read.
func TestPutInPlace(t *testing.T) {
	w := newWorld(t, nil)
	w.file("/home/runner/.netrc", "x")
	for _, it := range w.list().items {
		if it.Kind != audit.KindFile {
			continue
		}
		at := filepath.Join(w.root, it.At.Path)
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(at, 0o600); err != nil {
			lacking(t, "named pipes", err)
		}
		if rc, err := it.Open(t.Context()); err == nil {
			_ = rc.Close()
			t.Error("a pipe was opened")
		}
	}
}
