package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// writeJSON writes the run as one indented object, leakreach.run/v1: element by element, since the whole text of a sweep would have to be in memory
// four times over.
func writeJSON(w io.Writer, run *audit.Run, _ Options) error {
	run = utc(run)
	b := bufio.NewWriter(w)
	o := object{w: b}
	o.field("schema", run.Schema)
	o.field("run", run.Info)
	list(&o, "coverage", run.Coverage)
	list(&o, "gaps", run.Gaps)
	list(&o, "findings", run.Findings)
	list(&o, "identities", run.Identities)
	list(&o, "inventory", run.Inventory)
	list(&o, "silencers", run.Silencers)
	o.field("calls", run.Calls)
	if compared(run) {
		list(&o, "gone", run.Gone)
		list(&o, "unseen", run.Unseen)
	}
	o.text("\n}\n")
	return cmp.Or(o.err, b.Flush())
}

// An object is one that is being written, up to the first error.
type object struct {
	w    io.Writer
	err  error
	some bool // a field has been written
}

func (o *object) text(s string) {
	if o.err == nil {
		_, o.err = io.WriteString(o.w, s)
	}
}

func (o *object) value(v any, prefix string) {
	if o.err == nil {
		var text []byte
		if text, o.err = encoded(v, prefix, "  "); o.err == nil {
			_, o.err = o.w.Write(bytes.TrimSuffix(text, []byte("\n")))
		}
	}
}

func (o *object) name(name string) {
	if o.some {
		o.text(",\n")
	} else {
		o.text("{\n")
	}
	o.some = true
	o.text(`  "` + name + `": `)
}

func (o *object) field(name string, v any) {
	o.name(name)
	o.value(v, "  ")
}

func list[T any](o *object, name string, xs []T) {
	if len(xs) == 0 {
		o.field(name, xs) // [] or null
		return
	}
	o.name(name)
	for i := range xs {
		if i == 0 {
			o.text("[\n    ")
		} else {
			o.text(",\n    ")
		}
		o.value(&xs[i], "    ")
	}
	o.text("\n  ]")
}

// writeJSONL writes what the object of [writeJSON] is made of, one piece a line, each with its "type": first the run, last
// the calls.
func writeJSONL(w io.Writer, run *audit.Run, _ Options) error {
	run = utc(run)
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
	identities := make([]identityLine, len(run.Identities))
	for i, id := range run.Identities {
		identities[i] = identityLine{Identity: id, IdentityType: id.Type}
	}
	if err := lines(w, "identity", identities); err != nil {
		return err
	}
	if err := lines(w, "inventory", run.Inventory); err != nil {
		return err
	}
	if err := lines(w, "silencer", run.Silencers); err != nil {
		return err
	}
	if err := lines(w, "gone", run.Gone); err != nil {
		return err
	}
	if err := lines(w, "unseen", run.Unseen); err != nil {
		return err
	}
	return encode(w, struct {
		Type  string         `json:"type"`
		Calls map[string]int `json:"calls"`
	}{"calls", run.Calls}, "")
}

// identityLine makes room for the line's own "type".
type identityLine struct {
	audit.Identity
	Type         string `json:"type,omitempty"` // hides the identity's
	IdentityType string `json:"identity_type,omitempty"`
}

// utc is the run with all times in UTC, as leakreach.run/v1 promises them, whatever zone a commit's author lived in.
func utc(run *audit.Run) *audit.Run {
	out := *run
	out.Info.StartedAt, out.Info.FinishedAt = run.Info.StartedAt.UTC(), run.Info.FinishedAt.UTC()
	out.Findings, out.Gone, out.Unseen = slices.Clone(run.Findings), slices.Clone(run.Gone), slices.Clone(run.Unseen)
	for i := range out.Findings {
		timesUTC(&out.Findings[i])
	}
	for i := range out.Gone {
		timesUTC(&out.Gone[i])
	}
	for i := range out.Unseen {
		timesUTC(&out.Unseen[i].Finding)
	}
	return &out
}

func timesUTC(f *audit.Finding) {
	f.Locations = slices.Clone(f.Locations)
	for j := range f.Locations {
		f.Locations[j].At = f.Locations[j].At.UTC()
	}
	if f.Verdict != nil {
		v := *f.Verdict
		v.CheckedAt = v.CheckedAt.UTC()
		f.Verdict = &v
	}
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

// encode writes v as JSON and a line end.
func encode(w io.Writer, v any, indent string) error {
	text, err := encoded(v, "", indent)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// encoded is v as JSON, with a line end. Characters that are invisible, or that a CI runner obeys, are escapes in it: the same strings to a JSON
// reader, and harmless where the text is printed.
func encoded(v any, prefix, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeJSON(b.Bytes()), nil
}

// maxString bounds one string of a JSON report, in encoded bytes: nothing a person wrote as a name is longer, and a hostile one
// shall not make a report that nobody can load.
const maxString = 64 << 10

// escapeJSON works on encoded JSON, where all that it looks for can only lie inside strings.
func escapeJSON(b []byte) []byte {
	const hex = "0123456789abcdef"
	unit := func(out []byte, u rune) []byte {
		return append(out, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	out := make([]byte, 0, len(b))
	start := -1 // of the string that i is in, in out
	for i, n := 0, 0; i < len(b); i += n {
		var r rune
		if r, n = utf8.DecodeRune(b[i:]); r == '\\' {
			if n = 2; b[i+1] == 'u' {
				n = 6
			}
		}
		switch {
		case r == '"' && start < 0:
			start = len(out)
		case r == '"':
			start = -1
		case start >= 0 && len(out)-start > maxString:
			if !bytes.HasSuffix(out, []byte("…")) {
				out = append(out, "…"...)
			}
			continue
		}
		switch {
		case r == '#' && bytes.HasPrefix(b[i:], []byte("##[")),
			r == ':' && (bytes.HasSuffix(b[:i], []byte("section_start")) || bytes.HasSuffix(b[:i], []byte("section_end"))):
			out = unit(out, r)
		case start >= 0 && hidden(r) && r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = unit(unit(out, hi), lo)
		case start >= 0 && hidden(r):
			out = unit(out, r)
		default:
			out = append(out, b[i:i+n]...)
		}
	}
	return out
}
