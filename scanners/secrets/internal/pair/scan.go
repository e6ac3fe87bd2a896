package pair

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// A mark is something of a credential that stands in a text.
type mark struct {
	Span
	what  what
	rank  int    // of a secret or token: how sure its name makes it
	stem  string // what its name says beside the words for keys: "prod" of "PROD_AWS_SECRET_KEY"
	line  int
	scope []int // the scopes it stands in, from the file inwards; see locate
	sect  int   // number of its INI section
}

type what uint8

const (
	isID what = iota
	isSecret
	isToken
	isRegion
)

// Ranks of secrets by the name beside them.
const (
	rejected  = iota - 1 // named as something that is no credential
	otherwise            // named as something else, such as a password
	unnamed
	named // "secret"
	exact // "secret access key" and its like
)

// secrets appends the secrets and tokens. Of a run of 40 bytes the 8 from some multiple of 33 on are a part, the 8 behind or in front of
// them are another, and no other bytes need be looked at.
func secrets(t []byte, in fresh.Span, of *fresh.Text, marks []mark) []mark {
	const part = 8
	const stride = 40 - part + 1
	n := len(marks)
	for i := in.Lo; i+part <= in.Hi && len(marks)-n < maxSecrets; i += stride {
		if !inOneRun((*[part]byte)(t[i:])) || (i+2*part > len(t) || !inOneRun((*[part]byte)(t[i+part:]))) && (i < part || !inOneRun((*[part]byte)(t[i-part:]))) {
			continue
		}
		start, end := i, i+part
		for start > 0 && class[t[start-1]]&inRun != 0 {
			start--
		}
		for end < len(t) && class[t[end]]&inRun != 0 {
			end++
		}
		if end-start >= 40 {
			before := len(marks)
			if marks = runs(t, start, end, marks); len(marks) > before {
				of.Touch(start, end)
			}
		}
		i = max(i, end-stride) // behind the run
	}
	return marks
}

func inOneRun(b *[8]byte) bool {
	return class[b[0]]&class[b[1]]&class[b[2]]&class[b[3]]&class[b[4]]&class[b[5]]&class[b[6]]&class[b[7]]&inRun != 0
}

// id reads an access key id: four letters of a kind and 16 characters of base32, on their own.
func id(t []byte, start int) (mark, bool) {
	end := start + 20
	if end > len(t) || end < len(t) && class[t[end]]&word != 0 || !ownWord(t, start) || !base32(t[start+4:end]) || class[t[start+3]]&word == 0 {
		return mark{}, false
	}
	return mark{Span: Span{start, end}, what: isID, stem: stem(nameBefore(t, start))}, true
}

func base32(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// ownWord tells whether a word starts at i, be it behind an escape such as "%3D" or "\n".
func ownWord(t []byte, i int) bool {
	return i == 0 || class[t[i-1]]&word == 0 ||
		i >= 3 && t[i-3] == '%' && isHex(t[i-2]) && isHex(t[i-1]) ||
		i >= 2 && t[i-2] == '\\' && (t[i-1] == 'n' || t[i-1] == 't' || t[i-1] == 'r') ||
		i >= 6 && t[i-6] == '\\' && t[i-5] == 'u'
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

// Classes of bytes.
const (
	word    = 1 << iota // of Go's \w
	inRun               // may stand in a secret or in an escape inside one
	upper               // letters and digits of a secret's alphabet
	lower               //
	digit               //
	symbol              // "/" and "+"
	bracket             // of any kind
)

const alphabet = upper | lower | digit | symbol

var class = func() (c [256]byte) {
	for b := '0'; b <= '9'; b++ {
		c[b] = word | inRun | digit
	}
	for b := 'a'; b <= 'z'; b++ {
		c[b] = word | inRun | lower
	}
	for b := 'A'; b <= 'Z'; b++ {
		c[b] = word | inRun | upper
	}
	c['_'] = word
	c['/'], c['+'] = inRun|symbol, inRun|symbol
	c['\\'], c['%'] = inRun, inRun
	for _, b := range []byte("{}()[]") {
		c[b] = bracket
	}
	return c
}()

// unit reads one character of a secret, plain or escaped, and how many bytes it takes; 0 for none.
func unit(t []byte, i int) (byte, int) {
	switch c := t[i]; {
	case class[c]&alphabet != 0:
		return c, 1
	case c == '\\' && i+1 < len(t) && t[i+1] == '/':
		return '/', 2
	case c == '\\' && i+5 < len(t) && t[i+1] == 'u' && t[i+2] == '0' && t[i+3] == '0' && t[i+4] == '2':
		switch t[i+5] | 0x20 {
		case 'f':
			return '/', 6
		case 'b':
			return '+', 6
		}
	case c == '%' && i+2 < len(t) && t[i+1] == '2':
		switch t[i+2] | 0x20 {
		case 'f':
			return '/', 3
		case 'b':
			return '+', 3
		}
	}
	return 0, 0
}

// runs splits a run of bytes at escapes that are no part of a secret and adds each piece that is a secret or a token.
func runs(t []byte, start, end int, marks []mark) []mark {
	for i := start; i < end; {
		from, n := i, 0
		for i < end {
			plain := escape(t[i:end])
			n, i = n+plain, i+plain
			if i == end {
				break
			}
			_, size := unit(t[:end], i)
			if size == 0 {
				break
			}
			n, i = n+1, i+size
		}
		switch {
		case n == 40 && alone(t, from, i):
			value := t[from:i]
			if len(value) > n { // some are escaped
				value = []byte(Value(t, Span{from, i}))
			}
			if likely(value) {
				rank, stem := judge(t, from)
				if rank != rejected && (rank >= named || random(value)) {
					marks = append(marks, mark{Span: Span{from, i}, what: isSecret, rank: rank, stem: stem})
				}
			}
		case n >= 100:
			marks = token(t, from, i, marks)
		}
		if i < end { // a separator: "\n", "%3D", or a stray character
			switch {
			case t[i] == '\\':
				i = min(i+2, end)
			case t[i] == '%' && i+2 < end && isHex(t[i+1]) && isHex(t[i+2]):
				i += 3
			default:
				i++
			}
		}
	}
	return marks
}

// escape returns where in a run the first byte stands that is not of a secret's alphabet: a backslash or a percent sign. If there is
// none it is the run's length. It looks ahead by so much that a run without any takes few steps, and one full of them not much work.
func escape(run []byte) int {
	const ahead = 128
	for from := 0; from < len(run); from += ahead {
		part := run[from:min(from+ahead, len(run))]
		n := len(part)
		if i := bytes.IndexByte(part, '\\'); i >= 0 {
			part = part[:i]
		}
		if i := bytes.IndexByte(part, '%'); i >= 0 {
			part = part[:i]
		}
		if len(part) < n {
			return from + len(part)
		}
	}
	return len(run)
}

// alone tells whether a run stands on its own, and not as the piece of a longer base64 text or identifier that other characters
// join to it.
func alone(t []byte, start, end int) bool {
	if start > 0 && bytes.IndexByte([]byte("-_.~"), t[start-1]) >= 0 {
		return false
	}
	if end < len(t) {
		switch c := t[end]; c {
		case '=', '-', '_', '~':
			return false
		case '.':
			return end+1 == len(t) || class[t[end+1]]&word == 0
		}
	}
	return true
}

// likely tells whether 40 characters can be a secret at all: not hex, no path.
func likely(v []byte) bool {
	var kinds byte
	slashes := 0
	for _, c := range v {
		kinds |= class[c]
		if c == '/' {
			slashes++
		}
	}
	return kinds&(upper|lower) == upper|lower && slashes <= 6 && (kinds&digit != 0 || random(v))
}

// random tells a secret from identifiers and paths that only look like one. Of a million secrets drawn at random, 173 change the
// kind of character less than 14 times, 259 have 20 or more pairs of neighbours of one case, and 33 have less than 4.2 bits of
// entropy; words, joined in whatever way, mostly fail all three.
func random(v []byte) bool {
	var count [256]int
	var pairs [256]int
	changes := 0
	last := class[v[0]] // counts the first character as a pair: no matter
	for _, c := range v {
		count[c]++
		if class[c] != last {
			changes++
		} else {
			pairs[last]++
		}
		last = class[c]
	}
	entropy := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / 40
			entropy -= p * math.Log2(p)
		}
	}
	return changes >= 14 && pairs[word|inRun|lower] < 20 && pairs[word|inRun|upper] < 20 && entropy >= 4.2
}

// token adds a session token: what STS's begin with, or what is named so. They are base64 of some 300 bytes and more.
func token(t []byte, start, end int, marks []mark) []mark {
	head := string(t[start : start+4])
	known := head == "FwoG" || head == "IQoJ" || head == "FQoG" || head == "FQoD" || head == "AQoD" || head == "AQoE"
	context := fold(string(t[max(0, start-48):start]))
	if !known && !strings.Contains(context, "sessiontoken") && !strings.Contains(context, "securitytoken") {
		return marks
	}
	for pad := 0; pad < 2 && end < len(t) && t[end] == '='; pad++ {
		end++
	}
	return append(marks, mark{Span: Span{start, end}, what: isToken, rank: named, stem: stem(nameBefore(t, start))})
}

// regions finds the names of regions in use and announced, such as us-gov-west-1;
// see https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html.
func regions(t []byte) []mark {
	var marks []mark
	for i := 0; len(marks) < maxIDs; i++ {
		j := bytes.IndexByte(t[i:], '-')
		if j < 0 {
			break
		}
		i += j
		if start, end := country(t, i), direction(t, i+1); start >= 0 && end > 0 {
			marks = append(marks, mark{Span: Span{start, end}, what: isRegion})
		}
	}
	return marks
}

// country returns where a region begins whose first part, such as "us" or "us-gov", ends at end; -1 for none.
func country(t []byte, end int) int {
	if g, ok := bytes.CutSuffix(t[:end], []byte("-gov")); ok {
		end = len(g)
	} else if g, ok := bytes.CutSuffix(t[:end], []byte("-iso")); ok {
		end = len(g)
	} else if end > 0 && t[end-1] >= 'a' && t[end-1] <= 'z' {
		if g, ok := bytes.CutSuffix(t[:end-1], []byte("-iso")); ok {
			end = len(g)
		}
	}
	if end < 2 || end > 2 && class[t[end-3]]&word != 0 {
		return -1
	}
	switch string(t[end-2 : end]) {
	case "us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx", "cn":
		return end - 2
	}
	return -1
}

// direction returns where a region ends whose last part, such as "northeast-1", begins at start; -1 for none.
func direction(t []byte, start int) int {
	for _, names := range [][]string{{"north", "south", "east", "west", "central"}, {"east", "west", ""}} {
		n := slices.IndexFunc(names, func(name string) bool { return bytes.HasPrefix(t[start:], []byte(name)) })
		if n < 0 {
			return -1
		}
		start += len(names[n])
	}
	if start+2 > len(t) || t[start] != '-' || t[start+1] < '1' || t[start+1] > '9' || start+2 < len(t) && class[t[start+2]]&word != 0 {
		return -1
	}
	return start + 2
}

// Names of what looks like a secret and is none, and of what is some other secret.
var (
	noSecret    = []string{"sha1", "sha256", "sha512", "hash", "digest", "commit", "integrity", "etag", "signature", "checksum", "nonce", "csrf", "revision", "blob", "uuid", "fingerprint", "cursor", "requestid"}
	otherSecret = []string{"password", "passwd", "token", "apikey", "salt", "clientid", "url", "path", "cookie"}
)

// judge ranks a secret by the name before it, or by what else stands just before on its line.
func judge(t []byte, start int) (rank int, s string) {
	name := nameBefore(t, start)
	n := fold(name)
	before := fold(lineBefore(t, start))
	switch {
	case !strings.Contains(n, "secret") && (holdsAny(n, noSecret) || strings.HasSuffix(n, "sha")):
		return rejected, ""
	case holdsAny(n+" "+before, []string{"secretaccesskey", "awssecret", "secretkey"}):
		return exact, stem(name)
	case strings.Contains(n, "secret") || strings.Contains(before, "secret"):
		return named, stem(name)
	case holdsAny(n, otherSecret):
		return otherwise, stem(name)
	}
	return unnamed, stem(name)
}

func holdsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// lineBefore is what stands before start on its line, at most 64 bytes, from the last separator on.
func lineBefore(t []byte, start int) string {
	from := max(0, start-64)
	if i := bytes.LastIndexAny(t[from:start], "\n,;{}<>|&"); i >= 0 {
		from += i + 1
	}
	return string(t[from:start])
}

// holders are the names of fields that hold a value whose name is the value of the field before: {"name": …, "value": …}.
var holders = map[string]bool{"value": true, "v": true, "val": true, "default": true, "string": true, "defaultvalue": true, "stringvalue": true, "plaintextvalue": true, "values": true, "text": true}

// nameBefore returns the identifier that names the value at start: the last one before it on its line or the line before. Behind
// a comma stands a name only if it is one of a key: "setProperty("aws.secretKey", …" has one, a column of a table has none.
func nameBefore(t []byte, start int) string {
	end, lo := start, max(0, start-160)
	listed := false
	for step := range 3 {
		breaks := 0
		for end > lo && class[t[end-1]]&word == 0 {
			switch t[end-1] {
			case '\n':
				if breaks++; breaks > 1 {
					return ""
				}
			case ';', '}', ')':
				return ""
			case ',':
				listed = listed || step == 0
			}
			end--
		}
		from := end
		for from > lo && (class[t[from-1]]&word != 0 || t[from-1] == '-' || t[from-1] == '.') {
			from--
		}
		name := string(t[from:end])
		n := fold(name)
		if holders[n] {
			end = from
			continue
		}
		if len(name) > 64 || len(name) == 20 && base32(t[from+4:end]) || listed && !holdsAny(n, []string{"secret", "key", "token"}) {
			return ""
		}
		return name
	}
	return ""
}

// fold keeps letters and digits, in lower case.
func fold(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case class[c]&(lower|digit) != 0:
			b = append(b, c)
		}
	}
	return string(b)
}

// keyWords are what the names of all halves consist of, longest first; what is left of a name tells keys apart.
var keyWords = strings.NewReplacer("secretaccesskey", "", "accesskeysecret", "", "accesskeyid", "", "sessiontoken", "", "securitytoken", "", "secretkey", "", "accesskey", "", "credentials", "",
	"credential", "", "secret", "", "access", "", "token", "", "keyid", "", "amazon", "", "public", "", "private", "", "aws", "", "key", "", "id", "", "iam", "", "value", "", "username", "", "user", "", "password", "", "pass", "", "login", "", "string", "", "default", "", "config", "", "export", "", "set", "", "env", "", "tfvar", "", "var", "")

// stem is what a name says beside the words for keys.
func stem(name string) string { return keyWords.Replace(fold(name)) }
