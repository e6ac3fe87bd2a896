package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// A cost is what one run of a program took.
type cost struct {
	cpu, wall time.Duration
	memory    int64 // bytes, of the largest process
}

// timed runs a command to its end. Scanners tell of findings by their exit code, so that any code is taken for an end; what they print
// is thrown away.
func timed(ctx context.Context, command []string) (cost, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	began := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		return cost{}, fmt.Errorf("running %s: %w", command[0], err)
	}
	state := cmd.ProcessState
	return cost{cpu: state.UserTime() + state.SystemTime(), wall: time.Since(began), memory: peak(state)}, nil
}

// median takes each figure's own middle.
func median(runs []cost) cost {
	middle := func(of func(cost) int64) int64 {
		slices.SortFunc(runs, func(a, b cost) int { return cmp.Compare(of(a), of(b)) })
		return of(runs[len(runs)/2])
	}
	return cost{
		cpu:    time.Duration(middle(func(c cost) int64 { return int64(c.cpu) })),
		wall:   time.Duration(middle(func(c cost) int64 { return int64(c.wall) })),
		memory: middle(func(c cost) int64 { return c.memory }),
	}
}

// leakreach is the command that scans a repository as the others do: without verification.
func leakreach(program, repo string) []string {
	return []string{program, "scan", repo, "--format", "json", "--verify", "off", "--fail-on", "none", "--allow-gaps", "--quiet"}
}

// peerNames are the scanners that can be compared with, each a flag.
var peerNames = []string{"gitleaks", "betterleaks", "trufflehog", "kingfisher", "titus", "noseyparker", "poutine"}

// command is how a peer scans the whole history of a repository, verification off. poutine scans the definitions of pipelines in it as they are now.
func (p peer) command(repo string) []string {
	switch p.name {
	case "trufflehog":
		return []string{p.program, "git", "--no-verification", "--no-update", "--bare", "--json", "file://" + repo}
	case "kingfisher":
		return []string{p.program, "scan", "--no-validate", "--no-update-check", "--git-history", "full", "--format", "json", repo}
	case "titus":
		return []string{p.program, "scan", "--git", "--format", "json", "--output", ":memory:", repo}
	case "poutine":
		return []string{p.program, "analyze_local", repo, "--format", "json", "--quiet"}
	case "noseyparker":
		return []string{"sh", "-c", `d=$(mktemp -d) && trap 'rm -rf "$d"' EXIT && "$0" scan --datastore "$d/store" --progress never "$1"`, p.program, repo}
	}
	return []string{p.program, "git", "--log-opts=--all", "--no-banner", "--log-level", "error", "--exit-code", "0", repo} // gitleaks and its kin
}
