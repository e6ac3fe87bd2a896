package resolve

import (
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
)

// An Origin is where a component lies that a pipeline takes from a repository by a git ref.
type Origin struct {
	// Source is whose repositories it is among: "github", "gitea" or "gitlab" for those of the forge that the pipeline is on, or an address that the
	// definition states, such as "https://code.forgejo.org".
	Source     string
	Repository string // "actions/cache"
	Path       string // in it: the folder of an action, "" for the root, the file of a workflow or include, or the name of a component of GitLab's catalogue
	Ref        string
}

// String is how definitions name it: "actions/cache/save@v4".
func (o Origin) String() string {
	return strings.TrimSuffix(o.Repository+"/"+o.Path, "/") + "@" + o.Ref
}

// Key is the same for all spellings of one origin: forges fold the case of a repository's name.
func (o Origin) Key() string {
	return o.Source + " " + strings.ToLower(o.Repository) + " " + o.Path + "@" + o.Ref
}

// IsWorkflow tells whether it is a reusable workflow, else it is an action, or an include.
func (o Origin) IsWorkflow() bool {
	dir, _ := path.Split(o.Path)
	return dir == ".github/workflows/" || dir == ".gitea/workflows/" || dir == ".forgejo/workflows/"
}

// OriginOf is where a component lies that a job's own file names: workflow is the path of the file that starts the job. It is not ok of what no git ref says:
// images, what is local, what is only known when it runs.
func OriginOf(target, workflow string, c *pipeline.Component) (o Origin, ok bool) {
	source, _, found := strings.Cut(target, ":")
	if source != "github" && source != "gitea" && source != "gitlab" || !found { // files, of a forge that their folder tells
		source = "github"
		switch {
		case strings.HasPrefix(workflow, ".gitea/"), strings.HasPrefix(workflow, ".forgejo/"):
			source = "gitea"
		case !strings.HasPrefix(workflow, ".github/"):
			source = "gitlab"
		}
	}
	return Origin{Source: source}.Part(c)
}

// Part is where a component lies that the file at an origin names. One that a lock file holds is named by its commit. Of actions and reusable workflows only the runners of
// Gitea and Forgejo take addresses, http:// among them, and one that is named without an address has the same server for them whatever names it (gitea.com/gitea/act,
// newRemoteAction).
func (o Origin) Part(c *pipeline.Component) (part Origin, ok bool) {
	if c.Pin != pipeline.Commit && c.Pin != pipeline.Named && c.Pin != pipeline.Locked || c.Ref == "" {
		return part, false
	}
	part = Origin{Source: o.Source, Ref: c.Exact().Ref}
	switch c.Kind {
	case pipeline.Action, pipeline.Workflow:
		name := c.Name
		text, _, _ := strings.Cut(c.Text, "@")
		if scheme, rest, ok := strings.Cut(text, "://"); ok {
			host, rest, _ := strings.Cut(rest, "/")
			part.Source, name = strings.ToLower(scheme+"://"+host), rest
		} else if name == text && strings.Contains(o.Source, "://") { // no file of the same repository: what an address leads to names others as the pipeline does
			part.Source = "gitea"
		}
		part.Repository, part.Path = split(name)
		part.Path = strings.Trim(path.Clean("/"+part.Path), "/")
	case pipeline.Include:
		project, file, ok := strings.Cut(c.Name, ":")
		if !ok || strings.Contains(c.Name, "://") || strings.Contains(c.Name, "$") {
			return part, false
		}
		part.Repository, part.Path = project, strings.TrimPrefix(file, "/")
	case pipeline.Catalogue: // docs.gitlab.com/ci/components: FQDN/PROJECT/COMPONENT
		host, rest, _ := strings.Cut(c.Name, "/")
		if !slices.Contains(ownHost, host) {
			part.Source = "https://" + strings.ToLower(host)
		}
		part.Repository, part.Path = path.Split(rest)
		part.Repository = strings.TrimSuffix(part.Repository, "/")
	default:
		return part, false
	}
	return part, strings.Contains(part.Repository, "/")
}

// ownHost are variables that stand for the instance that a GitLab pipeline runs on.
var ownHost = []string{"$CI_SERVER_FQDN", "$CI_SERVER_HOST", "${CI_SERVER_FQDN}", "${CI_SERVER_HOST}"}

// A Meaning is what a component that a git ref names stood for when its repository was asked.
type Meaning struct {
	Origin
	Is         string               // what the ref is: "commit", "tag" or "branch"
	Commit     string               // that it stands for
	Tags       []string             // of the repository that stand for that commit
	Reachable  string               // of one that is named by its commit: Reachable, Unreachable, Missing, or "" if that is not known
	Parts      []pipeline.Component // that it pulls in itself
	Opaque     bool                 // not all of those are known
	Advisories []Advisory           // of its repository
}

// Whether a branch or tag of a repository leads to a commit.
const (
	Reachable   = "true"
	Unreachable = "false"   // though its server has it: it is of a fork, or of a branch that is gone
	Missing     = "missing" // its server does not have it
)

// An Advisory says that versions of a component are vulnerable.
type Advisory struct {
	ID       string // "GHSA-…"
	Severity audit.Severity
	Summary  string
	Range    string // of versions: ">= 1.0, < 1.2.3"
	Fixed    string // the first version without it; "" if there is none
}

// Entry is the meaning's line in the inventory; [MeaningFrom] reads it. docs/inventory.md has the facts.
func (m *Meaning) Entry() audit.Entry {
	var t table
	for _, c := range m.Parts {
		t.row("parts", string(c.Kind), c.Text, c.Name, c.Ref, string(c.Pin))
	}
	for _, a := range m.Advisories {
		t.row("advisories", a.ID, string(a.Severity), a.Range, a.Fixed, a.Summary)
	}
	facts := map[string]string{
		"source": word(m.Source), "repository": word(m.Repository), "path": word(m.Path), "ref": word(m.Ref), "is": m.Is, "commit": m.Commit,
		"tags": audit.NameList(m.Tags), "reachable": m.Reachable,
	}
	if m.Opaque {
		facts["opaque"] = "true"
	}
	target := m.Source + ":" + m.Repository
	if strings.Contains(m.Source, "://") {
		target = m.Source + "/" + m.Repository
	}
	return audit.Entry{Target: word(target), Kind: audit.KindComponent, Name: word(m.String()), Scope: "repository", Facts: t.into(facts)}
}

// MeaningFrom is the meaning that an entry was made of.
func MeaningFrom(e audit.Entry) (m Meaning) {
	f := e.Facts
	m = Meaning{
		Origin: Origin{f["source"], f["repository"], f["path"], f["ref"]}, Is: f["is"], Commit: f["commit"], Reachable: f["reachable"], Opaque: f["opaque"] == "true",
	}
	if f["tags"] != "" {
		m.Tags = strings.Split(f["tags"], ",")
	}
	for _, c := range rows(f["parts"]) {
		m.Parts = append(m.Parts, pipeline.Component{
			Kind: pipeline.ComponentKind(c.cell(0)), Text: c.cell(1), Name: c.cell(2), Ref: c.cell(3), Pin: pipeline.Pin(c.cell(4)),
		})
	}
	for _, c := range rows(f["advisories"]) {
		m.Advisories = append(m.Advisories, Advisory{c.cell(0), audit.Severity(c.cell(1)), c.cell(4), c.cell(2), c.cell(3)})
	}
	return m
}

// Meanings are those of a run, by their origin's key.
type Meanings map[string]*Meaning

// Learn takes in what the inventory says of components.
func (all Meanings) Learn(entries []audit.Entry) {
	for _, e := range entries {
		if e.Kind == audit.KindComponent {
			m := MeaningFrom(e)
			all[m.Key()] = &m
		}
	}
}

// A Part is what a component pulls in, itself or through others.
type Part struct {
	pipeline.Component
	Meaning *Meaning // nil if it was not learned
	Through []string // the components between, the outermost first
}

// Pulled are all that a component pulls in, each once, at the commits that [Job.Locks] has for it; those that are held are what of it does not change, as all that lies between is
// named by its commit, with what can change next to that.
func (all Meanings) Pulled(m *Meaning, locks map[string]string, held bool) (list []Part) {
	seen := map[string]bool{m.Key(): true}
	for todo := []Part{{Meaning: m}}; len(todo) > 0; todo = todo[1:] {
		from := todo[0]
		through := from.Through
		if from.Meaning != m {
			through = append(slices.Clone(through), from.Text)
		}
		for _, c := range from.Meaning.Parts {
			if commit := locks[pipeline.PinOf(&c)]; commit != "" && c.Pin == pipeline.Named && (from.Meaning == m || from.Pin != pipeline.Named) {
				c.Pin, c.Commit = pipeline.Locked, commit
			}
			p := Part{Component: c, Through: through}
			key := "text " + c.Text
			if origin, ok := from.Meaning.Part(&c); ok {
				key = origin.Key()
				p.Meaning = all[key]
			}
			if seen[key] || len(list) == maxBeside {
				continue
			}
			seen[key] = true
			list = append(list, p)
			if p.Meaning != nil && (!held || c.Pin == pipeline.Commit || c.Pin == pipeline.Locked) {
				todo = append(todo, p)
			}
		}
	}
	return list
}

// Locks are the commits that a lock file holds at what a component pulls in, by their pins: those beside the job, in which a pin means one commit. There are none where
// nothing holds the component itself, nor where "./" pulls it in.
func (j *Job) Locks(of *Component) map[string]string {
	if of.Pin != pipeline.Locked && of.Pin != pipeline.Commit || len(of.Through) > 0 && strings.HasPrefix(of.Through[0], "./") {
		return nil
	}
	locks := map[string]string{}
	for i := range j.Beside {
		if c := &j.Beside[i].Component; c.Pin == pipeline.Locked {
			locks[pipeline.PinOf(c)] = c.Commit
		}
	}
	return locks
}

// ByLock is what pulls in a component beside the job of which a lock file alone says that it is there: by its repository, without the folder in it. It is nil of others.
func (j *Job) ByLock(c *Component) *Component {
	n := len(c.Through)
	if n == 0 {
		return nil
	}
	i := slices.IndexFunc(j.Beside, func(o Component) bool {
		return o.Opaque && o.Text == c.Through[n-1] && slices.Equal(o.Through, c.Through[:n-1])
	})
	if i < 0 {
		return nil
	}
	return &j.Beside[i]
}

// has tells whether a component is beside the job by what pulls it in, in whichever folder of its repository.
func (j *Job) has(c *pipeline.Component, through []string) bool {
	pin := pipeline.PinOf(c)
	return pin != "" && slices.ContainsFunc(j.Beside, func(o Component) bool { return pipeline.PinOf(&o.Component) == pin && slices.Equal(o.Through, through) })
}

// Learned is the job with what the components beside it pull in, as far as that is known only from what was learned of them. target is whose job it is.
func (j *Job) Learned(target string, all Meanings) {
	for i, c := range j.Beside { // as it was
		origin, ok := OriginOf(target, j.Workflow, &c.Component)
		m := all[origin.Key()]
		if !ok || m == nil || !c.Opaque {
			continue
		}
		j.Beside[i].Opaque = m.Opaque
		for _, p := range all.Pulled(m, j.Locks(&c), false) {
			if len(j.Beside) >= maxBeside {
				j.Beside[i].Opaque = true
				break
			}
			through := append(append(slices.Clone(c.Through), c.Text), p.Through...)
			if j.has(&p.Component, through) {
				continue
			}
			opaque := p.Kind != pipeline.Image && (p.Meaning == nil || p.Meaning.Opaque)
			p.At = c.At
			j.Beside = append(j.Beside, Component{Component: p.Component, Through: through, Opaque: opaque})
		}
	}
}

// Parts are what the file of a component pulls in itself, as it is at a commit of its repository: other actions and workflows, and images. What lies in the
// same repository is named by that commit. It is not whole of a file that cannot be read, of one with more parts than a job has room for, and of an image that
// is built. "./" in a step is what the job has checked out by then, which is the caller's own.
func Parts(from Origin, commit string, content []byte) (parts []pipeline.Component, whole bool) {
	d := pipeline.Parse(pipeline.GitHub, from.Path, content)
	add := func(c pipeline.Component, own string) {
		if c.Pin == pipeline.Local && own != "" && strings.HasPrefix(c.Name, own) {
			c.Name, c.Ref, c.Pin = path.Join(from.Repository, strings.TrimPrefix(c.Name, own)), commit, pipeline.Commit
		}
		if c.Pin != pipeline.Local {
			parts = append(parts, c)
		}
	}
	if from.IsWorkflow() {
		whole = len(d.Gaps) == 0
		for i := range d.Jobs {
			j := &d.Jobs[i]
			for _, c := range j.Code {
				add(c, "")
			}
			for _, s := range j.Steps {
				if s.Uses != nil {
					add(*s.Uses, "$/")
				}
			}
			if j.Call != nil {
				add(j.Call.Workflow, "./")
			}
		}
	} else {
		runs := d.Root().Get("runs")
		image := runs.Get("image")
		whole = runs.IsMap() && (!image.Is() || strings.HasPrefix(image.Text(), "docker://"))
		for step := range runs.Get("steps").Items() {
			if uses := step.Get("uses"); uses.Is() {
				add(uses.Component(pipeline.Action), "$/")
			}
		}
		if strings.HasPrefix(image.Text(), "docker://") {
			add(image.Component(pipeline.Action), "")
		}
	}
	for i := range parts {
		parts[i].At = pipeline.Position{}
	}
	seen := map[pipeline.Component]bool{}
	parts = slices.DeleteFunc(parts, func(c pipeline.Component) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
	if len(parts) > maxBeside {
		parts, whole = parts[:maxBeside], false
	}
	return parts, whole
}
