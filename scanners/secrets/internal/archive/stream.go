package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
)

// What decoders take: the block of bzip2 -9 as four-byte words, blocks of lz4 before and after with its window.
const (
	bzip2Memory = 4 << 20
	lz4Memory   = 10 << 20
	zstdMost    = 16 << 20 // window: zstd -19 uses 8 MiB, --ultra -22 takes 128 MiB, for what is larger than that only
	lzmaMost    = 16 << 20 // dictionary: xz -6 uses 8 MiB, -9 64 MiB, and both only as much as there is text
	lzmaLeast   = 1 << 16
)

// take reserves memory; done gives it back.
func (w *walker) take(n int) (done func(), err error) {
	if n > w.memory {
		return func() {}, errMemory
	}
	w.memory -= n
	return func() { w.memory += n }, nil
}

// inner names what a compressed stream holds after the stream itself.
func inner(at place) string {
	name := at.path[strings.LastIndexAny(at.path, "!/")+1:]
	switch ext := path.Ext(name); strings.ToLower(ext) {
	case ".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".z", ".sz", ".br":
		return strings.TrimSuffix(name, ext)
	case ".tgz", ".tbz2", ".txz", ".tzst":
		return strings.TrimSuffix(name, ext) + ".tar"
	}
	return "content"
}

// walkGzip reads RFC 1952, one member after the other as one.
func walkGzip(w *walker, at place, in *input) error {
	whole := bytes.NewReader(in.whole)
	var src io.Reader = whole
	if in.whole == nil {
		src = bufio.NewReader(in)
	}
	r, err := gzip.NewReader(src)
	if err != nil {
		return err
	}
	if r.Comment != "" || r.Name != "" || len(r.Extra) > 0 {
		n := notes{w: w, at: at}
		n.add(r.Name)
		n.add(r.Comment)
		n.add(string(r.Extra))
		n.flush()
	}
	name := r.Name
	if name == "" {
		name = inner(at)
	}
	if content, release := w.gunzip(in.whole[len(in.whole)-whole.Len():]); content != nil {
		defer release()
		return w.expanded(at, name, content)
	}
	return w.expand(at, name, r)
}

// gunzip decompresses what follows the header of a member that is the only one: what it comes to stands at its end. It returns nil for all that is
// to be read as a stream.
func (w *walker) gunzip(b []byte) (content *input, release func()) {
	const trailerLen = 8
	end := len(b) - trailerLen
	if end < 0 {
		return nil, nil
	}
	sum, size := binary.LittleEndian.Uint32(b[end:]), binary.LittleEndian.Uint32(b[end+4:])
	content, release = w.inflate(b[:end], uint64(size))
	if content != nil && crc32.ChecksumIEEE(content.whole) != sum {
		w.left += int64(size) // it is read again
		release()
		return nil, nil
	}
	return content, release
}

func walkZlib(w *walker, at place, in *input) error {
	r, err := zlib.NewReader(bufio.NewReader(in))
	if err != nil {
		return err
	}
	// Two bytes are a weak sign, and the text "x^" one of them: only what inflates is zlib.
	probe := make([]byte, 512)
	n, err := fill(r, probe)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) {
		return errCorrupt
	}
	return w.expand(at, inner(at), io.MultiReader(bytes.NewReader(probe[:n]), r))
}

func walkBzip2(w *walker, at place, in *input) error {
	done, err := w.take(bzip2Memory)
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), bzip2.NewReader(bufio.NewReader(in)))
}

func walkLz4(w *walker, at place, in *input) error {
	done, err := w.take(lz4Memory)
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), lz4.NewReader(in))
}

func walkSnappy(w *walker, at place, in *input) error {
	done, err := w.take(lz4Memory)
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), s2.NewReader(in, s2.ReaderMaxBlockSize(4<<20)))
}

func walkZstd(w *walker, at place, in *input) error {
	r, done, err := w.zstd(in)
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), r)
}

// zstd returns a decoder for RFC 8878.
func (w *walker) zstd(r io.Reader) (io.Reader, func(), error) {
	most := uint64(min(zstdMost, w.memory/4))
	free, err := w.take(int(2 * most))
	if err != nil || most < zstd.MinWindowSize {
		return nil, free, errMemory
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(most))
	if err != nil {
		return nil, free, err
	}
	return zstdReader{d}, func() { d.Close(); free() }, nil
}

// A zstdReader says why a window was refused.
type zstdReader struct{ d *zstd.Decoder }

func (r zstdReader) Read(p []byte) (int, error) {
	n, err := r.d.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errMemory
	}
	return n, err
}

func walkLzma(w *walker, at place, in *input) error {
	var h [13]byte
	if err := in.read(h[:]); err != nil {
		return err
	}
	r, done, err := w.lzma(h[:5], binary.LittleEndian.Uint64(h[5:]), bufio.NewReader(in))
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), r)
}

// dictionary returns how many bytes of a declared dictionary are given: no more than the text is long, nor than there is memory for. A stream that
// refers to something further back than that is an error when it does.
func (w *walker) dictionary(declared, size uint64) (int, func(), error) {
	n := int(min(declared, size, lzmaMost, uint64(max(w.memory/2, 0))))
	n = max(n, lzmaLeast)
	done, err := w.take(n)
	return n, done, err
}

// lzma returns a decoder for a raw LZMA stream with its five bytes of properties; size is 2⁶⁴-1 if the stream says where it ends.
func (w *walker) lzma(props []byte, size uint64, r io.Reader) (io.Reader, func(), error) {
	n, done, err := w.dictionary(uint64(binary.LittleEndian.Uint32(props[1:])), size)
	if err != nil {
		return nil, done, err
	}
	h := binary.LittleEndian.AppendUint32([]byte{props[0]}, uint32(n))
	h = binary.LittleEndian.AppendUint64(h, size)
	lr, err := lzma.ReaderConfig{DictCap: n}.NewReader(io.MultiReader(bytes.NewReader(h), r))
	return lr, done, err
}

// lzma2 returns a decoder for a raw LZMA2 stream with its property byte.
func (w *walker) lzma2(prop byte, size uint64, r io.Reader) (io.Reader, func(), error) {
	declared := uint64(2|prop&1) << (prop/2 + 11)
	if prop > 40 {
		return nil, func() {}, errCorrupt
	}
	n, done, err := w.dictionary(declared, size)
	if err != nil {
		return nil, done, err
	}
	lr, err := lzma.Reader2Config{DictCap: n}.NewReader2(r)
	return lr, done, err
}

func walkXz(w *walker, at place, in *input) error {
	r, done, err := w.xz(in)
	if err != nil {
		return err
	}
	defer done()
	return w.expand(at, inner(at), r)
}

// xz returns a decoder for the .xz format, version 1.2.1. It is read here down to the blocks, since each declares a dictionary of up to 4 GiB and
// gets less.
func (w *walker) xz(r io.Reader) (io.Reader, func(), error) {
	x := &xzReader{w: w, r: &counter{r: bufio.NewReader(r)}}
	return x, x.close, nil
}

type xzReader struct {
	w     *walker
	r     *counter
	check int64     // bytes after each block
	block io.Reader // nil between blocks
	start int64     // of the block's data
	done  func()
	open  bool // inside of a stream
}

func (x *xzReader) close() {
	if x.done != nil {
		x.done()
		x.done = nil
	}
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		if errors.Is(err, io.EOF) {
			x.close()
			x.block = nil
			if err := x.r.skip((4-(x.r.n-x.start)%4)%4 + x.check); err != nil {
				return n, err
			}
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next goes to the next block.
func (x *xzReader) next() error {
	for {
		if !x.open {
			var h [12]byte
			if _, err := io.ReadFull(x.r, h[:]); err != nil {
				return io.EOF // after the last stream
			}
			if string(h[:6]) != "\xfd7zXZ\x00" {
				return io.EOF // padding
			}
			x.check = []int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[h[7]&15]
			x.open = true
		}
		size, err := x.r.ReadByte()
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if size == 0 { // the index: records of two numbers each, padding, checksum, and the stream's footer of 12 bytes
			start := x.r.n - 1
			count, err := binary.ReadUvarint(x.r)
			for ; err == nil && count > 0; count-- {
				if _, err = binary.ReadUvarint(x.r); err == nil {
					_, err = binary.ReadUvarint(x.r)
				}
			}
			if err == nil {
				err = x.r.skip((4-(x.r.n-start)%4)%4 + 4 + 12)
			}
			if err != nil {
				return io.ErrUnexpectedEOF
			}
			x.open = false
			continue
		}
		h := make([]byte, (int(size)+1)*4)
		h[0] = size
		if _, err := io.ReadFull(x.r, h[1:]); err != nil {
			return io.ErrUnexpectedEOF
		}
		body := h[:len(h)-4]
		if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(h[len(body):]) {
			return errCorrupt
		}
		return x.begin(body)
	}
}

// begin reads a block's header.
func (x *xzReader) begin(h []byte) error {
	flags := h[1]
	r := bytes.NewReader(h[2:])
	size := uint64(1<<64 - 1)
	if flags&0x40 != 0 {
		if _, err := binary.ReadUvarint(r); err != nil {
			return errCorrupt
		}
	}
	if flags&0x80 != 0 {
		var err error
		if size, err = binary.ReadUvarint(r); err != nil {
			return errCorrupt
		}
	}
	for range flags&3 + 1 {
		id, err := binary.ReadUvarint(r)
		if err != nil {
			return errCorrupt
		}
		n, err := binary.ReadUvarint(r)
		if err != nil || n > uint64(r.Len()) {
			return errCorrupt
		}
		props := make([]byte, n)
		_, _ = io.ReadFull(r, props)
		switch {
		case id == 0x21 && n == 1: // LZMA2, the last filter
			x.start = x.r.n
			block, done, err := x.w.lzma2(props[0], size, x.r)
			x.block, x.done = block, done
			return err
		case id >= 4 && id <= 11: // branch filters change operands of machine code, no text
		default:
			return fmt.Errorf("filter %#x is not read", id)
		}
	}
	return errCorrupt
}

// A counter counts what was read.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func (c *counter) skip(n int64) error {
	_, err := io.CopyN(io.Discard, c, n)
	return err
}
