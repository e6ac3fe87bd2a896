package pack

import (
	"errors"
	"io"
	"os"
)

// A file is read at any place, from several goroutines. It is not mapped: Linux maps all that its cache keeps in one piece around the byte that
// is looked at, up to 2 MiB, and counts it as memory of the process. Deltas lie all over a pack.
type file struct {
	name string
	f    *os.File
	size int64
}

func openFile(name string) (*file, error) {
	info, err := os.Stat(name) // before it is opened: that would wait for the other end of a pipe
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &file{name: name, f: f, size: info.Size()}, nil
}

// all maps the file, where the system can, or reads it.
func (m *file) all() (b []byte, mapped bool, err error) {
	if m.size != int64(int(m.size)) {
		return nil, false, errors.New("too large for this system")
	}
	if b, err := mapFile(m.f, int(m.size)); err == nil {
		return b, true, nil
	}
	b = make([]byte, m.size)
	_, err = io.ReadFull(m.f, b)
	return b, false, err
}

func (m *file) close() { _ = m.f.Close() }

// A window is what was read of a file last: mostly an entry's header, what follows it, and the entries behind.
type window struct {
	of  *file
	at  int64
	b   []byte
	buf []byte // that b lies in, unless it is large
}

// ahead is what is read at least: most entries are smaller.
const ahead = 4 << 10

// view returns the bytes from one offset to another, or to the end of the file. They are valid until w is used again. Where the file turns out
// to be shorter, the error is that of [io.ReaderAt].
func (m *file) view(from, to int64, w *window) ([]byte, error) {
	to = min(to, m.size)
	if from < 0 || from > to {
		return nil, io.ErrUnexpectedEOF
	}
	if w.of != m || from < w.at || to > w.at+int64(len(w.b)) {
		b := grow(&w.buf, int(min(max(to-from, ahead), m.size-from)))
		n, err := m.f.ReadAt(b, from)
		if b = b[:n]; int64(n) < to-from {
			w.of = nil
			return b, err
		}
		if len(b) > maxKept {
			w.of = nil
			return b[:to-from], nil
		}
		w.of, w.at, w.b = m, from, b
	}
	return w.b[from-w.at : to-w.at], nil
}

// maxKept is the largest buffer that is kept for the next time: most deltas and compressed objects are smaller.
const maxKept = 1 << 20

// grow returns n bytes of a buffer that is kept, unless it is large.
func grow(scratch *[]byte, n int) []byte {
	if n > maxKept {
		return make([]byte, n)
	}
	if n > cap(*scratch) {
		*scratch = make([]byte, min(n+n/2, maxKept))
	}
	return (*scratch)[:n]
}
