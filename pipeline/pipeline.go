// Package pipeline reads definitions of CI pipelines into one model: what starts them, which jobs they have, on which runners, with which
// rights, which secrets and variables those are handed, and whose code they run.
//
// A newcomer starts with [Parse]. A definition comes from whoever can push to a repository: it is read within bounds, and what of it cannot be
// understood is a gap beside the rest, not an error.
package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/leakreach/leakreach/audit"
)

// A Dialect is the language of a definition.
type Dialect string

// The dialects.
const (
	GitHub Dialect = "github" // GitHub Actions, and Gitea and Forgejo, which took over its language
	GitLab Dialect = "gitlab"
)

// A Definition is one file as it is written: what it includes or calls is named, not followed.
type Definition struct {
	Dialect     Dialect
	Path        string
	Name        string
	Events      []Event     // that start it; of a GitLab definition those that its rules ask for, Any without rules
	Formal      []string    // secrets that a caller hands over: names that hold here and nowhere else
	Permissions Permissions // of the token of jobs that state none
	OIDC        string      // Forgejo: enable-openid-connect of jobs that say nothing, those of called workflows as well: true, false, "" for nothing said
	Env         []Setting
	References  []Reference // outside any job: of Env, which every job gets
	Includes    []Component // GitLab: files whose jobs are not in Jobs
	Included    []Component // GitLab: files whose jobs are, by Merge
	Jobs        []Job       // in the file's order
	// Gaps are what could not be understood. Their Target is the caller's to set.
	Gaps []audit.Gap

	root, heading *yaml.Node // nil if the file could not be read, or has no heading
}

// Whole tells whether all of the definition was understood, and nothing of it lies in other files.
func (d *Definition) Whole() bool { return len(d.Gaps) == 0 && len(d.Includes) == 0 }

// A Position is where something stands in the file, from 1, in bytes.
type Position struct{ Line, Column int }

// An Event starts a pipeline.
type Event struct {
	Name    string // as the forge calls it: "pull_request", "merge_request_event"
	Filters []Filter
	At      Position
}

// Any is the name of an event that stands for all, and the name in a [Reference] that stands for all names.
const Any = "*"

// A Filter limits an event, such as to some branches.
type Filter struct {
	Name   string // as it is written: "branches-ignore"
	Values []string
}

// Permissions are what a job's token may do: read, write or none by scope, with Any for the scopes that are not named. Nil says nothing; an
// empty one grants nothing.
type Permissions map[string]string

// A Setting is a name with its text, such as a variable's or an input's.
type Setting struct {
	Name  string
	Value string
	At    Position
}

// A Job runs on one runner; all that is in it can read what any part of it was handed.
type Job struct {
	ID          string
	Name        string
	Place       Place // of the file that it is written in, by Merge
	At          Position
	Stage       string   // GitLab
	Extends     []string // GitLab: of what it takes all that it does not state
	Template    bool     // GitLab: never runs itself
	Needs       []string
	Rules       []string // conditions, as they are written
	Events      []Event  // GitLab: for which it runs
	Runner      Runner
	Environment Text
	Permissions Permissions
	IDTokens    []Setting // GitLab: names with their audiences
	OIDC        string    // Forgejo: enable-openid-connect: true, false, "" for that of the definition
	Env         []Setting
	Call        *Call       // of a reusable workflow, in place of steps
	Trigger     *Trigger    // GitLab: in place of a script
	Code        []Component // images of the job and its services
	Steps       []Step
	References  []Reference // outside any step
}

// A Runner is what a job asks to run on.
type Runner struct {
	Labels   []string
	Group    string
	Choices  [][]string // sets of labels, where a matrix chooses
	Computed bool       // not known before it runs, or not all of it
}

// Sets are the sets of labels that a job may ask for, as far as they are known, a group as "group:NAME".
func (r *Runner) Sets() (sets [][]string) {
	sets = r.Choices
	if len(sets) == 0 && !r.Computed {
		sets = [][]string{r.Labels}
	}
	if r.Group == "" || computed(r.Group) {
		return sets
	}
	with := [][]string{}
	for _, labels := range sets {
		with = append(with, append(slices.Clone(labels), "group:"+r.Group))
	}
	return with
}

// A Text may only be known when the pipeline runs.
type Text struct {
	Value    string // as it is written
	Computed bool
	At       Position
}

// A Call hands a job over to a reusable workflow.
type Call struct {
	Workflow Component
	With     []Setting
	Secrets  []Setting // what the callee calls them, and what they are
	Inherit  bool      // all of them
}

// A Trigger starts another pipeline.
type Trigger struct {
	Includes []Component // of a child pipeline, which runs in the same project: see Definition.Child
	Made     bool        // its definition is made by a job before
	Project  string      // else that of the pipeline
	At       Position
}

// A Step is one action or script.
type Step struct {
	ID         string
	Name       string
	If         string
	At         Position
	Uses       *Component
	With       []Setting
	Env        []Setting
	Run        string
	References []Reference
}

// Context is where a reference takes a value from.
type Context string

// The contexts.
const (
	Secrets   Context = "secrets"
	Variables Context = "vars"
)

// A Reference is a place at which a secret or variable is handed over.
type Reference struct {
	Context Context
	Name    string // folded to upper case on GitHub, which does not tell cases apart; Any if it can be any
	In      string // the key whose value it stands in, from the step, job or definition on: "env.TOKEN"
	At      Position
}

// A ComponentKind says what kind of foreign code a component is.
type ComponentKind string

// The kinds of components.
const (
	Action    ComponentKind = "action"
	Workflow  ComponentKind = "workflow" // reusable
	Image     ComponentKind = "image"
	Include   ComponentKind = "include"   // GitLab: a file of this or another project, or of an address
	Template  ComponentKind = "template"  // GitLab: of the forge itself
	Catalogue ComponentKind = "component" // GitLab: of the CI/CD catalogue
)

// A Component is code that a pipeline takes from elsewhere.
type Component struct {
	Kind ComponentKind
	Text string // as it is written
	Name string // without the ref: "actions/checkout", "ghcr.io/acme/build"
	Ref  string // after the @ or the image's colon
	Pin  Pin
	// Commit is the one that a lock file holds it at; "" for any other pin than Locked.
	Commit string
	At     Position
}

// Told is the component as it is written, with the commit that a lock file holds it at.
func (c *Component) Told() string {
	if c.Pin == Locked {
		return c.Text + " (held at " + c.Commit + " by the lock file)"
	}
	return c.Text
}

// Exact is the component by what decides which code it is: one that a lock file holds by its commit.
func (c Component) Exact() Component {
	if c.Pin == Locked {
		c.Ref, c.Pin, c.Commit = c.Commit, Commit, ""
	}
	return c
}

// A Pin says what a ref stands for.
type Pin string

// The pins.
const (
	Commit   Pin = "commit" // a full hash
	Digest   Pin = "digest" // of an image
	Named    Pin = "name"   // a tag or a branch: what it means can change
	Locked   Pin = "locked" // a tag or a branch that a lock file holds at a commit
	Unnamed  Pin = "none"   // whatever is newest
	Local    Pin = "local"  // of the same repository
	Computed Pin = "computed"
)

// Bounds. Definitions that people write have some hundred lines; those of machines some thousand.
const (
	maxSize  = 1 << 20 // bytes
	maxText  = 4 << 20 // bytes with aliases written out: an anchor is there to be used a few times
	maxNodes = 200_000 // YAML nodes with aliases written out: some more than a file of maxSize has lines
	maxDepth = 100     // of nesting; schemas end at ten, and matrices and inputs nest a little further
	maxWrong = 100     // expressions of one file that cannot be read: no forge runs such a file
	maxGaps  = 50      // of one file
)

// Parse reads a definition that lies at path. The answer is never nil.
func Parse(dialect Dialect, path string, content []byte) (d *Definition) {
	d = &Definition{Dialect: dialect, Path: path}
	r := &reader{def: d}
	if len(content) > maxSize {
		r.gap("", fmt.Sprintf("larger than %d bytes", maxSize))
		return d
	}
	// The parsers are other people's, and what they are given is hostile.
	defer func() {
		if p := recover(); p != nil {
			d = &Definition{Dialect: dialect, Path: path}
			(&reader{def: d}).gap("", "the parser broke off")
		}
	}()
	root, heading, why := tree(dialect, content)
	d.root, d.heading = root, heading
	switch {
	case why != "":
		r.gap("", why)
	case dialect == GitLab:
		r.gitlab(root)
	default:
		r.github(root, content)
	}
	return d
}

// A reader fills a definition.
type reader struct {
	def   *Definition
	wrong int // expressions that could not be read
}

func (r *reader) gap(part, why string) {
	what := "pipeline definition " + r.def.Path
	if part != "" {
		what += ", " + part
	}
	switch n := len(r.def.Gaps); {
	case n < maxGaps:
		r.def.Gaps = append(r.def.Gaps, audit.Gap{What: short(what), Why: short(why)})
	case n == maxGaps:
		r.def.Gaps = append(r.def.Gaps, audit.Gap{What: short("pipeline definition " + r.def.Path), Why: "more of it could not be understood"})
	}
}

// short cuts a text that comes from a definition: no report wants a megabyte of it.
func short(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
