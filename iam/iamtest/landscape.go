// Package iamtest has identities whose reach is known, for tests of whatever reads accounts: exports, servers, the program.
package iamtest

import (
	"fmt"
	"slices"
	"strings"
)

type object = map[string]any

// A Landscape is an organisation of five accounts as it is exported, and what its identities open.
type Landscape struct {
	Details map[string]map[string][]map[string]any // by account, in the form of GetAccountAuthorizationDetails
	Want    map[string]string                      // by ARN: the level, and for those above write the accounts in which they have it
	Traps   int                                    // identities that look like administrators and are none
	// Manager is the account that manages the organisation. In the account Bound nobody is an administrator: its SCP is Fence.
	Manager, Bound string
}

// Fence is the service control policy of the account Bound, beside the one that allows everything.
const Fence = `{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": ["iam:*", "sts:*", "organizations:*"], "Resource": "*"}}`

func may(action, resource any, more ...object) object {
	s := object{"Effect": "Allow", "Action": action, "Resource": resource}
	for _, m := range more {
		for k, v := range m {
			s[k] = v
		}
	}
	return s
}

func mayNot(action, resource any) object {
	return object{"Effect": "Deny", "Action": action, "Resource": resource}
}

func when(operator, key string, value any) object {
	return object{"Condition": object{operator: object{key: value}}}
}

func policies(lists ...[]object) (all []object) {
	for i, statements := range lists {
		all = append(all, object{"PolicyName": fmt.Sprint("p", i), "PolicyDocument": object{"Version": "2012-10-17", "Statement": statements}})
	}
	return all
}

func (l *Landscape) arn(account, kind, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + "/" + name
}

// user adds one of an account, with a policy of each list; accounts are those in which it is or becomes admin.
func (l *Landscape) user(account, name, level string, accounts []string, more object, lists ...[]object) {
	u := object{"UserName": name, "Arn": l.arn(account, "user", name), "UserPolicyList": policies(lists...)}
	for k, v := range more {
		u[k] = v
	}
	l.Details[account]["UserDetailList"] = append(l.Details[account]["UserDetailList"], u)
	l.Want[l.arn(account, "user", name)] = strings.TrimSpace(level + " " + strings.Join(accounts, " "))
}

func (l *Landscape) role(account, name, level string, accounts []string, trust object, more object, lists ...[]object) {
	r := object{"RoleName": name, "Arn": l.arn(account, "role", name), "RolePolicyList": policies(lists...),
		"AssumeRolePolicyDocument": object{"Version": "2012-10-17", "Statement": object{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust}}}
	for k, v := range more {
		r[k] = v
	}
	l.Details[account]["RoleDetailList"] = append(l.Details[account]["RoleDetailList"], r)
	l.Want[l.arn(account, "role", name)] = strings.TrimSpace(level + " " + strings.Join(accounts, " "))
}

// bounded adds a boundary to an account and gives it to somebody.
func (l *Landscape) bounded(account, name string, statements ...object) object {
	arn := l.arn(account, "policy", name)
	l.Details[account]["Policies"] = append(l.Details[account]["Policies"], object{"Arn": arn, "PolicyVersionList": []object{{"IsDefaultVersion": true, "Document": object{"Version": "2012-10-17", "Statement": statements}}}})
	return object{"PermissionsBoundary": object{"PermissionsBoundaryArn": arn}}
}

// Services that run code, with what it takes beside iam:PassRole.
var runs = map[string][]string{
	"lambda": {"lambda:CreateFunction", "lambda:InvokeFunction"}, "ec2": {"ec2:RunInstances"}, "glue": {"glue:CreateJob", "glue:StartJobRun"}, "codebuild": {"codebuild:CreateProject", "codebuild:StartBuild"},
	"ecs-tasks": {"ecs:RegisterTaskDefinition", "ecs:RunTask"}, "sagemaker": {"sagemaker:CreateTrainingJob"}, "cloudformation": {"cloudformation:CreateStack"},
	"states": {"states:CreateStateMachine", "states:StartExecution"}, "scheduler": {"scheduler:CreateSchedule"}, "apprunner": nil,
}

// NewLandscape plants an organisation of 400 identities in five accounts, the first of which manages it and the fourth of which is bound.
func NewLandscape(accounts [5]string) *Landscape {
	management, production, staging, bound, tests := accounts[0], accounts[1], accounts[2], accounts[3], accounts[4]
	l := &Landscape{Details: map[string]map[string][]object{}, Want: map[string]string{}, Manager: management, Bound: bound}
	everything := []object{may("*", "*")}
	admin := object{"AttachedManagedPolicies": []object{{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}}}
	var services []string
	for s := range runs {
		services = append(services, s)
	}
	slices.Sort(services)
	for _, a := range accounts {
		own := []string{a}
		l.Details[a] = map[string][]object{"GroupDetailList": {
			{"GroupName": "admins", "Arn": l.arn(a, "group", "admins"), "GroupPolicyList": policies(everything)}, {"GroupName": "people", "Arn": l.arn(a, "group", "people")},
		}}
		// In the bound account nobody is admin, and no way leads there: each attempt is a trap.
		top, up := "admin", "escalation"
		if a == bound {
			top, up, own = "write", "write", nil
		}
		l.user(a, "admin-attached", top, own, admin)
		l.user(a, "admin-inline", top, own, nil, everything)
		l.user(a, "admin-of-a-group", top, own, object{"GroupList": []string{"admins"}})
		l.user(a, "admin-in-two-halves", top, own, nil, []object{may([]string{"iam:*", "s3:*"}, "*")}, []object{{"Effect": "Allow", "NotAction": []string{"iam:*", "s3:*"}, "Resource": "*"}})
		for _, s := range services {
			l.role(a, "admin-for-"+s, top, own, object{"Service": s + ".amazonaws.com"}, admin)
		}
		// Each service by one whose rights lie in two policies, where there is something to run.
		for _, s := range services {
			level := up
			if runs[s] == nil {
				continue
			}
			l.user(a, "passes-to-"+s, level, own, nil, []object{may("iam:PassRole", "*")}, []object{may(runs[s], "*")})
		}
		self := l.arn(a, "user", "${aws:username}")
		if a == bound {
			up = "none" // nothing of it is left by the SCP
		}
		l.user(a, "puts-own-policy", up, own, nil, []object{may("iam:PutUserPolicy", self)})
		l.user(a, "attaches-own-policy", up, own, nil, []object{may("iam:AttachUserPolicy", self)})
		l.user(a, "makes-keys", up, own, nil, []object{may("iam:CreateAccessKey", l.arn(a, "user", "admin-*"))})
		l.user(a, "sets-passwords", up, own, nil, []object{may("iam:UpdateLoginProfile", "*")})
		l.user(a, "joins", up, own, nil, []object{may("iam:AddUserToGroup", l.arn(a, "group", "admins"))})
		l.user(a, "edits-its-group", up, own, object{"GroupList": []string{"people"}}, []object{may("iam:PutGroupPolicy", "*")})
		l.user(a, "edits-a-trust", up, own, nil, []object{may("iam:UpdateAssumeRolePolicy", l.arn(a, "role", "admin-for-ec2"))})
		l.role(a, "puts-own-policy", up, own, object{"Service": "ec2.amazonaws.com"}, nil, []object{may("iam:PutRolePolicy", l.arn(a, "role", "puts-own-policy"))})
		if a == bound {
			l.Traps += 4 + len(services) - 1 + 8
			continue
		}
		trap := func(name string, more object, lists ...[]object) {
			l.Traps++
			l.user(a, "trap-"+name, "none", nil, more, lists...)
		}
		if a == staging { // of whom nobody is admin, though each has what looks like it
			pass := []object{may("iam:PassRole", "*"), may(runs["lambda"], "*")}
			trap("bounded", merge(admin, l.bounded(a, "tight", may("support:*", "*", when("Bool", "aws:MultiFactorAuthPresent", "true")))))
			trap("bounded-by-a-deny", merge(admin, l.bounded(a, "shut", may("*", "*"), mayNot("*", "*"))))
			trap("denied", admin, []object{mayNot("*", "*")})
			trap("denied-without-mfa", admin, []object{{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": object{"BoolIfExists": object{"aws:MultiFactorAuthPresent": "false"}}}})
			trap("with-mfa-only", nil, []object{may("*", "*", when("Bool", "aws:MultiFactorAuthPresent", "true"))})
			trap("expired", nil, []object{may("*", "*", when("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"))})
			trap("by-a-tag", nil, []object{may("*", "*", when("StringEquals", "aws:PrincipalTag/admin", "yes"))})
			write := func(name string, more object, lists ...[]object) {
				trap(name, more, lists...)
				l.Want[l.arn(a, "user", "trap-"+name)] = "write"
			}
			write("passes-what-is-denied", nil, pass, []object{mayNot("iam:PassRole", l.arn(a, "role", "admin-*"))})
			write("passes-to-others", nil, []object{may("iam:PassRole", "*", when("StringEquals", "iam:PassedToService", "ecs-tasks.amazonaws.com")), may(runs["lambda"], "*")})
			write("passes-what-may-little", nil, []object{may("iam:PassRole", l.arn(a, "role", "work-*")), may(runs["lambda"], "*")})
			write("passes-and-runs-nothing", nil, []object{may("iam:PassRole", "*")})
			write("runs-and-passes-nothing", nil, []object{may(runs["lambda"], "*")})
			write("invokes-another-function", nil, []object{may("iam:PassRole", "*"), may("lambda:CreateFunction", "arn:aws:lambda:*:*:function:a"), may("lambda:InvokeFunction", "arn:aws:lambda:*:*:function:b")})
			write("keys-of-nobody", nil, []object{may("iam:CreateAccessKey", l.arn(a, "user", "nobody"))})
			write("attaches-what-may-little", nil, []object{may("iam:AttachUserPolicy", "*", when("ArnEquals", "iam:PolicyARN", "arn:aws:iam::aws:policy/ReadOnlyAccess"))})
			write("edits-under-a-boundary", l.bounded(a, "edits", may([]string{"iam:PutUserPolicy", "s3:*"}, "*")), []object{may("iam:PutUserPolicy", self)})
			write("edits-the-bounded-only", nil, []object{may("iam:PutUserPolicy", "*", when("StringEquals", "iam:PermissionsBoundary", l.arn(a, "policy", "tight")))})
			trap("assumes-what-does-not-trust-it", nil, []object{may("sts:AssumeRole", l.arn(a, "role", "admin-for-ec2"))})
		}
	}
	// Ways from account to account.
	l.role(production, "release", "admin", []string{production}, object{"AWS": l.arn(management, "user", "releaser")}, admin)
	l.user(management, "releaser", "escalation", []string{production}, nil, []object{may("sts:AssumeRole", l.arn(production, "role", "release"))})
	l.role(tests, "end", "admin", []string{tests}, object{"AWS": l.arn(staging, "role", "middle")}, admin)
	l.role(staging, "middle", "escalation", []string{tests}, object{"AWS": management}, nil, []object{may("sts:AssumeRole", "*")})
	l.user(management, "twice", "escalation", []string{tests}, nil, []object{may("sts:AssumeRole", l.arn(staging, "role", "middle"))})
	l.user(management, "trap-trusted-by-nobody", "none", nil, nil, []object{may("sts:AssumeRole", l.arn(tests, "role", "end"))})
	l.Traps++
	// Who administers the accounts above becomes those whom the others trust.
	for arn, want := range l.Want {
		if level, at, ok := strings.Cut(want, " "); ok && (at == management || at == staging) {
			l.Want[arn] = level + " " + map[string]string{management: management + " " + production + " " + tests, staging: staging + " " + tests}[at]
		}
	}
	// Work and people that may little, up to 400.
	for n := 0; len(l.Want) < 400; n++ {
		a, name := accounts[n%len(accounts)], fmt.Sprint("work-", n)
		switch n % 4 {
		case 0:
			l.role(a, name, "write", nil, object{"Service": "lambda.amazonaws.com"}, nil, []object{may([]string{"dynamodb:PutItem", "sqs:SendMessage"}, "*")})
		case 1:
			l.user(a, name, "write", nil, nil, []object{may([]string{"s3:GetObject", "s3:PutObject"}, "arn:aws:s3:::artifacts-"+name+"/*")})
		case 2:
			l.user(a, name, "read", nil, nil, []object{may([]string{"s3:List*", "ec2:Describe*"}, "*")})
		default:
			l.user(a, name, "none", nil, object{"GroupList": []string{"people"}})
		}
	}
	return l
}

func merge(all ...object) object {
	out := object{}
	for _, o := range all {
		for k, v := range o {
			out[k] = v
		}
	}
	return out
}

// Differ says what of a level, and for those above write of the accounts, is not as it was planted; "" is nothing.
func (l *Landscape) Differ(arn, level string, accounts []string) string {
	if level != "admin" && level != "escalation" {
		accounts = nil
	}
	want := strings.Fields(l.Want[arn])
	slices.Sort(want[min(1, len(want)):])
	if got := append([]string{level}, slices.Sorted(slices.Values(accounts))...); !slices.Equal(got, want) {
		return fmt.Sprintf("%s: %s, want %s", arn, got, want)
	}
	return ""
}
