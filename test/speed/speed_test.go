package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestGenerate: figures of different runs can be compared only if the repository is the same to the last bit.
func TestGenerate(t *testing.T) {
	head := ""
	for _, name := range []string{"one", "two"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := generate(t.Context(), dir, 4); err != nil {
			t.Fatal(err)
		}
		id, err := exec.CommandContext(t.Context(), "git", "-C", dir, "rev-parse", "HEAD").Output()
		if err != nil {
			t.Fatal(err)
		}
		if head != "" && head != string(id) {
			t.Errorf("two runs made %s and %s", head, id)
		}
		head = string(id)
	}
}

func TestMedian(t *testing.T) {
	got := median([]cost{{cpu: 3, wall: 10, memory: 7}, {cpu: 1, wall: 30, memory: 8}, {cpu: 2, wall: 20, memory: 9}})
	if want := (cost{cpu: 2 * time.Nanosecond, wall: 20, memory: 8}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTitle(t *testing.T) {
	for path, want := range map[string]string{"a/flask": "flask", "a/flask/.git": "flask", "a/pallets+flask/repo": "pallets/flask"} {
		if got := title(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
