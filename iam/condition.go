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
	relation
	negated  bool
	ifExists bool
	null     bool
	set      quantifier
	values   []pattern // as the operator reads them
}

// A relation is what an operator asks of one value of a request and one of the condition. A pattern's is to be like it.
type relation struct {
	holds   func(c *condition, value, want string) bool // nil where the condition's value is a pattern
	arn     bool                                        // which is one of ARNs, part by part
	ordered func(order int) bool                        // of numbers and times: which order of the two is meant
}

// negations are the operators that hold where another does not.
var negations = map[string]string{
	"stringnotequals": "stringequals", "stringnotequalsignorecase": "stringequalsignorecase", "stringnotlike": "stringlike", "arnnotequals": "arnequals", "arnnotlike": "arnlike",
	"notipaddress": "ipaddress", "numericnotequals": "numericequals", "datenotequals": "dateequals",
}

// relations are the other operators, but Null.
var relations = map[string]relation{
	"stringequals":           {holds: func(_ *condition, value, want string) bool { return value == want }},
	"stringequalsignorecase": {holds: folded},
	"stringlike":             {},
	"arnequals":              {arn: true},
	"arnlike":                {arn: true},
	"bool":                   {holds: folded},
	"binaryequals":           {holds: binaries},
	"ipaddress":              {holds: addresses},

	"numericequals":            {holds: numbers, ordered: func(o int) bool { return o == 0 }},
	"numericlessthan":          {holds: numbers, ordered: func(o int) bool { return o < 0 }},
	"numericlessthanequals":    {holds: numbers, ordered: func(o int) bool { return o <= 0 }},
	"numericgreaterthan":       {holds: numbers, ordered: func(o int) bool { return o > 0 }},
	"numericgreaterthanequals": {holds: numbers, ordered: func(o int) bool { return o >= 0 }},

	"dateequals":            {holds: dates, ordered: func(o int) bool { return o == 0 }},
	"datelessthan":          {holds: dates, ordered: func(o int) bool { return o < 0 }},
	"datelessthanequals":    {holds: dates, ordered: func(o int) bool { return o <= 0 }},
	"dategreaterthan":       {holds: dates, ordered: func(o int) bool { return o > 0 }},
	"dategreaterthanequals": {holds: dates, ordered: func(o int) bool { return o >= 0 }},
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
			values, err := stringsOf(k.value)
			if err != nil {
				return nil, fmt.Errorf("%.100s: %.100s: %w", op.name, k.name, err)
			}
			for _, v := range values {
				c.values = append(c.values, newPattern(v, p.variables, c.arn))
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
	if c.null = name == "null"; c.null && !c.ifExists && c.set == single {
		return c, nil
	}
	if positive, ok := negations[name]; ok {
		name, c.negated = positive, true
	}
	known := false
	c.relation, known = relations[name]
	if !known {
		return c, fmt.Errorf("unknown operator %.100q", operator)
	}
	return c, nil
}

// multivalued are the keys of all services that have several values, see
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.
var multivalued = []string{"aws:calledvia", "aws:principalorgpaths", "aws:principalservicenameslist", "aws:resourceorgpaths", "aws:sourceorgpaths", "aws:tagkeys", "aws:vpceorgpaths"}

// withoutKey tells whether the condition holds for a request that does not have its key.
func (c *condition) withoutKey() bool {
	switch {
	case c.null:
		return len(c.values) > 0 && strings.EqualFold(c.values[0].text, "true")
	case c.ifExists, c.set == forAll:
		return true
	}
	return c.negated && c.set != forAny
}

// holds tells whether the request satisfies the condition.
func (c *condition) holds(r *Request) Tri {
	f := r.fact(c.key)
	if f.state == unknown {
		r.miss(c.key)
		return Maybe
	}
	switch {
	case f.state == absent:
		return truth(c.withoutKey())
	case c.null:
		return truth(!c.withoutKey())
	}
	result := No
	if c.set == forAll {
		result = Yes
	}
	some := No // value is one of the condition's
	for _, v := range f.values {
		found := No
		for i := range c.values {
			if found = either(found, c.test(&c.values[i], v, r)); found == Yes {
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

// test tells whether a value of the request is in the condition's relation to one of its own.
func (c *condition) test(p *pattern, value string, r *Request) Tri {
	switch {
	case c.arn && !strings.HasPrefix(value, "arn:"):
		return No
	case c.relation.holds == nil:
		return p.match(value, r)
	case !p.holds:
		return truth(c.relation.holds(c, value, p.text))
	}
	want, known := r.fill(p.text)
	if known != Yes {
		return known
	}
	return truth(c.relation.holds(c, value, want))
}

func folded(_ *condition, value, want string) bool { return strings.EqualFold(value, want) }

func binaries(_ *condition, value, want string) bool {
	a, err := base64.StdEncoding.DecodeString(value)
	b, err2 := base64.StdEncoding.DecodeString(want)
	return err == nil && err2 == nil && string(a) == string(b)
}

func numbers(c *condition, value, want string) bool {
	a, err := strconv.ParseFloat(value, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	order := 0
	if a < b {
		order = -1
	} else if a > b {
		order = 1
	}
	return err == nil && err2 == nil && c.ordered(order)
}

func dates(c *condition, value, want string) bool {
	a, ok := date(value)
	b, ok2 := date(want)
	return ok && ok2 && c.ordered(a.Compare(b))
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

func addresses(_ *condition, value, want string) bool {
	prefix, err := netip.ParsePrefix(want)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(want); err == nil {
			prefix = netip.PrefixFrom(a, a.BitLen())
		}
	}
	a, err2 := netip.ParseAddr(value)
	return err == nil && err2 == nil && prefix.Contains(a)
}
