package job

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// maxActionDepth bounds how deep a ref may lie below its repository: refs have slashes, and become directories.
const maxActionDepth = 8

// actions lists the code of others that the runner has fetched for this job: all of it runs as this job does, and may read what this job holds.
func (j *job) actions(ctx context.Context) (f found) {
	top := join(j.work, "_actions")
	if top == "" {
		return f
	}
	const what = "actions on the runner's disk"
	for _, owner := range j.directories(top) {
		if strings.HasPrefix(owner, "_temp_") { // the runner unpacks there
			continue
		}
		for _, repository := range j.directories(join(top, owner)) {
			if err := ctx.Err(); err != nil { // one gap for all that is left, however much that is
				f.gap(what, cause(err))
				return f
			}
			refs, err := j.refs(ctx, join(top, owner, repository), "", 0)
			if err != nil {
				f.gap("actions of "+owner+"/"+repository+" on the runner's disk", cause(err))
			}
			for _, ref := range refs {
				j.action(&f, join(top, owner, repository, ref), owner+"/"+repository, ref)
			}
			if len(f.items) > maxEntries {
				f.gap(what, errMoreEntries.Error())
				return f
			}
		}
	}
	return f
}

// refs are those that the runner has completed: beside the directory of each lies a file that says so.
func (j *job) refs(ctx context.Context, dir, prefix string, depth int) (all []string, err error) {
	if depth > maxActionDepth || ctx.Err() != nil {
		return nil, ctx.Err()
	}
	entries, err := j.list(dir)
	for _, e := range entries {
		ref, done := strings.CutSuffix(e.Name(), ".completed")
		switch {
		case done && e.Type().IsRegular():
			all = append(all, prefix+ref)
		case e.IsDir() && !slices.Contains(all, prefix+e.Name()) && !j.completed(join(dir, e.Name())):
			below, err := j.refs(ctx, join(dir, e.Name()), prefix+e.Name()+"/", depth+1)
			if all = append(all, below...); err != nil {
				return all, err
			}
		}
	}
	return all, err
}

func (j *job) completed(dir string) bool {
	_, err := j.regular(dir + ".completed")
	return err == nil
}

var commit = lazyregexp.New(`^[0-9a-f]{40}$`)

// action describes one by the commit that it was fetched at: its ref if that is one, else what the runner has written down.
func (j *job) action(f *found, dir, repository, ref string) {
	of := facts{"ref": ref, "own": yesNo(strings.EqualFold(path.Dir(repository), path.Dir(j.vars["GITHUB_REPOSITORY"])))}
	if at := j.worker().commits[strings.ToLower(repository)]; commit().MatchString(ref) {
		of["commit"] = ref
	} else if len(at) == 1 {
		of["commit"] = at[0]
	}
	for _, definition := range []string{"action.yml", "action.yaml"} {
		if m := using().FindSubmatch(j.small(join(dir, definition))); m != nil {
			of["using"] = string(m[1])
		}
	}
	f.entry(audit.KindAction, repository, audit.InRunner, of)
}

// using is the line that says how an action runs: node24, docker, composite.
var using = lazyregexp.New(`(?m)^[ \t]+using:[ \t]*['"]?([a-z0-9]+)['"]?[ \t\r]*(?:#.*)?$`)
