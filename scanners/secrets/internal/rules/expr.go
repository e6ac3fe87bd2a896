package rules

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// extra is what betterleaks adds to the format. Its filter expressions are read as far as they say what an allowlist or an
// entropy limit says; the rest is left out with a note. A filter left out means more findings, never fewer.
type extra struct {
	Prefilter string
	Filter    string
	Rules     []extraRule
}

type extraRule struct {
	Filter          string
	Validate        string
	TokenEfficiency bool
}

func (e *extra) rule(i int) extraRule {
	if i < len(e.Rules) {
		return e.Rules[i]
	}
	return extraRule{}
}

func (e *extra) set(i int, r extraRule) {
	for len(e.Rules) <= i {
		e.Rules = append(e.Rules, extraRule{})
	}
	e.Rules[i] = r
}

func (e extraRule) apply(r *Rule) (notes []string) {
	lists, entropy, left := filters(e.Filter)
	r.Allow = append(slices.Clip(r.Allow), lists...)
	r.Entropy = max(r.Entropy, entropy)
	for _, what := range left {
		notes = append(notes, fmt.Sprintf("%s: filter: %s was left out", r.ID, what))
	}
	if e.Validate != "" {
		notes = append(notes, r.ID+": validate was left out: rules make no network calls")
	}
	if e.TokenEfficiency {
		notes = append(notes, r.ID+": tokenEfficiency was left out")
	}
	return notes
}

func (e *extra) global(set *Set) (notes []string) {
	for _, f := range []struct{ key, expr string }{{"prefilter", e.Prefilter}, {"filter", e.Filter}} {
		lists, entropy, left := filters(f.expr)
		set.Allow = append(set.Allow, lists...)
		for i := range set.Rules {
			set.Rules[i].Entropy = max(set.Rules[i].Entropy, entropy)
		}
		for _, what := range left {
			notes = append(notes, fmt.Sprintf("%s: %s was left out", f.key, what))
		}
	}
	return notes
}

// filters reads an expression that is true for what is to be dropped. It is taken apart at its outermost ||; each part is
// a conjunction of calls matchesAny, containsAny and entropy, or it is left out.
func filters(expr string) (lists []Allowlist, entropy float64, left []string) {
	if strings.TrimSpace(expr) == "" {
		return nil, 0, nil
	}
	tokens, ok := lex(expr)
	if !ok || len(tokens) > 1<<16 {
		return nil, 0, []string{"an expression that could not be read"}
	}
	for _, part := range split(tokens, "||") {
		al := Allowlist{All: true}
		target := Target(math.MaxUint8)
		good, limit := true, 0.0
		terms := split(part, "&&")
		for _, term := range terms {
			good = good && al.term(unwrap(term), &target, &limit)
		}
		switch {
		case good && limit > 0 && len(terms) == 1:
			entropy = max(entropy, limit)
		case good && limit == 0:
			lists = append(lists, al)
		default:
			left = append(left, describe(part))
		}
	}
	return lists, entropy, left
}

// term adds one call to the allowlist, and tells whether it could.
func (a *Allowlist) term(t []token, target *Target, limit *float64) bool {
	if len(t) > 2 && t[0].text == "filter" && t[1].text == "." {
		t = t[2:]
	}
	if len(t) < 4 || t[0].kind != word || t[1].text != "(" {
		return false
	}
	subject, rest := "", []token(nil)
	for _, s := range subjects {
		if spelled(t[2:], s.tokens) {
			subject, rest = s.name, t[2+len(s.tokens):]
			break
		}
	}
	switch t[0].text {
	case "entropy":
		if subject == "secret" && len(rest) == 3 && rest[0].text == ")" && (rest[1].text == "<=" || rest[1].text == "<") {
			n, err := strconv.ParseFloat(rest[2].text, 64)
			if rest[1].text == "<" {
				n = math.Nextafter(n, 0)
			}
			*limit = n
			return err == nil && n > 0
		}
	case "matchesAny", "containsAny":
		values, ok := list(rest)
		if !ok {
			return false
		}
		if t[0].text == "containsAny" {
			if subject != "secret" || len(a.StopWords) > 0 {
				return false
			}
			for _, v := range values {
				a.StopWords = append(a.StopWords, strings.ToLower(v))
			}
			return true
		}
		for i, v := range values {
			if _, err := regexp.Compile(v); err != nil {
				return false
			}
			values[i] = "(?:" + v + ")" // each on its own here, unlike an allowlist's
		}
		if subject == "path" {
			if len(a.Paths) > 0 {
				return false
			}
			a.Paths = values
			return true
		}
		on, ok := map[string]Target{"secret": OnSecret, "match": OnMatch, "line": OnLine}[subject]
		if !ok || len(a.Regexes) > 0 {
			return false
		}
		a.Regexes, a.Target, *target = values, on, on
		return true
	}
	return false
}

// list reads `, [ "a", "b" ] )`.
func list(t []token) (values []string, ok bool) {
	if len(t) < 4 || t[0].text != "," || t[1].text != "[" || t[len(t)-1].text != ")" {
		return nil, false
	}
	for i := 2; ; i++ {
		switch {
		case i >= len(t)-1:
			return nil, false
		case t[i].text == "]" && t[i].kind == sign:
			return values, i == len(t)-2 && len(values) > 0
		case t[i].kind == text:
			values = append(values, t[i].text)
		case t[i].text != ",":
			return nil, false
		}
	}
}

type subject struct {
	name   string
	tokens []string
}

var subjects = []subject{
	{"secret", []string{"finding", "[", "secret", "]"}},
	{"match", []string{"finding", "[", "match", "]"}},
	{"line", []string{"finding", "[", "line", "]"}},
	{"path", []string{"get", "(", "attributes", ",", "path", ",", "", ")"}},
	{"path", []string{"attributes", "[", "path", "]"}},
}

func spelled(t []token, want []string) bool {
	return len(t) >= len(want) && slices.EqualFunc(t[:len(want)], want, func(t token, s string) bool { return t.text == s })
}

type token struct {
	kind tokenKind
	text string
}

type tokenKind uint8

const (
	word tokenKind = iota
	text
	sign
)

func lex(s string) (tokens []token, ok bool) {
	for s != "" {
		switch c := s[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			s = s[1:]
		case strings.HasPrefix(s, "//"):
			_, s, _ = strings.Cut(s, "\n")
		case c == '`':
			body, rest, found := strings.Cut(s[1:], "`")
			if !found {
				return nil, false
			}
			tokens, s = append(tokens, token{text, body}), rest
		case c == '"' || c == '\'':
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, false
			}
			body, err := strconv.Unquote(q)
			if err != nil {
				return nil, false
			}
			tokens, s = append(tokens, token{text, body}), s[len(q):]
		case isWord(c):
			n := 1
			for n < len(s) && (isWord(s[n]) || s[n] == '.' && c >= '0' && c <= '9') {
				n++
			}
			tokens, s = append(tokens, token{word, s[:n]}), s[n:]
		default:
			n := 1
			if len(s) > 1 && slices.Contains([]string{"||", "&&", "<=", ">=", "==", "!="}, s[:2]) {
				n = 2
			}
			tokens, s = append(tokens, token{sign, s[:n]}), s[n:]
		}
	}
	return tokens, true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// split cuts at op outside brackets, after taking off brackets around the whole. Only || is split off recursively.
func split(t []token, op string) (parts [][]token) {
	t = unwrap(t)
	depth, from := 0, 0
	for i, x := range t {
		if x.kind != sign {
			continue
		}
		switch x.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case op:
			if depth == 0 {
				parts = append(parts, t[from:i])
				from = i + 1
			}
		}
	}
	if from == 0 {
		return [][]token{t}
	}
	parts = append(parts, t[from:])
	var flat [][]token
	for _, p := range parts {
		if len(p) > 0 && len(p) < len(t) {
			flat = append(flat, split(p, op)...)
		}
	}
	return flat
}

// unwrap takes off brackets that enclose all of t.
func unwrap(t []token) []token {
	for len(t) >= 2 && t[0] == (token{sign, "("}) {
		depth := 0
		for i, x := range t {
			if x.kind == sign && x.text == "(" {
				depth++
			}
			if x.kind == sign && x.text == ")" {
				depth--
			}
			if depth == 0 && i < len(t)-1 {
				return t
			}
		}
		if depth != 0 {
			return t
		}
		t = t[1 : len(t)-1]
	}
	return t
}

// describe names a part by the functions it calls; its strings may be long.
func describe(part []token) string {
	var words []string
	for i, t := range part {
		if t.kind == word && i+1 < len(part) && part[i+1].text == "(" && !slices.Contains(words, t.text) {
			words = append(words, t.text)
		}
	}
	if len(words) == 0 {
		return "an expression"
	}
	return "an expression of " + strings.Join(words, ", ")
}
