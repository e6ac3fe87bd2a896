package gitlab

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	user := "oauth2"
	if c.job {
		user = "gitlab-ci-token"
	}
	return forge.History(ctx, p.env, t.Name, forge.Clone{
		Address: t.Attrs["clone_url"], Username: user, Token: c.token, Since: p.opts.Since, Newest: !p.opts.History, AllRefs: p.opts.AllRefs, Sleep: p.opts.sleep,
		Past: t.Past, Listed: t.State,
		Blobs: t.URL + "/-/blob/", Commits: t.URL + "/-/commit/",
	})
}
