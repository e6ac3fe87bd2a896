//go:build unix

// Package sweep runs leakreach on many repositories whose forge is ours, and has its processes die.
package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/internal/store/storetest"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestKilled kills a run with SIGKILL at random moments, starts it anew each time, and compares what is reported at last with a run that
// nobody disturbed.
func TestKilled(t *testing.T) {
	program := build(t)
	url := acme(t, 120, nil)
	want, _ := scan(t.Context(), t, program, url, "")
	if n := len(want["findings"].([]any)); n < 30 {
		t.Fatalf("only %d findings to lose", n)
	}
	file := filepath.Join(t.TempDir(), "store.db")
	random := rand.New(rand.NewPCG(1, 1))
	kills := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		if kills < 50 {
			ctx, cancel = context.WithTimeout(t.Context(), time.Duration(20+random.IntN(300))*time.Millisecond)
		}
		got, err := scan(ctx, t, program, url, file)
		killed := ctx.Err() != nil
		cancel()
		if killed {
			kills++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %d kills another result (-undisturbed +killed):\n%s", kills, diff)
		}
		break
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("the run was never killed")
	}
}

// TestInterrupted breaks a run off, which says how to go on, and goes on.
func TestInterrupted(t *testing.T) {
	program := build(t)
	var seen, stop atomic.Int32 // requests, and after how many to break off
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
	stop.Store(seen.Load() + seen.Load()/2)
	file := filepath.Join(t.TempDir(), "store.db")
	p := begin(t, program, url, scanCommand(file))
	<-some
	_ = p.cmd.Process.Signal(os.Interrupt)
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(p.stderr.String(), "the same command goes on") {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if n := len(parse(t, p.out.Bytes())["findings"].([]any)); n == 0 {
		t.Error("nothing that was done is reported")
	}
	got, err := scan(t.Context(), t, program, url, file)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v: another result (-undisturbed +interrupted):\n%s", err, diff)
	}
}

// TestWorkersKilled has three processes work on one run, kills one of them at a time with SIGKILL and starts it anew.
func TestWorkersKilled(t *testing.T) {
	const kills = 50
	database := storetest.Postgres(t)
	program := build(t)
	var held atomic.Bool // the last repository, so that the run is not done before all are killed
	free := make(chan struct{})
	url := acme(t, 120, func(r *http.Request) {
		if held.Load() && strings.Contains(r.URL.Path, "/r119") {
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
	})
	want, err := scan(t.Context(), t, program, url, "")
	if err != nil {
		t.Fatal(err)
	}
	held.Store(true)
	random := rand.New(rand.NewPCG(2, 2))
	commands := [][]string{scanCommand(database), {"worker", "--store", database, "--once"}, {"worker", "--store", database, "--once"}}
	var running [3]*process
	for i, args := range commands {
		running[i] = begin(t, program, url, args)
	}
	killed := 0
	for running[0].alive() {
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		if i := random.IntN(3); killed < kills && running[i].alive() {
			_ = running[i].cmd.Process.Kill()
			<-running[i].ended
			running[i] = begin(t, program, url, commands[i])
			if killed++; killed == kills {
				close(free)
			}
		}
	}
	if killed < kills {
		close(free)
	}
	for _, p := range running {
		<-p.ended
	}
	t.Logf("killed %d times", killed)
	if killed < kills {
		t.Errorf("the run was done after %d of %d kills", killed, kills)
	}
	if diff := cmp.Diff(want, parse(t, running[0].out.Bytes())); diff != "" {
		t.Errorf("another result (-undisturbed +killed):\n%s", diff)
	}
}

// A process is leakreach at work.
type process struct {
	cmd         *exec.Cmd
	out, stderr bytes.Buffer
	ended       chan struct{}
}

func begin(t *testing.T, program, url string, args []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environment(url), &p.out, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // most are killed
		close(p.ended)
	}()
	return p
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "leakreach")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../../cmd/leakreach").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// acme is a forge with an organisation of n repositories. In each lies a token of its own, and one that all of them have. It calls asked, if
// that is not nil, at each request.
func acme(t *testing.T, n int, asked func(*http.Request)) string {
	t.Helper()
	t.Setenv("LEAKREACH_CACHE_DIR", t.TempDir())
	g := &forgetest.GitHub{Token: "test", Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	var dirs []string
	for i := range min(n, 30) { // the others are forks
		dirs = append(dirs, forgetest.Repository(t, forgetest.Commit{
			"deploy.env": "TOKEN=" + token(uint64(i)) + "\n", "shared.env": "TOKEN=" + token(1000) + "\n",
		}))
	}
	for i := range n {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Dir: dirs[i%len(dirs)]})
	}
	if asked != nil {
		g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			asked(r)
			return false
		}
	}
	return forgetest.Start(t, g)
}

// token makes one in the form of GitHub's.
func token(seed uint64) string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random := rand.New(rand.NewPCG(seed, seed))
	b := []byte("gh" + "p_")
	for range 36 {
		b = append(b, letters[random.IntN(len(letters))])
	}
	return string(b)
}

// scan runs the program over the organisation and returns its report.
func scan(ctx context.Context, t *testing.T, program, url, store string) (map[string]any, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, scanCommand(store)...)
	cmd.Env = environment(url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return parse(t, out), nil
}

func scanCommand(store string) []string {
	return []string{"scan", "github:acme", "--store", store, "--format", "json", "--verify", "off", "--fail-on", "none", "--quiet"}
}

func environment(url string) []string {
	return append(os.Environ(), "GITHUB_API_URL="+url, "GITHUB_TOKEN=test", "GH_TOKEN=", "LEAKREACH_FINGERPRINT_KEY=0123456789abcdef0123")
}

// parse reads a report without what differs between any two runs.
func parse(t *testing.T, out []byte) (report map[string]any) {
	t.Helper()
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %.1000s", err, out)
	}
	delete(report, "run")
	delete(report, "calls")                             // a listing that was cut short is asked for again
	for _, target := range report["coverage"].([]any) { // what was scanned and is in the cache is not scanned again
		delete(target.(map[string]any), "items")
		delete(target.(map[string]any), "bytes")
	}
	return report
}
