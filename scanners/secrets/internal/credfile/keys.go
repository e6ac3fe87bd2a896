package credfile

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// maxKey bounds a private key block, in bytes: a PGP key ring with photographs is the largest.
const maxKey = 256 << 10

// What key blocks begin and end with.
const (
	keyBegin   = "-----BEGIN "
	keyFinish  = "-----END "
	puttyBegin = "PuTTY-User-Key-File-"
)

// keyBlock finds private keys: PEM (RFC 7468), OpenSSH's own form and PGP armour (RFC 9580, section 6). A key that is encrypted
// under a passphrase is told from the block itself.
func (s *Search) keyBlock(p *part, h literal.Hit) {
	t, start := s.text, h.Start
	p.next = h.End
	label := t[h.End:min(len(t), h.End+64)]
	k := bytes.Index(label, []byte("-----"))
	if k < 0 || !bytes.Contains(label[:k], []byte("PRIVATE KEY")) {
		return
	}
	name := string(label[:k])
	body := h.End + k + 5
	if s.keyEnd < body {
		s.keyEnd = len(t)
		if j := bytes.Index(t[body:], []byte(keyFinish)); j >= 0 {
			s.keyEnd = body + j
		}
	}
	end := s.keyEnd
	if !bytes.HasPrefix(t[end:], []byte(keyFinish+name+"-----")) || end-start > maxKey || bytes.Contains(t[body:end], []byte(keyBegin)) {
		return
	}
	p.next = min(len(t), end+len(keyFinish)+len(name)+5)
	if rule := keyRule(name, t[body:end]); rule != "" {
		p.found = append(p.found, Credential{Rule: rule, Kind: "private-key", Value: string(t[start:p.next]), Start: start, End: p.next})
	}
}

// keyRule names the rule for a key block, or "" for one too short to be a key.
func keyRule(name string, body []byte) string {
	raw := armoured(body)
	if len(raw) < 32 {
		return ""
	}
	switch {
	case strings.HasPrefix(name, "PGP "):
		return "pgp-private-key"
	case strings.Contains(name, "ENCRYPTED"), bytes.Contains(body, []byte("ENCRYPTED")):
		return "encrypted-private-key"
	case bytes.HasPrefix(raw, []byte("openssh-key-v1\x00")): // cipher name follows, "none" for a bare key; see PROTOCOL.key of OpenSSH
		if !bytes.HasPrefix(raw[15:], []byte("\x00\x00\x00\x04none")) {
			return "encrypted-private-key"
		}
	}
	return "pem-private-key"
}

var header = lazyregexp.New(`(?m)^[ \t]*[A-Za-z][A-Za-z0-9\-]*:.*$`)

// armoured decodes the base64 of a block, past headers, indentation, quotes and line breaks written as \n.
func armoured(body []byte) []byte {
	body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(`\r`), nil), []byte(`\n`), []byte("\n"))
	body = header().ReplaceAll(body, nil)
	clean := make([]byte, 0, len(body))
	for _, line := range bytes.Split(body, []byte("\n")) {
		line = bytes.Trim(line, " \t\r\"'`+,;|#*>\\")
		if bytes.HasPrefix(line, []byte("=")) { // the checksum of PGP armour
			break
		}
		clean = append(clean, line...)
	}
	clean = bytes.TrimRight(clean, "=")
	clean = clean[:len(clean)/4*4]
	out := make([]byte, base64.StdEncoding.DecodedLen(len(clean)))
	n, _ := base64.StdEncoding.Decode(out, clean)
	return out[:n]
}

// puttyKey finds PuTTY's key files; see appendix C of its manual. The value is the private half alone.
func (s *Search) puttyKey(p *part, h literal.Hit) {
	i := h.Start + 1
	p.next = i
	file := s.text[i:min(len(s.text), i+maxKey)]
	cipher, _ := field(file[:min(len(file), 256)], "Encryption: ")
	if cipher == "" {
		return
	}
	const private = "Private-Lines: "
	if s.private < i {
		s.private = len(s.text)
		if j := bytes.Index(s.text[i:], []byte("\n"+private)); j >= 0 {
			s.private = i + j
		}
	}
	if s.private-i >= len(file) {
		return
	}
	count, at := field(file[s.private-i:], private)
	n, err := strconv.Atoi(count)
	if err != nil {
		return
	}
	start := s.private + at
	end := start
	for ; n > 0 && end < i+len(file); n-- {
		end = min(lineEnd(s.text[:i+len(file)], end)+1, i+len(file))
	}
	end = trimEnd(s.text, start, end)
	if end-start < 32 {
		return
	}
	rule := "pem-private-key"
	if cipher != "none" {
		rule = "encrypted-private-key"
	}
	p.found = append(p.found, Credential{Rule: rule, Kind: "private-key", Value: string(s.text[start:end]), Start: start, End: end})
	p.next = end
}

// field returns the value of a header line and where the next line starts.
func field(t []byte, name string) (string, int) {
	i := bytes.Index(t, []byte("\n"+name))
	if i < 0 {
		return "", 0
	}
	end := lineEnd(t, i+1)
	return strings.TrimSpace(string(t[i+1+len(name) : end])), min(end+1, len(t))
}

// Keys returns the private key or key store that a binary content is, without looking for anything in it.
func Keys(content []byte) []Credential { return derKey(content, keystores(content, nil)) }

// keyTypes are what follows the version in a private key's DER: the algorithm in PKCS #8 (RFC 5208, RFC 8410), the octets of the number in the
// form of RFC 5915, and the modulus, of 1024 bits and more, in that of RFC 8017.
var keyTypes = [][]byte{
	{2, 1, 0, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}, // RSA
	{2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1},          // elliptic curves
	{2, 1, 0, 0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1},
	{2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4}, // Ed25519
	{2, 1, 1, 4, 0x20},
	{2, 1, 1, 4, 0x30},
	{2, 1, 1, 4, 0x42},
	{2, 1, 0, 2, 0x81, 0x81, 0},
	{2, 1, 0, 2, 0x82},
}

// derKey finds a content that is one bare private key in DER, a SEQUENCE that ends where the content does.
func derKey(t []byte, found []Credential) []Credential {
	if len(t) < 48 || len(t) > maxValue || t[0] != 0x30 {
		return found
	}
	size, body := int(t[1]), t[2:]
	switch t[1] {
	case 0x81:
		size, body = int(t[2]), t[3:]
	case 0x82:
		size, body = int(binary.BigEndian.Uint16(t[2:])), t[4:]
	}
	if size != len(body) {
		return found
	}
	for _, head := range keyTypes {
		if bytes.HasPrefix(body, head) {
			return append(found, Credential{Rule: "pem-private-key", Kind: "private-key", Value: string(t), Start: 0, End: len(t)})
		}
	}
	return found
}

// keystores finds files that are a Java or PKCS#12 key store (RFC 7292: a SEQUENCE that holds the version 3 and a ContentInfo of
// type data). Their keys are encrypted under a password that is seldom a good one.
func keystores(t []byte, found []Credential) []Credential {
	switch {
	case len(t) < 64:
	case bytes.HasPrefix(t, []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0}), bytes.HasPrefix(t, []byte{0xce, 0xce, 0xce, 0xce, 0, 0, 0}),
		t[0] == 0x30 && t[1] >= 0x80 && t[1] <= 0x84 && bytes.Contains(t[:16], []byte{2, 1, 3, 0x30}) &&
			bytes.Contains(t[:48], []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7}):
		head := t[:min(len(t), maxValue)]
		found = append(found, Credential{Rule: "keystore", Kind: "keystore", Value: string(head), Start: 0, End: len(head)})
	}
	return found
}

// loginPath reads .mylogin.cnf, which MySQL's client obfuscates: five unused bytes less one, a key of 20 bytes folded to 16 by
// XOR, then lines, each with its length and in AES-128-ECB. See my_default.c of MySQL.
func loginPath(t []byte) []Credential {
	if len(t) < 28 {
		return nil
	}
	var key [16]byte
	for i, b := range t[4:24] {
		key[i%16] ^= b
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil
	}
	var found []Credential
	user := ""
	for at := 24; at+4 <= len(t) && len(found) < maxFound; {
		n := int(binary.LittleEndian.Uint32(t[at:]))
		start := at + 4
		if n <= 0 || n%16 != 0 || n > 4096 || start+n > len(t) {
			break
		}
		line := make([]byte, n)
		for i := 0; i < n; i += 16 {
			block.Decrypt(line[i:], t[start+i:])
		}
		if pad := int(line[n-1]); pad <= 16 && pad > 0 {
			line = line[:n-pad]
		}
		k, v, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		v = strings.Trim(strings.TrimSpace(v), `"`)
		switch strings.TrimSpace(k) {
		case "user":
			user = v
		case "password":
			if filledIn(v) {
				found = append(found, Credential{Kind: "password", ID: user, Value: v, Start: start, End: start + n})
			}
		}
		at = start + n
	}
	return found
}
