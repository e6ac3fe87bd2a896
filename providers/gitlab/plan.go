package gitlab

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Plan implements [audit.Planner]. Groups and projects are listed, and of up to ten projects how much they have of what a forge keeps many of.
func (p *Provider) Plan(ctx context.Context, ref string) iter.Seq2[audit.Cost, error] {
	return forge.Tell(ctx, func(tell func(...audit.Cost) error) error {
		o := p.opts
		o.MaxWait, o.Budget = time.Second, 100 // as in Check
		env := p.env
		env.Calls = &audit.Calls{}
		q := New(env, o)
		c, err := q.connect()
		if err != nil {
			return err
		}
		return (&planner{Provider: q, client: c, ctx: ctx, tell: tell, percent: cmp.Or(p.opts.Budget, forge.DefaultBudget)}).all(ref)
	})
}

// A planner reckons what a scan of one ref takes.
type planner struct {
	*Provider
	*client
	ctx         context.Context //nolint:containedctx // it lives as long as one call of Plan
	tell        func(...audit.Cost) error
	percent     int // of quotas, that scans may use up
	census      forge.Census
	limit, left int // of requests in an hour, that are ours
}

func (p *planner) all(ref string) error {
	var err error
	if p.census, err = forge.Count(p.Targets(p.ctx, ref)); err != nil {
		return err
	}
	listing := p.Provider.env.Calls.Snapshot()["gitlab"]
	p.granted()
	if err := p.send(audit.Cost{Quota: quota, Calls: listing, Note: p.census.String()}); err != nil {
		return err
	}
	if p.opts.Sources.Has(forge.Contents) {
		c := p.census.Clones(p.opts.Sources&forge.Contents, p.web[0].Host)
		c.Logged = "repository_git_operation for each clone, in streamed audit events (Ultimate)"
		if err := p.send(c); err != nil {
			return err
		}
	}
	for source := audit.Sources(1); source <= audit.AllSources; source <<= 1 {
		calls, what := p.calls(source)
		if calls == 0 || !p.opts.Sources.Has(source) || !p.signed() {
			continue
		}
		if err := p.send(audit.Cost{Source: source, Quota: quota, Calls: calls, Note: what}); err != nil {
			return err
		}
	}
	return p.records()
}

// quota is the one that GitLab counts requests in.
const quota = "API"

func (p *planner) send(c audit.Cost) error {
	c.Host = cmp.Or(c.Host, p.client.host)
	if c.Quota != "" {
		c.Limit, c.Left = p.limit, p.left
	}
	return p.tell(c)
}

// granted learns how much is granted a minute, where the instance sets a limit.
func (p *planner) granted() {
	contexts := []context.Context{p.ctx}
	if len(p.tokens) > 0 {
		contexts = contexts[:0]
		for _, token := range p.tokens {
			contexts = append(contexts, forge.With(p.ctx, token))
		}
	}
	for _, ctx := range contexts {
		resp, err := p.get(ctx, "user", nil, "", nil)
		if err != nil {
			continue
		}
		if limit, left, ok := told(resp); ok {
			reserve := limit - limit*p.percent/100
			p.limit += 60 * (limit - reserve)
			p.left += max(left-reserve, 0)
		}
	}
}

// told is what an answer says of the limit for a minute.
func told(resp *gitlab.Response) (limit, left int, ok bool) {
	limit, err := strconv.Atoi(resp.Header.Get("RateLimit-Limit"))
	left, failed := strconv.Atoi(resp.Header.Get("RateLimit-Remaining"))
	return limit, left, err == nil && failed == nil && limit > 0 && limit <= mostGranted && left >= 0 && left <= limit
}

// calls is what a source takes that is read by a few requests for each project, group, and the instance.
func (p *planner) calls(source audit.Sources) (calls int, what string) {
	parts := map[audit.TargetKind]int{}
	for kind, t := range p.kinds() {
		here := newPlace(p.client, t)
		one := Provider{env: p.Provider.env, opts: Options{Sources: source}}
		parts[kind] = len(one.listings(p.ctx, here))
	}
	calls = parts[audit.TargetRepository] * p.census.Repositories
	for _, t := range p.census.Owners {
		calls += parts[t.Kind]
	}
	return calls, fmt.Sprintf("%d for a project, %d for a group, and one for each hundred of something", parts[audit.TargetRepository], parts[audit.TargetGroup])
}

// kinds has a target of each kind that there is.
func (p *planner) kinds() map[audit.TargetKind]audit.Target {
	all := map[audit.TargetKind]audit.Target{}
	for _, t := range append(p.census.Owners[:len(p.census.Owners):len(p.census.Owners)], p.census.Sample...) {
		all[t.Kind] = t
	}
	return all
}

// records sends what is read of what projects have many of: so many pages, and of jobs each trace and each set of artifacts.
func (p *planner) records() error {
	for _, r := range []struct {
		source audit.Sources
		lists  []string
		each   bool // thing is another request
		what   string
	}{
		{audit.SourceLogs, []string{"/pipelines", "/jobs"}, true, "pipelines, whose jobs are listed, and jobs"},
		{audit.SourceArtifacts, []string{"/jobs"}, true, "jobs, each of which may have left artifacts"},
		{audit.SourceIssues, []string{"/issues", "/merge_requests"}, true, "issues and merge requests, whose notes are asked for one by one"},
		{audit.SourceReleases, []string{"/releases"}, false, "releases"},
		{audit.SourceGists, []string{"/snippets"}, true, "snippets"},
		{audit.SourceWikis, []string{"/wikis"}, false, "pages of wikis"},
		{audit.SourcePackages, []string{"/registry/repositories"}, true, "images, whose tags are listed"},
	} {
		if !p.opts.Sources.Has(r.source) || !p.signed() {
			continue
		}
		things, pages, refused, err := p.ofSample(r.lists)
		if err != nil {
			return err
		}
		calls, note := pages, fmt.Sprintf("about %d %s, reckoned from %d projects", things, r.what, len(p.census.Sample))
		if r.each {
			calls += things
		}
		if refused > 0 {
			note += fmt.Sprintf("; of %d of them the token may not list these", refused)
		}
		if err := p.send(audit.Cost{Source: r.source, Quota: quota, Calls: int(calls), Note: note}); err != nil {
			return err
		}
	}
	return nil
}

// ofSample reckons from a sample of projects how many things all have in some lists, and how many pages these take. A project that refuses a list is
// one of which nothing is known; refused is how many do.
func (p *planner) ofSample(lists []string) (things, pages int64, refused int, err error) {
	no := map[int]bool{}
	for _, list := range lists {
		sum, more, answered := int64(0), int64(0), 0
		for i, t := range p.census.Sample {
			resp, err := p.get(p.ctx, newPlace(p.client, t).path+list, map[string]string{"per_page": "1"}, "", nil)
			if p.ctx.Err() != nil {
				return 0, 0, 0, p.ctx.Err()
			}
			if err != nil {
				no[i] = true
				continue
			}
			answered++
			n := int64(min(max(resp.TotalItems, 0), mostGranted)) // of more than 10,000 it does not tell the number
			sum, more = sum+n, more+n/listPage
		}
		pages += int64(p.census.Repositories) // one that ends each listing, or is refused
		if answered > 0 {
			known := float64(len(p.census.Sample)) / float64(answered)
			things += p.census.All(int64(math.Ceil(float64(sum) * known)))
			pages += p.census.All(int64(math.Ceil(float64(more) * known)))
		}
	}
	return things, pages, len(no), nil
}
