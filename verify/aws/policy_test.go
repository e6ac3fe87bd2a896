package aws

import (
	"net/url"
	"testing"
)

func TestParse(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"Statement":[]}`: true,
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`:                        true,
		`{"Statement":[{"Effect":"Deny","NotAction":["a:b"],"NotResource":["*"]}]}`:           true,
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"a":{}}}]}`: true,
		`{"Statement":[{"Effect":"Allow","Action":"*"}]}`:                                     false,
		`{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`:                      false,
		`{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}`:      false,
		`{"Statement":[{"Effect":"Allow","Action":1,"Resource":"*"}]}`:                        false,
		`{"Statement":`: false,
		``:              false,
		`%zz`:           false,
	} {
		for _, s := range []string{text, url.PathEscape(text)} {
			if _, err := parse(s); (err == nil) != ok {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything, "iam:CreateUser", "*")
	f.Add(`{"Statement":[{"Effect":"Deny","NotAction":["a:b"],"NotResource":["${aws:username}"]}]}`, "a:b", "arn:aws:s3:::x")
	f.Fuzz(func(t *testing.T, text, action, resource string) {
		doc, err := parse(text)
		if err != nil {
			return
		}
		open := &evaluator{policies: []policy{{doc: doc}}, username: "ci"}
		before, _ := open.decide(action, resource)
		open.named(action)
		// A Deny, a ceiling or an unread ceiling never widens.
		shut := document{Statement: []statement{{Effect: "Deny", Action: patterns{"*"}, Resource: patterns{"*"}}}}
		for _, e := range []*evaluator{
			{policies: []policy{{doc: doc}, {doc: shut}}, username: "ci"},
			{policies: []policy{{doc: doc}}, boundary: &policy{doc: doc}, username: "ci"},
			{policies: []policy{{doc: doc}}, unread: true, username: "ci"},
		} {
			if after, _ := e.decide(action, resource); after > before {
				t.Errorf("%s on %s: %d became %d", action, resource, before, after)
			}
		}
	})
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "a", true}, {"", "a", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"a*c", "abbc", true}, {"a*c", "abbd", false}, {"*a*b*", "xxaxxbxx", true}, {"a**", "a", true},
		{"iam:*", "iam:createuser", true}, {"iam:*", "s3:getobject", false},
		{"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("wildcard(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// TestDecide asks the evaluator what the simulator would be asked.
func TestDecide(t *testing.T) {
	one := func(s string) []policy {
		d, err := parse(`{"Statement":[` + s + `]}`)
		if err != nil {
			t.Fatal(s, err)
		}
		return []policy{{name: "p", doc: d}}
	}
	for _, c := range []struct {
		policy, action, resource string
		want                     state
	}{
		{`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`, "s3:GetObject", "*", granted},
		{`{"Effect":"Allow","Action":"S3:getobject","Resource":"*"}`, "s3:GetObject", "*", granted},
		{`{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}`, "s3:GetObject", "*", denied},
		{`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, "s3:GetObject", "*", denied},
		{`{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}`, "iam:CreateUser", "*", granted},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a/*"}`, "s3:GetObject", "*", denied},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::a/*"}`, "s3:GetObject", "arn:aws:s3:::a/b", granted},
		{`{"Effect":"Allow","Action":"*","NotResource":["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]}`, "s3:GetObject", "arn:aws:s3:::b/x", denied},
		{`{"Effect":"Allow","Action":"*","NotResource":["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]}`, "s3:GetObject", "arn:aws:s3:::c/x", granted},
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"x":"true"}}}`, "s3:GetObject", "*", undecided},
		{`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"}`, "s3:GetObject", "*", denied},
		{`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`, "s3:GetObject", "*", granted},
		{`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"x":"true"}}}`, "s3:GetObject", "*", undecided},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iam::*:user/${aws:username}"}`, "iam:CreateAccessKey", "arn:aws:iam::1:user/ci", granted},
		{`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}"}`, "s3:GetObject", "arn:aws:s3:::x", undecided},
	} {
		e := &evaluator{policies: one(c.policy), username: "ci"}
		if got, _ := e.decide(c.action, c.resource); got != c.want {
			t.Errorf("%s on %s under %s: %d, want %d", c.action, c.resource, c.policy, got, c.want)
		}
	}
	ceiling := one(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)
	e := &evaluator{policies: one(`{"Effect":"Allow","Action":"*","Resource":"*"}`), boundary: &ceiling[0]}
	if got, _ := e.decide("iam:CreateUser", "*"); got != denied {
		t.Error("a boundary does not hold")
	}
	if got, _ := e.decide("s3:GetObject", "*"); got != granted {
		t.Error("a boundary holds what it allows")
	}
}
