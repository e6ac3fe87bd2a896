package github

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	how := forge.Clone{
		Address: t.Attrs["clone_url"], Username: "x-access-token", Since: p.opts.Since, Newest: !p.opts.History, AllRefs: p.opts.AllRefs, Sleep: p.opts.sleep,
		Past: t.Past, Listed: t.State,
		Blobs: t.URL + "/blob/", Commits: t.URL + "/commit/",
	}
	if c.token != nil {
		token, err := c.token(ctx)
		if err != nil {
			return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
		}
		how.Token = token
	}
	return forge.History(ctx, p.env, t.Name, how)
}
