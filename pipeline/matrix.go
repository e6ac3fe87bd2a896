package pipeline

import (
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/leakreach/leakreach/pipeline/expression"
)

const (
	maxValues = 256 // of one text: GitHub lets a matrix make as many jobs
	maxLeaves = 16  // of one expression, each of which is looked up in the matrix
)

// Values are what a text can become, as far as its job shows it: by the values of the matrix, and by texts that a condition chooses from. all tells
// whether nothing else can come of it.
func Values(text string, job Node) (list []string, all bool) {
	found := expression.In(text)
	if len(found) == 0 {
		return []string{text}, true
	}
	e := found[0]
	if len(found) > 1 || e.Root == nil {
		return nil, false
	}
	nodes, all := leaves(e.Root)
	for _, n := range nodes {
		values, whole := valuesOf(n, job)
		all = all && whole
		for _, value := range values {
			if value.IsList() || value.IsMap() {
				all = false
				continue
			}
			if !comes(e.Root, n, value.Text()) {
				continue
			}
			if whole := strings.TrimSpace(text[:e.Start] + value.Text() + text[e.End:]); whole != "" && len(list) < maxValues {
				list = append(list, whole)
			}
		}
	}
	return list, all && len(list) < maxValues
}

// comes tells whether an expression comes to one of its leaves where that has some value: startsWith(matrix.a, 'x') && matrix.a does so for some of them.
func comes(n, leaf *expression.Node, value string) bool {
	switch n.Kind {
	case expression.And:
		return passes(n.Args[0], leaf, value) && comes(n.Args[1], leaf, value)
	case expression.Or:
		return comes(n.Args[0], leaf, value) || comes(n.Args[1], leaf, value)
	}
	return n == leaf
}

// passes tells whether a test may be true where a context has some value.
func passes(test, context *expression.Node, value string) bool {
	if test.Kind != expression.Call || len(test.Args) != 2 || test.Args[0].Kind != expression.Context || test.Args[0].Text != context.Text || test.Args[1].Kind != expression.Literal {
		return true
	}
	value, of := strings.ToLower(value), strings.ToLower(test.Args[1].Text)
	switch test.Text {
	case "startswith":
		return strings.HasPrefix(value, of)
	case "endswith":
		return strings.HasSuffix(value, of)
	case "contains":
		return strings.Contains(value, of)
	}
	return true
}

// leaves are the nodes that the value of an expression can be.
func leaves(n *expression.Node) (list []*expression.Node, all bool) {
	switch n.Kind {
	case expression.And:
		return leaves(n.Args[1])
	case expression.Or:
		left, wholeLeft := leaves(n.Args[0])
		right, wholeRight := leaves(n.Args[1])
		list = append(left, right...)
		return list[:min(len(list), maxLeaves)], wholeLeft && wholeRight && len(list) <= maxLeaves
	}
	return []*expression.Node{n}, true
}

// valuesOf are those of a literal, of JSON in one, or of a key of the job's matrix.
func valuesOf(n *expression.Node, job Node) (list []Node, all bool) {
	switch {
	case n.Kind == expression.Literal:
		return []Node{literal(n.Text)}, true
	case n.Kind == expression.Call && n.Text == "fromjson" && len(n.Args) == 1:
		inner, all := valuesOf(n.Args[0], job)
		for _, value := range inner {
			if read := fromJSON(value.Text()); read.Is() {
				list = append(list, read)
			} else {
				all = false
			}
		}
		return list, all
	case n.Under("matrix"):
		return matrixValues(job.Get("strategy", "matrix"), strings.Split(strings.TrimPrefix(n.Text, "matrix."), "."))
	}
	return nil, false
}

// matrixValues are the values that a path of keys has in a matrix. What it leaves out again ("exclude") is among them.
func matrixValues(matrix Node, keys []string) (list []Node, all bool) {
	all = matrix.IsMap()
	add := func(value Node) {
		for _, key := range keys[1:] {
			value = value.fold(key)
		}
		switch {
		case !value.Is():
		case computed(value.Text()) || len(list) >= maxValues:
			all = false
		default:
			list = append(list, value)
		}
	}
	values := matrix.fold(keys[0])
	if values.IsText() { // the list is computed
		all = false
	}
	for value := range values.Items() {
		add(value)
	}
	include := matrix.Get("include")
	all = all && !include.IsText()
	for entry := range include.Items() {
		add(entry.fold(keys[0]))
	}
	return list, all && len(list) > 0
}

// fold is the part below a key, whose case expressions do not tell apart.
func (n Node) fold(key string) Node {
	for k, value := range n.Pairs() {
		if strings.EqualFold(k.Text(), key) {
			return value
		}
	}
	return Node{}
}

// choose sets what labels a matrix can make of a runner that is computed.
func (r *Runner) choose(job Node) {
	on := job.Get("runs-on")
	if !r.Computed || computed(r.Group) {
		return
	}
	if on.IsMap() {
		on = on.Get("labels")
	}
	var all bool
	if on.IsList() {
		r.Choices, all = product(on, job)
	} else {
		r.Choices, all = chosen(on, job)
	}
	r.Computed = !all || len(r.Choices) == 0
}

// Parts are what a text that is one expression can stand for, lists and mappings of the job's matrix among them.
func Parts(text string, job Node) (list []Node, all bool) {
	found := expression.In(text)
	if len(found) != 1 || found[0].Root == nil || found[0].Start > 0 || found[0].End < len(text) {
		return nil, false
	}
	nodes, all := leaves(found[0].Root)
	for _, n := range nodes {
		values, whole := valuesOf(n, job)
		all = all && whole
		list = append(list, values...)
	}
	return list, all
}

// chosen are the sets of labels that one text can become.
func chosen(on Node, job Node) (sets [][]string, all bool) {
	parts, all := Parts(on.Text(), job)
	if parts == nil {
		values, all := Values(on.Text(), job)
		for _, v := range values {
			sets = append(sets, []string{v})
		}
		return sets, all
	}
	for _, part := range parts {
		if labels := part.Texts(); len(labels) > 0 && len(sets) < maxValues {
			sets = append(sets, labels)
		}
	}
	return sets, all
}

// product are the sets that a list of labels can become, each of which has a few values.
func product(on Node, job Node) (sets [][]string, all bool) {
	sets, all = [][]string{nil}, true
	for item := range on.Items() {
		values, whole := Values(item.Text(), job)
		all = all && whole
		var next [][]string
		for _, labels := range sets {
			for _, v := range values {
				if len(next) < maxValues {
					next = append(next, append(slices.Clone(labels), v))
				}
			}
		}
		if len(values) > 0 { // else one label is not known, and the others are
			sets = next
		}
	}
	return sets, all
}

func literal(text string) Node {
	return Node{n: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}}
}

// fromJSON reads a text, or a list of them.
func fromJSON(text string) Node {
	var one string
	if json.Unmarshal([]byte(text), &one) == nil {
		return literal(one)
	}
	var all []string
	if json.Unmarshal([]byte(text), &all) != nil || len(all) == 0 {
		return Node{}
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, s := range all {
		list.Content = append(list.Content, literal(s).n)
	}
	return Node{n: list}
}
