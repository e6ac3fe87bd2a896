package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/leakreach/leakreach/inflate"
)

func looseFile(dir string, id ID, size int) string {
	text := id.Text(size)
	return filepath.Join(dir, text[:2], text[2:])
}

// A looseObject is an object in a file of its own.
type looseObject struct {
	id  ID
	dir string
}

// loose lists all loose objects, each once, in the order of ids.
func (s *Store) loose() []looseObject {
	var list []looseObject
	for _, dir := range s.dirs {
		for n := range 256 {
			fan := fmt.Sprintf("%02x", n)
			entries, err := os.ReadDir(filepath.Join(dir, fan))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				s.note(Problem{filepath.Join(dir, fan), err})
			}
			for _, e := range entries {
				if id, ok := ParseID(fan+e.Name(), s.IDSize); ok {
					list = append(list, looseObject{id, dir})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b looseObject) int { return bytes.Compare(a.id[:], b.id[:]) })
	return slices.CompactFunc(list, func(a, b looseObject) bool { return a.id == b.id })
}

var errLoose = errors.New("malformed loose object")

// maxLooseHeader is more than a loose object's header can take: "commit ", a size of 19 digits and a NUL.
const maxLooseHeader = 32

// loose reads a loose object, one zlib stream of a header and the content, and takes memory for both from alloc. Its id is checked:
// beside the opening of a file, hashing costs little, and a loose object is the one place where a person can have put something
// else with a text editor's effort.
func (d *decoder) loose(name string, id ID, idSize int, limit int64, alloc func(n int) ([]byte, error)) (o Object, err error) {
	o.ID = id
	info, err := os.Stat(name)
	if err != nil {
		return o, err
	}
	if !info.Mode().IsRegular() {
		return o, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return o, err
	}
	defer f.Close()
	src := grow(&d.src, int(min(info.Size(), 4<<10))) // most objects are smaller
	if _, err := io.ReadFull(f, src); err != nil {
		return o, err
	}
	var head [maxLooseHeader]byte
	if _, err := d.Zlib(head[:], src); err != nil && !errors.Is(err, inflate.ErrLong) && !errors.Is(err, inflate.ErrShort) {
		return o, err
	}
	kind, rest, _ := bytes.Cut(head[:], []byte(" "))
	size, _, ended := bytes.Cut(rest, []byte{0})
	if o.Size, err = strconv.ParseInt(string(size), 10, 64); err != nil || o.Size < 0 || !ended {
		return o, errLoose
	}
	ok := false
	if o.Kind, ok = kindOf(string(kind)); !ok {
		return o, errLoose
	}
	if o.Size > limit {
		return o, nil
	}
	n := len(kind) + 1 + len(size) + 1
	if !plausible(o.Size, 0, info.Size()) || info.Size() > int64(n)+o.Size+o.Size/8+1024 {
		return o, errLoose
	}
	if rest := info.Size() - int64(len(src)); rest > 0 {
		start := bytes.Clone(src)
		src = grow(&d.src, int(info.Size()))
		copy(src, start)
		if _, err := io.ReadFull(f, src[len(start):]); err != nil {
			return o, err
		}
	}
	all, err := alloc(n + int(o.Size))
	if err != nil {
		return o, err
	}
	if _, err := d.Zlib(all, src); err != nil {
		return o, err
	}
	o.Content = all[n:len(all):len(all)]
	if hashed(all[:n], o.Content, idSize) != id {
		o.Err = ErrWrongID
	}
	return o, nil
}
