package pack

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
)

// A file is read at any place, from several goroutines. Where the system can, it is mapped: what is looked at is not copied.
type file struct {
	name string
	f    *os.File
	size int64
	data []byte // the mapping, or nil

	looked []atomic.Bool // the stretches of the mapping that were viewed since pages were last given back
	many   atomic.Int64  // of them
}

// maxResident is how much of a mapping may pile up in the process before its pages are given back. They stay in the system's cache,
// so that one needed again costs little; but a limit on memory counts them while they are mapped.
const maxResident = 16 << 20

// stretch is what the system maps at once of a file that is in its cache, around the byte that is looked at: Linux's fault_around_bytes.
// Deltas lie all over a pack, so that most of what is mapped was never looked at.
const stretch = 64 << 10

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
	m := &file{name: name, f: f, size: info.Size()}
	m.mapAll()
	return m, nil
}

func (m *file) mapAll() {
	if m.size > 0 && m.size == int64(int(m.size)) {
		m.data, _ = mapFile(m.f, int(m.size)) // what cannot be mapped is read
		m.looked = make([]atomic.Bool, (m.size-1)/stretch+1)
	}
}

// view returns the bytes from one offset to another, or to the end of the file. They are valid until scratch is used again and the
// file closed.
func (m *file) view(from, to int64, scratch *[]byte) ([]byte, error) {
	to = min(to, m.size)
	if from < 0 || from > to {
		return nil, io.ErrUnexpectedEOF
	}
	if m.data != nil {
		for at := from / stretch; at*stretch < to; at++ {
			if !m.looked[at].Load() && m.looked[at].CompareAndSwap(false, true) && m.many.Add(1) == maxResident/stretch {
				m.forget()
			}
		}
		return m.data[from:to], nil
	}
	b := grow(scratch, int(to-from))
	_, err := m.f.ReadAt(b, from)
	return b, err
}

// forget gives back the pages that were looked at. What others look at meanwhile is mapped again, and may not be counted.
func (m *file) forget() {
	if m.data == nil {
		return
	}
	forget(m.data)
	m.many.Store(0)
	for at := range m.looked {
		m.looked[at].Store(false)
	}
}

func (m *file) close() {
	if m.data != nil {
		unmap(m.data)
		m.data = nil
	}
	_ = m.f.Close()
}

// grow returns n bytes of a buffer that is kept for the next time, unless it is large.
func grow(scratch *[]byte, n int) []byte {
	const keep = 1 << 20 // most deltas and compressed objects are smaller
	if n <= cap(*scratch) {
		return (*scratch)[:n]
	}
	b := make([]byte, n, n+n/2)
	if cap(b) <= keep {
		*scratch = b
	}
	return b
}
