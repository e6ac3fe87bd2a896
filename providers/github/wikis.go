package github

import (
	"context"
	"iter"
	"maps"
	"net/url"
	"path"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
)

// A wiki is a git repository beside the one that it belongs to, at OWNER/REPO.wiki.git, and is read with the same rights. It is a target of its own, as
// its history has a state of its own.

// wikiSuffix ends the names of wikis: GitHub gives no repository a name that ends so.
const wikiSuffix = ".wiki"

// mayHaveWiki tells whether a repository's wiki is asked for. Where wikis are switched on there need be none: it begins with its first page, and only
// git's server tells whether that was written.
func (c *client) mayHaveWiki(r *github.Repository) bool {
	return c.sources.Has(audit.SourceWikis) && (r.HasWiki == nil || r.GetHasWiki())
}

// wiki is that of a repository.
func wiki(repo audit.Target) audit.Target {
	t := audit.Target{Name: repo.Name + wikiSuffix, Kind: audit.TargetWiki, URL: repo.URL + "/wiki", Cursor: repo.Cursor, Attrs: map[string]string{}}
	maps.Copy(t.Attrs, repo.Attrs)
	t.Attrs["clone_url"] = strings.TrimSuffix(t.Attrs["clone_url"], ".git") + wikiSuffix + ".git"
	return t
}

// wiki yields its pages and their history, with the addresses that pages have on the web.
func (p *Provider) wiki(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for it, err := range p.history(ctx, c, t) {
			if err == nil && it.At.Commit != "" {
				it.At.URL = wikiPage(t.URL, it.At)
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// wikiPage is where the web has a page as it was in a commit: by its name alone, whatever folder it lies in. Commits themselves have no page.
func wikiPage(wiki string, at audit.Location) string {
	name := strings.TrimSuffix(path.Base(at.Path), path.Ext(at.Path))
	if at.Path == "" || unfit(name) {
		return wiki
	}
	return wiki + "/" + url.PathEscape(name) + "/" + at.Commit
}
