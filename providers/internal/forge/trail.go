package forge

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// A Section is what a target has in one of its parts.
type Section struct {
	Part  audit.Part
	Items func(context.Context, audit.Target) iter.Seq2[audit.Item, error]
}

// Items yields the section that is asked for; without one all, of which no state is that of the whole.
func Items(ctx context.Context, t audit.Target, sections ...Section) iter.Seq2[audit.Item, error] {
	all := t.Part == "" && len(t.Parts) > 0
	if all {
		t.Past, t.State = "", ""
	}
	return func(yield func(audit.Item, error) bool) {
		goOn := true
		send := func(it audit.Item, err error) bool {
			gap := (*audit.Gap)(nil)
			if goOn = all && it.Kind == audit.KindState || yield(it, err); err != nil && !errors.As(err, &gap) {
				goOn = false // it was the last
			}
			return goOn
		}
		for _, s := range sections {
			if goOn && (t.Part == "" || t.Part == s.Part) {
				s.Items(ctx, t)(send)
			}
		}
	}
}

// What is read for a part of a target.
const (
	Settings = audit.SourceWorkflows | audit.SourceVariables | audit.SourceSecrets | audit.SourceSettings | audit.SourceRunners | audit.SourceCaches
	Contents = audit.SourceHistory | audit.SourceFiles
	Runs     = audit.SourceLogs | audit.SourceArtifacts
	Texts    = audit.SourceIssues | audit.SourceWikis | audit.SourceReleases | audit.SourcePackages
)

// Parts are those of a repository that is read for some sources: none where there is only one.
func Parts(s audit.Sources) (parts []audit.Part) {
	for _, p := range []struct {
		part    audit.Part
		sources audit.Sources
	}{{audit.PartSettings, Settings}, {audit.PartContents, Contents}, {audit.PartRuns, Runs}, {audit.PartTexts, Texts}} {
		if s.Has(p.sources) {
			parts = append(parts, p.part)
		}
	}
	if len(parts) == 1 {
		return nil
	}
	return parts
}

// A Listing is what a forge's API has of one target. Its state is what was asked and by which entity tags the answers are known again.
type Listing struct {
	Head string // what is listed: under another one nothing is as it was
	Past string // the state of an earlier listing, or ""
	List func(context.Context) iter.Seq2[audit.Item, error]
	// Again asks for an address below the API's as it was asked for then, with further headers. If tags do not last until then, it is nil, and the
	// listing has no state.
	Again func(ctx context.Context, path string, header http.Header) (status int, err error)
}

// Section is the listing as the settings of a target.
func (l Listing) Section() Section {
	return Section{audit.PartSettings, func(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
		l.Past = t.Past
		return l.Items(InOrder(ctx, t.Name))
	}}
}

// Items yields the listing and its state; or, if each answer is the same as in the past, that alone. A forge that is asked whether an answer
// is still the same need not make it, and GitHub does not count such a request.
func (l Listing) Items(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if l.Again == nil {
			l.List(ctx)(yield)
			return
		}
		if l.unchanged(ctx) {
			yield(audit.Item{Kind: audit.KindUnchanged, State: l.Past}, nil)
			return
		}
		t := &trail{}
		for it, err := range l.List(context.WithValue(ctx, trailKey{}, t)) {
			if !yield(it, err) {
				return
			}
		}
		if state := t.state(l.Head); state != "" && ctx.Err() == nil {
			yield(audit.Item{Kind: audit.KindState, State: state}, nil)
		}
	}
}

// unchanged tells whether all is as it was. What cannot be asked has changed: the listing says what is wrong.
func (l Listing) unchanged(ctx context.Context) bool {
	steps, ok := strings.CutPrefix(l.Past, l.Head+"\n")
	if !ok || steps == "" || len(steps) > maxTrail {
		return false
	}
	for step := range strings.Lines(steps) {
		etag, path, ok := strings.Cut(strings.TrimSuffix(step, "\n"), " ")
		if u, err := url.Parse(path); !ok || !tag().MatchString(etag) || err != nil || u.IsAbs() || u.Host != "" || strings.HasPrefix(path, "/") {
			return false
		}
		if status, err := l.Again(ctx, path, http.Header{"If-None-Match": {etag}}); err != nil || status != http.StatusNotModified {
			return false
		}
	}
	return true
}

// A trail is what a listing asked of an API, and the entity tags of the answers (RFC 9110, section 8.8.3). It keeps no answer: they hold values.
type trail struct {
	mu     sync.Mutex
	steps  strings.Builder // a line each: tag, blank, address below the API's
	broken bool            // an answer is missing, or has no tag, or there is doubt
}

type trailKey struct{}

// Doubt says of the listing that ctx is of that it has no state: what it listed may change without a change of any answer's tag, or the tags
// tell more than a store may hold.
func Doubt(ctx context.Context) {
	if t := trailOf(ctx); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.broken = true
	}
}

func trailOf(ctx context.Context) *trail {
	t, _ := ctx.Value(trailKey{}).(*trail)
	return t
}

// maxTrail bounds a trail, in bytes, as there is one for each target in the store: a hundred requests, where most targets take five.
const maxTrail = 16 << 10

// tag is an entity tag as forges make them.
var tag = lazyregexp.New(`^(?:W/)?"[!#-~]{1,128}"$`)

func (t *trail) add(base *url.URL, req *http.Request, resp *http.Response, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, below := strings.TrimPrefix(req.URL.EscapedPath(), "/"), true
	if api := strings.Trim(base.EscapedPath(), "/"); api != "" {
		path, below = strings.CutPrefix(path, api+"/")
	}
	if err != nil || req.Method != http.MethodGet || resp.StatusCode != http.StatusOK || !tag().MatchString(resp.Header.Get("ETag")) || !below {
		t.broken = true
		return
	}
	t.steps.WriteString(resp.Header.Get("ETag") + " " + path)
	if req.URL.RawQuery != "" {
		t.steps.WriteString("?" + req.URL.RawQuery)
	}
	t.steps.WriteString("\n")
	t.broken = t.broken || t.steps.Len() > maxTrail
}

// state is what the trail says; "" if an answer may change unseen.
func (t *trail) state(head string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken || t.steps.Len() == 0 {
		return ""
	}
	return head + "\n" + t.steps.String()
}
