package wire

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's checksum, which is no promise of safety
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
)

// maxText bounds what comes around a pack, in bytes: progress, signs of life, and the border of a shallow history, which is one line of
// fifty bytes for each commit.
const maxText = 16 << 20

// A Request says what is to be in a pack.
type Request struct {
	// Wants are ids that the server listed: all they lead to is sent. Required; one id may come several times.
	Wants []string
	// Alone asks for no more than the wanted objects, whether the server listed them or not. It may refuse that, or send more.
	Alone bool
	// Commits asks for no trees and contents, but for those that are wanted themselves. The server may send them all the same.
	Commits bool
	// Haves are ids of which the receiver has all that they lead to: it is left out. The pack is whole all the same: no delta in it builds on
	// what is left out, so that it can be kept as it is. That makes it a little larger, by half for ten commits.
	Haves []string
	// Depth leaves out what lies more than so many commits deep; 0 leaves out nothing.
	Depth int
}

// A Pack is what was received.
type Pack struct {
	Size     int64
	Objects  uint32 // as its header says
	Checksum string // its last bytes in hex, which are that of the others
}

// A Delivery is a pack that a server is about to send.
type Delivery struct {
	Shallow []string // commits whose parents are left out

	r      *Remote
	body   io.Closer
	in     *packets
	framed bool // the pack comes in packets
}

// Fetch asks for a pack, and returns when the server begins to send it. The caller closes the delivery.
func (r *Remote) Fetch(ctx context.Context, q Request) (*Delivery, error) {
	q.Wants, q.Haves = distinct(q.Wants), distinct(q.Haves)
	if len(q.Wants) == 0 {
		return nil, errors.New("nothing is asked for")
	}
	if q.Alone {
		q.Depth = 1
	}
	write, begin := r.ask0, (*Delivery).begin0
	if r.version == 2 {
		write, begin = r.ask2, (*Delivery).begin2
	}
	request, err := write(q)
	if err != nil {
		return nil, err
	}
	body, err := r.post(ctx, request)
	if err != nil {
		return nil, err
	}
	d := &Delivery{r: r, body: body, in: newPackets(body, maxText)}
	if err := begin(d, q); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// Close breaks off what was not received.
func (d *Delivery) Close() error { return d.body.Close() }

// Receive writes the pack to w as it comes. Whatever is wrong with the pack as a file is an error: another format, a wrong checksum,
// more objects than there is room for. What the objects are is not looked at.
func (d *Delivery) Receive(w io.Writer) (*Pack, error) {
	out := newPackFile(w, d.r.Format, d.r.MaxPack)
	var err error
	if d.framed {
		err = d.demultiplex(out)
	} else {
		_, err = io.Copy(out, d.in.rest()) // nothing around the pack: it ends with the answer
	}
	if err != nil {
		return nil, err
	}
	return out.finish()
}

func distinct(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

var errNoDepth = errors.New("the server cannot leave out a part of the history")

// command begins a request of version 2.
func (r *Remote) command(m *message, name string) {
	m.add("command=" + name)
	if _, ok := r.capabilities["agent"]; ok {
		m.add("agent=leakreach")
	}
	if _, ok := r.capabilities["object-format"]; ok {
		m.add("object-format=" + r.Format)
	}
	m.end(delim)
}

// ask2 writes the request of version 2. Nothing is negotiated: all that we have is told at once.
func (r *Remote) ask2(q Request) ([]byte, error) {
	var m message
	r.command(&m, "fetch")
	m.add("ofs-delta")
	m.add("no-progress")
	offered := strings.Fields(r.capabilities["fetch"])
	if (q.Alone || q.Commits) && slices.Contains(offered, "filter") {
		m.add("filter tree:0") // of what is not asked for by its id
	}
	if q.Depth > 0 {
		if !slices.Contains(offered, "shallow") {
			return nil, errNoDepth
		}
		m.add(fmt.Sprintf("deepen %d", q.Depth))
	}
	for _, id := range q.Wants {
		m.add("want", id)
	}
	for _, id := range q.Haves {
		m.add("have", id)
	}
	m.add("done")
	m.end(flush)
	return m.Bytes(), nil
}

// begin2 reads the answer of version 2 up to the pack: sections, of which that is the last. What we did not ask for is passed over.
func (d *Delivery) begin2(Request) error {
	d.framed = true
	for {
		m, line, err := d.in.line()
		switch {
		case err != nil:
			return err
		case m != data:
			return errors.New("the server sent no pack")
		case string(line) == "packfile":
			return nil
		}
		if err := d.section(string(line) == "shallow-info"); err != nil {
			return err
		}
	}
}

// section reads up to the end of a section.
func (d *Delivery) section(isShallow bool) error {
	for {
		m, line, err := d.in.line()
		if err != nil {
			return err
		}
		if m != data {
			return nil
		}
		if id, ok := bytes.CutPrefix(line, []byte("shallow ")); ok && isShallow && validID(string(id), d.r.Format) {
			d.Shallow = append(d.Shallow, string(id))
		}
	}
}

// ask0 writes the request of versions 0 and 1.
func (r *Remote) ask0(q Request) ([]byte, error) {
	use := []string{}
	for _, c := range []string{"side-band-64k", "ofs-delta", "no-progress"} {
		if _, ok := r.capabilities[c]; ok {
			use = append(use, c)
		}
	}
	if _, ok := r.capabilities["agent"]; ok {
		use = append(use, "agent=leakreach")
	}
	if _, ok := r.capabilities["object-format"]; ok {
		use = append(use, "object-format="+r.Format)
	}
	if _, ok := r.capabilities["shallow"]; q.Depth > 0 && !ok {
		return nil, errNoDepth
	}
	var m message
	for i, id := range q.Wants {
		if i == 0 {
			m.add("want", id, strings.Join(use, " "))
		} else {
			m.add("want", id)
		}
	}
	if q.Depth > 0 {
		m.add(fmt.Sprintf("deepen %d", q.Depth))
	}
	m.end(flush)
	for _, id := range q.Haves {
		m.add("have", id)
	}
	m.add("done")
	return m.Bytes(), nil
}

// begin0 reads the answer of versions 0 and 1 up to the pack: the border if a depth was asked for, and one line that says whether
// anything we have is known there.
func (d *Delivery) begin0(q Request) error {
	d.Shallow = slices.Clone(d.r.shallow)
	if q.Depth > 0 {
		if err := d.section(true); err != nil {
			return err
		}
	}
	m, line, err := d.in.line()
	switch {
	case err != nil:
		return err
	case m != data || !bytes.Equal(line, []byte("NAK")) && !bytes.HasPrefix(line, []byte("ACK ")):
		return errors.New("the server sent no pack")
	}
	_, d.framed = d.r.capabilities["side-band-64k"]
	return nil
}

// demultiplex takes the pack out of what comes around it (gitprotocol-pack(5), "Packfile Data").
func (d *Delivery) demultiplex(out *packFile) error {
	last := time.Now() // a part of the pack came, or it was asked for
	for {
		m, b, err := d.in.next()
		switch {
		case err != nil:
			return err
		case m != data:
			return nil
		case len(b) == 0:
			return errors.New("the server sent a packet without a channel")
		}
		switch channel, b := b[0], b[1:]; channel {
		case 1:
			if len(b) > 0 {
				if _, err := out.Write(b); err != nil {
					return err
				}
				last = time.Now()
				continue
			}
		case 2:
		case 3:
			return refusal(b)
		default:
			return fmt.Errorf("the server sent a packet on an unknown channel %d", channel)
		}
		// progress, or nothing but a sign of life
		if err := d.in.spend(len(b)); err != nil {
			return err
		}
		if time.Since(last) > d.r.Preparation {
			return fmt.Errorf("the server sent no part of the pack for %s", d.r.Preparation)
		}
	}
}

const (
	packHeader = 12 // "PACK", version, number of objects: gitformat-pack(5)
	// leastObject is the size in bytes of the smallest object in a pack: one for kind and length, and eight are what zlib makes of nothing.
	leastObject = 9
)

// A packFile checks a pack while it goes by.
type packFile struct {
	to    io.Writer
	limit int64
	size  int64
	head  []byte // the header, as far as it came
	sum   hash.Hash
	tail  []byte // what came last: part of what the checksum is over, or the checksum itself
	width int
}

func newPackFile(to io.Writer, format string, limit int64) *packFile {
	f := &packFile{to: to, limit: limit, sum: sha1.New(), width: width(format)} //nolint:gosec // see above
	if format == "sha256" {
		f.sum = sha256.New()
	}
	return f
}

func (f *packFile) Write(b []byte) (int, error) {
	if f.size+int64(len(b)) > f.limit {
		return 0, fmt.Errorf("%w: more than %s", ErrTooLarge, bytesIn(f.limit))
	}
	f.size += int64(len(b))
	if n := packHeader - len(f.head); n > 0 {
		f.head = append(f.head, b[:min(n, len(b))]...)
		if err := f.checkHeader(); err != nil {
			return 0, err
		}
	}
	f.digest(b)
	n, err := f.to.Write(b)
	if err != nil {
		err = fmt.Errorf("storing the pack: %w", err)
	}
	return n, err
}

// checkHeader ends what is no pack before much of it has come.
func (f *packFile) checkHeader() error {
	if len(f.head) < packHeader {
		return nil
	}
	if version := binary.BigEndian.Uint32(f.head[4:]); string(f.head[:4]) != "PACK" || version != 2 && version != 3 {
		return errors.New("the server sent something else than a pack")
	}
	return nil
}

// digest adds all that came so far but the last bytes to the sum.
func (f *packFile) digest(b []byte) {
	if len(b) >= f.width {
		f.sum.Write(f.tail)
		f.sum.Write(b[:len(b)-f.width])
		f.tail = append(f.tail[:0], b[len(b)-f.width:]...)
		return
	}
	f.tail = append(f.tail, b...)
	if over := len(f.tail) - f.width; over > 0 {
		f.sum.Write(f.tail[:over])
		f.tail = append(f.tail[:0], f.tail[over:]...)
	}
}

// finish describes the pack, which ends here.
func (f *packFile) finish() (*Pack, error) {
	if f.size < int64(packHeader+f.width) {
		return nil, errors.New("the server sent no pack")
	}
	if !bytes.Equal(f.sum.Sum(nil), f.tail) {
		return nil, errors.New("the pack was damaged on its way: its checksum is another")
	}
	p := &Pack{f.size, binary.BigEndian.Uint32(f.head[8:]), hex.EncodeToString(f.tail)}
	if int64(p.Objects)*leastObject > f.size {
		return nil, fmt.Errorf("the pack names more objects than it has room for: %d", p.Objects)
	}
	return p, nil
}

// bytesIn writes a limit with the largest unit that it is a multiple of.
func bytesIn(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
