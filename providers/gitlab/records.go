package gitlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xanzy/go-gitlab"
	"golang.org/x/sync/semaphore"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/git"
)

// Traces, artifacts and texts are only ever added to. So a listing's state is the time, by GitLab's clock, at which it began, and the next listing
// asks for what was touched since.

// records are the sections of a project that have them.
func (p *Provider) records(c *client, t audit.Target) (sections []forge.Section) {
	if t.Kind != audit.TargetRepository {
		return nil
	}
	for _, s := range []struct {
		part    audit.Part
		sources audit.Sources
		what    string
		read    func(*records)
	}{
		{audit.PartRuns, forge.Runs, "traces and artifacts of jobs", (*records).runs},
		{audit.PartTexts, texts, "issues, merge requests, releases, wiki and snippets", (*records).texts},
	} {
		if sources := p.opts.Sources & s.sources; sources != 0 {
			sections = append(sections, forge.Section{Part: s.part, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
				return func(yield func(audit.Item, error) bool) {
					sources := sources | p.opts.Sources&audit.SourceVariables // pipelines are started with some
					ctx = forge.InOrder(ctx, t.Name)
					r := &records{place: newPlace(c, t), ctx: ctx, sources: sources, yield: yield}
					r.lent = semaphore.NewWeighted(r.mayLend())
					r.list(s.what, p.opts, s.read)
				}
			}})
		}
	}
	return sections
}

// A records is a listing of one part of a project.
type records struct {
	*place
	ctx     context.Context
	sources audit.Sources
	yield   func(audit.Item, error) bool
	lent    *semaphore.Weighted
	refused refusals
	anew    refusals // of what each scan lists from the beginning

	ended bool      // the consumer has had enough, or the listing cannot go on
	from  time.Time // what was touched before is not asked for: the date of --since; zero if there is none
	past  time.Time // all that was touched before was read in the past; zero if nothing was
	look  time.Time // when GitLab was first asked, by its clock
	lost  bool      // something was not read that may be the next time
}

// list reads a part, after what is known of it, and names its state.
func (r *records) list(what string, o Options, read func(*records)) {
	if !r.signed() && r.target.Attrs["visibility"] != "public" {
		r.send(audit.Item{}, &audit.Gap{Target: r.target.Name, What: what, Why: "needs a token: GITLAB_TOKEN is not set"})
		return
	}
	head := fmt.Sprintf("1 %s %q", r.sources, o.Since)
	r.from, _ = git.Date(o.Since) // a commit limits the history alone
	since, known := strings.CutPrefix(r.target.Past, head+" ")
	if at, err := time.Parse(time.RFC3339, since); known && err == nil {
		r.past = at
		r.send(audit.Item{Kind: audit.KindKept}, nil)
	}
	read(r)
	for _, gap := range r.anew.gaps {
		gap.Again = true
	}
	for _, gap := range slices.Concat(r.refused.gaps, r.anew.gaps) {
		gap.Target, gap.What = r.target.Name, "project "+gap.What
		r.send(audit.Item{}, gap)
	}
	if !r.lost && !r.ended && !r.look.IsZero() && r.ctx.Err() == nil {
		r.send(audit.Item{Kind: audit.KindState, State: head + " " + r.look.UTC().Format(time.RFC3339)}, nil)
	}
}

// send yields, and tells whether to go on.
func (r *records) send(it audit.Item, err error) bool {
	if r.ended {
		return false
	}
	if gap := (*audit.Gap)(nil); err != nil && !errors.As(err, &gap) {
		r.ended = true
		r.yield(it, err)
		return false
	}
	r.ended = !r.yield(it, err)
	return !r.ended
}

// fail notes that something could not be read, and tells whether to go on. What is gone does not stand in the way of a state; a right that is
// missing does, since once it is granted, all is there that it hid.
func (r *records) fail(what, needs string, err error) bool {
	switch s := forge.StatusOf(err); {
	case r.ctx.Err() != nil:
		return r.send(audit.Item{}, r.ctx.Err())
	case s != http.StatusNotFound && s != http.StatusGone && !errors.Is(err, forge.ErrTooLarge):
		r.lost = true
	}
	return r.refuse(what, needs, err)
}

// missed is fail for what each scan lists from the beginning.
func (r *records) missed(what, needs string, err error) bool {
	if r.ctx.Err() != nil {
		return r.send(audit.Item{}, r.ctx.Err())
	}
	gap := r.gap(what, needs, err)
	r.anew.add(gap.What, gap.Why)
	return !r.ended
}

// refuse notes a gap, and tells whether to go on.
func (r *records) refuse(what, needs string, err error) bool {
	gap := r.gap(what, needs, err)
	r.refused.add(gap.What, gap.Why)
	return !r.ended
}

// start is when what is read was touched at the earliest: what is older is known, or not asked for.
func (r *records) start() time.Time {
	if r.past.After(r.from) {
		return r.past
	}
	return r.from
}

// since limits a listing to what was touched after that.
func (r *records) since(query map[string]string) map[string]string {
	if start := r.start(); !start.IsZero() {
		query["updated_after"] = start.UTC().Format(time.RFC3339)
	}
	return query
}

// asked notes by the first answer what time it is for GitLab.
func (r *records) asked(resp *gitlab.Response) {
	if !r.look.IsZero() || resp == nil || resp.Response == nil {
		return
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		r.look = at
	} else {
		r.look = r.env.Now().Truncate(time.Second).Add(-time.Minute) // as good as clocks are that nobody looks after
	}
}

// every walks a listing of the project's.
func every[T any](r *records, path string, query map[string]string, key func(*T) string) iter.Seq2[*T, error] {
	return paged(r.ctx, key, func(cursor string) ([]*T, *gitlab.Response, error) {
		var all []*T
		resp, err := r.get(r.ctx, r.path+path, listQuery(query), cursor, &all)
		r.asked(resp)
		return all, resp, err
	})
}

// Bounds of what is downloaded and held.
const (
	mostTrace    = 100 << 20 // an instance's own bound (docs.gitlab.com/administration/instance_limits: "Maximum file size for job logs")
	mostArtifact = 4 << 30   // gitlab.com takes 1 GiB; larger ones are images of disks
	mostState    = 100 << 20 // of Terraform: what one content may have
	mostText     = 10 << 20  // of a snippet; pages show less
	maxLent      = 32 << 20  // contents handed out and not yet given back
	maxHeld      = 64 << 20  // one of them
)

func (c *client) mayLend() int64 { return c.env.Memory.Share(64, maxLent) }
func (c *client) mayHold() int64 { return c.env.Memory.Share(16, maxHeld) }

// download opens what lies at a path of the API, or of the instance's pages if it begins with a slash.
func (r *records) download(path string, most int64) (io.ReadCloser, error) {
	address := r.BaseURL().String() + path
	if strings.HasPrefix(path, "/") {
		address = strings.TrimSuffix(r.client.page(), "/") + path
	}
	return forge.Download(r.ctx, r.env, r.http, address, nil, most)
}

// read reads a content that is held whole.
func (r *records) read(in io.Reader, most int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%w: more than %d MiB", forge.ErrTooLarge, most>>20)
	}
	return content, err
}

// lend sends an item with a content, when there is room for it, and tells whether to go on.
func (r *records) lend(it audit.Item, content []byte) bool {
	hold := min(max(int64(len(content)), 256), r.mayLend()) // an empty content still costs an item; a large one passes alone
	if err := r.lent.Acquire(r.ctx, hold); err != nil {
		return r.send(audit.Item{}, err)
	}
	it.Content, it.Size, it.Done = content, int64(len(content)), sync.OnceFunc(func() { r.lent.Release(hold) })
	if r.ended {
		it.Done()
		return false
	}
	return r.send(it, nil)
}
