package secrets

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// opened are the entries of gitleaks' default path list that exempt documents, binaries and pictures, because patterns matched on
// their bytes are noise. Here they are opened, and their bytes are scanned by the rules that know a token's shape; only rules that know
// none keep the exemption.
var opened = []string{
	`(?i)\.(?:docx?|xlsx?|pdf|bin|socket|vsidx|v2|suo|wsuo|.dll|pdb|exe|gltf)$`,
	`(?i)\.(?:bmp|gif|jpe?g|png|svg|tiff?)$`, // comments and what EXIF says, text of SVG
}

// locks is the entry that exempts lists of packages, which are full of digests. The addresses in them hold tokens of private
// registries; only rules that go by a name beside the value keep the exemption.
const locks = `(?:^|/)(?:deno\.lock|npm-shrinkwrap\.json|package-lock\.json|pnpm-lock\.yaml|yarn\.lock)$`

// byName begins gitleaks' expressions for values that only the name of their service tells from others.
const byName = `[\w.-]{0,50}?(?:`

// openExempt moves those entries from the global list to the rules that keep them.
func openExempt(set *rules.Set, generic func(rules.Rule) bool) {
	move := func(path string, keeps func(rules.Rule) bool) {
		moved := false
		for i := range set.Allow {
			if a := &set.Allow[i]; !a.All && slices.Contains(a.Paths, path) {
				a.Paths = slices.DeleteFunc(slices.Clone(a.Paths), func(p string) bool { return p == path })
				moved = true
			}
		}
		for i := range set.Rules {
			if r := &set.Rules[i]; moved && keeps(*r) {
				r.Allow = append(slices.Clone(r.Allow), rules.Allowlist{Paths: []string{path}})
			}
		}
	}
	for _, path := range opened {
		move(path, generic)
	}
	move(locks, func(r rules.Rule) bool { return generic(r) || strings.Contains(r.Regex, byName) })
}

// An ownList is a global allowlist of the user's own configuration. gitleaks' default lists speak of gitleaks' rules; the user's
// speak of everything that is found.
type ownList struct {
	rules.Allowlist
	regexes, paths *regexp.Regexp // nil for none
}

// ownLists returns the global lists that the default configuration does not have.
func ownLists(set *rules.Set) []ownList {
	var own []ownList
	def := rules.Default()
	for _, a := range set.Allow {
		if slices.ContainsFunc(def.Allow, func(d rules.Allowlist) bool { return reflect.DeepEqual(a, d) }) {
			continue
		}
		x := ownList{Allowlist: a}
		if len(a.Regexes) > 0 {
			x.regexes = regexp.MustCompile(rules.Join(a.Regexes)) // package rules has compiled it
		}
		if len(a.Paths) > 0 {
			x.paths = regexp.MustCompile(rules.Join(a.Paths))
		}
		own = append(own, x)
	}
	return own
}

// exempts decides about a value on a line as far as its content decides: drop says that it is exempt wherever it lies; keep, if
// not nil, decides by the place.
func (s *Scanner) exempts(value, line string) (drop bool, keep func(audit.Location) bool) {
	var byPlace []ownList
	for _, a := range s.own {
		text := value
		if a.Target == rules.OnLine {
			text = line
		}
		lower := strings.ToLower(value)
		regex := a.regexes != nil && a.regexes.MatchString(text)
		stop := slices.ContainsFunc(a.StopWords, func(w string) bool { return strings.Contains(lower, strings.ToLower(w)) })
		if !a.All && (regex || stop) {
			return true, nil
		}
		if a.All && (a.regexes != nil && !regex || len(a.StopWords) > 0 && !stop) {
			continue
		}
		if a.paths != nil || len(a.Commits) > 0 {
			byPlace = append(byPlace, a)
		} else if a.All {
			return true, nil
		}
	}
	if len(byPlace) == 0 {
		return false, nil
	}
	return false, func(l audit.Location) bool {
		return !slices.ContainsFunc(byPlace, func(a ownList) bool {
			path := a.paths != nil && a.paths.MatchString(l.Path)
			commit := slices.Contains(a.Commits, l.Commit)
			if a.All {
				return (a.paths == nil || path) && (len(a.Commits) == 0 || commit)
			}
			return path || commit
		})
	}
}
