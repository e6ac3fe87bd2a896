package archive

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"

	"github.com/klauspost/compress/flate"
	"github.com/pierrec/lz4/v4"
)

// The 7z format (7zFormat.txt of the LZMA SDK). It is read here since the libraries for it allocate whatever dictionary and
// tables an archive declares.

// Property ids.
const (
	szEnd = iota
	szHeader
	szArchiveProperties
	szAdditionalStreams
	szMainStreams
	szFiles
	szPackInfo
	szUnpackInfo
	szSubStreams
	szSize
	szCRC
	szFolder
	szCodersUnpackSize
	szNumUnpackStream
	szEmptyStream
	szEmptyFile
	szAnti
	szNames
	szEncodedHeader = 0x17
)

const (
	szMagic     = "7z\xbc\xaf\x27\x1c"
	szStart     = 32
	szHeaderMax = 8 << 20 // of the unpacked header: 100 bytes for each of 80,000 files
)

// A szFolderInfo says how one or more files are packed together.
type szFolderInfo struct {
	coders  []szCoder
	binds   map[uint64]uint64 // in stream ← out stream
	packed  []uint64          // in streams that are packed streams
	sizes   []uint64          // of each out stream
	streams uint64            // files in it
	parts   []uint64          // their sizes
}

type szCoder struct {
	id        uint64
	ins, outs uint64
	props     []byte
}

// A szReader reads numbers of a header. A fault makes it fail for good.
type szReader struct {
	b   []byte
	err error
}

func (r *szReader) byte() byte {
	if len(r.b) == 0 {
		r.err = io.ErrUnexpectedEOF
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *szReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.err = io.ErrUnexpectedEOF
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *szReader) number() (v uint64) {
	first := r.byte()
	mask := byte(0x80)
	for i := range 8 {
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(r.byte()) << (8 * i)
		mask >>= 1
	}
	return v
}

// count reads a number of things of which each takes a bit or more of the header.
func (r *szReader) count() uint64 {
	n := r.number()
	if n > 8*uint64(len(r.b))+8 {
		r.err = errCorrupt
		return 0
	}
	return n
}

func (r *szReader) bits(n uint64) []bool {
	out := make([]bool, 0, min(n, 8*uint64(len(r.b))+8))
	var c byte
	for i := range n {
		if i%8 == 0 {
			c = r.byte()
		}
		if r.err != nil {
			return out
		}
		out = append(out, c&0x80 != 0)
		c <<= 1
	}
	return out
}

// defined reads which of n things are given: all, or those with their bit set.
func (r *szReader) defined(n uint64) (given uint64) {
	if r.byte() != 0 {
		return n
	}
	for _, b := range r.bits(n) {
		if b {
			given++
		}
	}
	return given
}

// szStreams is what a header says of packed streams.
type szStreams struct {
	pos     uint64
	packed  []uint64
	folders []szFolderInfo
}

func (r *szReader) streams() (s szStreams) {
	for r.err == nil {
		switch id := r.number(); id {
		case szEnd:
			return s
		case szPackInfo:
			s.pos = r.number()
			n := r.count()
			for r.err == nil {
				id := r.number()
				if id == szEnd {
					break
				}
				switch id {
				case szSize:
					for range n {
						s.packed = append(s.packed, r.number())
					}
				case szCRC:
					r.take(4 * r.defined(n))
				default:
					r.err = errCorrupt
				}
			}
		case szUnpackInfo:
			r.folders(&s)
		case szSubStreams:
			r.subStreams(&s)
		default:
			r.err = errCorrupt
		}
	}
	return s
}

func (r *szReader) folders(s *szStreams) {
	if r.number() != szFolder {
		r.err = errCorrupt
		return
	}
	n := r.count()
	if r.byte() != 0 { // external
		r.err = errCorrupt
		return
	}
	for range n {
		if r.err != nil {
			return
		}
		s.folders = append(s.folders, r.folder())
	}
	for r.err == nil {
		switch id := r.number(); id {
		case szEnd:
			return
		case szCodersUnpackSize:
			for i := range s.folders {
				f := &s.folders[i]
				for _, c := range f.coders {
					for range c.outs {
						f.sizes = append(f.sizes, r.number())
					}
				}
			}
		case szCRC:
			r.take(4 * r.defined(n))
		default:
			r.err = errCorrupt
		}
	}
}

func (r *szReader) folder() (f szFolderInfo) {
	const most = 8 // coders, streams of one: BCJ2 has four
	n := r.number()
	if n > most {
		r.err = errCorrupt
		return f
	}
	var ins, outs uint64
	for range n {
		flags := r.byte()
		c := szCoder{ins: 1, outs: 1}
		for _, b := range r.take(uint64(flags & 15)) {
			c.id = c.id<<8 | uint64(b)
		}
		if flags&0x10 != 0 {
			c.ins, c.outs = r.number(), r.number()
		}
		if flags&0x20 != 0 {
			c.props = r.take(r.number())
		}
		if c.ins > most || c.outs > most {
			r.err = errCorrupt
			return f
		}
		ins, outs = ins+c.ins, outs+c.outs
		f.coders = append(f.coders, c)
	}
	f.binds = map[uint64]uint64{}
	for i := uint64(1); i < outs; i++ {
		in := r.number()
		f.binds[in] = r.number()
	}
	if ins < outs-1 || outs == 0 {
		r.err = errCorrupt
		return f
	}
	if packed := ins - (outs - 1); packed == 1 {
		for i := range ins {
			if _, bound := f.binds[i]; !bound {
				f.packed = append(f.packed, i)
			}
		}
	} else {
		for range packed {
			f.packed = append(f.packed, r.number())
		}
	}
	f.streams = 1
	return f
}

func (r *szReader) subStreams(s *szStreams) {
	id := r.number()
	if id == szNumUnpackStream {
		for i := range s.folders {
			s.folders[i].streams = r.number()
		}
		id = r.number()
	}
	known := uint64(0)
	for i := range s.folders {
		f := &s.folders[i]
		total := f.size()
		if f.streams > 1+8*uint64(len(r.b)) {
			r.err = errCorrupt
			return
		}
		for k := uint64(1); k < f.streams && id == szSize; k++ {
			n := r.number()
			if r.err != nil || n > total {
				r.err = errCorrupt
				return
			}
			f.parts = append(f.parts, n)
			total -= n
		}
		if f.streams > 0 {
			f.parts = append(f.parts, total)
		}
		known += f.streams
	}
	if id == szSize {
		id = r.number()
	}
	for r.err == nil && id != szEnd { // checksums, of those not known yet: their number does not matter
		if id != szCRC {
			r.err = errCorrupt
			return
		}
		unknown := uint64(0)
		for _, f := range s.folders {
			unknown += f.streams
		}
		save := r.b
		r.take(4 * r.defined(unknown))
		if r.err != nil || len(r.b) == 0 || r.b[0] != szEnd {
			// Folders of one file may have had theirs already; the end is where the next property fits.
			r.b, r.err = save, nil
			single := uint64(0)
			for _, f := range s.folders {
				if f.streams == 1 {
					single++
				}
			}
			r.take(4 * r.defined(unknown-single))
		}
		id = r.number()
	}
}

// size is that of the last out stream, which no other coder takes.
func (f *szFolderInfo) size() uint64 {
	bound := map[uint64]bool{}
	for _, out := range f.binds {
		bound[out] = true
	}
	for i := len(f.sizes) - 1; i >= 0; i-- {
		if !bound[uint64(i)] {
			return f.sizes[i]
		}
	}
	return 0
}

func walkSevenzip(w *walker, at place, in *input) error {
	b := in.whole
	if i := bytes.Index(b, []byte(szMagic)); i > 0 { // self-extracting
		b = b[i:]
	}
	if len(b) < szStart {
		return io.ErrUnexpectedEOF
	}
	off, size := binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	data := b[szStart:]
	if off > uint64(len(data)) || size > uint64(len(data))-off {
		return io.ErrUnexpectedEOF
	}
	h := data[off : off+size]
	if size > szHeaderMax || crc32.ChecksumIEEE(h) != binary.LittleEndian.Uint32(b[28:]) {
		return errCorrupt
	}
	r := &szReader{b: h}
	id := r.number()
	for n := 0; id == szEncodedHeader && n < 4; n++ {
		s := r.streams()
		if r.err != nil || len(s.folders) == 0 || s.folders[0].size() > szHeaderMax {
			return errors.Join(errCorrupt, r.err)
		}
		fr, done, err := w.szFolder(&s, 0, data)
		if err != nil {
			return err
		}
		head := make([]byte, s.folders[0].size())
		_, err = io.ReadFull(fr, head)
		done()
		if err != nil {
			return err
		}
		r = &szReader{b: head}
		id = r.number()
	}
	if id != szHeader {
		return nil // an empty archive
	}
	return w.szFiles(at, r, data)
}

// szFiles visits the files a header lists.
func (w *walker) szFiles(at place, r *szReader, data []byte) error {
	var s szStreams
	var names []byte
	var empty []bool
	files := uint64(0)
	for r.err == nil {
		id := r.number()
		if id == szEnd {
			break
		}
		switch id {
		case szArchiveProperties:
			for r.err == nil && r.number() != szEnd {
				r.take(r.number())
			}
		case szAdditionalStreams:
			r.streams()
		case szMainStreams:
			s = r.streams()
		case szFiles:
			files = r.count()
			for r.err == nil {
				id := r.number()
				if id == szEnd {
					break
				}
				p := &szReader{b: r.take(r.number())}
				switch id {
				case szEmptyStream:
					empty = p.bits(files)
				case szNames:
					if p.byte() == 0 {
						names = p.b
					}
				}
			}
		default:
			r.err = errCorrupt
		}
	}
	if r.err != nil {
		return r.err
	}
	n := notes{w: w, at: at}
	defer n.flush()
	next := func() string {
		var u []uint16
		for len(names) >= 2 {
			c := binary.LittleEndian.Uint16(names)
			names = names[2:]
			if c == 0 {
				break
			}
			u = append(u, c)
		}
		name := string(utf16.Decode(u))
		n.add(name)
		return name
	}
	file := 0
	for i := range s.folders {
		f := &s.folders[i]
		if len(f.parts) == 0 && f.streams == 1 {
			f.parts = []uint64{f.size()}
		}
		fr, done, err := w.szFolder(&s, i, data)
		for _, size := range f.parts {
			name := next()
			for file < len(empty) && empty[file] { // directories and empty files have names only
				file++
				name = next()
			}
			file++
			if err != nil {
				w.problem(at.in(name), err)
				continue
			}
			part, rest := (&input{r: fr}).section(int64(min(size, 1<<60)))
			if merr := w.member(at, name, part); merr != nil {
				done()
				return merr
			}
			err = rest()
		}
		done()
	}
	for len(names) >= 2 {
		next()
	}
	return nil
}

// szFolder returns a reader for the unpacked bytes of a folder.
func (w *walker) szFolder(s *szStreams, i int, data []byte) (io.Reader, func(), error) {
	first := 0
	for _, f := range s.folders[:i] {
		first += len(f.packed)
	}
	f := &s.folders[i]
	pos := s.pos
	for k, n := range s.packed {
		if k == first {
			break
		}
		pos += n
	}
	if first >= len(s.packed) || len(f.packed) == 0 || pos > uint64(len(data)) {
		return nil, func() {}, errCorrupt
	}
	raw := data[pos:]
	raw = raw[:min(s.packed[first], uint64(len(raw)))]
	// The coders form a tree of which only the trunk matters: BCJ2's other branches are operands of jumps in machine code.
	var r io.Reader = bytes.NewReader(raw)
	var free []func()
	done := func() {
		for _, f := range free {
			f()
		}
	}
	in := f.packed[0]
	for range f.coders {
		k, firstIn, firstOut := 0, uint64(0), uint64(0)
		for ; k < len(f.coders) && in >= firstIn+f.coders[k].ins; k++ {
			firstIn += f.coders[k].ins
			firstOut += f.coders[k].outs
		}
		if k == len(f.coders) || firstOut >= uint64(len(f.sizes)) {
			return nil, done, errCorrupt
		}
		next, release, err := w.szDecoder(f.coders[k], f.sizes[firstOut], r)
		free = append(free, release)
		if err != nil {
			return nil, done, err
		}
		r = next
		end := true
		for i, out := range f.binds {
			if out == firstOut {
				in, end = i, false
			}
		}
		if end {
			break
		}
	}
	return &meter{w: w, r: r, left: w.left/2 + 1}, done, nil
}

func (w *walker) szDecoder(c szCoder, size uint64, r io.Reader) (io.Reader, func(), error) {
	none := func() {}
	switch c.id {
	case 0: // copy
		return r, none, nil
	case 0x030101:
		if len(c.props) != 5 {
			return nil, none, errCorrupt
		}
		return w.lzma(c.props, size, r)
	case 0x21:
		if len(c.props) != 1 {
			return nil, none, errCorrupt
		}
		return w.lzma2(c.props[0], size, r)
	case 0x040108:
		return flate.NewReader(r), none, nil
	case 0x040202:
		done, err := w.take(bzip2Memory)
		return bzip2.NewReader(r), done, err
	case 0x04f71101:
		return w.zstd(r)
	case 0x04f71104:
		done, err := w.take(lz4Memory)
		return lz4.NewReader(r), done, err
	case 0x06f10701:
		return nil, none, errEncrypted
	case 3: // delta
		if len(c.props) != 1 {
			return nil, none, errCorrupt
		}
		return &delta{r: r, n: int(c.props[0]) + 1}, none, nil
	}
	if c.id>>8 == 0x030301 || c.id>>8 == 0x030302 || c.id>>8 == 0x030304 || c.id>>8 == 0x030305 || c.id>>8 == 0x030307 || c.id>>8 == 0x030308 ||
		c.id >= 4 && c.id <= 0xb || c.id == 0x0303011b {
		return r, none, nil // branch filters change operands of machine code, no text
	}
	return nil, none, fmt.Errorf("method %x is not read", c.id)
}

// A delta undoes the filter of that name.
type delta struct {
	r    io.Reader
	n, i int
	past [256]byte
}

func (d *delta) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for k := range p[:n] {
		p[k] += d.past[d.i]
		d.past[d.i] = p[k]
		d.i = (d.i + 1) % d.n
	}
	return n, err
}
