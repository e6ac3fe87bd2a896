package pack

import (
	"path/filepath"
	"testing"
)

// received is a store of a pack that has come.
func received(tb testing.TB, pack []byte, o Options) *Store {
	tb.Helper()
	a, err := NewArrival(filepath.Join(tb.TempDir(), "x.pack"))
	if err != nil {
		tb.Fatal(err)
	}
	s := Receive(a, o)
	tb.Cleanup(s.Close)
	_, err = a.Write(pack)
	a.End(err)
	return s
}
