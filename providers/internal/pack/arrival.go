package pack

import (
	"bufio"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/leakreach/leakreach/inflate"
)

// An Arrival is a pack that is still being received. What is written to it lands in a file, which can be read by [Receive] at once.
type Arrival struct {
	file *os.File

	mu    sync.Mutex // guards all below
	grown sync.Cond  // there is more, or there will be none
	size  int64
	ended bool
	err   error // why it ended early
}

// NewArrival makes the file. [Store.Close] closes it.
func NewArrival(name string) (*Arrival, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	a := &Arrival{file: f}
	a.grown.L = &a.mu
	return a, nil
}

// arrived is a pack that is all there.
func arrived(f *file) *Arrival {
	a := &Arrival{file: f.f, size: f.size, ended: true}
	a.grown.L = &a.mu
	return a
}

// Write adds to the pack.
func (a *Arrival) Write(b []byte) (int, error) {
	n, err := a.file.Write(b)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.size += int64(n)
	a.grown.Broadcast()
	return n, err
}

// End says that nothing will be written any more: with nil that all was, otherwise why not.
func (a *Arrival) End(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended, a.err = true, err
	a.grown.Broadcast()
}

// has tells whether there are n bytes, or no more will come.
func (a *Arrival) has(n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size >= n || a.ended
}

// wait waits until there are n bytes, or no more will come, and tells how many there are.
func (a *Arrival) wait(ctx context.Context, n int64) (size int64, err error) {
	stop := context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.grown.Broadcast()
	})
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.size < n && !a.ended && ctx.Err() == nil {
		a.grown.Wait()
	}
	return a.size, ctx.Err()
}

// Receive opens a pack that is still being received: Objects lists its objects as they come, what else is asked waits for its end.
func Receive(a *Arrival, o Options) *Store {
	s := newStore(o)
	s.packs = []*packFile{{file: &file{name: a.file.Name(), f: a.file}, idSize: o.IDSize, arrival: a}}
	return s
}

// settle waits for all of a pack. From then on it is one like any other.
func (p *packFile) settle(ctx context.Context) error {
	a := p.arrival
	if a == nil {
		return nil
	}
	if _, err := a.wait(ctx, math.MaxInt64); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return fmt.Errorf("receiving pack: %w", a.err)
	}
	if p.size == 0 {
		p.size = a.size
	}
	return nil
}

// windowSize is how much of an arriving pack is in memory: some ten packets of git's protocol. One object may need more.
const windowSize = 1 << 20

// An incoming is the listing of a pack without an index, in the order in which it comes. Only inflating an entry can tell where it ends,
// so an object is made at once if it is whole or builds on one that was made shortly before. That is so for nearly all: git writes what
// builds on an object soon behind it. The others are left for a plan.
type incoming struct {
	*walker
	p      *packFile
	buffer []byte
	window []byte // what is in buffer of the file, from at on
	at     int64

	table  table
	bases  map[int64]base // by offset
	trees  queue
	others queue
	strays bool // there are deltas that name their base by its id
}

// A table is what became known of a pack's entries while it came.
type table struct {
	offsets []int64 // of each entry, and where the last one ends
	given   []bool  // those that were listed
}

// A queue lists objects that others may build on, in the order in which they came. Directories have one of their own: they are small,
// and those that build on each other lie far apart, with all contents of files between them.
type queue struct {
	offsets []int64
	bytes   int64 // of all of them
	limit   int64
}

// arrive lists what it can of a pack that is still being received. Beside an error it returns what lies before the defect.
func (w *walk) arrive(p *packFile) (table, error) {
	trees := w.s.Held / 4 // of the whole histories that were tried, this leaves the least for later
	r := &incoming{
		walker: &walker{walk: w, decoder: w.s.decoder()}, p: p, bases: map[int64]base{},
		trees: queue{limit: trees}, others: queue{limit: w.s.Held - trees},
	}
	defer r.end()
	defer r.dropAll()
	err := r.list()
	r.table.offsets = append(r.table.offsets, r.at)
	if r.strays {
		p.learnt.begin(w.found)
	}
	return r.table, err
}

// list reads the header, the entries and the checksum behind them.
func (r *incoming) list() error {
	head, err := r.look(packHeader)
	switch {
	case err != nil:
		return err
	case len(head) < packHeader || string(head[:4]) != "PACK":
		return errors.New("not a pack")
	}
	if v := binary.BigEndian.Uint32(head[4:]); v != 2 && v != 3 {
		return fmt.Errorf("pack of unknown version %d", v)
	}
	want := binary.BigEndian.Uint32(head[8:])
	r.skip(packHeader)
	for range want {
		if err := r.entry(); err != nil {
			return err
		}
	}
	rest, err := r.look(r.p.idSize + 1)
	if err == nil && len(rest) != r.p.idSize {
		err = fmt.Errorf("it is truncated, or has more than %d objects", want)
	}
	return err
}

// look returns what comes next: at least n bytes, or all there are. They are valid until the next call.
func (r *incoming) look(n int) ([]byte, error) {
	if len(r.window) >= n {
		return r.window, nil
	}
	if !r.p.arrival.has(r.at + int64(n)) {
		r.flush() // what was made need not wait for what has not come
	}
	size, err := r.p.arrival.wait(r.ctx, r.at+int64(n))
	if err != nil {
		return nil, err
	}
	want := max(n, windowSize)
	if cap(r.buffer) != want { // one for a large object is not kept
		r.buffer = make([]byte, want)
	}
	had := copy(r.buffer, r.window)
	r.window = r.buffer[:min(int64(want), size-r.at)]
	if _, err := r.p.f.ReadAt(r.window[had:], r.at+int64(had)); err != nil {
		return nil, err
	}
	r.left.Add(int64(len(r.window)-had) * maxGrowth)
	return r.window, nil
}

// skip passes over n bytes.
func (r *incoming) skip(n int) {
	r.at += int64(n)
	r.window = r.window[min(n, len(r.window)):]
}

// entry reads one entry. An error says that it cannot be told where the next one starts.
func (r *incoming) entry() error {
	b, err := r.look(maxHeader)
	if err != nil {
		return err
	}
	h, err := parseHeader(b[:min(len(b), maxHeader)], r.at, r.p.idSize)
	if err != nil {
		return err
	}
	head := int(h.data - r.at)
	if h.size >= bigContent || h.size > r.s.Limit {
		return r.bigEntry(h, head)
	}
	if b, err = r.look(head + int(longest(h.size))); err != nil {
		return err
	}
	src := b[head:]
	if !plausible(h.size, 0, int64(len(src))) {
		return errEntry
	}
	var used int
	given := false
	if whole := h.kind != offsetDelta && h.kind != idDelta; whole && r.spend(h.size) == nil {
		given = true
		used, err = r.whole(h, src)
	} else {
		delta := grow(&r.delta, int(h.size)+inflate.Slack)[:h.size]
		if used, err = r.Zlib(delta, src); err == nil && !whole {
			given = r.build(h, delta) == nil
		}
	}
	if err != nil {
		return err
	}
	r.done(head+used, given)
	return nil
}

// done ends an entry of n bytes.
func (r *incoming) done(n int, given bool) {
	r.table.offsets, r.table.given = append(r.table.offsets, r.at), append(r.table.given, given)
	r.skip(n)
}

// whole makes an object of what it is compressed to.
func (r *incoming) whole(h header, src []byte) (used int, err error) {
	content, s, err := r.alloc(int(h.size))
	if err != nil {
		return 0, err
	}
	if used, err = r.Zlib(content, src); err != nil {
		r.settle(s)
		return 0, err
	}
	r.give(h.kind, content, s)
	return used, nil
}

// build makes an object of a delta. An error says that it is left for later, which is when what may be wrong with it is told.
func (r *incoming) build(h header, delta []byte) error {
	if h.kind == idDelta {
		r.strays = true
		return errBase
	}
	b, ok := r.bases[h.base]
	if !ok {
		return errBase
	}
	size, target, delta, err := deltaSizes(delta)
	switch {
	case err != nil:
		return err
	case size != int64(len(b.content)):
		return errDelta
	case target >= bigContent || target > r.s.Limit:
		return ErrTooLarge
	}
	content, s, err := r.follow(b.content, delta, target)
	if err != nil {
		return err
	}
	r.give(b.kind, content, s)
	return nil
}

// give lists an object and keeps it.
func (r *incoming) give(kind Kind, content []byte, s *slab) {
	id := hashed(looseHeader(kind, int64(len(content))), content, r.p.idSize)
	r.learn(r.p, id, r.at)
	r.keep(base{kind: kind, content: content, slab: s})
	r.lend(Object{ID: id, Kind: kind}, content, s)
	r.settle(s)
}

// keep makes the object at hand one to build on, and drops those that were that for longest.
func (r *incoming) keep(b base) {
	q := &r.others
	if b.kind == Tree { // a copy: it would keep a slab full of other things for long
		q, b.content, b.slab = &r.trees, slices.Clone(b.content), nil
	} else {
		b.slab.refs.Add(1)
	}
	r.bases[r.at] = b
	q.offsets = append(q.offsets, r.at)
	for q.bytes += int64(len(b.content)); q.bytes > q.limit && len(q.offsets) > 1; {
		r.drop(q)
	}
}

// drop forgets the first object of a queue.
func (r *incoming) drop(q *queue) {
	b := r.bases[q.offsets[0]]
	delete(r.bases, q.offsets[0])
	q.bytes -= int64(len(b.content))
	q.offsets = q.offsets[1:]
	b.drop()
}

func (r *incoming) dropAll() {
	for _, b := range r.bases {
		b.drop()
	}
}

// bigEntry passes over an object without holding it. One above the limit is listed without its content.
func (r *incoming) bigEntry(h header, head int) error {
	// As little at once as makes no more than some 16 MB: between two reads nobody looks whether this is still wanted.
	in := &counter{in: bufio.NewReaderSize(&tail{r, h.data}, 16<<10)}
	z, err := zlib.NewReader(in)
	if err != nil {
		return err
	}
	sum := newHash(r.p.idSize)
	_, _ = sum.Write(looseHeader(h.kind, h.size))
	n, err := io.Copy(sum, io.LimitReader(z, h.size+1))
	switch {
	case err != nil:
		return err
	case n != h.size:
		return errEntry
	}
	given := h.size > r.s.Limit && h.kind != offsetDelta && h.kind != idDelta
	if given {
		var id ID
		sum.Sum(id[:0])
		r.learn(r.p, id, r.at)
		r.add(Object{ID: id, Kind: h.kind, Size: h.size})
	}
	r.done(head+int(in.n), given)
	return nil
}

// A tail reads what comes from an offset on.
type tail struct {
	r  *incoming
	at int64
}

func (t *tail) Read(b []byte) (int, error) {
	size, err := t.r.p.arrival.wait(t.r.ctx, t.at+1)
	if err != nil {
		return 0, err
	}
	if size <= t.at {
		return 0, io.EOF
	}
	n, err := t.r.p.f.ReadAt(b[:min(int64(len(b)), size-t.at)], t.at)
	t.at += int64(n)
	return n, err
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

// learnt tells where objects lie in a pack without an index, as far as they were made. It is kept only where deltas name their base by
// its id.
type learnt struct {
	mu sync.Mutex
	at map[ID]int64 // nil if it is not kept
}

func (l *learnt) begin(list []found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = make(map[ID]int64, len(list))
	for _, f := range list {
		l.at[f.id] = f.offset
	}
}

func (l *learnt) add(f found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != nil {
		l.at[f.id] = f.offset
	}
}

func (l *learnt) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = nil
}

func (l *learnt) find(id ID) (offset int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	offset, ok = l.at[id]
	return offset, ok
}
