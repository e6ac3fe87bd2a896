package local

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/audit"
)

// Standard input is read in windows, so that it may be of any length. They overlap, so that no secret is cut. With a limit to memory,
// one takes a sixteenth of it: it is copied to grow, and a scan makes copies of what it finds encoded.
const (
	window  = 64 << 20
	overlap = 64 << 10
	growth  = 16 // of a buffer that is full: less to copy, and of a large one only the pages that are written to are memory
)

// stream lists standard input. One window is in memory at a time.
func (l *listing) stream() error {
	in := l.env.Stdin
	if in == nil {
		in = strings.NewReader("")
	}
	window := int(l.env.Memory.Share(16, window))
	var buf []byte
	kept, start, total := 0, int64(0), int64(0)
	for {
		fresh, end, err := l.fill(in, kept, window, &buf)
		if err != nil {
			return err
		}
		total += int64(fresh)
		if total == 0 {
			return fmt.Errorf("%w: standard input is empty", audit.ErrNothing)
		}
		name := "stdin"
		if start > 0 {
			name = fmt.Sprintf("stdin from byte %d", start)
		}
		if fresh > 0 {
			var once sync.Once
			scanned := make(chan struct{})
			err := l.give(audit.Item{
				Kind: audit.KindStream, At: audit.Location{Kind: audit.InFile, Name: name}, Size: int64(kept + fresh),
				Content: buf[:kept+fresh], Done: func() { once.Do(func() { close(scanned) }) },
			})
			if err != nil {
				return err
			}
			if end {
				return nil
			}
			select {
			case <-scanned:
			case <-l.ctx.Done():
				return l.ctx.Err()
			}
		}
		if end {
			return nil
		}
		start += int64(kept + fresh - overlap)
		kept = copy(buf, buf[kept+fresh-overlap:kept+fresh])
	}
}

// fill reads until the window is full or the input ends. Reading cannot be interrupted, so it is left behind when the context
// ends: the program does so too, then.
func (l *listing) fill(in io.Reader, kept, window int, buf *[]byte) (n int, end bool, err error) {
	type result struct {
		buf []byte
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		b := *buf
		n := 0
		for {
			if kept+n == window {
				done <- result{b, n, nil}
				return
			}
			if kept+n == len(b) {
				grown := make([]byte, min(max(growth*len(b), 64<<10), window))
				copy(grown, b)
				b = grown
			}
			m, err := in.Read(b[kept+n:])
			if n += m; err != nil {
				done <- result{b, n, err}
				return
			}
		}
	}()
	select {
	case r := <-done:
		*buf = r.buf
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			err = l.gap("standard input", "reading it ended early: "+cause(r.err).Error())
		}
		return r.n, r.err != nil, err
	case <-l.ctx.Done():
		return 0, true, l.ctx.Err()
	}
}
