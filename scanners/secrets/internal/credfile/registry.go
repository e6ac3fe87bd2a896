package credfile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// Bounds of what scripts are looked through for: logins, and the size of one in which names of variables are looked up, in bytes.
const (
	maxLogins = 16
	maxScript = 1 << 20
)

// registryLogin matches how clients log in to container registries, up to their arguments. What each can be told is in their manuals:
// https://docs.docker.com/reference/cli/docker/login/, https://docs.podman.io/en/latest/markdown/podman-login.1.html
var registryLogin = expression(`\b(?:(docker)|podman|nerdctl|buildah|skopeo|oras|(?:helm|oras)[ \t]+registry|crane[ \t]+auth)[ \t]+login\b`)

// registryArgs are what a command line says of a login, as it stands there.
type registryArgs struct{ user, password, host span }

// span is a part of a text; an empty one stands for nothing.
type span struct{ from, to int }

// logIn makes logins of the passwords that a script hands to clients of registries: which registry, and as whom. Names of variables stand for what is assigned
// to them in the same script.
func logIn(t []byte, found []Credential) {
	if len(found) == 0 || len(t) > maxScript || !bytes.Contains(t, []byte("login")) {
		return
	}
	at := map[int]*Credential{}
	for i := range found {
		at[found[i].Start] = &found[i]
	}
	values := map[string]span{}
	resolve := func(s span) span {
		name := variableName(string(t[s.from:s.to]))
		if name == "" {
			return s
		}
		value, ok := values[name]
		if !ok {
			value = assigned(t, name)
			values[name] = value
		}
		return value
	}
	for _, m := range registryLogin().FindAllSubmatchIndex(t, maxLogins) {
		l, whole := readLogin(t, m[0], m[1])
		c := at[resolve(l.password).from]
		if !whole || c == nil || c.Kind == audit.KindRegistryLogin {
			continue
		}
		host := DockerHub
		if l.host != (span{}) {
			s := resolve(l.host)
			host = RegistryOf(string(t[s.from:s.to]))
		} else if m[2] < 0 {
			continue // the others have a default of their machine's
		}
		if host == "" {
			continue
		}
		if s := resolve(l.user); s.to > s.from {
			c.ID = string(t[s.from:s.to])
		}
		c.Kind, c.Parts = audit.KindRegistryLogin, map[string]string{audit.PartHost: host}
	}
}

// readLogin reads the arguments of a login between which and its command's start nothing is skipped. It tells whether all of them are understood.
func readLogin(t []byte, command, end int) (l registryArgs, whole bool) {
	l.password = piped(t, command)
	for i := end; ; {
		arg, next := word(t, i)
		if arg == (span{}) {
			return l, true
		}
		text := string(t[arg.from:arg.to])
		name, _, joined := strings.Cut(text, "=")
		var into *span
		switch name {
		case "-u", "--username":
			into = &l.user
		case "-p", "--password":
			into = &l.password
		case "<<<":
			into = &l.password
		case "-e", "--email", "--authfile", "--cert-dir", "--compat-auth-file", "--registry-config", "--ca-file":
			into = new(span)
		case "--password-stdin", "--tls-verify", "--insecure", "-v", "--verbose", "--debug", "--plain-http", "-k":
		default:
			if text[0] == '-' || l.host != (span{}) {
				return l, false
			}
			l.host = arg
		}
		switch {
		case into == nil:
		case joined:
			*into = unquoted(t, span{arg.from + len(name) + 1, arg.to})
		default:
			*into, next = word(t, next)
		}
		i = next
	}
}

// word is the next argument of a command line, without its quotes, and where to look for the one behind it; an empty one where the line ends. It goes on
// behind a backslash at its end.
func word(t []byte, i int) (arg span, next int) {
	for i < len(t) && (t[i] == ' ' || t[i] == '\t' || t[i] == '\\' && i+1 < len(t) && (t[i+1] == '\n' || t[i+1] == '\r') || (t[i] == '\n' || t[i] == '\r') && (t[i-1] == '\\' || t[i-1] == '\r')) {
		i++
	}
	if bytes.HasPrefix(t[i:], []byte("<<<")) {
		return span{i, i + 3}, i + 3
	}
	if bytes.HasPrefix(t[i:], []byte("${{")) {
		if n := bytes.Index(t[i:lineEnd(t, i)], []byte("}}")); n > 0 {
			return span{i, i + n + 2}, i + n + 2
		}
	}
	from, to := i, i
	if i < len(t) && isQuote(t[i]) {
		if q := bytes.IndexByte(t[i+1:lineEnd(t, i)], t[i]); q > 0 {
			return span{i + 1, i + 1 + q}, i + 2 + q
		}
		return span{}, i
	}
	for to < len(t) && bytes.IndexByte([]byte(" \t\r\n|;&<>()`"), t[to]) < 0 {
		to++
	}
	if to == from {
		return span{}, i
	}
	return span{from, to}, to
}

func unquoted(t []byte, s span) span {
	if s.to-s.from > 1 && isQuote(t[s.from]) && t[s.to-1] == t[s.from] {
		return span{s.from + 1, s.to - 1}
	}
	return s
}

// piped is the last argument of an echo or printf that is piped into a command; an empty one where there is none.
func piped(t []byte, command int) span {
	start := lineStart(t, command)
	line := t[start:command]
	before, _, ok := cutLast(line, '|')
	if !ok {
		return span{}
	}
	from := max(bytes.LastIndex(before, []byte("echo ")), bytes.LastIndex(before, []byte("printf ")))
	if from < 0 {
		return span{}
	}
	last := span{}
	for i := start + from; i < start+len(before); {
		arg, next := word(t, i)
		if arg == (span{}) {
			break
		}
		last, i = arg, next
	}
	return last
}

func cutLast(b []byte, c byte) (before, behind []byte, ok bool) {
	i := bytes.LastIndexByte(b, c)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

var variable = expression(`^(?:\$\{?(?:env:)?(\w{1,100})\}?|\$\{\{[ \t]*env\.(\w{1,100})[ \t]*\}\}|%(\w{1,100})%)$`)

// variableName is the name of the variable that an argument is, or "".
func variableName(arg string) string {
	m := variable().FindStringSubmatch(arg)
	return strings.Join(m[min(len(m), 1):], "")
}

// assigned is what a script assigns to a variable, in shells and in YAML; an empty one where it is nothing, or several things.
func assigned(t []byte, name string) (value span) {
	for i := 0; ; {
		n := bytes.Index(t[i:], []byte(name))
		if n < 0 {
			return value
		}
		from := i + n
		i = from + len(name)
		if from > 0 && (isWord(t[from-1]) || bytes.IndexByte([]byte("${%."), t[from-1]) >= 0) || i == len(t) {
			continue
		}
		at := i
		if isQuote(t[at]) {
			at++
		}
		if at == len(t) || t[at] != '=' && t[at] != ':' {
			continue
		}
		at = trimStart(t, at+1, lineEnd(t, at))
		lo, hi := argument(t[:lineEnd(t, at)], at)
		if lo == hi {
			continue
		}
		if value != (span{}) && !slices.Equal(t[value.from:value.to], t[lo:hi]) {
			return span{}
		}
		if value == (span{}) {
			value = span{lo, hi}
		}
	}
}
