package graph

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
)

// A job has one line for a role, the surest; and what is not sure raises no severity.
func TestRoles(t *testing.T) {
	const hub, lab = "token.actions.githubusercontent.com", "gitlab.com"
	job := jobEntry("a", "push\t3:1\tbranches=main\nissue_comment\t4:1", "at", "5:3")
	blind := pipelines(webRepo, plain(), job)
	blind.Gaps = []audit.Gap{{Target: webRepo, What: "protection of branches", Why: "403"}}
	later := pipelines(webRepo, plain(), entry(audit.KindEnvironment, "prod"), jobEntry("a", "push\t3:1", "at", "5:3", "environment_computed", "true"), jobEntry("a", "push\t3:1", "at", "5:3"))
	unread := facts("visibility", "public", "default_branch", "main")
	for _, c := range []struct {
		name, issuer, subject string
		run                   *audit.Run
		want                  []string
		severity              audit.Severity
	}{
		{"two events", hub, "repo:acme/web:ref:refs/heads/main", pipelines(webRepo, plain(), job), []string{"repository a by push"}, audit.Critical},
		{"one of two", hub, "repo:acme/web:ref:refs/heads/m*", pipelines(webRepo, plain("default_branch", "trunk"), job), []string{"repository a by push"}, audit.Critical},
		{"nobody who may tell what is protected", hub, "repo:acme/web:ref:refs/heads/main", blind, []string{"repository a by push"}, audit.Critical},
		{"first perhaps, then surely", hub, "repo:acme/web:*", later, []string{"repository a by push"}, audit.Critical},
		{"no settings", hub, "repo:acme/web:*", pipelines(webRepo, unread, job), []string{"repository a by push?"}, audit.High},
		{"another repository's", hub, "repo:acme/api:*", pipelines(webRepo, plain(), job), nil, audit.High},
		{"of no issuer that is known", "git.corp.test/_services/token", "repo:acme/web:*", pipelines(webRepo, plain(), job), []string{"repository a by push?"}, audit.High},
		{"GitLab", lab, "project_path:acme/web:*", pipelines("gitlab:acme/web", facts("oidc_subject", "project_path,ref_type,ref"), jobEntry("a", "push\t3:1", "at", "5:3", "id_tokens", "AWS\tx")),
			[]string{"project a by a branch"}, audit.Critical},
		{"without an identity", hub, "repo:acme/web:*", pipelines(webRepo, plain("token_permissions", "read"), jobEntry("a", "push\t3:1", "at", "5:3", "permissions", "contents=read")), nil, audit.Low},
	} {
		w, f := federation(t, c.issuer, `"StringLike": {"~:sub": "`+c.subject+`"}`)
		a, err := NewAccess(c.run)
		if err != nil {
			t.Fatal(err)
		}
		in, _ := (&Graph{}).Federate(w, f, a.Mints())
		entries := Roles(f.Role, w.Reach(f.Role), in)
		var got []string
		for _, e := range entries {
			says := e.Scope + " " + e.Facts["job"][len(".github/workflows/a.yml: "):] + " by " + e.Facts["event"]
			if e.Facts["unsure"] != "" {
				says += "?"
			}
			if e.Kind != audit.KindRole || e.Name != "arn:aws:iam::111122223333:role/a" || e.Target != c.run.Inventory[0].Target || e.Facts["level"] != "none" {
				t.Errorf("%s: %+v", c.name, e)
			}
			got = append(got, says)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		c.run.Inventory = append(c.run.Inventory, entries...)
		c.run.Findings = []audit.Finding{{Severity: audit.Low, Stakes: &audit.Stakes{None: audit.Low, Some: audit.High}, Locations: []audit.Location{
			{Target: c.run.Inventory[0].Target, Kind: audit.InWorkflow, Path: ".github/workflows/a.yml", Line: 6},
		}}}
		if err := Weigh(c.run); err != nil {
			t.Fatal(err)
		}
		if f := c.run.Findings[0]; c.severity != audit.Low && (f.Severity != audit.High || f.Message != "; the job holds an identity that clouds take") {
			t.Errorf("%s: of a role that may nothing: %s %q", c.name, f.Severity, f.Message)
		}
		for i := range entries {
			entries[i].Facts["level"] = "admin" // as if it might
		}
		if err := Weigh(c.run); err != nil {
			t.Fatal(err)
		}
		if got := c.run.Findings[0].Severity; got != c.severity {
			t.Errorf("%s: %s, want %s", c.name, got, c.severity)
		}
	}
}
