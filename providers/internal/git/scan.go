package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// MaxContent is the size above which a content is a gap, in bytes.
const MaxContent = 100 << 20

// Options say what of a repository is listed.
type Options struct {
	// Since, a commit or a date, leaves out what was there before: only commits not reachable from that commit, or made at or
	// after that date, are listed, and only contents that they put somewhere.
	Since string
	// Below, a slash-separated path relative to the working tree's top, limits the listing to contents that lie or lay there;
	// commit and tag messages are left out.
	Below string
	// Files are files of the working tree, with the id that git would give their content as Object. Those whose content is
	// listed anyway become places of it; the others are listed as they are. One of kind place is as HEAD or the index has it: it is
	// listed only if the stored content could not be.
	Files iter.Seq[audit.Item]
}

// Items lists the repository: first each content once (blobs without a path, commits and tags as git stores them, then file
// and ref names), then the places of the blobs. Everything stored is listed, reachable or not; a blob for which no place
// follows is dangling. Contents are lent: no more than maxLent bytes are out at once, so the consumer must call Done.
//
// What a place opens to can be read until the repository is closed.
func (r *Repository) Items(ctx context.Context, opts Options) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		s := &scan{Repository: r, ctx: ctx, Options: opts, yield: yield, lend: newLender(), problems: map[string]*problem{}}
		if err := s.run(); err != nil && !errors.Is(err, errStop) {
			yield(audit.Item{}, err)
		}
	}
}

// errStop says that the consumer has had enough.
var errStop = errors.New("stop")

// scan is the state of one listing.
type scan struct {
	*Repository
	Options
	ctx   context.Context
	yield func(audit.Item, error) bool
	lend  *lender

	commits []commit
	tags    []tag
	blobs   []uint64          // short ids of the blobs listed
	only    func(commit) bool // nil: all
	silent  bool              // contents of commits and tags are noted, not listed
	large   map[string]int64  // blobs above MaxContent
	missing int               // objects that were asked for and not there
	failed  int               // objects that could not be read

	problems map[string]*problem
}

// problem counts gaps of one sort, so that a repository without half its objects has one gap and not a million.
type problem struct {
	n       int
	example string
}

func (s *scan) run() error {
	s.large = map[string]int64{}
	s.references()
	limited := s.Since != "" || s.Below != ""
	var err error
	if limited {
		err = s.someCommits()
	} else {
		err = s.everything()
	}
	if err != nil {
		return err
	}
	if n := parentless(s.commits, s.border); n > 0 && !limited {
		s.gap(plural(n, "commit"), "missing: commits that are there name them as parents")
	}
	byAge(s.commits)
	file, lost, err := s.differences(s.ctx, s.commits, s.Below)
	if err != nil {
		return err
	}
	if lost > 0 {
		s.gap(plural(lost, "commit"), "trees are missing, damaged or excessive: some places of contents are unknown")
	}
	extra, err := s.otherPlaces()
	if err != nil {
		return err
	}
	if limited {
		if err := s.contentsOf(file, extra); err != nil {
			return err
		}
	}
	slices.Sort(s.blobs)
	if s.Files != nil {
		for it := range s.Files {
			known := it.Kind == audit.KindPlace
			if known && (s.listed(it.Object) || s.Since != "") {
				continue
			}
			if s.listed(it.Object) {
				it.Kind, it.Content, it.Open = audit.KindPlace, nil, nil
				extra = append(extra, it)
				continue
			}
			it.Kind, it.Object = audit.KindFile, ""
			if err := s.give(it); err != nil {
				return err
			}
		}
	}
	if err := s.names(file, extra); err != nil {
		return err
	}
	if err := s.places(file, extra); err != nil {
		return err
	}
	return s.report()
}

// give hands an item over. Its Done is called here if the consumer has had enough.
func (s *scan) give(it audit.Item) error {
	if err := s.ctx.Err(); err != nil {
		if it.Done != nil {
			it.Done()
		}
		return err
	}
	if !s.yield(it, nil) {
		return errStop
	}
	return nil
}

// everything lists all objects that are stored. Those that the store cannot read are left to git.
func (s *scan) everything() error {
	told, err := s.salvage(s.ctx)
	if err != nil {
		return err
	}
	var left []string
	excessive, wrong := 0, 0
	for o := range s.objects.store.Objects(s.ctx) {
		id := ""
		if o.ID != (pack.ID{}) {
			id = o.ID.Text(s.width / 2)
		}
		switch {
		case errors.Is(o.Err, pack.ErrWrongID):
			wrong++
		case errors.Is(o.Err, pack.ErrExcessive):
			excessive++
			continue
		case o.Err != nil && id == "":
			s.failed++
			continue
		case o.Err != nil:
			left = append(left, id)
			continue
		}
		if err := s.object(object{id, o.Kind.String(), o.Size, o.Content, o.Done}); err != nil {
			return err
		}
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	for _, p := range s.objects.store.Problems() {
		if !told[p.File] {
			s.gap("pack "+printable(filepath.Base(p.File)), printable(printableError(p.Err).Error())+"; what can be read of it was scanned")
		}
	}
	if excessive > 0 {
		s.gap(plural(excessive, "object"), "not read: "+pack.ErrExcessive.Error())
	}
	if wrong > 0 {
		s.gap(plural(wrong, "object"), "damaged: the content is not the one that the id stands for; it was scanned all the same")
	}
	return s.each(left)
}

// maxDeaths bounds how many damaged objects in a row git may die of: each death costs a new process.
const maxDeaths = 500

// each lists the given objects, passing over those that git dies of.
func (s *scan) each(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	input, err := s.idFile("objects.list", len(ids), func(i int) string { return ids[i] })
	if err != nil {
		return err
	}
	defer input.Close()
	deaths := 0
	for at := 0; at < len(ids); {
		if _, err := input.Seek(int64(at)*int64(s.width+1), io.SeekStart); err != nil {
			return fmt.Errorf("reading a temporary file: %w", err)
		}
		p, err := s.start(s.ctx, input, "cat-file", "--batch", "--buffer")
		if err != nil {
			return err
		}
		n, err := s.stream(p)
		if err == nil {
			err = p.wait()
		}
		p.stop()
		if errors.Is(err, errStop) || s.ctx.Err() != nil {
			return cmpErr(s.ctx.Err(), err)
		}
		if err == nil && n >= len(ids)-at {
			return nil
		}
		s.failed++
		if n > 0 {
			deaths = 0
		}
		if deaths++; deaths > maxDeaths {
			s.failed += len(ids) - at - n - 1
			return nil
		}
		at += n + 1
	}
	return nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// stream lists the objects that a git cat-file --batch prints, and counts its answers. An error other than errStop and the
// context's says that the process died.
func (s *scan) stream(p *process) (n int, err error) {
	for ; ; n++ {
		o, err := readHeader(p.out)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if o.kind == "missing" {
			s.missing++
			continue
		}
		if o.size > MaxContent {
			err = skipContent(p.out, o.size)
		} else {
			o.content, o.done, err = s.content(p.out, o.size)
		}
		if err == nil {
			err = s.object(o)
		}
		if err != nil {
			return n, err
		}
	}
}

// object lists one object.
func (s *scan) object(o object) error {
	switch {
	case o.kind == "blob":
		return s.blob(o)
	case o.content == nil:
		s.failed++
		return nil
	case o.kind == "tree":
		return s.tree(o)
	}
	return s.text(o)
}

// tree passes over a tree.
func (s *scan) tree(o object) error {
	o.done()
	return nil
}

// blob lists a file's content.
func (s *scan) blob(o object) error {
	s.blobs = append(s.blobs, short(o.id))
	if o.content == nil {
		s.large[o.id] = o.size
		return nil
	}
	return s.give(audit.Item{
		Kind: audit.KindFile, At: audit.Location{Kind: audit.InCommit}, Size: o.size, Object: o.id, Content: o.content, Done: o.done,
	})
}

// content reads an object's content into a lent buffer, and the line feed behind it.
func (s *scan) content(in *bufio.Reader, size int64) ([]byte, func(), error) {
	content, done, err := s.lend.take(s.ctx, size)
	if err != nil {
		return nil, nil, err
	}
	if _, err = io.ReadFull(in, content); err == nil {
		_, err = in.Discard(1)
	}
	if err != nil {
		done()
		return nil, nil, noEOF(err)
	}
	return content, done, nil
}

// text lists a commit or tag and keeps what the places need of it.
func (s *scan) text(o object) error {
	at := audit.Location{Kind: audit.InCommit, Commit: o.id, Name: o.kind, Object: o.id}
	if o.kind == "tag" {
		t := parseTag(o.id, o.content)
		s.tags = append(s.tags, t)
		at.At, at.Ref = t.at, s.refs.refOf(o.id)
		if t.kind == "commit" && s.isID(t.target) {
			at.Commit = t.target
		}
	} else {
		c := s.parseCommit(o.id, o.content)
		if s.only != nil && !s.only(c) {
			o.done()
			return nil
		}
		s.commits = append(s.commits, c)
		at.At, at.Ref = c.at, s.refs.refOf(o.id)
	}
	if s.silent {
		o.done()
		return nil
	}
	return s.give(audit.Item{Kind: audit.KindCommit, At: at, Size: o.size, Object: o.id, Content: o.content, Done: o.done})
}

// refOf names the best ref that points at an object, or "".
func (o *references) refOf(id string) string {
	if o.of == nil {
		o.of = make(map[string]string, len(o.tips))
		for _, t := range o.tips {
			if _, ok := o.of[t.id]; !ok && t.name == "" {
				o.of[t.id] = safeText(t.ref)
			}
		}
	}
	return o.of[id]
}

// someCommits lists the commits that Since leaves, and tags of them.
func (s *scan) someCommits() error {
	s.silent = s.Below != "" // their messages lie nowhere below it
	var not string
	if s.Since != "" {
		date, isDate := parseDate(s.Since)
		if isDate {
			s.only = func(c commit) bool { return !c.made.Before(date) }
		} else {
			id, err := s.resolve(s.Since)
			if err != nil {
				return err
			}
			not = id
		}
	}
	ids, err := s.reachable(not)
	if err != nil {
		return err
	}
	return s.each(ids)
}

// resolve finds the commit that a name, as git understands it, stands for.
func (s *scan) resolve(name string) (string, error) {
	base, rest := name, ""
	if i := strings.IndexAny(name, "~^@"); i > 0 {
		base, rest = name[:i], name[i:]
	}
	for _, form := range []string{"%s", "refs/%s", "refs/tags/%s", "refs/heads/%s", "refs/remotes/%s", "refs/remotes/%s/HEAD"} {
		if id, ok := s.refs.refs[fmt.Sprintf(form, base)]; ok {
			base = id
			break
		}
	}
	if base == "HEAD" && s.refs.head != "" {
		base = s.refs.head
	}
	out, err := s.output(s.ctx, 1<<10, "rev-parse", "--verify", "--quiet", "--end-of-options", base+rest+"^{commit}")
	id := strings.TrimSpace(string(out))
	if err != nil || !s.isID(id) {
		if s.ctx.Err() != nil {
			return "", s.ctx.Err()
		}
		return "", audit.Hint(fmt.Errorf("%w: %q is neither a commit of the repository nor a date", audit.ErrUsage, printable(name)),
			"give a commit, branch or tag that exists, or a date such as 2026-03-19")
	}
	return id, nil
}

func parseDate(s string) (time.Time, bool) {
	for _, form := range []string{time.DateOnly, time.RFC3339, time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// reachable lists the ids of all commits and annotated tags that a ref, a reflog or a working tree leads to, without what not
// leads to.
func (s *scan) reachable(not string) ([]string, error) {
	tips := map[string]bool{}
	for _, t := range s.refs.tips {
		tips[t.id] = true
	}
	lines := make([]string, 0, len(tips)+1)
	for id := range tips {
		lines = append(lines, id)
	}
	slices.Sort(lines)
	if not != "" {
		lines = append(lines, "^"+not)
	}
	input, err := s.idFile("tips", len(lines), func(i int) string { return lines[i] })
	if err != nil {
		return nil, err
	}
	defer input.Close()
	p, err := s.start(s.ctx, input, "rev-list", "--ignore-missing", "--stdin")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var ids []string
	seen := map[string]bool{}
	eachLine(p.out, func(line []byte) bool {
		if id := string(line); s.isID(id) && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
		return true
	})
	if err := p.wait(); err != nil {
		if s.ctx.Err() != nil {
			return nil, s.ctx.Err()
		}
		s.gap("part of the history", err.Error())
	}
	if s.Since == "" {
		for _, id := range lines {
			if s.isID(id) && !seen[id] {
				ids = append(ids, id) // annotated tags among them
			}
		}
		return ids, nil
	}
	for _, t := range s.refs.tips {
		if strings.HasPrefix(t.ref, "refs/tags/") && t.name == "" && !seen[t.id] {
			if kind, b, err := s.objects.read(s.ctx, t.id); err == nil && kind == "tag" && seen[parseTag(t.id, b).target] {
				ids = append(ids, t.id)
			}
		}
	}
	return ids, nil
}

// contentsOf lists the blobs that the given places name.
func (s *scan) contentsOf(file string, extra []audit.Item) error {
	seen := map[string]bool{}
	var ids []string
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	_, err := s.changes(file, s.commits, func(c change) bool {
		add(c.new)
		return true
	})
	if err != nil {
		return err
	}
	for _, it := range extra {
		add(it.Object)
	}
	s.silent = true // a commit or tag that a broken tree names as a file was listed or left out on purpose
	s.only = func(commit) bool { return false }
	return s.each(ids)
}

// otherPlaces are those outside commits: what is staged in an index, and blobs and trees that a tag or ref points at.
func (s *scan) otherPlaces() ([]audit.Item, error) {
	var out []audit.Item
	add := func(oid string, at audit.Location) {
		if s.Below == "" || within(at.Path, s.Below) {
			out = append(out, audit.Item{Kind: audit.KindPlace, Object: oid, At: at})
		}
	}
	for _, dir := range s.worktrees() {
		entries, err := s.index(s.ctx, dir)
		if err != nil {
			if s.ctx.Err() != nil {
				return nil, s.ctx.Err()
			}
			s.gap("index", err.Error())
		}
		if len(entries) == 0 {
			continue
		}
		head := map[string]string{}
		if id, _ := s.headOf(dir, s.refs.refs); id != "" {
			if head, err = s.Tree(s.ctx, id); err != nil && s.ctx.Err() != nil {
				return nil, s.ctx.Err()
			}
		}
		for _, e := range entries {
			if head[e.path] != e.id {
				add(e.id, audit.Location{Kind: audit.InFile, Path: e.path, Name: "staged"})
			}
		}
	}
	if s.Since != "" {
		return out, nil
	}
	point := func(oid, kind, ref string) {
		switch kind {
		case "blob":
			add(oid, audit.Location{Kind: audit.InCommit, Ref: ref})
		case "tree":
			list, err := s.files(s.ctx, oid)
			if err != nil {
				s.gap("a tree that "+printable(ref)+" names", err.Error())
			}
			for path, blob := range list {
				add(blob, audit.Location{Kind: audit.InCommit, Path: path, Ref: ref})
			}
		}
	}
	known := map[string]bool{}
	for _, c := range s.commits {
		known[c.id] = true
	}
	for _, t := range s.tags {
		known[t.id] = true
		if s.isID(t.target) {
			point(t.target, t.kind, cmpString(s.refs.refOf(t.id), "tag "+t.id))
		}
	}
	for _, t := range s.refs.tips {
		if known[t.id] {
			continue
		}
		known[t.id] = true
		kind, _, err := s.objects.read(s.ctx, t.id)
		switch {
		case s.ctx.Err() != nil:
			return nil, s.ctx.Err()
		case err == nil:
			point(t.id, kind, t.ref)
		case t.name == "":
			s.problem("ref", "the object it names is missing or damaged", t.ref)
		}
	}
	slices.SortStableFunc(out, func(a, b audit.Item) int { return strings.Compare(a.At.Path, b.At.Path) })
	return out, nil
}

func cmpString(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Tree lists the contents of a commit's tree: object ids by path as stored. What cannot be read is left out, with an error.
// The map of the last commit asked for is kept, and is not to be changed.
func (r *Repository) Tree(ctx context.Context, commitID string) (map[string]string, error) {
	if r.last.commit == commitID {
		return r.last.files, r.last.err
	}
	kind, b, err := r.objects.read(ctx, commitID)
	if err != nil || kind != "commit" {
		return nil, fmt.Errorf("reading commit: %w", cmpErr(err, errors.New("it is a "+kind)))
	}
	list, err := r.files(ctx, r.parseCommit(commitID, b).tree)
	if ctx.Err() == nil {
		r.last.commit, r.last.files, r.last.err = commitID, list, err
	}
	return list, err
}

// namesPerItem is the size of one batch of names, in bytes.
const namesPerItem = 256 << 10

// names lists what files and refs are called.
func (s *scan) names(file string, extra []audit.Item) error {
	var batch bytes.Buffer
	name := "file names"
	flush := func() error {
		if batch.Len() == 0 {
			return nil
		}
		content := bytes.Clone(batch.Bytes())
		batch.Reset()
		return s.give(audit.Item{
			Kind: audit.KindPaths, At: audit.Location{Kind: audit.InCommit, Name: name}, Size: int64(len(content)), Content: content,
		})
	}
	seen := map[string]bool{}
	var stopped error
	add := func(path string) bool {
		if path == "" || seen[path] {
			return true
		}
		seen[path] = true
		batch.WriteString(path)
		batch.WriteByte('\n')
		if batch.Len() >= namesPerItem {
			stopped = flush()
		}
		return stopped == nil
	}
	compared, err := s.changes(file, s.commits, func(c change) bool { return add(c.path) })
	if n := len(s.commits) - compared; n > 0 && err == nil && stopped == nil {
		s.gap(plural(n, "commit"), "malformed: what they changed is unknown")
	}
	for _, it := range extra {
		if err != nil || stopped != nil {
			break
		}
		add(it.At.Path)
	}
	if err := cmpErr(err, cmpErr(stopped, flush())); err != nil {
		return err
	}
	if s.Below != "" {
		return nil
	}
	name = "ref names"
	clear(seen)
	for _, ref := range s.refs.names() {
		if !add(ref) {
			return stopped
		}
	}
	return flush()
}

// places lists where the blobs lie, oldest first.
func (s *scan) places(file string, extra []audit.Item) error {
	head := map[string]string{}
	if s.refs.head != "" {
		var err error
		if head, err = s.Tree(s.ctx, s.refs.head); err != nil {
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
			s.gap("tree of HEAD", err.Error()+": whether contents are still there is not known for all")
		}
	}
	shown := make(map[string]bool, len(head))
	named := labels(s.commits, s.tags, s.refs.tips)
	var stopped error
	_, err := s.changes(file, s.commits, func(c change) bool {
		from := s.commits[c.commit]
		at := audit.Location{Kind: audit.InCommit, Path: c.path, Commit: from.id, At: from.at}
		if l := named[c.commit]; l != nil {
			at.Ref, at.Name = l.ref, l.name
		} else {
			at.Name = "unreachable commit"
		}
		if head[c.path] == c.new {
			at.InHead = true
			shown[c.path] = true
		}
		stopped = s.place(audit.Item{Kind: audit.KindPlace, Object: c.new, Prev: c.old, At: at})
		return stopped == nil
	})
	if err := cmpErr(err, stopped); err != nil {
		return err
	}
	for _, it := range extra {
		if err := s.place(it); err != nil {
			return err
		}
	}
	if s.Since != "" {
		return nil
	}
	for path, oid := range head { // what no readable commit brought there
		if !shown[path] && (s.Below == "" || within(path, s.Below)) {
			at := audit.Location{Kind: audit.InFile, Path: path, InHead: true}
			if err := s.place(audit.Item{Kind: audit.KindPlace, Object: oid, At: at}); err != nil {
				return err
			}
		}
	}
	return nil
}

// listed tells whether a blob was among the contents. The list must be sorted by then.
func (s *scan) listed(oid string) bool {
	if !s.isID(oid) {
		return false
	}
	_, ok := slices.BinarySearch(s.blobs, short(oid))
	return ok
}

// place gives one place, or notes that its content could not be listed.
func (s *scan) place(it audit.Item) error {
	it.At.Path, it.At.Ref, it.At.Name = safeText(it.At.Path), safeText(it.At.Ref), safeText(it.At.Name)
	if !s.listed(it.Object) {
		s.problem("blob", "missing or damaged", it.At.Path)
		return s.ctx.Err()
	}
	if size, ok := s.large[it.Object]; ok {
		if size >= 0 {
			s.gap(strconv.Quote(it.At.Path)+" at "+it.At.Commit, fmt.Sprintf("not read: %d MiB, larger than %d MiB", size>>20, MaxContent>>20))
			s.large[it.Object] = -1
		}
		return s.ctx.Err()
	}
	it.Open = func(ctx context.Context) (io.ReadCloser, error) {
		_, content, err := s.objects.read(ctx, it.Object)
		return io.NopCloser(bytes.NewReader(content)), err
	}
	return s.give(it)
}

func (s *scan) problem(what, why, example string) {
	key := what + "\x00" + why
	if s.problems[key] == nil {
		s.problems[key] = &problem{example: example}
	}
	s.problems[key].n++
}

// report gives what could not be read.
func (s *scan) report() error {
	for oid, size := range s.large {
		if size >= 0 {
			s.gap("object "+oid, fmt.Sprintf("not read: %d MiB, larger than %d MiB", size>>20, MaxContent>>20))
		}
	}
	if n := s.failed + s.missing; n > 0 {
		s.gap(plural(n, "object"), "damaged or missing, and not read")
	}
	for key, p := range s.problems {
		what, why, _ := strings.Cut(key, "\x00")
		if s.promisor {
			why += ": the clone is partial, and nothing is fetched; run git fetch --refetch --no-filter"
		}
		s.gap(plural(p.n, what), why+"; the first is "+strconv.Quote(printable(p.example)))
	}
	gaps := s.gaps
	s.gaps = nil
	for _, g := range gaps {
		if !s.yield(audit.Item{}, &g) {
			return errStop
		}
	}
	return nil
}

// safeText makes a path or name valid UTF-8, broken bytes visible as \xNN.
func safeText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		if c == unicode.ReplacementChar && n == 1 {
			b.WriteString(`\x` + hex.EncodeToString([]byte{s[0]}))
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
