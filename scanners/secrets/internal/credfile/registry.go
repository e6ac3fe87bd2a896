package credfile

import (
	"bytes"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// Bounds of what scripts are looked through for: logins, and the size of one in which names of variables are looked up, in bytes.
const (
	maxLogins = 16
	maxScript = 1 << 20
)

// registryLogin matches how clients log in to container registries, up to their arguments. What each can be told is in their manuals:
// https://docs.docker.com/reference/cli/docker/login/, https://docs.podman.io/en/latest/markdown/podman-login.1.html
var registryLogin = lazyregexp.New(`\b(?:(docker)|podman|nerdctl|buildah|skopeo|oras|(?:helm|oras)[ \t]+registry|crane[ \t]+auth)[ \t]+login\b`)

// registryArgs are what a command line says of a login, as it stands there.
type registryArgs struct {
	user, password, host span
	hub                  bool // without a host it is Docker Hub
}

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
	text := func(s span) (string, span) {
		if name := variableName(string(t[s.from:s.to])); name != "" {
			value, ok := values[name]
			if !ok {
				value = assigned(t, name)
				values[name] = value
			}
			s = value
		}
		v := string(t[s.from:s.to])
		if strings.ContainsAny(v, "$`'\"%{") { // it is put together when the script runs
			v = ""
		}
		return v, s
	}
	for _, l := range append(commands(t), steps(t)...) {
		_, password := text(l.password)
		c := at[password.from]
		host := DockerHub
		if l.host != (span{}) {
			name, _ := text(l.host)
			host = RegistryOf(name)
		} else if !l.hub {
			continue
		}
		if password == (span{}) || c == nil || c.Kind == audit.KindRegistryLogin || host == "" {
			continue
		}
		if user, _ := text(l.user); user != "" {
			c.ID = user
		}
		c.Kind, c.Parts = audit.KindRegistryLogin, map[string]string{audit.PartHost: host}
	}
}

// commands are the logins of command lines that are understood from their beginning to their end.
func commands(t []byte) (found []registryArgs) {
	for _, m := range registryLogin().FindAllSubmatchIndex(t, maxLogins) {
		if l, whole := readLogin(t, m[0], m[1]); whole {
			l.hub = m[2] >= 0 // the others have a default of their machine's
			found = append(found, l)
		}
	}
	return found
}

// loginAction matches the step of a workflow that logs in, see https://github.com/docker/login-action#customizing
var loginAction = lazyregexp.New(`\buses:[ \t]*["']?docker/login-action@`)

// maxStep bounds how many lines of a step are looked at; the action has seven inputs.
const maxStep = 16

// steps are the logins of a workflow's steps.
func steps(t []byte) (found []registryArgs) {
	for _, m := range loginAction().FindAllIndex(t, maxLogins) {
		l := registryArgs{hub: true}
		for i, n := lineEnd(t, m[1])+1, 0; i < len(t) && n < maxStep; i, n = lineEnd(t, i)+1, n+1 {
			end := lineEnd(t, i)
			start := trimStart(t, i, end)
			if start < end && t[start] == '-' {
				break
			}
			key, _, ok := bytes.Cut(t[start:end], []byte(":"))
			into := map[string]*span{"registry": &l.host, "username": &l.user, "password": &l.password}[string(key)]
			if ok && into != nil {
				*into, _ = word(t[:end], start+len(key)+1)
			}
		}
		found = append(found, l)
	}
	return found
}

// readLogin reads the arguments of a login. It tells whether all of them are understood.
func readLogin(t []byte, command, end int) (l registryArgs, whole bool) {
	l.password = piped(t, command)
	for i := end; ; {
		arg, next := word(t, i)
		if arg == (span{}) {
			return l, ends(t, next)
		}
		name, _, joined := strings.Cut(string(t[arg.from:arg.to]), "=")
		var into *span
		switch name {
		case "-u", "--username":
			into = &l.user
		case "-p", "--password", "<<<":
			into = &l.password
		case "-e", "--email", "--authfile", "--cert-dir", "--compat-auth-file", "--registry-config", "--ca-file":
			into = new(span)
		case "--password-stdin", "--tls-verify", "--insecure", "-v", "--verbose", "--debug", "--plain-http", "-k":
		default:
			if name == "" || name[0] == '-' || l.host != (span{}) {
				return l, false
			}
			l.host = arg
		}
		switch {
		case into == nil:
		case joined:
			*into, next = word(t, arg.from+len(name)+1)
		default:
			*into, next = word(t, next)
		}
		i = next
	}
}

// word is the next argument of a command line, without its quotes, and where to look for the one behind it; an empty one where the line ends. It goes on
// behind a backslash at its end.
func word(t []byte, i int) (arg span, next int) {
	for i < len(t) {
		switch rest := t[i:]; {
		case rest[0] == ' ' || rest[0] == '\t':
			i++
			continue
		case bytes.HasPrefix(rest, []byte("\\\n")):
			i += 2
			continue
		case bytes.HasPrefix(rest, []byte("\\\r\n")):
			i += 3
			continue
		case bytes.HasPrefix(rest, []byte("<<<")):
			return span{i, i + 3}, i + 3
		case bytes.HasPrefix(rest, []byte("${{")):
			if n := bytes.Index(t[i:lineEnd(t, i)], []byte("}}")); n > 0 {
				return span{i, i + n + 2}, i + n + 2
			}
		case isQuote(rest[0]):
			if q := bytes.IndexByte(t[i+1:lineEnd(t, i)], rest[0]); q > 0 {
				return span{i + 1, i + 1 + q}, i + 2 + q
			}
			return span{}, i
		}
		break
	}
	to := i
	for to < len(t) && bytes.IndexByte([]byte(" \t\r\n'\"|;&<>()`"), t[to]) < 0 {
		to++
	}
	if to == i {
		return span{}, i
	}
	return span{i, to}, to
}

// ends tells whether a command ends where no further argument was found, and not in the midst of something that only a shell knows. A quote that a definition
// has around the command may follow.
func ends(t []byte, i int) bool {
	if i < len(t) && isQuote(t[i]) {
		return trimStart(t, i+1, lineEnd(t, i)) == lineEnd(t, i)
	}
	return i == len(t) || bytes.IndexByte([]byte("\r\n|;&<>)"), t[i]) >= 0
}

// piped is the last argument of an echo or printf that is piped into a command; an empty one where there is none.
func piped(t []byte, command int) (last span) {
	start := lineStart(t, command)
	pipe := start + bytes.LastIndexByte(t[start:command], '|')
	if pipe < start || bytes.ContainsAny(t[pipe:command], ";&") || pipe > start && t[pipe-1] == '|' {
		return span{}
	}
	from := max(bytes.LastIndex(t[start:pipe], []byte("echo ")), bytes.LastIndex(t[start:pipe], []byte("printf ")))
	if from < 0 {
		return span{}
	}
	for i := start + from; i < pipe; {
		arg, next := word(t[:pipe], i)
		if arg == (span{}) {
			break
		}
		last, i = arg, next
	}
	return last
}

var variable = lazyregexp.New(`^(?:\$\{?(?:env:)?(\w{1,100})\}?|\$\{\{[ \t]*env\.(\w{1,100})[ \t]*\}\}|%(\w{1,100})%)$`)

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
		if value != (span{}) && !bytes.Equal(t[value.from:value.to], t[lo:hi]) {
			return span{}
		}
		if value == (span{}) {
			value = span{lo, hi}
		}
	}
}
