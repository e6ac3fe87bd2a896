package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/internal/store"
	"github.com/leakreach/leakreach/providers"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
)

// newReach explains what secrets and identities open.
func newReach(w world) *cobra.Command {
	o := &reachOptions{format: "text"}
	cmd := &cobra.Command{
		Use:   "reach [aws:[PROFILE]|github:OWNER[/REPO]|…] [ID|ARN|secret:NAME…]",
		Short: "Explain what secrets and identities open, and who can read them: each way step by step, what proves it, and what closes most",
		Long: `Explain what secrets and identities open: their level, each way step by step, what proves it, what is not known, and what closes most ways.

Named by
  ARN              of an AWS user or role
  lr1:…, AKIA…     the id of a finding, or of the key in it, or the beginning of one; from a stored run
  secret:NAME      what a forge keeps for jobs, and who can read it; secret:TARGET/NAME in one place; from a stored run
  secrets          all of those, a line each
  component:NAME   other people's code in jobs, such as an action, and what is lost if it is taken over
  components       all of it, the greatest loss first

What is known comes from a run in --store; from what a forge keeps for jobs and what its definitions say, if a ref such as github:acme is given, which is scanned
for that first (the run is kept if there is a --store); from accounts that are read with an auditor's credentials (aws: is the SDK's default chain, aws:PROFILE one of its
profiles), and from exports of accounts in --from or aws:DIR; nobody is asked for these. DIR holds
  ACCOUNT.gaad.json        what "aws iam get-account-authorization-details" prints for the account
  organization.json        the accounts with the SCPs and RCPs of each level; without it the result is an upper bound
  resource-policies.json   {"ARN": policy}
  oidc-providers.json      {"ARN": what "aws iam get-open-id-connect-provider" prints}
  roles.json               what "aws iam list-roles" prints

Levels: admin may do everything; escalation can become admin, by the ways that are shown; write, read and none are what else it may; unknown is what
could not be told. Without a name, every user and role of the accounts, and every finding of the run whose reach is known, by its shortest way.`,
		Example: "  leakreach reach lr1:9f2c41 --store sweep.db\n  leakreach reach secret:DEPLOY_KEY --store sweep.db\n  leakreach reach components --store sweep.db\n  leakreach reach arn:aws:iam::111122223333:user/ci-deploy --from exports\n  leakreach reach --from exports --format json\n  leakreach reach lr1:9f2c41 --store sweep.db --from exports --out html=reach.html\n  leakreach reach aws:security --out opengraph=reach.json",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			file, _, err := readSettings(cmd, w.getenv, &o.config)
			if err != nil {
				return err
			}
			o.limits = file.Leakreach.Limits
			var names, refs []string
			if o.from != "" {
				o.accounts = append(o.accounts, o.from)
			}
			for _, arg := range args {
				if account, ok := strings.CutPrefix(arg, "aws:"); ok {
					o.accounts = append(o.accounts, account)
				} else if scheme, _, ok := strings.Cut(arg, ":"); ok && slices.Contains([]string{"github", "gitlab", "gitea"}, scheme) {
					refs = append(refs, arg)
				} else {
					names = append(names, arg)
				}
			}
			if len(refs) > 0 {
				forget, failed := o.list(cmd.Context(), w, refs)
				if failed != nil {
					return failed
				}
				defer func() { err = errors.Join(err, forget()) }()
			}
			if len(o.accounts) == 0 && o.store == "" {
				return audit.Hint(fmt.Errorf("%w: what is known?", audit.ErrUsage),
					"name the directory with the exports by --from, an account to read as aws:PROFILE, an owner to list as github:OWNER, or the store with a run by --store")
			}
			var kept *store.Store
			if o.store != "" {
				if kept, err = openStored(cmd, w, &o.store, &o.config); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, kept.Close()) }()
			}
			return o.reach(cmd.Context(), w, kept, names)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "the directory `DIR` with exports of accounts")
	f.StringVar(&o.run, "run", "", "the `RUN` of the store, by its id or the beginning of it (default the youngest)")
	givenOnly(f, "run")
	storeFlags(f, &o.store, &o.config)
	f.BoolVar(&o.online, "online", false, "ask forges who has the names that roles trust: their APIs, with the credentials that a scan has")
	f.Var(choice{&o.format, reachFormats()}, "format", "what to print")
	f.StringArrayVar(&o.out, "out", nil, "write it to a file too, as `FORMAT=FILE` (repeatable)")
	return cmd
}

func reachFormats() (names []string) {
	for _, f := range report.ReachFormats {
		names = append(names, f.Name)
	}
	return names
}

type reachOptions struct {
	from, run, store, config, format string
	online                           bool
	limits                           limits
	out                              []string
	accounts                         []string // profiles, and directories with exports
}

// reach gathers what is known, explains what was named, and writes it.
func (o *reachOptions) reach(ctx context.Context, w world, kept *store.Store, names []string) error {
	outs, err := parseOuts(o.out, reachFormats())
	if err != nil {
		return err
	}
	start := time.Now().UTC()
	r := &report.Reach{
		Schema: audit.Schema, Coverage: []audit.Coverage{}, Gaps: []audit.Gap{}, Findings: []audit.Finding{}, Identities: []report.ReachedIdentity{},
		Inventory: []audit.Entry{}, Silencers: []audit.Silencer{}, Calls: map[string]int{}, Graph: &graph.Graph{},
		Run: audit.RunInfo{Version: versionString(), StartedAt: start, Refs: []string{}, Verify: "off"},
	}
	x := &explainer{r: r, findings: map[string]*audit.Finding{}, from: strings.Join(o.accounts, ", ")}
	if kept != nil {
		all, err := scanners.All(secrets.Options{})
		if err != nil {
			return err
		}
		if _, _, x.run, _, err = loadRun(ctx, kept, o.run, all); err != nil {
			return err
		}
		r.Run.ID, r.Run.Refs, r.Run.Verify, r.Run.Key = x.run.Info.ID, slices.Clone(x.run.Info.Refs), x.run.Info.Verify, x.run.Info.Key
		r.Coverage, r.Gaps = append(r.Coverage, x.run.Coverage...), append(r.Gaps, x.run.Gaps...)
	}
	env := (&scanOptions{}).env(w, slog.New(slog.DiscardHandler), nil)
	accounts, err := o.read(ctx, env, r)
	if err != nil {
		return err
	}
	x.world = iam.NewWorld(accounts, start)
	if o.online {
		ask := providers.Holders(env, providers.Options{GitHubBudget: o.limits.GitHub, GitLabBudget: o.limits.GitLab}, o.limits.Online)
		x.holder = func(f *iam.Federation, name string) audit.Holder { return ask(ctx, string(f.Forge), f.Issuer, name) }
	}
	if err := x.federate(func() (audit.Key, error) { return reachKey(ctx, w, kept) }); err != nil {
		return err
	}
	if err := x.explain(names); err != nil {
		return err
	}
	r.Calls = env.Calls.Snapshot()
	r.Run.FinishedAt, r.Run.Complete = time.Now().UTC(), len(r.Gaps) == 0 && (x.run == nil || x.run.Info.Complete)
	var errs []error
	for _, out := range outs {
		errs = append(errs, writeFile(w, out, func(to io.Writer) error { return report.WriteReach(to, out.format, r, report.Options{}) }))
	}
	return errors.Join(append(errs, report.WriteReach(w.stdout, o.format, r, report.Options{}))...)
}

// read reads accounts, live or from exports, and notes in the report what was covered and what was not.
func (o *reachOptions) read(ctx context.Context, env audit.Env, r *report.Reach) (accounts []*iam.Account, err error) {
	for name, part := range readAccounts(ctx, env, o.accounts, o.from) {
		if part.err != nil {
			return nil, part.err
		}
		if part.live {
			r.Run.Verify = "owner"
		}
		r.Gaps, r.Run.Refs = append(r.Gaps, part.gaps...), append(r.Run.Refs, "aws:"+name)
		for _, a := range part.accounts {
			accounts = append(accounts, a)
			c := audit.Coverage{Target: "aws:" + a.ID, Kind: "account", Status: audit.Scanned, Items: len(a.Users) + len(a.Roles)}
			if !a.Organisation || len(a.Problems)+len(part.gaps) > 0 {
				c.Status = audit.Partial
			}
			r.Coverage = append(r.Coverage, c)
		}
	}
	return accounts, nil
}

// An explainer fills a report from what is known.
type explainer struct {
	r        *report.Reach
	run      *audit.Run                // nil for none
	access   *graph.Access             // of the run, once it is asked for
	findings map[string]*audit.Finding // of the run, by their ids
	world    *iam.World
	from     string
	holder   func(f *iam.Federation, name string) audit.Holder // who has a name on the forge that a federation is with; nil where nobody is to be asked
	trusted  map[*iam.Identity]trusted                         // roles that let tokens of pipelines in
	jobs     []audit.Entry                                     // those of the run's that become roles, of kind [audit.KindTrust]
	worse    []audit.Finding                                   // of the run, for the roles that its jobs can become
}

// explain adds what was named, or else all, to the report.
func (x *explainer) explain(names []string) error {
	g := x.r.Graph
	if x.run != nil {
		for k := range x.run.Findings {
			x.findings[x.run.Findings[k].ID] = &x.run.Findings[k]
		}
		g.Run(x.run, func(arn string) bool { return x.world.Find(arn) != nil })
		var both []*iam.Identity // of the run and the accounts
		for n := range g.Nodes() {
			if i := x.world.Find(n.ID); i != nil {
				both = append(both, i)
			}
		}
		g.Cloud(x.world, both...)
	}
	if len(names) == 0 {
		g.Cloud(x.world, x.world.Identities()...)
		for _, i := range x.world.Identities() {
			x.r.Identities = append(x.r.Identities, x.identity(i))
		}
		for n := range g.Nodes() {
			if f := x.findings[n.ID]; f != nil && f.Reach != nil {
				x.secret(n)
			}
		}
		x.r.Findings = append(append(x.r.Findings, x.anyBranch()...), x.worse...)
		return nil
	}
	var named []*graph.Node
	for _, name := range names {
		known, err := x.readers(name)
		if err != nil {
			return err
		}
		nodes, err := x.find(name)
		if err != nil && !known {
			return err
		}
		named = append(named, nodes...)
		for _, n := range nodes {
			if err := x.join(n); err != nil {
				return err
			}
			if !known || slices.Collect(n.Out()) != nil { // a name alone leads nowhere
				x.one(n)
			}
		}
	}
	x.r.Graph = g.Around(named...)
	return nil
}

// find are the nodes that somebody means by a name.
func (x *explainer) find(name string) (nodes []*graph.Node, err error) {
	g := x.r.Graph
	if i := x.world.Find(name); i != nil {
		g.Cloud(x.world, i)
		return []*graph.Node{g.Find(i.ARN)}, nil
	}
	if wanted, ok := strings.CutPrefix(name, "secret:"); ok {
		for n := range g.Nodes() {
			if strings.HasPrefix(n.ID, "secret:") && (n.Name == wanted || n.ID == name) {
				nodes = append(nodes, n)
			}
		}
	} else {
		for n := range g.Nodes() {
			if n.ID == name && n.Kind != graph.Any || n.Kind == graph.Secret && len(name) >= minName && (strings.HasPrefix(n.ID, name) || strings.HasPrefix(n.Name, name)) {
				nodes = append(nodes, n)
			}
		}
	}
	if len(nodes) == 0 {
		return nil, x.notFound(name)
	}
	return nodes, nil
}

// minName is how much of the id of a finding or a key names it: "lr1:" and six digits, as reports print it.
const minName = len("lr1:") + 6

func (x *explainer) notFound(name string) error {
	name = report.Clean(name)
	switch {
	case x.run == nil && !strings.HasPrefix(name, "arn:"):
		return audit.Hint(fmt.Errorf("%w: %s is of a run, and none was named", audit.ErrUsage, name), "name the store with the run by --store")
	case x.run == nil:
		return &exitError{exitNothing, audit.Hint(fmt.Errorf("there is no %s in the accounts of %s", name, x.from), "without a name, leakreach reach lists those that are")}
	case strings.HasPrefix(name, "arn:"):
		return &exitError{exitNothing, audit.Hint(fmt.Errorf("there is no %s in run %s: no key that it found is known to be its", name, x.run.Info.ID),
			"name accounts that have it, as --from DIR or aws:PROFILE; leakreach scan --verify owner asks whose keys are")}
	case strings.HasPrefix(name, "secret:"):
		return &exitError{exitNothing, audit.Hint(fmt.Errorf("there is no %s in run %s: no listing has it, and no job names it", name, x.run.Info.ID),
			"leakreach reach secrets lists those that there are; --run names another run")}
	case strings.HasPrefix(name, "component:"):
		return &exitError{exitNothing, audit.Hint(fmt.Errorf("there is no %s in run %s: no job runs it", name, x.run.Info.ID), "leakreach reach components lists those that there are; --run names another run")}
	}
	return &exitError{exitNothing, audit.Hint(fmt.Errorf("there is no %s in run %s", name, x.run.Info.ID), "leakreach report lists what it found; --run names another one")}
}

// one adds an explanation with all ways.
func (x *explainer) one(n *graph.Node) {
	what := x.r.Graph.Explain(n)
	ways, paths := report.NewWays(what)
	for k, o := range what.Opens {
		ways.Opens[k].Services, ways.Opens[k].Reads = x.services(what, o.Rights)
	}
	var reached *report.Reached
	switch i := x.world.Find(n.ID); {
	case i != nil:
		x.r.Identities = append(x.r.Identities, x.identity(i))
		reached = &x.r.Identities[len(x.r.Identities)-1].Reached
	case n.Kind == graph.Identity:
		x.r.Identities = append(x.r.Identities, report.ReachedIdentity{ARN: n.ID, Account: n.In, Type: n.Facts["type"], Reached: x.known(n)})
		reached = &x.r.Identities[len(x.r.Identities)-1].Reached
	default:
		reached = x.secret(n)
	}
	reached.Ways = ways
	if len(paths) > 0 {
		reached.Paths = paths
	}
}

// services are those of which an identity at the end of a way to some rights may change something, and those of which it may read.
func (x *explainer) services(what graph.Explanation, rights *graph.Node) (changes, reads []string) {
	if rights.Level == string(audit.LevelAdmin) {
		return nil, nil // all
	}
	asked, best := map[string]bool{}, map[string]iam.Level{}
	for _, p := range slices.Concat(what.Paths.All, what.Possible.All) {
		end := p[len(p)-1]
		if i := x.world.Find(end.From.ID); i != nil && end.To == rights && i.Account.ID == rights.In && !asked[i.ARN] {
			asked[i.ARN] = true
			for name, level := range x.world.Services(i) {
				best[name] = max(best[name], level)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(best)) {
		if best[name] == iam.LevelWrite {
			changes = append(changes, name)
		} else {
			reads = append(reads, name)
		}
	}
	return changes, reads
}

// identity is what is known of one of the accounts that were read.
func (x *explainer) identity(i *iam.Identity) report.ReachedIdentity {
	kind := "user"
	if i.Role {
		kind = "role"
	}
	reach := x.world.Reach(i)
	one := report.ReachedIdentity{ARN: i.ARN, Account: i.Account.ID, Type: kind, Reached: report.Reached{
		Level: audit.Level(reach.Level.String()), Accounts: reach.Accounts, Paths: []audit.Path{}, Limits: append([]string{}, reach.Limits...),
	}}
	if len(reach.Steps) > 0 {
		one.Paths = append(one.Paths, audit.Path{Level: one.Level, Steps: stepsOf(reach)})
	}
	one.Trusts = x.trusts(i)
	return one
}

func stepsOf(r iam.Reach) (steps []audit.Step) {
	for _, s := range r.Steps {
		steps = append(steps, audit.Step{From: s.From, To: s.To, Edge: s.Edge, Evidence: s.Proof()})
	}
	return steps
}

// secret adds what is known of a secret: of the identity that it is a credential of, if that is among the accounts that were read, or else what the run has.
func (x *explainer) secret(n *graph.Node) *report.Reached {
	s := report.ReachedSecret{ID: n.ID, Name: n.Name, Reached: x.known(n)}
	if f := x.findings[n.ID]; f != nil {
		x.r.Findings = append(x.r.Findings, *f)
	}
	for e := range n.Out() {
		if e.Kind == graph.ActsAs {
			s.Identity = e.To.ID
			if i := x.world.Find(e.To.ID); i != nil {
				s.Reached = x.identity(i).Reached
			}
		}
	}
	x.r.Secrets = append(x.r.Secrets, s)
	return &x.r.Secrets[len(x.r.Secrets)-1].Reached
}

// known is what the run has of a node: of a secret as a finding, or as what it was found in; of an identity by a credential of it.
func (x *explainer) known(n *graph.Node) report.Reached {
	ids := []string{n.ID}
	for e := range n.Out() {
		if e.Kind == graph.IsIn {
			ids = append(ids, e.To.ID)
		}
	}
	for e := range n.Into() {
		if e.Kind == graph.ActsAs {
			ids = append(ids, e.From.ID)
		}
	}
	for _, id := range ids {
		if f := x.findings[id]; f != nil && f.Reach != nil {
			reach := *f.Reach
			return report.Reached{Level: reach.Level, Accounts: append([]string{}, reach.Accounts...), Paths: append([]audit.Path{}, reach.Paths...), Limits: append([]string{}, reach.Limits...)}
		}
	}
	return report.Reached{Level: audit.LevelUnknown, Accounts: []string{}, Paths: []audit.Path{}, Limits: []string{"the run does not know what it opens: nobody was asked, or the answer was none"}}
}
