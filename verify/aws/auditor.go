package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/audit"
)

// An auditor is a credential of the user's own, and what it asks with.
type auditor struct {
	why     string // it cannot be used
	keyID   string
	account string // "" until it was identified
	at      where
	own     credential

	sts           *sts.Client
	iam           *awsiam.Client
	organizations *organizations.Client
}

// chainLimit ends the search for credentials: one may be that of an instance, whose metadata service is not there.
const chainLimit = time.Minute

// chain is where the SDKs and tools of AWS look for credentials: environment, shared files, web identity, containers, instances; see
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html. It alone reads the environment of the process by itself.
func chain(ctx context.Context, profile string) (aws.CredentialsProvider, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(profile), config.WithDefaultRegion("us-east-1"))
	return c.Credentials, err
}

// auditor finds the credentials of a profile. What the SDK says of those that cannot be had is not repeated: it may hold what a program printed.
func (v *Verifier) auditor(ctx context.Context, profile string) (*auditor, error) {
	at, err := v.where("")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, chainLimit)
	defer cancel()
	provider, err := v.chain(ctx, profile)
	var found aws.Credentials
	if err == nil && provider != nil {
		found, err = provider.Retrieve(ctx)
	}
	if err != nil || !found.HasKeys() {
		name := "the SDK's default chain"
		if profile != "" {
			name = "profile " + oneLine(profile)
		}
		return nil, audit.Hint(fmt.Errorf("%w: no credentials of an auditor in %s", audit.ErrAuth, name), "aws sts get-caller-identity shows whether there are any")
	}
	own := credential{provider, true}
	a := v.asker(at, own)
	a.keyID = found.AccessKeyID
	return a, nil
}

// asker asks with a credential.
func (v *Verifier) asker(at where, own credential) *auditor {
	return &auditor{at: at, own: own, sts: v.sts(at, own), iam: v.iam(at, own), organizations: v.organizations(at, own)}
}

// identify asks whose the credentials are.
func (a *auditor) identify(ctx context.Context) error {
	out, err := a.sts.GetCallerIdentity(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: sts:GetCallerIdentity with the auditor's credentials: %s", audit.ErrAuth, because(ctx, err))
	}
	who := identify(out)
	if who.validity != audit.Active {
		return fmt.Errorf("%w: sts:GetCallerIdentity with the auditor's credentials: %s", audit.ErrAuth, who.reason)
	}
	a.account = who.account
	return nil
}

// auditors are all credentials that the user has given, and why there is none, if so. Those of a found key itself are not among them.
func (v *Verifier) auditors(ctx context.Context, found string) (all []*auditor, why string, err error) {
	var reasons []string
	for _, profile := range append([]string{""}, v.opts.Profiles...) {
		a := v.audits[profile]
		if a == nil {
			a, err = v.auditor(ctx, profile)
			if ctx.Err() != nil {
				return nil, "", ctx.Err()
			}
			if errors.Is(err, audit.ErrUsage) {
				return nil, "", err
			}
			if err != nil {
				a = &auditor{why: strings.TrimPrefix(err.Error(), audit.ErrAuth.Error()+": ")}
			}
			v.audits[profile] = a
		}
		if a.why == "" && a.account == "" && a.keyID != found {
			if err := a.identify(ctx); ctx.Err() != nil {
				return nil, "", ctx.Err()
			} else if err != nil {
				a.why = strings.TrimPrefix(err.Error(), audit.ErrAuth.Error()+": ")
			}
		}
		switch {
		case a.why != "":
			reasons = append(reasons, a.why)
		case a.keyID == found:
			reasons = append(reasons, "the auditor's credentials are the found key itself, which is not used")
		default:
			all = append(all, a)
		}
	}
	return all, strings.Join(reasons, "; "), nil
}
