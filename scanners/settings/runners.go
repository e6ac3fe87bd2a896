package settings

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// outsider is an event by which people without any right to a repository start a workflow with code or text of theirs, or "".
func outsider(e *audit.Entry) string {
	for _, event := range listed(e, "events") {
		brings := event != "workflow_run" && event != "fork" && event != "watch"
		if slices.Contains(pipeline.BareEvents, event) || brings && slices.Contains(pipeline.HandedEvents, event) {
			return event
		}
	}
	return ""
}

// requests are the sets of labels that a workflow's jobs ask for, without those of the forge's own machines.
func requests(e *audit.Entry) (all [][]string) {
	for _, word := range listed(e, "runs_on") {
		labels := strings.Split(strings.ToLower(word), "+")
		hosted, _ := pipeline.Hosted(labels[0])
		if word != "*" && word != "…" && !(len(labels) == 1 && hosted) {
			all = append(all, labels)
		}
	}
	return all
}

// takes tells whether a runner of p's takes jobs that ask for some labels, which are in lower case.
func (p *place) takes(runner *audit.Entry, labels []string) bool {
	have, known := p.labels[runner]
	if !known {
		have = strings.Split(strings.ToLower(runner.Facts["labels"]), ",")
		p.labels[runner] = have
	}
	return !slices.ContainsFunc(labels, func(want string) bool {
		if group, ok := strings.CutPrefix(want, "group:"); ok {
			return !strings.EqualFold(runner.Facts["group"], group)
		}
		return !slices.Contains(have, want)
	})
}

// serves tells whether a runner of p's may take jobs of a repository, as far as its group says.
func (p *place) serves(repo *place, runner *audit.Entry) bool {
	for _, g := range p.entries[audit.KindRunnerGroup] {
		if g.Name != runner.Facts["group"] {
			continue
		}
		if repo.public() && g.Facts["public_repositories"] == "false" {
			return false
		}
		return p.shows(g, repo)
	}
	return true
}

// A match is a runner that takes jobs of a workflow.
type match struct {
	runner *audit.Entry
	of     *place
}

// runnersFor are the runners, its own and those above, that take jobs of a workflow of p's.
func (p *place) runnersFor(workflow *audit.Entry) (all []match) {
	if known, ok := p.matches[workflow]; ok {
		return known
	}
	defer func() { p.matches[workflow] = all }()
	asked := requests(workflow)
	if len(asked) == 0 {
		return nil
	}
	for _, o := range append([]*place{p}, p.above...) {
		for _, r := range o.entries[audit.KindRunner] {
			if o.serves(p, r) && slices.ContainsFunc(asked, func(labels []string) bool { return o.takes(r, labels) }) {
				all = append(all, match{r, o})
			}
		}
	}
	return all
}

// learnRunners notes whose jobs its runners take.
func (p *place) learnRunners(repo *place) {
	if len(p.entries[audit.KindRunner]) == 0 {
		return
	}
	counted := map[*audit.Entry]bool{}
	for _, w := range repo.entries[audit.KindWorkflow] {
		for _, m := range repo.runnersFor(w) {
			if m.of != p {
				continue
			}
			if p.below.runners == nil {
				p.below.runners = map[*audit.Entry]*served{}
			}
			of := p.below.runners[m.runner]
			if of == nil {
				of = &served{}
				p.below.runners[m.runner] = of
			}
			if !counted[m.runner] {
				counted[m.runner] = true
				of.repositories++
			}
			if of.outsiders == "" && repo.public() && outsider(w) != "" {
				of.outsiders = repo.name + ", " + w.Name
			}
			if of.secrets == "" && w.Facts["secrets"] != "" {
				of.secrets = repo.name + ", " + w.Name
			}
		}
	}
}
