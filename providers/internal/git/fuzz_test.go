package git

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789 blob 12\nrest"))
	f.Add([]byte("x missing\n"))
	f.Add([]byte("x blob -1\n"))
	f.Add([]byte("x blob 99999999999999999999\n"))
	f.Add([]byte("unterminated"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		for {
			o, err := readHeader(in)
			if err != nil {
				return
			}
			if o.size < 0 || o.kind == "" {
				t.Fatalf("%+v", o)
			}
		}
	})
}

func FuzzParseRaw(f *testing.F) {
	one, two, zero := strings.Repeat("1", 40), strings.Repeat("2", 40), strings.Repeat("0", 40)
	f.Add(":100644 100644 " + one + " " + two + " M")
	f.Add("::100644 100644 100644 " + one + " " + two + " " + one + " MM")
	f.Add(":000000 160000 " + zero + " " + two + " A")
	f.Add(":::::")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseRaw(s)
		if ok && (c.new == "" || c.new == c.old) {
			t.Fatalf("%q: %+v", s, c)
		}
	})
}

func FuzzParseTree(f *testing.F) {
	id := strings.Repeat("\x01", 20)
	f.Add([]byte("100644 a\x00" + id + "40000 b\x00" + id))
	f.Add([]byte("100644 \x00" + id))
	f.Add([]byte("40000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseTree(b, 20)
		n := 0
		for _, e := range entries {
			n += len(e.mode) + 1 + len(e.name) + 1 + 20
		}
		if n > len(b) || err == nil && n != len(b) {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
	})
}

func FuzzParseCommitAndTag(f *testing.F) {
	f.Add([]byte("tree 1\nparent 2\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1 +0000\ngpgsig x\n y\n\nmessage\nauthor Z <z> 2 +0000"))
	f.Add([]byte("object 1\ntype commit\ntag x\ntagger A <a> > 99999999999999999999 +9999\n\n"))
	f.Add([]byte("author <>  \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Repository{width: 40}
		c, g := r.parseCommit("x", b), parseTag("x", b)
		if y := c.at.Year(); y > 9999 || g.at.Year() > 9999 {
			t.Fatalf("year %d is beyond what a report can show", y)
		}
	})
}

func FuzzReferences(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add("ref: refs/heads/main\n", "# pack-refs with: peeled\n"+id+" refs/heads/main\n^"+id+"\n", "ref: refs/heads/x", id+" "+id+" A <a@b> 1 +0000\tm\n")
	f.Add(id, "", "ref: refs/heads/loose", "\x00")
	f.Fuzz(func(t *testing.T, head, packed, loose, log string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"HEAD": head, "packed-refs": packed, "refs/heads/loose": loose, "logs/HEAD": log, "FETCH_HEAD": log} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := &Repository{Layout: Layout{GitDir: dir, CommonDir: dir}, width: 40}
		out := r.references()
		for _, tip := range out.tips {
			if !r.isID(tip.id) {
				t.Fatalf("tip %+v names no object", tip)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("caf\xe9\x1b[31m\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(safeText(s)) {
			t.Fatalf("safeText(%q) = %q", s, safeText(s))
		}
		said := &tail{}
		_, _ = said.Write([]byte(s))
		if text := said.String(); !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\n\r\x00") || len(text) > 500 {
			t.Fatalf("message %q", text)
		}
	})
}
