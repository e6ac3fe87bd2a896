// Package providers is the list of all places that secrets and weaknesses are looked for in.
package providers

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/local"
)

// Options say what of a target is read; each provider takes of them what it knows.
type Options struct {
	NoHistory bool   // leave out what is no longer there
	NoIgnores bool   // read files that an ignore file of the user names
	Since     string // a commit or a date: leave out history before it
}

// All makes every provider.
func All(env audit.Env, opts Options) []audit.Provider {
	return []audit.Provider{
		local.New(env, local.Options{NoHistory: opts.NoHistory, NoIgnores: opts.NoIgnores, Since: opts.Since}),
	}
}
