package decode

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// newToken returns a random token of a forge's shape.
func newToken(r *rand.Rand) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := []byte("gh" + "p_")
	for range 36 {
		b = append(b, alphabet[r.IntN(len(alphabet))])
	}
	return string(b)
}

func zipped(s string, z bool) []byte {
	var buf bytes.Buffer
	if z {
		w := zlib.NewWriter(&buf)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
	} else {
		w := gzip.NewWriter(&buf)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
	}
	return buf.Bytes()
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// folded breaks s into lines of the given width.
func folded(s string, width int, eol string) string {
	var parts []string
	for len(s) > width {
		parts = append(parts, s[:width])
		s = s[width:]
	}
	return strings.Join(append(parts, s), eol)
}

func each(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func utf16s(s string, order binary.AppendByteOrder, bom bool) string {
	var out []byte
	if bom {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

func utf32s(s string, order binary.AppendByteOrder, bom bool) string {
	var out []byte
	if bom {
		out = order.AppendUint32(out, 0xfeff)
	}
	for _, r := range s {
		out = order.AppendUint32(out, uint32(r))
	}
	return string(out)
}

func jsoned(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// A case hides token in a text.
type hiding struct {
	name     string
	hide     func(token string) string
	encoding string // of the view that shows it, joined by "+"; "" for whatever
}

var le, be = binary.LittleEndian, binary.BigEndian

// dump writes s as hexdump and its like do.
func dump(s, offset, octet, end string) string {
	out := ""
	for i := 0; i < len(s); i += 16 {
		line := s[i:min(i+16, len(s))]
		out += fmt.Sprintf(offset, i) + each(line, octet) + fmt.Sprintf(end, line)
	}
	return out
}

// prose has both ends' lines, so that places are not at the edges.
func prose(s string) string { return "first line of the file\nkey: " + s + "\nlast line, after it\n" }

var hidings = []hiding{
	{"utf-16le bom", func(t string) string { return utf16s("\"key\": "+t+"\r\n", le, true) }, "utf-16"},
	{"utf-16be bom", func(t string) string { return utf16s("key = "+t+"\n", be, true) }, "utf-16"},
	{"utf-16le", func(t string) string { return utf16s("key = "+t+"\n", le, false) }, "utf-16"},
	{"utf-16be", func(t string) string { return utf16s("key = "+t+"\n", be, false) }, "utf-16"},
	{"utf-16le with other scripts", func(t string) string { return utf16s("clé = "+t+" 日本 😀\n", le, true) }, "utf-16"},
	{"utf-16 odd place in binary", func(t string) string { return "\x7fELF\x01\x02\x03" + utf16s(t, le, false) + "\xff\xfe\xfd" }, "utf-16"},
	{"utf-32le", func(t string) string { return utf32s("key = "+t+"\n", le, true) }, "utf-32"},
	{"utf-32be no bom", func(t string) string { return utf32s("key = "+t+"\n", be, false) }, "utf-32"},
	{"base64", func(t string) string { return prose(b64(t)) }, "base64"},
	{"base64 quoted after equals", func(t string) string { return "api_key=\"" + b64(t) + "\"\n" }, "base64"},
	{"base64 in text", func(t string) string { return prose(b64("user=me\npassword=" + t + "\n")) }, "base64"},
	{"base64 url", func(t string) string { return prose(base64.URLEncoding.EncodeToString([]byte("~~~???>>>" + t))) }, "base64"},
	{"base64 raw", func(t string) string { return prose(base64.RawStdEncoding.EncodeToString([]byte(t))) }, "base64"},
	{"base64 after path", func(t string) string { return prose("secrets/app/" + b64(t)) }, "base64"},
	{"base64 after escape", func(t string) string { return prose(`"header\n` + b64(t) + `\n"`) }, "base64"},
	{"base64 data url", func(t string) string { return prose("data:text/plain;base64," + b64(t)) }, "base64"},
	{"base64 wrapped 64", func(t string) string {
		return "-----BEGIN DATA-----\n" + folded(b64(strings.Repeat("some text ", 20)+t+strings.Repeat(" more", 20)), 64, "\n") + "\n-----END DATA-----\n"
	}, "base64"},
	{"base64 wrapped 76 crlf", func(t string) string { return prose(folded(b64(strings.Repeat("text ", 30)+t), 76, "\r\n")) }, "base64"},
	{"base64 wrapped 20", func(t string) string { return prose(folded(b64("password is: "+t), 20, "\n  ")) }, ""},
	{"base64 wrapped 30", func(t string) string { return "data:\n  " + folded(b64("password is: "+t), 30, "\n  ") + "\nkind: x\n" }, ""},
	{"base64 yaml block", func(t string) string {
		return "data: |\n    " + folded(b64("a long text before "+t), 40, "\n    ") + "\n"
	}, ""},
	{"base64 wrapped escaped", func(t string) string { return prose(`"` + folded(b64("a long text before "+t), 41, `\n`) + `"`) }, ""},
	{"base64 wrapped double escaped", func(t string) string { return prose(`"` + folded(b64("a long text before "+t), 42, `\\n`) + `"`) }, ""},
	{"base64 quoted and joined", func(t string) string { return "k = \"" + folded(b64("a text before "+t), 37, "\" +\n    \"") + "\";\n" }, ""},
	{"base64 list of lines", func(t string) string {
		return "[\"" + folded(b64("a text before that is longer than one line of it is "+t), 64, "\\n\",\n \"") + "\"]"
	}, ""},
	{"base64 continued", func(t string) string { return "K=" + folded(b64("a text before "+t), 37, "\\\n") + "\n" }, ""},
	{"base64 in a commented block", func(t string) string { return "# " + folded(b64("a text before "+t), 37, "\n# ") + "\n" }, ""},
	{"base64 over log lines", func(t string) string {
		return "2026-03-19T18:32:11.1234567Z " + folded(b64(strings.Repeat("a text before ", 5)+t), 64, "\n2026-03-19T18:32:11.1234999Z ") + "\n"
	}, "base64+timestamp"},
	{"base64 twice", func(t string) string { return prose(b64(b64("token: " + t))) }, "base64+base64"},
	{"base64 thrice", func(t string) string { return prose(b64(b64(b64("token: " + t)))) }, "base64+base64+base64"},
	{"base64 twice wrapped inside", func(t string) string { return prose(b64(folded(b64("some more of a token: "+t), 64, "\n"))) }, "base64+base64"},
	{"base64 gzip", func(t string) string { return prose(base64.StdEncoding.EncodeToString(zipped("token: "+t, false))) }, "base64+gzip"},
	{"base64 zlib", func(t string) string { return prose(base64.StdEncoding.EncodeToString(zipped("token: "+t, true))) }, "base64+zlib"},
	{"base64 base64 gzip", func(t string) string {
		return prose(b64(base64.StdEncoding.EncodeToString(zipped("{\"release\":\""+t+"\"}", false))))
	}, "base64+base64+gzip"},
	{"base64 gzip json escapes", func(t string) string {
		return prose(base64.StdEncoding.EncodeToString(zipped(jsoned("x="+each(t, `\u%04x`)), false)))
	}, ""},
	{"base64 utf-16", func(t string) string {
		return "powershell -EncodedCommand " + b64(utf16s("$x = '"+t+"'", le, false)) + "\n"
	}, "base64+utf-16"},
	{"base64 binary around", func(t string) string {
		return prose(b64("\x00\x01\xff\xfe\x80\x90" + t + "\x00\xf0\x80"))
	}, "base64"},
	{"base64 percent", func(t string) string { return prose(url.QueryEscape(b64("tok=" + t + "="))) }, ""},
	{"jwt like", func(t string) string {
		return prose("eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"tok":"`+t+`"}`)) + ".c2ln")
	}, "base64"},
	{"base32", func(t string) string { return prose(base32.StdEncoding.EncodeToString([]byte(t))) }, "base32"},
	{"hex", func(t string) string { return prose(hex.EncodeToString([]byte(t))) }, "hex"},
	{"hex upper", func(t string) string { return prose(strings.ToUpper(hex.EncodeToString([]byte(t)))) }, "hex"},
	{"hex 0x", func(t string) string { return prose("0x" + hex.EncodeToString([]byte(t))) }, "hex"},
	{"hex bytea", func(t string) string { return prose(`'\x` + hex.EncodeToString([]byte(t)) + `'`) }, "hex"},
	{"hex gzip", func(t string) string { return prose(hex.EncodeToString(zipped(t, false))) }, "hex+gzip"},
	{"hex wrapped", func(t string) string {
		return prose(folded(hex.EncodeToString([]byte("a text before it "+t)), 60, "\n"))
	}, "hex"},
	{"hex spaces", func(t string) string { return prose(each(t, "%02x ")) }, "array"},
	{"hex colons", func(t string) string { return prose(strings.TrimRight(each(t, "%02X:"), ":")) }, "array"},
	{"hex array", func(t string) string { return "char k[] = {" + each(t, "0x%02x, ") + "};" }, "array"},
	{"hex array in lines", func(t string) string {
		return "char k[] = {\n\t" + folded(each(t, "0x%02x, "), 48, "\n\t") + "\n};"
	}, "array"},
	{"decimal array", func(t string) string {
		return "k = bytes([" + strings.ReplaceAll(fmt.Sprint([]byte(t)), " ", ", ") + "])"
	}, "array"},
	{"decimal array tight", func(t string) string { return "k=[" + strings.ReplaceAll(fmt.Sprint([]byte(t)), " ", ",") + "];" }, "array"},
	{"binary digits", func(t string) string { return prose(each(t, "%08b ")) }, "array"},
	{"chr calls", func(t string) string { return "k = " + strings.TrimSuffix(each(t, "chr(%d)+"), "+") }, "array"},
	{"char casts", func(t string) string { return "k = " + strings.TrimSuffix(each(t, "[char]%d + "), " + ") }, "array"},
	{"hexdump", func(t string) string { return dump("key: "+t, "%08x  ", "%02x ", " |%s|\n") }, "hexdump"},
	{"xxd", func(t string) string {
		out := "$ xxd f\n"
		for i, s := 0, "key: "+t; i < len(s); i += 16 {
			line := s[i:min(i+16, len(s))]
			out += fmt.Sprintf("%08x: %-40s %s\n", i, folded(hex.EncodeToString([]byte(line)), 4, " "), line)
		}
		return out
	}, ""},
	{"full-width", func(t string) string {
		return prose(strings.Map(func(r rune) rune {
			if r == '_' {
				return r
			}
			return r + 0xfee0
		}, t))
	}, "full-width"},
	{"markup", func(t string) string {
		return prose("<pre><span class=\"s\">" + t[:4] + "</span><span class=\"x\">" + t[4:] + "</span></pre>")
	}, "markup"},
	{"percent", func(t string) string { return prose("https://x/?q=" + each(t, "%%%02X")) }, "percent"},
	{"percent before", func(t string) string { return prose("https://x/?q=token%3D%22" + t + "%22") }, "percent"},
	{"percent underscore", func(t string) string { return prose(strings.ReplaceAll(t, "_", "%5f")) }, "percent"},
	{"percent twice", func(t string) string { return prose(strings.ReplaceAll(t, "_", "%255f")) }, "percent+percent"},
	{"percent u", func(t string) string { return prose(each(t, "%%u%04x")) }, "percent"},
	{"escape x", func(t string) string { return prose(`"` + each(t, `\x%02x`) + `"`) }, "escape"},
	{"escape x braces", func(t string) string { return prose(`"` + each(t, `\x{%02x}`) + `"`) }, "escape"},
	{"escape u", func(t string) string { return prose(`"` + each(t, `\u%04X`) + `"`) }, "escape"},
	{"escape one u", func(t string) string { return prose(strings.ReplaceAll(t, "_", `\u005f`)) }, "escape"},
	{"escape u braces", func(t string) string { return prose(`"` + each(t, `\u{%x}`) + `"`) }, "escape"},
	{"escape U", func(t string) string { return prose(`"` + each(t, `\U%08x`) + `"`) }, "escape"},
	{"escape octal", func(t string) string { return prose(`"` + each(t, `\%03o`) + `"`) }, "escape"},
	{"escape octal echo", func(t string) string { return prose(`"` + each(t, `\0%03o`) + `"`) }, "escape"},
	{"escaped escapes", func(t string) string { return prose(`"` + each(t, `\\u%04x`) + `"`) }, "escape+escape"},
	{"escape newline before", func(t string) string { return prose(`"first\n` + t + `\n"`) }, "escape"},
	{"entity decimal", func(t string) string { return prose(each(t, "&#%d;")) }, "entity"},
	{"entity hex", func(t string) string { return prose(each(t, "&#x%x;")) }, "entity"},
	{"entity named", func(t string) string { return prose(strings.ReplaceAll(t, "_", "&lowbar;")) }, "entity"},
	{"entity quote", func(t string) string { return prose("value=&quot;" + t + "&quot;") }, "entity"},
	{"quoted-printable", func(t string) string {
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write([]byte("The key is here = and ünïcode and so on, long line: " + t + " and more text\n"))
		_ = w.Close()
		return b.String()
	}, "quoted-printable"},
	{"ansi inside", func(t string) string { return prose("\x1b[1m" + t[:10] + "\x1b[0;31m" + t[10:] + "\x1b[0m") }, "ansi"},
	{"ansi caret", func(t string) string { return prose("^[[1m" + t[:10] + "^[[0;31m" + t[10:] + "^[[0m") }, "ansi"},
	{"ansi escaped", func(t string) string { return prose(t[:10] + `\033[0;31m` + t[10:]) }, "escape+ansi"},
	{"ansi json", func(t string) string { return prose(t[:10] + `\u001b[0;31m` + t[10:]) }, "escape+ansi"},
	{"ansi link", func(t string) string { return prose(t[:10] + "\x1b]8;;http://x\x1b\\" + t[10:]) }, "ansi"},
	{"zero width", func(t string) string { return prose(t[:9] + "\u200b" + t[9:20] + "\u2060" + t[20:] + "\ufeff") }, "zero-width"},
	{"soft hyphen", func(t string) string { return prose(t[:9] + "\u00ad" + t[9:]) }, "zero-width"},
	{"log lines", func(t string) string {
		return "2026-03-19T18:32:11.1234567Z token is " + t[:14] + "\n2026-03-19T18:32:11.1234568Z " + t[14:] + "\n2026-03-19T18:32:12.1Z done\n"
	}, "timestamp"},
	{"log lines gitlab", func(t string) string {
		return "2026-03-19T18:32:11.123456Z 00O token is " + t[:14] + "\n2026-03-19T18:32:11.123456Z 00O+" + t[14:] + "\n"
	}, "timestamp"},
	{"log lines gh", func(t string) string {
		return "build\tRun make\t2026-03-19T18:32:11.123456Z token is " + t[:14] + "\nbuild\tRun make\t2026-03-19T18:32:11.123456Z " + t[14:] + "\n"
	}, "timestamp"},
	{"log lines jenkins", func(t string) string {
		return "[2026-03-19T18:32:11.123Z] token is " + t[:14] + "\n[2026-03-19T18:32:11.123Z] " + t[14:] + "\n"
	}, "timestamp"},
	{"log lines compose", func(t string) string { return "web_1  | token is " + t[:14] + "\nweb_1  | " + t[14:] + "\n" }, "timestamp"},
	{"log lines syslog", func(t string) string {
		return "Mar 19 18:32:11 token is " + t[:14] + "\nMar 19 18:32:11 " + t[14:] + "\n"
	}, "timestamp"},
	{"soft wrap", func(t string) string { return "the token is " + t[:20] + "\n  " + t[20:] + "\n" }, "wrap"},
	{"soft wrap quoted", func(t string) string { return "> token=\"" + t[:20] + "\n> " + t[20:] + "\"\n" }, "wrap"},
	{"soft wrap twice", func(t string) string { return "token=\"" + t[:15] + "\n" + t[15:30] + "\n" + t[30:] + "\";\n" }, "wrap"},
	{"continuation", func(t string) string { return "TOKEN=" + t[:20] + "\\\n" + t[20:] + "\n" }, "wrap"},
	{"continuation properties", func(t string) string { return "token = " + t[:20] + "\\\n      " + t[20:] + "\n" }, "wrap"},
	{"continuation powershell", func(t string) string { return "token = " + t[:20] + "`\r\n" + t[20:] + "\r\n" }, "wrap"},
	{"concat plus", func(t string) string { return `k = "` + t[:4] + `" + "` + t[4:] + `"` }, "concat"},
	{"concat plus tight", func(t string) string { return `k="` + t[:4] + `"+"` + t[4:] + `"` }, "concat"},
	{"concat plus lines", func(t string) string {
		return "k = \"" + t[:4] + "\"\n   + \"" + t[4:20] + "\" + // rest\n  '" + t[20:] + "'"
	}, "concat"},
	{"concat dot", func(t string) string { return `$k = '` + t[:4] + `' . '` + t[4:] + `';` }, "concat"},
	{"concat dots", func(t string) string { return `k = '` + t[:4] + `' .. '` + t[4:] + `'` }, "concat"},
	{"concat and", func(t string) string { return `k = "` + t[:4] + `" & "` + t[4:] + `"` }, "concat"},
	{"concat vb lines", func(t string) string { return `k = "` + t[:4] + "\" & _\r\n    \"" + t[4:] + `"` }, "concat"},
	{"concat sql", func(t string) string { return `k = '` + t[:4] + `' || '` + t[4:] + `'` }, "concat"},
	{"concat shift", func(t string) string { return `k << "` + t[:4] + `" << "` + t[4:] + `"` }, "concat"},
	{"concat elixir", func(t string) string { return `k = "` + t[:4] + `" <> "` + t[4:] + `"` }, "concat"},
	{"concat adjacent", func(t string) string { return `k = "` + t[:4] + `" "` + t[4:] + `"` }, "concat"},
	{"concat adjacent lines", func(t string) string { return "k = (\"" + t[:4] + "\"\n     f'" + t[4:] + "')" }, ""},
	{"concat adjacent shell", func(t string) string { return `K="` + t[:4] + `"'` + t[4:] + `'` }, "concat"},
	{"concat continuation", func(t string) string { return "k = \"" + t[:4] + "\" \\\n   \"" + t[4:] + `"` }, "concat"},
	{"concat join", func(t string) string { return `k = ["` + t[:4] + `", "` + t[4:20] + `", "` + t[20:] + `"].join("")` }, "concat"},
	{"concat join before", func(t string) string { return `k = ''.join(['` + t[:4] + `', '` + t[4:] + `'])` }, "concat"},
	{"concat go join", func(t string) string { return `k := strings.Join([]string{"` + t[:4] + `", "` + t[4:] + `"}, "")` }, "concat"},
	{"concat call", func(t string) string { return `SELECT CONCAT('` + t[:4] + `','` + t[4:] + `')` }, "concat"},
	{"concat sprintf", func(t string) string { return `fmt.Sprintf("%s%s", "` + t[:4] + `", "` + t[4:] + `")` }, "concat"},
	{"concat characters", func(t string) string { return "char k[] = {" + each(t, "'%c', ") + "0};" }, "concat"},
	{"concat append", func(t string) string { return `sb.append("` + t[:4] + `").append("` + t[4:] + `");` }, "concat"},
	{"concat statements", func(t string) string { return "k = \"" + t[:4] + "\";\nk += \"" + t[4:] + "\";\n" }, "concat"},
	{"concat shell statements", func(t string) string { return "K='" + t[:4] + "'\nK+='" + t[4:] + "'\n" }, "concat"},
	{"concat method", func(t string) string { return `k = "` + t[:4] + `".concat("` + t[4:] + `")` }, "concat"},
	{"base64 in an added file", func(t string) string {
		return "--- /dev/null\n+++ b/k\n@@ -0,0 +1,4 @@\n" + signed("+", folded(b64(strings.Repeat("some text ", 20)+t+strings.Repeat(" more", 20)), 64, "\n"))
	}, "base64"},
	{"base64 in a deleted file", func(t string) string {
		return "--- a/k\n+++ /dev/null\n@@ -1,4 +0,0 @@\n" + signed("-", folded(b64(strings.Repeat("some text ", 20)+t+strings.Repeat(" more", 20)), 76, "\n"))
	}, "base64"},
	{"base64 indented in an added block", func(t string) string {
		return "@@ -0,0 +1,4 @@\n+data: |\n" + signed("+    ", folded(b64(strings.Repeat("some text ", 20)+t+strings.Repeat(" more", 20)), 60, "\n"))
	}, "base64"},
	{"continuation in a diff", func(t string) string { return "@@ -1 +1,2 @@\n+TOKEN=" + t[:15] + "\\\n+" + t[15:] + "\n" }, ""},
	{"hexadecimal with its sign", func(t string) string { return prose("0x" + hex.EncodeToString([]byte(t))) }, "hex"},
	{"registry, UTF-16", func(t string) string {
		return "\"Token\"=hex(1):" + strings.Join(byteLines(utf16s(t+"\x00", le, false), 20), ",\\\r\n  ") + "\r\n"
	}, "array"},
	{"array of UTF-16, big endian", func(t string) string { return "{" + each(utf16s(t, be, false), "0x%02x, ") + "}\n" }, "array"},
	{"octal without zeros", func(t string) string { return "k = \"" + each(t, `\%o`) + "\"\n" }, ""},
	{"underscores of Markdown", func(t string) string { return "Use " + strings.Replace(t, "_", `\_`, 1) + " to log in\n" }, "escape"},
	{"partial lines of a container", func(t string) string {
		return "2026-03-19T18:32:11.1Z stdout P {\"a\": \"key " + t[:9] + "\n2026-03-19T18:32:11.2Z stdout P " + t[9:30] + "\n2026-03-19T18:32:11.3Z stdout F " + t[30:] + "\", \"n\": 1}\n"
	}, "record"},
	{"partial lines of docker", func(t string) string {
		return `{"log":"the key is ` + t[:9] + `","stream":"stdout"}` + "\n" + `{"log":"` + t[9:] + ` and more\n","stream":"stdout"}` + "\n"
	}, "record"},
	{"recorded terminal", func(t string) string {
		return `{"version": 2, "width": 80}` + "\n" + `[0.1, "o", "key: ` + t[:9] + `"]` + "\n" + `[0.25, "o", "` + t[9:] + `\r\n$ "]` + "\n"
	}, "record"},
	{"folded calendar", func(t string) string {
		return "BEGIN:VCALENDAR\r\nDESCRIPTION:take " + t[:9] + "\r\n " + t[9:] + " for it\r\nEND:VCALENDAR\r\n"
	}, "record"},
	{"folded directory entry", func(t string) string { return "dn: cn=a\ndescription: " + t[:9] + "\n " + t[9:] + " is it\n" }, "record"},
	{"concat of base64", func(t string) string { e := b64(t); return `k = "` + e[:22] + `" . "` + e[22:] + `"` }, ""},
}

// signed puts a sign before each line.
func signed(sign, s string) string { return sign + strings.ReplaceAll(s, "\n", "\n"+sign) + "\n" }

// byteLines lists the bytes of s, n to a line.
func byteLines(s string, n int) (lines []string) {
	for len(s) > 0 {
		line := s[:min(n, len(s))]
		lines = append(lines, strings.TrimSuffix(each(line, "%02x,"), ","))
		s = s[len(line):]
	}
	return lines
}

// found returns the encodings of the views of text that show want, and where in text it begins.
func found(text []byte, want string) (encodings []string, at int) {
	at = -1
	for v := range new(Decoder).Views(text, nil) {
		if i := bytes.Index(v.Text, []byte(want)); i >= 0 {
			encodings = append(encodings, strings.Join(v.Encoding, "+"))
			if at < 0 {
				at = v.At(i)
			}
		}
	}
	return encodings, at
}

func TestHidingPlaces(t *testing.T) {
	for _, h := range hidings {
		t.Run(h.name, func(t *testing.T) {
			for seed := range uint64(20) {
				token := newToken(rand.New(rand.NewPCG(seed, 1)))
				text := h.hide(token)
				if strings.Contains(text, token) && h.encoding != "percent" && h.encoding != "escape" && h.encoding != "entity" {
					t.Fatalf("seed %d: the token is not hidden", seed)
				}
				encodings, at := found([]byte(text), token)
				if len(encodings) == 0 {
					t.Fatalf("seed %d: not found in\n%q", seed, text)
				}
				if h.encoding != "" && !slices.Contains(encodings, h.encoding) {
					t.Errorf("seed %d: shown as %q, want %q", seed, encodings, h.encoding)
				}
				// Where the place is known to a byte, it must be that; in compressed or blob text it is near.
				lo, hi := hidden(h, token, text)
				if at < lo || at > hi {
					t.Errorf("seed %d: at %d, want %d to %d, in\n%q", seed, at, lo, hi, text)
				}
			}
		})
	}
}

// hidden returns the stretch of text in which the token's first byte lies: what differs when that byte is another one.
func hidden(h hiding, token, text string) (lo, hi int) {
	other := h.hide("Q" + token[1:])
	for lo < len(text) && lo < len(other) && text[lo] == other[lo] {
		lo++
	}
	if strings.Contains(h.name, "gzip") || strings.Contains(h.name, "zlib") || h.name == "hexdump" || h.name == "xxd" { // nothing better than the beginning is known
		return 0, lo
	}
	// The first byte's code can begin before the first bit that differs.
	const code = 24
	return max(lo-code, 0), lo + code
}

func TestJSONInJSON(t *testing.T) {
	inner := `{"api_key": "hunter2-hunter2", "url": "https://x"}`
	for _, text := range []string{jsoned(inner), jsoned(jsoned(inner)), jsoned(jsoned(jsoned(inner)))} {
		if encodings, _ := found([]byte("{\"log\": "+text+"}"), inner); len(encodings) == 0 {
			t.Errorf("not shown as it was meant: %s", text)
		}
	}
	if encodings, _ := found([]byte(`{"secret":"wJalr8XUtn\/FEMIK7MDENG\/bPx"}`), "wJalr8XUtn/FEMIK7MDENG/bPx"); len(encodings) == 0 {
		t.Error("escaped slashes stay in a value")
	}
}

func TestNoContextLost(t *testing.T) {
	text := "first\napi_" + "key: \"" + b64("hunter2-hunter2") + "\"  # comment\nlast\n"
	for v := range new(Decoder).Views([]byte(text), nil) {
		if bytes.Contains(v.Text, []byte("api_"+"key: \"hunter2-hunter2\"  # comment")) {
			return
		}
	}
	t.Error("the keyword before the value is lost")
}

func TestPlainTextHasNoViews(t *testing.T) {
	plain := []string{
		"", "a", "package main\n\nfunc main() {\n\tprintln(\"hello\", \"world\")\n}\n",
		"list:\n- apple\n- pear\n- banana2\n- cherry22\n",
		"boto3==1.2.3\nbotocore==1.24.3\nrequests==2.31.0\n",
		"the quick brown fox jumps over\nthelazydog and more\n",
		"SELECT 'a', 'b', 'c' FROM t WHERE x = '100%';\n",
		"\"a\",\"b\",\"c\"\n\"abc\",\"def\",\"ghi\"\n",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709\n8843d7f92416211de9ebb963ff4ce28125932878\n",
		"2026-03-19T18:32:11.12Z Run make2\n2026-03-19T18:32:12.12Z Done\n",
		"internal/scanners/secrets/decode_test.go:12: undefined: somethingElseEntirely\n",
		"PASSWORD=\nTOKEN=\nNAME=x\n",
		"import (\n\t\"crypto/hmac\"\n\t\"crypto/sha512\"\n\t\"encoding/base64\"\n)\n",
		"path.join(base, 'lib', 'python2.5', 'site-packages')\n",
		"raise NotImplemented('importerror' + 'NotImplementedError')\n",
		"<p><code>MAX_CONTENT_LENGTH</code> or <a href=\"x\">Request.max_content_length</a></p>\n",
		"example.org/mod v1.2.3 h1:uCdmnmatrKCgMBlM4rMuJZWOkPDqdbZPnrMXDY4gI68=\nexample.org/mod v1.2.4 h1:x\n",
		"regex = '(?:[\\x60'\"\\s;]|\\\\[nr]|$)'\n",
		"assert '&lt;p&gt;Hello World!' in html\n",
	}
	for _, text := range plain {
		for v := range new(Decoder).Views([]byte(text), nil) {
			t.Errorf("%q shows %q by %q", text, v.Text, v.Encoding)
		}
	}
}

// Rows of escapes are longer than a view, and are undone many at once: all of each is shown, and each byte of it stems from its own escape.
func TestRowsOfEscapes(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	text := []byte(`var file = "\x41`)          // a reason to look
	escapes := map[int]byte{len(text) - 4: 'A'} // by place
	for len(escapes) < 3*window {
		for range 1 + r.IntN(5000) {
			c := byte(r.IntN(256))
			escapes[len(text)] = c
			text = fmt.Appendf(text, []string{`\x%02x`, `\x%02X`}[r.IntN(2)], c)
		}
		switch r.IntN(3) {
		case 0:
			text = append(text, "some text"[:1+r.IntN(9)]...)
		case 1:
			escapes[len(text)] = '\n'
			text = append(text, `\n`...)
		case 2:
			escapes[len(text)] = 'A'
			text = append(text, `\u0041`...)
		}
	}
	text = append(text, "\"\n"...)
	missing := len(escapes)
	shown := map[int]bool{}
	for v := range new(Decoder).Views(text, nil) {
		if !slices.Equal(v.Encoding, []string{"escape"}) {
			continue
		}
		for i, c := range v.Text {
			at := v.At(i)
			want, is := escapes[at]
			if !is {
				want = text[at]
			}
			if c != want {
				t.Fatalf("byte %d is %q, but at %d is %.6q", i, c, at, text[at:])
			}
			if is && !shown[at] {
				shown[at] = true
				missing--
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d escapes are not shown", missing, len(escapes))
	}
}

// A view must not begin or end inside of a value: its half would be taken for another one.
func TestNoHalfValues(t *testing.T) {
	value := "\"" + strings.Repeat("aB3$", 60) + "\""
	text := value + strings.Repeat(" a", 80) + " k: " + b64("hunter2-hunter2") + strings.Repeat(" b", 80) + value
	for v := range new(Decoder).Views([]byte(text), nil) {
		if n := bytes.Count(v.Text, []byte("aB3$")); n%60 != 0 {
			t.Errorf("a view shows %d of 60 parts of a value", n)
		}
	}
}

// Padding that ends a line goes on in no other: what is behind it is no part of the value.
func TestPaddingIsNoSoftBreak(t *testing.T) {
	value := "hunter2-hunter2-hunter2-hunter2-hunter2-4" // which leaves one byte over
	text := "config: " + b64("k="+value) + "\nbye\n"
	if encodings, _ := found([]byte(text), value+"bye"); len(encodings) > 0 {
		t.Errorf("shown with the next line, by %q: %q", encodings, text)
	}
	if encodings, _ := found([]byte(text), value); len(encodings) == 0 {
		t.Error("not shown")
	}
}

func TestPrivateKeyInLog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 600)
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	pem := "-----BEGIN RSA PRIVATE" + " KEY-----\n" + folded(base64.StdEncoding.EncodeToString(body), 64, "\n") + "\n-----END RSA PRIVATE" + " KEY-----\n"
	for name, prefix := range map[string]string{
		"github": "2026-03-19T18:32:11.1234567Z ", "comment": "# ", "jenkins": "[18:32:11] ", "mail": "> ",
	} {
		log := prefix + strings.ReplaceAll(strings.TrimSuffix(pem, "\n"), "\n", "\n"+prefix) + "\n" + prefix + "done\n"
		if encodings, _ := found([]byte(log), strings.TrimSuffix(pem, "\n")); len(encodings) == 0 {
			t.Errorf("%s: the key is not shown whole", name)
		}
	}
}

// Lines that mean nothing together must not be looked at anew from each of them on: by the square, this would take long.
func TestRandomLines(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	for name, text := range map[string]string{
		"base64":     folded(base64.StdEncoding.EncodeToString(body), 76, "\n"),
		"base64 odd": folded(base64.StdEncoding.EncodeToString(body), 61, "\n"),
		"hex":        folded(hex.EncodeToString(body), 64, "\n"),
	} {
		for v := range new(Decoder).Views([]byte(text), nil) {
			if len(v.Text) > 2*window {
				t.Errorf("%s: a view of %d bytes", name, len(v.Text))
			}
		}
	}
}

func TestLargeTexts(t *testing.T) {
	token := newToken(rand.New(rand.NewPCG(7, 7)))
	filler := strings.Repeat("nothing of note in this line, which goes on and on\n", 40_000) // 2 MB
	for name, text := range map[string]string{
		"base64":       b64(filler + token + filler),
		"base64 lines": folded(b64(filler+token+filler), 76, "\n"),
		"hex":          hex.EncodeToString([]byte(filler + token)),
		"utf-16":       utf16s(filler+token+filler, le, true),
		"percent":      each(filler[:300_000]+token+filler[:300_000], "%%%02x"),
		"escape":       each(filler[:300_000]+token, `\x%02x`),
		"array":        each(filler[:300_000]+token, "%d, "),
		"gzip":         base64.StdEncoding.EncodeToString(zipped(filler+token+filler, false)),
	} {
		most := 0
		for v := range new(Decoder).Views([]byte(text), nil) {
			most = max(most, len(v.Text))
		}
		if encodings, _ := found([]byte(text), token); len(encodings) == 0 {
			t.Errorf("%s: not found", name)
		}
		if most > 4*window {
			t.Errorf("%s: a view of %d bytes", name, most)
		}
	}
}

// Hostile texts make much to do; the sum of all views stays linear.
func TestBounded(t *testing.T) {
	nested := "the innermost text is this"
	for range 12 {
		nested = b64(nested)
	}
	bomb := string(zipped(strings.Repeat("\x00", 64<<20), false))
	const n = 1 << 20
	for name, text := range map[string]string{
		"nested base64": nested,
		"bomb":          strings.Repeat(b64(bomb)+"\n", 20),
		"backslashes":   strings.Repeat(`\`, n),
		"quotes":        strings.Repeat(`"a"+`, n/4),
		"commas":        strings.Repeat(`"a",`, n/4),
		"newlines":      strings.Repeat("ab1cd2ef3gh4\n", n/12),
		"percent":       strings.Repeat("%25", n/3),
		"esc":           strings.Repeat("\x1b", n),
		"esc bracket":   strings.Repeat("\x1b[", n/2),
		"osc":           strings.Repeat("\x1b]", n/2),
		"numbers":       strings.Repeat("41 ", n/3),
		"zeros":         strings.Repeat("a\x00", n/2),
		"nul":           strings.Repeat("\x00", n),
		"a":             strings.Repeat("a", n),
		"slashes":       strings.Repeat("a/", n/2),
		"everything":    strings.Repeat(`"\u0041%41&#65;`+"\x1b[m"+`"+"QUFBQUFBQUFBQUFBQUFB"`+" 41 41 41\n", n/60),
		"begin":         strings.Repeat("-----BEGIN x-----\n", n/18),
		"ats":           strings.Repeat("&amp;", n/5),
	} {
		total := 0
		for v := range new(Decoder).Views([]byte(text), nil) {
			total += len(v.Text)
			_ = v.At(len(v.Text))
		}
		if most := 24*len(text) + 3*nestedFloor; total > most {
			t.Errorf("%s: %d bytes of views from %d", name, total, len(text))
		}
	}
}

func TestBreakingOff(t *testing.T) {
	text := []byte(strings.Repeat(prose(b64(newToken(rand.New(rand.NewPCG(1, 1)))))+strings.Repeat("some words \n", 200), 10))
	n := 0
	for range new(Decoder).Views(text, nil) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d views after breaking off", n)
	}
}

func FuzzViews(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, h := range hidings {
		f.Add([]byte(h.hide(newToken(r))))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		kept := bytes.Clone(text)
		for v := range new(Decoder).Views(text, nil) {
			if len(v.Encoding) == 0 {
				t.Fatal("a view without encoding")
			}
			for _, i := range []int{0, len(v.Text) / 2, len(v.Text)} {
				if at := v.At(i); at < 0 || at > len(text) {
					t.Fatalf("%q: offset %d of %d leads to %d of %d", v.Encoding, i, len(v.Text), at, len(text))
				}
			}
		}
		if !bytes.Equal(kept, text) {
			t.Fatal("the text was changed")
		}
	})
}

// BenchmarkEscapes reads a file that is embedded in a program.
func BenchmarkEscapes(b *testing.B) {
	text := []byte("var file = \"" + each(string(zipped(string(sourceText()), false)), `\x%02x`) + "\"\n")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var d Decoder
	for b.Loop() {
		for range d.Views(text, nil) { //nolint:revive // only the cost counts
		}
	}
}

// BenchmarkLists reads a lock file, whose values and keys look like the elements of lists.
func BenchmarkLists(b *testing.B) {
	var buf bytes.Buffer
	for n := range 5000 {
		fmt.Fprintf(&buf, "    \"node_modules/module-%d\": {\n      \"version\": \"7.%d.1\",\n      \"dev\": true,\n      \"license\": \"MIT\",\n      \"engines\": {\n        \"node\": \">=12\"\n      }\n    },\n", n, n%30)
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	var d Decoder
	for b.Loop() {
		for range d.Views(buf.Bytes(), nil) { //nolint:revive // only the cost counts
		}
	}
}

// sourceText resembles program text.
func sourceText() []byte {
	return bytes.Repeat([]byte(`func (s *server) handle(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return fmt.Errorf("method %s is not allowed here", r.Method)
	}
	// The body is read whole: it is bounded by the middleware, which see.
	body, err := io.ReadAll(r.Body)
	for i := 0; i < len(body) && err == nil; i++ {
		s.count[body[i]] += 1
	}
	return err
}

`), 2000)
}

func BenchmarkSource(b *testing.B) {
	text := sourceText()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var d Decoder
	for b.Loop() {
		for range d.Views(text, nil) {
			b.Fatal("a view of plain text")
		}
	}
}

// What is allocated is the iterator, once memory for the marks of a long text is there.
func TestNothingAllocated(t *testing.T) {
	text := sourceText()
	var d Decoder
	if n := testing.AllocsPerRun(5, func() {
		for range d.Views(text, nil) {
			t.Error("a view of plain text")
		}
	}); n > 2 {
		t.Errorf("%v allocations for text that hides nothing", n)
	}
}

func BenchmarkLog(b *testing.B) {
	var buf bytes.Buffer
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		fmt.Fprintf(&buf, "2026-03-19T18:%02d:11.1234567Z \x1b[32mok\x1b[0m  	github.com/some/module/package%d	%x coverage: %d.1%% of statements\n", r.IntN(60), r.IntN(1000), r.Uint64(), r.IntN(100))
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	var d Decoder
	for b.Loop() {
		for range d.Views(buf.Bytes(), nil) { //nolint:revive // only the cost counts
		}
	}
}

func BenchmarkBase64(b *testing.B) {
	text := []byte(folded(b64(string(sourceText())), 76, "\n"))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var d Decoder
	for b.Loop() {
		for range d.Views(text, nil) { //nolint:revive // only the cost counts
		}
	}
}
