// Command accuracy measures what leakreach finds against labelled data and against other scanners. The data is never part of
// this repository: fetch it first, and name its folders. docs/accuracy.md has the figures and the commands.
//
//	go run ./test/accuracy leaky-repo DIR            a checkout of Plazmaz/leaky-repo
//	go run ./test/accuracy creddata DIR REPOSITORIES a checkout of Samsung/CredData, and a folder of clones
//	go run ./test/accuracy parity REPOSITORY...      clones, bare or not, whose history gitleaks reads too
//	go run ./test/accuracy zizmor DIR                a checkout of zizmorcore/zizmor, whose tests say what lies where
//	go run ./test/accuracy poutine DIR               a checkout of boostsecurityio/poutine, likewise
//	go run ./test/accuracy actionlint DIR            a checkout of rhysd/actionlint, likewise
//	go run ./test/accuracy draw SEED REPORT...       JSON reports of leakreach, of whose findings some are drawn to be judged by hand
//
// Values of secrets stay in temporary files, are compared by keyed digest, and are never printed.
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
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

// A lab is what all measurements share.
type lab struct {
	leakreach string
	peers     []tool
	gitleaks  string
	detail    bool
	own       map[string]bool // rules that gitleaks does not have
	data      string          // for copied files
	temp      string          // for reports; emptied at the end
	out, log  io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: accuracy [flags] leaky-repo DIR | creddata DIR REPOSITORIES | parity REPOSITORY... | zizmor DIR | poutine DIR | actionlint DIR | draw SEED REPORT...")
		flags.PrintDefaults()
	}
	l := &lab{out: stdout, log: stderr}
	flags.StringVar(&l.leakreach, "leakreach", "", "the `program`; built from this checkout if not given")
	flags.StringVar(&l.gitleaks, "gitleaks", "gitleaks", "the `program` of gitleaks")
	betterleaks := flags.String("betterleaks", "", "the `program` of betterleaks; left out if not given")
	flags.StringVar(&l.data, "data", "", "`folder` to copy CredData's files to, outside the project, and to leave them in; a temporary one if not given")
	flags.BoolVar(&l.detail, "detail", false, "list each difference by its place")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rest := flags.Args()
	if len(rest) > 2 && rest[0] == "draw" {
		return l.draw(rest[1], rest[2:])
	}
	if len(rest) == 2 {
		switch rest[0] {
		case "zizmor":
			return l.zizmor(rest[1])
		case "poutine":
			return l.poutine(rest[1])
		case "actionlint":
			return l.actionlint(rest[1])
		}
	}
	var err error
	if l.temp, err = os.MkdirTemp("", "accuracy-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(l.temp)
	if l.data == "" {
		l.data = filepath.Join(l.temp, "data")
	}
	if l.leakreach == "" {
		l.leakreach = filepath.Join(l.temp, "leakreach")
		build := exec.CommandContext(ctx, "go", "build", "-o", l.leakreach, "github.com/leakreach/leakreach/cmd/leakreach")
		build.Stderr = stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building leakreach: %w", err)
		}
	}
	for _, peer := range []struct{ name, program string }{{"gitleaks", l.gitleaks}, {"betterleaks", *betterleaks}} {
		if peer.program == "" {
			continue
		}
		program, err := exec.LookPath(peer.program)
		if err != nil {
			fmt.Fprintf(stderr, "%s is left out: %v\n", peer.name, err)
			continue
		}
		l.peers = append(l.peers, tool{peer.name, leaks(program, peer.name)})
	}
	tools := append([]tool{{"leakreach", scan(l.leakreach)}}, l.peers...)
	switch {
	case len(rest) == 2 && rest[0] == "leaky-repo":
		return l.leakyRepo(ctx, tools, rest[1])
	case len(rest) == 3 && rest[0] == "creddata":
		return l.credData(ctx, tools, rest[1], rest[2])
	case len(rest) > 1 && rest[0] == "parity":
		return l.parity(ctx, rest[1:])
	}
	flags.Usage()
	return flag.ErrHelp
}

// git runs git on a repository and returns what it prints.
func git(ctx context.Context, repo string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", repo}, args...)...)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s", args[0], repo, err, strings.TrimSpace(problem.String()))
	}
	return string(out), nil
}
