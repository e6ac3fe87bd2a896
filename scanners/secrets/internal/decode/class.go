package decode

import (
	"bytes"
	"encoding/binary"
)

// Byte classes.
const (
	isBase64 = 1 << iota // either alphabet, no padding
	isDigit
	isHex
	isToken   // what tokens and their glue are made of
	isWord    // letters, digits, _
	isEnd     // of a value: blanks and quotes
	isClosing // what may follow a token at the end of a line
)

var class = func() (t [256]uint8) {
	set := func(bit uint8, s string) {
		for i := range len(s) {
			t[s[i]] |= bit
		}
	}
	const upper, lower, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
	set(isBase64, upper+lower+digits+"+/-_")
	set(isDigit, digits)
	set(isHex, digits+"abcdefABCDEF")
	set(isToken, upper+lower+digits+"+/-_=.~:@")
	set(isWord, upper+lower+digits+"_")
	set(isEnd, " \t\r\n\"'`")
	set(isClosing, "\"'`,;)}]<\\")
	return t
}()

// A tally says which bytes a text holds that can belong to an encoding.
type tally struct {
	nul, bom  bool
	control   bool // ESC or ^[[
	high      bool // bytes above 0x7f
	percent   bool
	ampersand bool
	markup    bool // </
	backslash bool
	equals    bool // =3D, or at the end of a line
}

// minRun is the shortest base64 worth decoding: 16 characters hold 12 bytes, and shorter secrets are found nowhere.
const minRun = 16

// classify looks for the bytes that encodings begin with. Most texts hold few of them, and searching for one that is not
// there costs a thirtieth of looking at each byte.
func classify(text []byte) (t tally) {
	has := func(c byte) bool { return bytes.IndexByte(text, c) >= 0 }
	t.nul = has(0)
	t.control = has(0x1b) || bytes.Contains(text, []byte("^[["))
	t.high = !ascii(text)
	t.bom = t.high && len(text) >= 2 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff)
	t.percent = has('%')
	t.ampersand = has('&')
	t.markup = bytes.Contains(text, []byte("</"))
	t.backslash = has('\\')
	t.equals = bytes.Contains(text, []byte("=3D")) || bytes.Contains(text, []byte("=\n")) || bytes.Contains(text, []byte("=\r"))
	return t
}

// ascii reports whether text has no byte above 0x7f.
func ascii(text []byte) bool {
	const high = 0x8080808080808080
	i := 0
	for ; i+32 <= len(text); i += 32 {
		w := binary.LittleEndian.Uint64(text[i:]) | binary.LittleEndian.Uint64(text[i+8:]) |
			binary.LittleEndian.Uint64(text[i+16:]) | binary.LittleEndian.Uint64(text[i+24:])
		if w&high != 0 {
			return false
		}
	}
	for ; i < len(text); i++ {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
