package gitlab

import (
	"context"
	"iter"

	"github.com/leakreach/leakreach/audit"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		yield(audit.Item{}, &audit.Gap{Target: t.Name, What: "git history", Why: "not read"})
	}
}
