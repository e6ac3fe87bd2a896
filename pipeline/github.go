package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v4"
)

// github reads a workflow. What refers to secrets and variables is looked for in the whole tree, whatever the keys; what the rest means is
// actionlint's to say, which goes on where something is wrong.
func (r *reader) github(root *yaml.Node, content []byte) {
	w, problems := actionlint.Parse(content)
	slices.SortFunc(problems, func(a, b *actionlint.Error) int { // it has walked over a map
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	if w == nil {
		r.gap("", "not a workflow: "+first(problems, 0, 1<<30))
		return
	}
	d := r.def
	d.Name, d.Permissions, d.OIDC, d.Env = value(w.Name), permissions(w.Permissions), openIDConnect(root), environ(w.Env)
	for _, e := range w.On {
		r.event(e)
	}
	if len(d.Events) == 0 {
		r.gap("", "no event that starts it: "+first(problems, 0, 1<<30))
	}
	for key, n := range pairs(root) {
		if key.Value != "jobs" {
			d.References = append(d.References, r.references(n, key.Value, "")...)
		}
	}
	r.githubJobs(get(root, "jobs"), w.Jobs, problems)
}

func (r *reader) githubJobs(n *yaml.Node, parsed map[string]*actionlint.Job, problems []*actionlint.Error) {
	type keyed struct{ key, value *yaml.Node }
	var all []keyed
	for key, n := range pairs(n) {
		all = append(all, keyed{key, n})
	}
	seen := map[string]bool{}
	for i, k := range all {
		end := 1 << 30
		if i+1 < len(all) {
			end = all[i+1].key.Line
		}
		why := first(problems, k.key.Line, end)
		part := fmt.Sprintf("job %q", k.key.Value)
		id := strings.ToLower(k.key.Value)
		job := Job{ID: k.key.Value, At: at(k.key), Runner: Runner{Computed: true}}
		if p := parsed[id]; p != nil && !seen[id] {
			job = r.job(p, part, why)
			job.Runner.choose(Node{n: k.value})
		} else {
			r.gap(part, cmp.Or(why, "its name is taken"))
		}
		seen[id] = true
		job.OIDC = openIDConnect(k.value)
		r.jobReferences(&job, k.value, part)
		r.def.Jobs = append(r.def.Jobs, job)
	}
	if len(all) == 0 {
		r.gap("", "no jobs: "+first(problems, 0, 1<<30))
	}
}

// openIDConnect reads a switch of a workflow or a job. See https://forgejo.org/docs/latest/user/actions/reference/#enable-openid-connect; what is true is YAML 1.1's to say.
func openIDConnect(n *yaml.Node) string {
	switch strings.ToLower(text(get(n, "enable-openid-connect"))) {
	case "":
		return ""
	case "true", "yes", "on", "y":
		return "true"
	}
	return "false"
}

// first is the first thing that is wrong on some lines; problems are sorted by line.
func first(problems []*actionlint.Error, from, to int) string {
	i, _ := slices.BinarySearchFunc(problems, from, func(p *actionlint.Error, line int) int { return p.Line - line })
	if i == len(problems) || problems[i].Line >= to {
		return ""
	}
	return fmt.Sprintf("line %d: %s", problems[i].Line, problems[i].Message)
}

// jobReferences gives a job and its steps what they refer to.
func (r *reader) jobReferences(job *Job, n *yaml.Node, part string) {
	for key, n := range pairs(n) {
		if key.Value != "steps" || n.Kind != yaml.SequenceNode {
			job.References = append(job.References, r.references(n, key.Value, part)...)
			continue
		}
		for i, step := range n.Content {
			found := r.references(step, "", part)
			if i < len(job.Steps) {
				job.Steps[i].References = found
			} else {
				job.References = append(job.References, found...)
			}
		}
	}
}

func (r *reader) job(p *actionlint.Job, part, why string) Job {
	job := Job{ID: p.ID.Value, Name: value(p.Name), At: place(p.Pos), Needs: values(p.Needs), Permissions: permissions(p.Permissions), Env: environ(p.Env)}
	if p.If != nil {
		job.Rules = []string{p.If.Value}
	}
	if e := p.Environment; e != nil {
		job.Environment = Text{value(e.Name), computed(value(e.Name)), place(e.Pos)}
	}
	job.Runner = runner(p.RunsOn)
	if p.Container != nil && p.Container.Image != nil {
		job.Code = append(job.Code, imageOf(p.Container.Image.Value, place(p.Container.Image.Pos)))
	}
	if p.Services != nil {
		for _, name := range slices.Sorted(maps.Keys(p.Services.Value)) {
			if c := p.Services.Value[name].Container; c != nil && c.Image != nil {
				job.Code = append(job.Code, imageOf(c.Image.Value, place(c.Image.Pos)))
			}
		}
	}
	if c := p.WorkflowCall; c != nil {
		job.Runner = Runner{}
		job.Call = &Call{Workflow: component(Workflow, value(c.Uses), place(c.Uses.Pos)), Inherit: c.InheritSecrets}
		for _, name := range slices.Sorted(maps.Keys(c.Inputs)) {
			job.Call.With = append(job.Call.With, setting(c.Inputs[name].Name, c.Inputs[name].Value))
		}
		for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
			job.Call.Secrets = append(job.Call.Secrets, setting(c.Secrets[name].Name, c.Secrets[name].Value))
		}
		return job
	}
	for i, s := range p.Steps {
		step := Step{ID: value(s.ID), Name: value(s.Name), If: value(s.If), At: place(s.Pos), Env: environ(s.Env)}
		switch exec := s.Exec.(type) {
		case *actionlint.ExecAction:
			uses := component(Action, value(exec.Uses), place(exec.Uses.Pos))
			step.Uses = &uses
			for _, name := range slices.Sorted(maps.Keys(exec.Inputs)) {
				step.With = append(step.With, setting(exec.Inputs[name].Name, exec.Inputs[name].Value))
			}
		case *actionlint.ExecRun:
			step.Run = value(exec.Run)
		default:
			r.gap(part, cmp.Or(why, fmt.Sprintf("step %d neither runs nor uses anything", i+1)))
		}
		job.Steps = append(job.Steps, step)
	}
	if len(job.Steps) == 0 {
		r.gap(part, cmp.Or(why, "it has no steps"))
	}
	return job
}

func (r *reader) event(e actionlint.Event) {
	switch e := e.(type) {
	case *actionlint.WebhookEvent:
		event := Event{Name: value(e.Hook), At: place(e.Pos)}
		add := func(name string, list []string) {
			if list != nil {
				event.Filters = append(event.Filters, Filter{name, list})
			}
		}
		add("types", values(e.Types))
		for _, f := range []*actionlint.WebhookEventFilter{e.Branches, e.BranchesIgnore, e.Tags, e.TagsIgnore, e.Paths, e.PathsIgnore} {
			if f != nil {
				add(value(f.Name), values(f.Values))
			}
		}
		add("workflows", values(e.Workflows))
		r.def.Events = append(r.def.Events, event)
	case *actionlint.WorkflowCallEvent:
		r.def.Events = append(r.def.Events, Event{Name: e.EventName(), At: place(e.Pos)})
		for _, name := range slices.Sorted(maps.Keys(e.Secrets)) {
			r.def.Formal = append(r.def.Formal, strings.ToUpper(name))
		}
	case *actionlint.RepositoryDispatchEvent:
		event := Event{Name: e.EventName(), At: place(e.Pos)}
		if e.Types != nil {
			event.Filters = []Filter{{"types", values(e.Types)}}
		}
		r.def.Events = append(r.def.Events, event)
	case *actionlint.ScheduledEvent:
		event := Event{Name: e.EventName(), At: place(e.Pos)}
		for _, s := range e.Schedules {
			event.Filters = append(event.Filters, Filter{"cron", []string{value(s.Cron)}})
		}
		r.def.Events = append(r.def.Events, event)
	case *actionlint.WorkflowDispatchEvent:
		r.def.Events = append(r.def.Events, Event{Name: e.EventName(), At: place(e.Pos)})
	case *actionlint.ImageVersionEvent:
		r.def.Events = append(r.def.Events, Event{Name: e.EventName(), At: place(e.Pos)})
	}
}

func runner(p *actionlint.Runner) Runner {
	if p == nil {
		return Runner{Computed: true}
	}
	run := Runner{Labels: values(p.Labels), Group: value(p.Group), Computed: p.LabelsExpr != nil || computed(value(p.Group))}
	run.Computed = run.Computed || slices.ContainsFunc(run.Labels, computed)
	return run
}

// maxScopes: GitHub knows some twenty, and refuses a workflow with any other.
const maxScopes = 100

func permissions(p *actionlint.Permissions) Permissions {
	if p == nil {
		return nil
	}
	out := Permissions{}
	switch value(p.All) {
	case "write-all":
		out[Any] = "write"
	case "read-all":
		out[Any] = "read"
	}
	for _, scope := range slices.Sorted(maps.Keys(p.Scopes)) {
		if len(out) < maxScopes {
			out[scope] = value(p.Scopes[scope].Value)
		}
	}
	return out
}

func environ(p *actionlint.Env) (list []Setting) {
	if p == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.Vars)) {
		list = append(list, setting(p.Vars[name].Name, p.Vars[name].Value))
	}
	return list
}

func setting(name, text *actionlint.String) Setting {
	return Setting{value(name), value(text), place(text.Pos)}
}

func value(s *actionlint.String) string {
	if s == nil {
		return ""
	}
	return s.Value
}

func values(list []*actionlint.String) (out []string) {
	for _, s := range list {
		out = append(out, value(s))
	}
	return out
}

func place(p *actionlint.Pos) Position {
	if p == nil {
		return Position{}
	}
	return Position{p.Line, p.Col}
}
