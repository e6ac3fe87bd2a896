package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A Quota is what is known of one.
type Quota struct {
	audit.Quota           // without Budget
	Limit       int       // 0 if no answer has told it
	Remaining   int       // until Reset
	Reserve     int       // of it, what is left to people
	Reset       time.Time // when it is filled again
	Until       time.Time // no request is sent before; zero if some are
}

// remembered is how long after its last reset a quota may still be in use: GitHub's windows, the longest, last an hour.
const remembered = 2 * time.Hour

// Quotas lists the quotas that were lately in use.
func (s *Store) Quotas(ctx context.Context, now time.Time) ([]Quota, error) {
	all, err := query(ctx, s.db, `SELECT api, host, credential, resource, quota, remaining, reserve, resets_at, paused_until FROM quotas
		WHERE resets_at > $1 OR paused_until > $1 ORDER BY api, host, credential, resource`, func(rows *sql.Rows) (q Quota, err error) {
		var reset, paused int64
		err = rows.Scan(&q.API, &q.Host, &q.Credential, &q.Resource, &q.Limit, &q.Remaining, &q.Reserve, &reset, &paused)
		q.Reset = time.UnixMilli(reset).UTC()
		if !q.Reset.After(now) {
			q.Remaining = q.Limit // nobody has asked since
		}
		if q.Limit > 0 && q.Remaining <= q.Reserve {
			q.Until = q.Reset
		}
		if until := time.UnixMilli(paused).UTC(); until.After(now) && until.After(q.Until) {
			q.Until = until
		}
		if q.Until.After(now.Add(longest)) { // a clock was wrong: see begin
			q.Until = time.Time{}
		}
		return q, err
	}, now.Add(-remembered).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("reading quotas: %w", err)
	}
	return all, nil
}

// QuotaUntil says until when no request can be sent to an API: zero if some can, as far as is known. Only quotas that this process has counted in
// are its own; another may be of a credential that is no longer used.
func (s *Store) QuotaUntil(ctx context.Context, api string, now time.Time) (until time.Time, err error) {
	all, err := s.Quotas(ctx, now)
	for _, q := range all {
		switch {
		case q.API != api || !s.counts(q.Quota):
		case q.Until.IsZero():
			return time.Time{}, err
		case until.IsZero() || q.Until.Before(until):
			until = q.Until
		}
	}
	return until, err
}

// Counter counts requests in the store for this process.
func (s *Store) Counter(now func() time.Time) audit.Quotas {
	return &counter{store: s, now: now, lots: map[audit.Quota]*lot{}}
}

// A counter borrows requests in lots, so that not each of them is a round trip to the database.
//
// What is lent stays so until the process has told what the answers said. The API counts a request before it answers it, so of the answers
// that were told, the one that says the least has all of them in it: what then remains, less what is lent, is never more than the truth,
// in whatever order answers come. Requests that cost nothing, such as conditional ones, give back what they borrowed.
type counter struct {
	store *Store
	now   func() time.Time

	mu   sync.Mutex
	lots map[audit.Quota]*lot
}

// A lot is what a process has of a quota.
type lot struct {
	mu    sync.Mutex // held while the database is asked: others would ask the same
	left  int        // borrowed and not taken
	ends  time.Time  // what is left is given back
	reset time.Time  // it was borrowed until then at the latest
	blind bool       // no answer has told yet what is granted

	unlent   int // taken without having been lent, as nobody knew
	spare    int // lent, and given back without having been taken
	answered int // requests that told says of
	told     answer
}

type answer struct {
	limit, remaining, reserve int
	reset                     time.Time
}

func (a answer) ours() int { return a.remaining - a.reserve }

const (
	// longest is more than a forge is believed to want one to wait, which is a day. What is further away was noted by a wrong clock.
	longest = 25 * time.Hour
	// lotSize is how many requests are borrowed at once: ten make the database a tenth as busy, and a process that dies takes no more than
	// that with it, of thousands.
	lotSize = 10
	// lotTime is how long: what one process does not use, another may need, and a pause that one was told is soon known to all.
	lotTime = 5 * time.Second
	// sameWindow is how far two answers may differ about one reset: clocks do, and answers take their time. Windows are at least a minute long.
	sameWindow = 10 * time.Second
	// unknownWindow is how long a quota that was filled again is guessed to last, until the first answer says it.
	unknownWindow = time.Minute
)

// counts tells whether requests of this process have counted in a quota.
func (s *Store) counts(q audit.Quota) bool {
	_, ok := s.counted.Load(q)
	return ok
}

func (c *counter) lot(q audit.Quota) *lot {
	q.Budget = 0
	c.store.counted.Store(q, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lots[q]
	if l == nil {
		l = &lot{}
		c.lots[q] = l
	}
	return l
}

// Take takes a request out of the lot, or borrows another.
func (c *counter) Take(ctx context.Context, q audit.Quota) (until time.Time, err error) {
	l := c.lot(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := c.now()
	if l.left > 0 && now.Before(l.ends) {
		l.take()
		return time.Time{}, nil
	}
	l.drop(now)
	if err := c.report(ctx, q, l); err != nil {
		return time.Time{}, err
	}
	return c.borrow(ctx, q, l, now)
}

func (l *lot) take() {
	l.left--
	if l.blind {
		l.unlent++
	}
}

// drop gives up what is left.
func (l *lot) drop(now time.Time) {
	switch {
	case !now.Before(l.reset): // what was lent before is forgotten
		l.spare = 0
	case !l.blind:
		l.spare += l.left
	}
	l.left = 0
}

// Told notes what an answer said. It is stored with that of later ones, unless it is news to others.
func (c *counter) Told(ctx context.Context, q audit.Quota, limit, remaining int, reset time.Time) error {
	l := c.lot(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := answer{limit, remaining, limit - limit*q.Budget/100, reset}
	switch {
	case l.answered == 0 || a.reset.After(l.told.reset.Add(sameWindow)):
		l.answered, l.told = 1, a
	case a.reset.Before(l.told.reset.Add(-sameWindow)): // one of the window before
		return nil
	default:
		l.answered++
		if a.ours() < l.told.ours() {
			l.told = answer{a.limit, a.remaining, a.reserve, l.told.reset}
		}
	}
	fresh := a.reset.After(l.reset.Add(sameWindow))
	if fresh || a.ours() <= 0 {
		l.drop(c.now())
	}
	switch {
	case fresh:
		return errors.Join(c.report(ctx, q, l), c.forget(ctx))
	case a.ours() <= 0, l.answered >= lotSize:
		return c.report(ctx, q, l)
	}
	return nil
}

// Refused notes a pause.
func (c *counter) Refused(ctx context.Context, q audit.Quota, until time.Time) error {
	l := c.lot(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(c.now())
	_, err := c.store.db.ExecContext(ctx, `INSERT INTO quotas (api, host, credential, resource, paused_until) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (api, host, credential, resource) DO UPDATE SET paused_until = excluded.paused_until WHERE excluded.paused_until > quotas.paused_until`,
		q.API, q.Host, q.Credential, q.Resource, until.UnixMilli())
	if err != nil {
		return fmt.Errorf("storing a pause: %w", err)
	}
	return nil
}

// An answer is of the same window as what is stored, and says no less than that.
const (
	same  = `quotas.told = 1 AND excluded.resets_at <= quotas.resets_at + $10`
	knows = `(` + same + ` AND quotas.remaining - quotas.reserve <= excluded.remaining - excluded.reserve)`
)

// report stores what answers have told, and gives back what they had borrowed.
func (c *counter) report(ctx context.Context, q audit.Quota, l *lot) error {
	if l.answered == 0 {
		return nil
	}
	a, back := l.told, l.answered+l.spare-l.unlent
	_, err := c.store.db.ExecContext(ctx, `INSERT INTO quotas (api, host, credential, resource, quota, remaining, reserve, resets_at, lent, told)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $11, 1)
		ON CONFLICT (api, host, credential, resource) DO UPDATE SET
			quota     = CASE WHEN `+knows+` THEN quotas.quota ELSE excluded.quota END,
			remaining = CASE WHEN `+knows+` THEN quotas.remaining ELSE excluded.remaining END,
			reserve   = CASE WHEN `+knows+` THEN quotas.reserve ELSE excluded.reserve END,
			lent      = CASE WHEN quotas.told = 1 AND NOT (`+same+`) THEN excluded.lent WHEN quotas.lent < $9 THEN 0 ELSE quotas.lent - $9 END,
			resets_at = CASE WHEN `+same+` THEN quotas.resets_at ELSE excluded.resets_at END,
			told      = 1
		WHERE quotas.told = 0 OR excluded.resets_at >= quotas.resets_at - $10`,
		q.API, q.Host, q.Credential, q.Resource, a.limit, a.remaining, a.reserve, a.reset.UnixMilli(), back, sameWindow.Milliseconds(), max(-back, 0))
	if err != nil {
		return fmt.Errorf("storing a quota: %w", err)
	}
	l.answered, l.spare, l.unlent, l.blind, l.reset = 0, 0, 0, false, a.reset
	return nil
}

// forget drops quotas that have long not been in use: each job of a CI has a credential of its own.
func (c *counter) forget(ctx context.Context) error {
	_, err := c.store.db.ExecContext(ctx, `DELETE FROM quotas WHERE resets_at <= $1 AND paused_until <= $1`, c.now().Add(-remembered).UnixMilli())
	if err != nil {
		return fmt.Errorf("dropping old quotas: %w", err)
	}
	return nil
}

// borrow takes a lot out of the quota, and one request out of that.
func (c *counter) borrow(ctx context.Context, q audit.Quota, l *lot, now time.Time) (until time.Time, err error) {
	far := now.Add(longest).UnixMilli()
	for _, n := range []int{lotSize, 1} {
		var reset int64
		err := c.store.db.QueryRowContext(ctx, `UPDATE quotas SET
				remaining = CASE WHEN resets_at > $5 THEN remaining ELSE quota END,
				lent      = CASE WHEN resets_at > $5 THEN lent ELSE 0 END + $6,
				told      = CASE WHEN resets_at > $5 THEN told ELSE 0 END,
				resets_at = CASE WHEN resets_at > $5 THEN resets_at ELSE $5 + $7 END
			WHERE api = $1 AND host = $2 AND credential = $3 AND resource = $4 AND paused_until <= $5 AND resets_at <= $8
				AND quota > 0 AND (resets_at <= $5 AND quota - reserve >= $6 OR remaining - reserve - lent >= $6)
			RETURNING resets_at`,
			q.API, q.Host, q.Credential, q.Resource, now.UnixMilli(), n, unknownWindow.Milliseconds(), far).Scan(&reset)
		if err == nil {
			l.left, l.ends, l.reset, l.blind = n, now.Add(lotTime), time.UnixMilli(reset), false
			l.take()
			if l.reset.Before(l.ends) {
				l.ends = l.reset
			}
			return time.Time{}, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return time.Time{}, fmt.Errorf("taking of a quota: %w", err)
		}
	}
	var x Quota
	var reset, paused int64
	err = c.store.db.QueryRowContext(ctx, `SELECT quota, remaining, reserve, resets_at, paused_until FROM quotas
		WHERE api = $1 AND host = $2 AND credential = $3 AND resource = $4`, q.API, q.Host, q.Credential, q.Resource).
		Scan(&x.Limit, &x.Remaining, &x.Reserve, &reset, &paused)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, fmt.Errorf("reading a quota: %w", err)
	}
	if reset > far || paused > far {
		return time.Time{}, c.begin(ctx, q, l, now, far)
	}
	switch {
	case paused > now.UnixMilli():
		return time.UnixMilli(paused), nil
	case x.Limit == 0:
		l.guess(now)
		return time.Time{}, nil
	case x.Remaining <= x.Reserve:
		return time.UnixMilli(reset), nil
	}
	// The rest is lent, and some of that may come back.
	until = now.Add(lotTime)
	if end := time.UnixMilli(reset); end.Before(until) {
		until = end
	}
	return until, nil
}

// guess is for a quota of which nobody knows.
func (l *lot) guess(now time.Time) {
	l.left, l.ends, l.reset, l.blind = lotSize, now.Add(lotTime), time.Time{}, true
	l.take()
}

// begin forgets what a process noted whose clock was wrong: else nobody could use the credential until then.
func (c *counter) begin(ctx context.Context, q audit.Quota, l *lot, now time.Time, far int64) error {
	_, err := c.store.db.ExecContext(ctx, `DELETE FROM quotas WHERE api = $1 AND host = $2 AND credential = $3 AND resource = $4
		AND (resets_at > $5 OR paused_until > $5)`, q.API, q.Host, q.Credential, q.Resource, far)
	if err != nil {
		return fmt.Errorf("forgetting a quota: %w", err)
	}
	l.guess(now)
	return nil
}
