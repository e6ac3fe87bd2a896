package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners"
	"github.com/leakreach/leakreach/scanners/secrets"
)

func newRules(w world) *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:     "rules [ID]",
		Short:   "List the rules, or explain one",
		Example: "  leakreach rules\n  leakreach rules aws-access-key",
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
				rules = append(rules, s.Rules()...)
			}
			if len(args) == 1 {
				return explain(cmd, rules, args[0])
			}
			slices.SortFunc(rules, func(a, b audit.Rule) int { return strings.Compare(a.ID, b.ID) })
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, r := range rules {
				fmt.Fprintf(table, "%s\t%s\t%s\n", r.ID, r.Severity, r.Title)
			}
			return table.Flush()
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "rules in gitleaks' format, extending the default ones, from `FILE`")
	return cmd
}

func explain(cmd *cobra.Command, rules []audit.Rule, id string) error {
	i := slices.IndexFunc(rules, func(r audit.Rule) bool { return r.ID == id })
	if i < 0 {
		return audit.Hint(fmt.Errorf("%w: no rule %q", audit.ErrUsage, id), "leakreach rules lists all")
	}
	r := rules[i]
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nseverity %s", r.ID, r.Title, r.Severity)
	if r.CWE > 0 {
		fmt.Fprintf(&b, " · CWE-%d", r.CWE)
	}
	fmt.Fprintf(&b, "\n\n%s\n\nfix\n", strings.TrimSpace(r.Help))
	for i, f := range r.Fix {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, f)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}
