package github

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// app mints installation tokens of a GitHub App (docs.github.com/apps: "Authenticating as a GitHub App installation").
type app struct {
	id, installation string
	key              *rsa.PrivateKey
	now              func() time.Time
	api              *http.Client // authenticates as the App itself
	mint             string       // address that mints

	mu      sync.Mutex
	current string
	expires time.Time
}

// appFromEnv makes an app of the LEAKREACH_GITHUB_APP_… variables, or nil if none of them is set.
func appFromEnv(env audit.Env, config forge.Config) (*app, error) {
	const prefix = "LEAKREACH_GITHUB_APP_"
	id, installation, file := strings.TrimSpace(env.Getenv(prefix+"ID")), strings.TrimSpace(env.Getenv(prefix+"INSTALLATION_ID")), env.Getenv(prefix+"PRIVATE_KEY_FILE")
	if id == "" && installation == "" && file == "" {
		return nil, nil
	}
	if id == "" || installation == "" || file == "" {
		return nil, fmt.Errorf("%w: a GitHub App needs all of %[2]sID, %[2]sINSTALLATION_ID and %[2]sPRIVATE_KEY_FILE", audit.ErrUsage, prefix)
	}
	if _, err := strconv.ParseUint(installation, 10, 63); err != nil {
		return nil, fmt.Errorf("%w: %sINSTALLATION_ID is not a number", audit.ErrUsage, prefix)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	key, err := parseKey(content)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	a := &app{id: id, installation: installation, key: key, now: env.Now}
	config.Token = func(context.Context) (string, error) { return a.jwt() }
	a.api = forge.New(env, config)
	a.mint = config.Base.JoinPath("app/installations", installation, "access_tokens").String()
	return a, nil
}

func parseKey(content []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("it holds no PEM key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it holds no RSA private key")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not an RSA key")
	}
	return rsaKey, nil
}

// jwt signs what proves to be the App: issued a minute in the past against clock drift, good for nine minutes of the ten GitHub allows.
func (a *app) jwt() (string, error) {
	now := a.now()
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix(), "iss": a.id})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing as the GitHub App: %w", err)
	}
	return signed + "." + b64.EncodeToString(signature), nil
}

// token returns an installation token that is good for at least five minutes more.
func (a *app) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != "" && a.now().Add(5*time.Minute).Before(a.expires) {
		return a.current, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.mint, bytes.NewReader(nil))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := a.api.Do(req)
	if err != nil {
		return "", fmt.Errorf("minting a token of GitHub App installation %s: %w", a.installation, forge.Plain(err))
	}
	defer func() { _ = resp.Body.Close() }()
	var minted struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&minted); err != nil {
		return "", fmt.Errorf("minting a token of GitHub App installation %s: %w", a.installation, err)
	}
	if minted.Token, err = forge.Token("the GitHub App's answer", minted.Token); err != nil || minted.Token == "" {
		return "", errors.Join(fmt.Errorf("minting a token of GitHub App installation %s: the answer holds none", a.installation), err)
	}
	a.current, a.expires = minted.Token, minted.ExpiresAt
	return a.current, nil
}
