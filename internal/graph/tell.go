package graph

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// Bounds of what is listed: of one secret, and of all that are asked for at once. All jobs count.
const (
	maxReaders = 10_000
	maxTold    = 200_000
)

// tell fills in all that is said of some secrets.
func (a *Access) tell(secrets []*Readers) []*Readers {
	wanted := map[*Readers]bool{}
	for _, s := range secrets {
		wanted[s] = s.Jobs == nil
		if s.Jobs == nil {
			s.Jobs = []Reader{}
		}
	}
	told := 0
	for _, p := range a.order {
		for _, j := range p.jobs {
			for _, h := range j.holds {
				s := h.secret
				if !wanted[s] {
					continue
				}
				if told++; told > maxTold || len(s.Jobs) == maxReaders {
					s.More++
					s.moreNamed = s.moreNamed || h.named
					s.moreOutsider = worse(s.moreOutsider, a.detail(j).Outsider())
					continue
				}
				r := Reader{ReaderJob: a.detail(j), Certainty: "certain", Why: h.why, Named: h.named, Takes: append([]Taking{}, h.takes...)}
				if h.why != "" {
					r.Certainty = "possible"
				}
				s.Jobs = append(s.Jobs, r)
			}
		}
	}
	for _, s := range secrets {
		if wanted[s] {
			wanted[s] = false
			a.sum(s)
		}
	}
	return secrets
}

// sum says what follows from who is handed a secret.
func (a *Access) sum(s *Readers) {
	s.Outsider = cmp.Or(s.moreOutsider, "no")
	for i := range s.Jobs {
		s.Outsider = worse(s.Outsider, s.Jobs[i].Outsider())
	}
	if s.More > 0 {
		s.Limits = appendOnce(s.Limits, fmt.Sprintf("%d more jobs are handed it, which are not listed", s.More))
	}
	slices.SortStableFunc(s.Jobs, func(x, y Reader) int {
		return cmp.Or(slices.Index(worst, x.Outsider())-slices.Index(worst, y.Outsider()), cmp.Compare(b2i(y.Named), b2i(x.Named)), strings.Compare(x.Target, y.Target), strings.Compare(x.Name, y.Name))
	})
	where := s.seen
	writable := where // by whom a workflow can be pushed
	if own := a.places[s.Target]; len(where) == 0 && own != nil && s.own() {
		writable = []*place{own}
	}
	s.People, s.Approve = a.people(s, writable)
	s.People, s.Approve = append([]string{}, s.People...), append([]string{}, s.Approve...)
	s.writers(writable)
	s.Used = a.used(s, where)
	s.OIDC = a.cloud(s, where)
	switch s.Facts["store"] {
	case "codespaces":
		s.Limits = appendOnce(s.Limits, "it is handed to codespaces, and not to jobs: whoever opens one of a repository that it is for can read it")
	case "agents":
		s.Limits = appendOnce(s.Limits, "it is handed to GitHub's coding agent, and not to jobs")
	}
	if s.Listed {
		for _, p := range first(where, 100) {
			for _, g := range p.gaps {
				if about(g.What, "definition", "workflow", "called file", "jobs", ".yml", ".yaml") {
					s.Limits = appendOnce(s.Limits, "jobs may be missing: "+g.Target+": "+g.What+": "+g.Why)
				}
			}
		}
		if len(where) == 0 {
			s.Limits = appendOnce(s.Limits, "no repository that it is for was part of the run with its jobs")
		} else if s.Scope == "organisation" || s.Scope == "group" || s.Scope == "instance" || s.Scope == "user" {
			s.Limits = appendOnce(s.Limits, fmt.Sprintf("jobs are those of the %d repositories in the run that it is for", len(where)))
		}
	}
	if a.full {
		s.Limits = appendOnce(s.Limits, "the run has more jobs than are joined: some are left out")
	}
	s.Limits = append([]string{}, s.Limits...)
	s.Fix, s.Holders = s.removal()
	s.Holders += s.More
}

// worst first: answers to whether outsiders start a job.
var worst = []string{"yes", "unknown", "no", ""}

func worse(a, b string) string { return worst[min(slices.Index(worst, a), slices.Index(worst, b))] }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// own tells that a secret is kept by the repository or project whose jobs it is for.
func (s *Readers) own() bool {
	return s.Scope == "repository" || s.Scope == "project" || s.env != ""
}

// used tells whether any job names a secret.
func (a *Access) used(s *Readers, where []*place) string {
	if s.moreNamed || slices.ContainsFunc(s.Jobs, func(r Reader) bool { return r.Named }) {
		return "yes"
	}
	takesAny := slices.ContainsFunc(s.Jobs, func(r Reader) bool {
		return len(r.Takes) > 0 || len(r.Unknown) > 0
	})
	if takesAny || s.More > 0 || !s.own() || s.Facts["store"] != "actions" && s.Facts["store"] != "variable" && s.Facts["store"] != "" {
		return "unknown"
	}
	for _, p := range append(where, a.places[s.Target]) {
		if len(p.gaps) > 0 || p.settings["workflows"] == "" && p.forge == "github" || slices.ContainsFunc(p.entries[audit.KindWorkflow], func(e *audit.Entry) bool { return e.Facts["whole"] != "true" }) {
			return "unknown"
		}
	}
	return "no"
}

// cloud is the one that jobs log in to with a secret.
func (a *Access) cloud(s *Readers, where []*place) string {
	for _, p := range where {
		for _, e := range p.entries[audit.KindWorkflow] {
			for key := range strings.SplitSeq(e.Facts["static_keys"], ",") {
				if cloud, name, ok := strings.Cut(key, ":"); ok && fold(s.dialect, name) == fold(s.dialect, s.Name) {
					return cloud
				}
			}
		}
	}
	return ""
}

// components are the names of those in a job.
func (j *ReaderJob) components() map[string]bool {
	names := map[string]bool{}
	for _, c := range j.Components {
		names[c.Name] = true
	}
	return names
}

// removal is the one change that removes most holders, which are jobs and the components beside them.
func (s *Readers) removal() (best *Removal, holders int) {
	count := func(keep func(*Reader) bool) int {
		components := map[string]bool{}
		n := 0
		for i := range s.Jobs {
			if r := &s.Jobs[i]; keep(r) {
				n++
				maps.Copy(components, r.components())
			}
		}
		return n + len(components)
	}
	holders = count(func(*Reader) bool { return true })
	if holders == 0 {
		if s.Used == "no" {
			return &Removal{What: "delete it: no job takes it"}, 0
		}
		return nil, 0
	}
	try := func(what string, keep func(*Reader) bool) {
		if n := holders - count(keep); n > 0 && (best == nil || n > best.Removes) {
			best = &Removal{what, n}
		}
	}
	if s.OIDC != "" {
		try("have the jobs log in by their own identity (OIDC, "+s.OIDC+"), and delete the key", func(*Reader) bool { return false })
	}
	if s.Used == "no" {
		try("delete it: no job names it", func(*Reader) bool { return false })
	}
	if s.dialect == pipeline.GitLab {
		try("give the jobs that name it a protected environment, and the variable that scope", func(r *Reader) bool { return r.Named })
	} else {
		try("have jobs and calls name the secrets that they take, in place of all of them", func(r *Reader) bool { return r.Named })
	}
	try("take the event away, or the secret from the job, where outsiders start it", func(r *Reader) bool { return r.Outsider() == "no" })
	in := map[string]int{} // in how many jobs a component is
	for i := range s.Jobs {
		for name := range s.Jobs[i].components() {
			in[name]++
		}
	}
	for i := range s.Jobs {
		alone := 0
		for name := range s.Jobs[i].components() {
			if in[name] == 1 {
				alone++
			}
		}
		if n := alone - 1; n > 0 && (best == nil || n > best.Removes) { // the one that the step itself is may be among them
			best = &Removal{fmt.Sprintf("give the step of %s that takes it a job of its own, without the components beside it", s.Jobs[i].Name), n}
		}
	}
	if best == nil && s.env == "" && s.dialect == pipeline.GitHub {
		best = &Removal{What: "keep it in an environment with reviewers, for protected branches only: then no workflow on another branch is handed it"}
	}
	return best, holders
}

// Join adds to a graph who comes by a secret: outsiders and components by the jobs that are handed it.
func (a *Access) Join(g *Graph, s *Readers) {
	kept := g.Node(Node{ID: NamedID(s.Target, s.Name), Kind: Secret, Name: s.Name, In: s.Target})
	for i := range s.Jobs {
		r := &s.Jobs[i]
		job := g.Node(Node{ID: "job:" + r.Target + "/" + r.Name, Kind: Job, Name: r.Name, In: r.Target})
		g.Edge(Edge{From: job, To: kept, Kind: Holds, Evidence: fmt.Sprintf("%s:%d", r.Path, r.Line), Unsure: r.Why})
		for _, e := range r.Events {
			if e.Outsiders != "no" {
				edge := Edge{From: g.Anybody(), To: job, Kind: Starts, At: e.Name, Evidence: e.Name + ": " + e.Note}
				if e.Outsiders == "unknown" {
					edge.Unsure = e.Note
				}
				g.Edge(edge)
			}
		}
		for _, c := range r.Components {
			if !c.Mutable {
				continue
			}
			name := strings.TrimSuffix(c.Name+"@"+c.Ref, "@")
			g.Edge(Edge{
				From: g.Node(Node{ID: "component:" + name, Kind: Component, Name: name}), To: job, Kind: RunsIn,
				Evidence: "it can change without a change of the definition", Close: "pin the components of " + r.Name + " to commits",
			})
		}
	}
}
