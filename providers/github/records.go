package github

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
	"github.com/leakreach/leakreach/providers/internal/git"
)

// Logs, artifacts and texts are records: they are only ever added to. So a listing's state is a time by the forge's clock, before which all was read,
// and the next listing asks for what is newer.

// records are the sections of a repository that have them.
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
		{audit.PartRuns, forge.Runs, "logs and artifacts of runs", (*records).runs},
		{audit.PartTexts, forge.Texts, "issues, comments and releases", (*records).texts},
	} {
		if sources := p.opts.Sources & s.sources &^ elsewhere; sources != 0 {
			sections = append(sections, forge.Section{Part: s.part, Items: func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
				return func(yield func(audit.Item, error) bool) {
					r := &records{place: &place{c, t, t.Attrs["owner"], t.Attrs["repo"]}, provider: p, ctx: ctx, sources: sources, yield: yield}
					r.list(s.what, s.read)
				}
			}})
		}
	}
	return sections
}

// A records is a listing of one part of a repository.
type records struct {
	*place
	provider *Provider
	ctx      context.Context
	sources  audit.Sources
	yield    func(audit.Item, error) bool
	ended    bool // the consumer has had enough

	from time.Time // nothing older is asked for: what --since says
	past time.Time // all before was read in the past; zero if nothing was
	look time.Time // when the forge was first asked, by its clock
	mark time.Time // all before is read once the listing ends; zero while that is not known
	lost bool      // some listing is not whole
}

// lag is how much later things may appear in a listing than their times say: GitHub's listings are copies.
const lag = 5 * time.Minute

func (r *records) list(what string, read func(*records)) {
	if !r.signed() {
		r.send(audit.Item{}, &audit.Gap{Target: r.target.Name, What: what, Why: "needs a token: GH_TOKEN is not set"})
		return
	}
	head := fmt.Sprintf("1 %s %q", r.sources, r.provider.opts.Since)
	r.from, _ = git.Date(r.provider.opts.Since)
	if past, ok := strings.CutPrefix(r.target.Past, head+" "); ok {
		r.past, _ = time.Parse(time.RFC3339, past)
	}
	if !r.past.IsZero() && !r.send(audit.Item{Kind: audit.KindKept}, nil) {
		return
	}
	read(r)
	if r.ended || r.ctx.Err() != nil {
		return
	}
	if all := r.look.Add(-lag); r.lost {
		r.mark = r.past
	} else if !r.look.IsZero() && (r.mark.IsZero() || r.mark.After(all)) {
		r.mark = all
	}
	if !r.mark.IsZero() {
		r.send(audit.Item{Kind: audit.KindState, State: head + " " + r.mark.UTC().Format(time.RFC3339)}, nil)
	}
}

// send yields, and tells whether to go on.
func (r *records) send(it audit.Item, err error) bool {
	if !r.ended && err != nil && r.ctx.Err() != nil {
		it, err = audit.Item{}, r.ctx.Err()
		r.ended = !r.yield(it, err)
		r.ended = true
		return false
	}
	r.ended = r.ended || !r.yield(it, err)
	return !r.ended
}

// gap sends what could not be read, and tells whether to go on.
func (r *records) gap(what, why string) bool {
	return r.send(audit.Item{}, &audit.Gap{Target: r.target.Name, What: what, Why: why})
}

// fail sends that something could not be read. If that need not be so the next time, what was changed at the given time is asked for again then.
func (r *records) fail(what string, err error, changed time.Time) bool {
	gap := forge.Gap(r.target.Name, what, err)
	if s := refusal(err); s != http.StatusNotFound && s != http.StatusGone && !errors.Is(err, forge.ErrTooLarge) {
		gap.Again = true
		if changed.IsZero() || s == http.StatusForbidden { // a right that is missing is missing for older ones, too
			r.lost = true
		} else if r.mark.IsZero() || changed.Before(r.mark) {
			r.mark = changed
		}
	}
	return r.send(audit.Item{}, gap)
}

// refusal is the status by which the API, not its storage, refused what was asked; 0 if it did not.
func refusal(err error) int {
	if e := (*forge.Error)(nil); errors.As(err, &e) && e.API != "" {
		return e.Status
	}
	return 0
}

// asked notes by the first answer what time it is for the forge.
func (r *records) asked(resp *http.Response) {
	if !r.look.IsZero() || resp == nil {
		return
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		r.look = at
	} else {
		r.look = r.provider.env.Now()
	}
}

// since is the time from which on things are asked for; zero for all.
func (r *records) since() time.Time {
	if r.past.After(r.from) {
		return r.past
	}
	return r.from
}

// mostDownload bounds a download. Artifacts may have 10 GiB; those of more than this are images of disks.
const mostDownload = 4 << 30

// download asks for something that GitHub keeps in a storage of its own. Storage that stumbles is asked once more: the first address is good for
// one minute.
func (r *records) download(ctx context.Context, path, accept string, most int64) (body io.ReadCloser, err error) {
	const tries = 2
	for range tries {
		body, err = forge.Download(ctx, r.provider.env, r.Client.Client(), r.BaseURL.String()+path, http.Header{"Accept": {accept}}, most)
		if err == nil || refusal(err) != 0 || ctx.Err() != nil {
			break
		}
	}
	return body, err
}
