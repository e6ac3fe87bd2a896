package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotRepository says that a path is no git repository.
var ErrNotRepository = errors.New("not a git repository")

// A Layout says where the parts of a repository lie. All paths are absolute.
type Layout struct {
	Root      string // top of the working tree; "" if bare
	GitDir    string // HEAD and index of this working tree
	CommonDir string // refs, objects and configuration, shared by all working trees; often GitDir itself
}

// maxSmallFile bounds what is read of a file that git itself writes with one or a few lines, in bytes.
const maxSmallFile = 64 << 10

// Find looks at path alone: the top of a working tree, a bare repository or a .git directory. An error that wraps
// [ErrNotRepository] says that it is none of them. A .git that is a symbolic link, or an object store that is a link to
// somewhere outside the repository, is refused: what is scanned must not lead the scanner to another repository.
func Find(path string) (Layout, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Layout{}, fmt.Errorf("resolving path: %w", err)
	}
	dot := filepath.Join(path, ".git")
	info, err := os.Lstat(dot)
	var l Layout
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		return Layout{}, errors.New(".git is a symbolic link; its history is read only where it lies")
	case err == nil && info.IsDir() && hasDir(dot, "objects"):
		l = Layout{Root: path, GitDir: dot} // even if the rest is damaged
	case err == nil && info.Mode().IsRegular():
		dir, err := linkFile(dot, "gitdir: ")
		if err != nil {
			return Layout{}, fmt.Errorf("reading .git: %w", err)
		}
		if !hasDir(dir, ".") {
			return Layout{}, errors.New("its .git file names a directory that is not there")
		}
		l = Layout{Root: path, GitDir: dir}
	case IsGitDir(path):
		l = Layout{GitDir: path}
		if filepath.Base(path) == ".git" {
			l.Root = filepath.Dir(path)
		}
	default:
		return Layout{}, ErrNotRepository
	}
	l.CommonDir = l.GitDir
	if dir, err := linkFile(filepath.Join(l.GitDir, "commondir"), ""); err == nil {
		l.CommonDir = dir
	}
	if !hasDir(l.CommonDir, "objects") {
		return Layout{}, errors.New("it has no object store")
	}
	return l, l.staysInside()
}

// Enclosing finds the repository that path lies in, path itself included.
func Enclosing(path string) (Layout, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Layout{}, fmt.Errorf("resolving path: %w", err)
	}
	for {
		l, err := Find(path)
		if !errors.Is(err, ErrNotRepository) {
			return l, err
		}
		up := filepath.Dir(path)
		if up == path {
			return Layout{}, ErrNotRepository
		}
		path = up
	}
}

// IsGitDir tells whether a directory is what git itself takes for a repository: it has HEAD, objects and refs.
func IsGitDir(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil {
		return false
	}
	return hasDir(dir, "objects") && hasDir(dir, "refs")
}

func hasDir(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.IsDir()
}

// linkFile reads a file that holds a path, relative to the file's own directory.
func linkFile(file, prefix string) (string, error) {
	b, err := readSmall(file)
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(strings.TrimRight(string(b), "\r\n"), prefix)
	if !ok || text == "" || strings.ContainsRune(text, 0) {
		return "", errors.New("it does not name a directory")
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(filepath.Dir(file), text)
	}
	return filepath.Clean(text), nil
}

// staysInside refuses links that lead out of the repository: its object store, packs and refs must lie in it.
func (l Layout) staysInside() error {
	home, err := filepath.EvalSymlinks(l.CommonDir)
	if err != nil {
		return fmt.Errorf("resolving repository: %w", err)
	}
	for _, name := range []string{"objects", "objects/pack", "objects/info", "refs", "logs"} {
		real, err := filepath.EvalSymlinks(filepath.Join(l.CommonDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("resolving %s: %w", name, err)
		}
		if rel, err := filepath.Rel(home, real); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return fmt.Errorf("%s is a symbolic link out of the repository; it is read only where it lies", name)
		}
	}
	return nil
}

// readSmall reads a regular file of at most maxSmallFile bytes.
func readSmall(file string) ([]byte, error) { return readRegular(file, maxSmallFile) }

// readRegular reads a file that is no link, device or pipe, up to limit bytes; what is longer is an error.
func readRegular(file string, limit int64) ([]byte, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	b, err := os.ReadFile(file)
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return b, err
}

// objectDirs lists the repository's object store and those it borrows from, as gitrepository-layout(5) and git's own limit
// of depth say, each once.
func (l Layout) objectDirs() (dirs []string) {
	seen := map[string]bool{}
	var add func(dir string, depth int)
	add = func(dir string, depth int) {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[real] || depth > 5 || len(dirs) >= 64 {
			return
		}
		seen[real] = true
		dirs = append(dirs, real)
		b, err := readSmall(filepath.Join(real, "info", "alternates"))
		if err != nil {
			return
		}
		for line := range bytes.Lines(b) {
			other := strings.TrimRight(string(line), "\n")
			if other == "" || other[0] == '#' {
				continue
			}
			if !filepath.IsAbs(other) {
				other = filepath.Join(real, other)
			}
			add(other, depth+1)
		}
	}
	add(filepath.Join(l.CommonDir, "objects"), 0)
	return dirs
}

// HasObjects tells whether anything was ever stored in the repository.
func (l Layout) HasObjects() bool {
	for _, dir := range l.objectDirs() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return true // what cannot be read is not nothing
		}
		for _, e := range entries {
			if len(e.Name()) == 2 {
				return true
			}
		}
		if len(packs(dir)) > 0 {
			return true
		}
	}
	return false
}

// worktrees lists the git directories of all working trees, the common one first.
func (l Layout) worktrees() []string {
	dirs := []string{l.CommonDir}
	admin := filepath.Join(l.CommonDir, "worktrees")
	entries, err := os.ReadDir(admin)
	if err != nil {
		return dirs
	}
	for _, e := range entries {
		if e.IsDir() && len(dirs) < 1000 {
			dirs = append(dirs, filepath.Join(admin, e.Name()))
		}
	}
	return dirs
}
