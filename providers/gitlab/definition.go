package gitlab

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// definition yields the project's pipeline as GitLab puts it together for the default branch: with all that it includes. It is not run, and
// no pipeline is simulated, which would need the right to start one.
func (h *place) definition(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		var x struct {
			Valid    bool      `json:"valid"`
			Errors   []string  `json:"errors"`
			Merged   string    `json:"merged_yaml"`
			Includes []include `json:"includes"`
		}
		if _, err := h.get(ctx, h.path+"/ci/lint", map[string]string{"dry_run": "false"}, "", &x); err != nil {
			yield(audit.Item{}, err)
			return
		}
		if x.Merged == "" {
			if what := strings.Join(x.Errors, "; "); what != "" && !strings.Contains(what, "provide content of .gitlab-ci.yml") { // which is how GitLab says that there is none
				yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: "pipeline definition", Why: "GitLab cannot put it together: " + short(what)})
			}
			return
		}
		path := cmp.Or(h.configPath(), ".gitlab-ci.yml")
		facts := definitionFacts([]byte(x.Merged))
		var uses []string
		for _, i := range x.Includes {
			uses = append(uses, i.String())
		}
		facts["uses"] = list(uses)
		it := h.item(audit.KindWorkflow, audit.InWorkflow, path, h.client.page(h.target.Attrs["path"], "-/ci/editor"), facts)
		it.At.Path, it.Content, it.Size = path, []byte(x.Merged), int64(len(x.Merged))
		yield(it, nil)
	}
}

// definitionFacts are what a definition, as GitLab has put it together, says of itself.
func definitionFacts(merged []byte) map[string]string { return map[string]string{} }

// An include is one file that GitLab has put into a definition.
type include struct {
	Type     string `json:"type"` // local, file, remote, template, component
	Location string `json:"location"`
	Extra    struct {
		Project string `json:"project"`
		Ref     string `json:"ref"`
		Job     string `json:"job_name"`
	} `json:"extra"`
	Context string `json:"context_project"` // whose definition asks for it
}

// String is what the definition uses, as far as GitLab tells: component host/path/name@version, remote address, file project:path@ref, local path,
// template name.
func (i include) String() string {
	switch where := i.Location; {
	case i.Type == "file" && i.Extra.Project != "":
		if i.Extra.Ref != "" {
			where += "@" + i.Extra.Ref
		}
		return "file " + i.Extra.Project + ":" + where
	default:
		return i.Type + " " + where
	}
}

// configPath is where the project keeps its definition, as far as that is in it.
func (h *place) configPath() string {
	path := h.target.Attrs["ci_config"]
	if strings.ContainsAny(path, "@:") { // another project's, or an address
		return ""
	}
	return path
}

// short is a text of the forge's as a gap may have it.
func short(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
