package graph

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
)

// hand works out what a job is handed, and says how much there was to ask.
func (a *Access) hand(j *job) (asked int) {
	var names []string // in order, each once
	takes := map[string][]resolve.Secret{}
	add := func(name string, s resolve.Secret) {
		if takes[name] == nil {
			names = append(names, name)
		}
		takes[name] = append(takes[name], s)
	}
	for _, s := range j.Secrets {
		context := string(s.Context) + " "
		if s.Name != pipeline.Any {
			add(context+fold(j.dialect, s.Name), s)
			continue
		}
		for k, g := range j.place.has {
			if strings.HasPrefix(g.as, context) && (k == 0 || g.as != j.place.has[k-1].as) {
				add(g.as, s)
			}
		}
	}
	if j.dialect == pipeline.GitLab { // named or not
		for k, g := range j.place.has {
			if takes[g.as] == nil && (k == 0 || g.as != j.place.has[k-1].as) {
				names = append(names, g.as)
			}
		}
	}
	for _, name := range names {
		list := j.place.named(name)
		asked += 1 + len(list)
		given := j.given(list)
		if len(given) == 0 {
			if known := takes[name]; len(known) > 0 && known[0].Name != pipeline.Any && (known[0].Context == pipeline.Secrets || len(list) == 0) {
				given = []held{{secret: a.unlisted(j, known[0], list)}}
			}
		}
		for _, h := range given {
			h.takes = nil
			certain := len(takes[name]) == 0
			possible := ""
			for _, t := range takes[name] {
				h.takes = append(h.takes, Taking{t.As, t.In, t.At.Line})
				h.named = h.named || t.Name != pipeline.Any
				if certain = certain || t.Possible == ""; t.Possible != "" {
					possible = t.Possible
				}
			}
			if !certain && h.why == "" {
				h.why = possible
			}
			j.holds = append(j.holds, h)
		}
	}
	return asked
}

// given are those of some secrets of one name, what prevails first, that a job gets.
func (j *job) given(list []grant) (all []held) {
	for _, store := range []bool{false, true} { // each store by itself
		open := true
		var winner *Readers
		for k := range list {
			g := &list[k]
			if (g.Facts["store"] == "dependabot") != store {
				continue
			}
			fits, why, goOn := j.fits(g)
			switch {
			case !fits:
				continue
			case !open:
				g.HiddenBy = appendOnce(g.HiddenBy, where(winner))
				winner.Hides = appendOnce(winner.Hides, where(g.Readers))
				continue
			}
			if g.doubt != "" {
				why, goOn = g.doubt, true
			}
			if n := len(all); n > 0 && all[n-1].why != "" && why == "" && j.dialect == pipeline.GitHub {
				why = "unless it is the one of " + where(all[n-1].secret)
			}
			all = append(all, held{secret: g.Readers, why: why})
			if !goOn {
				open, winner = false, g.Readers
			}
		}
	}
	return all
}

// fits tells whether a job gets a secret, if nothing prevails over it; why that is not certain; and whether one behind it may be the one.
func (j *job) fits(g *grant) (fits bool, why string, goOn bool) {
	if j.dialect == pipeline.GitHub {
		switch store := g.Facts["store"]; store {
		case "codespaces", "agents":
			return false, "", false
		case "dependabot":
			ok := slices.ContainsFunc(j.Events, func(e pipeline.Event) bool {
				return slices.Contains([]string{"push", "create", "deployment", "deployment_status"}, e.Name) || strings.HasPrefix(e.Name, "pull_request")
			})
			return ok, "only in runs that Dependabot starts", false
		}
		switch {
		case g.env == "":
			return true, "", false
		case j.Environment.Computed:
			return true, "only if its environment, whose name is known when it runs, is " + g.env, true
		}
		if fits = strings.EqualFold(j.Environment.Value, g.env); fits && len(j.Calls) > 0 { // actions/runner#1490
			return true, "whether a called job gets its environment's, no document says", true
		}
		return fits, "", false
	}
	if schedule, ok := strings.CutPrefix(g.Scope, "schedule "); ok {
		return true, "only in pipelines that the schedule " + schedule + " starts", true
	}
	switch g.Facts["store"] {
	case "secure_file":
		return true, "if it fetches the file", true
	case "trigger", "schedule":
		return true, "only in pipelines that the " + g.Facts["store"] + " starts", true
	}
	switch {
	case g.pattern == "*":
	case j.Environment.Computed:
		return true, "only if its environment, whose name is known when it runs, is one of " + g.pattern, true
	case j.Environment.Value == "" || !pipeline.Glob(g.pattern, j.Environment.Value):
		return false, "", false
	}
	// On other refs it is what lies behind it.
	return true, "", g.Facts["protected"] == "true"
}

// unlisted is a secret that a job names and no listing shows.
func (a *Access) unlisted(j *job, t resolve.Secret, elsewhere []grant) *Readers {
	s := &Readers{Target: j.place.name, Kind: audit.KindSecret, Name: t.Name, dialect: j.dialect, pattern: "*"}
	if t.Context == pipeline.Variables {
		s.Kind = audit.KindVariable
	}
	s.key = strings.Join([]string{s.Target, string(t.Context), fold(j.dialect, t.Name)}, "\x00")
	if old := a.byKey[s.key]; old != nil {
		return old
	}
	s.seen = []*place{j.place}
	a.byKey[s.key] = s
	a.kept = append(a.kept, s)
	switch {
	case j.place.forge == "":
		j.place.unknown = append(j.place.unknown, s)
		s.Limits = append(s.Limits, "which store has it is not known: what a forge keeps is not told by a directory")
	case len(elsewhere) > 0:
		for _, g := range elsewhere {
			s.Limits = appendOnce(s.Limits, "the one of its name is not for this job: "+where(g.Readers))
		}
	default:
		limits, known := j.place.missing(s.Kind)
		if !known {
			j.place.unknown = append(j.place.unknown, s)
		}
		s.Limits = append(s.Limits, limits...)
	}
	return s
}

// handAll hands secrets that are kept where nobody looked to jobs that take all, and says how often.
func (p *place) handAll() (n int) {
	for _, j := range p.jobs {
		i := slices.IndexFunc(j.Secrets, func(s resolve.Secret) bool { return s.Context == pipeline.Secrets && s.Name == pipeline.Any })
		if i < 0 {
			continue
		}
		t := j.Secrets[i]
		has := map[*Readers]bool{}
		for _, h := range j.holds {
			has[h.secret] = true
		}
		for _, s := range p.unknown {
			if s.Kind == audit.KindSecret && !has[s] && n < maxHeld {
				n++
				j.holds = append(j.holds, held{secret: s, why: "it takes all secrets; where this one is kept is not known", takes: []Taking{{t.As, t.In, t.At.Line}}})
			}
		}
	}
	return n
}

// missing says why a name is in no listing, and whether it is known to be in none.
func (p *place) missing(kind audit.ItemKind) (limits []string, known bool) {
	listed := false
	for _, o := range append([]*place{p}, p.above...) {
		listed = listed || len(o.entries[audit.KindSecret])+len(o.entries[audit.KindVariable]) > 0
		for _, g := range o.gaps {
			if about(g.What, "secret", "variable", "environment") {
				limits = append(limits, "where it is kept is not known: "+g.Target+": "+g.What+": "+g.Why)
			}
		}
	}
	switch {
	case len(limits) > 0:
		return limits, false
	case !listed:
		return []string{"where it is kept is not known: no " + string(kind) + " was listed"}, false
	}
	return []string{"nothing that was listed has it: jobs get an empty text, unless what lies above the repository and was not listed has it"}, true
}

func about(what string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(what, w) })
}

// where is where a secret is kept, as people read it.
func where(s *Readers) string {
	if s.pattern != "*" {
		return s.Target + ", " + s.Scope + ", for environments " + s.pattern
	}
	return s.Target + ", " + s.Scope
}

func appendOnce(list []string, s string) []string {
	const most = 100
	if len(list) == most || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
