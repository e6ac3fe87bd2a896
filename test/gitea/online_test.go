//go:build unix

package gitea

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// onlineTest asks a Gitea about components in all the ways that workflows name them. What is said of each is what git says of it.
func onlineTest(t *testing.T, s *server) {
	const password = "of-the-test"
	for _, org := range []string{"online", "tools", "mallory"} {
		s.must(t, "POST", "orgs", map[string]any{"username": org})
	}
	repository := func(name string, private bool, commits ...forgetest.Commit) string {
		t.Helper()
		owner, short, _ := strings.Cut(name, "/")
		s.must(t, "POST", "orgs/"+owner+"/repos", map[string]any{"name": short, "private": private})
		x := &forgetest.GiteaRepo{FullName: name, Dir: forgetest.Repository(t, commits...)}
		s.fill(t, x)
		return x.Dir
	}
	node := forgetest.Commit{"action.yml": "runs: {using: node24, main: a.js}\n"}
	composite := forgetest.Commit{"action.yml": "runs:\n  using: composite\n  steps:\n    - uses: tools/part@main\n"}
	repository("tools/part", false, node)
	repository("tools/before", false, node)
	s.must(t, "PATCH", "repos/tools/before", map[string]any{"name": "after"})
	repository("tools/hidden", true, node)
	repository("tools/flow", false, forgetest.Commit{".gitea/workflows/build.yml": "on: workflow_call\njobs:\n  build:\n    runs-on: host\n    steps:\n      - run: make\n"})

	action := repository("tools/action", false, composite, forgetest.Commit{"README": "one"}, forgetest.Commit{"README": "two"}, forgetest.Commit{"README": "three"})
	push := func(name string, refs ...string) {
		t.Helper()
		if err := git(action, "", append([]string{"push", "-q", "-f", strings.Replace(s.address(name), "://", "://root:"+s.token+"@", 1)}, refs...)...); err != nil {
			t.Fatal(err)
		}
	}
	// commit makes one that no branch or tag of the folder leads to.
	commit := func(message string) string {
		return gitSays(t, action, "-c", "user.name=M", "-c", "user.email=m@example.com", "commit-tree", "-p", "main", "-m", message, "main^{tree}")
	}
	gitSays(t, action, "tag", "v1", "main~3")
	gitSays(t, action, "-c", "user.name=A", "-c", "user.email=a@example.com", "tag", "-a", "-m", "two", "v2.0.0", "main~1")
	push("tools/action", "v1", "v2.0.0", "main~1:refs/heads/dev")
	first, middle := gitSays(t, action, "rev-parse", "v1"), gitSays(t, action, "rev-parse", "main~2")
	forked, proposed := commit("of the fork"), commit("proposed")
	s.must(t, "POST", "repos/tools/action/forks", map[string]any{"organization": "mallory"})
	push("mallory/action", forked+":refs/heads/evil", proposed+":refs/heads/proposal")
	s.must(t, "POST", "repos/tools/action/pulls", map[string]any{"head": "mallory:proposal", "base": "main", "title": "a new version"})

	// The same server with a certificate, as definitions may name it.
	behind, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer front.Close()
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}

	uses := []string{
		"tools/action@v1", "tools/action@v2.0.0", "tools/action@dev", "tools/action@refs/heads/dev", "tools/action@" + first, "tools/action@" + middle, "tools/action@" + forked,
		"tools/action@" + proposed, "tools/action@v9", "tools/before@main", "tools/hidden@main", "tools/gone@main", s.url + "/tools/action@v1", front.URL + "/tools/action@v1",
	}
	workflow := "on: push\njobs:\n  flow:\n    uses: tools/flow/.gitea/workflows/build.yml@main\n  build:\n    runs-on: host\n    steps:\n"
	for _, u := range uses {
		workflow += "      - uses: " + u + "\n"
	}
	repository("online/web", false, forgetest.Commit{".gitea/workflows/ci.yml": workflow})

	s.must(t, "POST", "admin/users", map[string]any{"username": "otto", "email": "otto@example.com", "password": password, "must_change_password": false})
	owners := s.must(t, "GET", "orgs/online/teams/search?q=Owners", nil)["data"].([]any)[0].(map[string]any)["id"]
	s.must(t, "PUT", fmt.Sprintf("teams/%v/members/otto", owners), nil)
	token := s.must(t, "POST", "users/otto/tokens", map[string]any{"name": "t", "scopes": []string{"read:repository", "read:organization", "read:issue"}}, "otto", password)["sha1"].(string)

	var mu sync.Mutex
	var asked []string // METHOD PATH of others' repositories
	s.setFault(func(r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/tools/") || strings.Contains(r.URL.Path, "/mallory/") {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Method+" "+r.URL.Path)
		}
		return false
	})
	defer s.setFault(nil)
	program := buildProgram(t)
	scan := func(env map[string]string, args ...string) (report audit.Run) {
		t.Helper()
		s.passed() // so that none is under way
		asked = nil
		cmd := exec.CommandContext(t.Context(), program, append([]string{"scan", "gitea:online", "--format", "json", "--verify", "off", "--fail-on", "none", "--quiet"}, args...)...)
		cmd.Env = append(os.Environ(), "GITEA_URL="+s.url, "GITEA_TOKEN="+token, "GITEA_ACTIONS_URL=self", "SSL_CERT_FILE="+certificate)
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		s.passed()
		if bytes.Contains(stdout.Bytes(), []byte(token)) || bytes.Contains(stderr.Bytes(), []byte(token)) {
			t.Fatal("the program shows a token")
		}
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("%v: %.1000s", err, stdout.String())
		}
		return report
	}
	if scan(nil); len(asked) > 0 {
		t.Errorf("without --online others' repositories were asked for: %q", asked)
	}

	store := filepath.Join(t.TempDir(), "store.db")
	report := scan(map[string]string{"LEAKREACH_CACHE_DIR": store + ".cache"}, "--online", "--store", store)
	sent := len(asked)
	if slices.ContainsFunc(asked, func(a string) bool {
		return strings.Contains(a, "/api/") || strings.Contains(a, "mallory") || strings.HasSuffix(a, "git-receive-pack")
	}) {
		t.Errorf("asked %q", asked)
	}
	refs, flow := s.listed(t, "tools/action"), s.listed(t, "tools/flow")["refs/heads/main"]
	tags := func(id string) (list []string) {
		for ref, at := range refs {
			if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok && at == id {
				list = append(list, tag)
			}
		}
		slices.Sort(list)
		return list
	}
	component := func(is, id, reachable string) string { return fmt.Sprint(is, " ", id, " ", reachable, tags(id)) }
	want := map[string]string{
		"gitea tools/action@v1":                            component("tag", refs["refs/tags/v1"], ""),
		"gitea tools/action@v2.0.0":                        component("tag", refs["refs/tags/v2.0.0"], ""),
		"gitea tools/action@dev":                           component("branch", refs["refs/heads/dev"], ""),
		"gitea tools/action@refs/heads/dev":                component("branch", refs["refs/heads/dev"], ""),
		s.url + " tools/action@v1":                         component("tag", refs["refs/tags/v1"], ""),
		"gitea tools/before@main":                          component("branch", s.listed(t, "tools/before")["refs/heads/main"], ""),
		"gitea tools/part@main":                            component("branch", s.listed(t, "tools/part")["refs/heads/main"], ""),
		"gitea tools/flow/.gitea/workflows/build.yml@main": component("branch", flow, ""),
	}
	for id, is := range map[string]string{first: "true", middle: "true", forked: "missing", proposed: "false"} {
		if got := s.reachable(t, "tools/action", id); got != is {
			t.Fatalf("git says of %s that it is %s: the test is made for %s", id, got, is)
		}
		want["gitea tools/action@"+id] = component("commit", id, is)
	}
	if diff := cmp.Diff(want, componentsOf(report)); diff != "" {
		t.Errorf("components (-git +inventory):\n%s", diff)
	}
	const absent = "its repository does not exist, or may not be read"
	if diff := cmp.Diff([]string{
		"component tools/action@v1: " + fmt.Sprintf("%q is no server that is asked because a definition names it", front.URL), "component tools/action@v9: its repository has no branch or tag of this name",
		"component tools/gone@main: " + absent, "component tools/hidden@main: " + absent,
	}, aboutComponents(report)); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	named := []string{"tools/flow/.gitea/workflows/build.yml@main"}
	for _, u := range uses {
		if !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(u) {
			named = append(named, u)
		}
	}
	slices.Sort(named)
	pulls := []string{"tools/action@" + first, "tools/action@" + middle, "tools/action@" + proposed}
	impostors := []string{"tools/action@" + forked, "tools/action@" + proposed}
	slices.Sort(pulls)
	slices.Sort(impostors)
	for rule, want := range map[string][]string{"unpinned-action": named, "unpinnable-action": pulls, "impostor-commit": impostors} {
		if diff := cmp.Diff(want, placesOf(report, rule)); diff != "" {
			t.Errorf("%s (-git +findings):\n%s", rule, diff)
		}
	}
	t.Logf("%d requests for %d components of six repositories", sent, len(want))

	// What v1 stands for once it was moved: a listing that is kept counts for ten minutes.
	gitSays(t, action, "tag", "-f", "v1", "main~2")
	push("tools/action", "v1")
	v1 := func(source, want string, report audit.Run) {
		t.Helper()
		if got := componentsOf(report)[source+" tools/action@v1"]; !strings.HasPrefix(got, "tag "+want+" ") {
			t.Errorf("v1 of %s is %q, want %s", source, got, want)
		}
	}
	v1("gitea", first, scan(map[string]string{"LEAKREACH_CACHE_DIR": store + ".cache"}, "--online", "--store", store))
	if slices.ContainsFunc(asked, func(a string) bool { return strings.Contains(a, "/tools/action.git") }) {
		t.Errorf("what is kept was asked for: %q", asked)
	}
	v1("gitea", s.listed(t, "tools/action")["refs/tags/v1"], scan(nil, "--online"))
	if runtime.GOOS == "linux" { // elsewhere SSL_CERT_FILE says nothing
		v1(front.URL, middle, scan(map[string]string{"GITEA_URL": front.URL}, "--online"))
	}

	// Which server actions are of is not known, but that of reusable workflows and addresses.
	report = scan(map[string]string{"GITEA_ACTIONS_URL": ""}, "--online")
	v1(s.url, middle, report)
	if got := componentsOf(report); len(got) != 2 || !strings.HasPrefix(got["gitea tools/flow/.gitea/workflows/build.yml@main"], "branch "+flow) {
		t.Errorf("without GITEA_ACTIONS_URL: %v", got)
	}
	if gaps := aboutComponents(report); !slices.Contains(gaps, "component tools/part@main: which server has it is the choice of who runs this one, which GITEA_ACTIONS_URL does not say") {
		t.Errorf("without GITEA_ACTIONS_URL: gaps %q", gaps)
	}

	for _, budget := range []int{1, sent - 1} {
		report := scan(map[string]string{"LEAKREACH_ONLINE_BUDGET": fmt.Sprint(budget)}, "--online")
		if len(asked) > budget || !slices.ContainsFunc(aboutComponents(report), func(gap string) bool {
			return strings.Contains(gap, "no more are allowed") || strings.Contains(gap, "are used up")
		}) {
			t.Errorf("%d requests, and %d are allowed; gaps %q", len(asked), budget, aboutComponents(report))
		}
	}
}

// gitSays is what git prints.
func gitSays(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// address is where git finds a repository.
func (s *server) address(name string) string { return s.url + "/" + name + ".git" }

// listed is what git lists of a repository: the commit of each branch and tag.
func (s *server) listed(t *testing.T, name string) map[string]string {
	t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(gitSays(t, "", "ls-remote", s.address(name), "refs/heads/*", "refs/tags/*")) {
		id, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		refs[strings.TrimSuffix(ref, "^{}")] = id // of an annotated tag its commit comes last
	}
	return refs
}

// reachable is what git says of a commit of a repository, in the words of the inventory.
func (s *server) reachable(t *testing.T, name, id string) string {
	t.Helper()
	dir := t.TempDir()
	gitSays(t, dir, "init", "-q", "--bare")
	gitSays(t, dir, "fetch", "-q", s.address(name), "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
	if slices.Contains(strings.Fields(gitSays(t, dir, "rev-list", "--branches", "--tags")), id) {
		return "true"
	}
	if git(dir, "", "fetch", "-q", s.address(name), id) == nil {
		return "false"
	}
	return "missing"
}

// componentsOf are those of a report's inventory: what they are, their commit, whether that is reachable, and tags.
func componentsOf(report audit.Run) map[string]string {
	all := map[string]string{}
	for _, e := range report.Inventory {
		if f := e.Facts; e.Kind == audit.KindComponent {
			all[f["source"]+" "+e.Name] = fmt.Sprint(f["is"], " ", f["commit"], " ", f["reachable"], strings.FieldsFunc(f["tags"], func(r rune) bool { return r == ',' }))
		}
	}
	return all
}

// aboutComponents are a report's gaps of components.
func aboutComponents(report audit.Run) (list []string) {
	for _, g := range report.Gaps {
		if strings.HasPrefix(g.What, "component") {
			list = append(list, g.What+": "+g.Why)
		}
	}
	slices.Sort(list)
	return list
}

// placesOf are what a rule's findings are about.
func placesOf(report audit.Run, rule string) (list []string) {
	for _, f := range report.Findings {
		if f.Rule == rule {
			for _, l := range f.Locations {
				list = append(list, l.Name)
			}
		}
	}
	slices.Sort(list)
	return list
}
