package gitlab

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A right is what one part of a scan takes: a role of the token's user or bot, as docs.gitlab.com/user/permissions names it. Every token needs
// the scopes read_api, and for git read_repository.
type right struct {
	what    string // as gaps name it
	of      audit.TargetKind
	sources audit.Sources
	role    string
	path    string // of a request that takes it, below that of the target
	public  bool   // everybody has it where the project is public
	newer   bool   // older servers, or those without a licence, do not offer it
}

// rights are those of all that a scan reads, by the kind of target that has it.
func rights() []right {
	const (
		instance = audit.TargetInstance
		group    = audit.TargetGroup
		project  = audit.TargetRepository
	)
	return []right{
		{what: "instance variables", of: instance, sources: audit.SourceVariables, role: administrator, path: "admin/ci/variables"},
		{what: "instance webhooks, keys, tokens", of: instance, sources: audit.SourceSettings, role: administrator, path: "hooks"},
		{what: "instance runners", of: instance, sources: audit.SourceRunners, role: administrator, path: "runners/all"},
		{what: "group variables", of: group, sources: audit.SourceVariables, role: owner, path: "/variables"},
		{what: "group access tokens", of: group, sources: audit.SourceSettings, role: owner, path: "/access_tokens"},
		{what: "group deploy tokens, protected environments", of: group, sources: audit.SourceSettings, role: maintainer, path: "/deploy_tokens"},
		{what: "group webhooks", of: group, sources: audit.SourceSettings, role: owner, path: "/hooks", newer: true},
		{what: "group runners", of: group, sources: audit.SourceRunners, role: maintainer, path: "/runners"},
		{what: "project", of: project, role: guest, public: true},
		{what: "project variables, inherited ones", of: project, sources: audit.SourceVariables, role: maintainer, path: "/variables"},
		{what: "project schedules", of: project, sources: audit.SourceVariables | audit.SourceSettings, role: developer, path: "/pipeline_schedules"},
		{what: "project secure files", of: project, sources: audit.SourceSecrets, role: developer, path: "/secure_files"},
		{what: "project keys, webhooks, tokens, protected refs", of: project, sources: audit.SourceSettings, role: maintainer, path: "/hooks"},
		{what: "project members", of: project, sources: audit.SourceSettings, role: guest, path: "/members/all", public: true},
		{what: "project environments", of: project, sources: audit.SourceSettings, role: reporter, path: "/environments"},
		{what: "project runners", of: project, sources: audit.SourceRunners, role: maintainer, path: "/runners"},
		{what: "pipeline definition", of: project, sources: audit.SourceWorkflows, role: developer, path: "/ci/lint", newer: true},
		{what: "job traces and artifacts", of: project, sources: forge.Runs, role: developer, path: "/jobs", public: true},
		{what: "issues, merge requests, their notes", of: project, sources: audit.SourceIssues, role: reporter, path: "/merge_requests", public: true},
		{what: "wiki", of: project, sources: audit.SourceWikis, role: guest, path: "/wikis", public: true, newer: true},
		{what: "releases", of: project, sources: audit.SourceReleases, role: guest, path: "/releases", public: true},
		{what: "snippets", of: project, sources: audit.SourceGists, role: guest, path: "/snippets", public: true, newer: true},
		{what: "container registry", of: project, sources: audit.SourcePackages, role: reporter, path: "/registry/repositories", public: true, newer: true},
		{what: "package registry", of: project, sources: audit.SourcePackages, role: reporter, path: "/packages", public: true, newer: true},
	}
}

// scopes are those that a scan takes.
var scopes = []string{"read_api", "read_repository"}

// excessive are scopes that no scan takes.
func excessive(granted []string) (all []audit.Check) {
	for _, scope := range granted {
		if slices.Contains(scopes, scope) || slices.Contains([]string{"read_user", "self_rotate"}, scope) { // the first is part of read_api, the second harms the token alone
			continue
		}
		c := audit.Check{For: "excess", Needs: "scope " + scope, State: audit.Excess, Evidence: "no scan needs it", Fix: "make a token with " + strings.Join(scopes, " and ")}
		if scope == "api" {
			c.Evidence = "it may write; read_api is enough"
		}
		all = append(all, c)
	}
	return all
}

// lacking are scopes that a scan takes, and are not there.
func lacking(granted []string) (all []audit.Check) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(s string) bool { return slices.Contains(granted, s) })
	}
	add := func(sources audit.Sources, scope, evidence string, there bool) {
		c := audit.Check{For: "scope", Sources: sources, Needs: "scope " + scope, State: audit.Granted, Evidence: "scopes " + strings.Join(granted, ", ")}
		if !there {
			c.State, c.Evidence, c.Fix = audit.Missing, evidence, "make a token with "+strings.Join(scopes, " and ")
		}
		all = append(all, c)
	}
	add(0, scopes[0], "without it the API is closed", has("read_api", "api"))
	add(forge.Contents|audit.SourceWikis, scopes[1], "without it git is closed to the token", has("read_repository", "write_repository", "api"))
	return all
}
