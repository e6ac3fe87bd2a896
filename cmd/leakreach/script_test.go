package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"leakreach": func() {
			os.Exit(run(context.Background(), os.Args[1:], world{
				stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, environ: os.Environ,
				terminal: func(io.Writer) (int, bool) { return 0, false }, limit: limitMemory,
			}))
		},
	})
}

// leakless are the tests of this package, which fail when something that one of them began goes on after the last one.
type leakless struct{ *testing.M }

func (m leakless) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs testdata/script. Its own commands: `plant FILE…` writes files in which {token}, {id}, {secret} and {password}
// become values made up at run time, the same for every file of a script; `shows FILE` fails if one of them is in FILE;
// `exits CODE leakreach …` checks the exit code; `ids` sets RUN1, RUN2 and so on to the ids of runs that lines of the last output begin with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			m := newMaker(uint64(len(e.WorkDir)) + 4711)
			e.Values["planted"] = []string{"{token}", m.token(), "{id}", m.keyID(), "{secret}", m.secret(), "{password}", m.password()}
			e.Setenv("HOME", e.WorkDir+"/.home")
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "A")
				e.Setenv("GIT_"+who+"_EMAIL", "a@corp.test")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"plant": func(ts *testscript.TestScript, _ bool, args []string) {
				values := strings.NewReplacer(ts.Value("planted").([]string)...)
				for _, name := range args {
					path := ts.MkAbs(name)
					ts.Check(os.WriteFile(path, []byte(values.Replace(ts.ReadFile(name))), 0o644))
				}
			},
			"shows": func(ts *testscript.TestScript, neg bool, args []string) {
				shown := false
				for i, v := range ts.Value("planted").([]string) {
					if i%2 == 1 && i != 3 { // an access key id is public
						shown = shown || strings.Contains(ts.ReadFile(args[0]), v)
					}
				}
				if shown == neg {
					ts.Fatalf("%s shows a value: %v", args[0], shown)
				}
			},
			"ids": func(ts *testscript.TestScript, _ bool, _ []string) {
				for i, m := range regexp.MustCompile(`(?m)^[0-9a-f]{16}\b`).FindAllString(ts.ReadFile("stdout"), -1) {
					ts.Setenv(fmt.Sprintf("RUN%d", i+1), m)
				}
			},
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				got := "0"
				if exit, ok := err.(interface{ ExitCode() int }); ok {
					got = strings.TrimSpace(strings.TrimPrefix(err.Error(), "exit status "))
					_ = exit
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if got != args[0] {
					ts.Fatalf("exit code %s, want %s", got, args[0])
				}
			},
		},
	})
}
