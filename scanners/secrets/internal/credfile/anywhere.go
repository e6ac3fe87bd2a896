package credfile

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// anywhere finds what can be recognised in any content. Each part looks for a rare substring first, so that content without
// one costs a few memory scans.
func anywhere(t []byte) []Credential {
	var found []Credential
	found = keyBlocks(t, found)
	found = urls(t, found)
	found = connections(t, found)
	found = authorizations(t, found)
	found = keystores(t, found)
	return found
}

// maxURL bounds user and password in a URL, in bytes: job tokens that are JWTs reach some kilobytes.
const maxURL = 4 << 10

// urls finds scheme://user:password@host. See RFC 3986, section 3.2.1; people write passwords less strictly than it asks, so what
// ends a URL in text ends the search.
func urls(t []byte, found []Credential) []Credential {
	for i := 0; ; {
		j := bytes.Index(t[i:], []byte("://"))
		if j < 0 || len(found) >= maxFound {
			return found
		}
		mark := i + j
		i = mark + 3
		start := mark
		for start > 0 && mark-start < 32 && (isAlnum(t[start-1]) || bytes.IndexByte([]byte("+.-"), t[start-1]) >= 0) {
			start--
		}
		if start == mark {
			continue
		}
		if c, ok := userinfo(t, i, strings.ToLower(string(t[start:mark]))); ok {
			found = append(found, c)
			i = c.End
		}
	}
}

// databases are the schemes whose URLs are mostly written by hand into settings, "/" and "#" in passwords included.
var databases = regexp.MustCompile(`^(?:.*\+)?(?:postgres(?:ql)?|mysql2?|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|cockroachdb|clickhouse|neo4j|cassandra|ldaps?|smtps?|ftps?|sftp|bolt|couchdb|influxdb|oracle|psycopg2?)`)

func userinfo(t []byte, at int, scheme string) (Credential, bool) {
	end, colon, last := at, -1, -1
	loose := databases.MatchString(scheme)
scan:
	for ; end < len(t) && end-at < maxURL; end++ {
		switch c := t[end]; {
		case c <= ' ' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' || c == '\\' || c == 0x7f:
			break scan
		case c == '/' || c == '?' || c == '#':
			if !loose || colon < 0 || last >= 0 || digits.Match(t[colon+1:end]) {
				break scan
			}
		case c == ':' && colon < 0:
			colon = end
		case c == '@':
			last = end
		}
	}
	if colon < 0 || last <= colon+1 {
		return Credential{}, false
	}
	user, pass := unescape(string(t[at:colon])), unescape(string(t[colon+1:last]))
	host := string(t[last+1 : end])
	if i := strings.IndexAny(host, "/?#:,;)]}"); i >= 0 {
		host = host[:i]
	}
	if host == "" || strings.ContainsAny(user, "/?#") || !urlPassword(user, pass, host) {
		return Credential{}, false
	}
	return Credential{Rule: "url-password", Kind: "password", ID: user, Value: pass, Parts: map[string]string{"host": host},
		Start: colon + 1, End: last}, true
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

var digits = regexp.MustCompile(`^\d{1,5}$`)

// urlPassword tells a password from a port, a template and what documentation shows: a word for a password, or the user's own
// name, on a host that no one else could reach.
func urlPassword(user, pass, host string) bool {
	if len(pass) < 3 || !filledIn(pass) || reference.MatchString(user) || !real(pass+"1234") && !real(pass) {
		return false
	}
	if strings.ContainsAny(pass, "%{}$") && (strings.Contains(pass, "%s") || strings.Contains(pass, "%v") || strings.Contains(pass, "${") ||
		strings.HasPrefix(pass, "$") || strings.HasPrefix(pass, "{") || strings.HasSuffix(pass, "}")) {
		return false
	}
	if words[strings.ToLower(pass)] || strings.EqualFold(user, pass) && wordish(pass) {
		return false
	}
	if digits.MatchString(pass) && len(pass) <= 5 {
		return false
	}
	return !documentation(host) || !wordish(pass)
}

// documentation tells whether a host is reserved for examples (RFC 2606) or is a placeholder.
func documentation(host string) bool {
	h := strings.ToLower(host)
	return h == "host" || h == "hostname" || h == "server" || h == "domain" || h == "example" || h == "localhost" || h == "127.0.0.1" ||
		strings.HasSuffix(h, ".example") || strings.HasSuffix(h, ".test") || strings.Contains(h, "example.") || strings.HasSuffix(h, ".invalid") ||
		strings.Contains(h, "domain.") || strings.HasPrefix(h, "host.") || strings.Contains(h, "foo.") || strings.Contains(h, "foobar")
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// A password in a connection string stands in a list of pairs; what else the list holds shows that it is one.
var (
	pairPassword = regexp.MustCompile(`(?i)(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedsecretvalue)\s*=\s*`)
	pairsAround  = regexp.MustCompile(`(?i)(?:server|data source|host|hostname|addr|address|user ?id|uid|user(?:name)?|endpoint|defaultendpointsprotocol|accountname|database|initial catalog|dbname|sharedaccesskeyname|provider|driver|dsn)\s*=|jdbc:|://`)
)

// connections finds passwords in connection strings: ADO.NET ("Server=…;Password=…"), Azure storage and service bus
// ("AccountKey=…"), libpq ("host=… password=…") and JDBC ("?user=…&password=…").
func connections(t []byte, found []Credential) []Credential {
	if !holdsAny(t, "assword=", "ASSWORD=", "wd=", "WD=", "asswd=", "ountKey=", "cessKey=", "tValue=", "assword =", "wd =") {
		return found
	}
	for i := 0; i < len(t) && len(found) < maxFound; {
		m := pairPassword.FindIndex(t[i:])
		if m == nil {
			break
		}
		name, at := i+m[0], i+m[1]
		i = at
		from := max(lineStart(t, name), name-1024)
		to := lineEnd(t[:min(len(t), at+1024)], at)
		if name == from || isWord(t[name-1]) && !bytes.ContainsAny(t[from:name], "=") {
			continue
		}
		before := t[name-1]
		if !bytes.ContainsRune([]byte(";&?, \"'`"), rune(before)) {
			continue
		}
		end := pairEnd(t, at, to, before)
		around := bytes.ReplaceAll(t[from:to], t[name:end], nil)
		if !pairsAround.Match(around) || before == ' ' && !bytes.Contains(around, []byte("host=")) && !bytes.Contains(around, []byte(";")) {
			continue
		}
		v := strings.Trim(string(t[at:end]), `'"{}`)
		if end-at != len(v) {
			at += strings.Index(string(t[at:end]), v)
			end = at + len(v)
		}
		if before == '&' || before == '?' {
			v = unescape(v)
		}
		if !real(v) || strings.HasPrefix(v, "%") || strings.Contains(v, "$") && strings.Contains(v, "{") {
			continue
		}
		c := Credential{Rule: "connection-string-password", Kind: kindOf(string(t[name:at])), Value: v, Start: at, End: end}
		if m := pairUser.FindSubmatch(around); m != nil {
			c.ID = strings.TrimSpace(string(m[1]))
		}
		found = append(found, c)
		i = end
	}
	return found
}

var pairUser = regexp.MustCompile(`(?i)(?:user ?id|uid|user(?:name)?|accountname|sharedaccesskeyname)\s*=\s*([^;&\s"']+)`)

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

func holdsAny(t []byte, marks ...string) bool {
	for _, m := range marks {
		if bytes.Contains(t, []byte(m)) {
			return true
		}
	}
	return false
}

// authorization matches HTTP credentials (RFC 7617, RFC 6750) as a header, in a request, in code or in curl's -H.
var authorization = regexp.MustCompile(`(?i)authorization["'\]]{0,3}\s{0,3}(?:[:=,]|=>)?\s{0,3}["'` + "`" + `]?\s{0,3}(basic|bearer|token|apikey|api-key)\s+["']?([A-Za-z0-9+/_.~=\-]{6,1000})`)

func authorizations(t []byte, found []Credential) []Credential {
	if !holdsAny(t, "uthorization", "UTHORIZATION") {
		return found
	}
	for _, m := range authorization.FindAllSubmatchIndex(t, maxFound) {
		c := Credential{Rule: "authorization-header", Kind: "token", Value: string(t[m[4]:m[5]]), Start: m[4], End: m[5]}
		if strings.EqualFold(string(t[m[2]:m[3]]), "basic") {
			user, pass, ok := userPass(c.Value)
			if !ok || !real(pass) && !real(pass+"12") || words[pass] || reference.MatchString(pass) {
				continue
			}
			c.ID, c.Value, c.Kind = user, pass, "password"
		} else if len(c.Value) < 16 || !strings.ContainsAny(c.Value, "0123456789") || !real(c.Value) {
			continue
		}
		found = append(found, c)
	}
	return found
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
