package github

import (
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A part is one kind of thing that a scan reads, with the least right that it takes.
type part struct {
	what    string        // as docs/github.md names it
	sources audit.Sources // those that read it; 0 for all
	right   string        // of a GitHub App or a fine-grained token, as X-Accepted-GitHub-Permissions has it; "" if there is none
	classic string        // scope of a classic token; "" if there is none
	job     bool          // a workflow's own token can have it
	public  bool          // everybody has it where the repository is public
	app     bool          // GitHub tells it to Apps alone
	newer   bool          // not every server and plan has it
	path    string        // of a request that takes it; "" if it is not tried
}

// parts are all that a scan reads, in the order of what has it. Rights are those of GitHub's lists of permissions for API version 2026-03-10, scopes
// those of its OpenAPI description.
func parts() []part {
	const (
		org  = "orgs/{owner}"
		repo = "repos/{owner}/{repo}"
		env  = repo + "/environments/{environment}"

		variables, secrets, settings, runners = audit.SourceVariables, audit.SourceSecrets, audit.SourceSettings, audit.SourceRunners
	)
	return []part{
		{what: "organisations of an enterprise", classic: "read:enterprise"},
		{what: "organisation variables", sources: variables, right: "organization_actions_variables=read", classic: "admin:org", path: org + "/actions/variables"},
		{what: "organisation secrets", sources: secrets, right: "organization_secrets=read", classic: "admin:org", path: org + "/actions/secrets"},
		{what: "organisation Dependabot secrets", sources: secrets, right: "organization_dependabot_secrets=read", classic: "admin:org", path: org + "/dependabot/secrets"},
		{what: "organisation Codespaces secrets", sources: secrets, right: "organization_codespaces_secrets=read", classic: "admin:org", newer: true, path: org + "/codespaces/secrets"},
		{what: "organisation agents' variables", sources: variables, right: "organization_agent_variables=read", classic: "admin:org", newer: true, path: org + "/agents/variables"},
		{what: "organisation agents' secrets", sources: secrets, right: "organization_agent_secrets=read", classic: "admin:org", newer: true, path: org + "/agents/secrets"},
		{what: "organisation runners and their groups", sources: runners, right: "organization_self_hosted_runners=read", classic: "admin:org", path: org + "/actions/runners"},
		{what: "organisation settings, installed apps", sources: settings, right: "organization_administration=read", classic: "admin:org", path: org + "/actions/permissions"},
		{what: "organisation webhooks", sources: settings, right: "organization_hooks=read", classic: "admin:org_hook", path: org + "/hooks"},
		{what: "members who hide that they are, for their gists", sources: audit.SourceGists, right: "members=read", classic: "read:org"},
		{what: "packages, by name", sources: audit.SourcePackages, classic: "read:packages", path: org + "/packages?package_type=container"},
		{what: "fine-grained tokens that may enter", sources: settings, right: "organization_personal_access_tokens=read", app: true, newer: true, path: org + "/personal-access-tokens"},

		{what: "repositories", right: "metadata=read", classic: "repo", job: true, public: true, path: repo},
		{
			what: "git history, files, definitions of pipelines, wikis", sources: forge.Contents | audit.SourceWorkflows | audit.SourceWikis,
			right: "contents=read", classic: "repo", job: true, public: true, path: repo + "/git/trees/HEAD",
		},
		{what: "repository variables", sources: variables, right: "actions_variables=read", classic: "repo", path: repo + "/actions/variables"},
		{what: "repository secrets", sources: secrets, right: "secrets=read", classic: "repo", path: repo + "/actions/secrets"},
		{what: "repository Dependabot secrets", sources: secrets, right: "dependabot_secrets=read", classic: "repo", path: repo + "/dependabot/secrets"},
		{what: "repository Codespaces secrets", sources: secrets, right: "codespaces_secrets=write", classic: "repo", newer: true, path: repo + "/codespaces/secrets"},
		{what: "repository agents' variables", sources: variables, right: "agent_variables=read", classic: "repo", newer: true, path: repo + "/agents/variables"},
		{what: "repository agents' secrets", sources: secrets, right: "agent_secrets=read", classic: "repo", newer: true, path: repo + "/agents/secrets"},
		{what: "environments", sources: settings | variables | secrets, right: "actions=read", classic: "repo", job: true, public: true, path: repo + "/environments"},
		{what: "variables of environments", sources: variables, right: "environments=read", classic: "repo", path: env + "/variables"},
		{what: "secrets of environments", sources: secrets, right: "environments=read", classic: "repo", path: env + "/secrets"},
		{what: "repository settings, deploy keys, protection", sources: settings, right: "administration=read", classic: "repo", path: repo + "/keys"},
		{what: "who may push, by name and team", sources: settings, right: "members=read", classic: "repo", path: repo + "/collaborators"},
		{what: "repository runners", sources: runners, right: "administration=read", classic: "repo", path: repo + "/actions/runners"},
		{what: "repository webhooks", sources: settings, right: "repository_hooks=read", classic: "repo", path: repo + "/hooks"},
		{what: "logs of runs, artifacts, caches", sources: forge.Runs | audit.SourceCaches, right: "actions=read", classic: "repo", job: true, public: true, path: repo + "/actions/runs"},
		{what: "issues and their comments", sources: audit.SourceIssues, right: "issues=read", classic: "repo", job: true, public: true, path: repo + "/issues"},
		{what: "pull requests, reviews, comments", sources: audit.SourceIssues, right: "pull_requests=read", classic: "repo", job: true, public: true, path: repo + "/pulls/comments"},
		{what: "releases and their files", sources: audit.SourceReleases, right: "contents=read", classic: "repo", job: true, public: true, path: repo + "/releases"},
	}
}

// manifest are the rights that an App or a token is to have: all of them that only read.
func manifest() map[string]string {
	rights := map[string]string{}
	for _, p := range parts() {
		if key, level, _ := strings.Cut(p.right, "="); level == "read" {
			rights[key] = level
		}
	}
	return rights
}

// title is a right as the settings pages call it: "Secrets: read", or with what it is of, if that is an organisation.
func title(right string) string {
	key, level, _ := strings.Cut(right, "=")
	name, org := strings.CutPrefix(key, "organization_")
	switch name {
	case "actions_variables":
		name = "variables"
	case "repository_hooks", "hooks":
		name = "webhooks"
	case "self_hosted_runners":
		name = "self-hosted_runners"
	case "":
		return right
	}
	name = strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " ")
	if level != "" {
		name += ": " + level
	}
	if org || key == "members" {
		name += " (organisation)"
	}
	return name
}

// needs says what a part takes, for each kind of credential.
func (p part) needs() string {
	switch {
	case p.app:
		return title(p.right) + ", of an App"
	case p.right == "" && p.classic != "":
		return "a classic token with scope " + p.classic
	case p.classic == "":
		return title(p.right)
	}
	return title(p.right) + ", or scope " + p.classic
}

// levels orders what a right may allow.
var levels = []string{"read", "write", "admin"}

// excessive tells which of some rights no scan takes, or which allow more than it takes.
func excessive(granted map[string]string) (all []audit.Check) {
	needed := map[string]string{}
	for _, p := range parts() {
		key, level, _ := strings.Cut(p.right, "=")
		if slices.Index(levels, level) >= slices.Index(levels, needed[key]) {
			needed[key] = level
		}
	}
	for _, key := range slices.Sorted(maps.Keys(granted)) {
		level := granted[key]
		c := audit.Check{Needs: title(key + "=" + level), State: audit.Excess, Evidence: "granted to the App; no scan needs it", Fix: "take it away in the App's settings"}
		switch most, known := needed[key]; {
		case !known:
		case slices.Index(levels, level) > slices.Index(levels, most):
			c.Evidence, c.Fix = "granted to the App; a scan needs "+most, "set it to "+most+" in the App's settings"
		default:
			continue
		}
		all = append(all, c)
	}
	return all
}

// within are scopes that others bring along.
var within = map[string][]string{
	"repo":      {"public_repo", "repo:status", "repo_deployment", "repo:invite", "security_events"},
	"admin:org": {"write:org", "read:org", "manage_runners:org"},
}

// excessiveScopes tells which scopes of a classic token no scan takes.
func excessiveScopes(granted []string) (all []audit.Check) {
	needed := map[string]bool{"": true}
	for _, p := range parts() {
		needed[p.classic] = true
		for _, narrower := range within[p.classic] {
			needed[narrower] = true
		}
	}
	writes := false
	for _, scope := range granted {
		if !needed[scope] {
			all = append(all, audit.Check{Needs: "scope " + scope, State: audit.Excess, Evidence: "granted to the token; no scan needs it", Fix: "take it away from the token"})
		}
		writes = writes || needed[scope] && scope != "" && !strings.HasPrefix(scope, "read:")
	}
	if writes {
		all = append(all, audit.Check{
			Needs: "rights to write", State: audit.Excess, Evidence: "scopes such as repo and admin:org always write, too; a scan only reads",
			Fix: "use a GitHub App or a fine-grained token, which can be limited to reading",
		})
	}
	return all
}

// holds tells whether some scopes include one.
func holds(granted []string, scope string) bool {
	return slices.ContainsFunc(granted, func(s string) bool { return s == scope || slices.Contains(within[s], scope) })
}
