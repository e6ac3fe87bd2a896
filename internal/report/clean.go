package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxField bounds what one string from outside takes of a report for people, in bytes: the longest path Linux opens.
const maxField = 4096

// Clean makes one line of foreign text safe to print on a terminal and in a CI log. Control, format and other invisible
// characters, among them line ends and tabs, are shown as \u…; broken UTF-8 becomes U+FFFD; what GitHub's and GitLab's
// runners would obey ("::" at the start of a line, "##[" and "section_start:" anywhere) is broken with a blank; what is longer than
// 4 KiB loses its middle.
func Clean(s string) string {
	s = cutBytes(s, maxField)
	if strings.ContainsFunc(s, hidden) || !utf8.ValidString(s) {
		var b strings.Builder
		for _, r := range s {
			switch {
			case r > 0xffff && hidden(r):
				fmt.Fprintf(&b, `\U%08x`, r)
			case hidden(r):
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				b.WriteRune(r)
			}
		}
		s = b.String()
	}
	s = strings.ReplaceAll(s, "##[", "# #[")
	for _, word := range []string{"section_start:", "section_end:"} {
		s = strings.ReplaceAll(s, word, strings.TrimSuffix(word, ":")+" :")
	}
	return uncommand(s)
}

// uncommand breaks a line that GitHub's runner would take for a command: it trims blanks, then looks for "::".
func uncommand(line string) string {
	if text := strings.TrimLeftFunc(line, unicode.IsSpace); strings.HasPrefix(text, "::") {
		return line[:len(line)-len(text)] + ": " + text[1:]
	}
	return line
}

// hidden tells whether a reader cannot see r, or would see other characters moved by it.
func hidden(r rune) bool {
	if r >= ' ' && r < 0x7f {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cutBytes takes the middle out of a string longer than n bytes; characters at the cut may be broken.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n/2] + "…" + s[len(s)-n/2:]
}

// webAddress returns an http or https address that is safe to link to, or "".
func webAddress(s string) string {
	if len(s) > maxField || !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == utf8.RuneError || hidden(r) || strings.ContainsRune("<>\"`\\", r)
	}) {
		return ""
	}
	return s
}
