package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// mostCallees is how many files are asked for that one repository's workflows call. Large ones have some dozen.
const mostCallees = 100

// jobs yields what the workflows come to when they run, with those that they call. Texts of the repository's own are known; local actions, workflows
// elsewhere and actions of the same owner take a request each. Of other people's actions no more is known than their names.
func (h *place) jobs(ctx context.Context, v *view) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		c := callees{place: h, ctx: ctx, texts: map[string]file{}, left: mostCallees}
		var paths []string
		for _, f := range v.files {
			c.texts[f.path] = f
			if !isAction(f.path) && f.missing == "" {
				paths = append(paths, f.path)
			}
		}
		if v.lock != nil {
			c.texts[v.lock.path] = *v.lock
		}
		r := resolve.GitHub(c.lookup, paths)
		r.Gaps = append(r.Gaps, c.gaps...)
		if ctx.Err() != nil {
			yield(audit.Item{}, ctx.Err())
			return
		}
		r.Items(h.target.Name, h.scope())(yield)
	}
}

// callees reads files that workflows call.
type callees struct {
	*place
	ctx   context.Context
	texts map[string]file
	left  int
	gaps  []audit.Gap
}

// fullNameForm is that of a repository's name that can stand in an address.
var fullNameForm = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)

// lookup is a [pipeline.Lookup].
func (c *callees) lookup(p pipeline.Place) ([]byte, bool) {
	isWorkflow, isLock := strings.HasPrefix(p.Path, workflowFolder+"/"), p.Path == pipeline.LockPath
	if isLock && !c.locks() {
		return nil, false
	}
	if p.Repository == "" {
		if f, ok := c.texts[p.Path]; ok || isWorkflow || isAction(p.Path) {
			return []byte(f.text), ok && f.missing == ""
		}
	}
	repository, ref := cmp.Or(p.Repository, c.owner+"/"+c.repo), cmp.Or(p.Ref, c.target.Attrs["default_branch"])
	owner, name, _ := strings.Cut(repository, "/")
	path, fit := forge.Path(p.Path)
	if !isWorkflow && !strings.EqualFold(owner, c.owner) || !fullNameForm().MatchString(repository) || unfit(name) || !fit || c.ctx.Err() != nil {
		return nil, false
	}
	what := repository + "/" + p.Path + "@" + ref
	if c.left--; c.left < 0 {
		if c.left == -1 {
			c.gap(what, fmt.Sprintf("after %d files that its workflows call, the others are not asked for", mostCallees))
		}
		return nil, false
	}
	var x struct {
		Encoding string `json:"encoding"`
		Content  []byte `json:"content"`
	}
	_, err := c.get(c.ctx, "repos/"+repository+"/contents/"+path, url.Values{"ref": {ref}}, &x)
	if err == nil && x.Encoding != "base64" {
		err = errors.New("the answer is not the file")
	}
	// An action has one of two names, or is what the job checks out from elsewhere; a lock file need not be there.
	if err != nil && (isWorkflow && !isLock || forge.StatusOf(err) != http.StatusNotFound) {
		c.gap(what, forge.Gap("", "", forge.Plain(err)).Why)
	}
	return x.Content, err == nil
}

func (c *callees) gap(what, why string) {
	c.gaps = append(c.gaps, audit.Gap{What: "called file " + what, Why: why})
}
