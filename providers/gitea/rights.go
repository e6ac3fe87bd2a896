package gitea

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A right is what one part of a scan takes: a scope of the token, and a role of its user.
type right struct {
	what    string // as gaps name it
	of      audit.TargetKind
	sources audit.Sources
	scope   string
	role    string // "" for anybody who sees what it is of
	path    string // of a request that takes it: below that of the target, or without a slash in front before the owner's name
	newer   bool   // older servers do not offer it
}

// rights are those of all that a scan reads, by the kind of target that has it.
func rights() []right {
	const (
		instance     = audit.TargetInstance
		organisation = audit.TargetOrganisation
		user         = audit.TargetUser
		repository   = audit.TargetRepository
	)
	const owner, administrator = "an owner", "an administrator of the repository"
	return []right{
		{what: "instance webhooks, runners", of: instance, sources: audit.SourceSettings | audit.SourceRunners, scope: "read:admin", role: "an administrator of the server", path: "/hooks"},
		{what: "organisation", of: organisation, scope: "read:organization"},
		{what: "organisation variables", of: organisation, sources: audit.SourceVariables, scope: "read:organization", role: owner, path: "/actions/variables"},
		{what: "organisation secrets", of: organisation, sources: audit.SourceSecrets, scope: "read:organization", role: owner, path: "/actions/secrets"},
		{what: "organisation runners", of: organisation, sources: audit.SourceRunners, scope: "read:organization", role: owner, path: "/actions/runners", newer: true},
		{what: "organisation webhooks", of: organisation, sources: audit.SourceSettings, scope: "read:organization", role: owner, path: "/hooks"},
		{what: "packages of the organisation", of: organisation, sources: audit.SourcePackages, scope: "read:package", path: "packages/", newer: true},
		{what: "packages of the user", of: user, sources: audit.SourcePackages, scope: "read:package", path: "packages/", newer: true},
		{what: "user variables", of: user, sources: audit.SourceVariables, scope: "read:user", role: "the user", path: "/actions/variables"},
		{what: "user runners", of: user, sources: audit.SourceRunners, scope: "read:user", role: "the user", path: "/actions/runners", newer: true},
		{what: "repositories, git, workflows", of: repository, sources: forge.Contents | audit.SourceWorkflows | audit.SourceWikis, scope: "read:repository"},
		{what: "repository variables", of: repository, sources: audit.SourceVariables, scope: "read:repository", role: owner, path: "/actions/variables"},
		{what: "repository secrets", of: repository, sources: audit.SourceSecrets, scope: "read:repository", role: owner, path: "/actions/secrets"},
		{what: "repository runners", of: repository, sources: audit.SourceRunners, scope: "read:repository", role: owner, path: "/actions/runners", newer: true},
		{what: "protections, deploy keys, webhooks", of: repository, sources: audit.SourceSettings, scope: "read:repository", role: administrator, path: "/hooks"},
		{what: "logs and artifacts of runs", of: repository, sources: forge.Runs, scope: "read:repository", path: "/actions/tasks", newer: true},
		{what: "issues and their comments", of: repository, sources: audit.SourceIssues, scope: "read:issue", path: "/issues/comments"},
		{what: "releases", of: repository, sources: audit.SourceReleases, scope: "read:repository", path: "/releases"},
	}
}

// needs says what a right takes.
func (r right) needs() string {
	if r.role == "" {
		return "scope " + r.scope
	}
	return "scope " + r.scope + ", of " + r.role
}
