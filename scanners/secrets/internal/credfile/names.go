package credfile

import (
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// plain folds a name to lower-case letters and digits: "DB_Password", "db-password" and "dbPassword" are one.
func plain(name string) string {
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			var b strings.Builder
			for j := range len(name) {
				switch c := name[j]; {
				case c >= 'A' && c <= 'Z':
					b.WriteByte(c + 'a' - 'A')
				case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80:
					b.WriteByte(c)
				}
			}
			return b.String()
		}
	}
	return name
}

// What names of secrets hold or end in, folded by plain.
var (
	secretParts = []string{"password", "passwd", "passphrase", "secret", "apikey", "privatekey", "accesskey", "authtoken",
		"accesstoken", "refreshtoken", "apitoken", "credential", "encryptionkey", "signingkey", "masterkey", "accountkey",
		"connectionkey", "authkey", "kennwort", "motdepasse"}
	secretEnds = []string{"key", "auth", "pass", "pwd", "token", "psw", "pw", "passwort", "contrasena", "salt", "pat"}
	// neverEnds are the ends of names that speak about a secret instead of being one.
	neverEnds = []string{"file", "filename", "path", "dir", "url", "uri", "length", "len", "min", "max", "policy", "expiry", "expires",
		"expiration", "expiresin", "expiresat", "ttl", "timeout", "age", "enabled", "enable", "disabled", "required", "reset", "hint",
		"prompt", "name", "names", "id", "ids", "type", "algorithm", "header", "field", "param", "label", "regex", "pattern", "count", "size",
		"endpoint", "host", "port", "version", "rotation", "validity", "lifetime", "format", "encoder", "arn", "ref", "email", "user",
		"username", "login", "hosts", "provider", "store", "manager", "backend", "method", "mode", "class", "validators", "scope",
		"scopes", "issuer", "audience", "key_id", "date", "time", "check", "change", "changed", "strength", "attempts", "history",
		"description", "text", "title", "message", "error", "placeholder", "column", "command", "cmd", "script", "env", "helper",
		"plugin", "service", "engine", "driver", "namespace", "prefix", "suffix", "alias", "index", "sha256", "sha1", "digest", "bypass",
		"compass", "surpass", "cachekey", "sortkey", "primarykey", "foreignkey", "partitionkey", "rowkey", "objectkey", "tagkey", "s3key", "hotkey",
		"routingkey", "hashkey", "rangekey", "pullsecret", "pullsecrets", "tlssecret", "shortcutkey", "monkey", "turkey", "author", "oauth", "fromsecret", "passwordempty", "passwordencryption"}
)

// secretName tells whether a name is one that people give to secrets.
func secretName(name string) bool {
	n := plain(name)
	return len(n) <= 100 && !aboutSecret(n) && (holdsAny(n, secretParts) || endsInAny(n, secretEnds))
}

// aboutSecret tells whether a folded name speaks about a secret instead of being one.
func aboutSecret(n string) bool {
	return strings.Contains(n, "public") || strings.Contains(n, "existingsecret") || endsInAny(n, neverEnds)
}

// weakName tells whether a name may be that of a secret and as well of many other things, such as "TAG_KEY": its value must speak
// for itself.
func weakName(name string) bool {
	n := plain(name)
	if strings.HasSuffix(n, "accesskey") && !strings.HasSuffix(n, "secretaccesskey") && !strings.HasSuffix(n, "sharedaccesskey") {
		return true // of S3 and its like: the user's name, beside a secret key
	}
	return !holdsAny(n, secretParts) && (strings.HasSuffix(n, "key") || strings.HasSuffix(n, "auth") || strings.HasSuffix(n, "salt") || strings.HasSuffix(n, "pat"))
}

func holdsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func endsInAny(s string, ends []string) bool {
	for _, e := range ends {
		if strings.HasSuffix(s, e) {
			return true
		}
	}
	return false
}

// kindOf says what a name calls its value.
func kindOf(name string) string {
	n := plain(name)
	switch {
	case strings.Contains(n, "pass") || strings.Contains(n, "pwd") || strings.HasSuffix(n, "pw"):
		return "password"
	case strings.Contains(n, "token"):
		return "token"
	}
	return "secret"
}

// reference matches what stands in a secret's place until something fills it in: variables, templates, calls, and the addresses and
// ciphertexts of secret stores.
var reference = lazyregexp.New(`^\$\{|^\$\(|\$\{[\w.:\-]+\}|^(?:\$[A-Za-z_]\w*)+$|^\$env:|\{\{|<%|^%\(?\w+\)?[sdv%]$|^(?:%[\w.]+%)+$|^<[^<>]*>$|^\{[^{}]*\}$|^\[[^\[\]]*\]$|` +
	`#\{[^{}]*\}|^@[\w.\-]+@$|^__\w+__$|^#[^#]*#$|^ENC[\[(]|^!|^\*[A-Za-z]\w*$|^(?i:vault|op|ref\+\w+|secretref|secretsmanager|ssm|awssm|keyring|file|env|gcpsm|azurekv)://?|^vault:|^env:|` +
	`^\{cipher\}|^arn:aws|^\$ANSIBLE_VAULT|^(?:process\.env|os\.environ|os\.getenv|getenv|env\(|ENV\[|System\.getenv|Environment\.|config\(|var\.|local\.|data\.|module\.|secrets\.|each\.|self\.|this\.|params\.|settings\.|args\.|options\.)|` +
	`^@Microsoft\.KeyVault|^projects/[^/]+/secrets/|\(\)$|^\$\$?\w+\(|^/(?:run|var|etc|home|opt|root|tmp|usr)/|^~/`)

// filler matches masks: one character again and again, or a run of what people type over a secret.
var filler = lazyregexp.New(`(?i)^(?:x+|\*+|\.+|-+|_+|\?+|0+|1+|#+|•+|…|n/?a)$|xxxx|\*\*\*\*|\.\.\.|…|••`)

// words are values that mean "none yet", or a word for what belongs here. A file that is made for nothing but a credential
// may hold them in earnest.
var words = set(`password passwd passwort passphrase pass pwd pw secret token key apikey api_key api-key changeme change_me change-me changeit
	change_this example sample test testing tbd todo fixme dummy placeholder redacted removed hidden masked default empty secret_key
	secretkey mypassword my_password my-password mysecret my-secret my_secret mytoken username user admin_password
	db_password dbpassword foo bar baz foobar string value optional required abc abcd text secret123 my-token my_token
	write read inherit config dev development production local development_key insecure unset blank void nil none null undefined true false yes no on off file env basic bearer plain md5 sha1 sha256 aes oidc postgres root`)

// nothings are the words that are no value in any file.
var nothings = set(`null nil none undefined true false yes no on off`)

// hollow matches a value that says itself that it is to be replaced.
var hollow = lazyregexp.New(`(?i:your[\W_]?|example|placeholder|redacted|change[\W_]?(?:me|this|it)|replace|insert[\W_]|enter[\W_]|put[\W_]?your|to[\W_]?be[\W_]|dummy|sample|fake[\W_]|^some[\W_]|^(?:my|the|a|test|dev|local|default|super)?[\W_]?(?:secret|password|passwd|token|api[\W_]?key|pass)(?:[\W_]?(?:here|key|value|token))?$|_here$|goes[\W_]here|abcdefgh|0123456789|123456789)|^[A-Z]+(?:_[A-Z0-9]+)+$|^[A-Z]+(?:[_-][A-Z]+)+(?:,[A-Z]+(?:[_-][A-Z]+)+)*$|^(?:[A-Za-z]+[_\- ]){3,}[A-Za-z0-9]+$`)

// mayMask tells whether filler may match v: it is short, has characters that are not ASCII, or one three times in a row, in whatever case.
func mayMask(v string) bool {
	if len(v) <= 3 {
		return true
	}
	for i := range len(v) {
		if v[i] >= utf8.RuneSelf || i >= 2 && v[i]|0x20 == v[i-1]|0x20 && v[i]|0x20 == v[i-2]|0x20 {
			return true
		}
	}
	return false
}

// mayRefer tells whether reference may match v: it has a character that is in most of what reference matches, or begins as the rest does.
func mayRefer(v string) bool {
	for _, prefix := range [...]string{"__", "/", "projects/", "getenv"} {
		if strings.HasPrefix(v, prefix) {
			return true
		}
	}
	return strings.ContainsAny(v, "$%<{[(#@!*:.~")
}

// mayBeHollow tells whether hollow may match v: it is not plain ASCII, has a separator of words, or one of hollow's words.
func mayBeHollow(v string) bool {
	for i := range len(v) {
		if c := v[i]; c >= utf8.RuneSelf || c == '_' || c == '-' || c == ' ' {
			return true
		}
	}
	return hollowWords().Contains([]byte(v))
}

// hollowWords has a word of each of hollow's alternatives that need no separator.
var hollowWords = sync.OnceValue(func() *literal.Lookup {
	var list []literal.Word
	for _, w := range strings.Fields("your example placeholder redacted change replace insert enter be dummy sample fake some secret pass token api here abcdefgh 123456789") {
		list = append(list, literal.Word{Text: w})
	}
	return literal.NewLookup(list)
})

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// maxValue bounds a value that is taken for a secret, in bytes; the largest are service accounts in base64.
const maxValue = 16 << 10

// filledIn tells whether v can be a value at all, in a file that is made for credentials.
func filledIn(v string) bool {
	if v == "" || len(v) > maxValue || len(v) >= 8 && kinds(v) <= 2 || nothings[strings.ToLower(v)] {
		return false
	}
	h := head(v)
	return !(mayMask(h) && filler().MatchString(h)) && !(mayRefer(h) && reference().MatchString(h))
}

// real tells whether v looks like a secret in earnest, in a file that holds all sorts of settings.
func real(v string) bool {
	if len(v) < 4 || !filledIn(v) {
		return false
	}
	h := head(v)
	return !words[strings.ToLower(h)] && !(mayBeHollow(h) && hollow().MatchString(h)) && (strings.ContainsAny(h, "0123456789") || !holdsAny(plain(h), secretParts))
}

// random tells whether v looks drawn at random: long, of letters and digits, with few repetitions.
func random(v string) bool {
	if len(v) < 16 || !strings.ContainsAny(v, "0123456789") || strings.ContainsAny(v, " ") {
		return false
	}
	return entropy(head(v)) >= 3
}

// entropy of v's bytes, in bits per byte.
func entropy(v string) float64 {
	var count [256]int
	for i := range len(v) {
		count[v[i]]++
	}
	e := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(v))
			e -= p * math.Log2(p)
		}
	}
	return e
}

// kinds counts the different letters and digits in v.
func kinds(v string) int {
	var seen [256]bool
	n := 0
	for i := range len(v) {
		if c := v[i]; !seen[c] && (isAlnum(c) || c >= 0x80) {
			seen[c] = true
			n++
		}
	}
	return n
}

func head(v string) string { return v[:min(len(v), 256)] }

// wordish tells whether v is made of letters alone, or of letters and a few trailing digits: a word that a person would write
// into an example.
func wordish(v string) bool {
	letters := strings.TrimRight(v, "0123456789!")
	if len(v)-len(letters) > 3 || len(letters) > 16 {
		return false
	}
	for i := range len(letters) {
		if c := letters[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
