//go:build unix

package forge

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// BenchmarkSweep lists the repository that BENCH_REPOSITORY names, or a small one, from a server on this machine: without a cache,
// for the first time with one, as it was, and after ten commits. The seconds of CPU are ours alone.
func BenchmarkSweep(b *testing.B) {
	r := gittest.New(b)
	from := os.Getenv("BENCH_REPOSITORY")
	if from == "" {
		from = r.Dir
		for i := range 100 {
			r.Write("f", string(bytes.Repeat([]byte{byte('a' + i%26)}, 20_000)))
			r.Commit("m")
		}
	}
	top := b.TempDir()
	r = r.At(filepath.Join(top, "r.git"))
	r.At(top).Git("clone", "-q", "--mirror", "--shared", from, r.Dir)
	w := serveGit(b, top)
	c := Clone{Address: w.URL + "/r.git"}
	sweep := func(b *testing.B, dir string) (state string) {
		w.env.Cache = audit.Cache{Dir: dir, Size: 10 << 30}
		asked, answered, cpu, size := w.asked.Load(), w.bytes.Load(), used(), 0
		objects := []string{}
		for it, err := range History(b.Context(), w.env, "target", c) {
			if err != nil {
				b.Log(err)
			}
			size += len(it.Content)
			if bytes.Contains(it.Content, []byte("PRIVATE KEY-----")) {
				objects = append(objects, it.Object)
			}
			if it.Done != nil {
				it.Done()
			}
			if it.Choose != nil {
				it.Choose(audit.Choice{Objects: objects, Again: objects, Path: func(string) bool { return false }})
			}
			if it.State != "" {
				state = it.State
			}
		}
		b.ReportMetric(float64(w.asked.Load()-asked), "calls/op")
		b.ReportMetric(float64(w.bytes.Load()-answered), "received-B/op")
		b.ReportMetric(float64(size), "listed-B/op")
		b.ReportMetric((used() - cpu).Seconds(), "cpu-s/op")
		return state
	}
	b.Run("without", func(b *testing.B) {
		for b.Loop() {
			sweep(b, "")
		}
	})
	dir := b.TempDir()
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			_ = os.RemoveAll(dir)
			c.Past = sweep(b, dir)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			sweep(b, dir)
		}
	})
	b.Run("again", func(b *testing.B) { // as if its state were not known
		c.Past = ""
		for b.Loop() {
			sweep(b, dir)
		}
	})
	var commits strings.Builder
	for i := range 10 {
		fmt.Fprintf(&commits, "commit %s\ncommitter A <a@example.com> %d +0000\ndata 1\nm\n", r.Git("symbolic-ref", "HEAD"), 1_800_000_000+i)
		if i == 0 {
			fmt.Fprintf(&commits, "from %s\n", r.Git("rev-parse", "HEAD"))
		}
		fmt.Fprintf(&commits, "M 100644 inline file%d\ndata <<end\n%s\nend\n", i, strings.Repeat(fmt.Sprintln("line", i), 1000))
	}
	r.GitIn(commits.String(), "fast-import", "--quiet")
	b.Run("ten commits", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			copied := b.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			sweep(b, copied)
		}
	})
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
