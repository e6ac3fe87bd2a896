package definitions

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/pipeline/expression"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

// What a file is.
const (
	isWorkflow = "workflow"
	isAction   = "action"
	isGitLab   = "gitlab"
)

// kindOf says what lies at a path, or "". Workflows run from the root of a repository and from no copy below it.
func kindOf(p string) string {
	dir, base := path.Split(p)
	ext := path.Ext(base)
	if ext != ".yml" && ext != ".yaml" {
		return ""
	}
	switch dir {
	case ".github/workflows/", ".gitea/workflows/", ".forgejo/workflows/":
		return isWorkflow
	}
	for _, foreign := range []string{"node_modules/", "vendor/", "third_party/"} { // what others wrote, and runs from elsewhere
		if strings.HasPrefix(p, foreign) || strings.Contains(p, "/"+foreign) {
			return ""
		}
	}
	switch name := strings.TrimSuffix(base, ext); {
	case name == "action":
		return isAction
	case name == ".gitlab-ci" && dir == "", strings.HasSuffix(name, ".gitlab-ci") && name != ".gitlab-ci":
		return isGitLab
	case strings.HasPrefix(dir, ".gitlab/ci/"), strings.HasPrefix(dir, ".gitlab-ci/"):
		return isGitLab
	}
	return ""
}

// A file is a definition as rules see it.
type file struct {
	*pipeline.Definition
	kind   string
	root   pipeline.Node
	item   audit.Item
	feed   *advisory.Feed
	lock   *pipeline.Lock // that GitHub runs it by; nil if there is none
	jobs   []*job         // of an action one, which has its steps
	merged bool           // the text is not the file's
	names  bool           // it has the word "secrets" in it, and a dialect that has them

	started []string        // by which events, each once, of those that rules ask for
	byID    map[string]*job // the first of each, in lower case
	shared  []string        // secrets that all jobs have
	sets    map[string]bool // variables that the definition itself sets

	followed int                         // names, to find out who writes a text
	looked   map[string]map[string]entry // mappings that names are looked up in: see [file.fold]
}

// An entry is a value of a mapping, with its key as it is written.
type entry struct {
	key   string
	value pipeline.Node
}

// fold is a mapping by its keys in lower case, of which the first one counts. It is made once, for however many names are looked up.
func (f *file) fold(what string, n func() pipeline.Node) map[string]entry {
	m, ok := f.looked[what]
	if ok {
		return m
	}
	m = map[string]entry{}
	for key, value := range n().Pairs() {
		if name := strings.ToLower(key.Text()); m[name] == (entry{}) {
			m[name] = entry{key.Text(), value}
		}
	}
	if f.looked == nil {
		f.looked = map[string]map[string]entry{}
	}
	f.looked[what] = m
	return m
}

// A job is one, or what an action does.
type job struct {
	*file
	node  pipeline.Node
	model *pipeline.Job // nil of an action
	steps []*step
	stake stake
	gate

	ids  map[string]*step  // the first of each id, in lower case
	rows map[string]origin // who writes a key of the matrix
}

// A gate is what the condition of a job or step lets through, read when it is asked for.
type gate struct {
	events []string
	asked  bool
}

// A step is one of a job.
type step struct {
	*job
	node  pipeline.Node
	index int
	uses  *pipeline.Component
	loose string // why the lock file does not hold it, if it could; "" without one
	run   pipeline.Node
	gate

	assignments map[string][]string // of its script, by name
}

func open(it audit.Item, content []byte, feed *advisory.Feed) *file {
	f := &file{kind: kindOf(it.At.Path), item: it, feed: feed}
	if f.kind == "" { // a forge's, of a project that keeps it elsewhere, which GitLab's projects may
		f.kind = isGitLab
	}
	dialect := pipeline.GitHub
	if f.kind == isGitLab {
		dialect, f.merged = pipeline.GitLab, it.Kind == audit.KindWorkflow
	}
	f.Definition = pipeline.Parse(dialect, it.At.Path, content)
	f.names = dialect == pipeline.GitHub && bytes.Contains(bytes.ToLower(content), []byte("secrets"))
	f.root = f.Root()
	if it.Lock != nil && f.kind == isWorkflow {
		f.lock = pipeline.ParseLock(pipeline.LockPath, it.Lock)
	}
	for _, e := range f.Events {
		if (slices.Contains(pipeline.HandedEvents, e.Name) || slices.Contains(pipeline.BareEvents, e.Name) || e.Name == "workflow_call") && !slices.Contains(f.started, e.Name) {
			f.started = append(f.started, e.Name)
		}
	}
	switch f.kind {
	case isAction:
		j := &job{file: f, node: f.root, stake: stake{unknown: true}}
		j.addSteps(f.root.Get("runs", "steps"))
		f.jobs = []*job{j}
	default:
		f.byID = map[string]*job{}
		jobs := f.root.Get("jobs")
		if f.kind == isGitLab {
			jobs = f.root
		}
		nodes := map[string]pipeline.Node{}
		for key, n := range jobs.Pairs() {
			if _, taken := nodes[key.Text()]; !taken {
				nodes[key.Text()] = n
			}
		}
		f.sets = map[string]bool{}
		for _, v := range f.Env {
			f.sets[v.Name] = true
		}
		for i := range f.Jobs {
			for _, v := range f.Jobs[i].Env {
				f.sets[v.Name] = true
			}
		}
		f.shared = f.named(nil, f.References)
		for i := range f.Jobs {
			model := &f.Jobs[i]
			j := &job{file: f, model: model, node: nodes[model.ID]}
			j.stake = f.stakeOf(model)
			j.addSteps(j.node.Get("steps"))
			f.jobs = append(f.jobs, j)
			if id := strings.ToLower(model.ID); f.byID[id] == nil {
				f.byID[id] = j
			}
		}
	}
	if f.kind == isGitLab { // what stands outside of the jobs is for all of them
		for _, n := range []pipeline.Node{f.root, f.root.Get("default")} {
			f.jobs = append(f.jobs, &job{file: f, node: n, model: &pipeline.Job{Template: true}})
		}
	}
	return f
}

// addSteps adds those of a list; some run side by side, as a list in it.
func (j *job) addSteps(list pipeline.Node) {
	for n := range list.Items() {
		if side := n.Get("parallel"); side.IsList() {
			j.addSteps(side)
			continue
		}
		s := &step{job: j, node: n, index: len(j.steps), run: n.Get("run")}
		if uses := n.Get("uses"); uses.Is() {
			c, why := j.lock.Step(j.item.At.Path, uses.Component(pipeline.Action))
			s.uses, s.loose = &c, why
		}
		j.steps = append(j.steps, s)
	}
}

// gaps are what could not be understood. An action has no jobs, which the parser of workflows misses.
func (f *file) gaps() []audit.Gap {
	if f.kind == isAction && f.root.Is() {
		return nil
	}
	if f.lock != nil {
		return slices.Concat(f.Gaps, f.lock.Gaps)
	}
	return f.Gaps
}

// keyAt is where a key of the job stands.
func (j *job) keyAt(name string) pipeline.Position {
	for key := range j.node.Pairs() {
		if key.Text() == name {
			return key.At()
		}
	}
	return j.node.At()
}

// label names a job in messages and findings.
func (j *job) label() string {
	switch {
	case j.model == nil:
		return "action"
	case j.model.ID == "":
		return "all jobs"
	}
	return "job " + j.model.ID
}

// label names a step by what stays when steps are added before it.
func (s *step) label() string {
	name := cmp.Or(s.node.Get("id").Text(), s.node.Get("name").Text())
	if name == "" && s.uses != nil {
		name = s.uses.Text
	}
	if name == "" {
		name, _, _ = strings.Cut(strings.TrimSpace(s.run.Text()), "\n")
	}
	return s.job.label() + ", step " + cmp.Or(name, fmt.Sprint(s.index+1))
}

// is tells whether a step uses one of some actions.
func (s *step) is(names ...string) bool {
	return s.uses != nil && slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, s.uses.Name) })
}

// with is an input of the step's action. Their names do not tell cases apart.
func (s *step) with(name string) pipeline.Node {
	for key, value := range s.node.Get("with").Pairs() {
		if strings.EqualFold(key.Text(), name) {
			return value
		}
	}
	return pipeline.Node{}
}

// A located expression is one with the scalar that it stands in.
type located struct {
	expression.Expression
	in   pipeline.Node
	keys string // of the scalar, joined by dots
}

// text is the expression as it is written.
func (l *located) text() string { return l.in.Text()[l.Start:l.End] }

// expressions yields those of a part of the file that can be read. Conditions without braces are none of them: they have no secrets.
func expressions(n pipeline.Node) iter.Seq[located] {
	return func(yield func(located) bool) {
		for keys, scalar := range n.Scalars() {
			for _, e := range expression.In(scalar.Text()) {
				if e.Root != nil && !yield(located{e, scalar, keys}) {
					return
				}
			}
		}
	}
}

// conditions yields the conditions of a job and its steps, with the name of what each guards.
func (j *job) conditions(yield func(name string, condition pipeline.Node) bool) {
	if c := j.node.Get("if"); j.model != nil && c.Is() && !yield(j.label(), c) {
		return
	}
	for _, s := range j.steps {
		if c := s.node.Get("if"); c.Is() && !yield(s.label(), c) {
			return
		}
	}
}

// stake is what somebody gets who takes over a job.
type stake struct {
	secrets []string // "*" among them if it may have any
	write   []string // scopes that its token may write
	oidc    bool
	unknown bool // the token's rights are the repository's default, or the caller's
}

// maxNamed is how many secrets of a job are kept by name: no message has more than a few.
const maxNamed = 50

// named adds the secrets that references take. On GitLab, whose variables are both, a name tells, unless the definition or the forge sets it.
func (f *file) named(names []string, refs []pipeline.Reference) []string {
	for _, r := range refs {
		switch {
		case len(names) >= maxNamed:
			return names
		case r.Name == "GITHUB_TOKEN", r.Name == "GITEA_TOKEN", slices.Contains(names, r.Name):
		case r.Context == pipeline.Secrets, f.kind == isGitLab && f.isSecret(r.Name):
			names = append(names, r.Name)
		}
	}
	return names
}

// isSecret tells whether a GitLab variable is one that settings hold, and is called as secrets are.
func (f *file) isSecret(variable string) bool {
	return known.SecretName(variable) && !strings.HasPrefix(variable, "CI_") && !f.sets[variable]
}

func (f *file) stakeOf(m *pipeline.Job) (s stake) {
	s.secrets = f.named(slices.Clone(f.shared), m.References)
	for i := range m.Steps {
		s.secrets = f.named(s.secrets, m.Steps[i].References)
	}
	if m.Call != nil && m.Call.Inherit {
		s.secrets = append(s.secrets, pipeline.Any)
	}
	s.oidc = f.Identified(m)
	rights := f.Rights(m)
	s.unknown = rights == nil // as GitLab's are
	for _, scope := range slices.Sorted(maps.Keys(rights)) {
		switch {
		case rights[scope] != "write", scope == "id-token":
		default:
			s.write = append(s.write, scope)
		}
	}
	return s
}

// holds tells whether there is anything to get, as far as it is known.
func (s stake) holds() bool { return len(s.secrets) > 0 || len(s.write) > 0 || s.oidc || s.unknown }

// much tells whether that is surely more than a token that writes comments.
func (s stake) much() bool {
	return len(s.secrets) > 0 || s.oidc || slices.Contains(s.write, pipeline.Any) || slices.Contains(s.write, "contents") || slices.Contains(s.write, "packages")
}

// String says what the job holds, as the end of a sentence.
func (s stake) String() string {
	var parts []string
	switch {
	case slices.Contains(s.secrets, pipeline.Any):
		parts = append(parts, "any secret")
	case len(s.secrets) > 5:
		parts = append(parts, fmt.Sprintf("%d secrets, such as %s", len(s.secrets), strings.Join(s.secrets[:5], ", ")))
	case len(s.secrets) > 0:
		parts = append(parts, "the secrets "+strings.Join(s.secrets, ", "))
	}
	switch {
	case slices.Contains(s.write, pipeline.Any):
		parts = append(parts, "a token that may write everything")
	case len(s.write) > 0:
		parts = append(parts, "a token that may write "+strings.Join(s.write, ", "))
	case s.unknown:
		parts = append(parts, "a token with rights that the definition does not limit")
	}
	if s.oidc {
		parts = append(parts, "an identity that clouds take")
	}
	if len(parts) == 0 {
		return "nothing but a token that reads"
	}
	return strings.Join(parts, ", ")
}

// on are those of some events that start the file's jobs.
func (f *file) on(events []string) (list []string) {
	for _, name := range f.started {
		if slices.Contains(events, name) {
			list = append(list, name)
		}
	}
	return list
}

// on are those that a job runs for: its condition may be false for others.
func (j *job) on(events []string) []string {
	return j.gate.let(events, j.started, j.node)
}

// on are those that a step runs for.
func (s *step) on(events []string) []string {
	return s.gate.let(events, s.job.on(s.started), s.node)
}

// let are those of some events that a condition lets through of those that come.
func (g *gate) let(events, come []string, of pipeline.Node) (list []string) {
	if len(come) > 0 && !g.asked {
		g.asked = true
		condition := expression.Of(of.Get("if").Text())
		for _, event := range come {
			if !excludes(condition, event) {
				g.events = append(g.events, event)
			}
		}
	}
	for _, event := range g.events {
		if slices.Contains(events, event) {
			list = append(list, event)
		}
	}
	return list
}

// excludes tells whether a condition is surely false for an event, or for one that an outsider fires: it asks for another one, or for a member, beside whatever else.
func excludes(condition *expression.Node, event string) bool {
	if condition == nil {
		return false
	}
	switch condition.Kind {
	case expression.And:
		return excludes(condition.Args[0], event) || excludes(condition.Args[1], event)
	case expression.Or:
		return excludes(condition.Args[0], event) && excludes(condition.Args[1], event)
	case expression.Compare:
		for i, side := range condition.Args {
			if other := condition.Args[1-i]; side.Is("github.event_name") && other.Kind == expression.Literal {
				return condition.Text == "==" && !strings.EqualFold(other.Text, event) || condition.Text == "!=" && strings.EqualFold(other.Text, event)
			} else if of, ok := association(side); ok && condition.Text == "==" && other.Kind == expression.Literal {
				return of == author[event] && slices.Contains(members, strings.ToUpper(other.Text))
			}
		}
	case expression.Call:
		if condition.Text != "contains" || len(condition.Args) != 2 {
			return false
		}
		list := condition.Args[0]
		if list.Kind == expression.Call && list.Text == "fromjson" && len(list.Args) == 1 {
			list = list.Args[0]
		}
		of, ok := association(condition.Args[1])
		return ok && of == author[event] && list.Kind == expression.Literal &&
			!slices.ContainsFunc(strangers, func(a string) bool { return strings.Contains(strings.ToUpper(list.Text), a) })
	}
	return false
}

// What who wrote something is to the repository (docs.github.com/en/graphql/reference/enums, CommentAuthorAssociation).
var (
	members   = []string{"OWNER", "MEMBER", "COLLABORATOR"}
	strangers = []string{"CONTRIBUTOR", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN", "NONE"}
)

// author is whose association tells who fired an event, or wrote what it is about.
var author = map[string]string{
	"issue_comment": "comment", "discussion_comment": "comment", "pull_request_review_comment": "comment", "pull_request_review": "review", "issues": "issue",
	"discussion": "discussion", "pull_request": "pull_request", "pull_request_target": "pull_request",
}

// association tells whether a context is what somebody is to the repository, and of which part of the event.
func association(n *expression.Node) (of string, ok bool) {
	if n.Kind != expression.Context {
		return "", false
	}
	of, ok = strings.CutPrefix(n.Text, "github.event.")
	if ok {
		of, ok = strings.CutSuffix(of, ".author_association")
	}
	return of, ok
}

// eventAt is where an event stands.
func (f *file) eventAt(name string) pipeline.Position {
	for _, e := range f.Events {
		if e.Name == name {
			return e.At
		}
	}
	return pipeline.Position{}
}

// computed tells whether a text is only known when the pipeline runs.
func computed(s string) bool { return strings.Contains(s, "${{") }

// selfHosted tells whether a job may ask for a machine of the repository's owner.
func (j *job) selfHosted() bool {
	return j.machine() == ownMachine || j.model != nil && j.model.Runner.Group != ""
}

// isHosted tells whether a label is one of the forge's own machines.
func isHosted(label string) bool {
	hosted, _ := pipeline.Hosted(label)
	return hosted
}

// Whose machine a job runs on, as far as its labels tell.
type machine int

const (
	unknownMachine machine = iota
	ownMachine             // of the repository's owner
	hostedMachine          // of the forge's, thrown away after the job
)

// machine tells whose machine a job asks for: one of the owner's if any of its choices is one.
func (j *job) machine() machine {
	if j.model == nil {
		return unknownMachine
	}
	sets := j.model.Runner.Sets()
	own := func(labels []string) bool {
		return slices.ContainsFunc(labels, func(l string) bool {
			return strings.EqualFold(l, "self-hosted") || j.kind == isGitLab && !isHosted(l) // whose own machines have no other tags
		})
	}
	hosted := func(labels []string) bool {
		return len(labels) > 0 && !slices.ContainsFunc(labels, func(l string) bool { return !isHosted(l) })
	}
	switch {
	case slices.ContainsFunc(sets, own):
		return ownMachine
	case len(sets) > 0 && !j.model.Runner.Computed && !slices.ContainsFunc(sets, func(labels []string) bool { return !hosted(labels) }):
		return hostedMachine
	}
	return unknownMachine
}
