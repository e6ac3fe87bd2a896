package iam

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	account = "111122223333"
	other   = "444455556666"
)

// A testCase is one request, the policies that have a say, and AWS' answer, with the paragraph of its documentation that says so.
type testCase struct {
	Name     string              `json:"name"`
	Says     string              `json:"says"` // where AWS says so
	Who      string              `json:"who"`  // kind, or kind and ARN
	Role     string              `json:"role"`
	Action   string              `json:"action"`
	Resource string              `json:"resource"`
	Account  string              `json:"account"`
	Context  map[string][]string `json:"context"` // of values; null is absent
	Unknown  []string            `json:"unknown"`
	Chosen   []string            `json:"chosen"`

	Identity []json.RawMessage   `json:"identity"`
	Boundary []json.RawMessage   `json:"boundary"`
	Session  []json.RawMessage   `json:"session"`
	SCPs     [][]json.RawMessage `json:"scps"`
	RCPs     [][]json.RawMessage `json:"rcps"`
	Policy   json.RawMessage     `json:"policy"` // of the resource
	Unread   []Layer             `json:"unread"`

	Want string `json:"want"`
}

// statements are statements as a policy: tests leave the rest away.
func parseAll(t testing.TB, layer string, docs []json.RawMessage) (out []*Policy) {
	t.Helper()
	for i, doc := range docs {
		out = append(out, policyOf(t, fmt.Sprintf("%s %d", layer, i), doc))
	}
	return out
}

func policyOf(t testing.TB, name string, doc []byte) *Policy {
	t.Helper()
	if !strings.Contains(string(doc), `"Statement"`) {
		doc = []byte(`{"Version": "2012-10-17", "Statement": ` + string(doc) + `}`)
	}
	p, err := Parse(name, doc)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *testCase) run(t testing.TB) Answer {
	t.Helper()
	l := Layers{Identity: parseAll(t, "identity", c.Identity), Unread: c.Unread}
	if c.Boundary != nil {
		l.Boundary = parseAll(t, "boundary", c.Boundary)
	}
	if c.Session != nil {
		l.Session = parseAll(t, "session", c.Session)
	}
	for _, level := range c.SCPs {
		l.SCPs = append(l.SCPs, parseAll(t, "scp", level))
	}
	for _, level := range c.RCPs {
		l.RCPs = append(l.RCPs, parseAll(t, "rcp", level))
	}
	if c.Policy != nil {
		l.Resource = policyOf(t, "resource", c.Policy)
	}
	kind, arn, _ := strings.Cut(c.Who, " ")
	r := Request{Action: c.Action, Resource: c.Resource, Account: c.Account, Context: map[string]Fact{}}
	r.Principal = Principal{
		Kind: map[string]Kind{"anonymous": Anonymous, "root": Root, "user": User, "session": Session, "federated": Federated, "web": WebIdentity, "saml": SAML, "service": Service}[kind],
		ARN:  arn, Role: c.Role, Account: account, ID: "AIDAEXAMPLE",
	}
	switch r.Principal.Kind {
	case Service:
		r.Principal.Service, r.Principal.ARN, r.Principal.Account = arn, "", ""
	case Anonymous, WebIdentity, SAML:
		r.Principal.Account = ""
	}
	if parts := strings.SplitN(arn, ":", arnParts); len(parts) == arnParts && r.Principal.Account != "" {
		r.Principal.Account = parts[4]
	}
	for key, values := range c.Context {
		r.Context[key] = Known(values...)
		if values == nil {
			r.Context[key] = Absent()
		}
	}
	for _, key := range c.Unknown {
		r.Context[key] = Unknown()
	}
	for _, key := range c.Chosen {
		r.Context[key] = Chosen()
	}
	return l.Evaluate(r)
}

// TestCases: each line of testdata/cases.jsonl is a case.
func TestCases(t *testing.T) {
	f, err := os.Open("testdata/cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, names := 0, map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); text == "" || strings.HasPrefix(text, "//") {
			continue
		}
		var c testCase
		d := json.NewDecoder(strings.NewReader(lines.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if c.Says == "" || names[c.Name] {
			t.Errorf("%s: names no paragraph, or is there twice", c.Name)
		}
		names[c.Name] = true
		n++
		t.Run(c.Name, func(t *testing.T) {
			a := c.run(t)
			if got := a.String(); got != c.Want {
				t.Errorf("%s, want %s: %+v", got, c.Want, a)
			}
			if a.State == Undecided && len(a.Missing) == 0 {
				t.Errorf("nothing is said to be missing: %+v", a)
			}
		})
	}
	t.Logf("%d cases", n)
}

// String is an answer as cases have it.
func (a Answer) String() string {
	if a.State == Denied && a.Explicit {
		return "explicitly denied"
	}
	return a.State.String()
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "anything", true}, {"", "", true}, {"", "x", false}, {"a", "a", true}, {"a", "b", false}, {"a*", "a", true}, {"a*", "abc", true}, {"*a", "cba", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "a", false}, {"a*a", "a", false}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"?", "", false}, {"??", "ab", true},
		{"*b*", "abc", true}, {"*b*b*", "abc", false}, {"*ab*ab", "abab", true}, {"*ab*ab", "ab", false}, {"a**c", "abc", true}, {"*?c", "c", false}, {"*?c", "bc", true}, {"s3:get*", "s3:getobject", true},
		{"*.?b*", "x.ab", true}, {"*.?b*", "x.b", false},
	} {
		if got := newGlob(c.pattern).match(c.text); got != c.want {
			t.Errorf("%q like %q: %t", c.text, c.pattern, got)
		}
	}
}

// What a glob matches is what the textbook's recursion matches.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?c*", "axxbxc")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 20 || strings.Contains(pattern+text, star) || strings.IndexByte(pattern+text, one) >= 0 {
			return
		}
		if got, want := newGlob(pattern).match(text), slowMatch(pattern, text); got != want {
			t.Errorf("%q like %q: %t, want %t", text, pattern, got, want)
		}
	})
}

func slowMatch(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		return slowMatch(pattern[1:], text) || text != "" && slowMatch(pattern, text[1:])
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && slowMatch(pattern[1:], text[1:])
}

// A pattern that makes others slow takes no longer than its length: this ends.
func TestManyStars(t *testing.T) {
	text, pattern := strings.Repeat("a", 100_000), strings.Repeat("a*", 2000)+"b"
	start := time.Now()
	if newGlob(pattern).match(text) {
		t.Error("matched")
	}
	t.Log(time.Since(start))
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{``, "not JSON"}, {`[]`, "not an object"}, {`{`, "not JSON"}, {`{} {}`, "something follows"}, {`{}`, "no statement"}, {`{"Statement": []}`, "no statement"},
		{`{"Version": "2020-01-01", "Statement": {}}`, "neither 2012-10-17"}, {`{"Other": 1}`, "unknown element"},
		{`{"Statement": {"Effect": "allow", "Action": "*"}}`, "neither Allow nor Deny"}, {`{"Statement": {"Action": "*"}}`, "no effect"},
		{`{"Statement": {"Effect": "Allow"}}`, "neither action nor notaction"}, {`{"Statement": {"Effect": "Allow", "Action": "s3"}}`, "not like SERVICE:ACTION"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*"}}`, "both action and notaction"},
		{`{"Statement": {"Effect": "Allow", "Action": []}}`, "the list is empty"}, {`{"Statement": {"Effect": "Allow", "Action": {}}}`, "not a string"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"StringEqual": {"a": "b"}}}}`, "unknown operator"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"NumericNotLessThan": {"a": "1"}}}}`, "unknown operator"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"BinaryNotEquals": {"a": "b"}}}}`, "unknown operator"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Condition": {"NullIfExists": {"a": "b"}}}}`, "unknown operator"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Principal": {"Aws2": "*"}}}`, "unknown kind of principal"},
		{`{"Statement": {"Effect": "Allow", "Action": "*", "Effect": "Deny"}}`, "is there twice"},
		{`{"Statement": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "nested deeper"},
	} {
		_, err := Parse("p", []byte(c.doc))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.doc, err, c.want)
		}
	}
	if _, err := Parse("p", []byte("%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%7D%7D")); err != nil {
		t.Errorf("as IAM's API hands it out: %v", err)
	}
}

// Whatever a document has, it is read or refused, and what was read can be evaluated.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::${aws:username}/*", "Condition": {"ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["a*"]}}}]}`))
	f.Add([]byte(`{"Statement": {"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "NotAction": "iam:*", "NotResource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := Parse("p", doc)
		if err != nil {
			return
		}
		user := Principal{Kind: User, ARN: "arn:aws:iam::111122223333:user/u", Account: account}
		l := Layers{Identity: []*Policy{p}, Boundary: []*Policy{p}, SCPs: [][]*Policy{{p}}, Resource: p}
		l.Evaluate(Request{Principal: user, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Context: map[string]Fact{"aws:SourceIp": Known("10.1.2.3"), "aws:RequestedRegion": Chosen()}})
	})
}

// TestProperties: more denies and more ceilings never widen, a key that becomes known never turns an answer around, and the order of policies does not matter.
func TestProperties(t *testing.T) {
	for seed := range uint64(3000) {
		g := newGenerator(seed)
		l, r := g.scene(t)
		a := l.Evaluate(r)
		narrower := l
		narrower.Identity = append(slices.Clone(l.Identity), g.policy(t, "more", Deny, false))
		if b := narrower.Evaluate(r); b.State > a.State {
			t.Errorf("seed %d: a deny widens %s to %s", seed, a, b)
		}
		narrower = l
		narrower.SCPs = append(slices.Clone(l.SCPs), []*Policy{g.policy(t, "more", Allow, false)})
		if b := narrower.Evaluate(r); b.State > a.State {
			t.Errorf("seed %d: a ceiling widens %s to %s", seed, a, b)
		}
		turned := l
		turned.Identity = slices.Clone(l.Identity)
		slices.Reverse(turned.Identity)
		if b := turned.Evaluate(r); b.State != a.State || b.Explicit != a.Explicit {
			t.Errorf("seed %d: another order makes %s of %s", seed, b, a)
		}
		vague := r
		vague.Context = map[string]Fact{}
		for k := range r.Context {
			vague.Context[k] = Unknown()
		}
		if b := l.Evaluate(vague); b.State != Undecided && b.State != a.State {
			t.Errorf("seed %d: %s although nothing is known, and %s once it is", seed, b, a)
		}
		if a.State == Allowed && len(a.Witnesses) == 0 && r.Principal.Kind != Root {
			t.Errorf("seed %d: allowed without a witness", seed)
		}
	}
}

// Whatever a condition compares, it says one of three things, and where it is about one known value the operator that negates another says the opposite.
func FuzzCondition(f *testing.F) {
	for operator := range relations {
		f.Add(operator, "10.0.0.0/8", "10.1.2.3")
		f.Add("ForAllValues:"+operator+"IfExists", "${aws:username}*", "u")
	}
	f.Add("Null", "true", "")
	f.Fuzz(func(t *testing.T, operator, want, value string) {
		p := &Policy{variables: true}
		raw, err := json.Marshal(map[string]map[string]string{operator: {"test:key": want}})
		if err != nil {
			return
		}
		conditions, err := p.parseConditions(raw)
		if err != nil || len(conditions) != 1 {
			return
		}
		r := &Request{Principal: Principal{Kind: User, ARN: userARN, Account: account}, context: map[string]Fact{"test:key": Known(value)}}
		c := conditions[0]
		got := c.holds(r)
		opposite := c
		opposite.negated = !c.negated
		if c.set == single && !c.null && r.void == "" && opposite.holds(r) != not(got) {
			t.Errorf("%s %q of %q: %s, and its negation %s", operator, want, value, got, opposite.holds(r))
		}
	})
}
