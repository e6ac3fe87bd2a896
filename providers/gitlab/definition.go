package gitlab

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
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
		var included []resolve.Component
		for _, i := range x.Includes {
			c := pipeline.Included(i.Type, i.Location, i.Extra.Project, i.Extra.Ref)
			uses, included = append(uses, c.Text), append(included, resolve.Component{Component: c})
		}
		facts["uses"] = audit.NameList(append(uses, strings.Split(facts["uses"], ",")...))
		it := h.item(audit.KindWorkflow, audit.InWorkflow, path, h.client.page(h.target.Attrs["path"], "-/ci/editor"), facts)
		it.At.Path, it.Content, it.Size = path, []byte(x.Merged), int64(len(x.Merged))
		goOn := yield(it, nil)
		if goOn && len(x.Includes) > 0 { // what it takes in from elsewhere is in no history of the project's
			goOn = yield(audit.Item{Kind: audit.KindText, At: it.At, Content: it.Content, Size: it.Size}, nil)
		}
		if goOn {
			h.jobs(ctx, path, x.Merged, included)(yield)
		}
	}
}

// mostCallees is how many files are asked for that child pipelines of one project are made of. Large ones have some dozen.
const mostCallees = 100

// jobs yields what the definition comes to, with the child pipelines that it triggers. Their files are of the project, or of others on the instance, and
// take a request each.
func (h *place) jobs(ctx context.Context, path, merged string, included []resolve.Component) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		left := mostCallees
		r := resolve.GitLab(func(p pipeline.Place) ([]byte, bool) {
			if p == (pipeline.Place{Path: path}) {
				return []byte(merged), true
			}
			if left--; left < 0 || p.Path == "" || p.Repository == pipeline.Templates || ctx.Err() != nil {
				return nil, false
			}
			of := h.path
			if p.Repository != "" {
				of = "projects/" + url.PathEscape(p.Repository)
			}
			var x struct {
				Content []byte `json:"content"`
			}
			_, err := h.get(ctx, of+"/repository/files/"+url.PathEscape(p.Path), map[string]string{"ref": cmp.Or(p.Ref, "HEAD")}, "", &x)
			return x.Content, err == nil // the resolution says which files it does not have
		}, path)
		if ctx.Err() != nil {
			yield(audit.Item{}, ctx.Err())
			return
		}
		for i := range r.Jobs {
			if len(r.Jobs[i].Calls) == 0 {
				r.Jobs[i].Includes = included
			}
		}
		r.Items(h.target.Name, h.scope)(yield)
	}
}

// An include is one file that GitLab has put into a definition.
type include struct {
	Type     string `json:"type"`
	Location string `json:"location"`
	Extra    struct {
		Project string `json:"project"`
		Ref     string `json:"ref"`
	} `json:"extra"`
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
