package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// A user scans an organisation of 300 repositories, and is told of all that lies open in it and of nothing else.
func TestWorld(t *testing.T) {
	w := forgetest.NewWorld(t, time.Now())
	report, code := scanWorld(t, w, "all", "--all-refs")
	if code != exitFindings {
		t.Errorf("exit code %d", code)
	}
	for _, g := range report.Gaps {
		t.Errorf("gap: %s: %v", g.Target, &g)
	}
	compareWorld(t, w, report)
}

// What a scan may cost is counted in requests to REST, as the quota counts them: GraphQL has one of its own, and git none.
func TestWorldCosts(t *testing.T) {
	for sources, most := range map[string]float64{
		"": 4, "settings": 0.6,
	} {
		w := forgetest.NewWorld(t, time.Now())
		w.Limit = 15000 // GitHub's for Apps of large companies; under a limit the fake counts
		scanWorld(t, w, sources)
		rest := w.Used(forgetest.WorldToken)
		t.Logf("--sources %q: %.2f requests for each repository, and %d to GraphQL", sources, float64(rest)/float64(len(w.Repos)), w.Used(forgetest.WorldToken+forgetest.QuotaOfGraphQL))
		if float64(rest) > most*float64(len(w.Repos)) {
			t.Errorf("--sources %q: %d requests for %d repositories, at most %.1f for each are wanted", sources, rest, len(w.Repos), most)
		}
	}
}

// Without GraphQL everything is the same: each line of the inventory, each finding, each gap, and what was covered.
func TestWorldWithoutGraphQL(t *testing.T) {
	now := time.Now()
	scan := func(t *testing.T, sources, api string, refuse func(http.ResponseWriter)) (lines []string) {
		w := forgetest.NewWorld(t, now)
		// Nothing runs in these, and still there is something in them.
		dir := forgetest.Repository(t, forgetest.Commit{"README.md": "no workflow\n"})
		for i, x := range []forgetest.GitHubRepo{{FullName: "acme/zz-plain"}, {FullName: "acme/zz-archived", Archived: true}, {FullName: "acme/zz-empty", Private: true}} {
			x.ID, x.Keys = int64(900_000+i), []forgetest.DeployKey{{ID: int64(i + 1), Title: "left", Write: true}}
			x.Rulesets = []forgetest.Ruleset{{ID: int64(70 + i), Name: "tags", Target: "tag", Rules: []string{"deletion"}}}
			x.Hooks = []forgetest.Hook{{ID: int64(i + 1), URL: "https://left.example.com/hook"}}
			x.Environments = []forgetest.Environment{{Name: "prod/eu", Secrets: []forgetest.Secret{{Name: "E"}}}}
			if i < 2 {
				x.Dir, x.Protected = dir, map[string]forgetest.Protection{"main": {Reviews: 2}}
			}
			w.Repos = append(w.Repos, &x)
		}
		if refuse != nil {
			w.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/graphql") {
					w.Header().Set("Content-Type", "application/json; charset=utf-8")
					refuse(w)
					return true
				}
				return false
			}
		}
		report, _, _ := scanAcme(t, "github", map[string]string{"GITHUB_API_URL": forgetest.Start(t, w.GitHub) + api, "GH_TOKEN": forgetest.WorldToken}, sources, "--all-refs")
		for _, e := range report.Inventory {
			if e.Kind == audit.KindSettings {
				delete(e.Facts, "team_members") // of which REST tells nothing
				if sources != "all" {           // else it is not asked of REST who may push
					maps.DeleteFunc(e.Facts, func(name, _ string) bool { return slices.Contains([]string{"admin", "maintain", "write"}, name) })
					e.Facts["not_asked"] = strings.ReplaceAll(","+e.Facts["not_asked"], ",people who may push", "")
				}
			}
			line, _ := json.Marshal(e)
			lines = append(lines, string(line))
		}
		lines = append(lines, gist(report)...)
		slices.Sort(lines)
		return lines
	}
	said := func(status int, body string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	forbidden := said(http.StatusForbidden, `{"message":"Resource not accessible by integration"}`)
	missing := said(http.StatusNotFound, `{"message":"Not Found"}`)
	for sources, refusals := range map[string]map[string]func(http.ResponseWriter){
		"": {
			"forbidden": forbidden, "missing": missing, "refused in a success": said(http.StatusOK, `{"errors":[{"type":"FORBIDDEN","message":"no"}]}`),
			"limited in a success": said(http.StatusOK, `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`),
		},
		"all": {"forbidden": forbidden}, "settings": {"missing on a server of one's own": missing}, "workflows,secrets": {"forbidden": forbidden},
	} {
		want := scan(t, sources, "", nil)
		for name, refuse := range refusals {
			t.Run(sources+" "+name, func(t *testing.T) {
				api := ""
				if strings.Contains(name, "server") {
					api = "/api/v3"
				}
				sameLines(t, scan(t, sources, api, refuse), want)
			})
		}
	}
}

// sameLines holds lines against those that are wanted.
func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	for i, j := 0, 0; i < len(got) || j < len(want); {
		switch {
		case j == len(want) || i < len(got) && got[i] < want[j]:
			t.Errorf("too much: %s", got[i])
			i++
		case i == len(got) || got[i] > want[j]:
			t.Errorf("missing: %s", want[j])
			j++
		default:
			i, j = i+1, j+1
		}
	}
}

// scanWorld scans what it can of a world's organisation.
func scanWorld(t *testing.T, w *forgetest.World, sources string, args ...string) (report audit.Run, code int) {
	t.Helper()
	report, code, all := scanGitHub(t, w.GitHub, sources, args...)
	showsNone(t, w.Planted, all)
	return report, code
}

// scanGitHub scans the organisation acme of a fake. all is everything that was printed.
func scanGitHub(t *testing.T, g *forgetest.GitHub, sources string, args ...string) (report audit.Run, code int, all string) {
	t.Helper()
	return scanAcme(t, "github", map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": forgetest.WorldToken}, sources, args...)
}

// scanAcme scans acme on a forge that the environment names. all is everything that was printed.
func scanAcme(t *testing.T, forge string, env map[string]string, sources string, args ...string) (report audit.Run, code int, all string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	maps.Copy(env, map[string]string{
		"LEAKREACH_VERIFY": "off", "LEAKREACH_PROGRESS": "off", "LEAKREACH_FINGERPRINT_KEY": strings.Repeat("a key ", 10), "LEAKREACH_CACHE_DIR": t.TempDir(),
	})
	var out, log bytes.Buffer
	code = run(t.Context(), append([]string{"scan", forge + ":acme", "--sources", sources, "--out", "json=" + file}, args...), world{
		stdin: strings.NewReader(""), stdout: &out, stderr: &log, getenv: func(k string) string { return env[k] },
		terminal: func(io.Writer) (int, bool) { return 0, false }, limit: func(audit.Memory) {},
	})
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		t.Fatalf("exit code %d, %v\n%s", code, err, log.String())
	}
	return report, code, string(text) + out.String() + log.String()
}

// showsNone holds everything that was printed against the values that are planted.
func showsNone(t *testing.T, planted []forgetest.Planted, all string) {
	t.Helper()
	for _, p := range planted {
		if p.Value != "" && strings.Contains(all, p.Value) {
			t.Errorf("%s is shown in full", p.What)
		}
	}
}

// compareWorld holds the findings against what is planted.
func compareWorld(t *testing.T, w *forgetest.World, report audit.Run) {
	t.Helper()
	comparePlanted(t, w.Planted, report, func(p forgetest.Planted, f *audit.Finding, l audit.Location) bool {
		return (f.Secret == nil || string(l.Kind) == p.In) && strings.Contains(l.Path+" "+l.Name, p.Name)
	})
}

// comparePlanted holds the findings against what is planted. meets tells whether a finding of the right kind and target is at the right place.
func comparePlanted(t *testing.T, planted []forgetest.Planted, report audit.Run, meets func(forgetest.Planted, *audit.Finding, audit.Location) bool) {
	t.Helper()
	found := map[int]bool{}
	for i := range report.Findings {
		f := &report.Findings[i]
		expected := false
		for n, p := range planted {
			if !p.Near && slices.ContainsFunc(f.Locations, func(l audit.Location) bool {
				return l.Target == p.Target && (f.Secret == nil) == (p.Value == "") && (f.Secret != nil || f.Rule == p.Rule) && meets(p, f, l)
			}) {
				found[n], expected = true, true
			}
		}
		if !expected {
			where, _ := json.Marshal(f.Locations)
			t.Errorf("found, and not planted: %s: %s: %s: %.400s", f.Rule, f.Title, f.Message, where)
		}
	}
	n := 0
	for i, p := range planted {
		if p.Near {
			continue
		}
		n++
		if !found[i] {
			t.Errorf("planted, and not found: %s", fmt.Sprintf("%s in %s (%s %q)", p.What, p.Target, p.In, p.Name))
		}
	}
	t.Logf("%d planted, %d findings", n, len(report.Findings))
}

// What somebody has named after a token is found wherever it is, and shown nowhere.
func TestNamesAreContent(t *testing.T) {
	var planted []string
	maker := newMaker(12)
	token := func() string {
		planted = append(planted, maker.token())
		return planted[len(planted)-1]
	}
	g := forgetest.Faulty(t, "nothing")
	web := g.Repos[2]
	g.Owners[0].Runners = []forgetest.Runner{{Name: "a", Labels: []string{"self-hosted", token()}}, {Name: token()}}
	g.Owners[0].Groups = []forgetest.RunnerGroup{{ID: 1, Name: token()}}
	g.Owners[0].Packages = []forgetest.Package{{ID: 1, Name: token(), Type: "npm", Visibility: "private"}}
	web.Variables = append(web.Variables, forgetest.Variable{Name: token(), Value: "1"})
	web.Secrets = append(web.Secrets, forgetest.Secret{Name: token()})
	web.Environments = append(web.Environments, forgetest.Environment{Name: token(), Branches: "selected", Policies: []forgetest.BranchPolicy{{Pattern: token() + "/*"}}})
	web.Keys = []forgetest.DeployKey{{ID: 1, Title: "key of " + token()}}
	web.Hooks = []forgetest.Hook{{ID: 2, URL: "https://hooks.example.com/" + maker.token(), Secret: true}} // an address is for its host alone
	web.Rulesets = []forgetest.Ruleset{{ID: 3, Name: token(), Include: []string{"refs/heads/" + token()}}}
	web.Caches = []forgetest.Cache{{ID: 4, Key: "linux-" + token(), Ref: "refs/heads/main"}}
	web.Releases = []forgetest.Release{{ID: 5, Tag: token(), Name: "one", Assets: []forgetest.Asset{{ID: 6, Name: token() + ".txt", Content: []byte("nothing\n")}}}}
	web.Runs[0].Attempts[0].Jobs[0].Name, web.Runs[0].Attempts[0].Jobs[0].Steps[1].Name = token(), token()
	web.Runs[0].Artifacts[0].Name = token()
	report, _, all := scanGitHub(t, g, "all", "--no-history")
	for i, value := range planted {
		if strings.Contains(all, value) {
			t.Errorf("name %d is shown in full: %s", i, regexp.MustCompile(".{0,300}"+value).FindString(all))
		}
	}
	found := 0
	for _, f := range report.Findings {
		if f.Secret != nil {
			found++
		}
	}
	if found != len(planted) {
		t.Errorf("%d of %d are found", found, len(planted))
		for i := range report.Findings {
			if f := &report.Findings[i]; f.Secret != nil {
				t.Log(f.Locations[0])
			}
		}
	}
}
