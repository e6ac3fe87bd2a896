package git

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// maxContent is the size above which a content is a gap, in bytes, and with it an eighth of the memory: a delta is applied to another
// content of the size.
const maxContent = 100 << 20

// MaxContent is the size above which a content is a gap, in bytes.
func (r *Repository) MaxContent() int64 { return r.memory.Share(8, maxContent) }

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
	// Locks says that GitHub runs workflows by their lock file: those that HEAD has are listed with HEAD's.
	Locks bool
}

// Items lists the repository: first each content once (blobs without a path, commits and tags as git stores them, then file
// and ref names), then the places of the blobs. Everything stored is listed, reachable or not; a blob for which no place
// follows is dangling. Contents are lent: no more than maxLent bytes are out at once, so the consumer must call Done.
//
// What a place opens to can be read until the repository is closed.
func (r *Repository) Items(ctx context.Context, opts Options) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		s := &scan{Repository: r, ctx: ctx, Options: opts, yield: yield, lend: newLender(r.lent()), trees: newTrees(r.width/2, r.treeMemory()), problems: map[string]*problem{}}
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

	trees    *trees
	commits  []commit // oldest first, once all are read
	graph    *graph   // of commits
	tags     []tag
	blobs    []uint64          // short ids of the blobs listed
	only     func(commit) bool // of which commits what they say and change is listed; nil: all
	silent   bool              // contents of commits and tags are noted, not listed
	large    map[string]int64  // blobs above it
	tooLarge int               // gaps of them
	missing  int               // objects that were asked for and not there
	failed   int               // objects that could not be read

	elsewhere []string // objects that scanning said something about and only others lead to that share what is kept

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
	switch {
	case limited:
		if err := s.incoming.wait(s.ctx); err != nil {
			return err
		}
		err = s.someCommits()
	case s.isKept:
		err = s.whatIsNew()
	default:
		err = s.everything()
	}
	if err != nil {
		return err
	}
	s.trees.byAge(s.commits)
	s.graph = s.trees.graph(s.commits)
	if s.trees.dropped > 0 && s.trees.load == nil { // they are read again when they are needed
		s.trees.dropped, s.trees.load = 0, s.loadTree(s.ctx)
		s.makeRoom()
	}
	if s.trees.load == nil {
		s.trees.complete()
	}
	if n := s.graph.missing(); n > 0 {
		s.gap(plural(n, "commit"), "missing: commits that are there name them as parents")
	}
	slices.Sort(s.blobs)
	if limited {
		if err := s.contentsOf(); err != nil {
			return err
		}
		slices.Sort(s.blobs)
	}
	var files []audit.Item // whose content the history has, too
	if s.Files != nil {
		for it := range s.Files {
			known := it.Kind == audit.KindPlace
			if known && (s.listed(it.Object) || s.Since != "") {
				continue
			}
			if s.listed(it.Object) {
				files = append(files, it)
				continue
			}
			it.Kind, it.Object = audit.KindFile, ""
			if err := s.give(it); err != nil {
				return err
			}
		}
	}
	places := &places{scan: s}
	if err := places.list(files); err != nil {
		return err
	}
	if s.trees.dropped > 0 {
		s.gap(plural(s.trees.dropped, "tree"), fmt.Sprintf("left out: together they take more than %d MiB; some places of contents are unknown", s.trees.limit>>20))
	}
	if err := s.report(); err != nil {
		return err
	}
	if !limited {
		s.keep(places.choice)
	}
	return nil
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
	if err := s.incoming.wait(s.ctx); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	for _, p := range s.objects.store.Problems() {
		s.gap("pack "+printable(filepath.Base(p.File)), printable(printableError(p.Err).Error())+"; what can be read of it was scanned")
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
		if o.size > s.MaxContent() {
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

// tree keeps a tree for the places.
func (s *scan) tree(o object) error {
	s.trees.add(o.id, o.content)
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
	if o.kind == "commit" {
		return s.giveCommit(o.id, o.content, o.done)
	}
	t := parseTag(o.id, o.content)
	s.tags = append(s.tags, t)
	return s.giveTag(t, o.content, o.done)
}

// giveCommit keeps a commit and lists what it says, unless only leaves it out.
func (s *scan) giveCommit(id string, content []byte, done func()) error {
	c := s.parseCommit(id, content)
	s.trees.about[c.object].facts |= isCommit
	c.left = s.only != nil && !s.only(c)
	s.commits = append(s.commits, c)
	at := audit.Location{Kind: audit.InCommit, Commit: id, Name: "commit", Object: id, At: c.at.time(), Ref: s.refs.refOf(id)}
	return s.say(at, content, done, c.left)
}

// giveTag lists what a tag says.
func (s *scan) giveTag(t tag, content []byte, done func()) error {
	at := audit.Location{Kind: audit.InCommit, Commit: t.id, Name: "tag", Object: t.id, At: t.at.time(), Ref: s.refs.refOf(t.id)}
	if t.kind == "commit" && s.isID(t.target) {
		at.Commit = t.target
	}
	return s.say(at, content, done, false)
}

// say lists a commit or tag as git stores it.
func (s *scan) say(at audit.Location, content []byte, done func(), left bool) error {
	if left || s.silent {
		done()
		return nil
	}
	return s.give(audit.Item{Kind: audit.KindCommit, At: at, Size: int64(len(content)), Object: at.Object, Content: content, Done: done})
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

// listed tells whether a blob was among the contents. The list must be sorted by then.
func (s *scan) listed(oid string) bool {
	if !s.isID(oid) {
		return false
	}
	_, ok := slices.BinarySearch(s.blobs, short(oid))
	return ok
}

func (s *scan) problem(what, why, example string, n int) {
	key := what + "\x00" + why
	if s.problems[key] == nil {
		s.problems[key] = &problem{example: example}
	}
	s.problems[key].n += n
}

// report gives what could not be read.
func (s *scan) report() error {
	s.isSound = len(s.gaps) == s.tooLarge && s.failed+s.missing+len(s.problems) == 0
	for oid, size := range s.large {
		if size >= 0 {
			s.gap("object "+oid, fmt.Sprintf("not read: %d MiB, larger than %d MiB", size>>20, s.MaxContent()>>20))
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
