package job

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A disk is a file system. Its paths are absolute and slash-separated, "/C:/Users" on Windows. What lies there belongs to whoever wrote it: pipes are
// not waited for, devices not opened, and of directories and files no more is read than was asked for.
type disk struct{ root string }

// real is where the operating system has a path.
func (d disk) real(p string) string {
	p = filepath.FromSlash(p)
	if rest := strings.TrimLeft(p, `/\`); d.root == "" && filepath.VolumeName(rest) != "" {
		return rest
	}
	return filepath.Join(d.root, p)
}

// local is a path that a variable or file names, as a disk's; "" if it is not absolute.
func local(p string) string {
	if p == "" || strings.ContainsRune(p, 0) || !filepath.IsAbs(p) && !path.IsAbs(p) {
		return ""
	}
	p = filepath.ToSlash(p)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return path.Clean(p)
}

// parent is the directory that a path lies in; "" for none.
func parent(p string) string {
	if p == "" || p == "/" {
		return ""
	}
	return path.Dir(p)
}

var errNoFile = errors.New("not a regular file")

// regular describes a file; links are followed.
func (d disk) regular(p string) (fs.FileInfo, error) {
	info, err := os.Stat(d.real(p))
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	return info, err
}

// open opens a regular file. A pipe that was put in its place meanwhile does not block.
func (d disk) open(p string) (io.ReadCloser, error) {
	if _, err := d.regular(p); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.real(p), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(errNoFile, err)
	}
	return f, nil
}

// maxSmall bounds files that are read to learn something from: the largest, a role's token or a runner's settings, have a few KiB.
const maxSmall = 64 << 10

// read returns the first bytes of a file, or all if there are no more than that.
func (d disk) read(p string, most int64) ([]byte, error) {
	f, err := d.open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// small returns a file of at most maxSmall bytes; nil for any other.
func (d disk) small(p string) []byte {
	b, err := d.read(p, maxSmall+1)
	if err != nil || len(b) > maxSmall {
		return nil
	}
	return b
}

// maxEntries bounds what is looked at of one directory: of credential files, runners and agents none has as many.
const maxEntries = 2000

var errMoreEntries = fmt.Errorf("more than %d entries; the others were left out", maxEntries)

// list returns the entries of a directory in order. It is [errMoreEntries] that there are others.
func (d disk) list(p string) ([]fs.DirEntry, error) {
	if info, err := os.Stat(d.real(p)); err != nil || !info.IsDir() {
		return nil, cmpError(err, errors.New("not a directory"))
	}
	f, err := os.OpenFile(d.real(p), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(entries) > maxEntries {
		entries, err = entries[:maxEntries], errMoreEntries
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// directories are the names of those in a directory, as far as they can be read.
func (d disk) directories(p string) (names []string) {
	entries, _ := d.list(p)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// absent tells whether there is nothing at a path that could be read: no file, or a directory, pipe or socket in its place.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile) || errors.Is(err, syscall.ENOTDIR)
}

func mode(info fs.FileInfo) string {
	if runtime.GOOS == "windows" {
		return "" // it has none that says who may read
	}
	return fmt.Sprintf("%04o", info.Mode().Perm())
}

func moment(info fs.FileInfo) string { return info.ModTime().UTC().Format(time.RFC3339) }
