package report

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// writeJSON writes the run as one indented object, leakreach.run/v1.
func writeJSON(w io.Writer, run *audit.Run, _ Options) error { return encode(w, run, "  ") }

// writeJSONL writes what the object of [writeJSON] is made of, one piece a line, each with its "type": first the run, last
// the calls.
func writeJSONL(w io.Writer, run *audit.Run, _ Options) error {
	type head struct {
		Type   string        `json:"type"`
		Schema string        `json:"schema"`
		Run    audit.RunInfo `json:"run"`
	}
	if err := encode(w, head{"run", run.Schema, run.Info}, ""); err != nil {
		return err
	}
	if err := lines(w, "coverage", run.Coverage); err != nil {
		return err
	}
	if err := lines(w, "gap", run.Gaps); err != nil {
		return err
	}
	if err := lines(w, "finding", run.Findings); err != nil {
		return err
	}
	if err := lines(w, "identity", run.Identities); err != nil {
		return err
	}
	if err := lines(w, "inventory", run.Inventory); err != nil {
		return err
	}
	if err := lines(w, "silencer", run.Silencers); err != nil {
		return err
	}
	return encode(w, struct {
		Type  string         `json:"type"`
		Calls map[string]int `json:"calls"`
	}{"calls", run.Calls}, "")
}

// lines writes each object on a line of its own with its type as first field.
func lines[T any](w io.Writer, kind string, xs []T) error {
	for i := range xs {
		object, err := json.Marshal(&xs[i])
		if err != nil {
			return err
		}
		line := append([]byte(`{"type":"`+kind+`",`), object[1:]...)
		if err := encode(w, json.RawMessage(line), ""); err != nil {
			return err
		}
	}
	return nil
}

// encode writes v as JSON and a line end. Characters that are invisible, or that a CI runner obeys, are written as escapes: the
// same strings to a JSON reader, and harmless where the text is printed.
func encode(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON works on encoded JSON, where all that it looks for can only lie inside strings.
func escapeJSON(b []byte) []byte {
	const hex = "0123456789abcdef"
	unit := func(out []byte, u rune) []byte {
		return append(out, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c < utf8.RuneSelf:
			switch {
			case c == '#' && bytes.HasPrefix(b[i:], []byte("##[")),
				c == ':' && (bytes.HasSuffix(b[:i], []byte("section_start")) || bytes.HasSuffix(b[:i], []byte("section_end"))):
				out = unit(out, rune(c))
			case c == 0x7f:
				out = unit(out, 0x7f)
			default:
				out = append(out, c)
			}
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			switch {
			case hidden(r) && r > 0xffff:
				hi, lo := utf16.EncodeRune(r)
				out = unit(unit(out, hi), lo)
			case hidden(r):
				out = unit(out, r)
			default:
				out = append(out, b[i:i+n]...)
			}
			i += n
		}
	}
	return out
}
