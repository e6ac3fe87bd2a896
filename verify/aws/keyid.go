package aws

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// The kinds of access key ids, as they appear in the fact key_kind.
const (
	longTerm  = "long-term"
	temporary = "temporary"
)

// keyKind tells from its prefix what an id names, and whether that is an access key. The prefixes are those of the table
// "Understanding unique ID prefixes" in the IAM User Guide.
func keyKind(id string) (kind string, isKey bool) {
	if len(id) < 4 {
		return "unknown", false
	}
	switch id[:4] {
	case "AKIA":
		return longTerm, true
	case "ASIA":
		return temporary, true
	case "ABIA":
		return "service bearer token", false
	case "ACCA":
		return "context-specific credential", false
	case "AGPA":
		return "user group id", false
	case "AIDA":
		return "user id", false
	case "AIPA":
		return "instance profile id", false
	case "ANPA", "ANVA":
		return "managed policy id", false
	case "APKA":
		return "public key id", false
	case "AROA":
		return "role id", false
	case "ASCA":
		return "certificate id", false
	}
	return "unknown", false
}

// wellFormed tells whether an id may be put into a request: 16 to 128 letters and digits, as the IAM API describes
// accessKeyIdType. What a repository calls a key id is not to be trusted with a header.
func wellFormed(id string) bool {
	return len(id) >= 16 && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// sendable tells whether a session token may be put into a header: printable ASCII, and not longer than servers take.
func sendable(token string) bool {
	return len(token) <= 16<<10 && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// AccountOf returns the twelve-digit account number that an access key id carries. It is the upper 40 bits but one of
// the base32 number behind the prefix. Ids from before that format, which have an I or J in fifth place, carry none.
func AccountOf(id string) (account string, ok bool) {
	if _, isKey := keyKind(id); !isKey || len(id) != 20 || !wellFormed(id) || id[4] == 'I' || id[4] == 'J' {
		return "", false
	}
	raw, err := base32.StdEncoding.DecodeString(id[4:])
	if err != nil {
		return "", false
	}
	n := binary.BigEndian.Uint64(raw) >> 16 & 0x7fffffffff80 >> 7
	if n > 999999999999 {
		return "", false
	}
	return fmt.Sprintf("%012d", n), true
}
