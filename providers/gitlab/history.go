package gitlab

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	if t.Attrs["repository"] == "disabled" {
		return func(yield func(audit.Item, error) bool) {
			yield(audit.Item{}, &audit.Gap{Target: t.Name, What: "git history", Why: "the project's repository is switched off"})
		}
	}
	user := "oauth2"
	if c.job {
		user = "gitlab-ci-token"
	}
	token, err := forge.TokenThatSees(ctx, c.tokens, func(ctx context.Context) error {
		_, err := c.get(ctx, newPlace(c, t).path, nil, "", nil)
		return err
	})
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
	}
	return forge.History(ctx, p.env, t.Name, forge.Clone{
		Address: t.Attrs["clone_url"], Username: user, Token: token, Since: p.opts.Since, Newest: !p.opts.History, AllRefs: p.opts.AllRefs,
		Blobs: t.URL + "/-/blob/", Commits: t.URL + "/-/commit/", Sleep: p.opts.sleep,
		Past: t.Past, Listed: t.State,
	})
}
