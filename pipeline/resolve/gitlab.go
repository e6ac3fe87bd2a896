package resolve

import (
	"fmt"
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// GitLab resolves a project's definition, with the files that it includes and the child pipelines that it triggers. What a job names is a hint: each job
// on a ref that a variable of the settings is for gets it, named or not.
func GitLab(lookup pipeline.Lookup, path string) *Result {
	g := &gitlab{lookup: lookup}
	place := pipeline.Place{Path: path}
	if content, ok := lookup(place); ok {
		d := pipeline.Merge(place, content, lookup)
		g.pipeline(place, d, nil, nil, nil)
	}
	return &Result{Jobs: g.jobs, Gaps: g.gaps}
}

// GitLab allows two levels of child pipelines (docs.gitlab.com/ci/pipelines/downstream_pipelines).
const maxChildren = 2

// maxPipelines is how many child pipelines are followed: each merges files of its own.
const maxPipelines = 100

type gitlab struct {
	lookup    pipeline.Lookup
	jobs      []Job
	gaps      []audit.Gap
	pipelines int
	work      int
	full      bool // a bound was reached, which was said
}

// pipeline follows the jobs of one pipeline. events start it if calls lead to it; else each job says which start it.
func (g *gitlab) pipeline(place pipeline.Place, d *pipeline.Definition, events []pipeline.Event, calls []Call, when []string) {
	g.gaps = append(g.gaps, d.Gaps...)
	var includes []Component // one list for all jobs
	for _, c := range d.Included {
		includes = append(includes, Component{Component: c})
	}
	for _, c := range d.Includes {
		includes = append(includes, Component{Component: c, Opaque: true})
	}
	for i := range d.Jobs {
		m := &d.Jobs[i]
		if m.Template {
			continue
		}
		if g.full || len(g.jobs) >= maxJobs || g.work >= maxWork {
			if !g.full {
				g.gaps = append(g.gaps, audit.Gap{What: "pipeline definition " + place.Path, Why: "its pipelines have too many jobs to follow"})
			}
			g.full = true
			return
		}
		on := events
		if len(calls) == 0 {
			on = m.Events
		}
		j := Job{
			Place: m.Place, ID: m.ID, At: m.At, Workflow: place.Path, Events: on, Calls: calls, Conditions: slices.Concat(when, m.Rules),
			Environment: m.Environment, Runner: m.Runner, IDTokens: m.IDTokens, Includes: includes,
		}
		handed := hand{job: &j, seen: map[Secret]bool{}, work: &g.work}
		for _, ref := range slices.Concat(d.References, m.References) {
			handed.over([]Secret{{Context: ref.Context, Name: ref.Name, As: ref.Name, In: ref.In, At: ref.At}})
		}
		for _, c := range m.Code[:min(len(m.Code), maxBeside)] {
			j.Beside = append(j.Beside, Component{Component: c})
		}
		if len(m.Code) > maxBeside {
			j.Unknown = append(j.Unknown, fmt.Sprintf("it has more than %d components", maxBeside))
		}
		g.work += len(j.Beside)
		if n := len(d.Includes); n > 0 {
			j.Unknown = append(j.Unknown, fmt.Sprintf("%d files that its definition includes cannot be read, among them %s", n, d.Includes[0].Text))
		}
		if m.Runner.Computed {
			j.Unknown = append(j.Unknown, "which runner it takes is only known when it runs")
		}
		if m.Environment.Computed {
			j.Unknown = append(j.Unknown, "its environment is only known when it runs")
		}
		if m.Trigger != nil {
			g.trigger(place, d, m, &j)
		}
		g.jobs = append(g.jobs, j)
	}
}

// trigger follows a job into the pipeline that it starts. The job itself is kept: what it is handed it can forward.
func (g *gitlab) trigger(place pipeline.Place, d *pipeline.Definition, m *pipeline.Job, j *Job) {
	switch {
	case m.Trigger.Made:
		j.Unknown = append(j.Unknown, "what it triggers is made by a job before it")
	case m.Trigger.Project != "":
		j.Unknown = append(j.Unknown, fmt.Sprintf("what it triggers in %s is not followed", m.Trigger.Project))
	case len(j.Calls) >= maxChildren:
		j.Unknown = append(j.Unknown, fmt.Sprintf("it triggers a pipeline more than %d levels deep", maxChildren))
	case g.pipelines >= maxPipelines:
		j.Unknown = append(j.Unknown, fmt.Sprintf("more than %d pipelines are triggered", maxPipelines))
	default:
		g.pipelines++
		child := d.Child(m, place, g.lookup)
		if child == nil {
			return
		}
		g.pipeline(place, child, j.Events, append(slices.Clone(j.Calls), Call{m.Place, m.ID, m.At}), j.Conditions)
	}
}
