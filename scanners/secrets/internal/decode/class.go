package decode

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

// minRun is the shortest base64 worth decoding: 16 characters hold 12 bytes, and shorter secrets are found nowhere.
const minRun = 16
