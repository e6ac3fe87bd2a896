package resolve

import (
	"slices"
	"strconv"
	"strings"
)

// A version is numbers, and whether it comes before the release that they name.
type version struct {
	numbers []int
	early   bool // "2.0.0-rc1"
}

// maxNumbers is how many numbers a version has that is understood; people write three.
const maxNumbers = 6

// versionOf reads "v1.2.3", "1.2" and "v2.0.0-rc1". It is not ok of anything else, such as the name of a branch.
func versionOf(text string) (v version, ok bool) {
	text, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "v"), "+")
	text, _, v.early = strings.Cut(text, "-")
	for field := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || len(v.numbers) == maxNumbers {
			return version{}, false
		}
		v.numbers = append(v.numbers, n)
	}
	return v, true
}

// compare tells how a version lies to one that a range ends with. A version that has fewer numbers, such as "v4", can be any that begins with them: of a bound that
// does too, nothing is known.
func (v version) compare(bound version) (order int, known bool) {
	shared := min(len(v.numbers), len(bound.numbers))
	if c := slices.Compare(v.numbers[:shared], bound.numbers[:shared]); c != 0 {
		return c, true
	}
	for _, n := range v.numbers[shared:] {
		if n > 0 {
			return 1, true
		}
	}
	switch {
	case len(bound.numbers) > shared:
		return 0, false
	case v.early == bound.early:
		return 0, !v.early
	case v.early:
		return -1, true
	}
	return 1, true
}

// Version is the one that a component is of: the tag of its commit that says most. It is "" if none of them is a version.
func (m *Meaning) Version() string {
	best, name := version{}, ""
	for _, tag := range m.Tags {
		v, ok := versionOf(tag)
		if !ok {
			continue
		}
		if c := len(v.numbers) - len(best.numbers); name == "" || c > 0 || c == 0 && slices.Compare(v.numbers, best.numbers) > 0 {
			best, name = v, tag
		}
	}
	return name
}

// Affects tells whether a version lies in an advisory's range (docs.github.com/rest/security-advisories: "< 1.2.3", ">= 1.0, < 1.2.3", "= 1.0.0"). It is not known of
// what is no version, and of one that says too little.
func (a *Advisory) Affects(text string) (affected, known bool) {
	v, ok := versionOf(text)
	if !ok || strings.TrimSpace(a.Range) == "" {
		return false, false
	}
	known = true
	for condition := range strings.SplitSeq(a.Range, ",") {
		condition = strings.TrimSpace(condition)
		bound, ok := versionOf(strings.TrimLeft(condition, "<>= "))
		if !ok {
			return false, false
		}
		order, sure := v.compare(bound)
		var holds bool
		switch op := strings.TrimSpace(condition[:len(condition)-len(strings.TrimLeft(condition, "<>="))]); op {
		case "<":
			holds = order < 0
		case "<=":
			holds = order <= 0
		case ">":
			holds = order > 0
		case ">=":
			holds = order >= 0
		case "=":
			holds = order == 0
		default:
			return false, false
		}
		switch {
		case sure && !holds:
			return false, true
		case !sure:
			known = false
		}
	}
	return known, known
}
