package pack

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An entryFor is an entry of a pack that a test writes.
type entryFor struct {
	kind Kind
	base int    // of an offsetDelta: which entry, counted from 0
	back int64  // or how many bytes back
	ref  ID     // of an idDelta
	data string // what is compressed
	size int64  // what the header says, if not 0
	id   ID     // what the index says; made from nothing if zero
}

// named is an id that stands for nothing.
func named(s string) (id ID) {
	sum := sha1.Sum([]byte(s))
	copy(id[:], sum[:])
	return id
}

func compress(data string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(data))
	_ = w.Close()
	return b.Bytes()
}

// write makes a pack and its index.
func write(entries ...entryFor) (pack []byte, x *index) {
	pack = []byte("PACK\x00\x00\x00\x02")
	pack = binary.BigEndian.AppendUint32(pack, uint32(len(entries)))
	var offsets []int64
	var list []found
	for i, e := range entries {
		at := int64(len(pack))
		offsets = append(offsets, at)
		size := uint64(len(e.data))
		if e.size != 0 {
			size = uint64(e.size)
		}
		c := byte(e.kind)<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			pack = append(pack, c|0x80)
			c = byte(size & 0x7f)
		}
		pack = append(pack, c)
		switch e.kind {
		case offsetDelta:
			back := e.back
			if back == 0 {
				back = at - offsets[e.base]
			}
			digits := []byte{byte(back & 0x7f)}
			for back >>= 7; back > 0; back >>= 7 {
				back--
				digits = append(digits, byte(back&0x7f)|0x80)
			}
			slices.Reverse(digits)
			pack = append(pack, digits...)
		case idDelta:
			pack = append(pack, e.ref[:20]...)
		}
		pack = append(pack, compress(e.data)...)
		if e.id == (ID{}) {
			e.id = named(fmt.Sprint(i))
		}
		list = append(list, found{e.id, at})
	}
	sum := sha1.Sum(pack)
	pack = append(pack, sum[:]...)
	x = makeIndex(list, 20)
	copy(x.b[len(x.b)-40:], sum[:])
	return pack, x
}

// delta is one that makes target of base, by one copy of as much as they have in common and an insertion.
func delta(base, target string) string {
	n := 0
	for n < len(base) && n < len(target) && n < 0xffffff && base[n] == target[n] {
		n++
	}
	b := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(base))), uint64(len(target)))
	if n > 0 {
		b = append(b, 0xf0, byte(n), byte(n>>8), byte(n>>16))
	}
	for rest := target[n:]; rest != ""; {
		m := min(len(rest), 127)
		b = append(append(b, byte(m)), rest[:m]...)
		rest = rest[m:]
	}
	return string(b)
}

// store opens what write made.
func store(tb testing.TB, o Options, pack []byte, x *index) *Store {
	tb.Helper()
	dir := tb.TempDir()
	err := os.Mkdir(filepath.Join(dir, "pack"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pack", "x.pack"), pack, 0o600)
	}
	if err == nil && x != nil {
		err = os.WriteFile(filepath.Join(dir, "pack", "x.idx"), x.b, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s, err := Open(tb.Context(), []string{dir}, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// list gives what each object came out as: its content, its size if it is too large, or its error.
func list(tb testing.TB, s *Store) map[ID]string {
	tb.Helper()
	out := map[ID]string{}
	for o := range s.Objects(tb.Context()) {
		if _, ok := out[o.ID]; ok && o.ID != (ID{}) {
			tb.Errorf("%s is given twice", o.ID.Text(20))
		}
		switch {
		case o.Content != nil:
			out[o.ID] = string(o.Content)
			if o.Err != nil {
				out[o.ID] += ", " + o.Err.Error()
			}
			o.Done()
		case o.Err != nil:
			out[o.ID] = "error: " + o.Err.Error()
		default:
			out[o.ID] = fmt.Sprint(o.Size, " bytes")
		}
	}
	return out
}

func TestHostilePacks(t *testing.T) {
	a, b, c, d := named("0"), named("1"), named("2"), named("3")
	small := Options{IDSize: 20, Limit: 1000, Lend: 1 << 20}
	long := strings.Repeat("long ", 300)
	for name, tt := range map[string]struct {
		entries []entryFor
		want    map[ID]string
	}{
		"sound": {[]entryFor{
			{kind: Blob, data: "one"}, {kind: offsetDelta, data: delta("one", "one two")},
			{kind: idDelta, ref: b, data: delta("one two", "one three")}, {kind: Blob},
		}, map[ID]string{a: "one", b: "one two", c: "one three", d: ""}},
		"a base behind what builds on it": {[]entryFor{
			{kind: idDelta, ref: b, data: delta("base", "base!")}, {kind: Blob, data: "base"},
		}, map[ID]string{a: "base!", b: "base"}},
		"two bases of each other": {[]entryFor{
			{kind: idDelta, ref: b, data: delta("x", "y")}, {kind: idDelta, ref: a, data: delta("y", "x")}, {kind: Blob, data: "sound"},
		}, map[ID]string{a: errBase.Error(), b: errBase.Error(), c: "sound"}},
		"a base of itself, and one that builds on it": {[]entryFor{
			{kind: idDelta, ref: a, data: delta("x", "x")}, {kind: offsetDelta, base: 0, data: delta("x", "y")},
		}, map[ID]string{a: errBase.Error(), b: errBase.Error()}},
		"a base that is not there": {[]entryFor{
			{kind: idDelta, ref: named("nowhere"), data: delta("x", "y")}, {kind: offsetDelta, base: 0, data: delta("y", "z")},
		}, map[ID]string{a: errBase.Error(), b: errBase.Error()}},
		"a base in the middle of an entry": {[]entryFor{
			{kind: Blob, data: "one"}, {kind: offsetDelta, back: 3, data: delta("one", "two")},
		}, map[ID]string{a: "one", b: errBase.Error()}},
		"a base before the pack": {[]entryFor{
			{kind: Blob, data: "one"}, {kind: offsetDelta, back: 1 << 40, data: delta("one", "two")},
		}, map[ID]string{a: "one", b: errEntry.Error()}},
		"a size too small": {[]entryFor{{kind: Blob, data: "one", size: 2}, {kind: Blob, data: "two"}},
			map[ID]string{a: "more than expected", b: "two"}},
		"a size too large": {[]entryFor{{kind: Blob, data: "one", size: 4}, {kind: Blob, data: "two"}},
			map[ID]string{a: "ends early", b: "two"}},
		"a size that cannot be": {[]entryFor{{kind: Blob, data: "one", size: 1 << 40}, {kind: offsetDelta, data: delta("one", "two"), size: 1 << 50}},
			map[ID]string{a: errEntry.Error(), b: errBase.Error()}},
		"a delta on another size": {[]entryFor{{kind: Blob, data: "one"}, {kind: offsetDelta, data: delta("four", "five")}},
			map[ID]string{a: "one", b: errDelta.Error()}},
		"a delta that makes too little": {[]entryFor{{kind: Blob, data: "one"}, {kind: offsetDelta, data: "\x03\x05\x01x"}},
			map[ID]string{a: "one", b: errDelta.Error()}},
		"a delta of nothing": {[]entryFor{{kind: Blob, data: "one"}, {kind: offsetDelta}, {kind: offsetDelta, base: 1, data: delta("", "x")}},
			map[ID]string{a: "one", b: errDelta.Error(), c: errBase.Error()}},
		"a delta without end of its sizes": {[]entryFor{{kind: Blob, data: "one"}, {kind: offsetDelta, data: strings.Repeat("\xff", 30)}},
			map[ID]string{a: "one", b: errDelta.Error()}},
		"a kind that there is not": {[]entryFor{{kind: 5, data: "one"}, {kind: Tag, data: "two"}},
			map[ID]string{a: errEntry.Error(), b: "two"}},
		"large": {[]entryFor{
			{kind: Blob, data: long}, {kind: offsetDelta, data: delta(long, long+"!")}, {kind: offsetDelta, base: 1, data: delta(long+"!", "small")},
			{kind: Blob, data: "base"}, {kind: offsetDelta, base: 3, data: delta("base", long)},
		}, map[ID]string{a: "1500 bytes", b: "1501 bytes", c: errLargeBase.Error(), d: "base", named("4"): "1500 bytes"}},
	} {
		pack, x := write(tt.entries...)
		s := store(t, small, pack, x)
		got := list(t, s)
		for id, want := range tt.want {
			if got[id] != want && !(strings.HasPrefix(got[id], "error: ") && strings.HasSuffix(got[id], want)) {
				t.Errorf("%s: %s is %q, want %q", name, id.Text(20), got[id], want)
			}
			_, content, err := s.Read(t.Context(), id)
			if ok := !strings.Contains(got[id], "error: ") && !strings.HasSuffix(got[id], "bytes"); ok != (err == nil) || ok && string(content) != want {
				t.Errorf("%s: %s reads as %q, %v", name, id.Text(20), content, err)
			}
		}
		if len(got) != len(tt.want) || len(s.Problems()) > 0 {
			t.Errorf("%s: %d objects, want %d; problems %v", name, len(got), len(tt.want), s.Problems())
		}
	}
}

// TestLongChain walks a chain that is longer than any that git makes, with branches, while almost no bases may be held.
func TestLongChain(t *testing.T) {
	for _, held := range []int64{0, 100, MaxHeld} {
		text := strings.Repeat("a line of text\n", 20)
		entries := []entryFor{{kind: Blob, data: text}}
		want := map[ID]string{named("0"): text}
		for i := range 300 {
			next := fmt.Sprint(text, i)
			entries = append(entries, entryFor{kind: offsetDelta, base: len(entries) - 1, data: delta(text, next)})
			want[named(fmt.Sprint(len(entries)-1))] = next
			text = next
			if i%10 == 0 { // a branch of two, and then the chain goes on
				at := len(entries) - 1
				entries = append(entries, entryFor{kind: offsetDelta, base: at, data: delta(text, text+"x")})
				want[named(fmt.Sprint(len(entries)-1))] = text + "x"
				entries = append(entries, entryFor{kind: offsetDelta, base: at + 1, data: delta(text+"x", text+"y")})
				want[named(fmt.Sprint(len(entries)-1))] = text + "y"
				entries = append(entries, entryFor{kind: offsetDelta, base: at, data: delta(text, text)})
				want[named(fmt.Sprint(len(entries)-1))] = text
			}
		}
		pack, x := write(entries...)
		s := store(t, options(20), pack, x)
		s.Held = held
		if got := list(t, s); !maps.Equal(got, want) {
			t.Errorf("%d bytes held: %d objects, want %d, or not the same", held, len(got), len(want))
		}
	}
}

// TestDeltaBomb ends the making of contents that have nothing to do with what is stored.
func TestDeltaBomb(t *testing.T) {
	base := strings.Repeat("x", 1<<16)
	entries := []entryFor{{kind: Blob, data: base}}
	for range 2000 { // each 16 bytes, making 1 MiB
		d := binary.AppendUvarint(binary.AppendUvarint(nil, 1<<16), 1<<20)
		entries = append(entries, entryFor{kind: offsetDelta, data: string(append(d, bytes.Repeat([]byte{0x80}, 16)...))})
	}
	pack, x := write(entries...)
	s := store(t, options(20), pack, x)
	s.growth = 0
	made, excessive := 0, 0
	for o := range s.Objects(t.Context()) {
		switch {
		case errors.Is(o.Err, ErrExcessive):
			excessive++
		case o.Err != nil:
			t.Fatal(o.Err)
		default:
			made++
			o.Done()
		}
	}
	if most := len(pack) * maxGrowth >> 20; made > most+1 || made < most/2 || made+excessive != len(entries) {
		t.Errorf("%d made and %d left out of %d, in a pack of %d bytes", made, excessive, len(entries), len(pack))
	}
}

// TestBackwards makes objects of ones that come later in the pack, and of none.
func TestBackwards(t *testing.T) {
	idOf := func(content string) ID { return hashed(looseHeader(Blob, int64(len(content))), []byte(content), 20) }
	texts := []string{"first", "first one", "first one two", "first one two three"}
	want := map[ID]string{{}: "error: " + errBase.Error()}
	for _, text := range texts {
		want[idOf(text)] = text
	}
	pack, _ := write(
		entryFor{kind: idDelta, ref: idOf(texts[2]), data: delta(texts[2], texts[3])},
		entryFor{kind: idDelta, ref: idOf(texts[1]), data: delta(texts[1], texts[2])},
		entryFor{kind: idDelta, ref: idOf(texts[0]), data: delta(texts[0], texts[1])},
		entryFor{kind: idDelta, ref: named("nowhere"), data: delta("x", "y")},
		entryFor{kind: Blob, data: texts[0]},
	)
	s := received(t, pack, options(20))
	if got := list(t, s); !maps.Equal(got, want) || len(s.Problems()) > 0 {
		t.Errorf("%q, problems %v", got, s.Problems())
	}
}

// TestFault truncates an index while it is mapped: that is told, and nothing is left waiting.
func TestFault(t *testing.T) {
	var entries []entryFor
	for i := range 1000 {
		entries = append(entries, entryFor{kind: Blob, data: text(uint64(i), 1, 50)})
	}
	pack, x := write(entries...)
	s := store(t, Options{IDSize: 20, Limit: limit, Lend: slabSize}, pack, x)
	mapped := s.packs[0].index.Load()
	if !mapped.mapped {
		t.Skip("files are not mapped here")
	}
	if err := os.Truncate(strings.TrimSuffix(s.packs[0].name, "pack")+"idx", int64(len(mapped.b)/2)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s); len(got) == len(entries) {
		t.Error("all was read")
	}
	if len(s.Problems()) == 0 {
		t.Error("the fault is not told")
	}
	if _, _, err := s.Read(t.Context(), named("999")); err == nil {
		t.Error("the last object can be read")
	}

	// A fault in the middle of making an object gives back what was taken for it.
	w := &walk{s: s, ctx: t.Context(), lender: newLender(slabSize)}
	w.parallel("file", 1, func(k *walker, _ int) {
		_, _, _ = k.alloc(bigContent)
		t.Log(mapped.b[len(mapped.b)-1])
	})
	if len(w.problems) != 1 || !w.big.TryLock() || !w.lender.bytes.TryAcquire(slabSize) {
		t.Errorf("after a fault: %v, or something is held", w.problems)
	}
}

// TestShortened truncates a pack that is open: of each object that is gone, that is told.
func TestShortened(t *testing.T) {
	var entries []entryFor
	for i := range 1000 {
		entries = append(entries, entryFor{kind: Blob, data: text(uint64(i), 1, 50)})
	}
	pack, x := write(entries...)
	s := store(t, options(20), pack, x)
	if err := os.Truncate(s.packs[0].name, int64(len(pack)/2)); err != nil {
		t.Fatal(err)
	}
	read, lost := 0, 0
	for o := range s.Objects(t.Context()) {
		if o.Err != nil {
			if lost++; !errors.Is(o.Err, io.EOF) && !errors.Is(o.Err, io.ErrUnexpectedEOF) {
				t.Fatal(o.Err)
			}
			continue
		}
		read++
		o.Done()
	}
	if read == 0 || lost == 0 || read+lost != len(entries) {
		t.Errorf("%d objects were read, of %d that is told: %d there are", read, lost, len(entries))
	}
}

// TestReadsNoMore reads of a pack what an object takes, not all to the next one that the index knows, and of a large delta its start.
func TestReadsNoMore(t *testing.T) {
	noise := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	base := "one"
	pack, x := write(entryFor{kind: Blob, data: base}, entryFor{kind: offsetDelta, data: delta(base, string(noise))}, entryFor{kind: Blob, data: "last"})
	s := store(t, options(20), pack, x)
	p := s.packs[0]
	for row, size := range []int64{int64(len(base)), int64(len(noise))} {
		d := &decoder{}
		at, _ := p.find(named(fmt.Sprint(row)))
		h, err := p.header(at, &d.in)
		if err != nil {
			t.Fatal(err)
		}
		if h.kind == offsetDelta {
			var got int64
			if got, err = d.targetSize(p, h, p.end()); got != size {
				t.Errorf("a delta makes %d bytes, want %d", got, size)
			}
		} else {
			err = d.inflated(p, h.data, p.end(), make([]byte, size))
		}
		if err != nil {
			t.Error(err)
		}
		if d.in.of != p.file || len(d.in.b) > 128<<10 {
			t.Errorf("object %d: more than 128 KiB were read", row)
		}
	}
}

// TestDamagedCopies reads an object from where it is sound.
func TestDamagedCopies(t *testing.T) {
	good := entryFor{kind: Blob, data: "good", id: hashed(looseHeader(Blob, 4), []byte("good"), 20)}
	bad := good
	bad.size = 5
	first, x1 := write(bad, entryFor{kind: Blob, data: "other"})
	second, x2 := write(good)
	s := store(t, options(20), first, x1)
	dir := filepath.Join(s.dirs[0], "pack")
	_ = os.WriteFile(filepath.Join(dir, "y.pack"), second, 0o600)
	_ = os.WriteFile(filepath.Join(dir, "y.idx"), x2.b, 0o600)
	again, err := Open(t.Context(), s.dirs, options(20))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := list(t, again); got[good.id] != "good" || len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestLooseObjects(t *testing.T) {
	dir := t.TempDir()
	put := func(id ID, content []byte) {
		file := looseFile(dir, id, 20)
		_ = os.MkdirAll(filepath.Dir(file), 0o700)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	idOf := func(content string) ID { return hashed(looseHeader(Blob, int64(len(content))), []byte(content), 20) }
	large := strings.Repeat("0123456789", 1000)
	want := map[ID]string{
		idOf("sound"): "sound", idOf(""): "", idOf(large): "10000 bytes",
		named("wrong id"): "sound, " + ErrWrongID.Error(),
	}
	put(idOf("sound"), compress("blob 5\x00sound"))
	put(idOf(""), compress("blob 0\x00"))
	put(idOf(large), compress("blob 10000\x00"+large))
	put(named("wrong id"), compress("blob 5\x00sound"))
	for name, content := range map[string][]byte{
		"empty":            {},
		"no zlib":          []byte("blob 5\x00sound"),
		"no header":        compress("sound"),
		"no end of header": compress("blob 5"),
		"unknown kind":     compress("blub 5\x00sound"),
		"no size":          compress("blob \x00sound"),
		"negative size":    compress("blob -5\x00sound"),
		"a size too small": compress("blob 4\x00sound"),
		"a size too large": compress("blob 6\x00sound"),
		"far too large":    compress("blob 999\x00sound"),
		"overflow":         compress("blob 99999999999999999999\x00sound"),
		"a lot behind it":  append(compress("blob 5\x00sound"), make([]byte, 5000)...),
		"truncated":        compress("blob 5\x00sound")[:12],
	} {
		put(named(name), content)
		want[named(name)] = "error"
	}
	_ = os.MkdirAll(looseFile(dir, named("a directory"), 20), 0o700)
	want[named("a directory")] = "error"
	_ = os.WriteFile(filepath.Join(dir, "00"), nil, 0o600)

	o := options(20)
	o.Limit = 5000
	s, err := Open(t.Context(), []string{dir}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := list(t, s)
	for id, w := range want {
		if got[id] != w && (w != "error" || !strings.HasPrefix(got[id], "error: ")) {
			t.Errorf("%s is %q, want %q", id.Text(20), got[id], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	if _, _, err := s.Read(t.Context(), named("nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an object that is not there: %v", err)
	}
	if _, _, err := s.Read(t.Context(), idOf(large)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large object: %v", err)
	}
}

// TestDamagedIndex reads packs whose index is of no use.
func TestDamagedIndex(t *testing.T) {
	pack, x := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: offsetDelta, data: delta("one", "two")})
	want := map[ID]string{}
	for _, text := range []string{"one", "two"} {
		want[hashed(looseHeader(Blob, 3), []byte(text), 20)] = text
	}
	change := func(do func(b []byte) []byte) *index { return &index{b: do(bytes.Clone(x.b))} }
	for name, x := range map[string]*index{
		"none":               nil,
		"empty":              {},
		"cut off":            change(func(b []byte) []byte { return b[:len(b)-50] }),
		"another pack's":     change(func(b []byte) []byte { b[len(b)-30]++; return b }),
		"descending fan-out": change(func(b []byte) []byte { b[8+3] = 9; return b }),
		"too many objects":   change(func(b []byte) []byte { b[8+4*255] = 9; return b }),
	} {
		if got := list(t, store(t, options(20), pack, x)); !maps.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Offsets that lead nowhere are errors of the objects.
	for _, at := range []int{0, 4} {
		bad := change(func(b []byte) []byte { b[x.first+at] = 0xff; return b })
		got := list(t, store(t, options(20), pack, bad))
		if len(got) != 2 || !strings.HasPrefix(strings.Join(slices.Sorted(maps.Values(got)), " "), "error: ") {
			t.Errorf("a wrong offset: %q", got)
		}
	}
}

// TestTruncatedPack gives what lies before the defect.
func TestTruncatedPack(t *testing.T) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: Blob, data: "two"}, entryFor{kind: Blob, data: strings.Repeat("three", 100)})
	for cut := range pack {
		s := received(t, pack[:cut], options(20))
		for id, text := range list(t, s) {
			if id != hashed(looseHeader(Blob, int64(len(text))), []byte(text), 20) {
				t.Errorf("cut at %d: %s is %q", cut, id.Text(20), text)
			}
		}
		if len(s.Problems()) == 0 {
			t.Errorf("cut at %d: not told", cut)
		}
	}
}

// FuzzPack reads packs without an index: what is given has its id.
func FuzzPack(f *testing.F) {
	pack, _ := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: offsetDelta, data: delta("one", "one two")},
		entryFor{kind: idDelta, ref: hashed(looseHeader(Blob, 3), []byte("one"), 20), data: delta("one", "one three")})
	f.Add(pack)
	f.Fuzz(func(t *testing.T, pack []byte) {
		s := received(t, pack, Options{IDSize: 20, Limit: 1 << 16, Lend: 1 << 20})
		s.growth, s.Held = 1<<20, 10
		for o := range s.Objects(t.Context()) {
			if o.Content != nil {
				if hashed(looseHeader(o.Kind, o.Size), o.Content, 20) != o.ID {
					t.Fatal("wrong id")
				}
				o.Done()
			}
		}
	})
}

// FuzzIndexed reads packs by an index that has nothing to do with them.
func FuzzIndexed(f *testing.F) {
	pack, x := write(entryFor{kind: Blob, data: "one"}, entryFor{kind: offsetDelta, data: delta("one", "one two")},
		entryFor{kind: idDelta, ref: named("1"), data: delta("one two", "one three")}, entryFor{kind: idDelta, ref: named("1"), data: delta("one two", "one four")})
	f.Add(pack, x.b)
	v1 := make([]byte, fanout+2*24+40)
	binary.BigEndian.PutUint32(v1[fanout-4:], 2)
	f.Add(pack, v1)
	f.Fuzz(func(t *testing.T, pack, index []byte) {
		if len(pack) < 20 || len(index) < 40 {
			return
		}
		copy(index[len(index)-40:], pack[len(pack)-20:])
		x, err := parseIndex(index, 20)
		if err != nil {
			return
		}
		s := store(t, Options{IDSize: 20, Limit: 1 << 16, Lend: 1 << 20}, pack, x)
		s.growth, s.Held = 1<<20, 10
		n := 0
		for o := range s.Objects(t.Context()) {
			if n++; o.Content != nil {
				o.Done()
			}
		}
		if len(s.packs) > 0 && s.packs[0].index.Load().mapped && n != x.n {
			t.Fatalf("%d objects of %d", n, x.n)
		}
		for row := range min(x.n, 10) {
			_, _, _ = s.Read(t.Context(), x.id(row))
		}
	})
}

func FuzzLoose(f *testing.F) {
	f.Add([]byte("blob 5\x00sound"), true)
	f.Add(compress("blob 5\x00sound"), false)
	f.Fuzz(func(t *testing.T, content []byte, pack bool) {
		if pack {
			content = compress(string(content))
		}
		file := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		d := &decoder{}
		o, err := d.loose(file, ID{}, 20, 1<<16, func(n int) ([]byte, error) { return make([]byte, n), nil })
		if err == nil && o.Content != nil && int64(len(o.Content)) != o.Size {
			t.Fatalf("%d bytes of %d", len(o.Content), o.Size)
		}
	})
}
