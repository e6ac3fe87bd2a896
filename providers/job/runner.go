package job

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// runner describes the machine that the job runs on, and what keeps it apart from other jobs.
func (j *job) runner(ctx context.Context) (f found) {
	container := j.container()
	of := facts{
		"os": runtime.GOOS, "arch": runtime.GOARCH, "hosted": j.hosted(), "labels": audit.NameList(j.labels()),
		"group": j.worker().group, "version": cmp.Or(j.worker().version, j.vars["CI_RUNNER_VERSION"]), "ephemeral": j.ephemeral(), "container": cmp.Or(container, "false"),
		"other_repositories": audit.NameList(j.neighbours()), "sockets": audit.NameList(j.sockets(ctx)), "registration_readable": j.registration(),
	}
	if runtime.GOOS != "linux" && j.root == "" {
		of["container"] = "" // nothing here tells
	}
	if n := j.worker().earlier; n >= 0 {
		of["earlier_jobs"] = strconv.Itoa(n)
	}
	if j.user >= 0 {
		of["root"] = yesNo(j.user == 0)
	}
	if s := statusOf(j.small("/proc/self/status")); s != nil {
		of["seccomp"] = map[string]string{"0": "off", "1": "strict", "2": "filter"}[s["Seccomp"]]
		of["no_new_privileges"] = map[string]string{"0": "false", "1": "true"}[s["NoNewPrivs"]]
		if caps, err := strconv.ParseUint(s["CapBnd"], 16, 64); err == nil && container != "" {
			of["privileged"], of["capabilities"] = yesNo(caps&(1<<capSysAdmin) != 0 && !j.ownUsers()), audit.NameList(dangerous(caps))
		}
	}
	of["sudo"] = j.sudo(ctx)
	of["docker_host"] = j.dockerHost(ctx)
	f.entry(audit.KindRunner, cmp.Or(j.vars["RUNNER_NAME"], j.vars["CI_RUNNER_DESCRIPTION"], "this machine"), audit.InRunner, of)
	return f
}

// hosted tells whether the machine is the forge's own. GitLab does not say so: its runners are known by their tags.
func (j *job) hosted() string {
	switch {
	case j.vars["RUNNER_ENVIRONMENT"] != "":
		return yesNo(j.vars["RUNNER_ENVIRONMENT"] == "github-hosted")
	case j.system == systemGitLab && j.vars["CI_SERVER_HOST"] == "gitlab.com":
		return yesNo(slices.ContainsFunc(j.labels(), func(tag string) bool { return strings.HasPrefix(tag, "saas-") }))
	case j.system == systemGitLab && j.vars["GITLAB_CI"] == "false": // gitlab-ci-local, on somebody's own machine
		return ""
	case j.system == systemGitLab || j.system == systemGitea:
		return "false"
	}
	return ""
}

// labels are those by which the job was given to the runner; GitHub does not tell them to it.
func (j *job) labels() (tags []string) {
	if json.Unmarshal([]byte(j.vars["CI_RUNNER_TAGS"]), &tags) != nil {
		return nil
	}
	return tags
}

// ephemeral tells whether the machine, or the container that the job runs in, ends with it.
func (j *job) ephemeral() string {
	switch {
	case j.hosted() == "true":
		return "true"
	case j.yes("CI_SHARED_ENVIRONMENT"):
		return "false"
	case j.yes("CI_DISPOSABLE_ENVIRONMENT"):
		return "true"
	}
	var settings struct{ Ephemeral *bool }
	text := bytes.TrimPrefix(j.small(join(j.runnerRoot(), ".runner")), []byte("\xef\xbb\xbf"))
	if json.Unmarshal(text, &settings) != nil {
		return ""
	}
	return yesNo(settings.Ephemeral != nil && *settings.Ephemeral)
}

// registration tells whether the job may read what the runner proves itself to GitHub with: it could then be another runner.
func (j *job) registration() string {
	root := j.runnerRoot()
	if root == "" {
		return ""
	}
	file, err := j.open(join(root, ".credentials_rsaparams"))
	if err != nil {
		return "false"
	}
	_ = file.Close()
	return "true"
}

// join puts a name below a directory; "" below none.
func join(dir string, names ...string) string {
	if dir == "" {
		return ""
	}
	return path.Join(append([]string{dir}, names...)...)
}

// maxAncestors bounds how far up the process tree the runner is looked for: between it and a step are a shell or two, and a container's first process.
const maxAncestors = 32

// runnerRoot is the directory of GitHub's runner: the program of one of our ancestors lies in it, or the directory in which jobs are checked out.
func (j *job) runnerRoot() string {
	process := "self"
	for range maxAncestors {
		if exe, err := os.Readlink(j.real("/proc/" + process + "/exe")); err == nil {
			if name := path.Base(exe); name == "Runner.Worker" || name == "Runner.Listener" {
				return path.Dir(path.Dir(exe))
			}
		}
		above := statusOf(j.small("/proc/" + process + "/status"))["PPid"]
		if _, err := strconv.Atoi(above); err != nil || above == "0" {
			break
		}
		process = above
	}
	if j.system != systemGitHub || j.work == "" {
		return ""
	}
	root := parent(j.work)
	if _, err := j.regular(join(root, ".runner")); err != nil {
		return ""
	}
	return root
}

// statusOf reads what the kernel says of a process; nil where there is no such thing.
func statusOf(text []byte) map[string]string {
	var all map[string]string
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			if all == nil {
				all = map[string]string{}
			}
			all[key] = strings.TrimSpace(value)
		}
	}
	return all
}

// container names what the job runs in: docker, podman, kubernetes, or another one; "" for none that shows.
func (j *job) container() string {
	if j.vars["KUBERNETES_SERVICE_HOST"] != "" {
		return "kubernetes"
	}
	if _, err := j.regular("/run/.containerenv"); err == nil {
		return "podman"
	}
	if _, err := j.regular("/.dockerenv"); err == nil {
		return "docker"
	}
	if kind := j.vars["container"]; kind != "" { // that of systemd
		return kind
	}
	groups := j.small("/proc/1/cgroup")
	for _, kind := range []string{"kubepods", "docker", "containerd", "lxc"} {
		if bytes.Contains(groups, []byte("/"+kind)) {
			return kind
		}
	}
	return ""
}

// capSysAdmin is the one with which a container is none: it mounts the machine's disk.
const capSysAdmin = 21

// strong are those of capabilities(7) by which a process gets out of a container or at others; container engines give none of them by default.
var strong = map[uint]string{2: "dac_read_search", 12: "net_admin", 16: "sys_module", 17: "sys_rawio", 19: "sys_ptrace", capSysAdmin: "sys_admin", 22: "sys_boot", 38: "perfmon", 39: "bpf"}

func dangerous(caps uint64) (names []string) {
	for bit := range uint(64) {
		if caps&(1<<bit) != 0 && strong[bit] != "" {
			names = append(names, strong[bit])
		}
	}
	return names
}

// ownUsers tells whether the container has user ids of its own, as those of unprivileged LXC, sysbox and rootless engines do: its root then is nobody on the
// machine, whatever its capabilities are called (user_namespaces(7)). All ids of the machine are one range, from 0 to 0.
func (j *job) ownUsers() bool {
	ids := strings.Fields(string(j.small("/proc/self/uid_map")))
	return len(ids) > 0 && !slices.Equal(ids, []string{"0", "0", "4294967295"})
}

// engines are where container engines listen; whoever may connect is root on their machine.
var engines = []string{
	"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/buildkit/buildkitd.sock",
}

// sockets are those of container engines that take a connection. Nothing is sent.
func (j *job) sockets(ctx context.Context) (open []string) {
	all := slices.Clone(engines)
	if dir := j.path("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, join(dir, "docker.sock"), join(dir, "podman/podman.sock"))
	}
	if at, ok := strings.CutPrefix(j.vars["DOCKER_HOST"], "unix://"); ok {
		all = append(all, local(at))
	}
	may := make([]bool, len(all))
	var wait sync.WaitGroup
	for i, at := range all {
		if at != "" {
			wait.Go(func() { may[i] = connects(ctx, "unix", j.real(at)) })
		}
	}
	wait.Wait()
	for i, at := range all {
		if may[i] && !slices.Contains(open, at) && !(at == "/run/docker.sock" && may[0]) { // one is a link to the other's directory
			open = append(open, at)
		}
	}
	return open
}

func connects(ctx context.Context, network, address string) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// dockerHost is an engine that listens on the network, such as GitLab's service docker:dind, if it takes a connection without TLS.
func (j *job) dockerHost(ctx context.Context) string {
	u, err := url.Parse(j.vars["DOCKER_HOST"])
	if err != nil || u.Scheme != "tcp" || j.vars["DOCKER_TLS_VERIFY"] != "" || j.vars["DOCKER_TLS"] != "" {
		return ""
	}
	if !connects(ctx, "tcp", u.Host) {
		return ""
	}
	return u.Host
}

// sudo tells whether the job may become root without a password: by what sudo itself lists, run without any of our environment.
func (j *job) sudo(ctx context.Context) string {
	if j.user <= 0 {
		return "" // root already, or there is no such thing
	}
	for _, at := range []string{"/usr/bin/sudo", "/usr/local/bin/sudo", "/bin/sudo"} {
		if _, err := j.regular(at); err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, j.real(at), "-n", "-l")
		cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
		cmd.WaitDelay = 100 * time.Millisecond // what it started may keep the pipe open
		var out limited
		cmd.Stdout = &out
		if err := cmd.Run(); ctx.Err() != nil {
			return ""
		} else if err != nil {
			return "false" // it would have asked for a password
		}
		return yesNo(strings.Contains(out.String(), "NOPASSWD:"))
	}
	return "false"
}

// limited keeps the first bytes of an output. The buffer is no embedded one, whose ReadFrom would be taken instead of Write, and has no bound.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if room := maxSmall - l.kept.Len(); room > 0 {
		l.kept.Write(b[:min(len(b), room)])
	}
	return len(b), nil
}

func (l *limited) String() string { return l.kept.String() }

// neighbours are other repositories whose checkouts an earlier job left beside ours.
func (j *job) neighbours() (names []string) {
	if own := parent(j.path("GITHUB_WORKSPACE")); j.work != "" && parent(own) == j.work { // as GitHub's runner has it
		for _, dir := range j.directories(j.work) {
			if dir != path.Base(own) && !strings.HasPrefix(dir, "_") {
				names = append(names, dir)
			}
		}
		return names
	}
	project := j.vars["CI_PROJECT_PATH"]
	base, ok := strings.CutSuffix(j.path("CI_PROJECT_DIR"), "/"+project)
	if !ok || project == "" || base == "" {
		return nil
	}
	for _, group := range j.directories(base) {
		for _, dir := range j.directories(join(base, group)) {
			if at := group + "/" + dir; at != project && !strings.HasPrefix(project, at+"/") && !strings.HasSuffix(at, ".tmp") {
				names = append(names, at)
			}
		}
	}
	return names
}

// A record is what GitHub's runner writes down about the jobs that it does.
type record struct {
	permissions    []string // of the job's token: "contents=read"
	group, version string
	earlier        int                 // jobs before this one; -1 if that is not known
	commits        map[string][]string // of actions that were fetched, by repository
}

// maxRecord is how much is read of a job's record. What is looked for is in the message that a job begins with, and where its actions are fetched.
const maxRecord = 4 << 20

var (
	permissionsOf = lazyregexp.New(`"system\.github\.token\.permissions":\s*\{\s*"value":\s*("(?:[^"\\]|\\.)+")`)
	groupOf       = lazyregexp.New(`"system\.runnerGroupName":\s*\{\s*"value":\s*("(?:[^"\\]|\\.)+")`)
	versionOf     = lazyregexp.New(`(?m)^\[[0-9 :Z-]+ INFO Worker\] Version: ([0-9.]+)\r?$`)
	fetchedFrom   = lazyregexp.New(`(?m)^\[[0-9 :Z-]+ INFO ActionManager\] Save archive 'https?://[^'\s]+?/([\w.-]+/[\w.-]+)/(?:tar\.gz|zip|legacy\.tar\.gz|legacy\.zip|tarball|zipball)/([0-9a-f]{40})'`)
)

// readWorker reads the record of this job: the newest that the runner has.
func (j *job) readWorker() record {
	r := record{earlier: -1}
	dir := join(j.runnerRoot(), "_diag")
	if dir == "" {
		return r
	}
	newest := ""
	entries, err := j.list(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "Worker_") && strings.HasSuffix(e.Name(), ".log") {
			newest = e.Name() // their names are the times at which they were begun
			r.earlier++
		}
	}
	if newest == "" || err != nil { // of more than can be listed, which one is the newest is not known
		return r
	}
	text, err := j.read(join(dir, newest), maxRecord)
	if err == nil {
		r.read(text)
	}
	return r
}

func (r *record) read(text []byte) {
	var value string
	if m := permissionsOf().FindSubmatch(text); m != nil && json.Unmarshal(m[1], &value) == nil {
		var rights map[string]string
		if json.Unmarshal([]byte(value), &rights) == nil {
			for right, level := range rights {
				r.permissions = append(r.permissions, kebab(right)+"="+strings.ToLower(level))
			}
			slices.Sort(r.permissions)
		}
	}
	if m := groupOf().FindSubmatch(text); m != nil {
		_ = json.Unmarshal(m[1], &r.group)
	}
	if m := versionOf().FindSubmatch(text); m != nil {
		r.version = string(m[1])
	}
	for _, m := range fetchedFrom().FindAllSubmatch(text, maxEntries) {
		repository, commit := strings.ToLower(string(m[1])), string(m[2])
		if r.commits == nil {
			r.commits = map[string][]string{}
		}
		if !slices.Contains(r.commits[repository], commit) {
			r.commits[repository] = append(r.commits[repository], commit)
		}
	}
}

// kebab writes PullRequests as definitions do: pull-requests.
func kebab(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
