package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/resolve"
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
	Unsure  string              // what is not known of it
	Guards  string              // what holds others back; "" for nothing
}

// A Position is what somebody may do at a forge.
type Position string

// The positions, from the weakest.
const (
	ByAnybody  Position = "anybody"
	ByWriter   Position = "anyone who may push"
	ByReviewer Position = "anyone who may merge or approve"
)

// A repository is what a run knows of one that has jobs.
type repository struct {
	target       string
	forge        iam.Forge
	owner, name  string
	facts        map[string]string
	environments map[string]*audit.Entry
	protections  []*audit.Entry
	gaps         []string
}

// Mints are the tokens that the jobs of a run can have, by its inventory. Of Gitea's and Forgejo's jobs it is not known whether they ask for any.
func Mints(run *audit.Run) (all []Mint) {
	places := map[string]*repository{}
	place := func(target string) *repository {
		r := places[target]
		if r == nil {
			r = &repository{target: target, environments: map[string]*audit.Entry{}}
			forge, path, _ := strings.Cut(target, ":")
			r.forge = iam.Forge(forge)
			i := strings.LastIndexByte(path, '/')
			r.owner, r.name = path[:max(i, 0)], path[i+1:]
			places[target] = r
		}
		return r
	}
	for i := range run.Inventory {
		e := &run.Inventory[i]
		switch e.Kind {
		case audit.KindSettings:
			place(e.Target).facts = e.Facts
		case audit.KindEnvironment:
			place(e.Target).environments[strings.ToLower(e.Name)] = e
		case audit.KindProtection:
			place(e.Target).protections = append(place(e.Target).protections, e)
		}
	}
	for _, g := range run.Gaps {
		place(g.Target).gaps = append(place(g.Target).gaps, g.What)
	}
	for i := range run.Inventory {
		e := &run.Inventory[i]
		if e.Kind != audit.KindJob {
			continue
		}
		j := resolve.FromEntry(*e)
		r := place(e.Target)
		var mints []Mint
		switch {
		case r.forge == iam.GitHub && (j.Rights["id-token"] == "write" || j.Rights[pipeline.Any] == "write" && j.Rights["id-token"] == ""):
			mints = r.github(&j)
		case r.forge == iam.GitLab && len(j.IDTokens) > 0:
			mints = r.gitlab(&j)
		}
		for _, m := range mints {
			m.Target, m.Job, m.Forge = e.Target, e.Name, r.forge
			all = append(all, m)
		}
	}
	return all
}

// Events that run the definition of the default branch, and of them those that anybody can cause where the repository can be seen. See
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows; since December 2025 pull_request_target is one of them.
var outsiderEvents = []string{"pull_request_target", "issue_comment", "issues", "discussion", "discussion_comment", "fork", "watch", "workflow_run", "pull_request_review", "pull_request_review_comment"}

// github are the tokens of one of GitHub's jobs, for each event that starts it. See https://docs.github.com/en/actions/reference/security/oidc.
func (r *repository) github(j *resolve.Job) (all []Mint) {
	for _, e := range j.Events {
		for _, c := range r.contexts(&e) {
			m := Mint{Event: e.Name, Who: c.who, Guards: c.guards, Unsure: c.unsure}
			m.Claims = map[string]iam.Fact{
				"aud": iam.Chosen(), "repository": iam.Known(r.owner + "/" + r.name), "environment": iam.Absent(), "ref": iam.Unknown(),
			}
			if !strings.Contains(c.ref, "*") {
				m.Claims["ref"] = iam.Known(c.ref)
			}
			context := "ref:" + c.ref
			if strings.HasPrefix(c.ref, "refs/pull/") {
				context = "pull_request"
			}
			environment := ""
			switch {
			case j.Environment.Computed:
				environment, m.Unsure = "*", cmp.Or(m.Unsure, "the environment, whose name is known when the job runs")
				m.Claims["environment"] = iam.Unknown()
			case j.Environment.Value != "":
				environment = strings.ReplaceAll(j.Environment.Value, ":", "%3A")
				m.Claims["environment"] = iam.Known(j.Environment.Value)
			}
			if environment != "" {
				context = "environment:" + environment
				r.gate(&m, j.Environment.Value)
			}
			for _, s := range r.subjects(context, c.ref, environment, j) {
				one := m
				one.Subject, one.Unsure = s.text, cmp.Or(m.Unsure, s.unsure)
				all = append(all, one)
			}
		}
	}
	return all
}

// A context is for which ref an event starts a job, and who can cause it.
type context struct {
	ref            string
	who            Position
	guards, unsure string
}

func (r *repository) contexts(e *pipeline.Event) []context {
	branch := cmp.Or(r.facts["default_branch"], "*")
	switch e.Name {
	case "pull_request": // of forks no token is given
		return []context{{"refs/pull/*/merge", ByWriter, "", ""}}
	case "push", "workflow_dispatch", "create", "delete", "deployment", "release", "merge_group", "repository_dispatch", "check_run", "check_suite", "status":
		if e.Name == "repository_dispatch" || e.Name == "delete" || strings.HasPrefix(e.Name, "check") || e.Name == "status" {
			return []context{r.on(branch)}
		}
		var all []context
		tags, branches := e.Name != "merge_group", e.Name != "release"
		if e.Name == "push" {
			listed := map[string][]string{}
			for _, f := range e.Filters {
				listed[f.Name] = f.Values
			}
			for _, b := range listed["branches"] {
				all = append(all, r.on(refPattern(b)))
			}
			for _, t := range listed["tags"] {
				all = append(all, context{"refs/tags/" + refPattern(t), ByWriter, "", ""})
			}
			tags, branches = len(all) == 0 && listed["branches-ignore"] == nil, len(all) == 0 && listed["tags-ignore"] == nil || listed["branches-ignore"] != nil
		}
		if branches {
			all = append(all, context{"refs/heads/*", ByWriter, "", ""})
		}
		if tags {
			all = append(all, context{"refs/tags/*", ByWriter, "", ""})
		}
		return all
	}
	c := r.on(branch)
	if slices.Contains(outsiderEvents, e.Name) {
		c.who, c.guards = ByAnybody, ""
		if r.facts["visibility"] != "public" {
			c.who = ByWriter
			if r.facts["visibility"] == "" {
				c.unsure = cmp.Or(c.unsure, "who can see the repository")
			}
		}
	}
	return []context{c}
}

// refPattern is a filter of an event as a subject has it: what its wildcards stand for is not known.
func refPattern(filter string) string {
	if i := strings.IndexAny(filter, "*?[+!"); i >= 0 {
		return filter[:i] + "*"
	}
	return filter
}

// on is a branch, and who can have a commit of theirs on it.
func (r *repository) on(branch string) context {
	c := context{ref: "refs/heads/" + branch, who: ByWriter}
	if strings.Contains(branch, "*") {
		return c
	}
	for _, p := range r.protections {
		if p.Facts["enforcement"] == "disabled" || p.Facts["enforcement"] == "evaluate" || p.Facts["of"] == "tag" || p.Facts["target"] == "tag" || p.Facts["target"] == "push" {
			continue
		}
		refs := cmp.Or(p.Facts["refs"], p.Name)
		covers := slices.ContainsFunc(strings.Split(refs, ","), func(pattern string) bool {
			pattern = strings.TrimPrefix(pattern, "refs/heads/")
			return pattern == branch || pattern == "~ALL" || pattern == "~DEFAULT_BRANCH" && branch == r.facts["default_branch"] ||
				strings.HasSuffix(pattern, "*") && strings.HasPrefix(branch, strings.TrimRight(pattern, "*"))
		})
		if covers && (p.Facts["reviews"] != "" && p.Facts["reviews"] != "0" || p.Facts["push"] != "" || r.forge == iam.GitLab) {
			c.who, c.guards = ByReviewer, "branch "+branch+" is protected by "+p.Name
		}
	}
	if c.who == ByWriter && slices.ContainsFunc(r.gaps, func(what string) bool {
		return strings.Contains(what, "protection") || strings.Contains(what, "ruleset")
	}) {
		c.unsure = "whether the branch " + branch + " is protected"
	}
	return c
}

// gate takes in what the protection of an environment holds back.
func (r *repository) gate(m *Mint, name string) {
	e := r.environments[strings.ToLower(name)]
	if e == nil {
		if slices.ContainsFunc(r.gaps, func(what string) bool { return strings.Contains(what, "environment") }) {
			m.Unsure = cmp.Or(m.Unsure, "whether the environment "+name+" is protected")
		}
		return
	}
	switch {
	case e.Facts["reviewers"] != "" || e.Facts["required_approvals"] != "" && e.Facts["required_approvals"] != "0":
		m.Who, m.Guards = ByReviewer, "environment "+name+" has reviewers"
	case (e.Facts["branches"] == "protected" || e.Facts["branches"] == "selected") && m.Who == ByWriter:
		m.Guards = cmp.Or(m.Guards, "environment "+name+" is for "+e.Facts["branches"]+" branches")
	}
}

// A subject is one that a job's tokens have, and why that is not certain.
type subject struct{ text, unsure string }

// subjects are those of a context, by what the repository's settings make of it.
func (r *repository) subjects(context, ref, environment string, j *resolve.Job) (all []subject) {
	immutable, read := r.facts["oidc_immutable_subject"], ""
	named, numbered := "repo:"+r.owner+"/"+r.name, "repo:"+r.owner+"@*/"+r.name+"@*"
	if immutable == "" && r.facts["oidc_subject"] == "" {
		read = "which subjects its tokens have: the settings were not read"
	}
	const numbers = "the numbers of owner and repository, which are not known"
	var prefixes []subject
	if immutable != "true" {
		prefixes = append(prefixes, subject{named, read})
	}
	if immutable != "false" {
		prefixes = append(prefixes, subject{numbered, cmp.Or(read, numbers)})
	}
	keys := r.facts["oidc_subject"]
	if keys == "" {
		for _, p := range prefixes {
			all = append(all, subject{p.text + ":" + context, p.unsure})
		}
		return all
	}
	for _, p := range prefixes {
		var parts []string
		unsure := p.unsure
		for key := range strings.SplitSeq(keys, ",") {
			switch key {
			case "repo":
				parts = append(parts, p.text)
			case "context":
				parts = append(parts, context)
			case "repository":
				parts = append(parts, "repository:"+r.owner+"/"+r.name)
			case "repository_owner":
				parts = append(parts, "repository_owner:"+r.owner)
			case "ref":
				parts = append(parts, "ref:"+ref)
			case "environment":
				parts = append(parts, "environment:"+environment)
			case "job_workflow_ref":
				at := cmp.Or(j.Place.Repository, r.owner+"/"+r.name)
				parts = append(parts, key+":"+at+"/"+j.Place.Path+"@"+cmp.Or(j.Place.Ref, ref))
			default:
				parts = append(parts, key+":*")
				unsure = cmp.Or(unsure, "the value of "+key)
			}
		}
		s := subject{strings.Join(parts, ":"), unsure}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// gitlab are the tokens of one of GitLab's jobs: one for each kind of ref. See https://docs.gitlab.com/ci/secrets/id_token_authentication/.
func (r *repository) gitlab(j *resolve.Job) (all []Mint) {
	claims := map[string]iam.Fact{"aud": iam.Chosen()} // who can change the job chooses it
	for _, c := range []struct{ kind, ref string }{{"branch", "*"}, {"tag", "*"}} {
		m := Mint{
			Event: "a " + c.kind, Subject: "project_path:" + r.owner + "/" + r.name + ":ref_type:" + c.kind + ":ref:" + c.ref, Claims: claims, Who: ByWriter,
			Unsure: "whether the project's subjects have the standard components: they are not read",
		}
		if j.Environment.Value != "" && !j.Environment.Computed {
			r.gate(&m, j.Environment.Value)
		}
		all = append(all, m)
	}
	return all
}

// A Federated is a job's token that a role lets in.
type Federated struct {
	Mint
	Role     *iam.Identity
	Token    string // the subject
	Evidence string
}

// Federate joins what jobs can have made and what a role lets in: an edge from each job to the role.
func (g *Graph) Federate(w *iam.World, f *iam.Federation, mints []Mint) (all []Federated) {
	for _, m := range mints {
		if m.Forge != f.Forge {
			continue
		}
		token, answer := w.Lets(f, m.Subject, m.Claims)
		if token == "" || answer.State == iam.Denied {
			continue
		}
		if answer.State == iam.Undecided {
			m.Unsure = cmp.Or(m.Unsure, strings.Join(answer.Missing, ", "))
		}
		if !slices.Contains([]string{"token.actions.githubusercontent.com", "gitlab.com"}, strings.ToLower(f.Issuer)) {
			m.Unsure = cmp.Or(m.Unsure, "whether "+f.Issuer+" signs for this forge")
		}
		by := iam.Evidence(answer.Witnesses)
		role := g.identity(f.Role)
		job := g.Node(Node{ID: JobID(m.Target, m.Job), Kind: Job, Name: m.Job, In: m.Target})
		e := Edge{From: job, To: role, Kind: Federate, At: token, Unsure: m.Unsure, Evidence: by}
		if by != "" {
			e.Close = "narrow " + by
		}
		g.Edge(e)
		if m.Who == ByAnybody {
			g.Edge(Edge{From: g.Anybody(), To: job, Kind: Starts, Evidence: m.Event})
		}
		all = append(all, Federated{m, f.Role, token, by})
	}
	return all
}

// JobID is the id of a job, by its target and its name in the inventory.
func JobID(target, name string) string { return "job:" + target + "/" + name }
