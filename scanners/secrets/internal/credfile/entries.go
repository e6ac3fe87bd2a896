package credfile

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// An entry is one named value of a file, whatever its syntax.
type entry struct {
	key        string
	start, end int // of the value as it is written, without its quotes
	group      int // entries of one section, object or element share it
	quote      byte
	base64     bool // the file says that the value is base64
	paired     bool // the key is what a value beside it says
}

// A doc is what a reader makes of a file: entries, and the path of names that encloses each group of them.
type doc struct {
	text    []byte
	entries []entry
	groups  []string // "a/b/c", lower case
}

// Bounds of what a reader keeps of one file: a Terraform state of an average company has some 50,000 values.
const (
	maxEntries = 500000
	maxGroups  = 200000
	maxDepth   = 64
	maxPath    = 256 // bytes of a group's path
)

func newDoc(text []byte) *doc { return &doc{text: text, groups: []string{""}} }

func (d *doc) group(parent int, name string) int {
	p := d.groups[parent]
	if name = strings.ToLower(name); p != "" {
		name = p + "/" + name
	}
	if len(name) > maxPath {
		name = p
	}
	d.groups = append(d.groups, name)
	return len(d.groups) - 1
}

func (d *doc) full() bool { return len(d.entries) >= maxEntries || len(d.groups) >= maxGroups }

func (d *doc) add(e entry) {
	if !d.full() {
		d.entries = append(d.entries, e)
	}
}

// raw is the value as it is written.
func (d *doc) raw(e entry) string { return string(d.text[e.start:e.end]) }

// value undoes the quoting that all readers share: a backslash before a quote, another backslash or one of n, r, t.
func (d *doc) value(e entry) string {
	s := d.raw(e)
	if e.quote == 0 || !strings.Contains(s, `\`) || e.quote == '\'' && !strings.Contains(s, `\'`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '\\', '/', '"', '\'', '`':
				b.WriteByte(s[i])
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// pairs gives the values of lists of pairs, such as {name: DB_PASSWORD, value: …}, the names they go by, and the defaults of
// CloudFormation's parameters those of the parameters.
func (d *doc) pairs() {
	names := map[int]string{}
	for _, e := range d.entries {
		if k := e.key; (k == "name" || k == "key" || k == "Name" || k == "Key") && e.end-e.start <= 128 && secretName(d.raw(e)) {
			names[e.group] = d.raw(e)
		}
	}
	for i := range d.entries {
		e := &d.entries[i]
		switch {
		case (e.key == "value" || e.key == "Value") && names[e.group] != "":
			e.key, e.paired = names[e.group], true
		case e.key == "Default" && secretName(path.Base(d.groups[e.group])):
			e.key = path.Base(d.groups[e.group])
		}
	}
}

// podEnvironment is yaml for the environment of containers alone, and taskEnvironment json: the rest of such a file names secrets by
// where they are kept.
func podEnvironment(text []byte) *doc  { return paired(yaml(text)) }
func taskEnvironment(text []byte) *doc { return paired(json(text)) }

func paired(d *doc) *doc {
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return !e.paired })
	return d
}

// eachLine calls f with the bounds of each line, without its line break.
func eachLine(text []byte, f func(start, end int)) {
	for start := 0; start < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i
		}
		f(start, trimEnd(text, start, end))
		start = end + 1
	}
}

func trimStart(t []byte, start, end int) int {
	for start < end && isSpace(t[start]) {
		start++
	}
	return start
}

func trimEnd(t []byte, start, end int) int {
	for end > start && isSpace(t[end-1]) {
		end--
	}
	return end
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f'
}

// closing returns the index of the quote that ends a string opened at open, or -1 if it does not end before end.
func closing(t []byte, open, end int) int {
	q := t[open]
	for i := open + 1; i < end; i++ {
		switch t[i] {
		case '\\':
			i++
		case q:
			return i
		}
	}
	return -1
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// lines reads INI files, properties, dotenv files, HCL variables and what looks like them: a key, "=" or ":", a value. A line that
// ends in "{" and a line in brackets open a group.
func lines(text []byte) *doc { return readLines(text, false) }

// spaced is lines for files whose keys and values may have but blanks between them, such as msmtprc.
func spaced(text []byte) *doc { return readLines(text, true) }

// hcl is lines for Terraform's own files. The default of a variable goes by the variable's name.
func hcl(text []byte) *doc {
	d := literals(lines(text))
	for i := range d.entries {
		e := &d.entries[i]
		if name, ok := strings.CutPrefix(d.groups[e.group], "variable "); ok && e.key == "default" {
			e.key = name
		}
	}
	return d
}

// gradle is spaced for Gradle's build files.
func gradle(text []byte) *doc { return literals(spaced(text)) }

// literals leaves what stands in quotes: in a file of code, all else is an expression.
func literals(d *doc) *doc {
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.quote == 0 })
	return d
}

func readLines(text []byte, blank bool) *doc {
	d := newDoc(text)
	group := 0
	eachLine(text, func(start, end int) {
		start = trimStart(text, start, end)
		if start == end || d.full() {
			return
		}
		switch c := text[start]; {
		case c == '#' || c == ';' || bytes.HasPrefix(text[start:end], []byte("//")) && !bytes.Contains(text[start:end], []byte("/:_")):
			return
		case c == '[':
			if i := bytes.IndexByte(text[start:end], ']'); i > 0 {
				group = d.group(0, strings.Trim(string(text[start+1:start+i]), `" `))
				return
			}
		case text[end-1] == '{':
			group = d.group(0, strings.ReplaceAll(strings.TrimRight(string(text[start:end-1]), " =\t"), `"`, ""))
			return
		}
		for _, word := range []string{"export ", "set ", "setx ", "env ", "arg ", "declare -x ", "$env:", "- "} {
			if end-start > len(word) && strings.EqualFold(string(text[start:start+len(word)]), word) {
				start = trimStart(text, start+len(word), end)
			}
		}
		if key, at := separate(text, start, end, blank); key != "" {
			if i := strings.LastIndex(key, ":_"); i > 0 && strings.HasPrefix(key, "//") { // npm's settings of one registry
				d.addScalar(key[i+1:], at, end, d.group(0, key[:i]))
				return
			}
			d.addScalar(key, at, end, group)
		}
	})
	return d
}

// separate splits a line into its key and the place of its value. "=" wins over ":" unless a blank follows the colon first, since
// keys such as "//registry.example.com/:_authToken" hold colons.
func separate(t []byte, start, end int, blank bool) (string, int) {
	if isQuote(t[start]) { // "key": value
		q := closing(t, start, end)
		if q < 0 {
			return "", 0
		}
		at := trimStart(t, q+1, end)
		switch {
		case at < end && (t[at] == ':' || t[at] == '='):
			at++
		case at == end || !blank || at == q+1:
			return "", 0
		}
		return string(t[start+1 : q]), at
	}
	line := t[start:end]
	line = line[:min(len(line), 512)] // keys are short
	at := bytes.IndexByte(line, '=')
	if i := bytes.Index(line, []byte(": ")); i >= 0 && (at < 0 || i < at) {
		at = i
	}
	if sp := bytes.IndexAny(line, " \t"); blank && sp > 0 && (at < 0 || sp < at) {
		if next := trimStart(t, start+sp, end); t[next] != '=' && t[next] != ':' {
			return string(line[:sp]), next
		}
	}
	if at < 0 {
		at = bytes.IndexByte(line, ':')
	}
	if at <= 0 {
		return "", 0
	}
	return string(bytes.TrimRight(bytes.TrimSpace(line[:at]), "+:?")), start + at + 1
}

// addScalar adds a value that stands between at and end, in quotes or up to a comment.
func (d *doc) addScalar(key string, at, end, group int) {
	t := d.text
	if at = trimStart(t, at, end); at >= end {
		return
	}
	e := entry{key: key, group: group}
	if isQuote(t[at]) {
		if q := closing(t, at, end); q > 0 {
			e.start, e.end, e.quote = at+1, q, t[at]
			d.add(e)
			return
		}
	}
	for i := at + 1; i < end; i++ {
		if t[i] == '#' && isSpace(t[i-1]) {
			end = trimEnd(t, at, i)
			break
		}
	}
	e.start, e.end = at, end
	d.add(e)
}
