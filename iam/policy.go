package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// maxDocument is the longest document that is read, in bytes. IAM's longest is 20,480 characters, that of a bucket; Parse is given what somebody
// exported, which may have white space.
const maxDocument = 1 << 20

// maxDepth is how deep a document's objects and lists may lie in each other: a condition's values lie six deep.
const maxDepth = 16

// Effect is what a statement does to the requests that match it.
type Effect bool

// The effects.
const (
	Deny  Effect = false
	Allow Effect = true
)

// A Policy is one document.
type Policy struct {
	Name       string // where it comes from, such as its ARN; whoever parses it says so
	Statements []*Statement

	variables bool     // ${…} stand for something: since version 2012-10-17
	keys      []string // that conditions have
}

// A Statement is one of a policy. What it is about is read by [Layers.Evaluate] alone.
type Statement struct {
	Sid    string
	Effect Effect

	policy     *Policy
	number     int // in the policy, from 1
	principals *principals
	actions    []action
	notActions bool // the request's action is to be none of them
	resources  []resource
	notRes     bool
	conditions []condition
}

// Parse reads a policy document, also one that is percent-encoded, as IAM's API hands it out. It is as lenient as AWS: a list of one may be bare, and
// names of elements may be in any case. Errors name the statement and the element.
func Parse(name string, doc []byte) (*Policy, error) {
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("policy %s: longer than %d KiB", name, maxDocument>>10)
	}
	doc = bytes.TrimSpace(bytes.TrimPrefix(doc, []byte("\ufeff")))
	if bytes.HasPrefix(doc, []byte("%")) {
		text, err := url.PathUnescape(string(doc))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
		doc = []byte(text)
	}
	p := &Policy{Name: name}
	if err := p.parse(doc); err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}

func (p *Policy) parse(doc []byte) error {
	top, err := objectOf(doc)
	if err != nil {
		return err
	}
	var statements []json.RawMessage
	for _, m := range top {
		switch strings.ToLower(m.name) {
		case "version":
			var version string
			if json.Unmarshal(m.value, &version) != nil || version != "2012-10-17" && version != "2008-10-17" {
				return errors.New("the version is neither 2012-10-17 nor 2008-10-17")
			}
			p.variables = version == "2012-10-17"
		case "id":
		case "statement":
			if statements, err = listOf(m.value); err != nil {
				return fmt.Errorf("statement: %w", err)
			}
		default:
			return fmt.Errorf("unknown element %.100q", m.name)
		}
	}
	if len(statements) == 0 {
		return errors.New("there is no statement")
	}
	for i, raw := range statements {
		s, err := p.statement(raw)
		if err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
		s.policy, s.number = p, i+1
		p.Statements = append(p.Statements, s)
		for i := range s.conditions {
			if key := s.conditions[i].key; !slices.Contains(p.keys, key) {
				p.keys = append(p.keys, key)
			}
		}
	}
	return nil
}

func (p *Policy) statement(raw json.RawMessage) (*Statement, error) {
	elements, err := objectOf(raw)
	if err != nil {
		return nil, err
	}
	s := &Statement{}
	has := map[string]bool{}
	for _, m := range elements {
		name := strings.ToLower(m.name)
		has[name] = true
		switch name {
		case "sid":
			if json.Unmarshal(m.value, &s.Sid) != nil {
				err = errors.New("not a text")
			}
		case "effect":
			s.Effect, err = effectOf(m.value)
		case "principal", "notprincipal":
			s.principals, err = parsePrincipals(m.value)
			if err == nil {
				s.principals.not = name == "notprincipal"
			}
		case "action", "notaction":
			s.notActions = name == "notaction"
			s.actions, err = parseActions(m.value)
		case "resource", "notresource":
			s.notRes = name == "notresource"
			s.resources, err = p.parseResources(m.value)
		case "condition":
			s.conditions, err = p.parseConditions(m.value)
		default:
			err = errors.New("unknown element")
		}
		if err != nil {
			return nil, fmt.Errorf("%.100s: %w", m.name, err)
		}
	}
	for _, pair := range [][2]string{{"principal", "notprincipal"}, {"action", "notaction"}, {"resource", "notresource"}} {
		if has[pair[0]] && has[pair[1]] {
			return nil, fmt.Errorf("there are both %s and %s", pair[0], pair[1])
		}
	}
	switch {
	case !has["effect"]:
		return nil, errors.New("there is no effect")
	case !has["action"] && !has["notaction"]:
		return nil, errors.New("there is neither action nor notaction")
	}
	return s, nil
}

func effectOf(raw json.RawMessage) (Effect, error) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return Deny, errors.New("neither Allow nor Deny")
	}
	switch text {
	case "Allow":
		return Allow, nil
	case "Deny":
		return Deny, nil
	}
	return Deny, fmt.Errorf("%.20q is neither Allow nor Deny", text)
}

// A member of an object, in the order of the document.
type member struct {
	name  string
	value json.RawMessage
}

// objectOf reads an object. A name that occurs twice is an error, as it is for AWS: which of the two counts would be anybody's guess.
func objectOf(raw []byte) (members []member, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		return nil, errors.New("not an object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		m := member{}
		m.name, _ = t.(string)
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		if deep(m.value) {
			return nil, fmt.Errorf("%.100s: nested deeper than %d", m.name, maxDepth)
		}
		if folded := strings.ToLower(m.name); seen[folded] {
			return nil, fmt.Errorf("%.100q is there twice", m.name)
		} else {
			seen[folded] = true
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return members, nil
}

// deep tells whether a value is nested more than maxDepth.
func deep(raw []byte) bool {
	depth, quoted, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// listOf reads a list, or what stands alone for a list of one.
func listOf(raw json.RawMessage) ([]json.RawMessage, error) {
	if !bytes.HasPrefix(raw, []byte("[")) {
		return []json.RawMessage{raw}, nil
	}
	var list []json.RawMessage
	err := json.Unmarshal(raw, &list)
	return list, err
}

// stringsOf reads a list of strings. Numbers and truths are taken for their text, as AWS does in conditions.
func stringsOf(raw json.RawMessage) ([]string, error) {
	list, err := listOf(raw)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, one := range list {
		var text string
		switch {
		case json.Unmarshal(one, &text) == nil && bytes.HasPrefix(one, []byte(`"`)):
		case len(one) > 0 && (one[0] == '-' || one[0] >= '0' && one[0] <= '9' || string(one) == "true" || string(one) == "false"):
			text = string(one)
		default:
			return nil, errors.New("not a string, nor a list of strings")
		}
		out = append(out, text)
	}
	return out, nil
}
