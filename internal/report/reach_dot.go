package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/leakreach/leakreach/internal/graph"
)

// dotShapes, by kind. What is not among them is a box.
var dotShapes = map[graph.Kind]string{
	graph.Outsider: "hexagon", graph.Person: "hexagon", graph.Component: "component", graph.Job: "cds", graph.Secret: "note", graph.Identity: "ellipse", graph.Any: "diamond", graph.Rights: "doubleoctagon",
}

// writeReachDOT draws the graph in Graphviz's language, https://graphviz.org/doc/info/lang.html. Edges that depend on what is not known are dashed.
func writeReachDOT(w io.Writer, r *Reach, _ Options) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "digraph reach {\n  rankdir=LR;\n  node [fontname=\"sans-serif\" shape=box];\n  edge [fontname=\"sans-serif\" fontsize=10];\n")
	number := map[*graph.Node]int{}
	for n := range r.Graph.Nodes() {
		number[n] = len(number)
		shape := dotShapes[n.Kind]
		if shape == "" {
			shape = "box"
		}
		label := []string{n.Name}
		if n.In != "" && n.Kind != graph.Rights {
			label = append(label, n.In)
		}
		fmt.Fprintf(b, "  n%d [shape=%s label=%s tooltip=%s];\n", number[n], shape, dotString(label...), dotString(string(n.Kind)+" "+n.ID))
	}
	for e := range r.Graph.Edges() {
		style := "solid"
		if e.Unsure != "" {
			style = "dashed"
		}
		label := []string{string(e.Kind)}
		if e.Way != "" {
			label = append(label, e.Way)
		}
		fmt.Fprintf(b, "  n%d -> n%d [style=%s label=%s tooltip=%s];\n", number[e.From], number[e.To], style, dotString(label...), dotString(e.Evidence+" "+e.Unsure))
	}
	fmt.Fprint(b, "}\n")
	return b.Flush()
}

// dotString is lines as one quoted string. In labels a backslash begins an escape, so that of a name is written twice.
func dotString(lines ...string) string {
	for k, l := range lines {
		lines[k] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(Clean(l))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
