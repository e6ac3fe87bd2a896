package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/leakreach/leakreach/internal/report"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// Who can read each secret of an organisation is told exactly, through workflows that rename secrets, hand all of them on, and call each other.
func TestReadersOfWorld(t *testing.T) {
	w := forgetest.NewWorld(t, time.Now())
	kept := filepath.Join(t.TempDir(), "runs.db")
	scanWorld(t, w, "", "--store", kept)
	got := readersIn(t, kept)
	none := []string{}
	const shop = "github:acme/shop .github/workflows/"
	dump := shop + "dump.yml: dump"
	for name, want := range map[string][]string{
		"github:acme/shop/PUBLISH_TOKEN repository":               {shop + "release.yml: build", dump},
		"github:acme/shop/LIVE_TOKEN repository":                  {shop + "release.yml: ship / deploy?", dump},
		"github:acme/shop/LIVE_TOKEN environment live":            {shop + "live.yml: live", shop + "release.yml: ship / deploy?"},
		"github:acme/shop/CHAT_TOKEN repository":                  {shop + "release.yml: tell / notify", dump},
		"github:acme/CHAT_TOKEN organisation":                     none,
		"github:acme/SHOP_TOKEN organisation":                     {dump},
		"github:acme/ages/LEFT_TOKEN repository":                  none,
		"github:acme/ages/OLD_TOKEN repository":                   {"github:acme/ages .github/workflows/x.yml: job"},
		"github:acme/deploy-00/DEPLOY_KEY environment production": {"github:acme/deploy-00 .github/workflows/deploy.yml: job"},
	} {
		slices.Sort(want)
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	t.Logf("%d secrets and variables", len(got))
}

// GitLab hands a variable to each job that its scope fits, whether the definition names it or not, also in child pipelines.
func TestReadersOfGitLabWorld(t *testing.T) {
	w := forgetest.NewGitLabWorld(t, time.Now())
	kept := filepath.Join(t.TempDir(), "runs.db")
	scanGitLab(t, w, "", "--store", kept)
	got := readersIn(t, kept)
	project := "gitlab:" + w.Projects[110].Path
	at := project + " .gitlab-ci.yml: "
	live := []string{at + "children / smoke", at + "deploy"}
	for name, want := range map[string][]string{
		project + "/DEPLOY_TOKEN project":                                 live,
		project + "/NOTIFY_TOKEN project":                                 {at + "children", at + "children / smoke", at + "deploy", at + "test"},
		"gitlab:acme/GROUP_TOKEN group":                                   live,
		"gitlab:" + w.Projects[10].Path + "/LAST_TOKEN project":           {},
		"gitlab:" + w.Projects[11].Path + "/NETRC project":                {"gitlab:" + w.Projects[11].Path + " .gitlab-ci.yml: build"},
		"gitlab:" + w.Projects[12].Path + "/NIGHT_TOKEN schedule nightly": {"gitlab:" + w.Projects[12].Path + " .gitlab-ci.yml: build?"},
	} {
		slices.Sort(want)
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	// Those of the instance have no scope: all jobs of all projects get them, of which one has three more.
	if n := len(got["gitlab:/MIRROR_TOKEN instance"]); n != len(w.Projects)+3 {
		t.Errorf("%d jobs get the instance's variable", n)
	}
	t.Logf("%d variables", len(got))
}

// A forge is asked, where no run is named, and nothing is left of that.
func TestReadersLive(t *testing.T) {
	w := forgetest.NewWorld(t, time.Now())
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	vars := map[string]string{"GITHUB_API_URL": forgetest.Start(t, w.GitHub), "GH_TOKEN": forgetest.WorldToken}
	code, out, errs := asked(t, vars, "reach", "github:acme/shop", "secret:PUBLISH_TOKEN")
	if code != exitOK || !strings.Contains(out, "release.yml: build") || !strings.Contains(out, "secret PUBLISH_TOKEN  github:acme/shop, repository, actions") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	left, err := filepath.Glob(filepath.Join(temp, "leakreach-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if code, _, _ := asked(t, vars, "reach", "github:nobody", "secret:X"); code == exitOK {
		t.Error("nobody has secrets")
	}
}

// readersIn are the jobs that the program says can read each secret and variable of a store's youngest run, with a question mark where that is not certain.
func readersIn(t *testing.T, kept string) map[string][]string {
	t.Helper()
	code, out, errs := asked(t, map[string]string{}, "reach", "secrets", "--store", kept, "--format", "json")
	var r report.Reach
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s", code, err, errs)
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/run.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	object, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err == nil {
		err = schema.Validate(object)
	}
	if err != nil {
		t.Errorf("%.2000v", err)
	}
	all := map[string][]string{}
	for _, s := range r.Readers {
		jobs := []string{}
		for _, j := range s.Jobs {
			name := j.Target + " " + j.Name
			if j.Certainty != "certain" {
				name += "?"
			}
			jobs = append(jobs, name)
		}
		slices.Sort(jobs)
		key := strings.TrimSpace(fmt.Sprintf("%s/%s %s", s.Target, s.Name, s.Scope))
		all[key] = append(jobs, all[key]...)
	}
	return all
}
