package secrets

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	random "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/scanners/secrets/internal/pair"
)

// source makes values that look like real ones and are none.
type source struct{ *rand.Rand }

func newSource() source { return source{rand.New(rand.NewPCG(7, 7))} }

func (s source) of(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	alnum  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func (s source) github() string { return "ghp_" + s.of(alnum, 36) }
func (s source) keyID() string  { return "AKIA" + s.of(base32, 16) }
func (s source) secret() string { return s.of(alnum+"/+", 40) }

func scanner(t testing.TB, o Options) *Scanner {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(path string) audit.Item {
	return audit.Item{Kind: audit.KindFile, At: audit.Location{Kind: audit.InFile, Path: path}}
}

// summary writes findings as "rule id path:line:column-line:column rules value", values revealed for the test alone.
func summary(fs []audit.Finding) (all []string) {
	for _, f := range fs {
		if f.Candidate {
			continue
		}
		l := f.Locations[0]
		s := fmt.Sprintf("%s %s%d:%d-%d:%d", f.Rule, l.Path, l.Line, l.Column, l.EndLine, l.EndColumn)
		if len(l.Encoding) > 0 {
			s += " " + strings.Join(l.Encoding, "+")
		}
		if f.Suppressed != nil {
			s += " suppressed"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

func TestScan(t *testing.T) {
	r := newSource()
	gh, id, key := r.github(), r.keyID(), r.secret()
	password := r.of(alnum, 9) + "-" + r.of(alnum, 9) + "7"
	s := scanner(t, Options{})
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	for _, name := range []string{"a/b.txt"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "\ntoken %s\n", gh)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune("\ufefftoken " + gh + "\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for _, tt := range []struct {
		name, path string
		content    string
		want       []string
	}{
		{"nothing", "a.go", "package a\n", nil},
		{"token", "a.txt", "x\n  " + gh + "\n", []string{"github-pat 2:3-2:42"}},
		{"comment", "a.txt", gh + " # gitleaks:allow\n", []string{"github-pat 1:1-1:40 suppressed"}},
		{"comment elsewhere", "a.txt", "# gitleaks:allow\n" + gh, []string{"github-pat 2:1-2:40"}},
		{"comment on the last of the lines", "a.txt", "-----BEGIN " + "PRIVATE KEY-----\n" + r.of(alnum, 64) + "\n" + r.of(alnum, 64) + "\n-----END " + "PRIVATE KEY----- gitleaks:allow\n",
			[]string{"private-key 1:1-4:25 suppressed"}},
		{"allowed path", "node_modules/a.txt", gh + "\n", nil},
		{"pair", "env", "AWS_ACCESS_KEY_ID=" + id + "\nAWS_SECRET_ACCESS_KEY=" + key + "\n", []string{"aws-access-key 1:19-1:38", "aws-access-key 2:23-2:62"}},
		{"pair on a line", "env", id + ":" + key + "\n", []string{"aws-access-key 1:1-1:20"}},
		{"id alone", "env", "id " + id + "\n", []string{"aws-access-key 1:4-1:23"}},
		{"documented", "env", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n", nil},
		{"documented pair", "env", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY=" + documented + "\n", nil},
		{"base64", "a.txt", "data: " + base64.StdEncoding.EncodeToString([]byte("token "+gh)) + "\n", []string{"github-pat 1:15-1:67 base64"}},
		{"zip", "a.zip", zipped.String(), []string{"github-pat !a/b.txt2:7-2:46"}},
		{"utf-16", "a.txt", string(wide), []string{"github-pat 1:15-1:93 utf-16"}},
		{"binary", "a.o", "\x7fELF\x00\x00" + gh + "\x00", []string{"github-pat 1:7-1:46"}},
		{"binary, behind its length", "a.o", "\x7fELF\x00(" + "\x00E" + gh + "\x00", []string{"github-pat 1:9-1:48"}},
		{"value that ends with its line", "gradle.properties", "ossrhPassword=" + password + "\nsigning.keyId=ABCD\n", []string{"application-secret 1:15-1:34", "generic-api-key 1:15-1:34"}},
		{"value that goes on", ".env", "MYSQL_PASSWORD=" + password[:12] + "\\\n" + password[12:] + "\n", []string{"env-file-secret 1:16-1:28", "env-file-secret 1:16-2:8 wrap", "generic-api-key 1:16-2:8 wrap"}},
		{"pkcs12", "deploy/cert.p12", "x", []string{"pkcs12-file 0:0-0:0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs, gaps := s.Scan(file(tt.path), []byte(tt.content))
			if got := summary(fs); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if len(gaps) > 0 {
				t.Errorf("gaps %v", gaps)
			}
		})
	}
}

// One secret is one finding: what goes by a name or a format sees its wrapping too, and says so.
func TestWrapped(t *testing.T) {
	r := newSource()
	gh, password := r.github(), r.of(alnum, 9)+"-"+r.of(alnum, 9)+"7"
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := scanner(t, Options{})
	for _, tt := range []struct {
		name, path, content string
		rule                string
		also                string
	}{
		{"token in a Secret", "a.yaml", "apiVersion: v1\nkind: Secret\ndata:\n  token: " + b64(gh) + "\n", "github-pat", "kubernetes-secret"},
		{"password in a Secret", "a.yaml", "apiVersion: v1\nkind: Secret\ndata:\n  password: " + b64(password) + "\n", "kubernetes-secret", "generic-api-key"},
		{"token behind a name", "a.py", "api_key = '" + b64("token = "+gh) + "'\n", "github-pat", "generic-api-key"},
		{"login of a registry", ".docker/config.json", `{"auths": {"r.corp.test": {"auth": "` + b64("ci:"+password) + `"}}}`, "docker-registry-auth", "generic-api-key"},
		{"user and password", "a.sh", "curl -u admin:" + password + " https://corp.test/\n", "shell-password", "curl-auth-user"},
	} {
		fs, _ := s.Scan(file(tt.path), []byte(tt.content))
		fs = slices.DeleteFunc(fs, func(f audit.Finding) bool { return f.Candidate })
		var by []string
		for _, f := range fs {
			by = append(append(by, f.Rule), f.Locations[0].Rules...)
			if !f.Secret.SameValue(fs[0].Secret) {
				t.Errorf("%s: two secrets, %q", tt.name, summary(fs))
			}
		}
		if !slices.Contains(by, tt.rule) || !slices.Contains(by, tt.also) {
			t.Errorf("%s: found by %q", tt.name, by)
		}
	}
}

// Keys and key stores are found in binaries, whatever the name.
func TestBinaryKeys(t *testing.T) {
	_, edwards, _ := ed25519.GenerateKey(random.Reader)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), random.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus, err := rsa.GenerateKey(random.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(b []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	public := encoded(x509.MarshalPKIXPublicKey(modulus.Public()))
	pkcs8 := encoded(x509.MarshalPKCS8PrivateKey(modulus))
	s := scanner(t, Options{})
	for _, tt := range []struct{ name, content, want string }{
		{"PKCS #8, RSA", pkcs8, "pem-private-key"},
		{"PKCS #8, elliptic", encoded(x509.MarshalPKCS8PrivateKey(curve)), "pem-private-key"},
		{"PKCS #8, Ed25519", encoded(x509.MarshalPKCS8PrivateKey(edwards)), "pem-private-key"},
		{"PKCS #1", string(x509.MarshalPKCS1PrivateKey(modulus)), "pem-private-key"},
		{"RFC 5915", encoded(x509.MarshalECPrivateKey(curve)), "pem-private-key"},
		{"java", "\xfe\xed\xfe\xed\x00\x00\x00\x02" + strings.Repeat("\x00x", 50), "keystore"},
		{"public key", public, ""},
		{"cut off", pkcs8[:len(pkcs8)-1], ""},
	} {
		fs, _ := s.Scan(file("a.bin"), []byte(tt.content))
		got := ""
		for _, f := range fs {
			got += f.Rule
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPlaces holds what is found with the path known against what is found without and placed afterwards.
// TestRulesOfAPlace holds that a place names every rule of gitleaks that matches there, under whatever name it is reported.
func TestRulesOfAPlace(t *testing.T) {
	r := newSource()
	pem := func(head, label string) string {
		return "-----BEGIN " + label + "-----\n" + head + r.of(alnum, 64) + "\n" + r.of(alnum, 64) + "\n-----END " + label + "-----\n"
	}
	session := "ASIA" + r.of(base32, 16)
	tests := []struct{ name, content, want string }{
		{"a key under a passphrase", pem("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", "RSA PRIVATE"+" KEY"),
			"1 encrypted-private-key private-key"},
		{"a bare key", pem("", "PRIVATE"+" KEY"), "1 private-key"},
		{"a session token", fmt.Sprintf("{\"AccessKeyId\": %q,\n \"SecretAccessKey\": %q,\n \"SessionToken\": %q}\n", session, r.of(alnum, 40), r.of(alnum, 200)),
			"1 aws-access-key aws-access-token|2 aws-access-key generic-api-key|3 aws-access-key generic-api-key"},
	}
	for _, tt := range tests {
		fs, _ := scanner(t, Options{}).Scan(file("a"), []byte(tt.content))
		var got []string
		for _, f := range fs {
			got = append(got, fmt.Sprint(f.Locations[0].Line, " ", strings.Join(f.Locations[0].Rules, " ")))
		}
		if strings.Join(got, "|") != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, strings.Join(got, "|"), tt.want)
		}
	}
}

// documented is the secret of Amazon's documentation, cut so that scanners of this repository let it be.
const documented = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"

// TestDocumentedSecret holds that a key id in use is reported where the secret beside it is still the documentation's.
func TestDocumentedSecret(t *testing.T) {
	id := newSource().keyID()
	for _, content := range []string{
		"AWS_ACCESS_KEY_ID=" + id + "\nAWS_SECRET_ACCESS_KEY=" + documented + "\n",
		"[default]\naws_secret_access_key = " + documented + "\naws_access_key_id = " + id + "\n",
	} {
		fs, _ := scanner(t, Options{}).Scan(file("credentials"), []byte(content))
		if len(fs) != 1 || fs[0].Rule != ruleAWS || fs[0].Secret.ID != id || fs[0].Secret.HasValue() {
			t.Errorf("%q: want the id alone, got %v", content, summary(fs))
		}
	}
}

func TestPlaces(t *testing.T) {
	r := newSource()
	gh := r.github()
	s := scanner(t, Options{})
	content := []byte("key: " + gh + "\n")
	fs, _ := s.Scan(audit.Item{Kind: audit.KindFile, Object: "1"}, content)
	for path, want := range map[string][]string{
		"a.txt": {"github-pat"}, "x/node_modules/y": nil,
		"yarn.lock": {"github-pat"}, "a.svg": {"github-pat"}, // of gitleaks' exemptions only generic rules keep these
		"@octokit/auth-token/README.md": {"generic-api-key"}, // where the rule that names it is silent, the generic one is not displaced
	} {
		var kept []string
		for _, f := range fs {
			if f.Keep(audit.Location{Path: path}) {
				kept = append(kept, f.Rule)
			}
		}
		if !slices.Equal(kept, want) {
			t.Errorf("%s: kept %v, want %v", path, kept, want)
		}
	}
}

// TestNoRoom holds that a text in which nothing is found costs no memory.
func TestNoRoom(t *testing.T) {
	s := scanner(t, Options{})
	text := []byte(strings.Repeat("package a\n\nfunc secret(token string) error { // password\n\treturn fmt.Errorf(\"api key: %w\", token)\n}\n", 200))
	for _, it := range []audit.Item{{Kind: audit.KindFile, Object: "1"}, file("a/b.go")} {
		least := 1e9 // of some: what is lent may be taken away at any time
		for range 50 {
			least = min(least, testing.AllocsPerRun(1, func() {
				if fs, gaps := s.Scan(it, text); len(fs)+len(gaps) > 0 {
					t.Fatalf("found %v, gaps %v", summary(fs), gaps)
				}
			}))
		}
		if least > 0 {
			t.Errorf("%v allocations for a text at %q", least, it.At.Path)
		}
	}
}

func TestVariable(t *testing.T) {
	r := newSource()
	v := r.of(alnum, 32)
	s := scanner(t, Options{})
	it := audit.Item{Kind: audit.KindVariable, At: audit.Location{Kind: audit.InVariable, Name: "DEPLOY_TOKEN"}}
	fs, _ := s.Scan(it, []byte(v))
	if got := summary(fs); !slices.Equal(got, []string{"generic-api-key 1:1-1:32"}) {
		t.Errorf("got %q", got)
	}
	it.At.Name = "DOCKER_AUTH_CONFIG"
	auth := base64.StdEncoding.EncodeToString([]byte("ci:" + r.of(alnum, 12)))
	if fs, _ := s.Scan(it, []byte(`{"auths": {"registry.example.org": {"auth": "`+auth+`"}}}`)); !slices.ContainsFunc(fs, func(f audit.Finding) bool { return f.Rule == "docker-registry-auth" }) {
		t.Errorf("got %q of a file on one line", summary(fs))
	}
	it.At.Name = "TOKEN_" + r.github() // a name is public anyway
	if fs, _ := s.Scan(it, []byte("x")); len(fs) != 0 {
		t.Errorf("got %q", summary(fs))
	}
}

func TestConformance(t *testing.T) {
	r := newSource()
	gh, id, key, password := r.github(), r.keyID(), r.secret(), r.of(alnum, 16)
	named := func(kind audit.ItemKind, path, name string) audit.Item {
		return audit.Item{Kind: kind, At: audit.Location{Kind: audit.InFile, Path: path, Name: name}}
	}
	audittest.Scanner(t, scanner(t, Options{}), []audittest.Sample{
		{Item: file("a.txt"), Content: []byte("x " + gh + " # gitleaks:allow\r\n"), Values: []string{gh}, Rules: []string{"github-pat"}},
		{Item: file("a.txt"), Content: []byte("id: " + id + "\nsecret: " + key + "\n"), Values: []string{key}, Rules: []string{ruleAWS}},
		{Item: file("b"), Content: []byte("aws_secret_access_key = " + key + "\n"), Values: []string{key}},
		{Item: file(".netrc"), Content: []byte("machine example.com login ci password " + password + "\n"), Values: []string{password}, Rules: []string{"netrc-password"}},
		{Item: named(audit.KindPlace, "home/.pgpass", ""), Content: []byte("db:5432:app:ci:" + password + "\n"), Values: []string{password}, Rules: []string{"database-password"}},
		{Item: named(audit.KindCommit, "", "message"), Content: []byte("tree 1\n\nuse " + gh + "\n"), Values: []string{gh}, Rules: []string{"github-pat"}},
		{Item: named(audit.KindPaths, "", "file names"), Content: []byte("a\nkeys/" + gh + ".txt\n"), Values: []string{gh}, Rules: []string{"github-pat"}},
		{Item: named(audit.KindVariable, "", "GH_TOKEN"), Content: []byte(gh), Values: []string{gh}, Rules: []string{"github-pat"}},
		{Item: named(audit.KindStream, "", ""), Content: []byte(gh), Values: []string{gh}, Rules: []string{"github-pat"}},
	})
}

func TestRules(t *testing.T) {
	s := scanner(t, Options{})
	seen := map[string]bool{}
	for _, r := range s.Rules() {
		if r.ID == "" || r.Title == "" || r.Help == "" || len(r.Fix) == 0 || r.Severity.Rank() < 0 || r.CWE == 0 || seen[r.ID] {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
	if len(seen) < 223 {
		t.Errorf("%d rules", len(seen))
	}
}

func TestOnly(t *testing.T) {
	r := newSource()
	s := scanner(t, Options{Rules: []string{"github-pat"}})
	fs, _ := s.Scan(file("a"), []byte(r.github()+"\n"+r.keyID()+" "+r.secret()+"\nhttps://u:"+r.of(alnum, 12)+"@example.com/\n"))
	if got := summary(fs); !slices.Equal(got, []string{"github-pat 1:1-1:40"}) {
		t.Errorf("got %q", got)
	}
	if _, err := New(Options{Rules: []string{"nonsense"}}); err == nil {
		t.Error("no error for an unknown rule")
	}
}

func TestIgnore(t *testing.T) {
	ig, err := ParseIgnore(strings.NewReader("# c\n\na\\b.txt:github-pat:3\n1234:c:github-pat:4\nbad\na:b:x\n"))
	if err != nil || ig.Len() != 2 {
		t.Fatal(ig, err)
	}
	for _, tt := range []struct {
		loc  audit.Location
		line int
	}{
		{audit.Location{Path: "a/b.txt", Line: 3}, 3},
		{audit.Location{Path: "a/b.txt", Line: 3, Commit: "99"}, 3},
		{audit.Location{Path: "a/b.txt", Line: 4}, 0},
		{audit.Location{Path: "c", Line: 4}, 0},
		{audit.Location{Path: "c", Line: 4, Commit: "1234"}, 4},
	} {
		if line, ok := ig.Match("github-pat", tt.loc); line != tt.line || ok != (tt.line > 0) {
			t.Errorf("%+v: line %d %v", tt.loc, line, ok)
		}
	}
}

func FuzzScan(f *testing.F) {
	s := scanner(f, Options{})
	r := newSource()
	f.Add([]byte(r.github()), "a")
	f.Add([]byte("PK\x03\x04"), "a.zip")
	f.Add([]byte(r.keyID()+"\n"+r.secret()), ".aws/credentials")
	f.Add([]byte("\xff\xfea\x00"), "")
	f.Fuzz(func(t *testing.T, content []byte, path string) {
		for _, kind := range []audit.ItemKind{audit.KindFile, audit.KindPlace, audit.KindVariable} {
			fs, _ := s.Scan(audit.Item{Kind: kind, At: audit.Location{Path: path, Name: "N"}}, content)
			for _, f := range fs {
				if l := f.Locations[0]; l.Line < 0 || l.Line > l.EndLine || l.Line > 0 && l.Column < 1 {
					t.Errorf("%s at %d:%d-%d:%d", f.Rule, l.Line, l.Column, l.EndLine, l.EndColumn)
				}
			}
			s.Join(fs)
		}
	})
}

// A cover meets what one of its spans meets.
func TestCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var spans []pair.Span
		for range r.IntN(8) {
			start := r.IntN(20)
			spans = append(spans, pair.Span{Start: start, End: start + 1 + r.IntN(6)})
		}
		start := r.IntN(20)
		end := start + 1 + r.IntN(6)
		want := slices.ContainsFunc(spans, func(s pair.Span) bool { return s.Start < end && start < s.End })
		if got := newCover(slices.Clone(spans)).meets(start, end); got != want {
			t.Fatalf("%v meets %d-%d: %v", spans, start, end, got)
		}
	}
}
