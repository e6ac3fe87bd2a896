package decode

import (
	"bytes"
	"iter"
	"slices"
)

// MaxStarts is how many places of [Starts] are looked at in one text; a list of tokens is no program.
const MaxStarts = 32

// Variable is the encoding of the views of [Decoder.Joined].
const Variable = "variable"

// Bounds of the work for variables: a program that joins them does so near by.
const (
	nearby     = 16 << 10 // bytes before and behind the first piece in which the others are looked for
	maxTimes   = 64       // a name is met there
	maxPieces  = 8        // of one token
	maxGlue    = 12       // bytes between two names, and between a name and its value's sign
	maxTypeLen = 24       // bytes of a type between a name and its value
)

// tokenStarts are what tokens begin with that can be told from words.
var tokenStarts = []string{
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "sk_live_", "rk_live_", "AKIA", "ASIA", "AIza", "npm_",
	"pypi-", "SG.", "hvs.", "dop_v1_", "shpat_", "hf_", "sk-ant-", "sk-proj-", "dapi", "lin_api_", "PMAK-", "ATATT3",
}

// Starts are words, in this case only, that [Decoder.Joined] wants to know the places of: a text without them costs nothing.
func Starts() []string { return slices.Clone(tokenStarts) }

// Joined yields views of text in which tokens are whole that a program keeps in several variables and joins: A="ghp_…", B="…", "$A$B". All of
// such a token stands where its first piece is assigned. The places are those of [Starts] in text, in order.
func (d *Decoder) Joined(text []byte, places []int) iter.Seq[View] {
	return func(yield func(View) bool) {
		one := d.take(text, yield)
		b := one.builder(&source{text: text}, maxDepth-1, Variable)
		for _, at := range places[:min(len(places), MaxStarts)] {
			v := variables{text: text, first: at, lo: max(at-nearby, 0), hi: min(at+nearby, len(text))}
			end, names := v.assigned(at)
			for _, name := range names {
				rest := v.joined(name)
				if len(rest) == 0 || !odd(text[at:end], rest) {
					continue
				}
				b.replace(end, end, rest, 0, 1)
				break
			}
			if one.stopped {
				break
			}
		}
		b.done()
		d.give(one)
	}
}

// variables looks for names and values between lo and hi.
type variables struct {
	text   []byte
	first  int // where the first piece of the token begins
	lo, hi int
}

// assigned returns where the value that begins at i ends, and the names that it may be assigned to: with types behind names these are two.
func (v *variables) assigned(i int) (end int, names [][]byte) {
	k, quote := i, byte(0)
	if isQuote(at(v.text, k-1)) {
		k--
		quote = v.text[k]
	}
	end = i + run(v.text, i, longest)
	if !v.closed(end, quote) {
		return end, nil
	}
	j := v.blanksBefore(k)
	switch at(v.text, j-1) {
	case '=':
		if j--; bytes.IndexByte([]byte("=!<>+-*/"), at(v.text, j-1)) >= 0 {
			return end, nil
		}
		if c := at(v.text, j-1); c == ':' || c == '?' {
			j--
		}
	case ':':
		j--
	default: // #define A "…"
		line := j - column(v.text, j)
		if j == k || !bytes.HasPrefix(v.text[line:], []byte("#define ")) {
			return end, nil
		}
	}
	for range 2 {
		for j = v.blanksBefore(j); bytes.IndexByte([]byte("\"'&:*"), at(v.text, j-1)) >= 0; j-- {
		}
		j = v.blanksBefore(j)
		lo := j
		for lo > 0 && j-lo < maxName && isA(v.text[lo-1], isWord) {
			lo--
		}
		if lo == j {
			break
		}
		names = append(names, v.text[lo:j])
		j = lo
	}
	return end, names
}

// closed reports whether a value ends at i, behind its opening quote or without any.
func (v *variables) closed(i int, quote byte) bool {
	if quote != 0 {
		return at(v.text, i) == quote
	}
	return i >= len(v.text) || bytes.IndexByte([]byte(" \t\r\n;,"), v.text[i]) >= 0
}

func (v *variables) blanksBefore(i int) int {
	for n := 0; n < maxGlue && (at(v.text, i-1) == ' ' || at(v.text, i-1) == '\t'); n++ {
		i--
	}
	return i
}

// each calls f with the end of each place of a name, until it returns false.
func (v *variables) each(name []byte, f func(end int) bool) {
	from := v.lo
	for range maxTimes {
		k := bytes.Index(v.text[from:v.hi], name)
		if k < 0 {
			return
		}
		lo := from + k
		from = lo + len(name)
		if !isA(at(v.text, lo-1), isWord) && !isA(at(v.text, from), isWord) && !f(from) {
			return
		}
	}
}

// joined returns what is joined to a variable where it is used.
func (v *variables) joined(name []byte) (rest []byte) {
	v.each(name, func(end int) bool {
		rest = rest[:0]
		last := name
		for range maxPieces {
			next, isText := v.glue(end-len(last), end)
			if next < 0 {
				break
			}
			piece := after(v.text, next)
			if !isText {
				if k := bytes.IndexFunc(piece, notWord); k >= 0 {
					piece = piece[:k]
				}
				end, last = next+len(piece), piece
				piece = v.value(last)
			} else if end = next + len(piece); next == v.first || !isQuote(at(v.text, end)) {
				break
			}
			if len(piece) == 0 {
				break
			}
			rest = append(rest, piece...)
			if isText {
				break
			}
		}
		return len(rest) == 0
	})
	return rest
}

func notWord(r rune) bool { return r > 0x7f || !isA(byte(r), isWord) }

// glue looks at what follows a name that stands at [lo, hi). It returns where the next name begins that is joined to it, or the text of a
// literal, or -1.
func (v *variables) glue(lo, hi int) (next int, isText bool) {
	k := hi
	var blanks, operators, quotes, signs int
	for ; k < hi+maxGlue && k < len(v.text); k++ {
		switch c := v.text[k]; c {
		case ' ':
			blanks++
		case '+', '.', '&', '~':
			operators++
		case '"', '\'', '`':
			quotes++
		case '$', '%', '{', '}', '(', ')':
			signs++
		default:
			if c := at(v.text, k); k == hi || !isA(c, isToken) {
				return -1, false
			}
			return v.seam(lo, hi, k, blanks, operators, quotes, signs)
		}
	}
	return -1, false
}

// seam judges the glue text[hi:k] by what it is made of.
func (v *variables) seam(lo, hi, k, blanks, operators, quotes, signs int) (next int, isText bool) {
	last, open := v.text[k-1], at(v.text, lo-1) == '{'
	switch {
	case open && k == hi+1 && last == '}': // ${A}text
		return k, true
	case isQuote(last) && quotes == 1 && (operators > 0 || signs == 0): // A + "text", A "text"
		return k, true
	case operators > 2 || blanks > 0 && operators == 0 || bytes.Contains(v.text[hi:k], []byte("&&")): // "$A $B", A && B
		return -1, false
	case operators > 0 && (blanks > 0 || signs > 0) && quotes == 0: // A + B, $A.$B
		return k, false
	case operators == 0 && signs > 0 && (last == '$' || last == '{' || last == '%' || last == '('): // $A$B, {A}{B}, %A%%B%
		return k, false
	}
	return -1, false
}

// value returns the text that a variable has.
func (v *variables) value(name []byte) (value []byte) {
	if len(name) == 0 {
		return nil
	}
	v.each(name, func(end int) bool {
		k := end
		define := bytes.HasPrefix(v.text[end-column(v.text, end):], []byte("#define "))
		for k < len(v.text) && k < end+maxTypeLen && (isA(v.text[k], isWord) || bytes.IndexByte([]byte(" \t\"':&*?"), v.text[k]) >= 0) && v.text[k] != '\n' {
			k++
		}
		switch sign := at(v.text, k); {
		case sign == '=' && at(v.text, k+1) != '=':
			k++
		case bytes.HasPrefix(v.text[end:], []byte(": ")):
			k = end + 1
		case define:
			k = end
		default:
			return true
		}
		for n := 0; n < maxGlue && (at(v.text, k) == ' ' || at(v.text, k) == '\t'); n++ {
			k++
		}
		quote := byte(0)
		if isQuote(at(v.text, k)) {
			quote = v.text[k]
			k++
		}
		piece := after(v.text, k)
		if len(piece) > 0 && v.closed(k+len(piece), quote) {
			value = piece
		}
		return value == nil
	})
	return value
}
