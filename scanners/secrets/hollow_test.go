package secrets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHollow: what is remembered of a container changes nothing of what is found in it, or in another place.
func TestHollow(t *testing.T) {
	s := scanner(t, Options{})
	scan := func(path, text string) int {
		t.Helper()
		it := audit.Item{Kind: audit.KindFile, At: audit.Location{Path: path}}
		fs, gaps := s.Scan(it, zipped(t, text))
		if len(gaps) > 0 {
			t.Errorf("%s: %v", path, gaps)
		}
		return len(fs)
	}
	const quiet, netrc = "nothing to see here\n", "machine db.acme.org login deploy password x4Bq7Rt9Lm2Z\n"
	for range 2 {
		if n := scan("a.gz", quiet); n != 0 {
			t.Errorf("%d findings in nothing", n)
		}
	}
	if n := len(s.hollow.whole); n != 1 {
		t.Errorf("%d containers are remembered, want the one", n)
	}
	for range 2 {
		if n := scan("a.gz", netrc); n != 1 {
			t.Errorf("%d findings, want the password each time", n)
		}
	}
	if n := len(s.hollow.whole); n != 1 {
		t.Errorf("%d containers are remembered: one of them has a finding", n)
	}
	scan("b.gz", quiet)
	if n := len(s.hollow.whole); n != 2 {
		t.Errorf("%d containers are remembered: what is found can depend on the place", n)
	}
}

// TestHollowMember: a member is remembered beyond its container, for its own place, and only if there was nothing in it.
func TestHollowMember(t *testing.T) {
	s := scanner(t, Options{})
	packed := func(name, text string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, f := range []struct{ name, text string }{{name, text}, {"version", rand.Text()}} {
			member, err := w.Create(f.name)
			if err == nil {
				_, err = member.Write([]byte(f.text))
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
	quiet := strings.Repeat("nothing to see here, but long enough\n", 50)
	netrc := "machine db.acme.org login deploy password x4Bq7Rt9Lm2Z\n" + quiet
	for _, c := range []struct {
		name, text         string
		findings, remember int // one for each container without findings, and one for its long member
	}{
		{"a", quiet, 0, 2},
		{"a", quiet, 0, 3},
		{"b", quiet, 0, 5},
		{"netrc", netrc, 1, 5},
		{"netrc", netrc, 1, 5},
	} {
		findings, gaps := s.Scan(audit.Item{Kind: audit.KindFile, Object: "1"}, packed(c.name, c.text))
		if len(findings) != c.findings || len(gaps) > 0 || len(s.hollow.whole) != c.remember {
			t.Errorf("%s: %d findings, %d gaps, %d remembered, want %d, none, %d", c.name, len(findings), len(gaps), len(s.hollow.whole), c.findings, c.remember)
		}
	}
}

// TestLimits: what is held of a container follows from the memory of the run.
func TestLimits(t *testing.T) {
	for _, c := range []struct{ memory, held, member int64 }{{0, 48, 24}, {1 << 30, 48, 24}, {256 << 20, 32, 16}} {
		s := scanner(t, Options{Memory: audit.Memory(c.memory)})
		if int64(s.limits.Memory) != c.held<<20 || int64(s.limits.MemberBytes) != c.member<<20 {
			t.Errorf("of %d bytes: %d held, members of %d", c.memory, s.limits.Memory, s.limits.MemberBytes)
		}
	}
}
