package secrets

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
)

// What is found in a text is the same, whatever texts were scanned before it: versions of it in which one line or many are others.
func TestVersions(t *testing.T) {
	r := newSource()
	s := scanner(t, Options{})
	var lines [][]byte
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.SplitAfter(text, []byte("\n"))...)
	}
	filler := func(n int) []byte { at := r.IntN(len(lines) - n); return bytes.Join(lines[at:at+n], nil) }
	blank := func() string { return strings.Repeat("\n", r.IntN(40)) }
	// Each hides something over several lines, near and far.
	secrets := []func() string{
		func() string { return "token: " + r.github() + "\n" },
		func() string {
			return "aws_access_key_id = " + r.keyID() + "\n" + blank() + "aws_secret_access_key = " + r.secret() + "\n"
		},
		func() string {
			return "aws_access_key_id = " + r.keyID() + "\n" + strings.Repeat("other = thing\n", 200) + "aws_secret_access_key = " + r.secret() + "\n"
		},
		func() string { return "api_key =\n\n  \"" + r.of(alnum, 32) + "\"\n" },
		func() string {
			return "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat(r.of(alnum, 64)+"\n", 20) + "-----END RSA PRIVATE KEY-----\n"
		},
		func() string {
			return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n" + strings.Repeat("  # nothing\n", r.IntN(150)) + "  password: " + base64.StdEncoding.EncodeToString([]byte(r.of(alnum, 20))) + "\n"
		},
		func() string { return "url = https://ci:" + r.of(alnum, 18) + "@git.acme.dev/x\n" },
		func() string { return "Authorization:\n   Bearer " + r.of(alnum, 40) + "\n" },
		func() string {
			return "machine git.acme.dev\n  login ci\n" + blank() + "  password " + r.of(alnum, 18) + "\n"
		},
		func() string {
			return "https://hooks.slack.com/\n" + blank() + "slack_token: xoxb-" + r.of("0123456789", 12) + "-" + r.of("0123456789", 12) + "-" + r.of(alnum, 24) + "\n"
		},
		func() string {
			return "sourcegraph\n" + blank() + "sgp_" + r.of("0123456789abcdef", 16) + "_" + r.of("0123456789abcdef", 40) + "\n"
		},
		func() string { return "x = '" + base64.StdEncoding.EncodeToString([]byte(r.github())) + "'\n" },
		func() string {
			token := r.github()
			return "a = 'ghp_' +\n  '" + token[4:20] + "' +\n  '" + token[20:] + "'\n"
		},
		func() string {
			token := r.github()
			return "a = '" + token[:9] + "'\n" + blank() + "b = '" + token[9:] + "'\nc = a + b\n"
		},
		func() string { return "mysql_connect(\"db.acme.dev\",\n  \"root\",\n  \"" + r.of(alnum, 14) + "\")\n" },
		func() string { return "secret = \"" + r.of(alnum, 30) + "\" # gitleaks:allow\n" },
		func() string { return "\u212aey \u017fecret_\u212aey = \"" + r.of(alnum, 30) + "\"\n" },
	}
	all := func(memory *fresh.Memory, text []byte) (out []string) {
		s.memory = memory
		fs, gaps := s.Scan(audit.Item{Kind: audit.KindFile, Object: "x"}, text)
		for _, f := range fs {
			l := f.Locations[0]
			out = append(out, fmt.Sprint(f.Rule, l.Line, l.Column, l.EndLine, l.EndColumn, l.Encoding, l.Lines, l.Rules, f.Candidate, f.Suppressed != nil, f.Severity))
		}
		for _, g := range gaps {
			out = append(out, fmt.Sprint(g))
		}
		slices.Sort(out)
		return out
	}
	memory := fresh.New(1 << 16)
	found := 0
	check := func(parts [][]byte) {
		t.Helper()
		text := bytes.Join(parts, nil)
		got, want := all(memory, text), all(fresh.New(1), text)
		found += len(got)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q\nwant %q in\n%s", got, want, text)
		}
	}
	rounds, pads := 20, 40
	if testing.Short() {
		rounds, pads = 3, 4
	}
	for range pads {
		for _, secret := range secrets {
			parts := [][]byte{filler(20), filler(1 + r.IntN(40))}
			parts = append(parts, bytes.SplitAfter([]byte(secret()), []byte("\n"))...)
			last := len(parts)
			parts = append(parts, filler(1+r.IntN(40)), filler(20))
			for i := 2; i < last; i++ {
				if i == 6 {
					i = max(i, last-4)
				}
				was := parts[i]
				for _, line := range [][]byte{nil, filler(1), []byte(blank())} {
					parts[i] = line
					check(parts)
					parts[i] = was
					check(parts)
				}
			}
		}
	}
	for range rounds {
		var parts [][]byte
		some := func() []byte {
			switch r.IntN(6) {
			case 0:
				return []byte(secrets[r.IntN(len(secrets))]())
			case 1:
				text := []byte(secrets[r.IntN(len(secrets))]())
				lo := r.IntN(len(text))
				return text[lo : lo+r.IntN(len(text)-lo)]
			}
			return filler(1 + r.IntN(30))
		}
		for range 20 + r.IntN(60) {
			parts = append(parts, some())
		}
		for range 20 {
			check(parts)
			for range 1 + r.IntN(3) {
				i := r.IntN(len(parts))
				switch r.IntN(4) {
				case 0:
					parts[i] = nil
				case 1:
					parts[i] = append(some(), parts[i]...)
				default:
					parts[i] = some()
				}
			}
		}
	}
	if found == 0 {
		t.Error("nothing found")
	}
}
