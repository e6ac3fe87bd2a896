package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// Bounds on what is read for the trust of roles: an account may have 100 providers of OpenID Connect, and 10,000 roles, see
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html. IAM may put fewer roles on a page than it is asked for.
const (
	maxProviders = 100
	rolesPerPage = 1000
	maxRolePages = 100
)

// federation reads what decides about tokens of forges beside the policies of the roles that trust them: which audiences providers take, a request for each, and how long
// sessions may be, which the authorization details do not tell, a request for a thousand roles. Of an account without such roles nothing is asked.
func (v *Verifier) federation(ctx context.Context, client *awsiam.Client, a *iam.Account) []audit.Gap {
	named := map[string]bool{}
	for _, role := range a.Roles {
		for _, p := range role.Providers() {
			if _, issuer, ok := strings.Cut(p, ":iam::"+a.ID+":oidc-provider/"); ok && iam.ForgeOf(issuer) != iam.Kubernetes {
				named[p] = true
			}
		}
	}
	if len(named) == 0 {
		return nil
	}
	var unread tally
	a.Audiences = map[string][]string{}
	for n, arn := range slices.Sorted(maps.Keys(named)) {
		why := fmt.Sprintf("only %d providers are asked about", maxProviders)
		if n < maxProviders {
			taken, err := v.audiences(ctx, client, arn)
			if err == nil {
				a.Audiences[arn] = taken
				continue
			}
			why = "iam:GetOpenIDConnectProvider: " + because(ctx, err)
		}
		unread.add("audiences of", arn, why)
	}
	if err := v.sessions(ctx, client, a); err != nil {
		unread.add("how long", "sessions of roles may be", "iam:ListRoles: "+because(ctx, err))
	}
	return unread.of(a.ID)
}

// audiences are those that a provider takes; nil where there is no such provider. See https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html.
func (v *Verifier) audiences(ctx context.Context, client *awsiam.Client, arn string) (taken []string, err error) {
	err = v.patiently(ctx, func() error {
		out, err := client.GetOpenIDConnectProvider(ctx, &awsiam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
		if err == nil {
			taken = append([]string{}, out.ClientIDList...)
		}
		return err
	})
	if codeOf(err) == "NoSuchEntity" {
		return nil, nil
	}
	return taken, err
}

// sessions learns how long those of roles may be, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html. With an error it is known of the roles that came before it.
func (v *Verifier) sessions(ctx context.Context, client *awsiam.Client, a *iam.Account) (failed error) {
	type role struct {
		Arn                *string
		MaxSessionDuration *int32
	}
	var in struct{ Roles []role }
	request := &awsiam.ListRolesInput{MaxItems: aws.Int32(rolesPerPage)}
	for pages := 0; ; pages++ {
		if pages == maxRolePages {
			failed = errEndless
			break
		}
		if pages > 0 {
			if failed = v.opts.Sleep(ctx, pace); failed != nil {
				break
			}
		}
		var out *awsiam.ListRolesOutput
		if failed = v.patiently(ctx, func() (err error) {
			out, err = client.ListRoles(ctx, request)
			return err
		}); failed != nil {
			break
		}
		for i := range out.Roles {
			in.Roles = append(in.Roles, role{out.Roles[i].Arn, out.Roles[i].MaxSessionDuration})
		}
		if !out.IsTruncated || text(out.Marker) == "" {
			break
		}
		if text(out.Marker) == text(request.Marker) {
			failed = errEndless
			break
		}
		request.Marker = out.Marker
	}
	doc, err := json.Marshal(in)
	if err == nil {
		err = iam.ParseRoles(doc, []*iam.Account{a})
	}
	if failed == nil {
		failed = err
	}
	return failed
}
