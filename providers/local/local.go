// Package local reads what lies on this machine: directories, files, git repositories with their whole history, and standard
// input.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/git"
)

// Options say what of a ref is read.
type Options struct {
	// NoHistory reads the files of a working tree only, those that are as committed included.
	NoHistory bool
	// NoIgnores also reads files that the working tree's .gitignore names.
	NoIgnores bool
	// Since, a commit or a date, leaves out history before it.
	Since string
}

// A Provider reads refs without a scheme: PATH, "dir:PATH" (files only) and "-" (standard input).
type Provider struct {
	env  audit.Env
	opts Options
}

// New makes a provider. Of env it needs Stdin, Log and Memory.
func New(env audit.Env, opts Options) *Provider { return &Provider{env, opts} }

// Name is the scheme of the refs, which users leave out.
func (*Provider) Name() string { return "local" }

// Kinds of targets, in Target.Attrs["read"].
const (
	readStream     = "stream"
	readFile       = "file"
	readFiles      = "files"
	readRepository = "repository"
	readPart       = "part" // a directory of a repository: what lies and lay below it
)

// Targets yields one target for the ref and one for each repository below it, such as the clones in a directory or the
// submodules of a working tree. A directory inside a repository is read with the part of the history that lies below it; one
// that the repository ignores as a whole is a directory of its own. A path that does not exist is an [audit.ErrUsage].
func (p *Provider) Targets(ctx context.Context, ref string) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		if ref == "-" {
			yield(audit.Target{Name: "-", Kind: audit.TargetStream, Attrs: map[string]string{"read": readStream}}, nil)
			return
		}
		rest, filesOnly := strings.CutPrefix(ref, "dir:")
		path := filepath.Clean(rest)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || rest == "":
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: there is no file or directory %q", audit.ErrUsage, rest),
				"give the path of a directory, file or git repository, or - for standard input"))
		case err != nil:
			yield(audit.Target{}, fmt.Errorf("%w: %q: %w", audit.ErrNothing, rest, cause(err)))
		case info.IsDir():
			p.directory(ctx, path, filesOnly, yield)
		case info.Mode().IsRegular():
			yield(target(path, readFile), nil)
		default:
			yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: %q is a pipe, socket or device", audit.ErrNothing, rest),
				"pipe its content into leakreach scan -"))
		}
	}
}

func target(path, read string) audit.Target {
	t := audit.Target{
		Name: filepath.ToSlash(path), Kind: audit.TargetDirectory, Own: true,
		Attrs: map[string]string{"read": read, "path": path},
	}
	if read == readRepository || read == readPart {
		t.Kind = audit.TargetRepository
	}
	return t
}

// directory yields the targets of a directory and of the repositories below it.
func (p *Provider) directory(ctx context.Context, path string, filesOnly bool, yield func(audit.Target, error) bool) {
	if filesOnly {
		t := target(path, readFiles)
		t.Name = "dir:" + t.Name
		if !p.holdsFiles(ctx, path, nil) {
			yield(audit.Target{}, nothing(path))
			return
		}
		yield(t, nil)
		return
	}
	t, layout, gap := p.describe(ctx, path)
	if gap != nil && !yield(audit.Target{}, gap) {
		return
	}
	count := 0
	if layout.GitDir != "" && layout.HasObjects() || p.holdsFiles(ctx, path, isNested(path)) {
		if count++; !yield(t, nil) {
			return
		}
	}
	for nested, gap := range p.nested(ctx, path, layout) {
		if count++; !yield(nested, gap) {
			return
		}
	}
	if count == 0 && ctx.Err() == nil {
		yield(audit.Target{}, nothing(path))
	}
}

func nothing(path string) error {
	return fmt.Errorf("%w: %q holds no files and no commits", audit.ErrNothing, path)
}

// describe tells what a directory is. A repository whose history must not be read is a directory, with a gap.
func (p *Provider) describe(ctx context.Context, path string) (audit.Target, git.Layout, error) {
	layout, err := git.Find(path)
	switch {
	case err == nil:
		t := target(path, readRepository)
		t.Own = layout.Root != ""
		return t, layout, nil
	case !errors.Is(err, git.ErrNotRepository):
		t := target(path, readFiles)
		return t, git.Layout{}, &audit.Gap{Target: t.Name, What: "git history", Why: err.Error()}
	}
	if layout, err := git.Enclosing(path); err == nil && layout.Root != "" {
		if below, ok := p.partOf(ctx, path, layout); ok {
			t := target(path, readPart)
			t.Attrs["below"] = below
			return t, git.Layout{}, nil
		}
	}
	return target(path, readFiles), git.Layout{}, nil
}

// partOf returns the place of a directory in the repository around it, unless that ignores it.
func (p *Provider) partOf(ctx context.Context, path string, layout git.Layout) (below string, ok bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", false
	}
	root, err := filepath.EvalSymlinks(layout.Root)
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || rel == "." || rel == ".git" || strings.HasPrefix(rel, ".git"+string(filepath.Separator)) || strings.HasPrefix(rel, "..") {
		return "", false
	}
	below = filepath.ToSlash(rel)
	r, err := git.Open(ctx, layout, p.env.Memory)
	if err != nil {
		return "", false
	}
	defer func() { _ = r.Close() }()
	ignored, err := r.Ignored(ctx)
	if err != nil {
		return "", false
	}
	for dir := below; dir != "."; dir = filepath.ToSlash(filepath.Dir(dir)) {
		if ignored[dir+"/"] {
			return "", false
		}
	}
	return below, true
}

// cause leaves the path out of a file error: messages name it in a form fit to print.
func cause(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
