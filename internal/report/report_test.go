package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden holds every format against what was last looked at by eye.
func TestGolden(t *testing.T) {
	for name, fixture := range fixtures() {
		for _, f := range Formats {
			if name == "many" && f.Name != "text" {
				continue // see TestMany
			}
			widths := map[string]Options{"": {}}
			if f.Name == "text" {
				widths = map[string]Options{"": {CI: true, Fold: true}, ".80": {Width: 80}, ".120": {Width: 120, Color: true, Links: true}}
			}
			for suffix, o := range widths {
				t.Run(name+"/"+f.Name+suffix, func(t *testing.T) {
					o.Rules, o.FailOn, o.ExitCode = rules(), "any", fixture.exit
					var b bytes.Buffer
					if err := f.Write(&b, fixture.run, o); err != nil {
						t.Fatal(err)
					}
					golden(t, filepath.Join("testdata", name+suffix+"."+f.Name), b.Bytes())
				})
			}
		}
	}
}

// TestJSONPieces: the object that is written element by element is the whole run's.
func TestJSONPieces(t *testing.T) {
	runs := map[string]*audit.Run{"nothing": {}}
	for name, f := range fixtures() {
		runs[name] = f.run
	}
	for name, run := range runs {
		var got, want bytes.Buffer
		if err := writeJSON(&got, run, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := encode(&want, utc(run), "  "); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s (-whole +pieces):\n%s", name, diff)
		}
	}
}

// TestJSONUnwritable: a full disk is an error.
func TestJSONUnwritable(t *testing.T) {
	for n := range 3 {
		if err := writeJSON(full{new(n)}, fixtures()["many"].run, Options{}); !errors.Is(err, errFull) {
			t.Errorf("after %d writes: %v", n, err)
		}
	}
}

// full takes some writes only.
type full struct{ left *int }

var errFull = errors.New("full")

func (f full) Write(p []byte) (int, error) {
	if *f.left--; *f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("differs from %s; if that is meant, run go test -update (-want +got):\n%s", path, diff)
	}
}

type fixture struct {
	run  *audit.Run
	exit int
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func rules() map[string]audit.Rule {
	return map[string]audit.Rule{
		"aws-access-key": {
			ID: "aws-access-key", Title: "AWS access key", Category: audit.CategorySecret, Severity: audit.High, CWE: 798,
			Help: "A long-lived AWS key opens its account to whoever reads it.\n\nBefore: `AWS_ACCESS_KEY_ID=…` in a file. After: `role-to-assume:` and OIDC.",
			Fix:  []string{"deactivate the key", "replace it by OIDC", "remove it from the file"},
		},
		"github-pat": {
			ID: "github-pat", Title: "GitHub personal access token", Category: audit.CategorySecret, Severity: audit.High, CWE: 798,
			Help: "A token acts as its owner.", Fix: []string{"revoke the token at github.com/settings/tokens", "use GITHUB_TOKEN or a GitHub App"},
		},
		"runner-group-open": {
			ID: "runner-group-open", Title: "self-hosted runner takes fork pull requests", Category: audit.CategoryRunner, Severity: audit.Medium,
			Help: "Whoever can open a pull request runs code there.", Fix: []string{"restrict the group to named repositories"},
		},
		"generic-api-key": {
			ID: "generic-api-key", Title: "something that looks like a key", Category: audit.CategorySecret, Severity: audit.Medium, CWE: 798,
			Help: "A random string beside a word such as key.", Generic: true,
		},
	}
}

func envelope(refs ...string) *audit.Run {
	return &audit.Run{
		Schema: audit.Schema,
		Info: audit.RunInfo{
			ID: "0a1b2c3d4e5f6071", Version: "1.0.0", StartedAt: at("2026-11-23T14:02:05Z"), FinishedAt: at("2026-11-23T14:02:46Z"),
			Refs: refs, Verify: "offline", Complete: true,
		},
		Coverage: []audit.Coverage{}, Gaps: []audit.Gap{}, Findings: []audit.Finding{}, Identities: []audit.Identity{},
		Inventory: []audit.Entry{}, Silencers: []audit.Silencer{}, Calls: map[string]int{},
	}
}

// The settings of a target have no name of their own.
func TestPlaceOfSettings(t *testing.T) {
	for _, c := range []struct{ name, want string }{{"", "github:acme settings"}, {"webhook 7", "github:acme setting webhook 7"}} {
		if got := place(audit.Location{Target: "github:acme", Kind: audit.InSetting, Name: c.name}, true); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestLevelAndAccounts: in every format a finding has what its secret opens, and where.
func TestLevelAndAccounts(t *testing.T) {
	run := admin()
	run.Findings = run.Findings[:1]
	for _, f := range Formats {
		text := string(rendered(t, f.Name, run))
		for _, want := range append([]string{"admin"}, run.Findings[0].Reach.Accounts...) {
			if !strings.Contains(strings.ToLower(text), want) {
				t.Errorf("%s has no %s", f.Name, want)
			}
		}
	}
}
