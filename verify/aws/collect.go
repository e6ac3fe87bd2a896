package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// Bounds on what is read of one account: more than IAM's largest quotas, 5,000 users and 10,000 roles with 6,000 policies, come to.
const (
	pageSize       = 500 // entries of a page of details
	maxDetailPages = 400
	maxMissing     = 500 // policies that are read one by one
	// maxDetails bounds the details in memory, in bytes: those of 5,000 identities are some 60 MiB.
	maxDetails = 256 << 20
	// maxPause ends waiting for an account that asks for fewer requests: pauses double, from firstPause on.
	firstPause = 5 * time.Second
	maxPause   = 80 * time.Second
)

// Collect reads an account with the auditor's credentials of a profile, or of the SDK's default chain for "": its identities with all their policies, policies of its
// resources, and what its organisation says, which the auditors of [Options.Profiles] are asked for, too. Gaps are what could not be read. The error wraps [audit.ErrAuth]
// where there are no credentials or the account cannot be read. One account is read at a time.
func (v *Verifier) Collect(ctx context.Context, profile string) (*iam.Account, []audit.Gap, error) {
	select {
	case v.owning <- struct{}{}:
		defer func() { <-v.owning }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	a, err := v.identified(ctx, profile)
	if err != nil {
		return nil, nil, err
	}
	all := []*auditor{a}
	for _, other := range v.opts.Profiles {
		if b, err := v.identified(ctx, other); err == nil && b != a { // else its own account is where that is said
			all = append(all, b)
		}
	}
	c, err := v.collect(ctx, a, all)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reading account %s: %w", audit.ErrAuth, a.account, err)
	}
	return c.account, slices.Concat(c.gaps, c.trust), nil
}

// identified is the auditor of a profile, whose account is known.
func (v *Verifier) identified(ctx context.Context, profile string) (*auditor, error) {
	if a := v.audits[profile]; a != nil && a.account != "" {
		return a, nil
	}
	a, err := v.auditor(ctx, profile)
	if err == nil {
		err = a.identify(ctx)
	}
	if err != nil {
		return nil, err
	}
	v.audits[profile] = a
	return a, nil
}

// A collection is what was read of an account. It stays in memory.
type collection struct {
	account *iam.Account
	doc     []byte // details as JSON, to read the account again
	cut     string // why the details end before their end; "" where they do not
	part    bool   // not all that could allow somebody something was read
	gaps    []audit.Gap
	trust   []audit.Gap // of what roles' trust in tokens turns on: no key's rights depend on it
}

// collect reads an account by its auditor, and its organisation by whichever may. Where that ends early, by a limit, what was read by then is kept.
func (v *Verifier) collect(ctx context.Context, a *auditor, all []*auditor) (*collection, error) {
	d, pages, err := v.details(ctx, a.iam)
	if err != nil && pages == 0 {
		return nil, fmt.Errorf("iam:GetAccountAuthorizationDetails: %s", because(ctx, err))
	}
	c := &collection{}
	if err != nil {
		c.cut = because(ctx, err)
		c.gaps = append(c.gaps, audit.Gap{Target: "aws:" + a.account, What: fmt.Sprintf("identities and policies after page %d", pages), Why: "iam:GetAccountAuthorizationDetails: " + c.cut})
	}
	c.gaps = append(c.gaps, v.complete(ctx, a.iam, a.account, d)...)
	if c.account, c.doc, err = d.account(a.account); err != nil {
		return nil, err
	}
	if n := len(c.account.Problems); n > 0 {
		c.gaps = append(c.gaps, audit.Gap{Target: "aws:" + a.account, What: fmt.Sprintf("%d policies", n), Why: "missing, or not understood"})
	}
	c.gaps = append(c.gaps, v.organisation(ctx, a, all, c.account)...)
	if a.own.auditor {
		c.trust = v.federation(ctx, a.iam, c.account)
	}
	unread := v.resources(ctx, a, c.account)
	c.gaps, c.part = append(c.gaps, unread...), c.cut != "" || len(unread) > 0
	return c, nil
}

// details are identities with their policies, in the form of "aws iam get-account-authorization-details".
type details struct {
	UserDetailList  []types.UserDetail
	GroupDetailList []types.GroupDetail
	RoleDetailList  []types.RoleDetail
	Policies        []types.ManagedPolicyDetail
}

func (d *details) account(id string) (*iam.Account, []byte, error) {
	doc, err := json.Marshal(d)
	if err != nil {
		return nil, nil, err
	}
	a, err := iam.ParseAccount(id, doc)
	return a, doc, err
}

// details reads all pages, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html. With an error come the pages before it.
func (v *Verifier) details(ctx context.Context, client *awsiam.Client) (d *details, pages int, err error) {
	d = &details{}
	size := 0
	in := &awsiam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(pageSize)}
	for ; pages < maxDetailPages; pages++ {
		if pages > 0 {
			if err := v.opts.Sleep(ctx, pace); err != nil {
				return d, pages, err
			}
		}
		var out *awsiam.GetAccountAuthorizationDetailsOutput
		if err := v.patiently(ctx, func() (err error) {
			out, err = client.GetAccountAuthorizationDetails(ctx, in)
			return err
		}); err != nil {
			return d, pages, err
		}
		d.UserDetailList = append(d.UserDetailList, out.UserDetailList...)
		d.GroupDetailList = append(d.GroupDetailList, out.GroupDetailList...)
		for i := range out.RoleDetailList {
			out.RoleDetailList[i].InstanceProfileList = nil // which hold the role again
		}
		d.RoleDetailList = append(d.RoleDetailList, out.RoleDetailList...)
		d.Policies = append(d.Policies, out.Policies...)
		if size += weigh(out); size > v.most {
			return d, pages + 1, errTooMuch
		}
		if !out.IsTruncated || text(out.Marker) == "" {
			return d, pages + 1, nil
		}
		if text(out.Marker) == text(in.Marker) {
			break
		}
		in.Marker = out.Marker
	}
	return d, pages, errEndless
}

// weigh is about how many bytes of memory a page of details takes.
func weigh(page *awsiam.GetAccountAuthorizationDetailsOutput) (n int) {
	const each = 200 // of an element beside its texts
	inline := func(list []types.PolicyDetail) {
		for _, p := range list {
			n += each + len(text(p.PolicyDocument))
		}
	}
	for _, u := range page.UserDetailList {
		n += each * (1 + len(u.GroupList) + len(u.AttachedManagedPolicies) + len(u.Tags))
		inline(u.UserPolicyList)
	}
	for _, g := range page.GroupDetailList {
		n += each * (1 + len(g.AttachedManagedPolicies))
		inline(g.GroupPolicyList)
	}
	for _, r := range page.RoleDetailList {
		n += each*(1+len(r.AttachedManagedPolicies)+len(r.Tags)) + len(text(r.AssumeRolePolicyDocument))
		inline(r.RolePolicyList)
	}
	for _, p := range page.Policies {
		n += each
		for _, v := range p.PolicyVersionList {
			n += each + len(text(v.Document))
		}
	}
	return n
}

// patiently asks again, after longer and longer pauses, while an account asks for fewer requests.
func (v *Verifier) patiently(ctx context.Context, ask func() error) error {
	err := ask()
	for pause := firstPause; err != nil && isThrottle(codeOf(err), statusOf(err)) && pause <= maxPause; pause *= 2 {
		if err := v.opts.Sleep(ctx, pause); err != nil {
			return err
		}
		err = ask()
	}
	return err
}

// complete reads the policies that are in use and not among the details, as those that are only boundaries may not be.
func (v *Verifier) complete(ctx context.Context, client *awsiam.Client, account string, d *details) []audit.Gap {
	have := map[string]bool{}
	for _, p := range d.Policies {
		have[text(p.Arn)] = true
	}
	var missing []string
	need := func(arn string) {
		if arn != "" && !have[arn] && !wellKnown(arn) {
			have[arn] = true
			missing = append(missing, arn)
		}
	}
	attached := func(list []types.AttachedPolicy, boundary *types.AttachedPermissionsBoundary) {
		for _, p := range list {
			need(text(p.PolicyArn))
		}
		if boundary != nil {
			need(text(boundary.PermissionsBoundaryArn))
		}
	}
	for _, u := range d.UserDetailList {
		attached(u.AttachedManagedPolicies, u.PermissionsBoundary)
	}
	for _, g := range d.GroupDetailList {
		attached(g.AttachedManagedPolicies, nil)
	}
	for _, r := range d.RoleDetailList {
		attached(r.AttachedManagedPolicies, r.PermissionsBoundary)
	}
	slices.Sort(missing)
	var unread tally
	for n, arn := range missing {
		why := fmt.Sprintf("only %d policies are read one by one", maxMissing)
		if n < maxMissing {
			p, op, err := managed(ctx, client, arn)
			if err == nil {
				d.Policies = append(d.Policies, p)
				continue
			}
			why = op + ": " + because(ctx, err)
		}
		unread.add("policy", arn, why)
	}
	return unread.of(account)
}

// A tally is gaps: what is the same of several things is one.
type tally []counted

type counted struct {
	what, why string
	of        []string // the first few
	more      int
}

func (t *tally) add(what, of, why string) {
	for k := range *t {
		if g := &(*t)[k]; g.what == what && g.why == why {
			if len(g.of) < 3 {
				g.of = append(g.of, oneLine(of))
			} else {
				g.more++
			}
			return
		}
	}
	*t = append(*t, counted{what, why, []string{oneLine(of)}, 0})
}

// of are the gaps of an account.
func (t tally) of(account string) (gaps []audit.Gap) {
	for _, g := range t {
		what := g.what + " " + strings.Join(g.of, ", ")
		if g.more > 0 {
			what += fmt.Sprintf(" and %d more", g.more)
		}
		gaps = append(gaps, audit.Gap{Target: "aws:" + account, What: what, Why: g.why})
	}
	return gaps
}

// wellKnown tells whether a policy is Amazon's one whose text says all and never changes.
func wellKnown(arn string) bool { return arn == "arn:aws:iam::aws:policy/AdministratorAccess" }

// managed reads the default version of a managed policy. op is what failed.
func managed(ctx context.Context, client *awsiam.Client, arn string) (p types.ManagedPolicyDetail, op string, err error) {
	out, err := client.GetPolicy(ctx, &awsiam.GetPolicyInput{PolicyArn: &arn})
	if err == nil && (out.Policy == nil || text(out.Policy.DefaultVersionId) == "") {
		err = errEmpty
	}
	if err != nil {
		return p, "iam:GetPolicy", err
	}
	version, err := client.GetPolicyVersion(ctx, &awsiam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: out.Policy.DefaultVersionId})
	if err == nil && version.PolicyVersion == nil {
		err = errEmpty
	}
	if err == nil {
		_, err = parse(arn, version.PolicyVersion.Document)
	}
	if err != nil {
		return p, "iam:GetPolicyVersion", err
	}
	return types.ManagedPolicyDetail{Arn: &arn, PolicyVersionList: []types.PolicyVersion{{Document: version.PolicyVersion.Document, IsDefaultVersion: true}}}, "", nil
}

// Answers that cannot be used are errors like those of the service.
var (
	errEmpty      = &smithy.GenericAPIError{Code: "EmptyAnswer"}
	errUnreadable = &smithy.GenericAPIError{Code: "UnreadableDocument"}
	errEndless    = &smithy.GenericAPIError{Code: "EndlessListing"}
	errTooMuch    = &smithy.GenericAPIError{Code: "TooMuchToRead"}
)

func parse(name string, document *string) (*iam.Policy, error) {
	p, err := iam.Parse(name, []byte(text(document)))
	if err != nil {
		return nil, errUnreadable // what is wrong with it would quote it
	}
	return p, nil
}

// because says in short why a read failed, without repeating what a server says.
func because(ctx context.Context, err error) string {
	code, status := codeOf(err), statusOf(err)
	switch {
	case ctx.Err() != nil:
		return "time limit"
	case isThrottle(code, status):
		return "throttled"
	case strings.HasPrefix(code, "AccessDenied"):
		return "access denied" + deniedBy(messageOf(err))
	case code == "NoSuchEntity":
		return "not there"
	case status >= 500:
		return "server error " + orStatus(code, status)
	case code == "" && status != 0:
		return fmt.Sprintf("answer not understood, HTTP %d", status)
	case code == "":
		return "no answer" + onTheWay(err)
	}
	return code
}

// hopeless tells whether nothing more will be answered after a read that failed: the network, throttling, the time limit.
func hopeless(ctx context.Context, err error) bool {
	code, status := codeOf(err), statusOf(err)
	return ctx.Err() != nil || isThrottle(code, status) || status >= 500 || code == "" && status == 0
}
