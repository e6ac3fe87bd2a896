package local

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/git"
)

// A file is one that a walk came by. Its path is slash-separated, relative to the walk's top, and may hold any bytes.
type file struct {
	path string
	size int64
	link string // where a symbolic link points to; it is not followed
}

// maxDepth bounds how deep a walk goes. Real trees end far above it; file systems that contain themselves do not.
const maxDepth = 400

// A walker lists the files below a directory without following links. Directories for which skip returns true are left out;
// what cannot be read is handed to gap.
type walker struct {
	top  string
	skip func(dir string, entries []fs.DirEntry) bool
	gap  func(what string, err error) bool
}

// files lists in a stable order.
func (w *walker) files(ctx context.Context) iter.Seq[file] {
	return func(yield func(file) bool) {
		root, err := os.OpenRoot(w.top)
		if err != nil {
			w.gap(".", cause(err))
			return
		}
		defer func() { _ = root.Close() }()
		w.dir(ctx, root, ".", 0, yield)
	}
}

// dir returns false to stop the walk.
func (w *walker) dir(ctx context.Context, root *os.Root, dir string, depth int, yield func(file) bool) bool {
	if ctx.Err() != nil {
		return false
	}
	if depth > maxDepth {
		return w.gap(dir, errors.New("too deep"))
	}
	if pseudo(filepath.Join(w.top, dir)) {
		return true
	}
	entries, err := readDir(root, dir)
	if err != nil && !w.gap(dir, cause(err)) {
		return false
	}
	if w.skip != nil && w.skip(dir, entries) {
		return true
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if !w.dir(ctx, root, name, depth+1, yield) {
				return false
			}
		case e.Type()&fs.ModeSymlink != 0:
			link, err := root.Readlink(name)
			if err != nil {
				if !w.gap(name, cause(err)) {
					return false
				}
				continue
			}
			if !yield(file{path: name, link: link}) {
				return false
			}
		case e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				continue // gone meanwhile
			}
			if !yield(file{path: name, size: info.Size()}) {
				return false
			}
		}
	}
	return true
}

func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// pseudo tells whether a path is a file system of the kernel: reading there can block, act or never end.
func pseudo(dir string) bool {
	abs, err := filepath.Abs(dir)
	return err == nil && slices.Contains([]string{"/proc", "/sys", "/dev"}, abs)
}

// gitInternals tells whether a directory belongs to git's own storage, whose contents are read as history: objects, and the
// repositories of submodules, which are targets of their own.
func gitInternals(top string) func(string, []fs.DirEntry) bool {
	return func(dir string, _ []fs.DirEntry) bool {
		switch path.Base(dir) {
		case "objects", "modules":
			return git.IsGitDir(filepath.Join(top, path.Dir(dir)))
		}
		return false
	}
}

// opener reads a file below top. The path is walked anew without leaving top, so a link put there meanwhile leads nowhere; a
// pipe put there does not block.
func opener(top, name string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		root, err := os.OpenRoot(top)
		if err != nil {
			return nil, cause(err)
		}
		defer func() { _ = root.Close() }()
		f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, cause(err)
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("not a regular file any more")
		}
		if err != nil {
			_ = f.Close()
			return nil, cause(err)
		}
		return f, nil
	}
}

// item describes a file below top; prefix stands before its path in reports.
func item(top, prefix string, f file) audit.Item {
	it := audit.Item{
		Kind: audit.KindFile, At: audit.Location{Kind: audit.InFile, Path: safeText(prefix + f.path)}, Size: f.size,
	}
	if f.link != "" {
		it.Content, it.Size = []byte(f.link), int64(len(f.link))
		return it
	}
	it.Open = opener(top, f.path)
	return it
}

// safeText makes a path valid UTF-8, broken bytes visible as \xNN.
func safeText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		if c == utf8.RuneError && n == 1 {
			b.WriteString(`\x` + hex.EncodeToString([]byte{s[0]}))
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// holdsFiles tells whether the listing of a directory would have a file.
func (p *Provider) holdsFiles(ctx context.Context, dir string, skip func(string, []fs.DirEntry) bool) bool {
	w := walker{top: dir, skip: skip}
	unreadable := false // what cannot be read is not nothing
	w.gap = func(string, error) bool { unreadable = true; return false }
	for range w.files(ctx) {
		return true
	}
	return unreadable
}

// isNested tells whether a directory below top is a target of its own.
func isNested(top string) func(string, []fs.DirEntry) bool {
	return func(dir string, entries []fs.DirEntry) bool {
		if dir == "." || !mayBeRepository(entries) {
			return path.Base(dir) == ".git"
		}
		_, err := git.Find(filepath.Join(top, dir))
		return err == nil
	}
}

// nestedDepth bounds how deep repositories are looked for below a directory.
const nestedDepth = 24

// nested lists the repositories below a directory, and those of submodules that are not checked out. Errors are gaps.
func (p *Provider) nested(ctx context.Context, top string, outer git.Layout) iter.Seq2[audit.Target, error] {
	return func(yield func(audit.Target, error) bool) {
		seen := map[string]bool{outer.GitDir: true}
		give := func(dir string, l git.Layout) bool {
			if seen[l.GitDir] {
				return true
			}
			seen[l.GitDir] = true
			t := target(dir, readRepository)
			t.Own = l.Root != ""
			return yield(t, nil)
		}
		var stores []string
		if outer.CommonDir != "" {
			stores = append(stores, outer.CommonDir)
		}
		w := walker{top: top, gap: func(string, error) bool { return true }} // a gap of the listing
		stopped := false
		w.skip = func(dir string, entries []fs.DirEntry) bool {
			if stopped || path.Base(dir) == ".git" || strings.Count(dir, "/") >= nestedDepth {
				return true
			}
			if dir == "." || !mayBeRepository(entries) {
				return false
			}
			full := filepath.Join(top, dir)
			l, err := git.Find(full)
			if err != nil {
				if !errors.Is(err, git.ErrNotRepository) {
					gap := &audit.Gap{Target: filepath.ToSlash(top), What: "git history of " + safeText(filepath.ToSlash(full)), Why: err.Error()}
					stopped = !yield(audit.Target{}, gap)
				}
				return stopped
			}
			stores = append(stores, l.CommonDir)
			stopped = !give(full, l)
			return stopped || l.Root == ""
		}
		for range w.files(ctx) {
			if stopped {
				return
			}
		}
		for _, store := range stores {
			for dir, l := range modules(filepath.Join(store, "modules"), 0) {
				if stopped || !give(relative(dir), l) {
					return
				}
			}
		}
	}
}

// relative writes a path as users would: from the working directory if it lies there.
func relative(dir string) string {
	wd, err := os.Getwd()
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(wd, dir)
	if err != nil || strings.HasPrefix(rel, "..") {
		return dir
	}
	return rel
}

// modules lists the repositories of submodules, which may lie in directories of any depth and contain further ones.
func modules(dir string, depth int) iter.Seq2[string, git.Layout] {
	return func(yield func(string, git.Layout) bool) {
		entries, err := os.ReadDir(dir)
		if err != nil || depth > nestedDepth {
			return
		}
		for _, e := range entries {
			sub := filepath.Join(dir, e.Name())
			if !e.IsDir() {
				continue
			}
			next := sub
			if l, err := git.Find(sub); err == nil {
				if !yield(sub, l) {
					return
				}
				next = filepath.Join(sub, "modules")
			}
			for d, l := range modules(next, depth+1) {
				if !yield(d, l) {
					return
				}
			}
		}
	}
}

// mayBeRepository spares most directories a closer look.
func mayBeRepository(entries []fs.DirEntry) bool {
	head, objects := false, false
	for _, e := range entries {
		switch e.Name() {
		case ".git":
			return true
		case "HEAD":
			head = true
		case "objects":
			objects = true
		}
	}
	return head && objects
}
