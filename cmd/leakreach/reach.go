package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/report"
)

// newReach explains what identities open.
func newReach(w world) *cobra.Command {
	format, from := "text", ""
	cmd := &cobra.Command{
		Use:   "reach [ARN…] --from DIR",
		Short: "Explain what AWS identities open: their level, the way to it step by step, and what is not known",
		Long: `Explain what AWS identities open: their level, the way to it step by step, and what is not known.

Nobody is asked. DIR holds exports of accounts:
  ACCOUNT.gaad.json        what "aws iam get-account-authorization-details" prints for the account
  organization.json        the accounts with the SCPs and RCPs of each level; without it the result is an upper bound
  resource-policies.json   {"ARN": policy}

Levels: admin may do everything; escalation can become admin, by the way that is shown; write, read and none are what else it may; unknown is what
could not be told. Without an ARN, every user and role.`,
		Example: "  leakreach reach --from exports\n  leakreach reach arn:aws:iam::111122223333:user/ci-deploy --from exports\n  leakreach reach --from exports --format json",
		RunE: func(cmd *cobra.Command, arns []string) error {
			if from == "" {
				return audit.Hint(fmt.Errorf("%w: --from is missing", audit.ErrUsage), "name the directory with the exports; runs and live accounts are not explained by this version")
			}
			key, err := fingerprintKey(w.getenv, slog.New(slog.NewTextHandler(w.stderr, nil)))
			if err != nil {
				return err
			}
			return reach(cmd.OutOrStdout(), key, from, format, arns)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the directory `DIR` with exports of accounts")
	f.Var(choice{&format, []string{"text", "json"}}, "format", "what to print")
	return cmd
}

// A reached is the envelope of a run, with what was found of identities.
type reached struct {
	Schema     string            `json:"schema"`
	Run        audit.RunInfo     `json:"run"`
	Coverage   []audit.Coverage  `json:"coverage"`
	Gaps       []audit.Gap       `json:"gaps"`
	Findings   []audit.Finding   `json:"findings"`
	Identities []reachedIdentity `json:"identities"`
	Inventory  []audit.Entry     `json:"inventory"`
	Silencers  []audit.Silencer  `json:"silencers"`
	Calls      map[string]int    `json:"calls"`
}

type reachedIdentity struct {
	ARN      string         `json:"arn"`
	Account  string         `json:"account"`
	Type     string         `json:"type"`
	Level    audit.Level    `json:"level"`
	Accounts []string       `json:"accounts"`
	Paths    []audit.Path   `json:"paths"`
	Limits   []string       `json:"limits"`
	Trusts   []report.Trust `json:"trusts,omitempty"` // of a role: the tokens that it lets in
}

func reach(out io.Writer, key audit.Key, from, format string, arns []string) error {
	start := time.Now()
	exports, gaps, err := readExports(from)
	if err != nil {
		return err
	}
	w := iam.NewWorld(exports, start)
	identities := w.Identities()
	if len(arns) > 0 {
		identities = identities[:0:0]
		for _, arn := range arns {
			i := w.Find(arn)
			if i == nil {
				return audit.Hint(fmt.Errorf("%w: %s is not among the exports in %s", audit.ErrNothing, report.Clean(arn), from), "leakreach reach --from "+from+" lists those that are")
			}
			identities = append(identities, i)
		}
	}
	r := reached{
		Schema: "leakreach.run/v1", Coverage: []audit.Coverage{}, Gaps: gaps, Findings: []audit.Finding{}, Identities: []reachedIdentity{},
		Inventory: []audit.Entry{}, Silencers: []audit.Silencer{}, Calls: map[string]int{},
	}
	for _, a := range exports {
		c := audit.Coverage{Target: "aws:" + a.ID, Kind: "account", Status: audit.Scanned, Items: len(a.Users) + len(a.Roles)}
		if !a.Organisation || len(a.Problems) > 0 {
			c.Status = audit.Partial
		}
		r.Coverage = append(r.Coverage, c)
	}
	for _, i := range identities {
		one := describe(w.Reach(i))
		one.Trusts = trusts(w, i)
		r.Identities = append(r.Identities, one)
		r.Findings = append(r.Findings, trustFindings(key, one.Account, one.ARN, one.Level, one.Trusts)...)
	}
	r.Run = audit.RunInfo{Version: versionString(), StartedAt: start.UTC(), FinishedAt: time.Now().UTC(), Refs: []string{"aws:" + from}, Verify: "off", Complete: len(gaps) == 0}
	if format == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err = io.WriteString(out, r.text())
	return err
}

func describe(x iam.Reach) reachedIdentity {
	kind := "user"
	if x.Identity.Role {
		kind = "role"
	}
	one := reachedIdentity{
		ARN: x.Identity.ARN, Account: x.Identity.Account.ID, Type: kind, Level: audit.Level(x.Level.String()), Accounts: x.Accounts, Paths: []audit.Path{},
		Limits: append([]string{}, x.Limits...),
	}
	if len(x.Steps) > 0 {
		p := audit.Path{Level: one.Level}
		for _, s := range x.Steps {
			evidence := s.Evidence
			if s.Path != "" {
				evidence = s.Path + ": " + evidence
			}
			p.Steps = append(p.Steps, audit.Step{From: s.From, To: s.To, Edge: s.Edge, Evidence: evidence})
		}
		one.Paths = append(one.Paths, p)
	}
	return one
}

// text is the result for people, the highest levels first.
func (r *reached) text() string {
	order := []audit.Level{audit.LevelAdmin, audit.LevelEscalation, audit.LevelWrite, audit.LevelRead, audit.LevelUnknown, audit.LevelNone}
	all := slices.Clone(r.Identities)
	slices.SortStableFunc(all, func(a, b reachedIdentity) int { return slices.Index(order, a.Level) - slices.Index(order, b.Level) })
	var b strings.Builder
	count := map[audit.Level]int{}
	for _, i := range all {
		count[i.Level]++
		fmt.Fprintf(&b, "%-10s  %s\n", i.Level, report.Clean(i.ARN))
		for _, p := range i.Paths {
			for _, s := range p.Steps {
				fmt.Fprintf(&b, "            %s %s\n", s.Edge, report.Clean(s.To))
				if s.Evidence != "" {
					fmt.Fprintf(&b, "              by %s\n", report.Clean(s.Evidence))
				}
			}
		}
		for _, limit := range i.Limits {
			fmt.Fprintf(&b, "            limit  %s\n", report.Clean(limit))
		}
		for _, t := range i.Trusts {
			b.WriteString(t.Text())
		}
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(&b, "not seen    %s: %s: %s\n", g.Target, report.Clean(g.What), report.Clean(g.Why))
	}
	var parts []string
	for _, level := range order {
		if count[level] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[level], level))
		}
	}
	fmt.Fprintf(&b, "%d identities in %d accounts: %s\n", len(all), len(r.Coverage), strings.Join(parts, ", "))
	return b.String()
}

// maxExport is the longest file that is read: the details of an account with 5,000 identities are some 60 MB.
const maxExport = 1 << 30

const gaadSuffix = ".gaad.json"

// readExports reads the exports of accounts in a directory.
func readExports(dir string) (accounts []*iam.Account, gaps []audit.Gap, err error) {
	gaps = []audit.Gap{}
	names, err := filepath.Glob(filepath.Join(dir, "*"+gaadSuffix))
	if err != nil || len(names) == 0 {
		return nil, nil, audit.Hint(fmt.Errorf("%w: reading exports: there is no ACCOUNT%s in %s", audit.ErrNothing, gaadSuffix, dir),
			"aws iam get-account-authorization-details > "+filepath.Join(dir, "111122223333"+gaadSuffix))
	}
	for _, name := range names {
		id := strings.TrimSuffix(filepath.Base(name), gaadSuffix)
		doc, err := readExport(name)
		if err != nil {
			return nil, nil, err
		}
		a, err := iam.ParseAccount(id, doc)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range a.Problems {
			gaps = append(gaps, audit.Gap{Target: "aws:" + id, What: "a policy", Why: p})
		}
		accounts = append(accounts, a)
	}
	for name, parse := range map[string]func([]byte, []*iam.Account) error{"organization.json": iam.ParseOrganisation, "resource-policies.json": iam.ParseResources} {
		doc, err := readExport(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = parse(doc, accounts)
		}
		if err != nil {
			return nil, nil, err
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
