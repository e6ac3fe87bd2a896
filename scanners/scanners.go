// Package scanners is the list of all that can be wrong with an item.
package scanners

import (
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/cloud"
	"github.com/leakreach/leakreach/scanners/components"
	"github.com/leakreach/leakreach/scanners/definitions"
	"github.com/leakreach/leakreach/scanners/leftovers"
	"github.com/leakreach/leakreach/scanners/secrets"
	"github.com/leakreach/leakreach/scanners/settings"
)

// All returns every scanner, or those that have the rules that were asked for. It fails only on a configuration that cannot be read, or a rule
// that no scanner has.
func All(o secrets.Options) (all []audit.Scanner, err error) {
	judge := settings.New(o.Rules)
	read, err := definitions.New(o.Rules)
	if err != nil {
		return nil, err
	}
	left, err := leftovers.New(o.Rules)
	if err != nil {
		return nil, err
	}
	learned, err := components.New(o.Rules)
	if err != nil {
		return nil, err
	}
	accounts := cloud.New(o.Rules)
	asked := len(o.Rules) > 0
	known := slices.Concat(judge.Rules(), read.Rules(), left.Rules(), learned.Rules(), accounts.Rules())
	o.Rules = slices.DeleteFunc(slices.Clone(o.Rules), func(id string) bool {
		return slices.ContainsFunc(known, func(r audit.Rule) bool { return r.ID == id })
	})
	if !asked || len(o.Rules) > 0 {
		s, err := secrets.New(o)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(read.Rules()) > 0 {
		all = append(all, read)
	}
	if len(left.Rules()) > 0 {
		all = append(all, left)
	}
	if len(learned.Rules()) > 0 {
		all = append(all, learned)
	}
	if len(accounts.Rules()) > 0 {
		all = append(all, accounts)
	}
	if len(judge.Rules()) > 0 {
		all = append(all, judge)
	}
	return all, nil
}
