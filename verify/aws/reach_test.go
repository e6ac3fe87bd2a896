package aws

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// allow and deny write one-statement policies.
func allow(resource string, actions ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["%s"],"Resource":"%s"}]}`, strings.Join(actions, `","`), resource)
}

func deny(actions ...string) string {
	return fmt.Sprintf(`{"Statement":{"Effect":"Deny","Action":["%s"],"Resource":"*"}}`, strings.Join(actions, `","`))
}

func inline(docs ...string) awstest.Entity {
	e := awstest.Entity{Inline: map[string]string{}}
	for i, d := range docs {
		e.Inline[fmt.Sprintf("p%d", i)] = d
	}
	return e
}

const (
	everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	fence      = "arn:aws:iam::" + account + ":policy/fence"
	ship       = "arn:aws:iam::" + account + ":policy/team/ship"
	self       = "arn:aws:iam::" + account + ":user/ci"
)

var (
	readIAM  = allow("*", "iam:Get*", "iam:List*")
	simulate = allow("*", "iam:SimulatePrincipalPolicy")
)

// scopes are identities and their levels.
var scopes = map[string]struct {
	user    awstest.Entity
	role    bool
	account awstest.Account
	level   audit.Level // where the account's details are readable
	self    audit.Level // where only the identity is; "" for the same
	blind   audit.Level // where only simulation is
	path    string      // part of a step
	limit   string      // part of a limit
}{
	"administrator":                  {user: awstest.Entity{Attached: []string{admin}}, level: audit.LevelAdmin, path: "AdministratorAccess, statement 1", blind: audit.LevelAdmin},
	"administrator by inline policy": {user: inline(everything), level: audit.LevelAdmin, path: self + " p0, statement 1", blind: audit.LevelAdmin},
	"administrator by group": {
		user:    awstest.Entity{Groups: []string{"ops"}},
		account: awstest.Account{Groups: map[string]awstest.Entity{"ops": {Attached: []string{admin}}}},
		level:   audit.LevelAdmin, blind: audit.LevelAdmin, path: "AdministratorAccess",
	},
	"administrator by NotAction": {
		user:  inline(`{"Statement":{"Effect":"Allow","NotAction":"aws-portal:*","Resource":"*"}}`),
		level: audit.LevelAdmin, blind: audit.LevelAdmin,
	},
	"administrator without the trail": {user: inline(everything, deny("cloudtrail:*", "organizations:*")), level: audit.LevelAdmin, blind: audit.LevelAdmin},
	"administrator held by an organisation policy": {
		user: inline(everything), account: awstest.Account{SCPs: []string{allow("*", "iam:Get*", "iam:List*", "iam:Simulate*", "s3:Get*")}},
		level: audit.LevelRead, blind: audit.LevelRead, path: "iam:SimulatePrincipalPolicy", limit: "by simulation of the sentinel actions alone",
	},
	"administrator session": {user: awstest.Entity{Path: "/ci/", Attached: []string{admin}}, role: true, level: audit.LevelAdmin, limit: "session policy"},
	"denied administrator": {
		user:  inline(everything, deny("iam:Create*", "iam:Put*", "iam:Attach*", "iam:Update*", "iam:Set*", "iam:Add*", "iam:Delete*", "iam:PassRole")),
		level: audit.LevelWrite, blind: audit.LevelWrite, // that a function runs as an administrator is not supposed where the administrator is
	},
	"bounded administrator": {
		user:    awstest.Entity{Attached: []string{admin}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: `{"Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}`}},
		level:   audit.LevelRead, blind: audit.LevelRead, path: "fence, statement 1",
	},
	"bounded, may write itself a policy": {
		user:    awstest.Entity{Inline: map[string]string{"p": allow("*", "iam:PutUserPolicy", "s3:GetObject")}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: allow("*", "iam:*", "s3:*")}},
		level:   audit.LevelWrite, blind: audit.LevelEscalation, // what the boundary is cannot be simulated
	},
	"bounded by everything, may write itself a policy": {
		user: awstest.Entity{Inline: map[string]string{"p": allow("*", "iam:PutRolePolicy", "s3:GetObject")}, Boundary: fence}, role: true,
		account: awstest.Account{Policies: map[string]string{fence: everything}},
		level:   audit.LevelEscalation, blind: audit.LevelEscalation, path: "Edge:edits-self",
	},
	"bounded, may remove the boundary": {
		user:    awstest.Entity{Attached: []string{admin}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: allow("*", "iam:*")}},
		level:   audit.LevelEscalation, blind: audit.LevelEscalation, path: "iam-022",
	},
	"keys of others": {
		user: inline(allow("*", "iam:CreateAccessKey")), account: awstest.Account{Users: map[string]awstest.Entity{"boss": {Attached: []string{admin}}}},
		level: audit.LevelEscalation, blind: audit.LevelEscalation, path: "iam-002",
	},
	"keys of others, of whom none is administrator": {user: inline(allow("*", "iam:CreateAccessKey")), level: audit.LevelWrite, self: audit.LevelEscalation, blind: audit.LevelEscalation},
	"deploys functions":                             {user: inline(allow("*", "lambda:UpdateFunctionCode")), level: audit.LevelWrite, blind: audit.LevelWrite},
	"own keys":                                      {user: inline(allow("arn:aws:iam::*:user/${aws:username}", "iam:CreateAccessKey")), level: audit.LevelWrite, blind: audit.LevelWrite},
	"own policies":                                  {user: inline(allow(self, "iam:PutUserPolicy")), level: audit.LevelEscalation, blind: audit.LevelEscalation, path: "iam-007"},
	"pass and run": {
		user:    inline(allow("*", "iam:PassRole", "ec2:RunInstances")),
		account: awstest.Account{Roles: map[string]awstest.Entity{"node": {Attached: []string{admin}, Trust: serviceTrust}}},
		level:   audit.LevelEscalation, blind: audit.LevelEscalation, path: "ec2-001",
	},
	"own role": {user: inline(allow("arn:aws:iam::"+account+":role/ci/*", "iam:AttachRolePolicy")), role: true, level: audit.LevelWrite},
	"uploader": {
		user:    awstest.Entity{Attached: []string{ship}},
		account: awstest.Account{Policies: map[string]string{ship: allow("arn:aws:s3:::builds/*", "s3:PutObject", "s3:GetObject")}},
		level:   audit.LevelWrite, path: "team/ship, statement 1",
	},
	"table writer": {user: inline(allow("*", "dynamodb:PutItem")), level: audit.LevelWrite},
	"table reader": {user: inline(allow("*", "dynamodb:Query")), level: audit.LevelRead},
	"conditional":  {user: inline(`{"Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}}`), level: audit.LevelRead},
	"conditional deny": {
		user:  inline(everything, `{"Statement":{"Effect":"Deny","NotAction":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}}}`),
		level: audit.LevelRead, limit: "depends on aws:sourcevpc",
	},
	"assumes an administrator": {
		user:    inline(allow("arn:aws:iam::"+account+":role/ops", "sts:AssumeRole")),
		account: awstest.Account{Roles: map[string]awstest.Entity{"ops": {Attached: []string{admin}, Trust: `{"Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`}}},
		level:   audit.LevelEscalation, self: audit.LevelRead, path: "Edge:assumes",
	},
	"nobody": {user: inline(), level: audit.LevelRead}, // of IAM
}

const serviceTrust = `{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`

func (c scopeCase) world(t *testing.T, grants ...string) (*world, *audit.Secret) {
	t.Helper()
	a := c.account
	a.ID = account
	a.Policies = maps.Clone(a.Policies)
	if a.Policies == nil {
		a.Policies = map[string]string{}
	}
	a.Policies[admin] = everything
	e := c.entity
	e.Inline = maps.Clone(e.Inline)
	if e.Inline == nil {
		e.Inline = map[string]string{}
	}
	for i, g := range grants {
		e.Inline[fmt.Sprintf("z%d", i)] = g
	}
	key, id := awstest.Key{Secret: value(), User: "ci"}, keyID("AKIA", account)
	users, roles := maps.Clone(a.Users), maps.Clone(a.Roles)
	if users == nil {
		users = map[string]awstest.Entity{}
	}
	if roles == nil {
		roles = map[string]awstest.Entity{}
	}
	s := audit.NewSecret(audit.KindAWSKey, id, key.Secret)
	if c.role {
		id = keyID("ASIA", account)
		key = awstest.Key{Secret: key.Secret, Role: "ci", Token: value()}
		roles["ci"] = e
		s = audit.NewSecret(audit.KindAWSKey, id, key.Secret)
		s.SetPart(audit.PartSessionToken, key.Token)
	} else {
		users["ci"] = e
	}
	a.Users, a.Roles = users, roles
	a.Keys = maps.Clone(a.Keys)
	if a.Keys == nil {
		a.Keys = map[string]awstest.Key{}
	}
	a.Keys[id] = key
	return newWorld(t, a, nil), s
}

type scopeCase struct {
	entity  awstest.Entity
	role    bool
	account awstest.Account
}

// refuse keeps an action from being answered.
func refuse(actions ...string) func(http.ResponseWriter, *http.Request, string, int) bool {
	return func(w http.ResponseWriter, _ *http.Request, action string, _ int) bool {
		if !slices.Contains(actions, action) {
			return false
		}
		awstest.Error(w, 403, "AccessDenied", "User is not authorized to perform: iam:"+action+" because no identity-based policy allows the action")
		return true
	}
}

func TestReach(t *testing.T) {
	for name, c := range scopes {
		self := c.self
		if self == "" {
			self = c.level
		}
		t.Run(name, func(t *testing.T) {
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM, simulate)
			v := w.verify(t, s)
			check(t, v, c.level, c.path, c.limit)
			if strings.Contains(v.Facts["sentinels"], "disagreement") || !strings.Contains(v.Facts["sentinels"], "40 actions simulated") {
				t.Errorf("%q: %q", v.Facts["sentinels"], v.Reach.Limits)
			}
			pauses := 0
			for _, r := range w.server.Requests() {
				if r.Action == "SimulatePrincipalPolicy" {
					pauses++
				}
				if r.Params.Has("ActionNames.member.41") || r.Params.Has("ResourceArns.member.21") {
					t.Error("a batch is too large")
				}
			}
			if len(w.slept) != pauses-1 {
				t.Errorf("%d simulations, slept %v", pauses, w.slept)
			}
		})
		t.Run(name+", itself", func(t *testing.T) {
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM, simulate)
			w.server.Intercept = refuse("GetAccountAuthorizationDetails")
			check(t, w.verify(t, s), self, "", "GetAccountAuthorizationDetails: access denied (no identity-based policy allows)")
		})
		t.Run(name+", not simulated", func(t *testing.T) {
			if c.account.SCPs != nil {
				return // which would be an upper bound
			}
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM)
			w.server.Intercept = refuse("GetAccountAuthorizationDetails", "SimulatePrincipalPolicy")
			check(t, w.verify(t, s), self, "", "SimulatePrincipalPolicy: access denied")
		})
		t.Run(name+", only simulated", func(t *testing.T) {
			w, s := scopeCase{c.user, c.role, c.account}.world(t, simulate)
			var refused []string
			for _, op := range operations {
				if op.service == "iam" && op.name != "SimulatePrincipalPolicy" {
					refused = append(refused, op.name)
				}
			}
			w.server.Intercept = refuse(refused...)
			blind := c.blind
			if blind == "" {
				blind = audit.LevelUnknown
			}
			check(t, w.verify(t, s), blind, "", "iam:ListAttached")
		})
	}
}

func check(t *testing.T, v audit.Verdict, level audit.Level, path, limit string) {
	t.Helper()
	if v.Validity != audit.Active || v.Reach == nil {
		t.Fatalf("got %+v", v)
	}
	if v.Reach.Level != level {
		t.Errorf("level %s, want %s", v.Reach.Level, level)
	}
	if !slices.Equal(v.Reach.Accounts, []string{account}) {
		t.Errorf("accounts %v", v.Reach.Accounts)
	}
	all := ""
	for _, p := range v.Reach.Paths {
		if p.Steps[0].Edge != "is" || p.Steps[0].Evidence != "sts:GetCallerIdentity" {
			t.Errorf("path starts with %+v", p.Steps[0])
		}
		all += fmt.Sprintf("%+v\n", p)
	}
	if path != "" && !strings.Contains(all, path) {
		t.Errorf("no path holds %q:\n%s", path, all)
	}
	if limit != "" && !strings.Contains(strings.Join(v.Reach.Limits, "\n"), limit) {
		t.Errorf("no limit holds %q: %q", limit, v.Reach.Limits)
	}
	if t.Failed() {
		t.Logf("facts %v\nlimits %q\npaths\n%s", v.Facts, v.Reach.Limits, all)
	}
}

// TestNothingReadable has a key that works and may read nothing: unknown, never none.
func TestNothingReadable(t *testing.T) {
	for _, role := range []bool{false, true} {
		w, s := scopeCase{inline(deny("*")), role, awstest.Account{}}.world(t)
		v := w.verify(t, s)
		check(t, v, audit.LevelUnknown, "", "explicit deny in an identity-based policy")
		if len(v.Reach.Paths) > 0 {
			t.Errorf("paths %+v", v.Reach.Paths)
		}
	}
}

// TestOnlySimulated has an identity that may simulate but not read.
func TestOnlySimulated(t *testing.T) {
	w, s := scopeCase{inline(allow("*", "iam:CreateAccessKey")), false, awstest.Account{}}.world(t, simulate)
	check(t, w.verify(t, s), audit.LevelEscalation, someone, someone+" is supposed")
	w, s = scopeCase{inline(), false, awstest.Account{}}.world(t, simulate)
	check(t, w.verify(t, s), audit.LevelUnknown, "", "iam:GetUser, iam:ListAttachedUserPolicies")
}

// TestPages has every listing in pages of one.
func TestPages(t *testing.T) {
	c := scopeCase{entity: inline(allow("*", "s3:GetObject"), allow("*", "s3:PutObject"))}
	c.entity.Groups = []string{"a", "b"}
	c.account.Groups = map[string]awstest.Entity{"a": {}, "b": inline(allow("*", "iam:CreateAccessKey"))}
	c.account.Users = map[string]awstest.Entity{"boss": {Attached: []string{admin}}}
	for _, refused := range []string{"SimulatePrincipalPolicy", "GetAccountAuthorizationDetails"} {
		w, s := c.world(t, readIAM)
		w.server.PageSize = 1
		w.server.Intercept = refuse(refused)
		check(t, w.verify(t, s), audit.LevelEscalation, "group/b p0, statement 1", "")
	}

	w, s := c.world(t, readIAM, simulate)
	w.server.PageSize = 7
	check(t, w.verify(t, s), audit.LevelEscalation, "iam-002", "")
}

// TestTrouble has the reads go wrong in ways that are not IAM's.
func TestTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		action string
		answer http.HandlerFunc
		level  audit.Level
		limit  string
		asked  int // of that action
	}{
		"simulation throttled": {"SimulatePrincipalPolicy", func(w http.ResponseWriter, _ *http.Request) {
			awstest.Error(w, 400, "Throttling", "Rate exceeded")
		}, audit.LevelWrite, "throttled", maxAttempts},
		"simulation 500": {"SimulatePrincipalPolicy", func(w http.ResponseWriter, _ *http.Request) {
			awstest.Error(w, 500, "InternalFailure", "oops")
		}, audit.LevelWrite, "InternalFailure", maxAttempts},
		"simulation HTML": {"SimulatePrincipalPolicy", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<html>")
		}, audit.LevelWrite, "not understood", 1},
		"simulation empty": {"SimulatePrincipalPolicy", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult/></SimulatePrincipalPolicyResponse>")
		}, audit.LevelWrite, "holds no result", 1},
		"endless listing": {"ListAttachedUserPolicies", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<ListAttachedUserPoliciesResponse><ListAttachedUserPoliciesResult><IsTruncated>true</IsTruncated><Marker>x</Marker></ListAttachedUserPoliciesResult></ListAttachedUserPoliciesResponse>")
		}, audit.LevelWrite, "EndlessListing", maxPages},
		"hostile document": {"GetUserPolicy", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, "<GetUserPolicyResponse><GetUserPolicyResult><PolicyDocument>%7B%22Statement%22%3A[[[</PolicyDocument></GetUserPolicyResult></GetUserPolicyResponse>")
		}, audit.LevelWrite, "could not be read: inline policy p0", 3},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := scopeCase{inline(allow("*", "s3:PutObject")), false, awstest.Account{}}.world(t, readIAM, simulate)
			w.server.Intercept = func(rw http.ResponseWriter, r *http.Request, action string, _ int) bool {
				if action == c.action {
					c.answer(rw, r)
					return true
				}
				return refuse("GetAccountAuthorizationDetails")(rw, r, action, 0)
			}
			check(t, w.verify(t, s), c.level, "", c.limit)
			asked := 0
			for _, a := range w.server.Actions() {
				if a == c.action {
					asked++
				}
			}
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
		})
	}
}

func TestRoot(t *testing.T) {
	id := keyID("AKIA", account)
	key := awstest.Key{Secret: value(), Root: true}
	w := newWorld(t, awstest.Account{Keys: map[string]awstest.Key{id: key}}, nil)
	v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, key.Secret))
	check(t, v, audit.LevelAdmin, "root user", "service control policy")
	if got := w.server.Actions(); len(got) != 1 {
		t.Errorf("asked %v", got)
	}
}

// TestLateCanary has STS name a canary account that the key id did not show.
func TestLateCanary(t *testing.T) {
	id := "AKIA" + "IABCDEFGHIJKLMNO"
	key := awstest.Key{Secret: value(), User: "ci"}
	w := newWorld(t, awstest.Account{ID: "534261010715", Keys: map[string]awstest.Key{id: key}, Users: map[string]awstest.Entity{"ci": {}}}, nil)
	v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, key.Secret))
	if v.Validity != audit.Canary || v.Reach != nil || len(w.server.Requests()) != 1 {
		t.Errorf("asked %v, got %+v", w.server.Actions(), v)
	}
}

func TestFacts(t *testing.T) {
	w, s := scopeCase{inline(), false, awstest.Account{}}.world(t, readIAM, simulate)
	w.server.Intercept = refuse("GetAccountAuthorizationDetails")
	v := w.verify(t, s)
	for _, k := range []string{"key_kind", "account", "state", "region", "key_created", "identity_created", "active_keys_of_user", "sentinels"} {
		if v.Facts[k] == "" {
			t.Errorf("no fact %s in %v", k, v.Facts)
		}
	}
}

func TestSentinels(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Sentinels() {
		if seen[s.Action] || s.Group == "" {
			t.Errorf("%+v", s)
		}
		seen[s.Action] = true
	}
	if len(seen) != maxActions {
		t.Errorf("%d sentinels", len(seen))
	}
}
