package secrets

import (
	"bytes"
	"compress/gzip"
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
