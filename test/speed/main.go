// Command speed measures what scanning a git history costs: against an earlier version of leakreach, so that no change makes it
// slower unseen, and against other scanners. docs/performance.md has the figures and the commands.
//
//	go run ./test/speed generate DIR      makes the repository that versions are compared on, the same in every run
//	go run ./test/speed against REVISION  this checkout against a revision of it; fails if it takes 15 % more CPU
//	go run ./test/speed peers REPO...     a table of this checkout and other scanners on clones, bare or not
//
// CPU is user and system time of a process and its children. Programs take turns, and each figure is the median of the rounds, so
// that a machine whose speed drifts treats all alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// tolerance is how much more CPU than the earlier version is let pass: the median of the rounds moves by a few per cent on a
// busy machine, and a slip that matters is larger.
const tolerance = 1.15

// A lab is what all measurements share.
type lab struct {
	rounds int
	peers  []peer
	temp   string // emptied at the end
	out    io.Writer
	log    io.Writer
}

// A peer is another scanner, as the user named it.
type peer struct{ name, program string }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	l := &lab{out: stdout, log: stderr}
	flags := flag.NewFlagSet("speed", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: speed [flags] generate DIR | against REVISION | peers REPO...")
		flags.PrintDefaults()
	}
	flags.IntVar(&l.rounds, "rounds", 5, "how often each program runs")
	for _, name := range peerNames {
		flags.Func(name, "the `program` of "+name+"; left out if not given", func(program string) error {
			l.peers = append(l.peers, peer{name, program})
			return nil
		})
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if l.temp, err = os.MkdirTemp("", "speed-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(l.temp)
	rest := flags.Args()
	switch {
	case len(rest) == 2 && rest[0] == "generate":
		return generate(ctx, rest[1], allCommits)
	case len(rest) == 2 && rest[0] == "against":
		return l.against(ctx, rest[1])
	case len(rest) > 1 && rest[0] == "peers":
		return l.table(ctx, rest[1:])
	}
	flags.Usage()
	return flag.ErrHelp
}

// against compares this checkout with a revision of it on a generated repository.
func (l *lab) against(ctx context.Context, revision string) error {
	before := filepath.Join(l.temp, "before")
	if err := os.Mkdir(before, 0o700); err != nil {
		return err
	}
	archive := exec.CommandContext(ctx, "git", "archive", "--format=tar", "-o", filepath.Join(l.temp, "before.tar"), revision)
	if out, err := archive.CombinedOutput(); err != nil {
		return fmt.Errorf("reading revision %s: %w: %s", revision, err, strings.TrimSpace(string(out)))
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", filepath.Join(l.temp, "before.tar"), "-C", before).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking revision %s: %w: %s", revision, err, strings.TrimSpace(string(out)))
	}
	then, err := l.build(ctx, before, "leakreach-then")
	if err != nil {
		return err
	}
	now, err := l.build(ctx, ".", "leakreach-now")
	if err != nil {
		return err
	}
	repo := filepath.Join(l.temp, "repository")
	if err := generate(ctx, repo, allCommits); err != nil {
		return err
	}
	costs, err := l.measure(ctx, [][]string{leakreach(now, repo), leakreach(then, repo)})
	if err != nil {
		return err
	}
	ratio := costs[0].cpu.Seconds() / costs[1].cpu.Seconds()
	fmt.Fprintf(l.out, "CPU on the generated repository: now %.2f s, at %s %.2f s, ratio %.2f (at most %.2f)\n",
		costs[0].cpu.Seconds(), revision, costs[1].cpu.Seconds(), ratio, tolerance)
	if ratio > tolerance {
		return errors.New("scanning has become slower: profile it, or say in docs/performance.md why it must be and move SPEED_BASE")
	}
	return nil
}

// build makes the program of the checkout in dir.
func (l *lab) build(ctx context.Context, dir, name string) (string, error) {
	program := filepath.Join(l.temp, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/leakreach")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return program, nil
}

// table measures this checkout and its peers on repositories.
func (l *lab) table(ctx context.Context, repos []string) error {
	own, err := l.build(ctx, ".", "leakreach")
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "history of\tprogram\tCPU\tratio\twall\tpeak memory\t")
	ratios := map[string][]float64{}
	for _, repo := range repos {
		names, commands := []string{"leakreach"}, [][]string{leakreach(own, repo)}
		for _, p := range l.peers {
			names, commands = append(names, p.name), append(commands, p.command(repo))
		}
		costs, err := l.measure(ctx, commands)
		if err != nil {
			return err
		}
		for i, c := range costs {
			fmt.Fprintf(w, "%s\t%s\t%.2f s\t1 : %.1f\t%.2f s\t%d MB\t\n", title(repo), names[i], c.cpu.Seconds(),
				c.cpu.Seconds()/costs[0].cpu.Seconds(), c.wall.Seconds(), c.memory>>20)
			ratios[names[i]] = append(ratios[names[i]], c.cpu.Seconds()/costs[0].cpu.Seconds())
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, p := range l.peers {
		r := ratios[p.name]
		slices.Sort(r)
		fmt.Fprintf(l.out, "%s takes %.1f times the CPU, in the middle of %d repositories: %.1f to %.1f\n", p.name, r[len(r)/2], len(r), r[0], r[len(r)-1])
	}
	return nil
}

// title is what a repository is called in the table: its folder's name.
func title(repo string) string {
	clean := strings.TrimSuffix(strings.TrimSuffix(filepath.Clean(repo), string(filepath.Separator)+".git"), string(filepath.Separator)+"repo")
	return strings.ReplaceAll(filepath.Base(clean), "+", "/")
}

// measure runs the commands in turn and returns the medians.
func (l *lab) measure(ctx context.Context, commands [][]string) ([]cost, error) {
	runs := make([][]cost, len(commands))
	for round := range l.rounds {
		for i, c := range commands {
			began := time.Now()
			spent, err := timed(ctx, c)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(l.log, "round %d: %s: %.2f s CPU, %.2f s\n", round+1, filepath.Base(c[0]), spent.cpu.Seconds(), time.Since(began).Seconds())
			runs[i] = append(runs[i], spent)
		}
	}
	costs := make([]cost, len(commands))
	for i, r := range runs {
		costs[i] = median(r)
	}
	return costs, nil
}
