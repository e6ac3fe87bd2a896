package forgetest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/scanner"
)

// What follows reads and answers as much of GraphQL (spec.graphql.org) as clients of forges use: one query with variables, aliases, arguments,
// fragments and the directives include and skip.

// A graph is a query being answered.
type graph struct {
	fragments map[string]selection
	variables map[string]any
	errors    []any
	undefined bool // something was asked for that there is not: all of the answer is an error
}

// An object is one of the graph: its fields by name, and its type as __typename. A field that takes arguments is a func(args) any.
type object map[string]any

type args map[string]any

// A forbidden field is null, and an error says that the one who asks may not have it.
type forbidden struct{}

// What is not found is null as well.
type notFound struct{}

// A selection is a field, or a fragment: then its name is empty.
type selection struct {
	key, name string // key is what the answer calls the field
	on        string // the type that a fragment is for; "" for any
	spread    string // the name of a fragment
	args      map[string]any
	skip      []condition
	sub       []selection
}

type condition struct {
	value any
	skips bool // it is @skip and not @include
}

// A variable is one in a query.
type variable string

// answer executes a query.
func answer(query string, variables map[string]any, root object) map[string]any {
	p := &graphParser{}
	p.Init(strings.NewReader(query))
	p.Mode = scanner.ScanIdents | scanner.ScanInts | scanner.ScanStrings
	p.Error = func(*scanner.Scanner, string) {}
	g := &graph{fragments: map[string]selection{}, variables: variables}
	operation, err := p.document(g.fragments)
	if err != nil {
		return map[string]any{"errors": []any{map[string]any{"message": err.Error()}}}
	}
	data := g.object(root, operation, nil)
	out := map[string]any{}
	if g.errors != nil {
		out["errors"] = g.errors
	}
	if !g.undefined {
		out["data"] = data
	}
	return out
}

func (g *graph) object(o object, all []selection, path []any) map[string]any {
	out := map[string]any{}
	for _, s := range all {
		if slices.ContainsFunc(s.skip, func(c condition) bool { return g.value(c.value) == c.skips }) {
			continue
		}
		if s.name == "" {
			if s.spread != "" {
				s = g.fragments[s.spread]
			}
			if s.on == "" || o.is(s.on) {
				maps.Copy(out, g.object(o, s.sub, path))
			}
			continue
		}
		at := append(slices.Clone(path), s.key)
		field, ok := o[s.name]
		if !ok {
			g.undefined = true
			g.fail(at, "", fmt.Sprintf("Field '%s' doesn't exist on type '%s'", s.name, o["__typename"]), map[string]any{"code": "undefinedField"})
			continue
		}
		if f, ok := field.(func(args) any); ok {
			given := args{}
			for name, v := range s.args {
				given[name] = g.value(v)
			}
			field = f(given)
		}
		out[s.key] = g.complete(field, s.sub, at)
	}
	return out
}

func (g *graph) complete(field any, sub []selection, at []any) any {
	switch v := field.(type) {
	case forbidden:
		g.fail(at, "FORBIDDEN", "Resource not accessible by personal access token", nil)
		return nil
	case notFound:
		g.fail(at, "NOT_FOUND", "Could not resolve to a node", nil)
		return nil
	case object:
		if v == nil {
			return nil
		}
		return g.object(v, sub, at)
	case []object:
		list := []any{}
		for i, o := range v {
			if o == nil {
				g.fail(append(at, i), "NOT_FOUND", "Could not resolve to a node", nil)
				list = append(list, nil)
				continue
			}
			list = append(list, g.object(o, sub, append(slices.Clone(at), i)))
		}
		return list
	}
	return field
}

func (g *graph) fail(path []any, kind, message string, extensions map[string]any) {
	e := map[string]any{"message": message, "path": path}
	if kind != "" {
		e["type"] = kind
	}
	if extensions != nil {
		e["extensions"] = extensions
	}
	g.errors = append(g.errors, e)
}

func (g *graph) value(v any) any {
	switch v := v.(type) {
	case variable:
		return g.variables[string(v)]
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = g.value(v[i])
		}
		return out
	}
	return v
}

// abstract types are those that stand for several.
var abstract = map[string][]string{
	"BranchActorAllowanceActor": {"App", "Team", "User"},
	"BypassActor":               {"App", "Team", "User"},
	"RepositoryOwner":           {"Organization", "User"},
}

func (o object) is(kind string) bool {
	name, _ := o["__typename"].(string)
	return name == kind || slices.Contains(abstract[kind], name)
}

// connection is a list in pages.
func connection(all []object) func(args) any {
	return func(a args) any {
		number := func(name string, otherwise int) int {
			if n, err := strconv.Atoi(fmt.Sprint(a[name])); err == nil && n >= 0 {
				return n
			}
			return otherwise
		}
		from := min(number("after", 0), len(all)) // a cursor is how many came before
		to := min(from+min(number("first", 100), 100), len(all))
		return object{
			"__typename": "Connection", "totalCount": len(all), "nodes": all[from:to],
			"pageInfo": object{"__typename": "PageInfo", "hasNextPage": to < len(all), "endCursor": strconv.Itoa(to)},
		}
	}
}

// graphParser reads a query.
type graphParser struct {
	scanner.Scanner
	token rune
	err   error
}

func (p *graphParser) next() {
	if p.token = p.Scan(); p.token == '.' && p.Peek() == '.' {
		p.Scan()
		p.Scan()
	}
	for p.token == ',' { // is white space
		p.next()
	}
	for p.token == '#' {
		for line := p.Line; p.token != scanner.EOF && p.Line == line; {
			p.next()
		}
	}
}

// take consumes a token that must be there.
func (p *graphParser) take(token rune) string {
	text := p.TokenText()
	if p.token != token && p.err == nil {
		p.err = fmt.Errorf("syntax error at line %d: %q", p.Line, text)
	}
	p.next()
	return text
}

func (p *graphParser) taken(token rune) bool {
	if p.err == nil && p.token == token {
		p.next()
		return true
	}
	return false
}

func (p *graphParser) document(fragments map[string]selection) (operation []selection, err error) {
	for p.next(); p.token != scanner.EOF && p.err == nil; {
		switch word := p.TokenText(); word {
		case "{":
			operation = p.selections()
		case "query":
			for p.token != '{' && p.token != scanner.EOF { // names and types of variables
				p.next()
			}
			operation = p.selections()
		case "fragment":
			p.next()
			name := p.take(scanner.Ident)
			p.take(scanner.Ident) // on
			fragments[name] = selection{on: p.take(scanner.Ident), sub: p.selections()}
		default:
			p.take(0)
		}
	}
	return operation, p.err
}

func (p *graphParser) selections() (all []selection) {
	if !p.taken('{') {
		return nil
	}
	for p.err == nil && !p.taken('}') {
		var s selection
		switch {
		case !p.taken('.'):
			s.key = p.take(scanner.Ident)
			if s.name = s.key; p.taken(':') {
				s.name = p.take(scanner.Ident)
			}
			s.args = p.arguments()
		case p.token == scanner.Ident && p.TokenText() == "on":
			p.next()
			s.on = p.take(scanner.Ident)
		case p.token == scanner.Ident:
			s.spread = p.take(scanner.Ident)
		}
		for p.taken('@') {
			c := condition{skips: p.take(scanner.Ident) == "skip"}
			c.value = p.arguments()["if"]
			s.skip = append(s.skip, c)
		}
		s.sub = p.selections()
		all = append(all, s)
	}
	return all
}

func (p *graphParser) arguments() map[string]any {
	if !p.taken('(') {
		return nil
	}
	all := map[string]any{}
	for p.err == nil && !p.taken(')') {
		name := p.take(scanner.Ident)
		p.take(':')
		all[name] = p.value()
	}
	return all
}

func (p *graphParser) value() any {
	text := p.TokenText()
	switch {
	case p.taken('$'):
		return variable(p.take(scanner.Ident))
	case p.taken('['):
		all := []any{}
		for p.err == nil && !p.taken(']') {
			all = append(all, p.value())
		}
		return all
	case p.taken('{'):
		all := map[string]any{}
		for p.err == nil && !p.taken('}') {
			name := p.take(scanner.Ident)
			p.take(':')
			all[name] = p.value()
		}
		return all
	case p.taken(scanner.Int):
		n, _ := strconv.Atoi(text)
		return n
	case p.taken(scanner.String):
		s, _ := strconv.Unquote(text)
		return s
	}
	p.take(scanner.Ident)
	switch text {
	case "true", "false":
		return text == "true"
	case "null":
		return nil
	}
	return text
}
