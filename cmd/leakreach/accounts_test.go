package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/report"
)

// Accounts of an organisation: one that manages it, one whose SCP forbids to change identities, and three others.
const (
	management, bound          = "100000000001", "100000000004"
	production, staging, tests = "100000000002", "100000000003", "100000000005"
)

type object = map[string]any

// A landscape is an organisation as it is exported, and what its identities open.
type landscape struct {
	gaad map[string]map[string][]object
	want map[string]string // by ARN: the level, and for those above write the accounts
	trap int
}

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

func (l *landscape) arn(account, kind, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + "/" + name
}

// user adds one of an account, with a policy of each list; accounts are those in which it is or becomes admin.
func (l *landscape) user(account, name, level string, accounts []string, more object, lists ...[]object) {
	u := object{"UserName": name, "Arn": l.arn(account, "user", name), "UserPolicyList": policies(lists...)}
	for k, v := range more {
		u[k] = v
	}
	l.gaad[account]["UserDetailList"] = append(l.gaad[account]["UserDetailList"], u)
	l.want[l.arn(account, "user", name)] = strings.TrimSpace(level + " " + strings.Join(accounts, " "))
}

func (l *landscape) role(account, name, level string, accounts []string, trust object, more object, lists ...[]object) {
	r := object{"RoleName": name, "Arn": l.arn(account, "role", name), "RolePolicyList": policies(lists...),
		"AssumeRolePolicyDocument": object{"Version": "2012-10-17", "Statement": object{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust}}}
	for k, v := range more {
		r[k] = v
	}
	l.gaad[account]["RoleDetailList"] = append(l.gaad[account]["RoleDetailList"], r)
	l.want[l.arn(account, "role", name)] = strings.TrimSpace(level + " " + strings.Join(accounts, " "))
}

// bounded adds a boundary to an account and gives it to somebody.
func (l *landscape) bounded(account, name string, statements ...object) object {
	arn := l.arn(account, "policy", name)
	l.gaad[account]["Policies"] = append(l.gaad[account]["Policies"], object{"Arn": arn, "PolicyVersionList": []object{{"IsDefaultVersion": true, "Document": object{"Version": "2012-10-17", "Statement": statements}}}})
	return object{"PermissionsBoundary": object{"PermissionsBoundaryArn": arn}}
}

// Services that run code, with what it takes beside iam:PassRole.
var runs = map[string][]string{
	"lambda": {"lambda:CreateFunction", "lambda:InvokeFunction"}, "ec2": {"ec2:RunInstances"}, "glue": {"glue:CreateJob", "glue:StartJobRun"}, "codebuild": {"codebuild:CreateProject", "codebuild:StartBuild"},
	"ecs-tasks": {"ecs:RegisterTaskDefinition", "ecs:RunTask"}, "sagemaker": {"sagemaker:CreateTrainingJob"}, "cloudformation": {"cloudformation:CreateStack"},
	"states": {"states:CreateStateMachine", "states:StartExecution"}, "scheduler": {"scheduler:CreateSchedule"}, "apprunner": nil,
}

// newLandscape plants an organisation of 400 identities in five accounts.
func newLandscape() *landscape {
	l := &landscape{gaad: map[string]map[string][]object{}, want: map[string]string{}}
	everything := []object{may("*", "*")}
	admin := object{"AttachedManagedPolicies": []object{{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}}}
	var services []string
	for s := range runs {
		services = append(services, s)
	}
	slices.Sort(services)
	for _, a := range []string{management, production, staging, bound, tests} {
		own := []string{a}
		l.gaad[a] = map[string][]object{"GroupDetailList": {
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
			l.trap += 4 + len(services) - 1 + 8
			continue
		}
		trap := func(name string, more object, lists ...[]object) {
			l.trap++
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
				l.want[l.arn(a, "user", "trap-"+name)] = "write"
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
	l.trap++
	// Who administers the accounts above becomes those whom the others trust.
	for arn, want := range l.want {
		if level, at, ok := strings.Cut(want, " "); ok && (at == management || at == staging) {
			l.want[arn] = level + " " + map[string]string{management: management + " " + production + " " + tests, staging: staging + " " + tests}[at]
		}
	}
	// Work and people that may little, up to 400.
	accounts := []string{management, production, staging, bound, tests}
	for n := 0; len(l.want) < 400; n++ {
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

// TestLandscape: in five accounts with 400 identities, reach is found as it was planted, and who only looks like an administrator is none.
func TestLandscape(t *testing.T) {
	l, dir := newLandscape(), t.TempDir()
	file := func(name string, content any) {
		doc, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), doc, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var organisation []object
	for a, gaad := range l.gaad {
		file(a+gaadSuffix, gaad)
		scps := [][]object{{{"Version": "2012-10-17", "Statement": may("*", "*")}}}
		if a == bound {
			scps = append(scps, []object{{"Version": "2012-10-17", "Statement": may("*", "*")}, {"Version": "2012-10-17", "Statement": mayNot([]string{"iam:*", "sts:*", "organizations:*"}, "*")}})
		}
		organisation = append(organisation, object{"id": a, "management": a == management, "scps": scps})
	}
	file("organization.json", object{"accounts": organisation})
	code, stdout, stderr := asked(t, nil, "reach", "--from", dir, "--format", "json")
	var r report.Reach
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	seen := map[audit.Level]int{}
	for _, i := range r.Identities {
		got := string(i.Level)
		if i.Level == audit.LevelAdmin || i.Level == audit.LevelEscalation {
			got += " " + strings.Join(i.Accounts, " ")
		}
		if got != l.want[i.ARN] {
			t.Errorf("%s: %s, want %s: %+v %q", i.ARN, got, l.want[i.ARN], i.Paths, i.Limits)
		}
		seen[i.Level]++
	}
	t.Logf("%d identities: %v; %d are traps", len(r.Identities), seen, l.trap)
	if len(r.Identities) != 400 || l.trap < 39 {
		t.Errorf("%d identities, %d traps", len(r.Identities), l.trap)
	}
}
