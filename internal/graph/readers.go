package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// Readers is who can read one secret or variable that a forge keeps for jobs.
type Readers struct {
	Target string            `json:"target"` // that keeps it; of one that no listing shows, that whose jobs name it
	Kind   audit.ItemKind    `json:"kind"`   // secret or variable
	Scope  string            `json:"scope"`  // as in the inventory; "" if no listing shows it
	Name   string            `json:"name"`
	Listed bool              `json:"listed"`          // a listing shows it; else only jobs do
	Facts  map[string]string `json:"facts,omitempty"` // of the inventory: when it was made and set, for whom it is

	Finding  string         `json:"finding,omitempty"` // its value was found: the finding's id
	Validity audit.Validity `json:"validity,omitempty"`
	Level    audit.Level    `json:"level,omitempty"` // what the value opens

	Jobs []Reader `json:"jobs"`
	More int      `json:"more_jobs,omitempty"` // that are handed it, too, and are not listed
	// Hides are places that have one of its name which some of these jobs would get otherwise, and HiddenBy those of which some jobs get theirs instead.
	Hides    []string            `json:"hides,omitempty"`
	HiddenBy []string            `json:"hidden_by,omitempty"`
	People   []string            `json:"people"`          // who else can read it, or make a job that does
	Approve  []string            `json:"approve"`         // who lets jobs have it
	Writers  []Writers           `json:"writers"`         // who may push to the repositories whose jobs can be handed it, by name; what holds them back is in People
	Teams    map[string][]string `json:"teams,omitempty"` // who of them is in a team that People or Approve name, by the team's slug
	Used     string              `json:"used"`            // whether any job names it: yes, no, unknown
	OIDC     string              `json:"oidc"`            // the cloud that jobs log in to with it, which takes a job's own identity in its place; "" for none that is known
	Limits   []string            `json:"limits"`          // what is not known, and why
	Fix      *Removal            `json:"fix"`             // the one change that removes most holders; nil where there are none
	Holders  int                 `json:"holders"`         // jobs, and components of other people's that run beside it
	Outsider string              `json:"outsiders"`       // whether somebody without rights starts a job that is handed it: yes, no, unknown

	moreNamed    bool   // one of More names it
	moreOutsider string // whether somebody without rights starts one of More

	env, pattern string          // GitHub: its environment; GitLab: the scope, a pattern
	selected     map[string]bool // GitHub: the repositories that it is for, in lower case, if they are known
	seen         []*place        // those whose jobs can be handed it
	dialect      pipeline.Dialect
	key          string
	as           string // context and folded name: by which jobs take it
}

// A Removal is one change, and how many holders of a secret it removes.
type Removal struct {
	What    string `json:"what"`
	Removes int    `json:"removes"`
}

// A Reader is a job that is handed a secret.
type Reader struct {
	*ReaderJob
	Certainty string   `json:"certainty"`     // certain or possible
	Why       string   `json:"why,omitempty"` // it is not certain
	Named     bool     `json:"named"`         // the definition names it: GitLab hands it to jobs that do not, too
	Takes     []Taking `json:"takes"`
}

// A Taking is a place in a job at which it takes a secret.
type Taking struct {
	As   string `json:"as"` // its name in the job's file; * if the job takes all
	In   string `json:"in"` // "env.TOKEN"
	Line int    `json:"line"`
}

// A ReaderJob is a job as it runs, whatever it is handed.
type ReaderJob struct {
	Target      string             `json:"target"`
	Name        string             `json:"name"` // in the inventory: "build.yml: test / unit"
	Workflow    string             `json:"workflow"`
	Path        string             `json:"path"` // of the file that it is written in
	Repository  string             `json:"repository,omitempty"`
	Ref         string             `json:"ref,omitempty"`
	Line        int                `json:"line"`
	Calls       []ReaderCall       `json:"calls"`
	Events      []ReaderEvent      `json:"events"` // those that outsiders fire first
	Conditions  []string           `json:"conditions"`
	Environment *ReaderEnvironment `json:"environment"`
	Runner      ReaderRunner       `json:"runner"`
	Permissions map[string]string  `json:"permissions"` // of its token; null for the repository's default
	Components  []Beside           `json:"components"`  // whose code runs in it, what is mutable first
	Unknown     []string           `json:"unknown"`
	LastRun     *LastRun           `json:"last_run"` // nil where no run of it was read
}

// A LastRun is when something last ran, of those runs that were read.
type LastRun struct {
	Of         string `json:"of"` // workflow: at least one of its jobs ran; job
	At         string `json:"at"` // RFC 3339
	Event      string `json:"event"`
	Conclusion string `json:"conclusion"`
}

// Outsider tells whether somebody without rights starts the job so that it is handed its secrets: yes, no, unknown.
func (j *ReaderJob) Outsider() string {
	answer := "no"
	for _, e := range j.Events {
		if e.Outsiders == "yes" || answer == "no" {
			answer = e.Outsiders
		}
		if answer == "yes" {
			break
		}
	}
	return answer
}

// A ReaderCall is a job that leads to another.
type ReaderCall struct {
	Job  string `json:"job"`
	Path string `json:"path"`
	Line int    `json:"line"`
}

// Beside is other people's code in a job.
type Beside struct {
	Kind       pipeline.ComponentKind `json:"kind"`
	Name       string                 `json:"name"`
	Ref        string                 `json:"ref,omitempty"`
	Pin        pipeline.Pin           `json:"pin"`
	Commit     string                 `json:"commit,omitempty"`     // that a lock file holds it at
	Mutable    bool                   `json:"mutable"`              // it can change without a change of the definition
	Opaque     bool                   `json:"opaque"`               // what it pulls in itself is not known
	Through    []string               `json:"through,omitempty"`    // what pulls it in, the outermost first
	Advisories []string               `json:"advisories,omitempty"` // of this ref, or of what it pulls in
}

// An Access is who can read what forges keep for jobs, by what a run knows.
type Access struct {
	places map[string]*place
	order  []*place
	kept   []*Readers
	byKey  map[string]*Readers
	feed   *advisory.Feed
	full   bool

	seen    map[string]bool // targets of the run, in lower case
	refs    []string        // what it was told to look at, in lower case
	instead string          // the one repository that it found where it was told to look at one of another name
}

// A place is a target that keeps secrets or has jobs.
type place struct {
	name     string
	forge    string // github, gitlab, gitea; "" for what is on this machine
	entries  map[audit.ItemKind][]*audit.Entry
	runners  map[string][]*audit.Entry // by their labels, in lower case; nil until it is asked for
	gaps     []audit.Gap
	jobs     []*job
	above    []*place   // what it lies in, the nearest first
	has      []grant    // what its jobs can be handed: by name, what prevails first
	unknown  []*Readers // secrets that its jobs name, and that may be kept where nothing was listed
	settings map[string]string
}

// A grant is a secret that a place's jobs can be handed.
type grant struct {
	*Readers
	doubt string // why it is not certain that it is for the place
}

type job struct {
	resolve.Job
	place   *place
	dialect pipeline.Dialect
	told    *ReaderJob // once it was asked for
	holds   []held
}

// held is what a job is handed.
type held struct {
	secret *Readers
	why    string // it is not certain; "" if it is
	named  bool
	takes  []Taking
}

// maxHeld is how many times it is asked whether a job of a run is handed a secret. Ten thousand projects with twenty jobs and ten variables each have two million.
const maxHeld = 5_000_000

// NewAccess reads a run's inventory. It does not keep the run.
func NewAccess(run *audit.Run) (*Access, error) {
	feed, err := advisory.Load()
	if err != nil {
		return nil, err
	}
	a := &Access{places: map[string]*place{}, byKey: map[string]*Readers{}, feed: feed}
	a.look(run)
	learned := resolve.Meanings{}
	learned.Learn(run.Inventory)
	for i := range run.Inventory {
		e := &run.Inventory[i]
		if e.Kind == audit.KindComponent || e.Kind == audit.KindTrust { // where other people's code lies, or a role, is no place of the run's
			continue
		}
		p := a.place(e.Target)
		p.entries[e.Kind] = append(p.entries[e.Kind], e)
		switch e.Kind {
		case audit.KindSettings:
			p.settings = e.Facts
		case audit.KindJob:
			j := &job{Job: resolve.FromEntry(*e), place: p, dialect: pipeline.GitLab}
			if p.forge == "github" || p.forge == "gitea" || p.forge == "" && strings.Contains(j.Workflow, "/workflows/") {
				j.dialect = pipeline.GitHub
			}
			j.Learned(e.Target, learned)
			p.jobs = append(p.jobs, j)
		}
	}
	for _, g := range run.Gaps {
		if p := a.places[g.Target]; p != nil {
			p.gaps = append(p.gaps, g)
		} else {
			a.place(g.Target).gaps = []audit.Gap{g}
		}
	}
	for _, p := range a.order {
		for name := p.name; p.forge != ""; {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				i = len(p.forge) // "gitlab:", the instance
			}
			above := name[:i]
			if i == len(p.forge) {
				above = p.forge + ":"
			}
			if above == name {
				break
			}
			if o := a.places[above]; o != nil {
				p.above = append(p.above, o)
			}
			name = above
		}
	}
	for _, p := range a.order {
		for _, kind := range []audit.ItemKind{audit.KindSecret, audit.KindVariable} {
			for _, e := range p.entries[kind] {
				a.keep(p, e)
			}
		}
	}
	found := map[string]*audit.Finding{}
	for i := range run.Findings {
		for _, l := range run.Findings[i].Locations {
			if f := &run.Findings[i]; f.Secret != nil && (l.Kind == audit.InVariable || l.Kind == audit.InSecret) {
				found[l.Target+"\x00"+l.Name] = f
			}
		}
	}
	for _, s := range a.kept {
		if f := found[s.Target+"\x00"+s.Name]; f != nil {
			s.Finding = f.ID
			if f.Verdict != nil {
				s.Validity = f.Verdict.Validity
			}
			if f.Reach != nil {
				s.Level = f.Reach.Level
			}
		}
	}
	a.grants()
	left := maxHeld
	for _, p := range a.order {
		for _, j := range p.jobs {
			if left < 0 {
				a.full = true
				break
			}
			left -= a.hand(j)
		}
		left -= p.handAll()
	}
	slices.SortStableFunc(a.kept, func(x, y *Readers) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Target, y.Target), strings.Compare(x.Scope, y.Scope), strings.Compare(x.key, y.key))
	})
	return a, nil
}

func (a *Access) place(name string) *place {
	p := a.places[name]
	if p == nil {
		p = &place{name: name, entries: map[audit.ItemKind][]*audit.Entry{}, settings: map[string]string{}}
		if forge, _, ok := strings.Cut(name, ":"); ok && slices.Contains([]string{"github", "gitlab", "gitea"}, forge) {
			p.forge = forge
		}
		a.places[name] = p
		a.order = append(a.order, p)
	}
	return p
}

// fold is a name as its forge tells names apart: GitHub and Gitea do not go by case.
func fold(d pipeline.Dialect, name string) string {
	if d == pipeline.GitHub {
		return strings.ToUpper(name)
	}
	return name
}

// keep notes a secret or variable that a listing shows. One that a repository shows although it is what lies above it that keeps it is the latter's.
func (a *Access) keep(p *place, e *audit.Entry) {
	if p.forge == "" || e.Scope == "job" {
		return
	}
	s := &Readers{
		Target: p.name, Kind: e.Kind, Scope: e.Scope, Name: e.Name, Listed: true, Facts: e.Facts, dialect: pipeline.GitHub, pattern: cmp.Or(e.Facts["environment_scope"], "*"),
	}
	if p.forge == "gitlab" {
		s.dialect = pipeline.GitLab
	}
	if env, ok := strings.CutPrefix(e.Scope, "environment "); ok && s.dialect == pipeline.GitHub {
		s.env = env
	}
	if repositories := e.Facts["repositories"]; repositories != "" {
		s.selected = map[string]bool{}
		for one := range strings.SplitSeq(strings.ToLower(repositories), ",") {
			s.selected[one] = true
		}
	}
	shown := false // by what lies below
	if from := e.Facts["inherited_from"]; from != "" {
		s.Target, s.Scope, shown = p.forge+":"+from, "group", true
	} else if owner, _, ok := strings.Cut(p.name, "/"); ok && e.Scope == "organisation" {
		s.Target, shown = owner, true
	}
	s.key = strings.Join([]string{s.Target, string(s.Kind), s.Scope, s.Facts["store"], s.pattern, fold(s.dialect, s.Name)}, "\x00")
	s.as = s.context() + fold(s.dialect, s.Name)
	if old := a.byKey[s.key]; old == nil {
		a.byKey[s.key] = s
		a.kept = append(a.kept, s)
	} else {
		s = old
	}
	if shown { // hence it is for this one
		p.has = append(p.has, grant{Readers: s})
	}
}

// context is where jobs take it from.
func (s *Readers) context() string {
	if s.Kind == audit.KindSecret && s.dialect == pipeline.GitHub {
		return string(pipeline.Secrets) + " "
	}
	return string(pipeline.Variables) + " "
}

// grants works out what each place's jobs can be handed.
func (a *Access) grants() {
	of := map[string][]*Readers{}
	for _, s := range a.kept {
		of[s.Target] = append(of[s.Target], s)
	}
	for _, p := range a.order {
		if len(p.jobs) == 0 {
			continue
		}
		shown := map[*Readers]bool{}
		for _, g := range p.has {
			shown[g.Readers] = true
		}
		for _, o := range append([]*place{p}, p.above...) {
			for _, s := range of[o.name] {
				if shown[s] {
					continue
				}
				if sees, doubt := p.sees(o, s); sees {
					p.has = append(p.has, grant{s, doubt})
				}
			}
		}
		slices.SortStableFunc(p.has, func(x, y grant) int {
			return cmp.Or(strings.Compare(x.as, y.as), cmp.Compare(p.rank(x.Readers), p.rank(y.Readers)), specific(y.pattern)-specific(x.pattern))
		})
		for _, g := range p.has {
			g.seen = append(g.seen, p)
		}
	}
}

// named are those that jobs take by one name.
func (p *place) named(as string) []grant {
	from, _ := slices.BinarySearchFunc(p.has, as, func(g grant, as string) int { return strings.Compare(g.as, as) })
	to := from
	for to < len(p.has) && p.has[to].as == as {
		to++
	}
	return p.has[from:to]
}

// sees tells whether a secret of a place above is for p.
func (p *place) sees(o *place, s *Readers) (sees bool, doubt string) {
	if o == p || p.forge != "github" {
		return true, ""
	}
	switch s.Facts["visibility"] {
	case "all":
		return true, ""
	case "private":
		switch p.settings["visibility"] {
		case "public":
			return false, ""
		case "":
			return true, "it is for private repositories, and whether this is one is not known"
		}
		return true, ""
	case "selected":
		_, full, _ := strings.Cut(p.name, ":")
		switch {
		case s.selected == nil:
			return true, "it is for selected repositories, and which is not known"
		case !s.selected[strings.ToLower(full)] && s.selected["…"]:
			return true, "it is for selected repositories, of which there are too many to be listed"
		}
		return s.selected[strings.ToLower(full)], ""
	}
	return true, "for which repositories it is, is not known"
}

// rank says how near to a place's jobs a secret is kept: what is nearest prevails.
func (p *place) rank(s *Readers) int {
	switch {
	case s.env != "" || strings.HasPrefix(s.Scope, "schedule "):
		return 0
	case s.Target == p.name:
		return 1
	}
	// The longest name is the nearest group.
	return 1<<20 - len(s.Target)
}

// specific orders patterns: those that say most prevail.
func specific(pattern string) int {
	n := 2 * len(strings.ReplaceAll(pattern, "*", ""))
	if !strings.Contains(pattern, "*") {
		n++
	}
	return n
}

// All is all that forges keep for jobs and all that jobs name, by name.
func (a *Access) All() []*Readers { return a.tell(a.kept) }

// Find are the secrets and variables of a name, or of TARGET/NAME, told in full.
func (a *Access) Find(name string) (found []*Readers) {
	for _, s := range a.kept {
		if s.dialect == pipeline.GitHub && strings.EqualFold(s.Name, name) || s.Name == name || s.Target+"/"+s.Name == name {
			found = append(found, s)
		}
	}
	return a.tell(found)
}
