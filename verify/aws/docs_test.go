package aws

import (
	"encoding/json"
	"os"
	"slices"
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

// TestAuditorPolicy holds the policy of docs/aws.md to the calls that are made with the auditor's credentials.
func TestAuditorPolicy(t *testing.T) {
	page, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	block, _, _ := strings.Cut(rest, "```")
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(block), &policy); err != nil || len(policy.Statement) != 1 {
		t.Fatalf("%v in %s", err, block)
	}
	var want []string
	for _, op := range operations {
		if op.auditor && op.name != "GetCallerIdentity" { // which needs no right
			want = append(want, op.right())
		}
	}
	slices.Sort(want)
	if !slices.Equal(policy.Statement[0].Action, want) {
		t.Errorf("docs/aws.md allows\n%q\nand the calls are\n%q", policy.Statement[0].Action, want)
	}
}
