package pack

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// coming is a store of a pack of which nothing has come yet.
func coming(tb testing.TB, o Options) (*Arrival, *Store) {
	tb.Helper()
	a, err := NewArrival(filepath.Join(tb.TempDir(), "x.pack"))
	if err != nil {
		tb.Fatal(err)
	}
	s := Receive(a, o)
	tb.Cleanup(s.Close)
	return a, s
}

// received is a store of a pack that has come.
func received(tb testing.TB, pack []byte, o Options) *Store {
	tb.Helper()
	a, s := coming(tb, o)
	_, err := a.Write(pack)
	a.End(err)
	return s
}

// TestArrival lists packs while they come, with room for all bases, for some and for none.
func TestArrival(t *testing.T) {
	for _, args := range [][]string{nil, {"--object-format=sha256"}} {
		for _, offsets := range []string{"true", "false"} {
			size := idSizeOf(args)
			r := repository(t, args...)
			r.Git("-c", "repack.useDeltaBaseOffset="+offsets, "repack", "-adfq", "--depth=50", "--window=20")
			want := byGit(t, r.Dir, size)
			all, err := os.ReadFile(onlyPack(r))
			if err != nil {
				t.Fatal(err)
			}
			for _, held := range []int64{MaxHeld, 100_000, 1} {
				t.Run(fmt.Sprint(size, offsets, held), func(t *testing.T) {
					o := options(size)
					o.Held = held
					a, s := coming(t, o)
					go func() {
						for rest := all; len(rest) > 0; {
							n := min(len(rest), 1+rand.IntN(70_000))
							if _, err := a.Write(rest[:n]); err != nil {
								t.Error(err)
							}
							rest = rest[n:]
						}
						a.End(nil)
					}()
					same(t, summarize(t, s), want, size)
					same(t, summarize(t, s), want, size) // by what was learnt
					for id, w := range want {
						kind, content, err := s.Read(t.Context(), id)
						if got := line(kind.String(), content); err != nil || got != w {
							t.Errorf("%s reads as %q, %v; want %q", id.Text(size), got, err, w)
						}
					}
				})
			}
		}
	}
}

// TestArrivalListsAtOnce has an object that came while nothing else does.
func TestArrivalListsAtOnce(t *testing.T) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: offsetDelta, data: delta("one", "one two")}, entryFor{kind: Blob, data: text(1, 1, 1000)})
	a, s := coming(t, options(20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next, stop := iter.Pull(s.Objects(ctx))
	defer stop()
	if _, err := a.Write(pack[:2000]); err != nil { // the second is told to be there by what may belong to it
		t.Fatal(err)
	}
	for _, want := range []string{"one", "one two"} {
		o, _ := next()
		if string(o.Content) != want {
			t.Fatalf("%q, %v, want %q", o.Content, o.Err, want)
		}
		o.Done()
	}
	cancel()
	if o, more := next(); more {
		t.Errorf("%+v after the end", o)
	}
}

// TestArrivalBreaks lists what came of a pack, whose sender tells why there is no more.
func TestArrivalBreaks(t *testing.T) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: Blob, data: "two"}, entryFor{kind: Blob, data: text(1, 1, 3)})
	cause := errors.New("the line is cut")
	for cut := range pack {
		a, s := coming(t, options(20))
		if _, err := a.Write(pack[:cut]); err != nil {
			t.Fatal(err)
		}
		a.End(cause)
		got := list(t, s)
		for id, content := range got {
			if id != hashed(looseHeader(Blob, int64(len(content))), []byte(content), 20) {
				t.Errorf("cut at %d: %s is %q", cut, id.Text(20), content)
			}
		}
		if whole := cut >= len(pack)-20; len(s.Problems()) > 0 || whole && len(got) != 3 {
			t.Errorf("cut at %d: %d objects, problems %v", cut, len(got), s.Problems())
		}
		if _, _, err := s.Read(t.Context(), named("x")); !errors.Is(err, cause) {
			t.Errorf("cut at %d: reading: %v", cut, err)
		}
		s.Close()
	}
}

// TestArrivalBig has objects that are not made as they come: those too large for it, and those above the limit.
func TestArrivalBig(t *testing.T) {
	big := strings.Repeat(text(1, 1, 1000), bigContent/20_000)
	huge := big + big
	pack, _ := write(entryFor{kind: Blob, data: big}, entryFor{kind: offsetDelta, data: delta(big, big+"more")}, entryFor{kind: Blob, data: huge})
	o := options(20)
	o.Limit = int64(len(huge) - 1)
	got := summarize(t, received(t, pack, o))
	want := summary{}
	for _, content := range []string{big, big + "more", huge} {
		id := hashed(looseHeader(Blob, int64(len(content))), []byte(content), 20)
		if want[id] = line("blob", []byte(content)); len(content) == len(huge) {
			want[id] = fmt.Sprint("blob ", len(huge), " too large")
		}
	}
	same(t, got, want, 20)
}

// TestArrivalInLoop reads other objects, before all are listed.
func TestArrivalInLoop(t *testing.T) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: Blob, data: "two"})
	s := received(t, pack, options(20))
	for o := range s.Objects(t.Context()) {
		o.Done()
		for _, content := range []string{"one", "two"} {
			_, got, err := s.Read(t.Context(), hashed(looseHeader(Blob, 3), []byte(content), 20))
			if err != nil || string(got) != content {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
}

// FuzzArrival reads packs in two ways: with room for all that is built on, and with none, so that all deltas are left for later.
func FuzzArrival(f *testing.F) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: offsetDelta, data: delta("one", "one two")},
		entryFor{kind: offsetDelta, base: 1, data: delta("one two", "one two three")}, entryFor{kind: Tree, data: "a tree"}, entryFor{kind: Blob, data: ""})
	f.Add(pack)
	f.Add(pack[:len(pack)-30])
	f.Fuzz(func(t *testing.T, pack []byte) {
		var seen []map[ID]string
		for _, held := range []int64{MaxHeld, 1} {
			s := received(t, pack, Options{IDSize: 20, Limit: 1 << 16, Lend: 1 << 20, Held: held})
			s.growth = 1 << 20
			got := map[ID]string{}
			for o := range s.Objects(t.Context()) {
				switch {
				case errors.Is(o.Err, ErrExcessive):
					t.Skip("which objects are left out depends on the order")
				case o.Content != nil:
					got[o.ID] = string(o.Content)
					o.Done()
				default:
					got[o.ID] = ""
				}
			}
			seen = append(seen, got)
		}
		if !maps.Equal(seen[0], seen[1]) {
			t.Fatalf("%q\n%q", seen[0], seen[1])
		}
	})
}
