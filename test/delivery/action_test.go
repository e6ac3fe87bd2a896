package delivery_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const workflow = `on: push
permissions: {}
jobs:
  scan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
        with:
          persist-credentials: false
      - id: leakreach
        uses: leakreach/leakreach@0123456789abcdef0123456789abcdef01234567
        with:
          refs: . # the job beside it is TestJobInAct's
          verify: offline
          sarif-file: leakreach.sarif
      - if: always()
        run: |
          cp leakreach.sarif "$RESULT/sarif.json"
          cp "$REPORT" "$RESULT/report.json"
          printf '%s\n' "$OUTPUTS" >"$RESULT/outputs.json"
        env:
          RESULT: RESULT_DIR
          OUTPUTS: ${{ toJSON(steps.leakreach.outputs) }}
          REPORT: ${{ steps.leakreach.outputs.report-file }}
`

// TestActionInAct runs the action for real, built from its own source, on a repository with a planted key.
func TestActionInAct(t *testing.T) {
	need(t, "act", "make tools installs it")
	result := t.TempDir()
	repo, id, secret := leaky(t, map[string]string{".github/workflows/scan.yml": strings.ReplaceAll(workflow, "RESULT_DIR", result)})
	home := t.TempDir()
	run := try(t, repo, []string{"HOME=" + home}, "act", "push", "-P", "ubuntu-latest=-self-hosted",
		"--local-repository", "leakreach/leakreach@0123456789abcdef0123456789abcdef01234567="+sources(t))
	if run.code == 0 || !strings.Contains(run.all(), "exit status 10") {
		t.Fatalf("exit code %d, want the step to fail with 10\n%s", run.code, run.all())
	}
	if strings.Contains(run.all(), secret) {
		t.Error("the log shows the secret")
	}
	if !strings.Contains(run.all(), "building leakreach from the action's own source") {
		t.Error("the program was not built from source")
	}

	var outputs map[string]string
	if err := json.Unmarshal([]byte(read(t, filepath.Join(result, "outputs.json"))), &outputs); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"findings": "1", "live": "0", "admin": "0", "complete": "true", "sarif-file": "leakreach.sarif"} {
		if outputs[name] != want {
			t.Errorf("output %s is %q, want %q", name, outputs[name], want)
		}
	}
	for _, name := range []string{"sarif.json", "report.json"} {
		report := read(t, filepath.Join(result, name))
		if !shows(report, id) || strings.Contains(report, secret) {
			t.Errorf("%s: key id there: %t, secret there: %t", name, shows(report, id), strings.Contains(report, secret))
		}
	}
	var log struct{ summaries, annotations int }
	for line := range strings.Lines(run.all()) {
		if strings.Contains(line, "Summary - ") {
			log.summaries++
		}
		if strings.Contains(line, "❗  ::error") || strings.Contains(line, "::error title=leakreach") {
			log.annotations++
		}
	}
	if log.summaries == 0 || log.annotations == 0 {
		t.Errorf("%d summaries and %d annotations in\n%s", log.summaries, log.annotations, run.all())
	}
}

// stage is a runner's step with a stand-in for the program: it writes its arguments and its environment down, and reports.
type stage struct {
	action, temp string
	env          map[string]string
	sum          string
}

const standIn = `#!/bin/bash
printf '%s\n' "$@" >"$STAGE/args"
env >"$STAGE/env"
while [ $# -gt 0 ]; do
  case "$1 $2" in
    "--out jsonl="*) cp "$STAGE/jsonl" "${2#*=}" ;;
    "--out "*) cat "$STAGE/report" >"${2#*=}" ;;
  esac
  shift
done
exit "$(cat "$STAGE/code")"
`

// standInCurl serves the release from the stage, or its damaged form, and writes down what it was asked.
const standInCurl = `#!/bin/bash
printf '%s\n' "$@" >"$STAGE/curl"
while [ $# -gt 0 ]; do
  [ "$1" = --output ] && cp "$STAGE/release.tar.gz" "$2"
  shift
done
`

func newStage(t *testing.T) *stage {
	t.Helper()
	need(t, "bash", "install bash")
	s := &stage{action: t.TempDir(), temp: t.TempDir()}
	for _, name := range []string{"scripts/action.sh", "action.sums"} {
		write(t, filepath.Join(s.action, name), read(t, filepath.Join(root(t), name)))
	}
	write(t, filepath.Join(s.temp, "bin/curl"), standInCurl)
	write(t, filepath.Join(s.temp, "pack/leakreach"), standIn)
	output(t, s.temp, nil, "tar", "-czf", "release.tar.gz", "-C", "pack", "leakreach")
	s.sum = fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, filepath.Join(s.temp, "release.tar.gz")))))
	s.release(t, "9.9.9", s.sum)
	write(t, filepath.Join(s.temp, "jsonl"), `{"type":"run","schema":"leakreach.run/v1","run":{"id":"1","complete":true}}`+"\n")
	write(t, filepath.Join(s.temp, "report"), "the report\n")
	write(t, filepath.Join(s.temp, "code"), "0")
	s.env = map[string]string{
		"STAGE": s.temp, "RUNNER_TEMP": s.temp, "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "PATH": filepath.Join(s.temp, "bin") + ":" + os.Getenv("PATH"),
		"GITHUB_OUTPUT": filepath.Join(s.temp, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(s.temp, "summary"),
		"GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY": "acme/web", "HEAD_REPOSITORY": "", "JOB_TOKEN": "token-of-the-job",
		"INPUT_VERSION": "9.9.9", "INPUT_REFS": ".", "INPUT_VERIFY": "owner", "INPUT_FAIL_ON": "any", "INPUT_CONFIG": "", "INPUT_BASELINE": "",
		"INPUT_GITHUB_TOKEN": "", "INPUT_SUMMARY": "true", "INPUT_ANNOTATIONS": "true", "INPUT_SARIF_FILE": "",
	}
	return s
}

func (s *stage) release(t *testing.T, version, sum string) {
	t.Helper()
	path := filepath.Join(s.action, "action.sums")
	write(t, path, read(t, path)+version+" linux amd64 "+sum+"\n")
}

func (s *stage) run(t *testing.T) result {
	t.Helper()
	var env []string
	for name, value := range s.env {
		env = append(env, name+"="+value)
	}
	return try(t, t.TempDir(), env, "bash", filepath.Join(s.action, "scripts/action.sh"))
}

func (s *stage) lines(t *testing.T, name string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(read(t, filepath.Join(s.temp, name)), "\n"), "\n")
}

func (s *stage) ran() bool {
	_, err := os.Stat(filepath.Join(s.temp, "args"))
	return err == nil
}

func TestActionDownloads(t *testing.T) {
	t.Run("a release by its committed checksum", func(t *testing.T) {
		s := newStage(t)
		if r := s.run(t); r.code != 0 || !s.ran() {
			t.Fatalf("exit code %d\n%s", r.code, r.all())
		}
		asked := s.lines(t, "curl")
		if want := "https://github.com/leakreach/leakreach/releases/download/v9.9.9/leakreach_9.9.9_linux_amd64.tar.gz"; !slices.Contains(asked, want) {
			t.Errorf("asked for %q, want %s", asked, want)
		}
		for _, want := range []string{"--fail", "--proto", "--proto-redir", "=https", "--retry"} {
			if !slices.Contains(asked, want) {
				t.Errorf("curl was called without %s", want)
			}
		}
	})
	for name, spoil := range map[string]func(t *testing.T, s *stage){
		"a release whose bytes are others": func(t *testing.T, s *stage) {
			write(t, filepath.Join(s.temp, "release.tar.gz"), "other bytes")
		},
		"an unknown release":                func(_ *testing.T, s *stage) { s.env["INPUT_VERSION"] = "9.9.8" },
		"a pattern for a version":           func(_ *testing.T, s *stage) { s.env["INPUT_VERSION"] = ".*" },
		"a version that climbs":             func(_ *testing.T, s *stage) { s.env["INPUT_VERSION"] = "9.9.9/../../evil" },
		"a processor without release":       func(_ *testing.T, s *stage) { s.env["RUNNER_ARCH"] = "ARM" },
		"a known processor not in the sums": func(_ *testing.T, s *stage) { s.env["RUNNER_ARCH"] = "ARM64" },
	} {
		t.Run("not "+name, func(t *testing.T) {
			s := newStage(t)
			spoil(t, s)
			r := s.run(t)
			if r.code != 2 || s.ran() || !strings.Contains(r.stdout, "::error title=leakreach::") {
				t.Errorf("exit code %d, program ran: %t\n%s", r.code, s.ran(), r.all())
			}
		})
	}
	t.Run("this commit's own release without being told", func(t *testing.T) {
		s := newStage(t)
		s.env["INPUT_VERSION"] = ""
		own := ""
		for _, line := range strings.Split(read(t, filepath.Join(s.action, "action.sums")), "\n") {
			if v, ok := strings.CutPrefix(line, "this "); ok {
				own = v
			}
		}
		s.release(t, own, s.sum)
		if r := s.run(t); r.code != 0 || !s.ran() {
			t.Errorf("exit code %d\n%s", r.code, r.all())
		}
	})
}

func TestActionArguments(t *testing.T) {
	for _, c := range []struct {
		name     string
		env      map[string]string
		want     []string // in this order
		unwanted []string
	}{
		{"defaults", nil, []string{"scan", "--verify", "owner", "--fail-on", "any", "--annotations", "--", "."}, []string{"--no-ignores", "--config", "--baseline"}},
		{"everything", map[string]string{"INPUT_VERIFY": "live", "INPUT_FAIL_ON": "admin", "INPUT_CONFIG": "rules file.toml", "INPUT_BASELINE": "old.json", "INPUT_SARIF_FILE": "a b.sarif", "INPUT_REFS": ". github:acme\n dir:x"},
			[]string{"--verify", "live", "--fail-on", "admin", "--config", "rules file.toml", "--baseline", "old.json", "sarif=a b.sarif", "--", ".", "github:acme", "dir:x"}, nil},
		{"nothing beside the log", map[string]string{"INPUT_SUMMARY": "false", "INPUT_ANNOTATIONS": "false"}, []string{"scan"}, []string{"--annotations"}},
		{"text that a shell would run", map[string]string{"INPUT_REFS": "$(touch pwned) `id` ; * --config=/etc/passwd"}, []string{"--", "$(touch", "pwned)", "`id`", ";", "*", "--config=/etc/passwd"}, nil},
		{"a fork's pull request", map[string]string{"GITHUB_EVENT_NAME": "pull_request", "HEAD_REPOSITORY": "mallory/web", "INPUT_VERIFY": "live", "INPUT_CONFIG": ".gitleaks.toml", "INPUT_BASELINE": "b.json"},
			[]string{"--no-ignores", "--verify", "offline"}, []string{"live", "--config", "--baseline", "owner"}},
		{"a deleted fork's pull request", map[string]string{"GITHUB_EVENT_NAME": "pull_request_target"}, []string{"--no-ignores", "--verify", "offline"}, []string{"owner"}},
		{"a fork's pull request, without verification", map[string]string{"GITHUB_EVENT_NAME": "pull_request", "HEAD_REPOSITORY": "mallory/web", "INPUT_VERIFY": "off"},
			[]string{"--no-ignores", "--verify", "off"}, []string{"offline"}},
		{"one's own pull request", map[string]string{"GITHUB_EVENT_NAME": "pull_request", "HEAD_REPOSITORY": "acme/web"}, []string{"--verify", "owner"}, []string{"--no-ignores"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			for name, value := range c.env {
				s.env[name] = value
			}
			if r := s.run(t); r.code != 0 {
				t.Fatalf("exit code %d\n%s", r.code, r.all())
			}
			args := s.lines(t, "args")
			rest := args
			for _, want := range c.want {
				i := slices.Index(rest, want)
				if i < 0 {
					t.Fatalf("arguments %q lack %q (in the order of %q)", args, want, c.want)
				}
				rest = rest[i+1:]
			}
			for _, unwanted := range c.unwanted {
				if slices.Contains(args, unwanted) {
					t.Errorf("arguments %q hold %q", args, unwanted)
				}
			}
		})
	}
	for name, value := range map[string]string{"INPUT_VERIFY": "yes", "INPUT_FAIL_ON": "", "INPUT_SUMMARY": "1", "INPUT_SARIF_FILE": "a\nfindings=0"} {
		t.Run("not "+name, func(t *testing.T) {
			s := newStage(t)
			s.env[name] = value
			if r := s.run(t); r.code != 2 || s.ran() {
				t.Errorf("exit code %d, program ran: %t\n%s", r.code, s.ran(), r.all())
			}
		})
	}
}

// TestActionToken: the job's token goes to the program only if a ref needs one, and is never an argument.
func TestActionToken(t *testing.T) {
	for _, c := range []struct {
		name, refs, input, gh, want string
	}{
		{"a directory needs none", ".", "", "", ""},
		{"the job is asked what its own may", ". job:", "token-of-the-input", "", "GITHUB_TOKEN=token-of-the-job"},
		{"the job's own", "github:acme/web", "", "", "GH_TOKEN=token-of-the-job"},
		{"the environment's wins over it", "github:acme/web", "", "token-of-the-environment", "GH_TOKEN=token-of-the-environment"},
		{"the input wins over both", "github:acme/web", "token-of-the-input", "token-of-the-environment", "GH_TOKEN=token-of-the-input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.env["INPUT_REFS"], s.env["INPUT_GITHUB_TOKEN"] = c.refs, c.input
			if c.gh != "" {
				s.env["GH_TOKEN"] = c.gh
			}
			if r := s.run(t); r.code != 0 {
				t.Fatalf("exit code %d\n%s", r.code, r.all())
			}
			var got []string
			for _, line := range s.lines(t, "env") {
				if strings.Contains(line, "token-of-") {
					got = append(got, line)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("the program got %q, want %q", got, c.want)
			}
			if args := strings.Join(s.lines(t, "args"), " "); strings.Contains(args, "token-of-") {
				t.Errorf("a token among the arguments: %s", args)
			}
		})
	}
}

func TestActionResult(t *testing.T) {
	const (
		live     = `{"type":"finding","id":"a","verdict":{"validity":"active"},"reach":{"level":"admin","paths":[]},"suppressed":null}`
		climbing = `{"type":"finding","id":"b","verdict":{"validity":"active"},"reach":{"level":"escalation"},"suppressed":null}`
		reading  = `{"type":"finding","id":"c","verdict":{"validity":"active"},"reach":{"level":"read","paths":[{"level":"admin"}]},"suppressed":null}`
		dead     = `{"type":"finding","id":"d","message":"says \"validity\":\"active\"","verdict":{"validity":"inactive"},"reach":{"level":"admin"},"suppressed":null}`
		silenced = `{"type":"finding","id":"e","verdict":{"validity":"active"},"suppressed":{"by":"baseline"}}`
		gap      = `{"type":"gap","what":"{\"type\":\"finding\" \"suppressed\":null"}`
	)
	run := func(complete bool) string {
		return fmt.Sprintf(`{"type":"run","schema":"leakreach.run/v1","run":{"id":"1","complete":%t}}`, complete)
	}
	for _, c := range []struct {
		name  string
		jsonl []string
		code  string
		want  map[string]string
	}{
		{"clean", []string{run(true)}, "0", map[string]string{"findings": "0", "live": "0", "admin": "0", "complete": "true"}},
		{"findings", []string{run(false), gap, live, climbing, reading, dead, silenced}, "10", map[string]string{"findings": "4", "live": "3", "admin": "2", "complete": "false"}},
		{"incomplete", []string{run(false), gap}, "5", map[string]string{"findings": "0", "complete": "false"}},
		{"broken off", nil, "2", map[string]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			write(t, filepath.Join(s.temp, "jsonl"), strings.Join(append(c.jsonl, ""), "\n"))
			write(t, filepath.Join(s.temp, "code"), c.code)
			write(t, filepath.Join(s.temp, "output"), "")
			if r := s.run(t); strconv.Itoa(r.code) != c.code {
				t.Errorf("exit code %d, want the program's own, %s\n%s", r.code, c.code, r.all())
			}
			got := map[string]string{}
			for _, line := range s.lines(t, "output") {
				name, value, _ := strings.Cut(line, "=")
				got[name] = value
			}
			for name, want := range c.want {
				if got[name] != want {
					t.Errorf("output %s is %q, want %q", name, got[name], want)
				}
			}
			if len(c.want) == 0 && got["findings"] != "" {
				t.Errorf("outputs of a run that reported nothing: %q", got)
			}
			if len(c.jsonl) > 0 && read(t, got["report-file"]) != "the report\n" {
				t.Error("report-file does not name the report")
			}
		})
	}
}

func TestActionSummary(t *testing.T) {
	t.Run("is appended", func(t *testing.T) {
		s := newStage(t)
		write(t, filepath.Join(s.temp, "summary"), "of an earlier line\n")
		s.run(t)
		if got := read(t, filepath.Join(s.temp, "summary")); got != "of an earlier line\nthe report\n" {
			t.Errorf("summary is %q", got)
		}
	})
	t.Run("tells of a fork", func(t *testing.T) {
		s := newStage(t)
		s.env["GITHUB_EVENT_NAME"], s.env["HEAD_REPOSITORY"] = "pull_request", "mallory/web"
		s.run(t)
		if got := read(t, filepath.Join(s.temp, "summary")); !strings.HasPrefix(got, "> Pull request from a fork:") {
			t.Errorf("summary is %q", got)
		}
	})
	t.Run("stays below what the runner keeps", func(t *testing.T) {
		s := newStage(t)
		write(t, filepath.Join(s.temp, "report"), strings.Repeat("x", 1<<20+1))
		s.run(t)
		if got := read(t, filepath.Join(s.temp, "summary")); len(got) > 1<<20 || !strings.Contains(got, "report-file") {
			t.Errorf("summary of %d bytes", len(got))
		}
	})
	t.Run("can be left out", func(t *testing.T) {
		s := newStage(t)
		s.env["INPUT_SUMMARY"] = "false"
		s.run(t)
		if _, err := os.Stat(filepath.Join(s.temp, "summary")); err == nil {
			t.Error("there is a summary")
		}
	})
}

// TestActionDefinition: what can go wrong in action.yml itself does so silently, so it is held to its rules here.
func TestActionDefinition(t *testing.T) {
	text := read(t, filepath.Join(root(t), "action.yml"))
	for _, line := range strings.Split(text, "\n") {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "run:") && strings.Contains(trimmed, "${{") {
			t.Errorf("an expression is pasted into a shell: %s", trimmed)
		}
		if strings.Contains(line, "uses:") {
			t.Errorf("a nested action: %s", line)
		}
	}
	for _, line := range strings.Split(read(t, filepath.Join(root(t), "action.sums")), "\n") {
		fields := strings.Fields(line)
		if line == "" || line[0] == '#' || len(fields) == 2 && fields[0] == "this" {
			continue
		}
		if len(fields) != 4 || len(fields[3]) != 64 {
			t.Errorf("action.sums: %q is not VERSION OS ARCH SHA256", line)
		}
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(root(t), "scripts/action.sh"))
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("scripts/action.sh cannot be executed: %v", err)
		}
	}
}
