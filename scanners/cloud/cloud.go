// Package cloud judges what accounts of clouds let pipelines do, by what was read of them: without entries of kind [audit.KindTrust] in the inventory nothing is said here.
//
// A newcomer starts with [New] and with oidc_trust_too_broad.go, which has the rule's text and what it says of an entry.
package cloud

import (
	"iter"
	"slices"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A Scanner judges accounts.
type Scanner struct{ rules []audit.Rule }

var _ audit.Surveyor = (*Scanner)(nil)

// New makes a scanner with the rules of some ids; none means all. Ids of other scanners' rules are none of its own.
func New(ids []string) *Scanner {
	if len(ids) > 0 && !slices.Contains(ids, oidcTrustTooBroad.ID) {
		return &Scanner{}
	}
	return &Scanner{[]audit.Rule{oidcTrustTooBroad}}
}

// Rules lists the rules by id.
func (s *Scanner) Rules() []audit.Rule { return s.rules }

// Wants takes no content: all is in the inventory.
func (s *Scanner) Wants(audit.Item) bool { return false }

// Scan finds nothing in a single item.
func (s *Scanner) Scan(audit.Item, []byte) ([]audit.Finding, []audit.Gap) { return nil, nil }

// Survey judges each role, which come first.
func (s *Scanner) Survey(_ time.Time, holdings iter.Seq[audit.Holding]) (found []audit.Finding) {
	if len(s.rules) == 0 {
		return nil
	}
	for h := range holdings {
		if h.Coverage.Target != "" {
			break
		}
		for i := range h.Inventory {
			if e := &h.Inventory[i]; e.Kind == audit.KindTrust && e.Facts["problems"] != "" {
				found = append(found, tooBroad(e))
			}
		}
	}
	return found
}
