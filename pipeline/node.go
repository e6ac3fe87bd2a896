package pipeline

import (
	"iter"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Node is a part of a definition as it is written, for what the model does not tell. Aliases stand for what they name, and what a mapping merges
// in for what it has itself. The zero Node is a part that is not there.
type Node struct{ n, alias *yaml.Node }

// Root is the whole file.
func (d *Definition) Root() Node { return Node{n: d.root} }

// Heading is what stands before it in a document of its own, such as the inputs of a GitLab definition.
func (d *Definition) Heading() Node { return Node{n: d.heading} }

// Is tells whether the part is there.
func (n Node) Is() bool { return n.n != nil && n.n.Tag != "!!null" }

// Get is the part below some keys.
func (n Node) Get(keys ...string) Node {
	at := n.n
	for _, key := range keys {
		at = get(at, key)
	}
	return Node{n: real(at)}
}

// Text is a scalar's text, or "".
func (n Node) Text() string { return text(n.n) }

// Texts are those of a list, or of the scalar in its place.
func (n Node) Texts() []string { return words(n.n) }

// Pairs yields a mapping's keys and values.
func (n Node) Pairs() iter.Seq2[Node, Node] {
	return func(yield func(Node, Node) bool) {
		for key, value := range pairs(n.n) {
			if !yield(Node{n: key}, Node{n: real(value)}) {
				return
			}
		}
	}
}

// Items yields a list's entries.
func (n Node) Items() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if !n.IsList() {
			return
		}
		for _, entry := range n.n.Content {
			item := Node{n: real(entry)}
			if item.n != entry {
				item.alias = entry
			}
			if !yield(item) {
				return
			}
		}
	}
}

// Scalars yields all scalars that are values in it, each with its keys joined by dots; of lists the keys are "*".
func (n Node) Scalars() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) { n.scalars("", yield) }
}

func (n Node) scalars(in string, yield func(string, Node) bool) bool {
	switch {
	case n.n == nil:
	case n.n.Kind == yaml.ScalarNode:
		return yield(in, n)
	case n.n.Kind == yaml.SequenceNode:
		for item := range n.Items() {
			if !item.scalars(join(in, "*"), yield) {
				return false
			}
		}
	case n.n.Kind == yaml.MappingNode:
		for key, value := range n.Pairs() {
			if !value.scalars(join(in, key.Text()), yield) {
				return false
			}
		}
	}
	return true
}

// IsMap tells whether it is a mapping.
func (n Node) IsMap() bool { return n.n != nil && n.n.Kind == yaml.MappingNode }

// IsList tells whether it is a list.
func (n Node) IsList() bool { return n.n != nil && n.n.Kind == yaml.SequenceNode }

// IsText tells whether it is a scalar.
func (n Node) IsText() bool { return n.n != nil && n.n.Kind == yaml.ScalarNode }

// At is where it begins; of a list's entry that is written elsewhere, where it is named. Of a text of several lines that is the sign in front of it.
func (n Node) At() Position {
	switch {
	case n.n == nil:
		return Position{}
	case n.alias != nil:
		return at(n.alias)
	}
	return at(n.n)
}

// Place is where a byte of the text stands, as exactly as its form lets know: of a folded or quoted text over several lines it is the first one.
func (n Node) Place(offset int) Position {
	p := n.At()
	if n.n == nil || n.n.Kind != yaml.ScalarNode {
		return p
	}
	before := n.n.Value[:min(offset, len(n.n.Value))]
	switch {
	case n.n.Style&yaml.LiteralStyle != 0:
		return Position{Line: p.Line + 1 + strings.Count(before, "\n")} // its indentation is not known
	case n.n.Style&yaml.FoldedStyle != 0:
		return Position{Line: p.Line + 1}
	case n.n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && before != "":
		p.Column++
	}
	if !strings.Contains(n.n.Value, "\n") {
		p.Column += len(before)
	}
	return p
}

// Component is the foreign code that a scalar names, as the value of "uses" or of "image".
func (n Node) Component(kind ComponentKind) Component {
	name := strings.TrimSpace(n.Text())
	if kind == Image {
		return imageOf(name, n.Place(0))
	}
	return component(kind, name, n.Place(0))
}

// Comment is what stands behind the part on its line.
func (n Node) Comment() string {
	if n.n == nil {
		return ""
	}
	return n.n.LineComment
}
