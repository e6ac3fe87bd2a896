//go:build unix

// Package sweep runs leakreach on many repositories whose forge is ours, and has its processes die.
package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestKilled kills a run with SIGKILL at random moments, starts it anew each time, and compares what is reported at last with a run that
// nobody disturbed.
func TestKilled(t *testing.T) {
	program := build(t)
	url := acme(t, 30)
	want, _ := scan(t.Context(), t, program, url, "")
	if n := len(want["findings"].([]any)); n < 30 {
		t.Fatalf("only %d findings to lose", n)
	}
	file := filepath.Join(t.TempDir(), "store.db")
	random := rand.New(rand.NewPCG(1, 1))
	kills := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(700))*time.Millisecond+50*time.Millisecond)
		got, err := scan(ctx, t, program, url, file)
		killed := ctx.Err() != nil
		cancel()
		if !killed {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after %d kills another result (-undisturbed +killed):\n%s", kills, diff)
			}
			break
		}
		kills++
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("the run was never killed")
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

// acme is a forge with an organisation of n repositories. In each lies a token of its own, and one that all of them have.
func acme(t *testing.T, n int) string {
	t.Helper()
	g := &forgetest.GitHub{Token: "test", Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	for i := range n {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{
			FullName: fmt.Sprintf("acme/r%02d", i), ID: int64(i + 1),
			Dir: forgetest.Repository(t, forgetest.Commit{
				"deploy.env": "TOKEN=" + token(uint64(i)) + "\n", "shared.env": "TOKEN=" + token(1000) + "\n",
			}),
		})
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

// scan runs the program over the organisation and returns its report without what differs between any two runs.
func scan(ctx context.Context, t *testing.T, program, url, store string) (map[string]any, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, "scan", "github:acme", "--store", store, "--format", "json", "--verify", "off", "--fail-on", "none", "--quiet")
	cmd.Env = append(os.Environ(), "GITHUB_API_URL="+url, "GITHUB_TOKEN=test", "GH_TOKEN=", "LEAKREACH_KEY=test")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	var report map[string]any
	out = regexp.MustCompile(`\b[0-9a-f]{40}\b`).ReplaceAll(out, []byte("id"))
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, err
	}
	delete(report, "run")
	delete(report, "calls") // a listing that was cut short is asked for again
	return report, nil
}
