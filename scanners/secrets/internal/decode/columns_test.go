package decode

import (
	"slices"
	"strings"
	"testing"
)

func TestColumns(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string // of each view, what stands in place of the column
	}{
		{"", nil}, {"\n\n\n", nil}, {"a\n", nil},
		{"abcdefgh\nabcdefgh\nabcdefgh\n", []string{strings.Repeat("abcdefgh", 3) + "\n"}},
		{"abcdefgh\nabcdefgh\nabcd\nabcdefgh", []string{strings.Repeat("abcdefgh", 2) + "abcd\nabcdefgh"}},
		{"abcdefgh\r\nabcdefgh\r\nabcdefgh\r\n", []string{strings.Repeat("abcdefgh", 3) + "\r\n"}},
		{"abcdefghijkl\r\nabcdefghijkl\r\nabc\r\nx", []string{strings.Repeat("abcdefghijkl", 2) + "abc\r\nx"}}, // as wide as they may be
		{"abcdefgh\r\nabcdefgh\nabcdefgh\r\n", []string{strings.Repeat("abcdefgh", 3) + "\r\n"}},
		{strings.Repeat("\r\n", 30), nil},
		{"abcdefgh\nabcdefgh\nabc", nil},                       // too short
		{"abcdefghijkl\nabcdefghijkl\n", nil},                  // too few
		{"abcdefghijklm\nabcdefghijklm\nabcdefghijklm\n", nil}, // too wide
		{"a longer line\n" + strings.Repeat("x\n", 20) + "a longer line", []string{"a longer line\n" + strings.Repeat("x", 20) + "\na longer line"}},
		{strings.Repeat("ab\n", 10) + "\n" + strings.Repeat("xyz\n", 7), []string{strings.Repeat("ab", 10) + "\n\n" + strings.Repeat("xyz", 7) + "\n"}},
	} {
		var got []string
		for v := range new(Decoder).Columns([]byte(test.text)) {
			if v.Encoding[0] != Column {
				t.Errorf("encoding %q", v.Encoding)
			}
			if len(v.Encoding) == 1 {
				got = append(got, string(v.Text))
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func FuzzColumns(f *testing.F) {
	f.Add([]byte("abcdefgh\nabcdefgh\r\nabcdefgh\nab\n\n"))
	f.Add([]byte(strings.Repeat("ab\n", 40000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		total := 0
		for v := range new(Decoder).Columns(text) {
			last := 0
			for i := range v.Text {
				at := v.At(i)
				if at < last || at > len(text) {
					t.Fatalf("%d leads to %d after %d", i, at, last)
				}
				if len(v.Encoding) == 1 && (at == len(text) || text[at] != v.Text[i]) {
					t.Fatalf("%d leads to another byte", i)
				}
				last = at
			}
			if len(v.Encoding) == 1 {
				total += len(v.Text)
			}
		}
		if total > 4*len(text)+1024 {
			t.Fatalf("%d bytes of %d", total, len(text))
		}
	})
}
