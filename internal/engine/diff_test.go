package engine

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAddedLines(t *testing.T) {
	tests := []struct {
		name, before, after string
		added               []int // lines, from 1
	}{
		{"the same", "a b c", "a b c", nil},
		{"a line in front", "a b c", "x a b c", []int{1}},
		{"a line at the end", "a b c", "a b c x", []int{4}},
		{"a line changed", "a b c", "a x c", []int{2}},
		{"a line taken away", "a b c", "a c", nil},
		{"all of it", "", "a b", []int{1, 2}},
		{"a line moved down", "key b c d", "b c d key", []int{4}},
		{"a line moved up", "b c d key", "key b c d", []int{1}},
		{"a line twice", "a key b", "a key b key", []int{4}},
		{"a line moved while others change", "key b c d", "x b c key d", []int{1, 4}},
		{"a block moved", "k1 k2 b c d e", "b c d e k1 k2", []int{5, 6}},
		{"the smaller block is the one moved", "k1 k2 k3 b", "b k1 k2 k3", []int{1}},
	}
	for _, tt := range tests {
		var got []int
		for i, is := range addedLines(digests(tt.before), digests(tt.after)) {
			if is {
				got = append(got, i+1)
			}
		}
		if !slices.Equal(got, tt.added) {
			t.Errorf("%s: added are %v, want %v", tt.name, got, tt.added)
		}
	}
}

var seed = maphash.MakeSeed()

func digests(words string) []uint32 {
	return lineDigests(seed, []byte(strings.ReplaceAll(words, " ", "\n")+"\n"))
}

// TestAddedLinesIsAScript holds for any two contents: what is not added is a subsequence of what was there, and as long as the
// longest that both have.
func TestAddedLinesIsAScript(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	content := func() []uint32 {
		out := make([]uint32, random.IntN(24))
		for i := range out {
			out[i] = uint32(random.IntN(6))
		}
		return out
	}
	for range 20000 {
		before, after := content(), content()
		added := addedLines(before, after)
		kept, at := 0, 0
		for i, is := range added {
			if is {
				continue
			}
			kept++
			for at < len(before) && before[at] != after[i] {
				at++
			}
			if at == len(before) {
				t.Fatalf("%v → %v: %v keeps lines that were not there", before, after, added)
			}
			at++
		}
		if want := longestCommon(before, after); kept != want {
			t.Fatalf("%v → %v: %v keeps %d lines of %d", before, after, added, kept, want)
		}
	}
}

func longestCommon(a, b []uint32) int {
	row := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(row[j], above)
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// TestAddedLinesGivesUp ends on contents made to take forever.
func TestAddedLinesGivesUp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	before, after := make([]uint32, 60000), make([]uint32, 60000)
	for i := range before {
		before[i], after[i] = uint32(random.IntN(200)), uint32(random.IntN(200))
	}
	if addedLines(before, after) != nil {
		t.Error("the comparison took more steps than it may")
	}
}
