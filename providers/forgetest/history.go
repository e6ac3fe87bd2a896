package forgetest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A History is what [Histories] makes a repository of.
type History struct {
	Main []Commit            // one after the other
	Refs map[string][]Commit // by full name, beginning where main began
	Lost []Commit            // each on top of main's first and on no ref, as after a forced push
}

// Made is a repository that was made.
type Made struct {
	Dir  string   // bare
	Main []string // ids of the commits
	Lost []string // likewise
}

// Histories makes bare repositories, faster than [Repository] makes one of many commits. Commits are a day apart from start.
func Histories(t testing.TB, start time.Time, all ...History) []Made {
	t.Helper()
	needGit(t)
	git := func(dir string, in []byte, args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), bytes.NewReader(in)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.git")
	git(t.TempDir(), nil, "init", "-q", "--bare", "--template=", "-b", "main", empty)
	var out []Made
	for _, h := range all {
		dir := filepath.Join(t.TempDir(), "repository.git")
		if err := os.CopyFS(dir, os.DirFS(empty)); err != nil {
			t.Fatal(err)
		}
		var s stream
		s.when = start
		s.branch("refs/heads/main", "", h.Main)
		main := s.marks
		for _, ref := range slices.Sorted(maps.Keys(h.Refs)) {
			s.branch(ref, "from :1\n", h.Refs[ref])
		}
		refs := s.marks
		for i, c := range h.Lost {
			s.branch(fmt.Sprint("refs/lost/", i), "from :1\n", []Commit{c})
		}
		marks := filepath.Join(dir, "marks")
		git(dir, s.Bytes(), "fast-import", "--quiet", "--export-marks="+marks)
		ids, err := os.ReadFile(marks)
		if err != nil {
			t.Fatal(err)
		}
		of := make([]string, s.marks+1)
		for line := range strings.Lines(string(ids)) {
			var n int
			var id string
			if _, err := fmt.Sscanf(line, ":%d %s", &n, &id); err == nil && n < len(of) {
				of[n] = id
			}
		}
		for _, name := range []string{"marks", "refs/lost"} {
			if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, Made{Dir: dir, Main: of[1 : main+1], Lost: of[refs+1:]})
	}
	return out
}

// A stream is what git fast-import reads.
type stream struct {
	bytes.Buffer
	when  time.Time
	marks int
}

func (s *stream) branch(ref, from string, commits []Commit) {
	for _, c := range commits {
		s.marks++
		message := fmt.Sprintf("commit %d\n", s.marks)
		_, _ = fmt.Fprintf(s, "commit %s\nmark :%d\nauthor A <a@example.com> %d +0000\ncommitter A <a@example.com> %d +0000\ndata %d\n%s%s",
			ref, s.marks, s.when.Unix(), s.when.Unix(), len(message), message, from)
		for _, path := range slices.Sorted(maps.Keys(c)) {
			_, _ = fmt.Fprintf(s, "M 100644 inline %s\ndata %d\n%s\n", path, len(c[path]), c[path])
		}
		s.when, from = s.when.AddDate(0, 0, 1), ""
	}
}
