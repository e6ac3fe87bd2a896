// Package rules reads secret rules in gitleaks' configuration format: the default set that gitleaks 8.30 ships, some of it widened,
// and, over it, a user's own file. The result is plain data; package match gives it its meaning.
//
// A configuration may come from somebody else's repository, so reading one has limits, never runs code of its author's choice,
// and reads no file but through the function it is handed. Format: https://github.com/gitleaks/gitleaks#configuration.
package rules

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"

	"github.com/leakreach/leakreach/audit"
)

// A Set is a whole configuration.
type Set struct {
	Rules []Rule      // sorted by id, ids unique
	Allow []Allowlist // apply to every rule
	Path  string      // of the configuration file, which is itself exempt; "" for none
}

// A Rule finds one kind of secret by content, by path or by both.
type Rule struct {
	ID, Description string
	Regex           string   // "" for a rule on paths alone
	Path            string   // expression the path must match; "" for any
	SecretGroup     int      // group holding the secret; 0 takes the first group that is not empty
	Entropy         float64  // bits per character that the secret must exceed; 0 for any
	Keywords        []string // lower case; one must occur in the content; none means always try
	Tags            []string
	Allow           []Allowlist
	Required        []Required // other rules that must match near by
	SkipReport      bool       // only serves other rules' Required
}

// An Allowlist says what is not a secret.
type Allowlist struct {
	All       bool // every kind of check given must hold, instead of any
	Commits   []string
	Paths     []string // expressions, joined into one alternative in this order
	Regexes   []string // likewise
	Target    Target   // what Regexes look at
	StopWords []string // in the secret, whatever their case
}

// Target is what an allowlist's expressions look at.
type Target uint8

// The targets.
const (
	OnSecret Target = iota
	OnMatch
	OnLine
)

// Required names a rule that must match too, near the first if distances are given.
type Required struct {
	ID                         string
	WithinLines, WithinColumns *int
}

// Limits on a configuration. The default set has 222 rules in 98 kB.
const (
	maxBytes   = 1 << 20
	maxRules   = 5000
	maxNesting = 32
	// maxExtend is how many files deep [extend] path is followed, as in gitleaks.
	maxExtend = 2
)

// A Source is a configuration to read.
type Source struct {
	Data []byte
	Name string // for messages, and the path exempt from scanning
	// Open reads the file named by [extend] path; nil forbids it.
	Open func(name string) ([]byte, error)
}

// Default returns gitleaks' own rules, with tokens that spell out what they are found before any text that cannot continue them. It is
// what [Load] makes of a configuration that says nothing, kept as data, since reading gitleaks' file takes longer than scanning a small
// repository. What it holds by reference is not to be changed.
func Default() *Set {
	return &Set{Rules: slices.Clone(defaultSet.Rules), Allow: slices.Clone(defaultSet.Allow)}
}

// Load reads a configuration. What it does not say is taken from the default set, unless it says `useDefault = false` under
// [extend]. The strings returned are remarks for the user: parts that have no meaning here and were left out.
// Errors name the file, the rule and the key, carry a hint and wrap [audit.ErrUsage].
func Load(src Source) (*Set, []string, error) {
	l, notes, err := load(src, 0)
	if err != nil {
		return nil, notes, usage(err)
	}
	set, more, err := l.translate()
	if err != nil {
		return nil, notes, usage(fmt.Errorf("%s: %w", src.Name, err))
	}
	set.Path = src.Name
	return set, append(notes, more...), nil
}

func usage(err error) error {
	hint := audit.HintOf(err)
	if hint == "" {
		hint = "the format is described at https://github.com/gitleaks/gitleaks#configuration"
	}
	return audit.Hint(fmt.Errorf("%w: reading configuration %w", audit.ErrUsage, err), hint)
}

// A layer is one file as written, before anything is merged or compiled.
type layer struct {
	config.ViperConfig
	name  string
	extra extra
	says  bool // it says whether to use the default
	// late holds [[allowlists]] with targetRules: they apply after merging, and only those of the outermost file.
}

func load(src Source, depth int) (*layer, []string, error) {
	l, err := parse(src.Data, src.Name)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	if l.Extend.URL != "" {
		notes = append(notes, src.Name+": [extend] url is not supported and was left out")
	}
	var base *layer
	switch {
	case l.Extend.Path != "" && l.Extend.UseDefault:
		return nil, notes, fmt.Errorf("%s: [extend] has both path and useDefault", src.Name)
	case l.Extend.Path != "" && depth == maxExtend:
		notes = append(notes, fmt.Sprintf("%s: [extend] path is followed %d files deep; %q was left out", src.Name, maxExtend, l.Extend.Path))
	case l.Extend.Path != "":
		if src.Open == nil {
			return nil, notes, audit.Hint(fmt.Errorf("%s: [extend] path %q cannot be followed here", src.Name, l.Extend.Path),
				"put the rules into one file")
		}
		data, err := src.Open(l.Extend.Path)
		if err != nil {
			return nil, notes, audit.Hint(fmt.Errorf("%s: [extend] path %q: %w", src.Name, l.Extend.Path, err),
				"the path is relative to the configuration file or the working directory, and must stay inside it")
		}
		var more []string
		base, more, err = load(Source{Data: data, Name: l.Extend.Path, Open: src.Open}, depth+1)
		notes = append(notes, more...)
		if err != nil {
			return nil, notes, err
		}
	case l.Extend.UseDefault || !l.says:
		if base, err = standard(); err != nil {
			return nil, notes, err
		}
	}
	if err := l.check(); err != nil {
		return nil, notes, fmt.Errorf("%s: %w", src.Name, err)
	}
	if base != nil {
		notes = append(notes, l.extend(base)...)
	}
	return l, notes, nil
}

// standard is the layer under all others. Widening its expressions here leaves alone those of a user's file, also of the same id.
func standard() (*layer, error) {
	l, err := parse([]byte(config.DefaultConfig), "gitleaks' default configuration")
	if err != nil {
		return nil, err
	}
	for i := range l.Rules {
		if r := &l.Rules[i]; r.SecretGroup == 0 { // a numbered group would be one of the expression as it was
			r.Regex = widen(r.Regex)
		}
	}
	return l, nil
}

// parse decodes one file with a viper of its own: gitleaks' loader uses the global one, and counts files in a global too.
func parse(data []byte, name string) (l *layer, err error) {
	defer func() { // the libraries below were not written for hostile input
		if r := recover(); r != nil {
			l, err = nil, fmt.Errorf("%s: not readable as TOML", name)
		}
	}()
	if len(data) > maxBytes {
		return nil, audit.Hint(fmt.Errorf("%s: %d bytes of configuration", name, len(data)), fmt.Sprintf("at most %d are read", maxBytes))
	}
	if nesting(data) > maxNesting {
		return nil, fmt.Errorf("%s: brackets nested more than %d deep", name, maxNesting)
	}
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l = &layer{name: name, says: v.IsSet("extend.useDefault")}
	if err := v.Unmarshal(&l.ViperConfig); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := v.Unmarshal(&l.extra); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(l.Rules) > maxRules {
		return nil, fmt.Errorf("%s: %d rules, at most %d are read", name, len(l.Rules), maxRules)
	}
	for i := range l.Rules {
		for j, k := range l.Rules[i].Keywords {
			l.Rules[i].Keywords[j] = strings.ToLower(k)
		}
	}
	return l, nil
}

// nesting returns how deep brackets are nested in TOML, so that no recursive parser is handed a million of them.
func nesting(b []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '#':
			if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
				i += n
			} else {
				return deepest
			}
		case '"', '\'':
			quote := b[i : i+1]
			if bytes.HasPrefix(b[i+1:], []byte{c, c}) {
				quote = b[i : i+3]
			}
			i += len(quote)
			for ; i < len(b) && !bytes.HasPrefix(b[i:], quote); i++ {
				if len(quote) == 1 && b[i] == '\n' {
					break // malformed: the parser will say so
				}
				if c == '"' && b[i] == '\\' {
					i++
				}
			}
			i += len(quote) - 1
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	return deepest
}

// check compiles every expression of one file, so that a bad one is named, not met in the middle of a scan.
func (l *layer) check() error {
	for i, r := range l.Rules {
		name := r.ID
		if name == "" {
			name = fmt.Sprintf("rule number %d", i+1)
		}
		if err := compiles(r.Regex); err != nil {
			return fmt.Errorf("%s: regex: %w", name, err)
		}
		if err := compiles(r.Path); err != nil {
			return fmt.Errorf("%s: path: %w", name, err)
		}
		for _, a := range append(slices.Clone(r.Allowlists), r.AllowList) {
			if a == nil {
				continue
			}
			if err := errors.Join(compile("regexes", a.Regexes), compile("paths", a.Paths)); err != nil {
				return fmt.Errorf("%s: allowlist: %w", name, err)
			}
		}
	}
	for _, a := range append(slices.Clone(l.Allowlists), l.AllowList) {
		if a == nil {
			continue
		}
		if err := errors.Join(compile("regexes", a.Regexes), compile("paths", a.Paths)); err != nil {
			return fmt.Errorf("allowlist: %w", err)
		}
	}
	return nil
}

func compile(key string, patterns []string) error {
	for _, p := range patterns {
		if err := compiles(p); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if err := compiles(Join(patterns)); err != nil {
		return fmt.Errorf("%s together: %w", key, err)
	}
	return nil
}

func compiles(pattern string) error {
	_, err := regexp.Compile(pattern)
	if err != nil {
		return audit.Hint(err, "expressions are Go's (RE2): no look-around, no back-references")
	}
	return nil
}

// Join makes one expression of an allowlist's, as gitleaks does: a flag such as (?i) set in one holds for all after it.
func Join(patterns []string) string {
	if len(patterns) == 0 {
		return ""
	}
	return "(?:" + strings.Join(patterns, "|") + ")"
}

// extend lays l over base. A rule of both keeps base's fields where l's are empty, and the lists of both.
func (l *layer) extend(base *layer) (notes []string) {
	at := map[string]int{}
	for i, r := range l.Rules {
		at[r.ID] = i // the last one of an id wins, as in gitleaks
	}
	known := map[string]bool{}
	for i, b := range base.Rules {
		known[b.ID] = true
		if slices.Contains(l.Extend.DisabledRules, b.ID) {
			continue
		}
		if b.AllowList != nil {
			b.Allowlists, b.AllowList = append(b.Allowlists, b.AllowList), nil
		}
		j, both := at[b.ID]
		if !both {
			l.Rules = append(l.Rules, b)
			l.extra.Rules = append(l.extra.Rules, base.extra.rule(i))
			continue
		}
		r := &l.Rules[j]
		if r.AllowList != nil && len(r.Allowlists) == 0 {
			r.Allowlists, r.AllowList = append(r.Allowlists, r.AllowList), nil
		}
		if r.Description == "" {
			r.Description = b.Description
		}
		if r.Entropy == 0 {
			r.Entropy = b.Entropy
		}
		if r.SecretGroup == 0 {
			r.SecretGroup = b.SecretGroup
		}
		if r.Regex == "" {
			r.Regex = b.Regex
		}
		if r.Path == "" {
			r.Path = b.Path
		}
		r.Tags = slices.Concat(b.Tags, r.Tags)
		r.Keywords = slices.Concat(b.Keywords, r.Keywords)
		r.Allowlists = slices.Concat(b.Allowlists, r.Allowlists)
		r.Required, r.SkipReport = b.Required, b.SkipReport // gitleaks takes these from the base alone
		e := l.extra.rule(j)
		if e.Filter == "" {
			e.Filter = base.extra.rule(i).Filter
		}
		l.extra.set(j, e)
	}
	for _, id := range l.Extend.DisabledRules {
		if !known[id] {
			notes = append(notes, fmt.Sprintf("%s: [extend] disabledRules names %q, which does not exist", l.name, id))
		}
	}
	// A base's lists for target rules are lost, as in gitleaks.
	for _, a := range append(slices.Clone(base.Allowlists), base.AllowList) {
		if a != nil && len(a.TargetRules) == 0 {
			if l.AllowList != nil && len(l.Allowlists) == 0 {
				l.Allowlists, l.AllowList = append(l.Allowlists, l.AllowList), nil
			}
			l.Allowlists = append(l.Allowlists, a)
		}
	}
	if l.extra.Filter == "" {
		l.extra.Filter = base.extra.Filter
	}
	if l.extra.Prefilter == "" {
		l.extra.Prefilter = base.extra.Prefilter
	}
	return notes
}

// translate turns the merged file into a Set, with gitleaks' checks.
func (l *layer) translate() (*Set, []string, error) {
	set := &Set{}
	var notes []string
	byID := map[string]int{}
	for i, r := range l.Rules {
		e := l.extra.rule(i)
		out := Rule{ID: r.ID, Description: r.Description, Regex: r.Regex, Path: r.Path, SecretGroup: r.SecretGroup,
			Entropy: r.Entropy, Keywords: r.Keywords, Tags: r.Tags, SkipReport: r.SkipReport}
		switch {
		case strings.TrimSpace(r.ID) == "":
			return nil, notes, fmt.Errorf("rule number %d has no id", i+1)
		case r.Regex == "" && r.Path == "":
			return nil, notes, fmt.Errorf("%s: has neither regex nor path, so it finds nothing", r.ID)
		case r.AllowList != nil && len(r.Allowlists) > 0:
			return nil, notes, fmt.Errorf("%s: [rules.allowlist] is deprecated and cannot be used alongside [[rules.allowlists]]", r.ID)
		case r.SecretGroup < 0 || r.SecretGroup > 0 && r.Regex != "" && r.SecretGroup > groups(r.Regex):
			return nil, notes, fmt.Errorf("%s: secretGroup %d, but the regex has %d groups", r.ID, r.SecretGroup, groups(r.Regex))
		}
		for _, a := range append(slices.Clone(r.Allowlists), r.AllowList) {
			if a == nil {
				continue
			}
			al, err := allowlist(a.Condition, a.RegexTarget, a.Commits, a.Paths, a.Regexes, a.StopWords)
			if err != nil {
				return nil, notes, fmt.Errorf("%s: allowlist: %w", r.ID, err)
			}
			out.Allow = append(out.Allow, al)
		}
		for _, q := range r.Required {
			if q == nil || q.ID == "" {
				return nil, notes, fmt.Errorf("%s: [[rules.required]] without an id", r.ID)
			}
			out.Required = append(out.Required, Required{ID: q.ID, WithinLines: q.WithinLines, WithinColumns: q.WithinColumns})
		}
		notes = append(notes, e.apply(&out)...)
		if at, seen := byID[r.ID]; seen {
			set.Rules[at] = out
		} else {
			byID[r.ID] = len(set.Rules)
			set.Rules = append(set.Rules, out)
		}
	}
	for _, r := range set.Rules {
		for _, q := range r.Required {
			if _, ok := byID[q.ID]; !ok {
				return nil, notes, fmt.Errorf("%s: [[rules.required]] names %q, which does not exist", r.ID, q.ID)
			}
		}
	}
	if l.AllowList != nil && len(l.Allowlists) > 0 {
		return nil, notes, errors.New("[allowlist] is deprecated and cannot be used alongside [[allowlists]]")
	}
	for _, a := range append(slices.Clone(l.Allowlists), l.AllowList) {
		if a == nil {
			continue
		}
		al, err := allowlist(a.Condition, a.RegexTarget, a.Commits, a.Paths, a.Regexes, a.StopWords)
		if err != nil {
			return nil, notes, fmt.Errorf("allowlist: %w", err)
		}
		for _, id := range a.TargetRules {
			at, ok := byID[id]
			if !ok {
				return nil, notes, fmt.Errorf("allowlist: targetRules names %q, which does not exist", id)
			}
			set.Rules[at].Allow = append(set.Rules[at].Allow, al)
		}
		if len(a.TargetRules) == 0 {
			set.Allow = append(set.Allow, al)
		}
	}
	notes = append(notes, l.extra.global(set)...)
	slices.SortStableFunc(set.Rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return set, notes, nil
}

func groups(pattern string) int {
	if !strings.Contains(pattern, "(") {
		return 0
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return 0
	}
	return re.NumSubexp()
}

func allowlist(condition, target string, commits, paths, regexes, stopWords []string) (Allowlist, error) {
	a := Allowlist{Paths: paths, Regexes: regexes}
	switch strings.ToUpper(condition) {
	case "AND", "&&":
		a.All = true
	case "", "OR", "||":
	default:
		return a, fmt.Errorf("condition %q is neither \"or\" nor \"and\"", condition)
	}
	switch target {
	case "", "secret":
	case "match":
		a.Target = OnMatch
	case "line":
		a.Target = OnLine
	default:
		return a, fmt.Errorf("regexTarget %q is none of \"secret\", \"match\" and \"line\"", target)
	}
	for _, c := range commits {
		a.Commits = append(a.Commits, strings.ToLower(strings.TrimSpace(c)))
	}
	for _, s := range stopWords {
		a.StopWords = append(a.StopWords, strings.ToLower(s))
	}
	if len(commits)+len(paths)+len(regexes)+len(stopWords) == 0 {
		return a, errors.New("has none of commits, paths, regexes and stopwords")
	}
	return a, nil
}
