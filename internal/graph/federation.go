package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
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
	Who     Position            // the weakest that can start it with what they want run
	Guards  []string            // what holds others back
	Unsure  string              // what is not known that decides whether it has them
	// Open is the problem of table 5.4 that a role has which lets these tokens alone in, and why: O08 or O14; "" for none.
	Open, Why string
}

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

// Mints are the tokens that jobs can have. Of those of Gitea and Forgejo it is not known whether they ask for any.
func (a *Access) Mints() (all []Mint) {
	for _, p := range a.order {
		for _, j := range p.jobs {
			var mints []Mint
			forge := iam.Forge(p.forge)
			switch {
			case forge == iam.GitHub && (j.Rights["id-token"] == "write" || j.Rights["id-token"] == "" && j.Rights[pipeline.Any] == "write"):
				mints = j.github()
			case forge == iam.GitLab && len(j.IDTokens) > 0:
				mints = j.gitlab()
			}
			for _, m := range mints {
				if m.Target, m.Job, m.Forge = p.name, j.Name(), forge; len(all) < maxMints {
					all = append(all, m)
				}
			}
		}
	}
	return all
}

// path is owner and name of a place.
func (p *place) path() string { return strings.TrimPrefix(p.name, p.forge+":") }

// github are the tokens of one of GitHub's jobs, for each event that starts it. See https://docs.github.com/en/actions/reference/security/oidc.
func (j *job) github() (all []Mint) {
	for _, e := range j.Events {
		for _, m := range j.place.refs(&e) {
			ref := m.Subject
			m.Event = e.Name
			m.Claims = map[string]iam.Fact{"aud": iam.Chosen(), "repository": iam.Known(j.place.path()), "environment": iam.Absent()}
			if !strings.Contains(ref, "*") {
				m.Claims["ref"] = iam.Known(ref)
			}
			context, environment := "ref:"+ref, ""
			if strings.HasPrefix(ref, "refs/pull/") {
				context = "pull_request"
			}
			if x := j.environment(); x != nil {
				environment = strings.ReplaceAll(x.Name, ":", "%3A")
				m.Claims["environment"] = iam.Known(x.Name)
				if x.Computed {
					environment = "*"
					m.Claims["environment"] = iam.Unknown()
					m.Unsure = cmp.Or(m.Unsure, "the environment, whose name is known when the job runs")
				}
				context = "environment:" + environment
				m.gate(x)
			}
			for _, s := range j.subjects(context, ref, environment) {
				one := m
				one.Subject, one.Unsure = s.text, cmp.Or(m.Unsure, s.unsure)
				all = append(all, one)
			}
		}
	}
	return all
}

// refs are those for which an event starts jobs, as subjects, and who can have a commit of theirs on them. Those that a job's own branch starts may be any: who
// changes the job changes the filter. See https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
func (p *place) refs(e *pipeline.Event) []Mint {
	switch e.Name {
	case "pull_request": // of forks no token is given
		return []Mint{{Subject: "refs/pull/*/merge", Who: ByWriter}}
	case "push":
		var all []Mint
		for _, f := range e.Filters {
			for _, v := range f.Values {
				switch f.Name {
				case "branches":
					all = append(all, p.on(refPattern(v)))
				case "tags":
					all = append(all, Mint{Subject: "refs/tags/" + refPattern(v), Who: ByWriter})
				}
			}
		}
		if len(all) > 0 {
			return all
		}
		return []Mint{p.on("*"), {Subject: "refs/tags/*", Who: ByWriter}}
	case "workflow_dispatch", "create", "deployment", "deployment_status":
		return []Mint{p.on("*"), {Subject: "refs/tags/*", Who: ByWriter}}
	case "release":
		return []Mint{{Subject: "refs/tags/*", Who: ByWriter}}
	case "merge_group":
		return []Mint{{Subject: "refs/heads/gh-readonly-queue/*", Who: ByWriter}}
	}
	m := p.on(cmp.Or(p.settings["default_branch"], "*")) // all others run for it
	switch answer, note := p.outsiders(pipeline.GitHub, e.Name); answer {
	case "yes":
		m.Who, m.Guards, m.Open, m.Why = ByAnybody, nil, "O14", "anybody can start it by "+e.Name+", on the branch that is let in"
	case "unknown":
		m.Who, m.Guards, m.Open, m.Unsure = ByAnybody, nil, "", note
	}
	return []Mint{m}
}

// refPattern is a filter of an event as subjects have it.
func refPattern(filter string) string {
	if i := strings.IndexAny(filter, "*?[+!"); i >= 0 {
		return filter[:i] + "*"
	}
	return filter
}

// on is a branch.
func (p *place) on(branch string) Mint {
	m := Mint{Subject: "refs/heads/" + branch, Who: ByWriter}
	if strings.Contains(branch, "*") {
		return m
	}
	for _, e := range slices.Concat([]*place{p}, p.above) {
		for _, r := range e.entries[audit.KindProtection] {
			f := r.Facts
			if f["of"] == "tag" || f["target"] == "tag" || f["target"] == "push" || f["of"] == "ruleset" && f["enforcement"] != "active" {
				continue
			}
			isDefault := branch == p.settings["default_branch"]
			covers := pipeline.Covers(strings.Split(cmp.Or(f["refs"], r.Name), ","), branch, isDefault) && !pipeline.Covers(strings.Split(f["excluded"], ","), branch, isDefault)
			if covers && (f["reviews"] != "" && f["reviews"] != "0" || about(f["rules"], "pull_request", "update") || f["push"] != "") {
				m.Who, m.Guards = ByReviewer, append(m.Guards, "the branch is protected by "+r.Name)
			}
		}
	}
	switch {
	case m.Who == ByReviewer:
	case slices.ContainsFunc(p.gaps, func(g audit.Gap) bool { return about(g.What, "protect", "ruleset", "branch") }):
		m.Unsure = "whether the branch " + branch + " is protected"
	default:
		m.Open, m.Why = "O14", "the branch "+branch+" is not protected: whoever may push changes what the job does"
	}
	return m
}

// gate takes in what guards an environment.
func (m *Mint) gate(x *ReaderEnvironment) {
	m.Guards = append(slices.Clone(m.Guards), x.Gates...)
	switch {
	case x.Exists == "unknown":
		m.Unsure = cmp.Or(m.Unsure, "what guards the environment "+x.Name)
	case len(x.Gates) == 0: // then any job may name it, on any branch
		if m.Guards = nil; m.Who == ByReviewer {
			m.Who = ByWriter
		}
		m.Open, m.Why = "O08", "nothing guards the environment "+x.Name+": "+strings.Join(x.Holes, "; ")
	case slices.ContainsFunc(x.Gates, func(g string) bool { return strings.HasPrefix(g, "reviewed by") || strings.HasSuffix(g, "approvals") }):
		m.Who, m.Open, m.Why = ByReviewer, "", ""
	default:
		m.Open, m.Why = "", ""
	}
}

// A subject is one that a job's tokens have, and why that is not certain.
type subject struct{ text, unsure string }

// subjects are those of a context, by what the repository's settings make of it.
func (j *job) subjects(context, ref, environment string) (all []subject) {
	settings, path := j.place.settings, j.place.path()
	owner, name, _ := strings.Cut(path, "/")
	keys, immutable := settings["oidc_subject"], settings["oidc_immutable_subject"]
	unread := ""
	if keys == "" && immutable == "" {
		unread = "which subjects its tokens have: the settings were not read"
	}
	var repos []subject
	if immutable != "true" {
		repos = append(repos, subject{"repo:" + path, unread})
	}
	if immutable != "false" {
		repos = append(repos, subject{"repo:" + owner + "@*/" + name + "@*", cmp.Or(unread, "the numbers of owner and repository, which were not read")})
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
			case "repository":
				part, why = key+":"+path, ""
			case "repository_owner":
				part, why = key+":"+owner, ""
			case "ref":
				part, why = key+":"+ref, ""
			case "environment":
				part, why = key+":"+environment, ""
			case "job_workflow_ref":
				part, why = key+":"+cmp.Or(j.Place.Repository, path)+"/"+j.Place.Path+"@"+cmp.Or(j.Place.Ref, ref), ""
			}
			parts = append(parts, part)
			repo.unsure = cmp.Or(repo.unsure, why)
		}
		s := subject{strings.Join(parts, ":"), repo.unsure}
		if !slices.ContainsFunc(all, func(o subject) bool { return o.text == s.text }) {
			all = append(all, s)
		}
	}
	return all
}

// gitlab are the tokens of one of GitLab's jobs. See https://docs.gitlab.com/ci/secrets/id_token_authentication/.
func (j *job) gitlab() (all []Mint) {
	for _, kind := range []string{"branch", "tag"} {
		m := Mint{
			Event: "a " + kind, Subject: "project_path:" + j.place.path() + ":ref_type:" + kind + ":ref:*", Claims: map[string]iam.Fact{"aud": iam.Chosen()}, Who: ByWriter,
			Unsure: "whether the project's subjects have the standard components, which are not read",
		}
		if x := j.environment(); x != nil {
			m.gate(x)
		}
		m.Open, m.Why = "", "" // the subject does not name the environment
		all = append(all, m)
	}
	return all
}

// A Federated is a job's token that a role lets in.
type Federated struct {
	Mint
	Token    string // its subject
	Evidence string // the statement of the role's trust
}

// Federate joins what jobs can have made and what a role lets in: an edge leads from each such job to the role. Left are the tokens of jobs that the role lets in by
// name alone, while the forge makes them with numbers.
func (g *Graph) Federate(w *iam.World, f *iam.Federation, mints []Mint) (in []Federated, left []Mint) {
	for _, m := range mints {
		if m.Forge != f.Forge {
			continue
		}
		token, answer := w.Lets(f, m.Subject, m.Claims)
		if token == "" || answer.State == iam.Denied {
			if named := strings.ReplaceAll(m.Subject, "@*", ""); named != m.Subject && m.Unsure != "" {
				if _, answer := w.Lets(f, named, m.Claims); answer.State == iam.Allowed {
					left = append(left, m)
				}
			}
			continue
		}
		if answer.State == iam.Undecided {
			m.Unsure = cmp.Or(m.Unsure, strings.Join(answer.Missing, ", "))
		}
		if !slices.Contains([]string{"token.actions.githubusercontent.com", "gitlab.com"}, strings.ToLower(f.Issuer)) {
			m.Unsure = cmp.Or(m.Unsure, "whether "+f.Issuer+" signs for this forge")
		}
		by := iam.Evidence(answer.Witnesses)
		job := g.Node(Node{ID: JobID(m.Target, m.Job), Kind: Job, Name: m.Job, In: m.Target})
		e := Edge{From: job, To: g.identity(f.Role), Kind: Federate, Unsure: m.Unsure, Evidence: strings.TrimPrefix(by+"; "+token, "; ")}
		if by != "" {
			e.Close = "narrow " + by
		}
		g.Edge(e)
		if m.Who == ByAnybody {
			g.Edge(Edge{From: g.Anybody(), To: job, Kind: Starts, Evidence: m.Event})
		}
		in = append(in, Federated{m, token, by})
	}
	return in, left
}

// JobID is the id of a job, by its target and its name in the inventory.
func JobID(target, name string) string { return "job:" + target + "/" + name }
