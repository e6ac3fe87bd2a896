package pack

import (
	"bufio"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/leakreach/leakreach/providers/internal/inflate"
)

// entries finds where the entries of a pack start that has no index: each ends where its compressed data does, which only inflating it
// can tell. Beside an error, it returns those before the defect.
func entries(ctx context.Context, p *packFile, limit int64) (offsets []int64, err error) {
	d := &decoder{}
	var scratch []byte
	head, err := p.view(0, packHeader, &scratch)
	if err != nil {
		return []int64{packHeader}, err
	}
	want := int64(binary.BigEndian.Uint32(head[8:]))
	at := int64(packHeader)
	for at < p.end() {
		if err := ctx.Err(); err != nil {
			return append(offsets, at), err
		}
		h, err := p.header(at, &scratch)
		var end int64
		if err == nil {
			end, err = d.skip(p, h, limit)
		}
		if err != nil {
			return append(offsets, at), err
		}
		offsets = append(offsets, at)
		at = end
	}
	if n := int64(len(offsets)); n != want || at != p.end() {
		err = fmt.Errorf("it is truncated, or has more than %d objects", want)
	}
	return append(offsets, at), err
}

// skip returns where the compressed data behind a header ends.
func (d *decoder) skip(p *packFile, h header, limit int64) (int64, error) {
	if !plausible(h.size, h.data, p.end()) {
		return 0, errEntry
	}
	if h.size > limit {
		return skipLarge(p, h)
	}
	end := min(h.data+longest(h.size), p.end())
	src, err := p.view(h.data, end+inflate.Slack, &d.src)
	if err != nil {
		return 0, err
	}
	used, err := d.Zlib(grow(&d.delta, int(h.size)+inflate.Slack)[:h.size], src)
	return h.data + int64(used), err
}

// skipLarge does so without holding the content.
func skipLarge(p *packFile, h header) (int64, error) {
	in := &counter{in: bufio.NewReader(io.NewSectionReader(p.f, h.data, p.end()-h.data))}
	r, err := zlib.NewReader(in)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, h.size+1))
	if err == nil && n != h.size {
		err = errors.New("an object does not have its size")
	}
	return h.data + in.n, err
}

// A counter counts the bytes that are read. As an io.ByteReader, it is not read beyond the end of what is compressed.
type counter struct {
	in *bufio.Reader
	n  int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.in.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// needIndex makes an index of a pack that has none, by making all objects.
func (s *Store) needIndex(ctx context.Context, p *packFile) error {
	if p.index.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &walk{s: s, ctx: ctx, out: make(chan []Object, 1), lender: newLender(s.Lend)}
	go func() {
		defer close(w.out)
		w.pack(p, nil)
	}()
	lost := 0
	for batch := range w.out {
		for _, o := range batch {
			if o.Err != nil {
				lost++ // and it has no id by which it could be reported later
			}
		}
		giveBack(batch)
	}
	if lost > 0 {
		w.problem(p.name, fmt.Errorf("%d of its objects cannot be made", lost))
	}
	s.note(w.problems...)
	return ctx.Err()
}
