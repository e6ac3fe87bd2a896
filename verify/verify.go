// Package verify is the list of verifiers: what learns whether a found secret works, and what it opens.
package verify

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws"
	"github.com/leakreach/leakreach/verify/azure"
	"github.com/leakreach/leakreach/verify/docker"
	"github.com/leakreach/leakreach/verify/gcp"
	"github.com/leakreach/leakreach/verify/gitea"
	"github.com/leakreach/leakreach/verify/github"
	"github.com/leakreach/leakreach/verify/gitlab"
	"github.com/leakreach/leakreach/verify/npm"
	"github.com/leakreach/leakreach/verify/pypi"
)

// Options say how far verification may go. The zero value is offline.
type Options struct {
	Mode   string // offline, owner, live
	Region string // of the cloud to call; "" is decided per key
	// Accounts are the ones the user may test; if there are any, keys of other accounts are not called.
	Accounts []string
	// Profiles of the AWS configuration have an auditor's credentials, beside the default ones.
	Profiles []string
	// CanaryAccounts and CanaryKeys were planted to be touched, beside those that are known.
	CanaryAccounts, CanaryKeys []string
	// Registries are the hosts of container registries that may be asked, beside the public ones.
	Registries []string
}

// All returns every verifier there is.
func All(env audit.Env, opts Options) []audit.Verifier {
	live := aws.Mode(opts.Mode) == aws.Live
	return []audit.Verifier{
		amazon(env, opts),
		github.New(env, live),
		gitlab.New(env, live),
		gitea.New(env, live),
		npm.New(env, live),
		pypi.New(env),
		docker.New(env, live, opts.Registries),
		gcp.New(env, live),
		azure.New(env, live),
	}
}

func amazon(env audit.Env, opts Options) *aws.Verifier {
	return aws.New(env, aws.Options{
		Mode:           aws.Mode(opts.Mode),
		Region:         opts.Region,
		Accounts:       opts.Accounts,
		Profiles:       opts.Profiles,
		CanaryAccounts: opts.CanaryAccounts,
		CanaryKeys:     opts.CanaryKeys,
	})
}

// Events lists what verifying can leave in logs, of the account that a credential belongs to and of the auditor's.
func Events(env audit.Env, opts Options) (events []string) {
	for _, e := range amazon(env, opts).Events() {
		events = append(events, e.String())
	}
	if aws.Mode(opts.Mode) == aws.Live {
		events = append(events,
			"GitHub: last use of the token; API requests in the audit log of an enterprise that streams them",
			"GitLab: last use of the token; requests in the instance's API log",
			"Gitea: last use of the token; requests in the server's access log",
			"npm: last use of the token",
			"container registries: logins, and tokens given for them",
			"Google Cloud: last use of the key; requests in the audit logs of projects that log reads of data",
			"Microsoft Entra ID: two sign-ins of the application",
		)
	}
	return events
}
