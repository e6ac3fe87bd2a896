package match

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// texts are what benchmarks read: all blobs of the git repository BENCH_REPO, or else the standard library's source.
func texts(b *testing.B) (all [][]byte, size int64) {
	b.Helper()
	repo := os.Getenv("BENCH_REPO")
	if repo == "" {
		files, err := filepath.Glob(filepath.Join(goroot(), "src", "*", "*.go"))
		if err != nil || len(files) == 0 {
			b.Skip("no source to read; set BENCH_REPO to a git repository")
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				b.Fatal(err)
			}
			all, size = append(all, text), size+int64(len(text))
		}
		return all, size
	}
	cmd := exec.Command("git", "-C", repo, "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		var id, kind string
		var n int
		if _, err := fmt.Sscan(line, &id, &kind, &n); err != nil {
			b.Fatal(err)
		}
		text := make([]byte, n+1)
		if _, err := io.ReadFull(r, text); err != nil {
			b.Fatal(err)
		}
		if text = text[:n]; kind == "blob" && bytes.IndexByte(text[:min(n, 8000)], 0) < 0 {
			all, size = append(all, text), size+int64(n)
		}
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return all, size
}

// BenchmarkFind searches texts, BenchmarkLogs CI logs for all that the default rules find. With GODEBUG=cpu.avx512vbmi=off the filter for AVX2
// is used, with GODEBUG=cpu.avx512vbmi=off,cpu.avx2=off the portable one.
func BenchmarkFind(b *testing.B) {
	all, size := texts(b)
	find(b, all, size)
}

func BenchmarkLogs(b *testing.B) {
	const size = 30_000_000
	find(b, logs(size), size)
}

func find(b *testing.B, all [][]byte, size int64) {
	m := New(rules.Default())
	b.SetBytes(size)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = 0
		for _, t := range all {
			found, _ := m.Find(t, nil, nil)
			n += len(found)
		}
	}
	b.ReportMetric(float64(n), "matches")
}

// BenchmarkKeywords is the pass for the keywords alone.
func BenchmarkKeywords(b *testing.B) {
	all, size := texts(b)
	m := New(rules.Default())
	b.SetBytes(size)
	var hits []literal.Hit
	n := 0
	for b.Loop() {
		n = 0
		for _, t := range all {
			hits = m.finder.Scan(t, 0, len(t), hits[:0])
			n += len(hits)
		}
	}
	b.ReportMetric(float64(n), "hits")
}

// BenchmarkNew is what starting costs.
func BenchmarkNew(b *testing.B) {
	set := rules.Default()
	for b.Loop() {
		New(set)
	}
}

// BenchmarkGitleaks is gitleaks' own detector on the same texts; run it with -benchtime 1x.
func BenchmarkGitleaks(b *testing.B) {
	all, size := texts(b)
	find := oracle(b)
	b.SetBytes(size)
	n := 0
	for b.Loop() {
		n = 0
		for _, t := range all {
			n += len(find(string(t), ""))
		}
	}
	b.ReportMetric(float64(n), "matches")
}
