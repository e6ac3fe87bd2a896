package git

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// benchRepository is the repository that BENCH_REPOSITORY names, or a small one.
func benchRepository(b *testing.B) Layout {
	b.Helper()
	dir := os.Getenv("BENCH_REPOSITORY")
	if dir == "" {
		r := gittest.New(b)
		for i := range 50 {
			text := make([]byte, 20000)
			for j := range text {
				text[j] = byte('a' + (i*j)%26)
			}
			r.Write("f", string(text))
			r.Commit("m")
		}
		r.Git("gc", "-q")
		dir = r.Dir
	}
	l, err := Find(dir)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func BenchmarkItems(b *testing.B) {
	l := benchRepository(b)
	for b.Loop() {
		r, err := Open(b.Context(), l, 0)
		if err != nil {
			b.Fatal(err)
		}
		var bytes, items int64
		for it, err := range r.Items(b.Context(), Options{}) {
			if err != nil {
				b.Log(err)
				continue
			}
			items++
			bytes += int64(len(it.Content))
			if it.Done != nil {
				it.Done()
			}
		}
		b.SetBytes(bytes)
		b.ReportMetric(float64(items), "items")
		_ = r.Close()
	}
}

// BenchmarkTrees is what keeping the trees and commits takes.
func BenchmarkTrees(b *testing.B) {
	r := openBench(b)
	s, size := &scan{Repository: r}, int64(0)
	var all []func()
	eachTreeAndCommit(b, r, func(o object, content []byte) {
		size += o.size
		if o.kind == "tree" {
			all = append(all, func() { s.trees.add(o.id, content) })
		} else {
			all = append(all, func() { s.commits = append(s.commits, s.parseCommit(o.id, content)) })
		}
	})
	b.SetBytes(size)
	for b.Loop() {
		s.trees, s.commits = newTrees(r.width/2, maxTrees), nil
		for _, keep := range all {
			keep()
		}
	}
	b.ReportMetric(float64(s.trees.size())/(1<<20), "MiB")
}

// BenchmarkWalk is what comparing all commits takes.
func BenchmarkWalk(b *testing.B) {
	s := readAllTrees(b, openBench(b))
	n := 0
	for b.Loop() {
		s.trees.byAge(s.commits)
		s.graph = s.trees.graph(s.commits)
		s.trees.path, s.trees.paths, n = s.trees.path[:1], table{}, 0
		if err := s.compareAll(func(place) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(s.commits)), "commits")
	b.ReportMetric(float64(n), "places")
}

func openBench(b *testing.B) *Repository {
	b.Helper()
	r, err := Open(b.Context(), benchRepository(b), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	return r
}

// BenchmarkCatFile is what git alone takes for the contents.
func BenchmarkCatFile(b *testing.B) {
	l := benchRepository(b)
	for b.Loop() {
		cmd := exec.Command("git", "--git-dir="+l.GitDir, "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			b.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, bufio.NewReaderSize(out, 256<<10))
		b.SetBytes(n)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
