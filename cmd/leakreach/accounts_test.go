package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam/iamtest"
	"github.com/leakreach/leakreach/internal/report"
)

// TestLandscape: in five accounts with 400 identities, reach is found as it was planted, and who only looks like an administrator is none.
func TestLandscape(t *testing.T) {
	l, dir := iamtest.NewLandscape([5]string{"100000000001", "100000000002", "100000000003", "100000000004", "100000000005"}), t.TempDir()
	file := func(name string, content any) {
		doc, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), doc, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	everything := json.RawMessage(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`)
	var organisation []any
	for a, details := range l.Details {
		file(a+gaadSuffix, details)
		scps := [][]json.RawMessage{{everything}}
		if a == l.Bound {
			scps = append(scps, []json.RawMessage{everything, json.RawMessage(iamtest.Fence)})
		}
		organisation = append(organisation, map[string]any{"id": a, "management": a == l.Manager, "scps": scps})
	}
	file("organization.json", map[string]any{"accounts": organisation})
	code, stdout, stderr := asked(t, nil, "reach", "--from", dir, "--format", "json")
	var r report.Reach
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	seen := map[audit.Level]int{}
	for _, i := range r.Identities {
		if wrong := l.Differ(i.ARN, string(i.Level), i.Accounts); wrong != "" {
			t.Errorf("%s: %+v %q", wrong, i.Paths, i.Limits)
		}
		seen[i.Level]++
	}
	t.Logf("%d identities: %v; %d are traps", len(r.Identities), seen, l.Traps)
	if len(r.Identities) != 400 || l.Traps < 39 {
		t.Errorf("%d identities, %d traps", len(r.Identities), l.Traps)
	}
}
