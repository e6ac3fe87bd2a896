// Package verify is the list of verifiers: what learns whether a found secret works, and what it opens.
package verify

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws"
)

// Options hold each verifier's settings.
type Options struct {
	AWS aws.Options
}

// All returns every verifier there is.
func All(env audit.Env, opts Options) []audit.Verifier {
	return []audit.Verifier{
		aws.New(env, opts.AWS),
	}
}
