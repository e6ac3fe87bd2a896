package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/git"
)

// Items lists a target. Of a working tree with its history it lists the files that differ from what HEAD and the index hold,
// the files of the git directory that are text (configuration, logs, hooks …) and then the history.
func (p *Provider) Items(ctx context.Context, t audit.Target) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		l := &listing{Provider: p, ctx: ctx, target: t, top: t.Attrs["path"]}
		l.yield = func(it audit.Item, err error) bool {
			if isWorkflow(it.At.Path) && (it.At.Kind == audit.InFile && !it.At.InHead || it.Object != "" && it.Object == l.workflows[it.At.Path]) {
				it.Lock = l.lock()
			}
			return yield(it, err)
		}
		var err error
		switch t.Attrs["read"] {
		case readStream:
			err = l.stream()
		case readFile:
			err = l.file()
		case readFiles:
			err = l.files()
		case readRepository, readPart:
			err = l.repository()
		default:
			err = fmt.Errorf("target %q is none of this provider", t.Name)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(audit.Item{}, err)
		}
	}
}

// errStop says that the consumer has had enough.
var errStop = errors.New("stop")

// listing is the state of one call of Items.
type listing struct {
	*Provider
	ctx    context.Context
	target audit.Target
	yield  func(audit.Item, error) bool
	top    string
	names  bytes.Buffer // paths that are not listed yet

	workflows map[string]string // of a working tree whose history is listed, too: the objects that are in it, by path
	locked    *[]byte           // its lock file, once it was asked for
}

func (l *listing) give(it audit.Item) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if !l.yield(it, nil) {
		return errStop
	}
	return nil
}

func (l *listing) gap(what, why string) error {
	if !l.yield(audit.Item{}, &audit.Gap{Target: l.target.Name, What: what, Why: why}) {
		return errStop
	}
	return nil
}

// namesPerItem is the size of one batch of names, in bytes.
const namesPerItem = 256 << 10

// name notes a path to be scanned itself.
func (l *listing) name(p string) error {
	l.names.WriteString(p)
	l.names.WriteByte('\n')
	if l.names.Len() < namesPerItem {
		return nil
	}
	return l.giveNames()
}

// named gives a file and notes its name.
func (l *listing) named(it audit.Item, p string) error {
	if err := l.give(it); err != nil {
		return err
	}
	return l.name(p)
}

func (l *listing) giveNames() error {
	if l.names.Len() == 0 {
		return nil
	}
	content := bytes.Clone(l.names.Bytes())
	l.names.Reset()
	return l.give(audit.Item{
		Kind: audit.KindPaths, At: audit.Location{Kind: audit.InFile, Name: "file names"}, Size: int64(len(content)), Content: content,
	})
}

// file lists a single file.
func (l *listing) file() error {
	info, err := os.Stat(l.top)
	if err != nil {
		return l.gap(l.target.Name, cause(err).Error())
	}
	dir, base := filepath.Split(l.top)
	if dir == "" {
		dir = "."
	}
	it := item(dir, "", file{path: base, size: info.Size()})
	it.Open = func(context.Context) (io.ReadCloser, error) { // the user named it: links are followed
		f, err := os.Open(l.top)
		if err != nil {
			return nil, cause(err)
		}
		return f, nil
	}
	if err := l.named(it, base); err != nil {
		return err
	}
	return l.giveNames()
}

// files lists all files of a directory. Repositories below it are targets of their own, unless the user asked for files only.
func (l *listing) files() error {
	internals := gitInternals(l.top)
	skip := internals
	if !strings.HasPrefix(l.target.Name, "dir:") {
		nested := isNested(l.top)
		skip = func(dir string, entries []fs.DirEntry) bool {
			return internals(dir, entries) || path.Base(dir) != ".git" && nested(dir, entries)
		}
	}
	err := l.walk(l.top, "", skip, func(f file) error { return l.named(item(l.top, "", f), f.path) })
	if err != nil {
		return err
	}
	if err := l.jobs(); err != nil {
		return err
	}
	return l.giveNames()
}

// walk hands each file below top to do, and what cannot be read to the consumer as gaps.
func (l *listing) walk(top, prefix string, skip func(string, []fs.DirEntry) bool, do func(file) error) (err error) {
	w := walker{top: top, skip: skip, gap: func(what string, why error) bool {
		err = l.gap(safeText(prefix+what), why.Error())
		return err == nil
	}}
	for f := range w.files(l.ctx) {
		if err = do(f); err != nil {
			return err
		}
	}
	if err == nil {
		err = l.ctx.Err()
	}
	return err
}

// repository lists a working tree, its git directory and its history.
func (l *listing) repository() error {
	layout, err := git.Enclosing(l.top)
	if err != nil {
		if err := l.gap("git history", err.Error()); err != nil {
			return err
		}
		return l.files()
	}
	below := l.target.Attrs["below"]
	r, err := git.Open(l.ctx, layout, l.env.Memory)
	if err != nil {
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		why := err.Error()
		if hint := audit.HintOf(err); hint != "" {
			why += "; " + hint
		}
		if err := l.gap("git history", why); err != nil {
			return err
		}
		if err := l.files(); err != nil || below != "" || layout.Root != "" && layout.CommonDir == filepath.Join(layout.Root, ".git") {
			return err
		}
		return l.gitDir(layout)
	}
	defer func() { _ = r.Close() }()
	var files []workingFile
	if layout.Root != "" && filepath.Base(filepath.Clean(l.top)) != ".git" {
		if files, err = l.workingTree(r, below); err != nil {
			return err
		}
		l.workflows = map[string]string{}
		for _, f := range files {
			if p := path.Join(below, f.path); isWorkflow(p) {
				l.workflows[p] = f.object
			}
		}
	}
	if below == "" {
		if err := l.gitDir(layout); err != nil {
			return err
		}
		if err := l.jobs(); err != nil {
			return err
		}
	}
	if err := l.giveNames(); err != nil {
		return err
	}
	if l.opts.NoHistory {
		return nil
	}
	prefix := ""
	if below != "" {
		prefix = below + "/"
	}
	items := func(yield func(audit.Item) bool) {
		for _, f := range files {
			it := item(l.top, prefix, f.file)
			it.Object = f.object
			if f.known {
				it.Kind = audit.KindPlace
			}
			if !yield(it) {
				return
			}
		}
	}
	for it, err := range r.Items(l.ctx, git.Options{Since: l.opts.Since, Below: below, Files: items, Locks: true}) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) && gap.Target == "" {
			gap.Target = l.target.Name
		}
		if !l.yield(it, err) {
			return errStop
		}
	}
	return nil
}

// gitDir lists what git keeps beside the objects: configuration with its addresses and headers, hooks, reflogs, drafts of
// messages, recorded merges, LFS contents.
func (l *listing) gitDir(layout git.Layout) error {
	prefix := ".git/"
	if layout.Root == "" {
		prefix = ""
	}
	internals := gitInternals(filepath.Dir(layout.CommonDir))
	base := filepath.Base(layout.CommonDir)
	skip := func(dir string, entries []fs.DirEntry) bool {
		return dir == "refs" || internals(path.Join(base, dir), entries) // refs are read by name
	}
	return l.walk(layout.CommonDir, prefix, skip, func(f file) error {
		if name := path.Base(f.path); name == "index" || strings.HasPrefix(name, "sharedindex.") {
			return nil // listed entry by entry
		}
		return l.give(item(layout.CommonDir, prefix, f))
	})
}

// A workingFile is a file of a working tree; object is the id that git has its content under, or would give it.
type workingFile struct {
	file
	object string
	known  bool // HEAD or the index has this content at this path
}

// workingTree lists the files of a working tree. With history they are returned, because their content may be one that the
// history holds.
func (l *listing) workingTree(r *git.Repository, below string) (files []workingFile, err error) {
	known, err := r.Known(l.ctx)
	if err != nil {
		if l.ctx.Err() != nil {
			return nil, l.ctx.Err()
		}
		l.env.Log.Debug("reading index", "target", l.target.Name, "error", err) // the listing of the history reports it
	}
	ignored := map[string]bool{}
	if !l.opts.NoIgnores {
		if ignored, err = r.Ignored(l.ctx); err != nil {
			if l.ctx.Err() != nil {
				return nil, l.ctx.Err()
			}
			if err := l.gap("ignore files", err.Error()+"; files they name are scanned too"); err != nil {
				return nil, err
			}
		}
	}
	prefix := ""
	if below != "" {
		prefix = below + "/"
	}
	left := 0
	for p := range ignored {
		if strings.HasPrefix(p, prefix) {
			left++
		}
	}
	if left > 0 {
		err := l.give(audit.Item{Silencer: &audit.Silencer{What: ".gitignore", Count: left, Obeyed: true}})
		if err != nil {
			return nil, err
		}
	}
	nested := isNested(l.top)
	skip := func(dir string, entries []fs.DirEntry) bool {
		full := path.Join(prefix, dir)
		return ignored[full+"/"] || nested(dir, entries)
	}
	err = l.walk(l.top, prefix, skip, func(f file) error {
		full := prefix + f.path
		ids, isKnown := known[full]
		if ignored[full] && !isKnown {
			return nil
		}
		if l.opts.NoHistory {
			return l.named(item(l.top, prefix, f), full)
		}
		oid, same := l.compare(r, f, ids)
		files = append(files, workingFile{f, oid, same})
		if isKnown {
			return nil // the history lists its name
		}
		return l.name(full)
	})
	return files, err
}

// compare tells whether a file holds one of the contents that git has for it, and that content's id. What cannot be read is left to
// the listing.
func (l *listing) compare(r *git.Repository, f file, ids []string) (oid string, same bool) {
	var in io.Reader = strings.NewReader(f.link)
	size := int64(len(f.link))
	if f.link == "" {
		if f.size > r.MaxContent() {
			return "", false
		}
		rc, err := opener(l.top, f.path)(l.ctx)
		if err != nil {
			return "", false
		}
		defer rc.Close()
		in, size = rc, f.size
	}
	oid, unix, err := r.BlobID(in, size)
	if err != nil {
		return "", false
	}
	for _, id := range ids {
		if id == oid || id == unix {
			return id, true
		}
	}
	return oid, false
}
