package graph

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/pipeline"
)

// A Mint is tokens that a job can have its forge make.
type Mint struct {
	Target string // of the job
	Job    string // its name in the inventory
	Event  string // that starts it
	Forge  iam.Forge
	// Subject is that of the tokens; each * in it stands for something that is not known, or that whoever starts the job chooses.
	Subject string
	Claims  map[string]iam.Fact // others that AWS sees
	Unsure  string              // what is not known that decides whether it has them
	Hold

	named       string // the subject by name alone, where it has numbers
	job         *job
	ref         string             // for which it runs: refs/heads/main; with * of any that is like it
	environment *ReaderEnvironment // nil for none
	says        says
	protected   string // GitLab: that of the subject's ref, where it says so: true, false
}

// At is where the job is written, in its own target; "" where that is another repository's file.
func (m *Mint) At() (path string, line int) {
	if m.job == nil || m.job.Place.Repository != "" {
		return "", 0
	}
	return m.job.Place.Path, m.job.At.Line
}

// A Hold is who can have tokens made, and what keeps others from it.
type Hold struct {
	Who    Position // the weakest that can start the job with what they want run
	Guards []string // what holds others back
	// Open is the problem of table 5.4 that a role has which lets these tokens alone in, and why: O08 or O14; "" for none.
	Open, Why string
	Doubt     string // what is not known of the guards
}

// says is what a subject, or a condition beside it, tells of what a job runs for.
type says struct{ ref, environment bool }

// A Position is what somebody may do at a forge.
type Position string

// The positions, from the weakest.
const (
	ByAnybody  Position = "anybody"
	ByWriter   Position = "whoever may push"
	ByReviewer Position = "whoever may merge or approve"
)

// maxMints bounds those of a run: a job has one for each event that starts it, and two where it is not known which form its subjects have.
const maxMints = 1 << 18

// maxOfJob bounds those of one job, so that whoever writes thousands of filters into a workflow leaves room for the jobs of others.
const maxOfJob = 1000

// Mints are tokens that jobs can have, to be found by what their subjects begin with: a role is of few repositories, and an organisation has many.
type Mints struct {
	all   []Mint
	heads []head   // by their texts
	cut   []string // targets of jobs of which some, or all, were left out
}

// A head is what a subject of a mint begins with, as far as it is known, behind its forge.
type head struct {
	text string
	mint int
}

// NewMints puts mints in order.
func NewMints(all []Mint) *Mints {
	m := &Mints{all: all}
	for i := range all {
		for _, subject := range []string{all[i].Subject, all[i].named} {
			if known, _, _ := strings.Cut(subject, "*"); subject != "" {
				m.heads = append(m.heads, head{string(all[i].Forge) + " " + known, i})
			}
		}
	}
	slices.SortFunc(m.heads, func(a, b head) int { return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.mint, b.mint)) })
	return m
}

// Cut are the targets of jobs of which some tokens, or all, were left out: one for each job.
func (m *Mints) Cut() []string { return m.cut }

// Len is how many there are.
func (m *Mints) Len() int { return len(m.all) }

// among are those that a federation may let in, in their order.
func (m *Mints) among(f *iam.Federation) (some []int) {
	take := func(text string, whole bool) {
		at, _ := slices.BinarySearchFunc(m.heads, text, func(h head, text string) int { return cmp.Compare(h.text, text) })
		for ; at < len(m.heads) && (m.heads[at].text == text || !whole && strings.HasPrefix(m.heads[at].text, text)); at++ {
			some = append(some, m.heads[at].mint)
		}
	}
	for _, h := range f.Heads() {
		text := string(f.Forge) + " " + h
		take(text, false)
		for end := len(text) - len(h); end < len(text); end++ { // of which less is known
			take(text[:end], true)
		}
	}
	slices.Sort(some)
	return slices.Compact(some)
}

// Mints are the tokens that jobs can have. Those of Gitea's are not looked at, only Forgejo's.
func (a *Access) Mints() *Mints {
	var all []Mint
	var cut []string
	for _, p := range a.order {
		for _, j := range p.jobs {
			var mints []Mint
			forge := iam.Forge(p.forge)
			switch {
			case forge == iam.GitHub && (j.Rights["id-token"] == "write" || j.Rights["id-token"] == "" && j.Rights[pipeline.Any] == "write"):
				mints = j.github()
			case forge == iam.Gitea && j.OIDC:
				mints = j.github()
			case forge == iam.GitLab && len(j.IDTokens) > 0:
				mints = j.gitlab()
			}
			room := min(maxOfJob, maxMints-len(all))
			if len(mints) > room {
				cut = append(cut, p.name)
			}
			for _, m := range first(mints, room) {
				m.Target, m.Job, m.Forge = p.name, j.Name(), forge
				all = append(all, m)
			}
		}
	}
	m := NewMints(all)
	m.cut = cut
	return m
}

// path is owner and name of a place.
func (p *place) path() string { return strings.TrimPrefix(p.name, p.forge+":") }

// github are the tokens of one of the jobs of GitHub or Forgejo, for each event that starts it. See https://docs.github.com/en/actions/reference/security/oidc and
// https://forgejo.org/docs/latest/user/actions/security-openid-connect/.
func (j *job) github() (all []Mint) {
	for _, e := range j.Events {
		for _, ref := range j.place.refs(&e) {
			if len(all) > maxOfJob { // more than are kept
				return all
			}
			m := Mint{Event: e.Name, job: j, ref: ref}
			m.Claims = map[string]iam.Fact{"aud": iam.Chosen(), "repository": iam.Known(j.place.path()), "environment": iam.Absent()}
			if id := j.place.settings["id"]; id != "" {
				m.Claims["repository_id"] = iam.Known(id)
			}
			if !strings.Contains(ref, "*") {
				m.Claims["ref"] = iam.Known(ref)
			}
			context, environment := "ref:"+ref, ""
			if strings.HasPrefix(ref, "refs/pull/") {
				context = "pull_request"
			}
			if x := j.environment(); x != nil && j.place.forge == string(iam.GitHub) { // Forgejo has none
				m.environment, environment = x, strings.ReplaceAll(x.Name, ":", "%3A")
				m.Claims["environment"] = iam.Known(x.Name)
				if x.Computed {
					environment = "*"
					m.Claims["environment"] = iam.Unknown()
					m.Unsure = "the environment, whose name is known when the job runs"
				}
				context = "environment:" + environment
			}
			for _, s := range j.subjects(context, ref, environment) {
				one := m
				one.Subject, one.named, one.says, one.Unsure = s.text, s.named, s.says, cmp.Or(m.Unsure, s.unsure)
				all = append(all, one.judged(ref))
			}
		}
	}
	return all
}

// refs are those for which an event starts jobs, as subjects. Those that a job's own branch starts may be any: who changes the job changes the filter. See
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
func (p *place) refs(e *pipeline.Event) []string {
	switch e.Name {
	case "pull_request": // of forks no token is given
		return []string{"refs/pull/*/merge"}
	case "push":
		var all []string
		for _, f := range e.Filters {
			for _, v := range f.Values {
				switch f.Name {
				case "branches":
					all = append(all, "refs/heads/"+refPattern(v))
				case "tags":
					all = append(all, "refs/tags/"+refPattern(v))
				}
			}
		}
		if len(all) > 0 {
			return all
		}
		return []string{"refs/heads/*", "refs/tags/*"}
	case "workflow_dispatch", "create", "deployment", "deployment_status":
		return []string{"refs/heads/*", "refs/tags/*"}
	case "release":
		return []string{"refs/tags/*"}
	case "merge_group":
		return []string{"refs/heads/gh-readonly-queue/*"}
	}
	return []string{"refs/heads/" + cmp.Or(p.settings["default_branch"], "*")} // all others run for it
}

// refPattern is a filter of an event as subjects have it.
func refPattern(filter string) string {
	if i := strings.IndexAny(filter, "*?[+!"); i >= 0 {
		return filter[:i] + "*"
	}
	return filter
}

// judged is the mint with who can have it made, of tokens that are for a ref.
func (m Mint) judged(ref string) Mint {
	p := m.job.place
	m.Hold = Hold{Who: ByWriter}
	kind, name := kindOf(ref)
	switch {
	case m.says.ref && !strings.Contains(name, "*"):
		m.Hold = p.on(ref)
	case m.protected == "true":
		m.Hold = p.protected(kind)
	}
	if m.says.environment {
		m.gate(p)
	}
	answer, note := p.outsiders(m.job.dialect, m.Event)
	if strings.HasPrefix(ref, "refs/pull/") { // of forks no token is given
		answer = "no"
	}
	if x := m.environment; x != nil && x.reviewed() { // who does not change the job cannot leave it out
		answer = "no"
	} else if x != nil && x.Exists == "unknown" && answer == "yes" {
		answer, note = "unknown", "what guards the environment "+x.Name
	}
	switch answer {
	case "yes":
		m.Who, m.Guards, m.Doubt = ByAnybody, nil, ""
		if m.Open != "O08" {
			m.Open, m.Why = "O14", "anybody can start it by "+m.Event+", and it is let in"
		}
	case "unknown":
		m.Hold = Hold{Who: ByAnybody, Doubt: note}
	}
	return m
}

// gate takes in what guards the environment, which the token is for.
func (m *Mint) gate(p *place) {
	x := m.environment
	switch {
	case x.Exists == "unknown":
		m.Doubt = cmp.Or(m.Doubt, "what guards the environment "+x.Name)
		return
	case len(x.Gates) == 0: // then any job may name it
		if m.Who == ByWriter {
			m.Open, m.Why = "O08", "nothing guards the environment "+x.Name+": "+strings.Join(x.Holes, "; ")
		}
		return
	case x.reviewed():
		m.Who, m.Open, m.Why = ByReviewer, "", ""
	case !m.says.ref: // any branch that it takes will do
		m.Hold = p.admitted(x)
	}
	m.Guards = slices.Concat(m.Guards, x.Gates)
}

// A subject is one that a job's tokens have, what it would be by name alone where it has numbers, why it is not certain, and what it says.
type subject struct {
	text, named, unsure string
	says
}

// subjects are those of a context, by what the repository's settings make of it.
func (j *job) subjects(context, ref, environment string) (all []subject) {
	settings, path := j.place.settings, j.place.path()
	owner, name, _ := strings.Cut(path, "/")
	id, ownerID := cmp.Or(settings["id"], "*"), cmp.Or(settings["owner_id"], "*")
	keys, immutable := settings["oidc_subject"], settings["oidc_immutable_subject"]
	unread, at := "", "@"
	if j.place.forge == string(iam.Gitea) {
		unread, at = "whether its subjects have numbers, as those of repositories that are new to Forgejo have", "-"
	} else if keys == "" && immutable == "" {
		unread = "which subjects its tokens have: the settings were not read"
	}
	var repos []subject
	if immutable != "true" {
		repos = append(repos, subject{text: "repo:" + path, unsure: unread})
	}
	if immutable != "false" {
		numbered := subject{text: "repo:" + owner + at + ownerID + "/" + name + at + id, unsure: unread}
		if id == "*" || ownerID == "*" {
			numbered.unsure = cmp.Or(unread, "the numbers of owner and repository, which were not read")
		}
		repos = append(repos, numbered)
	}
	if keys == "" {
		keys = "repo,context"
	}
	for _, repo := range repos {
		var parts []string
		for key := range strings.SplitSeq(keys, ",") {
			part, why := key+":*", "the value of "+key
			switch key {
			case "repo":
				part, why = repo.text, repo.unsure
			case "context":
				part, why = context, ""
				repo.ref, repo.environment = strings.HasPrefix(context, "ref:"), strings.HasPrefix(context, "environment:")
			case "repository":
				part, why = key+":"+path, ""
			case "repository_owner":
				part, why = key+":"+owner, ""
			case "repository_id", "repository_owner_id":
				number := id
				if key == "repository_owner_id" {
					number = ownerID
				}
				if part = key + ":" + number; number != "*" {
					why = ""
				}
			case "ref":
				part, why, repo.ref = key+":"+ref, "", true
			case "environment":
				part, why, repo.environment = key+":"+environment, "", environment != ""
			case "job_workflow_ref":
				part, why = key+":"+cmp.Or(j.Place.Repository, path)+"/"+j.Place.Path+"@"+cmp.Or(j.Place.Ref, ref), ""
				repo.ref = repo.ref || j.Place.Repository+j.Place.Ref == ""
			}
			parts = append(parts, part)
			repo.unsure = cmp.Or(repo.unsure, why)
		}
		s := subject{text: strings.Join(parts, ":"), unsure: repo.unsure, says: repo.says}
		if named := strings.Replace(s.text, repo.text, "repo:"+path, 1); named != s.text {
			s.named = named
		}
		if !slices.ContainsFunc(all, func(o subject) bool { return o.text == s.text }) {
			all = append(all, s)
		}
	}
	return all
}

// gitlab are the tokens of one of GitLab's jobs. Their subjects are made of the claims that the project's settings name, without those that have no value. See
// https://docs.gitlab.com/ci/secrets/id_token_authentication/.
func (j *job) gitlab() (all []Mint) {
	settings := j.place.settings
	keys, unread := settings["oidc_subject"], ""
	if keys == "" {
		keys, unread = "project_path,ref_type,ref", "which claims its subjects are made of: the settings were not read"
	}
	for _, kind := range []string{"branch", "tag"} {
		for _, protected := range []string{"true", "false"} {
			m := Mint{
				Event: "a " + kind, Claims: map[string]iam.Fact{"aud": iam.Chosen()}, Unsure: unread, job: j, ref: map[string]string{"branch": "refs/heads/*", "tag": "refs/tags/*"}[kind],
				environment: j.environment(),
			}
			var parts []string
			for key := range strings.SplitSeq(keys, ",") {
				value := "*"
				switch key {
				case "project_path":
					value = j.place.path()
				case "project_id":
					value = cmp.Or(settings["id"], "*")
				case "ref_type":
					value = kind
				case "ref_protected":
					value, m.protected = protected, protected
				case "environment_protected", "deployment_tier":
					if value = m.environment.claim(key); value == "" {
						continue
					}
					m.says.environment = m.says.environment || key == "environment_protected" && value == "true" // a tier is the job's own to name
				}
				if key == "ref" {
					m.says.ref = true
				} else if value == "*" {
					m.Unsure = cmp.Or(m.Unsure, "the value of "+key)
				}
				parts = append(parts, key+":"+value)
			}
			if m.protected == "" && protected == "false" {
				continue // the same again
			}
			m.Subject = strings.Join(parts, ":")
			all = append(all, m.judged(m.ref))
		}
	}
	return all
}

// claim is what a GitLab token says of the job's environment; "" for nothing, * where it is not known.
func (x *ReaderEnvironment) claim(name string) string {
	if x == nil {
		return ""
	}
	fact := map[string]string{"environment_protected": "protected", "deployment_tier": "tier"}[name]
	if x.Exists == "no" && fact == "protected" {
		return "false"
	}
	return cmp.Or(x.facts[fact], "*")
}

// A Federated is a job's token that a role lets in.
type Federated struct {
	Mint
	Token    string // its subject
	Evidence string // the statement of the role's trust
	Perhaps  string // what is not known that decides whether it is let in at all, whoever starts the job; "" if it surely is
}

// Federate joins what jobs can have made and what a role lets in: an edge leads from each such job to the role. Left are the tokens of jobs that the role lets in by
// name alone, while the forge makes them with numbers.
func (g *Graph) Federate(w *iam.World, f *iam.Federation, mints *Mints) (in []Federated, left []Mint) {
	for _, i := range mints.among(f) {
		m := mints.all[i]
		tokens := w.Lets(f, m.Subject, m.Claims)
		if len(tokens) == 0 && m.named != "" && slices.ContainsFunc(w.Lets(f, m.named, m.Claims), func(l iam.Let) bool { return l.State == iam.Allowed }) {
			left = append(left, m)
		}
		for _, l := range tokens {
			if one, ok := m.letIn(w, f, &l); ok {
				in = append(in, one)
				g.federate(f.Role, &one)
			}
		}
	}
	return in, left
}

// letIn is the mint as a role lets one of its tokens in; not ok where the forge does not make that token.
func (m Mint) letIn(w *iam.World, f *iam.Federation, l *iam.Let) (one Federated, ok bool) {
	asks := func(claim string, other iam.Fact) bool { // of the token, beside its subject
		if _, has := m.Claims[claim]; !has {
			return false
		}
		claims := maps.Clone(m.Claims)
		claims[claim] = other
		return len(w.Lets(f, l.Subject, claims)) == 0
	}
	if m.job != nil {
		ref := m.ref
		if _, star := refOf(m.Subject); star >= 0 && !l.Open[star] { // else whoever starts the job chooses among others
			ref, _ = refOf(l.Subject)
		}
		p := m.job.place
		if m.protected != "" && !strings.Contains(ref, "*") && p.protects(ref) != (m.protected == "true") && !p.blind() {
			return one, false
		}
		m.says.ref = m.says.ref || asks("ref", iam.Known("refs/heads/another/ref"))
		m.says.environment = m.says.environment || m.environment != nil && asks("environment", iam.Absent())
		m = m.judged(ref)
	}
	perhaps := m.Unsure
	if l.State == iam.Undecided {
		perhaps = cmp.Or(perhaps, strings.Join(l.Missing, ", "))
	}
	perhaps = cmp.Or(perhaps, signer(f))
	m.Unsure = cmp.Or(m.Unsure, m.Doubt, perhaps)
	return Federated{m, l.Subject, iam.Evidence(l.Witnesses), perhaps}, true
}

// signer is what is not known of who signs the tokens of a provider: only the public forges are known by their addresses.
func signer(f *iam.Federation) (unsure string) {
	if slices.Contains([]string{"token.actions.githubusercontent.com", "gitlab.com"}, strings.ToLower(f.Issuer)) {
		return ""
	}
	return "whether " + f.Issuer + " signs for this forge"
}

// refOf is the ref that a subject says it is for, as refs/heads/main, and which * of the subject is in it, from 0; -1 for none. No name of a ref has a colon.
func refOf(subject string) (ref string, star int) {
	kind, stars := "", 0
	star = -1
	parts := strings.Split(subject, ":")
	for i := 0; i+1 < len(parts); i += 2 {
		key, v := parts[i], parts[i+1]
		switch key {
		case "ref_type": // GitLab's
			kind = map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}[v]
		case "job_workflow_ref":
			_, ref, _ = strings.Cut(v, "@")
		case "ref":
			ref = kind + v
		}
		if (key == "ref" || key == "job_workflow_ref") && strings.Contains(v, "*") {
			star = stars
		}
		if stars += strings.Count(v, "*"); key == "ref" {
			break
		}
	}
	return ref, star
}

// federate adds a job's way to a role.
func (g *Graph) federate(role *iam.Identity, f *Federated) {
	job := g.Node(Node{ID: JobID(f.Target, f.Job), Kind: Job, Name: f.Job, In: f.Target})
	e := Edge{From: job, To: g.identity(role), Kind: Federate, Unsure: f.Unsure, Evidence: strings.TrimPrefix(f.Evidence+"; "+f.Token, "; ")}
	if f.Evidence != "" {
		e.Close = "narrow " + f.Evidence
	}
	g.Edge(e)
	if f.Who == ByAnybody {
		g.Edge(Edge{From: g.Anybody(), To: job, Kind: Starts, Evidence: f.Event})
	}
}

// JobID is the id of a job, by its target and its name in the inventory.
func JobID(target, name string) string { return "job:" + target + "/" + name }
