package git

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// id is an object id in binary; the second half is zero where ids are SHA-1.
type id [32]byte

func parseID(s string) (out id) {
	_, _ = hex.Decode(out[:], []byte(s)) // callers hand over what isID accepted
	return out
}

// short is enough of an id to tell whether an object was seen: of 10⁷ objects, two share it once in 10⁵ repositories.
func short(s string) uint64 {
	n, _ := strconv.ParseUint(s[:16], 16, 64)
	return n
}

// A commit is what is kept of one, in the order of reading.
type commit struct {
	id      string
	tree    string
	parents []id
	at      time.Time // author date
	made    time.Time // committer date
}

// A tag is what is kept of an annotated tag.
type tag struct {
	id, target, kind string
	at               time.Time
}

// headers walks over the header lines of a commit or tag; continuation lines are left out.
func headers(content []byte, do func(key, value string)) {
	for line := range bytes.Lines(content) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			return
		}
		key, value, ok := bytes.Cut(line, []byte(" "))
		if !ok || len(key) == 0 {
			continue
		}
		switch string(key) {
		case "tree", "parent", "author", "committer", "object", "type", "tagger":
			do(string(key), string(value))
		}
	}
}

func (r *Repository) parseCommit(id string, content []byte) commit {
	c := commit{id: id}
	headers(content, func(key, value string) {
		switch key {
		case "tree":
			c.tree = value
		case "parent":
			if r.isID(value) {
				c.parents = append(c.parents, parseID(value))
			}
		case "author":
			c.at = when(value)
		case "committer":
			c.made = when(value)
		}
	})
	return c
}

func parseTag(id string, content []byte) tag {
	t := tag{id: id}
	headers(content, func(key, value string) {
		switch key {
		case "object":
			t.target = value
		case "type":
			t.kind = value
		case "tagger":
			t.at = when(value)
		}
	})
	return t
}

// when reads the time of an author line, "NAME <MAIL> SECONDS ZONE". The zone is left out: reports are in UTC. The zero time
// is returned for one that cannot be read or lies outside the years that a report can show.
func when(line string) time.Time {
	_, rest, ok := cutLast(line, "> ")
	if !ok {
		return time.Time{}
	}
	seconds, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 || n > 253402300799 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// A label names what a commit is reachable from.
type label struct{ ref, name string }

// parentless counts the parents that commits name and that are not there. Commits at the border of a shallow clone lack theirs
// by design.
func parentless(commits []commit, border map[string]bool) (missing int) {
	have := make(map[id]bool, len(commits))
	for _, c := range commits {
		have[parseID(c.id)] = true
	}
	for _, c := range commits {
		if border[c.id] {
			continue
		}
		for _, p := range c.parents {
			if !have[p] {
				have[p] = true // counted once
				missing++
			}
		}
	}
	return missing
}

// labels names each commit by the best of the tips it is reachable from; nil is for one that nothing names.
func labels(commits []commit, tags []tag, tips []tip) []*label {
	at := make(map[id]int, len(commits))
	for i, c := range commits {
		at[parseID(c.id)] = i
	}
	behind := make(map[string]string, len(tags))
	for _, t := range tags {
		behind[t.id] = t.target
	}
	out := make([]*label, len(commits))
	for _, t := range tips {
		target := t.id
		for range 16 { // tags of tags
			if next, ok := behind[target]; ok {
				target = next
			}
		}
		l := &label{t.ref, t.name}
		if strings.HasPrefix(t.ref, "refs/notes/") && t.name == "" {
			l.name = "note"
		}
		todo := []id{parseID(target)}
		for len(todo) > 0 {
			next := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if i, ok := at[next]; ok && out[i] == nil {
				out[i] = l
				todo = append(todo, commits[i].parents...)
			}
		}
	}
	return out
}

// A change is one entry of a commit's difference from its parents.
type change struct {
	commit   int // index into the commits that the differences were made of
	mode     string
	old, new string // "" for none
	path     string // as stored: any bytes but NUL
}

// differences writes, for each commit in order, what it changes against its parents to a file in the shadow, in git's raw form.
// A merge shows only what differs from all its parents. Where git gives up on a commit, an own, slower comparison takes its
// place. below limits the paths.
func (r *Repository) differences(ctx context.Context, commits []commit, below string) (file string, lost int, err error) {
	if len(commits) == 0 {
		return "", 0, nil
	}
	out, err := os.Create(filepath.Join(r.shadow, "differences"))
	if err != nil {
		return "", 0, fmt.Errorf("making a temporary file: %w", err)
	}
	defer out.Close()
	input, err := r.idFile("commits", len(commits), func(i int) string { return commits[i].id })
	if err != nil {
		return "", 0, err
	}
	defer input.Close()
	args := []string{"diff-tree", "--stdin", "-r", "-c", "--root", "--raw", "-z", "--no-renames", "--no-abbrev", "--always"}
	if below != "" {
		args = append(args, "--", ":(literal)"+below)
	}
	next := 0
	for attempt := 0; next < len(commits); attempt++ {
		start, _ := out.Seek(0, io.SeekEnd)
		_, _ = input.Seek(int64(next)*int64(r.width+1), io.SeekStart)
		p, err := r.start(ctx, input, args...)
		if err != nil {
			return "", lost, err
		}
		limitMemory(p.cmd.Process, r.diffMemory)
		stalled := time.AfterFunc(maxStall, func() { _ = p.cmd.Cancel() })
		n, err := io.Copy(out, &progress{io.LimitReader(p.out, maxDifferences-start), stalled})
		stalled.Stop()
		if err == nil && start+n < maxDifferences {
			err = p.wait()
		}
		p.stop()
		switch {
		case ctx.Err() != nil:
			return "", lost, ctx.Err()
		case start+n >= maxDifferences:
			r.gap("places in the history", "there are too many to list; contents are scanned all the same")
			return out.Name(), lost, nil
		case err == nil:
			return out.Name(), lost, nil
		}
		// The last commit in the output may be incomplete and the one after it is the one that git died of: both are
		// compared by ourselves. When git keeps dying, so are all the rest.
		last, offset, err := r.lastHeader(out, start, commits[next:])
		if err != nil {
			return "", lost, err
		}
		if err := out.Truncate(offset); err != nil {
			return "", lost, fmt.Errorf("writing a temporary file: %w", err)
		}
		from, to := next+last, min(next+last+2, len(commits))
		if attempt >= 32 {
			to = len(commits)
		}
		_, _ = out.Seek(0, io.SeekEnd)
		w := bufio.NewWriterSize(out, 64<<10)
		for _, c := range commits[from:to] {
			if ctx.Err() != nil {
				return "", lost, ctx.Err()
			}
			if err := r.compare(ctx, w, c, below); err != nil {
				lost++
			}
		}
		if err := w.Flush(); err != nil {
			return "", lost, fmt.Errorf("writing a temporary file: %w", err)
		}
		next = to
	}
	return out.Name(), lost, nil
}

// Small trees that contain each other many times over ("git bombs") have 10¹⁰ paths and more. These bounds are far above those
// of honest repositories, and end the work on others.
const (
	maxDifferences = 2 << 30 // bytes: some 15 million changes
	maxDiffMemory  = 512 << 20
	maxStall       = 30 * time.Second // without a commit compared
	maxTreeFiles   = 1 << 20          // of one tree
	maxTreeDepth   = 2048
)

// progress defers a timer with each read.
type progress struct {
	io.Reader
	timer *time.Timer
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.timer.Reset(maxStall)
	return n, err
}

// idFile writes ids, one a line of fixed length, and returns the file open at its start.
func (r *Repository) idFile(name string, n int, get func(int) string) (*os.File, error) {
	f, err := os.Create(filepath.Join(r.shadow, name))
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	w := bufio.NewWriterSize(f, 64<<10)
	for i := range n {
		_, _ = w.WriteString(get(i))
		_ = w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing a temporary file: %w", err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// lastHeader finds the last commit announced in the raw output from start on: its index, and the offset of its header.
func (r *Repository) lastHeader(f *os.File, start int64, commits []commit) (index int, offset int64, err error) {
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return 0, 0, fmt.Errorf("reading differences: %w", err)
	}
	in, at := bufio.NewReaderSize(f, 256<<10), start
	offset = start
	i := 0
	for {
		field, err := readField(in)
		if err != nil {
			return index, offset, nil //nolint:nilerr // git died in the middle of a line
		}
		size := int64(len(field) + 1)
		if len(field) > 0 && field[0] == ':' {
			path, err := readField(in)
			if err != nil {
				return index, offset, nil //nolint:nilerr // as above
			}
			at += size + int64(len(path)+1)
			continue
		}
		for j := i; j < len(commits); j++ {
			if commits[j].id == string(field) {
				index, offset, i = j, at, j+1
				break
			}
		}
		at += size
	}
}

// readField reads up to the next NUL. Paths in trees have no bound but the tree's own.
func readField(in *bufio.Reader) ([]byte, error) {
	b, err := in.ReadBytes(0)
	if err != nil {
		return nil, err
	}
	return b[:len(b)-1], nil
}

// changes reads the raw form back: each entry that puts a content at a path. do returns false to stop. compared is how many
// commits the file speaks of.
func (r *Repository) changes(file string, commits []commit, do func(change) bool) (compared int, err error) {
	if file == "" {
		return 0, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return 0, fmt.Errorf("reading differences: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 256<<10)
	i := -1
	for {
		field, err := readField(in)
		if err != nil {
			return compared, nil // the end; a part cut off was made up for by differences
		}
		if len(field) == 0 || field[0] != ':' {
			for j := i + 1; j < len(commits); j++ {
				if commits[j].id == string(field) {
					i, compared = j, compared+1
					break
				}
			}
			continue
		}
		path, err := readField(in)
		if err != nil || i < 0 {
			return compared, nil
		}
		if c, ok := parseRaw(string(field)); ok {
			c.commit, c.path = i, string(path)
			if !do(c) {
				return compared, nil
			}
		}
	}
}

// parseRaw reads ":OLDMODE NEWMODE OLD NEW STATUS", with one colon, old mode and old id more for each further parent. It
// accepts what puts a new content there: no deletion, no submodule, no mere change of mode.
func parseRaw(s string) (change, bool) {
	parents := len(s) - len(strings.TrimLeft(s, ":"))
	f := strings.Split(s[parents:], " ")
	if len(f) != 2*(parents+1)+1 {
		return change{}, false
	}
	c := change{mode: f[parents], new: f[2*parents+1]}
	if len(c.new) < 40 || strings.Trim(c.new, "0") == "" || c.mode == "160000" || c.mode == "040000" {
		return change{}, false
	}
	for i, old := range f[parents+1 : 2*parents+1] {
		if old == c.new && f[i] != "160000" {
			return change{}, false
		}
		if c.old == "" && strings.Trim(old, "0") != "" && f[i] != "160000" {
			c.old = old
		}
	}
	return c, true
}

// compare does for one commit what differences does, tree by tree, and passes over what is missing. A merge is compared with
// its first parent.
func (r *Repository) compare(ctx context.Context, out io.Writer, c commit, below string) error {
	_, _ = fmt.Fprintf(out, "%s\x00", c.id) // the caller sees a failed write when it flushes
	old := ""
	if len(c.parents) > 0 {
		parent := hex.EncodeToString(c.parents[0][:r.width/2])
		if kind, content, err := r.objects.read(ctx, parent); err == nil && kind == "commit" {
			old = r.parseCommit(parent, content).tree
		}
	}
	d := comparison{r: r, ctx: ctx, out: out, below: below}
	d.trees(old, c.tree, "", 0)
	return d.err
}

type comparison struct {
	r     *Repository
	ctx   context.Context
	out   io.Writer
	below string
	err   error
	n     int
}

type treeEntry struct{ mode, name, id string }

func (d *comparison) trees(old, new, prefix string, depth int) {
	if old == new || d.ctx.Err() != nil {
		return
	}
	if depth > maxTreeDepth || d.n > maxTreeFiles {
		d.err = errTooManyFiles
		return
	}
	entries, err := d.r.tree(d.ctx, new)
	if err != nil {
		d.err = err
	}
	had := map[string]treeEntry{}
	if old != "" {
		before, err := d.r.tree(d.ctx, old)
		if err != nil {
			d.err = err
		}
		for _, e := range before {
			had[e.name] = e
		}
	}
	for _, e := range entries {
		path := prefix + e.name
		was := had[e.name]
		switch {
		case e.mode == "40000":
			if d.below != "" && !within(path, d.below) && !within(d.below, path) {
				continue
			}
			if was.mode != "40000" {
				was.id = ""
			}
			d.trees(was.id, e.id, path+"/", depth+1)
		case e.id == was.id || e.mode == "160000" || d.below != "" && !within(path, d.below):
		default:
			if was.mode == "40000" || was.id == "" {
				was.mode, was.id = "000000", strings.Repeat("0", d.r.width)
			}
			if d.n++; d.n > maxTreeFiles {
				return
			}
			_, _ = fmt.Fprintf(d.out, ":%s %s %s %s M\x00%s\x00", was.mode, e.mode, was.id, e.id, path)
		}
	}
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// tree reads a tree object.
func (r *Repository) tree(ctx context.Context, treeID string) ([]treeEntry, error) {
	if have, ok := r.trees[treeID]; ok {
		return have, nil
	}
	kind, b, err := r.objects.read(ctx, treeID)
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	if kind != "tree" {
		return nil, errors.New("reading tree: it is a " + kind)
	}
	out, err := parseTree(b, r.width/2)
	if err != nil {
		return out, fmt.Errorf("reading tree: %w", err)
	}
	if r.treeEntries += len(out) + 1; r.trees == nil || r.treeEntries > maxTreeEntries {
		r.trees, r.treeEntries = map[string][]treeEntry{}, len(out)+1
	}
	r.trees[treeID] = out
	return out, nil
}

// parseTree reads "MODE NAME\0" and a binary id of the given size, entry after entry.
func parseTree(b []byte, size int) (out []treeEntry, err error) {
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte{0})
		mode, name, named := bytes.Cut(head, []byte(" "))
		if !ok || !named || len(rest) < size {
			return out, errors.New("malformed entry")
		}
		out = append(out, treeEntry{string(mode), string(name), hex.EncodeToString(rest[:size])})
		b = rest[size:]
	}
	return out, nil
}

// maxTreeEntries bounds the trees that are kept because neighbouring commits share most of them; an entry takes some 150 bytes.
const maxTreeEntries = 100_000

// files lists the contents of a whole tree by path, as far as they can be read; submodules are left out.
func (r *Repository) files(ctx context.Context, root string) (map[string]string, error) {
	out := map[string]string{}
	var firstErr error
	var walk func(treeID, prefix string, depth int)
	walk = func(treeID, prefix string, depth int) {
		if depth > maxTreeDepth || len(out) > maxTreeFiles {
			firstErr = errTooManyFiles
		}
		if ctx.Err() != nil || errors.Is(firstErr, errTooManyFiles) {
			return
		}
		entries, err := r.tree(ctx, treeID)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		for _, e := range entries {
			switch e.mode {
			case "40000":
				walk(e.id, prefix+e.name+"/", depth+1)
			case "160000":
			default:
				out[prefix+e.name] = e.id
			}
		}
	}
	walk(root, "", 0)
	return out, firstErr
}

var errTooManyFiles = errors.New("it has too many files, or too deep directories")

// byAge sorts commits oldest first.
func byAge(commits []commit) {
	slices.SortFunc(commits, func(a, b commit) int {
		return cmp.Or(a.at.Compare(b.at), a.made.Compare(b.made), strings.Compare(a.id, b.id))
	})
}
