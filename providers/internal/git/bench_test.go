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
		r, err := Open(b.Context(), l)
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

// stored reads all trees and commits of the repository into memory, as they pass by.
func stored(b *testing.B) (s *scan, add []func(s *scan), size int64) {
	b.Helper()
	r, err := Open(b.Context(), benchRepository(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	p, err := r.start(b.Context(), nil, "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
	if err != nil {
		b.Fatal(err)
	}
	defer p.stop()
	for {
		o, err := readHeader(p.out)
		if err != nil {
			break
		}
		content := make([]byte, o.size+1)
		if _, err := io.ReadFull(p.out, content); err != nil {
			b.Fatal(err)
		}
		switch content = content[:o.size]; o.kind {
		case "tree":
			size += o.size
			add = append(add, func(s *scan) { s.trees.add(o.id, content) })
		case "commit":
			add = append(add, func(s *scan) { s.commits = append(s.commits, s.parseCommit(o.id, content)) })
		}
	}
	return &scan{Repository: r, ctx: b.Context(), trees: newTrees(r.width / 2)}, add, size
}

// BenchmarkTrees is what keeping the trees and commits takes.
func BenchmarkTrees(b *testing.B) {
	s, add, size := stored(b)
	b.SetBytes(size)
	for b.Loop() {
		s.trees, s.commits = newTrees(s.width/2), nil
		for _, do := range add {
			do(s)
		}
	}
	b.ReportMetric(float64(s.trees.size())/(1<<20), "MiB")
	b.ReportMetric(float64(len(s.trees.lists)), "trees")
}

// BenchmarkWalk is what comparing all commits takes, with all places listed.
func BenchmarkWalk(b *testing.B) {
	s, add, _ := stored(b)
	for _, do := range add {
		do(s)
	}
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
	b.ReportMetric(float64(len(s.trees.path)), "paths")
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
