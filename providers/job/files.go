package job

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A spot is where a tool keeps credentials. "~" is each home, and "~/.config" also what takes its place; "*" is any name in a directory.
type spot struct {
	of   string
	path string
}

// spots are those of tools that jobs use. What each has, the scanners know.
var spots = []spot{
	{"aws", "~/.aws/credentials"}, {"aws", "~/.aws/config"}, {"aws", "~/.aws/cli/cache/*.json"}, {"aws", "~/.aws/sso/cache/*.json"}, {"aws", "~/.aws/boto/cache/*.json"},
	{"aws", "~/.boto"}, {"aws", "~/.s3cfg"}, {"aws", "~/.config/rclone/rclone.conf"}, {"aws", "~/.passwd-s3fs"},
	{"gcloud", "~/.config/gcloud/application_default_credentials.json"}, {"gcloud", "~/.config/gcloud/credentials.db"}, {"gcloud", "~/.config/gcloud/access_tokens.db"},
	{"gcloud", "~/.config/gcloud/legacy_credentials/*/adc.json"}, {"gcloud", "~/.config/gcloud/configurations/*"},
	{"azure", "~/.azure/msal_token_cache.json"}, {"azure", "~/.azure/accessTokens.json"}, {"azure", "~/.azure/service_principal_entries.json"},
	{"azure", "~/.azure/azureProfile.json"}, {"azure", "~/.azure/config"}, {"azure", "~/.azure/credentials"},
	{"docker", "~/.docker/config.json"}, {"docker", "~/.dockercfg"}, {"docker", "~/.config/containers/auth.json"},
	{"kubernetes", "~/.kube/config"}, {"kubernetes", "~/.kube/*.config"}, {"helm", "~/.config/helm/registry/config.json"}, {"helm", "~/.config/helm/repositories.yaml"},
	{"terraform", "~/.terraformrc"}, {"terraform", "~/.terraform.d/credentials.tfrc.json"}, {"pulumi", "~/.pulumi/credentials.json"}, {"vault", "~/.vault-token"},
	{"npm", "~/.npmrc"}, {"npm", "~/.yarnrc"}, {"npm", "~/.yarnrc.yml"}, {"pip", "~/.pypirc"}, {"pip", "~/.pip/pip.conf"}, {"pip", "~/.config/pip/pip.conf"},
	{"pip", "~/.config/pypoetry/auth.toml"}, {"maven", "~/.m2/settings.xml"}, {"maven", "~/.m2/settings-security.xml"}, {"gradle", "~/.gradle/gradle.properties"},
	{"gradle", "~/.gradle/init.d/*"}, {"cargo", "~/.cargo/credentials"}, {"cargo", "~/.cargo/credentials.toml"}, {"gem", "~/.gem/credentials"}, {"gem", "~/.bundle/config"},
	{"composer", "~/.composer/auth.json"}, {"composer", "~/.config/composer/auth.json"}, {"nuget", "~/.nuget/NuGet/NuGet.Config"}, {"nuget", "~/.config/NuGet/NuGet.Config"},
	{"git", "~/.gitconfig"}, {"git", "~/.git-credentials"}, {"git", "~/.config/git/config"}, {"git", "~/.config/git/credentials"},
	{"forge", "~/.config/gh/hosts.yml"}, {"forge", "~/.config/glab-cli/config.yml"}, {"forge", "~/.config/hub"}, {"forge", "~/.config/tea/config.yml"},
	{"netrc", "~/.netrc"}, {"netrc", "~/_netrc"}, {"curl", "~/.curlrc"}, {"curl", "~/.wgetrc"},
	{"ssh", "~/.ssh/*"}, {"gnupg", "~/.gnupg/private-keys-v1.d/*"}, {"gnupg", "~/.gnupg/secring.gpg"},
	{"database", "~/.pgpass"}, {"database", "~/.my.cnf"}, {"database", "~/.mylogin.cnf"}, {"database", "~/.databrickscfg"}, {"database", "~/.snowsql/config"},
	{"ansible", "~/.ansible.cfg"}, {"ansible", "~/.vault_pass*"}, {"sentry", "~/.sentryclirc"}, {"heroku", "~/.config/heroku/*"}, {"fly", "~/.fly/config.yml"},
	{"shell", "~/.bash_history"}, {"shell", "~/.zsh_history"}, {"shell", "~/.bashrc"}, {"shell", "~/.bash_profile"}, {"shell", "~/.profile"}, {"shell", "~/.zshrc"},
	{"shell", "~/.python_history"}, {"shell", "~/.psql_history"}, {"shell", "~/.env"},
	{"kubernetes", "/var/run/secrets/kubernetes.io/serviceaccount/token"}, {"kubernetes", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
	{"docker", "/kaniko/.docker/config.json"}, {"pip", "/etc/pip.conf"}, {"npm", "/usr/local/etc/npmrc"}, {"git", "/etc/gitconfig"}, {"docker", "/etc/containers/auth.json"},
	{"secrets", "/run/secrets/*"},
}

// A pointer is a variable that says where a tool keeps credentials: a file, or a directory with one of some name. It may name several.
type pointer struct{ of, variable, below string }

var pointers = []pointer{
	{"aws", "AWS_SHARED_CREDENTIALS_FILE", ""}, {"aws", "AWS_CONFIG_FILE", ""}, {"aws", "AWS_WEB_IDENTITY_TOKEN_FILE", ""}, {"aws", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""},
	{"aws", "BOTO_CONFIG", ""}, {"gcloud", "GOOGLE_APPLICATION_CREDENTIALS", ""}, {"gcloud", "GOOGLE_GHA_CREDS_PATH", ""}, {"gcloud", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", ""},
	{"gcloud", "CLOUDSDK_CONFIG", "application_default_credentials.json"}, {"gcloud", "CLOUDSDK_CONFIG", "credentials.db"}, {"gcloud", "CLOUDSDK_CONFIG", "access_tokens.db"},
	{"azure", "AZURE_CONFIG_DIR", "msal_token_cache.json"}, {"azure", "AZURE_CONFIG_DIR", "service_principal_entries.json"}, {"azure", "AZURE_FEDERATED_TOKEN_FILE", ""},
	{"azure", "AZURE_CLIENT_CERTIFICATE_PATH", ""}, {"docker", "DOCKER_CONFIG", "config.json"}, {"docker", "REGISTRY_AUTH_FILE", ""}, {"docker", "XDG_RUNTIME_DIR", "containers/auth.json"},
	{"kubernetes", "KUBECONFIG", ""}, {"terraform", "TF_CLI_CONFIG_FILE", ""}, {"npm", "NPM_CONFIG_USERCONFIG", ""}, {"npm", "npm_config_userconfig", ""}, {"pip", "PIP_CONFIG_FILE", ""},
	{"gradle", "GRADLE_USER_HOME", "gradle.properties"}, {"cargo", "CARGO_HOME", "credentials.toml"}, {"composer", "COMPOSER_HOME", "auth.json"}, {"netrc", "NETRC", ""},
	{"git", "GIT_CONFIG_GLOBAL", ""}, {"git", "GIT_CONFIG_SYSTEM", ""}, {"forge", "GH_CONFIG_DIR", "hosts.yml"}, {"ansible", "ANSIBLE_VAULT_PASSWORD_FILE", ""}, {"pgpass", "PGPASSFILE", ""},
	{"vault", "VAULT_TOKEN_FILE", ""}, {"leakreach", "LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE", ""},
	{"step", "GITHUB_ENV", ""}, {"step", "GITHUB_OUTPUT", ""}, {"step", "GITHUB_STATE", ""}, {"step", "GITHUB_PATH", ""}, {"step", "GITHUB_STEP_SUMMARY", ""}, {"step", "GITHUB_EVENT_PATH", ""},
	{"step", "BASH_ENV", ""}, {"checkout", "GITHUB_WORKSPACE", ".npmrc"}, {"checkout", "CI_PROJECT_DIR", ".npmrc"}, {"gcloud", "GITHUB_WORKSPACE", "gha-creds-*.json"},
}

// maxFiles bounds a listing: of what was looked for there are dozens, and who leaves thousands wants it to take long.
const maxFiles = 5000

// files yields what is at the spots, and what the runner has for the job.
func (j *job) files(ctx context.Context) found {
	l := &shelf{job: j, ctx: ctx, seen: map[string]bool{}}
	for _, s := range spots {
		for _, at := range j.below(s.path) {
			l.match(s.of, at)
		}
	}
	for _, p := range pointers {
		for _, at := range filepath.SplitList(j.vars[p.variable]) { // KUBECONFIG has several
			if at = local(at); at != "" {
				l.match(p.of, join(at, p.below))
			}
		}
	}
	for _, dir := range []string{j.path("GITHUB_WORKSPACE"), j.path("CI_PROJECT_DIR")} {
		l.git(join(dir, ".git/config"), 0)
		l.match("git", join(dir, ".git/config.worktree"))
		l.match("git", join(dir, ".git/modules/*/config"))
	}
	for _, home := range j.homes {
		l.git(join(home, ".gitconfig"), 0)
	}
	// The runner's own: scripts of steps, into which secrets were written; credentials that newer checkouts keep beside the repository; what a
	// container job has for a home.
	temp := j.path("RUNNER_TEMP")
	for _, below := range []string{"*", "_runner_file_commands/*", "_github_home/.docker/config.json", "_github_home/.gitconfig", "_github_home/.netrc", "_github_home/.npmrc",
		"_github_home/.ssh/*", "_github_home/.aws/credentials"} {
		l.match("step", join(temp, below))
	}
	root := j.runnerRoot()
	for _, name := range []string{".credentials", ".credentials_rsaparams", ".runner", ".env", ".proxycredentials"} {
		l.match("runner", join(root, name))
	}
	l.newest("runner", join(root, "_diag"), maxLogs)
	if dir := j.path("CI_PROJECT_DIR"); dir != "" { // variables of type file
		l.match("step", dir+".tmp/*")
	}
	if dir := j.path("RUNNER_TEMP_PROJECT_DIR"); dir != "" {
		l.match("step", join(dir, "*"))
	}
	return l.found
}

// below are the places that a spot stands for.
func (j *job) below(spot string) (all []string) {
	rest, ok := strings.CutPrefix(spot, "~/")
	if !ok {
		return []string{spot}
	}
	for _, home := range j.homes {
		all = append(all, join(home, rest))
	}
	if rest, ok := strings.CutPrefix(rest, ".config/"); ok {
		for _, variable := range []string{"XDG_CONFIG_HOME", "APPDATA"} {
			if at := j.path(variable); at != "" {
				all = append(all, join(at, rest))
			}
		}
	}
	return all
}

// findHomes are the directories that tools take for the user's. In GitHub's container jobs that of the environment is the runner's, and what lies in
// the image is in that of the user database.
func (j *job) findHomes() (all []string) {
	add := func(dir string) {
		if dir = local(dir); dir != "" && dir != "/" && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	add(j.vars["HOME"])
	add(j.vars["USERPROFILE"])
	if j.vars["HOME"] != "/github/home" {
		return all
	}
	for line := range strings.Lines(string(j.small("/etc/passwd"))) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == 7 && fields[2] == fmt.Sprint(j.user) {
			add(fields[5])
		}
	}
	return all
}

// path is what a variable names, as the disk has it.
func (j *job) path(variable string) string { return local(j.vars[variable]) }

// A shelf is a listing of files on its way.
type shelf struct {
	*job
	found
	ctx  context.Context
	seen map[string]bool
	full bool
}

// match gives the regular files that a path with "*" stands for. That there are none is no gap: most tools were never there.
func (l *shelf) match(of, pattern string) {
	if pattern == "" || l.ctx.Err() != nil {
		return
	}
	dir, rest, wild := cutWild(pattern)
	if !wild {
		l.file(of, pattern)
		return
	}
	entries, err := l.list(dir)
	if err == errMoreEntries { //nolint:errorlint // it is never wrapped
		l.gap(dir, err.Error())
	}
	name, more, deep := strings.Cut(rest, "/")
	for _, e := range entries {
		if ok, _ := path.Match(name, e.Name()); !ok {
			continue
		}
		if at := join(dir, e.Name()); deep {
			l.match(of, escape(at)+"/"+more)
		} else {
			l.file(of, at)
		}
	}
}

// cutWild cuts a path before its first part with a "*".
func cutWild(p string) (dir, rest string, wild bool) {
	i := strings.IndexByte(p, '*')
	if i < 0 {
		return p, "", false
	}
	i = strings.LastIndexByte(p[:i], '/')
	return p[:i+1], p[i+1:], true
}

// escape keeps a name from the disk from being a pattern: one with a "*" is not gone into.
func escape(p string) string { return strings.ReplaceAll(p, "*", "?") }

// maxLogs is how many of the runner's own logs are read: those of the last jobs.
const maxLogs = 10

// newest gives the last files of a directory, whose names are times.
func (l *shelf) newest(of, dir string, most int) {
	if dir == "" {
		return
	}
	entries, err := l.list(dir)
	if err == errMoreEntries { //nolint:errorlint // it is never wrapped
		l.gap(dir, err.Error())
	}
	for _, kind := range []string{"Worker_", "Runner_"} {
		logs := slices.DeleteFunc(slices.Clone(entries), func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), kind) })
		if n := len(logs) - most; n > 0 {
			l.gap(join(dir, kind+"*"), fmt.Sprintf("%d older logs were left out", n))
			logs = logs[n:]
		}
		for _, e := range logs {
			l.file(of, join(dir, e.Name()))
		}
	}
}

// file gives one file, if there is one.
func (l *shelf) file(of, at string) {
	if l.seen[at] || l.full {
		return
	}
	l.seen[at] = true
	info, err := l.regular(at)
	switch {
	case err != nil && absent(err):
		return
	case err != nil:
		l.gap(plain(at), cause(err))
		return
	case len(l.items) == maxFiles:
		l.full = true
		l.gap("files", fmt.Sprintf("more than %d; the others were left out", maxFiles))
		return
	}
	it := audit.Item{
		Kind: audit.KindFile, At: audit.Location{Kind: audit.InFile, Path: plain(at)}, Size: info.Size(),
		Open: func(context.Context) (io.ReadCloser, error) {
			f, err := l.open(at)
			if err != nil {
				return nil, fmt.Errorf("%s", cause(err))
			}
			return f, nil
		},
		Entry: newEntry(audit.KindFile, at, facts{"of": of, "size": fmt.Sprint(info.Size()), "mode": mode(info), "modified_at": moment(info)}),
	}
	if c, ok := l.claimsIn(at, info); ok && c.endsSoon(l.env.Now()) {
		it.Known = &audit.Suppression{By: "provider", Reason: endsSoon}
	}
	l.items = append(l.items, it)
}

// claimsIn reads a file that is nothing but a token.
func (l *shelf) claimsIn(at string, info fs.FileInfo) (claims, bool) {
	if info.Size() > maxClaims {
		return claims{}, false
	}
	if b := l.small(at); bytes.HasPrefix(b, []byte("ey")) {
		return readClaims(string(b))
	}
	return claims{}, false
}

// maxIncludes bounds how many files a git configuration may lead through; git's own bound is ten deep.
const maxIncludes = 10

// git gives a configuration of git and those that it includes: newer checkouts keep the job's credential there.
func (l *shelf) git(at string, depth int) {
	if at == "" || depth > maxIncludes || l.full || l.ctx.Err() != nil || depth > 0 && l.seen[at] {
		return
	}
	l.file("git", at)
	for _, p := range included(l.small(at)) {
		if rest, ok := strings.CutPrefix(p, "~/"); ok && len(l.homes) > 0 {
			p = join(l.homes[0], rest)
		} else if full := local(p); full != "" {
			p = full
		} else {
			p = join(path.Dir(at), p)
		}
		l.git(p, depth+1)
	}
}

// maxIncluded bounds the includes of one configuration.
const maxIncluded = 100

// included lists the paths that a configuration of git includes, whatever the condition.
func included(config []byte) (paths []string) {
	within := false
	for line := range strings.Lines(string(config)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section := strings.ToLower(line)
			within = strings.HasPrefix(section, "[include]") || strings.HasPrefix(section, "[includeif ")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !within || !ok || !strings.EqualFold(strings.TrimSpace(key), "path") {
			continue
		}
		value = strings.ReplaceAll(strings.Trim(strings.TrimSpace(value), `"`), `\\`, `\`)
		if value != "" && !strings.ContainsRune(value, 0) {
			paths = append(paths, value)
		}
		if len(paths) == maxIncluded {
			break
		}
	}
	return paths
}
