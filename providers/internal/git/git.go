// Package git reads repositories: each content that was ever stored, once, and the places it lies at.
//
// A caller finds a repository with [Find] or [Enclosing], or fetches one with [Dial] and [Remote.Clone], opens it with [Open] and lists it with
// [Repository.Items]. Nothing that the repository configures has an effect: no hook, filter, attribute, fsmonitor, include,
// credential helper, replacement or graft, and nothing is ever fetched or written. That is so because git runs on a git
// directory of our own making, which only borrows the repository's objects; refs, reflogs and configuration are read by this
// package as data. It also makes git's check of the owner ("dubious ownership", common in containers) superfluous.
//
// Objects are read by package pack; git is asked for what that cannot read.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/cache"
	"github.com/leakreach/leakreach/providers/internal/pack"
)

// A Repository is open for reading. It is for one goroutine at a time, except that contents may be opened from any.
type Repository struct {
	Layout

	git    string // the program
	shadow string // our own git directory, removed by Close
	clone  string // the directory that Clone made, removed by Close, or ""
	format string // sha1, sha256
	width  int    // of an object id in hex digits
	dirs   []string
	gaps   []audit.Gap // what opening it showed to be missing
	memory audit.Memory

	border   map[string]bool // commits of a shallow clone whose parents it lacks
	promisor bool
	incoming *incoming    // nil unless Clone began it
	entry    *cache.Entry // nil if what was fetched is not kept
	isKept   bool         // it had been fetched before, but for what is new
	isSound  bool         // the last listing had all, but for what is large
	rules    string       // a digest of what decides what scanning says of a content
	objects  *objectReader
	refs     *references // made by references when first needed
}

// Open prepares a repository for reading, within memory. The caller closes it; when ctx ends, nothing more can be read.
func Open(ctx context.Context, l Layout, memory audit.Memory) (*Repository, error) {
	r := &Repository{Layout: l, memory: memory}
	if err := r.prepare(ctx, nil); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// prepare is Open for a repository whose only pack may still be coming.
func (r *Repository) prepare(ctx context.Context, coming *pack.Arrival) (err error) {
	r.git, r.format, r.width = program(), "sha1", 40
	if r.shadow, err = os.MkdirTemp("", "leakreach-git-"); err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	if err := r.configure(); err != nil {
		return err
	}
	if err := r.cast(); err != nil {
		return fmt.Errorf("preparing to read the repository: %w", err)
	}
	options := pack.Options{IDSize: r.width / 2, Limit: r.MaxContent(), Lend: r.lent(), Held: r.memory.Share(32, pack.MaxHeld)}
	var store *pack.Store
	if coming != nil {
		store = pack.Receive(coming, options)
	} else if store, err = pack.Open(ctx, r.dirs, options); err != nil {
		return fmt.Errorf("reading packs: %w", err)
	}
	r.objects = &objectReader{r: r, ctx: ctx, store: store}
	return nil
}

// Close ends all processes and removes what Open made. Contents can be opened no more.
func (r *Repository) Close() error {
	r.incoming.stop()
	if r.objects != nil {
		r.objects.close()
	}
	err := os.RemoveAll(r.shadow)
	if r.clone != "" {
		err = errors.Join(err, os.RemoveAll(r.clone))
	}
	if r.entry != nil {
		r.entry.Close()
	}
	return err
}

// maxSettings bounds the configuration file of a repository, in bytes: one of a thousand branches has a hundred KiB.
const maxSettings = 16 << 20

// configure learns the few settings that tell how the objects are stored. Nothing else of the configuration has an effect.
func (r *Repository) configure() error {
	b, err := readRegular(filepath.Join(r.CommonDir, "config"), maxSettings)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var list []setting
	if err == nil {
		list, err = parseSettings(b)
	}
	if err != nil {
		r.gap("configuration of the repository", "it cannot be read whole, and what is missing is taken for git's defaults: "+printable(printableError(err).Error()))
	}
	for _, s := range list {
		switch key := s.key; {
		case key == "extensions.objectformat" && strings.EqualFold(s.value, "sha256"):
			r.format, r.width = "sha256", 64
		case key == "extensions.objectformat" && !strings.EqualFold(s.value, "sha1"):
			return fmt.Errorf("the repository uses an unknown object format %q", printable(s.value))
		case key == "extensions.refstorage" && !strings.EqualFold(s.value, "files"):
			r.gap("refs", "they are stored as "+printable(s.value)+", which is not read: contents are scanned, branches not named")
		case key == "extensions.partialclone",
			strings.HasPrefix(key, "remote.") && strings.HasSuffix(key, ".promisor") && s.value != "false":
			r.promisor = true
		}
	}
	return nil
}

// cast makes the shadow: a bare repository without refs that borrows the objects.
func (r *Repository) cast() error {
	r.dirs = r.objectDirs()
	if len(r.dirs) == 0 {
		return errors.New("it has no object store")
	}
	for _, dir := range []string{"objects/info", "refs", "info"} {
		if err := os.MkdirAll(filepath.Join(r.shadow, dir), 0o700); err != nil {
			return err
		}
	}
	var borrowed strings.Builder
	for _, dir := range r.dirs {
		if strings.ContainsRune(dir, '\n') {
			return errors.New("the path of an object store has a line break")
		}
		borrowed.WriteString(quoteAlternate(dir) + "\n")
	}
	// The limits keep git's own memory small, at no cost in time: large contents are streamed, and of large packs only parts mapped.
	config := "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n\tcommitGraph = false\n\tmultiPackIndex = false\n" +
		"\tbigFileThreshold = 16m\n\tpackedGitWindowSize = 16m\n\tpackedGitLimit = 64m\n\tdeltaBaseCacheLimit = 48m\n\texcludesFile = " + os.DevNull + "\n\tattributesFile = " + os.DevNull + "\n\thooksPath = " + os.DevNull + "\n" +
		"\tfsmonitor = false\n\tuntrackedCache = false\n\tprecomposeUnicode = false\n" +
		"[extensions]\n\tobjectFormat = " + r.format + "\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
	files := map[string]string{
		"HEAD": "ref: refs/heads/none\n", "config": config, "objects/info/alternates": borrowed.String(),
	}
	if b, err := readRegular(filepath.Join(r.CommonDir, "shallow"), 64<<20); err == nil && len(b) > 0 {
		r.border = map[string]bool{}
		for line := range bytes.Lines(b) {
			if id := strings.TrimSpace(string(line)); r.isID(id) {
				r.border[id] = true
			}
		}
		files["shallow"] = strings.Join(slices.Sorted(maps.Keys(r.border)), "\n") + "\n"
		r.gap("history before "+plural(len(r.border), "commit"), "the clone is shallow: "+
			"run git fetch --unshallow (actions/checkout: fetch-depth: 0; GitLab CI: GIT_DEPTH: 0)")
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.shadow, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// quoteAlternate writes a path as a line of objects/info/alternates; git takes a leading quote for C quoting.
func quoteAlternate(path string) string {
	if path[0] != '"' && path[0] != '#' {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// IsSound tells whether the last listing had all there is, but for what is too large.
func (r *Repository) IsSound() bool { return r.isSound }

func (r *Repository) gap(what, why string) {
	r.gaps = append(r.gaps, audit.Gap{What: what, Why: why})
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
