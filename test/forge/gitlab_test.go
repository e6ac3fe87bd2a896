package forge

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xanzy/go-gitlab"
	gitlabnew "gitlab.com/gitlab-org/api/client-go"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

const gitlabToken = "a-token-of-the-test"

func environment(t *testing.T, vars map[string]string) audit.Env {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return vars[k] }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
	}
}

func fakeGitLab() *forgetest.GitLab {
	g := &forgetest.GitLab{
		Token: gitlabToken, Admin: true, Users: []string{"jane"},
		Variables: []forgetest.CIVariable{{Key: "I", Value: "i"}},
		Runners:   []forgetest.CIRunner{{ID: 1, Description: "shared"}},
		Groups: []*forgetest.Group{
			{ID: 10, Path: "acme", Variables: []forgetest.CIVariable{{Key: "G", Value: "g", Hidden: true}}},
			{ID: 11, Path: "acme/sub", Private: true},
		},
	}
	for i := range 130 {
		g.Projects = append(g.Projects, &forgetest.Project{ID: 100 + i, Path: fmt.Sprintf("acme/sub/p%03d", i), Private: true})
	}
	g.Projects = append(g.Projects, &forgetest.Project{ID: 1000, Path: "jane/own"})
	g.Projects[0].Environments = []string{"production"}
	g.Projects[0].Variables = []forgetest.CIVariable{{Key: "P", Value: "p", Scope: "production", Type: "file", Protected: true, Masked: true, Plain: true}}
	return g
}

// Both of GitLab's Go clients read what the fake answers, and read the same.
func TestGitLabFakeForTwoClients(t *testing.T) {
	base := forgetest.Start(t, fakeGitLab()) + "/api/v4"
	older, err := gitlab.NewClient(gitlabToken, gitlab.WithBaseURL(base))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := gitlabnew.NewClient(gitlabToken, gitlabnew.WithBaseURL(base))
	if err != nil {
		t.Fatal(err)
	}
	both := func(what string, old, new any, oldErr, newErr error, want any) {
		t.Helper()
		if oldErr != nil || newErr != nil || fmt.Sprint(old) != fmt.Sprint(want) || fmt.Sprint(new) != fmt.Sprint(want) {
			t.Errorf("%s: %v (%v) and %v (%v), want %v", what, old, oldErr, new, newErr, want)
		}
	}
	{
		a, _, e1 := older.Groups.GetGroup("acme/sub", nil)
		b, _, e2 := newer.Groups.GetGroup("acme/sub", nil)
		both("group", a.FullPath, b.FullPath, e1, e2, "acme/sub")
		both("group's parent", a.ParentID, b.ParentID, e1, e2, 10)
	}
	{
		a, r1, e1 := older.Groups.ListDescendantGroups(10, nil)
		b, r2, e2 := newer.Groups.ListDescendantGroups(10, nil)
		both("subgroups", len(a), len(b), e1, e2, 1)
		both("total", r1.TotalItems, r2.TotalItems, e1, e2, 1)
	}
	{
		a, r1, e1 := older.Groups.ListGroupProjects(10, &gitlab.ListGroupProjectsOptions{IncludeSubGroups: gitlab.Ptr(true), ListOptions: gitlab.ListOptions{PerPage: 100}})
		b, r2, e2 := newer.Groups.ListGroupProjects(10, &gitlabnew.ListGroupProjectsOptions{IncludeSubGroups: gitlabnew.Ptr(true), ListOptions: gitlabnew.ListOptions{PerPage: 100}})
		both("projects", len(a), len(b), e1, e2, 100)
		both("next page", r1.NextPage, r2.NextPage, e1, e2, 2)
		both("total of projects", r1.TotalItems, r2.TotalItems, e1, e2, 130)
		both("project", a[0].PathWithNamespace, b[0].PathWithNamespace, e1, e2, "acme/sub/p000")
	}
	{
		a, _, e1 := older.Projects.GetProject("acme/sub/p000", nil)
		b, _, e2 := newer.Projects.GetProject("acme/sub/p000", nil)
		both("clone address", a.HTTPURLToRepo, b.HTTPURLToRepo, e1, e2, strings.TrimSuffix(base, "/api/v4")+"/acme/sub/p000.git")
	}
	{
		a, _, e1 := older.ProjectVariables.ListVariables(100, nil)
		b, _, e2 := newer.ProjectVariables.ListVariables(100, nil)
		both("variables", len(a), len(b), e1, e2, 1)
		want := "P p file true true false true production"
		both("variable", fmt.Sprint(a[0].Key, " ", a[0].Value, " ", a[0].VariableType, " ", a[0].Protected, " ", a[0].Masked, " ", a[0].Hidden, " ", a[0].Raw, " ", a[0].EnvironmentScope),
			fmt.Sprint(b[0].Key, " ", b[0].Value, " ", b[0].VariableType, " ", b[0].Protected, " ", b[0].Masked, " ", b[0].Hidden, " ", b[0].Raw, " ", b[0].EnvironmentScope), e1, e2, want)
	}
	{
		a, _, e1 := older.GroupVariables.ListVariables(10, nil)
		b, _, e2 := newer.GroupVariables.ListVariables(10, nil)
		both("hidden group variable", fmt.Sprint(a[0].Hidden, a[0].Value), fmt.Sprint(b[0].Hidden, b[0].Value), e1, e2, "true")
	}
	{
		a, _, e1 := older.InstanceVariables.ListVariables(nil)
		b, _, e2 := newer.InstanceVariables.ListVariables(nil)
		both("instance variable", a[0].Key+a[0].Value, b[0].Key+b[0].Value, e1, e2, "Ii")
	}
	{
		a, _, e1 := older.Environments.ListEnvironments(100, nil)
		b, _, e2 := newer.Environments.ListEnvironments(100, nil)
		both("environment", a[0].Name+" "+a[0].Tier, b[0].Name+" "+b[0].Tier, e1, e2, "production production")
		both("environment's date", a[0].UpdatedAt.UTC(), b[0].UpdatedAt.UTC(), e1, e2, forgetest.Updated)
	}
	{
		a, _, e1 := older.Runners.ListProjectRunners(100, nil)
		b, _, e2 := newer.Runners.ListProjectRunners(100, nil)
		both("runner", a[0].Description+" "+a[0].RunnerType, b[0].Description+" "+b[0].RunnerType, e1, e2, "shared instance_type")
	}
	{
		a, _, e1 := older.Users.CurrentUser()
		b, _, e2 := newer.Users.CurrentUser()
		both("administrator", a.IsAdmin, b.IsAdmin, e1, e2, true)
	}
}
