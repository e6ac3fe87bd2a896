package graph

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// Weigh gives findings of which that decides (see [audit.Stakes]) the severity that follows from what their jobs hold and which roles they can become, or from what their secret
// opens, as far as the run knows it; and those about jobs that log in to clouds what follows from the roles that trust them. Where it knows nothing they keep theirs. It fails only
// if an advisory cannot be read.
func Weigh(run *audit.Run) error {
	defer weighTrust(run) // which has the last word
	if !slices.ContainsFunc(run.Findings, func(f audit.Finding) bool { return f.Stakes != nil }) {
		return nil
	}
	a, err := NewAccess(run)
	if err != nil {
		return err
	}
	w := &scales{Access: a, files: map[string][]*job{}, secrets: map[string][]*Readers{}, roles: map[string][]*audit.Entry{}, whole: map[string]stake{}, of: map[*job]stake{}}
	for _, p := range a.order {
		for _, r := range p.entries[audit.KindRole] {
			id := JobID(p.name, r.Facts["job"])
			w.roles[id] = append(w.roles[id], r)
		}
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
	files   map[string][]*job         // by target and path, in the order of their lines
	secrets map[string][]*Readers     // by target and name
	roles   map[string][]*audit.Entry // that a job can become, by its id
	whole   map[string]stake          // of files, that were asked for
	of      map[*job]stake
}

// A stake is what one job holds, or several do.
type stake struct {
	level audit.Level // the highest that is known of what it opens
	by    string      // what opens it: "holds NAME", "can become ARN"
	holds string      // a secret that may be good for something, or an identity; "" for none
	token bool        // one that writes, or of which that is not known
}

func (w *scales) weigh(f *audit.Finding) {
	var s stake
	jobs, secrets := false, false // whether anything is known of them
	for _, l := range f.Locations {
		switch l.Kind {
		case audit.InWorkflow:
			if x, known := w.at(l); known {
				jobs = true
				s.take(x)
			}
		case audit.InVariable, audit.InSecret:
			name, _, _ := strings.Cut(l.Name, " (") // what tells it from others of its name
			for _, r := range w.secrets[l.Target+"\x00"+name] {
				secrets = secrets || r.Validity != "" || r.Level != ""
				s.add(r)
			}
		}
	}
	if !jobs && !secrets {
		return
	}
	severity, why := f.Severity, "it opens nothing"
	switch {
	case s.level == audit.LevelAdmin || s.level == audit.LevelEscalation:
		if severity = raised[f.Stakes.Some]; severity.Rank() > audit.Medium.Rank() {
			severity = audit.Critical
		}
	case s.level == audit.LevelWrite:
		severity = raised[f.Stakes.Some]
	case s.holds != "":
		severity = f.Stakes.Some
	case !s.token && !w.full:
		severity = f.Stakes.None
	}
	switch {
	case severity == f.Severity:
		return
	case s.by != "" && jobs:
		why = fmt.Sprintf("the job %s, whose level is %s", s.by, s.level)
	case s.by != "":
		why = "what it opens has the level " + string(s.level)
	case jobs && s.holds != "":
		why = "the job holds " + s.holds
	case jobs:
		why = "the job holds nothing that opens anything"
	}
	f.Severity, f.Message = severity, f.Message+"; "+why
}

// raised is the next severity. A key that may only write makes nothing critical that was not.
var raised = map[audit.Severity]audit.Severity{
	audit.Info: audit.Low, audit.Low: audit.Medium, audit.Medium: audit.High, audit.High: audit.High, audit.Critical: audit.Critical,
}

// at is what the jobs hold that a place in a definition is in: all of the file's, if it is before the first one.
func (w *scales) at(l audit.Location) (s stake, known bool) {
	key := l.Target + "\x00" + l.Path
	list := w.files[key]
	switch {
	case l.Line == 0: // of a text that nobody has seen, in which they go by their names
		name, _, _ := strings.Cut(strings.TrimPrefix(l.Name, "job "), ", ")
		list = slices.DeleteFunc(slices.Clone(list), func(j *job) bool { return j.ID != name })
	case len(list) > 0 && l.Line < list[0].At.Line:
		if s, known = w.whole[key]; known {
			return s, true
		}
		defer func() { w.whole[key] = s }()
	case len(list) > 0: // a job that is called in several ways is there as often
		end := sort.Search(len(list), func(i int) bool { return list[i].At.Line > l.Line })
		start := sort.Search(end, func(i int) bool { return list[i].At.Line >= list[end-1].At.Line })
		list = list[start:end]
	}
	for _, j := range list {
		s.take(w.job(j))
	}
	return s, len(list) > 0
}

// job is what one holds.
func (w *scales) job(j *job) stake {
	s, known := w.of[j]
	if known {
		return s
	}
	for _, h := range j.holds {
		var x stake
		x.add(h.secret)
		if h.why != "" { // it may have another one, or none
			x.level, x.by = "", ""
		}
		s.take(x)
	}
	rights := j.Rights
	switch {
	case rights == nil && j.dialect == pipeline.GitHub:
		s.token = j.place.defaultRights() != "read"
	case rights == nil:
		s.token = true // GitLab's may publish packages
	}
	for scope, right := range rights {
		switch {
		case right != "write":
		case scope == "id-token", scope == pipeline.Any:
			s.holds = cmp.Or(s.holds, "an identity that clouds take")
		default:
			s.token = true
		}
	}
	if len(j.IDTokens) > 0 || j.OIDC {
		s.holds = cmp.Or(s.holds, "an identity that clouds take")
	}
	for _, r := range w.roles[JobID(j.place.name, j.Name())] {
		if level := audit.Level(r.Facts["level"]); r.Facts["unsure"] == "" && opens(level) > opens(audit.LevelUnknown) {
			s.take(stake{level: level, by: "can become " + r.Name})
		}
	}
	s.token = s.token || len(j.Unknown) > 0
	w.of[j] = s
	return s
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

// take adds what others hold.
func (s *stake) take(x stake) {
	if opens(x.level) > opens(s.level) {
		s.level, s.by = x.level, x.by
	}
	s.holds, s.token = cmp.Or(s.holds, x.holds), s.token || x.token
}

// add takes a secret into account, unless it is known to open nothing.
func (s *stake) add(r *Readers) {
	if !r.credential() || r.Level == audit.LevelNone || r.Validity == audit.Inactive || r.Validity == audit.Canary {
		return
	}
	x := stake{holds: r.Name}
	if opens(r.Level) > opens(audit.LevelUnknown) {
		x.level, x.by = r.Level, "holds "+r.Name
	}
	s.take(x)
}
