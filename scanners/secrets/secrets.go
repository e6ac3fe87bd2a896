// Package secrets finds credentials: by the rules of gitleaks, by the format of the files that keep them, and by putting the
// halves of AWS keys together; in plain text, in what text encodes, and in what containers hold.
//
// A newcomer starts with [New]. The work on one content is in scan.go; what finds what is in the packages below internal:
// rules (gitleaks' configuration), match (its semantics), archive, decode, credfile and pair.
package secrets

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/archive"
	"github.com/leakreach/leakreach/scanners/secrets/internal/credfile"
	"github.com/leakreach/leakreach/scanners/secrets/internal/decode"
	"github.com/leakreach/leakreach/scanners/secrets/internal/fresh"
	"github.com/leakreach/leakreach/scanners/secrets/internal/literal"
	"github.com/leakreach/leakreach/scanners/secrets/internal/match"
	"github.com/leakreach/leakreach/scanners/secrets/internal/pair"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// Options choose what is looked for. The zero value is all that is known.
type Options struct {
	// Config is a configuration in gitleaks' format, which extends the default one; nil for the default alone.
	Config []byte
	// ConfigPath is the file that Config was read from. With it, [extend] path is followed inside the file's folder and the
	// working directory, and the file itself is not scanned; without, [extend] path is an error.
	ConfigPath string
	// Rules are the ids of the only rules to report; none means all.
	Rules []string
	// Memory bounds how many containers are unpacked at once, and what is held of one.
	Memory audit.Memory
}

// A Scanner finds credentials.
type Scanner struct {
	decoder decode.Decoder
	matcher *match.Matcher
	// The words that the matcher was given are credfile's up to credWords, then pair's up to otherWords, then what tokens begin with.
	credWords, otherWords int32
	byID                  map[string]*audit.Rule
	list                  []audit.Rule
	only                  map[string]bool // nil for all
	own                   []ownList       // what the user's configuration exempts, whatever found it
	seed                  maphash.Seed    // of digests of lines
	hollow                *hollow
	memory                *fresh.Memory
	words                 []string // that chance does not put together
	notes                 []string
	passes                sync.Pool // of *pass
	limits                archive.Limits
	unpacking             chan struct{} // holds one for each container that is being unpacked
}

// unpackMemory is what unpacking a container takes: 48 MiB of dictionaries and buffers, a member of 24 MiB that lies in another one of that
// size, and what the scan of a member makes of it.
const unpackMemory = 192 << 20

// maxBlocks is how many blocks of texts are remembered in which there was nothing: those of some thousand files, in 4 MiB. Versions of a file are read one
// after the other.
const maxBlocks = 1 << 19

// maxUnpacking is more than there are scans at once.
const maxUnpacking = 1 << 10

var _ audit.Joiner = (*Scanner)(nil)

// ruleAWS is the one rule for AWS access keys: gitleaks' rules that find their halves merge into it.
const ruleAWS = "aws-access-key"

// gitleaks' rule for access key ids.
const ruleAWSID = "aws-access-token"

// New prepares a scanner. A configuration that cannot be read, and a rule id that does not exist, are errors that wrap
// [audit.ErrUsage].
func New(o Options) (*Scanner, error) {
	s := &Scanner{seed: maphash.MakeSeed(), hollow: newHollow(), memory: fresh.New(maxBlocks), byID: map[string]*audit.Rule{}}
	s.limits = archive.DefaultLimits()
	s.limits.Memory = int(o.Memory.Share(8, int64(s.limits.Memory)))
	s.limits.MemberBytes = int(o.Memory.Share(16, int64(s.limits.MemberBytes)))
	s.unpacking = make(chan struct{}, max(1, o.Memory.Share(unpackMemory, maxUnpacking)))
	var set *rules.Set
	var err error
	if o.Config == nil {
		set = rules.Default()
	} else {
		src := rules.Source{Data: o.Config, Name: o.ConfigPath}
		if o.ConfigPath == "" {
			src.Name = "configuration"
		} else {
			src.Open = opener(o.ConfigPath)
		}
		set, s.notes, err = rules.Load(src)
		if err == nil && o.ConfigPath == "" {
			set.Path = ""
		}
	}
	if err != nil {
		return nil, err
	}
	for _, r := range set.Rules {
		if !r.SkipReport {
			s.list = append(s.list, describe(r))
		}
		if r.ID == ruleNamed {
			s.words = longWords(r)
		}
	}
	s.list = append(s.list, awsRule, gcpRule)
	for _, r := range credfile.Rules() {
		if !slices.ContainsFunc(s.list, func(have audit.Rule) bool { return have.ID == r.ID }) {
			s.list = append(s.list, r)
		}
	}
	slices.SortFunc(s.list, func(a, b audit.Rule) int { return strings.Compare(a.ID, b.ID) })
	for i := range s.list {
		s.byID[s.list[i].ID] = &s.list[i]
	}
	if err := s.restrict(o.Rules, set); err != nil {
		return nil, err
	}
	if o.Config != nil {
		s.own = ownLists(set)
	}
	openExempt(set, func(r rules.Rule) bool { return s.byID[r.ID] != nil && s.byID[r.ID].Generic })
	creds := credfile.Words()
	halves := pair.Words()
	var starts []literal.Word
	for _, text := range decode.Starts() {
		starts = append(starts, literal.Word{Text: text, Exact: true})
	}
	s.credWords, s.otherWords = int32(len(creds)), int32(len(creds)+len(halves))
	s.matcher = match.New(set, slices.Concat(creds, halves, starts)...)
	return s, nil
}

// restrict leaves only the rules of some ids.
func (s *Scanner) restrict(ids []string, set *rules.Set) error {
	if len(ids) == 0 {
		return nil
	}
	s.only = map[string]bool{}
	for _, id := range ids {
		if s.byID[id] == nil {
			return audit.Hint(fmt.Errorf("%w: no rule %q", audit.ErrUsage, id), "`leakreach rules` lists them")
		}
		s.only[id] = true
	}
	if s.only[ruleAWS] || s.only[ruleAWSID] {
		s.only[ruleAWS], s.only[ruleAWSID] = true, true
	}
	matched := func(id string) bool { return s.only[id] || id == rulePrivateKey && s.only[ruleGCP] }
	needed := map[string]bool{}
	for _, r := range set.Rules {
		for _, q := range r.Required {
			needed[q.ID] = needed[q.ID] || s.only[r.ID]
		}
	}
	set.Rules = slices.DeleteFunc(set.Rules, func(r rules.Rule) bool { return !matched(r.ID) && !needed[r.ID] })
	for i := range set.Rules {
		set.Rules[i].SkipReport = set.Rules[i].SkipReport || !matched(set.Rules[i].ID)
	}
	return nil
}

// opener reads files that a configuration extends, relative to its folder or to the working directory, and nothing outside them.
func opener(config string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		var first error
		for _, dir := range []string{filepath.Dir(config), "."} {
			rel := name
			if filepath.IsAbs(name) {
				abs, err := filepath.Abs(dir)
				if err != nil {
					return nil, err
				}
				if rel, err = filepath.Rel(abs, name); err != nil {
					return nil, err
				}
			}
			b, err := readIn(dir, rel)
			if err == nil {
				return b, nil
			}
			if first == nil {
				first = err
			}
		}
		return nil, first
	}
}

// maxConfig is more than package rules takes, so that it can say so.
const maxConfig = 2 << 20

func readIn(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read
	info, err := root.Stat(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", name, maxConfig)
	}
	return root.ReadFile(filepath.Clean(name))
}

// Notes are remarks on the configuration: parts of it that have no meaning here.
func (s *Scanner) Notes() []string { return slices.Clone(s.notes) }

// Rules lists the rules of the configuration, of the credential files, and those for keys of AWS and Google Cloud.
func (s *Scanner) Rules() []audit.Rule { return slices.Clone(s.list) }

// A Cost says how a rule is searched for in a text, and why not at its keywords alone, which is fastest; Why is "" if it is so.
type Cost struct{ Rule, How, Why string }

// Costs lists what the rules of the configuration cost, by their names.
func (s *Scanner) Costs() (list []Cost) {
	for _, c := range s.matcher.Costs() {
		list = append(list, Cost(c))
	}
	slices.SortFunc(list, func(a, b Cost) int { return strings.Compare(a.Rule, b.Rule) })
	return list
}

// Wants takes everything that has content of its own. Of places it takes those whose path says something.
func (s *Scanner) Wants(it audit.Item) bool {
	switch it.Kind {
	case audit.KindFile, audit.KindCommit, audit.KindPaths, audit.KindVariable, audit.KindStream, audit.KindLog, audit.KindArtifact, audit.KindText,
		audit.KindNames, audit.KindSettings, audit.KindHook, audit.KindEnvironment, audit.KindRunner:
		return true
	case audit.KindPlace:
		return credfile.Wants(it.At.Path) || len(s.matcher.Paths(it.At.Path, it.At.Commit)) > 0
	}
	return false
}

// Join makes one finding of an AWS key whose halves were found apart.
func (s *Scanner) Join(findings []audit.Finding) []audit.Finding { return pair.Join(findings) }

// Scan reports the credentials in content. A location is that of the secret itself: line and column of its first byte, 1-based,
// and of its last; columns count bytes. Of an AWS key the id and the secret half are reported each where it stands, as findings of
// the same credential. In a container the line is that of the member.
func (s *Scanner) Scan(it audit.Item, content []byte) ([]audit.Finding, []audit.Gap) {
	p := s.begin(it)
	switch it.Kind {
	case audit.KindPlace:
		p.place(content)
	case audit.KindVariable:
		p.variable(content)
	case audit.KindPaths:
		p.names(content)
	case audit.KindNames:
		p.called(content)
	default:
		p.file(content)
	}
	return p.done()
}

// file looks at a whole file, and into it if it is a container.
func (p *pass) file(content []byte) {
	if p.members("", content) && archive.Sealed(content) {
		return
	}
	p.text(part{content: content})
	if !p.later && p.item.At.Path != "" {
		p.paths()
	}
}

// members scans what lies in a container, if content is one; prefix leads to it inside the item. It tells whether all of it
// could be read.
func (p *pass) members(prefix string, content []byte) (whole bool) {
	if archive.Kind(content) == "" {
		return false
	}
	key := p.hollow.key(p, lookInside, prefix, content)
	if whole, known := p.hollow.get(key); known {
		return whole
	}
	before := len(p.findings) + len(p.gaps)
	if !p.unpacks {
		p.unpacking <- struct{}{}
		p.unpacks = true
		defer func() { <-p.unpacking; p.unpacks = false }()
	}
	opened := false
	problems := p.unpacker.Walk("", content, p.limits, func(m archive.Member) {
		opened = true
		p.member(part{content: m.Content, path: prefix + "!" + strings.TrimPrefix(m.Path, "!"), text: m.Text})
	})
	for _, pr := range problems {
		what := p.item.At.Path + prefix + "!" + strings.TrimPrefix(pr.What, "!")
		p.gaps = append(p.gaps, audit.Gap{What: strings.Trim(what, "!"), Why: pr.Why})
	}
	whole = opened && len(problems) == 0
	if len(p.findings)+len(p.gaps) == before {
		p.hollow.put(key, whole)
	}
	return whole
}

// member scans a member of a container, if it is not known that there is nothing in it.
func (p *pass) member(in part) {
	if len(in.content) < minHollow {
		p.text(in)
		return
	}
	how := lookMember
	if in.text {
		how = lookDocument
	}
	key := p.hollow.key(p, how, in.path, in.content)
	if _, known := p.hollow.get(key); known {
		return
	}
	before := len(p.findings) + len(p.gaps)
	p.text(in)
	if len(p.findings)+len(p.gaps) == before {
		p.hollow.put(key, true)
	}
}

// names scans a list of names, one a line. The place of a finding is the name itself; lines are those of the list, which nobody
// else sees.
func (p *pass) names(list []byte) {
	p.text(part{content: list})
	lines := bytes.Split(list, []byte("\n"))
	for i := range p.findings {
		l := &p.findings[i].Locations[0]
		name := ""
		if n := l.Line - 1; n >= 0 && n < len(lines) {
			name = strings.ToValidUTF8(string(lines[n]), "\ufffd")
		}
		l.Line, l.EndLine, l.Column, l.EndColumn = 0, 0, 0, 0
		if strings.HasPrefix(name, "refs/") {
			l.Ref = name
		} else {
			l.Path = name
		}
	}
}

// called looks at what an item is called for what has a shape of its own: beside the name of a secret, any other name would do for its value.
func (p *pass) called(names []byte) {
	p.text(part{content: names})
	p.findings = slices.DeleteFunc(p.findings, func(f audit.Finding) bool { return f.Candidate || p.byID[f.Rule] != nil && p.byID[f.Rule].Generic })
	for i := range p.findings {
		l := &p.findings[i].Locations[0]
		l.Line, l.EndLine, l.Column, l.EndColumn = 0, 0, 0, 0
	}
}

// paths reports what the path alone gives away.
func (p *pass) paths() {
	for _, r := range p.matcher.Paths(p.item.At.Path, p.item.At.Commit) {
		p.report(p.byID[r.ID], audit.Location{Rules: []string{r.ID}}, nil, nil)
	}
}

// place looks at a content whose text has been scanned without its path for what only the path tells.
func (p *pass) place(content []byte) {
	p.paths()
	if len(content) > maxCredentialFile {
		return
	}
	t := p.sheet(part{content: content})
	for _, c := range credfile.Because(p.item.At.Path, content) {
		t.credential(content, &c)
	}
	p.free(t)
}

// maxCredentialFile: no tool writes a credential file that large.
const maxCredentialFile = 8 << 20

// variable scans a variable's value behind its name, as it would stand in a file.
func (p *pass) variable(value []byte) {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == '=' {
			return '_'
		}
		return r
	}, p.item.At.Name)
	if archive.Kind(value) != "" || bytes.ContainsAny(value, "\n{<") || name == "" {
		p.file(value) // a file in a variable
	}
	p.text(part{content: slices.Concat([]byte(name), []byte{'='}, value), skip: len(name) + 1})
}

// binary tells whether content is no text, by the same sign as git: a NUL among the first 8000 bytes.
func binary(content []byte) bool {
	return bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0
}
