package github

import (
	"context"
	"fmt"
	"iter"
	"net/url"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
)

// A store is what the jobs of one product are given: secrets, and some are given variables. Of the latter a repository also tells what its organisation
// has for it.
type store struct {
	name      string // as the API's paths and facts have it
	title     string // as what gaps say of it begins; "" for the one that is meant unless said otherwise
	variables bool

	// The rights it takes to read them, in a repository and in an organisation.
	toSecrets, toVariables, toOrgSecrets, toOrgVariables string
}

// page is where the web has what lies in the store.
func (s store) page(what string) string { return "settings/" + what + "/" + s.name }

// stores are those of GitHub. It does not document what the rights to the agents' are called.
var stores = []store{
	{
		name: "actions", variables: true, toSecrets: "secrets=read", toVariables: "actions_variables=read",
		toOrgSecrets: "organization_secrets=read", toOrgVariables: "organization_actions_variables=read",
	},
	{name: "dependabot", title: "Dependabot ", toSecrets: "dependabot_secrets=read", toOrgSecrets: "organization_dependabot_secrets=read"},  //nolint:gosec // names of rights
	{name: "codespaces", title: "Codespaces ", toSecrets: "codespaces_secrets=write", toOrgSecrets: "organization_codespaces_secrets=read"}, //nolint:gosec // likewise
	{name: "agents", title: "agents' ", variables: true},
}

func (h *place) variables(ctx context.Context, s store, scope, path, page string) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, path, "variables", variablePage, func(v *github.ActionsVariable) string { return v.Name })
	return through(all, func(v *github.ActionsVariable, yield func(audit.Item, error) bool) bool {
		facts := map[string]string{
			"created_at": stamp(v.CreatedAt.GetTime()), "updated_at": stamp(v.UpdatedAt.GetTime()), "store": s.name, "visibility": deref(v.Visibility),
		}
		return h.selected(ctx, scope+" variable "+v.Name, s.toOrgVariables, path, v.Name, facts, yield) && yield(audit.Item{
			Kind: audit.KindVariable, Size: int64(len(v.Value)), Content: []byte(v.Value),
			At: audit.Location{
				Target: h.target.Name, Kind: audit.InVariable, Name: v.Name, URL: h.settings(page), At: deref(v.UpdatedAt.GetTime()),
			},
			Entry: h.entry(audit.KindVariable, v.Name, scope, facts),
		}, nil)
	})
}

func (h *place) secrets(ctx context.Context, s store, scope, path, page string) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, path, "secrets", otherPage, func(s *github.Secret) string { return s.Name })
	return through(all, func(v *github.Secret, yield func(audit.Item, error) bool) bool {
		facts := map[string]string{"created_at": stamp(&v.CreatedAt.Time), "updated_at": stamp(&v.UpdatedAt.Time), "store": s.name, "visibility": v.Visibility}
		return h.selected(ctx, scope+" secret "+v.Name, s.toOrgSecrets, path, v.Name, facts, yield) && yield(audit.Item{
			Kind: audit.KindSecret,
			At: audit.Location{
				Target: h.target.Name, Kind: audit.InSecret, Name: v.Name, URL: h.settings(page), At: v.UpdatedAt.Time,
			},
			Entry: h.entry(audit.KindSecret, v.Name, scope, facts),
		}, nil)
	})
}

// selected adds to the facts of one of an organisation's secrets or variables which repositories it is for, if it is for chosen ones. It tells whether to go on.
func (h *place) selected(ctx context.Context, what, needs, path, name string, facts map[string]string, yield func(audit.Item, error) bool) bool {
	if h.repo != "" || facts["visibility"] != "selected" { // seen from a repository, it is for that
		return true
	}
	if unfit(name) {
		return yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: fmt.Sprintf("repositories of %q", what), Why: "the name cannot be put into an address"})
	}
	names, err := h.repositories(ctx, path+"/"+url.PathEscape(name)+"/repositories", "repositories")
	if err != nil {
		return yield(audit.Item{}, h.gap("repositories of "+what, needs, err))
	}
	facts["repositories"] = chosen(names)
	return true
}
