package match

import (
	"bytes"
	"testing"

	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// TestHostile runs over texts made to cost much: it is there to end, which it would not if work grew with the square of the text.
func TestHostile(t *testing.T) {
	m := New(rules.Default())
	size := 1 << 20
	if testing.Short() {
		size = 1 << 18
	}
	var keywords []byte
	for _, l := range m.words {
		keywords = append(append(keywords, l.Text...), " = "...)
	}
	token := "ghp_" + "0123456789abcdefABCDEFghijklmnopqrst"
	for _, unit := range []string{
		"a", "key", "key=", "key: ", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY BLOCK-- ", "kind: secret\ndata:\n ", "curl ", "curl -H \n",
		"ey", "pypi-AgEIcHlwaS5vcmc", "\n", "\x00", "\xe2\x84", "\u212aey=", "https://a.webhook.office.com ", "123456789012345| facebook ",
		token + " ", "api_key=\"" + token[4:] + "\" ", string(keywords),
	} {
		text := bytes.Repeat([]byte(unit), size/len(unit))
		found, _ := m.Find(text, nil, nil)
		for i := range found {
			if x := &found[i]; x.SecretStart < 0 || x.SecretEnd > len(text) || x.LineEnd > len(text) || x.LineStart > x.LineEnd {
				t.Fatalf("%.40q: match %d-%d on lines %d-%d", unit, x.SecretStart, x.SecretEnd, x.LineStart, x.LineEnd)
			}
		}
		m.Find(append(text[:len(text):len(text)], "\ntoken: "+token...), nil, nil)
	}
}
