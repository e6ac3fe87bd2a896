package credfile

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// arg is one argument of a command line.
const arg = `(?:'([^'\n]+)'|"([^"\n]+)"|([^\s'"|;&<>()` + "`" + `]+))`

// A command is a way to pass a password on a command line: group 1 is the user where the command names one, the last group that
// matched is the password. One of what it needs is in each match, beside the words that lead to it; to look for that costs a hundredth of
// the expression.
type command struct {
	re    func() *regexp.Regexp
	needs [][]byte
}

// A script is what lines of scripts are looked at for, and the words of which one is in every line that has it.
type script struct {
	commands []command
	finder   *literal.Finder
	means    []int // of each word: the command, or one more for the name of a secret
}

var scripts = sync.OnceValue(func() *script {
	table := []struct{ marks, needs, re string }{
		{"sshpass", "-p", `()\bsshpass\s+(?:-[vhP]\S*\s+)*-p\s*` + arg},
		{"mysql maria", "-p", `()\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb(?:-dump)?|mysqlsh)\b[^|;&\n]*?\s-p` + arg},
		{"curl wget http lftp", "-u -U -a", `\b(?:curl|wget|http|httpie|lftp)\b[^|;&\n]*?\s(?:-u|--user|--proxy-user|-U|-a)[\s=]*["']?([^\s:"']+):()()([^\s"'|;&<>]+)`},
		{"lftp", "-u", `\blftp\b[^|;&\n]*?\s(?:-u|--user)[\s=]*["']?([^\s,"']+),()()([^\s"'|;&<>]+)`},
		{"ncftp", "-p", `()\bncftp(?:get|put|ls|batch)?\b[^|;&\n]*?\s-p[ =]*` + arg},
		{"login", "-p", `\b(?:docker|podman|buildah|oc|az|helm|skopeo|nerdctl|crane)\b[^|;&\n]*?\slogin\b[^|;&\n]*?(?:\s-u[ =]*(\S+))?[^|;&\n]*?\s-p[ =]*` + arg},
		{"redis-cli", "-a", `()\bredis-cli\b[^|;&\n]*?\s-a\s+` + arg},
		{"mongo", "-p", `()\b(?:mongo|mongosh|mongodump|mongorestore)\b[^|;&\n]*?\s-p\s*` + arg},
		{"ldap", "-w", `()\bldap(?:search|add|modify|delete|passwd|whoami)\b[^|;&\n]*?\s-w\s*` + arg},
		{"zip", "-P", `()\b(?:zip|unzip)\b[^|;&\n]*?\s-P\s*` + arg},
		{"7z", "-p", `()\b7za?\b[^|;&\n]*?\s-p` + arg},
		{"pass:", "openssl", `()\bopenssl\b[^|;&\n]*?\bpass:` + arg},
		{"htpasswd", "-", `\bhtpasswd\s+-\w*b\w*\s+\S+\s+(\S+)\s+` + arg},
		{"smbclient rpcclient net mount winexe", "-U", `\b(?:smbclient|rpcclient|net|mount|winexe)\b[^|;&\n]*?-U\s*["']?([^\s%"']+)%()()([^\s"'|;&<>]+)`},
		{"sqlplus", "@", `\bsqlplus\s+(?:-\w+\s+)*["']?([\w$#.]+)/()()([^\s"'@/]+)@`},
		{"net", "/user:", `()\bnet\s+use\s+(?:\S+\s+)?\\\\\S+\s+` + arg + `\s+/user:`},
		{"net", "/user:", `\bnet\s+use\s+(?:\S+\s+)?\\\\\S+\s+/user:(\S+)\s+` + arg},
		{"securestring", "' \"", `()\b(?i:ConvertTo-SecureString\s+(?:-String\s+)?)` + quoted},
		{"echo", "|", `()\becho\s+(?:-n\s+)?` + arg + `\s*\|\s*(?:[\w./\-]*\s*)?(?:(?:docker|podman|helm|passwd|gpg|kinit|cryptsetup|oc|crane)\b|sudo\s+(?:-\S+\s+)*(?:-\w*S|--stdin)\b)`},
		{"chpasswd", "|", `\becho\s+(?:-e\s+)?["']?(\w[\w.\-]*):()()([^\s"'|;&<>]+)["']?\s*\|\s*(?:sudo\s+)?chpasswd`},
	}
	s := &script{}
	var words []literal.Word
	add := func(marks []string) {
		for _, mark := range marks {
			words, s.means = append(words, literal.Word{Text: mark}), append(s.means, len(s.commands))
		}
	}
	for _, row := range table {
		add(strings.Fields(row.marks))
		s.commands = append(s.commands, command{lazyregexp.New(row.re), bytes.Fields([]byte(row.needs))})
	}
	add(secretMarks)
	s.finder = literal.New(words)
	return s
})

// secretMarks are in every line that names a secret: secretParts and secretEnds hold one of them each.
var secretMarks = []string{"pass", "pw", "psw", "secret", "token", "key", "auth", "credential", "salt", "pat", "kennwort", "contrasena"}

// shell reads commands and assignments of shell scripts, histories, container files and pipeline definitions.
func shell(t []byte) (found []Credential) {
	s := scripts()
	budget := maxTried // an expression takes some ten microseconds a line
	means := make([]bool, len(s.commands)+1)
	linesWith(t, s.finder, func(start, end int, hits []literal.Hit) {
		clear(means)
		for _, h := range hits {
			means[s.means[h.Word]] = true
		}
		found = s.line(t, start, end, means, &budget, found)
	})
	logIn(t, found)
	return found
}

// linesWith calls f with the bounds of each line, without blanks around it, in which words stand.
func linesWith(t []byte, words *literal.Finder, f func(start, end int, hits []literal.Hit)) {
	var hits []literal.Hit
	for from := 0; from < len(t); {
		to := lineEnd(t, min(from+chunk, len(t)))
		hits = words.Scan(t, from, to, hits[:0])
		for rest := hits; len(rest) > 0; {
			start := from + bytes.LastIndexByte(t[from:rest[0].Start], '\n') + 1
			end := lineEnd(t, rest[0].Start)
			n := 1
			for n < len(rest) && rest[n].Start < end {
				n++
			}
			f(trimStart(t, start, end), trimEnd(t, start, end), rest[:n])
			rest = rest[n:]
		}
		from = to + 1
	}
}

// line reads one line of a script, of which means says what words stand in it.
func (s *script) line(t []byte, start, end int, means []bool, budget *int, found []Credential) []Credential {
	if end-start < 8 || end-start > 16<<10 || t[start] == '#' {
		return found
	}
	line := t[start:end]
	keep := func(name, user string, from, to int) {
		v := string(line[from:to])
		if len(found) >= maxFound || !real(v) || weakName(name) && !random(v) || v[0] == '-' || v[0] == '$' && line[from-1] != '\'' ||
			strings.Contains(v, "://") || strings.Contains(v, `\n`) {
			return
		}
		found = append(found, Credential{Kind: kindOf(name), ID: user, Value: v, Start: start + from, End: start + to})
	}
	if means[len(s.commands)] {
		named(line, keep)
	}
	for i, cmd := range s.commands {
		if means[i] && *budget > 0 {
			*budget--
			if slices.ContainsFunc(cmd.needs, func(n []byte) bool { return bytes.Contains(line, n) }) {
				cmd.each(line, keep)
			}
		}
	}
	return found
}

// named finds the values that a name of a secret stands before: NAME=value, --name value, --name=value, ENV NAME value and, at
// the beginning of a line or in a mapping on it, NAME: value (YAML 1.2, sections 7.3 and 7.4.2).
func named(line []byte, keep func(name, user string, from, to int)) {
	for i := 0; i < len(line); {
		if !isWord(line[i]) {
			i++
			continue
		}
		start := i
		for i < len(line) && (isWord(line[i]) || line[i] == '-' || line[i] == '.') {
			i++
		}
		name := string(line[start:i])
		at := i
		for at < len(line) && isQuote(line[at]) {
			at++
		}
		if at == len(line) || !secretName(name) || name == "PWD" || name == "OLDPWD" {
			continue
		}
		lead := bytes.TrimSpace(line[:start])
		flag := bytes.HasSuffix(lead, []byte("--")) || start > 1 && line[start-1] == '-' && isSpace(line[start-2]) && len(name) > 3
		first := len(bytes.Trim(lead, `-"'`)) == 0
		flow := flows(bytes.TrimSpace(bytes.TrimRight(lead, `"'`)))
		instruction := bytes.EqualFold(lead, []byte("ENV")) || bytes.EqualFold(lead, []byte("setx")) || bytes.HasPrefix(lead, []byte("set -"))
		switch {
		case line[at] == ':' && (first || flow) && name != "key" && // which in YAML is what something is looked up by
			at+1 < len(line) && isSpace(line[at+1]):
			at = trimStart(line, at+1, len(line))
			if at < len(line) && line[at] == '&' { // an anchor, and what it names
				at = trimStart(line, at+max(bytes.IndexByte(line[at:], ' '), 0), len(line))
			}
			if at < len(line) && bytes.IndexByte([]byte("{[&*!|>%@#"), line[at]) >= 0 {
				continue // no scalar begins like this
			}
		case line[at] == '=':
			at++
		case line[at] == ' ' && (flag || instruction):
		default:
			n := assigns(line[at:])
			if n == 0 {
				continue
			}
			at += n
		}
		at = trimStart(line, at, len(line))
		from, to := argument(line, at)
		if flow && from == at { // no quotes
			to = from + len(bytes.TrimRight(line[from:to], "}]"))
		}
		if bytes.HasSuffix(bytes.TrimRight(line[:at], " "), []byte("?=")) && wordish(string(line[from:to])) {
			continue // what a Makefile takes when nobody says better
		}
		if to > from {
			keep(name, "", from, to)
			i = to
		}
	}
}

// flows reports whether what stands before a name is an open mapping in braces.
func flows(lead []byte) bool {
	return (bytes.HasSuffix(lead, []byte("{")) || bytes.HasSuffix(lead, []byte(","))) && bytes.Count(lead, []byte("{")) > bytes.Count(lead, []byte("}"))
}

// assigns returns how long an operator is that make, Ruby or a language with blanks assigns with, or 0 for none.
func assigns(b []byte) int {
	n := len(b) - len(bytes.TrimLeft(b, " "))
	for _, op := range []string{"= ", ":=", "?=", "=>"} {
		if end := n + len(op); bytes.HasPrefix(b[n:], []byte(op)) && (n > 0 || op != "= ") {
			if at := trimStart(b, end, len(b)); op == "=>" && (at == len(b) || !isQuote(b[at])) {
				return 0 // to an expression
			}
			return end
		}
	}
	return 0
}

// argument returns the bounds of the word at i as a shell would read it, without its quotes.
func argument(line []byte, i int) (from, to int) {
	if i < len(line) && isQuote(line[i]) {
		if q := bytes.IndexByte(line[i+1:], line[i]); q > 0 {
			return i + 1, i + 1 + q
		}
		return i, i
	}
	to = i
	for to < len(line) && bytes.IndexByte([]byte(" \t'\"|;&<>()`,"), line[to]) < 0 {
		to++
	}
	return i, to
}

func (c command) each(line []byte, keep func(name, user string, from, to int)) {
	for _, m := range c.re().FindAllSubmatchIndex(line, 16) {
		user := ""
		if m[2] >= 0 {
			user = string(line[m[2]:m[3]])
		}
		for g := len(m) - 2; g >= 4; g -= 2 {
			if m[g] >= 0 && m[g+1] > m[g] {
				keep("password", user, m[g], m[g+1])
				break
			}
		}
	}
}
