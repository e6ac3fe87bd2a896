package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	stdadler "hash/adler32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deflate compresses with the standard library.
func deflate(tb testing.TB, content []byte, level int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// standard decompresses with the standard library.
func standard(stream []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

// contents are of many shapes and sizes.
func contents() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	out := map[string][]byte{}
	for _, size := range []int{0, 1, 2, 3, 7, 8, 15, 16, 17, 100, 255, 256, 257, 258, 259, 1000, 5000, 70000, 300000} {
		noise, few, text := make([]byte, size), make([]byte, size), make([]byte, 0, size+20)
		for i := range noise {
			noise[i] = byte(random.Uint32())
			few[i] = "ab"[random.IntN(2)]
		}
		for len(text) < size {
			text = fmt.Appendf(text, "line %d of %x\n", random.IntN(50), random.IntN(4))
		}
		skewed := make([]byte, size)
		for i := range skewed { // code lengths up to 15
			skewed[i] = byte(min(random.ExpFloat64()*6, 255))
		}
		out[fmt.Sprint("noise ", size)] = noise
		out[fmt.Sprint("two letters ", size)] = few
		out[fmt.Sprint("zeros ", size)] = make([]byte, size)
		out[fmt.Sprint("text ", size)] = text[:size]
		out[fmt.Sprint("skewed ", size)] = skewed
		for _, period := range []int{2, 3, 5, 7, 8, 9, 31} {
			out[fmt.Sprintf("period %d, %d", period, size)] = bytes.Repeat(noise[:min(period, size)], size/period+1)[:size]
		}
	}
	return out
}

func TestZlib(t *testing.T) {
	var d Decoder
	for name, content := range contents() {
		for _, level := range []int{-2, 0, 1, 6, 9} {
			stream := deflate(t, content, level)
			for _, slack := range []int{0, 5, Slack, 100} {
				dst := make([]byte, len(content), len(content)+slack)
				for _, tail := range []string{"", "another object follows here and there"} {
					clear(dst)
					used, err := d.Zlib(dst, append(bytes.Clone(stream), tail...))
					if err != nil || used != len(stream) || !bytes.Equal(dst, content) {
						t.Fatalf("%s, level %d, slack %d, tail %d: %d of %d, %v", name, level, slack, len(tail), used, len(stream), err)
					}
					clear(dst)
					bare := stream[2 : len(stream)-4]
					used, err = d.Deflate(dst, append(bytes.Clone(bare), tail...))
					if err != nil || used != len(bare) || !bytes.Equal(dst, content) {
						t.Fatalf("%s, level %d, slack %d, tail %d, bare: %d of %d, %v", name, level, slack, len(tail), used, len(bare), err)
					}
				}
			}
		}
	}
}

// TestWrongSize gives streams another size than they have.
func TestWrongSize(t *testing.T) {
	var d Decoder
	for name, content := range contents() {
		stream := deflate(t, content, 6)
		for _, slack := range []int{0, Slack} {
			if _, err := d.Zlib(make([]byte, len(content)+1, len(content)+1+slack), stream); !errors.Is(err, ErrShort) {
				t.Errorf("%s: one byte too many: %v", name, err)
			}
			for _, short := range []int{1, 2, 100, len(content)} {
				if short > len(content) || short == 0 {
					continue
				}
				dst := make([]byte, len(content)-short, len(content)-short+slack)
				_, err := d.Zlib(dst, stream)
				if !errors.Is(err, ErrLong) || !bytes.Equal(dst, content[:len(dst)]) {
					t.Errorf("%s: %d bytes too few: %v", name, short, err)
				}
			}
		}
	}
}

// TestDamage truncates streams everywhere and flips bits: an error, or what the standard library makes of it. (The checksum does not
// see every exchange of two letters.)
func TestDamage(t *testing.T) {
	var d Decoder
	for name, content := range contents() {
		if len(content) > 1000 {
			continue
		}
		stream := deflate(t, content, 6)
		dst := make([]byte, len(content), len(content)+Slack)
		for i := range stream {
			if _, err := d.Zlib(dst, stream[:i]); err == nil {
				t.Errorf("%s: accepted %d of %d bytes", name, i, len(stream))
			}
			for bit := range 8 {
				bad := bytes.Clone(stream)
				bad[i] ^= 1 << bit
				_, err := d.Zlib(dst, bad)
				if want, wantErr := standard(bad); (err == nil) != (wantErr == nil && len(want) == len(dst)) || err == nil && !bytes.Equal(dst, want) {
					t.Errorf("%s: bit %d of byte %d: %v, want %v", name, bit, i, err, wantErr)
				}
			}
		}
	}
}

// bitWriter writes what no compressor would.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) put(value, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(value>>i&1) << (w.n % 8)
		w.n++
	}
}

// dynamic starts a block with the given code lengths for the codes of lengths, in the order of storage.
func dynamic(nlit, ndist int, pre ...int) *bitWriter {
	w := &bitWriter{b: []byte{0x78, 0x9c}, n: 16}
	w.put(1, 1)
	w.put(2, 2)
	w.put(nlit-257, 5)
	w.put(ndist-1, 5)
	w.put(len(pre)-4, 4)
	for _, n := range pre {
		w.put(n, 3)
	}
	return w
}

func TestHostile(t *testing.T) {
	fixed := func(symbols ...[2]int) []byte { // codes of the fixed code, first bit highest
		w := &bitWriter{b: []byte{0x78, 0x9c}, n: 16}
		w.put(1, 1)
		w.put(1, 2)
		for _, s := range symbols {
			for i := s[1] - 1; i >= 0; i-- {
				w.put(s[0]>>i&1, 1)
			}
		}
		return w.b
	}
	repeat := dynamic(257, 1, 1, 0, 0, 1) // lengths are 16 (repeat) and 0
	repeat.put(1, 1)                      // a repetition, with nothing before it
	repeat.put(0, 2)
	over := dynamic(257, 1, 1, 1, 1, 1) // four codes of one bit
	incomplete := dynamic(257, 1, 2, 2, 2, 0)
	beyond := dynamic(257, 1, 0, 0, 1, 1) // 18 (many zeros) and 0
	for range 3 {
		beyond.put(1, 1)
		beyond.put(127, 7)
	}
	streams := map[string][]byte{
		"empty":                        {},
		"header only":                  {0x78, 0x9c},
		"wrong method":                 {0x77, 0x9d, 3, 0, 0, 0, 0, 1},
		"wrong check":                  {0x78, 0x9d, 3, 0, 0, 0, 0, 1},
		"dictionary":                   {0x78, 0xbb, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1},
		"window too large":             {0x88, 0x1c, 3, 0, 0, 0, 0, 1},
		"block of the fourth sort":     {0x78, 0x9c, 7, 0, 0, 0, 0, 1},
		"stored with a wrong size":     {0x78, 0x9c, 1, 1, 0, 0, 0, 'x', 0, 0x79, 0, 0x79},
		"stored beyond the end":        {0x78, 0x9c, 1, 0xff, 0xff, 0, 0, 'x'},
		"distance before the start":    fixed([2]int{0x30, 8}, [2]int{1, 7}, [2]int{1, 5}),
		"distance with nothing yet":    fixed([2]int{1, 7}, [2]int{0, 5}),
		"length code 286":              fixed([2]int{0x30, 8}, [2]int{0xc6, 8}, [2]int{0, 5}),
		"distance code 30":             fixed([2]int{0x30, 8}, [2]int{1, 7}, [2]int{30, 5}),
		"repetition of nothing":        repeat.b,
		"too many codes":               over.b,
		"too few codes":                incomplete.b,
		"lengths beyond their number":  beyond.b,
		"287 literals":                 append(dynamic(287, 1, 1, 1, 0, 0).b, make([]byte, 100)...),
		"31 distances":                 append(dynamic(257, 31, 1, 1, 0, 0).b, make([]byte, 100)...),
		"no code at all":               append(dynamic(257, 1, 0, 0, 0, 0).b, make([]byte, 100)...),
		"blocks without end or output": append([]byte{0x78, 0x9c}, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1000)...),
	}
	var d Decoder
	for name, stream := range streams {
		for _, size := range []int{0, 1, 10, 1000} {
			for _, more := range []int{0, 100} {
				dst := make([]byte, size, size+Slack)
				if _, err := d.Zlib(dst, append(bytes.Clone(stream), make([]byte, more)...)); err == nil {
					t.Errorf("%s, size %d: accepted", name, size)
				}
			}
		}
	}
	content := []byte("sound again")
	dst := make([]byte, len(content))
	if _, err := d.Zlib(dst, deflate(t, content, 9)); err != nil || !bytes.Equal(dst, content) {
		t.Errorf("after errors: %q, %v", dst, err)
	}
}

func TestAdler32(t *testing.T) {
	for name, content := range contents() {
		if got, want := adler32(content), stdadler.Checksum(content); got != want {
			t.Errorf("%s: %08x, want %08x", name, got, want)
		}
	}
	if b := bytes.Repeat([]byte{0xff}, 1<<20); adler32(b) != stdadler.Checksum(b) {
		t.Error("the sums overflow")
	}
}

// FuzzZlib decodes hostile streams: what is accepted is what the standard library makes of it, and what that accepts is accepted.
func FuzzZlib(f *testing.F) {
	for _, content := range contents() {
		if len(content) < 300 {
			f.Add(deflate(f, content, 6), uint16(len(content)), byte(Slack))
			f.Add(deflate(f, content, -2), uint16(len(content)), byte(0))
		}
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, stream []byte, size uint16, slack byte) {
		in := bytes.NewReader(stream)
		var want []byte
		r, err := zlib.NewReader(in)
		if err == nil {
			want, err = io.ReadAll(io.LimitReader(r, 1<<20))
			if len(want) == 1<<20 {
				t.Skip("a bomb")
			}
		}
		if err == nil {
			size = uint16(len(want))
		}
		guard := bytes.Repeat([]byte{0xa5}, int(size)+int(slack)+8)
		dst := guard[: size : int(size)+int(slack)]
		used, own := d.Zlib(dst, stream)
		if string(guard[len(guard)-8:]) != strings.Repeat("\xa5", 8) {
			t.Fatal("wrote beyond the capacity")
		}
		if err == nil && len(want) == int(size) {
			if own != nil || !bytes.Equal(dst, want) || used != len(stream)-in.Len() {
				t.Fatalf("%d of %d bytes, %v", used, len(stream)-in.Len(), own)
			}
		} else if own == nil {
			t.Fatalf("accepted what the standard library refuses: %v", err)
		}
	})
}

// FuzzDeflate is FuzzZlib for streams that no checksum guards.
func FuzzDeflate(f *testing.F) {
	for _, content := range contents() {
		if len(content) < 300 {
			f.Add(deflate(f, content, 6)[2:], byte(Slack))
			f.Add(deflate(f, content, -2)[2:], byte(0))
		}
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, stream []byte, slack byte) {
		in := bytes.NewReader(stream)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(in), 1<<20))
		if len(want) == 1<<20 {
			t.Skip("a bomb")
		}
		guard := bytes.Repeat([]byte{0xa5}, len(want)+int(slack)+8)
		dst := guard[: len(want) : len(want)+int(slack)]
		used, own := d.Deflate(dst, stream)
		if string(guard[len(guard)-8:]) != strings.Repeat("\xa5", 8) {
			t.Fatal("wrote beyond the capacity")
		}
		if err == nil && (own != nil || !bytes.Equal(dst, want) || used != len(stream)-in.Len()) {
			t.Fatalf("%d of %d bytes, %v", used, len(stream)-in.Len(), own)
		}
		if err != nil && own == nil {
			t.Fatalf("accepted what the standard library refuses: %v", err)
		}
	})
}

// FuzzRoundTrip decodes what the standard library compressed.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some text, some text"), 6, byte(0))
	var d Decoder
	f.Fuzz(func(t *testing.T, content []byte, level int, slack byte) {
		stream := deflate(t, content, min(max(level, -2), 9))
		dst := make([]byte, len(content), len(content)+int(slack))
		if used, err := d.Zlib(dst, stream); err != nil || used != len(stream) || !bytes.Equal(dst, content) {
			t.Fatalf("%d of %d, %v", used, len(stream), err)
		}
	})
}

// source is the text of the standard library's largest packages, cut into contents as git would hold them.
func source(b *testing.B) (contents [][]byte) {
	b.Helper()
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		contents = append(contents, text, text[:len(text)/16]) // whole files, and about the size of a delta
	}
	return contents
}

func BenchmarkZlib(b *testing.B) {
	benchmark(b, func() func(dst, src []byte) error {
		var d Decoder
		return func(dst, src []byte) error {
			_, err := d.Zlib(dst, src)
			return err
		}
	}())
}

func BenchmarkStandardLibrary(b *testing.B) {
	in := bytes.NewReader(nil)
	r, err := zlib.NewReader(bytes.NewReader(deflate(b, nil, 6)))
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, func(dst, src []byte) error {
		in.Reset(src)
		if err := r.(zlib.Resetter).Reset(in, nil); err != nil {
			return err
		}
		_, err := io.ReadFull(r, dst)
		return err
	})
}

func benchmark(b *testing.B, inflate func(dst, src []byte) error) {
	b.Helper()
	var streams [][]byte
	var sizes []int
	total := int64(0)
	for _, content := range source(b) {
		streams, sizes, total = append(streams, deflate(b, content, 6)), append(sizes, len(content)), total+int64(len(content))
	}
	dst := make([]byte, 1<<20)
	b.SetBytes(total)
	for b.Loop() {
		for i, s := range streams {
			if err := inflate(dst[:sizes[i]], s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
