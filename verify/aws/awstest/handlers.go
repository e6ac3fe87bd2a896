package awstest

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The answers' shapes, in the order of Amazon's models.

type callerIdentity struct {
	UserID  string `xml:"UserId"`
	Account string
	Arn     string
}

type boundary struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

type user struct {
	Path, UserName      string
	UserID              string `xml:"UserId"`
	Arn                 string
	CreateDate          time.Time
	PermissionsBoundary *boundary
}

type role struct {
	Path, RoleName           string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               time.Time
	AssumeRolePolicyDocument string
	MaxSessionDuration       int32
	PermissionsBoundary      *boundary
}

func (s *Server) role(name string) role {
	r := s.account.Roles[name]
	return role{r.path(), name, "AROAEXAMPLEEXAMPLE234", s.account.ARN("role", name), epoch, escape(r.trust()), cmp.Or(r.Session, 3600), bounded(r)}
}

type group struct {
	Path, GroupName string
	GroupID         string `xml:"GroupId"`
	Arn             string
	CreateDate      time.Time
}

type attachedPolicy struct{ PolicyName, PolicyArn string }

type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

type handler func(s *Server, req Request, key Key, id string) (any, *failure)

var handlers = map[string]handler{
	"GetUser": func(s *Server, req Request, key Key, _ string) (any, *failure) {
		name := req.Params.Get("UserName")
		if name == "" {
			name = key.User
		}
		u, ok := s.account.Users[name]
		if !ok {
			return nil, missing("user", name)
		}
		return struct{ User user }{user{u.path(), name, "AIDAEXAMPLEEXAMPLE234", s.account.ARN("user", name), epoch, bounded(u)}}, nil
	},
	"GetRole": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		name := req.Params.Get("RoleName")
		if _, ok := s.account.Roles[name]; !ok {
			return nil, missing("role", name)
		}
		return struct{ Role role }{s.role(name)}, nil
	},
	"ListRoles": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		var list []role
		for _, name := range slices.Sorted(maps.Keys(s.account.Roles)) {
			one := s.role(name)
			one.PermissionsBoundary = nil // which the service leaves out of listings
			list = append(list, one)
		}
		list, p := paged(s, req, list)
		return struct {
			List []role `xml:"Roles>member"`
			page
		}{list, p}, nil
	},
	"GetOpenIDConnectProvider": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		arn := req.Params.Get("OpenIDConnectProviderArn")
		taken, ok := s.account.Providers[arn]
		if !ok {
			return nil, missing("OpenIDConnect Provider", arn)
		}
		_, issuer, _ := strings.Cut(arn, "oidc-provider/")
		return struct {
			Url          string
			ClientIDList []string `xml:"ClientIDList>member"`
			CreateDate   time.Time
		}{issuer, taken, epoch}, nil
	},
	"ListAccessKeys": func(s *Server, req Request, key Key, _ string) (any, *failure) {
		type meta struct {
			UserName, AccessKeyId, Status string
			CreateDate                    time.Time
		}
		var list []meta
		for _, id := range slices.Sorted(maps.Keys(s.account.Keys)) {
			if k := s.account.Keys[id]; k.User == req.Params.Get("UserName") && k.Token == "" {
				status := "Active"
				if k.Inactive {
					status = "Inactive"
				}
				list = append(list, meta{k.User, id, status, k.Created})
			}
		}
		list, p := paged(s, req, list)
		return struct {
			List []meta `xml:"AccessKeyMetadata>member"`
			page
		}{list, p}, nil
	},
	"ListGroupsForUser": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		u, ok := s.account.Users[req.Params.Get("UserName")]
		if !ok {
			return nil, missing("user", req.Params.Get("UserName"))
		}
		var list []group
		for _, name := range u.Groups {
			list = append(list, group{s.account.Groups[name].path(), name, "AGPAEXAMPLEEXAMPLE234", s.account.ARN("group", name), epoch})
		}
		list, p := paged(s, req, list)
		return struct {
			List []group `xml:"Groups>member"`
			page
		}{list, p}, nil
	},
	"ListAttachedUserPolicies":  attached("user"),
	"ListAttachedRolePolicies":  attached("role"),
	"ListAttachedGroupPolicies": attached("group"),
	"ListUserPolicies":          inline("user"),
	"ListRolePolicies":          inline("role"),
	"ListGroupPolicies":         inline("group"),
	"GetUserPolicy":             inlineText("user"),
	"GetRolePolicy":             inlineText("role"),
	"GetGroupPolicy":            inlineText("group"),
	"GetPolicy": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		arn := req.Params.Get("PolicyArn")
		if _, ok := s.account.Policies[arn]; !ok {
			return nil, missing("policy", arn)
		}
		type policy struct{ PolicyName, Arn, DefaultVersionId string }
		return struct{ Policy policy }{policy{last(arn), arn, "v1"}}, nil
	},
	"GetPolicyVersion": func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		arn := req.Params.Get("PolicyArn")
		doc, ok := s.account.Policies[arn]
		if !ok || req.Params.Get("VersionId") != "v1" {
			return nil, missing("policy version", arn)
		}
		type version struct {
			Document, VersionId string
			IsDefaultVersion    bool
			CreateDate          time.Time
		}
		return struct{ PolicyVersion version }{version{escape(doc), "v1", true, epoch}}, nil
	},
	"GetAccountAuthorizationDetails": authorizationDetails,
	"GetAccessKeyLastUsed":           lastUsed,
	"GetAccountSummary": func(s *Server, _ Request, _ Key, _ string) (any, *failure) {
		type entry struct {
			Key   string `xml:"key"`
			Value int    `xml:"value"`
		}
		root := 0
		for _, k := range s.account.Keys {
			if k.Root {
				root = 1
			}
		}
		return struct {
			SummaryMap []entry `xml:"SummaryMap>entry"`
		}{[]entry{{"Users", len(s.account.Users)}, {"AccountAccessKeysPresent", root}}}, nil
	},
	"SimulatePrincipalPolicy": simulate,
}

var epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func escape(doc string) string { return strings.ReplaceAll(url.QueryEscape(doc), "+", "%20") }

func last(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func missing(kind, name string) *failure {
	return &failure{404, "NoSuchEntity", "The " + kind + " with name " + name + " cannot be found."}
}

func bounded(e Entity) *boundary {
	if e.Boundary == "" {
		return nil
	}
	return &boundary{"PermissionsBoundaryPolicy", e.Boundary}
}

func (s *Server) entity(kind string, req Request) (Entity, *failure) {
	field := map[string]string{"user": "UserName", "role": "RoleName", "group": "GroupName"}[kind]
	all := map[string]map[string]Entity{"user": s.account.Users, "role": s.account.Roles, "group": s.account.Groups}[kind]
	e, ok := all[req.Params.Get(field)]
	if !ok {
		return e, missing(kind, req.Params.Get(field))
	}
	return e, nil
}

func attached(kind string) handler {
	return func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		e, f := s.entity(kind, req)
		if f != nil {
			return nil, f
		}
		var list []attachedPolicy
		for _, arn := range e.Attached {
			list = append(list, attachedPolicy{last(arn), arn})
		}
		list, p := paged(s, req, list)
		return struct {
			List []attachedPolicy `xml:"AttachedPolicies>member"`
			page
		}{list, p}, nil
	}
}

func inline(kind string) handler {
	return func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		e, f := s.entity(kind, req)
		if f != nil {
			return nil, f
		}
		list, p := paged(s, req, slices.Sorted(maps.Keys(e.Inline)))
		return struct {
			List []string `xml:"PolicyNames>member"`
			page
		}{list, p}, nil
	}
}

func inlineText(kind string) handler {
	return func(s *Server, req Request, _ Key, _ string) (any, *failure) {
		e, f := s.entity(kind, req)
		if f != nil {
			return nil, f
		}
		name := req.Params.Get("PolicyName")
		doc, ok := e.Inline[name]
		if !ok {
			return nil, missing("policy", name)
		}
		owner := struct {
			UserName, RoleName, GroupName string `xml:",omitempty"`
			PolicyName, PolicyDocument    string
		}{req.Params.Get("UserName"), req.Params.Get("RoleName"), req.Params.Get("GroupName"), name, escape(doc)}
		return owner, nil
	}
}

func paged[T any](s *Server, req Request, all []T) ([]T, page) {
	from, _ := strconv.Atoi(req.Params.Get("Marker"))
	all = all[min(from, len(all)):]
	if s.PageSize == 0 || len(all) <= s.PageSize {
		return all, page{}
	}
	return all[:s.PageSize], page{true, strconv.Itoa(from + s.PageSize)}
}

func list(p url.Values, name string) []string {
	var all []string
	for i := 1; p.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
		all = append(all, p.Get(fmt.Sprintf("%s.member.%d", name, i)))
	}
	return all
}
