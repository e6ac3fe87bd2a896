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
	"os"
	"path/filepath"
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
		minted := 0
		g.App = func(jwt, installation string) error {
			minted++
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
		if _, gaps, err := items(t, p, r.targets[0]); err != nil || len(gaps) > 0 || minted != 1 {
			t.Errorf("%s: err %v, gaps %q, %d tokens minted", name, err, gaps, minted)
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
