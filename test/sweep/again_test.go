//go:build unix

package sweep

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// TestAgain sweeps an organisation, some of whose repositories are forks, a second time with nothing changed, and a third time after pushes.
// Each time the report is that of a first sweep, at a small part of its cost.
func TestAgain(t *testing.T) {
	const repositories, pushes = 40, 3
	t.Setenv("LEAKREACH_CACHE_DIR", t.TempDir())
	program := build(t)
	var asked atomic.Int64 // of git, for refs or a pack
	g := &forgetest.GitHub{Token: "test", Login: "auditor", Owners: []*forgetest.Owner{{Login: "acme"}}}
	g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			asked.Add(1)
		}
		return false
	}
	var dirs []string
	for i := range repositories {
		dir := forgetest.Repository(t, forgetest.Commit{"deploy.env": "TOKEN=" + token(uint64(i)) + "\n", "shared.env": "TOKEN=" + token(1000) + "\n"})
		if i >= repositories/2 {
			dir = filepath.Join(t.TempDir(), "fork.git")
			git(t, ".", "clone", "-q", "--mirror", dirs[i-repositories/2], dir)
		}
		dirs = append(dirs, dir)
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("acme/r%03d", i), ID: int64(i + 1), Dir: dir})
	}
	url := forgetest.Start(t, g)
	file := filepath.Join(t.TempDir(), "store.db")
	sweep := func(what string, most int64) {
		t.Helper()
		want, err := scan(t.Context(), t, program, url, "")
		if err != nil {
			t.Fatal(err)
		}
		asked.Store(0)
		got, err := scan(t.Context(), t, program, url, file)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v: another result (-without +with what is kept):\n%.2000s", what, err, diff)
		}
		if n := asked.Load(); n > most {
			t.Errorf("%s: git was asked %d times, want %d at most", what, n, most)
		}
	}
	sweep("first", 2*repositories-repositories/2) // refs of each, packs of those that are no forks
	sweep("unchanged", repositories)
	for i := range pushes {
		clone := t.TempDir()
		git(t, ".", "clone", "-q", dirs[repositories-1-i], clone)
		if err := os.WriteFile(filepath.Join(clone, "new.env"), []byte("TOKEN="+token(uint64(2000+i))+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		git(t, clone, "add", "-A")
		git(t, clone, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "-m", "push")
		git(t, clone, "push", "-q", "origin", "HEAD")
	}
	sweep("after pushes", repositories+pushes)
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}
