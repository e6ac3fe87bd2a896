package secrets

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// BenchmarkScan scans all objects of the git repository BENCH_REPO as a history is scanned, contents without their paths; or else
// the standard library's source.
func BenchmarkScan(b *testing.B) {
	s := scanner(b, Options{})
	var all [][]byte
	var size int64
	if repo := os.Getenv("BENCH_REPO"); repo != "" {
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
			if kind == "blob" {
				all, size = append(all, text[:n]), size+int64(n)
			}
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	} else {
		files, _ := filepath.Glob(filepath.Join(goroot(), "src", "*", "*.go"))
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil {
				all, size = append(all, text), size+int64(len(text))
			}
		}
	}
	if len(all) == 0 {
		b.Skip("nothing to read; set BENCH_REPO to a git repository")
	}
	b.SetBytes(size)
	n := 0
	for b.Loop() {
		n = 0
		for _, t := range all {
			fs, _ := s.Scan(audit.Item{Kind: audit.KindFile, Object: "x"}, t)
			n += len(fs)
		}
	}
	b.ReportMetric(float64(n), "findings")
}

// goroot is where the standard library's source lies, or "" without a go command.
func goroot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
