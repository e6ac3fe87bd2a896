package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// workflowFolders hold definitions that GitHub, Gitea and Forgejo run.
var workflowFolders = []string{".github/workflows", ".gitea/workflows", ".forgejo/workflows"}

const gitlabDefinition = ".gitlab-ci.yml"

// Bounds of the definitions that are read.
const (
	mostDefinitions   = 1000
	largestDefinition = 1 << 20 // bytes, as of forges
)

// jobs lists what the definitions of pipelines at the top come to. What they call elsewhere is not asked for: jobs say that it is not known.
func (l *listing) jobs() error {
	root, err := os.OpenRoot(l.top)
	if err != nil {
		return nil // the walk has said so
	}
	defer func() { _ = root.Close() }() // only read
	var paths []string
	for _, folder := range workflowFolders {
		entries, err := readDir(root, folder)
		if err != nil {
			continue // there is none, or the walk has said why it cannot be read
		}
		for _, e := range entries {
			if name := e.Name(); e.Type().IsRegular() && slices.Contains([]string{".yml", ".yaml"}, path.Ext(name)) && len(paths) < mostDefinitions {
				paths = append(paths, folder+"/"+name)
			}
		}
	}
	lookup := func(p pipeline.Place) ([]byte, bool) {
		if p.Repository != "" || l.ctx.Err() != nil {
			return nil, false
		}
		if dir, ok := strings.CutSuffix(p.Path, "/"); ok {
			return filesBelow(root, dir)
		}
		return l.definition(p.Path)
	}
	for _, r := range []*resolve.Result{resolve.GitHub(lookup, paths), resolve.GitLab(lookup, gitlabDefinition)} {
		for it, err := range r.Items(l.target.Name, "repository") {
			if !l.yield(it, err) {
				return errStop
			}
		}
	}
	return l.ctx.Err()
}

// mostListed is how many files and directories are looked at for a pattern of a definition; large repositories have some ten thousand.
const mostListed = 200_000

// filesBelow are the paths of the regular files below a directory, a line each. It has none of those whose names go over lines.
func filesBelow(root *os.Root, dir string) (list []byte, ok bool) {
	seen := 0
	err := fs.WalkDir(root.FS(), path.Clean(dir), func(name string, e fs.DirEntry, err error) error {
		if seen++; err != nil || seen > mostListed {
			return errors.Join(err, errStop)
		}
		switch {
		case e.IsDir() && e.Name() == ".git":
			return fs.SkipDir
		case e.Type().IsRegular() && !strings.Contains(name, "\n"):
			list = append(append(list, name...), '\n')
		}
		return nil
	})
	return list, err == nil
}

// definition reads a file below the top, and of one that is too large as much as shows that it is.
func (l *listing) definition(name string) ([]byte, bool) {
	in, err := opener(l.top, name)(l.ctx)
	if err != nil {
		return nil, false
	}
	defer func() { _ = in.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(in, largestDefinition+1))
	return content, err == nil
}

// isWorkflow tells whether a path is one where GitHub looks for workflows.
func isWorkflow(name string) bool { return path.Dir(name) == path.Dir(pipeline.LockPath) }

// lock is the content of the working tree's lock file, or nil. What keeps it from being read, the walk says.
func (l *listing) lock() []byte {
	if l.locked == nil {
		var content []byte
		if below := l.target.Attrs["below"]; below == "" {
			content, _ = l.definition(pipeline.LockPath)
		} else if name, ok := strings.CutPrefix(pipeline.LockPath, below+"/"); ok {
			content, _ = l.definition(name)
		}
		l.locked = &content
	}
	return *l.locked
}
