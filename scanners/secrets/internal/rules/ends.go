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
// The expression as it was comes first in the widened one, so a token that gitleaks finds is found as gitleaks finds it; and what the
// rest finds ends where a run of the token's own characters ends, so it hides no match inside.

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
	all := "(?:" + pattern + ")" // flags set in it end with it
	for _, b := range branches {
		if token := tokenOf(b); token != nil {
			if behind := after(token); behind != "" {
				all += "|" + token.String() + behind
			}
		}
	}
	if len(all) == len(pattern)+len("(?:)") {
		return pattern
	}
	return all
}

// tokenOf returns what stands before the end of an expression that begins at the edge of a word, without the alternatives that spell out
// too little; nil if nothing is left, or it has another form. Rules that look for a keyword in front of the value do not begin there.
func tokenOf(re *syntax.Regexp) *syntax.Regexp {
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpWordBoundary {
		return nil
	}
	last := len(re.Sub) - 1
	if !slices.ContainsFunc([]string{end, "(?i)" + end}, func(e string) bool {
		x, err := syntax.Parse(e, syntax.Perl)
		return err == nil && x.Equal(re.Sub[last])
	}) {
		return nil
	}
	token := &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: re.Sub[:last]}
	if n, _ := fixed(token); n < minSpelled {
		token = prune(token)
	}
	if n, _ := fixed(token); n < minSpelled {
		return nil
	}
	return token
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

// after returns an expression for what shows that a token is over; "" if the token may have any character.
//
// Neither a character that the token has somewhere nor any other of a word's ends it: a token of fixed length is not to be found at the
// start of a longer string. Nor do base64's, if the token could be a piece of some. What stands before an opening bracket is a name, be it
// of a function as long as a token. Characters that join words, as in file names, end it only if no word follows.
func after(token *syntax.Regexp) string {
	has, ok := alphabet(token)
	if !ok {
		return ""
	}
	_, marked := fixed(token)
	var never, mostly strings.Builder
	for c := range byte(unicode.MaxASCII + 1) {
		switch {
		case isWord(c):
		case has[c], c == '(', c == '[', c == '{', base64(rune(c)) && !marked:
			fmt.Fprintf(&never, `\x%02x`, c)
		case c == '.', c == '-':
			fmt.Fprintf(&mostly, `\x%02x`, c)
		}
	}
	ends := `[^\w` + folding + never.String() + mostly.String() + `]`
	if mostly.Len() > 0 {
		ends += `|[` + mostly.String() + `]\B`
	}
	return "(?:" + ends + ")"
}

// folding are the two runes that are letters of ASCII where case is ignored.
const folding = "\u017f\u212a"

// alphabet returns the characters that a token can have; ok is false if some are neither ASCII nor fold into it.
func alphabet(re *syntax.Regexp) (has [unicode.MaxASCII + 1]bool, ok bool) {
	add := func(lo, hi rune) bool {
		for r := lo; r <= hi; r++ {
			if r <= unicode.MaxASCII {
				has[r] = true
			} else if !strings.ContainsRune(folding, r) {
				return false
			}
		}
		return true
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if ok = add(r, r); !ok {
				return has, false
			}
			if re.Flags&syntax.FoldCase != 0 && r <= unicode.MaxASCII {
				add(unicode.ToUpper(r), unicode.ToUpper(r))
				add(unicode.ToLower(r), unicode.ToLower(r))
			}
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if ok = add(re.Rune[i], re.Rune[i+1]); !ok {
				return has, false
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return has, false
	}
	for _, s := range re.Sub {
		of, ok := alphabet(s)
		if !ok {
			return has, false
		}
		for c := range of {
			has[c] = has[c] || of[c]
		}
	}
	return has, true
}
