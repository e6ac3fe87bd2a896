package forge

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/github"
)

// An app of the emulated GitHub, which knows it by its public key.
type emulatedApp struct {
	id, installation int
	rights           map[string]string
	key              string // PEM
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE " + "KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// emulate starts a GitHub that somebody else wrote, https://www.npmjs.com/package/emulate, with the private repository acme/app, and returns its address.
func emulate(t *testing.T, token string, apps ...emulatedApp) string {
	t.Helper()
	program, err := exec.LookPath("emulate")
	if err != nil {
		missing(t, "emulate is not installed: make tools installs it")
	}
	var described []any
	for _, a := range apps {
		described = append(described, map[string]any{
			"app_id": a.id, "slug": fmt.Sprint("app-", a.id), "name": "app", "private_key": a.key, "permissions": a.rights,
			"installations": []any{map[string]any{"installation_id": a.installation, "account": "acme", "repository_selection": "all"}},
		})
	}
	seed, err := json.Marshal(map[string]any{
		"tokens": map[string]any{token: map[string]any{"login": "acme", "scopes": []string{"repo"}}},
		"github": map[string]any{
			"users": []any{map[string]any{"login": "acme"}}, "repos": []any{map[string]any{"owner": "acme", "name": "app", "private": true}}, "apps": described,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "seed.json")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "start", "--service", "github", "--port", port, "--seed", file)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(file), &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for range 200 { // it takes a second or two
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	_ = cmd.Wait()
	t.Fatalf("emulate does not start:\n%s", log.String())
	return ""
}

// A GitHub that we did not write takes the App's signature for what it is, hands out a token, and says what that may not.
func TestAppAgainstEmulate(t *testing.T) {
	const token = "a-token-of-the-owner"
	key := newKey(t)
	url := emulate(t, token,
		emulatedApp{1, 101, map[string]string{"metadata": "read", "secrets": "read"}, key},
		emulatedApp{2, 102, map[string]string{"metadata": "read", "contents": "read"}, key},
	)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/repos/acme/app/actions/secrets/DEPLOY_KEY", strings.NewReader(`{"encrypted_value":"","key_id":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", err, resp)
	}
	_ = resp.Body.Close()
	for _, test := range []struct {
		name, app, installation, key string
		secret                       bool
		gap                          string
		refused                      bool
	}{
		{name: "a right that was granted", app: "1", installation: "101", key: key, secret: true},
		{name: "the same, by the list of installations", app: "1", key: key, secret: true},
		{name: "a right that was not", app: "2", installation: "102", key: key, gap: "repository secrets: 403 Forbidden"},
		{name: "another's key", app: "1", installation: "101", key: newKey(t), refused: true},
		{name: "another's installation", app: "1", installation: "102", key: key, refused: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, []byte(test.key), 0o600); err != nil {
				t.Fatal(err)
			}
			p := github.New(environment(t, map[string]string{
				"GITHUB_API_URL": url, "LEAKREACH_GITHUB_APP_ID": test.app, "LEAKREACH_GITHUB_APP_INSTALLATION_ID": test.installation,
				"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": file,
			}), github.Options{Sources: audit.SourceSecrets})
			var names, gaps []string
			for target, err := range p.Targets(t.Context(), "acme/app") {
				if (err != nil) != test.refused {
					t.Fatalf("refused is %v: %v", !test.refused, err)
				}
				if err != nil {
					return
				}
				for it, err := range p.Items(t.Context(), target) {
					if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
						gaps = append(gaps, gap.What+": "+gap.Why)
					} else if err != nil {
						t.Error(err)
					}
					if it.Entry != nil && it.Kind == audit.KindSecret {
						names = append(names, it.Entry.Name)
					}
				}
			}
			if slices.Contains(names, "DEPLOY_KEY") != test.secret {
				t.Errorf("secrets %q, gaps %q", names, gaps)
			}
			if test.gap != "" && !slices.ContainsFunc(gaps, func(g string) bool { return strings.HasPrefix(g, test.gap) }) {
				t.Errorf("no gap %q in %q", test.gap, gaps)
			}
		})
	}
}
