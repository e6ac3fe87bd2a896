package forge

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/leakreach/leakreach/providers/forgetest"
)

const endpointToken = "a-token-of-the-test"

// everyKind is a GitHub with at least one of each thing that the fake knows.
func everyKind(t *testing.T) *forgetest.GitHub {
	day := func(n int) time.Time { return forgetest.Created.AddDate(0, 0, n) }
	store := forgetest.Store{
		Secrets:   []forgetest.Secret{{Name: "S", Visibility: "selected", Repositories: []string{"acme/app"}}, {Name: "T", Visibility: "private", Updated: day(3)}},
		Variables: []forgetest.Variable{{Name: "V", Value: "v", Visibility: "selected", Repositories: []string{"acme/app"}}, {Name: "W", Value: "w"}},
	}
	stores := map[string]forgetest.Store{"dependabot": store, "codespaces": store, "agents": store}
	selected := forgetest.Policy{
		Actions: "selected", Allowed: "selected", Patterns: []string{"acme/*"}, GitHubOwned: true, SHAPinning: true, WriteToken: true, ForkSecrets: true,
		Access: "organization", Subject: []string{"repo", "job_workflow_ref"}, Immutable: true, RepositoryRunners: "none",
	}
	ruleset := forgetest.Ruleset{
		ID: 1, Name: "main", Include: []string{"~DEFAULT_BRANCH"}, Exclude: []string{"refs/heads/x"}, Rules: []string{"deletion", "non_fast_forward", "update"}, Reviews: 2,
		Bypass: []forgetest.Bypass{{ID: 5, Type: "RepositoryRole", Mode: "always"}},
	}
	comment := func(id int64) []forgetest.Comment { return []forgetest.Comment{{ID: id, Body: "said", User: "jane"}} }
	job := func(id int64) forgetest.Job {
		return forgetest.Job{ID: id, Name: "build / test", Steps: []forgetest.Step{{Name: "Set up job"}, {Name: "make", Log: "done\n"}}}
	}
	g := &forgetest.GitHub{
		Token: endpointToken, Login: "octocat", Enterprises: map[string][]string{"megacorp": {"acme", "octo"}},
		Advisories: []forgetest.Advisory{
			{ID: "GHSA-2222-3333-4444", Severity: "high", Summary: "leaks", Package: "acme/build", Range: "< 2.0.0", Fixed: "2.0.0"},
			{ID: "GHSA-2222-3333-5555", Severity: "low", Summary: "is gone", Package: "acme/gone", Range: "<= 1.0", Withdrawn: true},
			{ID: "GHSA-2222-3333-6666", Severity: "critical", Summary: "steals", Package: "acme/evil", Range: ">= 0", Malware: true},
		},
		Owners: []*forgetest.Owner{{
			Login: "acme", Secrets: store.Secrets, Variables: store.Variables, Stores: stores, Policy: selected, Properties: []string{"tier"},
			Runners: []forgetest.Runner{{Name: "one", OS: "linux", Labels: []string{"self-hosted"}}, {Name: "two", OS: "linux", Group: 2, Offline: true, Version: "2.300.0"}},
			Groups: []forgetest.RunnerGroup{
				{ID: 1, Name: "Default", Default: true},
				{ID: 2, Name: "deploy", Visibility: "selected", Repositories: []string{"acme/app"}, Workflows: []string{"acme/app/.github/workflows/x.yml@main"}},
			},
			Rulesets: []forgetest.Ruleset{{ID: 2, Name: "all", Enforcement: "evaluate"}},
			Hooks:    []forgetest.Hook{{ID: 3, URL: "https://hooks.example.com/x", Events: []string{"push"}}},
			Apps: []forgetest.App{
				{ID: 4, Slug: "renovate", Permissions: map[string]string{"contents": "write"}, Events: []string{"push"}, Selected: true},
				{ID: 5, Slug: "old", Suspended: day(1)},
			},
			Grants:  []forgetest.Grant{{ID: 6, Name: "ci", Owner: "jane", Repository: map[string]string{"contents": "write"}, Expires: day(400), LastUsed: day(1)}},
			Members: []string{"jane", "joe"}, Teams: []forgetest.Team{{Slug: "ops", Members: []string{"jane"}, Repositories: map[string]string{"acme/app": "push"}}},
		}, {Login: "octocat", User: true, Gists: []forgetest.Gist{
			{ID: "aa11", Description: "notes", Files: map[string]string{"a.txt": "a"}, Comments: comment(31)}, {ID: "bb22", Secret: true, Files: map[string]string{"b.txt": "b"}},
		}}},
		Repos: []*forgetest.GitHubRepo{{
			FullName: "acme/app", ID: 1, Private: true, Internal: true, Was: []string{"acme/old"}, Wiki: forgetest.Repository(t, forgetest.Commit{"Home.md": "hello\n"}),
			Dir:     forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\njobs: {}\n", "README": "hello\n"}),
			Secrets: store.Secrets, Variables: store.Variables, Stores: stores, Policy: &selected,
			Environments: []forgetest.Environment{
				{
					Name: "prod/eu", Secrets: store.Secrets, Variables: store.Variables, ReviewedBy: []string{"User:jane", "Team:ops"}, PreventSelfReview: true, NoBypass: true,
					Wait: 5, Branches: "selected", Policies: []forgetest.BranchPolicy{{Pattern: "main"}, {Pattern: "v*", Tag: true}}, Custom: []string{"gatekeeper"},
				},
				{Name: "stage", Branches: "protected", Reviewers: true}, {Name: "dev"},
			},
			Runners: []forgetest.Runner{{Name: "own", OS: "windows", Ephemeral: true}}, Rulesets: []forgetest.Ruleset{ruleset},
			Protected:     map[string]forgetest.Protection{"main": {Reviews: 1, Admins: true, Push: []string{"jane"}}},
			Keys:          []forgetest.DeployKey{{ID: 7, Title: "deploy", Write: true, LastUsed: day(2)}, {ID: 8, Title: "read", AddedBy: "jane"}},
			Hooks:         []forgetest.Hook{{ID: 9, URL: "http://hooks.example.com/y", Events: []string{"push"}, Secret: true, Insecure: true, Inactive: true}},
			Collaborators: []forgetest.Collaborator{{Login: "jane", Role: "admin"}, {Login: "joe", Role: "read"}},
			Runs: []forgetest.Run{
				{
					ID: 100, Number: 1, Path: ".github/workflows/ci.yml", Created: day(10), Attempts: []forgetest.Attempt{
						{Started: day(10), Jobs: []forgetest.Job{job(1000)}}, {Started: day(11), Jobs: []forgetest.Job{job(1001), job(1002)}},
					},
					Artifacts: []forgetest.Artifact{{ID: 50, Name: "dist", Files: map[string]string{"a": "b"}}, {ID: 51, Name: "old", Expired: true}},
				},
				{ID: 101, Number: 2, Path: ".github/workflows/ci.yml", Created: day(1), Gone: true, Fork: true, Event: "pull_request", Conclusion: "failure", Attempts: []forgetest.Attempt{{Jobs: []forgetest.Job{job(1003)}}}},
			},
			Caches: []forgetest.Cache{{ID: 60, Size: 12, Key: "go-1"}},
			Activities: []forgetest.Activity{
				{ID: 70, Type: "force_push", Ref: "refs/heads/main", Before: strings.Repeat("a", 40), After: strings.Repeat("b", 40)},
				{ID: 71, Type: "branch_creation", Ref: "refs/heads/x", Before: strings.Repeat("0", 40), After: strings.Repeat("c", 40)},
			},
			Issues: []forgetest.Issue{
				{Number: 2, Title: "add", Body: "please", Pull: true, Comments: comment(80), Reviews: comment(81), ReviewComments: comment(82)},
				{Number: 1, Title: "bug", Body: "broken", Closed: true, Comments: comment(83)},
			},
			CommitComments: []forgetest.Comment{{ID: 84, Body: "why?", Path: "README"}, {ID: 85, Body: "hm"}},
			Releases: []forgetest.Release{
				{ID: 90, Tag: "v1", Body: "first", Assets: []forgetest.Asset{{ID: 91, Name: "app.tar.gz", Content: []byte("x")}}}, {ID: 92, Tag: "v2", Draft: true},
			},
		}, {FullName: "octocat/own", ID: 2}},
	}
	g.StartBlobs(t)
	return g
}

// endpoints are all of the fake but those of an App, with the id that GitHub's description gives them. What stands behind a blank comes with other
// parameters or of another kind of thing.
var endpoints = map[string][]string{
	"users/get-authenticated":           {"/user"},
	"repos/list-for-authenticated-user": {"/user/repos?affiliation=owner"},
	"repos/list-for-user":               {"/users/octocat/repos"},
	"repos/list-for-org":                {"/orgs/acme/repos?type=all"},
	"orgs/get":                          {"/orgs/acme"},
	"repos/get":                         {"/repos/acme/app"},
	"rate-limit/get":                    {"/rate_limit"},
	"meta/get":                          {"/meta"},

	"security-advisories/list-global-advisories": {"/advisories?ecosystem=actions&per_page=1", "/advisories?ecosystem=actions&type=malware"},

	"actions/list-org-secrets":                      {"/orgs/acme/actions/secrets"},
	"actions/list-selected-repos-for-org-secret":    {"/orgs/acme/actions/secrets/S/repositories"},
	"actions/list-org-variables":                    {"/orgs/acme/actions/variables"},
	"actions/list-selected-repos-for-org-variable":  {"/orgs/acme/actions/variables/V/repositories"},
	"actions/list-repo-secrets":                     {"/repos/acme/app/actions/secrets"},
	"actions/list-repo-organization-secrets":        {"/repos/acme/app/actions/organization-secrets"},
	"actions/list-repo-variables":                   {"/repos/acme/app/actions/variables"},
	"actions/list-repo-organization-variables":      {"/repos/acme/app/actions/organization-variables"},
	"actions/list-environment-secrets":              {"/repos/acme/app/environments/prod%2Feu/secrets"},
	"actions/list-environment-variables":            {"/repos/acme/app/environments/prod%2Feu/variables"},
	"dependabot/list-org-secrets":                   {"/orgs/acme/dependabot/secrets"},
	"dependabot/list-selected-repos-for-org-secret": {"/orgs/acme/dependabot/secrets/S/repositories"},
	"dependabot/list-repo-secrets":                  {"/repos/acme/app/dependabot/secrets"},
	"codespaces/list-org-secrets":                   {"/orgs/acme/codespaces/secrets"},
	"codespaces/list-selected-repos-for-org-secret": {"/orgs/acme/codespaces/secrets/S/repositories"},
	"codespaces/list-repo-secrets":                  {"/repos/acme/app/codespaces/secrets"},
	"agents/list-org-secrets":                       {"/orgs/acme/agents/secrets"},
	"agents/list-selected-repos-for-org-secret":     {"/orgs/acme/agents/secrets/S/repositories"},
	"agents/list-org-variables":                     {"/orgs/acme/agents/variables"},
	"agents/list-selected-repos-for-org-variable":   {"/orgs/acme/agents/variables/V/repositories"},
	"agents/list-repo-secrets":                      {"/repos/acme/app/agents/secrets"},
	"agents/list-repo-organization-secrets":         {"/repos/acme/app/agents/organization-secrets"},
	"agents/list-repo-variables":                    {"/repos/acme/app/agents/variables"},
	"agents/list-repo-organization-variables":       {"/repos/acme/app/agents/organization-variables"},

	"repos/get-all-environments":                {"/repos/acme/app/environments"},
	"repos/list-deployment-branch-policies":     {"/repos/acme/app/environments/prod%2Feu/deployment-branch-policies"},
	"repos/get-all-deployment-protection-rules": {"/repos/acme/app/environments/prod%2Feu/deployment_protection_rules"},

	"actions/list-self-hosted-runners-for-org":                             {"/orgs/acme/actions/runners"},
	"actions/list-self-hosted-runners-for-repo":                            {"/repos/acme/app/actions/runners"},
	"actions/list-self-hosted-runner-groups-for-org":                       {"/orgs/acme/actions/runner-groups"},
	"actions/list-repo-access-to-self-hosted-runner-group-in-org":          {"/orgs/acme/actions/runner-groups/2/repositories"},
	"actions/list-self-hosted-runners-in-group-for-org":                    {"/orgs/acme/actions/runner-groups/1/runners", "/orgs/acme/actions/runner-groups/2/runners"},
	"actions/get-github-actions-permissions-organization":                  {"/orgs/acme/actions/permissions"},
	"actions/get-allowed-actions-organization":                             {"/orgs/acme/actions/permissions/selected-actions"},
	"actions/get-github-actions-default-workflow-permissions-organization": {"/orgs/acme/actions/permissions/workflow"},
	"actions/get-artifact-and-log-retention-settings-organization":         {"/orgs/acme/actions/permissions/artifact-and-log-retention"},
	"actions/get-fork-pr-contributor-approval-permissions-organization":    {"/orgs/acme/actions/permissions/fork-pr-contributor-approval"},
	"actions/get-private-repo-fork-pr-workflows-settings-organization":     {"/orgs/acme/actions/permissions/fork-pr-workflows-private-repos"},
	"actions/get-self-hosted-runners-permissions-organization":             {"/orgs/acme/actions/permissions/self-hosted-runners"},
	"actions/get-github-actions-permissions-repository":                    {"/repos/acme/app/actions/permissions", "/repos/octocat/own/actions/permissions"},
	"actions/get-allowed-actions-repository":                               {"/repos/acme/app/actions/permissions/selected-actions"},
	"actions/get-github-actions-default-workflow-permissions-repository":   {"/repos/acme/app/actions/permissions/workflow"},
	"actions/get-workflow-access-to-repository":                            {"/repos/acme/app/actions/permissions/access"},
	"actions/get-artifact-and-log-retention-settings-repository":           {"/repos/acme/app/actions/permissions/artifact-and-log-retention"},
	"actions/get-fork-pr-contributor-approval-permissions-repository":      {"/repos/acme/app/actions/permissions/fork-pr-contributor-approval"},
	"actions/get-private-repo-fork-pr-workflows-settings-repository":       {"/repos/acme/app/actions/permissions/fork-pr-workflows-private-repos"},
	"oidc/get-oidc-custom-sub-template-for-org":                            {"/orgs/acme/actions/oidc/customization/sub"},
	"oidc/list-oidc-custom-property-inclusions-for-org":                    {"/orgs/acme/actions/oidc/customization/properties/repo"},
	"actions/get-custom-oidc-sub-claim-for-repo":                           {"/repos/acme/app/actions/oidc/customization/sub", "/repos/octocat/own/actions/oidc/customization/sub"},

	"repos/get-repo-rulesets":     {"/repos/acme/app/rulesets?includes_parents=true"},
	"repos/get-repo-ruleset":      {"/repos/acme/app/rulesets/1", "/repos/acme/app/rulesets/2"},
	"repos/get-org-rulesets":      {"/orgs/acme/rulesets"},
	"git/get-tree":                {"/repos/acme/app/git/trees/HEAD", "/repos/acme/app/git/trees/HEAD?recursive=1"},
	"git/get-blob":                {"/repos/acme/app/git/blobs/" + helloBlob},
	"repos/get-content":           {"/repos/acme/app/contents/README?ref=main"},
	"repos/list-branches":         {"/repos/acme/app/branches", "/repos/acme/app/branches?protected=true"},
	"repos/get-branch-protection": {"/repos/acme/app/branches/main/protection"},
	"repos/list-deploy-keys":      {"/repos/acme/app/keys"},
	"repos/list-webhooks":         {"/repos/acme/app/hooks"},
	"orgs/list-webhooks":          {"/orgs/acme/hooks"},
	"orgs/list-pat-grants":        {"/orgs/acme/personal-access-tokens"},
	"orgs/list-app-installations": {"/orgs/acme/installations"},
	"repos/list-collaborators":    {"/repos/acme/app/collaborators"},
	"repos/list-teams":            {"/repos/acme/app/teams"},
	"orgs/list-members":           {"/orgs/acme/members"},
	"teams/list":                  {"/orgs/acme/teams"},
	"teams/list-members-in-org":   {"/orgs/acme/teams/ops/members"},
	"orgs/get-audit-log":          {"/orgs/acme/audit-log?phrase=action:org.x"},

	"actions/list-repo-workflows":                {"/repos/acme/app/actions/workflows"},
	"actions/list-workflow-runs-for-repo":        {"/repos/acme/app/actions/runs", "/repos/acme/app/actions/runs?created=2025-01-01..2025-03-09&event=pull_request"},
	"actions/get-workflow-run":                   {"/repos/acme/app/actions/runs/100"},
	"actions/get-workflow-run-attempt":           {"/repos/acme/app/actions/runs/100/attempts/1"},
	"actions/list-jobs-for-workflow-run":         {"/repos/acme/app/actions/runs/100/jobs?filter=all", "/repos/acme/app/actions/runs/101/jobs"},
	"actions/list-jobs-for-workflow-run-attempt": {"/repos/acme/app/actions/runs/100/attempts/2/jobs"},
	"actions/list-workflow-run-artifacts":        {"/repos/acme/app/actions/runs/100/artifacts"},
	"actions/list-artifacts-for-repo":            {"/repos/acme/app/actions/artifacts", "/repos/acme/app/actions/artifacts?name=dist"},
	"actions/get-actions-cache-list":             {"/repos/acme/app/actions/caches"},
	"repos/list-activities":                      {"/repos/acme/app/activity", "/repos/acme/app/activity?activity_type=force_push"},
	"activity/list-repo-events":                  {"/repos/acme/app/events"},
	"issues/list-for-repo":                       {"/repos/acme/app/issues?state=all"},
	"issues/list-comments-for-repo":              {"/repos/acme/app/issues/comments"},
	"issues/list-comments":                       {"/repos/acme/app/issues/1/comments"},
	"pulls/list":                                 {"/repos/acme/app/pulls?state=all"},
	"pulls/list-review-comments-for-repo":        {"/repos/acme/app/pulls/comments"},
	"pulls/list-review-comments":                 {"/repos/acme/app/pulls/2/comments"},
	"pulls/list-reviews":                         {"/repos/acme/app/pulls/2/reviews"},
	"repos/list-commit-comments-for-repo":        {"/repos/acme/app/comments"},
	"repos/list-releases":                        {"/repos/acme/app/releases"},
	"repos/list-release-assets":                  {"/repos/acme/app/releases/90/assets"},
	"repos/get-release-asset":                    {"/repos/acme/app/releases/assets/91"},
	"gists/list-for-user":                        {"/users/octocat/gists"},
	"gists/get":                                  {"/gists/bb22"},
	"gists/list-comments":                        {"/gists/aa11/comments"},
}

const helloBlob = "ce013625030ba8dba906f756967f9e9ca394464a" // "hello\n", as git names it

// redirects are those that lead to where contents lie, with what lies there.
var redirects = map[string][]string{
	"actions/download-workflow-run-logs":         {"/repos/acme/app/actions/runs/100/logs"},
	"actions/download-workflow-run-attempt-logs": {"/repos/acme/app/actions/runs/100/attempts/1/logs"},
	"actions/download-job-logs-for-workflow-run": {"/repos/acme/app/actions/jobs/1002/logs"},
	"actions/download-artifact":                  {"/repos/acme/app/actions/artifacts/50/zip"},
}

// notThere is what does not exist, or no longer.
var notThere = map[string]int{
	"/repos/acme/app/actions/runs/101/logs":            http.StatusGone,
	"/repos/acme/app/actions/runs/101/attempts/1/logs": http.StatusGone,
	"/repos/acme/app/actions/artifacts/51/zip":         http.StatusGone,
	"/repos/acme/app/actions/runs/100/attempts/3":      http.StatusNotFound,
	"/repos/acme/app/actions/runs/9/jobs":              http.StatusNotFound,
	"/repos/acme/app/environments/nowhere/secrets":     http.StatusNotFound,
	"/repos/acme/app/branches/other/protection":        http.StatusNotFound,
	"/repos/octocat/own/actions/permissions/access":    http.StatusNotFound,
	"/orgs/octocat/actions/secrets":                    http.StatusNotFound,
	"/repos/acme/nothing/actions/secrets":              http.StatusNotFound,
	"/repos/octocat/own/git/trees/HEAD":                http.StatusConflict,
	"/gists/cc33":                                      http.StatusNotFound,
	"/repos/acme/old/actions/secrets":                  http.StatusMovedPermanently,
	"/repos/acme/old":                                  http.StatusMovedPermanently,
}

// unknownToServer are operations that Enterprise Server 3.19 does not have.
func unknownToServer(operation string) bool {
	product, _, _ := strings.Cut(operation, "/")
	return product == "agents" || product == "codespaces" || operation == "oidc/list-oidc-custom-property-inclusions-for-org"
}

func TestGitHubEndpoints(t *testing.T) {
	for file, below := range map[string]string{"ghec.json": "", "ghes-3.19.json": "/api/v3"} {
		t.Run(file, func(t *testing.T) {
			doc := describedIn(t, file, below+"/")
			router, err := gorillamux.NewRouter(doc)
			if err != nil {
				t.Fatal(err)
			}
			fake := everyKind(t)
			if below != "" {
				fake.Version = "3.19.0"
			}
			testEndpoints(t, &checker{t: t, router: router, doc: doc, fake: fake, seen: map[string]int{}}, fake.Version != "", below)
		})
	}
}

func testEndpoints(t *testing.T, c *checker, server bool, below string) {
	url := forgetest.Start(t, c) + below
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(path string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+endpointToken)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for _, id := range slices.Sorted(maps.Keys(endpoints)) {
		if server && unknownToServer(id) {
			continue
		}
		for _, path := range endpoints[id] {
			before := c.seen[id]
			resp, body := ask(path)
			if resp.StatusCode != http.StatusOK || c.seen[id] == before {
				t.Errorf("%s: %s for %s: %s", path, resp.Status, id, body)
			}
			empty := body == "[]\n" || strings.Contains(body, `"total_count":0`)
			if empty && id != "orgs/get-audit-log" {
				t.Errorf("%s shows nothing: %s", path, body)
			}
		}
	}
	for id, paths := range redirects {
		for _, path := range paths {
			if resp, _ := ask(path); resp.StatusCode != http.StatusFound || c.seen[id] == 0 {
				t.Errorf("%s: %s for %s", path, resp.Status, id)
			}
		}
	}
	for path, want := range notThere {
		if resp, body := ask(path); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d: %s", path, resp.Status, want, body)
		}
	}
}

func TestSignedContents(t *testing.T) {
	g := everyKind(t)
	url := forgetest.Start(t, g)
	location := func(path, accept string) string {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		req.Header.Set("Authorization", "Bearer "+endpointToken)
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Header.Get("Location")
	}
	read := func(url, authorization string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		"/repos/acme/app/actions/runs/100/logs":            "PK",
		"/repos/acme/app/actions/runs/100/attempts/1/logs": "PK",
		"/repos/acme/app/actions/artifacts/50/zip":         "PK",
		"/repos/acme/app/actions/jobs/1000/logs":           "\ufeff2025-03-11T08:00:00.0000000Z Current runner version",
		"/repos/acme/app/releases/assets/91":               "x",
	} {
		to := location(path, "application/octet-stream")
		if to == "" || strings.HasPrefix(to, url) {
			t.Errorf("%s is sent to %q", path, to)
			continue
		}
		if status, body := read(to, ""); status != http.StatusOK || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %.80q", path, status, body)
		}
		if status, _ := read(to, "Bearer "+endpointToken); status != http.StatusBadRequest {
			t.Errorf("%s: %d with a token", path, status)
		}
		if status, _ := read(strings.Replace(to, "sig=", "sig=0", 1), ""); status != http.StatusForbidden {
			t.Errorf("%s: %d with another signature", path, status)
		}
	}
}

// What a token may not, GitHub says in one of several ways.
func TestGitHubRights(t *testing.T) {
	g := everyKind(t)
	g.Owners[0].Members = append(g.Owners[0].Members, "octocat")
	g.Installations = []forgetest.Installation{{ID: 7, Owner: "acme", Rights: []string{"organization_personal_access_tokens=read"}}}
	g.Tokens = map[string]forgetest.GitHubToken{
		"narrow":  {Login: "jane", Rights: []string{"secrets=read", "administration=write"}},
		"classic": {Login: "jane", Scopes: []string{"repo", "read:org"}},
		"nothing": {Login: "jane", Scopes: []string{}},
	}
	url := forgetest.Start(t, g)
	for _, test := range []struct {
		token, path string
		status      int
		accepted    string // rights or scopes
	}{
		{"narrow", "/repos/acme/app/actions/secrets", 200, ""},
		{"narrow", "/repos/acme/app/actions/permissions", 200, ""}, // to write includes to read
		{"narrow", "/repos/acme/app/actions/variables", 403, "actions_variables=read"},
		{"narrow", "/orgs/acme/actions/secrets", 403, "organization_secrets=read"},
		{"narrow", "/repos/acme/app/hooks", 404, ""},
		{"narrow", "/orgs/acme/personal-access-tokens", 403, "organization_personal_access_tokens=read"},
		{"classic", "/repos/acme/app/actions/secrets", 200, "repo"},
		{"classic", "/orgs/acme/actions/secrets", 403, "admin:org"},
		{"classic", "/orgs/acme/members", 200, "read:org"},
		{"classic", "/repos/acme/app/hooks", 404, "read:repo_hook"},
		{"nothing", "/repos/acme/app/actions/secrets", 404, "repo"},
		{forgetest.InstallationToken + "7", "/orgs/acme/personal-access-tokens", 200, ""},
		{forgetest.InstallationToken + "7", "/orgs/acme/actions/secrets", 403, "organization_secrets=read"},
		{"", "/repos/octocat/own/issues", 200, ""},
		{"", "/repos/octocat/own/actions/secrets", 404, ""},
		{"wrong", "/repos/acme/app", 401, ""},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+test.path, nil)
		if test.token != "" {
			req.Header.Set("Authorization", "Bearer "+test.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		accepted := resp.Header.Get("X-Accepted-GitHub-Permissions") + resp.Header.Get("X-Accepted-OAuth-Scopes")
		if resp.StatusCode != test.status || accepted != test.accepted {
			t.Errorf("%s with %s: %d, %q", test.path, fmt.Sprintf("%q", test.token), resp.StatusCode, accepted)
		}
		if strings.HasPrefix(test.token, "classic") != (resp.Header.Get("X-OAuth-Scopes") == "repo, read:org") {
			t.Errorf("%s with %q: scopes %q", test.path, test.token, resp.Header.Get("X-OAuth-Scopes"))
		}
	}
}
