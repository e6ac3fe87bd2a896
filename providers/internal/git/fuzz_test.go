package git

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
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

func FuzzTrees(f *testing.F) {
	id := strings.Repeat("\x01", 20)
	f.Add([]byte("100644 a\x00"+id+"40000 b\x00"+id), []byte("100644 a\x00"+id))
	f.Add([]byte("100644 b\x00"+id+"100644 a\x00"+id+"160000 a\x00"+id), []byte("100644 \x00"+id))
	f.Add([]byte("40000"), []byte("40000 d\x00"+strings.Repeat("b", 20)))
	f.Fuzz(func(t *testing.T, new, old []byte) {
		tr := newTrees(20, maxTrees)
		a, b := strings.Repeat("a", 40), strings.Repeat("62", 20)
		tr.add(a, new)
		parsed := slices.Clone(tr.parsed)
		tr.add(b, old)
		parsed = append(parsed, tr.parsed...)
		list, whole := tr.list(nil, tr.objectOf(a))
		size := 0
		for i, e := range list {
			size += len(tr.nameOf(tr.entry[e].name)) + len("0 \x00") + 20
			if i > 0 && tr.order(list[i-1], e) > 0 {
				t.Fatal("not sorted")
			}
		}
		if size > len(new) || len(new) > 0 && len(list) == 0 && whole {
			t.Fatalf("%d entries in %d bytes", len(list), len(new))
		}
		// Whatever is new must be listed, at a path that leads back to it.
		want := map[change]bool{}
		had, _ := tr.list(nil, tr.objectOf(b))
		if !slices.Equal(append(slices.Clone(list), had...), parsed) {
			t.Fatalf("kept as %v and %v, read as %v", list, had, parsed)
		}
		for _, e := range list {
			if te := tr.entry[e]; te.kind == file && !slices.Contains(had, e) {
				want[change{path: tr.in(0, te.name), new: te.object}] = true
			}
		}
		w := &walk{trees: tr, ctx: t.Context(), do: func(c change) error {
			if tr.path[c.path].dir == 0 {
				delete(want, change{path: c.path, new: c.new})
			}
			return nil
		}}
		if _, err := w.compare(tr.objectOf(a), tr.objectOf(b)); err != nil {
			t.Fatal(err)
		}
		if len(want) > 0 {
			t.Fatalf("not listed: %v", want)
		}
	})
}

func FuzzParseCommitAndTag(f *testing.F) {
	f.Add([]byte("tree 1\nparent 2\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1 +0000\ngpgsig x\n y\n\nmessage\nauthor Z <z> 2 +0000"))
	f.Add([]byte("object 1\ntype commit\ntag x\ntagger A <a> > 99999999999999999999 +9999\n\n"))
	f.Add([]byte("author <>  \n"))
	f.Add([]byte("tree " + strings.Repeat("a", 40) + "\nparent " + strings.Repeat("b", 40) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &scan{Repository: &Repository{width: 40}, trees: newTrees(20, maxTrees)}
		c, g := s.parseCommit(strings.Repeat("c", 40), b), parseTag("x", b)
		if c.at.time().Year() > 9999 || g.at.time().Year() > 9999 {
			t.Fatal("a year beyond what a report can show")
		}
		if len(c.parents) > len(b)/len("parent ") || int(c.object) >= len(s.trees.about) {
			t.Fatalf("%+v", c)
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
