package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

func TestFiles(t *testing.T) {
	w := newWorld(t, map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_TEMP": "/opt/runner/_work/_temp", "GITHUB_WORKSPACE": "/opt/runner/_work/web/web", "GITHUB_ENV": "/opt/runner/_work/_temp/_runner_file_commands/set_env_1",
		"KUBECONFIG": "/kube/a:/kube/b", "DOCKER_CONFIG": "/docker", "XDG_CONFIG_HOME": "/xdg", "CI_PROJECT_DIR": "/builds/acme/web", "NETRC": "relative/netrc", "GOOGLE_APPLICATION_CREDENTIALS": "/gone.json",
	})
	want := []string{
		"/home/runner/.aws/credentials", "/home/runner/.aws/cli/cache/1.json", "/home/runner/.aws/sso/cache/2.json", "/home/runner/.ssh/id_ed25519", "/home/runner/.m2/settings.xml",
		"/home/runner/.config/gcloud/legacy_credentials/jane@example.com/adc.json", "/xdg/gh/hosts.yml", "/docker/config.json", "/kube/a", "/kube/b",
		"/opt/runner/_work/_temp/_runner_file_commands/set_env_1", "/opt/runner/_work/_temp/script.sh", "/opt/runner/_work/_temp/git-credentials-1.config", "/opt/runner/_work/web/web/.git/config",
		"/opt/runner/_work/web/web/.git/modules/lib/config", "/opt/runner/_work/web/web/gha-creds-1.json", "/opt/runner/.runner", "/opt/runner/.credentials_rsaparams", "/opt/runner/_diag/Worker_1.log",
		"/builds/acme/web.tmp/DEPLOY_KEY", "/elsewhere/included", "/home/runner/own-include",
	}
	for _, path := range want {
		w.file(path, "text of "+path)
	}
	w.file("/opt/runner/_work/web/web/.git/config", "[core]\n\tpath = /not/included\n[includeIf \"gitdir:/opt/runner/_work/web/web/.git\"]\n\tpath = /opt/runner/_work/_temp/git-credentials-1.config\n[include]\n\tPATH=\"/elsewhere/included\"\n\tpath = ~/own-include\n\tpath = config\n")
	for _, other := range []string{"/not/included", "/home/runner/.aws/models/x.json", "/home/runner/code/main.go", "/opt/runner/_work/web/web/main.go", "/opt/runner/_work/_temp/leakreach.1/leakreach", "/relative/netrc"} {
		w.file(other, "x")
	}
	l := w.list()
	got := sorted(l.names(audit.KindFile))
	if want = sorted(want); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, it := range l.items {
		if it.Kind == audit.KindFile && !strings.HasSuffix(it.At.Path, ".git/config") && content(t, it) != "text of "+it.At.Path {
			t.Errorf("%s holds another text", it.At.Path)
		}
	}
	if strings.Contains(strings.Join(l.gaps, "\n"), "/gone.json") {
		t.Errorf("gaps %q", l.gaps)
	}
	l.has(audit.KindFile, "/home/runner/.aws/credentials", map[string]string{"of": "aws", "mode": "0755", "size": fmt.Sprint(len("text of /home/runner/.aws/credentials"))})
}

// TestContainerHome: GitHub gives a container's job a home of its own; what the image has lies in that of the user database.
func TestContainerHome(t *testing.T) {
	w := newWorld(t, map[string]string{"HOME": "/github/home"})
	w.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1001::/home/app:/bin/sh\nbroken\n")
	w.file("/home/app/.netrc", "x")
	w.file("/github/home/.npmrc", "x")
	w.file("/root/.npmrc", "x")
	if got := strings.Join(sorted(w.list().names(audit.KindFile)), " "); got != "/github/home/.npmrc /home/app/.netrc" {
		t.Error(got)
	}
}

// TestShortTokens: a file that is nothing but a token counts if the token lasts.
func TestShortTokens(t *testing.T) {
	w := newWorld(t, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/short", "AZURE_FEDERATED_TOKEN_FILE": "/long"})
	w.file("/short", webToken(map[string]any{"sub": "s", "exp": now.Add(time.Hour).Unix()})+"\n")
	w.file("/long", webToken(map[string]any{"sub": "s"}))
	for _, it := range w.list().items {
		if it.Kind == audit.KindFile && (it.Known != nil) != (it.At.Path == "/short") {
			t.Errorf("%s: %v", it.At.Path, it.Known)
		}
	}
}

func TestManyFiles(t *testing.T) {
	w := newWorld(t, map[string]string{"RUNNER_TEMP": "/temp", "CI_PROJECT_DIR": "/b/p"})
	for _, dir := range []string{"/temp", "/temp/_runner_file_commands", "/b/p.tmp", "/home/runner/.ssh"} {
		for i := range maxEntries {
			w.file(fmt.Sprintf("%s/%d", dir, i), "")
		}
	}
	l := w.list()
	if n := len(l.names(audit.KindFile)); n != maxFiles || !slices.ContainsFunc(l.gaps, func(g string) bool { return strings.HasPrefix(g, "files: more than") }) {
		t.Errorf("%d files, gaps %q", n, l.gaps)
	}
}

func FuzzIncluded(f *testing.F) {
	f.Add([]byte("[include]\npath = a\n[includeIf \"x\"]\n\tpath=\"b\"\n"))
	f.Fuzz(func(t *testing.T, config []byte) {
		paths := included(config)
		if len(paths) > maxIncluded {
			t.Errorf("%d paths", len(paths))
		}
		for _, p := range paths {
			if p == "" || strings.ContainsAny(p, "\x00\n") {
				t.Errorf("%q", p)
			}
		}
	})
}
