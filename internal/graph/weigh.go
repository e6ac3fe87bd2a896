package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// Weigh gives findings of which that decides (see [audit.Stakes]) the severity that follows from what their jobs hold, or from what their secret opens, as far as
// the run knows it. Where it knows nothing they keep theirs. It fails only if an advisory cannot be read.
func Weigh(run *audit.Run) error {
	if !slices.ContainsFunc(run.Findings, func(f audit.Finding) bool { return f.Stakes != nil }) {
		return nil
	}
	a, err := NewAccess(run)
	if err != nil {
		return err
	}
	w := &scales{Access: a, files: map[string][]*job{}, secrets: map[string][]*Readers{}}
	for _, p := range a.order {
		for _, j := range p.jobs {
			if j.Place.Repository == "" {
				w.files[p.name+"\x00"+j.Place.Path] = append(w.files[p.name+"\x00"+j.Place.Path], j)
			}
		}
	}
	for _, list := range w.files {
		slices.SortStableFunc(list, func(x, y *job) int { return cmp.Compare(x.At.Line, y.At.Line) })
	}
	for _, s := range a.kept {
		w.secrets[s.Target+"\x00"+s.Name] = append(w.secrets[s.Target+"\x00"+s.Name], s)
	}
	for i := range run.Findings {
		if f := &run.Findings[i]; f.Stakes != nil {
			w.weigh(f)
		}
	}
	return nil
}

// scales are what findings are weighed by.
type scales struct {
	*Access
	files   map[string][]*job     // by target and path, in the order of their lines
	secrets map[string][]*Readers // by target and name
}

// A stake is what jobs hold together.
type stake struct {
	level audit.Level // the highest that is known of what it opens
	by    *Readers    // that opens it
	holds bool        // a secret that may be good for something, or an identity
	token bool        // one that writes, or of which that is not known
	what  string      // holds it: "the job"
}

func (w *scales) weigh(f *audit.Finding) {
	var s stake
	known := false
	for _, l := range f.Locations {
		switch l.Kind {
		case audit.InWorkflow:
			s.what = "the job"
			for _, j := range w.at(l) {
				known = true
				w.job(&s, j)
			}
		case audit.InVariable, audit.InSecret:
			s.what = "it"
			name, _, _ := strings.Cut(l.Name, " (") // what tells it from others of its name
			for _, r := range w.secrets[l.Target+"\x00"+name] {
				known = known || r.Validity != "" || r.Level != ""
				s.add(r)
			}
		}
	}
	if !known {
		return
	}
	severity, why := f.Severity, ""
	switch {
	case s.level == audit.LevelAdmin || s.level == audit.LevelEscalation:
		if severity = worse[f.Stakes.Some]; severity.Rank() > audit.Medium.Rank() {
			severity = audit.Critical
		}
	case s.level == audit.LevelWrite:
		severity = worse[f.Stakes.Some]
	case s.holds:
		severity = f.Stakes.Some
	case !s.token && !w.full:
		severity, why = f.Stakes.None, s.what+" holds nothing that opens anything"
	}
	if s.by != nil {
		why = fmt.Sprintf("%s holds %s, whose level is %s", s.what, s.by.Name, s.level)
		if s.what == "it" {
			why = fmt.Sprintf("what it opens has the level %s", s.level)
		}
	}
	if severity != f.Severity && why != "" {
		f.Message += "; " + why
	}
	f.Severity = severity
}

// worse is the next severity. A key that may only write makes nothing critical that was not.
var worse = map[audit.Severity]audit.Severity{
	audit.Info: audit.Low, audit.Low: audit.Medium, audit.Medium: audit.High, audit.High: audit.High, audit.Critical: audit.Critical,
}

// at are the jobs that a place in a definition is in: all of the file's, if it is before the first one.
func (w *scales) at(l audit.Location) []*job {
	list := w.files[l.Target+"\x00"+l.Path]
	if l.Line == 0 { // of a text that nobody has seen, in which they go by their names
		return slices.DeleteFunc(slices.Clone(list), func(j *job) bool { return l.Name != "job "+j.ID && !strings.HasPrefix(l.Name, "job "+j.ID+", ") })
	}
	first, last := 0, 0
	for i, j := range list {
		if j.At.Line > l.Line {
			break
		}
		if last = i + 1; j.At.Line != list[first].At.Line {
			first = i
		}
	}
	if last == 0 {
		return list
	}
	return list[first:last]
}

// job adds what a job holds.
func (w *scales) job(s *stake, j *job) {
	for _, h := range j.holds {
		if h.why == "" {
			s.add(h.secret)
		} else {
			s.holds = true
		}
	}
	rights := j.Rights
	if rights == nil && j.dialect == pipeline.GitHub {
		s.token = s.token || j.place.defaultRights() != "read"
	} else if rights == nil {
		s.token = true // GitLab's may publish packages
	}
	for scope, right := range rights {
		switch {
		case right != "write":
		case scope == "id-token", scope == pipeline.Any:
			s.holds = true
		default:
			s.token = true
		}
	}
	s.holds = s.holds || len(j.IDTokens) > 0
	s.token = s.token || len(j.Unknown) > 0
}

// defaultRights are those of the token where no definition states them: read, write or "".
func (p *place) defaultRights() string {
	for _, o := range append([]*place{p}, p.above...) {
		if rights := o.settings["token_permissions"]; rights != "" {
			return rights
		}
	}
	return ""
}

// add takes a secret into account, unless it is known to open nothing.
func (s *stake) add(r *Readers) {
	if !r.credential() || r.Level == audit.LevelNone || r.Validity == audit.Inactive || r.Validity == audit.Canary {
		return
	}
	s.holds = true
	if opens(r.Level) > max(opens(s.level), opens(audit.LevelUnknown)) {
		s.level, s.by = r.Level, r
	}
}
