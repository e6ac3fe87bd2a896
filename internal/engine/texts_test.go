package engine

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// TestTexts keeps versions of a text: each is what it was, and all of them take little more than one.
func TestTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	line := func() uint32 { return random.Uint32() }
	kept := texts{known: map[uint64]uint32{}, parts: map[string][]uint32{}}
	version := make([]uint32, 2000)
	for i := range version {
		version[i] = line()
	}
	var versions [][]uint32
	for i := range 200 {
		at := random.IntN(len(version))
		switch i % 3 {
		case 0:
			version[at] = line()
		case 1:
			version = slices.Insert(version, at, line(), line())
		default:
			version = slices.Delete(version, at, min(at+2, len(version)))
		}
		versions = append(versions, slices.Clone(version))
		kept.add(strconv.Itoa(i), version)
		kept.add(strconv.Itoa(i), nil)
	}
	for i, want := range versions {
		if !slices.Equal(kept.join(kept.parts[strconv.Itoa(i)]), want) {
			t.Fatalf("version %d is not what it was", i)
		}
	}
	if n := len(kept.lines) + kept.size; n > 15*2000 {
		t.Errorf("%d versions of 2000 lines take %d numbers", len(versions), n)
	}
	if _, added := kept.added("another", "0"); added != nil {
		t.Error("lines are added to an object that was not kept")
	}
	huge := make([]uint32, maxTexts)
	if kept.add("huge", huge); kept.parts["huge"] != nil || kept.n+kept.size > maxTexts {
		t.Error("more is kept than the bound")
	}
}

// TestTextsAdded holds what is told of parts against what is told of whole texts, of lines that recur as those of code do.
func TestTextsAdded(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	differ := 0
	for range 3000 {
		line := func() uint32 { return uint32(random.IntN(6)) * (partEnd / 2) }
		old := make([]uint32, random.IntN(40))
		for i := range old {
			old[i] = line()
		}
		new := slices.Clone(old)
		for range random.IntN(4) {
			at := random.IntN(len(new) + 1)
			switch to := min(at+random.IntN(8), len(new)); random.IntN(3) {
			case 0:
				new = slices.Insert(new, at, new[at:to]...)
			case 1:
				new = slices.Insert(new, at, line(), line())
			default:
				new = slices.Delete(new, at, to)
			}
		}
		kept := texts{known: map[uint64]uint32{}, parts: map[string][]uint32{}}
		kept.add("old", old)
		kept.add("new", new)
		front, added := kept.added("old", "new")
		got := make([]bool, len(new))
		copy(got[front:], added)
		if want := addedLines(old, new); !slices.Equal(got, want) {
			t.Fatalf("%v → %v: from line %d on %v, want %v", old, new, front, added, want)
		}
		if slices.Contains(added, true) && len(added) < len(new) {
			differ++
		}
	}
	if differ < 300 {
		t.Errorf("of %d pairs only a part was looked at", differ)
	}
}
