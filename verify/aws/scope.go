package aws

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/leakreach/leakreach/audit"
)

// Bounds on what is read of one identity. IAM's quotas allow 10 groups a user and 20 managed policies an identity; more is
// the work of a server that is not IAM.
const (
	maxPages    = 10
	maxGroups   = 20
	maxPolicies = 60
)

// scope learns what the identity behind a working key may do and puts it into the verdict.
func (v *Verifier) scope(ctx context.Context, at where, s *audit.Secret, a answer, verdict *audit.Verdict) {
	token := ""
	if kind, _ := keyKind(s.ID); kind == temporary {
		token = s.RevealPart(audit.PartSessionToken)
	}
	r := &reader{
		client: v.iam(at, static(s.ID, s.Reveal(), token)),
		keyID:  s.ID,
		denied: map[string]string{},
		facts:  verdict.Facts,
	}
	who := identityOf(a)
	if who.ARN == "" && r.call(ctx, "iam:GetUser", func() error { return r.user(ctx, &who, "") }) {
		who.complete()
	}
	if who.Account == "" && verdict.Identity != nil {
		who.Account = verdict.Identity.Account
	}
	if who.Account != "" {
		verdict.Facts["account"] = who.Account
	}
	verdict.Identity = &who.Identity
	if operator, planted := v.canaries[who.Account]; planted && who.Account != "" {
		verdict.Validity = audit.Canary
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
	default:
		r.read(ctx, &who)
		sim := v.simulate(ctx, r, who)
		verdict.Reach = reach(s.ID, who, r, sim)
	}
	if ctx.Err() != nil {
		verdict.Reach.Limits = append(verdict.Reach.Limits, fmt.Sprintf("time limit of %s per key reached while reading the identity's rights", v.opts.TimeLimit))
	}
}

// A principal is an identity with what is needed to ask IAM about it.
type principal struct {
	audit.Identity
	partition string
	name      string // of the user or role
	source    string // ARN of the user or role, as the simulator takes it
	session   bool
}

var roleSession = regexp.MustCompile(`^assumed-role/([^/]+)/`)

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
	last := rest[strings.LastIndex(rest, "/")+1:]
	switch {
	case rest == "root":
		p.Type, p.source = "root", p.ARN
	case strings.HasPrefix(rest, "user/"):
		p.Type, p.name, p.source = "user", last, p.ARN
	case strings.HasPrefix(rest, "federated-user/"):
		p.Type = "federated"
	case roleSession.MatchString(rest):
		p.Type, p.name, p.session = "role", roleSession.FindStringSubmatch(rest)[1], true
		p.source = "arn:" + p.partition + ":iam::" + p.Account + ":role/" + p.name
	}
}

// A reader asks IAM and keeps what it was refused.
type reader struct {
	client   *iam.Client
	keyID    string
	facts    map[string]string
	policies []policy
	boundary *policy
	groups   []string

	bounded   bool              // a boundary is attached
	identity  bool              // the identity itself was read, so that the absence of a boundary is known
	unread    []string          // policies whose text is not known
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
	code, status := codeOf(err), statusOf(err)
	why := code
	switch {
	case ctx.Err() != nil:
		why = "time limit"
		r.exhausted = why
	case isThrottle(code, status):
		why = "throttled"
		r.exhausted = why
	case code == "AccessDenied" || code == "AccessDeniedException":
		why = "access denied" + deniedBy(messageOf(err))
	case code == "NoSuchEntity":
		why = "not there"
	case status >= 500:
		why = "server error " + orStatus(code, status)
		r.exhausted = why
	case code == "" && status != 0:
		why = fmt.Sprintf("answer not understood, HTTP %d", status)
	case code == "":
		why = "no answer" + because(err)
		r.exhausted = why
	}
	if _, known := r.denied[op]; !known {
		r.order = append(r.order, op)
	}
	r.denied[op] = why
	return false
}

var denialShape = regexp.MustCompile(`(explicit deny in an? [a-z -]+|no [a-z-]+ policy allows|no permissions boundary allows)`)

// deniedBy takes from an AccessDenied text which kind of policy denies ("Access denied error messages", IAM User Guide). One
// kind is named even where several deny.
func deniedBy(message string) string {
	if m := denialShape.FindString(message); m != "" {
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
	return &smithy.GenericAPIError{Code: "EndlessListing"}
}

// user reads a user: the key's own with name "".
func (r *reader) user(ctx context.Context, p *principal, name string) error {
	in := &iam.GetUserInput{}
	if name != "" {
		in.UserName = &name
	}
	out, err := r.client.GetUser(ctx, in)
	if err != nil {
		return err
	}
	if out.User == nil || !isARN(text(out.User.Arn)) {
		return &smithy.GenericAPIError{Code: "EmptyAnswer"}
	}
	r.identity = true
	if p.ARN == "" {
		p.ARN = text(out.User.Arn)
	}
	if out.User.CreateDate != nil {
		r.facts["identity_created"] = out.User.CreateDate.UTC().Format(time.RFC3339)
	}
	r.attach(ctx, out.User.PermissionsBoundary)
	return nil
}

func (r *reader) role(ctx context.Context, p *principal) error {
	out, err := r.client.GetRole(ctx, &iam.GetRoleInput{RoleName: &p.name})
	if err != nil {
		return err
	}
	if out.Role == nil || !isARN(text(out.Role.Arn)) {
		return &smithy.GenericAPIError{Code: "EmptyAnswer"}
	}
	r.identity = true
	p.source = text(out.Role.Arn) // with its path, which the session's ARN does not show
	if out.Role.CreateDate != nil {
		r.facts["identity_created"] = out.Role.CreateDate.UTC().Format(time.RFC3339)
	}
	r.attach(ctx, out.Role.PermissionsBoundary)
	return nil
}

// attach reads the boundary of the identity.
func (r *reader) attach(ctx context.Context, b *types.AttachedPermissionsBoundary) {
	if b == nil || text(b.PermissionsBoundaryArn) == "" {
		return
	}
	r.bounded = true
	arn := oneLine(text(b.PermissionsBoundaryArn))
	r.facts["boundary"] = arn
	if doc, ok := r.text(ctx, arn); ok {
		r.boundary = &policy{name: arn, how: "permissions boundary", doc: doc}
	}
}

// read collects the identity's policies: its own, and those of its groups.
func (r *reader) read(ctx context.Context, p *principal) {
	if p.Type == "role" {
		r.call(ctx, "iam:GetRole", func() error { return r.role(ctx, p) })
		r.rolePolicies(ctx, p.name)
		return
	}
	if !r.identity {
		r.call(ctx, "iam:GetUser", func() error { return r.user(ctx, p, p.name) })
	}
	r.keys(ctx, p.name)
	r.userPolicies(ctx, p.name)
	r.call(ctx, "iam:ListGroupsForUser", func() error {
		return pages(func(marker *string) (*string, bool, error) {
			out, err := r.client.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: &p.name, Marker: marker})
			if err != nil {
				return nil, false, err
			}
			for _, g := range out.Groups {
				r.groups = append(r.groups, text(g.GroupName))
			}
			return out.Marker, out.IsTruncated, nil
		})
	})
	for _, g := range r.groups[:min(len(r.groups), maxGroups)] {
		r.groupPolicies(ctx, g)
	}
}

// keys says how old the key is and whether it has a sibling.
func (r *reader) keys(ctx context.Context, user string) {
	r.call(ctx, "iam:ListAccessKeys", func() error {
		out, err := r.client.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &user})
		if err != nil {
			return err
		}
		active := 0
		for _, k := range out.AccessKeyMetadata {
			if k.Status == types.StatusTypeActive {
				active++
			}
			if text(k.AccessKeyId) == r.keyID && k.CreateDate != nil {
				r.facts["key_created"] = k.CreateDate.UTC().Format(time.RFC3339)
			}
		}
		r.facts["active_keys_of_user"] = fmt.Sprint(active)
		return nil
	})
}

func (r *reader) userPolicies(ctx context.Context, user string) {
	r.attached(ctx, "iam:ListAttachedUserPolicies", "", func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: &user, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	r.inline(ctx, "iam:ListUserPolicies", "iam:GetUserPolicy", "", func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: &user, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &user, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
}

func (r *reader) rolePolicies(ctx context.Context, role string) {
	r.attached(ctx, "iam:ListAttachedRolePolicies", "", func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &role, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	r.inline(ctx, "iam:ListRolePolicies", "iam:GetRolePolicy", "", func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
}

func (r *reader) groupPolicies(ctx context.Context, group string) {
	r.attached(ctx, "iam:ListAttachedGroupPolicies", group, func(marker *string) ([]types.AttachedPolicy, *string, bool, error) {
		out, err := r.client.ListAttachedGroupPolicies(ctx, &iam.ListAttachedGroupPoliciesInput{GroupName: &group, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.AttachedPolicies, out.Marker, out.IsTruncated, nil
	})
	r.inline(ctx, "iam:ListGroupPolicies", "iam:GetGroupPolicy", group, func(marker *string) ([]string, *string, bool, error) {
		out, err := r.client.ListGroupPolicies(ctx, &iam.ListGroupPoliciesInput{GroupName: &group, Marker: marker})
		if err != nil {
			return nil, nil, false, err
		}
		return out.PolicyNames, out.Marker, out.IsTruncated, nil
	}, func(name string) (*string, error) {
		out, err := r.client.GetGroupPolicy(ctx, &iam.GetGroupPolicyInput{GroupName: &group, PolicyName: &name})
		if err != nil {
			return nil, err
		}
		return out.PolicyDocument, nil
	})
}

func (r *reader) attached(ctx context.Context, op, via string, list func(marker *string) ([]types.AttachedPolicy, *string, bool, error)) {
	var arns []string
	r.call(ctx, op, func() error {
		return pages(func(marker *string) (*string, bool, error) {
			found, next, more, err := list(marker)
			for _, p := range found {
				arns = append(arns, oneLine(text(p.PolicyArn)))
			}
			return next, more, err
		})
	})
	for _, arn := range arns {
		if r.known(arn) {
			continue
		}
		if doc, ok := r.text(ctx, arn); ok {
			r.policies = append(r.policies, policy{arn, via, op, doc})
		} else {
			r.unread = append(r.unread, arn)
		}
	}
}

// known tells whether a policy was read by another way: a user and its group may have the same one.
func (r *reader) known(arn string) bool {
	return slices.Contains(r.unread, arn) || slices.ContainsFunc(r.policies, func(p policy) bool { return p.name == arn })
}

func (r *reader) inline(ctx context.Context, listOp, getOp, via string, list func(marker *string) ([]string, *string, bool, error), get func(name string) (*string, error)) {
	var names []string
	r.call(ctx, listOp, func() error {
		return pages(func(marker *string) (*string, bool, error) {
			found, next, more, err := list(marker)
			names = append(names, found...)
			return next, more, err
		})
	})
	for _, name := range names {
		label := "inline policy " + oneLine(name)
		ok := false
		if len(r.policies)+len(r.unread) < maxPolicies {
			ok = r.call(ctx, getOp, func() error {
				body, err := get(name)
				if err != nil {
					return err
				}
				doc, err := parse(text(body))
				if err != nil {
					return &smithy.GenericAPIError{Code: "UnreadableDocument"}
				}
				r.policies = append(r.policies, policy{label, via, getOp, doc})
				return nil
			})
		}
		if !ok {
			r.unread = append(r.unread, label)
		}
	}
}

// text reads the default version of a managed policy.
func (r *reader) text(ctx context.Context, arn string) (document, bool) {
	if doc, ok := wellKnown(arn); ok {
		return doc, true
	}
	var doc document
	if len(r.policies)+len(r.unread) >= maxPolicies {
		return doc, false
	}
	var version string
	ok := r.call(ctx, "iam:GetPolicy", func() error {
		out, err := r.client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
		if err != nil {
			return err
		}
		if out.Policy == nil || text(out.Policy.DefaultVersionId) == "" {
			return &smithy.GenericAPIError{Code: "EmptyAnswer"}
		}
		version = text(out.Policy.DefaultVersionId)
		return nil
	}) && r.call(ctx, "iam:GetPolicyVersion", func() error {
		out, err := r.client.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: &version})
		if err != nil {
			return err
		}
		if out.PolicyVersion == nil {
			return &smithy.GenericAPIError{Code: "EmptyAnswer"}
		}
		doc, err = parse(text(out.PolicyVersion.Document))
		if err != nil {
			return &smithy.GenericAPIError{Code: "UnreadableDocument"}
		}
		return nil
	})
	return doc, ok
}

// wellKnown holds the one policy of Amazon's whose text says all and never changes.
func wellKnown(arn string) (document, bool) {
	if !strings.HasPrefix(arn, "arn:aws") || !strings.HasSuffix(arn, ":iam::aws:policy/AdministratorAccess") {
		return document{}, false
	}
	return document{Statement: []statement{{Effect: "Allow", Action: patterns{"*"}, Resource: patterns{"*"}}}}, true
}
