package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// writeTree does what git hash-object does, without its thousand processes.
func writeTree(r *gittest.Repo, content string) string {
	r.Helper()
	content = fmt.Sprintf("tree %d\x00%s", len(content), content)
	id := fmt.Sprintf("%x", sha1.Sum([]byte(content)))
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	file := filepath.Join(r.Dir, ".git/objects", id[:2], id[2:])
	_ = os.Mkdir(filepath.Dir(file), 0o755)
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		r.Fatal(err)
	}
	return id
}

// TestTreeBombs reads trees of some objects that have 10¹⁰ paths, or paths without end. The content in them is listed, what is left
// out is a gap, and another commit has its places.
func TestTreeBombs(t *testing.T) {
	entry := func(mode, name, id string) string {
		raw, _ := hex.DecodeString(id)
		return mode + " " + name + "\x00" + string(raw)
	}
	wide := func(r *gittest.Repo, mode, id string) string {
		for range 10 {
			tree := ""
			for i := range 10 {
				tree += entry(mode, fmt.Sprintf("d%d", i), id)
			}
			id, mode = writeTree(r, tree), "40000"
		}
		return id
	}
	deep := func(r *gittest.Repo, id, name string, depth int) string {
		tree := writeTree(r, entry("100644", "f", id))
		for range depth {
			tree = writeTree(r, entry("40000", name, tree))
		}
		return tree
	}
	tests := []struct {
		name string
		make func(r *gittest.Repo, blob string) (tree string)
		gap  bool
	}{
		{"files", func(r *gittest.Repo, blob string) string { return wide(r, "100644", blob) }, true},
		{"directories", func(r *gittest.Repo, _ string) string { return wide(r, "40000", writeTree(r, "")) }, true},
		{"submodules", func(r *gittest.Repo, blob string) string { return wide(r, "160000", blob) }, true},
		{"depth", func(r *gittest.Repo, blob string) string { return deep(r, blob, "d", maxTreeDepth+10) }, true},
		{"length", func(r *gittest.Repo, blob string) string { return deep(r, blob, strings.Repeat("n", 4096), 20) }, true},
		{"one name", func(r *gittest.Repo, blob string) string {
			tree := ""
			for i := range 3 {
				tree += entry("100644", "same", blob) + entry("40000", "same", deep(r, blob, "d", i))
			}
			return writeTree(r, tree)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.New(t)
			r.Write("honest", "content")
			r.Commit("m")
			tree := tt.make(r, r.Object("blob", "bomb"))
			r.Git("update-ref", "refs/heads/bomb", r.Git("commit-tree", "-m", "m", tree))
			r.Git("update-ref", "refs/heads/second", r.Git("commit-tree", "-m", "m", "-p", "main", tree))
			r.Git("tag", "tree", tree)
			found, placed, gaps := false, false, 0
			for it, err := range open(t, r).Items(t.Context(), Options{}) {
				if err != nil {
					gaps++
					continue
				}
				found = found || string(it.Content) == "bomb"
				placed = placed || it.Kind == audit.KindPlace && it.At.Path == "honest"
				if it.Done != nil {
					it.Done()
				}
				if it.Choose != nil {
					it.Choose(audit.Choice{Path: func(path string) bool { return path == "honest" }})
				}
			}
			if !found || !placed || (gaps > 0) != tt.gap {
				t.Errorf("content listed: %v, place of another listed: %v, %d gaps", found, placed, gaps)
			}
		})
	}
}
