package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A hit is one place that a scanner reports in a folder.
type hit struct {
	path     string // relative to the folder, with slashes; of the container for a member
	from, to int    // lines, 1-based
	rule     string
}

// A tool scans the files in a folder.
type tool struct {
	name string
	scan func(ctx context.Context, dir, report string) ([]hit, error)
}

// key is that of the fingerprints: any will do, as it only has to be the same on both sides.
const key = "accuracy: not a secret"

// report is what of leakreach.run/v1 is needed here.
type report struct {
	Gaps     []audit.Gap `json:"gaps"`
	Findings []finding   `json:"findings"`
}

type finding struct {
	Rule      string           `json:"rule"`
	Locations []audit.Location `json:"locations"`
	Secret    *struct {
		Fingerprint string `json:"fingerprint"`
	} `json:"secret"`
	Suppressed *struct{} `json:"suppressed"`
}

// scanRef runs leakreach over a ref.
func scanRef(ctx context.Context, program, ref string) (*report, error) {
	cmd := exec.CommandContext(ctx, program, "scan", "--format", "json", "--verify", "off", "--fail-on", "none",
		"--no-ignores", "--allow-gaps", "--quiet", ref)
	cmd.Env = append(os.Environ(), "LEAKREACH_FINGERPRINT_KEY="+key)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running leakreach on %s: %w: %s", ref, err, problem.String())
	}
	r := &report{}
	if err := json.Unmarshal(out, r); err != nil {
		return nil, fmt.Errorf("reading leakreach's report on %s: %w", ref, err)
	}
	return r, nil
}

func scan(program string) func(context.Context, string, string) ([]hit, error) {
	return func(ctx context.Context, dir, _ string) ([]hit, error) {
		r, err := scanRef(ctx, program, "dir:"+dir)
		if err != nil {
			return nil, err
		}
		var hits []hit
		for _, f := range r.Findings {
			if f.Suppressed != nil {
				continue
			}
			for _, l := range f.Locations {
				path, _, _ := strings.Cut(l.Path, "!")
				hits = append(hits, hit{path, l.Line, max(l.Line, l.EndLine), f.Rule})
			}
		}
		return hits, nil
	}
}

// leak is what of gitleaks' and betterleaks' report is needed here.
type leak struct {
	RuleID, File, SymlinkFile, Commit, Secret string
	StartLine, EndLine                        int
}

func leaks(program, name string) func(context.Context, string, string) ([]hit, error) {
	return func(ctx context.Context, dir, file string) ([]hit, error) {
		found, err := runLeaks(ctx, program, name, file, "dir", dir)
		if err != nil {
			return nil, err
		}
		var hits []hit
		for _, l := range found {
			path, _, _ := strings.Cut(l.File, "!")
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return nil, fmt.Errorf("%s's report on %s: %w", name, dir, err)
			}
			hits = append(hits, hit{filepath.ToSlash(rel), l.StartLine, max(l.StartLine, l.EndLine), l.RuleID})
		}
		return hits, nil
	}
}

// runLeaks runs gitleaks or betterleaks with the default rules, and nothing of what is scanned to silence it.
func runLeaks(ctx context.Context, program, name, file, mode, path string) ([]leak, error) {
	args := []string{mode, path, "--report-format", "json", "--report-path", file, "--ignore-gitleaks-allow", "--no-banner", "--exit-code", "0", "--log-level", "error"}
	if name == "betterleaks" {
		args = append(args, "--regex-engine", "stdlib")
	}
	config := file + ".toml"
	if err := os.WriteFile(config, []byte("[extend]\nuseDefault = true\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--config", config)...)
	cmd.Dir = filepath.Dir(file) // where no ignore file lies
	var problem strings.Builder
	cmd.Stderr = &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %s on %s: %w: %s", name, path, err, problem.String())
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s left no report on %s: %s", name, path, problem.String())
	}
	if err != nil {
		return nil, err
	}
	defer os.Remove(file) // it holds values
	var found []leak
	if err := json.Unmarshal(b, &found); err != nil {
		return nil, fmt.Errorf("reading %s's report on %s: %w", name, path, err)
	}
	return found, nil
}
