// Package storetest starts database servers for tests.
package storetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Postgres starts a server with an empty database until the test ends, and returns its address. It skips the test where there is no PostgreSQL.
func Postgres(t testing.TB) string {
	t.Helper()
	return NewServer(t).URL
}

// A Server is one that can be stopped and started.
type Server struct {
	URL   string
	Stop  func() // at once, as when its machine goes down
	Start func()
}

// NewServer starts a server as Postgres does.
func NewServer(t testing.TB) *Server {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		skip(t, "PostgreSQL is not installed: apt-get install postgresql")
	}
	if os.Getuid() == 0 {
		if _, err := exec.LookPath("runuser"); err != nil {
			skip(t, "PostgreSQL does not run as root, and there is no runuser")
		}
	}
	dir, err := os.MkdirTemp("", "pg") // a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, name), args...)
		if os.Getuid() == 0 {
			cmd = exec.Command("runuser", append([]string{"-u", "postgres", "--", cmd.Path}, args...)...)
		}
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-A", "trust", "-U", "test", "-N")
	s := &Server{URL: "postgres:///postgres?user=test&host=" + dir}
	running := false
	s.Start = func() {
		t.Helper()
		run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-c listen_addresses='' -c fsync=off -k "+dir, "start")
		running = true
	}
	s.Stop = func() {
		t.Helper()
		if running {
			run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
		}
		running = false
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func postgresBin() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian's, not in PATH
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
