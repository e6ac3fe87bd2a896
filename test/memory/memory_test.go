//go:build unix

// Package memory runs leakreach on what takes much memory, and holds it against --memory.
package memory

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	// What is written is never held: the system counts the peak of a process that starts another as that one's own, too.
	write := func(name string, to func(w io.Writer) error) {
		f, err := os.Create(filepath.Join(repo, name))
		if err == nil {
			err = errors.Join(to(f), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const each = 3
	random := rand.New(rand.NewPCG(1, 2))
	binary := func(n int) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := w.Write([]byte{0, 1, 2, 3})
			return errors.Join(err, text(w, random, n))
		}
	}
	for i := range each {
		write(fmt.Sprintf("%d.tar.gz", i), func(w io.Writer) error { return archive(w, random, 20<<20, 20<<20) })
		write(fmt.Sprintf("%d.txt", i), func(w io.Writer) error { return text(w, random, 30<<20) })
		write(fmt.Sprintf("%d.bin", i), binary(24<<20))
	}
	write("large.bin", binary(96<<20))                         // is copied to be scanned
	execute(t, repo, "git", "config", "core.compression", "0") // it would take longer than the scan
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

// text writes n bytes of lines that do not compress well, with a token of its own at the end.
func text(w io.Writer, random *rand.Rand, n int) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	word := func(b []byte, n int) []byte {
		for range n {
			b = append(b, letters[random.IntN(len(letters))])
		}
		return b
	}
	end := append(word([]byte("\ntoken = ghp_"), 36), '\n')
	var page []byte
	for len(page) < 64<<10 {
		page = append(word(page, 1+random.IntN(9)), " \n=:"[random.IntN(4)])
	}
	for n -= len(end); n > 0; n -= len(page) {
		if _, err := w.Write(page[:min(len(page), n)]); err != nil {
			return err
		}
	}
	_, err := w.Write(end)
	return err
}

// archive packs and compresses texts of the given sizes.
func archive(to io.Writer, random *rand.Rand, sizes ...int) error {
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for i, n := range sizes {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i, ".txt"), Mode: 0o644, Size: int64(n)}); err != nil {
			return err
		}
		if err := text(w, random, n); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), z.Close())
}

func execute(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}
