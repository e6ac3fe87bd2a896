package report

import (
	"io"
	"strings"
	"unicode"
)

// writeReachOpenGraph writes what BloodHound takes in, https://bloodhound.specterops.io/opengraph/schema: kinds begin with our namespace, LR, and properties are
// strings, with names in lower case.
func writeReachOpenGraph(w io.Writer, r *Reach, _ Options) error {
	type end struct {
		By    string `json:"match_by"`
		Value string `json:"value"`
	}
	type node struct {
		ID         string            `json:"id"`
		Kinds      []string          `json:"kinds"`
		Properties map[string]string `json:"properties"`
	}
	type edge struct {
		Kind       string            `json:"kind"`
		Start      end               `json:"start"`
		End        end               `json:"end"`
		Properties map[string]string `json:"properties"`
	}
	var out struct {
		Metadata struct {
			Source string `json:"source_kind"`
		} `json:"metadata"`
		Graph struct {
			Nodes []node `json:"nodes"`
			Edges []edge `json:"edges"`
		} `json:"graph"`
	}
	out.Metadata.Source = "LR_Base"
	out.Graph.Nodes, out.Graph.Edges = []node{}, []edge{}
	for n := range r.Graph.Nodes() {
		properties := map[string]string{}
		for k, v := range n.Facts {
			properties["lr_"+strings.ToLower(k)] = Clean(v)
		}
		for k, v := range map[string]string{"name": n.Name, "lr_in": n.In, "lr_level": n.Level, "lr_fix": n.Fix} {
			if v != "" {
				properties[k] = Clean(v)
			}
		}
		out.Graph.Nodes = append(out.Graph.Nodes, node{n.ID, []string{openGraphKind(string(n.Kind)), "LR_Base"}, properties})
	}
	for e := range r.Graph.Edges() {
		properties := map[string]string{"lr_certain": "true"}
		if e.Unsure != "" {
			properties["lr_certain"] = "false"
		}
		for k, v := range map[string]string{"lr_at": e.At, "lr_way": e.Way, "lr_evidence": e.Evidence, "lr_depends_on": e.Unsure, "lr_fix": strings.Trim(e.Fix+"; "+e.Close, "; ")} {
			if v != "" {
				properties[k] = Clean(v)
			}
		}
		out.Graph.Edges = append(out.Graph.Edges, edge{openGraphKind(string(e.Kind)), end{"id", e.From.ID}, end{"id", e.To.ID}, properties})
	}
	return encode(w, out, "  ")
}

// openGraphKind is a kind in BloodHound's spelling: edits-self is LR_EditsSelf. Kinds have letters, digits and underscores.
func openGraphKind(kind string) string {
	var b strings.Builder
	b.WriteString("LR_")
	upper := true
	for _, r := range kind {
		switch {
		case r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			upper = true
			continue
		case upper:
			r = unicode.ToUpper(r)
		}
		upper = false
		b.WriteRune(r)
	}
	return b.String()
}
