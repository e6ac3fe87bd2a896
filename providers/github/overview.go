package github

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// An overview is what a repository is known by before its settings are asked for: what its default branch has that says which of them are used,
// and how many there are of some things. It comes from GraphQL for many repositories at once, or from REST for one.
type overview struct {
	files                  []file  // the workflows, and what makes the repository an action
	lock                   *file   // of the workflows, or nil
	dependabot, codespaces bool    // are set up
	environments, keys     int     // how many; -1 if that is not known
	people                 *people // nil where GraphQL was not asked
	protections            []protection
	isProtected            bool // protections are known
	digest                 string
}

// A file is a definition of a pipeline.
type file struct {
	path, text string
	missing    string // why there is no text
}

// largestDefinition is the size of the largest file that is read as the definition of a pipeline; GitHub refuses to run one of half of it.
const largestDefinition = 1 << 20

// mostDefinitions is how many files are read of one repository. The largest public ones have some hundred.
const mostDefinitions = 1000

const workflowFolder = ".github/workflows"

func isDefinition(name string) bool { return path.Ext(name) == ".yml" || path.Ext(name) == ".yaml" }

// runs tells whether the repository has a workflow.
func (o *overview) runs() bool {
	return slices.ContainsFunc(o.files, func(f file) bool { return strings.HasPrefix(f.path, workflowFolder+"/") })
}

// full tells whether no more files are to be read, which is said once.
func (o *overview) full() bool {
	if len(o.files) == mostDefinitions {
		o.files = append(o.files, file{path: workflowFolder, missing: fmt.Sprintf("after %d files the others are left out", mostDefinitions)})
	}
	return len(o.files) > mostDefinitions
}

// says tells whether any definition has a word in it, or may have.
func (o *overview) says(word string) bool {
	return slices.ContainsFunc(o.files, func(f file) bool { return f.missing != "" || strings.Contains(f.text, word) })
}

// agents tells whether the repository prepares the machines of GitHub's coding agent.
func (o *overview) agents() bool {
	return slices.ContainsFunc(o.files, func(f file) bool {
		return strings.TrimSuffix(strings.TrimSuffix(f.path, ".yml"), ".yaml") == workflowFolder+"/copilot-setup-steps"
	})
}

// isAction tells of a path in the root whether it makes the repository an action.
func isAction(name string) bool { return name == "action.yml" || name == "action.yaml" }

// A tree is a folder as git has it.
type tree struct {
	Tree []struct {
		Path string `json:"path"`
		Type string `json:"type"` // blob, tree, commit
		Mode string `json:"mode"`
		SHA  string `json:"sha"`
		Size int64  `json:"size"`
	} `json:"tree"`
}

const symlink = "120000" // git's mode of one

// overviewByREST reads the default branch's definitions: three folders at most, of which most repositories have but one, and each file.
func (h *place) overviewByREST(ctx context.Context) (*overview, error) {
	o := &overview{environments: -1, keys: -1}
	root, err := h.tree(ctx, "HEAD")
	if forge.StatusOf(err) == http.StatusConflict { // it is empty
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range root.Tree {
		switch {
		case e.Path == ".devcontainer" || e.Path == ".devcontainer.json":
			o.codespaces = true
		case isAction(e.Path) && e.Type == "blob":
			o.files = append(o.files, h.definition(ctx, e.Path, e.SHA, e.Size))
		case e.Path == ".github" && e.Type == "tree":
			if err := h.github(ctx, e.SHA, o); err != nil {
				return nil, err
			}
		}
	}
	return o, ctx.Err()
}

// github reads the folder of that name.
func (h *place) github(ctx context.Context, sha string, o *overview) error {
	folder, err := h.tree(ctx, sha)
	if err != nil {
		return err
	}
	for _, e := range folder.Tree {
		switch {
		case e.Path == "dependabot.yml" || e.Path == "dependabot.yaml":
			o.dependabot = true
		case e.Path == "workflows" && e.Type == "tree":
			workflows, err := h.tree(ctx, e.SHA)
			if err != nil {
				return err
			}
			for _, w := range workflows.Tree {
				switch name := workflowFolder + "/" + w.Path; {
				case w.Type != "blob" || w.Mode == symlink:
				case name == pipeline.LockPath && h.locks():
					f := h.definition(ctx, name, w.SHA, w.Size)
					o.lock = &f
				case isDefinition(w.Path) && !o.full():
					o.files = append(o.files, h.definition(ctx, name, w.SHA, w.Size))
				}
			}
		}
	}
	return nil
}

func (h *place) tree(ctx context.Context, name string) (t tree, err error) {
	_, err = h.get(ctx, h.path()+"/git/trees/"+url.PathEscape(name), nil, &t)
	return t, forge.Plain(err)
}

// definition reads one file.
func (h *place) definition(ctx context.Context, name, sha string, size int64) file {
	f := file{path: name}
	var blob struct {
		Content []byte `json:"content"`
	}
	if size > largestDefinition {
		f.missing = tooLarge(size)
		return f
	}
	if _, err := h.get(ctx, h.path()+"/git/blobs/"+url.PathEscape(sha), nil, &blob); err != nil {
		f.missing = forge.Gap("", "", forge.Plain(err)).Why
		return f
	}
	if f.text = string(blob.Content); !utf8.ValidString(f.text) || strings.IndexByte(f.text, 0) >= 0 {
		f.text, f.missing = "", notText
	}
	return f
}

const notText = "it is no text"

func tooLarge(size int64) string { return fmt.Sprintf("%d bytes are more than a definition has", size) }

// definitions yields the workflows and actions, after it has completed the view by them where GraphQL has not.
func (h *place) definitions(ctx context.Context, v *view, wanted bool) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if v.overview == nil {
			o, err := h.overviewByREST(ctx)
			if err != nil {
				yield(audit.Item{}, err)
				return
			}
			v.overview = o
		}
		if !wanted {
			return
		}
		var lock []byte
		switch {
		case v.lock == nil || !h.locks():
		case v.lock.missing != "":
			if !yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: v.lock.path, Why: v.lock.missing}) {
				return
			}
		default:
			lock = []byte(v.lock.text)
		}
		branch := h.target.Attrs["default_branch"]
		for _, f := range v.files {
			if f.missing != "" {
				if !yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: f.path, Why: f.missing}) {
					return
				}
				continue
			}
			if !yield(audit.Item{
				Kind: audit.KindWorkflow, Content: []byte(f.text), Size: int64(len(f.text)), Lock: lock,
				At: audit.Location{
					Target: h.target.Name, Kind: audit.InWorkflow, Path: f.path, Ref: "refs/heads/" + branch,
					URL: h.target.URL + "/blob/" + (&url.URL{Path: branch + "/" + f.path}).EscapedPath(),
				},
				Entry: h.entry(audit.KindWorkflow, f.path, h.scope(), factsOf(f.path, f.text)),
			}, nil) {
				return
			}
		}
		h.jobs(ctx, v)(yield)
	}
}

// factsOf is what a definition says.
func factsOf(path, text string) map[string]string {
	return pipeline.Parse(pipeline.GitHub, path, []byte(text)).Facts()
}
