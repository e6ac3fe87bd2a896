// Package components judges other people's code that jobs run, by what was learned of it online: the commit that a name stands for, what that pulls in, and
// which of it no advisory and no repository vouches for. What a definition says by itself is for package definitions; without entries of kind
// [audit.KindComponent] in the inventory nothing is said here.
//
// A newcomer starts with [New], and with a rule, such as impostor_commit.go: each is a file with its text and a function that judges one use of a component.
package components

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// A Scanner judges components.
type Scanner struct {
	rules []rule
	feed  *advisory.Feed
}

var _ audit.Surveyor = (*Scanner)(nil)

// A rule judges a use of a component, and says each thing that is wrong by say.
type rule struct {
	audit.Rule
	judge func(u *use, say func(problem))
}

// A problem is what a rule has to say of a use.
type problem struct {
	name     string         // what it is about, beside the component that the definition names. Problems of one name are one finding
	evidence string         // what decided, in a sentence without its full stop
	severity audit.Severity // "" for the rule's own
}

// rules lists all. A new one is a file and a line here.
func rules() []rule {
	return []rule{compromisedComponent, impostorCommit, unpinnableAction, vulnerableAction}
}

// New makes a scanner with the rules of some ids; none means all. Ids of other scanners' rules are none of its own. It fails only if an advisory
// cannot be read.
func New(ids []string) (*Scanner, error) {
	feed, err := advisory.Load()
	if err != nil {
		return nil, err
	}
	all := rules()
	if len(ids) > 0 {
		all = slices.DeleteFunc(all, func(r rule) bool { return !slices.Contains(ids, r.ID) })
	}
	return &Scanner{all, feed}, nil
}

// Rules lists the rules by id.
func (s *Scanner) Rules() (list []audit.Rule) {
	for _, r := range s.rules {
		list = append(list, r.Rule)
	}
	return list
}

// Wants takes no content: all is in the inventory.
func (s *Scanner) Wants(audit.Item) bool { return false }

// Scan finds nothing in a single item.
func (s *Scanner) Scan(audit.Item, []byte) ([]audit.Finding, []audit.Gap) { return nil, nil }

// A survey is one pass over all targets.
type survey struct {
	feed     *advisory.Feed
	meanings resolve.Meanings
	pulled   map[string][]resolve.Part // what a component pulls in, once it was asked for
}

// A use is a component at a place of a definition.
type use struct {
	*survey
	pipeline.Component
	meaning *resolve.Meaning
	through []string          // what it comes by, where the definition names something else: the outermost first
	locks   map[string]string // of its job: see [resolve.Job.Locks]
	owner   string            // of the target, in lower case; "" if that is not known to be the same where actions lie, as of Gitea
}

// Survey judges each place at which a job has a component of which something was learned.
func (s *Scanner) Survey(_ time.Time, holdings iter.Seq[audit.Holding]) (found []audit.Finding) {
	run := &survey{s.feed, resolve.Meanings{}, map[string][]resolve.Part{}}
	for h := range holdings {
		if h.Coverage.Target == "" {
			run.meanings.Learn(h.Inventory)
			continue
		}
		if len(run.meanings) == 0 {
			return nil
		}
		said := map[string]bool{}
		for i := range h.Inventory {
			if h.Inventory[i].Kind != audit.KindJob {
				continue
			}
			j := resolve.FromEntry(h.Inventory[i])
			for _, c := range slices.Concat(j.Beside, j.Includes) {
				u, ok := run.use(h.Coverage.Target, &j, &c)
				if !ok {
					continue
				}
				if outer := j.ByLock(&c); outer != nil {
					if _, ok := run.use(h.Coverage.Target, &j, outer); ok { // which says it, too
						continue
					}
				}
				at := placeOf(&j, &c)
				at.Target = h.Coverage.Target
				for _, r := range s.rules {
					r.judge(u, func(p problem) {
						f := finding(&r, u, p, at)
						if l := f.Locations[0]; !said[fmt.Sprint(r.ID, l.Path, l.Line, l.Column, l.Name)] { // a workflow that several call has its jobs several times
							said[fmt.Sprint(r.ID, l.Path, l.Line, l.Column, l.Name)] = true
							found = append(found, f)
						}
					})
				}
			}
		}
	}
	return found
}

// use is what a job has in a component, if anything was learned of that.
func (s *survey) use(target string, j *resolve.Job, c *resolve.Component) (*use, bool) {
	origin, ok := resolve.OriginOf(target, j.Workflow, &c.Component)
	m := s.meanings[origin.Key()]
	if !ok || m == nil {
		return nil, false
	}
	u := &use{survey: s, Component: c.Component, meaning: m, through: c.Through, locks: j.Locks(c)}
	if scheme, name, _ := strings.Cut(target, ":"); scheme == "github" || scheme == "gitlab" {
		owner, _, _ := strings.Cut(name, "/")
		u.owner = strings.ToLower(owner)
	}
	return u, true
}

// parts are what a component pulls in: see [resolve.Meanings.Pulled]. They are kept for all jobs that have no lock file.
func (u *use) parts(held bool) []resolve.Part {
	if len(u.locks) > 0 {
		return u.meanings.Pulled(u.meaning, u.locks, held)
	}
	key := fmt.Sprint(held, u.meaning.Key())
	list, ok := u.pulled[key]
	if !ok {
		list = u.meanings.Pulled(u.meaning, nil, held)
		u.pulled[key] = list
	}
	return list
}

// placeOf is where a definition names a component, or what it comes by: in a file of the target's own.
func placeOf(j *resolve.Job, c *resolve.Component) (at audit.Location) {
	at.Kind = audit.InWorkflow
	line := func(p pipeline.Position) { at.Line, at.EndLine, at.Column = p.Line, p.Line, p.Column }
	for _, call := range j.Calls { // the last one of the target's own, if it leads elsewhere
		if j.Place.Repository != "" && call.Place.Repository == "" {
			at.Path = call.Place.Path
			line(call.At)
		}
	}
	if j.Place.Repository != "" {
		return at
	}
	at.Path = j.Place.Path
	line(c.At)
	if len(c.Through) > 0 {
		i := slices.IndexFunc(j.Beside, func(o resolve.Component) bool { return len(o.Through) == 0 && o.Text == c.Through[0] })
		if i >= 0 {
			line(j.Beside[i].At)
		}
	}
	return at
}

func finding(r *rule, u *use, p problem, at audit.Location) audit.Finding {
	at.Name = clip(strings.TrimSuffix(strings.Join(append(slices.Clone(u.through), u.Text), ", ")+", "+p.name, ", "))
	f := audit.Finding{
		Rule: r.ID, Category: r.Category, Severity: r.Severity, Title: r.Title, Message: clip(p.evidence), Fix: r.Fix, Locations: []audit.Location{at},
	}
	if p.severity != "" {
		f.Severity = p.severity
	}
	return f
}

// by says through what something comes: "a, which pulls in b".
func by(chain []string) string { return strings.Join(chain, ", which pulls in ") }

// clip cuts a text that has something of a definition in it: no report wants a megabyte of it.
func clip(s string) string {
	const most = 500
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
