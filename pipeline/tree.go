package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// tree reads YAML into nodes, whose aliases are not written out. why says why it could not. Of several documents GitHub reads the first one; GitLab
// the second, which may have a heading before it; nil is one that is not there.
//
// It is the parser that actionlint has, so that both see the same.
func tree(dialect Dialect, content []byte) (root, heading *yaml.Node, why string) {
	if !utf8.Valid(content) {
		return nil, nil, "not UTF-8"
	}
	documents := yaml.NewDecoder(bytes.NewReader(content))
	for range 2 {
		var doc yaml.Node
		err := documents.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, "not YAML: " + err.Error()
		}
		if len(doc.Content) > 0 {
			heading, root = root, doc.Content[0]
		}
		if dialect == GitHub {
			break
		}
	}
	if root == nil {
		return nil, nil, "empty"
	}
	left := budget{maxNodes, maxText}
	for _, n := range []*yaml.Node{root, heading} {
		if n == nil {
			continue
		}
		if why := left.spend(n, maxDepth); why != "" {
			return nil, nil, why
		}
	}
	if root.Kind != yaml.MappingNode {
		return nil, nil, "not a mapping"
	}
	return root, heading, ""
}

// A budget is what of a tree is left to be walked over.
type budget struct{ nodes, text int }

// spend walks over a tree as whoever writes its aliases out would, and says why that cannot be done within bounds. An alias of a node that it
// lies in has no end, hence is too deep or too much.
func (b *budget) spend(n *yaml.Node, depth int) (why string) {
	b.nodes--
	b.text -= len(n.Value)
	switch {
	case b.nodes < 0 || b.text < 0:
		return fmt.Sprintf("more than %d YAML nodes or %d bytes with its aliases written out", maxNodes, maxText)
	case depth == 0:
		return fmt.Sprintf("nested deeper than %d levels", maxDepth)
	case n.Kind == yaml.AliasNode:
		return b.spend(n.Alias, depth-1)
	}
	for _, child := range n.Content {
		if why := b.spend(child, depth-1); why != "" {
			return why
		}
	}
	return ""
}

// real is the node that an alias stands for.
func real(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// pairs yields a mapping's keys and values in order, those that it merges in ("<<") last and only where it has none itself. Of anything else
// there are none.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		n := real(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		seen := map[string]bool{}
		var merged []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := real(n.Content[i]), real(n.Content[i+1])
			if key.Kind != yaml.ScalarNode {
				continue
			}
			if key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
				merged = append(merged, value)
				continue
			}
			seen[key.Value] = true
			if !yield(key, value) {
				return
			}
		}
		for _, m := range merged {
			each := []*yaml.Node{m}
			if m.Kind == yaml.SequenceNode {
				each = m.Content
			}
			for _, m := range each {
				for key, value := range pairs(m) {
					if seen[key.Value] {
						continue
					}
					seen[key.Value] = true
					if !yield(key, value) {
						return
					}
				}
			}
		}
	}
}

// get is the value of a mapping's key, or nil.
func get(n *yaml.Node, key string) *yaml.Node {
	if n = real(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	merges := key == "<<"
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := real(n.Content[i])
		if merges = merges || k.Value == "<<"; k.Value == key && key != "<<" && k.Kind == yaml.ScalarNode {
			return real(n.Content[i+1])
		}
	}
	if !merges { // which most have not, and pairs has to keep count of keys for
		return nil
	}
	for k, v := range pairs(n) {
		if k.Value == key {
			return v
		}
	}
	return nil
}

// words are the scalars of a list, or the one that stands in its place.
func words(n *yaml.Node) (list []string) {
	n = real(n)
	switch {
	case n == nil:
	case n.Kind == yaml.ScalarNode:
		if n.Tag != "!!null" {
			list = append(list, n.Value)
		}
	case n.Kind == yaml.SequenceNode && n.Tag != "!reference":
		for _, child := range n.Content {
			if child = real(child); child.Kind == yaml.ScalarNode {
				list = append(list, child.Value)
			} else {
				list = append(list, words(child)...) // GitLab flattens lists
			}
		}
	}
	return list
}

// text is a scalar's text, or "".
func text(n *yaml.Node) string {
	if n = real(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

func at(n *yaml.Node) Position { return Position{n.Line, n.Column} }
