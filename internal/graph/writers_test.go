package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
)

// Who may push is told by role and name, as far as a run knows it; also of a repository in which no job runs yet.
func TestWriters(t *testing.T) {
	var crowd []string
	for i := range 25 {
		crowd = append(crowd, fmt.Sprintf("User:p%02d", i))
	}
	list := strings.Join(crowd, ",")
	for _, c := range []struct {
		name     string
		target   string
		settings map[string]string
		gap      string
		want     []string
		limit    string
	}{
		{"all that there are", webRepo, facts("admin", "User:jane", "maintain", "none", "write", "User:joe,User:kim"), "", []string{"admin jane", "write joe, kim"}, ""},
		{"nobody", webRepo, facts("admin", "none", "maintain", "none", "write", "none"), "", nil, ""},
		{"many", webRepo, facts("admin", "none", "maintain", "none", "write", list), "", []string{"write " + strings.ReplaceAll(strings.Join(crowd[:20], ", "), "User:", "") + " and 5 more"}, ""},
		{"some", webRepo, facts("admin", "…", "maintain", "User:kim,…", "write", list+",…"), "",
			[]string{"admin perhaps others", "maintain kim, and perhaps others", "write " + strings.ReplaceAll(strings.Join(crowd[:20], ", "), "User:", "") + " and 5 more, and perhaps others"}, ""},
		{"no right", webRepo, facts(), "needs members=read", nil, "who may push to github:acme/web cannot be resolved by name because people who may push: needs members=read"},
		{"not asked", webRepo, facts("not_asked", "webhooks,people who may push"), "", nil,
			"who may push to github:acme/web cannot be resolved by name because it was not asked for: GraphQL was not to be had, and by REST it takes a request for each repository; name the repository, or ask for --sources all"},
		{"not read", webRepo, facts(), "", nil, "who may push to github:acme/web cannot be resolved by name because it was not read"},
		{"GitLab", "gitlab:acme/web", facts("owner", "User:jane", "maintainer", "User:kim", "developer", "none"), "", []string{"owner jane", "maintainer kim"}, ""},
	} {
		for _, jobs := range []string{"", "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: make}]\n"} {
			run := pipelines(c.target, c.settings, audit.Entry{Kind: audit.KindSecret, Name: "KEY", Scope: "repository", Facts: facts("store", "actions")})
			if jobs != "" && c.target == webRepo {
				run.Inventory = append(run.Inventory, workflows(c.target, map[string]string{".github/workflows/a.yml": jobs})...)
			}
			if c.gap != "" {
				run.Gaps = []audit.Gap{{Target: c.target, What: "people who may push", Why: c.gap}}
			}
			a, err := NewAccess(run)
			if err != nil {
				t.Fatal(err)
			}
			s := a.Find("KEY")[0]
			var got []string
			for _, w := range s.Writers {
				if w.Target != c.target || w.More != strings.Contains(w.String(), "perhaps") || len(w.Names) > w.People {
					t.Errorf("%s: %+v", c.name, w)
				}
				got = append(got, w.Role+" "+w.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
			limits := strings.Join(s.Limits, "\n")
			if strings.Contains(limits, "by name") != (c.limit != "") || !strings.Contains(limits, c.limit) {
				t.Errorf("%s: limits %q, want %q", c.name, s.Limits, c.limit)
			}
		}
	}
}

// What is not known of several repositories for one reason is one limit.
func TestWritersUnknown(t *testing.T) {
	run := &audit.Run{Inventory: []audit.Entry{{Target: "github:acme", Kind: audit.KindSecret, Name: "KEY", Scope: "organisation", Facts: facts("store", "actions", "visibility", "all")}}}
	for i, settings := range []map[string]string{plain(), plain(), plain("admin", "User:jane"), {}} {
		target := fmt.Sprint("github:acme/r", i)
		run.Inventory = append(run.Inventory, audit.Entry{Target: target, Kind: audit.KindSettings, Facts: settings})
		run.Inventory = append(run.Inventory, workflows(target, map[string]string{".github/workflows/a.yml": "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: make}]\n"})...)
		if i != 2 {
			run.Gaps = append(run.Gaps, audit.Gap{Target: target, What: "repository settings: retention", Why: "403"})
		}
	}
	a, err := NewAccess(run)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, limit := range a.Find("KEY")[0].Limits {
		if strings.Contains(limit, "by name") {
			got = append(got, limit)
		}
	}
	want := []string{
		"who may push to github:acme/r0 and 1 more cannot be resolved by name because it was not read",
		"who may push to github:acme/r3 cannot be resolved by name because repository settings: retention: 403",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// That who may push is not told of all places is a limit.
func TestWritersOfMany(t *testing.T) {
	for places, want := range map[int]bool{maxPeopled: false, maxPeopled + 1: true} {
		run := &audit.Run{Inventory: []audit.Entry{{Target: "github:acme", Kind: audit.KindSecret, Name: "KEY", Scope: "organisation", Facts: facts("store", "actions", "visibility", "all")}}}
		for i := range places {
			target := fmt.Sprint("github:acme/r", i)
			run.Inventory = append(run.Inventory, audit.Entry{Target: target, Kind: audit.KindSettings, Facts: plain("admin", "User:jane", "maintain", "none", "write", "none")})
			run.Inventory = append(run.Inventory, workflows(target, map[string]string{".github/workflows/a.yml": "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: make}]\n"})...)
		}
		a, err := NewAccess(run)
		if err != nil {
			t.Fatal(err)
		}
		s := a.Find("KEY")[0]
		if len(s.Writers) != maxPeopled || slices.Contains(s.Limits, "who may push is told of 20 places of 21") != want {
			t.Errorf("%d places: %d rows, limits %q", places, len(s.Writers), s.Limits)
		}
	}
}

// Who lets jobs into an environment are its reviewers, by the names of those who are in a team, and administrators where they may pass.
func TestApprove(t *testing.T) {
	for bypass, want := range map[string][]string{"true": {"User:jane", "Team:ops", "RepositoryRole:admin"}, "false": {"User:jane", "Team:ops"}, "": {"User:jane", "Team:ops"}} {
		run := pipelines(webRepo, plain("admin", "User:jane", "maintain", "none", "write", "User:joe,User:ted", "team_members", "ops/joe,opsec/ted,ops/jane"),
			entry(audit.KindEnvironment, "prod", "reviewers", "User:jane,Team:ops", "branches", "all", "can_admins_bypass", bypass),
			audit.Entry{Kind: audit.KindSecret, Name: "KEY", Scope: "environment prod", Facts: facts("store", "actions")})
		a, err := NewAccess(run)
		if err != nil {
			t.Fatal(err)
		}
		s := a.Find("KEY")[0]
		if diff := cmp.Diff(want, s.Approve); diff != "" {
			t.Errorf("%q (-want +got):\n%s", bypass, diff)
		}
		if diff := cmp.Diff(map[string][]string{"ops": {"joe", "jane"}}, s.Teams); diff != "" {
			t.Errorf("teams (-want +got):\n%s", diff)
		}
	}
}

// When a job last ran is told where runs were read: on GitHub of its workflow, on GitLab of the job.
func TestLastRun(t *testing.T) {
	last := func(name string) audit.Entry {
		return entry(audit.KindLastRun, name, "at", "2026-11-01T12:00:00Z", "event", "push", "conclusion", "failure")
	}
	for _, c := range []struct {
		name, target, run string
		want              *LastRun
	}{
		{"a workflow", webRepo, ".github/workflows/a.yml", &LastRun{"workflow", "2026-11-01T12:00:00Z", "push", "failure"}},
		{"another one", webRepo, ".github/workflows/b.yml", nil},
		{"a job", "gitlab:acme/web", "a", &LastRun{"job", "2026-11-01T12:00:00Z", "push", "failure"}},
		{"another job", "gitlab:acme/web", ".github/workflows/a.yml", nil},
	} {
		run := pipelines(c.target, facts(), last(c.run), jobEntry("a", "push\t3:1", "takes", "vars\tKEY\tKEY\trun\t4:1"))
		a, err := NewAccess(run)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, a.detail(a.order[0].jobs[0]).LastRun); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
