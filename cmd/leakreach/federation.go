package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
)

// trustTooBroad is judged where accounts are read. docs/oidc.md has its problems, by their ids.
var trustTooBroad = audit.Rule{
	ID: "oidc-trust-too-broad", Title: "Cloud role trusts too many pipelines", Category: audit.CategoryCloud, Severity: audit.High, CWE: 284,
	Help: `A role that trusts a forge is assumed without a key: the job shows a token that says which repository, branch or environment it is for, and the
role's trust policy decides. What the policy leaves open, somebody else's job can be: that of any user of the forge where ` + "`sub`" + ` is not asked for
or begins with a star, of any branch where it ends with one.

Before:

` + "```" + `
"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}
` + "```" + `

After:

` + "```" + `
"StringEquals": {
  "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
  "token.actions.githubusercontent.com:sub": "repo:acme@1234/web@5678:environment:production"
}
` + "```" + `

It is critical where every user of the issuer is let in, or the role is admin or can become it; medium where a condition does nothing, the audience
is open, or a name is let in beside its numbers.

**Not a finding when** one repository is let in, for one branch, tag or environment. Pull requests may be let in by a role that changes nothing.`,
	Fix: []string{
		"Ask for sub with StringEquals, whole: repository, and branch or environment",
		"Protect that branch, and give the environment reviewers and branches of its own",
		"Ask for aud, and use immutable subjects, which a renamed owner keeps",
	},
}

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
	var mints []graph.Mint
	if x.run != nil {
		if err := x.openAccess(); err != nil {
			return err
		}
		mints = x.access.Mints()
	}
	x.trusted, x.trusting, x.letIn = map[*iam.Identity]trusted{}, map[string]bool{}, map[spot][]letIn{}
	for _, role := range x.world.Identities() {
		trusts := x.trustsOf(role, mints)
		if len(trusts) == 0 {
			continue
		}
		one := trusted{trusts: trusts}
		if slices.ContainsFunc(trusts, func(t report.Trust) bool { return len(t.Problems) > 0 }) {
			k, err := key()
			if err != nil {
				return err
			}
			one.findings = trustFindings(k, role, x.world.Reach(role), trusts)
		}
		x.trusted[role] = one
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

// anyBranchRule is of jobs that may have their identity confirmed for any branch, which a role's trust policy decides about.
const anyBranchRule = "oidc-any-branch"

// anyBranch are the run's findings about those jobs, as the roles decide that trust their repository. Of a repository that none trusts the run has told all.
func (x *explainer) anyBranch() (all []audit.Finding) {
	if x.run == nil {
		return nil
	}
	for _, f := range x.run.Findings {
		if f.Rule != anyBranchRule || len(f.Locations) == 0 || !x.trusting[strings.ToLower(f.Locations[0].Target)] {
			continue
		}
		var worst *letIn
		for _, l := range f.Locations {
			for _, in := range x.letIn[spot{l.Target, l.Path, l.Line}] {
				guarded := in.Who == graph.ByReviewer && in.Unsure == ""
				if !guarded && (worst == nil || x.world.Reach(in.role).Level > x.world.Reach(worst.role).Level) {
					worst = &in
				}
			}
		}
		if worst == nil {
			f.Severity = audit.Low
			f.Message += "; the roles that trust its repository ask for a branch or an environment"
			all = append(all, f)
			continue
		}
		reach := x.world.Reach(worst.role)
		step := audit.Step{From: graph.JobID(worst.Target, worst.Job), To: worst.role.ARN, Edge: string(graph.Federate), Evidence: worst.Evidence}
		f.Reach = &audit.Reach{
			Level: audit.Level(reach.Level.String()), Accounts: reach.Accounts, Limits: append([]string{}, reach.Limits...),
			Paths: []audit.Path{{Level: audit.Level(reach.Level.String()), Steps: append([]audit.Step{step}, stepsOf(reach)...)}},
		}
		switch {
		case worst.Unsure != "":
			f.Message += fmt.Sprintf("; perhaps it can become %s, which depends on %s", worst.role.ARN, worst.Unsure)
		case reach.Level >= iam.LevelEscalation:
			f.Severity = audit.Critical
			fallthrough
		default:
			f.Message += fmt.Sprintf("; %s lets it in as %s", worst.role.ARN, worst.Token)
		}
		all = append(all, f)
	}
	return all
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

// trustsOf are what a role lets in of issuers of tokens, and which jobs have such.
func (x *explainer) trustsOf(role *iam.Identity, mints []graph.Mint) []report.Trust {
	var all []report.Trust
	for _, f := range x.world.Federations(role) {
		in, left := x.r.Graph.Federate(x.world, &f, mints)
		judgeJobs(&f, in, left)
		var told []string
		if x.access != nil {
			told = judgeNames(&f, x.access.Missing(&f))
		}
		if x.holder != nil {
			x.judgeHolders(&f, told)
		}
		for _, j := range in {
			path, line := j.At()
			at := spot{j.Target, path, line}
			x.letIn[at] = append(x.letIn[at], letIn{j, role})
			x.trusting[strings.ToLower(j.Target)] = true
		}
		for _, name := range f.Names {
			x.trusting[strings.ToLower(string(f.Forge)+":"+name)] = true
		}
		t := report.Trust{
			Issuer: f.Issuer, Provider: f.Provider, Subjects: []string{}, Audiences: append([]string{}, f.Audiences...), Claims: append([]string{}, f.Claims...),
			Problems: []report.TrustProblem{}, Jobs: []report.TrustedJob{}, Limits: append([]string{}, f.Limits...),
		}
		for _, s := range f.Subjects {
			t.Subjects = append(t.Subjects, s.String())
		}
		if f.Open {
			t.Subjects = []string{"*"}
		}
		if len(mints) == 0 && f.Forge != "" && len(f.Subjects) > 0 {
			t.Limits = append(t.Limits, "no jobs of its forge were read: what guards the branches and environments that it lets in is not known")
		}
		if len(in) > maxJobs {
			t.Limits = append(t.Limits, fmt.Sprintf("%d jobs can become it, of which the first %d are listed", len(in), maxJobs))
		}
		for _, j := range in[:min(len(in), maxJobs)] {
			t.Jobs = append(t.Jobs, report.TrustedJob{Target: j.Target, Job: j.Job, Event: j.Event, Subject: j.Token, Who: string(j.Who), Guards: append([]string{}, j.Guards...), Unsure: j.Unsure})
		}
		level := x.world.Reach(role).Level
		for _, p := range f.Problems {
			if p.ID == "O06" && (level == iam.LevelRead || level == iam.LevelNone) {
				continue
			}
			t.Problems = append(t.Problems, report.TrustProblem{ID: p.ID, Severity: severityOf(p, level), Who: string(p.Who), Why: p.Why, Subject: p.Subject, Evidence: p.Evidence})
		}
		all = append(all, t)
	}
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
func (x *explainer) judgeHolders(f *iam.Federation, told []string) {
	seen := func(name string) bool { return x.access != nil && x.access.Seen(f, name) }
	unsure := func(name, why string) {
		if limit := "perhaps O09: of " + name + " is not known " + why; why != "" && len(f.Limits) < maxJobs && !slices.Contains(f.Limits, limit) {
			f.Limits = append(f.Limits, limit)
		}
	}
	taken := map[string]bool{}
	for _, owner := range f.Owners {
		h := audit.Holder{Name: owner}
		if !seen(owner) {
			h = x.holder(f, owner)
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
		h := x.holder(f, name)
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

// trustFindings are the findings about a role: one for each issuer of which it lets too much in.
func trustFindings(key audit.Key, role *iam.Identity, reach iam.Reach, trusts []report.Trust) (all []audit.Finding) {
	for _, t := range trusts {
		if len(t.Problems) == 0 {
			continue
		}
		f := audit.Finding{
			ID: "lr1:" + key.Digest("finding", trustTooBroad.ID, role.ARN, t.Provider), Rule: trustTooBroad.ID, Category: trustTooBroad.Category, Title: trustTooBroad.Title,
			Severity: audit.Info, Fix: trustTooBroad.Fix,
			Locations: []audit.Location{{Target: "aws:" + role.Account.ID, Kind: audit.InCloud, Path: "trust policy", Name: role.ARN}},
			Reach:     &audit.Reach{Level: audit.Level(reach.Level.String()), Accounts: reach.Accounts, Paths: []audit.Path{}, Limits: append(slices.Clone(t.Limits), reach.Limits...)},
		}
		var why []string
		worst := slices.MaxFunc(t.Problems, func(a, b report.TrustProblem) int { return a.Severity.Rank() - b.Severity.Rank() })
		f.Severity = worst.Severity
		for _, p := range t.Problems {
			text := fmt.Sprintf("%s %s (%s", p.ID, p.Why, p.Who)
			if p.Subject != "" {
				text += ", such as " + p.Subject
			}
			why = append(why, text+")")
		}
		f.Message = fmt.Sprintf("%s trusts %s: %s", role.ARN, t.Issuer, strings.Join(why, "; "))
		all = append(all, f)
	}
	return all
}
