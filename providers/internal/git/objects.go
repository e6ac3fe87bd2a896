package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/providers/internal/pack"
)

// An object is one stored object.
type object struct {
	id      string
	kind    string // blob, tree, commit, tag; "missing" for one that is not there, without content
	size    int64
	content []byte // lent until done is called; nil for one above MaxContent
	done    func()
}

// readHeader reads the next header of git cat-file --batch. The content follows, and then one line feed. io.EOF is the end of the
// stream.
func readHeader(in *bufio.Reader) (object, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		if len(line) > 0 {
			err = noEOF(err)
		}
		return object{}, err
	}
	id, rest, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
	kind, size, sized := bytes.Cut(rest, []byte(" "))
	o := object{id: string(id)}
	switch string(kind) { // constants, so that a header costs one allocation
	case "blob":
		o.kind = "blob"
	case "tree":
		o.kind = "tree"
	case "commit":
		o.kind = "commit"
	case "tag":
		o.kind = "tag"
	default:
		if sized {
			return object{}, fmt.Errorf("unexpected answer of git cat-file: %s", printable(string(line)))
		}
		o.kind = "missing"
		return o, nil
	}
	if o.size, err = strconv.ParseInt(string(size), 10, 64); err != nil || o.size < 0 {
		return object{}, fmt.Errorf("unexpected answer of git cat-file: %s", printable(string(line)))
	}
	return o, nil
}

// skipContent passes over an object's content, or what is left of it, and the line feed behind it.
func skipContent(in *bufio.Reader, size int64) error {
	_, err := io.CopyN(io.Discard, in, size+1)
	return noEOF(err)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// An objectReader reads single objects. What the store cannot read, it asks of one git process that it starts when it is first
// needed. It may be used from several goroutines; where they need git, they wait for each other.
type objectReader struct {
	r     *Repository
	ctx   context.Context // that of Open: the process outlives the call that needed it first
	store *pack.Store

	mu     sync.Mutex // held while one object is read
	p      *process
	in     *os.File
	cancel context.CancelFunc
	closed bool
}

// errTooLarge says that an object is above the limit.
func (r *Repository) errTooLarge() error { return fmt.Errorf("larger than %d MiB", r.MaxContent()>>20) }

// read returns a whole object. The content is not to be changed.
func (o *objectReader) read(ctx context.Context, id string) (kind string, content []byte, err error) {
	if binary, ok := pack.ParseID(id, o.r.width/2); ok {
		k, content, err := o.store.Read(ctx, binary)
		switch {
		case err == nil:
			return k.String(), content, nil
		case errors.Is(err, pack.ErrTooLarge):
			return "", nil, o.r.errTooLarge()
		}
	}
	return o.ask(ctx, id)
}

// ask has git read an object. A failed read ends the process, and the next one starts another.
func (o *objectReader) ask(ctx context.Context, id string) (kind string, content []byte, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return "", nil, errors.New("the repository is closed")
	}
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	if len(id) != o.r.width || strings.Trim(id, "0123456789abcdef") != "" {
		return "", nil, errors.New("not an object id")
	}
	if err := o.begin(); err != nil {
		return "", nil, err
	}
	stop := context.AfterFunc(ctx, o.cancel) // only this unblocks a read that hangs
	defer func() {
		if !stop() || err != nil && !errors.Is(err, os.ErrNotExist) {
			o.end()
		}
	}()
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return "", nil, fmt.Errorf("asking for object: %w", err)
	}
	h, err := readHeader(o.p.out)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("reading object: %w", noEOF(err))
	case h.kind == "missing":
		return "", nil, fmt.Errorf("object is missing: %w", os.ErrNotExist)
	case h.size > o.r.MaxContent():
		return "", nil, o.r.errTooLarge()
	}
	content = make([]byte, h.size)
	if _, err := io.ReadFull(o.p.out, content); err != nil {
		return "", nil, fmt.Errorf("reading object: %w", noEOF(err))
	}
	_, err = o.p.out.Discard(1)
	return h.kind, content, err
}

// begin starts the process.
func (o *objectReader) begin() error {
	if o.p != nil {
		return nil
	}
	in, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	ctx, cancel := context.WithCancel(o.ctx)
	p, err := o.r.start(ctx, in, "cat-file", "--batch")
	_ = in.Close()
	if err != nil {
		cancel()
		_ = w.Close()
		return err
	}
	o.p, o.in, o.cancel = p, w, cancel
	return nil
}

func (o *objectReader) end() {
	if o.p == nil {
		return
	}
	_ = o.in.Close()
	o.cancel()
	o.p.stop()
	o.p = nil
}

func (o *objectReader) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.end()
	o.store.Close()
}

func packs(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "pack", "pack-*.pack"))
	return list
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

// printableError leaves the path out of a file error: the message names the file already, in a form fit to print.
func printableError(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
