package literal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// each runs a test with a finder of each filter that this machine can run.
func each(t *testing.T, words []Word, run func(*testing.T, *Finder)) {
	for _, filter := range filters() {
		f := newFinder(words, filter)
		t.Run(strings.TrimPrefix(fmt.Sprintf("%T", f.filter), "*literal."), func(t *testing.T) { run(t, f) })
	}
}

// every returns all hits in text by comparing each word at each offset.
func every(words []Word, text []byte) (hits []Hit) {
	for start := range text {
		for i := range words {
			if w := &words[i]; w.spelled(text, start) && w.placed(text, start, start+len(w.Text)) {
				hits = append(hits, Hit{start, start + len(w.Text), int32(i)})
			}
		}
	}
	return hits
}

func byStart(hits []Hit) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		return int(a.Word - b.Word)
	})
	return hits
}

func check(t *testing.T, f *Finder, text []byte) {
	t.Helper()
	if got, want := byStart(f.Scan(text, 0, len(text), nil)), byStart(every(f.words, text)); !slices.Equal(got, want) {
		t.Fatalf("%q: %v, want %v", text, got, want)
	}
}

func setOf(s string) (set Set) {
	for i := range len(s) {
		set.Add(s[i])
	}
	return set
}

// sample has words of each kind: short and long, overlapping, with digits and marks only, in one case, with neighbours.
func sample() []Word {
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	words := []Word{
		{Text: "ey", Before: setOf(" \n\"'=:"), After: setOf(digits + letters)}, {Text: "q~", After: setOf("~.-" + digits)}, {Text: "s."}, {Text: "sk", After: setOf("\xff\x00")},
		{Text: "AK", Exact: true}, {Text: "aKi", Exact: true, After: setOf("aA")}, {Text: "AKIA", Exact: true}, {Text: "ghp_Token", Exact: true},
		{Text: "\x00\x01"}, {Text: "@[`{"}, {Text: "]^_~\x7f"}, {Text: "--"}, {Text: "aaaa"}, {Text: "aaaaaaaa"}, {Text: "aaaaaaaaa"},
	}
	for _, s := range strings.Fields(`key api hf_ akia asia token secret password passwd auth access credential -----begin <add npm_ xoxb- xoxp- glpat- sk_live
		sk_test eyjrijoi webhook.office.com bundle_enterprise__contribsys__com _gitlab_session= administrator_login_password s-s4t2ud-
		4b1d v1.0- sha256~ t3blbkfj gr1348941 facebook linear sonar discord telegr new-york-times newyorktimes`) {
		words = append(words, Word{Text: s})
	}
	return words
}

// surrounded returns text made of words, parts of words and noise.
func surrounded(rnd *rand.Rand, words []Word, size int) []byte {
	var text []byte
	for len(text) < size {
		w := words[rnd.IntN(len(words))].Text
		switch rnd.IntN(8) {
		case 0:
			text = append(text, byte(rnd.IntN(256)))
		case 1:
			text = append(text, " \n=:\"a0\xff"[rnd.IntN(8)])
		case 2:
			text = append(text, w[:rnd.IntN(len(w)+1)]...)
		case 3:
			text = append(text, w[rnd.IntN(len(w)):]...)
		case 4:
			text = append(text, strings.ToUpper(w)...)
		case 5: // each bit may be the one that a table forgets
			b := []byte(w)
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
			text = append(text, b...)
		default:
			text = append(text, w...)
		}
	}
	return text[:size]
}

func TestSurrounded(t *testing.T) {
	words := sample()
	each(t, words, func(t *testing.T, f *Finder) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for size := range 700 {
			check(t, f, surrounded(rnd, words, size))
		}
		check(t, f, surrounded(rnd, words, 3*stretch+77))
	})
}

// TestAlone puts each word at each offset of texts of each length around the sizes at which filters change their pace.
func TestAlone(t *testing.T) {
	words := sample()
	each(t, words, func(t *testing.T, f *Finder) {
		for _, w := range words {
			for _, n := range []int{len(w.Text), 1, 2, 3, 63, 64, 65, 66, 67, 68, 127, 128, 130, 131, 132, 200} {
				for at := max(0, n-70); at+len(w.Text) <= n; at++ {
					text := bytes.Repeat([]byte{' '}, n)
					copy(text[at:], w.Text)
					check(t, f, text)
				}
			}
		}
	})
}

// TestParts scans texts piece by piece.
func TestParts(t *testing.T) {
	words := sample()
	each(t, words, func(t *testing.T, f *Finder) {
		rnd := rand.New(rand.NewPCG(3, 4))
		for range 300 {
			text := surrounded(rnd, words, rnd.IntN(3*stretch))
			var got []Hit
			for from := 0; from < len(text); {
				to := min(len(text), from+rnd.IntN(600))
				got = f.Scan(text, from, to, got)
				from = to
			}
			if want := f.Scan(text, 0, len(text), nil); !slices.Equal(got, want) {
				t.Fatalf("%q: %v, want %v", text, got, want)
			}
			if got, want := f.Contains(text), len(got) > 0; got != want {
				t.Fatalf("Contains is %v", got)
			}
		}
	})
}

// TestManyWords has more words, and more kinds of bytes, than the tables have room to tell apart.
func TestManyWords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var words []Word
	for range 2000 {
		b := make([]byte, 2+rnd.IntN(6))
		for i := range b {
			b[i] = byte(rnd.IntN(0x80))
		}
		w := Word{Text: strings.ToLower(string(b))}
		if rnd.IntN(2) == 0 {
			w.Text, w.Exact = string(b), true
		}
		for range rnd.IntN(3) {
			w.Before.Add(byte(rnd.IntN(256)))
			w.After.Add(byte(rnd.IntN(256)))
		}
		words = append(words, w)
	}
	each(t, words, func(t *testing.T, f *Finder) {
		rnd := rand.New(rand.NewPCG(7, 8))
		for range 10 {
			check(t, f, surrounded(rnd, words, 300))
		}
	})
	each(t, nil, func(t *testing.T, f *Finder) { check(t, f, make([]byte, 1000)) })
}

// TestSource compares the filters on ordinary text.
func TestSource(t *testing.T) {
	words := sample()
	slow := newFinder(words, newPortable)
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source to read", err)
	}
	each(t, words, func(t *testing.T, f *Finder) {
		for i, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(f.Scan(text, 0, len(text), nil), slow.Scan(text, 0, len(text), nil)) {
				t.Errorf("%s: not as without vectors", file)
			}
			if i%16 == 0 {
				check(t, f, text)
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	words := sample()
	var finders []*Finder
	for _, filter := range filters() {
		finders = append(finders, newFinder(words, filter))
	}
	rnd := rand.New(rand.NewPCG(9, 10))
	for size := range 80 {
		f.Add(surrounded(rnd, words, 3*size))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, f := range finders {
			check(t, f, text)
		}
	})
}

// FuzzWords has a set of words that is not known in advance: the lines of list, those that begin with ! in one case.
func FuzzWords(f *testing.F) {
	f.Add("key\n!AKIA\nhf_", []byte("a KEY, an AKIA and an hf_"))
	f.Fuzz(func(t *testing.T, list string, text []byte) {
		var words []Word
		for line := range strings.SplitSeq(list, "\n") {
			line, exact := strings.CutPrefix(line, "!")
			if len(line) < 2 || strings.ContainsFunc(line, func(r rune) bool { return r >= 0x80 }) || len(words) > 100 {
				continue
			}
			if !exact {
				line = strings.ToLower(line)
			}
			words = append(words, Word{Text: line, Exact: exact})
		}
		for _, filter := range filters() {
			check(t, newFinder(words, filter), text)
		}
	})
}
