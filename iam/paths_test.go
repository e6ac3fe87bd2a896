package iam

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// waysOf is the account that one way of the catalogue is tried in: an administrator's role that the service may take, one that may little, a user and a group.
func waysOf(t *testing.T, p *catalogued, who doc, statements ...doc) (*World, string) {
	t.Helper()
	m := &maker{}
	trust := any(doc{"AWS": "arn:aws:iam::" + other + ":root"})
	switch {
	case p.ID == "cognitoidentity-001":
		trust = doc{"Federated": "cognito-identity.amazonaws.com"}
	case len(p.MustTrust) > 0:
		trust = doc{"Service": p.MustTrust}
	case strings.Contains(strings.Join(p.Required, " "), "sts:AssumeRole"):
		trust = doc{"AWS": account}
	}
	may := []doc{full}
	if slices.Contains([]string{"iam-014", "iam-016", "iam-017", "iam-019", "iam-020", "iam-021"}, p.ID) {
		may = []doc{allow("s3:GetObject", "*")} // which the way makes an administrator's
	}
	m.role("target", trust, may...)
	if p.ID == "iam-016" || p.ID == "iam-020" {
		m.roles[0]["AttachedManagedPolicies"] = m.policy("of-the-role", allow("s3:GetObject", "*"))
	}
	if p.ID == "iam-023" {
		m.roles[0]["PermissionsBoundary"] = boundary(m, "tight", allow("s3:*", "*"))["PermissionsBoundary"]
	}
	if p.ID == "cognitoidentity-001" {
		m.roles[0]["AssumeRolePolicyDocument"] = document(doc{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": trust})
	}
	m.role("little", doc{"AWS": account}, allow("s3:GetObject", "*"))
	m.groups = []doc{{"GroupName": "admins", "Arn": m.arn("group", "admins"), "GroupPolicyList": []doc{{"PolicyName": "all", "PolicyDocument": document(full)}}},
		{"GroupName": "people", "Arn": m.arn("group", "people")}}
	m.user("admin", adminPolicy)
	var arn string
	switch {
	case p.ID == "iam-005" || p.ID == "iam-009":
		arn = m.role("self", doc{"Service": "ec2.amazonaws.com"}, statements...)
		for k, v := range who {
			m.roles[len(m.roles)-1][k] = v
		}
	default:
		arn = m.user("self", who, statements...)
	}
	self := m.users[len(m.users)-1]
	switch p.ID {
	case "iam-001":
		self["AttachedManagedPolicies"] = m.policy("own", allow("s3:GetObject", "*"))
	case "iam-010", "iam-011":
		self["GroupList"] = []string{"people"}
	case "iam-022", "iam-024": // a boundary of administrators that denies the rest
		self["PermissionsBoundary"] = boundary(m, "tight", allow(p.Required, "*"))["PermissionsBoundary"]
		self["AttachedManagedPolicies"] = m.policy("all", full)
	case "iam-025":
		self["AttachedManagedPolicies"] = append(m.policy("all", full), m.policy("denying", statement("Deny", nil, "*", doc{"Action": "s3:*"}))...)
	case "iam-026":
		self["AttachedManagedPolicies"] = m.policy("all", full)
		self["UserPolicyList"] = append(self["UserPolicyList"].([]doc), doc{"PolicyName": "denying", "PolicyDocument": document(deny("s3:*", "*"))})
	}
	a := m.account(t, account)
	a.Organisation, a.Management = true, strings.HasPrefix(p.ID, "sso-")
	return NewWorld([]*Account{a}, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)), arn
}

// isWay tells whether some actions alone are all that another way takes.
func isWay(actions []string) bool {
	return slices.ContainsFunc(catalogue(), func(p *catalogued) bool {
		return !p.unproven() && !slices.ContainsFunc(p.Required, func(a string) bool { return !slices.Contains(actions, a) })
	})
}

// TestPaths: each way of the catalogue is one for who may what it takes, in one policy or in several, and none for who may not.
func TestPaths(t *testing.T) {
	never := doc{"Condition": doc{"StringEquals": doc{"aws:PrincipalTag/never": "so"}}}
	proven := 0
	for _, p := range catalogue() {
		if p.unproven() {
			continue
		}
		proven++
		takes := p.Required
		if strings.HasPrefix(p.ID, "iam-02") && p.ID >= "iam-025" && p.ID <= "iam-026" { // who can drop a deny has more than that beside it
			takes = append(slices.Clone(takes), "s3:GetObject")
		}
		var split, without []doc
		for _, action := range takes {
			split = append(split, allow(action, "*"))
		}
		own := slices.Contains([]string{"iam-022", "iam-024", "iam-025", "iam-026"}, p.ID) // who has everything beside, and lacks one thing for it
		if !own && !isWay(takes[1:]) {
			without = split[1:]
		}
		last := len(p.Required) - 1
		denied := []doc{allow(takes, "*"), deny(p.Required[last], "*")}
		if p.ID == "iam-025" || p.ID == "iam-026" || isWay(p.Required[:last]) {
			denied = nil
		}
		upper := []string{}
		for _, action := range takes {
			upper = append(upper, strings.ToUpper(action))
		}
		narrow := doc{"PermissionsBoundary": doc{"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/AdministratorAccess"}}
		for _, c := range []struct {
			name       string
			reaches    bool
			who        doc
			statements []doc
		}{
			{"at once", true, nil, []doc{allow(takes, "*")}},
			{"split", true, nil, split},
			{"in other letters", true, nil, []doc{allow(upper, "*")}},
			{"under a wide boundary", true, narrow, []doc{allow(takes, "*")}},
			{"without one action", false, nil, without},
			{"by a condition that never holds", false, nil, []doc{allow(takes, "*", never)}},
			{"denied", false, nil, denied},
			{"on something harmless", false, nil, []doc{allow(takes, "arn:aws:s3:::harmless/*")}},
			{"on harmless identities", false, nil, []doc{allow(takes, []string{"arn:aws:iam::" + account + ":user/harmless", "arn:aws:iam::" + account + ":role/harmless"})}},
		} {
			if len(c.statements) == 0 || own && (!c.reaches && c.name != "denied" || c.who != nil) {
				continue
			}
			w, arn := waysOf(t, p, c.who, c.statements...)
			r := w.Reach(w.Find(arn))
			if got := r.Level >= LevelEscalation; got != c.reaches {
				t.Errorf("%s %s: %s, by %+v, possible %+v, limits %q", p.ID, c.name, r.Level, r.Steps, r.Possible, r.Limits)
			}
		}
	}
	if proven != 103 {
		t.Errorf("%d ways", proven)
	}
}

// TestRunning: a way over what exists counts where there is reason to suppose that something runs as the role, and else is possible.
func TestRunning(t *testing.T) {
	used := func(date string) doc { return doc{"RoleLastUsed": doc{"LastUsedDate": date}} }
	specific := allow([]string{"lambda:UpdateFunctionCode", "lambda:InvokeFunction"}, "arn:aws:lambda:*:*:function:web-*")
	for _, c := range []struct {
		name       string
		role       doc // of the administrator's
		other      doc // of another
		statements []doc
		want       string
		possible   bool
	}{
		{"by name", nil, nil, []doc{allow("lambda:UpdateFunctionCode", "*")}, "escalation", false},
		{"in one region", nil, nil, []doc{allow("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:"+account+":function:*")}, "escalation", false},
		{"with all of a service", nil, nil, []doc{allow("lambda:*", "*")}, "write", true},
		{"on some functions", nil, nil, []doc{specific}, "write", true},
		{"on two that are not the same", nil, nil, []doc{allow("lambda:AddPermission", "arn:aws:lambda:*:*:function:a"), allow("lambda:InvokeFunction", "arn:aws:lambda:*:*:function:b")}, "write", false},
		{"used lately", used("2026-11-20T10:00:00+00:00"), nil, []doc{allow("lambda:*", "*")}, "escalation", false},
		{"used long before another", used("2025-11-20T10:00:00Z"), used("2026-11-20T10:00:00Z"), []doc{allow("lambda:UpdateFunctionCode", "*")}, "write", true},
		{"never used, and another is", nil, used("2026-11-20T10:00:00Z"), []doc{allow("lambda:UpdateFunctionCode", "*")}, "write", true},
		{"on some functions, used lately", used("2026-11-20T10:00:00Z"), nil, []doc{specific}, "write", true},
	} {
		m := &maker{}
		m.role("service", lambda, full)
		m.role("other", ec2, allow("s3:GetObject", "*"))
		for i, more := range []doc{c.role, c.other} {
			for k, v := range more {
				m.roles[i][k] = v
			}
		}
		arn := m.user("u", nil, c.statements...)
		a := m.account(t, account)
		a.Organisation = true
		w := NewWorld([]*Account{a}, time.Now())
		r := w.Reach(w.Find(arn))
		if r.Level.String() != c.want || (r.Possible != nil) != c.possible {
			t.Errorf("%s: %s, possible %+v, limits %q", c.name, r.Level, r.Possible, r.Limits)
		}
		if (r.Level == LevelEscalation || c.possible) && !slices.ContainsFunc(r.Limits, func(l string) bool { return strings.Contains(l, "unction") }) {
			t.Errorf("%s: what is supposed is not told: %q", c.name, r.Limits)
		}
	}
}

// An instance has a role by an instance profile: where the details tell those, a role without one runs nowhere.
func TestInstanceProfiles(t *testing.T) {
	for _, with := range []bool{true, false} {
		m := &maker{}
		m.role("admin", ec2, full)
		m.role("other", ec2, allow("s3:GetObject", "*"))
		profile := []doc{{"Arn": m.arn("instance-profile", "p")}}
		m.roles[1]["InstanceProfileList"] = profile
		if with {
			m.roles[0]["InstanceProfileList"] = profile
		}
		arn := m.user("u", nil, allow("ssm:StartSession", "*"))
		a := m.account(t, account)
		w := NewWorld([]*Account{a}, time.Now())
		if r := w.Reach(w.Find(arn)); (r.Level == LevelEscalation) != with {
			t.Errorf("with a profile %t: %s", with, r.Level)
		}
	}
}

// TestUnproven: ways that no lab has shown are possible, and raise nobody's level.
func TestUnproven(t *testing.T) {
	data := []string{"LX04", "LX06", "LX09", "LX20", "LX21", "LX23", "LX24"}
	seen := 0
	for _, p := range catalogue() {
		if !p.unproven() {
			continue
		}
		seen++
		for _, s := range p.sets {
			actions := s.actions
			if s.passes {
				actions = append(slices.Clone(actions), passRole)
			}
			if isWay(actions) {
				continue
			}
			m := &maker{}
			m.groups = []doc{{"GroupName": "g", "Arn": m.arn("group", "g"), "GroupPolicyList": []doc{{"PolicyName": "no", "PolicyDocument": document(deny("s3:*", "*"))}}}}
			if len(p.MustTrust) > 0 {
				m.role("admin", doc{"Service": p.MustTrust}, full)
			}
			m.role("federated", doc{"Federated": "arn:aws:iam::" + account + ":oidc-provider/ci.example"}, full)
			if p.Gives == "self" { // who has everything and is held back
				continue
			}
			arn := m.user("u", nil, allow(actions, "*"))
			first, second := m.account(t, account), (&maker{}).account(t, other)
			first.Organisation, first.Management = true, true
			w := NewWorld([]*Account{first, second}, time.Now())
			r := w.Reach(w.Find(arn))
			told := slices.ContainsFunc(r.Limits, func(l string) bool { return strings.Contains(l, p.ID) })
			if r.Level >= LevelEscalation || !told || (r.Possible == nil) != slices.Contains(data, p.ID) {
				t.Errorf("%s %v: %s, possible %+v, limits %q", p.ID, actions, r.Level, r.Possible, r.Limits)
			}
		}
	}
	if seen != 24 {
		t.Errorf("%d", seen)
	}
}

// TestHeldBack: what holds an administrator back and may be dropped by itself in a way that no lab has shown.
func TestHeldBack(t *testing.T) {
	except := func(actions ...string) doc {
		return doc{"Effect": "Deny", "NotAction": actions, "Resource": "*"}
	}
	for _, c := range []struct {
		action string
		user   bool
		more   func(m *maker) doc
	}{
		{"iam:DeleteRolePolicy", false, func(*maker) doc {
			return doc{"RolePolicyList": []doc{{"PolicyName": "no", "PolicyDocument": document(except("iam:DeleteRolePolicy"))}}}
		}},
		{"iam:DetachRolePolicy", false, func(m *maker) doc {
			return doc{"AttachedManagedPolicies": m.policy("no", except("iam:DetachRolePolicy"))}
		}},
		{"iam:PutRolePermissionsBoundary", false, func(m *maker) doc { return boundary(m, "tight", allow("iam:PutRolePermissionsBoundary", "*")) }},
		{"iam:RemoveUserFromGroup", true, func(*maker) doc { return doc{"GroupList": []string{"held"}} }},
	} {
		m := &maker{}
		m.groups = []doc{{"GroupName": "held", "Arn": m.arn("group", "held"), "GroupPolicyList": []doc{{"PolicyName": "no", "PolicyDocument": document(except(c.action))}}}}
		all := doc{"AttachedManagedPolicies": []doc{adminPolicy["AttachedManagedPolicies"].([]doc)[0]}}
		more := c.more(m)
		if more["AttachedManagedPolicies"] != nil {
			all = doc{"AttachedManagedPolicies": append(all["AttachedManagedPolicies"].([]doc), more["AttachedManagedPolicies"].([]doc)...)}
			more = nil
		}
		arn := m.arn("role", "held")
		if c.user {
			arn = m.user("held", merged(all, more))
		} else {
			m.role("held", ec2)
			for k, v := range merged(all, more) {
				m.roles[0][k] = v
			}
		}
		a := m.account(t, account)
		w := NewWorld([]*Account{a}, time.Now())
		if r := w.Reach(w.Find(arn)); r.Level >= LevelEscalation || r.Possible == nil {
			t.Errorf("%s: %s, possible %+v, limits %q", c.action, r.Level, r.Possible, r.Limits)
		}
	}
}

// TestVersions: an older version of a policy that allows more may be made the default one.
func TestVersions(t *testing.T) {
	m := &maker{}
	own := m.policy("own", allow("iam:SetDefaultPolicyVersion", "*"))
	m.policies[0]["PolicyVersionList"] = append(m.policies[0]["PolicyVersionList"].([]doc), doc{"IsDefaultVersion": false, "Document": document(full)})
	arn := m.user("u", doc{"AttachedManagedPolicies": own})
	w := NewWorld([]*Account{m.account(t, account)}, time.Now())
	if r := w.Reach(w.Find(arn)); r.Level != LevelWrite || len(r.Possible) != 1 || r.Possible[0].Path != "LX03" {
		t.Errorf("%s, possible %+v", r.Level, r.Possible)
	}
}

// TestResourcePolicies: what resources' policies grant and deny, see
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-resource-identity.html.
func TestResourcePolicies(t *testing.T) {
	const queue, far, bucket, key = "arn:aws:sqs:eu-west-1:" + account + ":q", "arn:aws:sqs:eu-west-1:" + other + ":q", "arn:aws:s3:::b", "arn:aws:kms:eu-west-1:" + account + ":key/k"
	user, role := "arn:aws:iam::"+account+":user/u", "arn:aws:iam::"+account+":role/r"
	by := func(who any, s doc) doc { return merged(s, doc{"Principal": who}) }
	aws := func(arn string) doc { return doc{"AWS": arn} }
	for _, c := range []struct {
		name       string
		resource   string
		policy     []doc
		statements []doc
		more       doc
		user, role string
		accounts   int // exported
	}{
		{"names the user", queue, []doc{by(aws(user), allow("sqs:SendMessage", queue))}, nil, nil, "write", "none", 1},
		{"names the role", queue, []doc{by(aws(role), allow("sqs:SendMessage", queue))}, nil, nil, "none", "write", 1},
		{"names the account, which delegates", queue, []doc{by(aws(account), allow("sqs:SendMessage", queue))}, nil, nil, "none", "none", 1},
		{"names everybody", queue, []doc{by("*", allow("sqs:SendMessage", queue))}, nil, nil, "write", "write", 1},
		{"names everybody, to read", bucket, []doc{by("*", allow("s3:GetObject", bucket+"/*"))}, nil, nil, "read", "read", 1},
		{"names a service", queue, []doc{by(doc{"Service": "sns.amazonaws.com"}, allow("sqs:SendMessage", queue))}, nil, nil, "none", "none", 1},
		{"names everybody from one address", queue, []doc{by("*", allow("sqs:SendMessage", queue, doc{"Condition": doc{"IpAddress": doc{"aws:SourceIp": "192.0.2.1"}}}))}, nil, nil, "unknown", "unknown", 1},
		{"denies what the identity's allow", queue, []doc{by("*", deny("sqs:*", queue))}, []doc{allow("sqs:SendMessage", queue)}, nil, "none", "none", 1},
		{"denies what the identity's allow on objects", bucket, []doc{by("*", deny("s3:*", bucket+"/*"))}, []doc{allow("s3:PutObject", bucket+"/*")}, nil, "none", "none", 1},
		{"of another account names the user, whose own allow nothing", far, []doc{by(aws(user), allow("sqs:SendMessage", far))}, nil, nil, "none", "none", 2},
		{"of another account names the user, whose own allow it", far, []doc{by(aws(user), allow("sqs:SendMessage", far))}, []doc{allow("sqs:SendMessage", far)}, nil, "write", "none", 2},
		{"of another account names the account", far, []doc{by(aws(account), allow("sqs:SendMessage", far))}, []doc{allow("sqs:SendMessage", "*")}, nil, "write", "write", 2},
		{"of another account names nobody of this", far, []doc{by(aws(other), allow("sqs:SendMessage", far))}, []doc{allow("sqs:SendMessage", far)}, nil, "none", "none", 2},
		{"of an account that was not read", queue, []doc{by(aws(user), deny("sqs:*", queue))}, []doc{allow("sqs:SendMessage", far)}, nil, "unknown", "unknown", 1},
		{"of a bucket, which may be either account's", bucket, []doc{by(aws(user), allow("s3:PutObject", bucket+"/*"))}, nil, nil, "unknown", "none", 2},
		{"of a key delegates", key, []doc{by(aws("arn:aws:iam::"+account+":root"), allow("kms:*", "*"))}, []doc{allow("kms:Decrypt", key)}, nil, "write", "write", 1},
		{"of a key does not delegate", key, []doc{by(aws(role), allow("kms:*", "*"))}, []doc{allow("kms:Decrypt", key)}, nil, "none", "write", 1},
		{"of a key was not read", queue, []doc{by(aws(account), allow("sqs:SendMessage", queue))}, []doc{allow("kms:Decrypt", key)}, nil, "unknown", "unknown", 1},
		{"names the user, who is bounded", queue, []doc{by(aws(user), allow("sqs:SendMessage", queue))}, nil, doc{"PermissionsBoundary": true}, "write", "none", 1},
		{"names the role, which is bounded", queue, []doc{by(aws(role), allow("sqs:SendMessage", queue))}, nil, doc{"PermissionsBoundary": true}, "none", "none", 1},
	} {
		m := &maker{}
		more := doc{}
		if c.more != nil {
			more = boundary(m, "tight", allow("ec2:*", "*"))
		}
		m.user("u", more, c.statements...)
		m.role("r", lambda, c.statements...)
		for k, v := range more {
			m.roles[0][k] = v
		}
		accounts := []*Account{m.account(t, account), (&maker{}).account(t, other)}[:c.accounts]
		text, err := json.Marshal(doc{c.resource: document(c.policy...)})
		if err == nil {
			err = ParseResources(text, accounts)
		}
		if err != nil {
			t.Fatal(err)
		}
		w := NewWorld(accounts, time.Now())
		for arn, want := range map[string]string{user: c.user, role: c.role} {
			if r := w.Reach(w.Find(arn)); r.Level.String() != want {
				t.Errorf("%s: %s is %s, want %s: %+v %q", c.name, arn, r.Level, want, r.Steps, r.Limits)
			} else if want == "unknown" && !strings.Contains(strings.Join(r.Limits, "\n"), " depends on ") {
				t.Errorf("%s: that %s is unknown has no reason: %q", c.name, arn, r.Limits)
			}
		}
	}
}

// TestListedResources has resources of accounts that were listed: whose they are is known, and that there is nothing else.
func TestListedResources(t *testing.T) {
	const near, far, key = "arn:aws:s3:::near", "arn:aws:s3:::far", "arn:aws:kms:eu-west-1:" + account + ":key/k"
	const user, everyKey = "arn:aws:iam::" + account + ":user/u", "arn:aws:kms:*:" + account + ":key/*"
	named := func(arn string, s doc) []doc { return []doc{merged(s, doc{"Principal": doc{"AWS": arn}})} }
	for _, c := range []struct {
		name      string
		resource  string
		policy    []doc // nil for one that could not be read
		mine      bool  // else the other account's
		listed    []string
		statement doc
		want      string
		in        string
	}{
		{"a bucket of the other account without a policy", far, []doc{}, false, []string{"arn:aws:s3:::"}, allow("s3:PutObject", far+"/*"), "none", account},
		{"a bucket of the other account that names the user", far, named(user, allow("s3:PutObject", far+"/*")), false, []string{"arn:aws:s3:::"}, allow("s3:PutObject", far+"/*"), "write", other},
		{"a bucket of this account", near, []doc{}, true, []string{"arn:aws:s3:::"}, allow("s3:PutObject", near+"/*"), "write", account},
		{"a bucket whose policy was not read", near, nil, true, []string{"arn:aws:s3:::"}, allow("s3:PutObject", near+"/*"), "unknown", account},
		{"queues were not listed", near, []doc{}, false, []string{"arn:aws:s3:::"}, allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:"+other+":q"), "unknown", account},
		{"queues were listed", near, []doc{}, false, []string{"arn:aws:sqs:"}, allow("sqs:SendMessage", "arn:aws:sqs:eu-west-1:"+other+":q"), "none", account},
		{"some key that delegates", key, named("arn:aws:iam::"+account+":root", allow("kms:*", "*")), true, []string{"arn:aws:kms:"}, allow("kms:Decrypt", everyKey), "write", account},
		{"keys that do not delegate", key, named("arn:aws:iam::"+account+":role/r", allow("kms:*", "*")), true, []string{"arn:aws:kms:"}, allow("kms:Decrypt", everyKey), "none", account},
		{"not all keys were listed", key, named("arn:aws:iam::"+account+":role/r", allow("kms:*", "*")), true, []string{""}, allow("kms:Decrypt", everyKey), "unknown", account},
	} {
		m := &maker{}
		m.user("u", doc{}, c.statement)
		accounts := []*Account{m.account(t, account), (&maker{}).account(t, other)}
		at := accounts[1]
		if c.mine {
			at = accounts[0]
		}
		at.Resources = map[string]*Policy{c.resource: nil}
		switch {
		case len(c.policy) > 0:
			text, err := json.Marshal(document(c.policy...))
			if err != nil {
				t.Fatal(err)
			}
			at.Resources[c.resource] = policyOf(t, c.resource, text)
		case c.policy != nil:
			at.Resources[c.resource] = &Policy{}
		}
		at.Listed = c.listed
		w := NewWorld(accounts, time.Now())
		r := w.Reach(w.Find(user))
		if r.Level.String() != c.want || len(r.Accounts) > 0 && r.Accounts[0] != c.in {
			t.Errorf("%s: %s in %v, want %s in %s: %+v %q", c.name, r.Level, r.Accounts, c.want, c.in, r.Steps, r.Limits)
		}
	}
}

// What two patterns have in common is like both.
func FuzzMeet(f *testing.F) {
	f.Add("a*b?c*", "*xb*")
	f.Add("function:*-prod", "function:web-*")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, star+string([]byte{one})) || len(a)+len(b) > 200 {
			return
		}
		if common, ok := meet(wild(a), wild(b)); ok && (!newGlob(a).match(common) || !newGlob(b).match(common)) {
			t.Errorf("%q and %q: %q", a, b, common)
		} else if !ok && (newGlob(a).match(b) && !strings.ContainsAny(b, "*?") || newGlob(b).match(a) && !strings.ContainsAny(a, "*?")) {
			t.Errorf("%q and %q: none", a, b)
		}
	})
}
