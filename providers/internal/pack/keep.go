package pack

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

// Keep moves the packs whose index is our own to a directory of the same file system, with that index as git writes it. It returns
// their names there, without ".pack". A pack of no objects is not worth keeping. All objects must have been listed, and none with an error.
func (s *Store) Keep(dir string) (names []string, err error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, p := range s.packs {
		x := p.index.Load()
		if p.arrival == nil || x == nil || x.n == 0 {
			continue
		}
		if err := p.seal(x); err != nil {
			return nil, err
		}
		name := "pack-" + hex.EncodeToString(x.pack())
		if err := os.WriteFile(filepath.Join(dir, name+".idx"), x.b, 0o600); err != nil {
			return nil, err
		}
		if err := os.Rename(p.name, filepath.Join(dir, name+".pack")); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// seal adds what makeIndex leaves out: the checksums of each entry, of the pack and of the index itself.
func (p *packFile) seal(x *index) error {
	rows := make([]int, x.n)
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(a, b int) int { return int(x.offset(a) - x.offset(b)) })
	const part = 64 << 10
	var w window
	for i, row := range rows { // forwards: what is read ahead is what comes next
		from, end := x.offset(row), p.end()
		if i+1 < len(rows) {
			end = x.offset(rows[i+1])
		}
		sum := crc32.NewIEEE()
		for at := from; at < end; at += part {
			b, err := p.view(at, min(at+part, end), &w)
			if err != nil {
				return err
			}
			_, _ = sum.Write(b)
		}
		binary.BigEndian.PutUint32(x.b[x.ids+x.n*x.size+4*row:], sum.Sum32())
	}
	sums := x.b[len(x.b)-2*x.size:]
	checksum, err := p.view(p.end(), p.size, &w)
	if err != nil {
		return err
	}
	copy(sums, checksum)
	h := newHash(x.size)
	_, _ = h.Write(x.b[:len(x.b)-x.size])
	h.Sum(sums[x.size:x.size])
	return nil
}
