//go:build unix

package gitea

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// The jobs of the test. What they print of the machine is what real ones print: a file that was left there, an environment that was dumped.
const (
	// deploy prints a token as it is, one in base64, an AWS key whose halves are lines apart, and a secret, which the runner hides. The
	// file that it uploads has one more.
	deployJob = `on: [push, workflow_dispatch]
env:
  STAGE: production
jobs:
  deploy:
    name: Deploy it
    runs-on: host
    steps:
      - name: Show the machine
        run: cat "$HOST/deploy.env"
      - name: Debug
        run: |
          base64 -w 0 < "$HOST/encoded"; echo
          cat "$HOST/aws"
        env:
          KEY: ${{ secrets.HIDDEN }}
      - name: Log in
        run: |
          echo "logging in with $KEY to ${{ vars.REGISTRY }}"
        env:
          KEY: ${{ secrets.HIDDEN }}
      - name: Package
        run: cp "$HOST/artifact" package.env
      - uses: actions/upload-artifact@v4
        with: {name: package, path: package.env}
`
	// failing prints a token and fails.
	failingJob = `on: [push]
jobs:
  test:
    runs-on: host
    steps:
      - run: cat "$HOST/failing"; exit 3
      - run: echo never
`
)

// pipelinesTest has an organisation of 20 repositories, in some of which jobs ran and people wrote more than they should have. All that was planted is
// found, and nothing else; a second sweep reads what is new.
func pipelinesTest(t *testing.T, s *server) {
	const n = 20
	w := build(t, s, "acme", n)
	host := t.TempDir()
	r := newRunner(t, s, w.org, host)
	at := func(i int) string { return "repos/" + w.org + "/" + name(i) + "/" }
	file := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(host, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(i int, kind audit.LocationKind, seed int) string {
		return "TOKEN=" + w.plantIn(i, kind, seed) + "\n"
	}

	s.must(t, "PUT", "orgs/"+w.org+"/actions/secrets/HIDDEN", map[string]any{"data": token(1000)})
	s.must(t, "POST", at(2)+"actions/variables/REGISTRY", map[string]any{"value": "registry.example.com"})
	file("deploy.env", env(2, audit.InLog, 1001))
	file("encoded", env(2, audit.InLog, 1002))
	secret := "s" + token(1003)[4:] + "/x+" // forty characters of which no rule knows more
	w.note(w.target(name(2)), secret)
	w.kinds[masked(secret)] = audit.InLog
	file("aws", "aws_access_key_id = AK"+"IA"+"Q3EGRIVNTKSPJ4BZ\nregion = eu-central-1\naws_secret_access_key = "+secret+"\n")
	file("artifact", env(2, audit.InArtifact, 1004))
	file("failing", env(7, audit.InLog, 1005))
	s.addFile(t, at(2), ".gitea/workflows/deploy.yml", deployJob)
	s.addFile(t, at(7), ".github/workflows/test.yaml", failingJob)
	r.run(t, 2)

	s.must(t, "POST", at(11)+"issues", map[string]any{"title": "it does not work", "body": "with " + env(11, audit.InText, 1006)})
	s.must(t, "POST", at(11)+"issues/1/comments", map[string]any{"body": "nor does\n\n    " + env(11, audit.InText, 1007)})
	s.must(t, "PATCH", at(11)+"issues/1", map[string]any{"state": "closed"})
	s.pull(t, at(11), forgetest.GiteaIssue{Title: "mend it", Pull: true, Reviews: []forgetest.GiteaReview{
		{Body: "not with " + env(11, audit.InText, 1013), Comments: []string{"nor with " + env(11, audit.InText, 1014)}},
	}})
	release := s.must(t, "POST", at(11)+"releases", map[string]any{"tag_name": "v9", "name": "nine", "body": "try it with " + env(11, audit.InText, 1008)})
	s.upload(t, at(11)+fmt.Sprintf("releases/%v/assets", release["id"]), "settings.env", env(11, audit.InArtifact, 1009))
	s.upload(t, at(11)+"issues/1/assets", "log.txt", env(11, audit.InArtifact, 1010))
	s.must(t, "POST", at(11)+"wiki/new", map[string]any{
		"title": "How to / deploy", "content_base64": base64.StdEncoding.EncodeToString([]byte("with " + env(11, audit.InText, 1011))),
	})

	program, store := buildProgram(t), filepath.Join(t.TempDir(), "store.db")
	first, cost := w.sweep(t, program, store, "--sources", "all")
	t.Logf("first:  %s", cost)
	w.check(t, "the first sweep", first, n)
	if got := cost.logs; got != 2 {
		t.Errorf("%d logs were read, not 2", got)
	}
	for secret, want := range map[string]string{
		token(1001): "run N, Deploy it / Show the machine\n/actions/runs/N/jobs/N#jobstep-N-N",
		token(1007): "comment on issue N\n/issues/N#issuecomment-N",
		token(1013): "review of pull request N\n/pulls/N",
		token(1014): "review comment on pull request N\n/pulls/N#issuecomment-N",
		token(1008): "release vN\n/releases/tag/vN",
		token(1011): "wiki page How to / deploy\n/wiki/How-to-%NF-deploy",
	} {
		if got := w.where(first, secret); got != want {
			t.Errorf("it lies in %q, want %q", got, want)
		}
	}
	// Where the clock's second changes between the failed step and the skipped one behind it, the latter seems to have run: Gitea does not tell.
	if got := w.where(first, token(1005)); !strings.HasPrefix(got, "run N, test") {
		t.Errorf("what the failed step printed lies in %q", got)
	}

	second, cost := w.sweep(t, program, store, "--sources", "all")
	t.Logf("second: %s", cost)
	w.check(t, "the second sweep", second, n)
	if cost.logs > 0 || cost.files > 0 {
		t.Errorf("nothing is new, and %d logs and %d files were read", cost.logs, cost.files)
	}

	// A new run, one of which the machine says something else, and a new comment.
	file("deploy.env", env(2, audit.InLog, 1012))
	s.must(t, "POST", at(2)+"actions/workflows/deploy.yml/dispatches", map[string]any{"ref": "main"})
	r.run(t, 1)
	s.must(t, "POST", at(11)+"issues/1/comments", map[string]any{"body": env(11, audit.InText, 1013)})
	third, cost := w.sweep(t, program, store, "--sources", "all")
	t.Logf("third:  %s", cost)
	w.check(t, "the sweep after one more run", third, n)
	if cost.logs != 1 || cost.files != 1 {
		t.Errorf("one run is new, and %d logs and %d files were read", cost.logs, cost.files)
	}
	fresh, _ := w.sweep(t, program, filepath.Join(t.TempDir(), "fresh.db"), "--sources", "all")
	forgetPushes(fresh)
	forgetPushes(third)
	for _, part := range []string{"findings", "gaps", "inventory"} {
		if diff := cmp.Diff(fresh[part], third[part]); diff != "" {
			t.Errorf("%s of a sweep that knows the last one differ from those of one that does not (-fresh +third):\n%s", part, diff)
		}
	}
}

// where says how a report names the place of a secret, and the end of its address, with whatever numbers the server gave.
func (w *world) where(report map[string]any, secret string) string {
	for _, f := range report["findings"].([]any) {
		f := f.(map[string]any)
		if found, _ := f["secret"].(map[string]any); found != nil && found["masked"] == masked(secret) {
			l := f["locations"].([]any)[0].(map[string]any)
			address := strings.TrimPrefix(fmt.Sprint(l["url"]), w.url+"/"+strings.TrimPrefix(fmt.Sprint(l["target"]), "gitea:"))
			return numbers.ReplaceAllString(fmt.Sprintf("%v\n%s", l["name"], address), "N")
		}
	}
	return ""
}

// plantIn plants a token in a repository, where it is found in one kind of place.
func (w *world) plantIn(i int, kind audit.LocationKind, seed int) string {
	token := w.plant(w.target(name(i)), seed)
	w.kinds[masked(token)] = kind
	return token
}

// addFile pushes a file to a repository's default branch.
func (s *server) addFile(t *testing.T, repository, path, content string) {
	t.Helper()
	s.must(t, "POST", repository+"contents/"+path, map[string]any{
		"content": base64.StdEncoding.EncodeToString([]byte(content)), "message": "add " + path, "branch": "main",
	})
}

// upload attaches a file to an issue or a release.
func (s *server) upload(t *testing.T, path, name, content string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("attachment", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(content)) // to memory
	_ = form.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/"+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "token "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated || err != nil {
		t.Fatalf("uploading %s: %s %s %v", name, resp.Status, said, err)
	}
}
