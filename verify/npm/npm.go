// Package npm judges found access tokens of the npm registry: whether one works, whose it is, and which packages it may publish.
package npm

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

// registry is who issues tokens of this form. Others, such as a company's own, issue other ones.
const registry = "https://registry.npmjs.org"

// Verifier judges npm tokens. It is safe for concurrent use.
type Verifier struct{ npm ask.Service }

// New makes a verifier, which asks the registry if it is live.
func New(env audit.Env, live bool) *Verifier {
	return &Verifier{ask.Service{Env: env, Name: "npm", Address: registry, Live: live}}
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{"npm-access-token"} }

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	return v.npm.About(ctx, ask.Offline(v.npm.Env), s.Reveal(), "Authorization", "Bearer ", whose)
}

// whose asks who the token acts for, and for the packages of that user, as `npm whoami` and `npm access list packages` do.
func whose(ctx context.Context, q *ask.Inquiry) error {
	var who struct{ Username string }
	a, err := q.Get(ctx, "/-/whoami", &who)
	if err != nil {
		return err
	}
	switch {
	case a.Status == http.StatusUnauthorized:
		q.Inactive("refused by " + q.Issuer.Host() + ": revoked, expired or never issued")
		return nil
	case a.Status == http.StatusForbidden: // such as by the addresses that a token is limited to
		q.Active()
		q.Limit("it may not be used from here (403): it may be limited to some addresses")
		return nil
	case !a.OK():
		q.Unexpected(a)
		return nil
	}
	q.Active()
	q.Fact("login", who.Username)
	packages := map[string]string{}
	if a, err = q.Get(ctx, "/-/user/"+url.PathEscape(who.Username)+"/package", &packages); err != nil {
		return err
	}
	q.Limit("whether it only reads, and which packages it is limited to, cannot be read with it: what its owner may do is the upper bound")
	if !a.OK() {
		q.Limit("packages may not be listed with it (%d)", a.Status)
		return nil
	}
	writes := 0
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if packages[name] == "read-write" || packages[name] == "write" {
			writes++
		}
	}
	q.Fact("packages", fmt.Sprintf("%d, of them %d its owner publishes", len(packages), writes))
	return nil
}
