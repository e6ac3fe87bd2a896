package components

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// listing is GitHub's advisories of actions, as they are kept.
type listing struct {
	Listed time.Time
	Of     map[string][]resolve.Advisory
}

// listingFreshness is how long they are taken for today's: some ten are published in a month.
const listingFreshness = time.Hour

// isGitHubs tells whether GitHub's advisories speak of a server's repositories: those of actions that GitHub runs, and of the same repositories where others run
// them.
func isGitHubs(source string, s forge.Server) bool {
	return source == "github" || s.Origin.Scheme+"://"+s.Origin.Host == "https://github.com"
}

// advise lists the advisories of actions, once, if there is a component that they can be of. What stands in the way is a gap.
func (r *Resolver) advise(ctx context.Context, wants []*want) *audit.Gap {
	i := slices.IndexFunc(wants, func(w *want) bool {
		s, err := r.serverOf(w)
		return err == nil && isGitHubs(w.Source, s)
	})
	if i < 0 || r.opts.Advisories == nil {
		return nil
	}
	const name = "advisories of actions"
	var have listing
	if r.kept.dir != "" {
		if err := read(r.kept.file(name), &have); err == nil && fresh(have.Listed, r.env.Now(), listingFreshness) {
			r.advisories = have.Of
			return nil
		}
	}
	all, err := r.opts.Advisories(ctx, r.spend)
	if err != nil {
		gap := forge.Gap(wants[i].target, name, forge.Plain(err))
		if r.left.Load() < 0 {
			gap.Why = errBudget.Error()
		}
		return gap
	}
	r.advisories = all
	if r.kept.dir != "" {
		if err := r.kept.write(r.kept.file(name), listing{r.env.Now(), all}); err != nil {
			r.env.Log.Debug("advisories are not kept", "error", err)
		}
	}
	return nil
}

// advised adds to a component what advisories say of it. Of those that we have a record of, that says more: versions that were moved tell nothing. It returns
// what cannot be told.
func (r *Resolver) advised(m *resolve.Meaning, s forge.Server) (gap string) {
	if !isGitHubs(m.Source, s) {
		return ""
	}
	names := []string{strings.ToLower(m.Repository)}
	if m.Path != "" {
		names = append(names, strings.ToLower(m.Repository+"/"+m.Path))
	}
	var unsure []string
	for _, name := range names {
		for _, a := range r.advisories[name] {
			if r.feed.Has(a.ID) {
				continue
			}
			m.Advisories = append(m.Advisories, a)
			if _, known := a.Affects(m.Version()); !known {
				unsure = append(unsure, a.ID)
			}
		}
	}
	if len(unsure) == 0 {
		return ""
	}
	return fmt.Sprintf("no tag of its commit tells which version it is, and there are advisories of some: %s", strings.Join(unsure[:min(len(unsure), 10)], ", "))
}
