// Package providers is the list of all places that secrets and weaknesses are looked for in.
package providers

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/components"
	"github.com/leakreach/leakreach/providers/gitea"
	"github.com/leakreach/leakreach/providers/github"
	"github.com/leakreach/leakreach/providers/gitlab"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/job"
	"github.com/leakreach/leakreach/providers/local"
)

// Options say what of a target is read.
type Options struct {
	Sources   audit.Sources
	NoIgnores bool   // read files that an ignore file of the user names
	Since     string // a commit or a date: leave out history before it
	AllRefs   bool   // of forges: also the refs of pull and merge requests
	// Of GitLab: also projects that are shared with a group.
	Shared bool
	// Of an owner on GitHub or a group on GitLab: none that are archived; of GitHub, no forks.
	NoArchived, NoForks bool
	// Percent of an API's quota that is ours; 0 for the default.
	GitHubBudget, GitLabBudget int
}

// All makes every provider. The first one reads refs without a scheme.
func All(env audit.Env, o Options) []audit.Provider {
	return []audit.Provider{
		local.New(env, local.Options{NoHistory: !o.Sources.Has(audit.SourceHistory), NoIgnores: o.NoIgnores, Since: o.Since}),
		onGitHub(env, o),
		onGitLab(env, o),
		onGitea(env, o),
		job.New(env, job.Options{Sources: o.Sources}),
	}
}

func onGitHub(env audit.Env, o Options) *github.Provider {
	return github.New(env, github.Options{
		Sources: o.Sources, Since: o.Since, AllRefs: o.AllRefs, NoArchived: o.NoArchived, NoForks: o.NoForks, Budget: o.GitHubBudget,
	})
}

func onGitLab(env audit.Env, o Options) *gitlab.Provider {
	return gitlab.New(env, gitlab.Options{
		Sources: o.Sources, Since: o.Since, AllRefs: o.AllRefs, Shared: o.Shared, Current: o.NoArchived, Budget: o.GitLabBudget,
	})
}

func onGitea(env audit.Env, o Options) *gitea.Provider {
	return gitea.New(env, gitea.Options{Sources: o.Sources, Since: o.Since, AllRefs: o.AllRefs})
}

// DefaultOnline is how many requests Components sends where nobody says.
const DefaultOnline = components.DefaultBudget

// Components makes what asks about other people's code that pipelines name, with the credentials of the forges that they are on. budget is how many requests
// it may send; 0 is DefaultOnline.
func Components(env audit.Env, o Options, budget int) (audit.Resolver, error) {
	hub, lab, tea := onGitHub(env, o), onGitLab(env, o), onGitea(env, o)
	return components.New(env, components.Options{
		Budget: budget, Advisories: hub.Advisories,
		Servers: map[string]func() (forge.Server, error){"github": hub.Server, "gitlab": lab.Server, "gitea": tea.Actions, components.GiteasOwn: tea.Server},
	})
}
