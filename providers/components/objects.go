package components

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/providers/internal/pack"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// objects are those of a repository that were received, in files that are removed in the end.
type objects struct {
	dir    string
	stores []*pack.Store
	packs  int // that were begun
	bytes  int64
}

const (
	// maxObject is the size of the largest object that is read, in bytes: a folder with ten thousand files has half of it.
	maxObject = 1 << 20
	// maxReceived bounds what one repository sends in a run, in bytes, over all of its components.
	maxReceived = 128 << 20
)

func (o *objects) close() {
	for _, s := range o.stores {
		s.Close()
	}
	if o.dir != "" {
		_ = os.RemoveAll(o.dir) // nothing there is needed any more
	}
}

// fetch receives objects.
func (r *repository) fetch(ctx context.Context, q wire.Request) (p *wire.Pack, err error) {
	if err := r.dial(ctx); err != nil {
		return nil, err
	}
	if r.objects.bytes > maxReceived {
		return nil, fmt.Errorf("its repository has sent more than %d MiB", maxReceived>>20)
	}
	if r.objects.dir == "" {
		if r.objects.dir, err = os.MkdirTemp("", "leakreach-components-"); err != nil {
			return nil, err
		}
	}
	delivery, err := r.remote.Fetch(ctx, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = delivery.Close() }()
	r.objects.packs++
	arrival, err := pack.NewArrival(filepath.Join(r.objects.dir, strconv.Itoa(r.objects.packs)+".pack"))
	if err != nil {
		return nil, err
	}
	size := 20
	if r.remote.Format == "sha256" {
		size = 32
	}
	p, err = delivery.Receive(arrival)
	arrival.End(err)
	s := pack.Receive(arrival, pack.Options{IDSize: size, Limit: maxObject, Lend: maxObject})
	if err != nil {
		s.Close()
		return nil, err
	}
	r.stores = append(r.stores, s)
	r.objects.bytes += p.Size
	return p, nil
}

// read returns an object that was received. It wraps [fs.ErrNotExist] if it was not.
func (o *objects) read(ctx context.Context, id string) (kind pack.Kind, content []byte, err error) {
	err = fs.ErrNotExist
	for _, s := range slices.Backward(o.stores) {
		binary, ok := pack.ParseID(id, s.IDSize)
		if !ok {
			continue
		}
		kind, content, rerr := s.Read(ctx, binary)
		if rerr == nil {
			return kind, content, nil
		}
		if !errors.Is(rerr, fs.ErrNotExist) {
			err = rerr
		}
	}
	return 0, nil, err
}

// A way leads from a commit to a file in it.
type way struct {
	folders []string // still to go into
	names   []string // that the file can have
	next    string   // the object that is needed
	steps   int      // that were made
	file    file     // in the end
	err     error
	done    bool
}

// A file is one of a commit. Its name is "" if there is none.
type file struct {
	Name    string
	Content []byte
}

// maxAsked is how often an object is asked for: with others, and by itself. Of objects that are asked for together, git leaves out those that lie in another one, as
// what it is to leave out is all that lies in something.
const maxAsked = 2

// follow goes all ways to their ends. What several need next is asked for at once, those first that have come least far: what they need does not lie in what the
// others do, for the most part.
func (r *repository) follow(ctx context.Context, ways []*way) {
	asked := map[string]int{}
	for {
		var missing []string
		least := 0
		for _, w := range ways {
			r.advance(ctx, w, asked)
			if w.done {
				continue
			}
			if missing == nil || w.steps < least {
				missing, least = nil, w.steps
			}
			if w.steps == least {
				missing = append(missing, w.next)
			}
		}
		if len(missing) == 0 {
			return
		}
		if i := slices.IndexFunc(missing, func(id string) bool { return asked[id] > 0 }); i >= 0 {
			missing = missing[i : i+1]
		}
		_, err := r.fetch(ctx, wire.Request{Wants: missing, Alone: true})
		for _, w := range ways {
			if !w.done && err != nil && slices.Contains(missing, w.next) {
				w.err, w.done = err, true
			}
		}
		for _, id := range missing {
			asked[id]++
		}
	}
}

// advance goes a way as far as objects were received.
func (r *repository) advance(ctx context.Context, w *way, asked map[string]int) {
	for !w.done {
		id := w.next
		kind, content, err := r.read(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			if asked[id] < maxAsked {
				return
			}
			err = errors.New("the server does not send it")
		}
		if err == nil {
			w.steps++
			err = w.step(kind, content)
		}
		if err != nil {
			w.err, w.done = fmt.Errorf("reading object %s: %w", id, err), true
		}
	}
}

// step goes on behind an object.
func (w *way) step(kind pack.Kind, content []byte) error {
	switch kind {
	case pack.Commit:
		line, _, _ := bytes.Cut(content, []byte("\n"))
		tree, ok := strings.CutPrefix(string(line), "tree ")
		if !ok || !isCommit(tree) {
			return errors.New("it is damaged")
		}
		w.next = tree
	case pack.Tree:
		entries, err := readTree(content, len(w.next)/2)
		if err != nil {
			return err
		}
		if len(w.folders) > 0 {
			e := entries[w.folders[0]]
			w.next, w.folders, w.done = e.id, w.folders[1:], !e.tree
			return nil
		}
		for _, name := range w.names {
			if e, ok := entries[name]; ok && e.blob {
				w.next, w.file.Name = e.id, name
				return nil
			}
		}
		w.done = true
	case pack.Blob:
		w.file.Content, w.done = content, true
	default:
		return errors.New("it is a tag")
	}
	return nil
}

// An entry is what a folder has under a name.
type entry struct {
	id         string
	tree, blob bool
}

// readTree reads a folder as git stores it: "MODE NAME", a zero byte, and an id in binary, again and again (gitformat-pack(5) calls it a tree).
func readTree(content []byte, size int) (map[string]entry, error) {
	entries := map[string]entry{}
	for len(content) > 0 {
		head, rest, ok := bytes.Cut(content, []byte{0})
		mode, name, named := strings.Cut(string(head), " ")
		if !ok || !named || len(rest) < size {
			return nil, errors.New("it is damaged")
		}
		e := entry{id: fmt.Sprintf("%x", rest[:size]), tree: mode == "40000", blob: mode == "100644" || mode == "100755"}
		if _, twice := entries[name]; !twice {
			entries[name] = e
		}
		content = rest[size:]
	}
	return entries, nil
}
