package match

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
)

// A Cost says how a rule is searched for in a text, and why not at its keywords alone, which is fastest; Why is "" if it is so.
type Cost struct{ Rule, How, Why string }

// Costs lists the rules in their order, those that do not report left out.
func (m *Matcher) Costs() (list []Cost) {
	for _, r := range m.rules {
		if !r.SkipReport {
			how, why := m.cost(r)
			list = append(list, Cost{r.ID, how, why})
		}
	}
	return list
}

func (m *Matcher) cost(r *rule) (how, why string) {
	where := "in text with a keyword"
	switch {
	case r.Regex == "" && r.always:
		return "by path", ""
	case r.Regex == "":
		return "by path, in text with a keyword", ""
	case r.always:
		where, why = "in all text", "no keywords"
	case len(r.odd) > 0:
		why = fmt.Sprintf("a copy of the text in lower case is searched for keyword %q, which is short or not ASCII", r.odd[0])
	default:
		why = r.compile(m.words).why
	}
	x := r.compile(m.words)
	switch {
	case x.anchored && x.own == nil:
		return fmt.Sprintf("at keywords, up to %d bytes back", x.reach), ""
	case x.own != nil:
		return fmt.Sprintf("%s, at %s, up to %d bytes back", where, quoted(x.own), x.reach), why
	case x.plain:
		return where + ", by regexp", why + "; it can match the empty text"
	case x.length < 0:
		return where + ", byte by byte, then by regexp", why + "; matches have no greatest length"
	case x.run.least >= minRun:
		return fmt.Sprintf("%s, around %d bytes of a kind in a row", where, x.run.least), why
	}
	return where + ", byte by byte", why
}

// quoted lists the words of f, or the first of them.
func quoted(f *literal.Finder) string {
	var list []string
	for _, w := range f.Words() {
		if len(list) == 3 {
			list = append(list, "…")
			break
		}
		list = append(list, fmt.Sprintf("%q", w.Text))
	}
	return strings.Join(list, ", ")
}
