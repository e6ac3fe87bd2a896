package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A kind is a format that holds other contents.
type kind uint8

// The kinds.
const (
	notContainer kind = iota
	kindZip
	kindTar
	kindGzip
	kindBzip2
	kindXz
	kindLzma
	kindZstd
	kindLz4
	kindSnappy
	kindZlib
	kindCpio
	kindAr
	kindRpm
	kindSevenzip
	kindPdf
	kindSqlite
	kindPyc
	kindClass
	kindDex
	kindPng
	kindPlist
	kindMail
	kindNotebook
	kindPack
	kindRar
	kindCab
	kindZ
	kindLocked
)

// formats says what is special about each kind.
var formats = [...]struct {
	name     string
	streams  bool // read from first to last byte; others must be in memory
	archive  bool // of files: inside a compressed stream it is one container with it
	document bool // its own bytes can be text, too, and are visited beside what is taken out of them
	sure     bool // the first bytes leave no doubt, so an error is worth telling
}{
	kindZip:      {name: "zip", sure: true},
	kindTar:      {name: "tar", streams: true, archive: true, sure: true},
	kindGzip:     {name: "gzip", streams: true, sure: true},
	kindBzip2:    {name: "bzip2", streams: true, sure: true},
	kindXz:       {name: "xz", streams: true, sure: true},
	kindLzma:     {name: "lzma", streams: true},
	kindZstd:     {name: "zstd", streams: true, sure: true},
	kindLz4:      {name: "lz4", streams: true, sure: true},
	kindSnappy:   {name: "snappy", streams: true, sure: true},
	kindZlib:     {name: "zlib", streams: true},
	kindCpio:     {name: "cpio", streams: true, archive: true, sure: true},
	kindAr:       {name: "ar", streams: true, archive: true, sure: true},
	kindRpm:      {name: "rpm", streams: true, sure: true},
	kindSevenzip: {name: "7z", sure: true},
	kindPdf:      {name: "pdf", document: true, sure: true},
	kindSqlite:   {name: "sqlite", document: true, sure: true},
	kindPyc:      {name: "pyc", document: true},
	kindClass:    {name: "java class", document: true},
	kindDex:      {name: "dex", document: true},
	kindPng:      {name: "png", document: true},
	kindPlist:    {name: "property list", document: true},
	kindMail:     {name: "mail", document: true},
	kindNotebook: {name: "notebook", document: true},
	kindPack:     {name: "git pack", sure: true},
	kindRar:      {name: "rar", sure: true},
	kindCab:      {name: "cab", sure: true},
	kindZ:        {name: "compress (.Z)", sure: true},
	kindLocked:   {name: "office document", sure: true},
}

// walk looks at the members of in, which is of kind k.
func (k kind) walk(w *walker, at place, in *input) error {
	switch k {
	case kindZip:
		return walkZip(w, at, in)
	case kindTar:
		return walkTar(w, at, in)
	case kindGzip:
		return walkGzip(w, at, in)
	case kindBzip2:
		return walkBzip2(w, at, in)
	case kindXz:
		return walkXz(w, at, in)
	case kindLzma:
		return walkLzma(w, at, in)
	case kindZstd:
		return walkZstd(w, at, in)
	case kindLz4:
		return walkLz4(w, at, in)
	case kindSnappy:
		return walkSnappy(w, at, in)
	case kindZlib:
		return walkZlib(w, at, in)
	case kindCpio:
		return walkCpio(w, at, in)
	case kindAr:
		return walkAr(w, at, in)
	case kindRpm:
		return walkRpm(w, at, in)
	case kindSevenzip:
		return walkSevenzip(w, at, in)
	case kindPdf:
		return walkPdf(w, at, in)
	case kindSqlite:
		return walkSqlite(w, at, in)
	case kindPyc:
		return walkPyc(w, at, in)
	case kindClass:
		return walkClass(w, at, in)
	case kindDex:
		return walkDex(w, at, in)
	case kindPng:
		return walkPng(w, at, in)
	case kindPlist:
		return walkPlist(w, at, in)
	case kindMail:
		return walkMail(w, at, in)
	case kindNotebook:
		return walkNotebook(w, at, in)
	case kindPack:
		return walkPack(w, at, in)
	case kindLocked:
		return errEncrypted
	}
	return errors.New("this format is not opened")
}

// sniff tells what a content is from its first bytes; for zip, which may be appended to anything, from its last. It returns 0 for what
// is no container, after a few comparisons.
func sniff(b []byte) kind {
	if len(b) < 8 {
		return notContainer
	}
	has := func(magic string) bool { return len(b) >= len(magic) && string(b[:len(magic)]) == magic }
	switch b[0] {
	case 'P':
		if has("PK\x03\x04") || has("PK\x05\x06") || has("PK\x07\x08") {
			return kindZip
		}
		if has("PACK\x00\x00\x00") {
			return kindPack
		}
	case '#':
		if has("# v2 git bundle\n") || has("# v3 git bundle\n") {
			return kindPack
		}
	case 0xd0: // a compound file, whose directory names its streams in UTF-16 ([MS-OFFCRYPTO] 2.3.4)
		if has("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") && bytes.Contains(b, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")) {
			return kindLocked
		}
	case 0x1f:
		if has("\x1f\x8b\x08") {
			return kindGzip
		}
		if has("\x1f\x9d") {
			return kindZ
		}
	case 'B':
		if has("BZh") && len(b) > 10 && (string(b[4:10]) == "1AY&SY" || string(b[4:10]) == "\x17\x72\x45\x38\x50\x90") {
			return kindBzip2
		}
	case 0xfd:
		if has("\xfd7zXZ\x00") {
			return kindXz
		}
	case 0x5d:
		if isLzma(b) {
			return kindLzma
		}
	case 0x28:
		if has("\x28\xb5\x2f\xfd") {
			return kindZstd
		}
	case 0x04:
		if has("\x04\x22\x4d\x18") {
			return kindLz4
		}
	case 0xff:
		if has("\xff\x06\x00\x00sNaPpY") || has("\xff\x06\x00\x00S2sTwO") {
			return kindSnappy
		}
	case 0x78:
		if b[1] == 0x01 || b[1] == 0x5e || b[1] == 0x9c || b[1] == 0xda {
			return kindZlib
		}
	case '0':
		if has("070701") || has("070702") || has("070707") {
			return kindCpio
		}
	case '!':
		if has("!<arch>\n") {
			return kindAr
		}
	case '7':
		if has(szMagic) {
			return kindSevenzip
		}
	case '%':
		if has("%PDF-") {
			return kindPdf
		}
	case 'S':
		if has("SQLite format 3\x00") && len(b) >= 512 {
			return kindSqlite
		}
	case 0xca:
		if has("\xca\xfe\xba\xbe") && len(b) > 10 && b[6] == 0 && b[7] >= 45 { // version 1.1 at least: universal Mach-O counts its parts there
			return kindClass
		}
	case 'd':
		if has("dex\n") {
			return kindDex
		}
	case 0x89:
		if has("\x89PNG\r\n\x1a\n") && !isZipTail(b) {
			return kindPng
		}
	case '{':
		if isNotebook(b) {
			return kindNotebook
		}
	case 0xed:
		if has("\xed\xab\xee\xdb") {
			return kindRpm
		}
	case 'M', 0x7f: // programs that unpack themselves
		if (has("MZ") || has("\x7fELF")) && bytes.Contains(b, []byte(szMagic)) {
			return kindSevenzip
		}
		if has("MSCF\x00\x00\x00\x00") {
			return kindCab
		}
	}
	if b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18" { // a skippable frame before the first
		return kindZstd
	}
	if has("Rar!\x1a\x07") {
		return kindRar
	}
	if isPyc(b) {
		return kindPyc
	}
	if has(plistMagic) {
		return kindPlist
	}
	if b[0]|0x20 >= 'a' && b[0]|0x20 <= 'z' && isMail(b) {
		return kindMail
	}
	if isTar(b) {
		return kindTar
	}
	if isZipTail(b) {
		return kindZip
	}
	return notContainer
}

// isTar knows POSIX and GNU headers by their magic, older ones by their checksum.
func isTar(b []byte) bool {
	if len(b) < tarBlock {
		return false
	}
	if string(b[257:262]) == "ustar" {
		return true
	}
	// Mode, owner and size of version 7 are octal digits, blanks and zeros: no text looks like that.
	for _, c := range b[100:136] {
		if (c < '0' || c > '7') && c != ' ' && c != 0 {
			return false
		}
	}
	return b[0] != 0 && tarSum(b)
}

const tarBlock = 512

// tarSum checks the sum of a header, its own field taken as blanks.
func tarSum(b []byte) bool {
	sum := 8 * int(' ')
	for i, c := range b[:tarBlock] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	want := 0
	for _, c := range bytes.Trim(b[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int(c-'0')
	}
	return want == sum
}

// isLzma knows the header of the .lzma format: the usual properties, a dictionary of 2ⁿ or 2ⁿ+2ⁿ⁻¹ bytes, a size that is unknown or below 256 GiB.
func isLzma(b []byte) bool {
	if len(b) < 14 || b[0] != 0x5d {
		return false
	}
	dict, size := binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint64(b[5:])
	if dict < 1<<12 || size != 1<<64-1 && size > 1<<38 || b[13] != 0 {
		return false
	}
	for dict&1 == 0 {
		dict >>= 1
	}
	return dict == 1 || dict == 3 || dict == 1<<32-1
}

const eocdLen = 22 // of zip's end of central directory, without comment

// isZipTail reports whether a zip archive ends content that begins as something else: a program, a script, a picture.
func isZipTail(b []byte) bool {
	if len(b) < eocdLen {
		return false
	}
	if string(b[len(b)-eocdLen:len(b)-eocdLen+4]) == eocdMagic {
		return zipEnd(b) >= 0
	}
	switch {
	case b[0] == 'M' && b[1] == 'Z', string(b[:4]) == "\x7fELF", b[0] == '#' && b[1] == '!', string(b[:4]) == "\x89PNG", b[0] == 0xff && b[1] == 0xd8, string(b[:4]) == "GIF8":
		return zipEnd(b) >= 0
	}
	return false
}
