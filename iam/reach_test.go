package iam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A maker makes the details of an account.
type maker struct {
	users, roles, groups, policies []map[string]any
}

type doc = map[string]any

func statement(effect string, action, resource any, more ...doc) doc {
	s := doc{"Effect": effect, "Action": action, "Resource": resource}
	for _, m := range more {
		for k, v := range m {
			s[k] = v
		}
	}
	return s
}

func allow(action, resource any, more ...doc) doc {
	return statement("Allow", action, resource, more...)
}
func deny(action, resource any, more ...doc) doc { return statement("Deny", action, resource, more...) }

func document(statements ...doc) doc { return doc{"Version": "2012-10-17", "Statement": statements} }

func (m *maker) arn(kind, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + "/" + name
}

func (m *maker) user(name string, more doc, statements ...doc) string {
	u := doc{"UserName": name, "Arn": m.arn("user", name)}
	if len(statements) > 0 {
		u["UserPolicyList"] = []doc{{"PolicyName": "inline", "PolicyDocument": document(statements...)}}
	}
	for k, v := range more {
		u[k] = v
	}
	m.users = append(m.users, u)
	return m.arn("user", name)
}

func (m *maker) role(name string, trust any, statements ...doc) string {
	r := doc{"RoleName": name, "Arn": m.arn("role", name), "AssumeRolePolicyDocument": document(doc{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust})}
	if len(statements) > 0 {
		r["RolePolicyList"] = []doc{{"PolicyName": "inline", "PolicyDocument": document(statements...)}}
	}
	m.roles = append(m.roles, r)
	return m.arn("role", name)
}

func (m *maker) policy(name string, statements ...doc) []doc {
	m.policies = append(m.policies, doc{"Arn": m.arn("policy", name), "PolicyVersionList": []doc{{"IsDefaultVersion": true, "Document": document(statements...)}}})
	return []doc{{"PolicyName": name, "PolicyArn": m.arn("policy", name)}}
}

func (m *maker) account(t testing.TB, id string) *Account {
	t.Helper()
	text, err := json.Marshal(doc{"UserDetailList": m.users, "RoleDetailList": m.roles, "GroupDetailList": m.groups, "Policies": m.policies})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAccount(id, text)
	if err != nil || len(a.Problems) > 0 {
		t.Fatal(err, a.Problems)
	}
	return a
}

var (
	full        = allow("*", "*")
	adminPolicy = doc{"AttachedManagedPolicies": []doc{{"PolicyName": "AdministratorAccess", "PolicyArn": administrator}}}
	ec2         = doc{"Service": "ec2.amazonaws.com"}
	lambda      = doc{"Service": "lambda.amazonaws.com"}
)

func boundary(m *maker, name string, statements ...doc) doc {
	return doc{"PermissionsBoundary": doc{"PermissionsBoundaryArn": m.policy(name, statements...)[0]["PolicyArn"]}}
}

func merged(all ...doc) doc {
	out := doc{}
	for _, d := range all {
		for k, v := range d {
			out[k] = v
		}
	}
	return out
}

// TestReach: who is admin, who can become it, and who looks like it and is not.
func TestReach(t *testing.T) {
	m := &maker{}
	m.groups = []doc{
		{"GroupName": "admins", "Arn": m.arn("group", "admins"), "GroupPolicyList": []doc{{"PolicyName": "all", "PolicyDocument": document(full)}}},
		{"GroupName": "people", "Arn": m.arn("group", "people")},
	}
	want := map[string]string{}
	user := func(level, name string, more doc, statements ...doc) { want[m.user(name, more, statements...)] = level }
	role := func(level, name string, trust any, statements ...doc) string {
		arn := m.role(name, trust, statements...)
		want[arn] = level
		return arn
	}

	user("admin", "attached", adminPolicy)
	user("admin", "inline", nil, full)
	user("admin", "of-a-group", doc{"GroupList": []string{"admins"}})
	user("admin", "split", nil, allow([]string{"s3:*", "ec2:*"}, "*"), statement("Allow", nil, "*", doc{"Action": "*"}))
	user("admin", "denied-elsewhere", adminPolicy, deny("*", "arn:aws:s3:::archive/*"))
	user("admin", "denied-in-a-region", adminPolicy, deny("*", "*", doc{"Condition": doc{"StringEquals": doc{"aws:RequestedRegion": "ap-east-1"}}}))
	user("admin", "wide-boundary", merged(adminPolicy, boundary(m, "wide", full)))
	root := role("admin", "admin", doc{"AWS": "arn:aws:iam::" + account + ":root"}, full)
	service := role("admin", "service-admin", lambda, full)
	external := role("admin", "external", doc{"AWS": account}, full)
	m.roles[len(m.roles)-1]["AssumeRolePolicyDocument"] = document(doc{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": doc{"AWS": account}, "Condition": doc{"StringEquals": doc{"sts:ExternalId": "x"}}})

	// Hold a policy of an administrator, and are none.
	user("none", "denied", adminPolicy, deny("*", "*"))
	user("read", "bounded", merged(adminPolicy, boundary(m, "narrow", allow("s3:Get*", "*"))))
	user("none", "bounded-by-a-deny", merged(adminPolicy, boundary(m, "shut", full, deny("*", "*"))))
	user("none", "with-mfa-only", nil, allow("*", "*", doc{"Condition": doc{"Bool": doc{"aws:MultiFactorAuthPresent": "true"}}}))
	user("none", "denied-without-mfa", adminPolicy, deny("*", "*", doc{"Condition": doc{"BoolIfExists": doc{"aws:MultiFactorAuthPresent": "false"}}}))
	user("unknown", "from-one-address", nil, allow("*", "*", doc{"Condition": doc{"IpAddress": doc{"aws:SourceIp": "10.0.0.0/8"}}}))
	user("none", "until-last-year", nil, allow("*", "*", doc{"Condition": doc{"DateLessThan": doc{"aws:CurrentTime": "2025-01-01T00:00:00Z"}}}))
	user("none", "by-a-tag-it-has-not", nil, allow("*", "*", doc{"Condition": doc{"StringEquals": doc{"aws:PrincipalTag/admin": "yes"}}}))
	user("admin", "by-a-tag", doc{"Tags": []doc{{"Key": "admin", "Value": "yes"}}}, allow("*", "*", doc{"Condition": doc{"StringEquals": doc{"aws:PrincipalTag/admin": "yes"}}}))

	// Can become it.
	self := "arn:aws:iam::" + account + ":user/${aws:username}"
	user("escalation", "puts-own-policy", nil, allow("iam:PutUserPolicy", self))
	user("escalation", "attaches-own-policy", nil, allow("iam:Attach*", "*"))
	user("escalation", "makes-keys", nil, allow("iam:CreateAccessKey", "*"))
	user("escalation", "joins", nil, allow("iam:AddUserToGroup", m.arn("group", "admins")))
	user("escalation", "edits-its-policy", doc{"AttachedManagedPolicies": m.policy("mine", allow("iam:CreatePolicyVersion", m.arn("policy", "mine")))})
	user("escalation", "edits-its-group", doc{"GroupList": []string{"people"}}, allow("iam:PutGroupPolicy", "*"))
	user("escalation", "drops-its-boundary", merged(adminPolicy, boundary(m, "loose", allow("iam:DeleteUserPermissionsBoundary", "*"))))
	user("escalation", "assumes", nil, allow("sts:AssumeRole", root))
	user("escalation", "edits-a-trust", nil, allow("iam:UpdateAssumeRolePolicy", service))
	user("escalation", "passes", nil, allow("iam:PassRole", "*"), allow([]string{"lambda:CreateFunction", "lambda:InvokeFunction"}, "*"))
	user("escalation", "passes-to-lambda", nil, allow("iam:PassRole", service, doc{"Condition": doc{"StringEquals": doc{"iam:PassedToService": "lambda.amazonaws.com"}}}), allow("lambda:*", "*"))
	hop := role("escalation", "hop", doc{"AWS": "arn:aws:iam::" + account + ":root"}, allow("sts:AssumeRole", root))
	user("escalation", "assumes-twice", nil, allow("sts:AssumeRole", hop))

	// Look as if they could, and cannot.
	user("write", "puts-others-policy", nil, allow("iam:PutUserPolicy", m.arn("user", "others/*")))
	user("write", "puts-own-policy-bounded", boundary(m, "self", allow("iam:PutUserPolicy", "*")), allow("iam:PutUserPolicy", self))
	user("write", "passes-without-a-service", nil, allow("iam:PassRole", "*"))
	user("write", "passes-to-another-service", nil, allow("iam:PassRole", "*", doc{"Condition": doc{"StringEquals": doc{"iam:PassedToService": "ec2.amazonaws.com"}}}), allow("lambda:*", "*"))
	user("write", "passes-what-lambda-may-not-take", nil, allow("iam:PassRole", role("write", "for-ec2", ec2, allow("s3:PutObject", "*"))), allow("lambda:*", "*"))
	user("none", "assumes-what-does-not-trust-it", nil, allow("sts:AssumeRole", service))
	user("write", "keys-of-nobody", nil, allow("iam:CreateAccessKey", m.arn("user", "nobody")))
	user("write", "keys-denied", nil, allow("iam:CreateAccessKey", "*"), deny("iam:Create*", "*"), allow("s3:PutObject", "*"))

	// May little.
	user("write", "writes", nil, allow("s3:PutObject", "arn:aws:s3:::bucket/*"))
	user("read", "lists-a-prefix", nil, allow("s3:ListBucket", "arn:aws:s3:::b", doc{"Condition": doc{"StringLike": doc{"s3:prefix": "home/*"}}}))
	user("write", "starts-small-ones", nil, allow("ec2:RunInstances", "*", doc{"Condition": doc{"StringEquals": doc{"ec2:InstanceType": "t3.micro"}}}))
	user("none", "decrypts-through-a-service", nil, allow("kms:Decrypt", "*", doc{"Condition": doc{"StringEquals": doc{"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}}))
	user("write", "attaches-little", nil, allow("iam:AttachUserPolicy", "*", doc{"Condition": doc{"ArnEquals": doc{"iam:PolicyARN": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}}))
	user("write", "edits-the-bounded", nil, allow("iam:PutUserPolicy", self, doc{"Condition": doc{"StringEquals": doc{"iam:PermissionsBoundary": m.arn("policy", "narrow")}}}))
	user("unknown", "knows-no-external-id", nil, allow("sts:AssumeRole", external))
	user("unknown", "assumes-elsewhere", nil, allow("sts:AssumeRole", "arn:aws:iam::999999999999:role/r"))
	user("unknown", "makes-keys-of-the-tagged", nil, allow("iam:CreateAccessKey", "*", doc{"Condition": doc{"StringEquals": doc{"aws:ResourceTag/team": "ci"}}}))
	user("read", "reads", nil, allow([]string{"s3:Get*", "s3:List*"}, "*"))
	user("none", "nothing", nil)
	user("escalation", "power-user", nil, doc{"Effect": "Allow", "NotAction": []string{"iam:*", "organizations:*"}, "Resource": "*"}) // by the role that trusts the account
	user("write", "power-user-without-roles", nil, doc{"Effect": "Allow", "NotAction": []string{"iam:*", "organizations:*", "sts:*"}, "Resource": "*"})

	a := m.account(t, account)
	a.Organisation = true
	w := NewWorld([]*Account{a}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
	for _, i := range w.Identities() {
		r := w.Reach(i)
		if r.Level.String() != want[i.ARN] {
			t.Errorf("%s: %s, want %s: %+v %q", i.ARN, r.Level, want[i.ARN], r.Steps, r.Limits)
		}
		if r.Level > LevelNone && len(r.Steps) == 0 {
			t.Errorf("%s: no way is shown to %s", i.ARN, r.Level)
		}
		for _, s := range r.Steps {
			if s.Evidence == "" {
				t.Errorf("%s: a step without evidence: %+v", i.ARN, s)
			}
		}
	}
}

// TestReachOfAnOrganisation: what limits an account limits its administrators, and roles lead from one to another.
func TestReachOfAnOrganisation(t *testing.T) {
	m := &maker{}
	m.user("admin", adminPolicy)
	m.user("outside", nil, allow("sts:AssumeRole", "arn:aws:iam::"+other+":role/entry"))
	first := m.account(t, account)
	second, err := ParseAccount(other, []byte(fmt.Sprintf(`{"RoleDetailList": [{"Arn": "arn:aws:iam::%s:role/entry",
		"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "%s"}}},
		"AttachedManagedPolicies": [{"PolicyArn": %q}]}]}`, other, account, administrator)))
	if err != nil {
		t.Fatal(err)
	}
	accounts := []*Account{first, second}
	for _, c := range []struct {
		organisation string
		want         []string
	}{
		{`{"accounts": []}`, []string{"admin", "escalation", "admin"}},
		{`{"accounts": [{"id": "111122223333", "management": true}, {"id": "444455556666", "scps": [[{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]]}]}`,
			[]string{"admin", "escalation", "admin"}},
		{`{"accounts": [{"id": "111122223333", "scps": [[{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}]]}, {"id": "444455556666"}]}`,
			[]string{"write", "none", "admin"}},
		{`{"accounts": [{"id": "111122223333"}, {"id": "444455556666", "rcps": [[{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*"}}]]}]}`,
			[]string{"admin", "none", "admin"}},
	} {
		for _, a := range accounts {
			a.Organisation, a.SCPs, a.RCPs = false, nil, nil
		}
		if err := ParseOrganisation([]byte(c.organisation), accounts); err != nil {
			t.Fatal(err)
		}
		w := NewWorld(accounts, time.Now())
		var got []string
		for _, i := range w.Identities() {
			r := w.Reach(i)
			got = append(got, r.Level.String())
			if limited := slices.ContainsFunc(r.Limits, func(s string) bool { return strings.Contains(s, "upper bound") }); limited == i.Account.Organisation {
				t.Errorf("%s: limits %q", i.ARN, r.Limits)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.organisation, got, c.want)
		}
	}
}

// Whatever a file has, it is read or refused, and its identities can be judged.
func FuzzParseAccount(f *testing.F) {
	f.Add([]byte(`{"UserDetailList": [{"Arn": "arn:aws:iam::111122223333:user/u", "UserPolicyList": [{"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}]}]}`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		a, err := ParseAccount(account, doc)
		if err != nil || len(a.Users)+len(a.Roles) > 5 {
			return
		}
		w := NewWorld([]*Account{a}, time.Now())
		for _, i := range w.Identities() {
			w.Reach(i)
		}
	})
}

// BenchmarkReach judges an account of many identities: some may pass roles to services, as many make keys, one is admin, and each other user may assume a role. Of
// wide ones a twentieth may nearly everything, which makes many moves. In a mesh each role may assume each, and of differing ones each has a trust policy of its own.
func BenchmarkReach(b *testing.B) {
	for _, c := range []struct {
		n, each int
		what    string
		may     doc
	}{
		{500, 25, "", allow([]string{"lambda:*", "ec2:RunInstances"}, "*")},
		{5000, 250, "", allow([]string{"lambda:*", "ec2:RunInstances"}, "*")},
		{50000, 2500, "", allow([]string{"lambda:*", "ec2:RunInstances"}, "*")},
		{5000, 10, "wide", doc{"Effect": "Allow", "NotAction": []string{"iam:*"}, "Resource": "*"}},
		{500, 0, "mesh", nil},
		{5000, 0, "mesh", nil},
		{50000, 0, "mesh", nil},
		{500, 0, "differing", nil},
		{5000, 0, "differing", nil},
		{50000, 0, "differing", nil},
	} {
		b.Run(fmt.Sprint(c.n, c.what), func(b *testing.B) {
			m := &maker{}
			trust := doc{"AWS": "arn:aws:iam::" + account + ":root"}
			for k := range c.n / 2 {
				if c.what == "differing" {
					for _, name := range []string{"a", "b"} {
						m.role(fmt.Sprint(name, k), doc{"AWS": account}, allow("sts:AssumeRole", "*"))
						trust := m.roles[len(m.roles)-1]["AssumeRolePolicyDocument"].(doc)
						trust["Statement"].([]doc)[0]["Condition"] = doc{"StringEquals": doc{"sts:ExternalId": fmt.Sprint(name, k)}}
					}
					continue
				}
				if c.each == 0 {
					m.role(fmt.Sprint("a", k), trust, allow("sts:AssumeRole", "*"))
					m.role(fmt.Sprint("b", k), trust, allow("sts:AssumeRole", "*"), allow("sqs:SendMessage", "*"))
					continue
				}
				switch k % c.each {
				case 0:
					m.user(fmt.Sprint("u", k), nil, allow("iam:PassRole", "*"), c.may)
				case 1:
					m.user(fmt.Sprint("u", k), nil, allow("iam:CreateAccessKey", "arn:aws:iam::"+account+":user/u1*"))
				default:
					m.user(fmt.Sprint("u", k), nil, allow([]string{"s3:Get*", "s3:PutObject"}, "arn:aws:s3:::b"+fmt.Sprint(k)+"/*"), allow("sts:AssumeRole", m.arn("role", fmt.Sprint("r", k))))
				}
				m.role(fmt.Sprint("r", k), []any{trust, lambda, ec2}[k%3], allow([]string{"dynamodb:*", "sqs:SendMessage"}, "*"))
			}
			m.user("root", adminPolicy)
			a := m.account(b, account)
			b.ReportAllocs()
			moves := 0
			for b.Loop() {
				w := NewWorld([]*Account{a}, time.Now())
				moves = 0
				for _, i := range w.Identities() {
					w.Reach(i)
					moves += len(w.Moves(i))
				}
			}
			b.ReportMetric(float64(moves), "moves")
		})
	}
}

// TestDoubts: what would raise a level if it was known is a limit of it, and what another statement allows anyway is none.
func TestDoubts(t *testing.T) {
	somewhere := doc{"Condition": doc{"IpAddress": doc{"aws:SourceIp": "192.0.2.1"}}}
	for _, c := range []struct {
		name       string
		statements []doc
		level      Level
		limits     []string
	}{
		{"writes perhaps", []doc{allow("sqs:ReceiveMessage", "*"), allow("sqs:SendMessage", "*", somewhere)}, LevelRead, []string{"whether it may sqs:sendmessage on * depends on aws:sourceip"}},
		{"reads perhaps, and writes", []doc{allow("sqs:ReceiveMessage", "*", somewhere), allow("sqs:SendMessage", "*")}, LevelWrite, nil},
		{"reads perhaps", []doc{allow("sqs:ReceiveMessage", "*", somewhere)}, LevelUnknown, []string{"whether it may sqs:receivemessage on * depends on aws:sourceip"}},
	} {
		m := &maker{}
		arn := m.user("u", nil, c.statements...)
		a := m.account(t, account)
		a.Organisation = true
		w := NewWorld([]*Account{a}, time.Now())
		if r := w.Reach(w.Find(arn)); r.Level != c.level || !slices.Equal(r.Limits, c.limits) {
			t.Errorf("%s: %s %q", c.name, r.Level, r.Limits)
		}
	}
}

// TestDecode: an error says where, and what is expected there.
func TestDecode(t *testing.T) {
	for doc, want := range map[string]string{
		`[]`:                            "line 1, column 1: the document is a list, and has to be an object",
		"{\n \"RoleDetailList\": \"\"}": "line 2, column 21: RoleDetailList is a text, and has to be a list",
		`{"Policies": [{"PolicyVersionList": [{"IsDefaultVersion": 1}]}]}`: "line 1, column 59: Policies.PolicyVersionList.IsDefaultVersion is a number, and has to be true or false",
		`{"UserDetailList": [{"PermissionsBoundary": true}]}`:              "line 1, column 48: UserDetailList.PermissionsBoundary is true or false, and has to be an object",
		"{\n\n": "line 2, column 1: not JSON: unexpected end of JSON input",
	} {
		_, err := ParseAccount(account, []byte(doc))
		if err == nil || err.Error() != "reading the authorization details of account "+account+": "+want {
			t.Errorf("%q: %v", doc, err)
		}
	}
}
