package git

import (
	"bytes"
	"fmt"
	"strings"
)

// A setting is one variable of a git configuration file. Its key is "section.name" or "section.subsection.name"; section and name are
// in lower case, which is how git compares them.
type setting struct{ key, value string }

// parseSettings reads a configuration file as git-config(1), "Syntax", describes it. Includes are settings like others: nothing is
// included. An error comes with the settings before it.
func parseSettings(b []byte) (list []setting, err error) {
	section, line := "", 0
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	for len(b) > 0 {
		line++
		var text []byte
		text, b, _ = bytes.Cut(b, []byte("\n"))
		text = bytes.TrimSpace(text)
		if len(text) > 0 && text[0] == '[' {
			head, rest, ok := cutHead(text)
			if !ok {
				return list, fmt.Errorf("line %d is no section", line)
			}
			section, text = head, bytes.TrimSpace(rest)
		}
		if len(text) == 0 || text[0] == '#' || text[0] == ';' {
			continue
		}
		name, raw, assigned := bytes.Cut(text, []byte("="))
		name = bytes.TrimSpace(name)
		if section == "" || !isSettingName(name) {
			return list, fmt.Errorf("line %d is no setting", line)
		}
		value := "true" // of a name alone
		if assigned {
			more := true
			for value = ""; more; line++ {
				var part string
				if part, more, err = settingValue(raw, value != ""); err != nil {
					return list, fmt.Errorf("line %d: %w", line, err)
				}
				value += part
				if raw = nil; more {
					raw, b, _ = bytes.Cut(b, []byte("\n"))
				}
			}
			line--
		}
		list = append(list, setting{section + "." + strings.ToLower(string(name)), value})
	}
	return list, nil
}

// cutHead reads `[section]` or `[section "subsection"]`, and returns what stands behind it.
func cutHead(text []byte) (head string, rest []byte, ok bool) {
	end := bytes.IndexAny(text, "]\"")
	if end < 0 {
		return "", nil, false
	}
	section := strings.ToLower(string(bytes.TrimSpace(text[1:end])))
	if text[end] == ']' {
		return section, text[end+1:], section != ""
	}
	var sub strings.Builder
	for i := end + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			sub.WriteByte(text[i])
		case c == '"':
			rest, ok = bytes.CutPrefix(text[i+1:], []byte("]"))
			return section + "." + sub.String(), rest, ok && section != ""
		default:
			sub.WriteByte(c)
		}
	}
	return "", nil, false
}

func isSettingName(name []byte) bool {
	for i, c := range name {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(name) > 0
}

// settingValue reads one line of a value: quotes, escapes and comments are undone, blanks at its ends are not part of it. begun says that
// there were lines of it before, more that it goes on in the next.
func settingValue(raw []byte, begun bool) (value string, more bool, err error) {
	var out []byte
	quoted, kept := false, 0 // out[:kept] stays when blanks at the end are cut
	raw = bytes.TrimSuffix(raw, []byte("\r"))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '"':
			quoted = !quoted
			kept = len(out)
			continue
		case (c == '#' || c == ';') && !quoted:
			return string(out[:kept]), false, nil
		case c == '\\' && i+1 == len(raw):
			return string(out), true, nil
		case c == '\\':
			i++
			at := bytes.IndexByte([]byte(`\"ntb`), raw[i])
			if at < 0 {
				return "", false, fmt.Errorf("unknown escape %q", raw[i-1:i+1])
			}
			c = "\\\"\n\t\b"[at]
		case !quoted && (c == ' ' || c == '\t'):
			if begun || len(out) > 0 {
				out = append(out, c)
			}
			continue
		}
		out = append(out, c)
		kept = len(out)
	}
	if quoted {
		return "", false, fmt.Errorf("a quote is not closed")
	}
	return string(out[:kept]), false, nil
}
