package iam

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A condition is one key under one operator. All conditions of a statement must hold, and of a condition's values one is enough. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
type condition struct {
	key      string // in lower case, as keys are compared
	operator string // in lower case, without quantifier and IfExists
	test     func(c *condition, i int, value string, r *Request) Tri
	negated  bool
	ifExists bool
	null     bool
	set      quantifier
	values   []string
	patterns []pattern // of values with wildcards, or variables
	ordered  func(order int) bool
}

// A quantifier says how the several values of a key count.
type quantifier int8

const (
	single quantifier = iota
	forAll
	forAny
)

func (p *Policy) parseConditions(raw json.RawMessage) (all []condition, err error) {
	operators, err := objectOf(raw)
	if err != nil {
		return nil, err
	}
	for _, op := range operators {
		keys, err := objectOf(op.value)
		if err != nil {
			return nil, fmt.Errorf("%.100s: %w", op.name, err)
		}
		for _, k := range keys {
			c, err := newCondition(op.name)
			if err != nil {
				return nil, err
			}
			c.key = strings.ToLower(k.name)
			if c.values, err = stringsOf(k.value); err != nil {
				return nil, fmt.Errorf("%.100s: %.100s: %w", op.name, k.name, err)
			}
			for _, v := range c.values {
				c.patterns = append(c.patterns, newPattern(v, p.variables))
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// newCondition knows an operator by its name, whatever its case.
func newCondition(operator string) (c condition, err error) {
	name := strings.ToLower(operator)
	if rest, ok := strings.CutPrefix(name, "forallvalues:"); ok {
		name, c.set = rest, forAll
	} else if rest, ok := strings.CutPrefix(name, "foranyvalue:"); ok {
		name, c.set = rest, forAny
	}
	name, c.ifExists = strings.CutSuffix(name, "ifexists")
	c.operator = name
	order := func(kind func(*condition, int, string, *Request) Tri, holds func(int) bool) {
		c.test, c.ordered = kind, holds
	}
	equal := func(o int) bool { return o == 0 }
	kind, relation := "", ""
	for _, k := range []string{"numeric", "date"} {
		if rest, ok := strings.CutPrefix(name, k); ok {
			kind, relation = k, rest
		}
	}
	if kind != "" {
		compare := numbers
		if kind == "date" {
			compare = dates
		}
		switch relation {
		case "equals":
			order(compare, equal)
		case "notequals":
			order(compare, equal)
			c.negated = true
		case "lessthan":
			order(compare, func(o int) bool { return o < 0 })
		case "lessthanequals":
			order(compare, func(o int) bool { return o <= 0 })
		case "greaterthan":
			order(compare, func(o int) bool { return o > 0 })
		case "greaterthanequals":
			order(compare, func(o int) bool { return o >= 0 })
		}
	}
	switch name {
	case "stringequals", "stringnotequals":
		c.test = exactly
	case "stringequalsignorecase", "stringnotequalsignorecase":
		c.test = folded
	case "stringlike", "stringnotlike":
		c.test = alike
	case "arnequals", "arnlike", "arnnotequals", "arnnotlike":
		c.test = arns
	case "bool":
		c.test = folded
	case "binaryequals":
		c.test = binaries
	case "ipaddress", "notipaddress":
		c.test = addresses
	case "null":
		c.null = true
	}
	c.negated = c.negated || strings.Contains(name, "not")
	if c.test == nil && !c.null || c.null && (c.ifExists || c.set != single) {
		return c, fmt.Errorf("unknown operator %.100q", operator)
	}
	return c, nil
}

// multivalued are the keys of all services that have several values, see
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.
var multivalued = []string{"aws:calledvia", "aws:principalorgpaths", "aws:principalservicenameslist", "aws:resourceorgpaths", "aws:sourceorgpaths", "aws:tagkeys", "aws:vpceorgpaths"}

// holds tells whether the request satisfies the condition.
func (c *condition) holds(r *Request) Tri {
	f := r.fact(c.key)
	if f.state == unknown {
		r.miss(c.key)
		return Maybe
	}
	if c.null {
		want := len(c.values) > 0 && strings.EqualFold(c.values[0], "true")
		return truth(want == (f.state == absent))
	}
	if f.state == absent {
		switch {
		case c.ifExists, c.set == forAll:
			return Yes
		case c.set == forAny:
			return No
		}
		return truth(c.negated)
	}
	result := No
	if c.set == forAll {
		result = Yes
	}
	some := No // value is one of the condition's
	for _, v := range f.values {
		found := No
		for i := range c.values {
			if found = either(found, c.test(c, i, v, r)); found == Yes {
				break
			}
		}
		some = either(some, found)
		if c.negated {
			found = not(found)
		}
		switch c.set {
		case forAll:
			result = both(result, found)
		case forAny:
			result = either(result, found)
		}
	}
	switch {
	case c.set != single:
		return result
	case len(f.values) > 1, slices.Contains(multivalued, c.key): // which a set operator is for; without one, AWS does not say what counts
		r.miss("how " + c.key + " with several values is compared")
		return Maybe
	case c.negated:
		return not(some)
	}
	return some
}

// value is one of the condition's with its variables filled in.
func (c *condition) value(i int, r *Request) (string, Tri) {
	if !c.patterns[i].holds {
		return c.values[i], Yes
	}
	text, known := r.expand(c.values[i])
	return strings.NewReplacer(star, "*", string([]byte{one}), "?").Replace(text), known // where there are no wildcards
}

func exactly(c *condition, i int, value string, r *Request) Tri {
	want, known := c.value(i, r)
	if known != Yes {
		return known
	}
	return truth(want == value)
}

func folded(c *condition, i int, value string, r *Request) Tri {
	want, known := c.value(i, r)
	if known != Yes {
		return known
	}
	return truth(strings.EqualFold(want, value))
}

func alike(c *condition, i int, value string, r *Request) Tri {
	p := &c.patterns[i]
	if !p.holds {
		return truth(newGlob(p.text).match(value))
	}
	text, known := r.expand(p.text)
	if !globOf(text).match(value) { // whatever the variables are
		return No
	}
	return known
}

func arns(c *condition, i int, value string, r *Request) Tri {
	if !strings.HasPrefix(value, "arn:") {
		return No
	}
	return c.patterns[i].match(value, r)
}

func binaries(c *condition, i int, value string, _ *Request) Tri {
	a, err := base64.StdEncoding.DecodeString(c.values[i])
	b, err2 := base64.StdEncoding.DecodeString(value)
	return truth(err == nil && err2 == nil && string(a) == string(b))
}

func numbers(c *condition, i int, value string, r *Request) Tri {
	want, known := c.value(i, r)
	a, err := strconv.ParseFloat(value, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	order := 0
	if a < b {
		order = -1
	} else if a > b {
		order = 1
	}
	if known != Yes {
		return known
	}
	return truth(err == nil && err2 == nil && c.ordered(order))
}

func dates(c *condition, i int, value string, r *Request) Tri {
	want, known := c.value(i, r)
	a, ok := date(value)
	b, ok2 := date(want)
	if known != Yes {
		return known
	}
	return truth(ok && ok2 && c.ordered(a.Compare(b)))
}

// date reads a time as policies have it: ISO 8601 in one of the forms of https://www.w3.org/TR/NOTE-datetime, or seconds since 1970.
func date(text string) (time.Time, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) > 4 {
		return time.Unix(n, 0), true
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func addresses(c *condition, i int, value string, r *Request) Tri {
	want, known := c.value(i, r)
	prefix, err := netip.ParsePrefix(want)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(want); err == nil {
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
	}
	a, err2 := netip.ParseAddr(value)
	if known != Yes {
		return known
	}
	return truth(err == nil && err2 == nil && prefix.Contains(a))
}
