package secrets

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// An Ignore is the content of a .gitleaksignore file: fingerprints of findings that are to stay silent.
type Ignore struct {
	entries map[fingerprint]int // → line of the file
}

// fingerprint is what a line of the file says: COMMIT:FILE:RULE:LINE, or FILE:RULE:LINE for any commit.
type fingerprint struct {
	commit, path, rule string
	line               int
}

// ParseIgnore reads a .gitleaksignore file. Lines that are empty, begin with # or are no fingerprints are passed over; the
// error is r's.
func ParseIgnore(r io.Reader) (Ignore, error) {
	ig := Ignore{entries: map[fingerprint]int{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		if f, ok := parseFingerprint(in.Text()); ok {
			if _, twice := ig.entries[f]; !twice {
				ig.entries[f] = n
			}
		}
	}
	if err := in.Err(); err != nil {
		return ig, fmt.Errorf("reading ignore file: %w", err)
	}
	return ig, nil
}

func parseFingerprint(text string) (f fingerprint, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "#") {
		return f, false
	}
	parts := strings.Split(text, ":")
	if len(parts) == 4 {
		f.commit, parts = parts[0], parts[1:]
	}
	if len(parts) != 3 {
		return f, false
	}
	line, err := strconv.Atoi(parts[2])
	f.path, f.rule, f.line = strings.ReplaceAll(parts[0], `\`, "/"), parts[1], line
	return f, err == nil
}

// Len is the number of fingerprints.
func (ig Ignore) Len() int { return len(ig.entries) }

// Match tells whether a finding of rule at loc is to stay silent, and by which line of the file.
func (ig Ignore) Match(rule string, loc audit.Location) (line int, ok bool) {
	if len(ig.entries) == 0 {
		return 0, false
	}
	f := fingerprint{path: loc.Path, rule: rule, line: loc.Line}
	if line, ok = ig.entries[f]; ok || loc.Commit == "" {
		return line, ok
	}
	f.commit = loc.Commit
	line, ok = ig.entries[f]
	return line, ok
}

// SilencerFiles are the files by which a scanned tree can ask for silence, by their path in it, with what counts their entries.
func SilencerFiles() map[string]func(content []byte) int {
	ignore := func(content []byte) int {
		ig, _ := ParseIgnore(bytes.NewReader(content)) // what was read before an error counts
		return ig.Len()
	}
	one := func([]byte) int { return 1 }
	return map[string]func([]byte) int{
		".gitleaksignore": ignore, ".betterleaksignore": ignore,
		".gitleaks.toml": one, ".betterleaks.toml": one,
	}
}
