package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

const (
	attempts  = 3 // for a request that failed in passing
	slowTries = 2 // for one that was not answered in time
)

// transport sends requests and waits where the forge asks for it. It departs from [http.RoundTripper] in one point: an answer
// that is no success is an error here, so that every client library above hands on the same one.
type transport struct {
	Config
	env  audit.Env
	next http.RoundTripper
	only []*Credential // Config.Token

	mu       sync.Mutex
	accounts map[*Credential]*account

	answered    atomic.Bool  // the host has answered before: one that never did is not asked twice
	storeAway   atomic.Int64 // until when it is not asked again
	storeFailed atomic.Bool  // and was said to
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(req)
	if trail := trailOf(req.Context()); trail != nil {
		trail.add(t.Base, req, resp, err)
	}
	return resp, err
}

func (t *transport) roundTrip(req *http.Request) (*http.Response, error) {
	if !SameOrigin(req.URL, t.Base) {
		return nil, &Error{API: t.API, Method: req.Method, URL: plainURL(req.URL), Message: "not the host of the API: not sent"}
	}
	all, err := t.accountsFor(req)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	renewed := false
	for try := 1; ; {
		a, err := t.pass(req, all)
		if err != nil {
			return nil, err
		}
		token, err := a.token(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.flight.start(ctx); err != nil {
			return nil, err
		}
		if a.gate.shutUntil().After(t.env.Now()) { // meanwhile
			a.flight.leave()
			continue
		}
		resp, err := t.send(req, a, token)
		a.flight.land()
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e := (*Error)(nil)
		switch {
		case !errors.As(err, &e):
			return nil, err
		case !e.Until.IsZero():
			continue // the gate is shut; passing it again is the wait
		case e.Status == http.StatusUnauthorized && a.Renew != nil && !renewed && a.Renew(token, e):
			renewed = true
			continue
		case len(all) > 1 && e.denied():
			if e.Status == http.StatusUnauthorized && a.drop() {
				t.env.Log.Warn("not used any more, as it is not accepted", "api", t.API, "credential", a.Name)
			}
			all = slices.DeleteFunc(slices.Clone(all), func(x *account) bool { return x == a })
			continue
		case !e.passing() || !isRepeatable(req), e.retryAfter > t.MaxWait:
			return nil, err
		case try == attempts, e.slow && (try == slowTries || !t.answered.Load()):
			return nil, err
		}
		pause := max(e.retryAfter, jitter(time.Second<<(try-1)))
		t.env.Log.Debug("asking again", "api", t.API, "error", err, "in", pause)
		if err := t.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		try++
	}
}

// denied tells whether another credential may see what this one may not.
func (e *Error) denied() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound
}

// passing tells whether the same request may succeed a little later.
func (e *Error) passing() bool {
	return e.Status == 0 && e.cause != nil || e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// jitter returns between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(max(d/2, 1)) } //nolint:gosec // spreads load, hides nothing

// send makes one attempt and reads its answer whole.
func (t *transport) send(req *http.Request, a *account, token string) (*http.Response, error) {
	download := downloadOf(req.Context())
	var ctx context.Context
	var cancel context.CancelFunc
	if download == nil {
		ctx, cancel = context.WithTimeout(req.Context(), t.Timeout)
		defer cancel()
	} else {
		ctx, cancel = download.begin(req.Context(), t.Timeout)
	}
	out := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	for _, h := range []string{"Authorization", "Private-Token", "Job-Token", "Cookie"} {
		out.Header.Del(h) // libraries set empty ones
	}
	if token != "" {
		out.Header.Set(t.Header, t.Prefix+token)
	}
	out.Header.Set("User-Agent", t.env.UserAgent)
	fail := func(e *Error) (*http.Response, error) {
		e.API, e.Method, e.URL = t.API, req.Method, plainURL(req.URL)
		return nil, e
	}

	sent := t.env.Now()
	t.env.Calls.Add(t.API, 1)
	resp, err := t.next.RoundTrip(out)
	streams := err == nil && download != nil && resp.StatusCode >= 200 && resp.StatusCode <= 299
	if download != nil && !streams {
		defer cancel()
	}
	var body []byte
	if err == nil && !streams {
		body, err = io.ReadAll(io.LimitReader(resp.Body, t.MaxBody+1))
		_ = resp.Body.Close()
	}
	if err == nil {
		t.answered.Store(true)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fail(&Error{Message: fmt.Sprintf("no answer within %s", t.Timeout), cause: context.DeadlineExceeded, slow: true})
	case err != nil:
		return fail(&Error{Message: plainText(redact(err.Error(), token), 300), cause: err})
	case int64(len(body)) > t.MaxBody:
		return fail(&Error{Message: fmt.Sprintf("the answer is larger than %d MiB", t.MaxBody>>20)})
	}

	t.learn(req.Context(), a, resp)
	if wait, limited := rateLimit(resp, body); limited {
		e := newError(t.API, req, resp, body, token)
		now := t.env.Now()
		if remaining(resp) != "0" {
			a.flight.halve(sent, now)
		}
		e.Until = a.gate.shut(now, sent, wait)
		t.shared(req.Context(), func(ctx context.Context, q audit.Quotas) error { return q.Refused(ctx, a.quota, e.Until) })
		return nil, e
	}
	a.gate.open(sent)
	if streams {
		resp.Body = download.stream(resp.Body, cancel)
		return resp, nil
	}
	switch {
	case isRedirect(resp.StatusCode):
		if _, err := resp.Location(); err != nil { // which would be in the client's error, and may have a signature in it
			return fail(&Error{Status: resp.StatusCode, Message: "redirects to an address that is none"})
		}
	case resp.StatusCode == http.StatusNotModified && req.Header.Get("If-None-Match") != "":
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		e := newError(t.API, req, resp, body, token)
		if s := resp.Header.Get("Retry-After"); s != "" {
			e.retryAfter = retryAfter(s, serverTime(resp, t.env.Now()))
		}
		return nil, e
	case looksHTML(body):
		return fail(&Error{Message: "answered HTML, not the API: check " + t.BaseVar})
	case !looksJSON(body):
		return fail(&Error{Message: "answered something else than JSON: check " + t.BaseVar})
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	for _, h := range []string{"X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
		resp.Header.Del(h) // go-github would refuse calls by itself
	}
	tidyLinks(resp.Header)
	return resp, nil
}

var link = lazyregexp.New(`<([^<>]*)>[^<]*?\brel="?(first|prev|next|last)\b`)

// tidyLinks leaves of a Link header (RFC 8288) what both client libraries can read: go-gitlab panics at a link without rel=, and both
// split addresses at commas.
func tidyLinks(h http.Header) {
	var tidy []string
	for _, m := range link().FindAllStringSubmatch(strings.Join(h.Values("Link"), ", "), -1) {
		tidy = append(tidy, "<"+strings.NewReplacer(",", "%2C", ";", "%3B").Replace(m[1])+`>; rel="`+m[2]+`"`)
	}
	h.Del("Link")
	if len(tidy) > 0 {
		h.Set("Link", strings.Join(tidy, ", "))
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func looksHTML(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n\ufeff"), []byte("<"))
}

func looksJSON(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) == 0 || strings.IndexByte(`{["0123456789-tfn`, body[0]) >= 0
}

// longest is the longest pause a forge can ask for; what it means is "not now".
const longest = 24 * time.Hour

// rateLimit tells whether an answer refuses a request for its rate, and how long the forge asks to wait; 0 if it does not say.
// GitHub refuses with 403 as well as 429 (docs.github.com/rest: "Rate limits for the REST API"), GitLab with 429.
func rateLimit(resp *http.Response, body []byte) (wait time.Duration, limited bool) {
	after := resp.Header.Get("Retry-After")
	if resp.StatusCode == http.StatusOK {
		primary, limited := graphLimit(body)
		if !limited {
			return 0, false
		}
		if b, ok := budgetOf(resp, time.Now(), 100); primary && after == "" && !(ok && b.remaining == 0) {
			return graphWindow, true
		}
	} else if resp.StatusCode != http.StatusTooManyRequests {
		if resp.StatusCode != http.StatusForbidden {
			return 0, false
		}
		said := strings.ToLower(message(body))
		if after == "" && remaining(resp) != "0" && !strings.Contains(said, "rate limit") && !strings.Contains(said, "abuse detection") {
			return 0, false
		}
	}
	if after != "" {
		return max(retryAfter(after, serverTime(resp, time.Now())), time.Second), true
	}
	if b, ok := budgetOf(resp, time.Now(), 100); ok && b.remaining == 0 {
		return max(b.wait, time.Second), true
	}
	return 0, true
}

// graphWindow is how long GitHub counts what a credential has asked of GraphQL.
const graphWindow = time.Hour

// graphLimit tells whether an answer of GraphQL, which is a success otherwise, refuses a query for its rate, and whether for the primary limit, which
// its type says; the secondary ones are told by words alone (docs.github.com/graphql: "Rate limits and query limits for the GraphQL API").
func graphLimit(body []byte) (primary, limited bool) {
	if !bytes.Contains(body, []byte("RATE_LIMIT")) && !bytes.Contains(body, []byte("rate limit")) {
		return false, false
	}
	var answer struct {
		Errors []struct{ Type, Message string }
	}
	if json.Unmarshal(body, &answer) != nil {
		return false, false
	}
	for _, e := range answer.Errors {
		secondary := strings.Contains(e.Message, "secondary rate limit")
		limited = limited || secondary || strings.HasPrefix(e.Type, "RATE_LIMIT")
		primary = primary || strings.HasPrefix(e.Type, "RATE_LIMIT") && !secondary
	}
	return primary, limited
}

func remaining(resp *http.Response) string {
	return firstOf(resp.Header, "X-RateLimit-Remaining", "RateLimit-Remaining")
}

// A budget is what an answer says of a quota.
type budget struct {
	resource                  string // "" if it does not say
	limit, remaining, reserve int    // limit is 0 if it does not say
	wait                      time.Duration
	reset                     time.Time // on our clock
}

func (b budget) ours() int { return b.remaining - b.reserve }

// budgetOf reads it, if it is there. percent of the limit are ours.
func budgetOf(resp *http.Response, now time.Time, percent int) (b budget, ok bool) {
	reset, err := strconv.ParseInt(firstOf(resp.Header, "X-RateLimit-Reset", "RateLimit-Reset"), 10, 64)
	if err != nil {
		return b, false
	}
	if b.remaining, err = strconv.Atoi(remaining(resp)); err != nil || b.remaining < 0 {
		return b, false
	}
	if b.limit, err = strconv.Atoi(firstOf(resp.Header, "X-RateLimit-Limit", "RateLimit-Limit")); err != nil || b.limit < 0 || b.limit > maxLimit {
		b.limit = 0
	}
	b.reserve = b.limit - b.limit*percent/100
	b.resource = plainText(resp.Header.Get("X-RateLimit-Resource"), 40)
	// The forge's clock decides, not ours: the reset time is on it.
	b.wait = clamp(time.Unix(reset, 0).Sub(serverTime(resp, now)))
	b.reset = now.Add(b.wait)
	return b, b.wait > 0 || b.remaining == 0
}

// maxLimit is more than any forge grants; reckoning with it does not overflow.
const maxLimit = 1 << 30

func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return clamp(time.Duration(min(max(n, 0), int64(longest/time.Second))) * time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return clamp(at.Sub(now))
	}
	return 0
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), longest) }

func serverTime(resp *http.Response, otherwise time.Time) time.Time {
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return at
	}
	return otherwise
}

// A gate keeps requests back while a rate limit holds.
type gate struct {
	mu      sync.Mutex
	until   time.Time
	shutAt  time.Time
	strikes int  // refusals in a row
	told    bool // somebody was told of this wait
}

func (g *gate) shutUntil() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until
}

// tell tells whether nobody was told of this wait before.
func (g *gate) tell() (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first, g.told = !g.told, true
	return first
}

// manyStrikes is after how many refusals in a row the forge's own word on how long to wait is no longer believed.
const manyStrikes = 5

// hopeless tells whether the forge refuses whatever it is asked.
func (g *gate) hopeless() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strikes > manyStrikes
}

// shut closes the gate after a refusal of a request that was sent at sent. The forge's own word counts, at least a minute where it
// gives none; each further refusal in a row lengthens the wait, so that a forge that refuses for ever is soon left alone.
func (g *gate) shut(now, sent time.Time, wait time.Duration) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	late := sent.Before(g.shutAt) // one of many that were under way together when the first was refused
	if !late {
		g.strikes++
	}
	switch {
	case wait == 0 && late:
		return g.until
	case wait == 0:
		wait = time.Minute << min(g.strikes-1, 10)
	case g.strikes > manyStrikes:
		wait = max(wait, time.Second<<min(g.strikes, 16))
	}
	g.extend(now, wait)
	return g.until
}

func (g *gate) shutTill(now, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.extend(now, until.Sub(now))
}

func (g *gate) extend(now time.Time, wait time.Duration) {
	g.shutAt = now
	if until := now.Add(wait); until.After(g.until) {
		g.until, g.told = until, false
	}
}

// open notes a request that was not refused.
func (g *gate) open(sent time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !sent.Before(g.shutAt) {
		g.strikes = 0
	}
}
