package github

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strconv"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/unzip"
)

// An artifact is what "List artifacts for a repository" tells of one.
type artifact struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Size      int64     `json:"size_in_bytes"`
	Expired   bool      `json:"expired"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Run       struct {
		ID int64 `json:"id"`
	} `json:"workflow_run"`
}

// artifacts sends those that have not expired, the newest first, as GitHub lists them.
func (r *records) artifacts() {
	expired, old := 0, 0
	since := r.since()
	for a, err := range paged(r.ctx, otherPage, func(a *artifact) string { return strconv.FormatInt(a.ID, 10) }, func(o github.ListOptions) ([]*artifact, int, *github.Response, error) {
		var out struct {
			TotalCount int         `json:"total_count"`
			Artifacts  []*artifact `json:"artifacts"`
		}
		resp, err := r.get(r.ctx, r.path()+"/actions/artifacts", pageQuery(o), &out)
		if err == nil {
			r.asked(resp.Response)
		}
		return out.Artifacts, out.TotalCount, resp, err
	}) {
		switch {
		case err != nil:
			r.fail("artifacts", err, time.Time{})
		case a.CreatedAt.Before(since) && a.UpdatedAt.Before(since):
			old++
		case a.Expired:
			expired++
		default:
			old = 0
			r.artifact(a)
		}
		if r.ended || old == otherPage { // nothing says that the order is strict
			break
		}
	}
	if expired > 0 {
		r.gap(fmt.Sprintf("%d artifacts", expired), "expired")
	}
}

func (r *records) artifact(a *artifact) {
	run, id := strconv.FormatInt(a.Run.ID, 10), strconv.FormatInt(a.ID, 10)
	r.blob(blob{
		what: "artifact " + a.Name + " of run " + run, kind: audit.KindArtifact, path: r.path() + "/actions/artifacts/" + id + "/zip", accept: "application/vnd.github+json", size: a.Size,
		at: audit.Location{
			Target: r.target.Name, Kind: audit.InArtifact, Path: path.Join("runs", run, plainName(a.Name)), Name: a.Name, At: a.CreatedAt,
			URL: r.page(r.owner, r.repo, "actions/runs", run, "artifacts", id),
		},
		entry: r.entry(audit.KindArtifact, a.Name, "repository", map[string]string{
			"run": run, "size": strconv.FormatInt(a.Size, 10), "created_at": stamp(&a.CreatedAt), "expires_at": stamp(&a.ExpiresAt),
		}),
	})
}

// A blob is something large that GitHub keeps in a storage of its own.
type blob struct {
	what         string // as a gap names it
	kind         audit.ItemKind
	path, accept string // of the request
	size         int64  // as GitHub says
	at           audit.Location
	entry        *audit.Entry
}

// blob sends one: whole, if a scan holds that much, or else as it comes. Nothing of it touches a disk.
func (r *records) blob(b blob) {
	whole := r.provider.env.Memory.Share(8, 100<<20) // as a scan holds of one content
	if b.size <= whole {
		r.send(audit.Item{Kind: b.kind, Size: b.size, At: b.at, Entry: b.entry, Open: func(ctx context.Context) (io.ReadCloser, error) {
			return r.download(ctx, b.path, b.accept, whole)
		}}, nil)
		return
	}
	body, err := r.download(r.ctx, b.path, b.accept, mostDownload)
	if err == nil {
		err = r.stream(b, body)
		_ = body.Close() // only read
	}
	if err != nil && !r.ended {
		r.fail(b.what, expired(err), b.at.At)
		r.send(audit.Item{Kind: b.kind, At: b.at, Entry: b.entry}, nil)
	}
}

// blobLimits are those of what an archive unpacks to: sixteen times what is downloaded of one at most, in more files than a node_modules has.
var blobLimits = unzip.Limits{Members: 1_000_000, Bytes: 16 * mostDownload}

// stream sends a blob as it comes: the members of an archive one by one, what is no archive in windows.
func (r *records) stream(b blob, body io.Reader) error {
	in := bufio.NewReader(body)
	if head, _ := in.Peek(4); string(head) != "PK\x03\x04" {
		return r.windows(b, b.at.Path, in)
	}
	for m, err := range unzip.Members(in, blobLimits) {
		if one := (*unzip.MemberError)(nil); errors.As(err, &one) {
			if !r.gap(b.at.Path+"!"+one.Name, one.Why) {
				return nil
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := r.windows(b, b.at.Path+"!"+plainName(m.Name), m); err != nil || r.ended {
			return err
		}
	}
	return nil
}

// windows sends a file: as one item if it is not larger than a window, else in several that overlap.
func (r *records) windows(b blob, name string, file io.Reader) error {
	for w, err := range windowsOf(file, max(4*windowOverlap, int(r.provider.env.Memory.Share(16, 64<<20)))) {
		if err != nil {
			return err
		}
		if w.before == 0 && w.more && bytes.IndexByte(w.content[:8000], 0) >= 0 && !r.gap(name, fmt.Sprintf("larger than %d MiB: searched as it is, and not for what is packed in it", len(w.content)>>20)) {
			return nil
		}
		at := b.at
		at.Path = name
		it := audit.Item{Kind: b.kind, Size: int64(len(w.content)), Content: w.content, At: at, Entry: b.entry}
		if w.lines > 0 {
			it.Origin = func(l audit.Location) audit.Location {
				if l.Path == name && l.Line > 0 {
					l.Line, l.EndLine = l.Line+w.lines, l.EndLine+w.lines
				}
				return l
			}
		}
		if !r.send(it, nil) {
			return nil
		}
	}
	return nil
}

// A window is a part of a file.
type window struct {
	content []byte
	before  int64 // bytes of the file
	lines   int   // of the file before it
	more    bool  // there is something after it
}

// windowOverlap is longer than any key.
const windowOverlap = 64 << 10

// windowsOf divides a file into windows of most bytes at most. They overlap, so that no secret is cut, and begin with a line if there is one.
func windowsOf(file io.Reader, most int) iter.Seq2[window, error] {
	return func(yield func(window, error) bool) {
		var w window
		kept := 0
		for {
			content := bytes.NewBuffer(w.content)
			n, err := io.CopyN(content, file, int64(most-kept))
			if w.content = content.Bytes(); err != nil && !errors.Is(err, io.EOF) {
				if n > 0 && !yield(w, nil) {
					return
				}
				yield(window{}, err)
				return
			}
			if w.more = err == nil; n > 0 && !yield(w, nil) || !w.more {
				return
			}
			cut := len(w.content) - windowOverlap
			if k := bytes.LastIndexByte(w.content[cut-windowOverlap:cut], '\n'); k >= 0 {
				cut -= windowOverlap - k - 1
			}
			w = window{content: bytes.Clone(w.content[cut:]), before: w.before + int64(cut), lines: w.lines + bytes.Count(w.content[:cut], []byte{'\n'})}
			kept = len(w.content)
		}
	}
}
