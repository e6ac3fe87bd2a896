package graph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// A ReaderEvent starts a job.
type ReaderEvent struct {
	Name    string   `json:"name"`
	Filters []string `json:"filters"` // "branches=main"
	// Outsiders tells whether somebody without rights can fire it so that the job is handed its secrets: yes, no, unknown; Note says how that is decided.
	Outsiders string `json:"outsiders"`
	Note      string `json:"note,omitempty"`
}

// A ReaderEnvironment is what stands between a job and the secrets of its environment, and where it can be passed.
type ReaderEnvironment struct {
	Name     string   `json:"name"`
	Computed bool     `json:"computed"` // what it is called is only known when the job runs
	Exists   string   `json:"exists"`   // yes, no, unknown
	Gates    []string `json:"gates"`
	Holes    []string `json:"holes"`

	facts map[string]string // of the inventory
}

// A ReaderRunner is where a job runs.
type ReaderRunner struct {
	Labels  []string `json:"labels"`
	Group   string   `json:"group,omitempty"`
	Hosted  string   `json:"hosted"`  // the forge's own machine, which serves one job: yes, no, unknown
	Runners []string `json:"runners"` // of the inventory, that may take it
	Holes   []string `json:"holes"`   // who else comes by what it leaves there
}

// detail tells all of a job, once.
func (a *Access) detail(j *job) *ReaderJob {
	if j.told != nil {
		return j.told
	}
	d := &ReaderJob{
		Target: j.place.name, Name: j.Name(), Workflow: j.Workflow, Path: j.Place.Path, Repository: j.Place.Repository, Ref: j.Place.Ref, Line: j.At.Line,
		Calls: []ReaderCall{}, Events: []ReaderEvent{}, Conditions: append([]string{}, j.Conditions...), Permissions: j.Rights, Components: []Beside{},
		Unknown: append([]string{}, j.Unknown...), Environment: j.environment(), Runner: j.runner(), LastRun: j.lastRun(),
	}
	for _, c := range j.Calls {
		d.Calls = append(d.Calls, ReaderCall{c.Job, c.Place.Path, c.At.Line})
	}
	for _, e := range j.Events {
		event := ReaderEvent{Name: e.Name, Filters: []string{}}
		for _, f := range e.Filters {
			for _, v := range f.Values {
				event.Filters = append(event.Filters, f.Name+"="+v)
			}
		}
		event.Outsiders, event.Note = j.place.outsiders(j.dialect, e.Name)
		d.Events = append(d.Events, event)
	}
	order := []string{"yes", "unknown", "no"}
	slices.SortStableFunc(d.Events, func(x, y ReaderEvent) int { return slices.Index(order, x.Outsiders) - slices.Index(order, y.Outsiders) })
	for _, c := range slices.Concat(j.Beside, j.Includes) {
		if c.Pin == pipeline.Local {
			continue
		}
		b := Beside{Kind: c.Kind, Name: c.Name, Ref: c.Ref, Pin: c.Pin, Commit: c.Commit, Mutable: c.Mutable(), Opaque: c.Opaque, Through: c.Through}
		for _, hit := range a.feed.Look(&c.Component, nil) {
			if hit.Through != "" && (len(c.Through) > 0 || j.lockHolds(&c, hit.Component)) { // which goes by inputs that are not known, or stands beside it
				continue
			}
			what := hit.Advisory.ID
			if hit.Malicious {
				what += " (this content)"
			}
			b.Advisories = appendOnce(b.Advisories, what)
		}
		d.Components = append(d.Components, b)
	}
	slices.SortStableFunc(d.Components, func(x, y Beside) int {
		weight := func(b Beside) int {
			switch {
			case len(b.Advisories) > 0:
				return 0
			case b.Mutable:
				return 1
			}
			return 2
		}
		return cmp.Compare(weight(x), weight(y))
	})
	j.told = d
	return d
}

// lastRun is when the job last ran, or on GitHub and Gitea its workflow.
func (j *job) lastRun() *LastRun {
	of, name := "workflow", j.Workflow
	if j.dialect == pipeline.GitLab {
		of, name = "job", j.ID
	}
	for _, e := range j.place.entries[audit.KindLastRun] {
		if e.Name == name {
			return &LastRun{Of: of, At: e.Facts["at"], Event: e.Facts["event"], Conclusion: e.Facts["conclusion"]}
		}
	}
	return nil
}

// outsiders says who fires an event, as GitHub and GitLab document it (docs.github.com, "Events that trigger workflows", "Using secrets in GitHub Actions";
// docs.gitlab.com, "Merge request pipelines").
func (p *place) outsiders(d pipeline.Dialect, event string) (answer, note string) {
	if d == pipeline.GitLab {
		switch event {
		case "merge_request_event", "external_pull_request_event", pipeline.Any:
			switch p.settings["fork_pipelines_in_parent"] {
			case "true":
				return "no", "pipelines of forks may run here, which a member has to start"
			case "false":
				return "no", "pipelines of forks do not run here"
			}
			return "unknown", "whether pipelines of forks run here is not known"
		}
		return "no", ""
	}
	visibility := p.settings["visibility"]
	switch {
	case slices.Contains(pipeline.HandedEvents, event):
		switch visibility {
		case "public":
			return "yes", "anybody fires it, and it is handed all"
		case "":
			return "unknown", "if the repository is public, anybody fires it; it is handed all"
		}
		return "no", "whoever can read the repository fires it, and it is handed all"
	case slices.Contains(pipeline.BareEvents, event):
		switch {
		case p.forge == "github" && (visibility == "private" || visibility == "internal"):
			switch {
			case p.settings["fork_pr_workflows"] == "false" || p.settings["fork_pr_secrets"] == "false":
				return "no", "forks are given none"
			case p.settings["fork_pr_secrets"] == "true":
				return "yes", "forks of this repository are given secrets: whoever can read it can have them"
			}
			return "unknown", "whether forks of this repository are given secrets is not known"
		}
		return "no", "of a branch here it is handed all, of a fork none"
	}
	return "no", ""
}

// environment tells of a job's environment, if it has one.
func (j *job) environment() *ReaderEnvironment {
	if j.Environment.Value == "" && !j.Environment.Computed {
		return nil
	}
	x := &ReaderEnvironment{Name: j.Environment.Value, Computed: j.Environment.Computed, Exists: "unknown", Gates: []string{}, Holes: []string{}}
	if x.Computed || j.place.forge == "" {
		return x
	}
	for _, e := range j.place.entries[audit.KindEnvironment] {
		if j.dialect == pipeline.GitHub && strings.EqualFold(e.Name, x.Name) || e.Name == x.Name || j.dialect == pipeline.GitLab && strings.Contains(e.Name, "*") && pipeline.Glob(e.Name, x.Name) {
			x.Exists, x.facts = "yes", e.Facts
			x.Gates, x.Holes = gates(j.dialect, e.Facts)
			return x
		}
	}
	if !slices.ContainsFunc(j.place.gaps, func(g audit.Gap) bool { return about(g.What, "environment") }) {
		x.Exists = "no"
		x.Holes = append(x.Holes, "it does not exist: it is made when it is first used, and nothing guards it")
	}
	return x
}

// gates are what guards an environment, and where that can be passed.
func gates(d pipeline.Dialect, f map[string]string) (gates, holes []string) {
	gates, holes = []string{}, []string{}
	if d == pipeline.GitLab {
		switch {
		case f["protected"] == "true":
			gates = append(gates, "protected: "+cmp.Or(f["deploy_access"], "nobody that is known")+" may deploy")
		case f["protected"] == "false":
			holes = append(holes, "it is not protected: whoever may push can name it")
		}
		if n := f["required_approvals"]; n != "" && n != "0" {
			gates = append(gates, n+" approvals")
		}
		return gates, holes
	}
	switch reviewers := f["reviewers"]; {
	case reviewers != "":
		gates = append(gates, "reviewed by "+reviewers)
		if f["prevent_self_review"] == "false" {
			holes = append(holes, "whoever starts a run may review it")
		}
	case f["protection_rules"] != "" && strings.Contains(f["protection_rules"], "required_reviewers"):
		gates = append(gates, "reviewed by somebody who is not known")
	default:
		holes = append(holes, "nobody reviews")
	}
	switch f["branches"] {
	case "protected":
		gates = append(gates, "protected branches only")
	case "selected":
		gates = append(gates, "branches "+cmp.Or(f["branch_policies"], "that are not known"))
	case "all":
		holes = append(holes, "any branch may use it")
	}
	if n := f["wait_minutes"]; n != "" && n != "0" {
		gates = append(gates, "waits "+n+" minutes")
	}
	if f["custom_rules"] != "" {
		gates = append(gates, "asks "+f["custom_rules"])
	}
	if f["can_admins_bypass"] == "true" {
		holes = append(holes, "administrators may pass it by")
	}
	return gates, holes
}

// maxRunners is how many runners are named; one that is one of a hundred is none to look at by itself.
const maxRunners = 10

// runner tells where a job runs.
func (j *job) runner() ReaderRunner {
	r := ReaderRunner{Labels: append([]string{}, j.Runner.Labels...), Group: j.Runner.Group, Hosted: "unknown", Runners: []string{}, Holes: []string{}}
	if j.Runner.Computed {
		return r
	}
	if j.dialect == pipeline.GitHub && r.Group == "" && len(r.Labels) == 1 && j.place.forge != "gitea" {
		if _, exact := pipeline.Hosted(r.Labels[0]); exact { // others may be somebody's own
			r.Hosted = "yes"
			return r
		}
	}
	if slices.Contains(r.Labels, "self-hosted") {
		r.Hosted = "no"
	}
	for _, o := range append([]*place{j.place}, j.place.above...) {
		for _, e := range o.candidates(j) {
			if !takes(j, e) {
				continue
			}
			r.Hosted = "no"
			if len(r.Runners) == maxRunners {
				r.Runners = append(r.Runners, "…")
			}
			if len(r.Runners) > maxRunners {
				return r
			}
			r.Runners = appendOnce(r.Runners, e.Name)
			if e.Facts["ephemeral"] == "false" {
				r.Holes = appendOnce(r.Holes, e.Name+" goes on after the job: later jobs find what it leaves")
			}
			if o != j.place && e.Facts["locked"] != "true" {
				r.Holes = appendOnce(r.Holes, e.Name+" serves others of "+o.name+", too")
			}
		}
	}
	return r
}

// candidates are runners among which those that take a job are: those with its rarest label.
func (p *place) candidates(j *job) (rarest []*audit.Entry) {
	if len(j.Runner.Labels) == 0 {
		return p.entries[audit.KindRunner]
	}
	if p.runners == nil {
		p.runners = map[string][]*audit.Entry{}
		for _, e := range p.entries[audit.KindRunner] {
			for label := range strings.SplitSeq(strings.ToLower(e.Facts["labels"]), ",") {
				p.runners[label] = append(p.runners[label], e)
			}
		}
	}
	rarest = p.runners[strings.ToLower(j.Runner.Labels[0])]
	for _, l := range j.Runner.Labels[1:] {
		if some := p.runners[strings.ToLower(l)]; len(some) < len(rarest) {
			rarest = some
		}
	}
	return rarest
}

// takes tells whether a runner takes a job.
func takes(j *job, e *audit.Entry) bool {
	if e.Facts["paused"] == "true" || j.Runner.Group != "" && !strings.EqualFold(j.Runner.Group, e.Facts["group"]) {
		return false
	}
	has := strings.Split(e.Facts["labels"], ",")
	if len(j.Runner.Labels) == 0 {
		return j.dialect == pipeline.GitLab && e.Facts["run_untagged"] == "true" || j.Runner.Group != ""
	}
	return !slices.ContainsFunc(j.Runner.Labels, func(l string) bool {
		return !slices.ContainsFunc(has, func(h string) bool { return strings.EqualFold(h, l) })
	})
}

// people are those who can read a secret without any job that there is: by a job of their own. approve are those who let jobs have it.
func (a *Access) people(s *Readers, where []*place) (people, approve []string) {
	var e map[string]string
	if s.env != "" {
		for _, x := range where {
			for _, have := range x.entries[audit.KindEnvironment] {
				if strings.EqualFold(have.Name, s.env) {
					e = have.Facts
				}
			}
		}
	}
	if e["reviewers"] != "" {
		for who := range strings.SplitSeq(e["reviewers"], ",") {
			approve = append(approve, who)
		}
		if e["can_admins_bypass"] == "true" {
			approve = append(approve, "RepositoryRole:admin")
		}
	}
	if s.dialect == pipeline.GitLab {
		return a.peopleOfGitLab(s, where), approve
	}
	branch := "any branch"
	switch e["branches"] {
	case "protected":
		branch = "a protected branch"
	case "selected":
		branch = "the branches " + cmp.Or(e["branch_policies"], "that its policy names")
	}
	then := ""
	if e["reviewers"] != "" {
		then = ", once a reviewer lets the run pass"
	}
	for _, p := range first(where, 20) {
		people = append(people, fmt.Sprintf("whoever may push to %s of %s, by a workflow of their own%s", branch, p.name, then))
		for _, r := range p.entries[audit.KindProtection] {
			f := r.Facts
			if e["branches"] == "protected" && f["of"] == "branch" && f["push"] != "" {
				but := ""
				if f["bypass"] != "" {
					but = ", past whose rules may " + f["bypass"]
				}
				people = append(people, fmt.Sprintf("though to the protected branch %s of %s only %s%s", r.Name, p.name, f["push"], but))
			}
			every := about(","+f["refs"]+",", ",~ALL,", ",*,", ",**,", ",**/*,", ",refs/heads/**,")
			if f["of"] == "ruleset" && f["enforcement"] == "active" && f["target"] != "tag" && every && about(f["rules"], "creation", "pull_request", "update") {
				people = append(people, fmt.Sprintf("though the ruleset %s of %s stops unreviewed pushes to all branches, but for %s", r.Name, p.name, cmp.Or(f["bypass"], "nobody that is known")))
			}
		}
		for _, k := range p.entries[audit.KindDeployKey] {
			if k.Facts["read_only"] == "false" {
				people = append(people, "whoever has the deploy key "+k.Name+" of "+p.name+", which may push")
			}
		}
	}
	if n := len(where); n > 20 {
		people = append(people, fmt.Sprintf("and likewise of %d more repositories", n-20))
	}
	owners := map[*place]bool{}
	for _, p := range where {
		for _, o := range append([]*place{p}, p.above...) {
			if owners[o] {
				continue
			}
			owners[o] = true
			if role := o.settings["members_may"]; role == "write" || role == "admin" {
				people = append(people, "every member of "+o.name+" may push to its repositories")
			}
			for _, app := range o.entries[audit.KindApp] {
				if about(","+app.Facts["permissions"]+",", ",contents=write,", ",workflows=write,") {
					people = append(people, "the app "+app.Name+" of "+o.name+", which may push")
				}
			}
		}
	}
	return people, approve
}

// peopleOfGitLab are those who push to where it is handed out, and those who read it on the settings' page.
func (a *Access) peopleOfGitLab(s *Readers, where []*place) (people []string) {
	protected := s.Facts["protected"] == "true"
	for _, p := range first(where, 20) {
		if !protected {
			people = append(people, "Developer and above of "+p.name+", by a job of their own on any branch")
			continue
		}
		for _, r := range p.entries[audit.KindProtection] {
			var who []string
			for _, right := range []string{"push", "merge", "create"} {
				if f := r.Facts[right]; f != "" && f != "No one" && f != "none" {
					who = append(who, right+": "+f)
				}
			}
			if len(who) > 0 && (r.Facts["of"] == "branch" || r.Facts["of"] == "tag") {
				people = append(people, fmt.Sprintf("by a job of their own on the protected %s %s of %s, %s", r.Facts["of"], r.Name, p.name, strings.Join(who, "; ")))
			}
		}
	}
	if n := len(where); n > 20 {
		people = append(people, fmt.Sprintf("and likewise of %d more projects", n-20))
	}
	if s.Facts["hidden"] != "true" && s.Listed {
		people = append(people, "Maintainer and above of "+s.Target+", who are shown it on its settings' page")
	}
	return people
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// lockHolds tells whether a lock file holds the component of a name that another one pulls in: then that stands beside the job itself.
func (j *job) lockHolds(outer *resolve.Component, name string) bool {
	return slices.ContainsFunc(j.Beside, func(c resolve.Component) bool {
		n := len(c.Through)
		return c.Pin != pipeline.Named && strings.EqualFold(c.Name, name) && n > 0 && c.Through[n-1] == outer.Text
	})
}
