// Package expression reads the expressions of GitHub Actions, ${{ … }}, and says which values can come out of them.
//
// A newcomer starts with [In], which finds those of a text, and with [Node.Flows].
package expression

import (
	"strings"

	"github.com/rhysd/actionlint"
)

// Kind says what a node is.
type Kind string

// The kinds of nodes.
const (
	Context Kind = "context" // a value by its path: "github.event.issue.title"
	Call    Kind = "call"    // of a function
	Literal Kind = "literal"
	Compare Kind = "compare" // two values, by ==, !=, <, …
	And     Kind = "and"
	Or      Kind = "or"
	Not     Kind = "not"
	Index   Kind = "index" // of something that is no context: a call's result
)

// A Node is a part of an expression.
type Node struct {
	Kind Kind
	// Text is a context's path, a function's name, both in lower case, a literal's value or an operator. What of a path is computed, or stands for all,
	// is "*".
	Text   string
	Args   []*Node // of a context those that compute a part of it
	Offset int     // in the text that it was found in, in bytes
}

// An Expression is one ${{ … }} of a text.
type Expression struct {
	Start, End int   // in the text, with its braces
	Root       *Node // nil if it cannot be read
}

const (
	// GitHub refuses longer expressions. The bound also keeps the parser, which is recursive, from nesting without end.
	maxLength = 21_000
	// maxExpressions of one text: no workflow that people write has as many in one value.
	maxExpressions = 1000
)

// In finds the expressions of a text. What opens and is not closed is none.
func In(text string) (found []Expression) {
	for at := 0; len(found) < maxExpressions; {
		start := strings.Index(text[at:], "${{")
		if start < 0 {
			return found
		}
		start += at
		body := text[start+3:]
		e := Expression{Start: start}
		lexer := actionlint.NewExprLexer(body[:min(len(body), maxLength)])
		if node, err := actionlint.NewExprParser().Parse(lexer); err == nil {
			e.Root, e.End = read(node, start+3), start+3+lexer.Offset()
		} else {
			end := strings.Index(body, "}}")
			if end < 0 {
				return found
			}
			e.End = start + 3 + end + 2
		}
		found = append(found, e)
		at = e.End
	}
	return found
}

// Of reads the condition of an "if", which may stand without braces. It is nil if it cannot be read or has text around it.
func Of(condition string) *Node {
	trimmed := strings.TrimSpace(condition)
	if strings.Contains(trimmed, "${{") {
		if all := In(trimmed); len(all) > 0 {
			return all[0].Root
		}
		return nil
	}
	if trimmed == "" || len(trimmed) > maxLength {
		return nil
	}
	node, err := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(trimmed + "}}"))
	if err != nil {
		return nil
	}
	return read(node, strings.Index(condition, trimmed))
}

// read turns a parser's node into ours.
func read(n actionlint.ExprNode, base int) *Node {
	out := &Node{Offset: base + n.Token().Offset}
	switch n := n.(type) {
	case *actionlint.FuncCallNode:
		out.Kind, out.Text = Call, strings.ToLower(n.Callee)
		for _, arg := range n.Args {
			out.Args = append(out.Args, read(arg, base))
		}
	case *actionlint.CompareOpNode:
		out.Kind, out.Text, out.Args = Compare, n.Kind.String(), []*Node{read(n.Left, base), read(n.Right, base)}
	case *actionlint.LogicalOpNode:
		out.Kind, out.Args = And, []*Node{read(n.Left, base), read(n.Right, base)}
		if n.Kind == actionlint.LogicalOpNodeKindOr {
			out.Kind = Or
		}
	case *actionlint.NotOpNode:
		out.Kind, out.Args = Not, []*Node{read(n.Operand, base)}
	case *actionlint.StringNode:
		out.Kind, out.Text = Literal, n.Value
	case *actionlint.VariableNode, *actionlint.ObjectDerefNode, *actionlint.ArrayDerefNode, *actionlint.IndexAccessNode:
		return path(n, base)
	default: // null, booleans, numbers
		out.Kind, out.Text = Literal, n.Token().Value
	}
	return out
}

// path reads a chain of names and indexes. It walks from its end, as the parser builds it.
func path(n actionlint.ExprNode, base int) *Node {
	out := &Node{Kind: Context}
	var parts []string
	for {
		switch of := n.(type) {
		case *actionlint.VariableNode:
			name := of.Name
			if name == "gitea" || name == "forgejo" { // which call it so, too
				name = "github"
			}
			parts = append(parts, name)
			out.Text, out.Offset = join(parts), base+of.Token().Offset
			return out
		case *actionlint.ObjectDerefNode:
			parts, n = append(parts, of.Property), of.Receiver
		case *actionlint.ArrayDerefNode:
			parts, n = append(parts, "*"), of.Receiver
		case *actionlint.IndexAccessNode:
			part := "*"
			switch index := of.Index.(type) {
			case *actionlint.StringNode:
				part = strings.ToLower(index.Value)
			case *actionlint.IntNode:
			default:
				out.Args = append(out.Args, read(of.Index, base))
			}
			parts, n = append(parts, part), of.Operand
		default: // what a call returns, or what stands in parentheses
			inner := read(n, base)
			out.Kind, out.Text, out.Offset = Index, join(parts), inner.Offset
			out.Args = append([]*Node{inner}, out.Args...)
			return out
		}
	}
}

func join(reversed []string) string {
	var b strings.Builder
	for i := len(reversed) - 1; i >= 0; i-- {
		b.WriteString(reversed[i])
		if i > 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// yields are functions whose result holds text of their arguments; others yield a truth, a number or a hash.
var yields = map[string]bool{"format": true, "join": true, "tojson": true, "fromjson": true, "case": true}

// Flows yields the contexts whose text can be what comes out of the expression. Of a && b that is b's, of a || b either's; of a comparison there
// is none.
func (n *Node) Flows(yield func(*Node) bool) { n.flows(yield) }

func (n *Node) flows(yield func(*Node) bool) bool {
	if n == nil {
		return true
	}
	args := n.Args
	switch n.Kind {
	case Context:
		return yield(n)
	case Index: // of either side of (a || b).c
		return n.Args[0].flows(func(inner *Node) bool {
			whole := *inner
			whole.Text += "." + n.Text
			return yield(&whole)
		})
	case And:
		args = args[1:]
	case Call:
		if !yields[n.Text] {
			return true
		}
		if n.Text == "case" { // condition, value, …, otherwise
			args = nil
			for i, arg := range n.Args {
				if i%2 == 1 || i == len(n.Args)-1 {
					args = append(args, arg)
				}
			}
		}
	case Or:
	default:
		return true
	}
	for _, arg := range args {
		if !arg.flows(yield) {
			return false
		}
	}
	return true
}

// All yields the node and each part of it.
func (n *Node) All(yield func(*Node) bool) { n.all(yield) }

func (n *Node) all(yield func(*Node) bool) bool {
	if n == nil {
		return true
	}
	if !yield(n) {
		return false
	}
	for _, arg := range n.Args {
		if !arg.all(yield) {
			return false
		}
	}
	return true
}

// Under tells whether a context is one of those below a path, or that itself: "github.event.inputs.name" is under "github.event.inputs".
func (n *Node) Under(path string) bool {
	return n.Kind == Context && (n.Text == path || strings.HasPrefix(n.Text, path+"."))
}

// Is tells whether a context's path is that of a pattern, in which "*" stands for one part. A part of the path that is computed can be any.
func (n *Node) Is(pattern string) bool {
	if n.Kind != Context {
		return false
	}
	return match(n.Text, pattern)
}

func match(path, pattern string) bool {
	for {
		p, morePath, inPath := strings.Cut(path, ".")
		q, morePattern, inPattern := strings.Cut(pattern, ".")
		if p != q && p != "*" && q != "*" || inPath != inPattern {
			return false
		}
		if !inPath {
			return true
		}
		path, pattern = morePath, morePattern
	}
}
