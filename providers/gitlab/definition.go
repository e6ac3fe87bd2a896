package gitlab

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
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
			what := strings.Join(x.Errors, "; ")
			if what == "" || strings.Contains(what, "provide content of .gitlab-ci.yml") { // which is how GitLab says that there is none
				h.definitions = "0"
				return
			}
			yield(audit.Item{}, &audit.Gap{What: "pipeline definition", Why: "GitLab cannot put it together: " + short(what)})
			return
		}
		h.definitions = "1"
		path := cmp.Or(h.configPath(), ".gitlab-ci.yml")
		facts := pipeline.Parse(pipeline.GitLab, path, []byte(x.Merged)).Facts()
		var uses []string
		for _, i := range x.Includes {
			uses = append(uses, i.String())
		}
		facts["uses"] = audit.NameList(append(uses, strings.Split(facts["uses"], ",")...))
		it := h.item(audit.KindWorkflow, audit.InWorkflow, path, h.client.page(h.target.Attrs["path"], "-/ci/editor"), facts)
		it.At.Path, it.Content, it.Size = path, []byte(x.Merged), int64(len(x.Merged))
		if yield(it, nil) && len(x.Includes) > 0 { // what it takes in from elsewhere is in no history of the project's
			yield(audit.Item{Kind: audit.KindText, At: it.At, Content: it.Content, Size: it.Size}, nil)
		}
	}
}

// An include is one file that GitLab has put into a definition.
type include struct {
	Location string `json:"location"`
	Extra    struct {
		Project string `json:"project"`
		Ref     string `json:"ref"`
	} `json:"extra"`
}

// String is what the definition takes in: the component, the address, the project with the file and the ref, the file or the template.
func (i include) String() string {
	if i.Extra.Project == "" {
		return i.Location
	}
	name := i.Extra.Project + ":" + i.Location
	if i.Extra.Ref != "" {
		name += "@" + i.Extra.Ref
	}
	return name
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
