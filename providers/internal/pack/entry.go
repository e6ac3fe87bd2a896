package pack

import (
	"errors"
	"fmt"
	"math/bits"
)

// A Kind is what an object is, in the pack format's numbers.
type Kind uint8

// The kinds of objects.
const (
	Commit Kind = 1
	Tree   Kind = 2
	Blob   Kind = 3
	Tag    Kind = 4

	offsetDelta Kind = 6 // of an entry in the same pack
	idDelta     Kind = 7 // of an object
)

func (k Kind) String() string {
	switch k {
	case Commit:
		return "commit"
	case Tree:
		return "tree"
	case Blob:
		return "blob"
	case Tag:
		return "tag"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// kindOf is the kind that a loose object names.
func kindOf(name string) (Kind, bool) {
	for k := Commit; k <= Tag; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

var (
	errEntry = errors.New("malformed pack entry")
	errDelta = errors.New("malformed delta")
	errBase  = errors.New("the object that a delta builds on is missing or damaged")
)

// A header stands before each compressed object of a pack.
type header struct {
	kind Kind
	size int64 // of what is compressed: the object or the delta
	base int64 // of an offsetDelta: where its base lies
	ref  ID    // of an idDelta: its base
	data int64 // where the compressed data starts
}

// maxHeader is the longest header: 10 bytes of size, and 10 of offset or an id.
const maxHeader = 10 + 32

// parseHeader reads the header of an entry at an offset, gitformat-pack(5).
func parseHeader(b []byte, at int64, idSize int) (h header, err error) {
	if len(b) == 0 {
		return h, errEntry
	}
	c := b[0]
	h.kind = Kind(c >> 4 & 7)
	h.size = int64(c & 15)
	n := 1
	for shift := 4; c&0x80 != 0; shift += 7 {
		if n == len(b) || shift > 63-7-7 {
			return h, errEntry
		}
		c = b[n]
		n++
		h.size |= int64(c&0x7f) << shift
	}
	switch h.kind {
	case Commit, Tree, Blob, Tag:
	case offsetDelta:
		back := int64(0)
		for first := true; first || c&0x80 != 0; first = false {
			if n == len(b) || back > 1<<50 {
				return h, errEntry
			}
			if !first {
				back++ // so that no distance can be written in two ways
			}
			c = b[n]
			n++
			back = back<<7 | int64(c&0x7f)
		}
		if h.base = at - back; back == 0 || h.base < packHeader {
			return h, errEntry
		}
	case idDelta:
		if len(b)-n < idSize {
			return h, errEntry
		}
		copy(h.ref[:], b[n:n+idSize])
		n += idSize
	default:
		return h, errEntry
	}
	h.data = at + int64(n)
	return h, nil
}

// deltaSizes reads what a delta starts with: the size of its base and of what it makes.
func deltaSizes(delta []byte) (base, target int64, rest []byte, err error) {
	base, rest, err = deltaSize(delta)
	if err == nil {
		target, rest, err = deltaSize(rest)
	}
	return base, target, rest, err
}

func deltaSize(b []byte) (int64, []byte, error) {
	size := int64(0)
	for i, c := range b {
		if i > 7 {
			break
		}
		size |= int64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return size, b[i+1:], nil
		}
	}
	return 0, nil, errDelta
}

// apply follows the instructions of a delta, gitformat-pack(5): copy a part of base, or insert bytes of its own. They must make
// exactly dst.
func apply(dst, base, delta []byte) error {
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		if op&0x80 == 0 {
			n := int(op)
			if n == 0 || n > len(delta) || n > len(dst) {
				return errDelta
			}
			move(dst, delta, n)
			dst, delta = dst[n:], delta[n:]
			continue
		}
		if len(delta) < 7 { // near the end: look no further
			var padded [7]byte
			if bits.OnesCount8(op&0x7f) > copy(padded[:], delta) {
				return errDelta
			}
			delta = padded[:len(delta):7]
		}
		// Each bit says that one more byte follows, of the offset or of the size.
		args := (*[7]byte)(delta[:7])
		var from, n, i uint
		if op&0x01 != 0 {
			from = uint(args[0])
			i = 1
		}
		if op&0x02 != 0 {
			from |= uint(args[i]) << 8
			i++
		}
		if op&0x04 != 0 {
			from |= uint(args[i]) << 16
			i++
		}
		if op&0x08 != 0 {
			from |= uint(args[i]) << 24
			i++
		}
		if op&0x10 != 0 {
			n = uint(args[i])
			i++
		}
		if op&0x20 != 0 {
			n |= uint(args[i]) << 8
			i++
		}
		if op&0x40 != 0 {
			n |= uint(args[i]) << 16
			i++
		}
		delta = delta[i:]
		if n == 0 {
			n = 1 << 16
		}
		if from > uint(len(base)) || n > uint(len(base))-from || n > uint(len(dst)) {
			return errDelta
		}
		move(dst, base[from:], int(n))
		dst = dst[n:]
	}
	if len(dst) > 0 {
		return errDelta
	}
	return nil
}

// move copies n bytes, which must be there on both sides. Most are few: where there is room for it, they are copied as one block of
// fixed size, for which no call is made; what is written behind them is written again by what follows.
func move(dst, src []byte, n int) {
	if n <= 32 && len(dst) >= 32 && len(src) >= 32 {
		*(*[32]byte)(dst) = *(*[32]byte)(src)
		return
	}
	copy(dst[:n], src)
}
