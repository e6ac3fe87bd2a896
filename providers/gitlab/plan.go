package gitlab

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"strconv"
	"strings"
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

// calls is what a source takes that is read by a few requests for each project, group, and the instance. What is read for a source before is counted there.
func (p *planner) calls(source audit.Sources) (calls int, what string) {
	parts := map[audit.TargetKind]int{}
	for kind, t := range p.kinds() {
		here := newPlace(p.client, t)
		upTo := func(sources audit.Sources) (n int) {
			one := Provider{env: p.Provider.env, opts: Options{Sources: sources & p.opts.Sources}}
			for _, l := range one.listings(p.ctx, here) {
				n += l.calls
			}
			return n
		}
		parts[kind] = upTo(source<<1-1) - upTo(source-1)
	}
	calls = parts[audit.TargetRepository] * p.census.Repositories
	for _, t := range p.census.Owners {
		calls += parts[t.Kind]
	}
	return calls, fmt.Sprintf("%d for a project, %d for a group, and one for each further hundred of something", parts[audit.TargetRepository], parts[audit.TargetGroup])
}

// kinds has a target of each kind that there is.
func (p *planner) kinds() map[audit.TargetKind]audit.Target {
	all := map[audit.TargetKind]audit.Target{}
	for _, t := range append(p.census.Owners[:len(p.census.Owners):len(p.census.Owners)], p.census.Sample...) {
		all[t.Kind] = t
	}
	return all
}

// records sends what is read of what projects have many of: so many pages, and of some each thing.
func (p *planner) records() error {
	if !p.signed() {
		return nil
	}
	if err := p.runs(); err != nil {
		return err
	}
	for _, r := range []struct {
		source audit.Sources
		lists  []string // each with the feature that it is of
		each   string   // of these each thing is another request
		what   string
	}{
		{audit.SourceIssues, []string{"issues", "merge_requests"}, "issues merge_requests", "issues and merge requests, whose notes are asked for one by one"},
		{audit.SourceWikis, []string{"wikis"}, "", "pages of wikis"},
		{audit.SourceReleases, []string{"releases"}, "", "releases"},
		{audit.SourceGists, []string{"snippets"}, "snippets", "snippets"},
		{audit.SourcePackages, []string{"registry/repositories", "packages"}, "registry/repositories", "images and versions of packages"},
	} {
		if !p.opts.Sources.Has(r.source) {
			continue
		}
		all, err := p.census.Reckon(p.ctx, 2, func(t audit.Target) ([]int64, error) {
			var calls, things int64
			for _, list := range r.lists {
				here := newPlace(p.client, t)
				if !here.has(featureOf(list)) {
					continue
				}
				n, err := p.total(here.path+"/"+list, nil)
				if forge.StatusOf(err) == http.StatusNotFound && r.source == audit.SourcePackages { // the instance has no registry
					err = nil
				}
				if err != nil {
					return nil, err
				}
				things += n
				calls += 1 + n/listPage
				if strings.Contains(r.each, list) {
					calls += n
				}
			}
			return []int64{calls, things}, nil
		})
		if err != nil {
			return err
		}
		if err := p.send(audit.Cost{
			Source: r.source, Quota: quota, Calls: all.Calls(0, len(r.lists)*p.census.Repositories), Note: all.Note("about %d %s", all.All[1], r.what),
		}); err != nil {
			return err
		}
	}
	return nil
}

// featureOf is the feature of a project that a listing is of, as it may be switched off.
func featureOf(list string) string {
	switch list {
	case "wikis":
		return "wiki"
	case "registry/repositories":
		return "container_registry"
	case "packages":
		return "package_registry"
	}
	return list
}

// mostTold is up to how many things of a listing GitLab tells the number.
const mostTold = 10_000

// total is how many a listing has; where it has more than GitLab tells, that many.
func (p *planner) total(path string, query map[string]string) (int64, error) {
	one := map[string]string{"per_page": "1"}
	maps.Copy(one, query)
	resp, err := p.get(p.ctx, path, one, "", nil)
	switch {
	case err != nil:
		return 0, err
	case resp.Header.Get("X-Total") == "" && next(resp) != "":
		return mostTold, nil
	}
	return int64(min(max(resp.TotalItems, 0), mostGranted)), nil
}

// A runsPlan is what the traces and artifacts of a project take.
type runsPlan struct{ listing, traces, artifacts, jobs, pipelines int64 }

// runs sends what traces and artifacts take: a listing for each pipeline, and each trace, archive and report.
func (p *planner) runs() error {
	if !p.opts.Sources.Has(forge.Runs) {
		return nil
	}
	all, err := p.census.Reckon(p.ctx, 5, func(t audit.Target) ([]int64, error) {
		x, err := p.runsOf(newPlace(p.client, t))
		return []int64{x.listing, x.traces, x.artifacts, x.jobs, x.pipelines}, err
	})
	if err != nil {
		return err
	}
	listing := all.Calls(0, listingsOfRuns*p.census.Repositories)
	what := all.Note("about %d jobs of %d pipelines", all.All[3], all.All[4])
	for _, c := range []struct {
		source audit.Sources
		calls  int64
	}{{audit.SourceLogs, all.All[1]}, {audit.SourceArtifacts, all.All[2]}} {
		if !p.opts.Sources.Has(c.source) {
			continue
		}
		if err := p.send(audit.Cost{Source: c.source, Quota: quota, Calls: listing + int(c.calls), Note: what}); err != nil {
			return err
		}
		listing, what = 0, "of the same jobs, one for each archive and report, and one for Terraform states"
	}
	return nil
}

// listingsOfRuns are those of pipelines: those that others started are in none but their own.
const listingsOfRuns = 2

// runsOf counts what a project has. Of pipelines GitLab tells how many there are, of jobs it does not: the last hundred stand for the others.
func (p *planner) runsOf(h *place) (x runsPlan, err error) {
	if !h.has("builds") {
		return x, nil
	}
	for _, query := range []map[string]string{nil, {"source": "parent_pipeline"}} {
		n, err := p.total(h.path+"/pipelines", query)
		if err != nil {
			return x, err
		}
		x.pipelines += n
		x.listing += 1 + n/listPage
	}
	var last []*struct {
		Pipeline struct {
			ID     int    `json:"id"`
			Source string `json:"source"`
		} `json:"pipeline"`
		Archive   *struct{} `json:"artifacts_file"`
		Artifacts []struct {
			Type string `json:"file_type"`
		} `json:"artifacts"`
	}
	resp, err := p.get(p.ctx, h.path+"/jobs", listQuery(nil), "", &last)
	if err != nil {
		return x, err
	}
	started := map[int]bool{} // pipelines, and whether somebody may have given them variables
	var files int64
	for _, j := range last {
		if j == nil {
			continue
		}
		started[j.Pipeline.ID] = givenVariables(j.Pipeline.Source)
		if j.Archive != nil {
			files++
		}
		for _, a := range j.Artifacts {
			if a.Type == "dotenv" {
				files++
			}
		}
	}
	var given int64
	if p.opts.Sources.Has(audit.SourceVariables) {
		for _, may := range started {
			if may {
				given++
			}
		}
	}
	share := func(n int64) int64 { // of all jobs, what n of the last are of them
		if next(resp) == "" || len(started) == 0 {
			return n
		}
		return n * max(x.pipelines, int64(len(started))) / int64(len(started))
	}
	x.jobs = share(int64(len(last)))
	x.listing += x.pipelines + share(given)
	x.traces, x.artifacts = x.jobs, share(files)+1
	return x, nil
}
