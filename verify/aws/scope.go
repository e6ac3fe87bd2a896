package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// Bounds on what is read of one identity. IAM's quotas allow 10 groups a user and 20 managed policies an identity; more is
// the work of a server that is not IAM.
const (
	maxPages    = 10
	maxGroups   = 20
	maxPolicies = 60
	maxElements = 200 // of a listing
)

// scope learns what the identity behind a working key may do and puts it into the verdict.
func (v *Verifier) scope(ctx context.Context, at where, s *audit.Secret, a answer, verdict *audit.Verdict) {
	token := ""
	if kind, _ := keyKind(s.ID); kind == temporary {
		token = s.RevealPart(audit.PartSessionToken)
	}
	key := static(s.ID, s.Reveal(), token)
	r := &reader{client: v.iam(at, key), denied: map[string]string{}, facts: verdict.Facts}
	who := identityOf(a)
	if who.ARN == "" {
		r.own(ctx, &who)
	}
	if who.Account == "" && verdict.Identity != nil {
		who.Account = verdict.Identity.Account
	}
	if who.Account != "" {
		verdict.Facts["account"] = who.Account
	}
	verdict.Identity = &who.Identity
	if operator, planted := v.canaries[who.Account]; planted && who.Account != "" {
		verdict.Validity, verdict.Reach = audit.Canary, nil
		verdict.Facts["canary"] = operator
		verdict.Facts["reason"] = "planted to be touched: STS names an account known to host canaries, no further call was made"
		return
	}
	if len(v.opts.Accounts) > 0 && !slices.Contains(v.opts.Accounts, who.Account) {
		verdict.Reach = unknownReach(who, "account "+who.Account+" is not one of those that may be tested: nothing was asked about the identity's rights")
		return
	}
	switch {
	case who.Type == "root":
		verdict.Reach = rootReach(s.ID, who)
	case who.Type == "federated":
		verdict.Reach = unknownReach(who, "a federated session may not call IAM: its rights are those of its user, cut by a session policy that nobody can read")
	case who.name == "":
		verdict.Reach = unknownReach(who, "what the identity is could not be read: "+r.why())
	case verdict.Reach != nil && verdict.Reach.Level != audit.LevelUnknown: // the auditor knows more than the key may read
	default:
		v.self(ctx, at, key, s.ID, &who, r, verdict)
	}
	if ctx.Err() != nil {
		if verdict.Reach == nil {
			verdict.Reach = unknownReach(who, "nothing is known of the identity's rights")
		}
		verdict.Reach.Limits = append(verdict.Reach.Limits, fmt.Sprintf("time limit of %s per key reached while reading the identity's rights", v.opts.TimeLimit))
	}
}

// self reads what a key may read of its own identity: of the whole account, or else of itself.
func (v *Verifier) self(ctx context.Context, at where, key credential, keyID string, who *principal, r *reader, verdict *audit.Verdict) {
	if who.Type == "user" && verdict.Facts["status"] == "" {
		r.call(ctx, "iam:ListAccessKeys", func() error {
			_, err := keys(ctx, r.client, who.name, keyID, verdict.Facts)
			return err
		})
	}
	itself := v.asker(at, key)
	itself.account = who.Account
	c, why := v.whole(ctx, itself)
	known := false
	if c != nil {
		why = c.cut
		for _, i := range slices.Concat(c.account.Users, c.account.Roles) { // a session's ARN does not show the role's path
			if i.Role == (who.Type == "role") && nameOf(i.ARN) == who.name {
				who.source, known = i.ARN, true
			}
		}
	}
	var reach *audit.Reach
	if known {
		j := &judgement{who: *who, at: c, sim: v.simulate(ctx, r.client, *who), gaps: c.gaps, facts: verdict.Facts, now: v.env.Now()}
		reach = j.reach()
		if who.session {
			reach.Limits = append(reach.Limits, sessionLimit)
		}
	} else {
		r.principal(ctx, who)
		var err error
		account := &iam.Account{ID: who.Account}
		gaps := append(v.organisation(ctx, itself, []*auditor{itself}, account), audit.Gap{Target: "aws:" + who.Account, What: "identities", Why: why})
		if reach, err = r.reach(*who, v.simulate(ctx, r.client, *who), account, gaps, v.env.Now()); err != nil {
			reach = unknownReach(*who, "what was read of the identity is not understood")
		}
	}
	if before := verdict.Reach; before != nil { // the auditor's, and unknown
		reach.Limits = append(reach.Limits, before.Limits...)
	}
	verdict.Reach = from(keyID, who.ARN, "sts:GetCallerIdentity", reach)
}

// whole reads the key's account with the key, once for all keys of it, and says why it cannot be read, if so.
func (v *Verifier) whole(ctx context.Context, itself *auditor) (c *collection, why string) {
	turn, err := v.take(ctx, "account "+itself.account)
	if err != nil {
		return nil, "time limit"
	}
	defer turn.release()
	v.mu.Lock()
	c = v.read[itself.account]
	v.mu.Unlock()
	if c != nil {
		return c, ""
	}
	if c, err = v.collect(ctx, itself, []*auditor{itself}); err != nil {
		return nil, err.Error()
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // else somebody did not wait for it
		v.mu.Lock()
		v.read[itself.account] = c
		v.mu.Unlock()
	}
	return c, ""
}

const sessionLimit = "a session policy, if the session has one, cannot be read: an upper bound"

// A principal is an identity with what is needed to ask IAM about it.
type principal struct {
	audit.Identity
	partition string
	name      string // of the user or role
	source    string // ARN of the user or role, as the simulator takes it
	session   bool
}

var roleSession = lazyregexp.New(`^assumed-role/([^/]+)/`)

// identityOf reads what STS said. The ARN of a role session holds the role's name without its path.
func identityOf(a answer) principal {
	p := principal{Identity: audit.Identity{ARN: a.arn, Account: a.account}}
	p.complete()
	return p
}

func (p *principal) complete() {
	parts := strings.SplitN(p.ARN, ":", 6)
	if len(parts) != 6 {
		return
	}
	p.partition = parts[1]
	if p.Account == "" {
		p.Account = parts[4]
	}
	rest := parts[5]
	switch {
	case rest == "root":
		p.Type, p.source = "root", p.ARN
	case strings.HasPrefix(rest, "user/"):
		p.Type, p.name, p.source = "user", nameOf(p.ARN), p.ARN
	case strings.HasPrefix(rest, "federated-user/"):
		p.Type = "federated"
	case roleSession().MatchString(rest):
		p.Type, p.name, p.session = "role", roleSession().FindStringSubmatch(rest)[1], true
		p.source = "arn:" + p.partition + ":iam::" + p.Account + ":role/" + p.name
	}
}

// nameOf is the name at the end of the ARN of a user or role.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// A reader asks IAM about one identity, and keeps what it was refused.
type reader struct {
	client  *awsiam.Client
	facts   map[string]string
	details details

	identity  bool              // the identity itself was read, so that the absence of a boundary is known
	groups    int               // of the identity
	unread    []string          // policies whose text is not known
	read      int               // policies whose text was asked for
	denied    map[string]string // operation: why not
	order     []string
	exhausted string // why nothing more is asked: the network, throttling, the time limit
}

// call makes one read, and tells whether it succeeded.
func (r *reader) call(ctx context.Context, op string, f func() error) bool {
	if r.exhausted != "" {
		return false
	}
	err := f()
	if err == nil {
		return true
	}
	r.refuse(ctx, op, err)
	return false
}

func (r *reader) refuse(ctx context.Context, op string, err error) {
	why := because(ctx, err)
	if hopeless(ctx, err) {
		r.exhausted = why
	}
	if _, known := r.denied[op]; !known {
		r.order = append(r.order, op)
	}
	r.denied[op] = why
}

var denialShape = lazyregexp.New(`(explicit deny in an? [a-z -]+|no [a-z-]+ policy allows|no permissions boundary allows)`)

// deniedBy takes from an AccessDenied text which kind of policy denies ("Access denied error messages", IAM User Guide). One
// kind is named even where several deny.
func deniedBy(message string) string {
	if m := denialShape().FindString(message); m != "" {
		return " (" + oneLine(strings.TrimSpace(m)) + ")"
	}
	return ""
}

// why sums up what was refused, grouped by reason.
func (r *reader) why() string {
	var reasons []string
	ops := map[string][]string{}
	for _, op := range r.order {
		why := r.denied[op]
		if ops[why] == nil {
			reasons = append(reasons, why)
		}
		ops[why] = append(ops[why], op)
	}
	for i, why := range reasons {
		reasons[i] = strings.Join(ops[why], ", ") + ": " + why
	}
	return strings.Join(reasons, "; ")
}

// whole tells whether all policies of the identity were read.
func (r *reader) whole() bool {
	return len(r.unread) == 0 && len(r.order) == 0 && r.identity && r.groups <= maxGroups
}

// pages follows a listing. IAM may give fewer elements than asked for and still have more.
func pages(fetch func(marker *string) (next *string, more bool, err error)) error {
	var marker *string
	for range maxPages {
		next, more, err := fetch(marker)
		if err != nil || !more || next == nil {
			return err
		}
		marker = next
	}
	return errEndless
}

// gather follows a listing of what an identity has.
func gather[T any](ctx context.Context, r *reader, op string, list func(marker *string) ([]T, *string, bool, error)) (all []T) {
	r.call(ctx, op, func() error {
		return pages(func(marker *string) (*string, bool, error) {
			found, next, more, err := list(marker)
			if all = append(all, found...); len(all) > maxElements {
				all = slices.Clone(all[:maxElements])
				return nil, false, errEndless
			}
			return next, more, err
		})
	})
	return all
}

// own asks for the key's own user: STS refused to name it.
func (r *reader) own(ctx context.Context, p *principal) bool {
	return r.call(ctx, "iam:GetUser", func() error {
		out, err := r.client.GetUser(ctx, nil)
		if err == nil && (out.User == nil || !isARN(text(out.User.Arn))) {
			err = errEmpty
		}
		if err != nil {
			return err
		}
		p.ARN = text(out.User.Arn)
		p.complete()
		return nil
	})
}

// principal reads an identity: itself, and its policies.
func (r *reader) principal(ctx context.Context, p *principal) {
	if p.Type == "role" {
		r.role(ctx, p)
	} else {
		r.user(ctx, p)
	}
}

func (r *reader) created(at *time.Time) {
	if at != nil {
		r.facts["identity_created"] = at.UTC().Format(time.RFC3339)
	}
}

func (r *reader) user(ctx context.Context, p *principal) {
	u := types.UserDetail{Arn: &p.source, UserName: &p.name}
	r.call(ctx, "iam:GetUser", func() error {
		out, err := r.client.GetUser(ctx, &awsiam.GetUserInput{UserName: &p.name})
		if err == nil && (out.User == nil || !isARN(text(out.User.Arn))) {
			err = errEmpty
		}
		if err != nil {
			return err
		}
		r.identity = true
		u.Arn, u.Tags, u.PermissionsBoundary = out.User.Arn, out.User.Tags, out.User.PermissionsBoundary
		r.created(out.User.CreateDate)
		return nil
	})
	r.boundary(ctx, u.PermissionsBoundary)
	u.AttachedManagedPolicies = r.attached(ctx, "iam:ListAttachedUserPolicies", func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedUserPolicies(ctx, &awsiam.ListAttachedUserPoliciesInput{UserName: &p.name, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	u.UserPolicyList = r.inline(ctx, "iam:ListUserPolicies", "iam:GetUserPolicy", func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListUserPolicies(ctx, &awsiam.ListUserPoliciesInput{UserName: &p.name, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetUserPolicy(ctx, &awsiam.GetUserPolicyInput{UserName: &p.name, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
	groups := gather(ctx, r, "iam:ListGroupsForUser", func(marker *string) ([]types.Group, *string, bool, error) {
		out, err := r.client.ListGroupsForUser(ctx, &awsiam.ListGroupsForUserInput{UserName: &p.name, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.Groups, out.Marker, out.IsTruncated, nil
	})
	r.groups = len(groups)
	for _, g := range groups[:min(len(groups), maxGroups)] {
		u.GroupList = append(u.GroupList, text(g.GroupName))
		r.group(ctx, g)
	}
	r.details.UserDetailList = []types.UserDetail{u}
}

func (r *reader) group(ctx context.Context, group types.Group) {
	g := types.GroupDetail{Arn: group.Arn, GroupName: group.GroupName}
	g.AttachedManagedPolicies = r.attached(ctx, "iam:ListAttachedGroupPolicies", func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedGroupPolicies(ctx, &awsiam.ListAttachedGroupPoliciesInput{GroupName: g.GroupName, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	g.GroupPolicyList = r.inline(ctx, "iam:ListGroupPolicies", "iam:GetGroupPolicy", func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListGroupPolicies(ctx, &awsiam.ListGroupPoliciesInput{GroupName: g.GroupName, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetGroupPolicy(ctx, &awsiam.GetGroupPolicyInput{GroupName: g.GroupName, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
	r.details.GroupDetailList = append(r.details.GroupDetailList, g)
}

func (r *reader) role(ctx context.Context, p *principal) {
	role := types.RoleDetail{RoleName: &p.name}
	r.call(ctx, "iam:GetRole", func() error {
		out, err := r.client.GetRole(ctx, &awsiam.GetRoleInput{RoleName: &p.name})
		if err == nil && (out.Role == nil || !isARN(text(out.Role.Arn))) {
			err = errEmpty
		}
		if err != nil {
			return err
		}
		r.identity = true
		p.source = text(out.Role.Arn) // with its path, which the session's ARN does not show
		role.Tags, role.PermissionsBoundary, role.AssumeRolePolicyDocument = out.Role.Tags, out.Role.PermissionsBoundary, out.Role.AssumeRolePolicyDocument
		r.created(out.Role.CreateDate)
		return nil
	})
	role.Arn = &p.source
	r.boundary(ctx, role.PermissionsBoundary)
	role.AttachedManagedPolicies = r.attached(ctx, "iam:ListAttachedRolePolicies", func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedRolePolicies(ctx, &awsiam.ListAttachedRolePoliciesInput{RoleName: &p.name, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	role.RolePolicyList = r.inline(ctx, "iam:ListRolePolicies", "iam:GetRolePolicy", func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListRolePolicies(ctx, &awsiam.ListRolePoliciesInput{RoleName: &p.name, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetRolePolicy(ctx, &awsiam.GetRolePolicyInput{RoleName: &p.name, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
	r.details.RoleDetailList = []types.RoleDetail{role}
}

// boundary reads the text of a boundary. One that cannot be read stays without: what it might take away is not known then.
func (r *reader) boundary(ctx context.Context, b *types.AttachedPermissionsBoundary) {
	if b == nil || text(b.PermissionsBoundaryArn) == "" {
		return
	}
	arn := text(b.PermissionsBoundaryArn)
	r.facts["boundary"] = oneLine(arn)
	r.managed(ctx, arn)
}

// attached lists managed policies and reads those that are not known yet: a user and its group may have the same one.
func (r *reader) attached(ctx context.Context, op string, list func(marker *string) ([]types.AttachedPolicy, *string, bool, error)) (readable []types.AttachedPolicy) {
	for _, p := range gather(ctx, r, op, list) {
		if r.managed(ctx, text(p.PolicyArn)) {
			readable = append(readable, p)
		}
	}
	return readable
}

// managed reads a managed policy, once, and tells whether its text is known.
func (r *reader) managed(ctx context.Context, arn string) bool {
	label := oneLine(arn)
	known := func(p types.ManagedPolicyDetail) bool { return text(p.Arn) == arn }
	switch {
	case wellKnown(arn), slices.ContainsFunc(r.details.Policies, known):
		return true
	case slices.Contains(r.unread, label):
		return false
	case r.read < maxPolicies && r.exhausted == "":
		r.read++
		p, op, err := managed(ctx, r.client, arn)
		if err == nil {
			r.details.Policies = append(r.details.Policies, p)
			return true
		}
		r.refuse(ctx, op, err)
	}
	r.unread = append(r.unread, label)
	return false
}

func (r *reader) inline(ctx context.Context, listOp, getOp string, list func(marker *string) ([]string, *string, bool, error), get func(name string) (*string, error)) (all []types.PolicyDetail) {
	for _, name := range gather(ctx, r, listOp, list) {
		ok := false
		if r.read < maxPolicies {
			r.read++
			ok = r.call(ctx, getOp, func() error {
				doc, err := get(name)
				if err == nil {
					_, err = parse(name, doc)
				}
				if err == nil {
					all = append(all, types.PolicyDetail{PolicyName: aws.String(oneLine(name)), PolicyDocument: doc})
				}
				return err
			})
		}
		if !ok {
			r.unread = append(r.unread, "inline policy "+oneLine(name))
		}
	}
	return all
}

// keys says how old a key of a user is, whether it is active, and whether it has a sibling. status is Active or Inactive, or "" where the user has no such key.
func keys(ctx context.Context, client *awsiam.Client, user, keyID string, facts map[string]string) (status types.StatusType, err error) {
	active := 0
	err = pages(func(marker *string) (*string, bool, error) {
		out, err := client.ListAccessKeys(ctx, &awsiam.ListAccessKeysInput{UserName: &user, Marker: marker})
		if err != nil {
			return nil, false, err
		}
		for _, k := range out.AccessKeyMetadata {
			if k.Status == types.StatusTypeActive {
				active++
			}
			if text(k.AccessKeyId) != keyID {
				continue
			}
			status = k.Status
			if k.CreateDate != nil {
				facts["key_created"] = k.CreateDate.UTC().Format(time.RFC3339)
			}
		}
		return out.Marker, out.IsTruncated, nil
	})
	if err != nil {
		return "", err
	}
	facts["active_keys_of_user"] = fmt.Sprint(active)
	if status != "" {
		facts["status"] = oneLine(string(status))
	}
	return status, nil
}
