package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Account is what has a say in one: its identities with their policies, and what organisation and resources say.
type Account struct {
	ID         string
	Name       string
	Management bool // of its organisation: SCPs and RCPs do not bind it
	// SCPs and RCPs are as in [Layers]. Organisation tells whether they were read.
	SCPs, RCPs   [][]*Policy
	Organisation bool
	Supposed     bool // beside one that was read, its identities stand for those that were not: nothing is taken to run as them already
	Users, Roles []*Identity
	groups       []*group
	policies     map[string]*managed // by ARN
	// Resources are policies of resources, by their ARNs: one without statements where a resource has none, nil where it could not be read.
	Resources map[string]*Policy
	// Listed are beginnings of ARNs: of the account's resources whose ARNs begin so, all that have a policy are among Resources. "" is that of all but keys of
	// KMS, each of which has one.
	Listed []string
	// Audiences are those that OpenID Connect providers take, by their ARNs; nil is a provider that the account does not have. Of one that is not there it is not known.
	Audiences map[string][]string
	Problems  []string  // documents that could not be read, each of which is a gap
	all       []string  // see unlimited; nil until it is needed
	profiles  bool      // the details tell instance profiles of roles
	lastUse   time.Time // the newest of a role; the zero time where the details tell none
}

// An Identity is a user or a role.
type Identity struct {
	ARN      string
	Account  *Account
	Role     bool
	Trust    *Policy       // of a role
	Session  time.Duration // of a role: how long sessions may be; 0 where it is not known
	Tags     map[string]string
	Any      []*Identity // roles one of which it stands for, whichever somebody chooses; nil of a user or role. Its moves are to each of them, in the same step
	own      []*Policy
	attached []*managed
	groups   []*group
	boundary []*Policy
	bound    string // the boundary's ARN
	unread   []Layer
	lastUse  time.Time // of a role; the zero time where it is not told
	profiles []string  // ARNs of instance profiles that have the role
}

type group struct {
	arn      string
	own      []*Policy
	attached []*managed
}

// A managed policy is one that several identities share.
type managed struct {
	arn    string
	policy *Policy   // its default version
	others []*Policy // its other ones
}

// customer tells whether a managed policy is the account's own, and can be changed.
func (m *managed) customer() bool { return !strings.Contains(m.arn, ":iam::aws:") }

// ParseAccount reads what "aws iam get-account-authorization-details" prints, see
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html.
func ParseAccount(id string, doc []byte) (*Account, error) {
	type named struct {
		PolicyName     string
		PolicyDocument json.RawMessage
	}
	type attached struct{ PolicyName, PolicyArn string }
	var in struct {
		UserDetailList []struct {
			Arn                     string
			UserPolicyList          []named
			GroupList               []string
			AttachedManagedPolicies []attached
			PermissionsBoundary     *struct{ PermissionsBoundaryArn string }
			Tags                    []struct{ Key, Value string }
		}
		GroupDetailList []struct {
			GroupName, Arn          string
			GroupPolicyList         []named
			AttachedManagedPolicies []attached
		}
		RoleDetailList []struct {
			Arn                      string
			AssumeRolePolicyDocument json.RawMessage
			RolePolicyList           []named
			AttachedManagedPolicies  []attached
			PermissionsBoundary      *struct{ PermissionsBoundaryArn string }
			Tags                     []struct{ Key, Value string }
			InstanceProfileList      []struct{ Arn string }
			RoleLastUsed             struct{ LastUsedDate string }
		}
		Policies []struct {
			Arn               string
			PolicyVersionList []struct {
				Document         json.RawMessage
				IsDefaultVersion bool
			}
		}
	}
	if err := decode(doc, &in); err != nil {
		return nil, fmt.Errorf("reading the authorization details of account %s: %w", id, err)
	}
	a := &Account{ID: id, policies: map[string]*managed{}}
	problem := func(err error) { a.Problems = append(a.Problems, err.Error()) }
	for _, p := range in.Policies {
		m := &managed{arn: p.Arn}
		for _, v := range p.PolicyVersionList {
			policy, err := parseDocument(p.Arn, v.Document)
			switch {
			case err != nil:
				problem(err)
			case v.IsDefaultVersion:
				m.policy = policy
			default:
				m.others = append(m.others, policy)
			}
		}
		if m.policy != nil {
			a.policies[p.Arn] = m
		}
	}
	// inline and shared collect policies; whole tells whether all could be read.
	inline := func(of string, list []named) (out []*Policy, whole bool) {
		whole = true
		for _, n := range list {
			p, err := parseDocument(of+" "+n.PolicyName, n.PolicyDocument)
			if err != nil {
				problem(err)
				whole = false
				continue
			}
			out = append(out, p)
		}
		return out, whole
	}
	shared := func(list []attached) (out []*managed, whole bool) {
		whole = true
		for _, n := range list {
			m := a.managed(n.PolicyArn)
			if m == nil {
				problem(fmt.Errorf("policy %s is attached, and not among the details", n.PolicyArn))
				whole = false
				continue
			}
			out = append(out, m)
		}
		return out, whole
	}
	groups, partly := map[string]*group{}, map[string]bool{} // by their names; those that were not read whole
	for _, g := range in.GroupDetailList {
		own, ok := inline(g.Arn, g.GroupPolicyList)
		att, ok2 := shared(g.AttachedManagedPolicies)
		groups[g.GroupName] = &group{g.Arn, own, att}
		a.groups = append(a.groups, groups[g.GroupName])
		partly[g.GroupName] = !ok || !ok2
	}
	fill := func(i *Identity, policies []named, list []attached, boundary *struct{ PermissionsBoundaryArn string }, tags []struct{ Key, Value string }) {
		var ok, ok2 bool
		i.own, ok = inline(i.ARN, policies)
		i.attached, ok2 = shared(list)
		if !ok || !ok2 {
			i.unread = append(i.unread, LayerIdentity)
		}
		if boundary != nil && boundary.PermissionsBoundaryArn != "" {
			i.bound = boundary.PermissionsBoundaryArn
			if m := a.managed(boundary.PermissionsBoundaryArn); m != nil {
				i.boundary = []*Policy{m.policy}
			} else { // one that is only a boundary may be missing from the details
				problem(fmt.Errorf("boundary %s of %s is not among the details", boundary.PermissionsBoundaryArn, i.ARN))
				i.unread = append(i.unread, LayerBoundary)
			}
		}
		i.Tags = map[string]string{}
		for _, t := range tags {
			i.Tags[t.Key] = t.Value
		}
	}
	for _, u := range in.UserDetailList {
		i := &Identity{ARN: u.Arn, Account: a}
		fill(i, u.UserPolicyList, u.AttachedManagedPolicies, u.PermissionsBoundary, u.Tags)
		for _, name := range u.GroupList {
			g := groups[name]
			if g == nil || partly[name] {
				i.unread = append(i.unread, LayerIdentity)
			}
			if g != nil {
				i.groups = append(i.groups, g)
			}
		}
		a.Users = append(a.Users, i)
	}
	for _, r := range in.RoleDetailList {
		i := &Identity{ARN: r.Arn, Account: a, Role: true}
		fill(i, r.RolePolicyList, r.AttachedManagedPolicies, r.PermissionsBoundary, r.Tags)
		trust, err := parseDocument(r.Arn+" trust", r.AssumeRolePolicyDocument)
		if err != nil {
			problem(err)
		}
		i.Trust = trust
		for _, p := range r.InstanceProfileList {
			i.profiles, a.profiles = append(i.profiles, p.Arn), true
		}
		if used, ok := date(r.RoleLastUsed.LastUsedDate); ok {
			if i.lastUse = used; used.After(a.lastUse) {
				a.lastUse = used
			}
		}
		a.Roles = append(a.Roles, i)
	}
	return a, nil
}

// parseDocument reads a policy that is an object, as the command prints it, or a string, as the API hands it out.
func parseDocument(name string, raw json.RawMessage) (*Policy, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("policy %s: there is no document", name)
	}
	return Parse(name, raw)
}

// administrator is AWS' own policy that allows everything. The details have it where it is attached; it is known without them.
const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"

func (a *Account) managed(arn string) *managed {
	if m := a.policies[arn]; m != nil {
		return m
	}
	if arn == administrator {
		return &managed{arn: arn, policy: everything(arn)}
	}
	return nil
}

// root is the account itself, as policies name it.
func (a *Account) root() string { return "arn:aws:iam::" + a.ID + ":root" }

// unlimited are the managed policies that allow everything, AWS' own first.
func (a *Account) unlimited() []string {
	if a.all == nil {
		a.all = []string{administrator}
		for arn, m := range a.policies {
			if arn != administrator && slices.ContainsFunc(m.policy.Statements, func(s *Statement) bool {
				return s.Effect == Allow && !s.notActions && !s.notRes && len(s.conditions) == 0 && slices.ContainsFunc(s.actions, func(x action) bool { return x.all() }) &&
					slices.ContainsFunc(s.resources, func(r resource) bool { return r.all })
			}) {
				a.all = append(a.all, arn)
			}
		}
		slices.Sort(a.all[1:])
	}
	return a.all
}

// everything is a policy that allows all.
func everything(name string) *Policy {
	p := &Policy{Name: name}
	p.Statements = []*Statement{{Effect: Allow, policy: p, number: 1, actions: []action{{newGlob("*")}}, resources: []resource{{newPattern("*", false, true), true}}}}
	return p
}

// ParseOrganisation reads the accounts of an organisation with the policies that limit them, and adds them to accounts: {"accounts": [{"id", "name", "management",
// "scps": [[documents at the root], [at each unit on the way], [at the account]], "rcps": [[…]]}]}.
func ParseOrganisation(doc []byte, accounts []*Account) error {
	var in struct {
		Accounts []struct {
			ID, Name   string
			Management bool
			SCPs, RCPs [][]json.RawMessage
		}
	}
	if err := decode(doc, &in); err != nil {
		return fmt.Errorf("reading the organisation: %w", err)
	}
	var errs []error
	for _, x := range in.Accounts {
		i := slices.IndexFunc(accounts, func(a *Account) bool { return a.ID == x.ID })
		if i < 0 {
			continue // nothing else is known of it
		}
		a := accounts[i]
		a.Name, a.Management, a.Organisation = x.Name, x.Management, true
		if x.Management {
			continue
		}
		levels := func(kind string, docs [][]json.RawMessage) (out [][]*Policy) {
			for n, level := range docs {
				var policies []*Policy
				for m, raw := range level {
					p, err := parseDocument(fmt.Sprintf("%s %d.%d of %s", kind, n+1, m+1, x.ID), raw)
					if err != nil {
						errs = append(errs, err)
						a.Organisation = false
						continue
					}
					policies = append(policies, p)
				}
				if len(policies) > 0 { // a level without any cannot be: AWS' own are left out
					out = append(out, policies)
				}
			}
			return out
		}
		a.SCPs, a.RCPs = levels("SCP", x.SCPs), levels("RCP", x.RCPs)
	}
	return errors.Join(errs...)
}

// ParseResources reads resource policies, {"ARN": document}, and adds them to the accounts that own the resources; those without an account in their name
// are all's.
func ParseResources(doc []byte, accounts []*Account) error {
	var in map[string]json.RawMessage
	if err := decode(doc, &in); err != nil {
		return fmt.Errorf("reading resource policies: %w", err)
	}
	for _, a := range accounts {
		a.Resources, a.Listed = map[string]*Policy{}, []string{""}
	}
	var errs []error
	for _, arn := range slices.Sorted(maps.Keys(in)) {
		p, err := parseDocument(arn, in[arn])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, a := range accounts {
			if parts := strings.SplitN(arn, ":", arnParts); len(parts) < arnParts || parts[4] == "" || parts[4] == a.ID {
				a.Resources[arn] = p
			}
		}
	}
	return errors.Join(errs...)
}

// Named are the resources that policies of the account's identities are about by their names, without a wildcard; of an object, its bucket. They are given by their ARNs.
func (a *Account) Named() map[string]bool {
	named, seen := map[string]bool{}, map[*Policy]bool{}
	for _, i := range slices.Concat(a.Users, a.Roles) {
		for _, p := range i.policies() {
			if seen[p] {
				continue // which several have
			}
			seen[p] = true
			for _, s := range p.Statements {
				for _, r := range s.resources {
					if arn := bucket(r.text); !strings.ContainsAny(arn, "*?$") {
						named[arn] = true
					}
				}
			}
		}
	}
	return named
}

// policies are all that allow an identity something.
func (i *Identity) policies() (out []*Policy) {
	out = slices.Clone(i.own)
	for _, m := range i.attached {
		out = append(out, m.policy)
	}
	for _, g := range i.groups {
		out = append(out, g.policies()...)
	}
	return out
}

func (g *group) policies() []*Policy {
	out := slices.Clone(g.own)
	for _, m := range g.attached {
		out = append(out, m.policy)
	}
	return out
}

// principal is who makes the identity's requests: of a role, some session.
func (i *Identity) principal() Principal {
	if !i.Role {
		return Principal{Kind: User, ARN: i.ARN, Account: i.Account.ID, Tags: i.Tags}
	}
	name := i.ARN[strings.LastIndexByte(i.ARN, '/')+1:]
	partition := "aws"
	if parts := strings.SplitN(i.ARN, ":", arnParts); len(parts) == arnParts {
		partition = parts[1]
	}
	return Principal{Kind: Session, ARN: "arn:" + partition + ":sts::" + i.Account.ID + ":assumed-role/" + name + "/session", Role: i.ARN, Account: i.Account.ID, Tags: i.Tags}
}

// layers are what has a say about the identity's requests to an account. What an organisation says and was not read is left out: the answer is an upper
// bound then, which [Account.Organisation] tells.
func (i *Identity) layers(owner *Account) Layers {
	l := Layers{Identity: i.policies(), Boundary: i.boundary, Unread: i.unread, SCPs: i.Account.SCPs}
	if owner != nil {
		l.RCPs = owner.RCPs
	}
	return l
}
