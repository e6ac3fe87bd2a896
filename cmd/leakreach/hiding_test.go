package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/leakreach/leakreach/audit"
)

// maker makes values that have a credential's shape and were never one. It is seeded: a failure can be repeated.
type maker struct{ *rand.Rand }

func newMaker(seed uint64) maker { return maker{rand.New(rand.NewPCG(seed, 7))} }

const (
	alnum  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func (m maker) from(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[m.IntN(len(alphabet))]
	}
	return string(b)
}

func (m maker) token() string    { return "ghp_" + m.from(alnum, 36) }
func (m maker) keyID() string    { return "AKIA" + m.from(base32, 16) }
func (m maker) secret() string   { return m.from(alnum+"/+", 40) }
func (m maker) password() string { return m.from(alnum, 9) + "-" + m.from(alnum, 9) + "_4" }

// hidden is one hiding place: a file, and what must be found in it.
type hidden struct {
	name  string
	path  string // of the file; a directory is made for each hiding place
	make  func(m maker) (content string, want want)
	files func(m maker) (map[string]string, want) // instead of path and make
}

// want says how the finding is recognised: by the ends of its masked value, or by an access key id that has its secret half.
type want struct{ value, keyID string }

// text hides one token in a text by a transformation.
func text(name, path string, hide func(token string) string) hidden {
	return hidden{name: name, path: path, make: func(m maker) (string, want) {
		token := m.token()
		return hide(token), want{value: token}
	}}
}

// secretIn hides a password that has no shape.
func secretIn(name, path, format string) hidden {
	return hidden{name: name, path: path, make: func(m maker) (string, want) {
		p := m.password()
		return strings.ReplaceAll(format, "{}", p), want{value: p}
	}}
}

// pairIn hides an access key id and its secret.
func pairIn(name, path, format string) hidden {
	return hidden{name: name, path: path, make: func(m maker) (string, want) {
		id, secret := m.keyID(), m.secret()
		return strings.NewReplacer("{id}", id, "{secret}", secret).Replace(format), want{keyID: id}
	}}
}

func line(token string) string { return "token = \"" + token + "\"\n" }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func wrap(s string, n int) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	return b.String() + s + "\n"
}

func utf16Bytes(s string, order binary.ByteOrder, bom bool) string {
	units := utf16.Encode([]rune(s))
	if bom {
		units = append([]uint16{0xfeff}, units...)
	}
	b := make([]byte, 2*len(units))
	for i, u := range units {
		order.PutUint16(b[2*i:], u)
	}
	return string(b)
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func zipped(name, s string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create(name)
	_, _ = f.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func tarred(name, s string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(s))})
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func compressed(s, how string) string {
	var b bytes.Buffer
	switch how {
	case "bz2":
		w, _ := bzip2.NewWriter(&b, nil)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
	case "xz":
		w, _ := xz.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
	case "zstd":
		w, _ := zstd.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
	}
	return b.String()
}

func arred(members ...string) string { // name, content, name, content …
	b := "!<arch>\n"
	for i := 0; i < len(members); i += 2 {
		b += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", members[i], 0, 0, 0, "100644", len(members[i+1])) + members[i+1]
		if len(members[i+1])%2 == 1 {
			b += "\n"
		}
	}
	return b
}

func pdf(stream string) string {
	data := deflated(stream)
	return fmt.Sprintf("%%PDF-1.5\n1 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\ntrailer << >>\n%%%%EOF\n", len(data), data)
}

func escaped(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func hidingPlaces() []hidden {
	padding := strings.Repeat("# nothing to see on this line\n", 60)
	places := []hidden{
		text("plain", "config.py", line),
		text("crlf", "config.ini", func(t string) string { return "[a]\r\ntoken=" + t + "\r\n" }),
		text("no newline", "token.txt", func(t string) string { return t }),
		text("long line", "bundle.js", func(t string) string {
			return strings.Repeat("x=1;", 200_000) + `k="` + t + `";` + strings.Repeat("y=2;", 50_000)
		}),
		text("utf-16 little endian with mark", "a.txt", func(t string) string { return utf16Bytes(line(t), binary.LittleEndian, true) }),
		text("utf-16 big endian with mark", "a.txt", func(t string) string { return utf16Bytes(line(t), binary.BigEndian, true) }),
		text("utf-16 little endian", "a.txt", func(t string) string { return utf16Bytes(line(t), binary.LittleEndian, false) }),
		text("utf-16 big endian", "a.reg", func(t string) string { return utf16Bytes(line(t), binary.BigEndian, false) }),
		text("utf-8 mark", "a.txt", func(t string) string { return "\ufeff" + line(t) }),
		text("base64", "a.yml", func(t string) string { return "data: " + b64(line(t)) + "\n" }),
		text("base64 of the token alone", "a.yml", func(t string) string { return "data: " + b64(t) + "\n" }),
		text("base64 url alphabet", "a.json", func(t string) string {
			return `{"x":"` + base64.RawURLEncoding.EncodeToString([]byte("??>>"+line(t))) + `"}`
		}),
		text("base64 wrapped", "a.pem", func(t string) string {
			return wrap(b64(strings.Repeat("padding ", 9)+line(t)+strings.Repeat("more ", 20)), 64)
		}),
		text("base64 wrapped and indented", "a.yml", func(t string) string {
			return "data: |\n  " + strings.ReplaceAll(strings.TrimSpace(wrap(b64(strings.Repeat("padding ", 9)+line(t)), 60)), "\n", "\n  ") + "\n"
		}),
		text("base64 twice", "a.txt", func(t string) string { return b64(b64(line(t))) + "\n" }),
		text("base64 of gzip", "a.txt", func(t string) string { return "blob=" + b64(gzipped(line(t))) + "\n" }),
		text("base64 of zlib", "a.txt", func(t string) string { return "blob=" + b64(deflated(line(t))) + "\n" }),
		text("base64 of utf-16, as PowerShell takes it", "a.ps1", func(t string) string {
			return "powershell -EncodedCommand " + b64(utf16Bytes("$env:TOKEN='"+t+"'", binary.LittleEndian, false)) + "\n"
		}),
		text("hex", "a.txt", func(t string) string { return "key=" + hex.EncodeToString([]byte(t)) + "\n" }),
		text("hex upper case", "a.txt", func(t string) string { return "key=" + strings.ToUpper(hex.EncodeToString([]byte(t))) + "\n" }),
		text("percent", "a.url", func(t string) string { return "https://x.test/?a=1&t=" + escaped(t, "%%%02X") + "\n" }),
		text("percent in part", "a.url", func(t string) string {
			return "https://x.test/?q=" + url.QueryEscape("a b") + "&token=" + strings.Replace(t, "_", "%5f", 1) + "\n"
		}),
		text("backslash x", "a.c", func(t string) string { return `char *k = "` + escaped(t, `\x%02x`) + "\";\n" }),
		text("backslash u", "a.js", func(t string) string { return `k = "` + escaped(t, `\u%04x`) + "\";\n" }),
		text("backslash u underscore only", "a.json", func(t string) string { return `{"k":"` + strings.Replace(t, "_", `\u005f`, 1) + "\"}\n" }),
		text("octal", "a.sh", func(t string) string { return `printf '` + escaped(t, `\%03o`) + "'\n" }),
		text("colour codes around", "log.txt", func(t string) string { return "\x1b[32mtoken:\x1b[0m \x1b[1m" + t + "\x1b[0m\n" }),
		text("colour codes inside", "log.txt", func(t string) string { return "token: " + t[:10] + "\x1b[31m" + t[10:] + "\x1b[0m\n" }),
		text("log timestamps", "log.txt", func(t string) string { return "2026-03-19T18:32:11.1234567Z token: " + t + "\n" }),
		text("json in json", "a.json", func(t string) string { return `{"body":"{\"token\":\"` + t + `\"}"}` }),
		text("html entities", "a.html", func(t string) string { return "<p>" + escaped(t, "&#%d;") + "</p>\n" }),
		text("concatenation with plus", "a.js", func(t string) string { return `k = "` + t[:4] + `" + "` + t[4:] + "\";\n" }),
		text("concatenation of three", "a.py", func(t string) string { return `k = '` + t[:4] + `' + '` + t[4:20] + `' + '` + t[20:] + "'\n" }),
		text("concatenation with dot", "a.php", func(t string) string { return `$k = '` + t[:8] + `' . '` + t[8:] + "';\n" }),
		text("concatenation over lines", "A.java", func(t string) string { return "String k = \"" + t[:12] + "\"\n    + \"" + t[12:] + "\";\n" }),
		text("adjacent literals", "a.py", func(t string) string { return `k = ("` + t[:12] + `" "` + t[12:] + "\")\n" }),
		text("line continuation", "run.sh", func(t string) string { return "export TOKEN=" + t[:20] + "\\\n" + t[20:] + "\n" }),
		text("zip", "a.zip", func(t string) string { return zipped("dir/a.txt", line(t)) }),
		text("zip by another name", "a.dat", func(t string) string { return zipped("dir/a.txt", line(t)) }),
		text("tar", "a.tar", func(t string) string { return tarred("dir/a.txt", line(t)) }),
		text("tar.gz", "a.tgz", func(t string) string { return gzipped(tarred("dir/a.txt", line(t))) }),
		text("gzip", "a.log.gz", func(t string) string { return gzipped(line(t)) }),
		text("bzip2", "a.bz2", func(t string) string { return compressed(line(t), "bz2") }),
		text("xz", "a.xz", func(t string) string { return compressed(line(t), "xz") }),
		text("zstd", "a.zst", func(t string) string { return compressed(line(t), "zstd") }),
		text("jar in war", "a.war", func(t string) string { return zipped("lib/b.jar", zipped("application.properties", line(t))) }),
		text("wheel", "p-1-py3-none-any.whl", func(t string) string { return zipped("p/settings.py", line(t)) }),
		text("eight deep", "a.zip", func(t string) string {
			s := line(t)
			for range 7 {
				s = zipped("in", s)
			}
			return s
		}),
		text("deb", "p.deb", func(t string) string {
			return arred("debian-binary", "2.0\n", "control.tar.gz", gzipped(tarred("./control", "Package: p\n")), "data.tar.xz", compressed(tarred("./etc/p.conf", line(t)), "xz"))
		}),
		text("image layer", "image.tar", func(t string) string { return tarred("blobs/sha256/ab", gzipped(tarred("app/.env", "TOKEN="+t+"\n"))) }),
		text("docx", "a.docx", func(t string) string {
			return zipped("word/document.xml", `<?xml version="1.0"?><w:document><w:body><w:p><w:r><w:t>token `+t+`</w:t></w:r></w:p></w:body></w:document>`)
		}),
		text("docx in runs", "a.docx", func(t string) string {
			return zipped("word/document.xml", `<?xml version="1.0"?><w:document><w:body><w:p><w:r><w:t>token `+t[:9]+`</w:t></w:r><w:proofErr w:type="spellStart"/><w:r><w:t>`+t[9:]+`</w:t></w:r></w:p></w:body></w:document>`)
		}),
		text("xlsx", "a.xlsx", func(t string) string {
			return zipped("xl/sharedStrings.xml", `<?xml version="1.0"?><sst><si><t>`+t+`</t></si></sst>`)
		}),
		text("pdf", "a.pdf", func(t string) string { return pdf("BT /F1 12 Tf (token " + t + ") Tj ET") }),
		text("pdf with kerning", "a.pdf", func(t string) string {
			return pdf("BT /F1 12 Tf [(" + t[:7] + ") -20 (" + t[7:21] + ") 15 (" + t[21:] + ")] TJ ET")
		}),
		text("notebook", "a.ipynb", func(t string) string {
			b, _ := json.Marshal(map[string]any{"cells": []any{map[string]any{"cell_type": "code", "source": []string{"import os\n", "k = '" + t + "'\n"}, "outputs": []any{}}}, "nbformat": 4})
			return string(b)
		}),
		text("notebook output", "a.ipynb", func(t string) string {
			b, _ := json.Marshal(map[string]any{"cells": []any{map[string]any{"cell_type": "code", "source": []string{}, "outputs": []any{map[string]any{"text": []string{"token: " + t + "\n"}}}}}, "nbformat": 4})
			return string(b)
		}),
		text("binary", "a.out", func(t string) string { return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 64) + t + "\x00\x01\x02" }),
		text("file without extension", "Makefile", line),
		text("dot file", ".hidden/.conf", line),
		text("csv", "a.csv", func(t string) string { return "name,token\nx," + t + "\n" }),
		text("allow comment that is not ours to obey", "b.py", func(t string) string { return "k = '" + t + "'  # gitleaks:allow\n" }),

		text("base64 in an added file", "k.diff", func(t string) string {
			return "--- /dev/null\n+++ b/k\n@@ -0,0 +1,3 @@\n+" + strings.ReplaceAll(strings.TrimSpace(wrap(b64(strings.Repeat("padding ", 9)+line(t)), 64)), "\n", "\n+") + "\n"
		}),
		text("hex behind its sign", "a.sol", func(t string) string { return "bytes k = 0x" + hex.EncodeToString([]byte(t)) + ";\n" }),
		text("registry export in utf-16", "a.reg", func(t string) string {
			return "\"Token\"=hex(1):" + strings.ReplaceAll(strings.TrimSuffix(escaped(utf16Bytes(t, binary.LittleEndian, false), "%02x,"), ","), ",00,5", ",00,\\\r\n  5") + "\r\n"
		}),
		text("octal without zeros", "a.c", func(t string) string { return `char *k = "` + escaped(t, `\%o`) + "\";\n" }),
		text("escaped underscore", "a.md", func(t string) string { return "The token is " + strings.Replace(t, "_", `\_`, 1) + " as ever.\n" }),
		text("full-width letters", "a.txt", func(t string) string {
			return "token " + strings.Map(func(r rune) rune {
				if r == '_' {
					return r
				}
				return r + 0xfee0
			}, t) + "\n"
		}),
		text("partial line of a container", "0.log", func(t string) string {
			return "2026-03-19T18:32:11.1Z stdout P {\"token\": \"" + t[:9] + "\n2026-03-19T18:32:11.2Z stdout F " + t[9:] + "\", \"n\": 1}\n"
		}),
		text("partial line of docker", "x-json.log", func(t string) string {
			return `{"log":"token: ` + t[:9] + `","stream":"stdout"}` + "\n" + `{"log":"` + t[9:] + ` is it\n","stream":"stdout"}` + "\n"
		}),
		text("recorded terminal", "a.cast", func(t string) string {
			return `{"version": 2, "width": 80}` + "\n" + `[0.1, "o", "token: ` + t[:9] + `"]` + "\n" + `[0.2, "o", "` + t[9:] + `\r\n"]` + "\n"
		}),
		text("folded calendar", "a.ics", func(t string) string {
			return "BEGIN:VCALENDAR\r\nDESCRIPTION:take " + t[:9] + "\r\n " + t[9:] + " for it\r\nEND:VCALENDAR\r\n"
		}),
		text("two shell variables", "a.sh", func(t string) string { return "A=" + t[:9] + "\nB=" + t[9:] + "\nexport TOKEN=\"$A$B\"\n" }),
		text("two Python variables", "b.py", func(t string) string { return "a = '" + t[:9] + "'\nb = '" + t[9:] + "'\ntoken = a + b\n" }),
		text("two constants of Go", "a.go", func(t string) string {
			return "const (\n\ta = \"" + t[:9] + "\"\n\tb = \"" + t[9:] + "\"\n)\n\nvar token = a + b\n"
		}),
		text("two batch variables", "a.bat", func(t string) string { return "set A=" + t[:9] + "\r\nset B=" + t[9:] + "\r\nset T=%A%%B%\r\n" }),
		text("pdf letter by letter", "a.pdf", func(t string) string { return pdf("BT /F1 12 Tf 72 720 Td " + escaped(t, "(%c) Tj 7.2 0 Td ") + "ET") }),
		text("picture's comment", "a.jpg", func(t string) string {
			return "\xff\xd8\xff\xfe" + string(binary.BigEndian.AppendUint16(nil, uint16(len(t)+2))) + t + "\xff\xd9"
		}),
		text("drawing", "a.svg", func(t string) string { return "<svg><text>" + t + "</text></svg>\n" }),
		text("address of a locked package", "package-lock.json", func(t string) string {
			return `{"packages": {"a": {"resolved": "https://npm.corp.test/a.tgz?token=` + t + `"}}}` + "\n"
		}),
		text("string of a binary behind its length", "dump.rdb", func(t string) string { return "REDIS0009\x00\x03tok\x00" + "A" + t + "\xff" }),
		text("encoded word of a subject", "a.eml", func(t string) string {
			return "From: a@corp.test\nMIME-Version: 1.0\nSubject: =?utf-8?Q?token=3A_" + strings.ReplaceAll(t, "_", "=5F") + "?=\n\nhello\n"
		}),

		pairIn("pair on a line", "a.txt", "aws {id} {secret}\n"),
		pairIn("pair sixty lines apart", "a.py", "AWS_ACCESS_KEY_ID = '{id}'\n"+padding+"AWS_SECRET_ACCESS_KEY = '{secret}'\n"),
		pairIn("pair in json", "a.json", `{"aws": {"accessKeyId": "{id}", "region": "eu-central-1", "secretAccessKey": "{secret}"}}`),
		pairIn("pair in ini", "creds.ini", "[prod]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nregion = eu-west-1\n"),
		pairIn("pair in yaml", "a.yaml", "aws:\n  access_key: {id}\n  secret_key: {secret}\n"),
		pairIn("pair in console csv", "rootkey.csv", "Access key ID,Secret access key\n{id},{secret}\n"),
		pairIn("pair in user csv", "credentials.csv", "User Name,Password,Access key ID,Secret access key,Console login link\nci,,{id},{secret},https://x.signin.aws.amazon.com/console\n"),
		pairIn("pair in a Dockerfile", "Dockerfile", "FROM scratch\nENV AWS_ACCESS_KEY_ID={id} \\\n    AWS_SECRET_ACCESS_KEY={secret}\n"),
		pairIn("pair as call arguments", "a.py", "c = boto3.client('s3', '{id}', '{secret}')\n"),
		pairIn("pair in Go call", "a.go", "cfg := credentials.NewStaticCredentials(\"{id}\", \"{secret}\", \"\")\n"),
		pairIn("pair in exports", "env.sh", "export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n"),
		pairIn("pair in terraform", "main.tf", "provider \"aws\" {\n  region     = \"eu-west-1\"\n  access_key = \"{id}\"\n  secret_key = \"{secret}\"\n}\n"),
		pairIn("pair in the credentials file", ".aws/credentials", "[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n"),
		pairIn("secret first", "a.env", "SECRET={secret}\nKEY={id}\n"),
		{name: "pair in two files of a directory", files: func(m maker) (map[string]string, want) {
			id, secret := m.keyID(), m.secret()
			return map[string]string{"keys/access_key": id + "\n", "keys/secret_key": secret + "\n"}, want{keyID: id}
		}},

		secretIn("netrc", ".netrc", "machine git.corp.test login ci password {}\n"),
		secretIn("git credentials", ".git-credentials", "https://ci:{}@git.corp.test\n"),
		secretIn("pypirc", ".pypirc", "[distutils]\nindex-servers = corp\n[corp]\nrepository: https://pypi.corp.test\nusername: ci\npassword: {}\n"),
		secretIn("pgpass", ".pgpass", "db.corp.test:5432:app:ci:{}\n"),
		secretIn("my.cnf", ".my.cnf", "[client]\nuser=ci\npassword={}\n"),
		secretIn("settings.xml", "settings.xml", "<settings><servers><server><id>corp</id><username>ci</username><password>{}</password></server></servers></settings>\n"),
		secretIn("wp-config", "wp-config.php", "<?php\ndefine('DB_USER', 'wp');\ndefine('DB_PASSWORD', '{}');\n"),
		secretIn("tfvars", "prod.tfvars", "db_password = \"{}\"\n"),
		secretIn("tfstate", "terraform.tfstate", `{"version":4,"resources":[{"type":"aws_db_instance","instances":[{"attributes":{"username":"a","password":"{}"}}]}]}`),
		secretIn("url with password", "README.md", "postgres://app:{}@db.corp.test:5432/app\n"),
		secretIn("filezilla", "filezilla.xml", "<FileZilla3><Servers><Server><Host>ftp.corp.test</Host><User>ci</User><Pass>{}</Pass></Server></Servers></FileZilla3>\n"),
		secretIn("sftp.json", ".vscode/sftp.json", `{"host":"ftp.corp.test","username":"ci","password":"{}"}`),
		{name: "registry login in a Secret", path: "a.yaml", make: func(m maker) (string, want) {
			p := m.password()
			return "apiVersion: v1\nkind: Secret\ndata:\n  .dockerconfigjson: " + b64(`{"auths":{"r.corp.test":{"auth":"`+b64("ci:"+p)+`"}}}`) + "\n", want{value: p}
		}},
		{name: "JSON web key", path: "a.json", make: func(m maker) (string, want) {
			d := m.from(alnum, 43)
			return `{"kty":"OKP","crv":"Ed25519","x":"` + m.from(alnum, 43) + `","d":"` + d + `"}`, want{value: d}
		}},
		{name: "npmrc", path: ".npmrc", make: func(m maker) (string, want) {
			t := m.from("0123456789abcdef", 8) + "-" + m.from("0123456789abcdef", 4) + "-4" + m.from("0123456789abcdef", 3) + "-a" + m.from("0123456789abcdef", 3) + "-" + m.from("0123456789abcdef", 12)
			return "//registry.npmjs.org/:_authToken=" + t + "\n", want{value: t}
		}},
		{name: "docker config", path: ".docker/config.json", make: func(m maker) (string, want) {
			p := m.password()
			return `{"auths":{"registry.corp.test":{"auth":"` + b64("ci:"+p) + `"}}}`, want{value: p}
		}},
		{name: "kubeconfig", path: ".kube/config", make: func(m maker) (string, want) {
			t := m.from(alnum, 60)
			return "apiVersion: v1\nkind: Config\nusers:\n- name: ci\n  user:\n    token: " + t + "\n", want{value: t}
		}},
		{name: "master key", path: "config/master.key", make: func(m maker) (string, want) {
			t := m.from("0123456789abcdef", 32)
			return t, want{value: t}
		}},
		{name: "htpasswd", path: ".htpasswd", make: func(m maker) (string, want) {
			h := "$apr1$" + m.from(alnum, 8) + "$" + m.from(alnum, 22)
			return "ci:" + h + "\n", want{value: h}
		}},
	}
	if python, err := exec.LookPath("python3"); err == nil {
		byPython := func(name, path, script string) hidden {
			return text(name, path, func(t string) string {
				dir, err := os.MkdirTemp("", "hiding")
				if err != nil {
					panic(err)
				}
				defer os.RemoveAll(dir)
				cmd := exec.Command(python, "-c", script, filepath.Join(dir, "out"), t)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					panic(fmt.Sprintf("%v: %s", err, out))
				}
				b, err := os.ReadFile(filepath.Join(dir, "out"))
				if err != nil {
					panic(err)
				}
				return string(b)
			})
		}
		places = append(places,
			byPython("sqlite", "a.db", "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1]);c.execute('create table t(a,b)');c.execute('insert into t values(?,?)',('x',sys.argv[2]));c.commit()"),
			byPython("pyc", "__pycache__/a.cpython-311.pyc", "import py_compile,sys\nopen('a.py','w').write('KEY = %r\\n' % sys.argv[2]);py_compile.compile('a.py',cfile=sys.argv[1])"),
			byPython("pickle", "a.pkl", "import pickle,sys\npickle.dump({'token':sys.argv[2]},open(sys.argv[1],'wb'))"),
		)
	}
	return places
}

// testWorld is a world without a terminal, with a home of its own.
func testWorld(stdout, stderr io.Writer, home string) world {
	env := map[string]string{"HOME": home, "PATH": os.Getenv("PATH")}
	return world{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr,
		getenv:   func(k string) string { return env[k] },
		terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
	}
}

// publicSecret is what the report shows of a secret.
type publicSecret struct{ Kind, ID, Masked string }

func TestHidingPlacesInFiles(t *testing.T) {
	dir := t.TempDir()
	wants := map[string]want{}
	places := hidingPlaces()
	for i, h := range places {
		m := newMaker(uint64(i) + 1)
		files := map[string]string{}
		var w want
		if h.files != nil {
			files, w = h.files(m)
		} else {
			files[h.path], w = h.make(m)
		}
		sub := fmt.Sprintf("%03d", i)
		wants[sub] = w
		for path, content := range files {
			full := filepath.Join(dir, sub, path)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := findings(t, "--no-ignores", "dir:"+dir)
	missed := 0
	for i, h := range places {
		sub := fmt.Sprintf("%03d", i)
		if !slices.ContainsFunc(found, func(f foundSecret) bool {
			return f.is(wants[sub]) && slices.ContainsFunc(f.paths, func(p string) bool { return strings.HasPrefix(p, sub+"/") })
		}) {
			missed++
			t.Errorf("not found: %s (%s)", h.name, h.path)
		}
	}
	t.Logf("%d of %d hiding places found", len(places)-missed, len(places))
}

// foundSecret is a finding as the JSON shows it.
type foundSecret struct {
	rule   string
	secret publicSecret
	paths  []string
	names  []string
}

func (f foundSecret) is(w want) bool {
	if w.keyID != "" {
		return f.secret.ID == w.keyID && f.secret.Masked != ""
	}
	if n := len(w.value); n > 20 {
		return f.secret.Masked == w.value[:4]+"…"+w.value[n-4:]
	}
	return f.secret.Masked == "…" // too short to show any of it
}

// findings scans and returns what the report shows of each secret.
func findings(t *testing.T, args ...string) (out []foundSecret) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	home := t.TempDir()
	code := run(context.Background(), append([]string{"scan", "--format", "json", "--verify", "offline", "--fail-on", "none"}, args...), testWorld(&stdout, &stderr, home))
	var r struct {
		Findings []struct {
			Rule      string
			Secret    *publicSecret
			Locations []audit.Location
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("exit %d, report is not JSON: %v\n%.2000s\n%.2000s", code, err, stdout.String(), stderr.String())
	}
	for _, f := range r.Findings {
		if f.Secret == nil {
			continue
		}
		fs := foundSecret{rule: f.Rule, secret: *f.Secret}
		for _, l := range f.Locations {
			fs.paths, fs.names = append(fs.paths, l.Path), append(fs.names, l.Name)
		}
		out = append(out, fs)
	}
	return out
}
