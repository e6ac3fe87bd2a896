//go:build unix

package sweep

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/internal/store/storetest"
)

// TestDatabaseAway has the database go away in the midst of a run of two processes, for longer than a process may be silent, and come back.
func TestDatabaseAway(t *testing.T) {
	away := 20 * time.Second
	if d, err := time.ParseDuration(os.Getenv("DATABASE_AWAY")); err == nil {
		away = d
	}
	server := storetest.NewServer(t)
	program := build(t)
	var seen, stop atomic.Int32
	some := make(chan struct{})
	url := acme(t, 120, func(*http.Request) {
		if seen.Add(1) == stop.Load() {
			close(some)
		}
	})
	want, err := scan(t.Context(), t, program, url, "")
	if err != nil {
		t.Fatal(err)
	}
	stop.Store(seen.Load() + seen.Load()/3)
	running := []*process{
		begin(t, program, url, withoutQuiet(scanCommand(server.URL))), begin(t, program, url, []string{"worker", "--store", server.URL}),
	}
	select {
	case <-some:
	case <-running[0].ended:
		t.Fatal("ended early:", running[0].stderr.String())
	}
	server.Stop()
	time.Sleep(away)
	for i, p := range running {
		if !p.alive() {
			t.Fatalf("process %d ended when the database was away: %s", i, p.stderr.String())
		}
	}
	server.Start()
	<-running[0].ended
	_ = running[1].cmd.Process.Signal(os.Interrupt)
	<-running[1].ended
	if diff := cmp.Diff(want, parse(t, running[0].out.Bytes())); diff != "" {
		t.Errorf("another result (-undisturbed +disturbed):\n%s", diff)
	}
	if !strings.Contains(running[0].stderr.String()+running[1].stderr.String(), "waiting for the store") {
		t.Error("nobody says that the store is away:", running[0].stderr.String())
	}
}

func withoutQuiet(args []string) (out []string) {
	for _, a := range args {
		if a != "--quiet" {
			out = append(out, a)
		}
	}
	return out
}

// TestDiskFull has the file of a store grow no more in the midst of a run, until there is room again.
func TestDiskFull(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no prlimit: apt-get install util-linux")
		}
		t.Skip("there is no prlimit: apt-get install util-linux")
	}
	program := build(t)
	url := acme(t, 120, nil)
	want, err := scan(t.Context(), t, program, url, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "store.db")
	log := filepath.Join(t.TempDir(), "log") // read while the process writes it
	stderr, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd := exec.Command("prlimit", append([]string{"--fsize=2000000:unlimited", program}, withoutQuiet(scanCommand(file))...)...)
	cmd.Env, cmd.Stderr = environment(url), stderr
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	said := func() string {
		text, _ := os.ReadFile(log)
		return string(text)
	}
	for !strings.Contains(said(), "waiting for the store") {
		select {
		case err := <-ended:
			t.Fatalf("ended, and was not short of room: %v\n%s", err, said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(cmd.Process.Pid), "--fsize=unlimited:unlimited").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, said())
	}
	if diff := cmp.Diff(want, parse(t, out.Bytes())); diff != "" {
		t.Errorf("another result (-undisturbed +disturbed):\n%s", diff)
	}
}
