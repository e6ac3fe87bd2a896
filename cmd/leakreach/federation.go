package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/scanners/cloud"
)

// trustSeverity is that of a problem by its id, of a role that cannot become admin.
var trustSeverity = map[string]audit.Severity{
	"O01": audit.Critical, "O02": audit.Critical, "O03": audit.Critical, "O10": audit.Critical, "O12": audit.Critical,
	"O04": audit.High, "O05": audit.High, "O06": audit.High, "O07": audit.High, "O08": audit.High, "O14": audit.High, "O16": audit.High,
	"O09": audit.Medium, "O11": audit.Medium, "O13": audit.Medium, "O15": audit.Medium,
}

// trusted is what a role lets in of tokens of pipelines, and the findings about it.
type trusted struct {
	trusts   []report.Trust
	findings []audit.Finding
}

// federate looks which tokens roles let in, and which of the run's jobs have such. The key of findings' ids is asked for once there is one.
func (x *explainer) federate(key func() (audit.Key, error)) error {
	t := &truster{world: x.world, mints: graph.NewMints(nil), graph: x.r.Graph, holder: x.holder}
	if x.run != nil {
		if err := x.openAccess(); err != nil {
			return err
		}
		t.access, t.mints = x.access, x.access.Mints()
	}
	x.trusted = map[*iam.Identity]trusted{}
	for _, role := range x.world.Identities() {
		trusts := t.of(role)
		if len(trusts) == 0 {
			continue
		}
		one := trusted{trusts: trusts}
		if entries := roleEntries(role, x.world.Reach(role), trusts); len(entries) > 0 {
			k, err := key()
			if err != nil {
				return err
			}
			one.findings = cloud.New(nil).Survey(x.r.Run.StartedAt, slices.Values([]audit.Holding{{Inventory: entries}}))
			for i := range one.findings {
				one.findings[i].ID = engine.ID(k, &one.findings[i])
			}
		}
		x.trusted[role] = one
	}
	x.jobs = t.jobEntries(true)
	if gap := t.gap(); gap != nil {
		x.r.Gaps = append(x.r.Gaps, *gap)
	}
	return x.weigh(t.roles)
}

// weigh judges the run's findings again, now that it is known which roles its jobs can become, and keeps those that are worse than the run told.
func (x *explainer) weigh(roles []audit.Entry) error {
	if x.run == nil || len(roles) == 0 {
		return nil
	}
	again := *x.run
	again.Inventory = slices.Concat(x.run.Inventory, roles)
	again.Findings = nil
	for _, f := range x.run.Findings {
		if f.Stakes != nil {
			again.Findings = append(again.Findings, f)
		}
	}
	told := slices.Clone(again.Findings)
	if err := graph.Weigh(&again); err != nil {
		return err
	}
	for i, f := range again.Findings {
		if f.Severity != told[i].Severity {
			x.worse = append(x.worse, f)
		}
	}
	return nil
}

// trusts is what a role lets in. The findings about it are added to the report, once.
func (x *explainer) trusts(role *iam.Identity) []report.Trust {
	one := x.trusted[role]
	x.r.Findings = append(x.r.Findings, one.findings...)
	if one.findings != nil {
		x.trusted[role] = trusted{trusts: one.trusts}
	}
	return one.trusts
}

// anyBranch are the run's findings about jobs that may have their identity confirmed for any branch, as the roles decide that trust their repository: those that the run
// knows of, where it read accounts, or else those of the accounts at hand. Of a repository that none trusts the run has told all.
func (x *explainer) anyBranch() (all []audit.Finding) {
	if x.run == nil {
		return nil
	}
	isTrust := func(e audit.Entry) bool { return e.Kind == audit.KindTrust }
	if !slices.ContainsFunc(x.run.Inventory, isTrust) {
		return graph.JudgeTrust(x.run.Findings, x.jobs)
	}
	for _, f := range graph.JudgeTrust(x.run.Findings, x.run.Inventory) {
		all = append(all, *x.findings[f.ID]) // which says so already
	}
	return all
}

// A truster looks which tokens roles let in.
type truster struct {
	world  *iam.World
	access *graph.Access // to a run; nil for none
	mints  *graph.Mints  // tokens that its jobs can have
	graph  *graph.Graph  // takes in the ways from jobs to roles
	holder func(f *iam.Federation, name string) audit.Holder

	trusting map[string]audit.Entry // targets that roles let something of in, by their names in lower case, with the first of those
	letIn    map[spot]*letIn        // the worst of each place
	roles    []audit.Entry          // that the jobs can become, of kind [audit.KindRole], as many as maxRoles
	left     int                    // how many more there are
}

// A letIn is a job's token that a role lets in.
type letIn struct {
	graph.Federated
	role *iam.Identity
}

// A spot is where a job is written.
type spot struct {
	target, path string
	line         int
}

// note takes in what the jobs of a federation can become, to be told of their places: of each what is the worst, and no review is in its way.
func (t *truster) note(f *iam.Federation, in []graph.Federated) {
	if t.trusting == nil {
		t.trusting, t.letIn = map[string]audit.Entry{}, map[spot]*letIn{}
	}
	trust := func(target string) {
		if name := strings.ToLower(target); t.trusting[name].Target == "" {
			t.trusting[name] = audit.Entry{Target: target, Kind: audit.KindTrust, Name: f.Role.ARN, Scope: "repository"}
		}
	}
	for _, j := range in {
		trust(j.Target)
		path, line := j.At()
		if guarded := j.Who == graph.ByReviewer && j.Unsure == ""; guarded || path == "" {
			continue
		}
		at := spot{j.Target, path, line}
		if worst := t.letIn[at]; worst == nil || t.gravity(f.Role, j.Unsure) > t.gravity(worst.role, worst.Unsure) {
			t.letIn[at] = &letIn{j, f.Role}
		}
	}
	for _, name := range f.Repositories {
		trust(string(f.Forge) + ":" + name)
	}
}

func (t *truster) gravity(role *iam.Identity, unsure string) int {
	return graph.Gravity(audit.Level(t.world.Reach(role).Level.String()), unsure)
}

// jobEntries are what the inventory has of targets that roles trust: the jobs that become one, and of each target the first role, which tells that no others let in more. whole
// tells whether all were looked at; else it does not.
func (t *truster) jobEntries(whole bool) (all []audit.Entry) {
	if whole && t.gap() == nil {
		all = slices.Collect(maps.Values(t.trusting))
	}
	for at, in := range t.letIn {
		reach := t.world.Reach(in.role)
		facts := reachFacts(reach)
		var steps [][]string
		for _, s := range append([]audit.Step{{From: graph.JobID(in.Target, in.Job), To: in.role.ARN, Edge: string(graph.Federate), Evidence: in.Evidence}}, stepsOf(reach)...) {
			steps = append(steps, []string{s.From, s.To, s.Edge, s.Evidence})
		}
		facts["steps"] = audit.Table(steps...)
		for name, fact := range map[string]string{"job": in.Job, "path": at.path, "line": strconv.Itoa(at.line), "who": string(in.Who), "subject": in.Token, "unsure": in.Unsure} {
			facts[name] = fact
		}
		all = append(all, audit.Entry{Target: at.target, Kind: audit.KindTrust, Name: in.role.ARN, Scope: "job", Facts: facts})
	}
	slices.SortFunc(all, func(a, b audit.Entry) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Facts["path"], b.Facts["path"]), cmp.Compare(a.Facts["line"], b.Facts["line"]))
	})
	return all
}

// roleEntries are what the inventory has of a role that lets too much in: one for each provider of which it does.
func roleEntries(role *iam.Identity, reach iam.Reach, trusts []report.Trust) (all []audit.Entry) {
	for _, t := range trusts {
		if len(t.Problems) == 0 {
			continue
		}
		facts := reachFacts(reach, t.Limits...)
		var problems [][]string
		for _, p := range t.Problems {
			problems = append(problems, []string{p.ID, string(p.Severity), p.Who, p.Subject, p.Why})
		}
		facts["provider"], facts["issuer"], facts["problems"] = t.Provider, t.Issuer, audit.Table(problems...)
		all = append(all, audit.Entry{Target: "aws:" + role.Account.ID, Kind: audit.KindTrust, Name: role.ARN, Scope: "role", Facts: facts})
	}
	return all
}

// reachFacts are what the inventory has of what a role opens.
func reachFacts(reach iam.Reach, limits ...string) map[string]string {
	var rows [][]string
	for _, l := range slices.Concat(limits, reach.Limits) {
		rows = append(rows, []string{l})
	}
	return map[string]string{"level": reach.Level.String(), "accounts": strings.Join(reach.Accounts, ","), "limits": audit.Table(rows...)}
}

// reachKey is the key of findings' ids: the store's, where there is one.
func reachKey(ctx context.Context, w world, kept *store.Store) (audit.Key, error) {
	if kept != nil {
		return storeKey(ctx, w.getenv, kept)
	}
	return fingerprintKey(w.getenv, slog.New(slog.NewTextHandler(w.stderr, nil)))
}

// maxJobs is how many jobs of a role are told one by one: of a role that lets an organisation in there are thousands.
const maxJobs = 100

// of are what a role lets in of issuers of tokens, and which jobs have such.
func (t *truster) of(role *iam.Identity) (all []report.Trust) {
	var jobs []graph.Federated
	for _, f := range t.world.Federations(role) {
		in, left := t.graph.Federate(t.world, &f, t.mints)
		jobs = append(jobs, in...)
		judgeJobs(&f, in, left)
		var told []string
		if t.access != nil {
			told = judgeNames(&f, t.access.Missing(&f))
		}
		if t.holder != nil {
			t.judgeHolders(&f, told)
		}
		t.note(&f, in)
		one := report.Trust{
			Issuer: f.Issuer, Provider: f.Provider, Subjects: []string{}, Audiences: append([]string{}, f.Audiences...), Claims: append([]string{}, f.Claims...),
			Problems: []report.TrustProblem{}, Jobs: []report.TrustedJob{}, Limits: append([]string{}, f.Limits...),
		}
		for _, s := range f.Subjects {
			one.Subjects = append(one.Subjects, s.String())
		}
		if f.Open {
			one.Subjects = []string{"*"}
		}
		if t.mints.Len() == 0 && f.Forge != "" && len(f.Subjects) > 0 {
			one.Limits = append(one.Limits, "no jobs of its forge were read: what guards the branches and environments that it lets in is not known")
		}
		if len(in) > maxJobs {
			one.Limits = append(one.Limits, fmt.Sprintf("%d jobs can become it, of which the first %d are listed", len(in), maxJobs))
		}
		for _, j := range in[:min(len(in), maxJobs)] {
			one.Jobs = append(one.Jobs, report.TrustedJob{Target: j.Target, Job: j.Job, Event: j.Event, Subject: j.Token, Who: string(j.Who), Guards: append([]string{}, j.Guards...), Unsure: j.Unsure})
		}
		level := t.world.Reach(role).Level
		for _, p := range f.Problems {
			if p.ID == "O06" && (level == iam.LevelRead || level == iam.LevelNone) {
				continue
			}
			one.Problems = append(one.Problems, report.TrustProblem{ID: p.ID, Severity: severityOf(p, level), Who: string(p.Who), Why: p.Why, Subject: p.Subject, Evidence: p.Evidence})
		}
		all = append(all, one)
	}
	entries := graph.Roles(role, t.world.Reach(role), jobs)
	kept := min(len(entries), maxRoles-len(t.roles))
	t.roles, t.left = append(t.roles, entries[:kept]...), t.left+len(entries)-kept
	return all
}

// judgeJobs adds what the forge's side tells: that the one branch or environment which is let in is open, or that a repository's subjects have become others.
func judgeJobs(f *iam.Federation, in []graph.Federated, left []graph.Mint) {
	wide := slices.ContainsFunc(f.Problems, func(p iam.Problem) bool { return p.ID <= "O08" || p.ID == "O10" || p.ID == "O12" })
	add := func(p iam.Problem) {
		if !slices.ContainsFunc(f.Problems, func(o iam.Problem) bool { return o.ID == p.ID }) {
			f.Problems = append(f.Problems, p)
		}
	}
	for _, j := range in {
		if j.Open == "" || wide {
			continue
		}
		if j.Unsure != "" {
			limit := "perhaps " + j.Open + ": " + j.Why + "; not known is " + j.Unsure
			if !slices.Contains(f.Limits, limit) && len(f.Limits) < maxJobs {
				f.Limits = append(f.Limits, limit)
			}
			continue
		}
		who := iam.Writer
		if j.Who == graph.ByAnybody {
			who = iam.Outsider
		}
		add(iam.Problem{ID: j.Open, Who: who, Why: j.Target + " " + j.Job + ": " + j.Why, Subject: j.Token, Evidence: j.Evidence})
	}
	if len(left) > 0 && len(in) == 0 {
		add(iam.Problem{ID: "O13", Who: iam.Holder, Why: "it lets in by name alone jobs of " + left[0].Target + ", whose subjects have numbers: its own jobs are left out, and whoever takes the name is let in"})
	}
}

// judgeNames adds that a name which is let in is nobody's any more, and tells of which names that is.
func judgeNames(f *iam.Federation, missing []graph.Missing) (told []string) {
	for _, m := range missing {
		switch {
		case m.Unsure == "":
			told = append(told, m.Name)
			f.Problems = append(f.Problems, iam.Problem{ID: "O09", Who: iam.Holder, Why: m.Why + ": whoever takes the name is let in"})
		case len(f.Limits) < maxJobs:
			f.Limits = append(f.Limits, "perhaps O09: "+m.Why+"; not known is "+m.Unsure)
		}
	}
	return told
}

// judgeHolders asks the forge who has the names that are let in, but for those that the run has seen, and those that are told of already.
func (t *truster) judgeHolders(f *iam.Federation, told []string) {
	seen := func(name string) bool { return t.access != nil && t.access.Seen(f, name) }
	unsure := func(name, why string) {
		if limit := "perhaps O09: of " + name + " is not known " + why; why != "" && len(f.Limits) < maxJobs && !slices.Contains(f.Limits, limit) {
			f.Limits = append(f.Limits, limit)
		}
	}
	taken := map[string]bool{}
	for _, owner := range f.Owners {
		h := audit.Holder{Name: owner}
		if !seen(owner) {
			h = t.holder(f, owner)
		}
		unsure(owner, h.Unsure)
		taken[owner] = strings.EqualFold(h.Name, owner)
		switch p := (iam.Problem{ID: "O09", Who: iam.Anyone}); {
		case h.Unsure != "" || taken[owner]:
			continue
		case h.Name == "":
			p.Why = "nobody on the forge has the name " + owner + ": whoever registers it is let in. Perhaps the forge keeps it back, as it does reserved names and, for a while, those that were given up"
			f.Problems = append(f.Problems, p)
		default:
			p.Why = owner + " is called " + h.Name + " now: whoever registers the old name is let in"
			f.Problems = append(f.Problems, p)
		}
	}
	for _, name := range f.Names {
		owner, _, _ := strings.Cut(name, "/")
		if !taken[owner] || seen(name) || slices.Contains(told, name) {
			continue
		}
		h := t.holder(f, name)
		unsure(name, h.Unsure)
		if h.Name != "" && !strings.EqualFold(h.Name, name) {
			f.Problems = append(f.Problems, iam.Problem{ID: "O09", Who: iam.Holder, Why: name + " is called " + h.Name + " now: whoever takes the old name is let in"})
		}
	}
}

func severityOf(p iam.Problem, level iam.Level) audit.Severity {
	s := trustSeverity[p.ID]
	if p.Who == iam.Thief {
		return audit.Low
	}
	if (p.ID == "O09" || p.ID == "O11") && p.Who == iam.Anyone || s == audit.High && level >= iam.LevelEscalation {
		return audit.Critical
	}
	return s
}
