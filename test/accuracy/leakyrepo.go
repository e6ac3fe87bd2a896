package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
)

// A leaky is a row of leaky-repo's .leaky-meta/secrets.csv.
type leaky struct {
	path              string
	risk, informative int // lines
}

// A tally is how far a scanner came on leaky-repo.
type tally struct {
	risk, all, files, over int
}

// leakyRepo counts as leaky-repo's own benchmark.py does: per file, no more finds than it has lines to be found. That script counts
// risk and informative lines together; the count against the risk lines alone, the stricter one, stands in front.
func (l *lab) leakyRepo(ctx context.Context, tools []tool, dir string) error {
	rows, err := readLeaky(filepath.Join(dir, ".leaky-meta", "secrets.csv"))
	if err != nil {
		return err
	}
	var total tally
	for _, r := range rows {
		total.risk += r.risk
		total.all += r.risk + r.informative
		if r.risk > 0 {
			total.files++
		}
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "scanner\trisk lines of %d\trisk and informative of %d\tfiles with risk of %d\tlines beyond those\n", total.risk, total.all, total.files)
	for _, t := range tools {
		hits, err := t.scan(ctx, dir, filepath.Join(l.temp, t.name+".json"))
		if err != nil {
			return err
		}
		lines := byLine(hits)
		got := count(rows, lines)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", t.name, got.risk, got.all, got.files, got.over)
		if !l.detail {
			continue
		}
		for _, r := range rows {
			if n := len(lines[r.path]); n != r.risk {
				fmt.Fprintf(l.log, "%s: %s: %d lines, has %d risk and %d informative\n", t.name, r.path, n, r.risk, r.informative)
			}
		}
	}
	return w.Flush()
}

// byLine gives the lines that hits begin on, by path.
func byLine(hits []hit) map[string]map[int]bool {
	lines := map[string]map[int]bool{}
	for _, h := range hits {
		if lines[h.path] == nil {
			lines[h.path] = map[int]bool{}
		}
		lines[h.path][h.from] = true
	}
	return lines
}

func count(rows []leaky, lines map[string]map[int]bool) (t tally) {
	for _, r := range rows {
		n := len(lines[r.path])
		t.risk += min(n, r.risk)
		t.all += min(n, r.risk+r.informative)
		t.over += max(0, n-r.risk-r.informative)
		if n > 0 && r.risk > 0 {
			t.files++
		}
	}
	return t
}

func readLeaky(file string) ([]leaky, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	in := csv.NewReader(bytes.NewReader(b))
	in.Comment, in.FieldsPerRecord, in.TrimLeadingSpace = '#', 3, true
	records, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var rows []leaky
	for _, r := range records {
		risk, err := strconv.Atoi(r[1])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		informative, err := strconv.Atoi(r[2])
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		rows = append(rows, leaky{r[0], risk, informative})
	}
	return rows, nil
}
