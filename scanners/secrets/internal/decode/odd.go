package decode

// An oddity says whether pieces that are joined to one run of token characters can be a secret or part of one, rather than words: joining
// these is all that most seams in programs are for.
type oddity struct {
	odd      bool
	n        int // letters and digits in a row so far
	digits   int
	upper    int
	restarts int // letters after digits
	humps    int // upper case after lower
	last     byte
	slashes  bool // "//" was there: a URL
}

// add appends a piece.
func (o *oddity) add(piece []byte) {
	for _, c := range piece {
		switch {
		case c >= '0' && c <= '9':
			o.digits++
		case c >= 'a' && c <= 'z':
			if isA(o.last, isDigit) {
				o.restarts++
			}
		case c >= 'A' && c <= 'Z':
			o.upper++
			if isA(o.last, isDigit) {
				o.restarts++
			} else if o.last >= 'a' && o.last <= 'z' {
				o.humps++
			}
		default:
			o.settle()
			o.slashes = o.slashes || c == '/' && o.last == '/'
			o.odd = o.odd || c == '@' && o.slashes
			o.last = c
			continue
		}
		o.odd = o.odd || o.last == '=' // a name and its value
		o.last = c
		o.n++
	}
}

// settle ends the letters and digits in a row, and reports whether there was anything odd.
func (o *oddity) settle() bool {
	const minWord, minCapitals = 8, 16 // AKIA and 16 more
	if o.n >= minWord {
		o.odd = o.odd || o.digits >= 3 || o.restarts > 0 || o.humps > 2 && o.humps*5 >= o.n || o.upper+o.digits == o.n && (o.digits > 0 || o.n >= minCapitals)
	}
	o.n, o.digits, o.upper, o.restarts, o.humps = 0, 0, 0, 0, 0
	return o.odd
}

// odd reports whether the pieces, joined, can be a secret.
func odd(pieces ...[]byte) bool {
	var o oddity
	for _, p := range pieces {
		o.add(p)
	}
	return o.settle()
}

// before returns the run of token characters before i, and after that from i on.
func before(text []byte, i int) []byte { return text[i-runBefore(text, i, longest) : i] }

func after(text []byte, i int) []byte { return text[i : i+run(text, i, longest)] }
