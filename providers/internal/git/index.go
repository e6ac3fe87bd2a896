package git

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// An entry of an index: what is staged at a path.
type entry struct {
	id, path string
	tree     bool // a whole directory, in a sparse index
}

// Bounds of an index; one of a million files takes about 100 MB.
const (
	maxIndex      = 256 << 20 // of the file, in bytes
	maxIndexPaths = 256 << 20 // of all paths, which version 4 of the format stores without what they share
)

var errIndex = errors.New("it is malformed")

// index lists what is staged in a working tree, given by its git directory: all that can be read, also if there is an error.
// Submodules are left out.
func (r *Repository) index(dir string) ([]entry, error) {
	b, err := readRegular(filepath.Join(dir, "index"), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, printableError(err)
	}
	x := indexReader{width: r.width / 2}
	staged, err := x.read(b)
	if err == nil && x.base != "" {
		if b, err = readRegular(filepath.Join(dir, "sharedindex."+x.base), maxIndex); err != nil {
			err = fmt.Errorf("its other half cannot be read: %w", printableError(err))
		} else {
			staged, err = x.join(b, staged)
		}
	}
	list := make([]entry, 0, len(staged))
	for _, e := range staged {
		if e.path != "" && e.mode != modeSubmodule && r.isID(e.id) {
			list = append(list, entry{e.id, e.path, e.mode == modeTree})
		}
	}
	return list, err
}

// An indexReader reads gitformat-index(5), versions 2 to 4.
type indexReader struct {
	width int // of an object id in bytes
	paths int // bytes of them so far

	base              string // id of the index that this one changes, or ""
	deleted, replaced []uint64
}

type indexEntry struct {
	entryHead
	path string
}

type entryHead struct {
	mode uint32
	id   string
}

const (
	modeTree      = 0o040000
	modeSubmodule = 0o160000
)

// read reads one file.
func (x *indexReader) read(b []byte) (list []indexEntry, err error) {
	if len(b) < 12+x.width || string(b[:4]) != "DIRC" {
		return nil, errIndex
	}
	version, n := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if version < 2 || version > 4 {
		return nil, fmt.Errorf("its format, version %d, is unknown", version)
	}
	b = b[12 : len(b)-x.width] // a checksum ends it
	var path []byte
	for range n {
		e, size, err := x.entry(b, version, &path)
		if err != nil {
			return list, err
		}
		list, b = append(list, e), b[size:]
	}
	for len(b) >= 8 {
		size := uint64(binary.BigEndian.Uint32(b[4:]))
		if size > uint64(len(b)-8) {
			return list, errIndex
		}
		if string(b[:4]) == "link" {
			if err := x.link(b[8 : 8+size]); err != nil {
				return list, err
			}
		}
		b = b[8+size:]
	}
	return list, nil
}

// entry reads the entry that b starts with; path is that of the one before it, and becomes its own.
func (x *indexReader) entry(b []byte, version uint32, path *[]byte) (e indexEntry, size int, err error) {
	const mode, id = 24, 40 // before and between them: times, device, owner and the like
	size = id + x.width + 2
	if len(b) < size {
		return e, 0, errIndex
	}
	e.mode, e.id = binary.BigEndian.Uint32(b[mode:]), hex.EncodeToString(b[id:id+x.width])
	const extended = 1 << 14
	if flags := binary.BigEndian.Uint16(b[size-2:]); flags&extended != 0 && version > 2 {
		size += 2
	}
	if len(b) < size {
		return e, 0, errIndex
	}
	if version == 4 {
		strip, n := offset(b[size:])
		if n == 0 || strip > uint64(len(*path)) {
			return e, 0, errIndex
		}
		size += n
		*path = (*path)[:uint64(len(*path))-strip]
	} else {
		*path = (*path)[:0]
	}
	end := bytes.IndexByte(b[size:], 0)
	if end < 0 {
		return e, 0, errIndex
	}
	*path = append(*path, b[size:size+end]...)
	if x.paths += len(*path); x.paths > maxIndexPaths || len(*path) > maxPath {
		return e, 0, errors.New("its paths are too long")
	}
	e.path = string(*path)
	if size += end; version == 4 {
		return e, size + 1, nil
	}
	if size += 8 - size%8; size > len(b) { // one to eight zeros
		return e, 0, errIndex
	}
	return e, size, nil
}

// offset reads a number in the way of pack files: seven bits a byte, each but the last with the highest bit set and one added.
func offset(b []byte) (value uint64, size int) {
	for i, c := range b {
		value = value<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return value, i + 1
		}
		value++
		if i == 8 {
			break
		}
	}
	return 0, 0
}

// link reads what a split index says of its other half.
func (x *indexReader) link(b []byte) (err error) {
	if len(b) < x.width {
		return errIndex
	}
	base := b[:x.width]
	if b = b[x.width:]; bytes.Count(base, []byte{0}) == len(base) {
		return nil
	}
	x.base = hex.EncodeToString(base)
	if len(b) == 0 {
		return nil
	}
	if x.deleted, b, err = bitmap(b); err != nil {
		return err
	}
	x.replaced, _, err = bitmap(b)
	return err
}

// bitmap reads a bitmap in the EWAH format of git: a size in bits, a number of words, and words of 64 bits. Some of them tell
// how many words of equal bits follow, and how many that are stored as they are.
func bitmap(b []byte) (bits []uint64, rest []byte, err error) {
	if len(b) < 8 {
		return nil, nil, errIndex
	}
	size, n := (uint64(binary.BigEndian.Uint32(b))+63)/64, uint64(binary.BigEndian.Uint32(b[4:]))
	if b = b[8:]; n > uint64(len(b))/8 || size > maxIndex/64 { // no more bits than entries
		return nil, nil, errIndex
	}
	words, rest := b[:8*n], b[8*n:]
	if len(rest) < 4 {
		return nil, nil, errIndex
	}
	for len(words) > 0 {
		head := binary.BigEndian.Uint64(words)
		words = words[8:]
		run, stored := head>>1&(1<<32-1), head>>33
		if run > size-uint64(len(bits)) || stored > size-uint64(len(bits))-run || stored > uint64(len(words))/8 {
			return nil, nil, errIndex
		}
		fill := -(head & 1)
		for range run {
			bits = append(bits, fill)
		}
		for range stored {
			bits, words = append(bits, binary.BigEndian.Uint64(words)), words[8:]
		}
	}
	return bits, rest[4:], nil // what is left tells a writer where to go on
}

func isSet(bits []uint64, i int) bool { return i/64 < len(bits) && bits[i/64]>>(i%64)&1 != 0 }

// join puts the two halves of a split index together: base is the shared one, which staged changes. Entries that replace those of
// the base come first, without a path where it is the same.
func (x *indexReader) join(b []byte, staged []indexEntry) ([]indexEntry, error) {
	base := indexReader{width: x.width}
	list, err := base.read(b)
	if err != nil || base.base != "" {
		return staged, cmpErr(err, errIndex)
	}
	var out []indexEntry
	for i, e := range list {
		switch {
		case isSet(x.deleted, i):
		case isSet(x.replaced, i):
			if len(staged) == 0 {
				return out, errIndex
			}
			e.entryHead, staged = staged[0].entryHead, staged[1:]
			out = append(out, e)
		default:
			out = append(out, e)
		}
	}
	return append(out, staged...), nil
}
