package unzip

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var wide = Limits{Members: 1000, Bytes: 64 << 20}

// read returns the members of an archive as "name: text", and what went wrong.
func read(r io.Reader, l Limits) (members []string, problems []error) {
	for m, err := range Members(r, l) {
		if err != nil {
			problems = append(problems, err)
			continue
		}
		content, err := io.ReadAll(m)
		if len(content) > 50 {
			content = fmt.Appendf(content[:50:50], "… %d", len(content))
		}
		members = append(members, fmt.Sprintf("%s: %s", m.Name, content))
		if err != nil {
			problems = append(problems, fmt.Errorf("in %s: %w", m.Name, err))
		}
	}
	return members, problems
}

type file struct {
	zip.FileHeader
	text string
	raw  bool // sizes come first
}

func archiveOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		create := w.CreateHeader
		if f.raw {
			create = w.CreateRaw
			f.UncompressedSize64, f.CompressedSize64 = uint64(len(f.text)), uint64(len(f.text))
		}
		part, err := create(&f.FileHeader)
		if err == nil {
			_, err = io.WriteString(part, f.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func of(name, text string, method uint16) file {
	return file{zip.FileHeader{Name: name, Method: method}, text, false}
}

func TestMembers(t *testing.T) {
	long := strings.Repeat("a line of a log\n", 10_000)
	lying := archiveOf(t, file{zip.FileHeader{Name: "a", Method: zip.Store}, "text", true})
	lying[18] = 200 // packed bytes
	known := file{zip.FileHeader{Name: "known", Method: zip.Store}, "text", true}
	secret := file{zip.FileHeader{Name: "secret", Method: zip.Store, Flags: 1}, "text", true}
	for _, test := range []struct {
		name     string
		archive  []byte
		limits   Limits
		want     []string
		problems []string
	}{
		{"as GitHub writes them", archiveOf(t, of("0_build.txt", "one", zip.Deflate), of("build/1_Set up job.txt", long, zip.Deflate), of("x", "", zip.Deflate)), wide,
			[]string{"0_build.txt: one", "build/1_Set up job.txt: " + long[:50] + "… 160000", "x: "}, nil},
		{"not compressed", archiveOf(t, of("a", "one", zip.Store), of("b", "PK\x07\x08"+long+"PK\x07\x08 and PK", zip.Store), known), wide,
			[]string{"a: one", "b: PK\x07\x08" + long[:46] + "… 160015", "known: text"}, nil},
		{"folders", archiveOf(t, of("d/", "", zip.Store), of("d/a", "one", zip.Store)), wide, []string{"d/a: one"}, nil},
		{"empty", archiveOf(t), wide, nil, nil},
		{"nothing", nil, wide, nil, []string{"no zip archive"}},
		{"a page", []byte("<html>sign in to see this file, whatever it is</html>"), wide, nil, []string{"no zip archive"}},
		{"a picture", append([]byte("PK"), long...), wide, nil, []string{"no zip archive"}},
		{"encrypted", archiveOf(t, secret, known), wide, []string{"known: text"}, []string{"secret: encrypted"}},
		{"compressed in another way", archiveOf(t, file{zip.FileHeader{Name: "bz", Method: 12}, "BZh9", true}, known), wide, []string{"known: text"}, []string{"bz: compressed by method 12"}},
		{"too many", archiveOf(t, known, known, known), Limits{2, 100}, []string{"known: text", "known: text"}, []string{"more than is read of one archive: it has more than 2 members"}},
		{"a bomb", archiveOf(t, of("a", strings.Repeat("\x00", 10<<20), zip.Deflate), known), Limits{10, 1 << 20}, []string{"a: " + strings.Repeat("\x00", 50) + "…"},
			[]string{"in a: more than is read", "more than is read"}},
		{"a lying size", lying, wide, []string{"a: text"}, []string{"in a: unexpected EOF", "a: unexpected EOF"}},
		{"hostile names", archiveOf(t, of("../../etc/passwd", "x", zip.Store), of("\xff\x00", "x", zip.Store), of(strings.Repeat("n", 2000), "x", zip.Store)), wide,
			[]string{"../../etc/passwd: x", "\ufffd\x00: x", strings.Repeat("n", 1000) + ": x"}, nil},
	} {
		for how, r := range map[string]io.Reader{"whole": bytes.NewReader(test.archive), "slowly": iotest.OneByteReader(bytes.NewReader(test.archive))} {
			members, problems := read(r, test.limits)
			same := len(problems) == len(test.problems)
			for i := range problems {
				same = same && strings.HasPrefix(problems[i].Error(), test.problems[i])
			}
			if !slices.EqualFunc(members, test.want, strings.HasPrefix) || !same {
				t.Errorf("%s, %s:\n%.300q %v, want\n%.300q %q", test.name, how, members, problems, test.want, test.problems)
			}
		}
	}
}

// Wherever an archive breaks off, what came before is read and the rest is missed.
func TestTruncated(t *testing.T) {
	whole := archiveOf(t, of("a", "one", zip.Deflate), of("b", "two", zip.Store), file{zip.FileHeader{Name: "c", Method: zip.Store}, "three", true})
	end := bytes.Index(whole, []byte("PK\x01\x02"))
	for n := range end + 4 {
		members, problems := read(bytes.NewReader(whole[:n]), wide)
		if len(problems) == 0 {
			t.Fatalf("%d of %d bytes: %q and no error", n, end, members)
		}
		if e := (*MemberError)(nil); errors.As(problems[0], &e) {
			t.Fatalf("%d of %d bytes: %v", n, end, problems)
		}
	}
	if members, problems := read(bytes.NewReader(whole[:end+4]), wide); len(members) != 3 || len(problems) > 0 {
		t.Errorf("%q %v", members, problems)
	}
}

// Members that nobody reads are passed over, and reading may end at any of them.
func TestUnread(t *testing.T) {
	archive := archiveOf(t, of("a", "one", zip.Deflate), of("b", "two", zip.Store), of("c", "three", zip.Deflate))
	var names []string
	for m, err := range Members(bytes.NewReader(archive), wide) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
		if _, err := io.CopyN(io.Discard, m, 1); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Error(names)
	}
	for range Members(bytes.NewReader(archive), wide) { //nolint:errcheck // it ends at the first
		break
	}
}

// Wherever an archive breaks off for a reason, the reason is told.
func TestBroken(t *testing.T) {
	whole := archiveOf(t, of("a", "some text", zip.Deflate), of("b", "more", zip.Store), of("c", strings.Repeat("long ", 2000), zip.Deflate))
	why := errors.New("connection reset")
	for n := range whole {
		members, problems := read(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(why)), wide)
		if len(problems) == 0 && len(members) == 3 {
			continue // all that matters was there
		}
		if len(problems) == 0 || !errors.Is(problems[len(problems)-1], why) {
			t.Fatalf("after %d of %d bytes: %q, problems %v", n, len(whole), members, problems)
		}
	}
}

// What the directory of an archive tells is what comes.
func FuzzMembers(f *testing.F) {
	f.Add(archiveOf(f, of("a", "one", zip.Deflate), of("b", "two", zip.Store)))
	f.Add(archiveOf(f, file{zip.FileHeader{Name: "c", Method: zip.Store}, "three", true}))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		limits := Limits{Members: 100, Bytes: 1 << 20}
		members, problems := read(bytes.NewReader(archive), limits)
		again, _ := read(iotest.HalfReader(bytes.NewReader(archive)), limits)
		if !slices.Equal(members, again) {
			t.Fatalf("%q and %q", members, again)
		}
		if len(problems) > 2*len(members)+limits.Members+2 {
			t.Fatalf("%d members, %d problems", len(members), len(problems))
		}
	})
}
