package archive

import (
	"encoding/binary"
	"unicode/utf16"
)

// walkSqlite visits the rows of a database (https://www.sqlite.org/fileformat2.html): one a line, values parted by tabs. A row that is longer than a
// page lies in pieces all over the file, and here is whole. Pages need no tree for that: each tells what it is.
func walkSqlite(w *walker, at place, in *input) error {
	b := in.whole
	size := int(binary.BigEndian.Uint16(b[16:]))
	if size == 1 {
		size = 64 << 10
	}
	if size < 512 || size&(size-1) != 0 || len(b) < size {
		return errCorrupt
	}
	d := &database{w: w, at: at, b: b, size: size, usable: size - int(b[20]), encoding: binary.BigEndian.Uint32(b[56:])}
	if d.usable < 480 { // the least the format allows
		return errCorrupt
	}
	for page := 0; (page+1)*size <= len(b); page++ {
		if err := d.page(b[page*size:(page+1)*size], page == 0); err != nil {
			return err
		}
	}
	return d.flush()
}

type database struct {
	w            *walker
	at           place
	b            []byte
	size, usable int
	encoding     uint32 // 1 UTF-8, 2 UTF-16LE, 3 UTF-16BE
	text         []byte
	row          []byte
}

func (d *database) flush() error {
	if len(d.text) == 0 {
		return nil
	}
	err := d.w.text(d.at, "", d.text)
	d.text = d.text[:0]
	return err
}

// Kinds of b-tree pages.
const (
	indexInterior = 2
	indexLeaf     = 10
	tableLeaf     = 13
)

func (d *database) page(p []byte, first bool) error {
	h := p
	if first {
		h = p[100:]
	}
	kind := h[0]
	if kind != indexInterior && kind != indexLeaf && kind != tableLeaf {
		return nil
	}
	cells := int(binary.BigEndian.Uint16(h[3:]))
	start := len(p) - len(h) + 8
	if kind == indexInterior {
		start += 4
	}
	if start+2*cells > d.usable {
		return nil // not a page of a tree after all
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(p[start+2*i:]))
		if at < start || at >= d.usable {
			continue
		}
		if err := d.cell(p[at:d.usable], kind); err != nil {
			return err
		}
	}
	return nil
}

func varint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 9 {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | uint64(c), n
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	return 0, len(b)
}

// cell reads the row or key of one cell.
func (d *database) cell(c []byte, kind byte) error {
	if kind == indexInterior {
		if len(c) < 4 {
			return nil
		}
		c = c[4:]
	}
	size, n := varint(c)
	c = c[n:]
	if kind == tableLeaf {
		_, n = varint(c)
		c = c[n:]
	}
	if size > uint64(len(d.b)) {
		return nil
	}
	payload := int(size)
	most := d.usable - 35
	if kind != tableLeaf {
		most = (d.usable-12)*64/255 - 23
	}
	if payload <= most {
		return d.record(c[:min(payload, len(c))])
	}
	least := (d.usable-12)*32/255 - 23
	local := least + (payload-least)%(d.usable-4)
	if local > most {
		local = least
	}
	if local+4 > len(c) {
		return nil
	}
	// The rest is in a chain of overflow pages. It is read for as long as rows may be in memory.
	payload = min(payload, officePart)
	d.row = append(d.row[:0], c[:local]...)
	next := int(binary.BigEndian.Uint32(c[local:]))
	for next > 0 && next*d.size <= len(d.b) && len(d.row) < payload {
		p := d.b[(next-1)*d.size:][:d.usable]
		if err := d.w.spend(len(p)); err != nil {
			return err
		}
		d.row = append(d.row, p[4:4+min(len(p)-4, payload-len(d.row))]...)
		next = int(binary.BigEndian.Uint32(p))
	}
	return d.record(d.row)
}

// record adds the texts and blobs of a row.
func (d *database) record(r []byte) error {
	headerLen, n := varint(r)
	if headerLen > uint64(len(r)) || headerLen < uint64(n) {
		return nil
	}
	head, body := r[n:headerLen], r[headerLen:]
	for len(head) > 0 {
		serial, n := varint(head)
		head = head[n:]
		size := uint64(0)
		switch {
		case serial >= 12:
			size = (serial - 12) / 2
		case serial <= 4:
			size = serial
		case serial == 5:
			size = 6
		case serial <= 7:
			size = 8
		}
		size = min(size, uint64(len(body)))
		value := body[:size]
		body = body[size:]
		switch {
		case serial >= 12 && serial%2 == 0:
			if k := sniff(value); k != notContainer && !formats[k].document {
				if err := d.w.member(d.at, "blob", &input{whole: value}); err != nil {
					return err
				}
				continue
			}
			d.text = append(append(d.text, value...), '\t')
		case serial >= 13 && d.encoding > 1:
			u := make([]uint16, 0, len(value)/2)
			for ; len(value) >= 2; value = value[2:] {
				if d.encoding == 2 {
					u = append(u, binary.LittleEndian.Uint16(value))
				} else {
					u = append(u, binary.BigEndian.Uint16(value))
				}
			}
			d.text = append(append(d.text, string(utf16.Decode(u))...), '\t')
		case serial >= 13:
			d.text = append(append(d.text, value...), '\t')
		}
	}
	d.text = append(d.text, '\n')
	if len(d.text) > 64<<10 {
		return d.flush()
	}
	return nil
}
