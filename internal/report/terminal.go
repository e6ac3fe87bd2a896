package report

import (
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/leakreach/leakreach/audit"
)

// terminal measures text in columns. Ambiguous characters, such as the arrows of a report, count one, whatever the locale.
func terminal() *runewidth.Condition { return &runewidth.Condition{StrictEmojiNeutral: true} }

// width is the number of columns s takes.
func width(s string) int { return terminal().StringWidth(visible(s)) }

// visible is s without escape sequences, which only this package puts into a line.
func visible(s string) string {
	out, rest, styled := strings.Cut(s, "\x1b")
	for styled {
		end := "m"
		if strings.HasPrefix(rest, "]") {
			end = "\x1b\\"
		}
		_, rest, _ = strings.Cut(rest, end)
		var text string
		text, rest, styled = strings.Cut(rest, "\x1b")
		out += text
	}
	return out
}

// pad fills s up to n columns.
func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-width(s))) }

// padCut makes s exactly n columns wide.
func padCut(s string, n int) string { return pad(cutMiddle(s, n), n) }

// cutMiddle takes so much out of the middle of s that it fits room columns: both ends of a path tell it from others.
func cutMiddle(s string, room int) string {
	if width(s) <= room || room < 3 {
		return s
	}
	tail := terminal().TruncateLeft(s, width(s)-room/2, "")
	return terminal().Truncate(s, room-1-width(tail), "") + "…" + tail
}

func (t *text) fit(s string, room int) string {
	if t.Width == 0 {
		return s
	}
	return cutMiddle(s, room)
}

func (t *text) sgr(code, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *text) bold(s string) string   { return t.sgr("1", s) }
func (t *text) dim(s string) string    { return t.sgr("2", s) }
func (t *text) green(s string) string  { return t.sgr("32", s) }
func (t *text) yellow(s string) string { return t.sgr("33", s) }

// paint colours s as a severity: the eye finds the worst first.
func (t *text) paint(s string, severity audit.Severity) string {
	switch severity {
	case audit.Critical:
		return t.sgr("1;31", s)
	case audit.High:
		return t.sgr("31", s)
	case audit.Medium:
		return t.sgr("33", s)
	}
	return t.sgr("36", s)
}
