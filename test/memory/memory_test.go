//go:build unix

// Package memory runs leakreach on what takes much memory, and holds it against --memory.
package memory

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestLimit scans a history of containers and contents that together are far too many for the memory that is given. All of them are
// read but one, which is too large and a gap; and the process stays below the limit.
func TestLimit(t *testing.T) {
	const limit = 256 << 20
	dir := t.TempDir()
	program, repo := filepath.Join(dir, "leakreach"), filepath.Join(dir, "repository")
	execute(t, "../..", "go", "build", "-buildvcs=false", "-o", program, "./cmd/leakreach")
	execute(t, dir, "git", "init", "-q", repo)
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(repo, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const each = 3
	random := rand.New(rand.NewPCG(1, 2))
	for i := range each {
		write(fmt.Sprintf("%d.tar.gz", i), archive(t, text(random, 20<<20), text(random, 20<<20)))
		write(fmt.Sprintf("%d.txt", i), text(random, 30<<20))
		write(fmt.Sprintf("%d.bin", i), append([]byte{0, 1, 2, 3}, text(random, 24<<20)...))
	}
	write("large.bin", append([]byte{0, 1, 2, 3}, text(random, 96<<20)...)) // is copied to be scanned
	execute(t, repo, "git", "config", "core.compression", "0")              // it would take longer than the scan
	execute(t, repo, "git", "add", ".")
	execute(t, repo, "git", "-c", "user.name=A", "-c", "user.email=a@corp.test", "commit", "-q", "-m", "m")
	execute(t, repo, "git", "repack", "-adq", "--window=0") // finding deltas would take minutes

	cmd := exec.Command(program, "scan", filepath.Join(repo, ".git"), "--memory", fmt.Sprint(limit), "--jobs", "8",
		"--verify", "off", "--fail-on", "none", "--format", "json", "--quiet")
	cmd.Env = append(os.Environ(), "GOGC=", "GOMEMLIMIT=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var report struct {
		Findings []struct {
			Rule string `json:"rule"`
		} `json:"findings"`
		Gaps []struct {
			What string `json:"what"`
			Why  string `json:"why"`
		} `json:"gaps"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, f := range report.Findings {
		if f.Rule == "github-pat" {
			tokens++
		}
	}
	if tokens != 4*each { // each text ends with one
		t.Errorf("%d tokens found, want %d", tokens, 4*each)
	}
	if len(report.Gaps) != 1 || !strings.Contains(report.Gaps[0].What, "large.bin") {
		t.Errorf("gaps %v, want large.bin alone", report.Gaps)
	}
	peak := int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) //nolint:unconvert // narrower on 32-bit systems
	if runtime.GOOS != "darwin" {
		peak <<= 10 // Linux counts in KiB, getrusage(2)
	}
	t.Logf("peak %d MiB", peak>>20)
	if peak > limit {
		t.Errorf("the process took %d MiB, more than %d", peak>>20, limit>>20)
	}
}

// text is n bytes of lines that do not compress well, with a token of its own at the end.
func text(random *rand.Rand, n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	word := func(b []byte, n int) []byte {
		for range n {
			b = append(b, letters[random.IntN(len(letters))])
		}
		return b
	}
	var page []byte
	for len(page) < 64<<10 {
		page = append(word(page, 1+random.IntN(9)), " \n=:"[random.IntN(4)])
	}
	b := make([]byte, 0, n+len(page)+64)
	for len(b) < n {
		b = append(append(b, page...), '\n')
	}
	return append(word(append(b[:n], "\ntoken = ghp_"...), 36), '\n')
}

// archive packs and compresses members.
func archive(t *testing.T, members ...[]byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i, ".txt"), Mode: 0o644, Size: int64(len(m))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func execute(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
