package aws

import (
	"os"
	"strings"
	"testing"
)

// TestDocumented holds docs/verification.md to the actions that are simulated.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/verification.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sentinels {
		row := ""
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, "| "+string(s.Group)+" |") {
				row = line
			}
		}
		if !strings.Contains(row, "`"+s.Action+"`") {
			t.Errorf("docs/verification.md does not list %s under %s", s.Action, s.Group)
		}
	}
}
