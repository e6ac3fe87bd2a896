package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/expression"
)

// GitHub resolves the workflows of a repository that lie at some paths, with the reusable workflows and composite actions that they call. Gaps in the
// files at these paths are their reader's.
func GitHub(lookup pipeline.Lookup, paths []string) *Result {
	g := &github{
		lookup: lookup, read: map[pipeline.Place]*pipeline.Definition{}, locks: map[pipeline.Place]*pipeline.Lock{},
		carries: map[*pipeline.Job][]carrier{}, gives: map[*pipeline.Definition]map[string][]output{},
		written: map[*pipeline.Definition]map[string]pipeline.Node{},
	}
	for _, p := range paths {
		g.open(pipeline.Place{Path: p}, false)
	}
	for _, p := range paths {
		place := pipeline.Place{Path: p}
		d := g.open(place, false)
		if d == nil {
			continue
		}
		events := slices.DeleteFunc(slices.Clone(d.Events), func(e pipeline.Event) bool { return e.Name == "workflow_call" })
		if len(events) == 0 && len(d.Events) > 0 {
			continue // runs where it is called only
		}
		g.workflow(&scope{place: place, def: d, workflow: p, events: events, connect: d.OIDC, all: true})
	}
	return &Result{Jobs: g.jobs, Gaps: g.gaps}
}

type github struct {
	lookup  pipeline.Lookup
	read    map[pipeline.Place]*pipeline.Definition
	locks   map[pipeline.Place]*pipeline.Lock // nil where there is none
	gaps    []audit.Gap
	jobs    []Job
	full    bool // a bound was reached, which was said
	work    int
	carries map[*pipeline.Job][]carrier
	gives   map[*pipeline.Definition]map[string][]output
	written map[*pipeline.Definition]map[string]pipeline.Node
}

// A carrier is a place in a job at which it reads an input or another job's output.
type carrier struct {
	in   string
	at   pipeline.Position
	node *expression.Node
}

// An output is what a job hands to others under a name, and takes from a secret or variable.
type output struct {
	job  *pipeline.Job
	name string // "needs.build.outputs.token", in lower case
	ref  pipeline.Reference
}

// A scope is one workflow with what its caller hands it.
type scope struct {
	place    pipeline.Place
	def      *pipeline.Definition
	workflow string
	events   []pipeline.Event
	calls    []Call
	when     []string
	rights   pipeline.Permissions // of the job that calls
	connect  string               // what the first of the callers says of OpenID Connect
	called   bool
	all      bool                // its secrets are the caller's own, by their names: it is started by an event, or inherits
	secrets  map[string][]Secret // by formal name, else
	inputs   map[string][]Secret // what its inputs carry
	doubt    []string            // what is not known of the calls
}

// workflow adds the jobs of a workflow.
func (g *github) workflow(s *scope) {
	for i := range s.def.Jobs {
		if g.full || len(g.jobs) >= maxJobs || g.work >= maxWork {
			if !g.full {
				g.gaps = append(g.gaps, audit.Gap{What: "pipeline definition " + s.workflow, Why: "its calls have too many jobs to follow, as have those after it"})
			}
			g.full = true
			return
		}
		m := &s.def.Jobs[i]
		j := g.job(s, m)
		if m.Call != nil {
			g.call(s, m, &j)
			continue
		}
		g.jobs = append(g.jobs, j)
	}
}

// job is what a job is by itself, before it is told whether it calls.
func (g *github) job(s *scope, m *pipeline.Job) Job {
	j := Job{
		Place: s.place, ID: m.ID, At: m.At, Workflow: s.workflow, Events: s.events, Calls: s.calls, Conditions: slices.Concat(s.when, m.Rules),
		Environment: m.Environment, Runner: m.Runner, Rights: narrowed(s.def.Rights(m), s.rights, s.called), Unknown: slices.Clone(s.doubt),
		OIDC: cmp.Or(m.OIDC, s.connect) == "true",
	}
	refs := slices.Clone(m.References)
	if m.Call == nil {
		refs = append(refs, envOf(s.def)...)
	}
	for i := range m.Steps {
		refs = append(refs, m.Steps[i].References...)
	}
	handed := hand{job: &j, seen: map[Secret]bool{}, work: &g.work}
	for _, ref := range refs {
		handed.over(s.named(ref, m))
	}
	for _, c := range g.carriers(s.def, m) {
		list := s.brought(g.outputs(s.def), c.node)
		for i := range list {
			list[i].In, list[i].At = c.in, c.at
		}
		handed.over(list)
	}
	if m.Runner.Computed && m.Call == nil {
		j.Unknown = append(j.Unknown, "which runner it takes is only known when it runs")
	}
	if m.Environment.Computed {
		j.Unknown = append(j.Unknown, "its environment is only known when it runs")
	}
	g.beside(s, m, &j)
	g.work += len(j.Beside)
	return j
}

// envOf is what a workflow hands to all steps of its jobs, though not to workflows that it calls (docs.github.com, "Contexts reference").
func envOf(d *pipeline.Definition) (refs []pipeline.Reference) {
	for _, ref := range d.References {
		if strings.HasPrefix(ref.In, "env.") {
			refs = append(refs, ref)
		}
	}
	return refs
}

// A hand gives a job its secrets, each name once for each place.
type hand struct {
	job  *Job
	seen map[Secret]bool
	full bool
	work *int
}

func (h *hand) over(list []Secret) {
	*h.work += len(list) + 1
	for _, s := range list {
		switch {
		case h.full || h.seen[s]:
		case len(h.job.Secrets) == maxSecrets:
			h.full = true
			h.job.Unknown = append(h.job.Unknown, fmt.Sprintf("it takes secrets at more than %d places", maxSecrets))
		default:
			h.seen[s] = true
			h.job.Secrets = append(h.job.Secrets, s)
		}
	}
}

// named are the secrets and variables that a reference takes, by the names of the repository whose event started it all. The job's own token is a
// right, not a secret.
func (s *scope) named(ref pipeline.Reference, m *pipeline.Job) (list []Secret) {
	if ref.Context == pipeline.Secrets && (ref.Name == "GITHUB_TOKEN" || ref.Name == "GITEA_TOKEN") {
		return nil
	}
	own := Secret{Context: ref.Context, Name: ref.Name, As: ref.Name, In: ref.In, At: ref.At}
	if ref.Context != pipeline.Secrets || s.all {
		return []Secret{own}
	}
	formal := []string{ref.Name}
	if ref.Name == pipeline.Any {
		formal = slices.Sorted(maps.Keys(s.secrets))
	}
	for _, name := range formal {
		for _, handed := range s.secrets[name] {
			handed.As, handed.In, handed.At = name, ref.In, ref.At
			list = append(list, handed)
		}
	}
	if _, handed := s.secrets[ref.Name]; !handed && (m.Environment.Value != "" || m.Environment.Computed) {
		// Secrets of the environment are seen in called workflows that nobody hands them to (actions/runner#1490), which no document promises.
		own.Possible = "only if its environment has it, though the caller hands nothing of this name over"
		list = append(list, own)
	}
	return list
}

// carriers are where a job reads inputs and other jobs' outputs. An output that a step computes is not followed.
func (g *github) carriers(d *pipeline.Definition, m *pipeline.Job) []carrier {
	if list, ok := g.carries[m]; ok {
		return list
	}
	var list []carrier
	seen := map[string]bool{}
	for keys, scalar := range g.nodes(d)[m.ID].Scalars() {
		for _, e := range expression.In(scalar.Text()) {
			if e.Root == nil {
				continue
			}
			for n := range e.Root.All {
				if (n.Under("inputs") || n.Under("needs")) && !seen[n.Text] {
					seen[n.Text] = true
					list = append(list, carrier{keys, scalar.Place(e.Start), n})
				}
			}
		}
	}
	g.carries[m] = list
	return list
}

// nodes are what is written of a workflow's jobs, by name.
func (g *github) nodes(d *pipeline.Definition) map[string]pipeline.Node {
	all, ok := g.written[d]
	if !ok {
		all = map[string]pipeline.Node{}
		for key, n := range d.Root().Get("jobs").Pairs() {
			all[key.Text()] = n
		}
		g.written[d] = all
	}
	return all
}

// outputs are those of all jobs of a workflow, by name. One that a step computes is not among them.
func (g *github) outputs(d *pipeline.Definition) map[string][]output {
	if all, ok := g.gives[d]; ok {
		return all
	}
	all := map[string][]output{}
	for i := range d.Jobs {
		for _, ref := range d.Jobs[i].References {
			if name, ok := strings.CutPrefix(ref.In, "outputs."); ok {
				o := output{&d.Jobs[i], strings.ToLower("needs." + d.Jobs[i].ID + ".outputs." + name), ref}
				all[o.name] = append(all[o.name], o)
			}
		}
	}
	g.gives[d] = all
	return all
}

// brought is what a context carries: "inputs.name" or "needs.job.outputs.name".
func (s *scope) brought(outputs map[string][]output, n *expression.Node) (list []Secret) {
	if n.Under("inputs") {
		name := strings.TrimPrefix(n.Text, "inputs.")
		for _, have := range slices.Sorted(maps.Keys(s.inputs)) {
			if n.Text == "inputs" || name == pipeline.Any || name == have {
				list = append(list, as("inputs."+have, s.inputs[have])...)
			}
		}
		return list
	}
	if n.Is("needs.*.outputs.*") && !strings.Contains(n.Text, pipeline.Any) {
		return s.given(outputs[n.Text])
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) { // all of a job, or of some that is computed
		if matches(n.Text, name) {
			list = append(list, s.given(outputs[name])...)
		}
	}
	return list
}

// matches tells whether a path, such as "needs.*.outputs" or "needs", stands for a name.
func matches(pattern, name string) bool {
	parts := strings.Split(name, ".")
	for i, p := range strings.Split(pattern, ".") {
		if i < len(parts) && p != pipeline.Any && p != parts[i] {
			return false
		}
	}
	return true
}

// given are the secrets and variables that outputs carry.
func (s *scope) given(outputs []output) (list []Secret) {
	for _, o := range outputs {
		handed := s.named(o.ref, o.job)
		for i := range handed {
			if handed[i].Context == pipeline.Secrets && handed[i].Possible == "" {
				handed[i].Possible = "the runner drops outputs in which it sees a secret, unless it is changed before"
			}
		}
		list = append(list, as(o.name, handed)...)
	}
	return list
}

func as(name string, list []Secret) []Secret {
	list = slices.Clone(list)
	for i := range list {
		list[i].As = name
	}
	return list
}

// call follows a job into the workflow that it calls. Where that cannot be read the job itself stands for all that is in there.
func (g *github) call(s *scope, m *pipeline.Job, j *Job) {
	place, why := calleeOf(s.place, &m.Call.Workflow)
	calls := append(slices.Clone(s.calls), Call{s.place, m.ID, m.At})
	var d *pipeline.Definition
	switch {
	case why != "":
	case len(calls) >= maxCalls:
		why = fmt.Sprintf("%s is called more than %d levels deep", m.Call.Workflow.Text, maxCalls)
	case place == s.place || slices.ContainsFunc(calls, func(c Call) bool { return c.Place == place }):
		why = m.Call.Workflow.Text + " calls itself"
	default:
		if d = g.open(place, true); d == nil {
			why = m.Call.Workflow.Text + " cannot be read"
		} else if len(d.Jobs) == 0 {
			why = m.Call.Workflow.Text + " has no jobs that can be read"
		}
	}
	if why != "" {
		g.opaqueCall(s, m, j, why)
		return
	}
	callee := &scope{
		place: place, def: d, workflow: s.workflow, events: s.events, calls: calls, when: j.Conditions, rights: j.Rights, connect: s.connect, called: true,
		all: s.all && m.Call.Inherit, secrets: map[string][]Secret{}, inputs: map[string][]Secret{}, doubt: s.doubt,
	}
	if m.Call.Inherit {
		callee.secrets = s.secrets
	}
	for _, have := range j.Secrets {
		if name, ok := strings.CutPrefix(have.In, "secrets."); ok {
			name = strings.ToUpper(name)
			callee.secrets[name] = append(callee.secrets[name], have)
		}
		if name, ok := strings.CutPrefix(have.In, "with."); ok {
			name = strings.ToLower(name)
			callee.inputs[name] = append(callee.inputs[name], have)
		}
	}
	g.workflow(callee)
}

func (g *github) opaqueCall(s *scope, m *pipeline.Job, j *Job, why string) {
	j.Unknown = append(j.Unknown, why)
	j.Runner, j.Environment = pipeline.Runner{Computed: true}, pipeline.Text{Computed: true}
	j.Beside = append(j.Beside, Component{Component: m.Call.Workflow, Opaque: true})
	if m.Call.Inherit {
		all := pipeline.Reference{Context: pipeline.Secrets, Name: pipeline.Any, In: "secrets", At: m.Call.Workflow.At}
		j.Secrets = append(j.Secrets, s.named(all, m)...)
	}
	g.jobs = append(g.jobs, *j)
}

// calleeOf is where a called workflow lies. A local one is of the repository and commit of the caller.
func calleeOf(from pipeline.Place, c *pipeline.Component) (p pipeline.Place, why string) {
	switch {
	case c.Pin == pipeline.Computed:
		return p, c.Text + " is only known when it runs"
	case c.Pin == pipeline.Local:
		from.Path = path.Clean(strings.TrimPrefix(strings.TrimPrefix(c.Name, "./"), "$/"))
		return from, ""
	}
	repository, file := split(c.Name)
	return pipeline.Place{Repository: repository, Ref: c.Ref, Path: file}, ""
}

// narrowed are rights that are no wider than the caller's: a called workflow can only take away (docs.github.com, "Reusing workflow configurations").
func narrowed(own, caller pipeline.Permissions, called bool) pipeline.Permissions {
	switch {
	case !called || caller == nil:
		return own
	case own == nil:
		return caller
	}
	rank := []string{"none", "read", "write"}
	of := func(p pipeline.Permissions, scope string) string {
		if right, ok := p[scope]; ok {
			return right
		}
		if right, ok := p[pipeline.Any]; ok {
			return right
		}
		return "none"
	}
	out := pipeline.Permissions{}
	for scope := range maps.Keys(merged(own, caller)) {
		right := of(own, scope)
		if other := of(caller, scope); slices.Index(rank, other) < slices.Index(rank, right) {
			right = other
		}
		out[scope] = right
	}
	return out
}

func merged(a, b pipeline.Permissions) pipeline.Permissions {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// beside collects whose code a job runs: its images, and its steps' actions with what those pull in.
func (g *github) beside(s *scope, m *pipeline.Job, j *Job) {
	for _, c := range m.Code {
		j.Beside = append(j.Beside, Component{Component: c})
	}
	for i := range m.Steps {
		if c := m.Steps[i].Uses; c != nil {
			by := g.hold(s.place)
			g.action(by.component(*c), s.place, nil, by, j)
		}
	}
}

// lock is what workflows beside one run by, which is of their own repository and commit. Gaps in that of the repository itself are its reader's.
func (g *github) lock(beside pipeline.Place) *pipeline.Lock {
	if path.Dir(beside.Path) != path.Dir(pipeline.LockPath) {
		return nil
	}
	at := pipeline.Place{Repository: beside.Repository, Ref: beside.Ref, Path: pipeline.LockPath}
	l, ok := g.locks[at]
	if ok {
		return l
	}
	if content, found := g.lookup(at); found {
		l = pipeline.ParseLock(path.Join(at.Repository, at.Path), content)
		if at.Repository != "" {
			g.gaps = append(g.gaps, l.Gaps...)
		}
	}
	g.locks[at] = l
	return l
}

// A hold says by which part of a lock file the components go that a file names. The zero hold holds none.
type hold struct {
	lock     *pipeline.Lock
	workflow string              // whose steps they are
	outer    *pipeline.Component // else what pulls them in
}

// hold is that of a workflow's steps.
func (g *github) hold(of pipeline.Place) hold {
	if l := g.lock(of); l.Lists(of.Path) {
		return hold{lock: l, workflow: of.Path}
	}
	return hold{}
}

func (h hold) component(c pipeline.Component) pipeline.Component {
	if h.outer != nil {
		return h.lock.Part(h.outer, c)
	}
	c, _ = h.lock.Step(h.workflow, c)
	return c
}

// inside is by what those go that a component names itself: "$/" lies in what names it, "./" is what the job has checked out, and what nobody holds pulls in what it likes.
func (h hold) inside(c *pipeline.Component) hold {
	switch {
	case strings.HasPrefix(c.Name, "$/"):
		return h
	case c.Pin == pipeline.Locked, c.Pin == pipeline.Commit:
		return hold{lock: h.lock, outer: c}
	}
	return hold{}
}

// action adds an action and what it pulls in, as far as that can be read or the lock file tells it. from is the file that names it, by what that goes by.
func (g *github) action(c pipeline.Component, from pipeline.Place, through []string, by hold, j *Job) {
	if len(j.Beside) >= maxBeside {
		if len(j.Beside) == maxBeside {
			j.Beside = append(j.Beside, Component{Component: c, Through: through, Opaque: true})
			j.Unknown = append(j.Unknown, fmt.Sprintf("it has more than %d components", maxBeside))
		}
		return
	}
	at := len(j.Beside)
	j.Beside = append(j.Beside, Component{Component: c, Through: through})
	if c.Kind == pipeline.Image {
		return
	}
	through, by = append(slices.Clone(through), c.Text), by.inside(&c)
	place, d := g.actionFile(c.Exact(), from)
	if d == nil || len(through) > maxCalls {
		j.Beside[at].Opaque = true
		for part := range by.lock.Parts(by.outer) {
			if len(j.Beside) > maxBeside || len(through) > maxCalls {
				return
			}
			if !slices.Contains(through, part.Text) { // else it goes in circles, which GitHub refuses
				g.action(part, place, through, by, j)
			}
		}
		return
	}
	runs := d.Root().Get("runs")
	for step := range runs.Get("steps").Items() {
		if len(j.Beside) > maxBeside {
			return
		}
		if uses := step.Get("uses"); uses.Is() {
			g.action(by.component(uses.Component(pipeline.Action)), place, through, by, j)
		}
	}
	switch image := runs.Get("image"); {
	case strings.HasPrefix(image.Text(), "docker://"):
		j.Beside = append(j.Beside, Component{Component: image.Component(pipeline.Action), Through: through})
	case image.Is(): // built from a file that starts from others' images
		j.Beside[at].Opaque = true
	}
}

// actionFile finds an action's own definition. "./" is what the job has checked out, which is taken to be the repository that is resolved; "$/" is the
// repository of the file that names it.
func (g *github) actionFile(c pipeline.Component, from pipeline.Place) (pipeline.Place, *pipeline.Definition) {
	var place pipeline.Place
	switch {
	case c.Pin == pipeline.Computed:
		return place, nil
	case strings.HasPrefix(c.Name, "$/"):
		place = pipeline.Place{Repository: from.Repository, Ref: from.Ref, Path: c.Name[2:]}
	case c.Pin == pipeline.Local:
		place.Path = c.Name[2:]
	default:
		repository, dir := split(c.Name)
		place = pipeline.Place{Repository: repository, Ref: c.Ref, Path: dir}
	}
	dir := place.Path
	for _, name := range []string{"action.yml", "action.yaml"} {
		place.Path = path.Join(dir, name)
		if d := g.open(place, false); d != nil {
			return place, d
		}
	}
	return place, nil
}

// open reads a file. It is nil if there is none. Gaps in files are kept where gaps is true: an action is no workflow, which the model of one misses.
func (g *github) open(p pipeline.Place, gaps bool) *pipeline.Definition {
	d, ok := g.read[p]
	if ok {
		return d
	}
	if content, found := g.lookup(p); found {
		d = pipeline.Parse(pipeline.GitHub, path.Join(p.Repository, p.Path), content)
		if gaps {
			g.gaps = append(g.gaps, d.Gaps...)
		}
	}
	g.read[p] = d
	return d
}

// split parts the name of an action or workflow, "owner/repository/path", into its repository and path.
func split(name string) (repository, path string) {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 2 {
		return name, ""
	}
	if len(parts) == 3 {
		path = parts[2]
	}
	return parts[0] + "/" + parts[1], path
}
