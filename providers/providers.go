// Package providers is the list of all places that secrets and weaknesses are looked for in.
package providers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/gitea"
	"github.com/leakreach/leakreach/providers/github"
	"github.com/leakreach/leakreach/providers/gitlab"
	"github.com/leakreach/leakreach/providers/local"
)

// Sources are the parts of a target that can be read. Each provider takes of them what it knows.
type Sources struct{ History, Files, Variables, Secrets, Settings, Runners bool }

// ParseSources reads a comma-separated list of sources. "" and "all" are all that this version reads.
func ParseSources(list string) (Sources, error) {
	if list == "" || list == "all" {
		return Sources{true, true, true, true, true, true}, nil
	}
	var s Sources
	fields := map[string]*bool{"history": &s.History, "files": &s.Files, "variables": &s.Variables, "secrets": &s.Secrets, "settings": &s.Settings, "runners": &s.Runners}
	for name := range strings.SplitSeq(list, ",") {
		field := fields[strings.TrimSpace(name)]
		if field == nil {
			return s, fmt.Errorf("no source %q; there are %s", name, strings.Join(Names(), ","))
		}
		*field = true
	}
	return s, nil
}

// Names are those that ParseSources knows.
func Names() []string {
	return slices.Clone([]string{"history", "files", "variables", "secrets", "settings", "runners"})
}

// Options say what of a target is read.
type Options struct {
	Sources
	NoIgnores bool   // read files that an ignore file of the user names
	Since     string // a commit or a date: leave out history before it
	AllRefs   bool   // of forges: also the refs of pull and merge requests
	// Percent of an API's quota that is ours; 0 for the default.
	GitHubBudget, GitLabBudget int
}

// All makes every provider. The first one reads refs without a scheme.
func All(env audit.Env, o Options) []audit.Provider {
	return []audit.Provider{
		local.New(env, local.Options{NoHistory: !o.History, NoIgnores: o.NoIgnores, Since: o.Since}),
		github.New(env, github.Options{
			History: o.History, Files: o.Files, Variables: o.Variables, Secrets: o.Secrets, Settings: o.Settings, Runners: o.Runners, Since: o.Since, AllRefs: o.AllRefs,
			Budget: o.GitHubBudget,
		}),
		gitlab.New(env, gitlab.Options{
			History: o.History, Files: o.Files, Variables: o.Variables, Settings: o.Settings, Runners: o.Runners, Since: o.Since, AllRefs: o.AllRefs,
			Budget: o.GitLabBudget,
		}),
		gitea.New(env, gitea.Options{
			History: o.History, Files: o.Files, Variables: o.Variables, Secrets: o.Secrets, Runners: o.Runners, Since: o.Since, AllRefs: o.AllRefs,
		}),
	}
}
