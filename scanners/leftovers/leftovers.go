// Package leftovers finds what tools of attackers leave behind: files of workflows, branches, runners, repositories and authors of commits that have the
// names that those tools give them. Whoever uses a tool can change its names, and few do.
//
// A newcomer starts with [New]. The names are records in tools.json, each with its source; a new one takes no code.
package leftovers

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

//go:embed tools.json
var records []byte

// A tool is what one tool, or one campaign, is known by. Names of repositories and paths may have the wildcards of [path.Match].
type tool struct {
	Tool         string
	Source       string // whose description it is
	Read         string // when
	Branches     []string
	Repositories []string // without their owner
	Runners      []string
	Authors      []string // of commits, as git has them
	Messages     []string // how they begin, in a word of its own
	Workflows    []file
	Texts        []string // that workflows have, and no others
}

// A file is a workflow's: its name, and what it has in it where others are called so, too.
type file struct {
	Path     string
	Contains []string
}

// A Scanner finds leftovers.
type Scanner struct {
	tools []tool
	rules []audit.Rule
}

var _ audit.Scanner = (*Scanner)(nil)

var rule = audit.Rule{
	ID: "attack-leftover", Title: "Trace of a known attack tool", Category: audit.CategoryPipeline, Severity: audit.Critical, CWE: 506, Confidence: audit.MediumConfidence,
	Help: `Tools that steal secrets of pipelines push a branch with a workflow that sends them away, and worms register a runner or make a repository for what they
found. They mostly keep the names that they came with. Where one is found, somebody had the right to push, and the secrets that jobs could take are lost.

Before:

` + "```yaml" + `
branch dev_remote_ea5Eu/test/v1, commit by nord-stream <nord-stream@localhost.com>
` + "```" + `

After:

` + "```yaml" + `
the account or token that pushed it is shut out, the secrets that it could read are renewed, the runner is removed
` + "```" + `

**Not a finding when** a name is only like one of them, as those of scanners for such traces are, or a file of a name that others use, too, has nothing in it
that the tool writes. What people of your own left in an exercise belongs in a baseline.`,
	Fix: []string{
		"Find out who pushed or registered it, and shut out that account, token or key before anything else",
		"Look for runs of it, of deleted branches too: what they printed or sent is lost",
		"Renew all secrets that jobs of the repository could take, then delete what was left",
	},
}

// New makes a scanner; with ids, one that finds nothing unless its rule is among them. It fails only if the records cannot be read.
func New(ids []string) (*Scanner, error) {
	if len(ids) > 0 && !slices.Contains(ids, rule.ID) {
		return &Scanner{}, nil
	}
	s := &Scanner{rules: []audit.Rule{rule}}
	d := json.NewDecoder(bytes.NewReader(records))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.tools); err != nil {
		return nil, fmt.Errorf("reading names of attack tools: %w", err)
	}
	return s, nil
}

// Rules implements [audit.Scanner].
func (s *Scanner) Rules() []audit.Rule { return s.rules }

// Wants takes workflows, wherever in a history they are, commits, runners, and what a repository is called.
func (s *Scanner) Wants(it audit.Item) bool {
	switch it.Kind {
	case audit.KindWorkflow, audit.KindCommit, audit.KindRunner, audit.KindSettings:
		return len(s.tools) > 0
	case audit.KindFile, audit.KindPlace:
		return len(s.tools) > 0 && isWorkflow(it.At.Path)
	}
	return false
}

// isWorkflow tells of a path whether forges take the file for a workflow.
func isWorkflow(p string) bool {
	dir, base := path.Split(p)
	ext := path.Ext(base)
	return (ext == ".yml" || ext == ".yaml") && slices.Contains([]string{".github/workflows/", ".gitea/workflows/", ".forgejo/workflows/"}, dir)
}

// Scan looks for the names in what an item is.
func (s *Scanner) Scan(it audit.Item, content []byte) (found []audit.Finding, _ []audit.Gap) {
	for i := range s.tools {
		t := &s.tools[i]
		for _, trace := range t.in(it, content) {
			x := audit.Finding{
				Rule: rule.ID, Category: rule.Category, Severity: rule.Severity, Title: rule.Title, Fix: rule.Fix,
				Message:   fmt.Sprintf("%s: %s leaves it (%s)", trace, t.Tool, t.Source),
				Locations: []audit.Location{{}},
			}
			switch {
			case it.Kind == audit.KindCommit:
				x.Locations[0].Name = trace // or all of a repository were one
			case isWorkflow(it.At.Path) && (it.Kind != audit.KindPlace || it.At.InHead):
				x.Locations[0].Kind = audit.InWorkflow
			}
			found = append(found, x)
			break // one is enough to tell whose it is
		}
	}
	return found, nil
}

// in are the traces of a tool in an item. They are in our words or the tool's: what follows a marker may be what was stolen.
func (t *tool) in(it audit.Item, content []byte) (traces []string) {
	say := func(what, name string) { traces = append(traces, what+" "+name) }
	switch it.Kind {
	case audit.KindCommit:
		head, message, _ := bytes.Cut(content, []byte("\n\n"))
		for _, who := range t.Authors {
			if bytes.Contains(head, []byte("\nauthor "+who+" ")) || bytes.Contains(head, []byte("\ncommitter "+who+" ")) {
				say("commit by", who)
			}
		}
		for _, word := range t.Messages {
			if rest, ok := bytes.CutPrefix(message, []byte(word)); ok && (len(rest) == 0 || bytes.IndexByte([]byte(": \n"), rest[0]) >= 0) {
				say("commit whose message begins with", word)
			}
		}
		if branch := strings.TrimPrefix(it.At.Ref, "refs/heads/"); slices.Contains(t.Branches, branch) {
			say("branch", branch)
		}
	case audit.KindRunner:
		if it.Entry != nil && slices.Contains(t.Runners, it.Entry.Name) {
			say("runner", it.Entry.Name)
		}
	case audit.KindSettings:
		if it.Entry == nil || it.Entry.Scope != "repository" && it.Entry.Scope != "project" {
			break
		}
		name := path.Base(it.Entry.Name)
		for _, pattern := range t.Repositories {
			if ok, _ := path.Match(pattern, name); ok {
				say("repository", name)
			}
		}
	default:
		if !isWorkflow(it.At.Path) {
			break
		}
		name := path.Base(it.At.Path)
		for _, f := range t.Workflows {
			if ok, _ := path.Match(f.Path, name); ok && f.isIn(content) {
				say("workflow", name)
			}
		}
		for _, text := range t.Texts {
			if bytes.Contains(content, []byte(text)) {
				say("workflow with", text)
			}
		}
	}
	return traces
}

func (f *file) isIn(content []byte) bool {
	return !slices.ContainsFunc(f.Contains, func(text string) bool { return !bytes.Contains(content, []byte(text)) })
}
