package decode

// diffSign returns the sign that a diff has put before the line of i, or 0. What begins with "- " is rather an element of a list.
func diffSign(text []byte, i int) byte {
	lo := i - column(text, i)
	switch c := at(text, lo); {
	case lo < i && (c == '+' || c == '-' && at(text, lo+1) != ' '):
		return c
	}
	return 0
}

// diffed reports whether the run text[lo:hi] begins with a diff's sign: at the beginning of a line, and of the next one too.
func diffed(text []byte, lo, hi int) bool {
	return column(text, lo) == 0 && diffSign(text, lo+1) != 0 && at(text, hi) == '\n' && at(text, hi+1) == text[lo]
}
