package archive

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// Records of a zip archive: PKWARE's APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
const (
	localMagic     = "PK\x03\x04"
	directoryMagic = "PK\x01\x02"
	eocdMagic      = "PK\x05\x06"
	localLen       = 30
	directoryLen   = 46
)

// zipEnd returns where the end of central directory record begins, or -1. A comment of up to 64 KiB may follow it.
func zipEnd(b []byte) int {
	tail := max(len(b)-eocdLen-0xffff, 0)
	for hi := len(b); ; {
		i := bytes.LastIndex(b[tail:hi], []byte(eocdMagic))
		if i < 0 {
			return -1
		}
		i += tail
		if i+eocdLen <= len(b) && i+eocdLen+int(binary.LittleEndian.Uint16(b[i+20:])) <= len(b) {
			return i
		}
		hi = i
	}
}

// A zipEntry is a member as its directory describes it.
type zipEntry struct {
	name, comment string
	flags, method uint16
	packed, size  uint64
	local         int64
}

// zipEntries calls f for each entry of the central directory. It needs no memory for them, however many they are.
func zipEntries(b []byte, f func(zipEntry) error) error {
	end := zipEnd(b)
	if end < 0 {
		return errCorrupt
	}
	size, off := uint64(binary.LittleEndian.Uint32(b[end+12:])), uint64(binary.LittleEndian.Uint32(b[end+16:]))
	stop := end
	if i := end - 20; i >= 0 && string(b[i:i+4]) == "PK\x06\x07" { // zip64 locator, 4.3.15
		at := binary.LittleEndian.Uint64(b[i+8:])
		rec := bytes.LastIndex(b[:i], []byte("PK\x06\x06"))
		if at < uint64(i) && bytes.HasPrefix(b[at:], []byte("PK\x06\x06")) {
			rec = int(at)
		}
		if rec >= 0 && rec+56 <= i {
			size, off = binary.LittleEndian.Uint64(b[rec+40:]), binary.LittleEndian.Uint64(b[rec+48:])
			stop = rec
		}
	}
	if size > uint64(stop) {
		return errCorrupt
	}
	// Offsets count from the archive's first byte, which others may precede.
	dir := int64(stop) - int64(size)
	base := dir - int64(off)
	if base < 0 || off > uint64(len(b)) {
		base = 0
		if off < uint64(len(b)) {
			dir = int64(off)
		}
	}
	d := b[dir:stop]
	for n := 0; len(d) >= directoryLen && string(d[:4]) == directoryMagic; n++ {
		nameLen, extraLen, commentLen := int(binary.LittleEndian.Uint16(d[28:])), int(binary.LittleEndian.Uint16(d[30:])), int(binary.LittleEndian.Uint16(d[32:]))
		if directoryLen+nameLen+extraLen+commentLen > len(d) {
			return io.ErrUnexpectedEOF
		}
		rest := d[directoryLen:]
		e := zipEntry{
			name:    string(rest[:nameLen]),
			comment: string(rest[nameLen+extraLen : nameLen+extraLen+commentLen]),
			flags:   binary.LittleEndian.Uint16(d[8:]),
			method:  binary.LittleEndian.Uint16(d[10:]),
			packed:  uint64(binary.LittleEndian.Uint32(d[20:])),
			size:    uint64(binary.LittleEndian.Uint32(d[24:])),
			local:   int64(binary.LittleEndian.Uint32(d[42:])),
		}
		e.zip64(rest[nameLen : nameLen+extraLen])
		e.local += base
		if err := f(e); err != nil {
			return err
		}
		d = rest[nameLen+extraLen+commentLen:]
	}
	return nil
}

// zip64 takes sizes and offset from the extra field where the directory has no room for them (4.5.3).
func (e *zipEntry) zip64(extra []byte) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return
		}
		field := extra[4 : 4+n]
		if id == 1 {
			for _, v := range []*uint64{&e.size, &e.packed} {
				if *v == 0xffffffff && len(field) >= 8 {
					*v = binary.LittleEndian.Uint64(field)
					field = field[8:]
				}
			}
			if e.local == 0xffffffff && len(field) >= 8 {
				e.local = int64(binary.LittleEndian.Uint64(field))
			}
		}
		extra = extra[4+n:]
	}
}

// data returns the entry's packed bytes.
func (e *zipEntry) data(b []byte) ([]byte, error) {
	if e.local < 0 || e.local > int64(len(b)-localLen) {
		return nil, errCorrupt
	}
	h := b[e.local:]
	if string(h[:4]) != localMagic {
		return nil, errCorrupt
	}
	start := localLen + int(binary.LittleEndian.Uint16(h[26:])) + int(binary.LittleEndian.Uint16(h[28:]))
	if start > len(h) {
		return nil, errCorrupt
	}
	h = h[start:]
	return h[:min(e.packed, uint64(len(h)))], nil
}

func walkZip(w *walker, at place, in *input) error {
	b := in.whole
	n := notes{w: w, at: at}
	defer n.flush()
	if end := zipEnd(b); end >= 0 {
		n.add(string(b[end+eocdLen : end+eocdLen+int(binary.LittleEndian.Uint16(b[end+20:]))]))
	} else {
		return salvageZip(w, at, b, &n)
	}
	office := officeOf(w, b)
	seen := 0
	err := zipEntries(b, func(e zipEntry) error {
		seen++
		n.add(e.name)
		n.add(e.comment)
		data, err := e.data(b)
		if err != nil {
			w.problem(at.in(e.name), err)
			return nil
		}
		return w.zipMember(at, e, data, office)
	})
	if seen == 0 && err == nil && bytes.HasPrefix(b, []byte(localMagic)) {
		return salvageZip(w, at, b, &n)
	}
	return err
}

// zipMember looks at one entry. Errors of its own are noted; only limits are returned.
func (w *walker) zipMember(at place, e zipEntry, data []byte, office *office) error {
	const encrypted = 1 // bit 0 of the flags, 4.4.4
	if e.flags&encrypted != 0 {
		w.problem(at.in(e.name), errEncrypted)
		return nil
	}
	if len(data) == 0 {
		return nil
	}
	in, done, err := w.unzip(e, data)
	if errors.Is(err, errLimit) {
		return err
	}
	if err != nil {
		w.problem(at.in(e.name), err)
		return nil
	}
	defer done()
	if office != nil && office.wants(e.name) {
		if in, err = office.read(w, at, e.name, in); err != nil || in == nil {
			return err
		}
	}
	return w.member(at, e.name, in)
}

// unzip undoes the entry's method; done is called when the result has been read.
func (w *walker) unzip(e zipEntry, data []byte) (in *input, done func(), err error) {
	const stored, deflated = 0, 8
	if err := w.spend(len(data)); err != nil { // all entries can share bytes that take long to come to nothing
		return nil, nil, err
	}
	switch e.method {
	case stored:
		return &input{whole: data}, func() {}, nil
	case deflated:
		if in, done = w.inflate(data, e.size); in != nil {
			return in, done, nil
		}
	}
	r, done, err := w.unzipped(e, data)
	return &input{r: &meter{w: w, r: r, left: w.left/2 + 1}, size: int64(min(e.size, 1<<40))}, done, err
}

// unzipped returns a reader for the entry's method (4.4.5), and what to call when it has been read.
func (w *walker) unzipped(e zipEntry, data []byte) (io.Reader, func(), error) {
	r := bytes.NewReader(data)
	none := func() {}
	switch e.method {
	case 8:
		return flate.NewReader(r), none, nil
	case 12:
		done, err := w.take(bzip2Memory)
		return bzip2.NewReader(r), done, err
	case 14: // version, how long the properties are, they themselves, a stream without size: 5.8.8
		if len(data) < 9 {
			return nil, none, errCorrupt
		}
		return w.lzma(data[4:9], e.size, bytes.NewReader(data[9:]))
	case 93:
		return w.zstd(r)
	case 95:
		return w.xz(r)
	}
	return nil, none, fmt.Errorf("compression method %d is not read", e.method)
}

// salvageZip reads an archive without directory, such as a truncated one, from local header to local header.
func salvageZip(w *walker, at place, b []byte, n *notes) error {
	for i := bytes.Index(b, []byte(localMagic)); i >= 0 && i+localLen <= len(b); {
		h := b[i:]
		nameLen, extraLen := int(binary.LittleEndian.Uint16(h[26:])), int(binary.LittleEndian.Uint16(h[28:]))
		if localLen+nameLen+extraLen > len(h) {
			break
		}
		e := zipEntry{
			name:   string(h[localLen : localLen+nameLen]),
			flags:  binary.LittleEndian.Uint16(h[6:]),
			method: binary.LittleEndian.Uint16(h[8:]),
			packed: uint64(binary.LittleEndian.Uint32(h[18:])),
			size:   uint64(binary.LittleEndian.Uint32(h[22:])),
		}
		e.zip64(h[localLen+nameLen : localLen+nameLen+extraLen])
		n.add(e.name)
		data := h[localLen+nameLen+extraLen:]
		next := bytes.Index(data, []byte(localMagic))
		switch {
		case e.packed > 0 && e.packed <= uint64(len(data)):
			data = data[:e.packed]
			next = bytes.Index(h[localLen+nameLen+extraLen+len(data):], []byte(localMagic))
			if next >= 0 {
				next += len(data)
			}
		case e.method == 0 && next >= 0:
			data = data[:next]
		}
		if err := w.zipMember(at, e, data, nil); err != nil {
			return err
		}
		if next < 0 {
			break
		}
		i += localLen + nameLen + extraLen + next
	}
	return errors.New("the directory at the end is missing")
}
