package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
)

// An index tells at which offset of a pack each object lies, in the order of ids: a file as gitformat-pack(5) describes it,
// version 1 or 2.
type index struct {
	b      []byte
	mapped bool // b is a mapping of a file
	n      int  // objects
	size   int  // of an id in bytes
	ids    int  // where the first id lies
	stride int  // from one id to the next
	first  int  // where the first offset lies
	large  int  // where the 8-byte offsets lie, or 0 for version 1
}

var errIndex = errors.New("malformed index")

const (
	fanout      = 256 * 4
	indexMagic  = "\xfftOc\x00\x00\x00\x02"
	largeOffset = 1 << 31 // in version 2: the other bits are a row of the table of 8-byte offsets
)

// parseIndex checks the parts of an index against its length, and that ids could be found: that no fan-out entry exceeds the next.
func parseIndex(b []byte, size int) (*index, error) {
	x := &index{b: b, size: size}
	table := 0
	if len(b) >= 8 && string(b[:8]) == indexMagic {
		table = 8
	}
	if len(b) < table+fanout+2*size {
		return nil, errIndex
	}
	before := uint32(0)
	for i := range 256 {
		n := binary.BigEndian.Uint32(b[table+4*i:])
		if n < before {
			return nil, errIndex
		}
		before = n
	}
	row := size + 4
	if table > 0 {
		row = size + 4 + 4 // the second is a checksum of what is stored
	}
	end := len(b) - 2*size // two checksums
	if int64(before)*int64(row) > int64(end-table-fanout) {
		return nil, errIndex
	}
	x.n = int(before)
	if table == 0 {
		x.first, x.ids, x.stride = fanout, fanout+4, row
		return x, nil
	}
	x.ids, x.stride = table+fanout, size
	x.first = x.ids + x.n*(size+4)
	x.large = x.first + x.n*4
	return x, nil
}

// pack is the checksum of the pack that the index describes.
func (x *index) pack() []byte { return x.b[len(x.b)-2*x.size:][:x.size] }

func (x *index) raw(row int) []byte {
	at := x.ids + row*x.stride
	return x.b[at : at+x.size]
}

func (x *index) id(row int) (out ID) {
	copy(out[:], x.raw(row))
	return out
}

// offset may lie anywhere: a row can name an 8-byte offset that is not there.
func (x *index) offset(row int) int64 {
	if x.large == 0 {
		return int64(binary.BigEndian.Uint32(x.b[x.first+row*x.stride:]))
	}
	n := binary.BigEndian.Uint32(x.b[x.first+row*4:])
	if n&largeOffset == 0 {
		return int64(n)
	}
	at := int64(x.large) + int64(n&^largeOffset)*8
	if at+8 > int64(len(x.b)-2*x.size) {
		return -1
	}
	return int64(binary.BigEndian.Uint64(x.b[at:]))
}

// find returns the row of an id, or false.
func (x *index) find(id ID) (int, bool) {
	table := x.ids - fanout
	if x.large == 0 {
		table = 0
	}
	from := 0
	if id[0] > 0 {
		from = int(binary.BigEndian.Uint32(x.b[table+4*int(id[0])-4:]))
	}
	to := int(binary.BigEndian.Uint32(x.b[table+4*int(id[0]):]))
	want := id[:x.size]
	row := from + sort.Search(to-from, func(i int) bool { return bytes.Compare(x.raw(from+i), want) >= 0 })
	return row, row < to && bytes.Equal(x.raw(row), want)
}

func (x *index) close() {
	if x.mapped {
		unmap(x.b)
	}
}

// forget gives back the pages that were looked at, all of which a limit on memory counts.
func (x *index) forget() {
	if x.mapped {
		forget(x.b)
	}
}

// readIndex opens the index of a pack and makes sure that it is that pack's: the last bytes of a pack are a checksum, which the
// index repeats.
func readIndex(name string, pack *file, size int) (*index, error) {
	f, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.close()
	b, mapped, err := f.all()
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	x, err := func() (_ *index, err error) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer guarded(&err)
		x, err := parseIndex(b, size)
		if err != nil {
			return nil, err
		}
		sum, err := pack.view(pack.size-int64(size), pack.size, new(window))
		if err == nil && !bytes.Equal(sum, x.pack()) {
			err = errors.New("the pack is truncated or not the one its index describes")
		}
		return x, err
	}()
	if err != nil {
		if mapped {
			unmap(b)
		}
		return nil, fmt.Errorf("reading index: %w", err)
	}
	x.mapped = mapped
	return x, nil
}

// A found is what a pack without an index was found to hold at an offset.
type found struct {
	id     ID
	offset int64
}

// makeIndex makes an index of what was found, without checksums.
func makeIndex(list []found, size int) *index {
	slices.SortFunc(list, func(a, b found) int { return bytes.Compare(a.id[:], b.id[:]) })
	list = slices.CompactFunc(list, func(a, b found) bool { return a.id == b.id })
	x := &index{n: len(list), size: size, ids: len(indexMagic) + fanout, stride: size}
	x.first = x.ids + x.n*(size+4)
	x.large = x.first + x.n*4
	b := make([]byte, x.large, x.large+2*size)
	copy(b, indexMagic)
	var large []byte
	for row, f := range list {
		copy(b[x.ids+row*size:], f.id[:size])
		offset := uint32(f.offset)
		if f.offset >= largeOffset {
			offset = largeOffset | uint32(len(large)/8)
			large = binary.BigEndian.AppendUint64(large, uint64(f.offset))
		}
		binary.BigEndian.PutUint32(b[x.first+row*4:], offset)
	}
	row := 0
	for i := range 256 {
		for row < len(list) && int(list[row].id[0]) <= i {
			row++
		}
		binary.BigEndian.PutUint32(b[len(indexMagic)+4*i:], uint32(row))
	}
	x.b = append(append(b, large...), make([]byte, 2*size)...)
	return x
}
