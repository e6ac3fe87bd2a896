package github

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
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

// clone says how the repository is fetched.
func (p *Provider) clone(ctx context.Context, c *client, t audit.Target) (forge.Clone, error) {
	token, err := c.cloneToken(ctx, t.Attrs["owner"], t.Attrs["repo"])
	return forge.Clone{
		Address: t.Attrs["clone_url"], Username: "x-access-token", Token: token, Since: p.opts.Since, Newest: !p.opts.Sources.Has(audit.SourceHistory), AllRefs: p.opts.AllRefs,
		Blobs: t.URL + "/blob/", Commits: t.URL + "/commit/", Sleep: p.opts.sleep, Past: t.Past, Listed: t.State,
	}, err
}
