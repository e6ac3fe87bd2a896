// Package scanners is the list of all that can be wrong with an item.
package scanners

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets"
)

// All returns every scanner. It fails only on a configuration that cannot be read.
func All(o secrets.Options) ([]audit.Scanner, error) {
	s, err := secrets.New(o)
	if err != nil {
		return nil, err
	}
	return []audit.Scanner{s}, nil
}
