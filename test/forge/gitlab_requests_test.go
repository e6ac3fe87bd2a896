package forge

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xanzy/go-gitlab"
	gitlabnew "gitlab.com/gitlab-org/api/client-go"
	"go.yaml.in/yaml/v4"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	provider "github.com/leakreach/leakreach/providers/gitlab"
)

// operation is a path that the provider asks for, with the parameters that GitLab's own client has for it, and what each of GitLab's Go clients makes
// of the answer; nil where a client does not know the path.
type operation struct {
	path     string // a regular expression
	options  any
	old, new any
	more     string // parameters that GitLab's OpenAPI description has and its client does not
}

var operations = []operation{
	{`/groups/[^/]+`, gitlabnew.GetGroupOptions{}, gitlab.Group{}, gitlabnew.Group{}, ""},
	{`/groups/\d+/descendant_groups`, gitlabnew.ListDescendantGroupsOptions{}, []gitlab.Group{}, []gitlabnew.Group{}, ""},
	{`/groups/\d+/projects`, gitlabnew.ListGroupProjectsOptions{}, []gitlab.Project{}, []gitlabnew.Project{}, "pagination id_after"},
	{`/groups/[^/]+/variables`, gitlabnew.ListGroupVariablesOptions{}, []gitlab.GroupVariable{}, []gitlabnew.GroupVariable{}, ""},
	{`/groups/\d+/runners`, gitlabnew.ListGroupsRunnersOptions{}, []gitlab.Runner{}, []gitlabnew.Runner{}, ""},
	{`/groups/\d+/access_tokens`, gitlabnew.ListGroupAccessTokensOptions{}, []gitlab.GroupAccessToken{}, []gitlabnew.GroupAccessToken{}, ""},
	{`/groups/\d+/deploy_tokens`, gitlabnew.ListGroupDeployTokensOptions{}, []gitlab.DeployToken{}, []gitlabnew.DeployToken{}, ""},
	{`/groups/\d+/hooks`, gitlabnew.ListGroupHooksOptions{}, []gitlab.GroupHook{}, []gitlabnew.GroupHook{}, ""},
	{`/groups/\d+/protected_branches`, gitlabnew.ListGroupProtectedBranchesOptions{}, nil, []gitlabnew.GroupProtectedBranch{}, ""},
	{`/groups/\d+/protected_environments`, gitlabnew.ListGroupProtectedEnvironmentsOptions{}, []gitlab.GroupProtectedEnvironment{}, []gitlabnew.GroupProtectedEnvironment{}, ""},
	{`/groups/\d+/push_rule`, struct{}{}, gitlab.GroupPushRules{}, gitlabnew.GroupPushRules{}, ""},

	{`/projects`, gitlabnew.ListProjectsOptions{}, []gitlab.Project{}, []gitlabnew.Project{}, "pagination id_after"},
	{`/projects/[^/]+`, gitlabnew.GetProjectOptions{}, gitlab.Project{}, gitlabnew.Project{}, ""},
	{`/projects/\d+/variables`, gitlabnew.ListProjectVariablesOptions{}, []gitlab.ProjectVariable{}, []gitlabnew.ProjectVariable{}, ""},
	{`/projects/\d+/environments`, gitlabnew.ListEnvironmentsOptions{}, []gitlab.Environment{}, []gitlabnew.Environment{}, ""},
	{`/projects/\d+/runners`, gitlabnew.ListProjectRunnersOptions{}, []gitlab.Runner{}, []gitlabnew.Runner{}, ""},
	{`/projects/\d+/access_tokens`, gitlabnew.ListProjectAccessTokensOptions{}, []gitlab.ProjectAccessToken{}, []gitlabnew.ProjectAccessToken{}, ""},
	{`/projects/\d+/deploy_tokens`, gitlabnew.ListProjectDeployTokensOptions{}, []gitlab.DeployToken{}, []gitlabnew.DeployToken{}, ""},
	{`/projects/\d+/deploy_keys`, gitlabnew.ListProjectDeployKeysOptions{}, []gitlab.ProjectDeployKey{}, []gitlabnew.ProjectDeployKey{}, ""},
	{`/projects/\d+/hooks`, gitlabnew.ListProjectHooksOptions{}, []gitlab.ProjectHook{}, []gitlabnew.ProjectHook{}, ""},
	{`/projects/\d+/triggers`, gitlabnew.ListPipelineTriggersOptions{}, []gitlab.PipelineTrigger{}, []gitlabnew.PipelineTrigger{}, ""},
	{`/projects/\d+/protected_branches`, gitlabnew.ListProtectedBranchesOptions{}, []gitlab.ProtectedBranch{}, []gitlabnew.ProtectedBranch{}, ""},
	{`/projects/\d+/protected_tags`, gitlabnew.ListProtectedTagsOptions{}, []gitlab.ProtectedTag{}, []gitlabnew.ProtectedTag{}, ""},
	{`/projects/\d+/protected_environments`, gitlabnew.ListProtectedEnvironmentsOptions{}, []gitlab.ProtectedEnvironment{}, []gitlabnew.ProtectedEnvironment{}, ""},
	{`/projects/\d+/push_rule`, struct{}{}, gitlab.ProjectPushRules{}, gitlabnew.ProjectPushRules{}, ""},
	{`/projects/\d+/security_settings`, struct{}{}, nil, gitlabnew.ProjectSecuritySettings{}, ""},
	{`/projects/\d+/job_token_scope`, struct{}{}, gitlab.JobTokenAccessSettings{}, gitlabnew.JobTokenAccessSettings{}, ""},
	{`/projects/\d+/job_token_scope/allowlist`, gitlabnew.GetJobTokenInboundAllowListOptions{}, []gitlab.Project{}, []gitlabnew.Project{}, ""},
	{`/projects/\d+/job_token_scope/groups_allowlist`, gitlabnew.GetJobTokenAllowlistGroupsOptions{}, []gitlab.Group{}, []gitlabnew.Group{}, ""},
	{`/projects/\d+/pipeline_schedules`, gitlabnew.ListPipelineSchedulesOptions{}, []gitlab.PipelineSchedule{}, []gitlabnew.PipelineSchedule{}, ""},
	{`/projects/\d+/pipeline_schedules/\d+`, struct{}{}, gitlab.PipelineSchedule{}, gitlabnew.PipelineSchedule{}, ""},
	{`/projects/\d+/members/all`, gitlabnew.ListProjectMembersOptions{}, []gitlab.ProjectMember{}, []gitlabnew.ProjectMember{}, ""},
	{`/projects/\d+/members/all/\d+`, struct{}{}, gitlab.ProjectMember{}, gitlabnew.ProjectMember{}, ""},
	{`/projects/\d+/secure_files`, gitlabnew.ListProjectSecureFilesOptions{}, nil, []gitlabnew.SecureFile{}, ""},
	{`/projects/\d+/pipelines`, gitlabnew.ListProjectPipelinesOptions{}, []gitlab.PipelineInfo{}, []gitlabnew.PipelineInfo{}, ""},
	{`/projects/\d+/jobs`, gitlabnew.ListJobsOptions{}, []gitlab.Job{}, []gitlabnew.Job{}, ""},
	{`/projects/\d+/pipelines/\d+/jobs`, gitlabnew.ListJobsOptions{}, []gitlab.Job{}, []gitlabnew.Job{}, ""},
	{`/projects/\d+/pipelines/\d+/variables`, struct{}{}, []gitlab.PipelineVariable{}, []gitlabnew.PipelineVariable{}, ""},
	{`/projects/\d+/jobs/\d+/trace`, struct{}{}, nil, nil, ""},
	{`/projects/\d+/jobs/\d+/artifacts`, struct{}{}, nil, nil, ""},
	{`/projects/\d+/terraform/state/[^/]+`, struct{}{}, nil, nil, ""},
	{`/projects/\d+/issues`, gitlabnew.ListProjectIssuesOptions{}, []gitlab.Issue{}, []gitlabnew.Issue{}, ""},
	{`/projects/\d+/issues/\d+/notes`, gitlabnew.ListIssueNotesOptions{}, []gitlab.Note{}, []gitlabnew.Note{}, ""},
	{`/projects/\d+/merge_requests`, gitlabnew.ListProjectMergeRequestsOptions{}, []gitlab.MergeRequest{}, []gitlabnew.MergeRequest{}, ""},
	{`/projects/\d+/merge_requests/\d+/notes`, gitlabnew.ListMergeRequestNotesOptions{}, []gitlab.Note{}, []gitlabnew.Note{}, ""},
	{`/projects/\d+/wikis`, gitlabnew.ListWikisOptions{}, []gitlab.Wiki{}, []gitlabnew.Wiki{}, ""},
	{`/projects/\d+/releases`, gitlabnew.ListReleasesOptions{}, []gitlab.Release{}, []gitlabnew.Release{}, ""},
	{`/projects/\d+/snippets`, gitlabnew.ListProjectSnippetsOptions{}, []gitlab.Snippet{}, []gitlabnew.Snippet{}, ""},
	{`/projects/\d+/snippets/\d+/raw`, struct{}{}, nil, nil, ""},
	{`/projects/\d+/snippets/\d+/files/[^/]+/[^/]+/raw`, struct{}{}, nil, nil, ""},
	{`/projects/\d+/registry/repositories`, gitlabnew.ListProjectRegistryRepositoriesOptions{}, []gitlab.RegistryRepository{}, []gitlabnew.RegistryRepository{}, ""},
	{`/projects/\d+/registry/repositories/\d+/tags`, gitlabnew.ListRegistryRepositoryTagsOptions{}, []gitlab.RegistryRepositoryTag{}, []gitlabnew.RegistryRepositoryTag{}, ""},
	{`/projects/\d+/packages`, gitlabnew.ListProjectPackagesOptions{}, []gitlab.Package{}, []gitlabnew.Package{}, ""},
	{`/projects/\d+/ci/lint`, gitlabnew.ProjectLintOptions{}, gitlab.ProjectLintResult{}, gitlabnew.ProjectLintResult{}, ""},

	{`/metadata`, struct{}{}, gitlab.Metadata{}, gitlabnew.Metadata{}, ""},
	{`/personal_access_tokens/self`, struct{}{}, gitlab.PersonalAccessToken{}, gitlabnew.PersonalAccessToken{}, ""},
	{`/user`, struct{}{}, gitlab.User{}, gitlabnew.User{}, ""},
	{`/users/[^/]+/projects`, gitlabnew.ListProjectsOptions{}, []gitlab.Project{}, []gitlabnew.Project{}, "pagination id_after"},
	{`/groups`, gitlabnew.ListGroupsOptions{}, []gitlab.Group{}, []gitlabnew.Group{}, ""},
	{`/runners/\d+`, struct{}{}, gitlab.RunnerDetails{}, gitlabnew.RunnerDetails{}, ""},
	{`/runners/all`, gitlabnew.ListRunnersOptions{}, []gitlab.Runner{}, []gitlabnew.Runner{}, ""},
	{`/admin/ci/variables`, gitlabnew.ListInstanceVariablesOptions{}, []gitlab.InstanceVariable{}, []gitlabnew.InstanceVariable{}, ""},
	{`/application/settings`, struct{}{}, gitlab.Settings{}, gitlabnew.Settings{}, ""},
	{`/hooks`, struct{}{}, []gitlab.Hook{}, []gitlabnew.Hook{}, ""},
	{`/deploy_tokens`, struct{}{}, []gitlab.DeployToken{}, []gitlabnew.DeployToken{}, ""},
	{`/deploy_keys`, gitlabnew.ListInstanceDeployKeysOptions{}, []gitlab.InstanceDeployKey{}, []gitlabnew.InstanceDeployKey{}, ""},
}

// parameters are the names that a client's options put into a query.
func parameters(t reflect.Type, into map[string]bool) map[string]bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("url"), ",")
		if f.Anonymous {
			parameters(f.Type, into)
		} else if name != "" {
			into[strings.TrimSuffix(name, "[]")] = true
		}
	}
	return into
}

// taped keeps what a server answered.
type taped struct {
	next http.RoundTripper

	mu      sync.Mutex
	answers []answer
}

type answer struct {
	request *http.Request
	status  int
	body    []byte
}

func (t *taped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(t.answers, answer{r, resp.StatusCode, body})
	return resp, err
}

// fullGitLab has one of each thing that the provider reads.
func fullGitLab() *forgetest.GitLab {
	g := fakeGitLab()
	access := forgetest.CIAccess{
		Tokens: []forgetest.CIToken{{Name: "bot", Scopes: []string{"api"}, Level: 40, Expires: "2027-01-01", Used: true}}, Deploys: []forgetest.CIToken{{Name: "d", Scopes: []string{"read_registry"}, Expires: "2027-01-01"}},
		Triggers: []forgetest.CIToken{{Name: "t", Value: "v", Used: true}}, DeployKeys: []forgetest.CIKey{{Title: "k", Push: true, Expires: "2027-01-01"}}, Hooks: []forgetest.CIHook{{URL: "https://example.com/"}},
		Branches: []forgetest.CIRule{{Name: "main", Push: []int{0}, Merge: []int{30}}}, Tags: []forgetest.CIRule{{Name: "v*", Create: []int{40}}},
		Walls: []forgetest.CIWall{{Name: "production", Deploy: []int{40}, Approvals: 1}}, PushRules: map[string]any{"prevent_secrets": true},
		Settings: map[string]any{},
	}
	g.CIAccess, g.Groups[0].CIAccess = access, access
	x := g.Projects[0]
	x.CIAccess = access
	x.CIAccess.Settings = map[string]any{"empty_repo": false}
	x.JobTokenFrom, x.Members, x.SecureFiles = []string{"acme", "jane/own"}, map[int]int{7: 40}, []string{"a.jks"}
	x.Schedules = []forgetest.CISchedule{{ID: 1, Description: "nightly", Ref: "main", Owner: 7, Variables: []forgetest.CIVariable{{Key: "V", Value: "v"}}}}
	x.Definition, x.Includes = "a: {script: b}\n", []forgetest.CIInclude{{Type: "file", Location: "/a.yml", Project: "acme/ci", Ref: "main"}}
	x.Runners = []forgetest.CIRunner{{ID: 3, Description: "own", Tags: []string{"deploy"}}}
	x.Pipelines = []forgetest.CIPipeline{{ID: 1, Source: "trigger", Variables: []forgetest.CIVariable{{Key: "V", Value: "v"}}, Jobs: []forgetest.CIJob{
		{ID: 1, Name: "build", Trace: "made\n", Files: map[string]string{"a": "b"}, Runner: forgetest.CIRunner{ID: 3, Description: "own"}},
	}}}
	x.States = map[string]string{"production": "{}"}
	x.Issues = []forgetest.CIThread{{IID: 1, Title: "t", Description: "d", Notes: []string{"n"}}}
	x.MergeRequests = x.Issues
	x.Wiki, x.Releases = map[string]string{"home": "h"}, map[string]string{"v1": "r"}
	x.Snippets = []forgetest.CISnippet{{ID: 1, Title: "s", Files: map[string]string{"a": "b"}}, {ID: 2, Title: "s", Files: map[string]string{"a": "b", "c/d": "e"}}}
	x.Images = map[string][]string{"web": {"latest"}}
	x.Packages = []forgetest.CIPackage{{Name: "@acme/web", Type: "npm"}}
	return g
}

// requests has the provider read all there is, and returns what it asked for.
func requests(t *testing.T) []answer {
	t.Helper()
	g := fullGitLab()
	env := environment(t, map[string]string{"GITLAB_URL": forgetest.Start(t, g), "GITLAB_TOKEN": gitlabToken})
	tape := &taped{next: env.HTTP.Transport}
	env.HTTP.Transport = tape
	p := provider.New(env, provider.Options{Sources: audit.AllSources &^ (audit.SourceHistory | audit.SourceFiles)})
	entries := 0
	for _, ref := range []string{"", "acme", "jane", "acme/sub/p000"} {
		targets, gaps := walk(t, p, ref)
		if len(gaps) > 0 {
			t.Errorf("%s: gaps %q", ref, gaps)
		}
		for _, target := range targets[:min(len(targets), 5)] {
			entries += items(t, p, target)
		}
	}
	if entries == 0 {
		t.Error("nothing was listed")
	}
	for _, err := range p.Check(t.Context(), "acme") {
		if err != nil {
			t.Error(err)
		}
	}
	for _, err := range p.Plan(t.Context(), "acme") {
		if err != nil {
			t.Error(err)
		}
	}
	return tape.answers
}

// What the provider sends are paths and parameters that GitLab's own client knows too, and what the fake answers both of GitLab's clients can read.
func TestGitLabRequests(t *testing.T) {
	used := map[int]bool{}
	for _, a := range requests(t) {
		r := a.request
		path, below := strings.CutPrefix(r.URL.EscapedPath(), "/api/v4")
		if r.Header.Get("Private-Token") != gitlabToken || (r.Method != http.MethodGet) != (r.URL.Path == "/api/graphql") {
			t.Errorf("%s %s, headers %v", r.Method, r.URL.Path, r.Header)
		}
		if !below {
			continue
		}
		found := false
		for i, op := range operations {
			if !regexp.MustCompile("^" + op.path + "$").MatchString(path) {
				continue
			}
			found, used[i] = true, true
			known := parameters(reflect.TypeOf(op.options), map[string]bool{"page": true, "per_page": true})
			for _, name := range strings.Fields(op.more) {
				known[name] = true
			}
			for name := range r.URL.Query() {
				if !known[strings.TrimSuffix(name, "[]")] {
					t.Errorf("%s: GitLab's client knows no parameter %s", path, name)
				}
			}
			for _, type_ := range []any{op.old, op.new} {
				if type_ == nil || a.status != http.StatusOK {
					continue
				}
				if err := json.Unmarshal(a.body, reflect.New(reflect.TypeOf(type_)).Interface()); err != nil {
					t.Errorf("%s: %T cannot read it: %v", path, type_, err)
				}
			}
		}
		if !found {
			t.Errorf("%s %s is in no list", r.Method, path)
		}
	}
	for i, op := range operations {
		if !used[i] {
			t.Errorf("%s was not exercised", op.path)
		}
	}
}

// A described operation is one of GitLab's OpenAPI description.
type described struct {
	path  *regexp.Regexp
	query map[string]bool
}

// describedOperations takes those that read out of the description. Its regular expressions are Ruby's, so that no library takes it whole.
func describedOperations(t *testing.T, text []byte) (all []described) {
	t.Helper()
	var doc struct {
		Paths map[string]struct {
			Get *struct {
				Parameters []struct {
					Name string `yaml:"name"`
					In   string `yaml:"in"`
				} `yaml:"parameters"`
			} `yaml:"get"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\\\{[^/{}]*\\\}`)
	for path, x := range doc.Paths {
		if x.Get == nil {
			continue
		}
		d := described{regexp.MustCompile("^" + variable.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$"), map[string]bool{}}
		for _, p := range x.Get.Parameters {
			d.query[strings.TrimSuffix(p.Name, "[]")] = p.In == "query"
		}
		all = append(all, d)
	}
	return all
}

const noSuchPath = "no such path"

// departure says by what a request departs from the description; "" if by nothing.
func departure(all []described, path string, query []string) string {
	why := noSuchPath
	for _, d := range all {
		if !d.path.MatchString(path) {
			continue
		}
		why = ""
		for _, name := range query {
			if !d.query[strings.TrimSuffix(name, "[]")] {
				why += "no parameter " + name
			}
		}
		if why == "" {
			break
		}
	}
	return why
}

// describedInShort is a small description in the form of GitLab's, of three listings as its documentation has them (docs.gitlab.com/api: jobs,
// hooks, project-level variables).
const describedInShort = `
paths:
  "/api/v4/projects/{id}/jobs":
    get:
      parameters:
      - {name: id, in: path}
      - {name: 'scope[]', in: query}
      - {name: include_retried, in: query}
      - {name: page, in: query}
      - {name: per_page, in: query}
    post: {}
  "/api/v4/projects/{id}/hooks":
    get:
      parameters:
      - {name: id, in: path}
      - {name: page, in: query}
      - {name: per_page, in: query}
  "/api/v4/projects/{id}/variables":
    get:
      parameters:
      - {name: id, in: path}
      - {name: page, in: query}
      - {name: per_page, in: query}
  /api/v4/x:
    post: {}
`

func TestDepartures(t *testing.T) {
	all := describedOperations(t, []byte(describedInShort))
	for _, test := range []struct{ path, query, want string }{
		{"/api/v4/projects/1/jobs", "scope[]", ""}, {"/api/v4/projects/a%2Fb/jobs", "", ""}, {"/api/v4/projects/1/jobs", "id", "no parameter id"},
		{"/api/v4/projects/1/jobs/2", "", noSuchPath}, {"/api/v4/projects//jobs", "", noSuchPath}, {"/api/v4/x", "", noSuchPath},
	} {
		if got := departure(all, test.path, strings.Fields(test.query)); got != test.want {
			t.Errorf("%s?%s: %q, want %q", test.path, test.query, got, test.want)
		}
	}
}

// What the provider sends is held against the short description, and against GitLab's own where that is at hand: it is in GitLab's sources, at
// doc/api/openapi/openapi_v3.yaml, and in no package. LEAKREACH_GITLAB_OPENAPI names the file.
func TestGitLabDescription(t *testing.T) {
	sent := requests(t)
	if n := holdAgainst(t, []byte(describedInShort), sent, false); n < 3 {
		t.Errorf("%d of the three described listings were asked for", n)
	}
	if file := os.Getenv("LEAKREACH_GITLAB_OPENAPI"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		holdAgainst(t, text, sent, true)
	}
}

// holdAgainst holds requests against a description, which may have all paths there are. It returns how many of its operations were asked for.
func holdAgainst(t *testing.T, description []byte, sent []answer, whole bool) int {
	t.Helper()
	all, said, asked := describedOperations(t, description), map[string]bool{}, map[string]bool{}
	for _, a := range sent {
		path := a.request.URL.EscapedPath()
		if a.request.Method != http.MethodGet || !strings.HasPrefix(path, "/api/v4/") {
			continue
		}
		for _, d := range all {
			if d.path.MatchString(path) {
				asked[d.path.String()] = true
			}
		}
		why := departure(all, path, slices.Sorted(maps.Keys(a.request.URL.Query())))
		if why != "" && !said[path+why] && (whole || why != noSuchPath) {
			said[path+why] = true
			t.Errorf("%s: %s", path, why)
		}
	}
	return len(asked)
}
