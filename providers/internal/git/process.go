package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/leakreach/leakreach/audit"
)

// ErrNoGit says that the git program is not installed.
var ErrNoGit = errors.New("git is not installed")

// program is where git is installed, or "". Starting it then ends in [ErrNoGit].
func program() string {
	path, err := exec.LookPath("git")
	if err != nil {
		return ""
	}
	return path
}

// environment is all that a git process gets to see. Nothing of the caller's GIT_* variables and configuration files, nor a
// home directory, reaches it: what it does depends on our own arguments alone.
func environment(git, home string, more ...string) []string {
	return append([]string{
		"PATH=" + filepath.Dir(git) + string(filepath.ListSeparator) + "/usr/bin" + string(filepath.ListSeparator) + "/bin", // for git's own helpers
		"HOME=" + home, "XDG_CONFIG_HOME=" + home,
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE=" + os.DevNull, "GIT_NO_LAZY_FETCH=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
	}, more...)
}

// A process is a running git.
type process struct {
	cmd *exec.Cmd
	out *bufio.Reader // its standard output
	err *tail

	ended bool
}

// start runs git on the shadow repository. stdin may be nil; as a file it costs no goroutine.
func (r *Repository) start(ctx context.Context, stdin *os.File, args ...string) (*process, error) {
	return r.startEnv(ctx, nil, stdin, args...)
}

// startEnv is start with further variables in the environment.
func (r *Repository) startEnv(ctx context.Context, env []string, stdin *os.File, args ...string) (*process, error) {
	return launch(ctx, r.git, r.shadow, env, stdin, append([]string{"--git-dir=" + r.shadow}, args...))
}

// launch starts git in a directory of our own.
func launch(ctx context.Context, git, dir string, env []string, stdin *os.File, args []string) (*process, error) {
	if git == "" {
		return nil, audit.Hint(ErrNoGit, "install git (https://git-scm.com)")
	}
	cmd := exec.CommandContext(ctx, git, append([]string{"--no-pager"}, args...)...)
	cmd.Dir = dir
	cmd.Env = environment(git, dir, env...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	p := &process{cmd: cmd, err: &tail{}}
	cmd.Stderr = p.err
	contain(cmd)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting git: %w", err)
	}
	p.out = bufio.NewReaderSize(pipe, 256<<10)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting git: %w", err)
	}
	return p, nil
}

// wait reaps a process whose output was read to its end. The error holds what git said.
func (p *process) wait() error {
	err := p.cmd.Wait()
	p.ended = true
	if err == nil {
		return nil
	}
	if said := p.err.String(); said != "" {
		return fmt.Errorf("git %s: %s", p.verb(), said)
	}
	return fmt.Errorf("git %s: %w", p.verb(), err)
}

// verb is the subcommand, for messages.
func (p *process) verb() string {
	for i, a := range p.cmd.Args {
		if i > 0 && !strings.HasPrefix(a, "-") && p.cmd.Args[i-1] != "-C" {
			return a
		}
	}
	return ""
}

// stop ends a process that is not needed any more. It does nothing to one that was waited for: its id may be another's by now.
func (p *process) stop() {
	if p.ended {
		return
	}
	p.ended = true
	_ = p.cmd.Cancel() // it may have ended by itself
	_ = p.cmd.Wait()
}

// readAll reads to the end, which must come within limit bytes.
func readAll(in io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, err
}

// grace is how long a killed process may keep its pipes open before they are closed over its head.
const grace = 100 * time.Millisecond

// tail keeps the end of what git says on standard error: its last words name the cause.
type tail struct{ b []byte }

const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > maxTail {
		p = p[len(p)-maxTail:]
	}
	if over := len(t.b) + len(p) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	t.b = append(t.b, p...)
	return n, nil
}

// String is the last line that says something, without anything that could act on a terminal. It must not be called before
// the process was waited for.
func (t *tail) String() string {
	lines := bytes.FieldsFunc(t.b, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if s := printable(string(bytes.TrimSpace(lines[i]))); s != "" {
			return s
		}
	}
	return ""
}

// printable makes hostile text fit for a message: valid UTF-8, no control characters, bounded.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}
