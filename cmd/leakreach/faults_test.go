package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// What goes wrong with one repository is told, and keeps nobody from reading the others.
func TestFaults(t *testing.T) {
	leak := newMaker(11).token()
	for _, fault := range forgetest.GitHubFaults() {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			scan := func(value string) (report audit.Run, code int) {
				g := forgetest.Faulty(t, value)
				g.StartBlobs(t)
				fault.Break(g)
				report, code, all := scanGitHub(t, g, "all", "--fail-on", "high")
				if strings.Contains(all, leak) {
					t.Error("the secret is shown in full")
				}
				return report, code
			}
			report, code := scan(leak)
			if code != exitFindings {
				t.Errorf("exit code %d where something was found", code)
			}
			if !slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.Secret != nil && f.Locations[0].Target == "github:acme/tools" }) {
				t.Error("what lies in another repository is not found")
			}
			for _, c := range report.Coverage {
				want := audit.Scanned
				switch {
				case c.Target != "github:acme/web":
				case fault.Fails != "":
					want = audit.Failed
				case len(fault.Gaps) > 0:
					want = audit.Partial
				}
				if c.Status != want || want == audit.Failed && !strings.Contains(c.Reason, fault.Fails) {
					t.Errorf("%s is %s: %s", c.Target, c.Status, c.Reason)
				}
			}
			var gaps []string
			for _, g := range report.Gaps {
				if g.Target != "github:acme/web" {
					t.Errorf("gap elsewhere: %s: %v", g.Target, &g)
				}
				gaps = append(gaps, g.What+": "+g.Why)
			}
			for _, want := range fault.Gaps {
				if !slices.ContainsFunc(gaps, func(g string) bool { return strings.HasPrefix(g, want) }) {
					t.Errorf("no gap %q in %q", want, gaps)
				}
			}
			if fault.Fails == "" && len(gaps) != len(fault.Gaps) {
				t.Errorf("gaps %q", gaps)
			}
			want := exitOK
			if fault.Fails != "" {
				want = exitIncomplete
			}
			if _, code := scan("nothing"); code != want {
				t.Errorf("exit code %d where nothing was found, want %d", code, want)
			}
		})
	}
}

// What went wrong in one scan is not wrong for ever: with a store, the next one says what one without would say.
func TestFaultsPass(t *testing.T) {
	leak := newMaker(11).token()
	scan := func(t *testing.T, brk func(*forgetest.GitHub), args ...string) (report audit.Run) {
		g := forgetest.Faulty(t, leak)
		g.StartBlobs(t)
		brk(g)
		report, _, _ = scanGitHub(t, g, "all", args...)
		return report
	}
	sound := func(*forgetest.GitHub) {}
	want := gist(scan(t, sound))
	for _, fault := range forgetest.GitHubFaults() {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			store := filepath.Join(t.TempDir(), "runs.db")
			scan(t, fault.Break, "--store", store)
			got := gist(scan(t, sound, "--store", store))
			switch fault.Name {
			case "410 on logs", "artifact cut off": // what is gone, and what was stored broken, is asked for once
				if len(got) != len(want)+1 || !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, "gap in github:acme/web: ") }) {
					t.Errorf("got %q", got)
				}
				return
			}
			if !slices.Equal(got, want) {
				t.Errorf("after a scan in which it went wrong:\n%s\nwithout one:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// gist is what a report says, whatever the day, the run and the address of the forge.
func gist(report audit.Run) (lines []string) {
	for _, c := range report.Coverage {
		lines = append(lines, fmt.Sprintf("%s is %s: %s%s", c.Target, c.Status, c.Reason, c.LeftOut))
	}
	for _, g := range report.Gaps {
		lines = append(lines, fmt.Sprintf("gap in %s: %v", g.Target, &g))
	}
	for _, f := range report.Findings {
		lines = append(lines, f.ID+" "+f.Rule)
		for _, l := range f.Locations {
			lines = append(lines, fmt.Sprintf("%s %s %s %s %d", f.ID, l.Target, l.Path, l.Name, l.Line))
		}
	}
	slices.Sort(lines)
	return lines
}
