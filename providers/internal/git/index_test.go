package git

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestIndex reads indexes of all forms as git does.
func TestIndex(t *testing.T) {
	tests := []struct {
		name   string
		format string
		change func(r *gittest.Repo)
	}{
		{"version 2", "", func(*gittest.Repo) {}},
		{"version 3", "", func(r *gittest.Repo) { r.Git("update-index", "--skip-worktree", "d/a", "README") }},
		{"version 4", "", func(r *gittest.Repo) { r.Git("update-index", "--index-version", "4") }},
		{"conflict", "", func(r *gittest.Repo) {
			id := r.Object("blob", "x")
			r.GitIn(fmt.Sprintf("100644 %s 1\tf\n100644 %s 2\tf\n100644 %s 3\tf\n", id, id, id), "update-index", "--index-info")
		}},
		{"submodule", "", func(r *gittest.Repo) {
			r.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub")
		}},
		{"split", "", func(r *gittest.Repo) {
			r.Git("update-index", "--split-index")
			r.Write("d/a", "changed")
			r.Write("new", "new")
			r.Remove("d/f20")
			r.Git("-c", "splitIndex.maxPercentChange=100", "add", "-A")
		}},
		{"split, many changes", "", func(r *gittest.Repo) {
			r.Git("update-index", "--split-index")
			for i := 30; i < 200; i += 2 {
				r.Write(fmt.Sprintf("d/f%d", i), "changed")
			}
			r.Git("-c", "splitIndex.maxPercentChange=100", "add", "-A")
		}},
		{"SHA-256", "sha256", func(r *gittest.Repo) { r.Git("update-index", "--index-version", "4") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := gittest.New(t, "--object-format="+cmp.Or(tt.format, "sha1"))
			r.Write("d/a", "1")
			for i := range 200 {
				r.Write(fmt.Sprintf("d/f%d", i), "1")
			}
			r.Git("add", "-A")
			r.Git("update-index", "--add", "--cacheinfo", "100644,"+r.Object("blob", "1")+","+strings.Repeat("long/", 900)+"x") // above what fits into the flags
			tt.change(r)
			l, err := Find(r.Dir)
			if err != nil {
				t.Fatal(err)
			}
			repo, err := Open(t.Context(), l, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = repo.Close() }()
			entries, err := repo.index(l.GitDir)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, e := range entries {
				fmt.Fprintf(&got, "%s %s\n", e.id, e.path)
			}
			want := ""
			for line := range strings.Lines(r.Git("ls-files", "--stage", "-z")) {
				for row := range strings.SplitSeq(line, "\x00") {
					head, path, _ := strings.Cut(row, "\t")
					if f := strings.Fields(head); len(f) == 3 && f[0] != "160000" {
						want += f[1] + " " + path + "\n"
					}
				}
			}
			if sorted(got.String()) != sorted(want) {
				t.Errorf("got\n%swant\n%s", sorted(got.String()), sorted(want))
			}
		})
	}
}

// sorted sorts lines: a split index has new entries behind those of its other half.
func sorted(lines string) string {
	list := strings.SplitAfter(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "")
}

func FuzzIndex(f *testing.F) {
	r := gittest.New(f)
	r.Write("a/b", "x")
	r.Git("add", "-A")
	read := func() []byte {
		b, err := os.ReadFile(filepath.Join(r.Dir, ".git/index"))
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	base := read()
	f.Add(base, base)
	r.Git("update-index", "--index-version", "4")
	f.Add(read(), base)
	r.Git("update-index", "--split-index")
	r.Write("a/c", "y")
	r.Git("add", "-A")
	f.Add(read(), base)
	f.Add([]byte("DIRC\x00\x00\x00\x02\xff\xff\xff\xff"), []byte(nil))
	f.Fuzz(func(t *testing.T, b, base []byte) {
		x := indexReader{width: 20}
		list, err := x.read(b)
		if err == nil && x.base != "" {
			list, _ = x.join(base, list)
		}
		if len(list) > (len(b)+len(base))/62 {
			t.Fatalf("%d entries in %d bytes", len(list), len(b)+len(base))
		}
		for _, e := range list {
			if len(e.path) > len(b)+len(base) || bytes.IndexByte([]byte(e.path), 0) >= 0 {
				t.Fatalf("path %q", e.path)
			}
		}
	})
}
