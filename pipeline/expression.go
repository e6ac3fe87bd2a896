package pipeline

import (
	"fmt"
	"strings"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v4"
)

// GitHub refuses longer expressions. The bound also keeps the parser, which is recursive, from nesting without end.
const maxExpression = 21_000

// references collects what the scalars below n refer to. in is the key that n is the value of, part what a gap is called after.
func (r *reader) references(n *yaml.Node, in, part string) (found []Reference) {
	n = real(n)
	switch n.Kind {
	case yaml.ScalarNode:
		return r.inText(n, in, part)
	case yaml.SequenceNode:
		for _, child := range n.Content {
			found = append(found, r.references(child, in, part)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := text(n.Content[i])
			found = append(found, r.references(n.Content[i], in, part)...)
			found = append(found, r.references(n.Content[i+1], join(in, key), part)...)
		}
	}
	return found
}

func join(in, key string) string {
	if in == "" {
		return key
	}
	return in + "." + key
}

// inText collects what the expressions of one scalar refer to. The value of an "if" is one without braces.
func (r *reader) inText(n *yaml.Node, in, part string) (found []Reference) {
	src := n.Value
	if !strings.Contains(src, "${{") {
		if in != "if" || src == "" {
			return nil
		}
		src = "${{" + src + "}}"
	}
	for {
		_, after, ok := strings.Cut(src, "${{")
		if !ok {
			return found
		}
		if r.wrong >= maxWrong {
			return append(found, Reference{Secrets, Any, in, at(n)}, Reference{Variables, Any, in, at(n)})
		}
		lexer := actionlint.NewExprLexer(after[:min(len(after), maxExpression)])
		node, err := actionlint.NewExprParser().Parse(lexer)
		if err == nil {
			found = append(found, named(node, in, at(n))...)
			src = after[lexer.Offset():]
			continue
		}
		r.wrong++
		r.gap(part, fmt.Sprintf("line %d: an expression cannot be read: %s", n.Line, err.Message))
		expression, rest, _ := strings.Cut(after, "}}")
		for _, c := range []Context{Secrets, Variables} {
			if strings.Contains(strings.ToLower(expression), string(c)) { // of which, is not known
				found = append(found, Reference{c, Any, in, at(n)})
			}
		}
		src = rest
	}
}

// named collects the secrets and variables that an expression reads. A context that is handed over whole, or taken from by a computed name,
// stands for all of it.
func named(root actionlint.ExprNode, in string, where Position) (found []Reference) {
	actionlint.VisitExprNode(root, func(n, parent actionlint.ExprNode, entering bool) {
		v, ok := n.(*actionlint.VariableNode)
		if !ok || !entering || v.Name != string(Secrets) && v.Name != string(Variables) {
			return
		}
		name := Any
		switch p := parent.(type) {
		case *actionlint.ObjectDerefNode:
			name = strings.ToUpper(p.Property)
		case *actionlint.IndexAccessNode:
			if s, literal := p.Index.(*actionlint.StringNode); literal && p.Operand == n {
				name = strings.ToUpper(s.Value)
			}
		}
		found = append(found, Reference{Context(v.Name), name, in, where})
	})
	return found
}

// computed tells whether a text is only known when the pipeline runs.
func computed(s string) bool { return strings.Contains(s, "${{") }
