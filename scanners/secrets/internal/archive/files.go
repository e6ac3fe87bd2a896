package archive

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// walkTar reads v7, ustar, pax and GNU archives.
func walkTar(w *walker, at place, in *input) error {
	n := notes{w: w, at: at}
	defer n.flush()
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if h == nil || err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		n.add(h.Name)
		n.add(h.Linkname)
		for key, value := range h.PAXRecords {
			if key != "path" && key != "linkpath" && key != "mtime" && key != "atime" && key != "ctime" && !strings.HasPrefix(key, "GNU.sparse") {
				n.add(key + "=" + value)
			}
		}
		if h.Size == 0 || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse && h.Typeflag != tar.TypeCont {
			continue
		}
		part := &input{r: tr, size: h.Size}
		if in.whole != nil && h.Typeflag == tar.TypeReg && !sparse(h) {
			part, _ = (&input{whole: in.whole, off: in.off}).section(h.Size)
			if len(part.whole) == 0 {
				return io.ErrUnexpectedEOF
			}
		} else {
			part.r = &meter{w: w, r: tr, left: w.left/2 + 1} // holes cost nothing to write
		}
		if err := w.member(at, h.Name, part); err != nil {
			return err
		}
	}
}

func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return true
		}
	}
	return false
}

// walkAr reads the Unix archive format, of which Debian's packages are made (deb(5)), with the long names of GNU and BSD.
func walkAr(w *walker, at place, in *input) error {
	const headerLen = 60
	var magic [8]byte
	if err := in.read(magic[:]); err != nil {
		return err
	}
	for {
		var h [headerLen]byte
		if err := in.read(h[:]); err != nil {
			return err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 || h[58] != '`' || h[59] != '\n' {
			return errCorrupt
		}
		name := strings.TrimRight(string(h[:16]), " ")
		pad := size & 1
		if long, err := strconv.ParseInt(strings.TrimPrefix(name, "#1/"), 10, 64); err == nil && strings.HasPrefix(name, "#1/") && long > 0 && long <= min(size, 4096) {
			b := make([]byte, long)
			if err := in.read(b); err != nil {
				return err
			}
			name, size = strings.TrimRight(string(b), "\x00"), size-long
		}
		part, rest := in.section(size)
		if err := w.member(at, strings.TrimSuffix(name, "/"), part); err != nil {
			return err
		}
		if err := rest(); err != nil {
			return err
		}
		if err := in.skip(pad); err != nil {
			return err
		}
	}
}

// walkCpio reads the "newc" and "crc" formats, which RPM and initramfs use, and the older "odc".
func walkCpio(w *walker, at place, in *input) error {
	n := notes{w: w, at: at}
	defer n.flush()
	for {
		var h [110]byte
		if err := in.read(h[:6]); err != nil {
			return err
		}
		length, base := 110, 16
		switch string(h[:6]) {
		case "070701", "070702":
		case "070707":
			length, base = 76, 8
		default:
			return fmt.Errorf("reading a header: %w", errCorrupt)
		}
		if err := in.read(h[6:length]); err != nil {
			return err
		}
		field := func(lo, n int) (v int64) {
			u, err := strconv.ParseUint(string(h[lo:lo+n]), base, 40)
			if err != nil {
				return -1
			}
			return int64(u)
		}
		var mode, size, nameLen, align int64
		if base == 16 {
			mode, size, nameLen, align = field(14, 8), field(54, 8), field(94, 8), 4
		} else {
			mode, nameLen, size, align = field(18, 6), field(59, 6), field(65, 11), 1
		}
		const longest = 64 << 10
		if mode < 0 || size < 0 || nameLen <= 0 || nameLen > longest {
			return errCorrupt
		}
		b := make([]byte, nameLen)
		if err := in.read(b); err != nil {
			return err
		}
		name := strings.TrimRight(string(b), "\x00")
		if name == "TRAILER!!!" {
			return nil
		}
		n.add(name)
		if err := in.skip((align - (int64(length)+nameLen)%align) % align); err != nil {
			return err
		}
		part, rest := in.section(size)
		const typeMask, regular, symlink = 0o170000, 0o100000, 0o120000
		if t := mode & typeMask; size > 0 && (t == regular || t == symlink) {
			if err := w.member(at, name, part); err != nil {
				return err
			}
		}
		if err := rest(); err != nil {
			return err
		}
		if err := in.skip((align - size%align) % align); err != nil {
			return err
		}
	}
}

// walkRpm reads a package: lead, signature, header, and the payload, a compressed cpio archive. The header's strings (scripts,
// descriptions) are visited as text.
func walkRpm(w *walker, at place, in *input) error {
	const leadLen, indexLen, most = 96, 16, 32 << 20
	if err := in.skip(leadLen); err != nil {
		return err
	}
	for part := range 2 {
		var h [16]byte
		if err := in.read(h[:]); err != nil {
			return err
		}
		if string(h[:3]) != "\x8e\xad\xe8" {
			return errCorrupt
		}
		entries, size := int64(binary.BigEndian.Uint32(h[8:])), int64(binary.BigEndian.Uint32(h[12:]))
		if entries*indexLen+size > most {
			return errCorrupt
		}
		if err := in.skip(entries * indexLen); err != nil {
			return err
		}
		store, rest := in.section(size)
		if part == 1 {
			if err := w.member(at, "header", store); err != nil {
				return err
			}
		}
		if err := rest(); err != nil {
			return err
		}
		if part == 0 { // the signature is padded to eight bytes
			if err := in.skip((8 - size%8) % 8); err != nil {
				return err
			}
		}
	}
	payload := in
	if in.whole != nil {
		payload = &input{whole: in.whole[min(in.off, len(in.whole)):]}
	} else {
		payload = &input{r: in}
	}
	if k := sniff(payload.peek()); k != notContainer && formats[k].streams {
		return k.walk(w, at, payload)
	}
	return w.member(at, "payload", payload)
}
