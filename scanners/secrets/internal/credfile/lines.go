package credfile

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// netrc reads machine, login and password tokens; see ftp(1) and curl's lib/netrc.c for quoted ones. Macro bodies are skipped.
func netrc(t []byte) (found []Credential) {
	user := ""
	for i := 0; i < len(t) && len(found) < maxFound; {
		word, start, end := token(t, i)
		i = end
		switch word {
		case "":
			return found
		case "machine":
			_, _, i = token(t, i)
			user = ""
		case "default":
			user = ""
		case "login":
			user, _, i = token(t, i)
		case "password", "passwd":
			word, start, i = token(t, i)
			end = i
			if t[start] == '"' && end-start >= 2 {
				start, end = start+1, end-1
			}
			if filledIn(word) {
				found = append(found, Credential{Kind: "password", ID: user, Value: word, Start: start, End: end})
			}
		case "macdef":
			i = skipTo(t, i, "\n\n")
		default:
			if word[0] == '#' {
				i = lineEnd(t, start)
			}
		}
		if i >= len(t) {
			break
		}
	}
	return found
}

// token returns the next word at or after i, unquoted, and its bounds as it is written.
func token(t []byte, i int) (string, int, int) {
	i = trimStart(t, i, len(t))
	if i == len(t) {
		return "", max(0, len(t)-1), len(t)
	}
	if t[i] == '"' {
		if q := closing(t, i, min(len(t), i+maxURL)); q > 0 {
			return strings.ReplaceAll(strings.ReplaceAll(string(t[i+1:q]), `\"`, `"`), `\\`, `\`), i, q + 1
		}
	}
	j := i
	for j < len(t) && !isSpace(t[j]) {
		j++
	}
	return string(t[i:j]), i, j
}

// gitCredentials reads git-credential-store's file: a URL a line. Passwords stand percent-encoded there, but files written by
// hand hold "@" and "#" as they are, so the last "@" ends the password.
func gitCredentials(t []byte) (found []Credential) {
	eachLine(t, func(start, end int) {
		i := bytes.Index(t[start:end], []byte("://"))
		at := bytes.LastIndexByte(t[start:end], '@')
		if i < 0 || at < i || len(found) >= maxFound {
			return
		}
		user, pass, ok := strings.Cut(string(t[start+i+3:start+at]), ":")
		if v := unescape(pass); ok && filledIn(v) {
			found = append(found, Credential{Kind: "password", ID: unescape(user), Value: v,
				Start: start + at - len(pass), End: start + at})
		}
	})
	return found
}

// pgpass reads host:port:database:user:password, with backslashes before colons; see section 32.16 of PostgreSQL's manual.
func pgpass(t []byte) (found []Credential) {
	eachLine(t, func(start, end int) {
		if start == end || t[start] == '#' || len(found) >= maxFound {
			return
		}
		var colons []int
		for i := start; i < end && len(colons) < 4; i++ {
			switch t[i] {
			case '\\':
				i++
			case ':':
				colons = append(colons, i)
			}
		}
		if len(colons) < 4 {
			return
		}
		at := colons[3] + 1
		if v := strings.NewReplacer(`\:`, ":", `\\`, `\`).Replace(string(t[at:end])); filledIn(v) {
			found = append(found, Credential{Kind: "password", ID: string(t[colons[2]+1 : colons[3]]), Value: v,
				Start: at, End: end})
		}
	})
	return found
}

// identified matches how SQL gives a user a password.
var identified = lazyregexp.New(`(?i)\b(?:IDENTIFIED\s+(?:WITH\s+\S+\s+)?BY|PASSWORD)\s*=?\s*\(?\s*'([^'\n]{4,128})'`)

var identifiedWords = sync.OnceValue(func() *literal.Finder {
	return literal.New([]literal.Word{{Text: "identified"}, {Text: "password"}})
})

// statements reads the passwords in SQL that makes users.
func statements(t []byte) (found []Credential) {
	linesWith(t, identifiedWords(), func(start, end int, _ []literal.Hit) {
		line := t[start:min(end, start+16<<10)]
		for _, m := range identified().FindAllSubmatchIndex(line, 64) {
			if v := string(line[m[2]:m[3]]); real(v) && len(found) < maxFound {
				found = append(found, Credential{Kind: "password", Value: v, Start: start + m[2], End: start + m[3]})
			}
		}
	})
	return found
}

// crypted matches password hashes: crypt(5)'s modular form with all common prefixes, LDAP's schemes (RFC 2307), Apache's and
// PBKDF2 as Django writes it.
var crypted = lazyregexp.New(`\$(?:1|5|6|apr1|2[abxy]?|7|y|gy|argon2id?|argon2i|scrypt|sha1|md5|P|H|S)\$[./A-Za-z0-9=,$+\-]{16,}|` +
	`\{(?:SSHA|SHA|SSHA512|SSHA256|MD5|SMD5|PBKDF2|SHA512|SHA256)\}[A-Za-z0-9+/=$.]{20,}|pbkdf2_sha(?:1|256|512)\$\d+\$[^\s$'"]+\$[A-Za-z0-9+/=]{20,}`)

// hashes finds password hashes wherever they stand in a file of users or in a dump of their table.
func hashes(t []byte) (found []Credential) {
	for _, m := range crypted().FindAllIndex(t, maxFound) {
		v := string(t[m[0]:m[1]])
		if strings.Contains(v, "......") {
			continue
		}
		found = append(found, Credential{Kind: "password-hash", ID: lineUser(t, m[0]), Value: v, Start: m[0], End: m[1]})
	}
	return found
}

// lineUser is the name before ":" where a hash follows it at once, as in passwd files and in code that quotes them.
func lineUser(t []byte, at int) string {
	const longest = 128 // of a user name
	if at < 2 || t[at-1] != ':' {
		return ""
	}
	start := at - 1
	for start > max(0, at-longest) && (isWord(t[start-1]) || bytes.IndexByte([]byte("-.@+$"), t[start-1]) >= 0) {
		start--
	}
	if start > 0 && t[start-1] == ':' { // a later field
		return ""
	}
	return string(t[start : at-1])
}

// crypt matches the traditional hashes of crypt(3) in htpasswd files, and the MD5 of htdigest's, which name a realm before it.
var crypt = lazyregexp.New(`(?m)^([^:\s#]+):(?:[^:\n]+:)?([./A-Za-z0-9]{13}|[0-9a-f]{32})[ \t]*\r?$`)

func htpasswd(t []byte) []Credential {
	found := hashes(t)
	for _, m := range crypt().FindAllSubmatchIndex(t, maxFound) {
		found = append(found, Credential{Kind: "password-hash", ID: string(t[m[2]:m[3]]), Value: string(t[m[4]:m[5]]), Start: m[4], End: m[5]})
	}
	return found
}

// whole takes a file that holds one secret and nothing else.
func whole(t []byte) []Credential {
	start, end := 0, len(t)
	start = trimStart(t, start, end)
	end = trimEnd(t, start, end)
	if v := string(t[start:end]); end-start >= 8 && end-start <= 4096 && !strings.ContainsAny(v, " \t") && filledIn(v) {
		return []Credential{{Kind: "secret", Value: v, Start: start, End: end}}
	}
	return nil
}

// joined takes a file that holds one secret broken over lines, such as cPanel's access hash.
func joined(t []byte) []Credential {
	v := strings.Join(strings.Fields(string(t[:min(len(t), 8<<10)])), "")
	if len(v) < 32 || strings.ContainsFunc(v, func(r rune) bool { return r > 0x7f || !isAlnum(byte(r)) }) {
		return nil
	}
	return []Credential{{Kind: "token", Value: v, Start: trimStart(t, 0, len(t)), End: trimEnd(t, 0, len(t))}}
}

// svnAuth reads Subversion's K/V pairs: "K 8", "password", "V 6", the value.
var svnPassword = lazyregexp.New(`(?m)^K 8\r?\npassword\r?\nV \d+\r?\n(.+?)\r?$`)

func svnAuth(t []byte) (found []Credential) {
	for _, m := range svnPassword().FindAllSubmatchIndex(t, maxFound) {
		found = append(found, Credential{Kind: "password", Value: string(t[m[2]:m[3]]), Start: m[2], End: m[3]})
	}
	return found
}

// quoted is a string literal, or what a command line takes for one argument.
const quoted = `(?:'((?:[^'\\\n]|\\.)+)'|"((?:[^"\\\n]|\\.)+)")`

// assignments in PHP, Ruby, Python and JavaScript: name = 'value', 'name' => 'value', name: 'value', define('name', 'value').
var assignment = lazyregexp.New(`(?i)(?:define\s*\(\s*|set\s*\(\s*)?["']?([A-Za-z_][\w.\-]*)["']?\]?\s*(?::=|=>|=|:|,)\s*[bru]?` + quoted)

// code reads assignments of string literals, of the lines in which a name may be one that a row asks for.
func code(t []byte) *doc {
	d := newDoc(t)
	eachLine(t, func(start, end int) {
		start = trimStart(t, start, end)
		if end-start < 5 || end-start > 16<<10 || d.full() || t[start] == '*' || t[start] == '#' || bytes.HasPrefix(t[start:end], []byte("//")) {
			return
		}
		for at := start; at < end && mayAssign(t[at:end]) && mayName(t[start:end]); {
			m := assignment().FindSubmatchIndex(t[at:end])
			if m == nil {
				break
			}
			comma := bytes.HasSuffix(bytes.TrimRight(t[at+m[3]:at+max(m[4], m[6])-1], " \t"), []byte(","))
			call := bytes.EqualFold(t[at+m[0]:at+min(m[0]+len("define"), m[1])], []byte("define"))
			g := 4
			if m[4] < 0 {
				g = 6
			}
			if !comma || call {
				d.add(entry{key: string(t[at+m[2] : at+m[3]]), start: at + m[g], end: at + m[g+1], quote: t[at+m[g]-1]})
			}
			at += m[1]
		}
	})
	return d
}

// mayAssign tells whether a quote of the line stands where an assignment's value begins, which costs a hundredth of the expression.
func mayAssign(line []byte) bool {
	for i := range line {
		if !isQuote(line[i]) {
			continue
		}
		at := i
		if at > 0 && bytes.IndexByte([]byte("bruBRU"), line[at-1]) >= 0 {
			at--
		}
		if at = trimEnd(line, 0, at); at > 0 && bytes.IndexByte([]byte("=>:,"), line[at-1]) >= 0 {
			return true
		}
	}
	return false
}

// codeNames has what is in each folded name that a row which reads code takes, or names an owner.
var codeNames = sync.OnceValue(func() *literal.Lookup {
	var list []literal.Word
	for _, w := range slices.Concat(secretMarks, []string{"pepper", "user", "login", "email", "client", "sensitive", "bcrypt"}) {
		list = append(list, literal.Word{Text: w})
	}
	return literal.NewLookup(list)
})

// mayName tells whether codeNames has something of a line: a name is a part of it, and so is the folded name of the folded line.
func mayName(line []byte) bool {
	var room [512]byte // most lines are shorter
	folded := room[:0]
	for _, c := range line {
		if isAlnum(c) || c >= utf8.RuneSelf {
			folded = append(folded, c)
		}
	}
	return codeNames().Contains(folded)
}

// pair matches name=value as it stands among others on a line.
var pair = lazyregexp.New(`([A-Za-z_][\w.\-]{2,})\s*[=:]\s*` + arg)

// inventory reads Ansible's INI inventories: hosts with variables on the same line.
func inventory(t []byte) []Credential {
	f := &format{}
	d := newDoc(t)
	eachLine(t, func(start, end int) {
		start = trimStart(t, start, end)
		if start == end || t[start] == '#' || t[start] == ';' || end-start > 16<<10 || d.full() {
			return
		}
		for _, m := range pair().FindAllSubmatchIndex(t[start:end], 64) {
			for g := 4; g <= 8; g += 2 {
				if m[g] >= 0 {
					d.add(entry{key: string(t[start+m[2] : start+m[3]]), start: start + m[g], end: start + m[g+1], quote: '"'})
				}
			}
		}
	})
	f.compile()
	return f.pick(d)
}

// fetchmail reads the options of fetchmail(1): "user NAME … password SECRET".
func fetchmail(t []byte) (found []Credential) {
	user := ""
	for i := 0; i < len(t) && len(found) < maxFound; {
		word, start, end := token(t, i)
		i = end
		switch {
		case word == "":
			return found
		case word[0] == '#':
			i = lineEnd(t, start)
		case word == "user" || word == "username":
			user, _, i = token(t, i)
		case word == "password" || word == "pass":
			v, s, e := token(t, i)
			i = e
			if len(v) > 1 && isQuote(v[0]) {
				v = v[1:]
				s++
			}
			if s < len(t) && t[s] == '"' {
				s++
			}
			v = strings.TrimRight(v, `"',;`)
			if filledIn(v) {
				found = append(found, Credential{Kind: "password", ID: strings.Trim(user, `'",`), Value: v, Start: s, End: min(s+len(v), len(t))})
			}
		}
	}
	return found
}

// login matches user and password as the two literals of a call.
var login = lazyregexp.New(`\.(?:login|signIn|authenticate|connect)\(\s*` + quoted + `\s*,\s*` + quoted)

func logins(t []byte) (found []Credential) {
	for _, m := range login().FindAllSubmatchIndex(t, maxFound) {
		u, p := 2, 6
		if m[u] < 0 {
			u = 4
		}
		if m[p] < 0 {
			p = 8
		}
		if v := string(t[m[p]:m[p+1]]); filledIn(v) && !words[v] {
			found = append(found, Credential{Kind: "password", ID: string(t[m[u]:m[u+1]]), Value: v, Start: m[p], End: m[p+1]})
		}
	}
	return found
}

// railsKey takes the hex digits of config/master.key and config/credentials/*.key: 32 of Rails, 256 of Jenkins.
func railsKey(t []byte) []Credential {
	found := whole(t)
	if n := len(string(bytes.TrimSpace(t))); len(found) == 1 && (n != 32 && n != 64 && n != 256 || strings.Trim(found[0].Value, "0123456789abcdef") != "") {
		return nil
	}
	return found
}

// cloudToken matches the tokens that gcloud keeps in its SQLite files: Google's refresh and access tokens.
var cloudToken = lazyregexp.New(`ya29\.[\w\-.]{30,}|1//0[\w\-]{30,}|"(?:refresh_token|client_secret)": ?"([^"]{8,})"`)

func tokenDB(t []byte) (found []Credential) {
	for _, m := range cloudToken().FindAllSubmatchIndex(t, maxFound) {
		if m[2] < 0 {
			m[2], m[3] = m[0], m[1]
		}
		found = append(found, Credential{Kind: "token", Value: string(t[m[2]:m[3]]), Start: m[2], End: m[3]})
	}
	return found
}

// manifests reads the Secrets among the documents of a Kubernetes manifest.
func manifests(t []byte) (found []Credential) {
	f := &format{made: true, keys: "data/*:base64 stringdata/*"}
	f.compile()
	for start := 0; start < len(t) && len(found) < maxFound; {
		end := len(t)
		if i := bytes.Index(t[start:], []byte("\n---")); i >= 0 {
			end = start + i + 1
		}
		if (bytes.Contains(t[start:end], []byte("kind: Secret")) || bytes.Contains(t[start:end], []byte(`kind: "Secret"`))) && !bytes.Contains(t[start:end], []byte("kind: ConfigMap")) {
			for _, c := range f.pick(yaml(t[start:end])) {
				c.Start, c.End = c.Start+start, c.End+start
				found = append(found, registries(c)...)
			}
		}
		start = end + 3
	}
	return found
}

// registries returns the logins in the Docker configuration that the value of a Secret is, or the value itself. All of them stand where it
// does, and so only the first is told.
func registries(c Credential) []Credential {
	if !strings.HasPrefix(c.Value, "{") {
		return []Credential{c}
	}
	f := &format{rule: "docker-registry-auth", doc: json, made: true, keys: dockerKeys}
	f.compile()
	logins := f.read([]byte(c.Value))
	if len(logins) == 0 {
		return []Credential{c}
	}
	logins[0].Start, logins[0].End = c.Start, c.End
	return logins[:1]
}
