package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// walkPack visits the objects of a git pack (gitformat-pack(5)), which may follow the header of a bundle. A delta is shown as it
// is stored: what it inserts stands in it literally.
func walkPack(w *walker, at place, in *input) error {
	b := in.whole
	i := bytes.Index(b, []byte("PACK"))
	if i < 0 || i+12 > len(b) {
		return errCorrupt
	}
	count := binary.BigEndian.Uint32(b[i+8:])
	r := bytes.NewReader(b[i+12:])
	for n := range count {
		c, err := r.ReadByte()
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		kind := c >> 4 & 7
		for c&0x80 != 0 && err == nil {
			c, err = r.ReadByte()
		}
		const offsetDelta, refDelta, hashLen = 6, 7, 20
		switch kind {
		case offsetDelta:
			for c, err = r.ReadByte(); c&0x80 != 0 && err == nil; {
				c, err = r.ReadByte()
			}
		case refDelta:
			_, err = r.Seek(hashLen, io.SeekCurrent)
		case 0, 5:
			err = errCorrupt
		}
		if err != nil {
			return errCorrupt
		}
		z, err := zlib.NewReader(r) // reads no byte too many, since r gives single ones
		if err != nil {
			return err
		}
		m := &meter{w: w, r: z, left: w.left/2 + 1}
		if err := w.member(at, fmt.Sprintf("object %d", n), &input{r: m}); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, m); err != nil {
			return errors.Join(errCorrupt, err)
		}
	}
	return nil
}
