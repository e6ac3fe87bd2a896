// Package credfile finds the secrets that have no shape of their own but lie where everybody knows to look: in netrc and
// pgpass files, registry and database configurations, kubeconfigs, FTP clients, shell history, connection strings and key
// files.
//
// A newcomer starts with [Parse]. What is read of which file is one row of the table formats each; a handful of tolerant readers
// (lines, YAML, JSON, XML, code, command lines) turn every syntax into the same named values, and names.go tells real values
// from placeholders. Nothing here follows an alias, an include or an entity, so no input can grow while it is read.
package credfile

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// A Credential is one secret found in a file.
type Credential struct {
	Rule  string            // id of one of [Rules]
	Kind  string            // password, token, secret, private-key, password-hash or keystore, or one of package audit
	ID    string            // whom it belongs to, such as a user name, where the file says so
	Value string            // decoded where the file keeps it encoded
	Parts map[string]string // what else of it is known, by the names of package audit
	// Start and End are the byte offsets of the value in the content, of its encoded form where it is encoded.
	Start, End int
}

// maxFile bounds the content that is read by its format, in bytes: the largest Terraform states are some tens of megabytes,
// all else is far smaller. Secrets recognised anywhere are found beyond it.
const maxFile = 32 << 20

// maxFound bounds the credentials of one content, so that a hostile or generated one cannot fill the memory.
const maxFound = 10000

// Wants tells whether a file at path is read by its format. [Parse] finds no more in another file than without its path.
func Wants(path string) bool {
	return len(lookup(path)) > 0
}

// Parse returns the credentials in content, in the order they stand there. Where path is "" or says nothing, only what can be
// recognised by content alone is found: URLs and connection strings with passwords, authorization headers, private keys,
// password hashes, and files that name their own format.
func Parse(path string, content []byte) []Credential {
	return search(content).Credentials(path)
}

// Because returns what [Parse] finds in content because of its path: what it does not find without.
func Because(path string, content []byte) []Credential {
	rows := lookup(path)
	if len(content) > maxFile || !slices.ContainsFunc(rows, func(f *format) bool { return len(f.read(content)) > 0 }) {
		return nil
	}
	type place struct {
		rule       string
		start, end int
	}
	s := search(content)
	known := map[place]bool{}
	for _, c := range s.read(nil) {
		known[place{c.Rule, c.Start, c.End}] = true
	}
	return slices.DeleteFunc(s.read(rows), func(c Credential) bool { return known[place{c.Rule, c.Start, c.End}] })
}

// search passes over content on its own.
func search(content []byte) *Search {
	s := &Search{text: content}
	var hits []literal.Hit
	for from := 0; from < len(content); from += chunk {
		hits = finder().Scan(content, from, min(from+chunk, len(content)), hits[:0])
		for _, h := range hits {
			s.At(h)
		}
	}
	return s
}

// chunk bounds the words that are remembered at a time: in a hostile content every third byte begins one.
const chunk = 64 << 10

var finder = sync.OnceValue(func() *literal.Finder { return literal.New(Words()) })

// distinct sorts by place and keeps one credential of those that stand at the same place: the longest, then the one found
// first, which is the one of the more general reader for a URL and of the more special row for a file. Whose it is, any may know.
func distinct(found []Credential) []Credential {
	slices.SortStableFunc(found, func(a, b Credential) int {
		return cmp.Or(a.Start-b.Start, b.End-a.End)
	})
	out := found[:0]
	for _, c := range found {
		if n := len(out); n > 0 && c.Start < out[n-1].End {
			if kept := &out[n-1]; kept.ID == "" && kept.Value == c.Value {
				kept.ID = c.ID
			}
			continue
		}
		if len(out) == maxFound {
			break
		}
		out = append(out, c)
	}
	return slices.Clip(out)
}

// index is the table of formats, by what of a path leads to a row.
type index struct {
	byBase   map[string][]*format
	bySuffix map[string][]*format // two last components: ".aws/credentials"
	byExt    map[string][]*format
	byDir    map[string][]*format // one or two directories and an extension: ".github/workflows/", "vars/.yml"
	prefixes map[string][]*format // up to the first dot after the first byte: ".env"
	sniffed  []*format
	marks    []string // the first ones of those
	leads    []lead
}

var compiled = sync.OnceValue(func() *index {
	x := &index{byBase: map[string][]*format{}, bySuffix: map[string][]*format{}, byExt: map[string][]*format{}, byDir: map[string][]*format{},
		prefixes: map[string][]*format{}}
	for i := range formats {
		f := &formats[i]
		f.compile()
		if f.sniff != "" {
			x.sniffed = append(x.sniffed, f)
			f.mark = x.number(string(f.marks[0]))
		}
		for _, name := range strings.Fields(f.files) {
			switch {
			case strings.Contains(name, "/*"):
				add(x.byDir, strings.Replace(name, "/*", "/", 1), f)
			case strings.HasPrefix(name, "*."):
				add(x.byExt, name[1:], f)
			case strings.Contains(name, "-*.") || strings.Contains(name, ".*."):
				add(x.byBase, name, f)
			case strings.HasSuffix(name, "*"):
				add(x.prefixes, strings.TrimSuffix(name, "*"), f)
			case strings.Contains(name, "/"):
				add(x.bySuffix, name, f)
			default:
				add(x.byBase, name, f)
			}
		}
	}
	x.leads = leads(x.marks)
	return x
})

// number returns the index of a first mark among all, or -1 for one that has to stand at the beginning.
func (x *index) number(mark string) int {
	if strings.HasPrefix(mark, "#!") {
		return -1
	}
	if i := slices.Index(x.marks, mark); i >= 0 {
		return i
	}
	x.marks = append(x.marks, mark)
	return len(x.marks) - 1
}

func add(m map[string][]*format, key string, f *format) { m[key] = append(m[key], f) }

// copies are the endings that editors and people give to copies of a file; what a copy holds is as secret.
var copies = []string{"~", ".bak", ".backup", ".old", ".orig", ".save", ".swp", ".copy", ".txt"}

// templates are the endings of files made to be filled in. Secrets in them are found by their shape only.
var templates = []string{".example", ".sample", ".template", ".tmpl", ".tpl", ".dist", ".default", ".defaults", ".j2", ".erb", ".in"}

// lookup returns the rows for a path, at most a few map look-ups away. A member of a container is looked up by its own path.
func lookup(p string) []*format {
	if p == "" {
		return nil
	}
	p = strings.ToLower(strings.ReplaceAll(p[strings.LastIndexByte(p, '!')+1:], `\`, "/"))
	x := compiled()
	if p = strings.TrimRight(p, "/"); p == "" {
		return nil
	}
	base := p[strings.LastIndexByte(p, '/')+1:]
	for _, t := range templates {
		if strings.HasSuffix(base, t) {
			return nil
		}
	}
	rows := x.at(p, base)
	if rows != nil {
		return rows
	}
	for _, c := range copies {
		if short, ok := strings.CutSuffix(base, c); ok && short != "" {
			return x.at(p[:len(p)-len(c)], short)
		}
	}
	return nil
}

func (x *index) at(p, base string) []*format {
	if dir := strings.TrimRight(p[:len(p)-len(base)], "/"); dir != "" {
		name := strings.LastIndexByte(dir, '/') + 1
		if rows := x.bySuffix[dir[name:]+"/"+base]; rows != nil {
			return rows
		}
		two := strings.LastIndexByte(strings.TrimRight(dir[:name], "/"), '/') + 1
		for _, d := range []string{dir[two:], dir[name:]} {
			if rows := x.byDir[d+"/"]; rows != nil {
				return rows
			}
			if rows := x.byDir[d+"/"+path.Ext(base)]; rows != nil {
				return rows
			}
		}
	}
	if rows := x.byBase[base]; rows != nil {
		return rows
	}
	for i, ext := 1, path.Ext(base); i < len(base)-len(ext); i++ { // "application-prod.yml", "appsettings.Production.json"
		if base[i] == '-' || base[i] == '.' {
			if rows := x.byBase[base[:i+1]+"*"+ext]; rows != nil {
				return rows
			}
		}
	}
	if dot := strings.IndexByte(base[1:], '.') + 1; dot > 0 {
		if rows := x.prefixes[base[:dot]]; rows != nil {
			return rows
		}
	}
	for i := 1; i < len(base); i++ { // the longest extension first: ".auto.tfvars.json"
		if base[i] == '.' {
			if rows := x.byExt[base[i:]]; rows != nil {
				return rows
			}
		}
	}
	if base[0] == '.' { // ".env" as an extension: "prod.env" and ".env" alike
		return x.byExt[base]
	}
	return nil
}

// shellScript tells whether the first line of a script names a shell: a Python script is code, and its assignments are no commands.
func shellScript(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	for word := range bytes.FieldsSeq(line) {
		if bytes.HasSuffix(word, []byte("sh")) { // sh, bash, zsh, ksh, dash, fish
			return true
		}
	}
	return false
}
