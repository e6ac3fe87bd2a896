package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/engine"
	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/providers"
)

// planSchema names the form that programs read. Fields are only ever added.
const planSchema = "leakreach.plan/v1"

// A plan is what a run would take.
type plan struct {
	Schema       string        `json:"schema"`
	Refs         []plannedRef  `json:"refs"`
	Quotas       []quotaNeed   `json:"quotas"`
	Calls        int           `json:"calls"`
	Bytes        int64         `json:"bytes"`
	WaitSeconds  int64         `json:"wait_seconds"` // at least, for quotas to fill again
	Online       int           `json:"online"`       // requests at most about components that pipelines name, beside the others; 0 if nobody is asked
	Verification plannedVerify `json:"verification"`
}

type plannedRef struct {
	Ref     string `json:"ref"`
	Network bool   `json:"network"`
	Costs   []cost `json:"costs"`
	Error   string `json:"error"` // what ended the listing
	Hint    string `json:"hint"`
}

type cost struct {
	Sources []string `json:"sources"` // empty for listing targets
	Host    string   `json:"host"`
	Quota   string   `json:"quota"` // "" for what no quota counts
	Calls   int      `json:"calls"`
	Bytes   int64    `json:"bytes"`
	Logged  string   `json:"logged"`
	Note    string   `json:"note"`
}

// A quotaNeed is what all refs take of one quota.
type quotaNeed struct {
	Host        string `json:"host"`
	Quota       string `json:"quota"`
	Calls       int    `json:"calls"`
	Limit       int    `json:"limit"` // an hour, of which is ours; 0 if that is not known
	Left        int    `json:"left"`
	WaitSeconds int64  `json:"wait_seconds"`
}

type plannedVerify struct {
	Mode   string   `json:"mode"`
	Events []string `json:"events"` // that verifying can leave in logs, of the credential's account and the auditor's
}

// plan says what a run would ask of whom, and what that costs.
func (o *scanOptions) plan(ctx context.Context, w world, list []engine.Ref, outs []outFile, events []string, most limits) error {
	p := &plan{Schema: planSchema, Refs: []plannedRef{}, Verification: plannedVerify{Mode: o.verify, Events: append([]string{}, events...)}}
	if o.online {
		p.Online = cmp.Or(most.Online, providers.DefaultOnline)
	}
	var errs []error
	for _, ref := range list {
		r := plannedRef{Ref: ref.Text, Costs: []cost{}}
		if planner, ok := ref.Provider.(audit.Planner); ok {
			for c, err := range planner.Plan(ctx, ref.Rest) {
				r.Network = true // what asks nobody plans nothing
				if err != nil {
					errs = append(errs, err)
					r.Error, r.Hint = err.Error(), audit.HintOf(err)
					continue
				}
				r.Costs = append(r.Costs, cost{append([]string{}, c.Source.Names()...), c.Host, c.Quota, c.Calls, c.Bytes, c.Logged, c.Note})
				p.count(c)
			}
		}
		p.Refs = append(p.Refs, r)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.wait()
	write := func(format string) func(io.Writer) error {
		return func(to io.Writer) error {
			if format != "json" {
				return p.print(to, o.store != "")
			}
			e := json.NewEncoder(to)
			e.SetIndent("", "  ")
			return e.Encode(p)
		}
	}
	for _, out := range outs {
		if out.format == "text" || out.format == "json" {
			errs = append(errs, writeFile(w, out, write(out.format)))
		} else if !o.quiet {
			fmt.Fprintf(w.stderr, "leakreach: a plan has no %s form: %s is not written\n", out.format, report.Clean(out.path))
		}
	}
	return errors.Join(append(errs, write(o.format)(w.stdout))...)
}

// count adds a cost to the sums.
func (p *plan) count(c audit.Cost) {
	p.Calls += c.Calls
	p.Bytes += c.Bytes
	if c.Quota == "" {
		return
	}
	i := slices.IndexFunc(p.Quotas, func(q quotaNeed) bool { return q.Host == c.Host && q.Quota == c.Quota })
	if i < 0 {
		i = len(p.Quotas)
		p.Quotas = append(p.Quotas, quotaNeed{Host: c.Host, Quota: c.Quota, Limit: c.Limit, Left: c.Left})
	}
	p.Quotas[i].Calls += c.Calls
	p.Quotas[i].Limit = max(p.Quotas[i].Limit, c.Limit)
	p.Quotas[i].Left = max(p.Quotas[i].Left, c.Left)
}

// wait works out how long quotas make the run take: what is not left now comes at the rate of an hour's grant.
func (p *plan) wait() {
	p.Quotas = append([]quotaNeed{}, p.Quotas...)
	for i := range p.Quotas {
		q := &p.Quotas[i]
		if over := q.Calls - q.Left; over > 0 && q.Limit > 0 {
			q.WaitSeconds = int64(math.Ceil(float64(over) / float64(q.Limit) * time.Hour.Seconds()))
		}
		p.WaitSeconds = max(p.WaitSeconds, q.WaitSeconds) // they fill at the same time
	}
}

// longWait is how long a run without a store waits for a quota, before it ends a target.
const longWait = 15 * time.Minute

func (p *plan) print(w io.Writer, kept bool) error {
	var b strings.Builder
	for _, r := range p.Refs {
		fmt.Fprintf(&b, "%s\n", report.Clean(r.Ref))
		if !r.Network {
			b.WriteString("  reads local files; no network\n")
		}
		if err := r.print(&b); err != nil {
			return err
		}
	}
	if len(p.Quotas) > 0 || p.Calls > 0 {
		fmt.Fprintf(&b, "total: %s requests", grouped(p.Calls))
		if p.Bytes > 0 {
			fmt.Fprintf(&b, ", about %s", bytesText(p.Bytes))
		}
		b.WriteString("\n")
	}
	for _, q := range p.Quotas {
		fmt.Fprintf(&b, "  quota %s of %s: %s", report.Clean(q.Quota), report.Clean(q.Host), grouped(q.Calls))
		switch wait := time.Duration(q.WaitSeconds) * time.Second; {
		case q.Limit == 0:
			b.WriteString("; the server tells no limit\n")
		case wait == 0:
			fmt.Fprintf(&b, " of the %s that are ours and left: no wait\n", grouped(q.Left))
		default:
			fmt.Fprintf(&b, "; %s are ours and left, %s an hour: about %s of waiting", grouped(q.Left), grouped(q.Limit), roughly(wait))
			if !kept && wait > longWait {
				b.WriteString("; use --store, without which no target waits that long")
			}
			b.WriteString("\n")
		}
	}
	if p.Online > 0 {
		fmt.Fprintf(&b, "components: at most %s requests to the servers that have them, mostly five for a repository, and to GitHub for its advisories\n", grouped(p.Online))
	}
	fmt.Fprintf(&b, "verification: %s", p.Verification.Mode)
	if len(p.Verification.Events) > 0 {
		b.WriteString("; what it can leave in logs, out of")
	}
	b.WriteString("\n")
	for _, event := range p.Verification.Events {
		fmt.Fprintf(&b, "  %s\n", event)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *plannedRef) print(b *strings.Builder) error {
	table := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	if len(r.Costs) > 0 {
		fmt.Fprintln(table, "  FOR\tHOST\tREQUESTS\tQUOTA\tBYTES\tRESTS ON")
	}
	var logged []string
	for _, c := range r.Costs {
		what := cmp.Or(strings.Join(c.Sources, ", "), "listing")
		size := "-"
		if c.Bytes > 0 {
			size = bytesText(c.Bytes)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", what, report.Clean(c.Host), grouped(c.Calls), cmp.Or(report.Clean(c.Quota), "-"), size, report.Clean(c.Note))
		if c.Logged != "" && !slices.Contains(logged, c.Logged) {
			logged = append(logged, c.Logged)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, entry := range logged {
		fmt.Fprintf(b, "  logged there: %s\n", report.Clean(entry))
	}
	if r.Error != "" {
		fmt.Fprintf(b, "  ended: %s\n", report.Clean(r.Error))
	}
	return nil
}

// grouped is a number as people read it: 12,345.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

// roughly is a duration as people read it.
func roughly(d time.Duration) string {
	if d < time.Minute {
		return "a minute"
	}
	minutes := int(math.Ceil(d.Minutes()))
	if minutes < 60 {
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
}
