package pack

import (
	"bytes"
	"errors"
	"testing"
)

func TestParseHeader(t *testing.T) {
	id := bytes.Repeat([]byte{7}, 20)
	for name, c := range map[string]struct {
		in   []byte
		want header // data is counted from 1000
	}{
		"small blob":     {[]byte{0x35}, header{kind: Blob, size: 5, data: 1}},
		"size of 2":      {[]byte{0x95, 0x01}, header{kind: Commit, size: 5 + 1<<4, data: 2}},
		"size of 3":      {[]byte{0xaf, 0xff, 0x7f}, header{kind: Tree, size: 1<<18 - 1, data: 3}},
		"near base":      {[]byte{0x61, 0x05}, header{kind: offsetDelta, size: 1, base: 995, data: 2}},
		"base of 2":      {[]byte{0x61, 0x80, 0x00}, header{kind: offsetDelta, size: 1, base: 1000 - 128, data: 3}},
		"base of 2, 300": {[]byte{0x61, 0x81, 0x2c}, header{kind: offsetDelta, size: 1, base: 1000 - 300, data: 3}},
		"base by id":     {append([]byte{0x72}, id...), header{kind: idDelta, size: 2, ref: ID(append(bytes.Clone(id), make([]byte, 12)...)), data: 21}},
	} {
		c.want.data += 1000
		if got, err := parseHeader(append(c.in, "more"...), 1000, 20); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for name, in := range map[string][]byte{
		"nothing":                {},
		"kind 0":                 {0x05},
		"kind 5":                 {0x55},
		"size without end":       {0xb5},
		"size beyond 63 bits":    append(bytes.Repeat([]byte{0xbf}, 9), 0x7f),
		"base before the pack":   {0x61, 0x8f, 0x00},
		"base in the header":     {0x61, 0x86, 0x60},
		"base is itself":         {0x61, 0x00},
		"base without end":       {0x61, 0x81},
		"distance beyond 63 bit": append([]byte{0x61}, bytes.Repeat([]byte{0xff}, 12)...),
		"id cut off":             append([]byte{0x72}, id[:19]...),
	} {
		if got, err := parseHeader(in, 1000, 20); !errors.Is(err, errEntry) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestApply(t *testing.T) {
	base := bytes.Repeat([]byte("0123456789abcdef"), 0x10000/16+1)
	for name, c := range map[string]struct{ delta, want string }{
		"nothing":              {"", ""},
		"insertion":            {"\x03abc", "abc"},
		"copy from the start":  {"\x90\x04", "0123"},
		"copy from 17":         {"\x91\x11\x02", "12"},
		"copy with 2 bytes":    {"\xb2\x01\x01\x01", string(base[256:][:257])},
		"size 0 means 64 KiB":  {"\x80", string(base[:0x10000])},
		"copies and insertion": {"\x91\x0a\x06\x01-\x91\x0a\x06", "abcdef-abcdef"},
	} {
		dst := make([]byte, len(c.want))
		if err := apply(dst, base, []byte(c.delta)); err != nil || string(dst) != c.want {
			t.Errorf("%s: %.40q, %v", name, dst, err)
		}
		for _, size := range []int{len(c.want) - 1, len(c.want) + 1} {
			if size >= 0 && apply(make([]byte, size), base, []byte(c.delta)) == nil {
				t.Errorf("%s: made %d bytes", name, size)
			}
		}
	}
	for name, delta := range map[string]string{
		"reserved instruction":  "\x00",
		"insertion cut off":     "\x03ab",
		"copy beyond the end":   "\x93\x00\x00\x05",
		"copy from beyond":      "\x9f\xff\xff\xff\xff\x01",
		"offset cut off":        "\x93\x00",
		"size cut off":          "\xb0\x01",
		"largest copy there is": "\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if apply(make([]byte, 5), base[:4], []byte(delta)) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("0123456789"), []byte("\x03abc\x90\x04\x91\x02\x03"), uint16(10))
	f.Add([]byte{}, []byte("\x80"), uint16(0))
	f.Fuzz(func(t *testing.T, base, delta []byte, size uint16) {
		dst := make([]byte, int(size)+8)
		_ = apply(dst[:size:size], base, delta)
		if !bytes.Equal(dst[size:], make([]byte, 8)) {
			t.Fatal("wrote beyond the end")
		}
		_, _, _, _ = deltaSizes(delta)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x61, 0x81, 0x2c}, int64(1000))
	f.Add([]byte{0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, int64(12))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		if at < packHeader {
			return
		}
		h, err := parseHeader(b, at, 20)
		if err == nil && (h.size < 0 || h.data <= at || h.data > at+maxHeader || h.kind == offsetDelta && (h.base < packHeader || h.base >= at)) {
			t.Fatalf("%+v", h)
		}
	})
}
