package fresh

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// text is n lines, no two of which are the same, with some of them others.
func text(n int, other map[int]string) []byte {
	var b bytes.Buffer
	for i := range n {
		if line, ok := other[i]; ok {
			b.WriteString(line)
		} else {
			fmt.Fprintf(&b, "line %d of a text, %x\n", i, i*i*2654435761)
		}
	}
	return b.Bytes()
}

// look returns the spans of a text, and touches what one says.
func look(m *Memory, t *Text, text []byte, touch string, lose bool) (spans []string, n int) {
	t.Begin(m, text)
	for _, s := range t.Spans(len(text)) {
		spans = append(spans, string(text[s.Lo:s.Hi]))
		n += s.Hi - s.Lo
		if i := bytes.Index(text[s.Lo:s.Hi], []byte(touch)); touch != "" && i >= 0 {
			t.Touch(s.Lo+i, s.Lo+i+len(touch))
		}
	}
	if lose {
		t.Lose()
	}
	t.End()
	return spans, n
}

func TestText(t *testing.T) {
	m, of := New(1<<20), new(Text)
	whole := text(2000, nil)
	if _, n := look(m, of, whole, "line 900 ", true); n != len(whole) {
		t.Fatal("a new text is not all new")
	}
	if _, n := look(m, of, whole, "line 900 ", false); n != len(whole) {
		t.Fatal("what is lost is remembered")
	}
	spans, n := look(m, of, whole, "line 900 ", false)
	if !strings.Contains(strings.Join(spans, ""), "line 900 ") || n > len(whole)/4 { // of others, one may have taken another's place
		t.Fatalf("of a known text is left %d bytes in %d spans", n, len(spans))
	}
	if _, n = look(New(1<<20), of, whole, "", false); n != len(whole) {
		t.Fatal("another memory knows it")
	}

	// What hangs on a change lies Ahead before it, or less, or Behind after it.
	for _, at := range []int{0, 1, 300, 301, 302, 303, 304, 305, 306, 1500, 1999} {
		changed := text(2000, map[int]string{at: "another one\n"})
		place := bytes.Index(changed, []byte("another one\n"))
		of.Begin(m, changed)
		ok := false
		for _, s := range of.Spans(len(changed)) {
			ok = ok || s.Lo <= max(0, place-Ahead) && s.Hi >= min(len(changed), place+Behind)
			if s.Lo > 0 && changed[s.Lo-1] != '\n' || changed[s.Hi-1] != '\n' {
				t.Errorf("line %d: a span cuts a line", at)
			}
		}
		if !ok {
			t.Errorf("line %d: not all is looked at that may hang on it: %v", at, of.Spans(len(changed)))
		}
	}
}

// What a known block holds is told, and a nil Text knows nothing.
func TestHeld(t *testing.T) {
	m, of := New(1<<20), new(Text)
	whole := text(500, nil)
	of.Begin(m, whole)
	of.Hold(0, 3)
	of.Hold(len(whole)-1, 7)
	if of.Held() != 0 {
		t.Error("something is held by blocks that are not known")
	}
	of.End()
	of.Begin(m, whole)
	if of.Held() != 1<<3|1<<7 {
		t.Errorf("held: %b", of.Held())
	}
	var none *Text
	none.Touch(0, 1)
	none.Hold(0, 1)
	none.Lose()
	if spans := none.Spans(9); len(spans) != 1 || spans[0] != (Span{0, 9}) || none.Held() != 0 {
		t.Error(spans)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("\n"), 0)
	f.Add(text(100, nil), 500)
	f.Add(bytes.Repeat([]byte("a"), 9000), 5000)
	f.Fuzz(func(t *testing.T, text []byte, touch int) {
		m, of := New(64), new(Text)
		for range 2 {
			of.Begin(m, text)
			last := 0
			for _, s := range of.Spans(len(text)) {
				if s.Lo < last || s.Hi > len(text) || s.Lo > s.Hi {
					t.Fatal(s)
				}
				last = s.Hi
			}
			if touch >= 0 && touch < len(text) {
				of.Touch(touch, touch+1)
				of.Hold(touch, 1)
			}
			of.End()
		}
	})
}
