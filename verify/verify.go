// Package verify is the list of verifiers: what learns whether a found secret works, and what it opens.
package verify

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws"
)

// Options say how far verification may go. The zero value is offline.
type Options struct {
	Mode   string // offline, owner, live
	Region string // of the cloud to call; "" is decided per key
	// Accounts are the ones the user may test; if there are any, keys of other accounts are not called.
	Accounts []string
	// CanaryAccounts and CanaryKeys were planted to be touched, beside those that are known.
	CanaryAccounts, CanaryKeys []string
}

// All returns every verifier there is.
func All(env audit.Env, opts Options) []audit.Verifier {
	return []audit.Verifier{
		aws.New(env, aws.Options{
			Mode:           aws.Mode(opts.Mode),
			Region:         opts.Region,
			Accounts:       opts.Accounts,
			CanaryAccounts: opts.CanaryAccounts,
			CanaryKeys:     opts.CanaryKeys,
		}),
	}
}

// Events lists what verifying a key in a mode can leave in the logs of the account that the key belongs to.
func Events(mode string) []string { return aws.Events(aws.Mode(mode)) }
