package match

import (
	"testing"
	"unicode/utf8"

	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// TestTakes compares what instructions take with what package regexp says.
func TestTakes(t *testing.T) {
	patterns := []string{`.`, `(?s).`, `[^\n]`, `(?i)k`, `(?i)[^k]`, `(?i)ſ`, `[\x{0}-\x{10ffff}]`, `é`, `[^a-z]`, `(?i)@[[:^word:]]`}
	for _, r := range rules.Default().Rules {
		if r.Regex != "" {
			patterns = append(patterns, r.Regex)
		}
	}
	for _, pattern := range patterns {
		p := newProgram(mustProgram(pattern))
		for i := range p.inst {
			in := &p.inst[i]
			if !isRune(in.op) {
				continue
			}
			for c := range rune(utf8.RuneSelf) {
				if in.takes(byte(c)) != in.src.MatchRune(c) {
					t.Fatalf("%s: %s takes %q: %v", pattern, in.src, c, in.takes(byte(c)))
				}
			}
		}
	}
}
