package graph

import (
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestJudgeTrust: what a run's own inventory tells of roles decides about the findings of jobs, in whatever reads the run.
func TestJudgeTrust(t *testing.T) {
	const target, role = "github:acme/Web", "arn:aws:iam::111122223333:role/deploy"
	trusts := audit.Entry{Target: strings.ToLower(target), Kind: audit.KindTrust, Name: role, Scope: "repository"}
	job := func(level, unsure, line string) audit.Entry {
		return audit.Entry{Target: target, Kind: audit.KindTrust, Name: role, Scope: "job", Facts: map[string]string{
			"path": "ci.yml", "line": line, "level": level, "accounts": "111122223333", "unsure": unsure, "subject": "repo:acme/Web:ref:refs/heads/x", "limits": "a\nb",
			"steps": audit.Table([]string{"job", role, "federates", "trust, statement 1"}, []string{"short"}),
		}}
	}
	for _, c := range []struct {
		name      string
		inventory []audit.Entry
		want      string
	}{
		{"nothing is known", nil, "high m"},
		{"another kind", []audit.Entry{{Target: target, Kind: audit.KindJob, Scope: "job", Facts: map[string]string{"path": "ci.yml", "line": "3"}}}, "high m"},
		{"trusted, and not as it is", []audit.Entry{trusts}, "low m; the roles that trust its repository ask for a branch or an environment"},
		{"of another line", []audit.Entry{trusts, job("admin", "", "9")}, "low m; the roles"},
		{"of another line, and not all are known", []audit.Entry{job("admin", "", "9")}, "high m"},
		{"writes", []audit.Entry{trusts, job("write", "", "3")}, "high m; " + role + " lets it in as repo:acme/Web:ref:refs/heads/x"},
		{"admin", []audit.Entry{job("admin", "", "3")}, "critical m; " + role + " lets it in"},
		{"perhaps", []audit.Entry{job("admin", "the settings", "3")}, "high m; perhaps it can become " + role + ", which depends on the settings"},
	} {
		run := &audit.Run{Inventory: c.inventory, Findings: []audit.Finding{
			{ID: "1", Rule: "another", Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: target, Path: "ci.yml", Line: 3}}},
			{ID: "2", Rule: anyBranchRule, Severity: audit.High, Message: "m", Locations: []audit.Location{{Target: target, Path: "ci.yml", Line: 3}}},
		}}
		if err := Weigh(run); err != nil {
			t.Fatal(err)
		}
		f := run.Findings[1]
		if got := string(f.Severity) + " " + f.Message; !strings.HasPrefix(got, c.want) || !strings.Contains(c.want, ";") && got != c.want || run.Findings[0].Message != "m" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if r := f.Reach; r != nil && (len(r.Paths) != 1 || len(r.Paths[0].Steps) != 1 || r.Paths[0].Steps[0].To != role || len(r.Limits) != 2 || len(r.Accounts) != 1) {
			t.Errorf("%s: reach %+v", c.name, r)
		}
	}
}
