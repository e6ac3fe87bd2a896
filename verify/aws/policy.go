package aws

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// A policy is one document that grants or limits what an identity may do.
type policy struct {
	name string // its ARN, or "inline NAME"
	via  string // the group it is attached to, or ""
	how  string // the call that showed it
	doc  document
}

type document struct{ Statement []statement }

type statement struct {
	Effect                string
	Action, NotAction     patterns
	Resource, NotResource patterns
	Condition             map[string]json.RawMessage
}

// patterns is a JSON string or list of strings.
type patterns []string

func (p *patterns) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*p = patterns{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*p = many
	return nil
}

func (d *document) UnmarshalJSON(b []byte) error {
	var raw struct{ Statement json.RawMessage }
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw.Statement)), "{") {
		d.Statement = make([]statement, 1)
		return json.Unmarshal(raw.Statement, &d.Statement[0])
	}
	return json.Unmarshal(raw.Statement, &d.Statement)
}

// maxDocument bounds a policy text. IAM's largest quota is 10,240 characters; percent encoding makes them three times as many.
const maxDocument = 64 << 10

// parse reads a policy document as IAM returns it, percent-encoded (RFC 3986). An error means that the document must be
// counted as unread: no part of it may be believed.
func parse(encoded string) (document, error) {
	var d document
	if len(encoded) > maxDocument {
		return d, fmt.Errorf("policy document of %d bytes is longer than any IAM holds", len(encoded))
	}
	plain := encoded
	if !strings.HasPrefix(strings.TrimSpace(plain), "{") { // some servers that are not IAM do not encode
		var err error
		if plain, err = url.PathUnescape(encoded); err != nil {
			return d, fmt.Errorf("decoding policy document: %w", err)
		}
	}
	if err := json.Unmarshal([]byte(plain), &d); err != nil {
		return d, fmt.Errorf("parsing policy document: %w", err)
	}
	for _, st := range d.Statement {
		if st.Effect != "Allow" && st.Effect != "Deny" || !either(st.Action, st.NotAction) || !either(st.Resource, st.NotResource) {
			return d, fmt.Errorf("parsing policy document: a statement is not one of an identity policy")
		}
	}
	return d, nil
}

func either(a, b patterns) bool { return (len(a) == 0) != (len(b) == 0) }

// A state is the answer to whether an action is allowed on a resource.
type state int

const (
	denied state = iota
	undecided
	granted
)

// An evaluator answers from policy texts alone. It is small and says undecided wherever a condition or a variable has a
// say; organisation policies, session policies and resource policies are not in it, so granted is an upper bound.
type evaluator struct {
	policies []policy
	boundary *policy // nil for none
	unread   bool    // there is a boundary, and its text could not be read
	username string  // for ${aws:username}; "" for roles
}

// decide evaluates one action on one resource, in the way of the IAM simulator: "*" as resource is covered by statements
// on all resources only.
func (e *evaluator) decide(action, resource string) (state, *policy) {
	result, witness := denied, (*policy)(nil)
	capped := false
	all := e.policies
	if e.boundary != nil {
		all = append(all[:len(all):len(all)], *e.boundary)
	}
	for i, p := range all {
		isBoundary := i == len(e.policies)
		for _, st := range p.doc.Statement {
			m := e.match(st, action, resource)
			switch {
			case m == denied:
			case st.Effect == "Deny" && m == granted:
				return denied, &all[i]
			case st.Effect == "Deny":
				capped = true
			case !isBoundary && m > result:
				result, witness = m, &all[i]
			}
		}
	}
	if e.boundary != nil && result != denied {
		ceiling := denied
		for _, st := range e.boundary.doc.Statement {
			if st.Effect == "Allow" {
				ceiling = max(ceiling, e.match(st, action, resource))
			}
		}
		if ceiling == denied {
			return denied, e.boundary
		}
		result = min(result, ceiling)
	}
	if capped || e.unread {
		result = min(result, undecided)
	}
	return result, witness
}

// match tells whether a statement speaks of an action on a resource: denied for no, undecided for maybe, granted for yes.
func (e *evaluator) match(st statement, action, resource string) state {
	action = strings.ToLower(action)
	hit := false
	for _, p := range append(st.Action[:len(st.Action):len(st.Action)], st.NotAction...) {
		hit = hit || wildcard(strings.ToLower(p), action)
	}
	if hit == (len(st.NotAction) > 0) {
		return denied
	}
	on := denied
	for _, p := range append(st.Resource[:len(st.Resource):len(st.Resource)], st.NotResource...) {
		on = max(on, e.covers(p, resource))
	}
	if len(st.NotResource) > 0 {
		on = granted - on
	}
	if len(st.Condition) > 0 {
		on = min(on, undecided)
	}
	return on
}

func (e *evaluator) covers(pattern, resource string) state {
	if e.username != "" {
		pattern = strings.ReplaceAll(pattern, "${aws:username}", e.username)
	}
	if strings.Contains(pattern, "${") {
		return undecided
	}
	if pattern == resource || wildcard(pattern, resource) {
		return granted
	}
	return denied
}

// named lists the resources, other than all, that Allow statements grant an action on, as patterns.
func (e *evaluator) named(action string) []string {
	var list []string
	action = strings.ToLower(action)
	for _, p := range e.policies {
		for _, st := range p.doc.Statement {
			for _, a := range st.Action {
				if st.Effect == "Allow" && wildcard(strings.ToLower(a), action) {
					list = append(list, e.concrete(st.Resource)...)
					break
				}
			}
		}
	}
	return list
}

func (e *evaluator) concrete(resources patterns) []string {
	var list []string
	for _, r := range resources {
		if e.username != "" {
			r = strings.ReplaceAll(r, "${aws:username}", e.username)
		}
		if strings.HasPrefix(r, "arn:") && strings.Count(r, ":") >= 5 && !strings.Contains(r, "${") && len(r) <= 2048 {
			list = append(list, r)
		}
	}
	return list
}

// wildcard matches * (any run of characters) and ? (any one) without backtracking further than to the last star.
func wildcard(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
