package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/iam"
)

const (
	mgmt    = "111122223333"
	web     = "444455556666"
	mail    = "777788889999"
	sandbox = "222233334444"
	logs    = "555566667777"
)

type doc = map[string]any

func document(statements ...doc) doc { return doc{"Version": "2012-10-17", "Statement": statements} }

func allow(action, resource any) doc {
	return doc{"Effect": "Allow", "Action": action, "Resource": resource}
}

func arn(account, kind, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + "/" + name
}

func user(account, name string, statements ...doc) doc {
	return doc{"Arn": arn(account, "user", name), "UserPolicyList": []doc{{"PolicyName": "own", "PolicyDocument": document(statements...)}}}
}

func role(account, name string, trust doc, statements ...doc) doc {
	r := doc{"Arn": arn(account, "role", name), "AssumeRolePolicyDocument": document(doc{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trust})}
	if statements == nil {
		r["AttachedManagedPolicies"] = []doc{{"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}}
	} else {
		r["RolePolicyList"] = []doc{{"PolicyName": "own", "PolicyDocument": document(statements...)}}
	}
	return r
}

// world is an organisation of five accounts, after that of the incident that this program exists for: a deploy key of the management account, the role that AWS makes
// in each member, and two ways that are not so plain.
func world(t testing.TB) *iam.World {
	t.Helper()
	const access = "OrganizationAccountAccessRole"
	fromMgmt := doc{"AWS": "arn:aws:iam::" + mgmt + ":root"}
	details := map[string]doc{
		mgmt: {"UserDetailList": []doc{
			user(mgmt, "svc-ci-deploy", allow("s3:PutObject", "arn:aws:s3:::artifacts/*"), allow("sts:AssumeRole", "arn:aws:iam::*:role/"+access),
				allow("iam:CreateAccessKey", []string{arn(mgmt, "user", "svc-backup"), arn(mgmt, "user", "sec-scanner")})),
			user(mgmt, "svc-backup", allow("s3:GetObject", "*"), allow("sts:AssumeRole", arn(web, "role", access))),
			user(mgmt, "sec-scanner", allow("sts:AssumeRole", "arn:aws:iam::*:role/auditor")),
		}},
		web:  {"RoleDetailList": []doc{role(web, access, fromMgmt), role(web, "web-ops", doc{"AWS": arn(sandbox, "role", "ops")})}},
		logs: {"RoleDetailList": []doc{role(logs, access, fromMgmt), role(logs, "auditor", doc{"AWS": arn(mgmt, "user", "sec-scanner")}, allow("s3:GetObject", "*"))}},
		mail: {
			"UserDetailList": []doc{user(mail, "mailer", allow("iam:PassRole", arn(mail, "role", "lambda-admin")), allow([]string{"lambda:CreateFunction", "lambda:InvokeFunction"}, "*"))},
			"RoleDetailList": []doc{role(mail, access, fromMgmt), role(mail, "lambda-admin", doc{"Service": "lambda.amazonaws.com"})},
		},
		sandbox: {
			"UserDetailList": []doc{user(sandbox, "dev", allow("iam:PutUserPolicy", "arn:aws:iam::"+sandbox+":user/${aws:username}"), allow("sts:AssumeRole", arn(sandbox, "role", "ops")))},
			"RoleDetailList": []doc{role(sandbox, access, fromMgmt), role(sandbox, "ops", doc{"AWS": arn(sandbox, "user", "dev")}, allow("sts:AssumeRole", arn(web, "role", "web-ops")))},
		},
	}
	var accounts []*iam.Account
	var organisation []doc
	for _, id := range []string{mgmt, web, mail, sandbox, logs} {
		text, err := json.Marshal(details[id])
		if err != nil {
			t.Fatal(err)
		}
		a, err := iam.ParseAccount(id, text)
		if err != nil || len(a.Problems) > 0 {
			t.Fatal(err, a.Problems)
		}
		accounts = append(accounts, a)
		organisation = append(organisation, doc{"id": id, "name": "europa-" + id[:1], "management": id == mgmt})
	}
	text, err := json.Marshal(doc{"accounts": organisation})
	if err == nil {
		err = iam.ParseOrganisation(text, accounts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return iam.NewWorld(accounts, time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC))
}

// TestCloud: what was worked out by hand, with the drawing in world, is what is found.
func TestCloud(t *testing.T) {
	w := world(t)
	const access = "role/OrganizationAccountAccessRole"
	for _, c := range []struct {
		account, name string
		opens         []string // level, account, paths
		ways          []string // some of them
		changes       []string // what removes most, and how much
		highest       int
		cut           []string
	}{
		{
			account: mgmt, name: "user/svc-ci-deploy",
			opens: []string{"admin 222233334444 1", "admin 444455556666 3", "admin 555566667777 1", "admin 777788889999 1", "write 111122223333 1"},
			ways: []string{
				"user/svc-ci-deploy assumes " + access + " may admin",
				"user/svc-ci-deploy reads-credential user/svc-backup assumes " + access + " may admin",
				"user/svc-ci-deploy assumes " + access + " may admin edits role/ops assumes role/web-ops may admin",
			},
			// its statement about roles opens each of the four accounts and the detour by the sandbox; to the first account leads another statement
			changes: []string{"5 narrow arn:aws:iam::111122223333:user/svc-ci-deploy own, statement 2", "2 narrow arn:aws:iam::222233334444:" + access + " trust, statement 1"},
			highest: 6,
			cut:     []string{"narrow arn:aws:iam::111122223333:user/svc-ci-deploy own, statement 2", "narrow arn:aws:iam::111122223333:user/svc-ci-deploy own, statement 3"},
		},
		{
			account: mgmt, name: "user/svc-backup",
			opens:   []string{"admin 444455556666 1", "read 111122223333 1"},
			changes: []string{"1 narrow arn:aws:iam::111122223333:user/svc-backup own, statement 2"},
			highest: 1,
			cut:     []string{"narrow arn:aws:iam::111122223333:user/svc-backup own, statement 2"},
		},
		{
			account: mgmt, name: "user/sec-scanner",
			opens:   []string{"read 555566667777 1"},
			changes: []string{"1 narrow arn:aws:iam::111122223333:user/sec-scanner own, statement 1"},
			highest: 1,
			cut:     []string{"narrow arn:aws:iam::111122223333:user/sec-scanner own, statement 1"},
		},
		{
			account: mail, name: "user/mailer",
			opens:   []string{"admin 777788889999 1"},
			ways:    []string{"user/mailer passes role/lambda-admin may admin"},
			changes: []string{"1 narrow arn:aws:iam::777788889999:user/mailer own, statement 2"},
			highest: 1,
			cut:     []string{"narrow arn:aws:iam::777788889999:user/mailer own, statement 2"},
		},
		{
			account: sandbox, name: "user/dev", // who makes itself admin of the sandbox, and whom the role trusts by name
			opens: []string{"admin 222233334444 1", "admin 444455556666 2"},
			ways: []string{
				"user/dev edits-self admin",
				"user/dev assumes role/ops assumes role/web-ops may admin",
				"user/dev edits-self admin edits role/ops assumes role/web-ops may admin",
			},
			highest: 3,
			changes: []string{
				"2 narrow arn:aws:iam::222233334444:user/dev own, statement 1",
				"2 narrow arn:aws:iam::222233334444:role/ops own, statement 1",
			},
			cut: []string{"narrow arn:aws:iam::222233334444:role/ops trust, statement 1", "narrow arn:aws:iam::222233334444:user/dev own, statement 1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &Graph{}
			start := w.Find("arn:aws:iam::" + c.account + ":" + c.name)
			g.Cloud(w, start)
			x := g.Explain(g.Find(start.ARN))
			var opens, ways, changes []string
			for _, o := range x.Opens {
				opens = append(opens, fmt.Sprint(o.Rights.Level, " ", o.Rights.In, " ", o.Paths))
			}
			for _, p := range x.Paths.All {
				text := p[0].From.Name
				for _, e := range p {
					to := e.To.Name
					if e.To.Kind == Rights {
						to = e.To.Level
					}
					text += " " + string(e.Kind) + " " + to
					if e.Evidence == "" {
						t.Errorf("%s is proven by nothing", text)
					}
				}
				ways = append(ways, text)
			}
			for _, change := range x.Changes[:min(len(x.Changes), len(c.changes))] {
				changes = append(changes, fmt.Sprint(change.Paths, " ", change.What))
			}
			if !slices.Equal(opens, c.opens) {
				t.Errorf("opens %q, want %q", opens, c.opens)
			}
			for _, way := range c.ways {
				if !slices.Contains(ways, way) {
					t.Errorf("%q is not among %s", way, strings.Join(ways, "\n"))
				}
			}
			if !slices.Equal(changes, c.changes) || x.Highest != c.highest {
				t.Errorf("changes %q of %d, want %q of %d", changes, x.Highest, c.changes, c.highest)
			}
			if !slices.Equal(x.Cut, c.cut) {
				t.Errorf("cut %q, want %q", x.Cut, c.cut)
			}
		})
	}
}

// TestAgreement: the graph and package iam, which looks for the shortest ways of all identities from their ends, come to the same.
func TestAgreement(t *testing.T) {
	w := world(t)
	for _, i := range w.Identities() {
		g := &Graph{}
		g.Cloud(w, i)
		x := g.Explain(g.Find(i.ARN))
		level, accounts, r := "none", []string{}, w.Reach(i)
		for _, o := range x.Opens {
			if o.Sure && (level == "none" || level == o.Rights.Level) {
				level = o.Rights.Level
				accounts = append(accounts, o.Rights.In)
			}
		}
		slices.Sort(accounts)
		want := r.Level.String()
		if r.Level == iam.LevelEscalation {
			want = "admin"
		}
		if level != want || !slices.Equal(accounts, r.Accounts) {
			t.Errorf("%s: %s in %q, and iam says %s in %q", i.ARN, level, accounts, r.Level, r.Accounts)
		}
		if len(r.Steps) > 0 && len(x.Paths.All) == 0 {
			t.Errorf("%s: iam has a way", i.ARN)
		}
	}
}

// TestCrowd: where many roles may assume each other, each is explained as if it was asked about one by one, and the graph has their number of edges, not the square of it.
func TestCrowd(t *testing.T) {
	const account, many = "111122223333", 200
	var roles []doc
	for k := range many {
		statements := []doc{allow("sts:AssumeRole", "*")}
		if k == 0 {
			statements = append(statements, allow("*", "*"))
		}
		roles = append(roles, role(account, fmt.Sprintf("r%03d", k), doc{"AWS": account}, statements...))
	}
	text, err := json.Marshal(doc{"RoleDetailList": roles})
	if err != nil {
		t.Fatal(err)
	}
	a, err := iam.ParseAccount(account, text)
	if err != nil {
		t.Fatal(err)
	}
	w, g := iam.NewWorld([]*iam.Account{a}, time.Now()), &Graph{}
	g.Cloud(w, w.Identities()...)
	if n := len(slices.Collect(g.Edges())); n > 3*many {
		t.Errorf("%d edges", n)
	}
	x := g.Explain(g.Find(arn(account, "role", "r007")))
	first := x.Paths.All[0]
	if len(x.Opens) != 1 || x.Level != "admin" || len(first) != 2 || first[0].To.ID != arn(account, "role", "r000") || first[1].Kind != May {
		t.Errorf("%+v, by %s", x.Opens, first)
	}
	if want := "narrow " + arn(account, "role", "r007"); len(x.Cut) != 1 || !strings.HasPrefix(x.Cut[0], want) && !strings.HasPrefix(x.Cut[0], "narrow "+arn(account, "role", "r000")+" trust") {
		t.Errorf("cut %q", x.Cut)
	}
	for _, p := range x.Paths.All {
		for _, e := range p {
			if e.From.Kind == Any || e.To.Kind == Any {
				t.Fatalf("a way stops at %s", e.To.ID)
			}
		}
	}
	for n := range g.Nodes() {
		if n.Kind == Any {
			if ways := g.Explain(n).Paths.All; len(ways) == 0 { // which somebody may name, too
				t.Error("a group leads nowhere")
			}
		}
	}
}
