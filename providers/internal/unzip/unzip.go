// Package unzip reads zip archives as they come from a server, without their directory, which comes last.
//
// So an archive of any size takes no more memory than what is looked at of it, and of one that is broken off all that came is read. What the
// directory alone would tell (names in other encodings, members that were replaced) is not known.
//
// The format is that of PKWARE's APPNOTE.TXT, version 6.3.10; numbers of sections are its.
package unzip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"

	"github.com/klauspost/compress/flate"
)

// A Member is a file of an archive. It is read before the next one is asked for.
type Member struct {
	Name string // as it stands there, as far as it is UTF-8; at most maxName bytes
	Size int64  // unpacked, as the archive says; -1 if it does not say it beforehand
	io.Reader
}

// Limits of an archive. What is more is an error.
type Limits struct {
	Members int
	Bytes   int64 // unpacked, of all members
}

var (
	// ErrNoZip says that it is no archive.
	ErrNoZip = errors.New("no zip archive")
	// ErrLimit says that there is more in it than is read.
	ErrLimit = errors.New("more than is read of one archive")
)

// A MemberError says that a member cannot be read. Others can.
type MemberError struct{ Name, Why string }

func (e *MemberError) Error() string { return e.Name + ": " + e.Why }

const (
	maxName  = 1000     // bytes of a name; paths longer than that are no files'
	buffered = 64 << 10 // of the archive

	headerLen = 30
	header    = "PK\x03\x04"
)

// Members reads an archive. An error of type [*MemberError] is of one member, any other ends the listing.
func Members(r io.Reader, limits Limits) iter.Seq2[*Member, error] {
	return func(yield func(*Member, error) bool) {
		a := &archive{in: bufio.NewReaderSize(r, buffered), left: limits.Bytes}
		for n := 0; ; n++ {
			e, err := a.next(n == 0)
			if err == nil && n >= limits.Members {
				err = fmt.Errorf("%w: it has more than %d members", ErrLimit, limits.Members)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(nil, err)
				}
				return
			}
			if strings.HasSuffix(e.Name, "/") && e.packed <= 0 && !e.described { // a folder
				continue
			}
			if why := e.unreadable(); why != "" {
				if !yield(nil, &MemberError{e.Name, why}) {
					return
				}
			} else if !yield(&e.Member, nil) {
				return
			}
			err = e.skip()
			if err == nil && a.left < 0 {
				err = e.err
			}
			if err != nil {
				if !errors.Is(err, ErrLimit) {
					err = fmt.Errorf("%s: %w", e.Name, err)
				}
				yield(nil, err)
				return
			}
		}
	}
}

// An archive is one being read.
type archive struct {
	in   *bufio.Reader
	left int64 // bytes that may still be unpacked
}

// An entry is a member in its archive.
type entry struct {
	Member
	*archive
	method    uint16
	encrypted bool
	described bool  // what is not known beforehand follows the member (4.3.9)
	packed    int64 // bytes in the archive; -1 if that is not known beforehand

	body io.Reader // unpacked
	raw  *counted  // what of it the archive has
	sum  uint32    // of what was unpacked
	out  int64     // bytes of that
	err  error     // that reading it ended with
}

// next reads the header of the next member; io.EOF is after the last one.
func (a *archive) next(first bool) (*entry, error) {
	b, err := a.in.Peek(headerLen)
	switch {
	case len(b) < 4 && (!first || broken(err)):
		return nil, cut(err) // the directory is missing
	case len(b) < 4 || first && !bytes.HasPrefix(b, []byte("PK")):
		return nil, ErrNoZip
	case !bytes.HasPrefix(b, []byte(header)):
		if first && !bytes.HasPrefix(b, []byte("PK\x05\x06")) && !bytes.HasPrefix(b, []byte("PK\x06\x06")) { // of an empty archive
			return nil, ErrNoZip
		}
		if b[0] != 'P' || b[1] != 'K' {
			return nil, errors.New("something else than a member follows")
		}
		return nil, io.EOF
	case err != nil:
		return nil, cut(err)
	}
	le := binary.LittleEndian
	flags, method := le.Uint16(b[6:]), le.Uint16(b[8:])
	packed, size := int64(le.Uint32(b[18:])), int64(le.Uint32(b[22:]))
	names, extras := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	e := &entry{archive: a, method: method, encrypted: flags&1 != 0, described: flags&8 != 0, packed: packed}
	text := make([]byte, headerLen+names+extras)
	if _, err := io.ReadFull(a.in, text); err != nil {
		return nil, cut(err)
	}
	name, extra := text[headerLen:][:names], text[headerLen+names:]
	e.Name, e.Size = strings.ToValidUTF8(string(name[:min(names, maxName)]), "\ufffd"), size
	if packed == 1<<32-1 || size == 1<<32-1 {
		if e.Size, e.packed = long(extra); e.packed < 0 {
			return nil, fmt.Errorf("%s: its size is missing", e.Name)
		}
	}
	if e.described && e.packed == 0 { // some writers know, and describe it all the same
		e.packed, e.Size = -1, -1
	}
	e.raw = &counted{r: a.in}
	if e.packed >= 0 {
		e.raw.r = io.LimitReader(a.in, e.packed)
	}
	e.open()
	e.Reader = e
	return e, nil
}

// long reads sizes of 64 bits (4.5.3).
func long(extra []byte) (size, packed int64) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			break
		}
		if id == 1 && n >= 16 {
			size, packed = int64(binary.LittleEndian.Uint64(extra)), int64(binary.LittleEndian.Uint64(extra[8:]))
			if size >= 0 && packed >= 0 {
				return size, packed
			}
		}
		extra = extra[n:]
	}
	return -1, -1
}

// Methods of compression (4.4.5).
const (
	stored   = 0
	deflated = 8
)

// open prepares the unpacking.
func (e *entry) open() {
	switch {
	case e.encrypted || e.method != deflated && e.packed >= 0:
		e.body = e.raw
	case e.method == deflated && e.packed >= 0:
		e.body = flate.NewReader(bufio.NewReader(e.raw))
	case e.method == deflated: // which tells where it ends, so that no byte more is taken
		e.body = flate.NewReader(e.raw)
	}
	if e.packed < 0 && (e.method != deflated || e.encrypted) {
		e.body = &untilDescribed{entry: e}
	}
}

// unreadable says why a member is nothing that can be searched.
func (e *entry) unreadable() string {
	switch {
	case e.encrypted:
		return "encrypted"
	case e.method != stored && e.method != deflated:
		return fmt.Sprintf("compressed by method %d", e.method)
	}
	return ""
}

func (e *entry) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	n, err := e.body.Read(p)
	e.sum = crc32.Update(e.sum, crc32.IEEETable, p[:n])
	e.out += int64(n)
	if e.left -= int64(n); e.left < 0 {
		n, err = 0, fmt.Errorf("%w: it unpacks to too much", ErrLimit)
	}
	if e.err = err; errors.Is(err, io.EOF) && e.packed > e.raw.n && e.method == stored {
		e.err = io.ErrUnexpectedEOF
	}
	return n, e.err
}

// skip reads what is left of a member, and what describes it.
func (e *entry) skip() error {
	if e.packed >= 0 { // wherever its own end is
		if _, err := io.Copy(io.Discard, e.raw); err != nil {
			return err
		}
		if e.raw.n < e.packed {
			return io.ErrUnexpectedEOF
		}
	} else if _, err := io.Copy(io.Discard, e.Reader); err != nil {
		return err
	}
	if e.described {
		return e.description()
	}
	return nil
}

// description takes the sizes that follow a member. Their form depends on who wrote them: with a signature or without, of 32 or of 64 bits.
func (e *entry) description() error {
	b, err := e.in.Peek(24)
	for _, form := range []struct {
		sign string
		size int // of each number
	}{{"PK\x07\x08", 4}, {"PK\x07\x08", 8}, {"", 4}, {"", 8}} {
		n := len(form.sign) + 4 + 2*form.size
		if len(b) < n || !bytes.HasPrefix(b, []byte(form.sign)) || number(b[len(form.sign)+4:], form.size) != e.raw.n {
			continue
		}
		_, err := e.in.Discard(n)
		return err
	}
	if len(b) < 24 {
		return cut(err)
	}
	return errors.New("its size is not what came")
}

// broken tells whether an archive stopped coming for another reason than that it was at its end.
func broken(err error) bool {
	return err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// cut is what is wrong with an archive that stopped coming in its middle.
func cut(err error) error {
	if broken(err) {
		return err
	}
	return io.ErrUnexpectedEOF
}

func number(b []byte, size int) int64 {
	if size == 8 {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return int64(binary.LittleEndian.Uint32(b))
}

// A counted reader counts what was taken. It is read byte by byte where nobody knows how much there is.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ReadByte is only asked for where r is the archive.
func (c *counted) ReadByte() (byte, error) {
	in, ok := c.r.(io.ByteReader)
	if !ok {
		return 0, io.ErrUnexpectedEOF
	}
	b, err := in.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// untilDescribed reads a member that is not compressed and whose size is not known: it ends before a description of just that size.
type untilDescribed struct{ *entry }

func (u *untilDescribed) Read(p []byte) (int, error) {
	b, err := u.in.Peek(buffered / 2)
	switch sign := bytes.Index(b, []byte("PK\x07\x08")); {
	case sign == 0 && u.ends(b):
		return 0, io.EOF
	case sign == 0:
		b = b[:1]
	case sign > 0:
		b = b[:sign]
	case len(b) == 0 || broken(err):
		return 0, cut(err)
	case len(b) > 3:
		b = b[:len(b)-3] // which may be the beginning of one
	}
	n := copy(p, b)
	_, _ = u.in.Discard(n)
	u.raw.n += int64(n)
	return n, nil
}

// ends tells whether b is the description of what was read.
func (u *untilDescribed) ends(b []byte) bool {
	const after = 4 + 4 // signature and checksum
	if len(b) < after+4 || !u.encrypted && u.method == stored && binary.LittleEndian.Uint32(b[4:]) != u.sum {
		return false
	}
	return number(b[after:], 4) == u.raw.n || len(b) >= after+8 && number(b[after:], 8) == u.raw.n
}
