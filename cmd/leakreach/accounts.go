package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
	"github.com/leakreach/leakreach/verify/aws"
)

// A part of the accounts is what was read by one name: of a profile, or of a directory.
type part struct {
	accounts []*iam.Account
	gaps     []audit.Gap
	live     bool
	err      error
}

// readAccounts reads accounts by the names of profiles of the AWS configuration, "" for the SDK's default chain, and of directories with exports; from is a directory,
// whether it is there or not.
func readAccounts(ctx context.Context, env audit.Env, names []string, from string) iter.Seq2[string, part] {
	exported := func(name string) bool { return name == from && name != "" || isDir(name) }
	auditor := aws.New(env, aws.Options{Mode: aws.Owner, Profiles: slices.DeleteFunc(slices.Clone(names), exported)})
	return func(yield func(string, part) bool) {
		seen := map[string]bool{}
		for _, name := range names {
			var p part
			if exported(name) {
				p.accounts, p.gaps, p.err = readExports(name)
			} else {
				var one *iam.Account
				one, p.gaps, p.err = auditor.Collect(ctx, name)
				p.accounts, p.live = []*iam.Account{one}, true
			}
			for _, a := range p.accounts {
				if p.err == nil && seen[a.ID] {
					p.err = fmt.Errorf("%w: account %s is there twice", audit.ErrUsage, a.ID)
				}
				if a != nil {
					seen[a.ID] = true
				}
			}
			if !yield(name, p) {
				return
			}
		}
	}
}

// accountEvents are what reading accounts that are no directories leaves in CloudTrail.
func accountEvents(env audit.Env, names []string) (events []string) {
	if !slices.ContainsFunc(names, func(name string) bool { return !isDir(name) }) {
		return nil
	}
	for _, e := range aws.New(env, aws.Options{Mode: aws.Owner}).Events() {
		if !e.PerKey {
			events = append(events, e.String())
		}
	}
	return events
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// A trustResolver is an [audit.Resolver] of the roles of accounts that trust the targets' jobs.
type trustResolver struct {
	env      audit.Env
	refs     []string                                                           // of the run
	accounts []string                                                           // as for readAccounts
	holder   func(ctx context.Context, forge, issuer, name string) audit.Holder // nil where nobody is to be asked
}

// Resolve implements [audit.Resolver].
func (r *trustResolver) Resolve(ctx context.Context, holdings iter.Seq[audit.Holding]) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		var accounts []*iam.Account
		whole := true
		for name, part := range readAccounts(ctx, r.env, r.accounts, "") {
			gaps := part.gaps
			if part.err != nil {
				whole = false
				gaps = []audit.Gap{{Target: "aws:" + name, What: "the account", Why: part.err.Error()}}
			} else {
				accounts = append(accounts, part.accounts...)
			}
			for i := range gaps {
				if !yield(audit.Entry{}, &gaps[i]) {
					return
				}
			}
		}
		if ctx.Err() != nil {
			yield(audit.Entry{}, ctx.Err())
			return
		}
		entries, gap, err := r.judge(ctx, accounts, whole, holdings)
		if err != nil {
			yield(audit.Entry{}, err)
			return
		}
		if gap != nil && !yield(audit.Entry{}, gap) {
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// maxRoles bounds what the jobs of a run can become: of each role that lets an organisation in, there are as many ways as it has jobs.
const maxRoles = 100_000

// gap tells of roles, or of tokens that jobs can have, that were left out; nil if none were.
func (t *truster) gap() *audit.Gap {
	var why []string
	target := ""
	if t.left > 0 {
		target = t.roles[0].Target
		why = append(why, fmt.Sprintf("after %d of the run's, %d are left out", len(t.roles), t.left))
	}
	if cut := t.mints.Cut(); len(cut) > 0 {
		target = cut[0]
		why = append(why, fmt.Sprintf("%d jobs can have more tokens than were looked at", len(cut)))
	}
	if len(why) == 0 {
		return nil
	}
	return &audit.Gap{Target: target, What: "roles that jobs can become", Why: strings.Join(why, "; ")}
}

// judge looks what roles of accounts, which are the whole of those that were named or not, let in of targets' jobs, and which roles those can become. gap is there if it is not all.
func (r *trustResolver) judge(ctx context.Context, accounts []*iam.Account, whole bool, holdings iter.Seq[audit.Holding]) (all []audit.Entry, gap *audit.Gap, err error) {
	run := &audit.Run{Info: audit.RunInfo{Refs: r.refs}}
	for h := range holdings {
		run.Coverage, run.Inventory, run.Gaps = append(run.Coverage, h.Coverage), append(run.Inventory, h.Inventory...), append(run.Gaps, h.Gaps...)
	}
	t := &truster{world: iam.NewWorld(accounts, r.env.Now()), graph: &graph.Graph{}}
	if t.access, err = graph.NewAccess(run); err != nil {
		return nil, nil, err
	}
	t.mints = t.access.Mints()
	if r.holder != nil {
		t.holder = func(f *iam.Federation, name string) audit.Holder {
			return r.holder(ctx, string(f.Forge), f.Issuer, name)
		}
	}
	trusting := map[*iam.Account]int{}
	for _, role := range t.world.Identities() {
		if trusts := t.of(role); len(trusts) > 0 {
			trusting[role.Account]++
			all = append(all, roleEntries(role, t.world.Reach(role), trusts)...)
		}
	}
	for _, a := range accounts { // what was looked at, whatever was found
		facts := map[string]string{"users": strconv.Itoa(len(a.Users)), "roles": strconv.Itoa(len(a.Roles)), "federated": strconv.Itoa(trusting[a])}
		all = append(all, audit.Entry{Target: "aws:" + a.ID, Kind: audit.KindTrust, Name: a.ID, Scope: "account", Facts: facts})
	}
	return slices.Concat(all, t.jobEntries(whole), t.roles), t.gap(), nil
}

// maxExport is the longest file that is read: the details of an account with 5,000 identities are some 60 MB.
const maxExport = 1 << 30

const gaadSuffix = ".gaad.json"

// readExports reads the exports of accounts in a directory.
func readExports(dir string) (accounts []*iam.Account, gaps []audit.Gap, err error) {
	gaps = []audit.Gap{}
	names, err := filepath.Glob(filepath.Join(dir, "*"+gaadSuffix))
	if err != nil || len(names) == 0 {
		return nil, nil, &exitError{exitNothing, audit.Hint(fmt.Errorf("reading exports: there is no ACCOUNT%s in %s", gaadSuffix, dir),
			"aws iam get-account-authorization-details > "+filepath.Join(dir, "111122223333"+gaadSuffix))}
	}
	for _, name := range names {
		id := strings.TrimSuffix(filepath.Base(name), gaadSuffix)
		doc, err := readExport(name)
		if err != nil {
			return nil, nil, err
		}
		a, err := iam.ParseAccount(id, doc)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range a.Problems {
			gaps = append(gaps, audit.Gap{Target: "aws:" + id, What: "a policy", Why: p})
		}
		accounts = append(accounts, a)
	}
	for _, file := range []struct {
		name  string
		parse func([]byte, []*iam.Account) error
	}{{"organization.json", iam.ParseOrganisation}, {"resource-policies.json", iam.ParseResources}, {"oidc-providers.json", iam.ParseProviders}, {"roles.json", iam.ParseRoles}} {
		name := filepath.Join(dir, file.name)
		doc, err := readExport(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err := file.parse(doc, accounts); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, a := range accounts {
		if !a.Organisation {
			gaps = append(gaps, audit.Gap{Target: "aws:" + a.ID, What: "SCPs and RCPs", Why: "organization.json does not have the account: results are upper bounds"})
		}
	}
	return accounts, gaps, nil
}

func readExport(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading exports: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	doc, err := io.ReadAll(io.LimitReader(f, maxExport+1))
	if err == nil && len(doc) > maxExport {
		err = errors.New("longer than 1 GiB")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return bytes.TrimPrefix(doc, []byte("\ufeff")), nil
}
