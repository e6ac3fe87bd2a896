package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A file to put into archives.
type file struct{ name, text string }

func zipOf(files ...file) string {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		_, _ = io.WriteString(must(w.Create(f.name)), f.text)
	}
	_ = w.Close()
	return buf.String()
}

func zipMethod(method uint16, packed, text string) string {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f := must(w.CreateRaw(&zip.FileHeader{
		Name: "dir/f", Method: method, CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(text)), CRC32: crc32.ChecksumIEEE([]byte(text)),
	}))
	_, _ = io.WriteString(f, packed)
	_ = w.Close()
	return buf.String()
}

func tarOf(format tar.Format, files ...file) string {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o644, Format: format})
		_, _ = io.WriteString(w, f.text)
	}
	_ = w.Close()
	return buf.String()
}

// tarV7 has no magic.
func tarV7(name, text string) string {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", len(text), 0))
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h) + text + strings.Repeat("\x00", 512-len(text)%512+1024)
}

func gzipOf(text string) string {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func zlibOf(text string) string {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func xzOf(text string) string {
	var buf bytes.Buffer
	w := must(xz.WriterConfig{DictCap: 64 << 20}.NewWriter(&buf))
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func lzmaOf(text string) string {
	var buf bytes.Buffer
	w := must(lzma.NewWriter(&buf))
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func zstdOf(text string) string {
	var buf bytes.Buffer
	w := must(zstd.NewWriter(&buf))
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func lz4Of(text string) string {
	var buf bytes.Buffer
	w := lz4.NewWriter(&buf)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func snappyOf(text string) string {
	var buf bytes.Buffer
	w := s2.NewWriter(&buf, s2.WriterSnappyCompat())
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return buf.String()
}

func arOf(files ...file) string {
	out := "!<arch>\n"
	for _, f := range files {
		out += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", f.name+"/", 0, 0, 0, "100644", len(f.text)) + f.text
		if len(f.text)%2 == 1 {
			out += "\n"
		}
	}
	return out
}

func cpioOf(files ...file) string {
	out := ""
	pad := func(n int) string { return strings.Repeat("\x00", (4-n%4)%4) }
	for i, f := range append(files, file{"TRAILER!!!", ""}) {
		h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", i, 0o100644, 0, 0, 1, 0, len(f.text), 0, 0, 0, 0, len(f.name)+1, 0)
		out += h + f.name + "\x00" + pad(len(h)+len(f.name)+1) + f.text + pad(len(f.text))
	}
	return out
}

func cpioOldOf(files ...file) string {
	out := ""
	for i, f := range append(files, file{"TRAILER!!!", ""}) {
		out += fmt.Sprintf("070707%06o%06o%06o%06o%06o%06o%06o%011o%06o%011o", 0, i, 0o100644, 0, 0, 1, 0, 0, len(f.name)+1, len(f.text)) + f.name + "\x00" + f.text
	}
	return out
}

func rpmOf(payload, script string) string {
	header := func(store string, pad bool) string {
		h := "\x8e\xad\xe8\x01\x00\x00\x00\x00"
		h += string(binary.BigEndian.AppendUint32(nil, 1)) + string(binary.BigEndian.AppendUint32(nil, uint32(len(store))))
		h += strings.Repeat("\x00", 15) + "\x01" + store
		if pad {
			h += strings.Repeat("\x00", (8-len(store)%8)%8)
		}
		return h
	}
	return "\xed\xab\xee\xdb" + strings.Repeat("\x00", 92) + header("signature", true) + header(script, false) + payload
}

// A hiding place of a text in a container.
type hiding struct {
	name string
	pack func(text string) string
	path string // of the member that shows it, if the container is "x"
}

var hidings = []hiding{
	{"zip", func(t string) string { return zipOf(file{"a", "b"}, file{"dir/f", t}) }, "x!dir/f"},
	{"zip stored", func(t string) string { return zipMethod(0, t, t) }, "x!dir/f"},
	{"zip zstd", func(t string) string { return zipMethod(93, zstdOf(t), t) }, "x!dir/f"},
	{"zip xz", func(t string) string { return zipMethod(95, xzOf(t), t) }, "x!dir/f"},
	{"zip lzma", func(t string) string {
		l := lzmaOf(t)
		return zipMethod(14, "\x09\x14\x05\x00"+l[:5]+l[13:], t)
	}, "x!dir/f"},
	{"zip appended", func(t string) string { return "#!/bin/sh\nexec x\n" + zipOf(file{"dir/f", t}) }, "x!dir/f"},
	{"zip appended to a picture", func(t string) string { return "\x89PNG\r\n\x1a\n" + zipOf(file{"dir/f", t}) }, "x!dir/f"},
	{"zip with comment", func(t string) string {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		_ = w.SetComment(t)
		_, _ = io.WriteString(must(w.Create("f")), "text")
		_ = w.Close()
		return buf.String()
	}, "x"},
	{"zip truncated", func(t string) string {
		z := zipOf(file{"dir/f", t + strings.Repeat("more", 10)}, file{"g", "something"})
		return z[:len(z)-40]
	}, "x!dir/f"},
	{"zip file name", func(t string) string { return zipOf(file{"dir/" + t, "text"}) }, "x"},
	{"zip64", func(t string) string {
		return zip64Of("dir/f", t)
	}, "x!dir/f"},
	{"tar ustar", func(t string) string { return tarOf(tar.FormatUSTAR, file{"a", "b"}, file{"dir/f", t}) }, "x!dir/f"},
	{"tar pax", func(t string) string {
		return tarOf(tar.FormatPAX, file{"dir/" + strings.Repeat("ü", 100) + "/f", t})
	}, "x!dir/" + strings.Repeat("ü", 100) + "/f"},
	{"tar gnu", func(t string) string {
		return tarOf(tar.FormatGNU, file{strings.Repeat("d", 150) + "/f", t})
	}, "x!" + strings.Repeat("d", 150) + "/f"},
	{"tar v7", func(t string) string { return tarV7("dir/f", t) }, "x!dir/f"},
	{"tar truncated", func(t string) string {
		return tarOf(tar.FormatUSTAR, file{"dir/f", t}, file{"g", "text"})[:512*3]
	}, "x!dir/f"},
	{"tar broken later", func(t string) string {
		s := tarOf(tar.FormatUSTAR, file{"dir/f", "text"}, file{"g", "text"}, file{"h", t})
		return s[:1024+100] + "garbage" + s[1024+107:]
	}, "x"},
	{"gzip", gzipOf, "x!content"},
	{"gzip of two", func(t string) string { return gzipOf("first\n") + gzipOf(t) }, "x!content"},
	{"gzip truncated", func(t string) string { z := gzipOf(t); return z[:len(z)-9] }, "x!content"},
	{"xz", xzOf, "x!content"},
	{"xz of two", func(t string) string { return xzOf("first\n") + xzOf(t) }, "x!content"},
	{"lzma", lzmaOf, "x!content"},
	{"zstd", zstdOf, "x!content"},
	{"zstd after skippable", func(t string) string { return "\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstdOf(t) }, "x!content"},
	{"lz4", lz4Of, "x!content"},
	{"snappy", snappyOf, "x!content"},
	{"zlib", zlibOf, "x!content"},
	{"tar.gz", func(t string) string { return gzipOf(tarOf(tar.FormatUSTAR, file{"dir/f", t})) }, "x!dir/f"},
	{"tar.xz", func(t string) string { return xzOf(tarOf(tar.FormatUSTAR, file{"dir/f", t})) }, "x!dir/f"},
	{"tar.zst", func(t string) string { return zstdOf(tarOf(tar.FormatUSTAR, file{"dir/f", t})) }, "x!dir/f"},
	{"ar", func(t string) string { return arOf(file{"odd", "odd"}, file{"f", t}) }, "x!f"},
	{"deb", func(t string) string {
		return arOf(file{"debian-binary", "2.0\n"}, file{"control.tar.gz", gzipOf(tarOf(tar.FormatGNU, file{"./control", "Package: x"}))},
			file{"data.tar.xz", xzOf(tarOf(tar.FormatGNU, file{"./etc/f", t}))})
	}, "x!data.tar.xz!etc/f"},
	{"cpio", func(t string) string { return cpioOf(file{"a", "b"}, file{"./dir/f", t}) }, "x!dir/f"},
	{"cpio old", func(t string) string { return cpioOldOf(file{"a", "b"}, file{"./dir/f", t}) }, "x!dir/f"},
	{"rpm", func(t string) string { return rpmOf(gzipOf(cpioOf(file{"./etc/f", t})), "script") }, "x!etc/f"},
	{"rpm zstd", func(t string) string { return rpmOf(zstdOf(cpioOf(file{"./etc/f", t})), "script") }, "x!etc/f"},
	{"rpm script", func(t string) string { return rpmOf(gzipOf(cpioOf(file{"./etc/f", "x"})), t) }, "x!header"},
	{"image", func(t string) string {
		layer := tarOf(tar.FormatUSTAR, file{"app/.env", t})
		return tarOf(tar.FormatUSTAR, file{"manifest.json", "[]"}, file{"0a/layer.tar", layer}, file{"blobs/sha256/1b", gzipOf(layer)})
	}, "x!0a/layer.tar!app/.env"},
	{"jar in war", func(t string) string {
		return zipOf(file{"WEB-INF/lib/a.jar", zipOf(file{"app.properties", t})})
	}, "x!WEB-INF/lib/a.jar!app.properties"},
	{"eight deep", func(t string) string {
		for i := range 8 {
			t = []func(string) string{
				func(t string) string { return zipOf(file{"f", t}) },
				func(t string) string { return gzipOf(tarOf(tar.FormatUSTAR, file{"f", t})) },
			}[i%2](t)
		}
		return t
	}, "x!f!f!f!f!f!f!f!f"},
}

// zip64Of writes an archive whose directory has no sizes but in its zip64 fields, as for 4 GiB and more.
func zip64Of(name, text string) string {
	le := binary.LittleEndian
	var b []byte
	b = append(b, "PK\x03\x04\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = le.AppendUint32(b, crc32.ChecksumIEEE([]byte(text)))
	b = le.AppendUint32(le.AppendUint32(b, 0xffffffff), 0xffffffff)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(name))), 20)
	b = append(b, name...)
	b = le.AppendUint16(le.AppendUint16(b, 1), 16)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(text))), uint64(len(text)))
	b = append(b, text...)
	dir := len(b)
	b = append(b, "PK\x01\x02\x2d\x00\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = le.AppendUint32(b, crc32.ChecksumIEEE([]byte(text)))
	b = le.AppendUint32(le.AppendUint32(b, 0xffffffff), 0xffffffff)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(name))), 28)
	b = append(b, make([]byte, 10)...)
	b = le.AppendUint32(b, 0xffffffff)
	b = append(b, name...)
	b = le.AppendUint16(le.AppendUint16(b, 1), 24)
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, uint64(len(text))), uint64(len(text))), 0)
	end := len(b)
	b = append(b, "PK\x06\x06"...)
	b = le.AppendUint64(b, 44)
	b = append(b, "\x2d\x00\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = le.AppendUint64(le.AppendUint64(b, 1), 1)
	b = le.AppendUint64(le.AppendUint64(b, uint64(end-dir)), uint64(dir))
	b = append(b, "PK\x06\x07\x00\x00\x00\x00"...)
	b = le.AppendUint64(b, uint64(end))
	b = append(b, "\x01\x00\x00\x00PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...)
	return string(b)
}

// visited walks content and returns the paths of the members that hold want, and the problems.
func visited(t *testing.T, content, want string) (paths []string, problems []Problem) {
	t.Helper()
	kept := content
	problems = new(Unpacker).Walk("x", []byte(content), DefaultLimits(), func(m Member) {
		if strings.Contains(string(m.Content), want) {
			paths = append(paths, m.Path)
		}
		if !utf8.ValidString(m.Path) || strings.Contains(m.Path, "..") || strings.ContainsFunc(m.Path, func(r rune) bool { return r < ' ' }) {
			t.Errorf("path %q", m.Path)
		}
	})
	if kept != content {
		t.Error("the content was changed")
	}
	return paths, problems
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestHidingPlaces(t *testing.T) {
	for i, h := range hidings {
		t.Run(h.name, func(t *testing.T) {
			token := newToken(rand.New(rand.NewPCG(uint64(i), 1)))
			paths, problems := visited(t, h.pack("# settings of the service\ntoken = "+token+"\nlast = line\n"), token)
			if !contains(paths, h.path) {
				t.Errorf("found at %q, want %q; problems: %v", paths, h.path, problems)
			}
			damaged := strings.Contains(h.name, "truncated") || strings.Contains(h.name, "broken")
			if len(problems) > 0 != damaged {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

func TestNoContainer(t *testing.T) {
	for _, text := range []string{"", "P", "package main\n", "x^2 + y^2 = z^2\n", "BZh is a word", "0707 and so on, a number", "7zip is a program", strings.Repeat("text ", 300), strings.Repeat("\x00", 2000)} {
		n := 0
		problems := new(Unpacker).Walk("x", []byte(text), DefaultLimits(), func(Member) { n++ })
		if n > 0 || len(problems) > 0 {
			t.Errorf("%.20q: %d members, problems %v", text, n, problems)
		}
	}
	text := []byte(strings.Repeat("some text of a program\n", 1000))
	var u Unpacker
	if n := testing.AllocsPerRun(10, func() { u.Walk("x", text, DefaultLimits(), nil) }); n > 0 {
		t.Errorf("%v allocations for what is no container", n)
	}
}

func TestSealed(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		sealed  bool
	}{
		"zip": {zipOf(file{"f", "text"}), true}, "tar": {tarV7("f", "text"), true}, "gzip": {gzipOf("text"), true},
		"text": {"package main\n", false}, "pdf": {pdfOf("<<>>"), false}, "appended": {"#!/bin/sh\n" + zipOf(file{"f", "text"}), false},
		"notebook": {`{"nbformat": 4}`, false},
	} {
		if got := Sealed([]byte(c.content)); got != c.sealed {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestProblems(t *testing.T) {
	encrypted := []byte(zipOf(file{"f", "text"}))
	encrypted[6] |= 1
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	for name, c := range map[string]struct{ content, why string }{
		"encrypted zip":  {string(encrypted), "encrypted"},
		"corrupt gzip":   {gzipOf("text")[:15] + "garbage garbage", ""},
		"rar":            {"Rar!\x1a\x07\x01\x00 and so on", "not opened"},
		"deep":           {nest(12), "deeper"},
		"corrupt inside": {zipOf(file{"a.gz", "\x1f\x8b\x08\x00 nothing of gzip follows here"}), ""},
	} {
		_, problems := visited(t, c.content, "text")
		if len(problems) == 0 || !strings.Contains(fmt.Sprint(problems), c.why) {
			t.Errorf("%s: problems %v", name, problems)
		}
	}
}

func nest(n int) string {
	s := "text"
	for range n {
		s = zipOf(file{"f", s})
	}
	return s
}

func TestHostileNames(t *testing.T) {
	for _, name := range []string{"../../etc/passwd", "/abs", `..\..\win`, "a\x1b[31mb\nc", "\xff\xfe", strings.Repeat("n", 65000), "", ".", "a/../../b", "\u202egnp.exe"} {
		z := zipMethod(0, "text", "text")
		z = strings.ReplaceAll(z, "dir/f", "\x00\x00\x00\x00\x00")
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		if f, err := w.CreateRaw(&zip.FileHeader{Name: name, CompressedSize64: 4, UncompressedSize64: 4}); err == nil {
			_, _ = io.WriteString(f, "text")
		}
		_ = w.Close()
		for _, content := range []string{z, buf.String(), gzipOf(tarV7(strings.ReplaceAll(name, "\x00", "")[:min(len(name), 99)]+"f", "text"))} {
			new(Unpacker).Walk("x", []byte(content), DefaultLimits(), func(m Member) {
				if len(m.Path) > 2000 || strings.Contains(m.Path, "../") || strings.ContainsAny(m.Path, "\x1b\n\u202e") || !utf8.ValidString(m.Path) {
					t.Errorf("%.30q became %.60q", name, m.Path)
				}
			})
		}
	}
}

// TestGzipAsAStream: what is decompressed at once comes to the same as what the standard library reads as a stream, and takes as much off what may be
// read; so do trailers that lie, and what is no single member.
func TestGzipAsAStream(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var texts, packed []string
	for _, size := range []int{0, 1, 500, 5000, 300_000, 9 << 20} { // the last one is more than is held at once
		b := []byte("log of a build\n")
		for len(b) < size {
			b = fmt.Appendf(b, "%d: step %x\n", len(b), r.IntN(1<<16))
		}
		texts, packed = append(texts, string(b[:size])), append(packed, gzipOf(string(b[:size])))
	}
	trailer := func(sum, size int) func(string) string {
		return func(z string) string {
			b := []byte(z)
			end := b[len(b)-8:]
			binary.LittleEndian.PutUint32(end, binary.LittleEndian.Uint32(end)+uint32(sum))
			binary.LittleEndian.PutUint32(end[4:], binary.LittleEndian.Uint32(end[4:])+uint32(size))
			return string(b)
		}
	}
	for name, change := range map[string]func(string) string{
		"sound":           func(z string) string { return z },
		"two members":     func(z string) string { return z + gzipOf("second") },
		"two of a size":   func(z string) string { return z + z },
		"padding":         func(z string) string { return z + "\x00\x00\x00\x00\x00\x00\x00\x00\x00" },
		"its own trailer": func(z string) string { return z + z[len(z)-8:] },
		"truncated":       func(z string) string { return z[:len(z)-9] },
		"wrong sum":       trailer(1, 0),
		"one byte more":   trailer(0, 1),
		"one byte less":   trailer(0, -1),
		"much more":       trailer(0, 4<<20),
		"4 GiB less":      trailer(0, -1<<31),
	} {
		for i, text := range texts {
			z := change(packed[i])
			in, err := gzip.NewReader(strings.NewReader(z))
			if err != nil {
				t.Fatal(err)
			}
			want, wantErr := io.ReadAll(in)
			var got []byte
			w := &walker{Unpacker: new(Unpacker), lim: DefaultLimits(), left: 1 << 30, memory: DefaultLimits().Memory, visit: func(m Member) { got = append(got, m.Content...) }}
			w.open(kindGzip, place{"x", 1}, &input{whole: []byte(z)})
			if !bytes.Equal(got, want) || len(w.problems) > 0 != (wantErr != nil) || w.left != 1<<30-int64(len(want)) || w.memory != DefaultLimits().Memory {
				t.Errorf("%s, of %d bytes: %d bytes, problems %v, %d left; want %d bytes, %v", name, len(text), len(got), w.problems, w.left, len(want), wantErr)
			}
		}
	}
}

// TestZipAsAStream: a directory that lies about a size changes nothing of what is shown.
func TestZipAsAStream(t *testing.T) {
	text := strings.Repeat("some text of a program\n", 1000)
	sound := zipOf(file{"f", text})
	for _, size := range []int{0, 1, 100, len(text) - 1, len(text), len(text) + 1, 1 << 20, 1<<32 - 2} {
		b := []byte(sound)
		binary.LittleEndian.PutUint32(b[strings.LastIndex(sound, directoryMagic)+24:], uint32(size))
		paths, problems := visited(t, string(b), text)
		if len(paths) != 1 || len(problems) > 0 {
			t.Errorf("said to be %d bytes: shown %d times, %v", size, len(paths), problems)
		}
	}
}

// bombs expand to much more than they are.
func bombs() map[string]string {
	zeros := strings.Repeat("\x00", 16<<20)
	huge := gzipOf(zeros)
	manyGzip := strings.Repeat(huge, 100)
	r := map[string]string{
		"gzip":           manyGzip,
		"gzip of gzip":   gzipOf(manyGzip),
		"xz":             strings.Repeat(xzOf(zeros), 100),
		"zstd":           strings.Repeat(zstdOf(zeros), 1000),
		"zip of zips":    zipBomb(4, 16),
		"many members":   zipOfMany(300_000),
		"overlapping":    overlapping(2000, zeros),
		"huge tar size":  hugeTar(),
		"sparse tar":     sparseTar(),
		"deep gzip":      deepGzip(60),
		"tiny tars":      gzipOf(strings.Repeat(tarV7("f", "x")[:1024], 100_000)),
		"pdf":            pdfOf(slices.Repeat([]string{pdfStream("/Filter /FlateDecode", zlibOf("BT ("+zeros+") Tj ET"))}, 500)...),
		"docx":           repeatDirectory(zipOf(file{"[Content_Types].xml", "<x>" + zeros[:7<<20] + "</x>"}), 500),
		"overlap empty":  repeatDirectory(zipMethod(8, strings.Repeat("\x00\x00\x00\xff\xff", 20_000)+"\x03\x00", ""), 2000), // blocks of nothing
		"overlap stored": overlappingStored(20_000, strings.Repeat("stored ", 1<<20)),
	}
	return r
}

func deepGzip(n int) string {
	s := "text"
	for range n {
		s = gzipOf(s)
	}
	return s
}

func zipBomb(depth, width int) string {
	s := strings.Repeat("\x00", 8<<20)
	for range depth {
		var files []file
		for i := range width {
			files = append(files, file{fmt.Sprint(i), s})
		}
		s = zipOf(files...)
	}
	return s
}

func zipOfMany(n int) string {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range n {
		f := must(w.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i), CompressedSize64: 1, UncompressedSize64: 1}))
		_, _ = io.WriteString(f, "x")
	}
	_ = w.Close()
	return buf.String()
}

// overlapping returns a zip whose n entries all are the same packed bytes.
func overlapping(n int, text string) string {
	one := zipOf(file{"f", text})
	return repeatDirectory(one, n)
}

func overlappingStored(n int, text string) string {
	return repeatDirectory(zipMethod(0, text, text), n)
}

func repeatDirectory(one string, n int) string {
	dir, end := strings.LastIndex(one, "PK\x01\x02"), strings.LastIndex(one, "PK\x05\x06")
	d := strings.Repeat(one[dir:end], n)
	e := []byte(one[end:])
	binary.LittleEndian.PutUint32(e[12:], uint32(len(d)))
	return one[:dir] + d + string(e)
}

func hugeTar() string {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Name: "f", Size: 1 << 50, Mode: 0o644, Format: tar.FormatGNU})
	_, _ = io.WriteString(w, "text")
	return buf.String() + strings.Repeat("x", 4096)
}

// sparseTar is a GNU sparse file of 8 EiB in 512 bytes.
func sparseTar() string {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	_ = w.WriteHeader(&tar.Header{Name: "f", Size: 0, Mode: 0o644, Format: tar.FormatGNU})
	_ = w.Close()
	h := buf.Bytes()
	h[156] = 'S'
	copy(h[386:], "00000000000\x0000000000000\x00")
	copy(h[483:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"[:12])
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h)
}

func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, content := range bombs() {
		t.Run(name, func(t *testing.T) {
			var total int64
			members := 0
			runtime.GC()
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			peak := uint64(0)
			problems := new(Unpacker).Walk("x", []byte(content), DefaultLimits(), func(m Member) {
				total += int64(len(m.Content))
				if members++; members%1000 == 1 || len(m.Content) > 1<<19 && members%16 == 1 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					peak = max(peak, now.HeapAlloc)
				}
			})
			lim := DefaultLimits()
			if most := lim.RatioFloor + lim.Ratio*int64(len(content)); total > 2*min(most, lim.TotalBytes) || members > lim.Members+1000 {
				t.Errorf("%d members of %d bytes from %d", members, total, len(content))
			}
			if peak > before.HeapAlloc+uint64(len(content))+64<<20 {
				t.Errorf("%d MiB more memory", (peak-before.HeapAlloc)>>20)
			}
			if len(problems) == 0 {
				t.Error("no problem told")
			}
			t.Logf("%d bytes: %d members, %d MiB, problems %.200v", len(content), members, total>>20, problems)
		})
	}
}

// What comes after a bomb is found all the same.
func TestAfterABomb(t *testing.T) {
	token := newToken(rand.New(rand.NewPCG(5, 5)))
	bomb := strings.Repeat(gzipOf(strings.Repeat("\x00", 16<<20)), 50)
	if paths, _ := visited(t, zipOf(file{"a.gz", bomb}, file{"b.gz", bomb}, file{"c.txt", token}), token); !contains(paths, "x!c.txt") {
		t.Errorf("found at %q", paths)
	}
}

// A member that does not fit into memory is shown in windows that overlap.
func TestLargeMember(t *testing.T) {
	token := newToken(rand.New(rand.NewPCG(6, 6)))
	r := rand.New(rand.NewPCG(6, 7))
	noise := make([]byte, 40<<20)
	for i := range noise {
		noise[i] = "abcdefghijklmnop"[r.IntN(16)]
	}
	for _, at := range []int{100, window - 20, 23<<20 + 100, DefaultLimits().MemberBytes - 10, len(noise) - 50} {
		copy(noise[at:], token)
		var buf bytes.Buffer
		w := must(gzip.NewWriterLevel(&buf, gzip.NoCompression)) // packing that much well takes long
		_, _ = w.Write(noise)
		_ = w.Close()
		paths, problems := visited(t, buf.String(), token)
		if !contains(paths, "x!content") || len(problems) > 0 {
			t.Errorf("at %d: found at %q, problems %v", at, paths, problems)
		}
		copy(noise[at:], strings.Repeat("a", len(token)))
	}
}

// tool skips a test that needs a program of the machine.
func tool(t *testing.T, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: install %s", name, pkg)
		}
		t.Skipf("%s is missing: install %s", name, pkg)
	}
}

// What the tools themselves write.
func TestToolsOutput(t *testing.T) {
	for _, c := range []struct{ tool, pkg, script, path string }{
		{"bzip2", "bzip2", "bzip2 -k f && mv f.bz2 out", "x!content"},
		{"xz", "xz-utils", "xz -9e -k f && mv f.xz out", "x!content"},
		{"xz", "xz-utils", "xz --x86 --lzma2=dict=64MiB -k f && mv f.xz out", "x!content"},
		{"xz", "xz-utils", "xz --format=lzma -k f && mv f.lzma out", "x!content"},
		{"zstd", "zstd", "zstd -q --ultra -22 --long=27 f -o out", "x!content"},
		{"lz4", "lz4", "lz4 -q f out", "x!content"},
		{"zip", "zip", "zip -q out.zip f && mv out.zip out", "x!f"},
		{"zip", "zip", "cat f | zip -q - - > out", "x!-"},
		{"tar", "tar", "tar --format=v7 -cf out f", "x!f"},
		{"tar", "tar", "tar --format=pax -cJf out f", "x!f"},
		{"tar", "tar", "truncate -s 10M s && cat f >> s && tar -cSf out s", "x!s"},
		{"tar", "tar", "truncate -s 10M s && cat f >> s && tar --format=posix -cSf out s", "x!s"},
		{"dpkg-deb", "dpkg", "mkdir -p p/DEBIAN p/etc && cp f p/etc && printf 'Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: x\\nDescription: x\\n' > p/DEBIAN/control && dpkg-deb -b p out >/dev/null", "x!data.tar.xz!etc/f"},
	} {
		t.Run(c.script, func(t *testing.T) {
			tool(t, c.tool, c.pkg)
			dir := t.TempDir()
			token := newToken(rand.New(rand.NewPCG(9, 9)))
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte("token = "+token+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", c.script)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			content := must(os.ReadFile(filepath.Join(dir, "out")))
			if paths, problems := visited(t, string(content), token); len(paths) == 0 || len(problems) > 0 ||
				!contains(paths, c.path) && !contains(paths, strings.Replace(c.path, ".xz", ".zst", 1)) {
				t.Errorf("found at %q, want %q; problems %v", paths, c.path, problems)
			}
		})
	}
}

func FuzzWalk(f *testing.F) {
	for i, h := range hidings {
		f.Add([]byte(h.pack(newToken(rand.New(rand.NewPCG(uint64(i), 2))))))
	}
	lim := DefaultLimits()
	lim.TotalBytes = 4 << 20
	f.Fuzz(func(t *testing.T, content []byte) {
		var total int
		new(Unpacker).Walk("x", content, lim, func(m Member) {
			total += len(m.Content)
			if m.Depth < 1 || m.Depth > lim.Depth+1 || !utf8.ValidString(m.Path) {
				t.Fatalf("member %q at depth %d", m.Path, m.Depth)
			}
		})
		if int64(total) > 4*lim.TotalBytes+int64(len(content)) {
			t.Fatalf("%d bytes", total)
		}
	})
}

// FuzzGzip gives the same bytes in memory and as a stream, which are read in different ways.
func FuzzGzip(f *testing.F) {
	for _, text := range []string{"", "a", strings.Repeat("log of a build\n", 100), zlibOf("some text")} {
		f.Add([]byte(gzipOf(text)))
		f.Add([]byte(gzipOf(text) + gzipOf("second")))
	}
	lim := DefaultLimits()
	lim.TotalBytes = 4 << 20
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return
		}
		if text, _ := io.ReadAll(io.LimitReader(r, lim.TotalBytes)); sniff(text) != notContainer {
			return // what is inside is looked at in different ways, too
		}
		walk := func(in *input) (seen []byte, problems int, left int64) {
			w := &walker{Unpacker: new(Unpacker), lim: lim, left: lim.TotalBytes, memory: lim.Memory}
			w.visit = func(m Member) { seen = append(append(append(seen, m.Path...), 0), m.Content...) }
			w.open(kindGzip, place{"x", 1}, in)
			return seen, len(w.problems), w.left
		}
		seen, problems, left := walk(&input{whole: content})
		want, wantProblems, wantLeft := walk(&input{r: bytes.NewReader(content)})
		if !bytes.Equal(seen, want) || problems != wantProblems || left != wantLeft {
			t.Fatalf("%d bytes, %d problems, %d left; as a stream %d, %d, %d", len(seen), problems, left, len(want), wantProblems, wantLeft)
		}
	})
}

func BenchmarkNoContainer(b *testing.B) {
	text := []byte(strings.Repeat("some text of a program\n", 1000))
	b.ReportAllocs()
	for b.Loop() {
		new(Unpacker).Walk("x", text, DefaultLimits(), nil)
	}
}

func BenchmarkImage(b *testing.B) {
	text := strings.Repeat("some text of a program that is longer\n", 300)
	var files []file
	for i := range 1000 {
		files = append(files, file{fmt.Sprint(i), text})
	}
	content := []byte(tarOf(tar.FormatUSTAR, file{"layer", gzipOf(tarOf(tar.FormatUSTAR, files...))}))
	b.SetBytes(int64(len(text) * 1000))
	b.ReportAllocs()
	for b.Loop() {
		new(Unpacker).Walk("x", content, DefaultLimits(), func(Member) {})
	}
}
