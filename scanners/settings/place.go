package settings

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A place is a target as rules see it.
type place struct {
	name     string
	forge    string // "github"
	coverage audit.Coverage
	now      time.Time
	entries  map[audit.ItemKind][]*audit.Entry // sorted
	values   map[string]string                 // the kinds of secrets that were found in variables, by their names
	gaps     []audit.Gap
	partial  bool     // not all of it was looked at
	above    []*place // what it lies in, nearest first
	pending  []pending

	// What is asked for again and again is worked out once.
	read     *reading
	matches  map[*audit.Entry][]match // by workflow
	labels   map[*audit.Entry][]string
	selected map[*audit.Entry]map[string]bool

	told map[string]bool // of runners that many targets show: what was said of them, in all that it holds

	// What is known of all that it holds.
	below struct {
		repositories int                       // that are not archived
		minting      int                       // repositories that have their jobs' identity confirmed to a cloud
		mints        string                    // one of them
		secrets      map[*audit.Entry]*readers // GitLab's variables among them
		runners      map[*audit.Entry]*served
	}
}

// readers are the repositories that can see a secret of an organisation.
type readers struct {
	seen    int    // that were part of the run
	unknown int    // whose workflows are not all known
	reading int    // that have a workflow that names it, or takes any
	one     string // of the latter
	handed  string // a workflow that hands it to a cloud's login
}

// served are the repositories whose jobs a runner takes.
type served struct {
	repositories int
	outsiders    string // one whose jobs strangers start
	secrets      string // one whose jobs hold secrets
}

func newPlace(h audit.Holding, now time.Time) *place {
	forge, _, _ := strings.Cut(h.Coverage.Target, ":")
	p := &place{
		name: h.Coverage.Target, forge: forge, coverage: h.Coverage, now: now,
		entries: map[audit.ItemKind][]*audit.Entry{}, values: map[string]string{},
		matches: map[*audit.Entry][]match{}, labels: map[*audit.Entry][]string{}, selected: map[*audit.Entry]map[string]bool{},
		gaps: h.Gaps, partial: len(h.Gaps) > 0 || h.Coverage.Status == audit.Partial || h.Coverage.Status == audit.Failed,
	}
	for i := range h.Inventory {
		e := &h.Inventory[i]
		p.entries[e.Kind] = append(p.entries[e.Kind], e)
	}
	for _, list := range p.entries {
		slices.SortStableFunc(list, compare)
	}
	p.entries[audit.KindRunner] = joined(p.entries[audit.KindRunner])
	for _, f := range h.Findings {
		if f.Secret == nil {
			continue
		}
		for _, l := range f.Locations {
			if have := p.values[l.Name]; l.Kind == audit.InVariable && l.Target == p.name && (have == "" || f.Secret.Kind < have) {
				p.values[l.Name] = f.Secret.Kind
			}
		}
	}
	return p
}

// joined makes one entry of those that stand for one runner, by its id: settings say whose it is and whose jobs it takes, and what jobs printed says how
// it keeps them apart. Where they do not agree, the first one holds.
func joined(runners []*audit.Entry) []*audit.Entry {
	at := map[string]int{}
	out := runners[:0]
	for _, e := range runners {
		id := e.Facts["id"]
		i, seen := at[id]
		if id == "" || !seen {
			at[id] = len(out)
			out = append(out, e)
			continue
		}
		whole := *out[i]
		whole.Facts = maps.Clone(e.Facts)
		maps.Copy(whole.Facts, out[i].Facts)
		out[i] = &whole
	}
	return out
}

// compare orders entries by what they say, so that no verdict goes by the order in which they were listed.
func compare(a, b *audit.Entry) int {
	if c := strings.Compare(a.Scope, b.Scope); c != 0 {
		return c
	}
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	for _, fact := range slices.Sorted(maps.Keys(a.Facts)) {
		if c := strings.Compare(a.Facts[fact], b.Facts[fact]); c != 0 {
			return c
		}
	}
	return len(a.Facts) - len(b.Facts)
}

// bare is what a pending verdict needs of a place.
func (p *place) bare() *place { return &place{name: p.name, forge: p.forge, coverage: p.coverage} }

// isHolder tells whether other targets lie in it.
func (p *place) isHolder() bool {
	switch p.coverage.Kind {
	case audit.TargetOrganisation, audit.TargetUser, audit.TargetGroup, audit.TargetInstance:
		return true
	}
	return false
}

// holds tells whether a target lies in it. An instance is called by its forge alone: "gitlab:".
func (p *place) holds(target string) bool {
	return strings.HasPrefix(target, strings.TrimSuffix(p.name, "/")+"/") || strings.HasSuffix(p.name, ":") && strings.HasPrefix(target, p.name)
}

// mayHold tells whether target, or one after it in the order of bytes, can lie in it. "github:acme-corp" comes between "github:acme" and
// "github:acme/web".
func (p *place) mayHold(target string) bool {
	return p.holds(target) || target < strings.TrimSuffix(p.name, "/")+"/"
}

// top is the outermost place that it lies in, or itself.
func (p *place) top() *place {
	if len(p.above) == 0 {
		return p
	}
	return p.above[len(p.above)-1]
}

// settings are the facts about the place itself.
func (p *place) settings() map[string]string {
	if list := p.entries[audit.KindSettings]; len(list) > 0 {
		return list[0].Facts
	}
	return nil
}

// inherits tells whether something above says the same, which is then what is to be mended.
func (p *place) inherits(fact, value string) bool {
	return slices.ContainsFunc(p.above, func(o *place) bool { return o.settings()[fact] == value })
}

// public, private: whether anybody can see it, or surely not anybody.
func (p *place) public() bool { return p.settings()["visibility"] == "public" }
func (p *place) private() bool {
	v := p.settings()["visibility"]
	return v == "private" || v == "internal"
}

// host is the server that it is on, where its page is known.
func (p *place) host() string {
	u, err := url.Parse(p.coverage.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// A reading is what the definitions of a repository's pipelines take.
type reading struct {
	known  bool // all of them were understood
	any    bool // one takes whatever there is
	names  map[string]bool
	handed map[string]string // which definition hands a secret to a cloud's login
	mints  string            // one whose jobs' identity can be confirmed to a cloud
}

// reading sums up the definitions. They are known to be all of them by their number; where that is not told, only if there are some and nothing
// at all in the target could not be looked at.
func (p *place) reading() *reading {
	if p.read != nil {
		return p.read
	}
	list := p.entries[audit.KindWorkflow]
	r := &reading{names: map[string]bool{}, handed: map[string]string{}}
	p.read = r
	if n, err := strconv.Atoi(p.settings()["workflows"]); err == nil {
		r.known = n == len(list)
	} else {
		asked := !slices.Contains(strings.Split(p.coverage.LeftOut, ","), audit.SourceWorkflows.String())
		r.known = len(list) > 0 && !p.partial && asked
	}
	for _, e := range list {
		r.known = r.known && e.Facts["whole"] == "true"
		names := listed(e, "secrets")
		if p.forge == "gitlab" { // which has secrets among its variables
			names = append(names, listed(e, "variables")...)
		}
		for _, name := range names {
			switch name {
			case "*", "…":
				r.any = true
			default:
				r.names[name] = true
			}
		}
		for _, key := range listed(e, "static_keys") {
			if _, name, _ := strings.Cut(key, ":"); r.handed[name] == "" {
				r.handed[name] = e.Name
			}
		}
		if e.Facts["id_token"] == "true" && r.mints == "" {
			r.mints = e.Name
		}
	}
	return r
}

// learn takes into account what lies in it.
func (p *place) learn(repo *place) {
	if repo.isHolder() || repo.coverage.Kind != audit.TargetRepository {
		return
	}
	if repo.settings()["archived"] == "true" {
		return // its pipelines do not run
	}
	r := repo.reading()
	p.below.repositories++
	if r.mints != "" {
		p.below.minting++
		if p.below.mints == "" {
			p.below.mints = repo.name
		}
	}
	p.learnSecrets(repo, r)
	p.learnRunners(repo)
}

func (p *place) learnSecrets(repo *place, r *reading) {
	all := p.entries[audit.KindSecret]
	if p.forge == "gitlab" {
		all = append(slices.Clip(all), p.entries[audit.KindVariable]...)
	}
	for _, e := range all {
		if !p.shows(e, repo) {
			continue
		}
		if p.below.secrets == nil {
			p.below.secrets = map[*audit.Entry]*readers{}
		}
		of := p.below.secrets[e]
		if of == nil {
			of = &readers{}
			p.below.secrets[e] = of
		}
		of.seen++
		switch {
		case r.names[e.Name] || r.any:
			of.reading++
			if of.one == "" {
				of.one = repo.name
			}
		case !r.known:
			of.unknown++
		}
		if workflow := r.handed[e.Name]; workflow != "" && of.handed == "" && !repo.hasSecret(e.Name) {
			of.handed = repo.name + ", " + workflow
		}
	}
}

// shows tells whether a secret or runner group of p's is for a repository in it, or may be.
func (p *place) shows(e *audit.Entry, repo *place) bool {
	switch e.Facts["visibility"] {
	case "selected":
		set := p.selected[e]
		if set == nil {
			set = map[string]bool{}
			for _, name := range listed(e, "repositories") {
				set[shortName(name)] = true
			}
			p.selected[e] = set
		}
		return len(set) == 0 || set["…"] || set[shortName(repo.name)] // not known, or not all of them
	case "private":
		return !repo.public()
	}
	return true
}

// shortName is a repository's name without its owner's.
func shortName(name string) string { return strings.ToLower(name[strings.LastIndexByte(name, '/')+1:]) }

// hasSecret tells whether it has a secret of that name itself, which is then what its workflows get.
func (p *place) hasSecret(name string) bool {
	return slices.ContainsFunc(p.entries[audit.KindSecret], func(e *audit.Entry) bool { return e.Name == name && e.Scope != "organisation" })
}

// listed are the names in a fact.
func listed(e *audit.Entry, fact string) []string {
	if e.Facts[fact] == "" {
		return nil
	}
	return strings.Split(e.Facts[fact], ",")
}

// days is how many whole days lie between a fact's time and the run; known tells whether the fact says.
func (p *place) days(e *audit.Entry, fact string) (days int, known bool) {
	when, err := time.Parse(time.RFC3339, e.Facts[fact])
	if err != nil {
		return 0, false
	}
	return int(p.now.Sub(when) / (24 * time.Hour)), true
}

// day is the date of a fact, as messages have it.
func day(e *audit.Entry, fact string) string {
	when, err := time.Parse(time.RFC3339, e.Facts[fact])
	if err != nil {
		return "an unknown day"
	}
	return when.UTC().Format(time.DateOnly)
}
