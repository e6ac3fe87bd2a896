package github

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	token, err := c.cloneToken(ctx, t.Attrs["owner"], t.Attrs["repo"])
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
	}
	return forge.History(ctx, p.env, t.Name, forge.Clone{
		Address: t.Attrs["clone_url"], Username: "x-access-token", Token: token, Since: p.opts.Since, Newest: !p.opts.History, AllRefs: p.opts.AllRefs,
		Blobs: t.URL + "/blob/", Commits: t.URL + "/commit/", Sleep: p.opts.sleep,
		Past: t.Past, Listed: t.State,
	})
}
