package credfile

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// maxURL bounds user and password in a URL, in bytes: job tokens that are JWTs reach some kilobytes.
const maxURL = 4 << 10

// maxLoose bounds what stands behind the first "/" of a password that is not encoded, in bytes.
const maxLoose = 128

// url finds scheme://user:password@host. See RFC 3986, section 3.2.1; people write passwords less strictly than it asks, so what
// ends a URL in text ends the search.
func (s *Search) url(p *part, h literal.Hit) {
	p.next = h.End
	start := h.Start
	for start > 0 && h.Start-start < 32 && isScheme(s.text[start-1]) {
		start--
	}
	if start == h.Start {
		return
	}
	if c, ok := userinfo(s.text, h.End, s.text[start:h.Start]); ok {
		p.found = append(p.found, c)
		p.next = c.End
	}
}

func isScheme(c byte) bool { return isAlnum(c) || c == '+' || c == '.' || c == '-' }

// databases are what the schemes begin with whose URLs are mostly written by hand into settings, "/" and "#" in passwords included.
var databases = strings.Fields(`postgres mysql mariadb mongodb redis amqp mssql sqlserver cockroachdb clickhouse neo4j cassandra ldap smtp ftp
	sftp bolt couchdb influxdb oracle psycopg`)

// database tells whether a scheme, or what follows a "+" in it, is that of a database.
func database(scheme []byte) bool {
	for {
		for _, d := range databases {
			if len(scheme) >= len(d) && bytes.EqualFold(scheme[:len(d)], []byte(d)) {
				return true
			}
		}
		i := bytes.IndexByte(scheme, '+')
		if i < 0 {
			return false
		}
		scheme = scheme[i+1:]
	}
}

func userinfo(t []byte, at int, scheme []byte) (Credential, bool) {
	end, colon, last, slash := at, -1, -1, 0
scan:
	for ; end < len(t) && end-at < maxURL && (slash == 0 || end-slash < maxLoose); end++ {
		switch c := t[end]; {
		case c <= ' ' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' || c == '\\' || c == 0x7f:
			break scan
		case c == '/' || c == '?' || c == '#':
			if colon < 0 || last >= 0 || slash == 0 && (isPort(t[colon+1:end]) || !database(scheme)) {
				break scan
			}
			if slash == 0 {
				slash = end
			}
		case c == ':' && colon < 0:
			colon = end
		case c == '@':
			last = end
		}
	}
	if last < 0 {
		return Credential{}, false
	}
	host := string(t[last+1 : end])
	if i := strings.IndexAny(host, "/?#:,;)]}"); i >= 0 {
		host = host[:i]
	}
	if colon < 0 || colon >= last-1 || string(t[colon+1:last]) == "x-oauth-basic" {
		user, _, _ := bytes.Cut(t[at:last], []byte(":"))
		return Credential{Rule: "url-password", Kind: "token", Value: string(user), Start: at, End: at + len(user)}, drawn(user) && isForge(host)
	}
	user, pass := unescape(string(t[at:colon])), unescape(string(t[colon+1:last]))
	if host == "" || strings.ContainsAny(user, "/?#[$") || !urlPassword(user, pass, host) {
		return Credential{}, false
	}
	return Credential{Rule: "url-password", Kind: "password", ID: user, Value: pass,
		Start: colon + 1, End: last}, true
}

// drawn tells a token from a name that people choose: long, and letters and digits take turns.
func drawn(user []byte) bool {
	turns := 0
	for i, c := range user {
		if !isAlnum(c) {
			return false
		}
		if i > 0 && (c <= '9') != (user[i-1] <= '9') {
			turns++
		}
	}
	return len(user) >= 20 && len(user) <= 256 && turns >= 4
}

// isForge tells whether a host takes tokens in the place of a user. Those that crash reporters are sent to do too, and theirs are no secret.
func isForge(host string) bool {
	return holdsAny(strings.ToLower(host), []string{"git", "bitbucket", "azure", "visualstudio"})
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// isPort tells whether v is a number of at most five digits.
func isPort(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) >= 1 && len(v) <= 5
}

// urlPassword tells a password from a port, a template and what documentation shows: a word for a password, or the user's own
// name, on a host that no one else could reach.
func urlPassword(user, pass, host string) bool {
	if len(pass) < 3 || !filledIn(pass) || reference().MatchString(user) || !real(pass+"1234") && !real(pass) {
		return false
	}
	if strings.ContainsAny(pass, "%{}$") && (strings.Contains(pass, "%s") || strings.Contains(pass, "%v") || strings.Contains(pass, "${") ||
		strings.HasPrefix(pass, "$") || strings.HasPrefix(pass, "{") || strings.HasSuffix(pass, "}")) {
		return false
	}
	if words[unleet.Replace(strings.ToLower(pass))] || strings.EqualFold(user, pass) && wordish(pass) {
		return false
	}
	return !isPort([]byte(pass)) && (!documentation(host) || !wordish(pass))
}

// unleet undoes the letters that people write as digits.
var unleet = strings.NewReplacer("0", "o", "@", "a", "$", "s", "1", "i", "3", "e", "5", "s", " ", "", "%20", "")

// documentation tells whether a host is reserved for examples (RFC 2606), is a placeholder, or can be reached by nobody from
// outside.
func documentation(host string) bool {
	h := strings.ToLower(host)
	return !strings.Contains(h, ".") || strings.HasPrefix(h, "127.") || strings.HasSuffix(h, ".example") || strings.HasSuffix(h, ".test") ||
		strings.HasSuffix(h, ".invalid") || strings.HasPrefix(h, "host.") || holdsAny(h, []string{"example.", "domain.", "foo.", "foobar", "%"})
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// pairNames are the names of passwords in connection strings.
var pairNames = [...]string{"password", "passwd", "pwd", "accountkey", "sharedaccesskey", "sharedsecretvalue"}

// pairOthers are what else a connection string holds; it shows that the password stands in one. True are the names of users.
var pairOthers = map[string]bool{"server": false, "data source": false, "host": false, "hostname": false, "addr": false, "address": false,
	"endpoint": false, "defaultendpointsprotocol": false, "database": false, "initial catalog": false, "dbname": false, "provider": false,
	"driver": false, "dsn": false, "user id": true, "userid": true, "uid": true, "user": true, "username": true, "accountname": true, "sharedaccesskeyname": true}

// A list is the neighbourhood of a password on its line: whether pairs of a connection string stand in it, and whose it is.
type list struct {
	from, to    int
	read        bool
	pairs, semi bool // semi tells of a ";" or of libpq's "host="
	call        bool // or that the pairs are the arguments of a call
	user        string
}

// around returns the list about at, in bounds that make neighbouring passwords share the work.
func (l *list) around(t []byte, at int) {
	if l.to == 0 || at > l.from+2048 || at >= l.to {
		*l = list{from: max(lineStart(t, at), at-1024), to: lineEnd(t[:min(len(t), at+2048)], at)}
	}
}

// learn reads the list's pairs.
func (l *list) learn(t []byte) {
	if l.read {
		return
	}
	l.read = true
	line := t[l.from:l.to]
	l.pairs = bytes.Contains(line, []byte("jdbc:")) || bytes.Contains(line, []byte("://"))
	l.semi = bytes.IndexByte(line, ';') >= 0
	for i := 0; i < len(line); i++ {
		j := bytes.IndexByte(line[i:], '=')
		if j < 0 {
			break
		}
		i += j
		from := max(0, i-28)
		if k := bytes.LastIndexAny(line[from:i], ";&?,\"'`"); k >= 0 {
			from += k + 1
		}
		name := strings.TrimSpace(strings.ToLower(string(line[from:i])))
		if k := strings.LastIndexByte(name, '('); k >= 0 || from > 0 && line[from-1] == ',' {
			_, ok := pairOthers[name[k+1:]]
			l.call = l.call || ok && i+1 < len(line) && isQuote(line[i+1])
		}
		who, ok := pairOthers[name]
		if k := strings.LastIndexByte(name, ' '); !ok && k >= 0 {
			name = name[k+1:]
			who, ok = pairOthers[name]
		}
		if !ok {
			continue
		}
		l.pairs = true
		l.semi = l.semi || name == "host"
		if who && l.user == "" {
			end := i + 1
			for end < len(line) && end-i < 128 && bytes.IndexByte([]byte(";&\"'` <"), line[end]) < 0 {
				end++
			}
			l.user = string(line[i+1 : end])
		}
	}
}

// connection finds passwords in connection strings: ADO.NET ("Server=…;Password=…"), Azure storage and service bus
// ("AccountKey=…"), libpq ("host=… password=…") and JDBC ("?user=…&password=…").
func (s *Search) connection(p *part, h literal.Hit) {
	t, eq := s.text, h.End
	for eq < len(t) && eq < h.End+3 && t[eq] == ' ' {
		eq++
	}
	if h.Start == 0 || eq == len(t) || t[eq] != '=' || eq < p.next {
		return
	}
	s.list.around(t, h.Start)
	p.next = eq + 1
	if bytes.IndexByte([]byte(";&?, \"'`("), t[h.Start-1]) < 0 {
		return
	}
	s.list.learn(t)
	c, ok := inList(t, h.Start, eq, &s.list)
	if !ok {
		c, ok = inCall(t, h.Start, eq, &s.list)
	}
	if ok {
		p.found = append(p.found, c)
		p.next = c.End
	}
}

// inList reads the password behind the name at name in a list of pairs.
func inList(t []byte, name, eq int, l *list) (Credential, bool) {
	before := t[name-1]
	if !l.pairs || before == '(' || before == ' ' && !l.semi {
		return Credential{}, false
	}
	at := trimStart(t, eq+1, min(len(t), eq+4))
	end := pairEnd(t, at, lineEnd(t[:min(len(t), at+1024)], at), before)
	for at < end && bytes.IndexByte([]byte(`'"{`), t[at]) >= 0 {
		at++
	}
	for end > at && bytes.IndexByte([]byte(`'"}`), t[end-1]) >= 0 {
		end--
	}
	c := Credential{Rule: "connection-string-password", Kind: kindOf(string(t[name:eq])), ID: l.user, Value: string(t[at:end]), Start: at, End: end}
	if before == '&' || before == '?' {
		c.Value = unescape(c.Value)
	}
	return c, real(c.Value) && !strings.HasPrefix(c.Value, "%") && !(strings.Contains(c.Value, "$") && strings.Contains(c.Value, "{"))
}

// inCall reads the password behind the name at name among the arguments of a call, such as connect(host="…", password="…").
func inCall(t []byte, name, eq int, l *list) (Credential, bool) {
	before, at := t[name-1], eq+1
	if !l.call || before != ' ' && before != ',' && before != '(' || at == len(t) || !isQuote(t[at]) {
		return Credential{}, false
	}
	end := closing(t, at, min(len(t), at+256))
	if end < 0 || end+1 == len(t) || t[end+1] != ',' && t[end+1] != ')' {
		return Credential{}, false
	}
	v := string(t[at+1 : end])
	return Credential{Rule: "connection-string-password", Kind: kindOf(string(t[name:eq])), ID: l.user, Value: v, Start: at + 1, End: end},
		real(v) && !wordish(v) && !strings.ContainsAny(v, " \\")
}

// pairEnd is where a value in a list of pairs ends: at the list's separator, or with the string that holds the list.
func pairEnd(t []byte, at, to int, before byte) int {
	if at < to && (t[at] == '\'' || t[at] == '{') {
		q := t[at]
		if q == '{' {
			q = '}'
		}
		if j := bytes.IndexByte(t[at+1:to], q); j >= 0 {
			return at + j + 2
		}
	}
	stops := ";\"'`<\\,)"
	if before == '&' || before == '?' {
		stops = "&;\"'`<\\ #)"
	} else if before == ' ' {
		stops += " "
	}
	end := at
	for end < to && !bytes.ContainsRune([]byte(stops), rune(t[end])) {
		end++
	}
	return trimEnd(t, at, end)
}

func lineStart(t []byte, i int) int {
	return bytes.LastIndexByte(t[max(0, i-2048):i], '\n') + 1 + max(0, i-2048)
}

// DockerHub is the host that logins of Docker Hub are kept under, see
// https://github.com/docker/cli/blob/master/cli/config/configfile/file.go
const DockerHub = "index.docker.io"

// hubToken finds access tokens of Docker Hub: 27 characters behind "dckr_pat_" for a person's, 32 behind "dckr_oat_" for an organisation's. They
// are used in the place of a password, see https://docs.docker.com/security/access-tokens/
func (s *Search) hubToken(p *part, h literal.Hit) {
	size := 27
	if s.text[h.Start+len("dckr_")] == 'o' {
		size = 32
	}
	end := h.End
	for end < len(s.text) && end <= h.End+size && (isAlnum(s.text[end]) || s.text[end] == '_' || s.text[end] == '-') {
		end++
	}
	if p.next = end; end != h.End+size || h.Start > 0 && (isAlnum(s.text[h.Start-1]) || s.text[h.Start-1] == '_') || !random(string(s.text[h.End:end])) {
		return
	}
	p.found = append(p.found, Credential{Rule: "docker-hub-token", Kind: audit.KindRegistryLogin, Value: string(s.text[h.Start:end]),
		Parts: map[string]string{audit.PartHost: DockerHub}, Start: h.Start, End: end})
}

// authorization matches HTTP credentials (RFC 7617, RFC 6750) behind the header's name, in a request, in code or in curl's -H.
var authorization = lazyregexp.New(`^["'\]]{0,3}\s{0,3}(?:[:=,]|=>)?\s{0,3}["'` + "`" + `]?\s{0,3}((?i:basic|bearer|token|apikey|api-key))\s+["']?([A-Za-z0-9+/_.~=\-]{6,})`)

// What stands between the name and the method, at most 15 bytes, and what a method begins with.
func isFiller(c byte) bool { return isSpace(c) || bytes.IndexByte([]byte("\"'`]:=>,"), c) >= 0 }
func isMethod(c byte) bool { return c|0x20 == 'a' || c|0x20 == 'b' || c|0x20 == 't' }

func (s *Search) authorization(p *part, h literal.Hit) {
	t, at := s.text, h.End
	for at < len(t) && at <= h.End+15 && isFiller(t[at]) {
		at++
	}
	p.next = h.End
	if at == len(t) || !isMethod(t[at]) || p.tried == maxFound {
		return
	}
	p.tried++
	i := h.End
	m := authorization().FindSubmatchIndex(t[i:min(len(t), i+1100)])
	if m == nil {
		return
	}
	c := Credential{Rule: "authorization-header", Kind: "token", Value: string(t[i+m[4] : i+m[5]]), Start: i + m[4], End: i + m[5]}
	if strings.EqualFold(string(t[i+m[2]:i+m[3]]), "basic") {
		user, pass, ok := userPass(c.Value)
		if !ok || !urlPassword(user, pass, "") {
			return
		}
		c.ID, c.Value, c.Kind = user, pass, "password"
	} else if !random(c.Value) || !real(c.Value) {
		return
	}
	p.found = append(p.found, c)
	p.next = c.End
}

// userPass decodes "user:password" in base64.
func userPass(s string) (user, pass string, ok bool) {
	b, ok := unbase64(s)
	if !ok || !utf8.Valid(b) {
		return "", "", false
	}
	user, pass, ok = strings.Cut(strings.TrimSpace(string(b)), ":")
	for _, r := range user + pass {
		if r < ' ' || r == 0x7f {
			return "", "", false
		}
	}
	return user, pass, ok && pass != ""
}

// unbase64 decodes both alphabets, with and without padding and line breaks.
func unbase64(s string) ([]byte, bool) {
	s = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "", " ", "", "\t", "").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return b, err == nil && len(b) > 0
}
