package aws

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// maxLevels bounds the way from an account to its root: organisational units nest five deep.
const maxLevels = 10

// maxAttached bounds the policies of a kind that are attached in one place: Organizations takes ten.
const maxAttached = 100

// organisation reads what service and resource control policies bind an account, at the root, at each unit on the way, and at the account itself, see
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_inheritance_auth.html. Any account of an organisation is told which one
// manages it; policies are told to that one and to delegated administrators alone, so that all auditors are tried.
func (v *Verifier) organisation(ctx context.Context, own *auditor, all []*auditor, a *iam.Account) []audit.Gap {
	gap := func(op string, err error) []audit.Gap {
		return []audit.Gap{{Target: "aws:" + a.ID, What: "SCPs and RCPs", Why: op + ": " + because(ctx, err)}}
	}
	out, err := own.organizations.DescribeOrganization(ctx, nil)
	if err == nil && (out.Organization == nil || !accountShape().MatchString(text(out.Organization.MasterAccountId))) {
		err = errEmpty
	}
	switch {
	case codeOf(err) == (&types.AWSOrganizationsNotInUseException{}).ErrorCode():
		a.Organisation = true // there is none
		return nil
	case err != nil:
		return gap("organizations:DescribeOrganization", err)
	case text(out.Organization.MasterAccountId) == a.ID:
		a.Organisation, a.Management = true, true
		return nil
	case out.Organization.FeatureSet == types.OrganizationFeatureSetConsolidatedBilling:
		a.Organisation = true // without policies
		return nil
	}
	manager := text(out.Organization.MasterAccountId)
	tries := slices.Clone(all)
	slices.SortStableFunc(tries, func(x, y *auditor) int { return rank(x, manager, own) - rank(y, manager, own) })
	var first []audit.Gap
	for _, who := range tries {
		r := &policyReader{client: who.organizations, read: &v.policies}
		op, err := r.bind(ctx, a)
		if err == nil {
			a.Organisation = true
			return nil
		}
		if first == nil {
			first = gap(op, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// rank is how likely an auditor is to be told of policies: the manager's most, then the account's own.
func rank(a *auditor, manager string, own *auditor) int {
	switch {
	case a.account == manager:
		return 0
	case a == own:
		return 1
	}
	return 2
}

// A policyReader reads an organisation's policies, each once.
type policyReader struct {
	client *organizations.Client
	read   *sync.Map // by id
}

// bind gives an account the policies that bind it. op is what failed.
func (r *policyReader) bind(ctx context.Context, a *iam.Account) (op string, err error) {
	levels := []string{a.ID} // from the account up
	for top := false; !top; {
		out, err := r.client.ListParents(ctx, &organizations.ListParentsInput{ChildId: &levels[len(levels)-1]})
		if err == nil && (len(out.Parents) != 1 || text(out.Parents[0].Id) == "" || len(levels) > maxLevels) {
			err = errEmpty
		}
		if err != nil {
			return "organizations:ListParents", err
		}
		levels = append(levels, text(out.Parents[0].Id))
		top = out.Parents[0].Type == types.ParentTypeRoot
	}
	slices.Reverse(levels)
	for _, kind := range []types.PolicyType{types.PolicyTypeServiceControlPolicy, types.PolicyTypeResourceControlPolicy} {
		var all [][]*iam.Policy
		for _, level := range levels {
			policies, op, err := r.attached(ctx, level, kind)
			if err != nil {
				return op, err
			}
			if len(policies) > 0 { // none is where the kind is switched off: AWS' own is never the last to go
				all = append(all, policies)
			}
		}
		if kind == types.PolicyTypeServiceControlPolicy {
			a.SCPs = all
		} else {
			a.RCPs = all
		}
	}
	return "", nil
}

// attached reads the policies of a kind that are attached to a root, a unit or an account itself.
func (r *policyReader) attached(ctx context.Context, target string, kind types.PolicyType) (all []*iam.Policy, op string, err error) {
	in := &organizations.ListPoliciesForTargetInput{TargetId: &target, Filter: kind}
	for range maxPages {
		out, err := r.client.ListPoliciesForTarget(ctx, in)
		if err != nil {
			return nil, "organizations:ListPoliciesForTarget", err
		}
		for _, p := range out.Policies {
			if len(all) == maxAttached {
				return nil, "organizations:ListPoliciesForTarget", errEndless
			}
			policy, err := r.policy(ctx, text(p.Id))
			if err != nil {
				return nil, "organizations:DescribePolicy", err
			}
			all = append(all, policy)
		}
		if text(out.NextToken) == "" {
			return all, "", nil
		}
		in.NextToken = out.NextToken
	}
	return nil, "organizations:ListPoliciesForTarget", errEndless
}

func (r *policyReader) policy(ctx context.Context, id string) (*iam.Policy, error) {
	if p, ok := r.read.Load(id); ok {
		return p.(*iam.Policy), nil
	}
	out, err := r.client.DescribePolicy(ctx, &organizations.DescribePolicyInput{PolicyId: &id})
	if err == nil && (out.Policy == nil || out.Policy.PolicySummary == nil) {
		err = errEmpty
	}
	if err != nil {
		return nil, err
	}
	p, err := parse(fmt.Sprintf("%s %s", id, oneLine(text(out.Policy.PolicySummary.Name))), out.Policy.Content)
	if err != nil {
		return nil, err
	}
	r.read.Store(id, p)
	return p, nil
}
