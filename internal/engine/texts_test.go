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
		if !slices.Equal(kept.of(strconv.Itoa(i)), want) {
			t.Fatalf("version %d is not what it was", i)
		}
	}
	if n := len(kept.lines) + kept.size; n > 15*2000 {
		t.Errorf("%d versions of 2000 lines take %d numbers", len(versions), n)
	}
	if kept.of("another") != nil {
		t.Error("a text of an object that was not kept")
	}
	huge := make([]uint32, maxTexts)
	if kept.add("huge", huge); kept.of("huge") != nil || kept.n+kept.size > maxTexts {
		t.Error("more is kept than the bound")
	}
}
