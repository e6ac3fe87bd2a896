package job

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// sha is a commit that exists nowhere.
func sha() string { return random(40, "0123456789abcdef") }

// workerLog is what GitHub's runner writes down of a job.
func workerLog(permissions string, actions map[string]string) string {
	var b strings.Builder
	b.WriteString("[2026-11-27 08:00:00Z INFO Worker] Version: 2.336.0\n[2026-11-27 08:00:00Z INFO Worker] Job message:\n {\n  \"variables\": {\n    \"system.github.token\": {\n      \"value\": \"***\",\n      \"isSecret\": true\n    },\n")
	fmt.Fprintf(&b, "    \"system.github.token.permissions\": {\n      \"value\": %q\n    },\n    \"system.runnerGroupName\": {\n      \"value\": \"Default\"\n    }\n  }\n}\n", permissions)
	for repository, commit := range actions {
		fmt.Fprintf(&b, "[2026-11-27 08:00:01Z INFO ActionManager] Save archive 'https://codeload.github.com/%s/tar.gz/%s' into /x/y.tar.gz.\n", repository, commit)
	}
	return b.String()
}

// lacking skips a test on a machine without what it takes; in CI that is a failure.
func lacking(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("there are no %s here: %v", what, err)
	}
	t.Skipf("there are no %s here, as Linux and macOS have them: %v", what, err)
}

// TestSelfHosted is a runner of somebody's own, with all that it should not have.
func TestSelfHosted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are neither sockets nor sudo")
	}
	w := newWorld(t, map[string]string{
		"GITHUB_ACTIONS": "true", "RUNNER_ENVIRONMENT": "self-hosted", "RUNNER_NAME": "build-7", "RUNNER_TEMP": "/opt/runner/_work/_temp", "GITHUB_REPOSITORY": "acme/web",
		"GITHUB_WORKSPACE": "/opt/runner/_work/web/web",
	})
	floating, pinned := sha(), sha()
	w.file("/opt/runner/.runner", "\ufeff{\"agentName\": \"build-7\", \"ephemeral\": false}")
	w.file("/opt/runner/.credentials_rsaparams", "{}")
	w.file("/opt/runner/_diag/Worker_20261126-080000-utc.log", workerLog(`{"Contents":"write"}`, nil))
	w.file("/opt/runner/_diag/Worker_20261127-080000-utc.log", workerLog(`{"Contents":"read","PullRequests":"write","IdToken":"write"}`, map[string]string{"Acme-Tools/setup": floating}))
	w.file("/opt/runner/_diag/Runner_1.log", "")
	for _, dir := range []string{"web/web", "shop/shop", "_tool/node"} {
		w.file("/opt/runner/_work/"+dir+"/x", "")
	}
	w.file("/opt/runner/_work/_actions/acme-tools/setup/v1.completed", "")
	w.file("/opt/runner/_work/_actions/acme-tools/setup/v1/action.yml", "name: x\nruns:\n  using: 'node24' # later\n  main: index.js\n")
	w.file("/opt/runner/_work/_actions/acme-tools/setup/v1/node_modules/a/b/c.completed", "")
	w.file("/opt/runner/_work/_actions/other/scan/"+pinned+".completed", "")
	w.file("/opt/runner/_work/_actions/other/scan/"+pinned+"/action.yaml", "runs:\n  using: docker\n")
	w.file("/opt/runner/_work/_actions/acme/own/releases/v1.completed", "")
	w.file("/opt/runner/_work/_actions/_temp_1/x/y.completed", "")
	w.file("/.dockerenv", "")
	w.file("/proc/self/status", "Name:\tleakreach\nPPid:\t1\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n")
	w.file("/usr/bin/sudo", "#!/bin/sh\n[ -z \"$HOME$GITHUB_TOKEN\" ] || exit 9\n[ \"$1 $2\" = '-n -l' ] || exit 8\necho 'User runner may run the following commands on build-7:'\necho '    (ALL) NOPASSWD: ALL'\n")
	listen(t, w, "/var/run/docker.sock", func(net.Conn) {})
	l := w.list()
	l.has(audit.KindRunner, "build-7", map[string]string{
		"hosted": "false", "ephemeral": "false", "earlier_jobs": "1", "other_repositories": "shop", "registration_readable": "true", "group": "Default", "version": "2.336.0", "container": "docker",
		"privileged": "true", "capabilities": "dac_read_search,net_admin,sys_module,sys_rawio,sys_ptrace,sys_admin,sys_boot,perfmon,bpf", "seccomp": "off", "no_new_privileges": "false",
		"sudo": "true", "root": "false", "sockets": "/var/run/docker.sock",
	})
	l.has(audit.KindAction, "acme-tools/setup", map[string]string{"ref": "v1", "commit": floating, "using": "node24", "own": "false"})
	l.has(audit.KindAction, "other/scan", map[string]string{"ref": pinned, "commit": pinned, "using": "docker"})
	l.has(audit.KindAction, "acme/own", map[string]string{"ref": "releases/v1", "commit": "", "own": "true"})
	l.has(audit.KindToken, "GITHUB_TOKEN", map[string]string{"permissions": "contents=read,id-token=write,pull-requests=write"})
	if got := l.names(audit.KindAction); len(got) != 3 {
		t.Errorf("actions %q", got)
	}
}

// TestHosted: GitLab does not say whose a machine is, and gitlab-ci-local is on nobody's runner.
func TestHosted(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"true":  {"GITLAB_CI": "true", "CI_SERVER_HOST": "gitlab.com", "CI_RUNNER_TAGS": `["saas-linux-small-amd64"]`},
		"false": {"GITLAB_CI": "true", "CI_SERVER_HOST": "gitlab.example.com", "CI_RUNNER_TAGS": `["saas-linux-small-amd64"]`},
		"":      {"GITLAB_CI": "false", "CI_SERVER_HOST": "gitlab.example.com"},
	} {
		newWorld(t, vars).list().has(audit.KindRunner, "this machine", map[string]string{"hosted": want})
	}
}

// TestOwnUsers: root of a container with user ids of its own is not its machine's root.
func TestOwnUsers(t *testing.T) {
	for ids, privileged := range map[string]string{
		"         0          0 4294967295\n": "true", "         0     100000      65536\n": "false", "0 1000 1\n1 100000 65536\n": "false", "": "true",
	} {
		w := newWorld(t, map[string]string{"CI": "true"})
		w.file("/.dockerenv", "")
		w.file("/proc/self/status", "CapBnd:\t000001ffffffffff\n")
		w.file("/proc/self/uid_map", ids)
		w.list().has(audit.KindRunner, "this machine", map[string]string{"privileged": privileged})
	}
}

// TestAncestor: the runner is found by the program that started us, wherever jobs are checked out.
func TestAncestor(t *testing.T) {
	w := newWorld(t, map[string]string{"GITHUB_ACTIONS": "true", "RUNNER_TEMP": "/srv/jobs/_temp"})
	for process, above := range map[string]string{"self": "20", "20": "10", "10": "1"} {
		w.file("/proc/"+process+"/status", "PPid:\t"+above+"\n")
	}
	for process, exe := range map[string]string{"self": "/tmp/leakreach", "20": "/bin/bash", "10": "/home/runner/cached/bin/Runner.Worker"} {
		if err := os.Symlink(exe, filepath.Join(w.root, "proc", process, "exe")); err != nil {
			lacking(t, "symbolic links", err)
		}
	}
	w.file("/home/runner/cached/_diag/Worker_1.log", workerLog(`{"Metadata":"read"}`, nil))
	l := w.list()
	l.has(audit.KindToken, "GITHUB_TOKEN", map[string]string{"permissions": "metadata=read"})
	l.has(audit.KindRunner, "this machine", map[string]string{"earlier_jobs": "0", "registration_readable": "false"})
	w.file("/proc/10/status", "PPid:\t20\n") // a circle
	if err := os.Remove(filepath.Join(w.root, "proc/10/exe")); err != nil {
		t.Fatal(err)
	}
	w.list()
}

func TestKindsOfRunner(t *testing.T) {
	for name, c := range map[string]struct {
		vars, files, want map[string]string
	}{
		"GitHub's own":       {vars: map[string]string{"GITHUB_ACTIONS": "true", "RUNNER_ENVIRONMENT": "github-hosted"}, want: map[string]string{"hosted": "true", "ephemeral": "true"}},
		"ephemeral":          {vars: map[string]string{"GITHUB_ACTIONS": "true", "RUNNER_ENVIRONMENT": "self-hosted", "RUNNER_TEMP": "/r/_work/_temp"}, files: map[string]string{"/r/.runner": `{"ephemeral": true}`}, want: map[string]string{"hosted": "false", "ephemeral": "true"}},
		"one that says less": {vars: map[string]string{"GITHUB_ACTIONS": "true"}, want: map[string]string{"hosted": "", "ephemeral": "", "earlier_jobs": "", "registration_readable": ""}},
		"gitlab.com":         {vars: map[string]string{"GITLAB_CI": "true", "CI_SERVER_HOST": "gitlab.com", "CI_RUNNER_TAGS": `["saas-linux-small-amd64"]`, "CI_DISPOSABLE_ENVIRONMENT": "true"}, want: map[string]string{"hosted": "true", "ephemeral": "true", "labels": "saas-linux-small-amd64"}},
		"a shell of GitLab's": {vars: map[string]string{"GITLAB_CI": "true", "CI_SHARED_ENVIRONMENT": "true", "CI_RUNNER_TAGS": `["deploy","a,b"]`, "CI_RUNNER_VERSION": "18.5.0", "CI_PROJECT_PATH": "acme/web", "CI_PROJECT_DIR": "/builds/x1/0/acme/web"},
			files: map[string]string{"/builds/x1/0/acme/shop/a": "", "/builds/x1/0/acme/web/a": "", "/builds/x1/0/acme/web.tmp/a": "", "/builds/x1/0/evil/lib/a": ""},
			want:  map[string]string{"hosted": "false", "ephemeral": "false", "labels": "deploy", "version": "18.5.0", "other_repositories": "acme/shop,evil/lib"}},
		"Kubernetes":               {vars: map[string]string{"CI": "true", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, want: map[string]string{"container": "kubernetes", "privileged": ""}},
		"an ordinary one":          {files: map[string]string{"/proc/1/cgroup": "0::/docker/abc\n", "/proc/self/status": "CapBnd:\t00000000a80425fb\nSeccomp:\t2\nNoNewPrivs:\t1\n"}, want: map[string]string{"container": "docker", "privileged": "false", "capabilities": "", "seccomp": "filter", "no_new_privileges": "true"}},
		"a machine":                {files: map[string]string{"/proc/self/status": "CapBnd:\t000001ffffffffff\nSeccomp:\t0\n"}, want: map[string]string{"container": "false", "privileged": "", "capabilities": ""}},
		"sudo asks":                {files: map[string]string{"/usr/bin/sudo": "#!/bin/sh\nexit 1\n"}, want: map[string]string{"sudo": "false"}},
		"sudo hangs":               {files: map[string]string{"/usr/bin/sudo": "#!/bin/sh\nexec sleep 60\n"}, want: map[string]string{"sudo": ""}},
		"sudo talks":               {files: map[string]string{"/usr/bin/sudo": "#!/bin/sh\nyes | head -c 10000000\n"}, want: map[string]string{"sudo": "false"}},
		"no sudo":                  {want: map[string]string{"sudo": "false"}},
		"docker over an open line": {vars: map[string]string{"DOCKER_HOST": "tcp://127.0.0.1:1"}, want: map[string]string{"docker_host": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.vars)
			w.p.opts.Sources = audit.SourceRunners
			for path, text := range c.files {
				w.file(path, text)
			}
			l := w.list()
			if names := l.names(audit.KindRunner); len(names) != 1 {
				t.Fatalf("runners %q", names)
			}
			l.has(audit.KindRunner, l.names(audit.KindRunner)[0], c.want)
		})
	}
}

func TestDockerHost(t *testing.T) {
	at, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = at.Close() }()
	w := newWorld(t, map[string]string{"DOCKER_HOST": "tcp://" + at.Addr().String()})
	w.p.opts.Sources = audit.SourceRunners
	w.list().has(audit.KindRunner, "this machine", map[string]string{"docker_host": at.Addr().String()})
	w.vars["DOCKER_TLS_VERIFY"] = "1"
	w.list().has(audit.KindRunner, "this machine", map[string]string{"docker_host": ""})
}

// listen serves a socket on the world's disk. A socket's path has at most 108 bytes, which a test's directory may take.
func listen(t *testing.T, w *world, path string, serve func(net.Conn)) {
	t.Helper()
	short, err := os.MkdirTemp("", "lr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	if err := os.Rename(w.root, filepath.Join(short, "r")); err != nil {
		t.Fatal(err)
	}
	w.root = filepath.Join(short, "r")
	w.p.opts.Root = w.root
	at := filepath.Join(w.root, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at)
	if err != nil {
		lacking(t, "unix sockets", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// lengthy writes a string of the agent's protocol.
func lengthy(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }

func TestAgent(t *testing.T) {
	key := lengthy("ssh-ed25519") + lengthy(random(32, letters))
	for name, c := range map[string]struct {
		answer string
		keys   int
		gap    string
	}{
		"two keys":  {lengthy("\x0c\x00\x00\x00\x02" + lengthy(key) + lengthy("jane@build") + lengthy(key) + lengthy("")), 2, ""},
		"none":      {lengthy("\x0c\x00\x00\x00\x00"), 0, ""},
		"a liar":    {lengthy("\x0c\xff\xff\xff\xff" + lengthy(key) + lengthy("x")), 1, "not an agent's"},
		"a failure": {lengthy("\x05"), 0, "not an agent's"},
		"too much":  {"\x7f\xff\xff\xff", 0, "too long"},
		"short":     {"\x00\x00\x00\xff\x0c", 0, "EOF"},
		"no answer": {"", 0, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"SSH_AUTH_SOCK": "/agent"})
			w.p.opts.Sources = audit.SourceRunners
			listen(t, w, "/agent", func(conn net.Conn) {
				if asked := make([]byte, 5); true {
					if _, err := io.ReadFull(conn, asked); err != nil || string(asked) != "\x00\x00\x00\x01\x0b" {
						t.Errorf("asked %q, %v", asked, err)
					}
				}
				_, _ = io.WriteString(conn, c.answer)
			})
			l := w.list()
			var keys []map[string]string
			for _, it := range l.items {
				if it.Kind == audit.KindToken {
					keys = append(keys, it.Entry.Facts)
				}
			}
			if len(keys) != c.keys || len(keys) > 0 && (keys[0]["algorithm"] != "ssh-ed25519" || !strings.HasPrefix(keys[0]["fingerprint"], "SHA256:") || keys[0]["comment"] == "") {
				t.Errorf("keys %v", keys)
			}
			if gaps := strings.Join(l.gaps, "\n"); c.gap == "" && gaps != "" || !strings.Contains(gaps, c.gap) {
				t.Errorf("gaps %q, want %q", gaps, c.gap)
			}
		})
	}
}

func FuzzAgent(f *testing.F) {
	f.Add([]byte("\x0c\x00\x00\x00\x01" + lengthy(lengthy("ssh-rsa")) + lengthy("c")))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if keys, _ := agentKeys(answer); len(keys) > len(answer)/8 {
			t.Errorf("%d keys in %d bytes", len(keys), len(answer))
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(workerLog(`{"Contents":"read"}`, map[string]string{"a/b": sha()})))
	f.Fuzz(func(t *testing.T, log []byte) {
		var r record
		r.read(log)
		for _, p := range r.permissions {
			if !strings.Contains(p, "=") {
				t.Errorf("%q", p)
			}
		}
		statusOf(log)
	})
}

// BenchmarkItems lists a job with as many variables and files as those of hosted runners have, and nobody who answers.
func BenchmarkItems(b *testing.B) {
	w := newWorld(b, map[string]string{"GITHUB_ACTIONS": "true", "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_TEMP": "/home/runner/work/_temp", "GITHUB_WORKSPACE": "/home/runner/work/web/web"})
	for i := range 150 {
		w.vars[fmt.Sprintf("VARIABLE_%d", i)] = random(40, letters)
	}
	for i := range 50 {
		w.file(fmt.Sprintf("/home/runner/work/_temp/%d.sh", i), random(2000, letters))
		w.file(fmt.Sprintf("/home/runner/work/_actions/acme/tool-%d/v1.completed", i), "")
	}
	for b.Loop() {
		for it, err := range w.p.Items(b.Context(), audit.Target{Name: "job:"}) {
			if err == nil && it.Open != nil {
				if rc, err := it.Open(b.Context()); err == nil {
					_, _ = io.Copy(io.Discard, rc)
					_ = rc.Close()
				}
			}
		}
	}
}

// TestOutputIsBounded copies as os/exec does, which prefers a ReadFrom to Write.
func TestOutputIsBounded(t *testing.T) {
	var out limited
	n, err := io.Copy(&out, io.LimitReader(endless{}, 4*maxSmall))
	if err != nil || n != 4*maxSmall || len(out.String()) != maxSmall {
		t.Errorf("%d bytes taken, %d kept, %v", n, len(out.String()), err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestActionsAfterPatience: a disk full of directories is one gap, not one for each.
func TestActionsAfterPatience(t *testing.T) {
	w := newWorld(t, map[string]string{"GITHUB_ACTIONS": "true", "RUNNER_TEMP": "/w/_temp"})
	for _, repository := range []string{"a/x", "a/y", "b/z"} {
		w.file("/w/_actions/"+repository+"/v1/action.yml", "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := w.p.job().actions(ctx); len(f.gaps) != 1 || len(f.items) != 0 {
		t.Errorf("%d gaps, %d items", len(f.gaps), len(f.items))
	}
}
