package delivery_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A jobReport is what these tests read of a report.
type jobReport struct {
	Coverage  []struct{ Target, Kind, Status string }
	Inventory []struct {
		Target, Kind, Name string
		Facts              map[string]string
	}
	Findings []struct {
		Rule       string
		Locations  []struct{ Target, Kind, Path, Name string }
		Suppressed *struct{ By, Reason string }
	}
	Gaps []struct{ Target, What, Why string }
}

func readJobReport(t *testing.T, path string) (r jobReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, path)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// facts are those of the job's only entry of a kind and name.
func (r jobReport) facts(t *testing.T, kind, name string) map[string]string {
	t.Helper()
	var found []map[string]string
	for _, e := range r.Inventory {
		if e.Target == "job:" && e.Kind == kind && (name == "" || e.Name == name) {
			found = append(found, e.Facts)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d entries of %s %s in %+v, gaps %+v", len(found), kind, name, r.Inventory, r.Gaps)
	}
	return found[0]
}

// counting lists the places of findings that count, and known those of the others with the reason.
func (r jobReport) places() (counting, known []string) {
	for _, f := range r.Findings {
		for _, l := range f.Locations {
			at := strings.TrimSpace(l.Kind + " " + l.Name + l.Path)
			if f.Suppressed != nil {
				known = append(known, at+": "+f.Suppressed.Reason)
			} else {
				counting = append(counting, at)
			}
		}
	}
	return counting, known
}

// machine is a metadata service as EC2's, for a machine with a role.
func machine(t *testing.T) string {
	t.Helper()
	pages := map[string]string{
		"/latest/meta-data/": "instance-id\niam/\n", "/latest/meta-data/iam/security-credentials/": "ci-runner",
		"/latest/meta-data/iam/info":                 `{"InstanceProfileArn": "arn:aws:iam::111122223333:instance-profile/ci"}`,
		"/latest/dynamic/instance-identity/document": `{"accountId": "111122223333", "region": "eu-central-1"}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			fmt.Fprint(w, "metadata-session")
		case r.Header.Get("X-aws-ec2-metadata-token") != "metadata-session":
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			t.Errorf("the machine was asked for %s", r.URL.Path)
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, page)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// gitHub is as much of GitHub as a token's rights are learned from: one that reads a public repository.
func gitHub(t *testing.T, token string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, basic := r.BasicAuth()
		switch {
		case basic && password == token && strings.HasSuffix(r.URL.Path, ".git/info/refs"):
			w.WriteHeader(http.StatusForbidden)
		case !basic && r.Header.Get("Authorization") == "Bearer "+token && strings.HasPrefix(r.URL.Path, "/api/repos/"):
			fmt.Fprint(w, `{"private": false, "visibility": "public"}`)
		default:
			t.Errorf("GitHub was asked %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func letters(n int) string {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = all[rand.IntN(len(all))]
	}
	return string(b)
}

// jobWorkflow is a job that holds what a careless one holds: a key in its environment, another in the home that earlier steps left.
const jobWorkflow = `on: push
permissions: {}
jobs:
  scan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - run: printf '//registry.npmjs.org/:_authToken=%s\n' "$PLANTED" >"$HOME/.npmrc"
        env:
          PLANTED: "{npm}"
      - id: leakreach
        uses: leakreach/leakreach@0123456789abcdef0123456789abcdef01234567
        with:
          verify: offline
        env:
          AWS_ACCESS_KEY_ID: "{id}"
          AWS_SECRET_ACCESS_KEY: "{secret}"
          AWS_EC2_METADATA_SERVICE_ENDPOINT: "{machine}"
      - if: always() # act gives an action's steps its own idea of where GitHub is
        run: '"{program}" scan job: --sources settings --format json >"{result}/settings.json"'
        env:
          AWS_EC2_METADATA_DISABLED: true
          GITHUB_TOKEN: ${{ github.token }}
          GITHUB_API_URL: "{forge}/api"
          GITHUB_SERVER_URL: "{forge}"
      - if: always()
        run: cp "$REPORT" "$RESULT/report.json"
        env:
          RESULT: "{result}"
          REPORT: ${{ steps.leakreach.outputs.report-file }}
`

// TestJobInAct: the action looks at the job that it runs in, and finds what was planted there beside the checkout.
func TestJobInAct(t *testing.T) {
	need(t, "act", "make tools installs it")
	result, home := t.TempDir(), t.TempDir()
	id, secret := awsKey()
	npm, own := "npm"+"_"+letters(36), "ghs"+"_"+letters(36)
	// The workflow is no part of the commit: its text has the values, which the checkout must not.
	repo := repository(t, map[string]string{"main.go": "package main\n"})
	flow := strings.NewReplacer("{result}", result, "{npm}", npm, "{id}", id, "{secret}", secret, "{machine}", machine(t), "{program}", program(t), "{forge}", gitHub(t, own)).Replace(jobWorkflow)
	at := filepath.Join(t.TempDir(), "scan.yml")
	write(t, at, flow)
	run := try(t, repo, []string{"HOME=" + home}, "act", "push", "-W", at, "-P", "ubuntu-latest=-self-hosted", "--secret", "GITHUB_TOKEN="+own,
		"--local-repository", "leakreach/leakreach@0123456789abcdef0123456789abcdef01234567="+sources(t))
	if run.code == 0 || !strings.Contains(run.all(), "exit status 10") {
		t.Fatalf("exit code %d, want the step to fail with 10\n%s", run.code, run.all())
	}
	r := readJobReport(t, filepath.Join(result, "report.json"))
	text := read(t, filepath.Join(result, "report.json"))
	for name, value := range map[string]string{"key": secret, "npm token": npm, "job's token": own} {
		if strings.Contains(text, value) {
			t.Errorf("the report shows the %s", name)
		}
	}
	counting, known := r.places()
	for _, want := range []string{"variable AWS_ACCESS_KEY_ID", "variable AWS_SECRET_ACCESS_KEY", "file " + home + "/.npmrc", "runner metadata aws"} {
		if !strings.Contains(strings.Join(counting, "\n"), want) {
			t.Errorf("no finding at %s; there are %q", want, counting)
		}
	}
	if len(counting) != 4 {
		t.Errorf("findings at %q", counting)
	}
	if !strings.Contains(strings.Join(known, "\n"), "variable GITHUB_TOKEN: ends with the job") {
		t.Errorf("the job's own token is not known: %q", known)
	}
	if of := r.facts(t, "settings", "scan"); of["system"] != "github" || of["event"] != "push" || of["static_keys"] != "AWS_ACCESS_KEY_ID" {
		t.Errorf("settings %v", of)
	}
	if of := r.facts(t, "metadata", "aws"); of["role"] != "ci-runner" || of["account"] != "111122223333" || of["v1"] != "false" || of["v2"] != "true" {
		t.Errorf("metadata %v", of)
	}
	if of := readJobReport(t, filepath.Join(result, "settings.json")).facts(t, "token", "GITHUB_TOKEN"); of["type"] != "job" || of["active"] != "true" || of["push"] != "false" || of["visibility"] != "public" {
		t.Errorf("the job's token: %v", of)
	}
	r.facts(t, "runner", "")
	r.facts(t, "file", home+"/.npmrc")
}

// TestJobInActIsGreen: a job with nothing but what its forge gave it has no findings.
func TestJobInActIsGreen(t *testing.T) {
	need(t, "act", "make tools installs it")
	repo := repository(t, map[string]string{"main.go": "package main\n"})
	at := filepath.Join(t.TempDir(), "scan.yml")
	write(t, at, `on: push
jobs:
  scan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - uses: leakreach/leakreach@0123456789abcdef0123456789abcdef01234567
        env:
          AWS_EC2_METADATA_DISABLED: true
`)
	run := try(t, repo, []string{"HOME=" + t.TempDir()}, "act", "push", "-W", at, "-P", "ubuntu-latest=-self-hosted", "--secret", "GITHUB_TOKEN=ghs"+"_"+letters(36),
		"--local-repository", "leakreach/leakreach@0123456789abcdef0123456789abcdef01234567="+sources(t))
	if run.code != 0 {
		t.Errorf("exit code %d\n%s", run.code, run.all())
	}
}

// TestJobInGitlab: the component does the same in a job of GitLab's, and learns from GitLab for whom the job's token acts.
func TestJobInGitlab(t *testing.T) {
	token := "glcbt-" + letters(20)
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v4/job" || r.Header.Get("JOB-TOKEN") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id": 1, "ref": "main", "user": {"username": "jane"}, "runner": {"runner_type": "instance_type"}}`)
	}))
	defer forge.Close()
	claims, err := json.Marshal(map[string]any{"iss": "https://gitlab.example.com", "sub": "project_path:acme/web:ref_type:branch:ref:main", "aud": "https://sts.example.com", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	identity := part([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + part(claims) + "." + letters(80)
	id, secret := awsKey()
	dir, _, _ := gitlabProject(t, "image: "+image, "verify: offline", `refs: "job:"`)
	home := t.TempDir()
	write(t, filepath.Join(home, ".aws/credentials"), "[default]\naws_access_key_id = "+id+"\naws_secret_access_key = "+secret+"\n")
	var args []string
	for name, value := range map[string]string{"CI_JOB_TOKEN": token, "CI_API_V4_URL": forge.URL + "/api/v4", "CLOUD_TOKEN": identity, "AWS_EC2_METADATA_SERVICE_ENDPOINT": machine(t)} {
		args = append(args, "--variable", name+"="+value)
	}
	run := runGitlab(t, dir, []string{"HOME=" + home}, args...)
	if run.code == 0 {
		t.Fatalf("want the job to fail\n%s", run.all())
	}
	r := readJobReport(t, filepath.Join(dir, "leakreach.json"))
	if text := read(t, filepath.Join(dir, "leakreach.json")); strings.Contains(text, secret) || strings.Contains(text, token) || strings.Contains(text, identity) {
		t.Error("the report shows a value")
	}
	counting, _ := r.places()
	if want := "file " + home + "/.aws/credentials"; !slices.Equal(counting, []string{want, want, "runner metadata aws"}) {
		t.Errorf("findings at %q", counting)
	}
	if of := r.facts(t, "token", "CI_JOB_TOKEN"); of["owner"] != "jane" || of["type"] != "job" {
		t.Errorf("the job's token: %v", of)
	}
	if of := r.facts(t, "token", "CLOUD_TOKEN"); of["type"] != "oidc" || of["audience"] != "https://sts.example.com" || !strings.HasPrefix(of["subject"], "project_path:acme/web:") {
		t.Errorf("the identity: %v", of)
	}
	if of := r.facts(t, "metadata", "aws"); of["role"] != "ci-runner" {
		t.Errorf("metadata %v", of)
	}
	if of := r.facts(t, "settings", "leakreach"); of["system"] != "gitlab" || of["oidc"] != "true" {
		t.Errorf("settings %v", of)
	}
	if _, err := os.Stat(filepath.Join(dir, "gl-secret-detection-report.json")); err != nil {
		t.Error(err)
	}
}
