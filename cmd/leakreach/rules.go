package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
)

func newRules(w world) *cobra.Command {
	config, format, cost := "", "text", false
	cmd := &cobra.Command{
		Use:     "rules [ID]",
		Short:   "List the rules, or explain one",
		Example: "  leakreach rules\n  leakreach rules aws-access-key\n  leakreach rules --cost --config my-rules.toml",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, content, err := readSettings(cmd, w.getenv, &config)
			if err != nil {
				return err
			}
			all, err := scanners.All(secrets.Options{Config: content, ConfigPath: config})
			if err != nil {
				return err
			}
			var rules []audit.Rule
			for _, s := range all {
				for _, r := range s.Rules() {
					if !slices.ContainsFunc(rules, func(have audit.Rule) bool { return have.ID == r.ID }) { // of those that two scanners judge once
						rules = append(rules, r)
					}
				}
			}
			if len(args) == 1 {
				i := slices.IndexFunc(rules, func(r audit.Rule) bool { return r.ID == args[0] })
				if i < 0 {
					return audit.Hint(fmt.Errorf("%w: no rule %q", audit.ErrUsage, args[0]), "leakreach rules lists all")
				}
				rules = rules[i : i+1]
			}
			switch {
			case cost:
				return writeCosts(cmd.OutOrStdout(), all, rules)
			case format == "markdown":
				return writeRulePage(cmd.OutOrStdout(), rules)
			case len(args) == 1:
				return explain(cmd.OutOrStdout(), rules[0])
			}
			slices.SortFunc(rules, func(a, b audit.Rule) int { return strings.Compare(a.ID, b.ID) })
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, r := range rules {
				fmt.Fprintf(table, "%s\t%s\t%s\n", r.ID, r.Severity, r.Title)
			}
			return table.Flush()
		},
	}
	cmd.Flags().Var(choice{&format, []string{"text", "markdown"}}, "format", "how to print them")
	cmd.Flags().BoolVar(&cost, "cost", false, "how each rule is searched for, and why not at its keywords alone where it is not")
	cmd.Flags().StringVar(&config, "config", "", "rules in gitleaks' format, extending the default ones, from `FILE`")
	return cmd
}

// writeCosts prints what the rules cost that a scanner knows the cost of.
func writeCosts(w io.Writer, all []audit.Scanner, rules []audit.Rule) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range all {
		s, ok := s.(interface{ Costs() []secrets.Cost })
		if !ok {
			continue
		}
		for _, c := range s.Costs() {
			if !slices.ContainsFunc(rules, func(r audit.Rule) bool { return r.ID == c.Rule }) {
				continue
			}
			if c.Why != "" {
				c.Why = "because " + c.Why
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", c.Rule, c.How, c.Why)
		}
	}
	return table.Flush()
}

func explain(w io.Writer, r audit.Rule) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nseverity %s", r.ID, r.Title, r.Severity)
	if r.Confidence != "" {
		fmt.Fprintf(&b, " · confidence %s", r.Confidence)
	}
	if r.CWE > 0 {
		fmt.Fprintf(&b, " · CWE-%d", r.CWE)
	}
	fmt.Fprintf(&b, "\n\n%s\n\nfix\n", strings.TrimSpace(r.Help))
	for i, f := range r.Fix {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRulePage writes docs/rules.md: a heading per rule, which reports link to.
func writeRulePage(w io.Writer, rules []audit.Rule) error {
	var b strings.Builder
	b.WriteString("# Rules\n\nWritten by `leakreach rules --format markdown`; a test holds it to the program. The severity is that before verification, and before it is known what a\njob holds: see [Severity](readers.md#severity).\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "\n## %s\n\n%s. Severity %s", r.ID, strings.TrimSuffix(r.Title, "."), r.Severity)
		if r.Confidence != "" {
			fmt.Fprintf(&b, ", confidence %s", r.Confidence)
		}
		if r.CWE > 0 {
			fmt.Fprintf(&b, ", [CWE-%d](https://cwe.mitre.org/data/definitions/%d.html)", r.CWE, r.CWE)
		}
		fmt.Fprintf(&b, ".\n\n%s\n", strings.TrimSpace(r.Help))
		if strings.Contains(r.Help, "To mend it:") {
			continue // the help has the steps
		}
		b.WriteString("\n")
		for i, f := range r.Fix {
			fmt.Fprintf(&b, "%d. %s\n", i+1, f)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
