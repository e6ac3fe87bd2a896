package definitions

import (
	"iter"
	"strings"
)

// A line is a command line of a script, with what it continues on the next ones, and where it begins in the script.
type line struct {
	text   string
	offset int
}

// commandLines yields a script's lines that are no comment, each with those that a backslash at its end joins to it.
func commandLines(script string) iter.Seq[line] {
	return func(yield func(line) bool) {
		for at := 0; at < len(script); {
			var b strings.Builder
			start := at
			for at < len(script) {
				end := strings.IndexByte(script[at:], '\n')
				if end < 0 {
					end = len(script) - at
				}
				text := strings.TrimRight(script[at:at+end], "\r")
				at = min(at+end+1, len(script))
				if more, joined := strings.CutSuffix(text, `\`); joined {
					b.WriteString(more)
					b.WriteByte(' ')
					continue
				}
				b.WriteString(text)
				break
			}
			text := b.String()
			if trimmed := strings.TrimSpace(text); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
				if !yield(line{text, start + len(text) - len(strings.TrimLeft(text, " \t"))}) {
					return
				}
			}
		}
	}
}

// shellVariables are those that a text names: $NAME, ${NAME}, $env:NAME, %NAME%.
func shellVariables(text string) (names []string) {
	for i := 0; i < len(text); i++ {
		rest := text[i+1:]
		switch text[i] {
		case '$':
			rest = strings.TrimPrefix(rest, "{")
			if len(rest) > 4 && strings.EqualFold(rest[:4], "env:") {
				rest = rest[4:]
			}
			if n := nameLength(rest); n > 0 {
				names = append(names, rest[:n])
			}
		case '%':
			if n := nameLength(rest); n > 0 && n < len(rest) && rest[n] == '%' {
				names = append(names, rest[:n])
				i += n + 1
			}
		}
	}
	return names
}

// nameLength is how long the name is that s begins with.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
