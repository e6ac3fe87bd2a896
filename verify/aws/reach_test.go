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

// scopes are identities and their levels: as simulated and, where it differs, as the readable policies say.
var scopes = map[string]struct {
	user      awstest.Entity
	role      bool
	account   awstest.Account
	level     audit.Level // with simulation
	text      audit.Level // without; "" for the same
	path      string      // part of a step, with simulation
	limit     string      // part of a limit, with simulation
	textLimit string
}{
	"administrator": {
		user: awstest.Entity{Attached: []string{admin}}, level: audit.LevelAdmin, path: "AdministratorAccess", textLimit: "upper bound",
	},
	"administrator by inline policy": {user: inline(everything), level: audit.LevelAdmin, path: "every action"},
	"administrator by group": {
		user:    awstest.Entity{Groups: []string{"ops"}},
		account: awstest.Account{Groups: map[string]awstest.Entity{"ops": {Attached: []string{admin}}}},
		level:   audit.LevelAdmin, path: "group ops",
	},
	"administrator by NotAction": {
		user:  inline(`{"Statement":{"Effect":"Allow","NotAction":"aws-portal:*","Resource":"*"}}`),
		level: audit.LevelAdmin, path: "every action",
	},
	"administrator without the trail": {
		user: inline(everything, deny("cloudtrail:*", "organizations:*")), level: audit.LevelAdmin, limit: "cloudtrail:StopLogging",
	},
	"administrator under an organisation policy": {
		user: inline(everything), account: awstest.Account{SCPs: []string{everything, deny("iam:*")}},
		level: audit.LevelUnknown, limit: "nothing about", // not even the simulation is allowed
	},
	"administrator held by an organisation policy": {
		user: inline(everything), account: awstest.Account{SCPs: []string{allow("*", "iam:Get*", "iam:List*", "iam:Simulate*", "s3:Get*")}},
		level: audit.LevelRead, text: audit.LevelAdmin, path: "s3:GetObject on *", textLimit: "upper bound",
	},
	"administrator session": {user: awstest.Entity{Path: "/ci/", Attached: []string{admin}}, role: true, level: audit.LevelAdmin, limit: "session policy"},
	"denied administrator": {
		user: inline(everything, deny("iam:Create*", "iam:Put*", "iam:Attach*", "iam:Update*", "iam:Set*", "iam:Add*", "iam:Delete*", "iam:PassRole")), level: audit.LevelWrite, path: "s3:PutObject",
	},
	"bounded administrator": {
		user:    awstest.Entity{Attached: []string{admin}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: `{"Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}`}},
		level:   audit.LevelRead, path: "s3:GetObject",
	},
	"bounded, may write itself a policy": {
		user:    awstest.Entity{Inline: map[string]string{"p": allow("*", "iam:PutUserPolicy", "iam:AttachUserPolicy", "s3:GetObject")}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: everything}},
		level:   audit.LevelWrite, limit: "stays under its permissions boundary",
	},
	"bounded role, may write itself a policy": {
		user: awstest.Entity{Inline: map[string]string{"p": allow("*", "iam:PutRolePolicy", "s3:GetObject")}, Boundary: fence}, role: true,
		account: awstest.Account{Policies: map[string]string{fence: everything}},
		level:   audit.LevelWrite, limit: "stays under its permissions boundary",
	},
	"bounded, may remove the boundary": {
		user:    awstest.Entity{Inline: map[string]string{"p": allow("*", "iam:PutUserPolicy", "iam:DeleteUserPermissionsBoundary")}, Boundary: fence},
		account: awstest.Account{Policies: map[string]string{fence: everything}},
		level:   audit.LevelEscalation, path: "iam:PutUserPolicy on *",
	},
	"keys of others": {user: inline(allow("*", "iam:CreateAccessKey")), level: audit.LevelEscalation, path: "takes a key"},
	"own keys":       {user: inline(allow("arn:aws:iam::*:user/${aws:username}", "iam:CreateAccessKey")), level: audit.LevelWrite, path: "iam:CreateAccessKey on arn"},
	"own policies":   {user: inline(allow(self, "iam:PutUserPolicy")), level: audit.LevelEscalation, path: "iam:PutUserPolicy on " + self},
	"pass and run":   {user: inline(allow("*", "iam:PassRole", "ec2:RunInstances")), level: audit.LevelEscalation, path: "any role that trusts EC2"},
	"own role":       {user: inline(allow("arn:aws:iam::"+account+":role/ci/*", "iam:AttachRolePolicy")), role: true, level: audit.LevelWrite},
	"uploader": {
		user:    awstest.Entity{Attached: []string{ship}},
		account: awstest.Account{Policies: map[string]string{ship: allow("arn:aws:s3:::builds/*", "s3:PutObject", "s3:GetObject")}},
		level:   audit.LevelWrite, path: "s3:PutObject on arn:aws:s3:::builds/*",
	},
	"reader":         {user: inline(allow("arn:aws:secretsmanager:eu-west-1:"+account+":secret:x", "secretsmanager:GetSecretValue")), level: audit.LevelRead, path: "secrets read"},
	"table writer":   {user: inline(allow("*", "dynamodb:PutItem")), level: audit.LevelWrite, limit: "read from the text of inline policy"},
	"table reader":   {user: inline(allow("*", "dynamodb:Query")), level: audit.LevelRead, limit: "read from the text of inline policy"},
	"assumes a role": {user: inline(allow("arn:aws:iam::444455556666:role/admin", "sts:AssumeRole")), level: audit.LevelUnknown, path: "sts:AssumeRole on arn:aws:iam::444455556666:role/admin Edge:may Evidence:role assumption: iam:GetUserPolicy", limit: "lower bound"},
	"conditional": {
		user:  inline(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}}`),
		level: audit.LevelUnknown, limit: "aws:SourceVpc",
	},
	"conditional deny": {
		user:  inline(everything, `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}}}`),
		level: audit.LevelUnknown, limit: "40 sentinel actions are undecided",
	},
	"conditional, no sentinel": {
		user:  inline(`{"Statement":{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}}}`),
		level: audit.LevelUnknown, limit: "beyond the sentinel actions",
	},
	"nobody": {user: inline(), level: audit.LevelNone},
}

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
	a.Users = map[string]awstest.Entity{"ci": e}
	s := audit.NewSecret(audit.KindAWSKey, id, key.Secret)
	if c.role {
		id = keyID("ASIA", account)
		key = awstest.Key{Secret: key.Secret, Role: "ci", Token: value()}
		a.Users, a.Roles = nil, map[string]awstest.Entity{"ci": e}
		s = audit.NewSecret(audit.KindAWSKey, id, key.Secret)
		s.SetPart(audit.PartSessionToken, key.Token)
	}
	a.Keys = map[string]awstest.Key{id: key}
	return newWorld(t, a, nil), s
}

type scopeCase struct {
	entity  awstest.Entity
	role    bool
	account awstest.Account
}

func TestReach(t *testing.T) {
	for name, c := range scopes {
		t.Run(name, func(t *testing.T) {
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM, simulate)
			v := w.verify(t, s)
			check(t, v, c.level, c.path, c.limit)
			if c.level != audit.LevelUnknown && !strings.Contains(v.Facts["sentinels"], "simulated") {
				t.Errorf("not simulated: %q", v.Reach.Limits)
			}
			simulations := 0
			for _, r := range w.server.Requests() {
				if r.Action != "SimulatePrincipalPolicy" {
					continue
				}
				simulations++
				if r.Params.Has("ActionNames.member.41") || r.Params.Has("ResourceArns.member.21") {
					t.Error("a batch is too large")
				}
			}
			if len(w.slept) != max(simulations-1, 0) {
				t.Errorf("%d simulations, slept %v", simulations, w.slept)
			}
		})
		t.Run(name+", not simulated", func(t *testing.T) {
			w, s := scopeCase{c.user, c.role, c.account}.world(t, readIAM)
			w.server.Intercept = func(rw http.ResponseWriter, _ *http.Request, action string, _ int) bool {
				if action == "SimulatePrincipalPolicy" {
					awstest.Error(rw, 403, "AccessDenied", "User is not authorized to perform: iam:SimulatePrincipalPolicy because no identity-based policy allows the action")
					return true
				}
				return false
			}
			level := c.level
			if c.text != "" {
				level = c.text
			}
			v := w.verify(t, s)
			path := c.path
			if c.text != "" {
				path = ""
			}
			check(t, v, level, path, c.textLimit)
			if level != audit.LevelUnknown && !slices.ContainsFunc(v.Reach.Limits, func(l string) bool {
				return strings.Contains(l, "no identity-based policy allows") && strings.Contains(l, "upper bound")
			}) {
				t.Errorf("limits do not say why: %q", v.Reach.Limits)
			}
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
	check(t, w.verify(t, s), audit.LevelEscalation, "takes a key", "not readable: iam:GetUser")
	w, s = scopeCase{inline(), false, awstest.Account{}}.world(t, simulate)
	check(t, w.verify(t, s), audit.LevelUnknown, "", "policies are not all readable")
}

// TestPages has every listing in pages of one.
func TestPages(t *testing.T) {
	c := scopeCase{entity: inline(allow("*", "s3:GetObject"), allow("*", "s3:PutObject"))}
	c.entity.Groups = []string{"a", "b"}
	c.account.Groups = map[string]awstest.Entity{"a": {}, "b": inline(allow("*", "iam:CreateAccessKey"))}
	w, s := c.world(t, readIAM)
	w.server.PageSize = 1
	check(t, w.verify(t, s), audit.LevelEscalation, "group b", "")

	w, s = c.world(t, readIAM, simulate)
	w.server.PageSize = 7
	check(t, w.verify(t, s), audit.LevelEscalation, "takes a key", "")
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
				return false
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
	w, s := scopeCase{inline(), false, awstest.Account{}}.world(t, readIAM)
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
		if seen[s.Action] || s.Group == "" || s.Level == "" {
			t.Errorf("%+v", s)
		}
		seen[s.Action] = true
	}
	if len(seen) != maxActions {
		t.Errorf("%d sentinels", len(seen))
	}
	for _, e := range escalations {
		for _, a := range e.actions {
			if !seen[a] {
				t.Errorf("escalation by %s, which is not asked about", a)
			}
		}
	}
}
