package github

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

func writeKey(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"PKCS #1": writeKey(t, "RSA PRIVATE "+"KEY", x509.MarshalPKCS1PrivateKey(key)), "PKCS #8": writeKey(t, "PRIVATE "+"KEY", pkcs8),
	} {
		g := acme(3)
		g.Installations = []forgetest.Installation{{ID: 77, Owner: "acme"}}
		g.App = func(jwt, installation string) error {
			parts := strings.Split(jwt, ".")
			if len(parts) != 3 || installation != "77" {
				return errors.New("no JWT, or another installation")
			}
			signature, err := base64.RawURLEncoding.DecodeString(parts[2])
			if err != nil {
				return err
			}
			digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
				return err
			}
			claims, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil {
				return err
			}
			var c struct {
				Iat, Exp int64
				Iss      string
			}
			if err := json.Unmarshal(claims, &c); err != nil {
				return err
			}
			if now := time.Now().Unix(); c.Iss != "12" || c.Iat > now-50 || c.Exp > now+600 || c.Exp < now {
				return errors.New("claims " + string(claims))
			}
			return nil
		}
		vars := map[string]string{
			"GITHUB_API_URL": forgetest.Start(t, g), "LEAKREACH_GITHUB_APP_ID": "12", "LEAKREACH_GITHUB_APP_INSTALLATION_ID": "77",
			"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": file,
		}
		p := New(env(t, nil, vars), everything())
		r := targets(t, p, "acme")
		if r.err != nil || len(r.targets) != 4 {
			t.Errorf("%s: err %v, targets %q", name, r.err, r.names())
		}
		if _, gaps, err := items(t, p, r.targets[0]); err != nil || len(gaps) > 0 || g.Count("/access_tokens") != 1 {
			t.Errorf("%s: err %v, gaps %q, %d tokens minted", name, err, gaps, g.Count("/access_tokens"))
		}
	}
}

func TestAppSettings(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := writeKey(t, "RSA PRIVATE "+"KEY", x509.MarshalPKCS1PrivateKey(key))
	g := acme(1)
	g.App = func(string, string) error { return errors.New("Integration must generate a public key") }
	url := forgetest.Start(t, g)
	for _, test := range []struct {
		id, installation, file string
		want                   error
	}{
		{"12", "", good, audit.ErrAuth},
		{"", "77", "", audit.ErrUsage},
		{"12", "77,../x", good, audit.ErrUsage},
		{"12", "77", good + ".none", audit.ErrUsage},
		{"12", "77", writeKey(t, "RSA PRIVATE "+"KEY", []byte("junk")), audit.ErrUsage},
		{"12", "77", good, audit.ErrAuth},
	} {
		r := targets(t, New(env(t, nil, map[string]string{
			"GITHUB_API_URL": url, "LEAKREACH_GITHUB_APP_ID": test.id, "LEAKREACH_GITHUB_APP_INSTALLATION_ID": test.installation,
			"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": test.file,
		}), everything()), "acme")
		if !errors.Is(r.err, test.want) {
			t.Errorf("%+v: %v", test, r.err)
		}
	}
}

// appOf makes a provider for a GitHub App of a fake, with a clock of its own.
func appOf(t *testing.T, address string, now func() time.Time) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e := env(t, nil, map[string]string{
		"GITHUB_API_URL": address, "LEAKREACH_GITHUB_APP_ID": "12",
		"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": writeKey(t, "RSA PRIVATE "+"KEY", x509.MarshalPKCS1PrivateKey(key)),
	})
	if now != nil {
		e.Now = now
	}
	return New(e, everything())
}

// fresh refuses what was signed too early or too late, as GitHub does.
func fresh(jwt, _ string) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return errors.New("no JWT")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var c struct{ Iat, Exp int64 }
	if err := json.Unmarshal(claims, &c); err != nil {
		return err
	}
	if now := time.Now().Unix(); c.Iat > now || c.Exp < now || c.Exp > now+600 {
		return errors.New("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	return nil
}

// TestAppClock: a machine whose clock is wrong goes by the forge's, and does not ask for a token each time.
func TestAppClock(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, -10 * time.Second, 20 * time.Minute, 3 * time.Hour} {
		g := acme(3)
		g.Installations, g.App = []forgetest.Installation{{ID: 77, Owner: "acme"}}, fresh
		p := appOf(t, forgetest.Start(t, g), func() time.Time { return time.Now().Add(skew) })
		r := targets(t, p, "acme")
		if r.err != nil || len(r.targets) != 4 {
			t.Fatalf("%s ahead: %v, %d targets", skew, r.err, len(r.targets))
		}
		if _, gaps, err := items(t, p, r.targets[1]); err != nil || len(gaps) > 0 {
			t.Errorf("%s ahead: %v, gaps %q", skew, err, gaps)
		}
		if n := g.Count("/access_tokens"); n != 1 {
			t.Errorf("%s ahead: asked for %d tokens", skew, n)
		}
	}
}

// TestAppRenewal: a token is used for 55 minutes of its hour; one that is revoked before that is replaced, once for a request.
func TestAppRenewal(t *testing.T) {
	g := acme(1)
	g.Installations = []forgetest.Installation{{ID: 77, Owner: "acme"}}
	g.App = func(string, string) error { return nil } // whose clock stands still
	revoked := 0                                      // how many more requests find it revoked
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/app/") || revoked == 0 {
			return false
		}
		revoked--
		return forgetest.Fail(w, http.StatusUnauthorized, "Bad credentials")
	}
	var passed time.Duration
	p := appOf(t, forgetest.Start(t, g), func() time.Time { return time.Now().Add(passed) })
	want := func(minted int, why string) {
		t.Helper()
		if r := targets(t, p, "acme"); r.err != nil || len(r.targets) != 2 {
			t.Errorf("%s: %v, %d targets", why, r.err, len(r.targets))
		}
		if n := g.Count("/access_tokens"); n != minted {
			t.Errorf("%s: %d tokens, want %d", why, n, minted)
		}
	}
	want(1, "first")
	passed = 54 * time.Minute
	want(1, "almost over")
	passed = 56 * time.Minute
	want(2, "five minutes before the end")
	// What is asked first of a repository is GraphQL, with its installation and no other credential: that is no way to ask for a token.
	all := targets(t, p, "acme").targets
	passed = 112 * time.Minute
	if _, gaps, err := items(t, p, all[1]); err != nil || len(gaps) > 0 || g.Count("/access_tokens") != 3 {
		t.Errorf("over in the midst of a sweep: %v, gaps %q, %d tokens", err, gaps, g.Count("/access_tokens"))
	}
	revoked = 1
	want(4, "revoked")
	revoked = 100
	if r := targets(t, p, "acme"); !errors.Is(r.err, audit.ErrAuth) || g.Count("/access_tokens") != 5 {
		t.Errorf("revoked for good: %v, %d tokens", r.err, g.Count("/access_tokens"))
	}
}

// TestAppSuspended: what a suspended installation would read is not silently read by another one.
func TestAppSuspended(t *testing.T) {
	g := acme(1)
	g.Owners = append(g.Owners, &forgetest.Owner{Login: "beta"})
	g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: "beta/web", ID: 900})
	g.App = fresh
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/app/installations":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`[{"id": 77, "account": {"login": "acme"}, "suspended_at": "2026-01-01T00:00:00Z"}, {"id": 78, "account": {"login": "beta"}}]`))
			return true
		case "/app/installations/78/access_tokens":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"token": "` + token + `", "expires_at": "` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`))
			return true
		}
		return false
	}
	p := appOf(t, forgetest.Start(t, g), nil)
	r := targets(t, p, "acme")
	if !errors.Is(r.err, audit.ErrAuth) || !strings.Contains(r.err.Error(), "installation 77 in acme is suspended") || audit.HintOf(r.err) != unsuspend {
		t.Errorf("suspended: %v (%s)", r.err, audit.HintOf(r.err))
	}
	if r := targets(t, p, "beta"); r.err != nil || len(r.targets) != 2 {
		t.Errorf("the other one: %v, %d targets", r.err, len(r.targets))
	}
}

// TestAppRefused: a refusal of the App is not taken for one of what it asks about.
func TestAppRefused(t *testing.T) {
	for status, hint := range map[int]string{http.StatusForbidden: "private key", http.StatusNotFound: "still installed"} {
		g := acme(1)
		g.Installations, g.App = []forgetest.Installation{{ID: 77, Owner: "acme"}}, fresh
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/access_tokens") && forgetest.Fail(w, status, "no")
		}
		r := targets(t, appOf(t, forgetest.Start(t, g), nil), "acme")
		if !errors.Is(r.err, audit.ErrAuth) || !strings.Contains(audit.HintOf(r.err), hint) || g.Count("/repos") != 0 {
			t.Errorf("%d: %v (%s), asked %d times for repositories", status, r.err, audit.HintOf(r.err), g.Count("/repos"))
		}
	}
	g := acme(1) // a passing fault is none
	g.Installations, g.App = []forgetest.Installation{{ID: 77, Owner: "acme"}}, fresh
	faults := 1
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if faults == 0 || !strings.HasSuffix(r.URL.Path, "/access_tokens") {
			return false
		}
		faults--
		return forgetest.Fail(w, http.StatusBadGateway, "Server Error")
	}
	if r := targets(t, appOf(t, forgetest.Start(t, g), nil), "acme"); r.err != nil {
		t.Error(r.err)
	}
}

// TestAppReadsOnly: tokens are asked for with the App's rights to read, and no others.
func TestAppReadsOnly(t *testing.T) {
	var bodies []string
	g := acme(1)
	g.App = fresh
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/api/v3/app/installations":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`[{"id": 77, "account": {"login": "acme"}, "permissions": {"contents": "write", "secrets": "read", "workflows": "write"}}]`))
			return true
		case "/api/v3/app/installations/77/access_tokens":
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			if len(body) > 0 {
				return forgetest.Fail(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			}
		}
		return false
	}
	r := targets(t, appOf(t, forgetest.Start(t, g)+"/api/v3", nil), "acme")
	want := []string{`{"permissions":{"contents":"read","secrets":"read"}}`, ""}
	if r.err != nil || len(r.targets) != 2 || !slices.Equal(bodies, want) {
		t.Errorf("%v, %d targets, asked for %q", r.err, len(r.targets), bodies)
	}
}
