package git

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestTreeBomb reads a tree of 10¹⁰ paths that is made of eleven objects.
func TestTreeBomb(t *testing.T) {
	r := gittest.New(t)
	id := r.Object("blob", "content")
	mode := "100644"
	for range 10 {
		var tree string
		raw, _ := hex.DecodeString(id)
		for i := range 10 {
			tree += fmt.Sprintf("%s d%d\x00%s", mode, i, raw)
		}
		id, mode = r.Object("tree", tree), "40000"
	}
	r.Git("update-ref", "refs/heads/main", r.Git("commit-tree", "-m", "m", id))
	l, err := Find(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := Open(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = repo.Close() }()
	found, gaps := false, 0
	for it, err := range repo.Items(t.Context(), Options{}) {
		if err != nil {
			t.Log(err)
			gaps++
			continue
		}
		found = found || string(it.Content) == "content"
		if it.Done != nil {
			it.Done()
		}
	}
	if !found || gaps == 0 {
		t.Errorf("content listed: %v, %d gaps", found, gaps)
	}
}
