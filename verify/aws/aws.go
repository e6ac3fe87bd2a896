// Package aws judges found AWS access keys: what the key id alone tells, whether the key works, and what it opens.
//
// [New] makes the verifier. How far it goes is a [Mode]: offline it reads only the key id, and nobody hears of it; live it
// calls STS and IAM with the found key, by reads from a fixed list and nothing else. [Events] tells beforehand what that
// leaves in the account's CloudTrail.
package aws

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/leakreach/leakreach/audit"
)

// Mode says how far a verification may go.
type Mode string

// The modes.
const (
	Offline Mode = "offline" // the key id's shape, its account, the list of canaries
	Owner   Mode = "owner"   // offline, until the auditor's own credentials can be asked; the verdict says so
	Live    Mode = "live"    // also uses the found key, for reads only
)

// Options choose what the verifier may do. The zero value is offline.
type Options struct {
	Mode Mode
	// Region to call; "" is the one found beside the key where that is known to be open to every account, else AWS_REGION,
	// AWS_DEFAULT_REGION, us-east-1.
	Region string
	// Endpoint to call instead of Amazon's, for STS and IAM; "" is AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_IAM, then
	// AWS_ENDPOINT_URL, then Amazon's own.
	Endpoint string
	// CanaryAccounts and CanaryKeys are never called, beside the accounts that are known to host canaries.
	CanaryAccounts, CanaryKeys []string
	// Accounts are the ones the user may test. If there are any, a key of another account is not called: that would be an
	// access to somebody else's account.
	Accounts []string
	// TimeLimit for all that is asked about one key; 0 is DefaultTimeLimit.
	TimeLimit time.Duration
	// Sleep waits between two tries on a key and between simulations; nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// DefaultTimeLimit covers ten candidates with the pause between them, and a scope of some fifty reads.
const DefaultTimeLimit = 2 * time.Minute

// Verifier judges secrets of kind [audit.KindAWSKey]. It is safe for concurrent use.
type Verifier struct {
	env      audit.Env
	opts     Options
	canaries map[string]string
	broken   error                // what every verification ends with: the list of canaries is unreadable
	backoff  retry.BackoffDelayer // nil for the SDK's

	mu   sync.Mutex
	keys map[string]*turn
}

// New makes a verifier. Nothing is read or called before the first Verify.
func New(env audit.Env, opts Options) *Verifier {
	if opts.TimeLimit <= 0 {
		opts.TimeLimit = DefaultTimeLimit
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep
	}
	v := &Verifier{env: env, opts: opts, keys: map[string]*turn{}}
	v.canaries, v.broken = canaries(opts.CanaryAccounts, opts.CanaryKeys)
	return v
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{audit.KindAWSKey} }

// Verify implements [audit.Verifier]. Where one of several candidates turns out to be the key's secret half, s is given its
// value. The error is that of ctx, or wraps [audit.ErrUsage] for settings that cannot be used; whatever the network and AWS
// do is a verdict.
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	if v.broken != nil {
		return audit.Verdict{}, v.broken
	}
	verdict, why := v.offline(s)
	if verdict.Validity == audit.Canary || v.opts.Mode != Live {
		return verdict, nil
	}
	if why != "" {
		verdict.Facts["reason"] = why
		return verdict, nil
	}
	return v.live(ctx, s, verdict)
}

// offline is what can be said without asking anybody, and why the key must not be called, if so.
func (v *Verifier) offline(s *audit.Secret) (verdict audit.Verdict, why string) {
	kind, isKey := keyKind(s.ID)
	verdict = audit.Verdict{
		Validity:  audit.Unchecked,
		How:       string(Offline),
		CheckedAt: v.env.Now().UTC(),
		Facts:     map[string]string{"key_kind": kind},
	}
	account, decoded := AccountOf(s.ID)
	if decoded {
		verdict.Facts["account"] = account
		verdict.Identity = &audit.Identity{Account: account}
	} else if isKey {
		verdict.Facts["account"] = "not in the key id"
	}
	if v.opts.Mode == Owner {
		verdict.Facts["owner"] = "owner-side verification is not part of this version; offline result"
	}
	for _, name := range []string{s.ID, account} {
		if operator, planted := v.canaries[name]; planted && name != "" {
			verdict.Validity = audit.Canary
			verdict.Facts["canary"] = operator
			verdict.Facts["reason"] = "planted to be touched: never called"
			return verdict, ""
		}
	}
	switch {
	case !isKey:
		return verdict, "not called: the id is not that of an access key (" + kind + ")"
	case !wellFormed(s.ID):
		return verdict, "not called: the key id is malformed"
	case len(v.opts.Accounts) > 0 && !decoded:
		return verdict, "not called: the key id does not tell its account, and only named accounts may be tested"
	case len(v.opts.Accounts) > 0 && !slices.Contains(v.opts.Accounts, account):
		return verdict, "not called: account " + account + " is not one of those that may be tested"
	case !s.HasValue() && len(s.Candidates()) == 0:
		return verdict, "not called: only the key id was found, not its secret"
	case kind == temporary && s.RevealPart(audit.PartSessionToken) == "":
		return verdict, "not called: a temporary key needs its session token, which was not found"
	case kind == temporary && !sendable(s.RevealPart(audit.PartSessionToken)):
		return verdict, "not called: what was found as session token is not one"
	}
	return verdict, ""
}

// Events lists the CloudTrail events that verifying one key in a mode can cause in the key's account, as "source name". Which of
// them occur depends on what the key is allowed; none of them is a write. IAM's are recorded in the partition's home region
// (us-east-1), STS's in the region that is called; the user agent is that of [audit.Env], the source address that of the caller.
func Events(m Mode) []string {
	if m != Live {
		return nil
	}
	var events []string
	for _, op := range allowed {
		events = append(events, fmt.Sprintf("%s.amazonaws.com %s", op.service, op.name))
	}
	return events
}

// A turn is the right to have the one call in flight that a key id may have.
type turn struct {
	held  chan struct{} // holds one element while somebody has the turn
	tried time.Time     // when a secret was last refused for this id; owned by the holder
}

// take waits for the turn on a key id. Two secrets tried on one id at a time give a false SignatureDoesNotMatch.
func (v *Verifier) take(ctx context.Context, id string) (*turn, error) {
	v.mu.Lock()
	t := v.keys[id]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		v.keys[id] = t
	}
	v.mu.Unlock()
	select {
	case t.held <- struct{}{}:
		return t, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *turn) release() { <-t.held }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
