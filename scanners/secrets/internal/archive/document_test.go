package archive

import (
	"archive/tar"
	"bytes"
	"encoding/ascii85"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pdfOf makes a document of the given objects, without a table of them.
func pdfOf(objects ...string) string {
	s := "%PDF-1.7\n"
	for i, o := range objects {
		s += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	return s + "trailer <</Root 1 0 R>>\n%%EOF\n"
}

func pdfStream(dict, data string) string {
	return fmt.Sprintf("<<%s /Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

func ascii85Of(s string) string {
	var b bytes.Buffer
	w := ascii85.NewEncoder(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String() + "~>"
}

// lzwOf writes PDF's LZW, clearing the table often enough that codes stay nine bits wide.
func lzwOf(s string) string {
	var out []byte
	acc, n := uint32(0), 0
	put := func(code uint32) {
		acc, n = acc<<9|code, n+9
		for n >= 8 {
			n -= 8
			out = append(out, byte(acc>>n))
		}
	}
	for i := range len(s) {
		if i%200 == 0 {
			put(256)
		}
		put(uint32(s[i]))
	}
	put(257)
	return string(append(out, byte(acc<<(8-n))))
}

// glyphs writes text as two-byte codes, and the ToUnicode map for them.
func glyphs(text string) (codes, cmap string) {
	cmap = "/CIDInit /ProcSet findresource begin begincmap\n/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n" +
		"1 begincodespacerange <0000> <ffff> endcodespacerange\n"
	seen := map[byte]int{}
	for i := range len(text) {
		if seen[text[i]] == 0 {
			seen[text[i]] = len(seen) + 3
			cmap += fmt.Sprintf("1 beginbfchar <%04x> <%04x> endbfchar\n", seen[text[i]], text[i])
		}
		codes += fmt.Sprintf("%04x", seen[text[i]])
	}
	return codes, cmap + "endcmap"
}

func sevenzipOf(name, text string, pack func(string) (string, string)) string {
	packed, coder := pack(text)
	n32 := func(n int) string { return "\xe0" + string([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) }
	h := "\x01\x04\x06\x00\x01\x09" + n32(len(packed)) + "\x00"
	h += "\x07\x0b\x01\x00\x01" + coder + "\x0c" + n32(len(text)) + "\x00\x08\x00\x00"
	names := "\x00"
	for _, c := range name + "\x00" {
		names += string([]byte{byte(c), 0})
	}
	h += "\x05\x01\x11" + n32(len(names)) + names + "\x00\x00"
	start := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(h)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE([]byte(h)))
	return szMagic + "\x00\x04" + string(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(start))) + string(start) + packed + h
}

func sevenzipCopy(t string) (string, string) { return t, "\x01\x00" }

func sevenzipLzma(t string) (string, string) {
	l := lzmaOf(t)
	return l[13:], "\x23\x03\x01\x01\x05" + l[:5]
}

func docxRuns(t string) string {
	return `<?xml version="1.0"?><w:document><w:body><w:p><w:r><w:t>key: </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>` + t[:11] + `</w:t></w:r><w:proofErr w:type="spellStart"/><w:r><w:t xml:space="preserve">` + t[11:] + `</w:t></w:r></w:p><w:p><w:r><w:t>next &amp; last</w:t></w:r></w:p></w:body></w:document>`
}

func class(strs ...string) string {
	s := "\xca\xfe\xba\xbe\x00\x00\x00\x37" + string(binary.BigEndian.AppendUint16(nil, uint16(len(strs)+1)))
	for _, t := range strs {
		s += "\x01" + string(binary.BigEndian.AppendUint16(nil, uint16(len(t)))) + t
	}
	return s + "\x00\x21\x00\x00"
}

// between is how a rule sees a token that others stand beside: as a word of its own.
func between(text, token string) bool {
	for rest := text; ; {
		i := strings.Index(rest, token)
		if i < 0 {
			return false
		}
		word := func(c byte) bool { return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }
		if (i == 0 || !word(rest[i-1])) && (i+len(token) == len(rest) || !word(rest[i+len(token)])) {
			return true
		}
		rest = rest[i+1:]
	}
}

// plistOf writes a binary property list of strings and, behind a zero byte, of data.
func plistOf(objects ...string) string {
	b := plistMagic
	var offsets string
	for _, o := range objects {
		offsets += string(binary.BigEndian.AppendUint16(nil, uint16(len(b))))
		kind := byte(0x5f)
		if data, is := strings.CutPrefix(o, "\x00"); is {
			kind, o = 0x4f, data
		}
		b += string(kind) + "\x11" + string(binary.BigEndian.AppendUint16(nil, uint16(len(o)))) + o
	}
	trailer := binary.BigEndian.AppendUint64([]byte("\x00\x00\x00\x00\x00\x00\x02\x01"), uint64(len(objects)))
	trailer = binary.BigEndian.AppendUint64(trailer, 0)
	return b + offsets + string(binary.BigEndian.AppendUint64(trailer, uint64(len(b))))
}

func TestDocuments(t *testing.T) {
	for i, c := range []struct {
		name string
		pack func(token string) string
		path string
	}{
		{"docx", func(t string) string {
			return zipOf(file{"[Content_Types].xml", "<Types/>"}, file{"word/document.xml", docxRuns(t)})
		}, "x!word/document.xml"},
		{"docx in zip", func(t string) string {
			return zipOf(file{"a.docx", zipOf(file{"[Content_Types].xml", "<Types/>"}, file{"word/document.xml", docxRuns(t)})})
		}, "x!a.docx!word/document.xml"},
		{"xlsx", func(t string) string {
			return zipOf(file{"[Content_Types].xml", "<Types/>"},
				file{"xl/worksheets/sheet1.xml", `<worksheet><sheetData><row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row></sheetData></worksheet>`},
				file{"xl/sharedStrings.xml", `<sst><si><t>api_key</t></si><si><r><t>` + t[:9] + `</t></r><r><rPr/><t>` + t[9:] + `</t></r></si></sst>`})
		}, "x!xl/worksheets/sheet1.xml"},
		{"pptx", func(t string) string {
			return zipOf(file{"[Content_Types].xml", "<Types/>"}, file{"ppt/slides/slide1.xml", `<p:sld><a:p><a:r><a:t>` + t[:9] + `</a:t></a:r><a:r><a:t>` + t[9:] + `</a:t></a:r></a:p></p:sld>`})
		}, "x!ppt/slides/slide1.xml"},
		{"odt", func(t string) string {
			return zipOf(file{"mimetype", "application/vnd.oasis.opendocument.text"}, file{"content.xml", `<text:p>key<text:s/><text:span>` + t[:9] + `</text:span>` + t[9:] + `</text:p>`})
		}, "x!content.xml"},
		{"7z copy", func(t string) string { return sevenzipOf("dir/f", "token = "+t+"\n", sevenzipCopy) }, "x!dir/f"},
		{"7z lzma", func(t string) string { return sevenzipOf("dir/f", "token = "+t+"\n", sevenzipLzma) }, "x!dir/f"},
		{"7z of tar", func(t string) string {
			return sevenzipOf("a.tar", tarOf(tar.FormatUSTAR, file{"f", t}), sevenzipLzma)
		}, "x!a.tar!f"},
		{"pdf flate", func(t string) string {
			return pdfOf("<</Type /Catalog>>", pdfStream("/Filter /FlateDecode", zlibOf("BT /F1 12 Tf (key: "+t+") Tj ET")))
		}, "x"},
		{"pdf array", func(t string) string {
			return pdfOf(pdfStream("/Filter [/FlateDecode]", zlibOf("BT [(key:) -300 ("+t[:3]+") -20 ("+t[3:9]+") 15.5 ("+t[9:]+")] TJ 0 -14 Td (next) Tj ET")))
		}, "x"},
		{"pdf pieces", func(t string) string {
			return pdfOf(pdfStream("/Filter /FlateDecode", zlibOf("BT ("+t[:3]+") Tj <"+hex.EncodeToString([]byte(t[3:9]))+"> Tj (\\"+fmt.Sprintf("%03o", t[9])+t[10:]+") Tj ET")))
		}, "x"},
		{"pdf letter by letter", func(t string) string {
			text := "BT /F1 12 Tf 72 720 Td "
			for i := range len(t) {
				text += "(" + t[i:i+1] + ") Tj 7.2 0 Td "
			}
			return pdfOf(pdfStream("/Filter /FlateDecode", zlibOf(text+"ET")))
		}, "x"},
		{"pdf pieces of a line", func(t string) string {
			return pdfOf(pdfStream("/Filter /FlateDecode", zlibOf(fmt.Sprintf("BT /F1 1 Tf 12 0 0 12 72 720 Tm (key) Tj ET BT 12 0 0 12 110 720 Tm (%s) Tj ET BT 12 0 0 12 %d 720 Tm (%s) Tj ET BT 12 0 0 12 72 700 Tm (next) Tj ET", t[:9], 110+9*7, t[9:]))))
		}, "x"},
		{"property list", func(t string) string { return plistOf("token", t) }, "x"},
		{"property list of data", func(t string) string { return plistOf("token", "\x00"+zipOf(file{"f", t})) }, "x!data 1!f"},
		{"mail subject", func(t string) string {
			return "From: a@b\r\nMIME-Version: 1.0\r\nSubject: =?utf-8?Q?key=3A_" + strings.ReplaceAll(t, "_", "=5F") + "?=\r\n\r\nhello\r\n"
		}, "x"},
		{"pdf ascii85", func(t string) string {
			return pdfOf(pdfStream("/Filter [/ASCII85Decode /FlateDecode]", ascii85Of(zlibOf("BT ("+t+") Tj ET"))))
		}, "x"},
		{"pdf hex", func(t string) string {
			return pdfOf(pdfStream("/Filter /ASCIIHexDecode", hex.EncodeToString([]byte("BT ("+t+") Tj ET"))+">"))
		}, "x"},
		{"pdf lzw", func(t string) string { return pdfOf(pdfStream("/Filter /LZWDecode", lzwOf("BT ("+t+") Tj ET"))) }, "x"},
		{"pdf glyphs", func(t string) string {
			codes, cmap := glyphs(t)
			return pdfOf("<</Type /Page /Resources <</Font <</F1 2 0 R>>>>>>", "<</Type /Font /ToUnicode 3 0 R>>", pdfStream("/Filter /FlateDecode", zlibOf(cmap)),
				pdfStream("/Filter /FlateDecode", zlibOf("BT /F1 12 Tf [<"+codes[:20]+"> -3 <"+codes[20:]+">] TJ ET")))
		}, "x"},
		{"pdf glyphs in packed objects", func(t string) string {
			codes, cmap := glyphs(t)
			page, font := "<</Resources <</Font <</F1 11 0 R>>>>>>", "<</ToUnicode 2 0 R>>"
			head := fmt.Sprintf("10 0 11 %d ", len(page)+1)
			return pdfOf(pdfStream(fmt.Sprintf("/Type /ObjStm /N 2 /First %d /Filter /FlateDecode", len(head)), zlibOf(head+page+" "+font)), pdfStream("/Filter /FlateDecode", zlibOf(cmap)),
				pdfStream("/Filter /FlateDecode", zlibOf("BT /F1 12 Tf <"+codes+"> Tj ET")))
		}, "x"},
		{"pdf title in packed object", func(t string) string {
			return pdfOf(pdfStream("/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode", zlibOf("5 0 <</Title ("+t+")>>")))
		}, "x"},
		{"pdf title utf-16", func(t string) string {
			u := "feff"
			for i := range len(t) {
				u += fmt.Sprintf("%04X", t[i])
			}
			return pdfOf("<</Title <" + u + ">>>")
		}, "x"},
		{"pdf after a font called stream", func(t string) string {
			return pdfOf("<</Type /FontDescriptor /FontName /Bitstream>>", pdfStream("/Filter /FlateDecode", zlibOf("BT ("+t+") Tj ET")))
		}, "x"},
		{"pdf metadata", func(t string) string {
			return pdfOf(pdfStream("/Type /Metadata /Filter /FlateDecode", zlibOf("<x:xmpmeta>"+t+"</x:xmpmeta>")))
		}, "x"},
		{"pdf attachment", func(t string) string {
			return pdfOf(pdfStream("/Type /EmbeddedFile /Filter /FlateDecode", zlibOf(zipOf(file{"f", t}))))
		}, "x!file 1!f"},
		{"class", func(t string) string { return class("Code", t, "next1") }, "x"},
		{"class in jar", func(t string) string {
			return zipOf(file{"META-INF/MANIFEST.MF", "x"}, file{"a/B.class", class("Code", t, "next1")})
		}, "x!a/B.class"},
		{"png", func(t string) string {
			chunk := func(kind, body string) string {
				return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + kind + body + "\x00\x00\x00\x00"
			}
			return "\x89PNG\r\n\x1a\n" + chunk("IHDR", "\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00") + chunk("zTXt", "Comment\x00\x00"+zlibOf("key: "+t+" and more")) + chunk("IEND", "")
		}, "x!text!content"},
		{"mail base64", func(t string) string {
			return "From: a@b\r\nTo: c@d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"bb\"\r\n\r\n--bb\r\nContent-Type: text/plain\r\n\r\nhello\r\n--bb\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
				folded(base64.StdEncoding.EncodeToString([]byte(zipOf(file{"f", t})))) + "\r\n--bb--\r\n"
		}, "x!a.zip!f"},
		{"mail quoted", func(t string) string {
			return "Subject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\nkey=3D" + t[:20] + "=\n" + t[20:] + "\n"
		}, "x!part"},
		{"mailbox", func(t string) string {
			return "From a@b Mon\nSubject: x\n\nhello\n\nFrom a@b Mon\nMIME-Version: 1.0\nSubject: x\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("the key is "+t)) + "\n"
		}, "x!part"},
		{"notebook", func(t string) string {
			b, _ := json.Marshal(map[string]any{"cells": []any{map[string]any{"cell_type": "code", "source": []string{"import os\n", "k = \"a\\nb\"\n", "key = '" + t[:9], t[9:] + "'\n"}}}, "nbformat": 4})
			return string(b)
		}, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := newToken(rand.New(rand.NewPCG(uint64(i), 3)))
			var paths []string
			problems := new(Unpacker).Walk("x", []byte(c.pack(token)), DefaultLimits(), func(m Member) {
				if between(string(m.Content), token) {
					paths = append(paths, m.Path)
				}
			})
			if !contains(paths, c.path) || len(problems) > 0 {
				t.Errorf("found at %q, want %q; problems %v", paths, c.path, problems)
			}
		})
	}
}

func folded(s string) string {
	out := ""
	for len(s) > 76 {
		out += s[:76] + "\r\n"
		s = s[76:]
	}
	return out + s
}

func TestRowsOfASheet(t *testing.T) {
	doc := zipOf(file{"[Content_Types].xml", "<Types/>"},
		file{"xl/worksheets/sheet1.xml", `<row><c t="s"><v>1</v></c><c><v>7</v></c><c t="s"><v>0</v></c></row>`},
		file{"xl/sharedStrings.xml", `<sst><si><t>hunter2</t></si><si><t>pass&amp;word</t></si></sst>`})
	found := false
	new(Unpacker).Walk("x", []byte(doc), DefaultLimits(), func(m Member) { found = found || strings.Contains(string(m.Content), "pass&word\t7\thunter2") })
	if !found {
		t.Error("the cells of a row are not beside each other")
	}
}

func TestEncryptedDocuments(t *testing.T) {
	for name, content := range map[string]string{
		"pdf":    pdfOf("<<>>") + "trailer <</Encrypt 9 0 R>>",
		"office": "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 1024) + string(utf16le("EncryptedPackage")),
		"7z":     sevenzipOf("f", "text", func(t string) (string, string) { return t, "\x04\x06\xf1\x07\x01" }),
	} {
		if problems := new(Unpacker).Walk("x", []byte(content), DefaultLimits(), func(Member) {}); !strings.Contains(fmt.Sprint(problems), "encrypted") {
			t.Errorf("%s: problems %v", name, problems)
		}
	}
}

func utf16le(s string) (b []byte) {
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}

// An archive may declare a dictionary of 4 GiB: it gets what its content can need.
func TestDictionaries(t *testing.T) {
	token := newToken(rand.New(rand.NewPCG(4, 4)))
	huge := sevenzipOf("f", token, func(t string) (string, string) {
		l := lzmaOf(t)
		return l[13:], "\x23\x03\x01\x01\x05\x5d\xff\xff\xff\xff"
	})
	if paths, problems := visited(t, huge, token); !contains(paths, "x!f") || len(problems) > 0 {
		t.Errorf("found at %q, problems %v", paths, problems)
	}
}

func TestGitPack(t *testing.T) {
	tool(t, "git", "git")
	token := newToken(rand.New(rand.NewPCG(8, 10)))
	dir := t.TempDir()
	script := "git init -q . && seq 5000 > f && git add f && git commit -qm one && echo 'k = " + token + "' >> f && git commit -qam two && git gc -q && git bundle create -q b --all && cp .git/objects/pack/*.pack p && git unpack-file HEAD:f >/dev/null && tar cf t .git"
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"b", "p", "t"} {
		paths, problems := visited(t, string(must(os.ReadFile(filepath.Join(dir, name)))), token)
		if len(paths) == 0 || len(problems) > 0 {
			t.Errorf("%s: found at %q; problems %v", name, paths, problems)
		}
	}
}

func TestSqlite(t *testing.T) {
	tool(t, "sqlite3", "sqlite3")
	token := newToken(rand.New(rand.NewPCG(8, 8)))
	for name, script := range map[string]string{
		"text":     "CREATE TABLE a(b,c); INSERT INTO a VALUES('api_key','" + token + "');",
		"overflow": "CREATE TABLE a(b); INSERT INTO a VALUES(printf('%.*c',4063,'x')||' " + token + " '||printf('%.*c',9000,'y'));",
		"utf-16":   "PRAGMA encoding='UTF-16le'; CREATE TABLE a(b); INSERT INTO a VALUES('" + token + "');",
		"blob":     "CREATE TABLE a(b); INSERT INTO a VALUES(x'" + hex.EncodeToString([]byte(gzipOf(token))) + "');",
		"index":    "CREATE TABLE a(b PRIMARY KEY) WITHOUT ROWID; INSERT INTO a VALUES('" + token + "');",
		"deleted":  "PRAGMA secure_delete=0; CREATE TABLE a(b); INSERT INTO a VALUES('" + token + "'); DROP TABLE a;",
	} {
		path := filepath.Join(t.TempDir(), "db")
		if out, err := exec.Command("sqlite3", path, script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", name, err, out)
		}
		content := must(os.ReadFile(path))
		found := name == "deleted" && bytes.Contains(content, []byte(token)) // as it stands
		problems := new(Unpacker).Walk("x", content, DefaultLimits(), func(m Member) { found = found || between(string(m.Content), token) })
		if !found || len(problems) > 0 {
			t.Errorf("%s: not found; problems %v", name, problems)
		}
	}
}

func TestPyc(t *testing.T) {
	tool(t, "python3", "python3")
	token := newToken(rand.New(rand.NewPCG(8, 9)))
	dir := t.TempDir()
	source := "KEY = '" + token + "'\nOTHER = ('zzz', '" + token + "zz')\ndef f(a='b'):\n    return '" + strings.Repeat("long ", 100) + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "m.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", "import py_compile; py_compile.compile('m.py', cfile='m.pyc')")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("python3 compiles nothing: %s", out)
	}
	found := false
	problems := new(Unpacker).Walk("x", must(os.ReadFile(filepath.Join(dir, "m.pyc"))), DefaultLimits(), func(m Member) { found = found || between(string(m.Content), token) })
	if !found || len(problems) > 0 {
		t.Errorf("not found; problems %v", problems)
	}
}

func FuzzDocuments(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 9))
	for range 2 {
		token := newToken(r)
		codes, cmap := glyphs(token)
		f.Add([]byte(pdfOf(pdfStream("/Type /ObjStm /First 4", "5 0 <</ToUnicode 2 0 R>>"), pdfStream("", cmap), pdfStream("", "BT /F1 1 Tf <"+codes+"> Tj [(a) 1 (b)] TJ ET"))))
		f.Add([]byte(class("a", token)))
		f.Add([]byte(sevenzipOf("dir/f", token, sevenzipCopy)))
		f.Add([]byte(sevenzipOf("dir/f", token, sevenzipLzma)))
		f.Add([]byte("SQLite format 3\x00\x02\x00\x01\x01\x00" + strings.Repeat("\x00", 79) + "\x0d\x00\x00\x00\x01\x01\x00\x00\x01\xf0" + strings.Repeat("\x03\x02\x05", 200)))
		f.Add([]byte("a\r\r\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00z\x05hello\xda\x05hello"))
		f.Add([]byte("From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\nYWJj\n--b--\n"))
		f.Add([]byte(`{"nbformat": 4, "cells": [{"source": ["a", "b"]}]}`))
		f.Add([]byte("dex\n035\x00" + strings.Repeat("\x00", 48) + "\x01\x00\x00\x00\x70\x00\x00\x00" + strings.Repeat("\x00", 48) + "\x74\x00\x00\x00\x03abc\x00"))
	}
	lim := DefaultLimits()
	lim.TotalBytes = 4 << 20
	f.Fuzz(func(t *testing.T, content []byte) {
		w := &walker{Unpacker: new(Unpacker), lim: lim, left: lim.TotalBytes, memory: lim.Memory, visit: func(Member) {}}
		if k := sniff(content); k != notContainer {
			// Without the net that catches a decoder's panic.
			_ = k.walk(w, place{"x", 1}, &input{whole: content})
		}
	})
}
