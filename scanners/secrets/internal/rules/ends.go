package rules

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// Most of gitleaks' expressions demand one of a few things behind a token: a quote, white space, a semicolon, an escaped line
// break, or the end of the text. That keeps rules that know a keyword and a length from reading any word, but a token that
// spells out what it is needs no such help, and stands before < in XML, & in an address, a comma in a table, \" in JSON inside JSON
// and NUL in a program. This file lets such tokens, and no others, end before whatever cannot continue them.
//
// The expression as it was comes first in the widened one, so a token that gitleaks finds is found as gitleaks finds it. What the rest
// finds ends where a run of the token's own characters ends, at none of gitleaks' ends, and has none inside: no token that gitleaks
// finds begins in it.

// end is how gitleaks ends its expressions.
const end = "(?:[\\x60'\"\\s;]|\\\\[nr]|$)"

// minSpelled is how many characters a token must spell out. The shortest prefixes that the default rules have are of three, as hf_;
// the two of Vault's old tokens, s., are in every other method call.
const minSpelled = 3

// widen returns the expression with its tokens ended by anything that cannot continue them. It is unchanged if none of them spells out
// what it is.
func widen(pattern string) string {
	if !strings.HasSuffix(pattern, end) || !strings.Contains(pattern, `\b`) { // most, and parsing costs
		return pattern
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return pattern // who compiles it says so
	}
	branches := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		branches = re.Sub
	}
	var has [unicode.MaxASCII + 1]bool
	for i, b := range branches {
		if branches[i] = beforeEnd(b); branches[i] == nil || !alphabet(branches[i], &has) {
			return pattern
		}
	}
	all := "(?:" + pattern + ")" // flags set in it end with it
	for _, b := range branches {
		if token := tokenOf(b); token != nil {
			_, marked := fixed(token)
			drop(token, '\\')
			all += "|" + token.String() + after(&has, !marked)
		}
	}
	if len(all) == len(pattern)+len("(?:)") {
		return pattern
	}
	return all
}

// beforeEnd returns what stands before the end of an expression; nil if it ends otherwise.
func beforeEnd(re *syntax.Regexp) *syntax.Regexp {
	last := len(re.Sub) - 1
	if re.Op != syntax.OpConcat || !slices.ContainsFunc([]string{end, "(?i)" + end}, func(e string) bool {
		x, err := syntax.Parse(e, syntax.Perl)
		return err == nil && x.Equal(re.Sub[last])
	}) {
		return nil
	}
	return &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: re.Sub[:last]}
}

// tokenOf returns an expression that begins at the edge of a word without the alternatives that spell out too little; nil if nothing is
// left, or it begins otherwise: with what stands in front of a keyword.
func tokenOf(re *syntax.Regexp) *syntax.Regexp {
	if re.Sub[0].Op != syntax.OpWordBoundary {
		return nil
	}
	if n, _ := fixed(re); n < minSpelled {
		re = prune(re)
	}
	if n, _ := fixed(re); n < minSpelled {
		return nil
	}
	return re
}

// prune leaves out alternatives that spell out too little on their own, where another one does not.
func prune(re *syntax.Regexp) *syntax.Regexp {
	out := *re
	out.Sub = nil
	for _, s := range re.Sub {
		if n, _ := fixed(s); re.Op != syntax.OpAlternate || n >= minSpelled {
			out.Sub = append(out.Sub, s)
		}
	}
	if len(out.Sub) == 0 {
		return re
	}
	if re.Op == syntax.OpConcat || re.Op == syntax.OpCapture {
		for i, s := range out.Sub {
			out.Sub[i] = prune(s)
		}
	}
	return &out
}

// fixed counts the characters that are the same in every match, or of which each alternative has as many at least. marked tells whether
// there is always one among them that base64 does not have.
func fixed(re *syntax.Regexp) (n int, marked bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), slices.ContainsFunc(re.Rune, func(r rune) bool { return !base64(r) })
	case syntax.OpCapture, syntax.OpPlus:
		return fixed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return fixed(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, s := range re.Sub {
			k, m := fixed(s)
			n, marked = n+k, marked || m
		}
	case syntax.OpAlternate:
		n, marked = fixed(re.Sub[0])
		for _, s := range re.Sub[1:] {
			k, m := fixed(s)
			n, marked = min(n, k), marked && m
		}
	}
	return n, marked
}

func base64(r rune) bool {
	return r == '+' || r == '/' || r == '=' || r < 0x80 && r != '_' && isWord(byte(r))
}

// after returns an expression for what shows that a token is over.
//
// Neither a character that the expression has somewhere nor any other of a word's ends it: a token of fixed length is not to be found at
// the start of a longer string. Nor do base64's, if the token could be a piece of some, nor bytes that are no text, which is what a
// token's own tail looks like when it is taken for an encoding. What stands before an opening bracket is a name, be it of a function as long
// as a token. Characters that join words, as in file names, end it only if no word follows.
func after(has *[unicode.MaxASCII + 1]bool, piece bool) string {
	var never, mostly strings.Builder
	for c := range byte(unicode.MaxASCII + 1) {
		switch {
		case isWord(c):
		case has[c], c == '(', c == '[', c == '{', base64(rune(c)) && piece:
			fmt.Fprintf(&never, `\x%02x`, c)
		case c == '.', c == '-':
			fmt.Fprintf(&mostly, `\x%02x`, c)
		}
	}
	ends := `[^\w` + folding + `\x{fffd}` + never.String() + mostly.String() + `]`
	if mostly.Len() > 0 {
		ends += `|[` + mostly.String() + `]\B`
	}
	return "(?:" + ends + ")"
}

// folding are the two runes that are letters of ASCII where case is ignored.
const folding = "\u017f\u212a"

// drop takes a character out of the classes. The backslash, which is one for web tokens, begins one of gitleaks' ends too.
func drop(re *syntax.Regexp, c rune) {
	if re.Op == syntax.OpCharClass {
		var rest []rune
		for i := 0; i < len(re.Rune); i += 2 {
			lo, hi := re.Rune[i], re.Rune[i+1]
			if lo <= c && c <= hi {
				if lo < c {
					rest = append(rest, lo, c-1)
				}
				lo = c + 1
			}
			if lo <= hi {
				rest = append(rest, lo, hi)
			}
		}
		re.Rune = rest
	}
	for _, s := range re.Sub {
		drop(s, c)
	}
}

// alphabet adds the characters that matches can have. It returns false if some are neither ASCII nor fold into it.
func alphabet(re *syntax.Regexp, has *[unicode.MaxASCII + 1]bool) bool {
	runes := re.Rune
	switch re.Op {
	case syntax.OpLiteral:
		runes = nil
		for _, r := range re.Rune {
			runes = append(runes, r, r)
			if re.Flags&syntax.FoldCase != 0 {
				runes = append(runes, unicode.ToLower(r), unicode.ToLower(r))
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	}
	for i := 0; i < len(runes); i += 2 {
		for r := runes[i]; r <= runes[i+1]; r++ {
			if r <= unicode.MaxASCII {
				has[r] = true
			} else if !strings.ContainsRune(folding, r) {
				return false
			}
		}
	}
	for _, s := range re.Sub {
		if !alphabet(s, has) {
			return false
		}
	}
	return true
}
