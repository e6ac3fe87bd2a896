//go:build unix

package gitea

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sweepTest sweeps an organisation, sweeps it again, changes it by ten pushes and sweeps it once more. LEAKREACH_GITEA_REPOSITORIES says how
// many repositories it has.
func sweepTest(t *testing.T, s *server) {
	n := 40
	if text := os.Getenv("LEAKREACH_GITEA_REPOSITORIES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 40 {
			t.Fatalf("LEAKREACH_GITEA_REPOSITORIES is %q, not a number from 40 on", text)
		}
	}
	program := buildProgram(t)
	begun := time.Now()
	w := build(t, s, "sweep", n)
	t.Logf("%d repositories made in %.0f s", n, time.Since(begun).Seconds())

	store := filepath.Join(t.TempDir(), "store.db")
	first, costs := w.sweep(t, program, store)
	w.check(t, "the first sweep", first, n)
	t.Logf("first:  %s", costs)

	second, again := w.sweep(t, program, store)
	w.check(t, "the second sweep", second, n)
	t.Logf("second: %s", again)
	t.Logf("first : second  %s", costs.over(again))

	w.tenPushes(t)
	third, after := w.sweep(t, program, store)
	w.check(t, "the sweep after ten pushes", third, n)
	t.Logf("third:  %s", after)
	t.Logf("first : third   %s", costs.over(after))

	fresh, anew := w.sweep(t, program, filepath.Join(t.TempDir(), "fresh.db"))
	t.Logf("fresh:  %s", anew)
	forgetPushes(fresh)
	forgetPushes(third)
	for _, part := range []string{"findings", "gaps", "inventory"} {
		if diff := cmp.Diff(fresh[part], third[part]); diff != "" {
			t.Errorf("%s of a sweep that knows the last one differ from those of one that does not (-fresh +third):\n%s", part, diff)
		}
	}
	if again.gitBytes*50 > costs.gitBytes {
		t.Errorf("nothing has changed, and %d bytes of git came where all there is has %d", again.gitBytes, costs.gitBytes)
	}
	if most := again.posts + 10; after.posts > most {
		t.Errorf("ten repositories have changed, and git was asked %d times instead of %d", after.posts, most)
	}
}

// forgetPushes leaves out of an inventory when repositories were pushed to: Gitea counts pushes when it gets to it.
func forgetPushes(report map[string]any) {
	for _, e := range report["inventory"].([]any) {
		if facts, ok := e.(map[string]any)["facts"].(map[string]any); ok {
			delete(facts, "pushed_at")
		}
	}
}

// tenPushes changes ten repositories.
func (w *world) tenPushes(t *testing.T) {
	t.Helper()
	at := func(i int) string { return w.target(name(i)) }
	env := func(i, seed int) string { return "TOKEN=" + w.plant(at(i), seed) + "\n" }
	for i, push := range map[int]struct {
		change func(*history)
		refs   []string
	}{
		2: {func(h *history) { h.commit("main", map[string]string{"new.env": env(2, 10)}) }, []string{"refs/heads/main"}},
		// To a fork.
		3: {func(h *history) { h.commit("main", map[string]string{"new.env": env(3, 11)}) }, []string{"refs/heads/main"}},
		// A new branch, and one more with what it has to a fork.
		7: {func(h *history) { h.commit("feature", map[string]string{"new.env": env(7, 12)}) }, []string{"refs/heads/feature"}},
		8: {func(h *history) { h.commit("feature", map[string]string{"other.env": env(8, 12)}) }, []string{"refs/heads/feature"}},
		// Neither of these moves the time at which Gitea says that the repository was changed.
		12: {func(h *history) { h.note("main", env(12, 13)) }, []string{"refs/notes/commits"}},
		17: {func(h *history) { h.tag("v2", env(17, 14)) }, []string{"refs/tags/v2"}},
		// History that is thrown away: the branch begins anew at its first commit.
		22: {func(h *history) { h.reset("main", "refs/heads/main~5"); w.uproot(at(22), inHistory(22)) }, []string{"+refs/heads/main", ":refs/heads/dev", ":refs/heads/pushed"}},
		27: {func(*history) { w.uproot(at(27), inBranch(27)) }, []string{":refs/heads/dev"}},
		// Nothing to find.
		32: {func(h *history) { h.commit("main", map[string]string{"src/new.txt": words(32, 99)}) }, []string{"refs/heads/main"}},
		// Known content at a new place.
		37: {func(h *history) {
			h.commit("main", map[string]string{"deploy/old.env": "", "deploy/moved.env": env(37, inHistory(37))})
		}, []string{"refs/heads/main"}},
	} {
		if err := w.push(i, push.change, push.refs...); err != nil {
			t.Fatal(err)
		}
	}
	w.uproot(at(22), inBranch(22))
	w.uproot(at(22), inPush(22))
}

// A cost is what a sweep took.
type cost struct {
	traffic
	wall, cpu time.Duration
	peak      int64 // bytes
}

func (c cost) String() string {
	return fmt.Sprintf("%d API calls (%d kB), %d git requests (%d + %d, %d kB), %.1f s, %.1f s CPU, %d MB", c.calls, c.apiBytes/1000, c.hellos+c.posts, c.hellos, c.posts,
		c.gitBytes/1000, c.wall.Seconds(), c.cpu.Seconds(), c.peak/1e6)
}

// over is how many times as much as other it is.
func (c cost) over(other cost) string {
	ratio := func(a, b float64) float64 { return a / max(b, 1e-9) }
	return fmt.Sprintf("%.1f calls, %.1f git requests, %.1f bytes, %.1f seconds, %.1f CPU", ratio(float64(c.calls), float64(other.calls)),
		ratio(float64(c.hellos+c.posts), float64(other.hellos+other.posts)), ratio(float64(c.apiBytes+c.gitBytes), float64(other.apiBytes+other.gitBytes)),
		ratio(c.wall.Seconds(), other.wall.Seconds()), ratio(c.cpu.Seconds(), other.cpu.Seconds()))
}

// buildProgram builds the program as users have it.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "leakreach")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-buildvcs=false", "-o", program, "./cmd/leakreach").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// sweep runs the program over the organisation.
func (w *world) sweep(t *testing.T, program, store string, more ...string) (report map[string]any, c cost) {
	t.Helper()
	args := []string{"scan", "gitea:" + w.org, "--store", store, "--format", "json", "--verify", "off", "--fail-on", "none", "--quiet"}
	cmd := exec.CommandContext(t.Context(), program, append(args, more...)...)
	cmd.Env = append(os.Environ(), "GITEA_URL="+w.url, "GITEA_TOKEN="+w.token, "LEAKREACH_FINGERPRINT_KEY=0123456789abcdef0123", "LEAKREACH_CACHE_DIR="+store+".cache")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	w.passed()
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	c = cost{traffic: w.passed(), wall: time.Since(begun), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = int64(usage.Maxrss) << 10 //nolint:unconvert // narrower on 32-bit systems; Linux counts in KiB
	}
	for token := range w.planted {
		if bytes.Contains(stdout.Bytes(), []byte(token)) || bytes.Contains(stderr.Bytes(), []byte(token)) {
			t.Fatal("the program shows a token")
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %.1000s", err, stdout.String())
	}
	return report, c
}

// check holds a report against what was planted: each token was found in each repository it lies in, and nothing else anywhere.
func (w *world) check(t *testing.T, what string, report map[string]any, n int) {
	t.Helper()
	found, planted := map[string][]string{}, map[string][]string{}
	for _, f := range report["findings"].([]any) {
		f := f.(map[string]any)
		if f["category"] != "secret" { // what is wrong with settings is for other tests
			continue
		}
		secret := f["secret"].(map[string]any)["masked"].(string)
		targets := map[string]bool{}
		for _, l := range f["locations"].([]any) {
			l := l.(map[string]any)
			targets[l["target"].(string)] = true
			if want := w.kinds[secret]; want != "" && l["kind"] != string(want) {
				t.Errorf("%s: %s lies in a %v, not in a %s", what, secret, l["kind"], want)
			}
		}
		if found[secret] != nil {
			t.Errorf("%s: %s was reported twice", what, secret)
		}
		found[secret] = slices.Sorted(maps.Keys(targets))
	}
	for secret, targets := range w.planted {
		planted[masked(secret)] = slices.Sorted(slices.Values(targets))
	}
	if len(planted) != len(w.planted) {
		t.Fatal("two tokens look alike")
	}
	if diff := cmp.Diff(planted, found); diff != "" {
		t.Errorf("%s (-planted +found):\n%s", what, diff)
	}
	if gaps := report["gaps"].([]any); len(gaps) > 0 {
		t.Errorf("%s: %d gaps, first %v", what, len(gaps), gaps[0])
	}
	if covered := report["coverage"].([]any); len(covered) != n+1 {
		t.Errorf("%s: %d targets instead of %d", what, len(covered), n+1)
	}
}
