package gitea

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// workflowRoots hold definitions in their folder workflows: Gitea reads the second of these, or else the third; Forgejo the first one that there
// is. What lies in a folder that a server passes over would run on another one, or once the folder before it is gone.
var workflowRoots = []string{".forgejo", ".gitea", ".github"}

const (
	// mostWorkflows bounds the definitions of a repository; there are some with a hundred.
	mostWorkflows = 500
	// largestWorkflow is far above what a person writes. Gitea has no limit.
	largestWorkflow = 1 << 20
)

// workflows yields the definitions on the default branch.
func (h *place) workflows(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if h.target.Attrs["empty"] == "true" {
			h.defined = "0"
			return
		}
		files, err := h.workflowFiles(ctx)
		if err == nil {
			h.defined = strconv.Itoa(len(files))
		}
		c := callees{place: h, ctx: ctx, texts: map[string][]byte{}, left: mostCallees}
		for i, file := range files {
			if i == mostWorkflows {
				err = fmt.Errorf("%d in one repository, read were %d", len(files), i)
				break
			}
			it, err := h.workflow(ctx, file)
			if c.texts[file.Path] = nil; err == nil {
				c.texts[file.Path] = it.Content
				c.paths = append(c.paths, file.Path)
			}
			if !yield(it, err) {
				return
			}
		}
		r := resolve.GitHub(c.lookup, c.paths)
		if ctx.Err() != nil {
			yield(audit.Item{}, ctx.Err())
			return
		}
		for it, err := range r.Items(h.target.Name, h.scope) {
			if !yield(it, err) {
				return
			}
		}
		if err != nil {
			yield(audit.Item{}, err)
		}
	}
}

// A treeEntry is a name in a folder, as git has it.
type treeEntry struct {
	Path string `json:"path"`
	Type string `json:"type"` // blob, tree, commit
	Mode string `json:"mode"`
	Size int64  `json:"size"`
	SHA  string `json:"sha"`
}

// workflowFiles are those that would run, with their whole paths. It walks down by object ids, all of one commit.
func (h *place) workflowFiles(ctx context.Context) (files []*treeEntry, err error) {
	folders, err := h.tree(ctx, "HEAD", func(e *treeEntry) bool { return e.Type == "tree" && slices.Contains(workflowRoots, e.Path) })
	if forge.StatusOf(err) == http.StatusBadRequest { // there is no default branch, though there may be others
		return nil, nil
	}
	for _, root := range folders {
		inside, err := h.tree(ctx, root.SHA, func(e *treeEntry) bool { return e.Type == "tree" && e.Path == "workflows" })
		if err != nil {
			return files, err
		}
		for _, folder := range inside {
			found, err := h.tree(ctx, folder.SHA, func(e *treeEntry) bool {
				return e.Type == "blob" && e.Mode != symlink && (path.Ext(e.Path) == ".yml" || path.Ext(e.Path) == ".yaml")
			})
			for _, file := range found {
				file.Path = root.Path + "/workflows/" + file.Path
			}
			files = append(files, found...)
			if err != nil {
				return files, err
			}
		}
	}
	return files, err
}

const symlink = "120000" // git's mode of one

var objectName = lazyregexp.New(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// tree lists what is wanted of a folder.
func (h *place) tree(ctx context.Context, id string, wanted func(*treeEntry) bool) (found []*treeEntry, err error) {
	for e, failed := range paged(ctx, func(e *treeEntry) string { return e.Path }, func(number, _ int) ([]*treeEntry, around, error) {
		var list struct {
			Tree []*treeEntry `json:"tree"`
		}
		// Gitea gives a thousand at once, or what its administrator lets it.
		header, err := h.get(ctx, h.path+"/git/trees/"+id, url.Values{"page": {strconv.Itoa(number)}, "per_page": {"1000"}}, &list)
		return present(list.Tree), aroundOf(header), err
	}) {
		switch {
		case failed != nil:
			err = failed
		case objectName().MatchString(e.SHA) && wanted(e):
			found = append(found, e)
		}
	}
	return found, err
}

func (h *place) workflow(ctx context.Context, file *treeEntry) (audit.Item, error) {
	gap := func(err error) (audit.Item, error) {
		return audit.Item{}, forge.Gap(h.target.Name, fmt.Sprintf("workflow %.200q", file.Path), err)
	}
	if file.Size > largestWorkflow {
		return gap(fmt.Errorf("%d bytes, more than are read of one", file.Size))
	}
	var blob struct {
		Content []byte `json:"content"`
	}
	if _, err := h.get(ctx, h.path+"/git/blobs/"+file.SHA, nil, &blob); err != nil {
		return gap(err)
	}
	page := h.target.URL + "/src/branch/" + (&url.URL{Path: h.target.Attrs["default_branch"] + "/" + file.Path}).EscapedPath()
	return audit.Item{
		Kind: audit.KindWorkflow, Content: blob.Content, Size: int64(len(blob.Content)),
		At:    audit.Location{Target: h.target.Name, Kind: audit.InWorkflow, Path: file.Path, Ref: "refs/heads/" + h.target.Attrs["default_branch"], URL: page},
		Entry: h.entry(audit.KindWorkflow, file.Path, pipeline.Parse(pipeline.GitHub, file.Path, blob.Content).Facts()),
	}, nil
}

// mostCallees is how many files are asked for that one repository's workflows call. Large ones have some dozen.
const mostCallees = 100

// callees reads the repository's own files that workflows call. Where others lie is the administrator's to say ("DEFAULT_ACTIONS_URL"): no more is known of
// them than their names.
type callees struct {
	*place
	ctx   context.Context
	texts map[string][]byte // of the workflows; nil for those that could not be read
	paths []string
	left  int
}

// lookup is a [pipeline.Lookup]. Lock files, by which neither Gitea nor Forgejo goes, are not looked for.
func (c *callees) lookup(p pipeline.Place) ([]byte, bool) {
	if text, ok := c.texts[p.Path]; ok && p.Repository == "" {
		return text, text != nil
	}
	if p.Path == pipeline.LockPath {
		return nil, false
	}
	file, fit := forge.Path(p.Path)
	if c.left--; c.left < 0 || p.Repository != "" || c.ctx.Err() != nil || !fit {
		return nil, false
	}
	var x struct {
		Content []byte `json:"content"`
	}
	_, err := c.get(c.ctx, c.path+"/contents/"+file, url.Values{"ref": {c.target.Attrs["default_branch"]}}, &x)
	return x.Content, err == nil // the resolution says which files it does not have
}
