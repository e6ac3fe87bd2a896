package iam

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// chance makes two accounts whose roles may assume each other by policies of all shapes.
func chance(t testing.TB, seed uint64) []*Account {
	r := rand.New(rand.NewPCG(seed, 8))
	one := func(of ...any) any { return of[r.IntN(len(of))] }
	const second = "444455556666"
	var accounts []*Account
	trusts, policies := []any{}, []any{}
	everybody := doc{"AWS": "*"}
	for range 4 {
		who := one(doc{"AWS": "arn:aws:iam::" + account + ":root"}, doc{"AWS": account}, doc{"AWS": []string{"arn:aws:iam::" + account + ":role/r3", second}}, everybody, lambda)
		s := doc{"Effect": "Allow", "Action": one("sts:AssumeRole", "sts:*"), "Principal": who}
		if r.IntN(2) == 0 {
			s["Condition"] = one(doc{"IpAddress": doc{"aws:SourceIp": "192.0.2.0/24"}}, doc{"ArnLike": doc{"aws:PrincipalArn": "arn:aws:iam::*:role/r1*"}},
				doc{"StringEquals": doc{"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}, doc{"Bool": doc{"aws:MultiFactorAuthPresent": "true"}}, doc{"StringEquals": doc{"sts:ExternalId": "x"}})
		}
		all := []doc{s}
		if r.IntN(4) == 0 {
			all = append(all, doc{"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": one(everybody, doc{"AWS": "arn:aws:iam::" + account + ":role/r5"}), "Condition": doc{"StringEquals": doc{"iam:ResourceTag/team": "a"}}})
		}
		trusts = append(trusts, all)
	}
	for range 4 {
		all := []doc{allow("sts:AssumeRole", one("*", "arn:aws:iam::*:role/*", "arn:aws:iam::"+account+":role/r1*", []string{"arn:aws:iam::" + second + ":role/r2?", "arn:aws:iam::" + account + ":role/r7"},
			"arn:aws:iam::"+account+":role/${aws:PrincipalTag/team}*"))}
		if r.IntN(2) == 0 {
			all = append(all, deny("sts:AssumeRole", one("arn:aws:iam::"+account+":role/r2*", "arn:aws:iam::*:role/*3")))
		}
		if r.IntN(3) == 0 { // so that two statements let roles be assumed
			all = append(all, allow([]string{"sts:*", "sqs:*"}, "*"))
		}
		if r.IntN(4) == 0 {
			all = append(all, allow([]string{"iam:PassRole", "lambda:*", "iam:AttachRolePolicy"}, "*"))
		}
		policies = append(policies, all)
	}
	for _, id := range []string{account, second} {
		m := &maker{}
		for k := range 30 {
			name := strings.ReplaceAll(m.arn("role", fmt.Sprint("r", k)), account, id)
			statements := slices.Clone(one(policies...).([]doc))
			switch r.IntN(12) {
			case 0:
				statements = append(statements, full)
			case 1:
				statements = append(statements, allow("*", "*", doc{"Condition": doc{"IpAddress": doc{"aws:SourceIp": "192.0.2.0/24"}}}))
			case 2, 3:
				statements = append(statements, allow("s3:PutObject", "*"))
			case 4: // of assuming roles these two say the same
				statements = []doc{full}
			case 5:
				statements = []doc{allow("sts:AssumeRole", "*")}
			}
			trust := slices.Clone(one(trusts...).([]doc))
			if r.IntN(2) == 0 { // what has no say about roles makes no difference, wherever it is
				trust = slices.Insert(trust, r.IntN(len(trust)+1), doc{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": ec2, "Sid": fmt.Sprint("S", k)})
			}
			if seed%2 == 1 { // one that no other role has
				mine := doc{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": one(doc{"AWS": account}, doc{"AWS": []string{account, second}}, everybody, doc{"AWS": "arn:aws:iam::" + account + ":role/r4"})}
				mine["Condition"] = one(doc{"StringEquals": doc{"sts:ExternalId": name}}, doc{"StringEquals": doc{"sts:ExternalId": name}}, doc{"StringNotEquals": doc{"aws:RequestedRegion": fmt.Sprint("eu-west-", k)}},
					doc{"IpAddress": doc{"aws:SourceIp": fmt.Sprintf("192.0.2.%d/32", k)}}, doc{"StringEquals": doc{"aws:ResourceTag/name": name}}, doc{"StringEquals": doc{"aws:PrincipalTag/Team": "a", "sts:ExternalId": name}},
					doc{one("ArnEquals", "ArnLike", "StringEquals", "ArnNotEquals", "StringEqualsIfExists", "ForAnyValue:StringEquals").(string): doc{"aws:PrincipalArn": []string{m.arn("role", fmt.Sprint("r", (k*7)%30)), m.arn("role", "r9")}}},
					doc{"ArnLike": doc{"aws:PrincipalArn": fmt.Sprintf("arn:aws:iam::*:role/r%d*", k%3)}, "StringEquals": doc{"sts:ExternalId": name}})
				trust = slices.Insert(trust, r.IntN(len(trust)+1), mine)
			}
			m.roles = append(m.roles, doc{"Arn": name, "AssumeRolePolicyDocument": document(trust...), "Tags": []doc{{"Key": "Team", "Value": one("a", "r1")}, {"Key": "Name", "Value": name}},
				"RolePolicyList": []doc{{"PolicyName": "p", "PolicyDocument": document(statements...)}}})
		}
		a := m.account(t, id)
		if r.IntN(2) == 0 {
			a.SCPs = [][]*Policy{{policyOf(t, "SCP", []byte(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "sts:*", "Resource": "arn:aws:iam::*:role/r11"}]}`))}}
			a.Organisation = true
		}
		if r.IntN(3) == 0 {
			who := one(`"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/r1*"}`, `"StringEquals": {"aws:PrincipalTag/Team": "a"}`, `"StringEquals": {"aws:ResourceTag/Team": "a"}`)
			a.RCPs = [][]*Policy{{policyOf(t, "RCP", []byte(fmt.Sprintf(`{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Resource": "*", "Condition": {%s}}}`, who)))}}
		}
		accounts = append(accounts, a)
	}
	return accounts
}

// Roles that are asked together have the answers that they have one by one.
func TestPeers(t *testing.T) {
	grouped, circles := 0, 0
	for seed := range uint64(60) {
		worlds := map[int]*World{}
		for _, n := range []int{2, 1000} {
			worlds[n] = NewWorld(chance(t, seed), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
			worlds[n].fewest = n
		}
		for _, i := range worlds[2].Identities() {
			got, want := movesOf(worlds[2], i), movesOf(worlds[1000], worlds[1000].Find(i.ARN))
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: the moves of %s differ (-want +got):\n%s", seed, i.ARN, cmp.Diff(want, got))
			}
			if got, want := assumesOf(worlds[2], i), asksOf(worlds[2], i); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %s assumes other roles than it may (-want +got):\n%s", seed, i.ARN, cmp.Diff(want, got))
			}
			a, b := worlds[2].Reach(i), worlds[1000].Reach(worlds[1000].Find(i.ARN))
			if a.Level != b.Level || !slices.Equal(a.Accounts, b.Accounts) || len(a.Steps) != len(b.Steps) || len(a.Possible) != len(b.Possible) {
				t.Errorf("seed %d: %s is\n%+v\nwant\n%+v", seed, i.ARN, a, b)
			}
			for _, s := range slices.Concat(a.Steps, a.Possible) {
				if strings.HasPrefix(s.From, "any ") || strings.HasPrefix(s.To, "any ") {
					t.Errorf("seed %d: %s goes by %+v", seed, i.ARN, s)
				}
			}
		}
		for _, c := range worlds[2].trust.circles {
			for _, any := range c.any {
				if any != nil {
					circles++
				}
			}
		}
		grouped += len(worlds[2].trust.any)
	}
	if grouped-circles < 100 || circles < 300 {
		t.Errorf("only %d groups, %d of them of circles", grouped, circles)
	}
	t.Logf("%d groups, %d of them of circles", grouped, circles)
}

// TestTooManyRoles: roles that are not asked about are told, and nobody who may perhaps assume them may nothing.
func TestTooManyRoles(t *testing.T) {
	m := &maker{}
	arn := m.user("u", nil, allow("sts:AssumeRole", "*"))
	for k := range 9 {
		m.role(fmt.Sprint("r", k), doc{"AWS": account}, allow("s3:GetObject", "arn:aws:s3:::none"))
	}
	a := m.account(t, account)
	a.Organisation = true
	w := NewWorld([]*Account{a}, time.Now())
	w.asks = 4
	r := w.Reach(w.Find(arn))
	if r.Level != LevelRead || len(w.Moves(w.Find(arn))) != 4 || !slices.Contains(r.Limits, "sts-001: 5 roles that it may perhaps assume were not asked about: there are too many") {
		t.Errorf("%s, %q", r.Level, r.Limits)
	}
	for k := range 2 * fewest { // of which each has a trust policy of its own
		m.role(fmt.Sprint("d", k), doc{"AWS": account}, allow("s3:GetObject", "arn:aws:s3:::none"))
		m.roles[len(m.roles)-1]["AssumeRolePolicyDocument"].(doc)["Statement"].([]doc)[0]["Condition"] = doc{"StringEquals": doc{"sts:ExternalId": fmt.Sprint(k)}}
	}
	a = m.account(t, account)
	w = NewWorld([]*Account{a}, time.Now())
	w.asks = 9 + 2*fewest + 9 // the nine, which depend on nothing, are too few to stand together
	if n := len(assumesOf(w, w.Find(arn))); n != 9+2*fewest || w.asks != 0 {
		t.Errorf("it assumes %d roles, and %d may be asked about still", n, w.asks)
	}
	w = NewWorld([]*Account{a}, time.Now())
	w.asks = fewest
	if r := w.Reach(w.Find(arn)); !slices.Contains(r.Limits, "sts-001: 41 roles that it may perhaps assume were not asked about: there are too many") {
		t.Errorf("%q", r.Limits)
	}
	m.role("before", doc{"AWS": account}, allow("sts:AssumeRole", m.arn("role", "x")))
	m.role("x", doc{"AWS": account}, allow("sts:AssumeRole", "*"))
	a = m.account(t, account)
	w = NewWorld([]*Account{a}, time.Now())
	w.asks = 1
	if r := w.Reach(w.Find(m.arn("role", "before"))); r.Level != LevelUnknown { // what it can become may go on
		t.Errorf("%s, %q", r.Level, r.Limits)
	}
	w = NewWorld([]*Account{a}, time.Now())
	w.asks = 0
	if r := w.Reach(w.Find(arn)); r.Level != LevelUnknown {
		t.Errorf("%s, %q", r.Level, r.Limits)
	}
}

// assumesOf are the roles that an identity assumes by its moves, and whether it surely does.
func assumesOf(w *World, i *Identity) map[string]State {
	all := map[string]State{}
	for _, m := range w.Moves(i) {
		if m.Path == "sts-001" {
			for _, role := range m.Target.each() {
				if role != i {
					all[role.ARN] = max(all[role.ARN], m.State)
				}
			}
		}
	}
	return all
}

// asksOf are those that it may assume, each of them asked for.
func asksOf(w *World, i *Identity) map[string]State {
	all := map[string]State{}
	a := assumption{World: w, n: w.node(i)}
	for _, role := range w.Identities() {
		if answer := a.ask(role); role != i && role.Role && answer.State != Denied {
			all[role.ARN] = answer.State
		}
	}
	return all
}

// movesOf are an identity's, one by one.
func movesOf(w *World, i *Identity) []string {
	all := map[string]bool{}
	for _, m := range w.Moves(i) {
		if m.Target == nil || m.Target.Any == nil {
			all[fmt.Sprintf("%s %s %s %s %q %s", m.Edge, m.To, m.Path, m.State, m.Supposes, m.Evidence)] = true
			continue
		}
		for _, next := range w.Moves(m.Target) {
			if whole := m.through(&next); next.Target != i {
				all[fmt.Sprintf("%s %s %s %s %q %s", whole.Edge, whole.To, whole.Path, whole.State, whole.Supposes, whole.Evidence)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
