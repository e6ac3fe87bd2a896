package forge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A Credential is one that requests can go with.
type Credential struct {
	Name  string                                // which one it is, without telling it, such as "token 2 of GH_TOKEN"
	ID    string                                // by which its quotas are shared; "" for a digest of the token. It tells no secret
	Token func(context.Context) (string, error) // as Config.Token
	// Renew, if not nil, hears of a token that was not accepted, and of the answer that said so. It tells whether Token has another one now.
	Renew func(token string, refusal *Error) bool
}

// Tokens are the credentials in the environment variable name, which are separated by commas: see [Token].
func Tokens(name, value string) (all []*Credential, err error) {
	parts := strings.Split(value, ",")
	for i, part := range parts {
		token, err := Token(name, part)
		if err != nil {
			return nil, err
		}
		if token == "" {
			continue
		}
		c := &Credential{Name: name, Token: Static(token)}
		if len(parts) > 1 {
			c.Name = fmt.Sprintf("token %d of %s", i+1, name)
		}
		all = append(all, c)
	}
	return all, nil
}

// Any offers all of some credentials for every request; nil for none.
func Any(all []*Credential) func(*http.Request) ([]*Credential, error) {
	if len(all) == 0 {
		return nil
	}
	return func(*http.Request) ([]*Credential, error) { return all, nil }
}

type withKey struct{}

// With returns a context whose requests go with one credential and no other.
func With(ctx context.Context, c *Credential) context.Context {
	return context.WithValue(ctx, withKey{}, c)
}

type repeatKey struct{}

// Repeatable returns a context whose requests are sent again after a passing fault, whatever their method: those that change nothing, or that
// may be made twice.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatKey{}, true)
}

func isRepeatable(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Context().Value(repeatKey{}) != nil
}

type orderKey struct{}

// InOrder returns a context whose requests go with the first of several credentials that may see what is asked for, however much is left of its
// quota: pages of one listing, of which each credential may see another part, are not mixed, and answers have the entity tags they had,
// which on GitHub are made of the token, too. Which one is the first, key decides; with "", it is the first in the list.
func InOrder(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, orderKey{}, key)
}

// TokenThatSees returns the token of the first of several credentials that see finds something with; "" without any. A single one is not tried.
func TokenThatSees(ctx context.Context, all []*Credential, see func(context.Context) error) (token string, err error) {
	for _, c := range all {
		if len(all) > 1 {
			err = see(With(ctx, c))
		}
		if err == nil {
			return c.Token(ctx)
		}
	}
	return "", Plain(err)
}

// An account is a credential with what is known of its quota.
type account struct {
	*Credential
	quota  audit.Quota
	gate   gate
	flight flight

	mu      sync.Mutex
	left    int  // of what is ours, as answers said last
	refused bool // the credential is not accepted
}

// account returns the one of a credential.
func (t *transport) account(ctx context.Context, c *Credential) (*account, error) {
	t.mu.Lock()
	a := t.accounts[c]
	t.mu.Unlock()
	if a != nil {
		return a, nil
	}
	a = &account{Credential: c, left: math.MaxInt, flight: flight{most: t.AtOnce, limit: t.AtOnce}}
	a.quota = audit.Quota{API: t.API, Host: t.Base.Host, Credential: c.ID, Resource: t.Resource, Budget: t.Budget}
	switch {
	case c.Token == nil:
		a.quota.Budget = 100 // without one there is nobody to leave anything to
	case c.ID == "":
		token, err := c.Token(ctx)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256([]byte("quota\x00" + token)) // of something long and random: nobody can guess it
		a.quota.Credential = hex.EncodeToString(digest[:16])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.accounts[c]; first != nil {
		return first, nil
	}
	t.accounts[c] = a
	return a, nil
}

// accountsFor are those that a request can go with.
func (t *transport) accountsFor(req *http.Request) (all []*account, err error) {
	credentials := t.only
	if c, ok := req.Context().Value(withKey{}).(*Credential); ok {
		credentials = []*Credential{c}
	} else if t.Credentials != nil {
		if credentials, err = t.Credentials(req); err != nil {
			return nil, err
		}
	}
	if key, ok := req.Context().Value(orderKey{}).(string); ok && key != "" && len(credentials) > 1 {
		sum := sha256.Sum256([]byte(key))
		n := int(binary.BigEndian.Uint32(sum[:]) % uint32(len(credentials)))
		credentials = slices.Concat(credentials[n:], credentials[:n])
	}
	for _, c := range credentials {
		a, err := t.account(req.Context(), c)
		if err != nil {
			return nil, err
		}
		if _, refused := a.state(); !refused || len(all) == 0 && c == credentials[len(credentials)-1] {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil, &Error{API: t.API, Method: req.Method, URL: plainURL(req.URL), Message: "no credential is meant for it"}
	}
	return all, nil
}

func (a *account) state() (left int, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left, a.refused
}

// drop makes an account the last one to be asked. It tells whether it was not before.
func (a *account) drop() (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, a.refused = !a.refused, true
	return first
}

// told notes what is left.
func (a *account) told(b budget) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = b.ours()
}

func (a *account) token(ctx context.Context) (string, error) {
	if a.Token == nil {
		return "", nil
	}
	return a.Token(ctx)
}

// pass waits until one of the accounts may send a request, and returns it.
func (t *transport) pass(req *http.Request, all []*account) (*account, error) {
	ctx := req.Context()
	if _, ok := ctx.Value(orderKey{}).(string); ok {
		all = all[:1] // the others are asked where it may not see
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *account) int {
		left, _ := a.state()
		other, _ := b.state()
		return cmp.Compare(other, left)
	})
	for {
		var soonest *account
		var until time.Time
		for _, a := range all {
			shut := a.gate.shutUntil()
			if !shut.After(t.env.Now()) {
				shut = t.take(ctx, a)
			}
			if !shut.After(t.env.Now()) {
				return a, ctx.Err()
			}
			if soonest == nil || shut.Before(until) {
				soonest, until = a, shut
			}
		}
		wait := max(until.Sub(t.env.Now()), 0) // it may be over by now: asking the store takes time
		if wait > t.MaxWait || wait > shortWait && soonest.gate.hopeless() {
			return nil, &Error{API: t.API, Status: http.StatusTooManyRequests, Method: req.Method, URL: plainURL(req.URL), Until: until}
		}
		if soonest.gate.tell() {
			level := slog.LevelWarn
			if wait < 10*time.Second { // nobody minds
				level = slog.LevelDebug
			}
			t.env.Log.Log(ctx, level, "waiting for the rate limit", "api", t.API, "host", t.Base.Host, "until", until.UTC().Format(time.RFC3339))
		}
		// All wait for the same moment, on many machines perhaps: they come back one after the other.
		if err := t.Sleep(ctx, wait+jitter(min(wait, max(time.Second, wait/60)))); err != nil {
			return nil, err
		}
	}
}

// away is how long a store that failed is not asked again.
const away = 30 * time.Second

// shared does something with the quotas that others count in, too. If it cannot be done, this process goes by what it has seen itself.
func (t *transport) shared(ctx context.Context, do func(context.Context, audit.Quotas) error) {
	if t.env.Quotas == nil || t.env.Now().UnixNano() < t.storeAway.Load() {
		return
	}
	// A store that hangs must not hold up what could go on without it.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := do(ctx, t.env.Quotas)
	if err == nil {
		t.storeFailed.Store(false)
		return
	}
	t.storeAway.Store(t.env.Now().Add(away).UnixNano())
	if ctx.Err() != context.Canceled && !t.storeFailed.Swap(true) {
		t.env.Log.Warn("quotas are not shared while the store does not answer", "api", t.API, "error", err)
	}
}

// take takes a request out of the shared quota, or returns until when none can be taken.
func (t *transport) take(ctx context.Context, a *account) (until time.Time) {
	t.shared(ctx, func(ctx context.Context, q audit.Quotas) (err error) {
		until, err = q.Take(ctx, a.quota)
		return err
	})
	if until.After(t.env.Now()) {
		a.gate.shutTill(t.env.Now(), until)
	}
	return until
}

// learn notes what an answer says of the quota.
func (t *transport) learn(ctx context.Context, a *account, resp *http.Response) {
	b, ok := budgetOf(resp, t.env.Now(), a.quota.Budget)
	if !ok || b.resource != "" && t.Resource != "" && b.resource != t.Resource { // it counts elsewhere
		return
	}
	if b.limit > 0 {
		t.shared(ctx, func(ctx context.Context, q audit.Quotas) error {
			return q.Told(ctx, a.quota, b.limit, b.remaining, b.reset)
		})
	}
	a.told(b)
	if b.ours() <= 0 {
		a.gate.shutTill(t.env.Now(), b.reset)
	}
}

// flight bounds how many requests are under way at once: when the forge says that it is too much, half as many as there were; then slowly more again.
type flight struct {
	limit int // most may not be more

	mu     sync.Mutex
	most   int
	now    int
	calm   int       // answers since most was last changed
	halved time.Time // when it was
	landed chan struct{}
}

// calmAnswers is after how many answers one request more is let fly: from one to ten takes five hundred.
const calmAnswers = 50

// start waits until a request may be sent.
func (f *flight) start(ctx context.Context) error {
	for {
		f.mu.Lock()
		if f.now < f.most {
			f.now++
			f.mu.Unlock()
			return nil
		}
		if f.landed == nil {
			f.landed = make(chan struct{})
		}
		landed := f.landed
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-landed:
		}
	}
}

// land notes that a request was answered, or not.
func (f *flight) land() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calm++; f.calm >= calmAnswers {
		f.most, f.calm = min(f.most+1, f.limit), 0
	}
	f.next()
}

// leave notes that a request was not sent.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next()
}

// next lets those go on that wait. f.mu is held.
func (f *flight) next() {
	f.now--
	if f.landed != nil {
		close(f.landed)
		f.landed = nil
	}
}

// halve notes that a request sent at sent was too much.
func (f *flight) halve(sent, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = 0
	if sent.Before(f.halved) {
		return // it was under way when this was known already
	}
	f.most, f.halved = max(1, (f.now+1)/2), now
}
