// Package resolve follows definitions of pipelines into the files that they call: which job is handed which secret, by the name that its store knows,
// on which events, on which runner, and beside whose code.
//
// A newcomer starts with [GitHub] or [GitLab]. Nothing is fetched: files come from a [pipeline.Lookup], and what it does not have is said to be unknown. A job is
// the unit, not a step: all that runs in it can read what any part of it was handed.
package resolve

import (
	"slices"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// A Result is all jobs of a repository's pipelines.
type Result struct {
	Jobs []Job
	Gaps []audit.Gap // of files that were read. Their Target is the caller's to set
}

// A Job is one that runs, once for each way in which it is called.
type Job struct {
	Place    pipeline.Place // of the file that it is written in
	ID       string         // in that file
	At       pipeline.Position
	Workflow string           // path of the file whose events start it
	Events   []pipeline.Event // that start it, with their filters
	Calls    []Call           // that lead to it, the outermost first
	// Conditions are what has to hold for it to run, as they are written: those of the calls and its own.
	Conditions  []string
	Environment pipeline.Text
	Runner      pipeline.Runner
	// Rights are those that the file states for the job's token, no more than what its callers have. Nil says that the repository's default holds.
	Rights   pipeline.Permissions
	IDTokens []pipeline.Setting // GitLab
	OIDC     bool               // Forgejo: it can have its identity confirmed, as it says itself, or else the file whose events start it
	Secrets  []Secret
	Beside   []Component // whose code it runs
	// Includes are GitLab's: files that are merged into the definition. Any of them can write into any job, by what it presets or by a job of its name.
	Includes []Component
	Unknown  []string // what of it cannot be resolved, and why
}

// A Call is a job that hands over to another file.
type Call struct {
	Place pipeline.Place // of the file that calls
	Job   string
	At    pipeline.Position
}

// A Secret is a secret or variable that a job is handed.
type Secret struct {
	Context pipeline.Context
	Name    string // as its store knows it; Any if it can be any
	As      string // as the job's file calls it
	In      string // where the job takes it: "env.TOKEN"
	At      pipeline.Position
	// Possible says why it is not certain that the value arrives; "" if it is.
	Possible string
}

// A Component is foreign code in a job.
type Component struct {
	pipeline.Component
	Through []string // the components that pull it in, the outermost first, as they are written
	Opaque  bool     // what it pulls in itself is not known
}

// Holds tells whether a job is handed a secret or variable of a name, and where. One that can be any may be it.
func (j *Job) Holds(context pipeline.Context, name string) (s Secret, ok bool) {
	for _, have := range j.Secrets {
		if have.Context == context && have.Name == name {
			return have, true
		}
		if have.Context == context && have.Name == pipeline.Any {
			s, ok = have, true
		}
	}
	return s, ok
}

// Mutable tells whether what a component is can change without a change of the definition.
func (c *Component) Mutable() bool {
	return c.Pin == pipeline.Named || c.Pin == pipeline.Unnamed || c.Pin == pipeline.Computed
}

// Names are the names of one context that any job is handed, each once, sorted.
func (r *Result) Names(context pipeline.Context) (names []string) {
	for i := range r.Jobs {
		for _, s := range r.Jobs[i].Secrets {
			if s.Context == context {
				names = append(names, s.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Readers are the jobs that are handed a secret or variable, among them those that can be handed any.
func (r *Result) Readers(context pipeline.Context, name string) (jobs []*Job) {
	for i := range r.Jobs {
		if _, ok := r.Jobs[i].Holds(context, name); ok {
			jobs = append(jobs, &r.Jobs[i])
		}
	}
	return jobs
}

// Bounds of one repository's resolution. What is beyond them is said.
const (
	// maxCalls is how deep workflows call each other: GitHub allows ten levels with the one that is started (docs.github.com,
	// "Reusing workflow configurations"), and the runner follows actions in actions about as far.
	maxCalls = 10
	// maxJobs keeps files that call each other many times, each with many calls, from growing without end. GitHub itself stops at some hundred jobs
	// a run; a repository with a hundred workflows has some thousand.
	maxJobs = 20_000
	// maxBeside is how many components one job can have; the largest that people write have some dozen.
	maxBeside = 500
	// maxSecrets is at how many places one job can take one. GitHub keeps a hundred for a repository.
	maxSecrets = 2_000
	// maxWork is how many secrets and components all jobs can have together, as workflows that are called from everywhere have theirs each time. It takes
	// less than a second, and some 200 MB; a repository with a hundred workflows has some ten thousand.
	maxWork = 1_000_000
)
