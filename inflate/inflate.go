// Package inflate decompresses deflate streams (RFC 1951), also those in zlib's wrapping (RFC 1950), that are wholly in memory and whose
// uncompressed size is known beforehand, as those of git objects and of a zip archive's members are. That makes it two to three times as
// fast as compress/zlib: nothing needs to be resumable, the output is its own window, and 64 bits of input are looked at in one step.
//
// Input is taken for hostile: whatever it is, a call ends in an error or with exactly the bytes of a sound stream, and reads and
// writes nothing outside the slices that it was given.
package inflate

import (
	"encoding/binary"
	"errors"
)

// Slack is how much room behind the end of the output helps: while that many bytes are free, matches are copied word by word and
// may write over their end.
const Slack = 16

// Errors. What a stream has beyond the expected size is never written.
var (
	ErrCorrupt = errors.New("not a sound deflate stream")
	ErrShort   = errors.New("deflate stream ends early")
	ErrLong    = errors.New("deflate stream holds more than expected")
)

// A Decoder holds the tables of one decompression at a time. The zero value is ready for use, and for use again after any error.
type Decoder struct {
	lit, dist *table // of the block that is being decoded
	fixedLit  table
	fixedDist table
	dynLit    table
	dynDist   table
	pre       table
	hasFixed  bool // the tables of the fixed code are made
	lengths   [maxLengths]uint8

	// The state between two blocks, and within a block's slow part.
	src  []byte
	at   int    // of the next byte of src that is not in bits
	bits uint64 // input not used yet, next bit lowest
	n    uint   // number of bits in it
	out  int    // bytes of output written
}

// maxLengths is the number of code lengths that a block can declare, and what the last repetition can write beyond it.
const maxLengths = 286 + 30 + 137

// Zlib decompresses the stream at the start of src into dst, which must have exactly the size of the content, and returns how
// many bytes of src the stream took. Bytes between dst's length and capacity may be overwritten; [Slack] of them make it faster, and
// so do bytes of src behind the stream.
//
// With [ErrLong], dst is filled with the first bytes of the content: this is how to look at the start of a stream.
func (d *Decoder) Zlib(dst, src []byte) (used int, err error) {
	if len(src) < 2 {
		return 0, ErrShort
	}
	head := binary.BigEndian.Uint16(src)
	if head>>8&0x0f != 8 || head>>12 > 7 || head%31 != 0 || head&0x20 != 0 { // deflate, window, check, no dictionary
		return 0, ErrCorrupt
	}
	used, err = d.from(2, dst, src)
	switch {
	case err != nil:
		return 0, err
	case len(src)-used < 4:
		return 0, ErrShort
	case adler32(dst) != binary.BigEndian.Uint32(src[used:]):
		return 0, ErrCorrupt
	}
	return used + 4, nil
}

// Deflate is as [Decoder.Zlib], for a stream without wrapping: nothing but its structure tells that it is sound.
func (d *Decoder) Deflate(dst, src []byte) (used int, err error) { return d.from(0, dst, src) }

// from decompresses the stream that begins at an offset of src, and returns the offset of its end.
func (d *Decoder) from(at int, dst, src []byte) (end int, err error) {
	d.src, d.at, d.bits, d.n, d.out = src, at, 0, 0, 0
	err = d.blocks(dst)
	end = d.at - int(d.n/8)
	d.src = nil
	if err == nil && d.out < len(dst) {
		err = ErrShort
	}
	if err != nil {
		return 0, err
	}
	return end, nil
}

// blocks decodes all blocks.
func (d *Decoder) blocks(dst []byte) error {
	for final := false; !final; {
		d.fill()
		if d.n < 3 {
			return ErrShort
		}
		final = d.take(1) == 1
		var err error
		switch d.take(2) {
		case 0:
			err = d.stored(dst)
		case 1:
			d.fixedCode()
			err = d.block(dst)
		case 2:
			if err = d.dynamicCode(); err == nil {
				err = d.block(dst)
			}
		default:
			err = ErrCorrupt
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill makes sure of 56 bits, or all that are left.
func (d *Decoder) fill() {
	if len(d.src)-d.at >= 8 {
		d.bits |= binary.LittleEndian.Uint64(d.src[d.at:]) << (d.n & 63)
		d.at += int((63 - d.n) >> 3)
		d.n |= 56
		return
	}
	d.bits &= 1<<(d.n&63) - 1 // the branch above leaves bits of a byte that it did not count
	for d.n < 56 && d.at < len(d.src) {
		d.bits |= uint64(d.src[d.at]) << d.n
		d.at++
		d.n += 8
	}
}

// take consumes n bits that are known to be there.
func (d *Decoder) take(n uint) uint32 {
	v := uint32(d.bits) & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return v
}

// stored copies a block that is not compressed.
func (d *Decoder) stored(dst []byte) error {
	d.at -= int(d.n / 8) // whole bytes go back; the rest of the last one is padding
	d.bits, d.n = 0, 0
	if len(d.src)-d.at < 4 {
		return ErrShort
	}
	size := int(binary.LittleEndian.Uint16(d.src[d.at:]))
	if size^0xffff != int(binary.LittleEndian.Uint16(d.src[d.at+2:])) {
		return ErrCorrupt
	}
	d.at += 4
	if len(d.src)-d.at < size {
		return ErrShort
	}
	n := copy(dst[d.out:], d.src[d.at:d.at+size])
	d.out += n
	d.at += n
	if n < size {
		return ErrLong
	}
	return nil
}

// fixedCode makes the tables of RFC 1951 section 3.2.6.
func (d *Decoder) fixedCode() {
	d.lit, d.dist = &d.fixedLit, &d.fixedDist
	if d.hasFixed {
		return
	}
	d.hasFixed = true
	l := d.lengths[:288+32]
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		case i < 288:
			l[i] = 8
		default:
			l[i] = 5
		}
	}
	d.lit.build(l[:288], literalMeaning[:], literalBits)
	d.dist.build(l[288:], distanceMeaning[:], distanceBits)
}

// dynamicCode reads the code that a block declares, RFC 1951 section 3.2.7.
func (d *Decoder) dynamicCode() error {
	if d.n < 14 {
		return ErrShort
	}
	nlit, ndist, npre := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if nlit > 286 || ndist > 30 {
		return ErrCorrupt
	}
	var pre [19]uint8
	for _, s := range lengthOrder[:npre] {
		if d.n < 3 {
			if d.fill(); d.n < 3 {
				return ErrShort
			}
		}
		pre[s] = uint8(d.take(3))
	}
	if !d.pre.build(pre[:], lengthMeaning[:], lengthBits) {
		return ErrCorrupt
	}
	for i := 0; i < nlit+ndist; {
		if d.n < 14 { // a code of 7 bits and 7 extra ones
			d.fill()
		}
		e := d.pre[d.bits&(1<<lengthBits-1)]
		n := uint(e & 15)
		if e&exception != 0 {
			return ErrCorrupt
		}
		if d.n < n {
			return ErrShort
		}
		d.take(n)
		s := e >> 16
		if s < 16 {
			d.lengths[i] = uint8(s)
			i++
			continue
		}
		var value uint8
		extra, base := uint(2), 3
		switch s {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			value = d.lengths[i-1]
		case 17:
			extra = 3
		default:
			extra, base = 7, 11
		}
		if d.n < extra {
			return ErrShort
		}
		times := base + int(d.take(extra))
		for j := range times {
			d.lengths[i+j] = value
		}
		i += times
		if i > nlit+ndist {
			return ErrCorrupt
		}
	}
	d.lit, d.dist = &d.dynLit, &d.dynDist
	if !d.lit.build(d.lengths[:nlit], literalMeaning[:], literalBits) ||
		!d.dist.build(d.lengths[nlit:nlit+ndist], distanceMeaning[:], distanceBits) {
		return ErrCorrupt
	}
	return nil
}

// block decodes the symbols of a block: those far enough from both ends in a loop that need not look out for them, the rest, and
// what does not fit, by symbol.
func (d *Decoder) block(dst []byte) error {
	for {
		end, err := d.fast(dst)
		if end || err != nil {
			return err
		}
		if end, err = d.symbol(dst); end || err != nil {
			return err
		}
	}
}

// fast decodes symbols until one end is near or the block ends.
func (d *Decoder) fast(dst []byte) (end bool, err error) {
	src, work := d.src, dst[:cap(dst)]
	limit := min(len(dst), cap(dst)-Slack) // how far a match may go that is copied by words
	lastIn, lastOut := len(src)-16, min(len(dst), limit)-3
	lit, dist := d.lit, d.dist
	buf, n, at, out := d.bits, d.n, d.at, d.out
	if at > lastIn || out > lastOut {
		return false, nil
	}
	// Each round begins with the entry of the next symbol, which was looked up before the bits were filled up: neither waits for the
	// other. 15 bits or more are there for it.
	buf |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
	at += int((63 - n) >> 3)
	n |= 56
	e := lit[buf&(1<<literalBits-1)]
	for at <= lastIn && out <= lastOut {
		buf |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		if e&literal != 0 { // three literals take at most 33 of the 56 bits
			buf >>= e & 63
			n -= uint(e & 63)
			work[out] = byte(e >> 16)
			out++
			e = lit[buf&(1<<literalBits-1)]
			if e&literal != 0 {
				buf >>= e & 63
				n -= uint(e & 63)
				work[out] = byte(e >> 16)
				out++
				e = lit[buf&(1<<literalBits-1)]
				if e&literal != 0 {
					buf >>= e & 63
					n -= uint(e & 63)
					work[out] = byte(e >> 16)
					out++
					e = lit[buf&(1<<literalBits-1)]
					continue
				}
			}
		}
		// Two literals have left 34 bits or more; a length takes 20 at most.
		if e&exception != 0 {
			if e&secondPart != 0 {
				buf >>= e & 63
				n -= uint(e & 63)
				e = lit[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
				if e&literal != 0 {
					buf >>= e & 63
					n -= uint(e & 63)
					work[out] = byte(e >> 16)
					out++
					e = lit[buf&(1<<literalBits-1)]
					continue
				}
			}
			if e&exception != 0 {
				if e&endOfBlock == 0 {
					return false, ErrCorrupt
				}
				buf >>= e & 63
				n -= uint(e & 63)
				end = true
				break
			}
		}
		length := int(e>>16) + int((buf&(1<<(e&63)-1))>>(e>>8&15))
		buf >>= e & 63
		n -= uint(e & 63)
		e = dist[buf&(1<<distanceBits-1)]
		buf |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		if e&exception != 0 {
			if e&secondPart == 0 {
				return false, ErrCorrupt
			}
			buf >>= e & 63
			n -= uint(e & 63)
			e = dist[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
			if e&exception != 0 {
				return false, ErrCorrupt
			}
		}
		distance := int(e>>16) + int((buf&(1<<(e&63)-1))>>(e>>8&15))
		buf >>= e & 63
		n -= uint(e & 63)
		e = lit[buf&(1<<literalBits-1)]

		if distance > out {
			return false, ErrCorrupt
		}
		if length > limit-out {
			d.bits, d.n, d.at, d.out = buf, n, at, out
			return false, d.copy(dst, distance, length)
		}
		from, to := out-distance, out+length
		switch {
		case distance >= 8: // most matches take no more than the first two words
			binary.LittleEndian.PutUint64(work[out:], binary.LittleEndian.Uint64(work[from:]))
			binary.LittleEndian.PutUint64(work[out+8:], binary.LittleEndian.Uint64(work[from+8:]))
			for out, from = out+16, from+16; out < to; out, from = out+8, from+8 {
				binary.LittleEndian.PutUint64(work[out:], binary.LittleEndian.Uint64(work[from:]))
			}
		case distance == 1:
			word := uint64(work[from]) * 0x0101010101010101
			for ; out < to; out += 8 {
				binary.LittleEndian.PutUint64(work[out:], word)
			}
		default: // a word holds more than one period, of which each step makes one more good
			for ; out < to; out, from = out+distance, from+distance {
				binary.LittleEndian.PutUint64(work[out:], binary.LittleEndian.Uint64(work[from:]))
			}
		}
		out = to
	}
	d.bits, d.n, d.at, d.out = buf, n, at, out
	return end, nil
}

// symbol decodes one symbol, wherever the ends are.
func (d *Decoder) symbol(dst []byte) (end bool, err error) {
	d.fill() // what follows takes at most 48 bits
	e, err := d.entry(d.lit, literalBits)
	switch {
	case err != nil:
		return false, err
	case e&literal != 0:
		if d.out == len(dst) {
			return false, ErrLong
		}
		dst[d.out] = byte(e >> 16)
		d.out++
		return false, nil
	case e&exception != 0:
		return true, nil
	}
	length, err := d.value(e)
	if err != nil {
		return false, err
	}
	e, err = d.entry(d.dist, distanceBits)
	if err != nil {
		return false, err
	}
	distance, err := d.value(e)
	if err != nil {
		return false, err
	}
	return false, d.copy(dst, distance, length)
}

// entry finds the table's entry for the next bits, which is no exception but the end of the block. It consumes the code, but for that
// of a length or distance.
func (d *Decoder) entry(t *table, width int) (uint32, error) {
	e := t[d.bits&(1<<width-1)]
	if e&(literal|exception|secondPart) == exception|secondPart {
		if d.n < uint(width) {
			return 0, ErrShort
		}
		d.take(uint(width))
		e = t[e>>16+uint32(d.bits)&(1<<(e>>8&15)-1)]
	}
	switch {
	case e&literal != 0, e&(exception|endOfBlock) == exception|endOfBlock:
		if d.n < uint(e&63) {
			return 0, ErrShort
		}
		d.take(uint(e & 63))
	case e&exception != 0:
		return 0, ErrCorrupt
	}
	return e, nil
}

// value consumes the code of a length or distance and the extra bits behind it.
func (d *Decoder) value(e uint32) (int, error) {
	if d.n < uint(e&63) {
		return 0, ErrShort
	}
	return int(e>>16) + int(d.take(uint(e&63))>>(e>>8&15)), nil
}

// copy repeats length bytes that lie distance bytes back, as far as there is room.
func (d *Decoder) copy(dst []byte, distance, length int) error {
	if distance > d.out {
		return ErrCorrupt
	}
	to := min(d.out+length, len(dst))
	long := d.out+length > to
	for d.out < to {
		d.out += copy(dst[d.out:to], dst[d.out-distance:d.out])
	}
	if long {
		return ErrLong
	}
	return nil
}
