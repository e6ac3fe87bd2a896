// Package aws judges found AWS access keys: what the key id alone tells, whether the key works, and what it opens.
//
// [New] makes the verifier. How far it goes is a [Mode]: offline it reads only the key id, and nobody hears of it; owner it asks
// the key's account, by credentials of the user's own, and never uses the key; live it also calls STS and IAM with the key. All calls
// are reads from a fixed list. [Verifier.Events] tells beforehand what that leaves in CloudTrail. What an identity may is judged by package iam.
package aws

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// Mode says how far a verification may go.
type Mode string

// The modes.
const (
	Offline Mode = "offline" // the key id's shape, its account, the list of canaries
	Owner   Mode = "owner"   // also asks the key's account with the auditor's credentials, where there are any; the verdict says so
	Live    Mode = "live"    // also uses the found key, for reads only
)

// Options choose what the verifier may do. The zero value is offline.
type Options struct {
	Mode Mode
	// Region to call; "" is the one found beside the key where that is known to be open to every account, else AWS_REGION,
	// AWS_DEFAULT_REGION, us-east-1.
	Region string
	// Endpoint to call instead of Amazon's, for all services; "" is AWS_ENDPOINT_URL_STS and so on, then
	// AWS_ENDPOINT_URL, then Amazon's own.
	Endpoint string
	// Profiles are those of the shared configuration whose credentials are an auditor's, one for each account, beside the SDK's default chain.
	Profiles []string
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

	chain    func(ctx context.Context, profile string) (aws.CredentialsProvider, error)
	within   func(context.Context, time.Duration) (context.Context, context.CancelFunc) // context.WithTimeout
	most     int                                                                        // bytes of an account's details: maxDetails
	policies sync.Map                                                                   // of organisations, by id

	owning     chan struct{}       // holds one element while a key's account is asked; its holder owns what follows
	audits     map[string]*auditor // by profile
	foreigners map[string]bool     // accounts, and whether they are known to be somebody else's
	known      *known

	mu         sync.Mutex
	keys       map[string]*turn
	read       map[string]*collection // what found keys could read of their accounts
	unanswered map[string]string      // accounts whose simulator does not answer, and why
}

// New makes a verifier. Nothing is read or called before the first Verify.
func New(env audit.Env, opts Options) *Verifier {
	if opts.TimeLimit <= 0 {
		opts.TimeLimit = DefaultTimeLimit
	}
	if opts.Sleep == nil {
		opts.Sleep = ask.Sleep
	}
	v := &Verifier{
		env: env, opts: opts, chain: chain, within: context.WithTimeout, most: maxDetails, owning: make(chan struct{}, 1), audits: map[string]*auditor{}, foreigners: map[string]bool{},
		keys: map[string]*turn{}, read: map[string]*collection{}, unanswered: map[string]string{},
	}
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
	if verdict.Validity == audit.Canary || v.opts.Mode != Owner && v.opts.Mode != Live {
		return verdict, nil
	}
	if why != "" {
		verdict.Facts["reason"] = why
		return verdict, nil
	}
	redact := audit.Redactor([]*audit.Secret{s}) // before s may be given another value
	if err := v.owner(ctx, s, &verdict); err != nil {
		return audit.Verdict{}, err
	}
	foreign := verdict.Facts["foreign"]
	delete(verdict.Facts, "foreign")
	switch why := unsendable(s); {
	case v.opts.Mode != Live, verdict.Validity == audit.Inactive: // the account has said so: there is no need to try
	case foreign != "":
		verdict.Facts["reason"] = "not called: " + foreign
	case why != "":
		if verdict.Validity == audit.Unchecked {
			verdict.Facts["reason"] = why
		}
	default:
		return v.live(ctx, s, verdict)
	}
	scrub(&verdict, redact)
	return verdict, nil
}

// offline is what can be said without asking anybody, and why nobody must be asked about the key, if so.
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
	}
	return verdict, ""
}

// unsendable says why a key cannot be used, if so.
func unsendable(s *audit.Secret) string {
	kind, _ := keyKind(s.ID)
	switch {
	case !s.HasValue() && len(s.Candidates()) == 0:
		return "not called: only the key id was found, not its secret"
	case kind == temporary && s.RevealPart(audit.PartSessionToken) == "":
		return "not called: a temporary key needs its session token, which was not found"
	case kind == temporary && !sendable(s.RevealPart(audit.PartSessionToken)):
		return "not called: what was found as session token is not one"
	}
	return ""
}

// An Event is an entry of CloudTrail that a verification can cause. Which of them occur depends on what the credential is allowed; none of them is a write.
type Event struct {
	Source, Name string // such as iam.amazonaws.com and GetUser
	Region       string // whose trail has it
	UserAgent    string
	Found        bool // it is caused with the found key; else with the auditor's credentials
	PerKey       bool // it is caused for each key; else once for an account
	PerResource  bool // of an account, for each of its resources
}

// Account tells in whose trail an event is.
func (e Event) Account() string {
	if e.Found {
		return "the key's account, by the key"
	}
	return "the auditor's account, by the auditor"
}

func (e Event) String() string {
	times := "once for an account"
	switch {
	case e.PerResource:
		times = fmt.Sprintf("once for each resource of an account, %d of a kind at most", maxRead)
	case e.PerKey:
		times = "for each key"
	}
	return fmt.Sprintf("%s %s in %s as %s: %s, %s", e.Source, e.Name, e.Region, e.UserAgent, e.Account(), times)
}

// Events lists the CloudTrail events that verifying can cause. IAM's and those of Organizations are recorded in the partition's home region (us-east-1),
// STS's in the region that is called, those about resources in the resources' regions. The source address is that of the caller.
func (v *Verifier) Events() (events []Event) {
	if v.opts.Mode != Owner && v.opts.Mode != Live {
		return nil
	}
	at, err := v.where("")
	if err != nil {
		return nil // nothing is sent then
	}
	for _, found := range []bool{false, true} {
		if found && v.opts.Mode != Live {
			break
		}
		for _, op := range operations {
			if !(credential{auditor: !found}).may(op) {
				continue
			}
			events = append(events, Event{
				Source: op.service + ".amazonaws.com", Name: op.event(), Region: op.region(at), UserAgent: v.env.UserAgent, Found: found, PerKey: found || op.perKey, PerResource: op.perResource(),
			})
		}
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
