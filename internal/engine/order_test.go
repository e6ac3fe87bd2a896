package engine

import (
	"slices"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// Entries of one name, such as artifacts of two runs, are in one order, however they came.
func TestOrderOfEntries(t *testing.T) {
	entries := []audit.Entry{
		{Target: "t", Kind: audit.KindArtifact, Name: "package", Facts: map[string]string{"run": "1"}},
		{Target: "t", Kind: audit.KindArtifact, Name: "package", Facts: map[string]string{"run": "2"}},
	}
	back := slices.Clone(entries)
	slices.Reverse(back)
	for _, list := range [][]audit.Entry{entries, back} {
		run := audit.Run{Inventory: list}
		sortRun(&run)
		if got := run.Inventory[0].Facts["run"] + run.Inventory[1].Facts["run"]; got != "12" {
			t.Errorf("order %s", got)
		}
	}
}
