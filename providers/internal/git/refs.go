package git

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A tip is an object that a ref, a reflog or another file of the repository names.
type tip struct {
	ref  string // full name: "refs/heads/main", "HEAD"
	id   string
	name string // "" for a ref; "reflog" for an entry of its log
}

// references are all names a repository has for its objects.
type references struct {
	tips []tip             // what to name a commit by, best first
	refs map[string]string // by full name; symbolic ones resolved
	head string            // id of the checked-out commit, "" if there is none yet
	on   string            // the branch that is checked out, or "HEAD"
	of   map[string]string // made by refOf
}

// maxRefs bounds how many refs and reflog entries are kept; a repository has as many as it has pull requests and builds.
const maxRefs = 4 << 20

// references reads refs, reflogs and the files in which git notes objects while it works. They are data to us: broken ones are
// counted in a gap.
func (r *Repository) references() *references {
	if r.refs != nil {
		return r.refs
	}
	out := &references{refs: map[string]string{}, on: "HEAD"}
	broken := 0
	symbolic := map[string]string{}
	r.packedRefs(out.refs, &broken)
	for _, dir := range r.worktrees() {
		r.looseRefs(dir, out.refs, symbolic, &broken)
	}
	for name, target := range symbolic {
		for range 5 { // git's own limit
			if next, ok := symbolic[target]; ok {
				target = next
			}
		}
		if id, ok := out.refs[target]; ok {
			out.refs[name] = id
		}
	}
	out.head, out.on = r.headOf(r.GitDir, out.refs)
	if out.on == "" {
		out.on = "HEAD"
		r.gap("HEAD", "it names neither a branch nor a commit: whether contents are still there is not known")
	}
	for name, id := range out.refs {
		out.tips = append(out.tips, tip{ref: name, id: id})
	}
	for _, dir := range r.worktrees() {
		if id, on := r.headOf(dir, out.refs); id != "" && on == "HEAD" {
			out.tips = append(out.tips, tip{ref: "HEAD", id: id})
		}
		r.noted(dir, out)
		r.logs(dir, out, &broken)
	}
	slices.SortStableFunc(out.tips, func(a, b tip) int {
		if c := rank(a, out.on) - rank(b, out.on); c != 0 {
			return c
		}
		return strings.Compare(a.ref, b.ref)
	})
	if broken > 0 {
		r.gap(plural(broken, "ref"), "broken: they name no object")
	}
	r.refs = out
	return out
}

// rank says which name of a commit tells a reader most.
func rank(t tip, on string) int {
	switch {
	case t.name != "":
		return 9
	case t.ref == on:
		return 0
	case t.ref == "refs/heads/main" || t.ref == "refs/heads/master":
		return 1
	case strings.HasPrefix(t.ref, "refs/heads/"):
		return 2
	case strings.HasPrefix(t.ref, "refs/tags/"):
		return 3
	case strings.HasPrefix(t.ref, "refs/remotes/"):
		return 4
	case t.ref == "refs/stash":
		return 5
	case strings.HasPrefix(t.ref, "refs/"):
		return 6
	}
	return 7
}

func (r *Repository) isID(s string) bool {
	return len(s) == r.width && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}

// packedRefs reads packed-refs: "ID NAME" a line, with comments and peeled ids between.
func (r *Repository) packedRefs(refs map[string]string, broken *int) {
	f, err := openRegular(filepath.Join(r.CommonDir, "packed-refs"))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.gap("packed-refs", printableError(err).Error())
		}
		return
	}
	defer f.Close()
	eachLine(f, func(line []byte) bool {
		if len(line) == 0 || line[0] == '#' || line[0] == '^' {
			return true
		}
		id, name, ok := strings.Cut(string(line), " ")
		if !ok || !r.isID(id) {
			*broken++
			return true
		}
		refs[name] = id
		return len(refs) < maxRefs
	})
}

// looseRefs reads the files under refs: an id, or "ref: NAME".
func (r *Repository) looseRefs(dir string, refs, symbolic map[string]string, broken *int) {
	top := filepath.Join(dir, "refs")
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // an unreadable directory is a gap of the file listing
		}
		if len(refs) >= maxRefs {
			return fs.SkipAll
		}
		rel, _ := filepath.Rel(dir, path)
		name := filepath.ToSlash(rel)
		if strings.HasSuffix(name, ".lock") {
			return nil
		}
		b, err := readSmall(path)
		text := strings.TrimSpace(string(b))
		switch target, isSymbolic := strings.CutPrefix(text, "ref:"); {
		case err == nil && isSymbolic:
			symbolic[name] = strings.TrimSpace(target)
		case err == nil && r.isID(text):
			refs[name] = text
		default:
			*broken++
		}
		return nil
	})
}

// headOf resolves a working tree's HEAD: the commit, "" before the first one, and the branch, "HEAD" for none, "" if HEAD is broken.
func (r *Repository) headOf(dir string, refs map[string]string) (id, on string) {
	b, err := readSmall(filepath.Join(dir, "HEAD"))
	if err != nil {
		if to, err := os.Readlink(filepath.Join(dir, "HEAD")); err == nil { // how git wrote it before 2006
			return refs[filepath.ToSlash(to)], filepath.ToSlash(to)
		}
		return "", ""
	}
	text := strings.TrimSpace(string(b))
	if name, ok := strings.CutPrefix(text, "ref:"); ok {
		name = strings.TrimSpace(name)
		return refs[name], name
	}
	if r.isID(text) {
		return text, "HEAD"
	}
	return "", ""
}

// noted reads the files in which git notes what it is at: FETCH_HEAD, ORIG_HEAD, MERGE_HEAD and their like.
func (r *Repository) noted(dir string, out *references) {
	list, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*_HEAD"))
	for _, file := range append(list, filepath.Join(dir, "AUTO_MERGE")) {
		b, err := readSmall(file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(b) {
			if id, _, _ := strings.Cut(strings.TrimSpace(string(line)), "\t"); r.isID(id) {
				out.tips = append(out.tips, tip{ref: filepath.Base(file), id: id, name: "left over"})
			}
		}
	}
}

// logs reads the reflogs: "OLD NEW NAME <MAIL> TIME ZONE\tMESSAGE" a line.
func (r *Repository) logs(dir string, out *references, broken *int) {
	top := filepath.Join(dir, "logs")
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		rel, _ := filepath.Rel(top, path)
		ref := filepath.ToSlash(rel)
		f, err := openRegular(path)
		if err != nil {
			*broken++
			return nil
		}
		defer f.Close()
		last := ""
		eachLine(f, func(line []byte) bool {
			if len(line) < 2*r.width+1 {
				return true
			}
			for _, id := range []string{string(line[:r.width]), string(line[r.width+1 : 2*r.width+1])} {
				if id != last && r.isID(id) {
					out.tips = append(out.tips, tip{ref: ref, id: id, name: "reflog"})
					last = id
				}
			}
			return len(out.tips) < maxRefs
		})
		return nil
	})
}

// names lists branch, tag and other ref names, those that only a log still knows included.
func (o *references) names() []string {
	seen := map[string]bool{}
	for _, t := range o.tips {
		seen[t.ref] = true
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// eachLine calls do for each line, without its end, until do returns false. A line above 1 MiB is cut there.
func eachLine(f io.Reader, do func(line []byte) bool) {
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, isPrefix, err := in.ReadLine()
		if err != nil || !do(line) {
			return
		}
		for isPrefix && err == nil {
			_, isPrefix, err = in.ReadLine()
		}
	}
}

// openRegular opens a file that is no link, device or pipe.
func openRegular(file string) (*os.File, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.Open(file)
}
