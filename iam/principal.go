package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// principals are those that a statement names. See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html.
type principals struct {
	not       bool
	everyone  bool
	aws       []string
	service   []string
	federated []string
}

func parsePrincipals(raw json.RawMessage) (*principals, error) {
	p := &principals{}
	if string(raw) == `"*"` {
		p.everyone = true
		return p, nil
	}
	kinds, err := objectOf(raw)
	if err != nil {
		return nil, err
	}
	if len(kinds) == 0 {
		return nil, errors.New("nobody is named")
	}
	for _, k := range kinds {
		names, err := stringsOf(k.value)
		if err != nil {
			return nil, fmt.Errorf("%.100s: %w", k.name, err)
		}
		switch strings.ToLower(k.name) {
		case "aws":
			for _, name := range names {
				if name == "*" {
					p.everyone = true
				} else {
					p.aws = append(p.aws, name)
				}
			}
		case "service":
			p.service = names
		case "federated":
			p.federated = names
		case "canonicaluser": // which is an account's, and is not told of which
		default:
			return nil, fmt.Errorf("unknown kind of principal %.100q", k.name)
		}
	}
	return p, nil
}

// A naming is how a principal is meant by a statement; later ones are narrower.
type naming int8

const (
	unnamed     naming = iota
	asAccount          // by the account, which may hand the right on
	asEveryone         // by *
	asRole             // a session by its role
	asPrincipal        // by itself
)

// name tells how the principals name one.
func (p *principals) name(of *Principal) (best naming) {
	if p.everyone {
		best = asEveryone
	}
	for _, n := range p.aws {
		switch {
		case n == of.ARN && of.ARN != "" && of.Kind != WebIdentity && of.Kind != SAML, of.Kind == Root && of.in(n):
			best = max(best, asPrincipal)
		case of.Kind == Session && n == of.Role:
			best = max(best, asRole)
		case of.in(n):
			best = max(best, asAccount)
		}
	}
	switch of.Kind {
	case Service:
		for _, n := range p.service {
			if n == of.Service || n == "*" {
				best = asPrincipal
			}
		}
	case WebIdentity, SAML:
		for _, n := range p.federated {
			if n == of.ARN || n == "*" {
				best = asPrincipal
			}
		}
	}
	return best
}

// in tells whether a name is that of the principal's account.
func (of *Principal) in(name string) bool {
	return of.Account != "" && (name == of.Account || strings.HasPrefix(name, "arn:") && strings.HasSuffix(name, ":iam::"+of.Account+":root"))
}

// indexed are the ARNs that principals name, of accounts their numbers; everyone is whether that does not say whom they let in.
func (p *principals) indexed() (names []string, everyone bool) {
	if p == nil {
		return nil, false
	}
	for _, n := range p.aws {
		if parts := strings.SplitN(n, ":", arnParts); len(parts) == arnParts && parts[5] == "root" {
			n = parts[4]
		}
		names = append(names, n)
	}
	return names, p.everyone || p.not
}

// spares tells whether a NotPrincipal leaves one out. It has to name the account and, of a session, the role and the session as well: else it hits them.
func (p *principals) spares(of *Principal) Tri {
	if p.everyone {
		return Yes
	}
	account, self := slices.ContainsFunc(p.aws, of.in), slices.Contains(p.aws, of.ARN)
	switch of.Kind {
	case User, Federated:
		return part(account, self)
	case Session:
		return part(account, slices.Contains(p.aws, of.Role), self)
	case Root:
		return truth(account)
	}
	return truth(p.name(of) != unnamed)
}

// part is Yes if all hold and No if none does.
func part(all ...bool) Tri {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	switch n {
	case 0:
		return No
	case len(all):
		return Yes
	}
	return Maybe
}
