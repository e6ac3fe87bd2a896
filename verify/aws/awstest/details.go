package awstest

import (
	"maps"
	"slices"
	"time"
)

type policyDetail struct{ PolicyName, PolicyDocument string }

type policyDetails struct {
	Members []policyDetail `xml:"member"`
}

type names struct {
	Members []string `xml:"member"`
}

type identityDetail struct {
	Path                    string
	UserName                string `xml:",omitempty"`
	UserID                  string `xml:"UserId,omitempty"`
	RoleName                string `xml:",omitempty"`
	RoleID                  string `xml:"RoleId,omitempty"`
	GroupName               string `xml:",omitempty"`
	GroupID                 string `xml:"GroupId,omitempty"`
	Arn                     string
	CreateDate              time.Time
	AssumeRolePolicy        string           `xml:"AssumeRolePolicyDocument,omitempty"`
	UserPolicies            *policyDetails   `xml:"UserPolicyList"`
	RolePolicies            *policyDetails   `xml:"RolePolicyList"`
	GroupPolicies           *policyDetails   `xml:"GroupPolicyList"`
	Groups                  *names           `xml:"GroupList"`
	AttachedManagedPolicies []attachedPolicy `xml:"AttachedManagedPolicies>member,omitempty"`
	PermissionsBoundary     *boundary
}

type versionDetail struct {
	Document, VersionId string
	IsDefaultVersion    bool
	CreateDate          time.Time
}

type managedDetail struct {
	PolicyName, Arn, DefaultVersionId string
	Versions                          []versionDetail `xml:"PolicyVersionList>member"`
}

type accountDetails struct {
	Users    []identityDetail `xml:"UserDetailList>member,omitempty"`
	Groups   []identityDetail `xml:"GroupDetailList>member,omitempty"`
	Roles    []identityDetail `xml:"RoleDetailList>member,omitempty"`
	Policies []managedDetail  `xml:"Policies>member,omitempty"`
	page
}

// authorizationDetails answers GetAccountAuthorizationDetails. As the service may, it leaves out policies that are boundaries and nothing else.
func authorizationDetails(s *Server, req Request, _ Key, _ string) (any, *failure) {
	var all []func(*accountDetails)
	attached := map[string]bool{}
	fill := func(kind, name string, e Entity) (d identityDetail, policies *policyDetails) {
		policies = &policyDetails{}
		d = identityDetail{Path: e.path(), Arn: s.account.ARN(kind, name), CreateDate: epoch, PermissionsBoundary: bounded(e)}
		for _, arn := range e.Attached {
			attached[arn] = true
			d.AttachedManagedPolicies = append(d.AttachedManagedPolicies, attachedPolicy{last(arn), arn})
		}
		for _, name := range slices.Sorted(maps.Keys(e.Inline)) {
			policies.Members = append(policies.Members, policyDetail{name, escape(e.Inline[name])})
		}
		return d, policies
	}
	for _, name := range slices.Sorted(maps.Keys(s.account.Users)) {
		e := s.account.Users[name]
		d, inline := fill("user", name, e)
		d.UserName, d.UserID, d.UserPolicies, d.Groups = name, "AIDAEXAMPLEEXAMPLE234", inline, &names{e.Groups}
		all = append(all, func(out *accountDetails) { out.Users = append(out.Users, d) })
	}
	for _, name := range slices.Sorted(maps.Keys(s.account.Groups)) {
		d, inline := fill("group", name, s.account.Groups[name])
		d.GroupName, d.GroupID, d.GroupPolicies = name, "AGPAEXAMPLEEXAMPLE234", inline
		all = append(all, func(out *accountDetails) { out.Groups = append(out.Groups, d) })
	}
	for _, name := range slices.Sorted(maps.Keys(s.account.Roles)) {
		e := s.account.Roles[name]
		d, inline := fill("role", name, e)
		d.RoleName, d.RoleID, d.RolePolicies, d.AssumeRolePolicy = name, "AROAEXAMPLEEXAMPLE234", inline, escape(e.trust())
		all = append(all, func(out *accountDetails) { out.Roles = append(out.Roles, d) })
	}
	for _, arn := range slices.Sorted(maps.Keys(s.account.Policies)) {
		if attached[arn] {
			d := managedDetail{last(arn), arn, "v1", []versionDetail{{escape(s.account.Policies[arn]), "v1", true, epoch}}}
			all = append(all, func(out *accountDetails) { out.Policies = append(out.Policies, d) })
		}
	}
	list, p := paged(s, req, all)
	out := accountDetails{page: p}
	for _, add := range list {
		add(&out)
	}
	return out, nil
}

// lastUsed answers GetAccessKeyLastUsed. For a key that the account does not have the service names no error; it answers as if policies denied it.
func lastUsed(s *Server, req Request, _ Key, _ string) (any, *failure) {
	id := req.Params.Get("AccessKeyId")
	key, ok := s.account.Keys[id]
	if !ok {
		return nil, &failure{403, "AccessDenied", "You are not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key " + id}
	}
	type used struct {
		LastUsedDate        *time.Time
		ServiceName, Region string
	}
	u := used{nil, "N/A", "N/A"}
	if !key.Used.IsZero() {
		u = used{&key.Used, "s3", "eu-west-1"}
	}
	return struct {
		UserName          string
		AccessKeyLastUsed used
	}{key.User, u}, nil
}
