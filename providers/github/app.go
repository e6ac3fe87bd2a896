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
	"net/url"
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
	id        string
	key       *rsa.PrivateKey
	now       func() time.Time
	api       *http.Client // authenticates as the App itself
	base      *url.URL
	chosen    []string // installations that the user named
	installed []*installation
	mu        sync.Mutex // of current, and held while they are asked for
}

// appFromEnv makes an app of the LEAKREACH_GITHUB_APP_… variables, or nil if none of them is set.
func appFromEnv(env audit.Env, config forge.Config) (*app, error) {
	const prefix = "LEAKREACH_GITHUB_APP_"
	id, installations, file := strings.TrimSpace(env.Getenv(prefix+"ID")), strings.TrimSpace(env.Getenv(prefix+"INSTALLATION_ID")), env.Getenv(prefix+"PRIVATE_KEY_FILE")
	if id == "" && installations == "" && file == "" {
		return nil, nil
	}
	if id == "" || file == "" {
		return nil, fmt.Errorf("%w: a GitHub App needs both %[2]sID and %[2]sPRIVATE_KEY_FILE", audit.ErrUsage, prefix)
	}
	a := &app{id: id, now: env.Now, base: config.Base}
	if installations != "" {
		for n := range strings.SplitSeq(installations, ",") {
			if n = strings.TrimSpace(n); !isNumber(n) {
				return nil, fmt.Errorf("%w: %sINSTALLATION_ID is not a number, nor several with commas between them", audit.ErrUsage, prefix)
			}
			a.chosen = append(a.chosen, n)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	if a.key, err = parseKey(content); err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	config.Credentials = forge.Any([]*forge.Credential{{
		Name: "the GitHub App", ID: "app " + id, Token: func(context.Context) (string, error) { return a.jwt() },
	}})
	a.api = forge.New(env, config)
	return a, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// An installation is the App in one organisation or user account, whose repositories it reads with a token of its own.
type installation struct {
	*app
	id, owner  string // owner "" is any
	credential *forge.Credential

	mu      sync.Mutex
	current string
	expires time.Time
}

func (a *app) install(id, owner string) *installation {
	i := &installation{app: a, id: id, owner: owner}
	i.credential = &forge.Credential{Name: "GitHub App installation " + id, ID: "installation " + id, Token: i.token}
	return i
}

// choose is the installation of the owner that a request asks about.
func (a *app) choose(req *http.Request) ([]*forge.Credential, error) {
	path := strings.Split(strings.TrimPrefix(req.URL.Path, a.base.Path+"/"), "/")
	owner := ""
	if len(path) > 1 && (path[0] == "repos" || path[0] == "orgs" || path[0] == "users") {
		owner = path[1]
	}
	credential, err := a.of(req.Context(), owner)
	return []*forge.Credential{credential}, err
}

// of returns what an owner's repositories are read with. What belongs to nobody who installed the App, any of them sees as far as it is public.
func (a *app) of(ctx context.Context, owner string) (*forge.Credential, error) {
	all, err := a.installations(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if strings.EqualFold(i.owner, owner) {
			return i.credential, nil
		}
	}
	return all[0].credential, nil
}

// installations are those that the user named, or all.
func (a *app) installations(ctx context.Context) ([]*installation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installed != nil {
		return a.installed, nil
	}
	type described struct {
		ID      int64 `json:"id"`
		Account struct {
			Login string `json:"login"`
		} `json:"account"`
		Suspended *time.Time `json:"suspended_at"`
	}
	var all []*installation
	switch len(a.chosen) {
	case 0:
		key := func(d described) string { return strconv.FormatInt(d.ID, 10) }
		for d, err := range forge.Pages(ctx, key, func(ctx context.Context, cursor string) (page forge.Page[described], err error) {
			number := max(1, atoi(cursor))
			err = a.call(ctx, http.MethodGet, fmt.Sprintf("app/installations?per_page=100&page=%d", number), &page.Items)
			if len(page.Items) == 100 {
				page.Next = strconv.Itoa(number + 1)
			}
			return page, err
		}) {
			if err != nil {
				return nil, fmt.Errorf("listing the installations of the GitHub App: %w", err)
			}
			if d.Suspended == nil {
				all = append(all, a.install(key(d), d.Account.Login))
			}
		}
	case 1:
		all = append(all, a.install(a.chosen[0], ""))
	default:
		for _, id := range a.chosen {
			var d described
			if err := a.call(ctx, http.MethodGet, "app/installations/"+id, &d); err != nil {
				return nil, fmt.Errorf("reading GitHub App installation %s: %w", id, err)
			}
			all = append(all, a.install(id, d.Account.Login))
		}
	}
	if len(all) == 0 {
		return nil, audit.Hint(fmt.Errorf("%w: the GitHub App is installed nowhere", audit.ErrAuth), "install it in the organisations that it is to read")
	}
	a.installed = all
	return all, nil
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// call asks as the App itself.
func (a *app) call(ctx context.Context, method, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base.JoinPath("/").String()+path, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := a.api.Do(req)
	if err != nil {
		return forge.Plain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(out)
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
func (i *installation) token(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current != "" && i.now().Add(5*time.Minute).Before(i.expires) {
		return i.current, nil
	}
	var minted struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	err := i.call(ctx, http.MethodPost, "app/installations/"+i.id+"/access_tokens", &minted)
	if err == nil {
		minted.Token, err = forge.Token("the GitHub App's answer", minted.Token)
	}
	if err == nil && minted.Token == "" {
		err = errors.New("the answer holds none")
	}
	if err != nil {
		return "", fmt.Errorf("minting a token of GitHub App installation %s: %w", i.id, err)
	}
	i.current, i.expires = minted.Token, minted.ExpiresAt
	return i.current, nil
}
