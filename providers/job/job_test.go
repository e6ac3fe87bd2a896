package job

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a machine with a job on it: a directory for its disk, an environment, and servers.
type world struct {
	t    testing.TB
	root string
	vars map[string]string
	p    *Provider
}

var now = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, vars map[string]string) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), vars: map[string]string{
		"HOME": "/home/runner", "PATH": "/usr/bin", "AWS_EC2_METADATA_SERVICE_ENDPOINT": closed, "GCE_METADATA_HOST": strings.TrimPrefix(closed, "http://"),
		"AZURE_POD_IDENTITY_AUTHORITY_HOST": closed,
	}}
	for k, v := range vars {
		w.vars[k] = v
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	w.p = New(audit.Env{
		HTTP: &http.Client{Transport: transport}, Getenv: func(k string) string { return w.vars[k] }, Log: slog.New(slog.DiscardHandler), UserAgent: "leakreach/test", Calls: &audit.Calls{},
		Now: func() time.Time { return now },
		Environ: func() (all []string) {
			for k, v := range w.vars {
				all = append(all, k+"="+v)
			}
			return all
		},
	}, Options{Sources: audit.AllSources, Root: w.root})
	w.p.user = 1001
	return w
}

// closed is where nobody listens.
const closed = "http://127.0.0.1:1"

func (w *world) file(path, content string) {
	w.t.Helper()
	at := filepath.Join(w.root, path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// A listing is what a world's job was found to have.
type listing struct {
	t     testing.TB
	items []audit.Item
	gaps  []string
}

func (w *world) list() *listing {
	w.t.Helper()
	l := &listing{t: w.t}
	for it, err := range w.p.Items(w.t.Context(), audit.Target{Name: "job:", Kind: audit.TargetJob}) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			l.gaps = append(l.gaps, gap.Error())
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		l.items = append(l.items, it)
	}
	return l
}

// entry is the only one of a kind and name.
func (l *listing) entry(kind audit.ItemKind, name string) map[string]string {
	l.t.Helper()
	var found []map[string]string
	for _, it := range l.items {
		if e := it.Entry; e != nil && e.Kind == kind && e.Name == name {
			if e.Scope != "job" || e.Target != "job:" {
				l.t.Errorf("%s %s is of %s, %s", kind, name, e.Target, e.Scope)
			}
			found = append(found, e.Facts)
		}
	}
	if len(found) != 1 {
		l.t.Errorf("%d entries of %s %s", len(found), kind, name)
		return nil
	}
	return found[0]
}

// has checks some of an entry's facts; "" says that one must be missing.
func (l *listing) has(kind audit.ItemKind, name string, want map[string]string) {
	l.t.Helper()
	got := l.entry(kind, name)
	for k, v := range want {
		if value, ok := got[k]; value != v || ok != (v != "") {
			l.t.Errorf("%s %s: %s is %q, want %q", kind, name, k, value, v)
		}
	}
}

func (l *listing) names(kind audit.ItemKind) (names []string) {
	for _, it := range l.items {
		if it.Kind == kind && it.Entry != nil {
			names = append(names, it.Entry.Name)
		}
	}
	return names
}

// random makes a value that is in no file.
func random(n int, letters string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func jobToken() string { return "gh" + "s_" + random(36, letters) }

func keyID(prefix string) string { return prefix + random(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") }

// webToken makes a token that says some things of itself, under no key.
func webToken(claims map[string]any) string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + part(claims) + "." + random(40, letters)
}

func TestConformance(t *testing.T) {
	w := newWorld(t, map[string]string{"CI": "true", "GITHUB_ACTIONS": "true"})
	w.file("/home/runner/.netrc", "machine example.com login a password b\n")
	audittest.Provider(t, w.p, "")
}

func TestRefs(t *testing.T) {
	w := newWorld(t, nil)
	for _, err := range w.p.Targets(t.Context(), "acme") {
		if !errors.Is(err, audit.ErrUsage) || audit.HintOf(err) == "" {
			t.Error(err)
		}
	}
	w.p.opts.Sources = audit.SourceHistory
	for _, err := range w.p.Targets(t.Context(), "") {
		if !errors.Is(err, audit.ErrUsage) {
			t.Error(err)
		}
	}
	for it, err := range w.p.Items(t.Context(), audit.Target{Name: "github:acme"}) {
		if err == nil {
			t.Errorf("%+v of another provider's target", it)
		}
	}
}

// TestSources: each part can be left out, and only settings ask anybody.
func TestSources(t *testing.T) {
	for _, c := range []struct {
		source audit.Sources
		has    audit.ItemKind
		calls  bool
	}{
		{audit.SourceVariables, audit.KindVariable, false}, {audit.SourceFiles, audit.KindFile, false}, {audit.SourceRunners, audit.KindRunner, false},
		{audit.SourceSettings, audit.KindSettings, true},
	} {
		w := newWorld(t, map[string]string{"CI": "true"})
		w.file("/home/runner/.netrc", "x")
		w.p.opts.Sources = c.source
		kinds := map[audit.ItemKind]bool{}
		for _, it := range w.list().items {
			kinds[it.Kind] = true
		}
		for _, kind := range []audit.ItemKind{audit.KindVariable, audit.KindFile, audit.KindRunner, audit.KindSettings} {
			if kinds[kind] != (kind == c.has) {
				t.Errorf("%v has %s: %t", c.source, kind, kinds[kind])
			}
		}
		if asked := len(w.p.env.Calls.Snapshot()) > 0; asked != c.calls {
			t.Errorf("%v asked somebody: %t", c.source, asked)
		}
		if left := w.p.LeftOut(audit.Target{}); left&c.source != 0 || left|c.source != sources {
			t.Errorf("%v leaves out %v", c.source, left)
		}
		planned := false
		for _, err := range w.p.Plan(t.Context(), "") {
			planned = err == nil
		}
		if planned != c.calls {
			t.Errorf("%v: the plan has calls: %t", c.source, planned)
		}
	}
}

func TestPlan(t *testing.T) {
	w := newWorld(t, map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_API_URL": "https://api.github.com", "GITHUB_SERVER_URL": "https://github.com",
		varOIDC: "https://run.example.com/a?b=c", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
	})
	var hosts []string
	for c, err := range w.p.Plan(t.Context(), "") {
		if err != nil || c.Calls < 1 || c.Note == "" {
			t.Errorf("%+v %v", c, err)
		}
		hosts = append(hosts, c.Host)
	}
	if got := strings.Join(hosts, " "); got != "api.github.com run.example.com [fd00:ec2::254] 127.0.0.1:1 127.0.0.1:1" {
		t.Error(got)
	}
	if n := len(w.p.env.Calls.Snapshot()); n > 0 {
		t.Errorf("a plan asked %d", n)
	}
}

// TestVariables: what ends with the job is known; what outlives it counts.
func TestVariables(t *testing.T) {
	own, registry, personal := jobToken(), "glcbt-"+random(20, letters), "gh"+"p_"+random(36, letters)
	short := webToken(map[string]any{"iss": "https://gitlab.example.com", "sub": "project_path:acme/web", "aud": "sts", "exp": now.Add(time.Hour).Unix()})
	long := webToken(map[string]any{"iss": "https://example.com", "sub": "x", "aud": "y", "exp": now.Add(48 * time.Hour).Unix()})
	endless := webToken(map[string]any{"iss": "https://example.com", "sub": "x", "aud": "y"})
	for _, c := range []struct {
		name  string
		vars  map[string]string
		known map[string]string
	}{
		{"GitHub", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": own, "INPUT_TOKEN": own, "NPM_TOKEN": "npm_" + random(36, letters), "RELEASE_TOKEN": personal},
			map[string]string{"GITHUB_TOKEN": endsWithJob, "INPUT_TOKEN": endsWithJob, "NPM_TOKEN": "", "RELEASE_TOKEN": ""}},
		{"a personal token for leakreach", map[string]string{"GITHUB_ACTIONS": "true", "GH_TOKEN": personal, "OTHER": personal},
			map[string]string{"GH_TOKEN": givenToUs, "OTHER": ""}},
		{"GitLab", map[string]string{"GITLAB_CI": "true", varJobToken: registry, "CI_REGISTRY_PASSWORD": registry, "CI_REPOSITORY_URL": "https://gitlab-ci-token:" + registry + "@gitlab.example.com/acme/web.git", "AWS_ID_TOKEN": short, "LATER": long, "NEVER": endless},
			map[string]string{varJobToken: endsWithJob, "CI_REGISTRY_PASSWORD": endsWithJob, "CI_REPOSITORY_URL": endsWithJob, "AWS_ID_TOKEN": endsWithJob, "LATER": "", "NEVER": ""}},
		{"what is more than the job's token", map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": own, "ALL": fmt.Sprintf(`{"github_token": %q, "RELEASE_TOKEN": %q}`, own, personal),
			"REMOTE": "https://" + own + "@github.com/acme/web.git", "QUERY": "https://x:" + own + "@example.com/?key=" + personal, "BOTH": "https://" + own + ":" + personal + "@example.com/",
		}, map[string]string{"ALL": "", "REMOTE": endsWithJob, "QUERY": "", "BOTH": ""}},
		{"elsewhere the name says nothing", map[string]string{"CI": "true", varJobToken: registry}, map[string]string{varJobToken: ""}},
		{"Gitea", map[string]string{"GITEA_ACTIONS": "true", "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": random(40, "0123456789abcdef")}, map[string]string{"GITHUB_TOKEN": endsWithJob}},
		{"an AWS key", map[string]string{varKeyID: keyID("AKIA"), varSecret: random(40, letters)}, map[string]string{varKeyID: "", varSecret: ""}},
		{"an AWS session", map[string]string{varKeyID: keyID("ASIA"), varSecret: random(40, letters), "AWS_SESSION_TOKEN": random(300, letters)},
			map[string]string{varKeyID: endsSoon, varSecret: endsSoon, "AWS_SESSION_TOKEN": endsSoon}},
		{"leakreach's own", map[string]string{"LEAKREACH_STORE_KEY": random(30, letters)}, map[string]string{"LEAKREACH_STORE_KEY": givenToUs}},
		{"none", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": ""}, map[string]string{"GITHUB_TOKEN": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.vars)
			w.p.opts.Sources = audit.SourceVariables
			l := w.list()
			seen := 0
			for _, it := range l.items {
				if string(it.Content) != w.vars[it.At.Name] || it.Kind != audit.KindVariable || it.At.Kind != audit.InVariable {
					t.Errorf("%+v", it)
				}
				want, ok := c.known[it.At.Name]
				if !ok {
					continue
				}
				seen++
				l.has(audit.KindVariable, it.At.Name, map[string]string{"lifetime": want})
				switch {
				case want == "" && it.Known != nil, want != "" && it.Known == nil:
					t.Errorf("%s: known: %v", it.At.Name, it.Known)
				case it.Known != nil && (it.Known.By != "provider" || it.Known.Reason != want):
					t.Errorf("%s: %+v", it.At.Name, it.Known)
				}
			}
			if seen != len(c.known) {
				t.Errorf("%d of %d listed", seen, len(c.known))
			}
		})
	}
}

// TestSettings: a key that lasts is named where the job could do without.
func TestSettings(t *testing.T) {
	w := newWorld(t, map[string]string{
		"GITLAB_CI": "true", "CI_JOB_NAME": "deploy", "CI_PROJECT_PATH": "acme/web", "CI_COMMIT_REF_PROTECTED": "true", "CI_DEBUG_TRACE": "true", varKeyID: keyID("AKIA"), varSecret: random(40, letters),
		"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "ID_TOKEN": webToken(map[string]any{"iss": "i", "sub": "s", "aud": []any{"a", "b"}, "exp": now.Add(time.Minute).Unix(), "environment": "prod"}),
	})
	w.file("/key.json", `{"type": "service_account", "private_key": "x"}`)
	l := w.list()
	l.has(audit.KindSettings, "deploy", map[string]string{
		"system": "gitlab", "repository": "acme/web", "ref_protected": "true", "debug": "true", "oidc": "true", "static_keys": "AWS_ACCESS_KEY_ID,GOOGLE_APPLICATION_CREDENTIALS",
	})
	l.has(audit.KindToken, "ID_TOKEN", map[string]string{"type": "oidc", "issuer": "i", "subject": "s", "audience": "a,b", "environment": "prod", "expires_at": "2026-11-27T08:01:00Z"})
	l.has(audit.KindToken, varKeyID, map[string]string{"type": "aws-key", "id": w.vars[varKeyID], "expires_at": ""})
	if got := newWorld(t, nil).list().names(audit.KindSettings); got != nil {
		t.Errorf("settings of no job: %q", got)
	}
}

// TestNoValues: whatever the job holds, entries, places and gaps show none of it.
func TestNoValues(t *testing.T) {
	values := []string{jobToken(), random(40, letters), webToken(map[string]any{"iss": "i", "sub": "s", "aud": "a", "exp": now.Add(time.Minute).Unix()}), "glcbt-" + random(20, letters)}
	for _, system := range []string{"GITHUB_ACTIONS", "GITLAB_CI", "GITEA_ACTIONS"} {
		w := newWorld(t, map[string]string{
			system: "true", "GITHUB_TOKEN": values[0], varSecret: values[1], varKeyID: keyID("AKIA"), "ID_TOKEN": values[2], varJobToken: values[3], varOIDC: closed + "/?token=" + values[1],
			varOIDCToken: values[2], "GITHUB_API_URL": closed + "/" + values[1], "GITHUB_SERVER_URL": closed, "CI_API_V4_URL": closed + "/" + values[3],
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": closed + "/" + values[1],
		})
		l := w.list()
		shown := fmt.Sprint(l.gaps)
		for _, it := range l.items {
			b, err := json.Marshal([]any{it.At, it.Entry, it.Known})
			if err != nil {
				t.Fatal(err)
			}
			shown += string(b)
		}
		for _, v := range values {
			if strings.Contains(shown, v) {
				t.Errorf("%s: a value is shown", system)
			}
		}
	}
}

// content reads an item.
func content(t *testing.T, it audit.Item) string {
	t.Helper()
	if it.Open == nil {
		return string(it.Content)
	}
	rc, err := it.Open(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}
