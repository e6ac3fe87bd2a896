package iam

import (
	"slices"
	"strings"
)

// Kind is what a principal is.
type Kind int8

// The kinds of principals.
const (
	Anonymous   Kind = iota
	Root             // an account's root user
	User             // an IAM user
	Session          // a session of a role; requests of a role are always those of a session
	Federated        // a session that GetFederationToken gave to a user
	WebIdentity      // somebody who shows a token of an OpenID Connect provider, and is nobody in AWS yet
	SAML             // somebody who shows an assertion, likewise
	Service          // an AWS service that acts for itself
)

// A Principal is who makes a request.
type Principal struct {
	Kind    Kind
	ARN     string // of the user, of the session (arn:aws:sts::111122223333:assumed-role/NAME/SESSION), of the provider; "" where there is none
	Role    string // of a session, the role's ARN
	Account string // twelve digits; "" where there is none
	Service string // such as lambda.amazonaws.com
	ID      string // aws:userid, if it is known
	Tags    map[string]string
}

// A Fact is what is known of a condition key.
type Fact struct {
	state  state
	values []string
}

type state int8

const (
	unknown state = iota
	absent
	known
	chosen
)

// Known is a key with values; none are a key that is there and empty.
func Known(values ...string) Fact { return Fact{known, values} }

// Absent is a key that the request does not have.
func Absent() Fact { return Fact{state: absent} }

// Unknown is a key of which nothing is known, as are all that nobody mentions.
func Unknown() Fact { return Fact{} }

// Chosen is a key whose value whoever makes the request chooses, or leaves out, such as aws:RequestTag/owner: what counts is whether
// some value is allowed.
func Chosen() Fact { return Fact{state: chosen} }

// A Request is what somebody wants to do.
type Request struct {
	Principal Principal
	Action    string // such as s3:GetObject
	Resource  string // an ARN; * for actions that are about none in particular
	// Account is the resource's. "" is that of the resource's ARN, or else the principal's.
	Account string
	// Context has what is known of condition keys, by their names in any case. Those that follow from the principal are known without it.
	Context map[string]Fact
	// Facts is asked for keys, in lower case, that Context does not have; nil knows none.
	Facts func(key string) Fact

	action  string          // in lower case
	context map[string]Fact // by names in lower case
	missing []string        // keys that would have to be known
	void    string          // a key that a variable of the statement at hand stands for, and the request does not have
	tried   map[string]Fact
}

// account is that of the resource.
func (r *Request) account() string {
	if r.Account != "" {
		return r.Account
	}
	if parts := strings.SplitN(r.Resource, ":", arnParts); len(parts) == arnParts && parts[4] != "" && parts[4] != "*" {
		return parts[4]
	}
	return r.Principal.Account
}

func (r *Request) miss(key string) {
	if !slices.Contains(r.missing, key) {
		r.missing = append(r.missing, key)
	}
}

// fact is what is known of a key, in lower case. See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.
func (r *Request) fact(key string) Fact {
	if f, ok := r.tried[key]; ok {
		return f
	}
	if f, ok := r.context[key]; ok {
		return f
	}
	p := &r.Principal
	text := func(s string) Fact {
		if s == "" {
			return Absent()
		}
		return Known(s)
	}
	switch key {
	case "aws:principalarn":
		if p.Kind == Session {
			return text(p.Role)
		}
		return text(p.ARN)
	case "aws:principalaccount":
		return text(p.Account)
	case "aws:principaltype":
		return text(map[Kind]string{Anonymous: "Anonymous", Root: "Account", User: "User", Session: "AssumedRole", Federated: "FederatedUser"}[p.Kind])
	case "aws:username":
		if p.Kind == User {
			return text(p.ARN[strings.LastIndexByte(p.ARN, '/')+1:])
		}
		return Absent()
	case "aws:userid":
		if p.ID != "" {
			return Known(p.ID)
		}
	case "aws:principalisawsservice":
		return Known(map[bool]string{true: "true", false: "false"}[p.Kind == Service])
	case "aws:resourceaccount":
		return text(r.account())
	}
	if name, ok := strings.CutPrefix(key, "aws:principaltag/"); ok && p.Tags != nil {
		return tagged(p.Tags, name)
	}
	if r.Facts != nil {
		return r.Facts(key)
	}
	return Unknown()
}

// tagged is the value of a tag, whose name is in any case.
func tagged(tags map[string]string, name string) Fact {
	for tag, value := range tags {
		if strings.EqualFold(tag, name) {
			return Known(value)
		}
	}
	return Absent()
}

// expand fills the variables of a text in, and says whether they are known: No where one is absent, Maybe where one is not known; those may be anything.
// What is returned is after wild. See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html.
func (r *Request) expand(text string) (string, Tri) { return r.insert(text, wild) }

// fill is expand for a text in which wildcards are none. It is of use where all variables are known.
func (r *Request) fill(text string) (string, Tri) {
	return r.insert(text, func(s string) string { return s })
}

func (r *Request) insert(text string, around func(string) string) (string, Tri) {
	var b strings.Builder
	result := Yes
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(around(before))
		if !found {
			return b.String(), result
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.WriteString(around("${" + rest))
			return b.String(), result
		}
		text = after
		if name == "*" || name == "?" || name == "$" {
			b.WriteString(name)
			continue
		}
		name, standard, hasDefault := strings.Cut(name, ",")
		key := strings.ToLower(strings.TrimSpace(name))
		switch f := r.fact(key); {
		case f.state == known && len(f.values) == 1:
			b.WriteString(f.values[0])
		case f.state == unknown, f.state == chosen: // what suits best depends on where the variable is
			r.miss(key)
			b.WriteString(star)
			result = both(result, Maybe)
		case hasDefault:
			b.WriteString(strings.Trim(strings.TrimSpace(standard), "'"))
		default:
			b.WriteString(star)
			r.void, result = key, No
		}
	}
}
