package credfile

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// maxDSN bounds user and password of a data source name, in bytes: people write them by hand.
const maxDSN = 256

// dsn finds the data source names of Go's driver for MySQL: user:password@tcp(host:port)/database.
func (s *Search) dsn(p *part, h literal.Hit) {
	t, start := s.text, h.Start
	p.next = h.End
	for start > 0 && h.Start-start < maxDSN && t[start-1] > ' ' && bytes.IndexByte([]byte("\"'`=<>"), t[start-1]) < 0 {
		start--
	}
	user, pass, ok := strings.Cut(string(t[start:h.Start]), ":")
	host := string(t[h.End:min(len(t), h.End+256)])
	host = host[:max(0, strings.IndexAny(host, ":)"))]
	if ok && host != "" && h.Start-start < maxDSN && !strings.ContainsAny(user, "/{}()[];,$") && !strings.Contains(pass, "://") && urlPassword(user, pass, host) {
		p.found = append(p.found, Credential{Rule: "connection-string-password", Kind: "password", ID: user, Value: pass,
			Start: start + len(user) + 1, End: h.Start})
	}
}

// oracle finds the URLs of Oracle's thin driver for JDBC: jdbc:oracle:thin:user/password@host:port:database.
func (s *Search) oracle(p *part, h literal.Hit) {
	p.next = h.End
	m := thin().FindSubmatchIndex(s.text[h.End:min(len(s.text), h.End+512)])
	if m == nil {
		return
	}
	part := func(g int) string { return string(s.text[h.End+m[2*g] : h.End+m[2*g+1]]) }
	if urlPassword(part(1), part(2), part(3)) {
		p.found = append(p.found, Credential{Rule: "connection-string-password", Kind: "password", ID: part(1), Value: part(2),
			Start: h.End + m[4], End: h.End + m[5]})
	}
}

var thin = lazyregexp.New(`^([\w.$#\-]+)/([^\s"'@/]+)@(?://)?([\w.\-]+)`)

// calls are functions and constructors that log in, each with the number of arguments before user and password.
var calls = []struct {
	name   string
	before int
}{
	{"mysqli_connect(", 1}, {"mysql_connect(", 1}, {"mysql_pconnect(", 1}, {"new mysqli(", 1}, {"new pdo(", 1}, {"ftp_login(", 1},
	{"ssh2_auth_password(", 1}, {"imap_open(", 1}, // PHP
	{"networkcredential(", 0},           // .NET
	{"usernamepasswordcredentials(", 0}, // Apache's HTTP client
	{"passwordauthentication(", 0},      // Java
	{"httpbasicauth(", 0},               // Python's requests
	{"+= credentials(", 2},              // sbt
}

// call finds literal passwords in a call that logs in.
func (s *Search) call(p *part, h literal.Hit, before int) {
	p.next = h.End
	m := loginArguments[before]().FindSubmatchIndex(s.text[h.End:min(len(s.text), h.End+1024)])
	if m == nil {
		return
	}
	argument := func(g int) Credential {
		if m[2*g] < 0 {
			g++
		}
		start, end := h.End+m[2*g], h.End+m[2*g+1]
		return Credential{Value: string(s.text[start:end]), Start: start, End: end}
	}
	host, user, c := argument(1).Value, argument(2).Value, argument(4)
	if (strings.Count(host, `"`)+strings.Count(host, "'"))%2 != 0 {
		return // the call's name is itself quoted, in a list of such
	}
	if real(c.Value) && urlPassword(user, c.Value, host) {
		c.Rule, c.Kind, c.ID = "database-password", "password", user
		if before != 1 {
			c.Rule = "application-secret"
		}
		p.found = append(p.found, c)
	}
}

// loginArguments match the arguments of a call by how many there are before the user: group 1 holds these, one of the next two the user,
// one of the last two the password.
var loginArguments = func() (exprs [3]func() *regexp.Regexp) {
	for n := range exprs {
		exprs[n] = lazyregexp.New(`^\s*((?:[^,()]{1,256},\s*){` + strconv.Itoa(n) + `})` + quoted + `\s*,\s*` + quoted)
	}
	return exprs
}()

// machine finds entries of netrc files that scripts write: machine NAME login USER password SECRET.
func (s *Search) machine(p *part, h literal.Hit) {
	p.next = h.End
	t, at := s.text[:min(len(s.text), h.End+1024)], h.End
	var fields [5][]byte
	start := 0
	for i := range fields {
		start = trimStart(t, at, len(t))
		for start+1 < len(t) && t[start] == '\\' && (t[start+1] == 'n' || t[start+1] == 'r' || t[start+1] == 't') { // to printf
			start = trimStart(t, start+2, len(t))
		}
		at = start
		for at < len(t) && !isSpace(t[at]) && !isQuote(t[at]) && t[at] != '\\' {
			at++
		}
		fields[i] = t[start:at]
		if start == at || i == 1 && string(fields[i]) != "login" || i == 3 && string(fields[i]) != "password" {
			return
		}
	}
	if at+1 < len(t) && isQuote(t[at]) && isWord(t[at+1]) || bytes.IndexByte([]byte(";,"), t[at-1]) >= 0 {
		return // a part of the password or not: only a reader of the file knows
	}
	host, user, pass := string(fields[0]), string(fields[2]), string(fields[4])
	if urlPassword(user, strings.TrimRight(pass, "."), host) { // a word at the end of a sentence is none
		p.found = append(p.found, Credential{Rule: "netrc-password", Kind: "password", ID: user, Value: pass, Start: start, End: at})
	}
}
