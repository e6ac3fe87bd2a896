package gitlab

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the project's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Attrs["repository"] == "disabled" {
		return func(yield func(audit.Item, error) bool) {
			yield(audit.Item{}, &audit.Gap{Target: t.Name, What: "git history", Why: "the project's repository is switched off"})
		}
	}
	how, err := p.clone(ctx, c, t)
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
	}
	return forge.History(ctx, p.env, t.Name, how)
}

// Objects implements [audit.Reader].
func (p *Provider) Objects(ctx context.Context, t audit.Target, ids []string) iter.Seq2[audit.Item, error] {
	c, err := p.connect()
	var how forge.Clone
	if err == nil {
		how, err = p.clone(ctx, c, t)
	}
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, err) }
	}
	return forge.Objects(ctx, p.env, how, ids)
}

// gitUser is whom git's server wants to have named beside the token.
func (c *client) gitUser() string {
	if c.job {
		return "gitlab-ci-token"
	}
	return "oauth2"
}

// clone says how the project is fetched.
func (p *Provider) clone(ctx context.Context, c *client, t audit.Target) (forge.Clone, error) {
	token, err := forge.TokenThatSees(ctx, c.tokens, func(ctx context.Context) error {
		_, err := c.get(ctx, newPlace(c, t).path, nil, "", nil)
		return err
	})
	return forge.Clone{
		Address: t.Attrs["clone_url"], Username: c.gitUser(), Token: token, Since: p.opts.Since, Newest: !p.opts.Sources.Has(audit.SourceHistory), AllRefs: p.opts.AllRefs,
		Blobs: t.URL + "/-/blob/", Commits: t.URL + "/-/commit/", Sleep: p.opts.sleep, Past: t.Past, Listed: t.State,
	}, err
}
