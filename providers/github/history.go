package github

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// history yields the repository's files, commits and the rest of what git keeps.
func (p *Provider) history(ctx context.Context, c *client, t audit.Target) iter.Seq2[audit.Item, error] {
	how, err := p.clone(ctx, c, t)
	if err != nil {
		return func(yield func(audit.Item, error) bool) { yield(audit.Item{}, forge.Gap(t.Name, "git history", err)) }
	}
	if t.Kind != audit.TargetRepository || !p.opts.AllRefs || !p.opts.Sources.Has(audit.SourceHistory) || !c.signed() {
		return forge.History(ctx, p.env, t.Name, how)
	}
	return func(yield func(audit.Item, error) bool) {
		var more bool
		if how.Former, more, err = c.former(ctx, t.Attrs["owner"], t.Attrs["repo"]); err != nil && !yield(audit.Item{}, forge.Gap(t.Name, "commits that refs once named", err)) {
			return
		}
		if more && !yield(audit.Item{}, &audit.Gap{Target: t.Name, What: "commits that refs once named", Why: fmt.Sprintf("only the last %d changes of each kind were asked for", activityPage)}) {
			return
		}
		forge.History(ctx, p.env, t.Name, how)(yield)
	}
}

// activityPage is how many changes are asked for, one page: each takes a commit that the server is asked for.
const activityPage = 100

// former lists commits that a push or the deletion of a branch put aside, as "List repository activities" has them, or else as the repository's events
// do; more tells whether there are older ones.
func (c *client) former(ctx context.Context, owner, repo string) (ids []string, more bool, err error) {
	path := "repos/" + owner + "/" + repo
	for _, kind := range []string{"force_push", "branch_deletion"} {
		var out []struct{ Before string }
		resp, err := c.get(ctx, path+"/activity", url.Values{"activity_type": {kind}, "per_page": {strconv.Itoa(activityPage)}}, &out)
		if s := forge.StatusOf(err); s == http.StatusNotFound || s == http.StatusForbidden { // an older GitHub Enterprise Server, or no right to contents
			return c.pushed(ctx, path)
		}
		if err != nil {
			return ids, more, err
		}
		for _, a := range out {
			ids = append(ids, a.Before)
		}
		more = more || resp.After != ""
	}
	return ids, more, nil
}

// pushed lists what branches were before and after what was pushed lately: three pages, all that GitHub keeps.
func (c *client) pushed(ctx context.Context, path string) (ids []string, more bool, err error) {
	type event struct {
		ID, Type string
		Payload  struct{ Before, Head string }
	}
	for e, err := range paged(ctx, otherPage, func(e *event) string { return e.ID }, func(o github.ListOptions) ([]*event, int, *github.Response, error) {
		var out []*event
		resp, err := c.get(ctx, path+"/events", pageQuery(o), &out)
		return out, 0, resp, err
	}) {
		if err != nil {
			return ids, false, err
		}
		if e.Type == "PushEvent" {
			ids = append(ids, e.Payload.Before, e.Payload.Head)
		}
	}
	return ids, false, nil
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
	token, err := "", error(nil)
	if t.Kind != audit.TargetGist {
		token, err = c.cloneToken(ctx, t.Attrs["owner"], t.Attrs["repo"])
	}
	how := forge.Clone{
		Address: t.Attrs["clone_url"], Username: "x-access-token", Token: token, Since: p.opts.Since, Newest: !p.opts.Sources.Has(audit.SourceHistory), AllRefs: p.opts.AllRefs,
		Blobs: t.URL + "/blob/", Commits: t.URL + "/commit/", Sleep: p.opts.sleep, Past: t.Past, Listed: t.State, Locks: c.locks(),
	}
	if t.Kind != audit.TargetRepository { // its history is short, and has what was taken out of a page or file
		how.Newest, how.Optional = false, t.Kind == audit.TargetWiki
	}
	return how, err
}
